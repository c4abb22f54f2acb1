"""Honesty accounts: the search's scores beside those of fresh seeds and of test, the receipt, the smaller runner-up."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from autorecipe.networks import build, num_params
from autorecipe.recipe import Recipe, describe
from autorecipe.results import Decision
from autorecipe.rundir import read_json
from autorecipe.search import decide
from autorecipe.search.baselines import allowance
from autorecipe.search.planner import END_SECONDS, FULL_RUNS, STAGE_RUNS, check_seconds, seconds_for_export
from autorecipe.search.score_interval import final_error
from autorecipe.search.trials import models_of_seeds
from autorecipe.search.tried import recorded_score
from autorecipe.search.workbench import Workbench, params_of, shape_path
from autorecipe.training.checkpoint import load_weights
from autorecipe.training.evaluate import predict, score

FIXED = ("start", "checks", "baselines")
SHARE = 0.01
"""Of the budget, for scoring the fresh seeds' models on test."""


def fresh_seeds(bench: Workbench, decisions: Sequence[Decision]) -> dict[str, Any] | None:
    """Search score, fresh-seed score and test score of the last recipe that was measured with fresh seeds.

    The search score is optimistic, for its trial won there; the fresh seeds' models were scored on examples that no
    trial was scored on, and the same models are scored on test.  As many of them as a hundredth of the budget allows.

    Returns:
        None where no recipe has fresh seeds, or there is no time.
    """
    for decision in reversed(decisions):
        who = "candidate" if decision.chosen == decision.candidate else "incumbent"
        runs = models_of_seeds(bench, bench.run.load_recipe(decision.chosen))
        if decision.scores.get(who) and runs:
            return _scored(bench, decision, decision.scores[who], runs)
    return None


def _scored(
    bench: Workbench, decision: Decision, scores: tuple[float, ...], runs: Mapping[int, Any]
) -> dict[str, Any] | None:
    recipe = bench.run.load_recipe(decision.chosen)
    info, test = bench.dataset.info, bench.dataset.splits.test
    allowed = int(seconds_for_fresh(bench, recipe, len(runs)) / max(1e-9, _seconds_of_one(bench, recipe)) + 1e-6)
    if bench.budget.timed and bench.clock.left() < 1.0 + seconds_for_fresh(bench, recipe, len(runs)):
        allowed = 0
    seeds = [seed for seed in sorted(runs) if seed < len(scores)][: allowed if bench.budget.timed else None]
    if not seeds:
        return None
    targets, rows = bench.dataset.targets.numpy()[test], bench.rows(test)
    found = []
    for seed in seeds:
        model = build(recipe.network, recipe.regularization, info, 0)
        load_weights(model, runs[seed])
        model = model.to(bench.hardware.device)
        found.append(score(info.metric, targets, predict(model, bench.data.inputs, rows, recipe), info))
    return {
        "recipe": recipe.digest,
        "search": recorded_score(bench, recipe),
        "fresh_seeds": float(np.mean([scores[seed] for seed in seeds])),
        "test": float(np.mean(found)),
        "num_models": len(seeds),
        "held_out": decision.held_out,
    }


def seconds_for_fresh(bench: Workbench, recipe: Recipe, models: int = 2) -> float:
    """Seconds kept for scoring the fresh seeds' models on test."""
    if bench.budget.seconds is None:
        return 0.0
    return min(SHARE * bench.budget.seconds, models * _seconds_of_one(bench, recipe))


def _seconds_of_one(bench: Workbench, recipe: Recipe) -> float:
    """Seconds to score test: a forward pass costs about a third of a step."""
    path = shape_path(bench, recipe)
    step = float(read_json(path)["step_seconds"]) if path.exists() else 0.0
    return step / 3 * len(bench.dataset.splits.test) / bench.space_batch


