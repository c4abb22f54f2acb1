"""Pieces of a run's folder that the report shows where they exist, made by hand for tests."""

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from autorecipe.rundir import read_json, write_json


def add_pieces(run, name=None):
    """Add predictions, examples, intervals and foresight to a run; `name` replaces the names of all classes."""
    summary, preprocess = read_json(run.summary), read_json(run.preprocess)
    info = preprocess["info"]
    if name is not None and info["classes"]:
        info["classes"] = [f"{name}{i}" for i in range(len(info["classes"]))]
    write_json(run.preprocess, preprocess)
    count = len(read_json(run.splits)["test"])
    random = np.random.default_rng(0)
    outputs, targets = _predictions(info, count, random)
    save_file(
        {"outputs": outputs.astype(np.float32), "targets": targets, "rows": np.arange(count)},
        run.artifacts / "test.safetensors",
    )
    write_json(run.artifacts / "examples.json", _examples(run, info, name or "row"))
    score = summary["scores"]["test"]
    bounds = {"low": score - 0.01, "high": score + 0.01}
    summary["score_interval"] = {"level": 0.9, "retraining": bounds, "sample": bounds, "reason": name or "two seeds"}
    summary["accounts"] |= {
        "foresight": {"predicted": score, "interval": [score - 0.1, score + 0.1], "came": score, "error_share": 0.1,
                      "covered": True, "basis": name or "three trials"},
        "audit": {"stopped": 4, "trials": 2, "wrong": 1},
    }  # fmt: skip
    export = {"score_before": score, "examples": 256, "max_difference": 2e-7, "same_predictions": 1.0}
    summary["identity"] = {"weights_sha256": summary["weights_sha256"], "score_after_reload": score}
    summary["identity"] |= {"score_after_export": score, "export": export}
    summary["baselines"] = {"majority": score / 2, "linear": score * 0.9}
    write_json(run.summary, summary)
    budgets = [{"factor": 2.0, "seconds": 7200.0, "predicted": score, "interval": [score - 0.1, score + 0.1]}]
    write_json(run.artifacts / "foresight.json", {"predicted": score, "level": 0.8, "budgets": budgets})
    sides = {"chosen": name or "mlp 64", "other": name or "mlp 32"}
    run.event("race", **sides, winner="0" * 16, kept=True, scores=[score, score - 0.01], reason=name or "it is better")


def _predictions(info, count, random):
    if info["task"] == "regression":
        targets = random.normal(150, 70, count)
        return (targets + random.normal(0, 30, count))[:, None], targets
    classes = len(info["classes"])
    if info["task"] == "multilabel":
        targets = random.integers(0, 2, (count, classes))
        return np.clip(0.5 + 0.3 * (2 * targets - 1) + random.normal(0, 0.3, targets.shape), 0.01, 0.99), targets
    targets = random.integers(0, classes, count)
    logits = random.normal(size=(count, classes)) + 2.5 * np.eye(classes)[targets]
    odds = np.exp(logits)
    return odds / odds.sum(1, keepdims=True), targets


def _examples(run, info, name):
    found = []
    for i, kind in enumerate(("typical", "mistake", "mistake")):
        classes = info["classes"]
        what = {"target": classes[0], "predicted": classes[-1], "probability": 0.8} if classes else {}
        row = {"kind": kind, "name": f"{name} {i}", **(what or {"target": 150.0, "predicted": 90.5, "error": -59.5})}
        if info["modality"] == "image":
            (run.artifacts / "examples").mkdir(exist_ok=True)
            Image.new("L", (8, 8), 90 * i).save(run.artifacts / "examples" / f"{i}.png")
            row["image"] = f"examples/{i}.png"
        else:
            row["values"] = {name: 1.5, "other": "text"}
        found.append(row)
    return found
