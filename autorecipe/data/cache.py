"""Decoded images on disk, keyed by the content of their files.

An entry is `CONTENT.npy` (the array) with `CONTENT.json` (facts, and the array's SHA-256, so that a
damaged entry is noticed).  `index-LISTING.json` leads from a folder's names, sizes and times to the
content, so that a second run need not read 70,000 files to find its entry.

The folder is the user's cache folder, or `AUTORECIPE_CACHE`.  It is kept under 4 GiB, or under
`AUTORECIPE_CACHE_LIMIT` (bytes, or such as `2G`; 0: nothing is kept); what was not used for longest goes first.
A cache that cannot be written costs time and nothing else.

Images of up to a quarter of the memory that is available, or of `AUTORECIPE_MEMORY_CAP` (a size as above), are held
in memory.  More of them stay on disk and are read as they are needed: their array is a `np.memmap`.
"""

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from autorecipe.errors import InputError
from autorecipe.rundir import atomic, write_json

DEFAULT_LIMIT = 4 * 1024**3
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_OURS = re.compile(r"^\.?(index-)?[0-9a-f]{64}\.(npy|json)(\..*\.tmp)?$")


def cache_dir() -> Path:
    """The folder of the cache; it need not exist yet."""
    given = os.environ.get("AUTORECIPE_CACHE")
    if given:
        return Path(given).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("autorecipe", appauthor=False))


def size_limit() -> int:
    """Most bytes that the cache may hold.

    Raises:
        InputError: `AUTORECIPE_CACHE_LIMIT` is not a size.
    """
    return _size("AUTORECIPE_CACHE_LIMIT", DEFAULT_LIMIT)


def memory_cap() -> int:
    """Most bytes of images that are held in memory; more are read from disk as they are needed.

    Raises:
        InputError: `AUTORECIPE_MEMORY_CAP` is not a size.
    """
    return _size("AUTORECIPE_MEMORY_CAP", psutil.virtual_memory().available // 4)


def _size(variable: str, otherwise: int) -> int:
    """Bytes that an environment variable says."""
    given = os.environ.get(variable, "").strip()
    if not given:
        return otherwise
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", given, re.IGNORECASE | re.ASCII)
    if not match:
        raise InputError(f"{variable} is '{given}'; give bytes or a size such as 500M or 2G")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def array_digest(array: np.ndarray) -> str:
    """SHA-256 of an array's shape, type and values."""
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def linked(listing: str) -> str | None:
    """The content that a listing led to before."""
    try:
        content = json.loads((cache_dir() / f"index-{listing}.json").read_text(encoding="utf-8"))["content"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return content if isinstance(content, str) and re.fullmatch(r"[0-9a-f]{64}", content) else None


def link(listing: str, content: str) -> None:
    """Remember which content a listing leads to."""
    with contextlib.suppress(OSError):
        write_json(cache_dir() / f"index-{listing}.json", {"content": content})


def load(content: str) -> tuple[np.ndarray, dict[str, Any]] | None:
    """The array and facts of an entry, or None; a damaged entry is dropped."""
    array_path, facts_path = _paths(content)
    cap = memory_cap()
    size_limit()  # a wrong one is told whether or not anything is stored
    try:
        text = facts_path.read_bytes()
    except OSError:  # no such entry, or another process is still writing it, or the folder may not be read
        return None
    try:
        facts = json.loads(text)
        large = array_path.stat().st_size > cap
        array = map_array(array_path) if large else np.load(array_path, allow_pickle=False)
        sound = isinstance(array, np.ndarray) and facts["sha256"] == array_digest(array)
    except (OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, RecursionError):
        sound = False
    if not sound:
        _remove(content)
        return None
    with contextlib.suppress(OSError):
        os.utime(facts_path)  # the time of use
    return array, facts


def map_array(path: Path) -> np.ndarray:
    """An array that stays on disk.  Copy on write, since torch warns of arrays that are read-only."""
    array: np.ndarray = np.load(path, mmap_mode="c", allow_pickle=False)
    return array


def store(content: str, array: np.ndarray, facts: dict[str, Any], file: Path | None = None) -> str:
    """Keep an entry and evict others until the cache fits its limit.

    Args:
        content: the entry's name.
        array: what to keep.
        facts: what to keep with it.
        file: where `hold.hold` wrote the array; it is moved into place.

    Returns:
        why the entry was not kept, or an empty text.
    """
    limit = size_limit()
    if array.nbytes + 4096 > limit:
        size = f"{array.nbytes:,} bytes"
        return f"the images take {size}, more than the cache may hold ({limit:,}; AUTORECIPE_CACHE_LIMIT changes it)"
    array_path, facts_path = _paths(content)
    try:
        if file is not None:
            file.chmod(0o644)
            file.replace(array_path)
        else:
            with atomic(array_path) as temporary, open(temporary, "wb") as out:
                np.save(out, array, allow_pickle=False)
        write_json(facts_path, {**facts, "sha256": array_digest(array)})
        _evict(limit, keep=content)
    except OSError as error:
        _remove(content)
        return f"the cache at {cache_dir()} cannot be written: {error.strerror or error}"
    return ""


def usage() -> tuple[int, int]:
    """Entries and bytes in the cache."""
    files = list(_files())
    return sum(path.suffix == ".npy" for path, _ in files), sum(stat.st_size for _, stat in files)


def clear() -> tuple[int, int]:
    """Remove everything from the cache; entries and bytes that were removed."""
    removed = usage()
    for path, _ in list(_files()):
        with contextlib.suppress(OSError):
            path.unlink()
    return removed


def _paths(content: str) -> tuple[Path, Path]:
    return cache_dir() / f"{content}.npy", cache_dir() / f"{content}.json"


def _files() -> Iterator[tuple[Path, os.stat_result]]:
    """The cache's own files: a user may have pointed AUTORECIPE_CACHE at a folder with others."""
    try:
        entries = list(os.scandir(cache_dir()))
    except OSError:
        return
    for entry in entries:
        if _OURS.match(entry.name):
            with contextlib.suppress(OSError):
                yield Path(entry.path), entry.stat()


def _remove(content: str) -> None:
    for path in _paths(content):
        with contextlib.suppress(OSError):
            path.unlink()


def _evict(limit: int, keep: str) -> None:
    files = list(_files())
    total = sum(stat.st_size for _, stat in files)
    used = {path.stem: stat.st_mtime for path, stat in files if path.suffix == ".json"}
    sizes: dict[str, int] = {}
    for path, stat in files:
        sizes[path.name] = stat.st_size
        if path.suffix == ".tmp" and time.time() - stat.st_mtime > 3600:  # left by a crash
            with contextlib.suppress(OSError):
                path.unlink()
                total -= stat.st_size
    contents = [path.stem for path, _ in files if path.suffix == ".npy" and path.stem != keep]
    for content in sorted(contents, key=lambda name: used.get(name, 0.0)):
        if total <= limit:
            return
        _remove(content)
        total -= sizes.get(f"{content}.npy", 0) + sizes.get(f"{content}.json", 0)
