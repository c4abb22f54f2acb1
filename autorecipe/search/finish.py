"""The finish: the recipe trained from scratch for the time that is left."""

import math
import time
from collections.abc import Generator
from pathlib import Path

import torch

from autorecipe.data.metrics import gain
from autorecipe.errors import InputError, Stopped
from autorecipe.networks import num_params
from autorecipe.recipe import Recipe, describe, dump_yaml, load_recipe, replace
from autorecipe.rundir import read_json, read_mapping, write_json, write_text
from autorecipe.search import planner
from autorecipe.search.accounts import seconds_for_fresh
from autorecipe.search.length import counts_steps
from autorecipe.search.outlook import forget_foresight, tell_foresight
from autorecipe.search.polish import LAST_SECONDS, num_views, polish, test_time_augmentations, thresholds_of_search
from autorecipe.search.summary import keeps_confirm, load_model, save_model
from autorecipe.search.workbench import Shape, Workbench, at_once_in, epochs_of, held_up, shape_path, use_shape
from autorecipe.training.checkpoint import free_memory, load_session, save_session, saved_steps
from autorecipe.training.cohort_size import alone_to_group
from autorecipe.training.evaluate import predict, score
from autorecipe.training.hardware import race_threads
from autorecipe.training.loop import Diverged, Look, OutOfMemory, Session, memory_errors, start_session, train

CHECKPOINT_SECONDS = 15.0
"""A killed finish loses no more than this."""
LOOK_SECONDS = 1.0
LEAST_POINTS, MOST_POINTS = 20, 200
"""Of the curve: a training of a few seconds is looked at more often, looks of a long one are put together."""
SLOW = 4.0
"""Steps that take so many times as long as planned are held up by another process, ..."""
SLOW_LOOKS = 4
"""... if they do at so many looks in a row."""
RACE_SECONDS = 20.0
"""A shorter finish keeps the threads that its trials had."""


class Curve:
    """The looks of a final training, thinned: what `artifacts/finish_curve.json` holds."""

    def __init__(self, points: list[dict[str, float]]) -> None:
        self.points = points

    def add(self, look: Look, progress: float) -> None:
        """Keep a look; of too many, the two neighbours that span the fewest steps become one."""
        point = {"step": look.step, "progress": round(progress, 5), "seconds": round(look.seconds, 3)}
        point |= {"train_loss": look.train_loss, "lr": look.lr}
        if self.points and self.points[-1]["step"] == look.step:  # no step since then, and so no loss
            point["train_loss"] = self.points.pop()["train_loss"]
        self.points.append(point)
        if len(self.points) > MOST_POINTS:
            self._thin()

    def _thin(self) -> None:
        points, steps = self.points, [0.0, *(point["step"] for point in self.points)]
        at = min(range(len(points) - 1), key=lambda i: steps[i + 2] - steps[i])
        first, second = steps[at + 1] - steps[at], steps[at + 2] - steps[at + 1]
        loss = (first * points[at]["train_loss"] + second * points[at + 1]["train_loss"]) / (first + second)
        points[at : at + 2] = [{**points[at + 1], "train_loss": loss}]

    def save(self, path: Path, recipe: Recipe) -> None:
        """Write it, with the digest of the recipe whose training it is."""
        write_json(path, {"format": 1, "recipe": recipe.digest, "points": self.points})


def load_curve(path: Path, recipe: Recipe, step: int) -> Curve:
    """The curve of a recipe's training up to a step; empty if it was not kept."""
    try:
        found = read_mapping(path)
        points = found["points"] if found["recipe"] == recipe.digest else []
        return Curve([point for point in points if point["step"] <= step])
    except (InputError, KeyError, TypeError):
        return Curve([])


