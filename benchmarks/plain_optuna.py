"""A search with Optuna as one would write it by hand: what `against_optuna.py` sets autorecipe beside.

    python benchmarks/plain_optuna.py data/diamonds.csv --target price --budget 2m --out result.json

One joint space (`suggest`), TPE and Hyperband for the first half of the budget.  Each trial has a twelfth of
that time on the clock, so that wide networks, whose steps take longer, are compared at equal cost, and its
learning rate falls to zero within it; Hyperband looks at 1/9 and 1/3.  In the second half the best
configuration is trained again from scratch.  Of that model and the best trial's the one that scores better
on val is kept, and is scored on test, once.

The same as in autorecipe: reading, splits, preprocessing and the cache of decoded images; batches and
augmentation on the device; the networks (`resnet`; `mlp` with its embeddings) and the training loop; AdamW;
precision and memory layout, timed here for a network of middle size; and the clock, from the process's start
to its exit.  It trains on train + confirm and chooses on val; autorecipe's final training has train + val and
keeps confirm back for its decisions: as many examples.

Its own: the space; a cosine schedule after a warm-up of a tenth; no averaged weights, no learning-rate range
test, no first guess and no priors but the ranges.  Tables have no augmentation, a regression no label smoothing.
"""

import argparse
import math
import time
from collections import Counter
from dataclasses import dataclass, field
from dataclasses import replace as replace_record
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from common import digest_of_names
from torch import nn

from autorecipe.clock import Clock, parse_budget, start_clock
from autorecipe.data import Dataset, ReadOptions, load_dataset
from autorecipe.networks import family, num_params
from autorecipe.recipe import Block, NetworkSection, Recipe, describe, replace, to_dict
from autorecipe.results import DatasetInfo
from autorecipe.rundir import write_json
from autorecipe.search.space import data_fields
from autorecipe.training.evaluate import DeviceData, direction, gain, predict, score
from autorecipe.training.hardware import Hardware, Numerics, find_hardware, time_numerics
from autorecipe.training.loop import Diverged, OutOfMemory, Session, start_session, train

SEARCH_SHARE = 0.5
"""Share of the budget for the trials; the rest is for training the best configuration again."""
FULL_TRIALS = 12
"""So many trials would fit if none were stopped."""
LOOKS = (1, 3)
"""A trial is looked at after so many ninths."""
RESOURCE = 9
STARTUP_TRIALS = 5
"""Random trials before TPE models, in each of Hyperband's brackets: it has few trials here."""
EXIT_SECONDS = 1.5
"""Kept for saving and the process's end."""


@dataclass
class Kept:
    """The best trial so far."""

    score: float
    recipe: Recipe
    params: dict[str, Any]
    model: nn.Module


@dataclass
class Bench:
    """What every trial needs."""

    dataset: Dataset
    data: DeviceData
    hardware: Hardware
    numerics: Numerics
    clock: Clock
    seed: int
    trial_seconds: float = 0.0
    best: Kept | None = None
    example_seconds: dict[str, float] = field(default_factory=dict)
    """Recipe digest -> seconds to score an example."""

    def rows(self, *splits: str) -> torch.Tensor:
        """Row numbers of some splits, on the device."""
        index = np.concatenate([getattr(self.dataset.splits, name) for name in splits])
        return torch.from_numpy(index).to(self.hardware.device)

    def score(self, model: nn.Module, recipe: Recipe, split: str) -> float:
        """The metric on a split."""
        begin = time.monotonic()
        rows = self.rows(split)
        outputs = predict(model, self.data.inputs, rows, recipe)
        self.example_seconds[recipe.digest] = (time.monotonic() - begin) / max(1, len(rows))
        truth = self.data.targets[rows].cpu().numpy()
        return float(score(self.dataset.info.metric, truth, outputs, self.dataset.info))


# The space


def network(info: DatasetInfo, width: int, depth: int) -> NetworkSection:
    """`depth` blocks a level of a residual network, or `depth` hidden layers of a perceptron."""
    kind = family("resnet" if info.modality == "image" else "mlp")
    section = kind.smallest(info)
    while section.width < width:
        section = kind.wider(section) or section
    if info.modality == "image":
        blocks = [block for level in section.blocks for block in (level, *[Block(level.width)] * (depth - 1))]
    else:
        blocks = [Block(width)] * depth
    return replace_record(section, blocks=tuple(blocks))


