"""The simple models beside a run, and what is judged."""

import numpy as np
import pandas as pd
import pytest
import references
from data import openclipart, yeast
from messy import CASES, judge
from PIL import Image
from references import GUESS, LINEAR, TREES


def table(count: int = 300) -> tuple[pd.DataFrame, np.ndarray]:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "number": random.normal(size=count),
            "gaps": np.where(random.random(count) < 0.3, np.nan, random.normal(size=count)),
            "kind": random.choice(["a", "b", None], count),
            "day": pd.date_range("2020-01-01", periods=count).astype(str),
            "text": [f"text {i}" for i in range(count)],
        }
    )
    y = 3 * frame["number"].to_numpy() + 2 * (frame["kind"] == "a").to_numpy() + 0.1 * random.normal(size=count)
    return frame, y


def test_dates_become_parts_and_free_text_is_left_out():
    X = references.features(table()[0], dates=["day"])
    assert list(X.columns) == ["number", "gaps", "kind", "day day", "day month", "day weekday"]
    assert X["kind"].dtype == "category"
    assert X["day day"].tolist()[:2] == [0, 1]


def test_a_linear_relation_is_found_and_a_missing_target_is_left_out_of_training():
    frame, y = table()
    test = np.arange(len(y)) >= 240
    y[3] = np.nan
    found = references.regression(references.features(frame), y, test)
    assert found[LINEAR] < 0.3 < found[GUESS]
    assert found[TREES] < found[GUESS]


def test_micro_f1_of_each_labels_majority():
    frame, y = table()
    Y = np.stack([y > -8, y > 0, y > 5], 1).astype(int)
    test = np.arange(len(y)) % 5 == 0
    found = references.multilabel(references.features(frame), Y, test)
    assert found[LINEAR] > found[GUESS] > 0.5


def row(score: float, **facts: object) -> dict[str, object]:
    beside = {GUESS: 10.0, LINEAR: 5.0, TREES: 4.0}
    return {"code": 0, "status": "complete", "wall": 60.0, "score": score, "references": beside, **facts}


@pytest.mark.parametrize(("score", "reached"), [(4.3, True), (4.6, False)])
def test_hotel_rates_must_beat_its_own_linear_baseline_by_a_tenth(score, reached):
    facts = {"baselines": {LINEAR: 5.0, TREES: 4.0}, "split_by_time": True}
    assert judge("hotel_rates", "3m", row(score, **facts))["reached"] is reached
    assert judge("hotel_rates", "3m", row(score, **{**facts, "split_by_time": False}))["reached"] is False
    assert judge("hotel_rates", "3m", row(score, **{**facts, "baselines": {LINEAR: 5.0}}))["reached"] is False


@pytest.mark.parametrize(
    ("predictions", "reached"), [([1.0, 9.5], True), ([0.99, 9.5], False), ([1.0, 10.1], False), (None, False)]
)
def test_predictions_must_lie_inside_the_bounds(predictions, reached):
    assert judge("movies", "2m", row(4.0, predictions=predictions))["reached"] is reached


def test_the_bomb_must_be_named_and_the_margin_clear():
    beside = {GUESS: 0.2, LINEAR: 0.5}
    assert judge("openclipart", "5m", row(0.56, references=beside, named=["stop.png"]))["reached"]
    assert not judge("openclipart", "5m", row(0.56, references=beside, named=[]))["reached"]
    assert not judge("openclipart", "5m", row(0.54, references=beside, named=["stop.png"]))["reached"]


@pytest.mark.parametrize("change", [{"wall": 99.0}, {"status": "interrupted"}, {"code": 2}, {"score": None}])
def test_a_late_broken_or_unfinished_run_reaches_nothing(change):
    beside = {GUESS: 0.4, LINEAR: 0.55, TREES: 0.55}
    assert judge("yeast", "90s", row(0.65, references=beside))["reached"]
    assert not judge("yeast", "90s", {**row(0.65, references=beside), **change})["reached"]


def test_several_targets_are_one_option(tmp_path):
    words = CASES["yeast"].words(tmp_path)
    assert words[1] == "--target"
    assert words[2].split(",")[13] == "Class14"
    assert CASES["hotel_rates"].words(tmp_path)[-2:] == ["--time", "arrival_date"]


def test_openclipart_leaves_out_links_and_what_is_unsorted(tmp_path):
    source = tmp_path / "png"
    for name, count in (("unsorted", 5), ("big/inner", 3), ("small", 1)):
        (source / name).mkdir(parents=True)
        for i in range(count):
            Image.new("L", (2, 2)).save(source / name / f"{i}.png")
    (source / "small" / "link.png").symlink_to(source / "big" / "inner" / "0.png")
    openclipart(tmp_path / "out", source)
    files = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png"))
    assert files == ["big/inner/0.png", "big/inner/1.png", "big/inner/2.png", "small/0.png"]


def test_yeast_is_unpacked(tmp_path):
    import gzip

    packed = tmp_path / "yeast.csv.gz"
    packed.write_bytes(gzip.compress(b"a,Class1\n0.5,1\n0.1,0\n"))
    yeast(tmp_path / "yeast.csv", packed, limit=1)
    assert (tmp_path / "yeast.csv").read_text() == "a,Class1\n0.5,1\n"