def end_reserve(bench: Workbench, recipe: Recipe, shape: Shape) -> float:
    """Seconds kept for the last scores, saving and exit: about twice what they take, for a busy machine.

    Test-time augmentation gets its time once; `polish` leaves it out if the machine has become slower.
    """
    # A forward pass costs about a third of a step; test and confirm are scored, some of it twice.
    scored = len(bench.dataset.splits.test) + 2 * len(bench.dataset.splits.confirm)
    evaluation = shape.step_seconds / 3 * scored / bench.space_batch * recipe.finish.members
    tried = dict(item for _, changes in test_time_augmentations(recipe) for item in changes.items())
    further = num_views(replace(recipe, tried)) - 1 if len(bench.dataset.splits.confirm) else 0
    exported = planner.seconds_for_export(bench.budget.seconds, bench.clock.left())
    return LAST_SECONDS + exported + (2.0 + further) * evaluation + seconds_for_fresh(bench, recipe)


def final_splits(bench: Workbench) -> str:
    """The splits that the final model trains on.

    In the order of time the latest examples tell most of what comes, and a regression has nothing to choose on
    confirm: there it is trained on as well, and its score is the search's.
    """
    splits = bench.dataset.splits
    latest = splits.order is not None and bench.dataset.info.task == "regression" and len(splits.confirm) > 0
    return "train+val+confirm" if latest else "train+val"


