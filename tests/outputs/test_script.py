"""`train.py`: the run's network from the same seed, trained in the same steps, without autorecipe."""

import contextlib
import io
import re
import runpy
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from autorecipe.data.metrics import METRICS
from autorecipe.errors import InputError
from autorecipe.outputs.script import script_of, write_script
from autorecipe.predictor import load
from autorecipe.recipe import replace

ALLOWED = {"torch", "numpy", "pandas", "PIL", "sklearn", *sys.stdlib_module_names}
ALONE = """
import runpy, sys
class Blocked:
    def find_spec(self, name, *rest):
        if name.split(".")[0] in ("autorecipe", "rtdl_num_embeddings", "optuna", "safetensors", "yaml"):
            raise ImportError(f"{name} is not there")
sys.meta_path.insert(0, Blocked())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a script where autorecipe cannot be imported."""
BUFFERS = ("mean", "inverse_std", "slope", "start", "single", "running_mean", "running_var", "num_batches_tracked")


def run_alone(script, *words, folder):
    return run_python(sys.executable, "-c", ALONE, script, *words, folder=folder)


def run_python(python, *words, folder):
    return subprocess.run(
        [python, *map(str, words)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"OMP_NUM_THREADS": "1", "PATH": "", "HOME": str(folder)},
        timeout=200,
    )


def trained_by_script(result, source, folder, alone):
    """The score that the script prints and the parameters that it saves.

    `alone` runs it where autorecipe cannot be imported; that takes seconds, and it imports nothing of it anyhow.
    """
    script = write_script(result)
    text = script.read_text()
    assert len(text.splitlines()) < 300
    assert max(map(len, text.splitlines())) <= 120
    found = re.findall(r"^ *(?:import|from) (\w+)", text, re.M)
    assert set(found) <= ALLOWED
    if alone:
        done = run_alone(script, source, folder=folder)
        assert done.returncode == 0, done.stderr
        printed = done.stdout
    else:
        told = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(told):
            patch.chdir(folder)
            patch.setattr(sys, "argv", [str(script), str(source)])
            runpy.run_path(str(script), run_name="__main__")
        printed = told.getvalue()
    weights = np.load(folder / "weights.npz")
    return printed_score(result, printed), [weights[name] for name in weights if name.split(".")[-1] not in BUFFERS]


def printed_score(result, printed):
    score = re.search(r"^(\S+) (\S+) on [\d,]+ test examples$", printed, re.M)
    assert score[1] == result.info.metric
    return float(score[2])


def check_same(result, source, tmp_path, exact=True, alone=False):
    score, found = trained_by_script(result, source, tmp_path, alone)
    wanted = [parameter.detach().numpy() for parameter in result.model.parameters()]
    assert [w.shape for w in found] == [w.shape for w in wanted]
    if exact:
        for ours, theirs in zip(found, wanted, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4)
        assert score == pytest.approx(result.summary["scores"]["test"], rel=2e-3, abs=2e-3)
    return score


DIGITS = {
    "resnet": {
        "regularization.crop": 1,
        "regularization.flip": True,
        "regularization.erase": 0.3,
        "regularization.averaging": 0.3,
        "finish.shift_tta": 1,
        "finish.flip_tta": True,
        "finish.temperature": 1.3,
        "data.metric": "log_loss",
    },
    "linear": {"network": {"family": "linear"}, "optimizer.name": "sgd", "schedule.name": "constant"},
    "mlp": {
        "network": {"family": "mlp", "width": 16, "blocks": [{"width": 16}, {"width": 24}]},
        "regularization.label_smoothing": 0.1,
        "schedule.name": "cosine",
        "optimizer.clip_norm": 0.5,
        "optimizer.weight_decay": 0.1,
    },
    "several": {
        "finish.members": 3,
        "finish.shift_tta": 1,
        "network.stem_kernel": 5,
        "network.stem_stride": 2,
        "optimizer.clip_norm": 0.3,
        "regularization.averaging": 0.2,
        "training.channels_last": True,
    },
}


@pytest.mark.parametrize("case", DIGITS)
def test_the_script_trains_the_same_network_on_images(case, replayed, tmp_path):
    check_same(replayed("digits", **DIGITS[case]), "digits", tmp_path)


