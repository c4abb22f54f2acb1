"""The journal in a run's folder as it lies on disk: stale locks are removed and damage is cut off."""

import json
import os
import shutil
from pathlib import Path

from autorecipe.errors import InputError
from autorecipe.rundir import RunDir


def prepare_journal(run: RunDir) -> Path:
    """Make a run's journal ready to be opened; returns its absolute path.

    The caller holds the run's lock (`rundir.locked`), so a lock on the journal that is found here is stale.
    """
    # With a relative path the lock is a symlink to nowhere, whose age Optuna cannot read: it would wait for ever.
    path = run.journal.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(path.name + ".lock")
    for stale in (lock, *path.parent.glob(f"{lock.name}*.rename")):
        stale.unlink(missing_ok=True)
    if repaired := repair_journal(path):
        run.event("journal_repaired", reason=repaired)
    return path


def repair_journal(path: Path) -> str | None:
    """Cut a journal back to the records before its first damage and keep a copy of what was there.

    A process that is killed may leave half a line, a full disk or a power cut also damage further up;
    Optuna refuses to read past either.

    Returns:
        What was done, in a sentence; None if nothing was damaged.

    Raises:
        InputError: it is no journal at all: its first line is whole, and no record.
    """
    if not path.exists():
        return None
    if not path.is_file():
        raise InputError(f"{path} is no file; put back the run's own, or begin a new run")
    good = records = 0
    whole = False
    with open(path, "rb") as file:
        for line in file:
            if not _is_record(line):
                whole = line.endswith(b"\n")
                break
            good += len(line)
            records += 1
    size = path.stat().st_size
    if good == size:
        return None
    if not records and whole:
        raise InputError(
            f"{path} is no journal: not even its first line is a record, so no trial can be read from it. Put back a "
            "copy of it, or begin a new run"
        )
    number = 1
    while (kept := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    shutil.copy2(path, kept)
    with open(path, "r+b") as file:
        file.truncate(good)
        os.fsync(file.fileno())
    return (
        f"{path.name} was damaged after {records} records: its last {size - good} bytes were cut off; "
        f"the file as it was is kept as {kept.name}"
    )


def _is_record(line: bytes) -> bool:
    if not line.endswith(b"\n"):
        return False
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(record, dict) and isinstance(record.get("op_code"), int) and "worker_id" in record
