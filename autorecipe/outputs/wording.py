"""Numbers in words, as the console and the report show them."""

import math


def number(value: object) -> str:
    """A score, a loss or a learning rate: `0.9312`, `532.1`, `12,345`, `2.5e-05`; `-` if there is none."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int) or not math.isfinite(value):
        return f"{value:,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4f}" if 0.001 <= abs(value) < 1 else f"{value:.4g}"


def count(value: object) -> str:
    """A number of things, with separators."""
    return f"{int(value):,}" if isinstance(value, (int, float)) and math.isfinite(value) else "-"


def percent(share: float) -> str:
    """A share of one: `15 %`, its parts never torn apart at a line's end."""
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def seconds(value: object) -> str:
    """A duration: `0.4 s`, `42 s`, `5 min 12 s`, `2 h 5 min`; `-` if there is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return "-"
    value = max(0.0, float(value))
    if value < 9.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
