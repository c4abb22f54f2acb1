"""The agent: inspect, check, baselines, small, width, depth, regularize, regrow, finish.

The order is data (`stages.py`); what may be tried is data (`search_spaces/*.yaml`).  The agent is
written so that it can be run again from the start: whatever the run's folder holds already (studies,
decisions, shapes, decision runs) is read instead of done, which is all that `resume` needs.
"""

import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from dataclasses import replace as replace_record
from pathlib import Path
from typing import Any

import torch

from autorecipe.clock import Budget, Clock, parse_budget
from autorecipe.data import Dataset, ReadOptions, load_dataset
from autorecipe.errors import CheckFailed, InputError, Stopped
from autorecipe.networks import FAMILIES, family
from autorecipe.recipe import Block, Recipe, dump_yaml, from_dict, load_recipe, replace, to_dict
from autorecipe.results import Decision, TrainResult
from autorecipe.rundir import RunDir, locked, new_run_path, read_json, write_json
from autorecipe.search import baselines as base
from autorecipe.search import decide, planner, studies
from autorecipe.search.finish import load_model, run_finish, score_saved, write_summary
from autorecipe.search.question import Alternative, Answer, Question, ask_question, sentence
from autorecipe.search.space import Space, StageSpace, load_space, starting_changes
from autorecipe.search.stages import STAGES, Stage, diagnose, following
from autorecipe.search.workbench import (
    LEAST_STEPS,
    Limits,
    State,
    Workbench,
    describe,
    epochs_of,
    measure_shape,
    params_of,
    phase,
    steps_for,
    with_shape,
)
from autorecipe.training.checks import run_checks
from autorecipe.training.evaluate import DeviceData
from autorecipe.training.hardware import find_hardware
from autorecipe.training.loop import OutOfMemory

Say = Callable[..., None]
Stop = Callable[[], None]


@dataclass(frozen=True)
class Settings:
    """What the user asked for (`settings.json`): enough to resume."""

    source: str | None
    """Path or bundled name; None for arrays from Python."""
    target: str | None = None
    task: str = "auto"
    metric: str = "auto"
    budget: str = "10m"
    space: str | None = None
    from_recipe: str | None = None
    seed: int = 0
    device: str = "auto"
    threads: int | None = None
    storage: str | None = None
    max_width: int | None = None
    max_depth: int | None = None
    max_params: int | None = None
    keep: tuple[str, ...] = ()
    resolution: int | None = None
    reserve: float = 0.5
    """Share of the budget kept for the finish."""
    force: bool = False
    """Go on although one batch could not be overfitted."""


@dataclass
class Progress:
    """Where the agent is: what the questions have answered so far."""

    incumbent: Recipe
    result: TrainResult | None = None
    runner_up: Recipe | None = None
    decisions: list[Decision] = field(default_factory=list)
    evidence: list[decide.Evidence] = field(default_factory=list)
    earlier: list[studies.Earlier] = field(default_factory=list)
    done: tuple[str, ...] = ()


def run_search(
    settings: Settings, out: Path | None, clock: Clock, *, source: object = None, say: Say, stop: Stop
) -> RunDir:
    """Search a data set: one new run.

    Args:
        settings: what the user asked for.
        out: the run's folder; None: `runs/DATASET-N`.
        clock: runs since the start of the process, or of the call.
        source: arrays or a DataFrame, if `settings.source` is None.
        say: told everything that happens.
        stop: raises `Stopped` when the user wants to stop.

    Raises:
        InputError: the user's input is wrong.
        CheckFailed: one batch cannot be overfitted.
        Stopped: the user stopped the run; the best model so far is saved and scored.
    """
    budget = parse_budget(settings.budget)
    check_settings(settings)
    worker = base.start_worker()
    try:
        space_first = load_space_early(settings)
        dataset = read_data(settings, source, say, stop)
        run = RunDir((out or new_run_path(Path("runs"), dataset.info.name)).resolve())
        if run.settings.exists() or (run.path.exists() and any(p.name != ".lock" for p in run.path.iterdir())):
            raise InputError(
                f"{run.path} is not empty, and a run never writes over another; give another --out, "
                f"or go on with that run: autorecipe resume {run.path}"
            )
        with locked(run):
            saved = settings if settings.source is None else replace_record(settings, source=_absolute(settings.source))
            write_json(run.settings, {"format": 1, **to_dict(saved)})
            bench = make_bench(settings, run, dataset, budget, clock, State(), say, stop, space_first)
            return _search(settings, bench, worker)
    finally:
        base.kill(worker)


