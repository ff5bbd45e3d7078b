"""Figures for notebooks and the book: picture sheets, curves and tables, each a small piece of HTML.

Every figure has a caption and an alternative text, so that it also informs readers who cannot see it. Pictures are data
URIs; nothing is loaded from elsewhere.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from course_lib.images import load_image, resize, to_pil

QUALITY = 82  # of WebP: no visible loss at 100 % zoom, at two thirds of the size of a JPEG
_WIDTH, _DPI = 7.2, 140  # inches of a curve figure, pixels per inch
_COLORS = ("#0b6fa4", "#c8553d", "#3f8f5b", "#8a5fa8", "#b8860b", "#4d4d4d", "#d1739b")


class Figure:
    """HTML that Jupyter, Colab and the book display, with a caption and an alternative text.

    Args:
        body: HTML of the figure itself.
        caption: plain text below the body.
        alt: the figure in words, for readers who cannot see it.
        kind: CSS class of the figure.

    Raises:
        ValueError: an empty caption or alternative text.
    """

    def __init__(self, body: str, caption: str, alt: str, *, kind: str = "sheet") -> None:
        for name, text in (("caption", caption), ("alt", alt)):
            if not text or not text.strip():
                raise ValueError(f"a figure needs a non-empty {name}: say what can be seen")
        self.caption, self.alt = caption, alt
        self._html = (
            f'<figure class="{kind}" aria-label="{escape(alt, quote=True)}" '
            f'style="margin:1em 0">{body}'
            f'<figcaption style="font-size:.9em;margin-top:.5em">{escape(caption)}</figcaption></figure>'
        )

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return f"<Figure: {self.caption}>"


def sheet(
    images: Sequence[Tensor | Path],
    *,
    titles: Sequence[str],
    caption: str,
    alt: str,
    columns: int | None = None,
    size: int | None = None,
    quality: int = QUALITY,
    above: str = "",
) -> Figure:
    """Show pictures side by side, each with its title; rows wrap on a narrow screen.

    Args:
        images: each (1, 3, H, W), (3, H, W) or (1, H, W) in [0, 1] (clamped), or the path of a stored picture. Sides of
            at most 64 px are enlarged with square pixels.
        titles: one per picture; also the alternative text of that picture.
        caption: shown below the sheet: what to notice.
        alt: the whole sheet in words, for those who cannot see it.
        columns: pictures per row on a wide screen (default: all, at most four).
        size: long side in pixels to which larger pictures are reduced.
        quality: of the WebP, 1 to 100.
        above: HTML before the pictures, for example a `drawing`.

    Raises:
        ValueError: no pictures, not one title per picture, a picture of another shape, or an empty caption or alt.
    """
    if not images or len(images) != len(titles):
        raise ValueError(f"a sheet needs one title per picture, got {len(images)} pictures, {len(titles)} titles")
    columns = columns or min(len(images), 4)
    gap = 0.6  # em
    basis = f"calc({100 / columns:.4f}% - {gap * (columns - 1) / columns:.4f}em)"
    cells = [
        f'<div class="cell" style="flex:0 1 {basis};min-width:min(7em,48%)">'
        f"{picture(image, title, size=size, quality=quality)}"
        f'<div class="title" style="font-size:.85em;text-align:center">{escape(title)}</div></div>'
        for image, title in zip(images, titles, strict=True)
    ]
    most = _widest("".join(cells), columns)
    style = f"display:flex;flex-wrap:wrap;gap:{gap}em;align-items:flex-start{most}"
    return Figure(f'{above}<div style="{style}">{"".join(cells)}</div>', caption, alt)


def _widest(cells: str, columns: int) -> str:
    """The style that shows no picture of a row at more than twice its size; square pixels may be of any size."""
    if "image-rendering:pixelated" in cells:
        return ""
    widths = [int(width) for width in re.findall(r'<img [^>]*? width="(\d+)"', cells)]
    return f";max-width:{2 * columns * max(widths)}px"


def curves(
    lines: Mapping[str, Sequence[float]],
    *,
    caption: str,
    alt: str,
    x: Sequence[float] | Sequence[str] | None = None,
    xlabel: str = "step",
    ylabel: str = "",
    log: bool = True,
    marks: bool = False,
    height: float = 3.0,
) -> Figure:
    """Draw curves over the steps (or over `x`), by default on a logarithmic vertical axis.

    Args:
        lines: label → values, one per step.
        caption, alt: as in `sheet`; the alternative text tells the finding, not the colors.
        x: positions shared by all curves, or names such as those of layers; by default 1, 2, 3, …
        xlabel, ylabel: the quantity and its unit.
        log: use a logarithmic vertical axis.
        marks: draw a dot at every value, for short series.
        height: in inches; the width is 7.2.

    Raises:
        ValueError: no curves, or an empty caption or alt.
    """
    if not lines:
        raise ValueError("curves need at least one line, got none")
    from matplotlib.figure import Figure as Canvas  # slow to import, and only needed here

    canvas = Canvas(figsize=(_WIDTH, height), layout="constrained", facecolor="white")
    axes = canvas.subplots()
    for (label, values), color in zip(lines.items(), cycle(_COLORS), strict=False):
        places: list[Any] = list(x) if x is not None else list(range(1, len(values) + 1))
        axes.plot(places, list(values), label=label, color=color, linewidth=1.8, marker="o" if marks else None)
    if log:
        axes.set_yscale("log")
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(alpha=0.25, which="both" if log else "major", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if len(lines) > 1:
        axes.legend(frameon=False, fontsize="small", ncols=2 if len(lines) > 5 else 1)
    return Figure(drawing(canvas, alt), caption, alt, kind="sheet curves")


def drawing(canvas: Any, alt: str) -> str:
    """Render a matplotlib figure as an HTML image, for the body of a `Figure`."""
    file = io.BytesIO()
    canvas.savefig(file, format="png", dpi=_DPI)
    with Image.open(file) as pil:
        return _img(pil.convert("RGB"), alt, "max-width:100%;height:auto;display:block", lossless=True)


def picture(image: Tensor | Path, alt: str, *, size: int | None = None, quality: int = QUALITY) -> str:
    """Render one picture as an HTML image that contains its own data, for the body of a `Figure`.

    Args:
        image, size, quality: as in `sheet`.
        alt: what the picture shows.

    Raises:
        ValueError: a picture of another shape.
    """
    style = "width:100%;height:auto;display:block"
    if isinstance(image, Path):
        pixels = load_image(image)
        if image.suffix == ".webp" and (size is None or max(pixels.shape[-2:]) <= size):  # no second compression
            height, width = pixels.shape[-2:]
            return _tag(image.read_bytes(), alt, style, width, height)
        image = pixels
    if image.ndim not in (3, 4) or (image.ndim == 4 and len(image) != 1) or image.shape[-3] not in (1, 3):
        raise ValueError(
            f"a picture in a sheet is (1, 3, H, W), (3, H, W) or (1, H, W), got shape {tuple(image.shape)}"
        )
    pixels = image.detach().float().cpu().reshape(image.shape[-3:])
    pixels = pixels.expand(3, -1, -1).clamp(0, 1)[None]
    if size is not None and max(pixels.shape[-2:]) > size:
        pixels = resize(pixels, size)
    if max(pixels.shape[-2:]) > 64:
        return _img(to_pil(pixels), alt, style, quality=quality)
    pixels = F.interpolate(pixels, scale_factor=8, mode="nearest")  # keeps the pixels square
    return _img(to_pil(pixels), alt, style + ";image-rendering:pixelated", lossless=True)


def table(rows: Sequence[Sequence[object]], *, header: Sequence[str], caption: str) -> Figure:
    """Show a table with a header row; numbers are right-aligned, and floats have four significant digits.

    Args:
        rows: cells by row, each a number or anything with a `str`.
        header: names of the columns; an empty one leaves its cell empty.
        caption: shown below the table, and its alternative text.

    Raises:
        ValueError: an empty caption.
    """
    body = "".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows)
    head = "".join(f'<th scope="col">{escape(name)}</th>' if name else "<td></td>" for name in header)
    html = f'<div style="overflow-x:auto"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    return Figure(html, caption, caption, kind="sheet table")


def heatmap(matrix: Tensor, *, colors: str = "gray") -> Tensor:
    """Turn a matrix into a picture: darkest at its minimum, brightest at its maximum.

    Args:
        matrix: (h, w), any finite values.
        colors: "gray" (black to white), or the name of a matplotlib colormap such as "magma".

    Returns:
        (1, 3, h, w) in [0, 1].
    """
    low, high = matrix.min(), matrix.max()
    gray = ((matrix - low) / (high - low).clamp_min(1e-12)).float()
    if colors == "gray":
        return gray.expand(1, 3, *matrix.shape)
    from matplotlib import colormaps

    colored = torch.from_numpy(colormaps[colors](gray.detach().cpu().numpy())).float()  # (h, w, 4)
    return colored[..., :3].permute(2, 0, 1)[None]


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f'<td style="text-align:right">{value:.4g}</td>'
    align = ' style="text-align:right"' if isinstance(value, int) else ""
    return f"<td{align}>{escape(str(value))}</td>"


def _img(pil: Image.Image, alt: str, style: str, **options: Any) -> str:
    file = io.BytesIO()
    pil.save(file, format="WEBP", **options)
    return _tag(file.getvalue(), alt, style, *pil.size)


def _tag(webp: bytes, alt: str, style: str, width: int, height: int) -> str:
    """The tag states the size, so that the page does not jump when the picture is decoded."""
    return (
        f'<img src="data:image/webp;base64,{base64.b64encode(webp).decode()}" alt="{escape(alt, quote=True)}" '
        f'width="{width}" height="{height}" loading="lazy" decoding="async" style="{style}">'
    )
