"""Measures of chapter 15: what a cycle keeps, and where it hides it.

After Chu, Zhmoginov & Sandler (2017), "CycleGAN, a master of steganography".
"""

from __future__ import annotations

from torch import Tensor

from course_lib.data.facades import draw_facade
from course_lib.images import check_pictures
from course_lib.methods import cyclegan
from course_lib.teaching.measures import disturbances
from course_lib.teaching.measures.measured import Measured

LEVELS = (1, 2, 4, 8)  # standard deviations of the noise, in gray levels of 255
QUALITIES = (95, 75, 50)  # of JPEG files
WATCHED_QUALITY = 75
MODEL = "clear_dusk"


def hiding(*, street: int, size: int) -> Measured:
    """The error of a clear street after both passes of the network that comes with the package: to dusk and back.

    Args:
        street: number of the street, drawn with seed 1: none of those that the network was trained on.
        size: its side in pixels.

    Source: Chu et al. 2017, Sections 1 and 4.
    """
    scene = draw_facade(street, size=size, seed=1, weather="clear")
    return disturbed_cycle(scene.photo[None], cyclegan.load(MODEL), seed=street)


def disturbed_cycle(image: Tensor, model: cyclegan.Model, *, seed: int) -> Measured:
    """The error after both passes, A → B → A, if the picture is disturbed between them.

    What stands between the passes is noise of 1, 2, 4 and 8 levels of 255, or a JPEG file of quality 95, 75 and 50. All
    errors are mean absolute differences of pictures in [0, 1].

    Args:
        image: (1, 3, H, W) in [0, 1], of A.
        model: its two generators.
        seed: of the noise.

    Returns:
        ``"there and back"``, the error without a disturbance; ``"there and back, noise 2/255"`` and so on, and
        ``"there and back, JPEG"`` for quality 75, ``"there and back, JPEG 95"`` for others; ``"answer, noise 2/255"``
        and so on: by how much the way back changes its output, divided by how much its input was changed. The pictures
        have the names of the disturbances, behind ``"there"`` and ``"back"``.

    Raises:
        ValueError: wrong shape or range.
    """
    check_pictures(image)
    there = cyclegan.translate(image, model).image
    between = {"": there}
    between |= {f", noise {level}/255": disturbances.noise(there, level / 255, seed) for level in LEVELS}
    for quality in QUALITIES:
        name = ", JPEG" if quality == WATCHED_QUALITY else f", JPEG {quality}"
        between[name] = disturbances.compress(there, quality)
    back = {name: cyclegan.translate(sent, model, direction="BA").image for name, sent in between.items()}
    numbers = {f"there and back{name}": _distance(picture, image) for name, picture in back.items()}
    for name, sent in between.items():
        if name:
            numbers[f"answer{name}"] = _distance(back[name], back[""]) / max(_distance(sent, there), 1e-9)
    images = {"street": image}
    images |= {f"there{name}": sent for name, sent in between.items()}
    images |= {f"back{name}": picture for name, picture in back.items()}
    return Measured(numbers, images)


def _distance(image: Tensor, other: Tensor) -> float:
    """Mean absolute difference."""
    return (image - other).abs().mean().item()
