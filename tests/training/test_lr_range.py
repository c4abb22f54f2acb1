import numpy as np
import pytest
from helpers import CPU, on_cpu, recipe_for, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st

from autorecipe.training import lr_range
from autorecipe.training.lr_range import (
    judge_race,
    longest_fall,
    lr_range_test,
    race,
    smoothed,
    steepest,
    sweep,
    sweep_together,
)

LRS = np.geomspace(1e-5, 1.0, 100)


def valley(at, bottom, noise=0.0, seed=0):
    """A loss that falls steepest at `at`, is lowest at `bottom` and rises after it."""
    x = np.log10(LRS)
    curve = 2.3 - 1.5 / (1 + np.exp(-(x - np.log10(at)) * 6))
    curve = curve + 3 * np.clip(x - np.log10(bottom), 0, None) ** 2
    return curve + noise * np.random.default_rng(seed).normal(size=len(x))


@pytest.mark.parametrize("at", [1e-4, 1e-3, 1e-2])
def test_the_steepest_point_is_found(at):
    found = steepest(LRS, smoothed(valley(at, at * 20).tolist()))
    assert found is not None
    assert abs(np.log10(found / at)) < 0.35


@given(st.integers(0, 10**6), st.sampled_from([3e-4, 3e-3]))
@settings(max_examples=30)
def test_noise_moves_it_little(seed, at):
    found = steepest(LRS, smoothed(valley(at, at * 20, 0.03, seed).tolist()))
    assert found is not None
    assert abs(np.log10(found / at)) < 0.8


@given(st.integers(0, 10**6), st.floats(-4.5, -1.5), st.floats(0.7, 2.0))
@settings(max_examples=50)
def test_the_suggestion_lies_below_the_minimum(seed, at, apart):
    losses = smoothed(valley(10**at, 10 ** (at + apart), 0.02, seed).tolist())
    found = steepest(LRS, losses)
    assert found is None or found <= LRS[losses.argmin()] / 3 * (1 + 1e-9)


@pytest.mark.parametrize(
    "curve",
    [
        np.full(100, 2.3),
        2.3 + 0.005 * np.random.default_rng(0).normal(size=100),
        np.linspace(2.3, 4.0, 100),
        valley(1e-3, 2e-2)[:6],
        np.zeros(0),
    ],
    ids=["flat", "noise alone", "rising", "too short", "empty"],
)
def test_a_curve_that_says_nothing_gives_no_suggestion(curve):
    assert steepest(LRS[: len(curve)], smoothed(curve.tolist())) is None


def test_smoothing_is_free_of_bias():
    assert smoothed([2.0] * 20) == pytest.approx(np.full(20, 2.0))
    assert smoothed([1.0, 3.0])[0] == 1.0


def test_a_sweep_rises_from_lowest_to_highest_and_ends_at_divergence(digits):
    recipe = recipe_for(digits)
    lrs, losses = sweep(recipe, on_cpu(digits), rows_of(digits), CPU, 40)
    assert lrs[0] == pytest.approx(lr_range.LOWEST["adamw"])
    assert lrs == sorted(lrs)
    assert len(lrs) == len(losses)
    assert np.isfinite(losses).all()
    ratios = np.diff(np.log(lrs))
    assert ratios == pytest.approx(np.full(len(ratios), ratios[0]))


def test_it_suggests_a_rate_that_trains(digits):
    found = lr_range_test(recipe_for(digits), on_cpu(digits), rows_of(digits), CPU, steps=60, seeds=2)
    prior = lr_range.PRIOR["adamw"]["image"]
    assert prior / 3.01 <= found.suggestion <= prior * 3.01
    assert len(found.lrs) == len(found.losses)
    assert found.reason
    again = lr_range_test(recipe_for(digits), on_cpu(digits), rows_of(digits), CPU, steps=60, seeds=2)
    assert again == found


def test_its_own_learning_rate_does_not_matter(iris):
    first, second = (
        lr_range_test(recipe_for(iris, **{"optimizer.lr": lr}), on_cpu(iris), rows_of(iris), CPU, steps=30)
        for lr in (1e-4, 1.0)
    )
    assert first == second


@pytest.mark.parametrize(("fallback", "words"), [(0.017, "carried over"), (None, "the prior")])
def test_a_flat_curve_carries_the_rate_over(iris, monkeypatch, fallback, words):
    monkeypatch.setattr(lr_range, "sweep", lambda *a: (LRS.tolist(), [2.3] * 100))
    found = lr_range_test(recipe_for(iris), on_cpu(iris), rows_of(iris), CPU, fallback=fallback, together=False)
    assert found.flat
    assert found.suggestion == (fallback or lr_range.PRIOR["adamw"]["table"])
    assert words in found.reason


def test_a_far_suggestion_is_held_near_the_prior(iris, monkeypatch):
    monkeypatch.setattr(lr_range, "sweep", lambda *a: (LRS.tolist(), valley(5e-5, 1e-3).tolist()))
    found = lr_range_test(recipe_for(iris), on_cpu(iris), rows_of(iris), CPU, together=False)
    assert not found.flat
    assert found.suggestion == pytest.approx(lr_range.PRIOR["adamw"]["table"] / 3)
    assert "prior" in found.reason


def test_the_curve_is_the_median_of_the_seeds(iris, monkeypatch):
    curves = iter([valley(1e-3, 2e-2), np.full(100, 9.0), valley(1e-3, 2e-2)])
    monkeypatch.setattr(lr_range, "sweep", lambda *a: (LRS.tolist(), next(curves).tolist()))
    found = lr_range_test(recipe_for(iris), on_cpu(iris), rows_of(iris), CPU, seeds=3, together=False)
    assert max(found.losses) < 9
    assert abs(np.log10(found.suggestion / 1e-3)) < 0.35


