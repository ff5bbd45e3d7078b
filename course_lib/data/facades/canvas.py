"""Draw the label map, the photo and the sketch of a façade at the same time, on three canvases.

Positions are in unit coordinates, x to the right and y down, both from 0 to 1. Canvases have twice the resolution of
the pictures, and the corners of shapes are snapped to whole pixels of the picture, so that a window has the same edges
in the label map and in the photo. Colors are (R, G, B), 0 to 255.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from course_lib.data.facades.colors import Color, mix
from course_lib.data.facades.weather import WEATHERS, Conditions

CLASSES: dict[str, tuple[int, int, int]] = {  # the colors of LabelMeFacade (Fröhlich et al. 2010)
    "background": (0, 0, 0),
    "building": (128, 0, 0),
    "car": (128, 0, 128),
    "door": (128, 128, 0),
    "pavement": (128, 128, 128),
    "road": (128, 64, 0),
    "sky": (0, 128, 128),
    "vegetation": (0, 128, 0),
    "window": (0, 0, 128),
}
_INDEX = {name: index for index, name in enumerate(CLASSES)}

Box = tuple[float, float, float, float]  # left, top, right, bottom
Points = Sequence[tuple[float, float]]


def smooth(points: Points, rounds: int = 2) -> list[tuple[float, float]]:
    """Smooth a closed line by cutting its corners (Chaikin 1974): each round keeps the middle half of every edge."""
    line = list(points)
    for _ in range(rounds):
        pairs = zip(line, line[1:] + line[:1], strict=True)
        line = [(a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])) for a, b in pairs for t in (0.25, 0.75)]
    return line


# --- textures: gray pictures around 128, twice as wide and high as a canvas, cached ---


def _noise(side: int, cells: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(side, side): normal random values on a lattice of `cells` × `cells`, interpolated bicubically."""
    lattice = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
    return np.asarray(lattice.resize((side, side), Image.Resampling.BICUBIC))


