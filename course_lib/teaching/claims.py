"""The reproduction ledger: what the papers claim, what the book measured, and the verdict.

`registry` holds the list of claims and their rules. A notebook checks its claims with `check`; a stored run keeps its
measurements for a claim with `Record.claim`. The ledger page is generated from the list and the stored runs alone.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from math import isfinite
from statistics import fmean, mean, stdev

from course_lib.teaching import figures, records
from course_lib.teaching.checks.statements import book_checks_itself
from course_lib.teaching.registry import CERTAINTIES, Claim, ClaimError, Expression, claims_file, find, load, others

VERDICTS = {
    "reproduced": "measured at the paper's own scale, and every case supports it",
    "same ordering": "every case supports it, at a smaller scale than the paper's",
    "theorem": "it follows from definitions, so that no measurement can refute it",
    "not reproduced": "at least one case does not support it",
    "not measurable": "no measurement can decide it",
    "not attempted": "nobody has measured it here",
    "stale": "the stored run was made under another rule",
}
__all__ = ["CERTAINTIES", "VERDICTS", "Claim", "ClaimError", "Finding", "check", "claims_file", "find", "finding",
           "ledger", "load", "others", "table"]  # fmt: skip
_DRAWS = 4000  # of the bootstrap


@dataclass(frozen=True)
class Finding:
    """One row of the ledger."""

    claim: Claim
    verdict: str
    value: str = ""  # our numbers, with their spread over the cases
    effect: str = ""  # the effect with a 95 % interval, and how many cases support the claim
    line: str = ""  # where it comes from
    profile: str = ""  # of the run that decides the verdict: "paper" if there is one
    registered: str = ""  # "before the run" or "after the run"
    record: records.Record | None = None  # the run that decides
    smaller: str = ""  # numbers of the laptop run, if the run at the paper's scale decides
    smaller_line: str = ""  # where they come from


def check(name: str, numbers: Mapping[str, float | Sequence[float]]) -> None:
    """Decide a claim for a live run by its registered rule: one line that is the same on every machine.

    The line ends with the verdict of the stored run, which has more cases than a live one.

    Args:
        name: id of a claim.
        numbers: what its rule needs, one number each, or one per case; every case must support the claim.

    Raises:
        ClaimError: no such claim, a number is missing, or not as many under every name.
        AssertionError: the book checks itself (`checks.statements.book_checks_itself`), and the claim holds although
            the list expects that it does not, or vice versa. Otherwise the line says so, with the numbers.
    """
    claim = find(name)
    if claim.quick is None:
        raise ClaimError(f"{name}: {claims_file().name} expects no live run; show the stored one with claims.table")
    rule = Expression(claim.holds)
    columns = {key: list(value) if isinstance(value, Sequence) else [value] for key, value in numbers.items()}
    if len(set(map(len, columns.values()))) != 1 or not (cases := _cases(columns)):
        lengths = ", ".join(f"{key} ({len(series)})" for key, series in columns.items())
        raise ClaimError(f"{name}: give one number per case under every name, got {lengths or 'none'}")
    holds = all(rule(case) for case in cases)
    here = f"✓ {name}: {claim.claim}" if holds else f"✗ {name} does not hold here: {claim.claim}"
    if holds != claim.quick:
        result = "holds" if holds else "does not hold"
        measured = "; ".join(
            f"{key} = {', '.join(_short(float(x)) for x in column)}" for key, column in columns.items()
        )
        if book_checks_itself():
            expected = f"contrary to what {claims_file().name} expects"
            raise AssertionError(f"{name} {result} here, {expected}: {claim.claim} ({measured})")
        here = f"{'✓' if holds else '✗'} {name} {result} here, unlike in the book ({measured}): {claim.claim}"
    print(f"{here} The ledger: {_stored(claim)}.")


def _stored(claim: Claim) -> str:
    """``not reproduced, 8 of 9 cases``: what the stored run says, which a reader sees beside the live result."""
    try:
        found = finding(claim)
    except (ClaimError, records.RecordError):
        return "no stored run yet"
    if found.record is None or claim.count == 1 or found.verdict == "stale":
        return found.verdict
    held = supports(claim, found.record)
    return f"{found.verdict}, {sum(held)} of {len(held)} cases"


def finding(claim: Claim) -> Finding:
    """The verdict on one claim, from its stored run alone; a run at the paper's scale takes precedence.

    A claim is *reproduced* if every case supports it at the paper's own scale: the ``paper`` profile, not reduced, or
    any profile where the conditions are the paper's own. If every case supports it at a smaller scale, the verdict is
    *same ordering*. A run made under another rule, or with another number of cases, gives *stale*.

    Raises:
        ClaimError: the stored run has no measurement for this claim.
        records.RecordError: the stored run is missing or damaged.
    """
    if claim.reasons:
        (verdict, reason), = claim.reasons.items()  # fmt: skip
        return Finding(claim, verdict.replace("_", " "), line=reason)
    larger = records.at_paper_scale(claim.record)
    decides = larger is not None and claim.id in larger.claims
    smaller = _laptop(claim.record, needed=not decides)
    record = larger if decides else smaller
    if record is None or claim.id not in record.claims:
        raise ClaimError(f"stored run {claim.record!r} measured nothing for {claim.id}")
    beside = smaller if decides and smaller is not None and claim.id in smaller.claims else None
    return Finding(
        claim, _verdict(claim, record), numbers(record, claim.id),
        "" if is_stale(claim, record) else effect(claim, record), record.line, record.profile,
        record.claims[claim.id].get("registered", "before the run"), record,
        numbers(beside, claim.id) if beside else "", beside.line if beside else "",
    )  # fmt: skip


def ledger() -> list[Finding]:
    """Every claim with its verdict, in the order of the file."""
    return [finding(claim) for claim in load().values()]


def machine_readable() -> str:
    """The whole ledger as JSON: rules, verdicts, numbers and where each comes from."""
    rows = []
    for found in ledger():
        row = {
            key: value for key, value in asdict(found.claim).items() if key != "quick" and value not in ("", {}, False)
        }
        row |= {"verdict": found.verdict}
        if found.record is not None:
            made = found.record
            row |= {"quick": found.claim.quick}
            measured = made.claims[found.claim.id]
            row |= {"rule": found.claim.digest, "measured_under": measured.get("rule", "")}
            row |= {"numbers": _finite(measured["values"]), "cases_measured": measured.get("cases", [])}
            row |= {"shown": found.value, "found": found.effect, "registered": found.registered}
            row |= {"profile": made.profile}
            row |= {"device": made.device, "versions": made.versions, "commit": made.commit, "seed": made.seed}
            row |= {"minutes": round(made.minutes, 3), "reduced": made.reduced}
        rows.append(row)
    return json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False)


def table(*names: str, caption: str) -> figures.Figure:
    """Rows of the ledger: the paper's value, ours from the stored run, and the verdict.

    Args:
        names: ids of claims, or what several ids begin with.
        caption: of the table.

    Raises:
        ClaimError: no id begins with a given word.
    """
    for name in names:
        if not any(known.startswith(name) for known in load()):
            raise ClaimError(f"no claim begins with {name!r}; {others(name, load())}")
    rows = [finding(claim) for known, claim in load().items() if known.startswith(names)]
    cells = [
        [found.claim.claim.rstrip("."), found.claim.value or "words", found.effect or found.value or "–", found.verdict]
        for found in rows
    ]
    return figures.table(cells, header=["claim", "the paper", "here", "verdict"], caption=caption)


def numbers(record: records.Record, name: str) -> str:
    """What a stored run measured for the claim `name`, with its spread: ``share 0.81 ± 0.02 (3 seeds)``."""
    claim, measured = find(name), record.claims[name]["values"]
    asked = [key for text in filter(None, (claim.holds, claim.effect)) for key in Expression(text).names]
    values = {key: measured[key] for key in dict.fromkeys(asked) if key in measured} or measured  # another rule's run
    return _spread(values, _over(claim, len(next(iter(values.values())))))


def interval(values: Sequence[float], shape: Sequence[int]) -> tuple[float, float]:
    """A 95 % percentile bootstrap interval of the mean (Efron & Tibshirani 1993, Section 13.3).

    Args:
        values: one number per case, the last factor of `shape` running fastest.
        shape: for example (3, 3) for three pairs with three seeds each; pairs are drawn first, then seeds within each.

    Returns:
        Its two ends; with a single case, that number twice.
    """
    return _interval(tuple(values), shape[-1])


@lru_cache(maxsize=512)  # a page shows the same interval in several places
def _interval(values: tuple[float, ...], size: int) -> tuple[float, float]:
    draw = random.Random(0)  # the page must come out the same every time
    groups = [values[k : k + size] for k in range(0, len(values), size)]
    means = []
    for _ in range(_DRAWS):
        chosen = draw.choices(groups, k=len(groups)) if len(groups) > 1 else groups
        means.append(fmean([fmean(draw.choices(group, k=size)) for group in chosen]))
    means.sort()
    return means[round(0.025 * (_DRAWS - 1))], means[round(0.975 * (_DRAWS - 1))]


def _cases(columns: Mapping[str, Sequence[float]]) -> list[dict[str, float]]:
    """Columns of numbers as one dictionary per case."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def supports(claim: Claim, record: records.Record) -> list[bool]:
    """For each case of a stored run, whether it supports the claim.

    Raises:
        ClaimError: the run does not have a number that the rule needs.
    """
    rule = Expression(claim.holds)
    return [bool(rule(case)) for case in _cases(record.claims[claim.id]["values"])]


