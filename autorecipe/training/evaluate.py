"""Predictions of a model and their scores.

Shapes: N examples, O outputs (one a class or label, or one for regression).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from autorecipe.data import Dataset
from autorecipe.data.metrics import METRICS, direction, gain
from autorecipe.data.targets import from_scale
from autorecipe.errors import InputError
from autorecipe.recipe import FinishSection, Recipe
from autorecipe.results import DatasetInfo
from autorecipe.training.hardware import autocast, to_layout
from autorecipe.training.losses import poisson_deviance
from autorecipe.training.metrics import of_chances, of_classes, of_values
from autorecipe.training.stack import Stack

EVAL_BATCH = 1000
CHANCES = (
    "brier_score",
    "d2_log_loss_score",
    "d2_brier_score",
    "top_k_accuracy",
    "roc_auc",
    "roc_auc_ovr_weighted",
    "roc_auc_ovo",
    "roc_auc_ovo_weighted",
    "average_precision",
)
"""Metrics of probabilities; the others are of what is decided."""
USUAL = {
    "binary": ("accuracy", "log_loss", "macro_f1", "roc_auc"),
    "multiclass": ("accuracy", "log_loss", "macro_f1", "roc_auc"),
    "multilabel": ("micro_f1", "macro_f1", "hamming_loss", "accuracy", "log_loss", "roc_auc"),
    "regression": ("rmse", "mae", "r2"),
}
"""Every usual metric of a task."""


@dataclass(frozen=True)
class DeviceData:
    """A data set's tensors on the device."""

    info: DatasetInfo
    inputs: tuple[Tensor, ...]
    targets: Tensor
    streamed: bool = False
    """Whether the inputs are left on disk or in the machine's memory, and batches of them come to the device."""


def on_device(dataset: Dataset, device: torch.device) -> DeviceData:
    """A data set's tensors on the device; inputs over a quarter of a GPU's free memory come in batches."""
    streamed = dataset.streamed
    if device.type == "cuda":
        streamed = streamed or sum(x.nbytes for x in dataset.inputs) > torch.cuda.mem_get_info(device)[0] // 4
    inputs = dataset.inputs if streamed else tuple(x.to(device) for x in dataset.inputs)
    return DeviceData(dataset.info, inputs, dataset.targets.to(device), streamed)


