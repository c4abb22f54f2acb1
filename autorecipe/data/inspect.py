"""What a careful look at the examples shows: findings with counts and examples."""

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np

from autorecipe.data.modality import Splits
from autorecipe.data.tasks import SEPARATOR, has_labels
from autorecipe.results import Finding

IMBALANCE = 10
"""The largest class may have this many times the examples of the smallest without a finding."""
RARE = 5
"""A class with fewer examples is too rare to be learned."""
SELDOM = 10
"""So is one with fewer than this, where it has less than a quarter of what is usual."""
SHOWN = 6
"""Examples that a finding names by their rows, for those who want to look at them."""
_CHUNK_BYTES = 1 << 25


def _in_turn(masks: Sequence[np.ndarray]) -> tuple[int, ...]:
    """Of the rows that each mask [N] names the first of each, then the second of each, ..., at most `SHOWN` in all."""
    groups = [np.flatnonzero(mask)[:SHOWN].tolist() for mask in masks[:SHOWN]]
    in_turn = (row for level in zip_longest(*groups) for row in level if row is not None)
    return tuple(dict.fromkeys(in_turn))[:SHOWN]


def imbalance(classes: tuple[str, ...], counts: tuple[int, ...], targets: np.ndarray) -> list[Finding]:
    """A finding where one class has far more examples than another.

    Args:
        classes: names [C].
        counts: examples of each [C], test left out.
        targets: the class of each example [N].
    """
    if not counts or max(counts) <= IMBALANCE * max(1, min(counts)):
        return []
    most, least = int(np.argmax(counts)), int(np.argmin(counts))
    return [
        Finding(
            "class_imbalance",
            f"class '{classes[most]}' has {counts[most]:,} examples and '{classes[least]}' has {counts[least]:,}",
            "every split has the classes in the same proportions; accuracy favours the large ones",
            "--metric macro_f1 counts every class alike",
            warn=True,
            rows=_in_turn([targets == classes[least]]),
        )
    ]


def rare_classes(classes: tuple[str, ...], counts: tuple[int, ...], targets: np.ndarray) -> list[Finding]:
    """A finding where a class has fewer than five examples, or fewer than ten and a quarter of the median.

    The arguments are those of `imbalance`.
    """
    rare, shown = _rare(classes, counts)
    if not rare:
        return []
    return [
        Finding(
            "rare_classes",
            f"classes with very few examples outside of test: {len(rare):,} of {len(classes):,} ({shown})",
            "they stay; they are hardly learned, and their scores are chance",
            "add examples of them, or merge or remove these classes",
            warn=True,
            rows=_in_turn([targets == name for name in rare[:SHOWN]]),
        )
    ]


def _rare(names: tuple[str, ...], counts: tuple[int, ...]) -> tuple[list[str], str]:
    """Those of the names that are too rare to be learned, and the rarest of them in words."""
    most = max(RARE, min(SELDOM, float(np.median(counts)) / 4)) if counts else 0.0
    rare = sorted((count, name) for name, count in zip(names, counts, strict=True) if count < most)
    shown = ", ".join(f"'{name}' {count:,}" for count, name in rare[:5]) + (", ..." if len(rare) > 5 else "")
    return [name for _, name in rare], shown


def similar_classes(classes: tuple[str, ...], targets: np.ndarray) -> list[Finding]:
    """A finding where the names of classes differ in case, blanks, - or _ alone; single letters may."""
    alike: dict[str, list[str]] = {}
    for name in classes:
        plain = "".join(c for c in name.casefold() if not c.isspace() and c not in "-_")
        alike.setdefault(plain if len(plain) > 1 and plain.islower() else name, []).append(name)
    pairs = [names for names in alike.values() if len(names) > 1]
    if not pairs:
        return []
    shown = "; ".join(" and ".join(f"'{name}'" for name in names[:3]) for names in pairs[:3])
    return [
        Finding(
            "similar_classes",
            f"classes differ in case, blanks, - or _ alone: {shown}",
            "they are different classes",
            "write them alike in the data, if they are one",
            warn=True,
            rows=_in_turn([targets == name for name in pairs[0]]),
        )
    ]


