import dataclasses
import math

import numpy as np
import pytest
import torch
from helpers import recipe_for
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from torch import nn

from autorecipe.data.metrics import METRICS
from autorecipe.networks import build
from autorecipe.recipe import FinishSection
from autorecipe.results import DatasetInfo, TargetScale
from autorecipe.training.evaluate import (
    USUAL,
    all_scores,
    direction,
    gain,
    loss_of_each,
    predict,
    probabilities,
    score,
    unscale,
    views,
)

NUMBERS = DatasetInfo("n", "table", "regression", "", "rmse", "", {}, target_scale=TargetScale(mean=50.0, std=4.0))


def classes(count):
    task = "binary" if count == 2 else "multiclass"
    return DatasetInfo("c", "table", task, "", "accuracy", "", {}, classes=tuple(map(str, range(count))))


def drawn(seed, count, outputs):
    random = np.random.default_rng(seed)
    return random.integers(0, outputs, count), random.normal(size=(count, outputs), scale=3).astype(np.float32)


@given(st.integers(0, 10**6), st.integers(2, 60), st.integers(2, 5))
@settings(max_examples=40, deadline=None)
def test_class_metrics_are_scikit_learns(seed, count, outputs):
    truth, logits = drawn(seed, count, outputs)
    truth[:outputs] = np.arange(outputs)[: len(truth)]  # as far as it goes, every class occurs
    if len(np.unique(truth)) < outputs:
        return
    chances = np.exp(logits.astype(np.float64))
    chances /= chances.sum(1, keepdims=True)
    found = all_scores(truth, logits, classes(outputs))
    assert set(found) == {"accuracy", "log_loss", "macro_f1", "roc_auc"}
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, logits.argmax(1)))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(truth, chances, labels=range(outputs)), rel=1e-5)
    assert found["macro_f1"] == pytest.approx(
        metrics.f1_score(truth, logits.argmax(1), average="macro", zero_division=0)
    )
    wanted = (
        metrics.roc_auc_score(truth, chances[:, 1])
        if outputs == 2
        else metrics.roc_auc_score(truth, chances, multi_class="ovr")
    )
    assert found["roc_auc"] == pytest.approx(wanted)


@given(st.integers(0, 10**6), st.integers(2, 60))
@settings(max_examples=40, deadline=None)
def test_regression_metrics_are_scikit_learns_in_the_users_units(seed, count):
    random = np.random.default_rng(seed)
    truth, guess = random.normal(size=count), random.normal(size=(count, 1))
    found = all_scores(truth, guess, NUMBERS)
    real, said = truth * 4 + 50, guess[:, 0] * 4 + 50
    assert found["rmse"] == pytest.approx(metrics.mean_squared_error(real, said) ** 0.5)
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(real, said))
    assert found["r2"] == pytest.approx(metrics.r2_score(real, said))


def test_a_metric_that_says_nothing_of_one_class_is_left_out():
    found = all_scores(np.zeros(9, int), np.random.default_rng(0).normal(size=(9, 2)), classes(2))
    assert set(found) == {"accuracy", "log_loss", "macro_f1"}


def test_roc_auc_where_a_class_is_missing():
    truth, logits = drawn(0, 30, 4)
    truth = truth % 3
    assert 0 <= score("roc_auc", truth, logits, classes(4)) <= 1
    assert math.isnan(score("roc_auc", np.zeros(30, int), logits, classes(4)))


def test_outputs_that_are_not_finite_have_no_score():
    truth, logits = drawn(0, 10, 3)
    logits[3, 1] = np.nan
    assert math.isnan(score("accuracy", truth, logits, classes(3)))


def test_huge_logits_do_not_overflow():
    logits = np.array([[1e5, -1e5], [-1e5, 1e5]], np.float32)
    assert probabilities(logits).tolist() == [[1, 0], [0, 1]]
    assert loss_of_each(np.array([0, 0]), logits, classes(2)).tolist() == [0, 2e5]


def test_unscale_is_the_users_unit():
    assert unscale(np.array([[0.0], [1.0], [-2.0]], np.float32), NUMBERS).tolist() == [50, 54, 42]


def test_directions_and_gains():
    assert all((direction(name) == "maximize") == metric.higher for name, metric in METRICS.items())
    assert gain("accuracy", 0.9, 0.8) == pytest.approx(0.1)
    assert gain("rmse", 0.9, 0.8) == pytest.approx(-0.1)
    assert all(task in METRICS[name].tasks for task, names in USUAL.items() for name in names)


class Sum(nn.Module):
    """Two outputs that depend on the left half of an image alone."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        left = self.dropout(x[..., : x.shape[-1] // 2].float()).sum((1, 2, 3)) * self.scale
        return torch.stack([left, -left], 1)


def image_recipe(**changes):
    from autorecipe.recipe import Recipe, replace

    return replace(Recipe(), {"data.modality": "image", **changes})


def test_predict_puts_the_mode_back_and_drops_nothing_out():
    model = Sum().train()
    images = torch.ones((2500, 1, 2, 4), dtype=torch.uint8)
    found = predict(model, (images,), None, image_recipe())
    assert found.shape == (2500, 2)
    assert (found[:, 0] == 4).all()
    assert model.training
    some = torch.tensor([3, 5])
    assert predict(model.eval(), (images,), some, image_recipe()).shape == (2, 2)
    assert not model.training


def test_temperature_divides_logits_but_no_targets():
    images = torch.ones((3, 1, 2, 4), dtype=torch.uint8)
    hot = predict(Sum(), (images,), None, image_recipe(**{"finish.temperature": 2.0}))
    assert (hot[:, 0] == 2).all()
    numbers = image_recipe(**{"finish.temperature": 2.0, "data.task": "regression"})
    assert (predict(Sum(), (images,), None, numbers)[:, 0] == 4).all()


def test_mirror_images_are_averaged():
    images = torch.zeros((1, 1, 1, 4), dtype=torch.uint8)
    images[..., 0] = 10
    plain = predict(Sum(), (images,), None, image_recipe())
    both = predict(Sum(), (images,), None, image_recipe(**{"finish.flip_tta": True}))
    assert plain[0, 0] == 10
    assert both[0, 0] == 5


def test_shifted_images_are_averaged_with_the_border_repeated():
    images = torch.zeros((1, 1, 4, 4), dtype=torch.uint8)
    images[0, 0, 1, 0] = 10  # at the left border: two of it after a shift to the right
    seen = views(images, FinishSection(shift_tta=1))
    assert [float(view.sum()) for view in seen] == [10, 10, 10, 20, 0]
    assert len(views(images, FinishSection(shift_tta=1, flip_tta=True))) == 10
    assert len(views(images, FinishSection())) == 1


def test_predict_asks_whether_to_go_on_between_batches():
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(Sum(), (torch.ones((3, 1, 2, 4)),), None, image_recipe(), stop)


def test_bf16_predictions_are_floats_near_the_plain_ones(digits):
    recipe = recipe_for(digits)
    model = build(recipe.network, recipe.regularization, digits.info, 0)
    plain = predict(model, digits.inputs, None, recipe)
    half = dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, precision="bf16"))
    found = predict(model, digits.inputs, None, half)
    assert found.dtype == np.float32
    assert (found != plain).any()
    assert np.abs(found - plain).max() < 0.05
