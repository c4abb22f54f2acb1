import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from autorecipe.errors import InputError
from autorecipe.recipe import Recipe, dump_yaml, load_yaml
from autorecipe.search.space import load_space, modality_of, shipped_path
from autorecipe.yaml_text import MOST_BYTES, read_file, read_yaml

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def doubling(levels: int) -> str:
    """Each line stands for twice the items of the line above."""
    return "n0: &n0 [x]\n" + "".join(f"n{i}: &n{i} [*n{i - 1}, *n{i - 1}]\n" for i in range(1, levels))


@given(PLAIN)
def test_plain_data_is_read_as_it_was_written(data: object) -> None:
    assert read_yaml(yaml.safe_dump(data), "it") == data


def test_aliases_are_read_while_they_stand_for_little() -> None:
    assert len(read_yaml(doubling(8), "it")["n7"]) == 2
    for levels in (20, 400):
        with pytest.raises(InputError, match="without aliases"):
            read_yaml(doubling(levels), "it")


@pytest.mark.parametrize(
    "text",
    ["a: &a [*a]", "&a {b: *a}", "[" * 2000, "a: [1, 2", "a:\n\tb: 1", "? [a, b]\n: c", "!!python/name:x y", "a: *b"],
)
def test_what_is_no_yaml_or_endless_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="the file"):
        read_yaml(text, "the file")


def test_the_line_is_named() -> None:
    with pytest.raises(InputError, match=r"the file is not valid YAML, line 3: .*; correct it there"):
        read_yaml("a: 1\nb: 2\n\tc: 3\n", "the file")


def test_files_that_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"#" * (MOST_BYTES + 1))
    (tmp_path / "latin").write_bytes("größe: 1".encode("latin-1"))
    (tmp_path / "mark").write_bytes("größe: 1".encode("utf-8-sig"))
    assert read_file(tmp_path / "mark", "the space file") == "größe: 1"
    for name, words in (("large", "right file"), ("latin", "UTF-8"), ("none", "cannot be read"), (".", "cannot be")):
        with pytest.raises(InputError, match=words):
            read_file(tmp_path / name, "the space file")


def mutated(text: str) -> st.SearchStrategy[str]:
    """The text with a piece of it replaced by another piece, or by anything."""

    def change(at: int, length: int, piece: str) -> str:
        at %= len(text)
        return text[:at] + piece + text[at + length :]

    pieces = st.sampled_from(text.split()) | st.sampled_from(["nan", "-1", "[]", "{}", "null", ": ", "\n", "&a [*a]"])
    return st.builds(change, st.integers(0), st.integers(0, 30), pieces | st.text(max_size=6))


@settings(max_examples=150, deadline=None)
@given(mutated(dump_yaml(Recipe())) | st.text(max_size=60) | PLAIN.map(yaml.safe_dump))
def test_a_recipe_is_read_or_refused(text: str) -> None:
    try:
        recipe = load_yaml(text)
    except InputError:
        return
    assert load_yaml(dump_yaml(recipe)) == recipe


@pytest.mark.parametrize("modality", ["image", "table"])
def test_a_space_is_read_or_refused(modality: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("space") / "space.yaml"
    good = shipped_path(modality).read_text(encoding="utf-8")

    @settings(max_examples=40, deadline=None)
    @given(mutated(good) | st.text(max_size=60) | PLAIN.map(yaml.safe_dump))
    def read(text: str) -> None:
        path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
        assert isinstance(modality_of(path), str)
        try:
            space = load_space(modality, path)
        except InputError:
            return
        assert space.modality == modality

    read()


def test_nesting_that_is_too_deep_is_refused(tmp_path):
    """In a process of its own: YAML's loader in C ends it."""
    code = (
        "from autorecipe.errors import InputError\nfrom autorecipe.yaml_text import read_yaml\n"
        "try:\n    read_yaml('[' * 100_000, 'deep.yaml')\nexcept InputError as error:\n    print(error)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "deep.yaml" in found.stdout
