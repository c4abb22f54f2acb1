"""From what the user named to tensors, splits and facts."""

from typing import Any

import numpy as np
import torch

from autorecipe.data import inspect
from autorecipe.data.image import IMAGE
from autorecipe.data.modality import Dataset, Modality, Progress, Raw, ReadOptions, Source, Splits
from autorecipe.data.sources import explain
from autorecipe.data.splits import make_splits
from autorecipe.data.table import TABLE
from autorecipe.data.tasks import choose_metric, class_indices
from autorecipe.errors import InputError, did_you_mean
from autorecipe.results import DatasetInfo

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


def load_dataset(source: Source, options: ReadOptions, progress: Progress | None = None) -> Dataset:
    """Read, split and encode a data set; the preprocessing is learned on train alone.

    Args:
        source: a path, a bundled name, X or (X, y).
        options: what the user said about the data.
        progress: told what is being done.

    Raises:
        InputError: the data or an option is wrong.
    """
    kind, _ = detect(source)
    raw = kind.read(source, options, progress or _silent)
    task = str(raw.facts["task"])
    metric, metric_reason = choose_metric(options.metric, task)
    if len(raw.targets) < FEWEST:
        raise InputError(
            f"'{raw.name}' has {len(raw.targets)} examples with a target; "
            f"at least {FEWEST} are needed to train and score"
        )
    splits = make_splits(raw.targets, raw.given, task, options.seed)
    _check_splits(raw, splits, task)
    preprocess = kind.fit(raw, splits.train)
    inputs = kind.encode(raw.inputs, preprocess)
    targets = _targets(raw, preprocess)
    classes = tuple(preprocess["classes"])
    counts = _class_counts(targets, splits, len(classes))
    findings = [
        *raw.findings,
        *inspect.dropped_columns(preprocess.get("dropped", ())),
        *(inspect.imbalance(classes, counts) if classes else ()),
        *(inspect.rare_classes(classes, counts) if classes else ()),
        *(inspect.class_order(raw.targets) if classes and not raw.facts.get("sorted_by_layout") else ()),
        *inspect.duplicates(inputs, targets, splits, raw.names, raw.modality),
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
        target_mean=float(preprocess["target_mean"]),
        target_std=float(preprocess["target_std"]),
        cross_validated=len(splits.confirm) == 0,
        findings=tuple(findings),
        digest=str(raw.facts["digest"]),
        **_table_facts(inputs, preprocess, splits.train),
    )
    return Dataset(info, inputs, targets, splits, raw.names, preprocess, bool(raw.facts.get("streamed")))


def inspect_dataset(source: Source, options: ReadOptions) -> DatasetInfo:
    """Facts and findings about a data set."""
    return load_dataset(source, options).info


def _silent(sentence: str, done: float) -> None:
    """Tell nobody."""


def _check_splits(raw: Raw, splits: Splits, task: str) -> None:
    for name in ("train", "val", "test"):
        if not len(getattr(splits, name)):
            raise InputError(f"no examples of '{raw.name}' are left for {name}; give more examples of each class")
    if task == "regression":
        return
    known = np.unique(raw.targets[splits.train])
    for name in ("test", "val"):
        rows = getattr(splits, name)
        unseen = rows[~np.isin(raw.targets[rows], known)]
        if len(unseen):
            names = np.unique(raw.targets[unseen]).tolist()
            raise InputError(
                f"class '{names[0]}' has {int(np.sum(raw.targets[unseen] == names[0])):,} examples in {name} (such as "
                f"{raw.names[int(unseen[0])]}) but none in train, so it cannot be learned; add examples of it to train "
                f"or remove it from {name}"
            )


def _targets(raw: Raw, preprocess: dict[str, Any]) -> torch.Tensor:
    if preprocess["task"] == "regression":
        scaled = (raw.targets - preprocess["target_mean"]) / preprocess["target_std"]
        return torch.from_numpy(scaled.astype(np.float32))
    return torch.from_numpy(class_indices(raw.targets, tuple(preprocess["classes"])))


def _class_counts(targets: torch.Tensor, splits: Splits, num_classes: int) -> tuple[int, ...]:
    if not num_classes:
        return ()
    rows = np.concatenate([splits.train, splits.val, splits.confirm])
    return tuple(torch.bincount(targets[torch.from_numpy(rows)], minlength=num_classes).tolist())


def _table_facts(inputs: tuple[torch.Tensor, ...], preprocess: dict[str, Any], train: np.ndarray) -> dict[str, Any]:
    """Shapes and bins, for tables."""
    if preprocess["modality"] != "table":
        return {}
    numbers = inputs[0][torch.from_numpy(train)].numpy()
    return {
        "num_numbers": numbers.shape[1],
        "cardinalities": tuple(
            len(column["values"]) + 1 for column in preprocess["columns"] if column["kind"] == "category"
        ),
        "bins": tuple(quantile_bins(column) for column in numbers.T),
    }


def quantile_bins(values: np.ndarray, most: int = 16) -> tuple[float, ...]:
    """2 to `most` strictly increasing float32 edges at even quantiles of the values [N]."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, most)).astype(np.float32))
    if len(edges) == 1:
        edges = np.asarray([edges[0] - 0.5, edges[0] + 0.5], dtype=np.float32)
    return tuple(edges.tolist())
