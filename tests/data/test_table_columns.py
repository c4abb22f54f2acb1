"""What becomes of each kind of column, there and back through JSON."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autorecipe.data import ReadOptions, as_tensors, load_dataset, modality
from autorecipe.data.table.words import MOST_AXES, learn_words, text_features
from autorecipe.errors import InputError, InputWarning

TABLE = modality("table")
COUNT = 400


def frame_of(**columns):
    random = np.random.default_rng(0)
    return pd.DataFrame({"size": random.normal(10, 3, COUNT), **columns, "kind": np.tile(["good", "bad"], COUNT // 2)})


def load(frame, **options):
    return load_dataset(frame, ReadOptions(target="kind", **options))


def entries(dataset, name):
    return [column for column in dataset.preprocess["columns"] if column["name"] == name]


def dropped(dataset):
    return {column["name"]: column["kind"] for column in dataset.preprocess["dropped"]}


def encoded(dataset, frame):
    return as_tensors(TABLE.encode(frame, json.loads(json.dumps(dataset.preprocess))))


def draw(values, seed=1):
    return np.random.default_rng(seed).choice(np.asarray(values, dtype=object), COUNT)


@pytest.mark.parametrize(
    "written",
    [
        lambda x: f"${x:,.2f}",
        lambda x: f"{x:,.2f}",
        lambda x: f" {x:.2f} ",
        lambda x: f"{x:,.2f}".translate(str.maketrans(",.", ".,")),
        lambda x: f"{x:.2f} €",
    ],
)
def test_numbers_written_as_text_are_the_numbers(written):
    numbers = np.random.default_rng(3).normal(5000, 2000, COUNT).round(2)
    plain = load(frame_of(price=numbers))
    texts = load(frame_of(price=[written(x) for x in numbers]))
    assert torch.equal(texts.inputs[0], plain.inputs[0])
    assert [f.kind for f in texts.info.findings if f.kind == "numbers_as_text"]


def test_a_comma_means_what_the_other_columns_show():
    grouped = [f"{x:,}" for x in np.random.default_rng(3).integers(1000, 99999, COUNT)]
    alone = load(frame_of(price=grouped))
    assert entries(alone, "price")[0]["decimal"] == "."
    with_comma = load(frame_of(price=grouped, share=[f"{x:.2f}".replace(".", ",") for x in np.arange(COUNT) / 7]))
    assert entries(with_comma, "price")[0]["decimal"] == ","


def test_a_few_odd_cells_among_numbers_are_missing_and_told():
    cells = [str(i * 37 % 1000) for i in range(COUNT)]
    cells[::80] = ["broken"] * 5
    dataset = load(frame_of(count=cells))
    (entry,) = entries(dataset, "count")
    assert entry["kind"] == "number"
    assert entry["missing"]
    finding = next(f for f in dataset.info.findings if f.kind == "odd_cells")
    assert "'broken'" in finding.found


@pytest.mark.parametrize("pair", [("no", "yes"), ("False", "True"), ("n", "Y"), (False, True)])
def test_truth_values_are_two_codes_in_any_spelling(pair):
    truth = np.arange(COUNT) * 7 % 5 > 2
    values = pd.Series([pair[int(x)] for x in truth], dtype=object)
    values[3] = None
    dataset = load(frame_of(flag=values))
    assert entries(dataset, "flag") == [{"name": "flag", "kind": "truth"}]
    assert dataset.info.cardinalities == (3,)
    expected = np.where(truth, 2, 1)
    expected[3] = 0
    assert dataset.inputs[1][:, 0].tolist() == expected.tolist()
    others = encoded(dataset, frame_of(flag=truth.astype(int)))
    expected[3] = truth[3] + 1
    assert others[1][:, 0].tolist() == expected.tolist()


def test_dates_are_parts_that_vary_and_one_signal_for_a_gap():
    days = pd.date_range("2020-03-01", periods=COUNT, freq="31h").to_series().reset_index(drop=True)
    days[5] = pd.NaT
    dataset = load(frame_of(when=days))
    parts = [entry["part"] for entry in entries(dataset, "when")]
    assert parts == [
        *("elapsed", "year", "month", "day", "weekday", "hour"),
        *("year_sin", "year_cos", "week_sin", "week_cos", "day_sin", "day_cos"),
    ]
    assert dataset.info.num_numbers == 1 + len(parts) + 1
    assert dataset.inputs[0][:, -1].nonzero().flatten().tolist() == [5]
    for form in ("%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M"):
        other = load(frame_of(when=days.dt.strftime(form)))
        assert torch.equal(other.inputs[0], dataset.inputs[0])
    daily = load(frame_of(when=pd.date_range("2020-03-01", periods=COUNT)))
    assert "hour" not in [entry["part"] for entry in entries(daily, "when")]


def test_times_of_day_and_dates_as_whole_numbers():
    minutes = np.arange(COUNT) * 11 % 1440
    dataset = load(frame_of(at=[f"{m // 60:02d}:{m % 60:02d}" for m in minutes]))
    assert [entry["part"] for entry in entries(dataset, "at")] == ["elapsed", "hour", "day_sin", "day_cos"]
    days = pd.date_range("2019-12-01", periods=COUNT)
    whole = load(frame_of(when=days.strftime("%Y%m%d").astype(int)))
    assert torch.equal(whole.inputs[0], load(frame_of(when=days)).inputs[0])


def test_a_date_that_is_none_is_refused_where_the_model_needs_dates():
    dataset = load(frame_of(when=pd.date_range("2020-03-01", periods=COUNT)))
    with pytest.raises(InputError, match=r"'when' should hold numbers or dates, but holds texts such as 'soon'"):
        encoded(dataset, frame_of(when="soon"))


def test_rare_values_share_a_code_with_unseen_ones_and_gaps_do_not():
    towns = draw(["Rome", "Oslo", "Bern"])
    towns[[3, 9, 20, 31, 44]] = ["Ulm", "Lyon", "Bath", "Gent", "Brno"]
    towns[50] = None
    dataset = load(frame_of(town=towns))
    (entry,) = entries(dataset, "town")
    assert entry["values"] == ["Bern", "Oslo", "Rome"]
    assert entry["rare"]
    assert dataset.info.cardinalities == (5,)
    codes = encoded(dataset, frame_of(town=pd.Series(["Ulm", "Atlantis", "Rome", None] * (COUNT // 4))))[1]
    assert codes[:4, 0].tolist() == [4, 4, 3, 0]


def test_without_rare_values_an_unseen_one_is_like_a_gap():
    dataset = load(frame_of(town=draw(["Rome", "Oslo", "Bern"])))
    assert dataset.info.cardinalities == (4,)
    assert encoded(dataset, frame_of(town="Atlantis"))[1].unique().tolist() == [0]


SENTENCES = [
    f"{a} {b} was {c} {d}"
    for a in ("the", "this", "a")
    for b in ("red wine", "cheap cheese", "dark bread")
    for c in ("very good", "rather bad", "not fresh")
    for d in ("today", "again and again", "for the price")
]


def test_free_text_becomes_topics_and_style():
    dataset = load(frame_of(review=[f"{text} {i}" for i, text in enumerate(draw(SENTENCES))]))
    (entry,) = entries(dataset, "review")
    assert entry["kind"] == "text"
    assert "wine" in entry["words"]
    assert len(entry["axes"]) == len(entry["words"])
    assert dataset.info.num_numbers == 1 + 4 + len(entry["axes"][0])
    finding = next(f for f in dataset.info.findings if f.kind == "text_column")
    assert finding.otherwise == "--drop review"
    rows = frame_of(review=pd.Series(["this red wine was very good", None, "", "zebra"] * (COUNT // 4)))
    numbers = encoded(dataset, rows)[0]
    assert torch.isfinite(numbers).all()
    assert numbers[1, 1:].abs().sum() == numbers[2, 1:].abs().sum() == 0


def test_texts_with_the_same_words_are_near_and_others_far():
    learned = learn_words(SENTENCES)
    assert len(learned["axes"][0]) <= MOST_AXES
    assert json.loads(json.dumps(learned)) == learned
    assert learned == learn_words(list(SENTENCES))
    wine, same, cheese = text_features(
        ["the red wine was very good today", "today the red wine was very good", "cheap cheese, not fresh"], learned
    )[:, 4:]
    assert np.allclose(wine, same)
    assert wine @ cheese < 0.5 * (wine @ wine)
    assert text_features(["x"], learn_words(["one", "two"])).shape == (1, 4)


def test_near_constant_columns_are_dropped_unless_a_few_rows_differ():
    frame = frame_of(once=0, seldom=0)
    frame.loc[0, "once"] = 1
    frame.loc[::40, "seldom"] = 1
    for seed in range(3):
        dataset = load(frame, seed=seed)
        assert dropped(dataset).get("once") in ("near_constant", "constant")
        assert "seldom" not in dropped(dataset)
    seed = next(s for s in range(9) if 0 in load(frame, seed=s).splits.train)
    assert entries(load(frame, keep=("once",), seed=seed), "once")


def test_copies_are_dropped_and_can_be_kept():
    size = frame_of()["size"]
    town = draw(["Rome", "Oslo", "Bern"])
    frame = frame_of(
        again=size,
        as_text=size.astype(str),
        town=town,
        stadt=pd.Series(town).map({"Rome": "Rom", "Oslo": "Kristiania", "Bern": "Bern"}),
        turned=-size,
    )
    dataset = load(frame)
    assert dropped(dataset) == {"again": "duplicate", "as_text": "duplicate", "stadt": "duplicate"}
    finding = next(f for f in dataset.info.findings if "'again'" in f.found)
    assert finding.found == "column 'again' says the same as 'size' in every row"
    assert finding.otherwise == "--keep again"
    assert dropped(load(frame, keep=("again", "stadt", "as_text"))) == {}


def test_columns_are_left_out_as_asked():
    frame = frame_of(count=draw(range(9)))
    dataset = load(frame, drop=("size",))
    assert dropped(dataset) == {"size": "asked"}
    assert (dataset.info.drop, dataset.info.keep) == (("size",), ())
    assert torch.equal(encoded(dataset, frame.drop(columns="size"))[0], dataset.inputs[0])
    with pytest.raises(InputError, match=r"--drop names no column: 'sise': did you mean 'size'"):
        load(frame, drop=("sise",))
    with pytest.raises(InputError, match="--keep and --drop both name 'size'"):
        load(frame, drop=("size",), keep=("size",))
    with pytest.raises(InputError, match="--drop 'kind' is the target"):
        load(frame, drop=("kind",))


def test_infinite_numbers_lie_at_the_ends():
    frame = frame_of()
    frame.loc[4, "size"], frame.loc[5, "size"] = np.inf, -np.inf
    dataset = load(frame)
    assert dataset.inputs[0][4:6, 0].tolist() == [3, -3]
    assert not entries(dataset, "size")[0]["missing"]
    if {4, 5} & set(dataset.splits.train.tolist()):
        assert any(f.kind == "infinite_values" for f in dataset.info.findings)


def test_objects_that_are_no_values_name_the_column_and_the_way_out():
    frame = frame_of(tags=[["a"], ["b"]] * (COUNT // 2))
    with pytest.raises(InputError, match=r"'tags' holds list objects.*--drop 'tags'"):
        load(frame)
    assert load(frame, drop=("tags",)).info.num_numbers == 1


def test_every_missing_column_is_named_at_prediction():
    dataset = load(frame_of(count=draw(range(9)), town=draw(["Rome", "Oslo"])))
    with pytest.raises(InputError, match="none of 2 columns that the model needs: 'size', 'town'; it has: count"):
        encoded(dataset, frame_of(count=1)[["count"]])


def test_further_columns_are_ignored_with_a_warning_but_for_the_target():
    frame = frame_of()
    dataset = load(frame)
    names, rows = TABLE.read_inputs(frame, dataset.preprocess)
    assert len(names) == len(rows) == COUNT
    with pytest.warns(InputWarning, match="1 column was not there in training and is ignored: 'extra'"):
        _, rows = TABLE.read_inputs(frame.assign(extra=1), dataset.preprocess)
    assert torch.equal(encoded(dataset, rows)[0], dataset.inputs[0])


KINDS = {
    "float": st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True)),
    "number": st.one_of(st.none(), st.floats(allow_nan=True), st.sampled_from(["3", "1,234", "$5", "12%", "?", "x"])),
    "date": st.one_of(st.none(), st.dates().map(str), st.datetimes().map(str)),
    "truth": st.sampled_from(["yes", "No", "", None, "true", 1]),
    "text": st.one_of(
        st.none(), st.lists(st.sampled_from(["wine", "was", "good", "bad", "!"]), max_size=8).map(" ".join)
    ),
    "any": st.one_of(st.none(), st.text(max_size=5), st.integers(), st.booleans()),
}


@settings(max_examples=60, deadline=None)
@given(data=st.data(), kind=st.sampled_from(sorted(KINDS)), rows=st.integers(30, 60))
def test_rows_encode_alone_as_together_and_always_finite(data, kind, rows):
    cells = data.draw(st.lists(KINDS[kind], min_size=rows, max_size=rows))
    column = pd.Series(cells, dtype=float if kind == "float" else object)
    frame = pd.DataFrame({"c": column, "sure": np.arange(rows) % 4, "kind": np.arange(rows) % 2})
    dataset = load(frame)
    values, codes = dataset.inputs
    assert torch.isfinite(values).all()
    assert values.abs().max() <= 3
    for column, cardinality in zip(codes.T, dataset.info.cardinalities, strict=True):
        assert 0 <= column.min() <= column.max() < cardinality
    row = data.draw(st.integers(0, rows - 1))
    alone = encoded(dataset, frame.iloc[[row]]) if not _column_of_words(frame.iloc[[row]], dataset) else None
    if alone is not None:
        assert torch.equal(alone[0][0], values[row])
        assert torch.equal(alone[1][0], codes[row])


def _column_of_words(frame, dataset):
    """Whether a number or date is asked of a single cell that holds a word, which is refused."""
    try:
        encoded(dataset, frame)
    except InputError:
        return True
    return False
