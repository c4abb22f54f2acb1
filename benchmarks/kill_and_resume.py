"""`kill -9` a search at random moments, `autorecipe resume` after each: nothing that was finished is lost.

    python benchmarks/kill_and_resume.py                       digits, 90 s, five kills; three runs to compare with
    python benchmarks/kill_and_resume.py --dataset data/letter --budget 3m --kills 8

Must: the run ends complete; in trials.jsonl and in Optuna's journal each finished trial is there once, and
both name the same ones; no trial that was finished before a kill is missing or trained again after it; the
score lies within the spread of uninterrupted runs (95 % prediction interval of other seeds), or is better.

The moments are drawn from `--moments SEED`: the time until the kills is spread over 85 % of the budget, and
what a run loses at each kill comes on top, so that all kills come before the end.
"""

import argparse
import random
import shutil
import subprocess
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from common import (
    add_dataset,
    command,
    dataset_words,
    empty_run,
    finish,
    kill_all,
    one_example,
    open_store,
    options,
    run_facts,
    say,
    search_words,
    spread,
    started,
    tail,
    timed_search,
)

from autorecipe.clock import parse_budget
from autorecipe.rundir import read_lines

NAME = "kill_and_resume"
MUST = "complete; each finished trial once, none lost, none trained twice; score within the spread or better"
SET_STATE = 6
"""Optuna's journal: the operation that ends a trial."""
FINISHED = (1, 2)
"""Optuna's states COMPLETE and PRUNED, as the journal has them."""


def moments(budget: str, kills: int, seed: int) -> list[float]:
    """Seconds from the start of each process to its kill."""
    seconds = parse_budget(budget).seconds
    if seconds is None:
        raise SystemExit("--budget must be a time here: the kills are spread over it")
    draw = random.Random(seed)
    points = sorted(draw.uniform(0.02, 0.85) * seconds for _ in range(kills))
    return [b - a for a, b in zip([0.0, *points], points, strict=False)]


def finished_trials(run: Path) -> dict[str, str]:
    """`STUDY#NUMBER` -> state and recipe of each trial in trials.jsonl."""
    return {
        f"{row['study']}#{row['number']}": f"{row['state']} {row['recipe']} {row['score']}"
        for row in read_lines(run / "trials.jsonl")
    }


