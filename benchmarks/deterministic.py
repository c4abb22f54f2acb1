"""The same seed and a budget in epochs, twice: the same search.

    python benchmarks/deterministic.py                          digits, 20 epochs, seed 0
    python benchmarks/deterministic.py --dataset data/letter --target lettr --seeds 2

Must: the same decisions (times left out), the same trials, the same scores, the same digest of the final
recipe.  Whether the weights are the same bit by bit is reported too.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from common import add_dataset, dataset_words, empty_run, finish, open_store, options, say, timed_search

from autorecipe.rundir import read_json, read_lines

NAME = "deterministic"
MUST = "the same decisions, trials, scores and recipe digest"
TIMES = ("seconds",)


def measure(words: list[str], budget: str, seed: int, which: str, out: Path) -> dict[str, Any]:
    """One search, and everything in its folder that must not change; both runs have the same name."""
    run = empty_run(out, NAME, which, f"run-{seed}")
    row = timed_search(words, budget, seed, run)
    row["facts"] = {
        "decisions": without_times(read_json(run / "decisions.json")) if (run / "decisions.json").exists() else [],
        "trials": without_times(read_lines(run / "trials.jsonl")),
        "scores": row.get("scores"),
        "recipe_digest": row.get("recipe_digest"),
    }
    return row


def without_times(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without what a clock says."""
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def differences(a: Any, b: Any, where: str = "") -> list[str]:
    """Where two pieces of plain data differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        keys = dict.fromkeys([*a, *b])
        return [line for key in keys for line in differences(a.get(key), b.get(key), f"{where}.{key}")]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [line for i, (x, y) in enumerate(zip(a, b, strict=True)) for line in differences(x, y, f"{where}[{i}]")]
    return [] if a == b else [f"{where}: {str(a)[:100]} | {str(b)[:100]}"]


def main(args: argparse.Namespace) -> None:
    """Two runs of each seed."""
    words = dataset_words(args.dataset, args.target)
    store = open_store(args, NAME)
    results = []
    for seed in range(args.seeds):
        pair = []
        for which in ("first", "second"):
            say(f"seed {seed}, {which}")
            key = f"{' '.join(words)} {args.budget} seed {seed} {which}"
            row = store.row(key, partial(measure, words, args.budget, seed, which, args.out))
            say(f"test {row['score']}, recipe {row.get('recipe_digest')}, {row['wall']} s")
            pair.append(row)
        first, second = pair
        found = {name: differences(first["facts"][name], second["facts"][name]) for name in first["facts"]}
        ended = all(row["code"] == 0 and row["score"] is not None for row in pair)
        results.append(
            {
                "seed": seed,
                "same": {name: not lines for name, lines in found.items()},
                "first_differences": [name + line for name, lines in found.items() for line in lines[:3]],
                "same_weights": first.get("weights_sha256") == second.get("weights_sha256"),
                "scores": [row["score"] for row in pair],
                "wall": [row["wall"] for row in pair],
                "decisions": len(first["facts"]["decisions"]),
                "trials": first.get("trials"),
                "failed": [row["output"] for row in pair if "output" in row],
                "reached": ended and not any(found.values()),
            }
        )
    reached = all(result["reached"] for result in results)
    finish(NAME, MUST, reached, dataset=args.dataset, budget=args.budget, seeds=results)


if __name__ == "__main__":
    parser = options(__doc__, seeds=1, budget="20epochs")
    add_dataset(parser)
    main(parser.parse_args())
