"""Networks of one shape side by side: K ordinary modules in, one module out that runs them all.

A small network leaves the machine idle: a step is the time to call its operations, not to compute them.  Stacked,
K networks share the calls.  What members are made of stays as it is: a member is taken out again as a plain module.

Shapes: K members, B batch, F features, C channels, H height, W width, O outputs.
- vectors are [K, B, F], a batched matrix product's own layout;
- maps are [B, K*C, H, W], as a grouped convolution has them;
- images that come in are [B, K, C, H, W].
An input that all members share is expanded: its stride over the members is 0, and layers look for that, since one
product with all members' weights is faster than K products.
"""

import copy
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from autorecipe.networks import layers
from autorecipe.networks.linear import LinearTable
from autorecipe.networks.mlp import MLP
from autorecipe.networks.resnet import ResNet


class NotStackable(Exception):
    """A module that has no stacked form; its text says which, and why."""


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
            if isinstance(module, MemberDropout):
                module.set_rates([module.rates[k] for k in positions])
            elif isinstance(module, (_Stacked, _Flatten, _TableInput)):
                module.members = self.members
            if isinstance(module, _Stacked):
                for name, buffer in list(module.named_buffers(recurse=False)):
                    setattr(module, name, buffer[at])

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
        return [b for module in self.body.modules() if isinstance(module, _Stacked) for b in module.own_buffers()]


def why_not(models: Sequence[nn.Module]) -> str | None:
    """Why these networks cannot be stacked; None if they can."""
    try:
        Stack(models)
    except NotStackable as error:
        return str(error)
    return None


def stacked(models: list[nn.Module]) -> nn.Module:
    """The stacked form of K modules: of a known layer its own, of a container a copy with stacked children.

    Raises:
        NotStackable: there is none.
    """
    first = models[0]
    if any(type(m) is not type(first) for m in models):
        raise NotStackable("the networks are not of one shape")
    kind = type(first)
    if kind in LAYERS:
        return LAYERS[kind](models)
    if kind.__module__ == "rtdl_num_embeddings" and kind.__name__ in EMBEDDINGS:
        return EMBEDDINGS[kind.__name__](models)
    if kind in VALUELESS:
        return first
    if kind in PER_CHANNEL:
        return _PerChannel(first)
    if kind in CONTAINERS or getattr(first, "stackable", False):
        return _container(models)
    raise NotStackable(
        f"{kind.__module__}.{kind.__name__} has no stacked form; a module whose `forward` only calls its layers, adds "
        f"and applies functions to each value may say so with a class attribute `stackable = True`"
    )


def _container(models: list[nn.Module]) -> nn.Module:
    first = models[0]
    if next(first.parameters(recurse=False), None) is not None or next(first.buffers(recurse=False), None) is not None:
        raise NotStackable(f"{type(first).__name__} has parameters of its own beside its layers'")
    if any(list(m._modules) != list(first._modules) for m in models):
        raise NotStackable("the networks are not of one shape")
    shell = copy.copy(first)
    shell.__dict__ = first.__dict__.copy()
    shell._modules = {}
    for name, child in first._modules.items():
        shell._modules[name] = None if child is None else stacked([m._modules[name] for m in models])  # type: ignore[misc]
    return shell


def decayed_names(model: nn.Module) -> dict[str, bool]:
    """Whether weight decay acts on a parameter, by name: on matrices and kernels, not on embeddings."""
    embedded = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    return {name: p.ndim >= 2 and id(p) not in embedded for name, p in model.named_parameters()}


def _values(models: Sequence[nn.Module], name: str) -> Tensor:
    """One tensor of all members, [K, ...]."""
    values = [getattr(m, name) for m in models]
    if any(v.shape != values[0].shape for v in values):
        raise NotStackable("the networks are not of one shape")
    return torch.stack([v.detach() for v in values])


def _same(models: Sequence[nn.Module], *names: str) -> None:
    for name in names:
        if any(getattr(m, name) != getattr(models[0], name) for m in models):
            raise NotStackable(f"layers of the networks differ in `{name}`")


def _shared(x: Tensor, dim: int) -> bool:
    """Whether all members have the same input."""
    return x.stride(dim) == 0 or x.shape[dim] == 1


def packed(x: Tensor) -> Tensor:
    """Images [B, K, C, H, W] as maps [B, K*C, H, W]; maps as they are."""
    return x.flatten(1, 2) if x.ndim == 5 else x


