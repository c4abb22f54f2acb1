"""Whole searches on real tables, with budgets in epochs: small, and the same every time."""

import shutil
from dataclasses import replace as replace_record
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import Heard, go_on

from autorecipe.clock import parse_budget, start_clock
from autorecipe.data.modality import Splits
from autorecipe.errors import CheckFailed, InputError, Stopped
from autorecipe.predictor import load
from autorecipe.recipe import Recipe, dump_yaml, load_recipe, load_yaml, replace
from autorecipe.rundir import open_run, read_json, read_lines, write_json, write_text
from autorecipe.search import agent, finish, question, trials
from autorecipe.search import stages as stages_of
from autorecipe.search.checksums import changed_files
from autorecipe.search.finish import final_splits
from autorecipe.search.replay import replay_recipe
from autorecipe.search.settings import Settings, check_settings, checked_settings
from autorecipe.search.summary import keeps_confirm
from autorecipe.training.loop import Diverged, OutOfMemory

SMALL = {"budget": "100epochs", "max_width": 128, "max_depth": 3}
FILES = {
    "settings.json",
    "checksums.json",
    "summary.json",
    "decisions.json",
    "recipe.yaml",
    "model.safetensors",
    "preprocess.json",
    "splits.json",
    "trials.jsonl",
    "recipes",
    "study.journal",
    "state.json",
    "log.jsonl",
    "artifacts",
    ".lock",
}
SUMMARY = {
    "accounts",
    "best",
    "format",
    "status",
    "name",
    "dataset",
    "task",
    "metric",
    "direction",
    "scores",
    "score_interval",
    "identity",
    "confirm_kind",
    "metrics",
    "baselines",
    "checks",
    "network",
    "num_params",
    "weights_sha256",
    "recipe_digest",
    "data_digest",
    "environment",
    "hardware",
    "budget",
    "test_reads",
}
DECISION = {
    "expected",
    "stage",
    "question",
    "incumbent",
    "candidates",
    "candidate",
    "chosen",
    "study",
    "trials",
    "effect",
    "standard_error",
    "interval",
    "p_better",
    "judged_by",
    "looks",
    "losses",
    "loss_interval",
    "example_variance",
    "steps",
    "loss_example_variance",
    "parts",
    "overlap",
    "num_examples",
    "num_seeds",
    "scores",
    "held_out",
    "candidate_score",
    "seconds",
    "verdict",
    "reason",
    "diagnosis",
    "next_stage",
    "num_params",
}
TRIAL = {"study", "number", "recipe", "state", "score", "loss", "rungs", "steps", "seconds", "reason", "reused"}
VERDICTS = {
    "adopted",
    "adopted on the prior: not decided",
    "adopted on the prior: worse in short trials",
    "rejected",
    "tie: kept the smaller",
    "not decided: kept the smaller",
    "kept on the prior: the gain is not expected to last",
}


class StopAfter:
    """Raises Stopped some calls after so many trials have ended, and ever after."""

    def __init__(self, trials_file, trials, calls=3):
        self.file, self.trials, self.calls = trials_file, trials, calls

    def __call__(self):
        if len(read_lines(self.file)) >= self.trials:
            self.calls -= 1
            if self.calls <= 0:
                raise Stopped("by the test")


def check_trials(run):
    rows = read_lines(run.trials)
    keys = [(row["study"], row["number"]) for row in rows]
    assert len(keys) == len(set(keys))
    assert all(set(row) == TRIAL for row in rows)
    return rows


def essence(run):
    """What must be the same in two runs of one seed: everything but times."""
    rows = read_json(run.decisions)
    for row in rows:
        del row["seconds"]
    summary = read_json(run.summary)
    return rows, summary["scores"], summary["recipe_digest"], summary["weights_sha256"]


