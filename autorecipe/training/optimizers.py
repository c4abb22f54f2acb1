"""Optimizers from a recipe's section."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from autorecipe.recipe import OptimizerSection
from autorecipe.training.hardware import Hardware, synchronize
from autorecipe.training.stack import Stack, decayed_names

PRIOR = {"adamw": {"image": 3e-3, "table": 5e-3}, "sgd": {"image": 0.1, "table": 0.03}}
"""Learning rates that worked on several data sets, for shapes whose curve says nothing."""


def build_optimizer(section: OptimizerSection, model: nn.Module, fused: bool) -> torch.optim.Optimizer:
    """The optimizer over a model's parameters.

    Weight decay acts on matrices and kernels, not on biases, scales and embeddings.
    """
    decays = model.decays if isinstance(model, Stack) else decayed_names(model)
    named = model.body.named_parameters() if isinstance(model, Stack) else model.named_parameters()
    params = [(name, p) for name, p in named if p.requires_grad]
    decayed = [p for name, p in params if decays[name]]
    others = [p for name, p in params if not decays[name]]
    groups = [{"params": decayed, "weight_decay": section.weight_decay}, {"params": others, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if section.name == "adamw":
        return torch.optim.AdamW(groups, lr=section.lr, betas=(section.beta1, section.beta2), fused=fused)
    if section.name == "sgd":
        return torch.optim.SGD(groups, lr=section.lr, momentum=section.beta1, nesterov=section.beta1 > 0, fused=fused)
    raise ValueError(f"unknown optimizer '{section.name}'")


def choose_optimizers(hardware: Hardware) -> Hardware:
    """Fused optimizers or plain ones, by a few timed updates of a small network's parameters; about 20 ms.

    Returns:
        The hardware with the choice, and with the timings among its reasons.
    """
    if hardware.kind == "mps":
        return replace(hardware, reason=f"{hardware.reason}; plain optimizers: there are no fused ones for this device")
    sizes = [64, 128, 128, 128, 10]
    model = nn.Sequential(*[nn.Linear(*pair) for pair in pairwise(sizes)]).to(hardware.device)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 1e-3)
    seconds = dict.fromkeys((True, False), math.inf)
    optimizers = {fused: build_optimizer(OptimizerSection(), model, fused) for fused in seconds}
    for _ in range(4):  # in turn, the first to warm up; the least counts: another process may hold one up
        for fused, optimizer in optimizers.items():
            synchronize(hardware.device)
            begin = time.perf_counter()
            for _ in range(10):
                optimizer.step()
            synchronize(hardware.device)
            seconds[fused] = min(seconds[fused], (time.perf_counter() - begin) / 10)
    fused = seconds[True] <= seconds[False]
    told = f"an update takes {seconds[True] * 1000:.2f} ms fused, {seconds[False] * 1000:.2f} ms plain"
    chosen = f"{'fused' if fused else 'plain'} optimizers: {told}"
    return replace(hardware, fused=fused, reason=f"{hardware.reason}; {chosen}")


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = lr


class MemberOptimizer:
    """AdamW or SGD over the matrix of parameters of K networks, each with its own rate, decay and clipping.

    torch's optimizers take one learning rate for all.  The updates are those of `torch.optim.AdamW` and
    `torch.optim.SGD` with Nesterov's momentum.

    Args:
        sections: one a member; names and betas must be the same.
        matrix: parameters [K, P], changed in place.
        num_decayed: weight decay acts on so many of them, the first ones.
    """

    def __init__(self, sections: Sequence[OptimizerSection], matrix: Tensor, num_decayed: int) -> None:
        first = sections[0]
        if any((s.name, s.beta1, s.beta2) != (first.name, first.beta1, first.beta2) for s in sections):
            raise ValueError("the members of a cohort have one optimizer with the same betas")
        self.name, self.beta1, self.beta2 = first.name, first.beta1, first.beta2
        self.matrix, self.num_decayed = matrix, num_decayed
        self.decay = torch.tensor([[s.weight_decay] for s in sections], device=matrix.device)
        self.clip_norm = torch.tensor([s.clip_norm or math.inf for s in sections], device=matrix.device)
        self.steps = 0
        self.moments = [torch.zeros_like(matrix) for _ in range(2 if self.name == "adamw" else 1)]
        self._decays = bool(self.decay.any())
        self._clips = any(s.clip_norm for s in sections)

    @torch.no_grad()
    def step(self, parts: Sequence[Tensor], lr: Tensor) -> None:
        """One update.

        Args:
            parts: gradients of the matrix's parts in their order, [K, ...] each.
            lr: learning rates [K, 1].
        """
        self.steps += 1
        gradients = torch.cat([part.reshape(len(part), -1) for part in parts], 1)
        if self._clips:
            norms = torch.linalg.vector_norm(gradients, dim=1)
            gradients *= (self.clip_norm / (norms + 1e-6)).clamp_max(1.0)[:, None]
        if self.name == "adamw":
            self._adamw(gradients, lr)
        else:
            self._sgd(gradients, lr)

    def _adamw(self, gradients: Tensor, lr: Tensor) -> None:
        first, second = self.moments
        if self._decays:
            self.matrix[:, : self.num_decayed].mul_(1 - lr * self.decay)
        first.lerp_(gradients, 1 - self.beta1)
        second.mul_(self.beta2).addcmul_(gradients, gradients, value=1 - self.beta2)
        # The step is lr / c1 * first / (sqrt(second) / c2 + eps); the rates are brought below the line.
        c1, c2 = 1 - self.beta1**self.steps, math.sqrt(1 - self.beta2**self.steps)
        root = torch.sqrt(second, out=gradients)
        root.add_(1e-8 * c2).mul_(c1 / (c2 * lr))
        self.matrix.addcdiv_(first, root, value=-1)

    def _sgd(self, gradients: Tensor, lr: Tensor) -> None:
        (momentum,) = self.moments
        if self._decays:
            decayed = slice(self.num_decayed)
            gradients[:, decayed].addcmul_(self.matrix[:, decayed], self.decay)
        if self.beta1:
            momentum.mul_(self.beta1).add_(gradients)
            gradients.add_(momentum, alpha=self.beta1)
        self.matrix.addcmul_(gradients, lr, value=-1)

    def keep(self, positions: Tensor, matrix: Tensor) -> None:
        """Go on with some members only, whose parameters are now in another matrix."""
        self.matrix = matrix
        self.decay, self.clip_norm = self.decay[positions], self.clip_norm[positions]
        self.moments = [moment[positions] for moment in self.moments]
