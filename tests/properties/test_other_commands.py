"""``train-style``, ``models``, ``ledger``, ``grade``, ``fetch``, any input: a result, or a sentence and no trace."""

import csv
import json
import os
import socket
from pathlib import Path

import pytest
from drawn_files import TINY, lay_out, mostly_sound
from hypothesis import given
from hypothesis import strategies as st
from observed_runs import folder, picture_at, run

from course_lib.methods import johnson
from course_lib.pretrained import catalog, download
from course_lib.teaching import assignments, claims, grading

ANYTHING = st.text(max_size=12).filter(lambda text: "\0" not in text)  # no word of a command line holds a zero byte

# --- train-style ---

MODELS = (
    "mine.safetensors", "täxt ½ 山.safetensors", "~/mine.safetensors", "old.safetensors", "mine.png", "mine", "",
    "nowhere/mine.safetensors", "taken.safetensors", f"{'n' * 230}.safetensors", f"{'n' * 260}.safetensors",
    "old.safetensors/mine.safetensors", ".safetensors", "locked.safetensors", "/dev/null", "begun.safetensors",
)  # fmt: skip
TRAINING = {
    "--steps": ("1", "2", "0", "-1", "x"), "--size": ("32", "16", "8", "7", "0", "9" * 30),
    "--batch": ("1", "2", "0", "x"), "--style-weight": ("0.7", "0", "-1", "nan", "inf", "1e300"),
    "--preview-every": ("1", "200", "0"), "--seed": ("0", str(2**32 - 1), str(2**32), "-1", "1.5"),
    "--device": ("cpu", "auto", "gpu", "cuda:99"), "--config": ("quick", "slow"),
}  # fmt: skip
FINE = {word: some[:1] if word == "--config" else some[:2] for word, some in TRAINING.items()}
FOLDERS = ("photos", "photos", "photos", "nowhere", "old.safetensors", "empty", "")


