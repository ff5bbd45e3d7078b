"""How a chapter opens and what its folds are called: a picture first, then the card, then words; setup folds.

All of it happens to the page, not to the notebook, which keeps its order and its outputs. No setup(): book_heads uses
it.
"""

import re
from collections.abc import Iterator

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode

SETUP, COMPUTED, FIGURE, TABLE, CHECK, PRINTED = (
    "Setup",
    "How this was computed",
    "Code of the figure",
    "Code of the table",
    "Code of the check",
    "Code of the output",
)
HIDE = "Hide the code"
SHEET = re.compile(r'<figure class="sheet(?! table)[^"]*"')
TABLES = '<figure class="sheet table"'


def is_cell(node: nodes.Node) -> bool:
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"


def part(cell: nodes.container, kind: str) -> nodes.container | None:
    """A cell's source, ``"cell_code_source"``, or its output, ``"cell_code_output"``."""
    return next((one for one in cell.children if isinstance(one, nodes.container) and one["nb_element"] == kind), None)


def source_of(cell: nodes.container) -> str:
    source = part(cell, "cell_code_source")
    return source.astext() if source is not None else ""


def shown_by(cell: nodes.container) -> str:
    """The HTML that a cell shows."""
    output = part(cell, "cell_code_output")
    return "".join(raw.astext() for raw in output.findall(nodes.raw)) if output is not None else ""


# --- names of folds
def name_of(cell: nodes.container) -> str:
    """What the fold of a cell's code is called, by what the cell shows or does."""
    shown, source = shown_by(cell), source_of(cell)
    if "<figure" in shown:
        return TABLE if TABLES in shown and not SHEET.search(shown) else FIGURE
    if "records.missing(" in source:
        return COMPUTED
    if part(cell, "cell_code_output") is None:
        return SETUP
    return CHECK if re.search(r"\b(?:checks|claims)\.\w", source) else PRINTED


def name_folds(tree: nodes.document) -> None:
    """Names every fold of the page, and folds cells that make a stored run and show nothing."""
    for cell in [node for node in tree.findall(nodes.container) if is_cell(node)]:
        if part(cell, "cell_code_source") is None:
            continue
        name = name_of(cell)
        if name == COMPUTED and not cell.get("hide_mode") and part(cell, "cell_code_output") is None:
            cell["hide_mode"] = "input"
        if cell.get("hide_mode") == "input":
            cell["prompt_show"], cell["prompt_hide"] = name, HIDE


# --- the opening
def opening_cells(section: nodes.section) -> list[nodes.container]:
    """The code cells before the first section that teaches: below the title, or below *What you will do*."""
    first = next((node for node in section.findall(nodes.container) if is_cell(node)), None)
    if first is None or first.parent is None:
        return []
    place = first.parent.index(first)
    return [node for node in before_sections(first.parent.children[place:]) if is_cell(node)]  # type: ignore[misc]


def before_sections(children: list[nodes.Node]) -> Iterator[nodes.Node]:
    for node in children:
        if isinstance(node, nodes.section):
            return
        yield node


def first_picture(section: nodes.section) -> nodes.container | None:
    """The cell that shows the first sheet of pictures; of curves only where there is no other."""
    cells = [node for node in section.findall(nodes.container) if is_cell(node)]
    shown = [cell for cell in cells if SHEET.search(shown_by(cell))]
    plain = [cell for cell in shown if "sheet curves" not in shown_by(cell)]
    return next(iter(plain or shown), None)


def open_with_picture(section: nodes.section, card: str) -> None:
    """A chapter's first picture below its title, then `card`, then the text; its setup in folds.

    A picture that follows the setup without a word between is moved, and words about it come along. One that belongs to
    a section stays there and is shown twice: it is the same file.

    Args:
        section: of the whole chapter.
        card: HTML.
    """
    cell = first_picture(section)
    opening = opening_cells(section)
    hero, words = nodes.container("", nb_element="cell_code", classes=["cell", "opening"]), []
    if cell is not None:
        output = part(cell, "cell_code_output")
        assert output is not None
        moved = cell in opening and not words_between(opening[0], cell)
        hero += output if moved else output.deepcopy()
        if moved:
            cell.remove(output)
            cell["hide_mode"], cell["prompt_show"], cell["prompt_hide"] = "input", FIGURE, HIDE
            words, cards = words_after(cell), asides(opening)
            for node in (*words, *cards):
                node.parent.remove(node)
            told = "".join(node.astext() for node in cards)
            hero += nodes.raw("", f'<div class="runs">{told}</div>' if told else "", format="html")
    fold_setup(opening)
    title = next(n for n, node in enumerate(section.children) if isinstance(node, nodes.title))
    top = [*([hero] if hero.children else []), nodes.raw("", card, format="html")]
    section.insert(title + 1, top)
    if words:
        below = title + 1 + len(top)
        claim = isinstance(section.children[below], nodes.paragraph)
        section.insert(below + claim, words)


def words_between(first: nodes.Element, last: nodes.Element) -> bool:
    """Whether anything but cells, cards and anchors stands between two cells of one section."""
    siblings = first.parent.children
    between = siblings[siblings.index(first) : siblings.index(last)]
    return not all(is_cell(node) or isinstance(node, nodes.raw) for node in between)


def words_after(cell: nodes.container) -> list[nodes.Node]:
    """The paragraphs below a cell and below cells that show nothing, up to the next figure, output or section."""
    siblings = cell.parent.children
    found: list[nodes.Node] = []
    for node in before_sections(siblings[siblings.index(cell) + 1 :]):
        if isinstance(node, nodes.paragraph):
            found.append(node)
        elif found or not (isinstance(node, nodes.raw) or (is_cell(node) and not part(node, "cell_code_output"))):  # type: ignore[arg-type]
            break
    return found


def asides(opening: list[nodes.container]) -> list[nodes.Node]:
    """The cards of stored runs beside the cells of an opening, and larger runs below them."""
    siblings = opening[0].parent.children
    there = before_sections(siblings[siblings.index(opening[0]) :])
    return [node for node in there if isinstance(node, nodes.raw) and "<aside" in node.astext()]


def fold_setup(opening: list[nodes.container]) -> None:
    """One fold for each row of cells that show nothing; those that make a stored run have a fold of their own."""
    row: list[nodes.container] = []

    def close() -> None:
        if row:
            fold = HideCodeCellNode(prompt_show=SETUP, prompt_hide=SETUP)
            fold["classes"].append("setup")
            row[0].parent.replace(row[0], fold)
            for cell in row[1:]:
                cell.parent.remove(cell)
            for cell in row:
                cell["hide_mode"] = ""
            fold.extend(row)
            row.clear()

    for cell in opening:
        shows = part(cell, "cell_code_output") is not None or cell.get("prompt_show") == FIGURE
        apart = shows or "records.missing(" in source_of(cell)
        if apart or (row and not neighbors(row[-1], cell)):
            close()
        if not apart:
            row.append(cell)
    close()


def neighbors(one: nodes.container, other: nodes.container) -> bool:
    siblings = one.parent.children
    return siblings.index(other) == siblings.index(one) + 1
