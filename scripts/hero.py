"""The pictures on the first page and in the README: from the gallery and the networks of the package.

python -m scripts.hero        (part of `make outputs`)
"""

import sys
from pathlib import Path

import torch
from PIL import Image

from course_lib import resize, sample_image, save_image
from course_lib.data.facades import Facades
from course_lib.images import to_pil
from course_lib.methods import johnson, pix2pix
from course_lib.teaching import records

ROOT = Path(__file__).resolve().parents[1]
HEIGHT, GAP, WIDTH = 340, 10, 400  # pixels
SCENE = 1
PHOTO, PAINTING = "eilean_donan", "great_wave"
PAINTERS = ("great_wave", "composition_viii", "cafe_terrace", "church_at_auvers", "poppies")


def main() -> int:
    stored = records.load(f"gallery_{PHOTO}_{PAINTING}").images
    pictures = [to_pil(sample_image(name)) for name in (PHOTO, PAINTING)]
    pictures.append(Image.open(stored["painted"]).convert("RGB"))
    pictures = [p.resize((round(p.width * HEIGHT / p.height), HEIGHT), Image.Resampling.LANCZOS) for p in pictures]
    hero = Image.new("RGB", (sum(p.width for p in pictures) + GAP * (len(pictures) - 1), HEIGHT), "white")
    left = 0
    for picture in pictures:
        hero.paste(picture, (left, 0))
        left += picture.width + GAP
    hero.save(ROOT / "book" / "_static" / "hero.jpg", quality=90, subsampling=0, optimize=True)
    photo = sample_image(PHOTO, (WIDTH * 3 // 4, WIDTH))
    painted = [photo, *(johnson.stylize(photo, johnson.load(name)).image for name in PAINTERS)]
    rows = [torch.cat(painted[k : k + 3], -1) for k in (0, 3)]
    save_image(torch.cat(rows, -2), ROOT / "book" / "_static" / "painters.jpg", quality=88)
    drawn = Facades("sketch", size=128, length=SCENE + 1, seed=1)[SCENE][:1]
    street = resize(pix2pix.translate(drawn, pix2pix.load("facade_sketch")).image, (256, 256))
    painted = [johnson.stylize(street, johnson.load(name)).image for name in ("great_wave", "poppies")]
    row = torch.cat([resize(drawn, (256, 256)), street, *painted], -1)
    save_image(row, ROOT / "book" / "_static" / "streets.jpg", quality=88)
    return 0


if __name__ == "__main__":
    sys.exit(main())
