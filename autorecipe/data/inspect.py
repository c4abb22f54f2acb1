"""What a careful look at the examples shows: findings with counts and examples."""

from collections.abc import Sequence

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
_CHUNK_BYTES = 1 << 25


def imbalance(classes: tuple[str, ...], counts: tuple[int, ...]) -> list[Finding]:
    """A finding where one class has far more examples than another."""
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
        )
    ]


def rare_classes(classes: tuple[str, ...], counts: tuple[int, ...]) -> list[Finding]:
    """A finding where a class has fewer than five examples, or fewer than ten and a quarter of the median."""
    rare, shown = _rare(classes, counts)
    if not rare:
        return []
    return [
        Finding(
            "rare_classes",
            f"classes with very few examples outside of test: {rare:,} of {len(classes):,} ({shown})",
            "they stay; they are hardly learned, and their scores are chance",
            "add examples of them, or merge or remove these classes",
            warn=True,
        )
    ]


def _rare(names: tuple[str, ...], counts: tuple[int, ...]) -> tuple[int, str]:
    """How many of these are too rare to be learned, and the rarest of them in words."""
    most = max(RARE, min(SELDOM, float(np.median(counts)) / 4)) if counts else 0.0
    rare = sorted((count, name) for name, count in zip(names, counts, strict=True) if count < most)
    return len(rare), ", ".join(f"'{name}' {count:,}" for count, name in rare[:5]) + (", ..." if len(rare) > 5 else "")


def similar_classes(classes: tuple[str, ...]) -> list[Finding]:
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
                f"labels with very few examples outside of test: {rare:,} of {len(names):,} ({shown})",
                "they stay; they are hardly learned, and their scores are chance",
                "add examples of them, or merge or remove these labels",
                warn=True,
            )
        )
    none = sum(not some for some in sets)
    if none:
        found.append(
            Finding(
                "no_labels",
                f"{none:,} of {len(sets):,} examples have no label",
                "they are examples of none of them",
                "remove them from the data, if their labels are merely unknown",
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
    findings = [Finding("duplicates", f"{len(pairs):,} {what} ({shown})", "they stay")]
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
                )
            )
    disagree = pairs[(targets[pairs[:, 0]] != targets[pairs[:, 1]]).reshape(len(pairs), -1).any(1)]
    if len(disagree):
        a, b = disagree[0]
        findings.append(
            Finding(
                "conflicting_targets",
                f"{len(disagree):,} equal images have different targets ({names[a]} and {names[b]})",
                "they stay; no model can have both right",
                "look at them and correct the labels",
                warn=True,
            )
        )
    return findings


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
        )
    ]
