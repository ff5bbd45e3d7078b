"""A trained network as an ONNX file, node by node, with filters of 8, 16 or 32 bits.

Only what our networks are made of, a dozen kinds of nodes: so every one of them is in sight, the file has no more than
it needs, and any height and width goes through it. `rounded` is the same network in PyTorch with the same filters:
what a runtime makes of the file can be compared with it. The two networks of AdaIN are in onnx_style.py.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import singledispatch
from typing import NamedTuple

import numpy as np
import torch
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper
from torch import Tensor, nn

from course_lib.networks.layers import InstanceNorm, ResidualBlock
from course_lib.networks.resnet_generator import ResnetGenerator
from course_lib.networks.transformer_net import TransformerNet
from course_lib.networks.unet import UNet

OPSET, IR_VERSION = 19, 9
BITS = (8, 16, 32)


class End(NamedTuple):
    """What goes into a network, or comes out."""

    name: str
    shape: Sequence[int | str]


@singledispatch
def ends(network: nn.Module) -> tuple[End, End]:
    shape = (1, 3, "height", "width")
    return End("image", shape), End("painted", shape)


def export(network: nn.Module, *, bits: int = 8, about: dict[str, str] | None = None) -> bytes:
    """The network as ONNX: ``image`` (1, 3, H, W) float32 in [0, 1] → ``painted``, the same shape and range.

    Args:
        network: a `TransformerNet`, a `UNet` or a `ResnetGenerator`, normalized by the picture's own statistics; or a
            part of AdaIN, whose other end are features (see onnx_style.py).
        bits: of a filter's weights. 8: whole numbers and one scale for each output channel; filters that touch the
            picture's three colors keep 16 bits, because they are few and their errors are seen as they are.
        about: texts to write into the file.

    Raises:
        TypeError: another network, or a layer that there is no translation for.
        ValueError: an unknown number of bits.
    """
    if bits not in BITS:
        raise ValueError(f"filters can have {', '.join(map(str, BITS))} bits, got {bits}")
    graph, (before, after) = Graph(bits), ends(network)
    trace(network, graph, before.name)
    ports = [helper.make_tensor_value_info(end.name, TensorProto.FLOAT, end.shape) for end in (before, after)]
    made = helper.make_graph(graph.nodes, type(network).__name__, ports[:1], ports[1:], graph.constants)
    model: ModelProto = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="course_lib"
    )
    model.ir_version = IR_VERSION
    helper.set_model_props(model, about or {})
    checker.check_model(model, full_check=True)
    return model.SerializeToString()


def rounded(network: nn.Module, *, bits: int = 8, colors: int = 16) -> nn.Module:
    """A copy of the network whose filters are as coarse as those of `export`, in evaluation mode.

    Args:
        bits: 16, 32, or any number from 2 to 8, to see what fewer would do.
        colors: bits of the filters that touch the picture's colors, where the others have 8 or less.
    """
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            weight = module.weight.data
            own = bits_of(weight, bits, colors)
            if own == 16:
                module.weight.data = weight.half().float()
            elif own <= 8:
                whole, scale = whole_numbers(weight, _channels(module), own)
                module.weight.data = whole * scale
    return network


def bits_of(weight: Tensor, bits: int, colors: int = 16) -> int:
    return colors if bits <= 8 and 3 in weight.shape[:2] else bits


def _channels(layer: nn.Module) -> int:
    """Which axis of a filter counts its output channels."""
    return 1 if isinstance(layer, nn.ConvTranspose2d) else 0


def whole_numbers(weight: Tensor, axis: int, bits: int = 8) -> tuple[Tensor, Tensor]:
    """Whole numbers, of 8 bits from −127 to 127, and the scale of each output channel, shaped to multiply them."""
    others = [dim for dim in range(weight.ndim) if dim != axis]
    scale = weight.abs().amax(others, keepdim=True) / (2 ** (bits - 1) - 1)  # the same on both sides of zero
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return (weight / scale).round(), scale


class Graph:
    """Nodes and constants in the order in which they are made."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.nodes: list[object] = []
        self.constants: list[object] = []

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        """One node; returns the name of what it gives."""
        output = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, value: object, kind: type = np.int64) -> str:
        name = f"constant_{len(self.constants)}"
        array = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value, kind)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def number(self, value: float) -> str:
        return self.constant(value, np.float32)

    def size(self, x: str) -> str:
        """Height and width of what is (N, C, H, W)."""
        return self.add("Slice", self.add("Shape", x), self.constant([2]), self.constant([4]))

    def up_to_multiple(self, x: str, number: int) -> tuple[str, str]:
        """`x` continued by its mirror image below and on the right, up to the next multiple; and its own size."""
        size = self.size(x)
        missing = self.add("Mod", self.add("Neg", size), self.constant([number]))
        pads = self.add("Concat", self.constant([0] * 6), missing, axis=0)
        return self.add("Pad", x, pads, mode="reflect"), size

    def filters(self, layer: nn.Conv2d | nn.ConvTranspose2d) -> list[str]:
        """Weights, which become float32 again when the file is loaded, and the bias, which always is."""
        weight, axis = layer.weight.data, _channels(layer)
        bits = bits_of(weight, self.bits)
        if bits == 8:
            whole, scale = whole_numbers(weight, axis)
            parts = [self.constant(whole.to(torch.int8)), self.constant(scale.flatten())]
            name = self.add("DequantizeLinear", *parts, axis=axis)
        elif bits == 16:
            name = self.add("Cast", self.constant(weight.half()), to=TensorProto.FLOAT)
        else:
            name = self.constant(weight)
        return [name] if layer.bias is None else [name, self.constant(layer.bias.data)]

    def weights(self, weight: Tensor) -> str:
        """Filters whose first axis counts output channels, for further nodes that compute with them.

        A runtime that loads the file computes once what depends on nothing but constants. ONNX Runtime excludes
        ``DequantizeLinear`` from that, so it is spelled out.
        """
        bits = bits_of(weight, self.bits)
        if bits == 32:
            return self.constant(weight)
        whole, scale = whole_numbers(weight, 0) if bits == 8 else (weight, None)
        stored = self.constant(whole.to(torch.int8 if bits == 8 else torch.float16))
        found = self.add("Cast", stored, to=TensorProto.FLOAT)
        return found if scale is None else self.add("Mul", found, self.constant(scale))


