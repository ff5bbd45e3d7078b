"""The page that paints in the browser: `{try-it} paint` and `{try-it} draw` are its panels, `{tried}` its numbers.

Everything shown comes from the folder that export.py makes and from the stored run `try_it`. Where the program that
runs the networks could not be had, the panels show their still pictures and say why.
"""

import html
import json
import os
import shutil
from pathlib import Path
from string import Template
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from PIL import Image
from sphinx.application import Sphinx

ROOT = Path(os.environ.get("COURSE_LIB_ROOT") or Path(__file__).resolve().parents[2])
MADE, RECORD = ROOT / "_build" / "try_it", ROOT / "data" / "results" / "try_it" / "record.json"
PAGE, FILES = "book/try_it/index", "../../_static/try_it"
UNMEASURED = "(not measured yet)"
TOOLS = {"pencil": "Pencil", "eraser": "Eraser", "house": "House", "window": "Window", "door": "Door", "tree": "Tree",
         "car": "Car"}  # fmt: skip
SKETCHER, SKETCH_SIDE = "facade_sketch", 128


def manifest() -> dict[str, Any]:
    """What export.py made."""
    try:
        found: dict[str, Any] = json.loads((MADE / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SystemExit(f"{MADE} is not there: scripts/render.py makes it, or python -m book.try_it.export.") from None
    return found


def record() -> dict[str, Any]:
    """The stored run, empty where there is none yet."""
    return json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}


def credit(picture: dict[str, str]) -> str:
    made = ", ".join(part for part in (picture["creator"], picture["year"]) if part)
    return f"{picture['title']}, {made} ({picture['licence']})"


def tile(picture: dict[str, str], group: str, source: str, *, by: str = "", checked: bool) -> str:
    """One picture to choose: a radio button that looks like what it stands for."""
    label, maker = html.escape(picture["label"]), f" <small>{html.escape(by)}</small>" if by else ""
    return (
        f'<label class="tile"><input type="radio" name="{group}" value="{picture["name"]}" data-title="{label}" '
        f'data-credit="{html.escape(credit(picture))}"{" checked" if checked else ""}>'
        f'<img src="{FILES}/pictures/{source}.webp" {size(source)} alt="{label}" loading="lazy">'
        f"<span>{label}{maker}</span></label>"
    )


def sides(name: str) -> tuple[int, int]:
    """Width and height of a picture of the page."""
    with Image.open(MADE / "pictures" / f"{name}.webp") as picture:
        return picture.size


def size(name: str) -> str:
    width, height = sides(name)
    return f'width="{width}" height="{height}"'


def surname(name: str) -> str:
    """``van Gogh`` of Vincent van Gogh, ``Hokusai`` of Katsushika Hokusai."""
    return " ".join(name.split()[1:])


def painters(made: dict[str, Any], group: str, chosen: str) -> str:
    return "".join(
        tile(one, group, one["name"], by=surname(one["creator"]), checked=one["name"] == chosen)
        for one in made["painters"]
    )


def panel(which: str) -> str:
    """One panel as HTML."""
    made = manifest()
    runtime, first, photo = made["runtime"], made["painters"][0], made["photos"][0]
    (street,) = (one for one in made["painters"] if one["name"] == made["street painter"])
    if runtime:
        sizes = html.escape(json.dumps(made["models"]))
        data = f'data-root="{FILES}/" data-sizes="{sizes}" data-runtime="{runtime["bytes"]}"'
        greeting = "Computed in advance; the next picture is made by your own machine."
        greeting += "<noscript> That needs scripts, and this browser has them switched off.</noscript>"
    else:
        data = ""
        greeting = f"These pictures stay as they are. {html.escape(' '.join(made['notes']))}"
    words = {
        "data": data,
        "greeting": greeting,
        "root": FILES,
        "painters": painters(
            made, *(("painter", first["name"]) if which == "paint" else ("pad_painter", street["name"]))
        ),
        "street_title": html.escape(street["label"]),
        "first_title": html.escape(first["label"]),
        "still_title": html.escape(photo["title"]),
        "still_credit": html.escape(credit(photo)),
        "ratio": "{} / {}".format(*sides("still_before")),
        "still_size": size("still_before"),
        "sketch_size": size(made["scenes"][0]),
        "street_size": size("still_street"),
        "photos": "".join(
            tile(one, "photo", f"{one['name']}_small", checked=k == 0) for k, one in enumerate(made["photos"])
        ),
        "sketcher": SKETCHER,
        "side": SKETCH_SIDE,
        "first_scene": made["scenes"][0],
        "tools": "".join(
            f'<label><input type="radio" name="tool" value="{name}"{" checked" if name == "pencil" else ""}>'
            f"<span>{word}</span></label>"
            for name, word in TOOLS.items()
        ),
        "samples": "".join(
            f'<button type="button" class="tile" data-sample="{name}">'
            f'<img src="{FILES}/pictures/{name}.webp" {size(name)} alt="Drawing {k}" loading="lazy"></button>'
            for k, name in enumerate(made["scenes"], 1)
        ),
    }
    template = Path(__file__).with_name(f"{which}.html").read_text(encoding="utf-8")
    return Template(template).substitute(words)


class TryIt(Directive):
    """`{try-it} paint` or `{try-it} draw`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        which = self.arguments[0]
        if which not in ("paint", "draw"):
            raise self.error(f"there are panels paint and draw, not {which!r}")
        page = self.state.document.settings.env
        for file in (MADE / "manifest.json", Path(__file__).with_name(f"{which}.html")):
            page.note_dependency(str(file))
        return [nodes.raw("", panel(which), format="html")]


def milliseconds(value: float) -> str:
    return f"{value / 1000:.1f} s" if value >= 950 else f"{value:.2g} ms" if value < 10 else f"{value:.0f} ms"


def megabytes(value: float) -> str:
    return f"{value / 1e6:.2g} MB" if value < 1e7 else f"{value / 1e6:.1f} MB"


def facts() -> dict[str, str]:
    """Every number of the page by the name that `{tried}` knows it by."""
    stored = record()
    if not stored:
        return {}
    values = stored["values"]
    painter = json.loads((RECORD.parents[1] / "model_great_wave" / "record.json").read_text(encoding="utf-8"))
    found = {
        "runtime": values["runtime"],
        "browser": values["browser"],
        "device": stored["device"],
        "program": megabytes(values["program bytes"]),
        "unpacked": megabytes(values["program bytes unpacked"] + values["painter bytes"]["8"]),
        "painter": megabytes(values["painter bytes"]["8"]),
        "painter 16": megabytes(values["painter bytes"]["16"]),
        "painter 32": megabytes(values["painter bytes"]["32"]),
        "sketcher": megabytes(values["sketcher bytes"]["8"]),
        "first fetch": megabytes(values["program bytes"] + values["painter bytes"]["8"]),
        "parameters": f"{painter['values']['parameters']:,}",
        "load": milliseconds(values["ms to load"]),
        "sketch": milliseconds(values["ms"]["sketch"]),
        "sketch ratio": f"{values['ratio']['sketch']:.2g}",
    }
    for size, ms in values["ms"].items():
        found |= {f"ms {size}": milliseconds(ms), f"ratio {size}": f"{values['ratio'][size]:.2g}"}
        found[f"torch {size}"] = milliseconds(values["ms of PyTorch"][size])
    found |= {f"dB {name}": f"{number:.0f} dB" for name, number in values["dB"].items()}
    return {name: str(value) for name, value in found.items()}


def tried(
    name: str, raw: str, text: str, line: int, inliner: Any, options: Any = None, content: Any = None
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """`` {tried}`ms 512` ``: a number of the stored run."""
    inliner.document.settings.env.note_dependency(str(RECORD))
    known, text = facts(), " ".join(text.split())
    if known and text not in known:
        message = inliner.reporter.error(f"the stored run try_it has no {text!r}; it has {', '.join(known)}", line=line)
        return [inliner.problematic(raw, raw, message)], [message]
    return [nodes.inline("", known.get(text, UNMEASURED), classes=["tried"])], []


class Times(Directive):
    """`{try-it-times}`: the table of what was measured."""

    def run(self) -> list[nodes.Node]:
        self.state.document.settings.env.note_dependency(str(RECORD))
        known, stored = facts(), record()
        if not known:
            text = "Nothing was measured yet: <code>python -m benchmarks.try_it --record</code> does it."
            return [nodes.raw("", f"<p>{text}</p>", format="html")]
        rows = [(f"a painter, {size} px", size) for size in ("256", "512", "1024")]
        rows.append((f"from sketch to street, {SKETCH_SIDE} px", "sketch"))
        cells = "".join(
            f'<tr><th scope="row">{word}</th><td>{known[f"ms {key}"]}</td><td>{known[f"torch {key}"]}</td>'
            f"<td>{known[f'ratio {key}']}</td></tr>"
            for word, key in rows
        )
        note = html.escape(
            f"Medians. {known['browser']}, onnxruntime-web {known['runtime']} and torch {stored['versions']['torch']}, "
            f"one thread each, taking turns on one machine ({known['device']}). Before the first picture: "
            f"{known['load']} to fetch {known['first fetch']} from the same machine, unpack it to {known['unpacked']} "
            "and start. "
        )
        table = (
            '<figure class="table tried-times"><table><thead><tr><th scope="col">one pass of</th>'
            '<th scope="col">this page</th><th scope="col">PyTorch</th><th scope="col">ratio</th></tr></thead>'
            f"<tbody>{cells}</tbody></table><figcaption>{note}Made by <code>{html.escape(stored['command'])}</code>."
            "</figcaption></figure>"
        )
        return [nodes.raw("", table, format="html")]


def add_files(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: nodes.document | None) -> None:
    """Style and script on this page, and on no other."""
    if page == PAGE:
        app.add_css_file("try_it/try_it.css")
        app.add_js_file("try_it/start.js", loading_method="defer")


def add_static_folder(app: Sphinx, config: Any) -> None:
    """The page's style and scripts, of a folder of its own."""
    config.html_static_path = [*config.html_static_path, "book/try_it/_static"]


def copy_files(app: Sphinx, problem: Exception | None) -> None:
    """The networks, the program and the pictures, beside the page's own scripts."""
    if problem is None and app.builder.format == "html":
        for part in ("models", "pictures", "runtime"):
            shutil.copytree(MADE / part, Path(app.outdir) / "_static" / "try_it" / part, dirs_exist_ok=True)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("try-it", TryIt)
    app.add_directive("try-it-times", Times)
    app.add_role("tried", tried)
    app.connect("config-inited", add_static_folder)
    app.connect("html-page-context", add_files)
    app.connect("build-finished", copy_files)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
