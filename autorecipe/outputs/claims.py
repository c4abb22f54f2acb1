"""What a run claims, and what a new measurement says of a claim: pure statistics."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autorecipe.data.metrics import METRICS, is_share
from autorecipe.search import decide
from autorecipe.search.decide import Estimate

HOLDS = "holds"
FAILS = "does not hold"
OPEN = "not decided"
UNCHECKED = "not checked"
NO_CLAIM = "no claim"
"""Of a decision that claims nothing: what new seeds say of it is told, and neither holds nor fails."""

EXACT = 1e-6
"""Relative tolerance of a score that is computed again on the same kind of machine."""
COARSE = 0.01
"""Elsewhere, of a metric that is no count of examples."""
FEW_EXAMPLES = 3
"""Elsewhere, examples on which rounding may change what is said."""
RETRAINED = 0.95
"""Of retrainings, this share falls into the stated range."""

BETTER, WORSE, AS_GOOD = "better", "worse", "as good"
CLAIMED = {
    decide.ADOPTED: BETTER,
    decide.KEPT_ON_PRIOR: BETTER,
    decide.REJECTED: WORSE,
    decide.ADOPTED_AGAINST_TRIALS: WORSE,
    decide.TIE: AS_GOOD,
}
"""What a verdict claims of the candidate, as against the incumbent; the others claim nothing."""


@dataclass(frozen=True)
class Claim:
    """One claim of a run, checked; or a decision that claims nothing, compared again."""

    kind: str
    """`files`, `data`, `score`, `ledger`, `decision`, `retraining` or `baselines`."""
    what: str
    verdict: str
    """`holds`, `does not hold`, `not decided`, `not checked` or `no claim`."""
    stated: str = ""
    found: str = ""
    tolerance: str = ""
    reason: str = ""
    needs: float | None = None
    """What checking it would take, in the budget's unit, where there was no room."""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    """What was stated and found, as numbers."""


def standing(claimed: str, found: Estimate, error: float) -> str:
    """Whether a claim holds, by a new estimate of the same effect.

    The judge is the search's own: a gain, or a loss, is claimed from P = 0.97 on.  A claim does not hold where new
    seeds claim the opposite; where they claim neither, they have not decided.

    Args:
        claimed: what is claimed of the candidate: `better`, `worse` or `as good`.
        found: by new seeds.
        error: the incumbent's error.
    """
    margin = decide.TIE_SHARE * error
    if claimed == AS_GOOD:
        if decide.is_tie(found, error):
            return HOLDS
        return FAILS if found.interval[0] > margin or found.interval[1] < -margin else OPEN
    better = found.p_better if claimed == BETTER else 1 - found.p_better
    if better >= decide.CLAIM:
        return HOLDS
    return FAILS if better <= 1 - decide.CLAIM else OPEN


def follows(verdict: str, adopted: bool, found: Estimate | None, error: float) -> bool:
    """Whether a verdict, and what was carried on, can follow from an estimate, whatever the prior expected."""
    return any((verdict, adopted) == decide.verdict(found, adopt, error) for adopt in (True, False))


def reaches(metric: str, found: float, interval: tuple[float, float]) -> bool:
    """Whether a score is not worse than all of an interval: a better one is no fault of the claim."""
    return found >= interval[0] if METRICS[metric].higher else found <= interval[1]


def score_tolerance(metric: str, stated: float, examples: int, same_machine: bool) -> float:
    """How far a score that is computed again from the same weights may lie from the stated one."""
    if same_machine:
        return max(EXACT * abs(stated), 1e-12)
    return FEW_EXAMPLES / max(1, examples) if is_share(metric) else COARSE * abs(stated)


def duration(value: float, timed: bool = True) -> str:
    """A need or a budget as `--budget` takes it, rounded up: `45s`, `3m`, `2h`, `12epochs`."""
    if not timed:
        return f"{max(1, math.ceil(value - 1e-9))}epochs"
    if value <= 100:
        return f"{max(1, math.ceil(value))}s"
    return f"{math.ceil(value / 60)}m" if value <= 6000 else f"{math.ceil(value / 3600)}h"
