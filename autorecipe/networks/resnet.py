"""`resnet`: residual networks for images from 8x8 to 256x256 pixels (He et al. 2016).

Work at full resolution costs most and teaches least: from 16 pixels on, the stem is a narrow convolution
without normalisation and a second one with stride 2.  On 28x28 images with 32 channels that makes a step 1.5
times as fast as a stem of full width followed by a residual block with stride 2, and costs 0.003 of
accuracy after as many steps, a third of what the steps gained are worth.
"""

import math
from dataclasses import replace

from torch import Tensor, nn

from autorecipe.networks.layers import Dropout, ResidualBlock
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
        self.stem = _stem(section, channels)
        width = section.width
        blocks = []
        for block in section.blocks:
            blocks.append(ResidualBlock(width, block.width, block.kernel, block.stride))
            width = block.width
        self.body = nn.Sequential(*blocks)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.dropout = Dropout(0.0)
        self.head = nn.Linear(width, num_outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        # A small head: the loss at initialisation is that of a model that knows nothing.
        nn.init.normal_(self.head.weight, std=0.01 / width**0.5)
        nn.init.zeros_(self.head.bias)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Outputs [B, classes or 1]."""
        out: Tensor = self.head(self.dropout(self.pool(self.body(self.stem(x_BCHW)))))
        return out


def _stem(section: NetworkSection, channels: int) -> nn.Sequential:
    """Convolutions before the first block, by their stride in all: 1, 2 or 4."""
    kernel, width = section.stem_kernel, section.width
    if section.stem_stride == 1:
        first: list[nn.Module] = []
        last = nn.Conv2d(channels, width, kernel, 1, kernel // 2, bias=False)
    else:
        half = max(1, width // 2)
        first = [
            nn.Conv2d(channels, half, kernel, section.stem_stride // 2, kernel // 2),
            nn.ReLU(inplace=True),
        ]
        last = nn.Conv2d(half, width, 3, 2, 1, bias=False)
    return nn.Sequential(*first, last, nn.BatchNorm2d(width), nn.ReLU(inplace=True))


def smallest(info: DatasetInfo) -> NetworkSection:
    """8 channels after the stem, then one block a level; levels halve the image until 4 pixels or so are left."""
    resolution = info.resolution
    stem_stride = 1 if resolution < 16 else 2 if resolution <= 48 else 4
    size = -(-resolution // stem_stride)
    levels = max(2 if stem_stride > 1 else 1, min(4, round(math.log2(size / 4))))
    blocks = tuple(Block(SMALLEST_WIDTH * 2 ** (level + 1), 3, 2) for level in range(levels))
    return NetworkSection(family="resnet", width=SMALLEST_WIDTH, blocks=blocks, stem_stride=stem_stride)


def wider(section: NetworkSection) -> NetworkSection | None:
    """Twice the channels everywhere, or None at the widest."""
    if section.width * 2 > WIDEST:
        return None
    blocks = tuple(replace(b, width=min(b.width * 2, LARGEST_CHANNELS)) for b in section.blocks)
    return replace(section, width=section.width * 2, blocks=blocks)


def deeper(section: NetworkSection) -> list[NetworkSection]:
    """One more block after the stem, or at the end of each level; the trials choose its place and kernel."""
    if len(section.blocks) >= DEEPEST:
        return []
    blocks = section.blocks
    places = [
        (i, blocks[i - 1].width if i else section.width)
        for i in range(len(blocks) + 1)
        if i == len(blocks) or blocks[i].stride > 1
    ]
    return [replace(section, blocks=(*blocks[:i], Block(width), *blocks[i:])) for i, width in places]


def build(section: NetworkSection, info: DatasetInfo) -> nn.Module:
    """The network for images of `info.channels` channels."""
    return ResNet(section, info.channels, info.num_outputs)
