import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from autorecipe.data.metrics import METRICS
from autorecipe.outputs import claims
from autorecipe.outputs.claims import (
    AS_GOOD,
    BETTER,
    CLAIMED,
    FAILS,
    HOLDS,
    OPEN,
    WORSE,
    duration,
    follows,
    reaches,
    retraining_range,
    score_tolerance,
    standing,
)
from autorecipe.search import decide
from autorecipe.search.decide import Estimate, Evidence


def estimate(effect, error=0.01, df=5):
    half = float(special.stdtrit(df, 0.95)) * error
    return Estimate(effect, error, (effect - half, effect + half), float(special.stdtr(df, effect / error)))


def test_a_claim_holds_is_contradicted_or_stays_open():
    gain, loss, nothing = estimate(0.1), estimate(-0.1), estimate(0.005)
    assert [standing(BETTER, e, 0.2) for e in (gain, loss, nothing)] == [HOLDS, FAILS, OPEN]
    assert [standing(WORSE, e, 0.2) for e in (gain, loss, nothing)] == [FAILS, HOLDS, OPEN]


def test_equal_is_contradicted_by_a_difference_and_not_by_ignorance():
    equal, unknown, far = estimate(0.0, 1e-4), estimate(0.0, 0.1), estimate(0.1, 1e-3)
    assert [standing(AS_GOOD, e, 0.2) for e in (equal, unknown, far)] == [HOLDS, OPEN, FAILS]


@given(st.floats(-1, 1), st.floats(1e-4, 1))
def test_better_and_worse_are_mirror_images(effect, error):
    found, mirrored = estimate(effect, error), estimate(-effect, error)
    assert standing(BETTER, found, 0.3) == standing(WORSE, mirrored, 0.3)


@given(st.floats(-1, 1), st.floats(1e-4, 1), st.sampled_from([1.0, -1.0]))
def test_what_the_search_decides_follows_and_is_not_contradicted_by_its_own_evidence(effect, error, expected):
    found = estimate(effect, error)
    word, adopted = decide.verdict(found, expected, 0.3)
    assert follows(word, adopted, found, 0.3)
    assert not follows(word, not adopted, found, 0.3)
    if word in CLAIMED:
        assert standing(CLAIMED[word], found, 0.3) == HOLDS


def test_a_claim_that_its_estimate_does_not_support_does_not_follow():
    assert not follows(decide.ADOPTED, True, estimate(0.001), 0.3)
    assert not follows(decide.REJECTED, False, estimate(0.1), 0.3)
    assert not follows(decide.ADOPTED, True, None, 0.3)
    assert follows(decide.ADOPTED_ON_PRIOR, True, None, 0.3)


def test_retrainings_fall_into_the_range_as_often_as_it_says():
    """Seeds that vary by exactly the prior's share, and nothing else measured."""
    random, error = np.random.default_rng(0), 0.1
    sd = decide.PRIOR_SEED_SHARE * error / math.sqrt(2)
    one, other = 1 - error + sd * random.normal(size=(2, 4000))
    inside = []
    for stated, again in zip(one, other, strict=True):
        low, high = retraining_range("accuracy", float(stated), 0.0, ())
        inside.append(low <= again <= high)
    assert np.mean(inside) >= claims.RETRAINED - 0.01


@given(st.floats(0.01, 0.99), st.floats(0, 1e-3), st.lists(st.floats(-0.05, 0.05), max_size=4))
def test_the_range_holds_the_stated_score_and_grows_with_the_noise(stated, variance, more):
    quiet = retraining_range("accuracy", stated, variance, ())
    assert quiet[0] < stated < quiet[1]
    assert retraining_range("accuracy", stated, 4 * variance + 1e-6, ())[0] < quiet[0]
    wild = Evidence((0.5, -0.5, *more), 0.0, 0.1, measure="accuracy")
    alone = retraining_range("accuracy", stated, 0.0, ())
    assert retraining_range("accuracy", stated, 0.0, [wild])[1] > alone[1]
    assert retraining_range("accuracy", stated, 0.0, [replace(wild, measure="rmse")]) == alone


@pytest.mark.parametrize("metric", ["accuracy", "rmse"])
def test_only_a_worse_score_misses_the_range(metric):
    better, worse = (0.99, 0.1) if METRICS[metric].higher else (0.1, 0.99)
    assert reaches(metric, better, (0.4, 0.6))
    assert reaches(metric, 0.5, (0.4, 0.6))
    assert not reaches(metric, worse, (0.4, 0.6))


def test_tolerances():
    assert score_tolerance("accuracy", 0.9, 100, same_machine=True) == pytest.approx(9e-7)
    assert score_tolerance("accuracy", 0.9, 100, same_machine=False) == pytest.approx(0.03)
    assert score_tolerance("rmse", 50.0, 100, same_machine=False) == pytest.approx(0.5)


def test_durations_can_be_typed():
    from autorecipe.clock import parse_budget

    assert [duration(s) for s in (0.2, 45, 150, 7000)] == ["1s", "45s", "3m", "2h"]
    assert duration(11.2, timed=False) == "12epochs"
    assert parse_budget(duration(150)).seconds >= 150
    assert parse_budget(duration(11.2, timed=False)).epochs == 12
