import json
from pathlib import Path

import optuna
import pytest
from study_helpers import INCUMBENT, LR, SPACE, go, question

from autorecipe.errors import InputError
from autorecipe.rundir import RunDir
from autorecipe.search.parameters import Parameter
from autorecipe.search.studies import (
    Asked,
    Earlier,
    ask,
    attach,
    attach_figure,
    enqueue,
    finished,
    note,
    open_storage,
    report,
    set_attrs,
    shown,
    study_summaries,
    tell,
)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "digits-1")


def test_known_points_first_then_quasi_random_then_tpe(run: RunDir) -> None:
    handle = question(open_storage(run, None), known=[INCUMBENT])
    rows = go(handle, 8)
    assert handle.name == "digits-1/2-width-16to32"
    assert rows[0] == Asked(0, INCUMBENT, known=True)
    assert not any(row.known for row in rows[1:])
    records = finished(handle)
    assert [r.attrs.get("quasi_random") for r in records] == [None, 0, 1, 2, 3, None, None, None]
    assert len({json.dumps(r.params) for r in records}) == 8
    drawn = [r.params for r in records[1:5]]
    # four balanced points: one in each quarter of a continuous parameter, two of each choice
    assert sorted(int(8 * p["regularization.dropout"]) for p in drawn) == [0, 1, 2, 3]
    assert sorted(p["regularization.flip"] for p in drawn) == [False, False, True, True]
    for params in (r.params for r in records):
        assert all(p.contains(params[p.name]) for p in SPACE)
        assert type(params["kernel"]) is int


def test_same_seed_same_trials_whatever_the_folder(tmp_path: Path) -> None:
    def params(name: str, seed: int) -> list[dict[str, object]]:
        run = RunDir(tmp_path / name)
        return [a.params for a in go(question(open_storage(run, None), run_name=name, seed=seed), 9)]

    first = params("a", 3)
    assert params("b", 3) == first
    assert params("c", 4) != first


def test_resumed_study_does_not_repeat_draws(run: RunDir) -> None:
    rows = go(question(open_storage(run, None)), 6)
    rows += go(question(open_storage(run, None)), 3)
    rows += go(question(open_storage(run, None)), 3)
    assert [row.number for row in rows] == list(range(12))
    assert len({row.params["lr_factor"] for row in rows}) == 12


def test_interrupted_trials_fail_and_are_asked_again_once(run: RunDir) -> None:
    handle = question(open_storage(run, None), known=[INCUMBENT, INCUMBENT | {"kernel": 5}])
    go(handle, 1)
    known, drawn = ask(handle), ask(handle)
    report(handle, {drawn.number: 0.5}, 0)
    for _ in range(2):  # opening twice enqueues once
        handle = question(open_storage(run, None), known=[INCUMBENT])
        records = {r.number: r for r in finished(handle)}
        assert [records[n].state for n in (0, 1, 2)] == ["complete", "failed", "failed"]
        assert records[1].attrs["reason"] == "interrupted"
        assert study_summaries(handle.study._storage, "digits-1") == [
            (handle.name, {"complete": 1, "failed": 2, "waiting": 2})
        ]
    again = [ask(handle), ask(handle)]
    assert [a.params for a in again] == [known.params, drawn.params]
    assert [a.known for a in again] == [True, False]
    # interrupted a second time: the known point is tried again, the other is given up
    handle = question(open_storage(run, None))
    states = study_summaries(handle.study._storage, "digits-1")[0][1]
    assert states == {"complete": 1, "failed": 4, "waiting": 1}
    assert ask(handle).params == known.params


def test_setup_cut_off_is_done_again(run: RunDir) -> None:
    storage = open_storage(run, None)
    optuna.create_study(storage=storage, study_name="digits-1/2-width-16to32").enqueue_trial({"kernel": 9})
    handle = question(open_storage(run, None), known=[INCUMBENT])
    assert study_summaries(storage, "digits-1") == [(handle.name, {"waiting": 1})]
    assert ask(handle).params == INCUMBENT


