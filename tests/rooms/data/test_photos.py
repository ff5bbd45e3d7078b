"""Photos of a folder: what is left out and said, how large they are in memory, and that there may be many."""

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from course_lib import load_image, resize, runtime, save_image
from course_lib.data import photos
from course_lib.data.crops import Crops
from course_lib.data.photos import FolderPhotos


def cut_short(path):
    """A file whose first bytes are those of a picture."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.fixture
def folder(tmp_path, picture):
    """Five photos of 40×48 px, in their order, with what systems leave behind."""
    place = tmp_path / "photos"
    place.mkdir()
    for k in range(5):
        save_image(picture(40, 48, k), place / f"{k}.png")
    (place / "._0.png").write_bytes(b"what macOS leaves")
    (place / ".DS_Store").write_bytes(b"as well")
    (place / "Thumbs.db").write_bytes(b"what Windows leaves")
    (place / "inside").mkdir()
    save_image(picture(40, 48, 9), place / "inside" / "9.png")
    return place


def pixels(path):
    return load_image(path)[0].mul(255).round().to(torch.uint8)


def test_photos_are_the_pixels_of_the_files(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = FolderPhotos(folder, 16)
    assert len(found) == 5
    assert found.nbytes == 5 * 3 * 40 * 48
    for k in (3, 0, 3, 4):
        assert torch.equal(found[k], pixels(folder / f"{k}.png"))
    assert len([*found]) == 5
    for k in (-1, 5):
        with pytest.raises(IndexError, match=f"photo {k} of 5"):
            found[k]


# --- what cannot be used ---


def test_what_cannot_be_used_is_left_out_and_said_once(folder, picture):
    save_image(picture(15, 48, 5), folder / "small.png")
    (folder / "empty.jpg").touch()
    (folder / "page.jpg").write_text("<!DOCTYPE html>")
    (folder / "nowhere.jpg").symlink_to(folder / "gone.jpg")
    with pytest.warns(UserWarning, match="left out") as told:
        found = FolderPhotos(folder, 16)
    (text,) = [str(warning.message) for warning in told]
    assert text.startswith(f"4 of 9 photos in {folder} are left out: {folder / 'empty.jpg'} is empty (0 bytes)")
    assert "nowhere.jpg is a link to " in text
    assert "page.jpg is not a picture" in text
    assert text.endswith("; …")
    assert [Path(file).name for file in found.files] == [f"{k}.png" for k in range(5)]
    for name in ("empty.jpg", "page.jpg"):
        (folder / name).unlink()
    with pytest.warns(UserWarning, match=r"small\.png has 48×15 px, and a crop of 16 px needs a larger one$"):
        FolderPhotos(folder, 16)


def test_a_photo_that_is_damaged_inside_is_replaced_by_the_next_one(folder):
    for k in (1, 4):
        cut_short(folder / f"{k}.png")
    found = FolderPhotos(folder, 16)
    assert len(found) == 5  # their first bytes are right
    for k, other in ((1, 2), (4, 0)):
        with pytest.warns(
            UserWarning, match=rf"{k}\.png could not be read completely .* Training continues without it"
        ):
            assert torch.equal(found[k], pixels(folder / f"{other}.png"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # said once
            assert torch.equal(found[k], pixels(folder / f"{other}.png"))
    again = FolderPhotos(folder, 16)
    with pytest.warns(UserWarning, match=r"4\.png"):
        assert torch.equal(again[4], found[4])


def test_a_folder_of_damaged_photos_is_refused(folder):
    for k in range(5):
        cut_short(folder / f"{k}.png")
    found = FolderPhotos(folder, 16)
    with (
        pytest.warns(UserWarning, match="cut short"),
        pytest.raises(ValueError, match="none of the 5 photos in .* can be read completely"),
    ):
        found[2]


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16", "CMYK"])
def test_every_kind_of_picture_is_looked_at(tmp_path, mode):
    Image.new(mode, (30, 20)).save(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"))
    assert FolderPhotos(tmp_path, 16)[0].shape == (3, 20, 30)


def test_a_picture_too_large_to_read_is_left_out(folder, monkeypatch):
    monkeypatch.setattr(photos, "MAX_PIXELS", 2000)
    monkeypatch.setattr("course_lib.images.MAX_PIXELS", 2000)
    save_image(torch.zeros(1, 3, 50, 50), folder / "large.png")
    with pytest.warns(UserWarning, match=r"1 of 6 photos .*large\.png: the file announces 50 x 50 = 2,500 pixels"):
        assert len(FolderPhotos(folder, 16)) == 5


# --- how large they are ---


def test_a_large_photo_is_reduced_to_two_megabytes(tmp_path, picture):
    """1500 × 1000 px are 4.5 MB; two are 1000 × 667."""
    save_image(picture(1000, 1500, 0), tmp_path / "a.png")
    found = FolderPhotos(tmp_path, 256)
    assert found[0].shape == (3, 667, 1000)
    assert found.nbytes == found[0].nbytes <= 1.001 * photos.PHOTO_BYTES
    expected = resize(load_image(tmp_path / "a.png"), (667, 1000))[0].mul(255).round().to(torch.uint8)
    assert torch.equal(found[0], expected)


def test_a_large_jpeg_is_decoded_in_part_and_looks_the_same(tmp_path, picture, monkeypatch):
    """2400 × 1800 px: the decoder gives 1200 × 900, of which 943 × 707 are made; turned by 90°, as phones do it."""
    save_image(picture(1800, 2400, 0), tmp_path / "a.jpg")
    whole = load_image(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as opened:
        exif = opened.getexif()
        exif[0x0112] = 6  # 90° clockwise
        opened.save(tmp_path / "b.jpg", exif=exif, quality=95)
    shapes = []
    monkeypatch.setattr(photos, "resize", lambda image, size: (shapes.append(image.shape[-2:]), resize(image, size))[1])
    found = FolderPhotos(tmp_path, 256)
    expected = resize(whole, (707, 943))[0]
    assert (found[0].float() / 255 - expected).abs().mean() < 1 / 255
    assert (found[1].float() / 255 - expected.flip(-2).transpose(-1, -2)).abs().mean() < 2 / 255
    assert shapes == [(900, 1200), (1200, 900)]


def test_a_large_photo_keeps_a_short_side_as_long_as_the_crop(tmp_path, monkeypatch, picture):
    monkeypatch.setattr(photos, "PHOTO_BYTES", 3 * 400)
    save_image(picture(40, 100, 0), tmp_path / "a.png")
    assert FolderPhotos(tmp_path, 16)[0].shape == (3, 16, 40)
    crop = Crops(tmp_path, size=16, length=1)[0]
    assert crop.shape == (3, 16, 16)
    save_image(picture(20, 20, 0), tmp_path / "a.png")
    assert FolderPhotos(tmp_path, 16)[0].shape == (3, 20, 20)  # it has 1,200 bytes


def test_what_is_kept_is_bounded(folder, monkeypatch):
    reads = []
    monkeypatch.setattr(photos, "_CACHE", 2 * 3 * 40 * 48)
    found = FolderPhotos(folder, 16)
    monkeypatch.setattr(photos, "load_image", lambda file: (reads.append(Path(file).stem), load_image(file))[1])
    for k in (0, 1, 2, 3) * 2:
        assert torch.equal(found[k], pixels(folder / f"{k}.png"))
    assert reads == ["0", "1", "2", "3", "2", "3"]  # two are kept, the first two


def test_workers_share_the_room(folder, monkeypatch):
    """Each of two keeps one photo where one process would keep two; the crops are the same."""
    monkeypatch.setattr(photos, "_CACHE", 2 * 3 * 40 * 48)
    crops = Crops(folder, size=16, length=10)
    plain = torch.stack([crops[k] for k in range(10)])
    for workers in (1, 2):
        loaded = torch.cat([*DataLoader(Crops(folder, size=16, length=10), batch_size=5, num_workers=workers)])
        assert torch.equal(loaded, plain)


def test_on_an_accelerator_all_are_kept_once_they_were_used(folder, monkeypatch):
    """Where there is room, which is said here of the processor's own memory."""
    monkeypatch.setattr(photos, "_CACHE", 0)
    monkeypatch.setattr(runtime, "has_room", lambda device, count: count == 5 * 3 * 40 * 48)
    crops = Crops(folder, size=16, length=10)
    plain = torch.stack([crops[k] for k in range(10)])
    assert len(crops.photos._kept) == 0
    near = crops.near(torch.device("cpu"))
    assert near is crops
    assert near.device == near.photos.device == torch.device("cpu")
    assert torch.equal(crops.batch([(0, k) for k in range(3)]), plain[:3])
    assert len(crops.photos._kept) == 3
    assert torch.equal(crops.batch([(1, k) for k in range(10)]), plain)
    assert len(crops.photos._kept) == 5


