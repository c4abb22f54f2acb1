"""From what the user named to tensors, splits and facts."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from autorecipe.data import inspect
from autorecipe.data.image import IMAGE
from autorecipe.data.items import Asked
from autorecipe.data.metrics import check_targets, choose_metric, resolve_metric
from autorecipe.data.modality import Dataset, Modality, Progress, Raw, ReadOptions, Source, Splits
from autorecipe.data.python_inputs import from_python
from autorecipe.data.sources import as_array, explain, is_frame
from autorecipe.data.splits import make_splits
from autorecipe.data.table import TABLE
from autorecipe.data.targets import check_range, choose_scale, parse_range, to_scale
from autorecipe.data.tasks import class_indices, label_matrix, label_strata, labels_of_flags, split_labels
from autorecipe.errors import InputError, did_you_mean
from autorecipe.results import DatasetInfo, Finding, TargetScale

if TYPE_CHECKING:
    import torch

MODALITIES: tuple[Modality, ...] = (IMAGE, TABLE)
"""Every kind of data; the first that knows a source reads it."""
FEWEST = 10
"""Fewer examples than this cannot be split into anything that could be scored."""


def modality(name: str) -> Modality:
    """The modality of that name.

    Raises:
        InputError: there is none.
    """
    for known in MODALITIES:
        if known.name == name:
            return known
    raise InputError(f"unknown modality '{name}': {did_you_mean(name, [known.name for known in MODALITIES])}")


def detect(source: Source) -> tuple[Modality, str]:
    """The modality of a source, and why.

    Raises:
        InputError: no modality knows the source; the message says what was found.
    """
    for known in MODALITIES:
        reason = known.detect(source)
        if reason:
            return known, reason
    raise InputError(explain(source))


@dataclass(frozen=True)
class _Encoded:
    """What a `Dataset` is made of, before torch is there."""

    info: DatasetInfo
    inputs: tuple[np.ndarray, ...]
    targets: np.ndarray
    splits: Splits
    names: Sequence[str]
    preprocess: dict[str, Any]
    streamed: bool
    raw_test: Any


def load_dataset(source: Source, options: ReadOptions, progress: Progress | None = None) -> Dataset:
    """Read, split and encode a data set; the preprocessing is learned on train alone.

    Args:
        source: a path, a bundled name, X or (X, y), or a data set from Python (`python_inputs`).
        options: what the user said about the data.
        progress: told what is being done.

    Raises:
        InputError: the data or an option is wrong.
    """
    found = _encode_dataset(source, options, progress or _silent)
    inputs, (targets,) = as_tensors(found.inputs), as_tensors((found.targets,))
    return Dataset(
        found.info, inputs, targets, found.splits, found.names, found.preprocess, found.streamed, found.raw_test
    )


def as_tensors(arrays: tuple[np.ndarray, ...]) -> "tuple[torch.Tensor, ...]":
    """The same memory as tensors."""
    import torch

    return tuple(map(torch.from_numpy, arrays))


def inspect_dataset(source: Source, options: ReadOptions, progress: Progress | None = None) -> DatasetInfo:
    """Facts and findings about a data set, without importing torch.

    Args:
        source: as for `load_dataset`.
        options: what the user said about the data.
        progress: told what is being done.

    Raises:
        InputError: the data or an option is wrong.
    """
    return _encode_dataset(source, options, progress or _silent).info


def _encode_dataset(source: Source, options: ReadOptions, tell: Progress) -> _Encoded:
    resolve_metric(options.metric)
    parse_range(options.range)
    source = from_python(source, Asked(tell, options.target, options.resolution))
    source, options, labels = _flags_as_labels(source, options)
    kind, _ = detect(source)
    raw = kind.read(source, options, tell)
    if raw.modality != "table" and (options.group or options.time or options.drop):
        option = "--group" if options.group else "--time" if options.time else "--drop"
        raise InputError(f"{option} names a column of a table, but '{raw.name}' holds {raw.modality}s")
    if options.resolution is not None and raw.modality != "image":
        raise InputError(
            f"--resolution {options.resolution} is for images, and '{raw.name}' is a {raw.modality}; leave it out"
        )
    task = str(raw.facts["task"])
    choose_metric(options.metric, task)
    if len(raw.targets) < FEWEST:
        raise InputError(
            f"'{raw.name}' has {len(raw.targets)} examples with a target; "
            f"at least {FEWEST} are needed to train and score"
        )
    strata = raw.targets
    if task == "multilabel":
        if labels:
            reason = f"y has {len(labels)} columns of 0 and 1"
            raw = replace(raw, facts={**raw.facts, "classes": labels, "task_reason": reason})
        if len(set(raw.targets.tolist())) < 2:
            have = f"have the same labels, '{raw.targets[0]}'" if raw.targets[0] else "have no label"
            raise InputError(
                f"all {len(raw.targets):,} examples of '{raw.name}' {have}; there is nothing to learn. Choose other "
                "labels, or add examples with others"
            )
        strata = label_strata(raw.targets)
    splits = make_splits(strata, raw.given, task, options.seed, raw.groups, raw.times)
    unseen = _check_splits(raw, splits, task)
    preprocess = kind.fit(raw, splits.train)
    classes = tuple(preprocess["classes"])
    counts = _class_counts(raw, splits, classes)
    metric, metric_reason = _metric(raw, splits, options.metric, counts)
    scale, said = _target_scale(raw, splits, metric, options)
    preprocess["target_scale"] = asdict(scale)
    inputs = kind.encode(raw.inputs, preprocess)
    targets = _targets(raw, task, classes, scale)
    findings = [
        *raw.findings,
        *unseen,
        *kind.examine(raw, preprocess, splits),
        *said,
        *_about_classes(raw, task, classes, counts),
        *inspect.duplicates(inputs, targets, splits, raw.names, raw.modality),
        *(
            inspect.conflicting_rows(inputs, targets, raw.names)
            if raw.modality == "table" and task in ("binary", "multiclass")
            else ()
        ),
    ]
    info = DatasetInfo(
        name=raw.name,
        modality=raw.modality,
        task=task,
        task_reason=str(raw.facts["task_reason"]),
        metric=metric,
        metric_reason=metric_reason,
        num_examples={name: len(getattr(splits, name)) for name in ("train", "val", "confirm", "test")},
        classes=classes,
        class_counts=counts,
        resolution=int(preprocess.get("resolution", 0)),
        channels=int(preprocess.get("channels", 0)),
        resolution_reason=str(raw.facts.get("resolution_reason", "")),
        pixel_mean=tuple(preprocess.get("pixel_mean", ())),
        pixel_std=tuple(preprocess.get("pixel_std", ())),
        target=str(preprocess.get("target", "")),
        group=str(raw.facts.get("group", "")),
        time=str(raw.facts.get("time", "")),
        keep=tuple(raw.facts.get("keep", ())),
        drop=tuple(raw.facts.get("drop", ())),
        files=dict(raw.facts.get("files", {})),
        target_as_text=bool(raw.facts.get("target_as_text", False)),
        target_scale=scale,
        cross_validated=len(splits.confirm) == 0,
        findings=tuple(findings),
        digest=str(raw.facts["digest"]),
        **_table_facts(inputs, preprocess, splits.train),
    )
    raw_test = raw.inputs.iloc[splits.test] if raw.modality == "table" else None
    return _Encoded(info, inputs, targets, splits, raw.names, preprocess, bool(raw.facts.get("streamed")), raw_test)


def _silent(sentence: str, done: float) -> None:
    """Tell nobody."""


def _check_splits(raw: Raw, splits: Splits, task: str) -> list[Finding]:
    """Refuse splits that cannot be trained on or scored; say what of them cannot be learned."""
    few = "give more examples of each class"
    if raw.groups is not None:
        few = f"the groups of '{raw.facts['group']}' are too few or too uneven: at least 4 are needed"
        if len(np.unique(raw.groups[splits.train])) < 2:
            raise InputError(f"fewer than two groups of '{raw.name}' are left for train; {few}")
    for name in ("train", "val", "test"):
        if not len(getattr(splits, name)):
            raise InputError(f"no examples of '{raw.name}' are left for {name}; {few}")
    if task in ("regression", "multilabel"):
        return []
    known = np.unique(raw.targets[splits.train])
    for name in ("test", "val"):
        rows = getattr(splits, name)
        unseen = rows[~np.isin(raw.targets[rows], known)]
        if not len(unseen):
            continue
        names = np.unique(raw.targets[unseen]).tolist()
        found = (
            f"class '{names[0]}' has {int(np.sum(raw.targets[unseen] == names[0])):,} examples in {name} (such as "
            f"{raw.names[int(unseen[0])]}) but none in train"
        )
        if raw.times is not None:
            what = "it comes later in time: no model can predict it, and the scores say so"
            return [Finding("class_of_the_future", found, what, warn=True)]
        raise InputError(f"{found}, so it cannot be learned; add examples of it to train or remove it from {name}")
    return []


def _flags_as_labels(source: Source, options: ReadOptions) -> tuple[Source, ReadOptions, tuple[str, ...]]:
    """(X, y) with a y of 0 and 1 [N, L] as labels joined by `|`, and the labels' names; all else as it is.

    A DataFrame's columns name the labels; those of an array are `label0`, `label1`, ...

    Raises:
        InputError: y holds other values, or the task asked for is another.
    """
    if not isinstance(source, tuple) or len(source) != 2 or not hasattr(source[1], "__len__"):
        return source, options, ()
    X, y = source
    try:
        flags = np.asarray(y.to_numpy()) if is_frame(y) else as_array(y)
    except ValueError:  # a ragged list
        return source, options, ()
    if flags.ndim != 2 or flags.shape[1] < 2:
        return source, options, ()
    names = tuple(map(str, y.columns)) if is_frame(y) else tuple(f"label{i}" for i in range(flags.shape[1]))
    joined = labels_of_flags(flags, names)
    if options.task not in ("auto", "multilabel"):
        raise InputError(f"y has the shape {flags.shape}, so the task is multilabel, not {options.task}")
    return (X, joined), replace(options, task="multilabel"), tuple(name.strip() for name in names)


def _metric(raw: Raw, splits: Splits, wanted: str, counts: tuple[int, ...]) -> tuple[str, str]:
    """The metric and why; one of both classes' ranks only where val and test have both."""
    task = str(raw.facts["task"])
    metric, reason = choose_metric(wanted, task, counts)
    if task == "binary" and metric in ("roc_auc", "average_precision"):
        for name in ("val", "test"):
            found = np.unique(raw.targets[getattr(splits, name)])
            if len(found) < 2 and wanted == "auto":
                return "log_loss", f"the default where a class is so rare that {name} has '{found[0]}' alone"
            if len(found) < 2:
                raise InputError(
                    f"the metric '{wanted}' compares examples of two classes, but {name} has '{found[0]}' alone; give "
                    "more examples of the other, or choose --metric log_loss"
                )
    return metric, reason


