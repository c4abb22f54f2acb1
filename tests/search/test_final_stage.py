"""What the last stage settles: the learning rate for the steps that follow, and for whom it holds."""

from types import SimpleNamespace

import pytest

from autorecipe.recipe import Recipe, replace
from autorecipe.rundir import RunDir, write_json
from autorecipe.search import final_stage, finish, planner
from autorecipe.search.workbench import State
from autorecipe.training.cohort_size import alone_to_group

RECIPE = replace(Recipe(), {"training.steps": 100, "optimizer.lr": 0.02})
SHAPE = SimpleNamespace(step_seconds=0.01, further_member=0.5)


def bench(monkeypatch, left=50.0, timed=True):
    monkeypatch.setattr(final_stage, "steps_for", lambda place, recipe, shape, units: round(units / shape.step_seconds))
    return SimpleNamespace(
        state=State(),
        budget=SimpleNamespace(timed=timed, seconds=60.0, epochs=None if timed else 60.0),
        clock=SimpleNamespace(left=lambda: left),
        heartbeat=lambda: None,
        say=lambda *_, **__: None,
    )


def finished(place):
    return final_stage._for_finish(place, RECIPE, SHAPE, None).optimizer.lr


def test_the_learning_rate_is_for_the_steps_of_each_network(monkeypatch):
    alone, several = bench(monkeypatch), bench(monkeypatch)
    several.state.finish_members = 4
    left = 50.0 - planner.end_seconds(60.0)
    assert finished(alone) == planner.lr_for_steps(0.02, 100, round(left / 0.01))
    assert finished(several) == planner.lr_for_steps(0.02, 100, round(left / 0.01 / alone_to_group(4, 0.5)))
    assert finished(several) > finished(alone)


def test_a_second_try_with_one_network_has_the_rate_of_the_first(monkeypatch):
    """Its checkpoint is of that recipe."""
    place = bench(monkeypatch)
    place.state.finish_members = 4
    first = finished(place)
    place.state.finish_members = 1
    place.clock.left = lambda: 20.0
    assert finished(place) == first


def test_a_rest_of_no_time_has_no_rate_of_its_own(monkeypatch):
    """Half a second is trained, whatever is left."""
    assert finished(bench(monkeypatch, left=-3.0)) == planner.lr_for_steps(0.02, 100, 50)


def test_what_was_settled_holds_for_one_recipe(monkeypatch):
    place = bench(monkeypatch)
    final_stage._settle_anew(place, RECIPE)
    place.state.finish_members, place.state.finish_units, place.state.finish_calm = 4, 20.0, True
    final_stage._settle_anew(place, RECIPE)
    assert (place.state.finish_members, place.state.finish_units, place.state.finish_calm) == (4, 20.0, True)
    final_stage._settle_anew(place, replace(RECIPE, {"optimizer.lr": 0.01}))
    assert (place.state.finish_members, place.state.finish_units, place.state.finish_calm) == (None, None, False)


@pytest.mark.parametrize("timed", [True, False])
def test_compute_is_time_where_time_is_the_budget(tmp_path, monkeypatch, timed):
    """A small network sees more examples in less time."""
    small, large = (replace(RECIPE, {"network.width": w, "training.steps": n}) for w, n in ((8, 900), (64, 300)))
    place = bench(monkeypatch, timed=timed)
    place.run = RunDir(tmp_path)
    place.hardware = SimpleNamespace(kind="cpu", precision="fp32", threads=2)
    monkeypatch.setattr(finish, "shape_path", lambda place, recipe: tmp_path / f"{recipe.network.width}.json")
    for recipe, seconds in ((small, 0.001), (large, 0.01)):
        write_json(finish.shape_path(place, recipe), {"step_seconds": seconds, "further_member": 0.5})
    assert (finish._compute(place, large) > finish._compute(place, small)) == timed
    several = replace(large, {"finish.members": 3})
    assert (finish._compute(place, several) > finish._compute(place, large)) == timed
