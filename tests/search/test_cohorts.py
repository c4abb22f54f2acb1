"""Trials and decision runs of one shape train at once; what is told of each is as if it had trained alone."""

from dataclasses import replace as replace_record
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import recipe_for
from hypothesis import given
from hypothesis import strategies as st

from autorecipe.clock import parse_budget
from autorecipe.errors import Stopped
from autorecipe.recipe import replace
from autorecipe.rundir import read_json, read_lines
from autorecipe.search import question, trials, workbench
from autorecipe.search.growth import afford
from autorecipe.search.trials import (
    parts_of,
    run_cohort,
    run_recipe,
    run_together,
    seed_runs,
)
from autorecipe.search.tried import Tried
from autorecipe.search.workbench import at_once_in, measure_shape
from autorecipe.training.cohort_size import Choice, alone_to_group
from autorecipe.training.loop import OutOfMemory
from autorecipe.training.stack_layers import NotStackable


def recipes_of(dataset, count=4, **changes):
    base = recipe_for(dataset, **{"training.steps": 24, "regularization.averaging": 0.1, **changes})
    return [replace(base, {"optimizer.lr": 1e-3 * (k + 1), "optimizer.weight_decay": 0.02 * k}) for k in range(count)]


@pytest.mark.parametrize("name", ["iris", "digits", "diabetes"])
def test_a_cohorts_results_are_those_of_its_recipes(datasets, bench_of, name):
    dataset = datasets[name]
    bench, recipes = bench_of(dataset), recipes_of(dataset)
    train, val = dataset.splits.train, dataset.splits.val
    read = []

    def at_rung(readings):
        read.append({k: reading.rung for k, reading in readings.items()})
        return ()

    together = run_cohort(bench, recipes, [train] * 4, [val] * 4, at_rung=at_rung)
    assert read == [dict.fromkeys(range(4), rung) for rung in range(3)]
    for recipe, found in zip(recipes, together, strict=True):
        alone = run_recipe(bench, recipe, train, val)
        assert found.result.state == alone.result.state == "complete"
        assert found.result.loss == pytest.approx(alone.result.loss, rel=5e-3)
        assert found.result.train_loss == pytest.approx(alone.result.train_loss, rel=5e-3)
        assert found.result.num_params == alone.result.num_params
        assert [p.step for p in found.result.curve] == [p.step for p in alone.result.curve]
        assert [p.lr for p in found.result.curve] == pytest.approx([p.lr for p in alone.result.curve])
        assert found.outputs == pytest.approx(alone.outputs, rel=2e-2, abs=2e-2)
        assert set(found.model.state_dict()) == set(alone.model.state_dict())


def test_who_is_stopped_at_a_rung_leaves_and_costs_less(iris, bench_of):
    bench = bench_of(iris)
    found = run_cohort(
        bench,
        recipes_of(iris, **{"training.steps": 200}),
        [iris.splits.train] * 4,
        [iris.splits.val] * 4,
        at_rung=lambda readings: [k for k, reading in readings.items() if k % 2 and reading.rung == 0],
    )
    assert [one.result.state for one in found] == ["complete", "pruned", "complete", "pruned"]
    assert found[1].result.steps == 25
    assert "stopped at step 25 of 200" in found[1].result.reason
    assert found[1].model is None
    assert found[1].result.seconds < found[0].result.seconds


def test_all_stopped_at_a_rung(iris, bench_of):
    bench = bench_of(iris)
    found = run_cohort(
        bench, recipes_of(iris), [iris.splits.train] * 4, [iris.splits.val] * 4, at_rung=lambda readings: list(readings)
    )
    assert {one.result.state for one in found} == {"pruned"}


