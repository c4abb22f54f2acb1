import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorecipe.recipe import Block, NetworkSection, Recipe, replace
from autorecipe.search.decide import relative_gain
from autorecipe.search.expectation import Seen, of_settings
from autorecipe.search.planner import (
    Plan,
    fading,
    log_ratio,
    lr_for_steps,
    make_plan,
    plan_facts,
    prior_gain,
    regularized_otherwise,
    shrunk,
    strength,
)

small = st.floats(-1, 1)


def seen(incumbent, candidate, gain, error):
    return Seen(incumbent, candidate, gain, error, 0.9, 1000)


@given(st.booleans(), st.floats(5, 1e5), st.floats(0.05, 1), st.floats(0.1, 0.9))
def test_the_plan_adds_up_to_less_than_what_is_left(timed, total, share_left, reserve):
    left = total * share_left
    plan = make_plan(timed, total, left, reserve, 64)
    assert plan.search >= 0
    assert 0 < plan.finish <= left
    assert plan.search + plan.finish <= left * (1 + 1e-9)
    assert 0 <= plan.trial <= plan.search
    assert plan.unit == ("seconds" if timed else "epochs")
    assert Plan(**plan_facts(plan)) == plan


@given(st.floats(60, 1e5), st.floats(0.1, 0.9))
def test_the_reserve_is_kept_where_there_is_time(total, reserve):
    plan = make_plan(True, total, 0.95 * total, reserve, 64)
    assert plan.finish >= reserve * min(1.0, 0.95) * total * 0.99 or plan.finish >= 0.6 * 0.95 * total
    assert make_plan(False, total, total, reserve, 64).finish == pytest.approx(reserve * total)


@given(small, st.floats(0, 2))
def test_a_measurement_counts_for_less_the_noisier_it_is(measured, error):
    assert abs(shrunk(measured, error)) <= abs(measured) + 1e-12
    assert shrunk(measured, error) * measured >= 0
    assert shrunk(measured, 0.0) == measured
    assert shrunk(0.05, 1e6) == pytest.approx(0.0, abs=1e-6)


@given(st.floats(0.01, 100), st.floats(0.01, 1e5), st.floats(1, 10))
def test_fading(trial, finish, longer):
    for modality in ("image", "table"):
        assert 0 < fading(modality, trial, finish) <= 1
        assert fading(modality, trial, finish * longer) <= fading(modality, trial, finish)
        assert fading(modality, trial, trial) == 1


def test_log_ratios_are_relative_gains():
    assert log_ratio(0.2, 0.1) == pytest.approx(math.log(2))
    assert log_ratio(0.1, 0.2) == pytest.approx(-math.log(2))
    assert math.isfinite(log_ratio(0.0, 0.1))


IMAGE = replace(
    Recipe(),
    {"data.modality": "image", "data.resolution": 28, "network": NetworkSection("resnet", 16, (Block(16), Block(32)))},
)


@pytest.mark.parametrize("modality", ["image", "table"])
def test_priors_want_regularization_for_long_runs_alone(modality):
    recipe = replace(IMAGE, {"data.modality": modality})
    dropped = replace(recipe, {"regularization.dropout": 0.1})
    assert prior_gain(recipe, dropped, 1000) > 0
    assert prior_gain(recipe, dropped, 1) < 0


def test_strength_counts_every_regularizer():
    assert strength(IMAGE) == 0
    for name, value in (
        ("dropout", 0.2),
        ("label_smoothing", 0.1),
        ("erase", 0.25),
        ("mixup", 0.2),
    ):
        assert strength(replace(IMAGE, {f"regularization.{name}": value})) > 0


def test_the_prior_wants_shifts_for_long_runs_and_not_dropout_in_their_place():
    image = replace(IMAGE, {"data.resolution": 28, "regularization.crop": 1})
    bare = replace(image, {"regularization.crop": 0})
    dropped = replace(bare, {"regularization.dropout": 0.11})
    assert prior_gain(bare, image, 4.0) < 0 < prior_gain(bare, image, 30.0)
    assert prior_gain(image, dropped, 30.0) < -0.1
    assert prior_gain(bare, image, 30.0) == -prior_gain(image, bare, 30.0)
    further = replace(image, {"regularization.crop": 4})
    assert prior_gain(image, further, 10.0) < 0, "further shifts want more epochs"
    assert regularized_otherwise(bare, image)
    assert regularized_otherwise(bare, dropped)
    assert not regularized_otherwise(image, replace(image, {"optimizer.lr": 1.0}))


