"""Each example runs, without a warning, and prints something real."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = sorted(path.name for path in EXAMPLES.glob("*.py"))


def run_example(name: str, budget: str, folder: Path) -> str:
    """The output of an example; warnings of our own packages' use are errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), budget],
        cwd=folder,
        env={**os.environ, "AUTORECIPE_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stderr
    return done.stdout


def test_there_are_examples_and_the_readme_names_each():
    assert "own_family.py" in NAMES
    readme = (EXAMPLES / "README.md").read_text()
    assert [name for name in NAMES if f"`{name}`" not in readme] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_and_prints_a_score(name, tmp_path):
    printed = run_example(name, "15epochs", tmp_path)
    found = re.search(r"^test accuracy: ([01]\.\d+)$", printed, re.MULTILINE)
    assert found, printed
    assert float(found[1]) > 0.3
    assert not list(tmp_path.glob("runs"))


@pytest.mark.slow
def test_the_family_of_the_example_is_the_one_that_was_grown(tmp_path):
    printed = run_example("own_family.py", "8epochs", tmp_path)
    assert re.search(r"^gated, widths \[\d+", printed, re.MULTILINE)
    assert "Gated(" in printed
