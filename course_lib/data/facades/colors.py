"""Palettes for walls, roofs, paint, shutters, cloth, cars and leaves, and functions to mix colors.

A color is (R, G, B), each from 0 to 255.
"""

from __future__ import annotations

from collections.abc import Sequence

Color = tuple[int, int, int]

STONE = ((232, 218, 190), (220, 203, 172), (206, 194, 172), (238, 228, 208), (214, 196, 176))
PLASTER = (
    (238, 214, 168), (226, 180, 112), (208, 134, 96), (230, 174, 150), (242, 230, 206), (184, 196, 178),
    (174, 190, 202), (218, 154, 112), (196, 96, 76), (222, 200, 122), (204, 160, 150),
)  # fmt: skip
BRICK = ((164, 84, 64), (140, 70, 56), (180, 106, 78), (124, 76, 62), (104, 74, 66), (196, 146, 104), (150, 92, 72))
TILES = ((172, 92, 64), (150, 78, 58), (188, 110, 76), (128, 76, 62))
SLATE = ((92, 102, 116), (78, 84, 96), (108, 114, 120))
WHITE = ((244, 238, 224), (232, 224, 206), (250, 246, 236))
PAINT = ((44, 82, 66), (44, 72, 108), (148, 46, 42), (44, 44, 50), (198, 146, 58), (124, 82, 52), (64, 128, 130))
SHUTTERS = ((76, 118, 92), (84, 124, 154), (120, 82, 58), (136, 154, 156), (122, 54, 52), (58, 96, 88), (226, 218, 196))
CLOTH = ((186, 58, 50), (52, 100, 78), (48, 74, 112), (214, 160, 66), (196, 104, 70), (232, 222, 200))
CARS = (
    (178, 54, 48), (234, 224, 200), (146, 186, 170), (48, 66, 100), (218, 168, 66), (126, 130, 134), (46, 46, 52),
    (120, 162, 192), (226, 128, 74), (92, 116, 84),
)  # fmt: skip
LEAVES = (
    ((86, 124, 58), 4), ((112, 140, 66), 3), ((64, 100, 62), 3), ((206, 144, 54), 1.2), ((184, 92, 50), 1.0),
    ((226, 164, 172), 0.8), ((140, 152, 74), 2),
)  # fmt: skip


def mix(a: Sequence[float], b: Sequence[float], part: float) -> Color:
    """Interpolate between two colors: a at part 0, b at part 1; other parts extrapolate, clamped to 0..255."""
    red, green, blue = a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1]), a[2] + part * (b[2] - a[2])
    if 0 <= part <= 1:
        return int(red), int(green), int(blue)
    return max(0, min(255, int(red))), max(0, min(255, int(green))), max(0, min(255, int(blue)))


def darker(color: Sequence[float], part: float) -> Color:
    """Mix a color with a bluish black; `part` is from 0 to 1."""
    return mix(color, (24, 22, 34), part)


def lighter(color: Sequence[float], part: float) -> Color:
    """Mix a color with a warm white; `part` is from 0 to 1."""
    return mix(color, (255, 250, 238), part)
