"""Scores as points of a curve of error against compute, and what is known of such curves beforehand."""

import math

import numpy as np
from scipy import special

from autorecipe.data.metrics import METRICS, is_share
from autorecipe.errors import InputError
from autorecipe.results import DatasetInfo
from autorecipe.search.decide import error_of, log_error_spread
from autorecipe.search.foresight import UNIT, CurvePrior, GrowthPrior, Point, error_from, log_odds
from autorecipe.training.evaluate import score

# begin: python benchmarks/foresight_prior.py --write
PRIORS = {
    "image": CurvePrior(
        level=(-1.965, 1.218),
        log_rate=(0.056, 0.65),
        logit_floor=(-1.3, 1.2),
        correlation=0.574,
        noise=0.136,
        members=(0.194, 0.159),
        data=(-0.008, 0.18),
        views=(0.183, 0.179),
        wider=GrowthPrior((0.069, 0.093), (0.441, 0.386), 0.069),
        deeper=GrowthPrior((0.058, 0.093), (0.28, 0.457), 0.087),
    ),
    "table of classes": CurvePrior(
        level=(-0.565, 1.721),
        log_rate=(-0.633, 1.307),
        logit_floor=(-0.817, 2.306),
        correlation=-0.552,
        noise=0.073,
        members=(0.118, 0.113),
        data=(0.171, 0.168),
        views=(0.0, 0.0),
        wider=GrowthPrior((0.022, 0.091), (0.196, 0.347), 0.046),
        deeper=GrowthPrior((0.006, 0.073), (0.177, 0.349), 0.039),
    ),
    "table of values": CurvePrior(
        level=(-0.775, 1.0),
        log_rate=(-0.594, 0.619),
        logit_floor=(-0.218, 0.865),
        correlation=0.199,
        noise=0.038,
        members=(0.021, 0.014),
        data=(0.057, 0.053),
        views=(0.0, 0.0),
        wider=GrowthPrior((0.011, 0.075), (0.013, 0.42), 0.037),
        deeper=GrowthPrior((-0.035, 0.077), (0.377, 0.394), 0.033),
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
    return Point(seen / UNIT, log_odds(error_on(info, value, scored), constant), hardly_begun(steps), runs)


def hardly_begun(steps: int) -> float:
    """How far log odds after so few steps may be off their curve: a standard deviation."""
    return HARDLY_BEGUN * max(0.0, math.log(SETTLED_STEPS / max(1, steps)))


def error_on(info: DatasetInfo, value: float, scored: int) -> float:
    """The error of a score on so many examples; see `point_of`."""
    error = error_of(info.metric, value)
    return (error * scored + 0.5) / (scored + 1) if is_share(info.metric) else error


def spread_of_odds(info: DatasetInfo, constant: float, error: float, scored: int) -> float:
    """Standard deviation of the log odds that comes from the choice of examples."""
    of_log = log_error_spread(error, scored, info.task == "regression")
    return of_log * _odds_over_ratio(error, constant)


def lead_in_odds(gain: float, spread: float, error: float, constant: float | None) -> tuple[float, float]:
    """A log ratio of errors as a difference of log odds, with its standard deviation.

    Args:
        gain: positive is better.
        spread: its standard deviation.
        error: of the worse one, where `gain` is positive.
        constant: from `error_of_constant`; None: the ratio itself is all that can be said.
    """
    if constant is None:
        return gain, spread
    better = error * math.exp(-gain)
    return log_odds(error, constant) - log_odds(better, constant), spread * _odds_over_ratio(better, constant)


def lead_in_errors(gain: float, spread: float, error: float | None, constant: float | None) -> tuple[float, float]:
    """The other way round: a difference of log odds as a log ratio of errors.

    Args:
        gain: positive is better.
        spread: its standard deviation.
        error: of the worse one, where `gain` is positive.
        constant: from `error_of_constant`.
    """
    if constant is None or error is None:
        return gain, spread
    better = error_from(log_odds(error, constant) - gain, constant)
    worse = error_from(log_odds(error, constant), constant)
    return math.log(worse / better), spread / _odds_over_ratio(better, constant)


def _odds_over_ratio(error: float, constant: float) -> float:
    """How fast log odds change with the log of the error."""
    return constant / max(constant - error, 0.02 * constant)
