"""A folder of images as one array: from the cache, or read, decoded and kept there."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from autorecipe.data import cache
from autorecipe.data.image import decode
from autorecipe.data.image.folder import Listing, list_dataset
from autorecipe.data.modality import Progress
from autorecipe.errors import InputError
from autorecipe.results import Finding

_VERSION = 1
"""Raised when decoding changes, so that old entries of the cache are not used."""
_MOST_IN_MEMORY = 1 << 29
"""Files of up to this many bytes together stay in memory between hashing and decoding."""
_CHUNK = 256


@dataclass(frozen=True)
class Loaded:
    """The readable images of a folder."""

    images: np.ndarray
    """uint8 [N, R, R, C]."""
    files: tuple[str, ...]
    labels: np.ndarray
    given: np.ndarray
    reason: str
    """Why this resolution."""
    digest: str
    """SHA-256 of the images."""
    findings: tuple[Finding, ...]


def load_folder(root: os.PathLike[str], resolution: int | None, progress: Progress) -> Loaded:
    """Load a folder's images; the second time from the cache.

    Raises:
        InputError: the folder's classes do not do, or no file can be read.
    """
    from pathlib import Path

    listing = list_dataset(Path(root))
    findings = list(listing.findings)
    options = f"{_VERSION} {resolution}"
    key = listing.key(options)
    content = cache.linked(key)
    entry = cache.load(content) if content else None
    if entry is not None and not _fits(entry, listing):
        entry = None
    if entry is None:
        images, facts, note = _decode(listing, resolution, options, key, progress)
        if note:
            findings.append(Finding("cache_not_written", note, "the images are decoded again in the next run"))
    else:
        images, facts = entry
    broken: dict[str, str] = facts["unreadable"]
    kept = np.ones(len(listing.files), dtype=bool)
    if broken:
        position = {name: i for i, name in enumerate(listing.files)}
        kept[[position[name] for name in broken]] = False
        shown = "; ".join(f"{name}: {why}" for name, why in list(broken.items())[:3])
        findings.append(
            Finding(
                "unreadable_files",
                f"{len(broken):,} of {len(listing.files):,} files cannot be read as images ({shown})",
                "they were left out",
                warn=True,
            )
        )
    return Loaded(
        images=images,
        files=tuple(np.asarray(listing.files)[kept].tolist()) if broken else listing.files,
        labels=listing.labels[kept],
        given=listing.given[kept],
        reason=facts["reason"],
        digest=facts["sha256"],
        findings=tuple(findings),
    )


def _fits(entry: tuple[np.ndarray, dict[str, Any]], listing: Listing) -> bool:
    images, facts = entry
    unreadable = facts.get("unreadable")
    return (
        isinstance(unreadable, dict)
        and "reason" in facts
        and len(images) + len(unreadable) == len(listing.files)
        and set(unreadable) <= set(listing.files)
    )


def _decode(
    listing: Listing, resolution: int | None, options: str, key: str, progress: Progress
) -> tuple[np.ndarray, dict[str, Any], str]:
    """Read all files; then an entry of the same content, or the decoded files and why they were not kept."""
    paths = [f"{listing.root}{os.sep}{name}" for name in listing.files]
    keep = int(listing.stats[:, 0].sum()) <= _MOST_IN_MEMORY
    blobs, digests = _read_all(paths, keep, progress)
    whole = hashlib.sha256(options.encode())
    for name, digest in zip(listing.files, digests, strict=True):
        whole.update(name.encode(errors="surrogateescape") + b"\0" + digest)
    content = whole.hexdigest()
    entry = cache.load(content)
    if entry is not None and _fits(entry, listing):
        cache.link(key, content)
        return entry[0], entry[1], ""
    chosen = np.linspace(0, len(paths) - 1, min(len(paths), decode.SAMPLE)).astype(int)
    sizes, grey = decode.measure([blob for i in chosen if (blob := blobs[i] or _try_read(paths[i]))])
    if not sizes:  # the sample has only broken files; another image may do
        sizes, grey = decode.measure([blob for i, path in enumerate(paths) if (blob := blobs[i] or _try_read(path))])
    if not sizes:
        raise InputError(
            f"none of the {len(paths):,} files in {listing.root} can be read as an image (such as {listing.files[0]}); "
            "are they complete, and is the suffix right?"
        )
    shape = decode.choose_shape(sizes, grey, resolution)
    images, broken = decode.decode_all(blobs, paths, shape, progress)
    if broken:
        kept = np.ones(len(images), dtype=bool)
        kept[list(broken)] = False
        images = images[kept]
    facts = {"reason": shape.reason, "unreadable": {listing.files[i]: why for i, why in broken.items()}}
    if b"" in digests:  # a file could not even be opened: it may be there the next time
        note = ""
    else:
        note = cache.store(content, images, facts)
        if not note:
            cache.link(key, content)
    return images, {**facts, "sha256": cache.array_digest(images)}, note


def _read_all(paths: list[str], keep: bool, progress: Progress) -> tuple[list[bytes | None], list[bytes]]:
    """Each file's bytes (None if they are not kept) and digest (empty if it cannot be opened)."""
    blobs: list[bytes | None] = [None] * len(paths)
    digests = [b""] * len(paths)

    def work(start: int) -> None:
        for i in range(start, min(start + _CHUNK, len(paths))):
            blob = _try_read(paths[i])
            if blob is not None:
                digests[i] = hashlib.blake2b(blob, digest_size=16).digest()
                blobs[i] = blob if keep else None

    starts = range(0, len(paths), _CHUNK)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for done, _ in enumerate(pool.map(work, starts), start=1):
            progress("reading images", done / len(starts))
    return blobs, digests


def _try_read(path: str) -> bytes | None:
    try:
        return decode.read(path)
    except OSError:
        return None
