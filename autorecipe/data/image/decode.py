"""Image files -> uint8 arrays of one shape: any mode and format, decoding in threads."""

import io
import os
import stat
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from autorecipe.data.modality import Progress

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
MOST_PIXELS = 89_478_485
"""An image that declares more pixels is refused before it is decoded (where Pillow begins to warn)."""
MOST_BYTES = 1 << 30
"""A larger file is refused before it is read."""
REFUSED = ("declares more than", "larger than", "no plain file")
"""How reasons begin for which a file is not even tried."""
_NOTES = frozenset({"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"})
"""Where Pillow keeps what says how a picture was held."""
_CHUNK_BYTES = 1 << 24
_SMALL_FILE = 4096
_SAMPLE = 256


@dataclass(frozen=True)
class Shape:
    """The shape that all images are brought to, and why."""

    resolution: int
    channels: int
    deep: tuple[float, float] | None = None
    """Values that become 0 and 255 in images of more than 8 bits; None: the lowest and highest of their format."""
    reason: str = ""
    """Why this resolution."""


def decode(blob: bytes, shape: Shape) -> np.ndarray:
    """One image file's bytes -> uint8 [R, R, C].

    The short side is brought to R and the middle cut out; turned as the camera's note says; the first frame
    of a moving image; transparent pixels are white.  Raises whatever Pillow raises on a broken file.
    """
    image = open_image(blob)
    # JPEG decodes at 1/2, 1/4 or 1/8 size for a fraction of the time; twice the size is kept for quality.
    image.draft("L" if shape.channels == 1 else "RGB", (2 * shape.resolution, 2 * shape.resolution))
    image.load()
    return fit(upright(image), shape)


def fit(image: Image.Image, shape: Shape) -> np.ndarray:
    """An image -> uint8 [R, R, C]: short side to R, middle cut out."""
    side, wanted = shape.resolution, "L" if shape.channels == 1 else "RGB"
    image = eight_bits(image, shape.deep)
    if image.mode in ("L", "RGB"):
        image = flat(image, wanted)
    if image.size != (side, side):
        width, height = image.size
        short = min(width, height)
        left, top = (width - short) / 2, (height - short) / 2
        image = image.resize(
            (side, side), Image.Resampling.BILINEAR, box=(left, top, left + short, top + short), reducing_gap=2.0
        )
    return np.asarray(flat(image, wanted), dtype=np.uint8).reshape(side, side, shape.channels)


