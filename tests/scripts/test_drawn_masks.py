"""The masks of the project's pictures are what the script draws."""

import numpy as np
import pytest
from PIL import Image

from scripts import masks


@pytest.mark.parametrize("name", masks.DRAWINGS)
def test_masks_have_the_colors_of_their_parts(name):
    drawing = masks.DRAWINGS[name]
    with Image.open(masks.FOLDER / f"{name}_mask.png") as file:
        colors = {color for _, color in file.convert("RGB").getcolors()}
    assert colors == {masks.COLORS[part] for part in (drawing.everything, *(p.name for p in drawing.parts))}


def test_outlines_lie_in_their_pictures():
    for name, drawing in masks.DRAWINGS.items():
        with Image.open(masks.FOLDER / f"{name}_mask.png") as file:
            width, height = file.size
        for part in drawing.parts:
            assert all(0 <= x <= width and 0 <= y <= height for x, y in part.outline), f"{name}: {part.name}"


@pytest.mark.slow
@pytest.mark.parametrize("name", masks.DRAWINGS)
def test_masks_are_drawn_again(name):
    """Rounding differs between machines, so a few pixels of a border may, too."""
    with Image.open(masks.FOLDER / f"{name}_mask.png") as file:
        stored = np.asarray(file)
    assert (masks.draw(name) == stored).mean() > 0.999
