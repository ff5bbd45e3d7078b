"""The small pictures in the diagrams: from the sample pictures, the stored runs and the data sets drawn by code.

python -m scripts.diagrams --pictures        makes them again
"""

import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageOps

from course_lib import VGGFeatures, center_crop, figures, gram_matrix, resize, sample_image
from course_lib.data.facades import Facades, draw_facade
from course_lib.images import to_pil
from course_lib.methods import adain, cyclegan, johnson, pix2pix, stargan, stylegan, super_resolution
from course_lib.teaching import records
from scripts.diagrams.shapes import THUMBS

SIZE = (132, 99)  # pixels of the file; two thirds of it on the page
SQUARE = (108, 108)


def _sample(name: str) -> Callable[[], Image.Image]:
    return lambda: to_pil(sample_image(name, 400))


def _stored(run: str, image: str) -> Callable[[], Image.Image]:
    return lambda: Image.open(str(records.load(run).images[image])).convert("RGB")


def _street(which: int) -> Callable[[], Image.Image]:
    """Labels of a street, its photo, and what the trained U-Net makes of the labels."""

    def draw() -> Image.Image:
        labels, photo = Facades("labels", size=128, length=2, seed=1)[1]
        made = pix2pix.translate(labels[None], pix2pix.load("facade_labels")).image[0]
        return to_pil((labels, photo, made)[which][None])

    return draw


def _sketch(steps: int) -> Callable[[], Image.Image]:
    """A drawn street; its translation; and that in the manner of the Great Wave."""

    def draw() -> Image.Image:
        picture = Facades("sketch", size=128, length=4, seed=1)[3][:1]
        if steps > 0:
            picture = pix2pix.translate(picture, pix2pix.load("facade_sketch")).image
        if steps > 1:
            picture = johnson.stylize(resize(picture, (256, 256)), johnson.load("great_wave")).image
        return to_pil(picture)

    return draw


def _weathers(*to: str) -> Callable[[], Image.Image]:
    """A clear street, translated by the trained StarGAN to each of these weathers in turn."""

    def draw() -> Image.Image:
        street, model = draw_facade(3, size=64, seed=1, weather="clear").photo[None], stargan.load("weathers")
        for weather in to:
            street = stargan.translate(street, model, to=weather).image
        return to_pil(street)

    return draw


def _day(*directions: str) -> Callable[[], Image.Image]:
    """A clear street, sent through the trained CycleGAN in these directions, one after the other."""

    def draw() -> Image.Image:
        street, model = draw_facade(3, size=64, seed=1, weather="clear").photo[None], cyclegan.load("clear_dusk")
        for direction in directions:
            street = cyclegan.translate(street, model, direction=direction).image
        return to_pil(street)

    return draw


def _macaw(which: str) -> Callable[[], Image.Image]:
    """A detail, made small, and enlarged again by the network that learned from features."""

    def draw() -> Image.Image:
        large = center_crop(sample_image("scarlet_macaw", 288), (144, 144))
        small = super_resolution.reduce(large, 4, 1.0)
        made = {"large": lambda: large, "small": lambda: small}.get(
            which, lambda: super_resolution.upscale(small, super_resolution.load("photo_x4_feature")).image
        )()
        return to_pil(made).resize(SQUARE, Image.Resampling.NEAREST if which == "small" else Image.Resampling.LANCZOS)

    return draw


