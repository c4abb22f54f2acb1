"""What each column of a table is, and its scaling: learned from the training rows alone."""

import re
from typing import Any

import numpy as np
import pandas as pd

from autorecipe.data.modality import Raw
from autorecipe.data.table.encode import as_dates, as_numbers, factorize, looks_numeric
from autorecipe.errors import InputError

MOST_CODES = 1000
"""Most values of a category with a code of their own."""
_ID_NAME = re.compile(
    r"(id|idx|index)s?|row[_. ]?(id|index|name|num|number|nr|no)s?|unnamed: ?\d+|"
    r".*[_. -](id|uuid|guid)|(id|uuid|guid)[_. -].*|uuid|guid",
    re.I,
)
_ID_CAMEL = re.compile(r".*[a-z](Id|ID)")
_NORMAL_IQR = 1.3489795
"""Interquartile range of a normal distribution in standard deviations."""


def fit(raw: Raw, rows: np.ndarray) -> dict[str, Any]:
    """Learn the preprocessing from the given rows: plain data, see `encode` for its use.

    Raises:
        InputError: no column is left to learn from.
    """
    frame = raw.inputs.iloc[rows]
    columns: list[dict[str, Any]] = []
    dropped: list[dict[str, str]] = []
    for name in frame.columns:
        found, why = fit_column(frame[name], keep=name in raw.facts["keep"])
        columns += found
        if why:
            dropped.append({"name": name, **why})
    if not columns:
        shown = "; ".join(f"'{column['name']}' {column['found']}" for column in dropped[:5])
        raise InputError(f"no column of '{raw.name}' can be learned from: {shown}. --keep COL keeps an identifier")
    return {
        "modality": "table",
        "task": raw.facts["task"],
        "target": raw.facts["target"],
        "classes": list(raw.facts["classes"]),
        "inputs": list(frame.columns),
        "columns": columns,
        "dropped": dropped,
    }


def fit_column(series: pd.Series, keep: bool) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The features of one column, or why it is dropped.

    Returns:
        entries of `preprocess["columns"]` (a date has one for each part that varies) and, for a
        dropped column, `kind` and `found`; one of the two is empty.
    """
    name = str(series.name)
    kind = column_kind(series)
    codes, texts = factorize(series)
    if len(texts) + bool(np.any(codes < 0)) <= 1:
        what = f"has one value, '{texts[0]}'" if texts else "has no values"
        return [], {"kind": "constant", "found": f"{what}, in all {len(series):,} training rows"}
    if not keep and kind != "date" and looks_like_identifier(series, kind, len(texts)):
        return [], {
            "kind": "identifier",
            "found": f"has {len(texts):,} distinct values in {len(series):,} training rows "
            "and looks like an identifier",
        }
    if kind == "number":
        return [number_column(name, as_numbers(series))], {}
    if kind == "date":
        parts = [
            {**number_column(name, values), "kind": "date", "part": part}
            for part, values in as_dates(series).items()
            if len(np.unique(values[np.isfinite(values)])) > 1
        ]
        # A missing value is one signal, not one a part.
        parts = [{**entry, "missing": entry["missing"] and i == 0} for i, entry in enumerate(parts)]
        return parts, {} if parts else {"kind": "constant", "found": "has no date part that varies"}
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    common = [i for i in np.argsort(-counts, kind="stable")[:MOST_CODES] if counts[i] >= (1 if keep else 2)]
    if not common:
        return [], {"kind": "unrepeated", "found": f"has {len(texts):,} values and none of them twice"}
    return [{"name": name, "kind": "category", "values": sorted(texts[i] for i in common)}], {}


def column_kind(series: pd.Series) -> str:
    """`number`, `date` or `category`.

    Raises:
        InputError: the column holds lists or other objects that are no values.
    """
    if isinstance(series.dtype, pd.CategoricalDtype) or series.dtype.kind == "b":
        return "category"
    if series.dtype.kind in "iufm":
        return "number"
    if series.dtype.kind == "M":
        return "date"
    if series.dtype.kind == "c":
        raise InputError(f"column '{series.name}' holds complex numbers; split them into two columns")
    if looks_numeric(series):
        return "number"
    sample = series.dropna().head(50)
    if len(sample) and sample.astype(str).str.match(r"\d{4}-\d{2}-\d{2}([ T]|$)").all():
        dates = as_dates(series)["year"]
        if np.isfinite(dates).sum() >= 0.95 * series.notna().sum():
            return "date"
    return "category"


def looks_like_identifier(series: pd.Series, kind: str, distinct: int) -> bool:
    """Whether a column only tells its rows apart.

    All values differ, none is missing, and: the name says so; or they are texts; or whole numbers
    that count the rows, follow their order, or still all differ in a thousand rows.  Whole numbers
    that merely all differ in a few hundred rows are left: populations and prices do.
    """
    rows = len(series)
    if distinct < rows or rows < 5:
        return False
    name = str(series.name).strip()
    if kind == "number":
        values = as_numbers(series)
        if not np.all(values == np.round(values)):
            return False
        if _ID_NAME.fullmatch(name) or _ID_CAMEL.fullmatch(name):
            return True
        if series.dtype.kind == "f" or rows < 50:
            return False
        steps = np.diff(values)
        in_order = bool(np.all(steps > 0) or np.all(steps < 0))
        return in_order or bool(np.ptp(values) <= 2 * rows) or rows >= 1000
    return rows >= 50 or bool(_ID_NAME.fullmatch(name) or _ID_CAMEL.fullmatch(name))


def number_column(name: str, values: np.ndarray) -> dict[str, Any]:
    """Median and scale of a numeric column.

    Robust scaling (RealMLP; Holzmueller et al. 2024, section 3): the interquartile range, half the
    range if that is 0, nothing if that is 0 too; here in units of a normal's standard deviation.
    """
    finite = values[np.isfinite(values)]
    low, first, median, third, high = np.quantile(finite, (0, 0.25, 0.5, 0.75, 1)) if len(finite) else np.zeros(5)
    spread = (third - first) / _NORMAL_IQR or (high - low) / 2
    return {
        "name": name,
        "kind": "number",
        "median": float(median),
        "scale": float(1 / spread) if spread > 1e-150 else 0.0,
        "missing": len(finite) < len(values),
    }
