"""The ledger: live checks, and verdicts, effects and intervals that come from stored runs and rules alone."""

import json
import re
from dataclasses import replace
from math import inf, nan
from statistics import mean

import pytest

from course_lib.teaching import claims, records, registry
from course_lib.teaching.claims import ClaimError


# --- a live run
def test_a_check_prints_the_same_line_on_every_machine(ledger, capsys):
    claims.check("a.holds", {"low": 1.0, "high": 2.0})
    claims.check("a.holds", {"low": [1.0, 0.5], "high": (2.0, 0.6)})
    claims.check("a.fails", {"low": 2.0, "high": 1.0})
    assert capsys.readouterr().out.splitlines() == [
        "✓ a.holds: It falls. The ledger: no stored run yet.",
        "✓ a.holds: It falls. The ledger: no stored run yet.",
        "✗ a.fails does not hold here: It rises. The ledger: no stored run yet.",
    ]


def test_a_live_line_ends_with_the_verdict_of_the_stored_run(ledger, capsys):
    ledger.store((1, 2, 9), (4, 4, 7))
    claims.check("a.holds", {"low": 1.0, "high": 2.0})
    assert capsys.readouterr().out == "✓ a.holds: It falls. The ledger: not reproduced, 2 of 3 cases.\n"


def test_a_check_raises_if_the_result_is_unexpected(ledger):
    with pytest.raises(AssertionError, match="a.holds does not hold here, contrary to what claims.yml expects: It f"):
        claims.check("a.holds", {"low": [1.0, 3.0], "high": [2.0, 2.0]})  # one case of two
    with pytest.raises(AssertionError, match="a.holds does not hold here"):
        claims.check("a.holds", {"low": nan, "high": 2.0})
    with pytest.raises(AssertionError, match="a.fails holds here, contrary to"):
        claims.check("a.fails", {"low": 1.0, "high": 2.0})


def test_a_reader_who_changed_a_setting_sees_the_numbers_and_goes_on(ledger, capsys, monkeypatch):
    monkeypatch.delenv("COURSE_LIB_STRICT")
    claims.check("a.holds", {"low": [1.0, 3.0], "high": [2.0, 2.25]})
    claims.check("a.fails", {"low": 1.0, "high": 2.0})
    assert capsys.readouterr().out.splitlines() == [
        "✗ a.holds does not hold here, unlike in the book (low = 1, 3; high = 2, 2.25): It falls. "
        "The ledger: no stored run yet.",
        "✓ a.fails holds here, unlike in the book (low = 1; high = 2): It rises. The ledger: no stored run yet.",
    ]


@pytest.mark.parametrize(
    ("name", "numbers", "words"),
    [
        ("b", {}, r"no claim 'b' in claims.yml; there are: a.holds, a.fails"),
        ("a.holds", {"low": 1.0}, "needs high; measured: low"),
        ("a.holds", {}, r"one number per case under every name, got none"),
        ("a.holds", {"low": [], "high": []}, r"one number per case under every name, got low \(0\), high \(0\)"),
        ("a.holds", {"low": [1.0], "high": [2.0, 3.0]}, r"got low \(1\), high \(2\)"),
    ],
)
def test_a_check_without_the_numbers_of_the_rule_is_refused(ledger, name, numbers, words):
    """No numbers at all would support every claim."""
    with pytest.raises(ClaimError, match=words):
        claims.check(name, numbers)


def test_a_claim_without_a_live_run_cannot_be_checked(ledger):
    ledger.rows["a.holds"] = ledger.claim(quick=None)
    with pytest.raises(ClaimError, match="a.holds: claims.yml expects no live run; show the stored one"):
        claims.check("a.holds", {"low": 1.0, "high": 2.0})


# --- verdicts
@pytest.mark.parametrize(
    ("profile", "exact", "reduced", "low", "verdict"),
    [
        ("paper", False, "", (1, 2, 3), "reproduced"),
        ("laptop", False, "", (1, 2, 3), "same ordering"),
        ("laptop", True, "", (1, 2, 3), "reproduced"),
        ("paper", False, "100 of 500 steps", (1, 2, 3), "same ordering"),
        ("paper", True, "100 of 500 steps", (1, 2, 3), "same ordering"),
        ("paper", False, "", (1, 9, 3), "not reproduced"),
        ("laptop", True, "", (9, 9, 9), "not reproduced"),
        ("laptop", False, "", (1, 4, 3), "not reproduced"),  # as much is not less
        ("paper", False, "", (1, nan, 3), "not reproduced"),
        ("paper", True, "", (1, 2), "stale"),  # a case too few
    ],
)
def test_the_verdict_follows_from_the_rule_and_the_stored_numbers(ledger, profile, exact, reduced, low, verdict):
    ledger.rows["a.holds"] = ledger.claim(exact=exact)
    ledger.store(low, (4,) * len(low), profile=profile, reduced=reduced)
    found = claims.finding(ledger.rows["a.holds"])
    assert found.verdict == verdict
    assert found.verdict in claims.VERDICTS
    assert f"{profile} profile{', reduced: ' if reduced else ''}{reduced}" in found.line
    assert (found.profile, found.registered) == (profile, "before the run")


