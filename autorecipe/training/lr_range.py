"""The learning-rate range test (Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3).

From initialisation the learning rate rises exponentially; the suggestion is where the loss falls
steepest in log lr, well below the largest rate that still works.  One run is noisy: the curve is the
median of several seeds on the same batches.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_record

import numpy as np
import torch
from torch import nn

from autorecipe.data.batches import batch_rows
from autorecipe.recipe import FinishSection, Recipe, replace
from autorecipe.results import LRRange
from autorecipe.training.checkpoint import free_memory
from autorecipe.training.cohort import Cohort, start_cohort, train_cohort
from autorecipe.training.evaluate import DeviceData, loss_of_each, predict
from autorecipe.training.hardware import Hardware
from autorecipe.training.loop import OutOfMemory, out_of_memory, start_session, step_loss
from autorecipe.training.optimizers import set_lr
from autorecipe.training.stack import NotStackable

LOWEST = {"adamw": 1e-5, "sgd": 1e-3}
HIGHEST = {"adamw": 1.0, "sgd": 10.0}
PRIOR = {"adamw": {"image": 3e-3, "table": 5e-3}, "sgd": {"image": 0.1, "table": 0.03}}
"""Learning rates that worked on several data sets, for shapes whose curve says nothing."""
SMOOTHING = 0.85
DIVERGED = 1.5
"""The sweep ends when the smoothed loss is this many times its first value, or not finite."""


def sweep(
    recipe: Recipe,
    data: DeviceData,
    rows: torch.Tensor,
    hardware: Hardware,
    steps: int,
    keep_going: Callable[[], object] = lambda: None,
    order_seed: int | None = None,
) -> tuple[list[float], list[float]]:
    """One run with a rising learning rate: rates and raw losses, cut at divergence.

    `order_seed` is that of the batches and their augmentation; None: the recipe's.
    """
    session = start_session(replace(recipe, {"regularization.averaging": 0.0}), data, hardware)
    session.model.train()
    order_seed = recipe.training.seed if order_seed is None else order_seed
    session.recipe = replace(session.recipe, {"training.seed": order_seed})  # augmentation's too
    rows = rows.to("cpu" if data.streamed else data.targets.device)
    batches = batch_rows(rows, recipe.training.batch_size, order_seed)
    low, high = LOWEST[recipe.optimizer.name], HIGHEST[recipe.optimizer.name]
    lrs, losses = [], []
    smooth = 0.0
    for step in range(steps):
        keep_going()
        lr = low * (high / low) ** (step / max(1, steps - 1))
        set_lr(session.optimizer, lr)
        loss = step_loss(session, data, next(batches))
        value = float(loss.detach())
        if not math.isfinite(value):
            break
        lrs.append(lr)
        losses.append(value)
        smooth = SMOOTHING * smooth + (1 - SMOOTHING) * value
        if smooth / (1 - SMOOTHING ** (step + 1)) > DIVERGED * losses[0]:
            break
        session.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if recipe.optimizer.clip_norm:
            nn.utils.clip_grad_norm_(session.model.parameters(), recipe.optimizer.clip_norm)
        session.optimizer.step()
        session.step += 1
    return lrs, losses


def smoothed(losses: list[float]) -> np.ndarray:
    """Debiased exponential average."""
    out, average = [], 0.0
    for i, loss in enumerate(losses):
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        out.append(average / (1 - SMOOTHING ** (i + 1)))
    return np.array(out)


def steepest(lrs: np.ndarray, losses: np.ndarray) -> float | None:
    """The learning rate of the steepest descent in log lr, below the loss's minimum; None if flat.

    Args:
        lrs: rising, [S].
        losses: smoothed, [S].
    """
    if len(losses) < 8:
        return None
    bottom = int(losses.argmin())
    fall = losses[0] - losses[bottom]
    wiggle = float(np.median(np.abs(np.diff(losses)))) if bottom > 1 else 0.0
    if bottom < 4 or fall < max(0.02 * abs(losses[0]), 3 * wiggle):
        return None
    slope = np.gradient(losses[: bottom + 1], np.log(lrs[: bottom + 1]))
    # The average lags behind the loss by about its window; the point is moved back by half of it.
    lag = round(0.5 / (1 - SMOOTHING))
    at = int(slope.argmin()) - lag
    if at <= 0:  # steepest where nothing is learned yet: noise
        return None
    return float(min(lrs[at], lrs[bottom] / 3))


def sweep_together(
    recipe: Recipe,
    data: DeviceData,
    rows: torch.Tensor,
    hardware: Hardware,
    steps: int,
    seeds: int,
    keep_going: Callable[[], object] = lambda: None,
) -> tuple[list[float], list[list[float]]]:
    """`sweep` with several seeds as one cohort on the same batches: rates, and the raw losses of each seed.

    Raises:
        NotStackable: a layer of the network has no stacked form.
    """
    low, high = LOWEST[recipe.optimizer.name], HIGHEST[recipe.optimizer.name]
    lrs = [low * (high / low) ** (step / max(1, steps - 1)) for step in range(steps)]
    changes = {"optimizer.lr": 1.0, "training.steps": steps, "regularization.averaging": 0.0}
    recipes = [replace(recipe, {**changes, "training.seed": recipe.training.seed + k}) for k in range(seeds)]
    cohort = start_cohort(recipes, data, [rows] * seeds, hardware, order_seed=recipe.training.seed)
    losses: list[list[float]] = [[] for _ in range(seeds)]
    averages = np.zeros(seeds)
    for look in train_cohort(cohort, data, looks=range(1, steps + 1), factors=lrs, keep_going=keep_going):
        if len(look.train_losses) < seeds:
            break
        for kept, value in zip(losses, look.train_losses, strict=True):
            kept.append(value)
        averages = SMOOTHING * averages + (1 - SMOOTHING) * np.array(look.train_losses)
        debiased = averages / (1 - SMOOTHING ** len(losses[0]))
        if any(now > DIVERGED * kept[0] for now, kept in zip(debiased, losses, strict=True)):
            break
    return lrs[: len(losses[0])], losses


@dataclass(frozen=True)
class Race:
    """Runs at constant learning rates."""

    lrs: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]
    """Of each rate, each seed's loss after the cooldown; infinite where it diverged."""
    low: float
    high: float
    """Between them rates are nearly as good as the best."""


