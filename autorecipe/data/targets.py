"""Targets of a regression: the scale they are trained on, the bounds of predictions, and the way back.

What is chosen and why, measured with a 64-wide perceptron (root mean squared error after 8 to 12 epochs, the better of
two learning rates): a log link with the Poisson deviance against squared error 535 to 537 on diamonds, 77.2 to 77.0 on
check_times, 14.6 to 14.8 on hotel_rates, 5.18 to 5.55 on lognormal targets, 9.46 to 10.03 with half of them 0.  Both
estimate the mean.  Squared error of log targets estimates the median: mean absolute error 37.3 to 40.0 on
check_times, but a root mean squared error of 77.9.
"""

from dataclasses import replace

import numpy as np

from autorecipe.data.metrics import METRICS
from autorecipe.errors import InputError
from autorecipe.results import Finding, TargetScale

ENOUGH = 50
"""With fewer targets than this, nothing is concluded from their shape."""
RATINGS = ((1, 5), (0, 5), (1, 7), (1, 10), (0, 10), (0, 100), (-1, 1))
"""Usual scales of ratings and marks."""
NEAR_END = 0.02
"""A target within this share of a scale's width is at its end."""
MOST_MARKS = 101
"""A rating has at most so many distinct values, such as 1.0, 1.1, ..., 10.0."""
ZEROS = 0.1
"""Share of exact zeros that is worth saying."""
_NONE = np.zeros(0)


def to_scale(values: np.ndarray, scale: TargetScale) -> np.ndarray:
    """Targets [N] in the user's unit -> what is trained on, float64 [N]."""
    values = np.asarray(values, np.float64)
    if scale.log_unit:
        values = np.sign(values) * np.log1p(np.abs(values) / scale.log_unit)
    return np.asarray((values - scale.mean) / scale.std)


def from_scale(values: np.ndarray, scale: TargetScale) -> np.ndarray:
    """The way back: float64 [N] in the user's unit."""
    values = np.asarray(values, np.float64).reshape(-1) * scale.std + scale.mean
    if scale.log_unit:
        with np.errstate(over="ignore"):
            values = np.sign(values) * np.expm1(np.abs(values)) * scale.log_unit
    return np.asarray(values)


def choose_scale(
    values: np.ndarray, metric: str, asked: str, held_out: np.ndarray = _NONE
) -> tuple[TargetScale, list[Finding]]:
    """The scale of the targets of train, and what is said about it.

    Args:
        values: finite float64 [N], training targets alone.
        metric: the metric decides what is to be estimated: the mean, or the median.
        asked: the user's bounds `LO,HI`, or `none`, or `auto`: found from the targets.
        held_out: targets of val and confirm; no bound is found that one of them, maybe a later one, is beyond.

    Raises:
        InputError: the user's bounds are no bounds.
    """
    positive = bool(values.min() >= 0 and held_out.min(initial=0.0) >= 0)
    zeros = _zeros(values, positive)
    found, scale = [*zeros], TargetScale()
    bounds = _usual_bounds(values) if asked == "auto" else parse_range(asked)
    if bounds is not None and np.any((held_out < bounds[0]) | (held_out > bounds[1])):
        bounds = None
    if bounds is not None:
        low, high = (float(bound) for bound in bounds)
        scale = TargetScale(low=low, high=high, link="sigmoid")
        found.append(
            Finding(
                "bounded_target",
                f"the targets {'fill the scale' if asked == 'auto' else 'lie within the bounds'} {low:g} to {high:g}: "
                f"{values.min():g} to {values.max():g}",
                "predictions are kept within, by a scaled sigmoid",
                "--range none, or --range LO,HI" if asked == "auto" else "",
            )
        )
    elif METRICS[metric].lowest is not None and METRICS[metric].relative:
        scale = TargetScale(log_unit=1.0, low=0.0)
        found.append(Finding("log_target", f"the metric '{metric}' compares logs", "log(1 + y) is trained on"))
    elif METRICS[metric].lowest is not None and values.mean() > 0:
        scale = TargetScale(low=0.0, link="exp")
        found.append(Finding("positive_target", f"the metric '{metric}' asks for a mean above 0", _exponential(metric)))
    elif len(values) >= ENOUGH and tail(values) > 1:
        scale, said = _heavy(values, metric, positive)
        found.append(said)
    if zeros and positive and scale.low is None:
        scale = replace(scale, low=0.0)
    trained = to_scale(values, scale)
    return replace(scale, mean=float(trained.mean()), std=float(trained.std()) or 1.0), found


