"""Every page, on a desktop and on a phone, light and dark: it is quiet, fits, and everybody can read and use it."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LISTED = re.findall(r"(?:file|root): (\S+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))
PAGES = [f"{name}.html" for name in [*LISTED, "search", "genindex"]]
MOST_BYTES = 1_500_000  # of a page before anybody touches it
# What axe-core is asked in each form: everything; in the dark the colors; on a phone the layout.
RULES: dict[str, list[str] | None] = {
    "desktop-light": None,
    "desktop-dark": ["color-contrast", "link-in-text-block"],
    "phone-light": ["scrollable-region-focusable", "aria-hidden-focus", "button-name", "link-name", "target-size"],
    "phone-dark": [],
}


@pytest.fixture(
    scope="module", params=[(name, form) for form in RULES for name in PAGES], ids=lambda pair: f"{pair[0]}-{pair[1]}"
)
def visit(request: pytest.FixtureRequest, visitor: Callable[..., Any], axe: str) -> SimpleNamespace:
    """One visit to one page in one form, and everything the tests below want to know of it."""
    name, form = request.param
    opened = visitor(name, form)
    ask, rules = opened.evaluate, RULES[form]
    found = {word: ask(f"look.{word}()") for word in ("bytes", "layout", "pictures", "figures", "formulas")}
    found["broken"] = ask("look.broken()") if form.endswith("light") else []  # the dark shows the same files
    found["barriers"] = []
    if rules != []:
        ask(axe)
        found["barriers"] = ask("(rules) => look.barriers(rules)", rules)
    opened.page.emulate_media(reduced_motion="reduce")
    found["moving"] = ask("look.moving()")
    # One form is enough for these: sliders where the screen is small, print where the page was dark.
    found["stuck"] = stuck_sliders(opened.page) if form == "phone-light" else []
    opened.page.emulate_media(media="print")
    found["bare"] = ask("look.bare()") if form == "phone-dark" else []
    return SimpleNamespace(form=form, said=opened.said, **found)


def stuck_sliders(page: Any) -> list[str]:
    """What does not follow an arrow key: a slider's value, what it says in words, or what is shown."""
    page.evaluate("() => document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    problems = []
    for slider in page.locator("article input[type=range]").all():
        if not slider.is_visible():
            continue
        who = slider.evaluate("look.words")
        key = slider.evaluate("(one) => Number(one.value) >= Number(one.max) ? 'ArrowLeft' : 'ArrowRight'")
        slider.focus()
        before = slider.input_value(), slider.evaluate("look.said"), slider.evaluate("look.seen")
        page.keyboard.press(key)
        after = [slider.input_value(), slider.evaluate("look.said"), slider.evaluate("look.seen")]
        for _ in range(20):  # one of a hundred places may look like the next
            if after[2] != before[2]:
                break
            page.keyboard.press(key)
            after[2] = slider.evaluate("look.seen")
        words = ("its value", "what it says", "what is shown")
        problems += [f"{who}: {word} stays" for word, old, new in zip(words, before, after, strict=True) if old == new]
        problems += [] if who else [f"no name: {slider.evaluate('(input) => input.outerHTML')}"]
    return problems


def test_it_asks_nobody_and_complains_of_nothing(visit: SimpleNamespace) -> None:
    assert visit.said == []


def test_it_is_no_wider_than_the_screen(visit: SimpleNamespace) -> None:
    assert visit.layout == []


def test_its_pictures_are_there_described_sized_and_lazy(visit: SimpleNamespace) -> None:
    assert [*visit.broken, *visit.pictures] == []


def test_its_figures_have_captions_and_show_something_on_paper(visit: SimpleNamespace) -> None:
    assert [*visit.figures, *visit.bare] == []


def test_its_formulas_are_set(visit: SimpleNamespace) -> None:
    assert visit.formulas == []


def test_its_sliders_follow_the_arrow_keys(visit: SimpleNamespace) -> None:
    assert visit.stuck == []


def test_nothing_moves_where_less_motion_is_wished(visit: SimpleNamespace) -> None:
    assert visit.moving == []


def test_nothing_stands_in_the_way_of_anybody(visit: SimpleNamespace) -> None:
    """axe-core finds nothing serious or critical."""
    grave = [barrier["words"] for barrier in visit.barriers if barrier["impact"] in ("serious", "critical")]
    assert not grave, f"{len(grave)} findings:\n" + "\n".join(grave[:4])


def test_it_is_light(visit: SimpleNamespace) -> None:
    """What is transferred, uncompressed, before anybody touches the page."""
    assert visit.bytes < MOST_BYTES, f"{visit.bytes / 1e6:.2f} MB"
