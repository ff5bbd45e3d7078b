"""A notebook → its slides, by rules.

- The title slide has the heading, the claim and the first picture; the next slide, what the chapter does and its
  sections.
- A paragraph gives its first sentence, a displayed formula and a list all of themselves. Text between two figures
  fills at most `MOST_TEXT` slides; the whole text stands in the notes.
- A figure has a slide of its own. A sentence that leads to it (it ends in a colon or a question mark) stands above it,
  and *What to notice*, or another short text that follows, beside or below it.
- A cell that writes out an idea (it defines something called ``my_…``) is shown, below its formula where both fit; any
  other code is not.
- Quick questions, the claims with their verdicts, further reading, the summary and the exercises have slides of their
  own kinds.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from html import escape
from math import ceil
from pathlib import Path
from typing import Any

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from course_lib.teaching import claims, records
from scripts.slide_deck import pictures, prose
from scripts.slide_deck.pictures import Figure
from scripts.slide_deck.prose import Block

WIDTH, HEIGHT = 1168, 540  # pixels of a slide's body, of 1280 × 720
ASIDE = 760  # pixels for a figure that has its words beside it
ACROSS = 76  # characters in a line of text
LINES = 11  # of text on a slide
FEW = 5.5  # lines that are set larger
REST = 3.4  # lines of text that need no slide of their own
MOST_TEXT = 2  # slides of text in a row
CLOSING = 13  # lines of a list at the end
MOST_CODE = 22  # lines
IDEA = re.compile(r"^(?:def|class) my_", re.MULTILINE)
NOTICE = "**What to notice.**"
QUESTIONS = "**Quick questions**"
ON_THE_PAGE = re.compile(r"\*(?:Needs a kernel|Works on the page)")  # nothing that a slide could do
EXERCISE = re.compile(r"\*\*(Exercise [\d.]+)\*\*\s*(?:\*\(([^)]*)\)\*)?\s*(.*)", re.DOTALL)


@dataclass
class Slide:
    """One slide: `body` and `notes` are HTML, `title` is Markdown of one line."""

    kind: str
    title: str
    body: str
    section: str = ""
    notes: str = ""


@dataclass
class Section:
    """The part of a chapter below one heading."""

    title: str
    items: list[Block | Figure] = field(default_factory=list)

    @property
    def number(self) -> str:
        found = re.match(r"[\d.]+(?= )", self.title)
        return found[0] if found else ""

    @property
    def name(self) -> str:
        return self.title.removeprefix(self.number).strip()


def deck(path: Path) -> list[Slide]:
    """The slides of one chapter."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    opening, *sections = _sections(notebook["cells"])
    slides = _opening(opening, sections)
    last: dict[str, list[Slide]] = {"History and further reading": [], "Summary": [], "Exercises": []}
    for section in sections:
        if section.name in last:
            last[section.name] = _closing(section)
        elif section.name != "What you will do":
            slides += _Composer(section).slides
    return [*slides, *_claims(path.stem), *(slide for closing in last.values() for slide in closing)]


def _sections(cells: list[dict[str, Any]]) -> list[Section]:
    """What stands before the first heading of the second level, and then a part for each of them."""
    found = [Section("")]
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            for block in prose.blocks(source):
                if block.kind == "heading" and block.level == 2:
                    found.append(Section(block.text))
                else:
                    found[-1].items.append(block)
        elif cell["cell_type"] == "code":
            if IDEA.search(source) and "hide-input" not in cell["metadata"].get("tags", []):
                found[-1].items.append(Block("code", source))
            for output in cell.get("outputs", []):
                html = "".join(output.get("data", {}).get("text/html", ""))
                if html and (figure := pictures.read(html)) is not None:
                    found[-1].items.append(figure)
    return found


