"""Checks of networks that students build from a description."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.teaching.checks import replay
from course_lib.teaching.checks.base import CheckFailed, attempt_as_described, need, random, tensor
from course_lib.teaching.checks.replay import Mistake, need_same

_TRANSFORMER, _PATCHGAN = 1_679_235, 2_768_705  # parameters; see tests/papers


# --- mistakes, and what to say about them
def _identity(y: Tensor) -> Tensor:
    return y


def _normalized(y: Tensor) -> Tensor:
    return F.instance_norm(y)


_OTHERS = (lambda y: F.leaky_relu(y, 0.2), F.leaky_relu, F.gelu, F.elu, F.silu, torch.tanh, torch.sigmoid)
_NONE = "nothing between the two convolutions of a block is nonlinear; what does the equation apply to the first norm?"
_OTHER = "the function between the two convolutions of a block is not a ReLU; what does yours do with negative values?"
_LATE = "the second normalization of a block is followed by a ReLU, so that nothing negative can be added to the input"
_BORDER = "the map does not continue beyond its border as its mirror image; what do the convolutions see there?"
_LAST = "the last step, from the convolution to colors, is not that of the last row of the table"

_BLOCKS: list[Mistake] = [
    (_NONE, {"between": _identity}),
    *((_OTHER, {"between": other}) for other in _OTHERS),
    ("between the convolutions of a block, the ReLU and the normalization are swapped", {"early": True}),
    (_LATE, {"late": True}),
    (_BORDER, {"border": "replicate"}),
    (_BORDER, {"border": "circular"}),
]
_UPSAMPLINGS: list[Mistake] = [
    ("the pixels are not repeated but interpolated; every 2×2 pixels must be equal", {"enlarge": "bilinear"}),
    ("the pixels are not repeated but interpolated; every 2×2 pixels must be equal", {"enlarge": "bicubic"}),
    ("the map is convolved before it is enlarged; the task asks for the opposite order", {"first": False}),
    ("something follows the convolution; this layer ends with it", {"after": F.relu}),
    ("something follows the convolution; this layer ends with it", {"after": _normalized}),
    ("something follows the convolution; this layer ends with it", {"after": lambda y: F.relu(_normalized(y))}),
    (_BORDER, {"border": "constant"}),
]
_PAINTERS: list[Mistake] = [
    (_NONE, {"between": _identity}),
    *((_OTHER, {"between": other}) for other in _OTHERS),
    (_LATE, {"late": True}),
    ("the sum of a residual block is followed by a ReLU; nothing should follow it", {"after_sum": True}),
    *(
        ("outside the residual blocks, the normalizations are not followed by a ReLU", {"outside": other})
        for other in (_identity, *_OTHERS)
    ),
    ("the ReLU is missing everywhere", {"outside": _identity, "between": _identity}),
    *(("the norms are followed by a function other than ReLU", {"outside": one, "between": one}) for one in _OTHERS),
    ("the upsamplings do not repeat pixels but interpolate", {"enlarge": "bilinear"}),
    (_BORDER, {"border": "constant"}),
    (_BORDER, {"border": "replicate"}),
    *((_LAST, {"last": one}) for one in (torch.sigmoid, lambda y: y.clamp(0, 1), lambda y: 0.5 + 0.5 * torch.sin(y))),
]
_SLOPE = "for negative values, the activations have a slope other than 0.2"
_JUDGES: list[Mistake] = [
    *((_SLOPE, {"slope": slope}) for slope in (0.0, 0.01, 0.1, 0.3, 1.0)),
    ("each picture is normalized by itself; the task asks for the statistics of the batch", {"norm": _normalized}),
    ("the activation comes before the normalization; the table has the opposite order", {"early": True}),
]
_TABLE = [(32, 3, 9, 9), (64, 32, 3, 3), (128, 64, 3, 3), *[(128, 128, 3, 3)] * 10,
          (64, 128, 3, 3), (32, 64, 3, 3), (3, 32, 9, 9)]  # fmt: skip
_PATCHES = [(64, 6, 4, 4), (128, 64, 4, 4), (256, 128, 4, 4), (512, 256, 4, 4), (1, 512, 4, 4)]


def check_residual_block(factory: Callable[[int], nn.Module]) -> None:
    """Check a residual block x + norm(conv(ReLU(norm(conv(x))))) with 3×3 convolutions and reflected borders.

    Source: Johnson et al. 2016, supplement; Gross & Wilber 2016.

    Args:
        factory: number of channels C → a module that keeps the shape (N, C, H, W).

    Raises:
        CheckFailed: a property does not hold.
    """
    block = _module(factory, 8)
    for size in ((12, 10), (7, 9)):
        out = _forward(block, random(2, 8, *size))
        need(out.shape == (2, 8, *size), f"(2, 8, {size[0]}, {size[1]}) must keep its shape, got {tuple(out.shape)}")
    need_parameters(block, 2 * (9 * 64 + 8) + 2 * 16, "two 3×3 convolutions with biases, each followed by a "
                    "normalization with a scale and a shift per channel")  # fmt: skip
    silent = copy.deepcopy(block)
    with torch.no_grad():
        for parameter in silent.parameters():
            parameter.zero_()
    x = random(1, 8, 6, 6) - 0.5
    out = _forward(silent, x)
    need(
        not bool((out - x.clamp_min(0)).abs().max() < 1e-6),
        "with all weights 0, the negative values of the input are lost; this block does nothing after the sum",
    )
    need(
        bool((out - x).abs().max() < 1e-6),
        "with all weights 0, the block must return its input unchanged; is the input added at the end?",
    )
    ramp = torch.linspace(-1, 1, 8).view(1, 8, 1, 1).expand(1, 8, 9, 9)
    _need_no_frame(_forward(block, ramp), "flat maps")
    x = random(2, 8, 6, 6) * torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)
    need(
        bool((_forward(block, x)[:1] - _forward(block, x[:1])).abs().max() < 1e-4),
        "a picture's result changes with its neighbors in the batch; normalize each picture by itself",
    )
    need_same(block, random(2, 8, 7, 9) - 0.5, replay.residual_block, [(8, 8, 3, 3)] * 2, _BLOCKS)
    print("✓ a residual block")


def check_upsampling(factory: Callable[[int, int], nn.Module]) -> None:
    """Check a layer that doubles height and width and leaves no checkerboard (Odena et al. 2016).

    Args:
        factory: numbers of input and output channels C, C' → a module (N, C, H, W) → (N, C', 2H, 2W).

    Raises:
        CheckFailed: a property does not hold.
    """
    layer = _module(factory, 6, 4)
    out = _forward(layer, random(2, 6, 5, 7))
    need(out.shape == (2, 4, 10, 14), f"(2, 6, 5, 7) must become (2, 4, 10, 14), got {tuple(out.shape)}")
    flat = _forward(layer, torch.ones(1, 6, 8, 8))
    inner = flat[..., 4:12, 4:12]
    need(
        bool((inner - inner[..., ::2, ::2].repeat_interleave(2, 2).repeat_interleave(2, 3)).abs().max() < 1e-4),
        "a flat feature map becomes a pattern of period 2; neighboring pixels are sums of unequal numbers of products",
    )
    _need_no_frame(flat, "flat maps")
    need_parameters(layer, 9 * 6 * 4 + 4, "one 3×3 convolution with a bias")
    need_same(layer, random(2, 6, 5, 7) - 0.5, replay.upsampling, [(4, 6, 3, 3)], _UPSAMPLINGS)
    print("✓ twice the size and no checkerboard")


def check_transformer_net(factory: Callable[[], nn.Module], parameters: int = _TRANSFORMER) -> None:
    """Check an image transformation network (Johnson et al. 2016, supplement, Table 1) with instance normalization.

    Args:
        factory: no arguments → a module (N, 3, H, W) → the same shape, in [0, 1].
        parameters: number of parameters that the network must have.

    Raises:
        CheckFailed: a property does not hold.
    """
    network = _module(factory)
    for size in ((40, 24), (32, 36)):
        out = _forward(network, random(1, 3, *size))
        need(out.shape == (1, 3, *size), f"(1, 3, {size[0]}, {size[1]}) must keep its shape, got {tuple(out.shape)}")
    pictures = torch.cat([random(1, 3, 32, 32), random(1, 3, 32, 32, seed=1) > 0.5])
    out = _forward(network, pictures)
    need(
        bool(out.min() >= 0 and out.max() <= 1),
        f"the output must be a picture in [0, 1], got values from {out.min():.3g} to {out.max():.3g}",
    )
    out = _forward(_loud(network, pictures), pictures)
    need(bool(out.min() >= 0 and out.max() <= 1), "with large weights, the output leaves [0, 1]; what bounds it?")
    need(
        bool(out.min() < 0.05 and out.max() > 0.95),
        f"even with large weights, the output stays between {out.min():.2f} and {out.max():.2f}; the network must be "
        "able to paint black and white",
    )
    alone = _forward(network, pictures[:1])
    need(
        bool((_forward(network, pictures)[:1] - alone).abs().max() < 1e-3),
        "a picture's result changes with its neighbors in the batch; normalize each picture by itself",
    )
    need_parameters(network, parameters, "9×9, two of stride 2, five residual blocks, two upsamplings, 9×9; 32, 64 and "
                    "128 channels, and a normalization after each convolution except the last")  # fmt: skip
    if parameters == _TRANSFORMER:
        need_same(network, pictures[:1, :, :20, :24], replay.transformer_net, _TABLE, _PAINTERS)
    print(f"✓ a transformer network of {parameters:,} parameters")


def check_patchgan(factory: Callable[[], nn.Module]) -> None:
    """Check the 70×70 discriminator of Isola et al. 2017 (Appendix 6.1.2).

    Args:
        factory: no arguments → a module (N, 6, 256, 256) → logits (N, 1, 30, 30).

    Raises:
        CheckFailed: a property does not hold.
    """
    network = _module(factory).eval()
    out = _forward(network, random(1, 6, 256, 256))
    need(out.ndim == 4 and out.shape[1] == 1, f"expected one logit per patch, (N, 1, h, w), got {tuple(out.shape)}")
    need(
        out.shape[2:] == (30, 30),
        f"256 px must give 30 × 30 logits, got {out.shape[2]} × {out.shape[3]}; which layers have stride 2, and how "
        "are the borders padded?",
    )
    pictures = random(1, 6, 64, 64)
    out = _forward(_loud(network, pictures), pictures)
    need(
        bool(out.abs().max() > 1.5),
        "even with large weights, the output stays small; something bounds it, but logits must be unbounded",
    )
    field = _measured_field(network, 160)
    need(
        field < 160, "one output depends on the whole picture, not on 70 × 70 pixels; what does each normalization use?"
    )
    need(field == 70, f"one output sees {field} × {field} pixels, not 70 × 70")
    need_parameters(network, _PATCHGAN, "64, 128, 256, 512 and 1 channels, batch normalization except after the first "
                    "and the last layer, and no bias before a normalization")  # fmt: skip
    pictures = random(3, 6, 48, 48) * torch.tensor([1.0, 2.0, 0.3]).view(3, 1, 1, 1)
    need_same(network.train(), pictures, replay.patchgan, _PATCHES, _JUDGES)
    print("✓ a discriminator of 70 × 70 patches")


def need_parameters(network: nn.Module, expected: int, made_of: str) -> None:
    """Raise `CheckFailed` unless the network has `expected` parameters; the message lists what it is made of."""
    count = sum(parameter.numel() for parameter in network.parameters())
    hint = "fewer" if count < expected else "more"
    need(count == expected, f"the network has {count:,} parameters, {hint} than {expected:,}. Expected: {made_of}")


def _loud(network: nn.Module, x: Tensor) -> nn.Module:
    """A copy of `network` whose last convolution has weights a thousand times as large."""
    loud, order = copy.deepcopy(network), []
    convolutions = [module for module in loud.modules() if isinstance(module, nn.Conv2d)]
    hooks = [module.register_forward_hook(lambda module, *_: order.append(module)) for module in convolutions]
    _forward(loud, x)
    for hook in hooks:
        hook.remove()
    with torch.no_grad():
        for parameter in order[-1].parameters() if order else ():
            parameter.mul_(1000)
    return loud


def _need_no_frame(out: Tensor, what: str) -> None:
    inner = out[..., 3:-3, 3:-3].mean((2, 3), keepdim=True)
    need(
        bool((out - inner).abs().max() < 1e-2),
        f"{what} get a frame around them; what do the convolutions see beyond the border?",
    )


def _measured_field(network: nn.Module, size: int) -> int:
    """Side of the square of pixels on which the middle output depends."""
    picture = random(1, 6, size, size).requires_grad_()
    out = network(picture)
    out[0, 0, out.shape[2] // 2, out.shape[3] // 2].backward()
    assert picture.grad is not None
    rows = picture.grad.abs().sum((0, 1, 3)).nonzero()
    return int(rows.max() - rows.min()) + 1 if len(rows) else 0


def _module(factory: Callable[..., Any], *sizes: int) -> nn.Module:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        network = attempt_as_described(factory, *sizes)
    if not isinstance(network, nn.Module):
        raise CheckFailed(f"expected a network (an nn.Module), got {type(network).__name__}")
    return network


def _forward(network: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return tensor(attempt_as_described(network, x), "the network")
