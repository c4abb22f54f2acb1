"""How good and how repeatable a suggested learning rate is: ours beside fastai's and torch-lr-finder's.

    pip install '.[benchmark]'
    python benchmarks/lr_range.py
    python benchmarks/lr_range.py mlp_32 --seeds 3
    python benchmarks/lr_range.py --table                     stored results -> docs/performance.md

For each network a fine grid of learning rates is trained, six seeds each, with the same schedule and steps; the loss
on val and confirm at the end, smoothed over neighbouring rates, says what a suggestion is worth.

- regret: the loss at the suggested rate over the lowest of the grid, as a log ratio;
- spread: standard deviation of log10 of the suggestions over the seeds (each another initialisation and order).

Everyone tests the same network with the same AdamW, batches and data.  Each peer once as its documentation has it, and
once with as many runs as ours has, of which the median is taken.

Networks, on scikit-learn's data: small and wide perceptrons and convnets; `flat`, whose labels are shuffled, so that no
rate learns anything; `noisy`, a third of whose labels is wrong, in batches of 16.

Must, on 2 CPU cores without a GPU: mean regret and mean spread at most half of the best peer's.
"""

import argparse
import contextlib
import io
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import replace as replace_record
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import HERE, finish, machine, open_store, options, say, write_between
from sklearn.datasets import load_digits
from torch import Tensor, nn

from autorecipe.data import Dataset, ReadOptions, load_dataset
from autorecipe.networks import build, family
from autorecipe.recipe import Block, Recipe, replace
from autorecipe.results import LRRange
from autorecipe.search.space import data_fields
from autorecipe.training.cohort import start_cohort, train_cohort
from autorecipe.training.evaluate import DeviceData, loss_of_each, on_device, predict
from autorecipe.training.hardware import Hardware, find_hardware
from autorecipe.training.losses import loss_function
from autorecipe.training.lr_race import RACE_SEEDS
from autorecipe.training.lr_range import lr_range_test

NAME = "lr_range"
DOC = HERE.parent / "docs" / "performance.md"
CASES = {
    "mlp_32": ("table", 32, "none"),
    "mlp_256_piecewise": ("table", 256, "piecewise"),
    "mlp_64_flat": ("flat", 64, "none"),
    "mlp_64_noisy": ("noisy", 64, "none"),
    "conv_8": ("image", 8, "none"),
    "conv_32": ("image", 32, "none"),
}
"""Data, width and embedding."""
STEPS = 200
"""Steps of a run of the grid."""
GRID = np.geomspace(1e-5, 1.0, 31)
GRID_SEEDS = 6
SWEEPS, SWEEP_STEPS, RACE_STEPS = 4, 80, 60
PEER_STEPS = 100
"""Both peers' own number of steps."""
WORST = 3.0
"""Log ratio that a diverged run counts as."""
OURS = "autorecipe"
MUST = 0.5


def dataset_of(kind: str) -> Dataset:
    """The data of a case."""
    found, draw = load_digits(), np.random.default_rng(0)
    if kind == "image":
        return load_dataset(((found.images * 15.9).astype(np.uint8), found.target), ReadOptions())
    shuffled = {"table": 0.0, "noisy": 1 / 3, "flat": 1.0}[kind]
    target = np.where(draw.random(len(found.target)) < shuffled, draw.permutation(found.target), found.target)
    return load_dataset((pd.DataFrame(found.data, columns=[f"pixel {k}" for k in range(64)]), target), ReadOptions())


def recipe_of(case: str, dataset: Dataset) -> Recipe:
    """Network, optimizer and schedule of a case."""
    kind, width, embedding = CASES[case]
    section = family("resnet" if kind == "image" else "mlp").smallest(dataset.info)
    ratio = width / section.width
    blocks = tuple(Block(round(b.width * ratio), b.kernel, b.stride) for b in section.blocks)
    return replace(
        Recipe(),
        {
            **data_fields(dataset.info),
            "network": replace_record(section, width=width, blocks=blocks, embedding=embedding),
            "training.batch_size": 16 if kind == "noisy" else 64,
            "training.steps": STEPS,
        },
    )


