"""Markdown of a notebook → blocks, key sentences, and HTML with formulas as MathML."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape

from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

from book._ext.book_math import formula, name_of

LONGEST = 230  # characters of one key sentence
SHORT = 70  # a sentence below that brings the next one with it
_SHIELDED = re.compile(r"\$[^$]+\$|`[^`]+`|\[[^\]]*\]\([^)]*\)")
_ABBREVIATION = re.compile(r"\b(?:Figs?|Eqs?|Secs?|al|etc|vs|ca|no|approx|e\.g|i\.e)\.$", re.IGNORECASE)
_END = re.compile(r"""(?<=[.!?])(["”’)*_]*)\s+(?=["“(*_]*[A-Z0-9\x00])""")
_OPENS = {"```": "```", "<details": "</details>", "<figure": "</figure>"}
_CLOSED = {"```": "code", "</details>": "fold", "</figure>": "figure"}
_ITEM = re.compile(r"^(?:[-*]|\d+\.) +")
_LABEL = re.compile(r"^\*\*[^*]+\*\*:?\s*")


@dataclass(frozen=True)
class Block:
    """A piece of Markdown: kind is text, list, formula, heading, code, table, fold or figure (of HTML)."""

    kind: str
    text: str
    level: int = 0  # of a heading

    @property
    def items(self) -> list[str]:
        """The items of a list, without their marks."""
        found: list[str] = []
        for line in self.text.split("\n"):
            if _ITEM.match(line):
                found.append(_ITEM.sub("", line))
            else:
                found[-1] += " " + line.strip()
        return found


def blocks(source: str) -> Iterator[Block]:
    """The blocks of a Markdown cell, in order; a displayed formula is one, wherever it stands."""
    gathered: list[str] = []
    closing = ""
    for line in [*source.split("\n"), ""]:
        if closing:
            gathered.append(line)
            if line.strip().endswith(closing):
                yield Block(_CLOSED[closing], "\n".join(gathered))
                gathered, closing = [], ""
            continue
        opens = next((end for begin, end in _OPENS.items() if line.startswith(begin)), "")
        heading = re.match(r"(#+) +(.*)", line)
        new_list = bool(_ITEM.match(line)) and bool(gathered) and not _ITEM.match(gathered[0])
        if gathered and (opens or heading or new_list or not line.strip()):
            yield from _paragraph("\n".join(gathered))
            gathered = []
        if heading:
            yield Block("heading", heading[2].strip(), len(heading[1]))
        elif opens or line.strip():
            gathered, closing = [*gathered, line], opens


def _paragraph(text: str) -> Iterator[Block]:
    if _ITEM.match(text):
        yield Block("list", text)
    elif text.startswith("|"):
        yield Block("table", text)
    else:
        for k, part in enumerate(re.split(r"\$\$(.+?)\$\$", text, flags=re.DOTALL)):
            if len(part.strip()) > 1:  # a lone period after a formula is none
                yield Block("formula" if k % 2 else "text", part.strip())


def sentences(text: str) -> list[str]:
    """The sentences of a paragraph; formulas, code and links are never cut.

    >>> sentences("See Fig. 3. It falls by $0.5. A$ half! Does `a. B` matter?")
    ['See Fig. 3.', 'It falls by $0.5. A$ half!', 'Does `a. B` matter?']
    """
    kept: list[str] = []

    def shield(found: re.Match[str]) -> str:
        kept.append(found[0])
        return f"\0{len(kept) - 1}\0"

    parts = _END.sub(r"\1\n", _SHIELDED.sub(shield, " ".join(text.split()))).split("\n")
    joined: list[str] = []
    for part in parts:
        if joined and _ABBREVIATION.search(joined[-1]):
            joined[-1] += " " + part
        else:
            joined.append(part)
    return [re.sub(r"\0(\d+)\0", lambda found: kept[int(found[1])], part) for part in joined if part]


def key(text: str, most: int = LONGEST, least: int = SHORT) -> str:
    """What of a paragraph stands on a slide: its first sentence, and more where that is short.

    Args:
        text: the paragraph; a bold label at its beginning is kept.
        most: characters; a longer first sentence ends at its last clause before that, with an ellipsis.
        least: characters that the sentences should reach together.

    >>> key("The loss falls. " + "It falls for " + 30 * "many " + "steps. And then?", most=60)
    'The loss falls.'
    """
    found = _LABEL.match(text)
    label = found[0] if found and len(found[0]) < len(text) else ""
    first, *others = sentences(text[len(label) :]) or [""]
    chosen = first
    for other in others:
        if len(chosen) >= least or len(chosen) + len(other) >= most:
            break
        chosen += " " + other
    if len(chosen) > most:
        breaks = [
            m.start() for m in re.finditer(r"[;:,](?= )", chosen[:most]) if chosen[: m.start()].count("$") % 2 == 0
        ]
        if breaks and breaks[-1] > most // 4:
            chosen = chosen[: breaks[-1]] + " …"
    return label + chosen


def _set(tex: str, options: dict[str, bool]) -> str:
    return formula(tex, display=options["display_mode"])


_READER = MarkdownIt("commonmark", {"html": True}).enable("table")
_READER.use(dollarmath_plugin, renderer=_set, double_inline=True, allow_digits=True)


def _unlinked(html: str) -> str:
    """Without links to other pages, which a file of its own does not have beside it."""
    return re.sub(r'<a href="(?!https?:)[^"]*">(.*?)</a>', r"\1", html, flags=re.DOTALL)


def inline(text: str) -> str:
    """A sentence as HTML."""
    return _unlinked(_READER.renderInline(text))


def page(text: str) -> str:
    """Markdown as HTML, for the notes."""
    return _unlinked(_READER.render(text))


def display(tex: str) -> str:
    """A displayed formula as HTML, what a paper calls it beside it."""
    tex, name = name_of(tex)
    side = f'<span class="eqno">{name}</span>' if name else ""
    return f'<div class="formula">{formula(tex, display=True)}{side}</div>'


def plain(html: str) -> str:
    """The text of a piece of HTML.

    >>> plain("<p>a &lt; b</p>")
    'a < b'
    """
    return " ".join(unescape(re.sub(r"<[^>]+>", "", html)).split())
