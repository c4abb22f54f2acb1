"""The loss against the learning rate, drawn in the terminal."""

import math
from collections.abc import Sequence

from autorecipe.results import LRRange


def draw_curve(found: LRRange, width: int = 78, height: int = 18, colors: bool = False) -> str:
    """The curve of a range test with its band and the suggestion; empty if there are no points to draw.

    Args:
        found: rates and losses.
        width: in columns.
        height: in lines.
        colors: whether control codes may be used.
    """
    points = _points(found.lrs, found.losses)
    if len(points) < 2:
        return ""
    import plotext

    x, y = [p[0] for p in points], [p[1] for p in points]
    figure = plotext.figure
    figure.clear()
    figure.plot_size(width, height)
    if not colors:
        figure.theme("colorless")
    for edge in (found.lowest, found.highest):
        if edge and edge != found.losses:
            figure.draw(figure.signal(*zip(*_points(found.lrs, edge), strict=True), marker="·"))
    curve = figure.signal(x, y)
    curve.lines()
    figure.draw(curve)
    # plotext's own log scale puts its ticks at uneven places: the logarithm is drawn, with powers of ten as ticks.
    decades = list(range(math.ceil(x[0] - 1e-9), math.floor(x[-1] + 1e-9) + 1))
    ticks = (
        [(float(k), f"1e{k}") for k in decades] if len(decades) > 1 else [(v, f"{10**v:.1e}") for v in (x[0], x[-1])]
    )
    figure.ruler("x").ticks([at for at, _ in ticks], [name for _, name in ticks])
    at = math.log10(found.suggestion)
    if x[0] <= at <= x[-1]:
        figure.line(at, "vertical")
        figure.draw(figure.text(at, max(y), f" {found.suggestion:.2g} "))
    figure.title("smoothed loss, and the band of the sweeps" if found.lowest else "smoothed loss")
    figure.label("learning rate")
    return str(figure.build().string(not colors))


def _points(lrs: Sequence[float], losses: Sequence[float]) -> list[tuple[float, float]]:
    return [(math.log10(lr), loss) for lr, loss in zip(lrs, losses, strict=True) if math.isfinite(loss)]
