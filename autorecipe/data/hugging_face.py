"""A `Dataset` of Hugging Face -> images and targets, or a DataFrame; the library itself is never imported."""

from typing import Any

import numpy as np

from autorecipe.data.items import USUAL_TARGETS, Asked, Items, read_items
from autorecipe.errors import InputError, did_you_mean


def is_hugging_face(value: object) -> bool:
    """Whether the value is a data set of the library `datasets`."""
    return type(value).__module__.split(".")[0] == "datasets" and hasattr(value, "features")


def of_hugging_face(data: Any, asked: Asked) -> Any:
    """`(X, y)`, or X alone where no column is the target: images if there is a column of them, else a DataFrame.

    The target is the column asked for, or the only one of classes, or one with a usual name.

    Raises:
        InputError: a column of another kind, no rows, or an image or a class is missing.
    """
    features = dict(data.features)
    for name, feature in features.items():
        if _kind(feature) not in ("Image", "ClassLabel", "Value") and _label_list(feature) is None:
            raise InputError(
                f"column '{name}' of the Dataset is of the kind {_kind(feature)}; autorecipe takes Image, ClassLabel "
                f"and Value: leave it out with data.remove_columns('{name}')"
            )
    if not len(data):
        raise InputError("the Dataset is empty: it has no rows; at least 10 are needed to train and score")
    images = [name for name, feature in features.items() if _kind(feature) == "Image"]
    if len(images) > 1:
        raise InputError(f"the Dataset has {len(images)} columns of images ({', '.join(images)}); leave one of them")
    target = None if asked.predicting else _target(features, asked.target)
    plain = data.with_format(None)
    if not images:
        return _table(plain.to_pandas(), features, target, asked)
    if asked.target is not None and target is None and not asked.predicting:
        raise InputError(f"the Dataset has no column '{asked.target}': {did_you_mean(asked.target, features)}")
    pictures = plain.select_columns(images)
    X, _ = read_items(Items("the Dataset", len(data), lambda i: pictures[i][images[0]], asked))
    return X if target is None else (X, _image_targets(list(plain.select_columns([target])[target]), features, target))


def _kind(feature: object) -> str:
    return type(feature).__name__


def _label_list(feature: object) -> Any:
    """The classes of a column with a list of them in each row, or None."""
    inner = getattr(feature, "feature", None)
    return inner if _kind(inner) == "ClassLabel" else None


def _target(features: dict[str, Any], wanted: str | None) -> str | None:
    """The column that is to be predicted, or None."""
    if wanted is not None:
        return wanted if wanted in features else None
    labels = [n for n, feature in features.items() if _kind(feature) == "ClassLabel" or _label_list(feature)]
    if len(labels) == 1:
        return labels[0]
    usual = [name for word in USUAL_TARGETS for name in features if name.lower() == word]
    return usual[0] if usual else None


def _table(frame: Any, features: dict[str, Any], target: str | None, asked: Asked) -> Any:
    """A DataFrame with the names of classes; the target apart, if it was found and not asked for."""
    for name, feature in features.items():
        if _kind(feature) == "ClassLabel":
            frame[name] = _class_names(frame[name].tolist(), feature)
    if target is not None and _label_list(features[target]):
        _check_there(frame[target].tolist(), target)
        return frame.drop(columns=[target]), _flags(frame[target].tolist(), _label_list(features[target]))
    if target is None or asked.target is not None:
        return frame
    return frame.drop(columns=[target]), frame[target]


def _image_targets(values: list[Any], features: dict[str, Any], target: str) -> Any:
    """Targets [N] of images, or 0 and 1 for each label."""
    _check_there(values, target)
    if _label_list(features[target]):
        return _flags(values, _label_list(features[target]))
    return _class_names(values, features[target]) if _kind(features[target]) == "ClassLabel" else np.asarray(values)


def _check_there(values: list[Any], target: str) -> None:
    """Refuse rows without a target."""
    lacking = [i for i, value in enumerate(values) if value is None or (isinstance(value, float) and value != value)]
    if lacking:
        raise InputError(
            f"{len(lacking):,} of {len(values):,} rows have no '{target}', such as row {lacking[0]:,}; leave them out: "
            f"data.filter(lambda row: row['{target}'] is not None)"
        )


def _class_names(values: list[Any], feature: Any) -> np.ndarray:
    """The name of each class, object [N]; None where there is none: -1 in files of tests."""
    names = list(feature.names)
    found = np.empty(len(values), dtype=object)
    found[:] = [names[int(value)] if value is not None and value >= 0 else None for value in values]
    return found


def _flags(values: list[Any], feature: Any) -> Any:
    """Lists of labels [N] -> a DataFrame of 0 and 1 with a column for each label."""
    import pandas as pd

    flags = np.zeros((len(values), len(feature.names)), dtype=np.int64)
    for row, some in enumerate(values):
        flags[row, list(some)] = 1
    return pd.DataFrame(flags, columns=list(feature.names))
