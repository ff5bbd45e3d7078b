"""What stands in a diagram: boxes, losses, pictures, stacks of feature maps. Lengths in px at the size of the page.

Colors are classes of the SVG (`COLORS`); shape and marks say the same without color. Widths of text are those of DejaVu
Sans, one of the widest fonts that a browser may take.
"""

import base64
import io
import re
from dataclasses import dataclass, field
from functools import lru_cache
from html import escape
from pathlib import Path

import matplotlib
from PIL import Image, ImageFont

THUMBS = Path(__file__).resolve().parents[2] / "book" / "_static" / "diagrams" / "pictures"
COLORS = {  # what a thing is → line and fill in the light, line and fill in the dark
    "given": ("#16618f", "#eaf2f8", "#7dbbe6", "#1c2f3d"),
    "trained": ("#2f7d4f", "#e6f3ea", "#86cf95", "#1d3326"),
    "frozen": ("#5b6672", "#eff1f3", "#aab6c2", "#2b3138"),
    "optimized": ("#b4500f", "#fdf0e4", "#f2a56c", "#3b2a1c"),
    "loss": ("#9b3566", "#f9eaf1", "#ec91bd", "#3a2431"),
    "step": ("#6b5b2e", "#f7f3e6", "#d8c48a", "#332e1f"),
}
INK = {  # words, quiet words, arrows, gradients, ground
    "ink": ("#1f262d", "#e8ebee"),
    "quiet": ("#4d5761", "#b7c0c9"),
    "arrow": ("#4d5761", "#b7c0c9"),
    "gradient": ("#b4331f", "#ff9a85"),
    "paper": ("#ffffff", "#121212"),
}
WORDS = {
    "given": "given",
    "trained": "trained",
    "frozen": "frozen",
    "optimized": "optimized",
    "loss": "loss",
    "step": "computed",
}
TITLE, NOTE, LABEL = 14.0, 12.0, 12.0  # px
PAD, LINE = 9, 16


@lru_cache(maxsize=4)
def _font(bold: bool) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), 100)


def text_width(text: str, size: float, bold: bool = False) -> float:
    """How wide a line is at most, in px; ``<AB>`` is an index and smaller.

    >>> text_width("wide", 12) < text_width("wider", 12) < text_width("wider", 14, bold=True)
    True
    """
    width = 0.0
    for part in re.split(r"(<[^<>]+>)", text):
        index = part.startswith("<") and part.endswith(">")
        width += _font(bold).getlength(part.strip("<>") if index else part) * (0.75 if index else 1)
    return width * size / 100


def words(text: str, x: float, y: float, size: float, *, anchor: str = "middle", kind: str = "") -> str:
    """A line of text with its baseline at `y`."""
    marked = re.sub(
        r"&lt;(.+?)&gt;", r'<tspan class="d-index" dy="3">\1</tspan><tspan dy="-3">&#8203;</tspan>', escape(text)
    )
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}"'
    return f'<text class="d-text {kind}" {place}>{marked}</text>'


@dataclass(frozen=True)
class Node:
    """One thing of a diagram.

    Args:
        title: its name, in bold.
        notes: lines below it.
        kind: what it is, a key of `COLORS`.
        shape: "box", "loss" (rounded), "stack" (feature maps), "words" (no frame).
        picture: the name of a picture in `THUMBS`, shown above the title.
        bars: channels and side of each layer's output, drawn as slabs.
        arcs: pairs of bars that a skip connection joins.
        lit: bars that something reads, in the color of a loss.
        scale: of the bars.
        narrow: the notes in the narrow drawing, where they differ.
    """

    title: str = ""
    notes: tuple[str, ...] = ()
    kind: str = "step"
    shape: str = "box"
    picture: str = ""
    bars: tuple[tuple[int, int], ...] = ()
    arcs: tuple[tuple[int, int], ...] = ()
    lit: tuple[int, ...] = ()
    scale: float = 1.0
    narrow: tuple[str, ...] | None = None

    @property
    def lines(self) -> list[tuple[str, float, bool]]:
        """Every line of text with its size, and whether it is bold."""
        titles: list[tuple[str, float, bool]] = [(line, TITLE, True) for line in self.title.split("\n") if line]
        return [*titles, *((note, NOTE, False) for note in self.notes)]

    def text_size(self) -> tuple[float, float]:
        widths = [text_width(text, size, bold) for text, size, bold in self.lines]
        return max(widths, default=0.0), LINE * len(widths)

    def size(self) -> tuple[float, float]:
        """Width and height that it needs."""
        width, height = self.text_size()
        if self.picture:
            w, h = picture_size(self.picture)
            marked = 26 if self.kind == "optimized" else 0
            return max(width + marked, w) + 10, height + h + 10 + (6 if height else 0)
        if self.bars:
            drawn = bars_width(self.bars, self.scale), bars_height(self.bars, self.scale, bool(self.arcs))
            width, height = max(width, drawn[0]), height + drawn[1] + 6
        mark = 14 if self.kind in ("frozen", "trained", "optimized") and self.shape == "box" else 0
        title = text_width(self.title.split("\n")[0], TITLE, bold=True)
        width = max(width, title + mark * 2 - 8 if mark else 0)
        round_off = 10 if self.shape == "loss" else 0
        stack = 8 if self.shape == "stack" else 0
        return width + 2 * PAD + round_off + stack, height + 2 * PAD - 2 + stack


