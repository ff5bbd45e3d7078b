"""Draws a diagram as SVG: boxes, arrows with their labels, the legend, and the rules for the colors."""

import itertools

from scripts.diagrams.layout import (
    NARROW,
    WIDE,
    Arrow,
    Diagram,
    Drawing,
    LayoutError,
    Point,
    place,
    problems,
    route,
    sides,
)
from scripts.diagrams.shapes import COLORS, INK, LABEL, WORDS, mark, text_width, words


def draw(diagram: Diagram, *, wide: bool) -> Drawing:
    """One of the two drawings of a diagram.

    Raises:
        LayoutError: it is too wide, a name of the grid has no node, or things overlap.
    """
    drawing = Drawing(WIDE if wide else NARROW)
    drawing.nodes = place(diagram, drawing.width, wide=wide)
    bodies = [placed.draw() for placed in drawing.nodes.values()]
    arrows = [_arrow(arrow, drawing, wide) for arrow in diagram.arrows]
    boxes = [p.box for p in drawing.nodes.values()] + [b for _, b in drawing.labels]
    boxes += [(x, y, x, y) for _, line in drawing.lines for x, y in line]
    left, top = min(b[0] for b in boxes) - 4, min(b[1] for b in boxes) - 4
    right, bottom = max(b[2] for b in boxes) + 4, max(b[3] for b in boxes) + 4
    if right - left > drawing.width + 0.5:
        raise LayoutError(f"the {'wide' if wide else 'narrow'} drawing needs {right - left:.0f} of {drawing.width} px")
    legend, more = _legend(diagram, drawing.width, bottom - top + 14)
    shift = (drawing.width - (right - left)) / 2 - left
    drawing.height = bottom - top + 14 + more
    inner = "".join([*(a[0] for a in arrows), *bodies, *(a[1] for a in arrows)])
    drawing.svg = f'<g transform="translate({shift:.1f} {-top:.1f})">{inner}</g>{legend}'
    if found := problems(drawing):
        raise LayoutError("; ".join(found))
    return drawing


def _arrow(arrow: Arrow, drawing: Drawing, wide: bool) -> tuple[str, str]:
    """Its line with the head, and its label."""
    a, b = drawing.nodes[arrow.start], drawing.nodes[arrow.end]
    line = route(a, b, (arrow.wide if wide else arrow.narrow) or sides(a, b))
    drawing.lines.append((arrow, line))
    (px, py), (x, y) = line[-2:]
    dx, dy = (x > px) - (x < px), (y > py) - (y < py)
    parts = [f"M{line[0][0]:.1f} {line[0][1]:.1f}"]
    for before, corner, after in zip(line, line[1:], line[2:], strict=False):
        parts.append(_corner(before, corner, after))
    parts.append(f"L{x - 6 * dx:.1f} {y - 6 * dy:.1f}")
    wings = [(x - 8 * dx + k * dy, y - 8 * dy + k * dx) for k in (4.5, -4.5)]
    head = f"M{x:.1f} {y:.1f}" + "".join(f"L{u:.1f} {v:.1f}" for u, v in wings) + "z"
    svg = f'<path class="d-line d-{arrow.kind}" d="{"".join(parts)}"/><path class="d-head d-{arrow.kind}" d="{head}"/>'
    if not arrow.label:
        return svg, ""
    (x1, y1), (x2, y2) = max(itertools.pairwise(line), key=lambda s: abs(s[0][0] - s[1][0]) + abs(s[0][1] - s[1][1]))
    lines = arrow.label.split("\n")
    width = max(text_width(text, LABEL) for text in lines)
    mx, my, height = (x1 + x2) / 2, (y1 + y2) / 2, 15 * len(lines)
    if abs(x1 - x2) >= abs(y1 - y2):  # a level line
        left, top, anchor = mx - width / 2, my - height - 3, "middle"
    else:
        left, top, anchor = mx + 7, my - height / 2, "start"
    drawing.labels.append((arrow.label, (left, top, left + width, top + height)))
    at = left + width / 2 if anchor == "middle" else left
    kind = f"d-note d-{arrow.kind}"
    return svg, "".join(words(t, at, top + 11.5 + 15 * k, LABEL, anchor=anchor, kind=kind) for k, t in enumerate(lines))


def _corner(before: Point, corner: Point, after: Point) -> str:
    def toward(point: Point) -> Point:
        dx, dy = point[0] - corner[0], point[1] - corner[1]
        length = abs(dx) + abs(dy) or 1.0
        cut = min(8.0, length / 2)
        return corner[0] + dx / length * cut, corner[1] + dy / length * cut

    (x1, y1), (x2, y2) = toward(before), toward(after)
    return f"L{x1:.1f} {y1:.1f}Q{corner[0]:.1f} {corner[1]:.1f} {x2:.1f} {y2:.1f}"


