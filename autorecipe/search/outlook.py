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
from scipy import special

from autorecipe.data.metrics import METRICS, is_share
from autorecipe.errors import InputError
from autorecipe.recipe import FinishSection, Recipe, ScheduleSection, TrainingSection, replace
from autorecipe.results import DatasetInfo
from autorecipe.rundir import write_json
from autorecipe.search.decide import error_of, log_error_spread
from autorecipe.search.final_race import raced
from autorecipe.search.foresight import (
    LEVEL,
    UNIT,
    CurvePrior,
    Point,
    Posterior,
    error_from,
    gain_of_data,
    gain_of_members,
    learn,
    log_odds,
)
from autorecipe.search.ledger import load_decisions
from autorecipe.search.length import of_length, runs_of_lengths
from autorecipe.search.polish import test_time_augmentations
from autorecipe.search.summary import keeps_confirm
from autorecipe.search.tried import recorded_score
from autorecipe.search.workbench import Workbench
from autorecipe.training.evaluate import score

# begin: python benchmarks/foresight_prior.py --write
PRIORS = {
    "image": CurvePrior(
        level=(-1.845, 1.215),
        log_rate=(-0.075, 0.531),
        logit_floor=(-1.494, 1.205),
        correlation=0.458,
        noise=0.147,
        members=(0.161, 0.137),
        data=(-0.008, 0.18),
        views=(0.206, 0.21),
    ),
    "table of classes": CurvePrior(
        level=(-0.557, 1.729),
        log_rate=(-0.775, 0.667),
        logit_floor=(-0.942, 1.156),
        correlation=-0.349,
        noise=0.077,
        members=(0.121, 0.104),
        data=(0.171, 0.168),
        views=(0.0, 0.0),
    ),
    "table of values": CurvePrior(
        level=(-0.783, 1.0),
        log_rate=(-0.669, 0.566),
        logit_floor=(-0.353, 0.971),
        correlation=0.235,
        noise=0.041,
        members=(0.022, 0.016),
        data=(0.057, 0.053),
        views=(0.0, 0.0),
    ),
}
# end
"""By kind of data, with the spread over the data sets that `benchmarks/foresight_prior.py` trains on."""
WON = 0.05
"""Of the log odds of a search score: its trial won there."""
SETTLED_STEPS = 100
"""Runs of fewer steps have hardly begun, and the curve's form does not hold for them; ..."""
HARDLY_BEGUN = 0.5
"""... they may be off it by so much in log odds for each e-fold that they are shorter."""
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
    constant = _constant(bench) if METRICS[metric].best is not None else None
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


# From scores to the curve and back


def error_of_constant(info: DatasetInfo, targets: np.ndarray) -> float | None:
    """Error of the best constant prediction: the frequencies of classes or labels, or the mean.

    None where the metric says nothing of a constant, as a user's correlation does, or calls it perfect.

    Args:
        info: task and metric.
        targets: as `score` takes them, of the training examples.
    """
    if info.task == "regression":
        constant = np.array([targets.mean()])
    elif info.task == "multilabel":
        constant = special.logit(np.clip(targets.mean(0), 1e-4, 1 - 1e-4))
    else:
        constant = np.log(np.maximum(np.bincount(targets, minlength=info.num_outputs), 0.5))
    try:
        value = score(info.metric, targets, np.tile(constant, (len(targets), 1)), info)
    except InputError:
        return None
    return error_of(info.metric, value) if math.isfinite(value) and value != METRICS[info.metric].best else None


def prior_of(info: DatasetInfo) -> CurvePrior:
    """The prior for a kind of data: images, tables with classes, tables with values."""
    return PRIORS[kind_of(info)]


def kind_of(info: DatasetInfo) -> str:
    """A key of `PRIORS`."""
    if info.modality == "image":
        return "image"
    return "table of values" if info.task == "regression" else "table of classes"


def point_of(
    info: DatasetInfo, constant: float, value: float, scored: int, seen: float, steps: int, runs: int = 1
) -> Point:
    """A score as a point of the curve.

    Its spread leaves out the choice of examples: runs that are scored on the same ones are too high or too low
    together, which says nothing of the curve between them.

    Args:
        info: task and metric.
        constant: from `error_of_constant`.
        value: the score.
        scored: examples that it was measured on.  Of a share half an example more is wrong, the posterior mean of
            Jeffreys' prior: none wrong of a hundred is no error of zero.
        seen: examples that were trained on, repetitions counted.
        steps: that it was trained for.
        runs: seeds that it is the mean of.
    """
    early = HARDLY_BEGUN * max(0.0, math.log(SETTLED_STEPS / max(1, steps)))
    return Point(seen / UNIT, log_odds(_error(info, value, scored), constant), early, runs)


def _error(info: DatasetInfo, value: float, scored: int) -> float:
    error = error_of(info.metric, value)
    return (error * scored + 0.5) / (scored + 1) if is_share(info.metric) else error


def _spread(info: DatasetInfo, constant: float, error: float, scored: int) -> float:
    """Standard deviation of the log odds that comes from the choice of examples."""
    of_log = log_error_spread(error, scored, info.task == "regression")
    return of_log * constant / max(constant - error, 0.02 * constant)


def _constant(bench: Workbench) -> float | None:
    return error_of_constant(bench.dataset.info, bench.dataset.targets.numpy()[bench.dataset.splits.train])


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
    measured = min(_spread(info, constant, _error(info, row["score"], row["scored"]), row["scored"]) for row in rows)
    total = sum(mean for mean, _ in gains)
    likely = error_from(posterior.forecast(seen / UNIT, total).median, constant)
    of_test = _spread(info, constant, likely, len(bench.dataset.splits.test))
    found = posterior.forecast(seen / UNIT, total, math.hypot(measured, of_test, more_data, *(sd for _, sd in gains)))
    best, sign = METRICS[info.metric].best, -1.0 if METRICS[info.metric].higher else 1.0
    assert best is not None
    middle, *ends = (best + sign * error_from(odds, constant) for odds in (found.median, found.low, found.high))
    return middle, (min(ends), max(ends))
