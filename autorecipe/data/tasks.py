"""What is asked of the data: the task and its targets, each with the reason."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autorecipe.data.metrics import TASKS
from autorecipe.errors import InputError, did_you_mean, listed

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
    """Classes as str [N]; sorted labels joined by `|` as object [N]; or float64 [N] for regression."""
    classes: tuple[str, ...]
    """Classes or labels, sorted; by value if all are whole numbers. Empty for regression."""


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
        raise InputError(f"unknown task '{wanted}': {did_you_mean(wanted, ('auto', *TASKS))}")
    if len(values) == 0:
        raise InputError(f"the target '{name}' has no values; give examples with targets")
    if wanted == "multilabel":
        return label_target(class_texts(values), name, "as asked")
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
            f"{listed(classes, 5, '')}; use --task multiclass"
        )
    if 2 * len(classes) > len(texts) >= 20:
        raise InputError(
            f"the target '{name}' has {len(classes):,} distinct values in {len(texts):,} examples, too many for "
            "classes: choose another column with --target"
            + ("" if numbers is None else ", or use --task regression")
            + (", or use --task multilabel if they are labels joined by '|'" if has_labels(texts) else "")
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


# Several labels for each example


SEPARATOR = "|"
"""Joins the labels of an example."""
FEW = 20
"""A set of labels with fewer examples than this is no stratum of its own."""


def split_labels(values: Sequence[str] | np.ndarray) -> list[tuple[str, ...]]:
    """The labels of each example, sorted, each one once: `"b|a"` is `("a", "b")`, an empty text is `()`."""
    return [tuple(sorted({part.strip() for part in str(text).split(SEPARATOR)} - {""})) for text in values]


def join_labels(labels: Sequence[Sequence[str]]) -> np.ndarray:
    """The labels of each example as one text: object [N], for a few may be many times as long as the others."""
    joined = np.empty(len(labels), dtype=object)
    joined[:] = [SEPARATOR.join(some) for some in labels]
    return joined


def has_labels(texts: np.ndarray) -> bool:
    """Whether most texts [N] are names joined by `|`."""
    return 2 * int(np.sum(np.char.find(texts.astype(str), SEPARATOR) > 0)) > len(texts)


def label_matrix(values: np.ndarray, labels: tuple[str, ...]) -> np.ndarray:
    """Which labels [L] each example of joined labels [N] has: float32 [N, L] of 0 and 1.

    Raises:
        InputError: an example has a label that is not among them.
    """
    columns = {label: i for i, label in enumerate(labels)}
    matrix = np.zeros((len(values), len(labels)), np.float32)
    for row, some in enumerate(split_labels(values)):
        for label in some:
            if label not in columns:
                raise InputError(f"the label '{label}' is not known: {did_you_mean(label, labels)}")
            matrix[row, columns[label]] = 1.0
    return matrix


def label_strata(values: np.ndarray) -> np.ndarray:
    """A stratum for each example of joined labels [N], so that every split has its share of rare labels: str [N].

    A set of labels that is common enough is a stratum; an example of a rare set is with those of its rarest label.
    """
    sets = split_labels(values)
    alike: dict[tuple[str, ...], int] = {}
    count: dict[str, int] = {}
    for some in sets:
        alike[some] = alike.get(some, 0) + 1
        for label in some:
            count[label] = count.get(label, 0) + 1
    return join_labels([some if alike[some] >= FEW else sorted(some, key=lambda x: (count[x], x))[:1] for some in sets])


def labels_of_flags(flags: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Joined labels [N] of 0 and 1 [N, L].

    Raises:
        InputError: other values, or names [L] that cannot be joined.
    """
    values = np.unique(flags.astype(str))
    wrong = values[~np.isin(values, ("0", "1", "0.0", "1.0", "False", "True"))]
    if len(wrong):
        raise InputError(
            f"y has the shape {flags.shape} and holds '{wrong[0]}': several targets for each example are labels, so "
            "give 0 and 1, or a y of one column"
        )
    return join_flags(np.isin(flags.astype(str), ("1", "1.0", "True")), names)


def join_flags(has: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Joined labels [N] of which labels each example has: bool [N, L].

    Raises:
        InputError: names [L] are empty, not all different or hold `|`.
    """
    names = [name.strip() for name in names]
    for name in names:
        if not name or SEPARATOR in name or names.count(name) > 1:
            raise InputError(
                f"a label is named '{name}': labels need different names, without '{SEPARATOR}', which joins them; "
                "rename the column"
            )
    kinds, inverse = np.unique(has, axis=0, return_inverse=True)
    joined = join_labels([sorted(name for name, true in zip(names, row, strict=True) if true) for row in kinds])
    return np.asarray(joined[inverse.reshape(-1)])


def label_target(values: Sequence[str] | np.ndarray, name: str, reason: str) -> Target:
    """The targets of a multilabel task.

    Args:
        values: labels of each example, joined by `|`; nothing: it has none.
        name: the target's name, for messages.
        reason: why it is this task.

    Raises:
        InputError: fewer than two labels in all.
    """
    sets = split_labels(values)
    labels = sort_classes(sorted({label for some in sets for label in some}))
    if len(labels) < 2:
        found = f"one label, '{labels[0]}'," if labels else "no labels"
        raise InputError(
            f"the target '{name}' has {found} in {len(sets):,} examples; the task multilabel needs two or more, "
            f"joined by '{SEPARATOR}', such as 'cat{SEPARATOR}dog'"
        )
    return Target("multilabel", reason, join_labels(sets), labels)
