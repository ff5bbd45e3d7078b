"""Color profiles, with profiles written byte by byte and values computed by the formulas of the color spaces."""

import struct
import warnings
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from course_lib.images import from_pil, load_image, load_with_alpha, save_image
from course_lib.pixels import fill_transparent, srgb_profile

P3 = [(0.515102, 0.241182, -0.001050), (0.291965, 0.692236, 0.041882), (0.157153, 0.066581, 0.784378)]  # D50, R G B
SRGB = [(0.436066, 0.222488, 0.013916), (0.385147, 0.716873, 0.097076), (0.143066, 0.060608, 0.714096)]  # D50, R G B


def fixed(*numbers):
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)


def profile(space, tags):
    """An ICC profile of version 2 for a display or a printer, its tags as {name: bytes}."""
    lab = b"A2B0" in tags
    start, table, data = 128 + 4 + 12 * len(tags), b"", b""
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(data), b"test", 0x02400000, b"prtr" if lab else b"mntr", space,
                       b"Lab " if lab else b"XYZ ")  # fmt: skip
    head += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(0.9642, 1, 0.8249)
    return head + bytes(128 - len(head)) + struct.pack(">I", len(tags)) + table + data


def described(tags):
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    return {b"desc": text, b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1, 0.8249), **tags}


def gamma_curve(gamma):
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))


def matrix_profile(primaries, gamma=2.2):
    tags = {
        name: b"XYZ " + bytes(4) + fixed(*xyz) for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)
    }
    return profile(b"RGB ", described(tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma_curve(gamma))))


def encoded(linear):
    """sRGB's curve: linear light → value, both in [0, 1]."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)


def from_xyz(xyz):
    """A color under D50 in sRGB, clipped to [0, 1]."""
    return encoded(np.linalg.solve(np.array(SRGB).T, xyz)).clip(0, 1)


def expected(color, primaries, gamma=2.2):
    return from_xyz(np.array(primaries).T @ (np.array(color) / 255) ** gamma)


@pytest.mark.parametrize(
    "color", [(200, 100, 50), (60, 120, 90), (255, 255, 255), (0, 0, 0), (255, 0, 0), (30, 200, 40)]
)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_wide_colors_become_srgb(tmp_path, color, suffix):
    more = {"lossless": True} if suffix == ".webp" else {}
    Image.new("RGB", (4, 4), color).save(tmp_path / f"a{suffix}", icc_profile=matrix_profile(P3), **more)
    image = load_image(tmp_path / f"a{suffix}")
    assert image[0, :, 0, 0].tolist() == pytest.approx(expected(color, P3), abs=1.5 / 255)


def test_without_a_conversion_the_colors_would_be_far_off():
    color = (30, 200, 40)
    assert np.abs(expected(color, P3) - np.array(color) / 255).max() > 28 / 255


def test_opacity_stays_when_colors_are_converted(tmp_path):
    Image.new("RGBA", (2, 2), (200, 100, 50, 51)).save(tmp_path / "a.png", icc_profile=matrix_profile(P3))
    color, alpha = load_with_alpha(tmp_path / "a.png")
    assert alpha.unique().tolist() == pytest.approx([0.2])
    assert color[0, :, 0, 0].tolist() == pytest.approx(expected((200, 100, 50), P3), abs=1.5 / 255)


def test_a_palette_is_converted_too(tmp_path):
    pil = Image.new("P", (2, 1), 1)
    pil.putpalette([0, 0, 0, 200, 100, 50])
    pil.save(tmp_path / "a.png", icc_profile=matrix_profile(P3))
    image = load_image(tmp_path / "a.png")
    assert image[0, :, 0, 0].tolist() == pytest.approx(expected((200, 100, 50), P3), abs=1.5 / 255)


@pytest.mark.parametrize("data", [matrix_profile(SRGB, 2.2), srgb_profile()])
def test_the_profile_of_srgb_changes_no_bit(tmp_path, data):
    """A display of gamma 2.2 is not sRGB: its dark levels differ by up to 6. sRGB's own profile is."""
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "tagged.png", icc_profile=data)
    Image.fromarray(noise).save(tmp_path / "plain.png")
    same = torch.equal(load_image(tmp_path / "tagged.png"), load_image(tmp_path / "plain.png"))
    assert same == (data == srgb_profile())


