"""What the papers claim and how each claim will be decided: ``data/claims.yml``, written before a run.

A claim that can be measured has a *rule*: what the numbers are, over how many cases, under which conditions, and an
expression that says when the claim holds. Numbers stand in backticks:

    holds: "`SSIM relu2_2` > 1.5 * `SSIM relu4_2`"

The same expression decides the live run in a notebook and the stored run. `Claim.digest` is a short word for the whole
rule; a stored run keeps the digest of the rule it was made under, so that a verdict under another rule is *stale*.
"""

from __future__ import annotations

import ast
import hashlib
import json
import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from math import isnan, nan, prod
from pathlib import Path
from typing import Any

import yaml

from course_lib.paths import data_path, remedy

CERTAINTIES = {"D": "read in the document", "T": "as commonly cited, not re-read"}
_MOST_NAMED = 20  # ids in a message
REASONS = ("not_attempted", "not_measurable", "theorem")

_TWO = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip
_CALLS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "abs": abs}
_LEAST = {"min": 2, "max": 2, "abs": 1}  # numbers that a call takes


class ClaimError(ValueError):
    """An unknown or invalid claim; the message says what to do."""


@dataclass(frozen=True)
class Expression:
    """Arithmetic and comparisons over numbers named in backticks; nothing else can be written in it.

    What is not a number decides nothing: NaN stays NaN in ``min`` and ``max``, and so does a division by zero.

    >>> Expression("`low` > 1.5 * `high`")({"low": 3.0, "high": 1.0})
    True
    """

    text: str

    def __post_init__(self) -> None:
        _walk(self._tree(), dict.fromkeys(self.names, 1.0))  # an expression that cannot be evaluated is refused at once

    @property
    def names(self) -> tuple[str, ...]:
        """The numbers it needs, in the order of their first appearance."""
        return tuple(dict.fromkeys(re.findall(r"`([^`]+)`", self.text)))

    @property
    def decides(self) -> bool:
        """Whether it is a comparison of named numbers, and so true or false."""
        return bool(self.names) and _is_comparison(self._tree())

    @property
    def plain(self) -> str:
        """The expression without differences of spacing."""
        return ast.unparse(self._tree())

    def __call__(self, numbers: Mapping[str, float]) -> Any:
        """Its value: a number, or whether the comparison holds. A comparison with NaN does not hold.

        Raises:
            ClaimError: a number is missing.
        """
        if missing := [name for name in self.names if name not in numbers]:
            raise ClaimError(f"the rule {self.text} needs {', '.join(missing)}; measured: {', '.join(numbers)}")
        return _walk(self._tree(), numbers)

    def _tree(self) -> ast.expr:
        try:
            return ast.parse(re.sub(r"`([^`]+)`", lambda found: repr(found[1]), self.text.strip()), mode="eval").body
        except SyntaxError as error:
            raise ClaimError(f"cannot read the rule {self.text!r}: {error.msg}") from error


def _is_comparison(node: ast.expr) -> bool:
    if isinstance(node, ast.BoolOp):
        return all(map(_is_comparison, node.values))
    return isinstance(node, ast.Compare)


