"""Painted masks of some of the project's pictures: outlines drawn by hand, and borders moved to those of the picture.

python -m scripts.masks            writes data/images/masks/*.png
python -m scripts.masks --look DIR also writes each picture with its regions tinted, to look at

A color means the same in all of them: that of `COLORS`. The rows of `data/images/LEDGER.csv` are kept by hand, and
`tests/house/test_pictures.py` says when one does not fit its file.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from course_lib import sample_image
from course_lib.masks import refine_mask

FOLDER = Path(__file__).resolve().parents[1] / "data" / "images" / "masks"
Points = list[tuple[float, float]]

COLORS = {
    "sky": (120, 200, 255),
    "land": (64, 160, 64),
    "water": (24, 56, 176),
    "person": (232, 120, 32),
    "background": (144, 144, 144),
}


@dataclass(frozen=True)
class Part:
    """A region as an outline in pixels of the picture's own size."""

    name: str
    outline: Points
    band: int  # px: how far from the outline the border may be
    unclear: tuple[Points, ...] = ()  # where something stands in front of it, such as foliage: the picture decides
    off: tuple[tuple[int, Points], ...] = ()  # lines on what stands in front of it: width in pixels, and points
    on: tuple[tuple[int, Points], ...] = ()  # lines on the region itself


@dataclass(frozen=True)
class Drawing:
    """The color of everything, then parts over it."""

    everything: str
    parts: tuple[Part, ...]


DRAWINGS = {
    "eilean_donan": Drawing(
        "land",
        (
            Part(
                "sky",
                [
                    (0, 0), (680, 0), (680, 93), (652, 90), (632, 89), (607, 91), (571, 90), (551, 87), (531, 80),
                    (505, 75), (460, 71), (442, 72), (430, 81), (394, 84), (366, 92), (349, 90), (324, 94), (303, 101),
                    (283, 110), (250, 117), (222, 127), (202, 137), (177, 141), (152, 147), (126, 161), (101, 174),
                    (76, 180), (66, 183), (50, 177), (35, 174), (23, 167), (12, 171), (0, 178),
                ],
                5,
            ),
            Part(
                "water",
                [
                    (0, 324), (50, 325), (101, 327), (202, 328), (298, 328), (430, 326), (500, 324), (538, 323),
                    (541, 318), (536, 306), (680, 306), (680, 453), (0, 453),
                ],
                3,
            ),
        ),
    ),
    "astronaut": Drawing(
        "background",
        (
            Part(
                "person",
                [
                    (232, 16), (210, 18), (190, 32), (165, 48), (154, 68), (154, 88), (160, 105), (170, 118),
                    (181, 132),
                    (184, 149), (150, 152), (132, 165), (124, 180), (115, 185), (114, 200), (118, 208), (100, 217),
                    (75, 235), (55, 260), (43, 285), (36, 310), (27, 345), (20, 385), (22, 430), (26, 470), (34, 500),
                    (45, 512), (508, 512), (509, 490), (505, 470), (496, 450), (490, 430), (478, 400), (455, 370),
                    (430, 352), (400, 344), (375, 346), (362, 348), (361, 320), (352, 290), (345, 265), (330, 248),
                    (310, 236), (303, 228), (302, 210), (290, 193), (275, 182), (257, 172), (256, 165), (262, 150),
                    (268, 135), (278, 128), (290, 115), (298, 100), (301, 80), (296, 58), (285, 40), (265, 24),
                    (245, 16),
                ],
                5,
            ),
        ),
    ),
    "great_wave": Drawing(
        "water",
        (
            Part(
                "sky",
                [
                    (0, 0), (663, 0), (663, 178), (640, 197), (620, 217), (609, 232), (590, 236), (583, 247),
                    (575, 256),
                    (560, 263), (548, 275), (532, 283), (528, 296), (510, 304), (495, 308), (480, 313), (473, 319),
                    (440, 322), (400, 323), (365, 311), (354, 326), (345, 330), (330, 322), (318, 310), (305, 300),
                    (295, 292), (285, 283), (275, 268), (265, 250), (257, 234), (253, 215), (254, 195), (257, 178),
                    (263, 163), (275, 152), (285, 148), (298, 152), (302, 167), (317, 171), (330, 162), (345, 174),
                    (352, 189), (368, 189), (381, 174), (384, 148), (391, 143), (387, 126), (372, 106), (350, 100),
                    (335, 97), (322, 88), (325, 70), (318, 54), (305, 46), (290, 38), (270, 34), (262, 27), (245, 24),
                    (220, 25), (195, 30), (170, 39), (150, 49), (130, 59), (115, 74), (95, 89), (80, 101), (65, 117),
                    (50, 136), (38, 145), (0, 149),
                ],
                2,
            ),
        ),
    ),
    "cafe_terrace": Drawing(
        "land",
        (
            Part(
                "sky",
                [
                    (132, 0), (336, 0), (335, 22), (330, 28), (332, 55), (325, 62), (312, 85), (309, 113), (300, 115),
                    (297, 100), (293, 114), (275, 125), (270, 154), (257, 158), (254, 142), (249, 130), (246, 165),
                    (245, 184), (219, 184), (226, 155), (201, 148), (204, 70), (190, 62), (134, 38),
                ],
                4,
            ),
        ),
    ),
    "road_to_tarascon": Drawing(
        "land",
        (
            Part(
                "sky",
                [
                    (0, 0), (439, 0), (439, 121), (400, 124), (340, 125), (300, 127), (250, 126), (200, 125),
                    (150, 128),
                    (120, 123), (100, 125), (60, 122), (30, 127), (0, 125),
                ],
                4,
                (
                    [
                        (0, 12), (20, 0), (240, 0), (215, 22), (165, 45), (160, 112), (120, 132), (70, 132), (40, 115),
                        (0, 95),
                    ],
                    [(260, 0), (439, 0), (439, 10), (415, 22), (392, 52), (390, 132), (350, 132), (342, 80), (265, 55)],
                    [(280, 80), (325, 80), (325, 130), (280, 130)],
                ),
                (
                    (10, [(90, 135), (90, 100), (112, 95), (135, 72), (150, 45), (153, 0)]),
                    (8, [(80, 92), (48, 84), (40, 68)]),
                    (5, [(40, 68), (30, 45), (2, 36)]),
                    (8, [(84, 90), (72, 65), (62, 40), (44, 4)]),
                    (5, [(84, 78), (110, 42), (122, 8)]),
                    (5, [(155, 22), (180, 4)]),
                    (12, [(80, 110), (95, 105)]),
                    (14, [(368, 135), (370, 40), (376, 0)]),
                    (14, [(345, 5), (352, 30)]),
                    (3, [(291, 100), (292, 128)]),
                ),
                (
                    (6, [(133, 20), (128, 50), (112, 66)]),
                    (4, [(92, 10), (66, 6)]),
                    (4, [(80, 46), (93, 40), (86, 60)]),
                    (4, [(142, 10), (140, 30)]),
                ),
            ),
        ),
    ),
}  # fmt: skip


