"""`lr-find`: the learning-rate range test alone, on the starting network or a recipe's."""

from collections.abc import Callable

import numpy as np
import torch

from autorecipe.data import ReadOptions, load_dataset
from autorecipe.errors import InputError
from autorecipe.recipe import Recipe, describe
from autorecipe.results import LRRange
from autorecipe.search.space import load_space, starting_recipe
from autorecipe.training.evaluate import on_device
from autorecipe.training.hardware import find_hardware
from autorecipe.training.lr_race import RACE_SEEDS, RACERS
from autorecipe.training.lr_range import lr_range_test


def lr_find(
    source: object,
    options: ReadOptions,
    *,
    recipe: Recipe | None = None,
    device: str = "auto",
    threads: int | None = None,
    steps: int = 100,
    seeds: int = 4,
    race_steps: int = 60,
    say: Callable[..., None],
    stop: Callable[[], None],
) -> tuple[str, LRRange]:
    """Run the test; returns the network in a few words and what was found.

    Args:
        source: the data set.
        options: how to read it.
        recipe: network and optimizer to test; None: the smallest network with the shipped priors.
        device: where.
        threads: CPU threads.
        steps: steps of one sweep.
        seeds: sweeps.
        race_steps: steps of each run of the race around the steepest point; 0: none.
        say: told what is being done.
        stop: raises `Stopped`.

    Raises:
        InputError: data, recipe or numbers are wrong.
    """
    if steps < 24:
        raise InputError(f"--steps {steps}: a curve needs at least 24 steps")
    if seeds < 1:
        raise InputError(f"--seeds {seeds}: at least one sweep is needed")

    def progress(what: str, share: float) -> None:
        stop()
        say("progress", what=what, share=share)

    dataset = load_dataset(source, options, progress)
    hardware = find_hardware(device, threads)
    chosen = recipe if recipe is not None else starting_recipe(load_space(dataset.info.modality), dataset)
    if recipe is not None and recipe.data.modality not in ("", dataset.info.modality):
        raise InputError(
            f"the recipe is for {recipe.data.modality}s, but the data set holds {dataset.info.modality}s; "
            "leave --recipe out"
        )
    data = on_device(dataset, hardware.device)
    rows = torch.from_numpy(np.ascontiguousarray(dataset.splits.train)).to(hardware.device)
    raced = f", then {RACERS * RACE_SEEDS} runs or more of {race_steps}" if race_steps else ""
    say("progress", what=f"{seeds} sweeps of {steps} steps{raced}", share=0.0)
    found = lr_range_test(
        chosen, data, rows, hardware, steps=steps, seeds=seeds, race_steps=race_steps, keep_going=stop
    )
    return describe(chosen.network), found
