"""Our training loop against a bare one, and against one as most people write it.

    python benchmarks/loop.py
    python benchmarks/loop.py resnet_16 --repeats 9
    python benchmarks/loop.py --table                     stored results -> docs/performance.md

- ours: `autorecipe.training.loop.train`, in the precision, layout and threads that the hardware probe chooses;
- bare: a loop written by hand of the same network, optimizer, schedule, averaged weights, precision, layout and
  threads, on data that lies on the device, with the same look-up of moved pixels, without checks, clocks or anything
  that could be left out;
- plain: a `Dataset` with a transform for each example, a `DataLoader`, fp32, `AdamW`, `OneCycleLR`, `loss.item()`.
  It has the better of no and two worker processes, no averaged weights, and all threads.

All three take turns in one process, with the same batch size and steps; a ratio is that of one turn.

Data: scikit-learn's digits, as images of 24x24 (each pixel nine times) and as a table of 64 numbers.

Must, on 2 CPU cores without a GPU, median over cases and turns: ratio_to_bare >= 0.95, ratio_to_plain >= 1.5.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace as replace_record
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import HERE, Store, finish, machine, open_store, options, say, write_between
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from autorecipe.data import Dataset, ReadOptions, load_dataset
from autorecipe.data.batches import gather_images
from autorecipe.networks import build, family
from autorecipe.recipe import Block, Recipe, replace
from autorecipe.search.space import data_fields
from autorecipe.training.evaluate import DeviceData, on_device
from autorecipe.training.hardware import Hardware, Numerics, autocast, find_hardware, time_numerics, use_threads
from autorecipe.training.loop import average_weight, start_session, train
from autorecipe.training.schedules import lr_factor

NAME = "loop"
DOC = HERE.parent / "docs" / "performance.md"
CASES = {"resnet_8": ("image", 8, 150), "resnet_32": ("image", 32, 60), "mlp_64": ("table", 64, 300)}
"""Modality, width and steps of a turn."""
BATCH = 128
CROP = 2
AVERAGING = 0.02
MUST = {"ratio_to_bare": 0.95, "ratio_to_plain": 1.5}


def digits(modality: str) -> Dataset:
    """The 1,797 digits, as images of 24x24 or as a table."""
    found = load_digits()
    if modality == "image":
        images = (found.images * 15.9).astype(np.uint8).repeat(3, axis=1).repeat(3, axis=2)
        return load_dataset((images, found.target), ReadOptions())
    frame = pd.DataFrame(found.data, columns=[f"pixel {k}" for k in range(64)])
    return load_dataset((frame, found.target), ReadOptions())


def recipe_of(case: str, dataset: Dataset) -> Recipe:
    """The recipe that all three train."""
    modality, width, steps = CASES[case]
    section = family("resnet" if modality == "image" else "mlp").smallest(dataset.info)
    ratio = width / section.width
    blocks = tuple(Block(round(b.width * ratio), b.kernel, b.stride) for b in section.blocks)
    changes = {
        **data_fields(dataset.info),
        "network": replace_record(section, width=width, blocks=blocks),
        "training.steps": steps,
        "training.batch_size": BATCH,
        "optimizer.lr": 1e-3,
        "regularization.label_smoothing": 0.05,
        "regularization.averaging": AVERAGING,
    }
    if modality == "image":
        changes |= {"regularization.crop": CROP, "regularization.flip": True}
    return replace(Recipe(), changes)


def chosen(recipe: Recipe, dataset: Dataset, data: DeviceData, hardware: Hardware) -> Numerics:
    """What the probe chooses for the recipe's network."""
    rows = torch.from_numpy(dataset.splits.train)
    sessions: dict[tuple[str, bool], Any] = {}

    def run_steps(precision: str, channels_last: bool, count: int) -> None:
        fields = {"training.precision": precision, "training.channels_last": channels_last, "training.steps": 10**9}
        if (precision, channels_last) not in sessions:
            session = start_session(replace(recipe, fields), data, hardware)
            sessions[precision, channels_last] = train(session, data, rows, look_seconds=0.0)
        for _ in range(count):
            next(sessions[precision, channels_last])

    return time_numerics(run_steps, dataset.info.modality, hardware, 10.0)


def ours(recipe: Recipe, data: DeviceData, rows: Tensor, hardware: Hardware) -> None:
    """The package's loop."""
    for _ in train(start_session(recipe, data, hardware), data, rows):
        pass


def bare(recipe: Recipe, data: DeviceData, rows: Tensor, hardware: Hardware) -> None:
    """The same by hand."""
    torch.manual_seed(0)
    section, images = recipe.regularization, data.info.modality == "image"
    layout = torch.channels_last if recipe.training.channels_last else torch.contiguous_format
    models = [build(recipe.network, section, data.info, 0) for _ in range(2)]
    model, averaged = (model.to(memory_format=layout) for model in models) if images else models
    averaged.requires_grad_(False)
    pairs = [[*net.parameters(), *(b for b in net.buffers() if b.is_floating_point())] for net in (averaged, model)]
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.optimizer.weight_decay}, {"params": others, "weight_decay": 0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.optimizer.lr, betas=(0.9, 0.99), fused=True)
    loss_of = nn.CrossEntropyLoss(label_smoothing=section.label_smoothing)
    steps, order, at = recipe.training.steps, rows[torch.randperm(len(rows))], 0
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.optimizer.lr * lr_factor(recipe.schedule, step / steps)
        if at + BATCH > len(order):
            order, at = rows[torch.randperm(len(rows))], 0
        batch = order[at : at + BATCH]
        at += BATCH
        if images:
            x = gather_images(data.inputs[0], batch, section, 0, step).to(memory_format=layout)
            inputs: tuple[Tensor, ...] = (x,)
        else:
            inputs = tuple(x[batch] for x in data.inputs)
        with autocast(data.targets.device, recipe.training.precision):
            loss = loss_of(model(*inputs), data.targets[batch])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        weight = average_weight(AVERAGING, step + 1)
        if weight:
            with torch.no_grad():
                torch._foreach_lerp_(*pairs, weight)


