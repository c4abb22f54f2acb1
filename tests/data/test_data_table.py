import json
import shlex

import numpy as np
import pandas as pd
import pytest
import torch

from autorecipe.data import ReadOptions, load_dataset, modality
from autorecipe.data.table.encode import smooth_clip
from autorecipe.data.targets import from_scale
from autorecipe.errors import InputError

TABLE = modality("table")


def frame_of(rows=200, seed=0):
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "size": random.normal(10, 3, rows),
            "count": random.integers(0, 9, rows),
            "colour": random.choice(["red", "green", "blue"], rows),
            "kind": np.tile(["good", "bad"], rows // 2),
        }
    )


def load(source, **options):
    return load_dataset(source, ReadOptions(**options))


def kinds(dataset):
    return {finding.kind for finding in dataset.info.findings}


def columns(dataset):
    return [(column["name"], column["kind"]) for column in dataset.preprocess["columns"]]


def test_a_csv_becomes_numbers_codes_and_classes(tmp_path):
    frame_of().to_csv(tmp_path / "goods.csv", index=False)
    dataset = load(tmp_path / "goods.csv", target="kind")
    numbers, codes = dataset.inputs
    assert numbers.dtype == torch.float32
    assert numbers.shape == (200, 2)
    assert codes.dtype == torch.int64
    assert codes.shape == (200, 1)
    assert codes.min() == 1
    info = dataset.info
    assert (info.name, info.modality, info.task, info.metric) == ("goods", "table", "binary", "accuracy")
    assert info.classes == ("bad", "good")
    assert dataset.targets.tolist() == [1, 0] * 100
    assert info.cardinalities == (4,)
    assert info.num_examples == {"train": 128, "val": 32, "confirm": 0, "test": 40}
    assert info.cross_validated
    assert sum(info.class_counts) == 160
    assert columns(dataset) == [("size", "number"), ("count", "number"), ("colour", "category")]
    assert json.loads(json.dumps(dataset.preprocess)) == dataset.preprocess


@pytest.mark.parametrize(("suffix", "mark"), [("csv", ","), ("csv", ";"), ("csv", "|"), ("tsv", "\t"), ("csv", "\t")])
def test_delimiters_and_byte_order_marks(tmp_path, suffix, mark):
    path = tmp_path / f"t.{suffix}"
    frame_of().to_csv(path, sep=mark, index=False, encoding="utf-8-sig")
    dataset = load(path, target="kind")
    assert dataset.preprocess["inputs"] == ["size", "count", "colour"]


def test_csv_parquet_and_dataframe_give_the_same_data(tmp_path):
    frame = frame_of()
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    sets = [load(source, target="kind") for source in (tmp_path / "a.csv", str(tmp_path / "a.parquet"), frame)]
    sets.append(load((frame.drop(columns="kind"), frame["kind"])))
    assert len({dataset.info.digest for dataset in sets}) == 1
    assert len(sets[0].info.digest) == 64
    for other in sets[1:]:
        assert torch.equal(sets[0].inputs[0], other.inputs[0])
        assert torch.equal(sets[0].inputs[1], other.inputs[1])
        assert np.array_equal(sets[0].splits.test, other.splits.test)


def test_the_digest_sees_inputs_and_targets_but_not_the_seed():
    frame = frame_of()
    digest = load(frame, target="kind").info.digest
    assert load(frame, target="kind", seed=5).info.digest == digest
    other = frame.copy()
    other.loc[7, "size"] += 1
    assert load(other, target="kind").info.digest != digest
    other = frame.copy()
    other.loc[7, "kind"] = "good"
    assert load(other, target="kind").info.digest != digest


def test_preprocessing_is_learned_on_train_alone():
    frame = frame_of()
    plain = load(frame, target="kind")
    away = frame.copy()
    away.loc[np.concatenate([plain.splits.test, plain.splits.val]), "size"] = 1e6
    away.loc[plain.splits.test[0], "colour"] = "purple"
    other = load(away, target="kind")
    assert other.preprocess == plain.preprocess
    assert other.inputs[1][plain.splits.test[0], 0] == 0


