import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorecipe.outputs.claims import FAILS, HOLDS, UNCHECKED
from autorecipe.outputs.recount import alike, check_baselines

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e6, 1e6) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(PLAIN)
def test_what_was_written_and_read_is_alike(data):
    assert alike(json.loads(json.dumps(data)), data)


@given(st.floats(1e-3, 1e6), st.sampled_from([[], {}]))
def test_numbers_are_alike_up_to_rounding(value, inside):
    wrap = (lambda x: {"a": [x, 1]}) if inside == {} else (lambda x: [[x], "b"])
    assert alike(wrap(value), wrap(value * (1 + 1e-9)))
    assert not alike(wrap(value), wrap(value * 1.001))


@pytest.mark.parametrize(
    ("kept", "found"), [({"a": 1}, {"a": 1, "b": 2}), ([1], [1, 2]), ("1", 1), ([], {}), (None, 0)]
)
def test_other_data_is_not_alike(kept, found):
    assert not alike(kept, found)


def test_baselines_may_differ_by_three_examples():
    stated = {"linear": 0.90, "majority": 0.50, "trees": 0.95}
    found = {
        claim.what: claim.verdict
        for claim in check_baselines(stated, {"linear": 0.88, "majority": 0.4}, "accuracy", 100)
    }
    assert found == {
        "baseline linear on test": HOLDS,
        "baseline majority on test": FAILS,
        "baseline trees on test": UNCHECKED,
    }
