"""The fit of the prior of foresight."""

from dataclasses import replace

import numpy as np
import pytest
from common import Store, training_code
from foresight_fit import (
    Choice,
    choices,
    covered,
    fit,
    fit_growth,
    judged,
    judged_choices,
    left_out,
    pairs_of,
)
from foresight_prior import BEGIN, END, TARGET, constants, line_of, table, verdict, write
from foresight_rows import SMALLEST, Curve, Grown, measured_by, worse

from autorecipe.results import DatasetInfo
from autorecipe.search.curves import PRIORS
from autorecipe.search.foresight import CurvePrior, GrowthPrior, Point, learn

TRUE = CurvePrior((-1.0, 1.0), (-0.5, 0.3), (-1.5, 0.8), 0.0, 0.05)


def drawn(sources, seed=0, computes=tuple(2.0**k for k in range(8))):
    random = np.random.default_rng(seed)
    curves = []
    for source in range(sources):
        level, log_rate, logit = (random.normal(*x) for x in (TRUE.level, TRUE.log_rate, TRUE.logit_floor))
        floor = 1 / (1 + np.exp(-logit))
        each, points = [], []
        for c in computes:
            odds = level + np.log(floor + (1 - floor) * c ** -np.exp(log_rate))
            each.append(tuple(odds + random.normal(0, TRUE.noise, 4)))
            points.append(Point(c, float(np.mean(each[-1]))))
        gains = {"members": 0.1 + 0.01 * random.normal(), "data": 0.3}
        names = f"data {source}", f"data {source}"
        curves.append(Curve(*names, SMALLEST, "table", 0.9, tuple(points), tuple(each), computes, tuple(points), gains))
    return curves


def with_larger(curves, lasting=0.1, early=0.5, cost=1.5, seed=0):
    """The curves, and those of networks twice as wide that gain so much."""
    random = np.random.default_rng(seed)
    found = []
    for curve in curves:
        known = learn(TRUE, curve.points)
        each = []
        for point in curve.points:
            gain = lasting + early * float(known.weights @ known.steepness(point.compute))
            each.append(tuple(point.log_odds - gain + random.normal(0, 0.02, 4)))
        points = tuple(Point(p.compute, float(np.mean(e))) for p, e in zip(curve.points, each, strict=True))
        seconds = tuple(cost * x for x in curve.seconds)
        found += [curve, replace(curve, grown=Grown(1), points=points, best=points, each=tuple(each), seconds=seconds)]
    return found


def test_the_distribution_that_curves_were_drawn_from_is_found():
    found = fit(drawn(30))
    assert found.log_rate[0] == pytest.approx(TRUE.log_rate[0], abs=0.2)
    assert found.log_rate[1] == pytest.approx(TRUE.log_rate[1], rel=0.4)
    assert found.logit_floor[0] == pytest.approx(TRUE.logit_floor[0], abs=0.5)
    assert found.level[0] == pytest.approx(TRUE.level[0], abs=0.5)
    assert 0.03 < found.noise < 0.09
    assert found.members[0] == pytest.approx(0.1, abs=0.01)
    assert found.data == (pytest.approx(0.3), pytest.approx(0.0, abs=1e-9))
    assert found.views == (0.0, 0.0)


def test_left_out_data_sets_are_covered():
    prior, facts = judged(drawn(10, seed=1))
    assert facts["covered_4"] >= 0.8
    assert facts["covered_16"] >= 0.8
    assert facts["error_share_4"] < facts["error_share_16"] < 0.5
    assert facts["forecasts_16"] == 10 * 4
    assert facts["as_fitted"].keys() == {"covered_4", "covered_16"}
    assert prior.log_rate[1] == pytest.approx(facts["widened"] * fit(drawn(10, seed=1)).log_rate[1])


def test_one_data_set_cannot_be_left_out():
    assert left_out(drawn(1)) == {4: [], 16: []}


def test_what_has_too_few_forecasts_is_not_measured_and_not_failed():
    def row(growth=0.9, **shares):
        found = {f"covered_{times[1:]}": share for times, share in shares.items()}
        return {**found, **{f"forecasts_{times[1:]}": 5 for times in shares}, "growth": {"covered": growth}}

    assert verdict({"a": row(x4=0.8, x16=0.9)}) == (True, {})
    assert verdict({"a": row(x4=0.9), "b": row(x4=0.8, x16=0.9)}) == (None, {16: ["a"]})
    assert verdict({"a": row(x4=0.7)}) == (False, {16: ["a"]})
    assert verdict({"a": row(x4=0.9, x16=0.9, growth=0.7)}) == (False, {})
    assert verdict({}) == (None, {})
    short = drawn(3, computes=tuple(2.0**k for k in range(4)))
    assert verdict({"table of values": judged(short)[1]})[1] == {16: ["table of values"]}
    assert covered({"covered_4": 0.2, "forecasts_4": 4}, 4) is None
    assert covered({"covered_4": 0.2, "forecasts_4": 5}, 4) == 0.2


