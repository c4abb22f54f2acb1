"""A run's folder: every path, atomic writes, the lock."""

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from autorecipe.errors import InputError
from autorecipe.recipe import Recipe, dump_yaml, load_recipe, to_dict


@dataclass(frozen=True)
class RunDir:
    """The folder of one run; `docs/run-folder.md` describes its files."""

    path: Path

    @property
    def name(self) -> str:
        """The run's name: its folder's."""
        return self.path.name

    @property
    def recipe(self) -> Path:
        return self.path / "recipe.yaml"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"

    @property
    def weights(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def preprocess(self) -> Path:
        return self.path / "preprocess.json"

    @property
    def decisions(self) -> Path:
        return self.path / "decisions.json"

    @property
    def trials(self) -> Path:
        return self.path / "trials.jsonl"

    @property
    def splits(self) -> Path:
        return self.path / "splits.json"

    @property
    def journal(self) -> Path:
        return self.path / "study.journal"

    @property
    def log(self) -> Path:
        return self.path / "log.jsonl"

    @property
    def settings(self) -> Path:
        """What the user asked for: enough to resume."""
        return self.path / "settings.json"

    @property
    def state(self) -> Path:
        """Seconds spent, stage by stage, for resume."""
        return self.path / "state.json"

    @property
    def artifacts(self) -> Path:
        return self.path / "artifacts"

    @property
    def checks(self) -> Path:
        """What the checks of the training loop found."""
        return self.artifacts / "checks.json"

    @property
    def checkpoint(self) -> Path:
        """The unfinished final training."""
        return self.artifacts / "finish.safetensors"

    def recipe_of(self, digest: str) -> Path:
        """Where the recipe with this digest lies."""
        return self.path / "recipes" / f"{digest}.yaml"

    def save_recipe(self, recipe: Recipe) -> str:
        """Keep a recipe that a decision names; returns its digest."""
        path = self.recipe_of(recipe.digest)
        if not path.exists():
            write_text(path, dump_yaml(recipe))
        return recipe.digest

    def load_recipe(self, digest: str) -> Recipe:
        """The recipe with this digest.

        Raises:
            InputError: it is not there or damaged.
        """
        return load_recipe(self.recipe_of(digest))

    def event(self, kind: str, **facts: object) -> None:
        """Add a line to `log.jsonl`."""
        line = json.dumps({"time": round(time.time(), 3), "event": kind, **_plain(facts)}, allow_nan=True)
        append_line(self.log, line)


def _plain(value: Any) -> Any:
    return to_dict(value)


def append_line(path: Path, line: str) -> None:
    """Add one line to a file in a single write, so that a reader never sees half of one.

    A last line that a crash cut short is ended first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as file:
        start = b""
        if file.tell() > 0:
            with open(path, "rb") as reader:
                reader.seek(-1, os.SEEK_END)
                start = b"" if reader.read(1) == b"\n" else b"\n"
        file.write(start + line.encode() + b"\n")


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, data: object) -> None:
    """Write records or plain data as JSON, whole or not at all."""
    write_text(path, json.dumps(to_dict(data), indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        InputError: the file is not there or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} is not there; is {path.parent} the folder of a run?") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged: {error}") from error


def read_lines(path: Path) -> list[Any]:
    """Every whole JSON line of a file; a line cut short by a crash is passed over."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        with contextlib.suppress(ValueError):
            rows.append(json.loads(line))
    return rows


def new_run_path(root: Path, dataset_name: str) -> Path:
    """The first free `root/DATASET-N`."""
    number = 1
    while (root / f"{dataset_name}-{number}").exists():
        number += 1
    return root / f"{dataset_name}-{number}"


def open_run(path: Path | str) -> RunDir:
    """The folder of an existing run.

    Raises:
        InputError: it is not there or holds no run.
    """
    run = RunDir(Path(path).resolve())
    if not run.path.is_dir():
        raise InputError(f"there is no run at {path}; 'ls runs' shows the runs here")
    if not run.settings.exists():
        raise InputError(f"{path} is no run of autorecipe: it has no {run.settings.name}")
    return run


@contextlib.contextmanager
def locked(run: RunDir) -> Iterator[None]:
    """Hold the run for this process; the lock goes with the process, however it ends.

    Raises:
        InputError: another process works on this run.
    """
    run.path.mkdir(parents=True, exist_ok=True)
    with open(run.path / ".lock", "a+b") as file:
        if not _lock(file):
            raise InputError(f"another process is working on {run.path}; wait for it or stop it first")
        yield


def _lock(file: IO[bytes]) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
