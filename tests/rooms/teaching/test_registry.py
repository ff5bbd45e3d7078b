"""The list of claims: what a rule may say, what it comes to, what its digest covers, and the list itself."""

import random
import re
from math import isnan, nan
from pathlib import Path

import pytest

from course_lib.teaching import measures, registry
from course_lib.teaching.registry import Claim, ClaimError, Expression

ROOT = Path(__file__).resolve().parents[3]


# --- expressions: every value is computed by hand
@pytest.mark.parametrize(
    ("text", "numbers", "value"),
    [
        ("`low` > 1.5 * `high`", {"low": 3, "high": 1}, True),
        ("`low` > 1.5 * `high`", {"low": 1.5, "high": 1}, False),
        ("`low` >= 1.5 * `high`", {"low": 1.5, "high": 1}, True),
        ("`a` < `b` < `c`", {"a": 1, "b": 2, "c": 3}, True),
        ("`a` < `b` < `c`", {"a": 1, "b": 3, "c": 3}, False),
        ("`a` < `b` < `c`", {"a": 3, "b": 1, "c": 2}, False),  # the last pair alone holds
        ("`a` >= `b` <= `c`", {"a": 2, "b": 2, "c": 2}, True),
        ("`a` > 0 and `b` > 0", {"a": 1, "b": 1}, True),
        ("`a` > 0 and `b` > 0", {"a": 1, "b": -1}, False),
        ("`a` - `b` / 2", {"a": 10, "b": 4}, 8),
        ("(`a` - `b`) / 2", {"a": 10, "b": 4}, 3),
        ("-`a` + 2 * 3", {"a": 1}, 5),
        ("min(`a`, `b`, `c`)", {"a": 3, "b": 1, "c": 2}, 1),
        ("`b` - max(`a`, `c`)", {"a": 3, "b": 1, "c": 2}, -2),
        ("abs(`a` - 28.4) <= 0.1", {"a": 28.31}, True),
        ("abs(`a` - 28.4) <= 0.1", {"a": 28.29}, False),
        ("max(abs(`x` - 0.5), abs(`y` - 0.5)) < 0.05", {"x": 0.52, "y": 0.46}, True),
        ("max(abs(`x` - 0.5), abs(`y` - 0.5)) < 0.05", {"x": 0.52, "y": 0.56}, False),
        ("`SSIM relu2_2, equal weight` > `α/β`", {"SSIM relu2_2, equal weight": 2, "α/β": 1}, True),
    ],
)
def test_an_expression_has_the_value_that_is_written(text, numbers, value):
    assert Expression(text)(numbers) == value


def test_a_number_beyond_those_of_the_rule_does_no_harm():
    assert Expression("`a` > 0")({"a": 1, "b": nan}) is True


@pytest.mark.parametrize(
    "text",
    ["`a` < 1", "`a` > 1", "`a` <= `a`", "min(`a`, 5) < 9", "max(`a`, 5) > 2", "max(5, `a`) > 2", "abs(`a`) >= 0",
     "5 > 3 and `a` * 0 <= 0", "0 < `a` / `a`", "1 < -`a` < 9"],
)  # fmt: skip
def test_what_is_not_a_number_never_holds(text):
    assert not Expression(text)({"a": nan})


def test_no_rule_of_the_list_holds_with_a_number_that_is_none():
    """Each number in turn is NaN; the others are ones that the rule holds for, wherever chance finds such."""
    draw, satisfied = random.Random(0), 0
    for claim in measured():
        rule = Expression(claim.holds)
        tried = [{name: draw.choice((0, 0.3, 0.6, 1, 9, 1200)) for name in rule.names} for _ in range(400)]
        good = [numbers for numbers in tried if rule(numbers)]
        satisfied += bool(good)
        for numbers in (good or tried)[:3]:
            for name in rule.names:
                assert not rule({**numbers, name: nan}), (claim.id, name)
    assert satisfied > 0.4 * len(measured())


@pytest.mark.parametrize("above", [1.0, 0.0, -1.0])
def test_a_division_by_zero_decides_nothing(above):
    assert isnan(Expression("`a` / `b`")({"a": above, "b": 0.0}))
    for text in ("`a` / `b` > 2", "`a` / `b` < 2", "`a` / (`b` - `b`) >= 0"):
        assert not Expression(text)({"a": above, "b": 0.0})


def test_a_missing_number_is_named():
    with pytest.raises(ClaimError, match=r"the rule `a` \+ `b` < `c` needs b, c; measured: a, d"):
        Expression("`a` + `b` < `c`")({"a": 1.0, "d": 2.0})


