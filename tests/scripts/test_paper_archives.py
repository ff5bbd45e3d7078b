"""Archives of a queue: what is packed comes back whole, and nothing else comes in."""

import json
import shutil
import zipfile
from dataclasses import asdict

import pytest
import torch
from PIL import Image

from course_lib.methods import johnson
from course_lib.teaching import provenance
from course_lib.training import model_files
from scripts import paper_import
from scripts.paper_queue import archives, intake
from scripts.paper_queue.archives import Layout
from scripts.paper_queue.contents import Unfit, check_record
from scripts.paper_queue.items import Item
from scripts.paper_queue.report import Book

KNOWN = (
    Item("castle", "fake", "a castle", 10, ("03_castle", "03_noise")),
    Item("painter", "painter", "a painter", 10, ("model_wave",), ("wave_paper",), trained="painter"),
)
TINY = johnson.Config(width=0.1, num_blocks=1, weights=None, image_size=32)
ABOUT = {"scale": "full", "device": "a GPU", "versions": {}, "commit": "abc", "began": "today"}


def write_record(folder, name, /, **changed):
    """A stored run with one picture."""
    place = folder / "results" / "paper" / name
    place.mkdir(parents=True, exist_ok=True)
    about = {"name": name, "profile": "paper", "seed": 0, "config": {}, "values": {"loss": 1.5},
             "images": {"a": "a.webp"}, "command": "", "device": "a GPU", "versions": {"torch": "2.6.0"},
             "commit": "abc", "minutes": 0.1,
             "peak_memory_gb": 1.0, "claims": {}, "reduced": "", "digest": "0123456789abcdef"}  # fmt: skip
    (place / "record.json").write_text(json.dumps({**about, **changed}))
    Image.new("RGB", (20, 10), "teal").save(place / "a.webp")


def write_model(folder, *, fill=None):
    network = johnson.build(TINY)
    if fill is not None:
        torch.nn.init.constant_(next(network.parameters()), fill)
    model_files.write(folder / "models" / "wave_paper.safetensors", "johnson", network, asdict(TINY), {"steps": 1})


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A queue's folder with three stored runs, a model and a checkpoint."""
    monkeypatch.setattr(paper_import, "queue_of", lambda module: KNOWN)
    folder = tmp_path / "made"
    for name in ("03_castle", "03_noise", "model_wave"):
        write_record(folder, name)
    write_model(folder)
    (folder / "checkpoints").mkdir()
    torch.save({"steps": torch.arange(3)}, folder / "checkpoints" / "wave_paper.checkpoint")
    (folder / "checkpoints" / "wave_paper.json").write_text('{"steps": 40, "before": 0}')
    return folder


@pytest.fixture
def root(tmp_path):
    """A checkout that has a stored run and a model of its own."""
    (tmp_path / "root" / "data" / "models").mkdir(parents=True)
    (tmp_path / "root" / "data" / "models" / "great_wave.safetensors").write_bytes(b"as it was")
    return tmp_path / "root"


def pack(folder, about=ABOUT, **limits):
    book = Book(folder, dict(about), KNOWN)
    return archives.pack(folder, KNOWN, book, **limits), book


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def bring(root, *paths):
    return paper_import.main([str(path) for path in paths], root)


def rewrite(path, change):
    """An archive made anew: `change` gets its manifest and its entries {name: (info, bytes)}."""
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename: (info, archive.read(info)) for info in archive.infolist()}
    manifest = json.loads(entries.pop("manifest.json")[1])
    change(manifest, entries)
    with zipfile.ZipFile(path, "w") as archive:
        for info, content in entries.values():
            archive.writestr(info, content)
        archive.writestr("manifest.json", json.dumps(manifest))


