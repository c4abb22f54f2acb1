from dataclasses import replace as replace_record

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorecipe.recipe import Recipe, get
from autorecipe.results import CurvePoint, TrainResult
from autorecipe.search.stages import (
    FITTING,
    NOISE_FLOOR,
    OVERFITTING,
    STAGES,
    TRANSITIONS,
    UNDERFITTING,
    UNSTABLE,
    diagnose,
    following,
)

WORDS = (UNDERFITTING, OVERFITTING, UNSTABLE, NOISE_FLOOR, FITTING)
NAMES = tuple(s.name for s in STAGES)


@given(st.lists(st.sampled_from(WORDS), min_size=len(STAGES), max_size=20))
def test_every_path_ends_and_repeats_no_stage(words):
    stage, done = NAMES[0], ()
    for word in words:
        done = (*done, stage)
        stage, transition = following(stage, word, done)
        assert stage not in done
        assert transition is None or transition.go == stage
        if stage == "finish":
            return
    pytest.fail(f"no finish after {done}")


@pytest.mark.parametrize("transition", TRANSITIONS, ids=lambda t: f"{t.stage}-{t.diagnosis}")
def test_each_transition_is_taken(transition):
    before = NAMES[: NAMES.index(transition.stage) + 1]
    found, taken = following(transition.stage, transition.diagnosis, before)
    assert (found, taken) == (transition.go, transition)
    assert transition.diagnosis in WORDS
    assert transition.reason
    for name, _ in transition.changes:
        get(Recipe(), name)


def test_without_a_reason_the_order_stands():
    assert [following(name, FITTING, NAMES[: i + 1])[0] for i, name in enumerate(NAMES)] == [*NAMES[1:], "finish"]


@pytest.mark.parametrize(
    ("stage", "word", "goes"),
    [
        ("small", OVERFITTING, "regularize"),
        ("width", OVERFITTING, "regularize"),
        ("depth", UNDERFITTING, "finish"),
        ("small", NOISE_FLOOR, "regularize"),
        ("small", UNSTABLE, "width"),
        ("small", UNDERFITTING, "width"),
    ],
)
def test_the_orders_that_the_design_asks_for(stage, word, goes):
    assert following(stage, word, (stage,))[0] == goes


def test_unstable_lowers_the_rate_and_clips():
    for transition in TRANSITIONS:
        if transition.diagnosis == UNSTABLE:
            changes = dict(transition.changes)
            assert 0 < changes["optimizer.lr"] < 1
            assert changes["optimizer.clip_norm"] > 0


def test_stages_are_sensible():
    assert len(set(NAMES)) == len(NAMES)
    assert all(s.trials >= 3 and s.failures >= 1 and s.most >= 1 for s in STAGES)


def result(training, held_out, state="complete", train_loss=None, loss=None):
    curve = tuple(CurvePoint(i, i, 1e-3, t, 0.5, h) for i, (t, h) in enumerate(zip(training, held_out, strict=True)))
    final = loss if loss is not None else held_out[-1]
    return TrainResult(
        state, 100, 1.0, 0.5, final, 0.5, train_loss if train_loss is not None else training[-1], 1, curve
    )


FALLING = result([2.0, 1.2, 0.8, 0.5], [2.0, 1.3, 1.0, 0.9])


@pytest.mark.parametrize(
    ("found", "error", "word"),
    [
        (FALLING, 0.2, FITTING),
        (replace_record(FALLING, state="diverged", reason="not finite"), 0.2, UNSTABLE),
        (result([1.0, 0.9, 1.8, 2.0], [1, 1, 1, 1]), 0.2, UNSTABLE),
        (FALLING, 0.001, NOISE_FLOOR),
        (result([1.0, 0.5, 0.1, 0.02], [1.0, 0.6, 0.7, 0.9]), 0.2, OVERFITTING),
        (result([2.0, 1.9, 1.8, 1.75], [2.0, 1.9, 1.82, 1.78]), 0.5, UNDERFITTING),
        (TrainResult("complete", 1, 1.0, 0.5, None), 0.2, FITTING),
    ],
    ids=["falling", "diverged", "rising", "few errors", "held-out rises", "both high", "no curve"],
)
def test_each_word_from_its_curve(found, error, word):
    assert diagnose(found, "accuracy", round(100 * error), 100, 5.0, 10.0)[0] == word
    assert diagnose(found, "accuracy", round(100 * error), 100, 5.0, 10.0)[1]


def test_more_epochs_to_come_are_no_underfitting():
    found = result([2.0, 1.9, 1.8, 1.75], [2.0, 1.9, 1.82, 1.78])
    assert diagnose(found, "accuracy", 50, 100, 1.0, 100.0)[0] == FITTING


def test_a_held_out_loss_that_rises_with_the_training_loss_is_no_overfitting():
    found = result([1.0, 0.8, 0.8, 0.8], [1.0, 0.8, 0.9, 0.95])
    assert diagnose(found, "accuracy", 50, 100, 1.0, 100.0)[0] == FITTING


@pytest.mark.parametrize(
    ("metric", "score", "word"),
    [
        ("accuracy", 0.6, FITTING),
        ("accuracy", 0.5, OVERFITTING),
        ("accuracy", 0.4, OVERFITTING),
        ("rmse", 0.4, FITTING),
        ("rmse", 0.6, OVERFITTING),
    ],
)
def test_a_held_out_loss_that_rises_while_the_metric_improves_is_no_overfitting(metric, score, word):
    """The scores of the curve are 0.5 each."""
    found = replace_record(result([1.0, 0.5, 0.1, 0.02], [1.0, 0.6, 0.7, 0.9]), score=score)
    assert diagnose(found, metric, 20, 100, 5.0, 10.0)[0] == word


def test_a_loss_above_the_first_one_is_overfitting_whatever_the_metric_says():
    found = replace_record(result([1.0, 0.5, 0.1, 0.02], [1.0, 0.6, 0.7, 1.2]), score=0.6)
    assert diagnose(found, "accuracy", 20, 100, 5.0, 10.0)[0] == OVERFITTING


def test_what_does_not_count_examples_has_no_noise_floor():
    assert diagnose(FALLING, "roc_auc", None, 800, 5.0, 10.0)[0] == FITTING


def test_two_wrong_examples_are_not_fewer_than_two():
    assert diagnose(FALLING, "accuracy", 2, 288, 5.0, 10.0)[0] == FITTING
    assert diagnose(FALLING, "accuracy", 1, 288, 5.0, 10.0)[0] == NOISE_FLOOR
