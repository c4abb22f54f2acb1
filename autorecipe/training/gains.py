"""How much of a difference between two models' scores is the choice of the examples that were scored."""

from collections.abc import Sequence

import numpy as np

from autorecipe.errors import InputError
from autorecipe.results import DatasetInfo
from autorecipe.training.evaluate import decide_classes, gain, loss_of_each, predicted_values, score, unscale

GROUPS = 40
"""Groups of examples left out in turn: the estimated variance is then right to about a fifth."""


Thresholds = tuple[Sequence[float], Sequence[float]]
"""Probabilities from which on each of two models says a class or label, as `decide_classes` takes them."""
NO_THRESHOLDS: Thresholds = ((), ())


def example_gains(
    metric: str,
    targets: np.ndarray,
    old: np.ndarray,
    new: np.ndarray,
    info: DatasetInfo,
    thresholds: Thresholds = NO_THRESHOLDS,
    clusters: np.ndarray | None = None,
) -> np.ndarray:
    """Values whose mean is the gain of `new` over `old`, and whose variance of the mean is the gain's.

    The examples' own gains where the metric is a mean over examples (accuracy, losses), float [N]; and by the
    delta method for rmse and r2.  For all others the pseudo-values of a jackknife that leaves out one of 40
    groups of examples in turn (Quenouille 1956; Shao and Wu 1989 for groups), float [40].  Where a metric says nothing
    without a group, as of a class whose only examples are in it, all of the larger score is taken to hang on the group.

    Args:
        metric: a name of `METRICS`.
        targets: of the scored examples.
        old: outputs [N, O] of one model.
        new: outputs [N, O] of the other, on the same examples.
        info: the task and the scale of the target.
        thresholds: of the two models.
        clusters: of each example the number of those it is one draw with, from 0 [N], as `Splits.clusters` gives them:
            there is then one value a cluster (or leaving-out of clusters), for their examples may be right and wrong
            together.
    """
    values = _of_examples(metric, targets, old, new, info, thresholds)
    if values is None:
        return _pseudo_values(metric, targets, old, new, info, thresholds, clusters)
    if clusters is None:
        return values
    count = int(clusters.max()) + 1
    return np.bincount(clusters, values, count) * count / len(values)


def _of_examples(
    metric: str, targets: np.ndarray, old: np.ndarray, new: np.ndarray, info: DatasetInfo, thresholds: Thresholds
) -> np.ndarray | None:
    """The gain of each example; None where a metric is no mean over examples."""
    if info.task == "regression" and metric in ("mae", "mean_squared_error", "rmse", "r2"):
        truth = unscale(targets, info)
        before, after = (np.abs(truth - predicted_values(outputs, info)) for outputs in (old, new))
        if metric == "mae":
            return np.asarray(before - after)
        squares = np.asarray(before**2 - after**2)
        if metric == "rmse":
            return np.asarray(squares / (np.sqrt((before**2).mean()) + np.sqrt((after**2).mean()) + 1e-12))
        return squares if metric == "mean_squared_error" else np.asarray(squares / max(float(truth.var()), 1e-12))
    if metric == "log_loss":
        return np.asarray(loss_of_each(targets, old, info) - loss_of_each(targets, new, info))
    if metric in ("accuracy", "hamming_loss"):
        both = zip((old, new), thresholds, strict=True)
        wrong = [decide_classes(outputs, info.task, said) != targets for outputs, said in both]
        if info.task == "multilabel":
            wrong = [w.any(1) if metric == "accuracy" else w.mean(1) for w in wrong]
        return np.asarray(wrong[0].astype(float) - wrong[1].astype(float))
    return None


def _pseudo_values(
    metric: str,
    targets: np.ndarray,
    old: np.ndarray,
    new: np.ndarray,
    info: DatasetInfo,
    thresholds: Thresholds,
    clusters: np.ndarray | None,
) -> np.ndarray:
    def scores(rows: np.ndarray) -> list[float]:
        both = zip((old, new), thresholds, strict=True)
        return [score(metric, targets[rows], outputs[rows], info, said) for outputs, said in both]

    def without(rows: np.ndarray) -> float:
        try:
            before, after = scores(rows)
        except InputError:  # a user's function, which needs what these lack
            return float("nan")
        return gain(metric, after, before)

    if clusters is None:
        clusters = np.arange(len(targets))
    count = int(clusters.max()) + 1
    groups = min(GROUPS, count)
    group = (np.random.default_rng(0).permutation(count) % groups)[clusters]
    before, after = scores(np.arange(len(targets)))
    whole = gain(metric, after, before)
    left = np.asarray([without(np.flatnonzero(group != g)) for g in range(groups)])
    left[~np.isfinite(left)] = whole + max(abs(before), abs(after))
    return np.asarray(groups * whole - (groups - 1) * left)
