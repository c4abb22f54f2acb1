"""Folders of images: which files are there, of which class and split."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autorecipe.errors import InputError
from autorecipe.results import Finding

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Listing:
    """The image files of a data set, in a fixed order; nothing is read but names, sizes and times."""

    root: Path
    files: tuple[str, ...]
    """Names relative to `root`, with `/`."""
    labels: np.ndarray
    """Class of each file: str array [N]."""
    given: np.ndarray
    """Split of each file: str array [N] of `train`, `val`, `test` or ``."""
    stats: np.ndarray
    """Size in bytes and time of change in ns of each file: int64 [N, 2]."""
    findings: tuple[Finding, ...] = ()

    def key(self, options: str) -> str:
        """SHA-256 of the place, names, sizes and times, and of what decoding depends on."""
        digest = hashlib.sha256(f"{self.root.resolve()}\0{options}\0".encode())
        digest.update("\0".join(self.files).encode(errors="surrogateescape"))
        digest.update(np.ascontiguousarray(self.stats).data)
        return digest.hexdigest()


def is_image(name: str) -> bool:
    """Whether a file's name says that it is an image; hidden files are not."""
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def image_files(folder: Path) -> list[tuple[str, int, int]]:
    """Name (relative, with `/`), size and time of change in ns of every image below a folder, sorted."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _hidden(name)]
        relative = Path(place).relative_to(folder).as_posix()
        prefix = "" if relative == "." else relative + "/"
        for name in files:
            if is_image(name):
                stat = os.stat(os.path.join(place, name))  # noqa: PTH116, PTH118  (70,000 Path objects cost a second)
                found.append((prefix + name, stat.st_size, stat.st_mtime_ns))
    return sorted(found)


def class_folders(folder: Path) -> list[Path]:
    """Subfolders that hold an image, sorted by name."""
    return [path for path in _subfolders(folder) if _holds_image(path)]


def split_folders(folder: Path) -> dict[Path, str]:
    """Folder -> split, where a `train` folder with class folders is there; else empty.

    A folder `train` with images right in it is a class like any other.
    """
    found = {path: _SPLITS[path.name.lower()] for path in _subfolders(folder) if path.name.lower() in _SPLITS}
    if not any(split == "train" and class_folders(path) for path, split in found.items()):
        return {}
    return found


def list_dataset(root: Path) -> Listing:
    """List a folder of class folders, or of `train/ val/ test/` with them.

    Raises:
        InputError: fewer than two classes, a class of one image, or a split given twice.
    """
    splits = split_folders(root)
    findings = []
    if splits:
        if len(set(splits.values())) < len(splits):
            names = ", ".join(sorted(path.name for path in splits))
            raise InputError(f"{root} has more than one folder for a split: {names}; leave one folder for each split")
        unlabelled = sorted(path.name for path in splits if not class_folders(path))
        ignored = [path.name for path in _subfolders(root) if path not in splits and _holds_image(path)]
        findings += [
            Finding("ignored_folder", f"folder '{name}' has no class folders with images", "it was left out")
            for name in unlabelled
        ]
        findings += [
            Finding("ignored_folder", f"folder '{name}' stands beside the split folders", "it was left out")
            for name in ignored
        ]
    order = {"train": 0, "val": 1, "test": 2, "": 0}
    folders = [
        (split, path)
        for place, split in sorted((splits or {root: ""}).items(), key=lambda item: order[item[1]])
        for path in class_folders(place)
    ]
    files: list[str] = []
    labels: list[str] = []
    given: list[str] = []
    stats: list[tuple[int, int]] = []
    for split, folder in folders:
        prefix = folder.relative_to(root).as_posix() + "/"
        for name, size, time in image_files(folder):
            files.append(prefix + name)
            labels.append(folder.name)
            given.append(split)
            stats.append((size, time))
    listing = Listing(
        root,
        tuple(files),
        np.asarray(labels, dtype=str),
        np.asarray(given, dtype=str),
        np.asarray(stats, dtype=np.int64).reshape(-1, 2),
        tuple(findings),
    )
    check_classes(listing.labels, str(root))
    return listing


def check_classes(labels: np.ndarray, where: str) -> None:
    """Refuse what cannot be learned.

    Raises:
        InputError: fewer than two classes, or a class of one image.
    """
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        found = f"one class, '{classes[0]}'" if len(classes) else "no class"
        raise InputError(f"{where} has {found}; a classifier needs two or more class folders with images")
    if counts.min() < 2:
        name = classes[int(np.argmin(counts))]
        raise InputError(
            f"class '{name}' in {where} has {counts.min()} image, and one is needed to train and one to score; "
            "add images of it or remove its folder"
        )


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not _hidden(path.name))


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _holds_image(folder: Path) -> bool:
    """Whether an image lies anywhere below; stops at the first."""
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _hidden(name)]
        if any(is_image(name) for name in files):
            return True
    return False
