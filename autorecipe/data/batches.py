"""Batches on the device: order, gathering and augmentation, all of it batched and per example.

Shapes: N examples, B batch, C channels, H height, W width.  The whole data set stays on the device
(uint8 for images) if it fits; a batch is one gather.  What is random in step s depends on the seed and s alone,
so a run can be taken up at any step.
"""

import functools
from collections.abc import Iterator

import torch
from torch import Tensor

from autorecipe.recipe import RegularizationSection

STEPS_AT_ONCE = 64
"""The moves of so many steps are drawn at once: a draw takes as long as a gather."""
MOST_PLACES = 1 << 20
"""Where pixels go in every move is kept in a table of at most so many numbers."""
ERASE, MOVES, MIXUP = 17, 29, 41
"""What random numbers are for: each has its own."""


def step_generator(seed: int, step: int, device: torch.device, purpose: int) -> torch.Generator:
    """The random numbers of one step for one purpose."""
    generator = torch.Generator(device if device.type == "cuda" else "cpu")
    return generator.manual_seed((seed * 1_000_003 + step * 7919 + purpose) % 2**63)


def batch_rows(rows: Tensor, batch_size: int, seed: int, first_step: int = 0) -> Iterator[Tensor]:
    """Batches of row numbers for ever: each epoch is a fresh permutation, an incomplete last batch is left out.

    Args:
        rows: int64 [N], the examples to train on.
        batch_size: examples in a batch; all of them when there are fewer.
        seed: seed of the order.
        first_step: the step to begin with.
    """
    batch_size = min(batch_size, len(rows))
    per_epoch = len(rows) // batch_size
    epoch, skip = divmod(first_step, per_epoch)
    while True:
        generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch * 104_729 + 1) % 2**63)
        order = rows[to_device(torch.randperm(len(rows), generator=generator), rows.device)]
        for i in range(skip, per_epoch):
            yield order[i * batch_size : (i + 1) * batch_size]
        epoch, skip = epoch + 1, 0


def gather(inputs: tuple[Tensor, ...], rows: Tensor) -> tuple[Tensor, ...]:
    """The inputs of some rows, as they are."""
    return tuple(x[rows] for x in inputs)


def to_device(x: Tensor, device: torch.device) -> Tensor:
    """A tensor on the device, without waiting until it is there."""
    if x.device.type == "cpu" and device.type == "cuda":
        return x.pin_memory().to(device, non_blocking=True)
    return x.to(device)


def fetch(inputs: tuple[Tensor, ...], rows_B: Tensor, device: torch.device) -> tuple[Tensor, ...]:
    """The inputs of some rows, read from disk in the order in which they lie there, and brought to the device.

    The rows are on the CPU, so that nothing waits for the device.
    """
    order = torch.argsort(rows_B)
    place = torch.argsort(order)
    return tuple(to_device(x[rows_B[order]][place], device) for x in inputs)


def gather_images(images_NCHW: Tensor, rows_B: Tensor, section: RegularizationSection, seed: int, step: int) -> Tensor:
    """Images of some rows, each shifted, mirrored and erased by its own random numbers.

    Shift and mirror image are done by the gather itself.  The border is repeated outwards.

    Args:
        images_NCHW: all images.
        rows_B: which of them.
        section: what is done to them.
        seed: of the run.
        step: of the run.

    Returns:
        [B, C, H, W] in the images' dtype.
    """
    images = images_NCHW.index_select(0, rows_B)
    if section.crop or section.flip:
        places_BP = _places(section.crop, section.flip, len(rows_B), images.shape, seed, step, images.device)
        places_BCP = places_BP[:, None].expand(-1, images.shape[1], -1)
        images = images.flatten(2).gather(2, places_BCP).view(images.shape)
    if section.erase:
        images = _erase(images, section.erase, step_generator(seed, step, images.device, ERASE))
    return images