def labels(names: tuple[str, ...], counts: tuple[int, ...], sets: Sequence[tuple[str, ...]]) -> list[Finding]:
    """Findings on the labels of a multilabel task: rare ones, examples without any, never more than one.

    Args:
        names: of the labels [L].
        counts: examples of each [L], test left out.
        sets: labels of each example.
    """
    found = []
    rare, shown = _rare(names, counts)
    if rare:
        found.append(
            Finding(
                "rare_labels",
                f"labels with very few examples outside of test: {len(rare):,} of {len(names):,} ({shown})",
                "they stay; they are hardly learned, and their scores are chance",
                "add examples of them, or merge or remove these labels",
                warn=True,
                rows=_in_turn([np.array([name in some for some in sets]) for name in rare[:SHOWN]]),
            )
        )
    without = np.array([not some for some in sets])
    none = int(without.sum())
    if none:
        found.append(
            Finding(
                "no_labels",
                f"{none:,} of {len(sets):,} examples have no label",
                "they are examples of none of them",
                "remove them from the data, if their labels are merely unknown",
                rows=_in_turn([without]),
            )
        )
    if all(len(some) == 1 for some in sets):
        found.append(
            Finding(
                "single_labels",
                "every example has exactly one label",
                "each label is a question of its own, so a prediction may hold none or several",
                "--task multiclass chooses exactly one",
                warn=True,
            )
        )
    return found


def joined_classes(targets: np.ndarray) -> list[Finding]:
    """A finding where most classes look like labels joined by `|`."""
    if not has_labels(targets):
        return []
    joined = next(str(text) for text in targets if SEPARATOR in text)
    return [
        Finding(
            "joined_labels",
            f"most classes hold '{SEPARATOR}', such as '{joined}'",
            "each combination is a class of its own",
            "--task multilabel makes labels of its parts",
            warn=True,
        )
    ]


def class_order(targets: np.ndarray) -> list[Finding]:
    """A finding where the examples are sorted by class."""
    changes = int(np.sum(targets[1:] != targets[:-1]))
    if len(targets) < 20 or changes != len(np.unique(targets)) - 1:
        return []
    return [
        Finding(
            "sorted_by_class",
            f"the {len(targets):,} examples are sorted by class",
            "they are shuffled before they are split, and in every epoch",
        )
    ]


