"""Thresholds: from which probability on a label, or the second of two classes, is said.

Half is right for accuracy alone.  F1 and its kin want less where positives are rare (Lipton et al. 2014,
"Optimal Thresholding of Classifiers to Maximize F1 Measure").
"""

import math

import numpy as np

from autorecipe.data.metrics import METRICS, gain
from autorecipe.results import DatasetInfo
from autorecipe.training.evaluate import probabilities, score
from autorecipe.training.metrics import count, of_classes, of_counts

GRID = 33
"""Thresholds that are looked at, at even quantiles of the probabilities of all and of the positives."""
ENOUGH = 20
"""A label with fewer positives, or negatives, takes the threshold of all."""
MOST = 200_000
"""Probabilities that are looked at; more of them would cost a second and more."""


def worth_choosing(info: DatasetInfo) -> bool:
    """Whether the metric is one that thresholds can win."""
    return info.task in ("binary", "multilabel") and METRICS[info.metric].thresholds


def choose_thresholds(targets: np.ndarray, outputs: np.ndarray, info: DatasetInfo) -> tuple[tuple[float, ...], str]:
    """Thresholds for outputs [N, O], none where 0.5 is as good, and what they are worth.

    One threshold for all labels, and one for each, are fitted on one half of the examples and scored on the other,
    both ways; the better, if it beats 0.5 there, is fitted on all of them.  It is never worse on these than 0.5.

    Args:
        targets: classes [N] or labels [N, L], of examples that the model was not trained on.
        outputs: its logits.
        info: the task and the metric.
    """
    few = slice(None, None, max(1, outputs.size // MOST))
    targets, outputs = targets[few], outputs[few]
    if not worth_choosing(info) or len(targets) < 2 * ENOUGH:
        return (), ""
    half = np.arange(len(targets)) % 2 == 0
    parts = (half, ~half)

    def held_out(way: str) -> float:
        values = []
        for part in parts:
            fitted = fit_thresholds(targets[part], outputs[part], info, way)
            values.append(score(info.metric, targets[~part], outputs[~part], info, fitted))
        return float(np.mean(values))

    plain = float(np.mean([score(info.metric, targets[part], outputs[part], info) for part in parts]))
    gains = {way: gain(info.metric, held_out(way), plain) for way in _ways(info)}
    best = max(gains, key=lambda way: gains[way] if math.isfinite(gains[way]) else -math.inf)
    if not gains[best] > 0:
        return (), ""
    fitted = fit_thresholds(targets, outputs, info, best)
    before, after = (score(info.metric, targets, outputs, info, which) for which in ((), fitted))
    if not gain(info.metric, after, before) > 0:
        return (), ""
    return fitted, (
        f"thresholds (one for {'each label' if best == 'each' else 'all'}) help on {len(targets):,} held-out examples: "
        f"{info.metric} {before:.4g} -> {after:.4g}"
    )


def _ways(info: DatasetInfo) -> tuple[str, ...]:
    """`all`, and `each` where the metric is a mean or a sum over labels."""
    return ("all", "each") if info.task == "multilabel" and not info.metric.endswith("_samples") else ("all",)


def fit_thresholds(targets: np.ndarray, outputs: np.ndarray, info: DatasetInfo, way: str) -> tuple[float, ...]:
    """The thresholds with the best score on these examples; 0.5 is among those that are looked at."""
    chances = probabilities(outputs, info.task)
    chances = chances if info.task == "multilabel" else chances[:, 1:]
    size = int(chances.shape[1])

    def level(value: float) -> float:
        said = chances >= value
        if info.task == "multilabel":
            found = of_classes(info.metric, targets, said, size)
        else:
            found = of_classes(info.metric, targets, said[:, 0].astype(np.int64), 2)
        return gain(info.metric, found, 0.0) if math.isfinite(found) else -math.inf

    truth = targets.astype(bool).reshape(chances.shape)
    common: float = max(_grid(chances, truth), key=level)
    if way == "all":
        return (common,) * size
    chosen = [common] * size
    counts = count(truth, chances >= common, size)  # [3, L]
    for label in range(size):
        positives = int(truth[:, label].sum())
        if min(positives, len(truth) - positives) < ENOUGH:
            continue
        best = gain(info.metric, of_counts(info.metric, counts, every=True), 0.0)
        for value in _grid(chances[:, label], truth[:, label]):
            tried = counts.copy()
            tried[:, label] = count(truth[:, [label]], chances[:, [label]] >= value, 1)[:, 0]
            found = gain(info.metric, of_counts(info.metric, tried, every=True), 0.0)
            if found > best:
                best, counts, chosen[label] = found, tried, value
    return tuple(chosen)


def _grid(chances: np.ndarray, truth: np.ndarray) -> list[float]:
    """0.5, and even quantiles of the probabilities; those of the positives too, for they may all be in the last."""
    even = np.linspace(0, 1, GRID + 2)[1:-1]
    quantiles = [np.quantile(part, even) for part in (chances, chances[truth]) if part.size]
    values = dict.fromkeys(round(float(value), 4) for value in np.concatenate(quantiles))
    return [0.5, *(value for value in values if 0 < value < 1 and value != 0.5)]
