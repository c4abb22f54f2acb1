"""The estimators beyond scikit-learn's own checks."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import autorecipe
from autorecipe import AutoRecipeClassifier, AutoRecipeRegressor, InputError

QUICK = {"checks": False, "baselines": False, "threads": 1}


def classifier(budget="8epochs", **options):
    return AutoRecipeClassifier(budget, random_state=0, settings=QUICK, **options)


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def fitted(iris):
    return classifier().fit(*iris)


def test_the_same_seed_gives_the_same_model_and_another_seed_another(iris, fitted):
    X, y = iris
    assert np.array_equal(classifier().fit(X, y).predict_proba(X), fitted.predict_proba(X))
    other = clone(fitted).set_params(random_state=1).fit(X, y)
    assert not np.array_equal(other.predict_proba(X), fitted.predict_proba(X))


def test_classes_come_back_as_they_went_in(iris, fitted):
    X, y = iris
    assert fitted.score(X, y) > 0.8
    wanted = fitted.predict(X)
    for classes in (
        np.asarray(["setosa", "versicolor", "virginica"]),
        np.asarray(["", "NA", "1.5"]),
        np.asarray([" a", "a", "b"]),
        np.asarray([-1.0, 1.0, 10.0]),
    ):
        again = classifier().fit(X, classes[y])
        assert again.classes_.tolist() == sorted(classes.tolist())
        assert again.predict(X).dtype == again.classes_.dtype
        assert np.mean(again.predict(X) == classes[wanted]) > 0.8
        assert np.array_equal(again.classes_[again.predict_proba(X).argmax(1)], again.predict(X))


def test_a_model_survives_pickle_and_copy_without_any_folder(iris, fitted):
    X, _ = iris
    pickled = pickle.dumps(fitted)
    assert b"torch.nn" not in pickled
    assert b"torch._utils" not in pickled
    for again in (pickle.loads(pickled), copy.deepcopy(fitted)):
        assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
        assert again.recipe_ == fitted.recipe_
    assert fitted.run_ is None


def test_what_was_found_is_there(fitted):
    assert fitted.recipe_.network.family == "mlp"
    assert fitted.summary_["status"] == "complete"
    assert fitted.decisions_ == []


def test_runs_are_kept_where_asked(iris, tmp_path):
    X, y = iris
    kept = classifier(runs=tmp_path).fit(X, y)
    again = kept.run_
    assert kept.fit(X, y).run_ != again
    loaded = autorecipe.load(again)
    assert loaded.info.classes == ("0", "1", "2")
    assert np.array_equal(loaded.predict(X).astype(int), kept.predict(X))


def test_torch_is_left_as_it_was(iris):
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(2)
    try:
        classifier().fit(*iris)
        assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == (2, before[1])
    finally:
        torch.set_num_threads(before[0])


def test_tables_of_texts_gaps_and_dates():
    random = np.random.default_rng(0)
    colour = random.choice(["red", "green", "blue"], 80)
    frame = pd.DataFrame({"colour": colour, "size": random.normal(size=80)}, index=range(5, 85))
    frame.loc[7:20, "size"] = np.nan
    fitted = classifier("12epochs").fit(frame, colour == "red")
    assert fitted.feature_names_in_.tolist() == ["colour", "size"]
    assert fitted.predict(frame).dtype == bool
    assert fitted.score(frame, colour == "red") > 0.6


def test_images():
    y = np.arange(60) % 2
    X = np.random.default_rng(0).integers(0, 60, (60, 8, 8, 3), dtype=np.uint8) + np.uint8(150) * y[
        :, None, None, None
    ].astype(np.uint8)
    fitted = classifier("12epochs").fit(X, y)
    assert fitted.recipe_.data.modality == "image"
    assert fitted.score(X, y) > 0.9


def test_labels_keep_their_columns_in_order():
    random = np.random.default_rng(0)
    X = random.normal(size=(120, 3))
    y = pd.DataFrame((X > 0).astype(np.int8), columns=["zebra", "ant", "mole"])
    fitted = classifier("20epochs").fit(X, y)
    assert fitted.predict(X).dtype == np.int8
    assert fitted.predict_proba(X).shape == (120, 3)
    assert np.mean(fitted.predict(X) == y.to_numpy()) > 0.75
    spaced = classifier("20epochs").fit(X, y.rename(columns={"ant": " ant", "mole": "mole "}))
    assert np.array_equal(spaced.predict_proba(X), fitted.predict_proba(X))
    with pytest.raises(ValueError, match="give 0 and 1"):
        classifier().fit(X, y + 1)


def test_a_regression_comes_back_in_its_own_unit():
    X = np.random.default_rng(0).normal(size=(200, 2))
    y = 1000 + 50 * X[:, 0]
    fitted = AutoRecipeRegressor("12epochs", random_state=0, settings=QUICK, metric="mae").fit(X, y)
    assert 900 < fitted.predict(X).mean() < 1100
    assert fitted.score(X, y) > 0.5
    assert fitted.summary_["metric"] == "mae"


@pytest.mark.parametrize(
    ("estimator", "X", "y", "words"),
    [
        (classifier(), np.zeros((20, 2)), np.zeros(20), "one class"),
        (classifier(), np.zeros((20, 2)), np.asarray(["a", None] * 10, dtype=object), "missing|label type"),
        (classifier(), np.zeros((5, 2)), [0, 1, 0, 1, 0], "minimum of 10"),
        (classifier(), pd.DataFrame({"a": [1, 2]}), [0, 1], "at least 10"),
        (AutoRecipeRegressor(settings=QUICK), np.zeros((20, 2)), ["a"] * 20, "no numbers"),
        (AutoRecipeRegressor(settings=QUICK), np.zeros((20, 2)), np.zeros((20, 2)), "1d"),
        (AutoRecipeRegressor("soon", settings=QUICK), np.eye(20), np.arange(20), "budget 'soon'"),
        (classifier().set_params(settings={"max_widht": 3}), np.eye(20), [0, 1] * 10, "max_width"),
        (classifier().set_params(settings={"out": "x"}), np.eye(20), [0, 1] * 10, "estimator's runs"),
        (classifier().set_params(settings={"seed": 3}), np.eye(20), [0, 1] * 10, "random_state"),
        (classifier(runs=__file__), np.eye(20), [0, 1] * 10, "cannot hold runs"),
    ],
)
def test_wrong_input_is_refused_in_words(estimator, X, y, words):
    with pytest.raises(ValueError, match=words):
        estimator.fit(X, y)


def test_a_fit_that_failed_leaves_nothing_fitted(tmp_path):
    wrong = classifier(runs=tmp_path / "runs").set_params(metric="accuray")
    with pytest.raises(ValueError, match="accuracy"):
        wrong.fit(np.eye(20), [0, 1] * 10)
    with pytest.raises(NotFittedError):
        wrong.predict(np.eye(20))
    assert not list((tmp_path / "runs").iterdir())


def test_the_errors_of_the_estimators_are_input_errors():
    with pytest.raises(InputError, match="one class"):
        classifier().fit(np.zeros((20, 2)), np.zeros(20))


@pytest.mark.slow
def test_inside_a_pipeline_a_cross_validation_and_a_grid(iris):
    X, y = iris
    assert cross_val_score(make_pipeline(StandardScaler(), classifier("30epochs")), X, y, cv=3).mean() > 0.85
    found = GridSearchCV(classifier(), {"budget": ["2epochs", "40epochs"]}, cv=2).fit(X, y)
    assert found.best_params_ == {"budget": "40epochs"}


@pytest.mark.slow
def test_a_whole_search_with_questions_is_repeatable(iris):
    X, y = iris
    options = {"random_state": 3, "settings": {"threads": 1}}
    one, two = (AutoRecipeClassifier("200epochs", **options).fit(X, y) for _ in range(2))
    assert one.decisions_
    assert one.recipe_ == two.recipe_
    assert np.array_equal(one.predict_proba(X), two.predict_proba(X))


@pytest.mark.slow
def test_a_second_is_enough_for_a_fit(iris):
    X, y = iris
    assert AutoRecipeClassifier("2s", random_state=0).fit(X, y).score(X, y) > 0.8
