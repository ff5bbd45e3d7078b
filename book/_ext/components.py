"""Things of course_lib on the book's own pages: `{converter}` with its caption; for the gallery, `{painting}` and
`{translator}`, a network that was trained without pairs.
"""

import html
import shutil
from pathlib import Path
from typing import Any

from book_credits import LICENSES, ledger, thumbnail
from book_local import IMAGES, ROOT
from docutils import nodes
from docutils.parsers.rst import Directive, directives
from PIL import Image
from sphinx.application import Sphinx

from course_lib.teaching import figures, interactive, records

LIGHT = 640  # pixels: the width of the picture that the page shows before it is clicked
GALLERY = "../_static/gallery"
SHOWN = 2  # streets or photos of a translator
KINDS = {  # its pictures → their names in stored runs
    "given": ("given", "photo"), "translated": ("translated", "drawn"), "truth": ("truth", "by the filter"),
    "attention": ("attention",), "changed": ("changed",),
}  # fmt: skip


class Converter(Directive):
    """`{converter} CAPTION`: loss weights on one paper's scale, in another's units."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        figure = interactive.converter(caption=" ".join(self.arguments[0].split()))
        return [nodes.raw("", figure._repr_html_(), format="html")]


class Painting(Directive):
    """`{painting} NAME`, and in its body what to look at: a picture that scripts/gallery.py has painted.

    Options: `:photo:` the photograph's name where the ledger has the name of a file; `:chapter:` a notebook's stem.
    """

    required_arguments = 1
    has_content = True
    option_spec = {"photo": directives.unchanged_required, "chapter": directives.unchanged_required}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        name, look = self.arguments[0], " ".join(" ".join(self.content).split())
        if not look:
            raise self.error(f"The painting {name} has no words: write one or two sentences on what to look at.")
        chapter = self.options.get("chapter", "03_gatys")
        if not (ROOT / "notebooks" / f"{chapter}.ipynb").exists():
            raise self.error(f"There is no notebooks/{chapter}.ipynb; name a chapter, for example 03_gatys.")
        try:
            record = records.load(f"gallery_{name}", profile="laptop")
        except records.RecordError:
            raise self.error(
                f"There is no stored run gallery_{name}, or it is damaged. Paint it: python -m scripts.gallery {name}; "
                "the names are listed in scripts/gallery.py."
            ) from None
        page = self.state.document.settings.env
        for file in (picture_of(record).with_name("record.json"), IMAGES / "LEDGER.csv"):
            page.note_dependency(str(file))
        rows = {Path(row["file"]).stem: row for row in ledger()}
        photo, painting = rows[record.values["content"]], rows[record.values["style"]]
        title = self.options.get("photo") or title_of(photo)
        command = nodes.literal_block(record.command, record.command, language="bash")
        before = frame(name, picture_of(record), title, look, photo, painting)
        after = f"{made(record, photo, chapter)}</details></figcaption></figure>"
        return [nodes.raw("", before, format="html"), command, nodes.raw("", after, format="html")]


class Translator(Directive):
    """`{translator} NAME`, and in its body what to look at: two pictures, and the errors of its stored run.

    Options: `:given:`, `:translated:`, `:truth:`, `:attention:` and `:changed:` are the titles of the pictures; those
    that are named are shown. The second and the third are required.
    """

    required_arguments = 1
    has_content = True
    option_spec = dict.fromkeys(KINDS, directives.unchanged_required)

    def run(self) -> list[nodes.Node]:
        name, look = self.arguments[0], " ".join(" ".join(self.content).split())
        if not look or not {"translated", "truth"} <= set(self.options):
            raise self.error(f"The translator {name} needs words on what to look at, and the titles of its pictures.")
        try:
            record = records.load(f"model_{name}", profile="laptop")
            caption = f"{look} {errors(record)} ({record.line})"
            pictures = shown(record, [kind for kind in KINDS if kind in self.options])
        except (records.RecordError, KeyError):
            raise self.error(
                f"There is no stored run model_{name} with errors, or it is damaged: python -m scripts.models {name}."
            ) from None
        files = [picture for row in pictures for picture in row.values()]
        self.state.document.settings.env.note_dependency(str(files[0].with_name("record.json")))
        titles = [self.options[kind] for row in pictures for kind in row]
        columns = 1 if is_strip(files[0]) else len(pictures[0])
        figure = figures.sheet(files, titles=titles, columns=columns, caption=caption, alt=look)
        return [nodes.raw("", figure._repr_html_(), format="html")]


def shown(record: records.Record, kinds: list[str]) -> list[dict[str, Path]]:
    """The pictures of these kinds, of the first streets or photos of a stored run."""
    images = record.images
    scenes = list(dict.fromkeys(name.partition(", ")[0] for name in images))[:SHOWN]

    def picture(scene: str, kind: str) -> Path:
        names = (f"{scene}, {word}" for word in KINDS[kind])
        return Path(images[next((name for name in names if name in images), f"{scene}, {kind}")])  # type: ignore[arg-type]

    return [{kind: picture(scene, kind) for kind in kinds} for scene in scenes]


def is_strip(picture: Path) -> bool:
    """Whether a picture shows one street in several weathers, side by side."""
    with Image.open(picture) as opened:
        return opened.width > 3 * opened.height


def errors(record: records.Record) -> str:
    """The errors of a network that translates without pairs, on pairs that it was not trained on, as a sentence."""
    error, scene = record.values["error"], "street"
    (method,) = error.keys() - {"as it is", "the photo itself", "color transfer"}
    if table := record.values.get("error of each translation"):
        scenes = f"streets outside the training set, from each of {len(table[method])} weathers to each other"
    elif photos := record.values.get("error of each photo"):
        scenes, scene = f"{len(photos[method])} photos outside the training set", "photo"
    else:
        of_each = (
            record.values.get("error of each street") or record.values["correlation of the attention with the change"]
        )
        scenes = f"{len(next(iter(of_each.values())))} streets outside the training set"
    untouched = error.get("as it is", error.get("the photo itself"))
    return (
        f"Mean difference of the colors, from 0 to 1, on {scenes}: {error[method]:.3f}; after one map of all colors, "
        f"{error['color transfer']:.3f}; of the {scene} as it is, {untouched:.3f}."
    )


def picture_of(record: records.Record) -> Path:
    return Path(record.images["painted"])  # type: ignore[arg-type]  # the pictures of a stored run are paths


def title_of(row: dict[str, str]) -> str:
    return row["called"][:1].upper() + row["called"][1:]


def light_size(picture: Path) -> tuple[int, int]:
    """Width and height of the copy that the page shows."""
    with Image.open(picture) as opened:
        width, height = opened.size
    scale = min(1.0, LIGHT / width)
    return round(scale * width), round(scale * height)


def frame(name: str, picture: Path, title: str, look: str, photo: dict[str, str], painting: dict[str, str]) -> str:
    """The figure up to the command that Sphinx sets."""
    width, height = light_size(picture)
    after = title_of(painting)
    maker = ", ".join(word for word in (painting["creator"], painting["year"]) if word)
    sources = "".join(
        f'<span class="source"><img loading="lazy" src="../_static/credits/{thumbnail(row)}" '
        f'alt="{kind}: {html.escape(words)}"><small>{kind}</small></span>'
        for kind, row, words in (("photograph", photo, title), ("painting", painting, after))
    )
    return (
        f'<figure class="painting" id="{name.replace("_", "-")}">'
        f'<a class="full" href="{GALLERY}/{name}.webp"><img loading="lazy" width="{width}" height="{height}" '
        f'src="{GALLERY}/{name}_light.webp" alt="{html.escape(f"{title}, after {after}. {look}")}"></a>'
        f'<div class="sources">{sources}</div>'
        f'<figcaption><p class="title">{html.escape(title)}, after <cite>{html.escape(after)}</cite> '
        f"({html.escape(maker)})</p><p>{html.escape(look)}</p><details><summary>How it was painted</summary>"
    )


def made(record: records.Record, photo: dict[str, str], chapter: str) -> str:
    """Below the command: what it took, the chapter that explains it, and whose photograph it is."""
    license_ = html.escape(photo["licence"])
    if photo["licence"] in LICENSES:
        license_ = f'<a href="{LICENSES[photo["licence"]]}">{license_}</a>'
    return (
        f"<p>{record.values['seconds']:.0f} seconds on {html.escape(record.device)}. How it works: "
        f'<a href="../notebooks/{chapter}.html">chapter {int(chapter[:2])}</a>. Photograph: '
        f"{html.escape(photo['title'])}, {html.escape(photo['creator'])} ({license_}); see the "
        '<a href="credits.html">picture credits</a>.</p>'
    )


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
    app.add_directive("translator", Translator)
    app.add_directive("painting", Painting)
    app.connect("html-page-context", add_script)
    app.connect("build-finished", hang)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
