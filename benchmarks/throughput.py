"""Finished trials a second: as a cohort, as the probe chooses, against one after another.

    python benchmarks/throughput.py
    python benchmarks/throughput.py mlp_64 conv_8 --repeats 5
    python benchmarks/throughput.py --table                     stored results -> docs/performance.md

A trial is a recipe built, trained for its steps and scored on val; the trials of a case differ in learning rate,
weight decay, dropout and label smoothing.  Both ways take turns, each first in every other; a ratio is that of a turn.
The probe's own time counts for the cohort, once for all its trials, as in a search.

Data: scikit-learn's digits, as a table of 64 numbers for the perceptrons and as images for the convnets.

Must, on 2 CPU cores without a GPU: speedup_mlp_64 >= 3.5, speedup_mlp_32 >= 4, speedup_conv_8 >= 1.7 and in no case
below 0.95.
"""

import argparse
import statistics
import time
from dataclasses import replace as replace_record
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import HERE, Store, finish, machine, open_store, options, say, write_between
from sklearn.datasets import load_digits

from autorecipe.data import Dataset, ReadOptions, load_dataset
from autorecipe.networks import build, family, num_params
from autorecipe.recipe import Block, NetworkSection, Recipe, replace
from autorecipe.search.space import data_fields
from autorecipe.search.workbench import TRIALS_TO_TIME
from autorecipe.training.cohort import start_cohort, train_cohort
from autorecipe.training.cohort_size import choose_members
from autorecipe.training.evaluate import DeviceData, on_device, predict, score
from autorecipe.training.hardware import Hardware, Numerics, find_hardware, time_numerics, use_threads
from autorecipe.training.loop import start_session, train

NAME = "throughput"
DOC = HERE.parent / "docs" / "performance.md"
TRIALS = 32
CASES = {
    "mlp_16": ("table", "mlp", 16, 300),
    "mlp_32": ("table", "mlp", 32, 300),
    "mlp_64": ("table", "mlp", 64, 300),
    "mlp_64_piecewise": ("table", "mlp", 64, 200),
    "mlp_256": ("table", "mlp", 256, 100),
    "mlp_1024": ("table", "mlp", 1024, 20),
    "conv_4": ("image", "resnet", 4, 60),
    "conv_8": ("image", "resnet", 8, 60),
    "conv_16": ("image", "resnet", 16, 40),
    "conv_64": ("image", "resnet", 64, 10),
}
"""Modality, family, width and steps of a trial."""
MUST = {"mlp_64": 3.5, "mlp_32": 4.0, "conv_8": 1.7}
WORST = 0.95


def digits(modality: str) -> Dataset:
    """The 1,797 digits of 8x8 pixels, as images or as a table."""
    found = load_digits()
    if modality == "image":
        return load_dataset(((found.images * 15.9).astype(np.uint8), found.target), ReadOptions())
    frame = pd.DataFrame(found.data, columns=[f"pixel {k}" for k in range(64)])
    return load_dataset((frame, found.target), ReadOptions())


def recipes_of(case: str, dataset: Dataset) -> list[Recipe]:
    """The trials of a case."""
    modality, name, width, steps = CASES[case]
    section: NetworkSection = family(name).smallest(dataset.info)
    ratio = width / section.width
    blocks = tuple(Block(round(b.width * ratio), b.kernel, b.stride) for b in section.blocks)
    embedding = "piecewise" if case.endswith("piecewise") else "none"
    section = replace_record(section, width=width, blocks=blocks, embedding=embedding)
    base = replace(Recipe(), {**data_fields(dataset.info), "network": section, "training.steps": steps})
    draw = np.random.default_rng(0)
    return [
        replace(
            base,
            {
                "optimizer.lr": float(10 ** draw.uniform(-3.5, -2)),
                "optimizer.weight_decay": float(10 ** draw.uniform(-3, -1)),
                "regularization.dropout": float(draw.choice([0.0, 0.1, 0.2])),
                "regularization.label_smoothing": float(draw.choice([0.0, 0.05])),
                "regularization.averaging": 0.1,
                "training.channels_last": modality == "image",
            },
        )
        for _ in range(TRIALS)
    ]


def alone(recipes: list[Recipe], dataset: Dataset, data: DeviceData, hardware: Hardware) -> list[float]:
    """Scores of trials run one after another."""
    rows, val = (torch.from_numpy(getattr(dataset.splits, name)) for name in ("train", "val"))
    targets = dataset.targets.numpy()[dataset.splits.val]
    scores = []
    for recipe in recipes:
        session = start_session(recipe, data, hardware)
        for _ in train(session, data, rows):
            pass
        outputs = predict(session.readable, data.inputs, val, recipe)
        scores.append(score("accuracy", targets, outputs, dataset.info))
    return scores


