"""The agent: inspect, check, baselines, small, width, depth, regularize, regrow, finish.

The order is data (`stages.py`); what may be tried is data (`search_spaces/*.yaml`).  The agent is
written so that it can be run again from the start: whatever the run's folder holds already (studies,
decisions, shapes, decision runs) is read instead of done, which is all that `resume` needs.
"""

import math
import shutil
from collections.abc import Sequence
from dataclasses import replace as replace_record
from pathlib import Path
from typing import Any

from autorecipe.clock import Budget, Clock, amount, example_of_more, parse_budget
from autorecipe.errors import InputError, Stopped
from autorecipe.recipe import Recipe, describe, load_recipe, replace, to_dict
from autorecipe.results import Decision
from autorecipe.rundir import RunDir, check_free, locked, new_run_path, read_json, read_mapping, write_json, writing
from autorecipe.search import baselines as base
from autorecipe.search import planner, studies
from autorecipe.search.accounts import planned_of
from autorecipe.search.audit import audit
from autorecipe.search.final_race import winner_of_race
from autorecipe.search.final_stage import finish
from autorecipe.search.growth import next_question
from autorecipe.search.ledger import (
    Progress,
    accept,
    carry_on,
    cross_validated,
    load_decisions,
    recall,
    save_decisions,
    search_score,
)
from autorecipe.search.prepare import (
    Say,
    Stop,
    absolute,
    check_loop,
    first_recipe,
    load_space_early,
    make_bench,
    read_data,
    save_data_facts,
    tell_baselines,
    tell_data,
)
from autorecipe.search.question import ask_question
from autorecipe.search.settings import Settings, add_budget, check_settings, is_replay, load_settings, load_state
from autorecipe.search.space import check_modality, load_space
from autorecipe.search.stages import STAGES, UNSTABLE, Stage, diagnose, following
from autorecipe.search.summary import keep_scored, score_saved
from autorecipe.search.workbench import State, Workbench, epochs_of, measure_shape, phase, steps_for, with_shape

SHORTEST = 5.0
"""Seconds without which nothing but the final training is done."""


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
    worker = base.start_worker() if settings.baselines else None
    try:
        space_first = load_space_early(settings)
        dataset = read_data(settings, source, say, stop)
        if space_first is not None:
            check_modality(space_first, dataset.info.modality, str(settings.space))
        run = RunDir((out or new_run_path(Path("runs"), dataset.info.name)).resolve())
        check_free(run)
        with writing(run), locked(run):
            saved = settings if settings.source is None else replace_record(settings, source=absolute(settings.source))
            write_json(run.settings, {"format": 1, **to_dict(saved)})
            bench = make_bench(settings, run, dataset, budget, clock, State(), say, stop, space_first)
            if studies.study_summaries(bench.storage, run.name):
                raise InputError(
                    f"the storage holds studies of another run '{run.name}' already, and trials of both would mix; "
                    "give --out a folder of another name"
                )
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
    if is_replay(run):
        raise InputError(
            f"{run.path} is a replay: a single training, which is not resumed; train the recipe again with "
            "autorecipe replay RECIPE DATASET"
        )
    if settings.source is None and source is None:
        raise InputError(
            f"{run.path} is a run of arrays from Python; go on with it from Python: autorecipe.resume(run, data=(X, y))"
        )
    with writing(run), locked(run):
        load_decisions(run)  # a damaged ledger is told before anything is done
        state = load_state(run)
        budget = parse_budget(settings.budget)
        finished = run.summary.exists() and read_mapping(run.summary).get("status") == "complete"
        if finished and more is None:
            more_of = example_of_more(budget.given)
            raise InputError(
                f"{run.path} is complete; to give it more time: autorecipe resume {run.path} --budget {more_of}"
            )
        if more is not None:
            if more.timed != budget.timed:
                raise InputError(
                    f"the run's budget is '{budget.given}'; give more of the same kind, not '{more.given}': type "
                    f"--budget {example_of_more(budget.given)}"
                )
            budget = add_budget(budget, more, state, finished)
            state.finish_steps = None  # asked of a shorter finish, and maybe of another network
            if not run.checkpoint.exists():  # an interrupted final training goes on as it began
                state.finish_recipe = None
            settings = replace_record(settings, budget=budget.given)
        limit = math.inf if budget.seconds is None else max(0.0, budget.seconds - state.spent_seconds)
        clock = Clock(clock.start, limit, state.spent_seconds)
        worker = base.start_worker() if settings.baselines else None
        try:
            dataset = read_data(settings, source, say, stop)
            old = read_json(run.preprocess) if run.preprocess.exists() else None
            if old is not None and _digest_of(old, run) != dataset.info.digest:
                raise InputError(f"the data has changed since {run.path} was begun; begin a new run")
            space = load_space(dataset.info.modality, settings.space)
            bench = make_bench(settings, run, dataset, budget, clock, state, say, stop, space)
            if finished:  # from here on a kill leaves a run that has time left
                run.checksums.unlink(missing_ok=True)
            if more is not None:
                write_json(run.settings, {"format": 1, **to_dict(settings)})
                bench.heartbeat()
            if finished:
                write_json(run.summary, {**read_mapping(run.summary), "status": "interrupted"})
            return _search(settings, bench, worker, resumed=True)
        finally:
            base.kill(worker)