def tail(values: np.ndarray) -> float:
    """How heavy the tails are: |skewness| or a fifth of the excess kurtosis; 0 for a normal distribution."""
    spread = float(values.std())
    if not spread > 0:
        return 0.0
    z = (values - values.mean()) / spread
    return float(max(abs(np.mean(z**3)), (np.mean(z**4) - 3) / 5))


def log_unit(values: np.ndarray) -> float:
    """A tenth of the median size of the targets that are not 0: well above it, log(1 + |y| / unit) is a log."""
    sizes = np.abs(values[values != 0])
    return float(np.median(sizes)) / 10 if len(sizes) else 1.0


def _heavy(values: np.ndarray, metric: str, positive: bool) -> tuple[TargetScale, Finding]:
    """Heavy tails: a log link where the mean is wanted, logs where the median is."""
    middle, most = (float(q) for q in np.quantile(values, (0.5, 0.99)))
    text = f"the targets have a heavy tail: median {middle:.4g}, 1 % of them above {most:.4g}"
    if METRICS[metric].relative:
        scale = TargetScale(log_unit=log_unit(values), low=0.0 if positive else None)
        if tail(to_scale(values, scale)) < tail(values) / 2:
            done = (
                f"log(1 + |y| / {scale.log_unit:.3g}) is trained on, since {metric} asks for medians or relative errors"
            )
            return scale, Finding("heavy_tail", text, done, "--metric rmse estimates the mean")
    elif positive:
        scale = TargetScale(low=0.0, link="exp")
        return scale, Finding("heavy_tail", text, _exponential(metric), "--metric mae estimates the median")
    done = "they are trained on as they are: some are below 0" if not positive else "they are trained on as they are"
    return TargetScale(), Finding("heavy_tail", text, done)


def _exponential(metric: str) -> str:
    return (
        "the network ends with an exponential, trained by the Poisson deviance: it estimates the mean, as "
        f"{metric} asks, and nothing below 0"
    )


def _zeros(values: np.ndarray, positive: bool) -> list[Finding]:
    share = float(np.mean(values == 0))
    rest = values[values != 0]
    if len(values) < ENOUGH or not ZEROS <= share < 1 or len(np.unique(rest)) < 20:
        return []
    return [
        Finding(
            "zero_inflated",
            f"{share:.0%} of the targets are exactly 0, the others {rest.min():g} to {rest.max():g}",
            "one network predicts both" + (", and nothing below 0" if positive else ""),
            "a column that says whether it is 0 is a task of its own: --target COL",
        )
    ]


def _usual_bounds(values: np.ndarray) -> tuple[float, float] | None:
    """The scale of a share, a rating or a mark, where the targets fill one from end to end."""
    low, high = float(values.min()), float(values.max())
    distinct = len(np.unique(values))
    if len(values) < ENOUGH or distinct < 3 or tail(values) > 2:
        return None
    if low >= 0 and high <= 1 and high - low >= 0.5:
        return 0.0, 1.0
    for first, last in RATINGS:
        near = NEAR_END * (last - first) if distinct <= MOST_MARKS else 0.0
        if first <= low <= first + near and last - near <= high <= last:
            return float(first), float(last)
    return None


def parse_range(text: str) -> tuple[float, float] | None:
    """`LO,HI` as numbers; None for `auto` and `none`.

    Raises:
        InputError: it is none of these.
    """
    if text in ("auto", "none"):
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--range {text}: give two numbers, such as --range 0,10, or none") from None
    if not -np.inf < low < high < np.inf:
        raise InputError(f"--range {text}: the lower bound must be below the upper one, such as --range 0,10")
    return low, high


def range_text(scale: TargetScale) -> str:
    """The bounds as `--range` takes them."""
    return f"{scale.low!r},{scale.high!r}" if scale.link == "sigmoid" else "none"


def check_range(asked: str, values: np.ndarray, task: str) -> None:
    """Refuse bounds that targets [N] lie outside of.

    Raises:
        InputError: with the number of such targets.
    """
    bounds = parse_range(asked)
    if bounds is None:
        return
    if task != "regression":
        raise InputError(f"--range {asked} bounds numbers, but the task is {task}; leave --range out")
    outside = np.flatnonzero((values < bounds[0]) | (values > bounds[1]))
    if len(outside):
        raise InputError(
            f"--range {asked}: {len(outside):,} of {len(values):,} targets lie outside, such as "
            f"{values[outside[0]]:g}; give bounds that hold all of them, or leave --range out"
        )
