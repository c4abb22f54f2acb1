"""What a question asks: its networks, the points of its search space, and the recipe of each point."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autorecipe.recipe import NetworkSection, Recipe, get, replace
from autorecipe.search.parameters import Parameter
from autorecipe.search.space import LR_FACTOR, StageSpace, varied
from autorecipe.search.workbench import Shape, Workbench, carried_lr, measure_shape, shape_key, steps_for, with_shape

NETWORK = "network"
"""The parameter that chooses between networks, where a question has several."""
FACTOR_LOW, FACTOR_HIGH = 0.25, 4.0
SEEDS = 2


@dataclass(frozen=True)
class Alternative:
    """One network that a question may choose."""

    label: str
    section: NetworkSection


@dataclass(frozen=True)
class Question:
    """One thing asked of the network within a stage."""

    number: int
    stage: str
    slug: str
    text: str
    incumbent: Recipe
    alternatives: tuple[Alternative, ...]
    """Networks to try; the first is the incumbent's own."""
    space: StageSpace
    known: tuple[dict[str, Any], ...]
    """Points to try first, as changes to the incumbent; `network` names an alternative."""
    trials: int
    share: float
    """Compute of one full trial: seconds, or epochs."""
    finish: float
    """Compute of the finish."""
    seeds: int = SEEDS
    """Fresh seeds for the decision; 0: no room, the prior acts."""
    more_seeds: int = 0
    """Fresh seeds more, where those have not decided."""
    risked: bool = False
    """Whether a network is carried on already that is not expected to be better: the race can take one back."""


def parameters_of(bench: Workbench, question: Question) -> list[Parameter]:
    """The search space: ranges and choices, stretched so that they hold the incumbent's own values."""
    parameters = []
    if len(question.alternatives) > 1:
        labels = tuple(a.label for a in question.alternatives)
        parameters.append(Parameter(NETWORK, "categorical", choices=labels))
    for name, values in varied(question.space, bench.dataset.info).items():
        if isinstance(values, Mapping):
            low, high, log = float(values["low"]), float(values["high"]), bool(values.get("log", False))
            if name != LR_FACTOR:
                value = float(get(question.incumbent, name))
                low, high = (min(low, value) if value > 0 or not log else low), max(high, value)
            parameters.append(Parameter(name, "float", low=low, high=high, log=log))
        else:
            choices = list(values)
            if name != LR_FACTOR and get(question.incumbent, name) not in choices:
                choices.append(get(question.incumbent, name))
            parameters.append(Parameter(name, "categorical", choices=tuple(choices)))
    return parameters


def full_point(
    bench: Workbench, question: Question, parameters: Sequence[Parameter], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """A known point with the incumbent's value for every parameter it does not name."""
    point: dict[str, Any] = {}
    for p in parameters:
        if p.name in changes:
            value = changes[p.name]
        elif p.name == NETWORK:
            value = question.alternatives[0].label
        elif p.name == LR_FACTOR:
            value = _own_factor(bench, question)
        else:
            value = get(question.incumbent, p.name)
        if p.kind == "float":
            value = min(max(float(value), p.low), p.high)
        elif value not in p.choices:
            value = get(question.incumbent, p.name)
        point[p.name] = value
    return point


def recipe_of(
    bench: Workbench, question: Question, params: Mapping[str, Any], shapes: dict[str, Shape]
) -> tuple[Recipe, Shape]:
    """The recipe of a trial: the incumbent with the trial's changes, at the trial's share of compute.

    Args:
        bench: the workbench.
        question: of the trial.
        params: the trial's point.
        shapes: facts of the shapes of earlier trials, by key; a new one's are added.
    """
    changes = {name: value for name, value in params.items() if name not in (LR_FACTOR, NETWORK)}
    recipe = replace(question.incumbent, changes)
    own_shape = measure_shape(bench, question.incumbent, question.share)
    factor = float(params.get(LR_FACTOR, _own_factor(bench, question)))
    label = params.get(NETWORK, question.alternatives[0].label)
    section = next(a.section for a in question.alternatives if a.label == label)
    if section != question.incumbent.network:
        embedding = {k: v for k, v in changes.items() if k.startswith("network.")}
        recipe = replace(replace(recipe, {"network": section}), embedding)
    key = shape_key(recipe)
    if key not in shapes:
        carried, like = None, None
        if recipe.optimizer.name == question.incumbent.optimizer.name:
            carried = carried_lr(own_shape.lr_range.suggestion, question.incumbent.network, recipe.network)
            like = own_shape if recipe.network.width == question.incumbent.network.width else None
        shapes[key] = measure_shape(bench, recipe, question.share, carried, like)
    return _at_share(bench, question, recipe, shapes[key], factor), shapes[key]


def incumbent_at_share(bench: Workbench, question: Question) -> Recipe:
    """The incumbent trained for a trial's share."""
    shape = measure_shape(bench, question.incumbent, question.share)
    return _at_share(bench, question, question.incumbent, shape, _own_factor(bench, question))


def _at_share(bench: Workbench, question: Question, recipe: Recipe, shape: Shape, factor: float) -> Recipe:
    recipe = with_shape(recipe, shape, factor)
    steps = steps_for(bench, recipe, shape, question.share)
    return replace(recipe, {"training.steps": steps, "training.seed": bench.seed})


def _own_factor(bench: Workbench, question: Question) -> float:
    """The incumbent's learning rate as a factor on what its shape's range test suggested."""
    shape = measure_shape(bench, question.incumbent, question.share)
    factor = question.incumbent.optimizer.lr / shape.lr_range.suggestion
    return float(np.clip(factor, FACTOR_LOW, FACTOR_HIGH))