def test_a_perfect_score_on_few_examples_does_not_outweigh_all():
    gain = relative_gain("accuracy", 23 / 24, 1.0, 24)
    assert gain == pytest.approx(math.log(2))
    assert relative_gain("accuracy", 1.0, 23 / 24, 24) == pytest.approx(-gain)
    assert abs(shrunk(gain, 0.98)) < 0.05


@given(st.floats(0.01, 2.0), st.floats(1e-3, 3.0))
def test_what_is_shrunk_does_not_jump(measured, error):
    near = shrunk(measured * 1.001, error)
    assert 0 <= shrunk(measured, error) <= near <= measured * 1.001
    assert near - shrunk(measured, error) < 0.01 * measured


def test_no_prior_speaks_for_flips():
    flipped = replace(IMAGE, {"regularization.flip": True})
    assert prior_gain(IMAGE, flipped, 1000) == 0


def test_a_trial_says_less_about_regularization_than_about_size():
    assert fading("image", 1.0, 50.0, regularization=True) < fading("image", 1.0, 50.0)
    image = replace(Recipe(), {"data.modality": "image", "data.resolution": 28, "regularization.crop": 2})
    bare = replace(image, {"regularization.crop": 0})
    # A trial of an epoch likes the recipe without augmentation; with 20 epochs to come it is not believed.
    prior = prior_gain(image, bare, 20.0)
    assert of_settings("image", [seen(image, bare, 0.25, 0.05)], [1.0], 40.0, prior, True).gain < 0


@given(st.floats(1e-5, 1.0), st.integers(1, 10**6), st.integers(1, 10**6))
def test_the_learning_rate_falls_with_the_steps(lr, measured, planned):
    moved = lr_for_steps(lr, measured, planned)
    assert (moved <= lr * 1.01) if planned >= measured else (moved >= lr * 0.99)
    assert lr_for_steps(moved, planned, measured) == pytest.approx(lr, rel=0.02)


def test_thirty_times_the_steps_want_half_of_the_learning_rate():
    assert lr_for_steps(0.009, 300, 9600) == pytest.approx(0.0045, rel=0.02)


def test_embedded_numbers_are_slow_starters():
    """A short trial that prefers plain numbers does not decide for the finish; a long one does."""
    info = replace(Recipe(), {"data.modality": "table", "network.width": 64})
    embedded = replace(info, {"network.embedding": "piecewise"})
    prior = prior_gain(embedded, info, 80.0)
    assert prior < 0
    assert prior == -prior_gain(info, embedded, 80.0)
    trial = [seen(embedded, info, 0.37, 0.05)]
    assert of_settings("table", trial, [1.6], 80.0, prior, False).gain < 0
    assert of_settings("table", trial, [30.0], 800.0, prior, False).gain > 0


def test_several_networks_at_once_want_less_regularization():
    """Each of them sees the examples less often."""
    table = replace(Recipe(), {"data.modality": "table", "data.task": "multiclass", "network.width": 64})
    dropped = replace(table, {"regularization.dropout": 0.1})
    alone, together = (prior_gain(table, dropped, 40.0, 10_000, 10_000, slower=slower) for slower in (1.0, 2.4))
    assert together < alone


def test_what_long_trials_measure_does_not_fade():
    assert fading("table", 100.0, 5000.0) == 1
    assert fading("table", 20.0, 600.0) == fading("table", 20.0, 6000.0) < 1
    assert fading("image", 100.0, 5000.0) < fading("image", 100.0, 600.0) < 1


def test_high_frequencies_want_data():
    table = replace(Recipe(), {"data.modality": "table", "data.task": "regression", "network.embedding": "piecewise"})
    periodic = replace(table, {"network.embedding": "periodic"})
    few, many = (prior_gain(table, periodic, 50.0, 10_000, rows) for rows in (1000, 30_000))
    assert few < 0 < many
    assert prior_gain(periodic, table, 50.0, 10_000, 30_000) == pytest.approx(-many)
    classes = replace(table, {"data.task": "binary"})
    assert prior_gain(classes, replace(periodic, {"data.task": "binary"}), 50.0, 10_000, 30_000) < 0
    assert prior_gain(IMAGE, replace(IMAGE, {"network.width": 16}), 50.0) == prior_gain(
        IMAGE, replace(IMAGE, {"network.width": 16}), 50.0, 0, 30_000
    )
