import numpy as np
import pytest
from sklearn.metrics import get_scorer_names

from autorecipe.data.metrics import (
    METRICS,
    OWN,
    REFUSED,
    SCORERS,
    check_targets,
    choose_metric,
    direction,
    gain,
    own_metric,
    resolve_metric,
)
from autorecipe.errors import InputError


def test_every_scorer_of_scikit_learn_is_known_or_refused():
    known = {*METRICS, *SCORERS, *REFUSED}
    assert set(get_scorer_names()) <= known
    assert set(SCORERS.values()) <= set(METRICS)
    assert not set(REFUSED) & {*METRICS, *SCORERS}


def test_names_of_losses_lose_their_sign_and_keep_their_direction():
    for name, ours in SCORERS.items():
        assert METRICS[ours].higher == (not name.startswith("neg_"))
        assert METRICS[ours].best == float(METRICS[ours].higher)


@pytest.mark.parametrize(
    ("typed", "match"),
    [
        ("acuracy", "did you mean 'accuracy'"),
        ("neg_root_mean_square_error", "did you mean 'neg_root_mean_squared_error'"),
        ("v_measure_score", "clusterings"),
        ("positive_likelihood_ratio", "infinite"),
        (f"{OWN}profit", r"autorecipe\.resume\(RUN, metric=profit\)"),
    ],
)
def test_what_is_no_metric_is_refused(typed, match):
    with pytest.raises(InputError, match=match):
        resolve_metric(typed)


def test_the_metric_that_is_asked_for():
    assert choose_metric("macro_f1", "multiclass") == ("macro_f1", "as asked")
    assert choose_metric("f1_macro", "multilabel") == ("macro_f1", "as asked: 'f1_macro'")
    assert choose_metric("neg_root_mean_squared_error", "regression")[0] == "rmse"
    with pytest.raises(InputError, match=r"does not fit.*accuracy"):
        choose_metric("rmse", "binary")
    with pytest.raises(InputError, match=r"'f1' is for binary.*macro_f1"):
        choose_metric("f1", "multiclass")


@pytest.mark.parametrize(
    ("task", "counts", "metric", "word"),
    [
        ("regression", (), "rmse", "numbers"),
        ("multilabel", (5, 90), "micro_f1", "absent"),
        ("binary", (50, 50), "accuracy", "default"),
        ("binary", (79, 21), "accuracy", "default"),
        ("binary", (95, 5), "roc_auc", "accuracy 0.95"),
        ("multiclass", (95, 3, 2), "macro_f1", "accuracy 0.95"),
        ("multiclass", (60, 38, 2), "accuracy", "default"),
    ],
)
def test_the_default_metric_has_a_reason(task, counts, metric, word):
    found, reason = choose_metric("auto", task, counts)
    assert found == metric
    assert word in reason


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_gain_is_positive_towards_the_best_value(name):
    best = METRICS[name].best
    nearer, farther = (best - 0.1, best - 0.4) if METRICS[name].higher else (best + 0.1, best + 0.4)
    assert gain(name, nearer, farther) > 0 > gain(name, farther, nearer)
    assert direction(name) == ("maximize" if METRICS[name].higher else "minimize")


def profit(y_true, y_pred):
    return 0.0


def loss(y_true, y_pred):
    return 0.0


loss.greater_is_better = False
loss.best = 0.5


@pytest.mark.parametrize(
    ("given", "higher", "best"),
    [(profit, True, None), (loss, False, 0.5), ((profit, "minimize"), False, 0.0), ((loss, "maximize"), True, 0.5)],
)
def test_a_users_function_is_known_while_it_is_used(given, higher, best):
    with own_metric(given) as name:
        assert (METRICS[name].higher, METRICS[name].best) == (higher, best)
        assert choose_metric(name, "binary")[0] == name
    with pytest.raises(InputError, match="give it again"):
        resolve_metric(name)
    with own_metric("rmse") as name:
        assert name == "rmse"


@pytest.mark.parametrize("given", [3, None, (profit, "up"), (profit,), ("rmse", "minimize")])
def test_what_is_no_function_is_refused(given):
    with pytest.raises(InputError, match="give a name, a function"), own_metric(given):
        pass


def test_targets_out_of_a_metrics_range_are_refused():
    check_targets("rmsle", np.asarray([0.0, 3.0]))
    check_targets("rmse", np.asarray([-1.0, 3.0]))
    with pytest.raises(InputError, match="1 of 2 are lower, such as -1"):
        check_targets("rmsle", np.asarray([-1.0, 3.0]))
    with pytest.raises(InputError, match="above 0"):
        check_targets("mean_gamma_deviance", np.asarray([0.0, 3.0]))
