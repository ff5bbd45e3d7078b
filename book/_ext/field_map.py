"""The map of the field: `{field-map}` draws data/field.yml as an SVG, `{field-list} FAMILY` says the same in words.

Years run down, every family has a column of its own, and a line leads from a method to one that took something up
from it. A filled dot is a method with a chapter in this book. The drawing needs no script: links can be reached with
the keyboard, and pointing at a method, or stepping onto it, brings out its lines.
"""

import os
from collections import defaultdict
from html import escape
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.application import Sphinx

ROOT = Path(os.environ.get("COURSE_LIB_ROOT") or Path(__file__).resolve().parents[2])
SOURCE = ROOT / "data" / "field.yml"
COLORS = {  # of a family in the light and in the dark; position and number say it too
    "picture": ("#0b6fa4", "#6cb6e6"),
    "one": ("#b5452c", "#f0937b"),
    "several": ("#37753f", "#86cf95"),
    "any": ("#7a5299", "#c3a0e0"),
    "game": ("#8a6500", "#e0bd5a"),
    "pairs": ("#a03b6b", "#ec91bd"),
    "unpaired": ("#4d5a66", "#b4c0cb"),
}
LANE, ROW, TOP, LEFT = 20, 29, 44, 58  # pixels: between columns, between rows, above the first row, before the first


def read() -> dict[str, Any]:
    """The families, methods and edges of data/field.yml, methods by year and, within one, after what they take up."""
    field: dict[str, Any] = yaml.safe_load(SOURCE.read_text(encoding="utf-8"))
    depth: dict[str, int] = defaultdict(int)
    for _ in field["methods"]:  # as often as the longest chain can be long
        for early, late, _ in field["edges"]:
            depth[late] = max(depth[late], depth[early] + 1)
    order = [family["id"] for family in field["families"]]
    field["methods"].sort(key=lambda method: (method["year"], depth[method["id"]], order.index(method["family"])))
    return field


def chapter_pages() -> dict[int, str]:
    """Chapter number → its file's stem."""
    return {int(path.name[:2]): path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}


def chapters_of(method: dict[str, Any]) -> str:
    """``"chapters 3, 4, 5"``, or nothing."""
    numbers = ", ".join(map(str, method["chapters"]))
    return f"chapter{'s' * (len(method['chapters']) > 1)} {numbers}" if numbers else ""


def drawing(field: dict[str, Any], name: str, *, wide: bool) -> str:
    """The map as SVG, with each method's idea in words where it is wide."""
    lanes = {family["id"]: k for k, family in enumerate(field["families"])}
    headings = {family["id"]: family["heading"] for family in field["families"]}
    places = {
        method["id"]: (LEFT + LANE * lanes[method["family"]], TOP + ROW * k)
        for k, method in enumerate(field["methods"])
    }
    text = LEFT + LANE * len(lanes) + 4
    width, height = (720 if wide else 400), TOP + ROW * len(places)
    parts = [lane_marks(field, height), *(edge(places, *line) for line in field["edges"])]
    pages, year = chapter_pages(), None
    for method in field["methods"]:
        x, y = places[method["id"]]
        if method["year"] != year:
            year = method["year"]
            parts.append(f'<text class="year" x="2" y="{y + 4}">{year}</text>')
        parts.append(node(method, x, y, text, headings, pages, wide))
    title = "Map of style transfer and image translation"
    says = (
        f"{len(places)} methods from {field['methods'][0]['year']} to {field['methods'][-1]['year']} in {len(lanes)} "
        "columns, one a family, with lines from each method to those that took something up from it. "
        "The lists below say the same in words."
    )
    return (
        f'<svg class="field-map {"wide" if wide else "narrow"}" viewBox="0 0 {width} {height}" role="group" '
        f'aria-labelledby="{name}-title {name}-desc" xmlns="http://www.w3.org/2000/svg">'
        f'<title id="{name}-title">{title}</title><desc id="{name}-desc">{escape(says)}</desc>{"".join(parts)}</svg>'
    )


def lane_marks(field: dict[str, Any], height: int) -> str:
    """A faint line down each column, its number above."""
    marks = ""
    for k, family in enumerate(field["families"]):
        x = LEFT + LANE * k
        marks += (
            f'<g class="lane f-{family["id"]}" aria-hidden="true"><path d="M{x} 26V{height - 8}"/>'
            f'<text x="{x}" y="16">{k + 1}</text></g>'
        )
    return marks


