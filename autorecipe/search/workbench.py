"""What every part of a search needs at hand: the data, the device, the clock, the run's folder.

Also the facts of a network shape (learning rate, step time, numerics), measured once a shape.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from dataclasses import replace as replace_record
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autorecipe.clock import Budget, Clock
from autorecipe.data import Dataset
from autorecipe.data.metrics import METRICS
from autorecipe.errors import InputError
from autorecipe.networks import build, num_params
from autorecipe.recipe import NetworkSection, Recipe, describe, from_dict, replace, to_dict
from autorecipe.results import LRRange
from autorecipe.rundir import RunDir, read_json, write_json
from autorecipe.search.curves import error_of_constant
from autorecipe.search.planner import end_seconds
from autorecipe.search.space import Space
from autorecipe.training.checkpoint import free_memory
from autorecipe.training.cohort_size import Choice, alone_to_group, choose_members
from autorecipe.training.evaluate import DeviceData
from autorecipe.training.hardware import Hardware, Numerics, time_numerics, time_one, use_threads
from autorecipe.training.loop import Diverged, OutOfMemory, memory_errors, start_session, train
from autorecipe.training.lr_race import FURTHER, MOST_RACERS, RACE_SEEDS, RACERS
from autorecipe.training.lr_range import lr_range_test
from autorecipe.training.optimizers import PRIOR
from autorecipe.training.stack import why_not

RUNGS = (1 / 8, 1 / 4, 1 / 2)
"""Shares of the steps at which a trial is read and may be stopped; all before the cooldown."""
RUNG_EXAMPLES = 1000
"""Examples scored at a rung; the end of a trial is scored on all of val."""
SEEN_EXAMPLES = 500
"""Training examples scored at the end of a trial, for the diagnosis."""
PINNED_MEMBERS, PINNED_PARAMS = 8, 50_000
"""With a budget in epochs no clock may decide: so many trials of a network of at most so many parameters at once."""
RACE_STEPS = 60
"""Steps of each run of a race of learning rates."""
LEAST_STEPS = 25
"""A shape that cannot do so many steps in a trial's share is not tried: not even a run of four times a trial, as in the
race before the final training, would then say where it ends (`curves.SETTLED_STEPS`)."""


@dataclass(frozen=True)
class Limits:
    """Caps on growth; None: no cap."""

    max_width: int | None = None
    max_depth: int | None = None
    max_params: int | None = None


@dataclass
class State:
    """What a resumed run must know; kept in `state.json`."""

    spent_seconds: float = 0.0
    spent_epochs: float = 0.0
    by_stage: dict[str, float] = field(default_factory=dict)
    """Seconds."""
    epochs_by_stage: dict[str, float] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    planned: dict[str, float] = field(default_factory=dict)
    """For the questions (`search`) and the finish, over all parts of the run: the plan keeps its first one's."""
    best_score: float | None = None
    """Search score of the model on disk."""
    test_reads: int = 0
    one_thread: bool = False
    """Whether another process holds the threads up, so that one is used from here on."""
    finish_steps: int | None = None
    """Steps on train after which the final training should end; 0: as many as there is time for; None: not asked."""
    finish_recipe: str | None = None
    """Digest of the recipe that the following were settled for; None: to be settled anew."""
    finish_members: int | None = None
    """Networks that the final training trains at once; None: not asked."""
    finish_units: float | None = None
    """Seconds or epochs of one network that the final training's learning rate was chosen for; None: not yet."""
    finish_calm: bool = False
    """Whether the final training has diverged, and is repeated with a lower rate and clipped gradients."""
    stage: str = ""
    """What is being done now."""


