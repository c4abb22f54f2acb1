"""What becomes of each column of a table, and its scaling: learned from the training rows alone."""

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from autorecipe.data.modality import Raw
from autorecipe.data.table.cells import HUGE, as_numbers, as_truth, factorize, value_text
from autorecipe.data.table.clocks import CLOCK_PARTS, runs_on
from autorecipe.data.table.dates import as_dates, date_parts
from autorecipe.data.table.kinds import Kind, column_kind, looks_like_identifier
from autorecipe.data.table.words import learn_words, text_features
from autorecipe.errors import InputError

MOST_VALUES = 1000
"""Most values of a category with a code of their own; the others share one."""
MOST_TEXTS = 20_000
"""Rows that the words of a text column are learned from, evenly spread over all."""
FEWEST_ROWS = 2
"""A value with fewer training rows shares the code of the rare ones."""
_NORMAL_IQR = 1.3489795
"""Interquartile range of a normal distribution in standard deviations."""


def fit(raw: Raw, rows: np.ndarray) -> dict[str, Any]:
    """Learn the preprocessing from the given rows: plain data, see `encode` for its use.

    Raises:
        InputError: no column is left to learn from.
    """
    times = None if raw.times is None else raw.times[rows]
    columns, dropped = _columns(raw, rows, times)
    if not columns and any(column["kind"] == "clock" for column in dropped):
        columns, dropped = _columns(raw, rows, None)  # there is nothing else
    if not columns:
        shown = "; ".join(f"'{column['name']}' {column['found']}" for column in dropped[:5])
        raise InputError(f"no column of '{raw.name}' can be learned from: {shown}. --keep COL keeps an identifier")
    return {
        "modality": "table",
        "task": raw.facts["task"],
        "target": raw.facts["target"],
        "classes": list(raw.facts["classes"]),
        "inputs": list(raw.inputs.columns),
        "columns": columns,
        "cardinalities": [_cardinality(column) for column in columns if column["kind"] in ("truth", "category")],
        "dropped": dropped,
    }


def _columns(raw: Raw, rows: np.ndarray, times: np.ndarray | None) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """The entries of the columns that are used, and what is dropped, with why."""
    frame = raw.inputs.iloc[rows]
    columns: list[dict[str, Any]] = []
    dropped: list[dict[str, str]] = []
    first_with: dict[str, str] = {}
    asked = dict.fromkeys(raw.facts.get("drop", ()), ("asked", "was left out as asked"))
    if raw.facts.get("group"):
        asked.setdefault(raw.facts["group"], ("group", "says which rows belong together"))
    names = [name for name in frame.columns if name not in asked or name in raw.facts["keep"]]
    kinds = {name: column_kind(frame[name]) for name in names}
    decimal = table_decimal(list(kinds.values()))
    for name in frame.columns:
        if name not in kinds:
            dropped.append({"name": name, "kind": asked[name][0], "found": asked[name][1]})
            continue
        keep = name in raw.facts["keep"]
        found, why, digest = fit_column(frame[name], kinds[name], decimal, keep, times)
        if found and not keep and digest in first_with:
            found, why = [], {"kind": "duplicate", "found": f"says the same as '{first_with[digest]}' in every row"}
        if found:
            first_with.setdefault(digest, name)
        columns += found
        if why:
            dropped.append({"name": name, **why})
    return columns, dropped


def table_decimal(kinds: list[Kind]) -> str:
    """What `1,234` means where a column does not show it: what the other columns of the table show."""
    marks = {kind.decimal for kind in kinds}
    return "," if "," in marks and "." not in marks else "."


def fit_column(
    series: pd.Series, kind: Kind, decimal: str, keep: bool, times: np.ndarray | None = None
) -> tuple[list[dict[str, Any]], dict[str, str], str]:
    """The features of one column, or why it is dropped.

    Args:
        series: the column, training rows alone.
        kind: what it holds.
        decimal: the decimal mark where the column does not show it.
        keep: whether the user wants it.
        times: float [N], when the rows came about, if they are split by it.

    Returns:
        entries of `preprocess["columns"]` (a date has one for each part that varies); for a dropped
        column `kind` and `found`; one of the two is empty.  And a digest that columns share which say
        the same of every row.
    """
    name = str(series.name)
    mark = kind.decimal if kind.decimal in (".", ",") else decimal
    values = as_numbers(series, mark) if kind.name == "number" else None
    codes, texts = factorize(series) if values is None else (pd.factorize(values)[0], [])
    why = _useless(series, kind, values, codes, keep)
    if why:
        return [], why, ""
    if values is not None:
        if not keep and runs_on(values, times):
            what = "only rises or falls with the time: later rows lie where nothing was learned"
            return [], {"kind": "clock", "found": what}, ""
        entry = {"kind": "number", **number_column(name, values), "decimal": mark, "as_text": bool(kind.decimal)}
        return [entry], {}, _digest("number", values)
    if kind.name == "truth":
        return [{"name": name, "kind": "truth"}], {}, _digest("codes", _in_order(as_truth(series)))
    if kind.name == "date":
        dates = date_parts(as_dates(series, kind.format))
        digest = _digest("date", dates["elapsed"])
        if not keep and runs_on(dates["elapsed"], times):
            dates = {part: values for part, values in dates.items() if part not in CLOCK_PARTS}
        return *_date_columns(name, dates, kind), digest
    if kind.name == "text":
        return [_text_column(name, codes, texts)], {}, _digest("text" + "\0".join(texts), codes)
    counts = np.bincount(codes[codes >= 0])
    enough = 1 if keep else FEWEST_ROWS
    common = [i for i in np.argsort(-counts, kind="stable")[:MOST_VALUES].tolist() if counts[i] >= enough]
    if not common:
        return [], {"kind": "unrepeated", "found": f"has {len(texts):,} values and none of them twice"}, ""
    entry = {
        "name": name,
        "kind": "category",
        "values": sorted(texts[i] for i in common),
        "rare": len(common) < len(texts),
    }
    return [entry], {}, _digest("codes", _in_order(codes))