def _digest_of(preprocess: Any, run: RunDir) -> object:
    """The digest of the data that a run was begun with."""
    try:
        return preprocess["info"]["digest"]
    except (TypeError, KeyError) as error:
        raise InputError(
            f"{run.preprocess} is damaged: it lacks 'info' with the data's 'digest'; put back a copy of it, or begin a "
            "new run"
        ) from error


def _search(settings: Settings, bench: Workbench, worker: Any, resumed: bool = False) -> RunDir:
    """Everything after the data has been read."""
    run, info = bench.run, bench.dataset.info
    bench.state.by_stage["start"] = bench.state.by_stage.get("start", 0.0) + bench.clock.elapsed()
    run.checksums.unlink(missing_ok=True)  # of a finished run that goes on
    if not run.decisions.exists():
        save_decisions(run, [])
    bench.say("start", run=str(run.path), dataset=info.name, budget=bench.budget.given, resumed=resumed)
    tell_data(bench)
    bench.say("hardware", reason=bench.hardware.reason)
    save_data_facts(bench)
    folder = base.work_folder()
    found: list[base.Baseline] = []
    try:
        try:
            if worker is not None:
                base.hand_over(worker, bench.dataset, folder, bench.seed)
            start = first_recipe(settings, bench)
            if not bench.state.plan:
                bench.state.plan = {"batch_size": start.training.batch_size}
            else:
                start = replace(start, {"training.batch_size": int(bench.state.plan["batch_size"])})
            if resumed and run.checks.exists():
                bench.say("note", text="the checks of the training loop were passed before")
            elif bench.budget.timed and bench.clock.left() < SHORTEST:
                bench.say("note", text="the budget is too short for the checks of the training loop")
            elif settings.checks:
                check_loop(settings, bench, start)
            if worker is not None:
                with phase(bench, "baselines"):
                    base.wait(worker, min(base.allowance(bench.budget.seconds), 0.5 * bench.clock.left()), bench.stop)
                found = base.collect(run, folder)
                tell_baselines(bench, found)
            progress = grow(settings, bench, start)
            if settings.audit and "trial" in bench.state.plan:
                with phase(bench, "audit"):
                    audit(bench, planner.Plan(**bench.state.plan))
            with phase(bench, "finish"):
                final = finish(bench, progress)
            held_out = cross_validated(run, progress)
            score_saved(bench, final, found, search_score(progress), held_out, "complete", progress.decisions)
        except (Stopped, KeyboardInterrupt):
            base.kill(worker)
            found = base.collect(run, folder)
            close_interrupted(bench, found)
            raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return run


def close_interrupted(bench: Workbench, found: list[base.Baseline]) -> None:
    """After Ctrl-C: score what is on disk, if a trial has finished and it is not what was scored before."""
    if bench.run.weights.exists() and bench.run.recipe.exists() and not keep_scored(bench):
        score_saved(bench, load_recipe(bench.run.recipe), found, bench.state.best_score, None, "interrupted")
    bench.heartbeat()


def grow(settings: Settings, bench: Workbench, start: Recipe) -> Progress:
    """Ask question after question until the stages or the search's time are over."""
    plan = plan_budget(settings, bench, start)
    with phase(bench, STAGES[0].name):
        shape = measure_shape(bench, start, plan.trial)
        if settings.from_recipe is None:
            start = with_shape(start, shape, 1.0)
        else:  # a known recipe brings its own learning rate, for as many steps as it says
            lr = planner.lr_for_steps(
                start.optimizer.lr, start.training.steps, steps_for(bench, start, shape, plan.trial)
            )
            start = replace(start, {"optimizer.lr": lr})
    progress = Progress(incumbent=start)
    kept = load_decisions(bench.run)
    stage_name, reason = STAGES[0].name, "every search begins with the smallest sensible network"
    while stage_name != "finish":
        stage = next(s for s in STAGES if s.name == stage_name)
        with phase(bench, stage.name):
            asked = run_stage(bench, stage, reason, plan, progress, kept)
        progress.done = (*progress.done, stage.name)
        known = _recorded(bench, progress, kept, plan) if asked else None
        word, why = known or _diagnosis(bench, progress, plan)
        stage_name, transition = following(stage.name, word, progress.done)
        reason = f"{word}: {transition.reason}" if transition else f"{word}: {why}"
        if transition is not None and transition.changes and asked:
            progress.incumbent = _apply(progress.incumbent, transition.changes)
        if asked and known is None:
            last = replace_record(progress.decisions[-1], diagnosis=f"{word}: {why}", next_stage=stage_name)
            progress.decisions[-1] = last
            save_decisions(bench.run, progress.decisions)
        if len(progress.decisions) < len(kept):  # the run went there, whatever would be said of it now
            stage_name = kept[len(progress.decisions)].stage
    bench.say("stage", name="finish", asks="the recipe, trained from scratch for the time that is left", reason=reason)
    return progress


