"""Formulas as MathML, written when the book is built: no script on the page, nothing jumps, screen readers read them.

Sphinx's own renderer ships a script of more than a megabyte to every page with a formula. Browsers have set MathML
themselves since 2023; the font (scripts/fonts.py) comes with the book, because not every
system has one with mathematical signs.
"""

import re
from html import escape, unescape
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

LOGGER = logging.getLogger(__name__)
CONVERTER = LatexToMathML(fancy_error=False)
# A bracket that may stretch takes, in every browser, the width of the widest it could become: a gap around small ones.
FENCES = ("(", ")", "[", "]", "|", "‖")
TALL = {"mfrac", "mtable", "munder", "munderover", "mover", "msqrt", "mroot"}
BIG = "1.2em"  # what the converter makes of big brackets
PRIME = "′"
# A sign above a letter that has no width of its own is put beside the letter by browsers; what stands instead.
WIDE = {"\u20d7": "→"}
WIDE_SIZE = "0.6em"
# What a paper calls the equation, at the end of it: it stands at the margin, or below where there is no room.
NAME = re.compile(r"\s*\\qquad\s*\\text\{(\([^{}]*\bEqs?\.[^{}]*\))\}(?=\.?\s*(?:\\end\{aligned\}\s*)?$)")
NUMBERED = re.compile(r"(\\(?:begin|end)\{(?:align|equation|gather|multline|flalign|alignat))\}")


def formula(tex: str, *, display: bool) -> str:
    r"""One formula as a `<math>` element.

    Args:
        tex: LaTeX without dollars; `\\` outside any environment breaks lines at the `&`.
        display: on a line of its own.

    Raises:
        LatexError: what the converter cannot read.
    """
    tex = re.sub(r"(\\\\)\s*\[[\d.]+[a-z]{2}\]", r"\1", tex.strip())  # extra space between rows
    tex = NUMBERED.sub(r"\1*}", tex)  # numbers are Sphinx's business
    if display and r"\\" in tex and not tex.startswith(r"\begin") and _breaks_outside(tex):
        tex = rf"\begin{{aligned}}{tex}\end{{aligned}}"
    text = CONVERTER.convert_with_local_state(tex, displaystyle=display)
    text = re.sub(r"&(?!(?:amp|lt|gt|quot|#\w+);)\w+;", lambda name: unescape(name[0]), text)  # XML has only four names
    tree = ElementTree.fromstring(text)
    for element in tree.iter():
        inner = list(element)
        fenced = len(inner) > 1 and all(end.tag == "mo" and end.text in FENCES for end in (inner[0], inner[-1]))
        if fenced and not any(part.tag in TALL for part in element.iter()):
            for end in (inner[0], inner[-1]):
                end.set("stretchy", "false")
        if element.tag == "mo" and element.get("minsize") == BIG:
            element.attrib = {"stretchy": "false", "lspace": "0", "rspace": "0", "style": f"font-size:{BIG}"}
        if element.tag == "msup" and inner[1].text == PRIME:  # the sign is small and high as it is
            element.tag = "mrow"
            inner[1].attrib = {"lspace": "0", "rspace": "0"}
        if element.tag == "mover" and inner[1].text in WIDE:
            inner[1].text = WIDE[inner[1].text]
            inner[1].attrib = {"stretchy": "false", "lspace": "0", "rspace": "0", "style": f"font-size:{WIDE_SIZE}"}
    return ElementTree.tostring(tree, encoding="unicode").replace("\ufe00", "")  # the font has one script alphabet


def _breaks_outside(tex: str) -> bool:
    """Whether a line break stands outside every environment."""
    depth = 0
    for token in re.findall(r"\\begin\b|\\end\b|\\\\", tex):
        if token == r"\\" and depth == 0:
            return True
        depth += {r"\begin": 1, r"\end": -1}.get(token, 0)
    return False


def _written(node: nodes.Element, *, display: bool) -> str:
    parts = [part for part in node.astext().split("\n\n") if part.strip()] if display else [node.astext()]
    try:
        return "".join(formula(part, display=display) for part in parts)
    except LatexError as error:
        LOGGER.warning("math-core cannot read the formula %r: %s", node.astext(), error, location=node)
        return f"<code>{node.astext()}</code>"


def visit_inline(self: Any, node: nodes.math) -> None:
    text = _written(node, display=False)
    self.body.append(self.starttag(node, "span", "", CLASS="math notranslate nohighlight") + text + "</span>")
    raise nodes.SkipNode


def name_of(tex: str) -> tuple[str, str]:
    """A formula without what a paper calls it, and that name, which may be empty: ``"(Eq. 1)"``."""
    tex = tex.strip()
    found = NAME.search(tex)
    return (NAME.sub("", tex), found[1]) if found else (tex, "")


def visit_block(self: Any, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math notranslate nohighlight"))
    tex, name = name_of(node.astext())
    if name:
        node.children = [nodes.Text(tex)]
        self.body.append(f'<span class="eqno">{escape(name, quote=False)}</span>')
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(_written(node, display=True) + "</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