def test_a_run_leaves_what_the_document_says(searched):
    found = searched(**SMALL)
    run = found.run
    assert {p.name for p in found.path.iterdir()} == FILES
    summary = read_json(run.summary)
    assert set(summary) == SUMMARY
    assert set(summary["scores"]) == {"search", "confirm", "test"}
    assert set(summary["metrics"]["test"]) == {"accuracy", "log_loss", "macro_f1", "roc_auc"}
    spending = {"spent_seconds", "spent_epochs", "by_stage", "receipt"}
    assert set(summary["budget"]) == {"given", "seconds", "epochs", *spending}
    assert (summary["status"], summary["task"], summary["metric"], summary["direction"]) == (
        "complete",
        "multiclass",
        "accuracy",
        "maximize",
    )
    assert summary["confirm_kind"] == "cross-validated"
    assert summary["test_reads"] == 1
    assert summary["recipe_digest"] == load_recipe(run.recipe).digest
    assert 0 < summary["budget"]["spent_epochs"] <= 1.02 * 100 + 2
    decisions = read_json(run.decisions)
    assert len(decisions) >= 2
    for row in decisions:
        assert set(row) == DECISION
        assert len({row["incumbent"], *row["candidates"]}) >= 3  # two alternatives beside the incumbent's own
        assert row["verdict"] in VERDICTS
        assert row["chosen"] in (row["incumbent"], row["candidate"])
        for digest in (row["incumbent"], row["candidate"], *row["candidates"]):
            assert run.load_recipe(digest).digest == digest
        if row["effect"] is not None:
            means = {who: np.mean(values) for who, values in row["scores"].items()}
            assert row["effect"] == pytest.approx(means["candidate"] - means["incumbent"])
            assert row["num_seeds"] >= 2
    rows = check_trials(run)
    assert {row["study"] for row in rows} == {row["study"] for row in decisions}
    assert {(row["study"], n) for row in decisions for n in row["trials"]} == {(r["study"], r["number"]) for r in rows}
    splits = read_json(run.splits)
    assert sorted(int(n) for s in ("train", "val", "confirm", "test") for n in splits[s]) == list(range(150))
    events = [row["event"] for row in read_lines(run.log)]
    assert {"start", "data", "plan", "question", "trial", "decision", "finish", "result"} <= set(events)
    # The model on disk is the one that was scored.
    result = load(found.path)
    test = [int(n) for n in splits["test"]]
    from sklearn.datasets import load_iris

    X, y = load_iris(as_frame=True, return_X_y=True)
    names = load_iris().target_names[y.iloc[test]]
    said = result.predict(X.iloc[test])
    right = np.mean([a in (b, str(c)) for a, b, c in zip(said, names, y.iloc[test], strict=True)])
    assert right == pytest.approx(summary["scores"]["test"])
    assert summary["scores"]["test"] > 0.8


def test_the_same_seed_twice(searched):
    first, second = (searched(name, budget="40epochs", max_width=128, max_depth=3) for name in ("a", "b"))
    assert essence(first.run)[1:] == essence(second.run)[1:]
    rename = {row["study"].split("/")[-1] for row in essence(first.run)[0]}
    assert rename == {row["study"].split("/")[-1] for row in essence(second.run)[0]}
    for a, b in zip(essence(first.run)[0], essence(second.run)[0], strict=True):
        assert {k: v for k, v in a.items() if k != "study"} == {k: v for k, v in b.items() if k != "study"}


def test_another_seed_splits_otherwise(searched):
    one, other = (searched(f"s{seed}", budget="6epochs", max_width=64, max_depth=3, seed=seed) for seed in (0, 1))
    assert read_json(one.run.splits) != read_json(other.run.splits)


@pytest.mark.parametrize("source", ["diabetes", pytest.param("breast_cancer", marks=pytest.mark.slow)])
def test_other_tasks_run_to_the_end(searched, source):
    found = searched(source=source, budget="30epochs", max_width=128, max_depth=3)
    summary = read_json(found.run.summary)
    assert summary["status"] == "complete"
    assert summary["task"] == {"diabetes": "regression", "breast_cancer": "binary"}[source]
    names = {"rmse", "mae", "r2"} if source == "diabetes" else {"accuracy", "log_loss", "macro_f1", "roc_auc"}
    assert set(summary["metrics"]["test"]) == names
    assert summary["direction"] == ("minimize" if source == "diabetes" else "maximize")


