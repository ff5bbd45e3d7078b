"""Draw plants: crowns of leaves, trees and hedges."""

from __future__ import annotations

import math

from course_lib.data.facades.canvas import Painter
from course_lib.data.facades.colors import LEAVES, Color, darker, lighter, mix
from course_lib.data.facades.weather import leaf_weights


def leaf_color(p: Painter) -> Color:
    """A random color of leaves, of the season if one is given."""
    return p.look.choices([color for color, _ in LEAVES], leaf_weights(p.given.season))[0]


def crown(p: Painter, spots: list[tuple[float, float, float]], color: Color, blossom: Color | None = None) -> None:
    """Draw leaves in the circles `spots` (x, y, radius), outlined together; darker below and away from the sun."""
    side, chance = p.side, p.look.random
    p.blobs(spots, "vegetation", darker(color, 0.52))
    top, low = min(y - r for _, y, r in spots), max(y + r for _, y, r in spots)
    tones = [darker(color, 0.34), darker(color, 0.14), color, lighter(color, 0.16), lighter(color, 0.34)]
    if p.weather.snow:
        tones[3:] = mix(color, (236, 240, 246), 0.6), (244, 246, 250)
    dabs = []
    for x, y, r in spots:
        for _ in range(1 + int(170 * r)):
            angle, far = math.tau * chance(), chance() ** 0.5
            up, across = -far * math.sin(angle), far * math.cos(angle)
            u, v = x + 0.9 * r * across, y - 0.9 * r * up
            light = 0.42 * (low - v) / (low - top) + 0.24 * up + 0.16 * side * across + 0.5 * chance()
            dabs.append((light, u, v))
    for light, u, v in sorted(dabs):
        tone = tones[max(0, min(4, int(5 * light - 0.4)))]
        if blossom is not None and chance() < 0.5:
            tone = blossom
        s = 0.005 + 0.004 * chance()
        p.spot((u - s, v - 0.8 * s, u + s, v + 0.8 * s), tone)


def tree(p: Painter, x: float, foot: float, kind: str) -> None:
    """Draw a "hedge", a "poplar" or a "round" tree; trees cast a shadow on the ground and on the wall behind them."""
    layout, leaves, bark = p.layout, leaf_color(p), (96, 78, 64)
    if kind == "hedge":
        wide = layout.uniform(0.08, 0.2)
        spots = [(x + wide * (i / 11 - 0.5), foot - 0.02 - 0.016 * layout.random(), 0.022) for i in range(12)]
        crown(p, [*spots, *((a, foot - 0.012, 0.014) for a, _, _ in spots)], mix((84, 120, 62), leaves, 0.3))
        return
    tall, away = layout.uniform(0.34, 0.52), x - 0.06 * p.side * p.reach
    p.spot((away - 0.09, foot - 0.012, away + 0.09, foot + 0.014), (20, 20, 40), 0.4 * p.weather.sun)
    if kind == "poplar":
        leaves = mix(leaves, (70, 104, 64), 0.4)
        spots = []
        for i in range(16):
            radius = 0.045 * math.sin(math.pi * (0.12 + 0.056 * i)) ** 0.8 + 0.006
            spots.append((x + layout.gauss(0, 0.008), foot - 0.07 - i / 15 * (tall - 0.06), radius))
        p.taper(x, (foot - 0.1, foot), (0.006, 0.008), "vegetation", bark)
    else:
        wide, stem = layout.uniform(0.09, 0.14), 0.42 * tall
        middle = foot - stem - 0.3 * (tall - 0.1)
        spots = [(x, middle, 0.62 * wide), (x, middle - 0.07 * tall, 0.5 * wide)]
        for _ in range(18):
            angle, far = layout.uniform(0, math.tau), layout.random() ** 0.5
            y = middle + 0.29 * far * tall * math.sin(angle)
            spots.append((x + far * wide * math.cos(angle), y, layout.uniform(0.024, 0.042)))
        p.taper(x, (foot - stem - 0.05, foot), (0.007, 0.012), "vegetation", bark)
        p.dab((x - 0.006 * (1 + p.side), foot - stem, x - 0.006 * p.side + 0.006, foot), (30, 24, 28), 0.4)
        for way in (-1, 1):
            p.line(((x, foot - 0.75 * stem), (x + way * 0.5 * wide, foot - 1.25 * stem)), bark, 0.008)
    _wall_shadow(p, spots)
    crown(p, spots, leaves)


def _wall_shadow(p: Painter, spots: list[tuple[float, float, float]]) -> None:
    """Draw the shadow of a tree on the houses behind it."""
    dx, dy = -0.085 * p.side * p.reach, 0.05 * p.reach
    p.shadow_blobs([(x + dx, y + dy, 0.9 * r) for x, y, r in spots], 0.8)
    p.cast(0.004, p.mask("building", "window", "door", "pavement"))
