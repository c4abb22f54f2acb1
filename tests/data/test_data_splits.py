import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autorecipe.data.splits import MOST_HELD_OUT, make_splits


def no_given(n):
    return np.full(n, "", dtype="<U5")


def check(splits, n):
    four = [splits.train, splits.val, splits.confirm, splits.test]
    together = np.concatenate(four)
    assert len(together) == n
    assert np.array_equal(np.sort(together), np.arange(n))
    for rows in (*four, *splits.parts):
        assert rows.dtype == np.int64
        assert np.array_equal(rows, np.sort(rows))
    parts = np.concatenate(splits.parts)
    assert len(np.unique(parts)) == len(parts)
    assert np.isin(parts, np.concatenate([splits.train, splits.confirm])).all()


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 60), min_size=2, max_size=8),
    seed=st.integers(0, 5),
    shuffle=st.booleans(),
)
def test_small_splits_are_disjoint_complete_stratified_and_repeatable(counts, seed, shuffle):
    targets = np.repeat([f"c{i}" for i in range(len(counts))], counts)
    if shuffle:
        targets = np.random.default_rng(1).permutation(targets)
    splits = make_splits(targets, no_given(len(targets)), "multiclass", seed)
    check(splits, len(targets))
    assert len(splits.confirm) == 0
    assert set(targets[splits.train]) == set(targets)
    for i, count in enumerate(counts):
        in_test = np.sum(targets[splits.test] == f"c{i}")
        # One example of each class cannot leave, which moves the shares by less than one class count.
        assert abs(in_test - 0.2 * count) <= 2 + 0.2 * count * len(counts) / max(1, len(targets) - len(counts))
        in_parts = [np.sum(targets[part] == f"c{i}") for part in splits.parts]
        assert max(in_parts) - min(in_parts) <= 1
    assert sorted(np.concatenate(splits.parts).tolist()) == splits.train.tolist()
    again = make_splits(targets, no_given(len(targets)), "multiclass", seed)
    for name in ("train", "val", "confirm", "test"):
        assert np.array_equal(getattr(splits, name), getattr(again, name))
    for a, b in zip(splits.parts, again.parts, strict=True):
        assert np.array_equal(a, b)


@settings(max_examples=30, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(["", "train", "val", "test"]), min_size=20, max_size=200),
    seed=st.integers(0, 3),
)
def test_a_given_val_or_test_is_kept_as_it_is(kinds, seed):
    kinds = np.asarray(kinds, dtype="<U5")
    targets = np.asarray(["a", "b"])[np.arange(len(kinds)) % 2]
    splits = make_splits(targets, kinds, "binary", seed)
    check(splits, len(kinds))
    if (kinds == "test").any():
        assert np.array_equal(splits.test, np.flatnonzero(kinds == "test"))
    if (kinds == "val").any():
        assert np.array_equal(splits.val, np.flatnonzero(kinds == "val"))
    assert not np.isin(np.flatnonzero(kinds == "train"), splits.test).any() or not (kinds == "test").any()


def test_other_seeds_give_other_splits():
    targets = np.tile(["a", "b"], 50)
    a, b = (make_splits(targets, no_given(100), "binary", seed) for seed in (0, 1))
    assert not np.array_equal(a.test, b.test)


def test_from_5000_examples_on_there_is_a_confirm_split_and_part_0_is_it():
    targets = np.tile([str(i) for i in range(10)], 1000)
    splits = make_splits(targets, no_given(10_000), "multiclass", 0)
    check(splits, 10_000)
    assert [len(rows) for rows in (splits.train, splits.val, splits.confirm, splits.test)] == [6400, 800, 800, 2000]
    assert len(splits.parts) == 5
    assert np.array_equal(splits.parts[0], splits.confirm)
    assert all(abs(len(part) - 800) <= 1 for part in splits.parts)
    for rows in (splits.train, splits.val, splits.confirm, splits.test, *splits.parts):
        counts = np.unique(targets[rows], return_counts=True)[1]
        assert len(counts) == 10
        assert np.ptp(counts) <= 2
    train, scored = splits.held_out(0)
    assert np.array_equal(scored, splits.confirm)
    assert np.array_equal(np.sort(train), splits.train)
    train, scored = splits.held_out(3)
    assert not np.isin(scored, train).any()
    assert len(train) + len(scored) == 7200


@pytest.mark.parametrize(("n", "confirmed"), [(6249, False), (6250, True)])
def test_the_border_of_5000_is_counted_without_test(n, confirmed):
    splits = make_splits(np.arange(n, dtype=float), no_given(n), "regression", 0)
    assert (len(splits.confirm) > 0) == confirmed


def test_val_and_confirm_stop_at_5000():
    given_ = np.concatenate([np.full(60_000, "train"), np.full(10_000, "test")])
    splits = make_splits(np.arange(70_000) % 10, given_, "multiclass", 0)
    assert len(splits.val) == len(splits.confirm) == MOST_HELD_OUT
    assert len(splits.train) == 50_000


def test_regression_is_stratified_over_the_targets_range():
    targets = np.sort(np.random.default_rng(0).lognormal(size=1000))
    splits = make_splits(targets, no_given(1000), "regression", 0)
    check(splits, 1000)
    decile = np.arange(1000) // 100
    for rows, share in ((splits.test, 20), (splits.val, 16)):
        counts = np.bincount(decile[rows], minlength=10)
        assert abs(counts - share).max() <= 2


def test_ten_examples_of_eight_classes_do():
    targets = np.asarray(list("abcdefghaa"))
    splits = make_splits(targets, no_given(10), "multiclass", 0)
    check(splits, 10)
    assert set(targets[splits.train]) == set(targets)
