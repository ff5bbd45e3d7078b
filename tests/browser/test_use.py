"""What a reader does with the book: search it, walk through it with the Tab key, open its pages as files."""

from collections.abc import Callable
from typing import Any

import pytest

CHAPTER = "notebooks/03_gatys.html"
Visitor = Callable[..., Any]


# --- search
@pytest.mark.parametrize("as_file", [False, True], ids=["http", "file"])
def test_a_search_finds_pages(visitor: Visitor, as_file: bool) -> None:
    opened = visitor("search.html?q=checkerboard", as_file=as_file)
    opened.page.wait_for_selector("#search-results li a", timeout=10_000)
    links = opened.page.locator("#search-results li a")
    found = {link.get_attribute("href").split("?")[0].split("#")[0] for link in links.all()}
    assert {"book/glossary.html", "notebooks/06_fast_style.html"} <= found
    assert opened.said == []


def test_the_search_field_opens_with_keys_alone(visitor: Visitor) -> None:
    page = visitor("book/intro.html").page
    page.keyboard.press("Control+k")
    page.keyboard.type("checkerboard")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=checkerboard*")
    page.wait_for_selector("#search-results li a", timeout=10_000)


# --- keys
def test_tab_reaches_the_text_the_search_and_the_contents(visitor: Visitor) -> None:
    page = visitor("book/intro.html").page
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("look.focus()"))
    assert reached[0] == ["skip link", True], "the first key leads past the contents, and shows that it does"
    for part in ("search", "contents", "text"):
        assert part in [name for name, _ in reached], f"60 times Tab does not reach {part}: {reached}"
    hidden = [name for name, seen in reached if not seen]
    assert hidden == [], "the focus goes where nothing is to be seen"


def test_the_skip_link_skips(visitor: Visitor) -> None:
    page = visitor(CHAPTER).page
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("() => !!document.activeElement.closest('main')")


# --- opened as files
@pytest.mark.parametrize("name", ["book/intro.html", CHAPTER, "book/conventions.html"])
def test_it_works_as_a_file(visitor: Visitor, name: str) -> None:
    opened = visitor(name, as_file=True)
    assert opened.evaluate("look.broken()") == []
    assert opened.said == []
