"""Every regularizer: off is bit for bit the plain loop; on changes the curve."""

import dataclasses

import pytest
import torch
from helpers import CPU, on_cpu, recipe_for, rows_of
from torch import nn

from autorecipe.recipe import RegularizationSection, dump_yaml, load_yaml, replace
from autorecipe.training.evaluate import predict
from autorecipe.training.loop import start_session, train

ON = {
    "dropout": 0.5,
    "label_smoothing": 0.2,
    "mixup": 0.4,
    "crop": 2,
    "flip": True,
    "erase": 1.0,
    "class_weights": 1.0,
    "averaging": 0.2,
}
CLASSES_ONLY = ("label_smoothing", "class_weights")
IMAGES_ONLY = ("mixup", "crop", "flip", "erase")
FIELDS = [f.name for f in dataclasses.fields(RegularizationSection)]
CASES = [(name, data) for name in FIELDS for data in ("digits", "mixed", "diabetes")]


def run(dataset, recipe):
    """Losses of each step, and the outputs of the weights that are read."""
    session = start_session(recipe, on_cpu(dataset), CPU)
    losses = [look.train_loss for look in train(session, on_cpu(dataset), rows_of(dataset), looks=range(9))]
    return losses, predict(session.readable, dataset.inputs, torch.arange(20), recipe).tolist()


@pytest.fixture(scope="module")
def plain(datasets):
    return {name: run(datasets[name], recipe_for(datasets[name])) for name in ("digits", "mixed", "diabetes")}


def test_every_field_has_a_value_for_on():
    assert set(ON) == set(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_is_off_by_default(name):
    default = getattr(RegularizationSection(), name)
    assert not default
    assert ON[name] != default


@pytest.mark.parametrize(("name", "data"), CASES)
def test_off_is_bit_for_bit_the_plain_loop(name, data, datasets, plain):
    recipe = recipe_for(datasets[data])
    written = replace(recipe, {f"regularization.{name}": type(ON[name])(0)})
    assert run(datasets[data], load_yaml(dump_yaml(written))) == plain[data]


@pytest.mark.parametrize(("name", "data"), CASES)
def test_on_changes_what_is_learned(name, data, datasets, plain):
    dataset = datasets[data]
    changed = run(dataset, recipe_for(dataset, **{f"regularization.{name}": ON[name]}))
    if (dataset.info.modality == "table" and name in IMAGES_ONLY) or (
        dataset.info.task == "regression" and name in CLASSES_ONLY
    ):
        assert changed == plain[data]
    else:
        assert changed != plain[data]
        if name == "averaging":  # only the weights that are read differ
            assert changed[0] == plain[data][0]
        else:
            assert changed[0] != plain[data][0]


def test_a_rate_of_zero_is_the_network_without_dropout(datasets, monkeypatch, plain):
    from autorecipe.networks import mlp

    def without(*args):
        model = built(*args)
        model.body = nn.Sequential(*(m for m in model.body if not isinstance(m, nn.Dropout)))
        return model

    built = mlp.MLP
    monkeypatch.setattr(mlp, "MLP", without)
    assert run(datasets["mixed"], recipe_for(datasets["mixed"])) == plain["mixed"]


@pytest.mark.parametrize("name", FIELDS)
def test_predictions_are_not_regularised(name, datasets):
    """Dropout, shifts and the like belong to training alone: predicting twice gives the same."""
    dataset = datasets["digits"]
    recipe = recipe_for(dataset, **{f"regularization.{name}": ON[name], "training.steps": 2})
    session = start_session(recipe, on_cpu(dataset), CPU)
    for _ in train(session, on_cpu(dataset), rows_of(dataset)):
        pass
    once, twice = (predict(session.readable, dataset.inputs, None, recipe) for _ in range(2))
    assert (once == twice).all()
    assert session.model.training