def gray_profile(gamma):
    return profile(b"GRAY", described({b"kTRC": gamma_curve(gamma)}))


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_gray_in_linear_light(tmp_path, mode):
    """Linear 0.5 is 0.7354 in sRGB."""
    value = {"L": 128, "LA": (128, 255), "I;16": 32896}[mode]
    pil = Image.new(mode, (2, 2), value)
    pil.save(tmp_path / "a.png", icc_profile=gray_profile(1.0))
    image = load_image(tmp_path / "a.png")
    assert image.unique().tolist() == pytest.approx([float(encoded(np.array(128 / 255)))], abs=1.5 / 255)


def test_gray_with_one_transparent_value(tmp_path):
    pil = Image.new("L", (2, 1), 128)
    pil.putpixel((1, 0), 9)
    pil.save(tmp_path / "a.png", icc_profile=gray_profile(1.0), transparency=9)
    color, alpha = load_with_alpha(tmp_path / "a.png")
    assert alpha.flatten().tolist() == [1, 0]
    assert color[0, :, 0, 0].tolist() == pytest.approx(3 * [float(encoded(np.array(128 / 255)))], abs=1.5 / 255)


def test_sixteen_bit_gray_stays_finer_than_eight_bits(tmp_path):
    Image.fromarray(np.arange(0, 65536, 64, dtype=np.uint16)[None]).save(
        tmp_path / "a.png", icc_profile=gray_profile(1.8)
    )
    row = load_image(tmp_path / "a.png")[0, 0, 0]
    assert (row.diff() >= 0).all()
    assert len(row.unique()) > 900
    assert row.numpy() == pytest.approx(encoded((np.arange(0, 65536, 64) / 65535) ** 1.8), abs=1.5 / 255)


def cmyk_profile():
    """A printer whose black is black, whose cyan is Lab (50, -40, -40), and whose other inks do not show."""
    corners = []
    for corner in range(16):  # C, M, Y, K; K changes fastest
        cyan, black = corner >> 3 & 1, corner & 1
        light, a, b = (0, 0, 0) if black else (50, -40, -40) if cyan else (100, 0, 0)
        corners += [round(light * 255 / 100), a + 128, b + 128]
    ramp = bytes(range(256))
    lut = (
        b"mft1"
        + bytes(4)
        + bytes((4, 3, 2, 0))
        + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
        + 4 * ramp
        + bytes(corners)
        + 3 * ramp
    )
    return profile(b"CMYK", described({b"A2B0": lut}))


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_inks_are_what_their_profile_says(tmp_path, suffix):
    y = (50 + 16) / 116  # Lab (50, -40, -40) in XYZ, by the formula of CIE 1976
    cyan = from_xyz(np.array([0.9642 * (y - 40 / 500) ** 3, y**3, 0.8249 * (y + 40 / 200) ** 3]))
    for ink, color in {(0, 0, 0, 0): (1, 1, 1), (0, 0, 0, 255): (0, 0, 0), (255, 0, 0, 0): cyan}.items():
        Image.new("CMYK", (8, 8), ink).save(tmp_path / f"a{suffix}", icc_profile=cmyk_profile())
        image = load_image(tmp_path / f"a{suffix}")
        assert image[0, :, 4, 4].tolist() == pytest.approx(color, abs=4 / 255), ink


