"""Writes the diagrams: both drawings into book/_static/diagrams, and the wide one into a cell of each notebook.

The cell is plain HTML with the picture in it, so that it needs no other file in JupyterLab and on Colab. The book puts
the drawings themselves in its place (book/_ext/components.py): they follow the page's theme and its width.
"""

import os
from html import escape
from pathlib import Path
from typing import Any

import nbformat

from scripts.diagrams.chapters import AFTER, DIAGRAMS
from scripts.diagrams.drawing import draw, svg
from scripts.diagrams.layout import WIDE, Diagram

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "book" / "_static" / "diagrams"


def files(name: str, diagram: Diagram) -> dict[Path, str]:
    """The two drawings of a diagram, by the file they belong into."""
    return {
        FOLDER / f"{name}.svg": svg(draw(diagram, wide=True)),
        FOLDER / f"{name}_narrow.svg": svg(draw(diagram, wide=False)),
    }


def cell(name: str, diagram: Diagram, wide: str) -> str:
    """The source of the Markdown cell: one HTML block, without an empty line."""
    data = wide.strip().replace('"', "'")
    for sign in "%#<>&":  # a page may not have these in an address, or reads something else from them
        data = data.replace(sign, f"%{ord(sign):02X}")
    return (
        f'<figure class="diagram" id="diagram-{name}">\n'
        f'<img width="{WIDE}" alt="{escape(diagram.alt)}" src="data:image/svg+xml;charset=utf-8,{data}">\n'
        f"<figcaption>{escape(diagram.caption, quote=False)}</figcaption>\n</figure>"
    )


def with_cell(notebook: Any, name: str, source: str) -> bool:
    """Put the cell into a notebook, in place of its older self or behind `AFTER`; whether anything changed.

    Raises:
        ValueError: the notebook has no cell of that name.
    """
    own = f"diagram-{name[:2]}"
    for old in notebook.cells:
        if old.get("id") == own:
            changed = bool(old.source != source)
            old.source = source
            return changed
    ids = [c.get("id") for c in notebook.cells]
    if AFTER[name] not in ids:
        raise ValueError(f"{name} has no cell {AFTER[name]!r}, after which its diagram stands; see AFTER in chapters")
    fresh = nbformat.v4.new_markdown_cell(source, id=own, metadata={"tags": []})
    notebook.cells.insert(ids.index(AFTER[name]) + 1, fresh)
    return True


def update(names: list[str], *, check: bool) -> list[str]:
    """Write these diagrams, or with `check` only compare; returns what is (or was) not as the script draws it."""
    stale = []
    for name in names:
        diagram = DIAGRAMS[name]()
        drawn = files(name, diagram)
        for path, text in drawn.items():
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale.append(path.name)
                if not check:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(text, encoding="utf-8")
        path = ROOT / "notebooks" / f"{name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        if with_cell(notebook, name, cell(name, diagram, drawn[FOLDER / f"{name}.svg"])):
            stale.append(path.name)
            if not check:
                fresh = path.with_suffix(".tmp")
                fresh.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
                os.replace(fresh, path)
    return stale