@lru_cache(maxsize=64)
def picture_data(name: str) -> bytes:
    return (THUMBS / f"{name}.webp").read_bytes()


def picture_size(name: str) -> tuple[float, float]:
    """Width and height on the page: two thirds of the file's."""
    with Image.open(io.BytesIO(picture_data(name))) as image:
        return image.width / 1.5, image.height / 1.5


def bar_sizes(bars: tuple[tuple[int, int], ...], scale: float) -> list[tuple[float, float]]:
    """Width and height of each slab: roots of channels and side, so that small ones can be seen beside large ones."""
    largest = max(side for _, side in bars)
    return [
        (scale * (2.5 + channels**0.5 / 3.2), scale * (5 + 37 * (side / largest) ** 0.5)) for channels, side in bars
    ]


def bars_width(bars: tuple[tuple[int, int], ...], scale: float) -> float:
    return sum(width + 2.5 for width, _ in bar_sizes(bars, scale)) - 2.5


def bars_height(bars: tuple[tuple[int, int], ...], scale: float, arcs: bool) -> float:
    return max(height for _, height in bar_sizes(bars, scale)) + (24 if arcs else 4)


@dataclass
class Placed:
    """A node with its place: left, top, width, height."""

    node: Node
    x: float
    y: float
    w: float
    h: float
    texts: list[tuple[float, float, float, float]] = field(default_factory=list)  # boxes of its lines

    @property
    def box(self) -> tuple[float, float, float, float]:
        return self.x, self.y, self.x + self.w, self.y + self.h

    def draw(self) -> str:
        """The SVG of the node; remembers where its words are."""
        node, x, y, w, h = self.node, self.x, self.y, self.w, self.h
        parts = [f'<g class="d-{node.kind}">']
        if node.shape == "stack":
            w, h = w - 8, h - 8
            parts += [_frame(x + 8, y, w, h, 3), _frame(x + 4, y + 4, w, h, 3)]
            y += 8
        radius = {"loss": min(h / 2, 20), "stack": 3}.get(node.shape, 6)
        if node.shape != "words":
            parts.append(_frame(x, y, w, h, radius))
        top = y + 5 if node.picture else y + PAD - 1
        if node.picture:
            pw, ph = picture_size(node.picture)
            data = base64.b64encode(picture_data(node.picture)).decode()
            parts.append(
                f'<image x="{x + (w - pw) / 2:.1f}" y="{top:.1f}" width="{pw:.1f}" height="{ph:.1f}" '
                f'href="data:image/webp;base64,{data}"/>'
            )
            top += ph + (4 if node.lines else 0)
        natural = self.node.size()[1] - (8 if node.shape == "stack" else 0)
        top += max(0.0, (h - natural) / 2)
        for text, size, bold in node.lines:
            wide = text_width(text, size, bold)
            parts.append(words(text, x + w / 2, top + 12.5, size, kind="d-bold" if bold else ""))
            self.texts.append((x + w / 2 - wide / 2, top, x + w / 2 + wide / 2, top + LINE))
            top += LINE
        if node.bars:
            parts.append(_bars(node, x + w / 2, top + 6))
        if node.shape == "box":
            parts.append(mark(node.kind, x + w - 10, y + (picture_size(node.picture)[1] + 17 if node.picture else 10)))
        return "".join([*parts, "</g>"])


def _frame(x: float, y: float, w: float, h: float, radius: float) -> str:
    return f'<rect class="d-shape" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="{radius:.1f}"/>'


def mark(kind: str, x: float, y: float) -> str:
    """A snow crystal for what is frozen, a gradient's triangle for what changes."""
    if kind == "frozen":
        return (
            f'<path class="d-mark" d="M{x} {y - 5}v10M{x - 4.3:.1f} {y - 2.5}l8.6 5M{x - 4.3:.1f} {y + 2.5}l8.6 -5"/>'
        )
    if kind in ("trained", "optimized"):
        return f'<path class="d-mark d-full" d="M{x - 4.5} {y - 4}h9l-4.5 8z"/>'
    return ""


def _bars(node: Node, center: float, top: float) -> str:
    """Slabs side by side, and arcs over them for skip connections."""
    sizes, whole = bar_sizes(node.bars, node.scale), bars_width(node.bars, node.scale)
    high = max(height for _, height in sizes)
    x, base, middles, parts = center - whole / 2, top + (20 if node.arcs else 0) + high / 2, [], []
    for k, (width, height) in enumerate(sizes):
        shape = f'x="{x:.1f}" y="{base - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}" rx="1"'
        parts.append(f'<rect class="d-bar{" d-lit" if k in node.lit else ""}" {shape}/>')
        middles.append((x + width / 2, base - height / 2))
        x += width + 2.5
    for a, b in node.arcs:
        (x1, y1), (x2, y2) = middles[a], middles[b]
        up = base - high / 2 - 3 - 14 * (x2 - x1) / whole
        parts.append(
            f'<path class="d-arc" d="M{x1:.1f} {y1 - 1:.1f}V{up + 4:.1f}q0 -4 4 -4H{x2 - 4:.1f}q4 0 4 4V{y2 - 1:.1f}"/>'
        )
    return "".join(parts)
