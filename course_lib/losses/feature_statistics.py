"""AdaIN's style loss: how far the mean and the standard deviation of every channel are from the style's.

Symbols, after Huang & Belongie 2017: F (features of the picture) and S (features of the style image) at one layer with
C channels; μ_c and σ_c are the mean and the standard deviation of channel c over its positions. One layer's loss is

    s · Σ_c [ (μ_c(F) − μ_c(S))² + (σ_c(F) − σ_c(S))² ]                                                (Eq. 13)

and the objective adds λ times the sum over relu1_1, relu2_1, relu3_1 and relu4_1 to the content loss. The authors' code
sums over the channels, s = 1, with λ = 1e-2. pytorch-AdaIN, a widely used port, averages over them, s = 1/C, with
λ = 10. The layers have 64, 128, 256 and 512 channels, so no single λ converts one into the other:

    λ = 1e-2 on sums equals 1e-2 · C = 0.64, 1.28, 2.56 and 5.12 on means, layer by layer;
    λ = 10 on means equals 10 / C = 0.16, 0.078, 0.039 and 0.020 on sums.

*Differs from the paper:* Eq. 13 has norms; both codes, and this module, square them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from course_lib.losses.style import JOHNSON, at_least_float32, check_features, content_loss
from course_lib.pretrained.vgg import VGGFeatures


@dataclass(frozen=True)
class StatisticsConvention:
    """How a training code scales the loss of one layer: s = 1/C if `per_channel`, else 1."""

    name: str
    style_weight: float  # λ, the factor before the sum over layers
    per_channel: bool  # the mean over channels, not the sum
    unbiased: bool  # σ² divides by one less than the number of positions
    eps: float  # added under the root of σ, so that a constant channel has a finite gradient

    def style_coefficient(self, channels: int) -> float:
        """s, the factor before the sum over channels, for a layer of C channels."""
        return 1 / channels if self.per_channel else 1.0


SUMS = StatisticsConvention("sums", 1e-2, per_channel=False, unbiased=False, eps=1e-6)  # the authors' train.lua
MEANS = StatisticsConvention("means", 10.0, per_channel=True, unbiased=True, eps=1e-5)  # pytorch-AdaIN's train.py
STATISTICS_CONVENTIONS = {convention.name: convention for convention in (SUMS, MEANS)}


def channel_statistics(features: Tensor, *, unbiased: bool = False, eps: float = 1e-5) -> tuple[Tensor, Tensor]:
    """Mean μ and standard deviation σ = √(variance + ε) of each channel of each picture.

    Args:
        features: (N, C, H, W), any float format; the sums are in float32 at least.
        unbiased: divide the squares by H·W − 1 instead of H·W. A single position has the variance 0 either way.
        eps: added to the variance, so that the root has a finite gradient where a channel is constant.

    Returns:
        μ and σ, each (N, C, 1, 1).

    Raises:
        ValueError: if the shape is not (N, C, H, W), or the numbers are not floats.

    >>> mean, deviation = channel_statistics(torch.tensor([[[[1.0, 3.0]]]]), eps=0.0)
    >>> mean.item(), deviation.item()
    (2.0, 1.0)
    """
    check_features(features)
    correction = int(unbiased and features.shape[2] * features.shape[3] > 1)
    variance, mean = torch.var_mean(at_least_float32(features), (2, 3), correction=correction, keepdim=True)
    return mean, (variance + eps).sqrt()


def statistics_loss(features: Tensor, target: Tensor, convention: StatisticsConvention = SUMS) -> Tensor:
    """One layer's distance of channel statistics, s Σ [(μ − μ_S)² + (σ − σ_S)²] (Huang & Belongie 2017, Eq. 13).

    Args:
        features: (N, C, H, W) of the picture.
        target: (N or 1, C, h, w), features of the style image, of any size; no gradient reaches them.
        convention: SUMS (the authors' code) or MEANS (pytorch-AdaIN), without their λ.

    Returns:
        A scalar, summed over the batch; 0 if all statistics agree.

    Raises:
        ValueError: other shapes, or a number of targets that is neither 1 nor N.

    >>> picture, style = torch.tensor([[[[0.0, 2.0]]]]), torch.tensor([[[[5.0, 5.0, 1.0, 1.0]]]])
    >>> round(statistics_loss(picture, style).item(), 4)  # means 1 and 3, standard deviations 1 and 2
    5.0
    """
    check_features(features)
    check_features(target, "the style's features")
    if target.shape[1] != features.shape[1] or len(target) not in (1, len(features)):
        raise ValueError(
            f"the style's features must be (1 or {len(features)}, {features.shape[1]}, h, w), got "
            f"{tuple(target.shape)}; take both from the same layer, with one style for all pictures or one per picture"
        )
    mean, deviation = channel_statistics(features, unbiased=convention.unbiased, eps=convention.eps)
    with torch.no_grad():
        goal, spread = channel_statistics(target, unbiased=convention.unbiased, eps=convention.eps)
    squares = (mean - goal).square().sum() + (deviation - spread).square().sum()
    return convention.style_coefficient(features.shape[1]) * squares


def convert_statistics_weight(
    weight: float, source: StatisticsConvention, target: StatisticsConvention, channels: Mapping[str, int]
) -> dict[str, float]:
    """The weights of the layers in `target` that give the same gradient as one weight in `source`.

    For the means, the gradients are then equal. For the standard deviations, they are equal up to a factor of
    M / (M − 1) if one convention divides by M positions and the other by M − 1: 0.1 % at relu4_1 of a crop of 256 px.

    Args:
        weight: the factor before the sum over layers in `source`.
        channels: layer → number of its channels.

    Returns:
        Layer → the factor before its loss in `target`.

    >>> convert_statistics_weight(1e-2, SUMS, MEANS, {"relu1_1": 64, "relu2_1": 128, "relu3_1": 256, "relu4_1": 512})
    {'relu1_1': 0.64, 'relu2_1': 1.28, 'relu3_1': 2.56, 'relu4_1': 5.12}
    """
    return {
        layer: weight * source.style_coefficient(count) / target.style_coefficient(count)
        for layer, count in channels.items()
    }


class StatisticsLoss(nn.Module):
    """The objective of AdaIN's decoder, L = L_c + λ L_s (Huang & Belongie 2017, Eqs. 11 to 13).

    L_c is the mean of (f(g(t)) − t)² over the features f of one layer, where t are the features that the decoder g was
    given; L_s compares the channel statistics of the picture g(t) with those of the style image at several layers.

    Args:
        network: a `VGGFeatures` whose `layers` include all layers named below.
        content_layer: where f(g(t)) and t are compared.
        style_layers: where the statistics are compared.
        content_weight: the factor before L_c.
        style_weight: λ; None: the convention's own.
        convention: how L_s is scaled.

    Raises:
        ValueError: a layer that the network does not return.

    >>> network = VGGFeatures(layers=["relu1_1", "relu2_1"], weights=None)
    >>> loss = StatisticsLoss(network, content_layer="relu2_1", style_layers=["relu1_1", "relu2_1"])
    >>> photo, painting = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)
    >>> terms = loss(photo, network(photo)["relu2_1"], network(painting))
    >>> dict(zip(loss.names, (terms > 1e-6).tolist()))
    {'content/relu2_1': False, 'style/relu1_1': True, 'style/relu2_1': True}
    """

    def __init__(
        self,
        network: VGGFeatures,
        *,
        content_layer: str,
        style_layers: Sequence[str],
        content_weight: float = 1.0,
        style_weight: float | None = None,
        convention: StatisticsConvention = SUMS,
    ) -> None:
        super().__init__()
        self.network, self.convention, self.content_layer = network, convention, content_layer
        self.style_layers, self.content_weight = tuple(style_layers), content_weight
        self.style_weight = convention.style_weight if style_weight is None else style_weight
        unknown = [layer for layer in (content_layer, *self.style_layers) if layer not in network.layers]
        if unknown:
            raise ValueError(f"the network does not return {unknown}; its layers are {', '.join(network.layers)}")
        self.names = (f"content/{content_layer}", *(f"style/{layer}" for layer in self.style_layers))

    def forward(self, image: Tensor, target: Tensor, style: Mapping[str, Tensor]) -> Tensor:
        """All weighted terms; their sum is the loss.

        Args:
            image: (N, 3, H, W) in [0, 1], g(t).
            target: (N, C, h, w), t: what the features of `image` at the content layer should be.
            style: layer → (N or 1, C, h, w), features of the style images, as ``network.targets`` returns them.

        Returns:
            (K,) float32, in the order of `names`, summed over the batch.

        Raises:
            ValueError: features of other shapes; for the image, as `VGGFeatures.forward`.
        """
        with torch.autocast(image.device.type, enabled=False):  # the network sets its own precision
            found = dict(zip(self.network.layers, _Features.apply(image, self.network), strict=True))
            terms = [self.content_weight * content_loss(found[self.content_layer], target, JOHNSON)]
            for layer in self.style_layers:
                terms.append(self.style_weight * statistics_loss(found[layer], style[layer], self.convention))
            return torch.stack(terms)


class _Features(torch.autograd.Function):
    """The features of all layers of a frozen network; their gradients return to the image in one pass."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, network: VGGFeatures) -> tuple[Tensor, ...]:
        ctx.network, ctx.cache = network, network.forward_with_cache(image)
        # detached: a node that kept its own outputs would keep itself alive
        return tuple(ctx.cache[layer].detach() for layer in network.layers)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        given = dict(zip(ctx.network.layers, gradients, strict=True))
        return ctx.network.backward_to_image(ctx.cache, lambda layer, total: total.add_(given[layer])), None
