"""`make verify CLAIM=…`: one claim is measured again, and compared with the ledger; the project stays as it is."""

import json
import os

import nbformat
import pytest

from course_lib.pretrained.weights import WeightsError
from course_lib.teaching import records, registry
from course_lib.teaching.measures import MEASURES, Measured
from scripts import verify
from scripts.environment import changed


def tree(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def toy(ledger, monkeypatch):
    """A claim that a measure decides; the measure returns what stands in the dict."""
    numbers = {"low": 1.0, "high": 2.0}
    conditions = {"quick": {"steps": 1}, "laptop": {"steps": 2}}
    ledger.rows["a.toy"] = ledger.claim("a.toy", record="measured_toy", conditions=conditions)
    ledger.rows["a.twin"] = ledger.claim("a.twin", record="measured_toy", conditions=conditions, holds="`high` > 0")
    monkeypatch.setitem(MEASURES, "toy", lambda *, seed, steps: Measured(dict(numbers)))
    return numbers


# --- a claim with a measure
def test_a_claim_that_comes_out_as_in_the_ledger_gives_0(toy, ledger, capsys):
    assert verify.main(["a.toy", "--record"]) == 0
    assert "there is no stored run yet" not in capsys.readouterr().out
    stored = tree(ledger.folder)
    assert verify.main(["a.toy"]) == 0
    out = capsys.readouterr().out
    assert "holds here: yes" in out
    assert "here:       1 [1, 1] · 3 of 3 cases (low 1 ± 0, high 2 ± 0 (3 seeds))" in out
    assert "the ledger: same ordering, 1 [1, 1] · 3 of 3 cases (stored run · laptop profile" in out
    assert tree(ledger.folder) == stored, "nothing is written without --record"


def test_a_claim_that_comes_out_otherwise_gives_1(toy, ledger, capsys):
    verify.main(["a.toy", "--record"])
    toy["low"] = 3.0
    for profile in ("quick", "laptop"):
        assert verify.main(["a.toy", "--profile", profile]) == 1
        assert "holds here: no" in capsys.readouterr().out
    assert verify.main(["a.twin"]) == 0, "the other claim of the measure holds as before"
    capsys.readouterr()
    assert verify.main(["toy"]) == 1, "all claims of the measure"
    out = capsys.readouterr().out
    assert out.index("a.toy: ") < out.index("a.twin: ")


def test_without_a_stored_run_there_is_nothing_to_disagree_with(toy, ledger, capsys):
    assert verify.main(["a.toy"]) == 0
    assert "the ledger: there is no stored run yet" in capsys.readouterr().out
    assert not list(ledger.folder.iterdir())


def test_a_stored_run_under_another_rule_does_not_count(toy, ledger, capsys):
    verify.main(["a.toy", "--record"])
    ledger.rows["a.toy"] = ledger.claim(
        "a.toy", record="measured_toy", holds="`low` > `high`", conditions={"quick": {"steps": 1}}
    )
    del ledger.rows["a.twin"]
    assert verify.main(["a.toy", "--profile", "quick"]) == 0
    out = capsys.readouterr().out
    assert "holds here: no" in out
    assert "the ledger: stale (stored run" in out


def test_the_environment_is_as_before_even_after_an_error(toy, ledger, monkeypatch):
    def broken(*, seed, steps):
        raise ZeroDivisionError

    for value in ("somewhere", None):
        monkeypatch.delenv("COURSE_LIB_RESULTS", raising=False)
        if value:
            monkeypatch.setenv("COURSE_LIB_RESULTS", value)
        before = dict(os.environ)
        monkeypatch.setitem(MEASURES, "toy", lambda *, seed, steps: Measured({"low": 1.0, "high": 2.0}))
        verify.main(["a.toy", "--profile", "quick"])
        assert dict(os.environ) == before
        monkeypatch.setitem(MEASURES, "toy", broken)
        with pytest.raises(ZeroDivisionError):
            verify.main(["a.toy"])
        assert dict(os.environ) == before


# --- reasons
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["b.sure"], "b.sure is theorem: it follows"),
        (["b.open"], "b.open is not attempted: no time"),
        (["b.taste"], "b.taste is not measurable: a matter of taste"),
        (["nobody"], "there is no claim 'nobody' in claims.yml; there are: a.holds"),
        (["a.toy", "--record", "--profile", "quick"], "a quick run is not stored"),
        (["a.toy", "--profile", "paper"], "measured_toy has no conditions for the profile 'paper', only for quick"),
        (["a.holds"], "there is no stored run '04_x'"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_gives_2_and_one_sentence(toy, ledger, capsys, arguments, words):
    for name, kind, text in (
        ("b.sure", "theorem", "it follows"),
        ("b.open", "not_attempted", "no time"),
        ("b.taste", "not_measurable", "a matter of taste"),
    ):
        ledger.rows[name] = ledger.reason(name, kind, text)
    assert verify.main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"verify: {words}")
    assert said.err.count("\n") == 1
    assert not list(ledger.folder.iterdir())


