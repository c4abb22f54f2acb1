"""Table files: which ones a path means, and CSV, TSV and Parquet as DataFrames."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from autorecipe.data.modality import SPLIT_NAMES
from autorecipe.data.table.delimited import read_delimited
from autorecipe.errors import InputError, listed
from autorecipe.results import Finding

if TYPE_CHECKING:
    import pandas as pd

PARQUET = (".parquet", ".pq")
SUFFIXES = (*(kind + packed for kind in (".csv", ".tsv") for packed in ("", ".gz", ".bz2", ".xz", ".zip")), *PARQUET)


def is_table(path: Path) -> bool:
    """Whether a file's name says that it is a table."""
    return not path.name.startswith(".") and path.name.lower().endswith(SUFFIXES)


def table_files(path: Path) -> list[tuple[Path, str]]:
    """Files and their splits that a path means; empty if it means no table.

    Raises:
        InputError: two files for one split.
    """
    if path.is_file():
        return [(path, "")] if is_table(path) else []
    if not path.is_dir():
        return []
    files = sorted(file for file in path.iterdir() if file.is_file() and is_table(file))
    found = [(file, SPLIT_NAMES[stem]) for file in files if (stem := file.name.split(".")[0].lower()) in SPLIT_NAMES]
    if not any(split == "train" for _, split in found):
        return [(files[0], "")] if len(files) == 1 else []
    splits = [split for _, split in found]
    for split in splits:
        if splits.count(split) > 1:
            names = ", ".join(file.name for file, other in found if other == split)
            raise InputError(f"{path} has more than one file for {split}: {names}; leave one")
    return sorted(found, key=lambda item: ("train", "val", "test").index(item[1]))


def read_file(path: Path) -> tuple[pd.DataFrame, list[Finding]]:
    """A table file as a DataFrame with text column names, and what the user should know about the file.

    Raises:
        InputError: it is empty, damaged, ragged, or has a column name twice.
    """
    if not path.name.lower().endswith(PARQUET):
        frame, findings = read_delimited(path)
        return with_text_names(frame, str(path)), findings
    import pandas as pd
    import pyarrow as pa

    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError, TypeError, KeyError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read as a Parquet file: {_first_line(error)}; give a whole file") from error
    return with_text_names(frame, str(path)), []


def with_text_names(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """The frame with str column names and rows numbered from 0.

    Raises:
        InputError: it has no rows or columns, or a column name is there twice.
    """
    names = [str(name) for name in frame.columns]
    if not len(frame) or not names:
        raise InputError(f"{where} has {len(names)} columns and {len(frame)} rows; there is nothing to read; give rows")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(
            f"{where} has the column{'s' * (len(twice) > 1)} {listed(twice)} more than once; give each column a name "
            "of its own"
        )
    frame = frame.reset_index(drop=True)
    frame.columns = names
    return frame


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