def receipt(bench: Workbench) -> dict[str, dict[str, float]]:
    """Planned and spent, in the budget's unit: what comes before the stages, each stage, audit, finish, test, outputs.

    The trials' length comes from the plan; what a stage leaves of its share goes to those after it.  For checks and
    baselines, which come before the plan, what they may take is what is planned; for the end what is kept.  Epochs are
    spent in stages, audit and finish alone.

    Returns:
        Nothing where no plan was made, as in a replay.
    """
    plan, state = bench.state.plan, bench.state
    if "unit" not in plan:
        return {}
    of_all = state.planned or plan
    planned = {name: of_all["search"] * runs / FULL_RUNS for name, runs in STAGE_RUNS.items()}
    planned |= {"audit": plan.get("audit", 0.0), "finish": of_all["finish"]}
    total = bench.budget.seconds
    if total is None:
        spent = {name: state.epochs_by_stage.get(name, 0.0) for name in planned}
        whole = {"planned": bench.budget.epochs or 0.0, "spent": state.spent_epochs}
    else:
        fixed = check_seconds(total) + allowance(total)
        planned = {"fixed": fixed, **planned, "test": END_SECONDS, "outputs": seconds_for_export(total)}
        spent = {name: state.by_stage.get(name, 0.0) for name in planned}
        spent["fixed"] = sum(state.by_stage.get(name, 0.0) for name in FIXED)
        whole = {"planned": total, "spent": bench.clock.spent()}
    parts = {name: {"planned": planned[name], "spent": spent[name]} for name in planned}
    parts["total"] = whole
    return {name: {key: round(value, 3) for key, value in row.items()} for name, row in parts.items()}


def planned_of(bench: Workbench, search: float, finish: float) -> dict[str, float]:
    """The plan of all parts of a run: what those before have spent, and what this one has for questions and finish."""
    by_stage = bench.state.by_stage
    return {
        "search": sum(by_stage.get(name, 0.0) for name in STAGE_RUNS) + search,
        "finish": by_stage.get("finish", 0.0) + finish,
    }


def smaller_runner_up(bench: Workbench, final: Recipe, decisions: Sequence[Decision]) -> dict[str, Any] | None:
    """The smaller network that the last growth without a claim was chosen over.

    Returns:
        None where the last larger network was claimed to be better, or none is smaller.  `within_noise` says whether
        trials could tell the two apart: true, false, or None where nothing was measured.
    """
    params = params_of(bench, final.network)
    for decision in reversed(decisions):
        if not decision.adopted:
            continue
        smaller = bench.run.load_recipe(decision.incumbent)
        count = num_params(build(smaller.network, smaller.regularization, bench.dataset.info, 0))
        if count >= params:
            continue
        if (decision.p_better or 0.0) >= decide.CLAIM:
            return None  # and what is smaller still is worse than what this one was chosen over
        return {
            "recipe": smaller.digest,
            "network": describe(smaller.network),
            "num_params": count,
            "question": decision.question,
            "effect": decision.effect,
            "interval": decision.interval,
            "p_better": decision.p_better,
            "judged_by": decision.judged_by,
            "within_noise": _within_noise(decision),
            "verdict": decision.verdict,
        }
    return None


def _within_noise(decision: Decision) -> bool | None:
    """Whether the interval of what a decision is judged by holds zero; None: nothing was measured."""
    by_loss = decision.judged_by == "log_loss" and decision.loss_interval is not None
    interval = decision.loss_interval if by_loss else decision.interval
    return None if interval is None else interval[0] <= 0 <= interval[1]


def audited(bench: Workbench) -> dict[str, int] | None:
    """How many stopped trials were trained to their end, and how many of them had been stopped wrongly.

    Returns:
        None without an audit.
    """
    path = bench.run.audit
    return {name: read_json(path)[name] for name in ("stopped", "trials", "wrong")} if path.exists() else None


def foretold(bench: Workbench, final: Recipe, came: float | None) -> dict[str, Any] | None:
    """What was foretold of the final training's score on test, and what came.

    Returns:
        None where nothing was foretold, or the model is none of the final training.
    """
    if came is None or not math.isfinite(came) or final.training.train_on == "train":
        return None
    if not bench.run.foresight.exists():
        return None
    told = read_json(bench.run.foresight)
    low, high = told["interval"]
    info = bench.dataset.info
    return {
        "predicted": told["predicted"],
        "interval": [low, high],
        "came": came,
        "error_share": abs(told["predicted"] - came) / final_error(came, len(bench.dataset.splits.test), info),
        "covered": low <= came <= high,
        "basis": told["basis"],
        "assuming": told.get("assuming"),
    }
