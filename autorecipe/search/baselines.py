"""Baselines: majority or mean, a linear model, and gradient-boosted trees for tables.

They run in a process of their own that can be killed, at most 5 % of the budget.  The process is
started first of all, so that scikit-learn is imported while the data is being read.  It gets test
inputs without their labels; its predictions are scored in the one pass over test at the end.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file

from autorecipe.data import Dataset, modality
from autorecipe.rundir import RunDir

SHARE = 0.05
"""Most of the budget that baselines may take."""
LONGEST = 60.0
MOST_NUMBERS = 20_000_000
"""Most entries of the training matrix handed over; more rows are sampled."""
CHUNK = 256
"""Rows whose features are computed at once."""


@dataclass(frozen=True)
class Baseline:
    """A fitted baseline's outputs [N, O], as the network's: log probabilities, log odds, or scaled targets."""

    name: str
    seconds: float
    val: np.ndarray
    test: np.ndarray


def start_worker() -> subprocess.Popen[str]:
    """Start the process; it imports scikit-learn and waits for its work."""
    return subprocess.Popen(
        [sys.executable, "-m", "autorecipe.search.baseline_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # Ctrl-C is for the search, which ends this process itself
    )


def hand_over(worker: subprocess.Popen[str], dataset: Dataset, folder: Path, seed: int) -> None:
    """Give the worker its data: training examples, and the inputs of val and test."""
    width = _features(dataset, dataset.splits.train[:1]).shape[1]
    rows = dataset.splits.train
    most = max(1000, MOST_NUMBERS // max(1, width))
    if dataset.info.modality == "image":
        most = min(most, 10_000)
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    np.savez(
        folder / "work.npz",
        x=_features(dataset, rows),
        y=dataset.targets.numpy()[rows],
        val=_features(dataset, dataset.splits.val),
        test=_features(dataset, dataset.splits.test),
    )
    facts = {
        "folder": str(folder),
        "task": dataset.info.task,
        "num_outputs": dataset.info.num_outputs,
        "trees": dataset.info.modality == "table",
        "num_numbers": dataset.info.num_numbers,
        "seed": seed,
    }
    if worker.stdin is not None:
        try:
            worker.stdin.write(json.dumps(facts) + "\n")
            worker.stdin.flush()
        except OSError:  # the worker has died: there will be no baselines
            return


def _features(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """float32 [rows, F], a few rows at a time: of images that stay on disk no copy is made."""
    find = modality(dataset.info.modality).baseline_features
    chunks = torch.split(torch.from_numpy(rows), CHUNK)
    return np.concatenate([find(tuple(x[chunk] for x in dataset.inputs)) for chunk in chunks])


def collect(run: RunDir, folder: Path) -> list[Baseline]:
    """What the worker has finished so far."""
    found = []
    for path in sorted(folder.glob("*.safetensors")):
        try:
            tensors = load_file(path)
        except (SafetensorError, OSError):
            continue
        name = path.stem.split("-", 1)[1]
        found.append(Baseline(name, float(tensors["seconds"][0]), tensors["val"], tensors["test"]))
    return found


def wait(worker: subprocess.Popen[str], seconds: float, stop: object) -> None:
    """Wait for the worker at most so long, then kill it."""
    deadline = time.monotonic() + seconds
    while worker.poll() is None and time.monotonic() < deadline:
        if callable(stop):
            try:
                stop()
            except BaseException:
                kill(worker)
                raise
        time.sleep(0.02)
    kill(worker)


def kill(worker: subprocess.Popen[str] | None) -> None:
    """End the worker, whatever it is doing, if there is one."""
    if worker is None:
        return
    if worker.poll() is None:
        worker.kill()
    worker.wait()
    if worker.stdin is not None:
        try:
            worker.stdin.close()
        except OSError:
            return


def allowance(budget_seconds: float | None) -> float:
    """Seconds that baselines may take, from when they have their data."""
    return LONGEST if budget_seconds is None else min(LONGEST, SHARE * budget_seconds)


def work_folder() -> Path:
    """A temporary folder for the exchange."""
    return Path(tempfile.mkdtemp(prefix="autorecipe-baselines-"))
