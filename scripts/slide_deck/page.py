"""Slides → one HTML file that needs nothing else: style, script, pictures and the font of the formulas are inside."""

import base64
from html import escape
from pathlib import Path

from scripts.slide_deck import prose
from scripts.slide_deck.parts import Slide

HERE = Path(__file__).resolve().parent
FONT = HERE.parents[1] / "book" / "_static" / "fonts" / "book-math.woff2"
KEYS = {
    "→ ↓ space": "next answer, next slide",
    "← ↑": "back",
    "Home, End": "first slide, last slide",
    "o": "all slides",
    "n": "notes on this screen",
    "s": "notes in a window of their own",
    "f": "full screen",
    "d": "light or dark",
    "?": "this list",
}


def document(slides: list[Slide], title: str) -> str:
    """The deck of one chapter as an HTML document."""
    sections = [_slide(slide, k, len(slides), title) for k, slide in enumerate(slides, start=1)]
    style = (HERE / "deck.css").read_text(encoding="utf-8")
    if any("<math" in section for section in sections):
        font = f"data:font/woff2;base64,{base64.b64encode(FONT.read_bytes()).decode()}"
        style = style.replace("FONT", font)
    keys = "".join(f"<dt><kbd>{escape(key)}</kbd></dt><dd>{escape(what)}</dd>" for key, what in KEYS.items())
    script = (HERE / "deck.js").read_text(encoding="utf-8")
    return f"""<!DOCTYPE html>
<html lang="en" data-theme="light">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}: slides</title>
<style>
{style}</style>
</head>
<body>
<main>
{"".join(sections)}</main>
<div class="nav">
<button type="button" value="ArrowLeft" aria-label="Back">←</button>
<button type="button" value="ArrowRight" aria-label="Next">→</button>
<button type="button" value="?" aria-label="Keys">?</button>
</div>
<div id="bar"><i></i></div>
<div id="help"><dl>{keys}</dl></div>
<script>
{script}</script>
</body>
</html>
"""


def _slide(slide: Slide, number: int, count: int, title: str) -> str:
    tag = "h1" if slide.kind == "title" else "h2"
    section = f'<p class="section">{prose.inline(slide.section)}</p>' if slide.section else ""
    right = "CC BY 4.0 · press ? for the keys" if slide.kind == "title" else f"{number} / {count}"
    left = "Painting with Networks" if slide.kind == "title" else escape(title)
    return (
        f'<section class="slide {slide.kind}" tabindex="-1" aria-roledescription="slide" '
        f'aria-label="Slide {number} of {count}">\n'
        f"<header>{section}<{tag}>{prose.inline(slide.title)}</{tag}></header>\n{slide.body}\n"
        f'<aside class="notes" aria-label="Notes">{slide.notes}</aside>\n'
        f"<footer><span>{left}</span><span>{right}</span></footer>\n</section>\n"
    )
