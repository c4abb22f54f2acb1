from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from autorecipe.clock import parse_budget
from autorecipe.data import ReadOptions, load_dataset
from autorecipe.networks import family
from autorecipe.recipe import Recipe, describe, load_recipe, replace
from autorecipe.rundir import read_json
from autorecipe.search import growth
from autorecipe.search.answer import SEARCH_NOISE, _search_noise
from autorecipe.search.growth import LONGER, _embedding_question, _other_points, afford, next_question
from autorecipe.search.ledger import Progress
from autorecipe.search.lr_find import lr_find
from autorecipe.search.planner import Plan
from autorecipe.search.points import Alternative
from autorecipe.search.prepare import first_recipe
from autorecipe.search.settings import Settings
from autorecipe.search.space import load_space, shipped_path, unembedded
from autorecipe.search.stages import STAGES
from autorecipe.search.workbench import carried_lr


def cost(trials, known, seeds, growth):
    """Full runs: known points whole, sampled ones about half, the incumbent's own free in growth; the seeds."""
    return known - growth + 0.5 * max(0, trials - known) + seeds


@given(st.sampled_from(STAGES), st.integers(2, 4), st.floats(2.5, 30), st.booleans())
def test_never_more_trials_than_fit(stage, known, runs, growth):
    trials, seeds, more = afford(stage.trials, known, runs, growth)
    assert 2 <= trials <= max(2, stage.trials)
    assert seeds in (0, 2)
    assert more in (0, seeds)
    assert trials == 2 or cost(trials, known, seeds, growth) <= runs + 1e-9
    if seeds:
        assert cost(trials, known, seeds + more, growth) <= runs


@given(st.sampled_from(STAGES), st.integers(2, 4), st.floats(2.5, 20), st.floats(0, 20), st.booleans())
def test_more_time_is_never_less_evidence(stage, known, runs, more, growth):
    before, after = afford(stage.trials, known, runs, growth), afford(stage.trials, known, runs + more, growth)
    assert after[1] >= before[1]
    assert after >= before if after[1] == before[1] else True


def test_with_time_enough_a_question_gets_all():
    stage = STAGES[0]
    assert afford(stage.trials, 2, 100.0, False) == (stage.trials, 2, 2)
    assert afford(stage.trials, 2, 2.5, False)[1] == 0


def test_points_are_tried_once_and_the_incumbent_not_again():
    crop, factor = {"regularization.crop": 2}, {"lr_factor": 1.0}
    both = {"regularization.crop": 2, "regularization.flip": True}
    points = ({}, crop, both, crop, factor)
    assert _other_points(Recipe(), points) == (crop, both, factor)
    assert _other_points(replace(Recipe(), crop), points) == (both, factor)


@given(st.floats(1e-5, 1.0))
def test_a_wider_network_gets_a_lower_rate(lr):
    small = family("mlp").smallest(type("Info", (), {"modality": "image", "num_numbers": 0})())
    wide = family("mlp").wider(small)
    assert carried_lr(lr, small, wide) < lr
    assert carried_lr(lr, small, small) == lr
    linear = replace(Recipe(), {"network.family": "linear"}).network
    assert carried_lr(lr, linear, wide) == lr


def test_networks_have_different_descriptions():
    section = family("mlp").smallest(type("Info", (), {"modality": "table", "num_numbers": 2})())
    embedded = [replace(Recipe(), {"network": section, "network.embedding": "periodic"}).network for _ in range(2)]
    embedded[1] = replace(Recipe(), {"network": embedded[1], "network.embedding_scale": 0.4}).network
    names = {describe(s) for s in (section, family("mlp").wider(section), *family("mlp").deeper(section), *embedded)}
    assert len(names) == 5


def test_how_numbers_enter_is_asked_in_longer_trials(searched):
    found = searched(budget="200epochs", max_width=64)
    first, second = read_json(found.run.decisions)[:2]
    assert [first["stage"], second["stage"]] == ["small", "small"]
    assert second["question"] == "small: which embedding of numbers?"
    recipes = [load_recipe(found.path / "recipes" / f"{digest}.yaml") for digest in second["candidates"]]
    own = load_recipe(found.path / "recipes" / f"{second['incumbent']}.yaml")
    assert recipes
    ways = [(recipe.network.embedding, recipe.network.embedding_scale) for recipe in (own, *recipes)]
    assert len(set(ways)) == len(ways)
    for recipe in recipes:
        others = ("embedding", "embedding_scale")
        assert {k: v for k, v in vars(recipe.network).items() if k not in others} == {
            k: v for k, v in vars(own.network).items() if k not in others
        }
    short = load_recipe(found.path / "recipes" / f"{first['incumbent']}.yaml")
    assert own.training.steps == pytest.approx(LONGER * short.training.steps, rel=0.1)


