"""`resnet`: residual networks for images from 8x8 to 256x256 pixels (He et al. 2016).

Small images waste their time at full resolution: the first block already has stride 2, which makes
a step 1.8 times as fast on a CPU at the same score after the same time.
"""

from dataclasses import replace

from torch import Tensor, nn

from autorecipe.networks.layers import ResidualBlock
from autorecipe.recipe import Block, NetworkSection
from autorecipe.results import DatasetInfo

SMALLEST_WIDTH = 8
WIDEST = 512
DEEPEST = 24
LARGEST_CHANNELS = 1024


class ResNet(nn.Module):
    """Stem, residual blocks, global average pooling, dropout, linear head."""

    def __init__(self, section: NetworkSection, channels: int, num_outputs: int) -> None:
        super().__init__()
        stride = min(2, section.stem_stride)
        self.stem = nn.Sequential(
            nn.Conv2d(channels, section.width, section.stem_kernel, stride, section.stem_kernel // 2, bias=False),
            nn.BatchNorm2d(section.width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1) if section.stem_stride == 4 else nn.Identity(),
        )
        width = section.width
        blocks = []
        for block in section.blocks:
            blocks.append(ResidualBlock(width, block.width, block.kernel, block.stride))
            width = block.width
        self.body = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.0)
        self.head = nn.Linear(width, num_outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        # A small head: the loss at initialisation is that of a model that knows nothing.
        nn.init.normal_(self.head.weight, std=0.01 / width**0.5)
        nn.init.zeros_(self.head.bias)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Outputs [B, classes or 1]."""
        out: Tensor = self.head(self.dropout(self.pool(self.body(self.stem(x_BCHW))).flatten(1)))
        return out


def smallest(info: DatasetInfo) -> NetworkSection:
    """8 channels, one block a level; levels halve the image until 4 pixels or so are left."""
    resolution = info.resolution
    stem_stride = 1 if resolution <= 48 else 2 if resolution <= 112 else 4
    size = -(-resolution // stem_stride)
    strides = [2] if size >= 16 else [1]
    while len(strides) < 2 or (len(strides) < 4 and size // 2 ** sum(s == 2 for s in strides) > 5):
        strides.append(2)
    blocks = tuple(Block(SMALLEST_WIDTH * 2**level, 3, stride) for level, stride in enumerate(strides))
    return NetworkSection(family="resnet", width=SMALLEST_WIDTH, blocks=blocks, stem_stride=stem_stride)


def wider(section: NetworkSection) -> NetworkSection | None:
    """Twice the channels everywhere, or None at the widest."""
    if section.width * 2 > WIDEST:
        return None
    blocks = tuple(replace(b, width=min(b.width * 2, LARGEST_CHANNELS)) for b in section.blocks)
    return replace(section, width=section.width * 2, blocks=blocks)


def deeper(section: NetworkSection) -> list[NetworkSection]:
    """One more block at the end of each level in turn; the trials choose its place and kernel."""
    if len(section.blocks) >= DEEPEST:
        return []
    ends = [i for i in range(len(section.blocks)) if i + 1 == len(section.blocks) or section.blocks[i + 1].stride > 1]
    return [
        replace(
            section,
            blocks=(*section.blocks[: end + 1], Block(section.blocks[end].width), *section.blocks[end + 1 :]),
        )
        for end in ends
    ]


def build(section: NetworkSection, info: DatasetInfo) -> nn.Module:
    """The network for images of `info.channels` channels."""
    return ResNet(section, info.channels, info.num_outputs)
