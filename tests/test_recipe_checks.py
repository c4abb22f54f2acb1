import math
from typing import Any

import pytest

from autorecipe.errors import InputError
from autorecipe.recipe import Recipe, dump_yaml, field_names, get, load_yaml, replace
from autorecipe.recipe_checks import CHOICES, RANGES, check_recipe


def with_value(name: str, value: Any) -> Recipe:
    if name.startswith("network.blocks."):
        return replace(Recipe(), {"network.blocks": [{"width": 4}, {"width": 4, name.split(".")[2]: value}]})
    return replace(Recipe(), {name: value})


def test_the_default_recipe_is_fine() -> None:
    check_recipe(Recipe())


@pytest.mark.parametrize("name", RANGES)
def test_numbers_out_of_range_are_named(name: str) -> None:
    low, high, _ = RANGES[name]
    whole = "blocks" in name or isinstance(get(Recipe(), name), int)
    wrong: list[float] = [int(low) - 1, int(high) + 1] if whole else [-1.0, -math.inf, math.inf, math.nan]
    for value in wrong:
        with pytest.raises(InputError, match=name.split(".")[-1]) as caught:
            load_yaml(dump_yaml(with_value(name, value)), "recipe.yaml")
        assert repr(value) in str(caught.value)
    fine = int(low) + 1 if whole else (0.5 if high < 1 or low > 0 else low)
    if name not in ("network.stem_kernel", "network.blocks.kernel"):
        check_recipe(with_value(name, fine))


@pytest.mark.parametrize("name", CHOICES)
def test_unknown_choices_are_named(name: str) -> None:
    for choice in CHOICES[name]:
        check_recipe(with_value(name, choice))
    wrong: Any = 3 if isinstance(CHOICES[name][0], int) else "adammw"
    with pytest.raises(InputError, match=name):
        check_recipe(with_value(name, wrong))


def test_kernels_are_odd() -> None:
    with pytest.raises(InputError, match=r"network.blocks.1.kernel is 4; .*give 5"):
        check_recipe(with_value("network.blocks.kernel", 4))


def test_every_number_has_its_range() -> None:
    free = {"data.channels"}
    numbers = {name for name in field_names() if type(get(Recipe(), name)) in (int, float)}
    assert numbers - set(RANGES) - set(CHOICES) == free
