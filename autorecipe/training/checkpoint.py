"""Weights and unfinished runs on disk: safetensors, written whole or not at all."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from autorecipe.errors import InputError
from autorecipe.rundir import atomic, sha256
from autorecipe.training.loop import Session


def save_weights(model: nn.Module, path: Path) -> str:
    """Save a model's weights; returns the SHA-256 of the file."""
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in model.state_dict().items()}
    with atomic(path) as temporary:
        save_file(tensors, temporary)
        return sha256(temporary)


def load_weights(model: nn.Module, path: Path) -> None:
    """Load weights into a model that was built from their recipe.

    Raises:
        InputError: the file is not there, damaged, or of another network.
    """
    try:
        tensors = load_file(path)
        model.load_state_dict(tensors)
    except FileNotFoundError as error:
        raise InputError(
            f"there are no weights at {path}: no trial of this run has finished yet; go on with it: autorecipe resume"
        ) from error
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"the weights {path} are damaged: {error}; put back a copy of them, or train the recipe again: "
            "autorecipe replay"
        ) from error
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(
            f"the weights {path} do not fit the recipe beside them: {reason}; put back the two of one run"
        ) from error


def save_session(session: Session, path: Path) -> None:
    """Save a training run in progress: weights, averages, optimizer, counters."""
    tensors: dict[str, Tensor] = {}
    for prefix, model in (("model", session.model), ("averaged", session.averaged)):
        if model is not None:
            tensors |= {f"{prefix}/{name}": t for name, t in model.state_dict().items()}
    for index, state in session.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": t for name, t in state.items() if isinstance(t, Tensor)}
    counters = {
        "digest": session.recipe.digest,
        "step": session.step,
        "seconds": session.seconds,
        "warmup_steps": session.warmup_steps,
        "stable_steps": session.stable_steps,
    }
    with atomic(path) as temporary:
        plain = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
        save_file(plain, temporary, metadata={"counters": json.dumps(counters)})


def load_session(session: Session, path: Path) -> bool:
    """Take up a saved run of the same recipe; False (and nothing changed) if there is none that fits."""
    try:
        with safe_open(path, framework="pt") as file:
            counters = json.loads((file.metadata() or {})["counters"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError):
        return False
    if counters["digest"] != session.recipe.digest:
        return False
    models = {"model": session.model, "averaged": session.averaged}
    for prefix, model in models.items():
        if model is not None:
            start = f"{prefix}/"
            model.load_state_dict({k.removeprefix(start): t for k, t in tensors.items() if k.startswith(start)})
    saved = session.optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer/"):
            _, index, key = name.split("/")
            state.setdefault(int(index), {})[key] = tensor
    session.optimizer.load_state_dict({"state": state, "param_groups": saved["param_groups"]})
    session.step = counters["step"]
    session.seconds = counters["seconds"]
    session.warmup_steps = counters["warmup_steps"]
    session.stable_steps = counters["stable_steps"]
    return True


def saved_steps(path: Path, digest: str) -> int:
    """Steps that a saved run of the recipe with this digest has done; 0 if there is none."""
    try:
        with safe_open(path, framework="pt") as file:
            counters = json.loads((file.metadata() or {})["counters"])
    except (OSError, SafetensorError, KeyError, ValueError):
        return 0
    return int(counters["step"]) if counters["digest"] == digest else 0


def free_memory(device: torch.device) -> None:
    """Give memory of a failed run back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