NAMED = {
    "iris": {"network.embedding": "piecewise"},
    "wine": {"network.embedding": "periodic", "network.embedding_scale": 0.2, "finish.members": 2},
    "breast_cancer": {
        "network.embedding": "none",
        "regularization.class_weights": 0.5,
        "finish.thresholds": [0.3],
        "data.metric": "f1",
    },
    "diabetes": {"network.embedding": "piecewise", "optimizer.clip_norm": 1.0},
}


@pytest.mark.parametrize("source", NAMED)
def test_the_script_trains_the_same_network_on_bundled_tables(source, replayed, tmp_path):
    check_same(replayed(source, **NAMED[source]), source, tmp_path)


def messy_frame(count=240):
    random = np.random.default_rng(0)
    colour = random.choice(["red", "green", "blue", "Grün"], count)
    price = random.gamma(2.0, 800.0, count).round(2)
    words = ["quick", "brown", "fox", "lazy", "dog", "rain", "falls", "green", "hill"]
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 900, count), unit="D")
    frame = pd.DataFrame(
        {
            "price": [f"${value:,.2f}" for value in price],
            "size": np.where(random.random(count) < 0.1, np.nan, random.normal(size=count)),
            "count": random.integers(0, 30, count),
            "colour": colour,
            "rare": [f"v{i}" if i % 9 == 0 else "common" for i in range(count)],
            "bought": random.choice(["yes", "no", ""], count, p=[0.5, 0.4, 0.1]),
            "day": day.strftime("%m/%d/%Y"),
            "note": [
                " ".join(random.choice(words, 6)).capitalize() + "!" * int(random.integers(0, 3)) for _ in range(count)
            ],
        }
    )
    signal = price / 800 + (colour == "red") * 2 + np.nan_to_num(frame["size"])
    return frame, np.asarray(signal)


def csv_of(frame, path, **options):
    frame.to_csv(path, index=False, **options)
    return path


def test_a_messy_csv_is_read_as_the_run_read_it(replayed, tmp_path):
    frame, signal = messy_frame()
    frame["label"] = np.where(signal > np.median(signal), "high", "low")
    frame.loc[5, "label"] = None  # a row without a target is in no split
    path = csv_of(frame, tmp_path / "data.csv", sep=";", encoding="cp1252")
    result = replayed(path)
    kinds = {column["kind"] for column in result.preprocess["columns"]}
    assert kinds == {"number", "category", "truth", "date", "text"}
    check_same(result, path, tmp_path, alone=True)


@pytest.mark.parametrize("case", ["sigmoid", "log", "exp", "bounded"])
def test_regressions_of_every_scale(case, replayed, tmp_path):
    frame, signal = messy_frame(300)
    targets = {
        "sigmoid": 10 * (signal - signal.min()) / np.ptp(signal),
        "log": np.exp(2.5 * signal / signal.std()),
        "exp": np.exp(2.5 * signal / signal.std()),
        "bounded": np.where(np.arange(300) % 2 == 0, 0.0, 3 + signal / np.ptp(signal)),
    }[case]
    frame["target"] = targets
    path = csv_of(frame[["price", "size", "colour", "target"]], tmp_path / "data.csv")
    options = {"metric": "mae" if case == "log" else "rmse", "range": "0,10" if case == "sigmoid" else "auto"}
    result = replayed(path, options=options)
    scale = result.info.target_scale
    link = {"sigmoid": "sigmoid", "exp": "exp"}.get(case, "identity")
    assert (scale.link, scale.log_unit > 0) == (link, case == "log")
    assert case != "bounded" or scale.low == 0
    check_same(result, path, tmp_path)


@pytest.mark.parametrize("case", ["columns", "joined"])
def test_several_labels(case, replayed, tmp_path):
    frame, signal = messy_frame()
    flags = np.stack([signal > np.median(signal), frame["colour"] == "red", np.nan_to_num(frame["size"]) > 0], 1)
    frame = frame[["price", "size", "colour"]]
    names = ("b", "a", "c")
    if case == "columns":
        for i, name in enumerate(names):
            frame[name] = np.where(flags[:, i], "yes", "no")
        options = {"target": "b,a,c"}
    else:
        frame["label"] = ["|".join(name for name, there in zip(names, row, strict=True) if there) for row in flags]
        options = {"target": "label", "task": "multilabel"}
    path = csv_of(frame, tmp_path / "data.csv")
    result = replayed(
        path,
        options=options,
        **{"finish.thresholds": [0.3, 0.6, 0.5], "regularization.label_smoothing": 0.1, "finish.members": 2},
        **{"regularization.class_weights": 1.0},
    )
    assert result.info.task == "multilabel"
    check_same(result, path, tmp_path)