@pytest.mark.parametrize(
    ("ended", "calls"), [pytest.param(0, 3, marks=pytest.mark.slow), pytest.param(2, 5, marks=pytest.mark.slow), (9, 2)]
)
def test_a_stopped_run_is_finished_later(searched, resumed, tmp_path, ended, calls):
    """Stopped in the checks, in the first question, and in a later one; no trial is trained twice."""
    stop = StopAfter(tmp_path / "run" / "trials.jsonl", ended, calls)
    with pytest.raises(Stopped):
        searched(stop=stop, **SMALL)
    run = open_run(tmp_path / "run")
    before = read_lines(run.trials)
    assert len(before) >= ended
    if run.summary.exists():
        assert read_json(run.summary)["status"] == "interrupted"
        assert load(run.path).predict(np.zeros((2, 4))).shape == (2,)
    found = resumed(run.path)
    rows = check_trials(found.run)
    assert rows[: len(before)] == before
    assert read_json(run.summary)["status"] == "complete"
    assert all(len({row["incumbent"], *row["candidates"]}) >= 2 for row in read_json(run.decisions))


def test_a_journal_that_was_cut_is_mended(searched, resumed, tmp_path):
    with pytest.raises(Stopped):
        searched(stop=StopAfter(tmp_path / "run" / "trials.jsonl", 3), **SMALL)
    run = open_run(tmp_path / "run")
    assert read_lines(run.trials)
    data = run.journal.read_bytes()
    run.journal.write_bytes(data[:-7])
    found = resumed(run.path)
    check_trials(found.run)
    assert read_json(run.summary)["status"] == "complete"


def test_a_trial_killed_before_it_was_written_down_is_added(searched, resumed, tmp_path):
    with pytest.raises(Stopped):
        searched(stop=StopAfter(tmp_path / "run" / "trials.jsonl", 3), **SMALL)
    run = open_run(tmp_path / "run")
    before = read_lines(run.trials)
    run.trials.write_text("".join(run.trials.read_text().splitlines(keepends=True)[:-1]))
    found = resumed(run.path)
    check_trials(found.run)
    after = read_lines(run.trials)
    lost = before[-1]
    (again,) = [row for row in after if (row["study"], row["number"]) == (lost["study"], lost["number"])]
    assert (again["recipe"], again["state"], again["score"]) == (lost["recipe"], lost["state"], lost["score"])


def test_two_runs_of_one_name_do_not_share_a_storage(searched, tmp_path):
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    with pytest.raises(Stopped):
        searched(stop=StopAfter(tmp_path / "run" / "trials.jsonl", 1), storage=url, **SMALL)
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="storage holds studies"):
        searched(storage=url, **SMALL)


def test_a_finished_run_wants_more_budget(searched, resumed):
    found = searched(budget="6epochs", max_width=64)
    with pytest.raises(InputError, match=r"--budget \+20epochs"):
        resumed(found.path)
    with pytest.raises(InputError, match=r"same kind.*--budget \+20epochs"):
        resumed(found.path, "+5m")
    before = read_json(found.run.summary)["budget"]
    write_json(found.run.state, {**read_json(found.run.state), "finish_steps": 7, "finish_members": 7})
    more = resumed(found.path, "+3epochs")
    state = read_json(more.run.state)
    assert 7 not in (state["finish_steps"], state["finish_members"])  # they were asked for a shorter finish
    after = read_json(more.run.summary)
    assert after["status"] == "complete"
    assert after["budget"]["epochs"] == pytest.approx(before["spent_epochs"] + 3)
    assert after["budget"]["spent_epochs"] > before["spent_epochs"]
    assert read_json(found.run.settings)["budget"].endswith("epochs")
    check_trials(more.run)


def test_a_finished_run_that_is_resumed_and_stopped_keeps_its_result(searched, resumed):
    found = searched(**SMALL)
    before = read_json(found.run.summary)
    assert before["accounts"]["fresh_seeds"] is not None

    def stop():
        if not found.run.checksums.exists():  # it has begun to go on
            raise Stopped("by the test")

    with pytest.raises(Stopped):
        resumed(found.path, "+20epochs", stop=stop)
    after = read_json(found.run.summary)
    assert after.pop("status") == "interrupted"
    assert after["test_reads"] == 1
    assert after.pop("budget")["spent_epochs"] >= before.pop("budget")["spent_epochs"]
    assert after == {name: value for name, value in before.items() if name != "status"}
    assert changed_files(found.run)[1] == []
    assert load(found.path).summary["scores"] == before["scores"]