def test_known_trials_are_never_pruned_and_bad_ones_are(run: RunDir) -> None:
    handle = question(open_storage(run, None), prune=True, known=[INCUMBENT, INCUMBENT | {"kernel": 5}])
    for value in (0.9, 0.1):
        asked = ask(handle)
        assert [report(handle, {asked.number: value}, rung) for rung in range(4)] == [set()] * 4
        tell(handle, asked.number, "complete", value)
    bad = ask(handle)
    assert report(handle, {bad.number: 0.2}, 0)
    tell(handle, bad.number, "pruned")
    good = ask(handle)
    for rung in range(3):
        assert report(handle, {good.number: 0.95}, rung) == set()
    assert report(handle, {good.number: 0.05}, 3) == {good.number}  # at every rung, also the third
    tell(handle, good.number, "pruned")
    records = finished(handle)
    assert [(r.state, r.value) for r in records] == [
        ("complete", 0.9),
        ("complete", 0.1),
        ("pruned", 0.2),
        ("pruned", 0.05),
    ]
    assert records[3].rungs == {0: 0.95, 1: 0.95, 2: 0.95, 3: 0.05}


def test_minimize_prunes_high_values(run: RunDir) -> None:
    handle = question(open_storage(run, None), prune=True, direction="minimize")
    first, second = ask(handle), ask(handle)
    assert not report(handle, {first.number: 0.1}, 0)
    assert report(handle, {second.number: 0.2}, 0)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_trials_that_come_to_a_rung_together_are_halved(run: RunDir, direction: str) -> None:
    known = [INCUMBENT]
    handle = question(open_storage(run, None), prune=True, known=known, direction=direction)
    asked = [ask(handle) for _ in range(6)]
    sign = 1 if direction == "maximize" else -1
    values = {a.number: sign * value for a, value in zip(asked, (0.1, 0.5, 0.2, 0.6, 0.3, 0.4), strict=True)}
    assert report(handle, values, 0) == {asked[k].number for k in (2, 4)}  # the worst is the incumbent
    left = {asked[0].number: sign * 0.9, asked[1].number: sign * 0.7, asked[3].number: sign * 0.8}
    assert report(handle, left, 1) == {asked[k].number for k in (1, 3)}


def test_without_pruning_nothing_is_pruned(run: RunDir) -> None:
    handle = question(open_storage(run, None))
    for value in (0.9, 0.1, 0.0):
        assert not report(handle, {ask(handle).number: value}, 1)


def test_diverged_trials_have_no_value_but_a_reason(run: RunDir) -> None:
    handle = question(open_storage(run, None))
    first, second, third = ask(handle), ask(handle), ask(handle)
    assert report(handle, {first.number: float("nan")}, 0)
    set_attrs(handle, first.number, {"reason": "diverged", "loss": float("nan"), "curve": (1, float("inf")), "lr": 0.1})
    tell(handle, first.number, "pruned")
    tell(handle, second.number, "complete", float("nan"))
    tell(handle, third.number, "failed")
    records = finished(handle)
    assert [(r.state, r.value, r.rungs) for r in records] == [
        ("pruned", None, {}),
        ("pruned", None, {}),
        ("failed", None, {}),
    ]
    assert records[0].attrs == {"quasi_random": 0, "reason": "diverged", "loss": "nan", "curve": [1, "inf"], "lr": 0.1}
    assert records[1].attrs["reason"] == "the value is nan"
    go(handle, 6)  # TPE copes with them


