"""The reproduction ledger: what the papers claim, what the book measured, and the verdict.

``data/claims.yml`` lists the claims. A notebook checks its claims with `check`; a stored run keeps its measurements for
a claim with `Record.claim`. The ledger page is generated from the list and the stored runs alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import yaml

from course_lib.paths import data_path
from course_lib.teaching import records

VERDICTS = ("reproduced", "same ordering", "not reproduced", "not attempted")
CERTAINTIES = {"D": "read in the document", "T": "as commonly cited, not re-read"}


class ClaimError(ValueError):
    """An unknown or invalid claim; the message says what to do."""


@dataclass(frozen=True)
class Claim:
    """One row of ``data/claims.yml``."""

    id: str
    paper: str  # key in book/references.bib
    claim: str  # one sentence, in our own words
    where: str  # section, figure or table
    certainty: str  # "D" or "T", see CERTAINTIES
    value: str = ""  # the paper's, as printed
    setting: str = ""  # the paper's
    chapter: str = ""  # number of the notebook that checks it, "04"
    record: str = ""  # the stored run that measured it
    measure: str = ""  # what our numbers are
    quick: bool = True  # whether the quick run is expected to support it
    note: str = ""  # why the verdict is what it is
    not_attempted: str = ""  # the reason, if no notebook checks it

    def __post_init__(self) -> None:
        if self.certainty not in CERTAINTIES:
            raise ClaimError(f"{self.id}: certainty must be one of {', '.join(CERTAINTIES)}, got {self.certainty!r}")
        if bool(self.chapter) == bool(self.not_attempted):
            raise ClaimError(f"{self.id}: give either the chapter that checks it or the reason why it is not attempted")


@dataclass(frozen=True)
class Finding:
    """One row of the ledger."""

    claim: Claim
    verdict: str
    value: str = ""  # ours, with its spread over seeds
    line: str = ""  # where it comes from
    profile: str = ""  # of the run that decides the verdict: "paper" if there is one
    smaller: str = ""  # value of the laptop run, if the run at the paper's scale decides
    smaller_line: str = ""  # where that value comes from


def claims_file() -> Path:
    """``data/claims.yml``, see `course_lib.paths`."""
    return data_path("claims.yml")


@lru_cache(maxsize=1)
def load() -> dict[str, Claim]:
    """All claims by id, in the order of the file.

    Raises:
        ClaimError: there is no list, or a row has an unknown or invalid field.
    """
    try:
        text = claims_file().read_text(encoding="utf-8")
    except OSError as error:
        raise ClaimError(
            f"the list of claims {claims_file()} could not be read; install course_lib again, or set COURSE_LIB_DATA "
            "to the folder `data` of a clone of the repository"
        ) from error
    rows: Mapping[str, Mapping[str, Any]] = yaml.safe_load(text)
    try:
        return {name: Claim(id=name, **row) for name, row in rows.items()}
    except TypeError as error:
        raise ClaimError(f"{claims_file()}: {error}") from error


def check(name: str, holds: object) -> None:
    """Print one line that is the same on every machine, or stop the notebook if the result is unexpected.

    Args:
        name: id of a claim.
        holds: whether the paper's claim holds in this run.

    Raises:
        ClaimError: no such claim.
        AssertionError: the claim holds although the list expects that it does not, or vice versa.
    """
    known = load()
    if name not in known:
        raise ClaimError(f"there is no claim {name!r} in {claims_file().name}; there are: {', '.join(known)}")
    claim = known[name]
    if bool(holds) != claim.quick:
        result = "holds" if holds else "does not hold"
        raise AssertionError(f"{name} {result} here, contrary to what {claims_file().name} expects: {claim.claim}")
    print(f"✓ {name}: {claim.claim}" if holds else f"✗ {name}: does not hold here, as the ledger says: {claim.claim}")


def finding(claim: Claim) -> Finding:
    """The verdict on one claim, from its stored run alone; a run at the paper's scale takes precedence.

    A claim is *reproduced* if it holds for every seed at the paper's own scale (the ``paper`` profile, not reduced). If
    it holds for every seed at a smaller scale, the verdict is *same ordering*.

    Raises:
        ClaimError: the stored run has no measurement for this claim.
        records.RecordError: the stored run is missing or damaged.
    """
    if claim.not_attempted or not claim.record:
        return Finding(claim, "not attempted", line=claim.not_attempted or "no stored run yet")
    larger = records.at_paper_scale(claim.record)
    decides = larger is not None and claim.id in larger.claims
    smaller = _laptop(claim.record, needed=not decides)
    record = larger if decides else smaller
    if record is None or claim.id not in record.claims:
        raise ClaimError(f"stored run {claim.record!r} measured nothing for {claim.id}")
    if not all(record.claims[claim.id]["holds"]):
        verdict = "not reproduced"
    else:
        verdict = "reproduced" if record.profile == "paper" and not record.reduced else "same ordering"
    beside = smaller if decides and smaller is not None and claim.id in smaller.claims else None
    return Finding(
        claim, verdict, numbers(record, claim.id), record.line, record.profile,
        numbers(beside, claim.id) if beside else "", beside.line if beside else "",
    )  # fmt: skip


def ledger() -> list[Finding]:
    """Every claim with its verdict, in the order of the file."""
    return [finding(claim) for claim in load().values()]


def numbers(record: records.Record, name: str) -> str:
    """What a stored run measured for the claim `name`, with its spread: ``share 0.81 ± 0.02 (3 seeds)``."""
    measured = record.claims[name]
    return _spread(measured["values"], measured["over"])


def _laptop(name: str, *, needed: bool) -> records.Record | None:
    """The ``laptop`` run, or None if it does not exist and is not needed."""
    places = (records.folder_of(name, "laptop"), records.results_folder() / name)
    there = any((place / "record.json").exists() for place in places)
    return records.load(name, profile="laptop") if needed or there else None


def _spread(values: Mapping[str, list[float]], over: str) -> str:
    """``low 0.61 ± 0.02, high 0.34 ± 0.01 (3 seeds)``: mean and standard deviation."""
    parts, count = [], 0
    for name, numbers in values.items():
        count = len(numbers)
        text = f"{mean(numbers):.3g}"
        if count > 1:
            text += f" ± {float(f'{stdev(numbers):.1g}'):g}"  # 300 instead of 3e+02
        parts.append(f"{name} {text}")
    return f"{', '.join(parts)} ({count} {over if count > 1 else over.rstrip('s')})"
