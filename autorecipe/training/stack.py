"""Networks of one shape side by side: K ordinary modules in, one module out that runs them all.

A small network leaves the machine idle: a step is the time to call its operations, not to compute them.  Stacked,
K networks share the calls.  What members are made of stays as it is: a member is taken out again as a plain module.

Shapes: K members, B batch, F features, C channels, H height, W width, O outputs.
- vectors are [K, B, F], a batched matrix product's own layout;
- maps are [B, K*C, H, W], as a grouped convolution has them;
- images that come in are [B, K, C, H, W].
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from autorecipe.training.stack_layers import CONTAINERS, MemberDropout, NotStackable, OfMembers, Stacked, stacked


class Stack(nn.Module):
    """K networks of one shape as one module, over one matrix of parameters.

    Args:
        models: networks that differ in their values only; they are copied.

    Raises:
        NotStackable: a module among them has no stacked form, or they differ in more than values.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        if any(not p.requires_grad for m in models for p in m.parameters()):
            raise NotStackable("some of its parameters are frozen")
        if len(list(models[0].parameters())) < len(list(models[0].named_parameters(remove_duplicate=False))):
            raise NotStackable("some of its layers share their parameters")
        self.template = [copy.deepcopy(models[0])]  # in a list: it is no part of this module
        self.body = stacked(list(models))
        self.members = len(models)
        self.decays = decayed_names(self.template[0])
        """Whether weight decay acts on a parameter of a member, by name."""
        named = sorted(self.body.named_parameters(), key=lambda pair: not self.decays[pair[0]])
        self.ordered = [p for _, p in named]
        """Parameters in the order of the matrix: those on which weight decay acts come first."""
        self.num_decayed = sum(p[0].numel() for name, p in named if self.decays[name])
        self.matrix = torch.cat([p.detach().reshape(self.members, -1) for p in self.ordered], 1)
        """Parameters [K, P]: the module's are views of it."""
        self._share_matrix()

    def _share_matrix(self) -> None:
        parts = torch.split(self.matrix, [p[0].numel() for p in self.ordered], 1)
        for p, part in zip(self.ordered, parts, strict=True):
            p.data = part.view(self.members, *p.shape[1:])

    def part(self) -> "Stack":
        """Give each parameter memory of its own, as torch's fused optimizers want it; `keep` no longer works then."""
        for p in self.ordered:
            p.data = p.data.contiguous()
        self.matrix = self.matrix[:, :0]
        return self

    def clip_gradients(self, most: float) -> None:
        """Scale the gradients of each member to a norm of at most `most`, as they would be alone."""
        gradients = [p.grad for p in self.ordered if p.grad is not None]
        of_each = [g.reshape(self.members, -1).norm(dim=1) for g in gradients]
        scale = (most / (torch.stack(of_each).norm(dim=0) + 1e-6)).clamp_max(1.0)
        for g in gradients:
            g.mul_(scale.view(-1, *(1,) * (g.ndim - 1)))

    def keep(self, positions: Sequence[int]) -> None:
        """Go on with the members at these positions only."""
        self.members = len(positions)
        at = torch.tensor(positions, device=self.matrix.device)
        self.matrix = self.matrix[at]
        self._share_matrix()
        for module in self.body.modules():
            if isinstance(module, OfMembers):
                module.keep(positions)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Outputs [B, K, O] of inputs that all members share ([B, C, H, W]; or [B, F] and [B, columns]) or
        not ([B, K, C, H, W]; or [K, B, F] and [K, B, columns])."""
        return self.outputs(*inputs).transpose(0, 1)

    def outputs(self, *inputs: Tensor) -> Tensor:
        """The same as [K, B, O], as it lies in memory."""
        found: Tensor = self.body(*(self._of_members(x) for x in inputs))
        return found

    def _of_members(self, x: Tensor) -> Tensor:
        if x.ndim == 4:
            return x[:, None].expand(-1, self.members, -1, -1, -1)
        return x.expand(self.members, -1, -1) if x.ndim == 2 else x

    def member(self, k: int) -> nn.Module:
        """Network `k` as the plain module that it was, with the values that it has now."""
        model = copy.deepcopy(self.template[0])
        state = {name: value[k] for name, value in self.body.state_dict().items()}
        model.load_state_dict({name: state.get(name, value) for name, value in model.state_dict().items()})
        for name, module in self.body.named_modules():
            if isinstance(module, MemberDropout):
                plain = model.get_submodule(name)
                assert isinstance(plain, nn.Dropout)
                plain.p = module.rates[k]
        return model.train(self.training)

    def set_streams(self, streams: Sequence[int]) -> None:
        """Which members drop the same features: those with the same number, from 0."""
        for module in self.body.modules():
            if isinstance(module, MemberDropout):
                module.set_streams(streams)

    def buffers_of_members(self) -> list[Tensor]:
        """Floating-point buffers that differ between members, [K, ...] each."""
        return [b for module in self.body.modules() if isinstance(module, Stacked) for b in module.own_buffers()]


def why_not(models: Sequence[nn.Module]) -> str | None:
    """Why these networks cannot be stacked; None if they can."""
    try:
        Stack(models)
    except NotStackable as error:
        return str(error)
    return None


def said_stackable(model: nn.Module) -> str | None:
    """The class of a user's module that is stacked because it says that it can be; None: there is none."""
    said = (type(m) for m in model.modules() if getattr(m, "stackable", False) and type(m) not in CONTAINERS)
    return next((kind.__name__ for kind in said), None)


def decayed_names(model: nn.Module) -> dict[str, bool]:
    """Whether weight decay acts on a parameter, by name: on matrices and kernels, not on embeddings."""
    embedded = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    return {name: p.ndim >= 2 and id(p) not in embedded for name, p in model.named_parameters()}
