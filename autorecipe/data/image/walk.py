"""What lies below a folder: images, other files, and what is passed over."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autorecipe.errors import InputError

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm",
)  # fmt: skip
"""Files with these suffixes, in any case, are read as images."""
_JUNK = {"__macosx", "@eadir", "thumbs.db", "ehthumbs.db", "desktop.ini"}
"""What operating systems leave in folders; their folders hold thumbnails, which are no examples."""


@dataclass(frozen=True)
class Tree:
    """What lies below a folder; names are relative to it, with `/`, and sorted."""

    images: tuple[tuple[str, int, int], ...]
    """Name, size in bytes and time of change in ns of each image."""
    links: frozenset[str]
    """Images that are symbolic links."""
    folders: tuple[str, ...]
    """Folders right in it."""
    others: tuple[str, ...]
    """Files that are no images by their suffix, pipes and the like, and links to folders further down."""
    hidden: tuple[str, ...]
    """Hidden files and folders, and what operating systems leave behind."""
    closed: tuple[str, ...]
    """Folders that may not be opened."""


def is_image(name: str) -> bool:
    """Whether a file's name says that it is an image; hidden files are not."""
    return not is_hidden(name) and name.lower().endswith(SUFFIXES)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or was left by the operating system."""
    return name.startswith(".") or name.lower() in _JUNK


def look(folder: Path, follow: bool = True) -> Tree:
    """Everything below a folder.

    Args:
        folder: where to look.
        follow: whether links to folders right in it are followed; those further down never are.

    Raises:
        InputError: it cannot be opened.
    """
    images, links = [], set()
    names: dict[str, list[str]] = {"folder": [], "other": [], "hidden": [], "closed": []}
    for kind, name, entry in _walk(str(folder), follow):
        if kind == "image":
            try:
                stat = entry.stat()
                images.append((name, stat.st_size, stat.st_mtime_ns))
            except OSError:  # a link that leads nowhere: it is named when it is read
                images.append((name, 0, 0))
            if entry.is_symlink():
                links.add(name)
        elif kind != "folder" or "/" not in name:
            names[kind].append(name)
    return Tree(
        tuple(sorted(images)),
        frozenset(links),
        tuple(sorted(names["folder"])),
        tuple(sorted(names["other"])),
        tuple(sorted(names["hidden"])),
        tuple(sorted(names["closed"])),
    )


def holds_image(folder: Path) -> bool:
    """Whether an image lies anywhere below; stops at the first."""
    return any(kind == "image" for kind, _, _ in _walk(str(folder), follow=True))


def _walk(folder: str, follow: bool) -> Iterator[tuple[str, str, os.DirEntry[str]]]:
    """Kind, relative name and entry of everything below a folder; Path objects would cost a second for 70,000."""
    waiting: list[tuple[str, str, os.DirEntry[str] | None]] = [(folder, "", None)]
    while waiting:
        place, prefix, itself = waiting.pop()
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError as error:
            if itself is None:
                raise InputError(f"the folder {place} cannot be opened: {error.strerror}") from error
            yield "closed", prefix[:-1], itself
            continue
        if itself is not None:
            yield "folder", prefix[:-1], itself
        for entry in entries:
            name = prefix + entry.name
            if is_hidden(entry.name):
                yield "hidden", name, entry
            elif entry.is_dir(follow_symlinks=follow and not prefix):
                waiting.append((entry.path, name + "/", entry))
            elif is_image(entry.name) and (entry.is_file() or (entry.is_symlink() and not entry.is_dir())):
                yield "image", name, entry
            else:
                yield "other", name, entry
