"""The ledger page, and what notebooks get from records and claims: cost boxes, places for the ledger to point to."""

import html
import json
import re
from typing import Any

from book_local import ROOT
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from course_lib import claims


def cost(name: str) -> str:
    """What the stored run `name` cost, as a box for the margin; empty where there is no such run."""
    file = ROOT / "data" / "results" / name / "record.json"
    if not file.exists():
        return ""
    record = json.loads(file.read_text(encoding="utf-8"))
    minutes = record["minutes"]
    spent = f"{minutes:.1f} min" if minutes >= 1 else f"{60 * minutes:.0f} s"
    memory = f", {record['peak_memory_gb']:.1f} GB" if record["peak_memory_gb"] else ""
    words = [f"<b>{spent}{memory}</b>", html.escape(record["device"]), f"{record['profile']} profile, measured"]
    return (
        f'<aside class="margin cost" aria-label="What {html.escape(name, quote=True)} cost">'
        f'<p class="cost-title">Cost of <code>{html.escape(name)}</code></p>'
        f"<p>{''.join(f'<span>{word}</span>' for word in words)}</p></aside>"
    )


def add_costs(app: Sphinx, tree: nodes.document) -> None:
    """Beside every cell that makes a stored run: its minutes, memory and device, from the record itself."""
    for cell in list(tree.findall(nodes.container)):
        if cell.get("nb_element") != "cell_code":
            continue
        source = "\n".join(block.astext() for block in cell.findall(nodes.literal_block))
        boxes = [cost(name) for name in re.findall(r"records\.run\(\s*[\"']([^\"']+)", source)]
        if any(boxes) and cell.parent is not None:
            place = cell.parent.index(cell)
            cell.parent.insert(place, nodes.raw("", "".join(boxes), format="html"))


def anchor(name: str) -> str:
    """Where on its page the cell that checks a claim can be found."""
    return "claim-" + re.sub(r"[^a-z0-9]+", "-", name.lower())


def add_anchors(app: Sphinx, tree: nodes.document) -> None:
    """A place to jump to before every cell that checks a claim."""
    for cell in list(tree.findall(nodes.container)):
        if cell.get("nb_element") != "cell_code" or cell.parent is None:
            continue
        source = "\n".join(block.astext() for block in cell.findall(nodes.literal_block))
        names = re.findall(r"claims\.check\(\s*[\"']([^\"']+)", source)
        marks = "".join(f'<span class="claim-mark" id="{anchor(name)}"></span>' for name in names)
        if marks:
            cell.parent.insert(cell.parent.index(cell), nodes.raw("", marks, format="html"))


def paper_names() -> dict[str, str]:
    """``gatys2016style`` → ``Gatys, Ecker & Bethge 2016``, from the bibliography."""
    found = {}
    text = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    for key, body in re.findall(r"@\w+\{(\w+),(.*?)\n\}", text, re.DOTALL):
        authors = re.search(r"author\s*=\s*\{(.*?)\},?\n", body)
        names = [re.sub(r"[{}]", "", name).split(",")[0] for name in (authors[1].split(" and ") if authors else [key])]
        who = " & ".join(names) if len(names) <= 2 else f"{', '.join(names[:-1])} & {names[-1]}"
        if len(names) > 3:
            who = f"{names[0]} et al."
        year = re.search(r"year\s*=\s*\{?(\d{4})", body)
        found[key] = f"{who} {year[1]}" if year else f"{who}, undated"
    return found


def claim_row(found: Any, chapters: dict[str, str]) -> str:
    """One claim of the ledger: what is said, what we found, the verdict, and where to look."""
    claim, word = found.claim, html.escape
    place = (
        f'<a href="../notebooks/{chapters[claim.chapter]}.html#{anchor(claim.id)}">the cell</a>'
        if claim.chapter
        else ""
    )
    theirs = f"{word(claim.value or 'an ordering')} <small>({word(claims.CERTAINTIES[claim.certainty])})</small>"
    rows = [("Said in", word(claim.where)), ("Setting", word(claim.setting)), ("The paper", theirs)]
    if found.value:
        rows += [
            ("Here", word(found.value)),
            ("Measured", word(claim.measure)),
            ("From", f"{word(found.line)} · {place}"),
        ]
    rows += [("Why", word(claim.note or claim.not_attempted))]
    lines = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in rows if text)
    kind = found.verdict.replace(" ", "-")
    return (
        f'<section class="claim {kind}" id="{anchor(claim.id)}"><p class="claim-head">'
        f'<span class="verdict">{word(found.verdict)}</span> {word(claim.claim)}</p>'
        f"<dl><dt>Claim</dt><dd><code>{word(claim.id)}</code></dd>{lines}</dl></section>"
    )


class Ledger(Directive):
    """`{ledger}`: every claim with its verdict, from data/claims.yml and the stored runs alone."""

    def run(self) -> list[nodes.Node]:
        page = self.state.document.settings.env
        page.note_dependency(str(claims.claims_file()))
        for record in (ROOT / "data" / "results").glob("*/record.json"):
            page.note_dependency(str(record))
        chapters = {path.name[:2]: path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}
        findings, names = claims.ledger(), paper_names()
        counts = [(word, sum(found.verdict == word for found in findings)) for word in claims.VERDICTS]
        parts = ['<p class="ledger-sum">' + " · ".join(f"<b>{count}</b> {word}" for word, count in counts) + "</p>"]
        nodes_: list[nodes.Node] = []
        for paper in dict.fromkeys(found.claim.paper for found in findings):
            section = nodes.section(ids=[f"ledger-{paper}"])
            section += nodes.title("", names[paper])
            rows = "".join(claim_row(found, chapters) for found in findings if found.claim.paper == paper)
            section += nodes.raw("", rows, format="html")
            nodes_.append(section)
        return [nodes.raw("", "".join(parts), format="html"), *nodes_]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("ledger", Ledger)
    app.connect("doctree-read", add_costs)
    app.connect("doctree-read", add_anchors)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
