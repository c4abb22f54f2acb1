"""`verify`: the claims of a run, checked again in a folder of their own; nothing in the run's folder changes."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace as replace_record
from pathlib import Path
from typing import Any

from autorecipe.clock import Budget, Clock
from autorecipe.data import Dataset
from autorecipe.data.metrics import METRICS, OWN
from autorecipe.data.sources import bundled_of, path_of
from autorecipe.errors import InputError, Stopped
from autorecipe.networks import FAMILIES
from autorecipe.outputs import recount
from autorecipe.outputs.claims import FAILS, NO_CLAIM, UNCHECKED, Claim, duration
from autorecipe.outputs.recheck import RETRAINING, Checking, OverBudget, blanks, compare_again, recheck, without_claim
from autorecipe.recipe import load_recipe
from autorecipe.rundir import RunDir, numbers_of, reading, write_json
from autorecipe.search import baselines as base
from autorecipe.search.prepare import Say, Stop, make_bench, read_data
from autorecipe.search.settings import Settings, check_settings, load_settings, load_state
from autorecipe.search.workbench import State, Workbench
from autorecipe.training.evaluate import score
from autorecipe.training.hardware import find_hardware

DEFAULT_BUDGET = "2m"
END_SECONDS = 1.0
"""Kept for the table and the process's exit."""
WORKER_SECONDS = 4.0
"""What the baselines' process takes to start."""


@dataclass(frozen=True)
class Verification:
    """Every claim of a run, checked as far as the budget went."""

    run: str
    claims: tuple[Claim, ...]
    """And, at their end, the decisions that claim nothing, compared again as far as the budget went."""
    budget: str
    spent_seconds: float
    spent_epochs: float
    test_reads: int
    """How often the test split was read for this: by the saved model, the retrained one and the baselines, whose list
    was fixed when the run ended."""
    stopped: bool = False
    """Whether the user stopped it."""

    @property
    def holds(self) -> bool:
        """Whether nothing was found that does not hold."""
        return all(claim.verdict != FAILS for claim in self.claims)

    def count(self, verdict: str) -> int:
        """Claims with a verdict."""
        return sum(claim.verdict == verdict for claim in self.claims)


def verify(
    run: RunDir,
    budget: Budget,
    clock: Clock,
    *,
    source: object = None,
    device: str | None = None,
    threads: int | None = None,
    seed: int = 0,
    say: Say,
    stop: Stop,
) -> Verification:
    """Check every claim of a run: its files, its scores, its decisions with new seeds, its recipe trained again.

    Args:
        run: the run's folder, which is only read.
        budget: what it may take; what needs more is told as not checked.
        clock: of the budget.
        source: the data set, if it moved, or arrays; None: where the run had it.
        device: another device than the run's.
        threads: CPU threads; None: as the run.
        seed: other numbers give other new seeds.
        say: told what is being done.
        stop: raises `Stopped` when the user wants to stop; what was checked is returned.

    Raises:
        InputError: no run with a model, no data, or another process works on the run.
    """
    settings = _settings(run, source, device, threads)
    find_hardware(settings.device, settings.threads)  # a wrong device is told before anything is read
    with reading(run):
        if not any(path.exists() for path in (run.weights, run.summary, run.checksums)):
            raise InputError(f"{run.path} holds no model yet: no trial has finished; go on with it: autorecipe resume")
        session = _Session(run, budget, clock, say, stop)
        with tempfile.TemporaryDirectory(prefix="autorecipe-verify-") as folder, session.guarded():
            _check_all(session, settings, source, RunDir(Path(folder) / "run"), seed)
    return session.result()


def _settings(run: RunDir, source: object, device: str | None, threads: int | None) -> Settings:
    """The run's settings, as they are needed here.

    Raises:
        InputError: there is no data, or the metric is a function that is not given.
    """
    settings = replace_record(load_settings(run), from_recipe=None, storage=None)
    check_settings(settings)
    if source is None and settings.source is None:
        raise InputError(
            f"{run.path} is a run of arrays from Python; give them again, from Python: "
            "autorecipe.verify(run, data=(X, y))"
        )
    if source is None and path_of(settings.source) is None and bundled_of(settings.source) is None:
        raise InputError(
            f"the data set of {run.path} is no longer at {settings.source}; say where it is: autorecipe verify "
            f"{run.path} --data PATH"
        )
    if settings.metric.startswith(OWN) and settings.metric not in METRICS:
        name = settings.metric.removeprefix(OWN)
        raise InputError(
            f"the metric of {run.path} is the Python function '{name}', and functions are not kept in files; give it "
            f"again from Python: autorecipe.verify(run, metric={name})"
        )
    _check_family(run)
    known = isinstance(source, (str, Path))
    return replace_record(
        settings,
        source=settings.source if source is None else str(source) if known else None,
        device=device or settings.device,
        threads=threads or settings.threads,
    )


