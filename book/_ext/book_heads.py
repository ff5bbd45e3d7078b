"""The card at the top of every chapter, and the overview of all chapters: `{chapters}`.

Both are made from data/chapters.yml, the notebooks, the stored runs, the claims and data/chapter_costs.json; no number
in them is typed by hand but `learn`, which is an estimate and says so.
"""

import html
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import chapter_opening
import paper_runs
import yaml
from book_local import ROOT
from docutils import nodes
from docutils.parsers.rst import Directive
from ledger_rows import badges
from paper_runs import anchor, on_a_processor, spell
from sphinx.application import Sphinx
from sphinx.util import logging

from course_lib.teaching import claims
from scripts import chapter_costs

LOGGER = logging.getLogger(__name__)
WORDS_A_MINUTE = 200
LINE_OF_CODE = 4  # seconds; a line has at most 83 characters, and many have one argument


@dataclass(frozen=True)
class Chapter:
    """A row of data/chapters.yml with what is counted and measured. Minutes, but `quick` in seconds."""

    number: str
    page: str  # "notebooks/03_gatys"
    title: str
    summary: str
    needs: tuple[str, ...]
    learn: int
    read: int
    quick: dict[str, Any] | None  # seconds, device, torch; None: not measured yet
    laptop: float  # of its stored runs on a processor
    gpu: float  # of its stored runs on a GPU; 0: not measured yet
    findings: tuple[claims.Finding, ...]
    cards: tuple[str, ...] = ()  # the GPUs

    @property
    def name(self) -> str:
        """The title without papers: ``3. A photo, a painting, one loss``."""
        return re.sub(r"\s*\(.*\)$", "", self.title)


def reading_minutes(cells: list[dict[str, Any]]) -> int:
    """What stands open: words at a calm pace, a few seconds for every line of code; to the next five minutes.

    Solutions, asides and folded code are not counted. An aside begins in one cell and ends in a later one.
    """
    words, lines, depth = 0, 0, 0
    for cell in cells:
        source, tags = "".join(cell["source"]), cell["metadata"].get("tags", [])
        if cell["cell_type"] == "markdown":
            for part in re.split(r"(</?details\b[^>]*>)", source):
                depth += part.startswith("<details") - part.startswith("</details")
                if not depth:
                    words += len(re.sub(r"<[^>]*>|\$[^$]*\$|\]\([^)]*\)", " ", part).split())
        elif not depth and not {"bootstrap", "hide-input"} & set(tags):
            lines += sum(bool(line.strip()) for line in source.splitlines())
    return max(5, 5 * round((words / WORDS_A_MINUTE + lines * LINE_OF_CODE / 60) / 5))


def parts(root: Path = ROOT) -> dict[str, list[str]]:
    """The pages of each part of _toc.yml, by its caption."""
    contents = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    return {part["caption"]: [row["file"] for row in part["chapters"]] for part in contents["parts"]}


