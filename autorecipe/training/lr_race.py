"""Short runs at constant learning rates, around the one that a range test suggests: where the loss is nearly lowest."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from autorecipe.recipe import FinishSection, Recipe, replace
from autorecipe.training.cohort import Cohort, start_cohort, train_cohort
from autorecipe.training.evaluate import DeviceData, loss_of_each, predict
from autorecipe.training.hardware import Hardware
from autorecipe.training.loop import memory_errors
from autorecipe.training.optimizers import PRIOR


@dataclass(frozen=True)
class Race:
    """Runs at constant learning rates."""

    lrs: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]
    """Of each rate, each seed's loss after the cooldown; infinite where it diverged."""
    best: float | None
    """The rate with the lowest loss; None if each rate diverged with some seed."""
    low: float
    high: float
    """Between them rates are nearly as good as the best; both are below all rates where there is no best."""


SPACING = 2.0
"""Factor between neighbouring rates of a race."""
BELOW, ABOVE = 3, 2
"""Rates of a race below and above the one in its middle: what is looked for lies below rather than above."""
RACERS = BELOW + 1 + ABOVE
FURTHER, MOST_RACERS = 2, 10
"""Rates by which a race goes on at a time where its best is the last, and rates in all."""
RACE_SEEDS = 4
RACE_EXAMPLES = 2000
"""Training examples on which the racers' losses are read."""
PLATEAU = 2
"""The best rates, the mean of whose log losses is the best loss: the lowest of a few noisy ones is too low."""
NEARLY = 0.25
"""A rate is nearly as good that has all but this share of the fall in log loss, for short runs have far to go."""
INSIDE = 1.6
"""Factor from where a rate begins to be nearly as good to what is suggested: the loss falls steeply there, so that
another seed finds the same place, but it is the edge."""


def race(
    recipe: Recipe,
    data: DeviceData,
    rows: torch.Tensor,
    hardware: Hardware,
    around: float,
    steps: int,
    seeds: int = RACE_SEEDS,
    most: int = MOST_RACERS,
    keep_going: Callable[[], object] = lambda: None,
) -> Race:
    """Short runs at learning rates around one, each with its cooldown, as one cohort.

    The rates are powers of two times the optimizer's prior, so that another seed races the same ones.  All rates have
    the same first weights and batches with a seed.  Where the best rate is the highest or the lowest, or all diverged,
    the race goes on beyond it.

    Args:
        recipe: network, optimizer and schedule.
        data: tensors on the device.
        rows: examples to train on, and to read the loss on.
        hardware: the device.
        around: the rate in the middle, up to half a step.
        steps: of each run.
        seeds: runs of each rate.
        most: rates at most, `RACERS` or more.
        keep_going: called before each step; raises to stop.

    Raises:
        NotStackable: a layer of the network has no stacked form.
    """
    anchor = PRIOR[recipe.optimizer.name][data.info.modality]
    middle = round(math.log(around / anchor, SPACING))
    powers = list(range(middle - BELOW, middle + ABOVE + 1))
    raced: dict[int, np.ndarray] = {}
    before = math.inf
    while True:
        lrs = [anchor * SPACING**power for power in powers]
        losses, before = _run(recipe, data, rows, hardware, lrs, steps, seeds, keep_going)
        raced.update(zip(powers, losses, strict=True))
        low, high = min(raced), max(raced)
        found = judge_race(
            [anchor * SPACING**power for power in sorted(raced)],
            np.array([raced[power] for power in sorted(raced)]),
            before,
        )
        if len(raced) + FURTHER > most:
            return found
        if found.best in (None, found.lrs[0]):
            powers = list(range(low - FURTHER, low))
        elif found.best == found.lrs[-1]:
            powers = list(range(high + 1, high + 1 + FURTHER))
        else:
            return found


def _run(
    recipe: Recipe,
    data: DeviceData,
    rows: torch.Tensor,
    hardware: Hardware,
    lrs: Sequence[float],
    steps: int,
    seeds: int,
    keep_going: Callable[[], object],
) -> tuple[np.ndarray, float]:
    """The losses at the end of each rate and seed, infinite where it diverged [R, S], and the mean before training."""
    seed = recipe.training.seed
    recipes = [
        replace(recipe, {"optimizer.lr": lr, "training.steps": steps, "training.seed": seed + 1 + k})
        for lr in lrs
        for k in range(seeds)
    ]
    read = rows[:: max(1, -(-len(rows) // RACE_EXAMPLES))]
    cohort = start_cohort(recipes, data, [rows] * len(recipes), hardware)
    before = float(np.mean(list(_losses_of(cohort, data, read, keep_going).values())))
    for _ in train_cohort(cohort, data, keep_going=keep_going):
        pass
    losses = np.full(len(recipes), np.inf)
    if cohort.numbers:
        for number, value in _losses_of(cohort, data, read, keep_going).items():
            losses[number] = value if math.isfinite(value) else np.inf
    return losses.reshape(len(lrs), seeds), before


@memory_errors()
def _losses_of(
    cohort: Cohort, data: DeviceData, rows: torch.Tensor, keep_going: Callable[[], object]
) -> dict[int, float]:
    """Mean loss of each member on some examples, by its number."""
    plain = replace(cohort.recipes[0], {"finish": FinishSection()})
    outputs = predict(cohort.readable, data.inputs, rows, plain, keep_going)
    targets = data.targets[rows.to(data.targets.device)].cpu().numpy()
    each = (loss_of_each(targets, outputs[:, k], data.info).mean() for k in range(len(cohort.numbers)))
    return dict(zip(cohort.numbers, map(float, each), strict=True))


def judge_race(lrs: Sequence[float], losses: np.ndarray, before: float) -> Race:
    """Where the loss is nearly as low as at the best rates; between two on a straight line in log lr and log loss.

    The lowest of these rates is suggested: longer runs want lower rates than short ones.

    Args:
        lrs: a geometric grid, rising [R].
        losses: of each rate and seed, infinite where it diverged [R, S].
        before: the loss that all began with.
    """
    told = tuple(lrs), tuple(map(tuple, losses.tolist()))
    means = np.log(np.maximum(losses, 1e-12)).mean(1)
    finite = np.sort(means[np.isfinite(means)])
    if not len(finite):
        return Race(*told, None, lrs[0] / SPACING, lrs[0] / SPACING)
    best, lowest = int(means.argmin()), finite[:PLATEAU].mean()
    level = max(means[best], lowest + NEARLY * max(0.0, math.log(max(before, 1e-12)) - lowest))

    def crossing(step: int) -> tuple[float, bool]:
        k = best
        while 0 <= k + step < len(lrs) and np.isfinite(means[k + step]) and means[k + step] <= level:
            k += step
        if not 0 <= k + step < len(lrs) or not np.isfinite(means[k + step]):
            return lrs[k], False
        share = (level - means[k]) / (means[k + step] - means[k])
        return float(lrs[k] * (lrs[k + step] / lrs[k]) ** share), True

    (low, steep_below), (high, steep_above) = crossing(-1), crossing(1)
    low = min(low * INSIDE, lrs[best]) if steep_below else low
    high = max(high / INSIDE, lrs[best]) if steep_above else high
    return Race(*told, lrs[best], low, high)
