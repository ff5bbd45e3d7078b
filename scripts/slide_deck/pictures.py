"""An output of a notebook → what of it stands on a slide: pictures in a grid that fits, a table, a caption."""

import base64
import re
from dataclasses import dataclass, replace
from html import escape
from math import ceil

from bs4 import BeautifulSoup
from bs4.element import Tag

from scripts.slide_deck import prose

GAP, TITLE = 14, 26  # pixels of a slide 1280 wide: between pictures, and for a title below one
LARGEST = 2.6  # times its own size: how far a picture may be enlarged
UNEVEN = 0.8  # what an arrangement is worth whose last row is not full
MOST_ROWS = 9  # of a table
WRAPPED = 34  # characters after which a cell takes another line
MOST_TILES = 6  # of a component
_SVG = "data:image/svg+xml;base64,"
_RUN = re.compile(r"\s*\((stored run[^()]*(?:\([^()]*\)[^()]*)*)\)")


@dataclass(frozen=True)
class Picture:
    """One picture of a figure."""

    source: str
    alt: str
    title: str
    width: int
    height: int
    pixelated: bool = False
    drawing: str = ""  # the SVG itself, which can follow the colors of the page


@dataclass(frozen=True)
class Figure:
    """A figure of a chapter. `columns` is 0 where the order of its pictures leaves the arrangement open."""

    kind: str
    pictures: tuple[Picture, ...]
    table: str
    caption: str
    run: str  # the line of a stored run, which the caption ends with
    alt: str
    columns: int = 0
    rows: int = 0  # lines of a table, and the longest one in characters
    characters: int = 0

    @property
    def is_component(self) -> bool:
        """Whether the chapter lets readers operate it."""
        return "interactive" in self.kind.split()


def read(html: str) -> Figure | None:
    """The figure in an output; None for a table of claims, which have slides of their own, and where there is none."""
    page = BeautifulSoup(html, "html.parser")
    figure = page.find("figure")
    if not isinstance(figure, Tag):
        return None
    kind = " ".join(figure.get("class") or [])
    for hidden in figure.find_all(attrs={"hidden": True}) + figure.find_all(["script", "style", "noscript", "details"]):
        hidden.decompose()
    said = figure.find("figcaption")
    caption = said.get_text().strip() if isinstance(said, Tag) else ""
    runs = list(dict.fromkeys(found[1] for found in _RUN.finditer(caption)))
    pictures = [picture for tag in figure.find_all("img") if (picture := _picture(tag)) is not None]
    columns = 0
    if "interactive" in kind:
        pictures = pictures[:MOST_TILES]
    elif cell := figure.find(class_="cell"):
        share = re.search(r"calc\(([\d.]+)%", str(cell.get("style") or "")) if isinstance(cell, Tag) else None
        wanted = round(100 / float(share[1])) if share else 0
        columns = wanted if wanted and len(pictures) > wanted and len(pictures) % wanted == 0 else 0
    table = figure.find("table")
    if not pictures and not isinstance(table, Tag):
        return None
    rows, longest = 0, 0
    if isinstance(table, Tag):
        heads = [head.get_text().strip() for head in table.find_all("th")]
        if "claim" in heads and "verdict" in heads:
            return None
        rows, longest = _cut(table, page)
    alt = str(figure.get("aria-label") or caption)
    shown = str(table) if isinstance(table, Tag) else ""
    return Figure(kind, tuple(pictures), shown, _RUN.sub("", caption), " · ".join(runs), alt, columns, rows, longest)


def _picture(tag: Tag) -> Picture | None:
    source, width, height = (str(tag.get(name) or "") for name in ("src", "width", "height"))
    if source.startswith(_SVG):
        return _drawing(base64.b64decode(source[len(_SVG) :]).decode(), str(tag.get("alt") or ""))
    if not source.startswith("data:image/") or not (width.isdigit() and height.isdigit()):
        return None
    holder = tag.find_parent(class_=["cell", "tile"])
    named = holder.find(class_=["title", "name"]) if isinstance(holder, Tag) else None
    title = named.get_text().strip() if isinstance(named, Tag) else ""
    square = "pixelated" in str(tag.get("style") or "")
    return Picture(source, str(tag.get("alt") or ""), title, int(width), int(height), square)


