"""The learning-rate range test (Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3).

From initialisation the learning rate rises exponentially; the suggestion is where the loss falls
steepest in log lr, well below the largest rate that still works.  One run is noisy: the curve is the
median of several seeds on the same batches.
"""

import math
from collections.abc import Callable
from dataclasses import replace as replace_record

import numpy as np
import torch
from torch import nn

from autorecipe.data.batches import batch_rows
from autorecipe.recipe import Recipe, replace
from autorecipe.results import LRRange
from autorecipe.training.checkpoint import free_memory
from autorecipe.training.cohort import start_cohort, train_cohort
from autorecipe.training.evaluate import DeviceData
from autorecipe.training.hardware import Hardware
from autorecipe.training.loop import OutOfMemory, start_session, step_loss
from autorecipe.training.lr_race import MOST_RACERS, RACE_SEEDS, race
from autorecipe.training.optimizers import PRIOR, set_lr
from autorecipe.training.stack_layers import NotStackable

LOWEST = {"adamw": 1e-5, "sgd": 1e-3}
HIGHEST = {"adamw": 1.0, "sgd": 10.0}
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
    race_rates: int = MOST_RACERS,
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
        race_rates: its rates at most.
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
        steps=curves.size,
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
            raced = race(recipe, data, rows, hardware, around, race_steps, race_seeds, race_rates, keep_going)
        except (NotStackable, OutOfMemory):
            free_memory(hardware.device)
        else:
            told = replace_record(
                told,
                suggestion=raced.low,
                race_lrs=raced.lrs,
                race_losses=tuple(float(np.mean(row)) for row in raced.losses),
                steps=told.steps + race_steps * race_seeds * len(raced.lrs),
            )
            if raced.best is None:
                reason = f"each rate from {raced.lrs[0]:.2g} to {raced.lrs[-1]:.2g} diverged with some seed"
                return replace_record(told, reason=reason)
            end = ", the highest that was raced," if raced.high == raced.lrs[-1] else ""
            within = f"rates from {raced.low:.2g} to {raced.high:.2g}{end} are nearly as good as the best"
            return replace_record(
                told,
                reason=f"a race of {race_steps} steps around {around:.2g}, {source}; {within}",
                interval=(raced.low, raced.high),
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
