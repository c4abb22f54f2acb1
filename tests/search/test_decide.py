import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import r2_score

from autorecipe.data.metrics import METRICS, own_metric
from autorecipe.search import decide
from autorecipe.search.decide import Estimate, Evidence, error_of, estimate, mean_variance, pool, relative_gain, verdict

differences = st.lists(st.floats(-0.2, 0.2), min_size=2, max_size=6).map(tuple)
variances = st.floats(1e-8, 1e-2)
errors = st.floats(0.01, 1.0)
evidences = st.builds(Evidence, differences, variances, errors)
pools = st.lists(evidences, max_size=5)


@given(evidences, pools)
def test_the_interval_contains_the_effect(evidence, pooled):
    found = estimate(evidence, pooled)
    low, high = found.interval
    assert low < found.effect < high
    assert found.effect == pytest.approx(np.mean(evidence.differences), abs=1e-12)
    assert found.standard_error > 0
    assert 0 <= found.p_better <= 1
    assert (found.p_better >= 0.95) == (low >= 0) or abs(low) < 1e-9


@given(evidences, pools, st.floats(1e-4, 0.2))
def test_a_larger_effect_is_more_likely_better(evidence, pooled, shift):
    more = dataclasses.replace(evidence, differences=tuple(d + shift for d in evidence.differences))
    before, after = estimate(evidence, pooled), estimate(more, pooled)
    assert after.p_better >= before.p_better
    assert after.standard_error == pytest.approx(before.standard_error)


@given(evidences, pools)
def test_swapping_the_two_turns_the_sign(evidence, pooled):
    other = dataclasses.replace(evidence, differences=tuple(-d for d in evidence.differences))
    here, there = estimate(evidence, pooled), estimate(other, pooled)
    assert there.effect == pytest.approx(-here.effect)
    assert there.p_better == pytest.approx(1 - here.p_better)
    assert there.interval == pytest.approx((-here.interval[1], -here.interval[0]))


@given(evidences, pools, st.floats(1.1, 10))
def test_more_noise_between_examples_means_less_certainty(evidence, pooled, factor):
    assume(abs(np.mean(evidence.differences)) > 1e-6)
    noisy = dataclasses.replace(evidence, example_variance=evidence.example_variance * factor)
    here, there = estimate(evidence, pooled), estimate(noisy, pooled)
    assert there.standard_error > here.standard_error
    assert abs(there.p_better - 0.5) <= abs(here.p_better - 0.5)


def test_calm_seeds_of_earlier_questions_narrow_the_interval():
    evidence = Evidence((0.01, 0.03), 1e-6, 0.2)
    calm = estimate(evidence, [Evidence((0.02,) * 21, 1e-6, 0.2)])
    wild = estimate(evidence, [Evidence((0.3, -0.3) * 10, 1e-6, 0.2)])
    assert calm.standard_error < estimate(evidence).standard_error < wild.standard_error


def test_a_a_pairs_are_rarely_called_better():
    """The same recipe twice, seeds and examples drawn anew: P(better) >= 0.95 about once in twenty."""
    random = np.random.default_rng(0)
    error, examples, claims = 0.1, 500, 0
    for _ in range(2000):
        means, spreads = [], []
        for _ in range(2):
            right = random.random((2, examples)) < 1 - error
            gains = right[0].astype(float) - right[1] + random.normal(0, 0.02 * error)
            means.append(gains.mean())
            spreads.append(mean_variance(gains))
        evidence = Evidence(tuple(means), float(np.mean(spreads)) / 2, error)
        claims += verdict(estimate(evidence), True, error)[0] == decide.ADOPTED
    assert claims / 2000 < 0.07


def test_a_real_gain_is_seen():
    evidence = Evidence((0.04, 0.05), 0.005**2, 0.2)
    found = estimate(evidence)
    assert verdict(found, True, 0.2) == (decide.ADOPTED, True)


SURE, UNSURE, WORSE = (
    Estimate(0.05, 0.01, (0.03, 0.07), 0.99),
    Estimate(0.01, 0.02, (-0.03, 0.05), 0.7),
    Estimate(-0.05, 0.01, (-0.07, -0.03), 0.01),
)


@pytest.mark.parametrize(
    ("found", "adopt", "word", "adopted"),
    [
        (SURE, True, decide.ADOPTED, True),
        (SURE, False, decide.KEPT_ON_PRIOR, False),
        (UNSURE, True, decide.ADOPTED_ON_PRIOR, True),
        (UNSURE, False, decide.NOT_DECIDED, False),
        (WORSE, False, decide.REJECTED, False),
        (WORSE, True, decide.ADOPTED_AGAINST_TRIALS, True),
        (Estimate(0.0001, 0.001, (-0.001, 0.0012), 0.55), False, decide.TIE, False),
        (Estimate(0.0001, 0.01, (-0.02, 0.02), 0.5), False, decide.NOT_DECIDED, False),
        (None, True, decide.ADOPTED_ON_PRIOR, True),
        (None, False, decide.NOT_DECIDED, False),
    ],
)
def test_each_verdict(found, adopt, word, adopted):
    assert verdict(found, adopt, 0.1) == (word, adopted)


@given(st.one_of(st.none(), evidences.map(estimate)), st.booleans(), errors)
def test_the_claim_needs_the_measurement_and_the_action_the_expectation(found, adopt, error):
    word, adopted = verdict(found, adopt, error)
    assert adopted == adopt
    assert (word == decide.ADOPTED) == (adopted and found is not None and found.p_better >= decide.CLAIM)
    if word == decide.TIE:
        assert found.interval[1] - found.interval[0] <= 2 * decide.TIE_SHARE * error


