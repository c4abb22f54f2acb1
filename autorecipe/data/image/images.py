"""The image modality: reading, encoding, and what others need of images."""

import hashlib
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from autorecipe.data import cache
from autorecipe.data.hold import hold
from autorecipe.data.image import decode
from autorecipe.data.image.arrays import digits, image_layout, to_pixels
from autorecipe.data.image.files import by_reason, load_files
from autorecipe.data.image.folder import Listing, check_classes, explain, folder_of, list_dataset
from autorecipe.data.image.labelled import target_of, what_is_asked
from autorecipe.data.image.measure import SAMPLE, Sample, check_resolution, choose_shape
from autorecipe.data.image.walk import SUFFIXES, is_image, look
from autorecipe.data.modality import Dataset, Modality, Progress, Raw, ReadOptions, Source
from autorecipe.data.sources import BUNDLED, arrays_of, bundled_of, is_frame, name_of, path_of, target_array
from autorecipe.data.tasks import Target, infer_target
from autorecipe.errors import InputError, InputWarning
from autorecipe.results import Finding

if TYPE_CHECKING:
    import torch

_DIGITS_SCALE = 255 / 16
_MOST_FEATURES = 3072
_MOST_NAMED = 20
_CHUNK_BYTES = 1 << 24
_SHOWN = 64


def detect(source: Source) -> str | None:
    """Why this source is images, or None."""
    bundled = bundled_of(source)
    if bundled is not None:
        return f"'{bundled}' is a bundled set of images" if BUNDLED[bundled] == "image" else None
    path = path_of(source)
    if path is not None:
        return explain(folder_of(path)) if folder_of(path).is_dir() else None
    arrays = arrays_of(source)
    if arrays is None or is_frame(arrays[0]):
        return None
    layout = image_layout(arrays[0])
    return f"an array of shape {arrays[0].shape} is images [{layout}]" if layout else None


def read(source: Source, options: ReadOptions, progress: Progress) -> Raw:
    """Read images and their classes, label sets or numbers.

    Raises:
        InputError: nothing readable, fewer than two classes, an option that does not fit.
    """
    check_resolution(options.resolution)
    path = path_of(source)
    if path is not None and bundled_of(source) is None:
        return _read_folder(folder_of(path), options, progress)
    if bundled_of(source):
        (X, y), name, scale = digits(), "digits", _DIGITS_SCALE
    else:
        arrays = arrays_of(source)
        assert arrays is not None
        if arrays[1] is None:
            raise InputError(f"images of shape {arrays[0].shape} came without classes; give (X, y)")
        X, y, name, scale = arrays[0], target_array(arrays[1]), "arrays", None
    if y.dtype.kind == "f" and not np.all(np.isfinite(y)):
        raise InputError(f"y has {int(np.sum(~np.isfinite(y)))} values that are not numbers; remove these examples")
    pixels, scale = to_pixels(X, scale)
    images, reason = _bring_to_shape(pixels, options.resolution)
    target_name = options.target or "target"
    target = infer_target(y, options.task, target_name)
    if target.task in ("binary", "multiclass"):
        check_classes(target.values, name)
    names = tuple(map(str, range(len(images))))
    given = np.full(len(images), "", dtype="<U5")
    facts = {"resolution_reason": reason, "array_scale": scale}
    return _raw(name, images, target, target_name, names, given, facts, (), None)


def _read_folder(path: Path, options: ReadOptions, progress: Progress) -> Raw:
    listing = list_dataset(path, options.target)
    asked = None
    if listing.column:
        asked = what_is_asked(listing.labels.tolist(), options.task, str(path))
        listing = replace(listing.only(asked.kept), findings=(*listing.findings, *asked.findings))

    def target(listing: Listing) -> Target:
        if asked is None:
            check_classes(listing.labels, str(path))
            return infer_target(listing.labels, options.task, "class", "each class is a folder")
        found = target_of(listing.labels, asked, options.task, listing.column)
        if found.task in ("binary", "multiclass"):
            check_classes(found.values, str(path))
        return found

    planned = target(listing)  # what cannot be learned is refused before it is decoded
    loaded = load_files(listing, options.resolution, progress)
    found = target(loaded.listing)
    findings = list(loaded.findings)
    lost = sorted(set(planned.classes) - set(found.classes))
    if lost:
        text = f"classes of which no image can be read: {len(lost):,} ({', '.join(lost[:3])})"
        findings.append(Finding("lost_classes", text, "these classes were left out", warn=True))
    facts = {
        "resolution_reason": loaded.reason,
        "sorted_by_layout": True,
        "array_scale": None,
        "deep_range": None if loaded.deep is None else list(loaded.deep),
        "streamed": loaded.streamed,
    }
    names, given = loaded.listing.files, loaded.listing.given
    column = listing.column or "class"
    return _raw(name_of(path), loaded.images, found, column, names, given, facts, tuple(findings), loaded.digest)


