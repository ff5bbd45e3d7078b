"""A cartoon domain that is computed: flat colors and dark lines, from photographs of one's own.

CartoonGAN and AnimeGAN learn from frames of films, which are not free. A filter makes cartoons of any photograph. A
network is trained without pairs, on photos and on cartoons of *other* photos; then the filter's result for the same
photo is a truth to compare with, which frames of a film do not have.

    cartoon   flat colors times lines
    colors    the means of k clusters of a photo's colors (k-means, Lloyd 1982)
    lines     the extended difference of Gaussians (XDoG; Winnemöller, Kyprianidis & Olsen 2012)

`edges_blurred` makes the third set of both papers: cartoons whose edges are blurred. A discriminator that must tell
them from cartoons has to look at the edges (Chen, Lai & Liu 2018, Section 3.2.1).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from course_lib import arguments
from course_lib.colors import luminance
from course_lib.data.unpaired import UnpairedImages
from course_lib.image_checks import check_pictures

_ROUNDS = 12  # of k-means; after that, the means hardly move
_WEAK, _STRONG = 100 / 255, 200 / 255  # Canny's thresholds in both papers' code
_SIDE = 5  # px of the square that widens an edge, and of the filter that blurs it, in both papers' code


def cartoon(photos: Tensor, *, colors: int = 10, smooth: float = 1.0, line: float = 0.7, ink: float = 1.0) -> Tensor:
    """Draw cartoons of photographs: flat colors with dark lines.

    Args:
        photos: (N, 3, H, W) in [0, 1].
        colors: how many there are in each cartoon, at least 1.
        smooth: σ in pixels of the blur before the colors are chosen; 0: none. More gives larger areas.
        line: σ in pixels of the lines, above 0; more gives wider ones.
        ink: 0 draws no lines, 1 black ones.

    Returns:
        (N, 3, H, W) in [0, 1]; each depends on its own photo only.

    Raises:
        ValueError: a number out of range.
        ImageError: photos of another shape or range.

    >>> step = torch.full((1, 3, 16, 16), 0.2)
    >>> step[..., 8:] = 0.9
    >>> drawn = cartoon(step, colors=2, smooth=0.0)
    >>> [round(value, 2) for value in drawn[0, 0, 8, [0, 7, 15]].tolist()]  # dark, a line, bright
    [0.2, 0.0, 0.9]
    """
    ink = arguments.fraction("ink", ink)
    return flat_colors(photos, colors=colors, smooth=smooth) * (1 - ink * (1 - xdog(photos, sigma=line)))


def flat_colors(photos: Tensor, *, colors: int = 10, smooth: float = 1.0) -> Tensor:
    """Replace every color by the nearest of a few: k-means in RGB, for each photo by itself.

    The first means are colors of the photo: the one farthest from the mean of all, then always the one that is farthest
    from those chosen. So nothing is random.

    Args:
        photos: (N, 3, H, W) in [0, 1].
        colors: how many, at least 1; a photo with fewer gets fewer.
        smooth: σ in pixels of a blur before the colors are chosen; 0: none.

    Returns:
        (N, 3, H, W) in [0, 1].

    Raises:
        ValueError: a number out of range.
        ImageError: photos of another shape or range.

    >>> flat = flat_colors(torch.rand(1, 3, 20, 20), colors=3)
    >>> len(flat.flatten(2)[0].T.unique(dim=0))
    3
    """
    photos = _checked(photos)
    colors, smooth = arguments.whole("colors", colors, 1), arguments.nonnegative("smooth", smooth)
    blurred = _blurred(photos, smooth) if smooth > 0 else photos
    drawn = [_clustered(photo.flatten(1).T, colors).T.reshape(photo.shape) for photo in blurred]
    return torch.stack(drawn).clamp(0, 1)


def xdog(
    photos: Tensor, *, sigma: float = 0.7, sharpness: float = 16.0, level: float = 0.5, slope: float = 12.0,
    ratio: float = 1.6,
) -> Tensor:  # fmt: skip
    """Dark lines where a photograph has edges, and white elsewhere (Winnemöller et al. 2012, Eqs. 5 and 7).

        1 where S ≥ ε, else 1 + tanh(φ (S − ε)),    S = 1 + p (G_σ − G_kσ) / (G_kσ + ¼)

    *Differs from the paper:* its S is G_σ + p (G_σ − G_kσ), which also fills dark areas with black. This S is 1
    wherever nothing changes; the quotient draws edges in the dark, too, and the quarter keeps noise out.

    Args:
        photos: (N, 3, H, W) in [0, 1].
        sigma: σ in pixels, above 0.
        sharpness: p, at least 0: how much edges count.
        level: ε in [0, 1]: a pixel is inked where S is below it.
        slope: φ, above 0: how quickly lines turn black.
        ratio: k, above 1, between the two blurs.

    Returns:
        (N, 1, H, W) in [0, 1].

    Raises:
        ValueError: a number out of range.
        ImageError: photos of another shape or range.

    >>> xdog(torch.full((1, 3, 8, 8), 0.1)).unique().tolist()  # a dark area without edges has no line
    [1.0]
    """
    photos = _checked(photos)
    sigma, slope = arguments.positive("sigma", sigma), arguments.positive("slope", slope)
    sharpness, level = arguments.nonnegative("sharpness", sharpness), arguments.fraction("level", level)
    if not arguments.is_number(ratio) or not ratio > 1:
        raise ValueError(f"ratio must be a number above 1, got {ratio!r}: the second blur is the wider one")
    gray = luminance(photos)
    fine, wide = _blurred(gray, sigma), _blurred(gray, ratio * sigma)
    edges = 1 + sharpness * (fine - wide) / (wide + 0.25)
    return 1 + torch.tanh(slope * (edges - level).clamp(max=0))


def edges_blurred(cartoons: Tensor) -> Tensor:
    """Blur cartoons at their edges only: Canny's edges, widened by 2 px on each side, and there a Gaussian of 5 px.

    Args:
        cartoons: (N, 3, H, W) in [0, 1].

    Returns:
        (N, 3, H, W) in [0, 1].

    Raises:
        ImageError: cartoons of another shape or range.

    >>> step = torch.zeros(1, 3, 16, 16)
    >>> step[..., 8:] = 1.0
    >>> [round(value, 2) for value in edges_blurred(step)[0, 0, 8, 5:11].tolist()]
    [0.0, 0.06, 0.31, 0.69, 0.94, 1.0]
    """
    cartoons = _checked(cartoons, "the cartoons")
    wide = F.max_pool2d(canny(cartoons).to(cartoons), _SIDE, stride=1, padding=_SIDE // 2) > 0
    return torch.where(wide, _filtered(cartoons, torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16), cartoons)


def canny(pictures: Tensor) -> Tensor:
    """Edges one pixel wide (Canny 1986), with the thresholds 100 and 200 of 255 and OpenCV's steps.

    Sobel's slopes of the brightness; a pixel is kept if its slope is the largest in its direction, and if it is steep
    (above 200) or connected by pixels above 100 to one that is.

    Args:
        pictures: (N, 3, H, W) in [0, 1].

    Returns:
        (N, 1, H, W), bool.

    Raises:
        ImageError: pictures of another shape or range.

    >>> step = torch.zeros(1, 3, 8, 8)
    >>> step[..., 4:] = 1.0
    >>> canny(step)[0, 0, 4].int().tolist()
    [0, 0, 0, 1, 0, 0, 0, 0]
    """
    gray = luminance(_checked(pictures, "the pictures"))
    padded = F.pad(gray, (1, 1, 1, 1), mode="replicate")
    ramp, box = gray.new_tensor([-1.0, 0.0, 1.0]), gray.new_tensor([1.0, 2.0, 1.0])
    across = F.conv2d(padded, torch.outer(box, ramp)[None, None])
    down = F.conv2d(padded, torch.outer(ramp, box)[None, None])
    steep = across.abs() + down.abs()
    kept = _largest(steep, across, down)
    weak, edge = kept & (steep > _WEAK), kept & (steep > _STRONG)
    while True:
        grown = weak & (F.max_pool2d(edge.to(gray), 3, stride=1, padding=1) > 0)
        if torch.equal(grown, edge):
            return edge
        edge = grown


def _largest(steep: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Where a slope is larger than that of both neighbors along its direction, one of four."""
    around = F.pad(steep, (1, 1, 1, 1))
    height, width = steep.shape[-2:]

    def moved(dy: int, dx: int) -> Tensor:
        return around[..., 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]

    level = down.abs() <= math.tan(math.pi / 8) * across.abs()
    upright = across.abs() < math.tan(math.pi / 8) * down.abs()
    falling = across * down >= 0
    found = torch.zeros_like(level)
    for chosen, (dy, dx) in (
        (level, (0, 1)), (upright, (1, 0)), (~level & ~upright & falling, (1, 1)),
        (~level & ~upright & ~falling, (-1, 1)),
    ):  # fmt: skip
        found |= chosen & (steep > moved(-dy, -dx)) & (steep >= moved(dy, dx))  # of two equal ones, the first
    return found


