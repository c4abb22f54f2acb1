"""The images that a label file names: where they lie, and what their labels ask for."""

import os
import re
import stat
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autorecipe.data.image.labels import LabelRows, read_rows
from autorecipe.data.image.walk import Tree, look
from autorecipe.data.tasks import ROWS_A_CLASS, SEPARATOR, Target, infer_target, label_target, split_labels
from autorecipe.errors import InputError, listed
from autorecipe.results import Finding

File = tuple[str, int, int, str]
"""Name (relative, with `/`), size in bytes, time of change in ns, and label."""
_NOTHING = {"na", "n/a", "nan", "null", "none", "-", "?"}
"""What stands for a missing number."""
_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?)", re.ASCII | re.IGNORECASE)


def named_files(path: Path, target: str | None) -> tuple[list[File], str, list[Finding]]:
    """The images that a label file names, sorted by name, its column of labels, and what is odd about it.

    Raises:
        InputError: the file is damaged, names a file that is not there or outside of its folder, or one
            image twice with different labels.
    """
    rows = read_rows(path, target)
    tree = look(path.parent, follow=False)
    names = _normal_names(rows, path)
    base = _base(names, tree)
    found, missing = _find([base + name for name in names], path, tree, rows)
    findings = list(rows.findings)
    if missing:
        shown = "; ".join(f"line {rows.lines[i]}: {rows.files[i]}" for i in missing[:3])
        raise InputError(
            f"{path} names files that are not in {path.parent}: {len(missing):,} of {len(names):,} ({shown}). "
            "Put them there, or remove these lines; a name has its suffix, and is relative to the folder of the file"
        )
    if base:
        findings.append(Finding("images_below", f"the images that {path.name} names lie in {base}", "they were found"))
    files, copies = _unique(found, rows, path)
    if copies:
        shown = ", ".join(f"line {rows.lines[i]}: {rows.files[i]}" for i in copies[:3])
        text = f"images that {path.name} names again, with the same label: {len(copies):,} ({shown})"
        findings.append(Finding("named_twice", text, "each is taken once"))
    taken = {name for name, _, _, _ in files}
    spare = [name for name, _, _ in tree.images if name not in taken]
    if spare:
        text = f"images that {path.name} does not name: {len(spare):,} ({listed(spare, 3, '')})"
        findings.append(Finding("unlabelled_images", text, "they were left out"))
    return files, rows.column, findings


def _normal_names(rows: LabelRows, path: Path) -> list[str]:
    """Each name with plain `/`, without `.` and `..`.

    Raises:
        InputError: a name leads out of the label file's folder.
    """
    names = []
    for i, file in enumerate(rows.files):
        parts: list[str] = []
        name = file.replace("\\", "/")
        outside = name.startswith("/") or re.match(r"[A-Za-z]:/", name) is not None
        for part in name.split("/"):
            if part == ".." and not parts:
                outside = True
            elif part == "..":
                parts.pop()
            elif part not in ("", "."):
                parts.append(part)
        if outside:
            raise _leaves(rows, i, path)
        names.append("/".join(parts))
    return names


def _leaves(rows: LabelRows, i: int, path: Path) -> InputError:
    return InputError(
        f"{path}, line {rows.lines[i]}: '{rows.files[i]}' leads out of {path.parent}, and only files in it are read. "
        "Copy the file there and write its name relative to that folder"
    )


def _base(names: Sequence[str], tree: Tree) -> str:
    """Nothing, or the folder such as `images/` that the names are relative to."""
    present = {_key(name) for name, _, _ in tree.images}
    sample = names[:1000]
    if any(_key(name) in present for name in sample):
        return ""
    counts = {folder + "/": sum(_key(f"{folder}/{name}") in present for name in sample) for folder in tree.folders}
    best = max(counts, key=lambda folder: counts[folder], default="")
    return best if best and counts[best] else ""


def _key(name: str) -> str:
    """A name by which it is found: archives from macOS spell letters with accents in two characters."""
    return unicodedata.normalize("NFC", name)


