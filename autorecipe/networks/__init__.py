"""Network families: each is four functions, `smallest`, `wider`, `deeper` and `build`."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from autorecipe.errors import InputError, did_you_mean
from autorecipe.networks import linear, mlp, resnet
from autorecipe.networks.ensemble import Ensemble
from autorecipe.networks.layers import PixelScale, TargetLink
from autorecipe.recipe import NetworkSection, Recipe, RegularizationSection
from autorecipe.results import DatasetInfo


@dataclass(frozen=True)
class Family:
    """A family of networks that can grow."""

    smallest: Callable[[DatasetInfo], NetworkSection]
    """The smallest sensible network for a data set."""
    wider: Callable[[NetworkSection], NetworkSection | None]
    """The same network twice as wide; None when it cannot grow."""
    deeper: Callable[[NetworkSection], list[NetworkSection]]
    """The networks with one more block, one for each place it can go; empty when it cannot grow."""
    build: Callable[[NetworkSection, DatasetInfo], nn.Module]
    """The module: images [B, C, H, W], or numbers [B, F] and codes [B, K], to outputs [B, O]."""
    modalities: tuple[str, ...] = ("image", "table")
    """Kinds of data it takes."""


FAMILIES: dict[str, Family] = {
    "linear": Family(linear.smallest, linear.wider, linear.deeper, linear.build),
    "mlp": Family(mlp.smallest, mlp.wider, mlp.deeper, mlp.build),
    "resnet": Family(resnet.smallest, resnet.wider, resnet.deeper, resnet.build, modalities=("image",)),
}
"""Every family by name.  Add your own: `FAMILIES["mine"] = Family(...)`."""


def family(name: str) -> Family:
    """A family by its name.

    Raises:
        InputError: there is none of this name.
    """
    if name not in FAMILIES:
        raise InputError(f"there is no network family '{name}'; {did_you_mean(name, FAMILIES)}")
    return FAMILIES[name]


def build_final(recipe: Recipe, info: DatasetInfo) -> nn.Module:
    """The module that a recipe ends with: its network, or several whose predictions are averaged.

    Raises:
        InputError: as for `build`.
    """
    members = build_members(recipe, info)
    return members[0] if len(members) == 1 else Ensemble(members, info.task)


def build_members(recipe: Recipe, info: DatasetInfo) -> list[nn.Module]:
    """The networks that a recipe trains at once, each with the seed after that of the one before."""
    seeds = range(recipe.training.seed, recipe.training.seed + recipe.finish.members)
    return [build(recipe.network, recipe.regularization, info, seed) for seed in seeds]


def build(section: NetworkSection, regularization: RegularizationSection, info: DatasetInfo, seed: int) -> nn.Module:
    """The network of a recipe, initialised from `seed`, on the CPU.

    Images come in as pixels 0..255: they are scaled inside, so that the saved model is whole.  For the same reason
    a bounded or positive target's link is part of it.
    Every `nn.Dropout` gets the recipe's rate.

    Raises:
        InputError: there is no such family, or it does not take this kind of data.
    """
    chosen = family(section.family)
    if info.modality not in chosen.modalities:
        takes = " and ".join(f"{name}s" for name in chosen.modalities)
        raise InputError(
            f"the network family '{section.family}' takes {takes}, and the data set holds {info.modality}s"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = chosen.build(section, info)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = regularization.dropout
    if info.modality == "image":
        model = nn.Sequential(PixelScale(info.pixel_mean, info.pixel_std), model)
    return model if info.target_scale.link == "identity" else TargetLink(model, info.target_scale)


def num_params(model: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
