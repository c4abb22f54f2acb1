"""Items of a map-style data set, read one after another: `(x, y)` pairs, `x` alone, or mappings.

The first item says what all of them are: images (PIL images, or arrays of 2 or 3 dimensions) or rows of a table (arrays
of 1 dimension, or mappings of names to numbers and texts).
"""

import datetime
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from autorecipe.data.image import decode
from autorecipe.data.image.arrays import image_layout
from autorecipe.data.image.measure import SAMPLE, Sample, choose_shape, is_grey
from autorecipe.data.modality import Progress
from autorecipe.data.sources import as_array, is_tensor
from autorecipe.errors import InputError

USUAL_TARGETS = ("target", "label", "labels", "class", "y")
"""Names that the target goes by in an item that is a mapping."""
TOLD_EVERY = 256
"""Items between two words on how far the reading is."""


@dataclass(frozen=True)
class Asked:
    """What is asked of data from Python."""

    progress: Progress = lambda sentence, done: None
    target: str | None = None
    """The target's name, where the data has names."""
    resolution: int | None = None
    """Side of the images; None: chosen from a sample."""
    channels: int | None = None
    """1 or 3; None: chosen from a sample."""
    predicting: bool = False
    """Whether the inputs alone are wanted, and a target may be missing."""


@dataclass(frozen=True)
class Items:
    """What is read."""

    what: str
    """Its name in messages: `the MNIST`."""
    count: int
    get: Callable[[int], Any]
    asked: Asked
    classes: tuple[str, ...] = ()
    """Names of the classes, if the data set has them and its targets are their numbers."""


def read_items(items: Items) -> tuple[Any, Any]:
    """Read every item once: X and y, as `autorecipe.search` takes them; y is None where the items have no target.

    Returns:
        X: images [N, H, W, C], [N, C, H, W] or [N, H, W], an array [N, F] or a DataFrame.
        y: array [N], or [N, L] where each target is a vector.

    Raises:
        InputError: there are none, one cannot be read, or they are not alike; the message names it by its number.
    """
    if not items.count:
        raise InputError(f"{items.what} is empty: it has no items; at least 10 are needed to train and score")
    first, _ = _item(items, 0)
    if isinstance(first, Image.Image):
        X, y = _read_pictures(items)
    elif isinstance(first, Mapping):
        X, y = _read_mappings(items, list(first))
    else:
        X, y = _read_arrays(items, _array(items, first, 0))
    return X, None if items.asked.predicting else _targets(items, y)


def _item(items: Items, i: int) -> tuple[Any, Any]:
    """Item number i as input and target; the target is None if it has none."""
    try:
        item = items.get(i)
    except Exception as error:  # whatever the user's own code raises
        raise InputError(
            f"item {i:,} of {items.what} cannot be read ({type(error).__name__}: {error}); every item is needed: "
            "correct it, or leave it out, for example with torch.utils.data.Subset"
        ) from error
    if isinstance(item, (tuple, list)):
        if not 1 <= len(item) <= 2:
            raise InputError(
                f"item {i:,} of {items.what} is a {type(item).__name__} of {len(item)}; give pairs (x, y), or x alone"
            )
        return item[0], item[1] if len(item) == 2 else None
    if isinstance(item, Mapping):
        return _of_mapping(items, item)
    return item, None


def _of_mapping(items: Items, item: Mapping[str, Any]) -> tuple[Any, Any]:
    """The one picture of a mapping and its target; a mapping without a picture is a row as it is."""
    pictures = [name for name, value in item.items() if isinstance(value, Image.Image) or np.ndim(value) >= 2]
    if len(pictures) != 1:
        return item, None
    rest = [name for name in item if name != pictures[0]]
    usual = [name for word in USUAL_TARGETS for name in rest if str(name).lower() == word]
    wanted = None if items.asked.predicting else items.asked.target
    target = wanted or (usual[0] if usual else rest[0] if len(rest) == 1 else None)
    if target is not None and target not in item:
        raise InputError(f"the items of {items.what} have no '{target}'; they have: {', '.join(map(str, item))}")
    return item[pictures[0]], None if target is None else item[target]


def _every(items: Items) -> Any:
    """Number, input and target of each item, telling how far it is."""
    for i in range(items.count):
        if i % TOLD_EVERY == 0:
            items.asked.progress("reading the items", i / items.count)
        yield i, *_item(items, i)
    items.asked.progress("reading the items", 1.0)


def _unlike(items: Items, i: int, found: str, first: str) -> InputError:
    return InputError(
        f"item {i:,} of {items.what} is {found}, but item 0 is {first}; a network takes inputs that are all alike"
    )


def _read_pictures(items: Items) -> tuple[np.ndarray, list[Any]]:
    """PIL images of any sizes and modes -> uint8 [N, R, R, C], as image files would be."""
    sizes, grey = [], []
    for i in np.linspace(0, items.count - 1, min(items.count, SAMPLE)).astype(int).tolist():
        picture = _picture(items, _item(items, i)[0], i)
        sizes.append(picture.size)
        grey.append(is_grey(picture.copy()))
    shape = choose_shape(Sample(tuple(sizes), tuple(grey)), items.asked.resolution)
    shape = decode.Shape(shape.resolution, items.asked.channels or shape.channels)
    pixels = np.empty((items.count, shape.resolution, shape.resolution, shape.channels), dtype=np.uint8)
    targets = []
    for i, x, y in _every(items):
        pixels[i] = decode.fit(_picture(items, x, i), shape)
        targets.append(y)
    return pixels, targets


