"""The ledger: the list of claims, which notebook checks each, and verdicts that come from records alone."""

import re
from pathlib import Path

import nbformat
import pytest

from course_lib.teaching import claims, records
from course_lib.teaching.claims import Claim, ClaimError

ROOT = Path(__file__).resolve().parents[3]
NOTEBOOKS = {path.name[:2]: path for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))}


def checked_in(path):
    cells = nbformat.read(path, as_version=4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    return re.findall(r"claims\.check\(\s*[\"']([^\"']+)", code)


# --- the list itself ---


def test_every_claim_is_checked_by_exactly_one_notebook_or_has_a_reason():
    places = {name: [] for name in claims.load()}
    for number, path in NOTEBOOKS.items():
        for name in checked_in(path):
            assert name in places, f"{path.name} checks {name}, which is not in claims.yml"
            places[name].append(number)
    for name, claim in claims.load().items():
        assert places[name] == ([claim.chapter] if claim.chapter else []), name


def test_every_claim_has_its_source_and_a_sentence():
    known = set(re.findall(r"@\w+\{(\w+),", (ROOT / "book" / "references.bib").read_text(encoding="utf-8")))
    for name, claim in claims.load().items():
        assert claim.paper in known, name
        assert claim.claim.endswith("."), name
        assert claim.where, name
        assert not claim.record or claim.measure, f"{name}: say what our numbers measure"


def test_every_claim_with_a_record_was_measured_in_it():
    for finding in claims.ledger():
        assert finding.verdict in claims.VERDICTS
        assert bool(finding.value) == (finding.verdict != "not attempted"), finding.claim.id
        if finding.verdict == "not reproduced":
            assert finding.claim.note, f"{finding.claim.id}: give the reason"


def test_every_record_is_made_by_the_command_it_names():
    """The script exists, and the notebook or benchmark contains the line that writes a record of this name."""
    for path in records.results_folder().glob("*/record.json"):
        name = path.parent.name
        if name.startswith("gallery_"):  # made by a command for readers, see tests/house/test_gallery.py
            continue
        command = records.load(name).command
        # older records name a script by its file, which was a page's neighbor then
        script = re.match(
            r"python (?:-m (?:scripts|benchmarks)\.|book/|benchmarks/)(\w+)(?:\.py)?(?: (\d\d))?", command
        )
        assert script, command
        folder = "benchmarks" if re.match(r"python (-m )?benchmarks", command) else "scripts"
        source = NOTEBOOKS[script[2]] if script[2] else ROOT / folder / f"{script[1]}.py"
        text = source.read_text(encoding="utf-8")
        assert "records.run(" in text, command
        kind, _, one = name.partition("_")
        several = f'"{kind}_{{name}}"' in text and f'"{one}"' in text  # one record for each of several names
        assert name in text or re.sub(r"_\d+$", "_", name) in text or several, f"{source.name} makes no {name}"


# --- checking ---


@pytest.fixture
def known(monkeypatch):
    """Two claims: one is expected to hold, the other is not."""
    rows = {
        "a.holds": Claim("a.holds", "p", "It falls.", "Fig. 1", "D", chapter="04", record="r", measure="m"),
        "a.fails": Claim(
            "a.fails", "p", "It rises.", "Fig. 2", "T", chapter="04", record="r", measure="m", quick=False
        ),
    }
    monkeypatch.setattr(claims, "load", lambda: rows)
    return rows


def test_a_check_prints_the_same_line_on_every_machine(known, capsys):
    claims.check("a.holds", True)
    claims.check("a.fails", False)
    assert capsys.readouterr().out == (
        "✓ a.holds: It falls.\n✗ a.fails: does not hold here, as the ledger says: It rises.\n"
    )


def test_a_check_raises_if_the_result_is_unexpected(known):
    with pytest.raises(
        AssertionError, match="a.holds does not hold here, contrary to what claims.yml expects: It falls"
    ):
        claims.check("a.holds", False)
    with pytest.raises(AssertionError, match="a.fails holds here, contrary to"):
        claims.check("a.fails", True)
    with pytest.raises(ClaimError, match=r"no claim 'b' in claims.yml; there are: a.holds, a.fails"):
        claims.check("b", True)


def test_a_claim_has_either_a_chapter_or_a_reason():
    with pytest.raises(ClaimError, match="give either the chapter that checks it or the reason"):
        Claim("x", "p", "c.", "w", "D")
    with pytest.raises(ClaimError, match="give either the chapter that checks it or the reason"):
        Claim("x", "p", "c.", "w", "D", chapter="04", not_attempted="no time")
    with pytest.raises(ClaimError, match="certainty must be one of D, T, got 'X'"):
        Claim("x", "p", "c.", "w", "X", chapter="04")


# --- verdicts ---


def stored(tmp_path, monkeypatch, *, profile, holds, values, reduced=""):
    monkeypatch.setattr(records, "results_folder", lambda: tmp_path)
    monkeypatch.setattr(records, "_asked", {})
    with records.run("r", profile=profile, seed=0) as run:
        run.claim("a.holds", holds=holds, values=values)
        run.reduced = reduced


@pytest.mark.parametrize(
    ("profile", "holds", "verdict"),
    [
        ("paper", (1, 1, 1), "reproduced"),
        ("laptop", (1, 1, 1), "same ordering"),
        ("paper", (1, 0, 1), "not reproduced"),
        ("laptop", (0, 0, 0), "not reproduced"),
    ],
)
def test_the_verdict_comes_from_the_record(known, tmp_path, monkeypatch, profile, holds, verdict):
    stored(tmp_path, monkeypatch, profile=profile, holds=holds, values={"low": (0.5, 0.6, 0.7), "high": (1, 2, 3)})
    finding = claims.finding(known["a.holds"])
    assert finding.verdict == verdict
    assert finding.value == "low 0.6 ± 0.1, high 2 ± 1 (3 seeds)"
    assert f"{profile} profile" in finding.line


@pytest.mark.parametrize(("larger", "verdict"), [((1, 1), "reproduced"), ((1, 0), "not reproduced")])
def test_the_run_at_the_papers_scale_decides(known, tmp_path, monkeypatch, larger, verdict):
    values = {"low": (0.5, 0.6), "high": (1, 2)}
    stored(tmp_path, monkeypatch, profile="paper", holds=larger, values=values)
    for held in ((1, 1), (0, 0)):  # whatever a more recent laptop run says
        stored(tmp_path, monkeypatch, profile="laptop", holds=held, values=values)
        finding = claims.finding(known["a.holds"])
        assert finding.verdict == verdict
        assert "paper profile" in finding.line


def test_both_values_are_shown_if_both_runs_measured_the_claim(known, tmp_path, monkeypatch):
    stored(tmp_path, monkeypatch, profile="laptop", holds=[True], values={"low": [0.25]})
    finding = claims.finding(known["a.holds"])
    assert (finding.profile, finding.value, finding.smaller) == ("laptop", "low 0.25 (1 seed)", "")
    stored(tmp_path, monkeypatch, profile="paper", holds=[True], values={"low": [0.5]})
    finding = claims.finding(known["a.holds"])
    assert (finding.profile, finding.value, finding.smaller) == ("paper", "low 0.5 (1 seed)", "low 0.25 (1 seed)")
    assert "paper profile" in finding.line
    assert "laptop profile" in finding.smaller_line


def test_a_paper_run_without_the_measurement_leaves_the_verdict_to_the_laptop_run(known, tmp_path, monkeypatch):
    stored(tmp_path, monkeypatch, profile="laptop", holds=[True], values={"low": [0.25]})
    with records.run("r", profile="paper", seed=0):
        pass
    finding = claims.finding(known["a.holds"])
    assert (finding.profile, finding.verdict, finding.smaller) == ("laptop", "same ordering", "")


def test_a_damaged_run_raises_an_error(known, tmp_path, monkeypatch):
    stored(tmp_path, monkeypatch, profile="paper", holds=[True], values={"low": [0.5]})
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "record.json").write_text("{")
    with pytest.raises(records.RecordError, match="damaged"):
        claims.finding(known["a.holds"])


