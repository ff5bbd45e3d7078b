"""A trained network as an ONNX file, node by node, with filters of 8, 16 or 32 bits.

Only what our networks are made of, a dozen kinds of nodes: so every one of them is in sight, the file has no more than
it needs, and any height and width goes through it. `rounded` is the same network in PyTorch with the same filters:
what a runtime makes of the file can be compared with it.
"""

from __future__ import annotations

import copy
from functools import singledispatch

import numpy as np
import torch
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper
from torch import Tensor, nn

from course_lib.networks.layers import InstanceNorm, ResidualBlock
from course_lib.networks.transformer_net import TransformerNet
from course_lib.networks.unet import UNet

OPSET, IR_VERSION = 19, 9
BITS = (8, 16, 32)


def export(network: nn.Module, *, bits: int = 8, about: dict[str, str] | None = None) -> bytes:
    """The network as ONNX: ``image`` (1, 3, H, W) float32 in [0, 1] → ``painted``, the same shape and range.

    Args:
        network: a `TransformerNet` or a `UNet`, normalized by the picture's own statistics.
        bits: of a filter's weights. 8: whole numbers and one scale for each output channel; filters that touch the
            picture's three colors keep 16 bits, because they are few and their errors are seen as they are.
        about: texts to write into the file.

    Raises:
        TypeError: another network, or a layer that there is no translation for.
        ValueError: an unknown number of bits.
    """
    if bits not in BITS:
        raise ValueError(f"filters can have {', '.join(map(str, BITS))} bits, got {bits}")
    graph = _Graph(bits)
    _trace(network, graph, "image")
    sides: list[int | str | None] = [1, 3, "height", "width"]
    picture = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name in ("image", "painted")]
    made = helper.make_graph(graph.nodes, type(network).__name__, picture[:1], picture[1:], graph.constants)
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
            own = _bits(weight, bits, colors)
            if own == 16:
                module.weight.data = weight.half().float()
            elif own <= 8:
                whole, scale = _whole(weight, _channels(module), own)
                module.weight.data = whole * scale
    return network


def _bits(weight: Tensor, bits: int, colors: int = 16) -> int:
    return colors if bits <= 8 and 3 in weight.shape[:2] else bits


def _channels(layer: nn.Module) -> int:
    """Which axis of a filter counts its output channels."""
    return 1 if isinstance(layer, nn.ConvTranspose2d) else 0


def _whole(weight: Tensor, axis: int, bits: int = 8) -> tuple[Tensor, Tensor]:
    """Whole numbers, of 8 bits from −127 to 127, and the scale of each output channel, shaped to multiply them."""
    others = [dim for dim in range(weight.ndim) if dim != axis]
    scale = weight.abs().amax(others, keepdim=True) / (2 ** (bits - 1) - 1)  # the same on both sides of zero
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return (weight / scale).round(), scale


class _Graph:
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

    def filters(self, layer: nn.Conv2d | nn.ConvTranspose2d) -> list[str]:
        """Weights, which become float32 again when the file is loaded, and the bias, which always is."""
        weight, axis = layer.weight.data, _channels(layer)
        bits = _bits(weight, self.bits)
        if bits == 8:
            whole, scale = _whole(weight, axis)
            parts = [self.constant(whole.to(torch.int8)), self.constant(scale.flatten())]
            name = self.add("DequantizeLinear", *parts, axis=axis)
        elif bits == 16:
            name = self.add("Cast", self.constant(weight.half()), to=TensorProto.FLOAT)
        else:
            name = self.constant(weight)
        return [name] if layer.bias is None else [name, self.constant(layer.bias.data)]


@singledispatch
def _trace(layer: nn.Module, graph: _Graph, x: str) -> str:
    known = ", ".join(sorted(kind.__name__ for kind in _trace.registry if kind is not object))
    raise TypeError(f"there is no ONNX here for a {type(layer).__name__}; there is for {known}")


