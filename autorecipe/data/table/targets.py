"""The columns that say what is to be predicted, and in which order rows came about."""

import numpy as np
import pandas as pd

from autorecipe.data.table.cells import as_numbers, as_truth, factorize
from autorecipe.data.table.dates import as_dates, date_parts
from autorecipe.data.table.kinds import column_kind, looks_numeric, number_mark
from autorecipe.data.tasks import join_flags
from autorecipe.errors import InputError, did_you_mean, listed
from autorecipe.results import Finding

USUAL_TARGETS = ("target", "label", "class", "y")


def choose_target(frame: pd.DataFrame, wanted: str | None, where: str, findings: list[Finding]) -> str:
    """The target as `--target` names it: a column, or several with commas between; else one with a usual name.

    Raises:
        InputError: it is no column, or none has a usual name.
    """
    columns = list(frame.columns)
    shown = listed(columns, 12, "")
    if wanted is not None:
        names = target_columns(frame, wanted)
        if not names:
            raise InputError(f"--target {wanted} names no column of {where}; name one of them: {shown}")
        for name in names:
            if name not in columns:
                near = did_you_mean(name, columns)
                raise InputError(
                    f"{where} has no column '{name}': {near if near.startswith('did') else 'columns: ' + shown}"
                )
        return wanted if len(names) > 1 else names[0]
    usual = [name for word in USUAL_TARGETS for name in columns if name.lower() == word]
    if not usual:
        raise InputError(f"which column of {where} is to be predicted? Name it with --target COL; columns: {shown}")
    findings.append(Finding("target", f"column '{usual[0]}' looks like the target", "it is the target", "--target COL"))
    return usual[0]


def target_columns(frame: pd.DataFrame, target: str) -> list[str]:
    """The columns that `--target` names; a column whose name has a comma wins.

    Raises:
        InputError: a column is named twice.
    """
    if target in frame.columns or "," not in target:
        return [target]
    names = [name.strip() for name in target.split(",") if name.strip()]
    if len(set(names)) < len(names):
        raise InputError(f"--target {target} names a column twice; name each once")
    return names


def target_values(series: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """The targets as a plain array [N], and which of them are there: bool [N].

    Raises:
        InputError: they are dates, or none is there.
    """
    name = series.name
    if series.dtype.kind == "M":
        raise InputError(f"the target '{name}' holds dates; predict a number or a class instead (--target COL)")
    values, there = _values(series)
    if not there.any():
        raise InputError(
            f"the target '{name}' is empty in all {len(series):,} rows; there is nothing to learn. "
            "Choose another column with --target"
        )
    return values, there


def _values(series: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    there = series.notna().to_numpy()
    if series.dtype.kind in "iufb" or looks_numeric(series):
        if series.dtype.kind == "b" or (series.dtype.kind not in "iufm" and _all_bool(series[there])):
            return series.astype(object).to_numpy(), there
        mark = "."
        if series.dtype.kind not in "iufm":
            codes, texts = factorize(series)
            mark = number_mark(texts, np.bincount(codes[codes >= 0], minlength=len(texts)))
        numbers = as_numbers(series, "," if mark == "," else ".")
        _check_finite(str(series.name), numbers)
        return numbers, np.isfinite(numbers)
    codes, texts = factorize(series)
    return np.asarray([*texts, ""], dtype=str)[codes], there & (codes >= 0)


def _check_finite(name: str, numbers: np.ndarray) -> None:
    rows = np.flatnonzero(np.abs(numbers) >= 1e30)
    if len(rows):
        raise InputError(
            f"the target '{name}' holds {len(rows):,} infinite or huge values (row {int(rows[0]):,}: "
            f"{numbers[rows[0]]:g}); no error could be measured. Remove those rows, or leave the cells empty"
        )


def _all_bool(series: pd.Series) -> bool:
    return bool(series.map(lambda value: isinstance(value, (bool, np.bool_))).all())


def label_texts(series: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Labels joined by `|`: object [N]; an empty cell is an example without a label, so all are there: bool [N]."""
    codes, texts = factorize(series)
    return np.asarray([*texts, ""], dtype=object)[codes], np.ones(len(series), dtype=bool)


def label_sets(frame: pd.DataFrame, labels: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Names of the labels that each row has, joined by `|`: object [N]; and rows without a gap: bool [N].

    Raises:
        InputError: a column holds something that is no yes or no, or its name has a `|`.
    """
    has = np.zeros((len(frame), len(labels)), dtype=bool)
    there = np.ones(len(frame), dtype=bool)
    for i, name in enumerate(labels):
        codes, texts = factorize(frame[name])
        truth = as_truth(frame[name])
        odd = np.flatnonzero((truth == 0) & (codes >= 0))
        if len(odd):
            raise InputError(
                f"the label '{name}' holds '{texts[codes[odd[0]]]}' in row {int(odd[0]):,}; with several targets each "
                "column must hold 0 or 1, or yes or no"
            )
        has[:, i], there = truth == 2, there & (codes >= 0)
    if not there.any():
        raise InputError(
            f"in all {len(frame):,} rows one of the labels {', '.join(labels[:5])} is empty; choose others: --target"
        )
    return join_flags(has, labels), there


def missing_target(target: str, there: np.ndarray) -> list[Finding]:
    """A finding where rows have no target."""
    if there.all():
        return []
    found = f"{int(np.sum(~there)):,} of {len(there):,} rows have no '{target}'"
    return [Finding("missing_target", found, "they were left out")]


def time_values(series: pd.Series, findings: list[Finding]) -> np.ndarray:
    """When each row came about: float64 [N], NaN where the column does not say.

    Raises:
        InputError: the column holds neither dates nor numbers, or the same in all rows.
    """
    name, kind = str(series.name), column_kind(series)
    if kind.name == "date":
        dates = as_dates(series, kind.format)
        values = date_parts(dates)["elapsed"]
        ends = [str(date).removesuffix("+00:00").removesuffix(" 00:00:00") for date in (dates.min(), dates.max())]
    elif kind.name == "number":
        values = as_numbers(series, "," if kind.decimal == "," else ".")
        ends = [f"{value:.10g}" for value in (np.nanmin(values), np.nanmax(values))] if np.any(values == values) else []
    else:
        example = series.dropna().astype(str).head(1).tolist()
        raise InputError(
            f"--time '{name}' holds neither dates nor numbers, but '{example[0] if example else 'nothing'}'; rows can "
            "be ordered by dates such as 2024-01-31 or by numbers"
        )
    known = values[~np.isnan(values)]
    if not len(known) or known.min() == known.max():
        raise InputError(f"--time '{name}' says the same of all {len(values):,} rows; name a column that orders them")
    other = "; the dates would fit day/month as well as month/day" if kind.ambiguous else ""
    findings.append(
        Finding(
            "time",
            f"the rows go from {ends[0]} to {ends[1]} by '{name}'{other}",
            "train is the earliest, then val, confirm, and test the latest; a decision is scored on rows that are "
            "later than those it trained on",
            warn=kind.ambiguous,
        )
    )
    gaps = len(values) - len(known)
    if gaps:
        findings.append(
            Finding("missing_time", f"{gaps:,} of {len(values):,} rows have no '{name}'", "they were left out")
        )
    return values
