"""The fit of the prior of foresight."""

from dataclasses import replace

import numpy as np
import pytest
from common import Store, training_code
from foresight_prior import (
    BEGIN,
    END,
    TARGET,
    Curve,
    constants,
    fit,
    judged,
    left_out,
    line_of,
    measured_by,
    table,
    verdict,
    write,
)

from autorecipe.search.foresight import CurvePrior, Point
from autorecipe.search.outlook import PRIORS

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
        curves.append(Curve(f"data {source}", "table", 0.9, tuple(points), tuple(each), gains))
    return curves


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


def test_what_no_curve_spans_is_not_measured_and_not_failed():
    assert verdict({"a": {"covered_4": 0.8, "covered_16": 0.9}}) == (True, {})
    assert verdict({"a": {"covered_4": 0.9}, "b": {"covered_4": 0.8, "covered_16": 0.9}}) == (None, {16: ["a"]})
    assert verdict({"a": {"covered_4": 0.7}}) == (False, {16: ["a"]})
    assert verdict({}) == (None, {})
    short = drawn(3, computes=tuple(2.0**k for k in range(4)))
    assert verdict({"table of values": judged(short)[1]})[1] == {16: ["table of values"]}


def test_the_table_has_what_the_search_has_and_what_was_measured_of_it():
    curves = [replace(curve, kind="table of values") for curve in drawn(2)]
    row = {"widened": 1.25, "error_share_4": 0.2, "covered_4": 0.85, "forecasts_4": 9, "as_fitted": {"covered_4": 0.7}}
    lines = table(curves, {"table of values": row}).splitlines()
    level = PRIORS["table of values"].level
    assert lines[2].startswith(f"| table of values | {level[0]:.2f} ± {level[1]:.2f} |")
    assert "| table of values | data 0, data 1 | 2 | x 4 | 9 | 20% | 70% | x 1.25 | 85% |" in lines
    assert lines[-1] == "Not measured at 16 times the compute: table of values."


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
    copy = tmp_path / "outlook.py"
    copy.write_text(TARGET.read_text())
    prior = CurvePrior((0.1234567, 1.0), (-0.5, 0.3), (-1.5, 0.8), 0.1, 0.05)
    write(constants(dict.fromkeys(PRIORS, prior)), copy)
    space: dict[str, object] = {"CurvePrior": CurvePrior}
    text = copy.read_text()
    exec(text.split(BEGIN)[1].split(END)[0], space)
    assert space["PRIORS"]["image"].level == (0.123, 1.0)
    assert space["PRIORS"].keys() == PRIORS.keys()
    assert text.split(BEGIN)[0] == TARGET.read_text().split(BEGIN)[0]
    assert text.split(END, 1)[1] == TARGET.read_text().split(END, 1)[1]
