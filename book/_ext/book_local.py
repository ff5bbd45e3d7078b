"""Local Sphinx extension: where the tree's files lie, the theme's settings, and nothing loaded from outside."""

import os
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

ROOT = Path(os.environ.get("COURSE_LIB_ROOT") or Path(__file__).resolve().parents[2])
IMAGES = ROOT / "data" / "images"

# Not in _config.yml: there it would replace what Jupyter Book fills in (repository, launch buttons).
THEME_OPTIONS = {
    "logo": {"text": "Painting with Networks", "alt_text": "Painting with Networks, home"},
    "show_toc_level": 2,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
# The theme chooses light or dark at the end of the page; until then code has no colors and lines another height.
EARLY_THEME = """(() => {
  const page = document.documentElement.dataset;
  if (page.theme === "auto") page.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
})();"""


def set_theme_options(app: Sphinx, config: Any) -> None:
    config.html_theme_options = {**config.html_theme_options, **THEME_OPTIONS}


def mend_signature(
    app: Sphinx, what: str, name: str, thing: object, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None] | None:
    """Writes a default such as `(*A, B)` as `A + (B,)`: Sphinx cannot read a star inside a default."""
    if signature is None or "(*" not in signature[1:]:
        return None
    return signature[0] + re.sub(r"\(\*(\w+), (\w+)\)", r"\1 + (\2,)", signature[1:]), returns


def mend_page(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: nodes.document | None) -> None:
    """Takes away what would ask another machine or break a page."""
    # thebe is added twice (an error on every page) and would load from outside; nothing here uses it.
    context["script_files"] = [
        script for script in context.get("script_files", []) if "thebe" not in str(script).lower()
    ]
    context["css_files"] = [sheet for sheet in context.get("css_files", []) if "thebe" not in str(sheet).lower()]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_js_file(None, body=EARLY_THEME, priority=1)
    app.connect("config-inited", set_theme_options)
    app.connect("autodoc-process-signature", mend_signature)
    app.connect("html-page-context", mend_page, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
