import subprocess
import sys

import pytest

import autorecipe

NAMES = {
    *("AutoRecipeClassifier", "AutoRecipeError", "AutoRecipeRegressor", "CheckFailed", "InputError"),
    *("Result", "Stopped", "export", "load", "resume", "search", "verify"),
}


def python(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_public_names_are_exactly_these():
    assert set(autorecipe.__all__) == NAMES
    for name in NAMES:
        assert getattr(autorecipe, name).__doc__


def test_there_is_a_version():
    assert all(part.isdigit() for part in autorecipe.__version__.split(".")[:2])


def test_importing_brings_nothing_heavy():
    heavy = ("torch", "pandas", "sklearn", "optuna", "scipy", "pyarrow", "torchvision")
    found = python(f"import sys, autorecipe; print([m for m in {heavy!r} if m in sys.modules])")
    assert found == "[]"


@pytest.mark.parametrize(
    "imports",
    [
        "from autorecipe.search import agent; import autorecipe",
        "import autorecipe; import autorecipe.search.stages",
        "from autorecipe.search.space import load_space; import autorecipe",
        "import autorecipe.search",
        "import importlib; import autorecipe; importlib.import_module('autorecipe.search.settings')",
    ],
)
def test_search_is_callable_whatever_was_imported_first(imports):
    assert python(f"{imports}; print(callable(autorecipe.search))") == "True"


def test_result_is_found_when_it_is_asked_for():
    assert python("import autorecipe; print(autorecipe.Result.__name__)") == "Result"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing_like_it"):
        autorecipe.nothing_like_it  # noqa: B018