@_trace.register
def _(layer: nn.Sequential, graph: _Graph, x: str) -> str:
    for part in layer:
        x = _trace(part, graph, x)
    return x


@_trace.register
def _(layer: nn.Conv2d, graph: _Graph, x: str) -> str:
    border = 2 * list(layer.padding)
    if layer.padding_mode == "reflect":  # a node of its own: ONNX convolutions know only borders of zeros
        x = graph.add("Pad", x, graph.constant([0, 0, *border[:2], 0, 0, *border[2:]]), mode="reflect")
        border = [0] * 4
    return graph.add("Conv", x, *graph.filters(layer), pads=border, strides=list(layer.stride))


@_trace.register
def _(layer: nn.ConvTranspose2d, graph: _Graph, x: str) -> str:
    extra = {"output_padding": list(layer.output_padding)}
    pads, strides = 2 * list(layer.padding), list(layer.stride)
    return graph.add("ConvTranspose", x, *graph.filters(layer), pads=pads, strides=strides, **extra)


@_trace.register
def _(layer: InstanceNorm, graph: _Graph, x: str) -> str:
    parts = graph.constant(layer.weight.data), graph.constant(layer.bias.data)
    return graph.add("InstanceNormalization", x, *parts, epsilon=layer.eps)


@_trace.register
def _(layer: nn.Upsample, graph: _Graph, x: str) -> str:
    scale = float(layer.scale_factor)  # type: ignore[arg-type]
    scales = graph.constant([1, 1, scale, scale], np.float32)
    how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return graph.add("Resize", x, "", scales, mode="nearest", **how)


@_trace.register
def _(layer: nn.ReLU, graph: _Graph, x: str) -> str:
    return graph.add("Relu", x)


@_trace.register
def _(layer: nn.LeakyReLU, graph: _Graph, x: str) -> str:
    return graph.add("LeakyRelu", x, alpha=layer.negative_slope)


@_trace.register
def _(layer: nn.Tanh, graph: _Graph, x: str) -> str:
    return graph.add("Tanh", x)


@_trace.register
def _(layer: nn.Dropout, graph: _Graph, x: str) -> str:
    return x  # evaluation mode: nothing is dropped


@_trace.register
def _(layer: ResidualBlock, graph: _Graph, x: str) -> str:
    return graph.add("Add", x, _trace(layer.body, graph, x))


@_trace.register
def _(network: TransformerNet, graph: _Graph, x: str) -> str:
    size = graph.add("Slice", graph.add("Shape", x), graph.constant([2]), graph.constant([4]))  # (H, W)
    missing = graph.add("Mod", graph.add("Neg", size), graph.constant([4]))  # up to the next multiple of four
    pads = graph.add("Concat", graph.constant([0] * 6), missing, axis=0)
    x = graph.add("Pad", x, pads, mode="reflect")
    x = graph.add("Mul", graph.add("Sub", x, graph.number(0.5)), graph.number(4))
    for part in (network.down, network.blocks, network.up, network.paint):
        x = _trace(part, graph, x)
    x = _picture(graph, graph.add("Tanh", x))
    return graph.add("Slice", x, graph.constant([0, 0]), size, graph.constant([2, 3]), output="painted")


@_trace.register
def _(network: UNet, graph: _Graph, x: str) -> str:
    x = graph.add("Sub", graph.add("Mul", x, graph.number(2)), graph.number(1))
    found = []
    for part in network.down:
        x = _trace(part, graph, x)
        found.append(x)
    found.pop()
    for part in network.up:
        x = _trace(part, graph, x)
        x = graph.add("Concat", x, found.pop(), axis=1) if network.skips else x
    return _picture(graph, _trace(network.paint, graph, x), "painted")


def _picture(graph: _Graph, x: str, output: str | None = None) -> str:
    """From [−1, 1] to [0, 1]."""
    return graph.add("Add", graph.add("Mul", x, graph.number(0.5)), graph.number(0.5), output=output)
