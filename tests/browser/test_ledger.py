"""The ledger in a browser: a badge filters, a link to a claim opens it, and a phone shows all of it."""

from collections.abc import Callable
from typing import Any

import pytest

PAGE = "book/ledger.html"
Visitor = Callable[..., Any]
SHOWN = "[...document.querySelectorAll('section.claim')].filter((one) => one.checkVisibility()).length"
EMPTY = """[...document.querySelectorAll('.ledger-document')].map((line) => line.parentElement)
    .filter((part) => part.checkVisibility())
    .filter((part) => ![...part.querySelectorAll('section.claim')].some((one) => one.checkVisibility()))
    .map((part) => part.id)"""
NAMES = "[...document.querySelectorAll('section.claim dl')].map((one) => one.querySelector('dd code').textContent)"


@pytest.mark.parametrize("as_file", [False, True], ids=["http", "file"])
def test_a_badge_shows_the_claims_of_one_verdict(visitor: Visitor, as_file: bool) -> None:
    opened = visitor(PAGE, as_file=as_file)
    page, buttons = opened.page, opened.page.locator(".ledger-sum button")
    total = int(page.locator(".ledger-sum").get_attribute("data-count"))
    assert opened.evaluate(SHOWN) == total >= 60
    counts = [int(text.split()[0]) for text in buttons.all_inner_texts()]
    assert sum(counts) == total
    assert len(counts) >= 4
    for button, count in zip(buttons.all(), counts, strict=True):
        button.click()
        verdict = button.get_attribute("data-verdict")
        assert opened.evaluate(SHOWN) == count == page.locator(f"section.claim.{verdict}").count()
        assert page.locator(f"section.claim.{verdict}").first.is_visible()
        assert page.get_by_role("status").inner_text() == f"{count} of {total} shown; press again for all"
        assert page.locator(".ledger-sum button[aria-pressed=true]").count() == 1
        assert opened.evaluate(EMPTY) == [], "a document without a claim is not shown"
    buttons.last.press("Enter")  # by keyboard, and again: all
    assert opened.evaluate(SHOWN) == total
    assert page.locator(".ledger-sum button[aria-pressed=true]").count() == 0
    assert page.get_by_role("status").inner_text() == ""
    assert opened.said == []


def test_a_link_to_a_claim_opens_its_row_whatever_the_filter_hides(visitor: Visitor) -> None:
    page = visitor(f"{PAGE}#claim-gatys-gradient").page
    row, other = page.locator("#claim-gatys-gradient"), page.locator("#claim-gatys-content-layer")
    assert row.locator("dl").is_visible()
    assert 0 <= row.bounding_box()["y"] < page.viewport_size["height"]
    assert "Refuted by" in row.inner_text()
    assert "make verify CLAIM=gatys.gradient" in row.inner_text()
    assert not other.locator("dl").is_visible()
    verdict = other.evaluate("(one) => one.className.replace('claim ', '')")
    hides = f".ledger-sum button:not([data-verdict={verdict}])"
    page.locator(hides).first.click()
    assert not other.is_visible()
    page.evaluate("location.hash = 'claim-gatys-content-layer'")
    page.wait_for_function("document.querySelector('#claim-gatys-content-layer dl').checkVisibility()")
    assert page.locator(".ledger-sum button[aria-pressed=true]").count() == 0


def test_rows_link_to_one_another_and_to_their_chapters(visitor: Visitor) -> None:
    opened = visitor(PAGE)
    broken = opened.evaluate(
        """async () => {
            const links = [...document.querySelectorAll('section.claim a')].map((one) => one.href);
            const pages = new Map();
            const wrong = [];
            for (const link of new Set(links)) {
                const [page, anchor] = link.split('#');
                if (!pages.has(page)) {
                    const text = await (await fetch(page)).text();
                    pages.set(page, new DOMParser().parseFromString(text, 'text/html'));
                }
                if (anchor && !pages.get(page).getElementById(anchor)) wrong.push(link);
            }
            return wrong;
        }"""
    )
    assert broken == []
    assert opened.said == []


def test_the_form_for_machines_lies_beside_the_page(visitor: Visitor) -> None:
    opened = visitor(PAGE)
    rows = opened.evaluate("async () => (await fetch('ledger.json')).json()")
    assert sorted(row["id"] for row in rows) == sorted(opened.evaluate(NAMES))
    by_verdict = {row["verdict"] for row in rows}
    badges = opened.page.locator(".ledger-sum .badge").all_inner_texts()
    assert {text.split(maxsplit=1)[1] for text in badges} == by_verdict


def test_a_phone_shows_every_row_without_scrolling_sideways(visitor: Visitor) -> None:
    opened = visitor(PAGE, "phone-light")
    assert opened.evaluate("look.layout()") == []
    opened.evaluate("() => document.querySelectorAll('section.claim details').forEach((one) => { one.open = true; })")
    assert opened.evaluate("look.layout()") == []
    assert opened.evaluate("look.pictures()") == []
