"""The picture on the first page and in the README, put together from the stored run 03_castle.

python book/hero.py        (part of `make outputs`)
"""

import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from course_lib import records  # noqa: E402  (the tree at hand, not an installed package)

HEIGHT, GAP = 340, 10  # pixels


def main() -> int:
    stored = records.load("03_castle").images
    pictures = [Image.open(stored[name]).convert("RGB") for name in ("photograph", "painting", "both")]
    pictures = [p.resize((round(p.width * HEIGHT / p.height), HEIGHT), Image.Resampling.LANCZOS) for p in pictures]
    hero = Image.new("RGB", (sum(p.width for p in pictures) + GAP * (len(pictures) - 1), HEIGHT), "white")
    left = 0
    for picture in pictures:
        hero.paste(picture, (left, 0))
        left += picture.width + GAP
    hero.save(ROOT / "book" / "_static" / "hero.jpg", quality=90, subsampling=0, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
