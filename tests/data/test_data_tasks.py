import numpy as np
import pytest

from autorecipe.data.tasks import choose_metric, class_indices, infer_target
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
        (np.tile(["a", "b", "c"], 9), "multilabel", "not supported yet"),
        (np.full(9, "a"), "auto", "only one value, 'a'"),
        (np.asarray([f"name{i}" for i in range(40)]), "auto", "too many for classes"),
    ],
)
def test_a_task_that_does_not_fit_is_refused(values, wanted, match):
    with pytest.raises(InputError, match=match):
        infer_target(values, wanted, "t")


def test_metrics():
    assert choose_metric("auto", "regression")[0] == "rmse"
    assert choose_metric("auto", "binary")[0] == "accuracy"
    assert choose_metric("macro_f1", "multiclass") == ("macro_f1", "as asked")
    with pytest.raises(InputError, match="did you mean 'accuracy'"):
        choose_metric("acuracy", "binary")
    with pytest.raises(InputError, match=r"does not fit.*accuracy"):
        choose_metric("rmse", "binary")
