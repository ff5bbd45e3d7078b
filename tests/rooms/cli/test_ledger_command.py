"""`python -m course_lib ledger`: a line a claim, claims in full, JSON, and mistakes in one sentence."""

import json
import re

import pytest

from course_lib.__main__ import main
from course_lib.teaching import claims


@pytest.fixture
def filled(ledger):
    """One claim of each of three kinds: same ordering, not reproduced, theorem."""
    ledger.rows |= {
        "a.fails": ledger.claim(
            "a.fails", claim="It rises.", record="04_y", quick=False, cases="1 seeds", note="grain"
        ),
        "b.sure": ledger.reason("b.sure", "theorem", "it follows"),
    }
    ledger.store((1, 2, 3), (4, 4, 4))
    ledger.store((2,), (1,), name="a.fails")
    return ledger


def test_it_prints_a_line_a_claim_and_counts(filled, capsys):
    assert main(["ledger"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "same ordering   a.holds                              2 [1, 3] · 3 of 3 cases",
        "not reproduced  a.fails                              -1 · does not hold",
        "theorem         b.sure",
        "3 claims: 1 same ordering, 1 theorem, 1 not reproduced",
    ]


def test_a_verdict_chooses_rows(filled, capsys):
    assert main(["ledger", "--verdict", "not reproduced"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines[:-1]] == ["a.fails"]
    assert lines[-1] == "1 claim: 1 not reproduced"
    assert main(["ledger", "--verdict", "stale"]) == 0
    assert capsys.readouterr().out == "0 claims\n"


def test_a_beginning_of_an_id_shows_claims_in_full(filled, capsys):
    assert main(["ledger", "a.f", "b."]) == 0
    out = capsys.readouterr().out
    assert "a.holds" not in out
    for line in ("a.fails", "  verdict:    not reproduced", "  claim:      It rises.", "  said in:    Fig. 1",
                 "  measure:    two losses", "  holds if:   `low` < `high`", "  cases:      1 seeds",
                 "  refuted by: one seed", "  found:      -1 · does not hold", "  numbers:    low 2, high 1 (1 seed)",
                 "  why:        grain", "b.sure", "  verdict:    theorem", "  why:        it follows",
                 "2 claims: 1 theorem, 1 not reproduced"):  # fmt: skip
        assert line in out.splitlines()
    assert re.search(r"^  from:       stored run · laptop profile · .* seed 0", out, re.MULTILINE)
    assert "  the paper:" not in out, "nothing is said where there is nothing"


def test_json_is_the_whole_ledger(filled, capsys):
    assert main(["ledger", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in rows] == list(filled.rows)
    assert [row["verdict"] for row in rows] == ["same ordering", "not reproduced", "theorem"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["c"], "no claim begins with 'c'; there are: a.holds, a.fails, b.sure"),
        (["a.holds", "c"], "no claim begins with 'c'"),
        (["--verdict", "true"], f"verdicts are {', '.join(claims.VERDICTS)}; got 'true'"),
    ],
)
def test_an_unknown_name_is_refused_in_one_sentence(filled, capsys, arguments, words):
    assert main(["ledger", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"course_lib: {words}")
    assert said.err.count("\n") == 1


def test_a_run_that_is_not_there_is_named_in_one_sentence(ledger, capsys):
    assert main(["ledger", "a.h"]) == 2
    assert capsys.readouterr().err.startswith("course_lib: there is no stored run '04_x' in ")
