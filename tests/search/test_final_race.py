"""The race before the final training."""

import math
from dataclasses import replace as replace_record
from types import SimpleNamespace

import numpy as np
import pytest

from autorecipe.recipe import Recipe, describe, replace
from autorecipe.results import DatasetInfo, Decision
from autorecipe.rundir import RunDir, read_json
from autorecipe.search import agent, expectation, final_race, ledger
from autorecipe.search.ledger import Progress, load_decisions
from autorecipe.search.stages import STAGES
from autorecipe.search.trials import SeedRun

CHOSEN, OTHER = (
    replace(Recipe(), {"training.steps": 100, "data.modality": "table", "optimizer.lr": lr}) for lr in (0.02, 0.01)
)
EXAMPLES = 400


def decision(p_better=0.6, adopted=True, **more):
    facts = {
        "effect": 0.005,
        "standard_error": 0.01,
        "interval": (-0.01, 0.02),
        "num_examples": EXAMPLES,
        "num_seeds": 2,
        "seconds": 1.0,
        "verdict": "",
        "reason": "",
        "scores": {"incumbent": (0.80, 0.80), "candidate": (0.81, 0.80)},
        "judged_by": "accuracy",
        "parts": 2,
        "example_variance": 1e-4,
    } | more
    return Decision(
        "width", "q", OTHER.digest, (CHOSEN.digest,), CHOSEN.digest, "s", (), p_better=p_better,
        chosen=CHOSEN.digest if adopted else OTHER.digest, **facts,
    )  # fmt: skip


def bench(tmp_path, monkeypatch, accuracies, left=60.0, seed=2):
    """A workbench whose decision runs have these accuracies, by learning rate; None: the run fails."""
    trained = []
    truth = np.arange(EXAMPLES) % 3
    info = DatasetInfo("n", "table", "multiclass", "", "accuracy", "", {}, classes=("a", "b", "c"))

    def seed_runs(place, jobs, deadline):
        ((recipe, held_out),) = jobs
        assert held_out == seed  # examples that the decision has not looked at
        trained.append(recipe.training.steps)
        share = accuracies[0 if recipe.optimizer.lr > 0.0125 else 1]
        if share is None:
            return [None]
        said = np.where(np.arange(EXAMPLES) < share * EXAMPLES, truth, (truth + 1) % 3)
        return [SeedRun(share, 4.0 * np.eye(3)[said], np.arange(EXAMPLES), 1.0, False, None)]

    shape = SimpleNamespace(step_seconds=0.005)
    monkeypatch.setattr(final_race, "seed_runs", seed_runs)
    monkeypatch.setattr(final_race, "measure_shape", lambda *_: shape)
    monkeypatch.setattr(final_race, "use_shape", lambda *_: None)
    monkeypatch.setattr(final_race, "steps_for", lambda place, recipe, shape, units: round(units / shape.step_seconds))
    monkeypatch.setattr(final_race, "epochs_of", lambda place, recipe: recipe.training.steps / 10)
    monkeypatch.setattr(expectation, "epochs_of", final_race.epochs_of)
    monkeypatch.setattr(expectation, "measure_shape", lambda *_: SimpleNamespace(members=1))
    monkeypatch.setattr(expectation, "params_of", lambda *_: 1000)
    monkeypatch.setattr(final_race, "forget_models", lambda place, kept: place.forgot.append(kept))
    run = RunDir(tmp_path)
    for recipe in (CHOSEN, OTHER):
        run.save_recipe(recipe)
    splits = SimpleNamespace(
        held_out=lambda seed: (np.arange(1600), np.arange(EXAMPLES)),
        clusters=lambda rows: None,
        train=range(1600),
        val=range(400),
    )
    place = SimpleNamespace(
        run=run,
        budget=SimpleNamespace(timed=True, seconds=30.0),
        clock=SimpleNamespace(left=lambda: left),
        state=SimpleNamespace(plan={"trial": 0.5}),
        error_of_constant=2 / 3,
        dataset=SimpleNamespace(info=info, targets=SimpleNamespace(numpy=lambda: truth), splits=splits),
        heartbeat=lambda: None,
        heard=[],
        forgot=[],
    )
    place.say = lambda kind, **facts: place.heard.append((kind, facts))
    return place, trained


def race(place, *decisions):
    return final_race.race(place, Progress(CHOSEN, decisions=list(decisions)), 0.5)


def test_the_better_one_wins_and_both_ran_alike(tmp_path, monkeypatch):
    place, trained = bench(tmp_path, monkeypatch, (0.80, 0.90))
    assert race(place, decision()) == OTHER
    assert trained == [400, 400]
    kind, facts = place.heard[-1]
    assert kind == "race"
    assert facts["scores"] == [0.80, 0.90]
    assert not facts["kept"]
    assert facts["p_better"] < 0.5
    kept = read_json(tmp_path / "artifacts" / "race.json")
    assert kept["winner"] == OTHER.digest
    assert kept["scores"] == {CHOSEN.digest: 0.80, OTHER.digest: 0.90}


