"""The budget's plan, and the prior on what lasts until the finish."""

import math
from dataclasses import asdict, dataclass

from autorecipe.search.decide import Estimate

FULL_RUNS = 34.0
"""Full trial runs that the search's time is cut into: with half of the sampled trials pruned, about four
for `small`, five for each of four growth questions, seven for `regularize`, the rest for learning-rate
range tests."""
END_SECONDS = 2.5
"""Kept for saving, the last scores and the process's exit."""


@dataclass(frozen=True)
class Plan:
    """Shares of the budget: in seconds for a timed budget, in epochs otherwise."""

    unit: str
    search: float
    finish: float
    trial: float
    """One full trial: the same compute for every candidate."""
    batch_size: int
    """The starting batch size, which epochs and step times refer to."""


def make_plan(timed: bool, total: float, left: float, reserve: float, batch_size: int) -> Plan:
    """Cut a budget: the finish's reserve first, then the trials' equal shares.

    Args:
        timed: seconds or epochs.
        total: the budget.
        left: what the fixed costs so far have left of it.
        reserve: share of the total kept for the finish.
        batch_size: of the starting recipe.
    """
    finish = min(reserve * total, left * max(0.6, reserve))
    search = max(0.0, left - finish - (END_SECONDS if timed else 0.0))
    return Plan("seconds" if timed else "epochs", search, finish, search / FULL_RUNS, batch_size)


def plan_facts(plan: Plan) -> dict[str, float | str | int]:
    """The plan as plain data, for `state.json`."""
    return asdict(plan)


@dataclass(frozen=True)
class Prior:
    """What is known of a stage's effect from other data sets: relative gain in error, positive is better."""

    gain: float
    """Expected gain at the end of the finish, without any measurement."""
    spread: float
    """Its standard deviation between data sets."""
    drift: float
    """How much a gain measured in a trial grows for each factor e of further compute."""
    drift_spread: float
    """Standard deviation of the drift between data sets."""


PRIORS: dict[tuple[str, str], Prior] = {
    ("image", "small"): Prior(0.00, 0.05, 0.000, 0.01),
    ("image", "width"): Prior(0.03, 0.08, 0.035, 0.02),
    ("image", "depth"): Prior(0.00, 0.06, 0.020, 0.015),
    ("image", "regularize"): Prior(-0.02, 0.08, 0.010, 0.02),
    ("table", "small"): Prior(0.00, 0.05, 0.000, 0.01),
    ("table", "width"): Prior(0.04, 0.10, 0.030, 0.02),
    ("table", "depth"): Prior(0.00, 0.06, 0.010, 0.015),
    ("table", "regularize"): Prior(0.00, 0.08, 0.010, 0.02),
}


def expected_final(
    modality: str, stage: str, result: Estimate | None, error: float, trial: float, finish: float
) -> float:
    """Expected relative gain of a candidate at the end of the finish.

    A trial is short and favours small networks: a larger one learns more slowly in seconds and ends
    lower.  So the measured gain is carried forward by the prior's drift, and weighed against the prior's
    own expectation by their variances (normal prior, normal measurement).

    Args:
        modality: `image` or `table`.
        stage: the question's stage.
        result: what was measured; None if nothing was.
        error: the incumbent's error, which gains are relative to.
        trial: compute of a trial.
        finish: compute of the finish, in the same unit.
    """
    prior = PRIORS[modality, "width" if stage == "regrow" else stage]
    if result is None:
        return prior.gain
    horizon = math.log(max(1.0, finish / max(trial, 1e-9)))
    measured = result.effect / error + prior.drift * horizon
    variance = (result.standard_error / error) ** 2 + (prior.drift_spread * horizon) ** 2
    weight = prior.spread**2 / (prior.spread**2 + variance)
    return weight * measured + (1 - weight) * prior.gain
