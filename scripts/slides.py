"""Writes each chapter as slides for a lecture: python -m scripts.slides [NN …]  →  _build/slides/NN_name.html

A deck is one file that needs no network. It is made from the chapter as it is committed, its headings, key sentences,
formulas, figures, quick questions, summary and exercises (scripts/slide_deck/outline.py has the rules); nothing is
executed.
"""

import sys
from html import escape
from pathlib import Path

from course_lib.atomic import atomic_write
from scripts.slide_deck import outline, page, prose

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
OUTPUT = ROOT / "_build" / "slides"
LARGEST = 6_000_000  # bytes of a deck


def write(path: Path, folder: Path = OUTPUT) -> tuple[Path, str, int]:
    """Write the deck of one notebook.

    Returns:
        Its file, its title, and how many slides it has.

    Raises:
        ValueError: the deck is larger than `LARGEST`.
    """
    slides = outline.deck(path)
    title = prose.plain(prose.inline(slides[0].title))
    content = page.document(slides, title).encode()
    if len(content) > LARGEST:
        raise ValueError(
            f"the slides of {path.name} take {len(content) / 1e6:.1f} MB, more than {LARGEST / 1e6:.0f} MB"
        )
    file = folder / f"{path.stem}.html"
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as stream:
        stream.write(content)
    return file, title, len(slides)


def index(folder: Path) -> None:
    """Write a page that lists the decks of a folder."""
    rows = []
    for file in sorted(folder.glob("[0-9]*.html")):
        title = file.read_text(encoding="utf-8").split("<title>")[1].split(": slides</title>")[0]
        rows.append(f'<li><a href="{escape(file.name)}">{title}</a></li>')
    style = (
        "body{max-width:42rem;margin:3rem auto;padding:0 1rem;font:18px/1.7 sans-serif}ul{list-style:none;padding:0}"
    )
    html = f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Slides</title><style>{style}</style>'
    with atomic_write(folder / "index.html") as stream:
        stream.write(f"{html}<h1>Painting with Networks: slides</h1><ul>{''.join(rows)}</ul></html>\n".encode())


def main(arguments: list[str]) -> int:
    chosen = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    if arguments:
        unknown = [name for name in arguments if not any(path.name.startswith(name) for path in chosen)]
        if unknown:
            print(
                f"slides: no chapter {', '.join(unknown)}; say a number from 01 to {chosen[-1].name[:2]}",
                file=sys.stderr,
            )
            return 1
        chosen = [path for path in chosen if any(path.name.startswith(name) for name in arguments)]
    for path in chosen:
        file, title, count = write(path)
        print(f"{file.relative_to(ROOT)}: {title}, {count} slides, {file.stat().st_size / 1e6:.1f} MB")
    index(OUTPUT)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
