"""The end of a run: what each step brought, read from the run's folder, and what to type next."""

import contextlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from autorecipe.cli import words
from autorecipe.cli.display import write_line
from autorecipe.cli.tables import show_table
from autorecipe.clock import example_of_more
from autorecipe.errors import InputError
from autorecipe.rundir import RunDir, read_json, read_lines

STEPS = {
    "small": "small",
    "width": "wide",
    "depth": "deep",
    "regularize": "regularised",
    "regrow": "regrown",
}
"""Stage to the word for the network that leaves it."""
HELD_OUT = {"confirm": "held out"}
"""What decisions were measured on; the confirm split is a part of it (`held_out` in `decisions.json`)."""


@dataclass(frozen=True)
class Row:
    """One step on the way to the model."""

    step: str
    score: float | None
    scored_on: str
    num_params: int | None
    seconds: float | None
    trials: int | None = None
    stopped_early: int = 0
    network: str = ""


def end_rows(run: RunDir) -> list[Row]:
    """Baselines, each stage and the final model of a run, as far as it has come."""
    summary = _read(run.summary, {})
    rows = _baselines(run, summary)
    decisions = [row for row in _read(run.decisions, []) if isinstance(row, dict)]
    trials = read_lines(run.trials)
    for stage in dict.fromkeys(str(row.get("stage", "")) for row in decisions):
        rows.append(_stage(run, stage, [row for row in decisions if row.get("stage") == stage], trials))
    scores = summary.get("scores") or {}
    if scores:
        split = next((name for name in ("test", "confirm", "search") if scores.get(name) is not None), "test")
        spent = ((summary.get("budget") or {}).get("by_stage") or {}).get("finish")
        network = str(summary.get("network") or _network(run, str(summary.get("recipe_digest", ""))))
        shown = "val" if split == "search" else split
        rows.append(Row("final", scores.get(split), shown, summary.get("num_params"), spent, network=network))
    return rows


def _baselines(run: RunDir, summary: dict[str, Any]) -> list[Row]:
    told = {
        row.get("name"): row for row in read_lines(run.log) if isinstance(row, dict) and row.get("event") == "baseline"
    }
    tested: dict[str, Any] = summary.get("baselines") or {}
    rows = [
        Row(f"baseline {name}", score, "test", None, told.get(name, {}).get("seconds"))
        for name, score in tested.items()
    ]
    if not tested:
        rows = [
            Row(f"baseline {name}", row.get("score"), "val", None, row.get("seconds")) for name, row in told.items()
        ]
    return rows


def _held_out(decisions: Sequence[dict[str, Any]], digest: object) -> tuple[Sequence[float], str]:
    """The last scores of a recipe on held-out examples, and of which kind these are."""
    for decision in reversed(decisions):
        for who in ("candidate", "incumbent"):
            scores = (decision.get("scores") or {}).get(who)
            if scores and decision.get(who) == digest:
                return scores, str(decision.get("held_out") or "confirm")
    return (), ""


def _stage(run: RunDir, stage: str, decisions: Sequence[dict[str, Any]], trials: Sequence[Any]) -> Row:
    last = decisions[-1]
    took_candidate = last.get("chosen") == last.get("candidate")
    held_out, kind = _held_out(decisions, last.get("chosen"))
    score, scored_on = None, ""
    if held_out:
        score, scored_on = sum(held_out) / len(held_out), HELD_OUT.get(kind, kind)
    elif took_candidate and last.get("candidate_score") is not None:
        score, scored_on = float(last["candidate_score"]), "val"
    studies = {row.get("study") for row in decisions}
    ours = [row for row in trials if isinstance(row, dict) and row.get("study") in studies]
    return Row(
        STEPS.get(stage, stage),
        score,
        scored_on,
        last.get("num_params") or None,
        sum(float(row.get("seconds") or 0.0) for row in decisions),
        len(ours),
        sum(row.get("state") == "pruned" for row in ours),
        _network(run, str(last.get("chosen", ""))),
    )


def _network(run: RunDir, digest: str) -> str:
    """The network of a recipe in a few words, or nothing if it is not on record."""
    for path in (run.recipe_of(digest), run.recipe):
        with contextlib.suppress(InputError):
            from autorecipe.recipe import describe, load_recipe

            recipe = load_recipe(path)
            if recipe.digest == digest:
                return describe(recipe.network)
    return ""


def _read(path: Path, otherwise: Any) -> Any:
    with contextlib.suppress(InputError):
        found = read_json(path)
        if isinstance(found, type(otherwise)):
            return found
    return otherwise


