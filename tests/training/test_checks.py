import dataclasses

import pytest
import torch
from helpers import CPU, on_cpu, recipe_for, rows_of
from torch import nn

from autorecipe.training import checks
from autorecipe.training.checks import check_initial_loss, check_input_matters, check_overfit, run_checks
from autorecipe.training.evaluate import DeviceData

STEADY = {"schedule.name": "constant", "schedule.warmup": 0.0, "training.steps": 400}


def go_on():
    """Never stop."""


def test_all_pass_on_digits(digits):
    found = run_checks(recipe_for(digits), on_cpu(digits), rows_of(digits), CPU, timed=False)
    assert [(c.name, c.passed) for c in found] == [
        ("loss at initialisation", True),
        ("one batch can be overfitted", True),
        ("the input matters", True),
    ]
    assert "ln(10)" in found[0].expected
    assert all(c.measured and c.expected and not c.advice for c in found)


def test_regularization_does_not_hide_what_the_loop_can_do(iris):
    recipe = recipe_for(iris, **{"regularization.dropout": 0.9, "optimizer.weight_decay": 10.0})
    assert all(c.passed for c in run_checks(recipe, on_cpu(iris), rows_of(iris), CPU, timed=False))


@pytest.mark.parametrize("name", ["diabetes", "mixed", "coloured"])
def test_they_pass_on_other_tasks(name, datasets):
    data = datasets[name]
    found = run_checks(recipe_for(data), on_cpu(data), rows_of(data), CPU, timed=False)
    assert [c.passed for c in found[:2]] == [True, True]


def test_equal_inputs_of_different_classes_cannot_be_overfitted(digits):
    same = DeviceData(digits.info, (digits.inputs[0][:1].expand_as(digits.inputs[0]).contiguous(),), digits.targets)
    recipe = recipe_for(digits, **{**STEADY, "training.steps": 100})
    found = check_overfit(recipe, same, rows_of(digits), CPU, 1e9, go_on)
    assert not found.passed
    assert found.advice
    assert "100 steps on 32 examples" in found.measured


def test_blank_inputs_do_not_matter(digits):
    blank = DeviceData(digits.info, tuple(torch.zeros_like(x) for x in digits.inputs), digits.targets)
    found = check_input_matters(recipe_for(digits, **STEADY), blank, rows_of(digits), CPU, 1e9, go_on)
    assert not found.passed
    assert found.advice


def test_a_head_that_starts_too_large_is_noticed(digits, monkeypatch):
    def large(*args):
        session = begun(*args)
        head = [m for m in session.model.modules() if isinstance(m, nn.Linear)][-1]
        nn.init.normal_(head.weight, std=10.0)
        return session

    begun = checks.start_session
    assert check_initial_loss(recipe_for(digits), on_cpu(digits), rows_of(digits), CPU).passed
    monkeypatch.setattr(checks, "start_session", large)
    found = check_initial_loss(recipe_for(digits), on_cpu(digits), rows_of(digits), CPU)
    assert not found.passed
    assert "last layer" in found.advice


def test_unscaled_targets_are_noticed(diabetes):
    """A mean far from zero: the loss at the start is still that of predicting zero, and is told as such."""
    data = DeviceData(diabetes.info, diabetes.inputs, diabetes.targets)
    found = check_initial_loss(recipe_for(diabetes), data, rows_of(diabetes), CPU)
    assert found.passed
    assert "saying the mean" in found.expected


def test_a_rate_that_is_too_large_is_tried_again_smaller(iris):
    recipe = recipe_for(iris, **{**STEADY, "optimizer.lr": 0.04})
    assert check_overfit(recipe, on_cpu(iris), rows_of(iris), CPU, 1e9, go_on).passed


def test_a_batch_from_sorted_classes_has_several(digits):
    order = torch.argsort(digits.targets)
    batch = checks._varied_batch(on_cpu(digits), order)
    assert len(torch.unique(digits.targets[batch])) == len(digits.info.classes)
    info = dataclasses.replace(digits.info)
    assert len(batch) == checks.BATCH <= len(digits.targets)
    assert info == digits.info


def test_checks_can_be_stopped(iris):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_checks(recipe_for(iris), on_cpu(iris), rows_of(iris), CPU, keep_going=stop)
