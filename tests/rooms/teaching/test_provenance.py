"""Where a stored run comes from: its seal, the commit, the machine, and what it read."""

import json
import subprocess
from math import isfinite
from pathlib import Path

import pytest
import torch

from course_lib import samples
from course_lib.teaching import claims, provenance, records, registry
from course_lib.teaching.records import RecordError


# --- the seal
def leaves(value, path=()):
    """The way to every number, text and empty place of nested dicts and lists."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inner = [leaf for key, inside in pairs for leaf in leaves(inside, (*path, key))]
    return inner or [path]


def changed(stored, path):
    """A copy in which one leaf is another one: a number is a millionth larger, a text has another letter."""
    copy = json.loads(json.dumps(stored))
    place = copy
    for key in path[:-1]:
        place = place[key]
    old = place[path[-1]]
    if isinstance(old, int | float) and not isinstance(old, bool):
        place[path[-1]] = old + 1e-6 if isfinite(old) else 0.0
    else:
        place[path[-1]] = f"{old}." if isinstance(old, str) else "something"
    return copy


@pytest.fixture
def sealed(tmp_path, monkeypatch):
    """A stored run with a claim and two pictures, as (content of record.json, folder)."""
    rows = {
        "a.b": registry.Claim(
            "a.b", "p", "It falls.", "w", "D", chapter="04", record="01_x", measure="m", holds="`low` < `high`",
            cases="2 seeds", refuted="r",
        )
    }  # fmt: skip
    for module in (registry, claims):
        monkeypatch.setattr(module, "load", lambda: rows)
    monkeypatch.setattr(records, "results_folder", lambda: tmp_path)
    monkeypatch.setattr(records, "_asked", {})
    monkeypatch.delenv("COURSE_LIB_RESULTS", raising=False)
    with records.run("01_x", profile="laptop", seed=3, config={"steps": 7}) as run:
        run.claim("a.b", {"low": [0.1, 0.2], "high": [0.3, 1 / 3]}, cases=["seed 3", "seed 4"])
        run.values = {"loss": [1.5, float("inf")], "words": "none", "many": {"deep": [torch.tensor(0.1)]}}
        run.images = {"dark": torch.zeros(1, 3, 8, 8), "light": torch.ones(1, 3, 8, 8)}
    folder = tmp_path / "01_x"
    return json.loads((folder / "record.json").read_text(encoding="utf-8")), folder


def test_a_stored_run_matches_its_seal(sealed):
    stored, folder = sealed
    assert len(stored["seal"]) == 16
    assert provenance.seal(stored, folder) == stored["seal"]
    turned = dict(reversed(stored.items()))
    assert provenance.seal(turned, folder) == stored["seal"], "the order of the fields says nothing"


def test_any_number_or_word_that_is_changed_by_hand_breaks_the_seal(sealed):
    stored, folder = sealed
    places = [path for path in leaves(stored) if path[0] not in ("seal", "images")]
    assert {path[0] for path in places} == set(stored) - {"seal", "images"}
    for path in places:
        assert provenance.seal(changed(stored, path), folder) != stored["seal"], path
    for path in (("claims", "a.b", "rule"), ("claims", "a.b", "values", "low", 1), ("values", "many", "deep", 0)):
        assert path in places


def test_a_number_more_or_less_breaks_the_seal(sealed):
    stored, folder = sealed
    more = {**stored, "values": {**stored["values"], "extra": 1}}
    fewer = {**stored, "values": {"loss": stored["values"]["loss"]}}
    assert stored["seal"] not in (provenance.seal(more, folder), provenance.seal(fewer, folder))


def test_a_byte_of_a_picture_breaks_the_seal(sealed):
    stored, folder = sealed
    for file in stored["images"].values():
        whole = (folder / file).read_bytes()
        (folder / file).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert provenance.seal(stored, folder) != stored["seal"], file
        (folder / file).write_bytes(whole)
    exchanged = {**stored, "images": dict(zip(stored["images"], reversed(stored["images"].values()), strict=True))}
    assert provenance.seal(exchanged, folder) != stored["seal"]
    assert provenance.seal(stored, folder) == stored["seal"]


def test_every_committed_record_matches_its_seal():
    """A number or a picture that is changed by hand fails here."""
    files = sorted(records.results_folder().rglob("record.json"))
    assert len(files) > 40
    broken = []
    for file in files:
        stored = json.loads(file.read_text(encoding="utf-8"))
        if stored.get("seal") != provenance.seal(stored, file.parent):
            broken.append(str(file.parent.relative_to(records.results_folder())))
    assert not broken


# --- the commit
@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with one commit that is taken for the project's."""
    place = tmp_path / "checkout"
    for name in ("course_lib/a.py", "notebooks/01.ipynb", "data/claims.yml", "data/images/cat.jpg", "book/page.md"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("as it was")
    settings = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    for command in (("init", "-q"), ("add", "."), (*settings, "commit", "-q", "-m", "first")):
        subprocess.run(["git", *command], cwd=place, check=True)
    monkeypatch.setattr(provenance, "_FOLDER", place / "course_lib")
    monkeypatch.delenv("COURSE_LIB_COMMIT", raising=False)
    return place


def test_a_clean_tree_has_the_name_of_its_commit(checkout):
    short = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=checkout, capture_output=True, text=True)
    assert provenance.commit() == short.stdout.strip()


