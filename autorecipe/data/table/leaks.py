"""Columns that tell the target by themselves, as a copy, another name or a consequence of it would."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from autorecipe.data.table.cells import as_numbers, factorize

FEWEST_ROWS = 40
MOST_CODES = 256
"""Numbers with more distinct values are compared with their neighbours."""
ERROR_LEFT = 0.05
"""A column tells the classes if it leaves at most this share of the commonest class's error, and 1 % of the rows."""
EXPLAINED = 0.999
"""A column tells a quantity if it explains this share of the variance of its ranks."""


@dataclass(frozen=True)
class Leak:
    """A column and how well it tells the target."""

    name: str
    found: str


def find_leaks(frame: pd.DataFrame, decimals: dict[str, str], targets: np.ndarray, task: str) -> list[Leak]:
    """Columns that tell the target of one half of the rows after a look at the other half alone.

    Args:
        frame: training rows of the columns that are used, in any order.
        decimals: decimal mark of each column of numbers.
        targets: [N], as `Raw.targets`.
        task: of the data set.
    """
    count = len(frame)
    if count < FEWEST_ROWS or task == "multilabel":
        return []
    seen, asked = np.array_split(np.random.default_rng(0).permutation(count), 2)
    quantity = task == "regression"
    y = _ranks(targets) if quantity else np.unique(targets, return_inverse=True)[1].reshape(-1)
    found = []
    for name in frame.columns:
        series = frame[name]
        numbers = as_numbers(series, decimals[name]) if name in decimals else None
        if quantity and numbers is not None and np.array_equal(numbers, targets):
            found.append(Leak(name, f"equals the target in all {count:,} rows that were compared"))
            continue
        codes = factorize(series)[0] + 1 if numbers is None else _codes_of_few(numbers)
        if quantity:
            share = _explained(numbers, codes, y, seen, asked)
            if share >= EXPLAINED:
                found.append(Leak(name, f"alone explains {share:.2%} of the target's variance (of its ranks)"))
        elif codes is not None and _same_partition(codes, y):
            found.append(Leak(name, "is the target by other names: each of its values goes with one class"))
        else:
            guess = (
                _class_of_neighbours(numbers, y, seen, asked)
                if codes is None
                else _class_of_code(codes, y, seen, asked)
            )
            base = float(np.mean(y[asked] == np.bincount(y[seen]).argmax()))
            right = float(np.mean(guess == y[asked]))
            if right >= 0.99 and 1 - right <= ERROR_LEFT * (1 - base):
                found.append(Leak(name, f"alone tells {right:.2%} of the classes (the commonest class is {base:.1%})"))
    return found


def _codes_of_few(values: np.ndarray) -> np.ndarray | None:
    """A code for each number [N], 0 without one, where few differ; None where many do."""
    codes, uniques = pd.factorize(values)
    return codes + 1 if len(uniques) <= min(MOST_CODES, len(values) // 5) else None


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0 to 1, equal for equal values."""
    uniques, inverse = np.unique(values, return_inverse=True)
    middles = np.cumsum(counts := np.bincount(inverse.reshape(-1))) - counts / 2
    found: np.ndarray = (middles / len(values))[inverse.reshape(-1)]
    return found if len(uniques) > 1 else np.zeros(len(values))


def _same_partition(codes: np.ndarray, y: np.ndarray) -> bool:
    pairs = len(np.unique(codes.astype(np.int64) * (int(y.max()) + 1) + y))
    return pairs == len(np.unique(codes)) == len(np.unique(y))


def _class_of_code(codes: np.ndarray, y: np.ndarray, seen: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The class that is commonest among the seen rows of a code, or among all for a new one."""
    classes, commonest = int(y.max()) + 1, np.bincount(y[seen]).argmax()
    pairs, counts = np.unique(codes[seen].astype(np.int64) * classes + y[seen], return_counts=True)
    table = np.full(int(codes.max()) + 1, commonest)
    order = np.argsort(counts, kind="stable")  # of a code's classes the commonest is written last
    table[pairs[order] // classes] = pairs[order] % classes
    found: np.ndarray = table[codes[asked]]
    return found


def _class_of_neighbours(x: np.ndarray | None, y: np.ndarray, seen: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The class of most of the five seen rows around the nearest one; rows without a number are no neighbours."""
    assert x is not None
    fit = seen[~np.isnan(x[seen])]
    fit = fit[np.argsort(x[fit], kind="stable")]
    if len(fit) < FEWEST_ROWS // 4:
        return np.full(len(asked), -1)
    values = np.where(np.isnan(x[asked]), x[fit[0]], x[asked])
    after = np.clip(np.searchsorted(x[fit], values), 1, len(fit) - 1)
    nearest = np.where(values - x[fit[after - 1]] <= x[fit[after]] - values, after - 1, after)
    around = np.sort(y[fit[np.clip(nearest[:, None] + np.arange(-2, 3), 0, len(fit) - 1)]], axis=1)
    found: np.ndarray = around[:, 2]  # the class of three or more, if there is one
    return found


def _explained(
    x: np.ndarray | None, codes: np.ndarray | None, y: np.ndarray, seen: np.ndarray, asked: np.ndarray
) -> float:
    """Share of the variance of y on the asked rows that numbers explain between neighbours, or codes by their means."""
    values = x if x is not None else codes
    assert values is not None
    known = ~np.isnan(values) if x is not None else np.ones(len(values), dtype=bool)
    fit, score = seen[known[seen]], asked[known[asked]]
    if len(fit) < FEWEST_ROWS // 4 or len(score) < 0.9 * len(asked):
        return 0.0
    uniques, inverse = np.unique(values[fit], return_inverse=True)
    means = np.bincount(inverse, weights=y[fit]) / np.bincount(inverse)
    if x is None:
        place = np.clip(np.searchsorted(uniques, values[score]), 0, len(uniques) - 1)
        guess = np.where(uniques[place] == values[score], means[place], y[fit].mean())
    else:
        guess = np.interp(values[score], uniques, means)
    spread = float(np.var(y[score]))
    return 1 - float(np.mean((guess - y[score]) ** 2)) / spread if spread else 0.0