def predict(
    model: nn.Module,
    inputs: tuple[Tensor, ...],
    rows: Tensor | None,
    recipe: Recipe,
    keep_going: Callable[[], object] = lambda: None,
) -> np.ndarray:
    """Outputs of a model, float32 [N, O]: logits, or scaled targets for regression.

    Args:
        model: in training or evaluation mode; the mode is put back.
        inputs: tensors, on the model's device or not.
        rows: int64 row numbers, or None for all.
        recipe: for precision, layout, test-time augmentation and temperature.
        keep_going: called between batches; raises to stop.
    """
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    outputs = []
    count = len(inputs[0]) if rows is None else len(rows)
    with torch.inference_mode(), autocast(device, recipe.training.precision):
        size = -(-EVAL_BATCH // (model.members if isinstance(model, Stack) else 1))
        for start in range(0, count, size):
            keep_going()
            stop = start + size
            batch = tuple(x[start:stop] if rows is None else x[rows[start:stop].to(x.device)] for x in inputs)
            batch = tuple(x.to(device) for x in batch)
            images = views(batch[0], recipe.finish)
            layouts = [
                tuple(to_layout(x, recipe.training.channels_last) for x in (first, *batch[1:])) for first in images
            ]
            outputs.append(torch.stack([model(*inputs).float() for inputs in layouts]).mean(0))
    model.train(was_training)
    result = torch.cat(outputs).cpu().numpy() if outputs else np.zeros((0, 1), np.float32)
    return result / np.float32(recipe.finish.temperature) if recipe.data.task != "regression" else result


def views(images_BCHW: Tensor, section: FinishSection) -> list[Tensor]:
    """An image batch as test-time augmentation sees it, itself first; the border is repeated outwards.

    A batch of anything else, for which both are off, comes back alone.
    """
    found = [images_BCHW]
    if section.shift_tta:
        for axis in (-2, -1):
            size = images_BCHW.shape[axis]
            for shift in (-section.shift_tta, section.shift_tta):
                index = (torch.arange(size, device=images_BCHW.device) + shift).clamp_(0, size - 1)
                found.append(images_BCHW.index_select(axis, index))
    if section.flip_tta:
        found += [view.flip(-1) for view in found]
    return found


def probabilities(outputs: np.ndarray, task: str = "multiclass") -> np.ndarray:
    """Softmax of logits, or a sigmoid each for `multilabel`: float64 [N, O]."""
    logits = outputs.astype(np.float64)
    if task == "multilabel":
        half = np.exp(-np.abs(logits))
        return np.asarray(np.where(logits >= 0, 1.0, half) / (1 + half))
    exp = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(exp / exp.sum(1, keepdims=True))


def decide_classes(outputs: np.ndarray, task: str, thresholds: Sequence[float] = ()) -> np.ndarray:
    """What logits [N, O] say: class numbers int64 [N], or labels bool [N, L].

    Args:
        outputs: logits.
        task: binary, multiclass or multilabel.
        thresholds: probability from which on each label [L], or the second of two classes [1], is said; none: 0.5.
    """
    if task == "multilabel":
        return np.asarray(probabilities(outputs, task) >= (np.asarray(thresholds) if thresholds else 0.5))
    if task == "binary" and thresholds:
        return np.asarray(probabilities(outputs)[:, 1] >= thresholds[0]).astype(np.int64)
    return np.asarray(outputs.argmax(1))


def unscale(values: np.ndarray, info: DatasetInfo) -> np.ndarray:
    """Regression targets in the user's units, float64 [N]."""
    return from_scale(values, info.target_scale)


def predicted_values(outputs: np.ndarray, info: DatasetInfo) -> np.ndarray:
    """Predictions of a regression in the user's units, within the target's bounds, float64 [N]."""
    scale = info.target_scale
    values = from_scale(outputs, scale)
    return values if scale.low is None and scale.high is None else np.asarray(np.clip(values, scale.low, scale.high))


def score(
    metric: str, targets: np.ndarray, outputs: np.ndarray, info: DatasetInfo, thresholds: Sequence[float] = ()
) -> float:
    """One metric in the user's units.

    Args:
        metric: a name of `METRICS`.
        targets: int64 classes [N], labels [N, L], or scaled targets [N].
        outputs: float [N, O] as `predict` gives them.
        info: for the task and the scale of the target.
        thresholds: for `decide_classes`.

    Raises:
        InputError: the user's own metric failed.
    """
    if not np.isfinite(outputs).all():
        return float("nan")
    if METRICS[metric].function is not None:
        return _own_score(metric, targets, outputs, info, thresholds)
    if info.task == "regression":
        return of_values(metric, unscale(targets, info), predicted_values(outputs, info))
    if metric == "log_loss":
        return float(loss_of_each(targets, outputs, info).mean())
    if metric in CHANCES:
        return of_chances(metric, targets, probabilities(outputs, info.task))
    return of_classes(metric, targets, decide_classes(outputs, info.task, thresholds), outputs.shape[1])


def _own_score(
    metric: str, targets: np.ndarray, outputs: np.ndarray, info: DatasetInfo, thresholds: Sequence[float]
) -> float:
    """A user's function, called with targets and predictions in the user's terms."""
    function = METRICS[metric].function
    assert function is not None
    if info.task == "regression":
        truth, said = unscale(targets, info), predicted_values(outputs, info)
    else:
        truth, said = targets, decide_classes(outputs, info.task, thresholds)
        if info.task == "multilabel":
            truth, said = truth.astype(np.int64), said.astype(np.int64)
        else:
            truth, said = (np.asarray(info.classes)[which] for which in (truth, said))
    try:
        value = float(function(truth, said))
    except Exception as error:  # whatever the user's function raises
        raise InputError(
            f"the metric '{metric}' failed on {len(truth):,} targets of shape {truth.shape} and type {truth.dtype}: "
            f"{type(error).__name__}: {error}; it is called as f(y_true, y_pred) and returns a number"
        ) from error
    return value if math.isfinite(value) else float("nan")


def loss_of_each(targets: np.ndarray, outputs: np.ndarray, info: DatasetInfo) -> np.ndarray:
    """The unregularised loss of each example, float64 [N], as `losses.loss_function` has it; a mean over labels."""
    logits = outputs.astype(np.float64)
    if info.task == "regression":
        if info.target_scale.link == "exp":
            guess, wanted = (torch.from_numpy(np.asarray(x, np.float64).reshape(-1)) for x in (outputs, targets))
            return np.asarray(poisson_deviance(guess, wanted, info).numpy())
        return np.asarray((logits.reshape(-1) - targets) ** 2)
    if info.task == "multilabel":
        return np.asarray((np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits)))).mean(1))
    shifted = logits - logits.max(1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(1))
    return np.asarray(log_sum - shifted[np.arange(len(targets)), targets])


def all_scores(
    targets: np.ndarray, outputs: np.ndarray, info: DatasetInfo, thresholds: Sequence[float] = ()
) -> dict[str, float]:
    """Every usual metric of the task; without those that say nothing, as of examples with one target."""
    found = {metric: score(metric, targets, outputs, info, thresholds) for metric in USUAL[info.task]}
    return {metric: value for metric, value in found.items() if math.isfinite(value)}


__all__ = [
    "CHANCES",
    "USUAL",
    "DeviceData",
    "all_scores",
    "decide_classes",
    "direction",
    "gain",
    "loss_of_each",
    "predict",
    "predicted_values",
    "probabilities",
    "score",
    "unscale",
    "views",
]
