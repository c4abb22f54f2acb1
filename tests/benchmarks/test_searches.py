"""What ten searches say together, from their rows."""

import pytest
from searches import bias_of, interval_covers, interval_of, judge, pooled, within_one_step


def row(seed=0, **facts):
    found = {
        "seed": seed,
        "code": 0,
        "score": 0.96,
        "network": "mlp",
        "width": 64,
        "depth": 3,
        "interval": [0.95, 0.97],
        "foresight": {"predicted": 0.955, "error_share": 0.1, "covered": True},
        "fresh_seeds": {"fresh_seeds": 0.90 + 0.001 * (seed % 3 - 1), "test": 0.90},
        "num_test": 4000,
        "num_confirm": 1600,
    }
    return found | facts


def test_one_doubling_and_one_block_off_the_median_are_near():
    rows = [row(width=width, depth=depth) for width, depth in ((64, 3), (64, 3), (128, 4), (32, 2), (256, 3), (64, 5))]
    assert within_one_step(rows) == pytest.approx(4 / 6)


def test_each_interval_is_held_against_the_next_runs_score():
    rows = [row(interval=[0.95, 0.97]), row(score=0.98, interval=[0.97, 0.99]), row(score=0.975, interval=[0.97, 0.98])]
    assert interval_covers(rows) == pytest.approx(1 / 3)  # the last is held against the first
    assert interval_covers([row(interval=None)] * 3) is None


def test_a_run_without_an_interval_covers_nothing():
    assert interval_covers([row(), row(interval=None)]) == 0.5
    assert interval_of({}) is None
    assert interval_of({"score_interval": {"retraining": {"low": 0.1, "high": 0.2}}}) == (0.1, 0.2)


def test_the_bias_counts_the_examples_once():
    mean, error, df = bias_of([row(seed) for seed in range(9)])
    assert mean == pytest.approx(0.0)
    assert df == 8
    of_examples = (0.1 * 0.9 / 4000 + 0.1 * 0.9 / 1600) ** 0.5
    assert of_examples < error < 1.1 * of_examples
    assert bias_of([row(fresh_seeds=None)] * 4) is None


def test_a_bias_is_seen():
    biased = [row(seed, fresh_seeds={"fresh_seeds": 0.95, "test": 0.90}) for seed in range(10)]
    _, interval = pooled([bias_of(biased), bias_of(biased)])
    assert interval[0] > 0


def test_what_must_be_reached():
    rows = [row(seed) for seed in range(10)]
    facts, reached = judge({"letter": rows, "fashion": rows})
    assert reached is True
    assert facts["within_one_step"] == facts["interval_covers"] == facts["covered"] == 1
    assert facts["bias_interval"][0] < 0 < facts["bias_interval"][1]
    off = [row(seed, foresight={"predicted": 0.9, "error_share": 0.4, "covered": False}) for seed in range(10)]
    assert judge({"letter": off, "fashion": rows})[1] is False
    assert judge({"letter": [row(seed, interval=None) for seed in range(10)]})[1] is None
