"""Recipes of one network shape that train as one program.

Shapes: K members, B batch, O outputs.  A member's result is that of its recipe trained alone, up to rounding and
the order in which dropout draws its numbers.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from autorecipe.data.batches import batch_rows, gather, mixup_share, to_device
from autorecipe.networks import build
from autorecipe.recipe import Recipe, RegularizationSection, get, replace
from autorecipe.training.evaluate import DeviceData
from autorecipe.training.hardware import Hardware, autocast, to_layout
from autorecipe.training.loop import CHECK_EVERY, average_weight, make_batch, memory_errors
from autorecipe.training.losses import class_weights, member_losses
from autorecipe.training.optimizers import MemberOptimizer
from autorecipe.training.schedules import lr_factor
from autorecipe.training.stack import Stack, said_stackable
from autorecipe.training.stack_layers import NotStackable

OWN = (
    "network.embedding_scale",
    "optimizer.lr",
    "optimizer.weight_decay",
    "optimizer.clip_norm",
    "training.seed",
    "regularization.dropout",
    "regularization.label_smoothing",
    "regularization.mixup",
    "regularization.crop",
    "regularization.flip",
    "regularization.erase",
    "regularization.averaging",
)
"""Fields in which members may differ."""
TRUST_EXAMPLES = 4
"""On which a stack is held against its networks, where a user's module says that it can be stacked."""


def cohort_key(recipe: Recipe) -> str:
    """What the members of a cohort have in common; recipes with the same key can train together."""
    return replace(recipe, {name: type(value)(0) for name, value in _own_values(recipe).items()}).digest


def _own_values(recipe: Recipe) -> dict[str, float]:
    return {name: get(recipe, name) for name in OWN}


@dataclass
class Cohort:
    """A cohort in training."""

    recipes: list[Recipe]
    """Of the members that are left."""
    numbers: list[int]
    """Their places among those that began."""
    rows: list[Tensor]
    """Rows to train on, int64 on the device."""
    stack: Stack
    averaged: Stack | None
    """The same networks with averaged weights, or None if no member has them."""
    optimizer: MemberOptimizer
    weights: Tensor | None
    """Weights of the classes in the loss, or None if they are off."""
    order_seed: int | None = None
    """Seed of order and augmentation for all members; None: each has its own."""
    step: int = 0
    seconds: float = 0.0
    left: dict[int, tuple[int, str]] = field(default_factory=dict)
    """The step at which members diverged and why, by their places."""

    @property
    def readable(self) -> Stack:
        """The weights to score."""
        return self.averaged if self.averaged is not None else self.stack

    def member(self, number: int) -> nn.Module:
        """The readable network of a member as a plain module."""
        return self.readable.member(self.numbers.index(number))

    def keep(self, numbers: Sequence[int]) -> None:
        """Go on with these members only; the others' compute is free at once."""
        at = [self.numbers.index(number) for number in numbers]
        if len(at) == len(self.numbers):
            return
        self.recipes = [self.recipes[k] for k in at]
        self.rows = [self.rows[k] for k in at]
        self.numbers = list(numbers)
        if not at:
            return
        self.stack.keep(at)
        if self.averaged is not None:
            self.averaged.keep(at)
        device = self.stack.matrix.device
        self.optimizer.keep(torch.tensor(at, device=device), self.stack.matrix)


@dataclass(frozen=True)
class CohortLook:
    """The state handed to the caller at one step."""

    step: int
    seconds: float
    progress: float
    lrs: tuple[float, ...]
    train_losses: tuple[float, ...]
    """Mean training losses since the look before, of the members that are left."""
    cohort: Cohort


