"""Where a trained model goes if there is no room for it at its place."""

import errno
import os
import tempfile
from pathlib import Path

import pytest
import torch

from course_lib.training.model_files import ModelError
from course_lib.training.rescue import save_somewhere


class Disk:
    """Two folders; each write fails as `full` or `closed` says. A model takes 1 unit, a checkpoint 3."""

    def __init__(self, folder):
        self.path, self.checkpoint = folder / "runs" / "wave.safetensors", folder / "runs" / "wave.checkpoint"
        self.path.parent.mkdir()
        self.full, self.closed = set(), set()

    def save(self, path):
        place = "runs" if path.parent == self.path.parent else "tmp"
        fits = place not in self.full or (place == "runs" and not self.checkpoint.exists())
        if place in self.closed or not fits:
            number = errno.EACCES if place in self.closed else errno.ENOSPC
            raise ModelError(f"{path} could not be written ({os.strerror(number)})") from OSError(number, "")
        path.write_text("model")

    def has_checkpoint(self, steps):
        torch.save({"rows": [[0.0]] * steps}, self.checkpoint)


@pytest.fixture
def disk(tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return Disk(tmp_path)


def finish(disk):
    return save_somewhere(disk.save, disk.path, disk.checkpoint, steps=10)


def temporary():
    return [path for path in Path(tempfile.gettempdir()).rglob("*") if path.is_file()]


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
    assert not [*Path(tempfile.gettempdir()).iterdir()]


@pytest.mark.parametrize("steps", [0, 10])
def test_a_place_that_is_closed_leaves_the_model_among_temporary_files(disk, steps):
    if steps:
        disk.has_checkpoint(steps)
    disk.closed = {"runs"}
    with pytest.warns(
        UserWarning, match=r"wave\.safetensors could not be written \(Permission denied\)\. The model is in"
    ):
        place = finish(disk)
    assert temporary() == [place]
    assert place.name == "wave.safetensors"
    assert disk.checkpoint.exists() == (steps > 0)


def test_no_room_at_all_costs_an_older_checkpoint(disk):
    disk.has_checkpoint(7)
    disk.full = {"runs", "tmp"}
    assert finish(disk) == disk.path
    assert [*disk.path.parent.iterdir()] == [disk.path]


def test_no_room_at_all_keeps_a_checkpoint_of_all_steps(disk):
    disk.has_checkpoint(10)
    disk.full = {"runs", "tmp"}
    with pytest.raises(ModelError, match=r"\(No space .*\)\. The checkpoint .* has all steps: the same training"):
        finish(disk)
    assert [*disk.path.parent.iterdir()] == [disk.checkpoint]


def test_no_place_at_all_keeps_whatever_checkpoint_there_is(disk):
    disk.has_checkpoint(7)
    disk.closed = {"runs", "tmp"}
    with pytest.raises(ModelError, match=r"could not be written \(Permission denied\)\.$"):
        finish(disk)
    assert [*disk.path.parent.iterdir()] == [disk.checkpoint]