SPACING = 2.0
"""Factor between neighbouring rates of a race."""
BELOW, ABOVE = 3, 2
"""Rates of a race below and above the one in its middle: what is looked for lies below rather than above."""
RACERS = BELOW + 1 + ABOVE
RACE_SEEDS = 4
RACE_EXAMPLES = 2000
"""Training examples on which the racers' losses are read."""
TOLERANCE, OF_FALL = 0.3, 0.25
"""Losses whose logarithms differ by this are nearly as good, for after so few steps they have far to go; but it is not
more than this share of what the best run has learned."""


def race(
    recipe: Recipe,
    data: DeviceData,
    rows: torch.Tensor,
    hardware: Hardware,
    around: float,
    steps: int,
    seeds: int = RACE_SEEDS,
    keep_going: Callable[[], object] = lambda: None,
) -> Race | None:
    """Short runs at learning rates around one, each with its cooldown, as one cohort.

    The rates are powers of two times the optimizer's prior, so that another seed races the same ones.  All rates have
    the same first weights and batches with a seed.

    Args:
        recipe: network, optimizer and schedule.
        data: tensors on the device.
        rows: examples to train on, and to read the loss on.
        hardware: the device.
        around: the rate in the middle, up to half a step.
        steps: of each run.
        seeds: runs of each rate.
        keep_going: called before each step; raises to stop.

    Returns:
        What was measured; None if each rate diverged with some seed.

    Raises:
        NotStackable: a layer of the network has no stacked form.
    """
    anchor = PRIOR[recipe.optimizer.name][data.info.modality]
    middle = round(math.log(around / anchor, SPACING))
    lrs = tuple(anchor * SPACING ** (middle + k) for k in range(-BELOW, ABOVE + 1))
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
    return judge_race(lrs, losses.reshape(RACERS, seeds), before)