def test_the_incumbent_stays_where_it_wins(tmp_path, monkeypatch):
    place, _ = bench(tmp_path, monkeypatch, (0.90, 0.80))
    assert race(place, decision()) == CHOSEN
    assert place.heard[-1][1]["p_better"] > 0.5


def test_a_race_on_record_is_not_run_again(tmp_path, monkeypatch):
    place, trained = bench(tmp_path, monkeypatch, (0.80, 0.90))
    first = race(place, decision())
    assert race(place, decision()) == first == OTHER
    assert len(trained) == 2
    assert len(place.heard) == 1


@pytest.mark.parametrize("which", [0, 1])
def test_a_run_that_fails_changes_nothing(tmp_path, monkeypatch, which):
    accuracies = [0.8, 0.9]
    accuracies[which] = None
    place, trained = bench(tmp_path, monkeypatch, accuracies)
    assert race(place, decision()) == race(place, decision()) == CHOSEN
    assert len(trained) == which + 1


@pytest.mark.parametrize("which", [0, 1])
def test_a_score_that_is_no_number_changes_nothing(tmp_path, monkeypatch, which):
    accuracies = [0.8, 0.9]
    accuracies[which] = math.nan
    place, _ = bench(tmp_path, monkeypatch, accuracies)
    assert race(place, decision()) == CHOSEN
    assert read_json(tmp_path / "artifacts" / "race.json")["scores"] == {}


@pytest.mark.parametrize("how", [decision(0.1), decision(None, scores={}, num_seeds=0)], ids=["worse", "not measured"])
def test_what_was_adopted_on_the_prior_races(tmp_path, monkeypatch, how):
    place, trained = bench(tmp_path, monkeypatch, (0.80, 0.90), seed=how.num_seeds)
    assert race(place, how) == OTHER
    assert trained == [400, 400]
    assert place.forgot == [CHOSEN]  # no weights of the race itself are left


def test_recipes_of_longer_trials_race_at_equal_compute(tmp_path, monkeypatch):
    """Such as those of the question of embeddings."""
    longer = replace(OTHER, {"training.steps": 300, "network.embedding": "piecewise"})
    place, trained = bench(tmp_path, monkeypatch, (0.80, 0.90))
    place.run.save_recipe(longer)
    assert race(place, replace_record(decision(), incumbent=longer.digest)) == longer
    assert trained == [400, 400]


def test_a_recipe_does_not_race_with_itself(tmp_path, monkeypatch):
    longer = replace(CHOSEN, {"training.steps": 300, "optimizer.lr": 0.016})
    place, trained = bench(tmp_path, monkeypatch, (0.80, 0.90))
    place.run.save_recipe(longer)
    assert race(place, replace_record(decision(), incumbent=longer.digest)) == CHOSEN
    assert trained == []


def test_the_winner_of_before_is_what_a_resumed_run_goes_on_with(tmp_path, monkeypatch):
    place, trained = bench(tmp_path, monkeypatch, (0.80, 0.90))
    assert race(place, decision()) == OTHER
    assert final_race.winner_of_race(place, CHOSEN) == OTHER
    assert final_race.race(place, Progress(OTHER, decisions=[decision()]), 0.5) == OTHER
    assert len(trained) == 2


def test_a_resumed_run_tells_the_winner_s_score_and_does_not_ask_again(tmp_path, monkeypatch):
    place, _ = bench(tmp_path, monkeypatch, (0.80, 0.90))
    wider = replace(CHOSEN, {"network.width": 99})
    place.run.save_recipe(wider)
    grown = replace_record(decision(), candidate=wider.digest, chosen=wider.digest, candidates=(wider.digest,))
    scores = {wider.digest: 0.7, OTHER.digest: 0.6}
    monkeypatch.setattr(ledger, "recorded_result", lambda place, recipe: scores[recipe.digest])
    monkeypatch.setattr(agent, "winner_of_race", lambda place, incumbent: OTHER)
    same = SimpleNamespace(alternatives=[SimpleNamespace(label=describe(r.network)) for r in (OTHER, wider)])
    monkeypatch.setattr(agent, "next_question", lambda *_: same)
    monkeypatch.setattr(agent, "ask_question", lambda *_: pytest.fail("it was turned by the race"))
    progress = Progress(Recipe())
    stage = next(s for s in STAGES if s.name == "width")
    assert agent.run_stage(place, stage, "", None, progress, [grown])
    assert (progress.incumbent, progress.result) == (OTHER, 0.6)


@pytest.mark.parametrize(
    "decisions", [[], [decision(0.99)], [decision(0.6, adopted=False)], [decision(0.6), decision(0.99)]]
)
def test_nothing_to_race_for(tmp_path, monkeypatch, decisions):
    place, trained = bench(tmp_path, monkeypatch, (0.80, 0.90))
    assert race(place, *decisions) == CHOSEN
    assert trained == []


def test_a_later_question_that_kept_its_incumbent_does_not_end_the_doubt():
    assert final_race.doubtful([decision(0.6), decision(0.5, adopted=False)]) == decision(0.6)


