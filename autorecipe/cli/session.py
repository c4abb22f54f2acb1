"""One run at the terminal: signals, display, the search, and how it ended."""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import typer

from autorecipe.cli.display import Display, Say, choose_mode, open_display
from autorecipe.cli.ending import show_end
from autorecipe.cli.signals import StopRequest, stop_on_signals
from autorecipe.clock import Clock
from autorecipe.errors import AutoRecipeError, Stopped
from autorecipe.rundir import RunDir

INTERRUPTED = 130
Job = Callable[[Say, Callable[[], None]], RunDir]
"""Runs a search with `say` and `stop`."""


def run_session(job: Job, clock: Clock, *, quiet: bool, as_json: bool, dataset: str = "", budget: str = "") -> None:
    """Run a job with a display, then tell how it ended.

    Args:
        job: imports what it needs and runs; its heavy imports happen under the display.
        clock: of the run.
        quiet: only the final lines.
        as_json: one JSON event a line.
        dataset: as the user named it.
        budget: as the user gave it.

    Raises:
        typer.Exit: with code 130, if the user stopped the run.
        typer.BadParameter: `quiet` and `as_json` at once.
    """
    if quiet and as_json:
        raise typer.BadParameter("--quiet and --json exclude each other: give one of them")
    mode = choose_mode(quiet, as_json, sys.stdout)
    with open_display(mode, clock, dataset=dataset, budget=budget) as display:

        def asked(by: str) -> None:  # runs inside the signal handler: no lock, no output
            display.board.stopping = by

        with stop_on_signals(asked) as request:
            run = _run(job, display, request)
    if not as_json and run is not None:
        show_end(run, sys.stdout, quiet=quiet)
    if request.by:
        sys.stderr.write(f"stopped by {request.by}\n")
        raise typer.Exit(INTERRUPTED)


def _run(job: Job, display: Display, request: StopRequest) -> RunDir | None:
    """The finished run, or the one that was stopped; None if it was stopped before it began."""
    try:
        from autorecipe.outputs.leave import with_outputs  # under the display, as all that is heavy

        return with_outputs(lambda say: job(say, request.check), display.say)
    except Stopped:
        return RunDir(Path(display.board.run).resolve()) if display.board.run else None
    except AutoRecipeError:
        raise
    except Exception as error:
        if display.board.run:
            run = RunDir(Path(display.board.run).resolve())
            run.event("error", error=repr(error), traceback=traceback.format_exc())
            error.add_note(f"the run's log: {run.log}")
        raise