def mixup_share(alpha: float, seed: int, step: int) -> float:
    """How much of a step's images is the first of each pair (Zhang et al. 2018): drawn from Beta(alpha, alpha)."""
    generator = step_generator(seed, step, torch.device("cpu"), MIXUP)
    gamma = torch._standard_gamma(torch.full((2,), alpha), generator)
    return float(gamma[0] / gamma.sum().clamp_min(1e-12))


def _places(crop: int, flip: bool, batch: int, shape: torch.Size, seed: int, step: int, device: torch.device) -> Tensor:
    """Where each pixel of a step's images comes from, counted within its image, [B, H*W]."""
    height, width = shape[-2:]
    block, k = divmod(step, STEPS_AT_ONCE)
    moves_B = _drawn_moves(crop, flip, batch, seed, block, device)[k]
    if 2 * (2 * crop + 1) ** 2 * height * width <= MOST_PLACES:
        return _table(crop, height, width, device).index_select(0, moves_B)
    return _places_of(moves_B, crop, height, width)


@functools.lru_cache(maxsize=64)
def _drawn_moves(crop: int, flip: bool, batch: int, seed: int, block: int, device: torch.device) -> Tensor:
    """A number for each image of some steps, [S, B]: how far it is shifted down and right, and if it is mirrored."""
    generator = step_generator(seed, block, torch.device("cpu"), MOVES)
    shape = (STEPS_AT_ONCE, batch)
    shifts = torch.randint(0, (2 * crop + 1) ** 2, shape, generator=generator)
    mirrored = torch.randint(0, 2, shape, generator=generator) if flip else 0
    return to_device(2 * shifts + mirrored, device)


@functools.lru_cache(maxsize=8)
def _table(crop: int, height: int, width: int, device: torch.device) -> Tensor:
    """`_places_of` every move."""
    return _places_of(torch.arange(2 * (2 * crop + 1) ** 2, device=device), crop, height, width)


def _places_of(moves_M: Tensor, crop: int, height: int, width: int) -> Tensor:
    """Where each pixel of an image that is moved comes from, [M, H*W]."""
    shift, side = moves_M // 2, 2 * crop + 1
    down_M, right_M, mirrored_M = shift // side - crop, shift % side - crop, moves_M % 2 == 1
    ys_MH = (torch.arange(height, device=shift.device) + down_M[:, None]).clamp_(0, height - 1)
    xs_MW = (torch.arange(width, device=shift.device) + right_M[:, None]).clamp_(0, width - 1)
    xs_MW = torch.where(mirrored_M[:, None], width - 1 - xs_MW, xs_MW)
    return (ys_MH[:, :, None] * width + xs_MW[:, None]).flatten(1)


def _erase(images_BCHW: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Fill a random rectangle of a share of the images with their mean (Zhong et al. 2020)."""
    batch, _, height, width = images_BCHW.shape
    u_5B = torch.rand(5, batch, generator=generator, device=generator.device).to(images_BCHW.device)
    area = 0.02 + 0.23 * u_5B[0]
    aspect = torch.exp((u_5B[1] * 2 - 1) * 1.2)
    h_B = (area * aspect).sqrt().clamp(max=1) * height
    w_B = (area / aspect).sqrt().clamp(max=1) * width
    top_B = u_5B[2] * (height - h_B)
    left_B = u_5B[3] * (width - w_B)
    ys = torch.arange(height, device=images_BCHW.device)
    xs = torch.arange(width, device=images_BCHW.device)
    inside_y = (ys >= top_B[:, None]) & (ys < (top_B + h_B)[:, None])
    inside_x = (xs >= left_B[:, None]) & (xs < (left_B + w_B)[:, None])
    chosen_B = u_5B[4] < share
    mask = (inside_y[:, :, None] & inside_x[:, None, :] & chosen_B[:, None, None])[:, None]
    fill = images_BCHW.float().mean((2, 3), keepdim=True).to(images_BCHW.dtype)
    return torch.where(mask, fill, images_BCHW)
