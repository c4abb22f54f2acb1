"""Training runs of a search: a recipe, or a cohort of them, read at rungs and scored; and one decision run."""

import itertools
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replace_record
from pathlib import Path
from typing import TypeVar

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import nn

from autorecipe.networks import num_params
from autorecipe.recipe import Recipe, replace
from autorecipe.results import CurvePoint, TrainResult
from autorecipe.rundir import atomic
from autorecipe.search.workbench import RUNG_EXAMPLES, RUNGS, SEEN_EXAMPLES, Workbench, held_up, shape_key
from autorecipe.training.checkpoint import free_memory, save_weights
from autorecipe.training.cohort import cohort_key, start_cohort, train_cohort
from autorecipe.training.cohort_size import alone_to_group
from autorecipe.training.evaluate import loss_of_each, predict, score
from autorecipe.training.loop import Diverged, OutOfMemory, memory_errors, start_session, train
from autorecipe.training.stack_layers import NotStackable

WEIGHTS = ".weights.safetensors"
"""Ends the name of the file with a decision run's weights."""
MOST_SEEDS = 8
"""No question has more decision seeds."""


@dataclass(frozen=True)
class Reading:
    """A score of a running trial."""

    rung: int
    score: float
    loss: float


@dataclass(frozen=True)
class Outcome:
    """How a training run ended."""

    result: TrainResult
    model: nn.Module | None = None
    """The trained network with the weights that were scored, if the run completed."""
    outputs: np.ndarray | None = None
    """Its outputs [N, O] on the held-out examples."""


