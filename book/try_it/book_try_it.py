"""The page that paints in the browser: `{try-it} paint` and five more are its panels, `{tried}` its numbers.

Everything shown comes from the folder that export.py makes and from the stored runs of the page. Where the program that
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
from tried_numbers import SKETCH_SIDE, Times, tried

ROOT = Path(os.environ.get("COURSE_LIB_ROOT") or Path(__file__).resolve().parents[2])
MADE = ROOT / "_build" / "try_it"
PAGE, FILES = "book/try_it/index", "../../_static/try_it"
PANELS = ("paint", "camera", "any", "draw", "dusk", "noise")
ON_GPU = ("camera", "any")  # panels that use a graphics processor where there is one
TOOLS = {"pencil": "Pencil", "eraser": "Eraser", "house": "House", "window": "Window", "door": "Door", "tree": "Tree",
         "car": "Car"}  # fmt: skip
SKETCHER, TRANSLATOR = "facade_sketch", "clear_dusk"
MAPPING, NOISE_PAINTER = "streets_style", "streets"


def manifest() -> dict[str, Any]:
    """What export.py made."""
    try:
        found: dict[str, Any] = json.loads((MADE / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SystemExit(f"{MADE} is not there: scripts/render.py makes it, or python -m book.try_it.export.") from None
    return found


def credit(picture: dict[str, str]) -> str:
    made = ", ".join(part for part in (picture["creator"], picture["year"]) if part)
    return f"{picture['title']}, {made} ({picture['licence']})"


def tile(picture: dict[str, str], group: str, source: str, *, by: str = "", checked: bool) -> str:
    """One picture to choose: a radio button that looks like what it stands for."""
    label, maker = html.escape(picture["label"]), f" <small>{html.escape(by)}</small>" if by else ""
    about = f'data-credit="{html.escape(credit(picture))}"' if "licence" in picture else ""  # a drawn street has none
    return (
        f'<label class="tile"><input type="radio" name="{group}" value="{picture["name"]}" data-title="{label}" '
        f"{about}{' checked' if checked else ''}>"
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


def own(group: str) -> str:
    """Two tiles: the visitor's own picture, once there is one, and the field that opens it."""
    return (
        f'<label class="tile own-choice" hidden><input type="radio" name="{group}" value="own" '
        'data-title="your picture">'
        "<canvas></canvas><span>Yours</span></label>\n"
        '<label class="tile"><input type="file" accept="image/*" data-is="file"><b aria-hidden="true">+</b>'
        "<span>Your own</span></label>"
    )


def reasons(made: dict[str, Any], which: str) -> str:
    """Why a panel has no more than its pictures; empty where it can compute new ones."""
    left_out = made["any style left out"] if which == "any" else ""
    return " ".join(made["notes"]) if made["runtime"] is None else left_out


def stills(made: dict[str, Any]) -> str:
    """What two networks made of any photograph and any painting, for a copy of the page that lacks them."""
    titles = {one["name"]: one["label"] for one in (*made["photos"], *made["paintings"])}
    found = ""
    for name, (photo, *paintings) in made["stills"].items():
        words = html.escape(f"{titles[photo]}, in the style of {' and '.join(titles[one] for one in paintings)}")
        picture = f'<img src="{FILES}/pictures/still_{name}.webp" {size(f"still_{name}")} alt="{words}" loading="lazy">'
        found += f"<figure>{picture}<figcaption>{words}</figcaption></figure>"
    return f'<div class="stills">{found}</div>'


def streets(made: dict[str, Any]) -> list[dict[str, str]]:
    """The drawn streets as pictures to choose."""
    return [{"name": name, "label": f"Street {k}"} for k, name in enumerate(made["streets"], 1)]


def stable(made: dict[str, Any], title: str) -> dict[str, str]:
    """The place of the painter that does not flicker, and the choice to do without it; empty while there is none."""
    name, picture = made["stable painter"], "still_stable"
    if name is None:
        return {"stable": "", "stable_figure": "", "stable_choice": ""}
    words = html.escape(f"The same photograph, painted in the manner of {title} by the stable painter")
    return {
        "stable": f'data-stable="{name}"',
        "stable_figure": f'<figure data-is="steady"><img src="{FILES}/pictures/{picture}.webp" {size(picture)} '
        f'loading="lazy" alt="{words}"><figcaption><span>{html.escape(title)}, stable</span> '
        '<span data-is="steady-flicker"></span></figcaption></figure>',
        "stable_choice": '<fieldset class="segments"><legend>Beside it</legend>'
        '<label><input type="radio" name="beside" value="stable" checked><span>the stable painter</span></label>'
        '<label><input type="radio" name="beside" value="none"><span>nothing, twice as fast</span></label></fieldset>',
    }