def _legend(diagram: Diagram, width: float, top: float) -> tuple[str, float]:
    """What the colors, the marks and the dashes mean: those of this diagram."""
    used = [kind for kind in COLORS if any(n.kind == kind for n in diagram.nodes.values())]
    entries = [(kind, WORDS[kind]) for kind in used]
    if any(arrow.kind == "gradient" for arrow in diagram.arrows):
        entries.append(("gradient", "gradient"))
    rows: list[list[tuple[str, str]]] = [[]]
    for entry in entries:
        if sum(text_width(w, LABEL) * 0.9 + 46 for _, w in [*rows[-1], entry]) > width - 10:
            rows.append([])
        rows[-1].append(entry)
    parts = []
    for k, row in enumerate(rows):
        x = (width - sum(text_width(w, LABEL) * 0.9 + 46 for _, w in row) + 16) / 2
        y = top + 4 + 22 * k
        for kind, word in row:
            if kind == "gradient":
                line = f'<path class="d-line d-gradient" d="M{x:.1f} {y + 7:.1f}h17"/>'
                parts.append(f'{line}<path class="d-head d-gradient" d="M{x + 24:.1f} {y + 7:.1f}l-8 4.5v-9z"/>')
            else:
                shape = f'x="{x:.1f}" y="{y:.1f}" width="22" height="14" rx="{7 if kind == "loss" else 3}"'
                parts.append(f'<g class="d-{kind}"><rect class="d-shape" {shape}/>{mark(kind, x + 11, y + 7)}</g>')
            parts.append(words(word, x + 29, y + 11.5, LABEL, anchor="start", kind="d-note"))
            x += text_width(word, LABEL) * 0.9 + 46
    return "".join(parts), 22.0 * len(rows) + 4


def style() -> str:
    """The rules of all diagrams: the light colors, which the page's variables replace in the dark."""
    font = "-apple-system,'Segoe UI','Helvetica Neue',Arial,sans-serif"
    rules = [f".d-text{{font-family:{font};fill:var(--d-ink,{INK['ink'][0]})}}.d-bold{{font-weight:600}}"]
    rules.append(f".d-index{{font-size:75%}}.d-note{{fill:var(--d-quiet,{INK['quiet'][0]})}}")
    rules.append(".d-line{fill:none;stroke-width:1.6}.d-line.d-gradient{stroke-dasharray:5 3.5}")
    for kind in ("arrow", "gradient"):
        color = f"var(--d-{kind},{INK[kind][0]})"
        rules.append(f".d-line.d-{kind}{{stroke:{color}}}.d-head.d-{kind}{{fill:{color}}}")
    rules.append(f".d-note.d-gradient{{fill:var(--d-gradient,{INK['gradient'][0]})}}")
    rules.append(
        ".d-shape{stroke-width:1.5}.d-mark{fill:none;stroke-width:1.3}.d-bar{stroke-width:.8}.d-arc{fill:none;stroke-width:1}"
    )
    for kind, (line, fill, _, _) in COLORS.items():
        stroke = f"stroke:var(--d-{kind},{line})"
        rules.append(f".d-{kind} .d-shape{{fill:var(--d-{kind}-soft,{fill});{stroke}}}")
        rules.append(f".d-{kind} :is(.d-mark,.d-arc){{{stroke}}}.d-{kind} .d-full{{fill:var(--d-{kind},{line})}}")
        rules.append(f".d-{kind} .d-bar{{fill:var(--d-{kind},{line});fill-opacity:.4;{stroke}}}")
    read = f"var(--d-loss,{COLORS['loss'][0]})"
    rules.append(f"g .d-bar.d-lit{{fill:{read};fill-opacity:.8;stroke:{read}}}")
    dark = [f"--d-{kind}:{line};--d-{kind}-soft:{fill}" for kind, (_, _, line, fill) in COLORS.items()]
    dark += [f"--d-{name}:{color}" for name, (_, color) in INK.items() if name != "paper"]
    rules.append(f"html[data-theme=dark] .diagram{{{';'.join(dark)}}}")
    return "".join(rules)


def svg(drawing: Drawing) -> str:
    """A whole file: on white where nothing else is said."""
    w, h = drawing.width, round(drawing.height)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}">'
        f"<style>{style()}</style>"
        f'<rect width="{w}" height="{h}" fill="var(--d-paper,{INK["paper"][0]})"/>{drawing.svg}</svg>\n'
    )
