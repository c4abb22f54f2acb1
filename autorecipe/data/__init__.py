"""Data: what the user names -> tensors, splits, facts and findings."""

from autorecipe.data.load import MODALITIES, as_tensors, detect, inspect_dataset, load_dataset, modality
from autorecipe.data.metrics import METRICS, TASKS
from autorecipe.data.modality import Dataset, Modality, Progress, Raw, ReadOptions, Source, Splits
from autorecipe.data.sources import BUNDLED
from autorecipe.data.splits import make_splits

__all__ = [
    "BUNDLED",
    "METRICS",
    "MODALITIES",
    "TASKS",
    "Dataset",
    "Modality",
    "Progress",
    "Raw",
    "ReadOptions",
    "Source",
    "Splits",
    "as_tensors",
    "detect",
    "inspect_dataset",
    "load_dataset",
    "make_splits",
    "modality",
]
