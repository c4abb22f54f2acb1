"""Trials that have ended: kept by recipe, so that none is trained twice, and written to `trials.jsonl`."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autorecipe.data.metrics import gain
from autorecipe.recipe import Recipe, to_dict
from autorecipe.results import CurvePoint, TrainResult
from autorecipe.rundir import append_line, read_lines, write_json
from autorecipe.search import studies
from autorecipe.search.trials import curve_rows
from autorecipe.search.workbench import Workbench


@dataclass
class Tried:
    """What is known of the trials of a question."""

    recipes: dict[int, Recipe] = field(default_factory=dict)
    values: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Score and loss on val of finished trials."""


def best_trial(bench: Workbench, tried: Tried) -> int | None:
    """The trial with the best score; between equal scores the lower loss."""
    metric, values = bench.dataset.info.metric, tried.values
    if not values:
        return None
    return max(values, key=lambda n: (gain(metric, values[n][0], 0.0), -values[n][1]))


def remember(bench: Workbench, tried: Tried, record: studies.TrialRecord) -> None:
    """A trial that an earlier part of the run finished."""
    digest = record.attrs.get("recipe_digest")
    if digest is None or record.state != "complete" or record.value is None:
        return
    recipe = bench.run.load_recipe(str(digest))
    row = on_record(bench, recipe)
    loss = float(row["loss"]) if row and row["loss"] is not None else math.inf
    tried.recipes[record.number] = recipe
    tried.values[record.number] = (record.value, loss)


# By recipe


def _record_of(bench: Workbench, recipe: Recipe) -> Path:
    return bench.run.artifacts / "trials" / f"{recipe.digest}.json"


def put_on_record(bench: Workbench, recipe: Recipe, result: TrainResult, rungs: Mapping[int, float]) -> None:
    """Keep what a finished trial of a recipe gave."""
    row = {
        "score": result.score,
        "loss": result.loss,
        "train_score": result.train_score,
        "train_loss": result.train_loss,
        "num_params": result.num_params,
        "rungs": rungs,
        "curve": curve_rows(result),
    }
    write_json(_record_of(bench, recipe), row)


def on_record(bench: Workbench, recipe: Recipe) -> dict[str, Any] | None:
    """What the trial of a recipe gave, if one has finished: a row of `put_on_record`."""
    path = _record_of(bench, recipe)
    if not path.exists():
        return None
    row = json.loads(path.read_text())
    assert isinstance(row, dict)
    return row


def result_of(recipe: Recipe, row: Mapping[str, Any]) -> TrainResult:
    """The result that a row of `on_record` tells; it took no time again."""
    return TrainResult(
        "complete",
        recipe.training.steps,
        0.0,
        row["score"],
        row["loss"],
        row["train_score"],
        row["train_loss"],
        row["num_params"],
        tuple(CurvePoint(**point) for point in row["curve"]),
    )


def recorded_result(bench: Workbench, recipe: Recipe) -> TrainResult | None:
    """The trial of a recipe, if one has finished."""
    row = on_record(bench, recipe)
    return result_of(recipe, row) if row is not None else None


def recorded_score(bench: Workbench, recipe: Recipe) -> float | None:
    """The search score of a recipe whose trial is on record."""
    row = on_record(bench, recipe)
    return float(row["score"]) if row and row["score"] is not None else None


def best_of_lengths(bench: Workbench, recipe: Recipe) -> list[tuple[Recipe, float]]:
    """The best trial of each length of a recipe's network, as regularized and with its batch, and its search score."""
    best: dict[int, tuple[Recipe, float]] = {}
    for row in read_lines(bench.run.trials):
        if row["state"] != "complete" or row["score"] is None:
            continue
        tried, value = bench.run.load_recipe(row["recipe"]), float(row["score"])
        sections = ((one.network, one.regularization, one.training.batch_size) for one in (tried, recipe))
        if len(set(map(repr, sections))) > 1:
            continue
        known = best.get(tried.training.steps)
        if known is None or gain(bench.dataset.info.metric, value, known[1]) > 0:
            best[tried.training.steps] = tried, value
    return [best[steps] for steps in sorted(best)]


# trials.jsonl


def append_trial(
    bench: Workbench,
    study: studies.OpenStudy,
    number: int,
    digest: str | None,
    result: TrainResult,
    rungs: Mapping[int, float],
    reused: bool,
) -> None:
    """Add a trial that has ended to `trials.jsonl`."""
    row = {
        "study": study.name,
        "number": number,
        "recipe": digest,
        "state": result.state,
        "score": result.score,
        "loss": result.loss,
        "rungs": rungs,
        "steps": result.steps,
        "seconds": round(result.seconds, 3),
        "reason": result.reason,
        "reused": reused,
    }
    append_line(bench.run.trials, json.dumps(to_dict(row)))


def mend_trials(bench: Workbench, study: studies.OpenStudy) -> None:
    """Add trials to `trials.jsonl` that were told, but killed before they were written down."""
    written = {(row["study"], row["number"]) for row in read_lines(bench.run.trials)}
    for record in studies.ended(study):
        if (study.name, record.number) in written:
            continue
        attrs = record.attrs
        result = TrainResult(
            state=attrs.get("state", record.state),
            steps=attrs.get("steps_run", attrs.get("steps", 0)),
            seconds=record.seconds,
            score=record.value,
            loss=attrs.get("loss"),
            reason=attrs.get("reason", ""),
        )
        reused = bool(attrs.get("reused", False))
        append_trial(bench, study, record.number, attrs.get("recipe_digest"), result, record.rungs, reused)
