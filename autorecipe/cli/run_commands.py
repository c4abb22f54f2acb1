"""Commands on a run that exists: predict, report, export, dashboard."""

import contextlib
import io
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from autorecipe.cli import words
from autorecipe.cli.display import write_line
from autorecipe.cli.options import Run
from autorecipe.errors import InputError, InputWarning, did_you_mean
from autorecipe.rundir import atomic, open_run, read_mapping

if TYPE_CHECKING:
    import pandas as pd

_AS_THEY_ARE: Final = "surrogateescape"
"""Names of files and classes that are no UTF-8 are written with the bytes that they have on the disk."""
SUFFIXES = (".csv", ".tsv", ".parquet")


def predict(
    run: Run,
    source: Annotated[
        str, typer.Argument(metavar="INPUT", show_default=False, help="An image, a folder of images, or a table.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="Where to write: .csv, .tsv or .parquet; else CSV on standard output.",
        ),
    ] = None,
) -> None:
    """Predict INPUT with the model of RUN.

    Writes a table: file or row, prediction, and the probability of each class.  Images that cannot be read are named
    and left out.
    """
    if out is not None and out.suffix.lower() not in SUFFIXES:
        near = did_you_mean(out.suffix.lower() or "none", SUFFIXES)
        raise InputError(f"--out {out}: '{out.suffix}' is no kind of table that can be written; {near}")
    if out is not None and _same_file(out, source):
        raise InputError(f"--out {out} is the input itself, which it would take the place of; give another file")
    folder = open_run(run)
    from autorecipe.predictor import load

    with _told_warnings():
        table = load(folder.path).predict_table(source)
    if out is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors=_AS_THEY_ARE)
        table.to_csv(sys.stdout, index=False, lineterminator="\n")
        return
    write_table(table, out)
    write_line(sys.stderr, words.clean(f"{len(table):,} predictions in {out}"))


def _same_file(out: Path, source: str) -> bool:
    try:
        return out.samefile(source)
    except (OSError, ValueError):  # one of them is not there
        return False


@contextlib.contextmanager
def _told_warnings() -> Iterator[None]:
    """Warnings about the user's input go to standard error, a line each."""
    with warnings.catch_warnings():
        plain = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            if issubclass(category, InputWarning):
                write_line(sys.stderr, words.clean(f"warning: {message}"))
            else:
                plain(message, category, *rest, **more)

        warnings.simplefilter("always", InputWarning)
        warnings.showwarning = show
        yield


def write_table(table: "pd.DataFrame", out: Path) -> None:
    """Write a table whole or not at all, in the format that the suffix says.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        with atomic(out) as temporary:
            if out.suffix.lower() == ".parquet":
                table.to_parquet(temporary, index=False)
            else:
                mark = "\t" if out.suffix.lower() == ".tsv" else ","
                table.to_csv(temporary, index=False, sep=mark, errors=_AS_THEY_ARE)
    except UnicodeError as error:
        raise InputError(f"{out} cannot hold names that are no UTF-8 ({error}); give --out FILE.csv") from error
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror or error}; give another --out") from error


def export(
    run: Run,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="onnx|script|torch",
            show_default=False,
            help="onnx: for onnxruntime; script: plain PyTorch that trains the recipe; torch: for torch.export.load.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", show_default=False, help="Where to write; else RUN/model.onnx, train.py or model.pt2."
        ),
    ] = None,
) -> None:
    """Write the model of RUN in a form that works without autorecipe.

    A model is checked for equal outputs before it takes its place.
    """
    folder = open_run(run)
    from autorecipe.outputs.export import export as write

    path = write(folder, form, out)
    write_line(sys.stdout, words.shown_path(path))
    if form == "script" and path.parent != folder.path:
        place = words.shown_path(folder.path)
        text = f"it reads preprocess.json and splits.json of the run: python {path} DATASET {place}"
        write_line(sys.stderr, words.clean(text))


def report(run: Run) -> None:
    """Write report.html into RUN: the result, every decision with its evidence, the receipt.

    One self-contained page, made from the run's folder alone, also of a run that was interrupted.
    """
    folder = open_run(run)
    from autorecipe.outputs.report import write_report

    try:
        path = write_report(folder)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{folder.path}/report.html cannot be written: {reason}; make room there") from error
    write_line(sys.stdout, words.clean(words.shown_path(path)))


def dashboard(
    run: Run,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0: any free port.")] = 8080,
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="The Optuna storage of the run; else what its --storage was.")
    ] = None,
) -> None:
    """Serve Optuna's dashboard of RUN, also while it runs.

    It only reads; Ctrl-C ends it.
    """
    folder = open_run(run)
    url = storage or read_mapping(folder.settings).get("storage")
    from autorecipe.outputs.dashboard import serve

    serve(folder, url, port, ready=lambda address: write_line(sys.stdout, f"{address}  (Ctrl-C ends it)"))