def _check_family(run: RunDir) -> None:
    """Refuse a network that nobody here can build; a recipe that cannot be read is told among the files.

    Raises:
        InputError: with what to do.
    """
    try:
        name = load_recipe(run.recipe).network.family
    except InputError:
        return
    if name not in FAMILIES:
        raise InputError(
            f"the network of {run.path} is of the family '{name}', which is defined in Python code of yours; verify it "
            f"from there, once autorecipe.networks.FAMILIES has it: autorecipe.verify(run)"
        )


@dataclass
class _Session:
    """One verification as it goes on."""

    run: RunDir
    budget: Budget
    clock: Clock
    say: Say
    asked_to_stop: Stop
    fixed: tuple[Claim, ...] = ()
    """Claims that were checked first, in their order."""
    trained: tuple[Claim, ...] = ()
    """Claims whose check needs training."""
    last: tuple[Claim, ...] = ()
    unclaimed: tuple[Claim, ...] = ()
    """Decisions that claim nothing."""
    state: State | None = None
    test_reads: int = 0
    over: bool = False
    stopped: bool = False

    def stop(self) -> None:
        """Called between two steps.

        Raises:
            OverBudget: the budget is over, or the user wants to stop.
        """
        try:
            self.asked_to_stop()
        except Stopped as error:
            self.stopped = True
            raise OverBudget from error
        if self.budget.timed and self.clock.left() < END_SECONDS:
            raise OverBudget

    def room(self, needs: float) -> bool:
        """Whether so much of the budget is left."""
        if self.budget.timed:
            return self.clock.left() - END_SECONDS >= needs
        assert self.budget.epochs is not None
        return self.spent_epochs + needs <= self.budget.epochs * (1 + 1e-9)

    @property
    def spent_epochs(self) -> float:
        return self.state.spent_epochs if self.state is not None else 0.0

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """A block that ends where the budget does."""
        try:
            yield
        except OverBudget:
            self.over = True

    def result(self) -> Verification:
        """The claims, with the budget that those want which were not checked."""
        claims = (*self.fixed, *self.trained, *self.last)
        told = self._told(claims, self._enough(claims))
        told += self._told(self.unclaimed, self._enough((*claims, *self.unclaimed)))
        elapsed = round(self.clock.elapsed(), 3)
        return Verification(
            str(self.run.path),
            tuple(told),
            self.budget.given,
            elapsed,
            round(self.spent_epochs, 3),
            self.test_reads,
            self.stopped,
        )

    def _enough(self, claims: Sequence[Claim]) -> str:
        """The budget that would do for these claims."""
        spent = self.clock.elapsed() + END_SECONDS if self.budget.timed else self.spent_epochs
        missing = sum(claim.needs or 0.0 for claim in claims)
        timed = self.budget.timed
        if self.over and self.budget.seconds is not None:  # nobody knows how much was left to do
            missing = max(missing, self.budget.seconds)
        return duration(1.1 * (spent + missing) if timed else spent + missing, timed)

    def _told(self, claims: Sequence[Claim], enough: str) -> list[Claim]:
        """Claims with the reason why they were not checked, or not with more seeds."""
        told = []
        for claim in claims:
            if claim.needs is not None:
                more = "more seeds need" if claim.found else "needs"
                needs = f"about {duration(claim.needs, self.budget.timed)}" if claim.needs else "more time"
                claim = replace_record(claim, reason=f"{more} {needs}; --budget {enough}")
            elif self.over and claim.verdict in (UNCHECKED, NO_CLAIM) and not (claim.found or claim.reason):
                claim = replace_record(claim, reason=self._why_over(enough))
            told.append(claim)
        return told

    def _why_over(self, enough: str) -> str:
        return "stopped" if self.stopped else f"the budget of {self.budget.given} was over; --budget {enough}"


