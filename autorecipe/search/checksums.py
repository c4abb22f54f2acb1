"""Checksums of a run's files (`checksums.json`), by which one that was changed or lost is found."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autorecipe.rundir import RunDir, read_mapping, sha256, write_json

RESULTS = (
    "settings.json",
    "summary.json",
    "recipe.yaml",
    "model.safetensors",
    "preprocess.json",
    "decisions.json",
    "trials.jsonl",
    "splits.json",
    "recipes/*.yaml",
    "artifacts/*.json",
    "artifacts/test.safetensors",
    "artifacts/test_sample.safetensors",
    "artifacts/shapes/*.json",
    "artifacts/trials/*.json",
    "artifacts/evidence/*.safetensors",
    "artifacts/examples/*.png",
    "artifacts/findings/*.png",
)
"""What nobody changes once a run has ended: a resumed one takes the checksums away.  The dashboard's pictures are left
out: they are drawn anew."""
GROWING = ("log.jsonl", "study.journal")
"""What outputs and notes are appended to: summed as far as it went."""
TIMES = ("spent_seconds", "by_stage")
"""What outputs book in `state.json`, and `summary.json` tells as well: the rest of it is summed."""
CHUNK = 1 << 20


def write_checksums(run: RunDir) -> None:
    """Write the SHA-256 of everything that tells of the run: the last thing that a run does."""
    names = sorted(path.relative_to(run.path).as_posix() for pattern in RESULTS for path in run.path.glob(pattern))
    sums = {
        "format": 1,
        "files": {name: sha256(run.path / name) for name in names},
        "beginnings": _beginnings(run),
        "settled": {run.state.name: _settled(run.state)} if run.state.exists() else {},
    }
    write_json(run.checksums, sums)


def rewrite_summary(run: RunDir, facts: object) -> None:
    """Write `summary.json` anew, after the run's end; its checksum follows, if it was right until now."""
    sums = read_mapping(run.checksums) if run.checksums.exists() else {}
    files = sums.get("files")
    followed = isinstance(files, dict) and run.summary.exists() and files.get(run.summary.name) == sha256(run.summary)
    write_json(run.summary, facts)
    if followed:
        assert isinstance(files, dict)
        files[run.summary.name] = sha256(run.summary)
        write_json(run.checksums, sums)


def add_export(run: RunDir, path: Path) -> None:
    """Sum a file that was made of a finished run's model; it may be made anew, or taken away.

    What was appended to the log and the journal until now is summed too, if what came before it is as it was.
    """
    if not run.checksums.exists():
        return
    sums = read_mapping(run.checksums)
    sums["exports"] = _entries(sums, "exports") | {path.name: sha256(path)}
    known = _entries(sums, "beginnings")
    if known and not any(_problem(run.path / name, wanted, _same_beginning) for name, wanted in known.items()):
        sums["beginnings"] = _beginnings(run)
    write_json(run.checksums, sums)


def changed_files(run: RunDir) -> tuple[int, list[str]]:
    """How many files are summed, and those that are no longer what they were: `recipe.yaml is gone`.

    Raises:
        InputError: `checksums.json` is not there or damaged.
    """
    sums = read_mapping(run.checksums)
    files = _entries(sums, "files")
    if not files:
        return 0, [f"{run.checksums.name} names no files"]
    exports = {name: wanted for name, wanted in _entries(sums, "exports").items() if (run.path / name).exists()}
    kinds: tuple[tuple[dict[str, Any], Callable[[Path, Any], bool]], ...] = (
        (files | exports, lambda path, wanted: sha256(path) == wanted),
        (_entries(sums, "beginnings"), _same_beginning),
        (_entries(sums, "settled"), lambda path, wanted: _settled(path) == wanted),
    )
    found = [
        f"{name} {problem}"
        for entries, same in kinds
        for name, wanted in entries.items()
        if (problem := _problem(run.path / name, wanted, same))
    ]
    return sum(len(entries) for entries, _ in kinds), found


def _entries(sums: dict[str, Any], kind: str) -> dict[str, Any]:
    """The sums of a kind by file; none in a file of before there was that kind."""
    found = sums.get(kind)
    return found if isinstance(found, dict) else {}


def _problem(path: Path, wanted: Any, same: Callable[[Path, Any], bool]) -> str:
    """What has become of a file, if anything: `was changed`."""
    try:
        return "" if same(path, wanted) else "was changed"
    except FileNotFoundError:
        return "is gone"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


# A file that grows


def _beginnings(run: RunDir) -> dict[str, Any]:
    """Size and SHA-256 of each growing file as it is now."""
    sizes = {name: (run.path / name).stat().st_size for name in GROWING if (run.path / name).exists()}
    return {name: {"bytes": size, "sha256": _sum_of_first(run.path / name, size)} for name, size in sizes.items()}


def _same_beginning(path: Path, wanted: Any) -> bool:
    """Whether a file begins with what was summed of it."""
    size = wanted.get("bytes") if isinstance(wanted, dict) else None
    return isinstance(size, int) and _sum_of_first(path, size) == wanted.get("sha256")


def _sum_of_first(path: Path, size: int) -> str:
    """SHA-256 of a file's first bytes; of all of them, if there are fewer."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(min(size, CHUNK)):
            digest.update(chunk)
            size -= len(chunk)
    return digest.hexdigest()


# `state.json`


def _settled(path: Path) -> str | None:
    """SHA-256 of what a run's state says beside its times, in whatever way it is written; None if it is damaged."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        kept = {name: value for name, value in facts.items() if name not in TIMES}
    except (ValueError, AttributeError, RecursionError):
        return None
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
