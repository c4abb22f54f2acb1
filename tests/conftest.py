"""Fixtures that every test may use: no test touches the user's cache, network or global settings."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from autorecipe.clock import Budget, Clock, parse_budget, start_clock
from autorecipe.data import ReadOptions, load_dataset
from autorecipe.recipe import Recipe, replace
from autorecipe.training.evaluate import DeviceData
from autorecipe.training.hardware import Hardware

CPU = Hardware(torch.device("cpu"), 1, fused=True, reason="for tests")


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    """The cache of decoded images lies in a temporary folder."""
    patch = pytest.MonkeyPatch()
    patch.setenv("AUTORECIPE_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _global_settings():
    """A search with a budget in epochs asks torch for deterministic algorithms: put back after each test."""
    before = torch.are_deterministic_algorithms_enabled()
    warn = torch.is_deterministic_algorithms_warn_only_enabled()
    yield
    torch.use_deterministic_algorithms(before, warn_only=warn)


def small_digits(count=400, channels=1, resolution=None, seed=0):
    """Some of scikit-learn's digits as (X [N, H, W] or [N, H, W, 3], y)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    rows = np.random.default_rng(seed).permutation(len(digits.target))[:count]
    images = (digits.images[rows] * 15.9).astype(np.uint8)
    if channels == 3:
        images = np.stack([images, images // 2, 255 - images], axis=-1)
    return images, digits.target[rows]


def on_cpu(dataset):
    """A data set's tensors as the training code wants them."""
    return DeviceData(dataset.info, dataset.inputs, dataset.targets)


def rows_of(dataset, split="train"):
    return torch.from_numpy(getattr(dataset.splits, split))


@pytest.fixture(scope="session")
def digits(_own_cache):
    """400 grey images of 8x8 pixels in ten classes."""
    return load_dataset(small_digits(), ReadOptions())


@pytest.fixture(scope="session")
def coloured(_own_cache):
    """The same in colour."""
    return load_dataset(small_digits(channels=3), ReadOptions())


@pytest.fixture(scope="session")
def iris(_own_cache):
    return load_dataset("iris", ReadOptions())


@pytest.fixture(scope="session")
def diabetes(_own_cache):
    return load_dataset("diabetes", ReadOptions())


@pytest.fixture(scope="session")
def mixed(_own_cache):
    """A binary table with numbers, gaps and two categories."""
    import pandas as pd

    random = np.random.default_rng(0)
    count = 300
    colour = random.choice(["red", "green", "blue"], count)
    size = random.normal(size=count)
    size[::17] = np.nan
    weight = random.normal(size=count)
    label = np.where(np.nan_to_num(size) + (colour == "red") + 0.5 * weight > 0.3, "yes", "no")
    frame = pd.DataFrame(
        {"size": size, "weight": weight, "colour": colour, "shape": random.choice(["round", "flat"], count)}
    )
    return load_dataset((frame, label), ReadOptions())


@pytest.fixture(scope="session")
def datasets(digits, coloured, iris, diabetes, mixed):
    """Every small data set by name."""
    return {"digits": digits, "coloured": coloured, "iris": iris, "diabetes": diabetes, "mixed": mixed}


def recipe_for(dataset, section=None, **changes):
    """A short plain recipe for a data set: the smallest network of the usual family unless `section` is given."""
    from autorecipe.networks import family

    info = dataset.info
    name = "resnet" if info.modality == "image" else "mlp"
    section = section if section is not None else family(name).smallest(info)
    return replace(
        Recipe(),
        {
            "network": section,
            "data.modality": info.modality,
            "data.task": info.task,
            "data.metric": info.metric,
            "data.resolution": info.resolution,
            "data.channels": info.channels,
            "training.batch_size": 32,
            "training.steps": 8,
            "optimizer.lr": 3e-3,
            **changes,
        },
    )


class Heard(list):
    """Remembers what a search says."""

    def __call__(self, kind, **facts):
        self.append((kind, facts))

    def of(self, kind):
        return [facts for k, facts in self if k == kind]


def go_on():
    """Never stop."""


def no_worker():
    """Instead of the baselines' process, which imports scikit-learn for seconds: one that ends at once."""
    import subprocess

    return subprocess.Popen(
        [sys.executable, "-S", "-c", "pass"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.fixture
def no_baselines(monkeypatch):
    """Searches without baselines, which are not what is tested."""
    from autorecipe.search import baselines

    monkeypatch.setattr(baselines, "start_worker", no_worker)


@pytest.fixture
def searched(no_baselines, tmp_path):
    """Run a search without baselines; returns its folder and what it said."""
    from autorecipe.search.agent import run_search
    from autorecipe.search.settings import Settings

    def run(name="run", *, source="iris", budget="60epochs", data=None, stop=go_on, **settings):
        heard = Heard()
        chosen = Settings(source=None if data is not None else source, budget=budget, threads=1, **settings)
        clock = start_clock(parse_budget(budget), since_process_start=False)
        folder = run_search(chosen, tmp_path / name, clock, source=data, say=heard, stop=stop)
        return SimpleNamespace(run=folder, heard=heard, path=folder.path)

    return run


@pytest.fixture
def resumed(no_baselines):
    """Resume a run; returns its folder and what it said."""
    from autorecipe.rundir import open_run
    from autorecipe.search.agent import resume_run

    def run(path, more=None, *, data=None, stop=go_on):
        heard = Heard()
        clock = start_clock(Budget("", epochs=1.0), since_process_start=False)
        assert isinstance(clock, Clock)
        added = None if more is None else parse_budget(more)
        folder = resume_run(open_run(path), added, clock, source=data, say=heard, stop=stop)
        return SimpleNamespace(run=folder, heard=heard, path=folder.path)

    return run
