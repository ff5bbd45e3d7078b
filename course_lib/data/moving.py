"""Two frames of a camera that moves over a photograph, with the exact flow between them: training data without videos.

The authors of Ruder et al. (2018, Section 4) train with such synthetic motion, too. A frame shows a square of the
photo; the next one shows a square that has been shifted, and in half of the pairs also enlarged and rotated. Both
squares lie inside of a larger crop, so that nothing has to be invented at the border.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from course_lib import arguments
from course_lib.data.augment import item_generator
from course_lib.flow import inside

_MOTIONS = 15_485_863  # added to the seed, so that motion is drawn independently of the crop

Item = tuple[Tensor, Tensor, Tensor, Tensor]


class MovingPairs(Dataset[Item]):
    """Pairs of frames: earlier (3, S, S), later (3, S, S), flow (2, S, S) in pixels, visible (1, S, S).

    The flow goes from the later frame back to the earlier one (`course_lib.flow`). Item k depends only on the seed
    and k. Every second pair moves by whole pixels: there, both frames are equally sharp. The others move by a
    similarity, and the later frame is resampled with bicubic interpolation.

    Args:
        crops: a data set of (3, S + 2 margin, S + 2 margin) in [0, 1], such as `data.crops.Crops`.
        margin: in pixels, on each side of the frames; from the size of the crops follows S.
        shift: the largest motion in pixels, in each direction; at most `margin`.
        zoom: the largest change of scale: 0.05 stands for factors from 1/1.05 to 1.05.
        rotation: the largest angle in degrees.
        noise: the largest standard deviation of the noise of the camera, new in each frame; for each pair, a standard
            deviation is drawn from 0 to this.
        seed: of motion and noise.

    Raises:
        ValueError: numbers out of range, or a shift above the margin; when an item is used, a crop that is no square
            or not larger than its margins.

    >>> crops = [torch.rand(3, 48, 48) for _ in range(2)]
    >>> earlier, later, flow, visible = MovingPairs(crops, margin=8, shift=4.0)[0]
    >>> tuple(earlier.shape), tuple(flow.shape), tuple(visible.shape)
    ((3, 32, 32), (2, 32, 32), (1, 32, 32))
    """

    def __init__(
        self, crops: Dataset[Tensor] | Sequence[Tensor], *, margin: int, shift: float = 8.0, zoom: float = 0.05,
        rotation: float = 3.0, noise: float = 0.0, seed: int = 0,
    ) -> None:  # fmt: skip
        self.crops: Any = crops
        self.margin = arguments.whole("margin", margin, 0)
        self.shift = arguments.nonnegative("shift", shift)
        self.zoom, self.rotation = arguments.nonnegative("zoom", zoom), arguments.nonnegative("rotation", rotation)
        self.noise, self.seed = arguments.nonnegative("noise", noise), arguments.seed(seed)
        if self.shift > self.margin:
            raise ValueError(f"a shift of up to {shift:g} px needs a margin of at least that, got {margin} px")
        self.fingerprint = getattr(crops, "fingerprint", None)
        self.photos: Any = getattr(crops, "photos", crops)

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, k: int) -> Item:
        crop: Tensor = self.crops[k]  # (3, S + 2 margin, S + 2 margin)
        generator = item_generator((self.seed + _MOTIONS) % (arguments.LARGEST_SEED + 1), k)
        size = crop.shape[-1] - 2 * self.margin
        if size < 1 or crop.shape[-2] != crop.shape[-1]:
            raise ValueError(
                f"frames with a margin of {self.margin} px are cut from squares of more than {2 * self.margin} px, "
                f"got {crop.shape[-1]} × {crop.shape[-2]} px"
            )
        at = slice(self.margin, self.margin + size)
        earlier, flow = crop[:, at, at], self._flow(k, size, generator).to(crop.device)
        later = _sample(crop, flow, self.margin)
        level = self.noise * _uniform(1, generator).abs().item()
        if level > 0:
            grain = level * torch.randn(2, *earlier.shape, generator=generator).to(crop.device)
            earlier, later = (earlier + grain[0]).clamp(0, 1), (later + grain[1]).clamp(0, 1)
        return earlier, later, flow, inside(flow[None])[0]

    def _flow(self, k: int, size: int, generator: Generator) -> Tensor:
        """From the later frame back to the earlier one, (2, S, S): p ↦ A (p - c) + c + t - p."""
        draws = _uniform(4, generator).tolist()
        shift = [self.shift * draw for draw in draws[:2]]
        if k % 2 == 0:
            return torch.tensor([float(round(part)) for part in shift]).view(2, 1, 1).repeat(1, size, size)
        factor, angle = (1 + self.zoom) ** draws[2], math.radians(self.rotation) * draws[3]
        places = torch.arange(size) - (size - 1) / 2
        y, x = torch.meshgrid(places, places, indexing="ij")
        cosine, sine = factor * math.cos(angle), factor * math.sin(angle)
        return torch.stack((cosine * x - sine * y - x + shift[0], sine * x + cosine * y - y + shift[1]))


def _sample(crop: Tensor, flow: Tensor, margin: int) -> Tensor:
    """The frame that the flow makes of a crop: (3, S, S). Motion by whole pixels copies them."""
    size, side = flow.shape[-1], crop.shape[-1]
    whole = flow[:, 0, 0]
    if bool((flow == whole.view(2, 1, 1)).all()) and bool((whole == whole.round()).all()):
        left, top = (margin + int(part) for part in whole)
        return crop[:, top : top + size, left : left + size]
    places = torch.arange(size, device=crop.device) + margin
    x, y = flow[0] + places, flow[1] + places[:, None]
    grid = torch.stack(((2 * x + 1) / side - 1, (2 * y + 1) / side - 1), -1)[None]
    moved = functional.grid_sample(crop[None], grid, "bicubic", padding_mode="reflection", align_corners=False)
    return moved[0].clamp(0, 1)


def _uniform(count: int, generator: Generator) -> Tensor:
    """Numbers from -1 to 1."""
    return torch.rand(count, generator=generator) * 2 - 1
