"""The picture that a shared link shows, and the icons that need pixels: python -m scripts.cards

og.jpg (1200 × 630) is composed of the stored run 03_castle; apple-touch-icon.png and favicon-32.png are drawn from
favicon.svg, whose few shapes are all this can draw. Part of `make outputs`.
"""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image, ImageDraw, ImageFont, ImageOps

from course_lib.teaching import records

ROOT = Path(__file__).resolve().parents[1]
STATIC = ROOT / "book" / "_static"
CARD = (1200, 630)
STRIP = 430  # pixels of the height that belong to the pictures
NIGHT, PAPER = "#16324f", "#fdf6e3"
SVG = "{http://www.w3.org/2000/svg}"


def card() -> Image.Image:
    """Photograph and painting, small, beside what became of them; the title below."""
    stored = {name: Image.open(file).convert("RGB") for name, file in records.load("03_castle").images.items()}
    sheet = Image.new("RGB", CARD, NIGHT)
    small = CARD[0] - 2 * STRIP + 130  # the two sources stand above each other
    half = STRIP // 2 - 2
    for row, name in enumerate(("photograph", "painting")):
        sheet.paste(ImageOps.fit(stored[name], (small, half)), (0, row * (half + 4)))
    sheet.paste(ImageOps.fit(stored["both"], (CARD[0] - small - 4, STRIP)), (small + 4, 0))
    draw = ImageDraw.Draw(sheet)
    icon = logo(116)
    sheet.paste(icon, (44, STRIP + 42), icon)
    draw.text((196, STRIP + 38), "Painting with Networks", fill=PAPER, font=ImageFont.load_default(64))
    line = "Neural style transfer and image translation, re-run from the papers"
    draw.text((198, STRIP + 122), line, fill="#c9d6e2", font=ImageFont.load_default(30))
    return sheet


def bezier(points: list[complex], steps: int = 60) -> list[complex]:
    """Points on a cubic curve with these four control points."""
    a, b, c, d = points
    times = [step / steps for step in range(steps + 1)]
    return [a * (1 - t) ** 3 + 3 * b * t * (1 - t) ** 2 + 3 * c * t**2 * (1 - t) + d * t**3 for t in times]


def stroke(path: str) -> list[complex]:
    """A path of one `M`, one `C` and one `S`, as points."""
    numbers = [float(word) for word in re.findall(r"-?[\d.]+", path)]
    if re.sub(r"[^A-Za-z]", "", path) != "MCS":
        raise SystemExit(f"cards: favicon.svg has the path {path!r}; only M … C … S … can be drawn here.")
    p = [complex(x, y) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
    return [*bezier(p[:4]), *bezier([p[3], 2 * p[3] - p[2], *p[4:]])]


def logo(size: int, svg: Path = STATIC / "favicon.svg") -> Image.Image:
    """favicon.svg at `size` pixels a side, drawn four times as large and reduced."""
    scale = 4 * size / 96
    image = Image.new("RGBA", (4 * size, 4 * size), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    for group in ElementTree.parse(svg).getroot().iter():
        for shape in group:
            value = {key: float(text) for key, text in shape.attrib.items() if re.fullmatch(r"[\d.]+", text)}
            if shape.tag == f"{SVG}rect":
                x, y = value["x"], value["y"]
                box = [x * scale, y * scale, (x + value["width"]) * scale, (y + value["height"]) * scale]
                draw.rounded_rectangle(box, value["rx"] * scale, fill=shape.get("fill"))
            elif shape.tag == f"{SVG}path":
                width = value["stroke-width"] * scale
                points = [point * scale for point in stroke(shape.attrib["d"])]
                for point in points:  # close together: a round brush
                    disc(draw, point, width / 2, shape.attrib["stroke"])
                flat = [(point.real, point.imag) for point in points]
                draw.line(flat, fill=shape.attrib["stroke"], width=round(width), joint="curve")
            elif shape.tag == f"{SVG}circle":
                center = complex(value["cx"], value["cy"]) * scale
                disc(draw, center, value["r"] * scale, group.attrib["fill"])
    return image.resize((size, size), Image.Resampling.LANCZOS)


def disc(draw: ImageDraw.ImageDraw, center: complex, radius: float, color: str) -> None:
    box = (center.real - radius, center.imag - radius, center.real + radius, center.imag + radius)
    draw.ellipse(box, fill=color)


def main() -> int:
    card().save(STATIC / "og.jpg", quality=88, optimize=True)
    touch = Image.new("RGB", (180, 180), NIGHT)
    large = logo(196)  # a phone rounds the corners itself
    touch.paste(large, (-8, -8), large)
    touch.save(STATIC / "apple-touch-icon.png", optimize=True)
    logo(32).save(STATIC / "favicon-32.png", optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