def test_who_diverges_is_told(iris, bench_of):
    bench, recipes = bench_of(iris), recipes_of(iris, **{"optimizer.name": "sgd"})
    recipes[2] = replace(recipes[2], {"optimizer.lr": 1e30})
    found = run_cohort(bench, recipes, [iris.splits.train] * 4, [iris.splits.val] * 4)
    assert [one.result.state for one in found] == ["complete", "complete", "diverged", "complete"]
    assert "not finite" in found[2].result.reason
    every = [replace(recipe, {"optimizer.lr": 1e30}) for recipe in recipes]
    found = run_cohort(bench, every, [iris.splits.train] * 4, [iris.splits.val] * 4)
    assert {one.result.state for one in found} == {"diverged"}
    assert sum(one.result.seconds for one in found) > 0


@pytest.mark.parametrize("error", [OutOfMemory("too large"), NotStackable("strange"), torch.OutOfMemoryError("no")])
def test_what_cannot_train_at_once_trains_one_after_another(iris, bench_of, monkeypatch, error):
    bench, recipes, told = bench_of(iris), recipes_of(iris), []

    def fails(bench, recipes, *rows, at_rung, deadline):
        at_rung({k: trials.Reading(0, 0.5, 1.0) for k in range(len(recipes))})
        raise error

    monkeypatch.setattr(trials, "run_cohort", fails)

    def at_rung(readings):
        told.extend((k, reading.rung) for k, reading in readings.items())
        return ()

    rows = [[iris.splits.train] * 4, [iris.splits.val] * 4]
    found = run_together(bench, recipes, *rows, at_rung=at_rung)
    assert {one.result.state for one in found} == {"complete"}
    assert sorted(told) == [(k, rung) for k in range(4) for rung in range(3)], "each rung once"
    monkeypatch.setattr(trials, "run_cohort", lambda *_, **__: pytest.fail("it is known not to work"))
    run_together(bench, recipes, *rows)


