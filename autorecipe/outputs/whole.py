"""The whole of a run's model as one module: what comes in is raw, what goes out is in the user's terms.

Shapes: B batch, C channels, H height, W width, F numbers, K codes, O outputs.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from autorecipe.predictor import Result
from autorecipe.recipe import Recipe
from autorecipe.results import DatasetInfo
from autorecipe.rundir import RunDir
from autorecipe.training.evaluate import views

TOLERANCE = 1e-4
"""Outputs of an exported model may differ from those of the run's by this share of the largest."""
RANDOM_EXAMPLES = 64


class Whole(nn.Module):
    """A trained model with all that is done before and after it: views, averaging, temperature, scale, bounds.

    Args:
        model: the network, or several; images come in as pixels 0..255.
        recipe: what is done with its outputs.
        info: the task and the scale of the target.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, info: DatasetInfo) -> None:
        super().__init__()
        self.model, self.finish, self.task = model, recipe.finish, info.task
        self.image, self.scale = info.modality == "image", info.target_scale
        self.numbers, self.codes = info.num_numbers > 0, len(info.cardinalities) > 0

    def forward(self, *inputs: Tensor) -> Tensor:
        """Probabilities [B, O], or predictions in the target's unit [B]; inputs as `input_names` says."""
        if self.image:
            seen = views(inputs[0].float(), self.finish)
            outputs = torch.stack([self.model(view).float() for view in seen]).mean(0)
        else:
            outputs = self.model(*self._both(inputs)).float()
        if self.task == "regression":
            return self._in_unit(outputs[:, 0])
        outputs = outputs / self.finish.temperature
        return outputs.sigmoid() if self.task == "multilabel" else outputs.softmax(1)

    def _both(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Numbers and codes, of which only those that there are come in."""
        first = inputs[0]
        numbers = first if self.numbers else torch.zeros(first.shape[0], 0, device=first.device)
        codes = inputs[-1] if self.codes else torch.zeros(first.shape[0], 0, dtype=torch.int64, device=first.device)
        return numbers, codes

    def _in_unit(self, values: Tensor) -> Tensor:
        values = values * self.scale.std + self.scale.mean
        if self.scale.log_unit:
            values = values.sign() * (values.abs().exp() - 1) * self.scale.log_unit
        bounded = self.scale.low is not None or self.scale.high is not None
        return values.clamp(self.scale.low, self.scale.high) if bounded else values


def input_names(info: DatasetInfo) -> list[str]:
    """`image`; or `numbers` and `codes`, those of them that the table has."""
    if info.modality == "image":
        return ["image"]
    return ["numbers"] * (info.num_numbers > 0) + ["codes"] * (len(info.cardinalities) > 0)


def output_name(info: DatasetInfo) -> str:
    """`probabilities`, or `prediction` of a regression."""
    return "prediction" if info.task == "regression" else "probabilities"


def whole(result: Result) -> Whole:
    """The module of a run, on the CPU, in evaluation mode."""
    model = Whole(result.model, result.recipe, result.info)
    model.requires_grad_(False)
    return model.eval()


@dataclass(frozen=True)
class Sample:
    """Examples that an exported model is checked on."""

    inputs: tuple[Tensor, ...]
    """As `input_names` says."""
    outputs: np.ndarray | None = None
    """What the run's model said of them in the pass over test, [N, O] as `evaluate.predict` gives it."""
    targets: np.ndarray | None = None


def sample_of(run: RunDir, info: DatasetInfo) -> Sample:
    """The run's own test examples, or random ones in the inputs' range where it kept none, or they are damaged."""
    try:
        kept = load_file(run.test_sample)
    except (OSError, SafetensorError):
        kept = {}
    if {*input_names(info), "outputs", "targets"} <= set(kept):
        inputs = tuple(kept[name] for name in input_names(info))
        return Sample(inputs, kept["outputs"].numpy(), kept["targets"].numpy())
    return Sample(random_inputs(info, RANDOM_EXAMPLES))


def random_inputs(info: DatasetInfo, count: int) -> tuple[Tensor, ...]:
    """Examples as the network takes them, drawn from their range."""
    generator = torch.Generator().manual_seed(0)
    if info.modality == "image":
        shape = (count, info.channels, info.resolution, info.resolution)
        return (torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8),)
    found: list[Tensor] = []
    if info.num_numbers:
        found.append(torch.randn(count, info.num_numbers, generator=generator).clamp(-3, 3))
    if info.cardinalities:
        found.append(torch.stack([torch.randint(0, c, (count,), generator=generator) for c in info.cardinalities], 1))
    return tuple(found)


def worst_difference(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference between two sets of outputs, as a share of the largest output; infinite if one is."""
    if found.shape != wanted.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - wanted).max(initial=0.0) / max(float(np.abs(wanted).max(initial=0.0)), 1e-12))


def facts_of(result: Result) -> dict[str, Any]:
    """What whoever uses the exported model wants to know of it; plain data."""
    info, recipe, summary = result.info, result.recipe, result.summary
    facts: dict[str, Any] = {
        "run": result.run.name,
        "task": info.task,
        "target": info.target,
        "recipe_digest": recipe.digest,
        "weights_sha256": str(summary.get("weights_sha256")),
    }
    if info.task != "regression":
        facts["classes"] = list(info.classes)
        facts["thresholds"] = list(recipe.finish.thresholds)
    if info.modality == "table":
        facts["numbers"], facts["codes"] = feature_names(result.preprocess)
    return facts


def feature_names(preprocess: dict[str, Any]) -> tuple[list[str], list[str]]:
    """What each of `numbers` [F] and of `codes` [K] is, by the columns of the table; see docs/run-folder.md."""
    numbers: list[str] = []
    signals: list[str] = []
    codes: list[str] = []
    for column in preprocess["columns"]:
        name = str(column["name"])
        if column["kind"] in ("category", "truth"):
            codes.append(name)
            continue
        if column["kind"] == "text":
            numbers += [f"{name}:{i}" for i in range(len(column["scales"]))]
        else:
            numbers.append(f"{name}:{column['part']}" if column["kind"] == "date" else name)
        if column["missing"]:
            signals.append(f"{name}:missing")
    return [*numbers, *signals], codes