def noise(made: dict[str, Any]) -> dict[str, object]:
    """The words of the panel that makes streets from noise."""
    starts = sorted(set(made["sides"]))[1:]  # from the smallest on, all of the street would be B's
    return {
        "noise_size": made["numbers"],
        "sides": " ".join(map(str, made["sides"])),
        "mapping": MAPPING,
        "noise_painter": NOISE_PAINTER,
        "noise_picture": size("still_noise_first"),
        "noise_side": max(made["sides"]),
        "starts": "".join(
            f'<label><input type="radio" name="from" value="{side}"{" checked" if side == made["from"] else ""}>'
            f"<span>{side}</span></label>"
            for side in starts
        ),
    }


def panel(which: str) -> str:
    """One panel as HTML."""
    made = manifest()
    runtime, first, photo, painting = (made["runtime"], *(made[key][0] for key in ("painters", "photos", "paintings")))
    (street,) = (one for one in made["painters"] if one["name"] == made["street painter"])
    why = reasons(made, which)
    if not why:
        sizes = html.escape(json.dumps(made["models"] | (made["any style"] or {"models": {}})["models"]))
        data = f'data-root="{FILES}/" data-sizes="{sizes}" data-runtime="{runtime["bytes"]}"'
        data += f' data-gpu="{runtime["gpu"]}"' if which in ON_GPU else ""
        greeting = "Computed in advance; the next picture is made by your own machine."
        greeting += "<noscript> That needs scripts, and this browser has them switched off.</noscript>"
    else:
        data, greeting = "", f"These pictures stay as they are. {html.escape(why)}"

    def tiles(group: str, pictures: list[dict[str, str]], source: str, *, first: bool = True) -> str:
        named = enumerate(pictures)
        return "".join(tile(one, group, source.format(one["name"]), checked=first and not k) for k, one in named)

    words = {
        "data": data,
        "greeting": greeting,
        "root": FILES,
        "painters": painters(
            made, *(("pad_painter", street["name"]) if which == "draw" else ("painter", first["name"]))
        ),
        **stable(made, first["label"]),
        "street_title": html.escape(street["label"]),
        "first_title": html.escape(first["label"]),
        "still_title": html.escape(photo["title"]),
        "still_credit": html.escape(credit(photo)),
        "ratio": "{} / {}".format(*sides("still_before")),
        "still_size": size("still_before"),
        "sketch_size": size(made["scenes"][0]),
        "street_size": size("still_street"),
        "photos": tiles("photo", made["photos"], "{}_small"),
        "paintings": tiles("style", made["paintings"], "{}"),
        "seconds": tiles("second", made["paintings"], "{}", first=False),
        **{f"own_{group}": own(group) for group in ("photo", "style", "second")},
        "decoder": html.escape(made["decoder"]),
        "any_title": html.escape(painting["label"]),
        "any_credit": html.escape(credit(painting)),
        "stills": stills(made) if which == "any" and why else "",
        "streets": tiles("street", streets(made), "{}_clear"),
        "own_street": own("street"),
        "first_street": made["streets"][0],
        "given_size": size(f"{made['streets'][0]}_clear"),
        "made_size": size("still_dusk"),
        **noise(made["noise"]),
        "sketcher": SKETCHER,
        "translator": TRANSLATOR,
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
    """`{try-it} paint`, and so on: one of `PANELS`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        which = self.arguments[0]
        if which not in PANELS:
            raise self.error(f"there are panels {', '.join(PANELS)}, not {which!r}")
        page = self.state.document.settings.env
        for file in (MADE / "manifest.json", Path(__file__).with_name(f"{which}.html")):
            page.note_dependency(str(file))
        return [nodes.raw("", panel(which), format="html")]


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