def _picture(items: Items, x: Any, i: int) -> Image.Image:
    if not isinstance(x, Image.Image):
        raise _unlike(items, i, f"a {type(x).__name__}", "a PIL image")
    if decode.is_deep(x):  # what of a file would be found from a sample must be known of a picture
        most = 1 if x.mode == "F" else 65535
        values = np.asarray(x)
        low, high = float(values.min()), float(values.max())
        if not 0 <= low <= high <= most:  # NaN too
            raise InputError(
                f"item {i:,} of {items.what} is a picture of mode {x.mode} with values from {low:g} to {high:g}, and 0 "
                f"to {most} become black to white; divide them, or give arrays of 0 to 255"
            )
    return decode.upright(x)


def _read_mappings(items: Items, names: list[str]) -> tuple[Any, list[Any]]:
    """Mappings of names to single values -> a DataFrame."""
    import pandas as pd

    rows, targets = [], []
    for i, x, y in _every(items):
        if not isinstance(x, Mapping):
            raise _unlike(items, i, f"a {type(x).__name__}", "a mapping of names to values")
        if set(x) != set(names):
            odd = min(map(str, set(x) ^ set(names)))
            raise _unlike(items, i, f"a mapping {'with' if odd in x else 'without'} '{odd}'", "not")
        rows.append([_single(items, x[name], i, f"'{name}'") for name in names])
        targets.append(y)
    return pd.DataFrame(rows, columns=names), targets


def _array(items: Items, x: Any, i: int) -> np.ndarray:
    value = as_array(x)
    if value.dtype.kind not in "biuf" and not (value.ndim == 1 and value.dtype.kind in "US"):
        raise InputError(
            f"item {i:,} of {items.what} is a {type(x).__name__}; give PIL images, arrays or tensors [C, H, W] or "
            "[H, W, C], or for tables arrays [F] or mappings of names to values"
        )
    return value


def _read_arrays(items: Items, first: np.ndarray) -> tuple[np.ndarray, list[Any]]:
    """Arrays of one shape -> one array [N, ...]; floats as float32."""
    if first.ndim != 1 and image_layout(first[None]) is None:
        raise InputError(
            f"item 0 of {items.what} has the shape {first.shape}; give images [C, H, W], [H, W, C] or [H, W] with 1 or "
            "3 channels, or rows [F] of a table"
        )
    kind = np.dtype(np.float32) if first.dtype == np.float64 and first.ndim > 1 else first.dtype
    X = np.empty((items.count, *first.shape), dtype=object if kind.kind in "US" else kind)
    targets = []
    for i, x, y in _every(items):
        value = _array(items, x, i)
        if value.shape != first.shape:
            raise _unlike(items, i, f"of shape {value.shape}", f"of shape {first.shape}")
        if not np.can_cast(value.dtype, X.dtype, casting="same_kind"):
            raise _unlike(items, i, f"of {value.dtype}", f"of {first.dtype}")
        X[i] = value
        targets.append(y)
    if first.ndim > 1 and kind.kind in "if" and float(X.min()) < 0:
        raise InputError(
            f"the images of {items.what} have values from {float(X.min()):.3g} to {float(X.max()):.3g}; give 0 to 255, "
            "or floats 0 to 1: leave out transforms such as Normalize, since pixels are scaled here"
        )
    return X, targets


def _single(items: Items, value: Any, i: int, where: str) -> Any:
    """One number, text or missing value; a tensor or array of one element counts."""
    if (isinstance(value, np.ndarray) or is_tensor(value)) and value.shape in ((), (1,)):
        value = value.item()
    if value is None or isinstance(value, (str, numbers.Number, np.generic, datetime.date)):
        return value
    raise InputError(f"{where} of item {i:,} of {items.what} holds a {type(value).__name__}; give one number or text")


def _targets(items: Items, targets: Sequence[Any]) -> np.ndarray | None:
    """Targets as an array [N], or [N, L] if each is a vector; None if no item has one."""
    lacking = [i for i, y in enumerate(targets) if y is None]
    if len(lacking) == len(targets):
        return None
    if lacking:
        raise InputError(f"item {lacking[0]:,} of {items.what} has no target, but others have; leave it out")
    if np.ndim(targets[0]) == 1 and len(targets[0]) > 1:
        vectors = [np.asarray(_array(items, y, i)) for i, y in enumerate(targets)]
        for i, vector in enumerate(vectors):
            if vector.shape != vectors[0].shape:
                raise _unlike(items, i, f"with a target of shape {vector.shape}", f"with one of {vectors[0].shape}")
        return np.stack(vectors)
    values = np.asarray([_single(items, y, i, "the target") for i, y in enumerate(targets)])
    known = items.classes
    if known and values.dtype.kind in "iu" and values.min() >= 0 and values.max() < len(known):
        values = np.asarray(known)[values]
    return values
