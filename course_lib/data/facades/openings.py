"""Draw the openings in a wall: windows, shutters, balconies, doors, shops and awnings."""

from __future__ import annotations

from course_lib.data.facades.canvas import Box, Painter
from course_lib.data.facades.colors import CARS, CLOTH, PAINT, Color, darker, lighter, mix
from course_lib.data.facades.plants import crown
from course_lib.data.facades.styles import House


def window(p: Painter, h: House, box: Box, arch: str, panes: tuple[int, int], bright: float = 0.0) -> None:
    """Draw a window with frame, glass and a shaded reveal, sometimes with curtains, a blind or a lamp."""
    look, unit = p.look, 1 / p.size
    left, top, right, bottom = (round(v * p.size) * unit for v in box)
    right, bottom = max(right, left + unit), max(bottom, top + unit)
    wide, tall = right - left, bottom - top
    border = 0.007
    rise = {"flat": 0.0, "segment": 0.22, "round": 0.5}[arch] * wide
    if h.trim != h.wall:
        trim = mix(h.wall, h.trim, 0.85)
        p.dab((left - border, top + rise - (border if not rise else 0), right + border, bottom), trim)
        if rise:
            p.spot((left - border, top - border, right + border, top + 2 * rise + border), trim)
    outline = p.opening((left, top, right, bottom), arch, "window")
    if p.lamps.random() < max(bright, p.weather.lit) * (1 if p.weather.name == "dusk" else 0.6):
        warm = mix((255, 206, 120), (255, 168, 84), p.tones.random())
        p.patch(outline, warm, 0.92)
        p.dab((left, bottom - 0.3 * tall, right, bottom), darker(warm, 0.5), 0.35)
        p.shine((left, top + rise / 2, right, bottom), warm)
    chance = look.random()
    if chance < 0.4 and wide > 0.03:  # curtains
        cloth = lighter(look.choice(((236, 228, 210), (226, 216, 204), (214, 190, 160))), 0.1)
        part = look.uniform(0.14, 0.3) * wide
        p.dab((left, top + rise, left + part, bottom), cloth, 0.6)
        p.dab((right - part, top + rise, right, bottom), cloth, 0.6)
    elif chance < 0.58:  # a blind, lowered by a random amount
        p.dab((left, top + rise, right, top + rise + (tall - rise) * look.uniform(0.15, 0.6)), (232, 224, 204), 0.65)
    elif chance < 0.7:  # an object on the sill inside
        x = look.uniform(left, right - 0.4 * wide)
        p.dab((x, bottom - 0.25 * tall, x + 0.3 * wide, bottom), look.choice(((96, 120, 72), (130, 84, 66))), 0.6)
    peak = top + rise
    p.patch(((left, peak + 0.5 * tall), (left, peak + 0.2 * tall), (right, peak)), (255, 255, 255), 0.1)
    _bars(p, (left, top, right, bottom), outline, panes, h.frame)
    _reveal(p, (left, top, right, bottom), rise)
    p.dab((left - border, bottom, right + border, bottom + 0.009), lighter(h.trim, 0.25))
    p.shadow_box((left - border, bottom + 0.009, right + border, bottom + 0.009 + 0.012 * p.reach), 0.85)
    if look.random() < 0.5:
        x = look.uniform(left, right)
        p.dab((x, bottom + 0.009, x + 0.006, bottom + look.uniform(0.02, 0.05)), (60, 54, 52), 0.16)
    if p.weather.snow:
        p.dab((left - border, bottom - 0.003, right + border, bottom + 0.005), (246, 248, 252))
    p.ink(((left - border, bottom + 0.01), (right + border, bottom + 0.01)), 0.7)


def _bars(p: Painter, box: Box, outline: list[tuple[float, float]], panes: tuple[int, int], color: Color) -> None:
    """Draw a frame around the glass and glazing bars across it; the sketch gets a cross."""
    left, top, right, bottom = box
    if outline:
        p.line([*outline, outline[0]], color, 0.0075)
    columns, rows = panes
    for i in range(1, columns):
        x = left + (right - left) * i / columns
        p.dab((x - 0.0028, top, x + 0.0028, bottom), color, 0.95)
    for j in range(1, rows):
        y = top + (bottom - top) * j / rows
        p.dab((left, y - 0.0022, right, y + 0.0022), color, 0.9)
    x, y = (left + right) / 2, top + (bottom - top) * (0.5 if rows != 3 else 1 / 3)
    p.ink(((x, top), (x, bottom)), 0.55)
    p.ink(((left, y), (right, y)), 0.55)


def _reveal(p: Painter, box: Box, rise: float) -> None:
    """Shade the glass along the top and along the side toward the sun, since the wall is thick."""
    left, top, right, bottom = box
    deep, dark = 0.011 * p.reach, 0.25 + 0.4 * p.weather.sun
    p.dab((left, top + 0.4 * rise, right, top + 0.4 * rise + deep), (22, 24, 42), dark)
    if p.side < 0:
        p.dab((left, top + rise, left + 0.7 * deep, bottom), (22, 24, 42), dark)
    else:
        p.dab((right - 0.7 * deep, top + rise, right, bottom), (22, 24, 42), dark)