def resume_run(
    run: RunDir, more: Budget | None, clock: Clock, *, source: object = None, say: Say, stop: Stop
) -> RunDir:
    """Go on with a run that was interrupted or killed, or give a finished one more time.

    Args:
        run: the run's folder.
        more: time on top of the run's own budget; None: what is left of that.
        clock: runs since the start of this process; its limit is set here.
        source: the arrays again, if the run was of arrays.
        say: told everything that happens.
        stop: raises `Stopped`.

    Raises:
        InputError: nothing to resume, other data, or a damaged folder.
    """
    settings = load_settings(run)
    if settings.source is None and source is None:
        raise InputError(
            f"{run.path} is a run of arrays from Python; go on with it from Python: "
            "autorecipe.resume(run, data=(X, y))"
        )
    with locked(run):
        state = load_state(run)
        budget = parse_budget(settings.budget)
        finished = run.summary.exists() and read_json(run.summary).get("status") == "complete"
        if finished and more is None:
            raise InputError(f"{run.path} is complete; to give it more time: autorecipe resume {run.path} --budget +5m")
        if more is not None:
            if more.timed != budget.timed:
                raise InputError(f"the run's budget is '{budget.given}'; give more of the same kind, not '{more.given}'")
            budget = add_budget(budget, more, state, finished)
            settings = replace_record(settings, budget=budget.given)
            write_json(run.settings, {"format": 1, **to_dict(settings)})
        limit = math.inf if budget.seconds is None else max(0.0, budget.seconds - state.spent_seconds)
        clock = Clock(clock.start, limit, state.spent_seconds)
        worker = base.start_worker()
        try:
            dataset = read_data(settings, source, say, stop)
            old = read_json(run.preprocess) if run.preprocess.exists() else None
            if old is not None and old["info"]["digest"] != dataset.info.digest:
                raise InputError(f"the data has changed since {run.path} was begun; begin a new run")
            space = load_space(dataset.info.modality, settings.space)
            bench = make_bench(settings, run, dataset, budget, clock, state, say, stop, space)
            return _search(settings, bench, worker, resumed=True)
        finally:
            base.kill(worker)


def add_budget(budget: Budget, more: Budget, state: State, finished: bool) -> Budget:
    """The budget with more time: on top of what was spent if the run is finished, else of what was given."""
    if budget.seconds is not None and more.seconds is not None:
        total = (state.spent_seconds if finished else budget.seconds) + more.seconds
        return Budget(f"{total:.3f}s", seconds=round(total, 3))
    assert budget.epochs is not None and more.epochs is not None
    total = (state.spent_epochs if finished else budget.epochs) + more.epochs
    return Budget(f"{total:.3f}epochs", epochs=round(total, 3))


def load_settings(run: RunDir) -> Settings:
    """The settings of a run.

    Raises:
        InputError: the file is damaged.
    """
    data = read_json(run.settings)
    if isinstance(data, dict):
        data.pop("format", None)
    settings = from_dict(Settings, data, "settings.json")
    assert isinstance(settings, Settings)
    return settings


def load_state(run: RunDir) -> State:
    """What a run has spent; nothing if it was killed before it wrote anything."""
    if not run.state.exists():
        return State()
    state = from_dict(State, read_json(run.state), "state.json")
    assert isinstance(state, State)
    return state


def check_settings(settings: Settings) -> None:
    """Refuse values that cannot work.

    Raises:
        InputError: with what to type.
    """
    for name in ("max_width", "max_depth", "max_params"):
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise InputError(f"--{name.replace('_', '-')} {value}: at least 1 is needed")
    if not 0.1 <= settings.reserve <= 0.9:
        raise InputError(f"--reserve {settings.reserve}: the share of time for the finish must lie in 0.1 to 0.9")
    if settings.from_recipe is not None:
        load_recipe(settings.from_recipe)
    if settings.seed < 0:
        raise InputError(f"--seed {settings.seed}: a seed must not be negative")


def load_space_early(settings: Settings) -> Space | None:
    """A wrong space file is told before the data is read, not after."""
    if settings.space is None:
        return None
    from autorecipe.search.space import modality_of

    return load_space(modality_of(settings.space), settings.space)


