"""The process that fits the baselines; run by `baselines.start_worker`, never imported.

It reads one line of JSON, fits one model after another, and leaves each one's outputs in a file as
soon as it has them.
"""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file


def main() -> None:
    """Import, wait, fit."""
    warnings.filterwarnings("ignore")
    import sklearn.ensemble
    import sklearn.linear_model
    import sklearn.preprocessing  # noqa: F401

    line = sys.stdin.readline()
    if line:
        fit_all(json.loads(line))


def fit_all(facts: dict[str, Any]) -> None:
    """Fit every baseline that makes sense and save what it predicts for val and test."""
    folder = Path(facts["folder"])
    data = np.load(folder / "work.npz", allow_pickle=False)
    x, y = data["x"], data["y"]
    task = facts["task"]
    names = ["mean" if task == "regression" else "majority", "linear"]
    if facts["trees"] and task != "multilabel":  # trees for each label would take the others' time
        names.append("HistGradientBoosting")
    for number, name in enumerate(names):
        begin = time.monotonic()
        model, prepare = fit(name, x, y, facts)
        outputs = {
            split: outputs_of(model, prepare(data[split]), task, facts["num_outputs"]) for split in ("val", "test")
        }
        outputs["seconds"] = np.array([time.monotonic() - begin])
        temporary = folder / f".{number}.tmp"
        save_file(outputs, temporary)
        temporary.rename(folder / f"{number}-{name}.safetensors")


def fit(name: str, x: np.ndarray, y: np.ndarray, facts: dict[str, Any]) -> tuple[Any, Any]:
    """One fitted model, and what its inputs go through first."""
    from sklearn.dummy import DummyClassifier, DummyRegressor
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    regression = facts["task"] == "regression"
    if name in ("mean", "majority"):
        dummy = DummyRegressor() if regression else DummyClassifier()
        return each_label(dummy, x[:, :1], y), lambda z: z[:, :1]
    numbers = facts["num_numbers"] if facts["trees"] else x.shape[1]
    if name == "linear":
        scaler = StandardScaler().fit(x[:, :numbers]) if numbers else None
        codes = OneHotEncoder(handle_unknown="ignore", sparse_output=False, max_categories=50)
        coded = x.shape[1] > numbers
        if coded:
            codes.fit(x[:, numbers:])

        def prepare(z: np.ndarray) -> np.ndarray:
            parts = [scaler.transform(z[:, :numbers])] if scaler is not None else []
            parts += [codes.transform(z[:, numbers:])] if coded else []
            return np.concatenate(parts, 1)

        model = Ridge() if regression else LogisticRegression(max_iter=100, C=0.1 if not facts["trees"] else 1.0)
        return each_label(model, prepare(x), y), prepare
    kind = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    categorical = [i for i in range(numbers, x.shape[1]) if x[:, i].max() < 255]
    trees = kind(random_state=facts["seed"], categorical_features=categorical or None)
    return trees.fit(x, y), lambda z: z


def each_label(model: Any, x: np.ndarray, y: np.ndarray) -> Any:
    """The fitted model; for labels y [N, L] a list of one each, and a constant for a label of one value."""
    from sklearn.base import clone
    from sklearn.dummy import DummyClassifier

    if y.ndim == 1:
        return model.fit(x, y)
    return [(clone(model) if len(np.unique(column)) > 1 else DummyClassifier()).fit(x, column) for column in y.T]


def outputs_of(model: Any, x: np.ndarray, task: str, num_outputs: int) -> np.ndarray:
    """Log probabilities [N, O], log odds of labels [N, L], or scaled targets [N, 1]."""
    if task == "regression":
        return np.asarray(model.predict(x), np.float32).reshape(-1, 1)
    if task == "multilabel":
        shares = [one.predict_proba(x) @ (one.classes_ > 0) for one in model]
        chances = np.clip(np.stack(shares, 1), 1e-7, 1 - 1e-7)
        return np.asarray(np.log(chances) - np.log1p(-chances), np.float32)
    chances = np.full((len(x), num_outputs), 1e-7)
    chances[:, model.classes_.astype(int)] = np.clip(model.predict_proba(x), 1e-7, 1)
    return np.asarray(np.log(chances), np.float32)


if __name__ == "__main__":
    main()
