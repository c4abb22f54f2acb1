"""`model.pt2`: the whole model as a program of `torch.export`, which `torch.export.load` reads without autorecipe."""

import io
import warnings
from pathlib import Path

import torch

from autorecipe.errors import InputError
from autorecipe.outputs.whole import TOLERANCE, sample_of, whole, worst_difference
from autorecipe.predictor import Result
from autorecipe.rundir import atomic


def write_program(result: Result, out: Path | None = None) -> Path:
    """Write the program, if it gives the same outputs once it is loaded again.

    Args:
        result: the run.
        out: the file; None: `model.pt2` in the run's folder.

    Raises:
        InputError: the network cannot be exported, or its outputs differ; nothing is written then.
    """
    path = result.run.program if out is None else out
    model, sample = whole(result), sample_of(result.run, result.info)
    batch = torch.export.Dim("batch", min=1)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.export.export(
                model,
                tuple(x[:2].contiguous() for x in sample.inputs),
                dynamic_shapes=(tuple({0: batch} for _ in sample.inputs),),
            )
            torch.export.save(program, file)
            again = torch.export.load(io.BytesIO(file.getvalue())).module()
            with torch.inference_mode():
                wanted = model(*sample.inputs).numpy()
                worst = max(
                    worst_difference(again(*inputs).numpy(), wanted[: len(inputs[0])])
                    for inputs in (sample.inputs, tuple(x[:1] for x in sample.inputs))
                )
        except Exception as error:  # whatever a family's own code and the exporter raise
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            raise InputError(
                f"the network cannot be written as a torch program: {reason}; its weights are in {result.run.weights}"
            ) from error
    if not worst <= TOLERANCE:
        raise InputError(
            f"{path.name} was not written: its outputs differ from the model's by {worst:.1e} of the largest, more "
            f"than {TOLERANCE:g}"
        )
    with atomic(path) as temporary:
        temporary.write_bytes(file.getvalue())
    return path
