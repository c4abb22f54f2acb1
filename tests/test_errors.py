import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorecipe.errors import AutoRecipeError, CheckFailed, InputError, Stopped, did_you_mean, listed


@pytest.mark.parametrize(("kind", "code"), [(AutoRecipeError, 2), (InputError, 2), (CheckFailed, 3), (Stopped, 130)])
def test_exit_codes(kind, code):
    assert kind("why").exit_code == code
    assert issubclass(kind, AutoRecipeError)


def test_wrong_input_is_a_value_error():
    with pytest.raises(ValueError, match="why"):
        raise InputError("why")


def test_a_near_word_is_suggested():
    assert did_you_mean("widht", ["width", "depth"]) == "did you mean 'width'?"


def test_without_a_near_word_all_are_listed_in_order():
    assert did_you_mean("zzz", ["width", "depth"]) == "known: depth, width"
    assert did_you_mean("zzz", []) == "known: none"


@given(st.text(), st.lists(st.text(min_size=1), min_size=1))
def test_the_advice_names_a_known_word(word, known):
    assert any(name in did_you_mean(word, known) for name in known)


def test_the_first_names_are_shown_and_that_there_are_more():
    assert listed(["a", "b"]) == "'a', 'b'"
    assert listed(["a", "b", "c"], 2, "") == "a, b, ..."
    assert listed([]) == ""
