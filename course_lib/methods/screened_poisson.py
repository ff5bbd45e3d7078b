"""Photorealistic style transfer with the screened Poisson equation (Mechrez, Shechtman & Zelnik-Manor, BMVC 2017).

A picture painted by any method is made photographic again: find the picture O that stays near the painted one, while
its neighboring pixels differ as they do in the photo. For each channel of Lab:

    minimize over O:   Σ (O − S)²  +  λ Σ ‖∇O − ∇C‖²

Symbols: C photo, S painted picture; ∇ the differences of each pixel to its right and its lower neighbor, none across
the border; λ a weight for each channel. The minimum is where (1 + λ ∇ᵀ∇) O = S + λ ∇ᵀ∇C, a linear equation. Its matrix
is diagonal in the basis of the two-dimensional cosine transform (DCT-II), so three fast transforms solve it exactly:

    O = S + DCT⁻¹ [ λ / (1 + λ e) · DCT(∇ᵀ(∇C − ∇S)) ]   with  e_kl = (2 − 2 cos πk/H) + (2 − 2 cos πl/W)

The factor λe / (1 + λe) says at which sizes the photo wins: where details are small, e is large, and O follows C; over
distances far beyond √λ pixels, O follows S. The mean color is the painted picture's.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib import arguments, config_checks
from course_lib.colors import from_lab, to_lab
from course_lib.image_checks import check_pictures
from course_lib.optimize.start import check_memory

_BYTES_OF_PIXEL = 360  # 336 measured, most of it while colors are converted to Lab
_GAMUT = 0.5 / 255  # a color counts as outside from half an 8-bit level on


@dataclass(frozen=True)
class Config:
    """The paper's configuration; every field names its source."""

    lightness_weight: float = 5.0  # λ of L: the paper's (not checked against its text); 25 in the program
    color_weight: float = 1.0  # λ of a and b: the paper's and the program's (example.m)
    largest_gradient: float | None = None  # photo's larger differences, in Lab, count as 0; the paper has no limit

    def __post_init__(self) -> None:
        config_checks.check(self, nonnegative=("lightness_weight", "color_weight"))
        if self.largest_gradient is not None:
            config_checks.check(self, positive=("largest_gradient",))

    @classmethod
    def released(cls) -> Config:
        """The authors' program: it multiplies both sides of the equation ∇O = ∇C by w = (5, 1, 1), so λ is w².

        It drops differences above 100 (doPoissonCombination.m). It also subtracts the painted picture's mean and adds
        it again, which changes nothing, since a constant has no gradient. *Differs from it:* there, most differences
        above 100 are first replaced by a neighboring one (sGradMex.cpp); here, they count as 0. L has no such
        differences, a and b hardly any.
        """
        return cls(lightness_weight=25.0, largest_gradient=100.0)

    @classmethod
    def fast(cls) -> Config:
        """The same: the solution is exact and takes milliseconds."""
        return cls()

    @classmethod
    def quick(cls) -> Config:
        """The same as `fast`."""
        return cls.fast()


@dataclass(frozen=True)
class Result:
    """What `stylize` returns.

    `history` has two numbers for each of its terms, that of the painted picture and that of the solution: ``"total"``,
    ``"likeness"``, which is mean (O − S)², and ``"gradients"``, which is λ-weighted mean ‖∇O − ∇C‖², both summed over
    the channels of Lab and divided by the number of pixels; and ``"seconds"``, the time at which each was known.
    """

    image: Tensor  # (1, 3, H, W) in [0, 1], float32, on the CPU
    history: dict[str, list[float]]
    config: Config
    outside: float  # share of pixels that lay outside [0, 1] by half an 8-bit level or more, and were clipped


