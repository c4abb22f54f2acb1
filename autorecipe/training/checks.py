"""Checks of the training loop before anything is searched: measured, expected, advice.

Only "one batch can be overfitted" stops a search; the others warn.
"""

import math
import time
from collections.abc import Callable
from dataclasses import replace as replace_record

import numpy as np
import torch

from autorecipe.recipe import Recipe, replace
from autorecipe.results import CheckResult
from autorecipe.training.evaluate import DeviceData, loss_of_each, predict, score
from autorecipe.training.hardware import Hardware
from autorecipe.training.loop import Diverged, start_session, train

BATCH = 32
ENOUGH_STEPS = 120
"""A batch that is not overfitted after fewer steps than these had too little time."""
OVERFIT_SHARE = 0.1
"""A batch counts as overfitted when its loss is below this share of the loss at the start."""
LR_FACTORS = (4.0, 1.0, 0.25)
"""Learning rates to overfit with, as factors of the prior: one batch stands a large one, and takes 60 steps of it
instead of 150; the others are for networks that do not."""


def run_checks(
    recipe: Recipe,
    data: DeviceData,
    rows: torch.Tensor,
    hardware: Hardware,
    *,
    seconds: float = 3.0,
    timed: bool = True,
    steps: int = 400,
    keep_going: Callable[[], object] = lambda: None,
) -> list[CheckResult]:
    """Run every check, each in about a third of the seconds given.

    Args:
        recipe: the starting recipe.
        data: tensors on the device.
        rows: training examples.
        hardware: the device.
        seconds: about how long all of them may take.
        timed: whether the clock may end a check; without, only the steps do.
        steps: the most steps of one training.
        keep_going: called before each step; raises to stop.
    """
    plain = replace(
        recipe,
        {
            "regularization.dropout": 0.0,
            "regularization.crop": 0,
            "regularization.flip": False,
            "regularization.erase": 0.0,
            "regularization.mixup": 0.0,
            "regularization.label_smoothing": 0.0,
            "regularization.averaging": 0.0,
            "regularization.class_weights": 0.0,
            "optimizer.weight_decay": 0.0,
            "schedule.name": "constant",
            "schedule.warmup": 0.0,
            "training.steps": steps,
        },
    )
    seconds = seconds if timed else math.inf
    return [
        check_initial_loss(plain, data, rows, hardware),
        check_overfit(plain, data, rows, hardware, seconds * 2 / 3, keep_going),
        check_input_matters(plain, data, rows, hardware, seconds / 3, keep_going),
    ]


def check_initial_loss(recipe: Recipe, data: DeviceData, rows: torch.Tensor, hardware: Hardware) -> CheckResult:
    """The loss at initialisation is that of a model that knows nothing."""
    session = start_session(recipe, data, hardware)
    some = rows[: min(len(rows), 500)].to(data.targets.device)
    outputs = predict(session.model, data.inputs, some, recipe)
    targets = data.targets[some].cpu().numpy()
    loss = float(loss_of_each(targets, outputs, data.info).mean())
    if data.info.task == "regression":
        nothing = np.zeros((len(targets), 1), np.float32)
        expected, text = float(loss_of_each(targets, nothing, data.info).mean()), "that of saying the mean"
    elif data.info.task == "multilabel":
        expected, text = math.log(2), "ln(2): each label like a coin"
    else:
        expected, text = math.log(data.info.num_outputs), f"ln({data.info.num_outputs})"
    passed = abs(loss - expected) <= 0.15 * expected + 0.02
    return CheckResult(
        "loss at initialisation",
        passed,
        f"{loss:.3f}",
        f"{expected:.3f} ({text})",
        "" if passed else "the last layer starts too large, or the targets are not scaled",
    )


