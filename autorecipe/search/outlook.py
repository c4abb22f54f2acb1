"""What the agent does with foresight: the final score, said before the final training, and what it would be elsewhere.

The points are what the search has measured of the recipe that is finished: fresh seeds of its decision runs, the race,
and runs of several lengths.  Readings in the middle of a schedule are left out: before the cooldown they are worse.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace as replace_record
from functools import partial
from typing import Any

import numpy as np

from autorecipe.data.metrics import METRICS
from autorecipe.recipe import FinishSection, Recipe, ScheduleSection, TrainingSection, replace
from autorecipe.rundir import write_json
from autorecipe.search.curves import WON, error_on, point_of, prior_of, spread_of_odds
from autorecipe.search.final_race import raced
from autorecipe.search.foresight import (
    LEVEL,
    UNIT,
    Point,
    Posterior,
    error_from,
    gain_of_data,
    gain_of_members,
    learn,
)
from autorecipe.search.ledger import load_decisions
from autorecipe.search.length import of_length, runs_of_lengths
from autorecipe.search.polish import test_time_augmentations
from autorecipe.search.summary import keeps_confirm
from autorecipe.search.tried import recorded_score
from autorecipe.search.workbench import Workbench

LONG = 3600.0
"""Seconds of a budget from which on the score at others is foretold."""
LIKE_EARLIER = "later examples are like earlier ones"
"""With `--time` test is later than all that was measured; how far it has drifted, no curve of error knows."""
OTHERS = (0.25, 0.5, 2.0, 4.0)
"""Such budgets, as multiples of the run's own."""

Row = dict[str, Any]


def tell_foresight(bench: Workbench, incumbent: Recipe, final: Recipe, affordable: int) -> Row | None:
    """Say what the final training will score on test, and write it to `artifacts/foresight.json`.

    Args:
        bench: the workbench.
        incumbent: the winner of the search, with the steps of its trial.
        final: what will be trained, with its steps as far as one can tell.
        affordable: steps that there is time for: more than the final ones where longer training was measured to be
            worse.

    Returns:
        What was written; None where nothing was measured, or nobody knows the metric's best value.
    """
    metric = bench.dataset.info.metric
    constant = bench.error_of_constant
    rows = [row for row in measured_rows(bench, incumbent) if math.isfinite(row["score"])]
    if constant is None or not rows:
        forget_foresight(bench)
        return None
    posterior = learn(prior_of(bench.dataset.info), [_point(bench, row, constant, final) for row in rows])
    foretell = partial(_foretell, bench, posterior, constant, rows, final)
    seen = final.training.steps * final.training.batch_size
    predicted, interval = foretell(seen)
    fields: Row = {
        "metric": metric,
        "on": "test",
        "predicted": predicted,
        "interval": interval,
        "level": LEVEL,
        "basis": _basis(rows),
        "assuming": None if bench.dataset.splits.order is None else LIKE_EARLIER,
        "points": rows,
        "finish": {
            "steps": final.training.steps,
            "examples_seen": seen,
            "members": final.finish.members,
            "train_on": final.training.train_on,
        },
        "budgets": _elsewhere(bench.budget.seconds, foretell, seen, affordable * final.training.batch_size),
    }
    write_json(bench.run.foresight, fields)
    bench.say("foresight", **{name: fields[name] for name in fields if name not in ("points", "finish")})
    return fields


def forget_foresight(bench: Workbench) -> None:
    """Remove what was foretold: no final training that it is of will be scored."""
    bench.run.foresight.unlink(missing_ok=True)


def _elsewhere(
    total: float | None, foretell: Callable[[float], tuple[float, tuple[float, float]]], seen: float, affordable: float
) -> list[Row]:
    """The same recipe's score with other budgets, for runs of an hour and more; a larger one might find a better.

    Where the final training is shorter than its time allows, for longer is worse, a larger budget does not lengthen it.
    """
    if total is None or total < LONG:
        return []
    found = []
    for factor in OTHERS:
        there = factor * affordable
        predicted, interval = foretell(min(there, seen) if affordable > seen else there)
        found.append({"factor": factor, "seconds": factor * total, "predicted": predicted, "interval": interval})
    return found


# What was measured


def measured_rows(bench: Workbench, incumbent: Recipe) -> list[Row]:
    """Complete runs of the recipe that the search has made, each with its score and what that was measured on."""
    rows = [*_fresh_rows(bench, incumbent), *_race_rows(bench, incumbent)]
    val, train = len(bench.dataset.splits.val), len(bench.dataset.splits.train)
    if not rows and (won := recorded_score(bench, incumbent)) is not None:
        rows.append(_row("the trial that won", incumbent, won, val, train))
    for recipe, result in runs_of_lengths(bench, incumbent):
        if result.score is not None:
            rows.append(_row("a longer run", recipe, result.score, val, train))
    return rows