def test_regression_targets_are_scaled_by_train(tmp_path):
    frame = frame_of()
    dataset = load(frame, target="size")
    train = torch.from_numpy(dataset.splits.train)
    assert dataset.info.task == "regression"
    assert dataset.info.metric == "rmse"
    assert dataset.targets.dtype == torch.float32
    assert abs(float(dataset.targets[train].mean())) < 1e-5
    assert abs(float(dataset.targets[train].std(correction=0)) - 1) < 1e-5
    back = from_scale(dataset.targets.numpy(), dataset.info.target_scale)
    assert np.allclose(back, frame["size"], atol=1e-4)


def test_train_val_and_test_files(tmp_path):
    frame = frame_of()
    frame[:120].to_csv(tmp_path / "Train.csv", index=False)
    frame[120:150].to_csv(tmp_path / "val.csv", index=False)
    frame[150:][["kind", "colour", "count", "size"]].to_csv(tmp_path / "test.tsv", index=False, sep="\t")
    dataset = load(tmp_path, target="kind")
    assert dataset.splits.val.tolist() == list(range(120, 150))
    assert dataset.splits.test.tolist() == list(range(150, 200))
    assert dataset.names[0] == "Train.csv:0"
    assert dataset.names[150] == "test.tsv:0"
    assert dataset.info.name == tmp_path.name


def test_a_test_file_without_the_target_is_left_out(tmp_path):
    frame = frame_of()
    frame.to_csv(tmp_path / "train.csv", index=False)
    frame.drop(columns="kind").to_csv(tmp_path / "test.csv", index=False)
    dataset = load(tmp_path, target="kind")
    assert len(dataset.targets) == 200
    assert "unlabelled_file" in kinds(dataset)


def test_a_class_only_in_the_test_file_is_refused(tmp_path):
    frame = frame_of()
    frame.to_csv(tmp_path / "train.csv", index=False)
    frame[:10].assign(kind="ugly").to_csv(tmp_path / "test.csv", index=False)
    with pytest.raises(InputError, match=r"'ugly' has 10 examples in test.*test.csv:0"):
        load(tmp_path, target="kind")


def test_the_target_is_guessed_by_its_name_or_asked_for():
    dataset = load(frame_of().rename(columns={"kind": "Label"}))
    assert dataset.info.target == "Label"
    assert "target" in kinds(dataset)
    with pytest.raises(InputError, match="--target COL; columns: size, count, colour, kind"):
        load(frame_of())
    with pytest.raises(InputError, match="did you mean 'kind'"):
        load(frame_of(), target="kinds")


def test_rows_without_a_target_are_left_out_and_counted():
    frame = frame_of()
    frame.loc[[3, 9], "kind"] = None
    dataset = load(frame, target="kind")
    assert len(dataset.targets) == 198
    assert "3" not in dataset.names
    assert any("2 of 200" in f.found for f in dataset.info.findings if f.kind == "missing_target")


def test_whole_number_classes_survive_a_gap():
    frame = frame_of().assign(kind=np.tile([0, 1, 2, 10], 50).astype(float))
    frame.loc[5, "kind"] = np.nan
    assert load(frame, target="kind").info.classes == ("0", "1", "2", "10")


def test_missing_numbers_have_a_signal_and_are_zero():
    frame = frame_of()
    frame.loc[::4, "size"] = np.nan
    dataset = load(frame, target="kind")
    numbers, _ = dataset.inputs
    assert dataset.info.num_numbers == 3
    assert numbers[:8, 2].tolist() == [1, 0, 0, 0, 1, 0, 0, 0]
    assert (numbers[::4, 0] == 0).all()
    assert torch.isfinite(numbers).all()
    finding = next(f for f in dataset.info.findings if f.kind == "missing_values")
    assert "'size' 50" in finding.found


def test_question_marks_among_numbers_are_missing_and_numeric_texts_are_numbers():
    frame = frame_of()
    frame["count"] = frame["count"].astype(str)
    frame.loc[::10, "count"] = "?"
    dataset = load(frame, target="kind")
    assert ("count", "number") in columns(dataset)
    assert dataset.preprocess["columns"][1]["missing"]