def test_files_of_splits_parquet_and_numbers_as_classes(replayed, tmp_path):
    frame, signal = messy_frame()
    frame["label"] = np.digitize(signal, np.quantile(signal, (0.3, 0.7))).astype(float)
    folder = tmp_path / "set"
    folder.mkdir()
    csv_of(frame[:180], folder / "train.csv.gz")
    csv_of(frame[180:], folder / "test.csv.gz")
    check_same(replayed(folder, "first", options={"task": "multiclass"}), folder, tmp_path)
    frame.to_parquet(tmp_path / "data.parquet")
    result = replayed(tmp_path / "data.parquet", "second", options={"group": "colour", "task": "multiclass"})
    assert result.info.classes == ("0", "1", "2")
    check_same(result, tmp_path / "data.parquet", tmp_path)


def test_classes_with_a_decimal_comma(replayed, tmp_path):
    frame, signal = messy_frame()
    frame["label"] = np.where(signal > np.median(signal), "1,5", "0,0")
    path = csv_of(frame[["size", "count", "label"]], tmp_path / "data.csv", sep=";")
    check_same(replayed(path, options={"task": "binary"}), path, tmp_path)


def test_later_rows_are_scored_where_the_run_did_so(replayed, tmp_path):
    frame, signal = messy_frame()
    frame["target"] = signal
    path = csv_of(frame, tmp_path / "data.tsv", sep="\t")
    check_same(replayed(path, options={"time": "day"}), path, tmp_path)


def pictures(folder, names):
    random = np.random.default_rng(0)
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (14 + i % 3, 12, 3), dtype=np.uint8)
        if i % 2:
            pixels[:6] //= 4
        image = Image.fromarray(pixels)
        if i % 5 == 0:
            image.putalpha(Image.fromarray(random.integers(0, 256, pixels.shape[:2], dtype=np.uint8)))
        image.save(folder / name)
    return folder


def test_a_folder_of_pictures(replayed, tmp_path):
    names = [f"{'odd' if i % 2 else 'even'}/{i:03}.png" for i in range(60)]
    folder = pictures(tmp_path / "photos", names)
    result = replayed(folder, **{"regularization.crop": 2})
    assert result.info.channels == 3
    check_same(result, folder, tmp_path, alone=True)


def test_folders_with_a_blank_at_the_end(replayed, tmp_path):
    names = [f"{'odd ' if i % 2 else 'even'}/{i:03}.png" for i in range(60)]
    folder = pictures(tmp_path / "photos", names)
    check_same(replayed(folder), folder, tmp_path)


def test_pictures_in_split_folders(replayed, tmp_path):
    names = [f"{'train' if i < 45 else 'test'}/{'odd' if i % 2 else 'even'}/{i:03}.png" for i in range(60)]
    folder = pictures(tmp_path / "photos", names)
    check_same(replayed(folder), folder, tmp_path)


@pytest.mark.parametrize("case", ["labels", "numbers"])
def test_pictures_with_a_label_file(case, replayed, tmp_path):
    names = [f"images/{i:03}.png" for i in range(60)]
    folder = pictures(tmp_path / "photos", names)
    said = [["a|b", "a"][i % 2] if case == "labels" else f"{i % 2 + i / 100}" for i in range(60)]
    rows = [f"{name.removeprefix('images/')},{what}" for name, what in zip(names, said, strict=True)]
    (folder / "labels.csv").write_text("\n".join(["File Name,label", *rows, ""]))
    result = replayed(folder, options={"task": "multilabel" if case == "labels" else "auto"})
    assert result.info.task == {"labels": "multilabel", "numbers": "regression"}[case]
    check_same(result, folder, tmp_path)


def test_data_from_python_comes_as_npz(replayed, tmp_path):
    random = np.random.default_rng(0)
    X, y = random.random((80, 9, 9)).astype(np.float32), random.integers(0, 2, 80)
    result = replayed((X, y), "images")
    refused = run_alone(write_script(result), "digits", folder=tmp_path)
    assert refused.returncode == 1
    assert "numpy.savez('data.npz', X=X, y=y)" in refused.stderr
    np.savez(tmp_path / "data.npz", X=X, y=y)
    check_same(result, tmp_path / "data.npz", tmp_path)
    X, y = random.normal(size=(80, 4)), random.normal(size=80)
    result = replayed((X, y), "table")
    np.savez(tmp_path / "data.npz", X=X, y=y)
    check_same(result, tmp_path / "data.npz", tmp_path)


