"""The one training loop.

`train` is a generator: it runs steps, hands over at the steps the caller wants to look at, and the
caller decides whether to go on.  So there are no callbacks, and pruning is a `break`.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from autorecipe.data.batches import batch_rows, fetch, gather, gather_images, mixup_share, to_device
from autorecipe.networks import build_members
from autorecipe.networks.ensemble import Ensemble
from autorecipe.recipe import Recipe, RegularizationSection
from autorecipe.training.evaluate import DeviceData
from autorecipe.training.hardware import Hardware, autocast, to_layout
from autorecipe.training.losses import class_weights, loss_function, member_losses
from autorecipe.training.optimizers import build_optimizer, set_lr
from autorecipe.training.schedules import cooldown_start, lr_factor
from autorecipe.training.stack import Stack

CHECK_EVERY = 16
"""Steps between looks at the loss: on an accelerator each look waits for the device."""


AVERAGE_EVERY = 4
"""Steps between updates of averaged weights, once their window is long enough."""


class Diverged(Exception):
    """The loss is no longer finite."""


class OutOfMemory(Exception):
    """The device's memory does not hold the network and its batch."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of a step means that the memory is used up."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return "memory" in str(error) and ("alloc" in str(error) or "out of" in str(error))


@contextmanager
def memory_errors() -> Iterator[None]:
    """Of a block: torch's and Python's errors of memory that is used up as `OutOfMemory`."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if out_of_memory(error):
            raise OutOfMemory(str(error)) from error
        raise


@dataclass
class Session:
    """A training run in progress: the state that a checkpoint saves."""

    recipe: Recipe
    model: nn.Module
    """The network; a `Stack` of several where their predictions are to be averaged."""
    averaged: nn.Module | None
    """The same network with averaged weights, or None if averaging is off."""
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    """Time spent in steps."""
    warmup_steps: int = 0
    stable_steps: int = 0
    """Steps in the warm-up and before the cooldown, as they were run."""
    weights: Tensor | None = None
    """Weights of the classes in the loss, or None if they are off."""
    pairs: tuple[list[Tensor], list[Tensor]] = field(default_factory=lambda: ([], []))
    """Averaged tensors and the current ones they follow; listed once, for listing takes a tenth of a small step."""

    @property
    def readable(self) -> nn.Module:
        """The network to score: with averaged weights where there are any, and one module of several members."""
        model = self.averaged if self.averaged is not None else self.model
        if not isinstance(model, Stack):
            return model
        return Ensemble([model.member(k) for k in range(model.members)], self.recipe.data.task)


@dataclass(frozen=True)
class Look:
    """The state handed to the caller at one step."""

    step: int
    seconds: float
    progress: float
    lr: float
    train_loss: float
    """Mean training loss since the look before."""
    session: Session


def start_session(recipe: Recipe, data: DeviceData, hardware: Hardware) -> Session:
    """Build network and optimizer of a recipe, on the device.

    Raises:
        NotStackable: the recipe has several members, and a layer of theirs has no stacked form.
    """
    members = [model.to(hardware.device) for model in build_members(recipe, data.info)]
    model = members[0] if len(members) == 1 else Stack(members).part()
    if recipe.training.channels_last and len(members) == 1:  # stacked kernels have no such layout; the images do
        model = model.to(memory_format=torch.channels_last)
    averaged = copy.deepcopy(model).requires_grad_(False) if recipe.regularization.averaging else None
    session = Session(recipe, model, averaged, build_optimizer(recipe.optimizer, model, hardware.fused))
    weights = class_weights(data.info, recipe.regularization.class_weights)
    if weights is not None:
        session.weights = weights.to(hardware.device)
    if averaged is not None:
        session.pairs = (floating_tensors(averaged), floating_tensors(model))
    return session


def floating_tensors(model: nn.Module) -> list[Tensor]:
    """Parameters and floating-point buffers."""
    return [*model.parameters(), *(b for b in model.buffers() if b.is_floating_point())]


def make_batch(
    data: DeviceData, rows: Tensor, section: RegularizationSection, seed: int, step: int
) -> tuple[Tensor, ...]:
    """The augmented inputs of some rows."""
    inputs = data.inputs
    if data.streamed:
        inputs = fetch(inputs, rows, data.targets.device)
        rows = torch.arange(len(rows), device=data.targets.device)
    if data.info.modality == "image":
        return (gather_images(inputs[0], rows, section, seed, step),)
    return gather(inputs, rows)


def step_loss(session: Session, data: DeviceData, rows: Tensor) -> Tensor:
    """Forward pass of one step: the mean training loss, regularization included."""
    recipe = session.recipe
    section = recipe.regularization
    seed, step = recipe.training.seed, session.step
    inputs = make_batch(data, rows, section, seed, step)
    inputs = tuple(to_layout(x, recipe.training.channels_last) for x in inputs)
    targets = data.targets[to_device(rows, data.targets.device)]
    mixed = section.mixup > 0 and data.info.modality == "image"
    with autocast(data.targets.device, recipe.training.precision):
        if not mixed:
            return _loss(session, data, session.model(*inputs), targets)
        # Mixup (Zhang et al. 2018): one lambda a batch; the loss is mixed as the images are.
        share = mixup_share(section.mixup, seed, step)
        images = inputs[0].float()
        outputs = session.model(images.mul(share).add_(images.flip(0), alpha=1 - share))
        first = _loss(session, data, outputs, targets)
        second = _loss(session, data, outputs, targets.flip(0))
        return share * first + (1 - share) * second


def _loss(session: Session, data: DeviceData, outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean loss of a batch; of several members the sum of theirs, so that each has its own gradient."""
    smoothing = session.recipe.regularization.label_smoothing
    if isinstance(session.model, Stack):
        of_each = torch.full((session.model.members,), smoothing, device=outputs.device) if smoothing else None
        return member_losses(outputs.transpose(0, 1), targets, data.info, of_each, session.weights).sum()
    return loss_function(outputs, targets, data.info, smoothing, session.weights)