def _walk(node: ast.expr, numbers: Mapping[str, float]) -> Any:
    match node:
        case ast.Constant(value=str(name)) if name in numbers:
            return numbers[name]
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_walk(inner, numbers)
        case ast.BinOp() if type(node.op) in _TWO:
            left, right = _walk(node.left, numbers), _walk(node.right, numbers)
            return nan if isinstance(node.op, ast.Div) and right == 0 else _TWO[type(node.op)](left, right)
        case ast.BoolOp(op=ast.And()):
            return all(_walk(value, numbers) for value in node.values)
        case ast.Compare() if all(type(one) in _TWO for one in node.ops):
            values = [_walk(value, numbers) for value in (node.left, *node.comparators)]
            pairs = zip(node.ops, values, values[1:], strict=False)
            return all(_TWO[type(one)](left, right) for one, left, right in pairs)
        case ast.Call(func=ast.Name(id=name)) if name in _CALLS and not node.keywords:
            values = [_walk(value, numbers) for value in node.args]
            if len(values) >= _LEAST[name] and (name != "abs" or len(values) == 1):
                return nan if any(map(isnan, values)) else _CALLS[name](*values)  # max(0.1, nan) would be 0.1
    raise ClaimError(
        f"a rule may hold numbers, `names`, + - * /, comparisons, and, {', '.join(_CALLS)}; got {ast.unparse(node)}"
    )


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
    chapter: str = ""  # number of the notebook that treats it, "04"
    record: str = ""  # the stored run that measures it
    measure: str = ""  # what our numbers are, in words
    holds: str = ""  # the rule: when one case supports the claim, an `Expression`
    effect: str = ""  # the one number that says how far, an `Expression`
    cases: str = ""  # of the stored run: "3 pairs × 3 seeds"; the claim holds if every case supports it
    conditions: Mapping[str, Any] = field(default_factory=dict)  # of the stored run
    refuted: str = ""  # what would refute it, in words
    few: str = ""  # why fewer than 3 pairs × 3 seeds
    exact: bool = False  # whether our conditions are the paper's own, at every profile
    replaces: str = ""  # the row whose rule this one changes
    quick: bool | None = True  # what the live run is expected to find; None: there is no live run
    note: str = ""  # why the verdict is what it is
    not_attempted: str = ""  # the reason, if nobody has measured it here
    not_measurable: str = ""  # the reason, if no measurement can decide it
    theorem: str = ""  # the reason, if no measurement can refute it

    def __post_init__(self) -> None:
        if self.certainty not in CERTAINTIES:
            raise ClaimError(f"{self.id}: certainty must be one of {', '.join(CERTAINTIES)}, got {self.certainty!r}")
        if len(self.reasons) + bool(self.record) != 1:
            raise ClaimError(
                f"{self.id}: give either the stored run that measures it (record) or one reason ({', '.join(REASONS)})"
            )
        if self.record and not (self.chapter and self.measure and self.holds and self.cases and self.refuted):
            raise ClaimError(f"{self.id}: a measured claim needs chapter, measure, holds, cases and refuted")
        if self.record and not self.count:
            raise ClaimError(f"{self.id}: there must be at least one case, got {self.cases!r}")
        if self.record and not Expression(self.holds).decides:
            raise ClaimError(f"{self.id}: holds must compare numbers in backticks, got {self.holds!r}")
        if self.effect and (not Expression(self.effect).names or Expression(self.effect).decides):
            raise ClaimError(f"{self.id}: effect must be a number made of numbers in backticks, got {self.effect!r}")

    @property
    def reasons(self) -> dict[str, str]:
        """Why there is no measurement: ``{"theorem": "…"}``; empty for a measured claim."""
        return {name: getattr(self, name) for name in REASONS if getattr(self, name)}

    @property
    def shape(self) -> dict[str, int]:
        """``"3 pairs × 3 seeds"`` → ``{"pairs": 3, "seeds": 3}``.

        Raises:
            ClaimError: another form.
        """
        parts = [re.fullmatch(r"(\d+) ([a-z ]+)", part.strip()) for part in self.cases.split("×")]
        shape = {part[2]: int(part[1]) for part in parts if part}
        if len(shape) != len(parts):
            raise ClaimError(f"{self.id}: cases must read like '3 pairs × 3 seeds', got {self.cases!r}")
        return shape

    @property
    def count(self) -> int:
        """How many cases there must be."""
        return prod(self.shape.values())

    @property
    def digest(self) -> str:
        """12 hexadecimal digits of the rule: its expressions, cases, conditions and stored run, not its prose.

        The conditions of the quick run do not count: it decides no verdict.
        """
        expressions = [Expression(text).plain if text else "" for text in (self.holds, self.effect)]
        stored = {profile: about for profile, about in self.conditions.items() if profile != "quick"}
        rule = [self.record, *expressions, self.shape, stored, self.exact]
        text = json.dumps(rule, sort_keys=True, ensure_ascii=False, default=list)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def claims_file() -> Path:
    """``data/claims.yml``, see `course_lib.paths`."""
    return data_path("claims.yml")


@lru_cache(maxsize=1)
def load() -> dict[str, Claim]:
    """All claims by id, in the order of the file.

    Raises:
        ClaimError: there is no list, it is no YAML, or a row has an unknown or invalid field.
    """
    try:
        text = claims_file().read_text(encoding="utf-8")
    except OSError as error:
        raise ClaimError(f"the list of claims {claims_file()} could not be read; {remedy()}") from error
    try:
        rows: Mapping[str, Mapping[str, Any]] = yaml.safe_load(text)
        return {name: Claim(id=name, **row) for name, row in rows.items()}
    except (TypeError, AttributeError, yaml.YAMLError) as error:
        raise ClaimError(f"{claims_file()}: {' '.join(str(error).split())}") from error


def find(name: str) -> Claim:
    """One claim.

    Raises:
        ClaimError: no such claim; the message names some that exist.
    """
    known = load()
    if name not in known:
        raise ClaimError(f"there is no claim {name!r} in {claims_file().name}; {others(name, known)}")
    return known[name]


def others(name: str, known: Collection[str]) -> str:
    """What to write in place of an id that does not exist: all ids or, of many, the similar ones and how ids begin."""
    if len(known) <= _MOST_NAMED:
        return f"there are: {', '.join(known)}"
    near = get_close_matches(name, known)
    begin = ", ".join(dict.fromkeys(one.split(".")[0] for one in known))
    return f"did you mean {' or '.join(near)}?" if near else f"ids begin with {begin}"
