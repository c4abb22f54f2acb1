import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorecipe.data.tasks import (
    class_indices,
    has_labels,
    infer_target,
    join_labels,
    label_matrix,
    label_strata,
    labels_of_flags,
    split_labels,
)
from autorecipe.errors import InputError


@pytest.mark.parametrize(
    ("values", "task", "word"),
    [
        (np.tile(["a", "b"], 20), "binary", "not numbers"),
        (np.tile(["a", "b", "c"], 20), "multiclass", "not numbers"),
        (np.tile([True, False], 20), "binary", "not numbers"),
        (np.tile([0, 1, 2], 20), "multiclass", "whole numbers"),
        (np.tile([0.0, 1.0, 2.0], 20), "multiclass", "whole numbers"),
        (np.tile([3.5, 1.25], 20), "binary", "two distinct"),
        (np.arange(21).repeat(50), "regression", "21"),
        (np.arange(10).repeat(3), "regression", "few of each"),
        (np.tile([0.5, 1.0, 2.0], 20), "regression", "fractions"),
        (np.asarray(["1.5", "2.5", "3.5"] * 9, dtype=object), "regression", "fractions"),
    ],
)
def test_the_task_is_inferred_with_a_reason(values, task, word):
    target = infer_target(values, "auto", "t")
    assert target.task == task
    assert word in target.reason
    assert (target.values.dtype.kind == "f") == (task == "regression")


def test_whole_number_classes_are_sorted_by_value_and_names_by_name():
    assert infer_target(np.tile([10.0, 9.0, -1.0], 20), "auto", "t").classes == ("-1", "9", "10")
    assert infer_target(np.tile(["b10", "b9"], 20), "auto", "t").classes == ("b10", "b9")


def test_class_indices_follow_the_order_of_the_classes():
    classes = ("-1", "9", "10")
    assert class_indices(np.asarray(["10", "-1", "9", "10"]), classes).tolist() == [2, 0, 1, 2]


def test_the_users_task_wins_where_it_fits():
    numbers = np.tile([0, 1, 2], 20)
    assert infer_target(numbers, "regression", "t").values.dtype == np.float64
    assert infer_target(np.arange(40).repeat(3), "multiclass", "t").task == "multiclass"
    assert infer_target(np.tile([0, 1], 20), "multiclass", "t").task == "multiclass"


@pytest.mark.parametrize(
    ("values", "wanted", "match"),
    [
        (np.tile(["a", "b"], 9), "regression", "'a'.*--target"),
        (np.tile(["a", "b", "c"], 9), "binary", "--task multiclass"),
        (np.tile(["a", "b", "c"], 9), "regresion", "did you mean 'regression'"),
        (np.full(9, "a|b|a"), "mulilabel", "did you mean 'multilabel'"),
        (np.tile(["", "a"], 9), "multilabel", "one label, 'a'"),
        (np.full(9, "|"), "multilabel", "no labels"),
        (np.asarray([f"a{i}|b{i}" for i in range(40)]), "auto", "--task multilabel"),
        (np.full(9, "a"), "auto", "only one value, 'a'"),
        (np.asarray([f"name{i}" for i in range(40)]), "auto", "too many for classes"),
    ],
)
def test_a_task_that_does_not_fit_is_refused(values, wanted, match):
    with pytest.raises(InputError, match=match):
        infer_target(values, wanted, "t")


NAMES = st.lists(st.text("abc 1", min_size=1, max_size=4).map(str.strip).filter(bool), max_size=4)


@given(st.lists(NAMES, min_size=1, max_size=20))
def test_labels_split_and_join_back(rows):
    sets = split_labels(["|".join(row) for row in rows])
    assert sets == [tuple(sorted(set(row))) for row in rows]
    assert split_labels(join_labels(sets)) == sets


def test_labels_are_cleaned():
    assert split_labels(["b| a|b|", "", "|"]) == [("a", "b"), (), ()]
    target = infer_target(np.asarray(["b|a", "10", ""], dtype=object), "multilabel", "t")
    assert (target.task, target.values.tolist(), target.classes) == ("multilabel", ["a|b", "10", ""], ("10", "a", "b"))


def test_the_label_matrix_follows_the_order_of_the_labels():
    found = label_matrix(np.asarray(["a|b", "", "b"]), ("b", "c", "a"))
    assert found.dtype == np.float32
    assert found.tolist() == [[1, 0, 1], [0, 0, 0], [1, 0, 0]]
    with pytest.raises(InputError, match="label 'd' is not known"):
        label_matrix(np.asarray(["d"]), ("a", "b"))


def test_strata_are_common_sets_and_rare_labels():
    values = np.asarray(["a"] * 30 + ["a|b"] * 25 + ["a|rare"] * 3 + [""] * 2)
    found = label_strata(values)
    assert found[0] == "a"
    assert found[30] == "a|b"
    assert found[56] == "rare"
    assert found[-1] == ""


@pytest.mark.parametrize("flags", [[[0, 1], [1, 1]], [[False, True], [True, True]], [[0.0, 1.0], [1.0, 1.0]]])
def test_flags_are_labels(flags):
    assert labels_of_flags(np.asarray(flags), ["x", "a"]).tolist() == ["a", "a|x"]


@pytest.mark.parametrize(
    ("flags", "names", "match"),
    [
        ([[0, 2]], ["a", "b"], "holds '2'"),
        ([[0, 1]], ["a", "a"], "different names"),
        ([[0, 1]], ["a|b", "c"], "different names"),
        ([[0, 1]], ["", "c"], "different names"),
    ],
)
def test_what_is_no_flag_or_no_name_is_refused(flags, names, match):
    with pytest.raises(InputError, match=match):
        labels_of_flags(np.asarray(flags), names)


def test_texts_that_look_like_labels():
    assert has_labels(np.asarray(["a|b", "c|d", "e"]))
    assert not has_labels(np.asarray(["a|b", "c", "e"]))
