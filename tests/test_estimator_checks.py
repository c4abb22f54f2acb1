"""scikit-learn's own checks of an estimator, all of them, each fit a few epochs long."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from autorecipe import AutoRecipeClassifier, AutoRecipeRegressor

QUICK = {"checks": False, "baselines": False, "threads": 1}


@parametrize_with_checks(
    [AutoRecipeClassifier("8epochs", settings=QUICK), AutoRecipeRegressor("8epochs", settings=QUICK)]
)
def test_scikit_learn_check(estimator, check):
    check(estimator)
