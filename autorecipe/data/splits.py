"""Splits: which example is trained on, searched on, decided on and tested on.

Examples are dealt at random, each class its share; or whole groups are, so that no group is on both sides;
or the earlier are trained on and the later scored.

scikit-learn's splitters do not fit: they refuse a class with a single example, cost half a second of
imports, and StratifiedGroupKFold takes 7 s of a core for 20,000 groups in 5 folds, 26 s in 20.
"""

import numpy as np

from autorecipe.data.modality import Splits

SMALL = 5000
"""With fewer examples than this (test left out) confirm is replaced by folds."""
MOST_HELD_OUT = 5000
"""More examples than this in val or confirm would cost training data and scoring time for little."""
PARTS = 5


def make_splits(
    targets: np.ndarray,
    given: np.ndarray,
    task: str,
    seed: int,
    groups: np.ndarray | None = None,
    times: np.ndarray | None = None,
) -> Splits:
    """Split a data set; the same arguments give the same splits.

    A test split is set aside first (20 %, unless the data set brings one).  The rest is cut into
    train and val (20 %), with confirm empty and five folds of train as parts, if it has fewer than
    5,000 examples; otherwise into train, val and confirm (10 % each, at most 5,000), where part 0
    is confirm and further parts of its size are cut from train.

    With `groups`, all examples of a group stay together, in the splits and in the parts; sizes are met
    to within half the largest group.  With `times`, see `_time_splits`.

    Args:
        targets: classes as str array [N], or float [N] for regression.
        given: `train`, `val`, `test` or `` for each example [N]; a given val or test is kept as it is.
        task: `binary`, `multiclass`, `multilabel` or `regression`.
        seed: seed of the shuffling.
        groups: whole numbers [N], the same for examples that belong together.
        times: numbers [N]; later is larger.

    Returns:
        sorted int64 indices; train, val, confirm and test are disjoint and complete, and every
        class outside a given val or test has at least one example in train (not so with `times`).
    """
    if times is not None:
        return _time_splits(given, times)
    random = np.random.default_rng(seed)
    strata = _deciles(targets) if task == "regression" else np.unique(targets, return_inverse=True)[1].reshape(-1)
    everything = np.arange(len(targets), dtype=np.int64)
    val = everything[given == "val"]
    test = everything[given == "test"]
    rest = everything[(given != "val") & (given != "test")]
    if not len(test):
        test, rest = _take(rest, strata, groups, round(0.2 * len(rest)), random)
    num_dev = len(rest) + len(val)
    cross_validated = num_dev < SMALL
    held_out = _held_out(num_dev)
    if not len(val):
        val, rest = _take(rest, strata, groups, held_out, random)
    confirm = everything[:0]
    if cross_validated:
        parts = _deal(rest, strata, groups, min(PARTS, max(1, len(rest))), random)
    else:
        confirm, rest = _take(rest, strata, groups, min(held_out, len(rest) // 2), random)
        size = max(1, len(confirm))
        others = _deal(rest, strata, groups, max(1, len(rest) // size), random)[: PARTS - 1]
        parts = (confirm, *others)
    return Splits(train=rest, val=val, confirm=confirm, test=test, parts=parts, groups=groups)


def _held_out(num_dev: int) -> int:
    """Examples in val, and in confirm if there is one."""
    return round(0.2 * num_dev) if num_dev < SMALL else min(round(0.1 * num_dev), MOST_HELD_OUT)


def _time_splits(given: np.ndarray, times: np.ndarray) -> Splits:
    """Train, val, confirm, test in the order of time: each is later than all before it.

    Sizes are those of `make_splits`; examples of one time stay together unless that would change a
    size by more than half.  The parts are blocks cut from the end of train, the latest first, and
    `Splits.held_out` trains on what is earlier than the block: half of train or more.
    """
    order = np.empty(len(times), dtype=np.int64)
    order[np.argsort(times, kind="stable")] = np.arange(len(times))
    everything = np.argsort(order)
    val, test = everything[given[everything] == "val"], everything[given[everything] == "test"]
    rest = everything[(given[everything] != "val") & (given[everything] != "test")]
    if not len(test):
        rest, test = _latest(rest, times, round(0.2 * len(rest)))
    num_dev = len(rest) + len(val)
    cross_validated = num_dev < SMALL
    held_out = _held_out(num_dev)
    confirm = rest[:0]
    if not cross_validated:
        rest, confirm = _latest(rest, times, min(held_out, len(rest) // 2))
    if not len(val):
        rest, val = _latest(rest, times, min(held_out, len(rest) // 2))
    size = max(1, len(rest) // (2 * PARTS) if cross_validated else min(len(confirm), len(rest) // 2))
    parts = [] if cross_validated else [confirm]
    left = rest
    while len(parts) < PARTS and len(left) - size >= max(1, len(rest) // 2 - 1):
        left, part = _latest(left, times, size)
        parts.append(part)
    train, val, confirm, test, *blocks = (np.sort(rows) for rows in (rest, val, confirm, test, *(parts or [rest[:0]])))
    return Splits(train=train, val=val, confirm=confirm, test=test, parts=tuple(blocks), order=order)


def _latest(rows: np.ndarray, times: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut rows [N] that are in the order of time into the earlier and about `count` later ones."""
    if not 0 < count < len(rows):
        return rows, rows[len(rows) :]
    starts = np.flatnonzero(np.diff(times[rows])) + 1  # where a new time begins
    best = len(rows) - count
    if len(starts):
        near = int(starts[np.abs(starts - best).argmin()])
        best = near if 2 * abs(near - best) <= count else best
    return rows[:best], rows[best:]


def _deciles(targets: np.ndarray) -> np.ndarray:
    """The decile of each target, so that regression is stratified too."""
    ranks = np.argsort(np.argsort(targets, kind="stable"), kind="stable")
    return ranks * min(10, max(1, len(targets) // 10)) // max(1, len(targets))


def _take(
    rows: np.ndarray, strata: np.ndarray, groups: np.ndarray | None, count: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Take about `count` rows, the same share of each stratum; at least one row of each stratum stays."""
    if groups is not None:
        return _take_groups(rows, strata, groups, count, random)
    order = _sorted_by_stratum(rows, strata, random)
    first = np.ones(len(order), dtype=bool)
    first[1:] = strata[order][1:] != strata[order][:-1]
    free = order[~first]
    count = min(count, len(free))
    steps = np.floor(np.arange(len(free) + 1) * count / max(1, len(free)) + random.random())
    taken = np.sort(free[np.diff(steps) > 0])
    return taken, np.setdiff1d(rows, taken, assume_unique=True)


def _deal(
    rows: np.ndarray, strata: np.ndarray, groups: np.ndarray | None, count: int, random: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Deal the rows into `count` parts like cards, stratum after stratum."""
    if groups is not None:
        return _deal_groups(rows, strata, groups, count, random)
    order = _sorted_by_stratum(rows, strata, random)
    return tuple(np.sort(order[part::count]) for part in range(count))


def _sorted_by_stratum(rows: np.ndarray, strata: np.ndarray, random: np.random.Generator) -> np.ndarray:
    shuffled = random.permutation(rows)
    return shuffled[np.argsort(strata[shuffled], kind="stable")]


def _take_groups(
    rows: np.ndarray, strata: np.ndarray, groups: np.ndarray, count: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Take whole groups, about `count` rows; at least one row of each stratum stays if the groups allow it.

    The groups are gone through by their commonest stratum, in a random order; what a group was short of
    or over its share is carried on to the next (error diffusion), so that each stratum gives its share.
    """
    names, place = np.unique(groups[rows], return_inverse=True)
    sizes, common = np.bincount(place), _commonest(place, strata[rows])
    chosen = np.zeros(len(names), dtype=bool)
    debt, share = 0.0, count / max(1, len(rows))
    most = max(1, round(1.5 * share * len(names)))
    for group in _sorted_by_stratum(np.arange(len(names)), common, random).tolist():
        debt += share * sizes[group]
        if 2 * debt >= sizes[group] and most:
            chosen[group], most = True, most - 1
            debt -= sizes[group]
    if count and len(names) > 1 and not chosen.any():
        chosen[sizes.argmin()] = True
    # A stratum that is left with nothing gets one of its groups back, but for the only one taken.
    for stratum in np.setdiff1d(strata[rows], strata[rows][~chosen[place]]).tolist():
        if chosen.sum() > 1 and stratum not in strata[rows][~chosen[place]]:
            chosen[place[strata[rows] == stratum][0]] = False
    return rows[chosen[place]], rows[~chosen[place]]


def _deal_groups(
    rows: np.ndarray, strata: np.ndarray, groups: np.ndarray, count: int, random: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Deal whole groups into at most `count` parts, the largest first, each to the part with least of its stratum."""
    names, place = np.unique(groups[rows], return_inverse=True)
    sizes, common = np.bincount(place), _commonest(place, strata[rows])
    count = min(count, len(names))
    part_of = np.zeros(len(names), dtype=np.int64)
    filled, total = np.zeros((count, int(common.max(initial=0)) + 1)), np.zeros(count)
    shuffled = random.permutation(len(names))
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")].tolist():
        part = int(np.lexsort((total, filled[:, common[group]]))[0])
        part_of[group] = part
        filled[part, common[group]] += sizes[group]
        total[part] += sizes[group]
    return tuple(found for part in range(count) if len(found := rows[part_of[place] == part]))


def _commonest(place: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """The commonest stratum of each group [G]; `place` says which group each row is of."""
    pairs, counts = np.unique(np.stack([place, strata]), axis=1, return_counts=True)
    order = np.lexsort((counts, pairs[0]))  # of each group the commonest last
    last = np.append(np.diff(pairs[0][order]) > 0, True)
    found: np.ndarray = pairs[1][order][last]
    return found
