"""Data sets of several labels, rare classes and bounded targets: what is found and what is refused."""

import numpy as np
import pandas as pd
import pytest

from autorecipe.data import ReadOptions, load_dataset
from autorecipe.data.targets import range_text
from autorecipe.errors import InputError


def table(y, **options):
    X = np.random.default_rng(0).normal(size=(len(y), 2))
    return load_dataset((X, y), ReadOptions(**options))


def kinds(dataset):
    return {finding.kind: finding for finding in dataset.info.findings}


def flags(count=300, shares=(0.5, 0.3, 0.01)):
    return (np.random.default_rng(1).random((count, len(shares))) < shares).astype(int)


def test_rare_labels_and_examples_without_any_are_told():
    found = kinds(table(flags()))
    assert "1 of 3 ('label2' 2)" in found["rare_labels"].found
    assert found["rare_labels"].warn
    none = int((flags().sum(1) == 0).sum())
    assert f"{none} of 300 examples have no label" in found["no_labels"].found
    assert "single_labels" not in found


def test_one_label_each_is_told():
    found = kinds(table(np.eye(3, dtype=int)[np.arange(90) % 3]))
    assert "--task multiclass" in found["single_labels"].otherwise


def test_classes_that_look_like_labels_are_told():
    y = np.asarray(["a|b", "b|c", "a|c"])[np.arange(90) % 3]
    dataset = table(y)
    assert dataset.info.task == "multiclass"
    assert kinds(dataset)["joined_labels"].otherwise == "--task multilabel makes labels of its parts"
    assert table(y, task="multilabel").info.classes == ("a", "b", "c")


def test_a_frame_of_flags_names_its_labels():
    y = pd.DataFrame(flags(), columns=["zebra", "ant", "10"])
    dataset = table(y)
    assert dataset.info.classes == ("zebra", "ant", "10")
    assert dataset.targets.tolist() == y.to_numpy().tolist()
    assert dataset.info.task_reason == "y has 3 columns of 0 and 1"


def test_a_label_that_nobody_has_stays_a_column():
    y = flags(shares=(0.5, 0.3, 0.0))
    dataset = table(y)
    assert dataset.info.num_outputs == 3
    assert dataset.targets[:, 2].sum() == 0


@pytest.mark.parametrize(
    ("y", "options", "match"),
    [
        (2 * flags(), {}, "holds '2'"),
        (flags(), {"task": "binary"}, "the task is multilabel, not binary"),
        (flags(), {"metric": "balanced_accuracy"}, "does not fit the task 'multilabel'"),
        (flags(), {"range": "0,1"}, "the task is multilabel"),
        (np.arange(100.0), {"range": "0,50"}, "of 80 targets lie outside, such as [5-9]"),
        (np.arange(100.0), {"range": "0,5o"}, "--range 0,5o: give two numbers"),
        (np.arange(100.0) - 50, {"metric": "rmsle"}, "needs targets of 0 or more, but 50 of 100"),
    ],
)
def test_what_does_not_fit_is_refused(y, options, match):
    with pytest.raises(InputError, match=match):
        table(y, **options)


def test_a_class_that_val_lacks_has_no_ranks():
    y = np.where(np.arange(300) < 2, "yes", "no")
    info = table(y).info
    assert (info.metric, info.cross_validated) == ("log_loss", True)
    assert "'no' alone" in info.metric_reason
    with pytest.raises(InputError, match="--metric log_loss"):
        table(y, metric="roc_auc")
    y = np.where(np.arange(300) < 30, "yes", "no")
    assert table(y).info.metric == "roc_auc"


def test_targets_beyond_the_bounds_of_train_keep_their_value():
    y = np.append(np.tile(np.arange(1.0, 11.0), 60), 12.0)
    for seed in range(20):
        dataset = table(y, seed=seed, task="regression")
        if len(y) - 1 in dataset.splits.test:
            break
    scale = dataset.info.target_scale
    assert (scale.low, scale.high) == (1.0, 10.0)
    assert float(dataset.targets[-1]) * scale.std + scale.mean == pytest.approx(12.0)
    replayed = table(y, seed=seed, task="regression", range=range_text(scale))
    assert replayed.info.target_scale == scale


@pytest.mark.parametrize(("row", "link"), [(430, "identity"), (590, "sigmoid")])
def test_later_targets_of_val_show_that_a_scale_is_none(row, link):
    """Test is not looked at."""
    y = np.tile(np.arange(1.0, 11.0), 60)
    y[row] = 12.0
    frame = pd.DataFrame({"t": np.arange(600) * 1.5, "x": np.random.default_rng(0).normal(size=600), "y": y})
    dataset = load_dataset(frame, ReadOptions(target="y", time="t", task="regression"))
    assert row in (dataset.splits.val if link == "identity" else dataset.splits.test)
    assert dataset.info.target_scale.link == link


def test_columns_named_as_target_are_the_labels_of_a_frame_of_flags(tmp_path):
    y = pd.DataFrame(flags(), columns=["zebra", "ant", "10"])
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 2)), columns=["a", "b"])
    pd.concat([X, y], axis=1).to_csv(tmp_path / "t.csv", index=False)
    dataset = load_dataset(tmp_path / "t.csv", ReadOptions(target="zebra,ant,10"))
    given = load_dataset((X, y), ReadOptions())
    assert dataset.info.classes == given.info.classes == ("zebra", "ant", "10")
    assert dataset.targets.tolist() == given.targets.tolist()
    assert dataset.splits.test.tolist() == given.splits.test.tolist()
    assert [column["name"] for column in dataset.preprocess["columns"]] == ["a", "b"]
    assert dataset.info.task_reason == "3 columns are the target"


@pytest.mark.parametrize("option", ["group", "time"])
def test_labels_with_groups_and_in_the_order_of_time(option):
    frame = pd.DataFrame(flags(), columns=["x", "y", "z"]).assign(when=np.arange(300) // 5)
    dataset = load_dataset(frame.assign(a=1.5 * np.arange(300)), ReadOptions(target="x,y,z", **{option: "when"}))
    when = [set(frame["when"].to_numpy()[getattr(dataset.splits, name)]) for name in ("train", "val", "test")]
    assert len(set.union(*when)) == sum(map(len, when)) == 60
    assert option == "group" or max(when[0]) < min(when[1]) <= max(when[1]) < min(when[2])


def test_an_empty_cell_is_a_row_without_labels():
    tags = pd.Series(["b|a", None, "a", "c", ""] * 20, name="tags", dtype=object)
    dataset = table(tags, task="multilabel")
    assert dataset.info.classes == ("a", "b", "c")
    assert dataset.targets[:5].tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]]