def is_stale(claim: Claim, record: records.Record) -> bool:
    """Whether a stored run was made under another rule, or with another number of cases."""
    measured = record.claims[claim.id]
    counts = {len(series) for series in measured["values"].values()}
    return measured.get("rule") != claim.digest or counts != {claim.count}


def _verdict(claim: Claim, record: records.Record) -> str:
    if is_stale(claim, record):
        return "stale"
    if not all(supports(claim, record)):
        return "not reproduced"
    full = claim.exact or record.profile == "paper"
    return "reproduced" if full and not record.reduced else "same ordering"


def effect(claim: Claim, record: records.Record) -> str:
    """``3.2 [2.9, 3.5] · 9 of 9 cases``: the mean effect with its interval, and how many cases support the claim."""
    held = supports(claim, record)
    count = f"{sum(held)} of {len(held)} cases" if len(held) > 1 else ("holds" if held[0] else "does not hold")
    if not claim.effect:
        return count
    size = Expression(claim.effect)
    values = [float(size(case)) for case in _cases(record.claims[claim.id]["values"])]
    if not all(map(isfinite, values)):
        return count
    if len(values) == 1:
        return f"{_short(values[0])} · {count}"
    shape = list(claim.shape.values()) if len(values) == claim.count else [len(values)]
    low, high = interval(values, shape)
    return f"{_short(mean(values))} [{_short(low)}, {_short(high)}] · {count}"


