"""What the pass over test leaves for whoever looks at the run: predictions, and examples to look at.

Shapes: N examples, C classes or labels.
"""

import math
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file

from autorecipe.data import modality
from autorecipe.results import DatasetInfo
from autorecipe.rundir import atomic, write_json
from autorecipe.search.workbench import Workbench
from autorecipe.training.evaluate import decide_classes, predicted_values, probabilities, unscale

MOST_ROWS = 20_000
MOST_NUMBERS = 4_000_000
"""Of predictions, for data with many classes."""
TYPICAL, MOST_TYPICAL = 2, 24
"""Typical examples of each class, and of all together."""
MISTAKES = 12
THIRDS = 3
"""A regression's typical examples are those of low, middle and high targets."""
SAMPLE, SAMPLE_BYTES = 256, 1 << 24
"""Examples that are kept for checking exports, in number and in bytes."""
FILE_SECONDS, EXAMPLES_SECONDS = 0.2, 0.5
"""With less time left than this, the predictions, and the examples, are left out."""


def keep_tested(bench: Workbench, outputs: np.ndarray, thresholds: Sequence[float]) -> None:
    """Write the predictions of test, and a few examples; what an earlier part of the run has left goes.

    Args:
        bench: the workbench.
        outputs: of the saved model on test, as `evaluate.predict` gives them.
        thresholds: of the recipe.
    """
    run = bench.run
    for path in (run.tested, run.examples):
        path.unlink(missing_ok=True)
    shutil.rmtree(run.pictures, ignore_errors=True)
    left = bench.clock.left() if bench.budget.timed else math.inf
    if not len(outputs) or left < FILE_SECONDS:
        return
    _save_predictions(bench, outputs)
    if left >= EXAMPLES_SECONDS and np.isfinite(outputs).all():
        _save_examples(bench, outputs, thresholds)


def said(outputs: np.ndarray, info: DatasetInfo) -> np.ndarray:
    """Probabilities [N, C], or predictions of a regression in the target's unit [N, 1], float32."""
    if info.task == "regression":
        return predicted_values(outputs, info).reshape(-1, 1).astype(np.float32)
    return probabilities(outputs, info.task).astype(np.float32)


