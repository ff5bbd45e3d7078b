"""The encoder and the decoder of AdaIN as ONNX, with convolutions that need a quarter of the multiplications.

These networks do many times the work of a painter, and a browser has one slow thread for it. So their 3×3 convolutions
are written as Winograd's algorithm (see `course_lib.pretrained.winograd`), in nodes that every runtime has: a strided
convolution evaluates the tiles at 36 points, 36 matrix products follow, and one product leads back. The transformed
filters, four times as large, do not travel: the file holds the filters in 8 bits, and the runtime transforms them
once, when it loads the file, because they depend on nothing but constants.
"""

from __future__ import annotations

import torch
from torch import nn

from book.try_it.onnx_graph import End, Graph, ends, trace
from book.try_it.onnx_graph import export as export
from book.try_it.onnx_graph import rounded as rounded
from course_lib.networks.adain_decoder import AdaINDecoder
from course_lib.pretrained.vgg import VGGFeatures
from course_lib.pretrained.winograd import matrices

OUTPUTS = 4  # in a row of a tile
FEWEST_CHANNELS = 64  # with fewer, the transforms cost more than the products save


@ends.register
def _(network: VGGFeatures) -> tuple[End, End]:
    channels = network.convs[[name for name in network.names if name in network.convs][-1]].out_channels
    return End("image", (1, 3, "height", "width")), End("features", (1, int(channels), "rows", "columns"))


@ends.register
def _(network: AdaINDecoder) -> tuple[End, End]:
    features = End("features", (1, network.channels, "rows", "columns"))
    return features, End("painted", (1, 3, "height", "width"))


@trace.register
def _(layer: nn.MaxPool2d, graph: Graph, x: str) -> str:
    return graph.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])


@trace.register
def _(network: VGGFeatures, graph: Graph, x: str) -> str:
    """A picture of any size, continued by its mirror image up to whole positions → features of the last layer."""
    x, _ = graph.up_to_multiple(x, 2 ** sum(name.startswith("pool") for name in network.names))
    x = graph.add("Div", graph.add("Sub", x, graph.constant(network.mean)), graph.constant(network.std))
    kinds: dict[str, nn.Module] = {"relu": nn.ReLU(), "pool": nn.MaxPool2d(2)}
    layers = [network.convs[name] if name in network.convs else kinds[name[:4]] for name in network.names]
    return _stack(layers, graph, x, "features")


@trace.register
def _(network: AdaINDecoder, graph: Graph, x: str) -> str:
    """Features of h × w positions → colors of 8h × 8w pixels, after relu4_1, that may lie outside [0, 1]."""
    layers = [layer for layer in network.layers.modules() if not any(layer.children())]
    return _stack(layers, graph, x, "painted")


def _stack(layers: list[nn.Module], graph: Graph, x: str, output: str) -> str:
    for layer in layers:
        quick = isinstance(layer, nn.Conv2d) and min(layer.weight.shape[:2]) >= FEWEST_CHANNELS
        x = _winograd(layer, graph, x) if quick and isinstance(layer, nn.Conv2d) else trace(layer, graph, x)
    return graph.add("Identity", x, output=output)


def _winograd(layer: nn.Conv2d, graph: Graph, x: str) -> str:
    """A 3×3 convolution with reflected borders, (1, C, H, W) → (1, O, H, W): Y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A."""
    outputs, inputs = layer.weight.shape[:2]
    points = (OUTPUTS + 2) ** 2
    back, of_filter, of_input = (torch.kron(one, one).float() for one in matrices(OUTPUTS))
    # of nothing but constants, so that a runtime computes it once
    taps = graph.add("Transpose", graph.weights(layer.weight.data), perm=[2, 3, 0, 1])
    taps = graph.add("Reshape", taps, graph.constant([9, outputs * inputs]))
    filters = graph.add("MatMul", graph.constant(of_filter), taps)
    filters = graph.add("Reshape", filters, graph.constant([points, outputs, inputs]))
    size = graph.size(x)
    x = graph.add("Pad", x, graph.constant([0, 0, 1, 1, 0, 0, 1, 1]), mode="reflect")
    # every channel a picture of its own, its tiles of 6×6 that begin 4 apart; zeros at the end fill up the last tile
    x = graph.add("Transpose", x, perm=[1, 0, 2, 3])
    kernels = graph.constant(of_input.reshape(points, 1, OUTPUTS + 2, OUTPUTS + 2))
    x = graph.add("Conv", x, kernels, strides=[OUTPUTS] * 2, pads=[0, 0, OUTPUTS - 1, OUTPUTS - 1])
    tiles = graph.size(x)  # (C, 36, rows, columns)
    x = graph.add("Reshape", x, graph.constant([inputs, points, -1]))
    x = graph.add("MatMul", filters, graph.add("Transpose", x, perm=[1, 0, 2]))  # (36, O, rows·columns)
    x = graph.add("MatMul", graph.constant(back), graph.add("Reshape", x, graph.constant([points, -1])))
    shape = graph.add("Concat", graph.constant([OUTPUTS, OUTPUTS, outputs]), tiles, axis=0)
    x = graph.add("Transpose", graph.add("Reshape", x, shape), perm=[2, 3, 0, 4, 1])  # (O, rows, 4, columns, 4)
    whole = graph.add("Mul", tiles, graph.constant([OUTPUTS, OUTPUTS]))
    x = graph.add("Reshape", x, graph.add("Concat", graph.constant([1, outputs]), whole, axis=0))
    x = graph.add("Slice", x, graph.constant([0, 0]), size, graph.constant([2, 3]))
    return x if layer.bias is None else graph.add("Add", x, graph.constant(layer.bias.data.view(1, -1, 1, 1)))