@memory_errors()
def start_cohort(
    recipes: Sequence[Recipe],
    data: DeviceData,
    rows: Sequence[Tensor],
    hardware: Hardware,
    order_seed: int | None = None,
) -> Cohort:
    """Build the networks of recipes that share a key, stacked, on the device.

    Args:
        recipes: one a member.
        data: tensors on the device.
        rows: of each member, the examples to train on; as many batches' worth for all.
        hardware: the device.
        order_seed: seed of order and augmentation for all members, whatever their own: a race on the same batches.

    Raises:
        NotStackable: a layer of the network has no stacked form.
        OutOfMemory: the device's memory does not hold so many.
        ValueError: the recipes differ in more than members may.
    """
    if len({cohort_key(recipe) for recipe in recipes}) != 1:
        raise ValueError("the recipes of a cohort differ in more than its members may")

    built = [build(r.network, r.regularization, data.info, r.training.seed) for r in recipes]
    models = [model.to(hardware.device) for model in built]
    stack = Stack(models)
    if (name := said_stackable(models[0])) is not None:
        few = rows[0][:TRUST_EXAMPLES]
        _hold_against(stack, models, tuple(x[few.to(x.device)].to(hardware.device) for x in data.inputs), name)
    averaged = _frozen(models) if any(r.regularization.averaging for r in recipes) else None
    optimizer = MemberOptimizer([r.optimizer for r in recipes], stack.matrix, stack.num_decayed)
    at = "cpu" if data.streamed else hardware.device
    moved = {id(r): r.to(at) for r in rows}  # the same rows stay the same: their batches are made once
    weights = class_weights(data.info, recipes[0].regularization.class_weights)
    return Cohort(
        list(recipes),
        list(range(len(recipes))),
        [moved[id(r)] for r in rows],
        stack,
        averaged,
        optimizer,
        None if weights is None else weights.to(hardware.device),
        order_seed,
    )


@torch.no_grad()
def _hold_against(stack: Stack, models: Sequence[nn.Module], inputs: tuple[Tensor, ...], name: str) -> None:
    """Raise NotStackable where the stack gives other outputs than its networks."""
    for part in (stack, *models):
        part.eval()
    try:
        together = stack(*inputs)
    except (RuntimeError, IndexError, ValueError, TypeError) as error:
        raise NotStackable(f"{name} says `stackable = True`, but fails on several networks' inputs: {error}") from error
    alone = torch.stack([model(*inputs) for model in models], 1)
    if together.shape != alone.shape or not torch.allclose(together, alone, rtol=1e-2, atol=1e-3):
        raise NotStackable(f"{name} says `stackable = True`, but gives other outputs stacked than alone")
    for part in (stack, *models):
        part.train()


def _frozen(models: Sequence[nn.Module]) -> Stack:
    stack = Stack([model.requires_grad_(True) for model in models])
    stack.requires_grad_(False)
    return stack


def train_cohort(
    cohort: Cohort,
    data: DeviceData,
    *,
    looks: Sequence[int] = (),
    factors: Sequence[float] | None = None,
    keep_going: Callable[[], object] = lambda: None,
) -> Iterator[CohortLook]:
    """Train a cohort to its recipes' end, handing over at each look and after the last step.

    The caller may let members go (`Cohort.keep`) at a look.  A member whose loss is not finite is let go, and why is
    in `Cohort.left`; when none is left the training ends without a last look.

    Args:
        cohort: where to begin.
        data: tensors on the device.
        looks: steps after which to hand over.
        factors: on the peak learning rates at each step; None: the recipes' schedule.
        keep_going: called before each step; raises to stop.

    Raises:
        OutOfMemory: the device's memory is used up.
    """
    wanted, steps = set(looks), cohort.recipes[0].training.steps
    torch.manual_seed(cohort.recipes[0].training.seed + 1_000_003 * (cohort.step + 1))  # for dropout
    while cohort.numbers and cohort.step < steps:
        # Members that leave change the shapes of all that is set up here.
        with memory_errors():
            yield from _stretch(cohort, data, wanted, factors, keep_going)


