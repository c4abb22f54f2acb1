"""`labels.csv`: which image has which label, read from bytes that may be anything."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autorecipe.data.table.delimited import legacy_encoding, not_utf8
from autorecipe.data.tasks import SEPARATOR
from autorecipe.errors import InputError, did_you_mean, listed
from autorecipe.results import Finding

NAME = "labels.csv"
_MARKS = ",;\t"
_LONGEST = 200
"""Characters of the longest label: more is text, or a quotation mark that is missing."""
_HEADER_BYTES = 1 << 16


@dataclass(frozen=True)
class LabelRows:
    """The rows of a label file; file names as they stand there."""

    files: tuple[str, ...]
    labels: tuple[str, ...]
    lines: tuple[int, ...]
    """Line of each row, from 1."""
    column: str
    """The column that the labels were taken from."""
    findings: tuple[Finding, ...] = ()


def label_file(folder: Path) -> Path | None:
    """The label file of a folder, whatever the case of its name.

    Raises:
        InputError: there are two, or the folder cannot be opened.
    """
    try:
        found = sorted(path for path in folder.iterdir() if path.name.lower() == NAME and path.is_file())
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be opened: {error.strerror}") from error
    if len(found) > 1:
        raise InputError(f"{folder} has {' and '.join(path.name for path in found)}; leave one of them")
    return found[0] if found else None


def names_files(path: Path) -> bool:
    """Whether the first line of a label file has a column of file names."""
    try:
        with open(path, "rb") as file:
            _begin(_text(file.read(_HEADER_BYTES), path)[0], path)
    except (OSError, InputError):
        return False
    return True


def read_rows(path: Path, target: str | None = None) -> LabelRows:
    """Read a label file: a header with `filename` and `label` in any case and order, then a row for each image.

    Args:
        path: commas, semicolons or tabs between the fields; UTF-8, UTF-16 with its mark, or else as tables are read.
        target: another column to take the labels from.

    Raises:
        InputError: it cannot be opened, is no text, lacks a column, or has a row that does not fit.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}") from error
    text, findings = _text(data, path)
    header, rows = _begin(text, path)
    file_column, label_column = _file_column(header), _label_column(header, target, path)
    assert file_column is not None
    rest = [name for i, name in enumerate(header) if i not in (file_column, label_column) and name]
    if rest:
        text = f"{path.name} has further columns: {listed(rest)}"
        findings.append(Finding("other_columns", text, "they were left out"))
    found = []
    for line, fields in rows:
        if len(fields) < len(header) or any(fields[len(header) :]):
            raise InputError(
                f"{path}, line {line}: {len(fields)} fields, but the first line has {len(header)} "
                f"({', '.join(header)}); correct the line, and put a field with a comma in quotation marks"
            )
        if not fields[file_column]:
            raise InputError(f"{path}, line {line} names no file; write the image's name or remove the line")
        longest = max(fields[label_column].split(SEPARATOR), key=len)
        if len(longest) > _LONGEST:
            raise InputError(
                f"{path}, line {line}: a label of {len(longest):,} characters ({longest[:30]}...), more than "
                f"{_LONGEST}; correct the line: is a quotation mark missing?"
            )
        found.append((fields[file_column], fields[label_column], line))
    if not found:
        raise InputError(f"{path} names no image: nothing stands below its first line. Write a line for each image")
    files, labels, lines = zip(*found, strict=True)
    return LabelRows(files, labels, lines, header[label_column], tuple(findings))


def _text(data: bytes, path: Path) -> tuple[str, list[Finding]]:
    """The text of a file's bytes, and a finding where they are not UTF-8."""
    found: list[Finding] = []
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = data.decode("utf-16", errors="replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            encoding = legacy_encoding(data)
            text = data.decode(encoding)
            odd = f"byte 0x{data[error.start]:02x} in line {line:,}"
            found.append(not_utf8(path.name, odd, encoding, text.splitlines()))
    if "\0" in text:
        raise InputError(f"{path} is no text: it holds zero bytes; give a CSV file with the columns filename,label")
    return text, found


def _begin(text: str, path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The names of the columns, and the rows below with their lines."""
    first: list[str] = []
    for mark in _MARKS:
        rows = _rows(text, mark, path)
        try:
            _, header = next(rows, (0, []))
        except InputError:
            continue
        while header and not header[-1]:
            header.pop()
        if _file_column(header) is not None:
            twice = [name for i, name in enumerate(header) if name and name in header[:i]]
            if twice:
                raise InputError(f"{path} has the column '{twice[0]}' more than once; leave one")
            return header, rows
        first = first or header
    shown = ", ".join(name[:30] for name in first[:5]) or "nothing"
    raise InputError(f"{path} has no column 'filename'; its first line is: {shown}. Write there: filename,label")


def _rows(text: str, mark: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line and stripped fields of each row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, skipinitialspace=True, strict=True)
    try:
        for fields in reader:
            stripped = [field.strip() for field in fields]
            if any(stripped):
                yield reader.line_num, stripped
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}; put quotation marks in pairs") from error


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()


def _file_column(header: list[str]) -> int | None:
    return next((i for i, name in enumerate(header) if _plain(name) == "filename"), None)


def _label_column(header: list[str], target: str | None, path: Path) -> int:
    if target is None:
        for i, name in enumerate(header):
            if _plain(name) in ("label", "labels"):
                return i
        names = ", ".join(name for name in header if name)
        raise InputError(f"{path} has no column 'label'; it has: {names}. To take another: --target COLUMN")
    exact = [i for i, name in enumerate(header) if name == target]
    near = [i for i, name in enumerate(header) if _plain(name) == _plain(target)]
    fitting = [i for i in exact + near if i != _file_column(header)]
    if not fitting:
        raise InputError(f"{path} has no column '{target}' of labels: {did_you_mean(target, filter(None, header))}")
    return fitting[0]
