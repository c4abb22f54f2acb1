import io
import json
from pathlib import Path

import pytest

from autorecipe.cli.ending import end_rows, show_end
from autorecipe.recipe import Block, Recipe, dump_yaml, replace
from autorecipe.results import Decision
from autorecipe.rundir import RunDir, append_line, write_json, write_text

SMALL = replace(Recipe(), {"network": {"family": "mlp", "width": 64, "blocks": [{"width": 64}] * 2}})
WIDE = replace(SMALL, {"network.width": 128, "network.blocks": [Block(128), Block(128)]})


def decision(stage: str, chosen: Recipe, **facts: object) -> Decision:
    values: dict[str, object] = {
        "stage": stage, "question": f"{stage}?", "incumbent": SMALL.digest, "candidates": (WIDE.digest,),
        "candidate": WIDE.digest, "study": f"d-1/{stage}", "trials": (0, 1), "effect": 0.01, "standard_error": 0.001,
        "interval": (0.0, 0.02), "p_better": 0.99, "num_examples": 100, "num_seeds": 2, "seconds": 10.0,
        "verdict": "adopted", "reason": "", "chosen": chosen.digest, "num_params": 5000,
        "scores": {"incumbent": (0.80, 0.82), "candidate": (0.90, 0.92)},
    }  # fmt: skip
    return Decision(**{**values, **facts})  # type: ignore[arg-type]


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path / "d-1")
    run.save_recipe(SMALL)
    run.save_recipe(WIDE)
    write_text(run.recipe, dump_yaml(WIDE))
    write_text(run.weights, "")
    write_json(run.settings, {"format": 1, "source": "my data.csv"})
    small = decision("small", SMALL, scores={}, candidate=SMALL.digest, candidate_score=0.79, num_params=1000)
    write_json(
        run.decisions,
        [small, decision("width", WIDE), decision("width", WIDE, seconds=5.0, held_out="cross-validated")],
    )
    for stage, state in (("small", "complete"), ("width", "pruned"), ("width", "complete")):
        append_line(run.trials, json.dumps({"study": f"d-1/{stage}", "number": 0, "state": state, "seconds": 1.0}))
    run.event("baseline", name="linear", seconds=0.5, score=0.7, metric="accuracy")
    write_json(
        run.summary,
        {
            "format": 1, "status": "complete", "metric": "accuracy",
            "scores": {"search": 0.95, "confirm": 0.94, "test": 0.93},
            "baselines": {"linear": 0.71}, "num_params": 5000, "recipe_digest": WIDE.digest,
            "budget": {"given": "60s", "seconds": 60.0, "spent_seconds": 59.2, "by_stage": {"finish": 30.0}},
        },
    )  # fmt: skip
    return run


def test_the_table_tells_every_step(run: RunDir) -> None:
    rows = {row.step: row for row in end_rows(run)}
    assert list(rows) == ["baseline linear", "small", "wide", "final"]
    assert (rows["baseline linear"].score, rows["baseline linear"].seconds) == (0.71, 0.5)
    assert (rows["small"].score, rows["small"].scored_on, rows["small"].num_params) == (0.79, "val", 1000)
    wide = rows["wide"]
    assert (round(wide.score or 0, 4), wide.scored_on, wide.seconds) == (0.91, "cross-validated", 15.0)
    assert (wide.trials, wide.stopped_early, wide.network) == (2, 1, "mlp 128-128")
    assert (rows["final"].score, rows["final"].scored_on, rows["final"].seconds) == (0.93, "test", 30.0)


def test_a_stage_shows_the_last_scores_of_what_it_leaves(run: RunDir) -> None:
    """A question that was not measured, after one that was and whose recipe stayed."""
    last = decision("width", WIDE, scores={}, incumbent=WIDE.digest, candidate=SMALL.digest)
    write_json(run.decisions, [decision("width", WIDE), last])
    wide = next(row for row in end_rows(run) if row.step == "wide")
    assert (round(wide.score or 0, 4), wide.scored_on) == (0.91, "held out")


