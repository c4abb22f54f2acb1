"""`model.onnx`: the whole model for onnxruntime and others, checked for equal outputs before it is left there."""

import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from autorecipe.errors import InputError
from autorecipe.outputs.whole import (
    TOLERANCE,
    Sample,
    Whole,
    facts_of,
    input_names,
    output_name,
    sample_of,
    whole,
    worst_difference,
)
from autorecipe.predictor import Result
from autorecipe.results import DatasetInfo
from autorecipe.rundir import atomic

if TYPE_CHECKING:
    import onnx

OPSET = 18
"""Torch's exporter of traced graphs writes it in under a second, where the one of `torch.export` takes 4 to 8."""


def write_onnx(result: Result, out: Path | None = None) -> tuple[Path, np.ndarray, Sample]:
    """Write the model, if onnxruntime gives the same outputs as torch.

    Args:
        result: the run.
        out: the file; None: `model.onnx` in the run's folder.

    Returns:
        where it is, the sample that it was checked on, and what it says of that.

    Raises:
        InputError: the network cannot be exported, or its outputs differ; nothing is written then.
    """
    path = result.run.onnx if out is None else out
    model, sample = whole(result), sample_of(result.run, result.info)
    converted = convert(model, result.info, sample.inputs)
    for name, value in facts_of(result).items():
        entry = converted.metadata_props.add()
        said = value if isinstance(value, str) else json.dumps(value)
        entry.key, entry.value = name, said.encode(errors="replace").decode()  # a folder's name may be no UTF-8
    content = converted.SerializeToString()
    outputs = check_onnx(content, model, result.info, sample)
    with atomic(path) as temporary:
        temporary.write_bytes(content)
    return path, outputs, sample


def convert(model: Whole, info: DatasetInfo, inputs: tuple[torch.Tensor, ...]) -> "onnx.ModelProto":
    """A model as ONNX, for batches of any size.

    Raises:
        InputError: a part of it has no ONNX form.
    """
    import onnx

    names, output = input_names(info), output_name(info)
    try:
        with _silent(), tempfile.TemporaryDirectory(prefix="autorecipe-") as folder:
            file = Path(folder) / "model.onnx"
            torch.onnx.export(
                model,
                tuple(x[:2].contiguous() for x in inputs),
                file,
                input_names=names,
                output_names=[output],
                dynamic_axes={name: {0: "batch"} for name in (*names, output)},
                opset_version=OPSET,
                dynamo=False,
            )
            return onnx.load(file)
    except Exception as error:  # whatever a family's own code and the exporter raise
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(
            f"the network cannot be written as ONNX: {reason}; use: autorecipe export --format torch"
        ) from error


def check_onnx(content: bytes, model: Whole, info: DatasetInfo, sample: Sample) -> np.ndarray:
    """What onnxruntime makes of the sample.

    Raises:
        InputError: it cannot be run, or differs from what torch makes of it by more than `TOLERANCE`.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    names = input_names(info)
    feed = {name: x.numpy() for name, x in zip(names, sample.inputs, strict=True)}
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        found = np.asarray(session.run(None, feed)[0])
        alone = np.asarray(session.run(None, {name: x[:1] for name, x in feed.items()})[0])
    except Exception as error:  # onnxruntime's own kinds: an operation it lacks, a batch of one size only
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(
            f"model.onnx was not written: onnxruntime cannot run it: {reason}; use: autorecipe export --format torch"
        ) from error
    with torch.inference_mode():
        wanted = model(*sample.inputs).numpy()
    worst = max(worst_difference(found, wanted), worst_difference(alone, wanted[:1]))
    if not worst <= TOLERANCE:
        raise InputError(
            f"model.onnx was not written: onnxruntime's outputs differ from torch's by {worst:.1e} of the largest, "
            f"more than {TOLERANCE:g}; use: autorecipe export --format torch"
        )
    return found


@contextmanager
def _silent() -> Iterator[None]:
    """The exporter's own notes, on its future and on traced conditions, are no matter of the user's."""
    logger = logging.getLogger("torch.onnx")
    level: Any = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