@dataclass(frozen=True)
class Workbench:
    """Handed to every function of the search."""

    run: RunDir
    dataset: Dataset
    data: DeviceData
    hardware: Hardware
    space: Space
    limits: Limits
    budget: Budget
    clock: Clock
    seed: int
    state: State
    storage: Any
    """Optuna's storage, opaque here."""
    say: Callable[..., None]
    """Tell the display and the log: `say("trial", study=..., number=...)`."""
    stop: Callable[[], None]
    """Raises `Stopped` when the user wants to stop."""
    no_cohort: set[str] = field(default_factory=set)
    """Keys of shapes whose cohorts did not fit in memory."""
    too_large: set[str] = field(default_factory=set)
    """Keys of shapes that did not fit in memory at all."""
    before_saving: dict[str, np.ndarray] = field(default_factory=dict)
    """SHA-256 of the weights on disk -> what the model that they are of said in memory (`summary.save_model`)."""

    def rows(self, index: np.ndarray) -> torch.Tensor:
        """Row numbers on the device."""
        return torch.from_numpy(np.ascontiguousarray(index)).to(self.hardware.device)

    @cached_property
    def error_of_constant(self) -> float | None:
        """Error of the best constant prediction; None where the metric has no best value, or says nothing of it."""
        if METRICS[self.dataset.info.metric].best is None:
            return None
        return error_of_constant(self.dataset.info, self.dataset.targets.numpy()[self.dataset.splits.train])

    @property
    def steps_per_epoch(self) -> float:
        """Steps of an epoch of train, with the starting batch size."""
        return max(1.0, len(self.dataset.splits.train) / self.space_batch)

    @property
    def space_batch(self) -> int:
        """The batch size that epochs and step times refer to."""
        return int(self.state.plan.get("batch_size", 128))

    def heartbeat(self) -> None:
        """Keep the time spent, so that a killed run knows what is left."""
        self.state.spent_seconds = self.clock.spent()
        write_json(self.run.state, asdict(self.state))


@contextmanager
def phase(bench: Workbench, name: str) -> Iterator[None]:
    """Book the time of a block on a stage, and its epochs of training."""
    outer, bench.state.stage = bench.state.stage, name
    begin, before = time.monotonic(), bench.state.spent_epochs
    try:
        yield
    finally:
        spent = {"by_stage": time.monotonic() - begin, "epochs_by_stage": bench.state.spent_epochs - before}
        for book, amount in spent.items():
            booked = getattr(bench.state, book)
            booked[name] = booked.get(name, 0.0) + amount
            if outer:  # what is spent inside is not the outer stage's
                booked[outer] = booked.get(outer, 0.0) - amount
        bench.state.stage = outer
        bench.heartbeat()


@dataclass(frozen=True)
class Shape:
    """Facts of one network shape with one optimizer."""

    lr_range: LRRange
    step_seconds: float
    """Seconds of a step at the starting batch size."""
    precision: str
    channels_last: bool
    threads: int
    num_params: int
    reason: str
    members: int = 1
    """Trials that train at once; 1: one after another."""
    further_member: float = 1.0
    """Time that each further member adds to a step, over that of a step alone."""
    cohort_reason: str = ""
    untimed: bool = False
    """Whether trials were too short to time any cohort."""


def shape_key(recipe: Recipe) -> str:
    """What the facts of a shape depend on."""
    return replace(Recipe(), {"network": to_dict(recipe.network), "optimizer.name": recipe.optimizer.name}).digest


def shape_path(bench: Workbench, recipe: Recipe) -> Path:
    """Where the facts of a recipe's shape are kept."""
    return bench.run.artifacts / "shapes" / f"{shape_key(recipe)}.json"


def params_of(bench: Workbench, section: NetworkSection) -> int:
    """Number of parameters of a network, or a very large number if it cannot be built."""
    try:
        return num_params(build(section, Recipe().regularization, bench.dataset.info, 0))
    except (RuntimeError, MemoryError):
        return 2**62


