"""Bad inputs, generated and typed as a user would: each is refused in words that help, and nothing is harmed.

    python benchmarks/bad_inputs.py                         all of them, each a process of its own
    python benchmarks/bad_inputs.py --only recipe/ --keep bad/   those whose name has `recipe/`; the inputs stay in bad/
    python benchmarks/bad_inputs.py --write docs/bad_inputs.md   writes the page that lists them

Must, each: exit code 2; no traceback; gone within --within seconds; a message that names what was found and says what
to type; what was on disk before is there as it was, and no run is left behind.  Inputs that are odd but fine
(`fine/...`) must be read: exit code 0.

A full disk is a small tmpfs, a place that cannot be written a read-only mount, both in a mount namespace of their own
(`unshare`); where that is not permitted these are skipped, and said to be.
"""

import argparse
import concurrent.futures
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bad_data
import bad_runs
from bad_cases import Case, Made, make_runs
from common import command, finish, options, say, timed

NAME = "bad_inputs"
MUST = "at least 200, all exit 2, no traceback, none over 10 s, each says what to type, nothing on disk harmed"
LEAST = 200
ADVICE = re.compile(
    r"--[a-z]|\b(add|autorecipe [a-z-]+|begin|choose|correct|did you mean|for this task|give|has no such|known|leave|make"
    r"|must be|needs?|put|columns(?=:)|remove|save|download|let its|must hold|should (be|hold)|takes?|try|type|use|write|is it|are they|are needed|convert|nothing to learn"
    r"|Possible options|no such (option|command)|missing argument)(?!\w)",
    re.IGNORECASE,
)
"""What tells a user how to go on."""
SCRIPT = {
    "full": "mount -t tmpfs -o size=2m none room && cp -r here/. room/ && mount --bind room here || exit 99; "
    "dd if=/dev/zero of=here/filler bs=1k status=none 2>/dev/null; "
    '"$@"; code=$?; rm -f here/filler; cp -r here/. after/; exit $code',
    "read-only": 'mount --bind here here && mount -o remount,bind,ro here || exit 99; exec "$@"',
}
"""What makes `here` such a place, in a mount namespace."""


def all_cases(made: Made) -> tuple[list[Case], list[Case]]:
    """Bad inputs and odd but fine ones."""
    bad = [
        *bad_data.paths(),
        *bad_data.photos(),
        *bad_data.label_files(),
        *bad_data.table_files(),
        *bad_data.targets(),
        *bad_runs.all_cases(made),
    ]
    names = [case.name for case in bad]
    assert len(set(names)) == len(names), "two bad inputs of one name"
    return bad, bad_data.fine()