def _target_scale(raw: Raw, splits: Splits, metric: str, options: ReadOptions) -> tuple[TargetScale, list[Finding]]:
    task = str(raw.facts["task"])
    held_out = raw.targets[np.concatenate([splits.val, splits.confirm])]
    # Test is left out, as where bounds are found: or the recipe of such a run could not be replayed.
    check_range(options.range, np.concatenate([raw.targets[splits.train], held_out]), task)
    if task != "regression":
        return TargetScale(), []
    check_targets(metric, raw.targets)
    return choose_scale(raw.targets[splits.train], metric, options.range, held_out)


def _targets(raw: Raw, task: str, classes: tuple[str, ...], scale: TargetScale) -> np.ndarray:
    if task == "regression":
        return to_scale(raw.targets, scale).astype(np.float32)
    if task == "multilabel":
        return label_matrix(raw.targets, classes)
    return class_indices(raw.targets, classes)


def _class_counts(raw: Raw, splits: Splits, classes: tuple[str, ...]) -> tuple[int, ...]:
    """Examples of each class or label, test left out."""
    if not classes:
        return ()
    values = raw.targets[np.concatenate([splits.train, splits.val, splits.confirm])]
    if raw.facts["task"] == "multilabel":
        return tuple(label_matrix(values, classes).sum(0).astype(int).tolist())
    return tuple(np.bincount(class_indices(values, classes), minlength=len(classes)).tolist())