def run_finish(
    bench: Workbench,
    recipe: Recipe,
    shape: Shape,
    epochs: float,
    most_steps: int | None = None,
    winner: Recipe | None = None,
) -> Recipe:
    """Train the recipe from scratch on `final_splits` and save it.

    With a timed budget the clock drives the schedule, so a machine that slows down midway costs score,
    not time; the recipe that comes back says which steps were run.

    Args:
        bench: the workbench.
        recipe: what to train; its steps are not used.
        shape: facts of its shape.
        epochs: how long, when the budget is in epochs.
        most_steps: steps on train alone after which it should end: the same number of epochs on `final_splits`.
        winner: the recipe as the search trained it, for the score that is foretold.

    Raises:
        Diverged: its loss is not finite any more.
        OutOfMemory: it does not fit.
    """
    splits = bench.dataset.splits
    train_on = final_splits(bench)
    rows = splits.rows(train_on)
    most_steps = _on_final_splits(bench, most_steps)
    recipe = thresholds_of_search(bench, recipe)
    recipe = replace(recipe, {"finish.members": bench.state.finish_members or 1})
    slower = alone_to_group(recipe.finish.members, shape.further_member)
    step_seconds = shape.step_seconds * slower
    final = replace(recipe, {"training.train_on": train_on, "training.seed": bench.seed})
    limit: float | None = None
    reserve = end_reserve(bench, recipe, shape) if bench.budget.timed else -math.inf
    if bench.budget.timed:
        limit = max(0.5, bench.clock.left() - reserve)
        steps = max(1, int(limit / step_seconds))
    else:
        steps = max(2, round(epochs * len(splits.train) / recipe.training.batch_size))
    counted, affordable = False, steps
    if most_steps is not None:
        begun = saved_steps(bench.run.checkpoint, replace(final, {"training.steps": most_steps}).digest)
        counted = counts_steps(most_steps, begun, steps)
        if counted:
            steps, limit = most_steps, None
    final = replace(final, {"training.steps": 1 if limit is not None else steps})
    use_shape(bench, shape, recipe.finish.members)
    with memory_errors():
        session = start_session(final, bench.data, bench.hardware)
        resumed = load_session(session, bench.run.checkpoint)
    if resumed and limit is not None:
        # The checkpoint's seconds were spent of another part of the budget: the schedule goes on from there.
        limit += session.seconds
    bench.say(
        "finish",
        network=describe(recipe.network),
        params=num_params(session.model),
        seconds=limit,
        steps=steps,
        recipe=recipe.digest,
        resumed=resumed,
    )
    begun = session.step if limit is not None else 0
    told = replace(final, {"training.steps": steps + begun})
    tell_foresight(bench, winner or recipe, told, max(affordable + begun, told.training.steps))
    last_saved = time.monotonic()
    seen_step, seen_seconds, slow_looks = session.step, session.seconds, 0
    race, whole = _thread_race(bench, limit), True
    curve = load_curve(bench.run.checkpoint_curve, final, session.step)
    every = max(1, steps // LEAST_POINTS)
    try:
        for look in train(
            session,
            bench.data,
            bench.rows(rows),
            looks=range(every, session.step + steps, every),
            look_seconds=LOOK_SECONDS,
            limit_seconds=limit,
            keep_going=bench.stop,
        ):
            curve.add(look, look.step / steps if limit is None else look.progress)
            bench.say("finish_look", step=look.step, share=look.progress, train_loss=look.train_loss, lr=look.lr)
            if counted and bench.clock.left() < reserve:
                held_up(bench, "the final training ends before its last step")
                whole = False
                break
            if look.seconds - seen_seconds < LOOK_SECONDS:  # of the curve alone: too short to time steps by
                continue
            if race is not None and look.step > seen_step:
                try:
                    race.send((look.seconds - seen_seconds) / (look.step - seen_step))
                except StopIteration as ended:
                    race = None
                    bench.say("note", text=str(ended.value))
            elif look.seconds - seen_seconds > SLOW * step_seconds * (look.step - seen_step) > 0:
                slow_looks += 1
                if slow_looks == SLOW_LOOKS:
                    held_up(bench, "steps take far longer than planned")
            else:
                slow_looks = 0
            seen_step, seen_seconds = look.step, look.seconds
            if time.monotonic() - last_saved > CHECKPOINT_SECONDS and look.progress < 0.98:
                save_session(session, bench.run.checkpoint)
                curve.save(bench.run.checkpoint_curve, final)
                bench.heartbeat()
                last_saved = time.monotonic()
    except (Diverged, OutOfMemory):
        if not bench.budget.timed:
            bench.state.spent_epochs += epochs_of(bench, as_run(final, session))
        raise
    except Stopped:
        _keep_interrupted(bench, final, session, curve)
        raise
    return _complete(bench, final, session, curve, whole)


def _on_final_splits(bench: Workbench, steps: int | None) -> int | None:
    """Steps of as many epochs on the splits that the final model trains on, as these are on train."""
    if steps is None:
        return None
    return max(1, round(steps * len(bench.dataset.splits.rows(final_splits(bench))) / len(bench.dataset.splits.train)))


def settle_members(bench: Workbench, recipe: Recipe, shape: Shape, most_steps: int | None) -> Shape:
    """Settle how many networks the final training trains at once; facts of the shape, cohorts of it timed.

    Args:
        bench: the workbench.
        recipe: what will be trained.
        shape: facts of its shape.
        most_steps: steps on train alone after which it should end.
    """
    if bench.state.finish_members is None:  # else a part of the run before has asked
        shape = at_once_in(bench, recipe, shape, bench.clock.left())
        _members(bench, recipe, shape, _on_final_splits(bench, most_steps))
    return shape


def _members(bench: Workbench, recipe: Recipe, shape: Shape, most_steps: int | None) -> int:
    """How many networks the final training trains at once: as many as still see the examples often enough.

    Each further one makes a step longer, by what the hardware probe has timed.  Asked once: a resumed run has the same.
    """
    if bench.state.finish_members is None:
        members = 1
        if bench.budget.timed and shape.members > 1:
            left = max(0.5, bench.clock.left() - end_reserve(bench, recipe, shape))
            steps = left / shape.step_seconds
            epochs = steps * recipe.training.batch_size / len(bench.dataset.splits.rows(final_splits(bench)))
            spare = steps / most_steps if most_steps else 0.0
            members = planner.members_of_finish(recipe.data.modality, shape.further_member, epochs, spare)
            if bench.limits.max_params is not None:
                members = max(1, min(members, bench.limits.max_params // max(1, shape.num_params)))
        if members > 1:
            slower = alone_to_group(members, shape.further_member)
            bench.say("note", text=f"{members} networks are trained at once, a step takes {slower:.1f} times as long")
        bench.state.finish_members = members
        bench.heartbeat()
    return bench.state.finish_members


def _thread_race(bench: Workbench, limit: float | None) -> Generator[None, float, str] | None:
    """Where threads may be chosen by the clock, and the finish is long enough to gain by it."""
    hardware = bench.hardware
    if limit is None or limit < RACE_SECONDS or hardware.kind != "cpu" or hardware.threads < 2:
        return None
    if not hardware.vary_threads or bench.state.one_thread:
        return None
    race = race_threads(hardware)
    next(race)
    return race


def as_run(recipe: Recipe, session: Session) -> Recipe:
    """The recipe with the steps that were really run: what `replay` repeats."""
    steps = max(1, session.step)
    return replace(
        recipe,
        {
            "training.steps": steps,
            "schedule.warmup": round(session.warmup_steps / steps, 5),
            "schedule.cooldown": round(1 - session.stable_steps / steps, 5)
            if recipe.schedule.name == "wsd"
            else recipe.schedule.cooldown,
        },
    )


def _complete(bench: Workbench, recipe: Recipe, session: Session, curve: Curve, whole: bool) -> Recipe:
    """Save the final model, unless one of before is better; `whole`: the learning rate has come down to its end."""
    final = as_run(recipe, session)
    model = session.readable
    if not bench.budget.timed:
        bench.state.spent_epochs += epochs_of(bench, final)
    try:
        with memory_errors():
            final, model = polish(bench, final, model)
    except OutOfMemory as error:
        free_memory(bench.hardware.device)
        bench.say("note", text=f"the final model is left as it was trained: {error}")
    old = load_recipe(bench.run.recipe) if bench.run.weights.exists() else None
    # A finished run with more budget: the new training may be shorter than the first.
    asked = not whole or (old is not None and old.training.train_on != "train")
    if old is not None and asked and not _beats(bench, final, model, old):
        bench.say("note", text="the model of before is better, or was trained for longer: it stays")
        forget_foresight(bench)
        final = old
    else:
        save_model(bench, final, model)
        write_text(bench.run.recipe, dump_yaml(final))
        curve.save(bench.run.finish_curve, final)
        bench.run.save_recipe(final)
    if final.training.train_on != "train":
        bench.state.best_score = None
    bench.run.checkpoint.unlink(missing_ok=True)
    bench.run.checkpoint_curve.unlink(missing_ok=True)
    bench.heartbeat()
    return final


def _keep_interrupted(bench: Workbench, recipe: Recipe, session: Session, curve: Curve) -> None:
    """Ctrl-C in the finish: keep this model if it beats the one on disk."""
    if session.step < 1 or session.seconds <= 0:
        return
    save_session(session, bench.run.checkpoint)
    curve.save(bench.run.checkpoint_curve, recipe)
    final = as_run(recipe, session)
    old = load_recipe(bench.run.recipe) if bench.run.weights.exists() else None
    if old is not None and not _beats(bench, final, session.readable, old):
        return
    save_model(bench, final, session.readable)
    write_text(bench.run.recipe, dump_yaml(final))
    curve.save(bench.run.finish_curve, final)


def _beats(bench: Workbench, recipe: Recipe, model: torch.nn.Module, old: Recipe) -> bool:
    """Whether a model is better on confirm than the one on disk.

    Where there are no examples that neither has seen, the one that had more compute is better.
    """
    if not (keeps_confirm(bench, recipe) and keeps_confirm(bench, old)):
        return _compute(bench, recipe) > _compute(bench, old)
    confirm, info = bench.dataset.splits.confirm, bench.dataset.info
    rows, truth = bench.rows(confirm), bench.dataset.targets.numpy()[confirm]
    new, before = (
        score(info.metric, truth, predict(m, bench.data.inputs, rows, r), info, r.finish.thresholds)
        for m, r in ((model, recipe), (load_model(bench, old), old))
    )
    return gain(info.metric, new, before) > 0


def _compute(bench: Workbench, recipe: Recipe) -> float:
    """What a recipe's training took: examples seen, by the time of its network's step where time is the budget."""
    path = shape_path(bench, recipe)
    facts = read_json(path) if bench.budget.timed and path.exists() else {}
    slower = alone_to_group(recipe.finish.members, float(facts.get("further_member", 0.0)))
    return recipe.training.steps * recipe.training.batch_size * float(facts.get("step_seconds", 1.0)) * slower
