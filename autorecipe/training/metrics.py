"""What each metric computes, from targets and predictions in the user's terms.

Shapes: N examples, K classes, L labels.  Most are a few counts and are computed here, for a search reads a
score hundreds of times; the others are scikit-learn's, imported when one is asked for.  Values are those of
scikit-learn's scorer of the same name, with `zero_division=0`.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np

_RATIOS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "precision": lambda hits, false, missed: _divide(hits, hits + false),
    "recall": lambda hits, false, missed: _divide(hits, hits + missed),
    "f1": lambda hits, false, missed: _divide(2 * hits, 2 * hits + false + missed),
    "jaccard": lambda hits, false, missed: _divide(hits, hits + false + missed),
}
"""Ratios of counts: right, wrongly said, missed."""
OURS = {"macro_f1": "f1_macro", "micro_f1": "f1_micro"}
TOP_K = 2


def of_classes(metric: str, truth: np.ndarray, said: np.ndarray, num_classes: int) -> float:
    """A metric of decided classes int64 [N], or of decided labels bool [N, L]."""
    if metric == "accuracy":
        return float(np.mean(truth == said if truth.ndim == 1 else np.all(truth == said, axis=1)))
    if metric == "hamming_loss":
        return float(np.mean(truth != said))
    if metric == "matthews_corrcoef":
        from sklearn.metrics import matthews_corrcoef

        return float(matthews_corrcoef(truth, said))
    if metric.endswith("_samples"):
        return of_counts(metric, count(truth.T, said.T, num_classes), every=True)
    return of_counts(metric, count(truth, said, num_classes), every=truth.ndim == 2)


def count(truth: np.ndarray, said: np.ndarray, num_classes: int) -> np.ndarray:
    """How often each class was right, wrongly said and missed: float [3, K], or [3, L] for labels [N, L]."""
    if truth.ndim == 2:
        truth, said = truth.astype(bool), said.astype(bool)
        return np.stack([part.sum(0) for part in (truth & said, ~truth & said, truth & ~said)]).astype(float)
    hits = np.bincount(truth[truth == said], minlength=num_classes)
    all_said, there = (np.bincount(classes, minlength=num_classes) for classes in (said, truth))
    return np.stack([hits, all_said - hits, there - hits]).astype(float)


def of_counts(metric: str, counts: np.ndarray, every: bool) -> float:
    """A ratio of counts: precision, recall, F1, Jaccard or the balanced accuracy, averaged as its name says.

    Args:
        metric: its name.
        counts: right, wrongly said, missed: [3, K], from `count`.
        every: whether classes that occur nowhere count in a mean; scikit-learn leaves out classes, not labels.
    """
    hits, false, missed = counts
    support = hits + missed
    if metric == "balanced_accuracy":
        return float(np.mean(_divide(hits, support)[support > 0]))
    name, _, way = OURS.get(metric, metric).partition("_")
    ratio = _RATIOS[name]
    if way == "micro":
        return float(ratio(*counts.sum(1, keepdims=True))[0])
    values = ratio(hits, false, missed)
    if way == "":
        return float(values[1])
    if way == "weighted":
        return float(np.sum(values * support) / support.sum()) if support.sum() else 0.0
    return float(np.mean(values if every else values[hits + false + missed > 0]))


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, and 0 where there is nothing to divide by."""
    return np.asarray(np.divide(above, below, out=np.zeros_like(above), where=below > 0))


def of_chances(metric: str, truth: np.ndarray, chances: np.ndarray) -> float:
    """A metric of probabilities: float [N, K] with classes int64 [N], or [N, L] with labels [N, L]."""
    wanted = np.eye(chances.shape[1], dtype=bool)[truth] if truth.ndim == 1 else truth.astype(bool)
    binary = truth.ndim == 1 and chances.shape[1] == 2
    if metric in ("roc_auc", "roc_auc_ovr_weighted", "average_precision"):
        if binary:
            wanted, chances = wanted[:, 1:], chances[:, 1:]
        one = average_precision if metric == "average_precision" else roc_auc
        values = np.asarray([one(wanted[:, k], chances[:, k]) for k in range(wanted.shape[1])])
        weights = wanted.sum(0) if metric.endswith("weighted") else np.ones(len(values))
        known = np.isfinite(values)
        return float(np.average(values[known], weights=weights[known])) if known.any() else float("nan")
    if metric == "brier_score":
        return float(np.mean(np.sum((chances - wanted) ** 2, axis=1))) / (2 if binary else 1)
    if metric == "top_k_accuracy":
        own = chances[np.arange(len(truth)), truth]
        return float(np.mean(np.sum(chances > own[:, None], axis=1) < TOP_K))
    from sklearn import metrics

    if metric in ("d2_log_loss_score", "d2_brier_score"):
        labels = np.arange(chances.shape[1])
        return float(getattr(metrics, metric)(truth, chances[:, 1] if binary else chances, labels=labels))
    present = np.unique(truth)
    if len(present) < 2:
        return float("nan")
    chances = chances[:, present] / chances[:, present].sum(1, keepdims=True)  # it wants every class to occur
    if len(present) == 2:  # and takes two classes for a binary task
        return roc_auc(truth == present[1], chances[:, 1])
    way: Literal["weighted", "macro"] = "weighted" if metric.endswith("weighted") else "macro"
    return float(metrics.roc_auc_score(truth, chances, multi_class="ovo", labels=present, average=way))


def roc_auc(truth: np.ndarray, chances: np.ndarray) -> float:
    """Share of pairs of a positive and a negative in the right order, half for ties; NaN without one of both."""
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = np.unique(chances, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(truth: np.ndarray, chances: np.ndarray) -> float:
    """Precision at each positive, averaged, ties taken together; NaN without a positive."""
    positives = int(truth.sum())
    if not positives:
        return float("nan")
    _, inverse, counts = np.unique(-chances, return_inverse=True, return_counts=True)
    hits = np.bincount(inverse, weights=truth, minlength=len(counts))
    return float(np.sum(hits * np.cumsum(hits) / np.cumsum(counts)) / positives)


def of_values(metric: str, truth: np.ndarray, guess: np.ndarray) -> float:
    """A metric of numbers float64 [N] in the user's unit."""
    wrong = truth - guess
    if metric in ("rmse", "mean_squared_error"):
        mean = float(np.mean(wrong**2))
        return mean if metric == "mean_squared_error" else mean**0.5
    if metric == "mae":
        return float(np.mean(np.abs(wrong)))
    if metric in ("r2", "explained_variance"):
        spread = float(np.sum((truth - truth.mean()) ** 2))
        left = float(np.sum((wrong - (wrong.mean() if metric == "explained_variance" else 0.0)) ** 2))
        return 1 - left / spread if spread else float("nan")
    if metric in ("rmsle", "mean_squared_log_error"):
        mean = float(np.mean((np.log1p(truth) - np.log1p(np.maximum(guess, 0.0))) ** 2))
        return mean if metric == "mean_squared_log_error" else mean**0.5
    if metric == "max_error":
        return float(np.max(np.abs(wrong)))
    if metric == "median_absolute_error":
        return float(np.median(np.abs(wrong)))
    from sklearn import metrics

    if metric.endswith("deviance"):
        mean = max(float(truth.mean()), 1e-12)
        guess = np.maximum(guess, 1e-6 * mean)  # a prediction of 0 would cost infinitely much
        # Targets were scaled to float32 and back, which may leave the smallest below 0.
        truth = np.maximum(truth, 0.0 if metric == "mean_poisson_deviance" else 1e-9 * mean)
    return float(getattr(metrics, metric)(truth, guess))
