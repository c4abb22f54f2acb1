"""What size, channels and range of values suit a set of image files, by a sample of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from autorecipe.data.image.decode import Shape, eight_bits, flat, is_deep, open_image, quiet
from autorecipe.errors import InputError

LADDER = (8, 12, 16, 20, 24, 28, 32, 48, 64, 96, 128, 192, 256)
"""Resolutions to choose from when sizes are mixed."""
MOST = 64
"""Largest resolution that is chosen unasked; the cost of a step grows with its square."""
SAMPLE = 256
"""Images that are looked at to choose resolution, channels and range."""
_GREY_TOLERANCE = 3
_GREY_SHARE = 0.98
_LOOK = 512
"""Pixels are taken out of larger images to see whether they are grey."""


@dataclass(frozen=True)
class Sample:
    """What a sample of images is like."""

    sizes: tuple[tuple[int, int], ...]
    """(width, height) of each."""
    grey: tuple[bool, ...]
    ranges: tuple[tuple[float, float], ...] = ()
    """Lowest and highest value of each image of more than 8 bits."""
    whole: bool = True
    """Whether their values are whole numbers."""

    @property
    def lowest_and_highest(self) -> tuple[float, float]:
        """Of all values of images of more than 8 bits; there is such an image."""
        return min(low for low, _ in self.ranges), max(high for _, high in self.ranges)


def check_resolution(resolution: int | None) -> None:
    """Refuse a resolution that is no size.

    Raises:
        InputError: it is under 4 or over 1024 pixels.
    """
    if resolution is not None and not 4 <= resolution <= 1024:
        raise InputError(f"--resolution {resolution} is not between 4 and 1024 pixels")


def measure(blobs: Iterable[bytes | None], most: int = SAMPLE) -> Sample:
    """Look at the first `most` images that can be read; None and broken files are passed over."""
    sizes: list[tuple[int, int]] = []
    grey: list[bool] = []
    ranges: list[tuple[float, float]] = []
    whole = True
    with quiet():
        for blob in blobs:
            if len(sizes) == most:
                break
            try:
                image = open_image(blob or b"")
                size = image.size
                if is_deep(image):
                    values = np.asarray(image)
                    whole = whole and values.dtype.kind != "f"
                    finite = values[np.isfinite(values)]
                    found = (float(finite.min()), float(finite.max())) if finite.size else None
                    ranges += [found] if found else []
                    without_colour = True
                elif grey.count(False) > (1 - _GREY_SHARE) * most:  # in colour, whatever else comes
                    without_colour = False
                else:
                    without_colour = is_grey(image)
            except Exception:  # any broken file: it is named when all are decoded
                continue
            sizes.append(size)
            grey.append(without_colour)
    return Sample(tuple(sizes), tuple(grey), tuple(ranges), whole)


def is_grey(image: Image.Image) -> bool:
    """Whether red, green and blue are the same in every pixel; the image may be drawn smaller for it."""
    image.draft("RGB", (64, 64))
    if max(image.size) > _LOOK:
        image = image.resize((min(_LOOK, image.width), min(_LOOK, image.height)), Image.Resampling.NEAREST)
    pixels = np.asarray(flat(eight_bits(image), "RGB"), dtype=np.int16)
    return bool(np.ptp(pixels, axis=2).max() <= _GREY_TOLERANCE)


def choose_shape(sample: Sample, asked: int | None) -> Shape:
    """Choose resolution, channels and the range of values that becomes 0 to 255."""
    channels = 1 if sum(sample.grey) >= _GREY_SHARE * len(sample.grey) else 3
    side, reason = choose_resolution(sample.sizes, asked)
    return Shape(side, channels, choose_range(sample), reason)


def choose_resolution(sizes: Sequence[tuple[int, int]], asked: int | None) -> tuple[int, str]:
    """The side that images of these sizes (width, height) are brought to, and why."""
    if asked is not None:
        return asked, "as asked"
    otherwise = "--resolution N to have it otherwise"
    short = int(np.median([min(size) for size in sizes]))
    same = len(set(sizes)) == 1 and sizes[0][0] == sizes[0][1]
    if short > MOST:
        rule = f"the images' short side is {short} pixels ({'all' if same else 'median'}); {MOST} is the most unasked"
        return MOST, f"{rule}, {otherwise}"
    if same:
        return short, f"all images are {short}x{short}"
    chosen = max([side for side in LADDER if side <= short], default=LADDER[0])
    return chosen, f"the median short side is {short} pixels, rounded down to {chosen}; {otherwise}"


def choose_range(sample: Sample) -> tuple[float, float] | None:
    """The values of images of more than 8 bits that become 0 and 255; one range for the whole data set.

    Cameras store 10, 12 or 14 bits in 16, so the top is that of the bits in use, not of the format.  Negative
    numbers and fractions are taken from the lowest to the highest, unless they lie in 0..1 or 0..255.
    """
    if not sample.ranges:
        return None
    low, high = sample.lowest_and_highest
    if sample.whole and low >= 0:
        return 0.0, float(2 ** max(1, int(high).bit_length()) - 1)
    if low >= 0 and high <= 255:
        return 0.0, 1.0 if high <= 1 else 255.0
    return low, high if high > low else low + 1.0
