"""The images of a listing as one array: from the cache, or read, decoded and kept there."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from autorecipe.data import cache
from autorecipe.data.hold import hold
from autorecipe.data.image import decode
from autorecipe.data.image.folder import Listing
from autorecipe.data.image.measure import SAMPLE, choose_shape, measure
from autorecipe.data.modality import Progress
from autorecipe.errors import InputError
from autorecipe.results import Finding

_VERSION = 2
"""Raised when decoding changes, so that old entries of the cache are not used."""
_MOST_IN_MEMORY = 1 << 29
"""Files of up to this many bytes together stay in memory between hashing and decoding."""
_CHUNK = 256
_GROUPS = 6
"""Reasons why files cannot be read that are told, each with examples."""


@dataclass(frozen=True)
class Loaded:
    """The readable images of a listing."""

    images: np.ndarray
    """uint8 [N, R, R, C]."""
    listing: Listing
    """The files of these images."""
    reason: str
    """Why this resolution."""
    deep: tuple[float, float] | None
    """Values that became 0 and 255 in images of more than 8 bits."""
    streamed: bool
    """Whether the images stay on disk."""
    digest: str
    """SHA-256 of the images."""
    findings: tuple[Finding, ...]


def load_files(listing: Listing, resolution: int | None, progress: Progress) -> Loaded:
    """Load a listing's images; the second time from the cache.

    Raises:
        InputError: no file can be read, or there is no room for the images.
    """
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
    if facts["deep"]:
        low, high = facts["deep"]
        text = f"there are images of more than 8 bits a pixel; in a sample their values are {facts['deep_found']}"
        findings.append(Finding("deep_images", text, f"{low:g} to {high:g} became 0 to 255, in every image alike"))
    streamed = isinstance(images, np.memmap)
    if streamed:
        text = f"the images take {images.nbytes:,} bytes, more than may be held in memory ({cache.memory_cap():,})"
        findings.append(Finding("streamed", text, "they are read from disk as needed", "AUTORECIPE_MEMORY_CAP=SIZE"))
    broken: dict[str, str] = facts["unreadable"]
    if broken:
        text = f"{len(broken):,} of {len(listing.files):,} files cannot be read as images: {by_reason(broken)}"
        findings.append(Finding("unreadable_files", text, "they were left out", warn=True))
    readable = listing.only(np.array([name not in broken for name in listing.files]))
    deep = (float(facts["deep"][0]), float(facts["deep"][1])) if facts["deep"] else None
    digest = str(facts["sha256"])
    pixels = images.transpose(0, 2, 3, 1)
    return Loaded(pixels, readable, str(facts["reason"]), deep, streamed, digest, tuple(findings))


def by_reason(broken: dict[str, str]) -> str:
    """Files that cannot be read, by the reason, with examples: what was refused first, then the rarest reason."""
    groups: dict[str, list[str]] = {}
    for name, why in broken.items():
        groups.setdefault(why, []).append(name)
    order = sorted(groups, key=lambda why: (not why.startswith(decode.REFUSED), len(groups[why])))
    told = []
    for why in order[:_GROUPS]:
        names, most = groups[why], 20 if why.startswith(decode.REFUSED) else 3
        more = f" and {len(names) - most:,} more" if len(names) > most else ""
        told.append(f"{', '.join(names[:most])}{more}: {why}")
    return "; ".join(told) + (f"; and {len(order) - _GROUPS} other reasons" if len(order) > _GROUPS else "")


def _fits(entry: tuple[np.ndarray, dict[str, Any]], listing: Listing) -> bool:
    images, facts = entry
    unreadable = facts.get("unreadable")
    return (
        images.dtype == np.uint8
        and images.ndim == 4
        and isinstance(unreadable, dict)
        and {"reason", "deep", "deep_found"} <= set(facts)
        and len(images) + len(unreadable) == len(listing.files)
        and set(unreadable) <= set(listing.files)
    )


def _decode(
    listing: Listing, resolution: int | None, options: str, key: str, progress: Progress
) -> tuple[np.ndarray, dict[str, Any], str]:
    """Read all files; then an entry of the same content, or the decoded files and why they were not kept.

    Returns:
        uint8 [N, C, R, R], facts, and the reason or an empty text.
    """
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
    chosen = np.linspace(0, len(paths) - 1, min(len(paths), SAMPLE)).astype(int).tolist()
    sample = measure(_some(blobs, paths, chosen))
    if not sample.sizes:  # the sample has only broken files; another image may do
        sample = measure(_some(blobs, paths, range(len(paths))))
    if not sample.sizes:
        raise _nothing(listing)
    shape = choose_shape(sample, resolution)
    broken: dict[int, str] = {}
    chunks = decode.decode_all(blobs, paths, shape, broken, progress)
    images, file = hold(chunks, len(paths), (shape.channels, shape.resolution, shape.resolution))
    try:
        if not len(images):
            raise _nothing(listing)
        facts = {
            "reason": shape.reason,
            "deep": shape.deep,
            "deep_found": "{:g} to {:g}".format(*sample.lowest_and_highest) if sample.ranges else "",
            "unreadable": {listing.files[i]: why for i, why in sorted(broken.items())},
        }
        note = ""
        # A file that could not be opened, now or when it was decoded, may be there the next time.
        if b"" not in digests and all(_try_read(paths[i])[1] == digests[i] for i in broken):
            note = cache.store(content, images, facts, file)
            if not note:
                cache.link(key, content)
    finally:
        if file is not None:
            file.unlink(missing_ok=True)  # its pages stay as long as they are mapped
    return images, {**facts, "sha256": cache.array_digest(images)}, note


def _nothing(listing: Listing) -> InputError:
    return InputError(
        f"none of the {len(listing.files):,} files in {listing.root} can be read as an image (such as "
        f"{listing.files[0]}); are they complete, and is the suffix right?"
    )


def _some(blobs: list[bytes | None], paths: list[str], rows: Iterable[int]) -> Iterator[bytes | None]:
    for i in rows:
        yield _try_read(paths[i])[0] if blobs[i] is None else blobs[i]


def _read_all(paths: list[str], keep: bool, progress: Progress) -> tuple[list[bytes | None], list[bytes]]:
    """Each file's bytes (None if they are not kept) and digest (empty if it cannot be opened)."""
    blobs: list[bytes | None] = [None] * len(paths)
    digests = [b""] * len(paths)

    def work(start: int) -> None:
        for i in range(start, min(start + _CHUNK, len(paths))):
            blob, digests[i] = _try_read(paths[i])
            blobs[i] = blob if keep else None

    starts = range(0, len(paths), _CHUNK)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for done, _ in enumerate(pool.map(work, starts), start=1):
            progress("reading images", done / len(starts))
    return blobs, digests


def _try_read(path: str) -> tuple[bytes | None, bytes]:
    """A file's bytes, or None; and their digest, which is empty where the file may be there the next time."""
    try:
        blob = decode.read(path)
    except OSError:
        return None, b""
    except ValueError as error:  # it will be no image the next time either
        return None, str(error).encode()
    return blob, hashlib.blake2b(blob, digest_size=16).digest()
