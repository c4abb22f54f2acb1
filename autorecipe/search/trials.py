"""One trial: a recipe trained for its share, read at rungs, told to its study; and one decision run."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from safetensors.numpy import load_file, save_file

from autorecipe.networks import num_params
from autorecipe.recipe import Recipe, replace
from autorecipe.results import CurvePoint, TrainResult
from autorecipe.rundir import atomic
from autorecipe.search.workbench import RUNG_EXAMPLES, RUNGS, SEEN_EXAMPLES, Workbench, held_up
from autorecipe.training.checkpoint import free_memory
from autorecipe.training.evaluate import loss_of_each, predict, score
from autorecipe.training.loop import Diverged, OutOfMemory, Session, start_session, train


@dataclass(frozen=True)
class Reading:
    """A score of a running trial."""

    rung: int
    score: float
    loss: float


def run_recipe(
    bench: Workbench,
    recipe: Recipe,
    train_rows: np.ndarray,
    score_rows: np.ndarray,
    *,
    at_rung: Callable[[Reading], bool] = lambda reading: False,
    deadline: float = math.inf,
) -> tuple[TrainResult, Session | None, np.ndarray | None]:
    """Train a recipe for its steps and score it.

    Args:
        bench: the workbench.
        recipe: its `training.steps` are run.
        train_rows: examples to train on.
        score_rows: examples to score on, never among `train_rows`.
        at_rung: told each rung's reading; True stops the run.
        deadline: seconds after which the run is given up.

    Returns:
        How it ended, the session, and the outputs [N, O] on `score_rows` if it completed.
    """
    metric, info = bench.dataset.info.metric, bench.dataset.info
    begin = time.monotonic()
    rows, scored = bench.rows(train_rows), bench.rows(score_rows)
    few = scored[:: max(1, -(-len(scored) // RUNG_EXAMPLES))]
    targets = bench.dataset.targets.numpy()
    few_targets = targets[few.cpu().numpy()]
    if info.task == "binary" and len(np.unique(few_targets)) < 2:  # a class so rare that a sample may miss it
        few, few_targets = scored, targets[score_rows]
    said = recipe.finish.thresholds
    curve: list[CurvePoint] = []
    session: Session | None = None

    def ended(state: str, reason: str = "", **more: float | None) -> TrainResult:
        steps = session.step if session else 0
        params = num_params(session.model) if session else 0
        return TrainResult(
            state,
            steps,
            time.monotonic() - begin,
            more.get("score"),
            more.get("loss"),
            more.get("train_score"),
            more.get("train_loss"),
            params,
            tuple(curve),
            reason,
        )

    def keep_going() -> None:
        bench.stop()
        if time.monotonic() - begin > deadline:
            raise TimeoutError

    rungs = sorted({max(1, round(share * recipe.training.steps)) for share in RUNGS})
    try:
        session = start_session(recipe, bench.data, bench.hardware)
        for look in train(session, bench.data, rows, looks=rungs, keep_going=keep_going):
            last = look.step >= recipe.training.steps
            which, truth = (scored, targets[score_rows]) if last else (few, few_targets)
            outputs = predict(session.readable, bench.data.inputs, which, recipe, bench.stop)
            value = score(metric, truth, outputs, info, said)
            loss = float(loss_of_each(truth, outputs, info).mean())
            curve.append(CurvePoint(look.step, look.seconds, look.lr, look.train_loss, value, loss))
            if not math.isfinite(loss):
                return ended("diverged", f"the predictions were not finite after {look.step} steps"), session, None
            if not last and at_rung(Reading(rungs.index(look.step), value, loss)):
                reason = f"stopped at step {look.step} of {recipe.training.steps}: among the worse half at this rung"
                return ended("pruned", reason, score=value, loss=loss), session, None
    except Diverged as error:
        return ended("diverged", str(error)), session, None
    except OutOfMemory as error:
        session = None
        free_memory(bench.hardware.device)
        return ended("out_of_memory", f"the network and its batch do not fit in memory: {error}"), None, None
    except TimeoutError:
        held_up(bench, "a trial took more than twice its share")
        return ended("stopped", f"took longer than {deadline:.1f} s, twice its share"), session, None
    if not math.isfinite(value):  # a user's metric may divide by zero; no comparison with it would say anything
        return ended("pruned", f"{metric} is {value} after {session.step} steps", loss=loss), session, None
    sample = rows[:: max(1, -(-len(rows) // SEEN_EXAMPLES))]
    seen = targets[sample.cpu().numpy()]
    outputs_seen = predict(session.readable, bench.data.inputs, sample, recipe, bench.stop)
    result = ended(
        "complete",
        score=value,
        loss=loss,
        train_score=score(metric, seen, outputs_seen, info, said),
        train_loss=float(loss_of_each(seen, outputs_seen, info).mean()),
    )
    return result, session, outputs


@dataclass(frozen=True)
class SeedRun:
    """One decision run: fresh seed, fresh held-out part."""

    score: float
    outputs: np.ndarray
    rows: np.ndarray
    seconds: float
    reused: bool
    result: TrainResult | None


def seed_run(bench: Workbench, recipe: Recipe, seed: int, deadline: float = math.inf) -> SeedRun | None:
    """Train a recipe with decision seed `seed` without the part held out for it, and score it there.

    The outputs are kept in the run's folder: an incumbent's runs serve the next question too, and a
    resumed run trains nothing again.  None if the run did not complete.
    """
    splits = bench.dataset.splits
    train_rows, held_out = splits.held_out(seed)
    seeded = replace(recipe, {"training.seed": bench.seed + 1000 * (seed + 1)})
    path = bench.run.artifacts / "evidence" / f"{seeded.digest}.safetensors"
    targets = bench.dataset.targets.numpy()[held_out]
    info = bench.dataset.info
    if path.exists():
        outputs = load_file(path)["outputs"]
        if len(outputs) == len(held_out):
            return SeedRun(score(info.metric, targets, outputs, info), outputs, held_out, 0.0, True, None)
    result, _, made = run_recipe(bench, seeded, train_rows, held_out, deadline=deadline)
    bench.state.spent_epochs += result.steps * recipe.training.batch_size / len(train_rows)
    if made is None:
        return None
    with atomic(path) as temporary:
        save_file({"outputs": np.ascontiguousarray(made)}, temporary)
    assert result.score is not None
    return SeedRun(result.score, made, held_out, result.seconds, False, result)


def curve_rows(result: TrainResult) -> list[dict[str, float | int | None]]:
    """A curve as plain rows."""
    return [
        {"step": p.step, "seconds": p.seconds, "lr": p.lr, "train_loss": p.train_loss, "score": p.score, "loss": p.loss}
        for p in result.curve
    ]