def read_data(settings: Settings, source: object, say: Say, stop: Stop) -> Dataset:
    """Read the data set, telling what is being done."""

    def progress(what: str, share: float) -> None:
        stop()
        say("progress", what=what, share=share)

    options = ReadOptions(
        target=settings.target,
        task=settings.task,
        metric=settings.metric,
        keep=settings.keep,
        resolution=settings.resolution,
        seed=settings.seed,
    )
    return load_dataset(settings.source if settings.source is not None else source, options, progress)


def make_bench(
    settings: Settings,
    run: RunDir,
    dataset: Dataset,
    budget: Budget,
    clock: Clock,
    state: State,
    say: Say,
    stop: Stop,
    space: Space | None,
) -> Workbench:
    """Put everything the search needs on one bench."""
    hardware = find_hardware(settings.device, settings.threads)
    if not budget.timed:
        torch.use_deterministic_algorithms(True, warn_only=True)

    def tell(kind: str, **facts: object) -> None:
        if kind not in ("progress", "finish_look"):
            run.event(kind, **facts)
        say(kind, **facts)

    data = DeviceData(
        dataset.info,
        tuple(x.to(hardware.device) for x in dataset.inputs),
        dataset.targets.to(hardware.device),
    )
    return Workbench(
        run,
        dataset,
        data,
        hardware,
        space if space is not None else load_space(dataset.info.modality),
        Limits(settings.max_width, settings.max_depth, settings.max_params),
        budget,
        clock,
        settings.seed,
        state,
        studies.open_storage(run, settings.storage),
        tell,
        stop,
    )


def _absolute(source: str) -> str:
    path = Path(source)
    return str(path.resolve()) if path.exists() else source


def _search(settings: Settings, bench: Workbench, worker: Any, resumed: bool = False) -> RunDir:
    """Everything after the data has been read."""
    run, info = bench.run, bench.dataset.info
    bench.state.by_stage.setdefault("start", bench.clock.elapsed())
    bench.say("start", run=str(run.path), dataset=info.name, budget=bench.budget.given, resumed=resumed)
    tell_data(bench)
    bench.say("hardware", reason=bench.hardware.reason)
    save_data_facts(bench)
    folder = base.work_folder()
    found: list[base.Baseline] = []
    try:
        try:
            base.hand_over(worker, bench.dataset, folder, bench.seed)
            start = first_recipe(settings, bench)
            if not bench.state.plan:
                bench.state.plan = {"batch_size": start.training.batch_size}
            else:
                start = replace(start, {"training.batch_size": int(bench.state.plan["batch_size"])})
            if not resumed:
                check_loop(settings, bench, start)
            with phase(bench, "baselines"):
                base.wait(worker, base.allowance(bench.budget.seconds), bench.stop)
            found = base.collect(run, folder)
            tell_baselines(bench, found)
            progress = grow(settings, bench, start)
            with phase(bench, "finish"):
                final = finish(bench, progress)
            score_saved(bench, final, found, search_score(progress), cross_validated(progress), "complete")
        except Stopped:
            base.kill(worker)
            found = base.collect(run, folder)
            close_interrupted(bench, found)
            raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return run


def close_interrupted(bench: Workbench, found: list[base.Baseline]) -> None:
    """After Ctrl-C: score what is on disk, if a trial has finished."""
    if bench.run.weights.exists() and bench.run.recipe.exists():
        score_saved(bench, load_recipe(bench.run.recipe), found, bench.state.best_score, None, "interrupted")
    bench.heartbeat()


def tell_data(bench: Workbench) -> None:
    """What was found in the data."""
    info = bench.dataset.info
    if info.modality == "image":
        inputs = f"{info.resolution}x{info.resolution} {'grey' if info.channels == 1 else 'colour'} ({info.resolution_reason})"
    else:
        inputs = f"{info.num_numbers} numbers, {len(info.cardinalities)} categories"
    bench.say(
        "data",
        name=info.name,
        modality=info.modality,
        task=info.task,
        task_reason=info.task_reason,
        metric=info.metric,
        metric_reason=info.metric_reason,
        num_examples=info.num_examples,
        classes=len(info.classes),
        inputs=inputs,
        cross_validated=info.cross_validated,
    )
    for finding in info.findings:
        bench.say("finding", **{"name" if k == "kind" else k: v for k, v in asdict(finding).items()})


