"""How much each style layer counts: w_l of Gatys et al. 2016, Eq. 5, as a word or as numbers.

One style term grows with the *fourth* power of its layer's activations: G is a product of two, and Eq. 4 squares it.
The published VGG-19 has a mean activation of one with max pooling. With average pooling, which the paper uses, less is
passed on: 1.05 at relu1_1, but 0.26 at relu5_1. So "equal" weights are far from equal: relu5_1 counts about 1/256 of
relu1_1, and color and grain are matched long before strokes and shapes.

The weights 1/a_l⁴, with a_l the mean activation, would undo that completely, and the picture loses its colors. The
weights 1/a_l² undo half of it, in orders of magnitude; chapter 4 shows what was compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from course_lib import config_checks
from course_lib.images import load_image
from course_lib.pretrained.vgg import cached_network
from course_lib.samples import sample_path

BALANCES = ("balanced", "equal")
PHOTOS = ("chenonceau", "coffee", "dahlia", "golden_temple", "mont_saint_michel", "panda")
PHOTO_SIZE = 160  # the deep means change with the size, by a tenth from 128 to 320 px
_POWER = 2  # 0: equal, 4: full; chosen by eye


@lru_cache(maxsize=8)
def mean_activations(
    layers: tuple[str, ...], arch: str = "vgg19", pooling: str = "average", weights: str | Path | None = "default"
) -> tuple[float, ...]:
    """The mean absolute activation of each layer over six photographs of the package at 160 px, on the CPU in float32.

    Args:
        layers, arch, pooling, weights: as in `course_lib.VGGFeatures`.

    Raises:
        ValueError: an unknown layer, network or pooling.
        WeightsError: the weights are not available.

    >>> len(mean_activations(("relu1_1", "relu2_1"), weights=None))
    2
    """
    network = cached_network(arch, tuple(dict.fromkeys(layers)), pooling, weights, torch.float32, torch.device("cpu"))
    totals = dict.fromkeys(network.layers, 0.0)
    for name in PHOTOS:
        with torch.no_grad():
            for layer, features in network(load_image(sample_path(name), PHOTO_SIZE)).items():
                totals[layer] += features.abs().mean().item() / len(PHOTOS)
    return tuple(totals[layer] for layer in layers)


def layer_weights(
    balance: str | Sequence[float] | None,
    layers: Sequence[str],
    *,
    arch: str = "vgg19",
    pooling: str = "average",
    weights: str | Path | None = "default",
) -> tuple[float, ...]:
    """w_l for each style layer, from a word or from numbers.

    Args:
        balance: ``"equal"``: the paper's text, one for each layer. ``"balanced"``: 1/a_l², with a_l from
            `mean_activations`, in units of the first layer's and rounded to two digits, since other photographs give
            numbers that differ in the second. Numbers are returned as they are, and None is ``"equal"``.
        layers: the style layers.
        arch, pooling, weights: of the network, as in `course_lib.VGGFeatures`.

    Returns:
        One number for each layer; only their ratios matter (`Convention.join` scales them to sum to one).

    Raises:
        ValueError: an unknown word.
        WeightsError: the network's weights are not available.

    >>> layer_weights("equal", ["relu1_1", "relu5_1"])
    (1.0, 1.0)
    """
    if balance is None or balance == "equal" or not layers:
        return (1.0,) * len(layers)
    if isinstance(balance, tuple | list):
        return tuple(balance)
    if balance not in BALANCES:
        raise ValueError(f"the weights of the style layers are one of {BALANCES} or numbers, got {balance!r}")
    means = mean_activations(tuple(layers), arch, pooling, weights)
    return tuple(float(f"{(means[0] / mean) ** _POWER:.2g}") for mean in means)


def check_balance(config: Any) -> None:
    """Refuse `style_layer_weights` of a configuration that are neither a known word nor a number for each style layer.

    Args:
        config: the frozen dataclass, with `style_layers` and `style_layer_weights`; a list becomes a tuple.

    Raises:
        ValueError: an unknown word, or other numbers than one for each style layer.
    """
    if isinstance(config.style_layer_weights, str):
        config_checks.check(config, choices={"style_layer_weights": BALANCES})
    else:
        config_checks.check_shares(config, "style_layer_weights", len(config.style_layers), "style layers")
