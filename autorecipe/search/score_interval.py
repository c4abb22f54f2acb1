"""How far a test score would move: with the same recipe trained again, and on other examples.  Pure statistics.

Two trainings of one recipe differ in how well they have learned, and in which examples they happen to get right.  The
first is known from the paired runs of decisions; those are short, and what carries over to the finish is not its size
but its share of the error (of the error's odds, where right and wrong are counted: a trial that is hardly better than
chance has no room to differ).  The second depends on the examples scored: the fewer, the more it matters.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from autorecipe.data.metrics import METRICS, is_share
from autorecipe.errors import InputError
from autorecipe.recipe import Recipe
from autorecipe.results import DatasetInfo, Decision
from autorecipe.search import decide
from autorecipe.search.decide import PRIOR_DF, PRIOR_SEED_SHARE, error_of
from autorecipe.training.evaluate import score

LEVEL = 0.9
SHARED = 0.25
"""Share of the variance between seeds that averaging networks does not lessen: their errors have much in common."""
PRIOR_CHURN = {"count": 0.7, "size": 1.0, "regression": 0.15, "squares": 0.6}
"""Variance of the difference that one example makes between two trainings: over `unit_of` the error where right and
wrong are counted, over its square elsewhere.  Measured on ten trainings each: 0.83 on digits, 0.13 on diabetes, where
it explains nearly all of their standard deviation (`docs/log.md`); 1 for log loss
and functions of the user is a guess."""
OF_SAMPLING = {"count": 0.7, "size": 0.25, "regression": 0.25, "squares": 0.25}
"""The same over the variance that the choice of examples gives the score: what counts where few examples matter, as
the positives of a rare class."""
SQUARES = ("r2", "explained_variance", "mean_squared_error", "mean_squared_log_error", "mean_poisson_deviance")
SETTLED_STEPS, MOST_SHARE = 1000, 0.3
"""A convnet that is trained for fewer steps is still on its way down, and seeds differ in how far it has come: ten
trainings of 232 steps on digits have 0.65 to 0.78 (`docs/log.md`)."""
NEAR = 4.0
"""A trial with more than so many times the final error says little of which examples the final model gets wrong."""
GROUPS, FEWEST_GROUPS = 20, 5
"""Of a jackknife; and of one that was cut short."""
MOST_ROWS = 10_000
"""Examples that the jackknife looks at; the variance is scaled to all."""

Interval = tuple[float, float]


def score_interval(
    value: float,
    targets: np.ndarray,
    outputs: np.ndarray,
    info: DatasetInfo,
    recipe: Recipe,
    decisions: Sequence[Decision],
    evidence: Sequence[decide.Evidence],
    most_seconds: float = math.inf,
    level: float = LEVEL,
    clusters: np.ndarray | None = None,
) -> dict[str, Any] | None:
    """Where a test score would lie with the recipe trained again (`level`), and on other examples (90 %).

    Args:
        value: the score.
        targets: of the scored examples.
        outputs: of the model on them, as `evaluate.predict` gives them.
        info: metric and task.
        recipe: the final one.
        decisions: of the run.
        evidence: theirs.
        most_seconds: for the other examples.
        level: of the interval of retrainings.
        clusters: of each example the number of those it is one draw with, as `Splits.clusters` gives them.

    Returns:
        What `summary.json` tells; None if there is no score.
    """
    if not math.isfinite(value):
        return None
    members = recipe.finish.members
    spread = spread_between_seeds(evidence, decisions, value, len(targets), info, recipe.training.steps)
    most_seconds = most_seconds if clusters is None else most_seconds / 2
    other = another_sample(targets, outputs, value, info, recipe.finish.thresholds, most_seconds)
    sampling = 0.0 if other is None else other.variance
    again = retraining(spread, value, len(targets), info, members, sampling, level)
    if clusters is not None:  # others' examples come in groups of their own; two trainings are scored on the same ones
        other = another_sample(targets, outputs, value, info, recipe.finish.thresholds, most_seconds, clusters)
    seed_sd = again.pop("seed_sd")
    return {
        "level": level,
        "retraining": again,
        "sample": None if other is None else {"low": other.low, "high": other.high},
        "seed_sd": seed_sd,
        "reason": explain(spread, members, final_error(value, len(targets), info), info),
    }


@dataclass(frozen=True)
class Sample:
    """Where the score of the same model on as many other examples would lie."""

    low: float
    high: float
    variance: float
    """That the choice of examples gives the score."""


@dataclass(frozen=True)
class Spread:
    """How two trainings of one recipe, a single network each, differ."""

    share: float = PRIOR_SEED_SHARE
    """Standard deviation of the difference of their true scores, over `unit_of` the error."""
    churn: float = PRIOR_CHURN["count"]
    """As in `PRIOR_CHURN`."""
    df: float = PRIOR_DF
    pairs: int = 0
    """Paired runs that it was learned from, beside the prior; ..."""
    decisions: int = 0
    """... and the decisions that they were made for."""


def spread_between_seeds(
    evidence: Sequence[decide.Evidence],
    decisions: Sequence[Decision],
    value: float,
    num_examples: int,
    info: DatasetInfo,
    steps: int = SETTLED_STEPS,
) -> Spread:
    """What decisions say of the differences between seeds, pooled with the prior.

    The differences are paired by seed and held-out part, so what a part adds to both runs is gone; what it adds to one
    of them, the choice of examples, is taken out as in `decide.pool` and comes back as churn.  Differences between
    seeds of a convnet on its way down are carried over by the square root of what `prior_share` says of both lengths.

    Args:
        evidence: of the decisions, in any measure; those of the run's metric are taken.
        decisions: those that were measured.
        value: the final score.
        num_examples: examples that it was measured on.
        info: metric and task.
        steps: of the final training.
    """
    prior = prior_share(info.modality, steps)
    evidence = [
        replace(e, error=unit_of(e.error, info) * math.sqrt(prior_share(info.modality, e.steps or steps) / prior))
        for e in evidence
        if e.measure == info.metric
    ]
    squares, df = decide.pool(evidence)
    total = PRIOR_DF + df
    share = math.sqrt((PRIOR_DF * prior**2 + squares) / total)
    measured = [d for d in decisions if d.num_seeds and d.scores.get("incumbent")]
    churns = [PRIOR_CHURN[_kind(info)]]
    for decision in measured:
        error = error_of(info.metric, float(np.mean(decision.scores["incumbent"])), max(1, decision.num_examples))
        if error > NEAR * final_error(value, num_examples, info):
            continue
        of_one = decision.example_variance * max(1, decision.parts) * decision.num_examples / decision.num_seeds
        churns.append(of_one / unit_of(error, info) ** _power(info))
    return Spread(share, float(np.mean(churns)), total, sum(len(e.differences) for e in evidence), len(measured))


def prior_share(modality: str, steps: int) -> float:
    """The prior of `Spread.share` for a final training of so many steps."""
    unsettled = max(1.0, SETTLED_STEPS / max(1, steps)) if modality == "image" else 1.0
    return min(MOST_SHARE, PRIOR_SEED_SHARE * unsettled)


def _kind(info: DatasetInfo) -> str:
    if info.task == "regression":
        return "squares" if info.metric in SQUARES else "regression"
    return "count" if is_share(info.metric) else "size"


def unit_of(error: float, info: DatasetInfo) -> float:
    """What differences between trainings are measured by: the error; or, between 0 and 1, error x (1 - error)."""
    return error * max(0.05, 1 - error) if _kind(info) == "count" else error


def final_error(value: float, num_examples: int, info: DatasetInfo) -> float:
    """What is left to gain; no error among 30 examples does not mean that there is none."""
    error = error_of(info.metric, value)
    return (num_examples * error + 1) / (num_examples + 2) if _kind(info) == "count" else error


def _power(info: DatasetInfo) -> int:
    """Errors that are counted have a variance like their number; sizes have one like their square."""
    return 1 if _kind(info) == "count" else 2


def retraining(
    spread: Spread,
    value: float,
    num_examples: int,
    info: DatasetInfo,
    members: int = 1,
    sampling: float = 0.0,
    level: float = LEVEL,
) -> dict[str, float]:
    """Where the score of the same recipe would lie, trained again with another seed and scored on the same examples.

    Args:
        spread: from `spread_between_seeds`.
        value: the score.
        num_examples: examples that it was measured on.
        info: metric and task.
        members: networks whose predictions are averaged.
        sampling: variance that the choice of examples gives the score; 0: unknown.
        level: of the interval.

    Returns:
        `low` and `high`, the prediction interval; and `seed_sd`, the standard deviation of one training's score.
    """
    unit = unit_of(final_error(value, num_examples, info), info)
    of_examples = spread.churn * unit ** _power(info) / max(1, num_examples)
    between = spread.share**2 * unit**2 + max(of_examples, OF_SAMPLING[_kind(info)] * sampling)
    between *= SHARED + (1 - SHARED) / members
    half = float(special.stdtrit(spread.df, (1 + level) / 2)) * math.sqrt(between)
    low, high = within(info.metric, value, value - half, value + half)
    return {"low": low, "high": high, "seed_sd": math.sqrt(between / 2)}


def within(metric: str, value: float, low: float, high: float) -> Interval:
    """An interval around a score, cut where the metric ends."""
    known = METRICS[metric]
    if known.best is not None and known.higher:
        high = min(high, known.best)
    if known.best is not None and not known.higher:
        low = max(low, known.best)
    if metric in _FROM_ZERO:
        low = max(low, 0.0)
    if metric == "hamming_loss":
        high = min(high, 1.0)
    return min(low, value), max(high, value)


_FROM_ZERO = {
    name
    for name, metric in METRICS.items()
    if metric.higher
    and metric.best == 1.0
    and "regression" not in metric.tasks
    and not name.startswith(("matthews", "d2_"))
}
"""Metrics from 0 to 1."""


def another_sample(
    targets: np.ndarray,
    outputs: np.ndarray,
    value: float,
    info: DatasetInfo,
    thresholds: Sequence[float] = (),
    most_seconds: float = math.inf,
    clusters: np.ndarray | None = None,
) -> Sample | None:
    """Where the score of the same model on as many other examples would lie, 90 %.

    Of the accuracy the beta-binomial prediction with Jeffreys' prior; of other metrics a jackknife that leaves out one
    of 20 groups of examples in turn (Shao and Wu 1989), as also of the accuracy where examples come in clusters: these
    are then left out whole; where all are right, each counts as one in the beta-binomial.

    Args:
        targets: of the scored examples.
        outputs: of the model on them, as `evaluate.predict` gives them.
        value: the score.
        info: metric and task.
        thresholds: of the recipe.
        most_seconds: after which no further group is left out.
        clusters: of each example the number of those it is one draw with, from 0 [N]; None: examples are independent.

    Returns:
        None for fewer than 3 examples or 5 clusters, where a group cannot be scored, or where there is no time.
    """
    count = len(targets)
    if count < 3 or not math.isfinite(value):
        return None
    if info.metric == "accuracy" and clusters is None:
        low, high = _beta_binomial(round(value * count), count)
        return Sample(min(low / count, value), max(high / count, value), value * (1 - value) / count)
    draw = np.random.default_rng(0)
    random = draw.permutation(count)[:MOST_ROWS]
    place, share = np.arange(len(random)), len(random) / count
    if clusters is not None:
        place, share = draw.permutation(clusters.max() + 1)[clusters[random]], 1.0
    groups = min(GROUPS, len(np.unique(place)))
    if groups < FEWEST_GROUPS and clusters is not None:
        return None
    without: list[float] = []
    begin = time.monotonic()
    for g in range(groups):
        rows = random[place % groups != g]
        try:
            without.append(score(info.metric, targets[rows], outputs[rows], info, thresholds))
        except (InputError, ValueError):  # a class of which no example is left
            return None
        if time.monotonic() - begin > most_seconds:
            break
    if len(without) < min(FEWEST_GROUPS, groups) or not np.isfinite(without).all():
        return None
    variance = (groups - 1) ** 2 / groups * float(np.var(without, ddof=1)) * share
    if info.metric == "accuracy" and clusters is not None and not variance:  # all right, or all wrong
        draws = int(clusters.max()) + 1
        low, high = _beta_binomial(round(value * draws), draws)
        return Sample(min(low / draws, value), max(high / draws, value), 0.0)
    half = float(special.stdtrit(len(without) - 1, (1 + LEVEL) / 2)) * math.sqrt(2 * variance)
    return Sample(*within(info.metric, value, value - half, value + half), variance)


def _beta_binomial(right: int, count: int) -> tuple[int, int]:
    """The 5 % and 95 % quantile of how many of `count` others are right."""
    a, b, k = right + 0.5, count - right + 0.5, np.arange(count + 1)
    log = (
        special.gammaln(count + 1)
        - special.gammaln(k + 1)
        - special.gammaln(count - k + 1)
        + special.betaln(k + a, count - k + b)
        - special.betaln(a, b)
    )
    below = np.cumsum(np.exp(log))
    return int(np.searchsorted(below, (1 - LEVEL) / 2)), min(count, int(np.searchsorted(below, (1 + LEVEL) / 2)))


def explain(spread: Spread, members: int, error: float, info: DatasetInfo) -> str:
    """What the retraining interval rests on, in a sentence; `error` is the final one."""
    of_error = spread.share * unit_of(error, info) / error
    source = "the shipped prior alone, since no decision was measured"
    if spread.pairs:
        decisions = f"{spread.decisions} decision{'s' * (spread.decisions != 1)}"
        source = f"{spread.pairs} paired runs of {decisions}, and the shipped prior"
    several = f"; {members} networks are averaged, which lessens it" if members > 1 else ""
    return (
        f"between two trainings the error differs by about {of_error:.1%} of itself ({source}), and by the test "
        f"examples that one gets right and the other wrong{several}"
    )
