"""Penalties on gradients that keep two players stable: R1 for the discriminator, path length for the generator.

Both are derivatives that are differentiated again, so they cost more than a step. Karras et al. (2020, Section 3.1)
evaluate them only now and then ("lazy"), with a weight multiplied by the interval: on average nothing changes.
"""

from __future__ import annotations

import torch
from torch import Tensor


def r1(logits: Tensor, real: Tensor) -> Tensor:
    """E ‖∇D(x)‖² on real x (Mescheder et al. 2018, Eq. 9, without γ/2): 0 where D is flat.

    At the equilibrium, D is constant on the data. An unpenalized D goes on to change there, and pushes the generator
    away from where it should stay.

    Args:
        logits: D(real), (N,) or (N, 1, …). Each should depend on its own item only; the deviation of a batch, which
            depends on all, is ignored, as in the released code.
        real: (N, …), items of the data, with a gradient.

    Returns:
        A scalar with a graph, for D's parameters.

    >>> weight, real = torch.tensor([3.0, 4.0], requires_grad=True), torch.randn(5, 2, requires_grad=True)
    >>> r1(real @ weight, real).item()  # a plane: the squared length of its slope
    25.0
    """
    (slope,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    return slope.to(torch.promote_types(slope.dtype, torch.float32)).square().flatten(1).sum(1).mean()


def path_lengths(images: Tensor, styles: Tensor, noise: Tensor | None = None) -> Tensor:
    """‖Jᵀy‖ for each picture: how much it changes with its style, in a random direction (Karras et al. 2020, Eq. 4).

    y is normal noise over √(H·W), and Jᵀy is the gradient of ⟨image, y⟩.

    Args:
        images: (N, 3, H, W), computed from `styles`.
        styles: (N, L, w_size) with a gradient, one style for each layer; or (N, w_size).
        noise: (N, 3, H, W), y·√(H·W); None: drawn from PyTorch's random state.

    Returns:
        (N,) with a graph: the root of the squared gradient, summed over w_size and averaged over layers.

    >>> styles = torch.zeros(1, 1, 2, requires_grad=True)
    >>> images = (styles @ torch.tensor([[3.0], [4.0]])).view(1, 1, 1, 1)
    >>> path_lengths(images, styles, noise=torch.ones(1, 1, 1, 1)).item()
    5.0
    """
    y = torch.randn_like(images) if noise is None else noise
    y = y / (images.shape[2] * images.shape[3]) ** 0.5
    (slope,) = torch.autograd.grad((images * y).sum(), styles, create_graph=True)
    lengths: Tensor = slope.square().sum(-1)
    return (lengths.mean(1) if lengths.ndim == 2 else lengths).sqrt()
