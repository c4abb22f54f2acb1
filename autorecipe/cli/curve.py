"""The loss against the learning rate, drawn in the terminal."""

import math

from autorecipe.results import LRRange


def draw_curve(found: LRRange, width: int = 78, height: int = 18, colors: bool = False) -> str:
    """The curve of a range test, with the suggestion marked; empty if there are no points to draw.

    Args:
        found: rates and losses.
        width: in columns.
        height: in lines.
        colors: whether control codes may be used.
    """
    points = [(math.log10(lr), loss) for lr, loss in zip(found.lrs, found.losses, strict=True) if math.isfinite(loss)]
    if len(points) < 2:
        return ""
    import plotext

    x, y = [p[0] for p in points], [p[1] for p in points]
    figure = plotext.figure
    figure.clear()
    figure.plot_size(width, height)
    if not colors:
        figure.theme("colorless")
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
    figure.title("smoothed loss")
    figure.label("learning rate")
    return str(figure.build().string(not colors))