def _losses_of(
    cohort: Cohort, data: DeviceData, rows: torch.Tensor, keep_going: Callable[[], object]
) -> dict[int, float]:
    """Mean loss of each member on some examples, by its number."""
    plain = replace(cohort.recipes[0], {"finish": FinishSection()})
    try:
        outputs = predict(cohort.readable, data.inputs, rows, plain, keep_going)
    except (MemoryError, RuntimeError) as error:
        if out_of_memory(error):
            raise OutOfMemory(str(error)) from error
        raise
    targets = data.targets[rows.to(data.targets.device)].cpu().numpy()
    each = (loss_of_each(targets, outputs[:, k], data.info).mean() for k in range(len(cohort.numbers)))
    return dict(zip(cohort.numbers, map(float, each), strict=True))


def judge_race(lrs: Sequence[float], losses: np.ndarray, before: float = math.inf) -> Race | None:
    """Where the loss is nearly as low as at the best rate; between two rates on a straight line in log lr and log loss.

    The lowest of these rates is suggested: longer runs want lower rates than short ones, and to the left of the best
    the loss rises so steeply that another seed says the same.

    Args:
        lrs: a geometric grid, rising [R].
        losses: of each rate and seed, infinite where it diverged [R, S].
        before: the loss that all began with.

    Returns:
        None if each rate has diverged with some seed.
    """
    means = np.log(np.maximum(losses, 1e-12)).mean(1)
    if not np.isfinite(means).any():
        return None
    best = int(means.argmin())
    learned = max(0.0, math.log(max(before, 1e-12)) - means[best])
    above = means - means[best] - min(TOLERANCE, OF_FALL * learned)

    def crossing(step: int) -> float:
        k = best
        while 0 <= k + step < len(lrs) and above[k + step] <= 0:
            k += step
        if not 0 <= k + step < len(lrs) or not np.isfinite(above[k + step]):
            return lrs[k]
        share = -above[k] / (above[k + step] - above[k])
        return float(lrs[k] * (lrs[k + step] / lrs[k]) ** share)

    return Race(tuple(lrs), tuple(map(tuple, losses.tolist())), crossing(-1), crossing(1))


def lr_range_test(
    recipe: Recipe,
    data: DeviceData,
    rows: torch.Tensor,
    hardware: Hardware,
    *,
    steps: int = 80,
    seeds: int = 4,
    race_steps: int = 0,
    race_seeds: int = RACE_SEEDS,
    together: bool = True,
    fallback: float | None = None,
    keep_going: Callable[[], object] = lambda: None,
) -> LRRange:
    """Suggest a learning rate for the shape and optimizer of a recipe.

    Args:
        recipe: network and optimizer; its own learning rate is not used.
        data: tensors on the device.
        rows: examples to train on.
        hardware: the device.
        steps: steps of one sweep.
        seeds: sweeps; the curve is their median.
        race_steps: steps of each run of a race around the steepest point; 0: none.
        race_seeds: runs of each of its rates.
        together: whether sweeps train as one program, where the network can be stacked; a race always does.
        fallback: the learning rate when the curve is flat: that of the smaller network, scaled.
        keep_going: called before each step; raises to stop.
    """
    prior = PRIOR[recipe.optimizer.name][data.info.modality]
    lrs, curves = _curves(recipe, data, rows, hardware, steps, seeds, together, keep_going)
    median = np.median(curves, axis=0)
    found = steepest(lrs, median)
    singles = [s for s in (steepest(lrs, curve) for curve in curves) if s is not None]
    told = LRRange(
        suggestion=0.0,
        reason="",
        lrs=tuple(lrs.tolist()),
        losses=tuple(median.tolist()),
        spread=float(np.std(np.log10(singles))) if len(singles) > 1 else 0.0,
        lowest=tuple(curves.min(0).tolist()) if len(lrs) else (),
        highest=tuple(curves.max(0).tolist()) if len(lrs) else (),
        rules=rules_of(lrs, median),
    )
    if found is not None:
        around, source = (
            found,
            f"the steepest descent of {f'the median of {seeds} sweeps' if seeds > 1 else 'one sweep'}",
        )
    else:
        around, source = fallback or prior, "carried over from the smaller network" if fallback else "the prior"
        told = replace_record(told, flat=True)
    if race_steps and found is not None:
        try:
            raced = race(recipe, data, rows, hardware, around, race_steps, race_seeds, keep_going)
        except (NotStackable, OutOfMemory):
            free_memory(hardware.device)
        else:
            if raced is None:
                reason = f"each rate around {around:.2g}, {source}, diverged with some seed"
                return replace_record(told, suggestion=around / SPACING ** (BELOW + 1), reason=reason)
            end = " that was raced" if raced.high == raced.lrs[-1] else ""
            within = f"{raced.low:.2g} is the lowest rate nearly as good as the best, {raced.high:.2g} the highest{end}"
            return replace_record(
                told,
                suggestion=raced.low,
                reason=f"a race of {race_steps} steps around {around:.2g}, {source}; {within}",
                interval=(raced.low, raced.high),
                race_lrs=raced.lrs,
                race_losses=tuple(float(np.mean(row)) for row in raced.losses),
            )
    if told.flat:
        return replace_record(told, suggestion=around, reason=f"the curve is flat, no suggestion: {source}")
    # The factor that Optuna searches reaches from 1/4 to 4: a suggestion further than that from what
    # has worked elsewhere is pulled in, so that the known value can still be tried.
    value = float(np.clip(around, prior / 3, prior * 3))
    note = "" if value == around else f"; the steepest point {around:.2g} was held within 3x of the prior {prior:.2g}"
    return replace_record(told, suggestion=value, reason=f"{source}{note}")