@pytest.mark.parametrize(
    "text",
    ["print(`a`)", "sum(`a`, `b`)", "`a`.real > 0", "a > 0", "not `a` > 0", "`a` > 0 or `b` > 0", "1 if `a` else 2",
     "[`a` for x in `b`]", "max(x for x in `a`)", "`a` ** 2", "`a` // 2", "`a` % 2", "`a` == 1", "`a` != 1",
     "`a` is 1", "`a` in `b`", "(`a`, `b`)", "[`a`]", "{`a`: 1}", "lambda: `a`", "`a`[0]", "(b := `a`)", "f'a'",
     "True", "`a` < True", "None", "1j", "b'a'", "+`a`", "~`a`", "'a' > 1", "`a` `b`", "max(`a`)", "min()",
     "abs(`a`, `b`)", "max(*`a`)", "max(`a`, `b`, key=1)", "__import__('os')", "max(`a`, `b`)(1)"],
)  # fmt: skip
def test_nothing_but_arithmetic_and_comparisons_can_be_written(text):
    with pytest.raises(ClaimError, match=r"a rule may hold numbers, `names`, \+ - \* /, comparisons, and, min, max"):
        Expression(text)


@pytest.mark.parametrize("text", ["", "`a` >", "`a` > 1; `b`", "x = `a`", "`a` 1", "import os"])
def test_what_is_no_expression_is_refused(text):
    with pytest.raises(ClaimError, match="cannot read the rule"):
        Expression(text)


def test_names_come_in_order_and_spacing_does_not_count():
    rule = Expression("`b 2` > ( `a` )   and `a`<1")
    assert rule.names == ("b 2", "a")
    assert rule.plain == Expression("`b 2`>`a` and `a` < 1").plain
    assert rule.plain != Expression("`b 2` >= `a` and `a` < 1").plain


@pytest.mark.parametrize(
    ("text", "decides"),
    [("`a` > 1", True), ("`a` > 1 and `b` < 2", True), ("`a`", False), ("1 < 2", False), ("max(`a`, `b`)", False),
     ("`a` > 1 and `b`", False)],
)  # fmt: skip
def test_only_a_comparison_of_named_numbers_decides(text, decides):
    assert Expression(text).decides is decides


# --- one row
def row(**changed):
    about = {
        "id": "a.falls", "paper": "p", "claim": "It falls.", "where": "Fig. 1", "certainty": "D", "chapter": "04",
        "record": "measured_x", "measure": "two losses", "holds": "`low` < `high`", "effect": "`high` - `low`",
        "cases": "3 pairs × 2 seeds", "conditions": {"laptop": {"size": 64}, "quick": {"size": 9}}, "refuted": "one",
    }  # fmt: skip
    return Claim(**{**about, **changed})


NEEDED = ("chapter", "measure", "holds", "cases", "refuted")
EMPTY = dict.fromkeys((*NEEDED, "record", "effect"), "")
PROSE = ("id", "paper", "claim", "where", "value", "setting", "measure", "refuted", "few", "note")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"certainty": "X"}, "certainty must be one of D, T, got 'X'"),
        (EMPTY, "give either the stored run that measures it"),
        ({"theorem": "it follows"}, "give either the stored run that measures it"),
        ({**EMPTY, "theorem": "it follows", "not_attempted": "no time"}, "or one reason"),
        *(({name: ""}, "needs chapter, measure, holds, cases and refuted") for name in NEEDED),
        ({"cases": "three seeds"}, "cases must read like '3 pairs × 3 seeds', got 'three seeds'"),
        ({"cases": "3 pairs x 3 seeds"}, "cases must read like"),
        ({"cases": "3 seeds × 3 seeds"}, "cases must read like"),
        ({"cases": "3 pairs × 0 seeds"}, "at least one case"),
        ({"holds": "`low`"}, "holds must compare numbers in backticks"),
        ({"holds": "1 < 2"}, "holds must compare numbers in backticks"),
        ({"holds": "`low` <"}, "cannot read the rule"),
        ({"effect": "`low` < `high`"}, "effect must be a number"),
        ({"effect": "3"}, "effect must be a number"),
        ({"effect": "low"}, "a rule may hold"),
    ],
)  # fmt: skip
def test_a_row_that_decides_nothing_is_refused(changed, words):
    with pytest.raises(ClaimError, match=words):
        row(**changed)


@pytest.mark.parametrize("name", registry.REASONS)
def test_a_reason_takes_the_place_of_a_rule(name):
    claim = row(**EMPTY, **{name: "because"})
    assert claim.reasons == {name: "because"}
    assert row().reasons == {}


def test_cases_are_counted():
    assert row().shape == {"pairs": 3, "seeds": 2}
    assert row().count == 6
    assert row(cases="5 test sets").shape == {"test sets": 5}
    assert row(cases="3 photographs × 5 paintings × 3 seeds").count == 45


