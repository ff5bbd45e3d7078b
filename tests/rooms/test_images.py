"""Pictures: from file to tensor, from tensor to file, and bad input."""

import os
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from course_lib.images import (
    ImageError,
    center_crop,
    check_pictures,
    check_writable,
    from_pil,
    load_image,
    load_with_alpha,
    resize,
    save_image,
    to_pil,
)


def pixel(image, row=0, column=0):
    """The three channel values of one pixel."""
    return image[0, :, row, column].tolist()


def png_header(path, width, height):
    """A PNG whose header announces a size but which has (almost) no data."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


def saved(pil, path, **options):
    pil.save(path, **options)
    return path


# --- reading ---


def test_rgb_values_shape_and_layout(tmp_path):
    pil = Image.new("RGB", (3, 2), (255, 0, 51))
    image = load_image(saved(pil, tmp_path / "a.png"))
    assert image.shape == (1, 3, 2, 3)  # (N, C, H, W), not (W, H)
    assert image.dtype == torch.float32
    assert image.is_contiguous()
    assert pixel(image) == pytest.approx([1.0, 0.0, 0.2])


def test_path_as_str_and_as_path_give_the_same(tmp_path):
    path = saved(Image.new("RGB", (2, 2), (1, 2, 3)), tmp_path / "a.png")
    assert torch.equal(load_image(path), load_image(str(path)))


def test_one_by_one(tmp_path):
    path = saved(Image.new("RGB", (1, 1), (255, 255, 0)), tmp_path / "dot.png")
    assert pixel(load_image(path)) == [1, 1, 0]
    assert load_image(path, size=8).shape == (1, 3, 8, 8)


def test_sixteen_bit_gray_keeps_its_precision(tmp_path):
    array = np.array([[65535, 32768, 1, 0]], dtype=np.uint16)
    image = load_image(saved(Image.fromarray(array), tmp_path / "deep.png"))
    assert image.shape == (1, 3, 1, 4)
    for channel in image[0]:
        assert channel[0].tolist() == pytest.approx([1.0, 32768 / 65535, 1 / 65535, 0.0], abs=1e-7)


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I"])
def test_sixteen_bit_in_every_byte_order(mode):
    order, wide = (">" if mode == "I;16B" else "<"), mode == "I"
    data = np.array([65535, 256], dtype=order + ("i4" if wide else "u2")).tobytes()
    image = from_pil(Image.frombytes(mode, (2, 1), data))
    assert image[0, 0, 0].tolist() == pytest.approx([1.0, 256 / 65535])


def test_sixteen_bit_transparent_value_becomes_white(tmp_path):
    array = np.array([[0, 300]], dtype=np.uint16)
    path = saved(Image.fromarray(array), tmp_path / "key.png", transparency=300)
    assert load_image(path)[0, 0, 0].tolist() == [0.0, 1.0]


def test_float_gray_is_kept_as_it_is_and_refused_on_another_scale():
    assert pixel(from_pil(Image.new("F", (1, 1), 0.25))) == [0.25] * 3
    with pytest.raises(ImageError, match=r"run from 3 to 3, expected 0 to 1"):
        from_pil(Image.new("F", (1, 1), 3.0))
    with pytest.raises(ImageError, match="expected 0 to 1"):
        from_pil(Image.new("F", (1, 1), float("nan")))
    with pytest.raises(ImageError, match="expected 0 to 65535"):
        from_pil(Image.new("I", (1, 1), 70000))


def test_gray_becomes_three_equal_channels(tmp_path):
    image = load_image(saved(Image.new("L", (2, 2), 102), tmp_path / "gray.png"))
    assert pixel(image) == pytest.approx([0.4] * 3)


def test_one_bit_is_black_and_white(tmp_path):
    pil = Image.new("1", (2, 1), 0)
    pil.putpixel((1, 0), 1)
    assert load_image(saved(pil, tmp_path / "bits.png"))[0, 0, 0].tolist() == [0.0, 1.0]


def test_palette(tmp_path):
    pil = Image.new("P", (2, 1), 1)
    pil.putpalette([0, 0, 0, 255, 0, 51])
    assert pixel(load_image(saved(pil, tmp_path / "palette.png"))) == pytest.approx([1.0, 0.0, 0.2])


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_palette_with_a_transparent_entry(tmp_path, suffix):
    pil = Image.new("P", (2, 1), 1)
    pil.putpixel((1, 0), 0)
    pil.putpalette([0, 0, 0, 255, 0, 51])
    image = load_image(saved(pil, tmp_path / f"palette{suffix}", transparency=0))
    assert pixel(image, 0, 0) == pytest.approx([1.0, 0.0, 0.2])
    assert pixel(image, 0, 1) == [1, 1, 1]


def test_transparent_pixels_become_white_and_half_transparent_ones_half(tmp_path):
    pil = Image.new("RGBA", (3, 1), (255, 0, 0, 255))
    pil.putpixel((1, 0), (255, 0, 0, 0))
    pil.putpixel((2, 0), (255, 0, 0, 51))  # opacity 0.2: green and blue are 0 * 0.2 + 0.8
    image = load_image(saved(pil, tmp_path / "alpha.png"))
    assert pixel(image, 0, 0) == [1, 0, 0]
    assert pixel(image, 0, 1) == [1, 1, 1]
    assert pixel(image, 0, 2) == pytest.approx([1.0, 0.8, 0.8])


def test_gray_with_alpha(tmp_path):
    pil = Image.new("LA", (2, 1), (0, 255))
    pil.putpixel((1, 0), (0, 0))
    assert load_image(saved(pil, tmp_path / "la.png"))[0, 0, 0].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(("mode", "color"), [("RGBa", (51, 0, 0, 51)), ("La", (51, 51)), ("PA", (1, 51))])
def test_rare_modes_with_alpha_are_blended_with_white_too(mode, color):
    pil = Image.frombytes(mode, (1, 1), bytes(color))
    if mode == "PA":
        pil.putpalette([0, 0, 0, 255, 0, 0])
    expected = [1.0, 1.0, 1.0] if mode == "La" else [1.0, 0.8, 0.8]  # white, and red, at opacity 0.2
    assert pixel(from_pil(pil)) == pytest.approx(expected, abs=0.005)


def test_one_color_marked_transparent(tmp_path):
    pil = Image.new("RGB", (2, 1), (9, 9, 9))
    pil.putpixel((1, 0), (0, 0, 0))
    image = load_image(saved(pil, tmp_path / "key.png", transparency=(9, 9, 9)))
    assert pixel(image, 0, 0) == [1, 1, 1]
    assert pixel(image, 0, 1) == [0, 0, 0]


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_black_is_dark_and_no_ink_is_white(tmp_path, suffix):
    black = saved(Image.new("CMYK", (8, 8), (0, 0, 0, 255)), tmp_path / f"black{suffix}")
    white = saved(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), tmp_path / f"white{suffix}")
    cyan = saved(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), tmp_path / f"cyan{suffix}")
    assert load_image(black).max() < 0.05
    assert load_image(white).min() > 0.95
    red, green, blue = pixel(load_image(cyan))
    assert red < 0.2 < 0.6 < min(green, blue)


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "LAB", "RGBX"])
def test_white_is_light_in_every_color_space(mode):
    bands = {"YCbCr": (255, 128, 128), "HSV": (0, 0, 255), "LAB": (255, 128, 128), "RGBX": (255, 255, 255, 0)}
    assert from_pil(Image.new(mode, (2, 2), bands[mode])).min() > 0.95


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [(".jpg", "RGB"), (".png", "RGB"), (".webp", "RGB"), *((".tif", mode) for mode in ("RGB", "L", "CMYK"))],
)
def test_exif_orientation_6_turns_the_picture_clockwise(tmp_path, suffix, mode):
    pil = Image.new("RGB", (16, 8), (0, 0, 0))
    pil.paste((255, 255, 255), (0, 0, 8, 8))  # the left half is white
    pil = pil.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    image = load_image(saved(pil, tmp_path / f"phone{suffix}", exif=exif))
    assert image.shape == (1, 3, 16, 8)
    assert image[..., :7, :].min() > 0.9
    assert image[..., 9:, :].max() < 0.1


def test_a_damaged_file_ends_in_one_sentence_without_warnings(tmp_path):
    path = saved(Image.new("1", (1, 1)), tmp_path / "a.tiff")
    data = bytearray(path.read_bytes())
    data[4] ^= 2  # the directory begins in the middle of an entry: Pillow warns of thirty tags
    path.write_bytes(data)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(ImageError, match=r"a\.tiff"):
            load_image(path)
    assert not said


def test_with_damaged_exif_only_the_rotation_is_lost(tmp_path):
    path = saved(Image.new("RGB", (4, 2), (255, 0, 0)), tmp_path / "a.jpg", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff")
    assert load_image(path).shape == (1, 3, 2, 4)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif"])
def test_of_an_animation_the_first_frame(tmp_path, suffix):
    frames = [Image.new("RGB", (8, 8), color) for color in [(255, 0, 0), (0, 255, 0), (0, 0, 255)]]
    path = saved(frames[0], tmp_path / f"moving{suffix}", save_all=True, append_images=frames[1:])
    red, green, blue = pixel(load_image(path))
    assert red > 0.9
    assert green < 0.1
    assert blue < 0.1


def test_from_pil_does_not_change_its_input():
    pil = Image.new("RGBA", (2, 2), (1, 2, 3, 4))
    from_pil(pil)
    assert pil.mode == "RGBA"
    assert pil.getpixel((0, 0)) == (1, 2, 3, 4)


# --- bad files ---


def test_missing_path_names_similar_ones(tmp_path):
    saved(Image.new("RGB", (1, 1)), tmp_path / "Castle.png")
    with pytest.raises(ImageError, match=r"castel\.png does not exist\. Did you mean 'Castle\.png'\?"):
        load_image(tmp_path / "castel.png")


def test_missing_path_with_nothing_similar(tmp_path):
    with pytest.raises(ImageError, match="No name there is similar"):
        load_image(tmp_path / "castle.png")


def test_missing_folder(tmp_path):
    with pytest.raises(ImageError, match="nor does its folder"):
        load_image(tmp_path / "nowhere" / "castle.png")


def test_folder(tmp_path):
    saved(Image.new("RGB", (1, 1)), tmp_path / "one.png")
    with pytest.raises(ImageError, match=r"is a folder with 1 picture, for example 'one\.png'"):
        load_image(tmp_path)


def test_empty_file(tmp_path):
    (tmp_path / "nothing.jpg").touch()
    with pytest.raises(ImageError, match=r"nothing\.jpg is empty \(0 bytes\)"):
        load_image(tmp_path / "nothing.jpg")


def test_text_renamed_to_jpg(tmp_path):
    (tmp_path / "page.jpg").write_text("<!DOCTYPE html><html>not here</html>")
    with pytest.raises(ImageError, match=r"not a picture in a known format.*<!DOCTYPE.*web page"):
        load_image(tmp_path / "page.jpg")


def test_truncated_jpeg(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(Image.fromarray(noise), tmp_path / "half.jpg")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match=r"half\.jpg could not be read completely.*cut short"):
        load_image(path)


def test_truncated_png(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(Image.fromarray(noise), tmp_path / "half.png")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match="could not be read completely"):
        load_image(path)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("side", "count"), [(30_000, "900,000,000"), (12_000, "144,000,000"), (9_000, "81,000,000")])
def test_huge_header_is_refused_before_decoding(tmp_path, monkeypatch, side, count):
    def decode(self):
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    path = png_header(tmp_path / "bomb.png", side, side)
    with pytest.raises(ImageError, match=f"{count} pixels, the limit is 80,000,000.*Make it smaller"):
        load_image(path, size=64)


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
def test_huge_header_where_warnings_are_errors(tmp_path):
    with pytest.raises(ImageError, match="144,000,000 pixels, the limit is 80,000,000"):
        load_image(png_header(tmp_path / "bomb.png", 12_000, 12_000))


def test_postscript_is_not_run(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    with pytest.raises(ImageError, match="not a picture in a known format"):
        load_image(tmp_path / "a.png")


def test_not_a_path(tmp_path):
    path = saved(Image.new("RGB", (1, 1)), tmp_path / "a.png")
    with (
        open(path, "rb") as file,
        pytest.raises(ImageError, match="A path is str or Path, got BufferedReader"),
    ):
        load_image(file)


def test_from_pil_refuses_anything_but_a_picture():
    with pytest.raises(ImageError, match="Expected a PIL picture, got ndarray"):
        from_pil(np.zeros((2, 2, 3)))
    with pytest.raises(ImageError, match="at least 1 x 1"):
        from_pil(Image.new("RGB", (0, 5)))


# --- resize and crop ---


def test_resize_by_long_side_short_side_and_exactly():
    image = torch.rand(1, 3, 30, 60, generator=torch.Generator().manual_seed(0))
    assert resize(image, 20).shape == (1, 3, 10, 20)
    assert resize(image, 20, side="short").shape == (1, 3, 20, 40)
    assert resize(image, (7, 9)).shape == (1, 3, 7, 9)
    assert resize(image.mT.contiguous(), 20).shape == (1, 3, 20, 10)
    assert resize(image.expand(4, -1, -1, -1), 20).shape == (4, 3, 10, 20)


def test_resize_to_the_same_size_changes_nothing():
    image = torch.rand(1, 3, 9, 12, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(resize(image, 12), image)


def test_half_size_of_a_checkerboard_is_gray():
    board = (torch.arange(32)[:, None] + torch.arange(32)) % 2
    half = resize(board.float().expand(1, 3, -1, -1), 16)
    assert (half - 0.5).abs().max() < 0.02


def test_quarter_size_of_fine_stripes_is_gray():
    stripes = torch.tensor([0.0, 1.0, 1.0, 0.0]).repeat(16).expand(1, 3, 64, 64)
    # Plain bicubic looks at 4 columns only, with weights -3, 19, 19, -3 (of 32): white everywhere.
    plain = torch.nn.functional.interpolate(stripes, (16, 16), mode="bicubic")
    assert plain.min() > 1
    assert (resize(stripes, 16)[..., 2:-2] - 0.5).abs().max() < 0.1


def test_resize_stays_in_range_although_bicubic_overshoots():
    edge = torch.zeros(1, 3, 8, 8)
    edge[..., 4:] = 1
    plain = torch.nn.functional.interpolate(edge, (29, 29), mode="bicubic", antialias=True)
    assert plain.min() < 0
    assert plain.max() > 1
    big = resize(edge, 29)
    assert big.min() >= 0
    assert big.max() <= 1


def test_resize_keeps_a_constant_the_dtype_and_the_gradient():
    gray = torch.full((1, 3, 10, 10), 0.25, dtype=torch.float64, requires_grad=True)
    small = resize(gray, 5)
    assert small.dtype == torch.float64
    torch.testing.assert_close(small, torch.full_like(small, 0.25))
    small.sum().backward()
    assert gray.grad.sum().item() == pytest.approx(3 * 5 * 5)  # each output's weights sum to one
    assert resize(gray.detach().bfloat16(), 5).dtype == torch.bfloat16


def test_resize_never_makes_an_empty_side():
    assert resize(torch.zeros(1, 3, 1, 500), 50).shape == (1, 3, 1, 50)


@pytest.mark.parametrize("size", [0, -3, 2.5, "64", True, (4,), (4, 0), (4, 5, 6), None, np.ones(2)])
def test_resize_refuses_a_bad_size(size):
    with pytest.raises(ImageError, match="whole number from 1 up"):
        resize(torch.zeros(1, 3, 4, 4), size)


@pytest.mark.parametrize("size", [2.0, np.int64(2), np.float32(2), torch.tensor(2), (2, 2.0), [np.int32(2), 2]])
def test_resize_takes_a_whole_number_of_any_type(size):
    assert resize(torch.zeros(1, 3, 4, 4), size).shape == (1, 3, 2, 2)


def test_resize_refuses_an_unknown_side():
    with pytest.raises(ImageError, match="got 'width'"):
        resize(torch.zeros(1, 3, 4, 4), 2, side="width")


def test_resize_refuses_sizes_beyond_the_limit():
    with pytest.raises(ImageError, match="5,120,000 x 512 = 2,621,440,000 pixels"):
        resize(torch.zeros(1, 3, 1, 10_000), 512, side="short")


def test_resize_refuses_the_scale_0_to_255():
    with pytest.raises(ImageError, match="by 255 first"):
        resize(torch.full((1, 3, 4, 4), 200.0), 2)


def test_load_image_resizes(tmp_path):
    path = saved(Image.new("RGB", (40, 20)), tmp_path / "a.png")
    assert load_image(path, 10).shape == (1, 3, 5, 10)
    assert load_image(path, 10, side="short").shape == (1, 3, 10, 20)
    assert load_image(path, (3, 4)).shape == (1, 3, 3, 4)


def test_center_crop_takes_the_middle():
    image = torch.arange(5.0).expand(1, 3, 4, 5) / 5
    assert center_crop(image, (2, 3))[0, 0].tolist() == [pytest.approx([0.2, 0.4, 0.6])] * 2
    assert center_crop(image, 4).shape == (1, 3, 4, 4)
    assert center_crop(image, 4)[0, 0, 0].tolist() == pytest.approx([0, 0.2, 0.4, 0.6])  # odd margin: right
    assert center_crop(image, 4).is_contiguous()


def test_center_crop_larger_than_the_picture():
    with pytest.raises(ImageError, match="8 high and 8 wide does not fit into a picture 4 high and 5 wide"):
        center_crop(torch.zeros(1, 3, 4, 5), 8)


@pytest.mark.parametrize("verb", [lambda x: resize(x, 2), lambda x: center_crop(x, 2), to_pil])
@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((1, 3, 4, 4)), "torch.Tensor, got ndarray"),
        (torch.zeros(1, 1, 4, 4), r"shape \(1, 1, 4, 4\), expected \(N, 3, H, W\)"),
        (torch.zeros(1, 4, 4, 3), r"The channels come last"),
        (torch.zeros(4, 5, 3), r"shape \(4, 5, 3\), .* The channels come last"),
        (torch.zeros(4, 4), r"shape \(4, 4\)"),
        (torch.zeros(1, 3, 0, 4), "with no side 0"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.uint8), "uint8, expected floats"),
    ],
)
def test_wrong_tensors_are_explained(verb, image, message):
    with pytest.raises(ImageError, match=message):
        verb(image)


def test_check_pictures_refuses_tensors_that_are_not_pictures():
    rounded = torch.tensor([-0.0009, 0.5, 1.0009]).view(1, 3, 1, 1)
    for good in (torch.rand(2, 3, 4, 5), torch.zeros(1, 3, 1, 1), rounded):
        check_pictures(good)
    for low, high in ((-0.1, 1.0), (0.0, 1.1), (0.0, 255.0), (0.0, float("nan")), (0.0, float("inf"))):
        image = torch.zeros(1, 3, 2, 2)
        image[0, 0, 0, :] = torch.tensor([low, high])
        with pytest.raises(ImageError, match=r"expected \[0, 1\]\. Read files with load_image"):
            check_pictures(image)
    with pytest.raises(ImageError, match=r"shape \(3, 4, 4\), expected \(N, 3, H, W\)"):
        check_pictures(torch.zeros(3, 4, 4))
    with pytest.raises(ImageError, match="uint8, expected floats"):
        check_pictures(torch.zeros(1, 3, 4, 4, dtype=torch.uint8))


# --- writing ---


def test_a_png_round_trip_is_exact_to_half_a_level(tmp_path):
    image = torch.rand(1, 3, 13, 17, generator=torch.Generator().manual_seed(0))
    save_image(image, tmp_path / "a.png")
    back = load_image(tmp_path / "a.png")
    assert (back - image).abs().max() <= 0.5 / 255 + 1e-7
    save_image(back, tmp_path / "b.png")
    assert torch.equal(load_image(tmp_path / "b.png"), back)


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".webp", ".PNG"])
def test_each_suffix_gives_its_format(tmp_path, suffix):
    save_image(torch.full((3, 16, 16), 0.5), tmp_path / f"a{suffix}")
    with Image.open(tmp_path / f"a{suffix}") as pil:
        expected = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".png": "PNG"}[suffix.lower()]
        assert pil.format == expected
        assert pil.size == (16, 16)
        assert pil.mode == "RGB"
    assert (load_image(tmp_path / f"a{suffix}") - 0.5).abs().max() < 0.02


def test_jpeg_keeps_a_thin_colored_stroke(tmp_path):
    image = torch.zeros(1, 3, 32, 32)
    image[:, 0, :, 15] = 1.0  # a red line one pixel wide; halved color would spread it over two
    save_image(image, tmp_path / "a.jpg")
    back = load_image(tmp_path / "a.jpg")
    assert back[0, 0, :, 15].min() > 0.8
    assert back[0, 0, :, 16].max() < 0.2


def test_quality_matters(tmp_path):
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    save_image(image, tmp_path / "low.jpg", quality=20)
    save_image(image, tmp_path / "high.jpg")
    assert (tmp_path / "low.jpg").stat().st_size < (tmp_path / "high.jpg").stat().st_size


def test_save_accepts_gradients_half_precision_and_a_tiny_overshoot(tmp_path):
    save_image(torch.rand(1, 3, 4, 4).requires_grad_(), tmp_path / "a.png")
    save_image(torch.rand(1, 3, 4, 4).bfloat16(), tmp_path / "b.png")
    save_image(torch.full((1, 3, 1, 1), 1.0015), tmp_path / "c.png")
    assert pixel(load_image(tmp_path / "c.png")) == [1, 1, 1]


def test_to_pil_rounds_to_the_nearest_level():
    assert to_pil(torch.full((3, 1, 1), 0.999 / 255)).getpixel((0, 0)) == (1, 1, 1)
    assert to_pil(torch.full((3, 1, 1), 0.4 / 255)).getpixel((0, 0)) == (0, 0, 0)


def test_unknown_suffix(tmp_path):
    with pytest.raises(ImageError, match=r"unknown suffix '\.bmq'; use one of \.png, \.jpg, \.jpeg, \.webp"):
        save_image(torch.zeros(1, 3, 2, 2), tmp_path / "a.bmq")
    with pytest.raises(ImageError, match="unknown suffix ''"):
        save_image(torch.zeros(1, 3, 2, 2), tmp_path / "a")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_not_finite(tmp_path, bad):
    image = torch.zeros(1, 3, 2, 2)
    image[0, 1, 0, 0] = bad
    with pytest.raises(ImageError, match="1 of 12 values are NaN or infinite"):
        save_image(image, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [255.0, -1.0, 1.01])
def test_values_out_of_range(tmp_path, value):
    with pytest.raises(ImageError, match=r"expected \[0, 1\]\. Divide by 255"):
        save_image(torch.full((1, 3, 2, 2), value), tmp_path / "a.png")


def test_a_batch_is_not_one_picture(tmp_path):
    with pytest.raises(ImageError, match="holds 2 pictures"):
        save_image(torch.zeros(2, 3, 2, 2), tmp_path / "a.png")


def test_target_folder_missing_or_target_a_folder(tmp_path):
    with pytest.raises(ImageError, match="does not exist"):
        save_image(torch.zeros(1, 3, 2, 2), tmp_path / "nowhere" / "a.png")
    (tmp_path / "b.png").mkdir()
    with pytest.raises(ImageError, match="is a folder"):
        save_image(torch.zeros(1, 3, 2, 2), tmp_path / "b.png")


def test_read_only_file_stays(tmp_path):
    path = saved(Image.new("RGB", (1, 1), (1, 2, 3)), tmp_path / "old.png")
    before = path.read_bytes()
    path.chmod(0o444)
    with pytest.raises(ImageError, match="is write-protected; choose another name, or make it writable"):
        save_image(torch.zeros(1, 3, 2, 2), path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), ValueError("encoder")])
def test_a_failing_encoder_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, failure):
    path = saved(Image.new("RGB", (1, 1), (1, 2, 3)), tmp_path / "old.png")
    before = path.read_bytes()

    def half_written(self, file, **options):
        file.write(b"half a picture")
        raise failure

    monkeypatch.setattr(Image.Image, "save", half_written)
    with pytest.raises(ImageError, match=r"could not be written .* already there is intact") as caught:
        save_image(torch.zeros(1, 3, 2, 2), path)
    assert "[Errno" not in str(caught.value)
    assert ("Make room in the folder" in str(caught.value)) == isinstance(failure, OSError)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["old.png"]


def test_an_interrupted_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = saved(Image.new("RGB", (1, 1), (1, 2, 3)), tmp_path / "old.png")
    before = path.read_bytes()

    def interrupted(self, file, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_image(torch.zeros(1, 3, 2, 2), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["old.png"]


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def refuse(source, target):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(ImageError, match="Permission denied"):
        save_image(torch.zeros(1, 3, 2, 2), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("suffix", "most"), [(".webp", 16_383), (".jpg", 65_500)])
def test_a_picture_too_wide_for_its_format(tmp_path, suffix, most):
    save_image(torch.zeros(1, 3, 1, most), tmp_path / f"just{suffix}")
    assert load_image(tmp_path / f"just{suffix}").shape == (1, 3, 1, most)
    for size in ((1, most + 1), (most + 1, 1)):
        with pytest.raises(ImageError, match=f"can hold at most {most:,} pixels on a side. Use .png"):
            check_writable(tmp_path / f"wide{suffix}", size)
        with pytest.raises(ImageError, match=f"can hold at most {most:,} pixels on a side"):
            save_image(torch.zeros(1, 3, *size), tmp_path / f"wide{suffix}")
    check_writable(tmp_path / "wide.png", (1, most + 1))
    assert [path.name for path in tmp_path.iterdir()] == [f"just{suffix}"]


def test_the_longest_name_can_be_written_and_a_longer_one_is_refused_before(tmp_path):
    longest = "ä" * 125 + "x.png"  # 255 bytes: the temporary file's name has to be shorter than this one's and 14
    save_image(torch.zeros(1, 3, 2, 2), tmp_path / longest)
    assert os.listdir(tmp_path) == [longest]
    with pytest.raises(ImageError, match="has a name of 256 bytes, and 255 are allowed; use a shorter one"):
        check_writable(tmp_path / f"x{longest}")
    with pytest.raises(ImageError, match="cannot be read: File name too long"):
        load_image(tmp_path / f"x{longest}")


def test_saving_through_a_link_replaces_the_file_it_points_to(tmp_path):
    path = saved(Image.new("RGB", (1, 1)), tmp_path / "real.png")
    (tmp_path / "link.png").symlink_to(path)
    save_image(torch.ones(1, 3, 2, 2), tmp_path / "link.png")
    assert (tmp_path / "link.png").is_symlink()
    assert load_image(path).shape == (1, 3, 2, 2)


# --- opacity apart from color ---


def with_alpha(path, rows, **options):
    """An RGBA picture from a list of rows of (R, G, B, A)."""
    return saved(Image.fromarray(np.array(rows, dtype=np.uint8)), path, **options)


RED, CLEAR, FAINT = (255, 0, 0, 255), (0, 0, 0, 0), (0, 0, 255, 51)  # opaque red; nothing, in black; blue at 0.2


def test_color_and_opacity_apart(tmp_path):
    color, alpha = load_with_alpha(with_alpha(tmp_path / "a.png", [[RED, CLEAR, FAINT, FAINT]]))
    assert alpha[0, 0, 0].tolist() == pytest.approx([1, 0, 0.2, 0.2])
    assert pixel(color, 0, 0) == [1, 0, 0]
    assert pixel(color, 0, 1) == [1, 0, 0]  # the color of its neighbor, not black: its square of two pixels is 0 and 1
    assert pixel(color, 0, 2) == [0, 0, 1]  # not blended with anything


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_an_opaque_picture_has_no_opacity_and_the_colors_of_load_image(tmp_path, mode):
    path = saved(Image.new(mode, (3, 2), 77), tmp_path / "plain.png")
    opaque = with_alpha(tmp_path / "opaque.png", [[(77, 77, 77, 255)] * 3] * 2)
    for file in (path, opaque):
        for size in (None, 5):
            color, alpha = load_with_alpha(file, size)
            assert alpha is None
            assert torch.equal(color, load_image(file, size))


def test_a_picture_without_anything_visible_is_white(tmp_path):
    color, alpha = load_with_alpha(with_alpha(tmp_path / "a.png", [[CLEAR] * 3] * 3))
    assert color.min() == 1
    assert alpha.max() == 0


@pytest.mark.parametrize("beside", [0, 64])
def test_opacity_is_resized_with_the_colors_weighted_by_it(tmp_path, beside):
    """Opaque beside clear, which is black, and beside faint: one color comes out, although resized edges overshoot."""
    rows = [[(51, 102, 204, 255)] * 8 + [(51, 102, 204, 64) if beside else CLEAR] * 8] * 16
    path = with_alpha(tmp_path / "half.png", rows)
    for size in (5, 40, (7, 9)):
        color, alpha = load_with_alpha(path, size)
        expected = torch.tensor([0.2, 0.4, 0.8]).view(1, 3, 1, 1).expand_as(color)
        torch.testing.assert_close(color, expected, rtol=0, atol=1e-4)
        assert alpha[..., 0].min() > 0.95
        assert alpha[..., -1].max() == pytest.approx(beside / 255, abs=0.05)
        on_white = color * alpha + 1 - alpha
        assert (on_white - load_image(path, size)).abs().max() < 0.06  # its edges overshoot by 7 %, opacity cannot


def test_sixteen_bit_gray_with_a_transparent_value(tmp_path):
    path = saved(Image.fromarray(np.array([[0, 300]], dtype=np.uint16)), tmp_path / "key.png", transparency=300)
    color, alpha = load_with_alpha(path)
    assert alpha[0, 0, 0].tolist() == [1, 0]
    assert color.max() == 0


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_opacity_is_written_and_read_again(tmp_path, suffix):
    generator = torch.Generator().manual_seed(0)
    alpha = torch.linspace(0, 1, 16).expand(1, 1, 16, 16).contiguous()
    image = torch.rand(1, 3, 16, 16, generator=generator) if suffix == ".png" else torch.full((1, 3, 16, 16), 0.3)
    save_image(image, tmp_path / f"a{suffix}", alpha=alpha)
    with Image.open(tmp_path / f"a{suffix}") as pil:
        assert pil.mode == "RGBA"
    color, back = load_with_alpha(tmp_path / f"a{suffix}")
    assert (back - alpha).abs().max() <= 0.5 / 255 + 1e-6
    assert (color - image)[..., 1:].abs().max() <= (0.5 / 255 + 1e-6 if suffix == ".png" else 0.03)


def test_a_jpeg_has_no_opacity_and_is_laid_on_white(tmp_path):
    alpha = torch.tensor([1.0, 0.0]).repeat_interleave(16).expand(1, 1, 32, 32)
    save_image(torch.zeros(1, 3, 32, 32), tmp_path / "a.jpg", alpha=alpha)
    color, back = load_with_alpha(tmp_path / "a.jpg")
    assert back is None
    assert color[..., :12].max() < 0.05
    assert color[..., 20:].min() > 0.95


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize(
    ("alpha", "message"),
    [
        (torch.ones(1, 1, 3, 4), r"alpha must be a tensor \(1, 1, 4, 4\) for this picture, got \(1, 1, 3, 4\)"),
        (torch.ones(1, 3, 4, 4), r"alpha must be a tensor \(1, 1, 4, 4\)"),
        (np.ones((1, 1, 4, 4)), "got ndarray"),
        (torch.full((1, 1, 4, 4), 255.0), "Values run from 255 to 255"),
        (torch.full((1, 1, 4, 4), float("nan")), "NaN or infinite"),
    ],
)
def test_an_opacity_that_does_not_fit_is_refused(tmp_path, suffix, alpha, message):
    with pytest.raises(ImageError, match=message):
        save_image(torch.zeros(1, 3, 4, 4), tmp_path / f"a{suffix}", alpha=alpha)
    assert list(tmp_path.iterdir()) == []
