"""The style of a region: guided Gram matrices (Gatys et al. 2017, Section 4).

Each region r has a guide T_r, one number for each position of a layer. Its style is the Gram matrix of the guided
features, and the term compares it with that of the region's counterpart in the painting:

    G_r = Σ_k T_rk² F_k F_kᵀ    with Σ_k T_rk² = 1,        E_r = s · Σ (G_r − A_r)²

F_k is the vector of all channels at position k. With T constant, G_r is the mean over positions, and the term is that
of the whole picture. Positions outside the region have no influence and get no gradient.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from course_lib.losses.perceptual import AddGradient, as_rows
from course_lib.losses.style import SIZE_INDEPENDENT, Convention, at_least_float32, check_features, gram_distance


def guided_gram(features: Tensor, region: Tensor) -> Tensor:
    """Correlations between the channels inside a region, Σ_k T_k² F_k F_kᵀ (Gatys et al. 2017, Eq. 6).

    Args:
        features: (1, C, h, w), any float format.
        region: (1, 1, h, w) of numbers of at least 0, not all of them 0: T² up to a factor, the share of each position
            that the region covers. It is divided by its sum.

    Returns:
        (1, C, C), float32 at least. With a constant region it is ``gram_matrix(features, mean=True)``.

    Raises:
        ValueError: other shapes, a negative number, or a region that is 0 everywhere.

    >>> features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])
    >>> guided_gram(features, torch.tensor([[[[0.0, 5.0]]]]))  # the second position alone
    tensor([[[ 4.,  8.],
             [ 8., 16.]]])
    """
    check_features(features)
    return _gram(features, _shares(features, region))


class GuidedStyle:
    """The style term of one region at one layer, for `PerceptualLoss`.

    Args:
        name: in the history of a run.
        layer: whose features it reads.
        weight: a factor.
        region: (1, 1, h, w) of the picture at this layer, as for `guided_gram`.
        target: (1, C, C), the `guided_gram` of the region's counterpart in the painting.
        convention: how the term is scaled.

    Raises:
        ValueError: a region that `guided_gram` refuses.
    """

    def __init__(
        self,
        name: str,
        layer: str,
        weight: float,
        region: Tensor,
        target: Tensor,
        convention: Convention = SIZE_INDEPENDENT,
    ) -> None:
        self.name, self.layer, self.weight, self.target, self.convention = name, layer, weight, target, convention
        self.shares = _shares(region, region)

    def __call__(self, features: Tensor) -> tuple[Tensor, AddGradient]:
        """The term and its gradient; see `FeatureTerm`.

        Raises:
            ValueError: features whose size is not that of the region, or with other channels than the target.
        """
        check_features(features)
        channels, size = self.target.shape[-1], tuple(self.shares.shape[2:])
        if features.shape[1] != channels or features.shape[2:] != size:
            raise ValueError(
                f"{self.name} expects features (1, {channels}, {size[0]}, {size[1]}), as its region and its target "
                f"have, got {tuple(features.shape)}"
            )
        difference = _gram(features, self.shares) - self.target  # (1, C, C); nothing is read by the host here
        value = self.weight * gram_distance(difference, self.convention)
        return value.float(), partial(self._add, features, difference)

    def _add(self, features: Tensor, difference: Tensor, gradient: Tensor, factor: Tensor) -> None:
        """Add 4s T_k² (G − A) F_k."""
        slope = self.weight * self.convention.style_slope(features.shape[1], 1)  # T² takes the place of 1/M
        matrix = (factor * slope * difference).to(gradient.dtype)  # (1, C, C)
        guided = features * self.shares.to(features.dtype)
        as_rows(gradient).baddbmm_(as_rows(guided.contiguous(memory_format=torch.channels_last)), matrix)


def _gram(features: Tensor, shares: Tensor) -> Tensor:
    rows = at_least_float32(features).flatten(2)  # (1, C, M)
    return (rows * shares.flatten(2).to(rows)) @ rows.transpose(1, 2)


def _shares(features: Tensor, region: Tensor) -> Tensor:
    """The region, divided by its sum, in float32 at least."""
    if not isinstance(region, Tensor) or region.ndim != 4 or region.shape[:2] != (1, 1):
        got = tuple(region.shape) if isinstance(region, Tensor) else type(region).__name__
        raise ValueError(f"a region of features must be a tensor (1, 1, h, w), got {got}")
    if region.shape[2:] != features.shape[2:]:
        sizes = " and ".join(f"{each.shape[2]}×{each.shape[3]}" for each in (region, features))
        raise ValueError(f"a region and the features must have one size, got {sizes}; propagate the mask to the layer")
    region = at_least_float32(region.to(features.device))
    if not bool(((region >= 0) & region.isfinite()).all()) or not bool(region.any()):
        raise ValueError("a region must have finite numbers of at least 0, and not be 0 everywhere")
    return region / region.sum()
