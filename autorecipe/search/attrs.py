"""What the dashboard shows beside numbers, as plain data: attributes of trials, notes of studies."""

import math
import numbers
from collections.abc import Mapping
from typing import Any

NOTE_CHUNK = 2045
"""Longest attribute in which the dashboard keeps a piece of a note."""


def note_attrs(text: str, attrs: Mapping[str, Any], trial_id: int | None = None) -> dict[str, Any]:
    """The study's attributes that show a note in Markdown, in the order in which they are to be set.

    As `optuna_dashboard.save_note` writes them, whose import alone takes more than a second of the budget.

    Args:
        text: the note.
        attrs: the study's system attributes as they are; nothing is to be set if they hold this note already.
        trial_id: of the trial that the note is of; None: of the study.
    """
    prefix = "dashboard:" if trial_id is None else f"dashboard:{trial_id}:"
    old = [key for key in attrs if key.startswith(f"{prefix}note_str:")]
    chunks = [text[start : start + NOTE_CHUNK] for start in range(0, len(text), NOTE_CHUNK)]
    chunks += [""] * (len(old) - len(chunks))
    new = {f"{prefix}note_str:{index}": chunk for index, chunk in enumerate(chunks)}
    if new == {key: attrs[key] for key in old}:
        return {}
    version = f"{prefix}note_ver"
    return {version: attrs.get(version, 0) + 1, **new}


def jsonable(value: Any) -> Any:
    """Plain data for JSON; floats that JSON lacks become text."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    return str(value)
