"""The bibliography: every entry is complete, keeps its capitals, and is named where somebody reads it."""

import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import pytest
from pybtex.database import parse_file
from pybtex.richtext import Text

ROOT = Path(__file__).resolve().parents[2]
BIB = ROOT / "book" / "references.bib"
ENTRIES: dict[str, Any] = dict(parse_file(str(BIB), "bibtex").entries.items())
VENUE = {"article": "journal", "inproceedings": "booktitle", "book": "publisher"}
NAMES = {
    "gan",
    "gans",
    "u-net",
    "imagenet",
    "gaussian",
    "gaussians",
    "poisson",
    "markov",
    "newton",
    "nash",
    "wasserstein",
}


def plain(latex: str) -> str:
    """The text without commands, braces and accents, in lower case: `Piti{\\'e}` becomes `pitie`."""
    letters = unicodedata.normalize("NFKD", str(Text.from_latex(latex)))
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).lower()


@cache
def paragraphs() -> tuple[str, ...]:
    """All that somebody reads, in lower case and without accents: chapters, pages, claims, the map, docstrings."""
    texts = [
        cell.source
        for path in sorted((ROOT / "notebooks").rglob("*.ipynb"))
        if ".ipynb_checkpoints" not in path.parts
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "markdown"
    ]
    files = [*(ROOT / "book").glob("*.md"), *(ROOT / "data").glob("*.yml"), *(ROOT / "course_lib").rglob("*.py")]
    texts += [path.read_text(encoding="utf-8") for path in files]
    parts = [part for text in texts for part in re.split(r"\n\s*\n|\n- ", text)]
    return tuple(
        "".join(c for c in unicodedata.normalize("NFKD", p) if not unicodedata.combining(c)).lower() for p in parts
    )


def test_no_key_is_given_twice() -> None:
    keys = re.findall(r"^@\w+\{([^,]+),", BIB.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(keys) == len(set(keys)) == len(ENTRIES)


@pytest.mark.parametrize("key", ENTRIES)
def test_an_entry_is_complete(key: str) -> None:
    """A paper without a date says so in its note; every other year is one in which such a paper can have appeared."""
    entry = ENTRIES[key]
    assert entry.persons.get("author"), f"{key}: no author"
    assert entry.fields["title"], f"{key}: no title"
    if entry.type in VENUE:
        assert entry.fields.get(VENUE[entry.type]), f"{key}: no {VENUE[entry.type]}"
    else:
        assert any(entry.fields.get(field) for field in ("note", "howpublished", "eprint")), (
            f"{key}: where did it appear?"
        )
    if "year" in entry.fields or "no date" not in entry.fields.get("note", ""):
        assert 1900 <= int(entry.fields["year"]) <= 2026, f"{key}: the year {entry.fields.get('year')}"


@pytest.mark.parametrize("key", ENTRIES)
def test_numbers_have_their_form(key: str) -> None:
    fields = ENTRIES[key].fields
    if "pages" in fields:
        pages = re.fullmatch(r"(\d+)--(\d+)", fields["pages"])
        assert pages, f"{key}: the pages {fields['pages']}"
        assert int(pages[1]) < int(pages[2]), f"{key}: the pages {fields['pages']}"
    if "number" in fields:
        assert re.fullmatch(r"\d+(--\d+)?", fields["number"]), key
    if "doi" in fields:
        assert re.fullmatch(r"10\.\d{4,}/\S+", fields["doi"]), key
    for number in re.findall(r"arXiv:(\S+?)(?:,|\s|$)", " ".join(fields.values())):
        assert re.fullmatch(r"\d{4}\.\d{4,5}", number), f"{key}: {number}"
        assert 0 <= int(fields["year"]) - 2000 - int(number[:2]) <= 2, (
            f"{key}: arXiv:{number} is not of {fields['year']}"
        )


@pytest.mark.parametrize("key", ENTRIES)
def test_capitals_inside_a_title_are_protected(key: str) -> None:
    """The style writes a title like a sentence and keeps only what stands in braces."""
    bare = re.sub(r"\{[^{}]*\}", "", ENTRIES[key].fields["title"])
    for word in re.findall(r"[\w-]+", bare):
        inner = any(letter.isupper() for part in word.split("-") for letter in part[1:])
        assert not inner, f"{key}: {word} needs braces"
        assert word.lower() not in NAMES, f"{key}: {word} needs braces"


@pytest.mark.parametrize("key", ENTRIES)
def test_every_entry_is_named_somewhere(key: str) -> None:
    """By its key, or by its first author and its year in one paragraph."""
    author = ENTRIES[key].persons["author"][0]
    name, year = plain(" ".join([*author.prelast_names, *author.last_names])), ENTRIES[key].fields.get("year", "")
    if any(key in part for part in paragraphs()):
        return
    wanted = re.compile(rf"\b{re.escape(name)}\b")
    assert any(year in part and wanted.search(part) for part in paragraphs()), f"{key}: nobody names {name} ({year})"
