"""CSV and TSV: compression, encoding, separator, names and lines, all looked at before pandas reads.

pandas mends silently what a user should know: it renames a column name that is there twice, fills a
short row with gaps, and takes the first field of a longer row for a row's name.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from autorecipe.errors import InputError, listed
from autorecipe.results import Finding

if TYPE_CHECKING:
    import pandas as pd

DELIMITERS = ",;\t|"
DELIMITER_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
READ_WITH = "read_with"
"""Attribute of a DataFrame: the arguments by which `pandas.read_csv` reads its file alike."""
_CHUNK = 1 << 20
_SAMPLE = 1 << 20
"""Characters that separator and names are told from."""
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHER_FILES = (
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook; save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook; save the sheet as CSV"),
    (b"\x1f\x8b", "compressed by gzip; let its name end in .gz"),
    (b"BZh", "compressed by bzip2; let its name end in .bz2"),
    (b"PAR1", "a Parquet file; let its name end in .parquet"),
    (b"%PDF", "a PDF; save the table in it as CSV"),
    (b"\x89PNG", "a PNG image; give a table"),
    (b"\xff\xd8\xff", "a JPEG image; give a table"),
    (b"<!doctype html", "a web page; download the file itself"),
    (b"<html", "a web page; download the file itself"),
)
"""How other files begin, and what to do about them."""
_WANTED = "Give a CSV or TSV file in UTF-8"
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")
_DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class Layout:
    """What the beginning of a file says about the rest."""

    encoding: str
    delimiter: str
    names: tuple[str, ...]
    """Column names; a column without one has its position's."""
    extra: str = ""
    """Rows have one field more than there are names: `first` (names of rows) or `last` (always empty)."""

    @property
    def width(self) -> int:
        """Fields of each row."""
        return len(self.names) + bool(self.extra)


def read_delimited(path: Path) -> tuple[pd.DataFrame, list[Finding]]:
    """A CSV or TSV file as a DataFrame, and what the user should know about the file.

    Raises:
        InputError: it is empty, damaged, no text, ragged, or names a column twice.
    """
    try:
        encoding, findings = _encoding(path)
        layout = _layout(path, encoding, findings)
        return _parse(path, layout), findings
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is damaged: it begins like {encoding} text, but {error.reason}") from error
    except _DAMAGED as error:
        raise InputError(
            f"{path} cannot be read: {str(error).strip() or type(error).__name__}; give a whole file"
        ) from error