def test_a_frame_with_texts_from_python_comes_as_npz(replayed, tmp_path):
    frame, signal = messy_frame()
    frame, y = frame[["colour", "size", "count"]], pd.Series(np.where(signal > np.median(signal), "high", "low"))
    result = replayed((frame, y), "frame")
    np.savez(tmp_path / "data.npz", X=frame, y=y)
    check_same(result, tmp_path / "data.npz", tmp_path)


def test_dropout_and_mixup_draw_their_own_numbers(replayed, tmp_path):
    result = replayed("digits", **{"regularization.dropout": 0.2, "regularization.mixup": 0.2, "training.steps": 200})
    text = write_script(result).read_text()
    assert "What is not as in the run" in text
    score = check_same(result, "digits", tmp_path, exact=False)
    assert score == pytest.approx(result.summary["scores"]["test"], abs=0.06)


EVERYTHING = {
    "optimizer.weight_decay": 0.1,
    "optimizer.clip_norm": 0.5,
    "finish.members": 3,
    "finish.temperature": 1.2,
    "training.precision": "bf16",
    "regularization.averaging": 0.2,
    "regularization.class_weights": 0.5,
    "regularization.label_smoothing": 0.1,
    "regularization.dropout": 0.1,
    "regularization.mixup": 0.2,
}
TABLE = {"network.embedding": "piecewise"}
IMAGES = {
    "network.stem_kernel": 5,
    "network.stem_stride": 2,
    "regularization.crop": 1,
    "regularization.flip": True,
    "regularization.erase": 0.2,
    "training.channels_last": True,
    "finish.shift_tta": 1,
    "finish.flip_tta": True,
}


@pytest.mark.parametrize("case", ["table", "typed", "image"])
def test_a_recipe_of_everything_stays_short(case, replayed, tmp_path):
    source, options, more = {"table": all_of_a_table, "typed": all_of_texts, "image": all_of_images}[case](tmp_path)
    result = replayed(source, options=options, **{**EVERYTHING, **more})
    lines = script_of(result).splitlines()
    assert len([line for line in lines if line]) < 290
    assert len(lines) < 315
    assert max(map(len, lines)) <= 120
    done = run_alone(write_script(result), source, folder=tmp_path)
    assert done.returncode == 0, done.stderr


def all_of_a_table(folder):
    frame, signal = messy_frame()
    frame["label"] = np.where(signal > np.median(signal), "a|b", "b")
    frame.loc[::3, "label"] = "a"
    options = {"task": "multilabel", "metric": "roc_auc"}
    return split_files(frame, folder), options, {**TABLE, "finish.thresholds": [0.3, 0.4]}


def all_of_texts(folder):
    frame, signal = messy_frame()
    frame["label"] = np.array(["1,5", "0,0", "2,5"])[np.digitize(signal, np.quantile(signal, (0.3, 0.7)))]
    options = {"task": "multiclass", "metric": "roc_auc_ovo_weighted"}
    return split_files(frame, folder), options, {**TABLE, "schedule.name": "cosine", "schedule.warmup": 0.1}


def split_files(frame, folder):
    (folder / "set").mkdir()
    csv_of(frame[:180], folder / "set" / "train.csv")
    csv_of(frame[180:], folder / "set" / "test.csv")
    return folder / "set"


def all_of_images(folder):
    names = [f"images/{i:03}.png" for i in range(60)]
    source = pictures(folder / "photos", names)
    Image.fromarray(np.arange(144, dtype=np.uint16).reshape(12, 12) * 400).save(source / names[0])
    rows = [f"{name},{'abc'[i % 3]}" for i, name in enumerate(names)]
    (source / "labels.csv").write_text("\n".join(["filename,label", *rows]))
    return source, {"metric": "roc_auc_ovo_weighted"}, IMAGES


def test_only_what_the_recipe_uses_is_in_it(replayed):
    text = script_of(replayed("iris"))
    for word in (
        "mixup",
        "averag",
        "dropout",
        "Conv2d",
        "clip_grad",
        "csv",
        "thresholds",
        "MEMBERS",
        "weights=",
        "PIL",
    ):
        assert word not in text, word


