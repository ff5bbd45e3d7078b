"""The picture that a shared link shows, and the icons that need pixels: python -m scripts.cards

og.jpg (1200 × 630) is composed of a picture of the gallery; apple-touch-icon.png and favicon-32.png are drawn from
favicon.svg. Part of `make outputs`.
"""

import io
import sys
from pathlib import Path

import resvg_py
from PIL import Image, ImageDraw, ImageFont, ImageOps

from course_lib import sample_image
from course_lib.images import to_pil
from course_lib.teaching import records
from scripts.hero import PAINTING, PHOTO

ROOT = Path(__file__).resolve().parents[1]
STATIC = ROOT / "book" / "_static"
CARD = (1200, 630)
STRIP = 430  # height of the pictures in pixels
NIGHT, PAPER = "#16324f", "#fdf6e3"


def card() -> Image.Image:
    """Photograph and painting, small, next to the stylized picture; the title below."""
    stored = {name: to_pil(sample_image(name)) for name in (PHOTO, PAINTING)}
    painted = Image.open(records.load(f"gallery_{PHOTO}_{PAINTING}").images["painted"]).convert("RGB")
    sheet = Image.new("RGB", CARD, NIGHT)
    small = CARD[0] - 2 * STRIP + 130  # the two sources are stacked
    half = STRIP // 2 - 2
    for row, name in enumerate((PHOTO, PAINTING)):
        sheet.paste(ImageOps.fit(stored[name], (small, half)), (0, row * (half + 4)))
    sheet.paste(ImageOps.fit(painted, (CARD[0] - small - 4, STRIP)), (small + 4, 0))
    draw = ImageDraw.Draw(sheet)
    icon = logo(116)
    sheet.paste(icon, (44, STRIP + 42), icon)
    draw.text((196, STRIP + 38), "Painting with Networks", fill=PAPER, font=ImageFont.load_default(64))
    line = "Neural style transfer and image translation, re-run from the papers"
    draw.text((198, STRIP + 122), line, fill="#c9d6e2", font=ImageFont.load_default(30))
    return sheet


def logo(size: int, svg: Path = STATIC / "favicon.svg") -> Image.Image:
    """favicon.svg, rendered at `size` × `size` pixels."""
    return Image.open(io.BytesIO(resvg_py.svg_to_bytes(svg_path=str(svg), width=size, height=size))).convert("RGBA")


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
