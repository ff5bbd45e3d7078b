"""Colors: matched to those of another picture, separated from brightness, and measured as the eye does (Lab).

Gatys et al. 2017, Section 5, keep the colors of a photo in two ways. Either the painting first gets the photo's colors
(`match_colors`), or only brightness is painted, and the photo's colors are put back (`luminance`, `match_luminance`,
`with_colors_of`). Nothing here clips: a result may lie outside [0, 1], and the caller decides when to clip.
"""

from __future__ import annotations

import torch
from torch import Tensor

from course_lib import arguments
from course_lib.image_checks import check_pictures, check_tensor

_EPS = 1e-5  # smallest variance that divides: below the square of one 8-bit level (1.5e-5)
COLOR_MATCHES = ("pca", "cholesky", "monge")
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601; they sum to 1

# Linear sRGB to XYZ, from the primaries of IEC 61966-2-1 and the white point D65
_TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
_SRGB_KNEE = 0.04045  # IEC 61966-2-1: up to here, encoded values are proportional to light
_LAB_KNEE = 6 / 29  # CIE 1976: down to here, f is the cube root


def match_colors(picture: Tensor, target: Tensor, method: str = "pca") -> Tensor:
    """Give a picture the mean and the covariance of the target's colors (Gatys et al. 2017, Section 5.2).

        x → A (x − μ(p)) + μ(t)  with  A Σ(p) Aᵀ = Σ(t)

    Many matrices A do this; they differ by a rotation.

    Args:
        picture: (1, 3, H, W) in [0, 1].
        target: (1, 3, h, w) in [0, 1].
        method: ``"pca"``, the default: Σ(t)^½ Σ(p)^−½, with symmetric roots. ``"cholesky"``: L(t) L(p)⁻¹ with Σ = L Lᵀ:
            the new red depends on red alone, green on red and green, blue on all three. ``"monge"``: Σ(p)^−½ (Σ(p)^½
            Σ(t) Σ(p)^½)^½ Σ(p)^−½, the optimal transport between two Gaussians: of all such A, it moves the colors
            least in mean square.

    Returns:
        (1, 3, H, W), on the picture's device; a few colors may lie outside [0, 1]. Directions in which the picture's
        colors vary by less than one 8-bit level are not stretched to the target's variance: a gray picture gets shades
        of one color.

    Raises:
        ImageError: not single pictures in [0, 1].
        ValueError: an unknown method.

    >>> painting, photo = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 9, 9) / 2
    >>> bool((match_colors(painting, photo).mean((2, 3)) - photo.mean((2, 3))).abs().max() < 1e-5)
    True
    """
    method = arguments.choice("method", method, COLOR_MATCHES)
    check_pictures(picture, "the picture", single=True)
    check_pictures(target, "the target", single=True)
    colors, goal = (each.cpu().double().flatten(2)[0] for each in (picture, target))  # other devices may lack float64
    mean, target_mean = colors.mean(1, keepdim=True), goal.mean(1, keepdim=True)
    matrix = _MATRICES[method](_covariance(colors - mean), _covariance(goal - target_mean))
    return (matrix @ (colors - mean) + target_mean).view_as(picture).to(picture)


def _covariance(colors: Tensor) -> Tensor:
    """(3, 3) of centered colors (3, H*W)."""
    return colors @ colors.T / colors.shape[1]


