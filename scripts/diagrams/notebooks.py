"""Numbers of sections, read from the notebooks' headings."""

import re
from functools import lru_cache
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[2]


@lru_cache(maxsize=32)
def headings(name: str) -> tuple[tuple[str, str], ...]:
    """Number and words of every numbered section of a notebook: ``("4.5", "The start")``."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return tuple(re.findall(r"^## (\d+\.\d+) (.+)$", text, re.MULTILINE))


def section(name: str, words: str) -> str:
    """The number of the section whose heading begins with these words.

    Raises:
        ValueError: no section does, or several.
    """
    found = [number for number, heading in headings(name) if heading.startswith(words)]
    if len(found) != 1:
        raise ValueError(f"{name} has {len(found)} sections that begin with {words!r}; a diagram names one")
    return found[0]