def _opening(opening: Section, sections: list[Section]) -> list[Slide]:
    title = next(block for block in opening.items if isinstance(block, Block) and block.kind == "heading")
    texts = [block.text for block in opening.items if isinstance(block, Block) and block.kind == "text"]
    name, paper = re.fullmatch(r"(.*?)(?:\s*\(([^()]*\d{4}[^()]*)\))?", title.text).groups()  # type: ignore[union-attr]
    claim = next((text for text in texts if text.startswith("**The claim.**")), texts[0])
    claim = prose.key(re.sub(r"^\*\*The claim\.\*\*\s*|^\*\*|\*\*$", "", claim), most=260, least=120)
    everything = [item for part in (opening, *sections) for item in part.items if isinstance(item, Figure)]
    hero = next((figure for figure in everything if figure.pictures and "curves" not in figure.kind), None)
    by = f'<p class="paper">{escape(paper)}</p>' if paper else ""
    shown = f"<figure>{pictures.grid(hero, WIDTH, 330)}</figure>" if hero else ""
    body = f'{by}<p class="claim">{prose.inline(claim)}</p>{shown}'
    notes = prose.page("\n\n".join(texts))
    if hero in opening.items:
        opening.items.remove(hero)
    slides = [Slide("title", name, body, notes=notes)]

    does = next((text for text in texts if text.startswith("**What you will do.**")), "")
    steps = [step.strip().removeprefix("and ") for step in does.removeprefix("**What you will do.**").split(";")]
    for section in sections:
        if section.name == "What you will do":
            block = next(item for item in section.items if isinstance(item, Block) and item.kind == "list")
            steps = block.items
    steps = [step[:1].upper() + step[1:].rstrip(".,;") for step in steps if step]
    road = [section for section in sections if section.name not in ("What you will do", "Summary")]
    names = "".join(f"<li><b>{part.number}</b> {prose.inline(part.name)}</li>" for part in road)
    items = "".join(f"<li>{prose.inline(prose.key(step, most=150, least=0))}</li>" for step in steps)
    body = f'<div class="halves"><ul>{items}</ul><ol class="road">{names}</ol></div>'
    slides.append(Slide("road", "What we will do", body, notes=prose.page(does or "\n".join(f"- {s}" for s in steps))))
    return slides


