"""Folds in JupyterLab and on Colab what the book folds: python -m scripts.fold

The book hides the code of a cell with the tag `hide-input`. JupyterLab and Colab have marks of their own for that; this
writes them to the notebooks and takes them from cells that lost the tag. tests/notebooks/test_folded.py compares.
"""

import os
import sys
from pathlib import Path
from typing import Any

import nbformat

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
TAG = "hide-input"


def fold(notebook: Any) -> bool:
    """Write the marks of JupyterLab and Colab to every code cell; whether any was changed."""
    changed = False
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        before = nbformat.from_dict(cell.metadata)
        lab = dict(cell.metadata.pop("jupyter", {}))
        lab.pop("source_hidden", None)
        cell.metadata.pop("cellView", None)
        if TAG in cell.metadata.get("tags", []):
            lab["source_hidden"] = True
            cell.metadata["cellView"] = "form"
        if lab:
            cell.metadata["jupyter"] = lab
        changed = changed or cell.metadata != before
    return changed


def main() -> int:
    for path in sorted(NOTEBOOKS.rglob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        if fold(notebook):
            fresh = path.with_suffix(".tmp")
            fresh.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
            os.replace(fresh, path)
            print(f"folded: {path.relative_to(NOTEBOOKS)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
