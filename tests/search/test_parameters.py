import pytest

from autorecipe.errors import InputError
from autorecipe.search.parameters import Parameter, point_of, quasi_random


def test_what_a_parameter_contains() -> None:
    assert Parameter("n", "int", 1, 3).contains(3.0)
    assert not Parameter("n", "int", 1, 3).contains(1.5)
    assert not Parameter("n", "int", 1, 3).contains(True)
    assert not Parameter("n", "float", 1, 3).contains(3.5)
    assert Parameter("n", "categorical", choices=("a", None)).contains(None)


def test_a_point_has_the_named_values_in_their_types() -> None:
    space = (Parameter("n", "int", 1, 9), Parameter("x", "float", 1, 9), Parameter("not named", "float"))
    point = point_of(space, {"n": 5.0, "x": 2, "something.else": 1})
    assert [(name, type(value), value) for name, value in point.items()] == [("n", int, 5), ("x", float, 2.0)]
    with pytest.raises(InputError, match="n is 10, but the search space has from 1 to 9"):
        point_of(space, {"n": 10})


def test_quasi_random_integers_on_a_log_scale() -> None:
    points = quasi_random((Parameter("n", "int", 1, 100, log=True),), 16, seed=0)
    values = sorted(point["n"] for point in points)
    assert values[0] == 1
    assert values[7] <= 12
    assert values[-1] > 50
