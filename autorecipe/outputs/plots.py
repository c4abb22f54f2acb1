"""Plots as files: PNG, SVG or PDF."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autorecipe.errors import InputError, did_you_mean
from autorecipe.results import LRRange
from autorecipe.rundir import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".png", ".svg", ".pdf")
BLUE, ORANGE, GREY = "#1f5f99", "#d1661b", "#777777"


def check_plot_path(path: Path) -> None:
    """Raise `InputError` where no plot can be written, before there is any work to lose.

    Raises:
        InputError: the ending is none of `SUFFIXES`, or the place is a folder or cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        near = did_you_mean(path.suffix.lower() or "none", SUFFIXES)
        raise InputError(f"--plot {path}: '{path.suffix}' is no kind of picture that can be written; {near}")
    try:
        folder = path.is_dir()
        place = next((parent for parent in path.absolute().parents if parent.exists()), Path("/"))
        writable = place.is_dir() and os.access(place, os.W_OK)
    except OSError as error:
        raise InputError(f"--plot {path}: {error.strerror}; give another file") from error
    if folder:
        raise InputError(f"--plot {path} is a folder; give a file in it, such as {path / 'lr.png'}")
    if not writable:
        raise InputError(f"--plot {path}: nothing can be written to {place}; give a file in another folder")


def plot_lr_range(found: LRRange, network: str, path: Path) -> None:
    """The loss against the learning rate: the sweeps' median with their band, the race, and the suggestion.

    Args:
        found: what the range test measured.
        network: what was tested, in a few words.
        path: where to write; its ending says what.

    Raises:
        InputError: the file cannot be written.
    """
    with _figure(path) as axes:
        if found.lrs:
            lrs = np.array(found.lrs)
            axes.fill_between(
                lrs, found.lowest, found.highest, color=BLUE, alpha=0.18, linewidth=0, label="band of the sweeps"
            )
            axes.plot(
                lrs, found.losses, color=BLUE, linewidth=1.8, label="smoothed training loss, median of the sweeps"
            )
        if found.race_lrs:
            raced = [
                (lr, loss) for lr, loss in zip(found.race_lrs, found.race_losses, strict=True) if np.isfinite(loss)
            ]
            axes.plot(
                *zip(*raced, strict=True),
                "o-",
                color=ORANGE,
                markersize=5,
                linewidth=1,
                label="race: loss after short runs",
            )
        if found.interval is not None:
            low, high = found.interval
            axes.axvspan(
                low, high, color=ORANGE, alpha=0.12, linewidth=0, label=f"nearly as good: {low:.2g} to {high:.2g}"
            )
        for style, (rule, lr) in zip((":", "-.", "--"), sorted(found.rules.items()), strict=False):
            axes.axvline(lr, color=GREY, linestyle=style, linewidth=0.9, label=f"{rule}: {lr:.2g}")
        axes.axvline(found.suggestion, color=ORANGE, linewidth=1.8, label=f"suggestion: {found.suggestion:.2g}")
        axes.set_xscale("log")
        shown = [*found.lowest, *found.losses, *found.race_losses]
        if shown and min(shown) > 0 and min(found.race_losses, default=1.0) < 0.1 * max(found.losses):
            axes.set_yscale("log")  # rates are as good as their losses' logarithms are near
        axes.set_xlabel("learning rate")
        axes.set_ylabel("loss")
        axes.set_title(f"{network}: learning rate {found.suggestion:.3g}", fontsize=11, loc="left")
        axes.legend(fontsize=8, frameon=False, loc="best")


@contextmanager
def _figure(path: Path) -> Iterator["Axes"]:
    """Axes to draw on, written when the block ends."""
    from matplotlib.figure import Figure  # imported here: it takes half a second, and few commands draw

    figure = Figure(figsize=(8.0, 4.8), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    yield axes
    try:
        with atomic(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:].lower())
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}; give another --plot") from error