@pytest.fixture(scope="module")
def small_training():
    """A tiny network and a loss network of two layers with random weights."""
    layers = {"content_layers": ("relu1_2",), "style_layers": ("relu1_1",)}
    tiny = johnson.Config(**TINY, **layers, norm="instance", num_steps=1, batch_size=1, image_size=32, style_size=32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(johnson.Config, "quick", classmethod(lambda cls: tiny))
        yield


@st.composite
def trainings(draw):
    """(word after ``-o``, name of the folder of photos, options): mostly at most one of them is faulty."""
    faulty = draw(st.sampled_from(("", "", "output", "folder", "option", "any")))
    output = draw(st.sampled_from(MODELS if faulty in ("output", "any") else MODELS[:4]))
    photos = draw(st.sampled_from(FOLDERS)) if faulty in ("folder", "any") else "photos"
    odd = draw(st.sampled_from(sorted(TRAINING))) if faulty in ("option", "any") else ""
    chosen = {
        word: draw(st.sampled_from(some if word == odd else FINE[word]))
        for word, some in TRAINING.items()
        if word in ("--config", "--steps", "--size", "--batch", odd) or draw(st.booleans())
    }
    return output, photos, chosen


@given(trainings(), mostly_sound(8), st.lists(mostly_sound(33), min_size=1, max_size=3), st.booleans())
def test_train_style(small_training, training, painting, photos, fresh):
    output, place, chosen = training
    with folder() as root:
        lay_out("folder", photos, root)
        painting.write(root / "style" / painting.name)
        (root / "empty").mkdir()
        (root / "taken.safetensors").mkdir()
        (root / "begun.checkpoint").write_bytes(b"no checkpoint")
        for name in ("old.safetensors", "locked.safetensors"):
            (root / name).write_text("an old model")
        (root / "locked.safetensors").chmod(0o444)
        words = [word for pair in chosen.items() for word in pair] + ["--fresh"] * fresh
        done = run(["train-style", str(root / "style" / painting.name), "-o", output, "--photos", place, *words], root)
        model = Path(os.path.expanduser(output))
        written = (
            {model, model.with_suffix(".preview.jpg")} if output.endswith(".safetensors") and model.stem else set()
        )
        assert done.changed <= {os.path.relpath(path, root) for path in written} | {"begun.checkpoint"}, done
        assert done.code in (0, 2), done
        if done.code == 0:
            johnson.load(model)
            assert "begun.checkpoint" not in done.after or output != "begun.safetensors"
            preview = model.with_suffix(".preview.jpg")
            assert not preview.exists() or picture_at(preview)[0] == "JPEG"


# --- lists ---


@given(
    st.lists(st.tuples(st.sampled_from(("a", "b c", "täxt ½", "", "x\ny")), st.binary(max_size=200)), max_size=3),
    st.sampled_from(("data", "nowhere", "a file", "data/models", "")),
)  # fmt: skip
def test_models(model_files, files, place):
    with folder() as root, pytest.MonkeyPatch.context() as patch:
        (root / "data" / "models").mkdir(parents=True)
        (root / "a file").write_text("no folder")
        good = model_files["stylize"].read_bytes()
        for name, data in files:
            (root / "data" / "models" / f"{name}.safetensors").write_bytes(good[: len(data)] + data)
        (root / "data" / "models" / "good.safetensors").write_bytes(good)
        (root / "data" / "models" / "folder.safetensors").mkdir()
        (root / "data" / "models" / "link.safetensors").symlink_to("nowhere")
        patch.setenv("COURSE_LIB_DATA", str(root / place) if place else "")
        done = run(["models"], root)
        assert done.code == 0
        assert done.err == ""
        assert ("good  (johnson" in done.out) == (place == "data")


@pytest.fixture(scope="module")
def known_findings():
    """The verdict of a claim is computed once."""
    found, original = {}, claims.finding
    with pytest.MonkeyPatch.context() as patch:

        def finding(claim):
            if claim.id not in found:
                found[claim.id] = original(claim)
            return found[claim.id]

        patch.setattr(claims, "finding", finding)
        yield


@given(
    st.lists(st.one_of(st.sampled_from(("gatys", "johnson.", "a.b", "")), ANYTHING), max_size=2),
    st.one_of(st.none(), st.sampled_from(sorted(claims.VERDICTS)), ANYTHING), st.booleans(),
)  # fmt: skip
def test_ledger(known_findings, words, verdict, machines):
    with folder() as root:
        chosen = ["--json"] * machines + ([] if verdict is None else [f"--verdict={verdict}"])
        done = run(["ledger", *chosen, "--", *words], root)
        known = verdict is None or verdict in claims.VERDICTS
        found = all(any(name.startswith(word) for name in claims.load()) for word in words)
        assert done.code == (0 if machines or (known and found) else 2), done
        if machines and done.code == 0:
            assert json.loads(done.out)


# --- grade ---

CELL = {"grade": True, "locked": True, "solution": False, "schema_version": 3}
MASTER = {
    "nbformat": 4, "nbformat_minor": 5, "metadata": {},
    "cells": [
        {"cell_type": "code", "id": "work", "source": "### BEGIN SOLUTION\nx = 1\n### END SOLUTION", "outputs": [],
         "metadata": {"nbgrader": {**CELL, "grade": False, "locked": False, "solution": True, "grade_id": "work"}}},
        {"cell_type": "code", "id": "test", "source": "assert x == 1", "outputs": [],
         "metadata": {"nbgrader": {**CELL, "grade_id": "test", "points": 3}}},
    ],
}  # fmt: skip
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(("cells", "metadata", "source", "cell_type")), inner),
    ),
    max_leaves=8,
)
CELLS = st.lists(
    st.fixed_dictionaries(
        {
            "cell_type": st.one_of(st.sampled_from(("code", "markdown", "raw")), JSON),
            "source": st.one_of(ANYTHING, JSON),
        },
        optional={"id": JSON, "metadata": st.one_of(JSON, st.fixed_dictionaries({"nbgrader": JSON})), "outputs": JSON},
    ),
    max_size=3,
)
NOTEBOOKS = st.one_of(
    st.just(json.dumps(assignments.student_copy(MASTER)).encode()),
    CELLS.map(lambda cells: json.dumps({**MASTER, "cells": cells}).encode()),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=60),
    st.integers(0, 400).map(lambda length: json.dumps(MASTER).encode()[:length]),
)
SUBMISSIONS = ("ada/01_one.ipynb", "bob/01_one (2).ipynb", "cy_01_one.ipynb", "täxt ½/01_one.ipynb",
               "dot/.01_one.ipynb", "ada/other.ipynb", "=cmd/01_one.ipynb",
               f"{'n' * 200}/01_one.ipynb", "a\nb/01_one.ipynb")  # fmt: skip
GRADING = {
    "--timeout": ("300", "1", "0", "-1", "nan", "inf", "1e300", "x"),
    "--memory": ("4", "0.5", "0", "nan", "inf", "1e300"),
    "--jobs": ("1", "2", "65", "0", "x"), "--masters": ("masters", "nowhere", "grades.csv", "", "work"),
    "-o": ("grades.csv", "täxt ½.csv", "~/new.csv", "grades.txt", "nowhere/g.csv", "work/g.csv", "", "masters",
           f"{'n' * 240}.csv", f"{'n' * 252}.csv"),
}  # fmt: skip


