"""What ten searches say together, from their rows."""

import json

import numpy as np
import pytest
from searches import (
    bias_of,
    claims_of,
    completed,
    interval_covers,
    interval_of,
    interval_width,
    judge,
    pooled,
    score_sd,
    share_of_decisions,
    table,
    within_one_step,
    within_one_step_pairs,
)

from autorecipe.recipe import Recipe, dump_yaml, to_dict
from autorecipe.results import Decision
from autorecipe.rundir import write_json


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
        "num_pool": 16000,
        "num_decisions": 4,
        "measured": 2,
        "claimed": 1,
    }
    return found | facts


def test_one_doubling_and_one_block_off_the_median_are_near():
    rows = [row(width=width, depth=depth) for width, depth in ((64, 3), (64, 3), (128, 4), (32, 2), (256, 3), (64, 5))]
    assert within_one_step(rows) == pytest.approx(4 / 6)


def test_two_that_are_near_the_median_may_be_far_from_each_other():
    rows = [row(width=width) for width in (32, 64, 64, 128)]
    assert within_one_step(rows) == 1
    assert within_one_step_pairs(rows) == pytest.approx(5 / 6)
    assert within_one_step_pairs([row()]) is None


def test_each_interval_is_held_against_the_next_runs_score():
    rows = [row(interval=[0.95, 0.97]), row(score=0.98, interval=[0.97, 0.99]), row(score=0.975, interval=[0.97, 0.98])]
    assert interval_covers(rows) == pytest.approx(1 / 3)  # the last is held against the first
    assert interval_covers([row(interval=None)] * 3) is None


def test_a_run_without_an_interval_covers_nothing():
    assert interval_covers([row(), row(interval=None)]) == 0.5
    assert interval_of({}) is None
    assert interval_of({"score_interval": {"retraining": {"low": 0.1, "high": 0.2}}}) == (0.1, 0.2)


def test_width_of_intervals_and_spread_of_scores():
    rows = [row(interval=[0.95, 0.97]), row(score=0.98, interval=[0.95, 0.96]), row(score=0.97, interval=None)]
    assert interval_width(rows) == pytest.approx(0.015)
    assert score_sd(rows) == pytest.approx(0.01)
    assert interval_width(rows[2:]) is score_sd(rows[2:]) is None


def test_decisions_are_counted_over_all_runs_that_know_theirs():
    rows = [row(num_decisions=6, measured=1), row(num_decisions=2, measured=2), row(num_decisions=None)]
    assert share_of_decisions(rows, "measured") == 3 / 8
    assert share_of_decisions(rows, "claimed") == 2 / 8
    assert share_of_decisions(rows[2:], "measured") is None


def test_the_bias_counts_what_runs_share_once():
    found = bias_of([row(seed) for seed in range(9)])
    assert found.mean == pytest.approx(0.0)
    assert found.of_examples == pytest.approx(0.1 * 0.9 / 4000 + 0.1 * 0.9 / 16000)
    assert found.of_runs == pytest.approx(0.001**2 * 0.75 / 9)
    assert found.interval[1] == pytest.approx(1.96 * (found.of_examples + found.of_runs) ** 0.5, rel=0.01)
    assert bias_of([row(fresh_seeds=None)] * 4) is None


def test_without_the_pool_the_held_out_examples_count_as_the_same_ones():
    rows = [row(seed) for seed in range(9)]
    for one in rows:
        del one["num_pool"]
    assert bias_of(rows).of_examples == pytest.approx(0.1 * 0.9 / 4000 + 0.1 * 0.9 / 1600)


def test_with_nothing_shared_the_interval_is_students():
    alone = bias_of([row(seed, num_test=10**12, num_pool=10**12) for seed in range(3)])
    assert alone.interval[1] == pytest.approx(4.303 * (0.001**2 / 3) ** 0.5, rel=1e-3)
    assert pooled([alone, alone]).interval[1] == pytest.approx(2.776 * (0.001**2 / 6) ** 0.5, rel=1e-3)


def test_a_bias_is_seen():
    biased = [row(seed, fresh_seeds={"fresh_seeds": 0.95, "test": 0.90}) for seed in range(10)]
    assert pooled([bias_of(biased), bias_of(biased)]).interval[0] > 0


def drawn_runs(random, luck, pool=1000, test=500, part=100):
    """Ten runs without bias: held-out parts of one pool, the same test; `luck` of each example's being hard."""
    of_pool, of_test = luck(pool), luck(test)
    rows = []
    for seed in range(10):
        hard = of_pool[random.permutation(pool)[:part]]
        held_out, on_test = (np.mean(random.random(len(p)) >= p) for p in (hard, of_test))
        scores = {"fresh_seeds": held_out, "test": on_test}
        rows.append(row(seed, fresh_seeds=scores, num_test=test, num_confirm=part, num_pool=pool))
    return rows


def coverage(found):
    return np.mean([one.interval[0] <= 0 <= one.interval[1] for one in found])


