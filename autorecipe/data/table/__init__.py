"""Tables: files, DataFrames and arrays.

pandas takes half a second to import, which counts against a run's budget, so the functions here
import their modules when they are called: a run on images never pays for it.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autorecipe.data.modality import Dataset, Modality, Progress, Raw, ReadOptions, Source, Splits
from autorecipe.data.sources import BUNDLED, arrays_of, bundled_of, is_frame, path_of
from autorecipe.data.table.files import table_files
from autorecipe.results import Finding

if TYPE_CHECKING:
    import torch

_SHOWN, _LONGEST = 12, 200
"""Columns of an example that is shown; characters of a value."""


def detect(source: Source) -> str | None:
    """Why this source is a table, or None."""
    bundled = bundled_of(source)
    if bundled is not None:
        return f"'{bundled}' is a bundled table" if BUNDLED[bundled] == "table" else None
    path = path_of(source)
    if path is not None:
        files = table_files(path)
        return f"it is a table: {', '.join(file.name for file, _ in files)}" if files else None
    arrays = arrays_of(source)
    if arrays is None:
        return None
    X = arrays[0]
    if is_frame(X):
        return f"a DataFrame with {len(X.columns)} columns is a table"
    return f"an array of shape {X.shape} is a table" if X.ndim == 2 else None


def read(source: Source, options: ReadOptions, progress: Progress) -> Raw:
    """Read a table and find its target and task; see `autorecipe.data.table.read`."""
    from autorecipe.data.table.read import read as function

    return function(source, options, progress)


def fit(raw: Raw, rows: np.ndarray) -> dict[str, Any]:
    """Choose and scale the columns by the given rows; see `autorecipe.data.table.columns`."""
    from autorecipe.data.table.columns import fit as function

    return function(raw, rows)


def encode(frame: Any, preprocess: dict[str, Any]) -> tuple[np.ndarray, ...]:
    """DataFrame -> (float32 numbers [N, F], int64 codes [N, K]); see `autorecipe.data.table.encode`."""
    from autorecipe.data.table.encode import encode as function

    return function(frame, preprocess)


def read_inputs(source: Source, preprocess: dict[str, Any]) -> tuple[list[str], Any]:
    """Row names and DataFrame of a file, a DataFrame or an array; see `autorecipe.data.table.read`."""
    from autorecipe.data.table.read import read_inputs as function

    return function(source, preprocess)


def baseline_features(tensors: "tuple[torch.Tensor, ...]") -> np.ndarray:
    """Numbers and codes side by side: float32 [N, F + K]."""
    return np.concatenate([tensor.numpy().astype(np.float32) for tensor in tensors], axis=1)


def preview(raw: Raw, path: Path) -> None:
    """A table has no picture; nothing is written."""


def examine(raw: Raw, preprocess: dict[str, Any], splits: Splits) -> list[Finding]:
    """What the columns are and what became of them; see `autorecipe.data.table.examine`."""
    from autorecipe.data.table.examine import examine as function

    return function(raw, preprocess, splits)


def show(dataset: Dataset, i: int) -> dict[str, Any]:
    """Raw values of row number i of test in the first 12 columns that are learned from: numbers, texts or None.

    Dates and whatever else JSON lacks come as text; texts are cut at 200 characters.
    """
    used = dict.fromkeys(column["name"] for column in dataset.preprocess["columns"])
    return {name: _plain(dataset.raw_test[name].iloc[i]) for name in list(used)[:_SHOWN]}


def _plain(value: Any) -> Any:
    import pandas as pd

    if pd.isna(value):
        return None
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


TABLE = Modality("table", detect, read, fit, encode, read_inputs, baseline_features, preview, show, examine=examine)

__all__ = ["TABLE"]
