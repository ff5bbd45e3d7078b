"""Local Sphinx extension: autodoc finds course_lib, credits come from the ledger, nothing is loaded from outside."""

import csv
import html
import json
import os
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from docutils import nodes
from docutils.parsers.rst import Directive, directives
from PIL import Image
from sphinx.application import Sphinx

ROOT = Path(os.environ.get("COURSE_LIB_ROOT") or Path(__file__).resolve().parents[2])
IMAGES = ROOT / "data" / "images"
THUMBNAIL_HEIGHT = 120  # pixels on the page; stored at twice that
LICENSES = {
    "Public domain": "https://creativecommons.org/publicdomain/mark/1.0/",
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-2.0": "https://creativecommons.org/licenses/by/2.0/",
    "CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
}

# Not in _config.yml: there it would replace what Jupyter Book fills in (repository, launch buttons).
THEME_OPTIONS = {
    "logo": {"text": "Painting with Networks", "alt_text": "Painting with Networks, home"},
    "show_toc_level": 2,
    "pygments_light_style": "tango",
    "pygments_dark_style": "monokai",
}

sys.path.insert(0, str(ROOT))

from course_lib import claims  # noqa: E402


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
    title = unquote(row["title"]) or Path(row["file"]).stem
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


def cost(name: str) -> str:
    """What the stored run `name` cost, as a box for the margin; empty where there is no such run."""
    file = ROOT / "data" / "results" / name / "record.json"
    if not file.exists():
        return ""
    record = json.loads(file.read_text(encoding="utf-8"))
    minutes = record["minutes"]
    spent = f"{minutes:.1f} min" if minutes >= 1 else f"{60 * minutes:.0f} s"
    memory = f", {record['peak_memory_gb']:.1f} GB" if record["peak_memory_gb"] else ""
    words = [f"<b>{spent}{memory}</b>", html.escape(record["device"]), f"{record['profile']} profile, measured"]
    return (
        f'<aside class="margin cost" aria-label="What the next cell cost">'
        f'<p class="cost-title">Cost of <code>{html.escape(name)}</code></p><p>{"<br>".join(words)}</p></aside>'
    )


def add_costs(app: Sphinx, tree: nodes.document) -> None:
    """Beside every cell that makes a stored run: its minutes, memory and device, from the record itself."""
    for cell in list(tree.findall(nodes.container)):
        if cell.get("nb_element") != "cell_code":
            continue
        source = "\n".join(block.astext() for block in cell.findall(nodes.literal_block))
        boxes = [cost(name) for name in re.findall(r"records\.run\(\s*[\"']([^\"']+)", source)]
        if any(boxes) and cell.parent is not None:
            place = cell.parent.index(cell)
            cell.parent.insert(place, nodes.raw("", "".join(boxes), format="html"))


def anchor(name: str) -> str:
    """Where on its page the cell that checks a claim can be found."""
    return "claim-" + re.sub(r"[^a-z0-9]+", "-", name.lower())


def add_anchors(app: Sphinx, tree: nodes.document) -> None:
    """A place to jump to before every cell that checks a claim."""
    for cell in list(tree.findall(nodes.container)):
        if cell.get("nb_element") != "cell_code" or cell.parent is None:
            continue
        source = "\n".join(block.astext() for block in cell.findall(nodes.literal_block))
        names = re.findall(r"claims\.check\(\s*[\"']([^\"']+)", source)
        marks = "".join(f'<span class="claim-mark" id="{anchor(name)}"></span>' for name in names)
        if marks:
            cell.parent.insert(cell.parent.index(cell), nodes.raw("", marks, format="html"))


