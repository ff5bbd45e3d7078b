"""Checks of networks that students build, and of how they treat a network that somebody else trained."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.networks import layers
from course_lib.pretrained.vgg import VGGFeatures
from course_lib.teaching.checks.base import CheckFailed, attempt, need, random, tensor

_TRANSFORMER, _PATCHGAN = 1_679_235, 2_768_705  # parameters: see the tests in tests/papers

_LAYERS = ("relu1_1", "relu2_1", "relu3_1")  # a student may ask for any of these


def check_only_the_picture_learns(function: Callable[[VGGFeatures, Tensor], Any]) -> None:
    """Check an optimization ``function(network, picture)`` of a few steps that must leave the network alone.

    The network given has trainable parameters, as any network has that comes from its training.
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
        f"after the run {len(moved)} of the network's {len(before)} tensors are not what they were. The loss fell, "
        "and not because the picture got better: who is moving?",
    )
    walked = [name for name, parameter in network.named_parameters() if parameter.grad is not None]
    need(
        not walked,
        f"gradients were computed for {len(walked)} of the network's own tensors, though nothing is to learn there: "
        "time and memory for nothing",
    )
    need(not torch.equal(result, kept), "the picture is what it was at the start; it is the one that must move")
    print("✓ only the picture learns")


def check_normalized_once(function: Callable[[VGGFeatures, Tensor], Any]) -> None:
    """Check that ``function(network, picture)`` hands the network a picture, whose scale the network changes itself."""
    network, arrived = VGGFeatures("vgg19", _LAYERS, weights=None), []
    network.register_forward_pre_hook(lambda module, inputs: arrived.append(inputs[0].detach().clone()))
    picture = random(1, 3, 32, 32)
    _run(function, network, picture)
    need(bool(arrived), "the network was not called")
    low, high = min(x.min().item() for x in arrived), max(x.max().item() for x in arrived)
    need(
        low >= -0.01 and high <= 1.01,
        f"values from {low:.2f} to {high:.2f} arrive at the network, whose entrance expects a picture in [0, 1]. What "
        "happens to the picture on the way there, and what does the network do at its entrance?",
    )
    given = arrived[0]
    need(
        given.shape == picture.shape and bool((given - picture).abs().max() < 1e-5),
        f"the picture that arrives is not the one that was given (mean {given.mean():.2f} instead of "
        f"{picture.mean():.2f})",
    )
    print("✓ the network gets a picture, and its scale is changed once")


def check_residual_block(factory: Callable[[int], nn.Module]) -> None:
    """Check a residual block x + norm(conv(ReLU(norm(conv(x))))) with 3×3 convolutions and reflected borders."""
    block = _module(factory, 8)
    for size in ((12, 10), (7, 9)):
        out = _forward(block, random(2, 8, *size))
        need(out.shape == (2, 8, *size), f"(2, 8, {size[0]}, {size[1]}) must keep its shape, got {tuple(out.shape)}")
    need_parameters(block, 2 * (9 * 64 + 8) + 2 * 16, "two 3×3 convolutions with offsets, each with a normalization "
                    "that has a scale and a shift a channel")  # fmt: skip
    silent = copy.deepcopy(block)
    with torch.no_grad():
        for parameter in silent.parameters():
            parameter.zero_()
    x = random(1, 8, 6, 6) - 0.5
    out = _forward(silent, x)
    need(
        not bool((out - x.clamp_min(0)).abs().max() < 1e-6),
        "with all weights 0 the negative half of the input is gone; in this block nothing comes after the sum",
    )
    need(
        bool((out - x).abs().max() < 1e-6),
        "with all weights 0 the block must hand its input through unchanged; is the input added at the end?",
    )
    ramp = torch.linspace(-1, 1, 8).view(1, 8, 1, 1).expand(1, 8, 9, 9)
    _need_no_frame(_forward(block, ramp), "flat maps")
    x = random(2, 8, 6, 6)
    need(
        bool((_forward(block, x)[:1] - _forward(block, x[:1])).abs().max() < 1e-4),
        "a picture's result changes with its neighbors in the batch; each is to be normalized by itself",
    )
    print("✓ a residual block")


def check_upsampling(factory: Callable[[int, int], nn.Module]) -> None:
    """Check a layer (channels in, channels out) that doubles height and width and leaves no checkerboard."""
    layer = _module(factory, 6, 4)
    out = _forward(layer, random(2, 6, 5, 7))
    need(out.shape == (2, 4, 10, 14), f"(2, 6, 5, 7) must become (2, 4, 10, 14), got {tuple(out.shape)}")
    flat = _forward(layer, torch.ones(1, 6, 8, 8))
    inner = flat[..., 4:12, 4:12]
    need(
        bool((inner - inner[..., ::2, ::2].repeat_interleave(2, 2).repeat_interleave(2, 3)).abs().max() < 1e-4),
        "a flat map comes out with a pattern of period 2: neighbors get unequal numbers of products",
    )
    _need_no_frame(flat, "flat maps")
    need_parameters(layer, 9 * 6 * 4 + 4, "one 3×3 convolution with an offset")
    print("✓ twice the size, and no checkerboard")