def grid(recipe: Recipe, dataset: Dataset, data: DeviceData, hardware: Hardware) -> np.ndarray:
    """Mean log of the loss on val and confirm at the end, smoothed, for each rate of the grid [G]."""
    rows = torch.from_numpy(dataset.splits.train)
    val = torch.from_numpy(np.concatenate([dataset.splits.val, dataset.splits.confirm]))
    targets = dataset.targets.numpy()[val.numpy()]
    losses = np.full((len(GRID), GRID_SEEDS), np.inf)
    for seed in range(GRID_SEEDS):
        recipes = [replace(recipe, {"optimizer.lr": float(lr), "training.seed": 100 + seed}) for lr in GRID]
        cohort = start_cohort(recipes, data, [rows] * len(recipes), hardware)
        for _ in train_cohort(cohort, data):
            pass
        outputs = predict(cohort.readable, data.inputs, val, recipe)
        for k, number in enumerate(cohort.numbers):
            losses[number, seed] = loss_of_each(targets, outputs[:, k], dataset.info).mean()
    logs = np.log(np.where(np.isfinite(losses), losses, np.inf)).mean(1)
    logs = np.minimum(logs, logs.min() + WORST)
    return np.convolve(np.pad(logs, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")


def regret(lr: float, losses: np.ndarray) -> float:
    """Log ratio of the loss at a rate to the lowest of the grid; between its points on a straight line."""
    return float(np.interp(np.log(lr), np.log(GRID), losses) - losses.min())


# Who suggests: each returns one rate for a seed and a number of runs


def ours(recipe: Recipe, data: DeviceData, rows: Tensor, hardware: Hardware, seed: int) -> LRRange:
    """The sweeps and the race of a search."""
    seeded = replace(recipe, {"training.seed": 1000 * (seed + 1)})
    return lr_range_test(
        seeded, data, rows, hardware, steps=SWEEP_STEPS, seeds=SWEEPS, race_steps=RACE_STEPS, fallback=None
    )


def loader_of(recipe: Recipe, data: DeviceData, rows: Tensor, seed: int) -> Any:
    """Shuffled batches ((inputs...), targets) without end."""
    generator = torch.Generator().manual_seed(seed)
    size = recipe.training.batch_size
    batches = []
    while len(batches) < PEER_STEPS + 2:
        order = rows[torch.randperm(len(rows), generator=generator)]
        batches += [order[i : i + size] for i in range(0, len(order) - size + 1, size)]
    inputs = data.inputs[:1]
    return [(*(x[batch] for x in inputs), data.targets[batch]) for batch in batches]


class OneInput(nn.Module):
    """The network with its first input alone: both peers feed one; there are no codes in these tables."""

    def __init__(self, recipe: Recipe, data: DeviceData, seed: int) -> None:
        super().__init__()
        self.network = build(recipe.network, recipe.regularization, data.info, seed)
        self.image = data.info.modality == "image"

    def forward(self, x: Tensor) -> Tensor:
        """Outputs [B, O]."""
        if self.image:
            return self.network(x)
        return self.network(x, torch.zeros(len(x), 0, dtype=torch.int64))


def adamw_of(recipe: Recipe) -> dict[str, Any]:
    """The optimizer's settings."""
    section = recipe.optimizer
    return {"weight_decay": section.weight_decay, "betas": (section.beta1, section.beta2)}


def fastai_rates(recipe: Recipe, data: DeviceData, rows: Tensor, seed: int) -> dict[str, float]:
    """What `valley` and `steep` suggest after one run of `lr_find`."""
    from fastai.callback.schedule import steep, valley
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastai.optimizer import OptimWrapper
    from torch.utils.data import DataLoader

    torch.manual_seed(seed)
    batches = DataLoader(loader_of(recipe, data, rows, seed), batch_size=None)
    with tempfile.TemporaryDirectory() as folder:
        learner = Learner(
            DataLoaders(batches, batches, device="cpu"),
            OneInput(recipe, data, seed),
            loss_func=lambda outputs, targets: loss_function(outputs, targets, data.info, 0.0, None),
            opt_func=partial(OptimWrapper, opt=partial(torch.optim.AdamW, **adamw_of(recipe))),
            path=folder,
        )
        with learner.no_bar(), learner.no_logging():
            found = learner.lr_find(show_plot=False, suggest_funcs=(valley, steep), num_it=PEER_STEPS)
    return {"fastai valley": float(found.valley), "fastai steep": float(found.steep)}


def finder_rates(recipe: Recipe, data: DeviceData, rows: Tensor, seed: int) -> dict[str, float]:
    """The steepest point of torch-lr-finder's `plot` after one `range_test`."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from torch_lr_finder import LRFinder

    torch.manual_seed(seed)
    model = OneInput(recipe, data, seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-7, **adamw_of(recipe))
    finder = LRFinder(
        model, optimizer, lambda outputs, targets: loss_function(outputs, targets, data.info, 0.0, None), device="cpu"
    )
    figure, axes = plt.subplots()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            batches = torch.utils.data.DataLoader(loader_of(recipe, data, rows, seed), batch_size=None)
            finder.range_test(batches, end_lr=10, num_iter=PEER_STEPS)
            found = finder.plot(ax=axes, suggest_lr=True)
    finally:
        plt.close(figure)
    return {"torch-lr-finder steepest": float(found[1])} if isinstance(found, tuple) else {}


def measure(case: str, seeds: int) -> dict[str, Any]:
    """Suggestions of all for each seed, and the grid."""
    dataset, hardware = dataset_of(CASES[case][0]), find_hardware("cpu")
    data, rows = on_device(dataset, hardware.device), torch.from_numpy(dataset.splits.train)
    recipe = recipe_of(case, dataset)
    losses = grid(recipe, dataset, data, hardware)
    best = float(GRID[int(losses.argmin())])
    say(f"{case}: grid done, best rate {best:.2g}")
    suggested: dict[str, list[float]] = {}
    steps: dict[str, list[int]] = {}
    for seed in range(seeds):
        found = ours(recipe, data, rows, hardware, seed)
        suggested.setdefault(OURS, []).append(found.suggestion)
        steps.setdefault(OURS, []).append(found.steps)
        runs = SWEEPS + len(found.race_lrs) * RACE_SEEDS
        singles: dict[str, list[float]] = {}
        for run in range(runs):
            for peer in (fastai_rates, finder_rates):
                for name, lr in peer(recipe, data, rows, 10_000 * (seed + 1) + run).items():
                    singles.setdefault(name, []).append(lr)
        for name, lrs in singles.items():
            suggested.setdefault(name, []).append(lrs[0])
            suggested.setdefault(f"{name}, as many runs", []).append(statistics.median(lrs))
            steps.setdefault(name, []).append(PEER_STEPS)
            steps.setdefault(f"{name}, as many runs", []).append(PEER_STEPS * runs)
        say(f"{case} seed {seed}: " + ", ".join(f"{name} {lrs[-1]:.2g}" for name, lrs in suggested.items()))
    return {
        "best": best,
        "grid": [round(float(x), 4) for x in losses - losses.min()],
        "suggested": suggested,
        "regret": {name: statistics.mean(regret(lr, losses) for lr in lrs) for name, lrs in suggested.items()},
        "spread": {name: float(np.std(np.log10(lrs), ddof=1)) for name, lrs in suggested.items()},
        "steps": {name: statistics.mean(counts) for name, counts in steps.items()},
    }


def over_cases(rows: dict[str, dict[str, Any]], key: str) -> dict[str, float]:
    """Mean over the networks, of those who always had a suggestion."""
    names = set.intersection(*(set(row[key]) for row in rows.values()))
    first: Callable[[str], tuple[bool, str]] = lambda name: (name != OURS, name)  # noqa: E731
    return {name: statistics.mean(row[key][name] for row in rows.values()) for name in sorted(names, key=first)}


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The rows in Markdown."""
    regrets, spreads, steps = (over_cases(rows, key) for key in ("regret", "spread", "steps"))
    lines = [
        f"| rule | steps | mean regret | mean spread | {' | '.join(name.replace('_', ' ') for name in rows)} |",
        f"|---|---|---|---|{'---|' * len(rows)}",
    ]
    for name in regrets:
        each = " | ".join(f"{row['regret'][name]:.3f} ({row['spread'][name]:.2f})" for row in rows.values())
        lines.append(f"| {name} | {steps[name]:,.0f} | {regrets[name]:.3f} | {spreads[name]:.2f} | {each} |")
    lines += ["", "Of each network the mean regret, and in brackets the spread."]
    return "\n".join([*lines, "", ", ".join(machine().values()) + "."])


def main(args: argparse.Namespace) -> None:
    """All cases, and the verdict."""
    store = open_store(args, NAME)
    names = args.names or list(CASES)
    rows = {name: store.row(f"{name} x{args.seeds}", partial(measure, name, args.seeds)) for name in names}
    if args.table:
        write_between(DOC, NAME, table(rows))
    ratios = {}
    for key in ("regret", "spread"):
        means = over_cases(rows, key)
        peers = [value for name, value in means.items() if name != OURS]
        ratios[f"{key}_ratio_to_best_peer"] = round(means[OURS] / max(min(peers), 1e-9), 3)
    judged = set(names) == set(CASES) and args.seeds >= 10
    reached = all(value <= MUST for value in ratios.values()) if judged else None
    means = {f"mean_{key}": over_cases(rows, key) for key in ("regret", "spread")}
    finish(NAME, f"both ratios <= {MUST}", reached, **ratios, **means, rows=rows, machine=machine())


if __name__ == "__main__":
    parser = options(__doc__, seeds=10, budget=None)
    parser.add_argument(
        "names", nargs="*", choices=[*CASES, []], metavar="CASE", help=f"{', '.join(CASES)} (default: all)"
    )
    parser.add_argument("--table", action="store_true", help="write the results to docs/performance.md as well")
    main(parser.parse_args())
