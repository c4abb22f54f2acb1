"""The bad inputs of `benchmarks/bad_inputs.py`, in this process: some of them always, all of them when slow."""

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from autorecipe.cli.main import run

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
bad_cases: Any = pytest.importorskip("bad_cases", reason="the benchmarks are not here")
import bad_inputs  # noqa: E402

SOME = 11
"""Of so many bad inputs one is tried by default."""
NAMES = [case.name for cases in bad_inputs.all_cases(bad_cases.Made(Path())) for case in cases if not case.place]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return bad_cases.make_runs(tmp_path_factory.mktemp("made"))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if i % SOME else []) for i, name in enumerate(NAMES)]
)
def test_bad_inputs(
    name: str,
    made: Any,
    no_baselines: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    case = next(case for cases in bad_inputs.all_cases(made) for case in cases if case.name == name)
    case.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    for key, value in case.environment.items():
        monkeypatch.setenv(key, value)
    before = bad_inputs.digest(tmp_path)
    capfd.readouterr()
    code = run(shlex.split(case.words))
    out, err = capfd.readouterr()
    harmed = [] if name.startswith("fine/") else bad_inputs.harm(before, bad_inputs.digest(tmp_path))
    checks = bad_inputs.judge(case, code, bad_inputs.plain(out + err, tmp_path), 0.0, harmed, 10.0)
    assert all(checks.values()), (checks, harmed, out[-600:], err[-2000:])


def test_there_are_200() -> None:
    assert len([name for name in NAMES if not name.startswith("fine/")]) >= bad_inputs.LEAST


def test_a_short_name_must_stand_alone() -> None:
    assert bad_inputs.named("8", "give 8 images")
    assert not bad_inputs.named("8", "give 18 images")
    assert bad_inputs.named("'m'", "the budget 'm' is no time")
    assert bad_inputs.named("labels", "photos/mylabels.csv")


def test_harm_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    before = bad_inputs.digest(tmp_path)
    assert bad_inputs.harm(before, bad_inputs.digest(tmp_path)) == []
    (tmp_path / "a").write_text("3")
    (tmp_path / "b").unlink()
    (tmp_path / "run").mkdir()
    assert sorted(bad_inputs.harm(before, bad_inputs.digest(tmp_path))) == ["a", "b", "run"]
