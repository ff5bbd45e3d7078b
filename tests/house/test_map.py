"""The map of the field: its methods are in the bibliography, its chapters exist, and the drawing leaves nothing out."""

import re
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import field_map
import pytest

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def field() -> Any:
    return field_map.read()


def test_every_method_has_a_paper_and_a_family(field: Any) -> None:
    keys = set(re.findall(r"@\w+\{(\w+),", (ROOT / "book" / "references.bib").read_text(encoding="utf-8")))
    families = {family["id"] for family in field["families"]}
    ids = [method["id"] for method in field["methods"]]
    assert len(set(ids)) == len(ids)
    for method in field["methods"]:
        assert set(method) == {"id", "family", "name", "year", "paper", "chapters", "idea"}, method["id"]
        assert method["paper"] in keys, f"{method['id']}: references.bib has no {method['paper']}"
        assert method["family"] in families


def test_a_paper_s_year_is_that_of_the_bibliography(field: Any) -> None:
    text = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    for method in field["methods"]:
        (entry,) = re.findall(rf"@\w+\{{{method['paper']},(.*?)\n\}}", text, re.DOTALL)
        assert re.findall(r"year\s*=\s*\{(\d+)\}", entry) == [str(method["year"])], method["id"]


def test_every_chapter_it_names_exists_and_every_chapter_on_a_paper_is_named(field: Any) -> None:
    chapters = {int(path.name[:2]) for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}
    named = {number for method in field["methods"] for number in method["chapters"]}
    assert named <= chapters
    assert set(range(1, 11)) <= named


def test_lines_lead_from_known_methods_to_later_ones(field: Any) -> None:
    years = {method["id"]: method["year"] for method in field["methods"]}
    order = list(years)
    for early, late, what in field["edges"]:
        assert {early, late} <= set(years), (early, late)
        assert years[early] <= years[late], f"{late} is older than {early}"
        assert order.index(early) < order.index(late), "it would be drawn upwards"
        assert what.strip()
    assert max(Counter((early, late) for early, late, _ in field["edges"]).values()) == 1


@pytest.mark.parametrize("wide", [True, False])
def test_the_drawing_has_every_method_line_and_column(field: Any, wide: bool) -> None:
    svg = ElementTree.fromstring(field_map.drawing(field, "x", wide=wide))
    assert svg.attrib["aria-labelledby"].split() == [part.attrib["id"] for part in svg[:2]]
    assert svg.findtext(f"{SVG}title")
    assert svg.findtext(f"{SVG}desc")
    width, height = map(int, svg.attrib["viewBox"].split()[2:])
    links = svg.findall(f"{SVG}a")
    assert len(links) == len(field["methods"])
    for method, link in zip(field["methods"], links, strict=True):
        assert f"m-{method['id']}" in link.attrib["class"].split()
        said = link.findtext(f"{SVG}title") or ""
        assert method["name"] in said
        assert str(method["year"]) in said
        assert method["idea"] in said
        dot = link.find(f"{SVG}circle")
        assert dot is not None
        assert 0 < int(dot.attrib["cx"]) < width
        assert 0 < int(dot.attrib["cy"]) < height
        if method["chapters"]:
            assert re.fullmatch(rf"\.\./notebooks/{method['chapters'][0]:02d}_\w+\.html", link.attrib["href"])
        else:
            assert link.attrib["href"].startswith("#")
    lines = [path.attrib["class"].split() for path in svg.iter(f"{SVG}path") if "edge" in path.attrib.get("class", "")]
    assert lines == [["edge", f"e-{early}", f"e-{late}"] for early, late, _ in field["edges"]]
    assert len([group for group in svg.iter(f"{SVG}g") if "lane" in group.attrib["class"]]) == len(field["families"])


def test_the_page_says_in_words_what_is_drawn(field: Any) -> None:
    page = (ROOT / "book" / "map.md").read_text(encoding="utf-8")
    headings = {re.sub(r"[^a-z -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^## (.+)$", page, re.M)}
    said = []
    for family in field["families"]:
        assert family["heading"] in headings
        assert f"```{{field-list}} {family['id']}\n" in page
        said += field_map.words(field, family["id"])
    assert len(said) == len(field["methods"])
    text = "\n".join(said)
    for method in field["methods"]:
        assert f"{{cite}}`{method['paper']}`" in text
    for _, _, what in field["edges"]:
        assert what in text
    assert page.count("**Where to start.**") == page.count("**Not in this book.**") == len(field["families"])