class _Judge:
    """What runs are scored on: held-out examples, a sample of them at rungs, and examples that were trained on."""

    def __init__(self, bench: Workbench, train_rows: np.ndarray, score_rows: np.ndarray) -> None:
        self.info = bench.dataset.info
        self.train = bench.rows(train_rows)
        self.all = bench.rows(score_rows)
        self.few = self.all[:: max(1, -(-len(self.all) // RUNG_EXAMPLES))]
        self.seen = self.train[:: max(1, -(-len(self.train) // SEEN_EXAMPLES))]
        targets = bench.dataset.targets.numpy()
        self._targets = {which: targets[getattr(self, which).cpu().numpy()] for which in ("all", "few", "seen")}
        if self.info.task == "binary" and len(np.unique(self._targets["few"])) < 2:  # a sample may miss a rare class
            self.few, self._targets["few"] = self.all, self._targets["all"]

    def measure(self, which: str, outputs: np.ndarray, recipe: Recipe) -> tuple[float, float]:
        """Score and loss of outputs for `all`, `few` or `seen` examples."""
        targets = self._targets[which]
        value = score(self.info.metric, targets, outputs, self.info, recipe.finish.thresholds)
        return value, float(loss_of_each(targets, outputs, self.info).mean())


@dataclass
class _Record:
    """What is known of a run so far."""

    recipe: Recipe
    params: int = 0
    steps: int = 0
    seconds: float = 0.0
    curve: list[CurvePoint] = field(default_factory=list)

    def ended(
        self,
        state: str,
        reason: str = "",
        read: tuple[float | None, float | None] = (None, None),
        seen: tuple[float | None, float | None] = (None, None),
    ) -> TrainResult:
        """How it ended; `read` and `seen` are score and loss on held-out examples and on those trained on."""
        return TrainResult(state, self.steps, self.seconds, *read, *seen, self.params, tuple(self.curve), reason)

    def pruned(self, read: tuple[float, float]) -> TrainResult:
        """It was stopped at a rung."""
        steps = self.recipe.training.steps
        return self.ended("pruned", f"stopped at step {self.steps} of {steps}: among the worse half at this rung", read)

    def no_time(self) -> TrainResult:
        """It was one of many, and their time is over."""
        return self.ended("stopped", "the time for these trials is over")

    def not_finite(self) -> TrainResult:
        """Its predictions are not finite."""
        return self.ended("diverged", f"the predictions were not finite after {self.steps} steps")

    def no_score(self, metric: str, read: tuple[float, float]) -> TrainResult:
        """A user's metric may divide by zero; no comparison with such a score would say anything."""
        return self.ended("pruned", f"{metric} is {read[0]} after {self.steps} steps", (None, read[1]))


def rungs_of(recipe: Recipe) -> list[int]:
    """Steps at which a run is read and may be stopped."""
    return sorted({max(1, round(share * recipe.training.steps)) for share in RUNGS})


def run_recipe(
    bench: Workbench,
    recipe: Recipe,
    train_rows: np.ndarray,
    score_rows: np.ndarray,
    *,
    at_rung: Callable[[Reading], bool] = lambda reading: False,
    deadline: float = math.inf,
    at_most: float = math.inf,
) -> Outcome:
    """Train a recipe for its steps and score it.

    Args:
        bench: the workbench.
        recipe: its `training.steps` are run.
        train_rows: examples to train on.
        score_rows: examples to score on, never among `train_rows`.
        at_rung: told each rung's reading; True stops the run.
        deadline: seconds after which the run is given up: something holds the machine up.
        at_most: seconds that there are for it, which may be less.
    """
    begin = time.monotonic()
    judge, record, rungs = _Judge(bench, train_rows, score_rows), _Record(recipe), rungs_of(recipe)

    def keep_going() -> None:
        bench.stop()
        if time.monotonic() - begin > min(deadline, at_most):
            raise TimeoutError

    def ended(result: TrainResult) -> Outcome:
        return Outcome(_at(result, begin))

    try:
        with memory_errors():
            session = start_session(recipe, bench.data, bench.hardware)
            record.params = num_params(session.model)
            for look in train(session, bench.data, judge.train, looks=rungs, keep_going=keep_going):
                last = look.step >= recipe.training.steps
                which = "all" if last else "few"
                outputs = predict(session.readable, bench.data.inputs, getattr(judge, which), recipe, bench.stop)
                read = judge.measure(which, outputs, recipe)
                record.steps = look.step
                record.curve.append(CurvePoint(look.step, look.seconds, look.lr, look.train_loss, *read))
                if not math.isfinite(read[1]):
                    return ended(record.not_finite())
                if last and not math.isfinite(read[0]):
                    return ended(record.no_score(judge.info.metric, read))
                if not last and at_rung(Reading(rungs.index(look.step), *read)):
                    return ended(record.pruned(read))
            seen = predict(session.readable, bench.data.inputs, judge.seen, recipe, bench.stop)
    except Diverged as error:
        record.steps = session.step
        return ended(record.ended("diverged", str(error)))
    except OutOfMemory as error:
        free_memory(bench.hardware.device)
        record.steps = record.params = 0
        return ended(record.ended("out_of_memory", f"the network and its batch do not fit in memory: {error}"))
    except TimeoutError:
        record.steps = session.step
        return ended(record.no_time() if at_most < deadline else _held_up(bench, record, deadline))
    result = record.ended("complete", "", read, judge.measure("seen", seen, recipe))
    return Outcome(_at(result, begin), session.readable, outputs)


def _at(result: TrainResult, begin: float) -> TrainResult:
    return replace_record(result, seconds=time.monotonic() - begin)


def _held_up(bench: Workbench, record: _Record, deadline: float) -> TrainResult:
    held_up(bench, "a trial took more than twice its share")
    return record.ended("stopped", f"took longer than {deadline:.1f} s, twice its share")


def run_cohort(
    bench: Workbench,
    recipes: Sequence[Recipe],
    train_rows: Sequence[np.ndarray],
    score_rows: Sequence[np.ndarray],
    *,
    at_rung: Callable[[Mapping[int, Reading]], Collection[int]] = lambda readings: (),
    deadline: float = math.inf,
) -> list[Outcome]:
    """Train recipes that share a cohort's key as one program; the rest is as in `run_recipe`.

    A member's seconds are its part of the cohort's: they add up to the time it took.

    Args:
        bench: the workbench.
        recipes: one a member.
        train_rows: of each member, examples to train on; the same array for those that train on the same.
        score_rows: of each member, examples to score on.
        at_rung: told each rung's readings by member; the members that it returns are stopped.
        deadline: seconds after which the cohort is given up.

    Raises:
        OutOfMemory: the cohort does not fit.
        NotStackable: a layer of the network has no stacked form.
    """
    begin = mark = time.monotonic()
    first, rungs = recipes[0], rungs_of(recipes[0])
    judges: dict[tuple[int, int], _Judge] = {}
    of_member = []
    for train_on, score_on in zip(train_rows, score_rows, strict=True):
        key = (id(train_on), id(score_on))
        if key not in judges:
            judges[key] = _Judge(bench, train_on, score_on)
        of_member.append(judges[key])
    records = [_Record(recipe) for recipe in recipes]
    results: dict[int, TrainResult] = {}
    outcomes: dict[int, Outcome] = {}

    def keep_going() -> None:
        bench.stop()
        if time.monotonic() - begin > deadline:
            raise TimeoutError

    def charge(members: Sequence[int]) -> None:
        nonlocal mark
        now = time.monotonic()
        for number in members:
            records[number].seconds += (now - mark) / len(members)
        mark = now

    def outputs_of(which: str, members: Sequence[int]) -> dict[int, np.ndarray]:
        """Outputs of members, each on its own examples; examples that several have are looked at once."""
        found: dict[int, np.ndarray] = {}
        for judge in dict.fromkeys(of_member[number] for number in members):
            made = predict(cohort.readable, bench.data.inputs, getattr(judge, which), first, bench.stop)
            mine = [number for number in members if of_member[number] is judge]
            found |= {number: np.ascontiguousarray(made[:, cohort.numbers.index(number)]) for number in mine}
        return found

    cohort = start_cohort(recipes, bench.data, [judge.train for judge in of_member], bench.hardware)
    params = num_params(cohort.stack) // len(recipes)
    for record in records:
        record.params = params
    try:
        for look in train_cohort(cohort, bench.data, looks=rungs, keep_going=keep_going):
            last = look.step >= first.training.steps
            members, which = list(cohort.numbers), "all" if last else "few"
            outputs = outputs_of(which, members)
            read = {n: of_member[n].measure(which, outputs[n], recipes[n]) for n in members}
            charge(members)
            for number, lr, train_loss in zip(members, look.lrs, look.train_losses, strict=True):
                record = records[number]
                record.steps = look.step
                record.curve.append(CurvePoint(look.step, record.seconds, lr, train_loss, *read[number]))
            for number in members:
                if not math.isfinite(read[number][1]):
                    results[number] = records[number].not_finite()
                elif last and not math.isfinite(read[number][0]):
                    results[number] = records[number].no_score(of_member[number].info.metric, read[number])
            left = [number for number in members if number not in results]
            if not last and left:
                for number in at_rung({n: Reading(rungs.index(look.step), *read[n]) for n in left}):
                    results[number] = records[number].pruned(read[number])
            elif last:
                seen = outputs_of("seen", left)
                charge(members)
                for n in left:
                    results[n] = records[n].ended(
                        "complete", "", read[n], of_member[n].measure("seen", seen[n], recipes[n])
                    )
                    outcomes[n] = Outcome(results[n], cohort.member(n), outputs[n])
            cohort.keep([number for number in members if number not in results or last])
    except TimeoutError:
        charge(cohort.numbers)
        for number in cohort.numbers:
            records[number].steps = cohort.step
            results[number] = _held_up(bench, records[number], deadline)
    if cohort.left and not cohort.numbers:
        charge(list(cohort.left))
    for number, (step, reason) in cohort.left.items():
        records[number].steps = step
        results[number] = records[number].ended("diverged", reason)
    return [outcomes.get(number, Outcome(results[number])) for number in range(len(recipes))]


T = TypeVar("T")


def parts_of(items: Sequence[T], most: int) -> list[Sequence[T]]:
    """The items in parts of at most so many, as even as can be."""
    count = -(-len(items) // most)
    ends = [round(k * len(items) / count) for k in range(count + 1)] if count else []
    return [items[a:b] for a, b in itertools.pairwise(ends)]


def run_together(
    bench: Workbench,
    recipes: Sequence[Recipe],
    train_rows: Sequence[np.ndarray],
    score_rows: Sequence[np.ndarray],
    *,
    at_rung: Callable[[Mapping[int, Reading]], Collection[int]] = lambda readings: (),
    deadline: float = math.inf,
    at_most: float = math.inf,
    further: float = 1.0,
) -> list[Outcome]:
    """`run_cohort`, or `run_recipe` for one recipe, or for each where they do not fit in memory together.

    Args:
        bench: the workbench.
        recipes: one a member.
        train_rows: as for `run_cohort`.
        score_rows: as for `run_cohort`.
        at_rung: as for `run_cohort`; a rung that a member has been read at is not told again.
        deadline: seconds after which a run alone is given up; a cohort has more by its members.
        at_most: seconds that all of them may take at most.
        further: time that each further member adds to a step, over that of a step alone.
    """
    told: set[tuple[int, int]] = set()
    begin = time.monotonic()

    def at_new_rung(readings: Mapping[int, Reading]) -> Collection[int]:
        told.update((k, reading.rung) for k, reading in readings.items())
        return at_rung(readings)

    if len(recipes) > 1 and shape_key(recipes[0]) not in bench.no_cohort:
        longer = min(at_most, deadline * alone_to_group(len(recipes), further))
        try:
            with memory_errors():
                return run_cohort(bench, recipes, train_rows, score_rows, at_rung=at_new_rung, deadline=longer)
        except (NotStackable, OutOfMemory) as error:
            free_memory(bench.hardware.device)
            bench.no_cohort.add(shape_key(recipes[0]))
            bench.say("note", text=f"one after another instead of {len(recipes)} trials at once: {error}")

    def alone(k: int) -> Outcome:
        left = at_most - (time.monotonic() - begin)
        if left <= 0:
            return Outcome(_Record(recipes[k]).no_time())
        return run_recipe(
            bench,
            recipes[k],
            train_rows[k],
            score_rows[k],
            at_rung=lambda reading: (k, reading.rung) not in told and bool(at_rung({k: reading})),
            deadline=deadline,
            at_most=left,
        )

    return [alone(k) for k in range(len(recipes))]


@dataclass(frozen=True)
class SeedRun:
    """One decision run: fresh seed, fresh held-out part."""

    score: float
    outputs: np.ndarray
    rows: np.ndarray
    seconds: float
    reused: bool
    result: TrainResult | None


def seed_runs(
    bench: Workbench,
    jobs: Sequence[tuple[Recipe, int]],
    members: int = 1,
    deadline: float = math.inf,
    further: float = 1.0,
) -> list[SeedRun | None]:
    """Train recipes with decision seeds, each without the part held out for its seed, and score them there.

    The outputs are kept in the run's folder: an incumbent's runs serve the next question too, and a resumed run
    trains nothing again.

    Args:
        bench: the workbench.
        jobs: recipes with the number of the seed.
        members: how many may train at once, where they share a cohort's key.
        deadline: seconds after which a run alone is given up; a cohort has more by its members.
        further: time that each further member adds to a step, over that of a step alone.

    Returns:
        A run for each job, None where it did not complete.
    """
    seeded = [_seeded(bench, recipe, seed) for recipe, seed in jobs]
    parts = {seed: bench.dataset.splits.held_out(seed) for _, seed in jobs}
    found: list[SeedRun | None] = [
        _kept(bench, recipe, parts[seed][1]) for recipe, (_, seed) in zip(seeded, jobs, strict=True)
    ]
    groups: dict[tuple[str, int], list[int]] = {}
    for k, recipe in enumerate(seeded):
        if found[k] is None:
            # Of few examples a batch is all of them, and parts may differ by one.
            size = min(recipe.training.batch_size, len(parts[jobs[k][1]][0]))
            groups.setdefault((cohort_key(recipe), size), []).append(k)
    for group in groups.values():
        for which in parts_of(group, members):
            recipes = [seeded[k] for k in which]
            rows = [parts[jobs[k][1]] for k in which]
            outcomes = run_together(
                bench,
                recipes,
                [train for train, _ in rows],
                [held for _, held in rows],
                deadline=deadline,
                further=further,
            )
            for k, (train_rows, held_out), outcome in zip(which, rows, outcomes, strict=True):
                result = outcome.result
                bench.state.spent_epochs += result.steps * seeded[k].training.batch_size / len(train_rows)
                if outcome.outputs is None:
                    continue
                with atomic(_evidence_path(bench, seeded[k])) as temporary:
                    save_file({"outputs": np.ascontiguousarray(outcome.outputs)}, temporary)
                assert result.score is not None
                assert outcome.model is not None
                save_weights(outcome.model, _weights_path(bench, seeded[k]))
                found[k] = SeedRun(result.score, outcome.outputs, held_out, result.seconds, False, result)
    return found


def _seeded(bench: Workbench, recipe: Recipe, seed: int) -> Recipe:
    """A recipe with a decision seed, which no trial has."""
    return replace(recipe, {"training.seed": bench.seed + 1000 * (seed + 1)})


def _evidence_path(bench: Workbench, seeded: Recipe) -> Path:
    return bench.run.artifacts / "evidence" / f"{seeded.digest}.safetensors"


def _weights_path(bench: Workbench, seeded: Recipe) -> Path:
    return bench.run.artifacts / "evidence" / f"{seeded.digest}{WEIGHTS}"


def kept_run(bench: Workbench, recipe: Recipe, seed: int) -> SeedRun | None:
    """A recipe's decision run with the seed of this number, from the outputs that the run's folder keeps."""
    return _kept(bench, _seeded(bench, recipe, seed), bench.dataset.splits.held_out(seed)[1])


def models_of_seeds(bench: Workbench, recipe: Recipe) -> dict[int, Path]:
    """The weights that are kept of a recipe's decision runs, by the number of the seed."""
    paths = {seed: _weights_path(bench, _seeded(bench, recipe, seed)) for seed in range(MOST_SEEDS)}
    return {seed: path for seed, path in paths.items() if path.exists()}


def forget_models(bench: Workbench, keep: Recipe) -> None:
    """Remove the weights of decision runs of all recipes but one."""
    kept = set(models_of_seeds(bench, keep).values())
    for path in (bench.run.artifacts / "evidence").glob(f"*{WEIGHTS}"):
        if path not in kept:
            path.unlink(missing_ok=True)


def _kept(bench: Workbench, seeded: Recipe, held_out: np.ndarray) -> SeedRun | None:
    """A decision run of an earlier question, or of an earlier part of the run; None if it is gone or damaged."""
    path, info = _evidence_path(bench, seeded), bench.dataset.info
    try:
        outputs = load_file(path)["outputs"]
    except (OSError, SafetensorError, KeyError):
        return None
    if outputs.shape != (len(held_out), info.num_outputs):
        return None
    value = score(info.metric, bench.dataset.targets.numpy()[held_out], outputs, info)
    return SeedRun(value, outputs, held_out, 0.0, True, None)


def curve_rows(result: TrainResult) -> list[dict[str, float | int | None]]:
    """A curve as plain rows."""
    return [
        {"step": p.step, "seconds": p.seconds, "lr": p.lr, "train_loss": p.train_loss, "score": p.score, "loss": p.loss}
        for p in result.curve
    ]
