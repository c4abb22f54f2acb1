"""What is added to a trained model: test-time augmentation, a temperature, thresholds; each only if it helps."""

import time

import numpy as np
import torch

from autorecipe.data.metrics import gain
from autorecipe.networks.ensemble import Ensemble
from autorecipe.recipe import Recipe, load_recipe, replace
from autorecipe.search.summary import keeps_confirm, load_model
from autorecipe.search.thresholds import choose_thresholds, worth_choosing
from autorecipe.search.workbench import Workbench
from autorecipe.training.calibrate import temperature
from autorecipe.training.evaluate import predict, score

LAST_SECONDS = 1.5
"""Kept for saving, the last scores of a small data set, and the process's own end."""


def polish(bench: Workbench, recipe: Recipe, model: torch.nn.Module) -> tuple[Recipe, torch.nn.Module]:
    """Several members, test-time augmentation, a temperature and thresholds, each only if it helped on confirm.

    Returns:
        The recipe with what helped, and the model: the first of several members if together they are no better.
    """
    confirm = bench.dataset.splits.confirm
    info = bench.dataset.info
    if not keeps_confirm(bench, recipe) or (bench.budget.timed and bench.clock.left() < LAST_SECONDS):
        return recipe, model
    rows, truth = bench.rows(confirm), bench.dataset.targets.numpy()[confirm]
    begin = time.monotonic()
    outputs = predict(model, bench.data.inputs, rows, recipe, bench.stop)
    one_view = time.monotonic() - begin
    if isinstance(model, Ensemble):
        recipe, model, outputs = _together(bench, recipe, model, outputs)
    for name, changes in test_time_augmentations(recipe):
        tried = replace(recipe, changes)
        # Predictions of confirm now, of confirm and test at the end.
        seconds = one_view * num_views(tried) * (2 + len(bench.dataset.splits.test) / len(confirm))
        if bench.budget.timed and bench.clock.left() < 1.2 * seconds + LAST_SECONDS:
            bench.say("note", text=f"no time to try {name} at test time")
            continue
        averaged = predict(model, bench.data.inputs, rows, tried, bench.stop)
        better = score(info.metric, truth, averaged, info), score(info.metric, truth, outputs, info)
        if gain(info.metric, *better) > 0:
            bench.say("note", text=f"{name} at test time help on confirm: {better[1]:.4g} -> {better[0]:.4g}")
            recipe, outputs = tried, averaged
    if info.task != "regression":
        found = temperature(truth, outputs, info)
        recipe = replace(recipe, {"finish.temperature": found})
        recipe = with_thresholds(bench, recipe, truth, outputs / found)
    return recipe, model


def _together(
    bench: Workbench, recipe: Recipe, model: Ensemble, outputs: np.ndarray
) -> tuple[Recipe, torch.nn.Module, np.ndarray]:
    """The members if together they are better on confirm than one of them is on average, else the first."""
    confirm, info = bench.dataset.splits.confirm, bench.dataset.info
    rows, truth = bench.rows(confirm), bench.dataset.targets.numpy()[confirm]
    each = [predict(member, bench.data.inputs, rows, recipe, bench.stop) for member in model.members]
    alone = float(np.mean([score(info.metric, truth, one, info) for one in each]))
    together = score(info.metric, truth, outputs, info)
    helped = gain(info.metric, together, alone) > 0
    word = "help" if helped else "do not help"
    text = f"{len(each)} networks together {word} on confirm: {alone:.4g} -> {together:.4g}"
    bench.say("note", text=text)
    if helped:
        return recipe, model, outputs
    return replace(recipe, {"finish.members": 1}), model.members[0], each[0]


def with_thresholds(bench: Workbench, recipe: Recipe, targets: np.ndarray, outputs: np.ndarray) -> Recipe:
    """The recipe with the thresholds that help on held-out examples, if any do."""
    found, why = choose_thresholds(targets, outputs, bench.dataset.info)
    if found:
        bench.say("note", text=why)
    return replace(recipe, {"finish.thresholds": found})


def thresholds_of_search(bench: Workbench, recipe: Recipe) -> Recipe:
    """The recipe with thresholds for data without a confirm split, before the final training takes val for itself.

    They are chosen on val, for the best model of the search, which has not seen it.  Where the saved model is a
    final one, its thresholds are kept.
    """
    if len(bench.dataset.splits.confirm) or not worth_choosing(bench.dataset.info):
        return recipe
    if not (bench.run.weights.exists() and bench.run.recipe.exists()):
        return recipe
    saved = load_recipe(bench.run.recipe)
    if saved.training.train_on != "train":
        return replace(recipe, {"finish.thresholds": saved.finish.thresholds})
    val = bench.dataset.splits.val
    outputs = predict(load_model(bench, saved), bench.data.inputs, bench.rows(val), saved, bench.stop)
    return with_thresholds(bench, recipe, bench.dataset.targets.numpy()[val], outputs)


def test_time_augmentations(recipe: Recipe) -> list[tuple[str, dict[str, int | bool]]]:
    """What the network was trained to bear: shifts and mirror images."""
    found: list[tuple[str, dict[str, int | bool]]] = []
    if recipe.regularization.crop:
        found.append(("shifted images", {"finish.shift_tta": 1}))
    if recipe.regularization.flip:
        found.append(("mirror images", {"finish.flip_tta": True}))
    return found


def num_views(recipe: Recipe) -> int:
    """Predictions that are averaged for one image."""
    return (5 if recipe.finish.shift_tta else 1) * (2 if recipe.finish.flip_tta else 1)
