"""The budget is a promise, also on a machine that slows down midway.

    python benchmarks/budget_under_load.py                      digits, 60 s, three seeds
    python benchmarks/budget_under_load.py --dataset data/fashion_mnist --budget 10m --seeds 1

From the middle of the budget on, busy loops load the cores, one each (--load); they end with the search, and
by themselves after twice the budget.

Must: from the process's start to its exit at most 2 % or 2 s over the budget, whichever is more, and a
complete run.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from common import (
    add_dataset,
    dataset_words,
    empty_run,
    finish,
    most_seconds,
    open_store,
    options,
    run_facts,
    say,
    search_words,
    started,
    tail,
)

from autorecipe.clock import parse_budget

NAME = "budget_under_load"
MUST = "wall clock <= budget + max(2 %, 2 s), and a complete run"
BUSY = "import sys, time\nend = time.monotonic() + float(sys.argv[1])\nwhile time.monotonic() < end: pass"


def measure(words: list[str], budget: str, seed: int, load: int, out: Path) -> dict[str, Any]:
    """One search that is loaded from the middle on."""
    seconds = parse_budget(budget).seconds
    assert seconds is not None
    run = empty_run(out, NAME, f"run-{seed}")
    log = run.parent / f"{run.name}.out"
    log.unlink(missing_ok=True)
    busy: list[subprocess.Popen[bytes]] = []
    code = None
    begin = time.monotonic()
    try:
        with started(search_words(words, budget, seed, run), log) as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(seconds / 2)
            busy += [subprocess.Popen([sys.executable, "-c", BUSY, str(1.5 * seconds)]) for _ in range(load)]
            if code is None:
                say(f"{load} busy loops begin after {time.monotonic() - begin:.1f} s")
                code = process.wait()
            wall = time.monotonic() - begin
    finally:
        for loop in busy:
            loop.kill()
            loop.wait()
    row = {"seed": seed, "code": code, "wall": round(wall, 2), "share": round(wall / seconds, 4), **run_facts(run)}
    return row if code == 0 else {**row, "output": tail(log)}


def main(args: argparse.Namespace) -> None:
    """Each seed under load."""
    most = most_seconds(args.budget)
    if most is None:
        raise SystemExit("--budget must be a time here")
    words = dataset_words(args.dataset, args.target)
    store = open_store(args, NAME)
    rows = []
    for seed in range(args.seeds):
        say(f"seed {seed}")
        key = f"{' '.join(words)} {args.budget} load {args.load} seed {seed}"
        row = store.row(key, partial(measure, words, args.budget, seed, args.load, args.out))
        say(f"{row['wall']} s of {args.budget} ({row['share']:.1%}); at most {most:.1f} s; test {row['score']}")
        rows.append(row)
    reached = all(row["wall"] <= most and row["code"] == 0 and row["status"] == "complete" for row in rows)
    finish(
        NAME,
        MUST,
        reached,
        dataset=args.dataset,
        budget=args.budget,
        at_most=most,
        wall=[row["wall"] for row in rows],
        share=[row["share"] for row in rows],
        scores=[row["score"] for row in rows],
        rows=rows,
    )


if __name__ == "__main__":
    parser = options(__doc__, seeds=3, budget="60s")
    add_dataset(parser)
    parser.add_argument("--load", type=int, default=os.cpu_count() or 2, metavar="N", help="busy loops (one a core)")
    main(parser.parse_args())
