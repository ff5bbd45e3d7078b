"""Picture credits from data/images/LEDGER.csv: the directive `{image-credits}`, and thumbnails made once."""

import csv
import html
import re
from pathlib import Path
from typing import Any

from book_local import IMAGES, ROOT
from docutils import nodes
from docutils.parsers.rst import Directive, directives
from PIL import Image
from sphinx.application import Sphinx

THUMBNAIL_HEIGHT = 120  # pixels on the page; stored at twice that
LICENSES = {
    "Public domain": "https://creativecommons.org/publicdomain/mark/1.0/",
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-2.0": "https://creativecommons.org/licenses/by/2.0/",
    "CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
}


def ledger() -> list[dict[str, str]]:
    """The rows of data/images/LEDGER.csv."""
    with (IMAGES / "LEDGER.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def linked(text: str) -> str:
    """Escapes `text` and turns its web addresses into links."""

    def link(address: str) -> str:
        host = address.split("//")[1].split("/")[0]
        return f'<a href="{html.escape(address)}">{html.escape(host)}</a>'

    parts = re.split(r"(https?://[^\s;]+)", text)
    return "".join(link(part) if n % 2 else html.escape(part) for n, part in enumerate(parts))


def thumbnail(row: dict[str, str]) -> str:
    return row["file"].replace(".", "_") + ".webp"


def credit(row: dict[str, str]) -> str:
    """One picture of the credits page."""
    title = row["title"]
    maker = " · ".join(html.escape(word) for word in (row["creator"], row["year"]) if word)
    license_ = html.escape(row["licence"])
    if row["licence"] in LICENSES:
        license_ = f'<a href="{LICENSES[row["licence"]]}">{license_}</a>'
    name = Path(row["file"]).stem
    by = f", by {row['creator']}" if row["creator"] else ""
    return (
        '<figure class="credit">'
        f'<img loading="lazy" height="{THUMBNAIL_HEIGHT}" src="../_static/credits/{thumbnail(row)}" '
        f'alt="Thumbnail: {html.escape(title + by)}">'
        f"<figcaption><p>{html.escape(title)}</p>{f'<p>{maker}</p>' if maker else ''}"
        f"<p>{license_} · <code>{html.escape(name)}</code></p>"
        f'<p class="source">Source: {linked(row["source"])}. Changes: {html.escape(row["changes"] or "none")}.'
        "</p>"
        "</figcaption></figure>"
    )


class ImageCredits(Directive):
    """`{image-credits} FOLDER`: that folder's pictures in the ledger, with license, source and changes."""

    required_arguments = 1
    option_spec = {"class": directives.class_option}  # noqa: RUF012 (docutils' own interface)

    def run(self) -> list[nodes.Node]:
        rows = [row for row in ledger() if row["file"].startswith(self.arguments[0] + "/")]
        if not rows:
            raise self.error(f"No picture of the ledger stands in {self.arguments[0]}/.")
        page = self.state.document.settings.env
        page.note_dependency(str(IMAGES / "LEDGER.csv"))
        text = '<div class="credits">' + "\n".join(credit(row) for row in rows) + "</div>"
        return [nodes.raw("", text, format="html")]


def write_thumbnails(app: Sphinx, problem: Exception | None) -> None:
    """Small WebP copies of every picture in the ledger, beside the pages; kept between builds."""
    if problem is not None or app.builder.format != "html":
        return
    for row in ledger():
        kept = ROOT / "_build" / "thumbnails" / (row["sha256"] + ".webp")
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(IMAGES / row["file"]) as picture:
                small = picture.convert("RGB")
                small.thumbnail((4 * THUMBNAIL_HEIGHT, 2 * THUMBNAIL_HEIGHT))
                small.save(kept, quality=72)
        target = Path(app.outdir) / "_static" / "credits" / thumbnail(row)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(kept.read_bytes())


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("image-credits", ImageCredits)
    app.connect("build-finished", write_thumbnails)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
