"""Values that a recipe may have: what is out of range is refused by name, before anything is trained."""

import math
from typing import Any

from autorecipe.errors import InputError, did_you_mean

MOST_SEED = 2**32 - 1
"""The largest seed that every library takes."""
_ABOVE_0 = math.ulp(0.0)
_BELOW_1 = math.nextafter(1.0, 0.0)
_BELOW_INF = math.nextafter(math.inf, 0.0)

RANGES: dict[str, tuple[float, float, str]] = {
    "data.resolution": (0, 1024, "0 (for tables) to 1024 pixels"),
    "data.split_seed": (0, MOST_SEED, f"0 to {MOST_SEED}"),
    "network.width": (0, 2**16, "0 to 65536"),
    "network.blocks.width": (1, 2**16, "1 to 65536"),
    "network.blocks.kernel": (1, 99, "1 to 99"),
    "network.blocks.stride": (1, 8, "1 to 8"),
    "network.stem_kernel": (1, 99, "1 to 99"),
    "network.embedding_width": (1, 4096, "1 to 4096"),
    "network.embedding_scale": (_ABOVE_0, _BELOW_INF, "above 0"),
    "optimizer.lr": (_ABOVE_0, _BELOW_INF, "above 0, such as 0.001"),
    "optimizer.weight_decay": (0, _BELOW_INF, "0 or more"),
    "optimizer.beta1": (0, _BELOW_1, "0 to below 1"),
    "optimizer.beta2": (0, _BELOW_1, "0 to below 1"),
    "optimizer.clip_norm": (0, _BELOW_INF, "0 (off) or more"),
    "schedule.warmup": (0, 1, "0 to 1, a share of the steps"),
    "schedule.cooldown": (0, 1, "0 to 1, a share of the steps"),
    "training.steps": (1, 10**12, "1 or more"),
    "training.batch_size": (1, 2**24, "1 or more"),
    "training.seed": (0, 2**63 - 1, "0 or more"),
    "regularization.dropout": (0, _BELOW_1, "0 to below 1"),
    "regularization.label_smoothing": (0, _BELOW_1, "0 to below 1"),
    "regularization.mixup": (0, _BELOW_INF, "0 (off) or more"),
    "regularization.crop": (0, 512, "0 (off) to 512 pixels"),
    "regularization.erase": (0, 1, "0 to 1, a share of the images"),
    "regularization.class_weights": (0, 1, "0 (off) to 1"),
    "regularization.averaging": (0, 1, "0 (off) to 1, a share of the steps"),
    "finish.members": (1, 64, "1 to 64"),
    "finish.shift_tta": (0, 512, "0 (off) to 512 pixels"),
    "finish.temperature": (_ABOVE_0, _BELOW_INF, "above 0"),
}
"""Lowest and highest value of each number, and how to say it."""
CHOICES: dict[str, tuple[object, ...]] = {
    "network.embedding": ("none", "periodic", "piecewise"),
    "network.stem_stride": (1, 2, 4),
    "optimizer.name": ("adamw", "sgd"),
    "schedule.name": ("wsd", "cosine", "constant"),
    "training.train_on": ("train", "train+val", "train+val+confirm"),
    "training.precision": ("fp32", "bf16"),
}
"""The values of fields that have few."""
_ODD = ("network.stem_kernel", "network.blocks.kernel")


def check_recipe(recipe: Any) -> None:
    """Refuse values of a `Recipe` that no training could use.

    Raises:
        InputError: it names the field, the value and what may stand there.
    """
    for name in (*RANGES, *CHOICES):
        section, _, field = name.partition(".")
        here = getattr(recipe, section)
        if field.startswith("blocks."):
            for i, block in enumerate(here.blocks):
                check_value(name, getattr(block, field.removeprefix("blocks.")), f"network.blocks.{i}.{field[7:]}")
        else:
            check_value(name, getattr(here, field), name)


def check_value(name: str, value: Any, where: str) -> None:
    """Refuse a value of the field `name`; `where` it stands is for the message.

    Raises:
        InputError: it is out of range or no choice.
    """
    if name in CHOICES and value not in CHOICES[name]:
        near = did_you_mean(str(value), [str(choice) for choice in CHOICES[name]])
        raise InputError(f"{where} is {value!r}, which there is not: {near}")
    if name in RANGES:
        low, high, said = RANGES[name]
        if not low <= value <= high:
            raise InputError(f"{where} is {value!r}; it must be {said}")
    if name in _ODD and value % 2 == 0:
        raise InputError(f"{where} is {value!r}; a kernel has an odd number of pixels: give {value + 1}")
