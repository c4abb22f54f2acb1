"""Small runs of every task, made once, and copies of them to do harm to."""

import shutil

import numpy as np
import pytest
from helpers import Heard, go_on, no_worker, small_digits

from autorecipe.rundir import RunDir

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="session")
def reported(_own_cache, tmp_path_factory):
    """Name of a task -> the folder of a small complete run without baselines; made when it is first asked for."""
    from autorecipe.clock import parse_budget, start_clock
    from autorecipe.search import baselines
    from autorecipe.search.agent import run_search
    from autorecipe.search.settings import Settings

    place, made = tmp_path_factory.mktemp("reported"), {}
    kinds = {
        "image": ({"data": small_digits()}, "20epochs"),
        "table": ({"source": "iris"}, "60epochs"),
        "regression": ({"source": "diabetes"}, "60epochs"),
        "multilabel": ({"data": _labels()}, "60epochs"),
    }

    def run(kind):
        if kind not in made:
            asked, budget = kinds[kind]
            settings = Settings(source=asked.get("source"), budget=budget, threads=1, max_width=16, max_depth=1)
            clock = start_clock(parse_budget(budget), since_process_start=False)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(baselines, "start_worker", no_worker)
                made[kind] = run_search(
                    settings, place / kind, clock, source=asked.get("data"), say=Heard(), stop=go_on
                )
        return made[kind]

    return run


def _labels():
    """A table with three labels."""
    random = np.random.default_rng(0)
    inputs = random.normal(size=(240, 4)).astype(np.float32)
    return inputs, (inputs[:, :3] + 0.3 * random.normal(size=(240, 3)) > 0.2).astype(np.int64)


@pytest.fixture
def copied(reported, tmp_path):
    """A copy of a small run, by its task, that a test may change."""
    return lambda kind: RunDir(shutil.copytree(reported(kind).path, tmp_path / kind))


@pytest.fixture
def enriched(copied):
    """The same with predictions for test, examples, intervals and foresight, as later parts of a search write them."""
    from report_pieces import add_pieces

    def run(kind, name=None):
        folder = copied(kind)
        add_pieces(folder, name)
        return folder

    return run
