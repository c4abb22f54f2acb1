"""What the model does on test: confusion or residuals, examples with the worst mistakes, calibration."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from autorecipe.outputs.report import pictures
from autorecipe.outputs.report.facts import Facts, mapping, real, text
from autorecipe.outputs.report.predictions import (
    confusion,
    label_table,
    most_confused,
    reliability,
    said_classes,
    said_labels,
)
from autorecipe.outputs.wording import count, number, percent

MOST_CLASSES = 15
MOST_POINTS = 600
MOST_EXAMPLES = 24
IMAGES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
MOST_IMAGE_BYTES = 64 * 1024
"""Of one image: thumbnails take a few thousand."""


PICTURES = ("matrix", "pairs", "told", "calibration", "labels", "predicted", "residuals", "shown")


def predictions(facts: Facts) -> dict[str, Any]:
    """Pictures of the predictions for test, as the task wants them; each is None where it does not apply."""
    found = _predictions(facts)
    return {**dict.fromkeys(PICTURES), **found, "there": bool(found)}


def _predictions(facts: Facts) -> dict[str, Any]:
    found = facts.predictions
    if not found or not len(found["targets"]):
        return {}
    outputs, targets = found["outputs"], found["targets"]
    tested = real(mapping(facts.info.get("num_examples")).get("test")) or 0
    sampled = f" Of test's {count(tested)} examples these are a sample." if tested > len(targets) else ""
    if facts.task == "regression":
        truth = np.asarray(targets, dtype=float).reshape(len(targets), -1)[:, 0]
        shown = _regression(facts, outputs[:, 0], truth, max(tested, len(truth)))
        return {**shown, "told": f"{shown['told']}{sampled}"}
    thresholds = facts.recipe.finish.thresholds if facts.recipe else ()
    names = facts.classes if len(facts.classes) == outputs.shape[1] else [f"class {i}" for i in range(outputs.shape[1])]
    if facts.task == "multilabel" or targets.ndim == 2:
        if targets.shape != outputs.shape:
            return {}
        return {**_multilabel(outputs, targets > 0.5, names, thresholds), "told": sampled.strip() or None}
    truth = np.asarray(targets, dtype=np.int64)
    if truth.min() < 0 or truth.max() >= len(names):
        return {}
    found = _classes(outputs, truth, names, thresholds)
    return {**found, "told": f"{found['told']}{sampled}"}


def _classes(outputs: np.ndarray, truth: np.ndarray, names: list[str], thresholds: tuple[float, ...]) -> dict[str, Any]:
    said = said_classes(outputs, thresholds)
    table = confusion(truth, said, len(names))
    pairs = [{"truth": names[i], "said": names[j], "count": count(n)} for i, j, n in most_confused(table)]
    bins, error = reliability(outputs.max(1), outputs.argmax(1) == truth)
    worst = pairs[0] if pairs else None
    told = f"{count(int((truth != said).sum()))} of {count(len(truth))} are wrong" + (
        f"; most often {worst['truth']} was taken for {worst['said']} ({worst['count']} of them)." if worst else "."
    )
    return {
        "matrix": pictures.heat_map(table, names, f"Confusion matrix: {told}") if len(names) <= MOST_CLASSES else None,
        "pairs": pairs if len(names) > MOST_CLASSES else [],
        "told": told,
        "calibration": _calibration(bins, error),
    }


def _calibration(bins: list[Any], error: float, labels: bool = False) -> dict[str, Any]:
    total = sum(b.count for b in bins)
    sure = sum(b.count * b.confidence for b in bins) / total
    right = sum(b.count * b.right for b in bins) / total
    lean = (
        "too sure of itself"
        if sure > right + 0.01
        else "not sure enough"
        if sure < right - 0.01
        else "about as sure as it is right"
    )
    means = (
        f"mean probability {sure:.3f}, there {right:.3f}"
        if labels
        else f"mean confidence {sure:.3f}, right {right:.3f}"
    )
    told = f"Expected calibration error {error:.3f} over {len(bins)} bins: {means}; {lean}."
    return {"svg": pictures.reliability_curve(bins, labels, f"Reliability curve. {told}"), "told": told}


def _multilabel(
    outputs: np.ndarray, truth: np.ndarray, names: list[str], thresholds: tuple[float, ...]
) -> dict[str, Any]:
    labels = label_table(truth, said_labels(outputs, thresholds), names)
    bins, error = reliability(outputs.ravel(), truth.ravel())
    return {
        "labels": [
            {
                "name": row.name,
                "there": count(row.there),
                **{key: number(getattr(row, key)) for key in ("precision", "recall", "f1")},
            }
            for row in labels
        ],
        "calibration": _calibration(bins, error, labels=True),
    }


def _regression(facts: Facts, said: np.ndarray, truth: np.ndarray, tested: float) -> dict[str, Any]:
    off = said - truth
    far = int(np.argmax(np.abs(off)))
    told = (
        f"Half of the predictions are within {number(float(np.median(np.abs(off))))}, nine of ten within "
        f"{number(float(np.quantile(np.abs(off), 0.9)))}; mean error {number(float(off.mean()))}. Furthest off: "
        f"{number(float(said[far]))} for a true {number(float(truth[far]))}."
    )
    chosen = np.arange(len(truth))
    if len(truth) > MOST_POINTS:  # evenly over the targets, the furthest off always
        order = np.argsort(truth, kind="stable")
        chosen = np.union1d(order[np.linspace(0, len(order) - 1, MOST_POINTS).astype(int)], [far])
    some = f"{count(len(chosen))} of {count(tested)} test examples"
    target = facts.recipe.data.target if facts.recipe else ""
    return {
        "predicted": pictures.predicted_curve(
            truth[chosen], said[chosen], f"Predicted against true {target}, {some}. {told}"
        ),
        "residuals": pictures.residual_curve(
            truth[chosen], said[chosen], f"Residuals against predictions, {some}. {told}"
        ),
        "told": told,
        "shown": some,
    }


def examples(facts: Facts, kind: str) -> list[dict[str, Any]]:
    """Examples of a kind (`typical` or `mistake`) with their image or values."""
    return cards(facts, [row for row in facts.examples if row.get("kind") == kind])


def cards(facts: Facts, found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Examples as the page shows them: image or values, the target, and what was said of it if anything was."""
    made = []
    for row in found[:MOST_EXAMPLES]:
        values = mapping(row.get("values"))
        chance, off = real(row.get("probability")), real(row.get("error"))
        split = text(row.get("split"))
        made.append(
            {
                "name": text(row.get("name")),
                "image": _image(facts, text(row.get("image"))),
                "values": [
                    (name, number(value) if isinstance(value, float) else text(value)) for name, value in values.items()
                ],
                "target": _words(row.get("target")),
                "predicted": _words(row.get("predicted")),
                "said": "predicted" if facts.task == "regression" else "taken for",
                "sure": f"{percent(chance)} sure{_of(row)}"
                if chance is not None
                else f"off by {number(off)}"
                if off is not None
                else f"in {split}"
                if split
                else "",
            }
        )
    return made


def _of(row: dict[str, Any]) -> str:
    """The label that a probability is of, where there are several."""
    return f" of {text(row['label'])}" if row.get("label") else ""


def _words(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(text(item) for item in value) or "none"
    return number(value) if isinstance(value, float) else text(value)


def _image(facts: Facts, name: str) -> str:
    """An image of the run's folder as a `data:` address; empty if it is not there or no thumbnail."""
    if not name or "\0" in name:
        return ""
    folder = facts.run.artifacts.resolve()
    path = (folder / name).resolve()
    kind = IMAGES.get(path.suffix.lower())
    if kind is None or not path.is_relative_to(folder) or not path.is_file() or path.stat().st_size > MOST_IMAGE_BYTES:
        return ""
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
