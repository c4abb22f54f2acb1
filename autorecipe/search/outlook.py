"""What the agent does with foresight: the final score, said before the final training, and what it would be elsewhere.

The points are what the search has measured of the recipe that is finished: fresh seeds of its decision runs, the race,
and runs of several lengths.  Readings in the middle of a schedule are left out: before the cooldown they are worse.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace as replace_record
from typing import Any

import numpy as np

from autorecipe.data.metrics import METRICS
from autorecipe.recipe import FinishSection, Recipe, ScheduleSection, TrainingSection, replace
from autorecipe.rundir import write_json
from autorecipe.search.decide import error_of, log_error_spread
from autorecipe.search.final_race import raced
from autorecipe.search.foresight import (
    LEVEL,
    UNIT,
    CurvePrior,
    Forecast,
    Point,
    Posterior,
    gain_of_data,
    gain_of_members,
    learn,
)
from autorecipe.search.ledger import load_decisions
from autorecipe.search.length import of_length, runs_of_lengths
from autorecipe.search.polish import num_views, test_time_augmentations
from autorecipe.search.summary import keeps_confirm
from autorecipe.search.tried import recorded_score
from autorecipe.search.workbench import Workbench

# begin: python benchmarks/foresight_prior.py --write
PRIORS = {
    "image": CurvePrior(
        level=(-1.3, 0.8),
        log_rate=(-0.5, 0.4),
        logit_floor=(-1.2, 0.9),
        correlation=0.0,
        noise=0.05,
        members=(0.1, 0.05),
        data=(0.3, 0.15),
        views=(0.04, 0.03),
    ),
    "table": CurvePrior(
        level=(-1.0, 1.0),
        log_rate=(-0.5, 0.5),
        logit_floor=(-1.5, 1.2),
        correlation=0.0,
        noise=0.05,
        members=(0.08, 0.06),
        data=(0.3, 0.2),
        views=(0.0, 0.0),
    ),
}
# end
"""By modality, with the spread over the data sets that `benchmarks/foresight_prior.py` trains on."""
UNKNOWN_LEVEL = 10.0
"""Standard deviation of the level where the metric's scale is not one that the prior was measured in."""
WON = 0.05
"""Of the log error of a search score: its trial won there."""
LONG = 3600.0
"""Seconds of a budget from which on the score at others is foretold."""
OTHERS = (0.25, 0.5, 2.0, 4.0)
"""Such budgets, as multiples of the run's own."""

Row = dict[str, Any]


def tell_foresight(bench: Workbench, incumbent: Recipe, final: Recipe) -> Row | None:
    """Say what the final training will score on test, and write it to `artifacts/foresight.json`.

    Args:
        bench: the workbench.
        incumbent: the winner of the search, with the steps of its trial.
        final: what will be trained, with its steps as far as one can tell.

    Returns:
        What was written; None where nothing was measured, or nobody knows the metric's best value.
    """
    metric = bench.dataset.info.metric
    rows = measured_rows(bench, incumbent) if METRICS[metric].best is not None else []
    if not rows:
        forget_foresight(bench)
        return None
    posterior = learn(_prior(bench), [_point(bench, row, final) for row in rows])
    seen = final.training.steps * final.training.batch_size
    predicted, interval = _scores(bench, _forecast(bench, posterior, rows, final, seen))
    fields: Row = {
        "metric": metric,
        "on": "test",
        "predicted": predicted,
        "interval": interval,
        "level": LEVEL,
        "basis": _basis(rows),
        "points": rows,
        "finish": {
            "steps": final.training.steps,
            "examples_seen": seen,
            "members": final.finish.members,
            "train_on": final.training.train_on,
        },
        "budgets": _elsewhere(bench, posterior, rows, final, seen),
    }
    write_json(bench.run.foresight, fields)
    bench.say("foresight", **{name: fields[name] for name in fields if name not in ("points", "finish")})
    return fields


def forget_foresight(bench: Workbench) -> None:
    """Remove what was foretold: no final training that it is of will be scored."""
    bench.run.foresight.unlink(missing_ok=True)


def _elsewhere(
    bench: Workbench, posterior: Posterior, rows: Sequence[Row], final: Recipe, seen: float
) -> list[dict[str, Any]]:
    """The same recipe's score with other budgets, for runs of an hour and more; a larger one might find a better."""
    total = bench.budget.seconds
    if total is None or total < LONG:
        return []
    found = []
    for factor in OTHERS:
        predicted, interval = _scores(bench, _forecast(bench, posterior, rows, final, factor * seen))
        found.append({"factor": factor, "seconds": factor * total, "predicted": predicted, "interval": interval})
    return found


# What was measured


