"""The report's parts by themselves: scales, calibration, the recipe in words."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from autorecipe.outputs.report import evidence, first
from autorecipe.outputs.report.predictions import confusion, label_table, most_confused, reliability, said_classes
from autorecipe.outputs.report.recipe_lines import change_words, recipe_lines
from autorecipe.outputs.report.svg import Scale, spread, tag
from autorecipe.recipe import Block, NetworkSection, Recipe, replace

reals = st.floats(-1e99, 1e99, allow_nan=False)


@given(values=st.lists(reals, min_size=1, max_size=8), log=st.booleans(), zero=st.booleans())
def test_an_axis_shows_every_value_between_its_edges(values, log, zero):
    low, high = spread(values, log=log, zero=zero and not log)
    assert low < high
    scale = Scale(low, high, 40.0, 340.0, log)
    assert all(40.0 <= scale(value) <= 340.0 for value in values)
    ticks = scale.ticks()
    assert len(ticks) <= 20
    room = 1e-6 * (high - low)
    assert all(low - room <= tick <= high + room for tick in ticks)


@given(text=st.text())
def test_an_element_escapes_content_and_attributes(text):
    found = tag("text", text, title=text)
    assert isinstance(found, Markup)
    inner = str(found).removeprefix("<text ").removesuffix("</text>").removesuffix("/>")
    assert inner.count("<") == 0
    assert inner.count('"') == 2


def test_calibration_by_hand():
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    right = np.array([True, True, True, False, True, False])
    bins, error = reliability(confidence, right)
    assert [(b.count, b.right) for b in bins] == [(2, 0.5), (4, 0.75)]
    assert error == pytest.approx((2 * 0.05 + 4 * 0.2) / 6)


@given(st.data())
def test_every_example_has_its_place_in_the_confusion_matrix(data):
    pairs = data.draw(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), min_size=1))
    truth, said = (np.array(side) for side in zip(*pairs, strict=True))
    table = confusion(truth, said, 20)
    assert table.sum() == len(pairs)
    worst = most_confused(table)
    assert all(pairs.count((i, j)) == n and i != j for i, j, n in worst)
    assert [n for *_, n in worst] == sorted((n for *_, n in worst), reverse=True)


def test_thresholds_decide():
    outputs = np.array([[0.7, 0.3], [0.9, 0.1]])
    assert said_classes(outputs, ()).tolist() == [0, 0]
    assert said_classes(outputs, (0.2,)).tolist() == [1, 0]


def test_labels_that_nobody_has_or_says():
    (row,) = label_table(np.zeros((3, 1), dtype=bool), np.zeros((3, 1), dtype=bool), ["none"])
    assert (row.precision, row.recall, row.f1) == (None, None, None)


def test_a_recipe_in_words():
    recipe = replace(
        Recipe(network=NetworkSection("resnet", 32, (Block(32), Block(64, 5, 2)))),
        {"data.modality": "image", "data.resolution": 28, "data.channels": 1, "optimizer.lr": 0.003,
         "schedule.name": "cosine", "optimizer.weight_decay": 0.02, "regularization.crop": 2, "training.steps": 240,
         "training.batch_size": 100, "training.train_on": "train+val", "finish.members": 2},
    )  # fmt: skip
    lines = dict(recipe_lines(recipe, 20000, 1000))
    assert len(lines) <= 10
    words = " ".join(lines.values()).replace("\N{NO-BREAK SPACE}", " ")
    for part in (
        "residual network: 2 blocks of 32-64 channels",
        "some 5x5 kernels",
        "halved once",
        "28 x 28 pixels, grey",
        "AdamW, learning rate 0.003",
        "15 % warm-up, then a cosine to zero",
        "weight decay 0.02",
        "shifted by up to 2 pixels",
        "240 steps (24 epochs) on train + val",
        "2 such networks",
    ):
        assert part in words


def test_what_a_question_changed():
    old = Recipe(network=NetworkSection("mlp", 64, (Block(64),)))
    new = replace(old, {"network.blocks": [{"width": 128}], "optimizer.lr": 0.01, "training.steps": 7})
    assert change_words(old, new) == ["network mlp 64 → mlp 128", "learning rate 0.001 → 0.01"]
    assert change_words(None, new) == []


def test_baselines_that_a_resume_measured_again_are_said_once():
    events = [{"name": name, "score": score} for name, score in (("linear", 0.7), ("majority", 0.5), ("linear", 0.8))]
    facts = SimpleNamespace(of=lambda kind: events)
    assert first._begin(facts) == "Baselines on val: linear 0.8000, majority 0.5000."
    assert first._begin(SimpleNamespace(of=lambda kind: [])) == "No baseline was measured."


def test_the_finished_recipe_is_the_winner_of_the_race():
    def finished(chosen, *races):
        facts = SimpleNamespace(decisions=[{"chosen": "a"}, {"chosen": chosen}], of=lambda kind: races)
        return evidence._finished(facts)

    turned = {"recipes": ["b", "c"], "kept": False, "winner": "c"}
    assert finished("b") == "b"
    assert finished("b", turned) == "c"
    assert finished("b", turned | {"kept": True, "winner": "b"}) == "b"
    assert finished("d", turned) == "d"  # a later part of the run has asked on