@pytest.fixture(scope="module")
def no_processes():
    """Every cell passes, and none is run: a process for each submission would take a second."""

    def passed(cells, limits, stop=None):
        return [{"kind": "test", "name": name, "message": "", "seconds": 0.0} for _, name, _ in cells], ""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grading, "run", passed)
        yield


@given(
    st.dictionaries(st.sampled_from(SUBMISSIONS), NOTEBOOKS, max_size=3), st.data(),
    st.sampled_from(("work", "work", "work", "work/", "nowhere", "grades.csv", "")),
)  # fmt: skip
def test_grade(no_processes, submissions, data, place):
    options = data.draw(st.sampled_from(sorted(GRADING)), label="which option may be faulty")
    chosen = {"--masters": "masters", options: data.draw(st.sampled_from(GRADING[options]))}
    with folder() as root:
        (root / "masters").mkdir()
        (root / "masters" / "01_one.ipynb").write_text(json.dumps(MASTER))
        (root / "grades.csv").write_text("an old table")
        (root / "work").mkdir()
        for name, content in submissions.items():
            (root / "work" / name).parent.mkdir(exist_ok=True)
            (root / "work" / name).write_bytes(content)
        done = run(["grade", place, *[word for pair in chosen.items() for word in pair]], root)
        table = Path(os.path.expanduser(chosen.get("-o") or "grades.csv"))
        pages = os.path.relpath(table.with_name(f"{table.stem}_feedback"), root)
        others = {name for name in done.changed if not (name == pages or name.startswith(f"{pages}/"))}
        assert others <= {os.path.relpath(table, root)}, done
        if done.code == 0:
            with table.open(encoding="utf-8-sig", newline="") as file:
                rows = list(csv.DictReader(file))
            visible = [name for name in submissions if "/." not in name]
            assert len(rows) >= min(1, len(visible))
            assert {row["max"] for row in rows} <= {"3", "0"}


# --- fetch ---


@pytest.fixture(scope="module")
def no_network():
    """No host can be reached, and no settings of pip are looked up."""

    def unreachable(*arguments, **options):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", unreachable)
        patch.setattr(socket.socket, "connect", unreachable)
        patch.setattr(download.subprocess, "run", unreachable)
        yield


SETTINGS = {
    "PIP_INDEX_URL": ("https://campus.test/simple", "campus.test", "", "ftp://x", "https://[", "http://a:b@c:d/"),
    "PIP_CERT": ("/nowhere/cert.pem", "", "a file"), "PIP_PROXY": ("http://proxy.test:1", "proxy", "x://y"),
    "HTTPS_PROXY": ("http://proxy.test:1", "socks5://x", "nonsense"),
    "COURSE_LIB_MIRROR": ("https://mirror.test/x", "nowhere", "a file", "~/mirror", "https://[", ""),
    "COURSE_LIB_CACHE": ("cache", "new/er", "a file", "a file/cache", "~/c", "täxt ½", "n" * 300),
}  # fmt: skip


@given(
    st.lists(st.one_of(st.sampled_from(sorted(catalog.REGISTRY)), ANYTHING), max_size=2), st.booleans(), st.booleans(),
    st.fixed_dictionaries({}, optional={word: st.sampled_from(some) for word, some in SETTINGS.items()}),
    st.binary(max_size=100),
)  # fmt: skip
def test_fetch_without_a_network(no_network, names, listed, refresh, settings, cached):
    with folder() as root, pytest.MonkeyPatch.context() as patch:
        (root / "a file").write_text("a file")
        (root / "cache").mkdir()
        (root / "mirror").mkdir()
        (root / "mirror" / "manifest.json").write_bytes(cached)
        for name in names:
            if name in catalog.REGISTRY:
                (root / "cache" / catalog.REGISTRY[name].path.name).write_bytes(cached)
        for word, value in {"COURSE_LIB_CACHE": "cache", "TORCH_HOME": str(root / "torch"), **settings}.items():
            patch.setenv(word, value)
        done = run(["fetch", *["--list"] * listed, *["--refresh"] * refresh, "--", *names], root, keeps=False)
        assert done.code == (0 if listed else 2), done
        cache = os.path.relpath(os.path.expanduser(settings.get("COURSE_LIB_CACHE", "cache")), root)
        above = {str(path) for path in (Path(cache), *Path(cache).parents)}
        beside = {name for name in done.changed if not name.startswith(f"{cache}/") and name not in above}
        assert not [name for name in beside if not name.startswith("torch")], done
        assert not [name for name in done.changed if name.endswith((".part", ".tmp"))], done
