import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorecipe.recipe import ScheduleSection
from autorecipe.training.schedules import cooldown_start, lr_factor

shares = st.floats(0, 1)


@given(shares, st.sampled_from(["wsd", "cosine", "constant"]), st.floats(0, 0.4), st.floats(0, 0.5))
def test_factors_lie_between_zero_and_one(progress, name, warmup, cooldown):
    assert 0 <= lr_factor(ScheduleSection(name, warmup, cooldown), progress) <= 1


@given(st.integers(1, 50), st.integers(100, 400), st.integers(100, 400))
def test_wsd_is_equal_while_stable_whatever_the_length(step, first, second):
    """Between warm-up and cooldown the learning rate says nothing about the run's length."""
    section = ScheduleSection("wsd", 0.1, 0.4)
    values = {lr_factor(section, step / n) for n in (first, second) if 0.1 <= step / n <= 0.6}
    assert values <= {1.0}


@given(st.floats(0.01, 0.5), st.floats(0.05, 0.49))
def test_it_rises_and_falls(warmup, cooldown):
    section = ScheduleSection("wsd", warmup, cooldown)
    points = [i / 200 for i in range(201)]
    factors = [lr_factor(section, p) for p in points]
    rising = [f for p, f in zip(points, factors, strict=True) if p < warmup]
    falling = [f for p, f in zip(points, factors, strict=True) if p >= cooldown_start(section)]
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    assert max(factors) == 1.0


@pytest.mark.parametrize("name", ["wsd", "cosine"])
def test_it_ends_at_zero(name):
    assert lr_factor(ScheduleSection(name, 0.1, 0.4), 1.0) == pytest.approx(0, abs=1e-12)
    assert lr_factor(ScheduleSection(name, 0.1, 0.4), 0.5) > 0.4


def test_the_first_step_moves():
    assert lr_factor(ScheduleSection("wsd", 0.5, 0.4), 0.0) > 0


def test_constant_stays():
    assert {lr_factor(ScheduleSection("constant", 0.0), i / 10) for i in range(11)} == {1.0}


def test_cooldown_starts():
    assert cooldown_start(ScheduleSection("wsd", 0.1, 0.3)) == pytest.approx(0.7)
    assert cooldown_start(ScheduleSection("cosine", 0.1)) == pytest.approx(0.1)
    assert cooldown_start(ScheduleSection("constant", 0.1)) == 1.0


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="zigzag"):
        lr_factor(ScheduleSection("zigzag"), 0.5)