def test_more_time_outlives_a_kill(searched, resumed):
    """A finished run with more budget that is killed has that budget left."""
    found = searched(budget="6epochs", max_width=64)

    def killed():
        if read_json(found.run.state)["spent_epochs"] > 0 and found.run.checksums.exists() is False:
            raise RuntimeError("killed by the test")

    with pytest.raises(RuntimeError, match="killed"):
        resumed(found.path, "+20epochs", stop=killed)
    assert read_json(found.run.summary)["status"] == "interrupted"
    more = resumed(found.path)
    budget = read_json(more.run.summary)["budget"]
    assert read_json(more.run.summary)["status"] == "complete"
    assert budget["epochs"] == pytest.approx(26, abs=6)
    assert budget["spent_epochs"] > 10


@pytest.mark.parametrize(("finish", "anew"), [(50.0, False), (60.0, True)])
def test_more_seconds_make_the_last_diagnosis_anew(finish, anew):
    decisions = [SimpleNamespace(diagnosis=f"fitting: reason {k}") for k in range(3)]
    bench = SimpleNamespace(state=SimpleNamespace(plan={"finish": 50.0}))

    def recorded(recalled):
        progress = SimpleNamespace(decisions=decisions[:recalled])
        return agent._recorded(bench, progress, decisions, SimpleNamespace(finish=finish))

    assert recorded(1) == ("fitting", "reason 0")
    assert recorded(2) == ("fitting", "reason 1")
    assert recorded(3) == (None if anew else ("fitting", "reason 2"))


def test_a_replay_is_not_resumed(searched, resumed, tmp_path):
    """It would become a search of as many epochs as the recipe has steps."""
    found = searched(budget="6epochs", max_width=64)
    clock = start_clock(parse_budget("6epochs"), since_process_start=False)
    again = replay_recipe(
        load_recipe(found.run.recipe), "iris", tmp_path / "again", clock, device="cpu", say=Heard(), stop=go_on
    )
    for more in (None, "+5m", "+6epochs"):
        with pytest.raises(InputError, match="is a replay"):
            resumed(again.path, more)
    assert read_json(again.summary)["status"] == "complete"


def test_resume_goes_the_way_that_was_gone(searched, resumed, monkeypatch):
    """Whatever would be said today of a stage that is over: a longer finish may make another diagnosis."""
    monkeypatch.setattr(agent, "diagnose", lambda *_: (stages_of.FITTING, "so says the test"))
    found = searched(**SMALL)
    before = read_json(found.run.decisions)
    stages = [row["stage"] for row in before]
    assert "width" in stages, "a diagnosis that leaves it out must matter"
    monkeypatch.setattr(agent, "diagnose", lambda *_: (stages_of.OVERFITTING, "so says the test"))
    saved = []
    real = agent.save_decisions
    monkeypatch.setattr(agent, "save_decisions", lambda run, rows: (saved.append(len(rows)), real(run, rows)))
    resumed(found.path, "+20epochs")
    after = read_json(found.run.decisions)
    last = {"diagnosis", "next_stage"}  # of the last one there is more time now
    assert after[: len(before) - 1] == before[:-1]
    assert {k: v for k, v in after[len(before) - 1].items() if k not in last} == {
        k: v for k, v in before[-1].items() if k not in last
    }
    assert all(count >= len(before) for count in saved), "a kill in between would lose decisions"


def test_a_shorter_final_training_does_not_replace_a_longer_one(searched, resumed):
    """A finished run that is given a little more budget keeps the better model, and says so."""
    found = searched(budget="40epochs", max_width=64, max_depth=3)
    weights, recipe = found.run.weights.read_bytes(), found.run.recipe.read_text()
    more = resumed(found.path, "+1epochs")
    assert any("it stays" in event["text"] for event in more.heard.of("note"))
    assert (found.run.weights.read_bytes(), found.run.recipe.read_text()) == (weights, recipe)
    summary = read_json(more.run.summary)
    assert (summary["status"], summary["recipe_digest"]) == ("complete", load_recipe(found.run.recipe).digest)
    longer = resumed(found.path, "+60epochs")
    assert longer.run.recipe.read_text() != recipe


