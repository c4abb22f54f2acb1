"""What is expected of a candidate at the end of the finish, by prior and measurements.

Of a larger network foresight tells it, with curves of error against compute (`search/foresight.py`).  Of other settings
what was measured fades with the compute still to come, and what other data sets say takes its place.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_record
from itertools import pairwise

from autorecipe.recipe import Recipe
from autorecipe.results import DatasetInfo
from autorecipe.search.curves import WON, error_on, hardly_begun, lead_in_errors, lead_in_odds, point_of, prior_of
from autorecipe.search.foresight import UNIT, GrowthPrior, Lead, Point, error_from, grown, lead_to_come, learn
from autorecipe.search.planner import (
    MOST_RISKED,
    NOISE,
    ONE_IN_FIVE,
    fading,
    members_of_finish,
    prior_gain,
    regularized_otherwise,
    shrunk,
)
from autorecipe.search.tried import best_of_lengths
from autorecipe.search.workbench import Workbench, epochs_of, measure_shape, params_of
from autorecipe.training.cohort_size import alone_to_group


@dataclass(frozen=True)
class Seen:
    """A comparison of incumbent and candidate, both trained completely."""

    incumbent: Recipe
    """With the steps that it was trained for."""
    candidate: Recipe
    gain: float
    """Of the candidate: log ratio of the errors, positive is better."""
    standard_error: float
    score: float
    """The incumbent's."""
    scored: int
    """Examples that it was measured on."""
    runs: int = 1
    """Seeds."""


@dataclass(frozen=True)
class Expected:
    """Relative gain of a candidate at the end of the finish, as a log ratio of errors: positive is better."""

    gain: float
    spread: float
    """Standard deviation of what will come of it."""
    prior: float
    """The gain without any measurement."""

    @property
    def worth_the_risk(self) -> bool:
        """Whether a larger network is likely enough to be the better one: `planner.ONE_IN_FIVE`, `MOST_RISKED`."""
        return self.gain + ONE_IN_FIVE * self.spread > 0 and self.gain > -MOST_RISKED


@dataclass(frozen=True)
class Finish:
    """Epochs that each would be trained for."""

    incumbent: float
    candidate: float


def known_points(bench: Workbench, incumbent: Recipe) -> list[Point]:
    """The incumbent's curve as far as its trials of several lengths tell it."""
    info, constant, val = bench.dataset.info, bench.error_of_constant, len(bench.dataset.splits.val)
    if constant is None:
        return []
    found = []
    for recipe, value in best_of_lengths(bench, incumbent):
        steps = recipe.training.steps
        point = point_of(info, constant, value, val, steps * recipe.training.batch_size, steps)
        found.append(replace_record(point, spread=math.hypot(point.spread, WON)))
    return found


def expect(
    bench: Workbench,
    incumbent: Recipe,
    candidate: Recipe,
    seen: Sequence[Seen],
    finish: Finish,
    share: float,
    known: Sequence[Point] = (),
) -> Expected:
    """What is expected of a candidate, by what is known of other data sets and what was seen of the two.

    Args:
        bench: the workbench.
        incumbent: the recipe that it would replace.
        candidate: the recipe.
        seen: comparisons of the two, the shortest first; none: the prior alone.
        finish: as if there is one network alone.
        share: one trial's compute.
        known: from `known_points`.
    """
    slower = _slower(bench, share, candidate, finish.candidate)
    growth = growth_between(bench.dataset.info, incumbent, candidate)
    if growth is not None:
        before = _slower(bench, share, incumbent, finish.incumbent)
        each = Finish(finish.incumbent / before, finish.candidate / slower)
        return _of_growth(bench, growth, seen, each, known)
    rows = len(bench.dataset.splits.train)
    params = params_of(bench, candidate.network)
    prior = prior_gain(incumbent, candidate, finish.candidate, params, rows, slower)
    lengths = [epochs_of(bench, one.candidate) for one in seen]
    otherwise = candidate.network == incumbent.network and regularized_otherwise(candidate, incumbent)
    return of_settings(bench.dataset.info.modality, seen, lengths, finish.candidate, prior, otherwise)


def growth_between(info: DatasetInfo, incumbent: Recipe, candidate: Recipe) -> GrowthPrior | None:
    """What other data sets say of the larger network; None where both have as many channels and blocks."""
    old, new = incumbent.network, candidate.network
    doublings = math.log2(new.width / old.width) if old.width and new.width else 0.0
    blocks = len(new.blocks) - len(old.blocks)
    return grown(prior_of(info), doublings, blocks) if doublings or blocks else None


def _of_growth(
    bench: Workbench, growth: GrowthPrior, seen: Sequence[Seen], finish: Finish, known: Sequence[Point]
) -> Expected:
    info, constant, rows = bench.dataset.info, bench.error_of_constant, len(bench.dataset.splits.train)
    points, leads = [*known], []
    for one in seen:
        old, new = (r.training.steps * r.training.batch_size for r in (one.incumbent, one.candidate))
        gain, spread = lead_in_odds(one.gain, one.standard_error, error_on(info, one.score, one.scored), constant)
        early = hardly_begun(one.candidate.training.steps)
        leads.append(Lead(old / UNIT, new / UNIT, gain, math.hypot(spread, early)))
        if constant is not None:
            steps = one.incumbent.training.steps
            points.append(point_of(info, constant, one.score, one.scored, old, steps, one.runs))
    curve = learn(prior_of(info), points)
    ends = [max(1.0, epochs * rows) / UNIT for epochs in (finish.incumbent, finish.candidate)]
    left = None if constant is None else error_from(curve.forecast(ends[0]).median, constant)
    (prior, _), found = (lead_to_come(curve, growth, those, ends[0], ends[1]) for those in ((), leads))
    gain, spread = lead_in_errors(*found, left, constant)
    return Expected(gain, spread, lead_in_errors(prior, 0.0, left, constant)[0])


def of_settings(
    modality: str, seen: Sequence[Seen], lengths: Sequence[float], finish: float, prior: float, regularization: bool
) -> Expected:
    """Expected gain of other settings of the same network, or of another embedding.

    What is known is carried from the length of one comparison to the next and on to the finish: a difference fades,
    and the prior's expectation grows as much.

    Args:
        modality: of the data.
        seen: comparisons, the shortest first.
        lengths: their epochs.
        finish: epochs of the finish.
        prior: expected gain there without any measurement.
        regularization: whether its strength is what differs.
    """
    if not seen:
        return Expected(prior, NOISE, prior)
    mean, spread = shrunk(seen[0].gain, seen[0].standard_error), seen[0].standard_error
    for k, (before, after) in enumerate(pairwise([*lengths, finish]), 1):
        left = fading(modality, before, after, regularization)
        mean, spread = left * mean + (1 - left) * prior, math.hypot(left * spread, (1 - left) * NOISE)
        if k < len(seen):  # their product: both are normal
            share = spread**2 / max(spread**2 + seen[k].standard_error ** 2, 1e-12)
            mean, spread = mean + share * (seen[k].gain - mean), math.sqrt(share) * seen[k].standard_error
    return Expected(mean, spread, prior)


def _slower(bench: Workbench, share: float, recipe: Recipe, epochs: float) -> float:
    """How many times as long a step takes with the networks that the final training would train at once."""
    shape = measure_shape(bench, recipe, share)
    if shape.members == 1 or not bench.budget.timed:
        return 1.0
    members = members_of_finish(recipe.data.modality, shape.further_member, epochs)
    return alone_to_group(members, shape.further_member)
