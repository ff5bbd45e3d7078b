"""The two networks that make streets from noise as ONNX: noise to a style, and styles to a picture.

A style becomes one scale for each channel that goes into a convolution, and demodulation one for each that comes out of
it (see `course_lib.networks.modulated`). Both are nodes around an ordinary convolution, so that one set of filters
serves every picture. What depends on nothing but the filters, their energies, the runtime computes once, when it loads
the file. The page mixes styles and pulls them toward their mean; the networks know nothing of that.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from book.try_it.onnx_graph import End, Graph, bits_of, ends, trace, whole_numbers
from book.try_it.onnx_graph import export as export
from course_lib.networks.equalized import TAPS, EqualLinear
from course_lib.networks.modulated import EPS, StyledConv, ToRGB
from course_lib.networks.stylegan import Mapping, StyleGenerator


@ends.register
def _(network: Mapping) -> tuple[End, End]:
    """Noise (1, 1, 1, z_size) → two rows, the style and the mean of all styles."""
    return End("noise", (1, 1, 1, network.z_size)), End("style_and_mean", (1, 1, 2, len(network.mean)))


@ends.register
def _(network: StyleGenerator) -> tuple[End, End]:
    """A style for each layer, (1, 1, num_styles, w_size) → the picture in [0, 1]."""
    styles = End("styles", (1, 1, network.num_styles, network.w_size))
    return styles, End("painted", (1, 3, network.size, network.size))


@trace.register
def _(network: Mapping, graph: Graph, x: str) -> str:
    energy = graph.add("ReduceMean", graph.add("Mul", x, x), graph.constant([3]), keepdims=1)
    length = graph.add("Sqrt", graph.add("Add", energy, graph.number(1e-8)))
    w = graph.add("Div", x, length)
    w = graph.add("Reshape", w, graph.constant([1, network.z_size]))
    for layer in network.layers:
        w = _leaky(graph, trace(layer, graph, w))
    w = graph.add("Concat", w, graph.constant(network.mean[None]), axis=0)
    return graph.add("Reshape", w, graph.constant([1, 1, 2, len(network.mean)]), output="style_and_mean")


@trace.register
def _(layer: EqualLinear, graph: Graph, x: str) -> str:
    """Rows (N, columns) → (N, rows)."""
    return graph.add("Gemm", x, graph.weights(_used(layer)), graph.constant(layer.bias.data * layer.rate), transB=1)


@trace.register
def _(network: StyleGenerator, graph: Graph, x: str) -> str:
    rows = graph.add("Reshape", x, graph.constant([network.num_styles, network.w_size]))
    axis = graph.constant([0])
    names = [
        graph.add("Slice", rows, graph.constant([k]), graph.constant([k + 1]), axis) for k in range(network.num_styles)
    ]
    parts = network.noise.split([side**2 for side in network.sides], 1)
    y, rgb = graph.constant(network.constant.data), ""
    for k, (conv, side, noise) in enumerate(zip(network.convs, network.sides, parts, strict=True)):
        y = _styled(conv, graph, y, names[k], noise.view(1, 1, side, side))
        if k % 2 == 0:
            now = _colors(network.colors[k // 2], graph, y, names[k + 1])
            rgb = graph.add("Add", _doubled(graph, rgb), now) if rgb else now
    half = graph.number(0.5)
    rgb = graph.add("Add", graph.add("Mul", rgb, half), half)
    return graph.add("Clip", rgb, graph.number(0), graph.number(1), output="painted")


def _styled(layer: nn.Module, graph: Graph, x: str, w: str, noise: Tensor) -> str:
    """A `StyledConv` with demodulation, for one picture."""
    if not isinstance(layer, StyledConv) or layer.norm is not None:
        raise TypeError("there is no ONNX here for layers with AdaIN; there is for those with demodulation")
    weight = _used(layer)
    out, inputs = weight.shape[:2]
    style = trace(layer.affine, graph, w)  # (1, C)
    stored = graph.weights(weight.flip(2, 3) if layer.up else weight)
    energy = graph.add("ReduceSum", graph.add("Mul", stored, stored), graph.constant([2, 3]), keepdims=0)  # (out, C)
    x = graph.add("Mul", x, graph.add("Reshape", style, graph.constant([1, inputs, 1, 1])))
    if layer.up:
        turned = graph.add("Transpose", stored, perm=[1, 0, 2, 3])
        x = graph.add("ConvTranspose", x, turned, strides=[2, 2])
        x = graph.add("Conv", x, graph.constant(4 * _taps(out)), pads=[1] * 4, group=out)
    else:
        x = graph.add("Conv", x, stored, pads=[1] * 4)
    found = graph.add("Gemm", graph.add("Mul", style, style), energy, transB=1)  # (1, out)
    found = graph.add("Sqrt", graph.add("Add", found, graph.number(EPS)))
    x = graph.add("Div", x, graph.add("Reshape", found, graph.constant([1, out, 1, 1])))
    x = graph.add("Add", x, graph.constant(layer.noise_strength.data * noise))
    return _leaky(graph, graph.add("Add", x, graph.constant(layer.bias.data.view(1, out, 1, 1))))


def _colors(layer: nn.Module, graph: Graph, x: str, w: str) -> str:
    assert isinstance(layer, ToRGB)
    assert layer.affine is not None
    style = graph.add("Reshape", trace(layer.affine, graph, w), graph.constant([1, -1, 1, 1]))
    parts = graph.weights(_used(layer)), graph.constant(layer.bias.data)
    return graph.add("Conv", graph.add("Mul", x, style), *parts)


def _doubled(graph: Graph, x: str) -> str:
    return graph.add("ConvTranspose", x, graph.constant(4 * _taps(3)), strides=[2, 2], pads=[1] * 4, group=3)


def _leaky(graph: Graph, x: str) -> str:
    return graph.add("Mul", graph.add("LeakyRelu", x, alpha=0.2), graph.number(math.sqrt(2)))


def _used(layer: EqualLinear | StyledConv | ToRGB) -> Tensor:
    """The weights of a layer as it uses them: at an equalized learning rate."""
    return layer.weight.data * _rate(layer)


def _rate(layer: nn.Module) -> float:
    rate = layer.rate if isinstance(layer, EqualLinear) else 1.0
    return rate / math.sqrt(layer.weight[0].numel())  # type: ignore[operator, index, union-attr]


def _taps(channels: int) -> Tensor:
    """The filter that blurs each channel, (channels, 1, 4, 4)."""
    line = torch.tensor(TAPS) / sum(TAPS)
    return (line[:, None] * line).repeat(channels, 1, 1, 1)


def rounded(network: nn.Module, *, bits: int = 8) -> nn.Module:
    """A copy of a `Mapping` or a `StyleGenerator` whose filters are as coarse as those of `export`.

    Args:
        bits: 16, 32, or any number from 2 to 8, to see what fewer would do.
    """
    network = copy.deepcopy(network).eval()
    for layer in network.modules():
        if isinstance(layer, EqualLinear | StyledConv | ToRGB):
            weight = _used(layer)
            own = bits_of(weight, bits)
            if own == 16:
                weight = weight.half().float()
            elif own <= 8:
                whole, scale = whole_numbers(weight, 0, own)
                weight = whole * scale
            layer.weight.data = weight / _rate(layer)
    return network
