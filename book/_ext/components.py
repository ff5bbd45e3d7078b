"""Things of course_lib on the book's own pages: `{converter}` with its caption, `{painting}` for the gallery."""

import html
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from book_credits import LICENSES, ledger, thumbnail
from book_local import IMAGES, ROOT
from docutils import nodes
from docutils.parsers.rst import Directive, directives
from PIL import Image
from sphinx.application import Sphinx

from course_lib.teaching import interactive, records

LIGHT = 640  # pixels: the width of the picture that the page shows before it is clicked
GALLERY = "../_static/gallery"


class Converter(Directive):
    """`{converter} CAPTION`: loss weights on one paper's scale, in another's units."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        figure = interactive.converter(caption=" ".join(self.arguments[0].split()))
        return [nodes.raw("", figure._repr_html_(), format="html")]


def light_size(picture: Path) -> tuple[int, int]:
    """Width and height of the copy that the page shows; a small picture keeps its own."""
    with Image.open(picture) as opened:
        width, height = opened.size
    scale = min(1.0, LIGHT / width)
    return round(scale * width), round(scale * height)


def source(row: dict[str, str], kind: str, title: str) -> str:
    """The photograph or the painting, small; the picture credits have made its thumbnail."""
    name = html.escape(f"{kind}: {title}")
    return (
        f'<span class="source"><img loading="lazy" src="../_static/credits/{thumbnail(row)}" alt="{name}">'
        f"<small>{kind}</small></span>"
    )


class Painting(Directive):
    """`{painting} NAME`, and in its body what to look at: a stored run of scripts/gallery.py.

    Options: `:photo:` the photograph's name where the ledger has no readable title; `:chapter:` a notebook's stem.
    """

    required_arguments = 1
    has_content = True
    option_spec = {"photo": directives.unchanged_required, "chapter": directives.unchanged_required}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        name, look = self.arguments[0], " ".join(" ".join(self.content).split())
        if not look:
            raise self.error(f"The painting {name} has no words. Write one or two sentences on what to look at.")
        chapter = self.options.get("chapter", "03_gatys")
        if not (ROOT / "notebooks" / f"{chapter}.ipynb").exists():
            raise self.error(f"There is no notebooks/{chapter}.ipynb; name a chapter, such as 03_gatys.")
        try:
            record = records.load(f"gallery_{name}", profile="laptop")
        except records.RecordError as error:
            raise self.error(
                f"There is no intact stored run gallery_{name}. Paint it with: python -m scripts.gallery {name} "
                f"(scripts/gallery.py lists the names). {error}"
            ) from error
        page = self.state.document.settings.env
        for file in (record_file(record), IMAGES / "LEDGER.csv"):
            page.note_dependency(str(file))
        rows = {Path(row["file"]).stem: row for row in ledger()}
        photo, painting = rows[record.values["content"]], rows[record.values["style"]]
        title = self.options.get("photo") or unquote(photo["title"]).strip()
        before, after = hung(name, record, look, photo, painting, title, chapter)
        command = nodes.literal_block(record.command, record.command, language="bash")
        return [nodes.raw("", before, format="html"), command, nodes.raw("", after, format="html")]


def record_file(record: records.Record) -> Path:
    return picture_of(record).parent / "record.json"


def picture_of(record: records.Record) -> Path:
    return Path(record.images["painted"])  # type: ignore[arg-type]  # a stored run's pictures are paths


def hung(
    name: str,
    record: records.Record,
    look: str,
    photo: dict[str, str],
    painting: dict[str, str],
    title: str,
    chapter: str,
) -> tuple[str, str]:
    """The figure's HTML before and after the command, which Sphinx sets."""
    width, height = light_size(picture_of(record))
    maker = ", ".join(word for word in (painting["creator"], painting["year"]) if word)
    alt = html.escape(f"{title}, after {painting['title']}: {look}")
    license_ = html.escape(photo["licence"])
    if photo["licence"] in LICENSES:
        license_ = f'<a href="{LICENSES[photo["licence"]]}">{license_}</a>'
    before = (
        f'<figure class="painting" id="{name.replace("_", "-")}">'
        f'<a class="full" href="{GALLERY}/{name}.webp"><img loading="lazy" width="{width}" height="{height}" '
        f'src="{GALLERY}/{name}_light.webp" alt="{alt}"></a>'
        f'<div class="sources">{source(photo, "photograph", title)}{source(painting, "painting", painting["title"])}'
        f'</div><figcaption><p class="title">{html.escape(title)}, after <cite>{html.escape(painting["title"])}</cite> '
        f"({html.escape(maker)})</p><p>{html.escape(look)}</p><details><summary>How it was painted</summary>"
    )
    after = (
        f"<p>{record.values['seconds']:.0f} seconds on {html.escape(record.device)}. How it works: "
        f'<a href="../notebooks/{chapter}.html">chapter {int(chapter[:2])}</a>. Photograph: '
        f"{html.escape(unquote(photo['title']).strip())}, {html.escape(photo['creator'])} ({license_}); see the "
        '<a href="credits.html">picture credits</a>.</p></details></figcaption></figure>'
    )
    return before, after


def hang(app: Sphinx, problem: Exception | None) -> None:
    """The gallery's pictures beside the pages: as they were stored, and lighter."""
    if problem is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir) / "_static" / "gallery"
    for file in records.folder_of("", "laptop").glob("gallery_*/record.json"):
        full = picture_of(records.load(file.parent.name, profile="laptop"))
        name = file.parent.name.removeprefix("gallery_")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(full, folder / f"{name}.webp")
        with Image.open(full) as picture:
            light = picture.convert("RGB").resize(light_size(full), Image.Resampling.LANCZOS)
        light.save(folder / f"{name}_light.webp", quality=72, method=6)


def add_script(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: nodes.document | None) -> None:
    """The gallery's script, where there is one."""
    if '<figure class="painting"' in context.get("body", ""):
        app.add_js_file("gallery.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("converter", Converter)
    app.add_directive("painting", Painting)
    app.connect("html-page-context", add_script)
    app.connect("build-finished", hang)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