class PhotosAndCartoons(Dataset[Tensor]):
    """Photos, cartoons of other scenes, and the same cartoons with blurred edges: items (3, 3, size, size) in [0, 1].

    Args:
        photos, cartoons: folders, pictures (1, 3, H, W) in [0, 1], or a batch of them.
        size, load_size, mirror, seed: see `data.unpaired.UnpairedImages`, which combines the two sets.

    Raises:
        ValueError, ImageError: as `data.unpaired.UnpairedImages`.

    >>> pictures = PhotosAndCartoons(torch.rand(3, 3, 40, 40), torch.rand(2, 3, 40, 40), size=32)
    >>> photo, drawn, blurred = pictures.item(epoch=0, k=1)
    >>> len(pictures), tuple(photo.shape), torch.equal(blurred, edges_blurred(drawn[None])[0])
    (3, (3, 32, 32), True)
    """

    def __init__(
        self, photos: str | Path | Iterable[Tensor], cartoons: str | Path | Iterable[Tensor], *, size: int = 256,
        load_size: int | None = None, mirror: bool = False, seed: int = 0,
    ) -> None:  # fmt: skip
        cut: dict[str, Any] = {"size": size, "load_size": load_size, "mirror": mirror, "seed": seed}
        self.unpaired = UnpairedImages(photos, cartoons, **cut)

    @property
    def fingerprint(self) -> list[object]:
        """Pictures and settings, by which a checkpoint recognizes this set."""
        return self.unpaired.fingerprint

    def __len__(self) -> int:
        return len(self.unpaired)

    def item(self, epoch: int, k: int) -> Tensor:
        """The k-th picture of the larger set and one of the other, (3, 3, size, size): photo, cartoon, blurred edges.

        Raises:
            IndexError: a number outside 0 to len − 1.
        """
        pair = self.unpaired.item(epoch, k)
        return torch.cat((pair, edges_blurred(pair[1:].clamp(0, 1))))

    def __getitem__(self, k: int) -> Tensor:
        return self.item(0, k)


