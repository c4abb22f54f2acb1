"""Small charts as SVG text: every word in them is escaped, every colour is a class of the page's style sheet."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

Point = tuple[float, float]
LEAST = 1e-100
"""What is nearer to 0 is drawn as 0."""


def tag(name: str, content: object = "", **attributes: object) -> Markup:
    """An element; attribute names have `_` for `-`, one at the end is dropped (`class_`); everything is escaped."""
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_short(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = escape(content)
    return Markup(f"<{name}{words}>{inner}</{name}>") if inner else Markup(f"<{name}{words}/>")


def _short(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def join(parts: Sequence[Markup]) -> Markup:
    """Elements one after another."""
    return Markup("").join(parts)


def label(value: float) -> str:
    """A tick's number, short."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:g}M"
    if size >= 1e4:
        return f"{value / 1e3:g}k"
    if size < 1e-3:
        mantissa, exponent = f"{value:.0e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:.4g}"


@dataclass(frozen=True)
class Scale:
    """From values to pixels, linear or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value; values outside stop at the edge."""
        share = (self._of(value) - self._of(self.low)) / (self._of(self.high) - self._of(self.low))
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def _of(self, value: float) -> float:
        return math.log10(max(value, 1e-300)) if self.log else value

    def ticks(self, most: int = 5) -> list[float]:
        """Round values between low and high."""
        if self.log:
            lowest, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            if last - lowest >= 2:
                every = max(1, math.ceil((last - lowest) / most))
                return [10.0**power for power in range(lowest, last + 1, every)]
            steps = [m * 10.0**p for p in range(lowest - 1, last + 1) for m in (1, 2, 5)]
            inside = [value for value in steps if self.low <= value <= self.high]
            if len(inside) >= 2:
                return inside
        step = round_up((self.high - self.low) / most)
        start = math.ceil(self.low / step - 1e-9)
        count = int((self.high - start * step) / step + 1e-9)
        return [float(f"{(start + i) * step:.12g}") for i in range(count + 1)]


def round_up(width: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below a width."""
    power = 10.0 ** math.floor(math.log10(max(width, 1e-300)))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= width * (1 - 1e-9))


def spread(values: Sequence[float], log: bool = False, zero: bool = False) -> tuple[float, float]:
    """The range of an axis that shows all values with a little room."""
    shown = [value if abs(value) > LEAST else 0.0 for value in values if math.isfinite(value)]
    shown = [value for value in shown if value > 0 or not log] or [1.0]
    low, high = min(shown), max(shown)
    if log:
        return (low / 1.25, high * 1.25) if high / low < 1e12 else (high / 1e12, high)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    room = max(0.06 * (high - low), 1e-6 * max(-low, high)) if high > low else 0.1 * abs(high) or 1.0
    return (low if zero and low == 0 else low - room), high + room


@dataclass
class Chart:
    """A chart with axes; elements are drawn in the order of the calls."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    x_label: str = ""
    y_label: str = ""
    x_log: bool = False
    y_log: bool = False
    width: float = 360.0
    height: float = 230.0
    left: float = 44.0
    x_format: Callable[[float], str] = label
    y_format: Callable[[float], str] = label
    parts: list[Markup] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.x = Scale(*self.x_range, self.left, self.width - 12, self.x_log)
        self.y = Scale(*self.y_range, self.height - 36, 24, self.y_log)
        self._axes()

    def _axes(self) -> None:
        bottom, right = self.y.start, self.x.end
        for value in self.y.ticks(4):
            at = self.y(value)
            self.add("line", x1=self.left, x2=right, y1=at, y2=at, class_="grid")
            self.add("text", self.y_format(value), x=self.left - 6, y=at + 3.5, class_="tick end")
        for value in self.x.ticks(5):
            at = self.x(value)
            self.add("line", x1=at, x2=at, y1=bottom, y2=bottom + 4, class_="axis")
            self.add("text", self.x_format(value), x=at, y=bottom + 15, class_="tick mid")
        self.add("line", x1=self.left, x2=right, y1=bottom, y2=bottom, class_="axis")
        self.add("text", self.x_label, x=(self.left + right) / 2, y=self.height - 4, class_="name mid")
        self.add("text", self.y_label, x=4.0, y=12.0, class_="name")

    def add(self, name: str, content: object = "", **attributes: object) -> None:
        """Draw an element, in pixels."""
        self.parts.append(tag(name, content, **attributes))

    def line(self, points: Sequence[Point], class_: str) -> None:
        """A line through values."""
        if len(points) > 1:
            self.add("polyline", points=self._path(points), class_=f"line {class_}")

    def band(self, xs: Sequence[float], lows: Sequence[float], highs: Sequence[float], class_: str) -> None:
        """The area between two lines."""
        edge = [*zip(xs, highs, strict=False), *reversed(list(zip(xs, lows, strict=False)))]
        if len(edge) > 3:
            self.add("polygon", points=self._path(edge), class_=f"band {class_}")

    def dot(self, point: Point, class_: str, radius: float = 3.5, title: str = "") -> None:
        """A dot at a value, with words for those who point at it."""
        told = tag("title", title) if title else Markup("")
        self.add("circle", told, cx=self.x(point[0]), cy=self.y(point[1]), r=radius, class_=f"dot {class_}")

    def rule(self, x: float, class_: str, words: str = "") -> None:
        """A vertical line at a value."""
        at = self.x(x)
        self.add("line", x1=at, x2=at, y1=self.y.end, y2=self.y.start, class_=f"rule {class_}")
        if words:
            right = at > self.width * 0.6
            self.add(
                "text", words, x=at + (-4 if right else 4), y=self.y.end + 9, class_=f"word {'end' if right else ''}"
            )

    def _path(self, points: Sequence[Point]) -> str:
        return " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)

    def svg(self, title: str) -> Markup:
        """The chart as an element; `title` says in words what it shows."""
        large = " large" if self.width > 400 else ""
        return picture(title, self.width, self.height, self.parts, f"chart{large}")


def picture(title: str, width: float, height: float, parts: Sequence[Markup], class_: str = "chart") -> Markup:
    """An `svg` element that grows and shrinks with its place."""
    return tag(
        "svg", join(parts), viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=title, class_=class_,
        style=f"--w:{width:g}px",
    )  # fmt: skip
