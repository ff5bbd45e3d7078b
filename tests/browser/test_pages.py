"""Every page on a desktop and on a phone, some in the dark: it is quiet, fits, and everybody can read and use it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LISTED = re.findall(r"(?:file|root): (\S+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))
PAGES = [f"{name}.html" for name in [*LISTED, "search", "genindex"]]
# One page of each kind is enough in the dark: the styles are the same everywhere.
KINDS = [
    "book/intro",
    "book/gallery",
    "book/map",
    "book/ledger",
    "book/notation",
    "book/try_it/index",
    "notebooks/03_gatys",
    "search",
]
DARK = [f"{name}.html" for name in KINDS]
MOST_BYTES = 1_500_000  # of a page before anybody touches it
# What axe-core is asked in each form: everything; in the dark the colors; on a phone the layout.
RULES: dict[str, list[str] | None] = {
    "desktop-light": None,
    "desktop-dark": ["color-contrast", "link-in-text-block"],
    "phone-light": ["scrollable-region-focusable", "aria-hidden-focus", "button-name", "link-name", "target-size"],
}
VISITS = [(name, form) for form in RULES for name in (DARK if form == "desktop-dark" else PAGES)]


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
        before = slider.evaluate("look.state")
        page.keyboard.press(key)
        after = slider.evaluate("look.state")
        for _ in range(20):  # one of a hundred places may look like the next
            if after[2] != before[2]:
                break
            page.keyboard.press(key)
            after[2] = slider.evaluate("look.seen")
        words = ("its value", "what it says", "what is shown")
        problems += [f"{who}: {word} stays" for word, old, new in zip(words, before, after, strict=True) if old == new]
        problems += [] if who else [f"no name: {slider.evaluate('(input) => input.outerHTML')}"]
    return problems


def grave(barriers: list[dict[str, str]]) -> list[str]:
    """What axe-core calls serious or critical."""
    return [barrier["words"] for barrier in barriers if barrier["impact"] in ("serious", "critical")]


@pytest.mark.parametrize(("name", "form"), VISITS, ids=lambda word: word)
def test_a_page_is_quiet_and_fits_and_can_be_used(visitor: Callable[..., Any], axe: str, name: str, form: str) -> None:
    """One visit; everything that is wrong is listed under the question that was asked."""
    opened = visitor(name, form)
    ask = opened.evaluate
    wrong: dict[str, list[str]] = {}
    size = ask("look.bytes()")  # uncompressed, and before anything is scrolled to
    wrong["bytes"] = [f"{size / 1e6:.2f} MB"] if size >= MOST_BYTES else []
    for question in ("layout", "pictures", "figures", "formulas"):
        wrong[question] = ask(f"look.{question}()")
    if form == "desktop-light":  # the other forms show the same files
        wrong["broken pictures"] = ask("look.broken()")
    ask(axe)
    wrong["barriers"] = grave(ask("(rules) => look.barriers(rules)", RULES[form]))[:4]
    opened.page.emulate_media(reduced_motion="reduce")
    wrong["moving where less motion is wished"] = ask("look.moving()")
    if form == "phone-light":
        wrong["sliders that do not follow the arrow keys"] = stuck_sliders(opened.page)
    opened.page.emulate_media(media="print")
    wrong["bare on paper"] = ask("look.bare()")
    wrong["said or asked of others"] = opened.said
    problems = [f"{question}: {answer}" for question, answers in wrong.items() for answer in answers]
    assert not problems, "\n".join(problems)