def recipe_of(bench: Bench, section: NetworkSection, changes: dict[str, Any]) -> Recipe:
    """A recipe on this data, with the numerics that were timed."""
    fixed = {
        "network": to_dict(section),
        "schedule.name": "cosine",
        "schedule.warmup": 0.1,
        "training.seed": bench.seed,
        "training.precision": bench.numerics.precision,
        "training.channels_last": bench.numerics.channels_last,
    }
    return replace(Recipe(), {**data_fields(bench.dataset.info, bench.seed), **fixed, **changes})


def suggest(trial: optuna.Trial, bench: Bench) -> Recipe:
    """A point of the joint space."""
    info = bench.dataset.info
    images = info.modality == "image"
    width = 2 ** (trial.suggest_int("log2_width", 3, 6) if images else trial.suggest_int("log2_width", 6, 9))
    depth = trial.suggest_int("depth", 1, 3) if images else trial.suggest_int("depth", 2, 5)
    changes = {
        "optimizer.lr": trial.suggest_float("lr", 3e-4, 3e-2, log=True),
        "optimizer.weight_decay": trial.suggest_float("weight_decay", 1e-3, 0.3, log=True),
        "training.batch_size": trial.suggest_categorical("batch_size", [64, 128, 256] if images else [128, 256, 512]),
        "regularization.dropout": trial.suggest_float("dropout", 0.0, 0.4),
    }
    if info.task != "regression":
        changes["regularization.label_smoothing"] = trial.suggest_float("label_smoothing", 0.0, 0.15)
    if images:
        changes["regularization.crop"] = trial.suggest_int("crop", 0, 4)
        changes["regularization.flip"] = trial.suggest_categorical("flip", [False, True])
        changes["regularization.erase"] = trial.suggest_categorical("erase", [0.0, 0.25])
        changes["regularization.mixup"] = trial.suggest_categorical("mixup", [0.0, 0.2])
    return recipe_of(bench, network(info, width, depth), changes)


# Training


def run_trial(trial: optuna.Trial, bench: Bench) -> float:
    """The score on val after a trial's time; the best trial's model is kept."""
    recipe = suggest(trial, bench)
    looks = list(LOOKS)
    begin = time.monotonic()
    try:
        session = start_session(recipe, bench.data, bench.hardware)
        every = bench.trial_seconds / RESOURCE / 4
        rows = bench.rows("train", "confirm")
        for look in train(session, bench.data, rows, look_seconds=every, limit_seconds=bench.trial_seconds):
            if looks and look.progress < 1 and look.progress * RESOURCE >= looks[0]:
                trial.report(bench.score(session.model, recipe, "val"), looks.pop(0))
                if trial.should_prune():
                    raise optuna.TrialPruned
    except (Diverged, OutOfMemory) as error:
        raise optuna.TrialPruned(str(error)) from error
    value = bench.score(session.model, recipe, "val")
    metric = bench.dataset.info.metric
    if math.isfinite(value) and (bench.best is None or gain(metric, value, bench.best.score) > 0):
        bench.best = Kept(value, recipe, trial.params, session.model)
    print(f"trial {trial.number}: {value:.4g} in {time.monotonic() - begin:.1f} s {trial.params}", flush=True)
    return value


def search(bench: Bench, seconds: float) -> optuna.Study:
    """Trials for so many seconds; the one that is running then may end."""
    bench.trial_seconds = seconds / FULL_TRIALS
    study = optuna.create_study(
        direction=direction(bench.dataset.info.metric),
        sampler=optuna.samplers.TPESampler(n_startup_trials=STARTUP_TRIALS, seed=bench.seed),
        pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=RESOURCE, reduction_factor=3),
    )
    study.optimize(lambda trial: run_trial(trial, bench), timeout=seconds)
    return study