@contextmanager
def _bytes(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, unpacked by what its name ends in."""
    suffix = path.suffix.lower()
    if suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            inside = [name for name in archive.namelist() if not name.endswith("/")]
            if len(inside) != 1:
                raise InputError(f"{path} holds {len(inside)} files; a zipped table must be alone in its archive")
            with archive.open(inside[0]) as file:
                yield file
        return
    openers: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    with openers.get(suffix, open)(path, "rb") as file:
        yield file


def _encoding(path: Path) -> tuple[str, list[Finding]]:
    """UTF-8 unless a byte-order mark, zero bytes or a byte that UTF-8 does not know say otherwise."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, begun, odd = 1, False, ""
    with _bytes(path) as file:
        while not odd:
            chunk = file.read(_CHUNK)
            if not begun and (known := _by_beginning(path, chunk)):
                return known, []
            if b"\0" in chunk:
                raise InputError(f"{path} is no text: it holds zero bytes. {_WANTED}")
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                at = line + error.object.count(b"\n", 0, error.start)
                odd = f"byte 0x{error.object[error.start]:02x} in line {at:,}"
            if not chunk:
                break
            line, begun = line + chunk.count(b"\n"), True
    if not odd:
        return "utf-8-sig", []
    high = set[int]()
    with _bytes(path) as file:
        while chunk := file.read(_CHUNK):
            if _CONTROL.search(chunk):
                raise InputError(f"{path} is no text: it is not UTF-8 ({odd}) and holds control characters. {_WANTED}")
            high.update(chunk)
    encoding = legacy_encoding(high)
    with _bytes(path) as file, io.TextIOWrapper(file, encoding=encoding) as text:
        return encoding, [not_utf8(path.name, odd, encoding, text)]


def legacy_encoding(data: Iterable[int]) -> str:
    """The encoding of text that is not UTF-8, by the bytes that occur in it."""
    # Five bytes mean nothing in Windows-1252; Latin-1 knows every byte.
    return "latin-1" if {0x81, 0x8D, 0x8F, 0x90, 0x9D} & set(data) else "cp1252"


def not_utf8(name: str, odd: str, encoding: str, lines: Iterable[str]) -> Finding:
    """The finding on a file that is not UTF-8, with its first word that is not ASCII as it is read.

    Args:
        name: of the file.
        odd: the byte that shows it, and its line.
        encoding: what it is read as.
        lines: of the file, so read.
    """
    words = (match.group()[:20] for line in lines if (match := re.search(r"\w*[^\x00-\x7f]+\w*", line)))
    shown = {"latin-1": "Latin-1", "cp1252": "Windows-1252"}[encoding]
    return Finding(
        "encoding",
        f"{name} is not UTF-8 ({odd})",
        f"it is read as {shown}, with words such as '{next(words, '')}'",
        f"iconv -f ITS-ENCODING -t UTF-8 {name} > utf8-{name}",
        warn=True,
    )


def _by_beginning(path: Path, chunk: bytes) -> str:
    """The encoding that a file's beginning tells; empty if it tells none."""
    for mark, encoding in _BOMS:
        if chunk.startswith(mark):
            return encoding
    for begin, what in _OTHER_FILES:
        if chunk[:64].lstrip().lower().startswith(begin.lower()):
            raise InputError(f"{path} is no CSV or TSV file: it begins like {what}")
    # Latin letters in UTF-16 have a zero in every other byte.
    zeros = [chunk[i::2].count(0) / max(1, len(chunk[i::2])) for i in (0, 1)]
    for i, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if zeros[i] > 0.4 and not zeros[1 - i]:
            return encoding
    return ""


@contextmanager
def _records(path: Path, layout: Layout) -> Iterator[Iterator[tuple[int, list[str]]]]:
    """Each record that is not blank, with the line it begins in."""
    with _long_fields(), _bytes(path) as file, io.TextIOWrapper(file, encoding=layout.encoding, newline="") as text:
        yield _numbered(csv.reader(text, delimiter=layout.delimiter, skipinitialspace=True))


@contextmanager
def _long_fields() -> Iterator[None]:
    """The csv module refuses fields of more than 131,072 characters unless it is told otherwise."""
    limit = csv.field_size_limit(1 << 30)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _numbered(reader: Any) -> Iterator[tuple[int, list[str]]]:
    line = 1
    for record in reader:
        if len(record) > 1 or (record and record[0].strip()):
            yield line, record
        line = reader.line_num + 1


def _sample(path: Path, encoding: str) -> tuple[str, bool]:
    """The file's first characters, and whether they are all of it."""
    with _bytes(path) as file, io.TextIOWrapper(file, encoding=encoding, newline="") as text:
        sample = text.read(_SAMPLE)
        return sample, len(sample) < _SAMPLE


def _layout(path: Path, encoding: str, findings: list[Finding]) -> Layout:
    """Separator and column names.

    Raises:
        InputError: nothing is in the file but blanks or a line of names; a name is there twice.
    """
    sample, whole = _sample(path, encoding)
    if not sample.strip():
        raise InputError(f"{path} is empty; give a file with a line of column names and rows below")
    records = {mark: _first_records(sample, whole, mark) for mark in DELIMITERS}
    delimiter = _choose(records, tab_first=".tsv" in path.name.lower())
    header, *rows = records[delimiter]
    if not rows and whole:
        raise InputError(f"{path} holds a line of column names ({_shown(header)}) and no row; give rows")
    names = tuple(name.strip() or f"Unnamed: {i}" for i, name in enumerate(header))
    numbers = [name for name in header if _NUMBER.fullmatch(name.strip())]
    no_header = 2 * len(numbers) > len(names) and (len(set(names)) < len(names) or any("." in n for n in numbers))
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        places = [str(i + 1) for i, name in enumerate(names) if name == twice[0]]
        hint = "; the first line looks like values: write the columns' names above it" if no_header else ""
        raise InputError(
            f"{path} has the column{'s' * (len(twice) > 1)} {_shown(twice)} more than once ('{twice[0]}' is columns "
            f"{', '.join(places[:5])}); give each column a name of its own{hint}"
        )
    if no_header:
        findings.append(
            Finding(
                "header",
                f"the first line of {path.name} holds values ({_shown(header)})",
                "they were taken for the columns' names, and the row is lost",
                "write the columns' names above it",
                warn=True,
            )
        )
    extra = ""
    if rows and all(len(row) == len(names) + 1 for row in rows):
        extra = "last" if not any(row[-1].strip() for row in rows) else "first"
    return Layout(encoding, delimiter, names, extra)


def _first_records(sample: str, whole: bool, delimiter: str) -> list[list[str]]:
    """Up to 100 records; the last of a longer file may be cut and is left out."""
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter, skipinitialspace=True)
    with _long_fields():
        records = [record for _, record in islice(_numbered(reader), 101)]
    records = records[:100] if whole or len(records) > 100 else records[:-1] or records
    return records or [[""]]


