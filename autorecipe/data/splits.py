"""Splits: which example is trained on, searched on, decided on and tested on.

scikit-learn's splitters refuse a class with a single example and cost half a second of imports, so
examples are dealt here: shuffled, sorted by class, and taken at even steps.  Each class then gets its
share to within one example.
"""

import numpy as np

from autorecipe.data.modality import Splits

SMALL = 5000
"""With fewer examples than this (test left out) confirm is replaced by folds."""
MOST_HELD_OUT = 5000
"""More examples than this in val or confirm would cost training data and scoring time for little."""
PARTS = 5


def make_splits(targets: np.ndarray, given: np.ndarray, task: str, seed: int) -> Splits:
    """Split a data set; the same arguments give the same splits.

    A test split is set aside first (20 %, unless the data set brings one).  The rest is cut into
    train and val (20 %), with confirm empty and five folds of train as parts, if it has fewer than
    5,000 examples; otherwise into train, val and confirm (10 % each, at most 5,000), where part 0
    is confirm and further parts of its size are cut from train.

    Args:
        targets: classes as str array [N], or float [N] for regression.
        given: `train`, `val`, `test` or `` for each example [N]; a given val or test is kept as it is.
        task: `binary`, `multiclass` or `regression`.
        seed: seed of the shuffling.

    Returns:
        sorted int64 indices; train, val, confirm and test are disjoint and complete, and every
        class outside a given val or test has at least one example in train.
    """
    random = np.random.default_rng(seed)
    groups = _deciles(targets) if task == "regression" else np.unique(targets, return_inverse=True)[1].reshape(-1)
    everything = np.arange(len(targets), dtype=np.int64)
    val = everything[given == "val"]
    test = everything[given == "test"]
    rest = everything[(given != "val") & (given != "test")]
    if not len(test):
        test, rest = _take(rest, groups, round(0.2 * len(rest)), random)
    num_dev = len(rest) + len(val)
    cross_validated = num_dev < SMALL
    held_out = round(0.2 * num_dev) if cross_validated else min(round(0.1 * num_dev), MOST_HELD_OUT)
    if not len(val):
        val, rest = _take(rest, groups, held_out, random)
    confirm = everything[:0]
    if cross_validated:
        parts = _deal(rest, groups, min(PARTS, max(1, len(rest))), random)
    else:
        confirm, rest = _take(rest, groups, min(held_out, len(rest) // 2), random)
        size = max(1, len(confirm))
        others = _deal(rest, groups, max(1, len(rest) // size), random)[: PARTS - 1]
        parts = (confirm, *others)
    return Splits(train=rest, val=val, confirm=confirm, test=test, parts=parts)


def _deciles(targets: np.ndarray) -> np.ndarray:
    """The decile of each target, so that regression is stratified too."""
    ranks = np.argsort(np.argsort(targets, kind="stable"), kind="stable")
    return ranks * min(10, max(1, len(targets) // 10)) // max(1, len(targets))


def _sorted_by_group(rows: np.ndarray, groups: np.ndarray, random: np.random.Generator) -> np.ndarray:
    shuffled = random.permutation(rows)
    return shuffled[np.argsort(groups[shuffled], kind="stable")]


def _take(
    rows: np.ndarray, groups: np.ndarray, count: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Take `count` rows, the same share of each group; at least one row of each group stays."""
    order = _sorted_by_group(rows, groups, random)
    first = np.ones(len(order), dtype=bool)
    first[1:] = groups[order][1:] != groups[order][:-1]
    free = order[~first]
    count = min(count, len(free))
    steps = np.floor(np.arange(len(free) + 1) * count / max(1, len(free)) + random.random())
    taken = np.sort(free[np.diff(steps) > 0])
    return taken, np.setdiff1d(rows, taken, assume_unique=True)


def _deal(rows: np.ndarray, groups: np.ndarray, count: int, random: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Deal the rows into `count` parts like cards, group after group."""
    order = _sorted_by_group(rows, groups, random)
    return tuple(np.sort(order[part::count]) for part in range(count))