@pytest.mark.parametrize(
    "name", ["course_lib/a.py", "course_lib/new.py", "scripts/new.py", "notebooks/01.ipynb", "data/claims.yml",
             "data/images/cat.jpg", "data/models/new.safetensors"]
)  # fmt: skip
def test_changed_code_rules_pictures_or_models_make_it_dirty(checkout, name):
    (checkout / name).parent.mkdir(exist_ok=True)
    (checkout / name).write_text("changed")
    assert provenance.commit().endswith("-dirty")


def test_new_records_and_pages_do_not(checkout):
    (checkout / "data" / "results" / "01_x").mkdir(parents=True)
    for name in ("data/results/01_x/record.json", "book/page.md"):
        (checkout / name).write_text("changed")
    assert not provenance.commit().endswith("-dirty")


def test_a_folder_without_git_has_no_commit_unless_it_is_told(monkeypatch):
    def no_git(*arguments, **options):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", no_git)
    monkeypatch.delenv("COURSE_LIB_COMMIT", raising=False)
    assert provenance.commit() is None
    monkeypatch.setenv("COURSE_LIB_COMMIT", "packed-1234")
    assert provenance.commit() == "packed-1234"


@pytest.fixture
def dirty(tmp_path, monkeypatch):
    """A checkout with changes, in whose data/results runs would be stored."""
    monkeypatch.setattr(records, "_ROOT", tmp_path / "checkout")
    monkeypatch.setattr(records, "results_folder", lambda: tmp_path / "checkout" / "data" / "results")
    monkeypatch.setattr(records, "_asked", {})
    monkeypatch.setenv("COURSE_LIB_COMMIT", "1234567-dirty")
    for name in ("RESULTS", "DIRTY"):
        monkeypatch.delenv(f"COURSE_LIB_{name}", raising=False)
    return tmp_path / "checkout"


def test_a_run_from_changed_code_is_not_stored_in_the_project(dirty):
    watchers = len(samples._watchers)
    with (
        pytest.raises(RecordError, match="differs from commit 1234567: nobody could make it again; commit first, or"),
        records.run("01_x", profile="laptop", seed=0),
    ):
        pytest.fail("it is refused before it takes an hour")
    assert not dirty.exists()
    assert len(samples._watchers) == watchers
    assert records.missing("01_x", profile="laptop", seed=0)
    with pytest.raises(RecordError, match="01_x"), records.run("01_x", profile="laptop", seed=0):
        pass
    assert len(samples._watchers) == watchers, "it watches no more"


def test_it_can_be_forced_and_is_marked(dirty, monkeypatch):
    monkeypatch.setenv("COURSE_LIB_DIRTY", "1")
    with records.run("01_x", profile="laptop", seed=0):
        pass
    assert records.load("01_x").commit == "1234567-dirty"


def test_a_run_from_changed_code_may_be_stored_elsewhere(dirty, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_LIB_RESULTS", str(tmp_path / "elsewhere"))
    with records.run("01_x", profile="laptop", seed=0):
        pass
    assert records.load("01_x").commit == "1234567-dirty"


# --- the machine and the inputs
def test_versions_name_what_a_number_may_depend_on():
    found = provenance.versions()
    assert {"python", "torch", "numpy", "pillow", "safetensors"} <= set(found)
    assert found["torch"] == torch.__version__.split("+")[0]
    assert ("cuda" in found) == torch.cuda.is_available()


def test_the_device_is_named_after_the_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A Large One")
    assert provenance.device_name() == "A Large One"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert provenance.device_name().endswith(("thread", "threads"))


def test_inputs_are_listed_once_with_all_their_sizes():
    rows = {Path(row["file"]).stem: row for row in samples.ledger()}
    found = provenance.inputs([("cat", (43, 64)), ("great_wave", (20, 30)), ("cat", (43, 64)), ("cat", (86, 128))])
    assert found == {
        "cat": {"file": "content/cat.jpg", "sha256": rows["cat"]["sha256"], "sizes": [[43, 64], [86, 128]]},
        "great_wave": {
            "file": "style/great_wave.jpg", "sha256": rows["great_wave"]["sha256"], "sizes": [[20, 30]],
        },
    }  # fmt: skip
    assert provenance.inputs([]) == {}


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux can reset the peak")
def test_peak_memory_is_that_since_it_was_reset():
    large = torch.ones(100_000_000)  # 0.4 GB, freed again
    before = provenance.peak_memory_gb()
    del large
    provenance.forget_peak_memory()
    held = torch.ones(25_000_000)
    assert provenance.peak_memory_gb() < before - 0.2
    assert len(held) > 0
