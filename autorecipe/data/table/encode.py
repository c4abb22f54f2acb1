"""A DataFrame -> numbers and codes, by the preprocessing."""

from typing import Any

import numpy as np
import pandas as pd

from autorecipe.data.table.cells import NOT_A_VALUE, as_codes, as_numbers, as_truth, factorize
from autorecipe.data.table.dates import as_dates, date_parts
from autorecipe.data.table.words import text_features
from autorecipe.errors import InputError, did_you_mean, listed

_SCALED = {"name": str, "median": (int, float), "scale": (int, float), "missing": bool}
_KEYS: dict[str, dict[str, Any]] = {
    "number": {**_SCALED, "decimal": str},
    "date": {**_SCALED, "part": str, "format": str},
    "text": {"name": str, "words": list, "weights": list, "axes": list, "scales": list, "missing": bool},
    "category": {"name": str, "values": list, "rare": bool},
    "truth": {"name": str},
}
"""What the entry of a column must have."""


def encode(frame: pd.DataFrame, preprocess: dict[str, Any]) -> tuple[np.ndarray, ...]:
    """Encode rows.

    A number is robustly scaled and smoothly clipped to [-3, 3], where an infinite one lies at the end; a
    missing one is 0.  For columns with missing values in training a signal (0 or 1) follows after all
    numbers.  A category is its position in the list of values, from 1; code 0 is missing, and the last
    code is a rare or unseen value where training had rare ones (else that is 0 too).

    Returns:
        float32 numbers [N, F] and int64 codes [N, K]; F or K may be 0.

    Raises:
        InputError: columns are missing, or numbers are expected and there are none.
    """
    _check_preprocess(preprocess)
    _check_columns(frame, preprocess)
    numbers: list[np.ndarray] = []
    signals: list[np.ndarray] = []
    codes: list[np.ndarray] = []
    dates: dict[str, dict[str, np.ndarray]] = {}
    for column in preprocess["columns"]:
        name, kind = column["name"], column["kind"]
        series = frame[name]
        if kind == "truth":
            codes.append(as_truth(series))
        elif kind == "category":
            codes.append(as_codes(series, column["values"], column["rare"]))
        elif kind == "text":
            values, known = _text_numbers(series, column)
            numbers += list(values.T)
            if column["missing"]:
                signals.append((~known).astype(np.float32))
        else:
            if kind == "date" and name not in dates:
                dates[name] = date_parts(as_dates(series, column["format"]))
            values = dates[name][column["part"]] if kind == "date" else as_numbers(series, column["decimal"])
            known = ~np.isnan(values)
            _check_numbers(series, known, name)
            scaled = np.where(known, (np.where(known, values, 0.0) - column["median"]) * column["scale"], 0.0)
            numbers.append(smooth_clip(scaled).astype(np.float32))
            if column["missing"]:
                signals.append((~known).astype(np.float32))
    return (
        _stack([*numbers, *signals], len(frame), np.float32),
        _stack(codes, len(frame), np.int64),
    )


def smooth_clip(values: np.ndarray) -> np.ndarray:
    """z / sqrt(1 + (z / 3)^2): nearly z for small z, never beyond 3 (RealMLP; Holzmueller et al. 2024)."""
    clipped: np.ndarray = values / np.hypot(1.0, values / 3.0)
    return clipped


def _text_numbers(series: pd.Series, column: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """float32 [N, 4 + A], how each text is written and what it is about, zeros without one; bool [N], whether there."""
    codes, texts = factorize(series)
    medians, scales = np.asarray(column["scales"], dtype=np.float64).T
    features = smooth_clip((text_features(texts, column) - medians) * scales)
    missing = np.zeros((1, len(medians)))
    return np.concatenate([features, missing])[codes].astype(np.float32), codes >= 0


def _check_preprocess(preprocess: dict[str, Any]) -> None:
    """Refuse columns that are not as `fit` writes them: a damaged file, or one of another version."""
    for column in preprocess["columns"]:
        kind = column.get("kind") if isinstance(column, dict) else None
        keys = _KEYS.get(str(kind))
        wrong = [] if keys is None else [key for key, type_ in keys.items() if not isinstance(column.get(key), type_)]
        if keys is None or wrong:
            name = column.get("name") if isinstance(column, dict) else column
            what = f"lacks a good '{wrong[0]}'" if wrong else f"is of the kind '{kind}'"
            raise InputError(f"preprocess.json is damaged, or of another version: its column '{name}' {what}")


def _check_columns(frame: pd.DataFrame, preprocess: dict[str, Any]) -> None:
    """Name every column that the model needs and the table has not."""
    needed = dict.fromkeys(column["name"] for column in preprocess["columns"])
    lacking = [name for name in needed if name not in frame.columns]
    if not lacking:
        return
    if len(lacking) == 1:
        near = did_you_mean(lacking[0], [name for name in map(str, frame.columns) if name not in needed])
        raise InputError(f"the table has no column '{lacking[0]}', which the model needs: {near}")
    raise InputError(
        f"the table has none of {len(lacking)} columns that the model needs: {listed(lacking, 8)}; "
        f"it has: {listed(list(map(str, frame.columns)), 8, '')}"
    )


def _check_numbers(series: pd.Series, known: np.ndarray, name: str) -> None:
    """Refuse a column of texts where the model needs numbers; single bad cells count as missing."""
    if series.dtype.kind in "biufmM" or known.any() or not len(series):
        return
    texts = [text for text in factorize(series)[1] if text.lower() not in NOT_A_VALUE]
    if texts:
        raise InputError(
            f"column '{name}' should hold numbers or dates, but holds texts such as '{texts[0]}', and the model could "
            "not tell its rows apart; write them as in the table it was trained on"
        )


def _stack(columns: list[np.ndarray], rows: int, dtype: type[np.generic]) -> np.ndarray:
    """[N, number of columns]."""
    return np.stack(columns, axis=1) if columns else np.zeros((rows, 0), dtype=dtype)
