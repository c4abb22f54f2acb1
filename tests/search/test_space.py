from dataclasses import replace as replace_record

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from autorecipe.data.load import MODALITIES
from autorecipe.errors import InputError
from autorecipe.networks import FAMILIES
from autorecipe.recipe import Recipe, field_names, replace
from autorecipe.results import DatasetInfo
from autorecipe.search.space import (
    LR_FACTOR,
    STAGE_NAMES,
    StageSpace,
    known_points,
    load_space,
    modality_of,
    pixels,
    shipped_path,
    starting_changes,
    varied,
)

KINDS = [kind.name for kind in MODALITIES]


@pytest.mark.parametrize("modality", KINDS)
def test_the_shipped_spaces_load_and_fit(modality):
    space = load_space(modality)
    assert space.family in FAMILIES
    assert modality in FAMILIES[space.family].modalities
    assert set(space.stages) == set(STAGE_NAMES)
    for stage in space.stages.values():
        assert LR_FACTOR in stage.vary
    replace(Recipe(), space.start)
    assert modality_of(shipped_path(modality)) == modality


def changed(tmp_path, change, modality="table"):
    """The shipped space with `change(data)` done to it, as a file."""
    data = yaml.safe_load(shipped_path(modality).read_text())
    change(data)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def test_a_copy_is_read_as_it_is_written(tmp_path):
    path = changed(tmp_path, lambda d: d["stages"]["width"].update(factors=[2, 8]))
    assert load_space("table", path).stages["width"].factors == (2, 8)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(famly="mlp"), ["famly", "did you mean 'family'"]),
        (lambda d: d["start"].update({"optimizer.lrr": 1}), ["optimizer.lrr", "start", "did you mean 'optimizer.lr'"]),
        (lambda d: d["start"].update({"optimizer.lr": "fast"}), ["optimizer.lr", "'fast'"]),
        (lambda d: d["stages"].update(widht={}), ["widht", "did you mean 'width'"]),
        (lambda d: d["stages"]["width"].update(vray={}), ["vray", "did you mean 'vary'"]),
        (lambda d: d["stages"]["width"].update(factors="two"), ["factors"]),
        (lambda d: d["stages"]["width"]["vary"].update({"lr_fator": [1]}), ["lr_fator", "did you mean 'lr_factor'"]),
        (
            lambda d: d["stages"]["regularize"]["known"].append({"regularization.dorpout": 0.1}),
            ["dorpout", "did you mean 'regularization.dropout'"],
        ),
        (lambda d: d["stages"]["regularize"]["known"].append({"regularization.dropout": "lots"}), ["'lots'"]),
        (lambda d: d["stages"]["width"]["vary"].update({"lr_factor": {"lwo": 1, "high": 2}}), ["lwo", "mean 'low'"]),
        (lambda d: d["stages"]["width"]["vary"].update({"lr_factor": {"low": 2, "high": 1}}), ["low < high"]),
        (lambda d: d["stages"]["width"]["vary"].update({"lr_factor": {"low": 2}}), ["low < high"]),
        (lambda d: d["stages"]["width"]["vary"].update({"lr_factor": {"low": "a", "high": 1}}), ["low < high"]),
        (
            lambda d: d["stages"]["width"]["vary"].update({"lr_factor": {"low": 0, "high": 1, "log": True}}),
            ["log range", "low > 0"],
        ),
        (lambda d: d["stages"]["width"]["vary"].update({"optimizer.lr": []}), ["list of choices"]),
        (lambda d: d["stages"]["width"]["vary"].update({"optimizer.lr": 3}), ["list of choices"]),
        (lambda d: d["stages"]["width"]["vary"].update({"optimizer.lr": [0.1, "x"]}), ["'x'"]),
        (lambda d: d.pop("family"), ["family"]),
        (lambda d: d.update(format=9), ["format 9"]),
        (lambda d: d.update(modality="image"), ["for images", "tables"]),
    ],
)
def test_mistakes_are_told(tmp_path, change, words):
    path = changed(tmp_path, change)
    with pytest.raises(InputError) as caught:
        load_space("table", path)
    for word in [*words, "mine.yaml"]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["stages"]["small"]["vary"].update({"training.batch_size": {"low": 16, "high": 64}}),
        lambda d: d["stages"]["small"]["vary"].update({"regularization.flip": {"low": 0, "high": 1}}),
        lambda d: d["stages"]["small"]["vary"].update({"optimizer.name": {"low": 0, "high": 1}}),
        lambda d: d["stages"]["small"]["vary"].update({"lr_factor": {"low": 0.5, "high": float("inf")}}),
        lambda d: d["stages"]["small"]["vary"].update({"lr_factor": ["fast"]}),
        lambda d: d["stages"]["small"]["known"].append({"lr_factor": "fast"}),
        lambda d: d["stages"]["small"].update(trials=2),
        lambda d: d["stages"]["small"]["embeddings"].append({"network.embedding": "fourier"}),
        lambda d: d["stages"]["small"]["embeddings"].append({"network.width": 128}),
        lambda d: d["stages"]["width"].update(factors=[0]),
        lambda d: d["stages"]["depth"].update(kernels=[4]),
    ],
    ids=[
        "range of whole numbers",
        "range of yes and no",
        "range of names",
        "infinite range",
        "choice of a word",
        "known word",
        "too few trials",
        "unknown embedding",
        "no embedding",
        "factor 0",
        "even kernel",
    ],
)
def test_what_would_fail_in_the_middle_of_a_search_is_refused_at_its_start(tmp_path, change):
    path = changed(tmp_path, change)
    with pytest.raises(InputError, match=r"mine\.yaml"):
        load_space("table", path)


