"""Two runs side by side."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_helpers import change_json, copy_of, search_small
from safetensors.numpy import load_file, save_file

from autorecipe.errors import InputError
from autorecipe.outputs.compare import BEYOND, Difference, _kept_share, compare, difference_of, unpaired_variance
from autorecipe.recipe import load_recipe
from autorecipe.rundir import RunDir, numbers_of, read_json, write_json
from autorecipe.search.decide import Evidence

SCORES = st.floats(0.02, 0.98)
EVIDENCE = st.lists(
    st.builds(
        Evidence,
        st.lists(st.floats(-0.05, 0.05), min_size=2, max_size=4).map(tuple),
        st.floats(0, 1e-3),
        st.floats(0.01, 0.5),
        measure=st.sampled_from(["accuracy", "log_loss"]),
    ),
    max_size=4,
)


@pytest.fixture(scope="module")
def made(_own_cache, tmp_path_factory):
    """Two searches of iris with different seeds of everything but the data, and one of wine."""
    root = tmp_path_factory.mktemp("runs")
    return [
        search_small(root / "a", budget="20epochs"),
        search_small(root / "b", budget="8epochs", max_width=32),
        search_small(root / "c", source="wine", budget="4epochs"),
    ]


def keep_outputs(run, right, count=30, seed=0):
    """Predictions on test of which so many are right."""
    targets = np.arange(count) % 3
    said = np.where(np.arange(count) < right, targets, (targets + 1) % 3)
    outputs = np.eye(3, dtype=np.float32)[said] * 3
    order = np.random.default_rng(seed).permutation(count)
    path = run.artifacts / "test.safetensors"
    save_file({"outputs": outputs[order], "targets": targets[order], "rows": np.arange(count)[order]}, path)
    change_json(run.summary, scores__test=right / count, metrics__test__accuracy=right / count)


@given(SCORES, SCORES, st.floats(0, 1e-2), EVIDENCE)
def test_the_other_way_round_is_the_opposite(a, b, variance, evidences):
    one = difference_of("accuracy", (a, b), variance, evidences)
    other = difference_of("accuracy", (b, a), variance, evidences)
    assert one.gain == -other.gain
    assert one.standard_error == pytest.approx(other.standard_error)
    assert one.p_second_better == pytest.approx(1 - other.p_second_better)
    assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]))
    if abs(max(one.p_second_better, other.p_second_better) - BEYOND) > 1e-9:
        swapped = {"first": "second", "second": "first"}
        words = [swapped.get(word, word) for word in other.verdict.split()]
        assert one.verdict == " ".join(words)


@given(SCORES, st.floats(0, 1e-2), EVIDENCE)
def test_equal_scores_are_within_noise(score, variance, evidences):
    found = difference_of("rmse", (score, score), variance, evidences)
    assert found.p_second_better == 0.5
    assert found.verdict == "within noise"


@given(SCORES, SCORES, st.floats(1e-6, 1e-2))
def test_more_noise_is_never_surer(a, b, variance):
    less, more = (difference_of("accuracy", (a, b), v, ()) for v in (variance, 4 * variance))
    assert abs(more.p_second_better - 0.5) <= abs(less.p_second_better - 0.5) + 1e-12


@given(SCORES, st.integers(10, 10_000), st.sampled_from(["accuracy", "rmse", "log_loss", "macro_f1", "r2"]))
def test_more_examples_have_less_noise(score, count, metric):
    assert 0 < unpaired_variance(metric, score, 4 * count) <= unpaired_variance(metric, score, count)


def test_less_is_better_for_an_error():
    found = difference_of("rmse", (2.0, 1.0), 1e-6, ())
    assert found.gain == 1.0
    assert found.verdict.startswith("beyond noise: second better, P=")


def test_a_run_and_itself(made):
    found = compare(made[0], made[0])
    assert found.recipe == {}
    assert found.same_data
    assert found.difference is not None
    assert found.difference.gain == 0
    assert found.verdict == "within noise"


def test_two_runs_of_the_same_data(made):
    found = compare(made[0], made[1])
    assert found.difference is not None
    a, b = (read_json(run.summary) for run in made[:2])
    assert found.difference.scores == (a["scores"]["test"], b["scores"]["test"])
    assert found.runs[0].seconds == a["budget"]["spent_seconds"]
    assert found.runs[1].num_params == b["num_params"]
    one, two = (load_recipe(run.recipe) for run in made[:2])
    assert found.recipe["training.steps"] == (one.training.steps, two.training.steps)
    mirrored = compare(made[1], made[0])
    assert mirrored.difference is not None
    assert mirrored.difference.gain == -found.difference.gain
    assert mirrored.recipe == {name: (b, a) for name, (a, b) in found.recipe.items()}


def test_scores_on_different_data_are_refused_and_recipes_are_not(made):
    found = compare(made[0], made[2])
    assert found.difference is None
    assert not found.same_data
    assert "different data" in found.refused
    assert "training.steps" in found.recipe


def test_the_same_examples_are_paired(made, tmp_path):
    runs = [copy_of(made[0], tmp_path / name) for name in "ab"]
    for run in runs:
        run.tested.unlink()
    unpaired = compare(*runs).difference
    for place, run in enumerate(runs):
        keep_outputs(run, right=20 + 4 * place, seed=place)
    found = compare(*runs).difference
    assert isinstance(found, Difference)
    assert found.paired
    assert "paired on 30 test examples" in found.reason
    assert found.gain == pytest.approx(4 / 30)
    # Four examples are right in the second alone: the variance of their mean, and not that of two shares.
    assert unpaired is not None
    assert not unpaired.paired
    assert "no artifacts/test.safetensors" in unpaired.reason
    assert found.standard_error < np.sqrt(sum(unpaired_variance("accuracy", s, 30) for s in found.scores))


def test_runs_of_two_metrics_are_compared_by_the_noise_of_either(made, tmp_path):
    """A decision's scores are in its own run's metric: as accuracies these would be wild."""
    runs = [copy_of(made[0], tmp_path / name) for name in "ab"]
    known = compare(*runs).difference
    for path in (runs[1].summary, runs[1].preprocess):
        change_json(path, **({"metric": "log_loss"} if path == runs[1].summary else {"info__metric": "log_loss"}))
    rows = read_json(runs[1].decisions)
    for row in rows:
        row["scores"] = {who: [10.0 + 9.0 * k for k in range(len(values))] for who, values in row["scores"].items()}
        row["scores"]["candidate"] = [1.0] * len(row["scores"].get("candidate", []))
    write_json(runs[1].decisions, rows)
    found = compare(*runs).difference
    assert known is not None
    assert found is not None
    assert found.metric == "accuracy"
    assert found.standard_error < 3 * known.standard_error


def test_a_difference_that_nobody_knows_is_within_noise():
    unknown = Difference("roc_auc", (math.nan, 0.9), math.nan, math.nan, (math.nan, math.nan), math.nan, False, "")
    assert unknown.verdict == "within noise"


def test_other_test_examples_are_not_paired(made, tmp_path):
    runs = [copy_of(made[0], tmp_path / name) for name in "ab"]
    keep_outputs(runs[0], right=20, count=30)
    keep_outputs(runs[1], right=20, count=24)
    found = compare(*runs).difference
    assert found is not None
    assert not found.paired
    assert "test splits differ" in found.reason


def test_other_test_examples_are_judged_by_the_outputs_of_each(made, tmp_path):
    """Of rank and class means the score alone says too little: few examples of a class make them."""
    runs = [copy_of(made[0], tmp_path / name) for name in "ab"]
    for run in runs:
        for path in (run.summary, run.preprocess):
            change_json(path, **({"metric": "macro_f1"} if path == run.summary else {"info__metric": "macro_f1"}))
    keep_outputs(runs[0], right=28, count=30)
    keep_outputs(runs[1], right=26, count=28)
    found = compare(*runs).difference
    assert found is not None
    assert found.metric == "macro_f1"
    assert found.reason.startswith("unpaired: ")


def test_splits_by_other_rules_are_refused(made, tmp_path):
    runs = [copy_of(made[0], tmp_path / name) for name in "ab"]
    change_json(runs[1].preprocess, info__group="patient")
    found = compare(*runs)
    assert found.same_data
    assert found.difference is None
    assert "one was drawn at random, the other by groups of 'patient'" in found.refused


def test_groups_are_one_draw_each(made, tmp_path):
    """Two runs that differ in whole groups: the examples of a group are right and wrong together."""
    runs = [copy_of(made[0], tmp_path / name) for name in "ab"]
    for place, run in enumerate(runs):
        change_json(run.preprocess, info__group="patient")
        keep_outputs(run, right=15 + 10 * place)
    alone = compare(*runs).difference
    for run in runs:
        tensors = load_file(run.tested)
        save_file(tensors | {"clusters": tensors["rows"] // 10}, run.tested)
    found = compare(*runs).difference
    assert alone is not None
    assert found is not None
    assert "taken as independent" in alone.reason
    assert "in 3 groups" in found.reason
    assert found.gain == alone.gain
    assert found.standard_error > alone.standard_error


def test_more_examples_of_the_same_groups_tell_nothing_new():
    rows = {"rows": np.arange(100), "targets": np.arange(100)}
    assert _kept_share(rows, 400) == 0.25
    assert _kept_share(rows | {"clusters": np.arange(100) // 10}, 400) == 1.0


def test_a_function_of_the_users_is_compared_by_the_usual_metric(made, tmp_path):
    runs = [copy_of(made[0], tmp_path / name) for name in "ab"]
    for run in runs:
        change_json(run.summary, metric="python:f")
        change_json(run.preprocess, info__metric="python:f")
    found = compare(*runs).difference
    assert found is not None
    assert found.metric == "accuracy"


def test_short_trainings_of_convnets_differ_more():
    settled, short = (difference_of("accuracy", (0.98, 0.99), 1e-6, [], share=share) for share in (0.04, 0.17))
    assert short.standard_error > 2 * settled.standard_error


def test_predictions_that_are_damaged_are_passed_over(made, tmp_path):
    run = copy_of(made[0], tmp_path)
    (run.artifacts / "test.safetensors").write_bytes(b"none")
    found = compare(run, made[0]).difference
    assert found is not None
    assert not found.paired


def test_a_run_without_a_test_score(made, tmp_path):
    run = copy_of(made[0], tmp_path)
    change_json(run.summary, status="interrupted", scores__test=None, metrics={"test": {}})
    found = compare(run, made[0])
    assert found.difference is None
    assert "no test score" in found.refused


def test_a_run_without_a_model(made, tmp_path):
    empty = RunDir(tmp_path / "empty")
    empty.path.mkdir()
    with pytest.raises(InputError, match="autorecipe resume"):
        compare(made[0], empty)


def test_only_numbers_are_scores():
    assert numbers_of({"a": 1, "b": 0.5, "c": None, "d": True, "e": "x", "f": math.nan}) == {"a": 1.0, "b": 0.5}
    assert numbers_of("x") == {}