def stylize(content: Tensor, painted: Tensor, config: Config | None = None) -> Result:
    """Give a painted picture the gradients of the photo.

    Args:
        content: the photo, (1, 3, H, W) in [0, 1].
        painted: the photo in a style, (1, 3, H, W) in [0, 1], made by any method.
        config: defaults to the paper's.

    Returns:
        A `Result`. The solution is exact in Lab. Colors of it that lie outside sRGB are clipped to [0, 1], so there the
        picture is not the minimum; ``outside`` says for how many pixels.

    Raises:
        ImageError: not single pictures in [0, 1].
        ValueError: the two sizes differ.
        MemoryError: too large; the message gives the largest size that fits.

    >>> photo, painted = torch.rand(1, 3, 12, 16), torch.rand(1, 3, 12, 16)
    >>> result = stylize(photo, painted)
    >>> before, after = result.history["total"]
    >>> after < before
    True
    """
    config = config_checks.given(config, Config)
    check_pictures(content, "the content image", single=True)
    check_pictures(painted, "the painted picture", single=True)
    height, width = content.shape[2:]
    if painted.shape != content.shape:
        raise ValueError(
            f"the painted picture must have the size of the content image, got {tuple(painted.shape)} and "
            f"{tuple(content.shape)}; use resize(painted, ({height}, {width})), or the photo that was painted"
        )
    check_memory(memory_needed, height, width, torch.device("cpu"))
    began = time.perf_counter()
    photo, given = (to_lab(x.detach().cpu().double().clamp(0, 1))[0] for x in (content, painted))
    weights = (config.lightness_weight, config.color_weight, config.color_weight)
    limit = math.inf if config.largest_gradient is None else config.largest_gradient
    solved = torch.stack([solve(s, c, weight, limit) for s, c, weight in zip(given, photo, weights, strict=True)])
    rows = []
    for picture in (given, solved):
        parts = [energy(o, s, c, limit) for o, s, c in zip(picture, given, photo, strict=True)]
        likeness = sum(part[0] for part in parts) / (height * width)
        gradients = sum(weight * part[1] for weight, part in zip(weights, parts, strict=True)) / (height * width)
        rows.append((likeness + gradients, likeness, gradients, time.perf_counter() - began))
    columns = (list(column) for column in zip(*rows, strict=True))
    history = dict(zip(("total", "likeness", "gradients", "seconds"), columns, strict=True))
    image = from_lab(solved[None])
    outside = ((image < -_GAMUT) | (image > 1 + _GAMUT)).any(1).double().mean().item()
    return Result(image.clamp(0, 1).float(), history, config, outside)


def memory_needed(height: int, width: int) -> int:
    """An estimate of the bytes that `stylize` needs for a picture of this size, in pixels."""
    return _BYTES_OF_PIXEL * height * width


def solve(painted: Tensor, photo: Tensor, weight: float, largest: float = math.inf) -> Tensor:
    """The O that minimizes Σ (O − S)² + λ Σ ‖∇O − ∇C‖², exactly, by cosine transforms.

    Args:
        painted: S, (..., H, W), one channel, or several that are treated alike.
        photo: C, of the same shape.
        weight: λ.
        largest: differences of the photo above it, up or down, are taken to be 0.

    Returns:
        (..., H, W), in the same float format. With a weight of 0, or if S already has the photo's
        gradients, it is S; its mean is always that of S.

    Raises:
        ValueError: shapes that differ, numbers that are not floats, or an invalid weight.

    >>> photo = torch.rand(6, 7, dtype=torch.float64)
    >>> torch.allclose(solve(photo + 0.25, photo, 5.0), photo + 0.25)
    True
    """
    weight = arguments.nonnegative("weight", weight)
    _check_channels(painted, photo)
    if weight == 0:
        return painted.clone()
    if painted.dtype in (torch.float16, torch.bfloat16):  # PyTorch's transforms know no half precision
        return solve(painted.float(), photo.float(), weight, largest).to(painted.dtype)
    photo = photo.to(painted)
    source = torch.zeros_like(painted)  # ∇ᵀ(∇C − ∇S)
    for axis in (-2, -1):
        missing = _differences(photo, axis, largest) - painted.diff(dim=axis)
        last = painted.shape[axis] - 1
        source.narrow(axis, 1, last).add_(missing)
        source.narrow(axis, 0, last).sub_(missing)
    down, across = (2 - 2 * torch.cos(torch.pi * torch.arange(n).to(painted) / n) for n in painted.shape[-2:])
    share = 1 / (1 / weight + down[:, None] + across)
    share[0, 0] = 0  # ∇ᵀ of anything has the mean 0; a large λ would enlarge what rounding leaves of it
    return painted + _inverse_cosines(_inverse_cosines(_cosines(_cosines(source, -1), -2) * share, -2), -1)


