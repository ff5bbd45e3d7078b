"""Draw a street scene: sky, background, houses, ground, trees, people, cars and weather."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFilter, ImageOps

from course_lib.data.facades.canvas import Painter, Points, smooth, texture
from course_lib.data.facades.colors import BRICK, CARS, CLOTH, PAINT, PLASTER, SLATE, TILES, darker, lighter, mix
from course_lib.data.facades.houses import house
from course_lib.data.facades.plants import crown, leaf_color, tree
from course_lib.data.facades.styles import STYLES, Style


def draw_street(p: Painter) -> None:
    """Draw a complete scene from back to front."""
    _sky(p)
    base = p.layout.uniform(0.79, 0.845)
    near = p.layout.uniform(0.86, 1.28)  # scale of the houses
    lots = _lots(p, near)
    _neighbors(p, base, [(left, right) for _, left, right in lots])
    for style, left, right in lots:
        house(p, style, (left, right, base), near)
    p.cast()
    _ground(p, base)
    _passers(p, base)
    _sunlight(p)
    _falling(p)


def _lots(p: Painter, near: float) -> list[tuple[Style, float, float]]:
    """(style, left, right) of each house; most are adjacent, and most have the same style."""
    layout, lots = p.layout, []
    names = layout.choices(tuple(STYLES), (4, 4, 4, 2.5, 2.5, 2.5, 2.5), k=2)
    left = layout.choice((-0.12, -0.06, 0.0, 0.05, 0.11)) + layout.uniform(-0.02, 0.02)
    while left < 0.93:
        style = STYLES[names[layout.random() < 0.25]]
        right = left + near * layout.uniform(*style.width)
        lots.append(
            (style, left, max(right, 1.04) if right > 0.9 else right)
        )  # the last house extends beyond the picture
        left = lots[-1][2] + (layout.uniform(0.07, 0.12) if layout.random() < 0.15 else 0.0)
    return lots


def _sky(p: Painter) -> None:
    """Draw a gradient with clouds in two tones, and prepare the picture that windows reflect."""
    w, look, n = p.weather, p.look, p.canvas
    zenith, horizon = (mix(c, (look.randrange(256),) * 3, 0.06) for c in (w.zenith, w.horizon))
    column = Image.new("RGB", (1, 8))
    for row in range(8):
        column.putpixel((0, row), mix(zenith, horizon, (row / 7) ** 0.8))
    sky = column.resize((p.size, p.size), Image.Resampling.BICUBIC)
    if w.name in ("golden", "dusk", "hazy"):  # the sun is low, behind the roofs
        halo = ImageOps.invert(Image.radial_gradient("L")).point([round(0.8 * v) for v in range(256)])
        sky.paste((255, 226, 176), (p.size * (p.side - 1) // 2, -p.size // 4), halo.resize((2 * p.size, 2 * p.size)))
    left, high = (int(look.random() * n) for _ in range(2))
    density = w.clouds * look.uniform(0.6, 1.1)
    edge, soft = 190 - 110 * density, 60 if density > 0.7 else 38
    below = darker(mix(horizon, zenith, 0.4), 0.12)
    for row, tone, force in ((high + n // 50, below, 0.5), (high, lighter(horizon, 0.55), 0.95)):
        cover = texture("cloud", n).crop((left, row, left + n // 2, row + n)).resize((p.size, p.size))
        veil = cover.point([round(255 * force * min(1, max(0, (v - edge) / soft))) for v in range(256)])
        sky.paste(tone, (0, 0), veil)
    p.photo.paste(sky.resize((n, n), Image.Resampling.BILINEAR))
    glass = Image.blend(sky, Image.new("RGB", sky.size, (48, 60, 70)), 0.34)
    draw, x = ImageDraw.Draw(glass), 0.0
    while x < 1:  # the houses across the street
        wide, top = look.uniform(0.08, 0.25), look.uniform(0.34, 0.66)
        crest, tone = top - wide * look.choice((0, 0.4)), mix((70, 66, 64), (112, 92, 76), look.random())
        front = ((x, top), (x + wide / 2, crest), (x + wide, top), (x + wide, 1), (x, 1))
        draw.polygon([(u * p.size, v * p.size) for u, v in front], tone)
        x += wide
    p.mirror = glass.filter(ImageFilter.BoxBlur(p.size / 100)).resize((n, n), Image.Resampling.BILINEAR)


def _neighbors(p: Painter, base: float, fronts: list[tuple[float, float]]) -> None:
    """Draw roofs and chimneys behind the front, faded by distance; in gaps, also windows and a hedge."""
    air, x = p.weather.horizon, -0.05
    while x < 1.05:
        wide, top = p.layout.uniform(0.12, 0.3), p.layout.uniform(0.34, 0.52)
        tone = mix(p.look.choice(PLASTER + BRICK), air, 0.55)
        roof = mix(p.look.choice(TILES + SLATE), air, 0.5)
        p.rect((x, top, x + wide, base), "building", tone, 0.5)
        if p.layout.random() < 0.7:
            p.rect((x + 0.7 * wide, top - 0.1, x + 0.7 * wide + 0.025, top), "building", roof, 0.5)
            p.shape(((x - 0.01, top), (x + wide / 2, top - 0.09), (x + wide + 0.01, top)), "building", roof, 0.5)
        hidden = any(left <= x and x + wide <= right for left, right in fronts)
        for i in range(0 if hidden else 4):
            left, high = x + wide * (0.2 + 0.4 * (i % 2)), top + (0.05 if i < 2 else 0.18)
            p.rect((left, high, left + 0.03, high + 0.05), "window", darker(tone, 0.3), 0.4)
        x += wide
    ends = [0.0, *(edge for front in fronts for edge in front), 1.0]
    for left, right in zip(ends[::2], ends[1::2], strict=True):
        if right > left:
            spots = [(p.layout.uniform(left, right), base - 0.03, p.layout.uniform(0.03, 0.06)) for _ in range(4)]
            crown(p, spots, leaf_color(p))


def _ground(p: Painter, base: float) -> None:
    """Draw pavement, curb and road; when wet, they reflect the houses."""
    layout, look, w = p.layout, p.look, p.weather
    curb = base + layout.uniform(0.045, 0.07)
    stone = p.snowy(mix(look.choice(((190, 180, 164), (170, 168, 164), (200, 184, 158))), (90, 94, 104), 0.4 * w.wet))
    p.rect((-0.1, base, 1.1, curb), "pavement", stone)
    p.grain((0, base, 1, curb), "slabs", 0.3 if w.snow else 0.9)
    for i in range(-1, 13):  # joints converge toward a point behind the houses
        x = 0.5 + (i - 6) * 0.09
        p.line(((x, base), (0.5 + (x - 0.5) * 1.25, curb)), darker(stone, 0.5), 0.003, 0.5)
    p.dab((0, base, 1, base + 0.012), (40, 36, 44), 0.28)
    cobbled, dashed = layout.random() < 0.4, layout.random() < 0.5
    tar = look.choice(((104, 104, 108), (92, 94, 102), (118, 112, 106))) if not cobbled else (132, 120, 108)
    tar = mix(mix(tar, (52, 58, 70), 0.55 * w.wet), (222, 226, 234), 0.75 * w.snow)
    p.rect((-0.1, curb, 1.1, 1.1), "road", tar)
    p.grain((0, curb, 1, 1), "cobbles" if cobbled else "asphalt", 0.35 if w.snow else 0.9)
    p.dab((0, curb - 0.004, 1, curb + 0.004), lighter(stone, 0.35))
    p.dab((0, curb + 0.004, 1, curb + 0.012), darker(tar, 0.6), 0.9)
    for i in range(6):
        p.dab((0, curb + 0.02 * (i + 1), 1, 1), (20, 22, 30), 0.03)
    if dashed and not cobbled and curb < 0.93:
        for i in range(-1, 5):
            x = 0.28 * i + 0.05
            p.patch(((x, 0.965), (x + 0.13, 0.965), (x + 0.135, 0.98), (x, 0.98)), (232, 226, 206), 0.6)
            p.ink(((x, 0.972), (x + 0.13, 0.972)), 0.4)
    if w.snow:  # tracks of wheels
        for y in (curb + 0.035, 0.975):
            p.dab((0, y, 1, y + 0.018), (120, 122, 130), 0.35)
    if w.wet:
        _puddles(p, base, w.wet)


def _puddles(p: Painter, base: float, wet: float) -> None:
    """Draw the reflection of the front on the ground, stretched and broken up by the roughness of the road."""
    n, y = p.canvas, round(base * p.canvas)
    front = ImageOps.flip(p.photo.crop((0, max(0, y - 2 * (n - y)), n, y))).resize((n // 4, (n - y) // 2 or 1))
    front = front.filter(ImageFilter.BoxBlur(1)).resize((n, n - y), Image.Resampling.BICUBIC)
    x, top = int(p.air.random() * n), int(p.air.random() * n)
    rough = texture("cloud", n).crop((x, top, x + n // 2, top + (n - y))).resize((n, n - y))
    veil = rough.point([round(255 * wet * min(1.0, max(0.15, (v - 70) / 110))) for v in range(256)])
    p.photo.paste(front, (0, y), veil)


_CAR_SHAPES = {  # side views of length 1 with the ground at 0: body, windows
    "saloon": (
        ((0.01, 0.1), (0, 0.24), (0.03, 0.33), (0.24, 0.37), (0.37, 0.55), (0.66, 0.56), (0.8, 0.39), (0.97, 0.35),
         (1, 0.26), (0.99, 0.1)),
        (((0.29, 0.38), (0.39, 0.52), (0.5, 0.53), (0.5, 0.38)),
         ((0.53, 0.38), (0.53, 0.53), (0.64, 0.52), (0.75, 0.39))),
    ),
    "hatch": (
        ((0.01, 0.1), (0, 0.27), (0.05, 0.37), (0.2, 0.42), (0.34, 0.63), (0.84, 0.65), (0.97, 0.46), (1, 0.36),
         (0.99, 0.1)),
        (((0.25, 0.42), (0.36, 0.59), (0.53, 0.6), (0.53, 0.42)),
         ((0.56, 0.42), (0.56, 0.6), (0.82, 0.6), (0.91, 0.44))),
    ),
    "van": (
        ((0.01, 0.1), (0, 0.34), (0.05, 0.45), (0.13, 0.74), (0.2, 0.8), (0.97, 0.8), (1, 0.74), (1, 0.1)),
        (((0.1, 0.47), (0.17, 0.71), (0.3, 0.72), (0.3, 0.47)), ((0.34, 0.47), (0.34, 0.72), (0.6, 0.72), (0.6, 0.47)),
         ((0.64, 0.47), (0.64, 0.72), (0.93, 0.72), (0.93, 0.47))),
    ),
    "beetle": (
        ((0, 0.1), (0, 0.2), (0.06, 0.35), (0.22, 0.4), (0.34, 0.6), (0.54, 0.68), (0.74, 0.6), (0.88, 0.4), (1, 0.24),
         (1, 0.1)),
        (((0.31, 0.42), (0.39, 0.57), (0.51, 0.6), (0.51, 0.42)),
         ((0.54, 0.42), (0.54, 0.6), (0.67, 0.57), (0.77, 0.42))),
    ),
}  # fmt: skip


def _car(p: Painter, left: float, foot: float, kind: str, way: int) -> None:
    """Draw a car from the side: body, windows, wheels, lamps, a highlight along its shoulder and a shadow below."""
    long = 0.225 if kind != "van" else 0.235
    color = p.look.choice(CARS)
    body, windows = _CAR_SHAPES[kind]

    def place(points: Points) -> list[tuple[float, float]]:
        return [(left + long * (x if way > 0 else 1 - x), foot - 0.66 * long * y) for x, y in points]

    p.spot((left - 0.012, foot - 0.014, left + long + 0.012, foot + 0.016), (14, 14, 26), 0.6)
    p.shape(smooth(place(body)), "car", color, 0.9)
    low = [(0.0, 0.1), (0.0, 0.24), (1.0, 0.24), (1.0, 0.1)]
    p.patch(place(low), darker(color, 0.3), 0.7)
    p.patch(place([(0.02, 0.33), (0.02, 0.36), (0.98, 0.38), (0.98, 0.35)]), lighter(color, 0.7), 0.55)
    for pane in windows:
        p.patch(smooth(place(pane), 1), (58, 74, 88))
        p.patch(place([pane[0], pane[1], (pane[1][0] + 0.04, pane[1][1])]), (214, 228, 234), 0.5)
        p.ink([*(line := smooth(place(pane), 1)), line[0]], 0.6)
    for x in (0.2, 0.79):
        (cx, cy), r = place([(x, 0.1)])[0], 0.095 * long
        p.blobs([(cx, cy, r)], "car", (30, 30, 34), 0.8)
        p.spot((cx - 0.55 * r, cy - 0.55 * r, cx + 0.55 * r, cy + 0.55 * r), (176, 178, 180))
        p.spot((cx - 0.2 * r, cy - 0.2 * r, cx + 0.2 * r, cy + 0.2 * r), (90, 92, 96))
    p.patch(place([(0.0, 0.26), (0.0, 0.33), (0.045, 0.33), (0.045, 0.26)]), (250, 238, 190))
    p.patch(place([(0.965, 0.26), (0.965, 0.33), (1.0, 0.33), (1.0, 0.26)]), (196, 40, 36))
    p.line(place([(0.515, 0.12), (0.515, 0.38)]), darker(color, 0.5), 0.003, 0.8)
    if p.weather.snow:
        roof = max(y for _, y in body)
        heap = [(0.38, roof - 0.035), (0.4, roof + 0.01), (0.68, roof + 0.01), (0.72, roof - 0.04)]
        p.patch(place(heap), (244, 246, 250))
    elif p.weather.lit > 0.3:
        x, y = place([(0.0, 0.3)])[0]
        p.shine((x - 0.012, y - 0.012, x + 0.012, y + 0.012), (255, 236, 180))


def _lamp(p: Painter, x: float, foot: float) -> None:
    iron = (44, 52, 52)
    p.rect((x - 0.004, foot - 0.3, x + 0.004, foot), "background", iron, 0.6)
    p.rect((x - 0.009, foot - 0.03, x + 0.009, foot), "background", iron, 0.6)
    glass = (255, 232, 170) if p.weather.lit else (222, 226, 220)
    p.taper(x, (foot - 0.34, foot - 0.3), (0.015, 0.009), "background", glass)
    p.taper(x, (foot - 0.36, foot - 0.34), (0.0, 0.018), "background", iron)
    p.dab((x - 0.001 - 0.003 * p.side, foot - 0.3, x + 0.001, foot), (130, 136, 132), 0.5)
    if p.weather.lit:
        p.shine((x - 0.016, foot - 0.34, x + 0.016, foot - 0.3), (255, 220, 150))


def _person(p: Painter, x: float, foot: float) -> None:
    tall, look = p.layout.uniform(0.085, 0.1), p.look
    coat, stride = look.choice((*CLOTH, *PAINT)), p.layout.uniform(0.004, 0.012)
    p.spot((x - 0.02 - 0.02 * p.side, foot - 0.005, x + 0.02 - 0.02 * p.side, foot + 0.006), (16, 16, 30), 0.45)
    hip = foot - 0.48 * tall
    for way in (-1, 1):
        leg = ((x - 0.006, hip), (x + 0.006, hip), (x + way * stride + 0.004, foot), (x + way * stride - 0.004, foot))
        p.shape(leg, "background", (48, 50, 66), 0.5)
    p.taper(x, (foot - 0.82 * tall, hip + 0.012), (0.01, 0.013), "background", coat)
    p.dab((x - 0.004 + 0.007 * p.side, foot - 0.8 * tall, x + 0.003 + 0.007 * p.side, hip), lighter(coat, 0.5), 0.5)
    p.blobs([(x, foot - 0.91 * tall, 0.0095)], "background", (214, 170, 140), 0.7)
    hair = look.choice(((60, 44, 36), (40, 36, 38), (150, 104, 60)))
    p.spot((x - 0.01, foot - tall - 0.002, x + 0.01, foot - 0.93 * tall), hair)


def _passers(p: Painter, base: float) -> None:
    """Draw trees, hedges, lamps and people on the pavement, then cars at the curb."""
    layout = p.layout
    if layout.random() < 0.25:
        tree(p, layout.uniform(0.1, 0.9), base + 0.012, "hedge")
    for x in (layout.uniform(0.05, 0.95) for _ in range(layout.choice((0, 0, 1, 2)))):
        _person(p, x, base + 0.035)
    if layout.random() < 0.7:
        kind, x = layout.choice(("round", "round", "round", "poplar")), layout.uniform(0.02, 0.3)
        for _ in range(layout.choice((1, 1, 2))):
            tree(p, x if x < 1 else x - 1, base + 0.03, kind)
            x += layout.uniform(0.5, 0.7)
    if layout.random() < 0.45:
        _lamp(p, layout.uniform(0.1, 0.9), base + 0.036)
    x = layout.uniform(-0.2, 0.5)
    while x < 1 and layout.random() < 0.75:
        kind, way = layout.choice(("saloon", "hatch", "hatch", "beetle", "van")), layout.choice((-1, 1))
        _car(p, x, base + layout.uniform(0.088, 0.098), kind, way)
        x += layout.uniform(0.3, 0.6)


def _sunlight(p: Painter) -> None:
    """In bright sun, sometimes draw the shadow of the houses across the street."""
    if p.weather.sun > 0.8 and p.air.random() < 0.55:
        y, slope = p.air.uniform(0.45, 0.8), p.side * p.air.uniform(0.2, 0.5)
        x, line = -0.1, []
        while x < 1.1:  # the outline of the roofs across the street
            wide, step = p.air.uniform(0.12, 0.3), p.air.uniform(-0.04, 0.04)
            for u in (x, x + wide):
                line.append((u, y + step + slope * (u - 0.5)))
            x += wide
        p.shadow([*line, (1.2, 1.1), (-0.2, 1.1)], 0.85)
        p.cast(0.006, ImageOps.invert(p.mask("sky")))


def _falling(p: Painter) -> None:
    """Draw snowflakes or streaks of rain in front of everything."""
    air = p.air
    if p.weather.snow:
        for _ in range(90):
            x, y, r = air.random(), air.random(), air.uniform(0.002, 0.005)
            p.spot((x - r, y - r, x + r, y + r), (250, 251, 253), 0.75)
    elif p.weather.name == "rain":
        for _ in range(70):
            x, y, long = air.random(), air.random(), air.uniform(0.03, 0.07)
            p.line(((x, y), (x - 0.2 * p.side * long, y + long)), (226, 232, 238), 0.002, 0.3)
