"""Every metric against scikit-learn's scorer of the same name."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import get_scorer

from autorecipe.data.metrics import METRICS, SCORERS, own_metric
from autorecipe.data.targets import to_scale
from autorecipe.errors import InputError
from autorecipe.results import DatasetInfo, TargetScale
from autorecipe.training.evaluate import decide_classes, probabilities, score, unscale

NAMES = {ours: theirs for theirs, ours in SCORERS.items()}
CASES = [
    (name, task)
    for name, metric in METRICS.items()
    for task in metric.tasks
    if name not in ("hamming_loss", "log_loss")  # scikit-learn has no such scorer, or sums over labels
]


class Said(ClassifierMixin, BaseEstimator):
    """Predicts what it was given."""

    def __init__(self, said=None, chances=None):
        self.said, self.chances = said, chances

    def fit(self, X, y):
        self.classes_ = np.unique(y) if y.ndim == 1 else [np.arange(2)] * y.shape[1]
        return self

    def predict(self, X):
        return self.said

    def predict_proba(self, X):
        return self.chances


class Values(RegressorMixin, BaseEstimator):
    def __init__(self, said=None):
        self.said = said

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        return self.said


def info_of(task, count=0):
    return DatasetInfo("n", "table", task, "", "", "", {}, classes=tuple(f"c{i}" for i in range(count)))


def example(task, seed, count=60):
    """Targets, outputs and facts."""
    random = np.random.default_rng(seed)
    if task == "regression":
        scale = TargetScale(mean=3.0, std=2.0, low=0.0)
        truth = random.lognormal(0, 1, count)
        info = DatasetInfo("n", "table", task, "", "", "", {}, target_scale=scale)
        return (truth - 3.0) / 2.0, ((truth + random.normal(size=count) - 3.0) / 2.0)[:, None], info
    classes = {"binary": 2, "multiclass": 4, "multilabel": 3}[task]
    outputs = random.normal(size=(count, classes)).astype(np.float32)
    if task == "multilabel":
        return (random.random((count, classes)) < 0.4).astype(np.float32), outputs, info_of(task, classes)
    truth = random.integers(0, classes, count)
    truth[:classes] = np.arange(classes)
    return truth, outputs, info_of(task, classes)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_it_is_scikit_learns(name, task):
    for seed in range(3):
        truth, outputs, info = example(task, seed)
        found = score(name, truth, outputs, info)
        theirs = NAMES.get(name, name)
        scorer = get_scorer(
            {"macro_f1": "f1_macro", "micro_f1": "f1_micro", "roc_auc": "roc_auc_ovr"}.get(name, theirs)
        )
        if task == "regression":
            real = truth * 2 + 3
            guess = np.maximum(outputs[:, 0] * 2 + 3, 0)
            if "deviance" in name:
                guess = np.maximum(guess, 1e-6 * real.mean())
            estimator = Values(guess).fit(real[:, None], real)
            wanted = scorer(estimator, real[:, None], real)
        else:
            chances = probabilities(outputs, task)
            said = decide_classes(outputs, task)
            said = said.astype(int)
            estimator = Said(said, chances).fit(truth, truth)
            if task == "multilabel" and name in ("roc_auc", "average_precision"):
                from sklearn import metrics

                wanted = getattr(metrics, f"{name}_score")(truth, chances)
            else:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # divisions by zero
                    wanted = scorer(estimator, truth, truth.astype(int))
        assert found == pytest.approx(wanted if METRICS[name].higher else -wanted, rel=1e-6, abs=1e-9), seed


@pytest.mark.parametrize("name", ["mean_poisson_deviance", "mean_gamma_deviance"])
def test_targets_that_rounding_left_below_zero_have_a_deviance(name):
    below = []
    for seed in range(20):
        real = np.random.default_rng(seed).poisson(2.0, 60).astype(float) + 1e-9 * (name == "mean_gamma_deviance")
        scale = TargetScale(mean=real.mean(), std=real.std(), low=0.0)
        info = DatasetInfo("n", "table", "regression", "", "", "", {}, target_scale=scale)
        truth = to_scale(real, scale).astype(np.float32)
        below.append(unscale(truth, info).min() < 0)
        assert np.isfinite(score(name, truth, np.zeros((60, 1), np.float32), info))
    assert any(below)  # or nothing was tested


@pytest.mark.parametrize(("name", "task"), [(n, t) for n, m in METRICS.items() for t in m.tasks])
def test_a_perfect_model_has_the_best_value(name, task):
    truth, outputs, info = example(task, 0)
    if task == "regression":
        perfect = truth[:, None]
    elif task == "multilabel":
        perfect = 100 * (truth - 0.5)
        if name.endswith("_samples"):  # an example without labels scores 0 whatever is said of it
            perfect, truth = perfect[truth.any(1)], truth[truth.any(1)]
    else:
        perfect = 100.0 * np.eye(outputs.shape[1])[truth]
    assert score(name, truth, perfect, info) == pytest.approx(METRICS[name].best, abs=1e-6)


@given(st.integers(0, 10**6), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_labels_and_thresholds(seed, count):
    from sklearn import metrics

    truth, outputs, info = example("multilabel", seed, count)
    chances = probabilities(outputs, "multilabel")
    assert chances == pytest.approx(1 / (1 + np.exp(-outputs.astype(float))))
    thresholds = (0.2, 0.5, 0.9)
    said = chances >= np.asarray(thresholds)
    assert score("hamming_loss", truth, outputs, info, thresholds) == pytest.approx(metrics.hamming_loss(truth, said))
    assert score("accuracy", truth, outputs, info, thresholds) == pytest.approx((truth == said).all(1).mean())
    losses = -np.where(truth > 0, np.log(chances), np.log(1 - chances))
    assert score("log_loss", truth, outputs, info) == pytest.approx(losses.mean())


def test_a_threshold_on_the_second_of_two_classes():
    outputs = np.log(np.asarray([[0.9, 0.1], [0.7, 0.3], [0.4, 0.6]]))
    assert decide_classes(outputs, "binary").tolist() == [0, 0, 1]
    assert decide_classes(outputs, "binary", (0.25,)).tolist() == [0, 1, 1]
    assert score("recall", np.asarray([0, 1, 1]), outputs, info_of("binary", 2), (0.25,)) == 1


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "regression"])
def test_a_users_function_gets_the_users_terms(task):
    truth, outputs, info = example(task, 0)
    seen = []

    def mine(y_true, y_pred):
        seen.append((y_true, y_pred))
        return len(y_true)

    with own_metric(mine) as name:
        assert score(name, truth, outputs, info) == len(truth)
    y_true, y_pred = seen[0]
    assert y_true.shape == y_pred.shape
    if task == "regression":
        assert y_true == pytest.approx(truth * 2 + 3)
        assert (y_pred >= 0).all()
    elif task == "multilabel":
        assert y_true.tolist() == truth.astype(int).tolist()
    else:
        assert set(y_true) | set(y_pred) <= set(info.classes)


@pytest.mark.parametrize("answer", [None, "good", [1, 2]])
def test_a_function_that_gives_no_number_is_an_input_error(answer):
    truth, outputs, info = example("binary", 0)
    with own_metric(lambda y_true, y_pred: answer) as name, pytest.raises(InputError, match=r"f\(y_true, y_pred\)"):
        score(name, truth, outputs, info)


@pytest.mark.parametrize("name", ["roc_auc", "roc_auc_ovo", "roc_auc_ovr_weighted", "roc_auc_ovo_weighted"])
def test_two_of_three_classes_in_a_split_have_a_rank_metric(name):
    outputs = np.log([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.2, 0.7, 0.1], [0.1, 0.6, 0.3]])
    assert score(name, np.asarray([0, 0, 1, 1]), outputs, info_of("multiclass", 3)) == 1.0
