"""Channels and sides of a network's layers, and its parameters, read from the network itself."""

from typing import Any

import torch
from torch import nn

from course_lib.networks.convolutions import ResizeConv
from course_lib.pretrained import vgg

Bars = tuple[tuple[int, int], ...]


def of_vgg(arch: str, layers: tuple[str, ...], side: int = 256) -> Bars:
    """Channels and side of each convolution of VGG up to the deepest of `layers`.

    >>> of_vgg("vgg19", ("relu2_1",))
    ((64, 256), (64, 256), (128, 128))
    """
    network = vgg.VGGFeatures(arch, layers, weights=None)
    small = network.convs["conv1_1"].out_channels  # a random network has an eighth of the channels
    scale = vgg._CHANNELS[0] // int(small)  # type: ignore[arg-type]
    return tuple(
        (int(conv.out_channels) * scale, side // 2 ** (int(name[4]) - 1))  # type: ignore[arg-type]
        for name, conv in network.convs.items()
    )


def read_at(arch: str, layers: tuple[str, ...]) -> tuple[int, ...]:
    """Which of the bars of `of_vgg` are those of these layers."""
    convs = [name[4:] for name in vgg.layer_names(arch) if name.startswith("conv")]
    return tuple(convs.index(layer[4:]) for layer in layers)


def receptive_fields(arch: str) -> tuple[int, ...]:
    """Side in pixels of what one position of each convolution's output depends on.

    >>> receptive_fields("vgg19")[:3]
    (3, 5, 10)
    """
    field, step, found = 1, 1, []
    for name in vgg.layer_names(arch):
        if name.startswith("conv"):
            field += 2 * step
            found.append(field)
        elif name.startswith("pool"):
            field, step = field + step, 2 * step
    return tuple(found)


def operations(arch: str, layers: tuple[str, ...], height: int, width: int) -> int:
    """Multiplications and additions of the convolutions up to the deepest layer, for a picture of this size."""
    total, before = 0, 3
    for channels, shrunk in of_vgg(arch, layers, 1024):
        scale = 1024 // shrunk
        total += 2 * 9 * before * channels * (height // scale) * (width // scale)
        before = channels
    return total


def gram_operations(arch: str, layers: tuple[str, ...], height: int, width: int) -> int:
    """The same for the Gram matrices of these layers, each entry computed."""
    bars = of_vgg(arch, layers, 1024)
    read = [bars[k] for k in read_at(arch, layers)]
    return sum(2 * channels**2 * (height * shrunk // 1024) * (width * shrunk // 1024) for channels, shrunk in read)


def of(network: nn.Module, *inputs: Any, most: int = 40) -> Bars:
    """Channels and side of the output of each convolution, in the order in which they are computed."""
    found: list[tuple[int, int]] = []

    def note(_: nn.Module, __: Any, output: Any) -> None:
        if output.ndim == 4:
            found.append((output.shape[1], output.shape[2]))

    convs = (nn.Conv2d, nn.ConvTranspose2d, ResizeConv)
    hooks = [m.register_forward_hook(note) for m in network.modules() if isinstance(m, convs)]
    with torch.no_grad():
        network.eval()(*inputs)
    for hook in hooks:
        hook.remove()
    return tuple(found[:most])


def parameters(network: nn.Module) -> str:
    """``"54.4 M parameters"``."""
    count = sum(p.numel() for p in network.parameters())
    return f"{count / 1e6:.1f} M parameters" if count >= 1e6 else f"{count / 1e3:.0f} k parameters"
