"""What a table's columns are and what became of them, as findings for the user."""

import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from autorecipe.data.modality import Raw, Splits
from autorecipe.data.table.cells import HUGE, NOT_A_VALUE, as_numbers, factorize
from autorecipe.data.table.clocks import CLOCK_PARTS
from autorecipe.data.table.leaks import find_leaks
from autorecipe.errors import listed
from autorecipe.results import Finding

MOST_ROWS = 20_000
"""Rows that leaks and nearly constant columns are looked for in."""
NEAR_CONSTANT = 0.99
"""A column with one value in this share of the rows is told."""
_SENTINELS = tuple(float(sign + nines) for nines in ("9" * n for n in range(2, 8)) for sign in ("", "-"))
_DROPPED = {
    "constant": "one value in all training rows",
    "near_constant": "one value in nearly all training rows",
    "identifier": "another value in each row, and look like identifiers",
    "unrepeated": "no value twice",
    "duplicate": "the same as another column in every row",
    "clock": "only ever risen or fallen with the time, so that later rows lie where nothing was learned",
}


def examine(raw: Raw, preprocess: dict[str, Any], splits: Splits) -> list[Finding]:
    """Findings on the columns, from the training rows: dropped, read, grouped, odd, and telling the target."""
    train = raw.inputs.iloc[splits.train]
    columns: dict[str, list[dict[str, Any]]] = {}
    for column in preprocess["columns"]:
        columns.setdefault(column["name"], []).append(column)
    some = np.random.default_rng(0).permutation(splits.train)[:MOST_ROWS]
    sample = raw.inputs.iloc[some][list(columns)]
    decimals = {name: entries[0]["decimal"] for name, entries in columns.items() if entries[0]["kind"] == "number"}
    leaks = find_leaks(sample, decimals, raw.targets[some], preprocess["task"])
    return [
        *dropped_columns(preprocess["dropped"]),
        *_kinds(train, columns),
        *_odd_numbers(train, decimals),
        *_near_constant(sample, decimals),
        *_target(raw, raw.targets[splits.train], preprocess["task"]),
        *(
            Finding(
                "leak",
                f"column '{leak.name}' {leak.found}",
                "it stays; if it is not known when the model predicts, every score here is worthless",
                option("--drop", [leak.name]),
                warn=True,
            )
            for leak in leaks
        ),
    ]


def option(name: str, columns: Sequence[str]) -> str:
    """What to type: the option once for each column, at most three."""
    more = " ..." if len(columns) > 3 else ""
    return " ".join(f"{name} {shlex.quote(column)}" for column in columns[:3]) + more


def dropped_columns(dropped: Sequence[dict[str, str]]) -> list[Finding]:
    """Findings on the columns that the preprocessing left out; more than three of a kind are one finding."""
    found = []
    for kind in dict.fromkeys(column["kind"] for column in dropped):
        alike = [column for column in dropped if column["kind"] == kind]
        if kind == "group":  # told with the groups
            continue
        keep = "" if kind in ("constant", "asked") else "--keep"
        if kind == "asked" or (len(alike) > 3 and kind in _DROPPED):
            what = f"{len(alike):,} columns have {_DROPPED[kind]}" if kind in _DROPPED else "--drop names columns"
            names = [column["name"] for column in alike]
            text = f"{what}: {listed(names, 8)}"
            found.append(Finding(f"{kind}_column", text, "they were dropped", option(keep, names) if keep else ""))
            continue
        found += [
            Finding(
                f"{kind}_column",
                f"column '{column['name']}' {column['found']}",
                "it was dropped",
                option(keep, [column["name"]]) if keep else "",
            )
            for column in alike
        ]
    return found


