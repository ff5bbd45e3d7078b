"""First guesses of the inverse Hessian of a picture's loss, for `course_lib.optimize.lbfgs.LBFGS`.

L-BFGS learns the curvature of some dozen directions, and a picture has a hundred thousand. What it has not learned yet,
it scales by B: with the identity, all directions alike. But the curvature of a loss on VGG features differs a lot, in a
way that hardly depends on the pictures, so a better B can be given in advance. B is diagonal in the frequencies, hence
a filter: two Fourier transforms a step.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# Curvature by frequency f (cycles per pixel) in units of its maximum for luminance, fitted to finite differences on
# four pairs of pictures after 10 to 100 steps: `python -m benchmarks.curvature` measures it again.
_EDGE, _BLOB = 0.17, 0.08
_HEIGHTS = (1.0, 0.9, 1.7)  # luminance, red - blue, green - magenta
_FLOOR = 0.3  # B is bounded: what the formula calls flat may be curved in another picture
AXES = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (1.0, -2.0, 1.0))


def fourier_preconditioner(
    height: int, width: int, *, power: float, device: torch.device | str = "cpu"
) -> Callable[[Tensor], Tensor]:
    """A first guess of the inverse Hessian for pictures: B divides each Fourier coefficient by frequency**power.

    The same as optimizing the coefficients, each in units of frequency**(−power/2). The coarse patterns of a
    gradient then count for more than the fine ones, as they do in photographs, whose amplitudes fall like
    1/frequency (Field 1987). Real, symmetric and positive definite, for any size; the borders are joined.

    Args:
        height, width: of the picture, in pixels.
        power: 0 is the identity, 1 is 1/frequency.

    Returns:
        A function from (…, H, W) to (…, H, W), for `LBFGS(precondition=…)`.

    >>> flat = torch.ones(1, 3, 4, 6)
    >>> bool(torch.allclose(fourier_preconditioner(4, 6, power=1.0)(flat), 6 * flat))
    True
    """
    gain = _frequency(height, width, device).clamp_min(1 / max(height, width)) ** (-power)  # (H, W // 2 + 1)

    def precondition(picture: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(picture) * gain.to(picture.dtype), s=(height, width))

    return precondition


def color_preconditioner(
    height: int, width: int, *, power: float = 0.0, device: torch.device | str = "cpu"
) -> Callable[[Tensor], Tensor]:
    """A first guess of the inverse Hessian of losses on VGG features, from their measured curvature.

    B divides by h(f) + 0.3 in each of three color axes. For luminance, h(f) = u exp((1 − u²) / 2) with u = f / 0.17:
    the spectrum of a Gaussian's derivative, that is, of an edge filter one pixel wide. For the differences red − blue
    and green − magenta, h(f) = 0.9 and 1.7 times exp(−(f / 0.08)² / 2), the spectrum of blobs two pixels wide. So the
    network hardly sees fine colors, and not the finest grain: there a picture may change by more.

    Args:
        height, width: of the picture, in pixels.
        power: also divide by frequency**power, as `fourier_preconditioner` does.

    Returns:
        A function from (1, 3, H, W) to (1, 3, H, W), linear, symmetric and positive definite; the borders are joined.

    *Ours:* decorrelated colors and frequencies as unknowns are known from feature visualization (Olah et al. 2017),
    there with the statistics of photographs.
    """
    frequency = _frequency(height, width, device)
    gain = (1 + _FLOOR) / (curvature(frequency) + _FLOOR)
    gain = gain * frequency.clamp_min(1 / max(height, width)) ** (-power)  # (3, H, W // 2 + 1)
    axes = torch.tensor(AXES, device=device)
    axes = axes / axes.norm(dim=1, keepdim=True)  # (3, 3), orthonormal

    def precondition(picture: Tensor) -> Tensor:
        q = axes.to(picture.dtype)
        parts = torch.einsum("ac,nchw->nahw", q, picture)
        parts = torch.fft.irfft2(torch.fft.rfft2(parts) * gain.to(picture.dtype), s=(height, width))
        return torch.einsum("ac,nahw->nchw", q, parts)

    return precondition


def curvature(frequency: Tensor) -> Tensor:
    """The h(f) of `color_preconditioner`, from f in cycles per pixel: any shape (…) → (3, …), one for each axis."""
    u = frequency / _EDGE
    edge, blob = u * torch.exp((1 - u.square()) / 2), torch.exp(-(frequency / _BLOB).square() / 2)
    return torch.stack([height * h for height, h in zip(_HEIGHTS, (edge, blob, blob), strict=True)])


def _frequency(height: int, width: int, device: torch.device | str) -> Tensor:
    """Cycles per pixel of the coefficients of `torch.fft.rfft2`, (H, W // 2 + 1)."""
    down = torch.fft.fftfreq(height, device=device)[:, None]
    across = torch.fft.rfftfreq(width, device=device)
    return (down.square() + across.square()).sqrt()