def _about_classes(raw: Raw, task: str, classes: tuple[str, ...], counts: tuple[int, ...]) -> list[Finding]:
    if task == "regression":
        return []
    if task == "multilabel":
        return inspect.labels(classes, counts, split_labels(raw.targets))
    ordered = [] if raw.facts.get("sorted_by_layout") else inspect.class_order(raw.targets)
    return [
        *inspect.imbalance(classes, counts, raw.targets),
        *inspect.rare_classes(classes, counts, raw.targets),
        *inspect.similar_classes(classes, raw.targets),
        *inspect.joined_classes(raw.targets),
        *ordered,
    ]


def _table_facts(inputs: tuple[np.ndarray, ...], preprocess: dict[str, Any], train: np.ndarray) -> dict[str, Any]:
    """Shapes and bins, for tables."""
    if preprocess["modality"] != "table":
        return {}
    numbers = inputs[0][train]
    return {
        "num_numbers": numbers.shape[1],
        "cardinalities": tuple(preprocess["cardinalities"]),
        "bins": tuple(quantile_bins(column) for column in numbers.T),
    }


def quantile_bins(values: np.ndarray, most: int = 16) -> tuple[float, ...]:
    """2 to `most` strictly increasing float32 edges at even quantiles of the values [N]."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, most)).astype(np.float32))
    if len(edges) == 1:
        edges = np.asarray([edges[0] - 0.5, edges[0] + 0.5], dtype=np.float32)
    return tuple(edges.tolist())
