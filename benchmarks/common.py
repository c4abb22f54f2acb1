"""What the benchmarks share: options, commands with their time, results that survive an interruption.

Legend: a *run* is the folder that `autorecipe search` writes; a *row* is what a benchmark measured of one.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from scipy import special

import autorecipe
from autorecipe.clock import parse_budget
from autorecipe.rundir import read_json, read_lines

HERE = Path(__file__).resolve().parent
TARGETS = {"letter": "lettr", "diamonds": "price"}
"""Target columns of the benchmark tables, by name without suffix."""


def options(doc: str | None, *, seeds: int | None = 3, budget: str | None = "60s") -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has; `doc` is the script's docstring."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    own = "each data set's own"
    shown = own if seeds is None else seeds
    parser.add_argument("--seeds", type=int, default=seeds, metavar="N", help=f"seeds 0 to N - 1 (default: {shown})")
    parser.add_argument("--budget", default=budget, help=f"budget of each search (default: {budget or own})")
    parser.add_argument(
        "--out", type=Path, default=HERE / "results", metavar="DIR", help="rows and runs (default: benchmarks/results)"
    )
    parser.add_argument("--fresh", action="store_true", help="measure again what --out holds already")
    return parser


def add_dataset(parser: argparse.ArgumentParser, default: str = "digits") -> None:
    """The options of a benchmark on any one data set."""
    parser.add_argument("--dataset", default=default, help=f"a path or a bundled name (default {default})")
    parser.add_argument("--target", metavar="COL", help="the column to predict, for tables")


def dataset_words(dataset: str, target: str | None) -> list[str]:
    """A data set as words of a command; the benchmark tables know their target."""
    target = target or TARGETS.get(Path(dataset).name.split(".")[0])
    if Path(dataset).parent != Path() and not Path(dataset).exists():
        sys.exit(f"{dataset} is not there; 'python benchmarks/data.py --help' says how to lay out the data")
    return [dataset, *(["--target", target] if target else [])]


def say(text: str) -> None:
    """One line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def finish(name: str, must: str, reached: bool | None, **facts: Any) -> None:
    """The last line of every benchmark; exit code 1 if what must be was not reached (None: not judged)."""
    print("RESULT " + json.dumps({"benchmark": name, "must": must, "reached": reached, **facts}, default=str))
    sys.stdout.flush()
    sys.exit(1 if reached is False else 0)


# Results that survive an interruption


@cache
def code_digest() -> str:
    """Digest of the package's code and search spaces: rows of other code are not taken."""
    root = Path(autorecipe.__file__).resolve().parent
    return digest_of([*root.rglob("*.py"), *root.rglob("*.yaml"), *root.parent.glob("search_spaces/*.yaml")])


def training_code() -> str:
    """Digest of the package's code that trains: of rows that no search, decision or report has a part in."""
    root = Path(autorecipe.__file__).parent
    return digest_of(path for name in ("training", "networks", "data") for path in (root / name).rglob("*.py"))


