"""The live display: the board drawn on a terminal, a few times a second."""

import math
from pathlib import Path

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from autorecipe.cli import words
from autorecipe.cli.board import PLAIN_RAMP, RAMP, Board, Trial, sparkline

_STYLES = {"complete": "green", "pruned": "dim", "running": "bold", "diverged": "red", "out of memory": "red"}


class LiveBoard:
    """A renderable that shows what the board knows at this moment."""

    def __init__(self, board: Board) -> None:
        self.board = board

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the board into the terminal's height."""
        height = options.height or console.height
        ramp = RAMP if console.encoding.startswith("utf") else PLAIN_RAMP
        with self.board.lock:
            yield draw(self.board, height, ramp)


def draw(board: Board, height: int = 40, ramp: str = RAMP) -> RenderableType:
    """The board as a rich renderable of about `height` lines at most."""
    parts: list[RenderableType] = [Text(""), _header(board), _spending(board)]
    if board.why:
        parts.append(_line(f"{board.phase}: ", board.why))
    if board.question:
        parts.append(_line("question ", board.question, "bold"))
    room = max(6, height - 9)
    if board.trials:
        parts.append(_trials(board, ramp, most=max(3, room * 2 // 3 - 2)))
    if board.doing:
        share = f"  {board.share:.0%}" if board.share is not None and "%" not in board.doing else ""
        parts.append(_line("now: ", f"{board.doing}{share}"))
    if board.decisions:
        parts.append(Text("decided so far", style="dim"))
        parts += [_line("  ", sentence, "green") for sentence in board.decisions[-max(2, room // 3) :]]
    if board.stopping:
        parts.append(
            _line(f"{board.stopping}: ", "stopping; saving the best so far (once more: leave at once)", "yellow")
        )
    return Group(*parts)


def _line(label: str, text: str, style: str = "") -> Text:
    line = Text(label, style="dim", no_wrap=True, overflow="ellipsis")
    line.append(text, style=style or "not dim")
    return line


def _header(board: Board) -> RenderableType:
    elapsed = board.clock.elapsed()
    grid = Table.grid(padding=(0, 1))
    title = Text("autorecipe ", style="bold cyan", no_wrap=True, overflow="ellipsis")
    title.append(board.dataset or "...", style="bold")
    title.append(f"  {words.clean(words.shown_path(Path(board.run)))}" if board.run else "", style="dim")
    if not math.isfinite(board.deadline):
        grid.add_row(title, Text(f"{words.timer(elapsed)} so far, budget {board.budget or '...'}", no_wrap=True))
        return grid
    left = board.deadline - elapsed
    total = max(board.deadline, 1e-9)
    bar = ProgressBar(total=total, completed=min(elapsed, total), width=24)
    grid.add_row(title, bar, Text(f"{words.timer(left)} left of {board.budget}", no_wrap=True))
    return grid


def _spending(board: Board) -> Text:
    """Where the time has gone, and where it goes now."""
    line = Text("time: ", style="dim", no_wrap=True, overflow="ellipsis")
    now = board.clock.elapsed() - board.since
    for phase, spent in board.spent.items():
        if spent >= 0.5 and phase != board.phase:
            line.append(f"{words.clean(phase)} {words.seconds(spent)}, ")
    total = board.spent.get(board.phase, 0.0) + now
    line.append(f"{words.clean(board.phase)} {words.seconds(total)}", style="bold not dim")
    if board.saved:
        line.append(f"; best on disk: {board.saved}")
    return line


def _trials(board: Board, ramp: str, most: int) -> RenderableType:
    names = sorted({name for trial in board.trials.values() for name in trial.params if name != "network"})
    if "lr_factor" in names:
        names.remove("lr_factor")
        names.insert(0, "lr_factor")
    networks = len({trial.network for trial in board.trials.values()}) > 1
    table = Table(box=None, padding=(0, 1), header_style="dim", pad_edge=False)
    table.add_column("  #", justify="right")
    if networks:
        table.add_column("network", no_wrap=True)
    for name in names:
        title = "lr x" if name == "lr_factor" else name.rsplit(".", 1)[-1].replace("_", " ")
        table.add_column(Text(words.clean(title)), no_wrap=True)
    table.add_column("rungs", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column(f"of {board.planned}" if board.planned else "", no_wrap=True)
    seen = [value for trial in board.trials.values() for value in trial.rungs if math.isfinite(value)]
    low, high = (min(seen), max(seen)) if seen else (0.0, 1.0)
    for trial in list(board.trials.values())[-most:]:
        best = trial.number == board.best
        style = "bold green" if best else _STYLES.get(trial.state, "")
        cells = [str(trial.number), *([trial.network] if networks else [])]
        cells += [words.clean(words.short(trial.params[name])) if name in trial.params else "" for name in names]
        cells += [
            sparkline(trial.rungs, low, high, ramp),
            _score(trial),
            f"best, {trial.state}" if best else trial.state,
        ]
        table.add_row(*(Text(words.clean(cell), style=style) for cell in cells))
    return table


def _score(trial: Trial) -> str:
    if trial.score is not None:
        return words.number(trial.score)
    return words.number(trial.rungs[-1]) if trial.rungs else ""