def _find(
    names: Sequence[str], path: Path, tree: Tree, rows: LabelRows
) -> tuple[list[tuple[str, int, int] | None], list[int]]:
    """Name, size and time of each file, or None; and the positions of those that are not there.

    Raises:
        InputError: a symbolic link leads out of the folder.
    """
    known = {_key(image[0]): image for image in tree.images}
    root = os.path.realpath(path.parent)
    found: list[tuple[str, int, int] | None] = []
    for i, name in enumerate(names):
        image = known.get(_key(name))
        if image is None or image[0] in tree.links:
            place = f"{root}{os.sep}{image[0] if image else name}"
            try:
                real = os.path.realpath(place)
                if real != root and not real.startswith(root.rstrip(os.sep) + os.sep):
                    raise _leaves(rows, i, path)
                facts = os.stat(real)  # noqa: PTH116  (as in walk: Path objects cost a second)
                regular = stat.S_ISREG(facts.st_mode)
                image = (place[len(root) + 1 :], facts.st_size, facts.st_mtime_ns) if regular else None
            except InputError:
                raise
            except (OSError, ValueError):  # a name that no file can have: too long, a zero byte
                image = None
        found.append(image)
    return found, [i for i, image in enumerate(found) if image is None]


def _unique(found: Sequence[tuple[str, int, int] | None], rows: LabelRows, path: Path) -> tuple[list[File], list[int]]:
    """Each file once, sorted by name, and the positions of rows that say the same again.

    Raises:
        InputError: two rows of one file have different labels.
    """
    first: dict[str, int] = {}
    copies = []
    files: list[File] = []
    for i, image in enumerate(found):
        assert image is not None
        other = first.setdefault(image[0], i)
        if other == i:
            files.append((*image, rows.labels[i]))
        elif len(set(split_labels([rows.labels[i], rows.labels[other]]))) == 1:
            copies.append(i)
        else:
            raise InputError(
                f"{path} names '{rows.files[i]}' in line {rows.lines[other]} as '{rows.labels[other]}' and in line "
                f"{rows.lines[i]} as '{rows.labels[i]}'; leave one line, or join an image's labels by '{SEPARATOR}'"
            )
    return sorted(files), copies


@dataclass(frozen=True)
class Asked:
    """What a label file's labels ask for."""

    multilabel: bool
    numbers: bool
    """Whether every label is a number."""
    kept: np.ndarray
    """bool [N]: which images have a label."""
    findings: tuple[Finding, ...]


def what_is_asked(labels: Sequence[str], wanted: str, where: str) -> Asked:
    """Whether images have several labels, or numbers, and which have none.

    Args:
        labels: as they stand in the file.
        wanted: `auto` or a task.
        where: the file's name, for messages.

    Raises:
        InputError: no image has a label, or a number is infinite.
    """
    empty = np.array([not label for label in labels])
    if wanted == "multilabel" or (wanted == "auto" and any(SEPARATOR in label for label in labels)):
        return Asked(True, False, np.ones(len(labels), dtype=bool), ())
    missing = empty | np.array([label.lower() in _NOTHING for label in labels])
    rest = [label for label, gone in zip(labels, missing, strict=True) if not gone]
    numbers = bool(rest) and all(_NUMBER.fullmatch(label) for label in rest)
    infinite = [label for label in rest if numbers and np.isinf(float(label))]
    if infinite:
        raise InputError(f"{where} has {len(infinite):,} infinite labels, such as '{infinite[0]}'; correct them")
    if not numbers:
        missing = empty
    if missing.all():
        raise InputError(f"{where} has no label: its {len(labels):,} rows leave it empty")
    count = int(missing.sum())
    text = f"images without a label in {where}: {count:,} of {len(labels):,}"
    dropped = Finding("missing_labels", text, "they were left out", warn=True)
    return Asked(False, numbers, ~missing, (dropped,) if count else ())


def target_of(labels: np.ndarray, asked: Asked, wanted: str, column: str) -> Target:
    """The targets of the images that could be read, and their task.

    Raises:
        InputError: a task that the labels do not fit.
    """
    if asked.multilabel:
        joined = f"labels in '{column}' are joined by '{SEPARATOR}'"
        return label_target(labels, column, "as asked" if wanted == "multilabel" else joined)
    known = ""
    if asked.numbers and wanted == "auto":
        distinct = len(np.unique(labels.astype(np.float64)))
        if distinct > 2 and any(re.search(r"[.e]", label, re.IGNORECASE) for label in labels):
            reason = f"'{column}' holds numbers written as floats; for classes: --task multiclass"
            return Target("regression", reason, labels.astype(np.float64), ())
        if all(re.fullmatch(r"[+-]?\d+", label) for label in labels) and len(labels) >= ROWS_A_CLASS * distinct:
            known = f"'{column}' holds whole numbers, which are classes here; for quantities: --task regression"
    return infer_target(labels, wanted, column, known)