def digest_of(files: Iterable[Path]) -> str:
    """Digest of some files' names and contents."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:12]


@dataclass(frozen=True)
class Store:
    """Rows of one benchmark, kept as they come; an interrupted benchmark takes them up again."""

    path: Path
    """A file of JSON lines."""
    fresh: bool = False

    def row(self, key: str, measure: Callable[[], dict[str, Any]], code: str | None = None) -> dict[str, Any]:
        """The row of a key: from the file, if this code made it, or measured now and kept.

        `code` is the digest of the code that the row depends on; else that of the whole package.
        """
        code = code or code_digest()
        if not self.fresh:
            line = self.newest(key, code)
            if line is not None:
                say(f"{key}: taken from {self.path.name}")
                return dict(line["row"])
        row = measure()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a") as file:
            line = {"key": key, "code": code, "time": round(time.time()), "row": row}
            file.write(json.dumps(line, default=str) + "\n")
        return dict(json.loads(json.dumps(row, default=str)))  # the same whether measured or taken

    def newest(self, key: str, code: str | None = None) -> dict[str, Any] | None:
        """The newest line of a key (`time`, `row`), of this code or of any; None if there is none."""
        for line in reversed(read_lines(self.path)):
            if line.get("key") == key and code in (None, line.get("code")):
                return dict(line)
        return None


def origin(lines: Sequence[dict[str, Any]], codes: Sequence[str | None]) -> dict[str, Any]:
    """When lines of a store were measured, and by how many versions of the code.

    Args:
        lines: as `Store.newest` gives them.
        codes: the digest of the code that made each; None where it is not known.
    """
    times = [line["time"] for line in lines]
    first, last = (time.strftime("%Y-%m-%d %H:%M", time.localtime(moment)) for moment in (min(times), max(times)))
    versions = len({code for code in codes if code is not None})
    return {"rows": len(lines), "first": first, "last": last, "codes": versions, "of_unknown_code": codes.count(None)}


def days(found: dict[str, Any]) -> str:
    """The days of an `origin`, as a sentence."""
    first, last = (found[name].split()[0] for name in ("first", "last"))
    return f"Measured {first if first == last else f'{first} to {last}'}."


def open_store(args: argparse.Namespace, name: str) -> Store:
    """The store of a benchmark in the folder of `--out`."""
    return Store(args.out / f"{name}.jsonl", args.fresh)


def empty_run(out: Path, *names: str) -> Path:
    """A place under OUT/runs for a run; what an interrupted benchmark left there is removed."""
    run = (out / "runs").joinpath(*names).resolve()
    shutil.rmtree(run, ignore_errors=True)
    run.parent.mkdir(parents=True, exist_ok=True)
    return run


# Commands


def command(*words: str) -> list[str]:
    """`autorecipe ...` of this Python environment, as a user types it."""
    script = Path(sys.executable).with_name("autorecipe")
    program = [str(script)] if script.exists() else [sys.executable, "-m", "autorecipe.cli.main"]
    return [*program, *words]


def search_words(dataset: Sequence[str], budget: str, seed: int, run: Path) -> list[str]:
    """`autorecipe search DATASET ...`."""
    return command("search", *dataset, "--budget", budget, "--seed", str(seed), "--out", str(run))


@contextlib.contextmanager
def started(
    words: Sequence[str], log: Path, environment: dict[str, str] | None = None, folder: Path | None = None
) -> Iterator[subprocess.Popen]:
    """A command in a process group of its own, its output in `log`; killed whole if the block is left early."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as file:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
            cwd=folder,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                kill_all(process)


def kill_all(process: subprocess.Popen) -> None:
    """`kill -9` a process, its group, and children that left the group."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        children = []
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    process.wait()


def timed(
    words: Sequence[str], log: Path, environment: dict[str, str] | None = None, folder: Path | None = None
) -> tuple[int, float]:
    """Exit code and seconds of a command, from before its process starts to after it has gone."""
    begin = time.monotonic()
    with started(words, log, environment, folder) as process:
        code = process.wait()
        return code, time.monotonic() - begin


def timed_search(
    dataset: Sequence[str], budget: str, seed: int, run: Path, environment: dict[str, str] | None = None
) -> dict[str, Any]:
    """Search as a user would, and the facts of the run; a failure is a row too, with the end of its output."""
    log = run.parent / f"{run.name}.out"
    log.unlink(missing_ok=True)
    code, seconds = timed(search_words(dataset, budget, seed, run), log, environment)
    row = {"seed": seed, "code": code, "wall": round(seconds, 2), "run": str(run), **run_facts(run)}
    if code != 0:
        row["output"] = tail(log)
    return row


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a file."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""


def most_seconds(budget: str) -> float | None:
    """The longest that a search may take from start to exit: 2 % or 2 s over; None for epochs."""
    seconds = parse_budget(budget).seconds
    return None if seconds is None else seconds + max(2.0, 0.02 * seconds)


# What goes into the docs


def machine() -> dict[str, str]:
    """What the rows were measured on: cores, processor, versions."""
    import platform
    from importlib.metadata import version

    import torch

    from autorecipe.training.hardware import processor

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cores": f"{cores} CPU cores",
        "processor": processor(torch.device("cpu")),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "torch": f"torch {version('torch')}",
        "optuna": f"Optuna {version('optuna')}",
    }


def write_between(doc: Path, name: str, text: str) -> None:
    """Put a text between the markers `<!-- NAME: begin -->` and `<!-- NAME: end -->` of a file."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    whole = doc.read_text()
    if whole.count(begin) != 1 or end not in whole.split(begin)[1]:
        sys.exit(f"{doc} must have the lines '{begin.strip()}' and '{end}', once and in this order")
    before, rest = whole.split(begin)
    after = rest.split(end, 1)[1]
    doc.write_text(f"{before}{begin}{text.strip()}\n{end}{after}")


