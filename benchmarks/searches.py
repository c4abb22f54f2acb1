"""Ten searches with different seeds: do they agree, and does what they say about themselves hold?

    python benchmarks/data.py letter --to data/
    python benchmarks/searches.py --data data/
    python benchmarks/searches.py letter --data data/ --seeds 3
    python benchmarks/searches.py --table                      stored runs, of any code -> docs/performance.md

letter for 60 s and the first 10,000 training images of Fashion-MNIST, with its 10,000 test images, for 120 s; seeds 0
to 9, each search in a process of its own.  The splits differ by the seed too; the test examples of letter and of
Fashion-MNIST are the same for all.  One row a run is kept, and an interrupted benchmark goes on after the last whole
run; all of it takes 33 minutes.

- within_one_step: of each data set, runs whose final width is the median width or at most one doubling off, and whose
  number of blocks is the median or at most one off.  The median of an even number is the lower of the two.
  within_one_step_pairs: pairs of runs that are so near to each other, of all pairs.
- interval_covers: a run states where the score of its recipe lies when it is trained again (`score_interval.retraining`
  of `summary.json`).  Of each data set, runs i whose interval holds the final score of the next run, i + 1 (of the last
  run: the first).  The next run was made by another search with other splits, whose recipe may differ: so this asks for
  more than the interval promises.  interval_width is the median width of these intervals (of 90 %), score_sd the
  standard deviation of the final scores.
- measured: of all decisions, those that were measured on fresh seeds; claimed: those that claim something of the
  candidate, better, worse or as good (`docs/run-folder.md`, verify).
- foresight: the median over all runs of |foretold - came| as a share of the error that came, and the share of runs
  inside their 80 % interval.
- bias: fresh-seed score minus test score of the same models (`bias_of`), for each data set and over both, with the 95 %
  interval.

Must: within_one_step and interval_covers >= 8 of 10 for each data set; median_abs_error_share <= 0.15, covered >= 0.8;
zero inside the interval of bias.
"""

import argparse
import itertools
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from common import (
    HERE,
    Store,
    code_digest,
    days,
    empty_run,
    finish,
    machine,
    open_store,
    options,
    origin,
    say,
    timed_search,
    write_between,
)
from data import FASHION_MNIST, fashion_mnist
from scipy import special

from autorecipe.outputs.recheck import claimed_of
from autorecipe.recipe import load_recipe
from autorecipe.rundir import RunDir, read_json
from autorecipe.search.ledger import load_decisions

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
    """Size of the final network, stated interval, the accounts, and what was measured and claimed."""
    decisions = load_decisions(RunDir(run))
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
        "num_pool": sum(len(splits[name]) for name in ("train", "val", "confirm")),
        "num_decisions": len(decisions),
        "measured": sum(decision.effect is not None for decision in decisions),
        "claimed": sum(bool(claimed_of(decision)) for decision in decisions),
    }


def completed(row: dict[str, Any]) -> dict[str, Any]:
    """A stored row; with what older code did not keep in it, if its run's folder is there still."""
    run = Path(row["run"])
    if row["score"] is None or "num_pool" in row or not (run / "splits.json").exists():
        return row
    return {**claims_of(run), **row}


def interval_of(summary: dict[str, Any]) -> tuple[float, float] | None:
    """Where a run says that the score of its recipe lies when it is trained again."""
    stated = (summary.get("score_interval") or {}).get("retraining") or {}
    low, high = stated.get("low"), stated.get("high")
    return None if low is None or high is None else (float(low), float(high))


# What the runs of one data set say together


