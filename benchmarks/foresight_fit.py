"""The prior of foresight: what curves of error against compute have in common, and what larger networks gain."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_record
from typing import Any

import numpy as np
from foresight_rows import Curve

from autorecipe.search.foresight import (
    CurvePrior,
    GrowthPrior,
    Lead,
    Point,
    error_from,
    grown,
    lead_to_come,
    learn,
)

START = CurvePrior((-0.5, 1.5), (-0.3, 0.5), (-2.0, 1.3), 0.0, 0.1)
"""Where the fit begins; it also counts as one curve of the mean and as three of the spread: few curves leave some of it
open, as the floor where none has come near it."""
CENTRE_CURVES, SPREAD_CURVES = 1.0, 3.0
LEAST = CurvePrior((0.0, 1.0), (0.0, 0.15), (0.0, 0.3), 0.0, 0.01)
"""Standard deviations are at least these: there are few data sets."""
GROWN = GrowthPrior((0.0, 0.1), (0.5, 0.5), 0.1)
"""The same for what a larger network gains."""
LEAST_GROWN = GrowthPrior((0.0, 0.02), (0.0, 0.1), 0.02)
ROUNDS = 30
WIDER = (1.0, 1.25, 1.5, 2.0)
"""Factors on the prior's standard deviations: the smallest that covers enough, or most."""
TIMES = (4, 16)
LONGER = (2, 4, 8, 16)
"""Times the compute of a short training that choices are checked for."""
FEWEST = 5
"""Forecasts of one multiple that are judged by: the share inside of fewer says nothing."""
MUST = 0.8
SIGMAS = 1.2816
"""Half the width of an 80 % interval of a normal, in standard deviations."""


# Fitting


def fit(curves: Sequence[Curve]) -> CurvePrior:
    """The normal distribution that curves are drawn from, by expectation and maximisation; gains by their moments."""
    between = statistics.mean(statistics.variance(values) for curve in curves for values in curve.each)
    prior = START
    for _ in range(ROUNDS):
        means, covariances, squares, count = [], [], 0.0, 0
        for curve in curves:
            found = learn(prior, curve.points)
            values = np.stack([found.levels, found.log_rate, found.logit_floor])
            mean = values @ found.weights
            covariance = (values - mean[:, None]) * found.weights @ (values - mean[:, None]).T
            covariance[0, 0] += found.level_variance
            means.append(mean)
            covariances.append(covariance)
            for point in curve.points:
                rest = point.log_odds - found.levels - found.decline(point.compute)
                squares += float(found.weights @ rest**2) + found.level_variance
                count += 1
        begin = np.array([x[0] for x in (START.level, START.log_rate, START.logit_floor)])
        centre = (np.sum(means, 0) + CENTRE_CURVES * begin) / (len(means) + CENTRE_CURVES)
        around = [c + np.outer(m - centre, m - centre) for c, m in zip(covariances, means, strict=True)]
        wide = np.diag([x[1] ** 2 for x in (START.level, START.log_rate, START.logit_floor)])
        spread = (np.sum(around, 0) + SPREAD_CURVES * wide) / (len(means) + SPREAD_CURVES)
        sd = np.sqrt(np.diag(spread))
        prior = replace_record(
            prior,
            level=(centre[0], max(sd[0], LEAST.level[1])),
            log_rate=(centre[1], max(sd[1], LEAST.log_rate[1])),
            logit_floor=(centre[2], max(sd[2], LEAST.logit_floor[1])),
            correlation=float(np.clip(spread[1, 2] / (sd[1] * sd[2]), -0.9, 0.9)),
            noise=max(math.sqrt(squares / count), LEAST.noise),
        )
    noise = math.sqrt(
        prior.noise**2 + between * (1 - 1 / len(curves[0].each[0]))
    )  # the points are means over the seeds
    return replace_record(
        prior, noise=noise, **gains_of(curves), **growth_of(curves, replace_record(prior, noise=noise))
    )


