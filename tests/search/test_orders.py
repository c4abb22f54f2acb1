"""Three data sets whose right order of stages differs: the agent has to see which is which."""

import numpy as np
import pytest

from autorecipe.rundir import read_json


def underfitted():
    """A chessboard with many squares: so few epochs cannot even fit the training examples."""
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (600, 2))
    return x, np.where((np.floor(x[:, 0] * 8) + np.floor(x[:, 1] * 8)) % 2, "black", "white")


def overfitted():
    """Few examples, many numbers, and classes that follow none of them: all can be learned by heart."""
    random = np.random.default_rng(0)
    return random.normal(size=(120, 20)), random.choice(["heads", "tails"], 120)


def unstable():
    """One target is so large that the loss jumps whenever its turn comes."""
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 4))
    y = x[:, 0] + 0.1 * random.normal(size=400)
    y[7] = 1e5
    return x, y


def order(found):
    return [stage["name"] for stage in found.heard.of("stage")]


def diagnoses(found):
    return {row["stage"]: row["diagnosis"].split(":")[0] for row in read_json(found.run.decisions) if row["diagnosis"]}


@pytest.mark.slow
def test_underfitting_skips_regularize(searched):
    found = searched(data=underfitted(), budget="16epochs", max_width=128, max_depth=4)
    assert diagnoses(found)["depth"] == "underfitting"
    assert order(found)[-2:] == ["depth", "finish"]
    assert "regularize" not in order(found)


@pytest.mark.slow
def test_overfitting_skips_to_regularize(searched):
    found = searched(data=overfitted(), budget="1500epochs", max_width=128, max_depth=4)
    assert diagnoses(found)["small"] == "overfitting"
    assert order(found)[:2] == ["small", "regularize"]
    assert not {"width", "depth"} & set(order(found))


@pytest.mark.slow
def test_unstable_lowers_the_rate_and_clips(searched):
    found = searched(data=unstable(), budget="60epochs", max_width=128, max_depth=4)
    assert diagnoses(found)["small"] == "unstable"
    assert order(found)[:2] == ["small", "width"]
    rows = read_json(found.run.decisions)  # of `small` there may be two: settings, and how numbers enter
    before = [row for row in rows if row["stage"] == "small"][-1]
    after = next(row for row in rows if row["stage"] == "width")
    assert found.run.load_recipe(before["chosen"]).optimizer.clip_norm == 0
    assert found.run.load_recipe(after["incumbent"]).optimizer.clip_norm == 1.0
