"""Interactive components that need no kernel, for the outputs of cells and the pages of the book.

A component is a `teaching.figures.Figure`. Its HTML holds the pictures as a plain sheet, and a script of a few
kilobytes turns them into a slider; nothing is loaded from elsewhere. Components work in the rendered book, in
JupyterLab, on Colab and in VS Code, by mouse, touch and keyboard (every handle is an ``<input type=range>``). Where
scripts do not run, and in print, the plain sheet remains.

    interactive.compare([photo, painted], titles=["photograph", "painted"], caption="…", alt="…")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

from torch import Tensor

from course_lib import arguments, losses
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
from course_lib.teaching.interactive.feature_maps import normalizations, overlaps
from course_lib.teaching.interactive.features import feature_explorer
from course_lib.teaching.interactive.games import gan_laboratory
from course_lib.teaching.interactive.gram_matrices import gram_explorer
from course_lib.teaching.interactive.moving_pictures import film
from course_lib.teaching.interactive.roads import optimizers_road

__all__ = [
    "compare", "converter", "feature_explorer", "film", "frames", "gan_laboratory", "gram_explorer", "grid", "lens",
    "normalizations", "optimizers_road", "origin", "overlaps", "receptive_field", "study",
]  # fmt: skip


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
    """Overlay two pictures with a movable edge between them; if there are more, the reader chooses which two.

    Args:
        pictures: two or more with the same aspect ratio; at first, the first is left of the edge and the last right.
            Each as in `figures.sheet`: (1, 3, H, W) in [0, 1], or the path of a stored picture.
        titles: one per picture; they are shown in the corners, so they should be short.
        caption, alt, size, quality: as in `figures.sheet`.
        at: initial position of the edge, in percent of the width.

    Raises:
        ValueError: fewer than two pictures, not one title per picture, or different aspect ratios.
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
    """Show one row of pictures for each position of a slider: iterations, layers, weights, noise.

    Args:
        pictures: for each position, a picture or a row of them, as in `compare`.
        labels: one per position, with its unit if it has one.
        axis: what the slider changes, for example ``"iterations"``.
        caption, alt, size, quality: as in `figures.sheet`.
        titles: one per picture of a row, shown below it.
        notes: HTML shown above each row, for example a chart, or none.
        at: index of the position shown first, which is also the one shown where scripts do not run.

    Raises:
        ValueError: fewer than two positions, not one label per position, or not one title per picture of a row.
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
    """Show one cell of a table of pictures at a time, with a slider for the rows, one for the columns, and a map.

    Args:
        pictures: ``pictures[row][column]``, each a picture or a row of them, as in `compare`.
        rows, columns: name of the axis and a label for each of its positions.
        caption, alt, size, quality: as in `figures.sheet`.
        titles: one per picture of a cell.
        at: row and column shown first.

    Raises:
        ValueError: the numbers of pictures and labels differ.
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
    """Show the receptive field of a position in a layer; the reader chooses the layer and points at the position.

    Args:
        image: as in `compare`.
        fields: layer → side of its receptive field and stride, both in pixels (`layers.receptive_field`), and
            optionally the center of the first position in pixels. The default is (stride − 1)/2, which holds where
            padding keeps the size. The last position has the same distance from the opposite border.
        caption, alt, size: as in `figures.sheet`; `fields` is in pixels of the picture *as given*.
        at: index of the layer shown first.

    Raises:
        ValueError: no layers.
    """
    if not fields:
        raise ValueError("a receptive field needs at least one layer, got none")
    height, width = shape_of(image)
    seen: list[tuple[str, int, int, float]] = []
    for name, (side, stride, *first) in fields.items():
        seen.append((name, side, stride, first[0] if first else (stride - 1) / 2))
    at %= len(seen)
    _, side, stride, start = seen[at]  # without scripts, the middle position is shown
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
    """Enlarge the same small part of several pictures below each of them, without smoothing.

    Args:
        pictures: with the same aspect ratio, as in `compare`.
        titles, caption, alt, size, quality: as in `figures.sheet`.
        zoom: short side of the pictures divided by the side of the part.

    Raises:
        ValueError: no pictures, not one title per picture, or different aspect ratios.
    """
    need_titles(pictures, titles, least=1)
    need_one_shape(pictures, titles)
    cells = [
        cell(f'<div class="seen">{picture(image, title, size=size, quality=quality)}</div>', title)
        for image, title in pairs(pictures, titles)
    ]
    return component("lens", f'<div class="strip">{"".join(cells)}</div>', caption, alt, {"zoom": zoom})


