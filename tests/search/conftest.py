"""Fixtures of the search's tests."""

import pytest
import torch

from autorecipe.clock import Clock, parse_budget
from autorecipe.rundir import RunDir
from autorecipe.search.prepare import make_bench
from autorecipe.search.settings import Settings
from autorecipe.search.workbench import State


@pytest.fixture
def bench_of(tmp_path):
    """A workbench for a data set, with a budget in epochs."""

    def make(dataset, **settings):
        run = RunDir(tmp_path / "run")
        run.path.mkdir(exist_ok=True)
        budget = parse_budget("20epochs")
        settings = Settings(source="none", budget="20epochs", device="cpu", threads=1, **settings)
        return make_bench(
            settings,
            run,
            dataset,
            budget,
            Clock(0.0, float("inf"), 0.0),
            State(),
            lambda *_, **__: None,
            lambda: None,
            None,
        )

    before = torch.get_num_threads()
    yield make
    torch.set_num_threads(before)
