import time
from types import SimpleNamespace

import pytest
import torch
from helpers import CPU, on_cpu, recipe_for, rows_of

from autorecipe.errors import InputError
from autorecipe.recipe import NetworkSection
from autorecipe.rundir import sha256
from autorecipe.training import loop
from autorecipe.training.checkpoint import load_session, load_weights, save_session, save_weights, saved_steps
from autorecipe.training.loop import Diverged, OutOfMemory, start_session, train


def begun(dataset, **changes):
    return start_session(recipe_for(dataset, **changes), on_cpu(dataset), CPU)


def curve(session, dataset, **more):
    return list(train(session, on_cpu(dataset), rows_of(dataset), **more))


@pytest.fixture
def seen(monkeypatch):
    """The rows of each step."""
    rows = []
    real = loop.step_loss

    def spy(session, data, batch):
        rows.append(tuple(batch.tolist()))
        return real(session, data, batch)

    monkeypatch.setattr(loop, "step_loss", spy)
    return rows


def test_looks_come_at_the_steps_asked_and_at_the_end(iris):
    looks = curve(begun(iris), iris, looks=(3, 5, 50))
    assert [look.step for look in looks] == [3, 5, 8]
    assert looks[-1].session.step == 8
    assert looks[0].progress == pytest.approx(2 / 8)
    assert looks[0].lr > looks[-1].lr > 0


def test_the_training_loss_is_the_mean_since_the_look_before(iris):
    every = [look.train_loss for look in curve(begun(iris), iris, looks=range(9))]
    some = [look.train_loss for look in curve(begun(iris), iris, looks=(2, 6))]
    assert some == pytest.approx([sum(every[:2]) / 2, sum(every[2:6]) / 4, sum(every[6:]) / 2], rel=1e-5)


def test_looking_does_not_change_the_training(iris):
    def look_closely():
        session = begun(iris, **{"regularization.dropout": 0.2})
        for look in train(session, on_cpu(iris), rows_of(iris), looks=range(9)):
            look.session.model.eval()
        return session.model.state_dict()

    plain = begun(iris, **{"regularization.dropout": 0.2})
    curve(plain, iris)
    assert all(
        torch.equal(a, b) for a, b in zip(look_closely().values(), plain.model.state_dict().values(), strict=True)
    )


def test_the_clock_ends_the_run_in_time_and_steps_are_counted(iris):
    changes = {"schedule.warmup": 0.2, "schedule.cooldown": 0.5, "training.steps": 1}
    session = begun(iris, **changes)
    begin = time.monotonic()
    looks = curve(session, iris, limit_seconds=1.0, look_seconds=0.2)
    assert 1.0 <= time.monotonic() - begin < 2.0
    assert len(looks) >= 3
    assert looks[-1].progress == 1.0
    assert looks[-1].step == session.step > 20
    assert 0.08 < session.warmup_steps / session.step < 0.35
    assert 0.3 < session.stable_steps / session.step < 0.7
    assert session.warmup_steps < session.stable_steps < session.step


def test_time_between_looks_counts_when_the_clock_drives(iris):
    session = begun(iris)
    begin = time.monotonic()
    for _ in train(session, on_cpu(iris), rows_of(iris), limit_seconds=0.6, look_seconds=0.0):
        time.sleep(0.05)
    assert time.monotonic() - begin < 1.2


def test_counted_steps_without_a_clock(iris):
    session = begun(iris, **{"training.steps": 20, "schedule.warmup": 0.2, "schedule.cooldown": 0.5})
    curve(session, iris)
    assert (session.step, session.warmup_steps, session.stable_steps) == (20, 4, 10)


def test_a_saved_session_goes_on_where_it_was(iris, tmp_path, seen):
    changes = {"training.steps": 12, "regularization.averaging": 0.2}
    whole = begun(iris, **changes)
    curve(whole, iris)
    uninterrupted = list(seen)
    seen.clear()
    first = begun(iris, **changes)
    for look in train(first, on_cpu(iris), rows_of(iris), looks=(5,)):
        assert look.step == 5
        break
    save_session(first, tmp_path / "s.safetensors")
    second = begun(iris, **changes)
    assert load_session(second, tmp_path / "s.safetensors")
    assert (second.step, second.seconds > 0) == (5, True)
    curve(second, iris)
    assert seen == uninterrupted
    assert (second.step, second.warmup_steps, second.stable_steps) == (
        whole.step,
        whole.warmup_steps,
        whole.stable_steps,
    )
    for a, b in ((second.model, whole.model), (second.averaged, whole.averaged)):
        for name, value in a.state_dict().items():
            assert torch.allclose(value, b.state_dict()[name], atol=1e-6), name


def test_a_session_of_another_recipe_is_not_taken_up(iris, tmp_path):
    path = tmp_path / "s.safetensors"
    save_session(begun(iris), path)
    other = begun(iris, **{"optimizer.lr": 0.5})
    before = {name: t.clone() for name, t in other.model.state_dict().items()}
    assert not load_session(other, path)
    assert not load_session(other, tmp_path / "none.safetensors")
    assert saved_steps(path, other.recipe.digest) == saved_steps(tmp_path / "none.safetensors", "") == 0
    going = begun(iris)
    going.step = 7
    save_session(going, path)
    assert saved_steps(path, going.recipe.digest) == 7
    path.write_bytes(path.read_bytes()[:100])
    assert saved_steps(path, going.recipe.digest) == 0
    assert not load_session(begun(iris), path)
    assert all(torch.equal(t, before[name]) for name, t in other.model.state_dict().items())


