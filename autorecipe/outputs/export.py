"""`autorecipe export`: the model of a run in a form that works without autorecipe."""

from pathlib import Path

from autorecipe.errors import InputError, did_you_mean
from autorecipe.outputs.identity import identity_of, record
from autorecipe.predictor import load
from autorecipe.rundir import RunDir, locked, writing
from autorecipe.search.checksums import add_export

FORMATS = ("onnx", "script", "torch")


def export(run: RunDir, form: str, out: Path | None = None) -> Path:
    """Write the model of a run; an older file takes its place only once the new one is whole.

    Args:
        run: the run.
        form: one of `FORMATS`: `model.onnx`, `train.py` or `model.pt2`.
        out: the file; None: in the run's folder.

    Returns:
        where it is.

    Raises:
        InputError: an unknown format, a place that cannot be written, a run without a model, or a model that cannot be
            exported.
    """
    check_export(run, form, out)
    result = load(run.path)
    if out is not None and out.resolve() != _own(run, form):
        try:
            return _write(run, form, out)
        except OSError as error:
            raise InputError(f"{out} cannot be written: {error.strerror or error}; give another --out") from error
    with writing(run), locked(run):
        path = _write(result.run, form, None)
        add_export(run, path)
        return path


def check_export(run: RunDir, form: str, out: Path | None) -> None:
    """Refuse what cannot be written before there is any work to lose.

    Raises:
        InputError: with what to type.
    """
    if form not in FORMATS:
        raise InputError(f"--format {form}: {did_you_mean(form, FORMATS)}")
    if out is None:
        return
    try:
        folder, kept = out.is_dir(), out.exists() and run.path in out.resolve().parents
    except OSError as error:
        raise InputError(f"--out {out} cannot be used: {error.strerror}; give another file") from error
    own = _own(run, form)
    if folder:
        raise InputError(f"--out {out} is a folder; give a file in it, such as {out / own.name}")
    if kept and out.resolve() != own:
        raise InputError(
            f"--out {out} is a file of the run itself, which it would take the place of; give another file"
        )


def _own(run: RunDir, form: str) -> Path:
    """Its place in the run's folder."""
    return {"onnx": run.onnx, "script": run.script, "torch": run.program}[form]


def _write(run: RunDir, form: str, out: Path | None) -> Path:
    result = load(run.path)
    if form == "script":
        from autorecipe.outputs.script import write_script

        return write_script(result, out)
    if form == "torch":
        from autorecipe.outputs.program import write_program

        return write_program(result, out)
    from autorecipe.outputs.onnx_file import write_onnx

    path, outputs, sample = write_onnx(result, out)
    if out is None:
        record(run, identity_of(result, sample, outputs))
    return path
