from dataclasses import replace as replace_record

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from autorecipe.errors import InputError
from autorecipe.networks import FAMILIES, build, family, linear, mlp, num_params, resnet
from autorecipe.networks.layers import Dropout, PixelScale, ResidualBlock, TableInput, embedding_width
from autorecipe.recipe import Block, NetworkSection, RegularizationSection
from autorecipe.results import DatasetInfo

OFF = RegularizationSection()


def image_info(resolution, channels=1, classes=3):
    return DatasetInfo(
        name="images",
        modality="image",
        task="multiclass",
        task_reason="",
        metric="accuracy",
        metric_reason="",
        num_examples={"train": 100},
        classes=tuple(map(str, range(classes))),
        resolution=resolution,
        channels=channels,
        pixel_mean=(100.0,) * channels,
        pixel_std=(50.0,) * channels,
    )


def table_info(numbers=3, cardinalities=(4,), task="multiclass"):
    return DatasetInfo(
        name="table",
        modality="table",
        task=task,
        task_reason="",
        metric="accuracy",
        metric_reason="",
        num_examples={"train": 100},
        classes=() if task == "regression" else ("a", "b", "c"),
        num_numbers=numbers,
        cardinalities=cardinalities,
        bins=((-1.0, 0.0, 1.0),) * numbers,
    )


def pixels(resolution, channels, count=2):
    return torch.randint(0, 256, (count, channels, resolution, resolution), dtype=torch.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resolution", [8, 12, 28, 32, 64, 128, 256])
def test_resnet_runs_at_every_size(resolution, channels):
    info = image_info(resolution, channels)
    model = build(resnet.smallest(info), OFF, info, 0)
    sizes = []
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, ResidualBlock)):
            module.register_forward_hook(lambda m, i, o: sizes.append(o.shape[-1]))
    out = model(pixels(resolution, channels))
    assert out.shape == (2, 3)
    out.sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert min(sizes) >= 2  # an image of one pixel has no neighbours left to convolve
    assert max(sizes) <= resolution
    assert sizes[-1] <= 16  # few pixels are left at the end, whatever came in


