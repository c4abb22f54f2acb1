"""Read a table: its files, its target, its task."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from autorecipe.data.modality import Progress, Raw, ReadOptions, Source
from autorecipe.data.sources import arrays_of, bundled_of, is_frame, name_of, path_of, target_array
from autorecipe.data.table.encode import as_numbers, factorize, looks_numeric
from autorecipe.data.table.files import is_table, read_file, table_files, with_text_names
from autorecipe.data.tasks import infer_target
from autorecipe.errors import InputError, did_you_mean
from autorecipe.results import Finding

USUAL_TARGETS = ("target", "label", "class", "y")


def read(source: Source, options: ReadOptions, progress: Progress) -> Raw:
    """Read a table, choose its target and task.

    Raises:
        InputError: no target, an unknown column, a file that cannot be read.
    """
    progress("reading the table", 0.0)
    findings: list[Finding] = []
    name, frame, target, given, names = _open(source, options, findings)
    for column in options.keep:
        if column not in frame.columns:
            raise InputError(f"--keep names no column: '{column}': {did_you_mean(column, frame.columns)}")
    values, known = _label_texts(frame[target]) if options.task == "multilabel" else _target_values(frame[target])
    if not known.all():
        missing = int(np.sum(~known))
        findings.append(
            Finding("missing_target", f"{missing:,} of {len(known):,} rows have no '{target}'", "they were left out")
        )
        frame, values, given = frame[known].reset_index(drop=True), values[known], given[known]
        names = [name for name, there in zip(names, known, strict=True) if there]
    listed = isinstance(frame[target].dtype, pd.CategoricalDtype)
    task = infer_target(values, options.task, target, f"'{target}' is a column of categories" if listed else "")
    inputs = frame.drop(columns=[target])
    if not len(inputs.columns):
        raise InputError(f"'{name}' has no column beside the target '{target}'")
    findings += _missing_values(inputs)
    digest = table_digest(inputs, task.values)
    facts = {
        "task": task.task,
        "task_reason": task.reason,
        "classes": task.classes,
        "target": target,
        "keep": options.keep,
        "digest": digest,
    }
    progress("reading the table", 1.0)
    return Raw("table", name, inputs, task.values, names, given, facts, tuple(findings))


def read_inputs(source: Source, preprocess: dict[str, Any]) -> tuple[list[str], pd.DataFrame]:
    """Row names and DataFrame of something to predict: a file, a bundled name, a DataFrame or an array.

    Raises:
        InputError: not a table, or an array with another number of columns.
    """
    bundled = bundled_of(source)
    path = path_of(source)
    if bundled is not None:
        frame, _ = _bundled(bundled)
    elif path is not None:
        if path.is_dir() or not is_table(path):
            raise InputError(f"{path} is no CSV, TSV or Parquet file")
        frame = read_file(path)
    else:
        arrays = arrays_of(source)
        if arrays is None or not (is_frame(arrays[0]) or arrays[0].ndim == 2):
            raise InputError(f"'{source}' is no table: give a file, a DataFrame or an array of shape [N, F]")
        columns = list(preprocess["inputs"])
        X = arrays[0]
        if not is_frame(X):
            if X.shape[1] != len(columns):
                raise InputError(
                    f"the array has {X.shape[1]} columns, but the model was trained on {len(columns)}: "
                    f"{', '.join(columns[:8])}{', ...' if len(columns) > 8 else ''}"
                )
            X = _frame_of_array(X, columns)
        frame = with_text_names(X, "the DataFrame")
    return list(map(str, range(len(frame)))), frame


def table_digest(frame: pd.DataFrame, targets: np.ndarray) -> str:
    """SHA-256 of a table's column names and values: the same from CSV, Parquet or a DataFrame."""
    digest = hashlib.sha256()
    for name in frame.columns:
        digest.update(f"\0{name}\0".encode(errors="surrogateescape"))
        series = frame[name]
        if series.dtype.kind in "biuf":
            digest.update(as_numbers(series).tobytes())
        else:
            codes, texts = factorize(series)
            digest.update(codes.astype(np.int64).tobytes() + "\0".join(texts).encode(errors="surrogateescape"))
    texts = targets.tolist()
    digest.update("\0".join(map(str, texts)).encode(errors="surrogateescape"))
    return digest.hexdigest()


def _open(
    source: Source, options: ReadOptions, findings: list[Finding]
) -> tuple[str, pd.DataFrame, str, np.ndarray, list[str]]:
    """Name, whole frame, target column, splits and row names of a source."""
    bundled = bundled_of(source)
    path = path_of(source)
    if bundled is not None:
        frame, target = _bundled(bundled)
        target = _choose_target(frame, options.target or target, bundled, findings)
        return bundled, frame, target, *_one_split(frame)
    if path is not None:
        files = table_files(path)
        if len(files) == 1:
            frame = read_file(files[0][0])
            target = _choose_target(frame, options.target, files[0][0].name, findings)
            return name_of(path), frame, target, *_one_split(frame)
        return name_of(path), *_read_splits(path, files, options.target, findings)
    arrays = arrays_of(source)
    assert arrays is not None
    X, y = arrays
    frame = with_text_names(X, "the DataFrame") if is_frame(X) else _frame_of_array(X)
    if y is None:
        if not is_frame(X):
            raise InputError(f"a table of shape {X.shape} came without targets; give (X, y)")
        target = _choose_target(frame, options.target, "the data", findings)
        return "data", frame, target, *_one_split(frame)
    target = options.target or str(getattr(y, "name", None) or "target")
    if target in frame.columns and options.target is None:
        target = next(name for i in range(len(frame.columns) + 1) if (name := f"{target}_{i}") not in frame.columns)
    if target in frame.columns:
        raise InputError(f"y was given, and X has a column '{target}' too; remove it from X or leave y out")
    series = pd.Series(target_array(y), name=target)
    return "data", pd.concat([frame, series], axis=1), target, *_one_split(frame)