def train(
    session: Session,
    data: DeviceData,
    rows: Tensor,
    *,
    looks: Sequence[int] = (),
    look_seconds: float = math.inf,
    limit_seconds: float | None = None,
    keep_going: Callable[[], object] = lambda: None,
) -> Iterator[Look]:
    """Train a session to its end, handing over at each look and after the last step.

    Args:
        session: where to begin; its recipe says everything else.
        data: tensors on the device.
        rows: int64 rows to train on.
        looks: steps after which to hand over.
        look_seconds: hand over at least this often as well.
        limit_seconds: None: the recipe's steps are run.  Otherwise the clock drives the schedule: the run ends after
            so many seconds, hand-overs included, and the steps are counted.
        keep_going: called before each step; raises to stop.

    Raises:
        Diverged: the loss is not finite.
        OutOfMemory: the device's memory is used up.
    """
    with memory_errors():  # once, for it would cost the steps of small networks a share
        yield from _train(session, data, rows, looks, look_seconds, limit_seconds, keep_going)


def _train(
    session: Session,
    data: DeviceData,
    rows: Tensor,
    looks: Sequence[int],
    look_seconds: float,
    limit_seconds: float | None,
    keep_going: Callable[[], object],
) -> Iterator[Look]:
    recipe, model = session.recipe, session.model
    members = recipe.finish.members
    device = data.targets.device
    rows = rows.to("cpu" if data.streamed else device)
    wanted = set(looks)
    torch.manual_seed(recipe.training.seed + 1_000_003 * (session.step + 1))  # for dropout
    batches = batch_rows(rows, recipe.training.batch_size, recipe.training.seed, session.step)
    model.train()
    begin, done_before = time.monotonic(), session.seconds
    paused = 0.0
    last_look = begin
    total, count, pending = 0.0, 0, torch.zeros((), device=device)
    while True:
        keep_going()
        now = time.monotonic()
        if limit_seconds is None:
            progress = session.step / recipe.training.steps
        else:
            progress = (done_before + now - begin) / limit_seconds
        if progress >= 1:
            break
        lr = recipe.optimizer.lr * lr_factor(recipe.schedule, progress)
        set_lr(session.optimizer, lr)
        loss = step_loss(session, data, next(batches))
        session.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if recipe.optimizer.clip_norm and isinstance(model, Stack):
            model.clip_gradients(recipe.optimizer.clip_norm)
        elif recipe.optimizer.clip_norm:
            nn.utils.clip_grad_norm_(model.parameters(), recipe.optimizer.clip_norm)
        session.optimizer.step()
        session.step += 1
        session.warmup_steps += progress < recipe.schedule.warmup
        session.stable_steps += progress < cooldown_start(recipe.schedule)
        pending += loss.detach() / members
        count += 1
        if session.averaged is not None:
            update_average(session)
        finished = limit_seconds is None and session.step >= recipe.training.steps
        look = session.step in wanted or finished or time.monotonic() - last_look > look_seconds
        if look or session.step % CHECK_EVERY == 0:
            value = float(pending)
            if not math.isfinite(value):
                raise Diverged(f"the loss was not finite after {session.step} steps (lr {lr:.2g})")
            total += value
            pending.zero_()
        session.seconds = done_before + time.monotonic() - begin - (paused if limit_seconds is None else 0.0)
        if look:
            before = time.monotonic()
            yield Look(session.step, session.seconds, progress, lr, total / count, session)
            model.train()
            last_look = time.monotonic()
            paused += last_look - before
            total, count = 0.0, 0
        if finished:
            return
    total += float(pending)
    if not math.isfinite(total):
        raise Diverged(f"the loss was not finite after {session.step} steps")
    yield Look(session.step, session.seconds, 1.0, 0.0, total / max(1, count), session)


@torch.no_grad()
def update_average(session: Session) -> None:
    """Move the averaged weights towards the current ones; the window grows with the steps.

    The window is a share of the steps so far, so early and late readings are alike (Karras et al. 2024,
    "Analyzing and Improving the Training Dynamics of Diffusion Models", section 3.1).
    """
    assert session.averaged is not None
    weight = average_weight(session.recipe.regularization.averaging, session.step)
    if weight:
        torch._foreach_lerp_(*session.pairs, weight)


def average_weight(share: float, step: int) -> float:
    """How far averaged weights move towards the current ones after a step; 0: this step is passed over.

    Where the window is long, every fourth step moves them four times as far.
    """
    every = 1 if share * step < 2 * AVERAGE_EVERY else AVERAGE_EVERY
    return 0.0 if step % every else min(1.0, every / max(1.0, share * step))
