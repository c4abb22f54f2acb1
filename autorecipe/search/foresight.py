"""Foresight: the error of a recipe as a function of compute, as far as prior and measurements say.

The error of one recipe after compute C is a + b C^-c (Hestness et al. 2017, "Deep Learning Scaling is Predictable,
Empirically"), read after cooldown.  A run that has hardly begun is as bad as one constant prediction, and there the
form does not hold; the odds of the error, error / (constant's error - error), are as good as the error itself where it
is small, and are seen to fall as a power from the beginning on.  So the curve is that of the odds:

    log odds(C) = level + log(floor + (1 - floor) C^-rate)

where `level` is that at C = 1 and `floor` the share of it that no compute takes away.  The prior is normal in level,
log rate and logit floor.  Rate and floor are summed over on a grid, the level is exact: so the posterior has no
chance in it and takes some milliseconds.  Compute is counted in examples seen, in units of `UNIT`.

A larger network that has seen as many examples has less error, in log odds by

    gain(C) = lasting + early steepness(C)

where `steepness` is by how much the smaller one's log odds still fall with each e-fold of compute: `early` is then the
log of how many times as many examples the smaller one would have to see, and `lasting` is what remains when both have
seen all they want.  At equal time the larger network sees fewer examples, and so loses what the smaller one's curve
falls in between.  This is most in short trials, which is why they favour small networks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

UNIT = 10_000.0
"""Examples seen that are one unit of compute."""
LEVEL = 0.8
"""Of the intervals."""
FASTEST = 4.0
"""No error is taken to fall by a higher power of compute."""
CELLS, REACH = 121, 3.5
"""Cells of the grid in each direction, and how many standard deviations it reaches."""

Normal = tuple[float, float]
"""Mean and standard deviation."""


@dataclass(frozen=True)
class GrowthPrior:
    """How much less error larger networks have had on other data sets, for each doubling or block."""

    lasting: Normal
    """In log odds, where nothing falls any more."""
    early: Normal
    """In log odds, for each of steepness."""
    noise: float
    """Standard deviation of a gain around that, at one compute: what the form leaves."""


NO_GROWTH = GrowthPrior((0.0, 0.0), (0.0, 0.0), 0.0)


@dataclass(frozen=True)
class CurvePrior:
    """How the error has fallen with compute on other data sets."""

    level: Normal
    """Log odds of the error at one unit of compute."""
    log_rate: Normal
    logit_floor: Normal
    correlation: float
    """Of log rate and logit floor over data sets."""
    noise: float
    """Standard deviation of one run's log odds around its curve: the seed, and what the form leaves."""
    members: Normal = (0.0, 0.0)
    """Gain in log odds of four networks that are averaged, over one."""
    data: Normal = (0.0, 0.0)
    """Gain in log odds for each e-fold of training examples, at the same compute."""
    views: Normal = (0.0, 0.0)
    """Gain in log odds of the average over shifted or mirrored images."""
    wider: GrowthPrior = NO_GROWTH
    """Of a network twice as wide."""
    deeper: GrowthPrior = NO_GROWTH
    """Of one more block."""


@dataclass(frozen=True)
class Point:
    """A measured error of the recipe, as `log_odds` gives it."""

    compute: float
    log_odds: float
    spread: float = 0.0
    """Standard deviation of `log_odds` that comes from the choice of examples, or from having won."""
    runs: int = 1
    """Seeds that it is the mean of."""


@dataclass(frozen=True)
class Lead:
    """What a grown network was measured to be ahead of the one that it has grown from."""

    old: float
    """Compute of the smaller network."""
    new: float
    """Compute of the larger one: at equal time less."""
    gain: float
    """In log odds."""
    spread: float
    """Standard error of `gain`."""