def journal_trials(run: Path) -> tuple[list[str], int]:
    """Finished trials of the questions in Optuna's journal, and how many were ended more than once."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ended = Counter(
        row["trial_id"]
        for row in read_lines(run / "study.journal")
        if row["op_code"] == SET_STATE and row.get("state") in FINISHED
    )
    names = []
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copy(run / "study.journal", Path(folder).resolve() / "study.journal")
        storage = JournalStorage(JournalFileBackend(str(copy)))
        for study in optuna.get_all_study_names(storage):
            for trial in optuna.load_study(study_name=study, storage=storage).get_trials(deepcopy=False):
                own = "carried_from" not in trial.user_attrs
                if own and trial.state.name in ("COMPLETE", "PRUNED"):
                    names.append(f"{study}#{trial.number}")
    return names, sum(count > 1 for count in ended.values())


def kill_and_resume(
    words: list[str], budget: str, kills: int, seed: int, moments_seed: int, out: Path
) -> dict[str, Any]:
    """One search with its kills."""
    run = empty_run(out, NAME, f"killed-{seed}")
    log = run.parent / f"{run.name}.out"
    log.unlink(missing_ok=True)
    before: dict[str, str] = {}
    lost: set[str] = set()
    done = []
    waits: list[float | None] = [*moments(budget, kills, moments_seed), None]
    code = None
    for wait in waits:
        begun = (run / "settings.json").exists()
        if not begun:  # killed before the run's folder was there: the user types the first command again
            empty_run(out, NAME, run.name)
        what = command("resume", str(run)) if begun else search_words(words, budget, seed, run)
        with started(what, log) as process:
            try:
                code = process.wait(wait)
            except subprocess.TimeoutExpired:
                kill_all(process)
                code = None
        now = finished_trials(run)
        lost |= {key for key, facts in before.items() if now.get(key) != facts}
        before = now
        done.append(
            {
                "command": what[len(command()) :][0],
                "killed_after": wait and round(wait, 1),
                "finished": len(now),
                "code": code,
            }
        )
        say(f"{done[-1]}" if code is None else f"ended by itself with {code}: {len(now)} trials finished")
        if code is not None:  # complete before all kills, or failed
            break
    killed = sum(part["code"] is None for part in done)
    row = {**check_folder(run), "code": code, "kills": killed, "parts": done, "lost": sorted(lost)}
    return row if code == 0 else {**row, "output": tail(log)}


def check_folder(run: Path) -> dict[str, Any]:
    """Whether each finished trial is there once, in both records."""
    rows = read_lines(run / "trials.jsonl")
    numbers = Counter(f"{row['study']}#{row['number']}" for row in rows)
    trained = Counter(row["recipe"] for row in rows if row["state"] == "complete" and not row["reused"])
    ours = {f"{row['study']}#{row['number']}" for row in rows if row["state"] != "stopped"}
    journal, ended_twice = journal_trials(run) if (run / "study.journal").exists() else ([], 0)
    return {
        **run_facts(run),
        "run": str(run),
        "repeated_in_trials": sorted(name for name, count in numbers.items() if count > 1),
        "repeated_in_journal": sorted(name for name, count in Counter(journal).items() if count > 1),
        "ended_twice_in_journal": ended_twice,
        "only_in_trials": sorted(ours - set(journal)),
        "only_in_journal": sorted(set(journal) - ours),
        "trained_twice": sorted(recipe for recipe, count in trained.items() if count > 1),
    }


def judge(row: dict[str, Any], plain: list[dict[str, Any]], kills: int) -> dict[str, Any]:
    """Checks of one killed run beside uninterrupted ones."""
    scores = [other["score"] for other in plain if other["score"] is not None]
    checks = {
        "kills": row["kills"] == kills,
        "complete": row["code"] == 0 and row["status"] == "complete",
        "once_in_trials": not row["repeated_in_trials"],
        "once_in_journal": not row["repeated_in_journal"] and row["ended_twice_in_journal"] == 0,
        "same_in_both": not row["only_in_trials"] and not row["only_in_journal"],
        "none_lost": not row["lost"],
        "none_trained_twice": not row["trained_twice"],
    }
    facts: dict[str, Any] = {"score": row["score"], "uninterrupted": scores}
    if row["score"] is not None and scores:
        low, high = spread(scores, one_example(Path(row["run"]), row["metric"]))
        lower_is_better = row["metric"] in ("rmse", "mae", "log_loss")
        facts |= {"spread": [low, high]}
        checks["score"] = row["score"] <= high if lower_is_better else row["score"] >= low
    else:
        checks["score"] = False
    return {**facts, "checks": checks, "reached": all(checks.values())}


def main(args: argparse.Namespace) -> None:
    """The uninterrupted runs, then the killed ones."""
    words = dataset_words(args.dataset, args.target)
    store = open_store(args, NAME)
    what = f"{' '.join(words)} {args.budget}"
    plain = []
    for seed in range(args.seeds):
        say(f"uninterrupted, seed {seed}")
        run = partial(empty_run, args.out, NAME, f"plain-{seed}")
        row = store.row(
            f"plain {what} seed {seed}",
            lambda seed=seed, run=run: timed_search(words, args.budget, seed, run()),
        )
        say(f"test {row['score']}")
        plain.append(row)
    killed = []
    for number in range(args.rounds):
        at = args.moments + number
        say(f"killed, round {number}")
        key = f"killed {what} kills {args.kills} moments {at} round {number}"
        row = store.row(key, partial(kill_and_resume, words, args.budget, args.kills, number, at, args.out))
        say(f"{row['status']}, test {row['score']}")
        killed.append({**row, **judge(row, plain, args.kills)})
    finish(NAME, MUST, all(row["reached"] for row in killed), dataset=args.dataset, budget=args.budget, killed=killed)


if __name__ == "__main__":
    parser = options(__doc__, seeds=3, budget="90s")
    add_dataset(parser)
    parser.add_argument("--kills", type=int, default=5, help="kills of each run (default 5)")
    parser.add_argument("--rounds", type=int, default=1, help="killed runs, with seeds 0, 1, ... (default 1)")
    parser.add_argument("--moments", type=int, default=0, metavar="SEED", help="seed of the moments (default 0)")
    main(parser.parse_args())
