"""Whether what was exported is the model that was scored: the score of the exported file on the run's test sample."""

import math
from typing import Any

import numpy as np

from autorecipe.data.metrics import METRICS
from autorecipe.data.targets import to_scale
from autorecipe.outputs.whole import Sample
from autorecipe.predictor import Result
from autorecipe.results import DatasetInfo
from autorecipe.rundir import RunDir, read_mapping
from autorecipe.search.checksums import rewrite_summary
from autorecipe.training.evaluate import decide_classes, predicted_values, probabilities, score


def identity_of(result: Result, sample: Sample, exported: np.ndarray) -> dict[str, Any]:
    """`score_after_export` and what it rests on.

    Args:
        result: the run.
        sample: examples, with what the run's model said of them.
        exported: what the exported model says of them: probabilities [N, O], or predictions in the target's unit [N].
    """
    info, said = result.info, result.recipe.finish.thresholds
    if sample.outputs is None or sample.targets is None:
        return {"score_after_export": None, "export": {"reason": "the run kept no test examples to score it on"}}
    back = as_outputs(exported, info)
    if info.task == "regression":
        wanted, found = predicted_values(sample.outputs, info), exported.astype(np.float64)
        same = np.isclose(found, wanted, rtol=1e-3, atol=1e-3 * info.target_scale.std)
    else:
        wanted, found = probabilities(sample.outputs, info.task), exported.astype(np.float64)
        decided = [decide_classes(outputs, info.task, said) for outputs in (sample.outputs, back)]
        same = decided[0] == decided[1]
    facts: dict[str, Any] = {
        "examples": len(sample.targets),
        "max_difference": float(np.abs(found - wanted).max()),
        "same_predictions": float(np.mean(same)),
    }
    if info.metric not in METRICS:
        facts["reason"] = "the metric is a function of the user's, which no file keeps"
        return {"score_after_export": None, "export": facts}
    before, after = (score(info.metric, sample.targets, outputs, info, said) for outputs in (sample.outputs, back))
    if not math.isfinite(after):
        facts["reason"] = f"{info.metric} is {after} on these examples"
        return {"score_after_export": None, "export": facts}
    return {"score_after_export": after, "export": {"score_before": before, **facts}}


def as_outputs(exported: np.ndarray, info: DatasetInfo) -> np.ndarray:
    """Outputs [N, O] as `evaluate.predict` gives them, of probabilities [N, O], or values [N] or [N, 1] in the unit."""
    values = exported.astype(np.float64)
    if info.task == "regression":
        scaled: np.ndarray = to_scale(values.reshape(-1), info.target_scale)[:, None]
        return scaled
    tiny = 1e-30
    logits: np.ndarray = np.log(np.maximum(values, tiny))
    return logits - np.log(np.maximum(1 - values, tiny)) if info.task == "multilabel" else logits


def record(run: RunDir, found: dict[str, Any]) -> None:
    """Put the finding into `summary.json`, which stays as it is otherwise."""
    summary = read_mapping(run.summary)
    known = summary.get("identity")
    summary["identity"] = {**(known if isinstance(known, dict) else {}), **found}
    rewrite_summary(run, summary)
