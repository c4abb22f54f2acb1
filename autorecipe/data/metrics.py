"""Metrics by name: which tasks each one is for, which way is better, and which is taken when none is asked for.

What they compute is in `training/metrics.py`.  A metric has one name here; scikit-learn's names of scorers
lead to it (`neg_root_mean_squared_error` is `rmse`, lower is better).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from autorecipe.errors import InputError, did_you_mean

TASKS = ("binary", "multiclass", "multilabel", "regression")
_CLASSES = ("binary", "multiclass")
_DECIDED = ("binary", "multiclass", "multilabel")
_ALL_LABELS = ("multilabel",)
_VALUES = ("regression",)


@dataclass(frozen=True)
class Metric:
    """One metric."""

    tasks: tuple[str, ...]
    higher: bool = True
    """Whether a greater value is better."""
    best: float | None = 1.0
    """The value of a perfect model; None: unknown (a user's own)."""
    thresholds: bool = False
    """Whether it is won by choosing the probability from which on a class is said."""
    balanced: bool = False
    """Whether examples of rare classes count for more than others, so that class weights may help."""
    lowest: float | None = None
    """Targets below this are refused (regression)."""
    relative: bool = False
    """Whether errors count relatively, or the median is what is wanted: then a skewed target is trained as a log."""
    function: Callable[[Any, Any], float] | None = None
    """A user's own: called with targets and predictions in the user's terms."""


def _averaged(name: str) -> dict[str, Metric]:
    """`precision`, `precision_macro`, ...: one family of scikit-learn's names."""
    ours = {"f1_macro": "macro_f1", "f1_micro": "micro_f1"}
    tasks = {"macro": _DECIDED, "micro": _DECIDED, "weighted": _DECIDED, "samples": _ALL_LABELS}
    tuned = name in ("f1", "jaccard")
    found = {f"{name}_{way}": Metric(fit, thresholds=tuned, balanced=way == "macro") for way, fit in tasks.items()}
    found[name] = Metric(("binary",), thresholds=tuned, balanced=True)
    return {ours.get(known, known): metric for known, metric in found.items()}


METRICS: dict[str, Metric] = {
    "accuracy": Metric(_DECIDED),
    "balanced_accuracy": Metric(_CLASSES, thresholds=True, balanced=True),
    "matthews_corrcoef": Metric(_CLASSES, thresholds=True, balanced=True),
    "hamming_loss": Metric(_ALL_LABELS, higher=False, best=0.0),
    **_averaged("f1"),
    **_averaged("precision"),
    **_averaged("recall"),
    **_averaged("jaccard"),
    "top_k_accuracy": Metric(("multiclass",)),
    "log_loss": Metric(_DECIDED, higher=False, best=0.0),
    "brier_score": Metric(_CLASSES, higher=False, best=0.0),
    "d2_log_loss_score": Metric(_CLASSES),
    "d2_brier_score": Metric(_CLASSES),
    "roc_auc": Metric(_DECIDED, balanced=True),
    "roc_auc_ovr_weighted": Metric(("multiclass",)),
    "roc_auc_ovo": Metric(("multiclass",), balanced=True),
    "roc_auc_ovo_weighted": Metric(("multiclass",)),
    "average_precision": Metric(_DECIDED, balanced=True),
    "rmse": Metric(_VALUES, higher=False, best=0.0),
    "mae": Metric(_VALUES, higher=False, best=0.0, relative=True),
    "r2": Metric(_VALUES),
    "rmsle": Metric(_VALUES, higher=False, best=0.0, lowest=0.0, relative=True),
    "mean_squared_error": Metric(_VALUES, higher=False, best=0.0),
    "mean_squared_log_error": Metric(_VALUES, higher=False, best=0.0, lowest=0.0, relative=True),
    "mean_absolute_percentage_error": Metric(_VALUES, higher=False, best=0.0, relative=True),
    "median_absolute_error": Metric(_VALUES, higher=False, best=0.0, relative=True),
    "max_error": Metric(_VALUES, higher=False, best=0.0),
    "mean_poisson_deviance": Metric(_VALUES, higher=False, best=0.0, lowest=0.0),
    "mean_gamma_deviance": Metric(_VALUES, higher=False, best=0.0, lowest=1e-300),
    "explained_variance": Metric(_VALUES),
    "d2_absolute_error_score": Metric(_VALUES, relative=True),
}
"""Every metric by name."""


def is_share(metric: str) -> bool:
    """Whether a metric is a share of examples, or of pairs of them: no error among a few may then be luck."""
    known = METRICS[metric]
    of_classes = known.function is None and "regression" not in known.tasks and not metric.startswith("d2_")
    return of_classes and (known.best == 1.0 or metric == "hamming_loss")


SCORERS = {
    "f1_macro": "macro_f1",
    "f1_micro": "micro_f1",
    "roc_auc_ovr": "roc_auc",
    "neg_root_mean_squared_error": "rmse",
    "neg_mean_absolute_error": "mae",
    "neg_root_mean_squared_log_error": "rmsle",
    **{
        f"neg_{name}": name
        for name in (
            "log_loss",
            "brier_score",
            "mean_squared_error",
            "mean_squared_log_error",
            "mean_absolute_percentage_error",
            "median_absolute_error",
            "max_error",
            "mean_poisson_deviance",
            "mean_gamma_deviance",
        )
    },
}
"""scikit-learn's names that are not ours."""
REFUSED = {
    **dict.fromkeys(
        (
            "adjusted_mutual_info_score",
            "adjusted_rand_score",
            "completeness_score",
            "fowlkes_mallows_score",
            "homogeneity_score",
            "mutual_info_score",
            "normalized_mutual_info_score",
            "rand_score",
            "v_measure_score",
        ),
        "compares clusterings, and here targets are given",
    ),
    **dict.fromkeys(
        ("positive_likelihood_ratio", "neg_negative_likelihood_ratio"),
        "is infinite as soon as one side has no error, so a search cannot be steered by it",
    ),
}
"""scikit-learn's other names, and why each is refused."""
OWN = "python:"
"""Begins the name of a metric that is a user's function."""
RARE_SHARE = 0.2
"""With all classes but one rarer than this together, accuracy says little."""


def resolve_metric(wanted: str) -> str:
    """Our name of what the user typed: `auto`, one of ours or one of scikit-learn's.

    Raises:
        InputError: there is none of this name, or it makes no sense here.
    """
    if wanted == "auto" or wanted in METRICS:
        return wanted
    if wanted in SCORERS:
        return SCORERS[wanted]
    if wanted.startswith(OWN):
        name = wanted.removeprefix(OWN)
        raise InputError(
            f"the metric is the Python function '{name}', and functions are not kept in files: give it again from "
            f"Python, autorecipe.resume(RUN, metric={name}); or replay with another data.metric in the recipe"
        )
    if wanted in REFUSED:
        raise InputError(f"the metric '{wanted}' {REFUSED[wanted]}; known: {', '.join(METRICS)}")
    raise InputError(f"unknown metric '{wanted}': {did_you_mean(wanted, [*METRICS, *SCORERS])}")


def choose_metric(wanted: str, task: str, counts: tuple[int, ...] = ()) -> tuple[str, str]:
    """The metric that decisions are taken in, and why.

    Args:
        wanted: `auto`, or a name.
        task: binary, multiclass, multilabel or regression.
        counts: examples of each class.

    Raises:
        InputError: an unknown metric, or one of another task.
    """
    name = resolve_metric(wanted)
    if name == "auto":
        return _default(task, counts)
    if task not in METRICS[name].tasks:
        fitting = ", ".join(known for known, metric in METRICS.items() if task in metric.tasks)
        raise InputError(
            f"the metric '{wanted}' is for {' and '.join(METRICS[name].tasks)} and does not fit the task '{task}'; "
            f"for this task: {fitting}"
        )
    return name, "as asked" if name == wanted else f"as asked: '{wanted}'"


def _default(task: str, counts: tuple[int, ...]) -> tuple[str, str]:
    if task == "regression":
        return "rmse", "the default for numbers, in their own unit"
    if task == "multilabel":
        return "micro_f1", "the default for labels: most labels are absent, so being right about absence counts nothing"
    most = max(counts, default=0) / max(1, sum(counts))
    if most <= 1 - RARE_SHARE:
        return "accuracy", "the default for classes"
    always = f"always saying the most common class would have accuracy {most:.2f}"
    if task == "binary":
        return "roc_auc", f"the default where one of two classes is rare: {always}"
    return "macro_f1", f"the default where one class holds most examples: {always}"


def direction(metric: str) -> str:
    """`maximize` or `minimize`."""
    return "maximize" if METRICS[metric].higher else "minimize"


def gain(metric: str, new: float, old: float) -> float:
    """How much better `new` is than `old`: positive is better."""
    return new - old if METRICS[metric].higher else old - new


@contextmanager
def own_metric(metric: Any) -> Iterator[str]:
    """Make a user's metric known by name while the block runs; a text is its own name.

    Args:
        metric: a name, or a function `f(y_true, y_pred) -> float`, or a pair of it and `maximize` or `minimize`.
            Greater is better, unless the pair or the attribute `f.greater_is_better = False` says otherwise.
            The attribute `f.best` is the value of a perfect model, where there is one.  It is called with class
            names (str [N]), labels (0/1 [N, L]) or numbers in the user's unit (float64 [N]).

    Raises:
        InputError: it is none of these.
    """
    if isinstance(metric, str):
        yield metric
        return
    function, way = metric if isinstance(metric, tuple) and len(metric) == 2 else (metric, None)
    if not callable(function) or way not in (None, "maximize", "minimize"):
        raise InputError(
            f"metric={metric!r}: give a name, a function f(y_true, y_pred) -> float, or (f, 'minimize') where lower "
            "is better"
        )
    higher = way == "maximize" if way else bool(getattr(function, "greater_is_better", True))
    best = getattr(function, "best", None if higher else 0.0)
    name = OWN + str(getattr(function, "__name__", type(function).__name__))
    METRICS[name] = Metric(TASKS, higher, None if best is None else float(best), balanced=True, function=function)
    try:
        yield name
    finally:
        del METRICS[name]


def check_targets(metric: str, targets: np.ndarray) -> None:
    """Refuse a metric that the targets [N] are out of the range of.

    Raises:
        InputError: with the number of such targets.
    """
    lowest = METRICS[metric].lowest
    if lowest is not None and len(targets) and float(targets.min()) < lowest:
        wanted = "0 or more" if lowest == 0 else "above 0"
        raise InputError(
            f"the metric '{metric}' needs targets of {wanted}, but {int(np.sum(targets < lowest)):,} of "
            f"{len(targets):,} are lower, such as {targets.min():g}; choose another, such as --metric mae"
        )
