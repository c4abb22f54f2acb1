"""The report's pictures, each a function from plain numbers to SVG."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from autorecipe.outputs.report.predictions import Bin
from autorecipe.outputs.report.svg import Chart, Scale, join, label, picture, spread, tag
from autorecipe.outputs.wording import count, number, seconds

MOST_DOTS = 40
"""On a training curve; with more points it is a line alone."""


def percent(value: float) -> str:
    """A place along a picture that has no size of its own."""
    return f"{100 * value:.2f}%"


def effect_bar(effect: float, interval: tuple[float, float], limit: float, kind: str, title: str) -> Markup:
    """An effect with its interval on a scale from -limit to limit; as wide as its place."""
    place = Scale(-limit, limit, 0.03, 0.97)
    low, high, at, zero = (percent(place(value)) for value in (*interval, effect, 0.0))
    start, end = sorted((place(effect), place(0.0)))
    parts = [
        tag("line", x1=zero, x2=zero, y1=0, y2=28, class_="zero"),
        tag("rect", x=percent(start), y=10, width=percent(end - start), height=8, class_=f"bar {kind}"),
        tag("line", x1=low, x2=high, y1=14, y2=14, class_=f"whisker {kind}"),
        tag("line", x1=low, x2=low, y1=9, y2=19, class_=f"whisker {kind}"),
        tag("line", x1=high, x2=high, y1=9, y2=19, class_=f"whisker {kind}"),
        tag("circle", cx=at, cy=14, r=4, class_=f"dot {kind}"),
    ]
    return tag("svg", join(parts), height=28, width="100%", role="img", aria_label=title, class_="strip")


def effect_axis(limit: float) -> Markup:
    """The scale above the effects."""
    place = Scale(-limit, limit, 0.03, 0.97)
    parts = [
        tag("text", f"{value:+.2g}" if value else "0", x=percent(place(value)), y=11, class_="tick mid")
        for value in (-limit, -limit / 2, 0.0, limit / 2, limit)
    ]
    return tag("svg", join(parts), height=14, width="100%", aria_hidden="true", class_="strip")


def seed_dots(incumbent: Sequence[float], candidate: Sequence[float], axis: str, title: str) -> Markup:
    """Scores of each seed, incumbent above candidate, lines between runs of the same seed."""
    low, high = spread([*incumbent, *candidate])
    x = Scale(low, high, 78, 348)
    parts = [tag("line", x1=78, x2=348, y1=88, y2=88, class_="axis")]
    for value in x.ticks(4):
        at = x(value)
        parts.append(tag("line", x1=at, x2=at, y1=14, y2=88, class_="grid"))
        parts.append(tag("text", label(value), x=at, y=102, class_="tick mid"))
    for old, new in zip(incumbent, candidate, strict=False):
        parts.append(tag("line", x1=x(old), x2=x(new), y1=32, y2=66, class_="link"))
    for name, y, values, kind in (("incumbent", 32, incumbent, "c0"), ("candidate", 66, candidate, "c1")):
        parts.append(tag("text", name, x=70, y=y + 4, class_="word end"))
        for seed, value in enumerate(values):
            told = tag("title", f"{name}, seed {seed}: {number(value)}")
            parts.append(tag("circle", told, cx=x(value), cy=y, r=5, class_=f"dot {kind}"))
        if values:
            mean = x(float(np.mean(values)))
            parts.append(tag("line", x1=mean, x2=mean, y1=y - 11, y2=y + 11, class_=f"mean {kind}"))
    parts.append(tag("text", axis, x=213, y=118, class_="name mid"))
    return picture(title, 360, 122, parts)


def lr_curve(
    found: dict[str, list[float]], suggestion: float, interval: tuple[float, float] | None, title: str
) -> Markup:
    """Loss against learning rate: the sweeps' median and band, the race's points, the suggestion.

    Args:
        found: `lrs`, `losses`, `lowest`, `highest`, `race_lrs`, `race_losses`.
        suggestion: the learning rate that was taken.
        interval: rates that are nearly as good, or None.
        title: what it shows, in words.
    """
    raced = [p for p in zip(found["race_lrs"], found["race_losses"], strict=False) if math.isfinite(p[1])]
    swept = list(zip(found["lrs"], found["losses"], strict=False))
    lrs = [*found["lrs"], *(x for x, _ in raced), suggestion]
    start = min(found["losses"][:1] or [loss for _, loss in raced] or [1.0])
    losses = [*(min(loss, 2.5 * start) for _, loss in swept), *(min(loss, 2.5 * start) for _, loss in raced)]
    chart = Chart(spread(lrs, log=True), spread(losses), "learning rate", "training loss", x_log=True)
    if interval is not None:
        low, high = chart.x(interval[0]), chart.x(interval[1])
        chart.add("rect", x=low, y=24.0, width=max(1.0, high - low), height=chart.y.start - 24, class_="span")
    chart.band(found["lrs"], found["lowest"], found["highest"], "c0")
    chart.line(swept, "c0")
    chart.line(raced, "c1 thin")
    for lr, loss in raced:
        chart.dot((lr, loss), "c1", title=f"race at {lr:.2g}: loss {loss:.4g}")
    chart.rule(suggestion, "c1", f"{suggestion:.2g}")
    return chart.svg(title)


def training_curve(curve: Sequence[dict[str, float | None]], title: str) -> Markup:
    """Loss on train and on val against the steps; the learning rate, if it is there, from 0 at the bottom.

    Args:
        curve: points with `step`, `train_loss`, `loss` and `lr`, of which any may be missing.
        title: what it shows, in words.
    """
    lines = {
        kind: [(p["step"], p[name]) for p in curve if p.get("step") is not None and p.get(name) is not None]
        for kind, name in (("c0", "train_loss"), ("c1", "loss"))
    }
    points: list[tuple[float, float]] = [point for line in lines.values() for point in line]  # type: ignore[misc]
    values = [value for _, value in points]
    log = bool(values) and min(values) > 0 and max(values) > 8 * min(values)
    chart = Chart((0.0, max([x for x, _ in points] or [1.0])), spread(values, log=log), "step", "loss", y_log=log)
    rates = [(x, lr) for p in curve if (x := p.get("step")) is not None and (lr := p.get("lr")) is not None]
    if len(rates) > 1:
        place = Scale(0.0, max(lr for _, lr in rates) or 1.0, chart.y.start, chart.y.end)
        chart.add(
            "polyline", points=" ".join(f"{chart.x(x):.1f},{place(lr):.1f}" for x, lr in rates), class_="line ideal"
        )
    for kind, line in lines.items():
        chart.line(line, f"{kind}")  # type: ignore[arg-type]
        for point in line if len(line) <= MOST_DOTS else []:
            chart.dot(point, kind, 2.5, f"step {count(point[0])}: {number(point[1])}")  # type: ignore[arg-type]
    return chart.svg(title)


@dataclass(frozen=True)
class Trained:
    """One trial in the picture of size against compute."""

    seconds: float
    error: float
    size: int
    """Parameters; 0: not known."""
    words: str
    complete: bool
    chosen: bool


def compute_curve(trials: Sequence[Trained], axis: str, ranks: dict[int, int], title: str) -> Markup:
    """Error against seconds of training; colour says the number of parameters, `ranks` gives 0 to 5 for each."""
    log = all(trial.error > 0 for trial in trials) and max(t.error for t in trials) > 4 * min(t.error for t in trials)
    chart = Chart(
        spread([t.seconds for t in trials], log=True), spread([t.error for t in trials], log=log),
        "seconds of training", axis, x_log=True, y_log=log, width=760, height=320,
    )  # fmt: skip
    for trial in sorted(trials, key=lambda t: (t.chosen, t.complete)):
        kind = f"r{ranks.get(trial.size, 0)}{'' if trial.complete else ' hollow'}"
        if trial.chosen:
            chart.add("circle", cx=chart.x(trial.seconds), cy=chart.y(trial.error), r=9, class_="ring")
        chart.dot((trial.seconds, trial.error), kind, 4.5 if trial.complete else 3.5, trial.words)
    for trial in [t for t in trials if t.chosen][:1]:
        x, y = chart.x(trial.seconds), chart.y(trial.error)
        chart.add("text", "chosen", x=x, y=y - 14, class_="word strong mid")
    return chart.svg(title)


def heat_map(table: np.ndarray, names: Sequence[str], title: str) -> Markup:
    """A confusion matrix: rows are the truth, columns what was said; a right cell is blue, a wrong one orange."""
    size = max(22, min(44, 330 // len(names)))
    longest = max(map(len, names))
    left, top = 28 + 6.5 * min(11, longest), 14 + 6 * min(9, longest)
    share = table / np.maximum(1, table.sum(1, keepdims=True))
    parts = []
    for i, name in enumerate(names):
        told = tag("title", name)
        at = size * i + size / 2
        parts.append(
            tag("text", join([told, Markup.escape(_cut(name, 11))]), x=left - 6, y=top + at + 4, class_="tick end")
        )
        turn = f"rotate(-40 {left + at:.1f} {top - 6})"
        parts.append(
            tag(
                "text",
                join([told, Markup.escape(_cut(name, 9))]),
                x=left + at,
                y=top - 6,
                class_="tick",
                transform=turn,
            )
        )
        for j, other in enumerate(names):
            kind = "right" if i == j else "wrong"
            strength = float(share[i, j]) if i == j else min(1.0, 4 * float(share[i, j]))
            x, y = left + j * size, top + i * size
            words = f"{name} taken for {other}: {table[i, j]:,}"
            cell = tag(
                "rect", tag("title", words), x=x + 1, y=y + 1, width=size - 2, height=size - 2, rx=2, class_="cell"
            )
            parts.append(cell)
            if table[i, j]:
                parts.append(
                    tag("rect", tag("title", words), x=x + 1, y=y + 1, width=size - 2, height=size - 2, rx=2,
                        class_=f"cell {kind}", fill_opacity=round(0.12 + 0.5 * strength, 3))
                )  # fmt: skip
                parts.append(tag("text", f"{table[i, j]}", x=x + size / 2, y=y + size / 2 + 4, class_="value mid"))
    side = size * len(names)
    parts.append(tag("text", "predicted", x=left + side / 2, y=top + side + 16, class_="name mid"))
    turned = f"rotate(-90 10 {top + side / 2:g})"
    parts.append(tag("text", "true", x=10, y=top + side / 2, class_="name mid", transform=turned))
    return picture(title, left + side + 34, top + side + 22, parts)


def _cut(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def reliability_curve(bins: Sequence[Bin], labels: bool, title: str) -> Markup:
    """Share that was right against what the network was sure of; the bars below count the predictions."""
    names = ("probability of a label", "share that has it") if labels else ("confidence", "share that was right")
    chart = Chart((0.0, 1.0), (0.0, 1.0), *names, height=260)
    top = max(b.count for b in bins)
    for b in bins:
        height = 40 * b.count / top
        told = tag("title", f"{b.count:,} predictions near {b.confidence:.2f}")
        chart.add(
            "rect", told, x=chart.x(b.confidence) - 6, y=chart.y.start - height, width=12, height=height, class_="count"
        )
    chart.line([(0, 0), (1, 1)], "ideal")
    chart.line([(b.confidence, b.right) for b in bins], "c0")
    for b in bins:
        words = f"{b.count:,} predictions, mean confidence {b.confidence:.3f}, right {b.right:.3f}"
        chart.dot((b.confidence, b.right), "c0", 4, words)
    return chart.svg(title)


def predicted_curve(truth: np.ndarray, said: np.ndarray, title: str) -> Markup:
    """Predictions against truth, the diagonal is right."""
    both = spread([*truth.tolist(), *said.tolist()])
    chart = Chart(both, both, "true", "predicted", height=300, left=54)
    chart.line([(both[0], both[0]), (both[1], both[1])], "ideal")
    for x, y in zip(truth.tolist(), said.tolist(), strict=True):
        chart.dot((x, y), "c0 faint", 2.6)
    return chart.svg(title)


def residual_curve(truth: np.ndarray, said: np.ndarray, title: str) -> Markup:
    """How far predictions were off, against the prediction."""
    off = said - truth
    chart = Chart(
        spread(said.tolist()), spread(off.tolist(), zero=True), "predicted", "predicted - true", height=300, left=54
    )
    chart.line([(chart.x_range[0], 0.0), (chart.x_range[1], 0.0)], "ideal")
    for x, y in zip(said.tolist(), off.tolist(), strict=True):
        chart.dot((x, y), "c1 faint", 2.6)
    return chart.svg(title)


@dataclass(frozen=True)
class Bar:
    """A bar from the left with its words."""

    name: str
    value: float
    words: str
    kind: str = "c0"
    """Its colour."""
    interval: Sequence[float] | None = None


def score_bars(bars: Sequence[Bar], limit: float, title: str) -> Markup:
    """Bars from the left, the longest possible one is `limit`."""
    parts = []
    for i, bar in enumerate(bars):
        y = 34 * i
        share = min(1.0, bar.value / limit) if limit > 0 else 0.0
        name = join([tag("title", bar.name), Markup.escape(_cut(bar.name, 34))])
        parts.append(tag("text", name, x=0, y=y + 10, class_="word"))
        parts.append(tag("text", bar.words, x="100%", y=y + 10, class_="word end"))
        parts.append(tag("rect", x=0, y=y + 15, width="100%", height=8, rx=4, class_="track"))
        parts.append(
            tag("rect", x=0, y=y + 15, width=percent(max(0.004, share)), height=8, rx=4, class_=f"bar {bar.kind}")
        )
        if bar.interval and limit > 0:
            low, high = (percent(min(1.0, max(0.0, value / limit))) for value in bar.interval)
            parts.append(tag("line", x1=low, x2=high, y1=y + 19, y2=y + 19, class_="mark"))
            parts.extend(tag("line", x1=x, x2=x, y1=y + 14, y2=y + 24, class_="mark") for x in (low, high))
    return tag(
        "svg", join(parts), height=34 * len(bars) - 8, width="100%", role="img", aria_label=title, class_="strip"
    )


def planned_bars(
    stages: Sequence[tuple[str, float | None, float]], title: str, amount: Callable[[object], str] = seconds
) -> Markup:
    """What was spent as bars, what was planned as a mark; `amount` says a number of seconds or epochs in words."""
    longest = max([0.001, *(max(planned or 0.0, spent) for _, planned, spent in stages)])
    parts = []
    for i, (name, planned, spent) in enumerate(stages):
        y = 36 * i
        told = f"{amount(spent)}{f' of {amount(planned)} planned' if planned is not None else ''}"
        parts.append(tag("text", name, x=0, y=y + 11, class_="word"))
        parts.append(tag("text", told, x="100%", y=y + 11, class_="word end"))
        parts.append(tag("rect", x=0, y=y + 17, width="100%", height=8, rx=2, class_="track"))
        parts.append(tag("rect", x=0, y=y + 17, width=percent(spent / longest), height=8, rx=2, class_="bar c0"))
        if planned:
            at = percent(planned / longest * 0.997)
            parts.append(tag("line", x1=at, x2=at, y1=y + 14, y2=y + 28, class_="mark"))
    return tag(
        "svg", join(parts), height=36 * len(stages) - 6, width="100%", role="img", aria_label=title, class_="strip"
    )


def account_dots(scores: Sequence[tuple[str, float]], axis: str, title: str) -> Markup:
    """A few scores on one scale, one below the other."""
    low, high = spread([value for _, value in scores])
    x = Scale(low, high, 110, 338)
    bottom = 30 * len(scores) + 10
    parts = [tag("line", x1=110, x2=338, y1=bottom, y2=bottom, class_="axis")]
    for value in x.ticks(4):
        parts.append(tag("line", x1=x(value), x2=x(value), y1=8, y2=bottom, class_="grid"))
        parts.append(tag("text", label(value), x=x(value), y=bottom + 14, class_="tick mid"))
    for i, (name, value) in enumerate(scores):
        y = 24 + 30 * i
        parts.append(tag("text", name, x=102, y=y + 4, class_="word end"))
        parts.append(
            tag("circle", tag("title", f"{name}: {number(value)}"), cx=x(value), cy=y, r=5, class_=f"dot c{i % 3}")
        )
    parts.append(tag("text", axis, x=224, y=bottom + 29, class_="name mid"))
    return picture(title, 360, bottom + 33, parts)