# --- there and back
def test_what_is_packed_comes_back_whole_and_twice_changes_nothing(made, root, capsys):
    paths, book = pack(made)
    assert [path.name for path in paths] == ["paper-1-of-1.zip"]
    assert book.left_out == {}
    assert bring(root, *paths) == 0
    assert "03_castle: taken in" in capsys.readouterr().out
    data = root / "data"
    for name in ("03_castle", "03_noise", "model_wave"):
        assert tree(data / "results" / "paper" / name) == tree(made / "results" / "paper" / name)
    for name, place in (("models", data), ("checkpoints", root / "_build" / "paper")):
        ours = {file: content for file, content in tree(place / name).items() if not file.startswith("great")}
        assert ours == tree(made / name)
    assert (data / "results" / "paper" / "report.json").read_bytes() == (made / "report.json").read_bytes()
    assert (data / "models" / "great_wave.safetensors").read_bytes() == b"as it was"
    before = tree(root)
    times = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert bring(root, *paths) == 0
    assert set(capsys.readouterr().out.replace(": ", "\n").splitlines()[1::2]) == {"already there"}
    assert tree(root) == before
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == times


def test_large_files_are_split_and_a_missing_archive_is_named(made, root, capsys):
    torch.save(
        torch.rand(500_000, generator=torch.Generator().manual_seed(0)), made / "checkpoints" / "large.checkpoint"
    )
    paths, book = pack(made, limit=900_000)
    assert [path.name for path in paths] == [f"paper-{k}-of-{len(paths)}.zip" for k in range(1, len(paths) + 1)]
    assert len(paths) > 2
    assert book.left_out == {}
    assert max(path.stat().st_size for path in paths) <= 900_000
    before = tree(root)
    assert bring(root, paths[0], *paths[2:]) == 2
    assert f"paper-2-of-{len(paths)}.zip is missing" in capsys.readouterr().err
    assert tree(root) == before
    assert bring(root, *reversed(paths)) == 0
    assert tree(root / "_build" / "paper" / "checkpoints") == tree(made / "checkpoints")
    assert bring(root, paths[0].parent) == 0  # a folder stands for the archives in it
    assert bring(root, paths[0], *paths) == 2
    assert "twice" in capsys.readouterr().err


def test_what_finds_no_room_is_left_out_and_said(made):
    torch.save(torch.rand(500_000), made / "checkpoints" / "large.checkpoint")
    paths, book = pack(made, limit=900_000, most=1)
    assert list(book.left_out) == ["checkpoints/large.checkpoint"]
    assert "no room" in json.loads((made / "report.json").read_text())["left out of the archives"].popitem()[1]
    with zipfile.ZipFile(paths[0]) as archive:
        assert json.loads(archive.read("report.json"))["left out of the archives"]
        assert "checkpoints/wave_paper.checkpoint" in archive.namelist()  # smaller, and after it


def test_a_layout_never_exceeds_its_room_and_loses_no_byte():
    sizes = {"a": 2_500_000, "b": 400_000, "c": 3_000_000, "d": 90_000, "e": 1_200_000, "f": 9_000_000}
    layout = Layout(limit=2_000_000, most=4)
    taken = [name for name, size in sizes.items() if layout.add([(name, size)])]
    assert taken == ["a", "b", "c", "d", "e"]
    assert all(sum(piece.cost for piece in pieces) <= 2_000_000 for pieces in layout.archives)
    for name in taken:
        offset = 0
        for piece in (piece for pieces in layout.archives for piece in pieces if piece.path == name):
            assert piece.offset == offset
            offset += piece.length
        assert offset == sizes[name]


def test_what_cannot_be_believed_is_not_packed(made):
    write_record(made, "03_noise", profile="laptop")
    write_record(made, "99_foreign")
    (made / "results" / "paper" / ".03_castle-half").mkdir()
    shutil.rmtree(made / "results" / "paper" / "model_wave")
    paths, book = pack(made)
    assert set(book.left_out) == {
        "results/paper/03_noise", "results/paper/99_foreign", "models/wave_paper.safetensors",
    }  # fmt: skip
    with zipfile.ZipFile(paths[0]) as archive:
        records = {name for name in archive.namelist() if name.startswith("results")}
    assert records == {"results/paper/03_castle/record.json", "results/paper/03_castle/a.webp"}


