"""The terms on the features of one network, with their gradient in closed form.

Gatys et al. 2016 give the gradients of their two losses (Eqs. 2 and 6), so autograd need not record the network. *One*
backward pass from the deepest layer to the image computes the gradient of all terms together: it adds the multiples of
(F − P) and (G − A) F at each layer, applies the mask of the ReLU, and convolves back. `PerceptualLoss` wraps it as an
ordinary differentiable function: it can be weighted, added to other terms, and differentiated once. Other terms of the
same features, such as those of regions or of patches, share the pass as a `FeatureTerm`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

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


AddGradient = Callable[[Tensor, Tensor], None]
_Slope = tuple[str, AddGradient]  # the layer of a term, and the function that adds its gradient there


class FeatureTerm(Protocol):
    """A weighted term of one picture's features at one layer, with its gradient in closed form."""

    @property
    def name(self) -> str:
        """In the history of a run: ``"patches/relu3_1"``."""
        ...

    @property
    def layer(self) -> str:
        """The layer whose features it reads."""
        ...

    def __call__(self, features: Tensor, /) -> tuple[Tensor, AddGradient]:
        """The term and its gradient.

        Args:
            features: (1, C, h, w), channels-last, in the network's precision; no autograd graph.

        Returns:
            The weighted term, a scalar float32, and ``add(gradient, factor)``, which adds factor · ∂term/∂features to
            `gradient`, (1, C, h, w), in place; `factor` is a scalar float32. The network applies the mask of the ReLU.
        """
        ...


class PerceptualLoss(nn.Module):
    """Weighted content and style terms of a picture, and others of the same features.

    Args:
        network: a `VGGFeatures` whose `layers` include all layers named below.
        content: content layer → weight of its term.
        style: style layer → weight of its term.
        convention: how the terms are scaled; ``losses.SIZE_INDEPENDENT`` by default.
        terms: further terms, which have their targets already.

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
        terms: Sequence[FeatureTerm] = (),
    ) -> None:
        super().__init__()
        self.network, self.convention, self.terms = network, convention, tuple(terms)
        for name, weights in (("content", content), ("style", style)):
            if weights is not None and not isinstance(weights, Mapping):
                raise ValueError(f"{name} must map layers to weights, such as {{'relu4_2': 1.0}}, got {weights!r}")
        self.content, self.style = dict(content or {}), dict(style or {})
        named = (*self.content, *self.style, *(term.layer for term in self.terms))
        unknown = [layer for layer in named if layer not in network.layers]
        if unknown:
            raise ValueError(f"the network does not return {unknown}; its layers are {', '.join(network.layers)}")
        own = (*(f"content/{layer}" for layer in self.content), *(f"style/{layer}" for layer in self.style))
        self.names = (*own, *(term.name for term in self.terms))
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
    def set_style(
        self,
        images: Tensor | Iterable[Tensor],
        blend: Sequence[float] | None = None,
        layers: Sequence[str] | None = None,
    ) -> None:
        """Compute the style targets.

        Args:
            images: one or several, each (1, 3, h, w) in [0, 1] (up to the overshoot of an optimizer), any size.
            blend: a weight for each image; equal by default (`losses.blend_grams`).
            layers: some of the style layers, whose targets are to be these images'; None: all.

        Raises:
            ValueError: no image, not one weight for each image, or invalid weights.
            ImageError: not a picture in [0, 1].
        """
        images = [*images] if isinstance(images, Iterable) and not isinstance(images, Tensor | str) else [images]
        if not images:
            raise ValueError("the list of style images is empty; give at least one")
        for image in images:
            check_pictures(image, "the style image", single=True, overshoot=_OVERSHOOT)
        wanted = tuple(self.style if layers is None else layers)
        features_of_images = [self.network.targets(image, wanted) for image in images]
        for layer in wanted:
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
            terms, slopes = self._terms(cache)
            return terms, self._gradient(cache, slopes, torch.ones_like(terms))

    def _check(self, image: Tensor) -> None:
        check_tensor(image)
        missing = {*self.content} - {*self.content_targets} or {*self.style} - {*self.style_targets}
        if missing:
            raise ValueError(f"no target for {', '.join(sorted(missing))} yet: call set_content and set_style first")

    def _gradient(self, cache: dict[str, Tensor], slopes: Sequence[_Slope], upstream: Tensor) -> Tensor:
        """∂/∂image of Σ upstream_k · term_k; `upstream` is (K,), `slopes` has the K functions of `_terms`."""

        def add(layer: str, gradient: Tensor) -> None:
            for (of_layer, add_slope), factor in zip(slopes, upstream.unbind(), strict=True):
                if of_layer == layer:
                    add_slope(gradient, factor)

        return self.network.backward_to_image(cache, add)

    def _terms(self, cache: Mapping[str, Tensor]) -> tuple[Tensor, list[_Slope]]:
        """The terms, (K,), and for each the function that adds its ∂term/∂F (before the ReLU) in place."""
        terms: list[Tensor] = []
        slopes: list[_Slope] = []
        for layer, weight in self.content.items():
            terms.append(weight * content_loss(cache[layer], self.content_targets[layer], self.convention))
            slopes.append((layer, partial(self._add_content, layer, cache[layer])))
        for layer, weight in self.style.items():
            difference = gram_matrix(cache[layer], mean=True) - self.style_targets[layer]  # (N, C, C) float32
            if self.style_factors is None:
                terms.append(weight * gram_distance(difference, self.convention))
            else:
                factors = self.style_factors[:, None, None]
                terms.append(weight * gram_distance(difference * factors.sqrt(), self.convention))
                difference *= factors
            slopes.append((layer, partial(self._add_style, layer, cache[layer], difference)))
        for term in self.terms:
            value, add = term(cache[term.layer])
            terms.append(value)
            slopes.append((term.layer, add))
        return torch.stack(terms), slopes

    def _add_content(self, layer: str, features: Tensor, gradient: Tensor, upstream: Tensor) -> None:
        """Add c (F − P) (Eq. 2)."""
        channels, positions = features.shape[1], features.shape[2] * features.shape[3]
        factor = self.content[layer] * self.convention.content_slope(channels, positions)
        gradient.addcmul_(features - self.content_targets[layer], (factor * upstream).to(gradient.dtype))

    def _add_style(self, layer: str, features: Tensor, difference: Tensor, gradient: Tensor, upstream: Tensor) -> None:
        """Add s (G − A) F (Eq. 6); `difference` is G − A, (N, C, C), times the factor of the picture."""
        channels, positions = features.shape[1], features.shape[2] * features.shape[3]
        factor = self.style[layer] * self.convention.style_slope(channels, positions)
        matrix = (factor * upstream * difference).to(gradient.dtype)  # (N, C, C)
        as_rows(gradient).baddbmm_(as_rows(features), matrix)


class _ClosedForm(torch.autograd.Function):
    """Forward: the terms. Backward: their gradient, weighted by the upstream gradient, in one pass."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, loss: PerceptualLoss) -> Tensor:
        ctx.loss, ctx.cache = loss, loss.network.forward_with_cache(image)
        terms, ctx.slopes = loss._terms(ctx.cache)
        return terms

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        return ctx.loss._gradient(ctx.cache, ctx.slopes, upstream), None


def as_rows(features: Tensor) -> Tensor:
    """(N, C, h, w), channels-last, as (N, h·w, C): a view of the same memory, or an error; never a copy."""
    count, channels, height, width = features.shape
    return features.permute(0, 2, 3, 1).view(count, height * width, channels)
