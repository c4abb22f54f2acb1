"""Table files: which ones a path means, and CSV, TSV and Parquet as DataFrames."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import TYPE_CHECKING

from autorecipe.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".pq")
DELIMITERS = ",;\t|"
_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


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
    files = sorted(file for file in path.iterdir() if file.is_file() and is_table(file))
    found = [(file, _SPLITS[stem]) for file in files if (stem := file.name.split(".")[0].lower()) in _SPLITS]
    if not any(split == "train" for _, split in found):
        return [(files[0], "")] if len(files) == 1 else []
    splits = [split for _, split in found]
    for split in splits:
        if splits.count(split) > 1:
            names = ", ".join(file.name for file, other in found if other == split)
            raise InputError(f"{path} has more than one file for {split}: {names}; leave one")
    return sorted(found, key=lambda item: ("train", "val", "test").index(item[1]))


def read_file(path: Path) -> pd.DataFrame:
    """A table file as a DataFrame with text column names.

    Raises:
        InputError: it is empty, damaged, not UTF-8, or has a column name twice.
    """
    import pandas as pd

    try:
        if path.name.lower().endswith((".parquet", ".pq")):
            frame = pd.read_parquet(path)
        else:
            frame = pd.read_csv(
                path, sep=delimiter(path), encoding="utf-8-sig", skipinitialspace=True, low_memory=False
            )
    except UnicodeDecodeError as error:
        raise InputError(_encoding_error(path)) from error
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{path} is empty") from error
    except (pd.errors.ParserError, OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a table: {str(error).strip()}") from error
    return with_text_names(frame, str(path))


def with_text_names(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """The frame with str column names and rows numbered from 0.

    Raises:
        InputError: a column name is there twice.
    """
    names = [str(name) for name in frame.columns]
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise InputError(f"{where} has the column '{twice[0]}' more than once; give each column a name of its own")
    frame = frame.reset_index(drop=True)
    frame.columns = names
    return frame


def delimiter(path: Path) -> str:
    """The delimiter of a text table: a tab for TSV, else what cuts the first lines into most fields."""
    if path.name.lower().endswith((".tsv", ".tsv.gz")):
        return "\t"
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as file:
        lines = [line for _, line in zip(range(5), file, strict=False)]

    def fields(mark: str) -> int:
        try:
            return min((len(row) for row in csv.reader(lines, delimiter=mark) if row), default=1)
        except csv.Error:
            return 1

    return max(DELIMITERS, key=fields)  # the first of equals: the comma


def _encoding_error(path: Path) -> str:
    """Where a file stops being UTF-8, and how to convert it."""
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rb") as file:
        data = file.read()
    try:
        data.decode("utf-8-sig")
        place = "somewhere"
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        place = f"at byte {error.start:,} (line {line:,}): 0x{data[error.start]:02x}"
    encoding = "UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "WINDOWS-1252"
    return (
        f"{path} is not UTF-8 {place}. To convert it, if it is {encoding}: "
        f"iconv -f {encoding} -t UTF-8 {path.name} > utf8-{path.name}"
    )