def edge(places: dict[str, tuple[int, int]], early: str, late: str, what: str) -> str:
    """A line from one method to a later one; within a column it swings out, so as not to run through others."""
    (x, y), (u, v) = places[early], places[late]
    bend = min(0.45 * (v - y), 60)
    swing = -min(LANE * 0.8, 0.3 * (v - y)) if x == u else 0
    path = f"M{x} {y}C{x + swing:.0f} {y + bend:.0f} {u + swing:.0f} {v - bend:.0f} {u} {v}"
    return f'<path class="edge e-{early} e-{late}" d="{path}" aria-hidden="true"><title>{escape(what)}</title></path>'


def node(
    method: dict[str, Any], x: int, y: int, text: int, headings: dict[str, str], pages: dict[int, str], wide: bool
) -> str:
    """A dot in its column, the name beside it, and a link: to the chapter, or to the family's paragraph."""
    chapters = chapters_of(method)
    target = f"../notebooks/{pages[method['chapters'][0]]}.html" if chapters else f"#{headings[method['family']]}"
    said = f"{method['name']}, {method['year']}: {method['idea']}; {chapters or 'not in this book'}"
    short = f" · ch. {', '.join(map(str, method['chapters']))}" if chapters else ""
    idea = f'<text class="idea" x="{text + 200}" y="{y + 4}">{escape(method["idea"])}</text>' if wide else ""
    return (
        f'<a href="{target}" class="method m-{method["id"]} f-{method["family"]}{" covered" if chapters else ""}">'
        f"<title>{escape(said)}</title>"
        f'<rect class="reach" x="{LEFT - 12}" y="{y - ROW // 2}" width="{(720 if wide else 400) - LEFT + 8}" '
        f'height="{ROW - 1}" rx="4"/><circle cx="{x}" cy="{y}" r="6"/>'
        f'<text class="name" x="{text}" y="{y + 4}">{escape(method["name"])}<tspan class="where">{short}</tspan></text>'
        f"{idea}</a>"
    )


def style(field: dict[str, Any]) -> str:
    """Colors of the families in both themes, and one rule a method that brings out its lines."""
    light = "".join(f"--f-{name}:{colors[0]};" for name, colors in COLORS.items())
    dark = "".join(f"--f-{name}:{colors[1]};" for name, colors in COLORS.items())
    families = "".join(f".f-{name}{{--f:var(--f-{name})}}" for name in COLORS)
    lit = ",".join(f".field-map:has(.m-{m['id']}:is(:hover,:focus-visible)) .e-{m['id']}" for m in field["methods"])
    themes = f".field{{{light}}}html[data-theme=dark] .field{{{dark}}}"
    return f"<style>{themes}{families}{lit}{{opacity:1;stroke-width:2.6}}</style>"


def legend(field: dict[str, Any]) -> str:
    """The columns' names, each a link to its paragraph."""
    items = "".join(
        f'<li class="f-{family["id"]}"><a href="#{family["heading"]}">{escape(family["name"])}</a></li>'
        for family in field["families"]
    )
    return f'<ol class="legend" aria-label="The columns">{items}</ol>'


def words(field: dict[str, Any], family: str) -> list[str]:
    """The methods of a family as Markdown: name, year, paper, idea, what it takes up, and where it is treated."""
    names = {method["id"]: f"{method['name']} {method['year']}" for method in field["methods"]}
    pages, lines = chapter_pages(), []
    for method in field["methods"]:
        if method["family"] != family:
            continue
        taken = [f"{what} ({names[early]})" for early, late, what in field["edges"] if late == method["id"]]
        links = ", ".join(f"[{n}](../notebooks/{pages[n]}.ipynb)" for n in method["chapters"])
        where = f"Chapter{'s' * (len(method['chapters']) > 1)} {links}." if links else "Not in this book."
        takes = f" Takes up {', '.join(taken)}." if taken else ""
        lines.append(
            f"- **{method['name']}, {method['year']}** {{cite}}`{method['paper']}`: {method['idea']}.{takes} {where}"
        )
    return lines


class FieldMap(Directive):
    """`{field-map}`: the drawing, once with ideas and once for narrow screens, and its legend."""

    def run(self) -> list[nodes.Node]:
        self.state.document.settings.env.note_dependency(str(SOURCE))
        field = read()
        both = drawing(field, "field-wide", wide=True) + drawing(field, "field-narrow", wide=False)
        html = f'<div class="field">{style(field)}{legend(field)}{both}</div>'
        return [nodes.raw("", html, format="html")]


class FieldList(Directive):
    """`{field-list} FAMILY`: its methods in words."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.state.document.settings.env.note_dependency(str(SOURCE))
        lines = words(read(), self.arguments[0])
        if not lines:
            raise self.error(f"No method of data/field.yml belongs to a family {self.arguments[0]!r}.")
        box = nodes.container()
        self.state.nested_parse(StringList(lines, str(SOURCE)), self.content_offset, box)
        return list(box.children)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("field-map", FieldMap)
    app.add_directive("field-list", FieldList)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