def paper_names() -> dict[str, str]:
    """``gatys2016style`` → ``Gatys, Ecker & Bethge 2016``, from the bibliography."""
    found = {}
    text = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    for key, body in re.findall(r"@\w+\{(\w+),(.*?)\n\}", text, re.DOTALL):
        authors = re.search(r"author\s*=\s*\{(.*?)\},?\n", body)
        names = [re.sub(r"[{}]", "", name).split(",")[0] for name in (authors[1].split(" and ") if authors else [key])]
        who = " & ".join(names) if len(names) <= 2 else f"{', '.join(names[:-1])} & {names[-1]}"
        if len(names) > 3:
            who = f"{names[0]} et al."
        year = re.search(r"year\s*=\s*\{?(\d{4})", body)
        found[key] = f"{who} {year[1]}" if year else f"{who}, undated"
    return found


def claim_row(found: Any, chapters: dict[str, str]) -> str:
    """One claim of the ledger: what is said, what we found, the verdict, and where to look."""
    claim, word = found.claim, html.escape
    place = (
        f'<a href="../notebooks/{chapters[claim.chapter]}.html#{anchor(claim.id)}">the cell</a>'
        if claim.chapter
        else ""
    )
    theirs = f"{word(claim.value or 'an ordering')} <small>({word(claims.CERTAINTIES[claim.certainty])})</small>"
    rows = [("Said in", word(claim.where)), ("Setting", word(claim.setting)), ("The paper", theirs)]
    if found.value:
        rows += [
            ("Here", word(found.value)),
            ("Measured", word(claim.measure)),
            ("From", f"{word(found.line)} · {place}"),
        ]
    rows += [("Why", word(claim.note or claim.not_attempted))]
    lines = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in rows if text)
    kind = found.verdict.replace(" ", "-")
    return (
        f'<section class="claim {kind}" id="{anchor(claim.id)}"><p class="claim-head">'
        f'<span class="verdict">{word(found.verdict)}</span> {word(claim.claim)}</p>'
        f"<dl><dt>Claim</dt><dd><code>{word(claim.id)}</code></dd>{lines}</dl></section>"
    )


class Ledger(Directive):
    """`{ledger}`: every claim with its verdict, from data/claims.yml and the stored runs alone."""

    def run(self) -> list[nodes.Node]:
        page = self.state.document.settings.env
        page.note_dependency(str(claims.claims_file()))
        for record in (ROOT / "data" / "results").glob("*/record.json"):
            page.note_dependency(str(record))
        chapters = {path.name[:2]: path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}
        findings, names = claims.ledger(), paper_names()
        counts = [(word, sum(found.verdict == word for found in findings)) for word in claims.VERDICTS]
        parts = ['<p class="ledger-sum">' + " · ".join(f"<b>{count}</b> {word}" for word, count in counts) + "</p>"]
        nodes_: list[nodes.Node] = []
        for paper in dict.fromkeys(found.claim.paper for found in findings):
            section = nodes.section(ids=[f"ledger-{paper}"])
            section += nodes.title("", names[paper])
            rows = "".join(claim_row(found, chapters) for found in findings if found.claim.paper == paper)
            section += nodes.raw("", rows, format="html")
            nodes_.append(section)
        return [nodes.raw("", "".join(parts), format="html"), *nodes_]


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
    # The theme's icon script rewrites ipywidgets' player and everything linked to it unless this is set before it.
    setting = "<script>window.FontAwesomeConfig = {autoReplaceSvg: false};</script>"
    context["metatags"] = setting + context.get("metatags", "")


def drop_preloads(app: Sphinx, problem: Exception | None) -> None:
    """Removes the theme's font preloads: on a page opened as a file, each is an error on the console."""
    if problem is not None or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        page.write_text(re.sub(r"<link rel=\"preload\" as=\"font\"[^>]*>\s*", "", text), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("image-credits", ImageCredits)
    app.connect("config-inited", set_theme_options)
    app.add_directive("ledger", Ledger)
    app.connect("doctree-read", add_costs)
    app.connect("doctree-read", add_anchors)
    app.connect("autodoc-process-signature", mend_signature)
    app.connect("html-page-context", mend_page, priority=900)
    app.connect("build-finished", write_thumbnails)
    app.connect("build-finished", drop_preloads)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
