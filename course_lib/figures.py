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
from torch import Tensor

from course_lib.images import load_image, resize, to_pil

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
            f'<figure class="{kind}" role="group" aria-label="{escape(alt, quote=True)}" '
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
    quality: int = 88,
    above: str = "",
) -> Figure:
    """Pictures side by side, each with its title, wrapping on a narrow screen.

    Args:
        images: each (1, 3, H, W) or (3, H, W) in [0, 1] (clamped), or (1 or 3, h, w) of a tiny toy, shown
            with square pixels; or the path of a stored WebP or JPEG.
        titles: one a picture; it is also the picture's alternative text.
        caption: below the sheet: what to notice.
        alt: the whole sheet in words, for those who cannot see it.
        columns: pictures in a row on a wide screen (default: all, at most four).
        size: long side in pixels to which larger pictures are reduced.
        quality: of the JPEG.
        above: HTML before the pictures, for example a `drawing`.

    Raises:
        ValueError: no picture, not one title a picture, another shape, or an empty caption or alt.
    """
    if not images or len(images) != len(titles):
        raise ValueError(f"a sheet needs one title a picture, got {len(images)} pictures, {len(titles)} titles")
    columns = columns or min(len(images), 4)
    gap = 0.6  # em
    basis = f"calc({100 / columns:.4f}% - {gap * (columns - 1) / columns:.4f}em)"
    cells = []
    for image, title in zip(images, titles, strict=True):
        source, pixelated = _data_uri(image, size, quality)
        style = "width:100%;height:auto;display:block" + (";image-rendering:pixelated" if pixelated else "")
        cells.append(
            f'<div class="cell" style="flex:0 1 {basis};min-width:min(7em,48%)">'
            f'<img src="{source}" alt="{escape(title, quote=True)}" style="{style}">'
            f'<div class="title" style="font-size:.85em;text-align:center">{escape(title)}</div></div>'
        )
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
    canvas.savefig(file, format="jpeg", dpi=_DPI, pil_kwargs={"quality": 85, "optimize": True})
    source = _uri("jpeg", file.getvalue())
    return f'<img src="{source}" alt="{escape(alt, quote=True)}" style="max-width:100%;height:auto;display:block">'


def table(rows: Sequence[Sequence[object]], *, header: Sequence[str], caption: str) -> Figure:
    """A table with a header row; numbers are right-aligned and floats shown with four digits."""
    body = "".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
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


def _data_uri(image: Tensor | Path, size: int | None, quality: int) -> tuple[str, bool]:
    if isinstance(image, Path):
        pixels = load_image(image)
        if size is None or max(pixels.shape[-2:]) <= size:  # as it is stored: no second compression
            return _uri(image.suffix.lstrip(".").replace("jpg", "jpeg"), image.read_bytes()), False
        image = pixels
    if image.ndim not in (3, 4) or (image.ndim == 4 and len(image) != 1) or image.shape[-3] not in (1, 3):
        raise ValueError(
            f"a picture in a sheet is (1, 3, H, W), (3, H, W) or (1, H, W), got shape {tuple(image.shape)}"
        )
    pixels = image.detach().float().cpu().reshape(image.shape[-3:])
    pixels = pixels.expand(3, -1, -1).clamp(0, 1)[None]
    if size is not None and max(pixels.shape[-2:]) > size:
        pixels = resize(pixels, size)
    tiny = max(pixels.shape[-2:]) <= 64
    if tiny:  # JPEG would blur single pixels
        pixels = torch.nn.functional.interpolate(pixels, scale_factor=8, mode="nearest")
    file = io.BytesIO()
    to_pil(pixels).save(file, format="JPEG", quality=quality, subsampling=0)
    return _uri("jpeg", file.getvalue()), tiny


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