def _choose(records: dict[str, list[list[str]]], tab_first: bool) -> str:
    """The separator that cuts the line of names into most fields and most rows into as many."""

    def rank(mark: str) -> tuple[bool, int, bool]:
        header, *rows = records[mark]
        agree = sum(len(row) - len(header) in (0, 1) for row in rows)
        return len(header) > 1 and 2 * agree >= len(rows), len(header), tab_first and mark == "\t"

    return max(DELIMITERS, key=rank)  # the first of equals: the comma


def _parse(path: Path, layout: Layout) -> pd.DataFrame:
    import pandas as pd

    spare = next(name for i in range(len(layout.names) + 2) if (name := f"rownames{i or ''}") not in layout.names)
    names = list(layout.names)
    names = [spare, *names] if layout.extra == "first" else [*names, spare] if layout.extra == "last" else names
    options: dict[str, Any] = {
        "sep": layout.delimiter,
        "encoding": layout.encoding,
        "header": 0,
        "names": names,
        "index_col": False,
        "skipinitialspace": True,
        "low_memory": False,
    }
    try:
        with _bytes(path) as file, warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame: pd.DataFrame = pd.read_csv(file, **options)
    except InputError:
        raise
    except (pd.errors.ParserError, pd.errors.ParserWarning, ValueError, OverflowError) as error:
        _refuse_ragged(path, layout)
        what = str(error).removeprefix("Error tokenizing data. C error: ").strip()
        raise InputError(f"{path} cannot be read as a table: {what}; correct it there") from error
    if frame.iloc[:, -1].isna().any():  # as a row that is too short would make it
        _refuse_ragged(path, layout)
    frame.attrs[READ_WITH] = options
    return frame.drop(columns=spare) if layout.extra == "last" else frame


def _refuse_ragged(path: Path, layout: Layout) -> None:
    """Name the first row that has more or fewer fields than there are columns."""
    with _records(path, layout) as records:
        next(records)
        for line, record in records:
            if len(record) != layout.width:
                mark = DELIMITER_NAMES[layout.delimiter]
                text = layout.delimiter.join(record)
                raise InputError(
                    f"{path}: line {line:,} has {len(record)} field{'s' * (len(record) != 1)} where the columns are "
                    f"{layout.width}: '{text[:60]}{'...' if len(text) > 60 else ''}'. Correct the line; a {mark} "
                    "inside a field needs quotes around the field, and each opened quote a closing one"
                )


def _shown(names: list[str]) -> str:
    return listed([name[:40] for name in names])
