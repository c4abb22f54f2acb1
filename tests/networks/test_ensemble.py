import numpy as np
import pytest
import torch
from helpers import CPU, on_cpu, recipe_for, rows_of
from hypothesis import given
from hypothesis import strategies as st

from autorecipe.networks import build, build_final, num_params
from autorecipe.networks.ensemble import Ensemble, average
from autorecipe.search.planner import ENOUGH_EPOCHS, MOST_MEMBERS, MOST_MEMBERS_SHORT, MOST_SLOWER, members_of_finish
from autorecipe.training.checkpoint import load_session, load_weights, save_session, save_weights
from autorecipe.training.cohort_size import alone_to_group
from autorecipe.training.evaluate import predict, probabilities
from autorecipe.training.loop import start_session, train


def outputs_of(seed, members=3, count=5, classes=4):
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 3, (members, count, classes)))


@given(st.integers(0, 10**6), st.integers(1, 5))
def test_the_average_of_classes_is_the_mean_probability(seed, members):
    outputs = outputs_of(seed, members)
    found = probabilities(average(outputs, "multiclass").numpy())
    assert found == pytest.approx(np.mean([probabilities(one.numpy()) for one in outputs], axis=0))


@given(st.integers(0, 10**6), st.integers(1, 5))
def test_the_average_of_labels_is_the_mean_probability_of_each(seed, members):
    outputs = outputs_of(seed, members)
    found = probabilities(average(outputs, "multilabel").numpy(), "multilabel")
    assert found == pytest.approx(np.mean([probabilities(one.numpy(), "multilabel") for one in outputs], axis=0))


def test_the_average_of_values_is_their_mean():
    outputs = outputs_of(0, classes=1)
    assert average(outputs, "regression").numpy() == pytest.approx(outputs.numpy().mean(0))


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize(
    ("kind", "channels_last"), [("digits", False), ("digits", True), ("iris", False), ("diabetes", False)]
)
def test_members_are_networks_trained_alone_on_the_same_batches(request, kind, channels_last, optimizer):
    """Each member is the recipe with its own first weights; the batches are those of the first seed."""
    dataset = request.getfixturevalue(kind)
    changes = {
        "optimizer.name": optimizer,
        "optimizer.lr": 0.01,
        "optimizer.weight_decay": 0.1,
        "regularization.label_smoothing": 0.1,
        "regularization.averaging": 0.5,
        "training.steps": 10,
        "training.channels_last": channels_last,
        "optimizer.clip_norm": 0.2 if optimizer == "sgd" else 0.0,  # which AdamW would not show
    }
    recipe = recipe_for(dataset, **changes, **{"finish.members": 3})
    data, rows = on_cpu(dataset), rows_of(dataset)
    session = start_session(recipe, data, CPU)
    looks = list(train(session, data, rows))
    found = session.readable
    assert isinstance(found, Ensemble)
    losses = []
    for k, member in enumerate(found.members):
        alone = start_session(recipe_for(dataset, **changes), data, CPU)
        first = build(recipe.network, recipe.regularization, dataset.info, recipe.training.seed + k).state_dict()
        alone.model.load_state_dict(first)
        alone.averaged.load_state_dict(first)
        losses.append(list(train(alone, data, rows))[-1].train_loss)
        ours, theirs = (predict(m, data.inputs, rows, recipe) for m in (member, alone.readable))
        assert ours == pytest.approx(theirs, abs=2e-3)
    assert looks[-1].train_loss == pytest.approx(np.mean(losses), rel=1e-3)


def test_several_members_survive_disk_and_interruption(iris, tmp_path):
    changes = {"finish.members": 2, "regularization.averaging": 0.2}
    data, rows = on_cpu(iris), rows_of(iris)
    recipe = recipe_for(iris, **changes)
    whole = start_session(recipe, data, CPU)
    list(train(whole, data, rows))
    begun = start_session(recipe, data, CPU)
    for look in train(begun, data, rows, looks=(3,)):
        if look.step == 3:
            save_session(begun, tmp_path / "finish.safetensors")
            break
    again = start_session(recipe, data, CPU)
    assert load_session(again, tmp_path / "finish.safetensors")
    list(train(again, data, rows))
    expected = predict(whole.readable, data.inputs, rows, recipe)
    assert predict(again.readable, data.inputs, rows, recipe) == pytest.approx(expected, abs=1e-5)
    save_weights(again.readable, tmp_path / "model.safetensors")
    loaded = build_final(recipe, iris.info)
    load_weights(loaded, tmp_path / "model.safetensors")
    assert predict(loaded, data.inputs, rows, recipe) == pytest.approx(expected, abs=1e-5)
    assert num_params(loaded) == 2 * num_params(build_final(recipe_for(iris), iris.info))


@given(st.sampled_from(["image", "table"]), st.floats(0.0, 2.0), st.floats(0.1, 1e4))
def test_each_of_several_members_sees_the_examples_often_enough(modality, further, epochs):
    members = members_of_finish(modality, further, epochs)
    slower = alone_to_group(members, further)
    assert 1 <= members <= MOST_MEMBERS
    if members > 1:
        assert epochs / slower >= ENOUGH_EPOCHS[modality]
        assert slower <= MOST_SLOWER
    assert members_of_finish(modality, further, 2 * epochs) >= members


@given(st.floats(0.0, 2.0), st.floats(1.0, 100.0))
def test_where_steps_are_limited_members_fill_the_time(further, spare):
    members = members_of_finish("table", further, 1.0, spare)
    assert 1 <= members <= MOST_MEMBERS_SHORT
    if members > 1:
        assert 2.2 * alone_to_group(members, further) <= spare


@pytest.mark.parametrize(("most", "members"), [(None, 4), (250, 2), (100, 1), (50, 1)])
def test_a_cap_on_parameters_counts_all_members(monkeypatch, most, members):
    from types import SimpleNamespace

    from autorecipe.search import finish

    monkeypatch.setattr(finish, "end_reserve", lambda *a: 0.0)
    monkeypatch.setattr(finish, "final_splits", lambda bench: "train+val")
    said = []
    bench = SimpleNamespace(
        state=SimpleNamespace(finish_members=None),
        budget=SimpleNamespace(timed=True),
        clock=SimpleNamespace(left=lambda: 100.0),
        limits=SimpleNamespace(max_params=most),
        dataset=SimpleNamespace(splits=SimpleNamespace(rows=lambda name: range(100))),
        say=lambda kind, **facts: said.append(facts["text"]),
        heartbeat=lambda: None,
    )
    shape = SimpleNamespace(members=16, step_seconds=0.001, further_member=0.1, num_params=100)
    recipe = SimpleNamespace(training=SimpleNamespace(batch_size=32), data=SimpleNamespace(modality="table"))
    assert finish._members(bench, recipe, shape, None) == members
    assert bench.state.finish_members == members
    assert bool(said) == (members > 1)
