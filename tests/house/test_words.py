"""What the style guide rewrites as *before* stands nowhere else, nor do the worst of the old turns of phrase."""

import re
from functools import cache
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "book" / "style_guide.md"
NEVER = (
    "what each cost stands beside it",
    "1 for as different as nothing is",
    "the pass is dearer",
    "comparable it is",
    "how to tell. from ",
    "how to tell** from ",
    "each for itself",
)


@cache
def texts() -> dict[str, str]:
    """What is read, by file: the chapters' text, the pages and the data that they show; in one line, in lower case."""
    found = {}
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        found[path.name] = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    for path in [ROOT / "README.md", *sorted((ROOT / "book").glob("*.md")), *sorted((ROOT / "data").glob("*.yml"))]:
        if path != GUIDE:
            found[path.name] = path.read_text(encoding="utf-8")
    return {name: re.sub(r"\s+", " ", text).lower() for name, text in found.items()}


def before() -> list[str]:
    """The first column of the guide's tables of sentences."""
    rows = re.findall(r"^\| (.+?) \| .+? \| .+? \|$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    return [row.lower() for row in rows if row != "before" and len(row.split()) > 4]


def test_the_guide_has_its_pairs() -> None:
    assert len(before()) >= 18


@pytest.mark.parametrize("sentence", [*before(), *NEVER])
def test_what_was_rewritten_stays_rewritten(sentence: str) -> None:
    assert [name for name, text in texts().items() if sentence in text] == []
