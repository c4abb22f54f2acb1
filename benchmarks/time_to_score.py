"""How soon autorecipe has what a hand-written Optuna search has at the end of its budget.

    python benchmarks/data.py fashion_mnist letter diamonds --to data/
    python benchmarks/time_to_score.py --data data/
    python benchmarks/time_to_score.py letter --data data/ --seeds 3
    python benchmarks/time_to_score.py --table                  stored results -> docs/performance.md

The other side is that of `against_optuna.py` at its full budget, and its stored results are taken.  autorecipe is given
a share of that budget, search and final training and all, from its process's start to its exit: first the share that
must do, then smaller or larger ones.  The smallest with which its median over the seeds is no worse is the ratio.

Must, on 2 CPU cores without a GPU: ratio_images <= 0.6, ratio_tables <= 0.34 (the mean of letter's and diamonds').
"""

import argparse
import math
import statistics
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from against_optuna import MATCHES, decode_once, environment, key_of, plain_code, run_plain
from common import (
    HERE,
    Store,
    empty_run,
    finish,
    machine,
    most_seconds,
    open_store,
    options,
    say,
    timed_search,
    write_between,
)
from search_scores import words_of

from autorecipe.clock import parse_budget
from autorecipe.data.metrics import gain

NAME = "time_to_score"
DOC = HERE.parent / "docs" / "performance.md"
IMAGES, TABLES = ("fashion_mnist",), ("letter", "diamonds")
SHARES = {"image": (0.3, 0.45, 0.6, 0.8, 1.0), "table": (0.17, 0.25, 0.34, 0.5, 0.7, 1.0)}
MUST = {"image": 0.6, "table": 0.34}


@dataclass(frozen=True)
class Found:
    """One data set."""

    ratio: float
    """The smallest share that did; 2 if none."""
    plain: list[float]
    scores: dict[float, list[float]]
    """Of each share that was tried."""


def plain_score(name: str, data: Path, seed: int, out: Path) -> float:
    """The other side's test score at its full budget."""
    budget = MATCHES[name].budget
    store = Store(out / "against_optuna.jsonl")
    row = store.row(
        key_of(name, budget, seed, "plain"), partial(run_plain, name, data, budget, seed, out), plain_code()
    )
    return float(row["score"])


def search_row(name: str, data: Path, budget: str, seed: int, out: Path) -> dict[str, Any]:
    """A search with a share of the budget."""
    run = empty_run(out, NAME, f"{name}-{budget}-{seed}")
    return timed_search(words_of(name, data), budget, seed, run, environment(out))


def find(store: Store, name: str, data: Path, seeds: int, out: Path) -> Found:
    """Try shares, from the one that must do."""
    kind = "image" if name in IMAGES else "table"
    metric = "rmse" if name == "diamonds" else "accuracy"
    full = parse_budget(MATCHES[name].budget).seconds
    assert full is not None
    plain = [plain_score(name, data, seed, out) for seed in range(seeds)]
    tried: dict[float, list[float]] = {}

    def reached(share: float) -> bool:
        budget = f"{full * share:.0f}s"
        rows = [
            store.row(f"{name} {budget} seed {seed}", partial(search_row, name, data, budget, seed, out))
            for seed in range(seeds)
        ]
        worst = math.inf if metric == "rmse" else 0.0
        late = most_seconds(budget) or math.inf
        tried[share] = [worst if row["score"] is None or row["wall"] > late else float(row["score"]) for row in rows]
        ours, theirs = statistics.median(tried[share]), statistics.median(plain)
        say(f"{name}, {share:.0%} of the budget: median {ours:.5g}, the other side {theirs:.5g}")
        return gain(metric, ours, theirs) >= 0

    shares = SHARES[kind]
    at = shares.index(MUST[kind])
    if reached(shares[at]):
        while at and reached(shares[at - 1]):
            at -= 1
    else:
        at += 1
        while at < len(shares) and not reached(shares[at]):
            at += 1
    return Found(shares[at] if at < len(shares) else 2.0, plain, tried)


def table(found: dict[str, Found]) -> str:
    """The results in Markdown."""
    lines = [
        "| data | the other side, full budget | " + "autorecipe, share of the budget: median | ratio |",
        "|---|---|---|---|",
    ]
    for name, one in found.items():
        tried = "; ".join(
            f"{share:.2f}: {statistics.median(scores):.5g}" for share, scores in sorted(one.scores.items())
        )
        title = MATCHES[name].title
        lines.append(
            f"| {title} | {MATCHES[name].budget}: {statistics.median(one.plain):.5g} | {tried} | {one.ratio:.2f} |"
        )
    return "\n".join([*lines, "", ", ".join(machine().values()) + "."])


def main(args: argparse.Namespace) -> None:
    """All data sets, and the verdict."""
    store = open_store(args, NAME)
    names = args.names or [*IMAGES, *TABLES]
    if set(names) & set(IMAGES):
        decode_once(args.data, args.out)
    found = {name: find(store, name, args.data, args.seeds, args.out) for name in names}
    if args.table:
        write_between(DOC, NAME, table(found))
    ratios: dict[str, float | None] = {"ratio_images": None, "ratio_tables": None}
    if set(names) >= set(IMAGES):
        ratios["ratio_images"] = statistics.mean(found[name].ratio for name in IMAGES)
    if set(names) >= set(TABLES):
        ratios["ratio_tables"] = round(statistics.mean(found[name].ratio for name in TABLES), 3)
    whole = all(value is not None for value in ratios.values())
    reached = None
    if whole:
        reached = (ratios["ratio_images"] or 2) <= MUST["image"] and (ratios["ratio_tables"] or 2) <= MUST["table"]
    scores = {name: {"plain": one.plain, "autorecipe": one.scores, "ratio": one.ratio} for name, one in found.items()}
    finish(NAME, "ratio_images <= 0.6, ratio_tables <= 0.34", reached, **ratios, scores=scores, machine=machine())


if __name__ == "__main__":
    parser = options(__doc__, seeds=3, budget=None)
    parser.add_argument("names", nargs="*", choices=[*IMAGES, *TABLES, []], metavar="DATA", help="default: all")
    parser.add_argument("--data", type=Path, default=Path("data"), help="where the data lies (benchmarks/data.py)")
    parser.add_argument("--table", action="store_true", help="write the results to docs/performance.md as well")
    main(parser.parse_args())
