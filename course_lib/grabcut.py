"""Cut an object out of a photo: GrabCut, from a box around the object or from a rough drawing.

GrabCut (Rother, Kolmogorov & Blake 2004) alternates two steps. It describes the colors of the object by one mixture of
Gaussians and those of the background by another one, and it finds the mask u that minimizes

    E(u) = Σ_p u_p (log b(z_p) − log f(z_p)) + Σ_pq w_pq abs(u_p − u_q),   w_pq = γ/‖p − q‖ · exp(−β ‖z_p − z_q‖²)

where f and b are the two mixtures, z_p is the color of a pixel, and the second sum runs over pairs of neighbors: a
border is cheap where the colors change.

*Differs from the paper:* the minimum is found without a graph library. If u may take every value in [0, 1], E is
convex, and its minimum, thresholded at 1/2, is a minimum among the masks of zeros and ones (Chan, Esedoğlu & Nikolova
2006). The primal-dual steps of Chambolle & Pock (2011) find it with additions and comparisons of whole pictures, on any
device. Nothing is random. OpenCV has the original algorithm, but it unpacks to 72 MB, a lot for one function.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import arguments
from course_lib.image_checks import check_pictures
from course_lib.images import resample

_COMPONENTS = 5  # Gaussians in each mixture (Section 3.1)
_GAMMA = 50.0  # weight of a border (Section 2.1, after Blake et al. 2004)
_ROUNDS = 5  # of mixtures and mask in turn
_STEPS = 1000  # primal-dual steps for one mask, at most
_GAP = 1e-3  # of the energy: a mask so close to the best possible one is good enough
_LONG_SIDE = 320  # px: the rounds run on a picture of this size at most; then the border is found at full size,
_FINE_SIDE = 1024  # px: or at this size, if the photo is larger
_VARIANCE = 1e-4  # added to the variance of each color: (2.5 levels)²
_NEIGHBORS = ((0, 1), (1, 0), (1, 1), (1, -1))  # (down, right): each of the 8 neighbors, counted once


@dataclass(frozen=True)
class _Mixture:
    """Gaussians in the space of colors."""

    shares: Tensor  # (K,), their sum is 1
    means: Tensor  # (K, 3)
    covariances: Tensor  # (K, 3, 3)

    def log_density(self, colors: Tensor) -> Tensor:
        """(M,) for colors (M, 3)."""
        return torch.logsumexp(self.each(colors), 0)

    def each(self, colors: Tensor) -> Tensor:
        """The share of each Gaussian in the density, as a logarithm: (K, M)."""
        root = torch.linalg.cholesky(self.covariances)
        scaled = torch.linalg.solve_triangular(root, (colors - self.means[:, None]).mT, upper=False)  # (K, 3, M)
        volume = root.diagonal(dim1=1, dim2=2).log().sum(1) + 1.5 * math.log(2 * math.pi)
        return self.shares.log()[:, None] - volume[:, None] - scaled.square().sum(1) / 2


def box_mask(photo: Tensor, box: Sequence[float]) -> Tensor:
    """The object in a box, as a mask: GrabCut.

    Everything outside the box is background; the box has to contain the whole object, with a little space around it.

    Args:
        photo: (1, 3, H, W) in [0, 1].
        box: (x0, y0, x1, y1), left, top, right and bottom, in pixels; four numbers in [0, 1] are fractions of the width
            and the height.

    Returns:
        (1, 1, H, W) float32: 1 on the object, 0 elsewhere.

    Raises:
        ImageError: not a picture in [0, 1].
        ValueError: not a box inside the photo, or one that leaves no background.

    >>> photo = torch.full((1, 3, 24, 32), 0.2)
    >>> photo[:, 0, 8:16, 10:20] = 0.9  # a red object
    >>> mask = box_mask(photo, (6, 4, 26, 20))
    >>> mask[0, 0, 8:16, 10:20].mean().item(), mask.sum().item()
    (1.0, 80.0)
    """
    check_pictures(photo, "the photo", single=True, least=8, why="GrabCut")
    height, width = photo.shape[-2:]
    x0, y0, x1, y1 = _pixels(box, height, width)
    known = photo.new_zeros(1, 1, height, width)
    known[..., y0:y1, x0:x1] = 0.5
    if bool(known.all()):
        raise ValueError("the box covers the whole photo, so nothing shows the background; draw it around the object")
    return refine_mask(photo, known)


def refine_mask(photo: Tensor, known: Tensor) -> Tensor:
    """Turn a rough mask into one whose border follows the photo: GrabCut with a drawing in place of the box.

    Args:
        photo: (1, 3, H, W) in [0, 1].
        known: (1, 1, H, W) in [0, 1]: 1 is certainly the object, 0 certainly the background. Between them the photo
            decides; a pixel of at least 0.5 counts as the object at first.

    Returns:
        (1, 1, H, W) float32: 1 on the object, 0 elsewhere.

    Raises:
        ImageError: not a picture in [0, 1].
        ValueError: `known` has a wrong shape or range, or contains only object or only background.
    """
    check_pictures(photo, "the photo", single=True, least=8, why="GrabCut")
    shape = (1, 1, *photo.shape[-2:])
    if not isinstance(known, Tensor) or known.shape != shape or not bool(((known >= 0) & (known <= 1)).all()):
        got = f"{tuple(known.shape)}" if isinstance(known, Tensor) else type(known).__name__
        raise ValueError(f"known must be a tensor {shape} with values in [0, 1], got {got}")
    if not bool((known >= 0.5).any()) or not bool((known < 0.5).any()):
        raise ValueError("known must have pixels of the object, at least 0.5, and of the background, below 0.5")
    photo, known = photo.detach().float(), known.detach().to(photo.device, torch.float32)
    longest = max(photo.shape[-2:])
    if longest <= _LONG_SIDE:
        return _rounds(photo, known)[0]
    if longest > _FINE_SIDE:
        size = tuple(max(8, round(side * _FINE_SIDE / longest)) for side in photo.shape[-2:])
        mask = refine_mask(resample(photo, *size), _kept(known, size))
        wide = F.interpolate(mask, photo.shape[-2:], mode="bilinear", align_corners=False)
        return _decided(wide, (known == 1).float(), (known > 0).float())
    size = tuple(max(8, round(side * _LONG_SIDE / longest)) for side in photo.shape[-2:])
    mask, mixtures = _rounds(resample(photo, *size), _kept(known, size))
    wide = F.interpolate(mask, photo.shape[-2:], mode="bilinear", align_corners=False)
    reach = math.ceil(2 * longest / _LONG_SIDE)  # the border moves by two pixels of the small picture at most
    window = 2 * reach + 1
    shrunk, grown = -F.max_pool2d(-wide, window, 1, reach), F.max_pool2d(wide, window, 1, reach)
    high = (known > 0).float() * (grown >= 0.5)
    low = torch.maximum((known == 1).float(), high * (shrunk >= 0.5))
    high = torch.maximum(high, low)
    borders = _borders(photo)
    dual = [torch.zeros_like(border) for border in borders]
    return _cut(_evidence(photo, mixtures), borders, low, high, wide.clamp(low, high), dual)


def _kept(known: Tensor, size: tuple[int, ...]) -> Tensor:
    """`known` at a smaller size, with a pixel of the object and of the background at least, however small they are."""
    small = F.interpolate(known, size, mode="area")
    flat = small.view(-1)
    if not bool((flat >= 0.5).any()):
        flat[flat.argmax()] = 0.5
    if not bool((flat < 0.5).any()):
        flat[flat.argmin()] = 0.0
    return small


def _rounds(photo: Tensor, known: Tensor) -> tuple[Tensor, list[_Mixture]]:
    """Mask and mixtures in turn, from the first guess."""
    low, high = (known == 1).float(), (known > 0).float()
    mask, colors, borders = (known >= 0.5).float(), photo.flatten(2)[0].T, _borders(photo)
    dual = [torch.zeros_like(border) for border in borders]
    mixtures: list[_Mixture] = []
    for _ in range(_ROUNDS):
        inside = mask.flatten() == 1
        if not bool(inside.any()) or bool(inside.all()):
            break  # one of the two has vanished: nothing is left to learn from
        parts = (colors[inside], colors[~inside])
        mixtures = [_fit(part, before) for part, before in zip(parts, mixtures or (None, None), strict=True)]
        mask = _cut(_evidence(photo, mixtures), borders, low, high, mask, dual)
    return mask, mixtures


def _pixels(box: Sequence[float], height: int, width: int) -> tuple[int, int, int, int]:
    """The box in whole pixels, or ValueError."""
    given: Any = box.tolist() if hasattr(box, "tolist") else box
    numbers = [arguments.plain(side) for side in given] if isinstance(given, tuple | list) else []
    if len(numbers) != 4 or not all(map(arguments.is_number, numbers)):
        raise ValueError(f"box must be four numbers (x0, y0, x1, y1), left, top, right and bottom, got {given!r}")
    if all(0 <= side <= 1 for side in numbers):
        numbers = [side * whole for side, whole in zip(numbers, (width, height) * 2, strict=True)]
    if not (0 <= numbers[0] < numbers[2] <= width and 0 <= numbers[1] < numbers[3] <= height):  # also refuses NaN
        raise ValueError(
            f"box must have 0 <= x0 < x1 <= {width} and 0 <= y0 < y1 <= {height}, the photo's width and height, "
            f"got {given!r}"
        )
    left, top, right, bottom = (round(side) for side in numbers)
    left, top = min(left, width - 1), min(top, height - 1)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _fit(colors: Tensor, before: _Mixture | None) -> _Mixture:
    """A mixture for colors (M, 3): each belongs to the Gaussian that explains it best (Section 3.3, steps 1 and 2).

    At first, the group that varies most is split along its main axis, until there are five (Orchard & Bouman 1991).
    """
    if before is not None:
        nearest = before.each(colors).argmax(0)
        groups = [group for k in range(len(before.shares)) if len(group := colors[nearest == k])]
    else:
        groups = [colors]
        while len(groups) < _COMPONENTS:
            spreads = [torch.linalg.eigh(_covariance(group)) for group in groups]
            widest = max(range(len(groups)), key=lambda k: float(spreads[k].eigenvalues[-1]) * len(groups[k]))
            group = groups[widest]
            right = (group - group.mean(0)) @ spreads[widest].eigenvectors[:, -1] > 0
            if not bool(right.any()) or bool(right.all()):
                break  # every group has one color
            groups[widest : widest + 1] = [group[right], group[~right]]
    shares = colors.new_tensor([len(group) / len(colors) for group in groups])
    noise = _VARIANCE * torch.eye(3, device=colors.device)
    covariances = torch.stack([_covariance(group) + noise for group in groups])
    return _Mixture(shares, torch.stack([group.mean(0) for group in groups]), covariances)


def _covariance(colors: Tensor) -> Tensor:
    centered = colors - colors.mean(0)
    return centered.T @ centered / len(colors)


def _evidence(photo: Tensor, mixtures: Sequence[_Mixture]) -> Tensor:
    """log b(z) − log f(z) at each pixel, (1, 1, H, W): negative where the color is rather the object's."""
    colors = photo.flatten(2)[0].T
    inside, outside = (mixture.log_density(colors) for mixture in mixtures)
    return (outside - inside).view(1, 1, *photo.shape[-2:])