def check_transformer_net(factory: Callable[[], nn.Module], parameters: int = _TRANSFORMER) -> None:
    """Check a painter as in Johnson et al. 2016: same size out, a picture's range, instance normalization."""
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
    need(bool(out.min() >= 0 and out.max() <= 1), "with large weights the output leaves [0, 1]; what bounds it?")
    need(
        bool(out.min() < 0.05 and out.max() > 0.95),
        f"whatever its weights, the network stays between {out.min():.2f} and {out.max():.2f}; black and white must be "
        "within its reach",
    )
    alone = _forward(network, pictures[:1])
    need(
        bool((_forward(network, pictures)[:1] - alone).abs().max() < 1e-3),
        "a picture's result changes with its neighbors in the batch; each is to be normalized by itself",
    )
    need_parameters(network, parameters, "9×9, two of stride 2, five residual blocks, two upsamplings, 9×9; 32, 64 and "
                    "128 channels, each convolution but the last with a normalization")  # fmt: skip
    print(f"✓ a painter of {parameters:,} parameters")


def check_receptive_field(function: Callable[[Sequence[tuple[int, int]]], int]) -> None:
    """Check a function from a list of (kernel, stride), first layer first, to the side of one output's field."""
    for chain, hint in (
        ([], "with no layer at all an output is the pixel itself"),
        ([(3, 1)], "one layer sees its kernel"),
        ([(3, 1), (3, 1)], "a second 3×3 layer sees three outputs of the first, which overlap"),
        ([(3, 2), (3, 1)], "behind a stride of 2, neighbors look two pixels apart"),
        ([(3, 1), (3, 2)], "the last layer's own stride moves its outputs apart, and widens none of them"),
        ([(4, 2), (4, 2), (3, 1)], "every stride before a layer counts, not only the last one"),
        ([(1, 1), (1, 1)], "layers of one pixel see one pixel"),
        ([(4, 2)] * 3 + [(4, 1)] * 2, "compare with the size in the discriminator's name"),
    ):
        network = nn.Sequential(*(nn.Conv2d(1, 1, kernel, stride) for kernel, stride in chain))
        answer = attempt(function, chain)
        need(isinstance(answer, int), f"the function must return a whole number, got {type(answer).__name__}")
        need(
            answer == layers.receptive_field(network)[0],
            f"for {chain} you get {answer}: {hint}",
        )
    print("✓ the field of any chain of layers")


def check_field_by_gradient(function: Callable[[nn.Module, int], int]) -> None:
    """Check a measurement ``function(network, size)``: which pixels of one output move it, on one channel."""
    for chain in ([(3, 1, 1)], [(3, 1, 1), (5, 1, 2)], [(4, 2, 1), (4, 2, 1), (3, 1, 1)], [(4, 2, 1)] * 3):
        network = nn.Sequential(*(nn.Conv2d(1, 1, *layer) for layer in chain))
        with torch.no_grad():
            for k, parameter in enumerate(network.parameters()):
                parameter.copy_(0.1 + random(*parameter.shape, seed=k))
        answer = _run(function, network, 64)
        need(isinstance(answer, int), f"the function must return a whole number, got {type(answer).__name__}")
        expected = layers.receptive_field(network)[0]
        words = ", ".join(f"{kernel}×{kernel} stride {stride}" for kernel, stride, _ in chain)
        hint = "is the output far enough from the border?" if answer < expected else "how many outputs do you ask?"
        need(answer == expected, f"for {words} you measure {answer}, which is too {_size(answer, expected)}; {hint}")
    print("✓ the field, measured")


def check_patchgan(factory: Callable[[], nn.Module]) -> None:
    """Check the 70×70 discriminator of Isola et al. 2017 on six channels: (N, 6, 256, 256) → (N, 1, 30, 30) logits."""
    network = _module(factory).eval()
    out = _forward(network, random(1, 6, 256, 256))
    need(out.ndim == 4 and out.shape[1] == 1, f"one number a patch: (N, 1, h, w), got {tuple(out.shape)}")
    need(
        out.shape[2:] == (30, 30),
        f"256 px make a map of 30 × 30 patches, got {out.shape[2]} × {out.shape[3]}; which layers have stride 2, and "
        "what stands at the border?",
    )
    pictures = random(1, 6, 64, 64)
    out = _forward(_loud(network, pictures), pictures)
    need(
        bool(out.abs().max() > 1.5),
        "whatever its weights, the output stays small: something squeezes it, and a logit must be free",
    )
    field = _measured_field(network, 160)
    need(field == 70, f"one output sees {field} × {field} pixels, not 70 × 70")
    need_parameters(network, _PATCHGAN, "64, 128, 256, 512 and 1 channels, batch normalization but after the first and "
                    "the last layer, and no offset before a normalization")  # fmt: skip
    print("✓ a judge of 70 × 70 patches")


def need_parameters(network: nn.Module, expected: int, made_of: str) -> None:
    """Refuse another number of parameters than `expected`."""
    count = sum(parameter.numel() for parameter in network.parameters())
    hint = "fewer" if count < expected else "more"
    need(count == expected, f"the network has {count:,} parameters, {hint} than {expected:,}. It is made of: {made_of}")


def _loud(network: nn.Module, x: Tensor) -> nn.Module:
    """A copy of `network` whose last convolution answers a thousand times as loud."""
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
        f"{what} come out with a frame around them: what do the convolutions see beyond the border?",
    )


def _measured_field(network: nn.Module, size: int) -> int:
    """Side of the square of pixels whose change moves the middle output."""
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
    """As `attempt`, where a class or a network is what is still empty."""
    try:
        return attempt(function, *inputs)
    except TypeError as error:
        raise CheckFailed(f"it could not be called as the task says: {error}") from error


def _size(answer: int, expected: int) -> str:
    return "small" if answer < expected else "large"