def test_pooled_deviations():
    squares, df = pool([Evidence((0.01, 0.03), 1.0, 0.1), Evidence((0.0, 0.0, 0.3), 1.0, 1.0)])
    assert df == 3
    assert squares == pytest.approx(2 * 0.1**2 + 2 * 0.1**2 + 0.2**2)
    assert pool([]) == (0, 0)


def test_what_different_examples_bring_is_not_taken_for_seeds():
    """Between seeds scored on different parts, the examples' variance is in the differences already."""
    differences, variance = (0.0, 0.02, 0.04, 0.06), 1e-4
    same = Evidence(differences, variance, 0.2)
    other = dataclasses.replace(same, parts=4)
    between = sum((d - 0.03) ** 2 for d in differences)
    assert pool([same])[0] == pytest.approx(between / 0.04)
    assert pool([other])[0] == pytest.approx((between - 3 * 4 * variance) / 0.04)
    assert pool([dataclasses.replace(other, example_variance=1.0)])[0] == 0.0
    assert estimate(other).standard_error < estimate(same).standard_error


def test_runs_that_train_on_the_same_examples_say_less():
    here = estimate(Evidence((0.01, 0.03), 1e-6, 0.2))
    there = estimate(Evidence((0.01, 0.03), 1e-6, 0.2, overlap=0.25))
    assert there.standard_error == pytest.approx(here.standard_error * 1.5**0.5, rel=0.01)


def test_seeds_are_pooled_with_those_of_the_same_measure():
    evidence = Evidence((0.01, 0.03), 1e-6, 0.2, measure="accuracy")
    wild = Evidence((0.3, -0.3) * 10, 1e-6, 0.2, measure="log_loss")
    assert estimate(evidence, [wild]) == estimate(evidence)
    assert estimate(evidence, [dataclasses.replace(wild, measure="accuracy")]) != estimate(evidence)


def simulate(effect, sigma, count, random, examples=500, error=0.1):
    """Differences of `count` seeds of two recipes, each seed on its own examples."""
    differences, spreads = [], []
    for _ in range(count):
        right = random.random((2, examples)) < np.array([[1 - error], [1 - error + effect]])
        gains = right[1].astype(float) - right[0] + random.normal(0, sigma)
        differences.append(gains.mean())
        spreads.append(mean_variance(gains))
    return Evidence(tuple(differences), float(np.mean(spreads)) / count, error, count)


def claimed(effect, random):
    """Whether a gain is claimed after two seeds, or after four where two have not decided."""
    four = simulate(effect, 0.004, 4, random)
    first = dataclasses.replace(
        four, differences=four.differences[:2], parts=2, example_variance=2 * four.example_variance
    )
    look = estimate(first)
    if decide.undecided(look, 0.1):
        look = estimate(four)
    return verdict(look, True, 0.1)[0] == decide.ADOPTED


def test_two_looks_claim_no_more_than_one_in_twenty():
    random = np.random.default_rng(1)
    share = np.mean([claimed(0.0, random) for _ in range(2000)])
    assert 0.0 < share < 0.07


def test_two_looks_see_a_gain_of_a_third_of_the_error():
    random = np.random.default_rng(2)
    assert np.mean([claimed(0.035, random) for _ in range(300)]) > 0.6


@given(evidences.map(estimate), errors)
def test_a_second_look_is_for_what_the_first_leaves_open(found, error):
    word, _ = verdict(found, False, error)
    assert decide.undecided(found, error) == (word == decide.NOT_DECIDED)


def test_what_is_left_to_gain():
    assert error_of("accuracy", 0.9) == pytest.approx(0.1)
    assert error_of("rmse", 3.0) == 3.0
    assert error_of("accuracy", 1.0) > 0
    assert error_of("accuracy", 1.0, 20) == 1 / 40  # half an example
    assert error_of("hamming_loss", 0.0, 20) == 1 / 40
    assert error_of("log_loss", 0.001, 20) == 0.001
    assert error_of("r2", r2_score([1, 2, 3], [3, 2, 1])) > 1


def test_the_variance_of_a_mean():
    values = np.array([1.0, 2.0, 4.0])
    assert mean_variance(values) == pytest.approx(values.var(ddof=1) / 3)
    assert mean_variance(values[:1]) == 0


@pytest.mark.parametrize("name", sorted(METRICS))
def test_the_error_of_every_metric_is_what_is_left_to_its_best(name):
    best, way = METRICS[name].best, 1 if METRICS[name].higher else -1
    assert error_of(name, best - way * 0.25) == pytest.approx(0.25)
    assert error_of(name, best) == 1e-9
    assert relative_gain(name, best - way * 0.4, best - way * 0.2) == pytest.approx(np.log(2))
    assert relative_gain(name, best - way * 0.2, best - way * 0.4) == pytest.approx(-np.log(2))


@given(st.floats(0.1, 1e4), st.floats(0.01, 0.5), st.booleans(), st.booleans())
def test_a_gain_is_a_gain_where_nobody_knows_the_best_value(size, step, higher, negative):
    def own(y_true, y_pred):
        return 0.0

    old = -size if negative else size
    with own_metric((own, "maximize" if higher else "minimize")) as name:
        assert relative_gain(name, old, old + step * size) * (1 if higher else -1) > 0
        assert relative_gain(name, old, old - step * size) * (1 if higher else -1) < 0
