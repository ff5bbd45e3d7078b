"""What a picture shows, measured without a network: how large its structures are, how much of it is speckle, and how
many of a photograph's edges it keeps. All three measures are defined by this book.

They read the luminance alone (`metrics.luma`), and contrast and brightness do not matter. `structure_size` and
`speckle` come from the power spectrum of the whole picture under a Hann window, which weights the center more than the
borders. Frequencies are in cycles per pixel, in any direction: 0.5 for rows or columns of single pixels that alternate,
0.71 for a checkerboard of single pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import arguments
from course_lib.evaluation.inputs import check
from course_lib.evaluation.metrics import luma

_FLAT = 1e-6  # a luminance of a smaller standard deviation is the rounding of float32


def structure_size(image: Tensor) -> float:
    """How large the structures in a picture are: half the mean wavelength, in pixels.

    With P the power spectrum of the luminance and f the frequency, exp(-Σ P ln f / Σ P) / 2. The mean is geometric, so
    that a texture enlarged k times has a k times larger size. A wavelength is a bright and a dark structure; hence the
    half. Wavelengths above a quarter of the shorter side do not count, nor does the mean: they are the composition
    (sky above, castle below), which a photograph hands on to every stylization of it.

    Args:
        image: (N, 3, H, W) in [0, 1], with sides of at least 32 px. The measure depends on the size at which a picture
            is looked at, so compare pictures of one size. It is meant for structures well below an eighth of the
            shorter side: of larger ones, the part above the limit is missing.

    Returns:
        Mean over the batch, from 0.7 px to an eighth of the shorter side. 1.44 px for white noise, whatever its
        amplitude; 4.19 σ for white noise blurred by a Gaussian of σ px; p for stripes whose luminance is a sine wave of
        p px up and p px down. At 256 × 256 px the book's photographs have 5.6 to 15 px, its paintings 5.6 to 11 px.

    Raises:
        ValueError: not pictures (see `course_lib.evaluation.inputs.check`), or one without any structure of these
            wavelengths.

    >>> noise = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> texture, twice = (F.interpolate(noise, scale_factor=k, mode="bicubic").clamp(0, 1) for k in (6.0, 12.0))
    >>> print(f"{structure_size(texture):.1f} px, enlarged twice {structure_size(twice):.1f} px")
    8.7 px, enlarged twice 17.5 px
    """
    check(image, least=32, why="structure_size", centered=True)
    power, frequency = _spectrum(image)
    counted = frequency >= 4 / min(image.shape[2:])
    total, power, frequency = power.sum((1, 2)), power[:, counted], frequency[counted]
    if (power.sum(1) < 1e-9 * total).any():
        raise ValueError(
            f"no structure has a wavelength below {min(image.shape[2:]) / 4:g} px, a quarter of the shorter side; "
            "the measure needs a picture with more than a slow change of brightness"
        )
    return (torch.exp(-(power * frequency.log()).sum(1) / power.sum(1)) / 2).mean().item()


def variance_share(image: Tensor, low: float, high: float = 1.0) -> float:
    """The share of a picture's variance between two frequencies, low ≤ f < high.

    Args:
        image: (N, 3, H, W) in [0, 1], with sides of at least 16 px.
        low, high: cycles per pixel.

    Returns:
        Mean over the batch, from 0 to 1. For white noise, the share of the square of frequencies, [-1/2, 1/2]², that
        lies in the ring: π (high² - low²) for rings up to 1/2.

    Raises:
        ValueError: not pictures (see `course_lib.evaluation.inputs.check`), one without any structure, or a band
            without a frequency.

    >>> stripes = torch.tensor([0.0, 1.0]).repeat(32).expand(1, 3, 64, 64)  # half a cycle per pixel
    >>> print(f"{variance_share(stripes, 0.0, 0.4):.3f}, {variance_share(stripes, 0.4, 0.6):.3f}")
    0.000, 1.000
    """
    check(image, least=16, why="a spectrum", centered=True)
    low, high = arguments.nonnegative("low", low), arguments.nonnegative("high", high)
    if not low < high:
        raise ValueError(f"expected a band 0 ≤ low < high in cycles per pixel, got low {low} and high {high}")
    power, frequency = _spectrum(image)
    band = (frequency >= low) & (frequency < high)
    return (power[:, band].sum(1) / power.sum((1, 2))).mean().item()


def speckle(image: Tensor) -> float:
    """The share of a picture's variance above 0.35 cycles per pixel.

    Average pooling hides these frequencies from every VGG layer but those of the first block, so that the grain of a
    noise start stays in a stylized picture.

    Args:
        image: (N, 3, H, W) in [0, 1], with sides of at least 16 px.

    Returns:
        Mean over the batch, from 0 to 1: 1 - 0.35² π = 0.615 for white noise. At 256 × 256 px the book's photographs
        have 0.001 to 0.04, its paintings 0.006 to 0.07. To say how much grain a stylization added, divide by the number
        of the painting at the same size.

    Raises:
        ValueError: as `variance_share`.

    >>> noise = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    >>> print(f"{speckle(noise):.1f}")
    0.6
    """
    return variance_share(image, 0.35)


def edge_agreement(image: Tensor, photo: Tensor) -> float:
    """How much of a photograph's edges a picture keeps: the correlation of their gradients' magnitudes.

    The luminance of both is blurred by a Gaussian of σ = 1 px. Then g = ‖∇ luminance‖ is taken by central differences,
    and Pearson's correlation of g over all pixels but the outermost five. It does not matter which side of an edge is
    brighter, which colors are on both sides, or how strong all edges are together.

    Args:
        image, photo: (N, 3, H, W) in [0, 1], with sides of at least 16 px. The order of the two does not matter, except
            for a picture of a single color.

    Returns:
        Mean over the batch, from -1 to 1. 1 if the luminance differs in brightness and contrast alone (also for a
        negative), about 0 for independent noise, 0 for an `image` without edges, below 0 if edges stand where the
        photograph has none. Two unrelated photographs may reach 0.3, where both have a sky without edges at the top.

    Raises:
        ValueError: not two pictures of one shape (see `course_lib.evaluation.inputs.check`), or a `photo` without
            edges.

    >>> photo = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> other = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    >>> print(f"{edge_agreement(0.2 + photo / 2, photo):.2f}, {abs(edge_agreement(other, photo)):.1f}")
    1.00, 0.0
    """
    check(image, photo, least=16, why="edge_agreement", centered=True)
    g, edges = (_edges(x).flatten(1) for x in (image, photo))
    g, edges = (x - x.mean(1, keepdim=True) for x in (g, edges))
    if (edges.square().mean(1).sqrt() < _FLAT).any():
        raise ValueError("the photo has no edges: its luminance is the same everywhere; give the content photograph")
    norms = g.norm(dim=1) * edges.norm(dim=1)
    flat = g.square().mean(1).sqrt() < _FLAT
    return torch.where(flat, 0, (g * edges).sum(1) / norms.clamp_min(1e-300)).mean().item()


def _spectrum(image: Tensor) -> tuple[Tensor, Tensor]:
    """Power (N, H, W) of the luminance without its mean, under a Hann window, and each bin's frequency (H, W)."""
    light = luma(image.detach().cpu().double())[:, 0]  # not every device has double precision
    light = light - light.mean((1, 2), keepdim=True)
    if (light.square().mean((1, 2)).sqrt() < _FLAT).any():
        raise ValueError("the luminance is the same everywhere, so the picture has no structure to measure")
    down, across = (torch.hann_window(n, dtype=torch.float64) for n in light.shape[1:])
    power = torch.fft.fft2(light * torch.outer(down, across)).abs().square()
    rows, columns = (torch.fft.fftfreq(n, dtype=torch.float64) for n in light.shape[1:])
    return power, (rows[:, None].square() + columns.square()).sqrt()


def _edges(image: Tensor) -> Tensor:
    """The gradient's magnitude (N, H - 10, W - 10) of the blurred luminance; no padding enters it."""
    light = luma(image.detach().cpu().double())
    x = torch.arange(-4, 5, dtype=torch.float64)
    line = torch.exp(-x.square() / 2)
    line = line / line.sum()
    light = F.conv2d(F.conv2d(light, line.view(1, 1, 9, 1)), line.view(1, 1, 1, 9))[:, 0]
    dy = (light[:, 2:, 1:-1] - light[:, :-2, 1:-1]) / 2
    dx = (light[:, 1:-1, 2:] - light[:, 1:-1, :-2]) / 2
    return torch.hypot(dx, dy)
