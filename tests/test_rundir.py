import errno
import json
import multiprocessing
import subprocess
import sys

import pytest

from autorecipe import rundir
from autorecipe.errors import InputError
from autorecipe.recipe import NetworkSection, Recipe
from autorecipe.results import Finding
from autorecipe.rundir import (
    RunDir,
    append_line,
    atomic,
    check_free,
    disk_reason,
    locked,
    new_run_path,
    open_run,
    read_json,
    read_lines,
    read_mapping,
    taken_run_path,
    write_json,
    write_text,
    writing,
)


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = tmp_path / "a.json"
    write_text(path, "old")

    def fail_half_way():
        with atomic(path) as temporary:
            temporary.write_text("ne")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.json"]


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "old")
    with atomic(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent
    assert path.read_text() == "new"
    assert names(path.parent) == ["a.txt"]


def test_other_users_may_read_what_was_written(tmp_path):
    write_text(tmp_path / "a.txt", "x")
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o644


def test_json_round_trip_of_records(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, [Finding("kind", "größe")])
    assert "größe" in path.read_text(encoding="utf-8")
    plain = {"kind": "kind", "found": "größe", "done": "", "otherwise": "", "warn": False, "rows": []}
    assert read_json(path) == [plain]


def test_names_that_are_no_utf_8_survive_json(tmp_path):
    path = tmp_path / "a.json"
    data = {"caf\udce9": ["größe", "\\", "\udce9\udc80"]}
    write_json(path, data)
    assert read_json(path) == data
    assert "größe" in path.read_text(encoding="utf-8")


def test_data_that_is_no_json_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert read_json(path) == {"a": 1}


def test_missing_and_damaged_json(tmp_path):
    with pytest.raises(InputError, match="is not there"):
        read_json(tmp_path / "none.json")
    (tmp_path / "a.json").write_text('{"a": ')
    with pytest.raises(InputError, match="damaged"):
        read_json(tmp_path / "a.json")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="damaged"):
        read_json(tmp_path / "b.json")


def test_append_line_ends_a_cut_line_first(tmp_path):
    path = tmp_path / "sub" / "log.jsonl"
    append_line(path, '{"a": 1}')
    with open(path, "a") as file:
        file.write('{"a": 2, "b')
    append_line(path, '{"a": 3}')
    append_line(path, '{"a": 4}')
    assert path.read_text() == '{"a": 1}\n{"a": 2, "b\n{"a": 3}\n{"a": 4}\n'
    assert read_lines(path) == [{"a": 1}, {"a": 3}, {"a": 4}]


