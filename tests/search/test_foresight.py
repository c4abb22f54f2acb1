"""The curve of error against compute: laws, and what it learns from points."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autorecipe.cli import words
from autorecipe.recipe import Recipe
from autorecipe.recipe import replace as changed
from autorecipe.results import DatasetInfo
from autorecipe.rundir import RunDir, read_json
from autorecipe.search import accounts, outlook
from autorecipe.search.curves import PRIORS
from autorecipe.search.foresight import (
    CurvePrior,
    GrowthPrior,
    Lead,
    Point,
    error_from,
    gain_of_data,
    gain_of_members,
    grown,
    lead_to_come,
    learn,
    log_odds,
)
from autorecipe.search.workbench import Workbench

PRIOR = CurvePrior((-1.0, 1.0), (-0.6, 0.4), (-1.5, 1.0), 0.0, 0.03, (0.08, 0.04), (0.3, 0.1), (0.05, 0.02))

priors = st.sampled_from([PRIOR, *PRIORS.values(), replace(PRIOR, correlation=0.7), replace(PRIOR, correlation=-0.7)])
computes = st.floats(0.1, 1000.0)
points = st.lists(st.builds(Point, computes, st.floats(-6.0, 0.0), st.floats(0.0, 0.3), st.integers(1, 4)), max_size=4)


def curve(compute, level=-1.0, rate=0.7, floor=0.2):
    return level + np.log(floor + (1 - floor) * compute**-rate)


def width(forecast):
    return forecast.high - forecast.low


@settings(max_examples=60, deadline=None)
@given(priors, points, computes, st.floats(1.0, 50.0))
def test_more_compute_never_predicts_a_worse_error(prior, measured, compute, times):
    found = learn(prior, measured)
    now, later = found.forecast(compute), found.forecast(compute * times)
    for name in ("median", "low", "high"):
        assert getattr(later, name) <= getattr(now, name) + 1e-6


@settings(max_examples=60, deadline=None)
@given(priors, st.floats(0.5, 100.0), st.floats(-4.0, -0.5), st.floats(1.5, 10.0), st.floats(1.5, 10.0))
def test_the_interval_widens_with_extrapolation(prior, compute, log_odds, times, further):
    found = learn(prior, [Point(compute, log_odds, 0.02)])
    here, there, far = (found.forecast(compute * factor) for factor in (1.0, times, times * further))
    assert width(here) < width(there) < width(far)
    assert all(f.low < f.median < f.high for f in (here, there, far))


@settings(max_examples=40, deadline=None)
@given(priors, st.floats(-3.0, -0.5), st.floats(0.3, 1.0), st.floats(0.05, 0.5))
def test_many_points_outweigh_the_prior(prior, level, rate, floor):
    """Half of the compute was seen with many runs: the end is foretold to within 8 %, wherever the curve lies."""
    measured = [Point(c, curve(c, level, rate, floor), runs=25) for c in np.geomspace(0.25, 64, 12)]
    found = learn(prior, measured).forecast(128.0)
    assert found.median == pytest.approx(curve(128.0, level, rate, floor), abs=0.08)


def test_a_curve_of_the_prior_is_recovered_exactly():
    """Without noise rate and floor are those of the grid's cell that the points were made of."""
    prior = replace(PRIOR, noise=1e-3)
    rate, floor = np.exp(PRIOR.log_rate[0]), 1 / (1 + np.exp(-PRIOR.logit_floor[0]))
    found = learn(prior, [Point(c, curve(c, -2.0, rate, floor)) for c in np.geomspace(0.5, 200, 20)])
    best = int(found.weights.argmax())
    assert found.weights[best] > 0.99
    assert (found.log_rate[best], found.logit_floor[best]) == pytest.approx((PRIOR.log_rate[0], PRIOR.logit_floor[0]))
    assert found.levels[best] == pytest.approx(-2.0, abs=1e-4)
    assert found.forecast(1000.0).median == pytest.approx(curve(1000.0, -2.0, rate, floor), abs=1e-3)


