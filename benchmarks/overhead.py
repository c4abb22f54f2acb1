"""What a search does besides training and scoring networks.

    python benchmarks/overhead.py
    python benchmarks/overhead.py --dataset data/letter --target lettr --seeds 1
    python benchmarks/overhead.py --table                     stored results -> docs/performance.md

A search in this process, interrupted 200 times a second by a timer whose handler looks at what runs.  What it is doing
is named by the innermost function that is known: forward, backward, optimizer and evaluation are the work; batches and
augmentation, averaged weights, Optuna, files, building networks and the rest are overhead.  Only what follows start-up,
reading, the checks and the baselines counts, and all of that.

Must, on 2 CPU cores without a GPU: share <= 0.08 of a search of 3 minutes, with every seed.
"""

import argparse
import signal
import statistics
import time
from collections import Counter
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from common import (
    HERE,
    add_dataset,
    dataset_words,
    empty_run,
    finish,
    machine,
    open_store,
    options,
    say,
    write_between,
)

import autorecipe

NAME = "overhead"
DOC = HERE.parent / "docs" / "performance.md"
MUST = 0.08
PERIOD = 0.005
WORK = ("forward", "backward", "optimizer", "evaluation")
KNOWN: tuple[tuple[str, str, str], ...] = (
    ("autorecipe/data/batches.py", "", "batches and augmentation"),
    ("autorecipe/training/loop.py", "make_batch", "batches and augmentation"),
    ("autorecipe/training/loop.py", "update_average", "averaged weights"),
    ("autorecipe/training/cohort.py", "update", "averaged weights"),
    ("autorecipe/training/cohort.py", "inputs", "batches and augmentation"),
    ("autorecipe/training/cohort.py", "_shares", "batches and augmentation"),
    ("torch/_tensor.py", "backward", "backward"),
    ("torch/autograd/", "", "backward"),
    ("torch/optim/", "", "optimizer"),
    ("torch/nn/utils/clip_grad.py", "", "optimizer"),
    ("autorecipe/training/optimizers.py", "set_lr", "loop"),
    ("autorecipe/training/optimizers.py", "", "optimizer"),
    ("autorecipe/training/hardware.py", "autocast", "forward"),
    ("autorecipe/training/evaluate.py", "", "evaluation"),
    ("autorecipe/training/metrics.py", "", "evaluation"),
    ("autorecipe/training/losses.py", "", "forward"),
    ("autorecipe/networks/__init__.py", "build", "building networks"),
    ("autorecipe/training/stack.py", "stacked", "building networks"),
    ("autorecipe/training/stack.py", "__init__", "building networks"),
    ("autorecipe/training/loop.py", "step_loss", "forward"),
    ("autorecipe/training/cohort.py", "_losses", "forward"),
    ("autorecipe/training/loop.py", "start_session", "building networks"),
    ("autorecipe/training/cohort.py", "start_cohort", "building networks"),
    ("optuna/", "", "Optuna"),
    ("autorecipe/search/studies.py", "", "Optuna"),
    ("autorecipe/search/journal.py", "", "Optuna"),
    ("safetensors/", "", "files"),
    ("autorecipe/rundir.py", "", "files"),
    ("autorecipe/yaml_text.py", "", "files"),
    ("autorecipe/training/checkpoint.py", "", "files"),
    ("autorecipe/training/loop.py", "", "loop"),
    ("autorecipe/training/cohort.py", "", "loop"),
    ("autorecipe/training/cohort_size.py", "", "timing networks"),
    ("autorecipe/training/lr_range.py", "", "loop"),
    ("autorecipe/training/hardware.py", "", "timing networks"),
)
"""Part of a file's path, function (empty: any), and what it is."""
COUNTED = {("agent.py", "grow"), ("agent.py", "finish"), ("summary.py", "score_saved")}


def part_of(frame: FrameType | None) -> str | None:
    """What the main thread is doing; None before the search and after it."""
    found, counted = "", False
    while frame is not None:
        path, function = frame.f_code.co_filename.replace("\\", "/"), frame.f_code.co_name
        if not found:
            found = next(
                (word for place, name, word in KNOWN if place in path and name in ("", function)),
                "",
            )
        counted = counted or ("autorecipe/search" in path and (Path(path).name, function) in COUNTED)
        frame = frame.f_back
    return (found or "the rest") if counted else None


class Watch:
    """Counts what runs at each tick of a timer."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __enter__(self) -> "Watch":
        signal.signal(signal.SIGALRM, self.look)
        signal.setitimer(signal.ITIMER_REAL, PERIOD, PERIOD)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)

    def look(self, number: int, frame: FrameType | None) -> None:
        """The timer's handler, which Python runs between two instructions of the main thread."""
        part = part_of(frame)
        if part is not None:
            self.counts[part] += 1


def measure(words: list[str], budget: str, seed: int, out: Path) -> dict[str, Any]:
    """One search."""
    run = empty_run(out, NAME, f"{Path(words[0]).name}-{budget}-{seed}")
    target = words[2] if len(words) > 1 else None
    begin = time.monotonic()
    with Watch() as watch:
        result = autorecipe.search(words[0], budget, target=target, out=run, seed=seed)
    seconds = time.monotonic() - begin
    total = sum(watch.counts.values())
    parts = {name: count / total for name, count in watch.counts.most_common()}
    share = 1.0 - sum(parts.get(name, 0.0) for name in WORK)
    say(
        f"seed {seed}: {share:.3f} of {total * PERIOD:.0f} s and more: "
        + ", ".join(f"{k} {v:.3f}" for k, v in parts.items())
    )
    return {
        "share": share,
        "parts": {name: round(value, 4) for name, value in parts.items()},
        "samples": total,
        "seconds": round(seconds, 1),
        "score": result.summary["scores"]["test"],
    }


def table(rows: list[dict[str, Any]], words: list[str], budget: str) -> str:
    """The rows in Markdown."""
    names = sorted({name for row in rows for name in row["parts"]}, key=lambda name: (name in WORK, name))
    lines = [
        f"`{words[0]}`, {budget}, {len(rows)} seeds; median, lowest and highest.",
        "",
        "| part | share of the time |",
        "|---|---|",
    ]
    for name in [*names, "overhead in all"]:
        values = [row["share"] if name == "overhead in all" else row["parts"].get(name, 0.0) for row in rows]
        work = " (work)" if name in WORK else ""
        lines.append(f"| {name}{work} | {statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f}) |")
    return "\n".join([*lines, "", ", ".join(machine().values()) + "."])


def main(args: argparse.Namespace) -> None:
    """All seeds, and the verdict."""
    store = open_store(args, NAME)
    words = dataset_words(args.dataset, args.target)
    rows = [
        store.row(f"{words[0]} {args.budget} seed {seed}", partial(measure, words, args.budget, seed, args.out))
        for seed in range(args.seeds)
    ]
    if args.table:
        write_between(DOC, NAME, table(rows, words, args.budget))
    share = statistics.median(row["share"] for row in rows)
    reached = max(row["share"] for row in rows) <= MUST if args.budget == "3m" else None
    parts = {
        name: round(statistics.median(row["parts"].get(name, 0.0) for row in rows), 4) for name in rows[0]["parts"]
    }
    finish(NAME, f"share <= {MUST}", reached, share=round(share, 4), parts=parts, rows=rows, machine=machine())


if __name__ == "__main__":
    parser = options(__doc__, seeds=3, budget="3m")
    add_dataset(parser)
    parser.add_argument("--table", action="store_true", help="write the results to docs/performance.md as well")
    main(parser.parse_args())
