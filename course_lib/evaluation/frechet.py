"""Distances between two *sets* of pictures: Fréchet distance (FD) and kernel distance (KD) on pooled VGG-16 features.

PSNR, SSIM and LPIPS compare a picture with its own reference. Without pairs there is no reference, only two sets: the
pictures of a generator and real ones. Every picture becomes one vector x of C numbers, the mean of each channel of a
VGG layer over all positions, and the two clouds of vectors are compared:

- Fréchet distance (Heusel et al. 2017, Eq. 6), between the Gaussians with the means μ and covariances Σ of the sets:
  FD = ‖μ_a − μ_b‖² + Tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½). Estimated from n pictures, it is too large by an amount that
  shrinks with n: two halves of one set are never at distance 0.
- Kernel distance (Bińkowski et al. 2018, Section 4): the squared maximum mean discrepancy with the kernel
  k(x, y) = (x·y / C + 1)³. Its estimate is unbiased: for two halves of one set it is 0 on average, and often negative.

Neither is the FID nor the KID of papers. Those use a certain Inception network whose weights this project does not
have; numbers on other features cannot be compared with them. With those weights at hand, use
`torchmetrics.image.fid.FrechetInceptionDistance` and `torchmetrics.image.kid.KernelInceptionDistance`. Both also take
other features, and the tests compare this module with them. Here the Fréchet distance needs no square root of a
matrix, and the kernel distance comes with an interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib import arguments
from course_lib.evaluation.inputs import check
from course_lib.pretrained.vgg import VGGFeatures
from course_lib.runtime import seeded_generator

_BATCH = 16
_SUBSETS = 200  # for an interval of the kernel distance


class Estimate(NamedTuple):
    """A number with an interval that should contain the true value in about 95 of 100 cases."""

    value: float
    low: float
    high: float


class SizePoint(NamedTuple):
    """Fréchet distances between random subsets of n features: their mean, and the smallest and the largest."""

    n: int
    mean: float
    low: float
    high: float


def pooled_features(
    images: Tensor, layer: str = "relu5_3", *, unit: bool = False, weights: str | Path | None = "default"
) -> Tensor:
    """One vector for every picture: each channel of a VGG-16 layer, averaged over all positions.

    Args:
        images: (N, 3, H, W) in [0, 1], large enough for the layer: 16 px for relu5_3.
        layer: of VGG-16 with max pooling, see `course_lib.pretrained.vgg.layer_names`.
        unit: scale every vector to a mean square of one. The cubic kernel needs this at shallow layers, whose
            activations are large. It also removes what a picture's contrast does to all channels alike.
        weights: of VGG-16, see `course_lib.pretrained.vgg.VGGFeatures`.

    Returns:
        (N, C) float32 on the CPU, at least 0 for a ``relu`` layer.

    Raises:
        ValueError: an unknown layer, or not pictures in [0, 1] (see `course_lib.evaluation.inputs.check`).
        course_lib.pretrained.weights.WeightsError: the weights cannot be loaded.

    >>> tuple(pooled_features(torch.rand(5, 3, 32, 32), "relu3_3", weights=None).shape)  # an eighth of 256 channels
    (5, 32)
    """
    network = _network(layer, weights)
    check(images, least=network.min_size(layer), why=layer)
    with torch.inference_mode():
        batches = [network(batch.float())[layer].mean((2, 3)) for batch in images.split(_BATCH)]
    features = torch.cat(batches).cpu().clone()  # (N, C)
    return features / features.square().mean(1, keepdim=True).sqrt().clamp_min(1e-12) if unit else features


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """The Fréchet distance of the Gaussians fitted to two sets of features (Heusel et al. 2017, Eq. 6).

    The covariances are Σ = XᵀX / (n − 1), with X the centered features. The eigenvalues of Σ_a Σ_b are the squares of
    the singular values of X_a X_bᵀ, divided by (n_a − 1)(n_b − 1). So the trace of the root is the sum of the singular
    values of an n_a × n_b matrix, the same for (a, b) and (b, a). It needs no root of a matrix without full rank, which
    a covariance of fewer than C + 1 features always is. Such small sets are allowed. For them, the number says more
    about n than about the pictures (`sample_size_curve`).

    Args:
        a, b: (N, C) features, N at least 2; the two N may differ.

    Returns:
        At least 0, in squared units of the features; computed in double precision.

    Raises:
        ValueError: not two sets of finite features with the same number of channels, or fewer than two pictures.

    By hand, with one channel: means 1 and 5, variances 2 and 8, so FD = 4² + (√2 − √8)² = 18.

    >>> round(frechet_distance(torch.tensor([[0.0], [2.0]]), torch.tensor([[3.0], [7.0]])), 6)
    18.0
    """
    a, b = _sets(a, b)
    mean_a, mean_b = a.mean(0), b.mean(0)
    root_a, root_b = (_root(features - mean) for features, mean in ((a, mean_a), (b, mean_b)))  # (≤ C, C)
    common = torch.linalg.svdvals(root_a @ root_b.T).sum()
    distance = (mean_a - mean_b).square().sum() + root_a.square().sum() + root_b.square().sum() - 2 * common
    return max(0.0, distance.item())


def kernel_distance(a: Tensor, b: Tensor, *, seed: int = 0) -> Estimate:
    """The squared maximum mean discrepancy with the kernel (x·y / C + 1)³, unbiased (Bińkowski et al. 2018, Eq. 4).

    The mean of k over all pairs of different pictures of a, plus that over b, minus twice the mean over pairs across.

    The interval is the value ± 1.96 standard errors. The standard error is the standard deviation over 200 random
    halves of both sets: for half of the sample, drawn without replacement, that equals the standard error of the whole
    sample (the delete-half jackknife). Where the true distance is near 0, the interval is too wide.
    Papers print the standard deviation over subsets of 1,000 pictures instead, which depends on that number.

    Args:
        a, b: (N, C) features, N at least 4. Their scale matters: at shallow layers of VGG-16, take features from
            ``pooled_features(…, unit=True)``, otherwise the cube makes a few bright pictures decide.
        seed: of the random halves.

    Returns:
        The estimate, which may be negative, with its interval.

    Raises:
        ValueError: not two sets of finite features with the same number of channels, or fewer than four pictures.

    By hand, with one channel: k(1, 1) = 8, k(0, 0) = k(0, 1) = 1, so MMD² = 8 + 1 − 2 · 1 = 7.

    >>> kernel_distance(torch.ones(4, 1), torch.zeros(4, 1)).value
    7.0
    """
    a, b = _sets(a, b, least=4)
    generator = seeded_generator(arguments.seed(seed))
    aa, bb, ab = _kernel(a, a), _kernel(b, b), _kernel(a, b)
    aa.fill_diagonal_(0)
    bb.fill_diagonal_(0)
    whole = _mmd(aa, bb, ab, torch.ones(1, len(a)).double(), torch.ones(1, len(b)).double()).item()
    halves = [_halves(len(features), generator) for features in (a, b)]
    error = _mmd(aa, bb, ab, *halves).sub(whole).square().mean().sqrt().item()
    return Estimate(whole, whole - 1.96 * error, whole + 1.96 * error)


def sample_size_curve(
    features: Tensor, sizes: Sequence[int], *, other: Tensor | None = None, repeats: int = 10, seed: int = 0
) -> list[SizePoint]:
    """How the Fréchet distance falls with the number of pictures n, between subsets of one set or of two.

    Without `other`, both subsets come from `features` and share no picture. Their true distance is 0, so everything
    that the curve shows is bias. Compare a generator with real pictures at the same n as real with real, or not at all.

    Args:
        features: (N, C), from `pooled_features`.
        sizes: values of n, from 2 to N // 2; with `other`, to the smaller N.
        other: (M, C), the second set.
        repeats: pairs of subsets for each n.
        seed: of the subsets.

    Returns:
        A point for each n, in the order given. Different pairs of subsets overlap, so low and high describe this one
        set of pictures, no wider population.

    Raises:
        ValueError: a size out of range, or not sets of features.
    """
    first, second = _sets(features, features if other is None else other)
    most = len(first) // 2 if other is None else min(len(first), len(second))
    sizes = [arguments.whole("sizes", n, 2, most) for n in sizes]
    repeats = arguments.whole("repeats", repeats, 1)
    generator = seeded_generator(arguments.seed(seed))
    points = []
    for n in sizes:
        values = []
        for _ in range(repeats):
            order = torch.randperm(len(first), generator=generator)
            partner = order[n:] if other is None else torch.randperm(len(second), generator=generator)
            values.append(frechet_distance(first[order[:n]], second[partner[:n]]))
        points.append(SizePoint(n, sum(values) / repeats, min(values), max(values)))
    return points


def extrapolate(points: Sequence[SizePoint]) -> float:
    """The Fréchet distance at 1/n = 0, from the straight line through the points (Chong & Forsyth 2020, Section 3).

    The bias is proportional to 1/n only where n is well above the number of channels C. For smaller n the line still
    has a value at 0, but a wrong one: test it on two halves of one set, where the truth is 0.

    Args:
        points: from `sample_size_curve`, at least two different n.

    Returns:
        The intercept of the least-squares line of the means against 1/n; it can be negative.

    Raises:
        ValueError: fewer than two different n.

    >>> round(extrapolate([SizePoint(10, 5, 5, 5), SizePoint(20, 4, 4, 4)]), 6)  # 3 + 20 / n
    3.0
    """
    if len({point.n for point in points}) < 2:
        raise ValueError(f"a line needs points at two different n or more, got {len(points)} with n = "
                         f"{sorted({point.n for point in points})}")  # fmt: skip
    x = torch.tensor([1 / point.n for point in points], dtype=torch.float64)
    y = torch.tensor([point.mean for point in points], dtype=torch.float64)
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    return (y.mean() - slope * x.mean()).item()


@lru_cache(maxsize=2)
def _network(layer: str, weights: str | Path | None) -> VGGFeatures:
    return VGGFeatures("vgg16", layer, pooling="max", weights=weights)


def _sets(a: Tensor, b: Tensor, least: int = 2) -> tuple[Tensor, Tensor]:
    """Both sets in double precision on the CPU, or the reason why they cannot be compared."""
    for features in (a, b):
        if not isinstance(features, Tensor) or features.ndim != 2 or not features.is_floating_point():
            got = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            raise ValueError(f"expected features (N, C) from pooled_features, got {got}")
        if len(features) < least:
            raise ValueError(f"{len(features)} pictures have no distance to others; give at least {least}")
        if not features.isfinite().all():
            raise ValueError("the features contain NaN or infinite values; check the pictures they come from")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"one set has {a.shape[1]} channels and the other {b.shape[1]}; use one layer for both")
    return a.detach().cpu().double(), b.detach().cpu().double()


def _root(centered: Tensor) -> Tensor:
    """A matrix R with RᵀR = XᵀX / (n − 1): X itself, scaled, or for n > C the triangle of its QR decomposition."""
    scaled = centered / (len(centered) - 1) ** 0.5
    return torch.linalg.qr(scaled, mode="r").R if len(scaled) > scaled.shape[1] else scaled


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _halves(n: int, generator: torch.Generator) -> Tensor:
    """(200, n) zeros and ones: random halves of n pictures."""
    ranks = torch.rand(_SUBSETS, n, generator=generator).argsort(1).argsort(1)
    return (ranks < n // 2).double()


def _mmd(aa: Tensor, bb: Tensor, ab: Tensor, in_a: Tensor, in_b: Tensor) -> Tensor:
    """(S,) unbiased estimates for the subsets marked in the rows of in_a (S, n_a) and in_b (S, n_b)."""
    n, m = in_a.sum(1), in_b.sum(1)
    within_a = ((in_a @ aa) * in_a).sum(1) / (n * (n - 1))
    within_b = ((in_b @ bb) * in_b).sum(1) / (m * (m - 1))
    return within_a + within_b - 2 * ((in_a @ ab) * in_b).sum(1) / (n * m)
