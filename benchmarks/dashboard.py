"""Optuna's dashboard while a search runs: studies, trials, curves, pruned states.

    python benchmarks/dashboard.py                              digits, 60 s
    python benchmarks/dashboard.py --screenshot dashboard.png   with Debian's chromium: also pictures

Starts a search, then beside it `optuna-dashboard RUN/study.journal` and `autorecipe dashboard RUN`, each on a
free port of this machine alone, and asks both for the studies and the trials of each, again and again.

Must: while the search still runs, both show studies, trials, intermediate values and pruned trials; the
search is not disturbed (exit code 0, complete).
With --screenshot FILE, FILE shows the first study with a pruned trial, FILE-trial.png that trial,
and FILE-studies.png the list of studies.
"""

import argparse
import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import (
    add_dataset,
    command,
    dataset_words,
    empty_run,
    finish,
    open_store,
    options,
    run_facts,
    say,
    search_words,
    started,
    tail,
)

NAME = "dashboard"
MUST = "while the search runs both dashboards show studies, trials, intermediate values and pruned trials"
SEEN = ("studies", "trials", "intermediate_values", "pruned")
CHROMIUM = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(address: str) -> Any:
    """The JSON at an address."""
    with urllib.request.urlopen(address, timeout=20) as answer:
        return json.loads(answer.read())


def look(base: str) -> dict[str, Any]:
    """What a dashboard shows now."""
    studies = get(f"{base}/api/studies")["study_summaries"]
    states: Counter[str] = Counter()
    values, pruned = 0, []
    for study in studies:
        for trial in get(f"{base}/api/studies/{study['study_id']}")["trials"]:
            states[trial["state"]] += 1
            if trial["state"] == "Pruned":
                pruned.append((study["study_id"], trial["number"]))
            values += len(trial["intermediate_values"])
    return {
        "studies": len(studies),
        "names": [study["study_name"] for study in studies],
        "trials": sum(states.values()),
        "states": dict(states),
        "pruned": len(pruned),
        "intermediate_values": values,
        "first_pruned": pruned[0] if pruned else None,
    }


def wait_for(condition: Callable[[], bool], process: subprocess.Popen, seconds: float) -> bool:
    """Wait until something holds, as long as a process runs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        if condition():
            return True
        time.sleep(0.2)
    return condition()


def address_in(log: Path) -> str | None:
    """The address that `autorecipe dashboard` printed."""
    found = re.search(r"(http://[\w.:]+)/dashboard", log.read_text() if log.exists() else "")
    return found[1] if found else None


def screenshot(address: str, file: Path, height: int = 1000) -> bool:
    """A picture of a page in a window of 1600 x `height` pixels; False where there is no chromium or it fails."""
    chromium = shutil.which("chromium")
    if chromium is None:
        say("no screenshot: there is no chromium (apt-get install chromium)")
        return False
    with tempfile.TemporaryDirectory(prefix="chromium-") as profile, contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            [
                chromium,
                *CHROMIUM,
                f"--user-data-dir={profile}",
                f"--window-size=1600,{height}",
                "--virtual-time-budget=10000",
                f"--screenshot={file.resolve()}",
                address,
            ],
            capture_output=True,
            timeout=90,
        )
    return file.exists()


def measure(words: list[str], args: argparse.Namespace) -> dict[str, Any]:
    """A search with both dashboards beside it."""
    run = empty_run(args.out, NAME, "run-0")
    logs = {name: run.parent / f"{name}.out" for name in ("search", "optuna-dashboard", "autorecipe-dashboard")}
    for log in logs.values():
        log.unlink(missing_ok=True)
    port = free_port()
    journal = run / "study.journal"
    serve = str(Path(sys.executable).with_name("optuna-dashboard"))
    best: dict[str, dict[str, Any]] = {}
    pictures: list[str] = []
    with contextlib.ExitStack() as stack:
        search = stack.enter_context(started(search_words(words, args.budget, 0, run), logs["search"]))
        if not wait_for(lambda: journal.exists() and journal.stat().st_size > 0, search, 300):
            return {"code": search.wait(), "seen": {}, "output": tail(logs["search"])}
        stack.enter_context(
            started([serve, str(journal), "--host", "127.0.0.1", "--port", str(port)], logs["optuna-dashboard"])
        )
        ours = started(command("dashboard", str(run), "--port", "0"), logs["autorecipe-dashboard"])
        process = stack.enter_context(ours)
        wait_for(lambda: address_in(logs["autorecipe-dashboard"]) is not None, process, 60)
        bases = {"optuna-dashboard": f"http://127.0.0.1:{port}"}
        if address := address_in(logs["autorecipe-dashboard"]):
            bases["autorecipe dashboard"] = address
        while search.poll() is None:
            for name, base in bases.items():
                with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                    seen = look(base)
                    if search.poll() is None:  # what counts is what was shown while it ran
                        best[name] = seen
            complete = len(best) == len(bases) and all(all(seen[key] for key in SEEN) for seen in best.values())
            if args.screenshot and complete and not pictures:
                pictures = take_pictures(
                    bases["optuna-dashboard"], best["optuna-dashboard"]["first_pruned"], args.screenshot
                )
            with contextlib.suppress(subprocess.TimeoutExpired):
                search.wait(5.0 if complete else 1.0)
        code = search.wait()
    return {
        "code": code,
        "seen": best,
        "pictures": pictures,
        **run_facts(run),
        "output": "" if code == 0 else tail(logs["search"]),
        "dashboards": {name: tail(log, 5) for name, log in logs.items() if name != "search"},
    }


def take_pictures(base: str, pruned: tuple[int, int], file: Path) -> list[str]:
    """A study, its pruned trial, and the list of studies."""
    study, number = pruned
    pages = {
        file: (f"dashboard/studies/{study}", 2330),
        file.with_name(f"{file.stem}-trial.png"): (f"dashboard/studies/{study}/trials?numbers={number}", 1600),
        file.with_name(f"{file.stem}-studies.png"): ("dashboard", 1000),
    }
    return [str(picture) for picture, (page, height) in pages.items() if screenshot(f"{base}/{page}", picture, height)]


def main(args: argparse.Namespace) -> None:
    """Measure, judge."""
    words = dataset_words(args.dataset, args.target)
    key = f"{' '.join(words)} {args.budget}" + (f" screenshot {args.screenshot}" if args.screenshot else "")
    row = open_store(args, NAME).row(key, lambda: measure(words, args))
    checks = {
        name: {what: bool(row["seen"].get(name, {}).get(what)) for what in SEEN}
        for name in ("optuna-dashboard", "autorecipe dashboard")
    }
    undisturbed = row["code"] == 0 and row.get("status") == "complete"
    reached = undisturbed and all(all(seen.values()) for seen in checks.values())
    finish(NAME, MUST, reached, checks=checks, undisturbed=undisturbed, **row)


if __name__ == "__main__":
    parser = options(__doc__, seeds=1, budget="60s")
    add_dataset(parser)
    parser.add_argument("--screenshot", type=Path, metavar="FILE", help="pictures of a study, a trial, and the list")
    main(parser.parse_args())
