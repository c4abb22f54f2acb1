"""The budget's plan, and what a short trial of other settings says about the finish."""

import math
from dataclasses import asdict, dataclass

from autorecipe.recipe import Recipe
from autorecipe.search.decide import Estimate
from autorecipe.search.space import SHIFT_PARTS
from autorecipe.training.cohort_size import alone_to_group

STAGE_RUNS = {"small": 8.0, "width": 12.0, "depth": 9.0, "regularize": 6.0, "regrow": 3.0}
"""Full trial runs that the search's time is cut into, with half of the sampled trials stopped early: about eight for
`small`, six for each of two widths, three for each of three depths, the rest once the size is found, learning-rate
range tests among them.  What a stage leaves goes to those after it, so that this is a plan and no limit."""
FULL_RUNS = sum(STAGE_RUNS.values())
END_SECONDS = 2.5
"""Kept for saving, the last scores and the process's exit."""
EXPORT_SECONDS = {45.0: 2.0, 120.0: 4.0}
"""Kept for writing the outputs, `model.onnx` above all, and checking it in onnxruntime, in budgets from so many seconds
on: it takes 1.1 to 2.3 s with two cores that others are using."""


def check_seconds(total: float | None) -> float:
    """Seconds that the checks of the training loop may take of a budget; None: one in epochs."""
    return 4.0 if total is None else min(10.0, 0.03 * total)


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
    audit: float = 0.0
    """For training stopped trials to their end, after the questions."""


AUDIT_SHARE = 0.15
"""Of the search's time, where an audit is asked for."""


def end_seconds(total: float | None) -> float:
    """Seconds of a budget that are kept for its end; None: a budget in epochs, of which nothing is."""
    if total is None:
        return 0.0
    return END_SECONDS + seconds_for_export(total)


def seconds_for_export(total: float | None, left: float = math.inf) -> float:
    """Seconds of a budget that are kept for the outputs: short ones, and a short rest of a long one, have none."""
    if total is None:
        return 0.0
    return max([kept for least, kept in EXPORT_SECONDS.items() if total >= least and left >= 0.4 * least], default=0.0)


def make_plan(timed: bool, total: float, left: float, reserve: float, batch_size: int, audit: bool = False) -> Plan:
    """Cut a budget: the finish's reserve first, then the trials' equal shares.

    Args:
        timed: seconds or epochs.
        total: the budget.
        left: what the fixed costs so far have left of it.
        reserve: share of the total kept for the finish.
        batch_size: of the starting recipe.
        audit: whether some stopped trials are to be trained to their end.
    """
    left = max(0.0, left)
    finish = min(reserve * total, left * max(0.6, reserve))
    search = max(0.0, left - finish - end_seconds(total if timed else None))
    kept = AUDIT_SHARE * search if audit else 0.0
    search -= kept
    return Plan("seconds" if timed else "epochs", search, finish, search / FULL_RUNS, batch_size, kept)


def plan_facts(plan: Plan) -> dict[str, float | str | int]:
    """The plan as plain data, for `state.json`."""
    return asdict(plan)


DECAY = 0.75
"""How fast a difference between settings fades with compute: differences in err = a + b C^-c fade as C^-c."""
HORIZON = 0.2
"""The best learning rate falls as steps^-0.2.  Bjorck et al. 2024, "Scaling Optimal LR Across Token Horizons", find
0.32 for language models; on Fashion-MNIST the rates that win trials of 8 s are 0.009 to 0.026, and in 280 s 0.009
is ahead of 0.003."""
REGULARIZATION_DECAY = 1.0
"""The same for a difference in regularization, which turns into its opposite rather than fades."""
NOISE = 0.1
"""Relative effects in trials have about this standard deviation; noisier measurements are shrunk, ..."""
SHORTEST_RACED = 30.0
"""Seconds: for a shorter finish the two best recipes do not race."""
ONE_IN_FIVE = 0.84
"""Standard deviations below nothing at which a gain is still as likely as one in five.  A larger network that
promises so much is carried on where there is time for a race, which can take it back; what was refused does not
return.  One at a time: there is one race, and after it the same is asked.  The truth is skewed: what is lost by growing
in vain is a tenth (images) or a quarter (tables of classes) of what is lost by not growing (`docs/performance.md`)."""
MOST_RISKED = 0.1
"""Relative loss that may be expected of such a network at most.  Of a network that is so slow that its trials have a
few steps nothing is known, and one in five is soon likely: with an expected loss of 26 % +- 32 % letter went on with
1,024 channels, at 0.971, where 256 have 0.980 (`docs/log.md`)."""
SURE = 3.0
"""... by no more than one of so many standard errors is: a limited translation (Efron and Morris 1971)."""


