"""Checksums of a run's results (`checksums.json`), by which a file that was changed or lost is found."""

from pathlib import Path

from autorecipe.rundir import RunDir, read_mapping, sha256, write_json

RESULTS = (
    "summary.json",
    "recipe.yaml",
    "model.safetensors",
    "preprocess.json",
    "decisions.json",
    "trials.jsonl",
    "splits.json",
    "recipes/*.yaml",
    "artifacts/checks.json",
    "artifacts/audit.json",
    "artifacts/foresight.json",
    "artifacts/race.json",
    "artifacts/examples.json",
    "artifacts/test.safetensors",
    "artifacts/test_sample.safetensors",
)
"""What is summed; `settings.json` is not, for `resume --budget` changes it before the run goes on."""


def write_checksums(run: RunDir) -> None:
    """Write the SHA-256 of every result: the last thing that a run does."""
    names = sorted(path.relative_to(run.path).as_posix() for pattern in RESULTS for path in run.path.glob(pattern))
    write_json(run.checksums, {"format": 1, "files": {name: sha256(run.path / name) for name in names}})


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
    """Sum a file that was made of a finished run's model; it may be made anew, or taken away."""
    if not run.checksums.exists():
        return
    sums = read_mapping(run.checksums)
    known = sums.get("exports")
    sums["exports"] = {**(known if isinstance(known, dict) else {}), path.name: sha256(path)}
    write_json(run.checksums, sums)


def changed_files(run: RunDir) -> tuple[int, list[str]]:
    """How many files are summed, and those that are no longer what they were: `recipe.yaml is gone`.

    Raises:
        InputError: `checksums.json` is not there or damaged.
    """
    sums = read_mapping(run.checksums)
    files, exports = sums.get("files"), sums.get("exports")
    if not isinstance(files, dict) or not files:
        return 0, [f"{run.checksums.name} names no files"]
    if isinstance(exports, dict):
        files = files | {name: wanted for name, wanted in exports.items() if (run.path / name).exists()}
    found = []
    for name, wanted in files.items():
        path = run.path / name
        try:
            if sha256(path) != wanted:
                found.append(f"{name} was changed")
        except OSError as error:
            found.append(f"{name} is gone" if isinstance(error, FileNotFoundError) else f"{name}: {error.strerror}")
    return len(files), found