@pytest.mark.parametrize("reason", registry.REASONS)
def test_a_reason_is_a_verdict(ledger, reason):
    found = claims.finding(ledger.reason("a.open", reason, "because"))
    assert (found.verdict, found.line, found.record, found.effect) == (reason.replace("_", " "), "because", None, "")
    assert found.verdict in claims.VERDICTS


@pytest.mark.parametrize(
    "changed",
    [
        {"holds": "`low` < 2 * `high`"},
        {"holds": "`low` < `other`"},  # a number that the run does not have
        {"effect": "`high` / `low`"},
        {"cases": "1 seeds"},
        {"cases": "3 pairs × 1 seeds"},
        {"conditions": {"laptop": {"size": 64}}},
        {"exact": True},
    ],
)
def test_a_verdict_under_another_rule_is_stale_and_shows_no_effect(ledger, changed):
    ledger.store((1, 2, 3), (4, 4, 4), profile="paper")
    assert claims.finding(ledger.rows["a.holds"]).verdict == "reproduced"
    found = claims.finding(ledger.claim(**changed))
    assert (found.verdict, found.effect) == ("stale", "")
    assert found.value == "low 2 ± 1, high 4 ± 0 (3 seeds)", "what was measured stays to be seen"


def test_a_measurement_without_a_rule_is_stale(ledger):
    ledger.store((1, 2, 3), (4, 4, 4))
    file = ledger.folder / "04_x" / "record.json"
    kept = json.loads(file.read_text())
    del kept["claims"]["a.holds"]["rule"]
    file.write_text(json.dumps(kept))
    assert claims.finding(ledger.rows["a.holds"]).verdict == "stale"


def test_when_the_rule_was_written_comes_from_the_run(ledger):
    ledger.store((1, 2, 3), (4, 4, 4))
    file = ledger.folder / "04_x" / "record.json"
    kept = json.loads(file.read_text())
    kept["claims"]["a.holds"]["registered"] = "after the run"
    file.write_text(json.dumps(kept))
    assert claims.finding(ledger.rows["a.holds"]).registered == "after the run"


@pytest.mark.parametrize(("low", "verdict"), [((1, 2, 3), "reproduced"), ((1, 9, 3), "not reproduced")])
def test_the_run_at_the_papers_scale_decides(ledger, low, verdict):
    ledger.store(low, (4, 4, 4), profile="paper")
    for smaller in ((1, 1, 1), (9, 9, 9)):  # whatever a more recent laptop run says
        ledger.store(smaller, (4, 4, 4), profile="laptop")
        found = claims.finding(ledger.rows["a.holds"])
        assert (found.verdict, found.profile) == (verdict, "paper")
        assert found.smaller == f"low {smaller[0]} ± 0, high 4 ± 0 (3 seeds)"
        assert "paper profile" in found.line
        assert "laptop profile" in found.smaller_line


def test_a_laptop_run_alone_has_nothing_beside_it(ledger):
    ledger.store((1, 2, 3), (4, 4, 4))
    found = claims.finding(ledger.rows["a.holds"])
    assert (found.profile, found.smaller, found.smaller_line) == ("laptop", "", "")


def test_a_paper_run_without_the_measurement_leaves_the_verdict_to_the_laptop_run(ledger):
    ledger.store((1, 2, 3), (4, 4, 4))
    with records.run("04_x", profile="paper", seed=0):
        pass
    found = claims.finding(ledger.rows["a.holds"])
    assert (found.profile, found.verdict, found.smaller) == ("laptop", "same ordering", "")


def test_a_damaged_run_raises_an_error(ledger):
    ledger.store((1, 2, 3), (4, 4, 4), profile="paper")
    (ledger.folder / "04_x").mkdir()
    (ledger.folder / "04_x" / "record.json").write_text("{")
    with pytest.raises(records.RecordError, match="damaged"):
        claims.finding(ledger.rows["a.holds"])


def test_a_run_that_is_not_there_is_named(ledger):
    with pytest.raises(records.RecordError, match="no stored run '04_x'"):
        claims.finding(ledger.rows["a.holds"])
    ledger.store((1, 2, 3), (4, 4, 4))
    with pytest.raises(ClaimError, match="stored run '04_x' measured nothing for a.fails"):
        claims.finding(ledger.rows["a.fails"])


# --- effects
def test_the_effect_is_its_mean_with_an_interval_and_a_count(ledger):
    ledger.store((1, 2, 5), (3, 4, 7))
    assert claims.finding(ledger.rows["a.holds"]).effect == "2 [2, 2] · 3 of 3 cases"
    ledger.store((1, 2, 5), (3, 4, 1))
    assert re.fullmatch(r"0 \[-4, 2\] · 2 of 3 cases", claims.finding(ledger.rows["a.holds"]).effect)
    ledger.rows["a.holds"] = ledger.claim(cases="1 seeds")
    ledger.store((1,), (3.5,))
    assert claims.finding(ledger.rows["a.holds"]).effect == "2.5 · holds"
    ledger.store((5,), (3.5,))
    assert claims.finding(ledger.rows["a.holds"]).effect == "-1.5 · does not hold"


