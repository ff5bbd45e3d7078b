"""The box at the top of a chapter and the overview: every chapter has its row, and nothing is left out."""

import json
from pathlib import Path
from types import SimpleNamespace

import book_heads as heads
import pytest
import yaml
from docutils import nodes

from course_lib.teaching import claims
from scripts import chapter_costs

ROOT = Path(__file__).resolve().parents[2]


def test_every_chapter_has_a_row_and_builds_on_earlier_ones_only() -> None:
    found = heads.chapters()
    assert list(found) == sorted(path.name[:2] for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
    for number, chapter in found.items():
        assert all(need in found and need < number for need in chapter.needs)
        assert chapter.summary.endswith(".")
        assert 5 <= chapter.read <= chapter.learn, f"chapter {number}: to learn takes longer than to read"


@pytest.mark.parametrize("needs", [["02"], ["01"], ["99"]])
def test_a_chapter_that_needs_itself_a_later_one_or_none_is_refused(tmp_path: Path, needs: list[str]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "notebooks").mkdir()
    for number in ("01", "02"):
        cells = [{"cell_type": "markdown", "metadata": {}, "source": ["# A title"]}]
        (tmp_path / "notebooks" / f"{number}_a.ipynb").write_text(json.dumps({"cells": cells}))
    rows = {number: {"summary": "x.", "needs": [], "learn": 10} for number in ("01", "02")}
    heads.chapters.cache_clear()
    (tmp_path / "data" / "chapters.yml").write_text(yaml.safe_dump(rows))
    assert list(heads.chapters(tmp_path)) == ["01", "02"]
    heads.chapters.cache_clear()
    rows["01"]["needs"] = needs
    (tmp_path / "data" / "chapters.yml").write_text(yaml.safe_dump(rows))
    with pytest.raises(ValueError, match="chapter 01"):
        heads.chapters(tmp_path)
    heads.chapters.cache_clear()


def test_the_box_shows_all_claims_with_their_verdicts_and_every_chapter_it_needs() -> None:
    everything = heads.chapters()
    shown = 0
    for number, chapter in everything.items():
        text = heads.head(chapter, everything)
        own = [finding for finding in claims.ledger() if finding.claim.chapter == number]
        for finding in own:
            mark = text.index(f'ledger.html#{heads.anchor(finding.claim.id)}"')
            assert f">{finding.verdict}</span>" in text[:mark].rpartition("<li")[2]
        shown += len(own)
        assert text.count("<li") == len(own)
        assert all(f"{everything[need].page}.html" in text for need in chapter.needs)
        assert "on a GPU: not measured yet" in text or chapter.gpu > 0
    assert shown == sum(bool(claim.chapter) for claim in claims.load().values())


def test_the_box_stands_below_the_title_and_the_claim() -> None:
    chapter = heads.chapters()["03"]
    tree = nodes.document(None, None)
    section = nodes.section("", nodes.title("", "3."), nodes.paragraph("", "The claim."), nodes.paragraph("", "More."))
    tree += section
    heads.add_heads(SimpleNamespace(env=SimpleNamespace(docname=chapter.page)), tree)
    assert [type(node).__name__ for node in section.children] == ["title", "paragraph", "raw", "paragraph"]
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
