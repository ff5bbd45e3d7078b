"""Measures of chapter 12: any style with one decoder, after Huang & Belongie.

``blend`` names two paintings; ``size`` is the long side in pixels at which a function loads paintings itself.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from course_lib import samples
from course_lib.losses.feature_statistics import MEANS, statistics_loss
from course_lib.methods import adain
from course_lib.pretrained.vgg import cached_network
from course_lib.teaching.measures.measured import Measured

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")  # of AdaIN's style loss


def alpha(photo: Tensor, painting: Tensor) -> Measured:
    """AdaIN's style loss to the painting and the distance to the photograph's relu4_1, at five values of α.

    Source: Huang & Belongie 2017, Section 7.3.
    """
    images = {f"α = {a:g}": adain.stylize(photo, painting, alpha=a).image for a in SHARES}
    before, goal = _features(photo)[LAYERS[-1]], _features(painting)
    numbers = {}
    for a, image in zip(SHARES, images.values(), strict=True):
        found = _features(image)
        numbers[f"style at {a:g}"] = _statistics(found, goal)
        numbers[f"content at {a:g}"] = (found[LAYERS[-1]] - before).square().mean().item()
    return Measured(numbers, images)


def run_time(photo: Tensor, *, blend: tuple[str, str], size: int) -> Measured:
    """Four controls of one network: degree of stylization, interpolation, the photograph's colors, regions.

    The distance to a painting is AdaIN's style loss; that of colors is the distance of their means plus that of their
    covariances. The regions are the left half of the picture (first painting) and the right half (second one).

    Source: Premamayudu et al. 2019, Section 4.
    """
    pair = [samples.sample_image(name, size) for name in blend]
    goals = [_features(painting) for painting in pair]
    images = {f"α = {a:g}": adain.stylize(photo, pair[0], alpha=a).image for a in (0.0, 0.5, 1.0)}
    numbers = {f"style at {name[4:]}": _statistics(_features(image), goals[0]) for name, image in images.items()}
    for share in (0.0, 0.5, 1.0):
        image = adain.stylize(photo, pair, weights=(share, 1 - share)).image
        images[f"first at {share:g}"] = image
        for name, goal in zip(("first", "second"), goals, strict=True):
            numbers[f"{name} at {share:g}"] = _statistics(_features(image), goal)
    images["colors kept"] = adain.stylize(photo, pair[0], keep_colors=True).image
    numbers["colors, kept"] = _color_distance(images["colors kept"], photo)
    numbers["colors, painted"] = _color_distance(images["α = 1"], photo)
    left = torch.zeros_like(photo[:, :1])
    half = photo.shape[-1] // 2
    left[..., :half] = 1
    images["regions"] = image = adain.stylize(photo, pair, masks=torch.cat((left, 1 - left))).image
    halves = [_features(part) for part in (image[..., :half], image[..., half:])]
    for k, name in enumerate(("first", "second")):
        numbers[f"{name} in its half"] = _statistics(halves[k], goals[k])
        numbers[f"{name} in the other half"] = _statistics(halves[1 - k], goals[k])
    return Measured(numbers, images)


def _features(image: Tensor) -> dict[str, Tensor]:
    """Features of AdaIN's encoder at the layers of its style loss."""
    network = cached_network("vgg19", LAYERS, "max", "default", torch.float32, torch.device("cpu"), "reflect")
    with torch.no_grad():
        return network(image)


def _statistics(features: Mapping[str, Tensor], goal: Mapping[str, Tensor]) -> float:
    """AdaIN's style loss: means over channels, summed over layers."""
    return sum(statistics_loss(features[layer], goal[layer], MEANS).item() for layer in LAYERS)


def _color_distance(image: Tensor, other: Tensor) -> float:
    """The distance of the mean colors plus that of the covariances of the colors (norms of the differences)."""
    a, b = (x[0].flatten(1) for x in (image, other))
    return ((a.mean(1) - b.mean(1)).norm() + (torch.cov(a) - torch.cov(b)).norm()).item()
