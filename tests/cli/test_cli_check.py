import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from autorecipe.cli.main import run


@pytest.fixture(scope="module")
def made(_own_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from autorecipe import search

    out = tmp_path_factory.mktemp("runs") / "iris-1"
    settings: dict[str, Any] = {"baselines": False, "threads": 1, "checks": False}
    return search("iris", "8epochs", out=out, **settings).path


def test_verify_prints_a_table_and_leaves_with_0(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(made), "--budget", "1epochs"]) == 0
    out = capsys.readouterr().out
    assert "files are as the run left them" in out
    assert "accuracy of the saved weights on test" in out
    assert "0 does not hold" in out
    assert "not checked" in out
    assert "the test split was read again" in out


def test_verify_leaves_with_1_where_a_claim_does_not_hold(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(made, tmp_path / "run"))
    text = (copy / "decisions.json").read_text()
    (copy / "decisions.json").write_text(text + " ")
    assert run(["verify", str(copy), "--budget", "1epochs", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["holds"] is False
    wrong = [claim for claim in found["claims"] if claim["verdict"] == "does not hold"]
    assert [claim["reason"] for claim in wrong] == ["decisions.json was changed"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--budget", "soon"], "soon"),
        (["--data", "nowhere.csv"], "nowhere.csv"),
        (["--device", "tpu"], "tpu"),
    ],
)
def test_wrong_input_is_refused(made: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(made), *words]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert "Traceback" not in err


def test_a_folder_that_is_no_run(tmp_path: Path, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(tmp_path / "none")]) == 2
    assert run(["compare", str(made), str(tmp_path)]) == 2
    assert "no run" in capsys.readouterr().err


def test_compare(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", str(made), str(made)]) == 0
    out = capsys.readouterr().out
    assert "the recipes are the same" in out
    assert out.rstrip().endswith("within noise")
    copy = Path(shutil.copytree(made, tmp_path / "run"))
    recipe = (copy / "recipe.yaml").read_text()
    (copy / "recipe.yaml").write_text(recipe.replace("\n  dropout:", "\n  dropout: 0.3 #", 1))
    assert run(["compare", str(made), str(copy)]) == 0
    assert "regularization.dropout" in capsys.readouterr().out
    assert run(["compare", str(made), str(copy), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "within noise"
    assert found["recipe"]["regularization.dropout"][1] == 0.3
    assert found["difference"]["gain"] == 0
