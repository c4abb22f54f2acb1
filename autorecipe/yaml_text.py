"""YAML that users write: read whole, with nothing in it that runs, and not larger than it looks."""

from pathlib import Path
from typing import Any

import yaml

from autorecipe.errors import InputError

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""The one written in C, which takes a tenth of the time, where PyYAML has it; the loader in C dies of deep nesting."""
MOST_BYTES = 1 << 20
"""A recipe or a space file takes a few thousand."""
MOST_ITEMS = 100_000
"""Items of a document with every alias (`*name`) written out."""


def read_file(path: Path | str, what: str) -> str:
    """The text of a file that a user named; `what` it should be is for messages.

    Raises:
        InputError: it cannot be read, is no UTF-8, or is far too large.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise InputError(
                f"{what} {path} has more than {MOST_BYTES:,} bytes, and such files have a few thousand; "
                "is it the right file?"
            )
        return data.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read: {error.strerror}; give a YAML file") from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{what} {path} cannot be read: it is no text in UTF-8 ({error}); give a YAML file") from error


def read_yaml(text: str, source: str) -> Any:
    """Plain data of a YAML text.

    Aliases may stand for many more items than are written (`a: &a [x, x]`, `b: &b [*a, *a]`, ...): such a text, and
    one that holds itself, is refused before anything walks through it.

    Raises:
        InputError: it is not valid YAML, or stands for too much.
    """
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        reason = getattr(error, "problem", None) or (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{source} is not valid YAML{where}: {reason}; correct it there") from error
    try:
        size = _size(data, {}, frozenset())
    except RecursionError as error:
        raise InputError(f"{source} holds itself, or is nested too deep; write it out without aliases") from error
    if size > MOST_ITEMS:
        raise InputError(f"{source} stands for more than {MOST_ITEMS:,} items; write it without aliases (*name)")
    return data


def write_yaml(data: Any, compact: bool = False) -> str:
    """Plain data as YAML in their own order, one field on a line; several if `compact`."""
    style = None if compact else False
    text: str = yaml.dump(data, Dumper=_DUMPER, sort_keys=False, default_flow_style=style)
    return text


def _size(value: Any, known: dict[int, int], above: frozenset[int]) -> int:
    """How many items a value has with its aliases written out; each part is counted once and remembered."""
    if not isinstance(value, (dict, list, tuple, set)):
        return 1
    if id(value) in above:
        raise RecursionError
    if id(value) not in known:
        inside = above | {id(value)}
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(part, known, inside) for part in parts)
    return known[id(value)]