def _drawing(svg: str, alt: str) -> Picture | None:
    found = re.search(r'<svg[^>]*? viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    if not found:
        return None
    width, height = (round(float(number)) for number in found.groups())
    label = escape(alt, quote=True)
    head = f'<svg viewBox="0 0 {found[1]} {found[2]}" role="img" aria-label="{label}">'
    return Picture("", alt, "", width, height, drawing=re.sub(r"^.*?<svg[^>]*>", head, svg, count=1, flags=re.DOTALL))


def _cut(table: Tag, page: BeautifulSoup) -> tuple[int, int]:
    """Leave the first rows of a long table and say how many are missing; the lines and characters of what is left."""
    body = table.find("tbody")
    rows = body.find_all("tr") if isinstance(body, Tag) else []
    for row in rows[MOST_ROWS:]:
        row.decompose()
    if len(rows) > MOST_ROWS and isinstance(body, Tag):
        more = page.new_tag("tr", attrs={"class": "more"})
        cell = page.new_tag("td", attrs={"colspan": "99"})
        cell.string = f"and {len(rows) - MOST_ROWS} more rows in the chapter"
        more.append(cell)
        body.append(more)
    cells = [[len(cell.get_text().strip()) for cell in row.find_all(["td", "th"])] for row in table.find_all("tr")]
    cells = [row for row in cells if len(row) > 1]
    longest = [
        max((row[k] for row in cells if k < len(row)), default=0) for k in range(max(map(len, cells), default=0))
    ]
    lines = sum(max(ceil(length / WRAPPED) for length in [1, *row]) for row in cells)
    return lines, sum(min(length, WRAPPED) + 3 for length in longest)


def _extent(pictures: tuple[Picture, ...], columns: int, scale: float) -> tuple[float, float]:
    """Width and height of a grid in which every column is as wide as the widest picture."""
    cell = max(picture.width for picture in pictures) * scale
    rows = [pictures[k : k + columns] for k in range(0, len(pictures), columns)]
    titled = TITLE if any(picture.title for picture in pictures) else 0
    heights = [max(picture.height / picture.width for picture in row) * cell + titled for row in rows]
    return columns * cell + GAP * (columns - 1), sum(heights) + GAP * (len(rows) - 1)


def arranged(figure: Figure, width: float, height: float) -> tuple[int, float]:
    """(columns, scale): the arrangement that shows the pictures largest in a box.

    >>> wide = tuple(Picture("", "", "", 300, 200) for _ in range(3))
    >>> arranged(Figure("sheet", wide, "", "", "", ""), 1168, 400)[0]
    3
    """
    pictures, best, most = figure.pictures, (1, 0.0), 0.0
    base = max(picture.width for picture in pictures)
    for columns in [figure.columns] if figure.columns else range(1, len(pictures) + 1):
        low, high = 0.0, LARGEST if not pictures[0].pixelated else 40.0
        high = min(high, max(1.0, (width - GAP * (columns - 1)) / columns / base))
        for _ in range(24):  # heights grow with the scale, so halve the interval
            middle = (low + high) / 2
            across, down = _extent(pictures, columns, middle)
            low, high = (middle, high) if across <= width and down <= height else (low, middle)
        worth = low * (UNEVEN if len(pictures) % columns else 1.0)
        if worth > most * 1.001:
            best, most = (columns, low), worth
    return best


def across(figure: Figure, width: float, height: float) -> float:
    """How wide a figure is in a box, in pixels."""
    if not figure.pictures:
        return min(width, figure.characters * 0.56 * letters(figure, width, height))
    return _extent(figure.pictures, *arranged(figure, width, height))[0]


def one_of_each_row(figure: Figure) -> Figure:
    """The last picture of each row, where a figure has several rows that belong together."""
    return (
        replace(figure, pictures=figure.pictures[figure.columns - 1 :: figure.columns], columns=0)
        if figure.columns
        else figure
    )


def grid(figure: Figure, width: float, height: float) -> str:
    """The pictures of a figure as HTML, as large as a box of these pixels allows."""
    columns, scale = arranged(figure, width, height)
    cell = max(picture.width for picture in figure.pictures) * scale
    cells = []
    for picture in figure.pictures:
        name = f'<span class="name">{escape(picture.title)}</span>' if picture.title else ""
        square = ' class="square"' if picture.pixelated else ""
        image = picture.drawing or (
            f'<img{square} src="{picture.source}" alt="{escape(picture.alt, quote=True)}" '
            f'width="{picture.width}" height="{picture.height}">'
        )
        cells.append(f'<span class="cell">{image}{name}</span>')
    kind = " chart" if "curves" in figure.kind else " diagram" if "diagram" in figure.kind else ""
    style = f"grid-template-columns:repeat({columns},{cell / 20:.3f}rem)"
    return f'<div class="grid{kind}" style="{style}">{"".join(cells)}</div>'


def letters(figure: Figure, width: float, height: float) -> float:
    """The size of a table's letters in pixels with which it fits into a box."""
    return min(24.0, width / max(1, figure.characters) / 0.52, height / (figure.rows + 0.6) / 2.05)


def table(figure: Figure, width: float, height: float) -> str:
    """The table of a figure as HTML, in letters that fit."""
    size = letters(figure, width, height)
    return f'<div class="table" style="font-size:{max(11.0, size) / 20:.3f}rem">{figure.table}</div>'


def caption(figure: Figure, most: int) -> str:
    """The caption, in at most so many characters, and the line of its run."""
    text = figure.caption
    while len(text) > most and len(parts := prose.sentences(text)) > 1:
        text = " ".join(parts[:-1])
    line = " · ".join(filter(None, (figure.run, "to be operated in the chapter" if figure.is_component else "")))
    run = f'<span class="run">{escape(line)}</span>' if line else ""
    return f"<figcaption>{escape(text)}{run}</figcaption>" if text or run else ""
