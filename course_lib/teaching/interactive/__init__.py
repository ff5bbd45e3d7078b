"""Things to play with that need no kernel: each lives in the output of its cell, or on a page of the book.

A component is a `teaching.figures.Figure`. Its pictures stand in the HTML as a plain sheet; a script of a few
kilobytes, which travels with it and asks nobody for anything, turns them into a slider. It works in the rendered
book, in JupyterLab, on Colab and in VS Code, by mouse, finger and keyboard (every handle is an
``<input type=range>``). Where scripts do not run, and on paper, the still pictures remain.

    interactive.compare([photo, painted], titles=["photograph", "painted"], caption="…", alt="…")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from course_lib import losses
from course_lib.methods import gatys
from course_lib.pretrained.vgg import CONTENT_LAYER
from course_lib.teaching.figures import QUALITY, Figure, picture
from course_lib.teaching.interactive.component import (
    Picture,
    cell,
    component,
    moving,
    need_one_shape,
    need_titles,
    pairs,
    part,
    row_of,
    shape_of,
)

__all__ = ["compare", "converter", "frames", "grid", "lens", "receptive_field"]


def compare(
    pictures: Sequence[Picture],
    *,
    titles: Sequence[str],
    caption: str,
    alt: str,
    at: int = 50,
    size: int | None = None,
    quality: int = QUALITY,
) -> Figure:
    """Two pictures over each other with a movable edge between them; of more than two, the reader chooses which.

    Args:
        pictures: two or more of one shape: the first at the left of the edge, the last at the right. Each as in
            `figures.sheet`: (1, 3, H, W) in [0, 1], or the path of a stored picture.
        titles: one a picture, short: they stand in the corners.
        caption, alt, size, quality: as in `figures.sheet`.
        at: where the edge begins, in percent of the width.

    Raises:
        ValueError: fewer than two pictures, not one title a picture, or pictures of different proportions.
    """
    need_titles(pictures, titles, least=2)
    need_one_shape(pictures, titles)
    cells = [cell(picture(image, title, size=size, quality=quality), title) for image, title in pairs(pictures, titles)]
    cells[0] = cells[0].replace('class="tile"', 'class="tile before"')
    return component("compare", f'<div class="strip">{"".join(cells)}</div>', caption, alt, {"at": at})


def frames(
    pictures: Sequence[Picture | Sequence[Picture]],
    *,
    labels: Sequence[str],
    axis: str,
    caption: str,
    alt: str,
    titles: Sequence[str] = (),
    notes: Sequence[str] = (),
    at: int = -1,
    size: int | None = None,
    quality: int = QUALITY,
) -> Figure:
    """A row of pictures at each place of a slider: iterations, layers, weights, noise.

    Args:
        pictures: for each place, a picture or a row of them, as in `compare`.
        labels: one a place, with its unit where it has one.
        axis: what the slider moves along, for example ``"iterations"``.
        caption, alt, size, quality: as in `figures.sheet`.
        titles: one for each picture of a row, below it.
        notes: HTML above each row (a chart of that moment), or none.
        at: the place shown at first, and the one that stays where scripts do not run.

    Raises:
        ValueError: fewer than two places, not one label a place, or not one title for each picture of a row.
    """
    return moving(
        [row_of(place) for place in pictures], [(axis, labels)], titles, notes, [at], caption, alt, size, quality
    )


def grid(
    pictures: Sequence[Sequence[Picture | Sequence[Picture]]],
    *,
    rows: tuple[str, Sequence[str]],
    columns: tuple[str, Sequence[str]],
    caption: str,
    alt: str,
    titles: Sequence[str] = (),
    at: tuple[int, int] = (0, 0),
    size: int | None = None,
    quality: int = QUALITY,
) -> Figure:
    """A table of pictures seen one at a time: one slider for its rows, one for its columns, and a map of both.

    Args:
        pictures: ``pictures[row][column]``, each a picture or a row of them, as in `compare`.
        rows, columns: the axis's name and a label for each place on it.
        caption, alt, size, quality: as in `figures.sheet`.
        titles: one for each picture of a place.
        at: row and column shown at first.

    Raises:
        ValueError: a row is shorter than there are columns, or labels and pictures differ in number.
    """
    widths = {len(row) for row in pictures}
    if len(pictures) != len(rows[1]) or widths != {len(columns[1])}:
        raise ValueError(
            f"a grid needs a picture for each of {len(rows[1])} × {len(columns[1])} pairs of labels, got "
            f"{len(pictures)} rows of {sorted(widths)} pictures"
        )
    places = [row_of(place) for row in pictures for place in row]
    return moving(places, [rows, columns], titles, (), at, caption, alt, size, quality)


def receptive_field(
    image: Picture,
    fields: Mapping[str, tuple[int, int] | tuple[int, int, float]],
    *,
    caption: str,
    alt: str,
    at: int = -1,
    size: int | None = None,
) -> Figure:
    """What one position of a layer sees of a picture: choose the layer, and point at the place.

    Args:
        image: as in `compare`.
        fields: layer → side of its receptive field and stride, both in pixels (`layers.receptive_field`), and where
            the first position looks: its center in pixels, (stride − 1)/2 where padding keeps the size, which is
            the default. The last one looks as far from the other border.
        caption, alt, size: as in `figures.sheet`; the fields count the pixels of the picture *as given*.
        at: the layer shown at first.

    Raises:
        ValueError: no layer.
    """
    if not fields:
        raise ValueError("a receptive field needs at least one layer, got none")
    height, width = shape_of(image)
    seen: list[tuple[str, int, int, float]] = []
    for name, (side, stride, *first) in fields.items():
        seen.append((name, side, stride, first[0] if first else (stride - 1) / 2))
    at %= len(seen)
    _, side, stride, start = seen[at]  # the still picture: its middle position
    counts = [max(1, int((pixels - 1 - 2 * start) // stride) + 1) for pixels in (width, height)]  # of positions
    left, top = (start + (count // 2) * stride - (side - 1) / 2 for count in counts)
    box = (
        f"left:{100 * left / width:.2f}%;top:{100 * top / height:.2f}%;"
        f"width:{100 * side / width:.2f}%;height:{100 * side / height:.2f}%"
    )
    body = (
        f'<div class="strip"><div class="tile"><div class="seen">{picture(image, alt, size=size)}'
        f'<div class="field dim" style="{box}"></div></div></div>'
        '<div class="tile crop" hidden><div class="said"></div></div></div>'
    )
    layers = [dict(zip(("name", "size", "stride", "first"), layer, strict=True)) for layer in seen]
    settings = {"layers": layers, "at": at, "width": width, "height": height}
    return component("receptive-field", body, caption, alt, settings)


def lens(
    pictures: Sequence[Picture],
    *,
    titles: Sequence[str],
    caption: str,
    alt: str,
    zoom: float = 5.0,
    size: int | None = None,
    quality: int = 90,
) -> Figure:
    """The same small part of several pictures, enlarged below each, pixel for pixel.

    Args:
        pictures: of one shape, as in `compare`.
        titles, caption, alt, size, quality: as in `figures.sheet`.
        zoom: the part is this many times smaller than the pictures' short side.

    Raises:
        ValueError: no picture, not one title a picture, or pictures of different proportions.
    """
    need_titles(pictures, titles, least=1)
    need_one_shape(pictures, titles)
    cells = [
        cell(f'<div class="seen">{picture(image, title, size=size, quality=quality)}</div>', title)
        for image, title in pairs(pictures, titles)
    ]
    return component("lens", f'<div class="strip">{"".join(cells)}</div>', caption, alt, {"zoom": zoom})


def converter(*, caption: str, layer: str = CONTENT_LAYER) -> Figure:
    """Loss weights on one paper's scale, in another's units: `losses.convert_weights` as a form.

    Args:
        caption: as in `figures.sheet`.
        layer: the content layer chosen at first.
    """
    default = gatys.Config()
    settings = {
        "conventions": [vars(convention) for convention in losses.CONVENTIONS],
        "channels": [64, 128, 256, 512, 512],  # of the five blocks of VGG-16 and VGG-19
        "convolutions": [2, 2, 4, 4, 4],  # VGG-19's; VGG-16 has the first three of the last blocks
        "layer": layer,
        "presets": {
            "the ratio printed by Gatys et al.": {"from": 1, "to": 0, "content": "1", "style": "1000"},
            "α = 10, β = 40 of Premamayudu et al.": {"from": 3, "to": 1, "content": "10", "style": "40"},
            "this book's default": {
                "from": 0,
                "to": 1,
                "content": f"{default.content_weight:g}",
                "style": f"{default.style_weight:g}",
            },
        },
    }
    return component("converter", part("converter.html"), caption, caption, settings)
