"""How long the final training goes on: for all the time there is, unless longer runs are seen to overfit.

Trials are short.  A small data set is learned by heart long before the time is over, and a schedule that ends
late never visits the weights it would have stopped at: so runs of 4, 16, ... times a trial's steps are
compared on val first, as far as a part of the finish's compute allows.
"""

import math
import time

from autorecipe.data.metrics import gain
from autorecipe.recipe import Recipe, replace
from autorecipe.results import TrainResult
from autorecipe.search.decide import relative_gain
from autorecipe.search.planner import lr_for_steps
from autorecipe.search.trials import run_recipe
from autorecipe.search.tried import put_on_record, recorded_result
from autorecipe.search.workbench import Shape, Workbench, steps_for, use_shape

LONG = {"image": 40.0, "table": 5.0}
"""No training of fewer epochs is too long, and no shorter run would tell anything; images are augmented."""
FACTOR = 4
"""Each run is so many times as long as the one before, ..."""
DOUBLED = 2
"""... or so many times, where the longer one is hardly better and there is no time for more: a plan has time for runs
of 4 and of 8 times a trial, and hardly for one of 16."""
SHARE = 0.15
"""Of the finish's compute, for these runs while longer ones are clearly better, ..."""
DOUBTFUL_SHARE = 0.5
"""... and where they are not: then the time is worth little more in the finish either."""
LONGEST = 16
"""No run is longer than 2 to this power times a trial: each length is a power of two of it."""
CLEAR = 0.05
"""Relative gain of a clearly better run."""


def choose_steps(bench: Workbench, incumbent: Recipe, shape: Shape, units: float) -> int | None:
    """Steps on train after which the final training should end, or None: as many as there is time for.

    A run is too long if neither its score nor its loss on val is better than that of the shorter one.

    Args:
        bench: the workbench.
        incumbent: the winner, with the steps and the learning rate of its trial.
        shape: facts of its shape.
        units: seconds or epochs that are left for the finish.
    """
    planned = steps_for(bench, incumbent, shape, units)
    best_steps = incumbent.training.steps
    longest = min(planned, FACTOR * DOUBLED * best_steps)
    epochs = longest * incumbent.training.batch_size / max(1, len(bench.dataset.splits.train))
    if epochs < LONG[incumbent.data.modality]:
        return None
    best = recorded_result(bench, incumbent)
    if best is None:  # the other of a race
        best = _trained(bench, incumbent, best_steps, shape)
    if best is None or best.score is None:
        return None
    spent, doubtful = 0, False
    while (steps := _next_length(best_steps, spent, planned, doubtful)) is not None:
        spent += steps
        found = _trained(bench, incumbent, steps, shape)
        if found is None:
            return None
        if _worse(bench, found, best):
            _tell(bench, steps, found, best_steps, best)
            if steps == DOUBLED * best_steps:
                return best_steps
            between = round(math.sqrt(best_steps * steps))
            middle = _trained(bench, incumbent, between, shape)
            return between if middle is not None and not _worse(bench, middle, best) else best_steps
        doubtful = not _clearly_better(bench, found, best)
        best, best_steps = found, steps
    return None


def _next_length(shorter: int, spent: int, planned: int, doubtful: bool) -> int | None:
    """Steps of the next run, or None: no time.

    Args:
        shorter: steps of the run before.
        spent: steps of all of them.
        planned: steps that the final training has time for.
        doubtful: whether the run before was hardly better than the one before that.
    """
    most = min(planned / 2, (DOUBTFUL_SHARE if doubtful else SHARE) * planned - spent)
    factors = (FACTOR, DOUBLED) if doubtful else (FACTOR,)
    return next((factor * shorter for factor in factors if factor * shorter <= most), None)


def counts_steps(most: int, begun: int, affordable: int) -> bool:
    """Whether a final training of at most so many steps counts them; the clock drives any other.

    It does if there is time for many more, and if an earlier part of the run has begun it so and the rest fits.
    """
    return 2 * most < affordable or (begun > 0 and most - begun < affordable)


def of_length(incumbent: Recipe, steps: int) -> Recipe:
    """A recipe for a run of other length, with the learning rate for that."""
    lr = lr_for_steps(incumbent.optimizer.lr, incumbent.training.steps, steps)
    return replace(incumbent, {"training.steps": steps, "optimizer.lr": lr})


def runs_of_lengths(bench: Workbench, incumbent: Recipe) -> list[tuple[Recipe, TrainResult]]:
    """The runs of other lengths that are on record of a recipe, the shortest first."""
    lengths = (of_length(incumbent, round(2**k * incumbent.training.steps)) for k in range(1, LONGEST))
    found = ((recipe, recorded_result(bench, recipe)) for recipe in lengths)
    return [(recipe, result) for recipe, result in found if result is not None]


def _trained(bench: Workbench, incumbent: Recipe, steps: int, shape: Shape) -> TrainResult | None:
    """The recipe trained for so many steps and scored on val; None if that failed."""
    recipe = of_length(incumbent, steps)
    known = recorded_result(bench, recipe)  # of an earlier part of the run
    if known is not None:
        return known
    splits = bench.dataset.splits
    deadline = math.inf
    if bench.budget.timed:
        deadline = min(3 * steps * shape.step_seconds + 1.0, max(0.0, bench.clock.left() / 2))
    use_shape(bench, shape)  # the last question may have trained others
    begin = time.monotonic()
    result = run_recipe(bench, recipe, splits.train, splits.val, deadline=deadline).result
    bench.state.spent_epochs += result.steps * recipe.training.batch_size / max(1, len(splits.train))
    bench.say("length", steps=steps, seconds=time.monotonic() - begin, score=result.score, loss=result.loss)
    if result.state != "complete":
        return None
    put_on_record(bench, recipe, result, {})
    return result


def _worse(bench: Workbench, longer: TrainResult, shorter: TrainResult) -> bool:
    (score, loss), (old_score, old_loss) = _measured(longer), _measured(shorter)
    return gain(bench.dataset.info.metric, score, old_score) <= 0 and loss > old_loss


def _clearly_better(bench: Workbench, longer: TrainResult, shorter: TrainResult) -> bool:
    (old, _), (new, _) = _measured(shorter), _measured(longer)
    return relative_gain(bench.dataset.info.metric, old, new, len(bench.dataset.splits.val)) > CLEAR


def _measured(result: TrainResult) -> tuple[float, float]:
    """Score and loss of a run that is complete."""
    assert result.score is not None
    assert result.loss is not None
    return result.score, result.loss


def _tell(bench: Workbench, steps: int, longer: TrainResult, best_steps: int, best: TrainResult) -> None:
    (score, loss), (old_score, old_loss) = _measured(longer), _measured(best)
    metric = bench.dataset.info.metric
    bench.say(
        "note",
        text=f"longer is worse: after {steps:,} steps {metric} {score:.4g} and loss {loss:.4g} on val, after "
        f"{best_steps:,} {old_score:.4g} and {old_loss:.4g}; the final training will be as short",
    )