def _blocks(
    canvas: int, rows: float, aspect: float, joint: float, spread: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """(2 canvas, 2 canvas): courses of bricks or stones, each with a random tone, and joints between them."""
    place = np.arange(2 * canvas, dtype=np.float32) / canvas  # in unit coordinates
    row, column = place[:, None] * rows, place[None] * rows / aspect
    course = np.floor(row).astype(int)
    column = column + 0.5 * (course % 2)
    tone = rng.standard_normal((512, 512)).astype(np.float32)[course, np.floor(column).astype(int)]
    height = canvas / rows  # of a course, in pixels
    down = np.minimum(row % 1, 1 - row % 1) * height
    across = np.minimum(column % 1, 1 - column % 1) * height * aspect
    seam = np.clip(0.16 * height + 0.4 - np.minimum(down, across), 0, 1) * min(1.0, height / 5)
    return spread * tone * (1 - seam) + joint * seam


@lru_cache(maxsize=64)
def texture(kind: str, canvas: int) -> Image.Image:
    """A gray texture, mode "L", of side 2 × canvas; 128 is neutral. Sizes differ only in detail."""
    rng = np.random.default_rng(sum(map(ord, kind)))
    side = 2 * canvas
    cloud = sum(_noise(side, 4 * 2**o, rng) * 0.55**o for o in range(5))
    fine = sum(_noise(side, 2**o, rng) for o in (7, 8, 9))
    gray = {
        "cloud": lambda: 38 * cloud,
        "grain": lambda: 22 * fine,
        "plaster": lambda: 8 * cloud + 4 * fine,
        "concrete": lambda: 7 * cloud + 3 * fine,
        "brick": lambda: _blocks(canvas, 84, 2.4, 34, 17, rng) + 5 * cloud + 3 * fine,
        "stone": lambda: _blocks(canvas, 27, 2.2, -30, 6, rng) + 6 * cloud + 3 * fine,
        "tiles": lambda: _blocks(canvas, 60, 0.8, -40, 15, rng) + 7 * cloud,
        "slate": lambda: _blocks(canvas, 64, 1.3, -24, 11, rng) + 6 * cloud,
        "slabs": lambda: _blocks(canvas, 34, 1.6, -22, 6, rng) + 7 * cloud + 5 * fine,
        "cobbles": lambda: _blocks(canvas, 62, 1.9, -30, 15, rng) + 8 * cloud,
        "asphalt": lambda: 9 * cloud + 8 * fine,
        "leaves": lambda: 24 * _noise(side, 96, rng) + 26 * _noise(side, 190, rng),
    }[kind]()
    return Image.fromarray(np.clip(128 + gray, 0, 255).astype(np.uint8))


class Painter:
    """Three canvases, and methods that draw on all of them; later shapes hide earlier ones, also in the sketch.

    Each aspect has its own random numbers, so that none depends on how many another has used.

    Args:
        size: side of the picture in pixels; the canvases are twice as large.
        layout: random numbers for everything that the label map shows.
        look: random numbers for colors, light and weather.
        hand: random numbers for the pencil.
        given: what is not left to chance.
        sketching: False leaves the sketch white, which saves time.
    """

    def __init__(
        self, size: int, layout: Random, look: Random, hand: Random, given: Conditions, *, sketching: bool = True
    ) -> None:
        self.size, self.canvas, self.layout, self.look, self.hand = size, 2 * size, layout, look, hand
        self.given, self.sketching = given, sketching
        drawn = look.choices(tuple(WEATHERS.values()), (4, 4, 4, 2, 2, 2.5, 2.5, 3.5))[0]
        self.weather = drawn if given.weather is None else given.weather
        # what only some weathers draw; random numbers of its own keep `look` in step from weather to weather
        self.air, self.lamps, self.tones = given.air or look, given.lamps or look, given.tones or look
        self.side = look.choice((-1, 1))  # position of the sun: left or right
        self.reach = look.uniform(0.6, 1.2)  # length of shadows
        area = (self.canvas, self.canvas)
        self.labels = Image.new("L", area, _INDEX["sky"])
        self.photo = Image.new("RGB", area)
        self.mirror = self.photo  # what glass reflects
        self.sketch = Image.new("L", area, 255)
        self.shade = Image.new("L", area, 0)
        self.glow = Image.new("RGB", area)
        self._labels, self._sketch = ImageDraw.Draw(self.labels), ImageDraw.Draw(self.sketch)
        self._photo, self._shade = ImageDraw.Draw(self.photo, "RGBA"), ImageDraw.Draw(self.shade)
        self._glow = ImageDraw.Draw(self.glow)
        self._pencil = max(1.0, 2.3 * size / 128)  # width of a line on the canvas

    def snap(self, box: Box) -> tuple[int, int, int, int]:
        """Convert a box to canvas pixels, with its edges on whole pixels of the picture."""
        left, top, right, bottom = (2 * round(v * self.size) for v in box)
        return left, top, right, bottom

    def shape(self, points: Points, name: str, color: Color, ink: float = 1.0) -> None:
        """Draw a filled polygon of one class and color; `ink` is the pressure of the pencil, 0 for no outline."""
        self._fill([(2 * round(x * self.size), 2 * round(y * self.size)) for x, y in points], name, color, ink)

    def taper(self, x: float, rows: tuple[float, float], halves: tuple[float, float], name: str, color: Color) -> None:
        """Draw a trapezoid symmetric about x between two rows; `halves` are half its widths at the rows."""
        (top, low), (upper, lower) = rows, halves
        self.shape(((x - upper, top), (x + upper, top), (x + lower, low), (x - lower, low)), name, color, 0.7)

    def rect(self, box: Box, name: str, color: Color, ink: float = 1.0) -> None:
        """Draw a filled rectangle, as `shape`."""
        left, top, right, bottom = self.snap(box)
        if right > left and bottom > top:
            corners = [(left, top), (right - 1, top), (right - 1, bottom - 1), (left, bottom - 1)]
            self._fill(corners, name, color, ink)

    def _fill(self, corners: list[tuple[int, int]], name: str, color: Color, ink: float) -> None:
        self._labels.polygon(corners, _INDEX[name])
        self._photo.polygon(corners, color)
        if self.weather.lit:
            self._glow.polygon(corners, 0)
        if self.sketching:
            self._sketch.polygon(corners, 255)
            if ink:
                self._ink([*corners, corners[0]], ink)

    def blobs(self, circles: Sequence[tuple[float, float, float]], name: str, color: Color, ink: float = 1.0) -> None:
        """Draw the union of circles (x, y, radius) with a single outline."""
        boxes = [[v * self.canvas for v in (x - r, y - r, x + r, y + r)] for x, y, r in circles]
        w = self._pencil
        ink *= self.sketching
        if ink:
            for a, b, c, d in boxes:
                self._sketch.ellipse((a - w, b - w, c + w, d + w), round(255 - 165 * ink))
        for box in boxes:
            self._sketch.ellipse(box, 255)
            self._labels.ellipse(box, _INDEX[name])
            self._photo.ellipse(box, color)
            if self.weather.lit:
                self._glow.ellipse(box, 0)
        if ink and len(boxes) > 9:  # a few loops inside for leaves
            for a, b, c, d in boxes[::3]:
                start = 360 * self.hand.random()
                self._sketch.arc((a, b, c, d), start, start + 110, round(255 - 90 * ink), max(1, round(0.7 * w)))

    def dab(self, box: Box, color: Color, alpha: float = 1.0) -> None:
        """Draw a rectangle in the photo only; one thinner than a pixel becomes a pixel wide and fainter instead."""
        n = self.canvas
        left, top, right, bottom = box[0] * n, box[1] * n, box[2] * n, box[3] * n
        wide, high = right - left, bottom - top
        if wide < 1:
            alpha, wide = alpha * max(0.0, wide), 1
        if high < 1:
            alpha, high = alpha * max(0.0, high), 1
        x, y = int(left + 0.5), int(top + 0.5)
        area = (x, y, x + int(wide + 0.5) - 1, y + int(high + 0.5) - 1)
        self._photo.rectangle(area, (*color, int(255 * alpha)))

    def spot(self, box: Box, color: Color, alpha: float = 1.0) -> None:
        """Draw an ellipse in the photo only."""
        self._photo.ellipse([v * self.canvas for v in box], (*color, round(255 * alpha)))

    def patch(self, points: Points, color: Color, alpha: float = 1.0) -> None:
        """Draw a polygon in the photo only."""
        self._photo.polygon([(x * self.canvas, y * self.canvas) for x, y in points], (*color, round(255 * alpha)))

    def line(self, points: Points, color: Color, width: float, alpha: float = 1.0) -> None:
        """Draw a line in the photo only; its width is in unit coordinates."""
        wide = width * self.canvas
        fill = (*color, round(255 * alpha * min(1.0, wide)))
        self._photo.line([(x * self.canvas, y * self.canvas) for x, y in points], fill, max(1, round(wide)))

    def ink(self, points: Points, pressure: float = 0.7) -> None:
        """Draw a pencil line in the sketch only."""
        if self.sketching:
            self._ink([(x * self.canvas, y * self.canvas) for x, y in points], pressure)

    def _ink(self, points: Points, pressure: float) -> None:
        """Draw edges one by one, with random length errors and pressure; draw a curve (over 6 points) as one line."""
        draw, reach, line = self.hand.random, 0.006 * self.canvas, self._sketch.line
        if len(points) > 6:
            line(list(points), int(255 - pressure * (150 + 60 * draw())), max(1, round(self._pencil)))
            return
        for (x0, y0), (x1, y1) in pairwise(points):
            dx, dy = x1 - x0, y1 - y0
            more = (1.4 * draw() - 0.4) * min(reach / (math.hypot(dx, dy) or 1.0), 0.125)
            dx, dy = more * dx, more * dy
            gray, width = int(255 - pressure * (150 + 60 * draw())), int(self._pencil * (0.75 + 0.5 * draw()) + 0.5)
            line((x0 - dx, y0 - dy, x1 + dx, y1 + dy), gray, width or 1)

    def snowy(self, color: Color) -> Color:
        """The color of a surface that faces the sky: nearly white if there is snow."""
        return mix(color, (242, 244, 249), 0.85) if self.weather.snow else color

    def shadow(self, points: Points, dark: float = 1.0) -> None:
        """Collect a shadow for the next `cast`."""
        self._shade.polygon([(x * self.canvas, y * self.canvas) for x, y in points], round(255 * dark))

    def shadow_blobs(self, circles: Sequence[tuple[float, float, float]], dark: float = 1.0) -> None:
        """Collect shadows of circles (x, y, radius) for the next `cast`."""
        for x, y, r in circles:
            self._shade.ellipse([v * self.canvas for v in (x - r, y - r, x + r, y + r)], round(255 * dark))

    def shadow_box(self, box: Box, dark: float = 1.0) -> None:
        """Collect the shadow of a rectangle for the next `cast`."""
        left, top, right, bottom = box
        self.shadow(((left, top), (right, top), (right, bottom), (left, bottom)), dark)

    def cast(self, blur: float = 0.003, keep: Image.Image | None = None) -> None:
        """Blur the collected shadows and apply them to the photo drawn so far; `keep` masks where they may fall."""
        radius = blur * self.canvas / max(0.2, self.weather.sun)
        if (area := self.shade.getbbox()) is None:
            return
        margin, n = math.ceil(2 * radius), self.canvas
        area = (max(0, area[0] - margin), max(0, area[1] - margin), min(n, area[2] + margin), min(n, area[3] + margin))
        mask = self.shade.crop(area).filter(ImageFilter.BoxBlur(radius))
        mask = mask.point([round(v * self.weather.sun) for v in range(256)])
        if keep is not None:
            mask = ImageChops.multiply(mask, keep.crop(area))
        below = self.photo.crop(area)
        tint = Image.new("RGB", below.size, tuple(round(255 * v) for v in self.weather.shadow))
        self.photo.paste(ImageChops.multiply(below, tint), area, mask)
        self._shade.rectangle(area, 0)

    def shine(self, box: Box, color: Color) -> None:
        """Add a light that glows if the weather has lit windows."""
        left, top, right, bottom = self.snap(box)
        self._glow.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), color)

    def grain(self, box: Box, kind: str, strength: float = 1.0, mask: Image.Image | None = None) -> None:
        """Overlay a box of the photo with a random crop of a texture; `mask` is "L" and as large as the canvas."""
        left, top, right, bottom = (max(0, min(self.canvas, v)) for v in self.snap(box))
        x, y = (int(self.look.random() * self.canvas) for _ in range(2))
        if right <= left or bottom <= top:
            return
        area = (left, top, right, bottom)
        below = self.photo.crop(area)
        gray = texture(kind, self.canvas).crop((x, y, x + right - left, y + bottom - top))
        over = ImageChops.overlay(below, Image.merge("RGB", (gray, gray, gray)))
        self.photo.paste(over if strength == 1 else Image.blend(below, over, strength), area, mask and mask.crop(area))

    def opening(self, box: Box, arch: str, name: str, color: Color | None = None) -> list[tuple[float, float]]:
        """Draw an opening in a wall, with a "flat", "segment" or "round" arch; without a color, it is reflecting glass.

        Returns:
            Its outline in unit coordinates.
        """
        left, top, right, bottom = self.snap(box)
        right, bottom = right - 1, bottom - 1
        right, bottom = max(right, left + 1), max(bottom, top + 1)  # at least one pixel
        rise = {"flat": 0.0, "segment": 0.22, "round": 0.5}[arch] * (right - left)
        rise = min(rise, 0.6 * (bottom - top))
        middle, half = (left + right) / 2, (right - left) / 2
        angles = [math.pi * (1 - i / 8) for i in range(9)] if rise else [math.pi, 0.0]
        outline = [(middle + half * math.cos(a), top + rise - rise * math.sin(a)) for a in angles]
        outline += [(right, bottom), (left, bottom)]
        self._labels.polygon(outline, _INDEX[name])
        if self.sketching:
            self._sketch.polygon(outline, 255)
            self._ink([*outline, outline[0]], 0.9)
        if color is not None:
            self._photo.polygon(outline, color)
        else:
            dx, dy = (round(self.look.uniform(-0.06, 0.06) * self.canvas) for _ in range(2))
            size = (right - left + 1, bottom - top + 1)
            x = max(0, min(self.canvas - size[0], left + dx))
            y = max(0, min(self.canvas - size[1], top + dy))
            mask = Image.new("L", size, 255 if not rise else 0)
            if rise:
                ImageDraw.Draw(mask).polygon([(a - left, b - top) for a, b in outline], 255)
            self.photo.paste(self.mirror.crop((x, y, x + size[0], y + size[1])), (left, top), mask)
        return [(a / self.canvas, b / self.canvas) for a, b in outline]

    def mask(self, *names: str) -> Image.Image:
        """A mask of mode "L": 255 where the canvas shows one of these classes."""
        chosen = {_INDEX[name] for name in names}
        return self.labels.point([255 * (v in chosen) for v in range(256)])

    # --- the finished pictures ---

    def label_map(self) -> NDArray[np.uint8]:
        """(size, size): indices into `CLASSES`."""
        return np.asarray(self.labels)[::2, ::2]

    def pencil(self) -> NDArray[np.float32]:
        """(size, size) in [0, 1]: the sketch, slightly warped and with varying pressure, as if drawn by hand."""
        n = self.canvas
        x, y = (int(self.hand.random() * n) for _ in range(2))
        wave = np.asarray(texture("cloud", n).crop((x, y, x + n, y + n))).astype(np.float32) / 128 - 1  # (n, n)
        here = np.arange(n)
        reach = 0.012 * n
        rows = np.clip(here[:, None] + reach * wave, 0, n - 1).astype(np.intp)
        columns = np.clip(here[None] + reach * wave[::-1, ::-1], 0, n - 1).astype(np.intp)
        ink = (255 - np.asarray(self.sketch))[rows, columns]
        small = np.asarray(Image.fromarray(ink).reduce(2)).astype(np.float32) / 255
        small *= np.clip(0.92 + 0.4 * wave.T[::2, ::2], 0.55, 1)
        return np.subtract(1, small, dtype=np.float32)

    def picture(self) -> NDArray[np.float32]:
        """(size, size, 3) in [0, 1]: the photo, in the light of the weather."""
        weather, look, n = self.weather, self.look, self.canvas
        color = np.asarray(self.photo.reduce(2), np.float32) / np.float32(255)
        earth = 1 - np.asarray(self.mask("sky").reduce(2), np.float32)[..., None] / np.float32(255)
        color *= 1 + earth * (np.array(weather.light, np.float32) - 1)
        if weather.haze:
            air = np.array(weather.horizon, np.float32) / 255 * (1 if weather.light[1] > 0.7 else 0.6)
            color += weather.haze * self.air.uniform(0.7, 1.4) * earth * (air - color)
        if weather.lit:
            halo = self.glow.reduce(4)
            for radius, force in ((0.002, 0.5), (0.014, 0.5), (0.06, 0.8)):
                soft = halo.filter(ImageFilter.GaussianBlur(radius * self.size / 2)).resize(
                    (self.size, self.size), Image.Resampling.BILINEAR
                )
                color += force * (1 - weather.light[1]) * np.asarray(soft).astype(np.float32) / 255
        ramp = np.linspace(-1, 1, self.size, dtype=np.float32)
        color *= 1 - 0.07 * (ramp[:, None, None] ** 2 + ramp[None, :, None] ** 2)  # vignette
        x, y = (int(look.random() * n) for _ in range(2))
        grain = texture("grain", self.canvas).crop((x, y, x + self.size, y + self.size))
        color += (np.asarray(grain).astype(np.float32)[..., None] - 128) * ((0.018 + 0.03 * earth) / 128)
        np.clip(color, 0, 1, out=color)
        color += 0.35 * color * (1 - color) * (2 * color - 1)  # more contrast in the middle tones
        return color
