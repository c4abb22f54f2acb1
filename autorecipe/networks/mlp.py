"""`mlp`: a multilayer perceptron for tables (images are flattened).

Numbers arrive robustly scaled and smoothly clipped (`data/table`), and may be embedded by
`rtdl_num_embeddings` (Gorishniy et al. 2022, "On Embeddings for Numerical Features in Tabular Deep
Learning", sections 3.2 and 3.3).
"""

import warnings
from dataclasses import replace

import torch
from torch import Tensor, nn

from autorecipe.networks.layers import Dropout, TableInput
from autorecipe.recipe import Block, NetworkSection
from autorecipe.results import DatasetInfo

SMALLEST_WIDTH = 64
WIDEST = 4096
DEEPEST = 12


class MLP(nn.Module):
    """Hidden layers of linear map, normalisation, activation and dropout; then a linear head."""

    def __init__(self, input_module: nn.Module, in_features: int, section: NetworkSection, num_outputs: int) -> None:
        super().__init__()
        self.input = input_module
        layers: list[nn.Module] = []
        for block in section.blocks:
            linear = nn.Linear(in_features, block.width)
            nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
            nn.init.zeros_(linear.bias)
            layers += [linear, nn.LayerNorm(block.width), nn.SiLU(), Dropout(0.0)]
            in_features = block.width
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(in_features, num_outputs)
        # A small head: the loss at initialisation is that of a model that knows nothing.
        nn.init.normal_(self.head.weight, std=0.01 / in_features**0.5)
        nn.init.zeros_(self.head.bias)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Outputs [B, classes or 1]."""
        out: Tensor = self.head(self.body(self.input(*inputs)))
        return out


def smallest(info: DatasetInfo) -> NetworkSection:
    """Three hidden layers of 64 features; numbers embedded piecewise linearly on tables."""
    embedding = "piecewise" if info.modality == "table" and info.num_numbers else "none"
    return NetworkSection(
        family="mlp",
        width=SMALLEST_WIDTH,
        blocks=(Block(SMALLEST_WIDTH),) * 3,
        embedding=embedding,
    )


def wider(section: NetworkSection) -> NetworkSection | None:
    """Every hidden layer twice as wide, or None at the widest."""
    if section.width * 2 > WIDEST:
        return None
    blocks = tuple(replace(block, width=block.width * 2) for block in section.blocks)
    return replace(section, width=section.width * 2, blocks=blocks)


def deeper(section: NetworkSection) -> list[NetworkSection]:
    """One more hidden layer, at the end, or none at the deepest."""
    if len(section.blocks) >= DEEPEST:
        return []
    return [replace(section, blocks=(*section.blocks, Block(section.width)))]


def build(section: NetworkSection, info: DatasetInfo) -> nn.Module:
    """The network for a table, or for flattened images."""
    if info.modality != "table":
        size = info.channels * info.resolution**2
        return MLP(nn.Flatten(), size, section, info.num_outputs)
    numbers, features = _numbers(section, info)
    inputs = TableInput(numbers, features, info.cardinalities)
    return MLP(inputs, inputs.out_features, section, info.num_outputs)


def _numbers(section: NetworkSection, info: DatasetInfo) -> tuple[nn.Module, int]:
    """The module that embeds the numbers, and the features that leave it."""
    count = info.num_numbers
    if section.embedding == "none" or count == 0:
        return nn.Identity(), count
    # Imported here: the library brings scikit-learn along, which costs two seconds at the start.
    import rtdl_num_embeddings as rtdl

    if section.embedding == "periodic":
        module: nn.Module = rtdl.PeriodicEmbeddings(
            count, section.embedding_width, frequency_init_scale=section.embedding_scale, lite=True
        )
    elif section.embedding == "piecewise":
        bins = [torch.tensor(edges) for edges in info.bins]
        with warnings.catch_warnings():
            # A feature of two values has two edges only: then the embedding is linear, as it should be.
            warnings.filterwarnings("ignore", message=".*bin edges.*")
            module = rtdl.PiecewiseLinearEmbeddings(bins, section.embedding_width, activation=False, version="B")
    else:
        raise ValueError(f"unknown numerical embedding '{section.embedding}'")
    return module, count * section.embedding_width
