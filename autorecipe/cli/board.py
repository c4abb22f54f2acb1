"""What a display has heard so far: the board that the live display draws from."""

import contextlib
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from autorecipe.cli import words
from autorecipe.clock import Clock, parse_budget
from autorecipe.errors import InputError

RAMP = "▁▂▃▄▅▆▇█"
PLAIN_RAMP = "_.-=+*%#"
_PHASES = {"progress": "reading", "hardware": "checks and baselines", "finish": "finish"}
_QUIET = ("progress", "look", "finish_look", "trial_start", "trial", "saved", "result")
"""Kinds that say what goes on rather than a fact that stays."""


@dataclass
class Trial:
    """One trial of the current question, as far as it has come."""

    number: int
    network: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    rungs: list[float] = field(default_factory=list)
    score: float | None = None
    state: str = "running"


@dataclass
class Board:
    """The facts that a display shows; `hear` keeps them, under the lock."""

    clock: Clock
    run: str = ""
    dataset: str = ""
    budget: str = ""
    deadline: float = math.inf
    """Seconds on the clock at which the time is over."""
    phase: str = "preparing"
    since: float = 0.0
    spent: dict[str, float] = field(default_factory=dict)
    """Seconds of each earlier phase."""
    why: str = ""
    """What the present stage asks."""
    question: str = ""
    planned: int = 0
    trials: dict[int, Trial] = field(default_factory=dict)
    best: int | None = None
    """Number of the question's best trial."""
    decisions: list[str] = field(default_factory=list)
    doing: str = "starting"
    share: float | None = None
    saved: str = ""
    stopping: str = ""
    """Why the run is being stopped."""
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)


def hear(board: Board, kind: str, facts: words.Facts) -> None:
    """Keep what an event tells."""
    with board.lock:
        if kind in _PHASES:
            _enter(board, _PHASES[kind])
        if kind in ("progress", "finish_look"):
            share = facts.get("share")
            board.share = float(share) if isinstance(share, (int, float)) and math.isfinite(share) else None
        elif kind in _QUIET or kind in ("start", "hardware", "stage", "question", "evidence", "lr_range", "finish"):
            board.share = None
        if kind in ("progress", "check", "baseline", "lr_range", "trial_start", "evidence", "finish", "finish_look"):
            board.doing = words.sentences(kind, facts)[0].strip()
        elif kind == "hardware":
            board.doing = "checking the training loop"
        _HEARD.get(kind, _nothing)(board, facts)


def _enter(board: Board, phase: str) -> None:
    now = board.clock.elapsed()
    if phase != board.phase:
        board.spent[board.phase] = board.spent.get(board.phase, 0.0) + now - board.since
        board.phase, board.since = phase, now


def _nothing(board: Board, facts: words.Facts) -> None:
    pass


def _start(board: Board, facts: words.Facts) -> None:
    board.run = str(facts.get("run", ""))
    board.dataset = words.clean(facts.get("dataset", ""))
    board.budget = words.clean(facts.get("budget", ""))
    if not math.isfinite(board.clock.limit):  # a resumed run: the door knows what was spent, not what was given
        with contextlib.suppress(InputError):
            seconds = parse_budget(board.budget).seconds
            board.deadline = math.inf if seconds is None else seconds - board.clock.spent_before


def _stage(board: Board, facts: words.Facts) -> None:
    _enter(board, str(facts.get("name", "search")))
    reason = f" ({facts['reason']})" if facts.get("reason") else ""
    board.why = words.clean(f"{facts.get('asks', '')}{reason}")
    board.question, board.planned, board.best = "", 0, None
    board.trials.clear()


def _question(board: Board, facts: words.Facts) -> None:
    board.question = words.clean(f"{facts.get('number', '')}: {facts.get('text', '')}")
    board.planned = int(facts.get("trials") or 0)
    board.best = None
    board.trials.clear()


def _of(board: Board, facts: words.Facts) -> Trial:
    key = int(facts.get("number") or 0)
    return board.trials.setdefault(key, Trial(key))


def _trial_start(board: Board, facts: words.Facts) -> None:
    trial = _of(board, facts)
    trial.network = words.clean(facts.get("network", ""))
    trial.params = dict(facts.get("params") or {})


def _look(board: Board, facts: words.Facts) -> None:
    score = facts.get("score")
    if isinstance(score, (int, float)):
        _of(board, facts).rungs.append(float(score))


def _trial(board: Board, facts: words.Facts) -> None:
    trial = _of(board, facts)
    trial.state = str(facts.get("state", "complete")).replace("_", " ")
    trial.score = facts.get("score")
    if trial.state == "complete" and trial.score is not None and trial.score == facts.get("best"):
        board.best = trial.number


def _decision(board: Board, facts: words.Facts) -> None:
    board.decisions.append(words.clean(facts.get("sentence") or facts.get("verdict", "")))
    board.doing = "choosing the next question"


def _finish(board: Board, facts: words.Facts) -> None:
    board.why = "the chosen recipe, trained for the time that is left"
    board.question = ""
    board.trials.clear()


def _saved(board: Board, facts: words.Facts) -> None:
    board.saved = words.clean(f"{facts.get('what', '')} {words.number(facts.get('score'))}")


_HEARD = {
    "start": _start,
    "stage": _stage,
    "question": _question,
    "trial_start": _trial_start,
    "look": _look,
    "trial": _trial,
    "decision": _decision,
    "finish": _finish,
    "saved": _saved,
}


def sparkline(values: Sequence[float], low: float, high: float, ramp: str = RAMP) -> str:
    """Values as a row of bars between `low` and `high`."""
    top = len(ramp) - 1
    shares = [(value - low) / (high - low) if high > low else 0.5 for value in values if math.isfinite(value)]
    return "".join(ramp[round(top * min(1.0, max(0.0, share)))] for share in shares)
