"""autorecipe: an AutoML agent for PyTorch that hands back a model and the recipe it took.

import autorecipe

result = autorecipe.search("dataset/", budget="10m")
result.predict("new_images/")
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

# The package of this name first: from here on the name means the function below, and an import of one
# of the package's modules finds the package already there and leaves the name alone.
import autorecipe.search  # noqa: F401
from autorecipe.errors import AutoRecipeError, CheckFailed, InputError, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from autorecipe.estimator import AutoRecipeClassifier, AutoRecipeRegressor
    from autorecipe.outputs.verify import Verification
    from autorecipe.predictor import Result

__version__ = "0.1.0"
__all__ = [
    "AutoRecipeClassifier",
    "AutoRecipeError",
    "AutoRecipeRegressor",
    "CheckFailed",
    "InputError",
    "Result",
    "Stopped",
    "export",
    "load",
    "resume",
    "search",
    "verify",
]


def search(
    data: Any,
    budget: str = "10m",
    *,
    target: str | None = None,
    task: str = "auto",
    metric: Any = "auto",
    out: Path | str | None = None,
    seed: int = 0,
    say: Callable[..., None] | None = None,
    **settings: Any,
) -> Result:
    """Search for a recipe and train a model within a budget.

    Args:
        data: a path, the name of a bundled data set, a DataFrame (with `target`), or `(X, y)`; a y of 0 and 1 [N, L]
            has a column for each label.  Frames of polars and others, a map-style `Dataset` of torch, and a `Dataset`
            of Hugging Face will do as well.
        budget: time from this call to its return (`"10m"`), or epochs over all trials (`"20epochs"`).
        target: the target's column, for tables; `"a,b,c"` for columns of 0 and 1, a label each.
        task: `auto`, `binary`, `multiclass`, `multilabel` or `regression`.
        metric: `auto`, a metric's name (scikit-learn's are known too), or your own `f(y_true, y_pred) -> float`:
            greater is better, unless `f.greater_is_better = False` or `(f, "minimize")` says otherwise; `f.best` is
            the value of a perfect model.  It gets class names (str [N]), labels (0 or 1, [N, L]) or numbers [N].
        out: the run's folder; None: `runs/DATASET-N`.
        seed: seed of splits, sampler and training.
        say: told everything that happens, as `say(kind, **facts)`; None: silence.
        settings: any other field of `autorecipe.search.settings.Settings`, such as `max_width=64`, `drop=("id",)`,
            `group="patient"`, `time="day"`, or `range=(0, 10)` for the bounds of a number to predict (`"none"`: no
            bounds).

    Raises:
        InputError: data or an option is wrong.
        CheckFailed: one batch cannot be overfitted.
    """
    from autorecipe.clock import parse_budget, start_clock

    clock = start_clock(parse_budget(budget), since_process_start=False)
    from autorecipe.data.metrics import own_metric
    from autorecipe.outputs.leave import with_outputs
    from autorecipe.predictor import Result
    from autorecipe.rundir import RunDir
    from autorecipe.search.agent import run_search
    from autorecipe.search.settings import Settings, checked_settings

    known = isinstance(data, (str, Path))
    if isinstance(settings.get("range"), (tuple, list)):
        settings["range"] = ",".join(map(str, settings["range"]))
    with own_metric(metric) as metric_name:
        chosen = checked_settings(
            Settings,
            {
                "source": str(data) if known else None,
                "target": target,
                "task": task,
                "metric": metric_name,
                "budget": budget,
                "seed": seed,
                **settings,
            },
        )

        def job(told: Callable[..., None]) -> RunDir:
            place = None if out is None else Path(out)
            return run_search(chosen, place, clock, source=None if known else data, say=told, stop=_go_on)

        run = with_outputs(job, say or _silent)
    return Result(run)


def resume(
    run: Path | str,
    budget: str | None = None,
    *,
    data: Any = None,
    metric: Any = None,
    say: Callable[..., None] | None = None,
) -> Result:
    """Go on with an interrupted run, or give a finished one more time (`budget="+5m"`, `"+20epochs"`).

    Args:
        run: the run's folder.
        budget: time or epochs on top; None: what is left of the run's own budget.
        data: the arrays again, if the run was of arrays.
        metric: the function again, if the run's metric is one.
        say: told everything that happens.

    Raises:
        InputError: nothing to resume, other data, or another metric.
    """
    from autorecipe.clock import Budget, parse_budget, start_clock

    clock = start_clock(Budget("", epochs=1.0), since_process_start=False)
    from autorecipe.data.metrics import own_metric
    from autorecipe.outputs.leave import with_outputs
    from autorecipe.predictor import Result
    from autorecipe.rundir import open_run
    from autorecipe.search.agent import resume_run
    from autorecipe.search.settings import load_settings

    more = None if budget is None else parse_budget(budget)
    folder = open_run(run)
    with own_metric("" if metric is None else metric) as name:
        if metric is not None and name != load_settings(folder).metric:
            raise InputError(f"{folder.path} is a run in the metric '{load_settings(folder).metric}', not '{name}'")
        return Result(
            with_outputs(
                lambda told: resume_run(folder, more, clock, source=data, say=told, stop=_go_on), say or _silent
            )
        )


def verify(
    run: Path | str,
    budget: str = "2m",
    *,
    data: Any = None,
    metric: Any = None,
    seed: int = 0,
    say: Callable[..., None] | None = None,
) -> Verification:
    """Check every claim of a run again: `found.holds`, and one row of `found.claims` for each.  Nothing in it changes.

    Args:
        run: the run's folder.
        budget: time from this call to its return, or epochs over all trainings.
        data: the data set, if it moved, or the arrays again, if the run was of arrays.
        metric: the function again, if the run's metric is one.
        seed: other numbers give other new seeds.
        say: told what is being done.

    Raises:
        InputError: no run with a model, no data, or another process works on the run.
    """
    from autorecipe.clock import parse_budget, start_clock

    allowed = parse_budget(budget)
    clock = start_clock(allowed, since_process_start=False)
    from autorecipe.data.metrics import own_metric
    from autorecipe.outputs.verify import verify as check
    from autorecipe.rundir import open_run

    with own_metric("" if metric is None else metric):
        return check(open_run(run), allowed, clock, source=data, seed=seed, say=say or _silent, stop=_go_on)


def load(run: Path | str) -> Result:
    """Open the folder of a run, to predict and to read its recipe and decisions.

    Raises:
        InputError: it is not there or holds no model.
    """
    from autorecipe.predictor import load as open_result

    return open_result(run)


def export(run: Path | str, format: str = "onnx", out: Path | str | None = None) -> Path:  # noqa: A002
    """Write the model of a run in a form that works without autorecipe.

    Args:
        run: the run's folder.
        format: `onnx` (`model.onnx`), `script` (`train.py`: PyTorch alone, to train the recipe again) or `torch`
            (`model.pt2`, for `torch.export.load`).
        out: the file; None: in the run's folder.

    Returns:
        where it is.

    Raises:
        InputError: no run, no model, an unknown format, or a model whose exported outputs would differ.
    """
    from autorecipe.outputs.export import export as write
    from autorecipe.rundir import open_run

    return write(open_run(run), format, None if out is None else Path(out))


def __getattr__(name: str) -> Any:
    if name == "Result":  # not imported at the start: it brings torch along
        from autorecipe.predictor import Result

        return Result
    if name in ("AutoRecipeClassifier", "AutoRecipeRegressor"):
        from autorecipe import estimator

        return getattr(estimator, name)
    raise AttributeError(f"module 'autorecipe' has no attribute '{name}'")


def _silent(kind: str, **facts: object) -> None:
    """Tell nobody."""


def _go_on() -> None:
    """Never stop: Ctrl-C raises KeyboardInterrupt in the caller."""