class _Stacked(nn.Module):
    """A layer of K members: its parameters and buffers have the plain layer's names, and a dimension K in front."""

    def __init__(self, models: Sequence[nn.Module], parameters: Sequence[str]) -> None:
        super().__init__()
        self.members = len(models)
        for name in parameters:
            given = getattr(models[0], name) is not None
            self.register_parameter(name, nn.Parameter(_values(models, name)) if given else None)

    def own_buffers(self) -> list[Tensor]:
        """Floating-point buffers [K, ...]."""
        return []


class _Linear(_Stacked):
    weight: Tensor
    bias: Tensor | None

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__(models, ("weight", "bias"))

    def forward(self, x_KBF: Tensor) -> Tensor:
        if x_KBF.ndim == 4:  # features of each number: [K, B, N, F]
            out: Tensor = self(x_KBF.flatten(1, 2))
            return torch.unflatten(out, 1, x_KBF.shape[1:3])
        if self.bias is None:
            return torch.bmm(x_KBF, self.weight.transpose(1, 2))
        return torch.baddbmm(self.bias[:, None], x_KBF, self.weight.transpose(1, 2))


class _Conv2d(_Stacked):
    weight: Tensor
    bias: Tensor | None

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__(models, ("weight", "bias"))
        _same(models, "stride", "padding", "dilation", "groups", "padding_mode")
        first = models[0]
        assert isinstance(first, nn.Conv2d)
        if first.padding_mode != "zeros":
            raise NotStackable(f"a convolution with padding_mode '{first.padding_mode}' has no stacked form")
        self.stride, self.padding, self.dilation = first.stride, first.padding, first.dilation
        self.groups = first.groups

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.reshape(-1)
        weight = self.weight.flatten(0, 1)
        groups = self.groups * self.members
        if x.ndim == 5 and _shared(x, 1) and self.groups == 1:
            x, groups = x[:, 0], 1
        return F.conv2d(packed(x), weight, bias, self.stride, self.padding, self.dilation, groups)


class _Norm(_Stacked):
    """Batch normalisation of maps [B, K*C, H, W] or of vectors [K, B, F]."""

    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__(models, ("weight", "bias"))
        _same(models, "eps", "momentum")
        first = models[0]
        assert isinstance(first, _BatchNorm)
        if first.momentum is None:
            raise NotStackable("batch normalisation with a cumulative average has no stacked form")
        self.eps, self.momentum = first.eps, first.momentum
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            given = getattr(first, name) is not None
            self.register_buffer(name, _values(models, name) if given else None)

    def own_buffers(self) -> list[Tensor]:
        return [b for b in (self.running_mean, self.running_var) if b is not None]

    def forward(self, x: Tensor) -> Tensor:
        vectors = x.ndim == 3
        maps = x.transpose(0, 1).flatten(1, 2) if vectors else packed(x)
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked += 1
        mean, var = (None if b is None else b.view(-1) for b in (self.running_mean, self.running_var))
        weight, bias = (None if p is None else p.reshape(-1) for p in (self.weight, self.bias))
        out = F.batch_norm(
            maps,
            mean,
            var,
            weight,
            bias,
            self.training or self.running_mean is None,
            self.momentum,
            self.eps,
        )
        return torch.unflatten(out, 1, (self.members, -1)).transpose(0, 1) if vectors else out


class _LayerNorm(_Stacked):
    weight: Tensor | None
    bias: Tensor | None

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__(models, ("weight", "bias"))
        _same(models, "normalized_shape", "eps")
        first = models[0]
        assert isinstance(first, nn.LayerNorm)
        if len(first.normalized_shape) > 1:
            raise NotStackable("layer normalisation over more than the features has no stacked form")
        self.shape, self.eps = first.normalized_shape, first.eps

    def forward(self, x_KBF: Tensor) -> Tensor:
        out = F.layer_norm(x_KBF, self.shape, eps=self.eps)
        if self.weight is None:
            return out
        if self.bias is None:
            return out * self.weight[:, None]
        return torch.addcmul(self.bias[:, None], out, self.weight[:, None])


class _Embedding(_Stacked):
    weight: Tensor

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__(models, ("weight",))
        _same(models, "padding_idx", "max_norm", "sparse", "scale_grad_by_freq")
        first = models[0]
        assert isinstance(first, nn.Embedding)
        if first.padding_idx is not None or first.max_norm is not None or first.sparse or first.scale_grad_by_freq:
            raise NotStackable("an embedding with padding_idx, max_norm, sparse or scale_grad_by_freq")

    def forward(self, codes_KB: Tensor) -> Tensor:
        if _shared(codes_KB, 0):
            return self.weight.index_select(1, codes_KB[0])
        rows = codes_KB + self.weight.shape[1] * torch.arange(self.members, device=codes_KB.device)[:, None]
        return F.embedding(rows, self.weight.flatten(0, 1))


