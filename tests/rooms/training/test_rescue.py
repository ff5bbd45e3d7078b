"""Where a trained model goes if there is no room for it at its place."""

import errno
import os
import tempfile

import pytest
import torch

from course_lib.training.model_files import ModelError
from course_lib.training.rescue import save_somewhere

EVERYWHERE = {"runs", "tmp", "home", "here"}


class Disk:
    """Four folders; each write fails as `full` or `closed` says. A model takes 1 unit, a checkpoint 3."""

    def __init__(self, folder):
        self.path, self.checkpoint = folder / "runs" / "wave.safetensors", folder / "runs" / "wave.checkpoint"
        self.path.parent.mkdir()
        self.full, self.closed = set(), set()

    def save(self, path):
        place = path.relative_to(self.path.parents[1]).parts[0]
        fits = place not in self.full or (place == "runs" and not self.checkpoint.exists())
        if place in self.closed or not fits:
            number = errno.EACCES if place in self.closed else errno.ENOSPC
            raise ModelError(f"{path} could not be written ({os.strerror(number)})") from OSError(number, "")
        path.write_text("model")

    def has_checkpoint(self, steps):
        torch.save({"rows": [[0.0]] * steps}, self.checkpoint)


@pytest.fixture
def disk(tmp_path, monkeypatch):
    for name in ("tmp", "home", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return Disk(tmp_path)


def finish(disk):
    return save_somewhere(disk.save, disk.path, disk.checkpoint, steps=10)


def elsewhere(disk):
    """What is in the other folders, folders as well."""
    places = [path for path in disk.path.parents[1].iterdir() if path.name != "runs"]
    return [path for place in places for path in place.rglob("*")]


@pytest.mark.parametrize("steps", [0, 10])
def test_where_there_is_room_the_checkpoint_goes(disk, steps):
    if steps:
        disk.has_checkpoint(steps)
    assert finish(disk) == disk.path
    assert [*disk.path.parent.iterdir()] == [disk.path]


def test_the_room_of_the_checkpoint_is_used_once_a_copy_is_safe(disk):
    """No warning: all is as it was asked for."""
    disk.has_checkpoint(7)
    disk.full = {"runs"}
    assert finish(disk) == disk.path
    assert [*disk.path.parent.iterdir()] == [disk.path]
    assert elsewhere(disk) == []


@pytest.mark.parametrize("steps", [0, 10])
def test_a_place_that_is_closed_leaves_the_model_among_temporary_files(disk, steps):
    if steps:
        disk.has_checkpoint(steps)
    disk.closed = {"runs"}
    with pytest.warns(
        UserWarning, match=r"wave\.safetensors could not be written \(Permission denied\)\. The model is in"
    ):
        place = finish(disk)
    assert elsewhere(disk) == [place.parent, place]
    assert place.name == "wave.safetensors"
    assert disk.checkpoint.exists() == (steps > 0)


@pytest.mark.parametrize(("full", "where"), [({"tmp"}, "home"), ({"tmp", "home"}, "here")])
def test_the_home_folder_and_the_present_one_come_next(disk, full, where):
    disk.full = {"runs", *full}
    disk.closed = {"runs"}
    with pytest.warns(UserWarning, match="instead: move it from there"):
        place = finish(disk)
    assert elsewhere(disk) == [place.parent, place]
    assert place.relative_to(disk.path.parents[1]).parts[0] == where


def test_no_room_at_all_costs_an_older_checkpoint(disk):
    disk.has_checkpoint(7)
    disk.full = EVERYWHERE
    assert finish(disk) == disk.path
    assert [*disk.path.parent.iterdir()] == [disk.path]


def test_no_room_at_all_keeps_a_checkpoint_of_all_steps(disk):
    disk.has_checkpoint(10)
    disk.full = EVERYWHERE
    with pytest.raises(ModelError, match=r"\(No space .*\)\. The checkpoint .* has all steps: start the same training"):
        finish(disk)
    assert [*disk.path.parent.iterdir()] == [disk.checkpoint]


def test_no_place_at_all_keeps_whatever_checkpoint_there_is(disk):
    disk.has_checkpoint(7)
    disk.closed = EVERYWHERE
    with pytest.raises(ModelError, match=r"could not be written \(Permission denied\)$"):
        finish(disk)
    assert [*disk.path.parent.iterdir()] == [disk.checkpoint]


def test_no_place_at_all_without_a_checkpoint_is_told(disk):
    disk.full = {*EVERYWHERE}
    disk.closed = {"runs"}
    with pytest.raises(ModelError, match=r"could not be written \(Permission denied\)$"):
        finish(disk)
    assert elsewhere(disk) == []
