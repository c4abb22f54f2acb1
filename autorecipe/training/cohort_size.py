"""How many recipes of one network shape train at once here: timed, and what that means for a plan."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from autorecipe.recipe import Recipe, replace
from autorecipe.training.checkpoint import free_memory
from autorecipe.training.cohort import start_cohort, train_cohort
from autorecipe.training.evaluate import DeviceData
from autorecipe.training.hardware import Hardware, synchronize, use_threads
from autorecipe.training.loop import OutOfMemory
from autorecipe.training.stack_layers import NotStackable

SMALL, MIDDLE, LARGE = 8, 16, 32
"""Numbers of members that are timed: the large one only if the small one is much faster than one after another, the
middle one only if the large one is no faster than the small one, or too large."""
FASTER = 0.9
"""A larger cohort is taken where a member's step takes less than this share of what it takes without."""
MUCH_FASTER = 0.5
TIMED_STEPS = 10
HOPELESS = 2.0
"""A first sample that takes so many times what makes a size worth knowing is enough: large networks are slow."""
FEWEST_SAMPLES, MOST_SAMPLES, SAMPLED_SECONDS = 4, 12, 0.05
"""Samples of two steps are taken for so long: a quick network's are many, for they are easily held up."""
SLOW_STEP = 0.03
"""Seconds of a step alone from which on no cohort is timed: such a network keeps the device busy."""

MANY_PARAMS = 400_000
"""On a CPU nothing is gained by a cohort of larger networks, and it takes a second to build."""


@dataclass(frozen=True)
class Choice:
    """How many trials of a shape train at once here."""

    members: int
    """1: one after another."""
    further: float
    """Time that each further member adds to a step, over that of a step alone."""
    reason: str
    untimed: bool = False
    """Whether there was no time to time even the smallest."""


def alone_to_group(count: int, further: float) -> float:
    """What so many runs at once take, in runs alone, if each further member adds such a share of a step."""
    return 1.0 + (count - 1) * further


def choose_members(
    recipe: Recipe,
    data: DeviceData,
    rows: Tensor,
    hardware: Hardware,
    alone: float,
    params: int,
    most_seconds: float = math.inf,
    keep_going: Callable[[], object] = lambda: None,
    threads: int | None = None,
) -> Choice:
    """Time a few steps of cohorts and take what does most steps a second.

    Args:
        recipe: of the shape, with its numerics.
        data: tensors on the device.
        rows: examples to train on.
        hardware: the device.
        alone: seconds of a step alone.
        params: parameters of the network.
        most_seconds: a size is not timed where that might take longer.
        keep_going: called before each timing; raises to stop.
        threads: that cohorts train with; None: all.
    """
    if alone > SLOW_STEP:
        return Choice(1, 1.0, f"one after another: a step of {alone * 1000:.0f} ms keeps the device busy")
    if hardware.kind == "cpu" and params > MANY_PARAMS:
        return Choice(1, 1.0, f"one after another: {params:,} parameters keep the processor busy")
    use_threads(threads or hardware.threads)
    long = replace(recipe, {"training.steps": 10**6})
    best, told, untimed = (1, alone), [f"{alone * 1000:.2f} ms alone"], False
    sizes = [SMALL]
    while sizes:
        members = sizes.pop(0)
        if TIMED_STEPS * members * best[1] > most_seconds:
            told.append(f"no time to time a cohort of {members}")
            untimed = members == SMALL
            continue
        keep_going()
        try:
            cohort = start_cohort([long] * members, data, [rows] * members, hardware)
            steps = train_cohort(cohort, data, looks=range(64))
            each = _step_seconds(steps, hardware, members * best[1]) / members
        except StopIteration:  # all have diverged
            break
        except NotStackable as error:
            return Choice(1, 1.0, f"one after another: {error}")
        except OutOfMemory:
            free_memory(hardware.device)
            continue
        told.append(f"{each * 1000:.2f} ms in a cohort of {members}")
        if each < FASTER * best[1]:
            best = (members, each)
            sizes = []
        if members == SMALL and each <= MUCH_FASTER * alone:
            sizes = [LARGE, MIDDLE]
    members, each = best
    timings = f"a member's step takes {', '.join(told)}"
    if members == 1:
        return Choice(1, 1.0, f"one after another: {timings}", untimed)
    return Choice(members, max(0.0, members * each / alone - 1) / (members - 1), f"{members} at once: {timings}")


def _step_seconds(steps: Iterator[object], hardware: Hardware, worth: float) -> float:
    """Seconds of a step: the least of a few samples, for another process may have held one of them up.

    The first two steps are not timed: they fill memory that the others find filled.
    """
    for _ in range(2):
        next(steps)
    samples: list[float] = []
    while len(samples) < FEWEST_SAMPLES or (len(samples) < MOST_SAMPLES and 2 * sum(samples) < SAMPLED_SECONDS):
        synchronize(hardware.device)
        begin = time.perf_counter()
        for _ in range(2):
            next(steps)
        synchronize(hardware.device)
        samples.append((time.perf_counter() - begin) / 2)
        if samples[0] > HOPELESS * worth:
            break
    return min(samples)
