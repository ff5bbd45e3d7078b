"""Content, style and smoothness as pure functions on tensors.

Symbols, as in Gatys et al. 2016: F (features of the picture), P (features of the content image), one layer
with N channels and M = h·w positions; G (Gram matrix of the picture), A (Gram matrix of the style image).

The papers use the same two sums with different divisors. Here the Gram matrix of the *targets* is always the
mean over positions (Ĝ = G / M), and a `Convention` holds the two coefficients in which the papers differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

_HALF = (torch.bfloat16, torch.float16)
_PIECE = 16_384  # positions of a large map in half precision that are converted at a time: they stay in the cache


@dataclass(frozen=True)
class Convention:
    """How a paper scales its two losses: content = c·Σ(F−P)², one style layer = s·Σ(Ĝ−Â)² with Ĝ = G/M.

    c = content / (N·M if content_per_entry else 1), s = style / N².
    """

    name: str
    content: float
    content_per_entry: bool
    style: float
    layers: str  # how the style layers are joined: "mean" or "sum"

    def join(self, weight: float, layers: Sequence[str], shares: Sequence[float] | None = None) -> dict[str, float]:
        """The weight of each layer's term, so that the terms add up to the joined loss times `weight`.

        Args:
            weight: the factor before the joined loss: α, β, λ_c, λ_s.
            layers: their names.
            shares: the paper's w_l, one for each layer; None: equal. If the convention takes the mean, they are scaled
                to sum to one; if it takes the sum, they are factors.

        Returns:
            Layer → weight.

        >>> SIZE_INDEPENDENT.join(100.0, ["relu1_1", "relu2_1"]), JOHNSON.join(100.0, ["relu1_2", "relu2_2"])
        ({'relu1_1': 50.0, 'relu2_1': 50.0}, {'relu1_2': 100.0, 'relu2_2': 100.0})
        """
        own = [1.0] * len(layers) if shares is None else list(shares)
        whole = sum(own) if self.layers == "mean" else 1.0
        return {layer: weight * share / whole for layer, share in zip(layers, own, strict=True)}

    def content_coefficient(self, channels: int, positions: int) -> float:
        """c, the factor before Σ(F − P)², for a layer of N channels and M positions."""
        return self.content / (channels * positions if self.content_per_entry else 1)

    def style_coefficient(self, channels: int) -> float:
        """s, the factor before Σ(Ĝ − Â)², for a layer of N channels."""
        return self.style / channels**2

    def content_slope(self, channels: int, positions: int) -> float:
        """The factor before (F − P) in the gradient of the content loss: 2c, since ∂(F − P)²/∂F = 2 (F − P)."""
        return 2 * self.content_coefficient(channels, positions)

    def style_slope(self, channels: int, positions: int) -> float:
        """The factor before (Ĝ − Â) F in the gradient of one style layer: 4s/M, since ∂Σ(Ĝ − Â)²/∂F = 4 (Ĝ − Â) F/M."""
        return 4 * self.style_coefficient(channels) / positions


SIZE_INDEPENDENT = Convention("size-independent", 1 / 2, True, 1 / 4, "mean")  # ours
GATYS = Convention("Gatys et al. 2016", 1 / 2, False, 1 / 4, "mean")  # Eqs. 1, 4 and 5 with w_l = 1/5
JOHNSON = Convention("Johnson et al. 2016", 1.0, True, 1.0, "sum")  # Eqs. 2, 3 and 4
PREMAMAYUDU = Convention("Premamayudu et al. 2019", 1 / 4, True, 1 / 4, "mean")  # Eqs. 1-3; the mean is our reading
CONVENTIONS = (SIZE_INDEPENDENT, GATYS, JOHNSON, PREMAMAYUDU)


def convert_weights(
    content_weight: float,
    style_weight: float,
    source: Convention,
    target: Convention,
    *,
    channels: int,
    positions: int,
    style_layers: int = 5,
) -> tuple[float, float]:
    """The pair of weights that gives in `target` the same gradient as the given pair in `source`.

    Args:
        content_weight, style_weight: the factors before the two losses in `source`.
        channels, positions: N and M of the content layer.
        style_layers: how many style layers are joined.

    >>> convert_weights(1.0, 1e7, GATYS, SIZE_INDEPENDENT, channels=512, positions=32 * 32)
    (524288.0, 10000000.0)
    """
    layers = [str(number) for number in range(style_layers)]
    content = source.content_coefficient(channels, positions) / target.content_coefficient(channels, positions)
    joined, wanted = (convention.join(1.0, layers)[layers[0]] for convention in (source, target))
    return content_weight * content, style_weight * (source.style * joined / (target.style * wanted))


def gram_matrix(features: Tensor, *, mean: bool = False) -> Tensor:
    """Correlations between channels, G_ij = Σ_k F_ik F_jk (Gatys et al. 2016, Eq. 3).

    Args:
        features: (N, C, H, W), any float format; the products are summed in float32 at least.
        mean: divide by the number of positions H·W, so that the size of the image drops out.

    Returns:
        (N, C, C), symmetric, positive semidefinite.

    Raises:
        ValueError: if the shape is not (N, C, H, W), or the numbers are not floats.

    >>> gram_matrix(torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]]))
    tensor([[[ 5., 11.],
             [11., 25.]]])
    """
    check_features(features)
    f = features.flatten(2)  # (N, C, M)
    if f.is_cuda and f.dtype in _HALF and not (torch.is_grad_enabled() and f.requires_grad) and _sums_wide(f.dtype):
        gram = torch.bmm(f, f.transpose(1, 2), out_dtype=torch.float32)  # reads half the bytes and gives the same sums
    elif f.device.type == "cpu" and not f.requires_grad:
        pieces = f.split(_PIECE, 2) if f.dtype in _HALF and f.shape[2] > 4 * _PIECE else (f,)
        gram = sum(_half_of_the_product(at_least_float32(piece)) for piece in pieces)  # type: ignore[assignment]
    else:
        f = at_least_float32(f)
        gram = f @ f.transpose(1, 2)  # (N, C, C)
    return gram / f.shape[2] if mean else gram


def _half_of_the_product(f: Tensor) -> Tensor:
    """F Fᵀ by its lower triangle, in four columns of blocks: five eighths of the multiplications, the same sums.

    Args:
        f: (N, C, M).
    """
    channels = f.shape[1]
    gram = f.new_empty(len(f), channels, channels)
    step = max(64, -(-channels // 4))  # narrower blocks are slower
    for k in range(0, channels, step):
        block = f[:, k:] @ f[:, k : k + step].transpose(1, 2)  # (N, C - k, step)
        gram[:, k:, k : k + step] = block
        gram[:, k : k + step, k + step :] = block[:, step:].transpose(1, 2)
    return gram


@lru_cache(maxsize=2)
def _sums_wide(dtype: torch.dtype) -> bool:
    """Whether this PyTorch can return the float32 sums of a product of `dtype` matrices on CUDA (2.8 and later)."""
    one = torch.ones(1, 8, 8, dtype=dtype, device="cuda")
    try:
        return bool(torch.bmm(one, one, out_dtype=torch.float32).dtype == torch.float32)
    except (TypeError, RuntimeError):
        return False


def content_loss(features: Tensor, target: Tensor, convention: Convention = SIZE_INDEPENDENT) -> Tensor:
    """Squared distance of features, ½ Σ (F − P)² in Gatys' convention (Gatys et al. 2016, Eq. 1).

    Args:
        features, target: (N, C, H, W) of the same layer of two images of the same size.
        convention: by default the mean over channels and positions, ½ mean (F − P)².

    Returns:
        A scalar, summed over the batch; 0 if the features agree.

    Raises:
        ValueError: if the shapes differ.
    """
    check_features(features)
    check_features(target)
    if features.shape != target.shape:
        raise ValueError(
            f"content features must have one shape, got {tuple(features.shape)} and {tuple(target.shape)}; "
            "the picture must have the size of the content image"
        )
    _, channels, height, width = features.shape
    squares = (at_least_float32(features) - at_least_float32(target)).square().sum()
    return convention.content_coefficient(channels, height * width) * squares


def style_loss(features: Tensor, target_gram: Tensor, convention: Convention = SIZE_INDEPENDENT) -> Tensor:
    """One layer's distance of Gram matrices, 1/(4N²M²) Σ (G − A)² (Gatys et al. 2016, Eq. 4).

    Computed with means over positions, 1/(4N²) Σ (G/M − A/M_A)², which is the same for images of equal size and
    stays meaningful for images of different sizes.

    Args:
        features: (N, C, H, W) of the picture.
        target_gram: (N or 1, C, C), ``gram_matrix(style_features, mean=True)``.
        convention: only its style coefficient is used; SIZE_INDEPENDENT and GATYS have the same one.

    Returns:
        A scalar, summed over the batch.

    Raises:
        ValueError: if the channel counts differ, or the number of targets is neither 1 nor N.
    """
    check_features(features)
    count, channels = features.shape[:2]
    if not isinstance(target_gram, Tensor):
        raise ValueError(f"expected a Gram matrix (1, {channels}, {channels}), got {type(target_gram).__name__}")
    if target_gram.ndim != 3 or target_gram.shape[1:] != (channels, channels) or len(target_gram) not in (1, count):
        raise ValueError(
            f"features of {channels} channels need a Gram matrix (1, {channels}, {channels}), "
            f"got {tuple(target_gram.shape)}; are both from the same layer, with one target in all or one per picture?"
        )
    return gram_distance(gram_matrix(features, mean=True) - target_gram, convention)


def gram_distance(difference: Tensor, convention: Convention = SIZE_INDEPENDENT) -> Tensor:
    """`style_loss` from the difference Ĝ − Â, (N, C, C): for callers that also use the difference elsewhere.

    Returns:
        A scalar, summed over the batch.
    """
    return convention.style_coefficient(difference.shape[1]) * difference.square().sum()


def content_gradient(features: Tensor, target: Tensor) -> Tensor:
    """Gradient of Eq. 1 with respect to the *pre*-activation: F − P where F > 0, else 0 (Gatys et al. 2016, Eq. 2).

    Args:
        features, target: (N, C, H, W), rectified.

    Returns:
        (N, C, H, W).
    """
    return (features - target) * (features > 0)


def style_gradient(features: Tensor, target_gram: Tensor) -> Tensor:
    """Gradient of Eq. 4 with respect to the *pre*-activation (Gatys et al. 2016, Eq. 6).

    ∂E/∂F = 1/(N²M²) (G − A) F where F > 0, else 0. The mask is the derivative of the ReLU, so this is the
    gradient that the convolution below receives, not the gradient with respect to the rectified features.

    Args:
        features: (N, C, H, W), rectified.
        target_gram: (N or 1, C, C), mean over positions.

    Returns:
        (N, C, H, W).
    """
    channels, positions = features.shape[1], features[0, 0].numel()
    features = at_least_float32(features)
    difference = gram_matrix(features, mean=True) - target_gram  # (N, C, C)
    gradient = difference @ features.flatten(2) / (channels**2 * positions)  # (N, C, M)
    return gradient.view_as(features) * (features > 0)


def total_variation_loss(image: Tensor) -> Tensor:
    """Mean squared difference of neighbors, horizontally plus vertically.

    The squared form of Mahendran & Vedaldi 2015 (β = 2), as in Johnson et al. 2016, divided by the number
    of neighbor pairs so that it does not depend on the size.

    Args:
        image: (N, C, H, W), in [0, 1].

    Returns:
        A scalar: 0 for a flat image, 2 for a checkerboard of zeros and ones.

    >>> total_variation_loss(torch.tensor([[[[0.0, 1.0], [1.0, 0.0]]]])).item()
    2.0
    """
    check_features(image, "an image")
    across = image[..., :, 1:] - image[..., :, :-1]
    down = image[..., 1:, :] - image[..., :-1, :]
    means = [d.square().mean() for d in (across, down) if d.numel()]
    return torch.stack(means).sum() if means else image.sum() * 0


def total_variation_gradient(image: Tensor) -> Tensor:
    """Gradient of `total_variation_loss`: ±2 · difference / number of pairs, added to both pixels of each pair.

    Args:
        image: (N, C, H, W).

    Returns:
        (N, C, H, W).
    """
    check_features(image, "an image")
    gradient = torch.zeros_like(image)
    for axis in (-1, -2):
        difference = image.diff(dim=axis)
        if difference.numel():
            share, last = 2 / difference.numel() * difference, image.shape[axis] - 1
            gradient.narrow(axis, 1, last).add_(share)
            gradient.narrow(axis, 0, last).sub_(share)
    return gradient


def blend_grams(grams: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The weighted mean of several styles' Gram matrices, Σ w_k A_k with Σ w_k = 1.

    Minimizing the distance to this mean also minimizes Σ w_k ‖G − A_k‖²: the two differ by a constant, because
    ‖G − A‖² is quadratic in G. Several styles therefore cost no more than one.

    Args:
        grams: each (1, C, C).
        weights: one nonnegative number for each Gram matrix, not all zero; scaled to sum to one.

    Returns:
        (1, C, C).

    Raises:
        ValueError: another number of weights, a negative or non-finite one, or only zeros.
    """
    total = sum(weights)
    if len(weights) != len(grams) or not all(w >= 0 for w in weights) or not 0 < total < math.inf:
        raise ValueError(f"weights must be {len(grams)} numbers of at least 0, not all 0; got {tuple(weights)}")
    return torch.stack([w / total * gram for w, gram in zip(weights, grams, strict=True)]).sum(0)


def check_features(features: Tensor, what: str = "features") -> None:
    """Refuse what is not (N, C, H, W) floats; any range is allowed, and no value is read."""
    if not isinstance(features, Tensor):
        raise ValueError(f"expected {what} of shape (N, C, H, W), got {type(features).__name__}")
    if features.ndim != 4:
        raise ValueError(f"expected {what} of shape (N, C, H, W), got {tuple(features.shape)}")
    if not features.is_floating_point():  # products of whole numbers overflow
        raise ValueError(f"expected {what} of floats, got {features.dtype}; use .float()")


def at_least_float32(x: Tensor) -> Tensor:
    """Numbers of half precision as float32, the rest as they are."""
    return x.float() if x.dtype in _HALF else x