def energy(picture: Tensor, painted: Tensor, photo: Tensor, largest: float = math.inf) -> tuple[float, float]:
    """The two sums that `solve` weighs against each other: Σ (O − S)² and Σ ‖∇O − ∇C‖².

    Args:
        picture, painted, photo: O, S and C, (..., H, W).
        largest: as for `solve`.

    Raises:
        ValueError: shapes that differ, or numbers that are not floats.

    >>> energy(torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 1.0]]), torch.tensor([[0.0, 1.0]]))
    (4.0, 1.0)
    """
    _check_channels(picture, painted, photo)
    apart = [picture.diff(dim=axis) - _differences(photo, axis, largest) for axis in (-2, -1)]
    return (picture - painted).square().sum().item(), sum(each.square().sum().item() for each in apart)


def _check_channels(*channels: Tensor) -> None:
    """Refuse what are not floats (..., H, W) of one shape."""
    for one in channels:
        if not isinstance(one, Tensor) or one.ndim < 2 or not one.is_floating_point() or one.numel() == 0:
            got = f"{tuple(one.shape)} {one.dtype}" if isinstance(one, Tensor) else type(one).__name__
            raise ValueError(f"expected channels (..., H, W) of floats, got {got}")
    if len({one.shape for one in channels}) > 1:
        shapes = ", ".join(str(tuple(one.shape)) for one in channels)
        raise ValueError(f"expected channels of one shape, got {shapes}; resize one of them")


def _differences(photo: Tensor, axis: int, largest: float) -> Tensor:
    found = photo.diff(dim=axis)
    return found.masked_fill(found.abs() > largest, 0)


def _cosines(x: Tensor, axis: int) -> Tensor:
    """DCT-II, X_k = Σ_j x_j cos(π k (2j + 1) / 2n), by one real FFT of the same length (Makhoul 1980).

    The even entries, then the odd ones backwards, have the spectrum V with X_k = Re W_k and X_(n−k) = −Im W_k, where
    W_k = exp(−iπk / 2n) V_k.
    """
    x = x.movedim(axis, -1)
    n = x.shape[-1]
    spectrum = torch.fft.rfft(torch.cat((x[..., ::2], x[..., 1::2].flip(-1)), -1)) * _turn(x, -1)
    rest = -spectrum.imag[..., 1 : (n + 1) // 2].flip(-1)
    return torch.cat((spectrum.real, rest), -1).movedim(-1, axis)


def _inverse_cosines(x: Tensor, axis: int) -> Tensor:
    """The inverse of `_cosines`."""
    x = x.movedim(axis, -1)
    n = x.shape[-1]
    imaginary = torch.zeros_like(x[..., : n // 2 + 1])
    imaginary[..., 1:] = -x[..., n - n // 2 :].flip(-1)
    mixed = torch.fft.irfft(torch.complex(x[..., : n // 2 + 1].contiguous(), imaginary) * _turn(x, 1), n=n)
    out = torch.empty_like(mixed)
    out[..., ::2], out[..., 1::2] = mixed[..., : (n + 1) // 2], mixed[..., (n + 1) // 2 :].flip(-1)
    return out.movedim(-1, axis)


def _turn(x: Tensor, sign: int) -> Tensor:
    """exp(± iπk / 2n) for k up to n/2."""
    n = x.shape[-1]
    angle = sign * torch.pi / (2 * n) * torch.arange(n // 2 + 1).to(x)
    return torch.polar(torch.ones_like(angle), angle)
