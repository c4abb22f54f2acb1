"""The budget: from the process's start to its deadline.

A `Clock` is made once, at the door, and passed down; nothing reads it from a global.  A budget is
given in seconds (`10m`, `90s`, `1.5h`) or in epochs (`20epochs`).  With epochs nothing is timed, so
two runs with the same seed take the same decisions.
"""

import re
import time
from dataclasses import dataclass

import psutil

from autorecipe.errors import InputError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
MOST_DAYS = 366
MOST_EPOCHS = 1_000_000
"""Longer budgets are taken for mistakes."""
_HELP = "type a time such as --budget 90s, 10m or 2h, or a number of epochs such as 20epochs"


@dataclass(frozen=True)
class Budget:
    """What the user allows: `seconds` of wall-clock time or `epochs` of training, never both."""

    given: str
    seconds: float | None = None
    epochs: float | None = None

    @property
    def timed(self) -> bool:
        """Whether the budget is a wall-clock time."""
        return self.seconds is not None


def amount(value: float) -> str:
    """Seconds or epochs to three digits: `0.45`, `31.6`, `1,230`."""
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:.3g}"


def example_of_more(given: str) -> str:
    """What to type to give a run with such a budget more of the same kind."""
    return "+20epochs" if given.strip().lower().endswith(("epochs", "epoch", "ep")) else "+5m"


def parse_budget(text: str) -> Budget:
    """Read `10m`, `90s`, `1h30m`, `45` (seconds) or `20epochs`.

    Raises:
        InputError: the text is not a positive time or number of epochs.
    """
    clean = str(text).strip().lower().replace(" ", "").lstrip("+")
    epochs = re.fullmatch(r"(\d+(?:\.\d+)?)(?:epochs?|ep)", clean)
    if epochs:
        value = float(epochs[1])
        if value <= 0:
            raise InputError(f"the budget '{text}' is not more than zero; {_HELP}")
        if value > MOST_EPOCHS:
            raise InputError(f"the budget '{_short(text)}' is more than {MOST_EPOCHS:,} epochs; {_HELP}")
        return Budget(given=str(text), epochs=value)
    if not re.fullmatch(r"(?:\d+(?:\.\d+)?[smhd]?)+", clean):
        raise InputError(f"the budget '{text}' is not a time or a number of epochs; {_HELP}")
    seconds = sum(float(n) * _UNITS[unit or "s"] for n, unit in re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", clean))
    if seconds <= 0:
        raise InputError(f"the budget '{text}' is not more than zero; {_HELP}")
    if seconds > MOST_DAYS * _UNITS["d"]:
        raise InputError(f"the budget '{_short(text)}' is more than {MOST_DAYS} days; {_HELP}")
    return Budget(given=str(text), seconds=seconds)


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}..."


def process_start() -> float:
    """When this process started, in `time.time()` seconds."""
    return psutil.Process().create_time()


@dataclass(frozen=True)
class Clock:
    """Start and length of a run's time.

    Args:
        start: when the run began, in `time.monotonic()` seconds; for the command line the start of
            the process, imports included.
        limit: seconds allowed from `start`; infinite when the budget is given in epochs.
        spent_before: seconds that earlier parts of a resumed run have used.
    """

    start: float
    limit: float = float("inf")
    spent_before: float = 0.0

    def elapsed(self) -> float:
        """Seconds since the start of this part of the run."""
        return time.monotonic() - self.start

    def spent(self) -> float:
        """Seconds of the whole run, earlier parts included."""
        return self.spent_before + self.elapsed()

    def left(self) -> float:
        """Seconds until the deadline; negative when it is over."""
        return self.limit - self.elapsed()


def start_clock(budget: Budget, *, since_process_start: bool, spent_before: float = 0.0) -> Clock:
    """A clock that runs from now, or from the start of this process."""
    age = max(0.0, time.time() - process_start()) if since_process_start else 0.0
    limit = float("inf") if budget.seconds is None else budget.seconds - spent_before
    return Clock(start=time.monotonic() - age, limit=limit, spent_before=spent_before)
