"""Intervals around the test score: laws, and coverage on simulated trainings."""

import math
from dataclasses import replace as replace_record

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorecipe.data.metrics import METRICS
from autorecipe.results import DatasetInfo, Decision
from autorecipe.search.decide import PRIOR_SEED_SHARE, Evidence
from autorecipe.search.ledger import evidence_of
from autorecipe.search.score_interval import (
    PRIOR_CHURN,
    Spread,
    another_sample,
    explain,
    prior_share,
    retraining,
    spread_between_seeds,
)

TASKS = {
    "accuracy": "multiclass",
    "log_loss": "multiclass",
    "roc_auc": "binary",
    "rmse": "regression",
    "r2": "regression",
}
SPREADS = st.builds(
    Spread, share=st.floats(0, 1), churn=st.floats(0, 2), df=st.floats(4, 60), pairs=st.just(4), decisions=st.just(2)
)

CHURN = 0.5


def info_of(metric, task=None):
    task = task or TASKS[metric]
    classes = () if task == "regression" else ("a", "b") if task == "binary" else ("a", "b", "c")
    return DatasetInfo("d", "table", task, "", metric, "", {}, classes)


def decision(scores, *, examples=400, variance=0.0, parts=2):
    return Decision(
        stage="width",
        question="width 16 -> 32",
        incumbent="a",
        candidates=("b",),
        candidate="b",
        study="s",
        trials=(0,),
        effect=0.0,
        standard_error=0.0,
        interval=(0.0, 0.0),
        p_better=0.5,
        num_examples=examples,
        num_seeds=len(scores["incumbent"]),
        seconds=1.0,
        verdict="",
        reason="",
        chosen="a",
        scores=scores,
        example_variance=variance,
        parts=parts,
    )


@given(
    spread=SPREADS,
    metric=st.sampled_from(sorted(TASKS)),
    value=st.floats(0, 1),
    count=st.integers(1, 10_000),
    members=st.integers(1, 8),
)
def test_the_score_lies_inside_and_more_members_never_widen(spread, metric, value, count, members):
    info = info_of(metric)
    one, more = (retraining(spread, value, count, info, m) for m in (members, members + 1))
    assert one["low"] <= value <= one["high"]
    assert more["low"] >= one["low"]
    assert more["high"] <= one["high"]
    assert more["seed_sd"] <= one["seed_sd"]
    if METRICS[metric].higher:
        assert one["high"] <= 1
    else:
        assert one["low"] >= 0


@given(spread=SPREADS, value=st.floats(0.5, 1), count=st.integers(2, 10_000))
def test_more_test_examples_never_widen(spread, value, count):
    few, many = (retraining(spread, value, n, info_of("accuracy")) for n in (count, 10 * count))
    assert many["seed_sd"] <= few["seed_sd"]


@given(SPREADS, st.floats(0.6, 0.9), st.floats(0.5, 0.98))
def test_a_higher_level_is_wider(spread, value, level):
    low, high = (retraining(spread, value, 500, info_of("accuracy"), level=at) for at in (level, level + 0.01))
    assert high["low"] <= low["low"] <= value <= low["high"] <= high["high"]
    assert high["seed_sd"] == low["seed_sd"]


def test_a_perfect_score_is_not_said_to_be_certain():
    found = retraining(Spread(), 1.0, 30, info_of("accuracy"))
    assert found["low"] < 1 - 1 / 60
    assert found["high"] == 1.0


def test_where_few_examples_matter_they_widen_the_interval():
    """A rare class: the area under the curve hangs on its few examples."""
    plain, rare = (retraining(Spread(), 0.9, 1000, info_of("roc_auc"), sampling=v) for v in (0.0, 0.025**2))
    assert rare["seed_sd"] > 1.5 * plain["seed_sd"]
    accuracy = 0.9 * 0.1 / 1000  # of a mean over examples it is what the formula has
    same = retraining(Spread(), 0.9, 1000, info_of("accuracy"), sampling=accuracy)
    assert same["seed_sd"] == pytest.approx(retraining(Spread(), 0.9, 1000, info_of("accuracy"))["seed_sd"], rel=0.02)


def test_a_metric_of_the_user_may_have_any_size():
    from autorecipe.data.metrics import own_metric

    def cost(truth, said):
        return 0.0

    with own_metric((cost, "minimize")) as name:
        info = info_of(name, "multiclass")
        small, large = (retraining(spread_between_seeds([], [], v, 100, info), v, 100, info) for v in (3.0, 300.0))
    assert large["seed_sd"] == pytest.approx(100 * small["seed_sd"])
    assert 0 < small["seed_sd"] < 3.0


def test_without_a_decision_the_prior_stands_alone_and_the_reason_says_so():
    spread = spread_between_seeds([], [], 0.9, 100, info_of("accuracy"))
    assert spread == Spread(PRIOR_SEED_SHARE, PRIOR_CHURN["count"])
    assert "prior alone" in explain(spread, 1, 0.1, info_of("accuracy"))
    assert "3 networks" in explain(spread, 3, 0.1, info_of("accuracy"))