def test_other_errors_are_no_lack_of_memory(iris, bench_of, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr(trials, "run_cohort", fails)
    with pytest.raises(RuntimeError, match="a bug"):
        run_together(bench_of(iris), recipes_of(iris), [iris.splits.train] * 4, [iris.splits.val] * 4)


def test_decision_seeds_at_once_are_decision_seeds(iris, bench_of):
    """Parts differ by a row, and a batch is all rows: such runs are not of one cohort."""
    bench = bench_of(iris)
    for size in (32, 4096):
        recipes = recipes_of(iris, 2, **{"training.batch_size": size})
        jobs = [(recipe, seed) for seed in range(4) for recipe in recipes]
        together = seed_runs(bench, jobs, members=8)
        for path in (bench.run.artifacts / "evidence").iterdir():
            path.unlink()
        alone = [seed_runs(bench, [job])[0] for job in jobs]
        for a, b in zip(together, alone, strict=True):
            assert np.array_equal(a.rows, b.rows)
            assert a.outputs == pytest.approx(b.outputs, rel=2e-2, abs=2e-2)
        assert all(run.reused for run in seed_runs(bench, jobs, members=8))


@given(st.integers(0, 60), st.integers(1, 20))
def test_parts_are_even_and_none_is_too_large(count, most):
    parts = parts_of(range(count), most)
    assert [i for part in parts for i in part] == list(range(count))
    sizes = [len(part) for part in parts]
    assert all(0 < size <= most for size in sizes)
    assert max(sizes, default=0) - min(sizes, default=0) <= 1


def test_a_cohort_takes_as_long_as_a_run_at_least():
    assert alone_to_group(1, 0.3) == 1
    assert alone_to_group(2, 0.3) == pytest.approx(1.3)
    assert alone_to_group(10, 1.0) == 10


def test_cheaper_trials_make_room_for_more():
    serial = afford(16, 2, 8.0, False)
    cohort = afford(16, 2, 8.0, False, members=16, further=0.25)
    assert cohort[0] >= serial[0]
    assert cohort[1] >= serial[1]
    assert cohort > serial
    assert afford(6, 3, 9.0, True, 16, 0.25)[0] >= afford(6, 3, 9.0, True)[0]


@pytest.fixture
def sizes(monkeypatch):
    """How many recipes each call trains together."""
    found = []
    real = question.run_together

    def spy(bench, recipes, *rows, **more):
        found.append(len(recipes))
        return real(bench, recipes, *rows, **more)

    monkeypatch.setattr(question, "run_together", spy)
    return found


@pytest.mark.slow
def test_a_search_trains_cohorts_and_one_without_does_not(searched, sizes):
    found = searched("first", budget="60epochs", max_width=64, max_depth=3)
    assert max(sizes) > 1
    rows = read_lines(found.run.trials)
    assert {row["state"] for row in rows} >= {"complete", "pruned"}
    assert len({(row["study"], row["number"]) for row in rows}) == len(rows)
    sizes.clear()
    other = searched("second", budget="60epochs", max_width=64, max_depth=3, cohorts=False)
    assert set(sizes) == {1}
    first, second = (read_json(one.run.decisions) for one in (found, other))
    assert [row["question"] for row in first][:2] == [row["question"] for row in second][:2]
    for one, another in zip(first, second, strict=False):
        if (one["question"], one["incumbent"]) != (another["question"], another["incumbent"]):
            break  # from here on they ask about other networks
        verdicts = {one["verdict"], another["verdict"]}
        assert len(verdicts) == 1 or any("not decided" in verdict for verdict in verdicts)


@pytest.mark.slow
def test_a_cohort_that_was_interrupted_is_asked_for_again(searched, resumed, monkeypatch, tmp_path):
    """All its trials, not one, and none twice."""
    real, calls = trials.run_cohort, []

    def stops(*args, **more):
        calls.append(1)
        if len(calls) == 1:
            raise Stopped
        return real(*args, **more)

    monkeypatch.setattr(trials, "run_cohort", stops)
    with pytest.raises(Stopped):
        searched(budget="60epochs", max_width=64, max_depth=3)
    assert calls == [1]
    found = resumed(tmp_path / "run")
    rows = read_lines(found.run.trials)
    assert len({(row["study"], row["number"]) for row in rows}) == len(rows)
    decision = read_json(found.run.decisions)[0]
    whole = searched("whole", budget="60epochs", max_width=64, max_depth=3)
    assert len(decision["trials"]) == len(read_json(whole.run.decisions)[0]["trials"])
    assert len(decision["candidates"]) >= 2


@pytest.mark.parametrize(("left", "fits"), [(100.0, 8), (35.0, 6), (15.0, 1), (14.0, 0)])
def test_as_many_trials_train_as_there_is_time_for(left, fits):
    """Shares of 10 s, the finish kept free, and 0.4 of a share for each further member."""
    bench = SimpleNamespace(budget=SimpleNamespace(timed=True), clock=SimpleNamespace(left=lambda: left))
    asked, part = (
        SimpleNamespace(finish=5.0, share=10.0),
        [SimpleNamespace(shape=SimpleNamespace(further_member=0.4))] * 8,
    )
    assert question._how_many_fit(bench, asked, part, Tried(values={0: (0.5, 1.0)})) == fits
    assert question._how_many_fit(bench, asked, part, Tried()) == 8


def test_a_finish_times_cohorts_that_trials_were_too_short_to_time(iris, bench_of, monkeypatch):
    bench = replace_record(bench_of(iris), budget=parse_budget("60s"))
    recipe = recipe_for(iris)
    short = measure_shape(bench, recipe, 0.001)
    assert (short.members, short.untimed) == (1, True)
    asked = []

    def choose(recipe, data, rows, hardware, alone, params, most_seconds, *others):
        asked.append(most_seconds)
        return Choice(8, 0.1, "8 at once")

    monkeypatch.setattr(workbench, "choose_members", choose)
    longer = at_once_in(bench, recipe, short, 50.0)
    assert (longer.members, longer.further_member, longer.cohort_reason) == (8, 0.1, "8 at once")
    assert asked == [2.0]
    assert measure_shape(bench, recipe, 0.001) == longer  # what a resumed run goes by
    assert at_once_in(bench, recipe, longer, 50.0) is longer
    measured = replace_record(short, untimed=False)
    assert at_once_in(bench, recipe, measured, 50.0) is measured  # found not to pay
