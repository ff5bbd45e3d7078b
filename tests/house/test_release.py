"""The archive of the offline book: complete, verifiable, and the same bytes every time."""

import hashlib
import json
import os
import zipfile
from pathlib import Path

import pytest

from scripts import release

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def html(tmp_path: Path) -> Path:
    folder = tmp_path / "html"
    for name, text in {
        "index.html": "<p>hello",
        "book/ä page.html": "<p>ä",
        "_static/a.js": "1",
        "_static/a.js.map": "left out",
        ".sources": "left out",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def made(html: Path, target: Path) -> bytes:
    release.pack(release.contents(html, version="1.2.3", commit="abc"), "book-1.2.3", target)
    return target.read_bytes()


def test_every_file_is_listed_with_its_size_and_digest(html: Path, tmp_path: Path) -> None:
    made(html, tmp_path / "out" / "book.zip")
    with zipfile.ZipFile(tmp_path / "out" / "book.zip") as archive:
        assert archive.testzip() is None
        files = {name.removeprefix("book-1.2.3/"): archive.read(name) for name in archive.namelist()}
    extra = {"README.txt", "MANIFEST.json", "SHA256SUMS"}
    assert set(files) == {"index.html", "book/ä page.html", "_static/a.js", *extra}
    sums = dict(reversed(line.split("  ", 1)) for line in files["SHA256SUMS"].decode().splitlines())
    assert sums == {name: hashlib.sha256(files[name]).hexdigest() for name in set(files) - {"SHA256SUMS"}}
    manifest = json.loads(files["MANIFEST.json"])
    assert (manifest["version"], manifest["commit"]) == ("1.2.3", "abc")
    assert {row["path"]: (row["size"], row["sha256"]) for row in manifest["files"]} == {
        name: (len(files[name]), sums[name]) for name in set(files) - {"SHA256SUMS", "MANIFEST.json"}
    }
    assert "1.2.3" in files["README.txt"].decode()


def test_the_same_pages_give_the_same_bytes(html: Path, tmp_path: Path) -> None:
    first = made(html, tmp_path / "one.zip")
    for path in html.rglob("*"):
        os.utime(path, (1, 1))
        if path.is_file():
            path.chmod(0o600)
    assert made(html, tmp_path / "two.zip") == first
    (html / "index.html").write_text("<p>changed")
    assert made(html, tmp_path / "three.zip") != first


def test_a_failure_leaves_the_old_archive(html: Path, tmp_path: Path) -> None:
    first = made(html, tmp_path / "book.zip")
    with pytest.raises(TypeError):
        release.pack({"a": b"fine", "b": None}, "book-1.2.3", tmp_path / "book.zip")
    assert (tmp_path / "book.zip").read_bytes() == first
    assert [path.name for path in tmp_path.glob("*.tmp")] == []


def test_without_pages_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="make html"):
        release.contents(tmp_path, version="1", commit="x")
