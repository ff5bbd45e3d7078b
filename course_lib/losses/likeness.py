"""How much two pictures are alike: colors and features, as an objective of one of them."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from course_lib.losses.perceptual import PerceptualLoss
from course_lib.optimize.objective import Objective, Term
from course_lib.pretrained.vgg import VGGFeatures

LAYERS = {"relu1_2": 1.0, "relu2_2": 1.0, "relu3_3": 1.0}  # of VGG-16 → weights
COLORS = 10.0  # weight of the mean squared difference of colors


def likeness(image: Tensor, *, weights: str | Path | None = "default") -> Objective:
    """Mean squared differences from `image`, of colors and of the features of three layers of VGG-16.

    Args:
        image: (1, 3, H, W) in [0, 1], at least 4 px.
        weights: of VGG-16, see `course_lib.pretrained.vgg.VGGFeatures`.

    Returns:
        The terms ``"content/relu1_2"``, ``"content/relu2_2"``, ``"content/relu3_3"``, and ``"colors"``, on the device
        of `image`.

    >>> import torch
    >>> gray = torch.full((1, 3, 8, 8), 0.5)
    >>> objective = likeness(gray, weights=None)
    >>> objective(gray).tolist(), round(objective(gray + 0.1)[-1].item(), 4)
    ([0.0, 0.0, 0.0, 0.0], 0.1)
    """
    network = VGGFeatures("vgg16", list(LAYERS), weights=weights).to(image.device)
    features = PerceptualLoss(network, content=LAYERS)
    features.set_content(image)
    return Objective([features, Term("colors", COLORS, lambda made: (made - image).square().mean())])
