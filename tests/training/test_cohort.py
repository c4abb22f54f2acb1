"""A member of a cohort is its recipe trained alone."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import CPU, on_cpu, recipe_for, rows_of, small_digits
from torch import nn

from autorecipe import networks
from autorecipe.data import ReadOptions, load_dataset
from autorecipe.networks import Family, family, layers
from autorecipe.recipe import NetworkSection, replace
from autorecipe.training import cohort as cohort_module
from autorecipe.training import cohort_size, member_ops
from autorecipe.training.cohort import cohort_key, start_cohort, train_cohort
from autorecipe.training.evaluate import predict
from autorecipe.training.loop import OutOfMemory, start_session, train
from autorecipe.training.losses import class_weights, loss_function, member_losses
from autorecipe.training.stack import Stack, why_not
from autorecipe.training.stack_layers import MemberDropout, NotStackable

STEPS = 20


def alone(dataset, recipe, rows=None):
    session = start_session(recipe, on_cpu(dataset), CPU)
    looks = list(train(session, on_cpu(dataset), rows_of(dataset) if rows is None else rows, looks=(7,)))
    return session, looks


def together(dataset, recipes, rows=None, looks=(7,)):
    rows = [rows_of(dataset)] * len(recipes) if rows is None else rows
    cohort = start_cohort(recipes, on_cpu(dataset), rows, CPU)
    return cohort, list(train_cohort(cohort, on_cpu(dataset), looks=looks))


def assert_same(member, model, tolerance=4e-3):
    for name, value in model.state_dict().items():
        other = member.state_dict()[name]
        assert other.shape == value.shape, name
        if value.is_floating_point():  # averaged networks count no batches
            torch.testing.assert_close(other, value, rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}")


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


MEMBERS = [
    {"optimizer.lr": 1e-3},
    {"optimizer.lr": 4e-3, "optimizer.weight_decay": 0.1},
    {"optimizer.lr": 2e-3, "optimizer.clip_norm": 0.2, "regularization.label_smoothing": 0.1},
    {"optimizer.lr": 2e-3, "training.seed": 5, "regularization.averaging": 0.3},
]
IMAGE_MEMBERS = [
    *MEMBERS,
    {"optimizer.lr": 2e-3, "regularization.crop": 1, "regularization.flip": True},
    {"optimizer.lr": 2e-3, "regularization.mixup": 0.4, "regularization.erase": 0.5},
    {"optimizer.lr": 3e-3, "regularization.mixup": 0.2, "training.seed": 5},
]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("name", ["digits", "coloured", "iris", "diabetes", "mixed"])
def test_a_member_is_its_recipe_trained_alone(datasets, name, optimizer, one_thread):
    dataset = datasets[name]
    image = dataset.info.modality == "image"
    base = recipe_for(dataset, **{"training.steps": STEPS, "optimizer.name": optimizer, "optimizer.beta2": 0.99})
    recipes = [replace(base, changes) for changes in (IMAGE_MEMBERS if image else MEMBERS)]
    if dataset.info.task == "regression":
        recipes = [replace(r, {"regularization.label_smoothing": 0.0}) for r in recipes]
    cohort, looks = together(dataset, recipes)
    assert [look.step for look in looks] == [7, STEPS]
    for k, recipe in enumerate(recipes):
        session, one = alone(dataset, recipe)
        assert [look.train_losses[k] for look in looks] == pytest.approx([x.train_loss for x in one], rel=2e-3)
        assert [look.lrs[k] for look in looks] == pytest.approx([x.lr for x in one])
        assert_same(cohort.member(k), session.readable)


@pytest.fixture(scope="module")
def labelled():
    """Data sets of the other targets: three labels of images and of a table, and counts."""
    images, classes = small_digits()
    table = pd.DataFrame(images.reshape(len(images), -1)).add_prefix("pixel ")
    labels = np.stack([classes % 2, classes > 4, classes % 3 == 0], 1).astype(int)
    counts = np.random.default_rng(0).poisson(np.where(classes > 4, 9.0, 0.7)).astype(float)
    several = ReadOptions(task="multilabel")
    return {
        "labels of images": load_dataset((images, labels), several),
        "labels of a table": load_dataset((table, labels), several),
        "counts": load_dataset((table, counts), ReadOptions(task="regression", metric="mean_poisson_deviance")),
    }


@pytest.mark.parametrize("name", ["labels of images", "labels of a table", "counts"])
@pytest.mark.parametrize("weights", [0.0, 1.0])
def test_a_member_of_other_targets_is_its_recipe_trained_alone(labelled, name, weights, one_thread):
    dataset = labelled[name]
    assert dataset.info.task == "multilabel" or dataset.info.target_scale.link == "exp"
    base = recipe_for(dataset, **{"training.steps": STEPS, "regularization.class_weights": weights})
    recipes = [replace(base, own) for own in (IMAGE_MEMBERS if dataset.info.modality == "image" else MEMBERS)]
    if dataset.info.task == "regression":
        recipes = [replace(r, {"regularization.label_smoothing": 0.0}) for r in recipes]
    cohort, looks = together(dataset, recipes)
    for k, recipe in enumerate(recipes):
        session, one = alone(dataset, recipe)
        assert [look.train_losses[k] for look in looks] == pytest.approx([x.train_loss for x in one], rel=2e-3)
        assert_same(cohort.member(k), session.readable)


@pytest.mark.parametrize("family_name", ["linear", "mlp", "resnet"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_every_family_of_images(coloured, family_name, channels_last, one_thread):
    section = family(family_name).smallest(coloured.info)
    for _ in range(2):
        section = (family(family_name).deeper(section) or [section])[-1]
    changes = {"training.steps": STEPS, "training.channels_last": channels_last}
    recipes = [recipe_for(coloured, section, **changes, **own) for own in IMAGE_MEMBERS]
    cohort, _ = together(coloured, recipes)
    for k, recipe in enumerate(recipes):
        assert_same(cohort.member(k), alone(coloured, recipe)[0].readable)


@pytest.mark.parametrize("embedding", ["none", "piecewise", "periodic"])
def test_every_embedding_of_tables(mixed, embedding, one_thread):
    section = replace(recipe_for(mixed), {"network.embedding": embedding}).network
    recipes = [recipe_for(mixed, section, **{"training.steps": STEPS}, **own) for own in MEMBERS]
    cohort, _ = together(mixed, recipes)
    for k, recipe in enumerate(recipes):
        assert_same(cohort.member(k), alone(mixed, recipe)[0].readable)


@pytest.mark.parametrize("name", ["iris", "digits"])
def test_dropout_has_a_rate_for_each_member(datasets, name, monkeypatch, one_thread):
    """With the same bytes injected, alone and together."""
    dataset = datasets[name]
    rates = [0.5, 0.0, 0.1]  # in no order
    recipes = [
        recipe_for(dataset, **{"training.steps": STEPS, "regularization.dropout": rate, "optimizer.lr": 1e-3 * (1 + k)})
        for k, rate in enumerate(rates)
    ]

    def injected():
        """Bytes that depend on how many were drawn before only: all members have the same."""
        drawn = [0]

        def draw(shape):
            drawn[0] += 1
            generator = torch.Generator().manual_seed(drawn[0])
            return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)

        return draw

    monkeypatch.setattr(layers, "random_bytes", injected())
    cohort, _ = together(dataset, recipes)
    for k, recipe in enumerate(recipes):
        monkeypatch.setattr(layers, "random_bytes", injected())
        assert_same(cohort.member(k), alone(dataset, recipe)[0].readable)


def test_dropout_drops_each_members_share():
    for shape in ((3, 200, 300), (20, 3 * 4, 40, 40)):
        out = MemberDropout([0.6, 0.0, 0.1]).train()(torch.ones(shape))
        groups = out if len(shape) == 3 else out.unflatten(1, (3, 4)).transpose(0, 1)
        assert [(g == 0).float().mean().item() for g in groups] == pytest.approx([0.6, 0.0, 0.1], abs=0.01)
        assert [g.mean().item() for g in groups] == pytest.approx([1.0, 1.0, 1.0], abs=0.02)


def test_members_of_other_seeds_drop_other_features():
    dropout = MemberDropout([0.5, 0.5, 0.5]).train()
    dropout.set_streams([0, 1, 0])
    for shape in ((3, 20, 30), (20, 3 * 4, 5, 5)):
        out = dropout(torch.ones(shape))
        first, second, third = out if len(shape) == 3 else out.unflatten(1, (3, 4)).transpose(0, 1)
        assert torch.equal(first, third)
        assert not torch.equal(first, second)
        assert second.mean().item() == pytest.approx(1.0, abs=0.2)


def test_members_of_one_rate_and_seed_drop_the_same_features():
    dropout = MemberDropout([0.5, 0.2, 0.5, 0.2, 0.5]).train()
    dropout.set_streams([0, 0, 1, 1, 0])
    for kept in ([0, 1, 2, 3, 4], [0, 2, 3, 4]):
        out = dict(zip(kept, dropout(torch.ones(len(kept), 60, 50)), strict=True))
        assert torch.equal(out[0], out[4])
        assert not torch.equal(out[0], out[2])
        assert [(x == 0).float().mean().item() for x in out.values()] == pytest.approx(
            [[0.5, 0.2, 0.5, 0.2, 0.5][k] for k in kept], abs=0.05
        )
        assert not ((out[3] == 0) & (out[2] != 0)).any()  # the same bytes, at a lower rate
        if len(kept) == 5:
            dropout.keep([0, 2, 3, 4])


def test_the_runs_of_a_decision_keep_their_own_rates():
    """Two recipes with two seeds each, in the order in which fresh seeds are trained: every pair of both is another."""
    dropout = MemberDropout([0.4, 0.1, 0.4, 0.1]).train()
    dropout.set_streams([0, 0, 1, 1])
    for kept in ([0, 1, 2, 3], [0, 2, 3]):
        out = dropout(torch.ones(len(kept), 60, 50))
        wanted = [[0.4, 0.1, 0.4, 0.1][k] for k in kept]
        assert [(x == 0).float().mean().item() for x in out] == pytest.approx(wanted, abs=0.05)
        if len(kept) == 4:
            dropout.keep([0, 2, 3])


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("bf16", [False, True])
def test_gradients_written_out_are_those_of_each_member(biased, bf16):
    torch.manual_seed(0)
    x = torch.randn(3, 8, 6, requires_grad=True)
    weight, scale = torch.randn(3, 5, 6, requires_grad=True), torch.randn(3, 6, requires_grad=True)
    bias, move = torch.randn(3, 5, requires_grad=True), torch.randn(3, 6, requires_grad=True)
    given = [x, weight, scale, *([bias, move] if biased else [])]

    def together():
        normal = member_ops.layer_norm(x, scale, move if biased else None, 1e-3)
        return member_ops.linear(normal, weight, bias if biased else None)

    def one_by_one():
        found = []
        for k in range(3):
            normal = nn.functional.layer_norm(x[k], (6,), scale[k], move[k] if biased else None, 1e-3)
            found.append(nn.functional.linear(normal, weight[k], bias[k] if biased else None))
        return torch.stack(found)

    def results(run):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            out = run()
        return out, *torch.autograd.grad(out.float().square().sum(), given)

    for one, other in zip(results(together), results(one_by_one), strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=0.05 if bf16 else 1e-4, atol=0.3 if bf16 else 1e-4)


def test_members_may_have_rows_of_their_own(digits, iris, one_thread):
    for dataset in (digits, iris):
        rows = rows_of(dataset)
        parts = [rows[: len(rows) - 20], rows[20:], rows[:-20].flip(0)]
        recipes = [recipe_for(dataset, **{"training.steps": STEPS, "training.seed": seed}) for seed in (1, 2, 2)]
        cohort, _ = together(dataset, recipes, parts)
        for k, (recipe, part) in enumerate(zip(recipes, parts, strict=True)):
            assert_same(cohort.member(k), alone(dataset, recipe, part)[0].readable)


@pytest.mark.parametrize("name", ["iris", "digits"])
def test_a_diverging_member_harms_no_other(datasets, name, one_thread):
    dataset = datasets[name]
    lrs = [1e-3, 1e30, 2e-3]
    changes = {"training.steps": 40, "optimizer.name": "sgd", "regularization.averaging": 0.2}
    recipes = [recipe_for(dataset, **changes, **{"optimizer.lr": lr}) for lr in lrs]
    cohort, looks = together(dataset, recipes, looks=(20,))
    assert cohort.numbers == [0, 2]
    assert cohort.left[1][0] == 16
    assert "not finite after 16 steps" in cohort.left[1][1]
    assert [len(look.train_losses) for look in looks] == [2, 2]
    for number in (0, 2):
        session, one = alone(dataset, recipes[number])
        assert_same(cohort.member(number), session.readable)
        assert looks[-1].train_losses[cohort.numbers.index(number)] == pytest.approx(one[-1].train_loss, rel=0.2)


def test_when_all_diverge_nothing_is_left(iris):
    recipes = [recipe_for(iris, **{"optimizer.name": "sgd", "optimizer.lr": lr}) for lr in (1e30, 1e31)]
    cohort, looks = together(iris, recipes)
    assert (cohort.numbers, looks, set(cohort.left)) == ([], [], {0, 1})


@pytest.mark.parametrize("name", ["iris", "digits"])
def test_a_pruned_member_leaves_and_the_others_go_on(datasets, name, one_thread):
    dataset = datasets[name]
    changes = {"training.steps": STEPS, "regularization.averaging": 0.2}
    recipes = [recipe_for(dataset, **changes, **{"optimizer.lr": 1e-3 * (k + 1)}) for k in range(4)]
    cohort = start_cohort(recipes, on_cpu(dataset), [rows_of(dataset)] * 4, CPU)
    sizes = []
    for look in train_cohort(cohort, on_cpu(dataset), looks=(5, 10)):
        sizes.append(len(look.train_losses))
        if look.step == 5:
            look.cohort.keep([1, 2, 3])
        elif look.step == 10:
            look.cohort.keep([3, 1])
    assert (sizes, cohort.numbers) == ([4, 3, 2], [3, 1])
    assert cohort.stack.matrix.shape[0] == 2
    for number in (1, 3):
        assert_same(cohort.member(number), alone(dataset, recipes[number])[0].readable)


def test_those_who_stay_keep_their_dropout(iris):
    base = recipe_for(iris, **{"training.steps": STEPS})
    rates = [0.0, 0.25, 0.5]
    cohort = start_cohort(
        [replace(base, {"regularization.dropout": rate}) for rate in rates], on_cpu(iris), [rows_of(iris)] * 3, CPU
    )
    steps = train_cohort(cohort, on_cpu(iris), looks=(5, 10))
    for left in ([0, 1, 2], [1, 2], [2]):
        found = {tuple(m.rates) for m in cohort.stack.modules() if isinstance(m, MemberDropout)}
        assert found == {tuple(rates[number] for number in left)}
        for number in left:
            assert {m.p for m in cohort.member(number).modules() if isinstance(m, nn.Dropout)} == {rates[number]}
        next(steps)
        cohort.keep(left[1:])


@pytest.mark.parametrize("name", ["digits", "mixed"])
def test_the_outputs_of_all_members_at_once(datasets, name):
    dataset = datasets[name]
    recipes = [recipe_for(dataset, **{"training.seed": seed}) for seed in range(3)]
    cohort, _ = together(dataset, recipes)
    outputs = predict(cohort.readable, dataset.inputs, None, recipes[0])
    assert outputs.shape == (len(dataset.targets), 3, dataset.info.num_outputs)
    for k in range(3):
        np.testing.assert_allclose(
            outputs[:, k], predict(cohort.member(k), dataset.inputs, None, recipes[k]), atol=1e-4
        )


def test_recipes_that_differ_in_more_are_not_one_cohort(iris):
    one = recipe_for(iris)
    for changes in ({"network.width": 32}, {"training.steps": 9}, {"regularization.class_weights": 1.0}):
        other = replace(one, changes)
        assert cohort_key(one) != cohort_key(other)
        with pytest.raises(ValueError, match="more than its members may"):
            start_cohort([one, other], on_cpu(iris), [rows_of(iris)] * 2, CPU)
    for changes in IMAGE_MEMBERS:
        assert cohort_key(one) == cohort_key(replace(one, changes))


def test_memory_that_runs_out_is_told(iris, monkeypatch):
    recipes = [recipe_for(iris, **{"training.seed": seed}) for seed in range(2)]
    cohort = start_cohort(recipes, on_cpu(iris), [rows_of(iris)] * 2, CPU)
    monkeypatch.setattr(Stack, "outputs", lambda *x: (_ for _ in ()).throw(MemoryError("no more")))
    with pytest.raises(OutOfMemory, match="no more"):
        next(train_cohort(cohort, on_cpu(iris)))


# What can be stacked


class Strange(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, numbers, codes):
        return self.linear(numbers) @ torch.ones(3, 3)


class Known(nn.Module):
    stackable = True

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, numbers, codes):
        return self.two(torch.relu(self.one(numbers)))


class Mistaken(Known):
    def forward(self, numbers, codes):
        return self.two(torch.softmax(self.one(numbers), 0))


class Broken(Known):
    def forward(self, numbers, codes):
        return self.two(self.one(numbers).view(len(numbers), 8))


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (Strange, "Strange has no stacked form"),
        (Mistaken, "Mistaken says `stackable = True`, but gives other outputs"),
        (Broken, "Broken says `stackable = True`, but fails"),
        (Known, None),
    ],
)
def test_a_users_family(iris, monkeypatch, kind, told, one_thread):
    own = Family(lambda info: NetworkSection(family="own"), lambda s: None, lambda s: [], lambda s, info: kind())
    monkeypatch.setitem(networks.FAMILIES, "own", own)
    recipes = [recipe_for(iris, NetworkSection(family="own"), **{"optimizer.lr": lr}) for lr in (1e-3, 1e-2)]
    if told:
        with pytest.raises(NotStackable, match=told):
            start_cohort(recipes, on_cpu(iris), [rows_of(iris)] * 2, CPU)
        return
    cohort, _ = together(iris, recipes)
    for k, recipe in enumerate(recipes):
        assert_same(cohort.member(k), alone(iris, recipe)[0].readable)


LAYERS = {
    "convolutions": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 3, stride=2, groups=2),
        nn.GELU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    ),
    "pooled first": lambda: nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(12, 3)),
    "vectors": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(128, 8, bias=False), nn.BatchNorm1d(8), nn.Tanh(), nn.LayerNorm(8, bias=False)
    ),
    "a grouped convolution first": lambda: nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.Flatten(), nn.Linear(144, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("own_inputs", [False, True])
def test_layers_side_by_side_are_the_layers(name, own_inputs):
    torch.manual_seed(0)
    models = [LAYERS[name]() for _ in range(3)]
    stack = Stack(models)
    images = torch.randn(5, 3, 2, 8, 8) if own_inputs else torch.randn(5, 2, 8, 8)
    out = stack(images)
    for k, model in enumerate(models):
        alone = model(images[:, k] if own_inputs else images)
        torch.testing.assert_close(out[:, k], alone, rtol=1e-4, atol=1e-5)
        assert_same(stack.member(k), model, 1e-5)
    out.sum().backward()
    assert all(p.grad is not None for p in stack.body.parameters())


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: nn.GRU(4, 4), "GRU has no stacked form"),
        (lambda: nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")), "padding_mode 'reflect'"),
        (lambda: nn.Embedding(4, 2, padding_idx=0), "padding_idx"),
        (lambda: nn.LayerNorm((2, 2)), "more than the features"),
        (lambda: nn.BatchNorm1d(2, momentum=None), "cumulative"),
    ],
)
def test_what_cannot_be_stacked_says_why(make, told):
    assert told in why_not([make(), make()])


def test_networks_of_different_shapes_are_not_stacked():
    assert "one shape" in why_not([nn.Linear(2, 3), nn.Linear(2, 4)])
    assert "one shape" in why_not([nn.Linear(2, 3), nn.ReLU()])
    assert "one shape" in why_not([nn.Sequential(nn.ReLU()), nn.Sequential(nn.ReLU(), nn.ReLU())])
    assert "differ in `stride`" in why_not([nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3, stride=2)])


# Losses


@pytest.mark.parametrize("smoothing", [(0.0, 0.0), (0.1, 0.3)])
@pytest.mark.parametrize("strength", [0.0, 1.0])
@pytest.mark.parametrize("name", ["digits", "iris", "mixed", "diabetes"])
@pytest.mark.parametrize("own", [False, True])
def test_losses_of_members_are_the_losses(datasets, name, smoothing, strength, own):
    info = datasets[name].info
    torch.manual_seed(0)
    count = 9
    outputs = torch.randn(count, 2, info.num_outputs)
    if info.task == "regression":
        smoothing = (0.0, 0.0)
        targets = torch.randn(2, count)
    else:
        targets = torch.randint(0, info.num_outputs, (2, count))
    targets = targets if own else targets[0]
    weights = class_weights(info, strength)
    found = member_losses(outputs.transpose(0, 1), targets, info, torch.tensor(smoothing), weights)
    for k in range(2):
        wanted = loss_function(outputs[:, k], targets[k] if own else targets, info, smoothing[k], weights)
        assert float(found[k]) == pytest.approx(float(wanted), rel=1e-5)
    assert math.isfinite(float(found.sum()))


def test_memory_that_is_used_up_while_a_cohort_is_built(iris, monkeypatch):
    def full(*args):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")

    monkeypatch.setattr(cohort_module, "MemberOptimizer", full)
    with pytest.raises(OutOfMemory, match="99 bytes"):
        start_cohort([recipe_for(iris)] * 2, on_cpu(iris), [rows_of(iris)] * 2, CPU)


def test_layers_that_share_parameters_are_not_stacked():
    def network():
        layer = nn.Linear(3, 3)
        return nn.Sequential(layer, nn.ReLU(), layer)

    assert "share" in why_not([network(), network()])


def test_rows_that_are_the_same_make_their_batches_once(digits):
    data = on_cpu(digits)
    streamed = dataclasses.replace(data, streamed=True)
    rows = rows_of(digits)
    cohort = start_cohort([recipe_for(digits)] * 3, streamed, [rows] * 3, CPU)
    feed = cohort_module._Feed(cohort, streamed)
    assert feed.order_of == [0, 0, 0]
    assert len(feed.sources) == 1


@pytest.mark.parametrize(
    ("of_a_step", "timed", "chosen"),
    [
        ({8: 4.0, 32: 8.0, 16: 6.0}, [8, 32], 32),
        ({8: 3.2, 32: 12.8, 16: 5.6}, [8, 32, 16], 16),
        ({8: 3.2, 32: 14.0, 16: 6.4}, [8, 32, 16], 8),
        ({8: 6.0}, [8], 8),
        ({8: 7.6}, [8], 1),
    ],
)
def test_how_many_train_at_once(iris, monkeypatch, of_a_step, timed, chosen):
    """By the milliseconds of a step of so many members, where one alone takes 1 ms."""
    seen = []

    def step_seconds(steps, hardware, worth):
        seen.append(len(next(steps).cohort.numbers))
        return of_a_step[seen[-1]] / 1000

    monkeypatch.setattr(cohort_size, "_step_seconds", step_seconds)
    found = cohort_size.choose_members(recipe_for(iris), on_cpu(iris), rows_of(iris), CPU, 0.001, 1000)
    assert (seen, found.members) == (timed, chosen)


def test_a_size_that_memory_does_not_hold_leaves_the_smaller_ones(iris, monkeypatch):
    start = cohort_size.start_cohort

    def small_only(recipes, *rest):
        if len(recipes) == 32:
            raise OutOfMemory("")
        return start(recipes, *rest)

    monkeypatch.setattr(cohort_size, "start_cohort", small_only)
    monkeypatch.setattr(cohort_size, "_step_seconds", lambda steps, hardware, worth: 0.003)
    found = cohort_size.choose_members(recipe_for(iris), on_cpu(iris), rows_of(iris), CPU, 0.001, 1000)
    assert found.members == 16
