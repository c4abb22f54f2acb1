"""Operations of K networks side by side, with gradients written out.

What autograd derives for a batched product or a scaled normalisation transposes, copies and multiplies by one: a third
of a small network's step.  Here each gradient is one operation, contiguous as the parameter is.

Shapes: K members, B batch, F features in, O features out.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def _product(x_KBF: Tensor, weight_KOF: Tensor, bias_KO: Tensor | None) -> Tensor:
    if bias_KO is None:
        return torch.bmm(x_KBF, weight_KOF.transpose(1, 2))
    return torch.baddbmm(bias_KO[:, None], x_KBF, weight_KOF.transpose(1, 2))


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_KBF: Tensor, weight_KOF: Tensor, bias_KO: Tensor | None) -> Tensor:
        ctx.save_for_backward(x_KBF, weight_KOF)
        ctx.biased = bias_KO is not None
        return _product(x_KBF, weight_KOF, bias_KO)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_KBO: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x_KBF, weight_KOF = ctx.saved_tensors
        of_input = torch.bmm(grad_KBO, weight_KOF) if ctx.needs_input_grad[0] else None
        of_weight = torch.bmm(grad_KBO.transpose(1, 2), x_KBF) if ctx.needs_input_grad[1] else None
        of_bias = grad_KBO.sum(1) if ctx.biased and ctx.needs_input_grad[2] else None
        return of_input, of_weight, of_bias


def linear(x_KBF: Tensor, weight_KOF: Tensor, bias_KO: Tensor | None) -> Tensor:
    """`F.linear` of each member, [K, B, O]."""
    if torch.is_autocast_enabled(x_KBF.device.type):  # it casts on the way back too
        return _product(x_KBF, weight_KOF, bias_KO)
    return _Linear.apply(x_KBF, weight_KOF, bias_KO)  # type: ignore[no-any-return]


class _LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_KBF: Tensor, weight_KF: Tensor, bias_KF: Tensor | None, eps: float) -> Tensor:
        features = x_KBF.shape[-1:]
        # The kernel without a scale takes twice as long on a CPU as that with one.
        one, zero = x_KBF.new_ones(features), x_KBF.new_zeros(features)
        normal, mean, rstd = torch.native_layer_norm(x_KBF, features, one, zero, eps)
        ctx.save_for_backward(x_KBF, normal, mean, rstd, weight_KF)
        ctx.biased = bias_KF is not None
        if bias_KF is None:
            return normal * weight_KF[:, None]
        return torch.addcmul(bias_KF[:, None], normal, weight_KF[:, None])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_KBF: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x_KBF, normal, mean, rstd, weight_KF = ctx.saved_tensors
        of_weight = (grad_KBF * normal).sum(1)
        of_bias = grad_KBF.sum(1) if ctx.biased else None
        of_input, _, _ = torch.ops.aten.native_layer_norm_backward(
            grad_KBF * weight_KF[:, None], x_KBF, x_KBF.shape[-1:], mean, rstd, None, None, [True, False, False]
        )
        return of_input, of_weight, of_bias, None


def layer_norm(x_KBF: Tensor, weight_KF: Tensor, bias_KF: Tensor | None, eps: float) -> Tensor:
    """`F.layer_norm` over the features, scaled and moved as each member does, [K, B, F]."""
    if torch.is_autocast_enabled(x_KBF.device.type):
        x_KBF = x_KBF.float()  # as autocast has it
    return _LayerNorm.apply(x_KBF, weight_KF, bias_KF, eps)  # type: ignore[no-any-return]