def test_intervals_of_the_prior_cover_what_it_draws():
    """Curves drawn from the prior, seen once and foretold at 16 times the compute: 80 % lie inside."""
    random, inside = np.random.default_rng(0), 0
    for _ in range(400):
        level, log_rate, logit = (random.normal(*x) for x in (PRIOR.level, PRIOR.log_rate, PRIOR.logit_floor))
        seen, came = (
            curve(c, level, np.exp(log_rate), 1 / (1 + np.exp(-logit))) + random.normal(0, PRIOR.noise)
            for c in (4.0, 64.0)
        )
        found = learn(PRIOR, [Point(4.0, seen)]).forecast(64.0)
        inside += found.low <= came <= found.high
    assert 0.75 <= inside / 400 <= 0.85


def test_a_second_point_narrows_the_forecast():
    once = learn(PRIOR, [Point(4.0, curve(4.0))]).forecast(64.0)
    twice = learn(PRIOR, [Point(4.0, curve(4.0)), Point(16.0, curve(16.0))]).forecast(64.0)
    assert width(twice) < 0.8 * width(once)


def test_several_networks_and_more_examples_gain():
    assert gain_of_members(PRIOR, 1) == (0.0, 0.0)
    assert gain_of_members(PRIOR, 4) == pytest.approx(PRIOR.members)
    assert gain_of_members(PRIOR, 8)[0] > PRIOR.members[0]
    mean, spread = gain_of_data(PRIOR, 800, 900)
    assert mean > 0
    assert spread > 0
    assert gain_of_data(PRIOR, 900, 800)[0] == pytest.approx(-mean)


@given(st.floats(0.01, 0.9), st.floats(1.0, 100.0))
def test_odds_and_errors_are_the_same_thing(share, constant):
    assert error_from(log_odds(share * constant, constant), constant) == pytest.approx(share * constant)


# What larger networks gain

WIDER = GrowthPrior((0.05, 0.1), (0.4, 0.4), 0.03)
growths = st.sampled_from([WIDER, *(prior.wider for prior in PRIORS.values()), *(p.deeper for p in PRIORS.values())])


@settings(max_examples=20, deadline=None)
@given(priors, computes, st.floats(1.0, 10.0))
def test_steepness_is_the_slope_of_the_decline(prior, compute, times):
    found = learn(prior, [])
    slope = (found.decline(compute / 1.001) - found.decline(compute * 1.001)) / (2 * np.log(1.001))
    np.testing.assert_allclose(found.steepness(compute), slope, rtol=1e-3, atol=1e-6)
    assert (found.steepness(compute * times) <= found.steepness(compute) + 1e-9).all()


@settings(max_examples=20, deadline=None)
@given(priors, growths, st.floats(-1, 1), st.floats(0.001, 1), st.floats(0.01, 0.5), computes, st.floats(1.0, 4.0))
def test_a_larger_lead_is_never_foretold_to_be_less(prior, growth, lead, more, spread, compute, cost):
    curve_of = learn(prior, [Point(cost * compute, -2.0)])

    def foretold(gain):
        return lead_to_come(curve_of, growth, [Lead(cost * compute, compute, gain, spread)], 8 * cost, 8.0)[0]

    assert foretold(lead) <= foretold(lead + more) + 1e-9


