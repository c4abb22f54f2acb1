"""A finished run as an object: its recipe, decisions, summary, model, and predictions."""

import os
import tempfile
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from autorecipe.data import as_tensors, modality
from autorecipe.data.items import Asked
from autorecipe.data.python_inputs import from_python
from autorecipe.data.sources import bundled_of, path_of
from autorecipe.data.tasks import join_labels
from autorecipe.errors import InputError
from autorecipe.networks import build_final
from autorecipe.recipe import Recipe, from_dict, load_recipe
from autorecipe.results import DatasetInfo, Decision
from autorecipe.rundir import RunDir, open_run, read_json, read_mapping, sha256
from autorecipe.training.checkpoint import load_weights
from autorecipe.training.evaluate import decide_classes, predict, predicted_values, probabilities

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Result:
    """What a run left behind; everything is read from its folder when it is asked for."""

    run: RunDir

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.run.path

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe of the model.

        Raises:
            InputError: the file is missing, damaged, or lacks a section.
        """
        recipe = load_recipe(self.run.recipe)
        text = self.run.recipe.read_text(encoding="utf-8")
        missing = [section.name for section in fields(Recipe) if f"\n{section.name}:" not in text]
        if missing:  # a search writes them all; what is left out of a recipe by hand has its usual value
            raise InputError(f"{self.run.recipe} is damaged: '{missing[0]}' is missing; put back a copy of it")
        return recipe

    @cached_property
    def decisions(self) -> list[Decision]:
        """The ledger: one decision a question."""
        if not self.run.decisions.exists():
            return []
        return [from_dict(Decision, row, f"decisions.json {i}") for i, row in enumerate(read_json(self.run.decisions))]

    @cached_property
    def summary(self) -> dict[str, Any]:
        """`summary.json`."""
        return read_mapping(self.run.summary)

    @cached_property
    def info(self) -> DatasetInfo:
        """Facts of the data set that the run was made on."""
        info = from_dict(DatasetInfo, self._facts["info"], "preprocess.json info")
        assert isinstance(info, DatasetInfo)
        return info

    @cached_property
    def model(self) -> nn.Module:
        """The trained network, on the CPU, in evaluation mode.

        Images go in as pixels 0..255 [B, C, H, W], tables as numbers [B, F] and codes [B, K]; logits or
        scaled targets come out.

        Raises:
            InputError: the weights are missing, damaged, or not those of the summary.
        """
        model = build_final(self.recipe, self.info)
        load_weights(model, self.run.weights)
        wanted = self.summary.get("weights_sha256")
        if wanted is not None and sha256(self.run.weights) != wanted:
            raise InputError(
                f"{self.run.weights} is not the file that {self.run.summary.name} scored: its SHA-256 differs; put "
                "back a copy of it, or train the recipe again: autorecipe replay"
            )
        return model.eval()

    @property
    def preprocess(self) -> dict[str, Any]:
        """How raw input becomes tensors: `preprocess` of `preprocess.json`.

        Raises:
            InputError: the file is missing or damaged.
        """
        found: dict[str, Any] = self._facts["preprocess"]
        return found

    @cached_property
    def _facts(self) -> dict[str, Any]:
        return self._preprocess()

    def _preprocess(self) -> dict[str, Any]:
        data = read_json(self.run.preprocess)
        if not isinstance(data, dict) or not {"preprocess", "info"} <= set(data):
            raise InputError(
                f"{self.run.preprocess} is damaged: it lacks 'preprocess' or 'info'; put back a copy of it"
            )
        wanted = {
            "image": {"resolution", "channels", "classes"},
            "table": {"inputs", "columns", "classes", "target", "task"},
        }
        kind = data["preprocess"].get("modality") if isinstance(data["preprocess"], dict) else None
        missing = wanted.get(str(kind), {"modality"}) - set(data["preprocess"] or ())
        if missing:
            raise InputError(
                f"{self.run.preprocess} is damaged: its 'preprocess' lacks '{min(missing)}'; put back a copy of it"
            )
        columns = data["preprocess"].get("columns", [])
        if not isinstance(columns, list) or not all(isinstance(column, dict) for column in columns):
            raise InputError(f"{self.run.preprocess} is damaged: its 'columns' are none; put back a copy of it")
        return data

    def outputs(self, X: Any) -> tuple[list[str], np.ndarray]:
        """Names and raw outputs (logits, or scaled targets) [N, O] of a path, arrays or a DataFrame.

        Raises:
            InputError: it is not there, cannot be read, or lacks what the model needs.
        """
        if isinstance(X, (str, os.PathLike)) and path_of(X) is None and bundled_of(X) is None:
            raise InputError(f"there is no file or folder '{X}'; give what is to be predicted")
        preprocess = self.preprocess
        kind = modality(self.info.modality)
        asked = Asked(resolution=preprocess.get("resolution"), channels=preprocess.get("channels"), predicting=True)
        names, raw = kind.read_inputs(from_python(X, asked), preprocess)
        inputs = as_tensors(kind.encode(raw, preprocess))
        return names, predict(self.model, inputs, None, self.recipe)

    def predict(self, X: Any) -> np.ndarray:
        """Predictions for a path, arrays or a DataFrame.

        Returns:
            classes (str [N]); labels (0 or 1, int64 [N, L], in the order of `info.classes`); or numbers in the
            user's unit (float64 [N]).
        """
        return self._decided(self.outputs(X)[1])

    def _decided(self, outputs: np.ndarray) -> np.ndarray:
        if self.info.task == "regression":
            return predicted_values(outputs, self.info)
        said = decide_classes(outputs, self.info.task, self.recipe.finish.thresholds)
        if self.info.task == "multilabel":
            return said.astype(np.int64)
        return np.asarray(np.asarray(self.info.classes)[said])

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities, float64 [N, classes or labels], in the order of `info.classes`.

        Raises:
            InputError: the task is regression.
        """
        if self.info.task == "regression":
            raise InputError("a regression has no probabilities; use predict")
        return probabilities(self.outputs(X)[1], self.info.task)

    def predict_table(self, X: Any) -> "pd.DataFrame":
        """Predictions as a table: `file` or `row`, `prediction` (labels joined by `|`), `probability.CLASS`."""
        import pandas as pd

        names, outputs = self.outputs(X)
        first = "file" if self.info.modality == "image" else "row"
        said = self._decided(outputs)
        if self.info.task == "multilabel":
            labels = np.asarray(self.info.classes)
            said = join_labels([sorted(labels[row > 0]) for row in said])
        columns: dict[str, Any] = {first: _column(names), "prediction": _column(said)}
        if self.info.task != "regression":
            for name, values in zip(self.info.classes, probabilities(outputs, self.info.task).T, strict=True):
                columns[f"probability.{name}"] = values
        table = pd.DataFrame(dict(enumerate(columns.values())))
        table.columns = pd.Index(_column(list(columns)))
        return table

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device


