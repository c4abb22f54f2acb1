"""Ctrl-C and SIGTERM: the first asks the run to stop, a second one ends it at once."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

from autorecipe.errors import Stopped

_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


@dataclass
class StopRequest:
    """Whether the user wants to stop."""

    by: str = ""
    """`Ctrl-C` or `SIGTERM` once it was asked for."""

    def check(self) -> None:
        """Called by the search between two steps.

        Raises:
            Stopped: the user wants to stop.
        """
        if self.by:
            raise Stopped(f"stopped by {self.by}")


@contextlib.contextmanager
def stop_on_signals(told: Callable[[str], None] = lambda by: None) -> Iterator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a request, the second into KeyboardInterrupt.

    Args:
        told: called inside the handler with the signal's name: it must do no more than set a value.
    """
    request = StopRequest()

    def handle(number: int, frame: FrameType | None) -> None:
        if request.by:
            raise KeyboardInterrupt
        request.by = _NAMES.get(signal.Signals(number), "a signal")
        told(request.by)

    before = {number: signal.signal(number, handle) for number in _NAMES}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
