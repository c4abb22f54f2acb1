"""What shifting and mirroring a batch costs, with kornia and with the gather of `data/batches.py`, in shares of a step.

    pip install '.[benchmark]'
    python benchmarks/augmentation.py
    python benchmarks/augmentation.py --table                 stored results -> docs/performance.md

Both move each image by its own random numbers, up to two pixels with the border repeated, and mirror half of them; the
step is that of the starting network with batches of 128, without augmentation.  The two take turns.

The rule: the library, unless it costs more than a tenth of a step.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace as replace_record
from functools import partial
from typing import Any

import numpy as np
import torch
from common import HERE, finish, machine, open_store, options, say, write_between

from autorecipe.data import ReadOptions, load_dataset
from autorecipe.data.batches import gather_images
from autorecipe.networks import family
from autorecipe.recipe import Recipe, RegularizationSection, replace
from autorecipe.search.space import data_fields
from autorecipe.training.evaluate import on_device
from autorecipe.training.hardware import find_hardware
from autorecipe.training.loop import start_session, train

NAME = "augmentation"
DOC = HERE.parent / "docs" / "performance.md"
CASES = {"8x8": (1, 8, 1500), "28x28": (1, 28, 1500), "32x32 color": (3, 32, 1500), "96x96 color": (3, 96, 400)}
"""Channels, size and number of images."""
CROP, BATCH = 2, 128
MUST = 0.1


def kornia_moves(size: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """The same with kornia."""
    from kornia.augmentation import AugmentationSequential, RandomCrop, RandomHorizontalFlip

    moves = AugmentationSequential(
        RandomCrop((size, size), padding=CROP, padding_mode="replicate"),
        RandomHorizontalFlip(p=0.5),
        data_keys=["input"],
    )
    return lambda images: moves(images.float())


def mean_seconds(ways: dict[str, Callable[[int], object]], repeats: int) -> dict[str, float]:
    """Mean time of a call of each, taken in turns: moves are drawn for many steps at once."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for k in range(repeats + 3):
        for name, call in ways.items():
            begin = time.perf_counter()
            call(k)
            if k >= 3:
                found[name].append(time.perf_counter() - begin)
    return {name: statistics.mean(times) for name, times in found.items()}


def measure(case: str, repeats: int) -> dict[str, Any]:
    """Seconds of a step and of both ways to augment its batch."""
    channels, size, count = CASES[case]
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (count, size, size, channels), dtype=np.uint8).squeeze()
    dataset = load_dataset((images, draw.integers(0, 10, count)), ReadOptions())
    hardware = find_hardware("cpu")
    data = on_device(dataset, hardware.device)
    section = family("resnet").smallest(dataset.info)
    recipe = replace(
        Recipe(),
        {**data_fields(dataset.info), "network": replace_record(section), "training.steps": 10**6}
        | {"training.batch_size": BATCH, "training.channels_last": True, "regularization.averaging": 0.0},
    )
    steps = train(start_session(recipe, data, hardware), data, torch.from_numpy(dataset.splits.train), look_seconds=0.0)
    rows, moved = torch.arange(BATCH), RegularizationSection(crop=CROP, flip=True)
    kornia = kornia_moves(data.inputs[0].shape[-1])
    ways: dict[str, Callable[[int], object]] = {
        "step": lambda k: next(steps),
        "gather alone": lambda k: data.inputs[0][rows],
        "ours": lambda k: gather_images(data.inputs[0], rows, moved, 0, k).float(),
        "kornia": lambda k: kornia(data.inputs[0][rows]),
    }
    seconds = mean_seconds(ways, repeats)
    shares = {name: (seconds[name] - seconds["gather alone"]) / seconds["step"] for name in ("ours", "kornia")}
    say(
        f"{case}: a step of {seconds['step'] * 1000:.2f} ms; of it "
        + ", ".join(f"{k} {v:.3f}" for k, v in shares.items())
    )
    return {"ms": {name: round(value * 1000, 3) for name, value in seconds.items()}, "shares": shares}


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = ["| images | step | kornia | share | ours | share |", "|---|---|---|---|---|---|"]
    for name, row in rows.items():
        ms, shares = row["ms"], row["shares"]
        each = " | ".join(f"{ms[way]:.2f} ms | {shares[way]:.3f}" for way in ("kornia", "ours"))
        lines.append(f"| {name} | {ms['step']:.2f} ms | {each} |")
    return "\n".join([*lines, "", ", ".join(machine().values()) + "."])


def main(args: argparse.Namespace) -> None:
    """All sizes, and what the rule says."""
    store = open_store(args, NAME)
    rows = {name: store.row(f"{name} x{args.repeats}", partial(measure, name, args.repeats)) for name in CASES}
    if args.table:
        write_between(DOC, NAME, table(rows))
    largest = {way: max(row["shares"][way] for row in rows.values()) for way in ("ours", "kornia")}
    shares = {f"{way}_share": round(value, 3) for way, value in largest.items()}
    finish(NAME, f"the library, unless it costs over {MUST} of a step", None, **shares, rows=rows, machine=machine())


if __name__ == "__main__":
    parser = options(__doc__, seeds=None, budget=None)
    parser.add_argument("--repeats", type=int, default=192, metavar="N", help="calls of each (default 192)")
    parser.add_argument("--table", action="store_true", help="write the results to docs/performance.md as well")
    main(parser.parse_args())
