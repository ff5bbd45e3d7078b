"""The data, the configuration and the scores of the network that draws photos as cartoons, trained without pairs.

The cartoons are computed, from other photos than those that the network sees as photos. Of the photos that no training
sees the computed cartoon is known: a truth for the translation.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import sample_image, sample_names
from course_lib.data.cartoon import cartoon
from course_lib.methods import animegan
from course_lib.teaching import records
from scripts.unpaired_model import Watched, color_transfer, error

UNSEEN = ("eilean_donan", "cat", "golden_temple", "scarlet_macaw", "neuschwanstein", "schwerin_palace")
SIDE = 384  # px of the longer side of a photo
TILE = 96  # px of the side of what is cut out of it
COLORS, SMOOTH, LINE, INK = 10, 1.5, 1.0, 1.0  # of the cartoons, see `data.cartoon.cartoon`
EVERY = 200  # steps between two scores
CONFIG = replace(animegan.Config.fast(), num_epochs=16, init_epochs=2, load_size=None, mirror=False, image_size=TILE)


def drawn(photos: Tensor) -> Tensor:
    """The cartoons of photos (N, 3, H, W), by the filter whose style the network is to learn."""
    return cartoon(photos, colors=COLORS, smooth=SMOOTH, line=LINE, ink=INK)


def domains(side: int = SIDE, tile: int = TILE) -> tuple[Tensor, Tensor]:
    """The training sets: tiles of photos and tiles of the cartoons of other photos, (N, 3, tile, tile) each."""
    names = [name for name in sample_names("photos") if name not in UNSEEN]
    photos = [tiles(sample_image(name, side), tile) for name in names[::2]]
    cartoons = [tiles(drawn(sample_image(name, side)), tile) for name in names[1::2]]
    return torch.cat(photos), torch.cat(cartoons)


def tiles(picture: Tensor, side: int = TILE) -> Tensor:
    """The tiles of a picture (1, 3, H, W), and their mirror images, (N, 3, side, side)."""
    cut = picture.unfold(2, side, side).unfold(3, side, side)  # (1, 3, rows, columns, side, side)
    cut = cut.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, side, side)
    return torch.cat((cut, cut.flip(-1)))


def agreement(made: Tensor, photo: Tensor, truth: Tensor) -> float:
    """Cosine of the angle between what a drawing changes in a photo and what the filter changes; 1 is the same."""
    changes = [(picture - photo).flatten() for picture in (made, truth)]
    return float(F.cosine_similarity(*changes, dim=0))


class Scores(Watched):
    """The scores of six photographs; while training, that of the first.

    Args:
        checkpoint: of the run.
    """

    def __init__(self, checkpoint: Path) -> None:
        self.photos = {name: sample_image(name, SIDE) for name in UNSEEN}
        first = self.photos[UNSEEN[0]]
        super().__init__(checkpoint, EVERY, first, drawn(first))

    def describe(self, run: records.Record, model: animegan.Model) -> None:
        """Store the curve, the errors beside those of two baselines, and pictures."""
        aims = [drawn(sample_image(name, SIDE)) for name in sample_names("photos")[1:20:2]]
        aim = torch.cat([tile[None] for each in aims for tile in tiles(each)], -1)
        agree: dict[str, dict[str, float]] = {}
        found: dict[str, dict[str, float]] = {"the photo itself": {}, "color transfer": {}, "AnimeGAN": {}}
        for name, photo in self.photos.items():
            truth, made = drawn(photo), animegan.translate(photo, model).image
            moved = color_transfer(photo, aim)
            for row, picture in zip(found.values(), (photo, moved, made), strict=True):
                row[name] = error(picture, truth)
            agree[name] = {"color transfer": agreement(moved, photo, truth), "AnimeGAN": agreement(made, photo, truth)}
            run.images |= {f"{name}, photo": photo, f"{name}, drawn": made, f"{name}, by the filter": truth}
        run.values |= {
            "error while training": self.curve,
            "error": {name: sum(row.values()) / len(row) for name, row in found.items()},
            "error of each photo": found,
            "agreement with the filter": agree,
        }
