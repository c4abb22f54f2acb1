"""Folders of images: which files are there, with which label and of which split."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from autorecipe.data.image.labelled import File, named_files
from autorecipe.data.image.labels import NAME, label_file, names_files
from autorecipe.data.image.walk import Tree, holds_image, is_hidden, look
from autorecipe.data.modality import SPLIT_NAMES
from autorecipe.errors import InputError, listed
from autorecipe.results import Finding

_ORDER = {"train": 0, "": 0, "val": 1, "test": 2}


@dataclass(frozen=True)
class Listing:
    """The image files of a data set, in a fixed order; nothing is read but labels, names, sizes and times."""

    root: Path
    files: tuple[str, ...]
    """Names relative to `root`, with `/`."""
    labels: np.ndarray
    """What each file's folder or label file says: object array [N] of str."""
    given: np.ndarray
    """Split of each file: str array [N] of `train`, `val`, `test` or ``."""
    stats: np.ndarray
    """Size in bytes and time of change in ns of each file: int64 [N, 2]."""
    column: str
    """The label files' column of labels; empty where each class is a folder."""
    findings: tuple[Finding, ...] = ()

    def key(self, options: str) -> str:
        """SHA-256 of the place, names, sizes and times, and of what decoding depends on."""
        digest = hashlib.sha256(f"{self.root.resolve()}\0{options}\0".encode(errors="surrogateescape"))
        digest.update("\0".join(self.files).encode(errors="surrogateescape"))
        digest.update(np.ascontiguousarray(self.stats).data)
        return digest.hexdigest()

    def only(self, kept: np.ndarray) -> "Listing":
        """The files of a bool array [N]."""
        if kept.all():
            return self
        files = tuple(name for name, keep in zip(self.files, kept, strict=True) if keep)
        return Listing(
            self.root, files, self.labels[kept], self.given[kept], self.stats[kept], self.column, self.findings
        )


def folder_of(path: Path) -> Path:
    """The folder that a path means: its own, or that of a label file with images beside it."""
    means_folder = path.name.lower() == NAME and path.is_file() and names_files(path) and holds_image(path.parent)
    return path.parent if means_folder else path


def explain(folder: Path) -> str | None:
    """Why a folder is a data set of images, or None."""
    if _labelled(folder):
        return f"its {_labelled(folder)} names images"
    splits = split_folders(folder)
    if splits:
        return "it has a train folder with a label file or class folders of images"
    if class_folders(folder):
        return "it has class folders of images"
    return "it has a label file and images" if label_file(folder) and holds_image(folder) else None


def class_folders(folder: Path) -> list[Path]:
    """Subfolders that hold an image, sorted by name."""
    return [path for path in _subfolders(folder) if holds_image(path)]


def split_folders(folder: Path) -> dict[Path, str]:
    """Folder -> split, where a `train` folder with class folders or a label file is there; else empty.

    A folder `train` with images right in it is a class like any other.
    """
    found = {path: SPLIT_NAMES[path.name.lower()] for path in _subfolders(folder) if path.name.lower() in SPLIT_NAMES}
    if not any(split == "train" and (label_file(path) or class_folders(path)) for path, split in found.items()):
        return {}
    return found


def _check_train(root: Path, splits: dict[Path, str]) -> None:
    """Refuse an empty train folder beside a filled one of another split, which would be taken for a class."""
    named = {path: SPLIT_NAMES[path.name.lower()] for path in _subfolders(root) if path.name.lower() in SPLIT_NAMES}
    empty = [path for path, split in named.items() if split == "train" and not holds_image(path)]
    filled = [path for path, split in named.items() if split != "train" and class_folders(path)]
    if not splits and empty and filled:
        raise InputError(
            f"{empty[0]} holds no image, and {filled[0].name} beside it does: put the images to train on there, or "
            f"remove {empty[0].name} and give {filled[0]} itself"
        )