def _recorded(
    bench: Workbench, progress: Progress, kept: Sequence[Decision], plan: planner.Plan
) -> tuple[str, str] | None:
    """The diagnosis that an earlier part of the run wrote down for the stage that was recalled; None: there is none.

    With more seconds than the plan had for the finish the last one is made anew: a network may then be trained for long
    enough.  A plan in epochs stays as it was.
    """
    said, recalled = progress.decisions[-1].diagnosis, len(progress.decisions)
    word, _, why = said.partition(": ")
    more = plan.finish > float(bench.state.plan["finish"])
    if not said or recalled > len(kept) or (recalled == len(kept) and more and word != UNSTABLE):
        return None
    return word, why


def _apply(recipe: Recipe, changes: tuple[tuple[str, float], ...]) -> Recipe:
    values = {name: recipe.optimizer.lr * value if name == "optimizer.lr" else value for name, value in changes}
    return replace(recipe, values)


def plan_budget(settings: Settings, bench: Workbench, start: Recipe) -> planner.Plan:
    """The plan: made once, kept over resumes, so that all trials have the same compute."""
    facts = bench.state.plan
    if "trial" in facts:
        plan = planner.Plan(**facts)
        if bench.budget.timed:
            left = bench.clock.left()
            most = left - planner.end_seconds(bench.budget.seconds)
            plan = replace_record(plan, finish=max(min(plan.finish, most), 0.6 * left))
            audit = max(0.0, plan.audit - bench.state.by_stage.get("audit", 0.0))
            bench.state.planned = planned_of(bench, max(0.0, most - plan.finish - audit), plan.finish)
        elif bench.budget.epochs is not None:  # what was added is the finish's
            bench.state.planned = {"search": plan.search, "finish": bench.budget.epochs - plan.search - plan.audit}
    else:
        if bench.budget.seconds is not None:
            total, left = bench.budget.seconds, bench.clock.left()
        else:
            assert bench.budget.epochs is not None
            total = left = bench.budget.epochs
        plan = planner.make_plan(
            bench.budget.timed, total, left, settings.reserve, start.training.batch_size, settings.audit
        )
        bench.state.plan = planner.plan_facts(plan)
        bench.state.planned = planned_of(bench, plan.search, plan.finish)
        bench.heartbeat()
    bench.say(
        "plan",
        text=f"{amount(plan.search)} {plan.unit} to search, {amount(plan.finish)} for the finish, "
        f"{amount(plan.trial)} a trial",
        **planner.plan_facts(plan),
    )
    return plan


def run_stage(
    bench: Workbench, stage: Stage, reason: str, plan: planner.Plan, progress: Progress, kept: list[Decision]
) -> bool:
    """Ask a stage's questions until it ends; whether any was asked."""
    failures, asked = 0, 0
    tried: set[str] = set()
    """Networks of the last question, if it kept the incumbent."""
    while failures < stage.failures and asked < stage.most:
        if len(progress.decisions) < len(kept):
            decision = kept[len(progress.decisions)]
            if decision.stage != stage.name:
                break
            recall(bench, progress, decision)
            if len(progress.decisions) == len(kept):
                carry_on(bench, progress, winner_of_race(bench, progress.incumbent))
        else:
            question = next_question(bench, stage, plan, progress, asked)
            if question is None or {a.label for a in question.alternatives} == tried:  # it would say the same again
                break
            if asked == 0:
                bench.say("stage", name=stage.name, asks=stage.asks, reason=reason)
            answer = ask_question(bench, question, progress.earlier, progress.evidence)
            accept(bench, question, answer, progress)
            decision = answer.decision
        asked += 1
        # A question that tried two networks and kept neither is two non-improvements in a row.
        networks = {describe(bench.run.load_recipe(digest).network) for digest in decision.candidates}
        adopted = progress.incumbent.digest != decision.incumbent  # a race may have turned it since
        tried = set() if adopted else {describe(progress.incumbent.network), *networks}
        failures = 0 if adopted else failures + max(1, len(networks - {describe(progress.incumbent.network)}))
    return asked > 0


def _diagnosis(bench: Workbench, progress: Progress, plan: planner.Plan) -> tuple[str, str]:
    if progress.result is None or progress.result.score is None:
        return "fitting", "nothing was measured"
    metric, scored = bench.dataset.info.metric, len(bench.dataset.splits.val)
    epochs = epochs_of(bench, progress.incumbent)
    return diagnose(
        progress.result,
        metric,
        round(scored * (1 - progress.result.score)) if metric == "accuracy" else None,
        scored,
        epochs,
        epochs * plan.finish / max(plan.trial, 1e-9),
        progress.diverged,
    )