def origin(
    pictures: Sequence[Picture],
    nearest: Tensor,
    *,
    titles: Sequence[str],
    side: int,
    stride: int,
    caption: str,
    alt: str,
    at: tuple[int, int] = (0, 0),
    size: int | None = None,
    quality: int = QUALITY,
) -> Figure:
    """Show where each patch of a picture comes from: the reader points at a patch and sees its source.

    Args:
        pictures: the picture and its source, each as in `compare`; their shapes may differ.
        nearest: (h, w, 2) whole numbers: row and column of the source's patch for the patch in each row and column
            (``losses.patches.nearest_patches(…).position``).
        titles: one for each of the two.
        side, stride: of a patch and of the grid of patches, in pixels of the pictures *as given*.
        caption, alt, size, quality: as in `figures.sheet`.
        at: row and column of the patch shown first.

    Raises:
        ValueError: not two pictures and titles, a table that is no table, or a patch that is not in its picture.
    """
    need_titles(pictures, titles, least=2)
    if len(pictures) != 2:
        raise ValueError(f"a patch has one source: expected a picture and its source, got {len(pictures)} pictures")
    if nearest.ndim != 3 or nearest.shape[2] != 2 or nearest.is_floating_point() or nearest.numel() == 0:
        raise ValueError(
            f"nearest must be (h, w, 2) whole numbers, row and column for each patch, got {tuple(nearest.shape)} of "
            f"{nearest.dtype}"
        )
    last = [nearest.shape[:2], [int(k) + 1 for k in nearest.amax((0, 1))]]  # how many patches each picture must have
    sizes = [shape_of(image) for image in pictures]
    for title, counts, lengths in zip(titles, last, sizes, strict=True):
        if any((count - 1) * stride + side > length for count, length in zip(counts, lengths, strict=True)):
            raise ValueError(
                f"{title!r} has {lengths[1]} × {lengths[0]} pixels, too few for row {counts[0]} and column "
                f"{counts[1]} of patches with side {side} and stride {stride}"
            )
    row, column = (k % count for k, count in zip(at, nearest.shape[:2], strict=True))
    cells = []
    places = ((row, column), nearest[row, column].tolist())
    for image, title, (height, width), (y, x) in zip(pictures, titles, sizes, places, strict=True):
        box = (
            f"left:{100 * x * stride / width:.2f}%;top:{100 * y * stride / height:.2f}%;"
            f"width:{100 * side / width:.2f}%;height:{100 * side / height:.2f}%"
        )
        shown = picture(image, title, size=size, quality=quality)
        cells.append(cell(f'<div class="seen">{shown}<div class="field" style="{box}"></div></div>', title))
    settings = {
        "side": side, "stride": stride, "sizes": [[width, height] for height, width in sizes],
        "nearest": nearest.flatten(1).tolist(), "at": [column, row],
    }  # fmt: skip
    return component("origin", f'<div class="strip">{"".join(cells)}</div>', caption, alt, settings)