def test_progress_is_reported(folder, monkeypatch):
    monkeypatch.setattr(photos, "_REPORT", 2)
    told = []
    Crops(folder, size=16, progress=lambda done, total: told.append((done, total)))
    assert told == [(2, 5), (4, 5), (5, 5)]


# --- what a checkpoint recognizes ---


def test_a_fingerprint_reads_names_and_sizes_of_files(folder, picture):
    first = Crops(folder, size=16).fingerprint
    assert first.startswith("5 photos, ")
    assert Crops(str(folder), size=16).fingerprint == first
    assert Crops(folder, size=20).fingerprint == first  # the size is another setting of the run
    save_image(picture(40, 48, 7), folder / "2.png")
    second = Crops(folder, size=16).fingerprint
    (folder / "2.png").rename(folder / "20.png")
    third = Crops(folder, size=16).fingerprint
    assert len({first, second, third}) == 3


def test_nothing_is_read_before_it_is_needed(folder, monkeypatch):
    monkeypatch.setattr(photos, "load_image", lambda file: pytest.fail("a photo was read"))
    crops = Crops(folder, size=16)
    assert (len(crops), len(crops.photos), bool(crops.fingerprint)) == (80_000, 5, True)


# --- many ---

MANY = """
import resource, sys, time
from course_lib.data.crops import Crops
from course_lib.methods import johnson
import torch
photos, count = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(1)
began = time.perf_counter()
crops = Crops(photos)
looked = time.perf_counter() - began
assert len(crops) == max(80_000, count) and len(crops.photos) == count, (len(crops), len(crops.photos))
config = johnson.Config(num_steps=int(sys.argv[3]), weights=None, width=0.25, num_blocks=1)
model = johnson.train(torch.rand(1, 3, 64, 64), photos, config)
assert model.stopped is None and model.facts["photos"] == count
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024) / 1024
print(looked, peak)
"""