def row_hashes(arrays: tuple[np.ndarray, ...]) -> np.ndarray:
    """uint64 hash of each example's bytes [N]; equal examples have equal hashes, others nearly never."""
    random = np.random.default_rng(0)
    num_rows = len(arrays[0])
    hashes = np.zeros(num_rows, dtype=np.uint64)
    for array in arrays:
        rows = array.reshape(num_rows, -1)
        width = rows.shape[1] * rows.itemsize
        if not width:
            continue
        words = -(-width // 8)
        keys, odd = random.integers(0, 2**63, (2, words), dtype=np.uint64)
        odd |= np.uint64(1)
        step = max(1, _CHUNK_BYTES // (8 * words))
        for start in range(0, num_rows, step):
            chunk = np.ascontiguousarray(rows[start : start + step]).view(np.uint8)
            padded = np.zeros((len(chunk), 8 * words), dtype=np.uint8)
            padded[:, :width] = chunk
            mixed = (padded.view(np.uint64) ^ keys) * odd
            mixed ^= mixed >> np.uint64(32)  # a product's low bits do not see the word's high bits
            hashes[start : start + step] += (mixed * odd).sum(axis=1, dtype=np.uint64)
    return hashes


def duplicate_pairs(arrays: tuple[np.ndarray, ...]) -> np.ndarray:
    """Pairs (first, later) of examples that are equal in all arrays: int64 [P, 2]."""
    hashes = row_hashes(arrays)
    order = np.argsort(hashes, kind="stable")
    new = np.ones(len(order), dtype=bool)
    new[1:] = hashes[order][1:] != hashes[order][:-1]
    starts = np.flatnonzero(new)
    first = order[starts[np.cumsum(new) - 1]]
    pairs = np.stack([first, order], axis=1)[~new]
    equal = np.ones(len(pairs), dtype=bool)
    for array in arrays:
        rows = array.reshape(len(array), -1)
        step = max(1, _CHUNK_BYTES // max(1, rows.shape[1] * rows.itemsize))
        for start in range(0, len(pairs), step):
            left, right = pairs[start : start + step].T
            equal[start : start + step] &= (rows[left] == rows[right]).all(axis=1)
    return pairs[equal].astype(np.int64)


def duplicates(
    arrays: tuple[np.ndarray, ...], targets: np.ndarray, splits: Splits, names: Sequence[str], modality: str
) -> list[Finding]:
    """Findings on equal examples: how many, how many across train and test, how many disagree.

    Images are equal by their pixels; rows of a table by every column that is used and the target.
    """
    compared = arrays if modality == "image" else (*arrays, targets)
    pairs = duplicate_pairs(compared)
    if not len(pairs):
        return []
    one = len(pairs) == 1
    if modality == "image":
        what = f"image{' has' if one else 's have'} the same pixels as another"
    else:
        what = f"row{' equals' if one else 's equal'} another in every used column"
    shown = "; ".join(f"{names[b]} = {names[a]}" for a, b in pairs[:3])
    said = f"{len(pairs):,} {what} ({shown})"
    findings = [Finding("duplicates", said, "they stay", rows=_of_pairs(pairs))]
    split = np.zeros(len(targets), dtype=np.int8)
    split[splits.test] = 1
    split[np.concatenate([splits.val, splits.confirm])] = 2
    # A pair names the group's first example only, so the groups are looked at whole.
    group = np.arange(len(targets))
    group[pairs[:, 1]] = pairs[:, 0]
    in_train = np.unique(group[splits.train])
    for number, name in ((1, "test"), (2, "val or confirm")):
        rows = np.flatnonzero((split == number) & np.isin(group, in_train))
        if len(rows):
            total = int(np.sum(split == number))
            examples = ", ".join(str(names[row]) for row in rows[:3])
            are = "is" if len(rows) == 1 else "are"
            findings.append(
                Finding(
                    "duplicates_across_splits",
                    f"{len(rows):,} of {total:,} examples in {name} {are} also in train ({examples})",
                    "they stay; scores on them flatter the model",
                    "remove the copies from the data",
                    warn=100 * len(rows) > total,
                    rows=_with_copies(rows, splits.train, group),
                )
            )
    disagree = pairs[(targets[pairs[:, 0]] != targets[pairs[:, 1]]).reshape(len(pairs), -1).any(1)]
    if len(disagree):
        a, b = disagree[0]
        pairs_have = "pair of equal images has" if len(disagree) == 1 else "pairs of equal images have"
        findings.append(
            Finding(
                "conflicting_targets",
                f"{len(disagree):,} {pairs_have} different targets ({names[a]} and {names[b]})",
                "they stay; no model can have both right",
                "look at them and correct the labels",
                warn=True,
                rows=_of_pairs(disagree),
            )
        )
    return findings


def _of_pairs(pairs: np.ndarray) -> tuple[int, ...]:
    """Rows of the first pairs."""
    return tuple(dict.fromkeys(pairs[: SHOWN // 2].ravel().tolist()))


def _with_copies(rows: np.ndarray, train: np.ndarray, group: np.ndarray) -> tuple[int, ...]:
    """The first of the rows, each after the first example of train that equals it."""
    found = [(int(train[np.argmax(group[train] == group[row])]), int(row)) for row in rows[: SHOWN // 2]]
    return tuple(dict.fromkeys(row for pair in found for row in pair))


def conflicting_rows(arrays: tuple[np.ndarray, ...], targets: np.ndarray, names: Sequence[str]) -> list[Finding]:
    """A finding where rows of a table are equal in every used column and are of different classes."""
    pairs = duplicate_pairs(arrays)
    disagree = pairs[targets[pairs[:, 0]] != targets[pairs[:, 1]]]
    if not len(disagree):
        return []
    a, b = disagree[0]
    return [
        Finding(
            "conflicting_targets",
            f"{len(disagree):,} of {len(targets):,} rows equal another in every used column and are of another class "
            f"({names[a]} and {names[b]})",
            "they stay; no model can have both right",
            warn=100 * len(disagree) > len(targets),
            rows=_of_pairs(disagree),
        )
    ]