def measured_rows(bench: Workbench, incumbent: Recipe) -> list[Row]:
    """Complete runs of the recipe that the search has made, each with its score and what that was measured on."""
    rows = [*_fresh_rows(bench, incumbent), *_race_rows(bench, incumbent)]
    val, train = len(bench.dataset.splits.val), len(bench.dataset.splits.train)
    if not rows and (score := recorded_score(bench, incumbent)) is not None:
        rows.append(_row("the trial that won", incumbent, score, val, train))
    for recipe, result in runs_of_lengths(bench, incumbent):
        if result.score is not None:
            rows.append(_row("a longer run", recipe, result.score, val, train))
    return rows


def _row(kind: str, recipe: Recipe, score: float, scored: int, trained_on: int, runs: int = 1) -> Row:
    return {
        "kind": kind,
        "steps": recipe.training.steps,
        "examples_seen": recipe.training.steps * recipe.training.batch_size,
        "score": score,
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
    trained_on = len(bench.dataset.splits.held_out(0)[0])
    return [
        _row("fresh seeds", recipe, float(np.mean(scores)), examples, trained_on, len(scores))
        for recipe, scores, examples in found.values()
    ]


def _race_rows(bench: Workbench, incumbent: Recipe) -> list[Row]:
    """The incumbent's run of the race."""
    race = raced(bench)
    if race is None or race.winner != incumbent.digest or not race.scores:
        return []
    train, held_out = bench.dataset.splits.held_out(0)
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


# From scores to the curve and back


def _prior(bench: Workbench) -> CurvePrior:
    """The prior of the data's modality; without a level where the metric is no share of 1."""
    prior, metric = PRIORS[bench.dataset.info.modality], bench.dataset.info.metric
    if METRICS[metric].best == 1.0 or metric == "rmse":
        return prior
    return replace_record(prior, level=(prior.level[0], UNKNOWN_LEVEL))


def _scale(bench: Workbench) -> float:
    """The error of the mean, for an rmse; 1 for shares."""
    if bench.dataset.info.metric != "rmse":
        return 1.0
    return max(1e-9, float(bench.dataset.targets.numpy()[bench.dataset.splits.train].std()))


def _log_error(bench: Workbench, score: float, scored: int) -> float:
    """Log error of a score; half an example is wrong where none is."""
    error = error_of(bench.dataset.info.metric, score) / _scale(bench)
    return math.log(max(error, 0.5 / max(1, scored)))


def _spread(bench: Workbench, log_error: float, scored: int) -> float:
    return log_error_spread(math.exp(log_error), scored, bench.dataset.info.task == "regression")


def _point(bench: Workbench, row: Mapping[str, Any], final: Recipe) -> Point:
    """A measured run as a point of the final recipe's curve, on as many training examples as that will have."""
    value = _log_error(bench, row["score"], row["scored"])
    spread = _spread(bench, value, row["scored"])
    gain, _ = gain_of_data(PRIORS[final.data.modality], row["trained_on"], _trained_on(bench, final))
    won = WON if row["kind"] == "the trial that won" else 0.0
    return Point(row["examples_seen"] / UNIT, value - gain, math.hypot(spread, won), row["runs"])


def _trained_on(bench: Workbench, final: Recipe) -> int:
    return len(bench.dataset.splits.rows(final.training.train_on))


def _forecast(
    bench: Workbench, posterior: Posterior, rows: Sequence[Mapping[str, Any]], final: Recipe, seen: float
) -> Forecast:
    """Log error on test of the final recipe after so many examples for each of its networks."""
    prior = PRIORS[final.data.modality]
    gains = [gain_of_members(prior, final.finish.members)]
    if keeps_confirm(bench, final) and any(num_views(replace(final, c)) > 1 for _, c in test_time_augmentations(final)):
        gains.append(prior.views)
    points = gain_of_data(prior, rows[0]["trained_on"], _trained_on(bench, final))
    total = sum(mean for mean, _ in gains)
    first = posterior.forecast(seen / UNIT, total)
    of_test = _spread(bench, first.median, len(bench.dataset.splits.test))
    return posterior.forecast(seen / UNIT, total, math.hypot(of_test, points[1], *(sd for _, sd in gains)))


def _scores(bench: Workbench, found: Forecast) -> tuple[float, tuple[float, float]]:
    """A forecast in the metric, its interval from low to high."""
    info = bench.dataset.info
    best, higher = METRICS[info.metric].best, METRICS[info.metric].higher
    assert best is not None
    sign, scale = (-1.0 if higher else 1.0), _scale(bench)
    middle, *ends = (best + sign * scale * math.exp(value) for value in (found.median, found.low, found.high))
    return middle, (min(ends), max(ends))