def test_at_most_1000_categories_have_a_code():
    words = [f"w{i}" for i in range(1100)]
    frame = pd.DataFrame({"word": words * 6, "size": np.arange(6600) % 7, "kind": ["a", "b"] * 3300})
    assert load(frame, target="kind").info.cardinalities == (1002,)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("rownames", np.arange(1, 201)),
        ("whatever", np.arange(1, 201)),
        ("shuffled", np.random.default_rng(0).permutation(200) + 1000),
        ("customer_id", np.random.default_rng(0).choice(10**9, 200, replace=False)),
        ("customerId", np.random.default_rng(0).choice(10**9, 200, replace=False)),
        ("name", [f"person {i}" for i in range(200)]),
        ("code", [f"X{i * 7919 % 1000}" for i in range(200)]),
        ("Unnamed: 0", np.arange(200)),
    ],
)
def test_identifiers_are_dropped_and_can_be_kept(name, values):
    frame = frame_of().assign(**{name: values})
    dataset = load(frame, target="kind")
    assert name not in dict(columns(dataset))
    finding = next(f for f in dataset.info.findings if f.kind == "identifier_column")
    assert finding.otherwise == f"--keep {shlex.quote(name)}"
    assert f"'{name}'" in finding.found
    assert name in dict(columns(load(frame, target="kind", keep=(name,))))


def test_numbers_that_merely_all_differ_are_kept():
    random = np.random.default_rng(0)
    frame = frame_of().assign(price=random.choice(10**6, 200, replace=False), weight=random.normal(size=200))
    assert {"price", "weight", "size"} <= set(dict(columns(load(frame, target="kind"))))


def test_constant_columns_are_dropped():
    frame = frame_of().assign(same=1, empty=np.nan, word="x")
    dataset = load(frame, target="kind")
    assert columns(dataset) == columns(load(frame_of(), target="kind"))
    assert sum(f.kind == "constant_column" for f in dataset.info.findings) == 3


def test_a_constant_with_gaps_keeps_its_signal():
    frame = frame_of().assign(flag=1.0)
    frame.loc[::2, "flag"] = np.nan
    numbers, _ = load(frame, target="kind").inputs
    assert numbers[:4, 3].tolist() == [1, 0, 1, 0]


def test_dates_become_the_parts_that_vary(tmp_path):
    frame = frame_of().assign(day=pd.date_range("2020-01-01", periods=200, freq="D"))
    dataset = load(frame, target="kind")
    parts = [column["part"] for column in dataset.preprocess["columns"] if column["kind"] == "date"]
    assert parts[:4] == ["elapsed", "month", "day", "weekday"]  # one year, no hours
    frame.to_csv(tmp_path / "d.csv", index=False)
    from_csv = load(tmp_path / "d.csv", target="kind")
    plain = [{**c, "format": ""} if c["kind"] == "date" else c for c in from_csv.preprocess["columns"]]
    assert plain == dataset.preprocess["columns"]
    assert torch.equal(from_csv.inputs[0], dataset.inputs[0])


def test_bool_and_category_columns_are_categories():
    frame = frame_of()
    frame["flag"] = frame["size"] > 10
    frame["grade"] = pd.Categorical(frame["count"])
    dataset = load(frame, target="kind")
    assert dict(columns(dataset))["flag"] == "truth"
    assert dict(columns(dataset))["grade"] == "category"
    assert "3" in dataset.preprocess["columns"][4]["values"]


def test_a_missing_column_is_named_and_extra_columns_do_not_matter():
    dataset = load(frame_of(), target="kind")
    with pytest.raises(InputError, match=r"no column 'size'.*did you mean 'sizes'"):
        TABLE.encode(frame_of().rename(columns={"size": "sizes"}), dataset.preprocess)
    with pytest.raises(InputError, match=r"'size' should hold numbers.*'big'"):
        TABLE.encode(frame_of().assign(size="big"), dataset.preprocess)
    more = frame_of().assign(extra=1)[["extra", "kind", "colour", "count", "size"]]
    assert np.array_equal(TABLE.encode(more, dataset.preprocess)[0], dataset.inputs[0])


