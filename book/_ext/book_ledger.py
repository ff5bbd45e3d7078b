"""The ledger page, and what notebooks get from records and claims: cards of runs, larger runs, anchors."""

import re
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import ledger_rows
import paper_list
import paper_runs
import run_cards
from book_local import ROOT
from docutils import nodes
from docutils.parsers.rst import Directive
from paper_runs import anchor
from sphinx.application import Sphinx

from course_lib.teaching import claims, records

PLACE = attrgetter("at")
LEDGER = "book/ledger"


def cost(name: str) -> str:
    """How the stored run `name` was computed, here and at the paper's scale, as a card for the margin; empty where it
    is in no record and in no queue."""
    larger = records.at_paper_scale(name)
    runs = [paper_runs.stored(name), vars(larger) if larger else {}]
    told = [run_cards.spent(run) for run in runs if run]
    left = paper_runs.not_run_yet([name])
    return run_cards.card(name, told, left) if told or left else ""


def cells(tree: nodes.document) -> list[tuple[nodes.container, str]]:
    """The code cells of a page that have a place in it, with what is written in them."""
    found = [cell for cell in tree.findall(nodes.container) if cell.get("nb_element") == "cell_code"]
    return [
        (cell, "\n".join(block.astext() for block in cell.findall(nodes.literal_block)))
        for cell in found
        if cell.parent is not None
    ]


def insert(cell: nodes.container, text: str, *, below: bool = False) -> None:
    """HTML above or below a cell."""
    assert cell.parent is not None
    cell.parent.insert(cell.parent.index(cell) + below, nodes.raw("", text, format="html"))


def last_of(cell: nodes.container, others: list[nodes.container]) -> nodes.container:
    """The last of the cells that follow one another without a word between them; it stops before one of `others`."""
    assert cell.parent is not None
    for after in cell.parent.children[cell.parent.index(cell) + 1 :]:
        if isinstance(after, nodes.raw):  # a card, an anchor
            continue
        if not isinstance(after, nodes.container) or after.get("nb_element") != "cell_code" or after in others:
            break
        cell = after
    return cell


def add_costs(app: Sphinx, tree: nodes.document) -> None:
    """Beside every cell that makes or shows a stored run: where it comes from, once in full and then in a line."""
    found = cells(tree)
    on_page = {name for _, source in found for name in run_cards.NAMES.findall(source)}
    told: set[str] = set()
    near: set[str] = set()  # those whose card stands in the same row of cells
    before: nodes.Node | None = None
    for cell, source in found:
        near = near if follows(cell, before) else set()
        before, boxes = cell, []
        for name in re.findall(r"records\.run\(\s*[\"']([^\"']+)", source):
            if name not in told and (text := cost(name)):
                boxes.append(text)
                told.add(name)
                near.add(name)
        for origin in run_cards.taken_from(cell, run_cards.NAMES.findall(source), on_page):
            if origin.key not in near:
                full = cost(origin.name) if origin.name else run_cards.card("", [run_cards.quoted(origin.line)])
                boxes.append(run_cards.pointer(origin.name) if origin.name in told else full)
                told |= {origin.name} - {""}
                near.add(origin.key)
        run_cards.with_full_pictures(cell, input_of(cell))
        if boxes:
            insert(cell, "".join(boxes))


def input_of(cell: nodes.container) -> str:
    return next((block.astext() for block in cell.findall(nodes.literal_block)), "")


def follows(cell: nodes.container, before: nodes.Node | None) -> bool:
    """Whether nothing but cards and anchors stands between two cells."""
    assert cell.parent is not None
    for other in reversed(cell.parent.children[: cell.parent.index(cell)]):
        if not isinstance(other, nodes.raw):
            return other is before
    return False


