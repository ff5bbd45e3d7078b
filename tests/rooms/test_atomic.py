"""Whole files or none: what is in the way of a file, asked before hours of work."""

import errno
import os
from pathlib import Path

import pytest

from course_lib.atomic import atomic_write, is_full, obstacle, room_for


def test_where_nothing_is_in_the_way_nothing_is_left(tmp_path):
    assert obstacle(tmp_path / "new.png") is None
    (tmp_path / "old.png").write_text("old")
    assert obstacle(tmp_path / "old.png") is None
    assert [path.name for path in tmp_path.iterdir()] == ["old.png"]
    assert (tmp_path / "old.png").read_text() == "old"


def test_what_is_in_the_way_is_named(tmp_path):
    (tmp_path / "file").write_text("a file")
    (tmp_path / "guarded").write_text("precious")
    (tmp_path / "guarded").chmod(0o444)
    assert obstacle(tmp_path) == "is a folder; give the name of a file"
    assert (
        obstacle(tmp_path / "nowhere" / "a.png") == f"cannot be written, because {tmp_path / 'nowhere'} does not exist"
    )
    assert obstacle(tmp_path / "file" / "a.png") == (
        f"cannot be written, because {tmp_path / 'file'} is a file, not a folder"
    )
    assert obstacle(tmp_path / "guarded") == "is write-protected; choose another name, or make it writable"


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127, "x" * 250 + ".png"])
def test_names_are_counted_in_bytes(tmp_path, name):
    """255 are allowed; while it is written, a file has another name, which must be no longer."""
    bytes_of_it = len(os.fsencode(name))
    if bytes_of_it <= 255:
        assert obstacle(tmp_path / name) is None
        with atomic_write(tmp_path / name) as stream:
            stream.write(b"x")
        assert (tmp_path / name).read_bytes() == b"x"
    longer = name + "x" * (256 - bytes_of_it)
    assert obstacle(tmp_path / longer) == "has a name of 256 bytes, and 255 are allowed; use a shorter one"


@pytest.mark.parametrize(
    ("number", "full", "advice"),
    [(errno.ENOSPC, True, "make room there"), (errno.EROFS, False, "choose another folder")],
)
def test_what_only_a_try_can_find(tmp_path, monkeypatch, number, full, advice):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "open", refuse)
    assert obstacle(tmp_path / "a.png") == f"cannot be written ({os.strerror(number)}); {advice}"
    assert is_full(OSError(number, "")) == full


def test_how_much_room_is_needed_is_said(tmp_path):
    text = room_for(25_600_000, tmp_path)
    assert text.startswith(f"Make room in {tmp_path}: 25.6 MB are needed, and ")
    assert text.endswith(" MB are free.")
