"""Several networks of one shape whose predictions are averaged (Lakshminarayanan et al. 2017, "Deep Ensembles").

Shapes: K members, B batch, O outputs.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Ensemble(nn.Module):
    """Networks whose outputs become one: the mean probability as a logit, or the mean value.

    Args:
        members: networks with the same inputs and outputs.
        task: binary, multiclass, multilabel or regression.
    """

    def __init__(self, members: Sequence[nn.Module], task: str) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.task = task

    def forward(self, *inputs: Tensor) -> Tensor:
        """Outputs [B, O]: logits, or scaled targets."""
        return average(torch.stack([member(*inputs).float() for member in self.members]), self.task)


def average(outputs_KBO: Tensor, task: str) -> Tensor:
    """The outputs [B, O] that stand for the mean prediction of K networks."""
    if task == "regression":
        return outputs_KBO.mean(0)
    log_k = math.log(len(outputs_KBO))
    if task == "multilabel":
        yes, no = (F.logsigmoid(sign * outputs_KBO).logsumexp(0) - log_k for sign in (1, -1))
        return yes - no
    return outputs_KBO.log_softmax(2).logsumexp(0) - log_k