@pytest.mark.parametrize("text", ["a: [1", "- 1", "", "3"])
def test_a_file_that_is_no_space(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"mine\.yaml"):
        load_space("table", path)
    assert modality_of(path) == "image"


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_space("table", tmp_path / "none.yaml")


def test_a_regression_varies_no_label_smoothing(diabetes, iris):
    space = load_space("table").stages["regularize"]
    assert "regularization.label_smoothing" in varied(space, iris.info)
    assert "regularization.label_smoothing" not in varied(space, diabetes.info)


def unequal_info(metric, counts=(90, 10), task="binary"):
    names = tuple(map(str, range(len(counts))))
    examples = {"train": 60, "val": 20, "confirm": 20, "test": 7}
    return DatasetInfo("n", "table", task, "", metric, "", examples, classes=names, class_counts=counts)


@pytest.mark.parametrize(
    ("info", "offered"),
    [
        (unequal_info("macro_f1"), True),
        (unequal_info("roc_auc"), True),
        (unequal_info("accuracy"), False),
        (unequal_info("log_loss"), False),
        (unequal_info("macro_f1", (60, 40)), False),
        (unequal_info("macro_f1", (50, 45, 5), "multiclass"), True),
        (unequal_info("macro_f1", (50, 50, 95), "multilabel"), True),
        (unequal_info("micro_f1", (50, 50, 95), "multilabel"), False),
        (unequal_info("macro_f1", (50, 40, 60), "multilabel"), False),
        (unequal_info("rmse", (), "regression"), False),
    ],
)
def test_class_weights_are_tried_where_classes_are_unequal_and_count_alike(info, offered):
    for modality in ("table", "image"):
        stage = load_space(modality).stages["regularize"]
        assert ("regularization.class_weights" in varied(stage, info)) == offered
        assert ({"regularization.class_weights": 0.5} in known_points(stage, info)) == offered


def test_known_points_that_change_nothing_here_are_left_out(diabetes):
    stage = StageSpace(
        vary={"regularization.label_smoothing": [0.0, 0.1], "regularization.dropout": [0.0, 0.1]},
        known=(
            {},
            {"regularization.label_smoothing": 0.1},
            {"regularization.dropout": 0.1, "regularization.label_smoothing": 0.1},
            {"regularization.dropout": 0.1},
        ),
    )
    assert known_points(stage, diabetes.info) == ({}, {"regularization.dropout": 0.1})


@pytest.mark.parametrize("name", ["iris", "digits"])
def test_a_small_data_set_starts_with_small_batches(name, datasets):
    info = datasets[name].info
    changes = starting_changes(load_space(info.modality), info)
    assert set(changes) <= set(field_names())
    batch = changes["training.batch_size"]
    assert batch >= 16
    assert batch == 16 or info.num_examples["train"] / batch >= 16


@pytest.mark.parametrize(
    ("side", "start", "choices", "tried_first"),
    [(8, 1, [0, 1], [1, 0]), (28, 2, [0, 1, 2, 4], [2, 0]), (224, 16, [0, 8, 16, 32], [16, 0])],
)
def test_shifts_are_parts_of_the_image(side, start, choices, tried_first, datasets):
    info = replace_record(datasets["digits"].info, resolution=side)
    space = load_space("image")
    assert starting_changes(space, info)["regularization.crop"] == start
    stage = space.stages["regularize"]
    assert varied(stage, info)["regularization.crop"] == choices
    points = known_points(stage, info)
    assert [point["regularization.crop"] for point in points if "regularization.crop" in point] == tried_first
    assert {"regularization.flip": True} in points
    assert stage.vary["regularization.crop"] == [0, 1, 2, 4]


@given(st.integers(0, 512), st.integers(2, 2000))
def test_a_shift_leaves_half_of_the_image(shift, side):
    there = pixels(shift, side)
    assert (there == 0) == (shift == 0)
    assert there <= side // 2