def _raw(
    name: str,
    images: np.ndarray,
    target: Target,
    target_name: str,
    names: tuple[str, ...],
    given: np.ndarray,
    facts: dict[str, Any],
    findings: tuple[Any, ...],
    digest: str | None,
) -> Raw:
    whole = hashlib.sha256((digest or cache.array_digest(images)).encode())
    whole.update("\0".join(map(str, target.values.tolist())).encode(errors="surrogateescape"))
    facts |= {
        "task": target.task,
        "task_reason": target.reason,
        "classes": target.classes,
        "target": target_name,
        "digest": whole.hexdigest(),
    }
    return Raw("image", name, images, target.values, names, given, facts, findings)


def _bring_to_shape(pixels: np.ndarray, asked: int | None) -> tuple[np.ndarray, str]:
    """uint8 [N, H, W, C] -> uint8 [N, R, R, C'] and why R."""
    height, width = pixels.shape[1:3]
    sample = pixels[np.linspace(0, len(pixels) - 1, min(len(pixels), SAMPLE)).astype(int)]
    grey = [sample.shape[3] == 1 or bool(np.ptp(image.astype(np.int16), axis=2).max() == 0) for image in sample]
    shape = choose_shape(Sample(((width, height),), tuple(grey)), asked)
    return fit_pixels(pixels, shape), shape.reason


def fit_pixels(pixels: np.ndarray, shape: decode.Shape) -> np.ndarray:
    """uint8 [N, H, W, C] -> uint8 [N, R, R, C'], as files of these pixels would be."""
    wanted = (shape.resolution, shape.resolution, shape.channels)
    if pixels.shape[1:] == wanted:
        return pixels
    fitted = np.empty((len(pixels), *wanted), dtype=np.uint8)
    for i, image in enumerate(pixels):
        fitted[i] = decode.fit(Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image), shape)
    return fitted


def fit(raw: Raw, rows: np.ndarray) -> dict[str, Any]:
    """Resolution, channels, classes and the pixels' mean and spread over the given rows."""
    images = raw.inputs
    channels = images.shape[3]
    total, squares = np.zeros(channels), np.zeros(channels)
    step = max(1, _CHUNK_BYTES // int(np.prod(images.shape[1:])))
    for start in range(0, len(rows), step):
        chunk = images[rows[start : start + step]]
        total += chunk.sum(axis=(0, 1, 2), dtype=np.uint64)
        squares += np.square(chunk, dtype=np.uint16).sum(axis=(0, 1, 2), dtype=np.uint64)
    count = max(1, len(rows) * images.shape[1] * images.shape[2])
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 1.0))  # at least one grey level
    return {
        "modality": "image",
        "task": raw.facts["task"],
        "target": raw.facts["target"],
        "classes": list(raw.facts["classes"]),
        "resolution": int(images.shape[1]),
        "channels": int(channels),
        "pixel_mean": mean.tolist(),
        "pixel_std": std.tolist(),
        "array_scale": raw.facts["array_scale"],
        "deep_range": raw.facts.get("deep_range"),
    }


def encode(images: Any, preprocess: dict[str, Any]) -> tuple[np.ndarray, ...]:
    """uint8 [N, R, R, C] -> (uint8 [N, C, R, R],).

    Raises:
        InputError: the shape is not that of the preprocessing.
    """
    side, channels = preprocess["resolution"], preprocess["channels"]
    if images.shape[1:] != (side, side, channels):
        raise InputError(f"the images have the shape {images.shape[1:]}; expected {(side, side, channels)}")
    pixels = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return (pixels if pixels.flags.writeable else pixels.copy(),)


