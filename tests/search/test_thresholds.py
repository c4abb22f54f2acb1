import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autorecipe.data.metrics import METRICS
from autorecipe.results import DatasetInfo
from autorecipe.search.thresholds import choose_thresholds, fit_thresholds, worth_choosing
from autorecipe.training.evaluate import score

TUNED = [(n, t) for n, m in METRICS.items() for t in m.tasks if m.thresholds and t in ("binary", "multilabel")]


def info_of(task, metric, count):
    return DatasetInfo("n", "table", task, "", metric, "", {}, classes=tuple(f"c{i}" for i in range(count)))


def drawn(task, seed, count=200, shares=(0.5, 0.2, 0.05), shift=-1.0):
    """Targets and logits of a model that says yes too seldom."""
    random = np.random.default_rng(seed)
    shares = shares if task == "multilabel" else shares[1:2]
    truth = (random.random((count, len(shares))) < shares).astype(np.float32)
    logits = 2 * truth - 1 + shift + random.normal(size=truth.shape)
    if task == "multilabel":
        return truth, logits
    return truth[:, 0].astype(np.int64), np.concatenate([np.zeros_like(logits), logits], axis=1)


@pytest.mark.parametrize("way", ["all", "each"])
@given(
    st.integers(0, 10**6),
    st.integers(40, 200),
    st.floats(-3, 3),
    st.sampled_from(["macro_f1", "micro_f1", "jaccard_weighted"]),
)
@settings(max_examples=25, deadline=None)
def test_thresholds_never_lower_the_score_on_the_rows_they_were_fitted_on(way, seed, count, shift, metric):
    truth, outputs = drawn("multilabel", seed, count, shift=shift)
    info = info_of("multilabel", metric, 3)
    fitted = fit_thresholds(truth, outputs, info, way)
    assert score(metric, truth, outputs, info, fitted) >= score(metric, truth, outputs, info)
    assert all(0 < value < 1 for value in fitted)
    chosen, _ = choose_thresholds(truth, outputs, info)
    assert score(metric, truth, outputs, info, chosen) >= score(metric, truth, outputs, info)


@pytest.mark.parametrize(("metric", "task"), TUNED)
def test_they_are_found_where_they_help(metric, task):
    truth, outputs = drawn(task, 0, 600, shift=-2.0)
    info = info_of(task, metric, 3 if task == "multilabel" else 2)
    found, why = choose_thresholds(truth, outputs, info)
    assert len(found) == (3 if task == "multilabel" else 1)
    assert np.mean(found) < 0.5
    assert "600 held-out examples" in why
    fresh, other = drawn(task, 1, 600, shift=-2.0)
    assert score(metric, fresh, other, info, found) > score(metric, fresh, other, info)


@pytest.mark.parametrize("task", ["binary", "multilabel"])
def test_rare_positives_get_a_threshold_among_them(task):
    """One in a hundred is positive: even quantiles of all probabilities would pass over the best threshold."""
    random = np.random.default_rng(0)
    truth = (random.random((8000, 2)) < 0.01).astype(np.float32)
    logits = np.log(0.01) + 3.0 * truth + random.normal(size=truth.shape)
    targets, outputs = truth, logits
    if task == "binary":
        targets, outputs = truth[:, 0].astype(np.int64), np.stack([np.zeros(8000), logits[:, 0]], axis=1)
    info = info_of(task, "f1" if task == "binary" else "macro_f1", 2)
    size = 1 if task == "binary" else 2
    best = max(score(info.metric, targets, outputs, info, (t,) * size) for t in np.linspace(0.01, 0.9, 300))
    found = fit_thresholds(targets, outputs, info, "all" if task == "binary" else "each")
    assert score(info.metric, targets, outputs, info, found) > 0.97 * best


def test_a_rare_label_takes_the_threshold_of_all():
    truth, outputs = drawn("multilabel", 0, 200)
    assert truth[:, 2].sum() < 20
    info = info_of("multilabel", "macro_f1", 3)
    assert fit_thresholds(truth, outputs, info, "each")[2] == fit_thresholds(truth, outputs, info, "all")[2]


def test_nothing_is_chosen_without_need_or_evidence():
    truth, outputs = drawn("multilabel", 0)
    assert choose_thresholds(truth, outputs, info_of("multilabel", "hamming_loss", 3)) == ((), "")
    assert choose_thresholds(truth[:30], outputs[:30], info_of("multilabel", "micro_f1", 3)) == ((), "")
    assert not worth_choosing(info_of("multiclass", "macro_f1", 3))
    perfect = 20 * (truth - 0.5)
    assert choose_thresholds(truth, perfect, info_of("multilabel", "micro_f1", 3)) == ((), "")