@lru_cache(maxsize=1)
def chapters(root: Path = ROOT) -> dict[str, Chapter]:
    """All chapters by number, in the order of _toc.yml: a chapter's number is its name, not its place.

    Raises:
        ValueError: a chapter without a row or without a place, a row without a chapter, or a chapter that builds on a
            later one.
    """
    rows = yaml.safe_load((root / "data" / "chapters.yml").read_text(encoding="utf-8"))
    files = {path.name[:2]: path for path in sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb"))}
    if set(rows) != set(files):
        raise ValueError(
            f"data/chapters.yml and notebooks/ differ in chapters {sorted(set(rows) ^ set(files))}: one row each"
        )
    pages = [page for own in parts(root).values() for page in own]
    order = [found[1] for found in (re.fullmatch(r"notebooks/(\d\d)_\w+", page) for page in pages) if found]
    if sorted(order) != sorted(files):
        raise ValueError(
            f"_toc.yml and notebooks/ differ in chapters {sorted(set(order) ^ set(files))}: one place each"
        )
    costs = chapter_costs.load(root / "data" / "chapter_costs.json").get("quick", {})
    stored = sorted((root / "data" / "results").rglob("record.json"))  # the paper profile's lie in a folder of theirs
    records = [json.loads(file.read_text("utf-8")) for file in stored]
    findings, found = claims.ledger(), {}
    for number in order:
        row, file = rows[number], files[number]
        if not set(row["needs"]) <= set(found):
            raise ValueError(f"data/chapters.yml: chapter {number} can only need earlier ones, not {row['needs']}")
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        own = [record for record in records if record["name"].startswith(f"{number}_")]
        on_cpu = [record for record in own if on_a_processor(record["device"])]
        on_gpu = [record for record in own if record not in on_cpu]
        found[number] = Chapter(
            number,
            f"notebooks/{file.stem}",
            "".join(cells[0]["source"]).splitlines()[0].lstrip("# "),
            row["summary"],
            tuple(row["needs"]),
            row["learn"],
            reading_minutes(cells),
            costs.get(number),
            sum(record["minutes"] for record in on_cpu),
            sum(record["minutes"] for record in on_gpu),
            tuple(finding for finding in findings if finding.claim.chapter == number),
            tuple(dict.fromkeys(record["device"] for record in on_gpu)),
        )
    return found


def link(chapter: Chapter, page: str, text: str) -> str:
    up = "../" * page.count("/")
    return f'<a href="{up}{chapter.page}.html">{html.escape(text)}</a>'


def on_a_gpu(chapter: Chapter) -> str:
    """What the chapter's stored runs took on a GPU, and how to make those of the queue that are not there."""
    everything = paper_runs.of_chapter(chapter.number)
    left = paper_runs.missing(everything)
    text = f"{spell(chapter.gpu)} ({html.escape(', '.join(chapter.cards))})" if chapter.gpu else "not measured yet"
    if not left:
        return text
    what = "makes it" if not chapter.gpu else f"makes what is missing ({len(left)} of {len(everything)} runs)"
    command, cost = paper_runs.command([item.name for item in paper_runs.items_of(left)]), paper_runs.estimate(left)
    return f'{text}; {command} <a href="../{paper_runs.PAGE}">{what}</a>, {cost}'


def head(chapter: Chapter, everything: dict[str, Chapter]) -> str:
    """The card at the top of a chapter."""
    quick = "not measured yet"
    if chapter.quick:
        quick = f"{spell(chapter.quick['seconds'] / 60)} ({html.escape(chapter.quick['device'])})"
    runs = f"its stored runs: {spell(chapter.laptop)}; " if chapter.laptop else ""
    needs = ", ".join(link(everything[need], chapter.page, everything[need].name) for need in chapter.needs)
    rows = [
        ("Time", f"about {spell(chapter.read)} to read what is not folded, {spell(chapter.learn)} with its exercises"),
        ("Running it", f"as it stands: {quick}; {runs}on a GPU: {on_a_gpu(chapter)}"),
        ("Builds on", needs or "no other chapter"),
    ]
    lines = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in rows)
    claimed = "".join(
        f'<li class="{finding.verdict.replace(" ", "-")}"><span class="verdict">{finding.verdict}</span> '
        f'<a href="../book/ledger.html#{anchor(finding.claim.id)}">{html.escape(finding.claim.claim)}</a></li>'
        for finding in chapter.findings
    )
    count = f"{len(chapter.findings)} claim{'s'[: len(chapter.findings) != 1]}"
    listed = (
        f"<details><summary>{count}: {badges(chapter.findings)}</summary><ul>{claimed}</ul></details>"
        if claimed
        else ""
    )
    return f'<aside class="chapter-head" aria-label="This chapter in figures"><dl>{lines}</dl>{listed}</aside>'


def add_heads(app: Sphinx, tree: nodes.document) -> None:
    """Puts a picture and the card below a chapter's title, and names the folds of every page."""
    chapter_opening.name_folds(tree)
    page = app.env.docname
    try:
        everything = chapters()
    except ValueError as error:
        LOGGER.warning("%s", error)
        return
    chapter = next((chapter for chapter in everything.values() if chapter.page == page), None)
    section = next(tree.findall(nodes.section), None)
    if chapter is None or section is None:
        return
    chapter_opening.open_with_picture(section, head(chapter, everything))


def entry(chapter: Chapter, page: str) -> str:
    facts = [f"{spell(chapter.read)} to read", f"{spell(chapter.learn)} to learn"]
    if chapter.quick:
        facts += [f"runs in {spell(chapter.quick['seconds'] / 60)}"]
    if chapter.needs:
        facts += [f"after {' and '.join(str(int(need)) for need in chapter.needs)}"]
    if chapter.findings:
        facts += [f"{len(chapter.findings)} claim{'s'[: len(chapter.findings) != 1]} measured"]
    return (
        f'<li><p class="chapter-title">{link(chapter, page, chapter.name)}</p><p>{html.escape(chapter.summary)}</p>'
        f'<p class="facts">{" · ".join(facts)}</p></li>'
    )


class Chapters(Directive):
    """`{chapters}`: all chapters with their times and what they build on, by the parts of _toc.yml."""

    def run(self) -> list[nodes.Node]:
        page = self.state.document.settings.env.docname
        try:
            everything = chapters().values()
        except ValueError as error:
            raise self.error(str(error)) from error
        by_page = {chapter.page: chapter for chapter in everything}
        lists = []
        for caption, pages in parts().items():
            own = [by_page[name] for name in pages if name in by_page]
            if own:
                entries = "".join(entry(chapter, page) for chapter in own)
                lists.append(f'<p class="part">{html.escape(caption)}</p><ul>{entries}</ul>')
        total = (
            f"{len(everything)} chapters: {spell(sum(chapter.read for chapter in everything))} to read, about "
            f"{spell(sum(chapter.learn for chapter in everything))} to learn, exercises included (an estimate)."
        )
        text = f'<div class="chapters">{"".join(lists)}<p class="facts">{total}</p></div>'
        return [nodes.raw("", text, format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("chapters", Chapters)
    app.connect("doctree-read", add_heads, priority=600)  # book_ledger has put its cards beside the cells
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
