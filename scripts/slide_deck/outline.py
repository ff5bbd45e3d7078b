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
from html import escape
from math import ceil
from pathlib import Path
from typing import Any

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from scripts.slide_deck import closing, layout, pictures, prose
from scripts.slide_deck.layout import HEIGHT, NOTICE, WIDTH
from scripts.slide_deck.parts import Section, Slide
from scripts.slide_deck.pictures import Figure
from scripts.slide_deck.prose import Block

LINES = 11  # of text on a slide
FEW = 7  # lines that are set larger
SPARSE = 4.5  # lines that leave room for more of a paragraph
MOST_TEXT = 2  # slides of text in a row
MOST_CODE = 22  # lines
IDEA = re.compile(r"^(?:def|class) my_", re.MULTILINE)
FURTHER = "History and further reading"
QUESTIONS = "**Quick questions**"


def deck(path: Path) -> list[Slide]:
    """The slides of one chapter."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    opening, *sections = _sections(notebook["cells"])
    slides = _opening(opening, sections)
    last: dict[str, list[Slide]] = {FURTHER: [], "Summary": [], "Exercises": []}
    for section in sections:
        if section.name in last:
            last[section.name] = closing.closing(section)
        elif section.name != "What you will do":
            slides += _Composer(section).slides
    return [*slides, *closing.measured(path.stem), *(slide for ending in last.values() for slide in ending)]


def _sections(cells: list[dict[str, Any]]) -> list[Section]:
    """What stands before the first heading of the second level, and then a part for each of them."""
    found = [Section("")]
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            for block in prose.blocks(source):
                if block.kind == "heading" and block.level == 2:
                    found.append(Section(block.text))
                elif block.kind in ("figure", "table"):
                    html = block.text if block.kind == "figure" else f"<figure>{prose.page(block.text)}</figure>"
                    if (figure := pictures.read(html)) is not None:
                        found[-1].items.append(figure)
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
    room = 348 - 66 * ceil(len(name) / 44) - 38 * max(0, ceil(len(prose.plain(prose.inline(claim))) / 68) - 3) + 46
    shown = f"<figure>{pictures.grid(pictures.one_of_each_row(hero), WIDTH, room)}</figure>" if hero else ""
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
    road = [section for section in sections if section.name not in ("What you will do", "Summary", FURTHER)]
    names = "".join(f"<li><b>{part.number}</b> {prose.inline(part.name)}</li>" for part in road)
    items = "".join(f"<li>{prose.inline(prose.key(step, most=150, least=0))}</li>" for step in steps)
    rows = max(sum(ceil(len(part.name) / 40) for part in road), sum(ceil(min(len(s), 150) / 46) for s in steps))
    size = min(1.15, 24.0 / rows / 1.46)  # rem
    body = f'<div class="halves" style="font-size:{size:.3f}rem"><ul>{items}</ul><ol class="road">{names}</ol></div>'
    slides.append(
        Slide("overall", "What we will do", body, notes=prose.page(does or "\n".join(f"- {s}" for s in steps)))
    )
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
        told, notes = layout.told(self.waiting), layout.noted(self.waiting)
        self.waiting = []
        if not told or (self.slides and layout.is_rest(told)):
            if not self.slides:
                self.early += notes
                return
            self.slides[-1].notes += notes
            if told and self.figure:
                self._beside([prose.key(block.text) for block in told])
            return
        pages: list[list[Block]] = [[]]
        for block in told:
            if sum(map(layout.lines, pages[-1])) + layout.lines(block) > LINES and pages[-1]:
                pages.append([])
            pages[-1].append(block)
        if len(pages) > 1 and layout.is_rest(pages[-1]):
            pages.pop()  # no slide for one sentence; it stands in the notes
        for k, page in enumerate(pages[:MOST_TEXT]):
            weight = sum(map(layout.lines, page))
            body = "".join(layout.shown(block, amply=weight <= SPARSE) for block in page)
            self._add("text large" if weight <= FEW else "text", body, notes if k == 0 else "")

    def _figure(self, figure: Figure) -> None:
        told = layout.told(self.waiting)
        above: list[Block] = []
        most = 6 if figure.table and figure.rows <= 6 else 3  # lines
        if sum(map(layout.lines, told)) <= most and all(block.kind == "text" for block in told):
            above = told
        elif told and told[-1].kind == "text" and prose.key(told[-1].text).endswith((":", "?")):
            above = told[-1:]
        before = [block for block in self.waiting if block not in above]
        if before:
            self.waiting = before
            self._flush()
            self.waiting = above
        words = "".join(map(layout.shown, above))
        used = sum(map(layout.lines, above)) * 36 + (12 if above else 0)
        notes = layout.noted(self.waiting) + (f"<p><b>The figure.</b> {escape(figure.alt)}</p>" if figure.alt else "")
        self.waiting = []
        self._add("figure", "", notes)
        self.slides[-1].body = layout.placed(figure, words, used, [])
        self.figure = (figure, words, used)

    def _beside(self, sentences: list[str]) -> None:
        """Put sentences beside or below the figure of the last slide."""
        if self.figure:
            self.slides[-1].body = layout.placed(*self.figure, sentences)
            self.figure = None

    def _notice(self, block: Block) -> None:
        """As much of *What to notice* as fits stands with the figure that it speaks of."""
        text = block.text.removeprefix(NOTICE).strip()
        chosen: list[str] = []
        for sentence in prose.sentences(text):
            if chosen and sum(map(len, chosen)) + len(sentence) > 280:
                break
            chosen.append(prose.key(sentence, most=200, least=0))
        self._beside(chosen)
        self.slides[-1].notes += prose.page(block.text)

    def _code(self, block: Block) -> None:
        lines = re.sub(r"\n\n\n+", "\n\n", block.text.rstrip()).split("\n")
        shown = lines[:MOST_CODE] + (["    # … (the rest stands in the chapter)"] if len(lines) > MOST_CODE else [])
        widest = min(21.0, (WIDTH - 60) / max(map(len, shown)) / 0.61)
        told = layout.told(self.waiting)
        room = HEIGHT - 60 - sum(map(layout.lines, told)) * 43
        if told and room / len(shown) / 1.42 < min(widest, 17.0):  # the text has slides of its own
            self._flush()
            told, room = [], HEIGHT - 60
        size = min(widest, room / len(shown) / 1.42)
        html = highlight("\n".join(shown), PythonLexer(), HtmlFormatter(nowrap=True))
        body = "".join(map(layout.shown, told)) + f'<pre style="font-size:{size / 20:.3f}rem"><code>{html}</code></pre>'
        notes = layout.noted(self.waiting)
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
