import numpy as np
import pytest
from helpers import CPU, on_cpu, recipe_for, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st

from autorecipe.training import lr_range
from autorecipe.training.lr_range import (
    longest_fall,
    lr_range_test,
    smoothed,
    steepest,
    sweep,
    sweep_together,
)
from autorecipe.training.optimizers import PRIOR

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
    prior = PRIOR["adamw"]["image"]
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
    assert found.suggestion == (fallback or PRIOR["adamw"]["table"])
    assert words in found.reason


def test_a_far_suggestion_is_held_near_the_prior(iris, monkeypatch):
    monkeypatch.setattr(lr_range, "sweep", lambda *a: (LRS.tolist(), valley(5e-5, 1e-3).tolist()))
    found = lr_range_test(recipe_for(iris), on_cpu(iris), rows_of(iris), CPU, together=False)
    assert not found.flat
    assert found.suggestion == pytest.approx(PRIOR["adamw"]["table"] / 3)
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
