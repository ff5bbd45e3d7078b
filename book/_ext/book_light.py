"""Light pages: pictures become files of their own, every picture says its size, icon fonts hold only what is shown.

All of it happens to the finished pages, tag by tag: what is neither an `<img>` nor kept for later is left as it was.
"""

import base64
import hashlib
import io
import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import style_cuts
from fontTools import subset
from PIL import Image
from sphinx.application import Sphinx

LEAST = 2000  # characters of a data URI that is worth a file of its own
DATA = re.compile(r"data:image/(jpeg|png|webp|gif);base64,(.+)", re.DOTALL)
LATER = re.compile(r'<template class="later">(.+?)</template>', re.DOTALL)  # what a component fetches on a click
STYLE = re.compile(r'<style class="play-part">.*?</style>', re.DOTALL)  # of a component
PRELOAD = re.compile(r'<link rel="preload" as="font"[^>]*>\s*')  # an error on the console of a page opened as a file
ICON_SCRIPT = re.compile(r'<script[^>]* src="[^"]*fontawesome[^"]*"></script>\s*')  # 1.5 MB; its style sheet suffices
ICON = re.compile(r"\bfa-[a-z0-9-]+")
ICON_RULE = re.compile(r'((?:\.fa-[a-z0-9-]+:before,?)+)\{content:"\\([0-9a-f]+)"\}')