def _checked(pictures: Tensor, what: str = "the photos") -> Tensor:
    check_pictures(pictures, what)
    return pictures.to(torch.promote_types(pictures.dtype, torch.float32))


def _clustered(pixels: Tensor, count: int) -> Tensor:
    """Each row of `pixels` (P, 3) replaced by the mean of its cluster; there are at most `count`."""
    means = pixels.mean(0, keepdim=True)
    chosen: list[Tensor] = []
    for _ in range(count):
        nearest = torch.cdist(pixels, torch.stack(chosen) if chosen else means).amin(1)
        if chosen and nearest.max() == 0:
            break
        chosen.append(pixels[nearest.argmax()])
    means = torch.stack(chosen)
    for _ in range(_ROUNDS):
        member = F.one_hot(torch.cdist(pixels, means).argmin(1), len(means)).to(pixels)  # (P, k)
        sizes = member.sum(0)[:, None]
        means = torch.where(sizes > 0, member.T @ pixels / sizes.clamp_min(1), means)
    return means[torch.cdist(pixels, means).argmin(1)]


def _blurred(x: Tensor, sigma: float) -> Tensor:
    """A Gaussian blur of each channel, (N, C, H, W), cut off at 3σ."""
    radius = math.ceil(3 * sigma)
    line = torch.exp(-0.5 * (torch.arange(-radius, radius + 1.0) / sigma) ** 2)
    return _filtered(x, line / line.sum())


def _filtered(x: Tensor, line: Tensor) -> Tensor:
    """Each channel of (N, C, H, W) filtered by `line`, of odd length, across and down; the border pixels repeat."""
    line = line.to(x).view(1, 1, 1, -1)
    padded = F.pad(x, [line.shape[-1] // 2] * 4, mode="replicate").flatten(0, 1)[:, None]
    return F.conv2d(F.conv2d(padded, line), line.transpose(2, 3)).view_as(x)
