"""The stacked form of each layer: K members' parameters side by side, one call for all.

Shapes, beside those of `stack`: N numbers of a table, D features of each.
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
from autorecipe.training import member_ops


class NotStackable(Exception):
    """A module that has no stacked form; its text says which, and why."""


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


class OfMembers(nn.Module):
    """A layer that knows how many members there are."""

    def __init__(self, members: int) -> None:
        super().__init__()
        self.members = members

    def keep(self, positions: Sequence[int]) -> None:
        """Go on with the members at these positions only."""
        self.members = len(positions)


class Stacked(OfMembers):
    """A layer of K members: its parameters and buffers have the plain layer's names, and a dimension K in front."""

    def __init__(self, models: Sequence[nn.Module], parameters: Sequence[str]) -> None:
        super().__init__(len(models))
        for name in parameters:
            given = getattr(models[0], name) is not None
            self.register_parameter(name, nn.Parameter(_values(models, name)) if given else None)

    def keep(self, positions: Sequence[int]) -> None:
        """Go on with the buffers of the members at these positions only; who holds the parameters sees to them."""
        super().keep(positions)
        for name, buffer in list(self.named_buffers(recurse=False)):
            setattr(self, name, buffer[torch.tensor(positions, device=buffer.device)])

    def own_buffers(self) -> list[Tensor]:
        """Floating-point buffers [K, ...]."""
        return []


class _Linear(Stacked):
    weight: Tensor
    bias: Tensor | None

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__(models, ("weight", "bias"))

    def forward(self, x_KBF: Tensor) -> Tensor:
        if x_KBF.ndim == 4:  # features of each number: [K, B, N, F]
            out: Tensor = self(x_KBF.flatten(1, 2))
            return torch.unflatten(out, 1, x_KBF.shape[1:3])
        return member_ops.linear(x_KBF, self.weight, self.bias)


class _Conv2d(Stacked):
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


class _Norm(Stacked):
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


class _LayerNorm(Stacked):
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
        if self.weight is None:
            return F.layer_norm(x_KBF, self.shape, eps=self.eps)
        return member_ops.layer_norm(x_KBF, self.weight, self.bias, self.eps)


class _Embedding(Stacked):
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


class MemberDropout(OfMembers):
    """Dropout at a rate for each member; see `layers.Dropout`.

    Members of one stream have the same random numbers, which makes their comparison fairer and is a K-th of the work:
    a table says what a rate does with each of the 256 bytes, and members of one rate and stream look it up once.
    """

    def __init__(self, rates: Sequence[float]) -> None:
        super().__init__(len(rates))
        self.rates, self.streams = list(rates), [0] * len(rates)
        self._pair()

    def set_streams(self, streams: Sequence[int]) -> None:
        """Take these random numbers, one a member, counted from 0."""
        self.streams = list(streams)
        self._pair()

    def keep(self, positions: Sequence[int]) -> None:
        """Go on with the members at these positions only."""
        super().keep(positions)
        self.rates = [self.rates[k] for k in positions]
        self.streams = [self.streams[k] for k in positions]
        self._pair()

    def _pair(self) -> None:
        """Write down the distinct pairs of rate and stream, P of them."""
        of_members = list(zip(self.rates, self.streams, strict=True))
        pairs = list(dict.fromkeys(of_members))  # in the order of the members: where all differ it is theirs
        counts = [layers.dropped_bytes(rate) for rate, _ in pairs]
        self.factors = torch.tensor([[0.0] * n + [256 / (256 - n)] * (256 - n) for n in counts])
        """[P, 256]: factor of a feature by its byte."""
        self.stream_of_pair = torch.tensor([stream for _, stream in pairs])
        self.pair_of_member = torch.tensor([pairs.index(pair) for pair in of_members])

    def forward(self, x: Tensor) -> Tensor:
        """Zero features at each member's rate and scale the others, in training mode."""
        if not self.training or not any(self.rates):
            return x
        members = self.members
        maps = x.ndim >= 4  # [B, K*C, H, W] or [B, K, C, H, W], else [K, B, F]
        one = torch.unflatten(x, 1, (members, -1))[:, 0] if x.ndim == 4 else x[:, 0] if maps else x[0]
        shape = torch.Size((max(self.streams) + 1, one.numel()))
        if x.device.type == "cpu":
            drawn = layers.random_bytes(shape)
        else:
            drawn = torch.randint(0, 256, shape, dtype=torch.uint8, device=x.device)
            self.factors, self.stream_of_pair = self.factors.to(x.device), self.stream_of_pair.to(x.device)
            self.pair_of_member = self.pair_of_member.to(x.device)
        pairs = len(self.factors)
        bytes_of_pairs = drawn.long().expand(pairs, -1) if len(drawn) == 1 else drawn.long()[self.stream_of_pair]
        factors = self.factors.to(x.dtype).gather(1, bytes_of_pairs)
        if 1 < pairs < members:
            factors = factors.index_select(0, self.pair_of_member)
        factors = torch.unflatten(factors, 1, one.shape)
        if maps:
            factors = factors.expand(members, *one.shape).transpose(0, 1).reshape(x.shape)
        return x * factors


class _Flatten(OfMembers):
    """Images or maps to vectors [K, B, F]; vectors as they are."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__(len(models))
        first = models[0]
        assert isinstance(first, nn.Flatten)
        if (first.start_dim, first.end_dim) != (1, -1):
            raise NotStackable("flattening of other dimensions than all but the batch")

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


class _TableInput(OfMembers):
    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__(len(models))
        self.numbers = stacked([m.numbers for m in models])  # type: ignore[misc]
        self.categories = stacked([m.categories for m in models])  # type: ignore[misc]

    def forward(self, numbers_KBF: Tensor, codes_KBC: Tensor) -> Tensor:
        parts = []
        if numbers_KBF.shape[2]:
            parts.append(self.numbers(numbers_KBF).flatten(2))
        assert isinstance(self.categories, nn.ModuleList)
        parts += [embed(codes_KBC[..., k]) for k, embed in enumerate(self.categories)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 2)


class _LinearEmbeddings(Stacked):
    weight: Tensor
    bias: Tensor

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__(models, ("weight", "bias"))

    def forward(self, x_KBF: Tensor) -> Tensor:
        return torch.addcmul(self.bias[:, None], self.weight[:, None], x_KBF[..., None])


class _Frequencies(Stacked):
    weight: Tensor

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__(models, ("weight",))

    def forward(self, x_KBF: Tensor) -> Tensor:
        angles = 2 * math.pi * self.weight[:, None] * x_KBF[..., None]
        return torch.cat([angles.cos(), angles.sin()], -1)


class _LinearOfEach(Stacked):
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
