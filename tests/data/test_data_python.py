"""Data sets from Python: torch, Hugging Face, frames of other libraries, lists of images."""

import datetime
import decimal
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from autorecipe.data import ReadOptions, load_dataset
from autorecipe.data.image.arrays import to_pixels
from autorecipe.data.items import Asked, Items, read_items
from autorecipe.data.python_inputs import from_python
from autorecipe.errors import InputError

COUNT = 60


class Listed(Dataset):
    """A map-style data set of a list of items."""

    def __init__(self, items, classes=None):
        self.items = items
        if classes is not None:
            self.classes = classes

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        if isinstance(self.items[i], Exception):
            raise self.items[i]
        return self.items[i]


def pixels(i, height=12, width=12, grey=False):
    random = np.random.default_rng(i)
    image = random.integers(0, 60, (height, width, 3), dtype=np.uint8) + np.uint8(120 * (i % 2))
    return np.repeat(image[:, :, :1], 3, axis=2) if grey else image


def converted(data, **asked):
    return from_python(data, Asked(**asked))


def refused(data, *words, **asked):
    with pytest.raises(InputError) as caught:
        converted(data, **asked)
    for word in words:
        assert word in str(caught.value)


# torch


def test_pil_images_of_mixed_sizes_are_brought_to_one_as_files_are():
    items = [(Image.fromarray(pixels(i, 12 + i % 3, 20)), "even" if i % 2 == 0 else "odd") for i in range(COUNT)]
    info = load_dataset(Listed(items), ReadOptions()).info
    assert (info.modality, info.task, info.resolution, info.channels) == ("image", "binary", 12, 3)
    assert info.classes == ("even", "odd")


def test_grey_images_have_one_channel_and_an_asked_resolution_is_kept():
    items = [(Image.fromarray(pixels(i, grey=True)), i % 2) for i in range(COUNT)]
    X, _ = converted(Listed(items), resolution=8)
    assert X.shape == (COUNT, 8, 8, 1)


@pytest.mark.parametrize("layout", ["CHW", "HWC", "HW"])
@pytest.mark.parametrize("kind", ["uint8", "float"])
def test_tensors_and_arrays_are_the_same_images(layout, kind):
    items, wanted = [], []
    for i in range(COUNT):
        image = pixels(i)[:, :, :1] if layout == "HW" else pixels(i)
        wanted.append(image)
        value = image if kind == "uint8" else (image / 255).astype(np.float32)
        if layout == "HWC":
            items.append((value, i % 2))
        else:
            value = torch.from_numpy(np.ascontiguousarray(value.transpose(2, 0, 1)))
            items.append((value[0] if layout == "HW" else value, torch.tensor(i % 2)))
    ours = load_dataset(Listed(items), ReadOptions())
    theirs = load_dataset((np.stack(wanted), np.arange(COUNT) % 2), ReadOptions())
    assert torch.equal(ours.inputs[0], theirs.inputs[0])
    assert torch.equal(ours.targets, theirs.targets)
    assert ours.info.digest == theirs.info.digest


def test_a_list_of_classes_names_them():
    data = Listed([(pixels(i), i % 3) for i in range(COUNT)], ["cat", "dog", "eel"])
    assert load_dataset(data, ReadOptions()).info.classes == ("cat", "dog", "eel")
    assert load_dataset(Subset(data, range(COUNT - 5)), ReadOptions()).info.classes == ("0", "1", "2")


def test_rows_of_one_dimension_are_a_table():
    random = np.random.default_rng(0)
    X, y = random.normal(size=(COUNT, 3)).astype(np.float32), random.normal(size=COUNT)
    listed = load_dataset(Listed(list(zip(X, y, strict=True))), ReadOptions())
    tensors = load_dataset(TensorDataset(torch.from_numpy(X), torch.from_numpy(y)), ReadOptions())
    plain = load_dataset((X, y), ReadOptions())
    assert plain.info.task == "regression"
    for other in (listed, tensors):
        assert other.info.digest == plain.info.digest


def test_mappings_of_single_values_are_a_table_with_columns():
    items = [{"size": float(i), "colour": "red" if i % 3 else "blue", "label": i % 2} for i in range(COUNT)]
    info = load_dataset(Listed(items), ReadOptions(target="label")).info
    assert (info.modality, info.target, info.task) == ("table", "label", "binary")
    pairs = [({"size": torch.tensor(float(i)), "other": None if i % 7 else 1.0}, i % 2) for i in range(COUNT)]
    assert load_dataset(Listed(pairs), ReadOptions()).info.num_numbers >= 1


