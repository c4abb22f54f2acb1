"""The model on disk: loaded again, scored in one pass over test, and told in `summary.json`."""

import math
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from autorecipe import __version__
from autorecipe.data.metrics import METRICS, direction
from autorecipe.networks import build_final, num_params
from autorecipe.recipe import Recipe, describe
from autorecipe.results import Decision
from autorecipe.rundir import read_json, read_mapping, sha256, write_json
from autorecipe.search.accounts import audited, foretold, fresh_seeds, receipt, smaller_runner_up
from autorecipe.search.baselines import Baseline
from autorecipe.search.checksums import write_checksums
from autorecipe.search.ledger import evidence_of, load_decisions
from autorecipe.search.score_interval import score_interval
from autorecipe.search.tested import keep_tested, save_test_sample
from autorecipe.search.workbench import Workbench, phase, shape_path
from autorecipe.training.checkpoint import load_weights, save_weights
from autorecipe.training.evaluate import all_scores, predict, score
from autorecipe.training.hardware import processor

RELOADED = 256
"""Examples of val on which the model in memory and the one that was loaded again are compared."""
SAMPLE_SECONDS = 0.2
"""For the interval of another sample."""


def load_model(bench: Workbench, recipe: Recipe) -> torch.nn.Module:
    """The model on disk, on the device."""
    model = build_final(recipe, bench.dataset.info)
    load_weights(model, bench.run.weights)
    model = model.to(bench.hardware.device)
    return model.to(memory_format=torch.channels_last) if recipe.training.channels_last else model


def save_model(bench: Workbench, recipe: Recipe, model: torch.nn.Module) -> None:
    """Save a final model, and keep what it says in memory: `reloaded` compares."""
    digest = save_weights(model, bench.run.weights)
    bench.before_saving.clear()
    bench.before_saving[digest] = _said_of_val(bench, recipe, model)


def _said_of_val(bench: Workbench, recipe: Recipe, model: torch.nn.Module) -> np.ndarray:
    return predict(model, bench.data.inputs, bench.rows(bench.dataset.splits.val[:RELOADED]), recipe)


def reloaded(bench: Workbench, recipe: Recipe, model: torch.nn.Module) -> dict[str, Any]:
    """Whether the model that was loaded again says what it said in memory before it was saved.

    Args:
        bench: the workbench.
        recipe: of the model.
        model: loaded from the weights on disk.
    """
    before = bench.before_saving.get(sha256(bench.run.weights))
    if before is None:
        return {"reason": "the weights are of the search, or of an earlier part of the run: nothing is in memory"}
    info, after = bench.dataset.info, _said_of_val(bench, recipe, model)
    truth = bench.dataset.targets.numpy()[bench.dataset.splits.val[:RELOADED]]
    scores = [score(info.metric, truth, said, info, recipe.finish.thresholds) for said in (before, after)]
    difference = float(np.abs(after - before).max()) if len(truth) else 0.0
    return {
        "on": "val",
        "examples": len(truth),
        "score_before": scores[0] if math.isfinite(scores[0]) else None,
        "score_after": scores[1] if math.isfinite(scores[1]) else None,
        "max_difference": difference,
    }


def keeps_confirm(bench: Workbench, recipe: Recipe) -> bool:
    """Whether there is a confirm split that a recipe does not train on."""
    return len(bench.dataset.splits.confirm) > 0 and "confirm" not in recipe.training.train_on


def score_saved(
    bench: Workbench,
    recipe: Recipe,
    baselines: list[Baseline],
    search: float | None,
    confirm: float | None,
    status: str,
    decisions: Sequence[Decision] = (),
) -> None:
    """The one pass over test: the saved weights, loaded again, and the baselines; then the summary."""
    info, splits = bench.dataset.info, bench.dataset.splits
    targets = bench.dataset.targets.numpy()
    with phase(bench, "test"):
        model = load_model(bench, recipe)
        again = reloaded(bench, recipe, model)
        if keeps_confirm(bench, recipe):
            outputs = predict(model, bench.data.inputs, bench.rows(splits.confirm), recipe)
            confirm = score(info.metric, targets[splits.confirm], outputs, info, recipe.finish.thresholds)
        bench.state.test_reads += 1
        outputs = predict(model, bench.data.inputs, bench.rows(splits.test), recipe)
        save_test_sample(bench, outputs)
        said = recipe.finish.thresholds
        metrics = all_scores(targets[splits.test], outputs, info, said)
        test = metrics.get(info.metric)
        if test is None:
            test = score(info.metric, targets[splits.test], outputs, info, said)
        fresh = fresh_seeds(bench, decisions)
        named = {b.name: score(info.metric, targets[splits.test], b.test, info) for b in baselines}
        named = {name: value for name, value in named.items() if math.isfinite(value)}
        most = min(SAMPLE_SECONDS, bench.clock.left() / 4) if bench.budget.timed else math.inf
        known = load_decisions(bench.run)
        evidence = [found for decision in known for found in evidence_of(decision, info.metric)]
        scored, together = targets[splits.test], splits.clusters(splits.test)
        interval = score_interval(test, scored, outputs, info, recipe, known, evidence, most, clusters=together)
    scores = {"search": search, "confirm": confirm, "test": test if math.isfinite(test) else None}
    if not math.isfinite(test):
        bench.say(
            "note",
            text=f"{info.metric} is {test} on the test split, as where all examples have one target: no test score",
        )
    accounts = {
        "fresh_seeds": fresh,
        "foresight": foretold(bench, recipe, test) if status == "complete" else None,
        "smaller": smaller_runner_up(bench, recipe, decisions),
        "audit": audited(bench),
    }
    with phase(bench, "test"):
        try:
            keep_tested(bench, outputs, said)
        except (ValueError, TypeError, KeyError) as error:  # examples to look at are not worth the run's end
            bench.say("note", text=f"examples of test could not be kept: {type(error).__name__}: {error}")
    write_summary(bench, recipe, status, scores, metrics, named, accounts, interval, again)
    bench.heartbeat()
    write_checksums(bench.run)
    _say_result(bench, status, scores, metrics, named)


