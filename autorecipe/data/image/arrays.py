"""Arrays of images from Python: their layout and their scale."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from autorecipe.errors import InputError


def digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits: float images [1797, 8, 8] of 0 to 16, and the digits as numbers [1797].

    Read from its file where that lies as it always has: importing scikit-learn takes two seconds of a budget.
    """
    found = find_spec("sklearn")
    for folder in (found.submodule_search_locations or ()) if found else ():
        file = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if file.exists():
            rows = np.loadtxt(file, delimiter=",")
            return rows[:, :-1].reshape(-1, 8, 8), rows[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    bundle: Any = load_digits()
    return bundle.images, bundle.target


def image_layout(X: np.ndarray) -> str | None:
    """`N,H,W`, `N,H,W,C` or `N,C,H,W` of an array of images, or None."""
    if X.dtype.kind not in "buif":
        return None
    if X.ndim == 3:
        return "N,H,W"
    if X.ndim == 4 and X.shape[3] in (1, 3):
        return "N,H,W,C"
    if X.ndim == 4 and X.shape[1] in (1, 3):
        return "N,C,H,W"
    return None


def to_pixels(X: np.ndarray, scale: float | None) -> tuple[np.ndarray, float]:
    """Images of any layout and number type -> uint8 [N, H, W, C].

    Args:
        X: whole numbers 0..255, or floats in 0..1 or 0..255.
        scale: values are multiplied by it; None: 255 where the largest value is at most 1, else 1.

    Returns:
        the pixels and the scale, which new images of this kind need too.

    Raises:
        InputError: values that are not numbers, or outside of 0..255.
    """
    layout = image_layout(X)
    assert layout is not None
    if not X.size:
        raise InputError(f"the images have the shape {X.shape}: there is nothing in them")
    if X.dtype.kind == "f" and not np.all(np.isfinite(X)):
        raise InputError(
            f"the images have {int(np.sum(~np.isfinite(X))):,} values that are not numbers (NaN or infinite)"
        )
    low, high, known = float(X.min()), float(X.max()), scale
    if scale is None:
        scale = 255.0 if (X.dtype.kind == "f" and high <= 1) or X.dtype.kind == "b" else 1.0
    if X.dtype != np.uint8 or scale != 1.0:
        if low < 0 or high * scale >= 255.5:
            wanted = "whole numbers 0 to 255, or floats 0 to 1 or 0 to 255"
            if known is not None:
                wanted = f"values from 0 to {255 / known:g}, as those that the model was trained on"
            raise InputError(f"the images have values from {low:g} to {high:g}; give {wanted}")
        X = np.round(X * scale).astype(np.uint8)
    if layout == "N,H,W":
        X = X[:, :, :, None]
    elif layout == "N,C,H,W":
        X = X.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(X), scale
