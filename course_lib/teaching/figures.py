"""Figures for notebooks and the book: picture sheets, curves and tables, as one small piece of HTML each.

A figure carries its caption and its alternative text with it, so that a reader who cannot see it, or a page
without its pictures, still says what is there. Nothing is loaded from elsewhere: pictures are data URIs.
"""

from __future__ import annotations

import base64
import io
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

QUALITY = 82  # of WebP: no loss to be seen at 100 %, in two thirds of a JPEG's bytes
_WIDTH, _DPI = 7.2, 140  # inches of a curve figure, pixels per inch
_COLORS = ("#0b6fa4", "#c8553d", "#3f8f5b", "#8a5fa8", "#b8860b", "#4d4d4d", "#d1739b")


class Figure:
    """HTML that Jupyter, Colab and the book display; `alt` and `caption` are always there."""

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
    """Pictures side by side, each with its title, wrapping on a narrow screen.

    Args:
        images: each (1, 3, H, W) or (3, H, W) in [0, 1] (clamped), or (1 or 3, h, w) of a tiny toy, shown
            with square pixels; or the path of a stored picture.
        titles: one a picture; it is also the picture's alternative text.
        caption: below the sheet: what to notice.
        alt: the whole sheet in words, for those who cannot see it.
        columns: pictures in a row on a wide screen (default: all, at most four).
        size: long side in pixels to which larger pictures are reduced.
        quality: of the WebP.
        above: HTML before the pictures, for example a `drawing`.

    Raises:
        ValueError: no picture, not one title a picture, another shape, or an empty caption or alt.
    """
    if not images or len(images) != len(titles):
        raise ValueError(f"a sheet needs one title a picture, got {len(images)} pictures, {len(titles)} titles")
    columns = columns or min(len(images), 4)
    gap = 0.6  # em
    basis = f"calc({100 / columns:.4f}% - {gap * (columns - 1) / columns:.4f}em)"
    cells = [
        f'<div class="cell" style="flex:0 1 {basis};min-width:min(7em,48%)">'
        f"{picture(image, title, size=size, quality=quality)}"
        f'<div class="title" style="font-size:.85em;text-align:center">{escape(title)}</div></div>'
        for image, title in zip(images, titles, strict=True)
    ]
    row = f'<div style="display:flex;flex-wrap:wrap;gap:{gap}em;align-items:flex-start">{"".join(cells)}</div>'
    return Figure(above + row, caption, alt)


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
    """Curves over steps (or over `x`), on a logarithmic axis unless told otherwise.

    Args:
        lines: label → values, one a step.
        caption, alt: as in `sheet`; the alternative text tells the finding, not the colors.
        x: common positions, or names such as layers; default 1, 2, 3, …
        xlabel, ylabel: say the unit.
        log: logarithmic vertical axis.
        marks: put a dot at every value, for few values.
        height: in inches, of a width of 7.2.
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
    """A matplotlib figure as an HTML image, for the body of a `Figure`."""
    file = io.BytesIO()
    canvas.savefig(file, format="png", dpi=_DPI)
    with Image.open(file) as pil:
        return _img(pil.convert("RGB"), alt, "max-width:100%;height:auto;display:block", lossless=True)


def picture(image: Tensor | Path, alt: str, *, size: int | None = None, quality: int = QUALITY) -> str:
    """One picture as an HTML image that holds its own data, for the body of a `Figure`.

    Args:
        image, size, quality: as in `sheet`.
        alt: what it shows.

    Raises:
        ValueError: another shape.
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
    pixels = F.interpolate(pixels, scale_factor=8, mode="nearest")  # single pixels stay squares
    return _img(to_pil(pixels), alt, style + ";image-rendering:pixelated", lossless=True)


def table(rows: Sequence[Sequence[object]], *, header: Sequence[str], caption: str) -> Figure:
    """A table with a header row; numbers are right-aligned and floats shown with four digits."""
    body = "".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows)
    head = "".join(f'<th scope="col">{escape(name)}</th>' if name else "<td></td>" for name in header)
    html = f'<div style="overflow-x:auto"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    return Figure(html, caption, caption, kind="sheet table")


def heatmap(matrix: Tensor, *, colors: str = "gray") -> Tensor:
    """A matrix (h, w) as a picture (1, 3, h, w) in [0, 1]: darkest at its minimum, brightest at its maximum.

    Args:
        matrix: (h, w), any finite values.
        colors: "gray" (black to white), or the name of a matplotlib colormap such as "magma".
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
    """The size is there before the picture is, so that the page does not move."""
    return (
        f'<img src="data:image/webp;base64,{base64.b64encode(webp).decode()}" alt="{escape(alt, quote=True)}" '
        f'width="{width}" height="{height}" loading="lazy" decoding="async" style="{style}">'
    )