@pytest.mark.parametrize(("train_on", "saved"), [("train", True), ("train+val", False), ("train+val+confirm", False)])
def test_no_trial_replaces_a_final_model(monkeypatch, tmp_path, train_on, saved):
    """A finished run that is given more time keeps its model until a final training has ended."""
    wrote = []
    monkeypatch.setattr(question, "save_weights", lambda *_: wrote.append("weights"))
    monkeypatch.setattr(question, "write_summary", lambda *_: None)
    write_text(tmp_path / "recipe.yaml", dump_yaml(replace(Recipe(), {"training.train_on": train_on})))
    bench = SimpleNamespace(
        run=SimpleNamespace(recipe=tmp_path / "recipe.yaml", weights=tmp_path / "weights"),
        state=SimpleNamespace(best_score=None),
        say=lambda *_, **__: None,
    )
    result = SimpleNamespace(score=0.9)
    question._save_if_best(bench, Recipe(), result, SimpleNamespace(readable=None))
    assert bool(wrote) == saved


def test_other_data_is_not_resumed(searched, resumed, tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(size=(80, 3))
    y = np.where(x[:, 0] > 0, "a", "b")
    found = searched(data=(x, y), budget="6epochs", max_width=64)
    with pytest.raises(InputError, match="from Python"):
        resumed(found.path, "+3epochs")
    with pytest.raises(InputError, match="data has changed"):
        resumed(found.path, "+3epochs", data=(x + 1, y))
    assert read_json(resumed(found.path, "+3epochs", data=(x, y)).run.summary)["status"] == "complete"


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (Diverged("not finite"), "diverged"),
        pytest.param(OutOfMemory("too large"), "out_of_memory", marks=pytest.mark.slow),
    ],
)
def test_a_trial_that_fails_is_told_and_the_search_goes_on(searched, monkeypatch, error, state):
    calls = []
    real = trials.train

    def sometimes(*args, **more):
        calls.append(1)
        if len(calls) in (2, 4):
            raise error
        return (yield from real(*args, **more))

    monkeypatch.setattr(trials, "train", sometimes)
    found = searched(budget="60epochs", max_width=64, max_depth=3, cohorts=False)
    assert read_json(found.run.summary)["status"] == "complete"
    failed = [row for row in check_trials(found.run) if row["state"] == state]
    assert failed
    assert all(row["reason"] and row["score"] is None and not row["rungs"] for row in failed)
    import optuna

    from autorecipe.search.studies import open_storage

    study = optuna.load_study(study_name=failed[0]["study"], storage=open_storage(found.run, None))
    trial = study.trials[failed[0]["number"]]
    assert trial.state == optuna.trial.TrialState.PRUNED
    assert trial.intermediate_values == {}
    assert str(error) in trial.user_attrs["reason"]


def test_it_starts_from_a_recipe(searched, tmp_path):
    first = searched("first", budget="6epochs", max_width=64)
    recipe = replace(load_recipe(first.run.recipe), {"network.width": 32, "network.blocks": [{"width": 32}] * 2})
    write_text(tmp_path / "mine.yaml", dump_yaml(recipe))
    found = searched("second", budget="40epochs", max_width=32, from_recipe=str(tmp_path / "mine.yaml"))
    network = found.run.load_recipe(read_json(found.run.decisions)[0]["incumbent"]).network
    assert network.width == 32
    assert [b.width for b in network.blocks] == [32, 32]
    with pytest.raises(InputError, match=r"mine\.yaml is for multiclass"):
        searched("third", source="diabetes", budget="6epochs", from_recipe=str(tmp_path / "mine.yaml"))


