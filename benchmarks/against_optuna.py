"""Is the search worth its time against what one would write by hand?  autorecipe beside a plain Optuna search.

    python benchmarks/data.py fashion_mnist letter diamonds --to data/
    python benchmarks/against_optuna.py --data data/
    python benchmarks/against_optuna.py diamonds --seed 3         one pair
    python benchmarks/against_optuna.py --table                   stored results -> docs/performance.md

`plain_optuna.py` is the other side: its docstring says what the two have in common and what not.  A pair is
one seed: the same splits (so the same test examples, which is checked), the same budget from the process's
start to its exit.  Even seeds begin with autorecipe, odd ones with the other, and each runs alone.  Images
are decoded once, before the first pair, into a cache that both read.

Must, on 2 CPU cores without a GPU:
fashion_mnist  5m  autorecipe ahead in 2 of 3 pairs, and in the median
letter         2m  ahead in 4 of 5 pairs, and in the median
diamonds       2m  ahead in 4 of 5 pairs, and in the median
all: no side takes over 2 % or 2 s more than the budget.  Another budget or fewer seeds: told, not judged.

It can be interrupted at any time: a result that is there is taken, unless the code that made it has changed
(for the plain search: reading, networks, training loop and its own script).
"""

import argparse
import statistics
import sys
import time
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from common import (
    HERE,
    Store,
    command,
    digest_of,
    digest_of_names,
    empty_run,
    finish,
    machine,
    most_seconds,
    open_store,
    options,
    say,
    tail,
    timed,
    timed_search,
    write_between,
)
from search_scores import words_of

import autorecipe
from autorecipe.rundir import read_json
from autorecipe.training.evaluate import gain

NAME = "against_optuna"
DOC = HERE.parent / "docs" / "performance.md"
SIDES = ("autorecipe", "plain")


@dataclass(frozen=True)
class Match:
    """One data set of the comparison."""

    title: str
    budget: str
    seeds: int
    needed: int
    """Pairs in which autorecipe must be ahead."""


MATCHES = {
    "fashion_mnist": Match("Fashion-MNIST", "5m", 3, 2),
    "letter": Match("letter", "2m", 5, 4),
    "diamonds": Match("diamonds", "2m", 5, 4),
}


def key_of(name: str, budget: str, seed: int, side: str) -> str:
    """The key of a row in the store."""
    return f"{name} {budget} seed {seed} {side}"


@cache
def plain_code() -> str:
    """Digest of the code that a plain search depends on."""
    root = Path(autorecipe.__file__).resolve().parent
    folders = [file for name in ("data", "networks", "training") for file in (root / name).rglob("*.py")]
    return digest_of([*folders, root / "recipe.py", HERE / "plain_optuna.py"])


# Runs


def run_autorecipe(name: str, data: Path, budget: str, seed: int, out: Path) -> dict[str, Any]:
    """`autorecipe search`, as a user types it."""
    run = empty_run(out, NAME, f"{name}-{budget}-{seed}")
    row = timed_search(words_of(name, data), budget, seed, run, environment(out))
    if row["score"] is not None:
        row["test_examples"] = digest_of_names(read_json(run / "splits.json")["test"])
    return {**row, "machine": machine()}


def run_plain(name: str, data: Path, budget: str, seed: int, out: Path) -> dict[str, Any]:
    """The plain search, in a process of its own."""
    run = empty_run(out, NAME, f"{name}-{budget}-{seed}-plain")
    result, log = run / "result.json", run.parent / f"{run.name}.out"
    run.mkdir()
    log.unlink(missing_ok=True)
    words = [sys.executable, str(HERE / "plain_optuna.py"), *words_of(name, data)]
    words += ["--budget", budget, "--seed", str(seed), "--out", str(result)]
    code, seconds = timed(words, log, environment(out))
    row = {"seed": seed, "code": code, "wall": round(seconds, 2), "machine": machine()}
    if code != 0:
        return {**row, "score": None, "output": tail(log)}
    return {**row, **read_json(result)}


def environment(out: Path) -> dict[str, str]:
    """The cache of decoded images that both sides read."""
    return {"AUTORECIPE_CACHE": str((out / "cache").resolve())}


def decode_once(data: Path, out: Path) -> None:
    """Fill the cache, so that neither side is charged for it."""
    say("decoding the images, unless the cache has them")
    log = out / "runs" / NAME / "decode.out"
    log.parent.mkdir(parents=True, exist_ok=True)
    code, seconds = timed(command("inspect", *words_of("fashion_mnist", data)), log, environment(out))
    if code != 0:
        sys.exit(f"the images cannot be read:\n{tail(log)}")
    say(f"the cache is filled ({seconds:.0f} s)")


