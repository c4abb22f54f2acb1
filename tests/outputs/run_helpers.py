"""A small finished run, and ways to change a copy of it."""

import shutil
from pathlib import Path

from helpers import go_on

from autorecipe.clock import parse_budget, start_clock
from autorecipe.outputs.verify import verify
from autorecipe.recipe import replace
from autorecipe.results import Decision
from autorecipe.rundir import RunDir, read_json, write_json
from autorecipe.search.agent import run_search
from autorecipe.search.checksums import write_checksums
from autorecipe.search.ledger import load_decisions, save_decisions
from autorecipe.search.settings import Settings


def silent(kind, **facts):
    """Tell nobody."""


def search_small(path, *, source="iris", data=None, budget="30epochs", **settings):
    """A search of a few epochs, without baselines."""
    chosen = Settings(
        source=None if data is not None else source, budget=budget, threads=1, baselines=False, **settings
    )
    clock = start_clock(parse_budget(budget), since_process_start=False)
    return run_search(chosen, path, clock, source=data, say=silent, stop=go_on)


def copy_of(run, place):
    """A copy of a run that may be changed."""
    return RunDir(Path(shutil.copytree(run.path, place / run.name)))


def check(run, budget="1epochs", **options):
    """Verify a run; a budget of an epoch is too little to train anything much."""
    allowed = parse_budget(budget)
    options = {"say": silent, "stop": go_on, **options}
    return verify(run, allowed, start_clock(allowed, since_process_start=False), **options)


def failed(found):
    """The kinds of claims that do not hold."""
    return sorted({claim.kind for claim in found.claims if claim.verdict == "does not hold"})


def of_kind(found, kind):
    return [claim for claim in found.claims if claim.kind == kind]


def change_json(path, **values):
    """Set items of a JSON file by `section__name`, as somebody would who edits it."""
    data = read_json(path)
    for name, value in values.items():
        *sections, last = name.split("__")
        here = data
        for section in sections:
            here = here[section]
        here[last] = value
    write_json(path, data)


def sign_again(run):
    """The checksums of the files as they are now: a forger who knows of them."""
    write_checksums(run)


def good_and_bad(run, steps=150):
    """Two recipes of the run's data, one of which learns a thousand times too slowly."""
    good = replace(
        run.load_recipe(load_decisions(run)[0].incumbent),
        {"training.steps": steps, "optimizer.lr": 0.01, "training.batch_size": 32},
    )
    bad = replace(good, {"optimizer.lr": 1e-5})
    return run.save_recipe(good), run.save_recipe(bad)


def claim_that(run, incumbent, candidate, verdict="adopted"):
    """A ledger with one decision, whose numbers are made up, and no predictions behind it."""
    better = verdict in ("adopted", "kept on the prior: the gain is not expected to last")
    sign = 1.0 if better else -1.0
    decision = Decision(
        stage="width",
        question="width 16 -> 32",
        incumbent=incumbent,
        candidates=(candidate,),
        candidate=candidate,
        study="s",
        trials=(),
        effect=0.2 * sign,
        standard_error=0.02,
        interval=(0.2 * sign - 0.05, 0.2 * sign + 0.05),
        p_better=0.99 if better else 0.01,
        num_examples=60,
        num_seeds=2,
        seconds=1.0,
        verdict=verdict,
        reason="",
        chosen=candidate if verdict == "adopted" else incumbent,
        scores={"incumbent": (0.7, 0.71), "candidate": (0.7 + 0.2 * sign, 0.72 + 0.2 * sign)},
        judged_by="accuracy",
        looks=1,
        example_variance=1e-4,
        parts=2,
        overlap=0.25,
    )
    save_decisions(run, [decision])
    sign_again(run)
