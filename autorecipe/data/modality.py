"""The one interface between kinds of data and the rest: what a modality must know.

A modality is a record of functions; `autorecipe.data.MODALITIES` lists them.  Adding one (texts,
say) touches its own folder and that list.  What is read stays in arrays until it is trained on:
importing torch takes seconds, and whoever looks at data need not wait for it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autorecipe.results import DatasetInfo, Finding

if TYPE_CHECKING:
    import torch
    from PIL import Image

Source = Any
"""A path, the name of a bundled data set, or arrays from Python: `X` or `(X, y)`."""
Progress = Callable[[str, float], None]
"""Told a sentence and the share done, 0 to 1."""
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""What folders and files of a split are called, in lower case, and which split it is."""


@dataclass(frozen=True)
class ReadOptions:
    """What the user said about the data."""

    target: str | None = None
    task: str = "auto"
    metric: str = "auto"
    keep: tuple[str, ...] = ()
    """Columns that stay although they look like identifiers, constants or copies."""
    resolution: int | None = None
    """Side of the images in pixels; None: chosen from the data."""
    seed: int = 0
    """Seed of the splits."""
    drop: tuple[str, ...] = ()
    """Columns that are left out."""
    group: str | None = None
    """Column of what belongs together: no group is on both sides of a split."""
    time: str | None = None
    """Column of times: the earlier rows are trained on, the later ones scored."""
    range: str = "auto"
    """Bounds of a regression's target: `LO,HI`, `none`, or `auto` (found from the data)."""


@dataclass(frozen=True)
class Raw:
    """Examples as read, before anything is learned from them."""

    modality: str
    name: str
    inputs: Any
    """Images: uint8 array [N, H, W, C], a `np.memmap` if they stay on disk.  Tables: a DataFrame without the target."""
    targets: np.ndarray
    """Classes as str [N]; sorted labels joined by `|` as object [N] (empty: none); float64 [N] for regression."""
    names: Sequence[str]
    """File (relative to the data set) or row number of each example."""
    given: np.ndarray
    """str array [N]: `train`, `val`, `test`, or `` where the data set does not say."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Facts for `DatasetInfo` that only the reader knows (task, reasons, resolution, ...)."""
    findings: tuple[Finding, ...] = ()
    groups: np.ndarray | None = None
    """int64 [N], the same for examples that belong together."""
    times: np.ndarray | None = None
    """float64 [N]; later is larger."""


STRETCHES = 40
"""Of time, in a part that decisions are scored on."""


@dataclass(frozen=True)
class Splits:
    """Which example is in which split: int64 index arrays.

    `parts` cuts train + confirm into parts for decisions: decision seed s trains without part s and
    is scored on it.  With 5,000 examples or more, part 0 is confirm; with fewer, confirm is empty and
    the parts are folds of train.  With `--group` no group is on both sides; with `--time` a seed trains
    on what is earlier than its part alone.
    """

    train: np.ndarray
    val: np.ndarray
    confirm: np.ndarray
    test: np.ndarray
    parts: tuple[np.ndarray, ...]
    order: np.ndarray | None = None
    """Place of each example in the order of time [N], where that matters."""
    groups: np.ndarray | None = None
    """Whole numbers [N], the same for examples that belong together, where that matters."""

    def rows(self, names: str) -> np.ndarray:
        """The examples of some splits: `train`, `train+val` or `train+val+confirm`."""
        return np.concatenate([getattr(self, name) for name in names.split("+")])

    def held_out(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Examples to train on and to score on for decision seed `seed`."""
        part = self.parts[seed % len(self.parts)]
        pool = np.concatenate([self.train, self.confirm])
        if self.order is not None:
            return pool[self.order[pool] < self.order[part].min()], part
        return pool[~np.isin(pool, part)], part

    def clusters(self, rows: np.ndarray) -> np.ndarray | None:
        """Of each row the number of those it is one draw with, int64: its group, or its stretch of time; None: alone.

        Examples of one patient, or of one day, are right and wrong together: how far a score would move with other
        examples is a matter of the number of groups.
        """
        if self.groups is not None:
            return np.unique(self.groups[rows], return_inverse=True)[1].reshape(-1)
        if self.order is not None:
            place = np.argsort(np.argsort(self.order[rows]))
            return np.asarray(place * min(STRETCHES, len(rows)) // max(1, len(rows)))
        return None


@dataclass(frozen=True)
class Dataset:
    """A data set ready for training: tensors on the CPU, facts, splits, and how inputs were made."""

    info: DatasetInfo
    inputs: "tuple[torch.Tensor, ...]"
    """Images: (uint8 [N, C, H, W],).  Tables: (float32 numbers [N, F], int64 codes [N, K])."""
    targets: "torch.Tensor"
    """int64 classes [N], float32 labels [N, L] of 0 and 1, or float32 targets [N] scaled by `info.target_scale`."""
    splits: Splits
    names: Sequence[str]
    preprocess: dict[str, Any]
    """Raw input -> tensors, as plain data (`preprocess.json`)."""
    streamed: bool = False
    """Whether the inputs stay on disk and are read as they are needed."""
    raw_test: Any = None
    """Raw examples of test, in its order, where `inputs` cannot be shown to people: a table's DataFrame."""


@dataclass(frozen=True)
class Modality:
    """The functions of one kind of data."""

    name: str
    detect: Callable[[Source], str | None]
    """Why this source is of this modality, or None."""
    read: Callable[[Source, ReadOptions, Progress], Raw]
    fit: Callable[[Raw, np.ndarray], dict[str, Any]]
    """Learn the preprocessing from the rows given (train): plain data."""
    encode: Callable[[Any, dict[str, Any]], tuple[np.ndarray, ...]]
    """Raw inputs -> arrays as the network takes them, by the preprocessing."""
    read_inputs: Callable[[Source, dict[str, Any]], tuple[list[str], Any]]
    """Names and raw inputs of something to predict: a path or arrays."""
    baseline_features: "Callable[[tuple[torch.Tensor, ...]], np.ndarray]"
    """Tensors -> float32 matrix [N, D] for scikit-learn."""
    preview: Callable[[Raw, Path], None]
    """Draw a few examples into a PNG."""
    show: "Callable[[Dataset, int], Image.Image | dict[str, Any]]"
    """Example number i of test as people look at it: a picture, or column -> value."""
    picture: "Callable[[Dataset, int], Image.Image] | None" = None
    """The example in a row of the data set as a picture, where there is one of it."""
    examine: Callable[[Raw, dict[str, Any], Splits], list[Finding]] = lambda raw, preprocess, splits: []
    """What a look at the examples shows beyond what `read` found."""
