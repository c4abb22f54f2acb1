"""The audit of pruning: some stopped trials are trained to their end, to see how many were stopped wrongly."""

from typing import Any

import numpy as np

from autorecipe.data.metrics import gain
from autorecipe.rundir import read_json, read_lines, write_json
from autorecipe.search import planner
from autorecipe.search.trials import run_recipe
from autorecipe.search.tried import put_on_record
from autorecipe.search.workbench import Workbench, measure_shape, use_shape


def audit(bench: Workbench, plan: planner.Plan) -> dict[str, Any]:
    """Train stopped trials to their end, in random order, while there is time; a resumed run reads what was found.

    A trial was stopped wrongly if it ends better than the best finished trial of its study.

    Returns:
        `stopped`: trials that were stopped; `trials`: those trained to their end; `wrong`: how many of them were
        stopped wrongly; `rows`: each with its study, number, score and the best one's.
    """
    path = bench.run.audit
    if path.exists():
        found = read_json(path)
        assert isinstance(found, dict)
        return found
    rows = read_lines(bench.run.trials)
    best: dict[str, float] = {}
    metric = bench.dataset.info.metric
    for row in rows:
        if row["state"] == "complete" and row["score"] is not None:
            old = best.get(row["study"])
            if old is None or gain(metric, row["score"], old) > 0:
                best[row["study"]] = row["score"]
    stopped = [row for row in rows if row["state"] == "pruned" and row["rungs"] and row["study"] in best]
    order = np.random.default_rng(bench.seed).permutation(len(stopped))
    told: list[dict[str, Any]] = []
    for row in (stopped[k] for k in order):
        recipe = bench.run.load_recipe(row["recipe"])
        if not _time_for_one(bench, plan, recipe.training.steps * recipe.training.batch_size):
            break
        use_shape(bench, measure_shape(bench, recipe, plan.trial))
        splits = bench.dataset.splits
        result = run_recipe(bench, recipe, splits.train, splits.val).result
        bench.state.spent_epochs += result.steps * recipe.training.batch_size / len(splits.train)
        if result.state != "complete" or result.score is None:
            continue
        put_on_record(bench, recipe, result, {})
        wrong = gain(metric, result.score, best[row["study"]]) > 0
        told.append(
            {
                "study": row["study"],
                "number": row["number"],
                "score": result.score,
                "best": best[row["study"]],
                "wrong": wrong,
            }
        )
        bench.heartbeat()
    found = {"stopped": len(stopped), "trials": len(told), "wrong": sum(row["wrong"] for row in told), "rows": told}
    write_json(path, found)
    bench.say(
        "note",
        text=f"audit of pruning: {found['wrong']} of {found['trials']} stopped trials that were trained to their end "
        f"are better than the best of their study ({found['stopped']} were stopped)",
    )
    return found


def _time_for_one(bench: Workbench, plan: planner.Plan, examples: int) -> bool:
    """Whether a whole trial fits before the finish."""
    if bench.budget.timed:
        return bench.clock.left() >= plan.finish + planner.end_seconds(bench.budget.seconds) + plan.trial
    assert bench.budget.epochs is not None
    left = bench.budget.epochs - bench.state.spent_epochs - plan.finish
    return left >= examples / len(bench.dataset.splits.train)