class Examples(TorchDataset):
    """The examples one by one, images with a random crop of a padded image and a mirror image."""

    def __init__(self, data: DeviceData, rows: Tensor) -> None:
        self.data, self.rows = data, rows.tolist()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[Any, ...]:
        row = self.rows[i]
        target = self.data.targets[row]
        if self.data.info.modality != "image":
            return (*(x[row] for x in self.data.inputs), target)
        image = self.data.inputs[0][row].float()
        side = image.shape[-1]
        padded = F.pad(image[None], (CROP,) * 4, mode="replicate")[0]
        top, left = torch.randint(0, 2 * CROP + 1, (2,)).tolist()
        image = padded[:, top : top + side, left : left + side]
        return (image.flip(-1) if torch.rand(()) < 0.5 else image, target)


def plain(recipe: Recipe, data: DeviceData, rows: Tensor, hardware: Hardware, workers: int = 0) -> None:
    """A loop as most people write it."""
    torch.manual_seed(0)
    model = build(recipe.network, recipe.regularization, data.info, 0)
    steps = recipe.training.steps
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.optimizer.lr, weight_decay=recipe.optimizer.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.optimizer.lr, total_steps=steps)
    loss_of = nn.CrossEntropyLoss(label_smoothing=recipe.regularization.label_smoothing)
    loader = DataLoader(
        Examples(data, rows), BATCH, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
    )
    model.train()
    done, total = 0, 0.0
    while done < steps:
        for *inputs, targets in loader:
            loss = loss_of(model(*inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
            done += 1
            if done == steps:
                break


def measure(case: str, repeats: int) -> dict[str, Any]:
    """All three in turn."""
    dataset, hardware = digits(CASES[case][0]), find_hardware("cpu")
    data, rows = on_device(dataset, hardware.device), torch.from_numpy(dataset.splits.train)
    recipe = recipe_of(case, dataset)
    use = chosen(recipe, dataset, data, hardware)
    best = replace(recipe, {"training.precision": use.precision, "training.channels_last": use.channels_last})
    ways: dict[str, tuple[int, Callable[[], None]]] = {
        "ours": (use.threads, partial(ours, best, data, rows, hardware)),
        "bare": (use.threads, partial(bare, best, data, rows, hardware)),
        "plain": (hardware.threads, partial(plain, recipe, data, rows, hardware)),
        "plain with 2 workers": (hardware.threads, partial(plain, recipe, data, rows, hardware, 2)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):  # the first warms up
        for name, (threads, run) in ways.items():
            use_threads(threads)
            begin = time.perf_counter()
            run()
            if turn:
                seconds[name].append(round(time.perf_counter() - begin, 4))
    usual = min(("plain", "plain with 2 workers"), key=lambda name: statistics.median(seconds[name]))
    ratios = {
        "ratio_to_bare": [b / o for b, o in zip(seconds["bare"], seconds["ours"], strict=True)],
        "ratio_to_plain": [p / o for p, o in zip(seconds[usual], seconds["ours"], strict=True)],
    }
    say(f"{case}: {', '.join(f'{name} {statistics.median(values):.2f}' for name, values in ratios.items())}")
    return {
        **{name: statistics.median(values) for name, values in ratios.items()},
        "spread": {name: [min(values), max(values)] for name, values in ratios.items()},
        "step_ms": {name: 1000 * statistics.median(values) / CASES[case][2] for name, values in seconds.items()},
        "chosen": use.reason,
    }


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = [
        "| network | ours, ms a step | bare | plain | plain, 2 workers | to bare | spread | to plain | spread |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        steps = " | ".join(f"{value:.2f}" for value in row["step_ms"].values())
        ratios = " | ".join(
            f"{row[key]:.2f} | {row['spread'][key][0]:.2f} to {row['spread'][key][1]:.2f}" for key in MUST
        )
        lines.append(f"| {name.replace('_', ' ')} | {steps} | {ratios} |")
    return "\n".join([*lines, "", ", ".join(machine().values()) + "."])


def main(args: argparse.Namespace) -> None:
    """All cases, and the verdict."""
    store: Store = open_store(args, NAME)
    names = args.names or list(CASES)
    rows = {name: store.row(f"{name} x{args.repeats}", partial(measure, name, args.repeats)) for name in names}
    if args.table:
        write_between(DOC, NAME, table(rows))
    ratios = {key: round(statistics.median(row[key] for row in rows.values()), 3) for key in MUST}
    reached = all(ratios[key] >= least for key, least in MUST.items()) if set(names) == set(CASES) else None
    must = ", ".join(f"{key} >= {least}" for key, least in MUST.items())
    finish(NAME, must, reached, **ratios, rows=rows, machine=machine())


if __name__ == "__main__":
    parser = options(__doc__, seeds=None, budget=None)
    parser.add_argument(
        "names", nargs="*", choices=[*CASES, []], metavar="CASE", help=f"{', '.join(CASES)} (default: all)"
    )
    parser.add_argument("--repeats", type=int, default=7, metavar="N", help="turns of each case (default 7)")
    parser.add_argument("--table", action="store_true", help="write the results to docs/performance.md as well")
    main(parser.parse_args())