def show_end(run: RunDir, out: TextIO, *, quiet: bool = False) -> None:
    """Write how a run ended: the steps, the scores, where everything lies and what to type next."""
    summary = _read(run.summary, {})
    place = words.shown_path(run.path)
    headline = _headline(summary)
    if quiet:
        write_line(out, place)
        write_line(out, headline)
        return
    rows = end_rows(run)
    if rows:
        write_line(out, "")
        metric = str(summary.get("metric") or "score")
        headers = ("step", metric, "on", "parameters", "time", "trials", "network")
        shown = [_cells(row) for row in rows]
        show_table(out, headers, shown, right=(metric, "parameters", "time"))
    write_line(out, "")
    write_line(out, headline)
    _show_trial_length(summary, out)
    _show_foresight(run, summary, out)
    for line in _places(run, summary, place):
        write_line(out, line)


def _show_trial_length(summary: dict[str, Any], out: TextIO) -> None:
    """Search, fresh-seed and test score of the same short trainings: how far the search fooled itself."""
    found = (summary.get("accounts") or {}).get("fresh_seeds")
    if found:
        scores = [words.number(found.get(name)) for name in ("search", "fresh_seeds", "test")]
        models = f"{words.count(found.get('num_models'))} models"
        said = f"{scores[0]} on val, {scores[1]} held out with fresh seeds, {scores[2]} on test ({models})"
        write_line(out, words.clean(f"a trial's length, for comparison: {said}"))


def _show_foresight(run: RunDir, summary: dict[str, Any], out: TextIO) -> None:
    """What was foretold beside what came; and for long budgets what others would bring."""
    found = (summary.get("accounts") or {}).get("foresight")
    if not found:
        return
    what = f"{words.number(found.get('predicted'))}, 80 % interval {words.between(found.get('interval'))}"
    said = f"foretold before the final training{words.assuming(found)}: {what}"
    write_line(out, words.clean(f"{said}; came: {words.number(found.get('came'))}"))
    budgets = _read(run.foresight, {}).get("budgets") or []
    if budgets:
        headers = ("this recipe in", str(summary.get("metric") or "score"), "80 % interval")
        rows = [
            (words.seconds(row["seconds"]), words.number(row["predicted"]), words.between(row["interval"]))
            for row in budgets
        ]
        show_table(out, headers, rows, right=headers[:2])


def _cells(row: Row) -> tuple[str, ...]:
    stopped = f" ({row.stopped_early} stopped early)" if row.stopped_early else ""
    trials = "" if row.trials is None else f"{row.trials}{stopped}"
    size = words.count(row.num_params) if row.num_params else ""
    spent = words.seconds(row.seconds) if row.seconds is not None else ""
    return (row.step, words.number(row.score), row.scored_on, size, spent, trials, row.network)


def _headline(summary: dict[str, Any]) -> str:
    scores = summary.get("scores") or {}
    names = {"test": "test", "confirm": "confirm"}
    if summary.get("confirm_kind") == "cross-validated" and scores.get("test") is not None:
        del names["confirm"]  # of runs of a trial's length: the next line has it
    if scores.get("test") is None:  # else that of a short trial, beside those of the final model
        names["search"] = "search (val)"
    shown = [f"{words.number(scores[key])} on {name}" for key, name in names.items() if scores.get(key) is not None]
    if not shown:
        return "there is no trained model yet"
    spent = (summary.get("budget") or {}).get("spent_seconds")
    took = f"; {words.seconds(spent)}" if spent is not None else ""
    word = "" if summary.get("status") == "complete" else f" ({summary.get('status', 'unfinished')})"
    return words.clean(f"{summary.get('metric', 'score')} {', '.join(shown)}{took}{word}")


def _places(run: RunDir, summary: dict[str, Any], place: str) -> list[str]:
    """Where everything lies, and the next commands."""
    lines = [f"in {place}:"]
    for path, what in (
        (run.weights, "weights"),
        (run.recipe, "recipe"),
        (run.decisions, "every decision with its evidence"),
        (run.summary, "scores"),
        (run.report, "all of it on one page"),
        (run.script, "the recipe in plain PyTorch"),
        (run.onnx, "the model for onnxruntime"),
    ):
        if path.exists():
            lines.append(f"  {path.name:<18} {what}")
    word = shlex.quote(place)
    settings = _read(run.settings, {})
    source = settings.get("source")
    dataset = shlex.quote(str(source)) if source else "DATASET"
    lines.append("next:")
    if run.weights.exists():
        lines.append(f"  autorecipe predict {word} INPUT --out predictions.csv")
        lines.append(f"  autorecipe replay {shlex.quote(words.shown_path(run.recipe))} {dataset}")
    if not settings.get("replay"):
        more = f" --budget {example_of_more(str(settings.get('budget')))}"
        lines.append(f"  autorecipe resume {word}{more if summary.get('status') == 'complete' else ''}")
    lines.append(f"  autorecipe dashboard {word}")
    return [words.clean(line) if line.strip() else line for line in lines]
