"""Read a table: its files, its target, its task."""

import hashlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from autorecipe.data.modality import Progress, Raw, ReadOptions, Source
from autorecipe.data.sources import arrays_of, bundled_of, is_frame, name_of, path_of, target_array
from autorecipe.data.table.cells import as_numbers, factorize
from autorecipe.data.table.delimited import READ_WITH
from autorecipe.data.table.files import is_table, read_file, table_files, with_text_names
from autorecipe.data.table.targets import (
    choose_target,
    label_sets,
    label_texts,
    missing_target,
    target_columns,
    target_values,
    time_values,
)
from autorecipe.data.tasks import Target, infer_target
from autorecipe.errors import InputError, InputWarning, did_you_mean, listed
from autorecipe.results import Finding

FILES = "files"
"""Attribute of a whole table: `READ_WITH` of each file that it is read from, by name."""


def read(source: Source, options: ReadOptions, progress: Progress) -> Raw:
    """Read a table, choose its target and task.

    Raises:
        InputError: no target, an unknown column, a file that cannot be read.
    """
    progress("reading the table", 0.0)
    findings: list[Finding] = []
    name, frame, target, given, names = _open(source, options, findings)
    files = frame.attrs.pop(FILES, {})
    labels = target_columns(frame, target)
    _check_options(frame, labels, options)
    several = len(labels) > 1
    if several and options.task not in ("auto", "multilabel"):
        raise InputError(f"{len(labels)} targets are multilabel, not {options.task}; name one column with --target")
    if several:
        values, there = label_sets(frame, labels)
    else:
        values, there = (label_texts if options.task == "multilabel" else target_values)(frame[target])
    findings += missing_target(target, there)
    times = None if options.time is None else time_values(frame[options.time], findings)
    if times is not None:
        there = there & ~np.isnan(times)
    if not there.all():
        frame, values, given = frame[there].reset_index(drop=True), values[there], given[there]
        times = None if times is None else times[there]
        names = [name for name, kept in zip(names, there, strict=True) if kept]
    if several:
        task = Target("multilabel", f"{len(labels)} columns are the target", values, tuple(labels))
    else:
        categories = isinstance(frame[target].dtype, pd.CategoricalDtype)
        task = infer_target(values, options.task, target, f"'{target}' is a column of categories" if categories else "")
    groups = None
    if options.group is not None:
        groups = np.unique(factorize(frame[options.group])[0], return_inverse=True)[1].reshape(-1)
        findings.append(_grouping(options.group, groups, given, frame[options.group]))
    inputs = frame.drop(columns=labels)
    if not len(inputs.columns):
        raise InputError(f"'{name}' has no column beside the target '{target}'; give columns to predict it from")
    findings += _missing_values(inputs)
    facts = {
        "task": task.task,
        "task_reason": task.reason,
        "classes": task.classes,
        "target": target,
        "keep": options.keep,
        "drop": options.drop,
        "group": options.group or "",
        "time": options.time or "",
        "files": files,
        "target_as_text": not several and frame[target].dtype.kind not in "biufm",
        "digest": table_digest(inputs.drop(columns=list(options.drop)), task.values),
    }
    progress("reading the table", 1.0)
    return Raw("table", name, inputs, task.values, names, given, facts, tuple(findings), groups, times)


def _check_options(frame: pd.DataFrame, labels: list[str], options: ReadOptions) -> None:
    """Refuse options that name no column, the target, or one column for two things."""
    named = {
        "keep": options.keep,
        "drop": options.drop,
        "group": () if options.group is None else (options.group,),
        "time": () if options.time is None else (options.time,),
    }
    for option, columns in named.items():
        for column in columns:
            if column not in frame.columns:
                raise InputError(f"--{option} names no column: '{column}': {did_you_mean(column, frame.columns)}")
            if column in labels:
                raise InputError(f"--{option} '{column}' is the target; name another column, or another --target")
    both = set(options.keep) & set(options.drop)
    if both:
        raise InputError(f"--keep and --drop both name '{min(both)}'; leave one of them out")
    if options.group is not None and options.time is not None:
        raise InputError(
            f"--group {options.group} and --time {options.time}: splits either keep groups together or follow time; "
            "choose what the model will face, new groups or later rows"
        )


