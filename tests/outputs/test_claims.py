import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from autorecipe.data.metrics import METRICS
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
    score_tolerance,
    standing,
)
from autorecipe.search import decide
from autorecipe.search.decide import Estimate


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
