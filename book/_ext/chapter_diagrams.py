"""A chapter's diagram on its page: both drawings in place of the notebook's picture. No setup(): components uses it.

In the page itself the drawings take the theme's colors, and the column's width chooses between them.
"""

import re

from book_local import ROOT
from docutils import nodes
from sphinx.application import Sphinx

FOLDER = ROOT / "book" / "_static" / "diagrams"
FIGURE = re.compile(r'<figure class="diagram" id="diagram-(\w+)">\s*<img [^>]*?alt="([^"]*)"[^>]*>')
ROOT_TAG = re.compile(r'<svg xmlns="[^"]*" (viewBox="[^"]*") width="[^"]*" height="[^"]*">')


def inline(name: str, alt: str, *, wide: bool) -> str:
    """One drawing as a part of a page; `alt` is escaped. The wide one brings the rules for both."""
    text = (FOLDER / f"{name}{'' if wide else '_narrow'}.svg").read_text(encoding="utf-8").strip()
    text = text if wide else re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
    kind = "wide" if wide else "narrow"
    head = f'<svg class="{kind}" role="img" aria-label="{alt}" '
    return ROOT_TAG.sub(lambda tag: f"{head}{tag[1]}>", text, count=1)


def put_in(app: Sphinx, tree: nodes.document) -> None:
    """Replaces the picture in each diagram's figure."""
    for node in tree.findall(nodes.raw):
        found = FIGURE.search(node.rawsource or node.astext())
        if not found:
            continue
        name, alt = found.groups()
        for file in (FOLDER / f"{name}.svg", FOLDER / f"{name}_narrow.svg"):
            app.env.note_dependency(str(file))
        drawings = inline(name, alt, wide=True) + inline(name, alt, wide=False)
        text = node.astext().replace(found[0], f'<figure class="diagram" id="diagram-{name}">{drawings}')
        node.children[:] = [nodes.Text(text)]
        node.rawsource = text
