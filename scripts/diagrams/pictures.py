"""The small pictures in the diagrams: from the sample pictures, the stored runs and the data sets drawn by code.

python -m scripts.diagrams --pictures        makes them again
"""

import io
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor

from course_lib import sample_image
from course_lib.data.facades import Facades
from course_lib.images import to_pil
from course_lib.methods import pix2pix
from course_lib.teaching import records
from scripts.diagrams.shapes import THUMBS

SIZE = (132, 99)  # pixels of the file; two thirds of it on the page
SQUARE = (108, 108)


def _sample(name: str) -> Callable[[], Image.Image]:
    return lambda: to_pil(sample_image(name, 400))


def _stored(run: str, image: str) -> Callable[[], Image.Image]:
    return lambda: Image.open(records.load(run).images[image]).convert("RGB")


def _street(which: int) -> Callable[[], Image.Image]:
    """Labels of a street, its photo, and what the trained U-Net makes of the labels."""

    def draw() -> Image.Image:
        labels, photo = Facades("labels", size=128, length=2, seed=1)[1]
        made = pix2pix.translate(labels[None], pix2pix.load("facade_labels")).image[0]
        return to_pil((labels, photo, made)[which][None])

    return draw


def _noise() -> Image.Image:
    noise: Tensor = torch.rand(1, 3, 33, 44, generator=torch.Generator().manual_seed(0))
    return to_pil(noise).resize(SIZE, Image.Resampling.NEAREST)


PICTURES: dict[str, tuple[Callable[[], Image.Image], tuple[int, int]]] = {
    "photo": (_sample("eilean_donan"), SIZE),
    "painting": (_sample("great_wave"), SIZE),
    "painted": (_stored("gallery_eilean_donan_great_wave", "painted"), SIZE),
    "labels": (_street(0), SQUARE),
    "street": (_street(1), SQUARE),
    "street_made": (_street(2), SQUARE),
}


def make() -> None:
    THUMBS.mkdir(parents=True, exist_ok=True)
    for name, (picture, size) in PICTURES.items():
        small = ImageOps.fit(picture(), size, Image.Resampling.LANCZOS)
        held = io.BytesIO()
        small.save(held, "WEBP", quality=80, method=6)
        Path(THUMBS / f"{name}.webp").write_bytes(held.getvalue())