def test_leads_drawn_from_the_prior_are_covered():
    """Two networks drawn from the prior, compared once and foretold at eight times the compute."""
    random, inside = np.random.default_rng(0), 0
    for _ in range(200):
        level, log_rate, logit = (random.normal(*x) for x in (PRIOR.level, PRIOR.log_rate, PRIOR.logit_floor))
        rate, floor = np.exp(log_rate), 1 / (1 + np.exp(-logit))
        lasting, early = random.normal(*WIDER.lasting), random.normal(*WIDER.early)

        def lead(old, new, rate=rate, floor=floor, lasting=lasting, early=early):
            falling = (1 - floor) * new**-rate
            steep = rate * falling / (floor + falling)
            between = curve(old, 0.0, rate, floor) - curve(new, 0.0, rate, floor)
            return between + lasting + early * steep + random.normal(0, WIDER.noise)

        points = [Point(c, curve(c, level, rate, floor) + random.normal(0, PRIOR.noise)) for c in (4.0, 12.0)]
        mean, sd = lead_to_come(learn(PRIOR, points), WIDER, [Lead(4.0, 2.0, lead(4.0, 2.0), 0.01)], 32.0, 16.0)
        inside += abs(lead(32.0, 16.0) - mean) <= 1.2816 * sd
    assert inside / 200 >= 0.75


def test_at_equal_time_short_trials_favour_small_networks():
    curve_of = learn(PRIOR, [Point(2.0, -1.5)])
    leads = [lead_to_come(curve_of, WIDER, [], 2.0 * c, c)[0] for c in (1.0, 4.0, 16.0, 64.0, 256.0)]
    assert leads == sorted(leads)
    assert leads[0] < 0 < leads[-1]


def test_growth_adds_up():
    prior = replace(PRIOR, wider=WIDER, deeper=GrowthPrior((0.02, 0.1), (0.3, 0.2), 0.04))
    assert grown(prior, 1, 0) == WIDER
    twice = grown(prior, 2, 0)
    assert twice.lasting == pytest.approx((0.1, 0.2))
    back = grown(prior, -1, 0)
    assert back.early == pytest.approx((-0.4, 0.4))
    assert grown(prior, 1, 1).noise == pytest.approx(np.hypot(0.03, 0.04))


# What the agent does with it

CLASSES = {"multiclass": tuple("abcdefghij"), "binary": ("a", "b"), "regression": ()}


def bench(tmp_path, metric="accuracy", seconds=60.0, task="multiclass"):
    """What `outlook` needs of a workbench: 1,000 examples to train on, 100 in each other split."""
    heard = []
    rows = {"train": np.arange(1000), "val": np.arange(100), "confirm": np.arange(100), "test": np.arange(100)}
    splits = SimpleNamespace(**rows, order=None, held_out=lambda seed: (rows["train"], rows["confirm"]))
    splits.rows = lambda which: np.arange(sum(len(rows[name]) for name in which.split("+")))
    values = np.linspace(-1, 1, 1400) if task == "regression" else np.arange(1400) % (2 if task == "binary" else 10)
    targets = SimpleNamespace(numpy=lambda: values)
    place = SimpleNamespace(
        run=RunDir(tmp_path),
        budget=SimpleNamespace(seconds=seconds),
        dataset=SimpleNamespace(
            info=DatasetInfo("n", "table", task, "", metric, "", {}, classes=CLASSES[task]),
            splits=splits,
            targets=targets,
        ),
        say=lambda kind, **facts: heard.append((kind, facts)),
        heard=heard,
    )
    place.error_of_constant = Workbench.error_of_constant.func(place)
    return place


@pytest.fixture
def rows(monkeypatch):
    """Measured runs, instead of those on record."""

    def put(*given):
        incumbent = changed(Recipe(), {"training.steps": 100, "training.batch_size": 100})
        made = [outlook._row("fresh seeds", incumbent, *row) for row in given]
        monkeypatch.setattr(outlook, "measured_rows", lambda bench, incumbent: made)
        return incumbent

    return put


FINAL = changed(
    Recipe(),
    {"training.steps": 1600, "training.batch_size": 100, "training.train_on": "train+val", "data.modality": "table"},
)


