"""Errors that a user can act on.

An error says what was found, why it matters and what to type.  The command line prints it
without a traceback and leaves with the error's `exit_code`.
"""

import difflib
from collections.abc import Iterable, Sequence


class AutoRecipeError(Exception):
    """Base of every error that autorecipe raises on purpose."""

    exit_code = 2


class InputError(AutoRecipeError, ValueError):
    """The user's input is wrong: data, option, recipe, space file (exit code 2)."""


class InputWarning(UserWarning):
    """A part of the user's input could not be used, such as an image or a column, and the rest was."""


class CheckFailed(AutoRecipeError):
    """The training loop cannot overfit one batch, so no score could be trusted (exit code 3)."""

    exit_code = 3


class Stopped(AutoRecipeError):
    """The user stopped the run (Ctrl-C or SIGTERM); the best model so far is saved (exit code 130)."""

    exit_code = 130


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The sentence that helps with an unknown `word`: the nearest known one, or all of them."""
    known = sorted(str(name) for name in known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"known: {', '.join(known) or 'none'}"


def listed(names: Sequence[str], most: int = 5, quote: str = "'") -> str:
    """The first names of many in quotes, and `...` where there are more."""
    return ", ".join(f"{quote}{name}{quote}" for name in names[:most]) + (", ..." if len(names) > most else "")
