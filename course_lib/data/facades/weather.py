"""The eight weathers of a scene, and what else about it can be given instead of drawn: the season, the walls."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from course_lib import arguments
from course_lib.data.facades.colors import BRICK, LEAVES, PLASTER, STONE, Color


@dataclass(frozen=True)
class Weather:
    """The weather of a scene: colors of sky, light and shadows, haze, wetness and snow."""

    name: str
    zenith: Color
    horizon: Color
    light: tuple[float, float, float]  # factors on lit colors
    shadow: tuple[float, float, float]  # factors on colors in the shadow
    sun: float  # darkness of shadows, 0 to 1
    clouds: float  # share of the sky that they cover, 0 to 1
    haze: float = 0.0  # how much of the horizon's color is blended over everything, 0 to 1
    lit: float = 0.0  # share of the windows that are lit, 0 to 1
    wet: float = 0.0  # how much the ground reflects, 0 to 1
    snow: bool = False


_ALL = (
    Weather("clear", (104, 160, 212), (206, 226, 232), (1.09, 1.03, 0.94), (0.50, 0.55, 0.72), 0.95, 0.35),
    Weather("fair", (136, 180, 212), (224, 230, 226), (1.08, 1.02, 0.93), (0.56, 0.59, 0.72), 0.85, 0.6),
    Weather("golden", (122, 150, 186), (255, 206, 146), (1.18, 1.00, 0.76), (0.48, 0.46, 0.64), 1.0, 0.45, haze=0.07),
    Weather("hazy", (186, 202, 210), (236, 230, 214), (1.03, 1.00, 0.94), (0.70, 0.71, 0.77), 0.6, 0.3, haze=0.2),
    Weather("overcast", (168, 180, 190), (214, 217, 215), (0.97, 0.98, 1.0), (0.72, 0.74, 0.78), 0.35, 0.9),
    Weather("rain", (116, 130, 144), (176, 184, 188), (0.80, 0.85, 0.90), (0.7, 0.72, 0.76), 0.3, 0.9, 0.1, 0.2, 0.75),
    Weather(
        "snow", (180, 190, 204), (228, 229, 231), (0.96, 0.98, 1.03), (0.7, 0.74, 0.84), 0.35, 0.7, 0.08, 0.15, 0, True
    ),
    Weather("dusk", (52, 68, 124), (246, 168, 128), (0.58, 0.57, 0.76), (0.62, 0.62, 0.76), 0.35, 0.3, 0.0, 0.55, 0.25),
)
WEATHERS = {weather.name: weather for weather in _ALL}

SEASONS = {  # → weights of the colors of leaves in `LEAVES`
    "spring": (3, 4, 0, 0, 0, 2.5, 0),
    "summer": (4, 3, 3, 0, 0, 0, 2),
    "autumn": (0, 0, 0, 3, 3, 0, 0.8),
}

MATERIALS: dict[str, tuple[Color, ...]] = {"plaster": PLASTER, "brick": BRICK, "stone": STONE}  # → colors of walls


@dataclass(frozen=True)
class Conditions:
    """What is given about a scene. Whatever is None is drawn from the random numbers of its look.

    With a weather, what only some weathers draw (lit windows, haze, falling snow) has random numbers of its own, so
    that everything else is the same in every weather. With a material, so has the color of the walls.
    """

    weather: Weather | None = None
    season: str | None = None
    material: str | None = None
    air: Random | None = None
    lamps: Random | None = None
    tones: Random | None = None
    walls: Random | None = None


def conditions(weather: str | None, season: str | None, material: str | None, number: str) -> Conditions:
    """The conditions of scene `number` ("SEED K"), from names or None.

    Raises:
        ValueError: a name that is not in `WEATHERS`, `SEASONS` or `MATERIALS`; the message lists them.
    """
    for what, name, known in (
        ("weather", weather, WEATHERS), ("season", season, SEASONS), ("material", material, MATERIALS),
    ):  # fmt: skip
        if name is not None:
            arguments.choice(what, name, tuple(known))
    own: dict[str, Random] = (
        {part: Random(f"{part} {number}") for part in ("air", "lamps", "tones")} if weather is not None else {}
    )
    if material is not None:
        own["walls"] = Random(f"walls {number}")
    return Conditions(None if weather is None else WEATHERS[weather], season, material, **own)


def leaf_weights(season: str | None) -> tuple[float, ...]:
    """How likely each color of `LEAVES` is."""
    return tuple(weight for _, weight in LEAVES) if season is None else SEASONS[season]
