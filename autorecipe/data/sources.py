"""What a user may name as data: paths, bundled sets of scikit-learn, arrays from Python."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from autorecipe.data.modality import Source
from autorecipe.errors import InputError, did_you_mean, listed

BUNDLED: dict[str, str] = {
    "digits": "image",
    "iris": "table",
    "wine": "table",
    "breast_cancer": "table",
    "diabetes": "table",
}
"""Data sets that come with scikit-learn, and the modality of each."""


def path_of(source: Source) -> Path | None:
    """The path that the source names, if it exists; an existing path wins over a bundled name."""
    if isinstance(source, (str, os.PathLike)):
        try:
            path = Path(source).expanduser()
            if str(source).strip() and path.exists():
                return path
        except (OSError, RuntimeError, ValueError):  # a name that no file can have; a user who is not there
            return None
    return None


def bundled_of(source: Source) -> str | None:
    """The bundled data set that the source names, if it names one."""
    if isinstance(source, str) and source in BUNDLED and path_of(source) is None:
        return source
    return None


def name_of(path: Path) -> str:
    """A data set's name by its path: the folder's name or the file's without suffixes."""
    path = path.resolve()
    return path.name if path.is_dir() else path.name.split(".")[0] or path.name


def is_frame(value: object) -> bool:
    """Whether the value is a DataFrame; pandas is not imported for the question."""
    return type(value).__module__.split(".")[0] == "pandas" and hasattr(value, "columns")


def is_tensor(value: object) -> bool:
    """Whether the value is a tensor; torch is not imported for the question, since nothing is one without it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def as_array(value: Any) -> np.ndarray:
    """A numpy array of a tensor, Series, list or array."""
    if is_tensor(value):
        value = value.detach().cpu().numpy()
    if hasattr(value, "to_numpy"):
        return np.asarray(value.to_numpy())
    return np.asarray(value)


def arrays_of(source: Source) -> tuple[Any, Any] | None:
    """`(X, y)` of data given from Python; y is None where only X was given.

    X stays a DataFrame if it is one and is an array otherwise.

    Raises:
        InputError: X and y differ in length.
    """
    X, y = source if isinstance(source, tuple) and len(source) == 2 else (source, None)
    if X is None or isinstance(X, (str, bytes, os.PathLike, dict)):
        return None
    if not is_frame(X):
        try:
            X = as_array(X)
        except ValueError:  # a ragged list
            return None
        if X.ndim < 2:
            return None
    if y is None:
        return X, None
    rows = len(y)
    if rows != len(X):
        raise InputError(f"X has {len(X):,} examples but y has {rows:,}; give one target for each example")
    return X, y


def target_array(y: Any) -> np.ndarray:
    """The targets as an array [N].

    Raises:
        InputError: more than one target for each example.
    """
    values = np.asarray(y.to_numpy()) if is_frame(y) else as_array(y)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise InputError(f"y has the shape {values.shape}; autorecipe needs one target for each example: shape [N]")
    return values


def explain(source: Source) -> str:
    """The error for a source that no modality knows: what was found and what would do."""
    wanted = (
        "Give a folder of class folders with images or with labels.csv (or train/ val/ test/ with them), a CSV, TSV "
        f"or Parquet file, a folder with train.csv and test.csv, or one of {', '.join(BUNDLED)}."
    )
    if isinstance(source, (str, os.PathLike)):
        path = path_of(source)
        if path is None:
            name = str(source) if len(str(source)) <= 300 else f"{str(source)[:300]}..."
            return f"there is no file, folder or bundled data set '{name}': {did_you_mean(str(source), BUNDLED)}"
        if path.is_dir():
            entries = sorted(entry.name + "/" * entry.is_dir() for entry in path.iterdir())
            found = listed(entries, quote="") or "nothing"
            return f"the folder {path} holds no data set that autorecipe reads; found {found}. {wanted}"
        if not path.is_file():
            return f"{path} is neither a file nor a folder, but a pipe or a device. {wanted}"
        return f"{path} is no data set that autorecipe reads (suffix '{path.suffix}'). {wanted}"
    shape = getattr(source[0] if isinstance(source, tuple) and source else source, "shape", None)
    found = type(source).__name__ + (f" of shape {tuple(shape)}" if shape is not None else "")
    return (
        f"a {found} is no data set that autorecipe reads. Give (X, y) with X of shape [N, F] for tables, "
        "[N, H, W], [N, H, W, C] or [N, C, H, W] with 1 or 3 channels for images, or a DataFrame and a target."
    )