@pytest.fixture
def bare_python(tmp_path):
    """The Python of a virtual environment that has all that is installed here but autorecipe."""
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    places = sysconfig.get_paths("venv", {"base": str(folder), "platbase": str(folder)})
    for path in Path(torch.__file__).parent.parent.iterdir():
        if path.suffix != ".pth" and "autorecipe" not in path.name.lower():
            (Path(places["purelib"]) / path.name).symlink_to(path)
    return Path(places["scripts"]) / "python"


@pytest.mark.slow
def test_the_script_of_a_search_reaches_its_score_where_there_is_no_autorecipe(searched, bare_python, tmp_path):
    refused = run_python(bare_python, "-c", "import autorecipe", folder=tmp_path)
    assert "No module named 'autorecipe'" in refused.stderr
    result = load(searched(source="digits", budget="20s").path)
    done = run_python(bare_python, write_script(result), "digits", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    score, interval = result.summary["scores"]["test"], result.summary["score_interval"]
    assert interval["level"] == 0.9
    # Of all trainings one in ten lies outside of it, so a recipe with dropout would fail now and then: twice as wide it
    # holds 999 of 1,000.
    reach = 2 * max(abs(bound - score) for bound in interval["retraining"].values())
    assert printed_score(result, done.stdout) == pytest.approx(score, abs=reach)


@pytest.mark.slow
def test_other_data_and_missing_files_are_told_in_a_sentence(replayed, tmp_path):
    script = write_script(replayed("iris"))
    for words, said in (((), "name the data set"), (("wine",), "type python train.py iris")):
        done = run_alone(script, *words, folder=tmp_path)
        assert done.returncode == 1
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    alone = tmp_path / "elsewhere" / "train.py"
    alone.parent.mkdir()
    alone.write_text(script.read_text())
    done = run_alone(alone, "iris", folder=tmp_path)
    assert "preprocess.json" in done.stderr
    assert run_alone(alone, "iris", script.parent, folder=tmp_path).returncode == 0


def test_names_cannot_break_out_of_the_text(replayed, tmp_path):
    name = '""" + evil() + """ {{ 1 }}'
    frame = pd.DataFrame({"x": np.arange(60.0) % 7, name: ["a", "b"] * 30})
    path = csv_of(frame, tmp_path / 'a""" evil.csv')
    check_same(replayed(path, options={"target": name}), path, tmp_path)


def test_a_family_of_the_users_own_is_refused(replayed):
    result = replayed("iris")
    object.__setattr__(result, "recipe", replace(result.recipe, {"network.family": "own"}))
    with pytest.raises(InputError, match="your own family 'own'"):
        script_of(result)


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "regression"])
def test_each_metric_is_that_of_the_run(task):
    from autorecipe.outputs import script
    from autorecipe.recipe import Recipe
    from autorecipe.results import DatasetInfo, TargetScale
    from autorecipe.training.evaluate import score

    random = np.random.default_rng(0)
    classes = {"binary": ("a", "b"), "regression": ()}.get(task, ("a", "b", "c"))
    scale = TargetScale(log_unit=0.5, mean=0.2, std=1.5, low=0.0)
    count, thresholds = 60, {"binary": (0.4,), "multilabel": (0.3, 0.5, 0.6)}.get(task, ())
    outputs = random.normal(size=(count, max(1, len(classes))))
    targets = {
        "regression": random.random(count).astype(np.float32),
        "multilabel": (random.random((count, 3)) < 0.4).astype(np.float32),
    }.get(task, random.integers(0, max(1, len(classes)), count))
    recipe = replace(Recipe(), {"data.task": task, "finish.thresholds": list(thresholds)})
    for metric in (name for name, known in METRICS.items() if task in known.tasks):
        info = DatasetInfo("x", "table", task, "", metric, "", {}, classes=classes, target_scale=scale)
        facts = {
            "f": recipe.finish,
            "scale": scale,
            "regression": task == "regression",
            "multilabel": task == "multilabel",
            "outputs": info.num_outputs,
            "members": 1,
            **script._training_facts(recipe, info),
            **script._network_facts(recipe, info),
            **script._metric_facts(recipe, info),
        }
        code = script._environment().get_template("metric.py.j2").render(**facts)
        space = {"np": np, "MEAN": scale.mean, "STD": scale.std}
        exec(compile(code, metric, "exec"), space)
        found = space["score"](targets, outputs)
        assert found == pytest.approx(score(metric, targets, outputs, info, thresholds), rel=1e-6), metric