def test_what_larger_networks_gain_is_found():
    found = fit(with_larger(drawn(12)))
    assert found.wider.lasting[0] == pytest.approx(0.1, abs=0.03)
    assert found.wider.early[0] == pytest.approx(0.5, abs=0.1)
    assert found.wider.noise < 0.06
    nothing = fit_growth([], found)
    assert found.deeper == nothing, "no data set has any: the beginning is all that is known"


def test_pairs_are_of_one_data_set_and_one_step():
    curves = with_larger(drawn(2))
    assert [(pair.old.name, pair.doublings, pair.blocks) for pair in pairs_of(curves)] == [
        ("data 0", 1, 0),
        ("data 1", 1, 0),
    ]
    assert pairs_of(curves)[0].cost == pytest.approx(1.5)
    assert not pairs_of([curves[0], replace(curves[1], grown=Grown(2))])


def test_choices_are_foretold_for_data_sets_left_out():
    found = judged_choices(choices(with_larger(drawn(8), lasting=0.15, early=0.3, cost=2.0)))
    assert found["covered"] >= 0.8
    assert found["right"] > found["right_by_short"], "short trainings favour small networks"
    assert found["lost"] < found["lost_by_short"]
    assert judged_choices([]) == {}
    two = judged_choices([Choice(4, -0.1, 0.1, 0.05, 0.2), Choice(4, 0.1, 0.1, 0.05, -0.3)])
    assert (two["right"], two["right_by_short"]) == (0.5, 0)
    assert (two["lost"], two["lost_by_short"], two["lost_never_larger"]) == (0.15, 0.25, 0.1)


def test_a_curve_ends_where_longer_is_worse_in_score_and_loss():
    info = DatasetInfo("n", "table", "binary", "", "accuracy", "", {}, classes=("a", "b"))
    good, bad = {"scores": [0.9, 0.8], "losses": [0.3]}, {"scores": [0.8, 0.8], "losses": [0.4]}
    assert worse(info, bad, good)
    assert not worse(info, good, bad)
    assert not worse(info, {**bad, "losses": [0.2]}, good)


def test_the_table_has_what_the_search_has_and_what_was_measured_of_it():
    curves = [replace(curve, kind="table of values") for curve in drawn(2)]
    two = [Choice(4, -0.1, 0.1, 0.05, 0.2), Choice(4, 0.1, 0.1, 0.05, -0.3)]
    row = {"widened": 1.25, "error_share_4": 0.2, "covered_4": 0.85, "forecasts_4": 9, "as_fitted": {"covered_4": 0.7}}
    row |= {"growth": judged_choices(two)}
    lines = table(curves, {"table of values": row}).splitlines()
    level = PRIORS["table of values"].level
    assert lines[2].startswith(f"| table of values | {level[0]:.2f} ± {level[1]:.2f} |")
    assert "| table of values | data 0, data 1 | 2 | x 4 | 9 | 20% | 70% | x 1.25 | 85% |" in lines
    assert "Too few forecasts at 16 times the compute: table of values." in lines
    lasting = PRIORS["table of values"].wider.lasting
    told = f"| table of values | a doubling of the width | {lasting[0]:.2f} ± {lasting[1]:.2f} |"
    assert any(line.startswith(told) for line in lines)
    assert lines[-1] == "| table of values | 2 | 50% | 0% | 50% | 0% | 0.150 | 0.250 | 0.100 | 0.150 |"


def test_rows_of_other_code_are_for_the_table_alone(tmp_path):
    store = Store(tmp_path / "rows.jsonl")
    store.row("key", lambda: {"old": True}, "other code")
    assert line_of(store, "key", dict, late=True, any_code=False) is None
    assert line_of(store, "none", dict, late=True, any_code=True) is None
    assert line_of(store, "key", dict, late=True, any_code=True)["row"] == {"old": True}
    made = line_of(store, "key", lambda: {"old": False}, late=False, any_code=False)
    assert (made["row"], made["code"]) == ({"old": False}, measured_by())
    assert measured_by() != training_code()


def test_constants_are_written_between_their_markers(tmp_path):
    copy = tmp_path / "curves.py"
    copy.write_text(TARGET.read_text())
    prior = CurvePrior((0.1234567, 1.0), (-0.5, 0.3), (-1.5, 0.8), 0.1, 0.05)
    write(constants(dict.fromkeys(PRIORS, prior)), copy)
    space: dict[str, object] = {"CurvePrior": CurvePrior, "GrowthPrior": GrowthPrior}
    text = copy.read_text()
    exec(text.split(BEGIN)[1].split(END)[0], space)
    assert space["PRIORS"]["image"].level == (0.123, 1.0)
    assert space["PRIORS"].keys() == PRIORS.keys()
    assert text.split(BEGIN)[0] == TARGET.read_text().split(BEGIN)[0]
    assert text.split(END, 1)[1] == TARGET.read_text().split(END, 1)[1]
