"""Checks of how a student's code uses a pretrained network: what goes in, and what must not change."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_lib.pretrained.vgg import VGGFeatures
from course_lib.teaching.checks.base import attempt_as_described, need, random, tensor

_LAYERS = ("relu1_1", "relu2_1", "relu3_1")  # a student may ask for any of these


def spied(network: VGGFeatures) -> list[Tensor]:
    """Note the pictures that a network is given from now on, however it is called.

    Returns:
        The list that grows: a copy of each picture.
    """
    arrived: list[Tensor] = []
    kind = type(network)

    class Spied(kind):  # type: ignore[misc, valid-type]
        def forward(self, image: Tensor, *more: Any, **named: Any) -> dict[str, Tensor]:
            if isinstance(image, Tensor):
                arrived.append(image.detach().as_subclass(Tensor).clone())
            features: dict[str, Tensor] = super().forward(image, *more, **named)
            return features

    Spied.__name__ = Spied.__qualname__ = kind.__name__
    network.__class__ = Spied  # and not its `forward`, which a copy of the network would share
    return arrived


def check_only_the_picture_learns(function: Callable[[VGGFeatures, Tensor], Any]) -> None:
    """Check an optimization of a few steps that must not change the network.

    Args:
        function: ``function(network, picture)`` → the new picture (1, 3, H, W). The parameters of the network require
            gradients, as they do after training.

    Raises:
        CheckFailed: the network changed, gradients were computed for it, or the picture did not change.
    """
    network = VGGFeatures("vgg19", _LAYERS, weights=None).requires_grad_(True)
    before = copy.deepcopy(network.state_dict())
    picture = random(1, 3, 32, 32)
    kept = picture.clone()
    arrived = spied(network)
    result = tensor(attempt_as_described(function, network, picture))
    need(
        result.shape == picture.shape, f"the result must be a picture {tuple(picture.shape)}, got {tuple(result.shape)}"
    )
    moved = [name for name, value in network.state_dict().items() if not torch.equal(value, before[name])]
    need(
        not moved,
        f"after the run, {len(moved)} of the network's {len(before)} tensors have changed. The loss fell, but not "
        "because the picture got better; what else is being optimized?",
    )
    computed = [name for name, parameter in network.named_parameters() if parameter.grad is not None]
    need(
        not computed,
        f"gradients were computed for {len(computed)} of the network's own tensors, although the network is not "
        "trained; that wastes time and memory",
    )
    need(not torch.equal(result, kept), "the picture has not changed; it is what the optimizer should change")
    need(bool(arrived), "the network was not called; the picture cannot have come from its features")
    print("✓ only the picture learns")


def check_normalized_once(function: Callable[[VGGFeatures, Tensor], Any]) -> None:
    """Check that the network, which normalizes its input itself, is given a picture in [0, 1].

    Args:
        function: ``function(network, picture)``; it must call the network on the picture. Its result is not used.

    Raises:
        CheckFailed: the network is not called, or it gets anything other than the picture.
    """
    network = VGGFeatures("vgg19", _LAYERS, weights=None)
    arrived, picture = spied(network), random(1, 3, 32, 32)
    attempt_as_described(function, network, picture)
    need(bool(arrived), "the network was not called")
    low, high = min(x.min().item() for x in arrived), max(x.max().item() for x in arrived)
    need(
        low >= -0.01 and high <= 1.01,
        f"the network gets values from {low:.2f} to {high:.2f}, but it expects a picture in [0, 1]. What happens to "
        "the picture before the network, and what does the network itself do first?",
    )
    given = arrived[0]
    need(
        given.shape == picture.shape and bool((given - picture).abs().max() < 1e-5),
        f"the network gets a different picture from the one given to your function (mean {given.mean():.2f} instead of "
        f"{picture.mean():.2f})",
    )
    print("✓ the network gets a picture, which is normalized once")
