"""Commands that look at data: inspect, lr-find, cache."""

import shlex
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autorecipe.cli import words
from autorecipe.cli.curve import draw_curve
from autorecipe.cli.display import choose_mode, json_line, on_terminal, open_display, progress_line, write_line
from autorecipe.cli.options import (
    Dataset,
    Device,
    Drop,
    Group,
    Json,
    Keep,
    Metric,
    Range,
    Resolution,
    Seed,
    Target,
    Task,
    Threads,
    Time,
)
from autorecipe.cli.signals import stop_on_signals
from autorecipe.cli.tables import show_table
from autorecipe.clock import Budget, start_clock

if TYPE_CHECKING:
    from autorecipe.results import DatasetInfo, Finding, LRRange


def inspect(
    dataset: Dataset,
    target: Target = None,
    task: Task = "auto",
    metric: Metric = "auto",
    keep: Keep = None,
    drop: Drop = None,
    group: Group = None,
    time: Time = None,
    resolution: Resolution = None,
    bounds: Range = "auto",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Say what is in DATASET, and what looks odd.

    Kind, task, metric and splits, each with its reason; findings with counts and examples.
    """
    from autorecipe.data import ReadOptions, inspect_dataset

    options = ReadOptions(
        target=target,
        task=task,
        metric=metric,
        keep=tuple(keep or ()),
        drop=tuple(drop or ()),
        group=group,
        time=time,
        resolution=resolution,
        seed=seed,
        range=bounds,
    )
    with progress_line(sys.stderr) as progress:
        info = inspect_dataset(dataset, options, progress)
    if as_json:
        write_line(sys.stdout, json_line(info))
        return
    show_table(sys.stdout, ("fact", "value", "why"), fact_rows(info))
    write_line(sys.stdout, "")
    for line in finding_lines(info.findings, width=shutil.get_terminal_size((110, 40)).columns):
        write_line(sys.stdout, line)
    asked = {
        "target": [target] if target else [],
        "task": [] if task == "auto" else [task],
        "metric": [] if metric == "auto" else [metric],
        "keep": keep or [],
        "drop": drop or [],
        "group": [group] if group else [],
        "time": [time] if time else [],
        "resolution": [] if resolution is None else [str(resolution)],
        "range": [] if bounds == "auto" else [bounds],
        "seed": [str(seed)] if seed else [],
    }
    typed = "".join(f" --{name} {shlex.quote(value)}" for name, values in asked.items() for value in values)
    write_line(sys.stdout, "")
    write_line(sys.stdout, words.clean(f"next: autorecipe search {shlex.quote(dataset)}{typed} --budget 10m"))


def fact_rows(info: "DatasetInfo") -> list[Sequence[str]]:
    """What was found, as rows of fact, value and reason."""
    sizes = ", ".join(f"{words.count(n)} {name}" for name, n in info.num_examples.items() if n)
    order = f"in the order of '{info.time}'" if info.time else f"whole groups of '{info.group}'" if info.group else ""
    folds = "fewer than 5,000 examples: decisions use fresh folds" if info.cross_validated else ""
    why = "; ".join(text for text in (order, folds) if text)
    rows: list[Sequence[str]] = [("name", info.name, ""), ("kind", info.modality, "")]
    if info.modality == "image":
        color = {1: "grey", 3: "colour"}.get(info.channels, f"{info.channels} channels")
        rows.append(("images", f"{info.resolution}x{info.resolution} {color}", info.resolution_reason))
    else:
        inputs = f"{words.count(info.num_numbers)} numbers, {len(info.cardinalities)} categories"
        rows.append(("inputs", inputs, "a missing value is a signal of its own"))
    rows.append(("task", info.task, info.task_reason))
    if info.target and tuple(name.strip() for name in info.target.split(",")) != info.classes:
        rows.append(("target", info.target, ""))
    if info.classes:
        pairs = list(zip(info.classes, info.class_counts, strict=False))
        shown = ", ".join(f"{name} ({words.count(n)})" for name, n in pairs[:8])
        more = f", and {len(pairs) - 8} more" if len(pairs) > 8 else ""
        kind = "labels" if info.task == "multilabel" else "classes"
        rows.append((kind, f"{len(info.classes)}: {shown}{more}", ""))
    else:
        scale = info.target_scale
        logs = f" of log(1 + |y| / {words.number(scale.log_unit)})" if scale.log_unit else ""
        ends = zip(("not below", "not above"), (scale.low, scale.high), strict=True)
        kept = ", ".join(f"{word} {words.short(end)}" for word, end in ends if end is not None)
        values = f"mean {words.number(scale.mean)}, sd {words.number(scale.std)}{logs}"
        rows.append(("target values", values, kept and f"predictions are {kept}"))
    rows += [("metric", info.metric, info.metric_reason), ("examples", sizes, why), ("digest", info.digest[:8], "")]
    return rows


def finding_lines(findings: Sequence["Finding"], width: int) -> list[str]:
    """What was found, what is done about it and what to type to have it otherwise; what needs a look comes first."""
    lines = [] if findings else ["nothing odd was found"]
    for finding in sorted(findings, key=lambda finding: not finding.warn):
        paragraphs = [("look!  " if finding.warn else "       ", finding.found)]
        paragraphs += [("         -> ", finding.done)] if finding.done else []
        paragraphs += [("         otherwise: ", finding.otherwise)] if finding.otherwise else []
        for lead, text in paragraphs:
            rest = " " * min(len(lead), 12)
            lines += textwrap.wrap(
                words.clean(text), max(60, width), initial_indent=lead, subsequent_indent=rest, break_on_hyphens=False
            )
    return lines


def lr_find(
    dataset: Dataset,
    target: Target = None,
    recipe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The recipe whose network is tested; else the smallest one.")
    ] = None,
    steps: Annotated[int, typer.Option(min=24, help="Steps of one sweep.")] = 100,
    seeds: Annotated[
        int, typer.Option(min=1, help="Sweeps from fresh initialisations; the curve is their median.")
    ] = 4,
    race_steps: Annotated[
        int,
        typer.Option(min=0, help="Steps of each short run of the race around the steepest point; 0: no race."),
    ] = 60,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="Where the plot is written: .png, .svg or .pdf; else lr-find-DATASET.png here.",
        ),
    ] = None,
    task: Task = "auto",
    keep: Keep = None,
    drop: Drop = None,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Draw the loss against the learning rate, with the band of the sweeps.

    Says which learning rate to take, how sure that is, and why, and writes a plot.  Where the network can be trained
    several times at once, short runs at learning rates around the steepest point decide.
    """
    from autorecipe.errors import InputError
    from autorecipe.outputs.plots import check_plot_path, plot_lr_range

    picture = plot if plot is not None else Path(f"lr-find-{Path(dataset).stem[:100] or 'data'}.png")
    if plot is not None:
        check_plot_path(picture)
    clock = start_clock(Budget(given="none"), since_process_start=True)
    # Progress goes to standard error: standard output holds the result alone.
    mode = "quiet" if as_json else choose_mode(False, False, sys.stderr)
    with open_display(mode, clock, sys.stderr) as display, stop_on_signals() as request:
        from autorecipe.data import ReadOptions
        from autorecipe.recipe import load_recipe
        from autorecipe.search.lr_find import lr_find as find

        network, found = find(
            dataset,
            ReadOptions(target=target, task=task, keep=tuple(keep or ()), drop=tuple(drop or ())),
            recipe=None if recipe is None else load_recipe(recipe),
            device=device,
            threads=threads,
            steps=steps,
            seeds=seeds,
            race_steps=race_steps,
            say=display.say,
            stop=request.check,
        )
    problem = ""
    try:
        plot_lr_range(found, network, picture)
    except InputError as error:
        problem = str(error)
    if as_json:
        facts = {"network": network, **asdict(found), "plot": None if problem else str(picture)}
        write_line(sys.stdout, json_line(facts))
    else:
        _show_lr_range(network, found)
    if not problem:
        if not as_json:
            write_line(sys.stdout, words.clean(f"plot: {words.shown_path(picture)}"))
    elif plot is not None:
        raise InputError(problem)
    else:
        write_line(sys.stderr, words.clean(f"no plot: {problem}"))


def _show_lr_range(network: str, found: "LRRange") -> None:
    """The curve, and what it says."""
    terminal = on_terminal(sys.stdout)
    size = min(100, shutil.get_terminal_size().columns - 2) if terminal else 78
    for line in draw_curve(found, width=size, colors=terminal).splitlines():
        write_line(sys.stdout, line.rstrip())
    write_line(sys.stdout, words.clean(f"{network}: lr {found.suggestion:.3g} ({found.reason})"))
    if found.spread:
        write_line(sys.stdout, f"steepest points of single sweeps differ by a factor of {10**found.spread:.2g}")
    rules = ", ".join(f"{rule} {lr:.2g}" for rule, lr in sorted(found.rules.items()))
    if rules:
        write_line(sys.stdout, f"what rules read off the curve: {rules}")


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove everything from the cache.")] = False,
) -> None:
    """Show or clear the cache of decoded images."""
    from autorecipe.data import cache as store

    if clear:
        entries, size = store.clear()
        write_line(sys.stdout, f"removed {entries} data sets, {_bytes(size)}, from {words.clean(store.cache_dir())}")
        return
    entries, size = store.usage()
    write_line(sys.stdout, f"place  {words.clean(store.cache_dir())}  (AUTORECIPE_CACHE)")
    write_line(sys.stdout, f"size   {_bytes(size)} in {entries} data sets")
    write_line(sys.stdout, f"limit  {_bytes(store.size_limit())}  (AUTORECIPE_CACHE_LIMIT)")


def _bytes(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
