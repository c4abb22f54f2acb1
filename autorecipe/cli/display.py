"""What the user sees while a search runs: a live board, plain lines, JSON lines, or only the end."""

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TextIO

from autorecipe.cli import words
from autorecipe.cli.board import Board, hear
from autorecipe.clock import Clock

Mode = Literal["live", "plain", "json", "quiet"]
Say = Callable[..., None]
"""`say(kind, **facts)`: how the search tells what happens."""
EVERY = 5.0
"""Seconds between two plain lines on the progress of one thing."""
REFRESH = 2.0
"""Redraws a second: each costs some milliseconds of a core that the training wants."""
_ABOVE = ("data", "finding", "hardware", "check", "baseline", "plan", "decision", "note")
"""Kinds whose lines stay on a terminal, above the live board."""
_BEFORE_END = ("trial_start", "look", "result")
"""Kinds that plain lines leave out: the end of the trial, or of the run, tells it again."""


@dataclass
class Display:
    """How one run is shown; `say` is handed to the search."""

    mode: Mode
    board: Board
    out: TextIO
    live: Any = field(default=None, repr=False)
    """rich's Live, in live mode."""
    told: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Kind of progress to what was told last and when."""

    def say(self, kind: str, /, **facts: object) -> None:
        """Show an event.  A display that cannot write falls silent: the search goes on."""
        hear(self.board, kind, facts)
        with contextlib.suppress(OSError, ValueError):
            _TELL[self.mode](self, kind, facts)


def choose_mode(quiet: bool, as_json: bool, out: TextIO) -> Mode:
    """The display that fits the options and the place where it goes."""
    if as_json:
        return "json"
    if quiet:
        return "quiet"
    return "live" if on_terminal(out) else "plain"


def on_terminal(out: TextIO) -> bool:
    """Whether this is a terminal that understands control codes."""
    return out.isatty() and (os.name == "nt" or os.environ.get("TERM", "") not in ("dumb", ""))


@contextlib.contextmanager
def progress_line(out: TextIO, after: float = 1.0) -> Iterator[Callable[[str, float], None]]:
    """One line on a terminal that says how far something is which takes longer than so many seconds.

    It is written over, and gone at the end.  Anywhere but on a terminal nothing is written.
    """
    terminal, due, shown = on_terminal(out), time.monotonic() + after, False

    def tell(sentence: str, done: float) -> None:
        nonlocal due, shown
        if terminal and time.monotonic() >= due:
            with contextlib.suppress(OSError, ValueError):
                out.write(f"\r\x1b[K{words.clean(sentence)}: {done:.0%}")
                out.flush()
            due, shown = time.monotonic() + 0.1, True

    try:
        yield tell
    finally:
        if shown:
            with contextlib.suppress(OSError, ValueError):
                out.write("\r\x1b[K")
                out.flush()


@contextlib.contextmanager
def open_display(
    mode: Mode, clock: Clock, out: TextIO | None = None, *, dataset: str = "", budget: str = ""
) -> Iterator[Display]:
    """A display for the run; a live one is taken off the terminal at the end.

    Args:
        mode: what `choose_mode` gave.
        clock: for the time that is left.
        out: where to write; standard output if None.
        dataset: shown until the search has read it.
        budget: as given.
    """
    out = out or sys.stdout
    display = Display(
        mode, Board(clock, dataset=words.clean(dataset), budget=words.clean(budget), deadline=clock.limit), out
    )
    if mode != "live":
        yield display
        return
    from rich.console import Console
    from rich.live import Live

    from autorecipe.cli.live import LiveBoard

    console = Console(file=out, highlight=False, markup=False, emoji=False)
    with Live(LiveBoard(display.board), console=console, refresh_per_second=REFRESH, transient=True) as live:
        display.live = live
        yield display


def plain_lines(display: Display, kind: str, facts: dict[str, Any]) -> list[str]:
    """The lines of an event without control codes; empty for what would be told twice or too often."""
    if kind in _BEFORE_END or (kind in ("progress", "finish_look") and not _due(display, kind, facts)):
        return []
    if kind == "trial":
        trial = display.board.trials.get(int(facts.get("number") or 0))
        facts = {"rungs": trial.rungs if trial else (), **facts}
        lines = words.sentences(kind, facts)
        if trial and trial.network:
            lines[0] += words.clean("; " + ", ".join(filter(None, (trial.network, words.params(trial.params)))))
        return lines
    return words.sentences(kind, facts)


def _due(display: Display, kind: str, facts: dict[str, Any]) -> bool:
    """Whether progress is news: another thing, its end, or some seconds later."""
    what, now = str(facts.get("what", "")), time.monotonic()
    before, then = display.told.get(kind, (None, -math.inf))
    if what == before and now - then < EVERY and facts.get("share") != 1.0:
        return False
    display.told[kind] = (what, now)
    return True


def _tell_plain(display: Display, kind: str, facts: dict[str, Any]) -> None:
    stamp = f"{words.timer(display.board.clock.elapsed()):>7}  "
    for line in plain_lines(display, kind, facts):
        write_line(display.out, stamp + line)


def _tell_live(display: Display, kind: str, facts: dict[str, Any]) -> None:
    from rich.text import Text

    if kind not in _ABOVE:
        return
    warn = facts.get("warn") or (kind == "check" and not facts.get("passed"))
    style = "yellow" if warn else "bold" if kind == "decision" else ""
    for line in words.sentences(kind, facts):
        display.live.console.print(Text(line, style=style))


def _tell_json(display: Display, kind: str, facts: dict[str, Any]) -> None:
    write_line(display.out, json_line({"time": round(time.time(), 3), "event": kind, **facts}))


def _tell_nothing(display: Display, kind: str, facts: dict[str, Any]) -> None:
    """Only the end is shown."""


_TELL: dict[Mode, Callable[[Display, str, dict[str, Any]], None]] = {
    "plain": _tell_plain,
    "live": _tell_live,
    "json": _tell_json,
    "quiet": _tell_nothing,
}


def write_line(out: TextIO, line: str) -> None:
    """Write one line at once; what the place's encoding cannot show becomes `?`."""
    encoding = out.encoding or "utf-8"
    out.write(line.encode(encoding, "replace").decode(encoding) + "\n")
    out.flush()


def json_line(data: object) -> str:
    """Strict JSON on one line: a number that is not finite becomes null."""
    from autorecipe.recipe import to_dict

    return json.dumps(_finite(to_dict(data)), allow_nan=False, default=_plain)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _plain(value: Any) -> Any:
    """Numbers of numpy as Python's, anything else as text."""
    return _finite(value.item()) if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else str(value)
