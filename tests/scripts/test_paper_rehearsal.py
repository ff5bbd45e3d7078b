"""The pack, and the queue rehearsed in it: another folder, an empty cache, no index, no Jupyter, no git."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from course_lib.pretrained.catalog import CUTS
from scripts import paper_pack
from scripts.paper_queue.digest import digest
from scripts.paper_queue.items import QUEUE, find

ROOT = Path(__file__).resolve().parents[2]
REHEARSED = (
    "chapter_03",
    "painter_great_wave",
    "several_paintings",
    "decoder_any_style",
    "translator_labels_half",
)  # `make paper REHEARSE=1` runs all


@pytest.fixture(scope="module")
def pack(tmp_path_factory, request):
    """An unpacked pack."""
    request.getfixturevalue("real_network")("vgg19", ("relu1_1",))
    folder = tmp_path_factory.mktemp("pack") / "paper"
    paper_pack.fill(folder)
    return folder


def bare(pack, *arguments, **more):
    """Runs the pack's entry as a machine without a network, a cache or a repository would."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COURSE_LIB", "PYTHON"))}
    alone = {
        "HOME": str(pack.parent),
        "XDG_CACHE_HOME": str(pack.parent / "cache"),
        "PIP_INDEX_URL": "http://127.0.0.1:9",
    }
    command = [sys.executable, str(pack / "paper.py"), *arguments]
    return subprocess.run(
        command, cwd=pack.parent, capture_output=True, text=True, env={**kept, **alone, **more}, check=False
    )


def test_the_pack_holds_what_it_needs_and_fits_into_60_mb(pack):
    size = sum(path.stat().st_size for path in pack.rglob("*") if path.is_file())
    assert size < paper_pack.LIMIT == 60_000_000
    assert sorted(path.name for path in (pack / "networks").iterdir()) == sorted(cut.path.name for cut in CUTS.values())
    assert not [path for path in pack.rglob("*") if path.is_symlink() or path.suffix in (".ipynb", ".pyc", ".pth")]
    photos = {path.name for path in (ROOT / "data" / "images" / "photos").iterdir()}
    assert {path.name for path in (pack / "data" / "images" / "photos").iterdir()} == photos


def test_in_the_pack_every_item_has_the_digest_that_it_has_here(pack):
    """So that what was made there counts here."""
    for item in {item.kind: item for item in QUEUE}.values():
        assert digest(item, pack) == digest(item, ROOT), item.name


def test_the_queue_can_be_listed_and_says_what_is_missing(pack):
    done = bare(pack, "--list")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[: len(QUEUE)]] == [item.name for item in QUEUE]
    states = {line.split()[0]: line.split(" s  ", 1)[1] for line in lines[: len(QUEUE)]}
    assert states["engine_512"].startswith("to do")
    assert states["chapter_04_lpips"].startswith("needs vgg16")
    assert states["scores_0"].startswith("needs datasets")
    refused = bare(pack, "--minutes", "1", CUDA_VISIBLE_DEVICES="")
    assert refused.returncode == 2
    assert "no CUDA device was found" in refused.stderr
    assert "REHEARSE=1" in refused.stderr


@pytest.mark.slow
def test_the_rehearsal_runs_in_the_pack_and_its_archives_could_be_imported(pack):
    done = bare(pack, "--rehearse", "--only", ",".join(REHEARSED), OMP_NUM_THREADS="2")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = pack / "_build" / "paper" / "rehearsal"
    for name in REHEARSED:
        for record in find(name).records:
            stored = json.loads((folder / "results" / "paper" / record / "record.json").read_text(encoding="utf-8"))
            assert stored["reduced"] == "a rehearsal at toy size"
            assert stored["profile"] == "paper"
            assert stored["command"] == f"make paper ONLY={name}"
            assert stored["commit"] == (pack / "COMMIT").read_text(encoding="utf-8").strip()
    assert (folder / "models" / "great_wave_paper.safetensors").is_file()
    archives = sorted((folder / "archives").glob("*.zip"))
    assert archives
    check = [
        sys.executable,
        str(ROOT / "scripts" / "paper_import.py"),
        "--check",
        "--scale",
        "toy",
        *map(str, archives),
    ]
    checked = subprocess.run(check, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_a_pack_that_was_unpacked_from_its_tar_is_the_folder(tmp_path, monkeypatch, capsys):
    def small(folder, **_):
        (folder / "a").mkdir(parents=True)
        (folder / "a" / "b.txt").write_text("c")

    monkeypatch.setattr(paper_pack, "fill", small)
    monkeypatch.setattr(sys, "argv", ["paper_pack.py", "--into", str(tmp_path)])
    for _ in range(2):  # the second call replaces the first one's
        assert paper_pack.main() == 0
    with tarfile.open(tmp_path / "paper.tar") as tar:
        assert {entry.name for entry in tar} == {"paper", "paper/a", "paper/a/b.txt"}
        assert {entry.uname for entry in tar} == {""}
    assert {path.name for path in tmp_path.iterdir()} == {"paper", "paper.tar"}
    monkeypatch.setattr(paper_pack, "LIMIT", 0)
    assert paper_pack.main() == 1
    assert "leave something out" in capsys.readouterr().err
    assert (tmp_path / "paper" / "a" / "b.txt").read_text() == "c", "the older pack is as it was"


def test_a_pack_that_cannot_be_made_says_so_in_one_sentence(tmp_path, monkeypatch, capsys):
    def full_disk(folder, **_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(paper_pack, "fill", full_disk)
    monkeypatch.setattr(sys, "argv", ["paper_pack.py", "--into", str(tmp_path)])
    assert paper_pack.main() == 1
    error = capsys.readouterr().err
    assert "No space left on device" in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"
