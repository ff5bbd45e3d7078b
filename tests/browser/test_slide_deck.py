"""A deck of slides in Chromium: everything fits, keys work, answers appear one by one, a slide is a page on paper."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts import slides

CHAPTER = Path(__file__).resolve().parents[2] / "notebooks" / "03_gatys.ipynb"
LOW = """() => {
  const slide = document.querySelector(".slide.on");
  const foot = slide.querySelector(":scope > footer").getBoundingClientRect();
  const boxes = [...slide.querySelectorAll("header *, p, li, img, svg, pre, td, figcaption, math")]
    .filter((one) => !one.closest(".notes, footer")).map((one) => one.getBoundingClientRect());
  const most = (side) => Math.max(...boxes.map((box) => box[side]));
  return [most("bottom") - foot.top, most("right") - foot.right];
}"""


@pytest.fixture(scope="module")
def deck(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, int]]:
    file, _, count = slides.write(CHAPTER, tmp_path_factory.mktemp("slides"))
    said: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 720}, reduced_motion="reduce")
    page = context.new_page()
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
    page.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
    page.goto(file.as_uri())
    yield page, count
    context.close()
    assert said == []


def number(page: Any) -> int:
    return int(page.evaluate("location.hash").lstrip("#"))


def test_everything_on_every_slide_fits(deck: tuple[Any, int]) -> None:
    page, count = deck
    page.keyboard.press("Home")
    page.evaluate("Promise.all([...document.images].map((image) => image.decode()))")
    for k in range(1, count + 1):
        page.evaluate(f"location.hash = '#{k}'")
        page.wait_for_function(f"document.querySelectorAll('.slide')[{k - 1}].classList.contains('on')")
        down, across = page.evaluate(LOW)
        assert down <= 0, f"slide {k} runs over its foot by {down:.0f} px"
        assert across <= 1, f"slide {k} runs over its right edge by {across:.0f} px"


def test_keys_lead_through_the_deck(deck: tuple[Any, int]) -> None:
    page, count = deck
    page.keyboard.press("End")
    assert number(page) == count
    page.keyboard.press("Home")
    assert number(page) == 1
    for key in ("ArrowRight", "ArrowDown", " "):
        page.keyboard.press(key)
    assert number(page) == 4
    page.keyboard.press("ArrowLeft")
    assert number(page) == 3


def test_answers_are_uncovered_one_by_one(deck: tuple[Any, int]) -> None:
    page, _ = deck
    place = page.evaluate("[...document.querySelectorAll('.slide')].findIndex((s) => s.matches('.questions')) + 1")
    page.evaluate(f"location.hash = '#{place}'")
    page.wait_for_function(f"location.hash === '#{place}' && document.querySelector('.slide.on.questions')")
    steps = page.locator(".slide.on .step")
    seen = [sum(step.is_visible() for step in steps.all())]
    for _ in range(steps.count()):
        page.keyboard.press(" ")
        seen.append(sum(step.is_visible() for step in steps.all()))
    assert seen == [0, 1, 2, 3]
    assert number(page) == place
    page.keyboard.press("ArrowLeft")
    assert sum(step.is_visible() for step in steps.all()) == 2
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert number(page) == place + 1


def test_notes_help_overview_and_colors_have_keys(deck: tuple[Any, int]) -> None:
    page, count = deck
    page.keyboard.press("Home")
    notes = page.locator(".slide.on .notes")
    assert not notes.is_visible()
    page.keyboard.press("n")
    assert "Content and style are separable" in notes.inner_text()
    page.keyboard.press("n")
    page.keyboard.press("?")
    assert "full screen" in page.locator("#help").inner_text()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
    before = page.evaluate("getComputedStyle(document.querySelector('.slide.on')).backgroundColor")
    page.keyboard.press("d")
    assert page.evaluate("getComputedStyle(document.querySelector('.slide.on')).backgroundColor") != before
    page.keyboard.press("d")
    page.keyboard.press("o")
    assert page.evaluate("[...document.querySelectorAll('.slide')].filter((s) => s.offsetWidth).length") == count
    page.locator(".slide").nth(4).click()
    assert number(page) == 5
    assert page.evaluate("[...document.querySelectorAll('.slide')].filter((s) => s.offsetWidth).length") == 1


def test_a_window_for_the_speaker_follows(deck: tuple[Any, int]) -> None:
    page, count = deck
    page.keyboard.press("Home")
    with page.expect_popup() as opened:
        page.keyboard.press("s")
    speaker = opened.value
    assert f"1 / {count}" in speaker.locator("body").inner_text()
    speaker.keyboard.press("ArrowRight")
    assert number(page) == 2
    assert f"2 / {count}" in speaker.locator("body").inner_text()
    speaker.close()


def test_each_slide_is_a_page_on_paper_with_its_answers(deck: tuple[Any, int]) -> None:
    page, count = deck
    pages = re.findall(rb"/Type\s*/Page\b", page.pdf(prefer_css_page_size=True, print_background=True))
    assert len(pages) == count
    page.emulate_media(media="print")
    assert all(step.is_visible() for step in page.locator(".questions .step").all())
    page.emulate_media(media="screen")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(deck: tuple[Any, int], axe: str, scheme: str) -> None:
    page, _ = deck
    page.emulate_media(color_scheme=scheme)
    page.evaluate(axe)
    kinds = page.evaluate("[...document.querySelectorAll('.slide')].map((slide) => slide.classList[1])")
    for kind in dict.fromkeys(kinds):
        page.evaluate(f"location.hash = '#{kinds.index(kind) + 1}'")
        page.wait_for_function(f"document.querySelector('.slide.on.{kind}')")
        page.evaluate("document.querySelectorAll('.slide.on .step').forEach((step) => step.classList.add('shown'))")
        found = page.evaluate("axe.run().then((result) => result.violations.map((one) => [one.id, one.nodes[0].html]))")
        assert found == [], kind
    page.emulate_media(color_scheme="light")
