"""What a user sees of a run in Optuna's dashboard, read in Debian's chromium."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from browser import CHROMIUM, Browser, browser
from helpers import small_digits

import autorecipe
from autorecipe.rundir import read_json, read_lines

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium"),
]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A small run with pruned trials, and the address where `autorecipe dashboard` shows it."""
    settings = {"out": tmp_path / "digits-1", "max_width": 16, "max_depth": 1, "threads": 1, "baselines": False}
    run = autorecipe.search(small_digits(), "12epochs", **settings).run
    command = [sys.executable, "-c", "from autorecipe.cli.main import main; main()", "dashboard", str(run.path)]
    with subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+/dashboard", line)
            assert address, line
            yield SimpleNamespace(run=run, address=address[0])
        finally:
            process.kill()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Browser]:
    with browser(tmp_path / "profile") as found:
        yield found


def test_a_run_in_the_dashboard(served: SimpleNamespace, page: Browser) -> None:
    rows = read_lines(served.run.trials)
    decisions = read_json(served.run.decisions)
    pruned = next(row for row in rows if row["state"] == "pruned")
    number = [decision["study"] for decision in decisions].index(pruned["study"])
    decision, study = decisions[number], f"{served.address}/studies/{number}"
    own = [row for row in rows if row["study"] == pruned["study"]]
    complete = next(row for row in own if row["state"] == "complete")

    page.open(served.address)  # all studies
    page.wait_for(*{f"{row['study']}\nDirection: MAXIMIZE" for row in rows})

    page.open(study)
    page.wait_for("History", "Hyperparameter Importance", "Timeline", "Pruned", "Best Trial (number=")
    page.wait_for(f"question\t{decision['question']}", f"verdict\t{decision['verdict']}", "finding\t")
    page.wait_for("Intermediate values", *(f"trial #{row['number']}" for row in own))
    points = "[...document.querySelectorAll('.scatterlayer .trace')].filter(t => t.querySelector('path.point')).length"
    page.wait(lambda: page.js(points) >= len(own), "a curve for each trial")
    assert page.js("[...document.querySelectorAll('.ytitle')].some(title => title.textContent == 'accuracy')")
    page.wait_for("Study Artifacts", "fresh-seeds.svg", "training-curve.svg")
    drawn = "[...document.querySelectorAll('img[src*=artifacts]')].filter(image => image.naturalWidth > 0).length"
    page.wait(lambda: page.js(drawn) >= 2, "the figures of the study")

    page.open(f"{study}/note")
    page.wait_for(decision["question"], f"Verdict: {decision['verdict']}", f"Why: {decision['reason']}")
    page.wait_for("Finding: ", "How to read this study", "the accuracy on val (maximize)")
    assert page.js("document.querySelector('strong').textContent") == decision["verdict"]  # Markdown is rendered

    page.open(f"{study}/trials?numbers={pruned['number']}")
    text = page.wait_for(f"Trial {pruned['number']} (trial_id=", "User Attributes", "Recipe ")
    assert f"\nTrial {complete['number']}\nComplete\n" in text
    assert f"\nTrial {pruned['number']}\nPruned\n" in text
    recipe = served.run.load_recipe(pruned["recipe"])
    lr = f"{recipe.optimizer.lr:.4g}"
    note, attrs = text.split("User Attributes")[0], text.split("User Attributes")[1]
    assert f"\npruned: {pruned['reason']}\n" in note
    assert re.search(rf"\nLearning rate: {lr}, \S+ times the suggested (\S+)\nWhy \1: \w+", note)
    assert "\nstep\tlearning rate\ttraining loss\tloss on val\taccuracy on val\n" in note.replace("\u2003", "")
    for words in (f"steps: {recipe.training.steps},", f"lr: {recipe.optimizer.lr},", "family: resnet\n"):
        assert words in note
    for line in (f"lr {lr}", f"recipe_digest {pruned['recipe']}", "state pruned", f"reason {pruned['reason']}"):
        assert f"\n{line}\n" in f"{attrs}\n"  # one of them is the page's last line
    assert re.search(r"\nlr_suggested \S+\n+lr_reason \w+", attrs)

    assert page.errors == []


def test_errors_on_the_console_are_seen(page: Browser) -> None:
    page.open("data:text/html,<p>here</p><script>console.error('first'); nothing.at.all</script>")
    page.wait_for("here")
    page.wait(lambda: len(page.errors) >= 2, "errors")
    assert "first" in page.errors
    assert any("ReferenceError" in error for error in page.errors)