@given(st.integers(8, 80), st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_resnet_runs_at_any_size(resolution, channels):
    info = image_info(resolution, channels)
    assert build(resnet.smallest(info), OFF, info, 0).eval()(pixels(resolution, channels)).shape == (2, 3)


def test_resnet_grows_again_and_again():
    info = image_info(12)
    section = resnet.smallest(info)
    for _ in range(3):
        section = resnet.deeper(section)[0]
    section = resnet.wider(section)
    assert build(section, OFF, info, 0)(pixels(12, 1)).shape == (2, 3)
    assert len(section.blocks) == len(resnet.smallest(info).blocks) + 3


def test_new_blocks_of_a_resnet_go_to_each_level_and_keep_the_image_size():
    section = resnet.smallest(image_info(32))
    grown = resnet.deeper(section)
    assert len({s.blocks for s in grown}) == len(grown) > 1
    strides = sorted(b.stride for b in section.blocks)
    assert all(sorted(b.stride for b in s.blocks) == sorted([*strides, 1]) for s in grown)


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [1, 5, 8])
def test_a_block_starts_as_its_shortcut(kernel, stride, size):
    block = ResidualBlock(4, 4, kernel, stride).eval()
    x = torch.rand(2, 4, size, size)
    assert torch.equal(block(x), torch.relu(block.shortcut(x)))
    assert block(x).shape == (2, 4, -(-size // stride), -(-size // stride))


def test_a_block_learns_more_than_its_shortcut():
    block = ResidualBlock(4, 4, 3, 1).eval()
    nn.init.ones_(block.norm2.weight)
    x = torch.rand(2, 4, 8, 8)
    assert not torch.allclose(block(x), torch.relu(block.shortcut(x)))


def test_pixels_are_scaled_a_channel():
    scale = PixelScale((0.0, 100.0), (1.0, 50.0))
    x = torch.tensor([[[[2]], [[200]]]], dtype=torch.uint8)
    assert scale(x).flatten().tolist() == [2.0, 2.0]


@pytest.mark.parametrize("grow", [mlp, resnet])
def test_growth_ends(grow):
    info = table_info() if grow is mlp else image_info(16)
    section = grow.smallest(info)
    for _ in range(40):
        section = grow.wider(section) or section
    assert grow.wider(section) is None
    for _ in range(60):
        section = (grow.deeper(section) or [section])[0]
    assert grow.deeper(section) == []


def test_a_linear_network_does_not_grow():
    section = linear.smallest(table_info())
    assert linear.wider(section) is None
    assert linear.deeper(section) == []


def test_wider_doubles_every_layer():
    section = NetworkSection("mlp", 64, (Block(64), Block(32)))
    wider = mlp.wider(section)
    assert (wider.width, [b.width for b in wider.blocks]) == (128, [128, 64])


@pytest.mark.parametrize("embedding", ["none", "periodic", "piecewise"])
@pytest.mark.parametrize(("numbers", "cardinalities"), [(3, ()), (0, (4, 2)), (2, (5,))])
def test_mlp_takes_numbers_and_categories(embedding, numbers, cardinalities):
    info = table_info(numbers, cardinalities)
    section = replace_record(mlp.smallest(info), embedding=embedding)
    model = build(section, OFF, info, 0)
    codes = torch.stack([torch.randint(0, c, (5,)) for c in cardinalities], 1) if cardinalities else None
    codes = torch.zeros((5, 0), dtype=torch.int64) if codes is None else codes
    out = model(torch.randn(5, numbers), codes)
    assert out.shape == (5, 3)
    out.sum().backward()


def test_numerical_embeddings_widen_the_input():
    info = table_info(4, ())
    plain = replace_record(mlp.smallest(info), embedding="none")
    counts = [
        num_params(build(replace_record(plain, embedding=e), OFF, info, 0)) for e in ("none", "periodic", "piecewise")
    ]
    assert counts[0] < counts[1]
    assert counts[0] < counts[2]
    with pytest.raises(ValueError, match="sinus"):
        build(replace_record(plain, embedding="sinus"), OFF, info, 0)


def test_a_regression_has_one_output():
    info = table_info(task="regression")
    out = build(mlp.smallest(info), OFF, info, 0)(torch.randn(5, 3), torch.zeros((5, 1), dtype=torch.int64))
    assert out.shape == (5, 1)


def test_unknown_categories_start_without_influence():
    module = TableInput(nn.Identity(), 2, (5, 3))
    out = module(torch.zeros(1, 2), torch.zeros((1, 2), dtype=torch.int64))
    assert not out.any()
    assert module(torch.zeros(1, 2), torch.ones((1, 2), dtype=torch.int64)).any()
    assert out.shape == (1, module.out_features)


@given(st.integers(1, 10**6))
def test_embeddings_grow_with_the_categories_within_bounds(count):
    assert 2 <= embedding_width(count) <= embedding_width(count + 1) <= 64


def test_every_dropout_gets_the_recipes_rate():
    info = image_info(8)
    model = build(resnet.smallest(info), RegularizationSection(dropout=0.3), info, 0)
    rates = [m.p for m in model.modules() if isinstance(m, nn.Dropout)]
    assert rates
    assert set(rates) == {0.3}


def test_an_unknown_family_is_an_input_error():
    with pytest.raises(InputError, match="did you mean 'resnet'"):
        family("resent")
    assert family("mlp") is FAMILIES["mlp"]


@pytest.mark.parametrize("rate", [0.001, 0.1, 0.5, 0.999])
def test_dropout_keeps_the_mean_and_is_repeatable(rate):
    dropout = Dropout(rate)
    x = torch.ones(200_000, dtype=torch.float32)
    torch.manual_seed(3)
    first = dropout(x)
    torch.manual_seed(3)
    assert torch.equal(first, dropout(x))
    assert not torch.equal(first, dropout(x))
    share = float((first == 0).double().mean())
    assert share == pytest.approx(min(255, max(1, round(256 * rate))) / 256, abs=0.005)
    assert len(first.unique()) == 2
    assert float(first.mean()) == pytest.approx(1, abs=0.1 if rate > 0.9 else 0.01)


def test_dropout_is_off_in_evaluation_and_keeps_type_and_gradient():
    x = torch.randn(7, 3, dtype=torch.bfloat16, requires_grad=True)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    out = Dropout(0.5)(x)
    assert out.dtype == torch.bfloat16
    out.sum().backward()
    assert torch.equal(x.grad == 0, out == 0)