def digest(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder by name; links by where they lead, others by their kind."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            if path.is_symlink():
                found[str(path.relative_to(folder))] = f"link {path.readlink()}"
            elif path.is_file():
                found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                found[str(path.relative_to(folder))] = "folder" if path.is_dir() else "other"
    return found


KEPT_LOG = (".lock", "log.jsonl", "state.json")
"""Files of a run that say what was done to it: a resume that is refused may add to them."""


def harm(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What is gone, changed or left behind."""
    changed = [name for name, value in before.items() if after.get(name) != value and Path(name).name not in KEPT_LOG]
    left = [name for name in after if name not in before and Path(name).name not in KEPT_LOG]
    return [*changed, *left]


def plain(text: str, at: Path) -> str:
    """A message without the place where the input was laid out."""
    return text.replace(f"{at}/", "").replace(str(at), ".").replace(f"in {tempfile.gettempdir()},", "in TMPDIR,")


def message_of(output: str) -> str:
    """The message: from the line that says `error` on."""
    lines = output.splitlines()
    for i, line in enumerate(lines):
        if re.match(r"(usage )?error|unexpected error", line, re.IGNORECASE):
            return "\n".join(lines[i:])
    return output


def named(says: str, message: str) -> bool:
    """Whether a message has what it must name; one or two characters only as a word of their own."""
    return says in message if len(says) > 2 else re.search(rf"(?<!\w){re.escape(says)}(?!\w)", message) is not None


def judge(case: Case, code: int, output: str, seconds: float, harmed: Sequence[str], within: float) -> dict[str, bool]:
    """Checks of one input."""
    message = output if "Usage:" in output else message_of(output)
    if case.name.startswith("fine/"):
        return {"code": code == 0, "no_traceback": "Traceback" not in output, "said": case.says in output}
    return {
        "code": code == 2,
        "no_traceback": "Traceback" not in output,
        "in_time": seconds <= within,
        "names": named(case.says, message),
        "advises": ADVICE.search(message) is not None,
        "unharmed": not harmed,
    }


def words_of(case: Case) -> list[str]:
    """The command, in a mount namespace where the case needs one."""
    words = command(*shlex.split(case.words))
    if not case.place:
        return words
    return ["unshare", "--mount", "--map-root-user", "sh", "-c", SCRIPT[case.place], "sh", *words]


def can_mount() -> bool:
    """Whether a mount namespace with a tmpfs may be had here."""
    words = ["unshare", "--mount", "--map-root-user", "sh", "-c", "mount -t tmpfs none /mnt"]
    try:
        return subprocess.run(words, capture_output=True).returncode == 0
    except OSError:
        return False


def measure(case: Case, at: Path, log: Path, cache: Path, within: float) -> dict[str, Any]:
    """Lay one input out, type its command, look at what came of it."""
    shutil.rmtree(at, ignore_errors=True)
    at.mkdir(parents=True)
    case.make(at)
    if case.place:
        (at / "room").mkdir()
        (at / "after").mkdir()
    before = digest(at)
    environment = {"AUTORECIPE_CACHE": str(cache), **case.environment}
    code, seconds = timed(words_of(case), log, environment, at)
    output = plain(log.read_text(errors="replace"), at)
    after = digest(at)
    if case.place == "full":  # what lay on that disk was copied to `after` before the disk went
        after |= {name: after.pop(name.replace("here/", "after/", 1), "") for name in before if "here/" in name}
    harmed = harm(before, after) if not case.name.startswith("fine/") else []
    checks = judge(case, code, output, seconds, harmed, within)
    message = message_of(output).splitlines() or [""]
    return {
        "name": case.name,
        "what": case.what,
        "words": case.words,
        "code": code,
        "seconds": round(seconds, 2),
        "message": message[0],
        "harmed": harmed,
        "failed": [name for name, passed in checks.items() if not passed],
        "output": output if not all(checks.values()) else "",
    }


def page(rows: Sequence[dict[str, Any]]) -> str:
    """The page that lists them all."""
    lines = [
        "# Bad inputs",
        "",
        "Written by `python benchmarks/bad_inputs.py --write docs/bad_inputs.md`: what is laid out, what is typed, and "
        "the first line of the answer. Each ends with exit code 2 within seconds, without a traceback, and leaves what "
        "was on disk as it was.",
    ]
    kind = ""
    for row in rows:
        if row["name"].split("/")[0] != kind:
            kind = row["name"].split("/")[0]
            lines += ["", f"## {kind}", "", "| what is wrong | `autorecipe ...` | answer |", "|---|---|---|"]
        cells = (row["what"], f"`{short(row['words'], 80)}`", short(row["message"], 400))
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("<", "\\<") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def short(text: str, most: int) -> str:
    """A text cut to so many characters, in one line that can be printed."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def main(args: argparse.Namespace) -> None:
    """Every input, some at a time."""
    root = Path(args.keep or tempfile.mkdtemp(prefix="autorecipe-bad-")).resolve()
    bad, fine = all_cases(make_runs(root / "made"))
    cases = [case for case in (*bad, *fine) if args.only in case.name][:: args.every]
    skipped = []
    if any(case.place for case in cases) and not can_mount():
        skipped = [case.name for case in cases if case.place]
        cases = [case for case in cases if not case.place]
        say(f"SKIPPED, for nothing may be mounted here: {', '.join(skipped)}")
    say(f"{len(cases)} inputs in {root}, {args.jobs} at a time")
    made = digest(root / "made")
    rows: list[dict[str, Any]] = []
    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        jobs = []
        for case in cases:
            log = root / "logs" / f"{case.name.replace('/', '-')}.out"
            log.parent.mkdir(parents=True, exist_ok=True)
            log.unlink(missing_ok=True)
            jobs.append(pool.submit(measure, case, root / "in" / case.name, log, root / "cache", args.within))
        for job in jobs:
            row = job.result()
            rows.append(row)
            if row["failed"]:
                say(f"{row['name']}: {', '.join(row['failed'])} (exit code {row['code']}, {row['seconds']} s)")
                print(row["output"][-2000:], flush=True)
            elif len(rows) % 20 == 0:
                say(f"{len(rows)} done after {time.monotonic() - begin:.0f} s")
    harmed = [row["name"] for row in rows if row["harmed"]]
    if digest(root / "made") != made:
        harmed.append("the runs that bad ones are copies of")
    refused = [row for row in rows if not row["name"].startswith("fine/")]
    args.out.mkdir(parents=True, exist_ok=True)
    table = "\n".join("\t".join((r["name"], r["what"], str(r["code"]), str(r["seconds"]), r["message"])) for r in rows)
    (args.out / f"{NAME}.tsv").write_text(f"name\twhat\texit\tseconds\tmessage\n{table}\n")
    if args.write:
        args.write.write_text(page(refused))
    if not args.keep:
        shutil.rmtree(root, ignore_errors=True)
    facts = {
        "count": len(refused),
        "exit_2": sum(row["code"] == 2 for row in refused),
        "tracebacks": sum("Traceback" in row["output"] for row in rows),
        "slowest_s": max((row["seconds"] for row in refused), default=None),
        "harmed": harmed,
        "fine": len(rows) - len(refused),
        "failed": {row["name"]: row["failed"] for row in rows if row["failed"]},
        "skipped": skipped,
    }
    whole = not args.only and args.every == 1
    reached = not facts["failed"] and not harmed and (len(refused) >= LEAST or not whole)
    finish(NAME, MUST, reached if whole or not reached else None, **facts)


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes at a time")
    parser.add_argument("--only", default="", metavar="TEXT", help="inputs whose name has this")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every N-th input")
    parser.add_argument("--within", type=float, default=10.0, metavar="S", help="seconds until exit (default 10)")
    parser.add_argument("--keep", metavar="DIR", help="keep the inputs, and what was printed, in this folder")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page that lists them")
    main(parser.parse_args())
