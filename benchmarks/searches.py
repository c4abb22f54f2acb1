"""Ten searches with different seeds: do they agree, and does what they say about themselves hold?

    python benchmarks/data.py letter --to data/
    python benchmarks/searches.py --data data/
    python benchmarks/searches.py letter --data data/ --seeds 3
    python benchmarks/searches.py --table                      stored runs -> docs/performance.md

letter for 60 s and the first 10,000 training images of Fashion-MNIST, with its 10,000 test images, for 120 s; seeds 0
to 9, each search in a process of its own.  The splits differ by the seed too; the test examples of letter and of
Fashion-MNIST are the same for all.  One row a run is kept, and an interrupted benchmark goes on after the last whole
run; all of it takes 33 minutes.

- within_one_step: of each data set, runs whose final width is the median width or at most one doubling off, and whose
  number of blocks is the median or at most one off.  The median of an even number is the lower of the two.
- interval_covers: a run states where the score of its recipe lies when it is trained again (`score_interval.retraining`
  of `summary.json`).  Of each data set, runs i whose interval holds the final score of the next run, i + 1 (of the last
  run: the first).  The next run was made by another search with other splits, whose recipe may differ: so this asks for
  more than the interval promises.
- foresight: the median over all runs of |foretold - came| as a share of the error that came, and the share of runs
  inside their 80 % interval.
- bias: fresh-seed score minus test score of the same models, over all runs.  Its 95 % interval has a part for the runs,
  by Student's t over the runs of each data set, and one for the examples: all runs of a data set are scored on the same
  test examples, and their confirm splits overlap, so both count as one sample of their size.

Must: within_one_step and interval_covers >= 8 of 10 for each data set; median_abs_error_share <= 0.15, covered >= 0.8;
zero inside the interval of bias.
"""

import argparse
import math
import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from common import HERE, empty_run, finish, machine, open_store, options, say, timed_search, write_between
from data import FASHION_MNIST, fashion_mnist
from scipy import special

from autorecipe.recipe import load_recipe
from autorecipe.rundir import read_json

NAME = "searches"
DOC = HERE.parent / "docs" / "performance.md"
BUDGETS = {"letter": "60s", "fashion": "120s"}
SAMPLE = 10_000
MUST_AGREE, MUST_SHARE, MUST_COVERED = 0.8, 0.15, 0.8


def words_of(name: str, data: Path) -> list[str]:
    """A data set as words of the command; the sample of images is laid out if it is not there."""
    if name == "letter":
        return [str(data / "letter"), "--target", "lettr"]
    place = data / f"fashion_mnist_{SAMPLE}"
    if not place.exists():
        partial_place = place.with_name(f".{place.name}.partial")
        fashion_mnist(partial_place, FASHION_MNIST, SAMPLE)
        partial_place.rename(place)
    return [str(place)]


def measure(name: str, data: Path, budget: str, seed: int, out: Path) -> dict[str, Any]:
    """One search, and what its folder says of itself."""
    run = empty_run(out, NAME, f"{name}-{budget}-{seed}")
    row = timed_search(words_of(name, data), budget, seed, run)
    return {**row, **claims_of(run)} if row["score"] is not None else row


def claims_of(run: Path) -> dict[str, Any]:
    """Size of the final network, stated interval, and the accounts."""
    summary, splits = read_json(run / "summary.json"), read_json(run / "splits.json")
    network = load_recipe(run / "recipe.yaml").network
    accounts = summary.get("accounts") or {}
    race = run / "artifacts" / "race.json"
    return {
        "width": network.width,
        "depth": len(network.blocks),
        "interval": interval_of(summary),
        "foresight": accounts.get("foresight"),
        "fresh_seeds": accounts.get("fresh_seeds"),
        "race": read_json(race) if race.exists() else None,
        "num_test": len(splits["test"]),
        "num_confirm": len(splits["confirm"]) or len(splits["train"]),
    }


def interval_of(summary: dict[str, Any]) -> tuple[float, float] | None:
    """Where a run says that the score of its recipe lies when it is trained again."""
    stated = (summary.get("score_interval") or {}).get("retraining") or {}
    low, high = stated.get("low"), stated.get("high")
    return None if low is None or high is None else (float(low), float(high))


# What the runs of one data set say together


def within_one_step(rows: Sequence[dict[str, Any]]) -> float:
    """Share of runs whose width and depth are at most one doubling and one block off the median."""
    width, depth = (statistics.median_low([row[name] for row in rows]) for name in ("width", "depth"))
    near = [
        abs(math.log2(max(1, row["width"]) / max(1, width))) <= 1 + 1e-9 and abs(row["depth"] - depth) <= 1
        for row in rows
    ]
    return statistics.mean(near)


def interval_covers(rows: Sequence[dict[str, Any]]) -> float | None:
    """Share of runs whose stated interval holds the next run's score; None where none states one."""
    pairs = [
        (row["interval"], rows[(k + 1) % len(rows)]["score"])
        for k, row in enumerate(rows)
        if row.get("interval") is not None
    ]
    if not pairs or len(rows) < 2:
        return None
    return sum(low <= score <= high for (low, high), score in pairs) / len(rows)