@dataclass(frozen=True)
class Forecast:
    """Log odds to come: their median and their 80 % interval."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Posterior:
    """What prior and points say of the curve: a weighted grid of curves, each with a normal level."""

    weights: np.ndarray
    """Of each cell [N], with sum 1."""
    log_rate: np.ndarray
    logit_floor: np.ndarray
    levels: np.ndarray
    """Mean of the level in each cell [N]."""
    level_variance: float
    noise: float

    @cached_property
    def _curves(self) -> tuple[np.ndarray, np.ndarray]:
        return np.minimum(np.exp(self.log_rate), FASTEST), special.expit(self.logit_floor)

    def decline(self, compute: float) -> np.ndarray:
        """Log odds at a compute over those at one unit, in each cell [N]."""
        rate, floor = self._curves
        return np.asarray(np.logaddexp(np.log(floor), np.log1p(-floor) - rate * np.log(compute)))

    def steepness(self, compute: float) -> np.ndarray:
        """By how much the log odds fall with an e-fold of compute, in each cell [N]."""
        rate, floor = self._curves
        falling = (1 - floor) * compute**-rate
        return np.asarray(rate * falling / (floor + falling))

    def forecast(self, compute: float, gain: float = 0.0, spread: float = 0.0) -> Forecast:
        """The error of one more run.

        Args:
            compute: of the run.
            gain: log odds that it has less than its curve, for reasons of its own.
            spread: standard deviation of that, and of the score's own examples.
        """
        means = self.levels + self.decline(compute) - gain
        sd = np.sqrt(self.level_variance + self.noise**2 + spread**2)
        low, median, high = (self._quantile(share, means, sd) for share in ((1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2))
        return Forecast(median, low, high)

    def _quantile(self, share: float, means: np.ndarray, sd: float) -> float:
        """Of a mixture of normals of one width, by bisection."""
        low, high = float(means.min() - 8 * sd), float(means.max() + 8 * sd)
        for _ in range(50):
            middle = 0.5 * (low + high)
            below = float(self.weights @ special.ndtr((middle - means) / sd))
            low, high = (middle, high) if below < share else (low, middle)
        return 0.5 * (low + high)


def log_odds(error: float, constant: float) -> float:
    """Log odds of an error against that of one constant prediction; no error counts as nearer to that than 2 %."""
    error = min(error, 0.98 * constant)
    return float(np.log(error / (constant - error)))


def error_from(odds: float, constant: float) -> float:
    """The error of log odds."""
    return float(constant * special.expit(odds))


def learn(prior: CurvePrior, points: Sequence[Point]) -> Posterior:
    """The posterior of the curve of one recipe.

    Args:
        prior: of other data sets.
        points: of this recipe, none or more.
    """
    axis = np.linspace(-REACH, REACH, CELLS)
    first, second = (x.ravel() for x in np.meshgrid(axis, axis))
    across = np.sqrt(1 - prior.correlation**2)
    log_rate = prior.log_rate[0] + prior.log_rate[1] * first
    logit_floor = prior.logit_floor[0] + prior.logit_floor[1] * (prior.correlation * first + across * second)
    mean, sd = prior.level
    flat = Posterior(np.ones(1), log_rate, logit_floor, np.zeros(1), 0.0, prior.noise)
    precision = 1 / sd**2
    weighted, squares = np.full(len(first), mean / sd**2), np.zeros(len(first))
    for point in points:
        weight = 1 / (prior.noise**2 / point.runs + point.spread**2)
        rest = point.log_odds - flat.decline(point.compute)
        precision += weight
        weighted += weight * rest
        squares += weight * rest**2
    levels = weighted / precision
    # The level is integrated out: what is left is how well the cell's curve runs through the points.
    log_weights = -0.5 * (first**2 + second**2 + squares - weighted**2 / precision)
    weights = np.exp(log_weights - log_weights.max())
    return Posterior(weights / weights.sum(), log_rate, logit_floor, levels, 1 / precision, prior.noise)


def grown(prior: CurvePrior, doublings: float, blocks: int) -> GrowthPrior:
    """The prior of a network that has grown by so much: what one data set gives twice, it gives twice as much.

    Args:
        prior: of the kind of data.
        doublings: of the width; negative for a narrower network.
        blocks: more, or fewer if negative.
    """
    parts = ((doublings, prior.wider), (blocks, prior.deeper))

    def both(name: str) -> Normal:
        found = [(times, getattr(part, name)) for times, part in parts]
        return sum(times * x[0] for times, x in found), math.hypot(*(times * x[1] for times, x in found))

    return GrowthPrior(both("lasting"), both("early"), math.hypot(*(times * part.noise for times, part in parts)))


def lead_to_come(
    curve: Posterior, growth: GrowthPrior, leads: Sequence[Lead], old: float, new: float
) -> tuple[float, float]:
    """What a grown network will be ahead of the one it has grown from: mean and standard deviation in log odds.

    In each cell the curve of the smaller network is known, and what the larger one gains is normal.  What the leads say
    of that curve is left out: so a larger lead is never taken for a steeper curve, and less to come.

    Args:
        curve: of the smaller network.
        growth: from `grown`.
        leads: as they were measured, none or more.
        old: compute that the smaller network will have.
        new: compute that the larger one will have.
    """
    (lasting, lasting_sd), (early, early_sd) = growth.lasting, growth.early

    def expected(before: float, after: float) -> np.ndarray:
        return np.asarray(curve.decline(before) - curve.decline(after) + lasting + early * curve.steepness(after))

    def shared(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Covariance of the gains at two steepnesses."""
        return np.asarray(lasting_sd**2 + early_sd**2 * one * other)

    at_end = curve.steepness(new)
    means, variances = expected(old, new), shared(at_end, at_end) + growth.noise**2
    if leads:
        rest = np.stack([lead.gain - expected(lead.old, lead.new) for lead in leads], -1)  # [N, M]
        steep = np.stack([curve.steepness(lead.new) for lead in leads], -1)
        own = np.diag([lead.spread**2 + growth.noise**2 for lead in leads])
        across = shared(at_end[:, None], steep)  # [N, M]
        both = shared(steep[:, :, None], steep[:, None, :]) + own  # [N, M, M]
        solved = np.linalg.solve(both, np.stack([rest, across], -1))  # [N, M, 2]
        means = means + (across * solved[:, :, 0]).sum(1)
        variances = variances - (across * solved[:, :, 1]).sum(1)
    mean = float(curve.weights @ means)
    return mean, float(np.sqrt(max(0.0, curve.weights @ (variances + means**2) - mean**2)))


def gain_of_members(prior: CurvePrior, members: int) -> Normal:
    """Gain in log odds of several networks that are averaged: their own scatter falls as 1 / members."""
    share = (1 - 1 / members) / (1 - 1 / 4)
    return prior.members[0] * share, prior.members[1] * share


def gain_of_data(prior: CurvePrior, old: int, new: int) -> Normal:
    """Gain in log odds of training on `new` examples instead of `old`, at the same compute."""
    folds = float(np.log(new / old))
    return prior.data[0] * folds, prior.data[1] * abs(folds)