def _train_for(
    recipe: Recipe,
    data: DeviceData,
    rows: torch.Tensor,
    hardware: Hardware,
    seconds: float,
    keep_going: Callable[[], object],
    enough: Callable[[float], bool],
) -> tuple[float, int]:
    """Train until the loss is low enough, the steps are run or the time is over: last mean loss and steps."""
    session = start_session(recipe, data, hardware)
    begin = time.monotonic()
    loss = math.inf
    try:
        for look in train(session, data, rows, looks=range(0, recipe.training.steps, 10), keep_going=keep_going):
            loss = look.train_loss
            if enough(loss) or time.monotonic() - begin > seconds:
                break
    except Diverged:
        return math.inf, session.step
    return loss, session.step


def check_overfit(
    recipe: Recipe,
    data: DeviceData,
    rows: torch.Tensor,
    hardware: Hardware,
    seconds: float,
    keep_going: Callable[[], object],
) -> CheckResult:
    """One small batch can be learned by heart."""
    batch = _varied_batch(data, rows)
    recipe = replace(recipe, {"training.batch_size": BATCH})
    session = start_session(recipe, data, hardware)
    targets = data.targets[batch].cpu().numpy()
    start = float(loss_of_each(targets, predict(session.model, data.inputs, batch, recipe), data.info).mean())
    loss, steps = math.inf, 0
    for factor in LR_FACTORS:
        tried = replace(recipe, {"optimizer.lr": factor * recipe.optimizer.lr})
        loss, steps = _train_for(
            tried, data, batch, hardware, max(seconds, 2.0), keep_going, lambda x: x < OVERFIT_SHARE * start
        )
        if loss < OVERFIT_SHARE * start:
            break
    passed = loss < OVERFIT_SHARE * start
    enough = ENOUGH_STEPS * (3 if data.info.task == "multilabel" else 1)  # there is more to learn by heart
    decided = passed or steps >= enough
    advice = "" if passed else "equal inputs with different targets? wrong targets? unscaled inputs?"
    return CheckResult(
        "one batch can be overfitted",
        passed,
        f"loss {start:.3f} -> {loss:.3g} in {steps} steps on {len(batch)} examples",
        f"below {OVERFIT_SHARE * start:.3g}",
        advice if decided else "too little time to say",
        decided,
    )


def _varied_batch(data: DeviceData, rows: torch.Tensor) -> torch.Tensor:
    """Rows from everywhere, as many classes as there are."""
    picks = torch.linspace(0, len(rows) - 1, min(BATCH, len(rows))).long()
    batch = rows[picks].to(data.targets.device)
    if data.info.task != "regression" and len(torch.unique(data.targets[batch])) == 1:
        generator = torch.Generator().manual_seed(0)
        batch = rows[torch.randperm(len(rows), generator=generator)[: len(picks)]].to(data.targets.device)
    return batch


def check_input_matters(
    recipe: Recipe,
    data: DeviceData,
    rows: torch.Tensor,
    hardware: Hardware,
    seconds: float,
    keep_going: Callable[[], object],
) -> CheckResult:
    """Real inputs train to a lower loss than inputs that are all the same."""
    metric = "log_loss" if data.info.task != "regression" else "rmse"
    blank = replace_record(data, inputs=tuple(torch.zeros_like(x[:1]).expand_as(x) for x in data.inputs))
    some = rows[: min(len(rows), 1000)].to(data.targets.device)
    targets = data.targets[some].cpu().numpy()
    scores = []
    steps = 60
    for inputs in (data, blank):
        session = start_session(replace(recipe, {"training.steps": steps}), inputs, hardware)
        begin = time.monotonic()
        try:
            for _ in train(session, inputs, rows, looks=range(5, steps + 1, 5), keep_going=keep_going):
                if time.monotonic() - begin > seconds / 2:
                    break
        except Diverged:
            pass
        steps = max(5, session.step)
        outputs = predict(session.model, inputs.inputs, some, recipe)
        scores.append(score(metric, targets, outputs, data.info))
    real, same = scores
    passed = real < same
    return CheckResult(
        "the input matters",
        passed,
        f"{metric} {real:.4g} after {steps} steps",
        f"below {same:.4g}, with blank inputs",
        "" if passed else "the inputs may carry no signal, or their scaling hides it",
    )