class MemberDropout(nn.Module):
    """Dropout at a rate for each member; see `layers.Dropout`.

    Members of one stream have the same random numbers, which makes their comparison fairer and is a K-th of the work:
    a table says what each member does with each of the 256 bytes.
    """

    def __init__(self, rates: Sequence[float]) -> None:
        super().__init__()
        self.set_rates(rates)

    def set_rates(self, rates: Sequence[float]) -> None:
        """Take these rates, one a member."""
        self.rates = list(rates)
        counts = [layers.dropped_bytes(rate) for rate in (rates if len(set(rates)) > 1 else rates[:1])]
        self.factors = torch.tensor([[0.0] * n + [256 / (256 - n)] * (256 - n) for n in counts])
        """[K, 256]: factor of a feature by its byte; [1, 256] if all members have one rate."""
        self.set_streams([0] * len(self.rates))

    def set_streams(self, streams: Sequence[int]) -> None:
        """Take these random numbers, one a member, counted from 0."""
        self.num_streams = max(streams) + 1
        self.streams = torch.tensor(streams)

    def forward(self, x: Tensor) -> Tensor:
        """Zero features at each member's rate and scale the others, in training mode."""
        if not self.training or not any(self.rates):
            return x
        members, streams = len(self.rates), self.num_streams
        maps = x.ndim >= 4  # [B, K*C, H, W] or [B, K, C, H, W], else [K, B, F]
        one = torch.unflatten(x, 1, (members, -1))[:, 0] if x.ndim == 4 else x[:, 0] if maps else x[0]
        shape = torch.Size((streams, *one.shape))
        if x.device.type == "cpu":
            drawn = layers.random_bytes(shape)
        else:
            drawn = torch.randint(0, 256, shape, dtype=torch.uint8, device=x.device)
            self.factors, self.streams = self.factors.to(x.device), self.streams.to(x.device)
        table = self.factors.to(x.dtype)
        if streams == 1:
            factors = table.index_select(1, drawn.flatten().int())
        else:
            factors = table.expand(members, -1).gather(1, drawn.flatten(1).index_select(0, self.streams).long())
        factors = torch.unflatten(factors, 1, one.shape)
        if maps:
            factors = factors.expand(members, *one.shape).transpose(0, 1).reshape(x.shape)
        return x * factors


class _Flatten(nn.Module):
    """Images or maps to vectors [K, B, F]; vectors as they are."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        first = models[0]
        assert isinstance(first, nn.Flatten)
        if (first.start_dim, first.end_dim) != (1, -1):
            raise NotStackable("flattening of other dimensions than all but the batch")
        self.members = len(models)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 3:
            return x
        if x.ndim == 5 and _shared(x, 1):
            return x[:, 0].flatten(1).expand(self.members, -1, -1)
        return torch.unflatten(x.flatten(1), 1, (self.members, -1)).transpose(0, 1)


class _PerChannel(nn.Module):
    """A layer without values that treats each channel alone."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(packed(x))
        return out


class _PixelScale(nn.Module):
    """One scale for all members: they see the same data set."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        first = models[0]
        assert isinstance(first, layers.PixelScale)
        self.scale = [copy.deepcopy(first)]  # in a list: it has no values of members

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "_PixelScale":
        self.scale[0]._apply(fn)  # type: ignore[no-untyped-call]
        return super()._apply(fn, recurse)  # type: ignore[no-any-return,no-untyped-call]

    def forward(self, x_BKCHW: Tensor) -> Tensor:
        scale = self.scale[0]
        if _shared(x_BKCHW, 1):
            out: Tensor = scale(x_BKCHW[:, 0])
            return out[:, None].expand(-1, x_BKCHW.shape[1], -1, -1, -1)
        return scale(x_BKCHW)  # type: ignore[no-any-return]


class _TableInput(nn.Module):
    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        self.numbers = stacked([m.numbers for m in models])  # type: ignore[misc]
        self.categories = stacked([m.categories for m in models])  # type: ignore[misc]
        self.members = len(models)

    def forward(self, numbers_KBF: Tensor, codes_KBC: Tensor) -> Tensor:
        parts = []
        if numbers_KBF.shape[2]:
            parts.append(self.numbers(numbers_KBF).flatten(2))
        assert isinstance(self.categories, nn.ModuleList)
        parts += [embed(codes_KBC[..., k]) for k, embed in enumerate(self.categories)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 2)


class _LinearEmbeddings(_Stacked):
    weight: Tensor
    bias: Tensor

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__(models, ("weight", "bias"))

    def forward(self, x_KBF: Tensor) -> Tensor:
        return torch.addcmul(self.bias[:, None], self.weight[:, None], x_KBF[..., None])


class _Frequencies(_Stacked):
    weight: Tensor

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__(models, ("weight",))

    def forward(self, x_KBF: Tensor) -> Tensor:
        angles = 2 * math.pi * self.weight[:, None] * x_KBF[..., None]
        return torch.cat([angles.cos(), angles.sin()], -1)


class _LinearOfEach(_Stacked):
    """A linear map of its own for each number: [K, B, N, F] to [K, B, N, D]."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__(models, ("weight", "bias"))

    def forward(self, x_KBNF: Tensor) -> Tensor:
        if _shared(x_KBNF, 0):  # all members' maps in one product a number
            weight_NFKD = self.weight.permute(1, 2, 0, 3)
            out = torch.bmm(x_KBNF[0].transpose(0, 1), weight_NFKD.flatten(2))
            out = torch.unflatten(out, 2, (self.members, -1)).permute(2, 1, 0, 3)
        else:
            out = torch.matmul(x_KBNF.transpose(1, 2), self.weight).transpose(1, 2)
        return out if self.bias is None else out + self.bias[:, None]


