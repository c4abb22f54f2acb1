"""The command line's door: commands, errors and exit codes.

Nothing heavy is imported here: `autorecipe --help` answers before torch would be loaded.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

import autorecipe
from autorecipe.cli import check_commands, data_commands, run_commands, search_commands, words
from autorecipe.errors import AutoRecipeError

DEBUG = "AUTORECIPE_DEBUG"
COMMANDS: tuple[tuple[str, Callable[..., None], tuple[str, ...]], ...] = (
    (
        "search",
        search_commands.search,
        (
            "autorecipe search photos/ --budget 10m",
            "autorecipe search diamonds.csv --target price --budget 2m --out runs/price",
        ),
    ),
    (
        "resume",
        search_commands.resume,
        ("autorecipe resume runs/digits-1", "autorecipe resume runs/digits-1 --budget +5m"),
    ),
    ("inspect", data_commands.inspect, ("autorecipe inspect diamonds.csv --target price",)),
    ("lr-find", data_commands.lr_find, ("autorecipe lr-find digits --steps 100 --seeds 3",)),
    (
        "predict",
        run_commands.predict,
        (
            "autorecipe predict runs/photos-1 new_photos/ --out predictions.csv",
            "autorecipe predict runs/price new.csv | head",
        ),
    ),
    ("replay", search_commands.replay, ("autorecipe replay runs/digits-1/recipe.yaml digits --out runs/again",)),
    (
        "verify",
        check_commands.verify,
        ("autorecipe verify runs/digits-1 --budget 5m", "autorecipe verify runs/houses-1 --data elsewhere/houses.csv"),
    ),
    ("compare", check_commands.compare, ("autorecipe compare runs/digits-1 runs/digits-2",)),
    (
        "export",
        run_commands.export,
        (
            "autorecipe export runs/digits-1 --format onnx",
            "autorecipe export runs/digits-1 --format script --out train_digits.py",
        ),
    ),
    ("report", run_commands.report, ("autorecipe report runs/digits-1",)),
    ("dashboard", run_commands.dashboard, ("autorecipe dashboard runs/digits-1 --port 8080",)),
    ("cache", data_commands.cache, ("autorecipe cache --clear",)),
)
"""Name, function and examples of every command."""


def _example(lines: Sequence[str]) -> str:
    return "\b\n" + "\n".join(["Example:" if len(lines) == 1 else "Examples:", *(f"  {line}" for line in lines)])


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"autorecipe {autorecipe.__version__}")
        raise typer.Exit()


def _autorecipe(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Grow a PyTorch network on your data.

    Hands back a trained model, and the recipe it took.
    """


# Plain help: rich's panels would cost a tenth of a second and break when piped.
app = typer.Typer(add_completion=True, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
app.callback(epilog=_example(("autorecipe search digits --budget 60s",)))(_autorecipe)
for _name, _function, _lines in COMMANDS:
    app.command(_name, epilog=_example(_lines))(_function)


def run(args: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        args: the words after `autorecipe`; those of this process if None.
    """
    try:
        app(args=None if args is None else list(args), prog_name="autorecipe")
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except AutoRecipeError as error:
        _complain(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if os.environ.get(DEBUG) == "1":
            raise
        notes = [str(note) for note in getattr(error, "__notes__", ())]
        message = f"unexpected error: {type(error).__name__}: {error}"
        _complain("\n".join([message, *notes, f"with {DEBUG}=1 before the command it shows where it came from"]))
        return 1
    return 0


def _complain(text: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write("\n".join(words.clean(line) for line in text.rstrip().split("\n")) + "\n")


def main() -> None:
    """The console's entry: run the command and leave."""
    code = run()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    # Everything is written by now.  Leaving the ordinary way would unload torch, which takes about
    # half a second, and the budget that the user gave ends when the process does.
    os._exit(code)


if __name__ == "__main__":
    main()
