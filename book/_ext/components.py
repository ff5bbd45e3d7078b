"""Components of course_lib.teaching.interactive on the book's own pages: `{converter}` with its caption."""

from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from course_lib.teaching import interactive


class Converter(Directive):
    """`{converter} CAPTION`: loss weights on one paper's scale, in another's units."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        figure = interactive.converter(caption=" ".join(self.arguments[0].split()))
        return [nodes.raw("", figure._repr_html_(), format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("converter", Converter)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
