"""A measure of chapter 18: whether an untrained generator can respond to the label it is given."""

from __future__ import annotations

import torch

from course_lib import runtime
from course_lib.data.facades import draw_facade
from course_lib.networks.stargan import PADDINGS, StarDiscriminator, StarGenerator
from course_lib.teaching.measures.measured import Measured

DOMAINS = 5  # of the paper's faces


def label(*, size: int, seed: int) -> Measured:
    """How far the output of the paper's untrained generator moves with the label, for both kinds of border.

    The label enters as constant planes. Behind a reflected border, a convolution of a constant plane is a constant, and
    instance normalization subtracts it with the mean, so that the output does not depend on the label. Behind a border
    of zeros, what the plane adds is smaller along the edge, and the mean cannot remove it.

    Args:
        size: of the street that the generator is given, in pixels.
        seed: of the weights, the same for both borders, and of the street.

    Returns:
        ``"moved, zeros"`` and ``"moved, reflect"``: mean absolute difference between the outputs for two labels, over
        all pairs of five, in float32 and for pictures in [0, 1]; and ``"parameters"`` of generator and discriminator at
        the paper's size, 128 px.

    Source: Choi et al. 2018, Sections 4 and 5.5; the border, a remark in the released code.
    """
    street = draw_facade(5, size=size, seed=1 + seed, weather="clear").photo[None]
    numbers = {}
    for padding in PADDINGS:
        with runtime.seeded(seed, torch.device("cpu")), torch.no_grad():
            network = StarGenerator(DOMAINS, padding=padding)
            made = torch.cat([network(street, row[None]) for row in torch.eye(DOMAINS)])
        apart = (made[:, None] - made).abs().mean((2, 3, 4))  # (5, 5), zero where a label meets itself
        numbers[f"moved, {padding}"] = apart.sum().item() / (DOMAINS * (DOMAINS - 1))
    with torch.device("meta"):
        networks = StarGenerator(DOMAINS), StarDiscriminator(DOMAINS)
    count = sum(parameter.numel() for each in networks for parameter in each.parameters())
    return Measured({**numbers, "parameters": count})
