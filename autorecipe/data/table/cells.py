"""Cells of one column -> codes of its values, numbers, truth values."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from autorecipe.errors import InputError

NOT_A_VALUE = frozenset({"", "?", "-", ".", "na", "n/a", "nan", "null", "none", "missing", "unknown"})
"""Texts that mean "missing" in a column whose other values are numbers, dates or truth values."""
TRUTH = (("false", "true"), ("no", "yes"), ("n", "y"), ("f", "t"), ("off", "on"))
_TRUTH_CODES = {word: code for pair in (*TRUTH, ("0", "1")) for code, word in enumerate(pair, start=1)}
HUGE = 1e150
"""Nobody measures more, and its square still fits into a double."""

_MONEY = r"(?:[$€£¥₹]|USD|EUR|GBP|CHF|JPY)"
_SPACE = " \u00a0\u202f'\u2019"
_BODY = {
    ".": rf"(?:[0-9]{{1,3}}(?:[,{_SPACE}][0-9]{{3}})+|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+",
    ",": rf"(?:[0-9]{{1,3}}(?:[.{_SPACE}][0-9]{{3}})+|[0-9]+)(?:,[0-9]*)?|,[0-9]+",
}
_NUMBER = {
    mark: re.compile(
        rf"(?P<open>\()?(?P<sign>[-+\u2212]?) ?{_MONEY}? ?(?P<sign2>[-+\u2212]?)"
        rf"(?P<body>{body})(?P<power>[eE][-+]?[0-9]{{1,3}})?"
        rf"[ \u00a0\u202f]?(?P<percent>%)?{_MONEY}?(?P<close>\))?"
    )
    for mark, body in _BODY.items()
}
"""A number as people write it, by its decimal mark: 1,234.5  $5  (3)  12 %  1 000  2e-5."""


def factorize(series: pd.Series) -> tuple[np.ndarray, list[str]]:
    """int64 codes [N] (-1: missing) and the text of each distinct value.

    Distinct values of the same text (1 and 1.0) get one code; an empty text is missing.

    Raises:
        InputError: the column holds lists or other objects that are no values.
    """
    if series.dtype == object and pd.api.types.infer_dtype(series).startswith("mixed"):
        # Python has 1 == True, and which of them comes first is chance.
        series = series.map(lambda value: str(value) if isinstance(value, (bool, np.bool_)) else value)
    try:
        codes, uniques = pd.factorize(series)
    except TypeError as error:
        raise InputError(
            f"column '{series.name}' holds {type(series.dropna().iloc[0]).__name__} objects; "
            f"give one number, text or date in each cell, or leave the column out with --drop '{series.name}'"
        ) from error
    texts = [value_text(value) for value in uniques.tolist()]  # an Arrow array is slow to go through
    positions = {text: i for i, text in enumerate(dict.fromkeys(text for text in texts if text))}
    if len(positions) < len(texts):
        codes = np.asarray([*(positions.get(text, -1) for text in texts), -1], dtype=np.int64)[codes]
    return codes.astype(np.int64), list(positions)


def value_text(value: object) -> str:
    """A category's text: the same for 1 and 1.0, since a column with a gap is read as floats."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def as_codes(series: pd.Series, values: Sequence[str], rare: bool) -> np.ndarray:
    """int64 [N]: position in `values` from 1; 0 for missing; the next code, or 0 without `rare`, for any other."""
    codes, texts = factorize(series)
    positions = {value: i for i, value in enumerate(values, start=1)}
    other = len(values) + 1 if rare else 0
    lookup: np.ndarray = np.asarray([*(positions.get(text, other) for text in texts), 0], dtype=np.int64)
    found: np.ndarray = lookup[codes]
    return found


def as_truth(series: pd.Series) -> np.ndarray:
    """int64 [N]: 1 for false, no, n, f, off and 0; 2 for true, yes, y, t, on and 1; 0 for anything else."""
    codes, texts = factorize(series)
    lookup: np.ndarray = np.asarray([*(_TRUTH_CODES.get(text.lower(), 0) for text in texts), 0], dtype=np.int64)
    found: np.ndarray = lookup[codes]
    return found


def is_truth(texts: Sequence[str]) -> bool:
    """Whether two texts are a yes and a no, in any case, words for a gap aside."""
    words = {text.lower() for text in texts} - NOT_A_VALUE
    return any(words == set(pair) for pair in TRUTH)


def as_numbers(series: pd.Series, decimal: str = ".") -> np.ndarray:
    """float64 [N] with NaN for what is missing or no number; infinities and beyond are +-1e150."""
    if series.dtype.kind == "m":
        values = series.dt.total_seconds().to_numpy(dtype=np.float64)
    elif series.dtype.kind in "biuf":
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        codes, texts = factorize(series)
        values = np.append(text_numbers(texts, decimal), np.nan)[codes]
    clipped: np.ndarray = np.clip(values, -HUGE, HUGE)
    return clipped


def text_numbers(texts: Sequence[str], decimal: str = ".") -> np.ndarray:
    """float64 [N] with NaN for a text that is no number.

    Args:
        texts: without blanks around them.
        decimal: `.` or `,`; the other one, a blank or an apostrophe may set thousands apart.
    """
    if decimal == ",":
        return np.asarray([_number(text, ",") for text in texts], dtype=np.float64)
    values: np.ndarray = np.array(
        pd.to_numeric(pd.Series(list(texts), dtype=object), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    )
    for i in np.flatnonzero(np.isnan(values)).tolist():
        values[i] = _number(texts[i], ".")
    return values


def _number(text: str, decimal: str) -> float:
    match = _NUMBER[decimal].fullmatch(text) if len(text) <= 60 else None
    if match is None or bool(match["open"]) != bool(match["close"]) or (match["sign"] and match["sign2"]):
        return float("inf") * (-1 if text[:1] == "-" else 1) if text.lower().lstrip("+-") in _INFINITE else float("nan")
    body = re.sub(f"[{_SPACE}{',' if decimal == '.' else '.'}]", "", match["body"]).replace(",", ".")
    value = float(body + (match["power"] or ""))
    negative = bool(match["open"]) or "-" in (sign := match["sign"] + match["sign2"]) or "\u2212" in sign
    return (-value if negative else value) / (100 if match["percent"] else 1)


_INFINITE = frozenset({"inf", "infinity", "\u221e"})


def decimal_votes(texts: Sequence[str]) -> tuple[int, int]:
    """How many texts are numbers with a decimal point, and how many with a decimal comma."""
    point, comma = (int(np.sum(~np.isnan(text_numbers(texts, mark)))) for mark in ".,")
    return point, comma
