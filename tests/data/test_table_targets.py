"""What is to be predicted, several labels, groups and time: as the options say."""

import numpy as np
import pandas as pd
import pytest

from autorecipe.data import ReadOptions, inspect_dataset, load_dataset, modality
from autorecipe.errors import InputError

TABLE = modality("table")


def read(frame, **options):
    return TABLE.read(frame, ReadOptions(**options), lambda what, share: None)


def labels_of(count=40):
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "size": random.normal(size=count),
            "red": random.integers(0, 2, count),
            "big": random.integers(0, 2, count).astype(bool),
            "a,b": np.where(random.random(count) < 0.5, "yes", "no"),
        }
    )


def test_several_targets_are_labels_joined_by_a_bar():
    frame = labels_of()
    raw = read(frame, target="red, big")
    assert raw.facts["task"] == "multilabel"
    assert raw.facts["classes"] == ("red", "big")
    assert raw.facts["target"] == "red, big"
    assert list(raw.inputs.columns) == ["size", "a,b"]
    expected = ["|".join(sorted(n for n in ("red", "big") if frame.loc[i, n])) for i in range(len(frame))]
    assert raw.targets.tolist() == expected
    assert set(expected) == {"", "red", "big", "big|red"}


def test_a_column_with_a_comma_in_its_name_is_one_target():
    assert read(labels_of(), target="a,b").facts["task"] == "binary"


def test_a_comma_after_the_one_target_says_nothing():
    raw = read(labels_of(), target="red,")
    assert raw.facts["target"] == "red"
    assert raw.facts["task"] == "binary"


def test_rows_without_all_labels_are_left_out_and_counted():
    frame = labels_of().astype({"red": float})
    frame.loc[[1, 5], "red"] = np.nan
    raw = read(frame, target="red,big")
    assert len(raw.targets) == 38
    assert any("2 of 40 rows" in finding.found for finding in raw.findings)


@pytest.mark.parametrize(
    ("changes", "options", "match"),
    [
        ({"red": range(40)}, {"target": "red,big"}, "label 'red' holds '2' in row 2"),
        ({}, {"target": "red,bog"}, "no column 'bog': did you mean 'big'"),
        ({}, {"target": "red,big,red"}, "names a column twice"),
        ({}, {"target": ","}, "--target , names no column of the data; name one of them: "),
        ({"red": 0, "big": "no"}, {"target": "red,big"}, "all 40 examples of 'data' have no label; there is nothing"),
        ({"red": 1, "big": 1}, {"target": "red,big"}, "all 40 examples of 'data' have the same labels, 'big|red'"),
        ({}, {"target": "red,big", "task": "binary"}, "2 targets are multilabel, not binary"),
        ({"x|y": 0}, {"target": "red,x|y"}, "named 'x|y': labels need different names"),
        ({"red": np.nan}, {"target": "red,big"}, "one of the labels red, big is empty"),
        ({"red": np.nan}, {"target": "red"}, "'red' is empty in all 40 rows"),
        ({"red": 1}, {"target": "red"}, "only one value, '1', in 40 examples"),
        ({}, {"target": "size", "group": "size"}, "--group 'size' is the target"),
        ({}, {"target": "size", "time": "sise"}, "--time names no column: 'sise': did you mean 'size'"),
        ({}, {"target": "red", "time": "a,b"}, "neither dates nor numbers, but '"),
        ({"t": 1}, {"target": "red", "time": "t"}, "says the same of all 40 rows"),
        ({"t": None}, {"target": "red", "time": "t"}, "neither dates nor numbers, but 'nothing'"),
        ({"t": range(40)}, {"target": "red", "time": "t", "group": "big"}, "choose what the model will face"),
        ({"g": np.arange(40) % 3}, {"target": "red", "group": "g"}, "at least 4 are needed"),
        ({"red": [np.inf, *range(39)]}, {"target": "red"}, "1 infinite or huge values .row 0: 1e.150"),
    ],
)
def test_what_cannot_be_asked(changes, options, match):
    with pytest.raises(InputError, match=match.replace("|", r"\|").replace("(", r"\(")):
        load_dataset(labels_of().assign(**changes), ReadOptions(**options))


def grouped(count=300):
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "patient": random.integers(0, 40, count).astype(str),
            "size": random.normal(size=count),
            "target": random.integers(0, 2, count),
        }
    )


def test_groups_are_on_one_side_and_no_input():
    frame = grouped()
    frame.loc[:4, "patient"] = None
    dataset = load_dataset(frame, ReadOptions(group="patient"))
    assert [column["name"] for column in dataset.preprocess["columns"]] == ["size"]
    assert dataset.info.group == "patient"
    patients = frame["patient"].fillna("none").to_numpy()
    sides = [set(patients[getattr(dataset.splits, name)]) for name in ("train", "val", "test")]
    assert sum(map(len, sides)) == len(set().union(*sides)) == 41
    finding = next(f for f in dataset.info.findings if f.kind == "groups")
    assert "41 groups by 'patient'" in finding.found
    assert "5 rows without one" in finding.found
    kept = load_dataset(frame, ReadOptions(group="patient", keep=("patient",)))
    assert {column["name"] for column in kept.preprocess["columns"]} == {"patient", "size"}


def test_given_splits_that_divide_groups_stay_and_are_told(tmp_path):
    frame = grouped()
    frame[:200].to_csv(tmp_path / "train.csv", index=False)
    frame[200:].to_csv(tmp_path / "test.csv", index=False)
    dataset = load_dataset(tmp_path, ReadOptions(group="patient"))
    assert dataset.splits.test.tolist() == list(range(200, 300))
    finding = next(f for f in dataset.info.findings if f.kind == "groups")
    assert finding.warn
    assert "in train and in a given test" in finding.found
    patients = frame["patient"].to_numpy()
    assert not set(patients[dataset.splits.val]) & set(patients[dataset.splits.train])


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d/%m/%Y", None])
def test_time_orders_the_splits_and_stays_an_input(form):
    random = np.random.default_rng(0)
    days = pd.to_datetime("2023-01-01") + pd.to_timedelta(random.permutation(400), unit="D")
    frame = grouped(400).drop(columns="patient").assign(day=days if form is None else days.strftime(form))
    frame.loc[7, "day"] = None
    dataset = load_dataset(frame, ReadOptions(time="day"))
    assert len(dataset.targets) == 399
    when = np.delete(days.to_numpy(), 7)
    splits = dataset.splits
    assert when[splits.train].max() < when[splits.val].min() <= when[splits.val].max() < when[splits.test].min()
    assert any(column["name"] == "day" for column in dataset.preprocess["columns"])
    finding = next(f for f in dataset.info.findings if f.kind == "time")
    assert "from 2023-01-01 to 2024-02-04 by 'day'" in finding.found
    assert any(f.kind == "missing_time" for f in dataset.info.findings)
    assert dataset.info.time == "day"


def test_a_class_that_comes_later_is_told_not_refused():
    frame = grouped().assign(target=["a"] * 150 + ["b"] * 140 + ["new"] * 10, t=np.arange(300) * 1.5)
    info = inspect_dataset(frame, ReadOptions(time="t"))
    finding = next(f for f in info.findings if f.kind == "class_of_the_future")
    assert "class 'new' has 10 examples in test" in finding.found


def test_group_time_and_drop_are_for_tables():
    for option in ("group", "time"):
        with pytest.raises(InputError, match=f"--{option} names a column of a table, but 'digits' holds images"):
            load_dataset("digits", ReadOptions(**{option: "x"}))
