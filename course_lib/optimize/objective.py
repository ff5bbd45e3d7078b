"""What an optimized picture minimizes: a list of named, weighted terms.

    L(x) = Σ_k weight_k · value_k(x)

A *part* of the objective gives one or more of these terms and the gradient of their sum. `Term` is a part made from one
function, such as smoothness; `losses.perceptual.PerceptualLoss` is a part that gives the content and style terms of all
layers in one pass of the network. An `Objective` joins parts, and is itself what `optimize.image.optimize_image`
evaluates at every step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from course_lib import runtime


class Part(Protocol):
    """One or more weighted terms of a picture."""

    @property
    def names(self) -> Sequence[str]:
        """Of its K terms, in order."""
        ...

    def __call__(self, image: Tensor, /) -> Tensor:
        """The weighted terms, (K,), differentiable with respect to `image`, (1, 3, H, W)."""
        ...

    def with_gradient(self, image: Tensor, /) -> tuple[Tensor, Tensor]:
        """The weighted terms, (K,), and the gradient of their sum, (1, 3, H, W); no autograd graph is kept."""
        ...


class Term:
    """One term: ``weight * value(image)``.

    Args:
        name: what it is called in the history of a run.
        weight: a factor; 0 is allowed and still costs the evaluation.
        value: from the picture, (1, 3, H, W), to a scalar; differentiable unless `gradient` is given.
        gradient: ∂value/∂image in closed form, (1, 3, H, W) → (1, 3, H, W); None: autograd computes it.

    >>> brightness = Term("brightness", 2.0, lambda image: image.mean())
    >>> terms, gradient = brightness.with_gradient(torch.full((1, 3, 2, 2), 0.5))
    >>> terms.item(), round(gradient.sum().item(), 4)
    (1.0, 2.0)
    """

    def __init__(
        self,
        name: str,
        weight: float,
        value: Callable[[Tensor], Tensor],
        gradient: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.names: Sequence[str] = (name,)
        self.weight, self.value, self.gradient = weight, value, gradient

    def __call__(self, image: Tensor) -> Tensor:
        return self.weight * self.value(image).view(1)

    def with_gradient(self, image: Tensor) -> tuple[Tensor, Tensor]:
        if self.gradient is not None:
            return self(image).detach(), self.weight * self.gradient(image)
        with runtime.with_gradients():
            x = _unknown(image)
            term = self(x)
            (slope,) = torch.autograd.grad(term.sum(), x)
        return term.detach(), slope


class Objective:
    """Parts joined: all their terms, and the gradient of the sum of all.

    Args:
        parts: at least one; all names differ.

    Raises:
        ValueError: no part, or a name that two terms share.

    >>> flat = Term("flat", 1.0, lambda image: image.var())
    >>> dark = Term("dark", 0.5, lambda image: image.mean())
    >>> Objective([flat, dark]).names
    ('flat', 'dark')
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)
        self.names: Sequence[str] = tuple(name for part in self.parts for name in part.names)
        if not self.names:
            raise ValueError("an objective needs at least one term, got none")
        if twice := [name for name, count in Counter(self.names).items() if count > 1]:
            raise ValueError(f"every term needs a name of its own, got {', '.join(twice)} more than once")

    def __call__(self, image: Tensor) -> Tensor:
        """All weighted terms, (K,) in the order of `names`, differentiable with respect to `image`, (1, 3, H, W)."""
        return torch.cat([part(image) for part in self.parts])

    def with_gradient(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """All weighted terms, (K,), and the gradient of their sum, (1, 3, H, W); no autograd graph is kept."""
        image = image.detach()
        terms, gradients = zip(*(part.with_gradient(image) for part in self.parts), strict=True)
        total = gradients[0]
        for gradient in gradients[1:]:
            total = total + gradient
        return torch.cat(terms), total

    def dissect(self, image: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Each term alone: name → (weighted value, ∂term/∂image as (1, 3, H, W) on the CPU).

        The values add up to the loss, the gradients to its gradient. Costs one backward pass for each term.
        """
        separate = {}
        with runtime.with_gradients():
            x = _unknown(image)
            for name, term in zip(self.names, self(x).unbind(), strict=True):
                (gradient,) = torch.autograd.grad(term, x, retain_graph=True)
                separate[name] = (term.item(), gradient.cpu())
        return separate


def _unknown(image: Tensor) -> Tensor:
    """The picture as an unknown of its own, also where it was made in `torch.inference_mode`."""
    return image.detach().clone().requires_grad_(True)
