"""A run of one recipe of a few steps: what is exported of it can be compared number by number."""

import pytest
from helpers import Heard, go_on, recipe_for

from autorecipe.clock import Budget, start_clock
from autorecipe.data import ReadOptions, load_dataset
from autorecipe.predictor import load
from autorecipe.recipe import replace
from autorecipe.search.replay import replay_recipe


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
