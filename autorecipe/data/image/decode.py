"""Image files -> one uint8 array: the size and channels that suit them, decoding in threads."""

import io
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from autorecipe.data.modality import Progress
from autorecipe.errors import InputError

LADDER = (8, 12, 16, 20, 24, 28, 32, 48, 64, 96, 128, 192, 256)
"""Resolutions to choose from when sizes are mixed."""
MOST = 64
"""Largest resolution that is chosen unasked; the cost of a step grows with its square."""
SAMPLE = 256
"""Images that are looked at to choose resolution and channels."""
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
_GREY_TOLERANCE = 3
_CHUNK = 128
_SMALL_FILE = 4096


@dataclass(frozen=True)
class Shape:
    """The shape that all images are brought to, and why."""

    resolution: int
    channels: int
    reason: str


def check_resolution(resolution: int | None) -> None:
    """Refuse a resolution that is no size.

    Raises:
        InputError: it is under 4 or over 1024 pixels.
    """
    if resolution is not None and not 4 <= resolution <= 1024:
        raise InputError(f"--resolution {resolution} is not between 4 and 1024 pixels")


def choose_shape(sizes: Sequence[tuple[int, int]], grey: Sequence[bool], asked: int | None) -> Shape:
    """Choose resolution and channels from a sample's (width, height) and whether each image is grey."""
    channels = 1 if sum(grey) >= 0.98 * len(grey) else 3
    if asked is not None:
        return Shape(asked, channels, "as asked")
    otherwise = "--resolution N to have it otherwise"
    short = int(np.median([min(size) for size in sizes]))
    same = len(set(sizes)) == 1 and sizes[0][0] == sizes[0][1]
    if short > MOST:
        rule = f"the images' short side is {short} pixels ({'all' if same else 'median'}); {MOST} is the most unasked"
        return Shape(MOST, channels, f"{rule}, {otherwise}")
    if same:
        return Shape(short, channels, f"all images are {short}x{short}")
    chosen = max([side for side in LADDER if side <= short], default=LADDER[0])
    return Shape(chosen, channels, f"the median short side is {short} pixels, rounded down to {chosen}; {otherwise}")


def measure(blobs: Sequence[bytes]) -> tuple[list[tuple[int, int]], list[bool]]:
    """(width, height) and "is it grey" of each readable image."""
    sizes, grey = [], []
    with _quiet():
        for blob in blobs:
            try:
                image = _open(blob)
                size = image.size
                image.draft("RGB", (64, 64))
                pixels = np.asarray(_to_rgb(image), dtype=np.int16)
            except Exception:  # any broken file: it is named when all are decoded
                continue
            sizes.append(size)
            grey.append(bool(np.ptp(pixels, axis=2).max() <= _GREY_TOLERANCE))
    return sizes, grey


def decode(blob: bytes, resolution: int, channels: int) -> np.ndarray:
    """One image file's bytes -> uint8 [R, R, C].

    The short side is brought to R and the middle cut out; turned as the camera's note says;
    transparent pixels are white.  Raises whatever Pillow raises on a broken file.
    """
    image = _open(blob)
    # JPEG decodes at 1/2, 1/4 or 1/8 size for a fraction of the time; twice the size is kept for quality.
    image.draft("L" if channels == 1 else "RGB", (2 * resolution, 2 * resolution))
    image.load()
    if "exif" in image.info or image.format == "TIFF":
        image = ImageOps.exif_transpose(image)
    return fit(image, resolution, channels)


def fit(image: Image.Image, resolution: int, channels: int) -> np.ndarray:
    """An image -> uint8 [R, R, C]: short side to R, middle cut out."""
    image = _to_grey(image) if channels == 1 else _to_rgb(image)
    if image.size != (resolution, resolution):
        width, height = image.size
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        image = image.resize(
            (resolution, resolution),
            Image.Resampling.BILINEAR,
            box=(left, top, left + side, top + side),
            reducing_gap=2.0,
        )
    return np.asarray(image, dtype=np.uint8).reshape(resolution, resolution, channels)


def decode_all(
    blobs: Sequence[bytes | None], paths: Sequence[str], shape: Shape, progress: Progress
) -> tuple[np.ndarray, dict[int, str]]:
    """Decode files, in threads where that pays.

    Pillow lets go of the interpreter while it decodes, but for small files the threads wait for one
    another: 28x28 PNG files took 86 microseconds each in one thread and 127 in two, on two cores.

    Args:
        blobs: the files' bytes; None: read it from its path.
        paths: where the files are [N].
        shape: the shape of all images.
        progress: told how far it is.

    Returns:
        uint8 [N, R, R, C] and, by index, why a file could not be read (its pixels are zero).
    """
    images = np.zeros((len(blobs), shape.resolution, shape.resolution, shape.channels), dtype=np.uint8)
    broken: dict[int, str] = {}

    def work(start: int) -> None:
        for i in range(start, min(start + _CHUNK, len(blobs))):
            try:
                images[i] = decode(blobs[i] or read(paths[i]), shape.resolution, shape.channels)
            except Exception as error:  # Pillow raises SyntaxError, struct.error and more on broken files
                broken[i] = reason(error)

    starts = range(0, len(blobs), _CHUNK)
    with _quiet(), ThreadPoolExecutor(_workers(blobs)) as pool:
        for done, _ in enumerate(pool.map(work, starts), start=1):
            progress("decoding images", done / len(starts))
    return images, dict(sorted(broken.items()))


def _workers(blobs: Sequence[bytes | None]) -> int:
    """One thread for small files; as many as cores for large ones, or where the sizes are not at hand."""
    sizes = [len(blob) for blob in blobs[:SAMPLE] if blob is not None]
    return 1 if sizes and np.median(sizes) < _SMALL_FILE else os.cpu_count() or 1


def read(path: str) -> bytes:
    """A file's bytes."""
    with open(path, "rb") as file:
        return file.read()


def reason(error: Exception) -> str:
    """Why an image could not be read, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"more than {Image.MAX_IMAGE_PIXELS:,} pixels"
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return text.split("\n")[0][:80]


class _quiet(warnings.catch_warnings):  # noqa: N801
    """Pillow's notes on odd files are silenced; an image that is far too large is refused."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)


def _open(blob: bytes) -> Image.Image:
    return Image.open(io.BytesIO(blob), formats=FORMATS)


def _to_grey(image: Image.Image) -> Image.Image:
    if image.mode == "L":
        return image
    return _plain(image).convert("L")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    return _plain(image).convert("RGB")


def _plain(image: Image.Image) -> Image.Image:
    """An image of 8 bits a channel, with white behind transparent pixels."""
    if image.mode in ("RGBA", "LA", "PA") or (image.mode == "P" and "transparency" in image.info):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image)
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        # Pillow's own conversion cuts 16-bit images off at 255.
        high = 65535.0 if image.mode.startswith("I") else 1.0
        scale = 255.0 / high if image.mode.startswith("I;16") or values.max(initial=0) > 255 or high == 1.0 else 1.0
        return Image.fromarray(np.clip(values * scale, 0, 255).astype(np.uint8))
    return image