def gains_of(curves: Sequence[Curve]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of each gain over curves; (0, 0) where none has it."""
    found = {}
    for name in ("members", "data", "views"):
        values = [curve.gains[name] for curve in curves if name in curve.gains]
        spread = statistics.stdev(values) if len(values) > 1 else abs(values[0]) if values else 0.0
        found[name] = (statistics.mean(values), spread) if values else (0.0, 0.0)
    return found


def widen(prior: CurvePrior, factor: float) -> CurvePrior:
    """A prior with larger standard deviations of rate and floor."""
    log_rate, logit_floor = ((x[0], factor * x[1]) for x in (prior.log_rate, prior.logit_floor))
    return replace_record(prior, log_rate=log_rate, logit_floor=logit_floor)


def left_out(curves: Sequence[Curve], factor: float = 1.0) -> dict[int, list[tuple[float, bool]]]:
    """Times the compute -> share of the error that a forecast from one run is off, and whether it was inside."""
    found: dict[int, list[tuple[float, bool]]] = {times: [] for times in TIMES}
    for source in dict.fromkeys(curve.source for curve in curves):
        others = [curve for curve in curves if curve.source != source]
        if not others:
            continue
        prior = widen(fit(others), factor)
        for curve in (curve for curve in curves if curve.source == source):
            for k, point in enumerate(curve.points):
                for j, later in enumerate(curve.points[k + 1 :], k + 1):
                    times = round(later.compute / point.compute)
                    if times in found:
                        one = Point(point.compute, curve.each[k][0])
                        found[times].append(_held_against(curve, learn(prior, [one]).forecast(later.compute), j))
    return found


def _held_against(curve: Curve, forecast: Any, at: int) -> tuple[float, bool]:
    came = curve.each[at][-1]
    foretold, error = (error_from(odds, curve.constant) for odds in (forecast.median, came))
    return abs(foretold - error) / error, bool(forecast.low <= came <= forecast.high)


def covered(facts: dict[str, Any], times: int) -> float | None:
    """Share of forecasts inside their intervals at so many times the compute; None: too few to be judged by."""
    return facts[f"covered_{times}"] if facts.get(f"forecasts_{times}", 0) >= FEWEST else None


def judged(curves: Sequence[Curve]) -> tuple[CurvePrior, dict[str, Any]]:
    """The prior of a kind, as wide as leaving out data sets shows it must be, and how good it then is."""
    tried = []
    for factor in WIDER:
        facts: dict[str, Any] = {"widened": factor}
        for times, rows in left_out(curves, factor).items():
            if rows:
                facts[f"error_share_{times}"] = round(statistics.median(off for off, _ in rows), 3)
                facts[f"covered_{times}"] = round(statistics.mean(inside for _, inside in rows), 3)
                facts[f"forecasts_{times}"] = len(rows)
        shares = [share for times in TIMES if (share := covered(facts, times)) is not None]
        tried.append((min([MUST, *shares]), -factor, facts))
        if tried[-1][0] >= MUST:
            break
    facts = max(tried, key=lambda row: row[:2])[2]
    as_fitted = {name: value for name, value in tried[0][2].items() if name.startswith("covered")}
    told = {**facts, "as_fitted": as_fitted, "growth": judged_choices(choices(curves))}
    return widen(fit(curves), facts["widened"]), told


# What larger networks gain


@dataclass(frozen=True)
class Pair:
    """A network and one that it has grown to, of one data set."""

    old: Curve
    new: Curve

    @property
    def doublings(self) -> int:
        """Of the width."""
        return self.new.grown.doublings - self.old.grown.doublings

    @property
    def blocks(self) -> int:
        """More than before."""
        return self.new.grown.blocks - self.old.grown.blocks

    @property
    def cost(self) -> float:
        """Time of the larger one for as many examples, over that of the smaller."""
        seconds = dict(zip((point.compute for point in self.old.points), self.old.seconds, strict=True))
        both = zip(self.new.points, self.new.seconds, strict=True)
        return statistics.median(took / seconds[point.compute] for point, took in both if point.compute in seconds)

    def gains(self) -> list[tuple[float, float]]:
        """Gain of the larger one in log odds at each compute that both were trained for."""
        old = {point.compute: point.log_odds for point in self.old.best}
        return [(new.compute, old[new.compute] - new.log_odds) for new in self.new.best if new.compute in old]


def pairs_of(curves: Sequence[Curve]) -> list[Pair]:
    """Each network with those that are one doubling or one block larger."""
    pairs = [Pair(old, new) for old in curves for new in curves if old.name == new.name]
    return [pair for pair in pairs if (pair.doublings, pair.blocks) in ((1, 0), (0, 1)) and pair.gains()]


def growth_of(curves: Sequence[Curve], prior: CurvePrior) -> dict[str, GrowthPrior]:
    """What networks of twice the width, and of one more block, gain."""
    pairs = pairs_of(curves)
    wider, deeper = ([pair for pair in pairs if pair.doublings == doublings] for doublings in (1, 0))
    return {"wider": fit_growth(wider, prior), "deeper": fit_growth(deeper, prior)}


def fit_growth(pairs: Sequence[Pair], prior: CurvePrior) -> GrowthPrior:
    """Normal distributions of lasting and early gain over pairs, by expectation and maximisation."""
    rows = []
    for pair in pairs:
        curve = learn(prior, pair.old.points)
        design = [(1.0, float(curve.weights @ curve.steepness(compute))) for compute, _ in pair.gains()]
        rows.append((np.array(design), np.array([gain for _, gain in pair.gains()])))
    begin = np.array([GROWN.lasting[0], GROWN.early[0]])
    wide = np.diag([GROWN.lasting[1] ** 2, GROWN.early[1] ** 2])
    centre, spread, noise = begin, wide, GROWN.noise**2
    for _ in range(ROUNDS):
        means, around, squares, count = [], [], GROWN.noise**2, 1
        for design, gains in rows:
            covariance = np.linalg.inv(np.linalg.inv(spread) + design.T @ design / noise)
            mean = covariance @ (np.linalg.solve(spread, centre) + design.T @ gains / noise)
            means.append(mean)
            around.append(covariance)
            squares += float(((gains - design @ mean) ** 2).sum() + np.trace(design @ covariance @ design.T))
            count += len(gains)
        centre = (np.sum(means, 0) + CENTRE_CURVES * begin) / (len(means) + CENTRE_CURVES)
        around += [np.outer(mean - centre, mean - centre) for mean in means]
        spread = np.diag(np.diag(np.sum(around, 0) + SPREAD_CURVES * wide) / (len(means) + SPREAD_CURVES))
        noise = max(squares / count, LEAST_GROWN.noise**2)
    lasting, early = np.sqrt(np.diag(spread))
    lasting, early = max(lasting, LEAST_GROWN.lasting[1]), max(early, LEAST_GROWN.early[1])
    return GrowthPrior((float(centre[0]), float(lasting)), (float(centre[1]), float(early)), math.sqrt(noise))


@dataclass(frozen=True)
class Choice:
    """A choice between two networks for a longer training of equal time, after a short one."""

    times: int
    short: float
    """Lead of the larger network in the short training, log odds."""
    foretold: float
    spread: float
    came: float

    @property
    def covered(self) -> bool:
        """Whether the long training's lead came inside the 80 % interval."""
        return abs(self.came - self.foretold) <= SIGMAS * self.spread


def choices(curves: Sequence[Curve]) -> list[Choice]:
    """Every choice that the curves of a kind of data allow to check, with the prior of the other data sets."""
    found = []
    for source in dict.fromkeys(curve.source for curve in curves):
        others = [curve for curve in curves if curve.source != source]
        if not others:
            continue
        prior = fit(others)
        for pair in pairs_of([curve for curve in curves if curve.source == source]):
            for cost in (1.0, pair.cost):
                found += _choices(pair, prior, cost)
    return found


def _choices(pair: Pair, prior: CurvePrior, cost: float) -> list[Choice]:
    growth = grown(prior, pair.doublings, pair.blocks)
    leads: list[tuple[float, Lead]] = []
    spread = math.sqrt(2 * statistics.mean(statistics.variance(each) / len(each) for each in pair.new.each))
    for point in pair.new.best:
        old = _between(pair.old, cost * point.compute)
        if old is not None:
            leads.append((old, Lead(cost * point.compute, point.compute, old - point.log_odds, spread)))
    found = []
    for old, short in leads:
        curve = learn(prior, [Point(short.old, old)])
        for _, long in leads:
            if (times := round(long.new / short.new)) in LONGER:
                mean, sd = lead_to_come(curve, growth, [short], long.old, long.new)
                found.append(Choice(times, short.gain, mean, math.hypot(sd, long.spread), long.gain))
    return found


def _between(curve: Curve, compute: float) -> float | None:
    """Log odds of a curve at a compute between two points; None outside."""
    known = [math.log(point.compute) for point in curve.best]
    if not known[0] <= math.log(compute) <= known[-1] + 1e-9:
        return None
    return float(np.interp(math.log(compute), known, [point.log_odds for point in curve.best]))


def judged_choices(found: Sequence[Choice]) -> dict[str, Any]:
    """How good the choices are, beside those of the short training alone and of never growing.

    `lost` is what is lost by a wrong choice, in log odds, as a mean over all choices.
    """
    if not found:
        return {}

    def lost(chooses: list[bool]) -> float:
        wrong = [abs(c.came) for c, larger in zip(found, chooses, strict=True) if larger != (c.came > 0)]
        return round(sum(wrong) / len(found), 4)

    return {
        "choices": len(found),
        "covered": round(statistics.mean(c.covered for c in found), 3),
        "larger_is_better": round(statistics.mean(c.came > 0 for c in found), 3),
        "right": round(statistics.mean((c.foretold > 0) == (c.came > 0) for c in found), 3),
        "right_by_short": round(statistics.mean((c.short > 0) == (c.came > 0) for c in found), 3),
        "lost": lost([c.foretold > 0 for c in found]),
        "lost_by_short": lost([c.short > 0 for c in found]),
        "lost_never_larger": lost([False] * len(found)),
        "lost_always_larger": lost([True] * len(found)),
    }
