import dataclasses
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autorecipe.errors import InputError
from autorecipe.recipe import (
    Block,
    DataSection,
    FinishSection,
    NetworkSection,
    OptimizerSection,
    Recipe,
    RegularizationSection,
    ScheduleSection,
    TrainingSection,
    describe,
    difference,
    dump_yaml,
    field_names,
    from_dict,
    get,
    load_recipe,
    load_yaml,
    replace,
    to_dict,
    told_apart,
)

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
floats = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(0, 10**9)
share = st.floats(0, 0.9)
above_0 = st.floats(1e-6, 1e6)
scalars = st.one_of(texts, st.integers(-(10**9), 10**9), floats, st.booleans())
widths = st.integers(1, 2**16)
blocks = st.lists(
    st.builds(Block, width=widths, kernel=st.sampled_from([1, 3, 5]), stride=st.integers(1, 8)), max_size=4
).map(tuple)
recipes = st.builds(
    Recipe,
    data=st.builds(DataSection, modality=texts, target=texts, resolution=st.integers(0, 1024), digest=texts),
    network=st.builds(
        NetworkSection,
        family=texts,
        width=widths,
        blocks=blocks,
        embedding_scale=above_0,
        options=st.dictionaries(texts, scalars, max_size=3),
    ),
    optimizer=st.builds(OptimizerSection, lr=above_0, weight_decay=above_0, clip_norm=above_0),
    schedule=st.builds(ScheduleSection, warmup=share, cooldown=share),
    training=st.builds(TrainingSection, steps=widths, seed=whole, channels_last=st.booleans()),
    regularization=st.builds(RegularizationSection, dropout=share, crop=st.integers(0, 512), flip=st.booleans()),
    finish=st.builds(FinishSection, flip_tta=st.booleans(), shift_tta=st.integers(0, 2), temperature=above_0),
)

THREE_BLOCKS = Recipe(network=NetworkSection("mlp", 64, (Block(64), Block(64), Block(64))))


@given(recipes, st.booleans())
def test_yaml_round_trip(recipe, compact):
    again = load_yaml(dump_yaml(recipe, compact))
    assert again == recipe
    assert again.digest == recipe.digest


def test_a_recipe_file_round_trip(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_yaml(THREE_BLOCKS), encoding="utf-8")
    assert load_recipe(path) == THREE_BLOCKS


def test_the_order_of_yaml_keys_does_not_matter():
    lines = dump_yaml(Recipe(optimizer=OptimizerSection(lr=0.5))).splitlines()
    assert load_yaml("optimizer: {weight_decay: 0.0, lr: 0.5}\nformat: 1").optimizer.lr == 0.5
    assert lines[1] == "format: 1"


def test_missing_sections_are_defaults():
    assert load_yaml("network: {width: 32}") == Recipe(network=NetworkSection(width=32))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("netwrok: {}", ["unknown key 'netwrok'", "did you mean 'network'?"]),
        ("network: {widht: 3}", ["unknown key 'network.widht'", "did you mean 'width'?"]),
        ("network: {blocks: [{width: 3, kernal: 5}]}", ["network.blocks.0.kernal", "did you mean 'kernel'?"]),
        ("network: {blocks: [{kernel: 5}]}", ["network.blocks.0", "lacks the key 'width'"]),
        ("network: {width: wide}", ["network.width", "int", "'wide' (str)"]),
        ("network: {width: 3.5}", ["network.width", "int", "3.5 (float)"]),
        ("network: {width: true}", ["network.width", "whole number", "True (bool)"]),
        ("regularization: {flip: 1}", ["regularization.flip", "bool", "1 (int)"]),
        ("optimizer: {lr: fast}", ["optimizer.lr", "float", "'fast' (str)"]),
        ("optimizer: {lr: true}", ["optimizer.lr", "float", "True (bool)"]),
        ("network: 3", ["network", "mapping", "3 (int)"]),
        ("network: {blocks: 3}", ["network.blocks", "list"]),
        ("network: {options: 3}", ["network.options", "mapping"]),
        ("network: {options: {a: [1]}}", ["network.options.a"]),
        ("- 1\n- 2", ["holds no recipe"]),
        ("", ["holds no recipe"]),
        ("format: 99", ["format 99", "reads format 1"]),
        ("a: [1", ["not valid YAML"]),
        ("a: !!python/object:os.system {}", ["not valid YAML"]),
        ("network: " + "[" * 5000, ["not valid YAML"]),
    ],
)
def test_wrong_recipes_say_what_is_wrong(text, words):
    with pytest.raises(InputError) as caught:
        load_yaml(text, "my.yaml")
    for word in ["my.yaml", *words]:
        assert word in str(caught.value)


def test_a_recipe_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_recipe(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match="cannot be read"):
        load_recipe(tmp_path / "bytes.yaml")


