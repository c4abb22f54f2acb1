"""Every family, on every kind of data it takes, keeps the same laws; so does a user's own."""

import math
from dataclasses import replace as replace_record

import pytest
import torch
from helpers import CPU, on_cpu, recipe_for, rows_of
from torch import nn

from autorecipe.networks import FAMILIES, Family, build, num_params
from autorecipe.recipe import Block, NetworkSection, RegularizationSection
from autorecipe.training.checkpoint import load_weights, save_weights
from autorecipe.training.evaluate import loss_of_each, predict
from autorecipe.training.loop import start_session, train

OFF = RegularizationSection()


class Own(nn.Module):
    """A user's network: numbers through hidden layers; categories are left out."""

    def __init__(self, features, widths, outputs):
        super().__init__()
        layers = []
        for width in widths:
            layers += [nn.Linear(features, width), nn.ReLU(), nn.Dropout(0.0)]
            features = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(features, outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, numbers_BF, codes_BK):
        return self.head(self.body(numbers_BF))


OWN = Family(
    smallest=lambda info: NetworkSection("own", 16, (Block(16),), options={"wide": True}),
    wider=lambda s: replace_record(s, width=2 * s.width, blocks=tuple(Block(2 * b.width) for b in s.blocks)),
    deeper=lambda s: [replace_record(s, blocks=(*s.blocks, Block(s.width)))],
    build=lambda s, info: Own(info.num_numbers, [b.width for b in s.blocks], info.num_outputs),
    modalities=("table",),
)
SETS = {"image": ("digits", "coloured"), "table": ("iris", "mixed", "diabetes")}
CASES = [
    (name, dataset)
    for name, known in {**FAMILIES, "own": OWN}.items()
    for modality in known.modalities
    for dataset in SETS[modality]
]


@pytest.fixture(autouse=True)
def own_family(monkeypatch):
    """The user's family is there for these tests alone."""
    monkeypatch.setitem(FAMILIES, "own", OWN)


@pytest.fixture(params=CASES, ids="-".join)
def case(request, datasets):
    name, dataset = request.param
    data = datasets[dataset]
    return FAMILIES[name], data, FAMILIES[name].smallest(data.info)


def outputs(model, dataset, count=32):
    return predict(model, dataset.inputs, torch.arange(count), recipe_for(dataset, NetworkSection()))


def test_the_smallest_builds_and_runs(case):
    _, data, section = case
    model = build(section, OFF, data.info, 0)
    out = model(*(x[:8] for x in data.inputs))
    assert out.shape == (8, data.info.num_outputs)
    out.sum().backward()
    assert any(p.grad is not None and p.grad.any() for p in model.parameters())
    assert section.family in FAMILIES


def test_growth_means_more_parameters(case):
    known, data, section = case
    count = num_params(build(section, OFF, data.info, 0))
    wider = known.wider(section)
    grown = [*known.deeper(section), *([wider] if wider else [])]
    for larger in grown:
        model = build(larger, OFF, data.info, 0)
        assert num_params(model) > count
        assert outputs(model, data).shape == (32, data.info.num_outputs)
    if wider:
        assert wider.width == 2 * section.width
        assert len(wider.blocks) == len(section.blocks)
    for deeper in known.deeper(section):
        assert len(deeper.blocks) == len(section.blocks) + 1


def test_build_is_deterministic_and_leaves_the_global_generator_alone(case):
    _, data, section = case
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = build(section, OFF, data.info, 7).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)
    second = build(section, OFF, data.info, 7).state_dict()
    other = build(section, OFF, data.info, 8).state_dict()
    assert all(torch.equal(a, b) for a, b in zip(first.values(), second.values(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.values(), other.values(), strict=True))


def test_the_loss_at_the_start_is_that_of_knowing_nothing(case):
    _, data, section = case
    if section.family == "linear":
        pytest.skip("PyTorch's own initialisation of the linear layer is kept")
    rows = rows_of(data)
    targets = data.targets[rows].numpy()
    found = predict(build(section, OFF, data.info, 0), data.inputs, rows, recipe_for(data, section))
    loss = float(loss_of_each(targets, found, data.info).mean())
    expected = float((targets**2).mean()) if data.info.task == "regression" else math.log(data.info.num_outputs)
    assert loss == pytest.approx(expected, rel=0.1)


def test_one_batch_is_overfitted(case):
    _, data, section = case
    if section.family == "linear" and data.info.task in ("binary", "regression"):
        pytest.skip("a linear model cannot learn any batch by heart")
    lr = 0.1 if section.family == "linear" else 0.01
    changes = {"training.steps": 400, "training.batch_size": 16, "optimizer.lr": lr, "schedule.warmup": 0.0}
    recipe = recipe_for(data, section, **changes)
    session = start_session(recipe, on_cpu(data), CPU)
    picks = torch.linspace(0, len(data.splits.train) - 1, 16).long()
    first = None
    for look in train(session, on_cpu(data), rows_of(data)[picks], looks=range(0, 400, 10)):
        first = look.train_loss if first is None else first
        if look.train_loss < 0.1 * first:
            return
    pytest.fail(f"loss {first} -> {look.train_loss}")


def test_weights_load_again(case, tmp_path):
    _, data, section = case
    session = start_session(recipe_for(data, section), on_cpu(data), CPU)
    for _ in train(session, on_cpu(data), rows_of(data)):
        pass
    save_weights(session.model, tmp_path / "model.safetensors")
    other = build(section, OFF, data.info, 99)
    assert (outputs(other, data) != outputs(session.model, data)).any()
    load_weights(other, tmp_path / "model.safetensors")
    assert (outputs(other, data) == outputs(session.model, data)).all()


def test_the_same_seed_trains_the_same_network(case):
    _, data, section = case
    curves = []
    for seed in (0, 0, 1):
        recipe = recipe_for(data, section, **{"training.seed": seed, "training.steps": 4})
        session = start_session(recipe, on_cpu(data), CPU)
        curves.append([look.train_loss for look in train(session, on_cpu(data), rows_of(data), looks=range(5))])
    assert curves[0] == curves[1]
    assert curves[0] != curves[2]


def test_the_families_that_are_shipped_are_checked():
    assert {name for name, _ in CASES} == set(FAMILIES)
    assert all(set(known.modalities) <= set(SETS) for known in FAMILIES.values())
