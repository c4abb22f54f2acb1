import subprocess
import sys

import numpy as np
import pytest
import torch

from autorecipe.data import BUNDLED, ReadOptions, detect, inspect_dataset, load_dataset, modality
from autorecipe.data.inspect import duplicate_pairs
from autorecipe.errors import InputError


@pytest.mark.parametrize(
    ("name", "task", "classes", "inputs"),
    [
        ("digits", "multiclass", 10, (1797, 1, 8, 8)),
        ("iris", "multiclass", 3, (150, 4)),
        ("wine", "multiclass", 3, (178, 13)),
        ("breast_cancer", "binary", 2, (569, 30)),
        ("diabetes", "regression", 0, (442, 10)),
    ],
)
def test_bundled_sets(name, task, classes, inputs):
    dataset = load_dataset(name, ReadOptions())
    info = dataset.info
    assert (info.name, info.task, len(info.classes), info.modality) == (name, task, classes, BUNDLED[name])
    assert tuple(dataset.inputs[0].shape) == inputs
    assert sum(info.num_examples.values()) == len(dataset.targets) == len(dataset.names)
    assert info == inspect_dataset(name, ReadOptions())
    if name == "iris":
        assert info.classes == ("setosa", "versicolor", "virginica")


def test_a_path_wins_over_a_bundled_name(image_folder, monkeypatch, tmp_path):
    image_folder("digits")
    monkeypatch.chdir(tmp_path)
    assert load_dataset("digits", ReadOptions()).info.classes == ("cat", "dog")
    assert load_dataset("iris", ReadOptions()).info.name == "iris"


def test_unknown_sources_say_what_was_found(tmp_path):
    with pytest.raises(InputError, match="no file, folder or bundled data set 'digts': did you mean 'digits'"):
        detect("digts")
    with pytest.raises(InputError, match=r"found nothing\. Give a folder"):
        detect(tmp_path)
    (tmp_path / "a.csv").write_text("")
    (tmp_path / "b.csv").write_text("")
    (tmp_path / "sub").mkdir()
    with pytest.raises(InputError, match=r"found a.csv, b.csv, sub/"):
        detect(tmp_path)
    (tmp_path / "notes.doc").write_text("")
    with pytest.raises(InputError, match=r"suffix '.doc'"):
        detect(tmp_path / "notes.doc")
    with pytest.raises(InputError, match="a dict is no data set"):
        detect({"a": 1})
    with pytest.raises(InputError, match="20 examples but y has 19"):
        detect((np.zeros((20, 3)), np.zeros(19)))


@pytest.mark.parametrize("shape", [(20, 3), (20, 8, 8)])
def test_arrays_without_targets_are_refused(shape):
    with pytest.raises(InputError, match=r"came without .*give \(X, y\)"):
        load_dataset(np.zeros(shape), ReadOptions())


def test_unknown_modality():
    with pytest.raises(InputError, match="did you mean 'image'"):
        modality("images")


def test_options_are_checked():
    with pytest.raises(InputError, match="did you mean 'accuracy'"):
        load_dataset("iris", ReadOptions(metric="accurracy"))
    with pytest.raises(InputError, match="does not fit"):
        load_dataset("diabetes", ReadOptions(metric="accuracy"))
    with pytest.raises(InputError, match="regression needs numbers"):
        load_dataset("iris", ReadOptions(task="regression"))
    with pytest.raises(InputError, match="--keep names no column: 'petal'"):
        load_dataset("iris", ReadOptions(keep=("petal",)))
    assert load_dataset("iris", ReadOptions(metric="roc_auc")).info.metric == "roc_auc"


def test_the_seed_moves_the_splits_and_nothing_else():
    a, b, c = (load_dataset("wine", ReadOptions(seed=seed)) for seed in (0, 0, 1))
    assert np.array_equal(a.splits.test, b.splits.test)
    assert not np.array_equal(a.splits.test, c.splits.test)
    assert a.info.digest == c.info.digest


def test_regression_on_images():
    random = np.random.default_rng(0)
    dataset = load_dataset(
        (random.integers(0, 256, (60, 8, 8), dtype=np.uint8), random.normal(5, 2, 60)), ReadOptions()
    )
    assert (dataset.info.task, dataset.info.num_outputs, dataset.info.classes) == ("regression", 1, ())
    assert dataset.targets.dtype == torch.float32


def test_progress_is_told(image_folder):
    told = []
    load_dataset(image_folder(), ReadOptions(), lambda sentence, done: told.append((sentence, done)))
    assert ("decoding images", 1.0) in told


def test_duplicate_pairs_are_equal_in_every_array():
    random = np.random.default_rng(0)
    numbers = random.integers(0, 3, (500, 3)).astype(np.float32)
    codes = random.integers(0, 3, (500, 2))
    rows = np.concatenate([numbers, codes], axis=1).tolist()
    first = {}
    expected = [(first.setdefault(tuple(row), i), i) for i, row in enumerate(rows)]
    expected = [(a, b) for a, b in expected if a != b]
    assert sorted(map(tuple, duplicate_pairs((numbers, codes)).tolist())) == sorted(expected)
    assert len(duplicate_pairs((np.arange(1000.0)[:, None],))) == 0


def test_importing_the_package_loads_none_of_torch_pandas_and_sklearn():
    code = "import sys, autorecipe.data; assert not {'pandas', 'sklearn', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize("kind", ["table", "image", "digits"])
def test_inspecting_files_loads_neither_torch_nor_sklearn(kind, tmp_path, image_folder):
    """Importing torch takes seconds, and whoever looks at data need not wait for it."""
    if kind != "table":
        path, target = image_folder() if kind == "image" else kind, None
    else:
        path, target = tmp_path / "a.csv", "kind"
        rows = [f"{i},text {i % 7} of some words,2024-0{1 + i % 9}-11,{'ab'[i % 2]}" for i in range(200)]
        path.write_text("\n".join(["size,words,day,kind", *rows]))
    code = (
        "import sys; from autorecipe.data import ReadOptions, inspect_dataset; "
        f"print(inspect_dataset({str(path)!r}, ReadOptions(target={target!r})).task); "
        "assert not {'torch', 'sklearn', 'optuna'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