@dataclass(frozen=True)
class Prior:
    """What other data sets say of the finish: relative gains in error, positive is better."""

    regularization: float
    """Loss at one unit of regularization off its optimum, which grows as ln(epochs / easy)."""
    easy: float
    """Epochs below which no regularization is wanted; of tables with a parameter for each row: a network of fewer has
    to see them more often before it knows them by heart."""
    most: float
    """Largest optimum, in units."""
    settled: float
    """Epochs after which two recipes hardly change places: a longer trial counts as much as the finish.
    Never for images: trials of digits have many epochs and too few steps."""
    embedding: float = 0.0
    """Gain of embedded numbers over plain ones, once they have epochs enough."""
    enough: float = 1.0
    """Epochs at which they neither gain nor lose."""
    shift: float = 0.0
    """Gain of shifted images for each e-fold of epochs over `shift_easy`, ..."""
    shift_easy: float = 1.0
    """... where shifts by 1/28 of the image neither gain nor lose, those by 2/28 at twice as many; ..."""
    most_shift: float = 0.0
    """... and up to which they have been seen to gain."""


PRIORS = {
    "image": Prior(
        regularization=0.010,
        easy=10.0,
        most=3.0,
        settled=math.inf,
        shift=0.12,
        shift_easy=8.0,
        most_shift=0.15,
    ),
    "table": Prior(
        regularization=0.008,
        easy=20.0,
        most=2.5,
        settled=60.0,
        embedding=0.03,
        enough=30.0,
    ),
}


def strength(recipe: Recipe) -> float:
    """Regularization in units: one is a light change, such as dropout 0.1.

    Shifts count apart (`shift_gain`): on 10,000 images of Fashion-MNIST they take a quarter off the error after 32
    epochs, and dropout nothing (`benchmarks/regularization_prior.py`).  Flips are left out: whether a mirrored image
    keeps its class is the data's to say, so they are adopted on measurements alone.
    """
    section = recipe.regularization
    return section.dropout / 0.1 + section.label_smoothing / 0.05 + section.erase / 0.25 + section.mixup / 0.2


def shift_of(recipe: Recipe) -> float:
    """Shifts in units of 1/28 of the image; 0: none."""
    return SHIFT_PARTS * recipe.regularization.crop / recipe.data.resolution if recipe.data.resolution else 0.0


def regularized_otherwise(one: Recipe, other: Recipe) -> bool:
    """Whether two recipes differ in how strongly they are regularized."""
    return abs(strength(one) - strength(other)) > 0.05 or shift_of(one) != shift_of(other)


def shift_gain(prior: Prior, shift: float, epochs: float) -> float:
    """Expected relative gain of shifted images over none."""
    if not shift:
        return 0.0
    gain = prior.shift * math.log(epochs / (prior.shift_easy * shift))
    return max(-2 * prior.most_shift, min(prior.most_shift, gain))


PARAMS_PER_EXAMPLE = 100.0
"""Parameters for each training example up to which embeddings have helped (with early stopping by the clock)."""


PERIODIC = 0.01
"""Gain of a periodic embedding over a piecewise-linear one for each e-fold of rows over `PERIODIC_ROWS`, in a
regression: high frequencies want data.  It gains 1 to 8 % on the three tables tried with over 12,000 rows, diamonds
among them, and loses 1 to 4 % on five of seven smaller ones (`docs/log.md`); classes it suits less."""
PERIODIC_ROWS = 5000
PERIODIC_CLASSES = -0.02


def prior_gain(
    incumbent: Recipe,
    candidate: Recipe,
    finish_epochs: float,
    params: int = 0,
    rows: int = 0,
    slower: float = 1.0,
) -> float:
    """Expected relative gain of other settings at the end of the finish, without any measurement.

    Args:
        incumbent: the recipe it would replace.
        candidate: the recipe, of a network as wide and as deep.
        finish_epochs: epochs that the candidate will get in the finish.
        params: parameters of the candidate; 0: so few that they do not matter.
        rows: training examples.
        slower: how many times as long a step takes with the networks that are trained at once: each has so many fewer
            epochs, and wants less regularization.
    """
    prior = PRIORS[incumbent.data.modality]
    epochs = max(finish_epochs, 1e-3)
    room = math.log(PARAMS_PER_EXAMPLE / max(params / max(1, rows), 1e-3))
    capacity = max(-1.0, min(1.0, math.log(epochs / prior.enough), room))
    embedded = (candidate.network.embedding != "none") - (incumbent.network.embedding != "none")
    periodic = (candidate.network.embedding == "periodic") - (incumbent.network.embedding == "periodic")
    crowded = math.log(params / rows) if params and rows and incumbent.data.modality == "table" else 0.0
    best = max(0.0, min(prior.most, math.log(epochs / slower / prior.easy) + crowded))
    old, new = (min(6.0, strength(recipe)) for recipe in (incumbent, candidate))
    shifts = [shift_gain(prior, shift_of(recipe), epochs / slower) for recipe in (incumbent, candidate)]
    return (
        prior.embedding * capacity * embedded
        + periodic * periodic_gain(incumbent.data.task, rows)
        - prior.regularization * ((new - best) ** 2 - (old - best) ** 2)
        + shifts[1]
        - shifts[0]
    )