def together(
    recipes: list[Recipe], dataset: Dataset, data: DeviceData, hardware: Hardware, step: Numerics
) -> tuple[list[float], int]:
    """Scores of trials in cohorts as large as the probe says, and how large that is."""
    rows, val = (torch.from_numpy(getattr(dataset.splits, name)) for name in ("train", "val"))
    targets = dataset.targets.numpy()[dataset.splits.val]
    params = num_params(build(recipes[0].network, recipes[0].regularization, dataset.info, 0))
    of_a_trial = recipes[0].training.steps * step.step_seconds
    most_seconds = TRIALS_TO_TIME * of_a_trial  # as in a search
    choice = choose_members(recipes[0], data, rows, hardware, step.step_seconds, params, most_seconds)
    if choice.members == 1:
        use_threads(step.threads)
        return alone(recipes, dataset, data, hardware), 1
    scores = []
    for first in range(0, len(recipes), choice.members):
        group = recipes[first : first + choice.members]
        cohort = start_cohort(group, data, [rows] * len(group), hardware)
        for _ in train_cohort(cohort, data):
            pass
        outputs = predict(cohort.readable, data.inputs, val, group[0])
        scores += [score("accuracy", targets, outputs[:, k], dataset.info) for k in range(len(cohort.numbers))]
    return scores, choice.members


def threads_alone(recipe: Recipe, dataset: Dataset, data: DeviceData, hardware: Hardware) -> Numerics:
    """Which number of threads a trial alone has, and how long its step takes: as a search finds out."""
    rows = torch.from_numpy(dataset.splits.train)
    session = start_session(replace(recipe, {"training.steps": 10**6}), data, hardware)
    steps = train(session, data, rows, look_seconds=0.0)

    def run_steps(precision: str, channels_last: bool, count: int) -> None:
        for _ in range(count):
            next(steps)

    return time_numerics(run_steps, "table", hardware, 10.0)


def measure(case: str, repeats: int) -> dict[str, Any]:
    """Both ways in turn."""
    dataset = digits(CASES[case][0])
    hardware = find_hardware("cpu")
    data = on_device(dataset, hardware.device)
    recipes = recipes_of(case, dataset)
    step = threads_alone(recipes[0], dataset, data, hardware)
    ratios, seconds = [], []
    for turn in range(repeats):
        took = {}
        for way in ("alone", "cohort") if turn % 2 == 0 else ("cohort", "alone"):
            use_threads(step.threads)
            begin = time.perf_counter()
            if way == "alone":
                one = alone(recipes, dataset, data, hardware)
            else:
                many, members = together(recipes, dataset, data, hardware, step)
            took[way] = time.perf_counter() - begin
        ratios.append(took["alone"] / took["cohort"])
        seconds.append([round(took["alone"], 3), round(took["cohort"], 3)])
        say(f"{case}: {took['alone']:.2f} s, in cohorts of {members} {took['cohort']:.2f} s: {ratios[-1]:.2f}")
    return {
        "speedup": statistics.median(ratios),
        "spread": [min(ratios), max(ratios)],
        "seconds": seconds,
        "members": members,
        "trials": len(recipes),
        "steps": CASES[case][3],
        "mean_accuracy": {"alone": statistics.mean(one), "cohort": statistics.mean(many)},
    }


def rows_of(store: Store, names: list[str], repeats: int) -> dict[str, dict[str, Any]]:
    """The row of each case, measured or taken."""
    return {name: store.row(f"{name} x{repeats}", partial(measure, name, repeats)) for name in names}


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = [
        "| network | trials, steps each | one after another | cohort | members | speed-up | spread |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        one, many = (statistics.median(pair[k] for pair in row["seconds"]) for k in (0, 1))
        low, high = row["spread"]
        what = f"{name.replace('_', ' ')} | {row['trials']}, {row['steps']}"
        ratio = f"{row['speedup']:.2f} | {low:.2f} to {high:.2f}"
        lines.append(f"| {what} | {one:.2f} s | {many:.2f} s | {row['members']} | {ratio} |")
    return "\n".join([*lines, "", ", ".join(machine().values()) + "."])


def main(args: argparse.Namespace) -> None:
    """All cases, and the verdict."""
    store = open_store(args, NAME)
    names = args.names or list(CASES)
    rows = rows_of(store, names, args.repeats)
    if args.table:
        write_between(DOC, NAME, table(rows))
    speedups = {f"speedup_{name}": round(row["speedup"], 3) for name, row in rows.items()}
    worst = min(speedups.values())
    judged = set(names) >= set(MUST)
    reached = worst >= WORST and all(speedups[f"speedup_{name}"] >= least for name, least in MUST.items() if judged)
    must = ", ".join(f"{name} >= {least}" for name, least in MUST.items()) + f", worst >= {WORST}"
    finish(NAME, must, reached if judged else None, **speedups, worst=worst, rows=rows, machine=machine())


if __name__ == "__main__":
    parser = options(__doc__, seeds=None, budget=None)
    parser.add_argument(
        "names", nargs="*", choices=[*CASES, []], metavar="CASE", help=f"{', '.join(CASES)} (default: all)"
    )
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="turns of each case (default 5)")
    parser.add_argument("--table", action="store_true", help="write the results to docs/performance.md as well")
    main(parser.parse_args())