def test_without_an_effect_cases_are_counted(ledger):
    ledger.rows["a.holds"] = ledger.claim(effect="")
    ledger.store((1, 2, 5), (3, 4, 1))
    assert claims.finding(ledger.rows["a.holds"]).effect == "2 of 3 cases"
    ledger.rows["a.holds"] = ledger.claim(effect="`high` / `low`")
    ledger.store((0, 1, 1), (3, 4, 5))
    assert claims.finding(ledger.rows["a.holds"]).effect == "3 of 3 cases", "one ratio is no number"


def test_the_interval_of_a_single_number_is_that_number():
    assert claims.interval([0.3], [1]) == (0.3, 0.3)


def test_the_interval_comes_out_the_same_every_time():
    values = [0.1, 0.5, 0.2, 0.9, 0.4, 0.3]
    assert claims.interval(values, [2, 3]) == claims.interval(values, [2, 3])


def test_the_interval_of_many_numbers_is_that_of_the_normal_distribution():
    """0 to 99: σ = 28.87, so that the mean 49.5 has a standard error of 2.887, and 1.96 of them are 5.66."""
    low, high = claims.interval(list(range(100)), [100])
    assert low == pytest.approx(49.5 - 5.66, abs=0.5)
    assert high == pytest.approx(49.5 + 5.66, abs=0.5)


def test_less_spread_makes_a_narrower_interval_and_the_mean_is_inside():
    base = [0.0, 1.0, 4.0, 2.0, 7.0, 3.0, 5.0, 9.0, 5.0]
    widths = []
    for scale in (1.0, 0.5, 0.0):
        values = [4 + scale * (value - 4) for value in base]
        low, high = claims.interval(values, [3, 3])
        assert low <= mean(values) <= high
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0] / 2)
    assert widths[2] == 0


def test_pairs_are_drawn_before_seeds():
    """Two pairs whose seeds agree: half of the draws take one pair twice. Six seeds of one kind would agree more."""
    values = [0.0, 0.0, 0.0, 10.0, 10.0, 10.0]
    assert claims.interval(values, [2, 3]) == (0, 10)
    low, high = claims.interval(values, [6])
    assert low > 0
    assert high < 10
    assert claims.interval([0.0, 10.0] * 2, [2, 2]) == (0, 10), "seeds spread, pairs agree"


def test_a_large_spread_is_written_without_an_exponent():
    assert claims._spread({"ratio": [1205.0, 969.0, 670.0]}, "3 sizes") == "ratio 948 ± 300 (3 sizes)"
    assert claims._spread({"share": [0.0471, 0.0481]}, "2 pairs") == "share 0.0476 ± 0.0007 (2 pairs)"
    assert claims._spread({"share": [0.8123]}, "1 seed") == "share 0.812 (1 seed)"


# --- the whole ledger
def test_the_ledger_for_machines_is_plain_json(ledger):
    ledger.rows["a.open"] = ledger.reason("a.open")
    ledger.store((1, nan, 3), (4, inf, 4))
    ledger.rows["a.fails"] = replace(ledger.rows["a.fails"], record="04_y")
    with records.run("04_y", profile="paper", seed=7) as run:
        run.claim("a.fails", {"low": [2], "high": [1]}, cases=["seed 7"])

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    rows = {row["id"]: row for row in json.loads(claims.machine_readable(), parse_constant=refuse)}
    assert list(rows) == list(ledger.rows)
    assert rows["a.holds"]["numbers"] == {"low": [1, None, 3], "high": [4, None, 4]}
    assert (rows["a.holds"]["verdict"], rows["a.holds"]["quick"]) == ("not reproduced", True)
    assert rows["a.open"]["not_attempted"] == "no time"
    assert "numbers" not in rows["a.open"]
    row = rows["a.fails"]
    assert (row["rule"], row["measured_under"]) == (ledger.rows["a.fails"].digest,) * 2
    assert (row["seed"], row["profile"], row["cases_measured"]) == (7, "paper", ["seed 7"])
    assert row["holds"] == "`low` < `high`"
    assert {"device", "versions", "commit", "minutes", "refuted", "measure", "found", "registered"} <= set(row)


def test_a_table_shows_rows_by_what_their_names_begin_with(ledger):
    ledger.store((1, 2, 3), (4, 4, 4))
    html = claims.table("a.h", caption="The claim.")._repr_html_()
    assert "It falls" in html
    assert "2 [1, 3] · 3 of 3 cases" in html
    assert "same ordering" in html
    assert "It rises" not in html
    with pytest.raises(ClaimError, match="no claim begins with 'b'; there are: a.holds, a.fails"):
        claims.table("a.holds", "b", caption="Nothing.")