def save_data_facts(bench: Workbench) -> None:
    """`preprocess.json` and `splits.json`."""
    dataset = bench.dataset
    write_json(
        bench.run.preprocess, {"format": 1, "preprocess": dataset.preprocess, "info": replace_record(dataset.info, findings=())}
    )
    if not bench.run.splits.exists():
        names = list(dataset.names)
        splits = {
            split: [names[i] for i in getattr(dataset.splits, split).tolist()]
            for split in ("train", "val", "confirm", "test")
        }
        write_json(bench.run.splits, {"format": 1, **splits})


def first_recipe(settings: Settings, bench: Workbench) -> Recipe:
    """The starting recipe: the smallest network with the space's priors, or the user's recipe.

    Raises:
        InputError: the user's recipe does not fit the data set.
    """
    info = bench.dataset.info
    described = {
        "data.modality": info.modality,
        "data.task": info.task,
        "data.metric": info.metric,
        "data.target": info.target,
        "data.resolution": info.resolution,
        "data.channels": info.channels,
        "data.split_seed": bench.seed,
        "data.digest": info.digest,
    }
    if settings.from_recipe is not None:
        recipe = load_recipe(settings.from_recipe)
        if (recipe.data.modality, recipe.data.task) != (info.modality, info.task):
            raise InputError(
                f"the recipe {settings.from_recipe} is for {recipe.data.task} on {recipe.data.modality}s, "
                f"but '{info.name}' is {info.task} on {info.modality}s"
            )
        return replace(recipe, {**described, "training.train_on": "train", "finish": to_dict(Recipe().finish)})
    chosen = family(bench.space.family)
    if info.modality not in chosen.modalities:
        raise InputError(f"the family '{bench.space.family}' does not take {info.modality}s")
    section = chosen.smallest(info)
    return replace(Recipe(), {"network": section, **starting_changes(bench.space, info), **described})


def check_loop(settings: Settings, bench: Workbench, recipe: Recipe) -> None:
    """Check the training loop; only a batch that cannot be overfitted stops the search."""
    with phase(bench, "checks"):
        seconds = 4.0 if bench.budget.seconds is None else min(10.0, 0.04 * bench.budget.seconds)
        from autorecipe.training.lr_range import PRIOR

        tried = replace(recipe, {"optimizer.lr": PRIOR[recipe.optimizer.name][recipe.data.modality]})
        checks = run_checks(
            tried, bench.data, bench.rows(bench.dataset.splits.train), bench.hardware, seconds=seconds,
            timed=bench.budget.timed, keep_going=bench.stop,
        )
        write_json(bench.run.artifacts / "checks.json", checks)
    for check in checks:
        bench.say("check", **asdict(check))
        if check.name == "one batch can be overfitted" and not check.passed and not settings.force:
            raise CheckFailed(
                f"one batch cannot be overfitted ({check.measured}, expected {check.expected}), so no score could be "
                f"trusted: {check.advice}. To go on all the same: --force"
            )


def tell_baselines(bench: Workbench, found: list[base.Baseline]) -> None:
    """Scores of the baselines on val."""
    from autorecipe.training.evaluate import score

    info = bench.dataset.info
    targets = bench.dataset.targets.numpy()[bench.dataset.splits.val]
    for baseline in found:
        value = score(info.metric, targets, baseline.val, info)
        bench.say("baseline", name=baseline.name, seconds=baseline.seconds, score=value, metric=info.metric)
    if not found:
        bench.say("note", text="no baseline finished in its 5 % of the budget")


def search_score(progress: Progress) -> float | None:
    """The search score of the incumbent."""
    return progress.result.score if progress.result is not None else None


def cross_validated(progress: Progress) -> float | None:
    """Mean held-out score of the incumbent's decision runs, where there is no confirm split."""
    digest = None
    for decision in reversed(progress.decisions):
        digest = digest or decision.chosen
        for who, name in ((decision.candidate, "candidate"), (decision.incumbent, "incumbent")):
            if who == digest and decision.scores.get(name):
                values = decision.scores[name]
                return sum(values) / len(values)
    return None


# Growing


