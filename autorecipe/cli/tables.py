"""Tables of text: drawn by rich on a terminal, aligned plain text elsewhere."""

from collections.abc import Sequence
from typing import TextIO

from autorecipe.cli import words
from autorecipe.cli.display import on_terminal, write_line


def show_table(
    out: TextIO, headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = (), title: str = ""
) -> None:
    """Write a table.

    Args:
        out: where to.
        headers: one text a column.
        rows: one text a cell; control characters are taken out.
        right: headers of the columns that are aligned on the right.
        title: a line above.
    """
    cells = [[words.clean(cell) for cell in row] for row in rows]
    if on_terminal(out):
        _show_rich(out, headers, cells, right, title)
        return
    widths = [max([len(header), *(len(row[i]) for row in cells)]) for i, header in enumerate(headers)]
    if title:
        write_line(out, words.clean(title))
    for row in [list(headers), *cells]:
        aligned = [
            cell.rjust(width) if header in right else cell.ljust(width)
            for cell, width, header in zip(row, widths, headers, strict=True)
        ]
        write_line(out, "  ".join(aligned).rstrip())


def _show_rich(
    out: TextIO, headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str], title: str
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for header in headers:
        table.add_column(Text(header), justify="right" if header in right else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(file=out, highlight=False, markup=False, emoji=False)
    if title:
        console.print(Text(words.clean(title), style="bold"))
    console.print(table)