def measure_shape(
    bench: Workbench,
    recipe: Recipe,
    share_seconds: float,
    fallback: float | None = None,
    like: Shape | None = None,
) -> Shape:
    """Step time, numerics and learning rate of a recipe's shape; measured once, then read from the run.

    Args:
        bench: the workbench.
        recipe: its network and optimizer are measured, at the starting batch size.
        share_seconds: one trial's share, in seconds or epochs: the measurements take about as much.
        fallback: learning rate when the range test gives none.
        like: facts of a network of the same width: its precision, layout and threads are taken over, and one short
            sweep is enough.

    Raises:
        OutOfMemory: the shape does not fit in memory; found once, then known.
    """
    path, key = shape_path(bench, recipe), shape_key(recipe)
    if path.exists():
        try:
            shape = from_dict(Shape, read_json(path))
            assert isinstance(shape, Shape)
            return replace_record(shape, members=1, further_member=1.0) if key in bench.no_cohort else shape
        except InputError:
            path.unlink()
    if key in bench.too_large:
        raise OutOfMemory("as found before")
    try:
        with memory_errors():
            shape = _measure(bench, recipe, share_seconds, fallback, like)
    except OutOfMemory:
        free_memory(bench.hardware.device)
        bench.too_large.add(key)
        raise
    write_json(path, shape)
    bench.say(
        "lr_range",
        network=describe(recipe.network),
        lr=shape.lr_range.suggestion,
        reason=shape.lr_range.reason,
        flat=shape.lr_range.flat,
        numerics=shape.reason,
        step_ms=round(shape.step_seconds * 1000, 2),
        params=shape.num_params,
        cohort=shape.cohort_reason,
    )
    return shape


def _measure(
    bench: Workbench, recipe: Recipe, share_seconds: float, fallback: float | None, like: Shape | None
) -> Shape:
    """What `measure_shape` has to find out."""
    recipe = replace(recipe, {"training.batch_size": bench.space_batch})
    rows = bench.rows(bench.dataset.splits.train)
    if bench.budget.timed:
        numerics = _time(bench, recipe, rows, share_seconds, like)
        unit = numerics.step_seconds
    else:  # no clock may decide: the plain numerics
        precision = "fp32" if bench.hardware.precision == "auto" else bench.hardware.precision
        pinned = f"{precision}: {'pinned, since the budget is in epochs' if precision == 'fp32' else 'as asked'}"
        numerics = Numerics(precision, recipe.data.modality == "image", bench.hardware.threads, 0.0, pinned)
        unit = bench.space_batch / len(bench.dataset.splits.train)
    recipe = replace(
        recipe, {"training.precision": numerics.precision, "training.channels_last": numerics.channels_last}
    )
    params = params_of(bench, recipe.network)
    choice = _at_once(bench, recipe, rows, numerics, params, like, TRIALS_TO_TIME * share_seconds)
    found = _lr_range(bench, recipe, rows, choice, share_seconds / unit, like is not None, fallback)
    return Shape(
        found,
        numerics.step_seconds,
        numerics.precision,
        numerics.channels_last,
        numerics.threads,
        params,
        numerics.reason,
        choice.members,
        choice.further,
        choice.reason,
        choice.untimed,
    )