def test_a_reduced_run_never_replaces_a_whole_one(made, root, capsys):
    bring(root, *pack(made)[0])
    kept = tree(root / "data")
    write_record(made, "model_wave", reduced="1 of 9 steps")
    write_model(made, fill=0.5)
    paths, _ = pack(made)
    assert bring(root, *paths) == 0
    assert "model_wave: kept" in capsys.readouterr().out
    assert {name: found for name, found in tree(root / "data").items() if "report" not in name} == {
        name: found for name, found in kept.items() if "report" not in name
    }
    write_record(made, "model_wave", reduced="1 of 9 steps", digest="f" * 16)  # of other code: newer is better
    bring(root, *pack(made)[0])
    assert "model_wave: replaced" in capsys.readouterr().out


def test_a_rehearsal_is_verified_and_never_kept(made, root, capsys):
    for name in ("03_castle", "03_noise", "model_wave"):
        write_record(made, name, digest="toy-0123456789abcdef")
    paths, book = pack(made, {**ABOUT, "scale": "toy"})
    assert book.left_out == {}
    before = tree(root)
    assert bring(root, *paths) == 2
    assert "toy scale" in capsys.readouterr().err
    assert bring(root, "--check", "--scale", "toy", *paths) == 0
    assert "all is well: 3 stored runs, 1 models" in capsys.readouterr().out
    assert tree(root) == before


# --- what must not come in
def link(manifest, entries):
    info, _ = entries["results/paper/03_castle/a.webp"]
    info.external_attr = 0o120777 << 16
    entries["results/paper/03_castle/a.webp"] = (info, b"/etc/passwd")


def put(name):
    """Add an entry of this name, listed as it should be."""

    def change(manifest, entries):
        row = dict(next(row for row in manifest["files"] if row["path"].endswith("a.webp")))
        content = entries[row["member"]][1]
        manifest["files"].append({**row, "path": name, "member": name})
        entries[name] = (zipfile.ZipInfo(name), content)

    return change


def other(field, value):
    return lambda manifest, entries: manifest.update({field: value})


def swapped(manifest, entries):
    """Another picture, with all checksums of the zip file right."""
    info, content = entries["results/paper/03_castle/a.webp"]
    entries[info.filename] = (info, content[:-1] + b"x")


def unlisted(manifest, entries):
    entries["models/more.safetensors"] = (zipfile.ZipInfo("models/more.safetensors"), b"x")


def packed(manifest, entries):
    info, content = entries["report.txt"]
    info.compress_type = zipfile.ZIP_DEFLATED
    entries["report.txt"] = (info, content)


def short(manifest, entries):
    (row,) = (row for row in manifest["files"] if row["path"].endswith(".safetensors"))
    row["chunks"] = 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("results/paper/../../03_castle/x.webp"), "wants to write"),
        (put("/tmp/x.webp"), "wants to write"),
        (put("models/../x.safetensors"), "wants to write"),
        (put("results/paper/03_castle/x.py"), "wants to write"),
        (put("checkpoints/x.pt"), "wants to write"),
        (put("results/paper/99_foreign/a.webp"), "makes no stored run 99_foreign"),
        (put("models/foreign.safetensors"), "makes no model foreign"),
        (put("results/paper/03_castle/x.webp"), "differ by x.webp"),
        (link, "is a link or a folder"),
        (swapped, "another checksum"),
        (unlisted, "differ by models/more.safetensors"),
        (packed, "compressed"),
        (short, "chunks 1 of 2"),
        (other("format", 9), "format 9"),
        (other("of", 2), "paper-2-of-2.zip is missing"),
        (other("files", None), "lacks a field"),
        (other("archive", 7), "archive 7 of 1"),
    ],
)
def test_a_changed_archive_is_refused_and_nothing_changes(made, root, capsys, change, words):
    (path,), _ = pack(made)
    rewrite(path, change)
    before = tree(root)
    assert bring(root, path) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert tree(root) == before
    assert not (root / "data" / "results").exists()