def test_sweeps_together_are_sweeps(digits):
    recipe = recipe_for(digits, **{"training.seed": 3})
    lrs, losses = sweep_together(recipe, on_cpu(digits), rows_of(digits), CPU, 40, 3)
    assert len(losses) == 3
    assert {len(row) for row in losses} == {len(lrs)}
    for k, row in enumerate(losses):
        seeded = recipe_for(digits, **{"training.seed": 3 + k})
        alone_lrs, alone = sweep(seeded, on_cpu(digits), rows_of(digits), CPU, 40, order_seed=3)
        count = min(len(row), len(alone), 12)
        assert lrs[:count] == pytest.approx(alone_lrs[:count])
        assert row[:count] == pytest.approx(alone[:count], rel=0.02)


def test_a_race_finds_what_trains_best(digits):
    found = race(recipe_for(digits), on_cpu(digits), rows_of(digits), CPU, 3e-3, 30)
    assert len(found.lrs) == len(found.losses) == lr_range.RACERS
    assert found.lrs[lr_range.BELOW] == pytest.approx(3e-3)
    best = found.lrs[int(np.log(found.losses).mean(1).argmin())]
    assert found.lrs[0] <= found.low <= best <= found.high <= found.lrs[-1]


def test_races_of_any_seed_and_of_neighbouring_middles_share_their_rates(digits):
    races = [race(recipe_for(digits), on_cpu(digits), rows_of(digits), CPU, lr, 4, seeds=2) for lr in (2.9e-3, 5e-3)]
    assert races[0].lrs[1:] == pytest.approx(races[1].lrs[:-1])
    assert np.shape(races[0].losses) == (lr_range.RACERS, 2)


def test_a_rate_that_diverges_with_one_seed_is_not_suggested(iris):
    recipe = recipe_for(iris, **{"optimizer.name": "sgd"})
    assert race(recipe, on_cpu(iris), rows_of(iris), CPU, 1e30, 30) is None
    found = judge_race(GRID, np.array([[2.0, 2.1], [1.0, 1.1], [0.2, np.inf], [0.1, np.inf], [np.inf, np.inf]]))
    assert found.low <= found.high == GRID[1]


GRID = np.geomspace(1e-3, 16e-3, 5)


@given(st.lists(st.lists(st.floats(0.1, 10), min_size=3, max_size=3), min_size=5, max_size=5))
def test_the_winner_of_a_race_lies_between_the_rates_that_are_nearly_as_good(losses):
    losses = np.array(losses)
    found = judge_race(GRID, losses)
    means = np.log(losses).mean(1)
    best = GRID[int(means.argmin())]
    assert GRID[0] <= found.low <= best <= found.high <= GRID[-1]
    between = [mean for lr, mean in zip(GRID, means, strict=True) if found.low <= lr <= found.high]
    assert max(between) <= means.min() + lr_range.TOLERANCE + 1e-9


def test_the_lowest_rate_nearly_as_good_lies_between_two_that_were_raced():
    losses = np.exp([[3.0], [1.6], [1.0], [1.2], [4.0]]) * np.ones(3)
    found = judge_race(GRID, losses)
    assert found.low == pytest.approx(GRID[2] * 0.5 ** (0.3 / 0.6))
    assert found.high == pytest.approx(GRID[3] * 2 ** (0.1 / 2.8))


def test_a_weak_signal_has_a_narrow_tolerance():
    """Of a fall of 0.2 in log loss a quarter is nearly as good, not all of it."""
    losses = np.exp([[-0.02], [-0.1], [-0.2], [-0.16], [0.0]]) * np.ones(2)
    found = judge_race(GRID, losses, before=1.0)
    assert found.low == pytest.approx(GRID[2] * 0.5**0.5)
    assert GRID[3] < found.high < GRID[4]
    assert judge_race(GRID, losses).low == GRID[0]


def test_rates_that_are_all_as_good_are_all_in_the_interval():
    found = judge_race(GRID, np.ones((5, 2)))
    assert (found.low, found.high) == (GRID[0], GRID[-1])


def test_rates_that_diverged_are_left_out():
    losses = np.array([[1.0, 1.2, 1.1], [0.5, 0.6, 0.4], [0.1, np.inf, 0.1], [np.inf] * 3, [np.inf] * 3])
    found = judge_race(GRID, losses)
    assert GRID[0] < found.low < GRID[1] == found.high
    assert judge_race(GRID, np.full((5, 3), np.inf)) is None


def test_a_suggestion_with_a_race_has_an_interval(digits):
    found = lr_range_test(recipe_for(digits), on_cpu(digits), rows_of(digits), CPU, steps=60, seeds=3, race_steps=20)
    if not found.flat:
        low, high = found.interval
        assert low == found.suggestion <= high
        assert len(found.race_lrs) == len(found.race_losses)
    assert len(found.lowest) == len(found.highest) == len(found.lrs)
    assert all(a <= b <= c for a, b, c in zip(found.lowest, found.losses, found.highest, strict=True))
    assert set(found.rules) <= {"steepest", "valley", "minimum / 10"}


@given(st.lists(st.floats(0, 10), min_size=1, max_size=30))
def test_the_longest_fall_falls(losses):
    begin, end = longest_fall(np.array(losses))
    assert begin <= end
    assert begin == end or losses[begin] > losses[end]