def periodic_gain(task: str, rows: int) -> float:
    """Expected gain of a periodic embedding over a piecewise-linear one."""
    if task != "regression":
        return PERIODIC_CLASSES
    return max(-4 * PERIODIC, min(2 * PERIODIC, PERIODIC * math.log(max(1, rows) / PERIODIC_ROWS)))


def fading(modality: str, trial: float, finish: float, regularization: bool = False) -> float:
    """What is left at the end of the finish of a relative difference measured in trials.

    Args:
        modality: of the data.
        trial: epochs of a trial.
        finish: epochs of the finish.
        regularization: whether the strength of the regularization is what differs: then a trial of an epoch or
            so shows what it costs and nothing of what it brings.
    """
    if regularization:
        return float(max(1.0, finish / max(trial, 1e-9)) ** -REGULARIZATION_DECAY)
    return float(max(1.0, min(finish, PRIORS[modality].settled) / max(trial, 1e-9)) ** -DECAY)


def shrunk(measured: float, standard_error: float) -> float:
    """A measured relative gain, as far as it is no chance: see `NOISE` and `SURE`.

    Args:
        measured: log ratio of the errors, positive is better.
        standard_error: of `measured`.
    """
    chance = standard_error**2 / (NOISE**2 + standard_error**2)
    return measured - chance * max(-SURE * standard_error, min(SURE * standard_error, measured))


MOST_MEMBERS, MOST_MEMBERS_SHORT = 4, 8
"""Networks whose predictions are averaged: where each further one costs steps; where steps are short of the time."""
MOST_SLOWER = 2.5
ENOUGH_EPOCHS = {"image": 40.0, "table": 15.0}
"""Epochs that each of several networks must have.  Of tables, in 18 s on one with 15 and on one with 60 epochs, three
networks at once have 1 % and 18 % less error than one that is trained for 30 and 130; of images two have 6 % more with
20 to 28 epochs than one with 40 to 50 (`docs/log.md`)."""
FINISH_AVERAGING = 0.2
"""Window of the averaged weights in the final training of a table: a longer one than in trials, whose weights move
further in each step."""


def members_of_finish(modality: str, further: float, epochs: float, spare: float = 0.0) -> int:
    """Networks to train at once in the final training.

    Args:
        modality: of the data.
        further: time that each further one adds to a step, over that of a step alone.
        epochs: that one network alone would have.
        spare: how many times the final training would fit into its time, where its steps are limited; else 0.
    """
    for members in range(MOST_MEMBERS_SHORT, 1, -1):
        slower = alone_to_group(members, further)
        if spare:
            if 2.2 * slower <= spare:  # so that the steps are still what ends it
                return members
        elif members <= MOST_MEMBERS and slower <= MOST_SLOWER and epochs / slower >= ENOUGH_EPOCHS[modality]:
            return members
    return 1


def lr_for_steps(lr: float, measured: int, planned: int) -> float:
    """The learning rate for a run of other length than the one in which it was found best.

    Args:
        lr: best in a run of `measured` steps.
        measured: steps of that run.
        planned: steps of the run to come.
    """
    return float(f"{lr * (max(1, planned) / max(1, measured)) ** -HORIZON:.3g}")


def log_ratio(error_old: float, error_new: float) -> float:
    """Relative gain as a log ratio, for errors above zero."""
    return math.log(max(error_old, 1e-9) / max(error_new, 1e-9))


def as_log_ratio(result: Estimate, error: float) -> tuple[float, float]:
    """An effect on an error as a log ratio, and its standard error: the less error is left, the less is it known."""
    left = max(error - result.effect, 0.02 * error)
    return log_ratio(error, left), result.standard_error / left
