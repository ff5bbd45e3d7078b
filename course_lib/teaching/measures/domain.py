"""What a translator does outside the pictures it was trained on, with the scorer's own loss as the control."""

from __future__ import annotations

import torch
from torch import Tensor

from course_lib.data.facades import CLASSES, Facades, class_map
from course_lib.data.pairs import nearest
from course_lib.evaluation import segmenter
from course_lib.images import resize
from course_lib.methods import pix2pix
from course_lib.teaching.measures.measured import Measured

EXCHANGES = {"sky and road exchanged": ("sky", "road"), "one large window": ("building", "window")}


def swapped(labels: Tensor, a: str, b: str) -> Tensor:
    """Label maps (N, 3, H, W) with two classes exchanged."""
    classes, colors = class_map(labels), torch.tensor(list(CLASSES.values())) / 255
    i, j = list(CLASSES).index(a), list(CLASSES).index(b)
    other = torch.where(classes == i, j, torch.where(classes == j, i, classes))
    return colors[other].movedim(-1, -3)


def transplanted(pictures: Tensor, labels: Tensor, a: str, b: str, *, seed: int) -> Tensor:
    """True pictures for `swapped` label maps: each of the two regions is filled with pixels of the other one.

    Args:
        pictures, labels: (N, 3, H, W), the pictures and their own label maps.
        a, b: the classes; a picture without one of them stays as it is.
        seed: of the draw, which keeps colors and grain and loses the arrangement.
    """
    draw, names = torch.Generator().manual_seed(seed), list(CLASSES)
    out = pictures.clone()
    for picture, classes, made in zip(pictures, class_map(labels), out, strict=True):
        regions = [(classes == names.index(name)) for name in (a, b)]
        if all(bool(region.any()) for region in regions):
            for here, there in (regions, regions[::-1]):
                pixels = picture[:, there]  # (3, K)
                chosen = torch.randint(pixels.shape[1], (int(here.sum()),), generator=draw)
                made[:, here] = pixels[:, chosen]
    return out


def domain(*, maps: int, seed: int) -> Measured:
    """Share of the pixels in which a scorer finds the label asked for: of translations, minus that of true pictures.

    The label maps are streets as they are, upside down, and with two classes exchanged, in two ways. The scorer was
    trained on ordinary streets alone, so its share also falls on true pictures that are strange. Subtracting it leaves
    what the translator loses.

    Args:
        maps: how many label maps there are of each kind.
        seed: of the drawn streets and of the scorer's training.
    """
    translator = pix2pix.load("facade_labels")
    drawn = Facades(size=64, length=200, seed=seed + 2)
    scorer = segmenter.train_segmenter([drawn[k] for k in range(len(drawn))], num_steps=100, seed=seed)
    fresh = Facades(size=128, length=maps, seed=seed + 100)
    labels, true = (torch.stack([fresh[k][part] for k in range(maps)]) for part in (0, 1))
    asked = {"a street": (labels, true), "upside down": (labels.flip(-2), true.flip(-2))}
    for name, (a, b) in EXCHANGES.items():
        asked[name] = (swapped(labels, a, b), transplanted(true, labels, a, b, seed=seed))
    numbers: dict[str, float] = {}
    images: dict[str, Tensor] = {}
    for name, (wanted, control) in asked.items():
        made = pix2pix.translate(wanted, translator).image
        found = [_obeyed(scorer, wanted, pictures) for pictures in (made, control)]
        numbers |= {name: found[0] - found[1], f"{name}, translated": found[0], f"{name}, true": found[1]}
        images |= {f"{name}, translated": made[:1], f"{name}, true": control[:1]}
    return Measured(numbers, images)


def _obeyed(scorer: segmenter.Segmenter, maps: Tensor, pictures: Tensor) -> float:
    found = segmenter.find_classes(resize(pictures, (64, 64)), scorer)
    return segmenter.pixel_accuracy(found, nearest(maps, (64, 64)))