def test_a_mapping_with_a_picture_is_an_image_and_its_target():
    items = [{"image": pixels(i), "label": i % 2, "id": i} for i in range(COUNT)]
    X, y = converted(Listed(items))
    assert X.shape == (COUNT, 12, 12, 3)
    assert y.tolist() == [i % 2 for i in range(COUNT)]
    assert converted(Listed(items), target="id")[1].tolist() == list(range(COUNT))
    refused(Listed(items), "'size'", "image, label, id", target="size")


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor, list])
def test_vectors_of_0_and_1_are_labels(kind):
    flags = np.random.default_rng(0).integers(0, 2, (COUNT, 3))
    data = Listed([(np.random.default_rng(i).normal(size=4), kind(flags[i].tolist())) for i in range(COUNT)])
    info = load_dataset(data, ReadOptions()).info
    assert (info.task, info.classes) == ("multilabel", ("label0", "label1", "label2"))


def test_every_item_is_read_once_but_for_a_sample_and_progress_is_told():
    count, told = [], []
    items = Items("the list", 600, lambda i: (count.append(i), (np.zeros(2), i))[1], Asked(lambda s, d: told.append(d)))
    read_items(items)
    assert sorted(count) == [0, *range(600)]
    assert told[0] == 0
    assert told[-1] == 1
    assert told == sorted(told)


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([], ["empty"]),
        ([(pixels(0), 0), (pixels(1, 10), 1)], ["item 1", "(10, 12, 3)", "(12, 12, 3)"]),
        ([(np.zeros(3), 0), (np.zeros(4), 1)], ["item 1", "(4,)"]),
        ([(np.zeros(3), 0), KeyError("gone")], ["item 1", "KeyError", "gone"]),
        ([(np.zeros(3), 0), ValueError("no image"), OSError()], ["item 1", "no image"]),
        ([(np.zeros(3), 0), (np.zeros(3), None)], ["item 1", "no target"]),
        ([(np.zeros(3), 0, 1)], ["item 0", "tuple of 3"]),
        ([(np.zeros((4, 9, 9)), 0)], ["(4, 9, 9)", "1 or 3 channels"]),
        ([(object(), 0)], ["item 0", "object"]),
        ([(None, 0)], ["item 0", "NoneType"]),
        ([(Image.fromarray(pixels(0)), 0), (pixels(1), 1)], ["item 1", "ndarray", "PIL image"]),
        ([({"a": 1}, 0), ({"b": 1}, 0)], ["item 1", "'a'"]),
        ([({"a": 1}, 0), (3.0, 0)], ["item 1", "float"]),
        ([({"a": [1, 2]}, 0)], ["'a'", "item 0", "list"]),
        ([(np.zeros(3), {"boxes": 1})], ["target", "item 0", "dict"]),
        ([(np.zeros(3), np.zeros(2)), (np.zeros(3), np.zeros(3))], ["item 1", "target", "(3,)"]),
        ([(np.full((3, 9, 9), -1.5), 0), (np.full((3, 9, 9), 1.5), 0)], ["-1.5", "Normalize"]),
    ],
)
def test_items_that_cannot_be_used_are_named(items, words):
    refused(Listed(items), *words)


class Stream(IterableDataset):
    def __iter__(self):
        return iter([(np.zeros(3), 0)])


class Endless(Dataset):
    def __getitem__(self, i):
        return np.zeros(3), 0


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (Stream(), ["stream", "map-style"]),
        (Endless(), ["__len__"]),
        (DataLoader(Listed([(np.zeros(3), 0)])), ["loader.dataset"]),
        ((Listed([(np.zeros(3), 0)]), np.zeros(1)), ["alone"]),
        (TensorDataset(torch.zeros(3, 2), torch.zeros(3), torch.zeros(3)), ["3 tensors"]),
    ],
)
def test_what_cannot_be_split_is_refused(data, words):
    refused(data, *words)


