"""``ledger``: what the papers claim, and the verdict of the stored runs."""

from __future__ import annotations

import argparse
from typing import Any

from course_lib.cli.arguments import add_command
from course_lib.cli.terminal import report


def add(commands: Any) -> None:
    """Declare the command and its arguments."""
    parser = add_command(commands, "ledger", run, "list the papers' claims with their verdicts")
    parser.add_argument(
        "claims",
        nargs="*",
        metavar="CLAIM",
        help="only claims whose id begins with this, with all details (default: all)",
    )
    parser.add_argument("--verdict", help='only claims with this verdict, for example "not reproduced" (default: all)')


def run(options: argparse.Namespace) -> None:
    """Print one line a claim; claims that are named are printed in full.

    Raises:
        ClaimError: no id begins with a given word, or there is no such verdict.
    """
    from course_lib.teaching import claims

    if options.json:
        print(claims.machine_readable())  # the whole ledger, as its page offers it
        return
    if options.verdict is not None and options.verdict not in claims.VERDICTS:
        raise claims.ClaimError(f"verdicts are {', '.join(claims.VERDICTS)}; got {options.verdict!r}")
    wanted, named = options.verdict, tuple(options.claims)
    for name in named:
        if not any(known.startswith(name) for known in claims.load()):
            raise claims.ClaimError(f"no claim begins with {name!r}; {claims.others(name, claims.load())}")
    rows = [claims.finding(claim) for claim in claims.load().values() if not named or claim.id.startswith(named)]
    rows = [found for found in rows if wanted is None or found.verdict == wanted]
    for found in rows:
        line = in_full(found) if named else f"{found.verdict:15} {found.claim.id:36} {found.effect}".rstrip()
        report(line, asked=True)
    counts = {word: sum(found.verdict == word for found in rows) for word in claims.VERDICTS}
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    report(f"{len(rows)} claim{'s'[: len(rows) != 1]}{': ' if told else ''}{told}")


def in_full(found: Any) -> str:
    """Everything a row of the ledger says."""
    claim = found.claim
    facts = {
        "verdict": found.verdict, "claim": claim.claim, "said in": claim.where, "the paper": claim.value,
        "measure": claim.measure, "holds if": claim.holds, "cases": claim.cases, "refuted by": claim.refuted,
        "found": found.effect, "numbers": found.value, "from": found.line if found.record else "",
        "why": claim.note or next(iter(claim.reasons.values()), ""),
    }  # fmt: skip
    lines = [f"  {name + ':':11} {text}" for name, text in facts.items() if text]
    return "\n".join([claim.id, *lines, ""])