@pytest.mark.parametrize(
    ("metric", "task", "score"),
    [("accuracy", "multiclass", 0.8), ("rmse", "regression", 0.3), ("log_loss", "binary", 0.6)],
)
def test_the_score_is_foretold_and_held_against_what_came(tmp_path, rows, metric, task, score):
    place = bench(tmp_path, metric, task=task)
    told = outlook.tell_foresight(place, rows((score, 200, 1000, 2)), FINAL, 1600)
    low, high = told["interval"]
    assert low < told["predicted"] < high
    assert (told["predicted"] > score) == (metric == "accuracy")  # longer, and better
    assert read_json(place.run.foresight)["predicted"] == told["predicted"]
    assert place.heard[0][0] == "foresight"
    assert told["budgets"] == []
    account = accounts.foretold(place, FINAL, told["predicted"])
    assert (account["covered"], account["error_share"]) == (True, 0.0)
    account = accounts.foretold(place, FINAL, high + 0.1 * abs(high))
    assert not account["covered"]
    assert account["error_share"] > 0
    assert accounts.foretold(place, changed(FINAL, {"training.train_on": "train"}), 0.9) is None


def test_time_is_assumed_to_change_nothing(tmp_path, rows):
    place = bench(tmp_path)
    assert outlook.tell_foresight(place, rows((0.8, 200, 1000, 2)), FINAL, 1600)["assuming"] is None
    place.dataset.splits.order = np.arange(1400)
    told = outlook.tell_foresight(place, rows((0.8, 200, 1000, 2)), FINAL, 1600)
    assert (
        told["assuming"] == accounts.foretold(place, FINAL, 0.8)["assuming"] == "later examples are like earlier ones"
    )
    assert words.sentences("foresight", told)[0].startswith(
        "foretold, if later examples are like earlier ones: accuracy"
    )


def test_several_networks_are_foretold_to_be_better(tmp_path, rows):
    incumbent = rows((0.8, 200, 1000, 2))
    one, four = (
        outlook.tell_foresight(bench(tmp_path), incumbent, changed(FINAL, {"finish.members": members}), 1600)[
            "predicted"
        ]
        for members in (1, 4)
    )
    assert four > one


def test_long_budgets_are_told_of_others(tmp_path, rows):
    place = bench(tmp_path, seconds=3600.0)
    told = outlook.tell_foresight(place, rows((0.8, 200, 1000, 2)), FINAL, 1600)
    scores = [row["predicted"] for row in told["budgets"]]
    assert [row["seconds"] for row in told["budgets"]] == [900.0, 1800.0, 7200.0, 14400.0]
    assert scores == sorted(scores)
    assert scores[1] < told["predicted"] < scores[2]


def test_a_larger_budget_does_not_lengthen_a_final_training_that_is_best_short(tmp_path, rows):
    place = bench(tmp_path, seconds=3600.0)
    told = outlook.tell_foresight(place, rows((0.8, 200, 1000, 2)), FINAL, 4800)
    scores = [row["predicted"] for row in told["budgets"]]
    assert scores[0] < told["predicted"]
    assert scores[1:] == [told["predicted"]] * 3


def test_nothing_is_foretold_without_measurements_or_a_best_value(tmp_path, rows):
    place = bench(tmp_path)
    outlook.tell_foresight(place, rows((0.8, 200, 1000, 2)), FINAL, 1600)
    assert outlook.tell_foresight(place, rows(), FINAL, 1600) is None
    assert not place.run.foresight.exists()
    assert accounts.foretold(place, FINAL, 0.9) is None


def test_a_search_foretells_its_final_training(searched):
    found = searched(budget="120epochs", max_depth=2)
    told, summary = read_json(found.run.foresight), read_json(found.run.summary)
    account = summary["accounts"]["foresight"]
    assert account["came"] == summary["scores"]["test"]
    assert account["predicted"] == told["predicted"]
    assert account["covered"] == (told["interval"][0] <= account["came"] <= told["interval"][1])
    assert told["points"]
    assert all(row["examples_seen"] <= told["finish"]["examples_seen"] for row in told["points"])
    assert len(found.heard.of("foresight")) == 1
