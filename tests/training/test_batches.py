from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autorecipe.data import batches
from autorecipe.data.batches import batch_rows, gather, gather_images, mixup_share, step_generator
from autorecipe.recipe import RegularizationSection

CPU = torch.device("cpu")
images_of = st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(3, 9), st.integers(3, 9), st.integers(0, 99))


def images(count, channels, height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 5))
def test_an_epoch_is_a_permutation_without_repetition(count, batch_size, seed):
    rows = torch.arange(count) * 3
    per_epoch = count // min(batch_size, count)
    batches = batch_rows(rows, batch_size, seed)
    for _ in range(3):
        epoch = torch.cat(list(islice(batches, per_epoch)))
        assert len(epoch) == per_epoch * min(batch_size, count)
        assert len(set(epoch.tolist())) == len(epoch)
        assert set(epoch.tolist()) <= set(rows.tolist())


@given(st.integers(2, 40), st.integers(1, 20), st.integers(0, 60))
def test_a_run_is_taken_up_at_any_step(count, batch_size, first_step):
    rows = torch.arange(count)
    whole = islice(batch_rows(rows, batch_size, 1), first_step, first_step + 4)
    later = islice(batch_rows(rows, batch_size, 1, first_step), 4)
    assert all(torch.equal(a, b) for a, b in zip(whole, later, strict=True))


def test_epochs_and_seeds_differ_in_order():
    rows = torch.arange(50)
    batches = batch_rows(rows, 50, 0)
    first, second = next(batches), next(batches)
    other = next(batch_rows(rows, 50, 1))
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(first, next(batch_rows(rows, 50, 0)))


def test_gather_takes_rows_of_every_input():
    a, b = torch.arange(6), torch.arange(12).reshape(6, 2)
    found = gather((a, b), torch.tensor([4, 1]))
    assert found[0].tolist() == [4, 1]
    assert found[1].tolist() == [[8, 9], [2, 3]]


@given(images_of)
def test_without_crop_and_flip_it_is_the_image(shape):
    x = images(*shape)
    rows = torch.randint(0, shape[0], (5,), generator=generator(shape[4]))
    assert torch.equal(gather_images(x, rows, RegularizationSection(), 0, 0), x[rows])


def shifted(image, dy, dx):
    """The image moved, its edges repeated outwards."""
    height, width = image.shape[-2:]
    ys = [min(max(y + dy, 0), height - 1) for y in range(height)]
    xs = [min(max(x + dx, 0), width - 1) for x in range(width)]
    return image[:, ys][:, :, xs]


@given(images_of, st.integers(1, 3))
def test_a_crop_is_a_shift_with_the_edge_repeated(shape, crop):
    x = images(*shape)
    found = gather_images(x, torch.arange(shape[0]), RegularizationSection(crop=crop), shape[4], 3)
    moves = range(-crop, crop + 1)
    for image, out in zip(x, found, strict=True):
        assert any(torch.equal(shifted(image, dy, dx), out) for dy in moves for dx in moves)


@given(images_of)
def test_a_flip_is_the_image_or_its_mirror_image(shape):
    x = images(*shape)
    found = gather_images(x, torch.arange(shape[0]), RegularizationSection(flip=True), shape[4], 3)
    for image, out in zip(x, found, strict=True):
        assert torch.equal(out, image) or torch.equal(out, image.flip(-1))


@pytest.mark.parametrize(
    "section", [RegularizationSection(crop=2), RegularizationSection(flip=True), RegularizationSection(erase=0.5)]
)
def test_each_example_has_its_own_random_numbers(section):
    x = images(1, 1, 9, 9)
    found = gather_images(x, torch.zeros(256, dtype=torch.int64), section, 0, 0)
    different = {tuple(image.flatten().tolist()) for image in found}
    assert len(different) > 1
    assert tuple(x[0].flatten().tolist()) in different
    if section.crop:
        assert len(different) > 15
    if section.flip:
        mirrored = sum(torch.equal(image, x[0].flip(-1)) for image in found)
        assert 96 < mirrored < 160


@given(images_of)
def test_erasing_fills_a_rectangle_with_the_mean(shape):
    x = images(*shape)
    found = gather_images(x, torch.arange(shape[0]), RegularizationSection(erase=1.0), shape[4], 3)
    for image, out in zip(x, found, strict=True):
        fill = image.float().mean((1, 2)).to(torch.uint8)[:, None, None].expand_as(image)
        touched = (image != out).any(0)
        assert torch.equal(torch.where(touched, fill, image), out)
        ys, xs = touched.nonzero(as_tuple=True)
        if len(ys):
            box = out[:, ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
            inner = fill[:, ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
            assert torch.equal(box, inner)


def test_the_share_of_erased_images():
    x = images(1, 1, 9, 9)
    rows = torch.zeros(400, dtype=torch.int64)
    found = gather_images(x, rows, RegularizationSection(erase=0.25), 0, 0)
    touched = sum(not torch.equal(image, x[0]) for image in found)
    assert 60 < touched < 140
    assert torch.equal(gather_images(x, rows, RegularizationSection(erase=0.0), 0, 0), x[rows])


def test_a_steps_randomness_depends_on_seed_and_step_alone():
    draws = {
        (seed, step): tuple(torch.rand(3, generator=step_generator(seed, step, CPU, 1)).tolist())
        for seed in range(3)
        for step in range(3)
    }
    assert len(set(draws.values())) == 9
    again = torch.rand(3, generator=step_generator(2, 1, CPU, 1))
    assert tuple(again.tolist()) == draws[2, 1]


def test_augmentation_keeps_the_type():
    x = images(3, 1, 5, 5)
    section = RegularizationSection(crop=1, flip=True, erase=1.0)
    assert gather_images(x, torch.arange(3), section, 0, 0).dtype == torch.uint8
    assert gather_images(x.float(), torch.arange(3), section, 0, 0).dtype == torch.float32


@pytest.mark.parametrize("shape", [(40, 1, 8, 8), (12, 3, 210, 210)])
def test_moves_depend_on_seed_and_step_alone(shape):
    x, rows = images(*shape), torch.arange(10)
    section = RegularizationSection(crop=2, flip=True)
    steps = [0, 63, 64, 130]
    forwards = [gather_images(x, rows, section, 1, step) for step in steps]
    batches._drawn_moves.cache_clear()
    backwards = [gather_images(x, rows, section, 1, step) for step in reversed(steps)]
    assert all(torch.equal(a, b) for a, b in zip(forwards, reversed(backwards), strict=True))
    assert not any(torch.equal(forwards[0], other) for other in forwards[1:])
    assert not torch.equal(forwards[0], gather_images(x, rows, section, 2, 0))


def test_pixels_are_the_same_in_any_memory_layout():
    x, rows = images(9, 3, 7, 6), torch.tensor([4, 4, 0, 8])
    section = RegularizationSection(crop=1, flip=True)
    plain = gather_images(x, rows, section, 0, 5)
    assert torch.equal(plain, gather_images(x.contiguous(memory_format=torch.channels_last), rows, section, 0, 5))


def test_mixup_shares_are_drawn_by_seed_and_step():
    drawn = [mixup_share(0.4, seed, step) for seed in range(20) for step in range(20)]
    assert len(set(drawn)) == 400
    assert 0.45 < sum(drawn) / 400 < 0.55
    assert mixup_share(0.4, 3, 7) == drawn[67]