def test_a_network_that_was_risked_races_whatever_follows(tmp_path, monkeypatch):
    """With what was found after it: only the network, its learning rate and its steps are those of before."""
    place, trained = bench(tmp_path, monkeypatch, (0.80, 0.90))
    wider, dropped = (replace(CHOSEN, {"network.width": 64} | more) for more in ({}, {"regularization.dropout": 0.2}))
    for recipe in (wider, dropped):
        place.run.save_recipe(recipe)
    risked = replace_record(decision(0.1, expected=(-0.05, 0.1)), candidate=wider.digest, chosen=wider.digest)
    later = replace_record(
        decision(0.6, expected=(0.04, 0.1)), incumbent=wider.digest, candidate=dropped.digest, chosen=dropped.digest
    )
    assert [risked.risked, later.risked] == [True, False]
    assert final_race.doubtful([risked, later]) is risked
    other = replace(OTHER, {"regularization.dropout": 0.2})
    assert final_race.race(place, Progress(dropped, decisions=[risked, later]), 0.5) == other
    assert trained == [400, 400]
    assert final_race.winner_of_race(place, dropped) == other
    # Nothing was measured of the other, with fresh seeds: the score of the wider network is not its own.
    told = [ledger.cross_validated(place.run, Progress(who, decisions=[risked, later])) for who in (dropped, other)]
    assert told == [pytest.approx(0.805), None]
    assert final_race.race(place, Progress(other, decisions=[risked, later]), 0.5) == other
    assert len(trained) == 2


@pytest.mark.parametrize(
    ("gain", "spread", "wider", "stays"),
    [(-0.02, 0.1, True, True), (-0.09, 0.1, True, False), (-0.12, 0.3, True, False), (-0.02, 0.1, False, False)],
    ids=["one in five", "less likely", "too much to lose", "other settings"],
)
def test_a_larger_network_stays_where_it_is_likely_enough(tmp_path, monkeypatch, gain, spread, wider, stays):
    """The rule by which it was carried on; other settings are not skewed so."""
    place, _ = bench(tmp_path, monkeypatch, (0.85, 0.85))
    expected = expectation.Expected(gain, spread, 0.0)
    monkeypatch.setattr(final_race, "expect", lambda *_: expected)
    monkeypatch.setattr(final_race, "growth_between", lambda *_: object() if wider else None)
    assert race(place, decision()) == (CHOSEN if stays else OTHER)
    assert ("as likely as one in five" in place.heard[-1][1]["reason"]) == stays


def test_runs_that_have_hardly_begun_are_not_raced(tmp_path, monkeypatch):
    place, trained = bench(tmp_path, monkeypatch, (0.80, 0.90))
    slow = SimpleNamespace(step_seconds=0.03)
    monkeypatch.setattr(final_race, "measure_shape", lambda *_: slow)
    assert race(place, decision()) == CHOSEN  # 17 steps a trial, 68 in the race
    assert trained == []


def test_without_time_there_is_none(tmp_path, monkeypatch):
    place, trained = bench(tmp_path, monkeypatch, (0.80, 0.90), left=final_race.SHORTEST + 1)
    assert race(place, decision()) == CHOSEN
    assert trained == []


@pytest.mark.parametrize(("epochs", "raced"), [(270.0, [200, 200]), (1000.0, [400, 400]), (100.0, [])])
def test_a_budget_in_epochs_races_for_its_share(tmp_path, monkeypatch, epochs, raced):
    """A trial of both takes 20 epochs."""
    place, trained = bench(tmp_path, monkeypatch, (0.80, 0.90))
    place.budget = SimpleNamespace(timed=False, seconds=None, epochs=epochs)
    place.state.spent_epochs = 0.0
    assert race(place, decision()) == (OTHER if raced else CHOSEN)
    assert trained == raced


@pytest.mark.parametrize(
    ("left", "pair"), [(60.0, 1.0), (60.0, 4.0), (600.0, 20.0), (600.0, 60.0), (15.0, 0.1), (14.0, 0.1)]
)
def test_a_race_takes_no_more_than_its_share(left, pair):
    longer = final_race.times_longer(left, pair)
    if longer is None:
        assert left < final_race.SHORTEST or final_race.LEAST * pair > final_race.SHARE * left
    else:
        assert final_race.LEAST <= longer <= final_race.LONGER
        assert longer * pair <= final_race.SHARE * left


@pytest.mark.slow
def test_a_timed_search_stays_within_its_budget_with_a_race(searched, monkeypatch):
    """However short the finish, and however sure the last question that adopted something."""

    def last_adopted(decisions):
        adopted = [d for d in decisions if d.chosen == d.candidate != d.incumbent]
        return adopted[-1] if adopted else None

    always = {"SHORTEST": 1.0, "LEAST": 1, "SHARE": 0.6, "SETTLED_STEPS": 1, "doubtful": last_adopted}
    for name, value in always.items():
        monkeypatch.setattr(final_race, name, value)
    found = searched(budget="20s", source="digits")
    assert read_json(found.run.summary)["budget"]["spent_seconds"] <= 22.0
    assert len(found.heard.of("race")) == (last_adopted(load_decisions(found.run)) is not None) == 1
    (race,) = found.heard.of("race")
    assert len(race["scores"]) == 2
    assert read_json(found.run.race)["winner"] == race["winner"]
