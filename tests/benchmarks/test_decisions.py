"""The verdict of the benchmark of decisions."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from common import Store, days, origin, training_code
from decisions import CASES, DRAWS, NOISE, Runs, dataset_of, label_of, table, upper, upper_mean


def test_bounds_end_above_what_was_seen():
    assert upper(0.05, 1000) == pytest.approx(0.0629, abs=0.001)
    assert upper(1.0, 10) == 1.0
    random = np.random.default_rng(0)
    ends = [upper_mean(list(random.normal(0.03, 0.01, 12))) for _ in range(400)]
    assert np.mean(np.asarray(ends) > 0.03) == pytest.approx(0.95, abs=0.03)
    assert upper_mean([0.1]) == 1.0


def test_cases_share_the_runs_of_equal_recipes_alone():
    labels = [label_of(case, changes) for case in CASES.values() for changes in (case.worse, case.better)]
    assert len(set(labels)) < len(labels)
    assert all(label_of(case, case.worse) != label_of(case, case.better) for case in CASES.values())
    assert {name.rpartition("-")[2] for name in CASES} == {"width", "rate", "depth", "decay", "augmentation"}


def test_columns_of_noise_are_added_to_the_same_rows(tmp_path):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.integers(0, 16, (16_000, 3)), columns=["a", "b", "c"])
    frame["lettr"] = np.where(frame["a"] > 7, "A", "B")
    (tmp_path / "letter").mkdir()
    frame.to_csv(tmp_path / "letter" / "train.csv", index=False)
    plain, noisy = (dataset_of(name, tmp_path) for name in ("letter", "letter_noise"))
    assert len(noisy.targets) == len(plain.targets) == 10_000
    assert (noisy.targets == plain.targets).all()
    assert noisy.info.num_numbers == plain.info.num_numbers + NOISE


def test_stored_runs_are_taken_whatever_trained_them_and_told_apart(tmp_path, monkeypatch):
    def train(dataset, case, changes, seeds, path):
        path.parent.mkdir(exist_ok=True)
        path.touch()
        return {"file": path.name, "scores": [0.9], "training_code": training_code()}

    monkeypatch.setattr("decisions.train_runs", train)
    case = CASES["letter-width"]
    dataset = SimpleNamespace(splits=SimpleNamespace(parts=(0, 1, 2)))
    store, folder = Store(tmp_path / "rows.jsonl"), tmp_path / "runs"
    labels = [f"{label_of(case, {})}-part{part}-x60" for part in range(3)]
    old = {"file": "", "scores": [0.6]}
    folder.mkdir()
    lines = [{"key": label, "code": "runs", "time": 1_700_000_000, "row": old} for label in labels[:2]]
    store.path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / f"{labels[0]}.safetensors").touch()  # of the second the outputs are gone, the third was never trained
    runs = Runs(store, folder, 60, until=float("inf"))
    assert runs.of(dataset, case, {})[1] == pytest.approx((0.6 + 0.9 + 0.9) / 3)
    assert runs.of(dataset, case, {})[1] == pytest.approx((0.6 + 0.9 + 0.9) / 3)
    rows = origin(list(runs.lines.values()), [line["row"].get("training_code") for line in runs.lines.values()])
    assert (rows["rows"], rows["codes"], rows["of_unknown_code"]) == (3, 1, 1)
    assert rows["first"] < "2023-11-16" < rows["last"]
    assert days(rows).startswith("Measured 2023-11-1")
    assert Runs(store, tmp_path / "gone", 60, until=0.0).of(dataset, case, {}) is None


def test_the_table_names_the_recipe_that_is_claimed_against_itself_most_often():
    rows = {"first": "2026-01-01 10:00", "last": "2026-01-01 11:00"}
    lines = table({}, {"one": 0.01, "other": 0.075}, rows).splitlines()
    assert f"Claimed against itself most often: other, in 7.5% of {DRAWS} draws." in lines
    assert lines[-1].endswith("Measured 2026-01-01.")