def trained_on(folder, count, steps):
    """Seconds to look through a folder of `count` links to a few photos, and the peak of a training in GiB."""
    pytest.importorskip("resource")
    for k in range(4):
        Image.effect_mandelbrot((640, 480), (-2, -1.2, 0.8, 1.2), 20 + k).convert("RGB").save(folder / f"{k}.jpg")
    links = folder / "links"
    links.mkdir()
    for k in range(count):
        os.symlink(folder / f"{k % 4}.jpg", links / f"{k:012}.jpg")
    command = [sys.executable, "-c", MANY, str(links), str(count), str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    shutil.rmtree(links)  # pytest keeps its folders for a while
    assert done.returncode == 0, done.stderr
    return [float(word) for word in done.stdout.split()]


@pytest.mark.slow
def test_a_folder_as_large_as_cocos_trains_in_four_gigabytes(tmp_path):
    """118,000 photos of 640 × 480 px would take 109 GB. Half an hour of training may begin within two minutes."""
    seconds, peak = trained_on(tmp_path, 118_000, 8)
    assert seconds < 120
    assert peak < 4


def test_memory_does_not_grow_with_the_number_of_photos(folder, monkeypatch):
    """The short form: of 300 photos, two are kept, however many were cut."""
    monkeypatch.setattr(photos, "_CACHE", 2 * 3 * 40 * 48)
    many = folder / "many"
    many.mkdir()
    for k in range(300):
        os.symlink(folder / f"{k % 5}.png", many / f"{k:03}.png")
    crops = Crops(many, size=16)
    assert (len(crops.photos), len(crops)) == (300, 80_000)
    for k in range(300):
        assert crops[k].shape == (3, 16, 16)
    assert len(crops.photos._kept) == 2