def _curves(
    recipe: Recipe,
    data: DeviceData,
    rows: torch.Tensor,
    hardware: Hardware,
    steps: int,
    seeds: int,
    together: bool,
    keep_going: Callable[[], object],
) -> tuple[np.ndarray, np.ndarray]:
    """Learning rates [S] and the smoothed losses of each seed [R, S], cut at the first divergence."""
    runs: list[list[float]] = []
    lrs: list[float] = []
    order_seed = recipe.training.seed
    if together and seeds > 1:
        try:
            lrs, runs = sweep_together(recipe, data, rows, hardware, steps, seeds, keep_going)
        except (NotStackable, OutOfMemory):
            free_memory(hardware.device)
            runs = []
    if not runs:
        for seed in range(seeds):
            seeded = replace(recipe, {"training.seed": recipe.training.seed + seed})
            found, losses = sweep(seeded, data, rows, hardware, steps, keep_going, order_seed)
            lrs = found if not runs or len(found) < len(lrs) else lrs
            runs.append(losses)
    length = min(len(losses) for losses in runs)
    return np.array(lrs[:length]), np.array([smoothed(losses)[:length] for losses in runs]).reshape(seeds, length)


def rules_of(lrs: np.ndarray, losses: np.ndarray) -> dict[str, float]:
    """What the usual rules read off a curve; those that say nothing are left out.

    `steepest`: ours.  `valley`: half-way along the longest fall (fastai).  `minimum / 10`: Smith 2017, section 3.3.
    """
    if len(lrs) < 8:
        return {}
    found = {"minimum / 10": float(lrs[int(losses.argmin())] / 10)}
    best = steepest(lrs, losses)
    if best is not None:
        found["steepest"] = best
    begin, end = longest_fall(losses)
    if end > begin:
        found["valley"] = float(lrs[begin + (end - begin) // 2])
    return found


def longest_fall(losses: np.ndarray) -> tuple[int, int]:
    """First and last position of the longest falling subsequence."""
    length, before = np.ones(len(losses), int), np.arange(len(losses))
    for i in range(1, len(losses)):
        above = np.flatnonzero(losses[:i] > losses[i])
        if len(above):
            j = above[int(length[above].argmax())]
            length[i], before[i] = length[j] + 1, j
    end = begin = int(length.argmax())
    while before[begin] != begin:
        begin = int(before[begin])
    return begin, end
