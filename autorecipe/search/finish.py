"""The finish: the recipe trained from scratch for the time that is left, then one pass over test."""

import math
import platform
import time
from collections.abc import Generator, Mapping

import numpy as np
import torch

from autorecipe import __version__
from autorecipe.errors import Stopped
from autorecipe.networks import build, num_params
from autorecipe.recipe import Recipe, dump_yaml, load_recipe, replace
from autorecipe.results import DatasetInfo
from autorecipe.rundir import read_json, write_json, write_text
from autorecipe.search.baselines import Baseline
from autorecipe.search.length import counts_steps
from autorecipe.search.thresholds import choose_thresholds, worth_choosing
from autorecipe.search.workbench import Shape, Workbench, describe, epochs_of, held_up, phase, use_shape
from autorecipe.training.checkpoint import (
    load_session,
    load_weights,
    save_session,
    save_weights,
    saved_steps,
    sha256,
)
from autorecipe.training.evaluate import all_scores, direction, gain, loss_of_each, predict, score
from autorecipe.training.hardware import race_threads
from autorecipe.training.loop import Diverged, OutOfMemory, Session, start_session, train

CHECKPOINT_SECONDS = 15.0
"""A killed finish loses no more than this."""
LOOK_SECONDS = 1.0
SLOW = 4.0
"""Steps that take so many times as long as planned are held up by another process, ..."""
SLOW_LOOKS = 4
"""... if they do at so many looks in a row."""
RACE_SECONDS = 20.0
"""A shorter finish keeps the threads that its trials had."""
EXIT_SECONDS = 0.6
"""The process's own end."""


def write_summary(
    bench: Workbench,
    recipe: Recipe,
    status: str,
    scores: Mapping[str, float | None],
    metrics: Mapping[str, float] | None = None,
    baselines: Mapping[str, float] | None = None,
) -> None:
    """Write `summary.json`: the result so far."""
    info = bench.dataset.info
    write_json(
        bench.run.summary,
        {
            "format": 1,
            "status": status,
            "name": bench.run.name,
            "dataset": info.name,
            "task": info.task,
            "metric": info.metric,
            "direction": direction(info.metric),
            "scores": {name: scores.get(name) for name in ("search", "confirm", "test")},
            "confirm_kind": _confirm_kind(bench, recipe),
            "metrics": {"test": dict(metrics or {})},
            "baselines": dict(baselines or {}),
            "checks": read_json(bench.run.checks) if bench.run.checks.exists() else [],
            "network": describe(recipe.network),
            "num_params": num_params(build(recipe.network, recipe.regularization, info, 0)),
            "weights_sha256": sha256(bench.run.weights) if bench.run.weights.exists() else None,
            "recipe_digest": recipe.digest,
            "data_digest": info.digest,
            "environment": environment(bench),
            "budget": {
                "given": bench.budget.given,
                "seconds": bench.budget.seconds,
                "epochs": bench.budget.epochs,
                "spent_seconds": round(bench.clock.spent(), 3),
                "spent_epochs": round(bench.state.spent_epochs, 3),
                "by_stage": {name: round(seconds, 3) for name, seconds in bench.state.by_stage.items()},
            },
            "test_reads": bench.state.test_reads,
        },
    )


def _confirm_kind(bench: Workbench, recipe: Recipe) -> str:
    """What the confirm score was measured on."""
    if bench.dataset.info.cross_validated:
        return "cross-validated"
    return "held out" if keeps_confirm(bench, recipe) else "held out in the search, then trained on"