def _grouping(column: str, groups: np.ndarray, given: np.ndarray, series: pd.Series) -> Finding:
    """How many groups there are, and which of them the given splits divide."""
    sizes = np.bincount(groups)
    gaps = int(series.isna().sum())
    ranks = f"{len(sizes):,} groups by '{column}', of {sizes.min():,} to {sizes.max():,} rows"
    ranks += f"; {gaps:,} rows without one are a group together" if gaps else ""
    outside = np.unique(groups[(given == "test") | (given == "val")])
    divided = int(np.isin(outside, groups[(given != "test") & (given != "val")]).sum())
    if divided:
        found = f"{ranks}; {divided:,} of them are in train and in a given test or val as well"
        return Finding(
            "groups", found, "the given splits stay; scores flatter the model", "give other files", warn=True
        )
    return Finding("groups", ranks, "no group is on both sides of a split; the column is no input")


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
            raise InputError(f"{path} is no CSV, TSV or Parquet file; give a table with the model's columns")
        frame, found = read_file(path)
        for finding in found:
            warnings.warn(f"{finding.found}; {finding.done}", InputWarning, stacklevel=2)
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
                    f"{listed(columns, 8, '')}"
                )
            X = _frame_of_array(X, columns)
        frame = with_text_names(X, "the DataFrame")
    labels = preprocess["classes"] if preprocess["task"] == "multilabel" else ()
    expected = {*preprocess["inputs"], preprocess["target"], *labels}
    extra = [name for name in frame.columns if name not in expected]
    if extra:
        were = (
            "column was not there in training and is"
            if len(extra) == 1
            else "columns were not there in training and are"
        )
        warnings.warn(f"{len(extra)} {were} ignored: {listed(extra)}", InputWarning, stacklevel=2)
    return list(map(str, range(len(frame)))), frame


def table_digest(frame: pd.DataFrame, targets: np.ndarray) -> str:
    """SHA-256 of a table's column names and values: the same from CSV, Parquet or a DataFrame."""
    digest = hashlib.sha256()
    for name in frame.columns:
        digest.update(f"\0{name}\0".encode(errors="surrogatepass"))
        series = frame[name]
        if series.dtype.kind in "biuf":
            digest.update(as_numbers(series).tobytes())
        else:
            codes, texts = factorize(series)
            digest.update(codes.astype(np.int64).tobytes() + "\0".join(texts).encode(errors="surrogatepass"))
    texts = targets.tolist()
    digest.update("\0".join(map(str, texts)).encode(errors="surrogatepass"))
    return digest.hexdigest()


def _open(
    source: Source, options: ReadOptions, findings: list[Finding]
) -> tuple[str, pd.DataFrame, str, np.ndarray, list[str]]:
    """Name, whole frame, target column, splits and row names of a source."""
    bundled = bundled_of(source)
    path = path_of(source)
    if bundled is not None:
        frame, target = _bundled(bundled)
        target = choose_target(frame, options.target or target, bundled, findings)
        return bundled, frame, target, *_one_split(frame)
    if path is not None:
        files = table_files(path)
        if len(files) == 1:
            frame, found = read_file(files[0][0])
            findings += found
            frame.attrs = {FILES: {files[0][0].name: frame.attrs.get(READ_WITH, {})}}
            target = choose_target(frame, options.target, files[0][0].name, findings)
            return name_of(path), frame, target, *_one_split(frame)
        return name_of(path), *_read_splits(path, files, options.target, findings)
    arrays = arrays_of(source)
    assert arrays is not None
    X, y = arrays
    frame = with_text_names(X, "the DataFrame") if is_frame(X) else _frame_of_array(X)
    if y is None:
        if not is_frame(X):
            raise InputError(f"a table of shape {X.shape} came without targets; give (X, y)")
        target = choose_target(frame, options.target, "the data", findings)
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
    train, found = read_file(files[0][0])
    findings += found
    target = choose_target(train, wanted, files[0][0].name, findings)
    frames, given = [train], ["train"] * len(train)
    read_with = {files[0][0].name: train.attrs.pop(READ_WITH, {})}
    names = [f"{files[0][0].name}:{row}" for row in range(len(train))]
    for file, split in files[1:]:
        frame, found = read_file(file)
        findings += found
        labels = target_columns(train, target)
        if not set(labels) & set(frame.columns):
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
        read_with[file.name] = frame.attrs.pop(READ_WITH, {})
        frames.append(frame[list(train.columns)])
        given += [split] * len(frame)
        names += [f"{file.name}:{row}" for row in range(len(frame))]
    whole = pd.concat(frames, ignore_index=True) if len(frames) > 1 else train
    whole.attrs[FILES] = read_with
    return whole, target, np.asarray(given, dtype="<U5"), names


def _missing_values(inputs: pd.DataFrame) -> list[Finding]:
    counts = inputs.isna().sum()
    counts = counts[counts > 0].sort_values(ascending=False, kind="stable")
    if not len(counts):
        return []
    shown = ", ".join(f"'{name}' {int(n):,} ({n / len(inputs):.1%})" for name, n in counts.head(5).items())
    more = ", ..." if len(counts) > 5 else ""
    return [
        Finding(
            "missing_values",
            f"{len(counts)} of {len(inputs.columns)} columns miss{'es' * (len(counts) == 1)} values, "
            f"in {len(inputs):,} rows: {shown}{more}",
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
