"""Are decisions to be trusted?  A recipe against itself, and known improvements, decided thousands of times.

    python benchmarks/data.py letter --to data/
    python benchmarks/decisions.py --data data/
    python benchmarks/decisions.py --data data/ --minutes 10   what is missing, for so long; again, until all is stored
    python benchmarks/decisions.py letter-width --data data/ --seeds 20
    python benchmarks/decisions.py --quick --data data/        one case, few seeds and steps: to see that it works
    python benchmarks/decisions.py --table                     stored runs -> docs/performance.md

Each recipe is trained with 60 seeds, as a search trains its decision runs: seed s holds out the s-th of the rotating
parts, and its outputs there are stored.  A draw then takes a few of these runs, other ones for the incumbent than for
the candidate, and decides as the search does (`search/evidence.py`, `search/decide.py`): two seeds, and two more where
these have not decided; without earlier questions, and with three.

The runs are stored by recipe and held-out part, pieces of a minute or so; recipes that cases share are trained once.
Stored runs are taken whichever version of the code trained them, for the draws ask how runs are judged and not how they
are trained; `rows` of RESULT has the first and last time of their training, and how many versions of the training code
they are of, as far as that is known.  `--fresh` trains them again.
On 2 CPU cores letter takes about 12 minutes, the images (samples of Debian's dataset-fashion-mnist) about 25, the draws
about 4.

- false_adoption: a recipe against itself.  The share of draws whose gain is claimed; upper95 ends its one-sided
  95 % interval (Clopper and Pearson 1934) over the draws, and `upper95_recipes` that over recipes, which share no run.
- power: known improvements, the better as the candidate.  The share of draws whose gain is claimed.
- known_loss: the same the other way round.

The improvements are meant to have effects of 10 to 25 % of the error; `outside` names those that turn out not to, whose
power does not count.  Where all cases of one kind (width, rate, depth, decay, augmentation) are outside, the benchmark
is not reached.

Must: upper95 and upper95_recipes <= 0.07, power >= 0.80 over all, known_loss <= 0.03 for each.
"""

import argparse
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replace_record
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import HERE, Store, days, finish, machine, open_store, options, origin, say, training_code, write_between
from data import FASHION_MNIST, read_idx
from safetensors.numpy import load_file, save_file
from scipy import special

from autorecipe.data import Dataset, ReadOptions, load_dataset
from autorecipe.networks import family
from autorecipe.recipe import Block, Recipe, replace
from autorecipe.search import decide
from autorecipe.search.evidence import Pair, judge
from autorecipe.search.points import SEEDS
from autorecipe.search.space import data_fields, load_space, starting_changes
from autorecipe.search.trials import SeedRun, parts_of
from autorecipe.training.cohort import start_cohort, train_cohort
from autorecipe.training.evaluate import on_device, predict, score
from autorecipe.training.hardware import find_hardware

NAME = "decisions"
DOC = HERE.parent / "docs" / "performance.md"
RUNS = 60
DRAWS = 400
"""Of each recipe, and of each improvement."""
EARLIER = 3
"""Earlier questions whose seeds are pooled, in half of the draws."""
COHORT = 20
QUICK_SEEDS, QUICK_STEPS = 15, 60
EFFECTS = (0.10, 0.25)
MUST_UPPER, MUST_POWER, MUST_LOSS = 0.07, 0.80, 0.03


@dataclass(frozen=True)
class Case:
    """A known improvement: two recipes on the same data."""

    data: str
    width: int
    steps: int
    worse: dict[str, Any]
    better: dict[str, Any]
    """Changes to the starting recipe; `width` and `blocks` change the network."""


CASES = {
    "letter-width": Case("letter", 128, 2000, {"width": 64}, {}),
    "letter-rate": Case("letter", 64, 1500, {"optimizer.lr": 0.00075}, {}),
    "letter-depth": Case("letter", 64, 1500, {"blocks": 1}, {"blocks": 2}),
    "letter-decay": Case("letter_noise", 64, 1500, {"optimizer.weight_decay": 0.0}, {"optimizer.weight_decay": 1.0}),
    "fashion-width": Case("fashion_mnist", 8, 500, {"width": 4}, {}),
    "fashion-rate": Case("fashion_mnist", 8, 500, {"optimizer.lr": 0.00075}, {}),
    "fashion-augmentation": Case(
        "fashion_3000",
        8,
        900,
        {"regularization.crop": 0, "regularization.flip": False},
        {"regularization.crop": 1, "regularization.flip": False},
    ),
}
"""By name: what is missing, and what has it.

On letter as it is weight decay gains nothing, from 3,000 rows to 16,000: it is tried with columns of noise.
"""
NOISE = 50
"""Columns of noise in `letter_noise`."""


