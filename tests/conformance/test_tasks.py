"""Every task goes through a whole search: facts, trials, the final model, predictions, and a resumed run."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers import no_worker

from autorecipe.data import METRICS, TASKS, ReadOptions, load_dataset
from autorecipe.predictor import load
from autorecipe.rundir import read_json, read_lines
from autorecipe.search import baselines
from autorecipe.search.baseline_worker import fit_all
from autorecipe.search.baselines import collect, hand_over, work_folder
from autorecipe.search.space import data_fields
from autorecipe.training.evaluate import USUAL, predicted_values, score
from autorecipe.training.losses import loss_function

SMALL = {"budget": "24epochs", "max_width": 64, "max_depth": 3}


def example(kind, count=260):
    """X, y and the options of one data set."""
    random = np.random.default_rng(0)
    X = random.normal(size=(count, 3)).round(3)
    signal = X[:, 0] + 0.5 * X[:, 1] + 0.3 * random.normal(size=count)
    if kind == "binary":
        return X, np.where(signal > 0, "yes", "no"), {}
    if kind == "rare":
        return X, np.where(signal > 1.4, "yes", "no"), {"metric": "f1_macro"}
    if kind == "multiclass":
        return X, np.digitize(signal, (-0.6, 0.6)), {}
    if kind == "multilabel":
        return X, np.stack([signal > 1.2, signal < 0, X[:, 2] > 0.5], 1).astype(int), {}
    if kind == "regression":
        return X, 50 + 10 * signal, {}
    if kind == "bounded":
        return X, 1 / (1 + np.exp(-2 * signal)), {}
    if kind == "asked":
        return X, signal, {"range": "-6,6", "metric": "neg_mean_absolute_error"}
    if kind == "skewed":
        return X, np.exp(2 * signal), {}
    assert kind == "median"
    return X, np.exp(2 * signal), {"metric": "mae"}


KINDS = {
    "rare": "binary",
    "multiclass": "multiclass",
    "multilabel": "multilabel",
    "bounded": "regression",
    "skewed": "regression",
}
"""What is searched, and the task of each."""
READ = ("binary", "regression", "asked", "median", *KINDS)
"""What is read."""


def test_every_task_has_a_data_set_here():
    assert set(KINDS.values()) == set(TASKS)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A finished run of each kind."""
    from autorecipe.clock import parse_budget, start_clock
    from autorecipe.search.agent import run_search
    from autorecipe.search.settings import Settings

    patch = pytest.MonkeyPatch()
    patch.setattr(baselines, "start_worker", no_worker)
    done = {}

    def run(kind):
        if kind not in done:
            X, y, options = example(kind)
            settings = Settings(source=None, threads=1, **SMALL, **options)
            clock = start_clock(parse_budget(settings.budget), since_process_start=False)
            folder = tmp_path_factory.mktemp(kind) / "run"
            found = run_search(
                settings, folder, clock, source=(X, y), say=lambda kind, **facts: None, stop=lambda: None
            )
            done[kind] = SimpleNamespace(X=X, y=y, run=found, result=load(folder))
        return done[kind]

    yield run
    patch.undo()


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_ends_with_scores_of_every_usual_metric(kind, runs):
    found = runs(kind)
    summary = found.result.summary
    assert (summary["status"], summary["task"]) == ("complete", KINDS[kind])
    assert summary["metric"] in METRICS
    assert summary["direction"] == ("maximize" if METRICS[summary["metric"]].higher else "minimize")
    assert set(summary["metrics"]["test"]) == set(USUAL[KINDS[kind]])
    assert np.isfinite([*summary["metrics"]["test"].values(), summary["scores"]["test"]]).all()
    assert found.result.decisions
    assert {row["state"] for row in read_lines(found.run.trials)} <= {"complete", "pruned"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_saved_model_scores_what_the_summary_says(kind, runs):
    found = runs(kind)
    result, info = found.result, found.result.info
    options = ReadOptions(task=info.task, metric=info.metric, range=result.recipe.data.range)
    dataset = load_dataset((found.X, found.y), options)
    test = dataset.splits.test
    outputs = result.outputs(found.X)[1][test]
    value = score(info.metric, dataset.targets.numpy()[test], outputs, info, result.recipe.finish.thresholds)
    assert value == pytest.approx(result.summary["scores"]["test"], abs=1e-6)
    assert dataset.info.target_scale == info.target_scale


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_in_the_users_terms(kind, runs):
    found = runs(kind)
    result, info = found.result, found.result.info
    said, table = result.predict(found.X), result.predict_table(found.X)
    assert list(table.columns) == ["row", "prediction", *(f"probability.{name}" for name in info.classes)]
    if info.task == "regression":
        assert said.dtype == np.float64
        scale = info.target_scale
        assert said.min() >= (-np.inf if scale.low is None else scale.low)
        assert said.max() <= (np.inf if scale.high is None else scale.high)
        assert np.corrcoef(said, found.y)[0, 1] > 0.3
        return
    chances = result.predict_proba(found.X)
    assert table.iloc[:, 2:].to_numpy() == pytest.approx(chances)
    if info.task == "multilabel":
        assert info.classes == ("label0", "label1", "label2")
        assert said.shape == chances.shape == found.y.shape
        assert set(np.unique(said)) <= {0, 1}
        names = ["|".join(name for name, yes in zip(info.classes, row, strict=True) if yes) for row in said]
        assert table["prediction"].tolist() == names
        thresholds = result.recipe.finish.thresholds or (0.5,) * 3
        assert ((chances >= thresholds) == said).all()
        assert np.mean(said == found.y) > 0.7
    else:
        assert chances.sum(1) == pytest.approx(np.ones(len(said)))
        assert set(said) <= set(info.classes)
        assert np.mean(said == found.y.astype(str)) > 0.6


def read(kind):
    X, y, options = example(kind)
    return load_dataset((X, y), ReadOptions(**options))


@pytest.mark.parametrize(
    ("kind", "metric", "link", "word"),
    [
        ("binary", "accuracy", "identity", "default"),
        ("rare", "macro_f1", "identity", "as asked: 'f1_macro'"),
        ("multiclass", "accuracy", "identity", "default"),
        ("multilabel", "micro_f1", "identity", "labels"),
        ("regression", "rmse", "identity", "default"),
        ("bounded", "rmse", "sigmoid", "default"),
        ("asked", "mae", "sigmoid", "as asked"),
        ("skewed", "rmse", "exp", "default"),
        ("median", "mae", "identity", "as asked"),
    ],
)
def test_metric_and_scale_are_found_and_told(kind, metric, link, word):
    info = read(kind).info
    assert (info.metric, info.target_scale.link) == (metric, link)
    assert word in info.metric_reason
    ranges = {"bounded": "0.0,1.0", "asked": "-6.0,6.0", "skewed": "none", "median": "none", "regression": "none"}
    assert data_fields(info)["data.range"] == ranges.get(kind, "auto")
    assert (info.target_scale.log_unit > 0) == (kind == "median")


@pytest.mark.parametrize("kind", ["bounded", "skewed"])
def test_the_scale_is_plain_data_in_the_run(kind, runs):
    found = runs(kind)
    stored = read_json(found.run.preprocess)
    assert stored["preprocess"]["target_scale"] == stored["info"]["target_scale"]
    assert stored["info"]["target_scale"]["link"] == found.result.info.target_scale.link != "identity"


@pytest.mark.parametrize("kind", ["multilabel", "skewed", "rare"])
def test_a_finished_run_goes_on(kind, runs, resumed, tmp_path):
    import shutil

    found = runs(kind)
    copy = shutil.copytree(found.run.path, tmp_path / "copy")
    again = resumed(copy, "+4epochs", data=(found.X, found.y))
    summary = read_json(again.run.summary)
    assert summary["status"] == "complete"
    assert summary["task"] == KINDS[kind]
    assert np.isfinite(summary["scores"]["test"])
    assert load(copy).predict(found.X).shape == found.result.predict(found.X).shape
    assert len(load(copy).recipe.finish.thresholds) in (0, {"multilabel": 3, "rare": 1}.get(kind, 0))


@pytest.mark.parametrize("kind", READ)
def test_baselines_are_scored_like_networks(kind):
    dataset = read(kind)
    info, folder = dataset.info, work_folder()
    written = []
    worker = SimpleNamespace(stdin=SimpleNamespace(write=written.append, flush=lambda: None))
    hand_over(worker, dataset, folder, 0)
    fit_all(json.loads(written[0]))
    found = {b.name: b for b in collect(None, folder)}
    first = "mean" if info.task == "regression" else "majority"
    assert set(found) >= {first, "linear"}
    targets = dataset.targets.numpy()[dataset.splits.val]
    scores = {name: score("log_loss" if info.classes else "rmse", targets, b.val, info) for name, b in found.items()}
    assert scores["linear"] < scores[first] or info.target_scale.link == "exp"  # no linear model can do that
    assert found["linear"].val.shape == (len(targets), info.num_outputs)
    if info.task == "multilabel":
        assert len(np.unique(found["majority"].val, axis=0)) == 1
    if info.target_scale.high is not None:
        assert predicted_values(100 * found["linear"].val, info).max() <= info.target_scale.high


def test_labels_joined_in_a_column_are_a_task_when_asked_for(tmp_path):
    X, y, _ = example("multilabel")
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame["tags"] = ["|".join(name for name, yes in zip(("x", "y", "10"), row, strict=True) if yes) for row in y]
    frame.to_csv(tmp_path / "t.csv", index=False)
    data = load_dataset(str(tmp_path / "t.csv"), ReadOptions(target="tags", task="multilabel"))
    assert data.info.classes == ("10", "x", "y")
    assert data.targets.tolist() == y[:, [2, 0, 1]].astype(float).tolist()
    none = int((y.sum(1) == 0).sum())
    assert [f.found for f in data.info.findings if f.kind == "no_labels"] == [f"{none} of 260 examples have no label"]
    again = load_dataset((frame[["a", "b", "c"]], pd.DataFrame(y, columns=["x", "y", "10"])), ReadOptions())
    assert again.info.classes == ("x", "y", "10")
    assert again.targets.tolist() == y.astype(float).tolist()


def test_images_may_have_labels_too():
    from helpers import small_digits

    X, y = small_digits(120)
    data = load_dataset((X, np.stack([y % 2 == 0, y > 4, y == 3], 1)), ReadOptions())
    assert (data.info.task, data.info.num_outputs, tuple(data.targets.shape)) == ("multilabel", 3, (120, 3))
    assert "3 columns of 0 and 1" in data.info.task_reason


def test_every_split_has_its_share_of_rare_labels():
    random = np.random.default_rng(1)
    y = (random.random((2000, 4)) < (0.6, 0.3, 0.05, 0.02)).astype(int)
    data = load_dataset((random.normal(size=(2000, 2)), y), ReadOptions())
    for split in ("train", "val", "test"):
        share = data.targets[getattr(data.splits, split)].mean(0).numpy()
        assert share == pytest.approx(y.mean(0), rel=0.35)


def test_the_loss_at_the_start_is_that_of_the_task(runs):
    """A network whose last layer says nothing has the loss of guessing: for labels that of a coin."""
    import torch

    info = runs("multilabel").result.info
    assert float(loss_function(torch.zeros(4, 3), torch.ones(4, 3), info)) == pytest.approx(np.log(2), rel=1e-5)