def grow(settings: Settings, bench: Workbench, start: Recipe) -> Progress:
    """Ask question after question until the stages or the search's time are over."""
    plan = plan_budget(settings, bench, start)
    progress = Progress(incumbent=start)
    kept = load_decisions(bench.run)
    stage_name, reason = STAGES[0].name, "every search begins with the smallest sensible network"
    while stage_name != "finish":
        stage = next(s for s in STAGES if s.name == stage_name)
        with phase(bench, stage.name):
            asked = run_stage(bench, stage, reason, plan, progress, kept)
        progress.done = (*progress.done, stage.name)
        word, why = _diagnosis(bench, progress, plan)
        stage_name, transition = following(stage.name, word, progress.done)
        reason = f"{word}: {transition.reason}" if transition else f"{word}: {why}"
        if transition is not None and transition.changes and asked:
            progress.incumbent = _apply(progress.incumbent, transition.changes)
        if asked:
            last = replace_record(progress.decisions[-1], diagnosis=f"{word}: {why}", next_stage=stage_name)
            progress.decisions[-1] = last
            save_decisions(bench.run, progress.decisions)
    bench.say("stage", name="finish", asks="the recipe, trained from scratch for the time that is left", reason=reason)
    return progress


def _apply(recipe: Recipe, changes: tuple[tuple[str, float], ...]) -> Recipe:
    values = {
        name: recipe.optimizer.lr * value if name == "optimizer.lr" else value for name, value in changes
    }
    return replace(recipe, values)


def plan_budget(settings: Settings, bench: Workbench, start: Recipe) -> planner.Plan:
    """The plan: made once, kept over resumes, so that all trials have the same compute."""
    facts = bench.state.plan
    if "trial" in facts:
        plan = planner.Plan(**facts)
        if bench.budget.timed:
            left = bench.clock.left()
            plan = replace_record(plan, finish=max(min(plan.finish, left - planner.END_SECONDS), 0.6 * left))
    else:
        if bench.budget.seconds is not None:
            total, left = bench.budget.seconds, bench.clock.left()
        else:
            assert bench.budget.epochs is not None
            total = left = bench.budget.epochs
        plan = planner.make_plan(bench.budget.timed, total, left, settings.reserve, start.training.batch_size)
        bench.state.plan = planner.plan_facts(plan)
        bench.heartbeat()
    bench.say(
        "plan",
        text=f"{plan.search:.3g} {plan.unit} for the search, {plan.finish:.3g} for the finish, {plan.trial:.3g} a trial",
        **planner.plan_facts(plan),
    )
    return plan


def time_left(bench: Workbench, plan: planner.Plan) -> float:
    """Compute left for questions, in the plan's unit."""
    if bench.budget.timed:
        return bench.clock.left() - plan.finish - planner.END_SECONDS
    assert bench.budget.epochs is not None
    return bench.budget.epochs - plan.finish - bench.state.spent_epochs


def run_stage(
    bench: Workbench, stage: Stage, reason: str, plan: planner.Plan, progress: Progress, kept: list[Decision]
) -> bool:
    """Ask a stage's questions until it ends; whether any was asked."""
    failures, asked = 0, 0
    while failures < stage.failures and asked < stage.most:
        if len(progress.decisions) < len(kept):
            decision = kept[len(progress.decisions)]
            if decision.stage != stage.name:
                break
            recall(bench, progress, decision)
        else:
            question = next_question(bench, stage, plan, progress)
            if question is None:
                break
            if asked == 0:
                bench.say("stage", name=stage.name, asks=stage.asks, reason=reason)
            answer = ask_question(bench, question, progress.earlier, decide.pool(progress.evidence))
            accept(bench, question, answer, progress)
            decision = answer.decision
        asked += 1
        adopted = decision.chosen != decision.incumbent
        failures = 0 if adopted else failures + 1
    return asked > 0


def accept(bench: Workbench, question: Question, answer: Answer, progress: Progress) -> None:
    """Carry an answer on and write it down."""
    progress.decisions.append(answer.decision)
    progress.incumbent = answer.recipe
    progress.runner_up = answer.runner_up
    progress.result = answer.result or progress.result
    if answer.evidence is not None:
        progress.evidence.append(answer.evidence)
    fixed = {
        name: value
        for name, value in _flat(answer.recipe).items()
        if isinstance(value, (int, float, str, bool))
    }
    progress.earlier.append(studies.Earlier(answer.decision.study, fixed))
    save_decisions(bench.run, progress.decisions)
    bench.say(
        "decision",
        sentence=sentence(answer.decision, bench),
        verdict=answer.decision.verdict,
        stage=question.stage,
        question=question.text,
        chosen=describe(answer.recipe.network),
        reason=answer.decision.reason,
    )