def test_a_folder_that_holds_something_is_not_written_over(searched, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("important")
    with pytest.raises(InputError, match="not empty"):
        searched(budget="6epochs")
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def test_a_batch_that_cannot_be_overfitted_stops_the_search(searched):
    x = np.tile([[1.0, 2.0], [1.0, 3.0]], (60, 1))
    y = np.random.default_rng(0).choice(["a", "b"], 120)
    with pytest.raises(CheckFailed, match="--force"):
        searched(data=(x, y), budget="6epochs", max_width=64)


@pytest.mark.slow
def test_force_goes_on_all_the_same(searched):
    x = np.tile([[1.0, 2.0], [1.0, 3.0]], (60, 1))
    y = np.random.default_rng(0).choice(["a", "b"], 120)
    found = searched("forced", data=(x, y), budget="6epochs", max_width=64, force=True)
    assert read_json(found.run.summary)["status"] == "complete"


def test_the_best_model_lies_on_disk_from_the_first_finished_trial_on(searched, monkeypatch, tmp_path):
    real = question._save_if_best

    def stop_after(*args):
        real(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(question, "_save_if_best", stop_after)
    with pytest.raises(KeyboardInterrupt):
        searched(**SMALL)
    result = load(tmp_path / "run")
    assert result.summary["status"] == "interrupted"
    assert result.summary["scores"]["test"] is not None
    assert result.predict(np.zeros((3, 4))).shape == (3,)


@pytest.mark.parametrize(("longer", "kept"), [(False, "train"), (True, "train+val")])
def test_a_final_training_stopped_early_does_not_replace_a_better_trained_model(
    searched, resumed, monkeypatch, tmp_path, longer, kept
):
    """Without a confirm split nothing could tell a network of one step from the search's best."""
    run = tmp_path / "run"
    real = finish.train

    def stopped(session, *args, **more):
        last = load_recipe(run / "recipe.yaml").training.steps + 1 if longer else 1
        for look in real(session, *args, **{**more, "look_seconds": 0.0}):
            yield look
            if session.step >= last:
                raise Stopped("by the test")

    with monkeypatch.context() as patch:
        patch.setattr(finish, "train", stopped)
        with pytest.raises(Stopped):
            searched(budget="40epochs", max_width=64, max_depth=3)
    assert load_recipe(run / "recipe.yaml").training.train_on == kept
    assert load(run).summary["status"] == "interrupted"
    assert load(run).predict(np.zeros((2, 4))).shape == (2,)
    if longer:
        assert read_json(resumed(run).run.summary)["status"] == "complete"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"max_width": 0}, "--max-width 0"),
        ({"max_params": -1}, "--max-params -1"),
        ({"reserve": 0.95}, "--reserve"),
        ({"seed": -1}, "--seed -1"),
        ({"from_recipe": "none.yaml"}, "cannot be read"),
    ],
)
def test_settings_that_cannot_work(values, words):
    with pytest.raises(InputError, match=words):
        check_settings(checked_settings(Settings, {"source": "iris", **values}))


def test_unknown_settings_get_a_suggestion():
    with pytest.raises(InputError, match="did you mean 'max_width'"):
        checked_settings(Settings, {"source": "iris", "max_widht": 3})


def test_a_damaged_state_or_settings_is_an_input_error(searched, resumed, tmp_path):
    found = searched(budget="6epochs", max_width=64)
    for name in ("settings.json", "state.json", "decisions.json"):
        copy = tmp_path / f"copy-{name}"
        shutil.copytree(found.path, copy)
        (copy / name).write_text("{")
        with pytest.raises(InputError, match="damaged"):
            resumed(copy, "+3epochs")


def test_budgets_add_up():
    from autorecipe.search.settings import add_budget
    from autorecipe.search.workbench import State

    state = State(spent_seconds=40.0, spent_epochs=7.0)
    assert add_budget(parse_budget("60s"), parse_budget("+30s"), state, finished=False).seconds == 90
    assert add_budget(parse_budget("60s"), parse_budget("+30s"), state, finished=True).seconds == 70
    assert add_budget(parse_budget("9epochs"), parse_budget("3epochs"), state, finished=True).epochs == 10


def test_a_budget_of_a_few_steps_is_for_the_finish(searched):
    done = searched(budget="4epochs", checks=False, baselines=False)
    assert load(done.path).decisions == []
    assert load(done.path).recipe.training.steps == 4 * 96 // 16
    assert not open_run(done.path).checks.exists()
    assert read_json(open_run(done.path).summary)["checks"] == []


def test_without_baselines_no_process_is_started(monkeypatch, tmp_path):
    import autorecipe
    from autorecipe.search import baselines

    monkeypatch.setattr(baselines, "start_worker", lambda: pytest.fail("a process was started"))
    result = autorecipe.search("iris", "2epochs", out=tmp_path / "run", checks=False, baselines=False, threads=1)
    assert result.summary["baselines"] == {}