def _column(values: Any) -> Any:
    """Values of a column: texts that are no UTF-8, which pandas' own kind of text cannot hold, as Python's."""
    import pandas as pd

    try:
        "".join(map(str, values)).encode()
    except UnicodeEncodeError:
        return pd.Series(list(values), dtype=object)
    return values


def load(path: Path | str) -> Result:
    """Open the folder of a run.

    Raises:
        InputError: it is not there, or no trial of it has finished.
    """
    run = open_run(path)
    if not run.weights.exists() or not run.recipe.exists():
        raise InputError(f"{path} holds no model yet: no trial has finished; go on with: autorecipe resume {path}")
    return Result(run)


def model_files(result: Result) -> dict[str, bytes]:
    """The files of a run that a model consists of, by name."""
    run = result.run
    paths = (run.recipe, run.preprocess, run.summary, run.decisions, run.weights)
    return {path.name: path.read_bytes() for path in paths}


def open_files(files: dict[str, bytes]) -> Result:
    """A result of `model_files`, read whole: no folder stays behind.

    Raises:
        InputError: a file is missing or damaged.
    """
    with tempfile.TemporaryDirectory(prefix="autorecipe-") as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        result = Result(RunDir(Path(folder)))
        for name in ("recipe", "decisions", "summary", "info", "model"):
            getattr(result, name)
    return result