@pytest.mark.parametrize("window", [0.02, 0.1, 0.5])
def test_passing_over_steps_leaves_the_average_where_it_would_be(window):
    every = passed = 0.0
    for step in range(1, 1001):
        every += (step - every) / max(1.0, window * step)
        passed += (step - passed) * loop.average_weight(window, step)
        if step % loop.AVERAGE_EVERY == 0:
            assert abs(passed - every) < loop.AVERAGE_EVERY


@pytest.mark.parametrize("window", [0.1, 0.5])
def test_averaged_weights_are_the_lerp_they_claim(digits, window):
    """After step s they have moved by 1 / (window * s) of the way to the current ones, at most all of it."""
    session = begun(digits, **{"regularization.averaging": window})
    wanted = [t.clone() for t in loop.floating_tensors(session.averaged)]
    for look in train(session, on_cpu(digits), rows_of(digits), looks=range(9)):
        weight = 1 / max(1.0, window * look.step)
        now = loop.floating_tensors(session.model)
        wanted = [a + (b.detach() - a) * weight for a, b in zip(wanted, now, strict=True)]
        for a, b in zip(loop.floating_tensors(session.averaged), wanted, strict=True):
            assert torch.allclose(a, b, atol=1e-5)
    assert session.readable is session.averaged
    assert begun(digits).readable is not None
    assert begun(digits).averaged is None


def test_a_huge_learning_rate_diverges(diabetes):
    session = begun(diabetes, **{"optimizer.name": "sgd", "optimizer.lr": 1e25, "training.steps": 40})
    with pytest.raises(Diverged, match="not finite after"):
        curve(session, diabetes)
    assert session.step < 40


def test_divergence_is_noticed_at_the_end_of_a_clocked_run_too(iris, monkeypatch):
    """The last steps before the deadline are not left unlooked at."""
    now = [0.0]

    def tick():
        now[0] += 0.1
        return now[0]

    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=tick))
    real = loop.step_loss
    monkeypatch.setattr(loop, "step_loss", lambda *a: real(*a) * float("nan"))
    with pytest.raises(Diverged):
        curve(begun(iris), iris, limit_seconds=2.0)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError("no more"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("MPS backend out of memory"),
    ],
)
def test_errors_of_memory_become_one(iris, monkeypatch, error):
    def fail(*args):
        raise error

    monkeypatch.setattr(loop, "step_loss", fail)
    with pytest.raises(OutOfMemory):
        curve(begun(iris), iris)


def test_other_errors_stay_what_they_are(iris, monkeypatch):
    def fail(*args):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(loop, "step_loss", fail)
    with pytest.raises(RuntimeError, match="mat1"):
        curve(begun(iris), iris)


def test_going_on_is_asked_before_each_step(iris):
    calls = []

    def keep_going():
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt

    session = begun(iris)
    with pytest.raises(KeyboardInterrupt):
        curve(session, iris, keep_going=keep_going)
    assert session.step == 3


@pytest.mark.parametrize(
    "change", [{"optimizer.clip_norm": 1e-6}, {"optimizer.name": "sgd"}, {"schedule.name": "cosine"}]
)
def test_the_recipe_is_obeyed(iris, change):
    plain = [look.train_loss for look in curve(begun(iris), iris, looks=range(9))]
    other = [look.train_loss for look in curve(begun(iris, **change), iris, looks=range(9))]
    assert plain != other


def test_a_run_of_a_seed_is_repeatable(digits):
    changes = {"regularization.dropout": 0.3, "regularization.crop": 1, "regularization.mixup": 0.2}
    first, second = (curve(begun(digits, **changes), digits, looks=range(9)) for _ in range(2))
    assert [look.train_loss for look in first] == [look.train_loss for look in second]


@pytest.mark.parametrize("changes", [{"training.precision": "bf16"}, {"training.channels_last": True}])
def test_numerics_change_speed_and_little_else(digits, changes):
    steps = {"training.steps": 40}
    plain = curve(begun(digits, **steps), digits, looks=(20,))
    other = curve(begun(digits, **steps, **changes), digits, looks=(20,))
    assert other[-1].train_loss == pytest.approx(plain[-1].train_loss, rel=0.2)


def test_weights_are_named_by_their_sha256(iris, tmp_path):
    path = tmp_path / "model.safetensors"
    digest = save_weights(begun(iris).model, path)
    assert digest == sha256(path)
    assert len(digest) == 64
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_wrong_weights_are_an_input_error(iris, tmp_path):
    path = tmp_path / "model.safetensors"
    model = begun(iris).model
    with pytest.raises(InputError, match="no weights"):
        load_weights(model, path)
    save_weights(start_session(recipe_for(iris, NetworkSection("linear")), on_cpu(iris), CPU).model, path)
    with pytest.raises(InputError, match="do not fit"):
        load_weights(model, path)
    save_weights(model, path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="damaged"):
        load_weights(model, path)