def _kinds(train: pd.DataFrame, columns: dict[str, list[dict[str, Any]]]) -> list[Finding]:
    """How columns of texts were read: as numbers, dates, free text or many categories."""
    found: list[Finding] = []
    as_text: dict[str, str] = {}
    commas: list[str] = []
    for name, entries in columns.items():
        entry, series = entries[0], train[name]
        if entry["kind"] == "number" and series.dtype.kind not in "biufm":
            texts = factorize(series)[1]
            known = ~np.isnan(as_numbers(pd.Series(texts, dtype=object), entry["decimal"]))
            plain = [text for text, number in zip(texts, known, strict=True) if number]
            as_text[name] = next((text for text in plain if not text.replace(".", "").isdigit()), plain[0])
            if entry["decimal"] == ",":
                commas.append(name)
            odd = [t for t, number in zip(texts, known, strict=True) if not number and t.lower() not in NOT_A_VALUE]
            if odd:
                rows = int(series.astype(str).str.strip().isin(odd).sum())
                shown = listed([text[:20] for text in odd], 3)
                what = f"column '{name}' holds numbers, and in {rows:,} of {len(series):,} training rows {shown}"
                found.append(Finding("odd_cells", what, "these cells count as missing"))
        elif entry["kind"] == "date":
            found.append(_dates(name, entries, series))
        elif entry["kind"] == "text":
            found.append(_text(name, entry, series))
    if as_text:
        shown = _examples(as_text)
        what = f"{len(as_text)} column{'s hold' if len(as_text) > 1 else ' holds'} numbers as text: {shown}"
        comma = f"; the comma is the decimal mark in {', '.join(commas[:5])}" if commas else ""
        found.append(Finding("numbers_as_text", what, f"read as numbers{comma}"))
    return [*found, *_categories(train, columns)]


def _dates(name: str, entries: list[dict[str, Any]], series: pd.Series) -> Finding:
    example = str(series.dropna().iloc[0])[:25]
    parts = ", ".join(entry["part"] for entry in entries)
    ambiguous = entries[0]["ambiguous"]
    other = "; all of them would fit day/month as well as month/day" if ambiguous else ""
    form = entries[0]["format"]
    how = f", read as {form}" if form not in ("", "ISO8601") else ""
    runs_on = all(entry["part"] not in CLOCK_PARTS for entry in entries)
    without = ", without what only rises with the time: later rows lie where nothing was learned" if runs_on else ""
    otherwise = option("--keep" if runs_on else "--drop", [name])
    return Finding(
        "date_column",
        f"column '{name}' holds dates ('{example}'{how}){other}",
        f"expanded into {parts}{without}",
        "write the dates as 2024-01-31" if ambiguous else otherwise,
        warn=ambiguous,
    )


def _text(name: str, entry: dict[str, Any], series: pd.Series) -> Finding:
    texts = [str(text) for text in series.dropna().head(1000)]
    words = float(np.mean([len(text.split()) for text in texts]))
    longest = max(texts[:20], key=len)
    axes = len(entry["scales"]) - 4
    return Finding(
        "text_column",
        f"column '{name}' holds free text, {words:.0f} words on average, such as '{_cut(longest)}'",
        f"it became {axes + 4} numbers: {axes} topics of its {len(entry['words']):,} commonest words, and its length, "
        "capitals and marks; the order of words is lost",
        option("--drop", [name]),
    )


def _cut(text: str, most: int = 50) -> str:
    return text if len(text) <= most else text[:most] + "..."


def _categories(train: pd.DataFrame, columns: dict[str, list[dict[str, Any]]]) -> list[Finding]:
    """Categories with many or rare values."""
    shown, rows = [], 0
    for name, entries in columns.items():
        if entries[0]["kind"] != "category" or not entries[0]["rare"]:
            continue
        codes, texts = factorize(train[name])
        kept = set(entries[0]["values"])
        rare = [i for i, text in enumerate(texts) if text not in kept]
        count = int(np.isin(codes, rare).sum())
        rows += count
        shown.append(f"'{name}' {len(rare):,} of {len(texts):,} in {count:,} row{'s' * (count != 1)}")
    if not shown:
        return []
    more = ", ..." if len(shown) > 5 else ""
    return [
        Finding(
            "rare_values",
            f"{len(shown)} column{'s have' if len(shown) > 1 else ' has'} rare values: {', '.join(shown[:5])}{more}",
            "the rare values of a column share one code, which unseen values get as well",
        )
    ]


