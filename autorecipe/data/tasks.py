"""What is asked of the data: the task, its targets and its metric, each with the reason."""

from dataclasses import dataclass

import numpy as np

from autorecipe.errors import InputError, did_you_mean

TASKS = ("binary", "multiclass", "regression")
METRICS: dict[str, tuple[str, ...]] = {
    "accuracy": ("binary", "multiclass"),
    "log_loss": ("binary", "multiclass"),
    "macro_f1": ("binary", "multiclass"),
    "roc_auc": ("binary", "multiclass"),
    "rmse": ("regression",),
    "mae": ("regression",),
    "r2": ("regression",),
}
"""Every metric and the tasks it is for."""
MOST_CLASSES = 20
"""Whole numbers with more distinct values than this are a quantity, not classes."""
ROWS_A_CLASS = 5
"""Whole numbers with fewer examples a value than this, on average, are a quantity."""


@dataclass(frozen=True)
class Target:
    """The targets and what they ask for."""

    task: str
    reason: str
    values: np.ndarray
    """Classes as str array [N], or float64 [N] for regression."""
    classes: tuple[str, ...]
    """Sorted; by value if all are whole numbers. Empty for regression."""


def infer_target(values: np.ndarray, wanted: str, name: str, known_classes: str = "") -> Target:
    """Choose the task by the targets, or check the one the user wants.

    Args:
        values: targets [N] without missing values.
        wanted: `auto` or a task.
        name: the target's name, for messages.
        known_classes: why these are classes even if they look like numbers; empty: they may be numbers.

    Raises:
        InputError: an unknown task, or one that the targets do not fit.
    """
    if wanted != "auto" and wanted not in TASKS:
        if wanted == "multilabel":
            raise InputError("the task 'multilabel' is not supported yet; known: auto, " + ", ".join(TASKS))
        raise InputError(f"unknown task '{wanted}': {did_you_mean(wanted, ('auto', *TASKS))}")
    if len(values) == 0:
        raise InputError(f"the target '{name}' has no values; give examples with targets")
    numbers = _as_numbers(values)
    found, reason = ("classes", known_classes) if known_classes else _infer(values, numbers, name)
    if wanted == "regression":
        if numbers is None:
            example = next(str(v) for v in values if _as_numbers(np.asarray([v], dtype=object)) is None)
            raise InputError(
                f"regression needs numbers, but the target '{name}' has values such as '{example}'; "
                "leave --task out, or choose another column with --target"
            )
        return Target("regression", "as asked", numbers, ())
    if found == "regression" and wanted == "auto":
        assert numbers is not None
        return Target("regression", reason, numbers, ())
    texts = class_texts(values)
    classes = sort_classes(np.unique(texts).tolist())
    if len(classes) < 2:
        raise InputError(
            f"the target '{name}' has only one value, '{classes[0]}', in {len(texts):,} examples; "
            "there is nothing to learn. Choose another column with --target"
        )
    if wanted == "binary" and len(classes) != 2:
        raise InputError(
            f"the task 'binary' needs two classes, but '{name}' has {len(classes)}: "
            f"{', '.join(classes[:5])}{', ...' if len(classes) > 5 else ''}; use --task multiclass"
        )
    if 2 * len(classes) > len(texts) >= 20:
        raise InputError(
            f"the target '{name}' has {len(classes):,} distinct values in {len(texts):,} examples, too many for "
            "classes: choose another column with --target" + ("" if numbers is None else ", or use --task regression")
        )
    if wanted != "auto":
        return Target(wanted, "as asked", texts, classes)
    return Target("binary" if len(classes) == 2 else "multiclass", reason, texts, classes)


def _infer(values: np.ndarray, numbers: np.ndarray | None, name: str) -> tuple[str, str]:
    if values.dtype.kind == "b" or numbers is None:
        return "classes", f"the values of '{name}' are not numbers"
    distinct = len(np.unique(numbers))
    if distinct == 2:
        return "classes", f"'{name}' has two distinct values"
    if not np.all(numbers == np.round(numbers)):
        return "regression", f"'{name}' holds numbers with fractions"
    if distinct > MOST_CLASSES:
        return "regression", f"'{name}' holds numbers with {distinct:,} distinct values, more than {MOST_CLASSES}"
    if distinct > 1 and len(numbers) < ROWS_A_CLASS * distinct:
        return "regression", f"'{name}' holds {distinct} distinct numbers in {len(numbers)} examples, few of each"
    return "classes", f"'{name}' holds whole numbers with {distinct} distinct values, at most {MOST_CLASSES}"


def _as_numbers(values: np.ndarray) -> np.ndarray | None:
    """The values as float64, or None if one of them is not a number."""
    if values.dtype.kind in "biuf":
        return values.astype(np.float64)
    if values.dtype.kind not in "OUT" or any(isinstance(value, (bool, np.bool_)) for value in values[:100]):
        return None
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError):
        return None
    return numbers if np.all(np.isfinite(numbers)) else None


def class_texts(values: np.ndarray) -> np.ndarray:
    """Classes as str array [N]; whole numbers lose their `.0`, so that 1 and 1.0 are one class."""
    uniques, inverse = np.unique(values if values.dtype.kind in "biufU" else values.astype(str), return_inverse=True)
    if uniques.dtype.kind == "f" and np.all(uniques == np.round(uniques)):
        uniques = uniques.astype(np.int64)
    texts: np.ndarray = np.char.strip(uniques.astype(str))[inverse.reshape(-1)]
    return texts


def sort_classes(classes: list[str]) -> tuple[str, ...]:
    """Classes in their order: by value if all are whole numbers, else by name."""
    try:
        return tuple(sorted(classes, key=int))
    except ValueError:
        return tuple(sorted(classes))


def class_indices(texts: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """int64 positions in `classes` of each class name."""
    order = np.argsort(np.asarray(classes))
    positions = np.searchsorted(np.asarray(classes)[order], texts)
    return order[positions].astype(np.int64)


def choose_metric(wanted: str, task: str) -> tuple[str, str]:
    """The metric that decisions are taken in, and why.

    Raises:
        InputError: an unknown metric, or one of another task.
    """
    if wanted == "auto":
        return (
            ("rmse", "the default for regression") if task == "regression" else ("accuracy", "the default for classes")
        )
    if wanted not in METRICS:
        raise InputError(f"unknown metric '{wanted}': {did_you_mean(wanted, METRICS)}")
    if task not in METRICS[wanted]:
        fitting = ", ".join(name for name, tasks in METRICS.items() if task in tasks)
        raise InputError(f"the metric '{wanted}' does not fit the task '{task}'; for this task: {fitting}")
    return wanted, "as asked"


def regression_scale(targets: np.ndarray, task: str) -> dict[str, float]:
    """`target_mean` and `target_std` of the training targets; 0 and 1 for classes."""
    if task != "regression":
        return {"target_mean": 0.0, "target_std": 1.0}
    return {"target_mean": float(targets.mean()), "target_std": float(targets.std()) or 1.0}
