"""What a search leaves beside the model, however it ended: `train.py`, `report.html`, and `model.onnx` if time is left.

And while it runs the figures of each decision, for the dashboard.  The one place that all doors go through: search,
resume and replay, from the command line and from Python.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from autorecipe.errors import AutoRecipeError, Stopped
from autorecipe.rundir import RunDir, disk_reason, read_mapping, write_json
from autorecipe.search.checksums import add_export, rewrite_summary

Say = Callable[..., None]
EXPORT_SECONDS = 1.5
"""With less time left than this `model.onnx` is not written."""


@dataclass
class _Heard:
    """What was told of a run: its folder, and how much of its time was left when it was scored."""

    run: RunDir | None = None
    left: float = math.inf
    at: float = field(default_factory=time.monotonic)

    def hear(self, kind: str, facts: dict[str, Any]) -> None:
        if kind == "start":
            self.run = RunDir(Path(str(facts["run"])))
        elif kind == "result":
            left = facts.get("seconds_left")
            self.left, self.at = math.inf if left is None else float(left), time.monotonic()


def with_outputs(job: Callable[[Say], RunDir], say: Say) -> RunDir:
    """Run a search, a resume or a replay, and leave its outputs; each decision's figures as soon as it is made.

    Args:
        job: runs it, with a `say` of its own.
        say: told everything that happens.

    Raises:
        Stopped: the user stopped the run; `train.py` is there, if a model is.
    """
    heard = _Heard()

    def told(kind: str, **facts: Any) -> None:
        heard.hear(kind, facts)
        say(kind, **facts)
        if kind == "decision" and heard.run is not None:
            _leave_figures(heard.run, say)

    try:
        run = job(told)
    except (Stopped, KeyboardInterrupt):
        if heard.run is not None:
            leave_outputs(heard.run, say, 0.0)
        raise
    leave_outputs(run, say, heard.left - (time.monotonic() - heard.at))
    return run


def leave_outputs(run: RunDir, say: Say, seconds_left: float) -> None:
    """Write `train.py`, `report.html`, and `model.onnx` if there is time; what cannot be written is a note, no error.

    Where the run's settings want none (`outputs`), only exports of an older model are removed.

    Args:
        run: the run, in which nobody works any more.
        say: told what was left out, and why.
        seconds_left: of the budget; infinite if it is in epochs.
    """
    from autorecipe.search.settings import load_settings

    begin = time.monotonic()
    if not (run.weights.exists() and run.recipe.exists()):
        return

    note = partial(_note, run, say)
    try:
        if not load_settings(run).outputs:
            _remove_older(run, ("script", "onnx", "torch"), note)
            return
        _leave(run, "script", note)
        if seconds_left - (time.monotonic() - begin) >= EXPORT_SECONDS:
            _leave(run, "onnx", note)
        else:
            _remove_older(run, ("onnx",), note)
            if run.onnx.exists():  # of these weights: an earlier part of the run has left it
                add_export(run, run.onnx)
            else:
                note(f"no time for model.onnx; to write it: autorecipe export {run.path} --format onnx")
        _remove_older(run, ("torch",), note)
        _account(run, time.monotonic() - begin)
        _leave_report(run, note)
    except OSError as error:
        if disk_reason(error) is None:
            raise
        say("note", text=f"{run.path} cannot be written: {disk_reason(error)}")


def _leave_figures(run: RunDir, say: Say) -> None:
    """Keep the figures of the last decision with its study, while the search goes on."""
    from autorecipe.outputs.report.study_figures import attach_newest
    from autorecipe.search.settings import load_settings

    try:
        if load_settings(run).outputs:
            attach_newest(run)
    except Exception as error:  # what cannot be drawn is no reason to end the search
        _note(run, say, f"the figures of this decision could not be made: {type(error).__name__}: {error}")


def _note(run: RunDir, say: Say, text: str) -> None:
    run.event("note", text=text)
    say("note", text=text)


def _remove_older(run: RunDir, forms: Sequence[str], note: Callable[[str], None]) -> None:
    """Exports that are older than the weights are of a model that is no more."""
    paths = {"script": run.script, "onnx": run.onnx, "torch": run.program}
    for form in forms:
        path = paths[form]
        if path.exists() and path.stat().st_mtime < run.weights.stat().st_mtime:
            path.unlink()
            note(f"{path.name} was of the model before; to write it: autorecipe export {run.path} --format {form}")


def _leave(run: RunDir, form: str, note: Callable[[str], None]) -> None:
    from autorecipe.outputs.export import export

    try:
        export(run, form)
    except OSError:
        raise
    except Exception as error:  # what cannot be exported is no reason to lose the command's exit code
        known = isinstance(error, AutoRecipeError)
        note(str(error) if known else f"{form} could not be written: {type(error).__name__}: {error}")


def _leave_report(run: RunDir, note: Callable[[str], None]) -> None:
    from autorecipe.outputs.report import attach_figures, write_report

    for what, write in (("report.html", write_report), ("the studies' figures", attach_figures)):
        try:
            write(run)
        except OSError:
            raise
        except Exception as error:  # what cannot be drawn is no reason to lose the command's exit code
            note(f"{what} could not be made: {type(error).__name__}: {error}")


def _account(run: RunDir, seconds: float) -> None:
    """Book the time on the run: what is left of its budget, and its summary, count it."""
    for path, place in ((run.state, "spent_seconds"), (run.summary, "budget")):
        if not path.exists():
            continue
        facts = read_mapping(path)
        here = facts if place == "spent_seconds" else facts.get("budget", {})
        here["spent_seconds"] = round(float(here.get("spent_seconds", 0.0)) + seconds, 3)
        by_stage = here.setdefault("by_stage", {})
        by_stage["outputs"] = round(float(by_stage.get("outputs", 0.0)) + seconds, 3)
        receipt = here.get("receipt") or {}
        if "outputs" in receipt:  # not in one of epochs
            receipt["outputs"]["spent"] = by_stage["outputs"]
            receipt["total"]["spent"] = here["spent_seconds"]
        if path == run.summary:
            rewrite_summary(run, facts)
        else:
            write_json(path, facts)