def keep_scored(bench: Workbench) -> bool:
    """Keep the result of an earlier part of the run, if its model is still the one on disk; whether it is."""
    run = bench.run
    facts = read_mapping(run.summary) if run.summary.exists() else {}
    scores = facts.get("scores")
    if not isinstance(scores, dict) or scores.get("test") is None or facts.get("weights_sha256") != sha256(run.weights):
        return False
    write_json(run.summary, facts | {"status": "interrupted", "budget": budget_facts(bench)})
    bench.heartbeat()
    write_checksums(run)
    bench.say("note", text="the model on disk is the one that was scored before: its result stays")
    _say_result(bench, "interrupted", scores, facts["metrics"]["test"], facts["baselines"])
    return True


def _say_result(
    bench: Workbench,
    status: str,
    scores: Mapping[str, float | None],
    metrics: Mapping[str, float],
    baselines: Mapping[str, float],
) -> None:
    bench.say(
        "result",
        status=status,
        scores=scores,
        metrics=metrics,
        baselines=baselines,
        path=str(bench.run.path),
        metric=bench.dataset.info.metric,
        seconds_left=bench.clock.left() if bench.budget.timed else None,
    )


def budget_facts(bench: Workbench) -> dict[str, Any]:
    """What was given and spent."""
    return {
        "given": bench.budget.given,
        "seconds": bench.budget.seconds,
        "epochs": bench.budget.epochs,
        "spent_seconds": round(bench.clock.spent(), 3),
        "spent_epochs": round(bench.state.spent_epochs, 3),
        "by_stage": {name: round(seconds, 3) for name, seconds in bench.state.by_stage.items()},
        "receipt": receipt(bench),
    }


def write_summary(
    bench: Workbench,
    recipe: Recipe,
    status: str,
    scores: Mapping[str, float | None],
    metrics: Mapping[str, float] | None = None,
    baselines: Mapping[str, float] | None = None,
    accounts: Mapping[str, Any] | None = None,
    interval: Mapping[str, Any] | None = None,
    again: Mapping[str, Any] | None = None,
) -> None:
    """Write `summary.json`: the result so far."""
    info = bench.dataset.info
    weights = sha256(bench.run.weights) if bench.run.weights.exists() else None
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
            "best": METRICS[info.metric].best,
            "scores": {name: scores.get(name) for name in ("search", "confirm", "test")},
            "score_interval": interval,
            "confirm_kind": _confirm_kind(bench, recipe),
            "metrics": {"test": dict(metrics or {})},
            "baselines": dict(baselines or {}),
            "accounts": dict(accounts or dict.fromkeys(("fresh_seeds", "foresight", "smaller", "audit"))),
            "checks": read_json(bench.run.checks) if bench.run.checks.exists() else [],
            "network": describe(recipe.network),
            "num_params": num_params(build_final(recipe, info)),
            "weights_sha256": weights,
            "identity": {
                "weights_sha256": weights,
                "score_after_reload": scores.get("test"),
                "reload": dict(again or {"reason": "the model has not been loaded again"}),
                "score_after_export": None,
                "export": {"reason": "model.onnx has not been written"},
            },
            "recipe_digest": recipe.digest,
            "data_digest": info.digest,
            "environment": environment(bench),
            "hardware": hardware(bench, recipe),
            "budget": budget_facts(bench),
            "test_reads": bench.state.test_reads,
        },
    )


def _confirm_kind(bench: Workbench, recipe: Recipe) -> str:
    """What the confirm score was measured on."""
    if bench.dataset.info.cross_validated:
        return "cross-validated"
    return "held out" if keeps_confirm(bench, recipe) else "held out in the search, then trained on"


def hardware(bench: Workbench, recipe: Recipe) -> dict[str, str]:
    """What was chosen for the training of a recipe's network on this machine, with the timings."""
    path = shape_path(bench, recipe)
    if not path.exists():
        return {}
    shape = read_json(path)
    return {"device": bench.hardware.reason, "training": shape["reason"], "cohort": shape.get("cohort_reason", "")}


def environment(bench: Workbench) -> dict[str, str]:
    """Versions and the machine, for whoever compares two runs."""
    return {
        "autorecipe": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": str(bench.hardware.device),
        "threads": str(bench.hardware.threads),
        "machine": f"{platform.system()} {platform.machine()}",
        "processor": processor(bench.hardware.device),
    }
