"""`linear`: one linear layer on the raw inputs; the network every other one must beat."""

from torch import Tensor, nn

from autorecipe.networks.layers import TableInput
from autorecipe.recipe import NetworkSection
from autorecipe.results import DatasetInfo


class LinearTable(nn.Module):
    """A linear model of a table's numbers and embedded categories."""

    def __init__(self, info: DatasetInfo) -> None:
        super().__init__()
        self.input = TableInput(nn.Identity(), info.num_numbers, info.cardinalities)
        self.head = nn.Linear(self.input.out_features, info.num_outputs)

    def forward(self, numbers_BF: Tensor, codes_BK: Tensor) -> Tensor:
        """Outputs [B, classes or 1]."""
        out: Tensor = self.head(self.input(numbers_BF, codes_BK))
        return out


def smallest(info: DatasetInfo) -> NetworkSection:
    """The only linear network there is."""
    return NetworkSection(family="linear")


def wider(section: NetworkSection) -> NetworkSection | None:
    """A linear network cannot grow."""
    return None


def deeper(section: NetworkSection) -> list[NetworkSection]:
    """A linear network cannot grow."""
    return []


def build(section: NetworkSection, info: DatasetInfo) -> nn.Module:
    """One linear layer, after flattening for images."""
    if info.modality == "table":
        return LinearTable(info)
    size = info.channels * info.resolution**2
    return nn.Sequential(nn.Flatten(), nn.Linear(size, info.num_outputs))