def _borders(photo: Tensor) -> list[Tensor]:
    """w_pq for each direction of `_NEIGHBORS`; β is 1/(2 × mean of ‖z_p − z_q‖²)."""
    squares = [_difference(photo, step).square().sum(1, keepdim=True) for step in _NEIGHBORS]
    mean = sum(float(s.sum()) for s in squares) / max(1, sum(s.numel() for s in squares))
    beta = 1 / (2 * max(mean, 1e-8))
    return [_GAMMA / math.hypot(*step) * (-beta * s).exp() for step, s in zip(_NEIGHBORS, squares, strict=True)]


def _difference(u: Tensor, step: tuple[int, int]) -> Tensor:
    here, there = _pair(u, step)
    return there - here


def _pair(u: Tensor, step: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Views of the pixels that have a neighbor in this direction, and of these neighbors."""
    down, right = step
    height, width = u.shape[-2:]
    here = u[..., : height - down, max(0, -right) : width - max(0, right)]
    there = u[..., down:, max(0, right) : width - max(0, -right)]
    return here, there


def _cut(
    evidence: Tensor, borders: Sequence[Tensor], low: Tensor, high: Tensor, start: Tensor, dual: list[Tensor]
) -> Tensor:
    """The mask u in [low, high] that minimizes Σ u · evidence + Σ w |u_p − u_q| (Chambolle & Pock 2011, Algorithm 1).

    The step sizes fulfill τ σ ‖K‖² ≤ 1: K, all differences to neighbors, has ‖K‖² ≤ 16. Relative to its range of about
    γ, a dual variable takes steps as large as those of u relative to 1. The steps end when the energy of the mask is
    within `_GAP` of the dual energy, which no mask can undercut.

    Args:
        evidence, low, high, start: (1, 1, H, W).
        borders: w for each direction of `_NEIGHBORS`.
        dual: a dual variable for each direction, like `borders`; updated in place, for the next mask to start from.

    Returns:
        (1, 1, H, W), zeros and ones where `low` and `high` leave the choice.
    """
    tau, sigma = 1 / (4 * _GAMMA), _GAMMA / 4
    u = ahead = start
    for number in range(1, _STEPS + 1):
        slope = evidence.clone()
        for p, border, step in zip(dual, borders, _NEIGHBORS, strict=True):
            here, there = _pair(ahead, step)
            p.add_(there, alpha=sigma).sub_(here, alpha=sigma)
            torch.clamp(p, -border, border, out=p)
            first, second = _pair(slope, step)
            second.add_(p)
            first.sub_(p)
        moved = torch.clamp(u.sub(slope, alpha=tau), low, high)
        ahead, u = 2 * moved - u, moved
        if number % 25 == 0:
            bound = float(torch.minimum(slope * low, slope * high).sum(dtype=torch.float64))
            if _energy(_decided(u, low, high), evidence, borders) - bound <= _GAP * abs(bound):
                break
    return _decided(u, low, high)


def _decided(u: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return (u >= 0.5).to(u).clamp(low, high)


def _energy(u: Tensor, evidence: Tensor, borders: Sequence[Tensor]) -> float:
    total = (u * evidence).sum(dtype=torch.float64)
    for border, step in zip(borders, _NEIGHBORS, strict=True):
        total = total + (border * _difference(u, step).abs()).sum(dtype=torch.float64)
    return float(total)
