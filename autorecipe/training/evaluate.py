"""Predictions of a model and their scores.

Shapes: N examples, O outputs (one a class, or one for regression).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from autorecipe.data import Dataset
from autorecipe.recipe import FinishSection, Recipe
from autorecipe.results import DatasetInfo
from autorecipe.training.hardware import autocast, to_layout

EVAL_BATCH = 1000
HIGHER_IS_BETTER = {
    "accuracy": True,
    "log_loss": False,
    "macro_f1": True,
    "roc_auc": True,
    "rmse": False,
    "mae": False,
    "r2": True,
}
USUAL = {
    "binary": ("accuracy", "log_loss", "macro_f1", "roc_auc"),
    "multiclass": ("accuracy", "log_loss", "macro_f1", "roc_auc"),
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


def direction(metric: str) -> str:
    """`maximize` or `minimize`."""
    return "maximize" if HIGHER_IS_BETTER[metric] else "minimize"


def gain(metric: str, new: float, old: float) -> float:
    """How much better `new` is than `old`: positive is better."""
    return new - old if HIGHER_IS_BETTER[metric] else old - new


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
        for start in range(0, count, EVAL_BATCH):
            keep_going()
            stop = start + EVAL_BATCH
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


def probabilities(outputs: np.ndarray) -> np.ndarray:
    """Softmax of logits, float64 [N, O]."""
    shifted = outputs.astype(np.float64) - outputs.max(1, keepdims=True)
    exp = np.exp(shifted)
    return np.asarray(exp / exp.sum(1, keepdims=True))


def unscale(values: np.ndarray, info: DatasetInfo) -> np.ndarray:
    """Regression targets in the user's units, float64 [N]."""
    return np.asarray(values, np.float64).reshape(-1) * info.target_std + info.target_mean


def score(metric: str, targets: np.ndarray, outputs: np.ndarray, info: DatasetInfo) -> float:
    """One metric in the user's units.

    Args:
        metric: a name of `HIGHER_IS_BETTER`.
        targets: int64 classes [N], or scaled targets [N].
        outputs: float [N, O] as `predict` gives them.
        info: for the scale of the target.
    """
    if not np.isfinite(outputs).all():
        return float("nan")
    if info.task == "regression":
        truth, guess = unscale(targets, info), unscale(outputs, info)
        if metric == "rmse":
            return float(np.sqrt(np.mean((truth - guess) ** 2)))
        if metric == "mae":
            return float(np.mean(np.abs(truth - guess)))
        spread = float(np.sum((truth - truth.mean()) ** 2))
        return 1 - float(np.sum((truth - guess) ** 2)) / spread if spread else float("nan")
    if metric == "accuracy":
        return float(np.mean(outputs.argmax(1) == targets))
    if metric == "log_loss":
        return float(loss_of_each(targets, outputs, info).mean())
    return _sklearn_score(metric, targets, outputs)


def _sklearn_score(metric: str, targets: np.ndarray, outputs: np.ndarray) -> float:
    from sklearn import metrics

    classes = np.arange(outputs.shape[1])
    if metric == "macro_f1":
        return float(metrics.f1_score(targets, outputs.argmax(1), labels=classes, average="macro", zero_division=0))
    if len(np.unique(targets)) < 2:
        return float("nan")
    chances = probabilities(outputs)
    if outputs.shape[1] == 2:
        return float(metrics.roc_auc_score(targets, chances[:, 1]))
    present = np.unique(targets)
    if len(present) < len(classes):  # scikit-learn wants every class to occur
        chances = chances[:, present] / chances[:, present].sum(1, keepdims=True)
    return float(metrics.roc_auc_score(targets, chances, multi_class="ovr", labels=present))


def loss_of_each(targets: np.ndarray, outputs: np.ndarray, info: DatasetInfo) -> np.ndarray:
    """The unregularised loss of each example, float64 [N]: cross-entropy, or squared error of scaled targets."""
    if info.task == "regression":
        return np.asarray((outputs.reshape(-1).astype(np.float64) - targets) ** 2)
    shifted = outputs.astype(np.float64) - outputs.max(1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(1))
    return np.asarray(log_sum - shifted[np.arange(len(targets)), targets])


def all_scores(targets: np.ndarray, outputs: np.ndarray, info: DatasetInfo) -> dict[str, float]:
    """Every usual metric of the task."""
    return {metric: score(metric, targets, outputs, info) for metric in USUAL[info.task]}