def test_the_end_says_where_everything_lies_and_what_to_type(run: RunDir) -> None:
    out = io.StringIO()
    show_end(run, out)
    text = out.getvalue()
    assert all(c == "\n" or c.isprintable() for c in text)
    for part in ("accuracy 0.9300 on test", "model.safetensors", "recipe.yaml", "2 (1 stopped early)", "'my data.csv'",
                 "autorecipe predict", "autorecipe resume", "--budget +5m", "autorecipe dashboard"):  # fmt: skip
        assert part in text, part


@pytest.mark.parametrize(
    ("settings", "next_line"),
    [
        ({"budget": "10m"}, "autorecipe resume {} --budget +5m"),
        ({"budget": "20epochs"}, "autorecipe resume {} --budget +20epochs"),
        ({"budget": "100epochs", "replay": True}, None),
    ],
)
def test_what_to_type_next_is_what_will_be_taken(run: RunDir, settings: dict[str, object], next_line: str) -> None:
    write_json(run.settings, {"format": 1, "source": "data.csv", **settings})
    out = io.StringIO()
    show_end(run, out)
    lines = [line.strip() for line in out.getvalue().splitlines() if "autorecipe resume" in line]
    assert [line.split("--budget")[-1] for line in lines] == ([next_line.split("--budget")[-1]] if next_line else [])


def test_quiet_is_two_lines(run: RunDir) -> None:
    out = io.StringIO()
    show_end(run, out, quiet=True)
    place, score = out.getvalue().splitlines()
    assert Path(place).resolve() == run.path.resolve()
    assert score.startswith("accuracy 0.9300 on test")


def test_a_run_that_was_stopped_at_once(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "d-1")
    run.path.mkdir()
    out = io.StringIO()
    show_end(run, out)
    assert "no trained model" in out.getvalue()
    assert "autorecipe predict" not in out.getvalue()


def test_what_was_foretold_stands_beside_what_came(run: RunDir) -> None:
    summary = json.loads(run.summary.read_text())
    account = {"predicted": 0.925, "interval": [0.91, 0.94], "came": 0.93, "error_share": 0.07, "covered": True}
    write_json(run.summary, {**summary, "accounts": {"foresight": account}})
    row = {"factor": 4.0, "seconds": 14400.0, "predicted": 0.951, "interval": [0.94, 0.96]}
    out = io.StringIO()
    show_end(run, out)
    assert "foretold before the final training: 0.9250, 80 % interval 0.9100 to 0.9400; came: 0.9300" in out.getvalue()
    assert "this recipe in" not in out.getvalue()
    write_json(run.foresight, {"budgets": [row]})
    out = io.StringIO()
    show_end(run, out)
    line = next(line for line in out.getvalue().splitlines() if line.strip().startswith("4 h"))
    assert line.split() == ["4", "h", "0", "min", "0.9510", "0.9400", "to", "0.9600"]


def test_the_scores_of_short_trials_stand_beside_each_other_and_not_beside_the_final_one(run: RunDir) -> None:
    summary = json.loads(run.summary.read_text())
    account = {"recipe": WIDE.digest, "search": 0.95, "fresh_seeds": 0.85, "test": 0.84, "num_models": 2}
    write_json(run.summary, {**summary, "accounts": {"fresh_seeds": account}})
    out = io.StringIO()
    show_end(run, out)
    lines = out.getvalue().splitlines()
    assert "accuracy 0.9300 on test, 0.9400 on confirm; 59 s" in lines
    write_json(run.summary, {**json.loads(run.summary.read_text()), "confirm_kind": "cross-validated"})
    out = io.StringIO()
    show_end(run, out)
    assert "accuracy 0.9300 on test; 59 s" in out.getvalue().splitlines()
    told = "0.9500 on val, 0.8500 held out with fresh seeds, 0.8400 on test (2 models)"
    assert f"a trial's length, for comparison: {told}" in lines
    write_json(run.summary, {**summary, "scores": {"search": 0.95, "confirm": None, "test": None}})
    out = io.StringIO()
    show_end(run, out)
    assert "accuracy 0.9500 on search (val); 59 s" in out.getvalue().splitlines()
