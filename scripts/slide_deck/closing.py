"""The slides at the end: the claims and their verdicts, further reading, the summary, the exercises."""

import re
from collections.abc import Iterator
from contextlib import suppress
from math import ceil

from course_lib.teaching import claims, records
from scripts.slide_deck import prose
from scripts.slide_deck.layout import ACROSS, noted
from scripts.slide_deck.parts import Section, Slide
from scripts.slide_deck.prose import Block

LINES = 16  # of a list on one slide
EXERCISE = re.compile(r"\*\*Exercise ([\d.]+)\*\*\s*(?:\*\(([^)]*)\)\*)?\s*(.*)", re.DOTALL)


def closing(section: Section) -> list[Slide]:
    """The summary, further reading or the exercises: one entry for each item, in as many slides as they need."""
    texts = [item for item in section.items if isinstance(item, Block)]
    listed = [item for block in texts if block.kind == "list" for item in block.items]
    entries = [prose.key(item, most=170, least=60) for item in listed]
    if section.name == "Exercises":
        entries = list(_exercises(texts))
    kind = "exercises" if section.name == "Exercises" else "points"
    return _listed(section.name, entries, section.number, noted(texts), kind)


def measured(name: str) -> list[Slide]:
    """The papers' sentences that the chapter measures, each with what its stored run says."""
    findings = []
    for claim in claims.load().values():
        if claim.chapter == name[:2] and not claim.reasons:
            with suppress(claims.ClaimError, records.RecordError):  # no stored run yet
                findings.append(claims.finding(claim))
    entries = [f"{one.claim.claim.rstrip('.')}: *{one.verdict}*" for one in findings]
    if not entries:
        return []
    notes = prose.page("\n".join(f"- **{one.verdict}** {one.claim.claim} {one.value} ({one.line})" for one in findings))
    return _listed("What became of the claims", entries, "", notes, "claims")


def _listed(title: str, entries: list[str], section: str, notes: str, kind: str) -> list[Slide]:
    """Slides that are equally full."""
    across = ACROSS + (8 if kind == "exercises" else 18)  # smaller letters than in a text; exercises are set in
    needed = [ceil(len(prose.plain(prose.inline(entry))) / across) + 0.3 for entry in entries]
    count = max(1, ceil(sum(needed) / LINES))
    pages: list[list[str]] = [[] for _ in range(count)]
    for k, entry in enumerate(entries):
        before = sum(needed[:k]) + needed[k] / 2
        pages[min(count - 1, int(count * before / sum(needed)))].append(entry)
    slides = []
    for k, page in enumerate(pages):
        items = "".join(f"<li>{prose.inline(entry)}</li>" for entry in page)
        slides.append(Slide("closing", title, f'<ul class="{kind}">{items}</ul>', section, notes if k == 0 else ""))
    return slides


def _exercises(texts: list[Block]) -> Iterator[str]:
    for block in texts:
        if block.kind == "text" and (found := EXERCISE.match(block.text)):
            number, level, asked = found.groups()
            yield f"**{number}** {f'*{level}* ' if level else ''}{_asked(asked)}"


def _asked(text: str, most: int = 220) -> str:
    """What an exercise asks: its first sentence, and the first question where there is room."""
    first, *others = prose.sentences(text)
    chosen = prose.key(text, most=150)
    question = next((sentence for sentence in others if sentence.endswith("?")), "")
    if "?" in chosen or not question or question in chosen:
        return chosen
    return f"{first} {question}" if len(first) + len(question) < most else chosen
