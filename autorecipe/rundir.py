"""A run's folder: every path, atomic writes, the lock."""

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from autorecipe.errors import InputError
from autorecipe.recipe import Recipe, dump_yaml, load_recipe, to_dict

_LONE = re.compile("[\ud800-\udfff]")
"""What stands in a text for bytes that are no UTF-8."""


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
    def report(self) -> Path:
        """One page with all of it."""
        return self.path / "report.html"

    @property
    def script(self) -> Path:
        """The final recipe as a standalone PyTorch script."""
        return self.path / "train.py"

    @property
    def onnx(self) -> Path:
        """The model for onnxruntime and others."""
        return self.path / "model.onnx"

    @property
    def program(self) -> Path:
        """The model as a program of `torch.export`."""
        return self.path / "model.pt2"

    @property
    def artifacts(self) -> Path:
        return self.path / "artifacts"

    @property
    def checks(self) -> Path:
        """What the checks of the training loop found."""
        return self.artifacts / "checks.json"

    @property
    def checksums(self) -> Path:
        """SHA-256 of the results; there once a run has ended."""
        return self.path / "checksums.json"

    @property
    def foresight(self) -> Path:
        """What was foretold of the final training."""
        return self.artifacts / "foresight.json"

    @property
    def race(self) -> Path:
        """The race of the two best recipes."""
        return self.artifacts / "race.json"

    @property
    def audit(self) -> Path:
        """What stopped trials would have reached."""
        return self.artifacts / "audit.json"

    @property
    def checkpoint(self) -> Path:
        """The unfinished final training."""
        return self.artifacts / "finish.safetensors"

    @property
    def checkpoint_curve(self) -> Path:
        """The curve of the unfinished final training, up to its checkpoint."""
        return self.artifacts / "finish.json"

    @property
    def finish_curve(self) -> Path:
        """The curve of the final training that the model on disk came of."""
        return self.artifacts / "finish_curve.json"

    @property
    def tested(self) -> Path:
        """Predictions of test: `outputs` float32 [N, O] (probabilities, or values in the target's unit), `targets` [N],
        `rows` int64 [N]."""
        return self.artifacts / "test.safetensors"

    @property
    def examples(self) -> Path:
        """A few examples of test, and what was said of each."""
        return self.artifacts / "examples.json"

    @property
    def pictures(self) -> Path:
        """Those examples' pictures."""
        return self.artifacts / "examples"

    @property
    def findings(self) -> Path:
        """Examples of what was found in the data, to look at."""
        return self.artifacts / "findings.json"

    @property
    def finding_pictures(self) -> Path:
        """Those examples' pictures."""
        return self.artifacts / "findings"

    @property
    def test_sample(self) -> Path:
        """Some test examples as the network takes them, with the model's outputs."""
        return self.artifacts / "test_sample.safetensors"

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
        line = json.dumps({"time": round(time.time(), 3), "event": kind, **to_dict(facts)}, allow_nan=True)
        append_line(self.log, line)


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


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def numbers_of(values: object) -> dict[str, float]:
    """The finite numbers of a mapping, such as `read_json` gives one, by name."""
    if not isinstance(values, dict):
        return {}
    numbers = {str(k): float(v) for k, v in values.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def write_json(path: Path, data: object) -> None:
    """Write records or plain data as JSON, whole or not at all; names of files that are no UTF-8 come back too."""
    text = json.dumps(to_dict(data), indent=2, ensure_ascii=False)
    write_text(path, _LONE.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        InputError: the file is not there or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} is not there; give the folder of a whole run, or put back a copy of it") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged: {error}; put back a copy of it, or begin a new run") from error


def read_mapping(path: Path) -> dict[str, Any]:
    """Read JSON that is a mapping of names to values.

    Raises:
        InputError: the file is not there or damaged.
    """
    data = read_json(path)
    if not isinstance(data, dict):
        raise InputError(f"{path} is damaged: it holds no mapping; put back a copy of it, or begin a new run")
    return data


