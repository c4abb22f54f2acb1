"""The last stage: the race, how long to train and with how many networks, the learning rate for that, the training."""

import math

from autorecipe.errors import InputError
from autorecipe.recipe import Recipe, load_recipe, replace
from autorecipe.search import planner
from autorecipe.search.final_race import race
from autorecipe.search.finish import run_finish, settle_members
from autorecipe.search.ledger import Progress, carry_on
from autorecipe.search.length import choose_steps
from autorecipe.search.outlook import forget_foresight
from autorecipe.search.tried import recorded_result
from autorecipe.search.workbench import Shape, Workbench, epochs_left, measure_shape, steps_for, units_left, with_shape
from autorecipe.training.checkpoint import free_memory
from autorecipe.training.cohort_size import alone_to_group
from autorecipe.training.loop import Diverged, OutOfMemory

ANOTHER_FINISH = 0.3
"""A final training that failed is tried once more, calmer, if this share of its time is left."""


def finish(bench: Workbench, progress: Progress) -> Recipe:
    """Train the final model; if that fails, the search's best model stands.

    Raises:
        InputError: there was no time to train anything at all.
    """
    trial = float(bench.state.plan.get("trial", 1.0))
    recipe = winner = race(bench, progress, trial)
    carry_on(bench, progress, winner)
    _settle_anew(bench, recipe)
    shape = measure_shape(bench, recipe, trial)
    if progress.decisions and bench.state.finish_steps is None:
        bench.state.finish_steps = choose_steps(bench, recipe, shape, units_left(bench)) or 0
        progress.result = progress.result or recorded_result(bench, recipe)  # of the other of a race, if it was asked
        bench.heartbeat()
    most = bench.state.finish_steps or None
    shape = settle_members(bench, recipe, shape, most)
    # Where no question was asked, the learning rate is that of the range test.
    recipe = _for_finish(bench, recipe, shape, most) if progress.decisions else with_shape(recipe, shape, 1.0)
    calm = replace(recipe, {"optimizer.lr": 0.25 * recipe.optimizer.lr, "optimizer.clip_norm": 1.0})
    going = True
    while going:
        tried = calm if bench.state.finish_calm else recipe
        try:
            return run_finish(bench, tried, shape, epochs_left(bench), most, winner)
        except (Diverged, OutOfMemory) as error:
            bench.say("note", text=f"the final training failed: {error}")
            forget_foresight(bench)
            going = _once_more(bench, error)
        free_memory(bench.hardware.device)
    if not bench.run.recipe.exists():
        raise InputError("no training run succeeded: see the trials' reasons in the run's log.jsonl")
    return load_recipe(bench.run.recipe)


def _once_more(bench: Workbench, error: Diverged | OutOfMemory) -> bool:
    """Whether a final training that failed is to be tried again, and otherwise how: kept in the state for a resume."""
    state = bench.state
    left = bench.clock.left() if bench.budget.timed else epochs_left(bench)
    several, state.finish_members = (state.finish_members or 1) > 1, 1
    again = several if isinstance(error, OutOfMemory) else not state.finish_calm
    if not again or left <= ANOTHER_FINISH * float(state.plan.get("finish", math.inf)):
        bench.say("note", text="the best model of the search is kept")
        return False
    if isinstance(error, OutOfMemory):
        bench.say("note", text="once more, with one network")
    else:
        state.finish_calm = True
        bench.say("note", text="once more: one network, a quarter of the learning rate, gradients clipped at 1")
    bench.heartbeat()
    return True


def _settle_anew(bench: Workbench, recipe: Recipe) -> None:
    """Forget what was settled for the final training of another recipe, or for another budget."""
    state = bench.state
    if state.finish_recipe != recipe.digest:
        state.finish_members, state.finish_units, state.finish_calm = None, None, False
        state.finish_recipe = recipe.digest


def _for_finish(bench: Workbench, recipe: Recipe, shape: Shape, most: int | None) -> Recipe:
    """The incumbent with the learning rate for the finish, which is many times as long as the trials it won."""
    if bench.state.finish_units is None:
        slower = alone_to_group(bench.state.finish_members or 1, shape.further_member)
        bench.state.finish_units = units_left(bench) / slower
        bench.heartbeat()
    steps = most or steps_for(bench, recipe, shape, bench.state.finish_units)
    old, lr = recipe.optimizer.lr, planner.lr_for_steps(recipe.optimizer.lr, recipe.training.steps, steps)
    bench.say(
        "note",
        text=f"learning rate {old:.3g} -> {lr:.3g} for the finish: the best one falls as steps^-{planner.HORIZON}, "
        f"and about {steps:,} steps follow instead of {recipe.training.steps:,}",
    )
    changes: dict[str, float] = {"optimizer.lr": lr}
    if recipe.data.modality == "table" and recipe.regularization.averaging:
        changes["regularization.averaging"] = max(recipe.regularization.averaging, planner.FINISH_AVERAGING)
    return replace(recipe, changes)