def test_carried_trials_are_shifted_and_never_ours(run: RunDir) -> None:
    storage = open_storage(run, None)
    first = question(storage, number=1, slug="small", parameters=LR)
    go(first, 6)
    best = max(r.value for r in finished(first) if r.value is not None)
    handle = question(
        storage,
        known=[INCUMBENT],
        earlier=[
            Earlier(first.name, {"regularization.dropout": 0.1, "kernel": 3, "regularization.flip": False}),
            Earlier("digits-1/0-lost"),
        ],
        incumbent_value=0.8,
    )
    carried = handle.study.trials[:6]
    assert max(t.value for t in carried) == pytest.approx(0.8)
    assert [t.value - 0.8 for t in carried] == pytest.approx([r.value - best for r in finished(first)])  # type: ignore[operator]
    assert carried[5].user_attrs == {"carried_from": "digits-1/1-small#5"}
    assert finished(handle) == []
    assert ask(handle) == Asked(6, INCUMBENT, known=True)
    tell(handle, 6, "complete", 0.8)
    assert [r.number for r in finished(handle)] == [6]
    assert study_summaries(storage, "digits-1") == [(first.name, {"complete": 6}), (handle.name, {"complete": 1})]
    go(handle, 6)
    # carried once, not once for each study on the way
    third = question(storage, number=3, slug="again", earlier=[Earlier(first.name), Earlier(handle.name)])
    assert [t.user_attrs["carried_from"].split("#")[0] for t in third.study.trials] == [handle.name] * 7


def test_carried_trials_outside_the_bounds_are_left_out(run: RunDir) -> None:
    storage = open_storage(run, None)
    first = question(storage, number=1, slug="small", parameters=LR)
    for factor in (0.3, 1.0, 3.0):
        enqueue(first, {"lr_factor": factor})
    go(first, 3)
    narrow = (Parameter("lr_factor", "float", 0.5, 2.0, log=True),)
    handle = question(storage, parameters=narrow, earlier=[Earlier(first.name)])
    assert [t.params for t in handle.study.trials] == [{"lr_factor": 1.0}]


def test_another_search_space_is_refused(run: RunDir) -> None:
    storage = open_storage(run, None)
    question(storage)
    with pytest.raises(InputError, match="not the one it was begun with"):
        question(storage, parameters=LR)
    with pytest.raises(InputError, match="not the one it was begun with"):
        question(storage, direction="minimize")


def test_points_outside_of_the_space_are_refused(run: RunDir) -> None:
    storage = open_storage(run, None)
    with pytest.raises(InputError, match=r"lr_factor is 9.0, but the search space has from 0.25 to 4"):
        question(storage, known=[INCUMBENT | {"lr_factor": 9.0}])
    with pytest.raises(ValueError, match="lacks kernel"):
        question(storage, known=[{"lr_factor": 1.0, "regularization.dropout": 0.1}])
    with pytest.raises(InputError, match="one of"):
        enqueue(question(storage), {"regularization.flip": "yes"})


def test_enqueued_points_come_next_in_their_type(run: RunDir) -> None:
    handle = question(open_storage(run, None))
    enqueue(handle, {"lr_factor": 2, "kernel": 5.0, "something.else": 1})
    asked = ask(handle)
    assert (asked.params["lr_factor"], asked.params["kernel"]) == (2.0, 5)
    assert (type(asked.params["lr_factor"]), type(asked.params["kernel"])) == (float, int)


def test_questions_without_parameters(run: RunDir) -> None:
    handle = question(open_storage(run, None), parameters=(), known=[{}])
    assert ask(handle) == Asked(0, {}, known=True)
    assert ask(handle) == Asked(1, {}, known=False)


def test_notes_are_what_the_dashboard_reads(run: RunDir) -> None:
    from optuna_dashboard import get_note

    handle = question(open_storage(run, None))
    trials = [ask(handle).number for _ in range(2)]
    owners = {None: handle.study} | {number: handle.running[number] for number in trials}
    for number, owner in owners.items():
        for text in ("x" * 5000, f"**note of {number}**"):
            note(handle, number, text)
            assert get_note(owner) == text
        size = run.journal.stat().st_size
        note(handle, number, f"**note of {number}**")
        assert run.journal.stat().st_size == size
    assert [get_note(owner) for owner in owners.values()] == [f"**note of {number}**" for number in owners]