def _stretch(
    cohort: Cohort,
    data: DeviceData,
    wanted: set[int],
    factors: Sequence[float] | None,
    keep_going: Callable[[], object],
) -> Iterator[CohortLook]:
    """Train until a member leaves, or to the end."""
    first, members = cohort.recipes[0], list(cohort.numbers)
    device, steps = data.targets.device, first.training.steps
    peaks = torch.tensor([[r.optimizer.lr] for r in cohort.recipes], device=device)
    averaging = _Averaging(cohort)
    feed = _Feed(cohort, data)
    seeds = [recipe.training.seed for recipe in cohort.recipes]
    cohort.stack.set_streams([sorted(set(seeds)).index(seed) for seed in seeds])
    pending = torch.zeros(len(members), device=device)
    total, count = torch.zeros(len(members)), 0
    begin, before = time.monotonic(), cohort.seconds
    cohort.stack.train()
    while cohort.step < steps:
        keep_going()
        factor = factors[cohort.step] if factors else lr_factor(first.schedule, cohort.step / steps)
        losses = _losses(cohort, data, feed, next(feed.batches))
        gradients = torch.autograd.grad(losses.sum(), cohort.stack.ordered, materialize_grads=True)
        cohort.optimizer.step(gradients, peaks * factor)
        cohort.step += 1
        pending += losses.detach()
        count += 1
        averaging.update(cohort.step)
        finished = cohort.step >= steps
        look = cohort.step in wanted or finished
        if not look and cohort.step % CHECK_EVERY:
            continue
        total += pending.cpu()
        pending.zero_()
        cohort.seconds = before + time.monotonic() - begin
        healthy = [number for number, value in zip(members, total.isfinite().tolist(), strict=True) if value]
        for number in set(members) - set(healthy):
            lr = cohort.recipes[members.index(number)].optimizer.lr
            reason = f"the loss was not finite after {cohort.step} steps (lr {lr * factor:.2g})"
            cohort.left[number] = (cohort.step, reason)
        if len(healthy) < len(members):
            means = [float(total[k]) / count for k, number in enumerate(members) if number in healthy]
            cohort.keep(healthy)
        else:
            means = (total / count).tolist()
        if look and healthy:
            lrs = tuple(recipe.optimizer.lr * factor for recipe in cohort.recipes)
            yield CohortLook(cohort.step, cohort.seconds, cohort.step / steps, lrs, tuple(means), cohort)
            cohort.stack.train()
            begin, before = time.monotonic(), cohort.seconds
            total, count = torch.zeros(len(members)), 0
        if cohort.numbers != members:
            return