def _odd_numbers(train: pd.DataFrame, decimals: dict[str, str]) -> list[Finding]:
    """Infinite values, and values such as -999 far from all others."""
    infinite: dict[str, str] = {}
    codes: dict[str, str] = {}
    for name, decimal in decimals.items():
        values = as_numbers(train[name], decimal)
        count = int(np.sum(np.abs(values) >= HUGE))
        if count:
            infinite[name] = f"{count:,} rows"
        sentinel = _sentinel(values)
        if sentinel:
            codes[name] = sentinel
    found = []
    if infinite:
        what = f"infinite values in {_examples(infinite, quote='')}"
        found.append(Finding("infinite_values", what, "they count as the largest (or smallest) of all values"))
    if codes:
        found.append(
            Finding(
                "missing_value_codes",
                f"values far from all others, which look like signs for a gap: {_examples(codes, quote='')}",
                "they stay numbers, clipped to the end of the scale",
                "leave such cells empty",
                warn=True,
            )
        )
    return found


def _sentinel(values: np.ndarray) -> str:
    """The value such as -999 that is there twice or more, far from all others; empty if there is none."""
    known = values[np.abs(values) < HUGE]
    if len(known) < 20:
        return ""
    for end in (known.min(), known.max()):
        rest = known[known != end] if end in _SENTINELS else known[:0]
        if len(rest) >= 10 and len(known) - len(rest) >= 2:
            low, high = np.quantile(rest, (0.01, 0.99))
            away = min(abs(end - rest.min()), abs(end - rest.max()))
            if away > 2 * (high - low) and not rest.min() <= end <= rest.max():
                return f"{end:g} in {len(known) - len(rest):,} rows, the others {rest.min():.4g} to {rest.max():.4g}"
    return ""


def _near_constant(sample: pd.DataFrame, decimals: dict[str, str]) -> list[Finding]:
    """Columns that stay although nearly all rows have one value."""
    found: dict[str, str] = {}
    for name in sample.columns:
        values = as_numbers(sample[name], decimals[name]) if name in decimals else factorize(sample[name])[0]
        share = int(np.bincount(pd.factorize(values)[0] + 1).max()) / len(values)
        if share >= NEAR_CONSTANT:
            found[name] = f"{share:.2%}"
    if not found:
        return []
    names = list(found)
    what = (
        f"{len(found)} column{'s have' if len(found) > 1 else ' has'} one value in {NEAR_CONSTANT:.0%} of the rows or"
    )
    return [
        Finding(
            "near_constant_columns",
            f"{what} more: {_examples(found, quote='')}",
            "the rare rows may matter: they stay" if len(found) > 1 else "the rare rows may matter: it stays",
            option("--drop", names),
        )
    ]


def _target(raw: Raw, targets: np.ndarray, task: str) -> list[Finding]:
    """Targets that look like gaps, or like the number of the row."""
    if task != "regression" or len(targets) < 20:
        return []
    name = raw.facts["target"]
    sentinel = _sentinel(targets)
    if sentinel:
        what = f"the target '{name}' is {sentinel}"
        done = "they are learned like any other value, and rule the error"
        return [Finding("suspicious_target", what, done, "remove those rows, or leave the cells empty", warn=True)]
    steps = np.diff(raw.targets)
    if np.all(steps == steps[0]) and steps[0] != 0:
        what = f"the target '{name}' rises by {steps[0]:g} from each row to the next, like a row's number"
        return [Finding("suspicious_target", what, "it stays the target", "--target COL", warn=True)]
    return []


def _examples(found: dict[str, str], quote: str = "'") -> str:
    shown = [f"'{name}' ({quote}{example[:60]}{quote})" for name, example in list(found.items())[:5]]
    return ", ".join(shown) + (", ..." if len(found) > 5 else "")
