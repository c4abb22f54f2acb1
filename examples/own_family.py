"""A network family of your own: four functions and one line; the search then grows it like any other.

This one is a gated perceptron: every hidden layer multiplies two linear maps.
"""

from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor, nn

import autorecipe
from autorecipe.networks import FAMILIES, Family
from autorecipe.recipe import Block, NetworkSection
from autorecipe.results import DatasetInfo

SPACE = """
format: 1
modality: table
family: gated
stages:
  small: {vary: {lr_factor: {low: 0.25, high: 4.0, log: true}}}
  width: {factors: [2, 4], vary: {lr_factor: {low: 0.25, high: 4.0, log: true}}}
  depth: {vary: {lr_factor: {low: 0.25, high: 4.0, log: true}}}
  regularize: {vary: {regularization.dropout: {low: 0.0, high: 0.5}}}
"""


class Gated(nn.Module):
    """Gated hidden layers on the numbers of a table, then a linear head."""

    def __init__(self, in_features: int, widths: list[int], out_features: int) -> None:
        super().__init__()
        sizes = [in_features, *widths]
        self.layers = nn.ModuleList(nn.Linear(a, 2 * b) for a, b in pairwise(sizes))
        self.dropout = nn.Dropout(0.0)  # the recipe's rate is set by autorecipe
        self.head = nn.Linear(sizes[-1], out_features)

    def forward(self, numbers_BF: Tensor, codes_BK: Tensor) -> Tensor:
        """Outputs [B, O]; categories [B, K] are left out here."""
        x = numbers_BF
        for layer in self.layers:
            x = self.dropout(torch.nn.functional.glu(layer(x)))
        return self.head(x)


def smallest(info: DatasetInfo) -> NetworkSection:
    """One layer of 16 features."""
    return NetworkSection(family="gated", width=16, blocks=(Block(16),))


def wider(section: NetworkSection) -> NetworkSection | None:
    """Twice as wide, up to 512."""
    if section.width >= 512:
        return None
    return replace(section, width=2 * section.width, blocks=tuple(Block(2 * b.width) for b in section.blocks))


def deeper(section: NetworkSection) -> list[NetworkSection]:
    """One more layer at the end, up to 6."""
    return [replace(section, blocks=(*section.blocks, Block(section.width)))] if len(section.blocks) < 6 else []


def build(section: NetworkSection, info: DatasetInfo) -> nn.Module:
    """The module."""
    return Gated(info.num_numbers, [block.width for block in section.blocks], info.num_outputs)


FAMILIES["gated"] = Family(smallest, wider, deeper, build, modalities=("table",))

if __name__ == "__main__":
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        space = Path(folder) / "gated.yaml"
        space.write_text(SPACE)
        result = autorecipe.search("wine", budget="30s", space=str(space))
    print(result.recipe.network)
    print(result.summary["scores"])