def list_dataset(root: Path, target: str | None = None) -> Listing:
    """List a folder of class folders or with a label file, or of `train/ val/ test/` with them.

    Args:
        root: the folder.
        target: the label files' column of labels, if it is not `label`.

    Raises:
        InputError: a label file is wrong, or a split given twice.
    """
    splits = {} if _labelled(root) else split_folders(root)
    _check_train(root, splits)
    if len(set(splits.values())) < len(splits):
        names = ", ".join(sorted(path.name for path in splits))
        raise InputError(f"{root} has more than one folder for a split: {names}; leave one folder for each split")
    beside = [path for path in _subfolders(root) if splits and path not in splits and holds_image(path)]
    findings = [_ignored(path, "stands beside the split folders") for path in beside]
    files: list[File] = []
    given: list[str] = []
    column = ""
    for place, split in sorted((splits or {root: ""}).items(), key=lambda item: _ORDER[item[1]]):
        prefix = "" if place == root else place.name + "/"
        found: list[File] = []
        table = label_file(place)
        if table is not None and (names_files(table) or not class_folders(place)):
            found, column, odd = named_files(table, target)
        else:
            found, odd = _class_files(place)
        if found:
            findings += [replace(finding, found=f"in {prefix}: {finding.found}") for finding in odd] if prefix else odd
        else:
            findings.append(_ignored(place, "has neither labels.csv nor class folders with images"))
        files += [(prefix + name, size, time, label) for name, size, time, label in found]
        given += [split] * len(found)
    if not splits and column:
        given = _given_by_folder([name for name, _, _, _ in files])
    return Listing(
        root,
        tuple(name for name, _, _, _ in files),
        _objects(label for _, _, _, label in files),
        np.asarray(given, dtype="<U5"),
        np.asarray([file[1:3] for file in files], dtype=np.int64).reshape(-1, 2),
        column,
        tuple(findings),
    )


def check_classes(labels: np.ndarray, where: str) -> None:
    """Refuse what cannot be learned.

    Raises:
        InputError: fewer than two classes, or a class of one image.
    """
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        found = f"one class, '{classes[0]}'" if len(classes) else "no class"
        raise InputError(f"{where} has {found}; a classifier needs images of two or more classes")
    if counts.min() < 2:
        name = classes[int(np.argmin(counts))]
        raise InputError(
            f"class '{name}' in {where} has {counts.min()} image, and one is needed to train and one to score; "
            "add images of it or remove the class"
        )


def _class_files(place: Path) -> tuple[list[File], list[Finding]]:
    """Images in class folders, folder after folder, and what lies there besides."""
    tree = look(place)
    files: dict[str, list[File]] = {name: [] for name in tree.folders}
    loose, nested = [], []
    for name, size, time in tree.images:
        folder, _, below = name.partition("/")
        if not below:
            loose.append(name)
            continue
        files[folder].append((name, size, time, folder))
        if "/" in below:
            nested.append(name)
    empty = [name for name, inside in files.items() if not inside]
    odd = [
        *_some("loose_images", loose, "images in no class folder", "they were left out"),
        *_some("nested_images", nested, "images deeper than in their class folder", "its name is their class"),
        *_some("empty_class_folder", empty, "folders without an image", "no class was made of them"),
        *_some(
            "linked_images",
            _elsewhere(tree, place),
            "images that are links to files elsewhere",
            "the files they lead to are read; remove a link to leave its image out",
        ),
        *_some("other_files", tree.others, "files or links that are no images by their name", "they were left out"),
        *_some("hidden_files", tree.hidden, "files and folders that are hidden or the system's", "they were left out"),
        *_some("closed_folder", tree.closed, "folders that may not be opened", "they were left out", warn=True),
    ]
    return [file for folder in sorted(files) for file in files[folder]], odd


def _elsewhere(tree: Tree, place: Path) -> list[str]:
    """Images that are links to files which do not lie in their folder."""
    root = os.path.realpath(place) + os.sep
    paths = {name: os.path.realpath(f"{root}{name}") for name in sorted(tree.links)}
    return [name for name, path in paths.items() if not path.startswith(root) and Path(path).is_file()]


def _some(kind: str, names: Iterable[str], what: str, done: str, warn: bool = False) -> list[Finding]:
    names = list(names)
    return [Finding(kind, f"{what}: {len(names):,} ({listed(names, 3, '')})", done, warn=warn)] if names else []


def _ignored(path: Path, why: str) -> Finding:
    return Finding("ignored_folder", f"folder '{path.name}' {why}", "it was left out")


def _labelled(folder: Path) -> str:
    """The name of a folder's label file if it names files, else an empty text."""
    path = label_file(folder)
    return path.name if path is not None and names_files(path) else ""


def _given_by_folder(names: list[str]) -> list[str]:
    """Splits by the first folder of each name, if it is a split's for all of them."""
    splits = [SPLIT_NAMES.get(name.split("/")[0].lower(), "") if "/" in name else "" for name in names]
    return splits if all(splits) and "train" in splits else [""] * len(names)


def _objects(values: Iterable[str]) -> np.ndarray:
    """Texts as an object array: of a str array every entry is as long as the longest."""
    values = list(values)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be opened: {error.strerror}") from error
