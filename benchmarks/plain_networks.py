"""A network of this package as a tutorial would write it: PyTorch's own layers, in its default memory layout."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

from course_lib.networks.convolutions import DoublingConv, HalvingConv, ReflectedConv, ResizeConv
from course_lib.networks.layers import InstanceNorm

Network = TypeVar("Network", bound=nn.Module)


def plain(network: Network) -> Network:
    """A copy of `network` with the same parameters, in which PyTorch's layers replace ours."""
    copied = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    for parent in [*copied.modules()]:
        for name, layer in parent.named_children():
            setattr(parent, name, _plain(layer))
    return copied


def _plain(layer: nn.Module) -> nn.Module:
    if isinstance(layer, ResizeConv):
        return nn.Sequential(*(_plain(part) for part in layer))
    replaced: nn.Module
    if isinstance(layer, ReflectedConv):
        replaced = nn.Conv2d(
            layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding,
            bias=layer.bias is not None, padding_mode="reflect",
        )  # fmt: skip
    elif isinstance(layer, HalvingConv):
        replaced = nn.Conv2d(layer.in_channels, layer.out_channels, 4, stride=2, padding=1, bias=False)
    elif isinstance(layer, DoublingConv):
        replaced = nn.ConvTranspose2d(layer.in_channels, layer.out_channels, 4, stride=2, padding=1, bias=False)
    elif isinstance(layer, InstanceNorm):
        replaced = nn.InstanceNorm2d(layer.num_features, eps=layer.eps, affine=layer.affine)
    else:
        return layer
    replaced.load_state_dict(layer.state_dict())
    tensors = [*layer.parameters()]  # an instance normalization without scale and shift has none
    return replaced.to(tensors[0].device) if tensors else replaced