def dataset_of(name: str, data: Path) -> Dataset:
    """A sample of a data set, split as a search splits it."""
    draw = np.random.default_rng(0)
    if name.startswith("letter"):
        frame = pd.read_csv(data / "letter" / "train.csv").iloc[draw.permutation(16_000)[:10_000]]
        targets = frame.pop("lettr")
        if name == "letter_noise":
            noise = draw.normal(size=(len(frame), NOISE)).round(3)
            names = [f"noise{k}" for k in range(NOISE)]
            frame = pd.concat([frame, pd.DataFrame(noise, index=frame.index, columns=names)], axis=1)
        return load_dataset((frame, targets), ReadOptions())
    files = (f"train-{name}-ubyte.gz" for name in ("images-idx3", "labels-idx1"))
    images, labels = (read_idx(FASHION_MNIST / file) for file in files)
    pick = draw.permutation(len(images))[: 10_000 if name == "fashion_mnist" else 3_000]
    return load_dataset((images[pick], labels[pick]), ReadOptions())


def label_of(case: Case, changes: dict[str, Any]) -> str:
    """A name for a recipe, the same for equal ones."""
    words = [f"{name.rpartition('.')[2]}{value}" for name, value in sorted(changes.items())]
    return "-".join([case.data, f"width{case.width}", f"steps{case.steps}", *words])


def recipe_of(case: Case, dataset: Dataset, changes: dict[str, Any]) -> Recipe:
    """The starting recipe of the data with a case's changes."""
    info = dataset.info
    space = load_space(info.modality)
    smallest = family(space.family).smallest(info)
    width = int(changes.get("width", case.width))
    blocks = smallest.blocks[: int(changes.get("blocks", len(smallest.blocks)))]
    ratio = width / smallest.width
    section = replace_record(
        smallest, width=width, blocks=tuple(Block(round(b.width * ratio), b.kernel, b.stride) for b in blocks)
    )
    others = {name: value for name, value in changes.items() if name not in ("width", "blocks")}
    steps = {"optimizer.lr": 0.003, "training.steps": case.steps}
    return replace(
        Recipe(), {"network": section, **starting_changes(space, info), **data_fields(info), **steps, **others}
    )


