"""The rows of the ledger page as HTML. No setup(): book_ledger uses it."""

import html
import re
from collections.abc import Sequence
from pathlib import Path

import paper_runs
from book_local import ROOT
from paper_runs import anchor
from pybtex.database import parse_file

from course_lib.teaching import claims, figures
from course_lib.teaching.claims import Claim, Finding
from course_lib.teaching.measures import PREFIX

HERE = {"paper": "Here, at the paper's scale", "laptop": "Here, on a laptop"}
THUMBNAIL, MOST = 104, 5  # pixels, pictures a row


def paper_names() -> dict[str, str]:
    """``gatys2016style`` → ``Gatys, Ecker & Bethge 2016``, from the bibliography."""
    found = {}
    for key, entry in parse_file(ROOT / "book" / "references.bib", "bibtex").entries.items():
        people = entry.persons["author"]
        names = [" ".join(map(str, [*one.rich_prelast_names, *one.rich_last_names])) for one in people] or [key]
        who = " & ".join(names) if len(names) <= 2 else f"{', '.join(names[:-1])} & {names[-1]}"
        if len(names) > 3:
            who = f"{names[0]} et al."
        found[key] = f"{who} {entry.fields['year']}" if "year" in entry.fields else f"{who}, undated"
    return found


def kind(verdict: str) -> str:
    """The verdict as a class: ``not-reproduced``."""
    return verdict.replace(" ", "-")


def badges(findings: Sequence[Finding]) -> str:
    """How many claims have each verdict, as badges."""
    counted = [(word, sum(found.verdict == word for found in findings)) for word in claims.VERDICTS]
    return "".join(
        f'<span class="badge {kind(word)}" data-verdict="{kind(word)}"><b>{count}</b> {word}</span>'
        for word, count in counted
        if count
    )


def summary(findings: Sequence[Finding]) -> str:
    """The line at the top: all claims by verdict; the script makes the badges a filter."""
    return (
        f'<p class="ledger-sum" data-count="{len(findings)}"><b>{len(findings)}</b> claims: {badges(findings)}</p>'
        '<p class="ledger-more">The same for machines: <a href="ledger.json">ledger.json</a>; in a terminal: '
        "<code>python -m course_lib ledger</code>.</p>"
    )


def counts(findings: Sequence[Finding]) -> str:
    """The line of one document."""
    return f'<p class="ledger-document">{badges(findings)}</p>'


def rule(text: str) -> str:
    """An expression as a reader writes it: names in italics."""
    parts = re.split(r"`([^`]+)`", text.replace(">=", "≥").replace("<=", "≤"))
    signs = str.maketrans({"*": "·", "-": "−"})
    return "".join(
        f"<i>{html.escape(p)}</i>" if k % 2 else html.escape(p.translate(signs)) for k, p in enumerate(parts)
    )


def pictures(found: Finding) -> str:
    """The pictures that the deciding measure kept, small."""
    if found.record is None or not found.record.name.startswith(PREFIX):
        return ""
    what = found.record.name.removeprefix(PREFIX).replace("_", " ")
    kept = [(title, path) for title, path in found.record.images.items() if isinstance(path, Path)][:MOST]
    return "".join(
        f"<figure>{figures.picture(path, f'{what}: {title}', size=THUMBNAIL, quality=70)}"
        f"<figcaption>{html.escape(title)}</figcaption></figure>"
        for title, path in kept
    )


def replaced_by(claim: Claim) -> list[Claim]:
    """The rows that change this one's rule."""
    return [other for other in claims.load().values() if other.replaces == claim.id]


def link(claim: Claim) -> str:
    return f'<a href="#{anchor(claim.id)}"><code>{html.escape(claim.id)}</code></a>'


def _measured(found: Finding, chapters: dict[str, str]) -> list[tuple[str, str]]:
    """What a measured row says of its rule, its numbers, and where they come from."""
    claim, word, run = found.claim, html.escape, found.record
    assert run is not None
    page = f"../notebooks/{chapters[claim.chapter]}.html"
    cell = f'<a href="{page}#{anchor(claim.id)}">its live cell</a>' if claim.quick is not None else ""
    place = cell or f'<a href="{page}">its chapter</a>'
    lines = "<br>".join(word(line) for line in (found.line, found.smaller_line) if line)
    dirty = "; from code with changes that no commit has" if (run.commit or "").endswith("-dirty") else ""
    made_under = run.claims[claim.id].get("rule", "")
    other = f"; the run was made under <code>{word(made_under)}</code>" if made_under != claim.digest else ""
    return [
        ("Measure", word(claim.measure)),
        ("Holds if", f"{rule(claim.holds)}, in every one of {word(claim.cases)}"),
        ("Refuted by", word(claim.refuted)),
        ("Few cases", word(claim.few)),
        ("Changes the rule of", link(claims.find(claim.replaces)) if claim.replaces else ""),
        ("Changed in", ", ".join(map(link, replaced_by(claim)))),
        (
            "Found",
            word(found.effect) + (f" <small>({rule(claim.effect)})</small>" if claim.effect and found.effect else ""),
        ),
        (HERE[found.profile], word(found.value)),
        (HERE["laptop"] if found.smaller else "", word(found.smaller)),
        ("From", f"{lines}{dirty} · {place}"),
        ("Rule", f"written {word(found.registered)}, <code>{claim.digest}</code>{other}"),
        ("Again", f"<code>make verify CLAIM={word(claim.id)}</code>"),
        ("At the paper's scale", paper_runs.not_run_yet([claim.record])),
    ]


def row(found: Finding, chapters: dict[str, str]) -> str:
    """One claim: the verdict, the sentence and the effect; it opens to rule, numbers, pictures, command, and why.

    Args:
        found: with its claim.
        chapters: number → stem of the notebook.
    """
    claim, word = found.claim, html.escape
    theirs = f"{word(claim.value or 'an ordering')} <small>({word(claims.CERTAINTIES[claim.certainty])})</small>"
    facts = [("Claim", f"<code>{word(claim.id)}</code>"), ("Said in", word(claim.where))]
    facts += [("Setting", word(claim.setting)), ("The paper", theirs)]
    facts += _measured(found, chapters) if found.record is not None else []
    facts += [("Why", word(claim.note or next(iter(claim.reasons.values()), "")))]
    lines = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in facts if text)
    shown = pictures(found)
    return (
        f'<section class="claim {kind(found.verdict)}" id="{anchor(claim.id)}"><details><summary>'
        f'<span class="verdict">{word(found.verdict)}</span> <span class="said">{word(claim.claim)}</span>'
        f'<span class="effect">{word(found.effect)}</span></summary><dl>{lines}</dl>'
        f"{f'<div class={chr(34)}strip{chr(34)}>{shown}</div>' if shown else ''}</details></section>"
    )
