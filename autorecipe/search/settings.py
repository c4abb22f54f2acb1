"""What the user asked for, checked and kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autorecipe.clock import Budget
from autorecipe.errors import InputError
from autorecipe.recipe import from_dict, load_recipe
from autorecipe.recipe_checks import MOST_SEED
from autorecipe.rundir import RunDir, read_json, read_mapping
from autorecipe.search.planner import Plan
from autorecipe.search.workbench import State

REPLAY = "replay"
"""Key of `settings.json` that is there in a replay's folder."""


@dataclass(frozen=True)
class Settings:
    """What the user asked for (`settings.json`): enough to resume."""

    source: str | None
    """Path or bundled name; None for arrays from Python."""
    target: str | None = None
    task: str = "auto"
    metric: str = "auto"
    budget: str = "10m"
    space: str | None = None
    from_recipe: str | None = None
    seed: int = 0
    device: str = "auto"
    threads: int | None = None
    precision: str = "auto"
    """`fp32`, `bf16`, or `auto`: what is fastest here."""
    cohorts: bool = True
    """Train trials of small networks together, where that is faster."""
    storage: str | None = None
    max_width: int | None = None
    max_depth: int | None = None
    max_params: int | None = None
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    group: str | None = None
    time: str | None = None
    resolution: int | None = None
    range: str = "auto"
    """Bounds of a regression's target: `LO,HI`, `none`, or `auto`."""
    reserve: float = 0.5
    """Share of the budget kept for the finish."""
    force: bool = False
    """Go on although one batch could not be overfitted."""
    audit: bool = False
    """Train some stopped trials to their end, to see how many were stopped wrongly."""
    checks: bool = True
    """Check the training loop first; without, a search of a few steps is not mostly checks."""
    baselines: bool = True
    """Fit baselines in a process beside the search."""
    outputs: bool = True
    """Leave `train.py`, `report.html` and `model.onnx` beside the model."""


def checked_settings(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Settings from keyword arguments.

    Raises:
        InputError: an unknown name or a value of the wrong type.
    """
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
    settings = from_dict(kind, plain)
    assert isinstance(settings, Settings)
    return settings


def check_settings(settings: Settings) -> None:
    """Refuse values that cannot work.

    Raises:
        InputError: with what to type.
    """
    for name in ("max_width", "max_depth", "max_params"):
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise InputError(f"--{name.replace('_', '-')} {value}: at least 1 is needed")
    if not 0.1 <= settings.reserve <= 0.9:
        raise InputError(f"--reserve {settings.reserve}: the share of time for the finish must lie in 0.1 to 0.9")
    if settings.from_recipe is not None:
        load_recipe(settings.from_recipe)
    if not 0 <= settings.seed <= MOST_SEED:
        raise InputError(f"--seed {settings.seed}: a seed must lie in 0 to {MOST_SEED}")


def load_settings(run: RunDir) -> Settings:
    """The settings of a run.

    Raises:
        InputError: the file is damaged.
    """
    data = read_mapping(run.settings)
    data.pop("format", None)
    data.pop(REPLAY, None)
    settings = from_dict(Settings, data, "settings.json")
    assert isinstance(settings, Settings)
    return settings


def is_replay(run: RunDir) -> bool:
    """Whether a run's folder is of one recipe trained once, and not of a search."""
    return bool(read_mapping(run.settings).get(REPLAY, False))


def load_state(run: RunDir) -> State:
    """What a run has spent; nothing if it was killed before it wrote anything.

    Raises:
        InputError: the file is damaged.
    """
    if not run.state.exists():
        return State()
    state = from_dict(State, read_json(run.state), "state.json")
    assert isinstance(state, State)
    if set(state.plan) - {"batch_size"}:
        from_dict(Plan, state.plan, "state.json plan")
    elif state.plan and not isinstance(state.plan["batch_size"], int):
        raise InputError(f"{run.state} is damaged: its 'batch_size' is no number; remove the file, to plan anew")
    return state


def add_budget(budget: Budget, more: Budget, state: State, finished: bool) -> Budget:
    """The budget with more time: on top of what was spent if the run is finished, else of what was given."""
    if budget.seconds is not None and more.seconds is not None:
        total = (state.spent_seconds if finished else budget.seconds) + more.seconds
        return Budget(f"{total:.3f}s", seconds=round(total, 3))
    total = (state.spent_epochs if finished else budget.epochs or 0.0) + (more.epochs or 0.0)
    return Budget(f"{total:.3f}epochs", epochs=round(total, 3))