def train_runs(
    dataset: Dataset, case: Case, changes: dict[str, Any], seeds: Sequence[int], path: Path
) -> dict[str, Any]:
    """Train a recipe with seeds of one held-out part, store the outputs there; the scores."""
    hardware = find_hardware("auto")
    tensors = on_device(dataset, hardware.device)
    recipe = recipe_of(case, dataset, changes)
    found: dict[str, np.ndarray] = {}
    rows, held_out = (torch.from_numpy(np.ascontiguousarray(x)) for x in dataset.splits.held_out(seeds[0]))
    for some in parts_of(seeds, COHORT):
        recipes = [replace(recipe, {"training.seed": 1000 * (seed + 1)}) for seed in some]
        cohort = start_cohort(recipes, tensors, [rows] * len(some), hardware)
        for _ in train_cohort(cohort, tensors):
            pass
        outputs = predict(cohort.readable, tensors.inputs, held_out, recipe)
        for k, number in enumerate(cohort.numbers):
            found[str(some[number])] = np.ascontiguousarray(outputs[:, k], dtype=np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(found, path)
    targets = dataset.targets.numpy()[held_out.numpy()]
    scores = [score(dataset.info.metric, targets, outputs, dataset.info) for outputs in found.values()]
    say(f"{path.stem}: {len(scores)} runs, error {1 - statistics.mean(scores):.4f}, sd {statistics.pstdev(scores):.4f}")
    return {"file": path.name, "scores": scores, "training_code": training_code()}


@dataclass(frozen=True)
class Runs:
    """Where runs of recipes are stored, or trained."""

    store: Store
    folder: Path
    seeds: int
    until: float
    """By `time.monotonic`: after it nothing more is trained."""
    lines: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the store holds of the runs that were taken or trained, by label."""

    def of(self, dataset: Dataset, case: Case, changes: dict[str, Any]) -> tuple[list[Path], float] | None:
        """The files of a recipe's runs and their mean score; None where some are missing and the time is over."""
        count = len(dataset.splits.parts)
        paths, scores = [], []
        for part in range(count):
            label = f"{label_of(case, changes)}-part{part}-x{self.seeds}"
            path = self.folder / f"{label}.safetensors"
            measure = partial(train_runs, dataset, case, changes, range(part, self.seeds, count), path)
            known = self.store.newest(label, "runs") is not None and path.exists()
            if not known and time.monotonic() > self.until:
                return None
            store = self.store if known else replace_record(self.store, fresh=True)
            scores += store.row(label, measure, code="runs")["scores"]
            paths.append(path)
            line = store.newest(label, "runs")
            assert line is not None
            self.lines[label] = line
        return paths, statistics.mean(scores)


def stored_runs(paths: Sequence[Path], dataset: Dataset) -> dict[int, list[SeedRun]]:
    """Stored runs by held-out part."""
    info, targets = dataset.info, dataset.targets.numpy()
    found: dict[int, list[SeedRun]] = {}
    stored = {int(seed): outputs for path in paths for seed, outputs in load_file(path).items()}
    for seed, outputs in sorted(stored.items()):
        part = seed % len(dataset.splits.parts)
        rows = dataset.splits.held_out(part)[1]
        value = score(info.metric, targets[rows], outputs, info)
        found.setdefault(part, []).append(SeedRun(value, outputs, rows, 0.0, True, None))
    return found


def draw_pairs(old: dict[int, list[SeedRun]], new: dict[int, list[SeedRun]], random: np.random.Generator) -> list[Pair]:
    """Pairs for both looks, each on its own part; the same run is never on both sides."""
    pairs = []
    for part in range(2 * SEEDS):
        part %= len(old)
        first, second = random.choice(len(old[part]), 2, replace=False)
        pairs.append((old[part][first], new[part][second if old is new else first]))
    return pairs


def claims(pairs: Sequence[Pair], dataset: Dataset, earlier: Sequence[decide.Evidence]) -> bool:
    """Whether a gain is claimed, as the search does it."""
    targets, info = dataset.targets.numpy(), dataset.info
    trained_on = len(dataset.splits.held_out(0)[0])
    found = judge(pairs[:SEEDS], targets, info, trained_on, earlier)
    if decide.undecided(found.judged, found.error):
        found = judge(pairs, targets, info, trained_on, earlier, looks=2)
    return found.judged.p_better >= decide.CLAIM


def shares(
    old: dict[int, list[SeedRun]],
    new: dict[int, list[SeedRun]],
    dataset: Dataset,
    others: Sequence[dict[int, list[SeedRun]]],
    seed: int,
) -> float:
    """Share of draws in which `new` is claimed to be better than `old`; half of them after earlier questions."""
    random = np.random.default_rng(seed)
    targets, trained_on = dataset.targets.numpy(), len(dataset.splits.held_out(0)[0])
    count = 0
    for k in range(DRAWS):
        earlier: list[decide.Evidence] = []
        if k % 2:
            for which in random.choice(len(others), min(EARLIER, len(others)), replace=False):
                pairs = draw_pairs(others[which], others[which], random)[:SEEDS]
                earlier += judge(pairs, targets, dataset.info, trained_on).evidence
        count += claims(draw_pairs(old, new, random), dataset, earlier)
    return count / DRAWS


def upper(share: float, count: int) -> float:
    """End of the one-sided 95 % interval of a share (Clopper and Pearson 1934)."""
    hits = round(share * count)
    return 1.0 if hits >= count else float(special.betaincinv(hits + 1, count - hits, 0.95))


def upper_mean(values: Sequence[float]) -> float:
    """End of the one-sided 95 % interval of a mean over recipes, by Student's t."""
    if len(values) < 2:
        return 1.0
    spread = statistics.stdev(values) / len(values) ** 0.5
    return statistics.mean(values) + float(special.stdtrit(len(values) - 1, 0.95)) * spread


def judge_cases(
    names: Sequence[str], runs: Runs, data: Path
) -> tuple[dict[str, dict[str, float]], dict[str, float], list[str]]:
    """Effect, power and known loss of each improvement; the share of false claims of each recipe; what is missing."""
    improvements: dict[str, dict[str, float]] = {}
    false: dict[str, float] = {}
    missing: list[str] = []
    for kind in dict.fromkeys(CASES[name].data for name in names):
        dataset = dataset_of(kind, data)
        stored: dict[str, dict[int, list[SeedRun]]] = {}
        means: dict[str, float] = {}
        labels: dict[str, tuple[str, str]] = {}
        for name in (name for name in names if CASES[name].data == kind):
            case = CASES[name]
            found = {label_of(case, changes): runs.of(dataset, case, changes) for changes in (case.worse, case.better)}
            whole = {label: one for label, one in found.items() if one is not None}
            for label, (paths, mean) in whole.items():
                stored[label], means[label] = stored_runs(paths, dataset), mean
            if len(whole) == 2:
                labels[name] = (label_of(case, case.worse), label_of(case, case.better))
            else:
                missing.append(name)
        others = list(stored.values())
        for number, (label, one) in enumerate(stored.items()):
            false[label] = shares(one, one, dataset, others, number)
            say(f"{label} against itself: {false[label]:.3f} claimed")
        for number, (name, (worse, better)) in enumerate(labels.items()):
            old, new = stored[worse], stored[better]
            error = decide.error_of(dataset.info.metric, means[worse])
            improvements[name] = {
                "effect": (means[better] - means[worse]) / error,
                "power": shares(old, new, dataset, others, 100 + number),
                "known_loss": shares(new, old, dataset, others, 200 + number),
            }
            say(f"{name}: " + ", ".join(f"{key} {value:.3f}" for key, value in improvements[name].items()))
    return improvements, false, missing


def table(improvements: dict[str, dict[str, float]], false: dict[str, float], rows: dict[str, Any]) -> str:
    """The results in Markdown."""
    lines = [
        "| known improvement | effect, share of the error | claimed | claimed the other way round |",
        "|---|---|---|---|",
    ]
    for name, row in improvements.items():
        lines.append(f"| {name} | {row['effect']:.1%} | {row['power']:.1%} | {row['known_loss']:.1%} |")
    lines += ["", "| a recipe against itself | claimed |", "|---|---|"]
    lines += [f"| {name} | {share:.1%} |" for name, share in false.items()]
    most = max(false, key=lambda name: false[name])
    lines += ["", f"Claimed against itself most often: {most}, in {false[most]:.1%} of {DRAWS} draws."]
    return "\n".join([*lines, "", f"{', '.join(machine().values())}. {days(rows)}"])


def main(args: argparse.Namespace) -> None:
    """Train what is not stored, draw, and the verdict."""
    store = open_store(args, NAME)
    names = args.names or (["letter-width"] if args.quick else list(CASES))
    if args.quick:
        CASES.update({name: replace_record(CASES[name], steps=QUICK_STEPS) for name in names})
        args.seeds = QUICK_SEEDS
    runs = Runs(store, args.out / NAME, args.seeds, time.monotonic() + 60 * args.minutes)
    improvements, false, missing = judge_cases(names, runs, args.data)
    if not improvements:
        finish(NAME, "all runs stored", None, missing=missing)
    lines = list(runs.lines.values())
    rows = origin(lines, [line["row"].get("training_code") for line in lines])
    if args.table:
        write_between(DOC, NAME, table(improvements, false, rows))
    false_adoption = statistics.mean(false.values())
    upper95 = upper(false_adoption, DRAWS * len(false))
    over_recipes = upper_mean(list(false.values()))
    inside = [name for name, row in improvements.items() if EFFECTS[0] <= row["effect"] <= EFFECTS[1]]
    power = statistics.mean(improvements[name]["power"] for name in inside) if inside else 0.0
    kinds = {name.rpartition("-")[2] for name in names}
    worst = max(row["known_loss"] for row in improvements.values())
    judged = set(names) == set(CASES) and args.seeds >= RUNS and not missing
    every_kind = {name.rpartition("-")[2] for name in inside} == kinds
    false_enough = max(upper95, over_recipes) <= MUST_UPPER
    reached = every_kind and false_enough and power >= MUST_POWER and worst <= MUST_LOSS if judged else None
    finish(
        NAME,
        f"upper95 and upper95_recipes <= {MUST_UPPER}, power >= {MUST_POWER}, known_loss <= {MUST_LOSS}",
        reached,
        false_adoption=round(false_adoption, 4),
        upper95=round(upper95, 4),
        upper95_recipes=round(over_recipes, 4),
        power=round(power, 4),
        known_loss=worst,
        draws=DRAWS * len(false),
        rows=rows,
        improvements=improvements,
        false=false,
        outside=[name for name in improvements if name not in inside],
        missing=missing,
        machine=machine(),
    )


if __name__ == "__main__":
    parser = options(__doc__, seeds=RUNS, budget=None)
    parser.add_argument(
        "names", nargs="*", choices=[*CASES, []], metavar="CASE", help=f"{', '.join(CASES)}; default: all"
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="where the data lies (benchmarks/data.py)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="train nothing more after so many")
    parser.add_argument("--quick", action="store_true", help="one case, few seeds and steps")
    parser.add_argument("--table", action="store_true", help="write the results to docs/performance.md as well")
    main(parser.parse_args())
