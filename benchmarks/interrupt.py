"""Ctrl-C and SIGTERM at random moments of a search: the best so far is saved and scored within seconds.

    python benchmarks/interrupt.py                              digits, 60 s, three moments for each signal
    python benchmarks/interrupt.py --seeds 10 --within 3

Must, each time: exit code 130; gone within --within seconds; if a trial had finished, a model that loads and
predicts, and a summary with status `interrupted` and a test score.

SIGINT goes to the whole process group, as a terminal's Ctrl-C does; SIGTERM to the process alone.  The
moments lie between --earliest (Python itself is still starting before) and 95 % of the budget.
"""

import argparse
import os
import random
import signal
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
    open_store,
    options,
    run_facts,
    say,
    search_words,
    started,
    tail,
)

from autorecipe.clock import parse_budget
from autorecipe.rundir import read_lines

NAME = "interrupt"
MUST = "exit code 130 within seconds; a scored model and status `interrupted` if a trial had finished"
LOAD = "import sys, autorecipe\nautorecipe.load(sys.argv[1]).model"


def measure(words: list[str], budget: str, seed: int, name: str, moment: float, out: Path) -> dict[str, Any]:
    """One search that is told to stop after `moment` seconds."""
    run = empty_run(out, NAME, f"{name}-{seed}")
    log = run.parent / f"{run.name}.out"
    log.unlink(missing_ok=True)
    with started(search_words(words, budget, seed, run), log) as process:
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            finished = sum(row["state"] == "complete" for row in read_lines(run / "trials.jsonl"))
            asked = time.monotonic()
            if name == "SIGINT":
                os.killpg(process.pid, signal.SIGINT)
            else:
                process.send_signal(signal.SIGTERM)
            code = process.wait()
            seconds = time.monotonic() - asked
        else:
            return {"signal": name, "moment": moment, "code": process.returncode, "early": True, "output": tail(log)}
    model = (run / "model.safetensors").exists()
    loads = model and subprocess.run([sys.executable, "-c", LOAD, str(run)], capture_output=True).returncode == 0
    return {
        "signal": name,
        "moment": round(moment, 1),
        "code": code,
        "seconds": round(seconds, 2),
        "finished_trials": finished,
        "model": model,
        "loads": loads,
        **run_facts(run),
        "output": tail(log, 5),
    }


def judge(row: dict[str, Any], within: float) -> dict[str, bool]:
    """Checks of one interruption."""
    if row.get("early"):
        return {"still_running": False}
    checks = {"code": row["code"] == 130, "seconds": row["seconds"] <= within}
    if row["finished_trials"] or row["model"]:
        checks |= {
            "model": row["loads"],
            "status": row["status"] == "interrupted",
            "scored": row["score"] is not None,
        }
    return checks


def main(args: argparse.Namespace) -> None:
    """Both signals, each at some moments."""
    seconds = parse_budget(args.budget).seconds
    if seconds is None:
        raise SystemExit("--budget must be a time here: the moments are spread over it")
    words = dataset_words(args.dataset, args.target)
    store = open_store(args, NAME)
    draw = random.Random(args.moments)
    rows = []
    for seed in range(args.seeds):
        for name in ("SIGINT", "SIGTERM"):
            moment = draw.uniform(args.earliest, 0.95 * seconds)
            say(f"{name} after {moment:.1f} s")
            key = f"{' '.join(words)} {args.budget} {name} {moment:.2f}"
            row = store.row(key, partial(measure, words, args.budget, seed, name, moment, args.out))
            checks = judge(row, args.within)
            say(f"code {row['code']} after {row.get('seconds')} s, test {row.get('score')}: {checks}")
            rows.append({**row, "checks": checks})
    reached = all(all(row["checks"].values()) for row in rows)
    slowest = max((row.get("seconds", 0.0) for row in rows), default=None)
    finish(NAME, MUST, reached, dataset=args.dataset, budget=args.budget, slowest=slowest, rows=rows)


if __name__ == "__main__":
    parser = options(__doc__, seeds=3, budget="60s")
    add_dataset(parser)
    parser.add_argument("--within", type=float, default=5.0, metavar="S", help="seconds until exit (default 5)")
    parser.add_argument("--earliest", type=float, default=1.0, metavar="S", help="first moment (default 1)")
    parser.add_argument("--moments", type=int, default=0, metavar="SEED", help="seed of the moments (default 0)")
    main(parser.parse_args())
