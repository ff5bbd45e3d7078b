"""What a reader sees of formulas, printed lines and charts: nothing is cut or glares, and keys show where they go."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image, ImageStat

CHAPTERS = ["notebooks/03_gatys.html", "notebooks/06_fast_style.html", "book/notation.html", "book/conventions.html"]
STILL = {"reduced_motion": "reduce"}  # pages scroll smoothly otherwise, and a picture of an element misses it
Visitor = Callable[..., Any]

OUTSIDE = """() => {
  const column = document.querySelector("article").getBoundingClientRect();
  return [...document.querySelectorAll("article .eqno")].filter((number) => {
    const box = number.getBoundingClientRect();
    return box.width < 5 || box.left < column.left - 1 || box.right > column.right + 1;
  }).map((number) => number.textContent);
}"""
ARROWS = """() => [...document.querySelectorAll("article mover")].filter((mover) => mover.textContent.includes("→"))
  .map((mover) => [...mover.children].map((part) => {
    const box = part.getBoundingClientRect();
    return {middle: box.left + box.width / 2, width: box.width, top: box.top};
  }))"""
CUT = """() => [...document.querySelectorAll("article .cell_output .output.stream")].filter((output) => {
    const text = output.querySelector("pre");
    return [output, text, text.parentElement].some((one) => one.scrollWidth > one.clientWidth + 1);
  }).map((output) => output.textContent.trim().slice(0, 80))"""


@pytest.mark.parametrize("form", ["desktop-light", "phone-light"])
@pytest.mark.parametrize("name", CHAPTERS)
def test_the_number_of_an_equation_stands_in_the_column(visitor: Visitor, name: str, form: str) -> None:
    opened = visitor(name, form=form, **STILL)
    assert opened.evaluate(OUTSIDE) == []
    if name == CHAPTERS[0]:
        assert opened.page.locator("article .eqno").count() >= 3


def test_an_arrow_stands_above_its_letter(visitor: Visitor) -> None:
    pairs = visitor(CHAPTERS[0], **STILL).evaluate(ARROWS)
    assert len(pairs) >= 4
    for letter, arrow in pairs:
        assert abs(arrow["middle"] - letter["middle"]) < 0.3 * letter["width"]
        assert 0.5 * letter["width"] < arrow["width"] < 2 * letter["width"]
        assert arrow["top"] < letter["top"] + 8


@pytest.mark.parametrize("form", ["desktop-light", "phone-light"])
@pytest.mark.parametrize("name", ["notebooks/03_gatys.html", "notebooks/04_choices.html"])
def test_what_a_cell_prints_is_not_cut(visitor: Visitor, name: str, form: str) -> None:
    opened = visitor(name, form=form, **STILL)
    assert opened.page.locator("article .output.stream").count() > 5
    assert opened.evaluate(CUT) == []


@pytest.mark.parametrize("form", ["desktop-light", "desktop-dark"])
def test_a_button_of_the_header_shows_that_it_has_the_keys(visitor: Visitor, form: str) -> None:
    page = visitor(CHAPTERS[0], form=form, **STILL).page
    ring = "(one) => { const s = getComputedStyle(one); return [s.outlineStyle, parseFloat(s.outlineWidth)]; }"
    buttons = [one for one in page.locator(".bd-header-article :is(button, a)").all() if one.is_visible()]
    assert len(buttons) >= 5
    page.keyboard.press("Tab")  # from now on the keyboard is what moves
    for button in buttons:
        button.focus()
        style, width = button.evaluate(ring)
        assert style == "solid", button.evaluate("(one) => one.outerHTML.slice(0, 120)")
        assert width >= 2


def brightness(figure: Any) -> float:
    """Mean gray level, 0 to 255, of what is on the screen."""
    figure.scroll_into_view_if_needed()
    figure.evaluate("(one) => Promise.all([...one.querySelectorAll('img')].map((image) => image.decode()))")
    with Image.open(io.BytesIO(figure.locator("img").first.screenshot())) as shot:
        return ImageStat.Stat(shot.convert("L")).mean[0]


def test_a_chart_does_not_glare_in_the_dark_and_a_picture_keeps_its_light(visitor: Visitor) -> None:
    levels = {}
    for form in ("desktop-light", "desktop-dark"):
        page = visitor(CHAPTERS[0], form=form, **STILL).page
        chart, picture = page.locator("figure.curves").first, page.locator("figure.sheet .cell").first
        levels[form] = brightness(chart), brightness(picture)
    (chart, picture), (dark_chart, dark_picture) = levels["desktop-light"], levels["desktop-dark"]
    assert chart > 220
    assert dark_chart < 60
    assert dark_picture == pytest.approx(picture, abs=3)  # the edges fall on parts of pixels