def test_what_is_said_of_the_error_is_a_share_of_the_error():
    """Where right and wrong are counted the spread is over error x (1 - error)."""
    assert "by about 10.0% of itself" in explain(Spread(0.1), 1, 0.2, info_of("rmse", "regression"))
    assert "by about 8.0% of itself" in explain(Spread(0.1), 1, 0.2, info_of("accuracy"))


def test_a_perfect_incumbent_does_not_make_the_spread_endless():
    info = info_of("accuracy")
    scores = {"incumbent": (1.0, 1.0), "candidate": (17 / 19, 1.0)}
    found = decision(scores, examples=38)
    spread = spread_between_seeds(evidence_of(found, "accuracy"), [found], 0.98, 100, info)
    assert spread.share < 10
    low = retraining(spread, 0.98, 100, info)["low"]
    assert 0.5 < low < 0.98


def test_what_a_part_adds_to_both_runs_does_not_count():
    info = info_of("accuracy")
    parts = np.asarray([0.0, 0.08, -0.05, 0.02])
    old, new = 0.85 + parts, 0.86 + parts
    evidence = [Evidence(tuple(new - old), 0.0, 0.15, 4, 0.1, "accuracy")]
    scores = {"incumbent": tuple(old), "candidate": tuple(new)}
    spread = spread_between_seeds(evidence, [decision(scores)], 0.9, 1000, info)
    assert spread.share < PRIOR_SEED_SHARE  # the pairs agree
    assert spread.df == 7
    assert (spread.pairs, spread.decisions) == (4, 1)
    assert "4 paired runs of 1 decision," in explain(spread, 1, 0.1, info)


def test_a_convnet_of_few_steps_is_less_certain():
    assert prior_share("image", 250) == 4 * prior_share("image", 1000) == 4 * prior_share("image", 10**6)
    assert prior_share("table", 10) == PRIOR_SEED_SHARE
    assert prior_share("image", 0) < 0.5
    spread = spread_between_seeds([], [], 0.9, 100, replace_record(info_of("accuracy"), modality="image"), 200)
    assert spread.share == 0.2


def test_seeds_of_short_trainings_of_convnets_differ_by_more_than_those_of_the_finish():
    def share(modality, steps, final=2000):
        info = replace_record(info_of("accuracy"), modality=modality)
        evidence = [Evidence((0.05, -0.05, 0.03, -0.04), 0.0, 0.4, 1, 0.0, "accuracy", steps)]
        return spread_between_seeds(evidence, [], 0.9, 1000, info, final).share

    assert share("image", 50) < share("image", 300) < share("image", 2000) == share("image", 0) == share("image", 5000)
    assert share("image", 50, final=50) == share("image", 0, final=50)
    assert share("table", 50) == share("table", 2000)


def test_evidence_in_another_measure_is_left_out():
    wild = Evidence((1.0, -1.0), 0.0, 0.1, 1, 0.0, "log_loss")
    assert spread_between_seeds([wild], [], 0.9, 100, info_of("accuracy")).share == PRIOR_SEED_SHARE


def test_trials_that_are_far_worse_say_nothing_of_the_examples():
    scores = {"incumbent": (0.2, 0.2), "candidate": (0.2, 0.2)}
    spread = spread_between_seeds([], [decision(scores)], 0.99, 1000, info_of("accuracy"))
    assert spread.churn == PRIOR_CHURN["count"]
    near = {"incumbent": (0.98, 0.98), "candidate": (0.98, 0.98)}
    spread = spread_between_seeds([], [decision(near)], 0.99, 1000, info_of("accuracy"))
    assert spread.churn == PRIOR_CHURN["count"] / 2  # no example differed


@pytest.mark.parametrize("power", ["count", "size"])
def test_it_covers_trainings_that_differ_as_those_of_the_decisions_did(power):
    """Short trials with a large error, final models with a third of it, the same share between seeds."""
    random = np.random.default_rng(0)
    metric = "accuracy" if power == "count" else "rmse"
    info, count, share, inside = info_of(metric), 2000, 0.06, 0
    for _ in range(200):
        evidence, decisions = [], []
        for _ in range(3):
            runs = _scores(random, 0.3, share, 500, (2, 4), metric)
            variance = CHURN * 0.3 * 0.7 / 500 / 4 if power == "count" else 0.0
            differences = runs[1] - runs[0] if power == "count" else runs[0] - runs[1]
            evidence.append(Evidence(tuple(differences), variance, 0.3, 4, 0.1, metric))
            scores = {"incumbent": tuple(runs[0]), "candidate": tuple(runs[1])}
            decisions.append(decision(scores, examples=2000, variance=variance, parts=4))
        first, second = _scores(random, 0.1, share, count, (2,), metric)
        found = retraining(spread_between_seeds(evidence, decisions, first, count, info), first, count, info)
        inside += found["low"] <= second <= found["high"]
    assert 0.84 <= inside / 200 <= 0.97


