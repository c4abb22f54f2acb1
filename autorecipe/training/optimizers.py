"""Optimizers from a recipe's section."""

import torch
from torch import nn

from autorecipe.recipe import OptimizerSection


def build_optimizer(section: OptimizerSection, model: nn.Module, fused: bool) -> torch.optim.Optimizer:
    """The optimizer over a model's parameters.

    Weight decay acts on matrices and kernels, not on biases, scales and embeddings.
    """
    embedded = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    params = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in params if p.ndim >= 2 and id(p) not in embedded]
    others = [p for p in params if p.ndim < 2 or id(p) in embedded]
    groups = [{"params": decayed, "weight_decay": section.weight_decay}, {"params": others, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if section.name == "adamw":
        return torch.optim.AdamW(groups, lr=section.lr, betas=(section.beta1, section.beta2), fused=fused)
    if section.name == "sgd":
        return torch.optim.SGD(groups, lr=section.lr, momentum=section.beta1, nesterov=section.beta1 > 0, fused=fused)
    raise ValueError(f"unknown optimizer '{section.name}'")


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = lr
