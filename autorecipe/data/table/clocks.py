"""Columns that run on with the time: with `--time` their values lie out of range wherever the model predicts.

A network says nothing sensible where it was not trained: hotel rates of a later summer have an RMSE of 51 to 53
with the days that have passed among the inputs of a plain perceptron, and of 28 without them.
"""

import numpy as np

CLOCK_PARTS = ("elapsed", "year")
"""Parts of a date that never come round again."""
FEWEST_VALUES = 20
"""A column of fewer values is a step, not a clock: the value after it is known."""


def runs_on(values: np.ndarray, times: np.ndarray | None) -> bool:
    """Whether numbers only ever rise, or only ever fall, with the time.

    Args:
        values: float [N], NaN where there is none.
        times: float [N]; None: the rows have no order, and nothing runs on.
    """
    known = np.isfinite(values)
    if times is None or len(np.unique(values[known])) < FEWEST_VALUES:
        return False
    later, numbers = times[known], values[known]
    return any(bool(np.all(np.diff(sign * numbers[np.lexsort((sign * numbers, later))]) >= 0)) for sign in (1, -1))
