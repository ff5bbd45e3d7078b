"""Which files of a folder are pictures, what is said about one that cannot be read, and where one can be written."""

import os
import sys
import types

import pytest
from PIL import Image

from course_lib import atomic
from course_lib.images import ImageError, load_image
from course_lib.picture_files import check_writable, pictures_in


def picture(path, size=(4, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (9, 9, 9)).save(path)
    return path


@pytest.fixture
def album(tmp_path):
    """A folder as people have them: hidden files, notes, a subfolder, a dangling link."""
    root = tmp_path / "album"
    for name in ("b.JPG", "a.png", "sub/c.webp", "sub/deep/d.png", ".trash/e.png", "__MACOSX/f.png"):
        picture(root / name)
    for name in ("._a.png", ".hidden.jpg", "notes.txt", "Thumbs.db", "sub/._c.webp"):
        (root / name).write_bytes(b"\0\5\26\7")
    (root / "gone.png").symlink_to(root / "nowhere.png")
    return root


def test_hidden_files_and_files_that_are_no_pictures_are_left_out(album):
    assert [path.name for path in pictures_in(album)] == ["a.png", "b.JPG", "gone.png"]
    assert [path.name for path in pictures_in(album, suffixes=(".jpg",))] == ["b.JPG"]


def test_subfolders_on_request(album):
    found = [path.relative_to(album).as_posix() for path in pictures_in(album, recursive=True)]
    assert found == ["a.png", "b.JPG", "gone.png", "sub/c.webp", "sub/deep/d.png"]


def test_a_loop_of_links_ends(album):
    (album / "sub" / "up").symlink_to(album)
    assert len(pictures_in(album, recursive=True)) == 5


def test_the_home_folder(album, monkeypatch):
    monkeypatch.setenv("HOME", str(album))
    assert [path.name for path in pictures_in("~/sub")] == ["c.webp"]
    assert load_image("~/a.png").shape == (1, 3, 3, 4)
    assert check_writable("~/new.png") == album / "new.png"


def test_no_folder(album):
    with pytest.raises(ImageError, match="a.png is not a folder; give a folder of pictures"):
        pictures_in(album / "a.png")


def test_a_link_that_leads_nowhere_is_named_as_one(album):
    with pytest.raises(ImageError, match=r"gone\.png is a link to .*nowhere\.png, which does not exist"):
        load_image(album / "gone.png")


def test_a_zero_byte_in_a_path():
    with pytest.raises(ImageError, match="contains a zero byte"):
        load_image("a\0b.png")


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


def test_a_heic_picture_is_named_as_such(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    for name in ("IMG_1.HEIC", "renamed.jpg"):
        (tmp_path / name).write_bytes(HEIC)
        with pytest.raises(ImageError, match=rf"{name} is a HEIC picture, as phones take them\. Install pillow-heif"):
            load_image(tmp_path / name)


def test_with_pillow_heif_a_heic_picture_is_tried(tmp_path, monkeypatch):
    asked = []
    package = types.ModuleType("pillow_heif")
    package.register_heif_opener = lambda: asked.append(1)
    monkeypatch.setitem(sys.modules, "pillow_heif", package)
    (tmp_path / "a.heic").write_bytes(HEIC)
    with pytest.raises(ImageError, match="is a HEIC picture"):  # this one only registers itself
        load_image(tmp_path / "a.heic")
    assert asked == [1]


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.gif", "a.tif"])
def test_a_picture_whose_beginning_is_damaged(tmp_path, name):
    data = bytearray(picture(tmp_path / name, (30, 20)).read_bytes())
    data[8:28] = bytes(20)
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ImageError, match=rf"{name} (begins as a \w+ picture but is damaged|could not be read)"):
        load_image(tmp_path / name)


def test_a_file_that_may_not_be_read(album, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(ImageError, match=r"You may not read .*a\.png: its permissions forbid it"):
        load_image(album / "a.png")


def test_a_temporary_file_never_needs_a_longer_name_than_its_target(tmp_path):
    for name in ("x" * 251 + ".png", "ö" * 125 + ".png", "a.png"):
        with atomic.atomic_write(tmp_path / name) as stream:
            stream.write(b"whole")
            (temporary,) = os.listdir(tmp_path)
            assert len(os.fsencode(temporary)) <= 255
            assert temporary.startswith("." + name[:5])
        assert os.listdir(tmp_path) == [name]
        (tmp_path / name).unlink()
