"""Parameters of a question's search space, and points within it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.quasirandom import SobolEngine

from autorecipe.errors import InputError


@dataclass(frozen=True)
class Parameter:
    """One parameter of a question's search space; its bounds never change within a study."""

    name: str
    """A dotted field of the recipe, or a special one such as `lr_factor`."""
    kind: Literal["float", "int", "categorical"]
    low: float = 0.0
    high: float = 0.0
    """Largest value, included."""
    log: bool = False
    choices: tuple[bool | int | float | str | None, ...] = ()

    def contains(self, value: object) -> bool:
        """Whether the value lies within the bounds or is one of the choices."""
        if self.kind == "categorical":
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return self.low <= value <= self.high and (self.kind == "float" or float(value).is_integer())


def point_of(parameters: Sequence[Parameter], params: Mapping[str, object]) -> dict[str, Any]:
    """The named parameters' values, in each one's type.

    Raises:
        InputError: a value lies outside of the search space.
    """
    point: dict[str, Any] = {}
    for p in parameters:
        if p.name not in params:
            continue
        value: Any = params[p.name]
        if not p.contains(value):
            space = f"one of {list(p.choices)}" if p.kind == "categorical" else f"from {p.low:g} to {p.high:g}"
            raise InputError(f"{p.name} is {value!r}, but the search space has {space}; widen it in the --space file")
        point[p.name] = {"int": int, "float": float}.get(p.kind, lambda value: value)(value)
    return point


def quasi_random(parameters: Sequence[Parameter], count: int, seed: int) -> list[dict[str, Any]]:
    """The first scrambled Sobol points, which cover the space more evenly than random ones."""
    engine = SobolEngine(len(parameters), scramble=True, seed=seed)  # type: ignore[no-untyped-call]
    points = engine.draw(count, dtype=torch.float64)
    return [
        {p.name: _at(p, float(share)) for p, share in zip(parameters, point, strict=True)} for point in points.tolist()
    ]


def _at(p: Parameter, share: float) -> object:
    """The value at this share (0 to 1) of a parameter's range."""
    if p.kind == "categorical":
        return p.choices[min(int(share * len(p.choices)), len(p.choices) - 1)]
    half = 0.5 if p.kind == "int" else 0.0  # the first and last integer are as likely as the others
    low, high = p.low - half, p.high + half
    value = low * (high / low) ** share if p.log else low + share * (high - low)
    value = min(max(value, p.low), p.high)
    return round(value) if p.kind == "int" else value