def _flat(recipe: Recipe) -> dict[str, Any]:
    return {f"{section}.{name}": value for section, fields in to_dict(recipe).items() for name, value in fields.items()}


def recall(bench: Workbench, progress: Progress, decision: Decision) -> None:
    """A decision of an earlier part of the run."""
    from autorecipe.search.question import recorded_result

    progress.decisions.append(decision)
    progress.incumbent = bench.run.load_recipe(decision.chosen)
    progress.result = recorded_result(bench, progress.incumbent) or progress.result
    other = decision.candidate if decision.chosen == decision.incumbent else decision.incumbent
    progress.runner_up = bench.run.load_recipe(other)
    fixed = {n: v for n, v in _flat(progress.incumbent).items() if isinstance(v, (int, float, str, bool))}
    progress.earlier.append(studies.Earlier(decision.study, fixed))


def save_decisions(run: RunDir, decisions: list[Decision]) -> None:
    """Write `decisions.json`."""
    write_json(run.decisions, [to_dict(d) for d in decisions])


def load_decisions(run: RunDir) -> list[Decision]:
    """The decisions of an earlier part of the run.

    Raises:
        InputError: the file is damaged.
    """
    if not run.decisions.exists():
        return []
    return [from_dict(Decision, row, f"decisions.json {i}") for i, row in enumerate(read_json(run.decisions))]


def _diagnosis(bench: Workbench, progress: Progress, plan: planner.Plan) -> tuple[str, str]:
    if progress.result is None or progress.result.score is None:
        return "fitting", "nothing was measured"
    error = decide.error_of(bench.dataset.info.metric, progress.result.score)
    recipe = progress.incumbent
    epochs = epochs_of(bench, recipe)
    return diagnose(
        progress.result,
        error if bench.dataset.info.task != "regression" else 1.0,
        len(bench.dataset.splits.val),
        epochs,
        epochs * plan.finish / max(plan.trial, 1e-9),
    )


def next_question(bench: Workbench, stage: Stage, plan: planner.Plan, progress: Progress) -> Question | None:
    """The stage's next question, or None: nothing to ask, or no time to ask it."""
    space = bench.space.stages.get("width" if stage.name == "regrow" else stage.name)
    if space is None:
        return None
    incumbent = progress.incumbent
    share = plan.trial
    left = time_left(bench, plan)
    # The cheapest question worth asking: two candidates, and no fresh seeds.
    if left < 2.5 * share or (bench.budget.timed and share < 0.02):
        bench.say("note", text=f"no time for the stage '{stage.name}': {max(0.0, left):.3g} {plan.unit} are left for questions")
        return None
    own = Alternative(describe(incumbent.network), incumbent.network)
    number = len(progress.decisions) + 1
    if stage.name in ("width", "regrow"):
        alternatives = [own, *wider_networks(bench, incumbent, space, share)]
        label = " or ".join(str(a.section.width) for a in alternatives[1:])
        slug = f"{stage.name}-{incumbent.network.width}to{'or'.join(str(a.section.width) for a in alternatives[1:])}"
        text = f"{stage.name} {incumbent.network.width} -> {label}"
    elif stage.name == "depth":
        alternatives = [own, *deeper_networks(bench, incumbent, space, share)]
        blocks = len(incumbent.network.blocks)
        slug, text = f"depth-{blocks}to{blocks + 1}", f"depth {blocks} -> {blocks + 1} blocks"
    else:
        alternatives = [own]
        slug = stage.name
        text = "small: which learning rate and settings?" if stage.name == "small" else "regularize: which, and how strong?"
    growth = stage.name in ("width", "regrow", "depth")
    if growth and len(alternatives) < 2:
        return None
    known: tuple[dict[str, Any], ...]
    if growth:
        known = tuple({"network": a.label} for a in alternatives[: 1 + min(2, len(alternatives) - 1)])
    else:
        own_point: dict[str, Any] = {}
        known = _distinct((own_point, *({k: v for k, v in point.items()} for point in space.known)), space)
    trials, seeds = afford(stage, len(known), left / share, growth)
    return Question(
        number,
        stage.name,
        slug,
        text,
        incumbent,
        tuple(alternatives),
        space,
        known[:trials],
        trials,
        share,
        plan.finish,
        seeds,
    )


