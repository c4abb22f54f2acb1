"""What simple models reach on the examples that a run kept for its test: the measure of `messy.py`.

Each is fitted on all other examples, more than the run's own baselines get (they leave out val and confirm).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

LINEAR = "linear"
TREES = "HistGradientBoosting"
GUESS = "majority or mean"
MOST_CATEGORIES = 255
"""Columns of text with more values are left out: HistGradientBoosting takes no more."""


def features(frame: pd.DataFrame, dates: Sequence[str] = ()) -> pd.DataFrame:
    """A table as both models take it: numbers, and categories of at most 255 values; dates in parts."""
    columns: dict[str, Any] = {}
    for name in frame.columns:
        values = frame[name]
        if name in dates:
            moment = pd.to_datetime(values)
            columns[f"{name} day"] = (moment - moment.min()).dt.days
            columns[f"{name} month"] = moment.dt.month
            columns[f"{name} weekday"] = moment.dt.day_of_week
        elif pd.api.types.is_numeric_dtype(values):
            columns[name] = values
        elif values.nunique() <= MOST_CATEGORIES:
            columns[name] = values.astype("category")
    return pd.DataFrame(columns)


def _linear(X: pd.DataFrame, model: Any) -> Any:
    """A linear model on scaled numbers (gaps: the median and a signal) and one-hot categories."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    codes = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    categories = list(X.select_dtypes("category").columns)
    return make_pipeline(make_column_transformer((codes, categories), remainder=numbers), model)


def regression(X: pd.DataFrame, y: np.ndarray, test: np.ndarray) -> dict[str, float]:
    """RMSE of the mean, ridge regression and boosted trees; `test` is a mask of rows."""
    from sklearn.dummy import DummyRegressor
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import Ridge
    from sklearn.metrics import root_mean_squared_error

    models = {
        GUESS: DummyRegressor(),
        LINEAR: _linear(X, Ridge()),
        TREES: HistGradientBoostingRegressor(random_state=0, categorical_features="from_dtype"),
    }
    train = ~test & np.isfinite(y)
    return {
        name: float(root_mean_squared_error(y[test], model.fit(X[train], y[train]).predict(X[test])))
        for name, model in models.items()
    }


def multilabel(X: pd.DataFrame, Y: np.ndarray, test: np.ndarray) -> dict[str, float]:
    """Micro-F1 of each label's majority, logistic regressions and boosted trees, each at a chance of 0.5."""
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.multioutput import MultiOutputClassifier

    models = {
        GUESS: DummyClassifier(),
        LINEAR: _linear(X, MultiOutputClassifier(LogisticRegression(max_iter=1000))),
        TREES: MultiOutputClassifier(HistGradientBoostingClassifier(random_state=0)),
    }
    return {
        name: float(f1_score(Y[test], model.fit(X[~test], Y[~test]).predict(X[test]), average="micro"))
        for name, model in models.items()
    }


def images(folder: Path, test: set[str]) -> dict[str, float]:
    """Accuracy of the largest class and of a logistic regression on pixels; `test` names files.

    Read by autorecipe, in the size that it chooses, averaged down to 32x32 colour pixels.
    """
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from autorecipe.data import ReadOptions, load_dataset, modality

    dataset = load_dataset(str(folder), ReadOptions())
    X, y = modality("image").baseline_features(dataset.inputs), dataset.targets.numpy()
    mask = np.array([name in test for name in dataset.names])
    models: dict[str, Any] = {
        GUESS: DummyClassifier(),
        LINEAR: make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)),
    }
    return {name: float(model.fit(X[~mask], y[~mask]).score(X[mask], y[mask])) for name, model in models.items()}
