"""Measure one claim again on this machine, and say whether it holds here.

    make verify CLAIM=gatys.content_layer                  at the laptop profile, in minutes
    make verify CLAIM=gatys.content_layer PROFILE=quick    one small case, in seconds
    python -m scripts.verify gatys.content_layer --record  store the run in data/results, where the ledger reads it

A claim that is decided in `course_lib.teaching.measures` is measured there; for another one the notebook's code runs
that makes its stored run. Nothing in data/results changes without --record. Exit code: 0 if the claim comes out as in
the ledger, 1 if it does not, 2 if it cannot be measured (one sentence says why), 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

from course_lib.pretrained.weights import WeightsError
from course_lib.teaching import claims, measures, records
from course_lib.teaching.registry import Claim, ClaimError
from scripts.environment import changed
from scripts.notebook_script import find_notebooks, script_of
from scripts.paper_queue import cells

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


def measured(claim: Claim, profile: str, seed: int) -> records.Record:
    """The run that decides the claim, made now.

    Raises:
        ClaimError: nothing here can make it, or its notebook ended without it.
    """
    if claim.record.startswith(measures.PREFIX):
        return measures.take(claim.record.removeprefix(measures.PREFIX), profile=profile, seed=seed)
    command = records.load(claim.record, profile="laptop").command
    if not re.search(r"\bexecute(\.py)? \d\d\b", command):
        raise ClaimError(f"{claim.id}: its stored run is made by another command, with data of your own: {command}")
    if profile == "quick":
        raise ClaimError(f"{claim.id}: its quick run is a cell of notebook {claim.chapter}; ask for PROFILE=laptop")
    return by_notebook(claim.record, profile, seed)


def by_notebook(name: str, profile: str, seed: int) -> records.Record:
    """The stored run `name`, made now by the code of the notebook whose number begins its name.

    Raises:
        ClaimError: the code ended without it.
    """
    file = records.folder_of(name, profile) / "record.json"
    before = file.stat().st_mtime_ns if file.exists() else None
    (notebook,) = find_notebooks([name[:2]], NOTEBOOKS)
    with changed({"COURSE_LIB_RECORDS": f"again,{name}"}):
        notes = cells.run(script_of(notebook, {"PROFILE": profile, "SEED": seed}))
    if not file.exists() or file.stat().st_mtime_ns == before:
        first = f"; first: {notes[0].splitlines()[0]}" if notes else ""
        raise ClaimError(f"notebook {name[:2]} ended without its stored run {name}{first}")
    return records.load(name, profile=profile)


def report(claim: Claim, run: records.Record) -> bool:
    """Print what came out here and what the ledger says; whether both agree.

    There is nothing to disagree with where no run is stored, or only one under another rule.
    """
    held = claims.supports(claim, run)
    print(f"\n{claim.id}: {claim.claim}\n  rule:       {claim.holds}\n  holds here: {'yes' if all(held) else 'no'}")
    print(f"  here:       {claims.effect(claim, run)} ({claims.numbers(run, claim.id)})")
    try:
        stored = claims.finding(claim)
    except records.RecordError:
        print("  the ledger: there is no stored run yet")
        return True
    assert stored.record is not None
    print(f"  the ledger: {', '.join(filter(None, (stored.verdict, stored.effect)))} ({stored.line})")
    return stored.verdict == "stale" or all(held) == all(claims.supports(claim, stored.record))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("claim", help="its id, or the name of a measure: all the claims that it decides")
    parser.add_argument("--profile", default="laptop", choices=("quick", "laptop", "paper"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", action="store_true", help="store the run in data/results")
    options = parser.parse_args(arguments)
    try:
        named = options.claim in measures.MEASURES
        wanted = measures.claims_of(options.claim) if named else [claims.find(options.claim)]
        for kind, reason in wanted[0].reasons.items():
            raise ClaimError(f"{wanted[0].id} is {kind.replace('_', ' ')}: {reason}")
        if options.record and options.profile == "quick":
            raise ClaimError("a quick run is not stored; ask for --profile laptop or paper")
        with tempfile.TemporaryDirectory() as folder:
            with nullcontext() if options.record else changed({"COURSE_LIB_RESULTS": folder}):
                run = measured(wanted[0], options.profile, options.seed)
            agreed = [report(claim, run) for claim in wanted]
    except (WeightsError, ValueError, MemoryError, OSError) as error:  # no network, no such claim, a full disk
        print(f"verify: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("verify: stopped; nothing was stored.", file=sys.stderr)
        return 130
    return 0 if all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main())
