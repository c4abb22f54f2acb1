"""Probabilities made honest: one number that logits are divided by."""

import math

import numpy as np

from autorecipe.results import DatasetInfo
from autorecipe.training.evaluate import loss_of_each


def temperature(targets: np.ndarray, outputs: np.ndarray, info: DatasetInfo) -> float:
    """The temperature with the lowest log loss (Guo et al. 2017, "On Calibration of Modern Neural Networks").

    Args:
        targets: classes [N] or labels [N, L].
        outputs: logits [N, O].
        info: the task.

    Returns:
        1.0 if no other is better.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_t: float) -> float:
        return float(loss_of_each(targets, outputs / math.exp(log_t), info).mean())

    found = minimize_scalar(loss, bounds=(-2.0, 2.0), method="bounded", options={"maxiter": 20})
    return round(math.exp(float(found.x)), 4) if loss(float(found.x)) < loss(0.0) else 1.0