def near(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two networks are at most one doubling of the width and one block apart."""
    (width, depth), (other_width, other_depth) = one, other
    doublings = abs(math.log2(max(1, width) / max(1, other_width)))
    return doublings <= 1 + 1e-9 and abs(depth - other_depth) <= 1


def sizes(rows: Sequence[dict[str, Any]]) -> list[tuple[int, int]]:
    """Width and depth of each run's final network."""
    return [(row["width"], row["depth"]) for row in rows]


def within_one_step(rows: Sequence[dict[str, Any]]) -> float:
    """Share of runs that are near the median width and depth."""
    found = sizes(rows)
    width, depth = (statistics.median_low(values) for values in zip(*found, strict=True))
    return statistics.mean(near(one, (width, depth)) for one in found)


def within_one_step_pairs(rows: Sequence[dict[str, Any]]) -> float | None:
    """Share of pairs of runs that are near each other; None for one run."""
    pairs = list(itertools.combinations(sizes(rows), 2))
    return statistics.mean(near(*pair) for pair in pairs) if pairs else None


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


def interval_width(rows: Sequence[dict[str, Any]]) -> float | None:
    """Median width of the stated intervals; None where none is stated."""
    widths = [row["interval"][1] - row["interval"][0] for row in rows if row.get("interval") is not None]
    return statistics.median(widths) if widths else None


def score_sd(rows: Sequence[dict[str, Any]]) -> float | None:
    """Standard deviation of the final scores; None for one run."""
    return statistics.stdev(row["score"] for row in rows) if len(rows) > 1 else None


def share_of_decisions(rows: Sequence[dict[str, Any]], name: str) -> float | None:
    """Share of all runs' decisions that were `measured`, or `claimed` something; None where no row knows."""
    known = [row for row in rows if row.get("num_decisions")]
    return sum(row[name] for row in known) / sum(row["num_decisions"] for row in known) if known else None


@dataclass(frozen=True)
class Bias:
    """Mean of fresh-seed score minus test score, and what its variance is made of."""

    mean: float
    of_runs: float
    """What differs from run to run."""
    df: float
    """Degrees of freedom of `of_runs`."""
    of_examples: float
    """What all runs have in common."""

    @property
    def interval(self) -> tuple[float, float]:
        """Of 95 %, by Student's t; the degrees of freedom are Welch's and Satterthwaite's."""
        variance = self.of_runs + self.of_examples
        df = self.df * (variance / self.of_runs) ** 2 if self.of_runs else math.inf
        half = float(special.stdtrit(df, 0.975)) * math.sqrt(variance)
        return self.mean - half, self.mean + half


def bias_of(rows: Sequence[dict[str, Any]]) -> Bias | None:
    """The bias on one data set; None without two runs.

    Run r has the difference d = h - t: h is the mean over its fresh seeds' models of their scores on examples that were
    held out, t that of the same models on test.  How well its recipe is trained is in both and cancels; what is left of
    it, and the run's own choice of held-out examples, differ from run to run.  For R runs of which any two have the
    covariance c, the variance v of their differences expects Var(d) - c, and their mean has

        Var(d) / R + (1 - 1 / R) c = v / R + c,

    whatever makes up the two.  c is the luck that two runs share: what is hard for one is hard for the other.  With s
    for the variance of right and wrong between examples, w (1 - w) for an error w, the runs share

    - test: the same T examples, s / T;
    - held-out examples: random parts of a pool of N, all examples outside test, as each seed draws them anew.  Parts of
      n have n^2 / N examples in common: (n^2 / N) s / n^2 = s / N, whatever n is and however many parts.

    The rest of the held-out examples' choice, s / n - s / N for each run, is in v.  This has every run find the same
    examples hard; as they do so in part alone, c is less, and the interval is rather too wide.  Rows that do not
    know N (`num_pool`) count their held-out examples as if they were the same in all runs: s / n.
    """
    found = [row for row in rows if row.get("fresh_seeds")]
    if len(found) < 2:
        return None
    differences = [row["fresh_seeds"]["fresh_seeds"] - row["fresh_seeds"]["test"] for row in found]
    wrong = 1 - statistics.mean(row["fresh_seeds"]["test"] for row in found)
    test = statistics.mean(row["num_test"] for row in found)
    held_out = statistics.mean(row.get("num_pool", row["num_confirm"]) for row in found)
    of_examples = wrong * (1 - wrong) * (1 / test + 1 / held_out)
    of_runs = statistics.variance(differences) / len(found)
    return Bias(statistics.mean(differences), of_runs, len(found) - 1.0, of_examples)


def pooled(found: Sequence[Bias]) -> Bias:
    """Mean over data sets of equal weight."""
    count = len(found)
    of_runs = sum(one.of_runs for one in found)
    squares = sum(one.of_runs**2 / one.df for one in found)
    df = of_runs**2 / squares if squares else sum(one.df for one in found)
    of_examples = sum(one.of_examples for one in found)
    return Bias(statistics.mean(one.mean for one in found), of_runs / count**2, df, of_examples / count**2)


def judge(found: dict[str, list[dict[str, Any]]]) -> tuple[dict[str, Any], bool | None]:
    """All keys of the result, and whether what must be is reached; None where a part was not measured."""
    agree = {name: within_one_step(rows) for name, rows in found.items()}
    covers = {name: interval_covers(rows) for name, rows in found.items()}
    told = [row["foresight"] for rows in found.values() for row in rows if row.get("foresight")]
    share = statistics.median(one["error_share"] for one in told) if told else None
    covered = statistics.mean(one["covered"] for one in told) if told else None
    biases = {name: bias_of(rows) for name, rows in found.items()}
    known = [one for one in biases.values() if one is not None]
    bias = pooled(known) if known else None
    stated = [value for value in covers.values() if value is not None]
    facts = {
        "within_one_step": min(agree.values()),
        "within_one_step_of": agree,
        "within_one_step_pairs": {name: within_one_step_pairs(rows) for name, rows in found.items()},
        "interval_covers": min(stated) if len(stated) == len(covers) else None,
        "interval_covers_of": covers,
        "interval_width": {name: interval_width(rows) for name, rows in found.items()},
        "score_sd": {name: score_sd(rows) for name, rows in found.items()},
        "measured": {name: share_of_decisions(rows, "measured") for name, rows in found.items()},
        "claimed": {name: share_of_decisions(rows, "claimed") for name, rows in found.items()},
        "median_abs_error_share": share,
        "covered": covered,
        "foretold": len(told),
        "bias": bias.mean if bias else None,
        "bias_interval": bias.interval if bias else None,
        "bias_of": {
            name: {"bias": one.mean, "interval": one.interval} if one else None for name, one in biases.items()
        },
        "scores": {name: [row["score"] for row in rows] for name, rows in found.items()},
        "networks": {name: [row["network"] for row in rows] for name, rows in found.items()},
        "races": {name: sum(row.get("race") is not None for row in rows) for name, rows in found.items()},
    }
    if facts["interval_covers"] is None or share is None or covered is None or bias is None:
        return facts, None
    low, high = bias.interval
    reached = min(facts["within_one_step"], facts["interval_covers"]) >= MUST_AGREE
    reached = reached and share <= MUST_SHARE and covered >= MUST_COVERED and low <= 0 <= high
    return facts, reached


def table(facts: dict[str, Any]) -> str:
    """The results in Markdown."""
    heads = (
        "scores | sd of them | intervals, width | that hold the next run's score | near the median network | near pairs"
    )
    lines = [f"| data | {heads} |", "|---" * 7 + "|"]
    for name, scores in facts["scores"].items():
        ends = f"{min(scores):.4f} to {max(scores):.4f}"
        spreads = [_shown(facts[key][name], ".4f") for key in ("score_sd", "interval_width")]
        keys = ("interval_covers_of", "within_one_step_of", "within_one_step_pairs")
        shares = [_shown(facts[key][name], ".0%") for key in keys]
        lines.append(f"| {' | '.join([f'{name}, {BUDGETS[name]}', ends, *spreads, *shares])} |")
    heads = "decisions measured on fresh seeds | that claim something | fresh-seed minus test score | its 95 % interval"
    lines += ["", f"| data | {heads} |", "|---" * 5 + "|"]
    for name, bias in facts["bias_of"].items():
        shares = [_shown(facts[key][name], ".0%") for key in ("measured", "claimed")]
        lines.append(f"| {' | '.join([name, *shares, *_bias_cells(bias)])} |")
    if facts["bias"] is not None:
        both = {"bias": facts["bias"], "interval": facts["bias_interval"]}
        lines.append(f"| {' | '.join(['mean', '', '', *_bias_cells(both)])} |")
    if facts["covered"] is not None:
        lines += [
            "",
            f"Foresight: {facts['median_abs_error_share']:.1%} of the error off in the median, {facts['covered']:.0%} "
            f"of {facts['foretold']} runs inside their 80 % interval.",
        ]
    return "\n".join([*lines, "", f"{', '.join(machine().values())}. {days(facts['rows'])}"])


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _bias_cells(bias: dict[str, Any] | None) -> list[str]:
    """A bias and its interval, as two cells."""
    if bias is None:
        return ["-", "-"]
    low, high = bias["interval"]
    return [f"{bias['bias']:+.4f}", f"{low:+.4f} to {high:+.4f}"]


def lines_of(args: argparse.Namespace, store: Store, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Keys and stored lines of a data set's searches, searched first if need be; of any code for the table."""
    budget = args.budget or BUDGETS[name]
    for seed in range(args.seeds):
        key = f"{name} {budget} seed {seed}"
        if not args.table:
            store.row(key, partial(measure, name, args.data, budget, seed, args.out))
        line = store.newest(key, None if args.table else code_digest())
        if line is not None:
            yield key, {**line, "row": completed(line["row"])}


def main(args: argparse.Namespace) -> None:
    """Search what is not stored, and judge."""
    store = open_store(args, NAME)
    names = args.names or list(BUDGETS)
    found: dict[str, list[dict[str, Any]]] = {}
    lines, failed = [], []
    for name in names:
        for key, line in lines_of(args, store, name):
            lines.append(line)
            row = line["row"]
            if row["code"] != 0 or row["score"] is None:
                failed.append(row.get("output", row["run"]))
                continue
            say(f"{key}: test {row['score']:.4f}, {row['network']}, foresight {row['foresight']}")
            found.setdefault(name, []).append(row)
    if not found:
        finish(NAME, "searches that run", None if args.table else False, failed=failed)
    facts, reached = judge(found)
    facts["rows"] = origin(lines, [line["code"] for line in lines])
    if args.table:
        write_between(DOC, NAME, table(facts))
    whole = set(names) == set(BUDGETS) and args.seeds >= 10 and args.budget is None
    whole = whole and len(lines) == len(names) * args.seeds
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
    parser.add_argument(
        "--table", action="store_true", help=f"write the stored rows, of any code, to docs/{DOC.name}; search nothing"
    )
    main(parser.parse_args())