def test_read_inputs_from_file_frame_and_array(tmp_path):
    frame = frame_of()
    X, y = frame[["size", "count"]].to_numpy(), frame["kind"].to_numpy()
    dataset = load((X, y))
    assert dataset.preprocess["inputs"] == ["x0", "x1"]
    names, inputs = TABLE.read_inputs(X[:3], dataset.preprocess)
    assert names == ["0", "1", "2"]
    assert np.array_equal(TABLE.encode(inputs, dataset.preprocess)[0], dataset.inputs[0][:3])
    pd.DataFrame(X, columns=["x0", "x1"]).to_csv(tmp_path / "x.csv", index=False)
    names, inputs = TABLE.read_inputs(str(tmp_path / "x.csv"), dataset.preprocess)
    assert np.array_equal(TABLE.encode(inputs, dataset.preprocess)[0], dataset.inputs[0])
    with pytest.raises(InputError, match="1 columns, but the model was trained on 2: x0, x1"):
        TABLE.read_inputs(X[:, :1], dataset.preprocess)


@pytest.mark.parametrize(
    ("text", "match"),
    [("", "is empty"), ("a,b\n1,2\n", "which column"), ("a,target\n1,x\n2,y\n", "2 examples.*at least 10")],
)
def test_files_that_hold_no_data_set(tmp_path, text, match):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=match):
        load(tmp_path / "t.csv")


def test_scaling_is_robust_and_clipping_smooth():
    frame = frame_of(1000)
    frame.loc[0, "size"] = 1e9
    numbers, _ = load(frame, target="kind").inputs
    assert numbers.abs().max() <= 3
    assert 0.6 < float(numbers[:, 0].std()) < 1.1
    assert abs(float(numbers[:, 0].median())) < 0.1
    assert smooth_clip(np.asarray([0.0, 3.0, -1e300])).tolist() == pytest.approx([0, 3 / 2**0.5, -3])


def test_a_number_that_is_mostly_one_value_is_scaled_by_its_range():
    frame = frame_of().assign(rare=[0] * 190 + [8] * 10)
    frame = frame.sample(frac=1, random_state=0, ignore_index=True)
    numbers, _ = load(frame, target="kind").inputs
    assert set(numbers[:, 2].tolist()) == {0.0, np.float32(smooth_clip(np.asarray(2.0)))}


def test_bins_increase_and_lie_within_the_training_values():
    dataset = load(frame_of(500), target="kind")
    numbers = dataset.inputs[0][torch.from_numpy(dataset.splits.train)]
    assert [len(edges) for edges in dataset.info.bins] == [16, pytest.approx(9, abs=1)]
    for edges, column in zip(dataset.info.bins, numbers.T, strict=True):
        assert (np.diff(edges) > 0).all()
        assert edges[0] == float(column.min())
        assert edges[-1] == float(column.max())


def test_duplicates_imbalance_and_order_are_found():
    frame = pd.DataFrame({"a": np.arange(240) * 0.37, "kind": ["x"] * 220 + ["y"] * 20})
    frame = pd.concat([frame, frame[:60]], ignore_index=True).sort_values("kind", ignore_index=True)
    found = {f.kind: f for f in load(frame, target="kind").info.findings}
    assert found["duplicates"].found.startswith("60 rows")
    assert found["duplicates_across_splits"].warn
    assert found["class_imbalance"].warn
    assert "sorted_by_class" in found
    assert not kinds(load(frame_of(), target="kind"))


def test_two_columns_of_one_name_are_refused():
    frame = frame_of()
    frame.columns = ["a", "a", "b", "kind"]
    with pytest.raises(InputError, match="column 'a' more than once"):
        load(frame, target="kind")


def test_huge_and_tiny_numbers_overflow_nothing():
    frame = frame_of()
    frame["huge"] = np.tile([1.7e308, -1.7e308, 0.0, 5e-324], 50)
    frame["tiny"] = np.tile([5e-324, 1e-320, 0.0, 1e308, 3e-323], 40)
    numbers, _ = load(frame, target="kind").inputs
    assert torch.isfinite(numbers).all()


def test_a_target_of_categories_is_classes_whatever_their_number():
    frame = frame_of(300).assign(kind=pd.Categorical(np.arange(300) % 30))
    assert load(frame, target="kind").info.task == "multiclass"
    assert load(frame.astype({"kind": int}), target="kind").info.task == "regression"