class _Composer:
    """Walks through a section; `waiting` is the text since the last slide."""

    def __init__(self, section: Section) -> None:
        self.section, self.slides = section, list[Slide]()
        self.heading = ""
        self.waiting: list[Block] = []
        self.early = ""  # notes of a text that no slide shows, before the first one
        self.figure: tuple[Figure, str, float] | None = None  # of the last slide, while nothing stands beside it
        self.items = iter(section.items)
        for item in self.items:
            if isinstance(item, Figure):
                self._figure(item)
            elif item.kind == "heading":
                self._flush()
                self.heading = item.text
            elif item.kind == "code":
                self._code(item)
            elif item.text == QUESTIONS:
                self._questions()
            elif item.text.startswith(NOTICE) and self.figure and not self.waiting:
                self._notice(item)
            else:
                self.waiting.append(item)
        self._flush()

    def _add(self, kind: str, body: str, notes: str) -> None:
        name, section = self.section.name, self.section.number
        if self.heading:
            name, section = self.heading, self.section.title
        self.slides.append(Slide(kind, name, body, section, self.early + notes))
        self.figure, self.early = None, ""

    def _flush(self) -> None:
        """Make slides of the waiting text; a rest of one short sentence goes to the notes of the slide before."""
        told, notes = _told(self.waiting), _noted(self.waiting)
        self.waiting = []
        if not told or (self.slides and _is_rest(told)):
            if not self.slides:
                self.early += notes
                return
            self.slides[-1].notes += notes
            if told and self.figure:
                self._beside([prose.key(block.text) for block in told])
            return
        pages: list[list[Block]] = [[]]
        for block in told:
            if sum(map(_lines, pages[-1])) + _lines(block) > LINES and pages[-1]:
                pages.append([])
            pages[-1].append(block)
        if len(pages) > 1 and _is_rest(pages[-1]):
            pages.pop()  # no slide for one sentence; it stands in the notes
        for k, page in enumerate(pages[:MOST_TEXT]):
            kind = "text large" if sum(map(_lines, page)) <= FEW else "text"
            self._add(kind, "".join(map(_shown, page)), notes if k == 0 else "")

    def _figure(self, figure: Figure) -> None:
        told = _told(self.waiting)
        above: list[Block] = []
        if sum(map(_lines, told)) <= 3 and all(block.kind == "text" for block in told):
            above = told
        elif told and told[-1].kind == "text" and prose.key(told[-1].text).endswith((":", "?")):
            above = told[-1:]
        before = [block for block in self.waiting if block not in above]
        if before:
            self.waiting = before
            self._flush()
            self.waiting = above
        words = "".join(map(_shown, above))
        used = sum(map(_lines, above)) * 36 + (12 if above else 0)
        notes = _noted(self.waiting) + f"<p><b>The figure.</b> {escape(figure.alt)}</p>"
        self.waiting = []
        self._add("figure", "", notes)
        self.slides[-1].body = _placed(figure, words, used, [])
        self.figure = (figure, words, used)

    def _beside(self, sentences: list[str]) -> None:
        """Put sentences beside or below the figure of the last slide."""
        if self.figure:
            self.slides[-1].body = _placed(*self.figure, sentences)
            self.figure = None

    def _notice(self, block: Block) -> None:
        """As much of *What to notice* as fits stands with the figure that it speaks of."""
        text = block.text.removeprefix(NOTICE).strip()
        chosen: list[str] = []
        for sentence in prose.sentences(text):
            if chosen and sum(map(len, chosen)) + len(sentence) > 230:
                break
            chosen.append(prose.key(sentence, most=200, least=0))
        self._beside(chosen)
        self.slides[-1].notes += prose.page(block.text)

    def _code(self, block: Block) -> None:
        lines = re.sub(r"\n\n\n+", "\n\n", block.text.rstrip()).split("\n")
        shown = lines[:MOST_CODE] + (["    # … (the rest stands in the chapter)"] if len(lines) > MOST_CODE else [])
        widest = min(21.0, (WIDTH - 60) / max(map(len, shown)) / 0.61)
        told = _told(self.waiting)
        room = HEIGHT - 50 - sum(map(_lines, told)) * 43
        if told and room / len(shown) / 1.42 < min(widest, 17.0):  # the text has slides of its own
            self._flush()
            told, room = [], HEIGHT - 50
        size = min(widest, room / len(shown) / 1.42)
        html = highlight("\n".join(shown), PythonLexer(), HtmlFormatter(nowrap=True))
        body = "".join(map(_shown, told)) + f'<pre style="font-size:{size / 20:.3f}rem"><code>{html}</code></pre>'
        notes = _noted(self.waiting)
        self.waiting = []
        self._add("code", body, notes)

    def _questions(self) -> None:
        self._flush()
        asked, folded = next(self.items), next(self.items)
        if not (isinstance(asked, Block) and isinstance(folded, Block) and folded.kind == "fold"):
            raise ValueError(f"{self.section.title}: after {QUESTIONS} come a list and its folded answers")
        inner = re.sub(r"</?details>|<summary>.*?</summary>", "", folded.text)
        answers = next(block for block in prose.blocks(inner.strip()) if block.kind == "list").items
        pairs = "".join(
            f"<li><p>{prose.inline(question)}</p><p class='step'>{prose.inline(answer)}</p></li>"
            for question, answer in zip(asked.items, answers, strict=True)
        )
        notes = prose.page(f"{asked.text}\n\n{inner}")
        self.figure = None
        self.slides.append(Slide("questions", "Quick questions", f"<ol>{pairs}</ol>", self.section.title, notes))


def _closing(section: Section) -> list[Slide]:
    """The summary, further reading or the exercises: one entry for each item, in as many slides as they need."""
    texts = [item for item in section.items if isinstance(item, Block)]
    listed = [item for block in texts if block.kind == "list" for item in block.items]
    entries = [prose.key(item, most=170, least=60) for item in listed]
    if section.name == "Exercises":
        entries = list(_exercises(texts))
    kind = "exercises" if section.name == "Exercises" else "points"
    return _listed(section.name, entries, section.number, _noted(texts), kind)


def _claims(name: str) -> list[Slide]:
    """The papers' sentences that the chapter measures, each with what its stored run says."""
    findings = []
    for claim in claims.load().values():
        if claim.chapter == name[:2] and not claim.reasons:
            with suppress(claims.ClaimError, records.RecordError):  # no stored run yet
                findings.append(claims.finding(claim))
    entries = [f"{one.claim.claim.rstrip('.')}: *{one.verdict}*" for one in findings]
    if not entries:
        return []
    notes = prose.page("\n".join(f"- **{one.verdict}** {one.claim.claim} {one.value} ({one.line})" for one in findings))
    return _listed("What became of the claims", entries, "", notes, "claims")