def measure_pair(store: Store, name: str, data: Path, budget: str, seed: int, out: Path) -> dict[str, Any]:
    """Both rows of a pair, one after the other."""
    runs = {
        "autorecipe": partial(run_autorecipe, name, data, budget, seed, out),
        "plain": partial(run_plain, name, data, budget, seed, out),
    }
    pair = {}
    for side in SIDES if seed % 2 == 0 else SIDES[::-1]:
        key = key_of(name, budget, seed, side)
        say(key)
        pair[side] = store.row(key, runs[side], plain_code() if side == "plain" else None)
        say(f"{key}: test {pair[side]['score']} in {pair[side]['wall']} s")
    return pair


# What came out


def failures(pair: dict[str, Any]) -> list[str]:
    """Why a pair cannot be compared; empty if it can."""
    lost = {side: row for side, row in pair.items() if row["code"] != 0 or row["score"] is None}
    found = [f"{side}: {row.get('output', 'no score')}" for side, row in lost.items()]
    if not found and pair["autorecipe"]["test_examples"] != pair["plain"]["test_examples"]:
        found = ["the two sides were scored on different test examples"]
    return found


def ahead_by(pair: dict[str, Any]) -> float:
    """How much better autorecipe's test score is: above zero it is ahead."""
    return float(gain(pair["autorecipe"]["metric"], pair["autorecipe"]["score"], pair["plain"]["score"]))