def _check_all(session: _Session, settings: Settings, source: object, place: RunDir, seed: int) -> None:
    """Check the claims in the order of their importance.

    Raises:
        OverBudget: what is in the session by then stands.
    """
    run = session.run
    stated, problems = recount.read_stated(run)
    session.fixed = tuple(recount.check_files(run, stated, problems))
    later = (
        Claim("data", recount.DATA, UNCHECKED),
        Claim("score", recount.SCORE, UNCHECKED),
        Claim("ledger", recount.LEDGER, UNCHECKED),
        Claim("retraining", RETRAINING, UNCHECKED),
    )
    session.last = later
    dataset = read_data(settings, source if settings.source is None else None, session.say, session.stop)
    of_data = recount.check_data(run, stated, dataset)
    session.fixed += tuple(of_data)
    session.last = later[1:]
    if of_data[0].verdict == FAILS:
        session.last = tuple(replace_record(claim, reason="the data is not that of the run") for claim in later[1:])
        return
    bench = _bench(session, settings, place, dataset)
    session.say("progress", what="scoring the saved weights", share=0.0)
    scored, outputs = recount.check_scores(bench, run, stated)
    session.test_reads += outputs is not None
    session.fixed += tuple(scored)
    session.last = later[2:]
    session.fixed += (recount.check_ledger(bench, run, stated.decisions),)
    session.last = later[3:]
    scores = numbers_of((stated.summary or {}).get("scores"))
    spent = (stated.summary or {}).get("budget")
    by_stage = numbers_of(spent.get("by_stage")) if isinstance(spent, dict) else {}

    def tell(what: str) -> None:
        session.say("progress", what=what, share=_share(session))

    def done(claims: Mapping[Any, Claim]) -> None:
        session.trained, session.last = tuple(claims.values()), ()

    def compared(claims: Mapping[Any, Claim]) -> None:
        session.unclaimed = tuple(claims.values())

    work = Checking(bench, run, stated.decisions or [], session.room, tell, seed, by_stage.get("finish", 0.0))
    unclaimed = blanks(work, without_claim(work.decisions))
    compared(unclaimed)
    recheck(work, scores.get("test") if stated.recipe else None, outputs, done)
    session.test_reads += any(c.kind == "retraining" and "found" in c.numbers for c in session.trained)
    _check_baselines(session, bench, stated.summary or {}, by_stage.get("baselines", 0.0))
    compare_again(work, unclaimed, compared)


def _share(session: _Session) -> float:
    if session.budget.seconds is not None:
        return min(1.0, session.clock.elapsed() / session.budget.seconds)
    assert session.budget.epochs is not None
    return min(1.0, session.spent_epochs / session.budget.epochs)


def _bench(session: _Session, settings: Settings, place: RunDir, dataset: Dataset) -> Workbench:
    """A workbench whose folder is a temporary one, with what the run has measured of its shapes."""
    place.path.mkdir(parents=True)
    for name, facts in recount.kept_shapes(session.run).items():
        write_json(place.artifacts / "shapes" / name, facts)
    try:
        plan = load_state(session.run).plan
    except InputError:
        plan = {}
    session.state = State(plan={"batch_size": int(plan.get("batch_size", 128))})
    return make_bench(
        settings, place, dataset, session.budget, session.clock, session.state, _silent, session.stop, None
    )


def _silent(kind: str, **facts: object) -> None:
    """Runs with new seeds tell nobody: their comparison is told as a whole."""


def _check_baselines(session: _Session, bench: Workbench, summary: Mapping[str, Any], took: float) -> None:
    """Fit the baselines again, in a process of their own, if there is time."""
    stated = numbers_of(summary.get("baselines"))
    if not stated:
        return
    needs = WORKER_SECONDS + 2 * took
    blank = Claim("baselines", "baselines fitted again", UNCHECKED)
    session.last += (blank,)
    if session.budget.timed and not session.room(needs):
        session.last = (*session.last[:-1], replace_record(blank, needs=needs))
        return
    session.say("progress", what="fitting the baselines", share=_share(session))
    info, test = bench.dataset.info, bench.dataset.splits.test
    targets = bench.dataset.targets.numpy()[test]
    worker, folder = base.start_worker(), base.work_folder()
    try:
        base.hand_over(worker, bench.dataset, folder, bench.seed)
        base.wait(worker, base.LONGEST, session.stop)
        found = {b.name: score(info.metric, targets, b.test, info) for b in base.collect(bench.run, folder)}
    finally:
        base.kill(worker)
        shutil.rmtree(folder, ignore_errors=True)
    session.test_reads += 1
    session.last = (*session.last[:-1], *recount.check_baselines(stated, found, info.metric, len(test)))
