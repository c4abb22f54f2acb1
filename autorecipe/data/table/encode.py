"""A DataFrame -> numbers and codes, by the preprocessing."""

from typing import Any

import numpy as np
import pandas as pd
import torch

from autorecipe.errors import InputError, did_you_mean

DATE_PARTS = ("year", "month", "day", "weekday", "hour")
NOT_A_VALUE = frozenset({"", "?", "-", ".", "na", "n/a", "nan", "null", "none", "missing", "unknown"})
"""Texts that mean "missing" in a column whose other values are numbers."""
_HUGE = 1e150


def encode(frame: pd.DataFrame, preprocess: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    """Encode rows.

    A number is robustly scaled and smoothly clipped to (-3, 3); a missing one is 0.  For columns with
    missing values in training a signal (0 or 1) follows after all numbers.  A category is its
    position in the list of values, from 1; code 0 is missing or unseen.

    Returns:
        float32 numbers [N, F] and int64 codes [N, K]; F or K may be 0.

    Raises:
        InputError: a column is missing, or numbers are expected and there are none.
    """
    numbers: list[np.ndarray] = []
    signals: list[np.ndarray] = []
    codes: list[np.ndarray] = []
    dates: dict[str, dict[str, np.ndarray]] = {}
    for column in preprocess["columns"]:
        name = column["name"]
        if name not in frame.columns:
            raise InputError(
                f"the table has no column '{name}', which the model needs: {did_you_mean(name, frame.columns)}"
            )
        if column["kind"] == "category":
            codes.append(as_codes(frame[name], column["values"]))
            continue
        if column["kind"] == "date":
            if name not in dates:
                dates[name] = as_dates(frame[name])
            values = dates[name][column["part"]]
        else:
            values = as_numbers(frame[name])
        known = np.isfinite(values)
        _check_numbers(frame[name], known, name)
        scaled = np.where(known, (np.where(known, values, 0.0) - column["median"]) * column["scale"], 0.0)
        numbers.append(smooth_clip(scaled).astype(np.float32))
        if column["missing"]:
            signals.append((~known).astype(np.float32))
    return (
        torch.from_numpy(_stack([*numbers, *signals], len(frame), np.float32)),
        torch.from_numpy(_stack(codes, len(frame), np.int64)),
    )


def smooth_clip(values: np.ndarray) -> np.ndarray:
    """z / sqrt(1 + (z / 3)^2): nearly z for small z, never beyond 3 (RealMLP; Holzmueller et al. 2024)."""
    clipped: np.ndarray = values / np.hypot(1.0, values / 3.0)
    return clipped


def as_numbers(series: pd.Series) -> np.ndarray:
    """float64 [N] with NaN for what is missing, infinite or no number."""
    if series.dtype.kind == "m":
        values = series.dt.total_seconds().to_numpy(dtype=np.float64)
    elif series.dtype.kind in "biuf":
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        plain = series.astype(object) if isinstance(series.dtype, pd.CategoricalDtype) else series
        values = pd.to_numeric(plain, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    # Nobody measures 1e150, and its square still fits into a double.
    return np.clip(np.where(np.isfinite(values), values, np.nan), -_HUGE, _HUGE)


def as_dates(series: pd.Series) -> dict[str, np.ndarray]:
    """Parts of dates as float64 [N], NaN where there is no date."""
    if series.dtype.kind != "M":
        series = pd.to_datetime(series.astype(object), errors="coerce", format="ISO8601", utc=True)
    parts = series.dt
    columns = (parts.year, parts.month, parts.day, parts.day_of_week, parts.hour)
    return {
        part: values.to_numpy(dtype=np.float64, na_value=np.nan)
        for part, values in zip(DATE_PARTS, columns, strict=True)
    }


def factorize(series: pd.Series) -> tuple[np.ndarray, list[str]]:
    """int64 codes [N] (-1: missing) and the text of each distinct value.

    Distinct values of the same text (1 and 1.0) get one code.

    Raises:
        InputError: the column holds lists or other objects that are no values.
    """
    try:
        codes, uniques = pd.factorize(series)
    except TypeError as error:
        raise InputError(
            f"column '{series.name}' holds {type(series.dropna().iloc[0]).__name__} objects; "
            "give one number, text or date in each cell"
        ) from error
    texts = [value_text(value) for value in uniques]
    positions = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    if len(positions) < len(texts):
        codes = np.asarray([*(positions[text] for text in texts), -1], dtype=np.int64)[codes]
    return codes.astype(np.int64), list(positions)


def value_text(value: object) -> str:
    """A category's text: the same for 1 and 1.0, since a column with a gap is read as floats."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def as_codes(series: pd.Series, values: list[str]) -> np.ndarray:
    """int64 [N]: position in `values` from 1; 0 for missing or unseen."""
    codes, texts = factorize(series)
    positions = {value: i for i, value in enumerate(values, start=1)}
    lookup: np.ndarray = np.asarray([*(positions.get(text, 0) for text in texts), 0], dtype=np.int64)
    found: np.ndarray = lookup[codes]
    return found


def looks_numeric(series: pd.Series) -> bool:
    """Whether a column of texts or objects holds numbers, `?` and the like aside."""
    if series.dtype.kind in "iufm":
        return True
    if isinstance(series.dtype, pd.CategoricalDtype) or series.dtype.kind in "bMc":
        return False
    _, texts = factorize(series)
    numbers = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").to_numpy(dtype=np.float64)
    others = {text.lower() for text, number in zip(texts, numbers, strict=True) if np.isnan(number)}
    return bool(np.any(~np.isnan(numbers))) and others <= NOT_A_VALUE


def _check_numbers(series: pd.Series, known: np.ndarray, name: str) -> None:
    """Refuse a column of texts where the model needs numbers; single bad cells count as missing."""
    if series.dtype.kind in "biufmM" or known.any() or not len(series):
        return
    texts = [text for text in factorize(series)[1] if text.lower() not in NOT_A_VALUE]
    if texts:
        raise InputError(f"column '{name}' should hold numbers or dates, but holds texts such as '{texts[0]}'")


def _stack(columns: list[np.ndarray], rows: int, dtype: type[np.generic]) -> np.ndarray:
    """[N, number of columns]."""
    return np.stack(columns, axis=1) if columns else np.zeros((rows, 0), dtype=dtype)
