import numpy as np
import pytest

from autorecipe.data.metrics import METRICS
from autorecipe.results import DatasetInfo, TargetScale
from autorecipe.search.decide import mean_variance
from autorecipe.training.evaluate import gain, score
from autorecipe.training.gains import example_gains

MEANS = ("accuracy", "log_loss", "mae", "mean_squared_error", "hamming_loss")


def models(task, count, seed, better=0.5):
    """Targets, and the outputs of a worse and a better model."""
    random = np.random.default_rng(seed)
    if task == "regression":
        truth = random.normal(size=count)
        noise = random.normal(size=(2, count))
        info = DatasetInfo("n", "table", task, "", "", "", {}, target_scale=TargetScale(mean=5.0, std=2.0))
        return truth, (truth + noise[0])[:, None], (truth + noise[0] * 0.5 + noise[1] * 0.5)[:, None], info
    classes = {"binary": 2, "multiclass": 3, "multilabel": 3}[task]
    info = DatasetInfo("n", "table", task, "", "", "", {}, classes=("a", "b", "c")[:classes])
    if task == "multilabel":
        truth = (random.random((count, classes)) < (0.5, 0.3, 0.1)).astype(np.float32)
        signal = 2 * truth - 1
    else:
        truth = random.choice(classes, count, p=((0.8, 0.2), (0.6, 0.3, 0.1))[classes - 2])
        signal = np.eye(classes)[truth] - 0.5
    noise = random.normal(size=(2, count, classes))
    return truth, signal + 1.5 * noise[0], signal * (1 + better) + 1.5 * noise[0] + 0.5 * noise[1], info


CASES = [
    ("accuracy", "binary"),
    ("log_loss", "multiclass"),
    ("macro_f1", "multiclass"),
    ("balanced_accuracy", "binary"),
    ("roc_auc", "binary"),
    ("average_precision", "binary"),
    ("micro_f1", "multilabel"),
    ("hamming_loss", "multilabel"),
    ("accuracy", "multilabel"),
    ("rmse", "regression"),
    ("r2", "regression"),
    ("mae", "regression"),
    ("explained_variance", "regression"),
]


@pytest.mark.parametrize(("metric", "task"), CASES)
def test_the_variance_is_that_of_fresh_examples(metric, task):
    """Over many draws of the scored examples, the gain varies as much as one draw says it does."""
    gains, variances = [], []
    for seed in range(60):
        truth, old, new, info = models(task, 300, seed)
        gains.append(gain(metric, score(metric, truth, new, info), score(metric, truth, old, info)))
        if seed < 15:
            variances.append(mean_variance(example_gains(metric, truth, old, new, info)))
    assert np.sqrt(np.mean(variances)) == pytest.approx(np.std(gains), rel=0.4)


@pytest.mark.parametrize(("metric", "task"), CASES)
def test_the_mean_is_the_gain(metric, task):
    truth, old, new, info = models(task, 300, 0)
    whole = gain(metric, score(metric, truth, new, info), score(metric, truth, old, info))
    found = example_gains(metric, truth, old, new, info)
    exact = metric in MEANS
    assert found.mean() == pytest.approx(whole, rel=1e-6 if exact else 0.25, abs=1e-9 if exact else 0.01)


@pytest.mark.parametrize(("metric", "task"), [(n, t) for n, m in METRICS.items() for t in m.tasks])
def test_every_metric_has_gains(metric, task):
    truth, old, new, info = models(task, 120, 1)
    if METRICS[metric].lowest is not None:
        truth, old, new = np.abs(truth), np.abs(old), np.abs(new)
    found = example_gains(metric, truth, old, new, info)
    assert len(found) > 1
    assert np.isfinite(found).all()
    assert not example_gains(metric, truth, old, old, info).any()


def test_each_model_says_a_class_from_its_own_threshold_on():
    """Two models of equal outputs differ by their thresholds alone."""
    truth, outputs, _, info = models("multilabel", 300, 0)
    said = ((0.5, 0.5, 0.5), (0.2, 0.8, 0.5))
    for metric in ("hamming_loss", "micro_f1"):
        assert mean_variance(example_gains(metric, truth, outputs, outputs, info)) == 0
        values = example_gains(metric, truth, outputs, outputs, info, said)
        assert mean_variance(values) > 0
        before, after = (score(metric, truth, outputs, info, thresholds) for thresholds in said)
        assert values.mean() == pytest.approx(gain(metric, after, before), abs=0.01)


def test_examples_of_one_group_count_as_one_draw():
    """Twenty groups of fifty that are right and wrong together vary as twenty examples do."""
    random = np.random.default_rng(0)
    truth, old, new, info = models("multiclass", 1000, 0)
    groups = np.repeat(np.arange(20), 50)
    new = np.where(random.random(20)[groups][:, None] < 0.5, old, new)
    alone, together = (
        mean_variance(example_gains("accuracy", truth, old, new, info, clusters=c)) for c in (None, groups)
    )
    whole = example_gains("accuracy", truth, old, new, info, clusters=groups)
    assert len(whole) == 20
    assert whole.mean() == pytest.approx(example_gains("accuracy", truth, old, new, info).mean())
    assert together > 1.2 * alone
    one_each = example_gains("accuracy", truth, old, new, info, clusters=np.arange(1000))
    assert mean_variance(one_each) == pytest.approx(alone)
    assert len(example_gains("macro_f1", truth, old, new, info, clusters=groups)) == 20


def test_a_metric_that_hangs_on_one_example_is_uncertain():
    """With a single positive AUC is a lottery; leaving the positive out leaves no AUC at all."""
    random = np.random.default_rng(0)
    truth = np.zeros(120, dtype=np.int64)
    truth[7] = 1
    info = models("binary", 120, 0)[3]
    old, new = (random.normal(size=(120, 2)) for _ in range(2))
    assert np.sqrt(mean_variance(example_gains("roc_auc", truth, old, new, info))) > 0.25