def _finite(values: Mapping[str, Sequence[float]]) -> dict[str, list[float | None]]:
    """Numbers as JSON knows them: what is not finite becomes null."""
    return {name: [x if isfinite(x) else None for x in series] for name, series in values.items()}


def _laptop(name: str, *, needed: bool) -> records.Record | None:
    """The ``laptop`` run, or None if it does not exist and is not needed."""
    places = (records.folder_of(name, "laptop"), records.results_folder() / name)
    there = any((place / "record.json").exists() for place in places)
    return records.load(name, profile="laptop") if needed or there else None


def _spread(values: Mapping[str, list[float]], over: str) -> str:
    """``low 0.61 ± 0.02, high 0.34 ± 0.01 (3 seeds)``: mean and standard deviation."""
    parts = []
    for name, numbers in values.items():
        text = _short(mean(numbers))
        if len(numbers) > 1 and all(map(isfinite, numbers)):
            text += f" ± {float(f'{stdev(numbers):.1g}'):g}"  # 300 instead of 3e+02
        parts.append(f"{name} {text}")
    return f"{', '.join(parts)} ({over})"


def _over(claim: Claim, count: int) -> str:
    """``3 pairs × 1 seed``, or only how many cases there are where that is not what the rule asks for."""
    if count != claim.count:
        return f"{count} case{'s'[: count != 1]}"
    return " × ".join(f"{n} {kind if n > 1 else kind.removesuffix('s')}" for kind, n in claim.shape.items())


def _short(value: float) -> str:
    """Three digits, without an exponent where a number is large: 1205 instead of 1.2e+03."""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"
