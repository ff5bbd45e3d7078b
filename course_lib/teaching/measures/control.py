"""Measures of chapter 13: color, place and scale, after Gatys et al. 2017.

``blend`` names two paintings; ``size`` is the long side in pixels at which a function loads paintings itself.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import mean

import torch
from torch import Tensor

from course_lib import samples
from course_lib.colors import COLOR_MATCHES, match_colors
from course_lib.evaluation import metrics
from course_lib.masks import Regions
from course_lib.methods import control
from course_lib.pretrained.vgg import STYLE_LAYERS
from course_lib.teaching.measures.measured import Measured

OTHER = "poppies"  # the painting of the right half
_START = "mixed"  # of noise and photograph: the seed matters, and few steps are enough


def color_match(photo: Tensor, painting: Tensor) -> Measured:
    """How far the colors' mean and covariance are from the photograph's, after each of the three matches.

    In double precision and without clipping; the largest difference of the three counts. "degenerate" is the same
    painting in gray, whose covariance has one direction only: it can get the photograph's mean.

    Source: Gatys et al. 2017, Section 5.2.
    """
    photo, painting = photo.double(), painting.double()
    gray = painting.mean(1, keepdim=True).expand_as(painting).contiguous()
    numbers = dict.fromkeys(("mean", "covariance", "mean, degenerate"), 0.0)
    images = {}
    goal, spread = _mean_and_covariance(photo)
    for method in COLOR_MATCHES:
        matched, flat = (match_colors(picture, photo, method) for picture in (painting, gray))
        found, covariance = _mean_and_covariance(matched)
        apart = {
            "mean": (found - goal).abs().max().item(),
            "covariance": (covariance - spread).abs().max().item(),
            "mean, degenerate": (_mean_and_covariance(flat)[0] - goal).abs().max().item(),
        }
        numbers = {name: max(value, apart[name]) for name, value in numbers.items()}
        images[method] = matched.clamp(0, 1).float()
    return Measured(numbers, images)


def colors_kept(photo: Tensor, painting: Tensor, *, steps: int, seed: int) -> Measured:
    """Distance of the colors to the photograph's: with the painting's colors, with matched ones, with luminance only.

    The distance is that of the means plus that of the covariances (norms of the differences).

    Source: Gatys et al. 2017, Section 5.
    """
    config = control.Config(num_steps=steps, seed=seed, start=_START, scales=None)
    images = {
        colors: control.stylize(photo, painting, replace(config, colors=colors)).image for colors in control.COLORS
    }
    mean_, spread = _mean_and_covariance(photo)
    numbers = {}
    for colors, image in images.items():
        found, covariance = _mean_and_covariance(image)
        numbers[colors] = ((found - mean_).norm() + (covariance - spread).norm()).item()
    return Measured(numbers, images)


def place(photo: Tensor, painting: Tensor, *, steps: int, seed: int, size: int) -> Measured:
    """How much of the other region's style a region has, with both paintings everywhere and with guided Gram matrices.

    The left half of the picture takes its style from the case's painting, the right half from Hokusai's Poppies. The
    leak of a half is its Gram distance to its own painting, divided by that to the other one (mean relative distance at
    five layers, of the half cut out of the picture); the larger one of the two halves counts.

    Source: Gatys et al. 2017, Section 4.
    """
    paintings = [painting, samples.sample_image(OTHER, size)]
    half = photo.shape[-1] // 2
    left = torch.zeros_like(photo[:, :1])
    left[..., :half] = 1
    regions = Regions.split([left, 1 - left], names=["left", "right"])
    config = control.Config(num_steps=steps, seed=seed, start=_START, scales=None)
    images = {
        "both everywhere": control.stylize(photo, paintings, config).image,
        "guided": control.stylize(photo, paintings, config, regions=regions).image,
    }
    return Measured({name: _leak(image, half, paintings) for name, image in images.items()}, images)


def fine_style(*, blend: tuple[str, str], steps: int, size: int) -> Measured:
    """A painting with the strokes of another one: which of the two it resembles, layer by layer.

    At each layer, the relative Gram distance to the fine painting (in the coarse one's colors), divided by that to the
    coarse painting: below one, the picture is nearer to the fine one.

    Source: Gatys et al. 2017, Section 6.
    """
    coarse, fine = (samples.sample_image(name, size) for name in blend)
    made = control.with_fine_style(coarse, fine, control.Config(num_steps=steps))
    matched = match_colors(fine, coarse).clamp(0, 1)
    to_fine, to_coarse = (metrics.gram_distance(made, goal) for goal in (matched, coarse))
    numbers = {layer: to_fine[layer] / to_coarse[layer] for layer in STYLE_LAYERS}
    return Measured(numbers, {"coarse": coarse, "fine": matched, "both": made})


def _mean_and_covariance(picture: Tensor) -> tuple[Tensor, Tensor]:
    """(3,) and (3, 3) of a picture's colors."""
    colors = picture[0].flatten(1)
    return colors.mean(1), torch.cov(colors, correction=0)


def _leak(image: Tensor, half: int, paintings: list[Tensor]) -> float:
    """The larger one of the two halves' leaks."""
    parts = (image[..., :half], image[..., half:])
    ratios = []
    for k, part in enumerate(parts):
        own, other = (mean(metrics.gram_distance(part, goal).values()) for goal in (paintings[k], paintings[1 - k]))
        ratios.append(own / other)
    return max(ratios)
