"""Figures that are wider than a page: at most three pictures across, and charts whose words can be read on a phone.

A row of more pictures breaks into rows of two or three. A grid, where a column means something, keeps its columns also
on a phone and scrolls inside its box, as a chart does there; the page says so. No setup(): book_access uses it.
"""

import re

MOST = 3  # pictures across
GAP = 0.6  # em, as in course_lib.teaching.figures
READABLE, SMALLEST = 11, 16.2  # px: on a phone, and the smallest words of a chart in its own pixels (8.3 pt at 140 dpi)
LEAST = 700  # px: narrower drawings hold few words

# How a caption speaks of a grid; three columns without such words are a list, which may break anywhere.
ORDER = re.compile(r"\b(?:rows?|columns?|above|below|left|right|top|bottom|middle|upper|lower)\b", re.IGNORECASE)
FIGURE = re.compile(r'<figure class="sheet[^"]*".*?</figure>', re.DOTALL)
ROW = re.compile(
    r'<div style="display:flex;flex-wrap:wrap;gap:[\d.]+em;align-items:flex-start(?:;max-width:(\d+)px)?">'
)
BASIS = re.compile(r"flex:0 1 calc\(([\d.]+)% - [\d.]+em\)")
DRAWING = re.compile(r'<img [^>]*?style="max-width:100%;height:auto;display:block"[^>]*>')


def fit(page: str) -> str:
    """One page with its sheets and drawings so that they can be seen."""
    return FIGURE.sub(lambda found: drawings(rows(found[0])), page)


def rows(figure: str) -> str:
    """A sheet with at most three pictures across."""
    row, bases = ROW.search(figure), BASIS.findall(figure)
    columns = round(100 / float(bases[0])) if bases else 0
    if row is None or columns < MOST:
        return figure
    if len(bases) > columns and (columns > MOST or ORDER.search(words(figure))):
        most = f";max-width:{row[1]}px" if row[1] else ""
        return figure.replace(row[0], f'<div class="sideways grid" style="--columns:{columns}{most}">')
    if columns == MOST:
        return figure
    across = 2 if len(bases) == 4 else MOST
    basis = f"flex:0 1 calc({100 / across:.4f}% - {GAP * (across - 1) / across:.4f}em)"
    figure = BASIS.sub(basis, figure)
    if row[1]:
        narrower = row[0].replace(f"max-width:{row[1]}px", f"max-width:{round(int(row[1]) * across / columns)}px")
        figure = figure.replace(row[0], narrower)
    return figure


def words(figure: str) -> str:
    """What a figure says, in its caption, its titles and its alternative text."""
    said = re.search(r'aria-label="([^"]*)"', figure)
    return re.sub(r"<[^>]*>", " ", figure) + (said[1] if said else "")


def drawings(figure: str) -> str:
    """A figure with each chart in a box of its own, which knows how wide the chart must be to be read."""

    def boxed(found: re.Match[str]) -> str:
        width = re.search(r' width="(\d+)"', found[0])
        if width is None or int(width[1]) < LEAST:
            return found[0]
        least = round(int(width[1]) * READABLE / SMALLEST)
        return f'<div class="sideways chart" style="--least:{least}px">{found[0]}</div>'

    return DRAWING.sub(boxed, figure)