def shutters(p: Painter, box: Box, color: Color) -> None:
    """Draw a shutter on each side of a window."""
    left, top, right, bottom = box
    leaf = 0.5 * (right - left)
    for x in (left - leaf - 0.003, right + 0.003):
        p.shadow_box((x - 0.008 * p.side * p.reach, top + 0.008, x + leaf - 0.008 * p.side * p.reach, bottom + 0.008))
        p.rect((x, top, x + leaf, bottom), "building", color, 0.8)
        for i in range(7):
            y = top + (bottom - top) * (i + 0.7) / 7.4
            p.dab((x + 0.003, y, x + leaf - 0.003, y + 0.005), darker(color, 0.4), 0.6)
        p.dab((x, top, x + 0.003, bottom), lighter(color, 0.3), 0.7)


def balcony(p: Painter, h: House, box: Box, kind: str) -> None:
    """Draw a balcony, "solid" or with iron rails, sometimes with flowers."""
    left, top, right, bottom = box
    left, right = max(left, h.left), min(right, h.right)
    p.shadow(((left, bottom), (right, bottom), (right - 0.04 * p.side * p.reach, bottom + 0.045 * p.reach),
              (left - 0.04 * p.side * p.reach, bottom + 0.045 * p.reach)), 0.95)  # fmt: skip
    if kind == "solid":
        p.rect((left, top, right, bottom + 0.008), "building", h.trim)
        p.dab((left, top, right, top + 0.006), lighter(h.trim, 0.5))
        p.dab((left, bottom, right, bottom + 0.008), darker(h.trim, 0.3))
    else:
        iron = (40, 44, 50)
        for i in range(count := max(3, round((right - left) / 0.011)) + 1):
            x = left + (right - left) * i / (count - 1)
            p.dab((x - 0.0016, top, x + 0.0016, bottom), iron, 0.9)
            if i % 2 == 0:
                p.ink(((x, top), (x, bottom)), 0.45)
        p.dab((left, bottom - 0.012, right, bottom - 0.009), iron, 0.9)
        p.rect((left, top - 0.003, right, top + 0.005), "building", iron, 0.0)
        p.ink(((left, top), (right, top)), 0.9)
        p.rect((left - 0.004, bottom, right + 0.004, bottom + 0.011), "building", lighter(h.trim, 0.1), 0.8)
    if p.weather.snow:
        p.dab((left, top - 0.005, right, top + 0.003), (246, 248, 252))
    if p.layout.random() < 0.25:  # flowers
        spots = [(p.layout.uniform(left, right), top + p.layout.uniform(0.0, 0.012), 0.009) for _ in range(7)]
        crown(p, spots, (92, 128, 66), p.look.choice(((206, 62, 58), (236, 150, 170), (244, 206, 92))))


def ground_floor(p: Painter, h: House, top: float, kind: str, bays: int) -> None:
    """Draw the ground floor: shops with awnings ("shops"), a door between windows ("doors"), or "gates"."""
    layout, look, style = p.layout, p.look, h.style
    left, right, base = h.left + 0.012, h.right - 0.012, h.base
    if kind == "shops":
        count = max(1, round((right - left) / 0.26))
        wide = (right - left) / count
        for i in range(count):
            _shop(p, h, (left + i * wide + 0.008, top + 0.03, left + (i + 1) * wide - 0.008, base))
        return
    plinth = darker(h.wall, 0.25) if look.random() < 0.6 else mix(h.trim, h.wall, 0.3)
    p.dab((h.left, base - 0.04, h.right, base), plinth, 0.9)
    p.ink(((h.left, base - 0.04), (h.right, base - 0.04)), 0.4)
    bay, chosen = (right - left) / bays, layout.randrange(bays)
    height = base - top
    for i in range(bays):
        x = left + bay * (i + 0.5)
        if i == chosen or (kind == "gates" and (i + chosen) % 2 == 0):
            half = 0.034 if kind != "gates" else 0.36 * bay
            arch = layout.choice(("flat", "round", "flat")) if kind != "gates" else "segment"
            _door(p, h, (x - half, top + 0.2 * height, x + half, base), arch)
        else:
            wide, tall = style.window[0] * bay, min(0.62 * height, style.window[1] * height)
            arch = "segment" if style.arch[0] == "segment" else "flat"
            window(p, h, (x - wide / 2, base - 0.05 - tall, x + wide / 2, base - 0.05), arch, style.panes[0])


