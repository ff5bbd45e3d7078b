"""The objective of a network that learns one painting (Johnson, Alahi & Fei-Fei 2016, Eq. 5 without the expectation).

    λ_c ℓ_feat(f_W(x), x) + λ_s Σ_l ℓ_style,l(f_W(x), y_s) + λ_TV ℓ_TV(f_W(x))

with the losses of `losses.perceptual` in Johnson's convention.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from course_lib import runtime
from course_lib.images import check_pictures, resize
from course_lib.losses.balance import layer_weights
from course_lib.losses.perceptual import PerceptualLoss
from course_lib.losses.style import JOHNSON, total_variation_loss
from course_lib.pretrained.vgg import VGGFeatures


def painting_objective(style: Tensor, config: Any) -> PerceptualLoss:
    """ℓ_feat and ℓ_style with the painting's Gram matrices set (Eqs. 2–4); the caller calls `set_content`.

    Args:
        style: (1, 3, h, w) in [0, 1]; resized to a long side of ``config.style_size``.
        config: of a method; its `content_layers`, `style_layers`, `content_weight`, `style_weight`, `arch`,
            `weights`, `precision` and `device` are used, and `style_layer_weights`: what each style term counts.

    Raises:
        ImageError: not one picture in [0, 1].
    """
    check_pictures(style, "the style image", single=True)
    device = runtime.pick_device(config.device)
    names = tuple(dict.fromkeys((*config.content_layers, *config.style_layers)))
    precision = runtime.pick_precision(config.precision, device)
    network = VGGFeatures(config.arch, names, pooling="max", weights=config.weights, precision=precision).to(device)
    shares = layer_weights(
        config.style_layer_weights, config.style_layers, arch=config.arch, pooling="max", weights=config.weights
    )
    loss = PerceptualLoss(
        network,
        content=JOHNSON.join(config.content_weight, config.content_layers),
        style=JOHNSON.join(config.style_weight, config.style_layers, shares),
        convention=JOHNSON,
    )
    loss.set_style([resize(style.detach().float(), config.style_size).to(device)])
    return loss


def painting_names(loss: PerceptualLoss, tv_weight: float) -> tuple[str, ...]:
    """The names of the terms that `painting_terms` returns."""
    return (*loss.names, *(("tv",) if tv_weight > 0 else ()))


def painting_terms(loss: PerceptualLoss, painted: Tensor, photos: Tensor, tv_weight: float) -> Tensor:
    """Every weighted term, (K,): means over the batch.

    Args:
        loss: from `painting_objective`.
        painted: (N, 3, H, W) in [0, 1], f_W(x).
        photos: (N, 3, H, W) in [0, 1], x.
        tv_weight: λ_TV, on the mean over pixels.
    """
    loss.set_content(photos)
    terms: Tensor = loss(painted) / len(photos)
    if tv_weight > 0:
        terms = torch.cat((terms, tv_weight * total_variation_loss(painted).view(1)))
    return terms