def filled(outline: Points, size: tuple[int, int]) -> Tensor:
    """(1, 1, H, W): 1 inside the outline."""
    canvas = Image.new("L", (size[1], size[0]), 0)
    ImageDraw.Draw(canvas).polygon(outline, 1)
    return torch.from_numpy(np.array(canvas)).float()[None, None]


def refined(photo: Tensor, part: Part) -> Tensor:
    """The region of a part, (1, 1, H, W) bool."""
    size = (photo.shape[-2], photo.shape[-1])
    inside = filled(part.outline, size)
    grown, grown_rest = (F.max_pool2d(mask, 2 * part.band + 1, 1, part.band) for mask in (inside, 1 - inside))
    known = 0.25 * grown + 0.5 * inside + 0.25 * (1 - grown_rest)  # 0, 1/4, 3/4, 1
    for outline in part.unclear:
        known = torch.where(filled(outline, size) == 1, 0.25, known)
    for value, lines in ((0.0, part.off), (1.0, part.on)):
        canvas = Image.new("L", (size[1], size[0]), 0)
        for width, line in lines:
            ImageDraw.Draw(canvas).line(line, 1, width)
        known = torch.where(torch.from_numpy(np.array(canvas)) == 1, value, known)
    return refine_mask(photo, known) == 1


def draw(name: str) -> np.ndarray:
    """The mask of a picture: (H, W), indices into `COLORS`."""
    photo, drawing, order = sample_image(name), DRAWINGS[name], [*COLORS]
    classes = np.full(photo.shape[-2:], order.index(drawing.everything), dtype=np.uint8)
    for part in drawing.parts:
        classes[refined(photo, part)[0, 0].numpy()] = order.index(part.name)
    return classes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--look", type=Path, metavar="DIR", help="also write tinted pictures into this folder")
    look = parser.parse_args().look
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in DRAWINGS:
        picture = Image.fromarray(draw(name), "P")
        picture.putpalette([level for color in COLORS.values() for level in color])
        picture.save(FOLDER / f"{name}_mask.png", optimize=True)
        if look:
            photo = Image.fromarray((sample_image(name)[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))
            Image.blend(photo, picture.convert("RGB"), 0.45).save(look / f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
