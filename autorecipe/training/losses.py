"""Losses: cross-entropy, independent sigmoids, squared error and the Poisson deviance.

Shapes: B batch, K classes, L labels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from autorecipe.results import DatasetInfo

MOST_WEIGHT = 100.0
"""A label's weight is cut off here: one example must not outweigh a whole batch."""


def loss_function(
    outputs: Tensor, targets: Tensor, info: DatasetInfo, label_smoothing: float = 0.0, weights: Tensor | None = None
) -> Tensor:
    """The mean loss of a batch.

    Args:
        outputs: logits [B, K] or [B, L], or scaled targets [B, 1].
        targets: int64 classes [B], float labels [B, L], or scaled targets [B].
        info: the task, and the link of a regression's target.
        label_smoothing: share of the target spread over all classes, or over both values of a label.
        weights: of each class [K], or of the positives of each label [L]; from `class_weights`.
    """
    outputs = outputs.float()
    if info.task == "regression":
        guess = outputs.squeeze(1)
        if info.target_scale.link == "exp":
            return poisson_deviance(guess, targets, info).mean()
        return F.mse_loss(guess, targets)
    if info.task == "multilabel":
        if label_smoothing:
            targets = targets * (1 - label_smoothing) + 0.5 * label_smoothing
        return F.binary_cross_entropy_with_logits(outputs, targets, pos_weight=weights)
    return F.cross_entropy(outputs, targets, weight=weights, label_smoothing=label_smoothing)


def member_losses(
    outputs: Tensor, targets: Tensor, info: DatasetInfo, smoothing: Tensor | None, weights: Tensor | None = None
) -> Tensor:
    """The mean loss of a batch for each of M members, [M]: `loss_function` for each, in one go.

    Args:
        outputs: [M, B, K], [M, B, L] or [M, B, 1].
        targets: as in `loss_function`, or with M in front where members have batches of their own.
        info: the task, and the link of a regression's target.
        smoothing: of each member's labels [M]; None: of none.
        weights: of each class [K], or of the positives of each label [L]; from `class_weights`.
    """
    outputs = outputs.float()
    if info.task == "regression":
        guess = outputs.squeeze(2)
        targets = targets.expand_as(guess)
        each = poisson_deviance(guess, targets, info) if info.target_scale.link == "exp" else (guess - targets) ** 2
        return each.mean(1)
    if info.task == "multilabel":
        targets = targets.expand_as(outputs)
        if smoothing is not None:
            share = smoothing[:, None, None]
            targets = targets * (1 - share) + 0.5 * share
        each = F.binary_cross_entropy_with_logits(outputs, targets, pos_weight=weights, reduction="none")
        return each.mean((1, 2))
    # Over the last dimension of a handful of classes log_softmax takes ten times as long on a CPU.
    logs = outputs.transpose(1, 2).contiguous().log_softmax(1)
    targets = targets.expand(outputs.shape[:2])
    hit = -logs.gather(1, targets[:, None]).squeeze(1)
    if weights is None:
        loss = hit.mean(1)
        spread = None if smoothing is None else -logs.mean((1, 2))
    else:
        of_target = weights[targets]
        total = of_target.sum(1)
        loss = (hit * of_target).sum(1) / total
        spread = None if smoothing is None else -(logs * weights[:, None]).mean(1).sum(1) / total
    return loss if smoothing is None or spread is None else (1 - smoothing) * loss + smoothing * spread


def poisson_deviance(guess: Tensor, targets: Tensor, info: DatasetInfo) -> Tensor:
    """Half the unit deviance in units of the mean, 0 for a perfect guess; both [B] are scaled targets."""
    scale = info.target_scale
    times, wanted = (1 + x * (scale.std / scale.mean) for x in (guess, targets))
    wanted = wanted.clamp_min(0.0)
    return times - wanted + torch.xlogy(wanted, wanted) - torch.xlogy(wanted, times.clamp_min(1e-6))


def class_weights(info: DatasetInfo, strength: float) -> Tensor | None:
    """Weights of the classes [K], or of each label's positives [L]; None where they are off or make no sense.

    Strength 1 makes every class, or both values of a label, count alike; 0.5 takes the square root.
    """
    if not strength or info.task == "regression":
        return None
    counts = torch.tensor(info.class_counts, dtype=torch.float32).clamp_min(1.0)
    if info.task == "multilabel":
        total = float(sum(info.num_examples[name] for name in ("train", "val", "confirm")))
        return ((total - counts).clamp_min(1.0) / counts).pow(strength).clamp_max(MOST_WEIGHT)
    return (counts.mean() / counts).pow(strength)
