"""A picture painted in brush strokes, large ones first (after Hertzmann 1998)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

# Width and length of the strokes, blur of the picture they take their colors from: in sides of the picture
_BRUSHES = ((0.034, 0.13, 1 / 80), (0.02, 0.075, 1 / 160), (0.0075, 0.022, 1 / 500))
_BRISTLES = np.linspace(-0.4, 0.4, 5)


def brush_strokes(picture: Image.Image, details: Image.Image, draw: np.random.Generator) -> Image.Image:
    """The picture in strokes of three sizes, which follow the lines of equal brightness.

    Where nothing changes, they run in circles around the upper middle.

    Args:
        picture: mode "RGB", square, as large as a canvas: three or more times the size of the finished picture.
        details: mode "L", of the same size: the smallest strokes are painted where it is 255.
        draw: random numbers, for places, directions and tones.
    """
    side = picture.width
    wanted = np.asarray(details) == 255
    painted = picture.filter(ImageFilter.GaussianBlur(side / 60))
    brush = ImageDraw.Draw(painted)
    for width, length, blur in _BRUSHES:
        small = width == _BRUSHES[-1][0]
        gray = picture.convert("L").filter(ImageFilter.GaussianBlur(side / (120 if small else 40)))
        down, across = (np.asarray(slope) for slope in np.gradient(np.asarray(gray, np.float32)))
        colors = np.asarray(picture.filter(ImageFilter.GaussianBlur(side * blur)), np.float32)
        for x, y in (draw.random((int(2.6 / (width * length)), 2)) * side).astype(int):
            if small and not wanted[y, x]:
                continue
            turn = math.atan2(down[y, x], across[y, x]) + math.pi / 2 + draw.normal(0, 0.2)
            if math.hypot(down[y, x], across[y, x]) < 0.15:
                turn = math.atan2(y - 0.4 * side, x - 0.5 * side) + math.pi / 2
            tone = colors[y, x] + draw.normal(0, 4 if small else 9, 3)
            _stroke(brush, (x, y), turn, (width * side, length * side), tone + draw.normal(0, 7, (len(_BRISTLES), 1)))
    return painted


def _stroke(
    brush: ImageDraw.ImageDraw, at: tuple[int, int], turn: float, size: tuple[float, float], tones: NDArray[np.float64]
) -> None:
    """One stroke: bristles side by side, each with its own tone."""
    width, length = size
    c, s = math.cos(turn), math.sin(turn)
    for offset, tone in zip(_BRISTLES * width, np.clip(tones, 0, 255).astype(int).tolist(), strict=True):
        x, y = at[0] - offset * s, at[1] + offset * c
        ends = (x - c * length / 2, y - s * length / 2, x + c * length / 2, y + s * length / 2)
        brush.line(ends, tuple(tone), max(1, round(0.3 * width)))
