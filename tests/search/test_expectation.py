"""What is expected of a candidate at the end of the finish."""

import json
import math
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autorecipe.recipe import Block, NetworkSection, Recipe, replace
from autorecipe.results import DatasetInfo
from autorecipe.rundir import RunDir, append_line
from autorecipe.search import answer, expectation
from autorecipe.search.curves import lead_in_errors, lead_in_odds
from autorecipe.search.expectation import Finish, Seen, expect, growth_between, of_settings
from autorecipe.search.planner import NOISE

ROWS = 10_000
SMALL = replace(
    Recipe(),
    {
        "data.modality": "image",
        "data.resolution": 28,
        "network": NetworkSection("resnet", 16, (Block(16), Block(32))),
        "training.batch_size": 100,
        "training.steps": 200,
    },
)
WIDE = replace(SMALL, {"network.width": 32, "network.blocks": (Block(32), Block(64)), "training.steps": 100})
DEEP = replace(SMALL, {"network.blocks": (Block(16), Block(32), Block(32)), "training.steps": 150})


@pytest.fixture
def place(monkeypatch):
    """A workbench with 10,000 images of ten classes, whose final training is of one network."""
    return workbench(monkeypatch)


def workbench(monkeypatch):
    info = DatasetInfo("n", "image", "multiclass", "", "accuracy", "", {}, classes=tuple("abcdefghij"))
    monkeypatch.setattr(expectation, "measure_shape", lambda *_: SimpleNamespace(members=1))
    monkeypatch.setattr(expectation, "params_of", lambda *_: 1000)
    splits = SimpleNamespace(train=range(ROWS))
    return SimpleNamespace(dataset=SimpleNamespace(info=info, splits=splits), error_of_constant=0.9)


def seen(gain, larger=WIDE, error=0.02, score=0.85, longer=1):
    """A comparison at equal time, in which the larger network makes half of the steps."""
    both = [replace(recipe, {"training.steps": longer * recipe.training.steps}) for recipe in (SMALL, larger)]
    return Seen(*both, gain, error, score, 2000, 2)


def expected(place, *comparisons, larger=WIDE, epochs=40.0, candidate=None):
    return expect(place, SMALL, larger, comparisons, Finish(epochs, candidate or epochs / 2), 1.0)


def test_a_larger_network_that_is_a_little_behind_in_short_trials_is_ahead_at_the_end(place):
    """The loss of its fewer examples is most in short trials."""
    trial = seen(-0.08)
    assert expected(place, trial, epochs=200.0).gain > 0 > expected(place, trial, epochs=2.0).gain
    assert expected(place, seen(-0.8), epochs=200.0).gain < expected(place, seen(-0.8), epochs=200.0).prior


@settings(max_examples=30, deadline=None)
@given(st.floats(-1.0, 1.0), st.floats(0.001, 0.5))
def test_a_better_measurement_is_expected_to_be_better(gain, more):
    with pytest.MonkeyPatch.context() as patch:
        found = workbench(patch)
        low, high = (expected(found, seen(value)).gain for value in (gain, gain + more))
        assert low <= high + 1e-9


def test_measurements_make_it_surer(place):
    alone, trial = expected(place), expected(place, seen(0.02))
    raced = expected(place, seen(0.02), seen(0.02, longer=4))
    assert alone.gain == alone.prior
    assert alone.spread > trial.spread > raced.spread > 0
    noisy = expected(place, seen(0.3, error=5.0))
    assert noisy.gain == pytest.approx(expected(place, seen(0.0, error=5.0)).gain, abs=0.02)


def test_a_longer_comparison_outweighs_a_shorter_one(place):
    lost = expected(place, seen(0.1), seen(-0.1, longer=4))
    won = expected(place, seen(-0.1), seen(0.1, longer=4))
    assert lost.gain < won.gain


def test_at_equal_examples_nothing_is_lost(place):
    """With a budget in epochs both see as many."""
    slower, equal = (expected(place, larger=DEEP, epochs=20.0, candidate=epochs) for epochs in (12.0, 20.0))
    assert slower.gain < equal.gain


def test_growth_is_of_width_or_depth_alone(place):
    info = place.dataset.info
    assert growth_between(info, SMALL, SMALL) is None
    assert growth_between(info, SMALL, replace(SMALL, {"optimizer.lr": 0.5})) is None
    wider, deeper = (growth_between(info, SMALL, larger) for larger in (WIDE, DEEP))
    both = growth_between(info, SMALL, replace(DEEP, {"network.width": 64}))
    assert both.lasting[0] == pytest.approx(2 * wider.lasting[0] + deeper.lasting[0])
    assert both.early[1] == pytest.approx(math.hypot(2 * wider.early[1], deeper.early[1]))
    smaller = growth_between(info, WIDE, SMALL)
    assert smaller.lasting == (pytest.approx(-wider.lasting[0]), pytest.approx(wider.lasting[1]))