def _distinct(points: tuple[dict[str, Any], ...], space: StageSpace) -> tuple[dict[str, Any], ...]:
    """Points without repetition."""
    kept: list[dict[str, Any]] = []
    for point in points:
        if point not in kept:
            kept.append(point)
    return tuple(kept)


def afford(stage: Stage, known: int, runs: float, growth: bool) -> tuple[int, int]:
    """Trials and decision seeds that fit into so many full runs.

    A sampled trial costs about half a run, since half of them are stopped early; the incumbent's own
    trial is on record and costs nothing in growth questions.
    """
    trials, seeds = stage.trials, 2
    first = known - 1 if growth else known

    def cost(trials: int, seeds: int) -> float:
        return first + 0.5 * max(0, trials - known) + 1.0 + 1.75 * seeds

    while trials > known and cost(trials, seeds) > runs:
        trials -= 1
    if cost(trials, seeds) > runs:
        seeds = 0
    while trials > 2 and cost(trials, seeds) > runs:
        trials -= 1
    return trials, seeds


def _fits(bench: Workbench, recipe: Recipe, share: float) -> bool:
    """Whether a larger network may be tried: caps, memory, and enough steps in a trial's share."""
    limits, section = bench.limits, recipe.network
    if limits.max_width is not None and section.width > limits.max_width:
        return False
    if limits.max_depth is not None and len(section.blocks) > limits.max_depth:
        return False
    if limits.max_params is not None and params_of(bench, section) > limits.max_params:
        return False
    try:
        shape = measure_shape(bench, recipe, share, fallback=recipe.optimizer.lr)
    except OutOfMemory as error:
        bench.say("note", text=f"{describe(section)} does not fit in memory: {error}")
        return False
    if bench.budget.timed and steps_for(bench, recipe, shape, share) < LEAST_STEPS:
        bench.say("note", text=f"{describe(section)} is too slow for a trial's share of {share:.2g} s")
        return False
    return True


def wider_networks(bench: Workbench, recipe: Recipe, space: StageSpace, share: float) -> list[Alternative]:
    """The incumbent 2, 4, ... times as wide, as far as caps, memory and time allow."""
    grow_wider = family(recipe.network.family).wider
    found = []
    for factor in sorted(space.factors):
        section = recipe.network
        for _ in range(max(1, round(math.log2(factor)))):
            wider = grow_wider(section)
            if wider is None:
                return found
            section = wider
        if not _fits(bench, replace(recipe, {"network": section}), share):
            break
        found.append(Alternative(describe(section), section))
    return found


def deeper_networks(bench: Workbench, recipe: Recipe, space: StageSpace, share: float) -> list[Alternative]:
    """One more block: each place, kernel and width that the space names."""
    found = []
    labels: set[str] = {describe(recipe.network)}
    for section in family(recipe.network.family).deeper(recipe.network):
        at = next(
            (i for i, (a, b) in enumerate(zip(section.blocks, recipe.network.blocks, strict=False)) if a != b),
            len(recipe.network.blocks),
        )
        new = section.blocks[at]
        for kernel in space.kernels:
            for width in space.widths:
                # Inside a level of a residual network a block keeps its neighbours' width.
                block = Block(max(1, round(new.width * width)), kernel, new.stride)
                tried = replace_record(section, blocks=(*section.blocks[:at], block, *section.blocks[at + 1 :]))
                label = describe(tried)
                if label not in labels:
                    labels.add(label)
                    found.append(Alternative(label, tried))
    affordable = [a for a in found if _caps(bench, a)]
    return affordable


def _caps(bench: Workbench, alternative: Alternative) -> bool:
    limits = bench.limits
    section = alternative.section
    if limits.max_depth is not None and len(section.blocks) > limits.max_depth:
        return False
    return limits.max_params is None or params_of(bench, section) <= limits.max_params


# Finishing