@pytest.mark.parametrize(
    ("task", "ordered", "confirm", "wanted"),
    [
        ("regression", True, 2, "train+val+confirm"),
        ("regression", True, 0, "train+val"),
        ("regression", False, 2, "train+val"),
        ("multiclass", True, 2, "train+val"),
    ],
)
def test_what_the_final_model_trains_on(task, ordered, confirm, wanted):
    """With a confirm split, in the order of time, a regression takes the latest examples too."""
    rows = np.arange(10)
    order = rows if ordered else None
    splits = Splits(rows[:4], rows[4:6], rows[6 : 6 + confirm], rows[8:], (), order)
    bench = SimpleNamespace(dataset=SimpleNamespace(splits=splits, info=SimpleNamespace(task=task)))
    assert final_splits(bench) == wanted
    assert splits.rows(wanted).tolist() == [*range(6), *(range(6, 6 + confirm) if "confirm" in wanted else ())]
    recipe = load_yaml(dump_yaml(replace(Recipe(), {"training.train_on": wanted})))
    assert keeps_confirm(bench, recipe) == (confirm > 0 and "confirm" not in wanted)
    assert load_yaml(dump_yaml(recipe)) == recipe  # `predict`, `replay` and `resume` read it


@pytest.mark.slow
def test_the_latest_examples_are_trained_on_in_the_end(searched, tmp_path):
    """In the order of time a regression's final model trains on confirm too; its score there is the search's."""
    random = np.random.default_rng(0)
    x = np.sort(random.uniform(0, 1, 6400))
    lines = [
        f"{moment:.6f},{3 * moment + 0.1 * noise:.4f}"
        for moment, noise in zip(x, random.normal(size=6400), strict=True)
    ]
    (tmp_path / "table.csv").write_text("\n".join(["moment,y", *lines]))
    found = searched(
        source=str(tmp_path / "table.csv"), target="y", time="moment", budget="6epochs", max_width=64, max_depth=3
    )
    summary = read_json(found.run.summary)
    assert load_recipe(found.run.recipe).training.train_on == "train+val+confirm"
    assert summary["confirm_kind"] == "held out in the search, then trained on"
    replayed = replay_recipe(
        load_recipe(found.run.recipe),
        str(tmp_path / "table.csv"),
        tmp_path / "again",
        start_clock(parse_budget("60s"), since_process_start=False),
        say=lambda *_, **__: None,
        stop=lambda: None,
    )
    again = read_json(replayed.summary)
    assert again["scores"]["confirm"] is None
    assert again["scores"]["test"] == pytest.approx(summary["scores"]["test"], rel=0.05)


@pytest.mark.slow
def test_several_networks_of_images_are_trained_at_the_end(searched, monkeypatch):
    """With whatever memory layout is fastest: a whole run, to its score."""

    asked = []

    def several(bench, recipe, shape, seconds):
        asked.append(seconds)
        return replace_record(shape, members=8)

    monkeypatch.setattr(finish, "at_once_in", several)
    monkeypatch.setattr(finish.planner, "members_of_finish", lambda *a: 3)
    found = searched(source="digits", budget="20s")
    summary = read_json(found.run.summary)
    assert summary["status"] == "complete"
    assert len(asked) == 1
    assert any("3 networks" in facts["text"] for facts in found.heard.of("note"))


def test_several_networks_that_cannot_be_trained_at_once_are_refused(tmp_path, monkeypatch):
    from autorecipe.search import replay
    from autorecipe.training.stack_layers import NotStackable

    def refuse(*args, **facts):
        raise NotStackable("a layer of another kind")

    monkeypatch.setattr(replay, "run_recipe", refuse)
    recipe = replace(Recipe(), {"data.modality": "table", "data.task": "multiclass", "finish.members": 3})
    with pytest.raises(InputError, match=r"3 networks .* layer of another kind; set finish.members to 1"):
        replay_recipe(
            recipe, "iris", tmp_path / "run", start_clock(parse_budget("1epochs"), since_process_start=False),
            say=lambda *a, **facts: None, stop=lambda: None,
        )  # fmt: skip
    assert not (tmp_path / "run").exists()