# What a run's folder says


def run_facts(run: Path) -> dict[str, Any]:
    """Scores, counts and spending of a run, from its folder (docs/run-folder.md)."""
    if not (run / "summary.json").exists():
        return {"status": None, "score": None}
    summary = read_json(run / "summary.json")
    decisions = read_json(run / "decisions.json") if (run / "decisions.json").exists() else []
    trials = read_lines(run / "trials.jsonl")
    states = Counter(row["state"] for row in trials)
    scores = summary.get("scores") or {}
    return {
        "status": summary.get("status"),
        "metric": summary.get("metric"),
        "score": scores.get("test"),
        "scores": scores,
        "metrics": (summary.get("metrics") or {}).get("test") or {},
        "baselines": summary.get("baselines") or {},
        "network": summary.get("network"),
        "num_params": summary.get("num_params"),
        "weights_sha256": summary.get("weights_sha256"),
        "recipe_digest": summary.get("recipe_digest"),
        "trials": len(trials),
        "pruned": states["pruned"],
        "states": dict(states),
        "pruned_share_of_time": _share_of_time(trials),
        "alternatives": alternatives(decisions, trials),
        "decisions": [f"{row['question']}: {row['verdict']}" for row in decisions],
        "by_stage": (summary.get("budget") or {}).get("by_stage"),
    }


def alternatives(decisions: Sequence[dict[str, Any]], trials: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Question (its study: the same words may be asked twice) -> how many different recipes its trials tried."""
    tried: dict[str, set[str]] = {}
    for row in trials:
        tried.setdefault(row["study"], set()).add(row["recipe"])
    return {row["study"].split("/")[-1]: len(tried.get(row["study"], ())) for row in decisions}


def _share_of_time(trials: Sequence[dict[str, Any]]) -> float | None:
    """Mean time of a pruned trial over that of a complete one: below 1, pruning really stops trials."""
    seconds = {
        state: [row["seconds"] for row in trials if row["state"] == state and row["seconds"] > 0]
        for state in ("pruned", "complete")
    }
    if not all(seconds.values()):
        return None
    return round(statistics.mean(seconds["pruned"]) / statistics.mean(seconds["complete"]), 3)


def digest_of_names(names: Iterable[object]) -> str:
    """A digest of which examples a split has, in whatever order."""
    return hashlib.sha256("\0".join(sorted(map(str, names))).encode()).hexdigest()[:12]


def examples_in_test(run: Path) -> int:
    """How many examples the test split has."""
    return len(read_json(run / "splits.json")["test"])


def spread(scores: Sequence[float], one_example: float = 0.0) -> tuple[float, float]:
    """Lowest and highest score to be expected of one more run: the 95 % prediction interval of a normal sample.

    Three runs may happen to score the same: their standard deviation counts as one example at least.
    """
    count, mean = len(scores), statistics.mean(scores)
    sd = max(statistics.stdev(scores) if count > 1 else 0.0, one_example)
    half = float(special.stdtrit(max(1, count - 1), 0.975)) * sd * (1 + 1 / count) ** 0.5
    return mean - half, mean + half


def one_example(run: Path, metric: str) -> float:
    """How much one test example weighs in a score that counts examples; else 0."""
    return 1.0 / max(1, examples_in_test(run)) if metric == "accuracy" else 0.0
