"""Data from Python that is no array and no pandas DataFrame -> arrays and DataFrames.

- polars, pyarrow and other libraries' frames, by the Arrow stream or the dataframe protocol;
- a torch `Dataset` with numbered items (map style);
- a Hugging Face `Dataset`; nothing is imported for it, so the library need not be there;
- a list of PIL images.

Everything else comes back as it is, for `autorecipe.data.sources` to judge.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from autorecipe.data.frames import to_pandas
from autorecipe.data.hugging_face import is_hugging_face, of_hugging_face
from autorecipe.data.items import Asked, Items, read_items
from autorecipe.data.modality import Source
from autorecipe.data.sources import is_tensor
from autorecipe.errors import InputError


def from_python(source: Source, asked: Asked) -> Source:
    """Arrays or a DataFrame, `X` or `(X, y)`, of data from Python; anything else as it is.

    Raises:
        InputError: data without numbered items, or an item that cannot be used.
    """
    if isinstance(source, (str, bytes, os.PathLike, np.ndarray)) or is_tensor(source):
        return source
    if isinstance(source, tuple) and len(source) == 2:
        if any(_is_dataset(part) for part in source):
            raise InputError("a Dataset brings its own targets: give the Dataset alone, not a pair (X, y)")
        return _plain(source[0], asked), to_pandas(source[1])
    _refuse_streams(source)
    if _is_a(source, "TensorDataset"):
        return _of_tensors(source)
    if _is_a(source, "Dataset"):
        return _of_dataset(source, asked)
    if is_hugging_face(source):
        return of_hugging_face(source, asked)
    return _plain(source, asked)


def _plain(X: Any, asked: Asked) -> Any:
    """X of a list of images or a frame of another library."""
    if isinstance(X, list) and X and isinstance(X[0], Image.Image):
        return read_items(Items("the list", len(X), X.__getitem__, asked))[0]
    return to_pandas(X)


def _is_a(value: object, *names: str) -> bool:
    """Whether the value is of one of these classes of `torch.utils.data`; nothing is before that is imported."""
    known = sys.modules.get("torch.utils.data")
    return known is not None and isinstance(value, tuple(getattr(known, name) for name in names))


def _is_dataset(value: object) -> bool:
    return _is_a(value, "Dataset", "DataLoader") or is_hugging_face(value)


def _refuse_streams(source: object) -> None:
    """Data without numbered items cannot be split or gone over again."""
    name = type(source).__name__
    if _is_a(source, "DataLoader"):
        raise InputError("a DataLoader gives batches; give its Dataset: loader.dataset")
    if type(source).__module__.split(".")[0] == "datasets" and isinstance(source, Mapping):
        raise InputError(
            f"a {name} holds several data sets ({', '.join(map(str, source))}); give one of them, "
            f"such as data['{next(iter(source), 'train')}']: a test split is set aside from it"
        )
    stream = _is_a(source, "IterableDataset") or name == "IterableDataset"
    numbered = not _is_a(source, "Dataset") or hasattr(source, "__len__")
    if stream or not numbered:
        raise InputError(
            f"a {name} {'gives its items as a stream' if stream else 'does not say how many items it has'}, so it "
            "cannot be split into train, val and test; give a map-style Dataset: __len__ and __getitem__"
        )
    if name == "LazyFrame" and hasattr(source, "collect"):
        raise InputError("a LazyFrame holds no rows yet; give frame.collect()")


def _of_tensors(source: Any) -> Any:
    """A TensorDataset holds whole arrays, so no item is asked for."""
    tensors = source.tensors
    if len(tensors) > 2:
        raise InputError(f"the TensorDataset has {len(tensors)} tensors; give two, X and y")
    arrays = [tensor.detach().cpu().numpy() for tensor in tensors]
    return tuple(arrays) if len(arrays) == 2 else arrays[0]


def _of_dataset(source: Any, asked: Asked) -> Any:
    """A map-style Dataset of torch; a list of names as its `classes` names the classes."""
    named = getattr(source, "classes", ())
    fits = isinstance(named, (list, tuple)) and all(isinstance(name, str) for name in named)
    classes = tuple(named) if fits and len(set(named)) == len(named) else ()
    X, y = read_items(Items(f"the {type(source).__name__}", len(source), source.__getitem__, asked, classes))
    return X if y is None else (X, y)