def test_a_metric_without_a_best_value_is_foreseen_by_its_ratio(place):
    place.error_of_constant = None
    assert expected(place, seen(0.5)).gain > expected(place, seen(-0.5)).gain


@given(st.floats(-2.0, 2.0), st.floats(0.001, 0.3), st.floats(0.001, 0.6))
def test_log_odds_and_log_ratios_are_told_back(gain, spread, error):
    odds = lead_in_odds(gain, spread, error, 0.9)
    told = lead_in_errors(*odds, error, 0.9)
    if error * math.exp(-gain) < 0.8:
        assert told == (pytest.approx(gain, abs=1e-9), pytest.approx(spread))
    assert lead_in_errors(*lead_in_odds(gain, spread, error, None), None, None) == (gain, spread)


def test_settings_fade_to_the_prior():
    one = [Seen(SMALL, SMALL, 0.1, 0.02, 0.9, 1000)]
    assert of_settings("image", [], [], 40.0, 0.05, False) == expectation.Expected(0.05, NOISE, 0.05)
    near, far = (of_settings("image", one, [2.0], finish, 0.0, False) for finish in (2.0, 200.0))
    assert near.gain > far.gain > 0
    assert near.spread < far.spread <= NOISE
    assert of_settings("image", one, [2.0], 1e9, 0.05, False).gain == pytest.approx(0.05, abs=1e-6)


def test_trials_and_race_weigh_by_what_they_know():
    def after(trial, raced, noise=0.02, of_trial=0.05):
        both = [Seen(SMALL, SMALL, trial, of_trial, 0.9, 1000), Seen(SMALL, SMALL, raced, noise, 0.9, 1000)]
        return of_settings("image", both, [2.0, 8.0], 40.0, 0.0, False)

    assert after(0.05, -0.1, noise=0.02).gain < 0  # a sure race outweighs trials
    assert after(0.25, -0.01, noise=1.0, of_trial=0.02).gain > 0  # and a blind one does not
    assert after(0.0, 0.1, 0.02).spread < after(0.0, 0.1, 0.3).spread


def test_each_of_several_networks_has_fewer_epochs(monkeypatch):
    def slower(members, further, timed=True):
        shape = SimpleNamespace(members=members, further_member=further)
        monkeypatch.setattr(expectation, "measure_shape", lambda *_: shape)
        return expectation._slower(SimpleNamespace(budget=SimpleNamespace(timed=timed)), 1.0, SMALL, 100.0)

    assert slower(8, 0.4) == pytest.approx(2.2)
    assert slower(1, 0.4) == slower(8, 0.4, timed=False) == 1.0


def test_a_larger_network_is_worth_a_race_where_there_will_be_one(place):
    def worth(gain, spread, finish=60.0, timed=True, larger=WIDE, risked=False):
        place.budget = SimpleNamespace(timed=timed)
        told = expectation.Expected(gain, spread, 0.0)
        return answer._worth_a_race(place, SimpleNamespace(finish=finish, risked=risked), SMALL, larger, told)

    assert worth(-0.03, 0.1)
    assert not worth(-0.09, 0.1), "less likely than one in five"
    assert not worth(-0.03, 0.1, finish=20.0), "nothing would take it back"
    assert not worth(-0.03, 0.1, risked=True), "the race takes one back"
    assert not worth(-0.26, 0.32), "likely enough, for nothing is known of it"
    assert worth(-0.03, 0.1, finish=20.0, timed=False)
    assert not worth(-0.03, 0.1, larger=replace(SMALL, {"optimizer.lr": 0.5})), "no larger network"


def test_the_smaller_networks_curve_is_of_its_own_trials(place, tmp_path):
    run = RunDir(tmp_path)
    place.run = run
    place.dataset.splits.val = range(2000)
    rows = [
        (SMALL, 0.80, "complete"),
        (replace(SMALL, {"optimizer.lr": 0.5}), 0.85, "complete"),
        (replace(SMALL, {"training.steps": 600}), 0.90, "complete"),
        (replace(SMALL, {"training.steps": 900}), None, "pruned"),
        (replace(SMALL, {"regularization.dropout": 0.3}), 0.99, "complete"),
        (WIDE, 0.99, "complete"),
    ]
    for recipe, score, state in rows:
        row = {"recipe": run.save_recipe(recipe), "score": score, "state": state}
        append_line(run.trials, json.dumps(row))
    points = expectation.known_points(place, SMALL)
    assert [point.compute for point in points] == [2.0, 6.0]
    assert points[0].log_odds == pytest.approx(math.log(0.15 / 0.75), abs=0.02), "the best of its length"
    place.error_of_constant = None
    assert expectation.known_points(place, SMALL) == []
