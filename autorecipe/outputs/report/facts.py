"""What a run's folder holds, read for the report: every piece may be missing, none may be damaged.

Values inside the files pass through `mapping`, `rows`, `numbers`, `real` and `text`: a piece of another kind than
expected counts as missing, so that a run of an earlier or later version has a page too.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from autorecipe.errors import InputError
from autorecipe.recipe import Recipe, load_recipe
from autorecipe.rundir import RunDir, read_json, read_lines, read_mapping

MOST = 1e100


def mapping(value: object) -> dict[str, Any]:
    """The value if it is a mapping, else an empty one."""
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else {}


def rows(value: object) -> list[dict[str, Any]]:
    """The mappings of a list."""
    return [mapping(item) for item in value if isinstance(item, Mapping)] if isinstance(value, (list, tuple)) else []


def real(value: object) -> float | None:
    """The value if it is a finite number, of a size that can be drawn."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) < MOST else None


def numbers(value: object) -> list[float]:
    """The finite numbers of a list."""
    found = [real(item) for item in value] if isinstance(value, (list, tuple)) else []
    return [item for item in found if item is not None]


def pair(value: object) -> tuple[float, float] | None:
    """Two numbers, from a list or from `low` and `high`."""
    if isinstance(value, Mapping):
        value = [value.get("low"), value.get("high")]
    found = numbers(value)
    return (found[0], found[1]) if len(found) == 2 else None


def text(value: object) -> str:
    """The value in words; nothing for None."""
    return "" if value is None else str(value)


@dataclass(frozen=True)
class Facts:
    """A run's folder, read once."""

    run: RunDir
    summary: dict[str, Any]
    settings: dict[str, Any]
    state: dict[str, Any]
    decisions: list[dict[str, Any]]
    trials: list[dict[str, Any]]
    events: list[dict[str, Any]]
    info: dict[str, Any]
    """Facts about the data, from `preprocess.json`."""
    preprocess: dict[str, Any]
    checks: list[dict[str, Any]]
    recipe: Recipe | None
    examples: list[dict[str, Any]]
    findings: list[dict[str, Any]]
    """Examples of what was found in the data."""
    foresight: dict[str, Any]
    finish_curve: dict[str, Any]
    _recipes: dict[str, Recipe | None] = field(default_factory=dict)

    @property
    def metric(self) -> str:
        """The metric's name."""
        return text(self.summary.get("metric") or self.info.get("metric")) or "score"

    @property
    def maximize(self) -> bool:
        """Whether more of the metric is better."""
        return text(self.summary.get("direction")) != "minimize"

    @property
    def best(self) -> float | None:
        """What a perfect model has of the metric; None: nobody knows."""
        if "best" in self.summary:
            return real(self.summary["best"])
        if self.metric.startswith("python:"):  # runs of before do not say
            return None
        return 1.0 if self.maximize else 0.0

    @property
    def task(self) -> str:
        """`binary`, `multiclass`, `multilabel` or `regression`; empty before the data is read."""
        return text(self.summary.get("task") or self.info.get("task"))

    @property
    def classes(self) -> list[str]:
        """Names of classes or labels."""
        found = self.info.get("classes")
        return [str(name) for name in found] if isinstance(found, list) else []

    @property
    def name(self) -> str:
        """The data set's name."""
        return text(self.summary.get("dataset") or self.info.get("name")) or self.run.name

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of a kind, in their order."""
        return [event for event in self.events if event.get("event") == kind]

    def recipe_of(self, digest: object) -> Recipe | None:
        """The recipe of a digest, if the folder has it."""
        key = text(digest)
        if key not in self._recipes:
            self._recipes[key] = None
            if key.isalnum() and self.run.recipe_of(key).exists():
                self._recipes[key] = self.run.load_recipe(key)
        return self._recipes[key]

    def trial_result(self, digest: object) -> dict[str, Any]:
        """Result and curve of a completed trial's recipe; empty if there is none."""
        path = self.run.artifacts / "trials" / f"{text(digest)}.json"
        return read_mapping(path) if text(digest).isalnum() and path.exists() else {}

    @cached_property
    def shapes(self) -> list[dict[str, Any]]:
        """Measurements of each network shape, small ones first."""
        folder = self.run.artifacts / "shapes"
        found = [read_mapping(path) for path in sorted(folder.glob("*.json"))] if folder.is_dir() else []
        return sorted(found, key=lambda shape: real(shape.get("num_params")) or 0.0)

    @cached_property
    def predictions(self) -> dict[str, np.ndarray]:
        """`outputs` [N, C], `targets` and `rows` of the test split; empty if they are not kept.

        Raises:
            InputError: the file is damaged.
        """
        path = self.run.tested
        if not path.exists():
            return {}
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            found = load_file(path)
            outputs, targets = found["outputs"].astype(float), found["targets"]
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise InputError(f"{path} is damaged: {error}; put back a copy of it, or begin a new run") from error
        if outputs.ndim == 1:
            outputs = outputs[:, None]
        if outputs.ndim != 2 or len(outputs) != len(targets):
            raise InputError(f"{path} is damaged: its shapes do not fit; put back a copy of it, or begin a new run")
        return {**found, "outputs": outputs, "targets": targets}

    @cached_property
    def networks(self) -> dict[tuple[str, int], str]:
        """Study and number of each trial -> its network in a few words."""
        return {
            (text(event.get("study")), int(number)): text(event.get("network"))
            for event in self.of("trial_start")
            if (number := real(event.get("number"))) is not None
        }

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Network in a few words -> its parameters, as far as they were measured."""
        found = {text(event.get("network")): real(event.get("params")) for event in self.of("lr_range")}
        return {name: int(size) for name, size in found.items() if size}


def read_facts(run: RunDir) -> Facts:
    """Everything that the report shows, from a run's folder.

    Raises:
        InputError: a file is damaged.
    """
    preprocess = _mapping_at(run.preprocess)
    return Facts(
        run=run,
        summary=_mapping_at(run.summary),
        settings=_mapping_at(run.settings),
        state=_mapping_at(run.state),
        decisions=_list_at(run.decisions),
        trials=rows(_lines_at(run.trials)),
        events=rows(_lines_at(run.log)),
        info=mapping(preprocess.get("info")),
        preprocess=mapping(preprocess.get("preprocess")),
        checks=_list_at(run.checks),
        recipe=load_recipe(run.recipe) if run.recipe.exists() else None,
        examples=_list_at(run.examples),
        findings=_list_at(run.findings),
        foresight=mapping(_json_at(run.foresight)),
        finish_curve=mapping(_json_at(run.finish_curve)),
    )


def _json_at(path: Path) -> Any:
    return read_json(path) if path.exists() else None


def _mapping_at(path: Path) -> dict[str, Any]:
    return read_mapping(path) if path.exists() else {}


def _list_at(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    found = read_json(path)
    if not isinstance(found, list):
        raise InputError(f"{path} is damaged: it holds no list; put back a copy of it, or begin a new run")
    return rows(found)


def _lines_at(path: Path) -> list[Any]:
    with contextlib.suppress(OSError):  # a folder in the file's place is not there either
        return read_lines(path)
    return []
