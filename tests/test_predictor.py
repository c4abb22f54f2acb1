import contextlib
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from helpers import CPU, Heard, go_on, recipe_for, small_digits
from PIL import Image
from torch.utils.data import Dataset

import autorecipe
from autorecipe.cli.main import run
from autorecipe.clock import Clock
from autorecipe.data import ReadOptions, load_dataset
from autorecipe.errors import InputError, InputWarning
from autorecipe.predictor import load
from autorecipe.recipe import load_recipe
from autorecipe.rundir import read_json
from autorecipe.search.replay import replay_recipe
from autorecipe.search.space import data_fields


def trained(source, folder, steps=60, **options):
    """A run with a model, made as quickly as a recipe is replayed."""
    dataset = load_dataset(source, ReadOptions(**options))
    assert CPU.threads == 1
    recipe = recipe_for(dataset, **{**data_fields(dataset.info), "training.steps": steps})
    run = replay_recipe(recipe, source, folder, Clock(0.0), threads=1, say=Heard(), stop=go_on)
    return SimpleNamespace(path=run.path, dataset=dataset)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"size": random.normal(size=120), "colour": random.choice(["red", "blue"], 120)})
    frame["kind"] = np.where(frame["size"] + (frame["colour"] == "red") > 0.5, "yes", "no")
    frame.to_csv(folder / "things.csv", index=False)
    found = trained(str(folder / "things.csv"), folder / "run", target="kind")
    return SimpleNamespace(
        **vars(found), frame=frame.drop(columns="kind"), truth=frame["kind"], file=folder / "things.csv"
    )


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    return trained("diabetes", tmp_path_factory.mktemp("numbers") / "run")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return trained(small_digits(200), tmp_path_factory.mktemp("images") / "run", steps=160)


@pytest.fixture
def copy(table, tmp_path):
    return shutil.copytree(table.path, tmp_path / "copy")


def test_a_table_is_predicted_from_a_file_and_from_a_frame(table):
    result = autorecipe.load(table.path)
    from_frame = result.predict(table.frame)
    assert (from_frame == result.predict(table.file)).all()
    assert set(from_frame) <= {"yes", "no"}
    assert np.mean(from_frame == table.truth) > 0.8
    assert (result.predict(table.frame[["colour", "size"]]) == from_frame).all()


def test_the_reloaded_model_scores_what_the_summary_says(table):
    result = load(table.path)
    test = [int(n) for n in read_json(table.path / "splits.json")["test"]]
    found = np.mean(result.predict(table.frame.iloc[test]) == table.truth.iloc[test])
    assert found == pytest.approx(result.summary["scores"]["test"])


def test_probabilities_add_up(table):
    result = load(table.path)
    chances = result.predict_proba(table.frame)
    assert chances.sum(1) == pytest.approx(np.ones(len(table.frame)))
    assert (np.array(result.info.classes)[chances.argmax(1)] == result.predict(table.frame)).all()


def test_the_columns_of_predictions(table, numbers, images):
    found = load(table.path).predict_table(table.frame)
    assert list(found.columns) == ["row", "prediction", "probability.no", "probability.yes"]
    assert len(found) == len(table.frame)
    from sklearn.datasets import load_diabetes

    X = load_diabetes(as_frame=True).data
    found = load(numbers.path).predict_table(X)
    assert list(found.columns) == ["row", "prediction"]
    found = load(images.path).predict_table(small_digits(5)[0])
    assert list(found.columns) == ["file", "prediction", *(f"probability.{c}" for c in range(10))]


def test_a_regression_is_in_the_users_units(numbers):
    from sklearn.datasets import load_diabetes

    X, y = load_diabetes(as_frame=True, return_X_y=True)
    result = load(numbers.path)
    found = result.predict(X)
    assert found.dtype == np.float64
    assert found.mean() == pytest.approx(y.mean(), rel=0.2)
    with pytest.raises(InputError, match="no probabilities"):
        result.predict_proba(X)


def test_images_are_predicted_from_arrays(images):
    X, y = small_digits(200)
    found = load(images.path).predict(X)
    assert np.mean(found == y.astype(str)) > 0.5
    assert load(images.path).device.type == "cpu"


def test_images_are_predicted_from_a_dataset_as_from_an_array(images):
    X, y = small_digits(20)
    tensors = [(torch.from_numpy(x).float(), int(target)) for x, target in zip(X, y, strict=True)]
    wanted = load(images.path).predict_proba(X)
    assert np.allclose(load(images.path).predict_proba(Listed(tensors)), wanted)
    assert np.allclose(load(images.path).predict_proba(Listed([x for x, _ in tensors])), wanted)


