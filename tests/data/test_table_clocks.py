"""Columns that run on with the time: out of range wherever the model predicts."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from autorecipe.data import ReadOptions, load_dataset
from autorecipe.data.table.clocks import FEWEST_VALUES, runs_on


@given(st.integers(FEWEST_VALUES, 200), st.integers(0, 1000), st.sampled_from([1.0, -2.5]))
def test_what_rises_or_falls_with_the_time_runs_on(count, seed, slope):
    random = np.random.default_rng(seed)
    times = random.permutation(count).astype(float)
    values = slope * np.sqrt(times)
    assert runs_on(values, times)
    assert not runs_on(values, None)
    gaps = np.where(np.arange(count) < 3, np.nan, np.append(values, values)[:count])
    assert runs_on(gaps, times) == (len(np.unique(values[3:])) >= FEWEST_VALUES)
    turned = values.copy()
    first, last = times.argmin(), times.argmax()
    turned[[first, last]] = turned[[last, first]]
    assert not runs_on(turned, times)


def test_rows_of_one_time_may_have_any_order():
    times = np.repeat(np.arange(30.0), 2)
    values = times.copy()
    values[::2] += 0.5
    assert runs_on(values, times)


def test_a_step_is_no_clock():
    times = np.arange(100.0)
    assert not runs_on((times > 50).astype(float), times)


def frame(count=400):
    random = np.random.default_rng(0)
    days = pd.date_range("2021-01-01", periods=count, freq="D")
    return pd.DataFrame(
        {
            "when": days.strftime("%Y-%m-%d"),
            "number": np.sqrt(np.arange(count) + 0.5),
            "x": random.normal(size=count),
            "y": random.normal(size=count),
        }
    )


def parts(dataset):
    return {(c["name"], c.get("part")) for c in dataset.preprocess["columns"]}


def test_with_time_clocks_are_left_out_and_told():
    dataset = load_dataset(frame(), ReadOptions(target="y", time="when"))
    found = {finding.kind: finding for finding in dataset.info.findings}
    assert not {("when", "elapsed"), ("when", "year"), ("number", None)} & parts(dataset)
    assert {("when", "year_sin"), ("x", None)} <= parts(dataset)
    assert "'number' only rises or falls with the time" in found["clock_column"].found
    assert found["clock_column"].otherwise == "--keep number"
    assert "only rises with the time" in found["date_column"].done
    assert found["date_column"].otherwise == "--keep when"


def test_they_stay_if_asked_for_and_without_time():
    kept = load_dataset(frame(), ReadOptions(target="y", time="when", keep=("when", "number")))
    assert {("when", "elapsed"), ("number", None)} <= parts(kept)
    plain = load_dataset(frame(), ReadOptions(target="y", keep=("number",)))
    assert {("when", "elapsed"), ("when", "year"), ("number", None)} <= parts(plain)


def test_where_there_is_nothing_else_clocks_are_used():
    dataset = load_dataset(
        frame()[["when", "number", "y"]].assign(when=range(400)), ReadOptions(target="y", time="when")
    )
    assert ("number", None) in parts(dataset)
