import io
import json

import pytest
from cli_events import EVENTS  # beside this file
from rich.console import Console

from autorecipe.cli import words
from autorecipe.cli.board import Board, hear, sparkline
from autorecipe.cli.display import Mode, choose_mode, open_display, progress_line
from autorecipe.cli.live import LiveBoard
from autorecipe.clock import Budget, Clock, parse_budget, start_clock


@pytest.fixture
def clock() -> Clock:
    return start_clock(parse_budget("60s"), since_process_start=False)


def shown(mode: Mode, clock: Clock) -> str:
    out = io.StringIO()
    with open_display(mode, clock, out, dataset="digits", budget="60s") as display:
        for kind, facts in EVENTS:
            display.say(kind, **facts)
    return out.getvalue()


def test_every_kind_has_a_sentence() -> None:
    assert {kind for kind, _ in EVENTS} == set(words.SENTENCES)
    for kind, facts in EVENTS:
        assert all(words.sentences(kind, facts)), kind


@pytest.mark.parametrize("kind", sorted(words.SENTENCES))
@pytest.mark.parametrize("mode", ["plain", "live", "json", "quiet"])
def test_a_display_survives_missing_facts(kind: str, mode: Mode, clock: Clock) -> None:
    with open_display(mode, clock, io.StringIO()) as display:
        display.say(kind)
    assert isinstance(words.sentences(kind, {}), list)


def test_plain_lines_have_no_control_codes_and_do_not_wrap(clock: Clock) -> None:
    text = shown("plain", clock)
    assert all(c == "\n" or c.isprintable() for c in text)
    for fact in ("'[red]' and class '[/]'", "class '[bold]x[/bold]'", "2.31", "rungs 0.7100 0.8200", "lr_factor 1"):
        assert fact in text
    assert max(map(len, text.splitlines())) > 100
    assert "cross-validated" in text
    assert "warning: column" in text
    assert "FAILED" in text
    assert "look at the labels" in text


def test_progress_is_told_once_in_a_while(clock: Clock) -> None:
    out = io.StringIO()
    with open_display("plain", clock, out) as display:
        for i in range(1000):
            display.say("progress", what="reading", share=i / 1000)
        display.say("progress", what="decoding", share=0.0)
    assert len(out.getvalue().splitlines()) == 2


def test_json_lines_parse_strictly(clock: Clock) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    rows = [json.loads(line, parse_constant=refuse) for line in shown("json", clock).splitlines()]
    assert [row["event"] for row in rows] == [kind for kind, _ in EVENTS]
    assert rows[-1]["scores"]["test"] == 0.9722
    assert next(row for row in rows if row["event"] == "finish_look")["train_loss"] is None


def test_quiet_says_nothing_while_it_runs(clock: Clock) -> None:
    assert shown("quiet", clock) == ""


def test_the_live_board_shows_names_as_they_are(clock: Clock) -> None:
    board = Board(clock, deadline=60.0)
    screens = []
    for kind, facts in EVENTS:
        hear(board, kind, facts)
        console = Console(width=120, height=40, file=io.StringIO(), force_terminal=True, color_system=None)
        with console.capture() as capture:
            console.print(LiveBoard(board))
        screens.append(capture.get())
    middle = next(s for (kind, _), s in zip(EVENTS, screens, strict=True) if kind == "evidence")
    for fact in ("digits", "width 16 -> 32 or 64", "[/] 16", "best, complete", "pruned", "diverged", "left of 60s"):
        assert fact in middle
    assert "0.9000" in middle
    assert "adopted; error" in screens[-1]
    assert "best on disk: resnet 32" in screens[-1]


def test_the_live_display_keeps_facts_and_clears_the_board(clock: Clock) -> None:
    text = shown("live", clock)
    assert "'[red]' and class '[/]'" in text
    assert "decided: width 16 -> 32" in text


def test_a_closed_pipe_does_not_stop_the_search(clock: Clock) -> None:
    class Closed(io.StringIO):
        def write(self, text: str, /) -> int:
            raise BrokenPipeError

    for mode in ("plain", "json"):
        with open_display(mode, clock, Closed()) as display:
            display.say("note", text="x")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_mode_fits_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert choose_mode(False, False, Terminal()) == "live"
    assert choose_mode(False, True, Terminal()) == "json"
    assert choose_mode(True, False, Terminal()) == "quiet"
    assert choose_mode(False, False, io.StringIO()) == "plain"
    monkeypatch.setenv("TERM", "dumb")
    assert choose_mode(False, False, Terminal()) == "plain"


def test_a_resumed_run_shows_what_is_left() -> None:
    clock = start_clock(Budget("none"), since_process_start=False, spent_before=40.0)
    board = Board(clock)
    hear(board, "start", {"run": "r", "dataset": "d", "budget": "60s", "resumed": True})
    assert board.deadline == 20.0
    hear(board, "start", {"run": "r", "dataset": "d", "budget": "20epochs", "resumed": True})
    assert board.deadline == float("inf")


def test_numbers_in_words() -> None:
    assert [words.number(x) for x in (None, 0.91234, 1.0, 532.1234, 12345.6, 2.5e-5, 7)] == [
        "-", "0.9123", "1", "532.1", "12,346", "2.5e-05", "7",
    ]  # fmt: skip
    assert [words.seconds(x) for x in (0.42, 42.3, 312, 7500, None, float("inf"))] == [
        "0.4 s", "42 s", "5 min 12 s", "2 h 5 min", "-", "-",
    ]  # fmt: skip
    assert [words.timer(x) for x in (-1, 7, 754, 3723)] == ["0:00", "0:07", "12:34", "1:02:03"]
    assert sparkline([0.0, 0.5, 1.0, float("nan")], 0.0, 1.0) == "▁▅█"


def test_what_takes_long_says_how_far_it_is_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    with progress_line(out, after=0.0) as tell:
        tell("decoding images", 0.25)
        tell("decoding images", 0.26)  # too soon after the first to be worth a redraw
    assert out.getvalue() == "\r\x1b[Kdecoding images: 25%\r\x1b[K"
    with progress_line(out := Terminal(), after=60.0) as tell:
        tell("decoding images", 0.5)
    assert out.getvalue() == ""
    with progress_line(out := io.StringIO(), after=0.0) as tell:
        tell("decoding images", 0.5)
    assert out.getvalue() == ""
