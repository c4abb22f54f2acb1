"""A network family of your own: four functions and one line; the search then grows it like any other.

    python examples/own_family.py [BUDGET]

This one is a gated perceptron for tables: each hidden layer multiplies one linear map by the sigmoid of
another (Dauphin et al. 2017, "Language Modeling with Gated Convolutional Networks", section 2).
"""

import sys
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

import autorecipe
from autorecipe.networks import FAMILIES, Family
from autorecipe.networks.layers import TableInput
from autorecipe.recipe import Block, NetworkSection
from autorecipe.results import DatasetInfo

SPACE = """\
format: 1
modality: table
family: gated                # the name below
start:
  optimizer.weight_decay: 0.02
  regularization.averaging: 0.02
stages:
  small: {vary: {lr_factor: {low: 0.25, high: 4.0, log: true}}}
  width: {factors: [2, 4], vary: {lr_factor: {low: 0.25, high: 4.0, log: true}}}
  depth: {widths: [1.0, 0.5], vary: {lr_factor: {low: 0.25, high: 4.0, log: true}}}
  regularize:
    vary: {regularization.dropout: {low: 0.0, high: 0.4}}
    known: [{regularization.dropout: 0.0}, {regularization.dropout: 0.1}]
"""
"""A search space: what each stage may try, and of which family.  search_spaces/*.yaml are the shipped ones."""


class Gated(nn.Module):
    """Inputs, gated hidden layers, a linear head."""

    def __init__(self, inputs: TableInput, widths: list[int], num_outputs: int) -> None:
        super().__init__()
        self.inputs = inputs  # joins the numbers [B, F] and the embedded categories [B, K]
        sizes = [inputs.out_features, *widths]
        self.layers = nn.ModuleList(nn.Linear(a, 2 * b) for a, b in pairwise(sizes))
        self.dropout = nn.Dropout(0.0)  # every nn.Dropout gets the recipe's rate
        self.head = nn.Linear(sizes[-1], num_outputs)
        nn.init.zeros_(self.head.weight)  # it begins as a model that knows nothing
        nn.init.zeros_(self.head.bias)

    def forward(self, numbers_BF: Tensor, codes_BK: Tensor) -> Tensor:
        """Outputs [B, O]."""
        x = self.inputs(numbers_BF, codes_BK)
        for layer in self.layers:
            x = self.dropout(torch.nn.functional.glu(layer(x)))
        return self.head(x)


def smallest(info: DatasetInfo) -> NetworkSection:
    """One layer of 16 features."""
    return NetworkSection(family="gated", width=16, blocks=(Block(16),))


def wider(section: NetworkSection) -> NetworkSection | None:
    """Every layer twice as wide, up to 512."""
    if section.width >= 512:
        return None
    return replace(section, width=2 * section.width, blocks=tuple(Block(2 * b.width) for b in section.blocks))


def deeper(section: NetworkSection) -> list[NetworkSection]:
    """One more layer at the end, up to 6."""
    return [replace(section, blocks=(*section.blocks, Block(section.width)))] if len(section.blocks) < 6 else []


def build(section: NetworkSection, info: DatasetInfo) -> nn.Module:
    """The module that a section describes."""
    inputs = TableInput(nn.Identity(), info.num_numbers, info.cardinalities)
    return Gated(inputs, [block.width for block in section.blocks], info.num_outputs)


FAMILIES["gated"] = Family(smallest, wider, deeper, build, modalities=("table",))


def main(budget: str, folder: Path) -> None:
    """Search with the family and use the model."""
    space = folder / "gated.yaml"
    space.write_text(SPACE)
    result = autorecipe.search("wine", budget=budget, space=space, out=folder / "run")
    for decision in result.decisions:
        print(f"{decision.question}: {decision.verdict}")
    network = result.recipe.network
    print(f"{network.family}, widths {[block.width for block in network.blocks]}")
    print(f"test {result.summary['metric']}: {result.summary['scores']['test']:.4f}")
    print(result.model)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(sys.argv[1] if len(sys.argv) > 1 else "25s", Path(temporary))
