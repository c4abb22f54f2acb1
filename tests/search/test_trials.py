"""One training run of a recipe: how it may end, and what the search makes of it."""

from dataclasses import replace as replace_record
from types import SimpleNamespace

import pytest
import torch
from helpers import recipe_for

from autorecipe.clock import parse_budget
from autorecipe.errors import Stopped
from autorecipe.recipe import load_recipe, replace
from autorecipe.rundir import read_json, read_lines
from autorecipe.search import finish, points, question, trials, workbench
from autorecipe.search.points import Alternative, Question, recipe_of
from autorecipe.search.space import StageSpace
from autorecipe.search.trials import run_cohort, run_recipe, run_together, rungs_of
from autorecipe.search.workbench import measure_shape, shape_key
from autorecipe.training import lr_range
from autorecipe.training.cohort_size import Choice
from autorecipe.training.loop import Diverged, OutOfMemory


@pytest.mark.parametrize("where", ["start_session", "train", "predict"])
@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_memory_used_up_anywhere_ends_the_trial(iris, bench_of, monkeypatch, where, error):
    def used_up(*_, **__):
        raise error

    monkeypatch.setattr(trials, where, used_up)
    found = run_recipe(bench_of(iris), recipe_for(iris), iris.splits.train, iris.splits.val)
    assert found.result.state == "out_of_memory"
    assert found.result.reason


@pytest.mark.parametrize("where", ["start_session", "train", "predict"])
def test_another_error_is_a_bug_and_is_seen(iris, bench_of, monkeypatch, where):
    def broken(*_, **__):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(trials, where, broken)
    with pytest.raises(RuntimeError, match="do not match"):
        run_recipe(bench_of(iris), recipe_for(iris), iris.splits.train, iris.splits.val)


@pytest.mark.parametrize("always", [True, False])
def test_only_a_last_score_that_is_no_number_ends_a_run(iris, bench_of, monkeypatch, always):
    """A user's precision is 0 / 0 as long as nothing positive is said: early rungs say nothing of the end."""
    bench, recipe = bench_of(iris), recipe_for(iris, **{"training.steps": 80})
    rungs, real, calls = rungs_of(recipe), trials.score, []

    def no_number(*given):
        calls.append(1)
        return float("nan") if always or len(calls) <= len(rungs) else real(*given)

    monkeypatch.setattr(trials, "score", no_number)
    alone = run_recipe(bench, recipe, iris.splits.train, iris.splits.val)
    calls.clear()
    rows = [[iris.splits.train] * 2, [iris.splits.val] * 2]
    together = run_cohort(bench, [recipe, replace(recipe, {"optimizer.lr": 1e-3})], *rows)
    for found in (alone, together[0]):
        assert (found.result.state, found.result.steps) == ("pruned" if always else "complete", 80)
        assert (found.result.score is None) == always
        assert ("accuracy is nan" in found.result.reason) == always


def test_runs_alone_share_the_time_of_the_cohort_that_did_not_fit(iris, bench_of, monkeypatch):
    now, deadlines = [0.0], []

    def too_large(*_, **__):
        now[0] += 3
        raise OutOfMemory("too large")

    def takes_four(bench, recipe, *rows, at_rung, deadline, at_most):
        now[0] += 4
        deadlines.append((deadline, at_most))
        return trials.Outcome(trials._Record(recipe).ended("complete"))

    monkeypatch.setattr(trials, "run_cohort", too_large)
    monkeypatch.setattr(trials, "run_recipe", takes_four)
    monkeypatch.setattr(trials, "time", SimpleNamespace(monotonic=lambda: now[0]))
    recipes = [replace(recipe_for(iris), {"optimizer.lr": 1e-3 * (k + 1)}) for k in range(4)]
    rows = [[iris.splits.train] * 4, [iris.splits.val] * 4]
    found = run_together(bench_of(iris), recipes, *rows, deadline=6.0, at_most=10.0)
    assert deadlines == [(6.0, 7.0), (6.0, 3.0)]
    assert [one.result.state for one in found] == ["complete", "complete", "stopped", "stopped"]
    assert found[3].result.reason == "the time for these trials is over"


@pytest.mark.parametrize("enough", [True, False])
def test_who_has_little_time_left_is_not_held_up_by_others(iris, bench_of, enough):
    bench, recipe = bench_of(iris), recipe_for(iris, **{"training.steps": 100_000})
    limits = {"deadline": 0.05, "at_most": 10.0} if enough else {"deadline": 10.0, "at_most": 0.05}
    found = run_recipe(bench, recipe, iris.splits.train, iris.splits.val, **limits)
    assert found.result.state == "stopped"
    assert ("twice its share" in found.result.reason) == enough


@pytest.mark.parametrize("timed", [True, False])
def test_a_shape_that_does_not_fit_is_found_once(iris, bench_of, monkeypatch, timed):
    bench, recipe, calls = bench_of(iris, cohorts=False), recipe_for(iris), []
    if timed:
        bench = replace_record(bench, budget=parse_budget("60s"))

    def used_up(*_, **__):
        calls.append(1)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(workbench, "start_session", used_up)
    monkeypatch.setattr(lr_range, "start_session", used_up)
    for _ in range(2):
        with pytest.raises(OutOfMemory):
            measure_shape(bench, recipe, 5.0 if timed else 500.0)
    assert calls == [1]


