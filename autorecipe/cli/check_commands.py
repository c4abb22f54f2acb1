"""Commands that check runs: verify, compare."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autorecipe.cli import words
from autorecipe.cli.display import json_line, progress_line, write_line
from autorecipe.cli.options import Json, Run, Threads
from autorecipe.cli.session import INTERRUPTED
from autorecipe.cli.signals import stop_on_signals
from autorecipe.cli.tables import show_table
from autorecipe.clock import parse_budget, start_clock
from autorecipe.rundir import open_run

if TYPE_CHECKING:
    from autorecipe.outputs.compare import Comparison
    from autorecipe.outputs.verify import Verification

FOUND = 1
"""Exit code where a claim does not hold."""


def verify(
    run: Run,
    budget: Annotated[
        str, typer.Option(help="All the time it may take (90s, 10m), or epochs over all trainings (60epochs).")
    ] = "2m",
    data: Annotated[
        str | None, typer.Option(metavar="PATH", help="The run's data set, if it is no longer where it was.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=1000, help="Other numbers give other new seeds.")] = 0,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps; else as the run.")] = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Check every claim of RUN again, and say which hold.

    Its files, the score of the saved weights, what the ledger counts; then, as far as the budget goes, each decision
    on new seeds and the recipe trained again.  Nothing in RUN changes.  Exit code 1: a claim does not hold.
    """
    allowed = parse_budget(budget)
    clock = start_clock(allowed, since_process_start=True)
    folder = open_run(run)
    with progress_line(sys.stderr) as progress, stop_on_signals() as request:

        def say(kind: str, /, **facts: object) -> None:
            share = facts.get("share")
            if kind == "progress" and isinstance(share, (int, float)):
                progress(str(facts.get("what", "")), float(share))

        from autorecipe.outputs.verify import verify as check

        found = check(
            folder, allowed, clock, source=data, device=device, threads=threads, seed=seed, say=say, stop=request.check
        )
    if as_json:
        write_line(sys.stdout, json_line(_with_verdict(found)))
    else:
        _show_claims(found)
    if found.stopped:
        raise typer.Exit(INTERRUPTED)
    if not found.holds:
        raise typer.Exit(FOUND)


def _with_verdict(found: "Verification") -> dict[str, object]:
    from autorecipe.recipe import to_dict

    return {"holds": found.holds, **to_dict(found)}


def _show_claims(found: "Verification") -> None:
    from autorecipe.outputs.claims import FAILS, HOLDS, NO_CLAIM, OPEN, UNCHECKED

    rows = [
        (c.verdict, c.what, c.stated or "-", c.found or "-", "; ".join(t for t in (c.tolerance, c.reason) if t) or "-")
        for c in found.claims
    ]
    headers = ("verdict", "claim", "stated", "found", "tolerance, or why")
    show_table(sys.stdout, headers, rows, title=f"claims of {words.shown_path(Path(found.run))}")
    verdicts = (HOLDS, FAILS, OPEN, UNCHECKED, *([NO_CLAIM] if found.count(NO_CLAIM) else []))
    counts = [f"{found.count(verdict)} {verdict}" for verdict in verdicts]
    write_line(sys.stdout, "")
    write_line(sys.stdout, f"{', '.join(counts)}; {words.seconds(found.spent_seconds)} of {words.clean(found.budget)}")
    if found.test_reads:
        write_line(
            sys.stdout,
            "the test split was read again: by the same weights, and by what the run had already fixed; no choice was "
            "made on it",
        )


def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN", show_default=False, help="The folder of a run.")],
    second: Annotated[Path, typer.Argument(metavar="RUN", show_default=False, help="The folder of another.")],
    as_json: Json = False,
) -> None:
    """Say what differs between two runs in recipe, score and cost.

    And whether the difference in score is beyond the noise of seeds and test examples.
    """
    folders = open_run(first), open_run(second)
    from autorecipe.outputs.compare import compare as differ

    found = differ(*folders)
    if as_json:
        write_line(sys.stdout, json_line(_compared(found)))
    else:
        _show_comparison(found)


def _compared(found: "Comparison") -> dict[str, object]:
    from autorecipe.recipe import to_dict

    return {"verdict": found.verdict, **to_dict(found)}


def _show_comparison(found: "Comparison") -> None:
    from autorecipe.outputs.compare import ratio

    a, b = found.runs
    names = ("first", "second")
    rows = [
        ("run", words.shown_path(Path(a.path)), words.shown_path(Path(b.path)), ""),
        ("data", *(f"{s.dataset} {s.data_digest[:8]}" for s in found.runs), "" if found.same_data else "different"),
        ("status", a.status, b.status, ""),
        ("network", a.network, b.network, ""),
        ("parameters", words.count(a.num_params), words.count(b.num_params), ratio(a.num_params, b.num_params)),
        ("time", words.seconds(a.seconds), words.seconds(b.seconds), ratio(a.seconds, b.seconds)),
        ("epochs", words.number(a.epochs), words.number(b.epochs), ratio(a.epochs, b.epochs)),
    ]
    shared = [metric for metric in a.test if metric in b.test] if found.same_data else []
    rows += [
        (f"test {m}", words.number(a.test[m]), words.number(b.test[m]), f"{b.test[m] - a.test[m]:+.3g}") for m in shared
    ]
    show_table(sys.stdout, ("", *names, "difference"), rows)
    write_line(sys.stdout, "")
    if found.recipe:
        changes = [(name, _short(old), _short(new)) for name, (old, new) in found.recipe.items()]
        show_table(sys.stdout, ("recipe", *names), changes)
    else:
        write_line(sys.stdout, "the recipes are the same")
    write_line(sys.stdout, "")
    if found.difference is not None:
        d = found.difference
        interval = f"{d.interval[0]:+.3g} to {d.interval[1]:+.3g}"
        write_line(
            sys.stdout, f"{d.metric}: the second's gain is {d.gain:+.3g} (90 %: {interval}); {words.clean(d.reason)}"
        )
    write_line(sys.stdout, words.clean(found.verdict))


def _short(value: object) -> str:
    """A recipe's value on one line; blocks by their widths."""
    if isinstance(value, list) and value and all(isinstance(item, dict) and "width" in item for item in value):
        plain = {"kernel": 3, "stride": 1}
        parts = ["".join(f"{k[0]}{v}" for k, v in item.items() if k != "width" and v != plain.get(k)) for item in value]
        return "-".join(f"{item['width']}{part}" for item, part in zip(value, parts, strict=True))
    return str(value)