class Pictures(HTMLParser):
    """Where the `<img>` tags of a page stand: (start, end, attributes, in the article, number of its figure)."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[int, int, dict[str, str], bool, int]] = []
        self._lines = [0]
        for line in text.split("\n"):
            self._lines.append(self._lines[-1] + len(line) + 1)
        self._articles = self._figures = 0
        self._open: list[int] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "article":
            self._articles += 1
        elif tag == "figure":
            self._figures += 1
            self._open.append(self._figures)
        elif tag == "img":
            line, column = self.getpos()
            start = self._lines[line - 1] + column
            values = {name: value or "" for name, value in attrs}
            end = start + len(self.get_starttag_text() or "")
            self.found.append((start, end, values, self._articles > 0, self._open[0] if self._open else 0))

    def handle_endtag(self, tag: str) -> None:
        if tag == "article":
            self._articles -= 1
        elif tag == "figure" and self._open:
            self._open.pop()


def size_of(data: bytes) -> tuple[int, int] | None:
    """Width and height of a picture, also of an SVG that says them; None where that cannot be told."""
    if b"<svg" in data[:1000]:
        head = re.search(rb"<svg[^>]*>", data)
        box = re.search(rb'viewBox="[-\d.]+ [-\d.]+ ([\d.]+) ([\d.]+)"', head[0]) if head else None
        return (round(float(box[1])), round(float(box[2]))) if box else None
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return picture.size
    except OSError:
        return None


def set_attribute(tag: str, name: str, value: str) -> str:
    """The tag with this attribute, replaced where it was there."""
    text = f'{name}="{escape(value, quote=True)}"'
    old = re.compile(rf"""(?<=\s){re.escape(name)}\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)""", re.IGNORECASE)
    if old.search(tag):
        return old.sub(lambda _: text, tag, count=1)
    return re.sub(r"\s*/?>\Z", lambda end: f" {text}{'>' if end[0].strip() == '>' else ' />'}", tag)


def lighten(text: str, page: Path, out: Path) -> str:
    """One page: data URIs as files in `_images`, and sizes and manners of loading on every `<img>`.

    Args:
        text: the page's HTML.
        page: its file, below `out`.
        out: the folder of the whole book.
    """
    found = Pictures(text).found
    first = next((figure or -1 for _, _, _, inside, figure in found if inside), None)
    leading, parts, done = True, [], 0
    for start, end, values, inside, figure in found:
        tag, source = text[start:end], values.get("src", "")
        embedded = DATA.fullmatch(source)
        if embedded:
            data = base64.b64decode(embedded[2])
            if len(source) >= LEAST:
                name = f"{hashlib.sha256(data).hexdigest()[:20]}.{embedded[1].replace('jpeg', 'jpg')}"
                file = out / "_images" / name
                file.parent.mkdir(exist_ok=True)
                if not file.exists():
                    file.write_bytes(data)
                up = "../" * (len(page.relative_to(out).parts) - 1)
                tag = set_attribute(tag, "src", f"{up}_images/{name}")
        else:
            address = urlsplit(source)
            file = page.parent / unquote(address.path)
            data = b"" if address.scheme or address.netloc or not file.is_file() else file.read_bytes()
        size = size_of(data) if data else None
        if size and not {"width", "height"} & set(values):
            tag = set_attribute(set_attribute(tag, "width", str(size[0])), "height", str(size[1]))
        elif size and "width" not in values:  # a height was given: the width that belongs to it
            given = values["height"]
            if given.isdigit():
                tag = set_attribute(tag, "width", str(round(int(given) * size[0] / size[1])))
        tag = set_attribute(tag, "decoding", "async")
        if inside:
            if (figure or -1) == first and (figure or leading):
                if leading:
                    tag = set_attribute(tag, "fetchpriority", "high")
                    tag = set_attribute(tag, "loading", "eager")  # figures say lazy: they do not know where they stand
                leading = False
            elif "loading" not in values:
                tag = set_attribute(tag, "loading", "lazy")
        parts += [text[done:start], tag]
        done = end
    return "".join([*parts, text[done:]])


def once(text: str) -> str:
    """One page: the style of its components where the first of them stands, for all of the same kind."""
    seen: set[str] = set()

    def first(found: re.Match[str]) -> str:
        kept = "" if found[0] in seen else found[0]
        seen.add(found[0])
        return kept

    return STYLE.sub(first, text)


def set_aside(text: str, page: Path, out: Path) -> str:
    """One page: what its components need only after a click, as scripts in `_static/later` that files may load, too.

    Args:
        text: the page's HTML.
        page: its file, below `out`.
        out: the folder of the whole book.
    """

    def file_of(found: re.Match[str]) -> str:
        name = f"{hashlib.sha256(found[1].encode()).hexdigest()[:20]}.js"
        file = out / "_static" / "later" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'(globalThis.playLater ??= {{}})["{name}"] = {found[1]};\n', encoding="utf-8")
        up = "../" * (len(page.relative_to(out).parts) - 1)
        return f'<template class="later" data-src="{up}_static/later/{name}" data-bytes="{len(found[1])}"></template>'

    return LATER.sub(file_of, text)


def cut_icons(out: Path, words: set[str]) -> None:
    """Keeps the icons whose names are in `words` or whose signs a style sheet of the theme uses; drops the rest."""
    for folder in (out / "_static" / "vendor" / "fontawesome").glob("*"):
        sheet = folder / "css" / "all.min.css"
        text = sheet.read_text(encoding="utf-8")
        others = [path for path in (out / "_static").rglob("*.css") if folder not in path.parents]
        signs = {
            int(code, 16) for path in others for code in re.findall(r'"\\(f[0-9a-f]{3})"', path.read_text("utf-8"))
        }

        def keep(rule: re.Match[str], signs: set[int] = signs) -> str:
            if not words & set(ICON.findall(rule[1])):
                return ""
            signs.add(int(rule[2], 16))
            return rule[0]

        text = ICON_RULE.sub(keep, text)
        # Cut down to a few signs, the fonts are small as they are; compressing them takes one more package.
        text = re.sub(r'url\([^)]*\.woff2\) ?format\("woff2"\),', "", text)
        sheet.write_text(text, encoding="utf-8")
        for font in (folder / "webfonts").iterdir():
            if font.suffix != ".ttf":
                font.unlink()
                continue
            options = subset.Options(layout_features=[], drop_tables=["FFTM"])
            loaded = subset.load_font(str(font), options)
            cutter = subset.Subsetter(options)
            cutter.populate(unicodes=signs)
            cutter.subset(loaded)
            subset.save_font(loaded, str(font), options)
        for other in [*(folder / "js").glob("*"), *(folder / "css").glob("*")]:
            if other != sheet:
                other.unlink()


def lighten_all(app: Sphinx, problem: Exception | None) -> None:
    if problem is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    words: set[str] = set()
    for page in sorted(out.rglob("*.html")):
        text = page.read_text(encoding="utf-8")
        text = lighten(set_aside(once(ICON_SCRIPT.sub("", PRELOAD.sub("", text))), page, out), page, out)
        words |= set(ICON.findall(text))
        page.write_text(text, encoding="utf-8")
    for script in (out / "_static" / "scripts").glob("*.js"):
        words |= set(ICON.findall(script.read_text(encoding="utf-8")))
    cut_icons(out, words)
    style_cuts.cut_all(out)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("build-finished", lighten_all, priority=800)  # after the credits' thumbnails
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
