"""Places the boxes of a diagram on a grid, leads arrows between them, and finds what overlaps.

A layout is written like CSS's `grid-template-areas`: a line for each row, a name for each cell, a point for an empty
one. A name that is repeated spans cells, and its box is stretched over them. An arrow says from which side of a box to
which side of the other: ``"r>l"``. It is straight where the boxes face each other, has one corner between neighboring
sides, two between facing sides, and goes around between equal sides.
"""

import itertools
import re
from dataclasses import dataclass, field, replace

from scripts.diagrams.shapes import Node, Placed

WIDE, NARROW = 720, 350  # px
Point = tuple[float, float]
PORT = re.compile(r"([lrtb])(?:@([\d.]+))?>([lrtb])(?:@([\d.]+))?(?: ([+-]?[\d.]+))?")


class LayoutError(ValueError):
    """A diagram that does not fit, or whose parts touch each other."""


@dataclass(frozen=True)
class Arrow:
    """From one node to another.

    Args:
        label: words above the arrow, or right of one that goes up or down.
        kind: "arrow", or "gradient", which is dashed.
        wide, narrow: sides and, after "@", the part of the side; "" finds them. A number after a space: how far an
            arrow between equal sides goes out, or at which part of the way one between facing sides turns.
    """

    start: str
    end: str
    label: str = ""
    kind: str = "arrow"
    wide: str = ""
    narrow: str = ""


@dataclass(frozen=True)
class Diagram:
    """A diagram in both layouts, with its caption and its words for those who cannot see it."""

    nodes: dict[str, Node]
    arrows: tuple[Arrow, ...]
    wide: str
    narrow: str
    caption: str
    alt: str
    gap: tuple[float, float] = (44, 26)  # between columns and rows of the wide layout, at least
    gap_narrow: tuple[float, float] = (18, 28)
    even: bool = False  # all columns of the narrow layout as wide as the widest


@dataclass
class Drawing:
    """What was drawn: SVG, and boxes of everything for the tests."""

    width: float
    height: float = 0.0
    nodes: dict[str, Placed] = field(default_factory=dict)
    lines: list[tuple[Arrow, list[Point]]] = field(default_factory=list)
    labels: list[tuple[str, tuple[float, float, float, float]]] = field(default_factory=list)
    svg: str = ""


def place(diagram: Diagram, width: float, *, wide: bool) -> dict[str, Placed]:
    """Where every box stands: columns and rows as large as what is in them.

    Raises:
        LayoutError: the grid names a node that is not there, or leaves one out.
    """
    rows = [line.split() for line in (diagram.wide if wide else diagram.narrow).strip().splitlines()]
    columns = max(map(len, rows))
    rows = [row + ["."] * (columns - len(row)) for row in rows]
    spans: dict[str, tuple[int, int, int, int]] = {}
    for r, row in enumerate(rows):
        for c, name in enumerate(row):
            if name != ".":
                r1, c1, r2, c2 = spans.get(name, (r, c, r, c))
                spans[name] = (min(r1, r), min(c1, c), max(r2, r), max(c2, c))
    if unknown := set(spans) ^ set(diagram.nodes):
        raise LayoutError(f"grid and nodes differ in {sorted(unknown)}")
    gap_x, gap_y = diagram.gap if wide else diagram.gap_narrow
    nodes = dict(diagram.nodes)
    if not wide:
        nodes = {name: replace(n, notes=n.narrow) if n.narrow is not None else n for name, n in nodes.items()}
    sizes = {name: nodes[name].size() for name in spans}
    across, down = [0.0] * columns, [0.0] * len(rows)
    for spanned in (
        False,
        True,
    ):  # nodes in several cells take what the others need, and more only where that is too little
        for name, (r1, c1, r2, c2) in spans.items():
            if (c2 > c1) == spanned:
                lack = sizes[name][0] - sum(across[c1 : c2 + 1]) - gap_x * (c2 - c1)
                across[c1 : c2 + 1] = [v + max(0, lack) / (c2 - c1 + 1) for v in across[c1 : c2 + 1]]
            if (r2 > r1) == spanned:
                lack = sizes[name][1] - sum(down[r1 : r2 + 1]) - gap_y * (r2 - r1)
                down[r1 : r2 + 1] = [v + max(0, lack) / (r2 - r1 + 1) for v in down[r1 : r2 + 1]]
    if diagram.even and not wide:
        across = [max(across)] * columns
    if columns > 1 and wide:  # room that is left goes between the columns
        gap_x += min(40.0, max(0.0, (width - 50 - sum(across) - gap_x * (columns - 1)) / (columns - 1)))
    lefts = [sum(across[:c]) + gap_x * c for c in range(columns)]
    tops = [sum(down[:r]) + gap_y * r for r in range(len(rows))]
    placed = {}
    for name, (r1, c1, r2, c2) in spans.items():
        node, (w, h) = nodes[name], sizes[name]
        x, y, right, bottom = lefts[c1], tops[r1], lefts[c2] + across[c2], tops[r2] + down[r2]
        w = w if node.picture or node.shape == "words" else right - x
        h = bottom - y if r2 > r1 and not node.picture else h
        placed[name] = Placed(node, x + (right - x - w) / 2, y + (bottom - y - h) / 2, w, h)
    return placed


