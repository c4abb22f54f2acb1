"""What a column holds, told from the training rows: numbers, dates, truth values, texts or categories."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from autorecipe.data.table.cells import NOT_A_VALUE, as_numbers, decimal_votes, factorize, is_truth, text_numbers
from autorecipe.data.table.dates import date_format, whole_number_dates
from autorecipe.data.table.words import looks_like_text
from autorecipe.errors import InputError

NUMBERS_ENOUGH = 0.98
"""Share of the rows that must be numbers in a column of texts; the others then count as missing."""
_ID_NAME = re.compile(
    r"(id|idx|index)s?|row[_. ]?(id|index|name|num|number|nr|no)s?|unnamed: ?\d+|"
    r".*[_. -](id|uuid|guid)|(id|uuid|guid)[_. -].*|uuid|guid",
    re.I,
)
_ID_CAMEL = re.compile(r".*[a-z](Id|ID)")


@dataclass(frozen=True)
class Kind:
    """What a column holds."""

    name: str
    """`number`, `date`, `truth`, `text` or `category`."""
    decimal: str = ""
    """`.` or `,` where numbers are written as text and show it; `?` where 1,234 may be either; else empty."""
    format: str = ""
    """How dates are written; empty for a column of dates."""
    ambiguous: bool = False
    """Whether the dates would fit another format as well."""


def column_kind(series: pd.Series) -> Kind:
    """What a column holds.

    Raises:
        InputError: the column holds lists, complex numbers or other objects that are no values.
    """
    if series.dtype.kind == "b":
        return Kind("truth")
    if series.dtype.kind == "M":
        return Kind("date")
    if series.dtype.kind == "c":
        raise InputError(f"column '{series.name}' holds complex numbers; split them into two columns")
    if series.dtype.kind == "m":
        return Kind("number")
    if series.dtype.kind in "iuf":
        return Kind("date", format="%Y%m%d") if whole_number_dates(as_numbers(series)) else Kind("number")
    codes, texts = factorize(series)
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    values = [i for i, text in enumerate(texts) if text.lower() not in NOT_A_VALUE]
    present, counts = [texts[i] for i in values], counts[values]
    if is_truth(present):
        return Kind("truth")
    if isinstance(series.dtype, pd.CategoricalDtype) or not present:
        return Kind("category")
    decimal = number_mark(present, counts)
    if decimal:
        return Kind("number", decimal=decimal)
    form, ambiguous = date_format(present)
    if form:
        return Kind("date", format=form, ambiguous=ambiguous)
    return Kind("text" if looks_like_text(present, int(counts.sum())) else "category")


def number_mark(texts: list[str], counts: np.ndarray) -> str:
    """The decimal mark of texts that are numbers, `?` where it may be either; empty if they are no numbers.

    Args:
        texts: distinct values, words for a gap left out.
        counts: rows of each [N].
    """
    if 2 * max(decimal_votes(texts[:50])) < min(50, len(texts)):
        return ""
    with_point, with_comma = decimal_votes(texts)
    mark = "," if with_comma > with_point else "." if with_comma < with_point else "?"
    known = ~np.isnan(text_numbers(texts, "," if mark == "," else "."))
    if known.all() or (counts[known].sum() >= NUMBERS_ENOUGH * counts.sum() and known.sum() >= 10):
        return mark
    return ""


def looks_numeric(series: pd.Series) -> bool:
    """Whether a column of texts or objects holds numbers alone, `?` and the like aside."""
    if series.dtype.kind in "iufm":
        return True
    if isinstance(series.dtype, pd.CategoricalDtype) or series.dtype.kind in "bMc":
        return False
    texts = [text for text in factorize(series)[1] if text.lower() not in NOT_A_VALUE]
    return bool(texts) and max(decimal_votes(texts)) == len(texts)


def looks_like_identifier(name: str, values: np.ndarray | None, whole: bool, distinct: int, rows: int) -> bool:
    """Whether a column only tells its rows apart.

    All values differ, none is missing, and: the name says so; or they are texts; or whole numbers
    that count the rows, follow their order, or still all differ in a thousand rows.  Whole numbers
    that merely all differ in a few hundred rows are left: populations and prices do.

    Args:
        name: the column's.
        values: its numbers [N]; None for texts.
        whole: whether the numbers came as whole numbers, not as floats.
        distinct: how many values differ.
        rows: how many rows there are.
    """
    if distinct < rows or rows < 5:
        return False
    named = bool(_ID_NAME.fullmatch(name.strip()) or _ID_CAMEL.fullmatch(name.strip()))
    if values is None:
        return rows >= 50 or named
    if not np.all(values == np.round(values)):
        return False
    if named:
        return True
    if not whole or rows < 50:
        return False
    steps = np.diff(values)
    in_order = bool(np.all(steps > 0) or np.all(steps < 0))
    return in_order or bool(np.ptp(values) <= 2 * rows) or rows >= 1000
