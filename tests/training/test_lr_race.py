import math

import numpy as np
import pytest
from helpers import CPU, on_cpu, recipe_for, rows_of
from hypothesis import given
from hypothesis import strategies as st

from autorecipe.training import lr_race
from autorecipe.training.lr_race import BELOW, FURTHER, INSIDE, MOST_RACERS, NEARLY, RACERS, judge_race, race


def test_a_race_finds_what_trains_best(digits):
    found = race(recipe_for(digits), on_cpu(digits), rows_of(digits), CPU, 3e-3, 30)
    assert len(found.lrs) == len(found.losses)
    assert 3e-3 in [pytest.approx(lr) for lr in found.lrs]
    best = found.lrs[int(np.log(found.losses).mean(1).argmin())]
    assert found.lrs[0] <= found.low <= best <= found.high <= found.lrs[-1]


def test_races_of_any_seed_and_of_neighbouring_middles_share_their_rates(digits):
    races = [
        race(recipe_for(digits), on_cpu(digits), rows_of(digits), CPU, lr, 4, seeds=2, most=RACERS)
        for lr in (2.9e-3, 5e-3)
    ]
    assert races[0].lrs[BELOW] == pytest.approx(3e-3)
    assert races[0].lrs[1:] == pytest.approx(races[1].lrs[:-1])
    assert np.shape(races[0].losses) == (RACERS, 2)


def test_a_rate_that_diverges_with_one_seed_is_not_suggested(iris):
    recipe = recipe_for(iris, **{"optimizer.name": "sgd"})
    found = race(recipe, on_cpu(iris), rows_of(iris), CPU, 1e30, 30)
    assert found.best is None
    assert len(found.lrs) == MOST_RACERS
    assert found.low == found.high == found.lrs[0] / 2
    found = judge_race(GRID, np.array([[2.0, 2.1], [1.0, 1.1], [0.2, np.inf], [0.1, np.inf], [np.inf, np.inf]]), 3.0)
    assert found.low <= found.high == GRID[1]


GRID = np.geomspace(1e-3, 16e-3, 5)


@given(st.lists(st.lists(st.floats(0.1, 10), min_size=3, max_size=3), min_size=5, max_size=5))
def test_the_winner_of_a_race_lies_between_the_rates_that_are_nearly_as_good(losses):
    losses = np.array(losses)
    found = judge_race(GRID, losses, 10.0)
    means = np.log(losses).mean(1)
    best = GRID[int(means.argmin())]
    assert GRID[0] <= found.low <= best <= found.high <= GRID[-1]
    lowest = np.sort(means)[:2].mean()
    level = max(means.min(), lowest + NEARLY * (np.log(10) - lowest))
    between = [mean for lr, mean in zip(GRID, means, strict=True) if found.low <= lr <= found.high]
    assert max(between) <= level + 1e-9


def test_what_is_suggested_lies_above_the_rate_where_a_quarter_of_the_fall_is_missing():
    """From exp(5) to the mean of the best two, exp(1): the level is exp(2), halfway between two rates."""
    found = judge_race(GRID, np.exp([[3.0], [1.02], [0.98], [1.2], [4.2]]) * np.ones(3), math.exp(5))
    assert found.low == pytest.approx(GRID[1] * 0.5 ** (0.98 / 1.98) * INSIDE)
    assert found.high == pytest.approx(GRID[3] * 2 ** (0.8 / 3.0) / INSIDE)


def test_a_narrow_valley_has_its_best_rate_as_both_ends():
    found = judge_race(GRID, np.exp([[3.0], [2.9], [0.0], [2.9], [4.0]]) * np.ones(3), math.exp(3))
    assert found.low == found.high == found.best == GRID[2]


def test_one_lucky_rate_moves_the_suggestion_little():
    losses = np.exp([[0.7], [-0.7], [-1.9], [-1.9], [-1.9]]) * np.ones(2)
    lucky = losses.copy()
    lucky[4] *= math.exp(-0.3)
    found, other = (judge_race(GRID, each, 2.4).low for each in (losses, lucky))
    assert other == pytest.approx(found, rel=0.2)


def test_rates_that_are_all_as_good_are_all_in_the_interval():
    found = judge_race(GRID, np.ones((5, 2)), 1.0)
    assert (found.low, found.high) == (GRID[0], GRID[-1])


def test_rates_that_diverged_are_left_out():
    losses = np.array([[1.0, 1.2, 1.1], [0.5, 0.6, 0.4], [0.1, np.inf, 0.1], [np.inf] * 3, [np.inf] * 3])
    found = judge_race(GRID, losses, 1.5)
    assert GRID[0] < found.low <= GRID[1] == found.high
    assert judge_race(GRID, np.full((5, 3), np.inf), 1.5).best is None


def raced_with(monkeypatch, digits, best, most=MOST_RACERS):
    """A race whose loss is lowest at one rate."""
    asked = []

    def run(recipe, data, rows, hardware, lrs, steps, seeds, keep_going):
        asked.append(list(lrs))
        return np.exp(np.abs(np.log(np.array(lrs) / best)))[:, None] * np.ones(seeds), 100.0

    monkeypatch.setattr(lr_race, "_run", run)
    return race(recipe_for(digits), on_cpu(digits), rows_of(digits), CPU, 3e-3, 30, most=most), asked


@pytest.mark.parametrize(("best", "further"), [(3e-3, 0), (3e-3 * 2**3, 1), (3e-3 * 2**9, 2), (3e-3 / 2**4, 1)])
def test_a_race_goes_on_beyond_its_last_rate_while_that_is_the_best(monkeypatch, digits, best, further):
    found, asked = raced_with(monkeypatch, digits, best)
    assert len(asked) == 1 + further
    assert len(found.lrs) == RACERS + further * FURTHER
    assert found.lrs == tuple(sorted(found.lrs))
    assert np.diff(np.log2(found.lrs)) == pytest.approx(1.0)
    reached = min(max(best, found.lrs[0]), found.lrs[-1])
    assert found.best == pytest.approx(reached)
    assert np.array(found.losses)[:, 0].argmin() == found.lrs.index(found.best)


def test_a_race_keeps_to_the_rates_it_may_have(monkeypatch, digits):
    found, asked = raced_with(monkeypatch, digits, 1.0, most=RACERS + FURTHER - 1)
    assert len(asked) == 1
    assert found.best == found.lrs[-1]