def _door(p: Painter, h: House, box: Box, arch: str) -> None:
    left, top, right, bottom = box
    paint, wide = p.look.choice(PAINT), right - left
    rise = {"flat": 0.0, "segment": 0.22, "round": 0.5}[arch] * wide
    border = 0.012
    p.dab((left - border, top + rise - (0 if rise else border), right + border, bottom), h.trim)
    if rise:
        p.spot((left - border, top - border, right + border, top + 2 * rise + border), h.trim)
    p.opening((left, top, right, bottom), arch, "door", paint)
    light = top + max(rise, 0.2 * (bottom - top))  # a pane above the door leaf
    if not rise:
        window(p, h, (left + 0.005, top + 0.005, right - 0.005, light), "flat", (2, 1), 0.6)
    middle, half = (left + right) / 2, (bottom - light) / 2
    for x in (left + 0.14 * wide, middle + 0.08 * wide):
        for y in (light + 0.14 * half, light + 1.06 * half):
            panel = (x, y, x + 0.28 * wide, y + 0.76 * half)
            p.dab(panel, darker(paint, 0.3))
            p.dab((panel[0], panel[3] - 0.004, panel[2], panel[3]), lighter(paint, 0.3), 0.8)
    p.dab((middle - 0.0015, light, middle + 0.0015, bottom), darker(paint, 0.6))
    p.dab((middle + 0.006, light + half, middle + 0.011, light + half + 0.006), (226, 190, 96))
    p.ink(((middle, light), (middle, bottom)), 0.5)
    p.ink(((left, light), (right, light)), 0.7)
    _reveal(p, box, rise)
    step = (left - 0.016, bottom - 0.012, right + 0.016, bottom)
    p.rect(step, "pavement", p.snowy((190, 182, 168)), 0.7)
    p.dab((step[0], step[1], step[2], step[1] + 0.004), (232, 226, 212), 0.8)


def _shop(p: Painter, h: House, box: Box) -> None:
    """Draw a wooden shop front: a sign, panes above a low wall, a door, sometimes an awning."""
    left, top, right, base = box
    look, layout = p.look, p.layout
    paint = look.choice((*PAINT, (234, 226, 206), (88, 62, 54)))
    p.rect((left, top - 0.005, right, base), "building", paint)
    p.dab((left, top - 0.005, right, top + 0.002), lighter(paint, 0.35))
    width, low = right - left, base - 0.035
    glass_top, at = top + 0.034, layout.choice((0, 1, 2))
    door = 0.062
    cells = 2 if width < 0.3 else 3
    pane = (width - door - 0.012 * (cells + 2)) / cells
    x = left + 0.012
    for i in range(cells + 1):
        if i == min(at, cells):
            p.opening((x, glass_top, x + door, base), "flat", "door", darker(paint, 0.2))
            window(p, h, (x + 0.012, glass_top + 0.012, x + door - 0.012, base - 0.045), "flat", (1, 1), 0.7)
            x += door + 0.012
        else:
            _display(p, h, (x, glass_top, x + pane, low))
            x += pane + 0.012
    letters = lighter(paint, 0.8) if sum(paint) < 480 else darker(paint, 0.7)
    word, middle = layout.uniform(0.3, 0.7) * width, (left + right) / 2
    for i in range(count := max(3, round(word / 0.014))):
        if look.random() < 0.88:
            y = top + 0.008 + look.uniform(0, 0.004)
            x = middle - word / 2 + word * i / count
            p.dab((x, y, x + 0.009, y + look.uniform(0.008, 0.014)), letters, 0.9)
    if layout.random() < 0.6:
        _awning(p, (left - 0.004, glass_top - 0.006, right + 0.004, glass_top + 0.42 * (low - glass_top)))


def _display(p: Painter, h: House, box: Box) -> None:
    """Draw a shop window, warmly lit, with goods in it."""
    left, _, right, bottom = box
    window(p, h, box, "flat", (1, 1), 0.9)
    for _ in range(6):
        x, high = p.look.uniform(left, right - 0.02), p.look.uniform(0.012, 0.045)
        p.dab((x, bottom - high, x + 0.014, bottom - 0.006), p.look.choice((*CLOTH, *CARS)), 0.75)


def _awning(p: Painter, box: Box) -> None:
    left, top, right, bottom = box
    a, b = p.look.choice(CLOTH), p.look.choice(((242, 234, 214), (242, 234, 214), (0, 0, 0)))
    b = a if b == (0, 0, 0) else b
    flare, count = 0.01, max(5, round((right - left) / 0.026))
    p.shadow_box(
        (left - 0.03 * p.side * p.reach, bottom, right - 0.03 * p.side * p.reach, bottom + 0.05 * p.reach), 0.95
    )
    p.shape(((left, top), (right, top), (right + flare, bottom), (left - flare, bottom)), "building", p.snowy(a))
    for i in range(count):
        u, v = i / count, (i + 1) / count
        x0, x1 = left + u * (right - left), left + v * (right - left)
        y0, y1 = left - flare + u * (right - left + 2 * flare), left - flare + v * (right - left + 2 * flare)
        color = p.snowy(a if i % 2 else b)
        p.patch(((x0, top), (x1, top), (y1, bottom), (y0, bottom)), color)
        p.blobs([((y0 + y1) / 2, bottom, (y1 - y0) / 2)], "building", darker(color, 0.15), 0.5)
        if i:
            p.ink(((x0, top), (y0, bottom)), 0.4)
    p.patch(((left, top), (right, top), (right, top + 0.01), (left, top + 0.01)), (255, 255, 255), 0.25)