# --- the digest of a rule
@pytest.mark.parametrize(
    "changed",
    [
        {"holds": "`low` <= `high`"},
        {"holds": "`low` < 1.01 * `high`"},
        {"holds": "`high` < `low`"},
        {"effect": "`high` / `low`"},
        {"effect": ""},
        {"cases": "3 pairs × 3 seeds"},
        {"cases": "3 photographs × 2 seeds"},
        {"conditions": {"laptop": {"size": 65}}},
        {"conditions": {"laptop": {"size": 64, "steps": 1}}},
        {"conditions": {"laptop": {"size": 64}, "paper": {"size": 512}}},
        {"exact": True},
        {"record": "measured_y"},
    ],
)
def test_the_digest_changes_with_the_rule(changed):
    assert row(**changed).digest != row().digest


@pytest.mark.parametrize(
    "changed",
    [
        {"holds": "`low`<(`high`)"},
        {"effect": " `high`  -  `low` "},
        {"conditions": {"quick": {"size": 99}, "laptop": {"size": 64}}},
        {"conditions": {"laptop": {"size": 64}}},
        {"quick": None},
        {"quick": False},
        *({name: "other words"} for name in PROSE),
    ],
)  # fmt: skip
def test_the_digest_does_not_change_with_words_spacing_or_the_quick_run(changed):
    assert row(**changed).digest == row().digest


def test_a_digest_is_the_same_in_every_process():
    """Stored runs keep it: another version of Python or another order of the fields must not change it."""
    assert row().digest == "86fa47ccb324"
    assert row(conditions={"quick": {}, "laptop": {"size": 64}}).digest == row().digest


# --- reading the list
def test_the_list_is_read_from_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_LIB_DATA", str(tmp_path))
    (tmp_path / "claims.yml").write_text(
        "a.b: {paper: p, claim: It falls., where: w, certainty: D, theorem: it follows}"
    )
    registry.load.cache_clear()
    try:
        assert registry.find("a.b").theorem == "it follows"
        with pytest.raises(ClaimError, match=r"no claim 'a.c' in claims.yml; there are: a.b"):
            registry.find("a.c")
        (tmp_path / "claims.yml").write_text("a.b: {paper: p, claims: It falls., where: w, certainty: D}")
        registry.load.cache_clear()
        with pytest.raises(ClaimError, match="unexpected keyword argument 'claims'"):
            registry.load()
        for text in ("", "a.b: [1, 2]", "a.b: {note: two: colons}", "a.b:\n  note: two: colons\n"):
            (tmp_path / "claims.yml").write_text(text)
            with pytest.raises(ClaimError, match=r"^\S+claims.yml: [^\n]+$"):
                registry.load()
    finally:
        registry.load.cache_clear()


# --- the list as it is committed; reading it validates every row
def measured():
    return [claim for claim in registry.load().values() if claim.record]


def test_there_are_at_least_sixty_rows_and_none_is_written_twice():
    """YAML keeps the last of two rows with one name, without a word."""
    names = re.findall(r"^([^\s#:]+):", registry.claims_file().read_text(encoding="utf-8"), re.MULTILINE)
    assert len(names) == len(set(names)) == len(registry.load()) >= 60
    assert len(measured()) >= 40


def test_every_row_has_its_source_and_a_sentence():
    known = set(re.findall(r"@\w+\{(\w+),", (ROOT / "book" / "references.bib").read_text(encoding="utf-8")))
    for claim in registry.load().values():
        assert claim.paper in known, claim.id
        assert claim.claim.endswith("."), claim.id
        assert claim.where, claim.id
        assert claim.quick in (True, False, None), claim.id
        assert set(claim.conditions) <= {"quick", "laptop", "paper"}, claim.id


def test_a_changed_rule_is_a_new_row_that_names_the_old_one():
    everything = registry.load()
    for claim in everything.values():
        if claim.replaces:
            old = everything[claim.replaces]
            kept = ("paper", "cases", "conditions")  # what is measured may change, on what it is measured may not
            assert [getattr(old, name) for name in kept] == [getattr(claim, name) for name in kept], claim.id
            assert old.digest != claim.digest, f"{claim.id} has the rule of {old.id}"
    assert {"gatys.ratio", "peng.content_layer", "premamayudu.costs"} <= {
        claim.replaces for claim in everything.values()
    }


def test_claims_of_one_measure_agree_in_cases_and_conditions():
    named = {
        claim.record.removeprefix(measures.PREFIX) for claim in measured() if claim.record.startswith(measures.PREFIX)
    }
    assert named == set(measures.MEASURES)
    for name in measures.MEASURES:
        assert {"quick", "laptop"} <= set(measures.claims_of(name)[0].conditions), name


def test_fewer_than_three_pairs_with_three_seeds_give_the_reason():
    assert [claim.id for claim in measured() if claim.count < 9 and not claim.few] == []


def test_of_many_ids_the_similar_ones_are_named_or_how_they_begin():
    few, many = ["a.x", "b.y"], [f"{paper}.{k}" for paper in ("gatys", "johnson") for k in range(20)]
    assert registry.others("c", few) == "there are: a.x, b.y"
    assert registry.others("gatys.21", many).startswith("did you mean gatys.")
    assert registry.others("c", many) == "ids begin with gatys, johnson"
