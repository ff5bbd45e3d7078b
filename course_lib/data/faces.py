"""Faces drawn by code, as a photograph or as a painting, with a map of their parts.

They exist to be measured: a face whose parts are known shows whether a mouth has been painted on a forehead. Face k of
a seed is always the same. Neighboring faces differ in pose, proportions, hair, skin and colors, so that the parts of
one lie elsewhere than those of another.

Positions are in unit coordinates, x to the right and y down, both from 0 to 1. The canvas is four times as wide as the
picture. A painting is the same drawing in stronger colors, painted over by `data.strokes`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from torch import Tensor

from course_lib import arguments
from course_lib.data.facades.canvas import Points, smooth
from course_lib.data.facades.colors import Color, mix
from course_lib.data.strokes import brush_strokes

PARTS = ("background", "clothes", "hair", "skin", "brows", "eyes", "nose", "mouth", "moustache")
MANNERS = ("photograph", "painting")
_SCALE = 4  # side of the canvas, in sides of the picture
_LOOKS: dict[str, tuple[dict[str, Color], ...]] = {  # colors of the faces, in turn
    "photograph": (
        {"skin": (238, 196, 164), "shade": (176, 108, 84), "hair": (74, 46, 32), "wall": (166, 186, 188),
         "clothes": (62, 92, 124), "lips": (196, 92, 88), "iris": (84, 122, 140)},
        {"skin": (152, 100, 70), "shade": (84, 48, 34), "hair": (30, 24, 26), "wall": (216, 196, 162),
         "clothes": (186, 96, 62), "lips": (142, 66, 62), "iris": (74, 46, 28)},
        {"skin": (244, 208, 182), "shade": (194, 126, 104), "hair": (190, 92, 42), "wall": (126, 148, 122),
         "clothes": (232, 222, 200), "lips": (206, 98, 92), "iris": (92, 132, 88)},
        {"skin": (206, 154, 112), "shade": (134, 82, 56), "hair": (46, 40, 44), "wall": (182, 152, 146),
         "clothes": (82, 108, 84), "lips": (176, 80, 76), "iris": (88, 60, 36)},
    ),
    "painting": (
        {"skin": (246, 178, 92), "shade": (188, 62, 60), "hair": (130, 40, 52), "wall": (34, 128, 140),
         "clothes": (36, 58, 140), "lips": (208, 34, 56), "iris": (30, 140, 150)},
        {"skin": (238, 186, 110), "shade": (58, 128, 112), "hair": (28, 42, 104), "wall": (232, 168, 38),
         "clothes": (28, 104, 92), "lips": (204, 44, 40), "iris": (36, 84, 160)},
        {"skin": (250, 206, 128), "shade": (204, 90, 52), "hair": (220, 92, 24), "wall": (44, 76, 160),
         "clothes": (120, 168, 60), "lips": (196, 32, 74), "iris": (24, 128, 96)},
        {"skin": (228, 150, 96), "shade": (112, 60, 128), "hair": (52, 34, 84), "wall": (190, 64, 46),
         "clothes": (240, 196, 60), "lips": (170, 24, 60), "iris": (50, 120, 60)},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Face:
    """A face and where its parts are."""

    image: Tensor  # (1, 3, size, size) in [0, 1]
    parts: Tensor  # (size, size) whole numbers: indices into `PARTS`


def draw_face(k: int, size: int = 128, seed: int = 0, manner: str = "photograph") -> Face:
    """Draw face k.

    Args:
        k: which face, from 0. Every fourth one, from k = 1, has a moustache.
        size: side of the picture in pixels, at least 32.
        seed: of pose, proportions and strokes; both manners draw the same face.
        manner: ``"photograph"`` (smooth shading) or ``"painting"`` (strokes and strong colors).

    Raises:
        ValueError: a negative k, a smaller size, or another manner.

    >>> face = draw_face(0, size=64)
    >>> tuple(face.image.shape), tuple(face.parts.shape)
    ((1, 3, 64, 64), (64, 64))
    >>> [PARTS[part] for part in face.parts.unique()]
    ['background', 'clothes', 'hair', 'skin', 'brows', 'eyes', 'nose', 'mouth']
    """
    k, size, seed = arguments.whole("k", k), arguments.whole("size", size, 32), arguments.seed(seed)
    look = _LOOKS[arguments.choice("manner", manner, MANNERS)][k % 4]
    drawing = _Drawing(size, Random(f"{seed} {k}"), look)
    drawing.head(k)
    drawing.features(k)
    picture = drawing.picture
    if manner == "painting":
        details = drawing.parts.point([255 * (v >= PARTS.index("brows")) for v in range(256)])
        picture = brush_strokes(picture, details, np.random.default_rng((seed, k)))
    pixels = np.asarray(picture.reduce(_SCALE), np.float32) / np.float32(255)
    parts = np.array(drawing.parts)[_SCALE // 2 :: _SCALE, _SCALE // 2 :: _SCALE]
    return Face(torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous(), torch.from_numpy(parts).long())


def _oval(x: float, y: float, a: float, b: float, chin: float = 0.0) -> list[tuple[float, float]]:
    """An ellipse with half axes a and b; `chin` makes its lower half narrower."""
    turns = [2 * math.pi * i / 72 for i in range(72)]
    return [(x + a * math.cos(t) * (1 - chin * max(0.0, math.sin(t)) ** 2), y + b * math.sin(t)) for t in turns]


class _Drawing:
    """A canvas for the picture and one for the parts; everything on them is turned by the tilt of the head."""

    def __init__(self, size: int, draw: Random, look: dict[str, Color]) -> None:
        self.side, self.look = _SCALE * size, look
        self.picture = Image.new("RGB", (self.side, self.side), look["wall"])
        self.parts = Image.new("L", (self.side, self.side), 0)
        self.tilt = draw.choice((-1, 1)) * draw.uniform(0.03, 0.14)
        self.x, self.y = draw.uniform(0.46, 0.54), draw.uniform(0.49, 0.54)
        self.a, self.b = draw.uniform(0.265, 0.3), draw.uniform(0.345, 0.375)
        self.turn = draw.choice((-1, 1)) * draw.uniform(0.01, 0.035)  # of the head: features move sideways
        self.eye, self.lips, self.smile = draw.uniform(0.068, 0.082), draw.uniform(0.11, 0.14), draw.uniform(0.3, 0.42)
        self.level, self.apart = draw.uniform(-0.05, 0.02), draw.uniform(0.43, 0.49)
        self.drop = draw.uniform(0.18, 0.22)
        self.face = self.mask(_oval(self.x, self.y, self.a, self.b, 0.2))

    def mask(self, points: Points, soft: float = 0.0) -> Image.Image:
        """255 inside a polygon; its border is blurred by `soft`."""
        mask = Image.new("L", self.picture.size)
        c, s = math.cos(self.tilt), math.sin(self.tilt)
        moved = [(0.5 + c * (x - 0.5) - s * (y - 0.6), 0.6 + s * (x - 0.5) + c * (y - 0.6)) for x, y in points]
        ImageDraw.Draw(mask).polygon([(x * self.side, y * self.side) for x, y in moved], 255)
        return mask.filter(ImageFilter.GaussianBlur(soft * self.side)) if soft else mask

    def fill(
        self, shape: Points | Image.Image, color: Color, part: str = "", *,
        soft: float = 0.0, force: float = 1.0, within: Image.Image | None = None,
    ) -> Image.Image:  # fmt: skip
        """Fill a shape, or a mask, inside another mask; with a part, the map of parts too."""
        mask = shape if isinstance(shape, Image.Image) else self.mask(shape, soft)
        mask = ImageChops.multiply(mask, within) if within else mask
        self.picture.paste(color, mask=mask.point([round(force * v) for v in range(256)]))
        if part:
            self.parts.paste(PARTS.index(part), mask=mask.point([255 * (v > 127) for v in range(256)]))
        return mask

    def head(self, k: int) -> None:
        """Wall, clothes, neck, head and hair."""
        look, x, y, a, b = self.look, self.x, self.y, self.a, self.b
        skin, shade, hair = look["skin"], look["shade"], look["hair"]
        light, dark = mix(hair, (255, 214, 150), 0.3), mix(hair, (16, 10, 24), 0.4)
        self.fill(_oval(0.25, 0.2, 0.4, 0.4), mix(look["wall"], (255, 250, 230), 0.4), soft=0.14)
        self.fill(_oval(x + 0.1, y + 0.1, a + 0.1, b), mix(look["wall"], (20, 20, 40), 0.35), soft=0.07, force=0.7)
        behind = (1.18, 0.96, 1.3, 1.16)[k % 4]  # long, short, curls, bob
        if k % 4 in (0, 3):
            low = y + (0.62, 0.3)[k % 4 == 3]
            sides = [(x - a * 1.2, y - 0.1), (x - a * 1.32, low), (x + a * 1.32, low), (x + a * 1.2, y - 0.1)]
            self.fill(smooth(sides), dark, "hair")
        elif k % 4 == 2:
            for i in range(15):
                t = math.pi * (0.9 + 1.2 * i / 14)
                self.fill(_oval(x + 1.08 * a * math.cos(t), y + 1.0 * b * math.sin(t), 0.085, 0.085), dark, "hair")
        self.fill(_oval(x, y - 0.1, a * behind, b * 0.92), dark, "hair")
        body = self.fill(_oval(x, 1.13, 0.46, 0.25), look["clothes"], "clothes")
        self.fill(_oval(x + 0.28, 1.1, 0.25, 0.25), mix(look["clothes"], (10, 10, 40), 0.5), soft=0.06, within=body)
        neck = self.fill([(x - 0.12, y), (x + 0.12, y), (x + 0.14, 0.96), (x, 1.0), (x - 0.14, 0.96)], skin, "skin")
        self.fill(_oval(x + 0.02, y + 0.12, a, b * 0.9), shade, soft=0.03, force=0.9, within=neck)
        for side in (-1, 1) if k % 4 in (1, 2) else ():
            ear = self.fill(_oval(x + side * a * 0.99, y + 0.02, 0.045, 0.08), mix(skin, shade, 0.25), "skin")
            self.fill(_oval(x + side * a * 1.0, y + 0.02, 0.02, 0.05), shade, soft=0.012, force=0.7, within=ear)
        face = self.fill(self.face, skin, "skin")
        lit = self.mask(_oval(x - 0.1, y - 0.05, a * 1.06, b * 1.0, 0.1), 0.05)
        self.fill(ImageChops.invert(lit), shade, force=0.85, within=face)
        self.fill(_oval(x - 0.08, y - 0.17, 0.12, 0.08), mix(skin, (255, 250, 226), 0.6), soft=0.05, within=face)
        for side in (-1, 1):
            cheek = _oval(x + self.turn + side * 0.16, y + 0.1, 0.07, 0.05)
            self.fill(cheek, mix(skin, look["lips"], 0.6), soft=0.035, force=0.7, within=face)
        self._fringe(k, light, dark)

    def _fringe(self, k: int, light: Color, dark: Color) -> None:
        """The hair in front of the forehead, with shine."""
        x, y, a, b, hair = self.x, self.y, self.a, self.b, self.look["hair"]
        part = x + (-0.12, 0.1, 0.0, 0.0)[k % 4]
        line = (0.5, 0.62, 0.66, 0.38)[k % 4]  # the hairline's height, in half heights of the face
        edge = 0.12 if k % 4 in (0, 3) else -0.06
        low, wide = (0.0, 1.12) if k % 4 in (0, 3) else (-0.3, 1.02)  # where the crown begins, as an angle
        hairline = [(x - a * (wide - 0.06), y + edge), (x - a * 0.92, y - b * 0.35), (part - 0.1, y - b * line)]
        hairline += [(part, y - b * (line + 0.1 * (k % 4 < 2))), (part + 0.1, y - b * line)]
        turns = np.linspace(low, -math.pi - low, 25).tolist()
        crown = [(x + a * wide * math.cos(t), y - 0.02 + b * 1.1 * math.sin(t)) for t in turns]
        shape = smooth([*hairline, (x + a * 0.92, y - b * 0.35), (x + a * (wide - 0.06), y + edge), *crown])
        front = self.mask(shape)
        soft = self.mask([(px, py + 0.025) for px, py in shape], 0.018)
        self.fill(soft, self.look["shade"], force=0.75, within=self.face)
        self.fill(front, hair, "hair")
        self.fill(_oval(x + 0.2, y - 0.15, 0.12, 0.3), dark, soft=0.05, within=front)
        for i in range(9):  # strands
            t = i / 8
            top = (part + 0.1 * (t - 0.5), y - b * 1.06)
            end = (x + a * 1.1 * (2 * t - 1), y - b * (0.2 + 0.6 * (1 - abs(2 * t - 1))))
            bend = ((top[0] + end[0]) / 2 + 0.09 * (t - 0.5), top[1] + 0.3 * (end[1] - top[1]))
            strand = [top, bend, end, (bend[0] + 0.016, bend[1] + 0.018)]
            self.fill(smooth(strand), light if i % 2 else dark, soft=0.004, force=0.6, within=front)

    def features(self, k: int) -> None:
        """Brows, eyes, nose, mouth and perhaps a moustache."""
        look, x, y = self.look, self.x + self.turn, self.y + self.level
        skin, shade = look["skin"], look["shade"]
        ink = mix(look["hair"], (24, 14, 22), 0.7)
        for side in (-1, 1):
            self._eye(x + side * self.apart * self.a, y, side, ink)
        tip = y + 0.15
        bridge = [(x + 0.01, y - 0.03), (x + 0.035, y + 0.08), (x + 0.06, tip), (x + 0.02, tip + 0.01)]
        self.parts.paste(PARTS.index("nose"), mask=self.mask(smooth([(x - 0.018, y), (x + 0.018, y), (x + 0.058, tip),
                                                                     (x, tip + 0.035), (x - 0.058, tip)])))  # fmt: skip
        self.fill(smooth(bridge), shade, soft=0.012, force=0.75)
        self.fill(_oval(x, tip + 0.012, 0.045, 0.018), shade, soft=0.008, force=0.8)
        self.fill(_oval(x - 0.008, tip - 0.012, 0.022, 0.022), mix(skin, (255, 246, 226), 0.7), soft=0.01)
        self.fill(_oval(x - 0.01, y + 0.05, 0.009, 0.06), mix(skin, (255, 246, 226), 0.6), soft=0.008)
        for side in (-1, 1):
            self.fill(_oval(x + side * 0.024, tip + 0.017, 0.012, 0.006), ink, soft=0.003, force=0.8)
        self._mouth(x, y + 0.05 + self.drop, ink)
        if k % 4 == 1:
            low = y + 0.03 + self.drop
            for side in (-1, 1):
                half = [(x, low - 0.038), (x + side * 0.06, low - 0.036), (x + side * 0.12, low - 0.012)]
                half += [(x + side * 0.165, low - 0.036), (x + side * 0.14, low + 0.014)]
                half.append((x + side * 0.06, low + 0.008))
                lobe = self.fill(smooth([*half, (x, low - 0.008)]), ink, "moustache", soft=0.002)
                shine = _oval(x + side * 0.06, low - 0.022, 0.045, 0.007)
                self.fill(shine, mix(look["hair"], (255, 214, 150), 0.35), soft=0.006, within=lobe)

    def _eye(self, x: float, y: float, side: int, ink: Color) -> None:
        w, h, look = self.eye, 0.56 * self.eye, self.look
        self.fill(_oval(x, y - 0.012, w * 1.3, h * 1.7), look["shade"], soft=0.02, force=0.5)
        white = self.fill(smooth([(x - w, y + h * 0.1), (x - w * 0.4, y - h * 1.3), (x + w * 0.4, y - h * 1.3),
                                  (x + w, y + h * 0.1), (x + w * 0.4, y + h), (x - w * 0.4, y + h)]),
                          (250, 246, 238), "eyes")  # fmt: skip
        px = x + 0.3 * self.turn
        self.fill(_oval(px, y - 0.1 * h, h * 0.86, h * 0.86), mix(look["iris"], (10, 10, 20), 0.5), within=white)
        self.fill(_oval(px, y - 0.02 * h, h * 0.7, h * 0.7), look["iris"], within=white)
        self.fill(_oval(px, y - 0.1 * h, h * 0.4, h * 0.4), (16, 12, 18), within=white)
        self.fill(_oval(px - h * 0.28, y - h * 0.42, h * 0.19, h * 0.19), (255, 255, 255), within=white)
        self.fill(_oval(x, y - h * 1.15, w, h * 0.5), ink, soft=0.006, force=0.5, within=white)
        inner, outer = (x - side * w * 1.02, y + h * 0.1), (x + side * w * 1.25, y - h * 0.3)
        lid = [inner, *((x + side * w * t, y - h * 1.25) for t in (-0.4, 0.4)), (x + side * w, y + h * 0.1), outer]
        lid += [(x + side * w * t, y - h * 1.7) for t in (0.4, -0.4)]
        self.fill(smooth(lid), ink, "eyes")
        rise = y - h * 2.1
        brow = [(x - side * w, rise - 0.014), (x + side * w * 0.3, rise - 0.036), (x + side * w * 1.35, rise + 0.008)]
        brow += [(x + side * w * 0.3, rise - 0.01), (x - side * w, rise + 0.012)]
        self.fill(smooth(brow), ink, "brows", soft=0.002)

    def _mouth(self, x: float, y: float, ink: Color) -> None:
        w, lips, up = self.lips, self.look["lips"], self.smile * self.lips
        left, right = (x - w, y - up), (x + w, y - up)
        self.fill(_oval(x, y + 0.062, w * 0.6, 0.02), self.look["shade"], soft=0.014, force=0.6)
        middle = [(x + w * 0.5, y + 0.002), (x, y + 0.008), (x - w * 0.5, y + 0.002)]
        upper = [left, (x - w * 0.35, y - 0.034), (x, y - 0.022), (x + w * 0.35, y - 0.034), right, *middle]
        lower = [left, *middle[::-1], right, (x + w * 0.5, y + 0.05), (x - w * 0.5, y + 0.05)]
        self.fill(smooth(lower), lips, "mouth")
        self.fill(smooth(upper), mix(lips, (60, 10, 30), 0.3), "mouth")
        self.fill(_oval(x - 0.015, y + 0.025, w * 0.4, 0.008), mix(lips, (255, 236, 226), 0.6), soft=0.006)
        line = [left, left, *middle[::-1], right, right, *((px, py + 0.009) for px, py in middle)]
        self.fill(smooth(line), mix(ink, lips, 0.2), "mouth")
