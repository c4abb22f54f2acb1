from types import SimpleNamespace

import pytest

from autorecipe.outputs import costs
from autorecipe.recipe import Recipe, replace
from autorecipe.rundir import RunDir, append_line

BENCH = SimpleNamespace(hardware=SimpleNamespace(cohorts=True), space_batch=128)
SMALL = replace(Recipe(), {"training.steps": 100})
WIDE = replace(SMALL, {"network.width": 64})


@pytest.fixture
def shape(monkeypatch):
    """Every shape: a step takes 10 ms, four train at once, each further one adds half of it."""
    facts = SimpleNamespace(step_seconds=0.01, members=4, further_member=0.5)
    monkeypatch.setattr(costs, "shape_of", lambda bench, recipe: facts)
    return facts


def test_recipes_of_one_kind_train_as_one_program(shape, tmp_path):
    run = RunDir(tmp_path)
    other_lr = replace(SMALL, {"optimizer.lr": 0.5})
    assert costs.seconds_of(BENCH, run, [SMALL, other_lr], 2) == pytest.approx(1.0 + 3 * 0.5)
    assert costs.seconds_of(BENCH, run, [SMALL, WIDE], 2) == pytest.approx(2 * (1.0 + 0.5))


def test_one_after_another(shape, tmp_path):
    shape.members = 1
    assert costs.seconds_of(BENCH, RunDir(tmp_path), [SMALL, WIDE], 3) == pytest.approx(6.0)


def test_what_no_shape_tells_the_median_trial_does(monkeypatch, tmp_path):
    monkeypatch.setattr(costs, "shape_of", lambda bench, recipe: None)
    run = RunDir(tmp_path)
    assert costs.seconds_alone(BENCH, run, SMALL) == 0.0
    rows = [
        '{"seconds": 1.0, "steps": 50}',
        '{"seconds": 9.0, "steps": 50}',
        '{"seconds": 2.0, "steps": 50}',
        '{"seconds": 0.0, "steps": 50, "reused": true}',
        "[]",
    ]
    for row in rows:
        append_line(run.trials, row)
    assert costs.seconds_alone(BENCH, run, SMALL) == pytest.approx(4.0)
    assert costs.together(BENCH, [SMALL]) == (1, 1.0)