def read_lines(path: Path) -> list[Any]:
    """Every whole JSON line of a file; a line cut short by a crash is passed over."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        with contextlib.suppress(ValueError, RecursionError):
            rows.append(json.loads(line))
    return rows


def new_run_path(root: Path, dataset_name: str) -> Path:
    """The first free `root/DATASET-N`."""
    number = 1
    while (root / f"{dataset_name}-{number}").exists():
        number += 1
    return root / f"{dataset_name}-{number}"


@contextlib.contextmanager
def taken_run_path(root: Path, dataset_name: str) -> Iterator[Path]:
    """The first free `root/DATASET-N`, made at once so that no other process takes it; removed if it stays empty.

    Raises:
        InputError: it cannot be made.
    """
    while True:
        try:
            path = new_run_path(root, dataset_name)
            path.mkdir(parents=True)
            break
        except OSError as error:
            if isinstance(error, FileExistsError) and path.exists():  # another process was faster
                continue
            raise InputError(f"{root} cannot hold runs: {error.strerror}; give another folder") from error
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):
            path.rmdir()


def check_free(run: RunDir) -> None:
    """Refuse a folder for a new run that holds something, or cannot be one.

    Raises:
        InputError: with what to type.
    """
    out = run.path
    try:
        if not out.exists():
            return
        if not out.is_dir():
            raise InputError(f"--out {out} is a file; give a folder that is not there yet")
        if run.settings.exists():
            raise InputError(
                f"{out} holds a run already, and a run never writes over another; give another --out, or go on with "
                f"it: autorecipe resume {out}"
            )
        if any(path.name != ".lock" for path in out.iterdir()):
            raise InputError(f"{out} is not empty, and a run never writes over anything; give another --out")
    except OSError as error:
        raise InputError(f"--out {out} cannot be used: {error.strerror}; give another folder") from error


def open_run(path: Path | str) -> RunDir:
    """The folder of an existing run.

    Raises:
        InputError: it is not there or holds no run.
    """
    try:
        run = RunDir(Path(path).resolve())
        there = run.path.is_dir()
    except (OSError, RuntimeError, ValueError):  # a name that no folder can have
        there = False
    if not there:
        raise InputError(f"there is no run at {path}; give the folder of one ('ls runs' shows those here)")
    if not run.settings.exists():
        raise InputError(f"{path} is no run of autorecipe: it has no {run.settings.name}; give the folder of one")
    return run


_DISK = {
    errno.ENOSPC: "no room is left on the disk",
    errno.EDQUOT: "the disk's quota is used up",
    errno.EFBIG: "a file would be larger than is allowed",
    errno.EROFS: "the disk can only be read",
    errno.EACCES: "it may not be written",
    errno.EPERM: "it may not be written",
    errno.ENOTDIR: "a part of the path is a file",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "the path leads in a circle",
}


def disk_reason(error: BaseException) -> str | None:
    """Why a disk refused to be written, if that is what an error, or one that it came of, says."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _DISK:
            return _DISK[seen.errno]
        text = str(seen)
        if "os error 28" in text or "disk is full" in text or "No space left" in text:  # safetensors, SQLite
            return _DISK[errno.ENOSPC]
        seen = seen.__cause__ or seen.__context__
    return None


class _InUse(InputError):
    """Another process works on the run."""


@contextlib.contextmanager
def writing(run: RunDir) -> Iterator[None]:
    """A block that writes to a run's folder: a disk that refuses is told as the user's matter.

    A folder that was not there, and in which no trial has finished, is removed again if the input was wrong: the
    same command can be given again.  Nothing that was there before is touched.

    Raises:
        InputError: the disk is full or may not be written.
    """
    parent_new = not run.path.parent.exists()
    new = not run.path.exists() or (run.path.is_dir() and not any(p.name != ".lock" for p in run.path.iterdir()))
    try:
        yield
    except _InUse:  # the folder is the other's
        raise
    except InputError:
        _remove_new(run, new, parent_new)
        raise
    except Exception as error:
        reason = disk_reason(error)
        if reason is None:
            raise
        gone = _remove_new(run, new, parent_new)
        again = "the same command" if gone else f"autorecipe resume {run.path}"
        full = reason in (_DISK[errno.ENOSPC], _DISK[errno.EDQUOT])
        room = "make it writable, or give another --out"
        if full:
            room = f"make room there (or in {tempfile.gettempdir()}, if that is full)"
        raise InputError(
            f"{run.path} cannot be written: {reason} ({error}). What was finished before is whole: {room}, then {again}"
        ) from error


def _remove_new(run: RunDir, new: bool, parent_new: bool) -> bool:
    """Remove a new folder without a finished trial, and a new one around it; whether it is gone."""
    if new and not run.trials.exists() and not run.weights.exists():
        shutil.rmtree(run.path, ignore_errors=True)
        if parent_new:
            with contextlib.suppress(OSError):
                run.path.parent.rmdir()
    return not run.path.exists()


@contextlib.contextmanager
def locked(run: RunDir) -> Iterator[None]:
    """Hold the run for this process; the lock goes with the process, however it ends.

    Raises:
        InputError: another process works on this run.
    """
    run.path.mkdir(parents=True, exist_ok=True)
    with open(run.path / ".lock", "a+b") as file:
        if not _lock(file):
            raise _in_use(run)
        yield


@contextlib.contextmanager
def reading(run: RunDir) -> Iterator[None]:
    """A block in which nobody writes to the run; several processes may read.  Nothing in its folder changes.

    Raises:
        InputError: another process works on this run.
    """
    try:
        file = open(run.path / ".lock", "rb")  # noqa: SIM115
    except OSError:  # a copy without it: nobody writes
        yield
        return
    with file:
        if not _lock(file, shared=True):
            raise _in_use(run)
        yield


def _in_use(run: RunDir) -> _InUse:
    return _InUse(f"another process is working on {run.path}; wait for it or stop it first")


def _lock(file: IO[bytes], shared: bool = False) -> bool:
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
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
