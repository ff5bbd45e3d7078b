"""Penalties on gradients that keep two players stable.

R1 and the gradient penalty are for the discriminator, path length is for the generator. All are derivatives that are
differentiated again, so they cost more than a step. Karras et al. (2020, Section 3.1) evaluate R1 and path length only
now and then ("lazy"), with a weight multiplied by the interval: on average nothing changes.
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
    return _slopes(logits, real).square().sum(1).mean()


def between(real: Tensor, fake: Tensor, shares: Tensor | None = None) -> Tensor:
    """Points on the straight lines from fakes to real items: x̂ = ε x + (1 − ε) G(z) (Gulrajani et al. 2017, Alg. 1).

    Args:
        real, fake: (N, …) each, paired as they come.
        shares: ε, (N,) in [0, 1]; None: uniform, drawn from PyTorch's random state. One number moves a whole item.

    Returns:
        (N, …), without the graph of the fakes, with a gradient of its own: for `gradient_penalty`.

    >>> between(torch.ones(2, 1), torch.zeros(2, 1), torch.tensor([0.25, 1.0])).tolist()
    [[0.25], [1.0]]
    """
    share = torch.rand(len(real), device=real.device, dtype=real.dtype) if shares is None else shares
    share = share.view(-1, *[1] * (real.ndim - 1))
    return (share * real + (1 - share) * fake).detach().requires_grad_()


def gradient_penalty(logits: Tensor, points: Tensor, *, span: float = 1.0) -> Tensor:
    """E (‖∇D(x̂)‖ − 1)² (Gulrajani et al. 2017, Eq. 3, without λ): 0 where D rises by 1 for each unit of distance.

    The critic of a Wasserstein GAN must not rise faster than that, and the best one rises just so fast between an item
    and the fake that it is paired with (their Corollary 1). The penalty asks for it between random pairs (`between`).

    Args:
        logits: D(points), (N,) or (N, 1, …), without a normalization over the batch. The logits of the patches of one
            picture are added, as in StarGAN's code: it is their sum that gets the slope 1.
        points: (N, …), with a gradient.
        span: how many units of distance 1 is: 2 for pictures in [0, 1] where the paper's are in [−1, 1].

    Returns:
        A scalar with a graph, for D's parameters.

    >>> weight, points = torch.tensor([3.0, 4.0], requires_grad=True), torch.randn(5, 2, requires_grad=True)
    >>> gradient_penalty(points @ weight, points).item()  # a plane of slope 5: (5 − 1)²
    16.0
    """
    lengths = torch.linalg.vector_norm(_slopes(logits, points), dim=1)  # its gradient at 0 is 0; that of √ is not
    return (lengths / span - 1).square().mean()


def _slopes(logits: Tensor, points: Tensor) -> Tensor:
    """The gradient of each item's logits, (N, numbers of an item), at least float32, with a graph."""
    (slopes,) = torch.autograd.grad(logits.sum(), points, create_graph=True)
    return slopes.to(torch.promote_types(slopes.dtype, torch.float32)).flatten(1)


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