def test_one_flipped_byte_is_found_wherever_it_is(made, root, capsys):
    (path,), _ = pack(made)
    whole, before = path.read_bytes(), tree(root)
    picture = whole.index((made / "results" / "paper" / "03_noise" / "a.webp").read_bytes())
    for place in (picture + 30, len(whole) // 2, len(whole) - 300, len(whole) - 10):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert bring(root, path) == 2, place
        assert tree(root) == before
    path.write_bytes(whole[:-1000])
    assert bring(root, path) == 2
    assert bring(root, path.with_name("absent.zip")) == 2
    assert bring(root) == 2
    assert tree(root) == before
    capsys.readouterr()


def test_archives_of_two_runs_are_not_mixed(made, root, tmp_path, capsys):
    torch.save(torch.rand(500_000), made / "checkpoints" / "large.checkpoint")
    first = shutil.copy(pack(made, limit=900_000)[0][0], tmp_path / "first.zip")
    second = pack(made, limit=900_000)[0][1]
    assert bring(root, first, second) == 2
    assert "two runs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"profile": "laptop"}, "profile is 'laptop'; expected 'paper'"),
        ({"name": "03_noise"}, "name is '03_noise'"),
        ({"values": {"loss": [1.0, float("nan")]}}, "not finite: values › loss › 1"),
        ({"claims": {"c": {"values": {"x": [float("inf")]}}}}, "not finite"),
        ({"minutes": -1.0}, "minutes"),
        ({"minutes": 1441}, "minutes"),
        ({"minutes": float("nan")}, "minutes"),
        ({"device": ""}, "device"),
        ({"digest": ""}, "digest"),
        ({"digest": "toy-0123456789abcdef"}, "digest"),
        ({"seed": "0"}, "seed"),
        ({"seal": 5}, "seal"),
        ({"images": {"a": "../a.webp"}}, "images"),
        ({"images": {}}, "differ by a.webp"),
        ({"images": {"a": "a.webp", "b": "b.webp"}}, "differ by b.webp"),
        ({"extra": 1}, "fields of a record"),
    ],
)
def test_a_stored_run_that_cannot_be_believed_is_refused(tmp_path, changed, words):
    write_record(tmp_path, "03_castle")
    folder = tmp_path / "results" / "paper" / "03_castle"
    assert check_record(folder, "03_castle")["values"] == {"loss": 1.5}
    write_record(tmp_path, "03_castle", **changed)
    with pytest.raises(Unfit, match=words.replace("(", r"\(")):
        check_record(folder, "03_castle")


def set_seal(folder, **changed):
    """Seal a stored run, and change it afterwards."""
    stored = json.loads((folder / "record.json").read_text())
    stored["seal"] = provenance.seal(stored, folder)
    (folder / "record.json").write_text(json.dumps({**stored, **changed}))


@pytest.mark.parametrize(
    "changed",
    [
        {"values": {"loss": 1.5000001}},
        {"claims": {"a.b": {"values": {"x": [0.5]}}}},
        {"minutes": 0.2},
        {"reduced": "1 of 9 steps"},
        {"commit": "abd"},
        {"seal": "0123456789abcdef"},
    ],
)
def test_a_stored_run_that_was_changed_after_it_was_written_is_refused(made, changed):
    folder = made / "results" / "paper" / "03_castle"
    set_seal(folder)
    assert check_record(folder, "03_castle")["seal"]
    set_seal(folder, **changed)
    with pytest.raises(Unfit, match="03_castle does not match its seal: it was changed after it was written"):
        check_record(folder, "03_castle")
    _, book = pack(made)
    assert "does not match its seal" in book.left_out["results/paper/03_castle"]


