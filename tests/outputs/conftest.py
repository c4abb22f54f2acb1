"""Small runs of every task, made once, and copies of them to do harm to; runs of one recipe of a few steps."""

import shutil

import numpy as np
import pytest
from helpers import Heard, go_on, no_worker, recipe_for, small_digits

from autorecipe.clock import Budget, start_clock
from autorecipe.data import ReadOptions, load_dataset
from autorecipe.predictor import load
from autorecipe.recipe import replace
from autorecipe.rundir import RunDir
from autorecipe.search.replay import replay_recipe

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


@pytest.fixture
def replayed(tmp_path):
    """Train a recipe on a data set as `replay` does; returns its result.

    `options` are those of reading, `changes` those of the recipe.
    """

    def run(source, name="run", options=None, **changes):
        options = options or {}
        dataset = load_dataset(source, ReadOptions(**options))
        known = {key: options[key] for key in ("keep", "drop", "group", "time", "range") if key in options}
        data = {"data.target": options.get("target") or "", **{f"data.{key}": value for key, value in known.items()}}
        recipe = replace(recipe_for(dataset), {**data, "data.split_seed": options.get("seed", 0), **changes})
        clock = start_clock(Budget("none"), since_process_start=False)
        folder = replay_recipe(recipe, source, tmp_path / name, clock, device="cpu", threads=1, say=Heard(), stop=go_on)
        return load(folder.path)

    return run
