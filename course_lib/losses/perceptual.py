"""The content and style terms of one network, with their gradient in closed form.

Gatys et al. 2016 give the gradients of their two losses (Eqs. 2 and 6), so autograd need not record the network. *One*
backward pass from the deepest layer to the image computes the gradient of all terms together: it adds the multiples of
(F − P) and (G − A) F at each layer, applies the mask of the ReLU, and convolves back. `PerceptualLoss` wraps it as an
ordinary differentiable function: it can be weighted, added to other terms, and differentiated once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from course_lib.image_checks import check_pictures, check_tensor
from course_lib.losses.style import (
    SIZE_INDEPENDENT,
    Convention,
    blend_grams,
    content_loss,
    gram_distance,
    gram_matrix,
)
from course_lib.pretrained.vgg import VGGFeatures

_OVERSHOOT = 10.0  # an optimizer may leave [0, 1], but not this far


class PerceptualLoss(nn.Module):
    """Weighted content and style terms of a picture.

    Args:
        network: a `VGGFeatures` whose `layers` include all layers named below.
        content: content layer → weight of its term.
        style: style layer → weight of its term.
        convention: how the terms are scaled; ``losses.SIZE_INDEPENDENT`` by default.

    Raises:
        ValueError: a layer that the network does not return.

    Set the targets with `set_content` and `set_style`, then call the module with pictures.

    >>> network = VGGFeatures(layers=["relu1_1", "relu2_1"], weights=None)
    >>> loss = PerceptualLoss(network, content={"relu2_1": 1.0}, style={"relu1_1": 100.0})
    >>> photo, painting = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)
    >>> loss.set_content(photo)
    >>> loss.set_style([painting])
    >>> terms = loss(photo)
    >>> dict(zip(loss.names, (terms > 0).tolist()))
    {'content/relu2_1': False, 'style/relu1_1': True}
    """

    def __init__(
        self,
        network: VGGFeatures,
        *,
        content: Mapping[str, float] | None = None,
        style: Mapping[str, float] | None = None,
        convention: Convention = SIZE_INDEPENDENT,
    ) -> None:
        super().__init__()
        self.network, self.convention = network, convention
        for name, weights in (("content", content), ("style", style)):
            if weights is not None and not isinstance(weights, Mapping):
                raise ValueError(f"{name} must map layers to weights, such as {{'relu4_2': 1.0}}, got {weights!r}")
        self.content, self.style = dict(content or {}), dict(style or {})
        unknown = [layer for layer in (*self.content, *self.style) if layer not in network.layers]
        if unknown:
            raise ValueError(f"the network does not return {unknown}; its layers are {', '.join(network.layers)}")
        self.names = (*(f"content/{layer}" for layer in self.content), *(f"style/{layer}" for layer in self.style))
        self.content_targets: dict[str, Tensor] = {}  # layer → features (N, C, h, w)
        self.style_targets: dict[str, Tensor] = {}  # layer → Gram matrix (N or 1, C, C), mean over positions
        self.style_factors: Tensor | None = None  # (N,), a factor on the style terms of each picture; None: 1

    @torch.no_grad()
    def set_content(self, image: Tensor) -> None:
        """Compute the content targets.

        Args:
            image: (N, 3, H, W) in [0, 1]; `forward` compares its n-th picture with the n-th one here. Only the first
                one is checked: in training there is a new one in each step, and the loop must not wait for a check.

        Raises:
            ImageError: not pictures in [0, 1] (up to the overshoot of an optimizer).
        """
        check_tensor(image, "the content image")
        if not self.content_targets:
            check_pictures(image, "the content image", overshoot=_OVERSHOOT)
        with torch.autocast(image.device.type, enabled=False):  # the network sets its own precision
            self.content_targets = self.network.targets(image, tuple(self.content))

    @torch.no_grad()
    def set_style(self, images: Tensor | Iterable[Tensor], blend: Sequence[float] | None = None) -> None:
        """Compute the style targets.

        Args:
            images: one or several, each (1, 3, h, w) in [0, 1] (up to the overshoot of an optimizer), any size.
            blend: a weight for each image; equal by default (`losses.blend_grams`).

        Raises:
            ValueError: no image, not one weight for each image, or invalid weights.
            ImageError: not a picture in [0, 1].
        """
        images = [*images] if isinstance(images, Iterable) and not isinstance(images, Tensor | str) else [images]
        if not images:
            raise ValueError("the list of style images is empty; give at least one")
        for image in images:
            check_pictures(image, "the style image", single=True, overshoot=_OVERSHOOT)
        features_of_images = [self.network.targets(image, tuple(self.style)) for image in images]
        for layer in self.style:
            grams = [gram_matrix(features[layer], mean=True) for features in features_of_images]
            self.style_targets[layer] = blend_grams(grams, blend or [1.0] * len(grams))

    def forward(self, image: Tensor) -> Tensor:
        """All weighted terms; their sum is the loss.

        Args:
            image: (N, 3, H, W) in [0, 1]; terms are summed over the batch.

        Returns:
            (K,) float32, in the order of `names`.

        Raises:
            ValueError: missing targets, or targets of another size; for the image, as `VGGFeatures.forward`.
        """
        self._check(image)
        with torch.autocast(image.device.type, enabled=False):
            terms: Tensor = _ClosedForm.apply(image, self)
        return terms

    @torch.no_grad()
    def with_gradient(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The terms and the gradient of their sum, without autograd, for optimizing a picture.

        Args:
            image: (N, 3, H, W) in [0, 1].

        Returns:
            The terms as `forward` returns them, (K,) float32, and the gradient, (N, 3, H, W) float32.

        Raises:
            ValueError: as `forward`.
        """
        self._check(image)
        with torch.autocast(image.device.type, enabled=False):
            cache = self.network.forward_with_cache(image)
            terms, differences = self._terms(cache)
            return terms, self._gradient(cache, differences, torch.ones_like(terms))

    def _check(self, image: Tensor) -> None:
        check_tensor(image)
        missing = {*self.content} - {*self.content_targets} or {*self.style} - {*self.style_targets}
        if missing:
            raise ValueError(f"no target for {', '.join(sorted(missing))} yet: call set_content and set_style first")

    def _gradient(self, cache: dict[str, Tensor], differences: Mapping[str, Tensor], upstream: Tensor) -> Tensor:
        """∂/∂image of Σ upstream_k · term_k; `upstream` is (K,)."""
        factors = dict(zip(self.names, upstream.unbind(), strict=True))

        def add(layer: str, gradient: Tensor) -> None:
            self._add_gradient(layer, gradient, cache[layer], differences.get(layer), factors)

        return self.network.backward_to_image(cache, add)

    def _terms(self, cache: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The terms, and G − A of each style layer, times the factor of the picture."""
        terms, differences = [], {}
        for layer, weight in self.content.items():
            terms.append(weight * content_loss(cache[layer], self.content_targets[layer], self.convention))
        for layer, weight in self.style.items():
            gram = gram_matrix(cache[layer], mean=True)  # (N, C, C) float32
            differences[layer] = gram - self.style_targets[layer]
            if self.style_factors is None:
                terms.append(weight * gram_distance(differences[layer], self.convention))
            else:
                factors = self.style_factors[:, None, None]
                terms.append(weight * gram_distance(differences[layer] * factors.sqrt(), self.convention))
                differences[layer] *= factors
        return torch.stack(terms), differences

    def _add_gradient(
        self, layer: str, gradient: Tensor, features: Tensor, difference: Tensor | None, upstream: Mapping[str, Tensor]
    ) -> None:
        """Add this layer's ∂L/∂F to `gradient` in place: c (F − P) and s (G − A) F (Eqs. 2 and 6, before the ReLU)."""
        channels, positions = features.shape[1], features.shape[2] * features.shape[3]
        if layer in self.content:
            factor = self.content[layer] * self.convention.content_slope(channels, positions)
            scale = (factor * upstream[f"content/{layer}"]).to(gradient.dtype)
            gradient.addcmul_(features - self.content_targets[layer], scale)
        if difference is not None:
            factor = self.style[layer] * self.convention.style_slope(channels, positions)
            matrix = (factor * upstream[f"style/{layer}"] * difference).to(gradient.dtype)  # (N, C, C)
            _as_rows(gradient).baddbmm_(_as_rows(features), matrix)


class _ClosedForm(torch.autograd.Function):
    """Forward: the terms. Backward: their gradient, weighted by the upstream gradient, in one pass."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, loss: PerceptualLoss) -> Tensor:
        ctx.loss, ctx.cache = loss, loss.network.forward_with_cache(image)
        terms, ctx.differences = loss._terms(ctx.cache)
        return terms

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        return ctx.loss._gradient(ctx.cache, ctx.differences, upstream), None


def _as_rows(features: Tensor) -> Tensor:
    """(N, C, h, w), channels-last, as (N, h·w, C): a view of the same memory, or an error; never a copy."""
    count, channels, height, width = features.shape
    return features.permute(0, 2, 3, 1).view(count, height * width, channels)
