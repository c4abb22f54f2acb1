"""One question, end to end: a study of trials, fresh seeds of winner and incumbent, a decision."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_record
from typing import Any

from torch import nn

from autorecipe.data.metrics import direction, gain
from autorecipe.recipe import Recipe, describe, dump_yaml, load_recipe
from autorecipe.results import TrainResult
from autorecipe.rundir import write_text
from autorecipe.search import studies
from autorecipe.search.answer import Answer, answer_question
from autorecipe.search.decide import Evidence
from autorecipe.search.notes import question_note, trial_note
from autorecipe.search.points import Question, full_point, parameters_of, recipe_of
from autorecipe.search.summary import write_summary
from autorecipe.search.trials import Outcome, Reading, parts_of, run_together
from autorecipe.search.tried import (
    Tried,
    append_trial,
    best_trial,
    mend_trials,
    on_record,
    put_on_record,
    recorded_score,
    remember,
    result_of,
)
from autorecipe.search.workbench import Shape, Workbench, epochs_of, measure_shape, use_shape
from autorecipe.training.checkpoint import save_weights
from autorecipe.training.cohort import cohort_key
from autorecipe.training.cohort_size import alone_to_group
from autorecipe.training.loop import OutOfMemory


def ask_question(
    bench: Workbench, question: Question, earlier: Sequence[studies.Earlier], evidence: Sequence[Evidence]
) -> Answer:
    """Run the trials, compare winner and incumbent on fresh seeds, decide, write it down.

    Args:
        bench: the workbench.
        question: what is asked.
        earlier: studies of earlier questions, which teach this one's sampler.
        evidence: of earlier questions, for the variance between seeds.
    """
    begin = time.monotonic()
    study = _open(bench, question, earlier)
    bench.say(
        "question",
        number=question.number,
        stage=question.stage,
        text=question.text,
        study=study.name,
        trials=question.trials,
    )
    tried = Tried()
    shapes: dict[str, Shape] = {}
    for record in studies.ended(study):  # a resumed question
        remember(bench, tried, record)
    mend_trials(bench, study)
    while len(studies.ended(study)) < question.trials:
        if not _time_for(bench, question, 1.0) and tried.values:
            bench.say("note", text="the time for this question is over: its last trials are left out")
            break
        left = question.trials - len(studies.ended(study))
        if not _some_trials(bench, question, study, shapes, tried, min(left, _at_once(bench, question, study, shapes))):
            bench.say("note", text="there is no time for more trials of this question at once: the last are left out")
            break
    answer = answer_question(bench, question, study, tried, evidence, begin)
    ended = studies.ended(study)
    diverged = sum(record.attrs.get("state") == "diverged" for record in ended)
    return replace_record(answer, diverged=diverged / max(1, len(ended)))


def _open(bench: Workbench, question: Question, earlier: Sequence[studies.Earlier]) -> studies.OpenStudy:
    parameters = parameters_of(bench, question)
    study = studies.open_study(
        bench.storage,
        bench.run.name,
        question.number,
        question.slug,
        direction=direction(bench.dataset.info.metric),  # type: ignore[arg-type]
        metric=bench.dataset.info.metric,
        seed=bench.seed,
        prune=True,
        parameters=parameters,
        known=[full_point(bench, question, parameters, changes) for changes in question.known],
        earlier=earlier,
        incumbent_value=recorded_score(bench, question.incumbent),
        startup=max(1, (question.trials - len(question.known)) // 2),
    )
    unit = "seconds" if bench.budget.timed else "epochs"
    studies.set_attrs(study, None, {"question": question.text, "verdict": "not decided yet"})
    studies.note(study, None, question_note(question, bench.dataset.info, unit))
    return study


@dataclass(frozen=True)
class _Trial:
    """A trial that was asked for."""

    number: int
    recipe: Recipe
    shape: Shape


def _time_for(bench: Workbench, question: Question, runs: float) -> bool:
    """Whether so many full runs fit before the finish."""
    return not bench.budget.timed or bench.clock.left() >= question.finish + runs * question.share


def _at_once(bench: Workbench, question: Question, study: studies.OpenStudy, shapes: Mapping[str, Shape]) -> int:
    """Trials to ask for together: one, or what trains as one program.

    First the known points and the quasi-random ones, which depend on no result; then a cohort of the sampler's.
    """
    members = measure_shape(bench, question.incumbent, question.share).members
    members = min([members, *(shape.members for shape in shapes.values())])
    begun, first = len(studies.ended(study)), len(question.known) + study.startup
    if members == 1:
        return 1
    return first - begun if begun < first else members


def _some_trials(
    bench: Workbench,
    question: Question,
    study: studies.OpenStudy,
    shapes: dict[str, Shape],
    tried: Tried,
    count: int,
) -> bool:
    """Ask for trials, train those of one shape together, tell how they ended; whether there was time for all."""
    in_time = True
    asked = [trial for _ in range(count) if (trial := _ask(bench, question, study, shapes)) is not None]
    while asked:
        groups: dict[str, list[_Trial]] = {}
        again: list[_Trial] = []
        digests: set[str] = set()
        for trial in asked:
            row = on_record(bench, trial.recipe)
            if row is not None:
                result, rungs = _tell_again(bench, study, trial.number, trial.recipe, trial.shape, row)
                _close_trial(bench, study, trial.number, trial.recipe, result, rungs, tried)
            elif trial.recipe.digest in digests:
                again.append(trial)
            else:
                digests.add(trial.recipe.digest)
                groups.setdefault(cohort_key(trial.recipe), []).append(trial)
        parts = [part for group in groups.values() for part in parts_of(group, group[0].shape.members)]
        for part in parts:
            fits = _how_many_fit(bench, question, part, tried)
            if fits:
                _train_trials(bench, question, study, part[:fits], tried)
            if fits < len(part):
                _leave_out(study, part[fits:])
                in_time = False
        asked = again
    return in_time


def _how_many_fit(bench: Workbench, question: Question, part: Sequence[_Trial], tried: Tried) -> int:
    """How many of these trials there is time to train at once; all as long as nothing has been tried."""
    fits = len(part)
    while fits and tried.values and not _time_for(bench, question, alone_to_group(fits, part[0].shape.further_member)):
        fits -= 1
    return fits


def _leave_out(study: studies.OpenStudy, trials: Sequence[_Trial]) -> None:
    """Tell trials that there is no time for: they have failed, and count as never asked for."""
    for trial in trials:
        studies.set_attrs(study, trial.number, {"reason": "the time for this question is over"})
        studies.tell(study, trial.number, "failed")


def _ask(bench: Workbench, question: Question, study: studies.OpenStudy, shapes: dict[str, Shape]) -> _Trial | None:
    """The next trial of the study, with the recipe of its point; None if its network does not fit in memory."""
    asked = studies.ask(study)
    try:
        recipe, shape = recipe_of(bench, question, asked.params, shapes)
    except OutOfMemory as error:
        result = TrainResult("out_of_memory", 0, 0.0, None, None, reason=f"the network does not fit in memory: {error}")
        studies.set_attrs(study, asked.number, {"state": result.state, "reason": result.reason})
        studies.tell(study, asked.number, "pruned")
        append_trial(bench, study, asked.number, None, result, {}, False)
        return None
    digest = bench.run.save_recipe(recipe)
    bench.say(
        "trial_start",
        study=study.name,
        number=asked.number,
        params=asked.params,
        network=describe(recipe.network),
        steps=recipe.training.steps,
    )
    facts = {
        "network": describe(recipe.network),
        "lr": recipe.optimizer.lr,
        "lr_suggested": float(f"{shape.lr_range.suggestion:.4g}"),
        "lr_reason": shape.lr_range.reason,
        "steps": recipe.training.steps,
        "epochs": round(epochs_of(bench, recipe), 3),
        "recipe_digest": digest,
    }
    studies.set_attrs(study, asked.number, facts)  # at once: the dashboard shows what is running
    return _Trial(asked.number, recipe, shape)


def _train_trials(
    bench: Workbench, question: Question, study: studies.OpenStudy, trials: Sequence[_Trial], tried: Tried
) -> None:
    """Train trials, one or a cohort, report their readings at the rungs, tell how they ended."""
    rungs: dict[int, dict[int, float]] = {trial.number: {} for trial in trials}
    numbers = [trial.number for trial in trials]

    def at_rung(readings: Mapping[int, Reading]) -> list[int]:
        for k, reading in readings.items():
            rungs[numbers[k]][reading.rung] = reading.score
            bench.say("look", study=study.name, number=numbers[k], rung=reading.rung, score=reading.score)
        bench.heartbeat()  # a kill loses the time since then at most
        rung = next(iter(readings.values())).rung
        stopped = studies.report(study, {numbers[k]: reading.score for k, reading in readings.items()}, rung)
        return [numbers.index(number) for number in stopped]

    splits, shape = bench.dataset.splits, trials[0].shape
    limit = at_most = math.inf
    if bench.budget.timed:
        limit, at_most = 2 * question.share + 1.0, max(1.0, bench.clock.left() - 0.5 * question.finish)
    use_shape(bench, shape, len(trials))
    recipes = [trial.recipe for trial in trials]
    rows = [[which] * len(trials) for which in (splits.train, splits.val)]
    outcomes = run_together(
        bench, recipes, *rows, at_rung=at_rung, deadline=limit, at_most=at_most, further=shape.further_member
    )
    for trial, found in zip(trials, outcomes, strict=True):
        _tell(bench, study, trial, found, rungs[trial.number])
        _close_trial(bench, study, trial.number, trial.recipe, found.result, rungs[trial.number], tried)


def _tell(
    bench: Workbench, study: studies.OpenStudy, trial: _Trial, found: Outcome, rungs: Mapping[int, float]
) -> None:
    """Tell a study how a trial ended, and keep what it gave."""
    number, recipe, result = trial.number, trial.recipe, found.result
    bench.state.spent_epochs += result.steps * recipe.training.batch_size / len(bench.dataset.splits.train)
    facts = {
        "state": result.state,
        "loss": result.loss,
        "steps_run": result.steps,
        "seconds": round(result.seconds, 3),
        "num_params": result.num_params,
    }
    if result.reason:
        facts["reason"] = result.reason
    complete = result.state == "complete"
    if complete:
        assert found.model is not None
        _save_if_best(bench, recipe, result, found.model)
        put_on_record(bench, recipe, result, rungs)  # before it is told: a crash in between trains nothing again
    studies.set_attrs(study, number, facts)
    studies.note(study, number, _trial_note(bench, recipe, result, trial.shape))
    studies.tell(study, number, "complete" if complete else "pruned", result.score if complete else None)


def _tell_again(
    bench: Workbench, study: studies.OpenStudy, number: int, recipe: Recipe, shape: Shape, row: Mapping[str, Any]
) -> tuple[TrainResult, dict[int, float]]:
    """A recipe that was trained already: its readings are told, nothing is trained again."""
    rungs = {int(rung): float(value) for rung, value in row["rungs"].items()}
    for rung, value in sorted(rungs.items()):
        studies.report(study, {number: value}, rung)
    result = result_of(recipe, row)
    facts = {"state": "complete", "loss": result.loss, "seconds": 0.0, "num_params": result.num_params, "reused": True}
    studies.set_attrs(study, number, facts)
    studies.note(study, number, _trial_note(bench, recipe, result, shape, reused=True))
    studies.tell(study, number, "complete", float(row["score"]))
    return result, rungs


def _trial_note(bench: Workbench, recipe: Recipe, result: TrainResult, shape: Shape, reused: bool = False) -> str:
    metric, network = bench.dataset.info.metric, describe(recipe.network)
    return trial_note(recipe, result, shape.lr_range, network, metric, reused)


def _close_trial(
    bench: Workbench,
    study: studies.OpenStudy,
    number: int,
    recipe: Recipe,
    result: TrainResult,
    rungs: Mapping[int, float],
    tried: Tried,
) -> None:
    """Write a trial down that its study knows of."""
    tried.recipes[number] = recipe
    if result.state == "complete" and result.score is not None:
        tried.values[number] = (result.score, math.inf if result.loss is None else result.loss)
    best = best_trial(bench, tried)
    reused = result.state == "complete" and result.seconds == 0.0
    append_trial(bench, study, number, recipe.digest, result, rungs, reused)
    bench.say(
        "trial",
        study=study.name,
        number=number,
        state=result.state,
        score=result.score,
        best=None if best is None else tried.values[best][0],
        seconds=result.seconds,
        reason=result.reason,
    )
    bench.heartbeat()


def _save_if_best(bench: Workbench, recipe: Recipe, result: TrainResult, model: nn.Module) -> None:
    """From the first finished trial on, a valid model lies on disk: the best by search score.

    A final model of an earlier part of the run stays: no trial is as long.
    """
    assert result.score is not None
    best = bench.state.best_score
    if best is not None and gain(bench.dataset.info.metric, result.score, best) <= 0:
        return
    if bench.run.recipe.exists() and load_recipe(bench.run.recipe).training.train_on != "train":
        return
    save_weights(model, bench.run.weights)
    write_text(bench.run.recipe, dump_yaml(recipe))
    bench.state.best_score = result.score
    write_summary(bench, recipe, "interrupted", {"search": result.score})
    bench.say("saved", what=describe(recipe.network), score=result.score)
