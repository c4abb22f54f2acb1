"""What inspection tells of a table's columns, classes and targets."""

import numpy as np
import pandas as pd
import pytest

from autorecipe.data import ReadOptions, inspect_dataset
from autorecipe.data.inspect import rare_classes, similar_classes
from autorecipe.data.table.examine import dropped_columns
from autorecipe.data.table.leaks import find_leaks

COUNT = 600


def random(seed=0):
    return np.random.default_rng(seed)


def found(frame, kind, **options):
    info = inspect_dataset(frame, ReadOptions(**options))
    return [finding for finding in info.findings if finding.kind == kind]


def regression(**columns):
    y = random().lognormal(size=COUNT)
    return pd.DataFrame({"noise": random(1).normal(size=COUNT), "target": y}).assign(
        **{n: f(y) for n, f in columns.items()}
    )


def classes(**columns):
    y = random().choice(["a", "b", "c"], COUNT, p=[0.5, 0.3, 0.2])
    return pd.DataFrame({"noise": random(1).normal(size=COUNT), "target": y}).assign(
        **{n: f(y) for n, f in columns.items()}
    )


def flipped(y, share):
    wrong = random(2).random(len(y)) < share
    return np.where(wrong, random(3).permutation(y), y)


@pytest.mark.parametrize(
    ("make", "column", "what"),
    [
        (regression, lambda y: y, "equals the target"),
        (regression, lambda y: np.log(y) * 3 + 1, "alone explains"),
        (regression, lambda y: [f"${value:,.9f}" for value in y], "equals the target|alone explains"),
        (classes, lambda y: y, "by other names"),
        (classes, lambda y: pd.Series(y).map({"a": 3, "b": 1, "c": 2}), "by other names"),
        (classes, lambda y: flipped(y, 0.005), "alone tells"),
        (classes, lambda y: pd.Series(y).map({"a": 0.0, "b": 5.0, "c": 9.0}) + random(4).random(COUNT), "alone tells"),
        (classes, lambda y: np.where(y == "a", None, y), "by other names"),
    ],
)
def test_a_column_that_tells_the_target_is_told(make, column, what):
    (finding,) = found(make(leak=column), "leak")
    assert finding.warn
    assert finding.otherwise == "--drop leak"
    assert any(text in finding.found for text in what.split("|"))
    assert not found(make(leak=column), "leak", drop=("leak",))


@pytest.mark.parametrize(
    ("make", "column"),
    [
        (regression, lambda y: y + random(2).normal(size=COUNT) * y.std() / 5),
        (regression, lambda y: [f"name {i % 300}" for i in range(COUNT)]),
        (classes, lambda y: flipped(y, 0.2)),
        (classes, lambda y: [f"name {i % 300}" for i in range(COUNT)]),
    ],
)
def test_a_column_that_merely_helps_is_not(make, column):
    assert not found(make(helps=column), "leak")


def test_real_sets_have_no_leak():
    for name in ("iris", "wine", "breast_cancer", "diabetes"):
        assert not [f for f in inspect_dataset(name, ReadOptions()).findings if f.kind == "leak"]


def test_few_rows_tell_nothing():
    frame = pd.DataFrame({"x": range(20)})
    assert find_leaks(frame, {"x": "."}, np.arange(20.0), "regression") == []


NOBODY = np.array([], dtype=str)


def test_rare_and_similar_classes():
    (rare,) = rare_classes(("a", "b", "c"), (100, 3, 1), NOBODY)
    assert "2 of 3 ('c' 1, 'b' 3)" in rare.found
    assert rare_classes(("a", "b"), (9, 100), NOBODY)
    assert not rare_classes(("a", "b"), (10, 100), NOBODY)
    assert not rare_classes(("a", "b"), (5, 20), NOBODY)
    (alike,) = similar_classes(("Cat", "cat ", "dog", "d o-g", "bird"), NOBODY)
    assert "'Cat' and 'cat '; 'dog' and 'd o-g'" in alike.found
    targets = np.array(["Cat", "dog", "cat ", "Cat", "bird", "Cat"])
    assert similar_classes(("Cat", "cat ", "dog"), targets)[0].rows == (0, 2, 3, 5)
    assert rare_classes(("Cat", "dog", "bird"), (1, 100, 1), targets)[0].rows == (0, 4, 3, 5)
    assert not similar_classes(("-1", "1", "A", "a", "C", "C++"), NOBODY)


@pytest.mark.parametrize("sign", [-999.0, 9999.0])
def test_signs_for_a_gap_in_columns_and_target(sign):
    values = random().normal(50, 10, COUNT)
    values[::50] = sign
    frame = pd.DataFrame({"weight": values, "target": random().normal(size=COUNT)})
    (finding,) = found(frame, "missing_value_codes")
    assert f"'weight' ({sign:g} in " in finding.found
    (target,) = found(frame.rename(columns={"weight": "target", "target": "weight"}), "suspicious_target")
    assert f"the target 'target' is {sign:g} in " in target.found
    assert not found(pd.DataFrame({"age": random().integers(0, 100, COUNT), "target": values}), "missing_value_codes")


def test_a_target_that_counts_the_rows():
    frame = pd.DataFrame({"x": random().normal(size=COUNT), "target": np.arange(COUNT)})
    assert found(frame, "suspicious_target")[0].warn


def test_near_constant_columns_that_stay_are_told():
    rows = np.arange(3000)
    frame = pd.DataFrame({"seldom": (rows % 250 == 0).astype(int), "x": random().normal(size=3000), "target": rows % 2})
    (finding,) = found(frame, "near_constant_columns")
    assert "1 column has one value in 99% of the rows or more: 'seldom' (99." in finding.found
    assert finding.otherwise == "--drop seldom"


def test_many_columns_of_a_kind_are_one_finding():
    one = [{"name": f"c{i}", "kind": "constant", "found": "has one value"} for i in range(3)]
    assert len(dropped_columns(one)) == 3
    many = [{"name": f"c {i}", "kind": "identifier", "found": "x"} for i in range(20)]
    (finding,) = dropped_columns(many)
    assert finding.found.startswith("20 columns have another value in each row")
    assert finding.otherwise == "--keep 'c 0' --keep 'c 1' --keep 'c 2' ..."


def test_rare_values_and_dates_are_told():
    frame = classes(
        town=lambda y: [f"town {i % 50}" if i % 20 else f"hamlet {i}" for i in range(COUNT)],
        when=lambda y: pd.date_range("2024-01-01", periods=COUNT).strftime("%d/%m/%Y"),
    )
    (rare,) = found(frame, "rare_values")
    assert "'town'" in rare.found
    (date,) = found(frame, "date_column")
    assert "/2024', read as %d/%m/%Y" in date.found
    frame["when"] = "03/04/2024"
    frame.loc[::2, "when"] = "05/06/2024"
    (date,) = found(frame, "date_column")
    assert date.warn


def test_equal_rows_of_different_classes_are_told():
    frame = pd.DataFrame({"x": np.arange(COUNT) % 300 / 7, "target": np.where(np.arange(COUNT) < 290, "a", "b")})
    (finding,) = found(frame, "conflicting_targets")
    assert finding.found.startswith("290 of 600 rows equal another in every used column and are of another class (")
    assert finding.warn
    assert not found(classes(), "conflicting_targets")
