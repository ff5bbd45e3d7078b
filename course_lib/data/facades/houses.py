"""Draw houses: walls, roofs, gables, cornices and timber framing, in one of the styles."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw

from course_lib.data.facades.canvas import Painter
from course_lib.data.facades.colors import BRICK, SHUTTERS, SLATE, darker, lighter, mix
from course_lib.data.facades.openings import balcony, ground_floor, shutters, window
from course_lib.data.facades.plants import crown
from course_lib.data.facades.styles import STYLES, House, Style
from course_lib.data.facades.weather import MATERIALS


def house(p: Painter, style: Style, place: tuple[float, float, float], near: float) -> None:
    """Draw one house at `place` (left, right, base): roof, wall, floors, ground floor and climbing plants."""
    layout, look, (left, right, base) = p.layout, p.look, place
    floors, height = layout.randint(*style.floors), near * layout.uniform(*style.height)
    ground = height * layout.uniform(1.08, 1.25)
    kind = layout.choice(style.roof)
    room = 0.13 if kind in ("mansard", "step", "bell", "neck", "spout", "gable") else 0.07  # for the roof
    floors = max(1, min(floors, int((base - ground - room) / height)))
    top = base - ground - floors * height - 0.02
    color, tint = look.choice(style.walls), [look.randrange(256) for _ in range(3)]
    trim, frame = look.choice(style.trim), look.choice(style.frames)
    skin, roofing = look.choice(style.skin), look.choice(style.roofing)
    if p.given.material is not None and p.given.walls is not None:
        color, skin = p.given.walls.choice(MATERIALS[p.given.material]), p.given.material
    h = House(style, left, right, top, base, mix(color, tint, 0.06), trim, frame, skin, roofing)
    _roof(p, h, kind)
    box = (left, top, right, base)
    p.rect(box, "building", h.wall)
    if kind in ("step", "bell", "spout", "neck", "gable"):
        _gable(p, h, kind)
    p.grain(box, h.skin, look.uniform(0.7, 1.0))
    _weathering(p, h)
    if style is STYLES["timber"]:
        _beams(p, h, floors, height)
    bays = max(2, round((right - left - 0.02) / (near * style.bay)))
    arch, panes = layout.choice(style.arch), layout.choice(style.panes)
    railing, shuttered = layout.choice(style.balconies), layout.random() < style.shutters
    paint = look.choice(SHUTTERS)
    cornices = layout.random() < style.cornices
    bay = (right - left - 0.02) / bays
    for floor in range(floors):
        low = base - ground - floor * height
        if cornices or floor == 0:
            _ledge(p, h, low, 0.008 if floor else 0.014)
        wide, tall = style.window[0] * bay, style.window[1] * height * (1 - 0.06 * floor)
        for i in range(bays):
            x = left + 0.01 + bay * (i + 0.5)
            bottom = low - 0.2 * (height - tall) - (0.006 if railing not in ("rails", "long") else 0)
            hole = (x - wide / 2, bottom - tall, x + wide / 2, bottom)
            if shuttered:
                shutters(p, hole, paint)
            window(p, h, hole, arch if floor + 1 < floors or arch != "segment" else "flat", panes)
            own = railing == "rails" or (railing == "some" and (i + floor) % 2 == bays % 2)
            if own or (railing == "long" and floor in (0, floors - 1)) or (railing == "solid" and i % 2 == 0):
                reach = 0.5 * bay + 0.004 if railing == "long" else 0.62 * wide + (0.008 if railing == "some" else 0)
                balcony(p, h, (x - reach, low - 0.34 * height, x + reach, low), railing)
    _crest(p, h, kind)
    ground_floor(p, h, base - ground, layout.choice(style.ground), bays)
    if layout.random() < 0.16:
        side = layout.choice((left, right))
        tall = layout.uniform(0.2, 0.5)
        spots = []
        for i in range(34):  # a wavy stem that gets thinner toward the top
            t = (i / 33) ** 1.3
            sway = 0.012 * math.sin(9 * t) + layout.gauss(0, 0.022 * (1.1 - t))
            spots.append((side + sway, base - t * tall, 0.026 - 0.014 * t))
        crown(p, spots, mix((74, 106, 54), (150, 70, 48), look.random() ** 3))


def _weathering(p: Painter, h: House) -> None:
    """Darken the wall toward the ground, and add streaks that rain left below the top."""
    for i in range(5):
        p.dab((h.left, h.base - 0.02 - 0.03 * i, h.right, h.base), (70, 58, 50), 0.045)
    for _ in range(7):
        x = p.look.uniform(h.left, h.right)
        p.dab((x, h.top, x + p.look.uniform(0.002, 0.012), h.top + p.look.uniform(0.04, 0.25)), (66, 58, 54), 0.09)


def _roof(p: Painter, h: House, kind: str) -> None:
    """Draw what is above the wall: chimneys, the slope of the roof, dormers."""
    high = {"mansard": 0.1, "pitched": 0.085, "eaves": 0.05}.get(kind, 0.0)
    for _ in range(p.layout.randint(1, 2)):
        x, wide = p.layout.uniform(h.left + 0.05, h.right - 0.09), p.layout.uniform(0.025, 0.045)
        top = h.top - high - p.layout.uniform(0.025, 0.05)
        if high:
            brick = mix(p.look.choice(BRICK), h.wall, 0.3)
            p.rect((x, top, x + wide, h.top), "building", brick)
            p.dab((x + wide / 2 - p.side * wide / 4, top, x + wide / 2 - p.side * wide / 2, h.top), (30, 26, 40), 0.3)
            p.rect((x - 0.004, top - 0.008, x + wide + 0.004, top), "building", p.snowy(darker(brick, 0.25)))
    if not high:
        return
    slant = {"mansard": 0.025, "pitched": 0.02, "eaves": 0.035}[kind]
    color = p.snowy(h.roofing)
    left, right, crest = h.left, h.right, h.top - high
    p.shape(((left, h.top), (left + slant, crest), (right - slant, crest), (right, h.top)), "building", color)
    skin = "slate" if h.roofing in SLATE else "tiles"
    p.grain((left + slant, crest, right - slant, h.top), skin, 0.4 if p.weather.snow else 1.0)
    p.dab((left + slant, crest, right - slant, crest + 0.007), lighter(color, 0.4), 0.7)
    if kind == "mansard" or (kind == "pitched" and p.layout.random() < 0.5):
        count = max(2, round((right - left) / 0.15))
        for i in range(count):
            _dormer(p, h, left + (right - left) * (i + 0.5) / count, h.top - 0.006)


def _dormer(p: Painter, h: House, x: float, low: float) -> None:
    box = (x - 0.028, low - 0.066, x + 0.028, low)
    p.shadow(((x, low - 0.06), (x - p.side * 0.06, low), (x, low)), 0.7)
    p.rect(box, "building", h.trim, 0.7)
    window(p, h, (x - 0.019, low - 0.058, x + 0.019, low - 0.006), "flat", (2, 2))
    roof = p.snowy(darker(h.roofing, 0.25))
    p.shape(((x - 0.036, low - 0.064), (x, low - 0.09), (x + 0.036, low - 0.064)), "building", roof, 0.8)


def _gable(p: Painter, h: House, kind: str) -> None:
    """Draw a gable above the eaves: stepped, bell, neck or spout gable, or a plain triangle."""
    w, top, mid = h.right - h.left, h.top, h.middle
    tall = min(0.7 * w, 0.2, top - 0.03)
    half: list[tuple[float, float]] = {  # from the eaves to the top: shares of half the width and of the height
        "step": [(1, 0), (1, 0.14), (0.8, 0.14), (0.8, 0.36), (0.58, 0.36), (0.58, 0.58), (0.38, 0.58), (0.38, 0.8),
                 (0.18, 0.8), (0.18, 1)],
        "bell": [(1, 0), (1, 0.1), (0.72, 0.16), (0.56, 0.36), (0.48, 0.7), (0.4, 0.86), (0.2, 0.96), (0.1, 1)],
        "neck": [(1, 0), (0.98, 0.08), (0.7, 0.14), (0.52, 0.3), (0.46, 0.46), (0.46, 0.82), (0.56, 0.84), (0, 1.0)],
        "spout": [(1, 0), (0.24, 0.82), (0.24, 1)],
        "gable": [(1.06, -0.06), (0, 1.0)],
    }[kind]  # fmt: skip
    right = [(mid + a * w / 2, top - b * tall) for a, b in half]
    outline = [*right, *((2 * mid - x, y) for x, y in reversed(right))]
    edge = p.snowy(h.trim if kind != "gable" else darker(h.roofing, 0.1))
    p.shape([(x, y - 0.009) for x, y in outline], "building", edge)
    inner = [(mid + (x - mid) * 0.93, y + (0.012 if kind == "gable" else 0.004)) for x, y in outline]
    p.shape(inner, "building", h.wall, 0.5)
    p.dab((h.left, top - 0.004, h.right, top + 0.02), h.wall)
    mask = Image.new("L", (p.canvas, p.canvas), 0)
    ImageDraw.Draw(mask).polygon([(x * p.canvas, y * p.canvas) for x, y in inner], 255)
    p.grain((h.left, top - tall, h.right, top), h.skin, 1.0, mask)
    wide = min(0.034, 0.12 * w)
    low = top - 0.2 * tall
    arch = "round" if kind in ("bell", "neck") else "flat"
    window(p, h, (mid - wide, low - 0.3 * tall, mid + wide, low), arch, (2, 2))
    if kind in ("spout", "neck", "bell") and tall > 0.1:  # the hoisting beam
        p.rect((mid - 0.006, top - 0.68 * tall, mid + 0.006, top - 0.6 * tall), "building", darker(h.trim, 0.7), 0.6)


def _crest(p: Painter, h: House, kind: str) -> None:
    """Draw the upper edge of the wall and its shadow."""
    left, right, top = h.left, h.right, h.top
    if kind in ("step", "bell", "spout", "neck", "gable"):
        return
    thick, trim = (0.012, darker(h.roofing, 0.5)) if kind == "eaves" else (0.02, h.trim)
    if kind in ("parapet", "cornice"):
        p.rect((left, top - 0.028, right, top), "building", darker(h.wall, 0.08) if kind == "parapet" else h.trim)
        p.grain((left, top - 0.028, right, top), h.skin, 0.6)
    p.rect((left - 0.006, top - 0.004, right + 0.006, top + thick), "building", trim)
    p.dab((left - 0.006, top - 0.004, right + 0.006, top + 0.002), lighter(trim, 0.5), 0.8)
    p.dab((left, top + thick - 0.004, right, top + thick), darker(trim, 0.4), 0.6)
    if kind in ("mansard", "cornice", "parapet"):
        count = round((right - left) / 0.022)
        for i in range(count):
            x = left + (right - left) * (i + 0.5) / count
            p.dab((x - 0.004, top + thick, x + 0.004, top + thick + 0.009), darker(trim, 0.12))
    reach = (0.05 if kind == "eaves" else 0.03) * p.reach
    p.shadow_box((left, top + thick, right, top + thick + reach))
    if p.weather.snow:
        y = top - 0.004 - (0.028 if kind in ("parapet", "cornice") else 0)
        p.dab((left - 0.006, y - 0.001, right + 0.006, y + 0.009), (246, 248, 252))


def _ledge(p: Painter, h: House, y: float, thick: float) -> None:
    """Draw a cornice between two floors."""
    p.dab((h.left, y, h.right, y + thick), h.trim)
    p.dab((h.left, y, h.right, y + thick / 3), lighter(h.trim, 0.5))
    p.shadow_box((h.left, y + thick, h.right, y + thick + 0.014 * p.reach), 0.9)
    p.ink(((h.left, y), (h.right, y)))
    p.ink(((h.left, y + thick), (h.right, y + thick)), 0.4)
    if p.weather.snow:
        p.dab((h.left, y - 0.003, h.right, y + 0.002), (244, 246, 250))


def _beams(p: Painter, h: House, floors: int, height: float) -> None:
    """Draw timber framing: sills, posts and braces."""
    wood, w = h.trim, h.right - h.left
    posts = max(3, round(w / 0.075))
    for floor in range(floors + 1):
        y = h.top + 0.012 + floor * height
        p.dab((h.left, y, h.right, y + 0.014), wood)
        p.ink(((h.left, y), (h.right, y)), 0.6)
        p.ink(((h.left, y + 0.014), (h.right, y + 0.014)), 0.6)
        if floor < floors:
            for i in range(posts + 1):
                x = h.left + 0.005 + (w - 0.01) * i / posts
                p.dab((x - 0.005, y, x + 0.005, y + height), wood)
                p.ink(((x, y + 0.014), (x, y + height)), 0.4)
            for x, way in ((h.left, 1), (h.right, -1)):
                p.line(((x + way * 0.006, y + height), (x + way * w / posts, y + 0.014)), wood, 0.009)
                p.ink(((x + way * 0.006, y + height), (x + way * w / posts, y + 0.014)), 0.4)
