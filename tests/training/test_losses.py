import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autorecipe.results import DatasetInfo, TargetScale
from autorecipe.training.evaluate import loss_of_each
from autorecipe.training.losses import class_weights, loss_function

EXP = TargetScale(mean=3.0, std=2.0, low=0.0, link="exp")
TASKS = ("binary", "multiclass", "multilabel", "regression", "exp")


def info_of(task, counts=(), **facts):
    names = tuple(map(str, range(len(counts))))
    examples = {"train": 60, "val": 20, "confirm": 20, "test": 7}
    return DatasetInfo("n", "table", task, "", "", "", examples, classes=names, class_counts=tuple(counts), **facts)


def example(task, seed=0, count=30):
    random = np.random.default_rng(seed)
    if task == "exp":
        wanted, times = random.lognormal(0, 1, count), random.lognormal(0, 1, count)
        wanted[::5] = 0.0
        outputs = 3.0 / 2.0 * (times - 1)
        return outputs[:, None], 3.0 / 2.0 * (wanted - 1), info_of("regression", target_scale=EXP)
    classes = {"binary": 2, "multiclass": 4, "multilabel": 3, "regression": 1}[task]
    outputs = random.normal(size=(count, classes), scale=3)
    if task == "regression":
        return outputs, random.normal(size=count), info_of(task)
    info = info_of(task, (10,) * classes)
    if task == "multilabel":
        return outputs, (random.random((count, classes)) < 0.4).astype(float), info
    return outputs, random.integers(0, classes, count), info


@given(st.sampled_from(TASKS), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_the_loss_of_each_is_that_of_training(task, seed):
    outputs, targets, info = example(task, seed)
    trained = loss_function(torch.from_numpy(outputs).float(), torch.as_tensor(targets), info)
    each = loss_of_each(targets, outputs, info)
    assert each.shape == (len(targets),)
    assert (each >= -1e-9).all()
    assert float(trained) == pytest.approx(each.mean(), rel=1e-4)


def test_poisson_deviance_is_scikit_learns_and_zero_at_the_truth():
    from sklearn.metrics import mean_poisson_deviance

    outputs, targets, info = example("exp")
    real, guess = targets * 2 / 3 + 1, outputs[:, 0] * 2 / 3 + 1
    assert loss_of_each(targets, outputs, info).mean() == pytest.approx(mean_poisson_deviance(real, guess) / 2)
    assert loss_of_each(targets, targets[:, None], info)[1:5] == pytest.approx(np.zeros(4), abs=1e-9)


def test_label_smoothing_leaves_the_best_loss_above_zero():
    binary = info_of("binary", (5, 5))
    outputs, targets = torch.tensor([[30.0, -30.0]]), torch.tensor([0])
    assert float(loss_function(outputs, targets, binary)) == pytest.approx(0, abs=1e-6)
    assert float(loss_function(outputs, targets, binary, 0.2)) > 1
    labels = info_of("multilabel", (5, 5))
    assert float(loss_function(outputs, torch.tensor([[1.0, 0.0]]), labels)) == pytest.approx(0, abs=1e-6)
    assert float(loss_function(outputs, torch.tensor([[1.0, 0.0]]), labels, 0.2)) > 1
    assert float(loss_function(torch.tensor([[3.0]]), torch.tensor([1.0]), info_of("regression"), 0.2)) == 4.0


def test_weights_make_classes_count_alike():
    weights = class_weights(info_of("multiclass", (80, 15, 5)), 1.0)
    assert (weights * torch.tensor([80.0, 15.0, 5.0])).tolist() == pytest.approx([100 / 3] * 3, rel=1e-4)
    half = class_weights(info_of("multiclass", (80, 15, 5)), 0.5)
    assert half.tolist() == pytest.approx(weights.sqrt().tolist())
    labels = class_weights(info_of("multilabel", (80, 5, 0)), 1.0)  # of 100 examples
    assert labels.tolist() == pytest.approx([0.25, 19.0, 99.0])


def test_weights_that_are_off_are_none():
    assert class_weights(info_of("multiclass", (80, 15, 5)), 0.0) is None
    assert class_weights(info_of("regression"), 1.0) is None


def test_a_weighted_loss_favours_rare_classes():
    info = info_of("binary", (90, 10))
    weights = class_weights(info, 1.0)
    outputs = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    common_wrong = loss_function(outputs, torch.tensor([0, 0]), info, 0.0, weights)
    alike = loss_function(outputs, torch.tensor([0, 1]), info, 0.0, weights)
    assert float(alike) > float(common_wrong)