def _maps(layer: str, count: int) -> Callable[[], Image.Image]:
    """The channels of a layer whose values differ most from position to position, of the macaw or of the painting."""

    def draw() -> Image.Image:
        picture = sample_image("scarlet_macaw" if count == 1 else "great_wave", 256)
        found = VGGFeatures("vgg19", [layer], pooling="max")(picture)[layer][0]
        best = found.flatten(1).std(1).topk(count).indices.tolist()
        tiles = [to_pil(figures.heatmap(found[k].clamp_max(found[k].quantile(0.995)), colors="magma")) for k in best]
        side = SIZE if count == 1 else (SQUARE[0] // 2 - 1, SQUARE[1] // 2 - 1)
        tiles = [ImageOps.fit(tile, side, Image.Resampling.NEAREST) for tile in tiles]
        sheet = Image.new("RGB", SIZE if count == 1 else SQUARE, "white")
        for k, tile in enumerate(tiles):
            sheet.paste(tile, ((k % 2) * (side[0] + 2), (k // 2) * (side[1] + 2)))
        return sheet

    return draw


def _gram() -> Image.Image:
    """The painting's Gram matrix at relu2_1, on a logarithmic scale."""
    found = VGGFeatures("vgg19", ["relu2_1"], pooling="max")(sample_image("great_wave", 256))["relu2_1"]
    entries = gram_matrix(found)[0].clamp_min(1e-6).log()
    entries = entries.clamp_min(entries.quantile(0.05))
    return to_pil(figures.heatmap(entries - entries.min(), colors="magma"))


PICTURES: dict[str, tuple[Callable[[], Image.Image], tuple[int, int]]] = {
    "photo": (_sample("eilean_donan"), SIZE),
    "painting": (_sample("great_wave"), SIZE),
    "painted": (_stored("gallery_eilean_donan_great_wave", "painted"), SIZE),
    "macaw": (_sample("scarlet_macaw"), SIZE),
    **{f"map_{k}": (_maps(f"relu{k}_1", 1), SIZE) for k in (1, 2, 3, 4, 5)},
    "maps": (_maps("relu2_1", 4), SQUARE),
    "gram": (_gram, SQUARE),
    "guided": (_stored("13_castle", "guided"), SIZE),
    "night": (_sample("cafe_terrace"), SIZE),
    "regions": (_sample("eilean_donan_mask"), SIZE),
    "castle": (_stored("14_dusk", "photograph"), SIZE),
    "light": (_stored("14_dusk", "its light"), SIZE),
    "dusk_photo": (_stored("14_dusk", "after both"), SIZE),
    "frame_1": (_stored("20_clip", "content 8"), SIZE),
    "frame_2": (_stored("20_clip", "content 10"), SIZE),
    "frame_1_painted": (_stored("20_clip", "stable painter 8"), SIZE),
    "frame_2_painted": (_stored("20_clip", "stable painter 10"), SIZE),
    "sketch": (_sketch(0), SQUARE),
    "sketch_photo": (_sketch(1), SQUARE),
    "sketch_painted": (_sketch(2), SQUARE),
    "painted_any": (
        lambda: to_pil(adain.stylize(sample_image("eilean_donan", 288), sample_image("great_wave", 288)).image),
        SIZE,
    ),
    "labels": (_street(0), SQUARE),
    "street": (_street(1), SQUARE),
    "street_made": (_street(2), SQUARE),
    "day": (_day(), SQUARE),
    "dusk": (lambda: to_pil(draw_facade(5, size=64, seed=1, weather="dusk").photo[None]), SQUARE),
    "dusk_made": (_day("AB"), SQUARE),
    "day_again": (_day("AB", "BA"), SQUARE),
    "snow_made": (_weathers("snow"), SQUARE),
    "clear_again": (_weathers("snow", "clear"), SQUARE),
    "rain": (lambda: to_pil(draw_facade(8, size=64, seed=1, weather="rain").photo[None]), SQUARE),
    "plaster": (_stored("model_plaster_brick", "street 0, given"), SQUARE),
    "brick_made": (_stored("model_plaster_brick", "street 0, translated"), SQUARE),
    "attention": (_stored("model_plaster_brick", "street 0, attention"), SQUARE),
    "large": (_macaw("large"), SQUARE),
    "small": (_macaw("small"), SQUARE),
    "enlarged": (_macaw("enlarged"), SQUARE),
    "generated": (lambda: to_pil(stylegan.generate(3, stylegan.load("streets"), seed=1).image[2:]), SQUARE),
}


def make() -> None:
    THUMBS.mkdir(parents=True, exist_ok=True)
    for name, (picture, size) in PICTURES.items():
        small = ImageOps.fit(picture(), size, Image.Resampling.LANCZOS)
        held = io.BytesIO()
        small.save(held, "WEBP", quality=80, method=6)
        Path(THUMBS / f"{name}.webp").write_bytes(held.getvalue())