def decode_all(
    blobs: Sequence[bytes | None], paths: Sequence[str], shape: Shape, broken: dict[int, str], progress: Progress
) -> Iterator[np.ndarray]:
    """Decode files, in threads where that pays, a few chunks ahead of what is taken.

    Pillow lets go of the interpreter while it decodes, but for small files the threads wait for one
    another: 28x28 PNG files took 86 microseconds each in one thread and 127 in two, on two cores.

    Args:
        blobs: the files' bytes; None: read it from its path.
        paths: where the files are [N].
        shape: the shape of all images.
        broken: filled, by index, with why a file could not be read.
        progress: told how far it is.

    Returns:
        the readable images in their order: uint8 [k, C, R, R], a chunk at a time.
    """
    item = (shape.channels, shape.resolution, shape.resolution)
    workers = _workers(blobs)
    step = max(1, min(128 if workers == 1 else 16, _CHUNK_BYTES // int(np.prod(item))))

    def work(start: int) -> tuple[np.ndarray, dict[int, str]]:
        images = np.empty((min(step, len(blobs) - start), *item), dtype=np.uint8)
        wrong: dict[int, str] = {}
        for i in range(start, start + len(images)):
            try:
                blob = blobs[i]
                image = decode(read(paths[i]) if blob is None else blob, shape)
                images[i - start - len(wrong)] = image.transpose(2, 0, 1)
            except Exception as error:  # Pillow raises SyntaxError, struct.error and more on broken files
                wrong[i] = reason(error)
        return images[: len(images) - len(wrong)], wrong

    waiting: deque[Future[tuple[np.ndarray, dict[int, str]]]] = deque()
    starts = iter(range(0, len(blobs), step))
    done = 0
    with quiet(), ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                for start in starts:
                    waiting.append(pool.submit(work, start))
                    if len(waiting) > 2 * workers:
                        break
                if not waiting:
                    return
                images, wrong = waiting.popleft().result()
                broken.update(wrong)
                done += step
                progress("decoding images", min(1.0, done / len(blobs)))
                yield images
        finally:
            for future in waiting:
                future.cancel()


def _workers(blobs: Sequence[bytes | None]) -> int:
    """One thread for small files; as many as cores for large ones, or where the sizes are not at hand."""
    sizes = [len(blob) for blob in blobs[:_SAMPLE] if blob is not None]
    return 1 if sizes and np.median(sizes) < _SMALL_FILE else os.cpu_count() or 1


def read(path: str) -> bytes:
    """A file's bytes.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is no plain file, or too large for an image.
    """
    facts = os.stat(path)  # noqa: PTH116  (before it is opened: a pipe would wait for ever)
    if not stat.S_ISREG(facts.st_mode):
        raise ValueError("no plain file")
    if facts.st_size > MOST_BYTES:
        raise ValueError(f"larger than {MOST_BYTES:,} bytes")
    with open(path, "rb") as file:
        return file.read()


def open_image(blob: bytes) -> Image.Image:
    """An image whose pixels are not decoded yet.

    Raises:
        Image.DecompressionBombError: it declares more pixels than any photograph has.
        Exception: whatever Pillow raises on a broken file.
    """
    if not blob:
        raise ValueError("the file is empty")
    image = Image.open(io.BytesIO(blob), formats=FORMATS)
    if image.width * image.height > MOST_PIXELS:
        raise Image.DecompressionBombError
    return image


def reason(error: Exception) -> str:
    """Why an image could not be read, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, Image.DecompressionBombError):
        return f"declares more than {MOST_PIXELS:,} pixels"
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return text.split("\n")[0][:80]


class quiet(warnings.catch_warnings):  # noqa: N801
    """Pillow's notes on odd files are silenced."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore")


def is_deep(image: Image.Image) -> bool:
    """Whether an image has more than 8 bits a channel."""
    return image.mode == "F" or image.mode.startswith("I")


def eight_bits(image: Image.Image, deep: tuple[float, float] | None = None) -> Image.Image:
    """An image of any mode as one of `L`, `RGB`, `LA` or `RGBA`, or of another without transparency."""
    if is_deep(image):
        # Pillow's own conversion cuts 16-bit images off at 255.
        low, high = deep or (0.0, 1.0 if image.mode == "F" else 65535.0)
        values = np.nan_to_num(np.asarray(image, dtype=np.float32), nan=low, posinf=high, neginf=low)
        values = (values - low) * (255 / (high - low))
        return Image.fromarray(np.rint(np.clip(values, 0, 255, out=values), out=values).astype(np.uint8))
    if image.has_transparency_data:
        return image if image.mode in ("LA", "RGBA") else image.convert("RGBA")
    # Pillow has no way from LAB to grey.
    return image if image.mode in ("L", "RGB") else image.convert("RGB" if image.mode != "1" else "L")


def flat(image: Image.Image, wanted: str) -> Image.Image:
    """An image of eight bits in the wanted mode, with white behind transparent pixels.

    It comes after the resizing: that costs less, and gives the same, since Pillow weighs colours by their alpha.
    """
    if image.mode in ("LA", "RGBA"):
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image if image.mode == wanted else image.convert(wanted)


def upright(image: Image.Image) -> Image.Image:
    """An image turned as the camera's note says."""
    if image.format != "TIFF" and _NOTES.isdisjoint(image.info):
        return image
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a damaged note does not spoil the picture
        return image
