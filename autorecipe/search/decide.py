"""Decisions: pure statistics on the held-out predictions of fresh seeds.

Action and claim are two things.  The action maximises the expected final score under prior and data.
The claim is made on measurements alone, at one of two planned looks: after two seeds, and after four where two have
not decided.  Each look has a one-sided level of 0.03, so that both together claim a gain that is none in about one
comparison of twenty.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from autorecipe.data.metrics import METRICS, gain, is_share

LOOK_LEVEL = 0.03
CLAIM = 1 - LOOK_LEVEL
"""P(better) from which on a gain is claimed at a look."""
PRIOR_DF = 4.0
PRIOR_SEED_SHARE = 0.04
"""Prior standard deviation of a paired difference between seeds, as a share of the error."""
TIE_SHARE = 0.02
"""A tie: the interval of the effect lies within this share of the incumbent's error."""

ADOPTED = "adopted"
ADOPTED_ON_PRIOR = "adopted on the prior: not decided"
ADOPTED_AGAINST_TRIALS = "adopted on the prior: worse in short trials"
REJECTED = "rejected"
TIE = "tie: kept the smaller"
NOT_DECIDED = "not decided: kept the smaller"
KEPT_ON_PRIOR = "kept on the prior: the gain is not expected to last"


@dataclass(frozen=True)
class Evidence:
    """Paired measurements of candidate and incumbent."""

    differences: tuple[float, ...]
    """Gain of the candidate for each seed, in the metric, positive is better."""
    example_variance: float
    """Variance of the mean difference that comes from the choice of examples."""
    error: float
    """The incumbent's error: what is left to gain (1 - accuracy, the rmse, ...)."""
    parts: int = 1
    """Different held-out parts among the seeds: the examples' variance is then between the differences as well."""
    overlap: float = 0.0
    """Held-out examples over those trained on."""
    measure: str = ""
    """What the differences are of: seeds are pooled with those of the same."""
    steps: int = 0
    """Of the shorter of the two trainings; 0: unknown."""


@dataclass(frozen=True)
class Estimate:
    """What the evidence says about the effect."""

    effect: float
    standard_error: float
    interval: tuple[float, float]
    p_better: float


def error_of(metric: str, score: float, examples: float = math.inf) -> float:
    """What is left to gain in a metric; the size of the score where nobody knows its best value.

    Of a share of so many examples it is at least half an example: none wrong of twenty is no error of zero.
    """
    best = METRICS[metric].best
    least = max(1e-9, 0.5 / examples) if is_share(metric) else 1e-9
    return max(least, abs(score if best is None else best - score))


def relative_gain(metric: str, old: float, new: float, examples: float = math.inf) -> float:
    """Gain of the score `new` over `old` as a log ratio of errors: positive is better.

    No error counts as less than half an example of a share, or a fiftieth of the other: a score on 24 examples that is
    perfect is not infinitely better than one with a single example wrong.
    """
    error = error_of(metric, old)
    left = error - gain(metric, new, old)
    least = max(1e-9, max(error, left) / 50, 0.5 / examples if is_share(metric) else 0.0)
    return math.log(max(error, least) / max(left, least))


def mean_variance(values: np.ndarray) -> float:
    """Variance of the mean of independent values."""
    return float(values.var(ddof=1) / len(values)) if len(values) > 1 else 0.0


def log_error_spread(error: float, examples: int, regression: bool) -> float:
    """Standard deviation of the log of an error that comes from the choice of the examples it was measured on.

    Args:
        error: a share of the examples, about.
        examples: how many.
        regression: whether the error is one of values: then about that of a share of a half.
    """
    wrong = 0.5 if regression else min(0.5, max(error, 1 / examples))
    return math.sqrt((1 - wrong) / (wrong * examples))


def estimate(evidence: Evidence, earlier: Sequence[Evidence] = (), share: float = PRIOR_SEED_SHARE) -> Estimate:
    """Effect, standard error, 90 % interval and P(better).

    The variance between seeds pools this question's differences with those of earlier questions and a
    prior of about 4 degrees of freedom.  Seeds train on much the same examples, so their mean varies by more than
    the differences between them show: 1 / S becomes 1 / S + held out / trained on (Nadeau and Bengio 2003,
    "Inference for the Generalization Error", section 3).  The variance between examples is added.

    Args:
        evidence: of this question.
        earlier: of earlier questions.
        share: the prior of a difference between seeds, over the error.
    """
    differences = np.asarray(evidence.differences)
    count = len(differences)
    relative, total_df = seed_spread([evidence, *(e for e in earlier if e.measure == evidence.measure)], share)
    seed_variance = relative * evidence.error**2 * (1 / count + evidence.overlap)
    error = math.sqrt(seed_variance + evidence.example_variance)
    effect = float(differences.mean())
    half = float(special.stdtrit(total_df, 0.95)) * error
    p_better = float(special.stdtr(total_df, effect / error)) if error else float(effect > 0)
    return Estimate(effect, error, (effect - half, effect + half), p_better)


def seed_spread(evidences: Sequence[Evidence], share: float = PRIOR_SEED_SHARE) -> tuple[float, float]:
    """Variance of a paired difference between seeds, relative to the error, pooled with its prior; and its df."""
    squares, df = pool(evidences)
    return (PRIOR_DF * share**2 + squares) / (PRIOR_DF + df), PRIOR_DF + df


def pool(evidences: Sequence[Evidence]) -> tuple[float, float]:
    """Sum of squares of seed deviations relative to the error, and their degrees of freedom.

    What differences between seeds owe to their different held-out examples is taken out: that is counted apart.
    """
    squares, df = 0.0, 0.0
    for evidence in evidences:
        values = np.asarray(evidence.differences)
        more = len(values) - 1
        of_examples = more * evidence.example_variance * evidence.parts if evidence.parts > 1 else 0.0
        between = float(((values - values.mean()) ** 2).sum())
        squares += max(0.0, between - of_examples) / evidence.error**2
        df += more
    return squares, df


def undecided(result: Estimate, error: float) -> bool:
    """Whether a second look could still say something: no claim, no rejection, no tie."""
    return LOOK_LEVEL < result.p_better < CLAIM and not is_tie(result, error)


def is_tie(result: Estimate, error: float) -> bool:
    """Whether the two are as good as each other: the interval lies within the margin."""
    margin = TIE_SHARE * error
    return -margin <= result.interval[0] and result.interval[1] <= margin


def verdict(result: Estimate | None, adopt: bool, error: float) -> tuple[str, bool]:
    """The verdict, and whether the candidate is carried forward.

    Args:
        result: what was measured; None if there was no room for two seeds.
        adopt: whether the candidate is carried forward, by measurement and prior together.
        error: the incumbent's error.
    """
    if result is None:
        return (ADOPTED_ON_PRIOR, True) if adopt else (NOT_DECIDED, False)
    if result.p_better >= CLAIM:
        return (ADOPTED, True) if adopt else (KEPT_ON_PRIOR, False)
    if adopt:
        return (ADOPTED_AGAINST_TRIALS if result.p_better <= 1 - CLAIM else ADOPTED_ON_PRIOR), True
    if result.p_better <= 1 - CLAIM:
        return REJECTED, False
    return (TIE if is_tie(result, error) else NOT_DECIDED), False