def study(
    pictures: Mapping[str, Sequence[Picture]],
    *,
    question: str,
    name: str,
    caption: str,
    alt: str,
    references: Sequence[Picture] | None = None,
    seed: int | None = None,
    size: int | None = None,
    quality: int = QUALITY,
) -> Figure:
    """Ask which of two pictures is better, again and again, without telling who made them, and rank the methods.

    Every pair of methods is shown once on every scene, in a random order that the browser draws. It comes in rounds: a
    round shows every pair once, and the next one swaps the sides, so that each method is as often left as right.
    Votes stay in the reader's browser. The results show the methods' names, Bradley–Terry scores with intervals, how
    often the left picture was chosen, and the pictures in the order of the scores. The votes can be copied as a text
    that `evaluation.votes.read_votes` reads; scenes are numbered from 0. Where the scores would be infinite, the page
    fits them with ``prior=0.1`` and says so. With one scene, the reader sorts the pictures.

    Args:
        pictures: method → its pictures of the scenes, in one order for all methods; each as in `compare`, all with the
            same aspect ratio. A batch (K, 3, H, W) is a sequence of K pictures.
        question: shown above each pair, for example ``"Which one looks more like a photograph?"``.
        name: of the study, in the first line of the text. The browser keeps votes under this name and a digest of the
            pictures, so that other pictures start a new study.
        caption, alt, size, quality: as in `figures.sheet`.
        references: None, or for each scene a picture shown above the pair, for example the input.
        seed: None: each reader gets an order of their own; a number: all get the same one.

    Raises:
        ValueError: fewer than two methods, no scenes, methods or references with different numbers of pictures,
            different aspect ratios, an empty question, or a name that is empty or has tabs or line breaks.
    """
    methods = list(pictures)
    counts = {method: len(pictures[method]) for method in methods}
    if len(methods) < 2 or len(set(counts.values())) != 1 or not counts[methods[0]]:
        raise ValueError(
            f"a study needs two or more methods with one picture for each scene, in the same order; got {counts}"
        )
    scenes = counts[methods[0]]
    if references is not None and len(references) != scenes:
        raise ValueError(f"a study of {scenes} scenes needs as many references, got {len(references)}")
    for what, text in [("study's name", name), ("question", question), *(("method's name", one) for one in methods)]:
        if text != text.strip() or not text.isprintable() or not text:
            raise ValueError(f"the {what} must be one line of text without tabs or spaces at its ends, got {text!r}")
    titles = [f"{method}, scene {k + 1}" for method in methods for k in range(scenes)]
    need_one_shape([one for method in methods for one in pictures[method]], titles)
    rows = []
    for k in range(scenes):
        row = [(method, pictures[method][k]) for method in methods]
        row = row if references is None else [("reference", references[k]), *row]
        cells = [cell(picture(one, f"{who}, scene {k + 1}", size=size, quality=quality), who) for who, one in row]
        rows.append(f'<div class="strip">{"".join(cells)}</div>')
    sheet = "".join(rows)
    settings = {
        "name": name, "question": question, "methods": methods, "scenes": scenes,
        "seed": None if seed is None else arguments.seed(seed), "digest": sha256(sheet.encode()).hexdigest()[:12],
    }  # fmt: skip
    body = f'<div class="sheet"><noscript>To vote, turn JavaScript on.</noscript>{sheet}</div>'
    return component("study", body, caption, alt, settings)


def converter(*, caption: str, layer: str = CONTENT_LAYER) -> Figure:
    """A form that converts loss weights from one paper's convention to another's, as `losses.convert_weights` does.

    Args:
        caption: as in `figures.sheet`; also the alternative text.
        layer: the content layer selected first.
    """
    default = gatys.Config()
    settings = {
        "conventions": [vars(convention) for convention in losses.CONVENTIONS],
        "channels": [64, 128, 256, 512, 512],  # of the five blocks of VGG-16 and VGG-19
        "convolutions": [2, 2, 4, 4, 4],  # of VGG-19; in VGG-16, the last three blocks have three
        "layer": layer,
        "presets": {
            "the ratio printed by Gatys et al.": {"from": 1, "to": 0, "content": "1", "style": "1000"},
            "α = 10, β = 40, our fit to Premamayudu et al.": {"from": 3, "to": 1, "content": "10", "style": "40"},
            "this book's default": {
                "from": 0,
                "to": 1,
                "content": f"{default.content_weight:g}",
                "style": f"{default.style_weight:g}",
            },
        },
    }
    return component("converter", part("converter.html"), caption, caption, settings)