def sides(a: Placed, b: Placed) -> str:
    """Sides that face each other."""
    if a.x + a.w <= b.x and not (a.y + a.h <= b.y or b.y + b.h <= a.y):
        return "r>l"
    if b.x + b.w <= a.x and not (a.y + a.h <= b.y or b.y + b.h <= a.y):
        return "l>r"
    return "b>t" if a.y + a.h <= b.y else "t>b"


def route(a: Placed, b: Placed, ports: str) -> list[Point]:
    """The corners of an arrow's line.

    Raises:
        LayoutError: sides that are not written like ``"r>l"``.
    """
    found = PORT.fullmatch(ports)
    if not found:
        raise LayoutError(f"an arrow's sides are written like r>l or r@0.3>t 20, not {ports!r}")
    out, start, into, end, number = found.groups()

    def port(p: Placed, side: str, part: float) -> Point:
        return {
            "l": (p.x, p.y + p.h * part), "r": (p.x + p.w, p.y + p.h * part),
            "t": (p.x + p.w * part, p.y), "b": (p.x + p.w * part, p.y + p.h),
        }[side]  # fmt: skip

    (x1, y1), (x2, y2) = port(a, out, float(start or 0.5)), port(b, into, float(end or 0.5))
    flat = out in "lr"
    if out != into and {out, into} in ({"l", "r"}, {"t", "b"}):
        low, high = (max(a.y, b.y), min(a.y + a.h, b.y + b.h)) if flat else (max(a.x, b.x), min(a.x + a.w, b.x + b.w))
        if high - low > 12 and not (start and end):  # they face each other: straight, at the middle of the smaller one
            smaller = a if (a.h if flat else a.w) <= (b.h if flat else b.w) else b
            at = smaller.y + smaller.h / 2 if flat else smaller.x + smaller.w / 2
            at = (y1 if start else y2 if end else at) if flat else (x1 if start else x2 if end else at)
            at = min(max(at, low + 6), high - 6)
            return [(x1, at), (x2, at)] if flat else [(at, y1), (at, y2)]
        part = float(number or 0.5)
        if flat:
            turn = x1 + (x2 - x1) * part
            return [(x1, y1), (turn, y1), (turn, y2), (x2, y2)]
        turn = y1 + (y2 - y1) * part
        return [(x1, y1), (x1, turn), (x2, turn), (x2, y2)]
    if out == into:
        far = float(number or 20)
        if flat:
            turn = max(x1, x2) + far if out == "r" else min(x1, x2) - far
            return [(x1, y1), (turn, y1), (turn, y2), (x2, y2)]
        turn = max(y1, y2) + far if out == "b" else min(y1, y2) - far
        return [(x1, y1), (x1, turn), (x2, turn), (x2, y2)]
    return [(x1, y1), (x2, y1) if flat else (x1, y2), (x2, y2)]


def _meet(a: tuple[float, float, float, float], b: tuple[float, float, float, float], slack: float = 0.5) -> bool:
    return a[0] < b[2] - slack and b[0] < a[2] - slack and a[1] < b[3] - slack and b[1] < a[3] - slack


def problems(drawing: Drawing) -> list[str]:
    """What overlaps in a drawing: boxes, labels, and arrows that run through boxes or labels."""
    found, nodes = [], list(drawing.nodes.items())
    for k, (name, placed) in enumerate(nodes):
        found += [f"{name} and {other} overlap" for other, at in nodes[k + 1 :] if _meet(placed.box, at.box)]
        found += [f"the label {label!r} touches {name}" for label, box in drawing.labels if _meet(placed.box, box)]
        x, y, right, bottom = placed.box
        inside = (x + 2, y, right - 2, bottom)
        for left, top, end, low in placed.texts:
            if left < inside[0] or end > inside[2] or top < inside[1] - 1 or low > inside[3] + 1:
                found.append(f"words stick out of {name}")
    for k, (label, box) in enumerate(drawing.labels):
        found += [
            f"the labels {label!r} and {other!r} overlap" for other, at in drawing.labels[k + 1 :] if _meet(box, at)
        ]
    for arrow, line in drawing.lines:
        for (x1, y1), (x2, y2) in itertools.pairwise(line):
            segment = (min(x1, x2) - 0.6, min(y1, y2) - 0.6, max(x1, x2) + 0.6, max(y1, y2) + 0.6)
            found += [
                f"the arrow {arrow.start} → {arrow.end} runs through {name}"
                for name, placed in nodes
                if _meet(segment, placed.box, 1.5)
            ]
            found += [
                f"the arrow {arrow.start} → {arrow.end} runs through {label!r}"
                for label, box in drawing.labels
                if _meet(segment, box, 1.0)
            ]
    return found