class _Averaging:
    """Averaged weights of a cohort; see `loop.update_average`."""

    def __init__(self, cohort: Cohort) -> None:
        self.matrices: list[Tensor] = []
        if cohort.averaged is not None:
            self.matrices = [cohort.averaged.matrix, cohort.stack.matrix]
            self.buffers = (cohort.averaged.buffers_of_members(), cohort.stack.buffers_of_members())
            shares = [r.regularization.averaging for r in cohort.recipes]
            self.shares = shares
            self.share = shares[0] if len(set(shares)) == 1 else None
            """Of all members."""

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the averages towards the current values."""
        if not self.matrices:
            return
        average, current = self.matrices
        if self.share is not None:
            weight = average_weight(self.share, step)
            if not weight:
                return
            average.lerp_(current, weight)
            if self.buffers[0]:
                torch._foreach_lerp_(*self.buffers, weight)
            return
        found = [average_weight(share, step) for share in self.shares]
        if not any(found):
            return
        weights = to_device(torch.tensor(found), average.device)
        average.lerp_(current, weights[:, None])
        for kept, now in zip(*self.buffers, strict=True):
            kept.lerp_(now, weights.view(-1, *(1,) * (now.ndim - 1)))


class _Feed:
    """Batches of a cohort: each distinct view of the data is made once.

    A view is an order of the examples and an augmentation, with the random numbers that the recipe has alone.
    """

    def __init__(self, cohort: Cohort, data: DeviceData) -> None:
        self.data = data
        orders: dict[tuple[int, int, int, tuple[int, ...]], int] = {}
        views: dict[tuple[int, int, bool, float], int] = {}
        self.order_of, self.view_of = [], []
        iterators: list[Iterator[Tensor]] = []
        self.sources: list[tuple[int, int, RegularizationSection]] = []
        """Order, seed and augmentation of each view."""
        for recipe, rows in zip(cohort.recipes, cohort.rows, strict=True):
            seed = recipe.training.seed if cohort.order_seed is None else cohort.order_seed
            section = recipe.regularization
            order = orders.setdefault((seed, rows.data_ptr(), len(rows), rows.stride()), len(orders))
            if order == len(iterators):
                iterators.append(batch_rows(rows, recipe.training.batch_size, seed, cohort.step))
            image = data.info.modality == "image"
            looks = (section.crop, section.flip, section.erase) if image else (0, False, 0.0)
            view = views.setdefault((order, *looks), len(views))
            if view == len(self.sources):
                self.sources.append((order, seed, recipe.regularization))
            self.order_of.append(order)
            self.view_of.append(view)
        self.batches = zip(*iterators, strict=False)
        self.mixup = [r.regularization.mixup if data.info.modality == "image" else 0.0 for r in cohort.recipes]
        # On the device from here on: a step that brought a number there would wait for it.
        device = data.targets.device
        smoothing = [r.regularization.label_smoothing for r in cohort.recipes]
        self.smoothing = torch.tensor(smoothing, device=device) if any(smoothing) else None
        self.order_of_member = torch.tensor(self.order_of, device=device)

    def inputs(self, rows: tuple[Tensor, ...], step: int) -> tuple[tuple[Tensor, ...], Tensor, Tensor | None]:
        """Inputs of one step as `Stack` takes them, targets [B] or [K, B], and mixup's shares [K] or None."""
        data = self.data
        of_all = to_device(rows[0], data.targets.device) if len(rows) == 1 else self._rows_of_members(rows)
        targets = data.targets[of_all]
        if data.info.modality != "image" and not data.streamed and len(rows) > 1:
            return gather(data.inputs, of_all), targets, None
        made = [make_batch(data, rows[order], section, seed, step) for order, seed, section in self.sources]
        shares = self._shares(step)
        if len(made) == 1 and shares is None:
            return made[0], targets, None
        if data.info.modality != "image":
            return tuple(torch.stack([made[v][i] for v in self.view_of]) for i in range(2)), targets, None
        if shares is None:
            return (torch.stack([made[v][0] for v in self.view_of], 1),), targets, None
        images = torch.stack([made[v][0].float() for v in self.view_of], 1)
        share = shares[:, None, None, None]
        return (images * share + images.flip(0) * (1 - share),), targets, shares

    def _rows_of_members(self, rows: tuple[Tensor, ...]) -> Tensor:
        """Rows of each member's batch, [K, B]."""
        return to_device(torch.stack(rows), self.data.targets.device).index_select(0, self.order_of_member)

    def _shares(self, step: int) -> Tensor | None:
        """Mixup's share of the first image for each member, drawn as a recipe alone draws it."""
        if not any(self.mixup):
            return None
        seeds = [self.sources[view][1] for view in self.view_of]
        drawn = [
            mixup_share(alpha, seed, step) if alpha else 1.0 for alpha, seed in zip(self.mixup, seeds, strict=True)
        ]
        return to_device(torch.tensor(drawn), self.data.targets.device)


def _losses(cohort: Cohort, data: DeviceData, feed: _Feed, rows: tuple[Tensor, ...]) -> Tensor:
    """Forward pass of one step: each member's mean training loss [K], regularization included."""
    training = cohort.recipes[0].training
    inputs, targets, shares = feed.inputs(rows, cohort.step)
    inputs = tuple(_laid_out(x, training.channels_last) for x in inputs)
    with autocast(data.targets.device, training.precision):
        outputs = cohort.stack.outputs(*inputs)
        first = member_losses(outputs, targets, data.info, feed.smoothing, cohort.weights)
        if shares is None:
            return first
        # Mixup (Zhang et al. 2018): the loss is mixed as the images are.
        of_batch = targets.ndim - (2 if data.info.task == "multilabel" else 1)
        second = member_losses(outputs, targets.flip(of_batch), data.info, feed.smoothing, cohort.weights)
        return shares * first + (1 - shares) * second


def _laid_out(x: Tensor, channels_last: bool) -> Tensor:
    """Images in the recipes' memory layout, also those of each member."""
    if x.ndim != 5:
        return to_layout(x, channels_last)
    return torch.unflatten(to_layout(x.flatten(1, 2), channels_last), 1, x.shape[1:3])