def train_again(bench: Bench, recipe: Recipe) -> tuple[float, nn.Module] | None:
    """The recipe from scratch for the time that is left, and its score on val; None if it failed."""
    scored = len(bench.dataset.splits.val) + len(bench.dataset.splits.test)
    seconds = bench.clock.left() - EXIT_SECONDS - 2 * scored * bench.example_seconds[recipe.digest]
    if seconds <= 0:
        return None
    try:
        session = start_session(recipe, bench.data, bench.hardware)
        for _ in train(session, bench.data, bench.rows("train", "confirm"), limit_seconds=seconds):
            pass
    except (Diverged, OutOfMemory):
        return None
    value = bench.score(session.model, recipe, "val")
    return (value, session.model) if math.isfinite(value) else None


def fastest(bench: Bench) -> Numerics:
    """Precision and memory layout for a network of middle size, as autorecipe times them."""
    info = bench.dataset.info
    section = network(info, 16, 2) if info.modality == "image" else network(info, 256, 3)
    plain = recipe_of(bench, section, {"training.steps": 10**9})
    sessions: dict[tuple[str, bool], Any] = {}

    def run_steps(precision: str, channels_last: bool, count: int) -> None:
        key = (precision, channels_last)
        if key not in sessions:
            recipe = replace(plain, {"training.precision": precision, "training.channels_last": channels_last})
            session: Session = start_session(recipe, bench.data, bench.hardware)
            sessions[key] = train(session, bench.data, bench.rows("train"), look_seconds=0.0)
        for _ in range(count):
            next(sessions[key])

    return time_numerics(run_steps, info.modality, bench.hardware, budget_seconds=2.0)


def main() -> None:
    """Read, search, train the best again, score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="a path or a bundled name")
    parser.add_argument("--target", metavar="COL", help="the column to predict, for tables")
    parser.add_argument("--budget", default="2m", help="from the process's start to its exit (default 2m)")
    parser.add_argument("--seed", type=int, default=0, help="of the splits, the sampler and the training")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the result, as JSON")
    args = parser.parse_args()
    budget = parse_budget(args.budget)
    if budget.seconds is None:
        parser.error("--budget must be a time")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    clock = start_clock(budget, since_process_start=True)
    dataset = load_dataset(args.dataset, ReadOptions(target=args.target, seed=args.seed))
    # All threads: nothing else runs beside this.
    hardware = replace_record(find_hardware(), vary_threads=False)
    inputs = tuple(x.to(hardware.device) for x in dataset.inputs)
    data = DeviceData(dataset.info, inputs, dataset.targets.to(hardware.device))
    plain = Numerics("fp32", False, hardware.threads, 0.0, "not timed yet")
    bench = Bench(dataset, data, hardware, plain, clock, args.seed)
    bench.numerics = fastest(bench)
    print(f"{clock.elapsed():.1f} s: {bench.numerics.reason}", flush=True)

    study = search(bench, max(1.0, SEARCH_SHARE * budget.seconds - clock.elapsed()))
    best = bench.best
    if best is None:
        raise SystemExit("no trial has ended with a score")
    print(f"{clock.elapsed():.1f} s: {len(study.trials)} trials; training the best again", flush=True)
    again = train_again(bench, best.recipe)
    metric = dataset.info.metric
    kept = again is not None and not gain(metric, best.score, again[0]) > 0
    model = again[1] if again is not None and kept else best.model
    result = {
        "score": bench.score(model, best.recipe, "test"),
        "metric": metric,
        "kept": "trained again" if kept else "the best trial's",
        "val": {"best trial": best.score, "trained again": None if again is None else again[0]},
        "network": describe(best.recipe.network),
        "num_params": num_params(model),
        "params": best.params,
        "trials": len(study.trials),
        "states": dict(Counter(trial.state.name.lower() for trial in study.trials)),
        "numerics": bench.numerics.reason,
        "test_examples": digest_of_names(dataset.names[i] for i in dataset.splits.test.tolist()),
    }
    write_json(args.out, result)
    print(f"{clock.elapsed():.1f} s: {metric} {result['score']:.4f} on test, {result['kept']} kept", flush=True)


if __name__ == "__main__":
    main()
