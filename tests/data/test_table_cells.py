"""Cells as people write them."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autorecipe.data.table.cells import HUGE, as_numbers, as_truth, decimal_votes, factorize, text_numbers
from autorecipe.data.table.dates import ISO, as_dates, date_format, date_parts, whole_number_dates
from autorecipe.data.table.kinds import column_kind


def kind(values, **more):
    return column_kind(pd.Series(values, name="c", **more))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3", 3),
        ("-3.5", -3.5),
        ("+3", 3),
        ("1,234", 1234),
        ("1,234,567.25", 1234567.25),
        ("1 234", 1234),
        ("1\u00a0234", 1234),
        ("1'234.5", 1234.5),
        ("$5", 5),
        ("-$5", -5),
        ("$-5", -5),
        ("5 €", 5),
        ("EUR 5", 5),
        ("(5)", -5),
        ("($1,000)", -1000),
        ("12%", 0.12),
        ("12.5 %", 0.125),
        (".5", 0.5),
        ("5.", 5),
        ("2e-5", 2e-5),
        ("1E3", 1000),
        ("\u22123", -3),
        ("inf", np.inf),
        ("-Infinity", -np.inf),
    ],
)
def test_numbers_with_a_point(text, number):
    assert text_numbers([text])[0] == pytest.approx(number)


@pytest.mark.parametrize(
    ("text", "number"), [("1,5", 1.5), ("1.234,5", 1234.5), ("-0,25 %", -0.0025), ("1.234.567", 1234567)]
)
def test_numbers_with_a_comma(text, number):
    assert text_numbers([text], ",")[0] == pytest.approx(number)


@pytest.mark.parametrize(
    "text", ["", "a", "1,23", "12,34,567", "1.2.3", "--3", "-$-5", "5 kg", "(5", "1,2345", "1_000", "0x1A", "$"]
)
def test_what_is_no_number(text):
    assert np.isnan(text_numbers([text])[0])


@settings(max_examples=200, deadline=None)
@given(number=st.floats(-1e9, 1e9).map(lambda x: round(x, 2)), money=st.sampled_from(["", "$", "€"]))
def test_a_number_survives_being_written(number, money):
    pointed = f"{'-' if number < 0 else ''}{money}{abs(number):,.2f}"
    assert text_numbers([pointed])[0] == pytest.approx(number)
    turned = pointed.translate(str.maketrans(",.", ".,"))
    assert text_numbers([turned], ",")[0] == pytest.approx(number)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=12), max_size=5))
def test_any_text_is_a_number_or_none(texts):
    for mark in (".", ","):
        assert len(text_numbers(texts, mark)) == len(texts)
    assert all(0 <= votes <= len(texts) for votes in decimal_votes(texts))


def test_infinities_are_the_ends_and_gaps_are_gaps():
    assert as_numbers(pd.Series([np.inf, -np.inf, np.nan, 1e300])).tolist() == [
        HUGE,
        -HUGE,
        pytest.approx(np.nan, nan_ok=True),
        HUGE,
    ]
    values = as_numbers(pd.Series([decimal.Decimal("1.5"), None, "?", " 7 "], dtype=object))
    assert values[[0, 3]].tolist() == [1.5, 7]
    assert np.isnan(values[1:3]).all()


def test_truth_in_every_spelling():
    values = ["Yes", "NO", "y", "f", "on", "1", 0, True, None, "?", "perhaps"]
    assert as_truth(pd.Series(values, dtype=object)).tolist() == [2, 1, 2, 1, 2, 2, 1, 2, 0, 0, 0]


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ([1.5, 2, 3], "number"),
        ([True, False], "truth"),
        (["yes", "No", "?"], "truth"),
        (["True", "False", None], "truth"),
        (["t", "f"], "truth"),
        (["yes", "maybe"], "category"),
        (["1", "2", "n/a"], "number"),
        ([f"{i}" for i in range(99)] + ["broken"], "number"),
        ([f"{i}" for i in range(9)] + ["broken"], "category"),
        (["2024-01-31", "2024-02-01"], "date"),
        ([datetime.date(2024, 1, 31), None], "date"),
        (["31/01/2024", "01/02/2024"], "date"),
        (["12:30", "7:05"], "date"),
        (["12-30", "7-05"], "category"),
        ([f"the words of text {i} differ" for i in range(30)], "text"),
        ([f"person {i}" for i in range(30)], "category"),
        ([20240101 + i for i in range(12)], "date"),
        ([20240101 + 20 * i for i in range(12)], "number"),
    ],
)
def test_what_a_column_holds(values, name):
    assert kind(values).name == name


def test_false_is_not_zero_and_true_is_not_one():
    codes, texts = factorize(pd.Series([0, False, "a", True, 1, None], dtype=object))
    assert [texts[code] for code in codes[:-1]] == ["0", "False", "a", "True", "1"]
    assert codes[-1] == -1


def test_categories_stay_categories_whatever_they_look_like():
    assert kind([1, 2, 3], dtype="category").name == "category"
    assert kind(["2024-01-31", "2024-02-01"], dtype="category").name == "category"


def test_the_decimal_mark_is_told_by_the_cells():
    assert kind(["1,5", "2,25"]).decimal == ","
    assert kind(["1.5", "1,000"]).decimal == "."
    assert kind(["1,500", "2,000"]).decimal == "?"


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("%Y-%m-%d", ISO),
        ("%Y-%m-%d %H:%M:%S", ISO),
        ("%Y-%m-%dT%H:%MZ", ISO),
        ("%d/%m/%Y", "%d/%m/%Y"),
        ("%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M"),
        ("%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M %p"),
        ("%m/%d/%y", "%m/%d/%y"),
        ("%d.%m.%Y", "%d.%m.%Y"),
        ("%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M:%S"),
        ("%d %b %Y", "%d %b %Y"),
        ("%B %d, %Y", "%B %d, %Y"),
        ("%Y-%m", "%Y-%m"),
    ],
)
def test_dates_in_many_formats_are_the_same_days(form, expected):
    days = pd.date_range("2023-01-30", periods=60, freq="17D")
    texts = days.strftime(form).tolist()
    found, ambiguous = date_format(texts)
    assert (found, ambiguous) == (expected, False)
    whole = days.to_period("M").to_timestamp() if form == "%Y-%m" else days
    assert as_dates(pd.Series(texts), found).dt.tz_localize(None).tolist() == whole.tolist()


def test_days_that_could_be_months_are_told():
    assert date_format(["01/02/2024", "03/04/2024"]) == ("%m/%d/%Y", True)
    assert date_format(["01/02/2024", "13/04/2024"]) == ("%d/%m/%Y", False)


def test_parts_of_dates_come_round():
    dates = pd.Series(pd.to_datetime(["2023-12-31 23:00", "2024-01-01 01:00", None], utc=True))
    parts = date_parts(dates)
    assert parts["elapsed"][1] - parts["elapsed"][0] == pytest.approx(2 / 24)
    for name in ("year", "day"):
        here = np.asarray([parts[f"{name}_sin"], parts[f"{name}_cos"]])
        assert np.linalg.norm(here[:, 0] - here[:, 1]) < 0.6
    assert [parts[name][0] for name in ("year", "month", "day", "weekday", "hour")] == [2023, 12, 31, 6, 23]
    assert all(np.isnan(values[2]) for values in parts.values())


def test_whole_numbers_are_dates_only_if_all_are():
    days = pd.date_range("2023-12-20", periods=30).strftime("%Y%m%d").astype(float).to_numpy()
    assert whole_number_dates(days)
    assert not whole_number_dates(np.append(days, 20241301))
    assert not whole_number_dates(days[:5])
    assert not whole_number_dates(np.append(days, 0.5))
    assert not whole_number_dates(np.asarray([np.nan]))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(st.none(), st.text(max_size=12), st.integers(), st.floats(), st.booleans()), min_size=1, max_size=30
    )
)
def test_any_column_is_of_some_kind(values):
    found = column_kind(pd.Series(values, dtype=object, name="c"))
    assert found.name in ("number", "date", "truth", "text", "category")
