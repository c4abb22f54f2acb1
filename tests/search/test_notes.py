from dataclasses import replace as replace_record

import pytest
from helpers import recipe_for

from autorecipe.recipe import Recipe, load_yaml
from autorecipe.results import CurvePoint, DatasetInfo, Decision, LRRange, TrainResult
from autorecipe.search.notes import answer_note, question_note, trial_note
from autorecipe.search.points import Question

SUGGESTED = LRRange(2e-3, "steepest descent of one sweep")
DECISION = Decision(
    stage="width",
    question="width 16 -> 32",
    incumbent="a" * 12,
    candidates=("b" * 12,),
    candidate="b" * 12,
    study="run/2-width-16to32",
    trials=(0, 1),
    effect=0.0125,
    standard_error=0.004,
    interval=(0.006, 0.019),
    p_better=0.99,
    num_examples=400,
    num_seeds=2,
    seconds=3.0,
    verdict="adopted",
    reason="expected relative gain +3.0%",
    chosen="b" * 12,
    held_out="confirm",
)
NETWORKS = ("mlp 16", "mlp 32")
FOUND = "error 0.05 -> 0.0375 on 400 unseen examples"


@pytest.fixture
def info(iris) -> DatasetInfo:
    return iris.info


@pytest.fixture
def recipe(iris) -> Recipe:
    return recipe_for(iris)


def question(recipe: Recipe) -> Question:
    return Question(2, "width", "width-16to32", "width 16 -> 32", recipe, (), {}, (), 6, 0.5, 10.0)


def test_an_open_question_says_what_its_trials_are(info: DatasetInfo, recipe: Recipe) -> None:
    note = question_note(question(recipe), info, "epochs")
    assert note.startswith("## width 16 -> 32\n\nQuestion 2, stage width\n\nNot decided yet.")
    assert "the accuracy on val (maximize) after 0.5 epochs of training" in note
    assert "after 1/8, 1/4, 1/2 of its training" in note
    assert "rmse on val (minimize)" in question_note(question(recipe), replace_record(info, metric="rmse"), "seconds")


def test_an_answer_says_question_verdict_finding_and_reason(info: DatasetInfo, recipe: Recipe) -> None:
    note = answer_note(question(recipe), DECISION, FOUND, NETWORKS, info, "seconds")
    assert note.startswith("## width 16 -> 32\n")
    for words in (
        "- Verdict: **adopted**",
        f"- Finding: {FOUND}",
        "- Effect: +0.0125 in accuracy, 90 % interval +0.006 to +0.019",
        "- Why: expected relative gain +3.0%",
        "- Incumbent: mlp 16 (recipe `aaaaaaaaaaaa`)",
        "- Candidate: mlp 32 (recipe `bbbbbbbbbbbb`)",
        "- The search goes on with: the candidate",
    ):
        assert f"\n{words}\n" in note


def test_an_answer_without_a_measurement_or_a_rival(info: DatasetInfo, recipe: Recipe) -> None:
    alone = replace_record(DECISION, effect=None, interval=None, candidate="a" * 12, chosen="a" * 12)
    note = answer_note(question(recipe), alone, "", NETWORKS, info, "seconds")
    assert "- Finding: nothing was measured on fresh seeds\n" in note
    assert "Effect" not in note
    assert "Candidate" not in note
    assert note.count("the incumbent\n") == 1
    kept = replace_record(DECISION, chosen="a" * 12, verdict="not decided: kept the smaller")
    same = (NETWORKS[0], NETWORKS[0])
    assert "- Verdict: **not decided: kept as it was**\n" in answer_note(
        question(recipe), kept, "", same, info, "seconds"
    )
    assert "goes on with: the incumbent\n" in answer_note(question(recipe), kept, "", NETWORKS, info, "seconds")


def test_a_pruned_trial_says_why_shows_its_curve_and_its_recipe(recipe: Recipe) -> None:
    curve = (CurvePoint(1, 0.1, 1e-4, 1.25, 0.5, 1.125), CurvePoint(2, 0.2, 2e-4, 1.5, None, None))
    result = TrainResult("pruned", 2, 0.25, 0.5, 1.125, num_params=1234, curve=curve, reason="among the\nworse half")
    note = trial_note(recipe, result, SUGGESTED, "mlp 16", "accuracy")
    lines = note.splitlines()
    assert lines[0] == "**pruned**: among the worse half"
    assert "- Network: mlp 16, 1,234 parameters" in lines
    assert recipe.optimizer.lr == 3e-3
    assert "- Learning rate: 0.003, 1.5 times the suggested 0.002" in lines
    assert "- Why 0.002: steepest descent of one sweep" in lines
    assert "- Training: 2 of 8 steps of 32 examples, 0.2 s" in lines
    assert [title.strip() for title in lines[7].replace("&emsp;", "").strip("|").split("|")] == [
        "step",
        "learning rate",
        "training loss",
        "loss on val",
        "accuracy on val",
    ]
    assert "| 1 | 0.0001 | 1.2500 | 1.1250 | 0.5000 |" in lines
    assert "| 2 | 0.0002 | 1.5000 |  |  |" in lines
    block = note.split("```yaml\n")[1].removesuffix("```")
    assert load_yaml(block) == recipe


def test_a_trial_that_was_trained_before_and_one_that_gave_nothing(recipe: Recipe) -> None:
    before = trial_note(
        recipe, TrainResult("complete", 8, 0.0, 0.75, 0.5), SUGGESTED, "mlp 16", "accuracy", reused=True
    )
    assert before.startswith("**complete**: accuracy 0.75 on val\n")
    assert "- Training: none: this recipe had been trained before\n" in before
    assert "training loss" not in before
    nothing = TrainResult("out_of_memory", 0, 0.0, None, None, reason="too large")
    assert trial_note(recipe, nothing, SUGGESTED, "mlp 16", "rmse").startswith("**out of memory**: too large\n")
