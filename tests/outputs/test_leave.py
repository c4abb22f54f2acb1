"""What a search leaves in its folder, however it ended."""

import json
import math
import os
from types import SimpleNamespace

import pytest
from helpers import Heard

import autorecipe
from autorecipe.errors import InputError, Stopped
from autorecipe.outputs import export as exports
from autorecipe.outputs.leave import leave_outputs, with_outputs
from autorecipe.rundir import RunDir


def texts(heard):
    return " ".join(facts["text"] for facts in heard.of("note"))


def test_a_search_of_epochs_leaves_script_and_onnx(no_baselines, tmp_path):
    result = autorecipe.search("iris", "6epochs", out=tmp_path / "run", checks=False)
    assert result.run.script.exists()
    assert result.run.onnx.exists()
    assert result.summary["identity"]["score_after_export"] is not None
    assert result.summary["budget"]["by_stage"]["outputs"] > 0


def test_without_time_the_command_is_said_and_no_older_model_stays(replayed):
    run = replayed("iris").run
    run.onnx.write_bytes(b"of the model before")
    before = run.weights.stat().st_mtime - 10
    os.utime(run.onnx, (before, before))
    heard = Heard()
    spent = json.loads(run.state.read_text())["spent_seconds"]
    leave_outputs(run, heard, 0.5)
    assert run.script.exists()
    assert not run.onnx.exists()
    assert "autorecipe export" in texts(heard)
    assert json.loads(run.state.read_text())["spent_seconds"] >= spent


def test_without_time_a_model_of_these_weights_stays(replayed):
    """After Ctrl-C in a finished run that was given more budget."""
    run = replayed("iris").run
    run.onnx.write_bytes(b"of these weights")
    after = run.weights.stat().st_mtime + 10
    os.utime(run.onnx, (after, after))
    heard = Heard()
    leave_outputs(run, heard, 0.0)
    assert run.onnx.read_bytes() == b"of these weights"
    assert "autorecipe export" not in texts(heard)
    assert "model.onnx" in json.loads(run.checksums.read_text())["exports"]


def test_a_program_of_the_model_before_goes(replayed):
    run = replayed("iris").run
    written = run.weights.stat().st_mtime
    for age, stays in ((10, True), (-10, False)):
        run.program.write_bytes(b"a program")
        os.utime(run.program, (written + age, written + age))
        heard = Heard()
        leave_outputs(run, heard, math.inf)
        assert run.program.exists() == stays
        assert ("model.pt2 was of the model before" in texts(heard)) != stays


def test_a_run_without_outputs_stays_without_when_resumed(no_baselines, tmp_path):
    chosen = {"max_width": 16, "checks": False, "outputs": False}
    before = autorecipe.search("iris", "6epochs", out=tmp_path / "run", **chosen).summary["budget"]["epochs"]
    run = RunDir(tmp_path / "run")
    for old in (run.script, run.onnx, run.program):  # written by hand, of the model before
        old.write_text("")
        os.utime(old, (0, 0))
    more = autorecipe.resume(tmp_path / "run", "+3epochs")
    assert more.summary["budget"]["epochs"] > before
    assert not any(path.exists() for path in (run.script, run.onnx, run.program, run.report))


def test_a_stopped_run_leaves_its_script(replayed):
    run, heard = replayed("iris").run, Heard()

    def job(say):
        say("start", run=str(run.path))
        raise Stopped("stopped by Ctrl-C")

    with pytest.raises(Stopped):
        with_outputs(job, heard)
    assert run.script.exists()
    assert not run.onnx.exists()


def test_time_is_counted_from_the_score_on(replayed, monkeypatch):
    run, asked = replayed("iris").run, []
    monkeypatch.setattr("autorecipe.outputs.leave.leave_outputs", lambda run, say, left: asked.append(left))
    for left in (50.0, None):
        with_outputs(lambda say, left=left: (say("result", seconds_left=left), run)[1], Heard())
    assert 40 < asked[0] <= 50
    assert asked[1] == math.inf


def test_an_export_that_fails_is_a_note(replayed, monkeypatch):
    run, heard = replayed("iris").run, Heard()

    def refuse(run, form, out=None):
        raise InputError(f"no {form} today")

    monkeypatch.setattr(exports, "export", refuse)
    leave_outputs(run, heard, math.inf)
    assert "no script today" in texts(heard)
    assert "no onnx today" in texts(heard)


def test_an_export_that_breaks_is_a_note_and_the_report_is_there(replayed, monkeypatch):
    run, heard = replayed("iris").run, Heard()

    def broken(*given):
        raise RuntimeError("no such operation")

    monkeypatch.setattr(exports, "identity_of", broken)
    leave_outputs(run, heard, math.inf)
    assert "onnx could not be written: RuntimeError: no such operation" in texts(heard)
    assert run.report.exists()


def test_a_run_without_a_model_is_left_alone(tmp_path):
    run = SimpleNamespace(weights=tmp_path / "none", recipe=tmp_path / "none")
    leave_outputs(run, Heard(), math.inf)
    assert not list(tmp_path.iterdir())
