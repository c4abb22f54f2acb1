"""How long the final training goes on."""

from types import SimpleNamespace

import numpy as np
import pytest

from autorecipe.recipe import Recipe, load_recipe, replace
from autorecipe.results import TrainResult
from autorecipe.rundir import read_json
from autorecipe.search import length

INCUMBENT = replace(Recipe(), {"training.steps": 100, "training.batch_size": 64, "optimizer.lr": 0.01})


def result(score, loss):
    return TrainResult("complete", 0, 0.0, score, loss, None, None, 0, ())


@pytest.fixture
def chosen(monkeypatch):
    """The steps that are chosen, and those that were tried, when runs of so many steps have these scores and losses."""

    def choose(outcomes, planned=20_000, metric="accuracy", examples=1000, unknown=False):
        tried = []

        def trained(bench, incumbent, steps, shape):
            tried.append(steps)
            return outcomes(steps)

        monkeypatch.setattr(length, "recorded_result", lambda bench, recipe: None if unknown else outcomes(100))
        monkeypatch.setattr(length, "steps_for", lambda *_: planned)
        monkeypatch.setattr(length, "_trained", trained)
        bench = SimpleNamespace(
            dataset=SimpleNamespace(
                info=SimpleNamespace(metric=metric),
                splits=SimpleNamespace(train=np.arange(examples), val=np.arange(1000)),
            ),
            say=lambda *_, **__: None,
        )
        return length.choose_steps(bench, INCUMBENT, None, 1.0), tried

    return choose


def test_while_longer_is_better_all_the_time_is_used(chosen):
    steps, tried = chosen(lambda steps: result(1 - 1 / steps, 1 / steps))
    assert steps is None
    assert tried == [400, 1600]
    assert sum(tried) <= length.SHARE * 20_000


def test_overfitting_ends_it(chosen):
    steps, tried = chosen(lambda steps: result(0.9 - abs(steps - 400) / 1e4, 0.1 + abs(steps - 400) / 1e4))
    assert (steps, tried) == (400, [400, 1600, 800])


def test_where_longer_is_hardly_better_much_longer_is_looked_at(chosen):
    outcomes = {100: 0.5, 400: 0.505, 1600: 0.51, 6400: 0.5, 3200: 0.5}
    steps, tried = chosen(lambda steps: result(outcomes[steps], 1 - outcomes[steps]))
    assert (steps, tried) == (1600, [400, 1600, 6400, 3200])
    assert sum(tried[:3]) > length.SHARE * 20_000


def test_where_there_is_no_time_for_sixteen_trials_eight_are_looked_at(chosen):
    """As in a plan, whose final training is some forty times as long as a trial: two runs of it are affordable."""
    scores = {100: 0.5, 400: 0.505, 800: 0.5}
    steps, tried = chosen(lambda steps: result(scores[steps], 1 - scores[steps]), planned=3800)
    assert (steps, tried) == (400, [400, 800])
    grows = {100: 0.5, 400: 0.505, 800: 0.51}
    steps, tried = chosen(lambda steps: result(grows[steps], 1 - grows[steps]), planned=3800)
    assert (steps, tried) == (None, [400, 800])
    clear = {100: 0.5, 400: 0.6}
    assert chosen(lambda steps: result(clear[steps], 1 - clear[steps]), planned=3800) == (None, [400])


def test_the_length_in_between_is_taken_if_it_is_no_worse(chosen):
    steps, tried = chosen(lambda steps: result(0.9 - abs(steps - 210) / 1e4, 0.1 + abs(steps - 210) / 1e4))
    assert (steps, tried) == (200, [400, 200])


@pytest.mark.parametrize("outcome", [lambda s: result(0.5 + s / 1e4, s / 1e3), lambda s: result(0.5 - s / 1e4, 1 / s)])
def test_a_better_score_or_a_better_loss_is_enough(chosen, outcome):
    assert chosen(outcome)[0] is None


def test_errors_are_better_small(chosen):
    assert chosen(lambda steps: result(float(steps), float(steps)), metric="rmse")[0] == 100


def test_where_it_cannot_be_too_long_nothing_is_tried(chosen):
    def grows(steps):
        return result(float(-steps), float(steps))

    assert chosen(grows, examples=1_000_000) == (None, [])  # few epochs
    assert chosen(grows, examples=20_000) == (None, [])  # in the longest run that there is time for, of 800 steps
    assert chosen(grows, planned=700) == (None, [])  # hardly longer than a trial
    assert chosen(lambda _: None, unknown=True) == (None, [100])  # no trial on record, and it fails


def test_the_other_of_a_race_has_no_trial_on_record(chosen):
    """What has won is trained for a trial's steps first, to be compared with longer runs."""
    steps, tried = chosen(lambda steps: result(0.9 - steps / 1e5, steps / 1e5), unknown=True)
    assert (steps, tried) == (100, [100, 400, 200])


def test_a_run_that_fails_ends_the_trying(chosen):
    assert chosen(lambda steps: result(0.5, 1.0) if steps == 100 else None) == (None, [400])


def test_a_run_on_record_is_not_trained_again(monkeypatch):
    """A search that was stopped between these runs does not pay twice."""
    kept, trained = {}, []

    def run_recipe(bench, recipe, *_, **__):
        trained.append(recipe.training.steps)
        return SimpleNamespace(result=result(0.9, 0.1))

    monkeypatch.setattr(length, "recorded_result", lambda bench, recipe: kept.get(recipe.digest))
    monkeypatch.setattr(length, "put_on_record", lambda bench, recipe, found, _: kept.update({recipe.digest: found}))
    monkeypatch.setattr(length, "run_recipe", run_recipe)
    bench = SimpleNamespace(
        budget=SimpleNamespace(timed=False),
        hardware=SimpleNamespace(kind="none"),
        dataset=SimpleNamespace(splits=SimpleNamespace(train=np.arange(100), val=np.arange(9))),
        state=SimpleNamespace(spent_epochs=0.0),
        say=lambda *_, **__: None,
    )
    assert [length._trained(bench, INCUMBENT, steps, None) for steps in (400, 400, 1600)] == [result(0.9, 0.1)] * 3
    assert trained == [400, 1600]


@pytest.mark.parametrize(
    ("most", "begun", "affordable", "counts"),
    [
        (100, 0, 250, True),
        (100, 0, 150, False),
        (100, 70, 90, True),  # a resumed one goes on as it was begun
        (100, 70, 20, False),
    ],
)
def test_steps_are_counted_where_time_is_no_matter(most, begun, affordable, counts):
    assert length.counts_steps(most, begun, affordable) == counts


def test_noise_is_not_learned_by_heart(searched):
    """Labels of which noise is a part: the final training ends early, and the recipe says after how many steps."""
    random = np.random.default_rng(0)
    inputs = random.normal(size=(1000, 40))
    data = inputs, np.where(inputs[:, 0] + inputs[:, 1] + random.normal(size=1000) > 0, "heads", "tails")
    found = searched(data=data, budget="400epochs", max_width=64, max_depth=3)
    texts = [event["text"] for event in found.heard.of("note")]
    assert any("longer is worse" in text for text in texts)
    kept = read_json(found.run.state)["finish_steps"]
    splits = read_json(found.run.splits)
    longer = (len(splits["train"]) + len(splits["val"])) / len(splits["train"])
    assert load_recipe(found.run.recipe).training.steps == round(kept * longer) > 0
