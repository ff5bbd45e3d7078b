"""Pages for everybody: mends what the theme and its extensions get in the way of readers who hear or type a page.

Most of it is what axe-core finds on the pages as they are written (tests/browser); every change names its reason.
"""

import re
from pathlib import Path
from typing import Any

import wide_figures
from sphinx.application import Sphinx

CHANGES: list[tuple[str, str]] = [
    # A name that lacks the words one sees cannot be spoken to a computer: the words themselves are the name.
    (r'(<button class="btn search-button-field[^>]*?) aria-label="Search"', r"\1"),
    (r'<summary aria-label="Toggle hidden content">', "<summary>"),
    # Folded code is a line of its own kind, not a box with a title; where it is called the same open and shut, once.
    (r'<details class="admonition hide (?:above-input|setup)">', '<details class="fold">'),
    (
        r'<p class="collapsed admonition-title">([^<]*)</p>\s*<p class="expanded admonition-title">\1</p>',
        r"<span>\1</span>",
    ),
    (r'<p class="(collapsed|expanded) admonition-title">([^<]*)</p>', r'<span class="\1">\2</span>'),
    # A list of entries that are no list items, in a role that was withdrawn.
    (r'<div role="list" class="citation-list">', '<div class="citation-list">'),
    (r'(<div class="citation" id="[^"]*") role="doc-biblioentry">', r"\1>"),
    # The bar with the logo, the search and the contents is a part of the page that one can jump to.
    (
        r'<div class="bd-sidebar-primary bd-sidebar">',
        r'<div class="bd-sidebar-primary bd-sidebar" role="complementary" aria-label="Book">',
    ),
    # The theme writes the logo a second time for the dark, from a script; ours is the same in both.
    (r"<script>document\.write\(`<img [^`]*logo__image only-dark[^`]*`\);</script>", ""),
    (r'class="logo__image only-light"', 'class="logo__image"'),
]
SIGNATURE = re.compile(r'<dt class="sig .*?</dt>', re.DOTALL)
PARAMETERS = re.compile(
    r'(<span class="sig-paren">\(</span>)\s*<dl>(.*?)</dl>\s*(<span class="sig-paren">\)</span>)', re.DOTALL
)


def mend(page: str) -> str:
    """One page with its obstacles taken away."""
    for old, new in CHANGES:
        page = re.sub(old, new, page)
    return wide_figures.fit(SIGNATURE.sub(mend_signature, page))


def mend_signature(found: re.Match[str]) -> str:
    """Parameters on lines of their own, not as a list of definitions without a term; without a mark on every word."""
    text = re.sub(r'<span class="(?:pre|w)">([^<]*)</span>', r"\1", found[0])
    return PARAMETERS.sub(lines, text)


def lines(found: re.Match[str]) -> str:
    text = found[2].replace("<dd>", '<span class="sig-line">').replace("</dd>", "</span>")
    return f"{found[1]}{text.strip()}{found[3]}"


def mend_all(app: Sphinx, problem: Exception | None) -> None:
    if problem is not None or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        page.write_text(mend(page.read_text(encoding="utf-8")), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_js_file("access.js", loading_method="defer")
    app.connect("build-finished", mend_all, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
