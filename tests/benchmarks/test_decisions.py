"""The verdict of the benchmark of decisions."""

import numpy as np
import pandas as pd
import pytest
from decisions import CASES, NOISE, dataset_of, label_of, upper, upper_mean


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
