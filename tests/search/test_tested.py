"""What the pass over test leaves: predictions, examples, the score's interval, for every task and kind of data."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from autorecipe.clock import Budget, Clock
from autorecipe.data import ReadOptions, load_dataset
from autorecipe.results import DatasetInfo
from autorecipe.rundir import RunDir, read_json
from autorecipe.search import tested
from autorecipe.search.tested import MISTAKES, MOST_TYPICAL, choose, keep_tested

SCRIPT = "<script>alert(1)</script>"


def table(task, count=200):
    import pandas as pd

    random = np.random.default_rng(0)
    size, weight = random.normal(size=(2, count))
    frame = pd.DataFrame(
        {
            "size": size,
            "weight": weight,
            "colour": random.choice(["red", "green"], count),
            "when": pd.date_range("2020-01-01", periods=count)[random.permutation(count)],
            "<b>many</b>": random.integers(0, 50, count),
        }
    )
    frame.loc[::7, "size"] = np.nan
    if task == "binary":
        return frame, np.where(weight > 0, SCRIPT, "other")
    if task == "multiclass":
        return frame, np.asarray([SCRIPT, "b", "c"])[np.digitize(weight, (-0.5, 0.5))]
    if task == "multilabel":
        return frame, pd.DataFrame({SCRIPT: (weight > 0).astype(int), "late": (frame["<b>many</b>"] > 25).astype(int)})
    return frame, 100 + 20 * weight + random.normal(size=count)


def pictures(task, count=200, side=80):
    random = np.random.default_rng(0)
    X = random.integers(0, 255, (count, side, side, 3)).astype(np.uint8)
    y = {
        "binary": np.where(np.arange(count) % 2, SCRIPT, "other"),
        "multiclass": np.asarray([SCRIPT, "b", "c"])[np.arange(count) % 3],
        "multilabel": random.integers(0, 2, (count, 3)),
        "regression": random.normal(size=count),
    }[task]
    return X, y


def bench_of(dataset, path, left=100.0, seed=0):
    import time

    budget = Budget("100s", seconds=100.0)
    return SimpleNamespace(
        dataset=dataset, run=RunDir(path), seed=seed, budget=budget, clock=Clock(time.monotonic(), limit=left)
    )


def outputs_of(dataset, seed=0):
    """A model that is often right."""
    random = np.random.default_rng(seed)
    info, targets = dataset.info, dataset.targets.numpy()[dataset.splits.test]
    noise = random.normal(size=(len(targets), info.num_outputs))
    if info.task == "regression":
        return (targets[:, None] + 0.3 * noise).astype(np.float32)
    if info.task == "multilabel":
        return (3 * (2 * targets - 1) + 2 * noise).astype(np.float32)
    return (3 * np.eye(info.num_outputs)[targets] + 1.5 * noise).astype(np.float32)


def read_tensors(path):
    with safe_open(path, "np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


@pytest.fixture(scope="module")
def sets(_own_cache):
    made = {}

    def get(kind, task):
        if (kind, task) not in made:
            data = (table if kind == "table" else pictures)(task)
            made[kind, task] = load_dataset(data, ReadOptions(task=task))
        return made[kind, task]

    return get


TASKS = ("binary", "multiclass", "multilabel", "regression")
CASES = [(kind, task) for kind in ("table", "image") for task in TASKS]


@pytest.mark.parametrize(("kind", "task"), CASES)
def test_the_predictions_of_test(kind, task, sets, tmp_path):
    data = sets(kind, task)
    outputs = outputs_of(data)
    keep_tested(bench_of(data, tmp_path), outputs, ())
    found, facts = read_tensors(tmp_path / "artifacts" / "test.safetensors")
    test = data.splits.test
    assert found["rows"].tolist() == test.tolist()
    assert found["rows"].dtype == np.int64
    assert found["outputs"].dtype == np.float32
    assert facts == {"format": "1", "num_test": str(len(test)), "sampled": "false"}
    if task == "regression":
        assert found["outputs"].shape == (len(test), 1)
        assert found["targets"].dtype == np.float32
        _, y = (table if kind == "table" else pictures)(task)
        assert found["targets"] == pytest.approx(y[test], rel=1e-4, abs=1e-4)
        assert np.corrcoef(found["outputs"][:, 0], y[test])[0, 1] > 0.8
        return
    assert found["outputs"].shape == (len(test), len(data.info.classes))
    assert found["targets"].dtype == np.int64
    assert (found["targets"] == data.targets.numpy()[test]).all()
    assert 0 <= found["outputs"].min() <= found["outputs"].max() <= 1
    if task == "multilabel":
        assert found["targets"].shape == found["outputs"].shape
        assert ((found["outputs"] > 0.5) == (outputs > 0)).all()
    else:
        assert found["outputs"].sum(1) == pytest.approx(1, abs=1e-5)
        assert (found["outputs"].argmax(1) == outputs.argmax(1)).all()


@pytest.mark.parametrize(("kind", "task"), CASES)
def test_the_examples(kind, task, sets, tmp_path):
    data = sets(kind, task)
    keep_tested(bench_of(data, tmp_path), outputs_of(data), ())
    folder = tmp_path / "artifacts"
    rows = read_json(folder / "examples.json")
    by_kind = {kind: [row for row in rows if row["kind"] == kind] for kind in ("typical", "mistake")}
    assert by_kind["typical"]
    assert 0 < len(by_kind["mistake"]) <= MISTAKES
    assert len({row["row"] for row in rows}) == len(rows)
    worst = [abs(row["error"]) if task == "regression" else row["probability"] for row in by_kind["mistake"]]
    assert worst == sorted(worst, reverse=True)
    for row in rows:
        assert row["row"] in data.splits.test
        assert row["name"] == data.names[row["row"]]
        if task == "regression":
            assert row["error"] == pytest.approx(row["predicted"] - row["target"], abs=1e-3)
        else:
            assert (row["target"] == row["predicted"]) == (row["kind"] == "typical")
            assert 0 <= row["probability"] <= 1
        if kind == "table":
            assert "image" not in row
        else:
            with Image.open(folder / row["image"]) as picture:
                assert picture.format == "PNG"
                assert max(picture.size) <= 64
    if task in ("binary", "multiclass"):
        for name in data.info.classes:
            assert sum(row["target"] == name for row in by_kind["typical"]) == 2
        assert any(row["target"] == SCRIPT for row in rows)  # escaping is for whoever shows it
    if kind == "image":
        assert len(list((folder / "examples").iterdir())) == len(rows)


def test_values_of_a_row_are_those_of_the_table(sets, tmp_path):
    data = sets("table", "binary")
    keep_tested(bench_of(data, tmp_path), outputs_of(data), ())
    X, _ = table("binary")
    for row in read_json(tmp_path / "artifacts" / "examples.json"):
        values, raw = row["values"], X.iloc[row["row"]]
        assert values["weight"] == pytest.approx(raw["weight"])
        assert values["colour"] == raw["colour"]
        assert values["when"] == str(raw["when"])
        assert values["<b>many</b>"] == raw["<b>many</b>"]
        assert (values["size"] is None) == np.isnan(raw["size"])


def test_a_small_picture_is_kept_as_it_is(digits, tmp_path):
    keep_tested(bench_of(digits, tmp_path), outputs_of(digits), ())
    row = read_json(tmp_path / "artifacts" / "examples.json")[0]
    with Image.open(tmp_path / "artifacts" / row["image"]) as picture:
        assert (np.asarray(picture) == digits.inputs[0][row["row"], 0].numpy()).all()


def test_no_more_columns_than_can_be_read(tmp_path):
    random = np.random.default_rng(0)
    data = load_dataset((random.normal(size=(100, 30)), np.arange(100) % 2), ReadOptions())
    keep_tested(bench_of(data, tmp_path), outputs_of(data), ())
    rows = read_json(tmp_path / "artifacts" / "examples.json")
    assert {len(row["values"]) for row in rows} == {12}


def test_a_large_test_split_is_sampled(sets, tmp_path, monkeypatch):
    data = sets("table", "multiclass")
    monkeypatch.setattr(tested, "MOST_ROWS", 10)
    outputs = outputs_of(data)
    drawn = []
    for place, seed in (("a", 0), ("b", 0), ("c", 1)):
        keep_tested(bench_of(data, tmp_path / place, seed=seed), outputs, ())
        found, facts = read_tensors(tmp_path / place / "artifacts" / "test.safetensors")
        assert facts["sampled"] == "true"
        assert facts["num_test"] == str(len(data.splits.test))
        assert len(found["rows"]) == len(found["outputs"]) == 10
        assert (data.targets.numpy()[found["rows"]] == found["targets"]).all()
        drawn.append(found["rows"].tolist())
    assert drawn[0] == drawn[1] != drawn[2]


def test_without_time_nothing_is_left_not_even_of_before(sets, tmp_path):
    data = sets("image", "binary")
    keep_tested(bench_of(data, tmp_path), outputs_of(data), ())
    keep_tested(bench_of(data, tmp_path, left=0.05), outputs_of(data), ())
    assert list((tmp_path / "artifacts").iterdir()) == []


def test_outputs_that_are_not_finite_have_no_examples(sets, tmp_path):
    data = sets("table", "regression")
    keep_tested(bench_of(data, tmp_path), np.full((len(data.splits.test), 1), np.nan, np.float32), ())
    assert [path.name for path in (tmp_path / "artifacts").iterdir()] == ["test.safetensors"]


def info_of(task, classes):
    return DatasetInfo("d", "table", task, "", "accuracy", "", {}, classes)


def test_the_most_confident_mistakes_come_first():
    targets = np.zeros(40, np.int64)
    outputs = np.stack([np.zeros(40), np.linspace(-5, 5, 40)], 1).astype(np.float32)
    chosen = choose(targets, outputs, info_of("binary", ("no", "yes")))
    assert [i for i, facts in chosen if facts["kind"] == "mistake"] == list(range(39, 27, -1))
    typical = [i for i, facts in chosen if facts["kind"] == "typical"]
    assert set(typical) <= {9, 10}  # the middle of those that are right
    # A threshold changes what is said, and so what is a mistake.
    chosen = choose(targets, outputs, info_of("binary", ("no", "yes")), thresholds=(0.99,))
    assert [i for i, facts in chosen if facts["kind"] == "mistake"] == [39, 38]
    assert chosen[-1][1]["predicted"] == "yes"


def test_many_classes_have_one_example_each_and_the_commonest_are_shown():
    classes = tuple(f"c{k:02}" for k in range(40))
    targets = np.concatenate([np.arange(40), np.arange(10, 40)])
    chosen = choose(targets, 9 * np.eye(40, dtype=np.float32)[targets], info_of("multiclass", classes))
    assert len(chosen) == MOST_TYPICAL
    assert all(int(facts["target"][1:]) >= 10 for _, facts in chosen)


def test_the_label_that_is_most_wrong_is_named():
    classes = ("a", "b", "c")
    targets = torch.tensor([[1.0, 0.0, 1.0]] * 3).numpy()
    outputs = np.asarray([[4, -4, 4], [4, 1, -3], [4, -4, -1]], np.float32)
    chosen = choose(targets, outputs, info_of("multilabel", classes))
    assert [(i, facts["kind"], facts["label"]) for i, facts in chosen] == [
        (0, "typical", "a"),
        (1, "mistake", "c"),
        (2, "mistake", "c"),
    ]
    assert chosen[1][1]["target"] == ["a", "c"]
    assert chosen[1][1]["predicted"] == ["a", "b"]
    assert chosen[1][1]["probability"] == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-4)


def test_a_search_reads_test_once_and_leaves_it_all(searched):
    run = searched(budget="60epochs").run
    summary = read_json(run.summary)
    assert summary["test_reads"] == 1
    interval = summary["score_interval"]
    assert interval["retraining"]["low"] <= summary["scores"]["test"] <= interval["retraining"]["high"]
    assert interval["sample"]["low"] <= summary["scores"]["test"] <= interval["sample"]["high"]
    assert interval["level"] == 0.9
    assert interval["seed_sd"] > 0
    found, _ = read_tensors(run.tested)
    accuracy = np.mean(found["outputs"].argmax(1) == found["targets"])
    assert accuracy == pytest.approx(summary["scores"]["test"])
    assert read_json(run.examples)
