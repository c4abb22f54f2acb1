"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Dataset = Annotated[
    str,
    typer.Argument(
        metavar="DATASET",
        show_default=False,
        help="A folder of class folders of images or with labels.csv, a CSV, TSV or Parquet file, a folder with "
        "train.* and test.*, or a bundled set: digits, iris, wine, breast_cancer, diabetes.",
    ),
]
Run = Annotated[
    Path, typer.Argument(metavar="RUN", show_default=False, help="The folder of a run, such as runs/digits-1.")
]
Target = Annotated[
    str | None,
    typer.Option(
        metavar="COL",
        help="The column to predict, for tables and labels.csv; A,B,C: a table's columns of 0 and 1, a label each.",
    ),
]
Task = Annotated[str, typer.Option(help="auto, binary, multiclass, multilabel or regression.")]
Metric = Annotated[
    str,
    typer.Option(
        help="The metric that decisions are taken in, ours or scikit-learn's name; auto: the task's usual one."
    ),
]
Range = Annotated[
    str,
    typer.Option(
        "--range", metavar="LO,HI", help="Bounds of a number to predict; none: no bounds; auto: found from the data."
    ),
]
Keep = Annotated[
    list[str] | None,
    typer.Option(metavar="COL", help="A column that stays although it looks useless, an identifier say. Repeatable."),
]
Drop = Annotated[list[str] | None, typer.Option(metavar="COL", help="A column that is left out. Repeatable.")]
Group = Annotated[
    str | None,
    typer.Option(metavar="COL", help="The column of what belongs together: no split has a part of a group."),
]
Time = Annotated[
    str | None,
    typer.Option(
        metavar="COL", help="The column of dates or numbers to split by: trains on earlier rows than it scores."
    ),
]
Resolution = Annotated[
    int | None, typer.Option(metavar="N", help="Side of the images in pixels; else chosen from the data.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of splits, trials and networks.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Threads = Annotated[int | None, typer.Option(min=1, metavar="N", help="CPU threads; else all cores.")]
Out = Annotated[
    Path | None, typer.Option(metavar="DIR", show_default=False, help="The run's folder; else a new one in runs/.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Only the run's folder and its score, at the end.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output and nothing else.")]
JsonEvents = Annotated[bool, typer.Option("--json", help="One JSON event a line on standard output and nothing else.")]