@given(st.integers(1, 6), st.integers(1, 40), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_rows_come_out_as_they_went_in(width, count, seed):
    random = np.random.default_rng(seed)
    X, y = random.normal(size=(count, width)), random.integers(0, 3, count)
    found, targets = converted(Listed(list(zip(X, y.tolist(), strict=True))))
    assert np.array_equal(found, X)
    assert np.array_equal(targets, y)


def test_a_list_of_images_of_mixed_sizes():
    X, y = converted(([Image.fromarray(pixels(i, 12 + i % 4)) for i in range(20)], list(range(20))))
    assert X.shape == (20, 12, 12, 3)
    assert y == list(range(20))


def test_pictures_are_turned_as_files_are(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    items = []
    for i in range(20):
        path = tmp_path / "ab"[i % 2] / f"{i:02d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels(i)).save(path, exif=exif)
        items.append((Image.open(path), "ab"[i % 2]))
    X, _ = converted(Listed(items))
    files = load_dataset(tmp_path, ReadOptions())
    names = [f"{'ab'[i % 2]}/{i:02d}.png" for i in range(20)]
    wanted = files.inputs[0][[list(files.names).index(name) for name in names]]
    assert np.array_equal(X.transpose(0, 3, 1, 2), wanted.numpy())
    assert not np.array_equal(X[0], pixels(0))


def test_deep_pictures_have_the_range_of_their_format_or_are_refused():
    sixteen = [(Image.fromarray(np.full((8, 8), 257 * i, np.uint16)), i % 2) for i in range(20)]
    assert converted(Listed(sixteen))[0][:, 0, 0, 0].tolist() == list(range(20))
    for values, words in (
        (np.float32([0, 255]), "0 to 1"),
        (np.float32([0, np.nan]), "0 to 1"),
        ([0, 70_000], "65535"),
    ):
        picture = Image.fromarray(np.tile(np.asarray(values, np.int32 if words == "65535" else np.float32), (8, 4)))
        refused(Listed([*sixteen, (picture, 0)]), "item 20", words, "arrays of 0 to 255")


@pytest.mark.parametrize("value", [255.5, 300.0, -1.0])
def test_arrays_outside_of_the_range_are_refused(value):
    X = np.full((20, 4, 4), 10.0)
    X[3, 1, 1] = value
    with pytest.raises(InputError, match="0 to 255"):
        load_dataset((X, np.arange(20) % 2), ReadOptions())


def test_arrays_of_another_scale_than_the_models_are_refused_in_its_words():
    with pytest.raises(InputError, match=r"from 0 to 200; give values from 0 to 1, as those that the model"):
        to_pixels(np.asarray([[[0, 200]]], np.uint8), 255.0)


def test_for_a_prediction_targets_may_be_missing_and_the_shape_is_the_models():
    items = [(Image.fromarray(pixels(0, 30, 30)), None), (Image.fromarray(pixels(1)), 3)]
    X = converted(Listed(items), predicting=True, resolution=10, channels=1)
    assert X.shape == (2, 10, 10, 1)


# Frames of other libraries


FRAME = pd.DataFrame(
    {
        "size": [1.5, None, 3.0] * 10,
        "count": [1, 2, 3] * 10,
        "kind": ["a", "b", None] * 10,
        "day": pd.to_datetime(["2024-01-31", "2024-02-29", "2023-12-31"] * 10),
        "label": [0, 1] * 15,
    }
)


class Streamed:
    """What polars, duckdb and others hand out."""

    def __init__(self, frame):
        self.table = pa.Table.from_pandas(frame) if isinstance(frame, pd.DataFrame) else frame
        self.columns = self.table.column_names

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


class Interchanged:
    """What has the older protocol alone."""

    def __init__(self, frame):
        self.frame = frame

    def __dataframe__(self, nan_as_null=False, allow_copy=True):
        return pa.Table.from_pandas(self.frame).__dataframe__()


@pytest.mark.parametrize("kind", [Streamed, Interchanged])
def test_a_frame_by_protocol_is_the_pandas_frame(kind):
    found = converted(kind(FRAME))
    assert list(found.columns) == list(FRAME.columns)
    ours = load_dataset(kind(FRAME), ReadOptions(target="label")).info
    theirs = load_dataset(FRAME, ReadOptions(target="label")).info
    assert ours.digest == theirs.digest


def test_decimals_are_numbers_and_dates_are_dates():
    days = [datetime.date(2024, 1, 1 + i) for i in range(20)]
    table = pa.table({"price": [decimal.Decimal(i) / 4 for i in range(20)], "day": days})
    found = converted(Streamed(table))
    assert found["price"].tolist() == [i / 4 for i in range(20)]
    assert found["day"].dtype.kind == "M"


def test_cells_that_hold_lists_are_refused():
    refused(Streamed(pa.table({"a": [[1, 2]] * 20})), "'a'", "list<")


def test_a_lazy_frame_is_to_be_collected():
    class LazyFrame:
        def collect(self):
            return FRAME

    refused(LazyFrame(), "collect()")


def test_polars():
    import polars

    columns = FRAME[["size", "count", "kind", "label"]].astype(object)
    frame = polars.DataFrame(columns.where(columns.notna(), None).to_dict("list"))
    wanted = load_dataset(FRAME.drop(columns="day"), ReadOptions(target="label")).info
    assert load_dataset(frame, ReadOptions(target="label")).info.digest == wanted.digest
    pair = load_dataset((frame.drop("label"), frame["label"]), ReadOptions()).info
    assert (pair.target, pair.digest) == ("label", wanted.digest)
    refused(frame.lazy(), "collect()")


# Hugging Face, without the library


def feature(kind, **values):
    return type(kind, (), values)()


class Hugging:
    """The part of `datasets.Dataset` that is used."""

    def __init__(self, columns, features):
        self.columns, self.features = columns, features

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, key):
        if isinstance(key, str):
            return self.columns[key]
        return {name: values[key] for name, values in self.columns.items()}

    def with_format(self, kind):
        assert kind is None
        return self

    def select_columns(self, names):
        return Hugging({n: self.columns[n] for n in names}, {n: self.features[n] for n in names})

    def to_pandas(self):
        return pd.DataFrame(self.columns)


Hugging.__module__ = "datasets.arrow_dataset"
LABEL = feature("ClassLabel", names=["cat", "dog"])


def test_hugging_face_images():
    images = [Image.fromarray(pixels(i, 12 + i % 2)) for i in range(COUNT)]
    data = Hugging(
        {"image": images, "label": [i % 2 for i in range(COUNT)]}, {"image": feature("Image"), "label": LABEL}
    )
    info = load_dataset(data, ReadOptions()).info
    assert (info.modality, info.classes, info.resolution) == ("image", ("cat", "dog"), 12)
    assert converted(data, predicting=True).shape == (COUNT, 12, 12, 3)
    data.columns["label"][3] = None
    refused(data, "row 3", "'label'", "filter")
    refused(data, "'price'", target="price")


def test_hugging_face_tables():
    columns = {"size": [float(i) for i in range(COUNT)], "pet": [i % 2 for i in range(COUNT)]}
    data = Hugging(columns, {"size": feature("Value"), "pet": LABEL})
    info = load_dataset(data, ReadOptions()).info
    assert (info.modality, info.target, info.classes) == ("table", "pet", ("cat", "dog"))
    asked = load_dataset(data, ReadOptions(target="size")).info
    assert (asked.task, asked.cardinalities) == ("regression", (3,))
    assert list(converted(data, predicting=True)["pet"][:2]) == ["cat", "dog"]


def test_hugging_face_lists_of_labels():
    columns = {"size": [float(i) for i in range(COUNT)], "pets": [[0], [0, 1], [], [1]] * (COUNT // 4)}
    data = Hugging(columns, {"size": feature("Value"), "pets": feature("List", feature=LABEL)})
    info = load_dataset(data, ReadOptions()).info
    assert (info.task, info.classes) == ("multilabel", ("cat", "dog"))
    columns["pets"][5] = None
    refused(data, "row 5", "'pets'", "filter")


def test_hugging_face_refusals():
    refused(Hugging({"a": []}, {"a": feature("Value")}), "empty")
    refused(Hugging({"sound": [1]}, {"sound": feature("Audio")}), "'sound'", "Audio", "remove_columns")
    refused(Hugging({"a": [1], "b": [1]}, {"a": feature("Image"), "b": feature("Image")}), "2 columns of images")
    several = type("DatasetDict", (dict,), {"__module__": "datasets.dataset_dict"})(train=1, test=2)
    refused(several, "train, test", "data['train']")
    stream = type("IterableDataset", (SimpleNamespace,), {"__module__": "datasets.iterable_dataset"})()
    refused(stream, "stream")


def test_the_real_hugging_face_library(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    columns = {"image": [Image.fromarray(pixels(i)) for i in range(COUNT)], "label": [i % 2 for i in range(COUNT)]}
    data = datasets.Dataset.from_dict(columns, features=features)
    assert load_dataset(data, ReadOptions()).info.classes == ("cat", "dog")
    table = datasets.Dataset.from_dict({"size": [0.5 * i for i in range(COUNT)], "y": [i % 3 for i in range(COUNT)]})
    assert load_dataset(table, ReadOptions()).info.target == "y"
    refused(table.to_iterable_dataset(), "stream")
    refused(datasets.DatasetDict({"train": table}), "data['train']")
