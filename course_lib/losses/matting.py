"""The matting Laplacian: how far a picture is from a recoloring of a photo (Levin, Lischinski & Weiss 2008).

In every small window of the photo I, find the affine map of its colors that comes nearest to a channel V of the
picture. What is left over, summed over all windows, is the energy, and it is a quadratic form in V:

    Vᵀ M V = Σ_w min_{a,b} [ Σ_{i∈w} (V_i − a·I_i − b)² + ε ‖a‖² ]

    M_ij = Σ_{w∋i,j} [ δ_ij − 1/n (1 + (I_i − μ_w)ᵀ (Σ_w + ε/n)⁻¹ (I_j − μ_w)) ]        (Eq. 12)

with mean μ_w and covariance Σ_w of the n colors in window w. Luan et al. 2017 (Eq. 2) add this energy of all three
channels to the loss of style transfer: brightness and colors may change freely, but an edge that the photo does not
have costs much.

M is a graph Laplacian: symmetric, with rows that sum to zero. So its entries off the diagonal, w_ij = −M_ij, are all
there is to store, and Vᵀ M V = Σ_{i<j} w_ij (V_i − V_j)². `matting_bands` stores them as one plane for each distance
between two pixels, which is smaller and faster than a sparse matrix; `matting_laplacian` makes the matrix from it.
"""

from __future__ import annotations

import warnings
from itertools import combinations

import torch
from torch import Tensor

from course_lib import arguments
from course_lib.image_checks import check_pictures
from course_lib.losses.style import check_features
from course_lib.optimize.objective import Term
from course_lib.optimize.start import check_memory

EPS, RADIUS = 1e-7, 1  # 3×3 windows: Luan et al.'s program, deepmatting_seg.lua
_SMALLEST_EPS = 1e-12  # in float64, less is lost in the covariance
_BYTES_OF_ENTRY = 72  # of the sparse matrix while it is made: 61 to 65 measured, for radius 1 and 2


def matting_bands(photo: Tensor, *, eps: float = EPS, radius: int = RADIUS) -> Tensor:
    """The weights w_ij = −M_ij of pixels i and j that share a window, as one plane for each distance between them.

    Args:
        photo: I, (1, 3, H, W) in [0, 1].
        eps: ε, from 1e-12 up, which keeps a window of one color solvable; larger values allow less recoloring.
        radius: of a window; 1 gives 3×3 pixels. Windows lie inside the photo.

    Returns:
        (K, H, W) float64 on the CPU. Plane k holds w at (y, x) for the pixels (y, x) and (y + dy, x + dx), where
        (dy, dx) is the k-th of `offsets`, and 0 where the second one is outside. Radius 1 has 12 planes.

    Raises:
        ImageError: not one picture in [0, 1], or a side smaller than a window.
        ValueError: an eps below 1e-12, or a radius below 1.
        MemoryError: too large; the message gives the largest size that fits.

    >>> bands = matting_bands(torch.rand(1, 3, 6, 8))
    >>> tuple(bands.shape), offsets(1)[:3]
    ((12, 6, 8), [(0, 1), (0, 2), (1, -2)])
    """
    eps, radius = arguments.positive("eps", eps), arguments.whole("radius", radius, 1)
    if eps < _SMALLEST_EPS:
        raise ValueError(f"eps must be at least {_SMALLEST_EPS:g}, got {eps!r}: less is lost in rounding")
    side = 2 * radius + 1
    check_pictures(photo, "the photo", single=True, least=side, why=f"a window of {side}×{side} px")
    height, width = photo.shape[-2:]
    check_memory(lambda h, w: _bytes_of_bands(radius) * h * w, height, width, torch.device("cpu"))
    place = {offset: k for k, offset in enumerate(offsets(radius))}
    bands = torch.zeros(len(place), height, width, dtype=torch.float64)
    colors = _whitened(photo.detach().cpu().double()[0], eps, side)  # (n, 3, windows down, windows across)
    down, across = colors.shape[-2:]
    for i, j in combinations(range(side**2), 2):  # i comes before j, row by row
        (y, x), (v, u) = divmod(i, side), divmod(j, side)
        share = (colors[i] * colors[j]).sum(0).add_(1).div_(side**2)
        bands[place[v - y, u - x], y : y + down, x : x + across] += share
    return bands