def environment(bench: Workbench) -> dict[str, str]:
    """Versions and the machine, for whoever compares two runs."""
    return {
        "autorecipe": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": str(bench.hardware.device),
        "threads": str(bench.hardware.threads),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def end_reserve(bench: Workbench, recipe: Recipe, shape: Shape) -> float:
    """Seconds kept for the last scores, saving and exit: about twice what they take, for a busy machine.

    Test-time augmentation gets its time once; `polish` leaves it out if the machine has become slower.
    """
    # A forward pass costs about a third of a step; test and confirm are scored, some of it twice.
    scored = len(bench.dataset.splits.test) + 2 * len(bench.dataset.splits.confirm)
    evaluation = shape.step_seconds / 3 * scored / bench.space_batch
    tried = dict(item for _, changes in _test_time_augmentations(recipe) for item in changes.items())
    further = _num_views(replace(recipe, tried)) - 1 if len(bench.dataset.splits.confirm) else 0
    return 0.9 + EXIT_SECONDS + (2.0 + further) * evaluation


def final_splits(bench: Workbench) -> str:
    """The splits that the final model trains on.

    In the order of time the latest examples tell most of what comes, and a regression has nothing to choose on
    confirm: there it is trained on as well, and its score is the search's.
    """
    splits = bench.dataset.splits
    latest = splits.order is not None and bench.dataset.info.task == "regression" and len(splits.confirm) > 0
    return "train+val+confirm" if latest else "train+val"


def keeps_confirm(bench: Workbench, recipe: Recipe) -> bool:
    """Whether there is a confirm split that a recipe does not train on."""
    return len(bench.dataset.splits.confirm) > 0 and "confirm" not in recipe.training.train_on


def run_finish(
    bench: Workbench, recipe: Recipe, shape: Shape, epochs: float, most_steps: int | None = None
) -> Recipe | None:
    """Train the recipe from scratch on `final_splits` and save it; None if it diverged or did not fit.

    With a timed budget the clock drives the schedule, so a machine that slows down midway costs score,
    not time; the recipe that comes back says which steps were run.

    Args:
        bench: the workbench.
        recipe: what to train; its steps are not used.
        shape: facts of its shape.
        epochs: how long, when the budget is in epochs.
        most_steps: steps on train alone after which it should end: the same number of epochs on `final_splits`.
    """
    splits = bench.dataset.splits
    train_on = final_splits(bench)
    rows = splits.rows(train_on)
    if most_steps is not None:
        most_steps = max(1, round(most_steps * len(rows) / len(splits.train)))
    recipe = thresholds_of_search(bench, recipe)
    final = replace(recipe, {"training.train_on": train_on, "training.seed": bench.seed})
    limit: float | None = None
    reserve = end_reserve(bench, recipe, shape) if bench.budget.timed else -math.inf
    if bench.budget.timed:
        limit = max(0.5, bench.clock.left() - reserve)
        steps = max(1, int(limit / shape.step_seconds))
    else:
        steps = max(2, round(epochs * len(splits.train) / recipe.training.batch_size))
    counted = False
    if most_steps is not None:
        begun = saved_steps(bench.run.checkpoint, replace(final, {"training.steps": most_steps}).digest)
        counted = counts_steps(most_steps, begun, steps)
        if counted:
            steps, limit = most_steps, None
    final = replace(final, {"training.steps": 1 if limit is not None else steps})
    use_shape(bench, shape)
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
    last_saved = time.monotonic()
    seen_step, seen_seconds, slow_looks = session.step, session.seconds, 0
    race = _thread_race(bench, limit)
    try:
        for look in train(
            session, bench.data, bench.rows(rows), look_seconds=LOOK_SECONDS, limit_seconds=limit, keep_going=bench.stop
        ):
            bench.say("finish_look", step=look.step, share=look.progress, train_loss=look.train_loss, lr=look.lr)
            if counted and bench.clock.left() < reserve:
                held_up(bench, "the final training ends before its last step")
                break
            if race is not None and look.step > seen_step:
                try:
                    race.send((look.seconds - seen_seconds) / (look.step - seen_step))
                except StopIteration as ended:
                    race = None
                    bench.say("note", text=str(ended.value))
            elif look.seconds - seen_seconds > SLOW * shape.step_seconds * (look.step - seen_step) > 0:
                slow_looks += 1
                if slow_looks == SLOW_LOOKS:
                    held_up(bench, "steps take far longer than planned")
            else:
                slow_looks = 0
            seen_step, seen_seconds = look.step, look.seconds
            if time.monotonic() - last_saved > CHECKPOINT_SECONDS and look.progress < 0.98:
                save_session(session, bench.run.checkpoint)
                bench.heartbeat()
                last_saved = time.monotonic()
    except (Diverged, OutOfMemory) as error:
        bench.say("note", text=f"the final training failed ({error}); the best model of the search is kept")
        return None
    except Stopped:
        _keep_interrupted(bench, final, session)
        raise
    return _complete(bench, final, session)


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


def _complete(bench: Workbench, recipe: Recipe, session: Session) -> Recipe:
    final = as_run(recipe, session)
    model = session.readable
    if not bench.budget.timed:
        bench.state.spent_epochs += epochs_of(bench, final)
    final = polish(bench, final, model)
    save_weights(model, bench.run.weights)
    write_text(bench.run.recipe, dump_yaml(final))
    bench.run.save_recipe(final)
    bench.state.best_score = None
    bench.run.checkpoint.unlink(missing_ok=True)
    bench.heartbeat()
    return final


def _keep_interrupted(bench: Workbench, recipe: Recipe, session: Session) -> None:
    """Ctrl-C in the finish: keep whichever is better on confirm, this model or the one on disk.

    Where there are no examples that neither has seen, the one that was trained for longer is kept.
    """
    if session.step < 1 or session.seconds <= 0:
        return
    save_session(session, bench.run.checkpoint)
    confirm = bench.dataset.splits.confirm
    old_recipe = load_recipe(bench.run.recipe) if bench.run.weights.exists() else None
    if old_recipe is not None and keeps_confirm(bench, recipe) and keeps_confirm(bench, old_recipe):
        rows, truth = bench.rows(confirm), bench.dataset.targets.numpy()[confirm]
        info = bench.dataset.info
        old = load_model(bench, old_recipe)
        scores = [
            score(info.metric, truth, predict(m, bench.data.inputs, rows, r), info, r.finish.thresholds)
            for m, r in ((session.readable, recipe), (old, old_recipe))
        ]
        if not gain(info.metric, scores[0], scores[1]) > 0:
            return
    elif old_recipe is not None and session.step * recipe.training.batch_size <= _examples_seen(old_recipe):
        return
    final = as_run(recipe, session)
    save_weights(session.readable, bench.run.weights)
    write_text(bench.run.recipe, dump_yaml(final))


def _examples_seen(recipe: Recipe) -> int:
    return recipe.training.steps * recipe.training.batch_size


def polish(bench: Workbench, recipe: Recipe, model: torch.nn.Module) -> Recipe:
    """Test-time augmentation, a temperature and thresholds, each only if it helped on confirm."""
    confirm = bench.dataset.splits.confirm
    info = bench.dataset.info
    if not keeps_confirm(bench, recipe) or (bench.budget.timed and bench.clock.left() < 1.5):
        return recipe
    rows, truth = bench.rows(confirm), bench.dataset.targets.numpy()[confirm]
    begin = time.monotonic()
    outputs = predict(model, bench.data.inputs, rows, recipe, bench.stop)
    one_view = time.monotonic() - begin
    for name, changes in _test_time_augmentations(recipe):
        tried = replace(recipe, changes)
        # Predictions of confirm now, of confirm and test at the end.
        seconds = one_view * _num_views(tried) * (2 + len(bench.dataset.splits.test) / len(confirm))
        if bench.budget.timed and bench.clock.left() < 1.2 * seconds + EXIT_SECONDS + 0.9:
            bench.say("note", text=f"no time to try {name} at test time")
            continue
        averaged = predict(model, bench.data.inputs, rows, tried, bench.stop)
        better = score(info.metric, truth, averaged, info), score(info.metric, truth, outputs, info)
        if gain(info.metric, *better) > 0:
            bench.say("note", text=f"{name} at test time help on confirm: {better[1]:.4g} -> {better[0]:.4g}")
            recipe, outputs = tried, averaged
    if info.task != "regression":
        found = temperature(truth, outputs, info)
        recipe = replace(recipe, {"finish.temperature": found})
        recipe = with_thresholds(bench, recipe, truth, outputs / found)
    return recipe


def with_thresholds(bench: Workbench, recipe: Recipe, targets: np.ndarray, outputs: np.ndarray) -> Recipe:
    """The recipe with the thresholds that help on held-out examples, if any do."""
    found, why = choose_thresholds(targets, outputs, bench.dataset.info)
    if found:
        bench.say("note", text=why)
    return replace(recipe, {"finish.thresholds": found})


def thresholds_of_search(bench: Workbench, recipe: Recipe) -> Recipe:
    """The recipe with thresholds for data without a confirm split, before the final training takes val for itself.

    They are chosen on val, for the best model of the search, which has not seen it.  Where the saved model is a
    final one, its thresholds are kept.
    """
    if len(bench.dataset.splits.confirm) or not worth_choosing(bench.dataset.info):
        return recipe
    if not (bench.run.weights.exists() and bench.run.recipe.exists()):
        return recipe
    saved = load_recipe(bench.run.recipe)
    if saved.training.train_on != "train":
        return replace(recipe, {"finish.thresholds": saved.finish.thresholds})
    val = bench.dataset.splits.val
    outputs = predict(load_model(bench, saved), bench.data.inputs, bench.rows(val), saved, bench.stop)
    return with_thresholds(bench, recipe, bench.dataset.targets.numpy()[val], outputs)


def _test_time_augmentations(recipe: Recipe) -> list[tuple[str, dict[str, int | bool]]]:
    """What the network was trained to bear: shifts and mirror images."""
    found: list[tuple[str, dict[str, int | bool]]] = []
    if recipe.regularization.crop:
        found.append(("shifted images", {"finish.shift_tta": 1}))
    if recipe.regularization.flip:
        found.append(("mirror images", {"finish.flip_tta": True}))
    return found


def _num_views(recipe: Recipe) -> int:
    """Predictions that are averaged for one image."""
    return (5 if recipe.finish.shift_tta else 1) * (2 if recipe.finish.flip_tta else 1)


def temperature(targets: np.ndarray, outputs: np.ndarray, info: DatasetInfo) -> float:
    """The temperature with the lowest log loss (Guo et al. 2017, "On Calibration of Modern Neural Networks")."""
    from scipy.optimize import minimize_scalar

    def loss(log_t: float) -> float:
        return float(loss_of_each(targets, outputs / math.exp(log_t), info).mean())

    found = minimize_scalar(loss, bounds=(-2.0, 2.0), method="bounded", options={"maxiter": 20})
    return round(math.exp(float(found.x)), 4) if loss(float(found.x)) < loss(0.0) else 1.0


def load_model(bench: Workbench, recipe: Recipe) -> torch.nn.Module:
    """The model on disk, on the device."""
    model = build(recipe.network, recipe.regularization, bench.dataset.info, 0)
    load_weights(model, bench.run.weights)
    model = model.to(bench.hardware.device)
    return model.to(memory_format=torch.channels_last) if recipe.training.channels_last else model


def score_saved(
    bench: Workbench,
    recipe: Recipe,
    baselines: list[Baseline],
    search: float | None,
    confirm: float | None,
    status: str,
) -> None:
    """The one pass over test: the saved weights, loaded again, and the baselines; then the summary."""
    info, splits = bench.dataset.info, bench.dataset.splits
    targets = bench.dataset.targets.numpy()
    with phase(bench, "test"):
        model = load_model(bench, recipe)
        if keeps_confirm(bench, recipe):
            outputs = predict(model, bench.data.inputs, bench.rows(splits.confirm), recipe)
            confirm = score(info.metric, targets[splits.confirm], outputs, info, recipe.finish.thresholds)
        bench.state.test_reads += 1
        outputs = predict(model, bench.data.inputs, bench.rows(splits.test), recipe)
        said = recipe.finish.thresholds
        metrics = all_scores(targets[splits.test], outputs, info, said)
        test = metrics.get(info.metric, score(info.metric, targets[splits.test], outputs, info, said))
        named = {b.name: score(info.metric, targets[splits.test], b.test, info) for b in baselines}
    scores = {"search": search, "confirm": confirm, "test": test}
    write_summary(bench, recipe, status, scores, metrics, named)
    bench.heartbeat()
    bench.say(
        "result",
        status=status,
        scores=scores,
        metrics=metrics,
        baselines=named,
        path=str(bench.run.path),
        metric=info.metric,
    )