def _listed(title: str, entries: list[str], section: str, notes: str, kind: str) -> list[Slide]:
    """Slides that are equally full."""
    needed = [ceil(len(prose.plain(prose.inline(entry))) / ACROSS) + 0.35 for entry in entries]
    count = max(1, ceil(sum(needed) / CLOSING))
    pages: list[list[str]] = [[] for _ in range(count)]
    for k, entry in enumerate(entries):
        before = sum(needed[:k]) + needed[k] / 2
        pages[min(count - 1, int(count * before / sum(needed)))].append(entry)
    slides = []
    for k, page in enumerate(pages):
        items = "".join(f"<li>{prose.inline(entry)}</li>" for entry in page)
        slides.append(Slide("closing", title, f'<ul class="{kind}">{items}</ul>', section, notes if k == 0 else ""))
    return slides


def _exercises(texts: list[Block]) -> Iterator[str]:
    for block in texts:
        if block.kind == "text" and (found := EXERCISE.match(block.text)):
            number, level, asked = found.groups()
            yield f"**{number.removeprefix('Exercise ')}** {f'*{level}* ' if level else ''}{prose.key(asked, most=150)}"


def _told(items: list[Block]) -> list[Block]:
    """What of the waiting text a slide can show."""
    return [b for b in items if b.kind in ("text", "list", "formula") and not ON_THE_PAGE.match(b.text)]


def _is_rest(told: list[Block]) -> bool:
    return sum(map(_lines, told)) <= REST and all(block.kind == "text" for block in told)


def _lines(block: Block) -> float:
    """How many lines of a slide a block takes."""
    if block.kind == "formula":
        return 2.4 + 1.4 * block.text.count(r"\\")
    if block.kind == "list":
        return sum(ceil(len(prose.plain(prose.inline(prose.key(i, 150, 0)))) / ACROSS) + 0.3 for i in block.items)
    return ceil(len(prose.plain(prose.inline(prose.key(block.text)))) / ACROSS) + 0.4


def _shown(block: Block) -> str:
    if block.kind == "formula":
        return prose.display(block.text)
    if block.kind == "list":
        tag = "ol" if block.text[:1].isdigit() else "ul"
        items = "".join(f"<li>{prose.inline(prose.key(item, most=150, least=0))}</li>" for item in block.items)
        return f"<{tag}>{items}</{tag}>"
    return f"<p>{prose.inline(prose.key(block.text.removeprefix(NOTICE).strip()))}</p>"


def _placed(figure: Figure, words: str, used: float, notice: list[str]) -> str:
    """A figure with its words: a tall one beside them, a wide one above them."""
    room = HEIGHT - used
    said = "".join(f"<p>{prose.inline(sentence)}</p>" for sentence in notice)
    marked = f'<div class="notice">{said}</div>' if notice else ""
    lines = sum(ceil(len(prose.plain(prose.inline(sentence))) / (ACROSS + 6)) for sentence in notice)
    captioned = 28 * ceil(min(len(figure.caption), 190) / 105) + 16 + 22 * bool(figure.run or figure.is_component)
    taken = lines * 35 + (26 if notice else 0) + captioned
    if not figure.pictures:
        shown = pictures.table(figure, WIDTH, room - taken)
    elif pictures.arranged(figure, ASIDE, room)[1] > 1.08 * pictures.arranged(figure, WIDTH, room - taken)[1]:
        side = f'<div class="side">{marked}{pictures.caption(figure, 260)}</div>'
        return f'{words}<figure class="beside">{pictures.grid(figure, ASIDE, room)}{side}</figure>'
    else:
        shown = pictures.grid(figure, WIDTH, room - taken)
    return f"{words}<figure>{shown}{pictures.caption(figure, 190)}</figure>{marked}"


def _noted(items: list[Block]) -> str:
    texts = [
        f"$${b.text}$$" if b.kind == "formula" else f"### {b.text}" if b.kind == "heading" else b.text for b in items
    ]
    return prose.page("\n\n".join(texts))