# --- a claim whose stored run a notebook makes
CELL = """
from course_lib.teaching import records
assert SEED != 5, "a live cell that does not hold costs nothing"
"""
MADE = """
if records.missing("04_other", profile=PROFILE, seed=SEED):
    raise RuntimeError("nobody asked for it")
if records.missing("04_x", profile=PROFILE, seed=SEED):
    with records.run("04_x", profile=PROFILE, seed=SEED) as run:
        run.claim("a.holds", {"low": [SEED] * 3, "high": [2.5] * 3})
"""


@pytest.fixture
def notebook(ledger, tmp_path, monkeypatch):
    """Chapter 4, which makes the stored run 04_x, and the run as it is stored."""
    cells = [
        nbformat.v4.new_code_cell('PROFILE = "quick"\nSEED = 0', metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(CELL),
        nbformat.v4.new_code_cell(MADE),
    ]
    folder = tmp_path / "notebooks"
    folder.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "04_choices.ipynb")
    monkeypatch.setattr(verify, "NOTEBOOKS", folder)
    ledger.store((0, 0, 0), (2.5,) * 3)
    return folder


def test_the_notebook_makes_the_run_anew_and_not_the_stored_one(notebook, ledger, capsys):
    before = tree(ledger.folder)
    assert verify.main(["a.holds"]) == 0
    assert "here:       2.5 [2.5, 2.5] · 3 of 3 cases (low 0 ± 0" in capsys.readouterr().out
    assert verify.main(["a.holds", "--seed", "1"]) == 0
    assert "low 1 ± 0, high 2.5 ± 0" in capsys.readouterr().out
    assert verify.main(["a.holds", "--seed", "3"]) == 1, "3 is not less than 2.5"
    assert verify.main(["a.holds", "--seed", "5"]) == 1
    assert tree(ledger.folder) == before


def test_with_record_it_is_stored(notebook, ledger):
    assert verify.main(["a.holds", "--seed", "1", "--record"]) == 0
    assert records.load("04_x").seed == 1
    assert [path.name for path in ledger.folder.iterdir()] == ["04_x"]


def test_a_notebook_that_ends_without_its_run_gives_2(notebook, ledger, capsys):
    text = (notebook / "04_choices.ipynb").read_text(encoding="utf-8")
    (notebook / "04_choices.ipynb").write_text(
        text.replace("with records.run", "raise OSError('disk')\\n    with records.run")
    )
    for more in ([], ["--record"]):
        assert verify.main(["a.holds", *more]) == 2
        assert "notebook 04 ended without its stored run 04_x; first: cell 2: OSError" in capsys.readouterr().err


def test_a_quick_run_of_a_notebook_is_a_cell_of_it(notebook, capsys):
    assert verify.main(["a.holds", "--profile", "quick"]) == 2
    assert "its quick run is a cell of notebook 04; ask for PROFILE=laptop" in capsys.readouterr().err


def test_a_run_that_another_program_makes_is_named(notebook, ledger, capsys):
    file = ledger.folder / "04_x" / "record.json"
    command = "python -m benchmarks.scores FOLDER --record"
    file.write_text(json.dumps({**json.loads(file.read_text()), "command": command}))
    assert verify.main(["a.holds"]) == 2
    assert f"made by another command, with data of your own: {command}" in capsys.readouterr().err


# --- the project's own claims
def test_an_exact_claim_of_the_project_holds_at_quick_and_touches_nothing(capsys, monkeypatch):
    monkeypatch.delenv("COURSE_LIB_RESULTS", raising=False)
    folder = records.results_folder()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert verify.main(["gatys.gradient", "--profile", "quick"]) == 0
    assert "gatys.gradient" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_every_measured_claim_of_the_project_is_made_by_a_measure_or_by_a_command():
    for claim in registry.load().values():
        if claim.record.startswith("measured_"):
            assert claim.record.removeprefix("measured_") in MEASURES
        elif claim.record:
            assert records.load(claim.record, profile="laptop").command


# --- how it ends when it cannot go on
@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (WeightsError("the network is not here; python -m course_lib fetch"), 2, "the network is not here"),
        (OSError(28, "No space left on device"), 2, "No space left on device"),
        (MemoryError("448 px is the largest size that fits"), 2, "448 px is the largest"),
        (KeyboardInterrupt(), 130, "stopped; nothing was stored"),
    ],
)
def test_what_stops_a_measure_is_one_sentence(toy, ledger, monkeypatch, capsys, error, code, words):
    def fails(*, seed, steps):
        raise error

    monkeypatch.setitem(MEASURES, "toy", fails)
    before = tree(ledger.folder)
    assert verify.main(["a.toy", "--record"]) == code
    said = capsys.readouterr().err
    assert said.startswith("verify: ")
    assert words in said
    assert said.count("\n") == 1
    assert tree(ledger.folder) == before


def test_a_changed_variable_is_as_it_was_afterwards(monkeypatch):
    monkeypatch.setenv("COURSE_LIB_A", "old")
    monkeypatch.delenv("COURSE_LIB_B", raising=False)
    with changed({"COURSE_LIB_A": "new", "COURSE_LIB_B": "new"}):
        assert os.environ["COURSE_LIB_A"] == os.environ["COURSE_LIB_B"] == "new"
    assert os.environ["COURSE_LIB_A"] == "old"
    assert "COURSE_LIB_B" not in os.environ
