"""PNG and TIFF of 16 bits: what another reader finds in them, and how many levels a picture keeps."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib import deep_files, load_image, save_image
from course_lib.images import ImageError, load_with_alpha


def png_levels(data):
    """The levels of a 16-bit PNG, read by the letter of its specification: all rows have filter 2 (up)."""
    place, parts, size = 8, b"", None
    while place < len(data):
        length, name = struct.unpack(">I4s", data[place : place + 8])
        body = data[place + 8 : place + 8 + length]
        assert struct.unpack(">I", data[place + 8 + length : place + 12 + length])[0] == zlib.crc32(name + body)
        size = struct.unpack(">IIBB", body[:10]) if name == b"IHDR" else size
        parts += body if name == b"IDAT" else b""
        place += 12 + length
    width, height, bits, kind = size
    assert bits == 16
    rows = np.frombuffer(zlib.decompress(parts), np.uint8).reshape(height, -1)
    assert (rows[:, 0] == 2).all()
    plain = np.cumsum(rows[:, 1:].astype(np.int64), 0) % 256
    return plain.astype(np.uint8).view(">u2").reshape(height, width, {2: 3, 6: 4}[kind])


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (400, 300)])  # the last one in several pieces
def test_every_level_of_a_png_comes_back(shape, channels):
    levels = np.random.default_rng(0).integers(0, 65536, (*shape, channels)).astype(np.uint16)
    stream = BytesIO()
    deep_files.write_png(stream, levels)
    np.testing.assert_array_equal(png_levels(stream.getvalue()), levels)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (400, 300)])
def test_pillow_reads_what_a_tiff_holds(shape, channels, kind):
    top = np.iinfo(kind).max
    levels = np.random.default_rng(1).integers(0, top, (*shape, channels)).astype(kind)
    stream = BytesIO()
    deep_files.write_tiff(stream, levels, b"profile", "a note")
    with Image.open(stream) as pil:
        assert pil.size == shape[::-1]
        assert pil.tag_v2[258] == (8 * np.dtype(kind).itemsize,) * channels
        assert pil.tag_v2[270] == "a note"
        found = np.array(pil)
    if kind is np.uint8:
        np.testing.assert_array_equal(found, levels)
    else:  # Pillow keeps the upper eight bits
        np.testing.assert_array_equal(found, levels >> 8)


def test_a_saved_picture_has_65536_levels(tmp_path):
    ramp = torch.linspace(0, 1, 1000).view(1, 1, 1, 1000).expand(1, 3, 4, 1000).contiguous()
    save_image(ramp, tmp_path / "a.png", bits=16)
    levels = png_levels((tmp_path / "a.png").read_bytes())
    np.testing.assert_allclose(levels[0, :, 0] / 65535, ramp[0, 0, 0].numpy(), rtol=0, atol=0.51 / 65535)
    assert len(np.unique(levels)) == 1000  # 8 bits would leave 256
    torch.testing.assert_close(load_image(tmp_path / "a.png"), ramp, rtol=0, atol=1.01 / 255)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("bits", [8, 16])
def test_opacity_is_kept(tmp_path, picture, name, bits):
    color, alpha = picture(20, 30, 1), torch.ones(1, 1, 20, 30)
    alpha[..., :10] = 0.25
    save_image(color, tmp_path / name, alpha=alpha, bits=bits)
    found, opacity = load_with_alpha(tmp_path / name)
    torch.testing.assert_close(found, color, rtol=0, atol=1.01 / 255)
    torch.testing.assert_close(opacity, alpha, rtol=0, atol=1.01 / 255)


@pytest.mark.parametrize(("name", "bits"), [("a.jpg", 16), ("a.webp", 16), ("a.png", 12), ("a.png", 32)])
def test_bits_that_a_format_does_not_have(tmp_path, picture, name, bits):
    with pytest.raises(ImageError, match=rf"{name}: {bits} bits cannot be written there; use bits=8, or 16 in .png"):
        save_image(picture(8, 8, 1), tmp_path / name, bits=bits)
    assert not list(tmp_path.iterdir())