def test_a_table_is_predicted_from_items_and_from_another_librarys_frame(table):
    frame = table.frame
    wanted = load(table.path).predict(frame)
    assert (load(table.path).predict(pa.Table.from_pandas(frame)) == wanted).all()
    assert (load(table.path).predict(Listed(frame.to_dict("records"))) == wanted).all()


class Listed(Dataset):
    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on a folder of dark and light images, 12 of each."""
    place = tmp_path_factory.mktemp("folder")
    random = np.random.default_rng(0)
    for i in range(24):
        path = place / "data" / ("dark", "light")[i % 2] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 90, (8, 8), dtype=np.uint8) + 150 * (i % 2)).save(path)
    return SimpleNamespace(**vars(trained(str(place / "data"), place / "run")), data=place / "data")


def test_images_that_cannot_be_read_are_named_and_the_others_predicted(folder, tmp_path, capsys):
    data = shutil.copytree(folder.data, tmp_path / "data")
    (data / "dark" / "broken\x1b[2J.png").write_bytes(b"no image")
    (data / "light" / "empty.png").write_bytes(b"")
    result = load(folder.path)
    with pytest.warns(InputWarning, match=r"have no prediction: 2 of 26 \(dark/broken.*; light"):
        found = result.predict_table(data)
    plain = result.predict_table(folder.data)
    assert found.equals(plain)
    assert run(["predict", str(folder.path), str(data)]) == 0
    told = capsys.readouterr()
    assert told.out.count("\n") == 25
    assert told.err.startswith("warning: images that cannot be read")
    assert "light/empty.png: the file is empty" in told.err
    assert "\x1b" not in told.err


def test_an_input_that_is_not_there_is_said_to_be(folder, table, tmp_path, capsys):
    for model in (folder, table):
        with pytest.raises(InputError, match=r"there is no file or folder '.*gone\.png'"):
            load(model.path).predict(tmp_path / "gone.png")
    assert run(["predict", str(folder.path), "gone\x1b[2J.png"]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_names_that_are_no_utf_8_are_written_as_they_are(tmp_path, capfdbinary):
    random = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    for kind, base in ((b"d\xe9j\xe0", 0), (b"light", 150)):
        place = os.fsencode(tmp_path / "data") + b"/" + kind
        try:
            os.mkdir(place)  # noqa: PTH102
        except OSError:
            pytest.skip("this file system has no such names")
        for i in range(12):
            image = Image.fromarray(random.integers(0, 90, (8, 8), dtype=np.uint8) + np.uint8(base))
            image.save(os.fsdecode(place + f"/{i}".encode() + b"\xff.png"))
    found = trained(str(tmp_path / "data"), tmp_path / "run")
    assert run(["predict", str(found.path), str(tmp_path / "data"), "--out", str(tmp_path / "p.csv")]) == 0
    capfdbinary.readouterr()
    assert run(["predict", str(found.path), str(tmp_path / "data")]) == 0
    out = capfdbinary.readouterr().out
    assert out == (tmp_path / "p.csv").read_bytes()
    assert b"d\xe9j\xe0/3\xff.png," in out
    assert run(["predict", str(found.path), str(tmp_path / "data"), "--out", str(tmp_path / "p.parquet")]) == 2
    assert b"give --out FILE.csv" in capfdbinary.readouterr().err
    assert not (tmp_path / "p.parquet").exists()


def test_none_of_the_images_can_be_read(folder, tmp_path, capsys):
    (tmp_path / "x.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"none of the images can be read \(1\): x.png: not an image"):
        load(folder.path).predict(tmp_path / "x.png")
    assert run(["predict", str(folder.path), str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: none of the images")
    empty = tmp_path / "none"
    empty.mkdir()
    with pytest.raises(InputError, match=r"no image with a suffix .*\.tiff"):
        load(folder.path).predict(empty)


def test_images_are_predicted_in_every_layout(folder, tmp_path):
    result = load(folder.path)
    plain = dict(zip(*(result.predict_table(folder.data)[name] for name in ("file", "prediction")), strict=True))
    assert np.mean([Path(name).parts[0] == value for name, value in plain.items()]) > 0.7
    shutil.copytree(folder.data, tmp_path / "set" / "test")
    shutil.copytree(folder.data / "dark", tmp_path / "set" / "flat")
    (tmp_path / "set" / "labels.csv").write_text("filename,label\nflat/00.png,dark\n")
    found = result.predict_table(tmp_path / "set")
    assert len(found) == 36
    for name, value in zip(found["file"], found["prediction"], strict=True):
        parts = Path(name).parts
        assert value == plain["/".join(parts[1:]) if parts[0] == "test" else f"dark/{parts[1]}"]


def test_a_result_reads_its_folder(table):
    result = load(table.path)
    assert result.recipe == load_recipe(table.path / "recipe.yaml")
    assert result.decisions == []
    assert result.summary["recipe_digest"] == result.recipe.digest
    assert result.path == table.path
    assert not result.model.training


def test_there_must_be_a_run_with_a_model(tmp_path, copy):
    with pytest.raises(InputError, match="no run at"):
        load(tmp_path / "none")
    (copy / "model.safetensors").unlink()
    with pytest.raises(InputError, match="autorecipe resume"):
        load(copy)


def test_damaged_weights(copy):
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="damaged"):
        _ = load(copy).model


def test_weights_of_another_network(copy, numbers):
    shutil.copy(numbers.path / "model.safetensors", copy / "model.safetensors")
    with pytest.raises(InputError, match="do not fit"):
        _ = load(copy).model


def test_tampered_weights_are_found_by_their_sha256(copy, table):
    path = copy / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match="SHA-256"):
        load(copy).predict(table.frame)


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"preprocess": {}}', '{"preprocess": {}, "info": {}}', '{"preprocess": {}, "info": 3}'],
)
def test_a_damaged_preprocess(copy, table, text):
    (copy / "preprocess.json").write_text(text)
    with pytest.raises(InputError):
        load(copy).predict(table.frame)


def test_a_preprocess_that_lacks_a_part(copy, table):
    data = read_json(copy / "preprocess.json")
    from autorecipe.rundir import write_json

    for key in list(data["preprocess"]):
        broken = {**data, "preprocess": {k: v for k, v in data["preprocess"].items() if k != key}}
        write_json(copy / "preprocess.json", broken)
        with contextlib.suppress(InputError):  # there may be parts that predicting does not need
            assert len(load(copy).predict(table.frame)) == len(table.frame)


@pytest.mark.parametrize("text", ["a: [1", "network: {widht: 3}", ""])
def test_a_damaged_recipe(copy, table, text):
    (copy / "recipe.yaml").write_text(text)
    with pytest.raises(InputError, match=r"recipe\.yaml"):
        load(copy).predict(table.frame)


def test_a_recipe_of_an_unknown_family(copy, table):
    path = copy / "recipe.yaml"
    path.write_text(path.read_text().replace("family: mlp", "family: mpl"))
    with pytest.raises(InputError, match="did you mean 'mlp'"):
        load(copy).predict(table.frame)


@pytest.mark.parametrize("name", ["summary.json", "decisions.json"])
def test_a_damaged_summary_or_ledger(copy, name):
    (copy / name).write_text("{")
    with pytest.raises(InputError, match="damaged"):
        _ = load(copy).summary, load(copy).decisions


@pytest.mark.parametrize("name", ["new.csv", "new.png"])
def test_a_file_that_is_not_there(table, images, name):
    for path in (table.path, images.path):
        with pytest.raises(InputError, match=f"there is no file or folder '{name}'"):
            load(path).predict(name)


def test_inputs_that_do_not_fit(table):
    with pytest.raises(InputError, match="size"):
        load(table.path).predict(table.frame.drop(columns="size"))


def test_a_model_from_a_messy_table_predicts_from_its_file(tmp_path):
    random = np.random.default_rng(0)
    days = pd.date_range("2023-01-01", periods=200)
    frame = pd.DataFrame(
        {
            "when": days.strftime("%d/%m/%Y"),
            "price": [f"${x:,.0f}" for x in random.integers(900, 9000, 200)],
            "note": [f"the {a} was {b}" for a, b in random.choice(["wine", "bread", "good", "bad"], (200, 2))],
            "open": random.choice(["yes", "no"], 200),
            "target": random.normal(size=200),
        }
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    found = trained(str(tmp_path / "t.csv"), tmp_path / "run", steps=4, time="when", drop=("open",))
    result = autorecipe.load(found.path)
    assert (result.info.time, result.info.drop) == ("when", ("open",))
    predicted = result.predict(str(tmp_path / "t.csv"))
    assert len(predicted) == 200
    assert np.isfinite(predicted).all()
    assert np.allclose(result.predict(frame.drop(columns=["open", "target"])), predicted)
    with pytest.raises(InputError, match=r"none of 2 columns.*'price', 'note'"):
        result.predict(frame.drop(columns=["price", "note"]))
    splits = read_json(result.run.splits)
    assert splits["test"] == [str(i) for i in range(160, 200)]
    again = replay_recipe(
        result.recipe, str(tmp_path / "t.csv"), tmp_path / "again", Clock(0.0), say=Heard(), stop=go_on
    )
    assert read_json(again.splits) == splits
