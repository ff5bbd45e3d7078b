"""Ways to spoil pictures, for chapter 16: some that everybody sees, some that nobody does.

All take and return pictures (N, 3, H, W) in [0, 1]. Heusel et al. (2017, Figure 3) disturb pictures with noise, blur,
black rectangles and impulses at growing levels; `DISTURBANCES` are those four.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from course_lib.images import from_pil, to_pil
from course_lib.runtime import seeded_generator


def blur(images: Tensor, sigma: float) -> Tensor:
    """A Gaussian blur of `sigma` pixels; the pictures are reflected at their borders.

    >>> edge = torch.tensor([0.0] * 8 + [1.0] * 8).expand(1, 3, 16, 16)
    >>> [round(value, 2) for value in blur(edge, 1.0)[0, 0, 0, 6:10].tolist()]
    [0.06, 0.3, 0.7, 0.94]
    """
    if sigma == 0:
        return images
    radius = round(3 * sigma)
    line = torch.exp(-torch.arange(-radius, radius + 1.0).square() / (2 * sigma**2))
    line = (line / line.sum()).expand(3, 1, -1)
    padded = F.pad(images, (radius,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, line[:, :, None], groups=3), line[..., None], groups=3).clamp(0, 1)


def shift(images: Tensor, pixels: int) -> Tensor:
    """Move the pictures to the right; what leaves on one side comes back on the other."""
    return images.roll(pixels, 3)


def stain(images: Tensor, strength: float, seed: int) -> Tensor:
    """Add a smooth random color, different in each picture: a 2 × 2 grid of normal numbers, enlarged."""
    colors = torch.randn(len(images), 3, 2, 2, generator=seeded_generator(seed))
    colors = colors / colors.std((1, 2, 3), keepdim=True)
    smooth = F.interpolate(colors, images.shape[2:], mode="bicubic", align_corners=True)
    return (images + strength * smooth).clamp(0, 1)


def fade(images: Tensor, gamma: float = 0.4) -> Tensor:
    """Raise every value to the power gamma: below 1, the pictures look washed out."""
    return images**gamma


def compress(images: Tensor, quality: int) -> Tensor:
    """What a JPEG file of this quality keeps of each picture."""
    kept = []
    for image in images.split(1):
        file = io.BytesIO()
        to_pil(image).save(file, "JPEG", quality=quality)
        with Image.open(file) as pil:
            kept.append(from_pil(pil))
    return torch.cat(kept)


def noise(images: Tensor, sigma: float, seed: int) -> Tensor:
    """Add normal noise of standard deviation `sigma`, the same for every picture's number and seed."""
    return (images + sigma * torch.randn(images.shape, generator=seeded_generator(seed))).clamp(0, 1)


def impulses(images: Tensor, share: float, seed: int) -> Tensor:
    """Set a share of the pixels to black or white, at random."""
    random = torch.rand(images[:, :1].shape, generator=seeded_generator(seed))
    return torch.where(random < share / 2, 0.0, torch.where(random < share, 1.0, images))


def rectangles(images: Tensor, side: float, seed: int) -> Tensor:
    """Cover each picture by five black squares at random places; `side` is a fraction of the picture's height."""
    generator, (height, width) = seeded_generator(seed), images.shape[2:]
    pixels = round(side * height)
    covered = images.clone()
    for image in covered:
        for top, left in torch.rand(5, 2, generator=generator).tolist():
            y, x = round(top * (height - pixels)), round(left * (width - pixels))
            image[:, y : y + pixels, x : x + pixels] = 0
    return covered


def some_upside_down(images: Tensor, every: int = 10) -> Tensor:
    """Turn every tenth picture over."""
    turned = images.clone()
    turned[::every] = images[::every].flip(2)
    return turned


DISTURBANCES: dict[str, tuple[Callable[[Tensor, float, int], Tensor], tuple[float, float, float]]] = {
    "noise": (noise, (0.05, 0.1, 0.2)),
    "blur": (lambda images, sigma, seed: blur(images, sigma), (0.7, 1.2, 2.0)),
    "rectangles": (rectangles, (0.1, 0.2, 0.3)),
    "impulses": (impulses, (0.02, 0.06, 0.15)),
}