def test_the_interval_holds_no_bias_as_often_as_it_says():
    random = np.random.default_rng(0)

    def same_for_all(count):
        return (random.random(count) < 0.2).astype(float)

    drawn = [drawn_runs(random, same_for_all) for _ in range(1000)]
    found = [bias_of(rows) for rows in drawn]
    assert coverage(found) == pytest.approx(0.95, abs=0.02)
    assert coverage([pooled(pair) for pair in zip(found[::2], found[1::2], strict=True)]) == pytest.approx(
        0.95, abs=0.025
    )
    spread = np.std([one.mean for one in found])
    assert np.mean([(one.of_runs + one.of_examples) ** 0.5 for one in found]) == pytest.approx(spread, rel=0.06)
    as_one_part = [bias_of([one | {"num_pool": one["num_confirm"]} for one in rows]) for rows in drawn]
    assert coverage(as_one_part) > 0.99


def test_where_runs_differ_in_what_is_hard_the_interval_holds_more_often():
    random = np.random.default_rng(1)
    found = [bias_of(drawn_runs(random, lambda count: random.beta(0.5, 2.0, count))) for _ in range(500)]
    assert coverage(found) > 0.97


def test_where_all_runs_hold_out_the_same_the_pool_is_that_part():
    random = np.random.default_rng(2)
    found = [
        bias_of(drawn_runs(random, lambda count: (random.random(count) < 0.2).astype(float), pool=100))
        for _ in range(500)
    ]
    assert coverage(found) == pytest.approx(0.95, abs=0.03)


def decision(effect, verdict):
    measured = (None, None, None, 0, 0) if effect is None else (0.01, (-0.01, 0.02), 0.8, 100, 2)
    return Decision("width", "width?", "a", ("b",), "b", "w", (0,), effect, *measured, 1.0, verdict, "because", "b")


def test_a_run_says_what_it_measured_and_claimed(tmp_path):
    verdicts = [(0.1, "adopted"), (-0.1, "rejected"), (0.1, "adopted on the prior: not decided"), (None, "rejected")]
    write_json(tmp_path / "decisions.json", [to_dict(decision(*one)) for one in verdicts])
    write_json(tmp_path / "splits.json", {"train": [*"abcdef"], "val": [*"gh"], "confirm": [*"ij"], "test": [*"klm"]})
    write_json(tmp_path / "summary.json", {})
    (tmp_path / "recipe.yaml").write_text(dump_yaml(Recipe()))
    found = claims_of(tmp_path)
    assert {name: found[name] for name in ("num_decisions", "measured", "claimed")} == {
        "num_decisions": 4,
        "measured": 3,
        "claimed": 2,
    }
    assert [found[name] for name in ("num_test", "num_confirm", "num_pool")] == [3, 2, 10]


def test_what_an_old_row_lacks_is_read_from_its_run(tmp_path, monkeypatch):
    (tmp_path / "splits.json").write_text(json.dumps({}))
    monkeypatch.setattr("searches.claims_of", lambda run: {"num_pool": 7, "width": 1})
    old = row(run=str(tmp_path))
    del old["num_pool"]
    assert completed(old) == old | {"num_pool": 7}
    gone = old | {"run": str(tmp_path / "gone")}
    assert completed(gone) == gone
    assert completed(row(run=str(tmp_path)))["num_pool"] == 16000


def test_what_must_be_reached():
    rows = [row(seed) for seed in range(10)]
    facts, reached = judge({"letter": rows, "fashion": rows})
    assert reached is True
    assert facts["within_one_step"] == facts["interval_covers"] == facts["covered"] == 1
    assert facts["bias_interval"][0] < 0 < facts["bias_interval"][1]
    off = [row(seed, foresight={"predicted": 0.9, "error_share": 0.4, "covered": False}) for seed in range(10)]
    assert judge({"letter": off, "fashion": rows})[1] is False
    assert judge({"letter": [row(seed, interval=None) for seed in range(10)]})[1] is None


def test_the_table_has_each_bias():
    ahead = [row(seed, fresh_seeds={"fresh_seeds": 0.95, "test": 0.90}) for seed in range(10)]
    behind = [row(seed, fresh_seeds={"fresh_seeds": 0.85, "test": 0.90}) for seed in range(10)]
    facts, _ = judge({"letter": ahead, "fashion": behind})
    assert facts["bias"] == pytest.approx(0.0)
    assert facts["bias_of"]["letter"]["interval"][0] > 0 > facts["bias_of"]["fashion"]["interval"][1]
    assert facts["measured"] == {"letter": 0.5, "fashion": 0.5}
    rows = {"first": "2026-01-01 10:00", "last": "2026-01-02 11:00"}
    lines = table(facts | {"rows": rows}).splitlines()
    assert any(line.startswith("| letter | 50% | 25% | +0.0500 |") for line in lines)
    assert any(line.startswith("| fashion | 50% | 25% | -0.0500 |") for line in lines)
    assert lines[-1].endswith("Measured 2026-01-01 to 2026-01-02.")