def _row(kind: str, recipe: Recipe, value: float, scored: int, trained_on: int, runs: int = 1) -> Row:
    return {
        "kind": kind,
        "steps": recipe.training.steps,
        "examples_seen": recipe.training.steps * recipe.training.batch_size,
        "score": value,
        "scored": scored,
        "trained_on": trained_on,
        "runs": runs,
    }


def _fresh_rows(bench: Workbench, incumbent: Recipe) -> list[Row]:
    """Fresh seeds of decisions, of recipes that differ from the incumbent in learning rate and length at most."""
    found: dict[str, tuple[Recipe, tuple[float, ...], int]] = {}
    for decision in load_decisions(bench.run):
        for who, digest in (("incumbent", decision.incumbent), ("candidate", decision.candidate)):
            scores = decision.scores.get(who, ())
            if len(scores) <= len(found[digest][1] if digest in found else ()):
                continue
            recipe = bench.run.load_recipe(digest)
            if _alike(recipe) == _alike(incumbent):
                found[digest] = recipe, scores, decision.num_examples
    splits = bench.dataset.splits
    rows = []
    for recipe, scores, examples in found.values():
        trained_on = round(float(np.mean([len(splits.held_out(seed)[0]) for seed in range(len(scores))])))
        rows.append(_row("fresh seeds", recipe, float(np.mean(scores)), examples, trained_on, len(scores)))
    return rows


def _race_rows(bench: Workbench, incumbent: Recipe) -> list[Row]:
    """The incumbent's run of the race."""
    race = raced(bench)
    if race is None or race.winner != incumbent.digest or not race.scores:
        return []
    train, held_out = bench.dataset.splits.held_out(race.seed)
    longer = of_length(incumbent, race.steps[race.winner])
    return [_row("the race", longer, race.scores[race.winner], len(held_out), len(train))]


def _alike(recipe: Recipe) -> str:
    """Digest of what makes the curve of a recipe."""
    same = replace(recipe, {"optimizer.lr": 1.0, "regularization.averaging": 0.0})
    training = TrainingSection(batch_size=recipe.training.batch_size)
    return replace_record(same, schedule=ScheduleSection(), training=training, finish=FinishSection()).digest


def _basis(rows: Sequence[Row]) -> str:
    """What the prediction rests on, in words."""
    count = {True: "{runs} {kind} of {steps:,} steps", False: "{kind} of {steps:,} steps"}
    told = [count[row["runs"] > 1].format(**row) for row in rows]
    return ", ".join(told) + ", and the curves of other data sets"


# From points to what is foretold


def _point(bench: Workbench, row: Row, constant: float, final: Recipe) -> Point:
    """A measured run as a point of the final recipe's curve, on as many training examples as that will have."""
    info = bench.dataset.info
    point = point_of(info, constant, row["score"], row["scored"], row["examples_seen"], row["steps"], row["runs"])
    gain, _ = gain_of_data(prior_of(info), row["trained_on"], _trained_on(bench, final))
    won = WON if row["kind"] == "the trial that won" else 0.0
    return replace_record(point, log_odds=point.log_odds - gain, spread=math.hypot(point.spread, won))


def _trained_on(bench: Workbench, final: Recipe) -> int:
    return len(bench.dataset.splits.rows(final.training.train_on))


def _foretell(
    bench: Workbench, posterior: Posterior, constant: float, rows: Sequence[Row], final: Recipe, seen: float
) -> tuple[float, tuple[float, float]]:
    """Score on test of the final recipe after so many examples for each of its networks, and its interval.

    Args:
        bench: the workbench.
        posterior: of the recipe's curve.
        constant: from `error_of_constant`.
        rows: the measured runs.
        final: the recipe.
        seen: examples.
    """
    info, prior = bench.dataset.info, prior_of(bench.dataset.info)
    gains = [gain_of_members(prior, final.finish.members)]
    if keeps_confirm(bench, final) and test_time_augmentations(final):
        gains.append(prior.views)
    more_data = gain_of_data(prior, rows[0]["trained_on"], _trained_on(bench, final))[1]  # its mean is in the points
    measured = min(
        spread_of_odds(info, constant, error_on(info, row["score"], row["scored"]), row["scored"]) for row in rows
    )
    total = sum(mean for mean, _ in gains)
    likely = error_from(posterior.forecast(seen / UNIT, total).median, constant)
    of_test = spread_of_odds(info, constant, likely, len(bench.dataset.splits.test))
    found = posterior.forecast(seen / UNIT, total, math.hypot(measured, of_test, more_data, *(sd for _, sd in gains)))
    best, sign = METRICS[info.metric].best, -1.0 if METRICS[info.metric].higher else 1.0
    assert best is not None
    middle, *ends = (best + sign * error_from(odds, constant) for odds in (found.median, found.low, found.high))
    return middle, (min(ends), max(ends))