def _save_predictions(bench: Workbench, outputs: np.ndarray) -> None:
    info, test = bench.dataset.info, bench.dataset.splits.test
    most = max(1, min(MOST_ROWS, MOST_NUMBERS // outputs.shape[1]))
    chosen = np.arange(len(test))
    if len(test) > most:
        chosen = np.sort(np.random.default_rng(bench.seed).choice(len(test), most, replace=False))
    targets = bench.dataset.targets.numpy()[test[chosen]]
    truth = unscale(targets, info).astype(np.float32) if info.task == "regression" else targets.astype(np.int64)
    tensors = {"outputs": said(outputs[chosen], info), "targets": truth, "rows": test[chosen].astype(np.int64)}
    clusters = bench.dataset.splits.clusters(test[chosen])
    if clusters is not None:
        tensors["clusters"] = clusters.astype(np.int64)
    facts = {"format": "1", "num_test": str(len(test)), "sampled": str(len(chosen) < len(test)).lower()}
    with atomic(bench.run.tested) as temporary:
        save_file({name: np.ascontiguousarray(t) for name, t in tensors.items()}, temporary, metadata=facts)


def _save_examples(bench: Workbench, outputs: np.ndarray, thresholds: Sequence[float]) -> None:
    dataset, test = bench.dataset, bench.dataset.splits.test
    show = modality(dataset.info.modality).show
    entries: list[dict[str, Any]] = []
    for i, facts in choose(dataset.targets.numpy()[test], outputs, dataset.info, thresholds):
        shown = show(dataset, i)
        row = int(test[i])
        entry = {"kind": facts.pop("kind"), "name": dataset.names[row], "row": row, **facts}
        if isinstance(shown, Image.Image):
            entry["image"] = f"{bench.run.pictures.name}/{len(entries)}.png"
            bench.run.pictures.mkdir(parents=True, exist_ok=True)
            shown.save(bench.run.pictures.parent / entry["image"])
        else:
            entry["values"] = shown
        entries.append(entry)
    write_json(bench.run.examples, entries)  # last: whatever it names is whole


def choose(
    targets: np.ndarray, outputs: np.ndarray, info: DatasetInfo, thresholds: Sequence[float] = ()
) -> list[tuple[int, dict[str, Any]]]:
    """Which examples to show, and what is said of each: typical ones, then the worst mistakes.

    Args:
        targets: int64 classes [N], labels [N, C], or scaled targets [N].
        outputs: finite, as `evaluate.predict` gives them.
        info: task and classes.
        thresholds: of the recipe.
    """
    if info.task == "regression":
        return list(_of_values(unscale(targets, info), predicted_values(outputs, info)))
    chances, decided = probabilities(outputs, info.task), decide_classes(outputs, info.task, thresholds)
    if info.task == "multilabel":
        return list(_of_labels(targets > 0, decided, chances, info.classes))
    return list(_of_classes(targets, decided, chances, info.classes))


def _of_classes(
    truth: np.ndarray, decided: np.ndarray, chances: np.ndarray, classes: Sequence[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    sure = chances[np.arange(len(truth)), decided]

    def facts(i: int, kind: str) -> tuple[int, dict[str, Any]]:
        named = {"target": classes[truth[i]], "predicted": classes[decided[i]]}
        return i, {"kind": kind, **named, "probability": float(sure[i])}

    right = truth == decided
    for i in _typical([np.flatnonzero(right & (truth == k)) for k in range(len(classes))], sure):
        yield facts(i, "typical")
    for i in _largest(sure, np.flatnonzero(~right)):
        yield facts(i, "mistake")


def _of_labels(
    truth: np.ndarray, decided: np.ndarray, chances: np.ndarray, classes: Sequence[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """An example of a label has it, and all that is said of it is right."""
    sure = np.where(decided, chances, 1 - chances)
    wrong = truth != decided
    any_wrong = wrong.any(1)
    least, most = sure.min(1), np.where(wrong, sure, -1.0).max(1)

    def facts(i: int, kind: str, label: int, probability: float) -> tuple[int, dict[str, Any]]:
        names = {"target": truth[i], "predicted": decided[i]}
        named = {who: [classes[k] for k in np.flatnonzero(flags).tolist()] for who, flags in names.items()}
        return i, {"kind": kind, **named, "probability": float(probability), "label": classes[label]}

    for i in _typical([np.flatnonzero(~any_wrong & truth[:, k]) for k in range(len(classes))], least):
        yield facts(i, "typical", int(sure[i].argmin()), least[i])
    for i in _largest(most, np.flatnonzero(any_wrong)):
        yield facts(i, "mistake", int(np.where(wrong[i], sure[i], -1.0).argmax()), most[i])


def _of_values(truth: np.ndarray, predicted: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
    errors = np.abs(predicted - truth)

    def facts(i: int, kind: str) -> tuple[int, dict[str, Any]]:
        numbers = {"target": truth[i], "predicted": predicted[i], "error": predicted[i] - truth[i]}
        return i, {"kind": kind, **{name: float(f"{value:.6g}") for name, value in numbers.items()}}

    typical = _typical(np.array_split(np.argsort(truth, kind="stable"), THIRDS), errors)
    for i in typical:
        yield facts(i, "typical")
    for i in _largest(errors, np.setdiff1d(np.arange(len(truth)), typical)):
        yield facts(i, "mistake")


def _typical(groups: Sequence[np.ndarray], values: np.ndarray) -> list[int]:
    """Of each group of examples those whose values are nearest its median, none twice; the largest groups of many."""
    each = TYPICAL if TYPICAL * len(groups) <= MOST_TYPICAL else 1
    largest = sorted(range(len(groups)), key=lambda k: -len(groups[k]))[: MOST_TYPICAL // each]
    found: dict[int, None] = {}
    for k in sorted(largest):
        rows = groups[k]
        if len(rows):
            distance = np.abs(values[rows] - np.median(values[rows]))
            found |= dict.fromkeys(rows[np.argsort(distance, kind="stable")[:each]].tolist())
    return list(found)


def _largest(values: np.ndarray, rows: np.ndarray) -> list[int]:
    """The rows of the largest values."""
    order = np.argsort(-values[rows], kind="stable")[:MISTAKES]
    found: list[int] = rows[order].tolist()
    return found


def save_test_sample(bench: Workbench, outputs: np.ndarray) -> None:
    """Keep some test examples as the network takes them, with the model's outputs: what exports are checked on.

    Args:
        bench: the workbench.
        outputs: of all test examples [N, O].
    """
    inputs, test = bench.dataset.inputs, bench.dataset.splits.test
    size = sum(x[:1].nbytes for x in inputs)
    count = max(1, min(len(test), SAMPLE, SAMPLE_BYTES // max(1, size)))
    places = np.linspace(0, len(test) - 1, count).astype(np.int64)
    rows = torch.from_numpy(test[places])
    names = ("image",) if bench.dataset.info.modality == "image" else ("numbers", "codes")
    tensors = {name: x[rows].numpy() for name, x in zip(names, inputs, strict=True)}
    tensors |= {"outputs": outputs[places], "targets": bench.dataset.targets[rows].numpy()}
    with atomic(bench.run.test_sample) as temporary:
        save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, temporary)
