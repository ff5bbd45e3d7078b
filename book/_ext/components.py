"""Things of course_lib on the book's own pages: `{converter}` with its caption; for the gallery, `{painting}` and
`{translator}`, a network that was trained without pairs; for the page Play, `{explorable}`, also on a page of its own.
"""

import html
import json
import shutil
from pathlib import Path
from typing import Any

import chapter_diagrams
from book_credits import LICENSES, ledger, thumbnail
from book_local import IMAGES, ROOT
from docutils import nodes
from docutils.parsers.rst import Directive, directives
from PIL import Image
from sphinx.application import Sphinx

from course_lib.teaching import figures, interactive, records

LIGHT = 640  # pixels: the width of the picture that the page shows before it is clicked
GALLERY = "../_static/gallery"
EXPLORABLES = {  # its kind → its chapter, its title, and how high it is at a width of 780 pixels
    "feature-explorer": ("01_what_a_network_sees", "The feature explorer", 1260),
    "gan-laboratory": ("08_two_players", "The GAN laboratory", 1000),
    "gram-explorer": ("02_style_is_statistics", "The Gram explorer", 1270),
    "normalizations": ("12_any_style", "Four normalizations", 720),
    "optimizers-road": ("05_what_it_costs", "The optimizer's road", 1190),
    "overlaps": ("11_when_it_goes_wrong", "Overlaps of a transposed convolution", 840),
}
ALONE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} – {book}</title>
<style>:root{{color-scheme:light dark}}
body{{margin:.8em auto;padding:0 .8em;max-width:50em;font:16px/1.45 sans-serif}}
h1{{font-size:1.2em;margin:0 0 .6em}}
main>p{{font-size:.9em}}
</style></head><body><main><h1>{title}</h1>
{figure}
<p><a href="../../notebooks/{chapter}.html" target="_top">From chapter {number} of {book}</a></p>
</main></body></html>
"""
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


class Explorable(Directive):
    """`{explorable} KIND`: a component as its chapter shows it, its own page, and a line to put it into other pages."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        kind, env = self.arguments[0], self.state.document.settings.env
        if kind not in EXPLORABLES:
            raise self.error(f"There is no explorable {kind}; there are {', '.join(EXPLORABLES)}.")
        chapter, title, height = EXPLORABLES[kind]
        notebook = Path(env.srcdir) / "notebooks" / f"{chapter}.ipynb"
        env.note_dependency(str(notebook))
        page = f"_static/play/{kind}.html"
        address = f"{env.config.html_baseurl}{page}"
        snippet = f'<iframe src="{address}" title="{title}" width="780" height="{height}" style="border:0"></iframe>'
        before = (
            f'{in_chapter(kind, notebook)}<p><a href="../{page}">{html.escape(title)} on a page of its own</a>, '
            "to show or to link; in your own page or slides:</p>"
        )
        return [nodes.raw("", before, format="html"), nodes.literal_block(snippet, snippet, language="text")]


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


def in_chapter(kind: str, notebook: Path) -> str:
    """The HTML of a component, as the last run of its chapter left it."""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            page = "".join(output.get("data", {}).get("text/html", []))
            if f'class="play" data-kind="{kind}"' in page:
                return page
    raise ValueError(
        f"{notebook.name} shows no {kind}: execute it, python -m scripts.execute --in-place {notebook.stem}"
    )


def set_apart(app: Sphinx, problem: Exception | None) -> None:
    """A page for each explorable, which holds all that it needs."""
    if problem is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir) / "_static" / "play"
    folder.mkdir(parents=True, exist_ok=True)
    for kind, (chapter, title, _) in EXPLORABLES.items():
        figure = in_chapter(kind, Path(app.srcdir) / "notebooks" / f"{chapter}.ipynb")
        names = {"title": title, "book": html.escape(app.config.html_title), "number": int(chapter[:2])}
        page = ALONE.format(figure=figure, chapter=chapter, **names)
        (folder / f"{kind}.html").write_text(page, encoding="utf-8")


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
    """The script that shows a picture on its own, where there are pictures."""
    if "<figure" in context.get("body", ""):
        app.add_js_file("pictures.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("converter", Converter)
    app.add_directive("explorable", Explorable)
    app.add_directive("translator", Translator)
    app.add_directive("painting", Painting)
    app.connect("doctree-read", chapter_diagrams.put_in)
    app.connect("html-page-context", add_script)
    app.connect("build-finished", hang)
    app.connect("build-finished", set_apart, priority=900)  # after book_light, which would make files of its pictures
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