def test_read_lines_passes_over_a_cut_last_line(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": "\xc3')
    assert read_lines(path) == [{"a": 1}]
    assert read_lines(tmp_path / "none.jsonl") == []


def _append(path, who):
    for i in range(50):
        append_line(path, json.dumps({"who": who, "i": i, "fill": "x" * 200}))


def test_lines_of_two_processes_stay_whole(tmp_path):
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "log.jsonl"
    others = [context.Process(target=_append, args=(path, who)) for who in (0, 1)]
    for process in others:
        process.start()
    for process in others:
        process.join(60)
    rows = read_lines(path)
    assert sorted((row["who"], row["i"]) for row in rows) == [(w, i) for w in (0, 1) for i in range(50)]


LOCK = """
import sys
from pathlib import Path
from autorecipe.errors import InputError
from autorecipe.rundir import RunDir, locked
try:
    with locked(RunDir(Path(sys.argv[1]))):
        print("got it", flush=True)
        sys.stdin.readline()
        if len(sys.argv) > 2:
            import os
            os._exit(9)
except InputError as error:
    print(error)
"""


def test_the_lock_keeps_a_second_process_out(tmp_path):
    run = RunDir(tmp_path / "run")
    with locked(run):
        said = subprocess.run([sys.executable, "-c", LOCK, str(run.path)], capture_output=True, text=True, input="\n")
        assert "another process is working" in said.stdout
    said = subprocess.run([sys.executable, "-c", LOCK, str(run.path)], capture_output=True, text=True, input="\n")
    assert said.stdout.strip() == "got it"


def test_the_lock_goes_with_its_process(tmp_path):
    run = RunDir(tmp_path / "run")
    other = subprocess.Popen(
        [sys.executable, "-c", LOCK, str(run.path), "die"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline().strip() == "got it"
    with pytest.raises(InputError, match="another process"), locked(run):
        pass
    other.communicate("\n", timeout=30)
    assert other.returncode == 9
    with locked(run):
        pass


def test_new_runs_take_the_first_free_number(tmp_path):
    assert new_run_path(tmp_path, "iris") == tmp_path / "iris-1"
    (tmp_path / "iris-1").mkdir()
    (tmp_path / "iris-3").mkdir()
    assert new_run_path(tmp_path, "iris") == tmp_path / "iris-2"


def test_a_number_that_was_taken_is_nobody_elses(tmp_path):
    with taken_run_path(tmp_path / "runs", "iris") as one, taken_run_path(tmp_path / "runs", "iris") as two:
        assert (one.name, two.name) == ("iris-1", "iris-2")
        check_free(RunDir(one))
        (one / "settings.json").write_text("{}")
    assert names(tmp_path / "runs") == ["iris-1"]
    (tmp_path / "file").write_text("")
    for root in ("file", "file/runs", "r" * 300):
        with pytest.raises(InputError, match="give another"), taken_run_path(tmp_path / root, "iris"):
            pass


def test_a_number_that_is_taken_meanwhile_is_passed_over(tmp_path, monkeypatch):
    plain = rundir.new_run_path
    seen = []

    def slow(root, name):
        path = plain(root, name)
        if not seen:
            seen.append(path)
            path.mkdir(parents=True)  # another process was faster
        return path

    monkeypatch.setattr(rundir, "new_run_path", slow)
    with taken_run_path(tmp_path / "runs", "iris") as path:
        assert path.name == "iris-2"


def test_open_run_wants_a_run(tmp_path):
    with pytest.raises(InputError, match="no run at"):
        open_run(tmp_path / "none")
    with pytest.raises(InputError, match=r"settings\.json"):
        open_run(tmp_path)
    (tmp_path / "settings.json").write_text("{}")
    assert open_run(tmp_path).path == tmp_path.resolve()
    assert open_run(str(tmp_path)).name == tmp_path.name


def test_recipes_are_kept_by_their_digest(tmp_path):
    run, recipe = RunDir(tmp_path), Recipe(network=NetworkSection(width=9))
    assert run.save_recipe(recipe) == recipe.digest
    assert (tmp_path / "recipes" / f"{recipe.digest}.yaml").exists()
    assert run.load_recipe(recipe.digest) == recipe
    with pytest.raises(InputError, match="cannot be read"):
        run.load_recipe("0" * 12)


def test_events_are_lines_with_time_and_kind(tmp_path):
    run = RunDir(tmp_path)
    run.event("note", text="hello", finding=Finding("a", "b"))
    run.event("note", text="again")
    rows = read_lines(run.log)
    assert [(r["event"], r["text"]) for r in rows] == [("note", "hello"), ("note", "again")]
    assert rows[0]["finding"]["kind"] == "a"
    assert rows[0]["time"] > 1e9


def test_every_path_lies_in_the_folder_and_is_documented(tmp_path):
    run = RunDir(tmp_path)
    paths = [
        run.recipe,
        run.summary,
        run.weights,
        run.preprocess,
        run.decisions,
        run.trials,
        run.splits,
        run.journal,
        run.log,
        run.settings,
        run.state,
        run.checkpoint,
    ]
    assert len({p.name for p in paths}) == len(paths)
    assert all(tmp_path in p.parents for p in paths)


FULL = OSError(errno.ENOSPC, "No space left on device")


def fail_inside(run, error, trials=False):
    with writing(run):
        write_text(run.settings, "{}")
        if trials:
            append_line(run.trials, "{}")
        raise error


@pytest.mark.parametrize("trials", [False, True])
def test_a_full_disk_is_told_and_what_was_finished_stays(trials, tmp_path):
    run = RunDir(tmp_path / "run")
    with pytest.raises(InputError, match="no room is left") as caught:
        fail_inside(run, FULL, trials)
    assert run.path.exists() == trials
    assert ("autorecipe resume" in str(caught.value)) == trials
    assert ("the same command" in str(caught.value)) != trials


def test_wrong_input_leaves_no_new_run_behind(tmp_path):
    with pytest.raises(InputError, match="--device"):
        fail_inside(RunDir(tmp_path / "run"), InputError("no such --device"))
    assert names(tmp_path) == []


def test_a_run_that_another_process_has_just_begun_is_not_removed(tmp_path):
    run = RunDir(tmp_path / "run")
    with locked(run), pytest.raises(InputError, match="another process"), writing(run), locked(run):
        pass
    assert run.path.exists()


def test_what_was_there_before_is_never_removed(tmp_path):
    run = RunDir(tmp_path / "run")
    write_text(run.path / "thesis.txt", "important")
    for error in (InputError("wrong"), FULL):
        with pytest.raises(InputError):
            fail_inside(run, error)
        assert (run.path / "thesis.txt").read_text() == "important"


def test_other_errors_are_not_the_disks(tmp_path):
    with pytest.raises(ZeroDivisionError):
        fail_inside(RunDir(tmp_path / "run"), ZeroDivisionError())
    assert disk_reason(OSError(errno.ENOENT, "no such file")) is None


@pytest.mark.parametrize(
    "error",
    [FULL, OSError(errno.EROFS, ""), PermissionError(errno.EACCES, ""), RuntimeError("I/O error: ... (os error 28)")],
)
def test_the_disks_reason_is_found_below_other_errors(error):
    wrapped = RuntimeError("it failed")
    wrapped.__cause__ = error
    assert disk_reason(wrapped)


def test_a_run_needs_a_free_folder(tmp_path):
    check_free(RunDir(tmp_path / "new"))
    (tmp_path / "file").write_text("")
    write_text(tmp_path / "run" / "settings.json", "{}")
    for path, words in (("file", "is a file"), ("run", "autorecipe resume"), (".", "not empty"), ("r" * 300, "name")):
        with pytest.raises(InputError, match=words):
            check_free(RunDir(tmp_path / path))


@pytest.mark.parametrize("text", ["[]", "7", "", "{", "[" * 100_000])
def test_a_mapping_is_one_or_the_file_is_damaged(text, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match="is damaged"):
        read_mapping(tmp_path / "a.json")
