"""Dates and times of day: their format, and what they are expanded into."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from autorecipe.data.table.cells import factorize

ISO = "ISO8601"
_CLOCK = r"(?P<clock>[ T]\d{1,2}:\d{2}(?P<seconds>:\d{2})?(?P<half> ?[AaPp][Mm])?)?"
_SHAPES = tuple(
    (re.compile(shape + _CLOCK, re.ASCII), formats)
    for shape, formats in (
        (r"\d{4}/\d{1,2}/\d{1,2}", ("%Y/%m/%d",)),
        (r"\d{4}-\d{2}", ("%Y-%m",)),
        (r"\d{1,2}/\d{1,2}/\d{4}", ("%m/%d/%Y", "%d/%m/%Y")),
        (r"\d{1,2}/\d{1,2}/\d{2}", ("%m/%d/%y", "%d/%m/%y")),
        (r"\d{1,2}-\d{1,2}-\d{4}", ("%d-%m-%Y", "%m-%d-%Y")),
        (r"\d{1,2}\.\d{1,2}\.\d{4}", ("%d.%m.%Y",)),
        (r"\d{1,2} [A-Za-z]{3,9} \d{4}", ("%d %b %Y", "%d %B %Y")),
        (r"\d{1,2}-[A-Za-z]{3,9}-\d{4}", ("%d-%b-%Y", "%d-%B-%Y")),
        (r"[A-Za-z]{3,9} \d{1,2}, \d{4}", ("%b %d, %Y", "%B %d, %Y")),
    )
)
_ISO = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([ T].*)?", re.ASCII)
_TIME = re.compile(r"\d{1,2}:\d{2}(?P<seconds>:\d{2})?", re.ASCII)
ENOUGH = 0.95
"""Share of a column's values that must be dates."""
CYCLES = {"year": 365.2425, "week": 7.0, "day": 1.0}
"""Days of what comes round again."""


def date_format(texts: Sequence[str]) -> tuple[str, bool]:
    """The format that nearly all texts are dates in, or an empty one; and whether another fits as well."""
    sample = texts[:50]
    if not sample:
        return "", False
    if all(_ISO.fullmatch(text) for text in sample):
        return (ISO, False) if _share(texts, ISO) >= ENOUGH else ("", False)
    times = [_TIME.fullmatch(text) for text in sample]
    if all(times):
        found = "%H:%M:%S" if all(match and match["seconds"] for match in times) else "%H:%M"
        return (found, False) if _share(texts, found) >= ENOUGH else ("", False)
    for shape, formats in _SHAPES:
        matches = [shape.fullmatch(text) for text in sample]
        if all(matches):
            first = matches[0]
            assert first is not None
            shares = {name: _share(texts, name) for kind in formats if (name := kind + _clock_format(first))}
            best = max(shares, key=lambda name: shares[name])  # the first of equals
            other = [share for name, share in shares.items() if name != best]
            return (best, shares[best] in other) if shares[best] >= ENOUGH else ("", False)
    return "", False


def whole_number_dates(values: np.ndarray) -> bool:
    """Whether numbers [N] are all dates written as 20240131."""
    known = np.unique(values[np.isfinite(values)])
    if len(known) < 10 or known[0] < 19000101 or known[-1] > 21001231 or np.any(known != np.round(known)):
        return False
    return _share([str(int(value)) for value in known], "%Y%m%d") == 1.0


def as_dates(series: pd.Series, form: str) -> pd.Series:
    """The column as UTC datetimes, NaT where there is no date."""
    if series.dtype.kind == "M":
        dates: pd.Series = series.dt.tz_localize("UTC") if series.dt.tz is None else series.dt.tz_convert("UTC")
        return dates
    codes, texts = factorize(series)
    uniques = pd.to_datetime(pd.Series([*texts, None], dtype=object), errors="coerce", format=form, utc=True)
    found: pd.Series = uniques.iloc[codes].reset_index(drop=True)
    return found


def date_parts(dates: pd.Series) -> dict[str, np.ndarray]:
    """What dates are expanded into: float64 [N] for each part, NaN where there is no date.

    `elapsed` counts days since 1970, times of day included.  A part that comes round again is also given
    as sine and cosine, so that December lies beside January and 23 h beside 0 h.
    """
    dates = dates.dt.tz_convert(None).dt.as_unit("s")  # nanoseconds end in 2262
    parts = dates.dt
    day = np.where(dates.isna(), np.nan, dates.to_numpy().astype(np.int64) / 86400)
    found = {"elapsed": day}
    plain = {"year": parts.year, "month": parts.month, "day": parts.day, "weekday": parts.day_of_week}
    for name, values in {**plain, "hour": parts.hour}.items():
        found[name] = values.to_numpy(dtype=np.float64, na_value=np.nan)
    positions = {
        "year": parts.day_of_year.to_numpy(dtype=np.float64, na_value=np.nan),
        "week": found["weekday"],
        "day": day - np.floor(day),
    }
    for name, days in CYCLES.items():
        angle = 2 * np.pi * positions[name] / days
        found[f"{name}_sin"], found[f"{name}_cos"] = np.sin(angle), np.cos(angle)
    return found


def _clock_format(match: re.Match[str]) -> str:
    if not match["clock"]:
        return ""
    seconds = ":%S" if match["seconds"] else ""
    half = "" if not match["half"] else " %p" if " " in match["half"] else "%p"
    return f"{match['clock'][0]}%{'I' if half else 'H'}:%M{seconds}{half}"


def _share(texts: Sequence[str], form: str) -> float:
    dates = pd.to_datetime(pd.Series(list(texts), dtype=object), errors="coerce", format=form, utc=True)
    return float(dates.notna().mean())