def read_inputs(source: Source, preprocess: dict[str, Any]) -> tuple[list[str], np.ndarray]:
    """Names and uint8 images [N, R, R, C] of a file, a folder (with its subfolders) or an array.

    Files that cannot be read are left out, and an `InputWarning` names them.

    Raises:
        InputError: nothing is there, or no file can be read.
    """
    deep = preprocess.get("deep_range")
    shape = decode.Shape(preprocess["resolution"], preprocess["channels"], deep and (float(deep[0]), float(deep[1])))
    path = path_of(source)
    if path is None:
        if bundled_of(source) == "digits":
            source = digits()[0]
        arrays = arrays_of(source)
        if arrays is None or is_frame(arrays[0]) or not image_layout(arrays[0]):
            raise InputError(f"'{source}' is no image, folder of images or array of images; give one of these")
        pixels, _ = to_pixels(arrays[0], preprocess.get("array_scale"))
        return list(map(str, range(len(pixels)))), fit_pixels(pixels, shape)
    if path.is_dir():
        names = [name for name, _, _ in look(path).images]
        paths = [str(path / name) for name in names]
    else:
        names, paths = [path.name], [str(path)] * is_image(path.name)
    if not paths:
        raise InputError(
            f"{path} holds no image with a suffix that autorecipe reads ({' '.join(SUFFIXES)}); give an image or a "
            "folder of them"
        )
    broken: dict[int, str] = {}
    chunks = decode.decode_all([None] * len(paths), paths, shape, broken, lambda sentence, done: None)
    images, file = hold(chunks, len(paths), (shape.channels, shape.resolution, shape.resolution))
    if file is not None:
        file.unlink()  # its pages stay as long as they are mapped
    told = {names[i]: why for i, why in sorted(broken.items())}
    if len(told) == len(names):
        raise InputError(f"none of the images can be read ({len(names):,}): {by_reason(told)}; give others")
    if told:
        shown = "; ".join(f"{name}: {why}" for name, why in list(told.items())[:_MOST_NAMED])
        more = f"; and {len(told) - _MOST_NAMED:,} more" if len(told) > _MOST_NAMED else ""
        text = f"images that cannot be read and have no prediction: {len(told):,} of {len(names):,} ({shown}{more})"
        warnings.warn(text, InputWarning, stacklevel=2)
    return [name for name in names if name not in told], images.transpose(0, 2, 3, 1)


def baseline_features(tensors: "tuple[torch.Tensor, ...]") -> np.ndarray:
    """Pixels 0 to 1 as float32 [N, D]; large images are averaged down to at most 3,072 values."""
    import torch

    pixels = tensors[0]
    side = pixels.shape[-1]
    smaller = side
    while pixels.shape[1] * smaller**2 > _MOST_FEATURES:
        smaller -= 1
    parts = []
    for chunk in torch.split(pixels, max(1, _CHUNK_BYTES // max(1, pixels[:1].numel()))):
        part = chunk.float() / 255
        if smaller < side:
            part = torch.nn.functional.adaptive_avg_pool2d(part, smaller)
        parts.append(part.flatten(1))
    features: np.ndarray = torch.cat(parts).numpy()
    return features


def preview(raw: Raw, path: Path) -> None:
    """Draw up to 16 images, evenly over the classes, into a PNG."""
    order = np.argsort(raw.targets, kind="stable")
    chosen = raw.inputs[order[np.linspace(0, len(order) - 1, min(16, len(order))).astype(int)]]
    side = chosen.shape[1]
    zoom = max(1, -(-64 // side))
    columns = min(4, len(chosen))
    cell = side * zoom + 4
    grid = Image.new("RGB", (columns * cell + 4, -(-len(chosen) // columns) * cell + 4), "white")
    for i, pixels in enumerate(chosen):
        image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        image = image.resize((side * zoom, side * zoom), Image.Resampling.NEAREST)
        grid.paste(image, (4 + i % columns * cell, 4 + i // columns * cell))
    grid.save(path, format="PNG")


def picture(dataset: Dataset, row: int) -> Image.Image:
    """The image in a row as the network gets it, made smaller if a side has more than 64 pixels."""
    pixels = dataset.inputs[0][row].numpy()
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    image.thumbnail((_SHOWN, _SHOWN))
    return image


def show(dataset: Dataset, i: int) -> Image.Image:
    """Example number i of test: its picture."""
    return picture(dataset, int(dataset.splits.test[i]))


IMAGE = Modality("image", detect, read, fit, encode, read_inputs, baseline_features, preview, show, picture)