def test_a_changed_picture_breaks_the_seal_of_an_archive_too(made, root, capsys, monkeypatch):
    folder = made / "results" / "paper" / "03_castle"
    set_seal(folder)
    assert bring(root, *pack(made)[0]) == 0
    kept = tree(root / "data" / "results" / "paper")
    Image.new("RGB", (20, 10), "red").save(folder / "a.webp")
    with monkeypatch.context() as patch:  # packed by somebody who did not look
        patch.setattr(archives, "check_record", lambda folder, *_: json.loads((folder / "record.json").read_text()))
        paths, _ = pack(made)
    capsys.readouterr()
    assert bring(root, *paths) == 2
    assert "03_castle does not match its seal" in capsys.readouterr().err
    assert tree(root / "data" / "results" / "paper") == kept


def test_an_older_stored_run_has_no_seal_and_is_taken(made, root):
    for seal in ({}, {"seal": ""}):
        write_record(made, "03_castle", **seal)
        assert check_record(made / "results" / "paper" / "03_castle", "03_castle").get("seal", "") == ""
    assert bring(root, *pack(made)[0]) == 0


def test_pictures_are_webp_and_not_too_large(tmp_path):
    write_record(tmp_path, "03_castle")
    picture = tmp_path / "results" / "paper" / "03_castle" / "a.webp"
    Image.new("RGB", (1025, 10)).save(picture)
    with pytest.raises(Unfit, match="1024"):
        check_record(picture.parent, "03_castle")
    Image.new("RGB", (10, 10)).save(picture, format="PNG")
    with pytest.raises(Unfit, match="does not open as WebP"):
        check_record(picture.parent, "03_castle")


def test_an_archive_with_a_run_that_is_not_finite_is_refused(made, root, capsys, monkeypatch):
    """Packed by somebody who did not look."""
    write_record(made, "03_castle", values={"loss": float("inf")})
    with monkeypatch.context() as patch:
        patch.setattr(archives, "check_record", lambda folder, *_: json.loads((folder / "record.json").read_text()))
        (path,), _ = pack(made)
    assert bring(root, path) == 2
    assert "03_castle holds a number that is not finite: values › loss; nothing was taken in" in capsys.readouterr().err


@pytest.mark.parametrize(("content", "words"), [(None, "not finite"), (b"{}", "damaged or not a safetensors")])
def test_models_are_read_before_they_are_taken(made, root, capsys, monkeypatch, content, words):
    write_model(made, fill=float("nan"))
    if content is not None:
        (made / "models" / "wave_paper.safetensors").write_bytes(content)
    with monkeypatch.context() as patch:
        patch.setattr(archives, "check_model", lambda *_: None)
        (path,), _ = pack(made)
    before = tree(root)
    assert bring(root, path) == 2
    assert words in capsys.readouterr().err
    assert tree(root) == before


def test_a_model_of_absurd_width_takes_no_memory(made, tmp_path):
    """Its configuration is read, and its network never built in full."""
    network, path = johnson.build(TINY), tmp_path / "wide.safetensors"
    model_files.write(path, "johnson", network, {**asdict(TINY), "width": 1000.0}, {})
    with pytest.raises(Unfit, match="do not fit its own configuration"):
        intake.check_model(path, KNOWN[1])


def test_a_write_that_fails_leaves_the_old_run(made, root, monkeypatch, capsys):
    bring(root, *pack(made)[0])
    before = tree(root / "data" / "results" / "paper" / "03_castle")
    write_record(made, "03_castle", values={"loss": 9.0})
    paths, _ = pack(made)

    def full(*_, **__):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(paper_import.shutil, "copytree", full)
        assert bring(root, *paths) == 1
    assert "no space left" in capsys.readouterr().err
    assert tree(root / "data" / "results" / "paper" / "03_castle") == before
    assert not list((root / "data" / "results" / "paper").glob(".*"))
    assert bring(root, *paths) == 0
    assert tree(root / "data" / "results" / "paper" / "03_castle") != before