def finish(bench: Workbench, progress: Progress) -> Recipe:
    """Train the final model; if that fails, the search's best model stands.

    Raises:
        InputError: there was no time to train anything at all.
    """
    recipe = progress.incumbent
    plan = bench.state.plan
    shape = measure_shape(bench, recipe, float(plan.get("trial", 1.0)))
    if not progress.decisions:  # no question was asked: the learning rate of the range test
        recipe = with_shape(recipe, shape, 1.0)
    epochs = 0.0
    if bench.budget.epochs is not None:
        epochs = max(0.0, bench.budget.epochs - bench.state.spent_epochs)
    final = run_finish(bench, recipe, shape, epochs)
    if final is not None:
        return final
    if not bench.run.recipe.exists():
        raise InputError("no training run succeeded: see the trials' reasons in the run's log.jsonl")
    return load_recipe(bench.run.recipe)


def replay_recipe(
    recipe: Recipe,
    source: object,
    out: Path | None,
    clock: Clock,
    *,
    device: str = "auto",
    threads: int | None = None,
    seed: int | None = None,
    say: Say,
    stop: Stop,
) -> RunDir:
    """Train exactly this recipe from scratch on a data set, and score it.

    Args:
        recipe: as `recipe.yaml` says it; steps, seed and numerics included.
        source: the data set.
        out: the folder of the replay; None: `runs/DATASET-replay-N`.
        clock: for the receipt; a replay has no budget.
        device: where.
        threads: CPU threads.
        seed: another seed than the recipe's.
        say: told everything that happens.
        stop: raises `Stopped`.

    Raises:
        InputError: the recipe does not fit the data set.
    """
    import numpy as np

    from autorecipe.recipe import dump_yaml as dump
    from autorecipe.rundir import write_text
    from autorecipe.search.trials import run_recipe
    from autorecipe.training.checkpoint import save_weights

    section = recipe.data
    settings = Settings(
        source=str(source) if isinstance(source, (str, Path)) else None,
        target=section.target or None,
        task=section.task,
        metric=section.metric,
        budget=f"{recipe.training.steps}epochs",
        seed=section.split_seed,
        device=device,
        threads=threads,
        resolution=section.resolution or None,
    )
    dataset = read_data(settings, source, say, stop)
    if (dataset.info.modality, dataset.info.channels) != (section.modality, section.channels):
        raise InputError(
            f"the recipe is for {section.modality}s with {section.channels} channels, but '{dataset.info.name}' holds "
            f"{dataset.info.modality}s with {dataset.info.channels}"
        )
    run = RunDir((out or new_run_path(Path("runs"), f"{dataset.info.name}-replay")).resolve())
    if run.path.exists() and any(run.path.iterdir()):
        raise InputError(f"{run.path} is not empty; give another --out")
    if seed is not None:
        recipe = replace(recipe, {"training.seed": seed})
    with locked(run):
        write_json(run.settings, {"format": 1, **to_dict(settings)})
        budget = Budget(settings.budget, epochs=float(recipe.training.steps))
        space = load_space(dataset.info.modality)
        bench = make_bench(settings, run, dataset, budget, clock, State(plan={"batch_size": recipe.training.batch_size}), say, stop, space)
        bench.say("start", run=str(run.path), dataset=dataset.info.name, budget=f"{recipe.training.steps} steps", resumed=False)
        tell_data(bench)
        if dataset.info.digest != section.digest:
            bench.say("note", text="the data set is not the one this recipe was made on: its scores may differ")
        save_data_facts(bench)
        splits = dataset.splits
        rows = np.concatenate([splits.train, splits.val]) if section_trains_on_val(recipe) else splits.train
        bench.say("finish", network=describe(recipe.network), params=params_of(bench, recipe.network), seconds=None, steps=recipe.training.steps, recipe=recipe.digest, resumed=False)
        scored = splits.confirm if len(splits.confirm) else splits.val
        with phase(bench, "finish"):
            result, session, _ = run_recipe(bench, recipe, rows, scored)
        if session is None or result.state != "complete":
            raise InputError(f"the recipe could not be trained: {result.reason}")
        save_weights(session.readable, run.weights)
        write_text(run.recipe, dump(recipe))
        save_decisions(run, [])
        score_saved(bench, recipe, [], None, result.score if len(splits.confirm) else None, "complete")
    return run


def section_trains_on_val(recipe: Recipe) -> bool:
    """Whether a recipe trains on train + val."""
    return recipe.training.train_on == "train+val"


__all__ = ["FAMILIES", "Settings", "dump_yaml", "load_model", "replay_recipe", "resume_run", "run_search", "write_summary"]
