"""Layers that the families share.

Shapes: B batch, C channels, H height, W width, F features, K categorical columns, D embedding width.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autorecipe.data.targets import to_scale
from autorecipe.results import TargetScale


class PixelScale(nn.Module):
    """Pixels 0..255 (uint8 or float, [B, C, H, W]) to zero mean and unit variance a channel."""

    mean: Tensor
    inverse_std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1))
        self.register_buffer("inverse_std", 1 / torch.tensor(std).reshape(1, -1, 1, 1))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Scale a batch of images."""
        return (x_BCHW.to(self.mean.dtype) - self.mean) * self.inverse_std


class TargetLink(nn.Module):
    """A network of one output, ended by a function whose values lie where targets can, scaled as targets are.

    `sigmoid`: between the bounds; `exp`: above 0, linear from five e-folds above the mean on, so that a wild step
    does no harm.  An output of 0 is the mean of the training targets.
    """

    def __init__(self, body: nn.Module, scale: TargetScale) -> None:
        super().__init__()
        self.body = body
        self.exponential = scale.link == "exp"
        self.low = float(to_scale(np.asarray([scale.low]), scale)[0])
        if not self.exponential:
            self.width = float(to_scale(np.asarray([scale.high]), scale)[0]) - self.low
            share = min(max(-self.low / self.width, 0.02), 0.98)
            self.shift = math.log(share / (1 - share))
            self.slope = 1 / (self.width * share * (1 - share))  # at 0 the slope is 1, as without a link

    def forward(self, *inputs: Tensor) -> Tensor:
        """Scaled targets [B, 1]."""
        out: Tensor = self.body(*inputs).float()
        if self.exponential:
            times = out.clamp(-12.0, 5.0).exp() * (1 + (out - 5.0).clamp_min(0.0))
            return self.low * (1 - times)
        return self.low + self.width * torch.sigmoid(self.shift + self.slope * out)


class ResidualBlock(nn.Module):
    """Two 3x3 (or larger) convolutions around a shortcut (He et al. 2016, section 3.3).

    The second normalisation starts with scale zero, so that the block begins as its shortcut
    (Goyal et al. 2017, section 5.1).  A shortcut that changes size averages before it projects
    (He et al. 2019, section 4.1, ResNet-D).
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int) -> None:
        super().__init__()
        pad = kernel // 2
        self.conv1 = nn.Conv2d(channels_in, channels_out, kernel, stride, pad, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, kernel, 1, pad, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        nn.init.zeros_(self.norm2.weight)
        shortcut: list[nn.Module] = []
        if stride > 1:
            shortcut.append(nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False))
        if channels_in != channels_out:
            shortcut += [nn.Conv2d(channels_in, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out)]
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Transform a batch of feature maps."""
        y = F.relu(self.norm1(self.conv1(x_BCHW)), inplace=True)
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x_BCHW), inplace=True)


class Dropout(nn.Dropout):
    """Dropout (Srivastava et al. 2014) that draws a byte for each feature on the CPU.

    There torch draws a double for each, one after the other: a quarter of a small perceptron's step.  The rate is
    rounded to a multiple of 1/256, and the features that stay are scaled by what it is then.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Zero features at the rate `p` and scale the others, in training mode."""
        if not self.training or self.p == 0 or x.device.type != "cpu":
            return super().forward(x)
        dropped = dropped_bytes(self.p)
        stays = random_bytes(x.shape) >= dropped
        return x * stays.to(x.dtype).mul_(256 / (256 - dropped))


def dropped_bytes(rate: float) -> int:
    """The bytes, counted from 0, that stand for a dropped feature: of 256 the share nearest to a rate."""
    return 0 if rate == 0 else min(255, max(1, round(256 * rate)))


def random_bytes(shape: torch.Size) -> Tensor:
    """Bytes drawn from torch's global generator on the CPU, uint8 of a shape."""
    count = shape.numel()
    words = torch.empty((count + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
    return words.view(torch.uint8)[:count].view(shape)


class TableInput(nn.Module):
    """Numbers [B, F] and category codes [B, K] to one vector a row.

    Categories are embedded; code 0 ("missing or unseen") starts as zeros.
    """

    def __init__(self, numbers: nn.Module, num_features: int, cardinalities: Sequence[int]) -> None:
        super().__init__()
        self.numbers = numbers
        widths = [embedding_width(c) for c in cardinalities]
        self.categories = nn.ModuleList(nn.Embedding(c, w) for c, w in zip(cardinalities, widths, strict=True))
        for embedding, width in zip(self.categories, widths, strict=True):
            assert isinstance(embedding, nn.Embedding)
            nn.init.normal_(embedding.weight, std=1 / math.sqrt(width))
            with torch.no_grad():
                embedding.weight[0].zero_()
        self.out_features = num_features + sum(widths)

    def forward(self, numbers_BF: Tensor, codes_BK: Tensor) -> Tensor:
        """Embed and concatenate a batch of rows."""
        parts = [self.numbers(numbers_BF).flatten(1)] if numbers_BF.shape[1] else []
        parts += [embed(codes_BK[:, k]) for k, embed in enumerate(self.categories)]
        return torch.cat(parts, 1)


def embedding_width(cardinality: int) -> int:
    """Embedding width for a categorical column (the rule of thumb of fastai's tabular learner, capped at 64)."""
    return int(min(64, max(2, round(1.6 * cardinality**0.56))))