def test_a_space_without_embeddings_does_not_ask_for_them(searched, tmp_path):
    space = yaml.safe_load(shipped_path("table").read_text())
    del space["stages"]["small"]["embeddings"]
    path = tmp_path / "space.yaml"
    path.write_text(yaml.safe_dump(space))
    found = searched(budget="60epochs", max_width=64, space=str(path))
    assert all("embedding" not in row["question"] for row in read_json(found.run.decisions))


@pytest.mark.parametrize("name", ["digits", "iris"])
def test_where_nothing_is_to_be_embedded_no_second_question_is_missed(datasets, name):
    """Neither asked nor excused: images have no numbers, and a linear network embeds none."""
    info = datasets[name].info
    space = load_space(info.modality)
    section = family("linear").smallest(info)
    said = []
    bench = SimpleNamespace(space=space, dataset=datasets[name], say=lambda *a, **facts: said.append(facts))
    progress = Progress(incumbent=replace(Recipe(), {"network": section}))
    plan = Plan("epochs", 1.0, 1.0, 1.0, 32)
    assert next_question(bench, STAGES[0], plan, progress, asked=1) is None
    assert said == []


def test_chance_counts_on_few_examples():
    def noise(examples, error, task="binary"):
        dataset = SimpleNamespace(splits=SimpleNamespace(val=range(examples)), info=SimpleNamespace(task=task))
        return _search_noise(SimpleNamespace(dataset=dataset), error)

    assert noise(20, 0.5) > noise(1000, 0.5) > noise(100_000, 0.5) == pytest.approx(SEARCH_NOISE, rel=0.01)
    assert noise(1000, 0.01) > noise(1000, 0.1)
    assert noise(1000, 0.0) < 1.1
    assert noise(1000, 500.0, "regression") == noise(1000, 0.5, "regression")


@pytest.mark.parametrize(
    ("caps", "holds"),
    [
        pytest.param({"max_width": 64, "max_depth": 4}, lambda n, p: n.width <= 64, marks=pytest.mark.slow),
        ({"max_depth": 3, "max_width": 128}, lambda n, p: len(n.blocks) <= 3),
        pytest.param({"max_params": 30_000}, lambda n, p: p <= 30_000, marks=pytest.mark.slow),
    ],
    ids=["width", "depth", "params"],
)
def test_caps_hold(searched, caps, holds):
    found = searched(**caps)
    from autorecipe.data import ReadOptions, load_dataset
    from autorecipe.networks import build, num_params

    info = load_dataset("iris", ReadOptions()).info
    recipes = [load_recipe(path) for path in (found.path / "recipes").glob("*.yaml")]
    assert len(recipes) > 4
    for recipe in recipes:
        count = num_params(build(recipe.network, recipe.regularization, info, 0))
        assert holds(recipe.network, count), describe(recipe.network)
    if caps.get("max_depth") == 3:
        assert not any(row["stage"] == "depth" for row in read_json(found.run.decisions))


def test_numbers_of_few_values_are_seen():
    random = np.random.default_rng(0)
    steps, label = random.integers(0, 16, (300, 4)), random.choice(["a", "b"], 300)
    dataset = load_dataset((steps, label), ReadOptions())
    assert unembedded(dataset)
    mixed = np.concatenate([steps, random.normal(size=(300, 1))], axis=1)
    assert not unembedded(load_dataset((mixed, label), ReadOptions()))
    assert not unembedded(load_dataset((steps, random.normal(size=300)), ReadOptions()))
    # Nor is it asked later on.
    section = family("mlp").smallest(dataset.info)
    bench = SimpleNamespace(space=load_space("table"), dataset=dataset, say=lambda *a, **facts: None)
    progress = Progress(incumbent=replace(Recipe(), {"network": section}))
    assert next_question(bench, STAGES[0], Plan("epochs", 99.0, 99.0, 1.0, 32), progress, asked=1) is None


@pytest.mark.parametrize(
    ("kind", "embedding"), [("steps", "none"), ("mixed", "piecewise"), ("regression", "piecewise")]
)
def test_the_start_has_the_embedding_that_suits_the_numbers(kind, embedding):
    random = np.random.default_rng(0)
    inputs = random.integers(0, 16, (300, 4)).astype(float)
    if kind == "mixed":
        inputs[:, 0] = random.normal(size=300)
    target = random.normal(size=300) if kind == "regression" else random.choice(["a", "b"], 300)
    dataset = load_dataset((inputs, target), ReadOptions())
    bench = SimpleNamespace(dataset=dataset, seed=0, space=load_space("table"))
    assert first_recipe(Settings(source=None), bench).network.embedding == embedding
    tested, _ = lr_find(
        (inputs, target), ReadOptions(), device="cpu", threads=1, steps=24, seeds=1, race_steps=0,
        say=lambda *a, **facts: None, stop=lambda: None,
    )  # fmt: skip
    assert ("piecewise" in tested) == (embedding == "piecewise")