def test_the_dashboard_calls_values_by_the_metrics_name(run: RunDir) -> None:
    storage = open_storage(run, None)
    assert question(storage, metric="rmse", direction="minimize").study.metric_names == ["rmse"]
    assert question(storage, metric="rmse", direction="minimize").study.metric_names == ["rmse"]


def test_artifacts(run: RunDir, tmp_path: Path) -> None:
    handle = question(open_storage(run, None))
    asked = ask(handle)
    file = tmp_path / "curve.json"
    file.write_text("[]")
    ids = [attach(handle, number, run, file) for number in (None, asked.number)]
    assert sorted(p.name for p in run.artifacts.iterdir()) == sorted(ids)
    meta = optuna.artifacts.get_all_artifact_meta(handle.study.trials[0], storage=handle.study._storage)
    assert [(m.artifact_id, m.filename) for m in meta] == [(ids[1], "curve.json")]
    with pytest.raises(FileNotFoundError):
        attach(handle, None, run, tmp_path / "not there")


@pytest.mark.parametrize("kind", ["journal", "sqlite"])
def test_a_figure_of_a_study_that_is_over(run: RunDir, tmp_path: Path, kind: str) -> None:
    url = None if kind == "journal" else f"sqlite:///{tmp_path}/trials.db"
    name = question(open_storage(run, url)).name
    file = tmp_path / "evidence.svg"
    for text in ("<svg/>", "<svg/>", "<svg>again</svg>"):  # of later runs of the same command
        file.write_text(text)
        attach_figure(open_storage(run, url), name, file, run)
        study = optuna.load_study(study_name=name, storage=open_storage(run, url))
        [meta] = optuna.artifacts.get_all_artifact_meta(study)
        assert (meta.filename, meta.mimetype) == ("evidence.svg", "image/svg+xml")
        assert [path.name for path in run.artifacts.iterdir()] == [meta.artifact_id]
        assert (run.artifacts / meta.artifact_id).read_text() == text
    (run.artifacts / meta.artifact_id).unlink()  # one that was lost is put back
    attach_figure(open_storage(run, url), name, file, run)
    assert (run.artifacts / meta.artifact_id).is_file()
    other = tmp_path / "lr.png"
    other.write_bytes(b"")
    attach_figure(open_storage(run, url), name, other, run)
    assert len(optuna.artifacts.get_all_artifact_meta(study, storage=open_storage(run, url))) == 2


def test_a_figure_of_nothing(run: RunDir, tmp_path: Path) -> None:
    storage = open_storage(run, None)
    file = tmp_path / "evidence.svg"
    with pytest.raises(FileNotFoundError):
        attach_figure(storage, question(storage).name, file, run)
    file.write_text("<svg/>")
    attach_figure(storage, "no such study", file, run)
    assert not run.artifacts.exists() or not list(run.artifacts.iterdir())


def test_sqlite(run: RunDir, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/trials.db"
    storages = [open_storage(run, url), open_storage(run, url)]
    handle = question(storages[0], known=[INCUMBENT], prune=True)
    go(handle, 6)
    report(handle, {ask(handle).number: 0.1}, 0)
    note(handle, None, "hello")
    handle = question(storages[1], prune=True)
    assert study_summaries(storages[1], "digits-1") == [(handle.name, {"complete": 6, "failed": 1, "waiting": 1})]
    assert not run.journal.exists()
    for storage in storages:
        storage.remove_session()
        storage.engine.dispose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("url", ["trials.db", "sqlite:////not/there/trials.db", "redis://localhost/0"])
def test_storages_that_cannot_be_opened(run: RunDir, url: str) -> None:
    with pytest.raises(InputError, match="--storage sqlite:///"):
        open_storage(run, url)


def test_passwords_are_not_shown() -> None:
    assert shown("mysql://me:sec:r@et@host/db") == "mysql://me:***@host/db"
    assert shown("sqlite:///a.db") == "sqlite:///a.db"
