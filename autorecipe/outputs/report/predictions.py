"""What the predictions for test say: confusion, calibration, residuals."""

from dataclasses import dataclass

import numpy as np

BINS = 10
"""Of the reliability curve."""


@dataclass(frozen=True)
class Bin:
    """Predictions whose confidence lies in one interval."""

    count: int
    confidence: float
    """Their mean confidence."""
    right: float
    """Share of them that were right."""


def confusion(truth: np.ndarray, said: np.ndarray, num_classes: int) -> np.ndarray:
    """How often each class [row] was taken for each [column]: int64 [K, K]."""
    table = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(table, (truth, said), 1)
    return table


def said_classes(outputs: np.ndarray, thresholds: tuple[float, ...]) -> np.ndarray:
    """The class of each example [N] from probabilities [N, K]; two classes may have a threshold."""
    if outputs.shape[1] == 2 and thresholds:
        return (outputs[:, 1] >= thresholds[0]).astype(int)
    return np.asarray(outputs.argmax(1))


def said_labels(outputs: np.ndarray, thresholds: tuple[float, ...]) -> np.ndarray:
    """Whether each label is said, bool [N, L], from probabilities [N, L]."""
    limits = np.array(thresholds) if len(thresholds) == outputs.shape[1] else 0.5
    return np.asarray(outputs >= limits)


def most_confused(table: np.ndarray, most: int = 15) -> list[tuple[int, int, int]]:
    """The pairs (truth, said, count) that were confused most often."""
    wrong = table - np.diag(np.diag(table))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [(int(i // len(table)), int(i % len(table))) for i in order]
    return [(i, j, int(wrong[i, j])) for i, j in pairs if wrong[i, j] > 0]


def reliability(confidence: np.ndarray, right: np.ndarray) -> tuple[list[Bin], float]:
    """Bins of equal width that hold a prediction, and the expected calibration error (Guo et al. 2017).

    Args:
        confidence: probability of what was said, [N], 0 to 1.
        right: whether it was right, bool [N].
    """
    index = np.clip((confidence * BINS).astype(int), 0, BINS - 1)
    bins = []
    for i in range(BINS):
        inside = index == i
        if inside.any():
            bins.append(Bin(int(inside.sum()), float(confidence[inside].mean()), float(right[inside].mean())))
    total = sum(b.count for b in bins)
    return bins, sum(b.count * abs(b.confidence - b.right) for b in bins) / max(1, total)


@dataclass(frozen=True)
class LabelRow:
    """How well one label is said."""

    name: str
    there: int
    """Examples that have it."""
    precision: float | None
    recall: float | None
    f1: float | None


def label_table(truth: np.ndarray, said: np.ndarray, names: list[str]) -> list[LabelRow]:
    """Precision, recall and F1 of each label, from bool [N, L]."""
    found = []
    for i, name in enumerate(names):
        hits, told, there = (int(part.sum()) for part in (truth[:, i] & said[:, i], said[:, i], truth[:, i]))
        both = told + there
        found.append(
            LabelRow(
                name,
                there,
                hits / told if told else None,
                hits / there if there else None,
                2 * hits / both if both else None,
            )
        )
    return found