@pytest.mark.parametrize(("stage", "trials"), [("width", 2), ("depth", None)])
def test_one_wider_network_is_tried_where_there_is_no_time_for_two(monkeypatch, iris, stage, trials):
    section = replace(Recipe(), {"network.width": 16}).network
    others = [Alternative(str(k), replace(Recipe(), {"network.width": k}).network) for k in (32, 64)]
    shape = SimpleNamespace(members=1, further_member=1.0, lr_range=SimpleNamespace(suggestion=0.01))
    for name in ("wider_networks", "deeper_networks"):
        monkeypatch.setattr(growth, name, lambda *a: others)
    monkeypatch.setattr(growth, "_fits", lambda *a: True)
    monkeypatch.setattr(growth, "measure_shape", lambda *a: shape)
    monkeypatch.setattr(growth, "time_left", lambda *a: 2.6)
    said = []
    bench = SimpleNamespace(
        space=load_space("table"),
        dataset=iris,
        budget=parse_budget("40s"),
        say=lambda kind, **facts: said.append(facts["text"]),
    )
    progress = Progress(incumbent=replace(Recipe(), {"network": section}), done=("small", "width", "regularize"))
    asked = next_question(
        bench, next(s for s in STAGES if s.name == stage), Plan("seconds", 9.0, 18.0, 1.0, 32), progress, asked=0
    )
    assert (asked.trials if asked else None) == trials
    assert bool(said) == (trials is None)


@pytest.mark.parametrize(("done", "asked"), [(("small",), 11), (("small", "width", "depth"), 16)])
def test_where_width_was_skipped_regularization_leaves_time_for_it(monkeypatch, iris, done, asked):
    """An overfitting network goes on to regularization, and is asked for width after that."""
    monkeypatch.setattr(growth, "measure_shape", lambda *a: SimpleNamespace(members=1, further_member=1.0))
    monkeypatch.setattr(growth, "time_left", lambda *a: 16.0)
    wanted = []
    monkeypatch.setattr(growth, "afford", lambda most, known, runs, *rest: wanted.append(runs) or (3, 2, 0))
    bench = SimpleNamespace(space=load_space("table"), dataset=iris, budget=parse_budget("40s"), say=print)
    progress = Progress(incumbent=Recipe(), done=done)
    stage = next(s for s in STAGES if s.name == "regularize")
    assert next_question(bench, stage, Plan("seconds", 9.0, 18.0, 1.0, 32), progress) is not None
    assert wanted == [asked]


@pytest.mark.parametrize(("slow", "left"), [((), [0, 1, 2]), ((0,), [1, 2]), ((0, 1), []), ((0, 1, 2), [])])
def test_a_deeper_network_that_is_too_slow_for_a_trial_is_not_tried(monkeypatch, slow, left):
    """As a wider one is not: of trials of a few steps nothing is known."""
    deeper = [Alternative(str(k), replace(Recipe(), {"network.width": 8 + k}).network) for k in range(3)]
    monkeypatch.setattr(growth, "measure_shape", lambda *a: SimpleNamespace(lr_range=SimpleNamespace(suggestion=0.01)))
    monkeypatch.setattr(growth, "_fits", lambda bench, recipe, *a: recipe.network.width - 8 not in slow)
    assert growth._fast_enough(None, Recipe(), deeper, 1.0) == [deeper[k] for k in left]


def test_an_embedding_questions_search_space_does_not_hang_on_the_time_left():
    """A study that is resumed with less time must have the search space that it was begun with."""
    sections = [replace(Recipe(), {"network.width": 8 * k}).network for k in range(1, 5)]
    ways = [Alternative(str(k), section) for k, section in enumerate(sections)]
    plan = Plan("seconds", 40.0, 30.0, 1.0, 64)
    asked = [_embedding_question(Recipe(), ways, affordable, plan, 2) for affordable in range(7)]
    assert asked[:2] == [None, None]
    assert [question.trials for question in asked[2:]] == [2, 3, 4, 4, 4]
    assert all(question.alternatives == tuple(ways) for question in asked[2:])
    assert all(len(question.known) == question.trials for question in asked[2:])
