"""What can be added to the content and the style of a picture: terms that are built anew for each size.

A run from coarse to fine has an objective for each size. A method therefore does not pass terms. It passes an
`Addition`, which makes them from the images at one size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from course_lib.images import resize
from course_lib.losses.perceptual import FeatureTerm
from course_lib.masks import Regions
from course_lib.optimize.objective import Part
from course_lib.pretrained.vgg import VGGFeatures


@dataclass(frozen=True)
class Scene:
    """The images of one size, on the device of the run."""

    photo: Tensor | None  # (1, 3, H, W) in [0, 1]; None for a texture
    paintings: Sequence[Tensor]  # each (1, 3, h, w) in [0, 1], at the size that the caller gave
    network: VGGFeatures

    def resized(self, scale: float) -> list[Tensor]:
        """The paintings, with a long side of `scale` times the photo's; for a texture, as they are."""
        if self.photo is None:
            return list(self.paintings)
        side = max(1, round(max(self.photo.shape[-2:]) * scale))
        return [resize(image, side) for image in self.paintings]


def check_regions(regions: object) -> None:
    """Refuse what are not `Regions`.

    Raises:
        TypeError: anything else.
    """
    if not isinstance(regions, Regions):
        got = type(regions).__name__
        raise TypeError(f"regions must be masks.Regions, for example Regions.split(masks), got {got}")


class Addition(Protocol):
    """Makes further terms of the objective."""

    @property
    def layers(self) -> Sequence[str]:
        """The layers of the network that its terms read."""
        ...

    def terms(self, scene: Scene) -> tuple[Sequence[FeatureTerm], Sequence[Part]]:
        """The terms on the features of the picture, and those on its pixels."""
        ...

    def memory_needed(self, network: VGGFeatures, height: int, width: int) -> int:
        """Bytes besides the network's, for a picture of this size."""
        ...

    def least_side(self, network: VGGFeatures) -> int:
        """Pixels that the short side of a photo or a painting must have for its terms."""
        ...
