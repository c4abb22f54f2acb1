"""On CUDA: one code path with the CPU, and no step that waits for the device."""

import dataclasses

import numpy as np
import pytest
import torch
from helpers import recipe_for

from autorecipe.recipe import replace
from autorecipe.training.cohort import start_cohort, train_cohort
from autorecipe.training.evaluate import on_device, predict
from autorecipe.training.hardware import find_hardware
from autorecipe.training.loop import CHECK_EVERY, start_session, train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
]
REGULARIZED = {
    "regularization.crop": 1,
    "regularization.flip": True,
    "regularization.erase": 0.3,
    "regularization.dropout": 0.1,
    "regularization.label_smoothing": 0.1,
    "regularization.averaging": 0.2,
    "optimizer.clip_norm": 1.0,
}


@pytest.fixture
def waiting():
    """Raises at every operation that waits for the device."""
    yield lambda: torch.cuda.set_sync_debug_mode("error")
    torch.cuda.set_sync_debug_mode("default")


def rows_on(dataset, device):
    return torch.from_numpy(np.ascontiguousarray(dataset.splits.train)).to(device)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", ["digits", "iris"])
def test_no_step_waits_for_the_device(name, streamed, waiting, request):
    dataset, hardware = request.getfixturevalue(name), find_hardware("cuda")
    data = on_device(dataset, hardware.device)
    if streamed:
        data = dataclasses.replace(data, inputs=dataset.inputs, streamed=True)
    recipe = recipe_for(dataset, **REGULARIZED, **{"training.steps": 10**6})
    steps = train(
        start_session(recipe, data, hardware), data, rows_on(dataset, hardware.device), looks=(2, CHECK_EVERY - 1)
    )
    next(steps)
    waiting()
    next(steps)


@pytest.mark.parametrize("name", ["digits", "iris"])
def test_no_step_of_a_cohort_waits_for_the_device(name, waiting, request):
    dataset, hardware = request.getfixturevalue(name), find_hardware("cuda")
    data, rows = on_device(dataset, hardware.device), rows_on(dataset, hardware.device)
    recipe = recipe_for(dataset, **REGULARIZED, **{"training.steps": 10**6})
    recipes = [replace(recipe, {"training.seed": k, "regularization.dropout": 0.1 * k}) for k in range(3)]
    cohort = start_cohort(recipes, data, [rows] * 3, hardware)
    steps = train_cohort(cohort, data, looks=(2, CHECK_EVERY - 1))
    next(steps)
    waiting()
    next(steps)


def test_a_run_on_cuda_is_the_run_on_the_cpu(digits):
    outputs = []
    for device in ("cpu", "cuda"):
        hardware = find_hardware(device)
        data, recipe = on_device(digits, hardware.device), recipe_for(digits, **{"training.steps": 5})
        session = start_session(recipe, data, hardware)
        for _ in train(session, data, rows_on(digits, hardware.device)):
            pass
        outputs.append(predict(session.readable, data.inputs, None, recipe))
    np.testing.assert_allclose(*outputs, atol=0.02)


def test_a_cohort_on_cuda_is_its_members_alone(digits):
    hardware = find_hardware("cuda")
    data, rows = on_device(digits, hardware.device), rows_on(digits, hardware.device)
    recipes = [recipe_for(digits, **{"training.steps": 8, "optimizer.lr": lr}) for lr in (1e-3, 3e-3)]
    cohort = start_cohort(recipes, data, [rows] * 2, hardware)
    for _ in train_cohort(cohort, data):
        pass
    together = predict(cohort.readable, data.inputs, None, recipes[0])
    for k, recipe in enumerate(recipes):
        session = start_session(recipe, data, hardware)
        for _ in train(session, data, rows):
            pass
        np.testing.assert_allclose(together[:, k], predict(session.readable, data.inputs, None, recipe), atol=0.02)