def _power(covariance: Tensor, power: float, least: float = 0.0) -> Tensor:
    """A symmetric power of a covariance whose eigenvalues below `least` are raised to it."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp_min(least).pow(power) @ vectors.T


def _triangle(root: Tensor) -> Tensor:
    """The lower triangular L with L Lᵀ = root·rootᵀ and no negative diagonal entry; the product may be singular."""
    upper = torch.linalg.qr(root.T).R
    return (upper * torch.where(upper.diagonal() < 0, -1.0, 1.0)[:, None]).T


def _pca(picture: Tensor, target: Tensor) -> Tensor:
    return _power(target, 0.5) @ _power(picture, -0.5, _EPS)


def _cholesky(picture: Tensor, target: Tensor) -> Tensor:
    triangle = _triangle(_power(picture, 0.5, _EPS))
    return torch.linalg.solve_triangular(triangle, _triangle(_power(target, 0.5)), upper=False, left=False)


def _monge(picture: Tensor, target: Tensor) -> Tensor:
    root, inverse = _power(picture, 0.5, _EPS), _power(picture, -0.5, _EPS)
    return inverse @ _power(root @ target @ root, 0.5) @ inverse


_MATRICES = {"pca": _pca, "cholesky": _cholesky, "monge": _monge}


def luminance(picture: Tensor) -> Tensor:
    """Brightness of gamma-encoded colors, Y = 0.299 R + 0.587 G + 0.114 B, as in YIQ (Gatys et al. 2017, Section 5.1).

    `evaluation.metrics.luma` has the same weights on another scale, from 16/255 to 235/255, as video stores it.

    Args:
        picture: (N, 3, H, W) in [0, 1].

    Returns:
        (N, 1, H, W) in [0, 1]; gradients flow through.

    Raises:
        ImageError: not pictures in [0, 1].

    >>> round(luminance(torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1)).item(), 4)
    0.5925
    """
    check_pictures(picture, "the picture")
    return _luminance(picture)


def _luminance(picture: Tensor) -> Tensor:
    return (picture * picture.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def match_luminance(painting: Tensor, photo: Tensor, *, spread: bool = True) -> Tensor:
    """The brightness of a painting, with the photo's mean and standard deviation (Gatys et al. 2017, Section 5.1).

        L'(s) = σ(c)/σ(s) · (L(s) − μ(s)) + μ(c)

    Args:
        painting: s, (1, 3, h, w) in [0, 1].
        photo: c, (1, 3, H, W) in [0, 1].
        spread: also match the standard deviation, as the paper does; the authors' program matches the mean alone.

    Returns:
        (1, 3, h, w): the gray painting, three equal channels, as a network needs it; a few values may lie outside
        [0, 1]. A painting of a single brightness gets the mean alone.

    Raises:
        ImageError: not single pictures in [0, 1].

    >>> gray = match_luminance(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 9, 9) / 2)
    >>> bool(gray.mean() < 0.4), tuple(gray.shape)
    (True, (1, 3, 8, 8))
    """
    check_pictures(painting, "the painting", single=True)
    check_pictures(photo, "the photo", single=True)
    given, goal = (_luminance(each.cpu().double()) for each in (painting, photo))
    gray = given - given.mean()
    if spread:
        gray *= goal.std(correction=0) / given.std(correction=0).clamp_min(_EPS**0.5)
    return (gray + goal.mean()).expand(-1, 3, -1, -1).to(painting)


def with_colors_of(painted: Tensor, photo: Tensor) -> Tensor:
    """The brightness of a painted picture with the colors of the photo (Gatys et al. 2017, Section 5.1).

    In YIQ: Y of the painted picture, I and Q of the photo. The transform is linear, and a gray (t, t, t) has Y = t and
    I = Q = 0. So adding Y(painted) − Y(photo) to all three channels of the photo is the same.

    Args:
        painted, photo: (N, 3, H, W) in [0, 1], of one shape.

    Returns:
        (N, 3, H, W); where the photo's color cannot be that bright or that dark, values lie outside [0, 1].

    Raises:
        ImageError: not pictures in [0, 1].
        ValueError: the two shapes differ.

    >>> painted, photo = 0.4 + 0.2 * torch.rand(2, 1, 3, 4, 4)
    >>> torch.allclose(luminance(with_colors_of(painted, photo)), luminance(painted), atol=1e-6)
    True
    """
    check_pictures(painted, "the painted picture")
    check_pictures(photo, "the photo")
    if painted.shape != photo.shape:
        shapes = f"{tuple(painted.shape)} and {tuple(photo.shape)}"
        raise ValueError(f"the painted picture must have the shape of the photo, got {shapes}; resize one of them")
    photo = photo.to(painted)
    return photo + (_luminance(painted) - _luminance(photo))


def to_lab(picture: Tensor) -> Tensor:
    """CIE L*a*b* of 1976 under D65: equal distances look about equally large.

    Args:
        picture: (N, 3, H, W) sRGB in [0, 1]; computed in its own float format, float32 at least.

    Returns:
        (N, 3, H, W): L from 0 (black) to 100 (white), a from green (−86) to red (98), b from blue (−108) to yellow
        (95); a = b = 0 for grays.

    Raises:
        ImageError: not pictures in [0, 1].

    >>> red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    >>> [round(value, 2) for value in to_lab(red).flatten().tolist()]
    [53.24, 80.09, 67.2]
    """
    check_pictures(picture, "the picture")
    encoded = picture.to(torch.promote_types(picture.dtype, torch.float32))
    steep = ((encoded.clamp_min(_SRGB_KNEE) + 0.055) / 1.055) ** 2.4
    linear = torch.where(encoded <= _SRGB_KNEE, encoded / 12.92, steep)
    xyz = _mixed(_relative_xyz(), linear)  # 1 for white
    root = xyz.clamp_min(_LAB_KNEE**3) ** (1 / 3)
    x, y, z = torch.where(xyz > _LAB_KNEE**3, root, xyz / (3 * _LAB_KNEE**2) + 4 / 29).unbind(1)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), 1)


def from_lab(lab: Tensor) -> Tensor:
    """The sRGB colors of L*a*b*: the inverse of `to_lab`.

    Args:
        lab: (N, 3, H, W), scaled as `to_lab` returns it.

    Returns:
        (N, 3, H, W) sRGB. Colors that a screen cannot show lie outside [0, 1].

    Raises:
        ImageError: not (N, 3, H, W) floats.

    >>> gray = from_lab(torch.tensor([50.0, 0.0, 0.0]).view(1, 3, 1, 1)).flatten()
    >>> [round(value, 3) for value in gray.tolist()]
    [0.466, 0.466, 0.466]
    """
    check_tensor(lab, "the Lab picture")
    lightness, a, b = lab.to(torch.promote_types(lab.dtype, torch.float32)).unbind(1)
    y = (lightness + 16) / 116
    f = torch.stack((y + a / 500, y, y - b / 200), 1)
    xyz = torch.where(f > _LAB_KNEE, f**3, 3 * _LAB_KNEE**2 * (f - 4 / 29))
    linear = _mixed(torch.linalg.inv(_relative_xyz()), xyz)
    steep = 1.055 * linear.clamp_min(_SRGB_KNEE / 12.92) ** (1 / 2.4) - 0.055
    return torch.where(linear <= _SRGB_KNEE / 12.92, 12.92 * linear, steep)


def _relative_xyz() -> Tensor:
    """(3, 3) float64: linear sRGB to XYZ divided by the white point, so that each row sums to 1."""
    matrix = torch.tensor(_TO_XYZ, dtype=torch.float64)
    return matrix / matrix.sum(1, keepdim=True)


def _mixed(matrix: Tensor, picture: Tensor) -> Tensor:
    """A (3, 3) matrix times each color, in the picture's own float format whatever the caller's precision is."""
    return (matrix.to(picture)[..., None, None] * picture[:, None]).sum(2)
