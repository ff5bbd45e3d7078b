"""Crops of photos whose pixels encode their position: red is the column, green the row, blue the photo."""

import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from course_lib import sample_names, save_image
from course_lib.data import crops as data_crops
from course_lib.data.crops import Crops
from course_lib.images import ImageError, resample

SIZE = 16


def map_of(height, width, number=0):
    """(1, 3, H, W): column, row and number, each over 255, so that all are exact in 8 bits."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack((columns, rows, torch.full_like(rows, number)))[None] / 255


def crops(photos=None, **options):
    return Crops([map_of(40, 60)] if photos is None else photos, **{"size": SIZE, "length": 400, **options})


def slopes(crop):
    """Width and height of a pixel of the crop in pixels of the photo; measured away from the clamped borders."""
    columns, rows = 255 * crop[0], 255 * crop[1]
    inner = SIZE - 8
    return ((columns[8, -5] - columns[8, 4]) / (inner - 1)).item(), ((rows[-5, 8] - rows[4, 8]) / (inner - 1)).item()


# --- what a crop is ---


def test_a_crop_at_full_detail_is_a_part_of_the_photo_or_its_mirror_image():
    photo, lefts, tops, mirrored = map_of(40, 60), set(), set(), 0
    for crop in crops(scales=(0, 0)):
        assert crop.shape == (3, SIZE, SIZE)
        assert crop.dtype == torch.float32
        left, top = (int((255 * crop[c]).round().min()) for c in (0, 1))
        part = photo[0, :, top : top + SIZE, left : left + SIZE]
        flipped = crop[0, 0, 0] > crop[0, 0, -1]
        torch.testing.assert_close(crop.flip(-1) if flipped else crop, part, rtol=0, atol=1e-6)
        lefts.add(left)
        tops.add(top)
        mirrored += int(flipped)
    assert (min(lefts), max(lefts)) == (0, 60 - SIZE)
    assert (min(tops), max(tops)) == (0, 40 - SIZE)
    assert abs(mirrored - 200) < 40  # four standard deviations of 400 coin flips, √100


def test_the_side_lies_between_the_size_and_the_short_side():
    """A pixel of the crop is side / 16 pixels wide, uniformly distributed from 16 / 16 to 40 / 16."""
    sides = []
    for crop in crops():
        across, down = slopes(crop)
        assert abs(across) == pytest.approx(down, rel=0.02)  # no distortion, and never upside down
        sides.append(SIZE * down)
    sides = torch.tensor(sides)
    assert sides.min() == pytest.approx(16, abs=0.5)
    assert sides.max() == pytest.approx(40, abs=0.5)
    assert sides.mean() == pytest.approx(28, abs=4 * 24 / 12**0.5 / 20)  # four standard deviations of the mean of 400


@pytest.mark.parametrize(("scale", "side"), [(0.0, 16), (0.25, 22), (0.5, 28), (1.0, 40)])
def test_a_scale_chooses_a_part_of_that_range(scale, side):
    for crop in [*crops(scales=(scale, scale), length=20)]:
        assert SIZE * slopes(crop)[1] == pytest.approx(side, rel=0.02)


def test_at_scale_one_the_crop_has_the_whole_short_side():
    for crop in [*crops(scales=(1, 1), length=20)]:
        assert 255 * crop[1, 0].max() < 1.5
        assert 255 * crop[1, -1].min() > 37.5


def test_a_photo_as_large_as_a_crop_is_the_crop():
    photo = map_of(SIZE, SIZE)[0]
    assert all(torch.equal(crop, photo) or torch.equal(crop, photo.flip(-1)) for crop in crops([photo[None]]))


def test_values_have_a_precision_of_eight_bits():
    photo = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    crop = crops([photo], scales=(0, 0))[0]
    error = min((crop - photo[0]).abs().max(), (crop.flip(-1) - photo[0]).abs().max())
    assert error <= 0.5 / 255 + 1e-6
    white, black = crops([torch.ones(1, 3, 20, 20), torch.zeros(1, 3, 20, 20)], scales=(0, 0), length=2)
    assert white.min() == 1
    assert black.max() == 0


# --- which crop it is ---


@pytest.mark.parametrize("scales", [(0.0, 1.0), (0.2, 0.5), (0.0, 0.0)])
def test_an_item_is_computed_from_four_random_numbers_of_its_seed(scales):
    """Scale, row, column, mirror: the rule that the stored training runs used, written out."""
    photo = torch.rand(1, 3, 40, 60, generator=torch.Generator().manual_seed(0))
    kept = photo.mul(255).round() / 255
    ours = crops([photo], scales=scales, seed=2)
    for k in range(20):
        scale, y, x, mirror = torch.rand(4, generator=torch.Generator().manual_seed(2 * 1_000_003 + k)).tolist()
        side = round(SIZE + (scales[0] + (scales[1] - scales[0]) * scale) * (40 - SIZE))
        top, left = round(y * (40 - side)), round(x * (60 - side))
        crop = resample(kept[..., top : top + side, left : left + side], SIZE, SIZE)[0]
        torch.testing.assert_close(ours[k], crop.flip(-1) if mirror < 0.5 else crop, rtol=0, atol=1e-6)


def test_an_item_is_the_same_every_time():
    ours, again = crops(), crops()
    assert len(ours) == 400
    kept = [ours[k] for k in range(20)]
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert all(torch.equal(again[k], kept[k]) for k in reversed(range(20)))
    assert torch.equal(torch.get_rng_state(), before)
    loaded = torch.cat([*DataLoader(again, batch_size=5, num_workers=1)])
    assert torch.equal(loaded[:20], torch.stack(kept))


def test_items_and_seeds_differ():
    ours = torch.stack([*crops(length=50)])
    assert len(ours.flatten(1).unique(dim=0)) == 50
    theirs = torch.stack([*crops(length=50, seed=1)])
    assert not any(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_photos_take_turns_and_each_is_mirrored_half_the_time():
    """Item k is cut from photo k mod 3; each photo is mirrored in half of its items."""
    photos = [map_of(40, 60, number) for number in (0, 100, 200)]
    mirrored = [0, 0, 0]
    for k, crop in enumerate(crops(photos, length=600)):
        assert torch.allclose(crop[2], torch.tensor(k % 3 * 100 / 255))
        mirrored[k % 3] += int(crop[0, 0, 0] > crop[0, 0, -1])
    assert all(abs(count - 100) < 29 for count in mirrored)  # four standard deviations, √50


def test_successive_items_are_mirrored_independently():
    flags = [bool(crop[0, 0, 0] > crop[0, 0, -1]) for crop in crops()]
    alike = sum(a == b for a, b in pairwise(flags))
    assert abs(alike - 200) < 40


@pytest.mark.parametrize("k", [-1, 400])
def test_there_are_no_items_beyond_the_length(k):
    with pytest.raises(IndexError, match=f"crop {k} of 400"):
        crops()[k]


# --- where photos come from ---


def test_a_folder_is_read_in_order_of_names(tmp_path):
    for number, name in ((100, "b.png"), (0, "a.PNG"), (200, "c.webp")):
        save_image(map_of(20, 20, number), tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a photo")
    from_folder = Crops(tmp_path, size=SIZE, length=3)
    blue = [int((255 * crop[2]).mean().round()) for crop in from_folder]
    assert blue == pytest.approx([0, 100, 200], abs=6)  # WebP loses a little
    assert torch.equal(Crops(str(tmp_path), size=SIZE, length=3)[1], from_folder[1])


def test_more_photos_than_crops_are_all_used(monkeypatch):
    monkeypatch.setattr(data_crops, "_LENGTH", 5)
    assert len(Crops([map_of(20, 20)] * 3, size=SIZE)) == 5
    assert len(Crops([map_of(20, 20)] * 7, size=SIZE)) == 7
    assert len(Crops([map_of(20, 20)] * 7, size=SIZE, length=6)) == 6


def test_none_means_the_photos_of_the_package():
    ours = Crops(size=64, length=2)
    assert len(ours.photos) == len(sample_names("photos")) > 0
    assert len(Crops([map_of(20, 20)], size=16)) == 80_000  # as many as COCO's training set had


@pytest.mark.parametrize(
    ("photos", "message"),
    [
        ([], "there are no photos to cut crops from"),
        ([map_of(40, 60), map_of(15, 60)], r"a crop of 16 px needs photos .* photo 1 is \(1, 3, 15, 60\)"),
        ([map_of(40, 60).expand(2, 3, 40, 60)], r"needs photos \(1, 3, H, W\).* photo 0 is \(2, 3, 40, 60\)"),
        ([map_of(40, 60)[0]], r"\(3, 40, 60\)"),
        ([map_of(40, 60)[:, :1]], r"\(1, 1, 40, 60\)"),
        ([(255 * map_of(40, 60)).to(torch.uint8)], "uint8"),
        ([255 * map_of(40, 60)], r"expected \[0, 1\].*255"),
        ([map_of(40, 60) * torch.nan], r"expected \[0, 1\]"),
    ],
    ids=["none", "too small", "two in one", "no batch", "gray", "bytes", "0 to 255", "NaN"],
)
def test_invalid_photos_are_refused(photos, message):
    with pytest.raises(ValueError, match=message):
        crops(photos)


@pytest.mark.parametrize(
    "options",
    [
        *({name: value} for name in ("size", "length") for value in (0, 2.5, "16", True)),
        *({"seed": value} for value in (-1, 1.5, 2**45, "0", None)),
        *({"scales": value} for value in ((0, 1.1), (-0.1, 1), (0.6, 0.4), 0.5, (0, 0.5, 1), ("0", "1"), None)),
    ],
)
def test_invalid_settings_are_refused(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=rf"^{name} must be .*, got {re.escape(repr(value))}$"):
        crops(**options)


def test_numbers_of_any_type_are_taken():
    plain = crops(length=3, seed=5, scales=(0, 1))[1]
    other = crops(size=np.int64(SIZE), length=3.0, seed=torch.tensor(5), scales=[np.float64(0), 1])
    assert len(other) == 3
    assert torch.equal(other[np.int64(1)], plain)
    for k in (0.5, "1", slice(2), None):
        with pytest.raises(TypeError, match="the number of a crop is a whole number from 0 to 2"):
            other[k]


@pytest.mark.parametrize("photos", [5, torch.rand(3, 20, 20), torch.rand(()), np.zeros((1, 3, 20, 20))])
def test_what_is_no_list_of_photos_is_refused(photos):
    with pytest.raises(ValueError, match="photos must be a folder, a list of pictures"):
        crops(photos)


def test_a_batch_is_a_list_of_photos():
    batch = torch.cat([map_of(20, 20, 0), map_of(20, 20, 1)])
    assert len(crops(batch).photos) == 2
    assert torch.equal(crops(batch)[1], crops(list(batch.split(1)))[1])
    with pytest.raises(ImageError, match="^photo 1: expected a torch.Tensor, got str"):
        crops([map_of(20, 20), "a.png"])


def test_a_folder_without_photos_is_refused(tmp_path):
    with pytest.raises(ImageError, match=r"nowhere is not a folder; give a folder of pictures"):
        Crops(tmp_path / "nowhere", size=SIZE)
    with pytest.raises(ValueError, match=r"there are no photos in .*; a folder needs files such as \.jpg"):
        Crops(tmp_path, size=SIZE)
    file = tmp_path / "a.png"
    save_image(map_of(15, 20), file)
    with pytest.raises(ImageError, match="is not a folder"):
        Crops(file, size=SIZE)
    with pytest.raises(
        ValueError, match=r"none of the 1 photos .* can be used: .*a\.png has 20×15 px, and a crop of 16"
    ):
        Crops(tmp_path, size=SIZE)
    file.write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"none of the 1 photos .*a\.png is not a picture in a known format"):
        Crops(tmp_path, size=SIZE)


def test_load_size_gives_all_crops_of_a_photo_one_scale_and_mirror_can_be_switched_off():
    """40 px high, taken as 32: a crop of 16 px is 20 px of the photo."""
    for crop in [*crops(load_size=32, mirror=False, length=20)]:
        across, down = slopes(crop)
        assert (SIZE * across, SIZE * down) == (pytest.approx(20, rel=0.02), pytest.approx(20, rel=0.02))
