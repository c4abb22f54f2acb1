"""The accounts of whole searches on iris, with budgets in epochs; the curve of the final training."""

from types import SimpleNamespace

import numpy as np
import pytest

from autorecipe.errors import Stopped
from autorecipe.recipe import Recipe, load_recipe, replace
from autorecipe.results import Decision
from autorecipe.rundir import RunDir, read_json, read_lines
from autorecipe.search import accounts
from autorecipe.search.accounts import smaller_runner_up
from autorecipe.search.finish import LEAST_POINTS, MOST_POINTS, Curve, load_curve
from autorecipe.search.ledger import load_decisions
from autorecipe.search.planner import AUDIT_SHARE, make_plan
from autorecipe.search.stages import STAGES

SMALL = {"budget": "100epochs", "max_width": 128, "max_depth": 3}


def test_fresh_seeds_are_scored_on_test_by_the_same_models(searched):
    found = searched(**SMALL)
    account = read_json(found.run.summary)["accounts"]["fresh_seeds"]
    decisions = [d for d in load_decisions(found.run) if d.num_seeds]
    last = decisions[-1]
    assert account["recipe"] == last.chosen
    who = "candidate" if last.chosen == last.candidate else "incumbent"
    assert account["fresh_seeds"] == pytest.approx(np.mean(last.scores[who]))
    assert account["num_models"] == last.num_seeds
    rows = [row for row in read_lines(found.run.trials) if row["recipe"] == last.chosen and row["state"] == "complete"]
    assert account["search"] == pytest.approx(rows[0]["score"])
    assert 0 <= account["test"] <= 1
    assert read_json(found.run.summary)["test_reads"] == 1
    weights = list((found.run.artifacts / "evidence").glob("*.weights.safetensors"))
    assert account["num_models"] <= len(weights) <= 4  # those of other recipes are gone


def test_the_receipt_of_a_timed_budget_has_plan_and_spending(searched):
    summary = read_json(searched(budget="12s").run.summary)
    receipt = summary["budget"]["receipt"]
    stages = [stage.name for stage in STAGES if stage.name in receipt]
    assert stages == ["small", "width", "depth", "regularize", "regrow"]
    by_stage = summary["budget"]["by_stage"]
    for name in (*stages, "finish", "test"):
        assert receipt[name]["planned"] > 0
        assert receipt[name]["spent"] == pytest.approx(by_stage.get(name, 0.0), abs=0.002)
    total = receipt.pop("total")
    assert total == {"planned": 12.0, "spent": pytest.approx(summary["budget"]["spent_seconds"], abs=0.1)}
    spent = sum(row["spent"] for row in receipt.values())
    assert 0.5 * total["spent"] <= spent <= total["spent"] + 0.5
    # What comes before the plan has an allowance; the rest is the plan, of what was left.
    planned = sum(row["planned"] for name, row in receipt.items() if name != "fixed")
    assert planned == pytest.approx(12.0 - receipt["fixed"]["spent"], abs=1.0)
    assert receipt["fixed"]["planned"] == pytest.approx(0.08 * 12.0)
    assert receipt["outputs"]["planned"] == 0.0  # so short a budget keeps nothing for them


def test_the_receipt_of_a_budget_in_epochs_is_in_epochs(searched, resumed):
    found = searched(**SMALL)
    budget = read_json(found.run.summary)["budget"]
    receipt = budget["receipt"]
    total = receipt.pop("total")
    assert total == {"planned": 100.0, "spent": budget["spent_epochs"]}
    assert sum(row["spent"] for row in receipt.values()) == pytest.approx(total["spent"], abs=0.01)
    assert sum(row["planned"] for row in receipt.values()) == pytest.approx(100.0, abs=0.01)
    assert receipt["small"]["spent"] > 0
    assert receipt["finish"]["spent"] > 0
    resumed(found.path, "40epochs")
    longer = read_json(found.run.summary)["budget"]["receipt"]
    assert longer["total"]["planned"] == pytest.approx(total["spent"] + 40.0)
    assert longer["small"] == receipt["small"]
    assert longer["finish"]["spent"] > receipt["finish"]["spent"]


def test_an_audit_trains_stopped_trials_to_their_end(searched):
    found = searched(**SMALL, audit=True)
    rows = read_lines(found.run.trials)
    audit = read_json(found.run.artifacts / "audit.json")
    assert audit["stopped"] == sum(row["state"] == "pruned" and bool(row["rungs"]) for row in rows)
    assert audit["trials"] == len(audit["rows"]) <= audit["stopped"]
    assert audit["trials"] > 0
    assert audit["wrong"] == sum(row["score"] > row["best"] for row in audit["rows"])
    assert read_json(found.run.summary)["accounts"]["audit"] == {k: audit[k] for k in ("stopped", "trials", "wrong")}
    assert found.run.state.exists()
    assert read_json(found.run.summary)["budget"]["spent_epochs"] <= 1.02 * 100 + 2


def test_an_audit_has_its_time_from_the_questions():
    with_one, without = (make_plan(True, 600.0, 580.0, 0.5, 128, audit=audit) for audit in (True, False))
    assert with_one.finish == without.finish
    assert with_one.audit == pytest.approx(AUDIT_SHARE * without.search)
    assert with_one.search + with_one.audit == pytest.approx(without.search)


