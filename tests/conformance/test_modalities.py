"""Every kind of data goes through the one interface to a trained network and back to predictions."""

import json

import numpy as np
import pytest
import torch
from helpers import CPU, on_cpu, recipe_for, rows_of

from autorecipe.data import MODALITIES, modality
from autorecipe.training.evaluate import all_scores, predict
from autorecipe.training.loop import start_session, train

SETS = {"image": ("digits", "coloured"), "table": ("iris", "mixed", "diabetes")}
CASES = [(kind.name, name) for kind in MODALITIES for name in SETS[kind.name]]


def test_every_modality_has_a_data_set_here():
    assert {kind.name for kind in MODALITIES} == set(SETS)


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_it_is_found_by_its_name(kind, name, datasets):
    assert modality(kind).name == datasets[name].info.modality == kind


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_splits_are_disjoint_and_complete(kind, name, datasets):
    splits = datasets[name].splits
    together = np.concatenate([splits.train, splits.val, splits.confirm, splits.test])
    assert sorted(together.tolist()) == list(range(len(datasets[name].targets)))
    for seed in range(len(splits.parts)):
        kept, held_out = splits.held_out(seed)
        assert not set(held_out) & (set(kept) | set(splits.val) | set(splits.test))


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_the_preprocessing_is_plain_data(kind, name, datasets):
    data = datasets[name]
    assert json.loads(json.dumps(data.preprocess)) == data.preprocess


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_the_facts_fit_the_tensors(kind, name, datasets):
    data = datasets[name]
    assert len({len(x) for x in (*data.inputs, data.targets)}) == 1
    if kind == "image":
        assert data.inputs[0].shape[1:] == (data.info.channels, data.info.resolution, data.info.resolution)
        assert data.inputs[0].dtype == torch.uint8
    else:
        assert data.inputs[0].shape[1] == data.info.num_numbers == len(data.info.bins)
        assert data.inputs[1].shape[1] == len(data.info.cardinalities)
    features = modality(kind).baseline_features(data.inputs)
    assert features.shape[0] == len(data.targets)
    assert features.dtype == np.float32


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_it_can_be_learned(kind, name, datasets):
    data = datasets[name]
    recipe = recipe_for(data, **{"training.steps": 60})
    session = start_session(recipe, on_cpu(data), CPU)
    losses = [look.train_loss for look in train(session, on_cpu(data), rows_of(data), looks=(10,))]
    assert losses[-1] < losses[0]
    rows = rows_of(data, "val")
    scores = all_scores(data.targets[rows].numpy(), predict(session.model, data.inputs, rows, recipe), data.info)
    assert data.info.metric in scores
    assert all(np.isfinite(value) for value in scores.values())