def _useless(series: pd.Series, kind: Kind, values: np.ndarray | None, codes: np.ndarray, keep: bool) -> dict[str, str]:
    """Why nothing can be learned from a column: `kind` and `found`; empty if something can."""
    rows, counts = len(series), np.bincount(codes + 1)  # of the missing ones first
    top, distinct = int(counts.argmax()), len(counts) - 1
    shown = "no value"
    if top:
        shown = f"one value, '{value_text(series.iloc[int(np.flatnonzero(codes == top - 1)[0])])}',"
    others = rows - int(counts[top])
    if not others:
        return {"kind": "constant", "found": f"has {shown} in all {rows:,} training rows"}
    if keep:
        return {}
    if others <= max(1, min(10, rows // 1000)):
        return {"kind": "near_constant", "found": f"has {shown} in all but {others} of {rows:,} training rows"}
    whole = series.dtype.kind != "f"
    if kind.name in ("number", "category") and looks_like_identifier(str(series.name), values, whole, distinct, rows):
        what = f"has {distinct:,} distinct values in {rows:,} training rows and looks like an identifier"
        return {"kind": "identifier", "found": what}
    return {}


def number_column(name: str, values: np.ndarray) -> dict[str, Any]:
    """Median and scale of a numeric column, and whether it has gaps."""
    median, scale = _scale(values)
    return {"name": name, "median": median, "scale": scale, "missing": bool(np.isnan(values).any())}


def _scale(values: np.ndarray) -> tuple[float, float]:
    """Median and scale of numbers [N] with gaps.

    Robust scaling (RealMLP; Holzmueller et al. 2024, section 3): the interquartile range, half the
    range if that is 0, nothing if that is 0 too; here in units of a normal's standard deviation.
    """
    finite = values[np.abs(values) < HUGE]
    if not len(finite):
        return 0.0, 1.0
    low, first, median, third, high = np.quantile(finite, (0, 0.25, 0.5, 0.75, 1))
    spread = (third - first) / _NORMAL_IQR or (high - low) / 2
    return float(median), float(1 / spread) if spread > 1 / HUGE else 1.0 if len(finite) < len(values) else 0.0


def _text_column(name: str, codes: np.ndarray, texts: list[str]) -> dict[str, Any]:
    known = codes[codes >= 0]
    some, rows = np.unique(known[:: -(-len(known) // MOST_TEXTS)], return_inverse=True)
    seen = [texts[i] for i in some]
    learned = learn_words(seen)
    features = text_features(seen, learned)[rows.reshape(-1)]
    scales = [list(_scale(column)) for column in features.T]
    return {"name": name, "kind": "text", **learned, "scales": scales, "missing": bool(np.any(codes < 0))}


def _date_columns(name: str, dates: dict[str, np.ndarray], kind: Kind) -> tuple[list[dict[str, Any]], dict[str, str]]:
    parts = [
        {
            "kind": "date",
            **number_column(name, values),
            "part": part,
            "format": kind.format,
            "ambiguous": kind.ambiguous,
        }
        for part, values in dates.items()
        if _varies(values)
    ]
    # A missing value is one signal, not one a part.
    parts = [{**entry, "missing": entry["missing"] and i == 0} for i, entry in enumerate(parts)]
    return parts, {} if parts else {"kind": "constant", "found": "has no date part that varies"}


def _varies(values: np.ndarray) -> bool:
    known = values[~np.isnan(values)]
    return len(known) > 0 and bool(known.max() - known.min() > 1e-9)


def _in_order(codes: np.ndarray) -> np.ndarray:
    """The codes numbered anew as they first appear: equal for columns that differ in their words alone."""
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    found: np.ndarray = np.argsort(np.argsort(first))[inverse].astype(np.int64)
    return found


def _digest(kind: str, values: np.ndarray) -> str:
    return hashlib.sha256(kind.encode(errors="surrogatepass") + np.ascontiguousarray(values).tobytes()).hexdigest()


def _cardinality(column: dict[str, Any]) -> int:
    """Codes of a column: one for a missing value, one for each value, one for rare ones if there are any."""
    return 3 if column["kind"] == "truth" else 1 + len(column["values"]) + column["rare"]
