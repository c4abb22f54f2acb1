import os
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorecipe import clock as clock_module
from autorecipe.clock import Budget, Clock, amount, parse_budget, process_start, start_clock
from autorecipe.errors import InputError


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.4467, "0.447"), (31.62, "31.6"), (99.97, "100"), (1230.4, "1,230"), (12.0, "12"), (0.0, "0")],
)
def test_amounts_have_three_digits_and_no_power_of_ten(value, words):
    assert amount(value) == words


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("2d", 172800),
        ("45", 45),
        (" 10 M ", 600),
        ("+5m", 300),
        ("1m30", 90),
    ],
)
def test_times(text, seconds):
    budget = parse_budget(text)
    assert budget.seconds == pytest.approx(seconds)
    assert budget.epochs is None
    assert budget.timed
    assert budget.given == text


@pytest.mark.parametrize("text", ["20epochs", "20 epochs", "20ep", "20epoch", "+20epochs"])
def test_epochs(text):
    budget = parse_budget(text)
    assert budget.epochs == 20
    assert budget.seconds is None
    assert not budget.timed


@pytest.mark.parametrize(
    "text", ["", "m", "ten minutes", "10x", "-5m", "0", "0s", "0epochs", "epochs", "1e3", "nan", "inf", "10m5epochs"]
)
def test_bad_budgets_say_what_to_type(text):
    with pytest.raises(InputError, match="--budget 90s"):
        parse_budget(text)


@pytest.mark.parametrize("text", ["367d", "99999999d", "9" * 400, "2000000epochs", "1" + "0" * 400 + "epochs"])
def test_budgets_longer_than_a_year_are_taken_for_mistakes(text):
    with pytest.raises(InputError, match="is more than") as caught:
        parse_budget(text)
    assert len(str(caught.value)) < 250
    assert parse_budget("366d").seconds == 366 * 86400


@given(st.integers(0, 50), st.integers(0, 59), st.integers(1, 59))
def test_parts_add_up(hours, minutes, seconds):
    assert parse_budget(f"{hours}h{minutes}m{seconds}s").seconds == hours * 3600 + minutes * 60 + seconds


@given(st.floats(0.01, 366).map(lambda x: f"{x:.3f}"), st.sampled_from(["s", "m", "h", "d", "epochs"]))
def test_numbers_with_units(number, unit):
    budget = parse_budget(number + unit)
    factor = {"s": 1, "m": 60, "h": 3600, "d": 86400, "epochs": 1}[unit]
    value = budget.epochs if unit == "epochs" else budget.seconds
    assert value == pytest.approx(float(number) * factor)


@given(st.text(max_size=8))
def test_any_text_is_read_or_refused(text):
    try:
        budget = parse_budget(text)
    except InputError:
        return
    assert (budget.seconds or budget.epochs) > 0


def test_process_start_is_this_process():
    assert time.time() - 3600 * 24 * 365 < process_start() <= time.time()
    code = "import time; time.sleep(0.4)\nfrom autorecipe.clock import *\n"
    code += "print(start_clock(parse_budget('9s'), since_process_start=True).left())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert float(done.stdout) < 8.7  # the sleep before the import has been counted


def test_a_clock_counts_from_now_or_from_the_start_of_the_process(monkeypatch):
    monkeypatch.setattr(clock_module, "process_start", lambda: time.time() - 100)
    budget = Budget("200s", seconds=200.0)
    assert start_clock(budget, since_process_start=False).left() == pytest.approx(200, abs=1)
    old = start_clock(budget, since_process_start=True)
    assert old.left() == pytest.approx(100, abs=1)
    assert old.elapsed() == pytest.approx(100, abs=1)


def test_left_and_spent_on_resume():
    clock = start_clock(Budget("100s", seconds=100.0), since_process_start=False, spent_before=70.0)
    assert clock.left() == pytest.approx(30, abs=1)
    assert clock.spent() == pytest.approx(70, abs=1)


def test_left_goes_below_zero_after_the_deadline():
    clock = Clock(start=time.monotonic() - 5, limit=3.0)
    assert clock.left() == pytest.approx(-2, abs=0.5)


def test_epochs_have_no_deadline():
    clock = start_clock(Budget("3epochs", epochs=3.0), since_process_start=False)
    assert clock.left() == float("inf")
