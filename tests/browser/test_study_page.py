"""The study of chapter 16 on its page: votes by click and by key are kept, named rightly, and come out as text."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest

from course_lib.evaluation import votes

PAGE = "notebooks/16_how_to_measure_a_picture.html"
METHODS = ["optimized", "patches", "one network", "twelve in one", "AdaIN", "recolored"]
SCENES = 8
TOTAL = SCENES * len([*combinations(METHODS, 2)])
Visitor = Callable[..., Any]

# The titles of the two pictures of the pair, found among those of the plain sheet, which has the names.
PAIR = """
(study) => {
  const titles = new Map([...study.parentElement.querySelectorAll(".sheet img")].map((one) => [one.src, one.alt]));
  return [...study.querySelectorAll(".panel .strip img")].map((one) => titles.get(one.src));
}
"""

ALL_IMAGES = """
() => Promise.all([...document.images].map((one) => { one.loading = "eager"; return one.decode().catch(() => null); }))
"""


def study_of(page: Any) -> Any:
    study = page.locator(".study:has(> .panel)")
    assert study.count() == 1
    page.evaluate(ALL_IMAGES)  # a picture that arrives late moves what is below it
    study.scroll_into_view_if_needed()
    return study


def exported(study: Any) -> list[votes.Vote]:
    found: list[votes.Vote] = votes.read_votes(study.get_by_label("Votes as text").input_value())
    return found


@pytest.mark.parametrize("form", ["desktop-light", "desktop-dark", "phone-light"])
def test_clicks_are_votes_for_the_pictures_that_were_shown(visitor: Visitor, form: str) -> None:
    opened = visitor(PAGE, form=form)
    study = study_of(opened.page)
    shown = []
    for name in ("← Left", "Same ↓", "Right →", "← Left"):
        assert study.locator(".panel img").count() == 3, "the photograph and two paintings of it"
        assert study.locator(".panel .strip .name").count() == 0, "nothing tells who painted them"
        shown.append(study.evaluate(PAIR))
        study.get_by_role("button", name=name).click()
    said = study.locator("xpath=..").locator(".said")
    assert f"4 of {TOTAL} comparisons made" in said.inner_text()
    study.get_by_role("button", name="Undo").click()
    assert f"3 of {TOTAL}" in said.inner_text()
    assert study.evaluate(PAIR) == shown.pop()
    study.get_by_role("button", name="Results").click()
    cast = exported(study)
    assert [vote.choice for vote in cast] == ["left", "tie", "right"]
    for vote, titles in zip(cast, shown, strict=True):
        assert titles == [f"{method}, scene {int(vote.scene) + 1}" for method in (vote.left, vote.right)]
        assert {vote.left, vote.right} <= set(METHODS)
    assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert opened.said == []


def test_keys_alone_vote_and_the_votes_are_there_after_a_reload(visitor: Visitor) -> None:
    page = visitor(PAGE, as_file=True).page
    study = study_of(page)
    study.get_by_role("button", name="Left").focus()
    keys = {"ArrowLeft": "left", "ArrowDown": "tie", "ArrowRight": "right"}
    before = page.evaluate("scrollY")
    for key in (*keys, "a", "Alt+ArrowDown"):  # the last two are no votes
        page.keyboard.press(key)
    assert page.evaluate("scrollY") == before, "an arrow votes, and does not scroll"
    for _ in range(12):
        if page.evaluate("document.activeElement.textContent") == "Results":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    cast = exported(study)
    assert [vote.choice for vote in cast] == [*keys.values()]
    page.reload()
    study = study_of(page)
    study.get_by_role("button", name="Results").click()
    assert exported(study) == cast


def test_a_reader_who_votes_by_the_library_gets_the_scores_of_the_library(visitor: Visitor) -> None:
    page = visitor(PAGE).page
    study = study_of(page)
    strengths = dict(zip(METHODS, (1.0, 0.4, 0.2, 0.0, -0.4, -1.2), strict=True))
    cast = votes.simulate_votes(strengths, [str(k) for k in range(SCENES)], each=1, ties=0.1, seed=2)
    study.get_by_role("button", name="Results").click()
    study.get_by_label("Votes as text").fill(votes.write_votes(cast, "six methods"))
    study.get_by_role("button", name="Use this text").click()
    assert exported(study) == cast
    expected = votes.bradley_terry(cast)
    rows = study.locator(".results tr").filter(has=page.locator("td")).all()
    cells = [[cell.inner_text().replace("−", "-") for cell in row.locator("td").all()[:2]] for row in rows]
    assert [name for name, _ in cells] == list(expected.names)
    assert [float(score) for _, score in cells] == pytest.approx([*expected.scores], abs=0.0051)  # two decimals
