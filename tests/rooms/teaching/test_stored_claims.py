"""The ledger as it is committed: which notebook shows a claim, and what its stored runs say of it."""

import ast
import json
import re
import subprocess
from functools import cache
from pathlib import Path

import nbformat
import pytest
import yaml

from course_lib.teaching import claims, measures, records, registry
from course_lib.teaching.claims import Claim, ClaimError

ROOT = Path(__file__).resolve().parents[3]
NOTEBOOKS = {path.name[:2]: path for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))}


# --- notebooks
@cache
def texts_given_to(function):
    """By notebook: every text in the arguments of the calls of ``claims.check`` or ``claims.table``."""
    found = {}
    for number, path in NOTEBOOKS.items():
        cells = nbformat.read(path, as_version=4).cells
        sources = [cell.source for cell in cells if cell.cell_type == "code"]
        plain = [re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE) for source in sources]
        calls = [node for source in plain for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
        found[number] = [
            node.value
            for call in calls
            if ast.unparse(call.func) == f"claims.{function}"
            for argument in (call.args[:1] if function == "check" else call.args)  # its second one: numbers
            for node in ast.walk(argument)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
    return found


def test_every_claim_with_a_live_run_is_checked_by_exactly_one_notebook():
    known = claims.load()
    places = {name: [] for name in known}
    for number, texts in texts_given_to("check").items():
        for name in texts:
            assert name in known, f"notebook {number} checks {name}, which is not in claims.yml"
            places[name].append(number)
    wrong = {}
    for name, claim in known.items():
        expected = [claim.chapter] if claim.record and claim.quick is not None else []
        if places[name] != expected:
            wrong[name] = f"checked in {places[name]}, expected {expected}"
    assert not wrong


def test_every_measured_claim_without_a_live_run_is_shown_in_its_chapter():
    shown = texts_given_to("table")
    wrong = [
        f"{claim.id} in notebook {claim.chapter}"
        for claim in claims.load().values()
        if claim.record and claim.quick is None and not claim.id.startswith(tuple(shown[claim.chapter]))
    ]
    assert not wrong


# --- the stored runs as they are committed
@cache
def stored_findings():
    """The finding of every measured claim whose stored run is there."""
    found = []
    for claim in claims.load().values():
        try:
            found += [claims.finding(claim)] if claim.record else []
        except records.RecordError:  # see the next test
            continue
    return found


def test_every_measured_claim_has_a_stored_run():
    absent = {}
    for claim in claims.load().values():
        try:
            claims.finding(claim)
        except (records.RecordError, ClaimError) as error:
            absent.setdefault(claim.record, str(error))
    assert not absent, f"make them: {', '.join(absent)}"


def test_every_stored_run_has_the_numbers_of_its_rule_and_of_its_effect():
    for found in stored_findings():
        columns = found.record.claims[found.claim.id]["values"]
        for text in filter(None, (found.claim.holds, found.claim.effect)):
            assert set(registry.Expression(text).names) <= set(columns), found.claim.id


def test_no_verdict_was_made_under_another_rule():
    stale = {}
    for found in stored_findings():
        kept = found.record.claims[found.claim.id]["rule"]
        assert (kept == found.claim.digest) or found.verdict == "stale", found.claim.id
        if found.verdict == "stale":
            stale[found.claim.id] = f"rule {kept}, now {found.claim.digest}"
    assert not stale, "a changed rule is a new row that names the old one (replaces)"


@cache
def rules_at(commit):
    """Digests of the rules in the list of claims as it was at a commit; None where the history does not have it."""
    try:
        shown = subprocess.run(["git", "show", f"{commit}:data/claims.yml"], cwd=ROOT, capture_output=True, check=True)
        rows = yaml.safe_load(shown.stdout)
    except (OSError, subprocess.CalledProcessError):
        return None
    found = {}
    for name, row in rows.items():
        try:
            found[name] = Claim(id=name, **row).digest
        except (TypeError, ClaimError):  # rows of older lists had other fields, and no rule
            continue
    return found


def test_a_rule_that_was_written_before_the_run_is_in_the_list_of_its_commit():
    """A run from changed code proves nothing here: pages mark it."""
    checked = 0
    for found in stored_findings():
        commit = found.record.commit or ""
        rules = None if commit.endswith("-dirty") else rules_at(commit)
        if found.registered == "before the run" and rules is not None:
            kept = found.record.claims[found.claim.id]["rule"]
            assert rules.get(found.claim.id) == kept, f"{found.claim.id} had another rule at {commit}"
            checked += 1
    if not checked:
        pytest.skip("the history does not have the commits of the stored runs")


def test_a_measure_ran_under_the_registered_conditions_from_a_clean_commit():
    for found in stored_findings():
        record, claim = found.record, found.claim
        if record.name.startswith(measures.PREFIX):
            assert record.config == claim.conditions[record.profile] or record.reduced, claim.id
            assert len(set(record.claims[claim.id]["cases"])) == claim.count, f"{claim.id}: a case twice"
            assert not (record.commit or "-dirty").endswith("-dirty"), record.name


def test_a_claim_that_is_not_reproduced_has_a_reason():
    unexplained = [f.claim.id for f in stored_findings() if f.verdict == "not reproduced" and not f.claim.note]
    assert not unexplained, "give a note"


def test_every_stored_run_of_a_claim_that_is_in_no_list_is_gone():
    """A measurement whose claim was renamed or dropped would be shown by nobody."""
    for path in records.results_folder().rglob("record.json"):
        stored = json.loads(path.read_text(encoding="utf-8"))
        for name in stored.get("claims", {}):
            assert name in claims.load(), f"{path}: {name}"
            assert claims.find(name).record == stored["name"], f"{path}: {name}"


def test_every_record_is_made_by_the_command_it_names():
    """The script exists, and the notebook or benchmark contains the line that writes a record of this name."""
    for path in records.results_folder().glob("*/record.json"):
        name = path.parent.name
        if name.startswith("gallery_"):  # made by a command for readers, see tests/house/test_gallery.py
            continue
        command = records.load(name).command
        if name.startswith(measures.PREFIX):
            asked = re.fullmatch(r"make verify CLAIM=(\S+) PROFILE=laptop", command)
            assert asked, command
            assert claims.find(asked[1]).record == name
            continue
        # older records name a script by its file, which was a page's neighbor then
        script = re.match(
            r"python (?:-m (?:scripts|benchmarks)\.|book/|benchmarks/)(\w+)(?:\.py)?(?: (\d\d))?", command
        )
        assert script, command
        folder = "benchmarks" if re.match(r"python (-m )?benchmarks", command) else "scripts"
        source = NOTEBOOKS[script[2]] if script[2] else ROOT / folder / f"{script[1]}.py"
        text = source.read_text(encoding="utf-8")
        assert "records.run(" in text or "score_runs.main(" in text, command  # the latter calls the former
        kind, _, one = name.partition("_")
        several = f'"{kind}_{{name}}"' in text and f'"{one}"' in text  # one record for each of several names
        assert name in text or re.sub(r"_\d+$", "_", name) in text or several, f"{source.name} makes no {name}"