def _scores(random, error, share, count, shape, metric):
    """Scores of trainings whose differences have a share of the error, and of examples right or wrong by chance."""
    if metric == "rmse":
        return error * np.exp(share / math.sqrt(2) * random.normal(size=shape))
    errors = error + share * error * (1 - error) / math.sqrt(2) * random.normal(size=shape)
    churn = math.sqrt(CHURN * error * (1 - error) / 2 / count)
    return 1 - errors + churn * random.normal(size=shape)


@given(count=st.integers(3, 300), right=st.floats(0, 1))
def test_the_accuracy_of_another_sample(count, right):
    hits = round(right * count)
    targets = np.zeros(count, np.int64)
    outputs = np.zeros((count, 2), np.float32)
    outputs[:hits, 0] = outputs[hits:, 1] = 1
    found = another_sample(targets, outputs, hits / count, info_of("accuracy", "binary"))
    assert 0 <= found.low <= hits / count <= found.high <= 1
    assert found.low < found.high


@pytest.mark.parametrize("metric", ["accuracy", "log_loss", "roc_auc", "rmse", "macro_f1"])
def test_another_sample_covers_other_samples(metric):
    from autorecipe.training.evaluate import score

    task = TASKS.get(metric, "binary") if metric != "log_loss" else "binary"
    info, random, inside = info_of(metric, "binary" if task == "multiclass" else task), np.random.default_rng(1), 0

    def sample(count=400):
        if task == "regression":
            values = random.normal(size=count)
            return values.astype(np.float32), (values + 0.5 * random.normal(size=count))[:, None].astype(np.float32)
        targets = random.integers(0, 2, count)
        logits = (2 * targets - 1 + 1.5 * random.normal(size=count))[:, None] * np.asarray([[-0.5, 0.5]])
        return targets, logits.astype(np.float32)

    for _ in range(150):
        (targets, outputs), other = sample(), sample()
        found = another_sample(targets, outputs, score(metric, targets, outputs, info), info)
        inside += found.low <= score(metric, *other, info) <= found.high
    assert 0.82 <= inside / 150 <= 0.98


def test_another_sample_of_too_little():
    info = info_of("roc_auc")
    assert another_sample(np.asarray([0, 1]), np.zeros((2, 2)), 0.5, info) is None
    targets = np.asarray([0, 0, 0, 1])  # a group leaves one class
    assert another_sample(targets, np.random.default_rng(0).normal(size=(4, 2)), 0.5, info) is None
    targets = np.arange(400) % 2
    outputs = np.random.default_rng(0).normal(size=(400, 2))
    assert another_sample(targets, outputs, 0.5, info) is not None
    assert another_sample(targets, outputs, 0.5, info, most_seconds=0.0) is None


def test_a_jackknife_that_is_cut_short_knows_less(monkeypatch):
    from autorecipe.search import score_interval

    info, random = info_of("roc_auc"), np.random.default_rng(0)
    targets, outputs = np.arange(400) % 2, random.normal(size=(400, 2))
    whole = another_sample(targets, outputs, 0.5, info)
    clock = iter(range(100))
    monkeypatch.setattr(score_interval.time, "monotonic", lambda: next(clock))
    short = another_sample(targets, outputs, 0.5, info, most_seconds=7)
    assert 0.4 < (short.high - short.low) / (whole.high - whole.low) < 2.5
    assert short != whole
    assert another_sample(targets, outputs, 0.5, info, most_seconds=3) is None


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_another_sample_of_groups_is_as_uncertain_as_few_draws(metric):
    """Fifty groups of ten equal examples are fifty examples."""
    from autorecipe.training.evaluate import score

    random, info = np.random.default_rng(0), info_of(metric, "binary")
    few = random.random(50) < 0.8
    outputs = np.where(few[:, None], [[0.0, 2.0]], [[2.0, 0.0]])
    targets, groups = np.ones(500, dtype=int), np.repeat(np.arange(50), 10)
    many = np.repeat(outputs, 10, axis=0)
    value = score(metric, targets, many, info)
    alone = another_sample(targets, many, value, info)
    together = another_sample(targets, many, value, info, clusters=groups)
    of_few = another_sample(targets[:50], outputs, value, info)
    assert alone is not None
    assert together is not None
    assert of_few is not None
    assert 5 < together.variance / alone.variance < 20
    assert together.variance == pytest.approx(of_few.variance, rel=0.5)
    assert another_sample(targets, many, value, info, clusters=groups // 13) is None  # four groups say nothing


def test_groups_that_are_all_right_are_no_proof():
    info, targets = info_of("accuracy", "binary"), np.ones(500, dtype=int)
    sure = np.tile([[0.0, 2.0]], (500, 1))
    alone = another_sample(targets, sure, 1.0, info)
    together = another_sample(targets, sure, 1.0, info, clusters=np.repeat(np.arange(50), 10))
    assert alone is not None
    assert together is not None
    assert together.low < alone.low < together.high == 1.0
