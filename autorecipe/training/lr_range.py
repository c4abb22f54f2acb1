"""The learning-rate range test (Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3).

From initialisation the learning rate rises exponentially; the suggestion is where the loss falls
steepest in log lr, well below the largest rate that still works.  One run is noisy: the curve is the
median of several seeds on the same batches.
"""

import math
from collections.abc import Callable

import numpy as np
import torch

from autorecipe.data.batches import batch_rows
from autorecipe.recipe import Recipe, replace
from autorecipe.results import LRRange
from autorecipe.training.evaluate import DeviceData
from autorecipe.training.hardware import Hardware
from autorecipe.training.loop import start_session, step_loss
from autorecipe.training.optimizers import set_lr

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
) -> tuple[list[float], list[float]]:
    """One run with a rising learning rate: rates and raw losses, cut at divergence."""
    session = start_session(replace(recipe, {"regularization.averaging": 0.0}), data, hardware)
    session.model.train()
    batches = batch_rows(rows.to(data.targets.device), recipe.training.batch_size, 0)
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


def lr_range_test(
    recipe: Recipe,
    data: DeviceData,
    rows: torch.Tensor,
    hardware: Hardware,
    *,
    steps: int = 80,
    seeds: int = 2,
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
        fallback: the learning rate when the curve is flat: that of the smaller network, scaled.
        keep_going: called before each step; raises to stop.
    """
    prior = PRIOR[recipe.optimizer.name][data.info.modality]
    runs = []
    for seed in range(seeds):
        seeded = replace(recipe, {"training.seed": recipe.training.seed + seed})
        runs.append(sweep(seeded, data, rows, hardware, steps, keep_going))
    length = min(len(losses) for _, losses in runs)
    lrs = np.array(runs[0][0][:length])
    curves = [smoothed(losses)[:length] for _, losses in runs]
    median = np.median(curves, axis=0) if length else np.zeros(0)
    found = steepest(lrs, median)
    singles = [s for s in (steepest(lrs, curve) for curve in curves) if s is not None]
    spread = float(np.std(np.log10(singles))) if len(singles) > 1 else 0.0
    kept = (tuple(lrs.tolist()), tuple(median.tolist()))
    if found is None:
        value = fallback or prior
        source = "carried over from the smaller network" if fallback else "the prior"
        return LRRange(value, f"the curve is flat, no suggestion: {source}", *kept, spread=spread, flat=True)
    # The factor that Optuna searches reaches from 1/4 to 4: a suggestion further than that from what
    # has worked elsewhere is pulled in, so that the known value can still be tried.
    value = float(np.clip(found, prior / 3, prior * 3))
    note = "" if value == found else f"; the steepest point {found:.2g} was held within 3x of the prior {prior:.2g}"
    curve = f"the median of {seeds} sweeps" if seeds > 1 else "one sweep"
    return LRRange(value, f"steepest descent of {curve}{note}", *kept, spread=spread)