class _Bins(nn.Module):
    """Piecewise-linear encoding: its bins are the data set's, so all members have the same."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        self.bins = [copy.deepcopy(models[0])]  # in a list: it has no values of members

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "_Bins":
        self.bins[0]._apply(fn)  # type: ignore[no-untyped-call]
        return super()._apply(fn, recurse)  # type: ignore[no-any-return,no-untyped-call]

    def forward(self, x_KBF: Tensor) -> Tensor:
        bins = self.bins[0]
        if _shared(x_KBF, 0):
            out: Tensor = bins(x_KBF[0])
            return out.expand(len(x_KBF), -1, -1, -1)
        out = bins(x_KBF.flatten(0, 1))
        return torch.unflatten(out, 0, x_KBF.shape[:2])


class _Piecewise(nn.Module):
    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        first = models[0]
        self.linear0 = None if first.linear0 is None else stacked([m.linear0 for m in models])  # type: ignore[misc]
        self.impl = stacked([m.impl for m in models])  # type: ignore[misc]
        self.linear = stacked([m.linear for m in models])  # type: ignore[misc]
        self.activation = first.activation

    def forward(self, x_KBF: Tensor) -> Tensor:
        out: Tensor = self.linear(self.impl(x_KBF))
        if self.activation is not None:
            assert isinstance(self.activation, nn.Module)
            out = self.activation(out)
        if self.linear0 is not None:
            out = out + self.linear0(x_KBF)
        return out


LAYERS: dict[type[nn.Module], Callable[[Sequence[nn.Module]], nn.Module]] = {
    nn.Linear: _Linear,
    nn.Conv2d: _Conv2d,
    nn.BatchNorm1d: _Norm,
    nn.BatchNorm2d: _Norm,
    nn.LayerNorm: _LayerNorm,
    nn.Embedding: _Embedding,
    nn.Dropout: lambda models: MemberDropout([float(m.p) for m in models]),  # type: ignore[arg-type]
    layers.Dropout: lambda models: MemberDropout([float(m.p) for m in models]),  # type: ignore[arg-type]
    nn.Flatten: _Flatten,
    layers.PixelScale: _PixelScale,
    layers.TableInput: _TableInput,
}
"""The stacked form of each layer that has one."""

EMBEDDINGS: dict[str, Callable[[Sequence[nn.Module]], nn.Module]] = {
    "LinearEmbeddings": _LinearEmbeddings,
    "PeriodicEmbeddings": lambda models: _container(list(models)),
    "PiecewiseLinearEmbeddings": _Piecewise,
    "_PiecewiseLinearEncodingImpl": _Bins,
    "_Periodic": _Frequencies,
    "_NLinear": _LinearOfEach,
}
"""The same for `rtdl_num_embeddings`, by name: its import takes seconds, and only tables have it."""

VALUELESS: frozenset[type[nn.Module]] = frozenset(
    {nn.Identity, nn.ReLU, nn.SiLU, nn.GELU, nn.Sigmoid, nn.Tanh, nn.LeakyReLU, nn.ELU, nn.Hardswish, nn.Softplus}
)
"""Layers that treat each value alone: they are their own stacked form."""

PER_CHANNEL: frozenset[type[nn.Module]] = frozenset(
    {nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d}
)

CONTAINERS: frozenset[type[nn.Module]] = frozenset(
    {
        nn.Sequential,
        nn.ModuleList,
        MLP,
        LinearTable,
        ResNet,
        layers.ResidualBlock,
        layers.TargetLink,
    }
)
"""Modules whose `forward` only calls layers, adds, and applies functions to each value."""