def test_a_smaller_network_that_is_as_good_is_named(searched, monkeypatch):
    small, large = (
        replace(Recipe(), {"network.family": "mlp", "network.width": width, "data.modality": "table"})
        for width in (16, 32)
    )
    dropped = replace(large, {"regularization.dropout": 0.1})
    known = {recipe.digest: recipe for recipe in (small, large, dropped)}
    counts = {small.network.width: 10, large.network.width: 100}
    monkeypatch.setattr(accounts, "params_of", lambda bench, section: 100)
    monkeypatch.setattr(accounts, "build", lambda section, *_: section)
    monkeypatch.setattr(accounts, "num_params", lambda section: counts[section.width])
    run = SimpleNamespace(load_recipe=known.__getitem__)
    bench = SimpleNamespace(run=run, dataset=SimpleNamespace(info=None))

    def decision(p_better, old=small, new=large, **facts):
        known = {
            "stage": "width",
            "question": "width 16 -> 32",
            "incumbent": old.digest,
            "candidates": (new.digest,),
            "candidate": new.digest,
            "study": "s",
            "trials": (0,),
            "effect": 0.01,
            "standard_error": 0.02,
            "interval": (-0.02, 0.04),
            "p_better": p_better,
            "num_examples": 100,
            "num_seeds": 2,
            "seconds": 1.0,
            "verdict": "adopted on the prior: not decided",
            "reason": "",
            "chosen": new.digest,
        }
        return Decision(**{**known, **facts})

    found = smaller_runner_up(bench, large, [decision(0.7)])
    assert found["recipe"] == small.digest
    assert found["num_params"] == 10
    assert smaller_runner_up(bench, large, [decision(0.99)]) is None
    assert smaller_runner_up(bench, large, [decision(0.7), decision(0.99)]) is None, "claimed over what is smaller"
    claimed = [decision(0.7), decision(0.99, large, dropped)]
    assert smaller_runner_up(bench, dropped, claimed)["recipe"] == small.digest, "dropout says nothing of the width"
    assert smaller_runner_up(bench, large, []) is None
    by_loss = {"judged_by": "log_loss", "loss_interval": (-0.06, -0.01)}
    for facts, within in (
        ({}, True),
        ({"effect": -0.2, "interval": (-0.3, -0.1)}, False),
        ({"effect": None, "interval": None, "p_better": None}, None),
        (by_loss, False),
    ):
        assert smaller_runner_up(bench, large, [decision(**{"p_better": 0.7, **facts})])["within_noise"] is within


class StopInFinish:
    """Raises Stopped some steps after the final training has begun."""

    def __init__(self, run, steps):
        self.run, self.left, self.begun = run, steps, False

    def __call__(self):
        self.begun = self.begun or any(row["event"] == "finish" for row in read_lines(self.run.log))
        self.left -= self.begun
        if self.left < 0:
            raise Stopped("by the test")


def check_curve(run):
    """The curve is that of the model on disk, from its first step to its last."""
    curve, recipe = read_json(run.finish_curve), load_recipe(run.recipe)
    points = curve["points"]
    steps = [point["step"] for point in points]
    assert curve["recipe"] == recipe.digest
    assert steps == sorted(set(steps))
    assert all(point["train_loss"] > 0 and point["lr"] > 0 for point in points)
    return points


def test_the_final_training_leaves_its_curve(searched):
    run = searched(budget="60epochs", max_width=64, max_depth=1).run
    points = check_curve(run)
    assert LEAST_POINTS <= len(points) <= MOST_POINTS
    assert points[-1]["step"] == load_recipe(run.recipe).training.steps
    assert points[-1]["progress"] == 1
    assert points[-1]["train_loss"] < points[0]["train_loss"]
    assert points[-1]["lr"] < 0.2 * max(point["lr"] for point in points)
    assert not run.checkpoint_curve.exists()


def test_a_resumed_final_training_goes_on_with_its_curve(searched, resumed, tmp_path):
    asked = {"budget": "60epochs", "max_width": 64, "max_depth": 1}
    run = RunDir(tmp_path / "run")
    with pytest.raises(Stopped):
        searched(stop=StopInFinish(run, 60), **asked)
    begun = read_json(run.checkpoint_curve)["points"]
    assert 0 < begun[-1]["progress"] < 1
    assert check_curve(run) == begun
    resumed(run.path)
    points = check_curve(run)
    assert points[: len(begun)] == begun
    assert points[-1]["progress"] == 1
    assert not run.checkpoint_curve.exists()


def test_the_curve_of_a_long_training_is_thinned():
    random = np.random.default_rng(0)
    curve, losses, steps = Curve([]), random.uniform(1, 2, 3000), np.cumsum(random.integers(1, 9, 3000))
    for k, (step, loss) in enumerate(zip(steps.tolist(), losses.tolist(), strict=True)):
        look = SimpleNamespace(step=step, seconds=float(k), train_loss=loss, lr=0.1)
        curve.add(look, k / 3000)
        curve.add(SimpleNamespace(**{**vars(look), "train_loss": 0.0, "lr": 0.0}), k / 3000)  # nothing was run since
    kept = [point["step"] for point in curve.points]
    assert len(kept) == MOST_POINTS
    assert kept[-1] == steps[-1]
    spans = np.diff([0, *kept])
    assert spans.max() < 4 * np.median(spans)
    mean = np.dot(spans, [point["train_loss"] for point in curve.points])
    assert mean == pytest.approx(np.dot(np.diff([0, *steps]), losses))


def test_the_curve_ends_at_the_checkpoint(tmp_path):
    path, recipe = tmp_path / "finish.json", Recipe()
    assert load_curve(path, recipe, 100).points == []
    Curve([{"step": step, "train_loss": 1.0} for step in (20, 40, 60)]).save(path, recipe)
    assert [point["step"] for point in load_curve(path, recipe, 40).points] == [20, 40]
    assert load_curve(path, replace(recipe, {"training.steps": 7}), 40).points == []
    for damaged in ('{"half": [1', "{}", f'{{"recipe": "{recipe.digest}", "points": [5]}}'):
        path.write_text(damaged)
        assert load_curve(path, recipe, 40).points == []