def test_a_reduced_run_cannot_reproduce_a_claim(known, tmp_path, monkeypatch):
    cut = "100 of 500 steps"
    stored(tmp_path, monkeypatch, profile="paper", holds=[1], values={"low": [0.5]}, reduced=cut)
    finding = claims.finding(known["a.holds"])
    assert finding.verdict == "same ordering"
    assert cut in finding.line


def test_a_single_number_has_no_spread(known, tmp_path, monkeypatch):
    stored(tmp_path, monkeypatch, profile="laptop", holds=[True], values={"share": [0.8123]})
    assert claims.finding(known["a.holds"]).value == "share 0.812 (1 seed)"


def test_a_record_without_the_measurement_gives_no_verdict(known, tmp_path, monkeypatch):
    stored(tmp_path, monkeypatch, profile="laptop", holds=[True], values={"share": [0.8]})
    with pytest.raises(ClaimError, match="stored run 'r' measured nothing for a.fails"):
        claims.finding(known["a.fails"])


def test_there_must_be_as_many_numbers_as_verdicts(tmp_path, monkeypatch):
    run = records.Record("r", "laptop", 0, {})
    with pytest.raises(records.RecordError, match="as many numbers under every name"):
        run.claim("a.holds", holds=[True, True], values={"x": [1.0]})
    with pytest.raises(records.RecordError, match="as many numbers under every name"):
        run.claim("a.holds", holds=[True], values={})


def test_a_large_spread_is_written_without_an_exponent():
    assert claims._spread({"ratio": [1205.0, 969.0, 670.0]}, "sizes") == "ratio 948 ± 300 (3 sizes)"
    assert claims._spread({"share": [0.0471, 0.0481]}, "pairs") == "share 0.0476 ± 0.0007 (2 pairs)"
