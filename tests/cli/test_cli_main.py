import json
import os
import re
import signal
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from autorecipe.cli.curve import draw_curve
from autorecipe.cli.data_commands import finding_lines
from autorecipe.cli.main import COMMANDS, app, run
from autorecipe.cli.signals import stop_on_signals
from autorecipe.errors import CheckFailed, Stopped
from autorecipe.results import Finding, LRRange
from autorecipe.rundir import RunDir, write_json
from autorecipe.search.settings import Settings

NAMES = [name for name, _, _ in COMMANDS]


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A search that does nothing; `agent.act` is what it does."""
    module: Any = types.ModuleType("autorecipe.search.agent")
    module.run = RunDir(tmp_path / "run")
    module.act = lambda say, stop: None

    def run_search(given: Settings, out: Path | None, clock: Any, *, say: Any, stop: Any) -> RunDir:
        module.settings, module.out, module.clock = given, out, clock
        say("start", run=str(module.run.path), dataset=given.source, budget=given.budget, resumed=False)
        module.act(say, stop)
        module.run.path.mkdir(exist_ok=True)
        write_json(module.run.summary, {"status": "complete", "metric": "accuracy", "scores": {"test": 0.9}})
        result: RunDir = module.run
        return result

    def resume_run(folder: RunDir, more: Any, clock: Any, *, say: Any, stop: Any) -> RunDir:
        module.more, module.clock = more, clock
        return folder

    module.run_search, module.resume_run = run_search, resume_run
    monkeypatch.setitem(sys.modules, "autorecipe.search.agent", module)
    return module


@pytest.mark.parametrize("name", [None, *NAMES])
def test_help_has_an_example(name: str | None) -> None:
    result = CliRunner().invoke(app, ["--help"] if name is None else [name, "--help"])
    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"  autorecipe {name or 'search'} " in result.output


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from autorecipe.cli.main import run; code = run(['--help']);"
        "heavy = {'torch', 'pandas', 'sklearn', 'optuna', 'numpy', 'rich'} & set(sys.modules);"
        "sys.exit(code or ','.join(heavy) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_console_entry_leaves_with_the_code() -> None:
    def leave(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "autorecipe.cli.main", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert leave("--version").stdout.startswith("autorecipe 0.")
    wrong = leave("search", "digits", "--budget", "soon")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: the budget 'soon'")


def test_usage_errors_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serch"]) == 2
    assert run(["search"]) == 2
    assert run(["search", "digits", "--seed", "-1"]) == 2
    assert run(["search", "digits", "--quiet", "--json"]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("budget", ["", "soon", "-5m", "0s", "10 parsecs"])
def test_a_budget_that_is_none(budget: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["search", "digits", "--budget", budget]) == 2
    assert "error: the budget" in capsys.readouterr().err


def test_an_unknown_data_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "digitz"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert "digitz" in err
    assert "Traceback" not in err


def test_search_hands_over_every_option(agent: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new"
    words = "search d.csv --target y --task regression --metric rmse --budget 90s --seed 3 --device cpu --threads 2"
    words += " --max-width 64 --max-depth 4 --max-params 1000 --keep a --keep b --resolution 32 --reserve 0.6 --force"
    words += " --space s.yaml --from r.yaml --storage sqlite:///x.db --drop c --group g --time t --range 0,9"
    assert run([*words.split(), "--out", str(out)]) == 0
    assert agent.settings == Settings(
        source="d.csv", target="y", task="regression", metric="rmse", budget="90s", seed=3,
        device="cpu", threads=2, max_width=64, max_depth=4, max_params=1000, keep=("a", "b"),
        resolution=32, reserve=0.6, force=True, space="s.yaml", from_recipe="r.yaml",
        storage="sqlite:///x.db", drop=("c",), group="g", time="t", range="0,9",
    )  # fmt: skip
    assert agent.out == out
    assert agent.clock.limit == 90
    assert "accuracy 0.9000 on test" in capsys.readouterr().out


def test_json_and_quiet(agent: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["search", "digits", "--json"]) == 0
    assert [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()] == ["start"]
    assert run(["search", "digits", "--quiet"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_folder_that_holds_a_run_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(tmp_path / "settings.json", {})
    assert run(["search", "digits", "--out", str(tmp_path)]) == 2
    assert "autorecipe resume" in capsys.readouterr().err


def test_resume(agent: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["resume", str(tmp_path / "none")]) == 2
    write_json(tmp_path / "settings.json", {"source": "digits"})
    write_json(tmp_path / "state.json", {"spent_seconds": 40.0})
    assert run(["resume", str(tmp_path), "--budget", "+5m"]) == 0
    assert agent.more.seconds == 300
    assert agent.clock.spent_before == 40.0
    capsys.readouterr()


@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_stops_the_search(number: int, word: str, agent: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def act(say: Any, stop: Any) -> None:
        os.kill(os.getpid(), number)
        stop()

    agent.act = act
    assert run(["search", "digits"]) == 130
    assert f"stopped by {word}" in capsys.readouterr().err


def test_a_second_signal_leaves_at_once() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signals() as request:
        request.check()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Stopped):
            request.check()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) == before


def test_errors_have_their_codes(
    agent: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(say: Any, stop: Any) -> None:
        raise CheckFailed("one batch cannot be overfitted")

    agent.act = fail
    assert run(["search", "digits"]) == 3
    assert capsys.readouterr().err == "error: one batch cannot be overfitted\n"

    def crash(say: Any, stop: Any) -> None:
        raise RuntimeError("boom")

    agent.act = crash
    monkeypatch.delenv("AUTORECIPE_DEBUG", raising=False)
    assert run(["search", "digits"]) == 1
    err = capsys.readouterr().err
    assert "RuntimeError: boom" in err
    assert str(agent.run.log) in err
    assert "Traceback" not in err
    assert "RuntimeError: boom" in json.loads(agent.run.log.read_text().splitlines()[-1])["traceback"]
    monkeypatch.setenv("AUTORECIPE_DEBUG", "1")
    with pytest.raises(RuntimeError):
        run(["search", "digits"])
    capsys.readouterr()


def test_inspect(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "iris"]) == 0
    text = capsys.readouterr().out
    assert "multiclass" in text
    assert "autorecipe search iris" in text
    assert run(["inspect", "iris", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["task"] == "multiclass"


def test_findings_are_paragraphs_with_what_needs_a_look_first() -> None:
    found = (
        Finding("a", "a quiet one " * 12, "it stays"),
        Finding("b", "a \x1bloud one", "", "--drop 'x y'", warn=True),
    )
    lines = finding_lines(found, width=80)
    assert lines[:2] == ["look!  a  loud one", "         otherwise: --drop 'x y'"]
    assert lines[-1] == "         -> it stays"
    assert max(map(len, lines)) <= 80
    assert finding_lines((), width=80) == ["nothing odd was found"]


def test_inspect_repeats_what_was_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{i * 37 % 101},{i % 6},{i % 2},p{i % 9}\n" for i in range(100))
    (tmp_path / "t.csv").write_text("x,day no,good,who\n" + rows)
    asked = "--target good --keep x --group who --seed 3"
    assert run(["inspect", str(tmp_path / "t.csv"), *asked.split()]) == 0
    text = capsys.readouterr().out
    assert f"t.csv {asked} --budget 10m" in text
    assert "whole groups of 'who'" in text
    assert run(["inspect", str(tmp_path / "t.csv"), "--target", "good", "--time", "day no", "--drop", "who"]) == 0
    assert "--target good --drop who --time 'day no' --budget 10m" in capsys.readouterr().out
    assert run(["inspect", "digits", "--resolution", "8"]) == 0
    assert "search digits --resolution 8 --budget 10m" in capsys.readouterr().out


def test_inspect_tells_bounds_and_labels_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{i * 37 % 101},{i % 6},{i % 2},{i % 3 % 2}\n" for i in range(100))
    (tmp_path / "t.csv").write_text("x,mark,good,big\n" + rows)
    asked = "--target mark --task regression --range 0,6"
    assert run(["inspect", str(tmp_path / "t.csv"), *asked.split()]) == 0
    text = capsys.readouterr().out
    assert f"t.csv {asked} --budget 10m" in text
    assert "predictions are not below 0, not above 6" in text
    assert run(["inspect", str(tmp_path / "t.csv"), "--target", "good,big"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"labels +2: good \(\d+\), big \(\d+\)", text)
    assert text.count("good") == 2  # and in what to type next


def test_the_cache(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUTORECIPE_CACHE", str(tmp_path))
    assert run(["cache"]) == 0
    assert str(tmp_path) in capsys.readouterr().out
    assert run(["cache", "--clear"]) == 0
    assert "removed 0" in capsys.readouterr().out


def test_the_curve_marks_the_suggestion() -> None:
    lrs = tuple(10 ** (-5 + i / 8) for i in range(41))
    losses = tuple(2.0 - 1.5 / (1 + 10 ** (5 - i / 4)) for i in range(41))
    found = LRRange(0.002, "steepest", lrs, losses)
    text = draw_curve(found)
    assert all(c == "\n" or c.isprintable() for c in text)
    for part in ("1e-5", "1e-3", "1e0", "0.002", "learning rate"):
        assert part in text
    assert "\x1b[" in draw_curve(found, colors=True)
    assert draw_curve(LRRange(0.002, "flat", flat=True)) == ""


def test_predict_tells_what_was_ignored_on_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import warnings

    import pandas as pd

    from autorecipe.errors import InputWarning

    def predict_table(source: str) -> pd.DataFrame:
        for _ in range(2):
            warnings.warn("a column is ignored", InputWarning, stacklevel=1)
        return pd.DataFrame({"row": [0], "prediction": [1]})

    module: Any = types.ModuleType("autorecipe.predictor")
    module.load = lambda path: types.SimpleNamespace(predict_table=predict_table)
    monkeypatch.setitem(sys.modules, "autorecipe.predictor", module)
    write_json(tmp_path / "run" / "settings.json", {})
    assert run(["predict", str(tmp_path / "run"), "new.csv"]) == 0
    heard = capsys.readouterr()
    assert heard.out == "row,prediction\n0,1\n"
    assert heard.err == "warning: a column is ignored\n" * 2


def test_predict_writes_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import pandas as pd

    table = pd.DataFrame({"row": [0, 1], "prediction": ["a", "[/]"], "probability.a": [0.75, 0.25]})
    module: Any = types.ModuleType("autorecipe.predictor")
    module.load = lambda path: types.SimpleNamespace(predict_table=lambda source: table)
    monkeypatch.setitem(sys.modules, "autorecipe.predictor", module)
    folder = tmp_path / "run"
    write_json(folder / "settings.json", {})
    assert run(["predict", str(folder), "new.csv"]) == 0
    assert capsys.readouterr().out == "row,prediction,probability.a\n0,a,0.75\n1,[/],0.25\n"
    for name, read in (("p.csv", pd.read_csv), ("p.parquet", pd.read_parquet)):
        assert run(["predict", str(folder), "new.csv", "--out", str(tmp_path / name)]) == 0
        pd.testing.assert_frame_equal(read(tmp_path / name), table)
    capsys.readouterr()
    assert run(["predict", str(folder), "new.csv", "--out", str(tmp_path / "p.xlsx")]) == 2
    assert ".parquet" in capsys.readouterr().err
    assert run(["predict", str(tmp_path / "none"), "new.csv"]) == 2


def test_lr_find_writes_a_plot(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["lr-find", "iris", "--steps", "40", "--seeds", "2", "--race-steps", "8"]
    assert run(words) == 0
    assert "plot: lr-find-iris.png" in capsys.readouterr().out
    assert (tmp_path / "lr-find-iris.png").read_bytes().startswith(b"\x89PNG")
    assert run([*words, "--json", "--plot", "other.svg"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (tmp_path / facts["plot"]).read_text().startswith("<?xml")
    assert len(facts["lowest"]) == len(facts["highest"]) == len(facts["lrs"])
    assert run([*words, "--plot", "data.csv"]) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lr-find-iris.png", "other.svg"]
