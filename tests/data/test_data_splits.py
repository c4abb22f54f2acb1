import itertools

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


@settings(max_examples=80, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=6, max_size=60),
    regression=st.booleans(),
    seed=st.integers(0, 5),
    data=st.data(),
)
def test_no_group_is_ever_divided(sizes, regression, seed, data):
    n = sum(sizes)
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    groups = random.permutation(np.repeat(np.arange(len(sizes)) * 7, sizes))
    targets = random.normal(size=n) if regression else random.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1])
    task = "regression" if regression else "multiclass"
    splits = make_splits(targets, no_given(n), task, seed, groups)
    check(splits, n)
    four = [splits.train, splits.val, splits.confirm, splits.test]
    for i, one in enumerate(four):
        for other in four[i + 1 :]:
            assert not np.isin(groups[one], groups[other]).any()
    for s in range(len(splits.parts)):
        kept, held_out = splits.held_out(s)
        assert not np.isin(groups[kept], groups[held_out]).any()
        assert len(kept) > 0
        assert len(held_out) > 0
    assert sorted(np.concatenate(splits.parts).tolist()) == splits.train.tolist()
    # To within half the largest group.
    assert len(splits.test) <= 0.2 * n + max(sizes) / 2 + 1
    again = make_splits(targets, no_given(n), task, seed, groups)
    assert all(np.array_equal(getattr(splits, k), getattr(again, k)) for k in ("train", "val", "confirm", "test"))


def test_groups_of_many_examples_have_a_confirm_split():
    random = np.random.default_rng(0)
    groups = random.integers(0, 500, 20_000)
    targets = np.where(groups % 4 == 0, "a", "b")
    splits = make_splits(targets, no_given(20_000), "binary", 0, groups)
    check(splits, 20_000)
    assert np.array_equal(splits.parts[0], splits.confirm)
    for rows, share in ((splits.test, 0.2), (splits.val, 0.08), (splits.confirm, 0.08)):
        assert abs(len(rows) / 20_000 - share) < 0.01
        assert abs(np.mean(targets[rows] == "a") - 0.25) < 0.05
    for seed in range(5):
        kept, held_out = splits.held_out(seed)
        assert not np.isin(groups[kept], groups[held_out]).any()


def test_a_class_of_one_group_stays_in_train():
    groups = np.arange(300) // 10
    for seed in range(10):
        targets = np.where(groups == 7 + seed, "rare", np.tile(["a", "b"], 150))
        splits = make_splits(targets, no_given(300), "multiclass", seed, groups)
        assert "rare" in targets[splits.train]


def test_groups_of_one_example_are_split_as_examples_are():
    targets = np.tile(["a", "b"], 500)
    splits = make_splits(targets, no_given(1000), "binary", 0, np.arange(1000))
    assert [len(rows) for rows in (splits.train, splits.val, splits.test)] == [640, 160, 200]
    for rows in (splits.train, splits.val, splits.test):
        assert abs(np.mean(targets[rows] == "a") - 0.5) < 0.02


def test_four_groups_do():
    groups = np.arange(40) % 4
    splits = make_splits(np.tile(["a", "b"], 20), no_given(40), "binary", 0, groups)
    assert [len(rows) for rows in (splits.train, splits.val, splits.test)] == [20, 10, 10]
    assert [len(part) for part in splits.parts] == [10, 10]


@settings(max_examples=80, deadline=None)
@given(
    n=st.one_of(st.integers(10, 300), st.integers(6300, 7000)),
    distinct=st.sampled_from([2, 5, 30, 10_000]),
    seed=st.integers(0, 99),
)
def test_time_goes_forward(n, distinct, seed):
    random = np.random.default_rng(seed)
    times = random.integers(0, distinct, n).astype(float)
    splits = make_splits(random.normal(size=n), no_given(n), "regression", 0, times=times)
    check(splits, n)
    stages = [splits.train, splits.val, splits.confirm, splits.test]
    stages = [rows for rows in stages if len(rows)]
    assert len(stages) == (3 if n - len(splits.test) < 5000 else 4)
    for earlier, later in itertools.pairwise(stages):
        assert times[earlier].max() <= times[later].min()
    assert 0.08 * n < len(splits.test) < 0.32 * n + 1
    assert len(splits.parts) >= 1
    assert (len(splits.confirm) > 0) == np.array_equal(splits.parts[0], splits.confirm)
    for s in range(len(splits.parts)):
        kept, held_out = splits.held_out(s)
        assert len(kept) >= len(splits.train) // 3
        assert len(held_out) > 0
        assert not np.isin(held_out, kept).any()
        assert times[kept].max() <= times[held_out].min()


def test_rows_of_one_time_stay_together_where_that_changes_little():
    days = np.repeat(np.arange(100.0), 10)
    splits = make_splits(days, no_given(1000), "regression", 0, times=days)
    stages = [splits.train, splits.val, splits.test]
    assert [len(rows) for rows in stages] == [640, 160, 200]
    for s in range(len(splits.parts)):
        kept, held_out = splits.held_out(s)
        assert days[kept].max() < days[held_out].min()
    one = np.repeat([0.0, 1.0], [20, 980])
    assert len(make_splits(one, no_given(1000), "regression", 0, times=one).test) == 200


def test_given_splits_are_kept_with_time_and_groups():
    kinds = np.repeat(["train", "test"], [200, 100])
    targets, values = np.tile(["a", "b", "b"], 100), np.arange(300)[::-1]
    for more in ({"times": values.astype(float)}, {"groups": values // 10}):
        splits = make_splits(targets, kinds, "binary", 0, **more)
        check(splits, 300)
        assert np.array_equal(splits.test, np.arange(200, 300))