@singledispatch
def trace(layer: nn.Module, graph: Graph, x: str) -> str:
    known = ", ".join(sorted(kind.__name__ for kind in trace.registry if kind is not object))
    raise TypeError(f"there is no ONNX here for a {type(layer).__name__}; there is for {known}")


@trace.register
def _(layer: nn.Sequential, graph: Graph, x: str) -> str:
    for part in layer:
        x = trace(part, graph, x)
    return x


@trace.register
def _(layer: nn.Conv2d, graph: Graph, x: str) -> str:
    border = 2 * list(layer.padding)
    if layer.padding_mode == "reflect":  # a node of its own: ONNX convolutions know only borders of zeros
        x = graph.add("Pad", x, graph.constant([0, 0, *border[:2], 0, 0, *border[2:]]), mode="reflect")
        border = [0] * 4
    return graph.add("Conv", x, *graph.filters(layer), pads=border, strides=list(layer.stride))


@trace.register
def _(layer: nn.ConvTranspose2d, graph: Graph, x: str) -> str:
    extra = {"output_padding": list(layer.output_padding)}
    pads, strides = 2 * list(layer.padding), list(layer.stride)
    return graph.add("ConvTranspose", x, *graph.filters(layer), pads=pads, strides=strides, **extra)


@trace.register
def _(layer: InstanceNorm, graph: Graph, x: str) -> str:
    plain = torch.ones(layer.num_features), torch.zeros(layer.num_features)  # the node asks for both
    scale, shift = (layer.weight.data, layer.bias.data) if layer.affine else plain
    parts = graph.constant(scale), graph.constant(shift)
    return graph.add("InstanceNormalization", x, *parts, epsilon=layer.eps)


@trace.register
def _(layer: nn.Upsample, graph: Graph, x: str) -> str:
    scale = float(layer.scale_factor)  # type: ignore[arg-type]
    scales = graph.constant([1, 1, scale, scale], np.float32)
    how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return graph.add("Resize", x, "", scales, mode="nearest", **how)


@trace.register
def _(layer: nn.ReLU, graph: Graph, x: str) -> str:
    return graph.add("Relu", x)


@trace.register
def _(layer: nn.LeakyReLU, graph: Graph, x: str) -> str:
    return graph.add("LeakyRelu", x, alpha=layer.negative_slope)


@trace.register
def _(layer: nn.Tanh, graph: Graph, x: str) -> str:
    return graph.add("Tanh", x)


@trace.register
def _(layer: nn.Dropout, graph: Graph, x: str) -> str:
    return x  # evaluation mode: nothing is dropped


@trace.register
def _(layer: ResidualBlock, graph: Graph, x: str) -> str:
    return graph.add("Add", x, trace(layer.body, graph, x))


@trace.register
def _(network: TransformerNet, graph: Graph, x: str) -> str:
    x, size = graph.up_to_multiple(x, 4)
    x = graph.add("Mul", graph.add("Sub", x, graph.number(0.5)), graph.number(4))
    for part in (network.down, network.blocks, network.up, network.paint):
        x = trace(part, graph, x)
    x = picture_of(graph, graph.add("Tanh", x))
    return graph.add("Slice", x, graph.constant([0, 0]), size, graph.constant([2, 3]), output="painted")


@trace.register
def _(network: ResnetGenerator, graph: Graph, x: str) -> str:
    x, size = graph.up_to_multiple(x, 4)
    x = graph.add("Sub", graph.add("Mul", x, graph.number(2)), graph.number(1))
    x = picture_of(graph, graph.add("Tanh", trace(network.layers, graph, x)))
    return graph.add("Slice", x, graph.constant([0, 0]), size, graph.constant([2, 3]), output="painted")


@trace.register
def _(network: UNet, graph: Graph, x: str) -> str:
    x = graph.add("Sub", graph.add("Mul", x, graph.number(2)), graph.number(1))
    found = []
    for part in network.down:
        x = trace(part, graph, x)
        found.append(x)
    found.pop()
    for part in network.up:
        x = trace(part, graph, x)
        x = graph.add("Concat", x, found.pop(), axis=1) if network.skips else x
    return picture_of(graph, trace(network.paint, graph, x), "painted")


def picture_of(graph: Graph, x: str, output: str | None = None) -> str:
    """From [−1, 1] to [0, 1]."""
    return graph.add("Add", graph.add("Mul", x, graph.number(0.5)), graph.number(0.5), output=output)