def test_a_shape_whose_cohort_does_not_fit_is_asked_for_one_after_another(iris, bench_of, monkeypatch):
    bench, recipe = bench_of(iris), recipe_for(iris)
    monkeypatch.setattr(workbench, "_at_once", lambda *_: Choice(8, 0.2, "8 at once"))
    assert measure_shape(bench, recipe, 1.0).members == 8
    assert measure_shape(bench, recipe, 1.0).members == 8
    bench.no_cohort.add(shape_key(recipe))
    shape = measure_shape(bench, recipe, 1.0)
    assert (shape.members, shape.further_member) == (1, 1.0)


def test_a_learning_rate_is_carried_over_within_one_optimizer_only(iris, bench_of, monkeypatch):
    """AdamW's and SGD's differ by powers of ten."""
    bench, incumbent = bench_of(iris), recipe_for(iris)
    asked = {}
    real = points.measure_shape

    def spy(bench, recipe, share, carried=None, like=None):
        shape = real(bench, recipe, share)
        asked.setdefault(recipe.optimizer.name, []).append((carried, like))
        return shape

    monkeypatch.setattr(points, "measure_shape", spy)
    own = Alternative("own", incumbent.network)
    asking = Question(1, "small", "small", "small?", incumbent, (own,), StageSpace(), (), 4, 2.0, 4.0)
    shapes = {}
    for name in ("adamw", "sgd", "adamw", "sgd"):
        recipe, shape = recipe_of(bench, asking, {"optimizer.name": name}, shapes)
        assert recipe.optimizer.name == name
        assert shape == real(bench, recipe, 2.0)
    assert len(shapes) == 2
    assert asked["sgd"] == [(None, None)]
    assert any(like is not None for _, like in asked["adamw"])


def test_a_network_that_cannot_be_measured_is_a_failed_trial(searched, resumed, monkeypatch, tmp_path):
    real, calls = question.recipe_of, []

    def sometimes(*given):
        calls.append(1)
        if len(calls) in (2, 5):
            raise OutOfMemory("1 TiB wanted")
        return real(*given)

    monkeypatch.setattr(question, "recipe_of", sometimes)
    found = searched(budget="60epochs", max_width=64, max_depth=3)
    assert read_json(found.run.summary)["status"] == "complete"
    rows = [row for row in read_lines(found.run.trials) if row["state"] == "out_of_memory"]
    assert len(rows) == 2
    assert all((row["recipe"], row["score"]) == (None, None) and "1 TiB wanted" in row["reason"] for row in rows)
    more = resumed(found.path, "+6epochs")
    assert [row for row in read_lines(more.run.trials) if row["state"] == "out_of_memory"] == rows


@pytest.mark.parametrize("where", ["start_session", "train"])
def test_a_final_training_that_does_not_fit_leaves_the_searchs_model(searched, monkeypatch, where):
    def used_up(*_, **__):
        raise OutOfMemory("too large") if where == "train" else torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(finish, where, used_up)
    found = searched(budget="60epochs", max_width=64, max_depth=3)
    assert any("the final training failed" in event["text"] for event in found.heard.of("note"))
    assert read_json(found.run.summary)["status"] == "complete"
    assert found.run.weights.exists()


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_a_final_training_that_diverges_is_tried_once_more(searched, monkeypatch, share):
    """With a lower rate, if there is time left for it; what it took is spent."""
    real, begun = finish.train, []

    def diverges_once(session, *given, **more):
        begun.append(session.recipe)
        for look in real(session, *given, **{**more, "look_seconds": 0.0}):
            yield look
            if len(begun) == 1 and look.progress >= share:
                raise Diverged("the loss is not finite")

    monkeypatch.setattr(finish, "train", diverges_once)
    found = searched(budget="60epochs", max_width=64, max_depth=3)
    final, budget = load_recipe(found.run.recipe), read_json(found.run.summary)["budget"]
    assert budget["spent_epochs"] <= budget["epochs"] + 0.5
    if share > 0.5:
        assert (len(begun), final.training.train_on) == (1, "train")
        return
    first, second = begun
    assert second.optimizer.lr == pytest.approx(0.25 * first.optimizer.lr)
    assert (final.training.train_on, final.optimizer.clip_norm) == ("train+val", 1.0)
    assert final.training.steps < first.training.steps
    assert any("once more" in event["text"] for event in found.heard.of("note"))


def test_the_second_try_is_resumed(searched, resumed, monkeypatch, tmp_path):
    """Not the first one, which would diverge again and leave no time."""
    real, begun = finish.train, []

    def diverges(session, *given, **more):
        begun.append(session.recipe)
        for look in real(session, *given, **{**more, "look_seconds": 0.0}):
            yield look
            if len(begun) == 1:
                raise Diverged("the loss is not finite")
            if len(begun) == 2:
                raise Stopped("by the test")

    monkeypatch.setattr(finish, "train", diverges)
    with pytest.raises(Stopped):
        searched(budget="60epochs", max_width=64, max_depth=3)
    assert read_json(tmp_path / "run" / "state.json")["finish_calm"]
    found = resumed(tmp_path / "run")
    assert len(begun) == 3
    assert begun[2].optimizer == begun[1].optimizer != begun[0].optimizer
    assert load_recipe(found.run.recipe).training.train_on == "train+val"