def _one_split(frame: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    return np.full(len(frame), "", dtype="<U5"), list(map(str, range(len(frame))))


def _read_splits(
    path: Path, files: list[tuple[Path, str]], wanted: str | None, findings: list[Finding]
) -> tuple[pd.DataFrame, str, np.ndarray, list[str]]:
    """Put `train.*`, `val.*` and `test.*` under one another."""
    train = read_file(files[0][0])
    target = _choose_target(train, wanted, files[0][0].name, findings)
    frames, given = [train], ["train"] * len(train)
    names = [f"{files[0][0].name}:{row}" for row in range(len(train))]
    for file, split in files[1:]:
        frame = read_file(file)
        if target not in frame.columns:
            findings.append(
                Finding(
                    "unlabelled_file",
                    f"{file.name} has no column '{target}'",
                    "it was left out; a test split is set aside from the training file"
                    if split == "test"
                    else "it was left out",
                )
            )
            continue
        lacking = [name for name in train.columns if name not in frame.columns]
        if lacking:
            raise InputError(
                f"{file} lacks the column '{lacking[0]}', which {files[0][0].name} has: "
                f"{did_you_mean(lacking[0], frame.columns)}"
            )
        frames.append(frame[list(train.columns)])
        given += [split] * len(frame)
        names += [f"{file.name}:{row}" for row in range(len(frame))]
    whole = pd.concat(frames, ignore_index=True) if len(frames) > 1 else train
    return whole, target, np.asarray(given, dtype="<U5"), names


def _choose_target(frame: pd.DataFrame, wanted: str | None, where: str, findings: list[Finding]) -> str:
    columns = list(frame.columns)
    shown = ", ".join(columns[:12]) + (", ..." if len(columns) > 12 else "")
    if wanted is not None:
        if wanted not in columns:
            near = did_you_mean(wanted, columns)
            raise InputError(
                f"{where} has no column '{wanted}': {near if near.startswith('did') else 'columns: ' + shown}"
            )
        return wanted
    usual = [name for word in USUAL_TARGETS for name in columns if name.lower() == word]
    if not usual:
        raise InputError(f"which column of {where} is to be predicted? Name it with --target COL; columns: {shown}")
    findings.append(Finding("target", f"column '{usual[0]}' looks like the target", "it is the target", "--target COL"))
    return usual[0]


def _target_values(series: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """The targets as a plain array [N], and which of them are there: bool [N]."""
    if series.dtype.kind == "M":
        raise InputError(f"the target '{series.name}' holds dates; predict a number or a class instead (--target COL)")
    known = series.notna().to_numpy()
    if series.dtype.kind in "iufb" or looks_numeric(series):
        if series.dtype.kind == "b" or (series.dtype.kind not in "iuf" and _all_bool(series[known])):
            return series.astype(object).to_numpy(), known
        numbers = as_numbers(series)
        return numbers, np.isfinite(numbers)
    codes, texts = factorize(series)
    known = known & (codes >= 0)
    return np.asarray([*texts, ""], dtype=str)[codes], known


def _label_texts(series: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Labels joined by `|`, str [N]; an empty cell is an example without a label, so all are there: bool [N]."""
    codes, texts = factorize(series)
    return np.asarray([*texts, ""], dtype=str)[codes], np.ones(len(series), dtype=bool)


def _all_bool(series: pd.Series) -> bool:
    return bool(series.map(lambda value: isinstance(value, (bool, np.bool_))).all())


def _missing_values(inputs: pd.DataFrame) -> list[Finding]:
    counts = inputs.isna().sum()
    counts = counts[counts > 0].sort_values(ascending=False, kind="stable")
    if not len(counts):
        return []
    shown = ", ".join(f"'{name}' {int(count):,}" for name, count in counts.head(5).items())
    more = ", ..." if len(counts) > 5 else ""
    return [
        Finding(
            "missing_values",
            f"{len(counts)} of {len(inputs.columns)} columns miss values in {len(inputs):,} rows: {shown}{more}",
            "a missing number is the median and a signal of its own; a missing category is a code of its own",
        )
    ]


def _frame_of_array(X: np.ndarray, columns: list[str] | None = None) -> pd.DataFrame:
    names = columns or [f"x{i}" for i in range(X.shape[1])]
    frame = pd.DataFrame(X, columns=names)
    return frame.infer_objects() if X.dtype.kind == "O" else frame


def _bundled(name: str) -> tuple[pd.DataFrame, str]:
    """A bundled table with its target as a column: class names, or a number."""
    from sklearn import datasets

    data = getattr(datasets, f"load_{name}")()
    frame = pd.DataFrame(data.data, columns=[str(column) for column in data.feature_names])
    target = "progression" if name == "diabetes" else "class"
    frame[target] = data.target if name == "diabetes" else np.asarray(data.target_names).astype(str)[data.target]
    return frame, target
