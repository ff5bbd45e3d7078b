"""The box at the top of a chapter and the overview: every chapter has its row, and nothing is left out."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import book_heads as heads
import pytest
import yaml
from docutils import nodes

from course_lib.teaching import claims
from scripts import chapter_costs

ROOT = Path(__file__).resolve().parents[2]


def test_every_chapter_has_a_row_and_builds_on_earlier_ones_only() -> None:
    found = heads.chapters()
    order = list(found)
    assert sorted(found) == sorted(path.name[:2] for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
    assert order[-1] == "11", "the chapter on what goes wrong is the last one"
    assert order[:-1] == sorted(order[:-1])
    for number, chapter in found.items():
        assert all(order.index(need) < order.index(number) for need in chapter.needs)
        assert chapter.summary.endswith(".")
        assert 5 <= chapter.read <= chapter.learn, f"chapter {number}: to learn takes longer than to read"


def test_reading_counts_what_stands_open() -> None:
    """A thousand words are five minutes; solutions, asides over several cells and folded code cost nothing."""

    def cell(kind: str, source: str, *tags: str) -> dict[str, Any]:
        return {"cell_type": kind, "source": [source], "metadata": {"tags": list(tags)}}

    words, code = "word " * 1000, "x = 1\n" * 75
    solution = f"Why?\n\n<details><summary>Solution</summary>\n\n{words}\n\n</details>\n"
    assert heads.reading_minutes([cell("markdown", words)]) == 5
    assert heads.reading_minutes([cell("markdown", 3 * words), cell("markdown", solution)]) == 15
    assert heads.reading_minutes([cell("markdown", words), cell("code", code)]) == 10
    assert heads.reading_minutes([cell("markdown", words), cell("code", code, "hide-input")]) == 5
    begin, end = '<details class="aside"><summary>Aside</summary>\n\nOne.', f"</details>\n\n{2 * words}"
    aside = [cell("markdown", begin), cell("code", code), cell("markdown", words), cell("markdown", end)]
    assert heads.reading_minutes(aside) == 10


@pytest.fixture
def book(tmp_path: Path):
    """Makes a book of these chapters, in this order, and reads it; what each needs by its number."""

    def make(order: list[str], needs: dict[str, list[str]]) -> dict[str, heads.Chapter]:
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "notebooks").mkdir(exist_ok=True)
        cells = [{"cell_type": "markdown", "metadata": {}, "source": ["# A title"]}]
        for number in order:
            (tmp_path / "notebooks" / f"{number}_a.ipynb").write_text(json.dumps({"cells": cells}))
        rows = {number: {"summary": "x.", "needs": needs.get(number, []), "learn": 10} for number in order}
        (tmp_path / "data" / "chapters.yml").write_text(yaml.safe_dump(rows))
        pages = [{"file": f"notebooks/{number}_a"} for number in order] + [{"file": "book/map"}]
        (tmp_path / "_toc.yml").write_text(yaml.safe_dump({"parts": [{"caption": "One", "chapters": pages}]}))
        heads.chapters.cache_clear()
        return heads.chapters(tmp_path)

    yield make
    heads.chapters.cache_clear()


@pytest.mark.parametrize("needs", [["02"], ["01"], ["99"]])
def test_a_chapter_that_needs_itself_a_later_one_or_none_is_refused(book, needs: list[str]) -> None:
    assert list(book(["01", "02"], {})) == ["01", "02"]
    with pytest.raises(ValueError, match="chapter 01"):
        book(["01", "02"], {"01": needs})


def test_the_order_is_that_of_the_contents(book) -> None:
    """Twenty chapters, and chapter 11 the last: it may build on all, and none on it."""
    order = [f"{number:02d}" for number in range(1, 21) if number != 11] + ["11"]
    found = book(order, {"11": ["20"], "20": ["09", "12"]})
    assert list(found) == order
    assert found["11"].needs == ("20",)
    assert "after 9 and 12" in heads.entry(found["20"], "book/intro")
    with pytest.raises(ValueError, match="chapter 12"):
        book(order, {"12": ["11"]})


def test_a_chapter_without_a_place_in_the_contents_is_refused(book, tmp_path: Path) -> None:
    book(["01", "02"], {})
    pages = [{"file": "notebooks/01_a"}]
    (tmp_path / "_toc.yml").write_text(yaml.safe_dump({"parts": [{"caption": "One", "chapters": pages}]}))
    heads.chapters.cache_clear()
    with pytest.raises(ValueError, match=r"_toc.yml.*'02'"):
        heads.chapters(tmp_path)


def test_the_box_shows_all_claims_with_their_verdicts_and_every_chapter_it_needs() -> None:
    everything = heads.chapters()
    shown = 0
    for number, chapter in everything.items():
        text = heads.head(chapter, everything)
        own = [finding for finding in claims.ledger() if finding.claim.chapter == number]
        for finding in own:
            mark = text.index(f'ledger.html#{heads.anchor(finding.claim.id)}"')
            assert f">{finding.verdict}</span>" in text[:mark].rpartition("<li")[2]
        counted = [int(count) for count in re.findall(r'data-verdict="[^"]+"><b>(\d+)</b>', text)]
        assert sum(counted) == len(own)
        assert len(counted) == len({finding.verdict for finding in own})
        shown += len(own)
        assert text.count("<li") == len(own)
        assert all(f"{everything[need].page}.html" in text for need in chapter.needs)
        assert "on a GPU: not measured yet" in text or chapter.gpu > 0
    assert shown == sum(bool(claim.chapter) for claim in claims.load().values())


def test_the_card_stands_below_the_title_and_the_picture_if_there_is_one() -> None:
    chapter = heads.chapters()["03"]
    tree = nodes.document(None, None)
    section = nodes.section("", nodes.title("", "3."), nodes.paragraph("", "The claim."), nodes.paragraph("", "More."))
    tree += section
    heads.add_heads(SimpleNamespace(env=SimpleNamespace(docname=chapter.page)), tree)
    assert [type(node).__name__ for node in section.children] == ["title", "raw", "paragraph", "paragraph"]
    other = nodes.document(None, None)
    other += nodes.section("", nodes.title("", "Glossary"))
    heads.add_heads(SimpleNamespace(env=SimpleNamespace(docname="book/glossary")), other)
    assert not list(other.findall(nodes.raw))


def test_costs_are_kept_by_chapter_and_a_second_run_replaces_only_its_own(tmp_path: Path) -> None:
    file = tmp_path / "costs.json"
    chapter_costs.keep("quick", {"02": 61.4, "01": 30.0}, {"torch": "2.15.0"}, "a processor, 1 thread", file)
    chapter_costs.keep("quick", {"01": 28.6}, {"torch": "2.16.0"}, "another, 2 threads", file)
    rows = chapter_costs.load(file)["quick"]
    assert list(rows) == ["01", "02"]
    assert rows["01"] == {"seconds": 29, "device": "another, 2 threads", "torch": "2.16.0"}
    assert rows["02"]["seconds"] == 61


def test_times_are_spelled_as_one_says_them() -> None:
    assert [heads.spell(minutes) for minutes in (0.5, 1.3, 2, 89, 90, 150, 1200)] == [
        "30 s", "78 s", "2 min", "89 min", "1½ h", "2½ h", "20 h",
    ]  # fmt: skip