def add_paper_runs(app: Sphinx, tree: nodes.document) -> None:
    """The runs at the paper's scale: each below the cell that shows the laptop's, or a line on how to make it."""
    page = re.match(r"notebooks/(\d\d)_", app.env.docname)
    if page is None:
        return
    found = cells(tree)
    inputs = [input_of(cell) for cell, _ in found]
    told = sorted(paper_runs.mentions(inputs, page[1]).values(), key=PLACE)
    spoken = [found[place][0] for one in told for place in (one.at, one.made) if place is not None]
    for place, own in groupby(told, key=PLACE):
        here, cell = list(own), found[place][0]
        unmade = [one.name for one in here if one.made is None and one.own]  # the others have a card
        if left := paper_runs.not_run_yet(unmade):
            insert(cell, run_cards.card(", ".join(unmade), [], left))
        larger = [(run, one.call) for one in here if (run := records.at_paper_scale(one.name)) is not None]
        texts = [
            paper_runs.section(run, call, opened=count == 0, named=len(larger) > 1)
            for count, (run, call) in enumerate(larger)
        ]
        if texts:
            shown = any(one.call for one in here)
            insert(cell if shown else last_of(cell, spoken), "".join(texts), below=True)


def add_anchors(app: Sphinx, tree: nodes.document) -> None:
    """A place to jump to before every cell that checks a claim."""
    for cell, source in cells(tree):
        names = re.findall(r"claims\.check\(\s*[\"']([^\"']+)", source)
        marks = "".join(f'<span class="claim-mark" id="{anchor(name)}"></span>' for name in names)
        if marks:
            insert(cell, marks)


class Ledger(Directive):
    """`{ledger}`: every claim with its verdict, from data/claims.yml and the stored runs alone."""

    def run(self) -> list[nodes.Node]:
        page = self.state.document.settings.env
        page.note_dependency(str(claims.claims_file()))
        for record in (ROOT / "data" / "results").rglob("record.json"):
            page.note_dependency(str(record))
        chapters = {path.name[:2]: path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}
        findings, names = claims.ledger(), ledger_rows.paper_names()
        nodes_: list[nodes.Node] = [nodes.raw("", ledger_rows.summary(findings), format="html")]
        for paper in dict.fromkeys(found.claim.paper for found in findings):
            own = [found for found in findings if found.claim.paper == paper]
            section = nodes.section(ids=[f"ledger-{paper}"])
            section += nodes.title("", names[paper])
            rows = "".join(ledger_rows.row(found, chapters) for found in own)
            section += nodes.raw("", ledger_rows.counts(own) + rows, format="html")
            nodes_.append(section)
        return nodes_


def add_script(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: nodes.document | None) -> None:
    """The filter, on the ledger page alone."""
    if page == LEDGER:
        app.add_js_file("ledger.js", loading_method="defer")


def write_json(app: Sphinx, error: Exception | None) -> None:
    """The ledger for machines, beside the page, and stored pictures that a page shows in full."""
    folder = Path(app.outdir) / "book"
    if error is None:
        run_cards.write_full_pictures(Path(app.outdir))
    if error is None and folder.is_dir():
        (folder / "ledger.json").write_text(claims.machine_readable() + "\n", encoding="utf-8")


class PaperQueue(Directive):
    """`{paper-queue}`: every run at the papers' scale, how long it takes, and whether it is there.

    With the argument `state` only the sentence on how much of it is done.
    """

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        page = self.state.document.settings.env
        page.note_dependency(str(ROOT / "scripts" / "paper_queue" / "items.py"))
        for record in (ROOT / "data" / "results" / "paper").glob("*/record.json"):
            page.note_dependency(str(record))
        if self.arguments not in ([], ["state"]):
            raise self.error(f"paper-queue takes no argument, or the word state; got {self.arguments[0]!r}")
        if self.arguments:
            text = f'<p class="queue-state">{paper_list.state(paper_list.made())}</p>'
        else:
            text = paper_list.queue_list()
        return [nodes.raw("", text, format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("ledger", Ledger)
    app.add_directive("paper-queue", PaperQueue)
    app.connect("html-page-context", add_script)
    app.connect("build-finished", write_json)
    app.connect("doctree-read", add_costs)
    app.connect("doctree-read", add_paper_runs)
    app.connect("doctree-read", add_anchors)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