def judge(match: Match, budget: str, pairs: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """What the pairs (seed -> side -> row) of one data set say; `reached` is None if they are not those asked for."""
    facts: dict[str, Any] = {"budget": budget, "seeds": list(pairs), "needed": match.needed}
    facts["wall"] = {side: [pair[side]["wall"] for pair in pairs.values()] for side in SIDES}
    failed = {seed: failures(pair) for seed, pair in pairs.items() if failures(pair)}
    if failed:
        return {**facts, "failed": failed, "reached": False}
    metric = pairs[min(pairs)]["autorecipe"]["metric"]
    scores = {side: [pair[side]["score"] for pair in pairs.values()] for side in SIDES}
    medians = {side: statistics.median(values) for side, values in scores.items()}
    margins = [ahead_by(pair) for pair in pairs.values()]
    most = most_seconds(budget)
    checks = {
        "pairs": sum(margin > 0 for margin in margins) >= match.needed,
        "median": gain(metric, medians["autorecipe"], medians["plain"]) > 0,
        "time": most is None or max(max(walls) for walls in facts["wall"].values()) <= most,
    }
    asked = budget == match.budget and set(pairs) >= set(range(match.seeds))
    return {
        **facts,
        "metric": metric,
        "scores": scores,
        "medians": medians,
        "ahead_by": margins,
        "ahead": sum(margin > 0 for margin in margins),
        "networks": {side: [pair[side]["network"] for pair in pairs.values()] for side in SIDES},
        "trials": {side: [pair[side]["trials"] for pair in pairs.values()] for side in SIDES},
        "plain_kept": [pair["plain"]["kept"] for pair in pairs.values()],
        "checks": checks,
        "reached": all(checks.values()) if asked else None,
    }


def told(title: str, result: dict[str, Any]) -> str:
    """One data set's result in a line."""
    if "failed" in result:
        return f"{title}: NOT REACHED: {result['failed']}"
    verdict = {True: "reached", False: "NOT REACHED", None: "not judged"}[result["reached"]]
    medians = ", ".join(f"{side} {shown(result['metric'], value)}" for side, value in result["medians"].items())
    return f"{title}: {verdict}: ahead in {result['ahead']} of {len(result['seeds'])}; median {medians}"


def shown(metric: str, value: float) -> str:
    """A score as it is written in a table."""
    return f"{value:,.1f}" if metric in ("rmse", "mae") else f"{value:.4f}"


# The table


def stored_pairs(store: Store, name: str) -> tuple[dict[int, dict[str, Any]], list[float]]:
    """Complete pairs that are stored for a data set's own budget, whatever code made them, and their times."""
    match = MATCHES[name]
    pairs, times = {}, []
    for seed in range(match.seeds):
        lines = {side: store.newest(key_of(name, match.budget, seed, side)) for side in SIDES}
        rows = {side: line["row"] for side, line in lines.items() if line is not None}
        if len(rows) == len(SIDES) and not failures(rows):
            pairs[seed] = rows
            times += [line["time"] for line in lines.values() if line is not None]
    return pairs, times


def table(store: Store) -> str:
    """The stored results as Markdown, with command, data, machine and spread."""
    top = ["| data | budget | test score | autorecipe | plain Optuna | autorecipe ahead |", "|---|---|---|---|---|---|"]
    each = ["| data | seed | autorecipe | its network | plain Optuna | its network |", "|---|---|---|---|---|---|"]
    times: list[float] = []
    machines = set()
    for name, match in MATCHES.items():
        pairs, measured = stored_pairs(store, name)
        if pairs:
            times += measured
            machines |= {", ".join(row["machine"].values()) for pair in pairs.values() for row in pair.values()}
            top.append(summary_line(match, pairs))
            each += [pair_line(match, seed, pair) for seed, pair in pairs.items()]
    if not times:
        sys.exit(f"{store.path} holds no pair yet")
    first, last = (time.strftime("%Y-%m-%d", time.localtime(moment)) for moment in (min(times), max(times)))
    return "\n".join(
        [
            "Median over the seeds, and in brackets the lowest and the highest.\n",
            *top,
            "\nEach pair:\n",
            *each,
            "",
            "Command: `python benchmarks/against_optuna.py --data data/`, the data laid out by",
            "`python benchmarks/data.py fashion_mnist letter diamonds --to data/`.",
            f"Machine: {'; '.join(sorted(machines))}; nothing else ran.",
            f"Measured {first if first == last else f'{first} to {last}'}.",
        ]
    )


def summary_line(match: Match, pairs: dict[int, dict[str, Any]]) -> str:
    """A data set's medians and spreads, as a line of a table."""
    metric = pairs[min(pairs)]["autorecipe"]["metric"]
    spreads = []
    for side in SIDES:
        scores = [pair[side]["score"] for pair in pairs.values()]
        low, middle, high = (shown(metric, f(scores)) for f in (min, statistics.median, max))
        spreads.append(f"{middle} ({low} to {high})")
    ahead = f"{sum(ahead_by(pair) > 0 for pair in pairs.values())} of {len(pairs)}"
    short = "" if len(pairs) == match.seeds else f" ({match.seeds} are asked for)"
    return f"| {match.title} | {match.budget} | {metric} | {' | '.join(spreads)} | {ahead}{short} |"


def pair_line(match: Match, seed: int, pair: dict[str, Any]) -> str:
    """One pair, as a line of a table."""
    cells = [f"{shown(pair[side]['metric'], pair[side]['score'])} | {pair[side]['network']}" for side in SIDES]
    return f"| {match.title} | {seed} | {' | '.join(cells)} |"


def main() -> None:
    """Measure the pairs that were asked for, or write the table."""
    parser = options(__doc__, seeds=None, budget=None)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(MATCHES)} (default: all)")
    parser.add_argument("--seed", type=int, metavar="S", help="only this seed")
    parser.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="as data.py wrote it")
    parser.add_argument(
        "--table", action="store_true", help=f"write the stored results to docs/{DOC.name}; run nothing"
    )
    args = parser.parse_args()
    store = open_store(args, NAME)
    if args.table:
        write_between(DOC, NAME, table(store))
        say(f"wrote the table to docs/{DOC.name}")
        return
    for name in args.names:
        if name not in MATCHES:
            parser.error(f"unknown data set '{name}': choose from {', '.join(MATCHES)}")
    names = args.names or list(MATCHES)
    for name in names:
        place = Path(words_of(name, args.data)[0])
        if not place.exists():
            parser.error(f"{place} is not there: python benchmarks/data.py {name} --to {args.data}")
    results = measure_all(args, store, names)
    judged = [result["reached"] for result in results.values()]
    for name, result in results.items():
        say(told(name, result))
    must = "autorecipe ahead in 2 of 3 (fashion_mnist), 4 of 5 (letter), 4 of 5 (diamonds), and in each median"
    finish(NAME, must, None if None in judged and False not in judged else all(judged), machine=machine(), **results)


def measure_all(args: argparse.Namespace, store: Store, names: list[str]) -> dict[str, dict[str, Any]]:
    """Data set -> what its pairs say; each pair is told as it comes."""
    if "fashion_mnist" in names:
        decode_once(args.data, args.out)
    results = {}
    for name in names:
        match = MATCHES[name]
        budget = args.budget or match.budget
        pairs = {}
        for seed in [args.seed] if args.seed is not None else range(args.seeds or match.seeds):
            pairs[seed] = pair = measure_pair(store, name, args.data, budget, seed, args.out)
            if failures(pair):
                say(f"{name} seed {seed}: no comparison: {'; '.join(failures(pair))}")
            else:
                margin = ahead_by(pair)
                who = "autorecipe is ahead" if margin > 0 else "the plain search is ahead" if margin < 0 else "a tie"
                say(f"{name} seed {seed}: {who}, by {abs(margin):.4g} {pair['plain']['metric']}")
        results[name] = judge(match, budget, pairs)
    return results


if __name__ == "__main__":
    main()
