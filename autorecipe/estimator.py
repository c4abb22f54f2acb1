"""A search as a scikit-learn estimator: `AutoRecipeClassifier` and `AutoRecipeRegressor`.

The fitted model lies in memory, and as the bytes of its files (weights as safetensors, the rest JSON and YAML), which
is all that a pickle of the estimator holds of it.
"""

import numbers
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    assert_all_finite,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

import autorecipe
from autorecipe.data.load import FEWEST
from autorecipe.data.tasks import class_indices, class_texts
from autorecipe.errors import InputError
from autorecipe.predictor import Result, model_files, open_files
from autorecipe.rundir import taken_run_path

_OWN = {
    "budget": "is a parameter of the estimator",
    "metric": "is a parameter of the estimator",
    "seed": "is the estimator's random_state",
    "out": "is the estimator's runs",
    "task": "follows from y",
    "data": "is X and y",
    "target": "is y",
    "source": "is X and y",
}
"""Arguments of `autorecipe.search` that the estimators give, and how."""


class _AutoRecipe(BaseEstimator):  # type: ignore[misc]
    """What classifier and regressor have in common."""

    def __init__(
        self,
        budget: str = "10m",
        *,
        metric: Any = "auto",
        random_state: Any = None,
        runs: str | Path | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.budget = budget
        self.metric = metric
        self.random_state = random_state
        self.runs = runs
        self.settings = settings

    def _search(self, X: Any, y: Any, task: str) -> None:
        """Search, and keep the model."""
        seed = self.random_state
        if not isinstance(seed, numbers.Integral):
            seed = check_random_state(seed).randint(2**31 - 1)
        settings = {"outputs": self.runs is not None, **(self.settings or {})}
        wrong = sorted(set(settings) & set(_OWN))
        if wrong:
            raise InputError(f"settings has '{wrong[0]}', which {_OWN[wrong[0]]}; leave it out of settings")
        with _place(self.runs, task) as out, _torch_as_it_was():
            result = autorecipe.search(
                (X, y), self.budget, out=out, task=task, metric=self.metric, seed=int(seed), **settings
            )
            self._files = model_files(result)
            self.run_ = None if self.runs is None else result.path
        self._open()

    def _open(self) -> None:
        self._result: Result = open_files(self._files)
        self.recipe_ = self._result.recipe
        self.decisions_ = self._result.decisions
        self.summary_ = self._result.summary

    def _inputs(self, X: Any, reset: bool) -> Any:
        """X checked as scikit-learn does: an array, or a DataFrame as it is; missing values and texts may be there."""
        if hasattr(X, "columns") and hasattr(X, "shape"):
            validate_data(self, X, reset=reset, skip_check_array=True)
            if reset and not (X.shape[0] >= FEWEST and X.shape[1]):
                raise InputError(f"X has the shape {X.shape}; at least {FEWEST} rows and a column are needed")
            return X
        least = FEWEST if reset else 1
        return validate_data(
            self, X, reset=reset, dtype=None, ensure_all_finite=False, allow_nd=True, ensure_min_samples=least
        )

    def _targets(self, X: Any, y: Any, several: bool = False) -> np.ndarray:
        """y as an array [N] of as many examples as X; [N, L] where several columns may be."""
        if y is None:
            raise InputError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        values = np.asarray(y)
        values = values if several and values.ndim == 2 and values.shape[1] > 1 else column_or_1d(y, warn=True)
        check_consistent_length(X, values)
        assert_all_finite(values, input_name="y")
        lacking = [i for i, value in enumerate(values) if value is None] if values.dtype == object else []
        if lacking:
            raise InputError(f"y has {len(lacking):,} missing values, such as in row {lacking[0]:,}; leave them out")
        return values

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_result")

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_result"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_files" in state:
            self._open()

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.non_deterministic = not str(self.budget).strip().endswith(("epoch", "epochs", "ep"))
        return tags


class AutoRecipeClassifier(ClassifierMixin, _AutoRecipe):  # type: ignore[misc]
    """A classifier that searches for its network: `autorecipe.search` behind fit and predict.

    Args:
        budget: time for a fit (`"10m"`), or epochs over all trials (`"60epochs"`): then the same `random_state` gives
            the same model.
        metric: what the search goes by: `auto`, or a metric's name.
        random_state: seed of splits, sampler and training.
        runs: folder that keeps each fit's run, to look at and to resume; None: nothing is kept.
        settings: any other argument of `autorecipe.search`, such as `{"max_width": 64}`.

    Attributes:
        classes_: the classes, sorted; of labels their numbers.
        n_features_in_, feature_names_in_: as everywhere in scikit-learn.
        recipe_, decisions_, summary_: what was found, what it rests on, and the scores.
        run_: the run's folder; None if it was not kept.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Search for a network that tells the classes apart.

        Args:
            X: array [N, F], DataFrame, or images [N, H, W], [N, H, W, C] or [N, C, H, W].
            y: classes [N], or 0 and 1 for each of several labels [N, L].

        Raises:
            InputError: data or an option is wrong.
        """
        X = self._inputs(X, reset=True)
        columns = getattr(y, "columns", None)
        y = self._targets(X, y, several=True)
        check_classification_targets(y)
        if y.ndim == 2:
            return self._fit_labels(X, y, columns)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(f"y has one class, '{self.classes_[0]}'; a classifier needs two or more")
        self._names = _class_names(self.classes_)
        self._search(X, self._names[codes], "binary" if len(self.classes_) == 2 else "multiclass")
        return self

    def _fit_labels(self, X: Any, y: np.ndarray, columns: Any) -> Self:
        """Fit 0 and 1 for each label [N, L]."""
        import pandas as pd

        self.classes_ = np.arange(y.shape[1])
        names = [f"label{i}" for i in self.classes_] if columns is None else [str(name).strip() for name in columns]
        self._names = np.asarray(names)
        self._dtype = y.dtype
        self._search(X, pd.DataFrame(y, columns=self._names), "multilabel")
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Classes [N], or 0 and 1 for each label [N, L]."""
        check_is_fitted(self)
        found = self._result.predict(self._inputs(X, reset=False))
        if self._result.info.task == "multilabel":
            return np.asarray(found[:, self._order()].astype(self._dtype))
        return np.asarray(self.classes_[class_indices(found, tuple(self._names))])

    def _order(self) -> np.ndarray:
        """Position of each class of `classes_` among the model's outputs."""
        return class_indices(self._names, self._result.info.classes)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities, float64 [N, classes or labels], in the order of `classes_`."""
        check_is_fitted(self)
        found = self._result.predict_proba(self._inputs(X, reset=False))
        return found[:, self._order()]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.classifier_tags.multi_label = True
        return tags


class AutoRecipeRegressor(RegressorMixin, _AutoRecipe):  # type: ignore[misc]
    """A regressor that searches for its network: `autorecipe.search` behind fit and predict.

    Args:
        budget: time for a fit (`"10m"`), or epochs over all trials (`"60epochs"`): then the same `random_state` gives
            the same model.
        metric: what the search goes by: `auto`, or a metric's name.
        random_state: seed of splits, sampler and training.
        runs: folder that keeps each fit's run, to look at and to resume; None: nothing is kept.
        settings: any other argument of `autorecipe.search`, such as `{"max_width": 64}`.

    Attributes:
        n_features_in_, feature_names_in_: as everywhere in scikit-learn.
        recipe_, decisions_, summary_: what was found, what it rests on, and the scores.
        run_: the run's folder; None if it was not kept.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Search for a network that predicts the numbers.

        Args:
            X: array [N, F], DataFrame, or images [N, H, W], [N, H, W, C] or [N, C, H, W].
            y: numbers [N].

        Raises:
            InputError: data or an option is wrong.
        """
        X = self._inputs(X, reset=True)
        y = self._targets(X, y)
        try:
            numbers_of = y.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"y holds values that are no numbers: {error}") from error
        self._search(X, numbers_of, "regression")
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Numbers, float64 [N]."""
        check_is_fitted(self)
        return self._result.predict(self._inputs(X, reset=False))


def _class_names(classes: np.ndarray) -> np.ndarray:
    """A name for each class [C], str [C]: its text, or its number where texts would be mistaken for something else."""
    texts = class_texts(classes)
    plain = classes.dtype.kind in "biu" or all(text[:1].isalpha() for text in texts.tolist())
    return texts if plain and len(set(texts.tolist())) == len(texts) else np.arange(len(classes)).astype(str)


@contextmanager
def _place(runs: str | Path | None, task: str) -> Iterator[Path]:
    """The folder of a fit's run; without `runs` it is gone afterwards."""
    if runs is None:
        with tempfile.TemporaryDirectory(prefix="autorecipe-") as temporary:
            yield Path(temporary) / "run"
    else:
        with taken_run_path(Path(runs), task) as path:
            yield path


@contextmanager
def _torch_as_it_was() -> Iterator[None]:
    """The threads and the determinism of torch are the caller's again after a search."""
    threads = torch.get_num_threads()
    deterministic, warn = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn)
