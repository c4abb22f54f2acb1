import pytest
import torch
from torch import nn

from autorecipe.recipe import OptimizerSection
from autorecipe.training.hardware import find_hardware
from autorecipe.training.optimizers import MemberOptimizer, build_optimizer, choose_optimizers, set_lr


def network():
    return nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 3), nn.LayerNorm(3), nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_weight_decay_acts_on_matrices_and_kernels_alone(name):
    model = network()
    groups = build_optimizer(OptimizerSection(name, weight_decay=0.1), model, fused=False).param_groups
    decayed = {id(p) for g in groups if g["weight_decay"] for p in g["params"]}
    others = {id(p) for g in groups if not g["weight_decay"] for p in g["params"]}
    assert decayed == {id(model[1].weight), id(model[3].weight)}
    assert decayed | others == {id(p) for p in model.parameters()}
    assert {g["weight_decay"] for g in groups} == {0.1, 0.0}


def test_frozen_parameters_are_left_out():
    model = network()
    model[1].requires_grad_(False)
    params = [p for g in build_optimizer(OptimizerSection(), model, fused=False).param_groups for p in g["params"]]
    assert len(params) == len(list(model.parameters())) - 2


def test_the_sections_numbers_are_used():
    adamw = build_optimizer(OptimizerSection("adamw", 0.5, beta1=0.7, beta2=0.8), network(), fused=False)
    assert isinstance(adamw, torch.optim.AdamW)
    assert (adamw.param_groups[0]["lr"], adamw.param_groups[0]["betas"]) == (0.5, (0.7, 0.8))
    sgd = build_optimizer(OptimizerSection("sgd", 0.5, beta1=0.7), network(), fused=False)
    assert isinstance(sgd, torch.optim.SGD)
    assert (sgd.param_groups[0]["momentum"], sgd.param_groups[0]["nesterov"]) == (0.7, True)
    plain = build_optimizer(OptimizerSection("sgd", beta1=0.0), network(), fused=False)
    assert not plain.param_groups[0]["nesterov"]


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_decay_is_decoupled_from_the_gradient_for_adamw_and_acts_for_both(name):
    model = nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.fill_(1.0)
        model.bias.fill_(1.0)
    optimizer = build_optimizer(OptimizerSection(name, 0.1, weight_decay=0.5), model, fused=False)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    assert (model.weight < 1).all()
    assert (model.bias == 1).all()


def test_set_lr_reaches_every_group():
    optimizer = build_optimizer(OptimizerSection(), network(), fused=False)
    set_lr(optimizer, 0.25)
    assert [g["lr"] for g in optimizer.param_groups] == [0.25, 0.25]


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(ValueError, match="lion"):
        build_optimizer(OptimizerSection("lion"), network(), fused=False)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
@pytest.mark.parametrize("beta1", [0.9, 0.0])
def test_members_are_updated_as_torch_updates_them(name, beta1):
    """Each with its rate, its decay (so strong that it shows) and its clipping; then one of them leaves."""
    torch.manual_seed(0)
    sections = [
        OptimizerSection(name, 0.01, weight_decay=3.0, beta1=beta1),
        OptimizerSection(name, 0.05, weight_decay=0.0, beta1=beta1, clip_norm=0.5),
        OptimizerSection(name, 0.02, weight_decay=1.0, beta1=beta1, clip_norm=100.0),
    ]
    models = [nn.Linear(3, 2) for _ in sections]
    alone = [build_optimizer(section, model, fused=False) for section, model in zip(sections, models, strict=True)]
    matrix = torch.stack([nn.utils.parameters_to_vector(model.parameters()).detach() for model in models])
    together = MemberOptimizer(sections, matrix, num_decayed=6)
    members = [0, 1, 2]
    for step in range(12):
        if step == 6:
            members = [0, 2]
            matrix = matrix[members]
            together.keep(torch.tensor(members), matrix)
        gradients = [(torch.randn(2, 3), torch.randn(2)) for _ in members]
        for k, own in zip(members, gradients, strict=True):
            for p, gradient in zip(models[k].parameters(), own, strict=True):
                p.grad = gradient.clone()
            if sections[k].clip_norm:
                nn.utils.clip_grad_norm_(models[k].parameters(), sections[k].clip_norm)
            alone[k].step()
        parts = [torch.stack([own[i] for own in gradients]) for i in range(2)]
        together.step(parts, torch.tensor([[sections[k].lr] for k in members]))
        wanted = torch.stack([nn.utils.parameters_to_vector(models[k].parameters()).detach() for k in members])
        torch.testing.assert_close(matrix, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("slow", [True, False])
def test_the_faster_kernels_are_taken_and_the_timings_told(monkeypatch, slow):
    class Clock:
        now = 0.0

    def step(self, closure=None):
        fused = self.param_groups[0]["fused"]
        Clock.now += 0.003 if fused is slow else 0.001

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    monkeypatch.setattr("autorecipe.training.optimizers.time.perf_counter", lambda: Clock.now)
    chosen = choose_optimizers(find_hardware("cpu", 1))
    assert chosen.fused is not slow
    fused, plain = ("3.00", "1.00") if slow else ("1.00", "3.00")
    name = "plain" if slow else "fused"
    assert chosen.reason.endswith(f"{name} optimizers: an update takes {fused} ms fused, {plain} ms plain")


def test_both_kernels_are_really_timed():
    chosen = choose_optimizers(find_hardware("cpu", 1))
    assert "optimizers: an update takes" in chosen.reason
    assert " inf " not in chosen.reason
