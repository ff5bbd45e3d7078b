"""Ctrl-C at every stage, and a disk that is full: no half of a file stays, and the message says what was kept."""

import errno
import os
import signal
import time
from pathlib import Path

import pytest

from course_lib import atomic, save_image
from course_lib.__main__ import main
from course_lib.cli import batch
from course_lib.methods import super_resolution

COUNT = 4
STAGES = {"loading": (batch, "load_with_alpha"), "computing": (super_resolution, "upscale"), "saving": (os, "fsync")}


@pytest.fixture
def here(tmp_path, picture, monkeypatch):
    """A folder of pictures; Ctrl-C raises `KeyboardInterrupt`, as in a terminal."""
    (tmp_path / "in").mkdir()
    for k in range(COUNT):
        save_image(picture(10, 12, k), tmp_path / "in" / f"{k}.png")
    monkeypatch.chdir(tmp_path)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield tmp_path
    signal.signal(signal.SIGINT, before)


def upscale(larger, *words):
    return main(["upscale", *words, "--model", str(larger), "--device", "cpu"])


def stop_at(monkeypatch, stage, call):
    """Press Ctrl-C in the n-th call of a stage, in whatever thread it runs; the stage itself goes on."""
    module, name = STAGES[stage]
    original, calls = getattr(module, name), []

    def stage_with_ctrl_c(*arguments, **options):
        calls.append(1)
        if len(calls) == call:
            signal.raise_signal(signal.SIGINT)
            time.sleep(0.2)  # until the main thread has noticed
        return original(*arguments, **options)

    monkeypatch.setattr(module, name, stage_with_ctrl_c)


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("stage", STAGES)
def test_ctrl_c_leaves_what_was_there(here, larger, monkeypatch, capsys, stage):
    Path("out.png").write_bytes(b"an older picture")
    stop_at(monkeypatch, stage, 1)
    assert upscale(larger, "in/0.png", "-o", "out.png") == 130
    assert Path("out.png").read_bytes() == b"an older picture"
    assert [name for name in files_in(here) if "tmp" in name] == []
    assert capsys.readouterr().err == "course_lib: stopped.\n"


@pytest.mark.parametrize(
    ("stage", "call", "kept"), [("loading", 1, 0), ("computing", 3, 2), ("saving", 1, 1), ("saving", 3, 3)]
)
def test_of_several_pictures_those_that_are_done_are_whole_and_counted(
    here, larger, monkeypatch, capsys, stage, call, kept
):
    stop_at(monkeypatch, stage, call)
    assert upscale(larger, "in", "-o", "out", "--quiet") == 130
    out = here / "out"
    assert files_in(out) == [f"{k}.png" for k in range(kept)]
    assert out.exists() == (kept > 0)
    count = f"{kept} of {COUNT} pictures were done before that; they are in out"
    kept_said = count if kept else "no picture was done before that"
    assert capsys.readouterr().err == f"course_lib: {kept_said}\ncourse_lib: stopped.\n"


def no_room(descriptor):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_costs_nothing_that_was_there(here, larger, monkeypatch, capsys):
    Path("out.png").write_bytes(b"an older picture")
    monkeypatch.setattr(atomic.os, "fsync", no_room)
    assert upscale(larger, "in/0.png", "-o", "out.png") == 2
    assert Path("out.png").read_bytes() == b"an older picture"
    said = capsys.readouterr().err
    assert "out.png could not be written (No space left on device)" in said
    assert "Make room" in said
    assert [name for name in files_in(here) if "tmp" in name] == []


def test_a_limit_on_the_size_of_files_is_said(here, larger, capsys):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
    try:
        assert upscale(larger, "in/0.png", "-o", "out.png") == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "out.png could not be written (File too large)" in capsys.readouterr().err
    assert [name for name in files_in(here) if "out" in name] == []


def test_a_disk_that_becomes_full_ends_the_run_and_says_how_to_go_on(here, larger, monkeypatch, capsys):
    original, calls, computed = os.fsync, [], []

    def full_from_the_second_on(descriptor):
        calls.append(1)
        return original(descriptor) if len(calls) == 1 else no_room(descriptor)

    upscaled = super_resolution.upscale
    monkeypatch.setattr(super_resolution, "upscale", lambda *a, **k: (computed.append(1), upscaled(*a, **k))[1])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_from_the_second_on)
        assert upscale(larger, "in", "-o", "out") == 1
    captured = capsys.readouterr()
    assert captured.out == "out: 1 picture, 3 skipped\n"
    assert "skipped: out/1.png could not be written (No space left on device)" in captured.err
    assert "the disk is full, so 2 more pictures were not tried; after you made room, --skip-existing" in captured.err
    assert len(computed) == 3  # the third while the second was saved, in vain
    assert files_in(here / "out") == ["0.png"]
    assert upscale(larger, "in", "-o", "out", "--skip-existing") == 0
    assert capsys.readouterr().out == "out: 3 pictures, 1 there already\n"
