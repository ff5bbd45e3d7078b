"""A chapter as a reader meets it: a picture on the first screen, one window for all pictures, cards, charts."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted(f"notebooks/{path.stem}.html" for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
ONE = "notebooks/03_gatys.html"
STILL = {"reduced_motion": "reduce"}
SMALLEST = 11  # pixels of the words of a chart
Visitor = Callable[..., Any]

FIRST = """() => {
  const seen = (one) => one.checkVisibility({visibilityProperty: true}) && one.clientWidth > 60;
  const picture = [...document.querySelectorAll("article figure :is(img, canvas, svg)")].find(seen);
  const card = document.querySelector(".chapter-head").getBoundingClientRect();
  const box = picture.getBoundingClientRect();
  return {top: box.top, bottom: box.bottom, card: card.top, screen: innerHeight};
}"""
FOLDS = """() => [...document.querySelectorAll("article details.fold > summary")].map((one) => one.innerText.trim())
  .filter((name) => name)"""  # a fold within a fold
SHOWN = "document.querySelector('dialog.pictures img').alt"
# The smallest words of a chart, 8.3 points at 140 dots an inch, as large as they are on the screen.
WORDS = """() => [...document.querySelectorAll("article .chart > img")].filter((one) => one.checkVisibility())
  .map((one) => 8.33 / 72 * 140 * one.clientWidth / Number(one.getAttribute("width")))"""
ACROSS = """() => [...document.querySelectorAll("article figure.sheet .cell")].filter((one) => one.checkVisibility())
  .map((one) => one.parentElement.clientWidth / one.clientWidth)"""


def openers(page: Any) -> Any:
    return page.locator("article img.can-open:visible")


def wait_for(page: Any, words: str) -> None:
    page.wait_for_function(f"(words) => {SHOWN} === words", arg=words)


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["desktop", "phone"])
def test_every_chapter_opens_with_a_picture_and_then_the_card(visitor: Visitor, size: tuple[int, int]) -> None:
    late = {}
    for name in CHAPTERS:
        opened = visitor(name, **STILL)
        opened.page.set_viewport_size({"width": size[0], "height": size[1]})
        box = opened.evaluate(FIRST)
        if not (box["top"] > 0 and box["bottom"] <= box["screen"] and box["bottom"] < box["card"]):
            late[name] = box
    assert not late


def test_folds_have_names_and_no_line_of_a_run_stands_in_a_caption(visitor: Visitor) -> None:
    known = {
        "Setup", "How this was computed", "Code of the figure", "Code of the table", "Code of the check",
        "Code of the output",
    }  # fmt: skip
    for name in (ONE, "notebooks/12_any_style.html", "notebooks/20_video.html"):
        page = visitor(name, **STILL).page
        names = page.evaluate(FOLDS)
        assert set(names) <= known
        assert {"Setup", "How this was computed", "Code of the figure"} <= set(names)
        captions = page.locator("article .cell figcaption").all_text_contents()
        assert not [text for text in captions if re.search(r"profile ·", text)]


def test_a_card_is_open_in_the_margin_and_a_line_where_there_is_none(visitor: Visitor) -> None:
    page = visitor(ONE, **STILL).page
    card = page.locator("aside.run").first
    box, figure = card.bounding_box(), page.locator("article figure").first.bounding_box()
    assert box["x"] > figure["x"] + figure["width"]
    assert box["x"] + box["width"] <= page.viewport_size["width"]
    for words in ("03_castle", "min", "laptop profile, seed 0", "torch", "python -m scripts.execute 03"):
        assert words in card.inner_text()
    page = visitor(ONE, "phone-light", **STILL).page
    card = page.locator("aside.run").first
    assert card.bounding_box()["height"] < 60
    assert "seed" not in card.inner_text()
    card.locator("summary").click()
    assert "laptop profile, seed 0" in card.inner_text()


@pytest.mark.parametrize("as_file", [False, True], ids=["http", "file"])
def test_a_click_enlarges_a_picture_and_escape_leads_back(visitor: Visitor, as_file: bool) -> None:
    opened = visitor(ONE, as_file=as_file, **STILL)
    page, picture = opened.page, openers(opened.page).nth(2)
    small, alt = picture.bounding_box(), picture.get_attribute("alt")
    picture.click()
    wait_for(page, alt)
    assert page.get_by_role("dialog").is_visible()
    caption = page.locator("article figure.sheet figcaption").first.inner_text()
    assert page.locator("dialog .caption").inner_text() == caption
    assert page.locator("dialog .title").inner_text() == alt
    page.wait_for_function("document.querySelector('dialog img').src.includes('_static/runs/03_castle/both')")
    assert page.locator("dialog .hung img").bounding_box()["width"] > 2 * small["width"]
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog").is_visible()
    page.wait_for_function("(words) => document.activeElement.alt === words", arg=alt)
    assert opened.said == []


def test_by_keyboard_enter_opens_and_arrows_go_on(visitor: Visitor) -> None:
    page = visitor(ONE, **STILL).page
    alts = [one.get_attribute("alt") for one in openers(page).all()]
    first = openers(page).first
    assert first.get_attribute("tabindex") == "0"
    assert openers(page).nth(1).get_attribute("tabindex") == "-1", "one stop for each figure"
    first.focus()
    page.keyboard.press("Enter")
    for key, place in (("ArrowRight", 1), ("ArrowLeft", 0), ("ArrowLeft", -1), ("ArrowRight", 0)):
        page.keyboard.press(key)
        wait_for(page, alts[place])
    assert page.locator("dialog .place").inner_text() == f"1 of {len(alts)}"
    page.get_by_role("button", name="Next").click()
    wait_for(page, alts[1])
    page.get_by_role("button", name="Close").click()
    page.wait_for_function("(words) => document.activeElement.alt === words", arg=alts[1])


def test_a_finger_opens_swipes_and_may_pinch(visitor: Visitor) -> None:
    page = visitor(ONE, "phone-light", has_touch=True, is_mobile=True, **STILL).page
    alts = [one.get_attribute("alt") for one in openers(page).all()]
    openers(page).first.tap()
    wait_for(page, alts[0])
    stage = page.locator("dialog .stage")
    for kind, x in (("pointerdown", 300), ("pointerup", 120)):
        touch = {"pointerType": "touch", "isPrimary": True, "clientX": x, "clientY": 400, "bubbles": True}
        stage.dispatch_event(kind, touch)
    wait_for(page, alts[1])
    ways = page.evaluate(
        "['.stage', '.hung', 'img'].map((one) => getComputedStyle(document.querySelector(`dialog ${one}`)).touchAction)"
    )
    assert all(way in ("auto", "manipulation", "pinch-zoom") for way in ways)
    assert "user-scalable" not in page.locator("meta[name=viewport]").first.get_attribute("content")


@pytest.mark.parametrize("form", ["desktop-light", "desktop-dark", "phone-light"])
def test_the_open_picture_fits_has_its_colors_and_no_barriers(visitor: Visitor, axe: str, form: str) -> None:
    opened = visitor(ONE, form, **STILL)
    page = opened.page
    openers(page).first.click()
    box, screen = page.locator("dialog .hung img").bounding_box(), page.viewport_size
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= screen["width"]
    assert box["y"] + box["height"] <= screen["height"]
    assert page.evaluate("getComputedStyle(document.querySelector('dialog img')).filter") == "none"
    opened.evaluate(axe)
    assert opened.evaluate("look.barriers()") == []
    assert opened.evaluate("look.moving()") == []
    page.keyboard.press("Escape")
    chart = page.locator("article figure.curves img.can-open").first
    chart.click()
    wait_for(page, chart.get_attribute("alt"))
    filters = page.evaluate(
        "[document.querySelector('article figure.curves img'), document.querySelector('dialog img')]"
        ".map((one) => getComputedStyle(one).filter)"
    )
    assert filters[0] == filters[1]
    assert (filters[1] != "none") == (form == "desktop-dark")
    assert opened.said == []


@pytest.mark.parametrize("name", [ONE, "notebooks/05_what_it_costs.html", "notebooks/20_video.html"])
def test_words_of_a_chart_can_be_read_on_a_phone(visitor: Visitor, name: str) -> None:
    page = visitor(name, "phone-light", **STILL).page
    sizes = page.evaluate(WORDS)
    assert sizes
    assert min(sizes) >= SMALLEST - 0.1
    box = page.locator("article .chart").first
    box.scroll_into_view_if_needed()
    assert box.get_attribute("tabindex") == "0"
    hint = "(one) => getComputedStyle(one.parentElement.querySelector('figcaption'), '::before').content"
    assert "scroll sideways" in box.evaluate(hint)


@pytest.mark.parametrize("name", ["notebooks/04_choices.html", "notebooks/09_pix2pix.html", ONE])
def test_at_most_three_pictures_stand_across(visitor: Visitor, name: str) -> None:
    across = visitor(name, **STILL).page.evaluate(ACROSS)
    assert across
    assert max(across) < 3.5


def test_the_name_of_a_row_stays_while_a_table_scrolls_on_a_phone(visitor: Visitor) -> None:
    page = visitor("notebooks/05_what_it_costs.html", "phone-light", **STILL).page
    places = page.evaluate(
        """() => [...document.querySelectorAll("article .cell_output figure.table div[data-scrolls]")].map((box) => {
          const first = box.querySelector("tbody tr").firstElementChild;
          const before = first.getBoundingClientRect().left;
          box.scrollLeft = 60;
          return [before, first.getBoundingClientRect().left, box.scrollLeft];
        })"""
    )
    assert places
    assert all(abs(before - after) < 1 and moved > 0 for before, after, moved in places)
