"""A user's own function as the metric of a search."""

import numpy as np
import pytest

import autorecipe
from autorecipe.data.metrics import own_metric
from autorecipe.errors import InputError
from autorecipe.results import DatasetInfo
from autorecipe.rundir import read_json, read_lines
from autorecipe.search.curves import error_of_constant


def cost(y_true, y_pred):
    """A missed 'yes' costs five times as much as a false one."""
    missed = (y_true == "yes") & (y_pred == "no")
    false = (y_true == "no") & (y_pred == "yes")
    return (5 * missed.sum() + false.sum()) / len(y_true)


def example():
    random = np.random.default_rng(0)
    X = random.normal(size=(200, 2))
    return X, np.where(X[:, 0] + 0.3 * random.normal(size=200) > 0, "yes", "no")


def test_it_steers_a_search_and_must_be_given_again(no_baselines, tmp_path):
    options = {"budget": "8epochs", "max_width": 64, "max_depth": 3, "threads": 1}
    result = autorecipe.search(example(), metric=(cost, "minimize"), out=tmp_path / "run", **options)
    summary = result.summary
    assert (summary["metric"], summary["direction"]) == ("python:cost", "minimize")
    X, y = example()
    test = [int(row) for row in read_json(result.run.splits)["test"]]
    assert summary["scores"]["test"] == pytest.approx(cost(y[test], result.predict(X[test])))
    with pytest.raises(InputError, match=r"metric=cost\)"):
        autorecipe.resume(tmp_path / "run", "+4epochs", data=example())
    with pytest.raises(InputError, match="'python:cost', not 'python:other'"):
        autorecipe.resume(tmp_path / "run", "+4epochs", data=example(), metric=lambda_named("other"))
    again = autorecipe.resume(tmp_path / "run", "+4epochs", data=example(), metric=(cost, "minimize"))
    assert again.summary["status"] == "complete"


def lambda_named(name):
    def function(y_true, y_pred):
        return 0.0

    function.__name__ = name
    return function


def test_trials_without_a_number_are_never_the_best(no_baselines, tmp_path):
    def sometimes(y_true, y_pred):
        return float("nan") if np.sum(y_pred == "yes") % 2 else np.mean(y_true == y_pred)

    result = autorecipe.search(
        example(), "80epochs", metric=sometimes, out=tmp_path / "run", threads=1, max_width=64, max_depth=3
    )
    rows = read_lines(result.run.trials)
    nameless = [row for row in rows if "python:sometimes is nan after" in row["reason"]]
    assert nameless
    assert all(row["state"] == "pruned" and row["score"] is None for row in nameless)
    assert all(np.isfinite(row["score"]) for row in rows if row["state"] == "complete")
    assert all(np.isfinite(values).all() for d in result.decisions for values in d.scores.values())


def test_a_function_that_fails_is_told_before_the_search_goes_far(no_baselines, tmp_path):
    def broken(y_true, y_pred):
        raise KeyError("no such column")

    with pytest.raises(InputError, match="KeyError"):
        autorecipe.search(example(), budget="8epochs", metric=broken, out=tmp_path / "run", threads=1)


@pytest.mark.parametrize("nothing", ["raises", "nan", "perfect"])
def test_a_metric_that_says_nothing_of_a_constant_foretells_nothing(nothing):
    def strict(y_true, y_pred):
        if len(set(y_pred)) > 1:
            return float(np.mean(y_true != y_pred))
        if nothing == "raises":
            raise ValueError("one class alone has no correlation")
        return float("nan") if nothing == "nan" else 0.0

    targets = np.array([0, 1, 1, 0, 1])
    with own_metric((strict, "minimize")) as name:
        info = DatasetInfo("n", "table", "binary", "", name, "", {}, classes=("no", "yes"))
        assert error_of_constant(info, targets) is None
    usual = DatasetInfo("n", "table", "binary", "", "accuracy", "", {}, classes=("no", "yes"))
    assert error_of_constant(usual, targets) == pytest.approx(0.4)
