"""One question, end to end: a study of trials, fresh seeds of winner and incumbent, a decision."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace as replace_record
from typing import Any

from autorecipe.data.metrics import direction, gain
from autorecipe.recipe import Recipe, dump_yaml, load_recipe
from autorecipe.results import TrainResult
from autorecipe.rundir import write_text
from autorecipe.search import studies
from autorecipe.search.answer import Answer, answer_question
from autorecipe.search.notes import question_note, trial_note
from autorecipe.search.points import Question, full_point, parameters_of, recipe_of
from autorecipe.search.summary import write_summary
from autorecipe.search.trials import Reading, run_recipe
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
from autorecipe.search.workbench import Shape, Workbench, describe, epochs_of, use_shape
from autorecipe.training.checkpoint import save_weights
from autorecipe.training.loop import Session


def ask_question(
    bench: Workbench, question: Question, earlier: Sequence[studies.Earlier], pooled: tuple[float, float]
) -> Answer:
    """Run the trials, compare winner and incumbent on fresh seeds, decide, write it down.

    Args:
        bench: the workbench.
        question: what is asked.
        earlier: studies of earlier questions, which teach this one's sampler.
        pooled: variance between seeds in earlier questions (`decide.pool`).
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
    for record in studies.finished(study):  # a resumed question
        remember(bench, tried, record)
    mend_trials(bench, study)
    while len(studies.finished(study)) < question.trials:
        if bench.budget.timed and bench.clock.left() < question.finish + question.share and tried.values:
            bench.say("note", text="the time for this question is over: its last trials are left out")
            break
        _one_trial(bench, question, study, shapes, tried)
    answer = answer_question(bench, question, study, tried, pooled, begin)
    ended = studies.finished(study)
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


def _one_trial(
    bench: Workbench, question: Question, study: studies.OpenStudy, shapes: dict[str, Shape], tried: Tried
) -> None:
    asked = studies.ask(study)
    number = asked.number
    recipe, shape = recipe_of(bench, question, asked.params, shapes)
    digest = bench.run.save_recipe(recipe)
    bench.say(
        "trial_start",
        study=study.name,
        number=number,
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
    studies.set_attrs(study, number, facts)  # at once: the dashboard shows what is running
    row = on_record(bench, recipe)
    if row is not None:
        result, rungs = _tell_again(bench, study, number, recipe, shape, row)
    else:
        result, rungs = _train_trial(bench, question, study, number, recipe, shape)
    _close_trial(bench, study, number, recipe, result, rungs, tried)


def _train_trial(
    bench: Workbench,
    question: Question,
    study: studies.OpenStudy,
    number: int,
    recipe: Recipe,
    shape: Shape,
) -> tuple[TrainResult, dict[int, float]]:
    """Train a trial's recipe, report its readings at the rungs, tell how it ended."""
    rungs: dict[int, float] = {}

    def at_rung(reading: Reading) -> bool:
        rungs[reading.rung] = reading.score
        bench.say("look", study=study.name, number=number, rung=reading.rung, score=reading.score)
        return studies.report(study, number, reading.score, reading.rung)

    splits = bench.dataset.splits
    limit = 2 * question.share + 1.0 if bench.budget.timed else math.inf
    if bench.budget.timed:
        limit = min(limit, max(1.0, bench.clock.left() - 0.5 * question.finish))
    use_shape(bench, shape)
    result, session, _ = run_recipe(bench, recipe, splits.train, splits.val, at_rung=at_rung, deadline=limit)
    bench.state.spent_epochs += result.steps * recipe.training.batch_size / len(splits.train)
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
        assert session is not None
        _save_if_best(bench, recipe, result, session)
        put_on_record(bench, recipe, result, rungs)  # before it is told: a crash in between trains nothing again
    studies.set_attrs(study, number, facts)
    studies.note(study, number, _trial_note(bench, recipe, result, shape))
    studies.tell(study, number, "complete" if complete else "pruned", result.score if complete else None)
    return result, rungs


def _tell_again(
    bench: Workbench, study: studies.OpenStudy, number: int, recipe: Recipe, shape: Shape, row: Mapping[str, Any]
) -> tuple[TrainResult, dict[int, float]]:
    """A recipe that was trained already: its readings are told, nothing is trained again."""
    rungs = {int(rung): float(value) for rung, value in row["rungs"].items()}
    for rung, value in sorted(rungs.items()):
        studies.report(study, number, value, rung)
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


def _save_if_best(bench: Workbench, recipe: Recipe, result: TrainResult, session: Session) -> None:
    """From the first finished trial on, a valid model lies on disk: the best by search score.

    A final model of an earlier part of the run stays: no trial is as long.
    """
    assert result.score is not None
    if bench.run.recipe.exists() and load_recipe(bench.run.recipe).training.train_on != "train":
        return
    best = bench.state.best_score
    if best is not None and gain(bench.dataset.info.metric, result.score, best) <= 0:
        return
    save_weights(session.readable, bench.run.weights)
    write_text(bench.run.recipe, dump_yaml(recipe))
    bench.state.best_score = result.score
    write_summary(bench, recipe, "interrupted", {"search": result.score})
    bench.say("saved", what=describe(recipe.network), score=result.score)
