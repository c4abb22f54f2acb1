"""Fixtures that every test may use: no test touches the user's cache, network or global settings."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import Heard, go_on, no_worker, small_digits

from autorecipe.clock import Budget, Clock, parse_budget, start_clock
from autorecipe.data import ReadOptions, load_dataset


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