@pytest.mark.parametrize(
    "data", [b"nonsense", matrix_profile(P3)[:200], b"\0" * 500, cmyk_profile(), gray_profile(2.2)]
)
def test_a_profile_that_does_not_fit_is_ignored_with_a_warning(tmp_path, data):
    path = tmp_path / "a.png"
    Image.new("RGB", (2, 2), (10, 200, 30)).save(path, icc_profile=data)
    with pytest.warns(UserWarning, match="color profile was ignored .*; its colors are taken as sRGB"):
        image = load_image(path)
    assert (255 * image[0, :, 0, 0]).tolist() == pytest.approx([10, 200, 30], abs=1e-4)


def test_what_is_saved_says_that_it_is_srgb(tmp_path):
    for suffix in (".png", ".jpg", ".webp"):
        for alpha in (None, torch.full((1, 1, 8, 8), 0.5)):
            save_image(torch.full((1, 3, 8, 8), 0.5), tmp_path / f"a{suffix}", alpha=alpha)
            with Image.open(tmp_path / f"a{suffix}") as pil:
                said = pil.info.get("icc_profile")
                if suffix == ".png":
                    assert pil.info["srgb"] == 0
                    assert said is None
                else:
                    assert "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(said)))
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                load_image(tmp_path / f"a{suffix}")


def test_a_file_is_the_same_whenever_it_is_written(tmp_path):
    assert srgb_profile() == srgb_profile()
    assert srgb_profile()[24:36] == struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    assert len(srgb_profile()) < 1000


def test_a_color_profile_counts_in_an_open_picture_too():
    pil = Image.new("RGB", (1, 1), (200, 100, 50))
    pil.info["icc_profile"] = matrix_profile(P3)
    assert from_pil(pil).flatten().tolist() == pytest.approx(expected((200, 100, 50), P3), abs=1.5 / 255)


# --- the color of transparent pixels ---


def row(*values):
    """One row of gray pixels, (1, 3, 1, W), from None where nothing is visible."""
    color = torch.tensor([0.0 if value is None else value for value in values]).view(1, 1, 1, -1)
    alpha = torch.tensor([0.0 if value is None else 1.0 for value in values]).view(1, 1, 1, -1)
    return color.expand(1, 3, 1, -1), alpha


@pytest.mark.parametrize(
    ("given", "filled"),
    [
        ((0.5, None), (0.5, 0.5)),
        ((0.2, None, None, None), (0.2, 0.2, 0.2, 0.2)),
        ((None, 0.2, 0.8, None), (0.2, 0.2, 0.8, 0.8)),
        ((0.2, 0.4, None, None), (0.2, 0.4, 0.3, 0.3)),  # the mean of the next larger square
        ((None, None, 0.6), (0.6, 0.6, 0.6)),
        ((0.1, 0.9), (0.1, 0.9)),
    ],
)
def test_invisible_pixels_take_the_color_of_the_nearest_square(given, filled):
    assert fill_transparent(*row(*given))[0, 0, 0].tolist() == pytest.approx(filled)


def test_a_mean_counts_what_is_more_opaque_more():
    color = torch.tensor([[0.0, 1.0], [0.3, 0.3]]).expand(1, 3, 2, 2)
    alpha = torch.tensor([[0.75, 0.25], [0.0, 0.0]]).view(1, 1, 2, 2)
    filled = fill_transparent(color, alpha)
    assert filled[0, 0, 0].tolist() == [0, 1]
    assert filled[0, 0, 1].tolist() == pytest.approx([0.25, 0.25])


def test_every_size_is_filled():
    generator = torch.Generator().manual_seed(0)
    for height, width in ((1, 1), (1, 7), (5, 1), (9, 13), (16, 16)):
        alpha = torch.zeros(1, 1, height, width)
        alpha[..., -1, -1] = 1
        color = torch.rand(1, 3, height, width, generator=generator)
        filled = fill_transparent(color, alpha)
        torch.testing.assert_close(filled, color[..., -1:, -1:].expand_as(filled))