def offsets(radius: int = RADIUS) -> list[tuple[int, int]]:
    """The steps (dy, dx) from a pixel to those that share a window with it and come later, row by row.

    >>> offsets(1)
    [(0, 1), (0, 2), (1, -2), (1, -1), (1, 0), (1, 1), (1, 2), (2, -2), (2, -1), (2, 0), (2, 1), (2, 2)]
    """
    reach = 2 * radius
    return [(y, x) for y in range(reach + 1) for x in range(-reach, reach + 1) if (y, x) > (0, 0)]


def matting_laplacian(photo: Tensor, *, eps: float = EPS, radius: int = RADIUS) -> Tensor:
    """M itself (Eq. 12), as a sparse matrix: to look at, to solve with, and to check the bands against.

    Args:
        photo, eps, radius: as for `matting_bands`.

    Returns:
        (H·W, H·W) float64, `torch.sparse_csr`, on the CPU; pixels are numbered row by row. Symmetric, positive
        semidefinite, rows sum to 0.

    Raises:
        ImageError, ValueError, MemoryError: as `matting_bands`.

    >>> matrix = matting_laplacian(torch.rand(1, 3, 5, 4))
    >>> bool((matrix @ torch.ones(20, 1, dtype=torch.float64)).abs().max() < 1e-12)
    True
    """
    radius = arguments.whole("radius", radius, 1)
    count = (4 * radius + 1) ** 2
    if isinstance(photo, Tensor) and photo.ndim == 4:
        check_memory(lambda h, w: _BYTES_OF_ENTRY * count * h * w, photo.shape[2], photo.shape[3], torch.device("cpu"))
    bands = matting_bands(photo, eps=eps, radius=radius)
    _, height, width = bands.shape
    full = bands.new_zeros(height, width, 4 * radius + 1, 4 * radius + 1)  # one row of M for each pixel
    for weights, (dy, dx) in zip(bands, offsets(radius), strict=True):
        first, second = _pairs(height, width, dy, dx)
        here = weights[first]
        for pixels, y, x in ((first, dy, dx), (second, -dy, -dx)):
            full[(*pixels, 2 * radius + y, 2 * radius + x)] = -here
            full[(*pixels, 2 * radius, 2 * radius)] += here
    down, across = (torch.arange(n)[:, None] + torch.arange(-2 * radius, 2 * radius + 1) for n in (height, width))
    inside = [((line >= 0) & (line < n)) for line, n in ((down, height), (across, width))]
    kept = inside[0][:, None, :, None] & inside[1][None, :, None, :]  # (H, W, 4r + 1, 4r + 1)
    columns = (down[:, None, :, None] * width + across[None, :, None, :])[kept]
    starts = torch.cat((torch.zeros(1, dtype=torch.int64), kept.flatten(2).sum(2).flatten().cumsum(0)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        size = (height * width,) * 2
        return torch.sparse_csr_tensor(starts, columns, full[kept], size, check_invariants=False)


def matting_energy(image: Tensor, laplacian: Tensor, *, mean: bool = False) -> Tensor:
    """Σ_c V_cᵀ M V_c over the channels V_c of a picture (Luan et al. 2017, Eq. 2).

    Args:
        image: (N, C, H, W); the papers' scale is [0, 1].
        laplacian: of a photo of this size: what `matting_bands` or `matting_laplacian` returns, in any float format.
        mean: divide by the number of pixels H·W, so that the size of the picture drops out. The paper's λ on the sum
            equals λ·H·W on the mean.

    Returns:
        A scalar, summed over the batch, differentiable with respect to `image`: at least 0, and near 0 for a picture
        whose colors are, in each window, an affine map of the photo's.

    Raises:
        ValueError: not such an image, or the Laplacian of a photo of another size.

    >>> photo = torch.rand(1, 3, 8, 8)
    >>> bands = matting_bands(photo)
    >>> bool(matting_energy(0.3 + photo.flip(1) / 2, bands) < 1e-4 < matting_energy(torch.rand(1, 3, 8, 8), bands))
    True
    """
    _check(image, laplacian)
    pixels = image.shape[-2] * image.shape[-1]
    if laplacian.layout == torch.sparse_csr:
        columns = image.flatten(2).flatten(0, 1).T.to(laplacian.dtype)  # (H*W, N*C)
        energy = (columns * (laplacian @ columns)).sum()
    else:
        image = image.to(torch.promote_types(image.dtype, laplacian.dtype))
        terms = []
        for weights, (dy, dx) in zip(laplacian, _offsets_of(laplacian), strict=True):
            first, second = _pairs(image.shape[-2], image.shape[-1], dy, dx)
            squares = (image[(..., *first)] - image[(..., *second)]).square().sum((0, 1))
            terms.append((weights[first] * squares).sum())
        energy = torch.stack(terms).sum()
    return energy / pixels if mean else energy


def matting_gradient(image: Tensor, laplacian: Tensor, *, mean: bool = False) -> Tensor:
    """Gradient of `matting_energy`: 2 M V_c for each channel.

    Args:
        image, laplacian, mean: as for `matting_energy`.

    Returns:
        (N, C, H, W). With the bands, each pair of pixels adds opposite numbers to its two pixels: the sum is 0.

    Raises:
        ValueError: as `matting_energy`.
    """
    _check(image, laplacian)
    factor = 2 / (image.shape[-2] * image.shape[-1]) if mean else 2
    if laplacian.layout == torch.sparse_csr:
        columns = image.flatten(2).flatten(0, 1).T.to(laplacian.dtype)  # (H*W, N*C)
        return (factor * (laplacian @ columns)).T.reshape(image.shape)
    image = image.to(torch.promote_types(image.dtype, laplacian.dtype))
    gradient = torch.zeros_like(image)
    for weights, (dy, dx) in zip(laplacian, _offsets_of(laplacian), strict=True):
        first, second = _pairs(image.shape[-2], image.shape[-1], dy, dx)
        difference, here = image[(..., *first)] - image[(..., *second)], weights[first]
        gradient[(..., *first)].addcmul_(difference, here)
        gradient[(..., *second)].addcmul_(difference, here, value=-1)
    return gradient.mul_(factor)


def photorealism_term(photo: Tensor, weight: float, *, eps: float = EPS, radius: int = RADIUS) -> Term:
    """The energy, per pixel, as a term of an objective, with its gradient in closed form.

    Args:
        photo: (1, 3, H, W) in [0, 1], on the device of the run; the optimized picture must have its size.
        weight: λ on the mean over pixels; for the paper's λ on the sum, λ·H·W.
        eps, radius: as for `matting_bands`.

    Returns:
        The term ``"photorealism"``. It computes in float32, with planes made in float64.

    Raises:
        ImageError, ValueError, MemoryError: as `matting_bands`.

    >>> photo = torch.rand(1, 3, 8, 8)
    >>> terms, gradient = photorealism_term(photo, 100.0).with_gradient(photo)
    >>> tuple(gradient.shape), bool(terms < 1e-3)
    ((1, 3, 8, 8), True)
    """
    weight = arguments.nonnegative("weight", weight)
    bands = matting_bands(photo, eps=eps, radius=radius).to(photo.device, torch.float32)
    return _Photorealism(weight, bands)


class _Photorealism(Term):
    """The energy as half the product of picture and gradient: with the gradient at hand, it costs next to nothing."""

    def __init__(self, weight: float, bands: Tensor) -> None:
        super().__init__("photorealism", weight, lambda image: matting_energy(image, bands, mean=True))
        self.bands = bands

    def with_gradient(self, image: Tensor) -> tuple[Tensor, Tensor]:
        slope = self.weight * matting_gradient(image, self.bands, mean=True)
        around = image - image.mean((2, 3), keepdim=True)  # a constant has no energy, but most of the rounding error
        return (around * slope).sum().view(1) / 2, slope


def _whitened(photo: Tensor, eps: float, side: int) -> Tensor:
    """The colors of each window, times a matrix that makes their covariance nearly one: L⁻¹ (I_i − μ).

    With L Lᵀ = Σ + ε/n (Cholesky), the product of two of them is (I_i − μ)ᵀ (Σ + ε/n)⁻¹ (I_j − μ). Determinants
    would give the inverse, too, but where the photo is gray, Σ has rank one and ε is tiny: then they are differences of
    numbers that agree in all digits.

    Args:
        photo: (3, H, W) float64.

    Returns:
        (n, 3, H − side + 1, W − side + 1): pixel of the window, color, window.
    """
    down, across = photo.shape[1] - side + 1, photo.shape[2] - side + 1
    shifted = [photo[:, y : y + down, x : x + across] for y in range(side) for x in range(side)]
    pixels = torch.stack(shifted)
    pixels -= pixels.mean(0)
    ridge = eps / side**2
    r, g, b = pixels.unbind(1)  # views: what follows changes `pixels`
    rr, gg, bb = ((c * c).mean(0) + ridge for c in (r, g, b))
    rg, rb, gb = ((c * d).mean(0) for c, d in ((r, g), (r, b), (g, b)))
    r /= rr.sqrt_()
    rg, rb = rg / rr, rb / rr
    g -= rg * r
    gg = (gg - rg**2).clamp_min_(ridge).sqrt_()  # with the ridge, no eigenvalue and no pivot is smaller than it
    g /= gg
    gb = (gb - rg * rb) / gg
    b -= rb * r
    b -= gb * g
    b /= (bb - rb**2 - gb**2).clamp_min_(ridge).sqrt_()
    return pixels


def _pairs(height: int, width: int, dy: int, dx: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The pixels (y, x) for which (y + dy, x + dx) is inside, and those pixels; dy ≥ 0."""
    first = slice(0, max(0, height - dy)), slice(max(0, -dx), max(0, width - max(0, dx)))
    second = slice(dy, max(dy, height)), slice(max(0, dx), max(0, width + min(0, dx)))
    return first, second


def _offsets_of(bands: Tensor) -> list[tuple[int, int]]:
    """The offsets of (2r·(4r + 2)) planes: radius r has 8r² + 4r of them."""
    return offsets(round(((1 + 2 * len(bands)) ** 0.5 - 1) / 4))


def _check(image: Tensor, laplacian: Tensor) -> None:
    """Refuse what is not a picture, and a picture whose size is not that of the photo."""
    check_features(image, "a picture")
    height, width = image.shape[-2:]
    sparse = isinstance(laplacian, Tensor) and laplacian.layout == torch.sparse_csr
    planes = isinstance(laplacian, Tensor) and laplacian.ndim == 3 and len(_offsets_of(laplacian)) == len(laplacian)
    if not (sparse or planes):
        got = tuple(laplacian.shape) if isinstance(laplacian, Tensor) else type(laplacian).__name__
        raise ValueError(f"expected what matting_bands or matting_laplacian returns, got {got}")
    if laplacian.shape[0] != height * width if sparse else laplacian.shape[1:] != (height, width):
        size = f"{laplacian.shape[0]} pixels" if sparse else f"{laplacian.shape[1]}×{laplacian.shape[2]} px"
        raise ValueError(
            f"the picture has {height}×{width} px, but the Laplacian is that of a photo of {size}; make it from the "
            "photo at the picture's size"
        )


def _bytes_of_bands(radius: int) -> int:
    """For each pixel: the colors of its window, twice while they are made, the planes, and a dozen numbers more."""
    return 8 * (2 * 3 * (2 * radius + 1) ** 2 + 8 * radius**2 + 4 * radius + 12)
