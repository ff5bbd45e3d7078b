"""Checks of networks that students build, and of how they use a pretrained network."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.networks import layers
from course_lib.pretrained.vgg import VGGFeatures
from course_lib.teaching.checks.base import CheckFailed, attempt, need, random, tensor

_TRANSFORMER, _PATCHGAN = 1_679_235, 2_768_705  # parameters; see tests/papers

_LAYERS = ("relu1_1", "relu2_1", "relu3_1")  # a student may ask for any of these


def check_only_the_picture_learns(function: Callable[[VGGFeatures, Tensor], Any]) -> None:
    """Check an optimization of a few steps that must not change the network.

    Args:
        function: ``function(network, picture)`` → the new picture (1, 3, H, W). The parameters of the network require
            gradients, as they do after training.

    Raises:
        CheckFailed: the network changed, gradients were computed for it, or the picture did not change.
    """
    network = VGGFeatures("vgg19", _LAYERS, weights=None).requires_grad_(True)
    before = copy.deepcopy(network.state_dict())
    picture = random(1, 3, 32, 32)
    kept = picture.clone()
    result = tensor(_run(function, network, picture))
    need(result.shape == picture.shape, f"the result must be a picture {tuple(picture.shape)}, got {result.shape}")
    moved = [name for name, value in network.state_dict().items() if not torch.equal(value, before[name])]
    need(
        not moved,
        f"after the run, {len(moved)} of the network's {len(before)} tensors have changed. The loss fell, but not "
        "because the picture got better; what else is being optimized?",
    )
    computed = [name for name, parameter in network.named_parameters() if parameter.grad is not None]
    need(
        not computed,
        f"gradients were computed for {len(computed)} of the network's own tensors, although the network is not "
        "trained; that wastes time and memory",
    )
    need(not torch.equal(result, kept), "the picture has not changed; it is what the optimizer should change")
    print("✓ only the picture learns")


def check_normalized_once(function: Callable[[VGGFeatures, Tensor], Any]) -> None:
    """Check that the network, which normalizes its input itself, is given a picture in [0, 1].

    Args:
        function: ``function(network, picture)``; it must call the network on the picture. Its result is not used.

    Raises:
        CheckFailed: the network is not called, or it gets anything other than the picture.
    """
    network, arrived = VGGFeatures("vgg19", _LAYERS, weights=None), []
    network.register_forward_pre_hook(lambda module, inputs: arrived.append(inputs[0].detach().clone()))
    picture = random(1, 3, 32, 32)
    _run(function, network, picture)
    need(bool(arrived), "the network was not called")
    low, high = min(x.min().item() for x in arrived), max(x.max().item() for x in arrived)
    need(
        low >= -0.01 and high <= 1.01,
        f"the network gets values from {low:.2f} to {high:.2f}, but it expects a picture in [0, 1]. What happens to "
        "the picture before the network, and what does the network itself do first?",
    )
    given = arrived[0]
    need(
        given.shape == picture.shape and bool((given - picture).abs().max() < 1e-5),
        f"the network gets a different picture from the one given to your function (mean {given.mean():.2f} instead of "
        f"{picture.mean():.2f})",
    )
    print("✓ the network gets a picture, which is normalized once")


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
    x = random(2, 8, 6, 6)
    need(
        bool((_forward(block, x)[:1] - _forward(block, x[:1])).abs().max() < 1e-4),
        "a picture's result changes with its neighbors in the batch; normalize each picture by itself",
    )
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
    for size in ((64, 48), (32, 36)):
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
    print(f"✓ a transformer network of {parameters:,} parameters")


def check_receptive_field(function: Callable[[Sequence[tuple[int, int]]], int]) -> None:
    """Check a computation of receptive fields.

    Args:
        function: list of (kernel, stride), first layer first → side of the receptive field of one output, in pixels.

    Raises:
        CheckFailed: a wrong result; the message names the chain of layers.
    """
    for chain, hint in (
        ([], "without layers, an output is the pixel itself"),
        ([(3, 1)], "one layer sees its kernel"),
        ([(3, 1), (3, 1)], "a second 3×3 layer sees three outputs of the first, whose receptive fields overlap"),
        ([(3, 2), (3, 1)], "after a stride of 2, neighboring outputs are two pixels apart"),
        ([(3, 1), (3, 2)], "the last layer's own stride moves its outputs apart, but does not widen their fields"),
        ([(4, 2), (4, 2), (3, 1)], "every stride before a layer counts, not only the last one"),
        ([(1, 1), (1, 1)], "layers with 1×1 kernels see one pixel"),
        ([(4, 2)] * 3 + [(4, 1)] * 2, "compare with the size in the discriminator's name"),
    ):
        network = nn.Sequential(*(nn.Conv2d(1, 1, kernel, stride) for kernel, stride in chain))
        answer = attempt(function, chain)
        need(isinstance(answer, int), f"the function must return a whole number, got {type(answer).__name__}")
        need(
            answer == layers.receptive_field(network)[0],
            f"for {chain} you get {answer}; {hint}",
        )
    print("✓ the receptive field of any chain of layers")


def check_field_by_gradient(function: Callable[[nn.Module, int], int]) -> None:
    """Check a measurement of the receptive field by gradient.

    Args:
        function: ``function(network, size)`` → side of the receptive field in pixels, measured on a picture
            (1, 1, size, size). The network has one input channel and one output channel.

    Raises:
        CheckFailed: a wrong result; the message names the layers.
    """
    for chain in ([(3, 1, 1)], [(3, 1, 1), (5, 1, 2)], [(4, 2, 1), (4, 2, 1), (3, 1, 1)], [(4, 2, 1)] * 3):
        network = nn.Sequential(*(nn.Conv2d(1, 1, *layer) for layer in chain))
        with torch.no_grad():
            for k, parameter in enumerate(network.parameters()):
                parameter.copy_(0.1 + random(*parameter.shape, seed=k))
        answer = _run(function, network, 64)
        need(isinstance(answer, int), f"the function must return a whole number, got {type(answer).__name__}")
        expected = layers.receptive_field(network)[0]
        words = ", ".join(f"{kernel}×{kernel} stride {stride}" for kernel, stride, _ in chain)
        hint = "is the output far enough from the border?" if answer < expected else "how many outputs do you use?"
        need(answer == expected, f"for {words} you measure {answer}, which is too {_size(answer, expected)}; {hint}")
    print("✓ the receptive field, measured")


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
    need(field == 70, f"one output sees {field} × {field} pixels, not 70 × 70")
    need_parameters(network, _PATCHGAN, "64, 128, 256, 512 and 1 channels, batch normalization except after the first "
                    "and the last layer, and no bias before a normalization")  # fmt: skip
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
        network = _run(factory, *sizes)
    if not isinstance(network, nn.Module):
        raise CheckFailed(f"expected a network (an nn.Module), got {type(network).__name__}")
    return network


def _forward(network: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return tensor(_run(network, x), "the network")


def _run(function: Callable[..., Any], *inputs: Any) -> Any:
    """As `attempt`, for a class or a network; a TypeError means that its signature is wrong."""
    try:
        return attempt(function, *inputs)
    except TypeError as error:
        raise CheckFailed(f"it could not be called as the task describes: {error}") from error


def _size(answer: int, expected: int) -> str:
    return "small" if answer < expected else "large"
