"""Content and style terms for a batch whose pictures have different paintings (Dumoulin, Shlens & Kudlur 2017).

Each picture is compared with the Gram matrices of its own painting. As in `PerceptualLoss`, the gradient is computed in
closed form.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from course_lib.losses.perceptual import PerceptualLoss
from course_lib.losses.style import SIZE_INDEPENDENT, Convention, gram_distance, gram_matrix
from course_lib.pretrained.vgg import VGGFeatures

_LEAST = 1e-12  # a style term of 0 has no reciprocal


class ManyStyles:
    """Weighted content and style terms, each picture with the Gram matrices of its own painting.

    The style terms of photos differ from painting to painting, by a factor of two for the paintings of this package.
    With `comparable` photos, each painting's style terms get a factor a_s, so that their sum, averaged over those
    photos, is the same for all paintings. Without it, paintings with small style terms are learned late or not at all.

    Args:
        network: a `VGGFeatures` whose `layers` include all layers named below.
        paintings: each (1, 3, h, w) in [0, 1], any size.
        content: content layer → weight of its term.
        style: style layer → weight of its term.
        convention: how the terms are scaled.
        comparable: (N, 3, H, W) in [0, 1], the photos; None: a_s = 1.
        start: that common value; None: the geometric mean of the values without factors.

    >>> network = VGGFeatures(layers=["relu1_1", "relu2_1"], weights=None)
    >>> paintings, photos = [torch.rand(1, 3, 16, 16), torch.rand(1, 3, 20, 24).round()], torch.rand(3, 3, 16, 16)
    >>> loss = ManyStyles(network, paintings, content={"relu2_1": 1.0}, style={"relu1_1": 1.0}, comparable=photos)
    >>> [round((value / loss.start).item(), 3) for value in loss.style_terms(photos)]
    [1.0, 1.0]
    """

    def __init__(
        self,
        network: VGGFeatures,
        paintings: Sequence[Tensor],
        *,
        content: Mapping[str, float],
        style: Mapping[str, float],
        convention: Convention = SIZE_INDEPENDENT,
        comparable: Tensor | None = None,
        start: float | None = None,
    ) -> None:
        self.loss = PerceptualLoss(network, content=content, style=style, convention=convention)
        self.names, self.start = self.loss.names, start
        grams = []
        for painting in paintings:
            self.loss.set_style([painting])
            grams.append(self.loss.style_targets)
            self.loss.style_targets = {}
        self.grams = {layer: torch.cat([each[layer] for each in grams]) for layer in style}  # (S, C, C)
        self.factors = torch.ones(len(grams), device=network.mean.device)  # a_s
        if comparable is not None and style:
            values = self.style_terms(comparable).clamp(min=_LEAST)
            self.start = math.exp(values.log().mean().item()) if start is None else start
            self.factors = (self.start / values).to(self.factors)

    def __call__(self, painted: Tensor, photos: Tensor, styles: Tensor) -> Tensor:
        """All weighted terms, means over the batch; they can be differentiated with respect to `painted`.

        Args:
            painted: (N, 3, H, W) in [0, 1].
            photos: (N, 3, H, W) in [0, 1].
            styles: (N,), the number of the painting that each picture is compared with.

        Returns:
            (K,) float32, in the order of `names`.
        """
        self.loss.set_content(photos)
        self.loss.style_targets = {layer: grams[styles] for layer, grams in self.grams.items()}
        self.loss.style_factors = self.factors[styles]
        terms: Tensor = self.loss(painted) / len(photos)
        return terms

    @torch.no_grad()
    def style_terms(self, pictures: Tensor) -> Tensor:
        """a_s Σ_l ℓ_l for each painting, without the weights of the layers: the mean over the pictures, (S,) float64.

        Args:
            pictures: (N, 3, H, W) in [0, 1].
        """
        totals = torch.zeros(len(self.factors), dtype=torch.float64)
        for picture in pictures.to(self.factors.device).split(1):
            features = self.loss.network.targets(picture, tuple(self.loss.style))
            for layer, grams in self.grams.items():
                gram = gram_matrix(features[layer], mean=True)
                totals += torch.stack(
                    [gram_distance(gram - target, self.loss.convention).double().cpu() for target in grams.split(1)]
                )
        return totals / len(pictures) * self.factors.cpu()