def _lr_range(
    bench: Workbench,
    recipe: Recipe,
    rows: torch.Tensor,
    choice: Choice,
    steps: float,
    short: bool,
    fallback: float | None,
) -> LRRange:
    """The range test that a trial's share of so many steps affords: half of it for sweeps, half for a race.

    Args:
        bench: the workbench.
        recipe: of the shape, with its numerics.
        rows: examples to train on.
        choice: how many train at once.
        steps: of a trial alone.
        short: whether one short sweep is enough.
        fallback: learning rate when the test gives none.
    """
    together = choice.members > 1
    four = alone_to_group(4, choice.further)
    affordable = int(min(0.5 * steps, 4096))
    if short:
        seeds, each = 1, min(40, affordable)
    elif together and affordable >= 24 * four:
        seeds, each = 4, min(80, int(affordable / four))
    else:
        seeds = 2 if affordable >= 100 else 1
        each = min(80, affordable // seeds)
    if each < 24:
        value = fallback or PRIOR[recipe.optimizer.name][recipe.data.modality]
        source = "carried over from the smaller network" if fallback else "the prior"
        return LRRange(value, f"no time for a range test: {source}", flat=True)
    race_seeds = race_rates = 0
    if together and not short:  # half of the share at most
        sizes = [(n, m) for n in (RACE_SEEDS, 2) for m in range(MOST_RACERS, RACERS - 1, -FURTHER)]
        fits = (size for size in sizes if RACE_STEPS * alone_to_group(math.prod(size), choice.further) <= 0.5 * steps)
        race_seeds, race_rates = next(fits, (0, 0))
    found = lr_range_test(
        recipe,
        bench.data,
        rows,
        bench.hardware,
        steps=each,
        seeds=seeds,
        race_steps=RACE_STEPS if race_seeds else 0,
        race_seeds=race_seeds,
        race_rates=race_rates,
        together=together,
        fallback=fallback,
        keep_going=bench.stop,
    )
    bench.state.spent_epochs += found.steps / bench.steps_per_epoch
    return found


def _time(bench: Workbench, recipe: Recipe, rows: torch.Tensor, share_seconds: float, like: Shape | None) -> Numerics:
    sessions: dict[tuple[str, bool], Any] = {}

    def run_steps(precision: str, channels_last: bool, count: int) -> None:
        key = (precision, channels_last)
        if key not in sessions:
            tried = replace(
                recipe,
                {"training.precision": precision, "training.channels_last": channels_last, "training.steps": 10**9},
            )
            session = start_session(tried, bench.data, bench.hardware)
            sessions[key] = train(session, bench.data, rows, look_seconds=0.0, keep_going=bench.stop)
        for _ in range(count):
            try:
                next(sessions[key])
            except Diverged:
                del sessions[key]
                return

    if like is not None:
        use_shape(bench, like)
        return time_one(run_steps, bench.hardware, like.precision, like.channels_last, like.threads)
    return time_numerics(run_steps, bench.dataset.info.modality, bench.hardware, 0.3 * share_seconds)


def _at_once(
    bench: Workbench,
    recipe: Recipe,
    rows: torch.Tensor,
    numerics: Numerics,
    params: int,
    like: Shape | None,
    most_seconds: float,
) -> Choice:
    """How many trials of a shape train at once; a size is not timed where that might take more than `most_seconds`."""
    if not bench.hardware.cohorts:
        return Choice(1, 1.0, "one after another, as asked")
    if like is not None:
        reason = f"{like.members} at once, as in the smaller network" if like.members > 1 else like.cohort_reason
        return Choice(like.members, like.further_member, reason, like.untimed)
    if not bench.budget.timed:
        if params > PINNED_PARAMS:
            return Choice(1, 1.0, "one after another: the network is large")
        problem = why_not([build(recipe.network, recipe.regularization, bench.dataset.info, 0)] * 2)
        if problem is not None:
            return Choice(1, 1.0, f"one after another: {problem}")
        return Choice(PINNED_MEMBERS, 1.0, f"{PINNED_MEMBERS} at once: pinned, since the budget is in epochs")
    alone = numerics.step_seconds
    threads = 1 if bench.state.one_thread else None
    choice = choose_members(recipe, bench.data, rows, bench.hardware, alone, params, most_seconds, bench.stop, threads)
    if choice.members == 1 and bench.hardware.kind == "cpu":
        use_threads(threads or numerics.threads)
    return choice


TRIALS_TO_TIME, TIMING_SHARE = 2.0, 0.04
"""What timing a size of a cohort may take: so many trials' shares, for it is then known for all trials of a width; of a
long run's time this share."""


def at_once_in(bench: Workbench, recipe: Recipe, shape: Shape, seconds: float) -> Shape:
    """Facts of a shape for a longer run of so many seconds: trials may have been too short to time cohorts of it."""
    if not shape.untimed:
        return shape
    use_shape(bench, shape)
    rows = bench.rows(bench.dataset.splits.train)
    recipe = replace(recipe, {"training.batch_size": bench.space_batch})
    numerics = Numerics(shape.precision, shape.channels_last, shape.threads, shape.step_seconds, shape.reason)
    choice = _at_once(bench, recipe, rows, numerics, shape.num_params, None, TIMING_SHARE * seconds)
    shape = replace_record(
        shape,
        members=choice.members,
        further_member=choice.further,
        cohort_reason=choice.reason,
        untimed=choice.untimed,
    )
    write_json(shape_path(bench, recipe), shape)
    return shape


def use_shape(bench: Workbench, shape: Shape, members: int = 1) -> None:
    """Train the next run, or cohort, with the threads that are fastest for its shape."""
    if bench.hardware.kind == "cpu":
        threads = shape.threads if members == 1 else bench.hardware.threads
        use_threads(1 if bench.state.one_thread else threads)


def held_up(bench: Workbench, why: str) -> None:
    """Training takes far longer than planned: go on with one thread, if that may help.

    Threads that wait for each other at every step come to a halt when another process wants a core.
    """
    threads = torch.get_num_threads()
    if bench.hardware.kind == "cpu" and bench.hardware.vary_threads and threads > 1 and bench.budget.timed:
        bench.state.one_thread = True
        use_threads(1)
        bench.say("note", text=f"{why}: another process wants the cores; from here on one thread instead of {threads}")


def carried_lr(suggestion: float, old: NetworkSection, new: NetworkSection) -> float:
    """The learning rate of a smaller network for a larger one of the same family.

    Under Adam the best rate of hidden layers falls as 1 / fan-in (Yang et al. 2022, "Tensor Programs V", table 3),
    that of the first and last hardly at all; one rate for all is taken in between.
    """
    if not old.width or not new.width:
        return suggestion
    return float(suggestion * (old.width / new.width) ** 0.5)


def with_shape(recipe: Recipe, shape: Shape, lr_factor: float) -> Recipe:
    """A recipe with the learning rate and numerics of its shape."""
    return replace(
        recipe,
        {
            "optimizer.lr": float(f"{shape.lr_range.suggestion * lr_factor:.4g}"),
            "training.precision": shape.precision,
            "training.channels_last": shape.channels_last,
        },
    )


def steps_for(bench: Workbench, recipe: Recipe, shape: Shape, units: float) -> int:
    """Steps that fit into a share: seconds for a timed budget, epochs otherwise."""
    if bench.budget.timed:
        # A step's time grows a little less than its batch.
        step = shape.step_seconds * (recipe.training.batch_size / bench.space_batch) ** 0.9
        # Scoring is part of the share: a forward pass of so many examples, at a third of a step each.
        val = len(bench.dataset.splits.val)
        scored = len(RUNGS) * min(RUNG_EXAMPLES, val) + val + SEEN_EXAMPLES
        scoring = scored / 3 / bench.space_batch * shape.step_seconds
        return max(1, int(max(units - scoring, 0.5 * units) / step))
    return max(2, round(units * len(bench.dataset.splits.train) / recipe.training.batch_size))


def epochs_left(bench: Workbench) -> float:
    """Epochs of the budget that are left; 0 for a budget in seconds."""
    return 0.0 if bench.budget.epochs is None else max(0.0, bench.budget.epochs - bench.state.spent_epochs)


def units_left(bench: Workbench) -> float:
    """What is left of the budget for the finish, in its unit; half a second is trained whatever is left."""
    end = end_seconds(bench.budget.seconds)
    return max(0.5, bench.clock.left() - end) if bench.budget.timed else epochs_left(bench)


def epochs_of(bench: Workbench, recipe: Recipe) -> float:
    """Epochs of train that a recipe's steps make."""
    return recipe.training.steps * recipe.training.batch_size / max(1, len(bench.dataset.splits.train))