def bias_of(rows: Sequence[dict[str, Any]]) -> tuple[float, float, float] | None:
    """Mean of fresh-seed score minus test score, its standard error, its degrees of freedom; None without two runs.

    The runs' own scatter counts as the runs', and the choice of the examples is counted on top: once for all runs.
    """
    found = [row for row in rows if row.get("fresh_seeds")]
    if len(found) < 2:
        return None
    differences = [row["fresh_seeds"]["fresh_seeds"] - row["fresh_seeds"]["test"] for row in found]
    wrong = 1 - statistics.mean(row["fresh_seeds"]["test"] for row in found)
    examples = sum(
        wrong * (1 - wrong) / statistics.mean(row[name] for row in found) for name in ("num_test", "num_confirm")
    )
    error = math.sqrt(statistics.variance(differences) / len(found) + examples)
    return statistics.mean(differences), error, len(found) - 1.0


def pooled(found: Sequence[tuple[float, float, float]]) -> tuple[float, tuple[float, float]]:
    """Mean over data sets of equal weight, and its 95 % interval."""
    mean = statistics.mean(one[0] for one in found)
    error = math.sqrt(sum(one[1] ** 2 for one in found)) / len(found)
    half = float(special.stdtrit(sum(one[2] for one in found), 0.975)) * error
    return mean, (mean - half, mean + half)


def judge(found: dict[str, list[dict[str, Any]]]) -> tuple[dict[str, Any], bool | None]:
    """All keys of the result, and whether what must be is reached; None where a part was not measured."""
    agree = {name: within_one_step(rows) for name, rows in found.items()}
    covers = {name: interval_covers(rows) for name, rows in found.items()}
    told = [row["foresight"] for rows in found.values() for row in rows if row.get("foresight")]
    share = statistics.median(one["error_share"] for one in told) if told else None
    covered = statistics.mean(one["covered"] for one in told) if told else None
    biases = {name: bias_of(rows) for name, rows in found.items()}
    known = [one for one in biases.values() if one is not None]
    bias, interval = pooled(known) if known else (None, None)
    stated = [value for value in covers.values() if value is not None]
    facts = {
        "within_one_step": min(agree.values()),
        "within_one_step_of": agree,
        "interval_covers": min(stated) if len(stated) == len(covers) else None,
        "interval_covers_of": covers,
        "median_abs_error_share": share,
        "covered": covered,
        "foretold": len(told),
        "bias": bias,
        "bias_interval": interval,
        "bias_of": biases,
        "scores": {name: [row["score"] for row in rows] for name, rows in found.items()},
        "networks": {name: [row["network"] for row in rows] for name, rows in found.items()},
        "races": {name: sum(row.get("race") is not None for row in rows) for name, rows in found.items()},
    }
    if facts["interval_covers"] is None or share is None or covered is None or interval is None:
        return facts, None
    reached = min(facts["within_one_step"], facts["interval_covers"]) >= MUST_AGREE
    reached = reached and share <= MUST_SHARE and covered >= MUST_COVERED and interval[0] <= 0 <= interval[1]
    return facts, reached


def table(facts: dict[str, Any]) -> str:
    """The results in Markdown."""
    lines = ["| data | scores | within one step | intervals that hold the next run's score |", "|---|---|---|---|"]
    for name, scores in facts["scores"].items():
        covers = facts["interval_covers_of"][name]
        shown = "-" if covers is None else f"{covers:.0%}"
        ends = f"{min(scores):.4f} to {max(scores):.4f}"
        lines.append(f"| {name}, {BUDGETS[name]} | {ends} | {facts['within_one_step_of'][name]:.0%} | {shown} |")
    if facts["covered"] is not None:
        lines += [
            "",
            f"Foresight: {facts['median_abs_error_share']:.1%} of the error off in the median, {facts['covered']:.0%} "
            f"of {facts['foretold']} runs inside their 80 % interval.",
        ]
    if facts["bias"] is not None:
        low, high = facts["bias_interval"]
        lines += [
            "",
            f"Fresh-seed score minus test score: {facts['bias']:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}.",
        ]
    return "\n".join([*lines, "", ", ".join(machine().values()) + "."])


def main(args: argparse.Namespace) -> None:
    """Search what is not stored, and judge."""
    store = open_store(args, NAME)
    names = args.names or list(BUDGETS)
    found: dict[str, list[dict[str, Any]]] = {}
    failed = []
    for name in names:
        budget = args.budget or BUDGETS[name]
        for seed in range(args.seeds):
            key = f"{name} {budget} seed {seed}"
            row = store.row(key, partial(measure, name, args.data, budget, seed, args.out))
            if row["code"] != 0 or row["score"] is None:
                failed.append(row.get("output", row["run"]))
                continue
            say(f"{key}: test {row['score']:.4f}, {row['network']}, foresight {row['foresight']}")
            found.setdefault(name, []).append(row)
    if not found:
        finish(NAME, "searches that run", False, failed=failed)
    facts, reached = judge(found)
    if args.table:
        write_between(DOC, NAME, table(facts))
    whole = set(names) == set(BUDGETS) and args.seeds >= 10 and args.budget is None
    finish(
        NAME,
        "within_one_step, interval_covers >= 0.8; median_abs_error_share <= 0.15, covered >= 0.8; 0 in bias_interval",
        False if failed else reached if whole else None,
        **facts,
        failed=failed,
        machine=machine(),
    )


if __name__ == "__main__":
    parser = options(__doc__, seeds=10, budget=None)
    parser.add_argument("names", nargs="*", choices=[*BUDGETS, []], metavar="DATA", help="default: all")
    parser.add_argument("--data", type=Path, default=Path("data"), help="where letter lies (benchmarks/data.py)")
    parser.add_argument("--table", action="store_true", help="write the results to docs/performance.md as well")
    main(parser.parse_args())
