"""A student's network, compared with the same weights in the network that the task describes.

The description is a function of the convolutions' weights. Its options are common mistakes, so that a check can name
the one that gives the student's output.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.teaching.checks.base import CheckFailed, near, need

Convolution = tuple[Tensor, Tensor | None]  # weight (C', C, k, k) and bias (C',)
Activation = Callable[[Tensor], Tensor]
Mistake = tuple[str, Mapping[str, Any]]  # the message, and the options that make it

_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm)


def need_same(
    network: nn.Module,
    x: Tensor,
    described: Callable[..., Tensor],
    shapes: Sequence[tuple[int, ...]],
    mistakes: Sequence[Mistake],
) -> None:
    """Raise `CheckFailed` unless a network computes what the task describes, with the network's own weights.

    Args:
        network: of the student; its normalizations are compared as they are before training.
        x: its input.
        described: ``described(x, convolutions, **options)``, the network of the task.
        shapes: of the weights, in the order of the layers.
        mistakes: what `described` can do wrong, the most frequent first.

    Raises:
        CheckFailed: another output, or another kernel than described.
    """
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, _NORMS):
            module.reset_parameters()
    with torch.no_grad():
        found = _convolutions(network, x, len(shapes))
        if len(found) != len(shapes):  # convolutions that are not PyTorch's: other checks must suffice
            return
        for k, ((weight, _), shape) in enumerate(zip(found, shapes, strict=True), start=1):
            got, wanted = ("{1} → {0} channels, {2}×{3}".format(*sizes) for sizes in (weight.shape, shape))
            need(weight.shape == shape, f"convolution {k} has {got}; expected {wanted}")
        out = network(x).float()
        expected = described(x, found)
        if near(out, expected, 1e-3):
            return
        for message, options in mistakes:
            if near(out, described(x, found, **options), 1e-3):
                raise CheckFailed(message)
    apart = (out - expected).abs().max() if out.shape == expected.shape else torch.tensor(float("nan"))
    raise CheckFailed(
        f"with the same weights, the network of the task gives another output (the largest difference is {apart:.2g}, "
        f"the largest value {expected.abs().max():.2g}). Compare the layers one by one: their order, and what lies "
        "between them"
    )


def _convolutions(network: nn.Module, x: Tensor, count: int) -> list[Convolution]:
    """The convolutions in the order in which they run or, if some are no modules, in which they are defined."""
    ran: list[Convolution] = []
    modules = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    hooks = [module.register_forward_hook(lambda one, *_: ran.append((one.weight, one.bias))) for module in modules]
    network(x)
    for hook in hooks:
        hook.remove()
    if len(ran) == count:
        return ran
    defined: list[Convolution] = []
    for parameter in network.parameters():
        if parameter.ndim == 4 and parameter.shape[-1] > 1:
            defined.append((parameter, None))
        elif defined and defined[-1][1] is None and parameter.shape == defined[-1][0].shape[:1]:
            defined[-1] = (defined[-1][0], parameter)
    return defined


def convolve(x: Tensor, convolution: Convolution, stride: int = 1, border: str = "reflect") -> Tensor:
    """A convolution that continues its input beyond the border; its size stays, or is halved."""
    weight, bias = convolution
    half = weight.shape[-1] // 2
    return F.conv2d(F.pad(x, (half, half, half, half), mode=border), weight, bias, stride)


def residual_block(
    x: Tensor,
    convolutions: Sequence[Convolution],
    *,
    between: Activation = F.relu,
    early: bool = False,
    late: bool = False,
    border: str = "reflect",
) -> Tensor:
    """x + norm(conv(ReLU(norm(conv(x))))). `early`: the ReLU before its norm; `late`: another one before the sum."""
    first, second = convolutions
    y = convolve(x, first, border=border)
    y = F.instance_norm(between(y)) if early else between(F.instance_norm(y))
    y = F.instance_norm(convolve(y, second, border=border))
    return x + (F.relu(y) if late else y)


def upsampling(
    x: Tensor,
    convolutions: Sequence[Convolution],
    *,
    enlarge: str = "nearest",
    first: bool = True,
    border: str = "reflect",
    after: Activation | None = None,
) -> Tensor:
    """Twice the size, then a convolution. `first` False: the convolution comes before."""
    y = F.interpolate(x, scale_factor=2, mode=enlarge) if first else x
    y = convolve(y, convolutions[0], border=border)
    y = y if first else F.interpolate(y, scale_factor=2, mode=enlarge)
    return y if after is None else after(y)


def transformer_net(
    x: Tensor,
    convolutions: Sequence[Convolution],
    *,
    outside: Activation = F.relu,
    between: Activation = F.relu,
    late: bool = False,
    after_sum: bool = False,
    enlarge: str = "nearest",
    border: str = "reflect",
    last: Activation = lambda y: 0.5 + 0.5 * torch.tanh(y),
) -> Tensor:
    """Johnson et al. 2016, supplement, Table 1, in the book's version with resized feature maps.

    The scale of the picture is not an option, because the first normalization removes any scale and shift.
    """
    x = (x - 0.5) * 4
    for k, stride in enumerate((1, 2, 2)):
        x = outside(F.instance_norm(convolve(x, convolutions[k], stride, border)))
    for k in range(3, 13, 2):
        x = residual_block(x, convolutions[k : k + 2], between=between, late=late, border=border)
        x = F.relu(x) if after_sum else x
    for k in (13, 14):
        x = outside(F.instance_norm(upsampling(x, convolutions[k : k + 1], enlarge=enlarge, border=border)))
    return last(convolve(x, convolutions[15], border=border))


def patchgan(
    x: Tensor,
    convolutions: Sequence[Convolution],
    *,
    slope: float = 0.2,
    norm: Activation = lambda y: F.batch_norm(y, None, None, training=True),
    early: bool = False,
) -> Tensor:
    """Isola et al. 2017, Appendix 6.1.2, while it trains. `early`: the activation before its norm."""
    for k, stride in enumerate((2, 2, 2, 1, 1)):
        x = F.conv2d(x, *convolutions[k], stride, 1)
        if 0 < k < 4:
            x = norm(F.leaky_relu(x, slope)) if early else F.leaky_relu(norm(x), slope)
        elif k == 0:
            x = F.leaky_relu(x, slope)
    return x
