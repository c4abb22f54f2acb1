"""The accounts of whole searches on iris, with budgets in epochs."""

import numpy as np
import pytest

from autorecipe.results import Decision
from autorecipe.rundir import read_json, read_lines
from autorecipe.search.accounts import smaller_runner_up
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
    for name in (*stages, "finish"):
        assert receipt[name]["planned"] > 0
        assert receipt[name]["spent"] == pytest.approx(by_stage.get(name, 0.0), abs=0.002)
    spent = sum(row["spent"] for row in receipt.values())
    assert spent <= summary["budget"]["spent_seconds"] + 0.5
    assert spent >= 0.5 * summary["budget"]["spent_seconds"]


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
    from types import SimpleNamespace

    from autorecipe.recipe import Recipe, replace
    from autorecipe.search import accounts

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

    def decision(p_better, old=small, new=large):
        return Decision(
            stage="width",
            question="width 16 -> 32",
            incumbent=old.digest,
            candidates=(new.digest,),
            candidate=new.digest,
            study="s",
            trials=(0,),
            effect=0.01,
            standard_error=0.02,
            interval=(-0.02, 0.04),
            p_better=p_better,
            num_examples=100,
            num_seeds=2,
            seconds=1.0,
            verdict="adopted on the prior: not decided",
            reason="",
            chosen=new.digest,
        )

    found = smaller_runner_up(bench, large, [decision(0.7)])
    assert found["recipe"] == small.digest
    assert found["num_params"] == 10
    assert smaller_runner_up(bench, large, [decision(0.99)]) is None
    assert smaller_runner_up(bench, large, [decision(0.7), decision(0.99)]) is None, "claimed over what is smaller"
    claimed = [decision(0.7), decision(0.99, large, dropped)]
    assert smaller_runner_up(bench, dropped, claimed)["recipe"] == small.digest, "dropout says nothing of the width"
    assert smaller_runner_up(bench, large, []) is None