NEW = {"finish.thresholds": 0.25}
"""What to put into an empty list that does not hold names."""


def changed(value, name):
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, list):
        return [*value, value[-1] if value else NEW.get(name, "a column")]
    return {**value, "more": 1}


@pytest.mark.parametrize("name", field_names())
def test_the_digest_changes_with_every_field(name):
    recipe = replace(THREE_BLOCKS, {name: changed(get(THREE_BLOCKS, name), name)})
    assert recipe.digest != THREE_BLOCKS.digest
    assert difference(THREE_BLOCKS, recipe) == {name: (get(THREE_BLOCKS, name), get(recipe, name))}


def test_the_digest_is_stable_across_processes():
    assert len(THREE_BLOCKS.digest) == 12
    assert int(THREE_BLOCKS.digest, 16) >= 0
    code = "import sys; from autorecipe.recipe import load_yaml; print(load_yaml(sys.stdin.read()).digest)"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            input=dump_yaml(THREE_BLOCKS),
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {THREE_BLOCKS.digest}


def test_the_digest_does_not_know_ints_from_equal_floats_apart():
    assert load_yaml("optimizer: {lr: 1}").digest == load_yaml("optimizer: {lr: 1.0}").digest


@given(recipes, whole)
def test_replace_then_get(recipe, width):
    assert get(replace(recipe, {"network.width": width}), "network.width") == width
    assert replace(recipe, {}) == recipe


def test_dotted_names_reach_into_blocks():
    recipe = replace(THREE_BLOCKS, {"network.blocks.2.width": 256, "network.blocks.0.kernel": 5})
    assert [b.width for b in recipe.network.blocks] == [64, 64, 256]
    assert get(recipe, "network.blocks.0.kernel") == 5
    assert THREE_BLOCKS.network.blocks[2].width == 64  # the old recipe is as it was


def test_replace_takes_a_whole_section_and_new_options():
    recipe = replace(Recipe(), {"network": NetworkSection("resnet", 8), "network.options.heads": 4})
    assert recipe.network.options == {"heads": 4}
    assert get(recipe, "network.options.heads") == 4


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("network.widht", 3, "did you mean 'width'"),
        ("netwrok.width", 3, "did you mean 'network'"),
        ("network.blocks.3.width", 3, "no item 3 in a list of 3"),
        ("network.blocks.x.width", 3, "no item x"),
        ("network.width.more", 3, "network.width.more"),
        ("network.width", "wide", "must be of type int"),
        ("regularization.flip", 0, "must be of type bool"),
    ],
)
def test_replace_refuses_unknown_names_and_wrong_values(name, value, words):
    with pytest.raises(InputError, match=words):
        replace(THREE_BLOCKS, {name: value})


@pytest.mark.parametrize("name", ["network.widht", "nothing", "network.blocks.9.width"])
def test_get_refuses_unknown_names(name):
    with pytest.raises(InputError):
        get(THREE_BLOCKS, name)


@given(recipes)
@settings(max_examples=20)
def test_a_recipe_does_not_differ_from_itself(recipe):
    assert difference(recipe, recipe) == {}


def test_field_names_are_all_fields():
    count = sum(len(dataclasses.fields(type(getattr(Recipe(), f.name)))) for f in dataclasses.fields(Recipe))
    assert len(field_names()) == len(set(field_names())) == count
    for name in field_names():
        get(Recipe(), name)


def test_every_regularizer_is_off_by_default():
    assert not any(to_dict(RegularizationSection()).values())


def test_optional_fields_take_nothing():
    @dataclasses.dataclass(frozen=True)
    class Record:
        cap: int | None = None
        pair: tuple[float, float] | None = None

    assert from_dict(Record, {"cap": None, "pair": [1, 2]}) == Record(None, (1.0, 2.0))
    with pytest.raises(InputError, match="cap"):
        from_dict(Record, {"cap": "many"})
    with pytest.raises(InputError, match="pair"):
        from_dict(Record, {"pair": [1, 2, 3]})


def test_recipes_of_one_network_are_told_apart_by_their_settings():
    one = Recipe()
    other = replace(one, {"optimizer.weight_decay": 0.0123, "regularization.crop": 3, "training.seed": 7})
    name = describe(one.network)
    decay = f"{one.optimizer.weight_decay:.3g}"
    assert told_apart(one, other) == (
        f"{name} (weight_decay {decay}, crop 0)",
        f"{name} (weight_decay 0.0123, crop 3)",
    )
    assert told_apart(one, replace(one, {"training.seed": 7})) == (name, name)
    wider = replace(other, {"network.width": one.network.width + 8, "network.blocks": []})
    assert told_apart(one, wider) == (name, describe(wider.network))
