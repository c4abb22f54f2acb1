"""Is the reported score that of the recipe?  Replay a run's final recipe, exactly and with other seeds.

    python benchmarks/replay_spread.py                          a search of digits first, 60 s
    python benchmarks/replay_spread.py --run runs/letter-1      of a run that is there

Must: the run's test score lies within the spread of three replays with other training seeds (their 95 %
prediction interval).  The exact replay, with the recipe's own seed, is reported beside it, with whether its
weights are the same bit by bit.
--seeds is the number of replays with other seeds.
"""

import argparse
import hashlib
from functools import partial
from pathlib import Path
from typing import Any

from common import (
    add_dataset,
    command,
    dataset_words,
    empty_run,
    finish,
    one_example,
    open_store,
    options,
    run_facts,
    say,
    spread,
    tail,
    timed,
    timed_search,
)

from autorecipe.recipe import dump_yaml, load_recipe, replace
from autorecipe.rundir import read_json

NAME = "replay_spread"
MUST = "the reported test score lies within the spread of three replays"
OTHER = 1000
"""Added to the recipe's seed for the replays with other seeds."""


def replay(run: Path, source: str, seed_shift: int, out: Path) -> dict[str, Any]:
    """Train the run's recipe again with its seed plus `seed_shift`."""
    place = empty_run(out, NAME, f"{run.name}-replay-{seed_shift}")
    recipe = load_recipe(run / "recipe.yaml")
    file = place.parent / f"{place.name}.yaml"
    file.write_text(dump_yaml(replace(recipe, {"training.seed": recipe.training.seed + seed_shift})))
    log = place.parent / f"{place.name}.out"
    log.unlink(missing_ok=True)
    code, seconds = timed(command("replay", str(file), source, "--out", str(place)), log)
    row = {"seed_shift": seed_shift, "code": code, "wall": round(seconds, 2), **run_facts(place)}
    return row if code == 0 else {**row, "output": tail(log)}


def main(args: argparse.Namespace) -> None:
    """Search unless there is a run; replay."""
    store = open_store(args, NAME)
    if args.run is None:
        words = dataset_words(args.dataset, args.target)
        say(f"searching {args.dataset} for {args.budget}")
        key = f"search {' '.join(words)} {args.budget}"
        run = args.out.resolve() / "runs" / NAME / f"search-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
        row = store.row(key, lambda: timed_search(words, args.budget, 0, empty_run(args.out, NAME, run.name)))
        if row["code"] != 0 or row["score"] is None:
            finish(NAME, MUST, False, failed=row.get("output"))
        source = args.dataset
    else:
        run = args.run.resolve()
        source = read_json(run / "settings.json")["source"] or args.dataset
    reported = run_facts(run)
    say(f"reported: {reported['score']}")
    replays = []
    for shift in (0, *range(OTHER, OTHER + args.seeds)):
        say("replaying exactly" if shift == 0 else f"replaying with another seed ({shift})")
        key = f"replay {reported['recipe_digest']} {reported['weights_sha256']} {shift}"
        row = store.row(key, partial(replay, run, source, shift, args.out))
        say(f"test {row['score']} in {row['wall']} s")
        replays.append(row)
    exact, others = replays[0], replays[1:]
    facts: dict[str, Any] = {
        "run": str(run),
        "reported": reported["score"],
        "exact": exact["score"],
        "exact_weights": exact.get("weights_sha256") == reported["weights_sha256"],
        "replays": [row["score"] for row in others],
        "wall": [row["wall"] for row in replays],
    }
    if any(row["code"] != 0 or row["score"] is None for row in replays):
        finish(NAME, MUST, False, **facts, failed=[row["output"] for row in replays if "output" in row])
    low, high = spread(facts["replays"], one_example(run, reported["metric"]))
    finish(
        NAME,
        MUST,
        low <= facts["reported"] <= high,
        **facts,
        spread=[low, high],
        exact_within=low <= facts["exact"] <= high,
    )


if __name__ == "__main__":
    parser = options(__doc__, seeds=3, budget="60s")
    add_dataset(parser)
    parser.add_argument("--run", type=Path, metavar="RUN", help="a finished run, instead of a search")
    main(parser.parse_args())
