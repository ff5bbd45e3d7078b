"""The gallery: a picture opens in full by mouse and by keyboard, its neighbors follow, and a lens moves over it."""

from collections.abc import Callable
from typing import Any

import pytest

PAGE = "book/gallery.html"
SHOWN = "document.querySelector('dialog.gallery img').src.split('/').pop()"
FOCUSED = "document.activeElement.closest('figure')?.id === id"
Visitor = Callable[..., Any]


def names(page: Any) -> list[str]:
    """The files of the pictures, in the page's order."""
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('figure.painting a.full')].map((link) => link.href.split('/').pop())"
    )
    return found


def wait_for(page: Any, name: str) -> None:
    page.wait_for_function(f"(name) => {SHOWN} === name", arg=name)


def focus_returns(page: Any, place: int) -> None:
    """To the picture that was seen last; a dialog tells that it has been closed a moment later."""
    figure = page.locator("figure.painting").nth(place).get_attribute("id")
    page.wait_for_function(f"(id) => {FOCUSED}", arg=figure)


@pytest.mark.parametrize("as_file", [False, True], ids=["http", "file"])
def test_a_click_shows_a_picture_in_full_and_escape_leads_back(visitor: Visitor, as_file: bool) -> None:
    opened = visitor(PAGE, as_file=as_file)
    page, dialog = opened.page, opened.page.locator("dialog.gallery")
    assert not dialog.is_visible()
    page.locator("figure.painting a.full").nth(1).click()
    assert dialog.is_visible()
    wait_for(page, names(page)[1])
    title = page.locator("figure.painting .title").nth(1).inner_text()
    assert page.get_by_role("dialog", name=title).count() == 1
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    focus_returns(page, 1)
    assert page.url.endswith(PAGE)
    assert opened.said == []


def test_keys_alone_lead_from_picture_to_picture(visitor: Visitor) -> None:
    page = visitor(PAGE).page
    files = names(page)
    page.locator("figure.painting a.full").first.focus()
    page.keyboard.press("Enter")
    for key, place in (("ArrowRight", 1), ("ArrowLeft", 0), ("ArrowLeft", -1), ("ArrowRight", 0), ("ArrowRight", 1)):
        page.keyboard.press(key)
        wait_for(page, files[place])
    assert page.locator("dialog .place").inner_text() == f"2 of {len(files)}"
    page.get_by_role("button", name="Next").click()
    wait_for(page, files[2])
    page.get_by_role("button", name="Close").click()
    focus_returns(page, 2)


def test_the_lens_moves_by_keyboard_and_says_where_it_is(visitor: Visitor) -> None:
    page = visitor(PAGE).page
    page.locator("figure.painting a.full").first.click()
    wait_for(page, names(page)[0])
    page.mouse.move(1, 1)
    lens, across = page.locator("dialog .lens"), page.get_by_label("lens across")
    assert not lens.is_visible()
    across.focus()
    assert lens.is_visible()
    before, shows = lens.bounding_box(), "getComputedStyle(document.querySelector('dialog .lens')).backgroundPosition"
    part = page.evaluate(shows)
    page.keyboard.press("ArrowRight")
    assert lens.bounding_box()["x"] > before["x"]
    assert lens.bounding_box()["y"] == before["y"]
    assert page.evaluate(shows) != part
    assert across.get_attribute("aria-valuetext") == "51 % from the left"
    wait_for(page, names(page)[0])  # the arrow has moved the lens, not the picture
    page.get_by_label("lens down").press("Home")
    assert lens.bounding_box()["y"] < before["y"]
    page.get_by_role("button", name="Close").focus()
    assert not lens.is_visible()


def test_the_lens_follows_the_pointer_and_enlarges_what_is_below_it(visitor: Visitor) -> None:
    page = visitor(PAGE).page
    page.locator("figure.painting a.full").first.click()
    wait_for(page, names(page)[0])
    box = page.locator("dialog .hung img").bounding_box()
    x, y = box["x"] + 0.25 * box["width"], box["y"] + 0.5 * box["height"]
    page.mouse.move(x, y)
    lens = page.locator("dialog .lens")
    middle = lens.bounding_box()
    assert middle["x"] + middle["width"] / 2 == pytest.approx(x, abs=1)
    assert middle["y"] + middle["height"] / 2 == pytest.approx(y, abs=1)
    style = lens.evaluate("(one) => [one.style.backgroundSize, one.style.backgroundPosition, one.clientWidth]")
    (wide, high), (left, top), side = *([float(v[:-2]) for v in text.split()] for text in style[:2]), style[2]
    assert (wide / box["width"], high / box["height"]) == pytest.approx((2.5, 2.5), abs=0.01)
    assert (left, top) == pytest.approx((side / 2 - 0.25 * wide, side / 2 - 0.5 * high), abs=3)
    page.mouse.move(1, 1)
    assert not lens.is_visible()


def test_a_finger_is_below_the_lens_not_on_it(visitor: Visitor) -> None:
    page = visitor(PAGE, "phone-light", has_touch=True, is_mobile=True).page
    page.locator("figure.painting a.full").first.tap()
    wait_for(page, names(page)[0])
    box = page.locator("dialog .hung img").bounding_box()
    y = box["y"] + 0.8 * box["height"]
    touch = {"pointerType": "touch", "clientX": box["x"] + 0.5 * box["width"], "clientY": y, "bubbles": True}
    page.locator("dialog .hung img").dispatch_event("pointermove", touch)
    lens = page.locator("dialog .lens").bounding_box()
    assert lens["y"] + lens["height"] < y
    assert page.evaluate("getComputedStyle(document.querySelector('dialog .hung')).touchAction") == "pinch-zoom"


@pytest.mark.parametrize("form", ["desktop-light", "desktop-dark", "phone-light"])
def test_the_open_picture_fits_has_its_colors_and_no_barriers(visitor: Visitor, axe: str, form: str) -> None:
    opened = visitor(PAGE, form)
    page = opened.page
    page.locator("figure.painting a.full").first.click()
    wait_for(page, names(page)[0])
    box, screen = page.locator("dialog .hung img").bounding_box(), page.viewport_size
    assert box["x"] >= 0
    assert box["y"] >= 0
    assert box["x"] + box["width"] <= screen["width"]
    assert box["y"] + box["height"] <= screen["height"]
    shape = page.evaluate("(({naturalWidth: w, naturalHeight: h}) => w / h)(document.querySelector('dialog img'))")
    assert box["width"] / box["height"] == pytest.approx(shape, rel=0.01)
    assert page.evaluate("getComputedStyle(document.querySelector('dialog img')).filter") == "none"
    page.get_by_label("lens across").focus()
    opened.evaluate(axe)
    assert opened.evaluate("look.barriers()") == []
    assert opened.said == []


def test_without_scripts_the_link_opens_the_file(visitor: Visitor) -> None:
    page = visitor(PAGE, java_script_enabled=False).page
    link = page.locator("figure.painting a.full").first
    name = link.get_attribute("href").split("/")[-1]
    link.click()
    page.wait_for_url(f"**/_static/gallery/{name}")
