"""Words and figures in the space of a slide, 1280 × 720 pixels, of which a body has WIDTH × HEIGHT."""

import re
from math import ceil

from scripts.slide_deck import pictures, prose
from scripts.slide_deck.pictures import Figure
from scripts.slide_deck.prose import Block

WIDTH, HEIGHT = 1168, 540  # pixels
ASIDE = 760  # pixels for a figure that has its words beside it
ACROSS = 76  # characters in a line of text
REST = 3.4  # lines of text that need no slide of their own
NOTICE = "**What to notice.**"
ON_THE_PAGE = re.compile(r"\*(?:Needs a kernel|Works on the page)")  # nothing that a slide could do


def told(items: list[Block]) -> list[Block]:
    """What of the waiting text a slide can show."""
    return [b for b in items if b.kind in ("text", "list", "formula") and not ON_THE_PAGE.match(b.text)]


def is_rest(told: list[Block]) -> bool:
    """Whether a text is too short for a slide of its own."""
    return sum(map(lines, told)) <= REST and all(block.kind == "text" for block in told)


def said(text: str, *, amply: bool = False) -> str:
    """The key sentences of a paragraph, and as many more as a slide with little else has room for."""
    text = text.removeprefix(NOTICE).strip()
    return prose.key(text, most=330, least=190) if amply else prose.key(text)


def lines(block: Block) -> float:
    """How many lines of a slide a block takes."""
    if block.kind == "formula":
        return 2.4 + 1.4 * block.text.count(r"\\")
    if block.kind == "list":
        return sum(ceil(len(prose.plain(prose.inline(prose.key(i, 150, 0)))) / ACROSS) + 0.3 for i in block.items)
    return ceil(len(prose.plain(prose.inline(said(block.text)))) / ACROSS) + 0.4


def shown(block: Block, *, amply: bool = False) -> str:
    """A block as HTML, with the key sentences of a paragraph."""
    if block.kind == "formula":
        return prose.display(block.text)
    if block.kind == "list":
        tag = "ol" if block.text[:1].isdigit() else "ul"
        items = "".join(f"<li>{prose.inline(prose.key(item, most=150, least=0))}</li>" for item in block.items)
        return f"<{tag}>{items}</{tag}>"
    return f"<p>{prose.inline(said(block.text, amply=amply))}</p>"


def placed(figure: Figure, words: str, used: float, notice: list[str]) -> str:
    """A figure with its words: beside them if it is shown larger there, else above them.

    Args:
        figure: the pictures or the table.
        words: HTML that stands above it.
        used: how many pixels that takes.
        notice: sentences about it; where not all fit beside it, the last ones are left to the notes.
    """
    room = HEIGHT - used
    below = sum(ceil(len(prose.plain(prose.inline(sentence))) / (ACROSS + 6)) for sentence in notice)
    captioned = 28 * ceil(min(len(figure.caption), 190) / 105) + 16 + 22 * bool(figure.run or figure.is_component)
    taken = below * 35 + (26 if notice else 0) + captioned
    fit, size = (pictures.grid, _scale) if figure.pictures else (pictures.table, pictures.letters)
    if size(figure, ASIDE, room) > 1.08 * size(figure, WIDTH, room - taken):
        side = WIDTH - pictures.across(figure, ASIDE, room) - 36
        while len(notice) > 1 and _side_height(figure, notice, side) > room:
            notice = notice[:-1]
        if _side_height(figure, notice, side) <= room:
            marked = f'<div class="side">{_marked(notice)}{pictures.caption(figure, 260)}</div>'
            return f'{words}<figure class="beside">{fit(figure, ASIDE, room)}{marked}</figure>'
    return f"{words}<figure>{fit(figure, WIDTH, room - taken)}{pictures.caption(figure, 190)}</figure>{_marked(notice)}"


def _marked(notice: list[str]) -> str:
    inner = "".join(f"<p>{prose.inline(sentence)}</p>" for sentence in notice)
    return f'<div class="notice">{inner}</div>' if notice else ""


def _side_height(figure: Figure, notice: list[str], width: float) -> float:
    """Pixels that the words beside a figure take in a column of this width."""
    lengths = [len(prose.plain(prose.inline(sentence))) for sentence in notice]
    told = sum(33 * ceil(12.6 * length / (width - 26)) + 6 for length in lengths) + (24 if notice else 0)
    caption = 27 * ceil(10.2 * min(len(figure.caption), 260) / width)
    return told + caption + 19 * ceil(7.2 * len(figure.run) / width) + 19 * figure.is_component


def _scale(figure: Figure, width: float, height: float) -> float:
    return pictures.arranged(figure, width, height)[1]


def noted(items: list[Block]) -> str:
    """The whole text of blocks as HTML, for the notes."""
    texts = [
        f"$${b.text}$$" if b.kind == "formula" else f"### {b.text}" if b.kind == "heading" else b.text for b in items
    ]
    return prose.page("\n\n".join(texts))
