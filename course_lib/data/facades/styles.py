"""Seven architectural styles: the layouts and colors of their houses."""

from __future__ import annotations

from dataclasses import dataclass

from course_lib.data.facades.colors import BRICK, PLASTER, SLATE, STONE, TILES, WHITE, Color


@dataclass(frozen=True)
class Style:
    """An architectural style: the possible layouts (in unit coordinates) and colors of a house."""

    width: tuple[float, float]  # of a house
    floors: tuple[int, int]  # above the ground floor
    height: tuple[float, float]  # of a floor
    bay: float  # distance between the middles of two windows
    window: tuple[float, float]  # share of the bay's width and of the floor's height
    arch: tuple[str, ...]
    panes: tuple[tuple[int, int], ...]  # columns and rows of glass in a window
    roof: tuple[str, ...]
    ground: tuple[str, ...]
    walls: tuple[Color, ...]
    skin: tuple[str, ...]
    trim: tuple[Color, ...]
    roofing: tuple[Color, ...]
    frames: tuple[Color, ...] = ((240, 236, 224), (226, 218, 200), (92, 74, 58))
    shutters: float = 0.0  # probability
    balconies: tuple[str, ...] = ("",)
    cornices: float = 0.0  # probability of a cornice between floors


STYLES = {
    "boulevard": Style(
        (0.45, 0.7), (2, 3), (0.135, 0.155), 0.12, (0.46, 0.72), ("flat", "flat", "segment"), ((2, 3), (2, 2)),
        ("mansard",), ("shops", "shops", "doors"), STONE, ("stone", "plaster"), STONE, SLATE,
        balconies=("rails", "long", "some"), cornices=0.9,
    ),
    "canal": Style(
        (0.22, 0.33), (2, 3), (0.125, 0.15), 0.098, (0.62, 0.7), ("flat", "flat", "segment"), ((2, 3), (2, 2), (3, 4)),
        ("step", "bell", "spout", "neck", "cornice"), ("doors", "doors", "shops"), BRICK, ("brick",), WHITE, TILES,
        frames=WHITE,
    ),
    "south": Style(
        (0.3, 0.52), (2, 3), (0.125, 0.15), 0.135, (0.36, 0.62), ("flat", "flat", "round"), ((2, 2), (2, 3)),
        ("eaves",), ("doors", "shops", "doors"), PLASTER, ("plaster",), WHITE + STONE, TILES,
        shutters=0.9, balconies=("", "some", "some"), cornices=0.3,
    ),
    "warehouse": Style(
        (0.5, 0.9), (2, 3), (0.14, 0.165), 0.145, (0.68, 0.68), ("segment", "round", "flat"), ((4, 4), (3, 4), (5, 4)),
        ("parapet", "spout"), ("gates", "shops"), BRICK, ("brick",), STONE, SLATE,
        frames=((60, 74, 70), (70, 60, 56), (228, 220, 204)), cornices=0.5,
    ),
    "modern": Style(
        (0.45, 0.8), (3, 4), (0.11, 0.13), 0.16, (0.8, 0.56), ("flat",), ((3, 1), (2, 1), (4, 1)),
        ("flat",), ("shops", "shops", "doors"),
        ((240, 236, 226), (218, 220, 216), (232, 216, 194), (198, 206, 206), (226, 200, 170)), ("concrete", "plaster"),
        ((250, 246, 236), (196, 92, 70), (222, 170, 72), (84, 130, 136), (120, 122, 124)), SLATE,
        frames=((52, 56, 60), (236, 232, 224), (128, 92, 62)), balconies=("", "solid", "solid"),
    ),
    "terrace": Style(
        (0.26, 0.36), (2, 2), (0.14, 0.16), 0.12, (0.5, 0.68), ("flat", "segment"), ((2, 2), (2, 4), (3, 4)),
        ("pitched", "parapet"), ("doors",), BRICK + STONE[:2], ("brick",), WHITE, SLATE, frames=WHITE, cornices=0.3,
    ),
    "timber": Style(
        (0.28, 0.42), (1, 2), (0.13, 0.15), 0.11, (0.52, 0.58), ("flat",), ((2, 2), (2, 3)), ("gable",),
        ("doors", "shops"), ((244, 236, 216), (238, 222, 186), (236, 206, 166), (220, 190, 160)), ("plaster",),
        ((88, 60, 44), (70, 52, 44), (116, 70, 48)), TILES, shutters=0.4,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class House:
    """One house: its style, its position in unit coordinates, and its colors."""

    style: Style
    left: float
    right: float
    top: float
    base: float
    wall: Color
    trim: Color
    frame: Color
    skin: str
    roofing: Color

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2
