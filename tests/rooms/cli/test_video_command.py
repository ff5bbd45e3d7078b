"""``video``: a clip through a painter, what is kept of it, and what happens when it ends early."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from course_lib import load_image, save_image
from course_lib.__main__ import main
from course_lib.cli import video_run
from course_lib.data.frames import FrameWriter, load_clip, read_frames, save_clip
from course_lib.methods import adain, blended_video, johnson, multi_style

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def clip(tmp_path, picture):
    """Seven frames at 10 a second, exact to 8 bits: a window that moves over a picture."""
    whole = picture(40, 64, 1)
    frames = torch.cat([whole[:, :, 4:36, 2 * k : 2 * k + 48] for k in range(7)])
    save_clip(frames, tmp_path / "clip.apng", rate=10)
    return tmp_path / "clip.apng"


def painted_by(wave, frames):
    model = johnson.load(wave)
    return torch.cat([johnson.stylize(frame[None], model).image for frame in frames])


def close(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=0.51 / 255)


def video(*words):
    return main(["video", *map(str, words)])


def message(capsys):
    error = capsys.readouterr().err
    assert error.startswith("course_lib: ")
    assert error.count("\n") == 1, error
    return error


# --- every frame is painted, and keeps its time ---


def test_every_frame_is_painted_and_keeps_its_time(clip, wave, tmp_path, capsys):
    assert video(clip, "--model", wave, "-o", tmp_path / "out.apng") == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'out.apng'}: 7 frames of 48 × 32 px in ")
    close(load_clip(tmp_path / "out.apng"), painted_by(wave, load_clip(clip)))
    assert [f.time for f in read_frames(tmp_path / "out.apng")] == [f.time for f in read_frames(clip)]


def test_size_and_span(clip, wave, tmp_path):
    assert video(clip, "--model", wave, "-o", tmp_path / "out", "--size", 24, "--start", 0.2, "--stop", 0.5) == 0
    frames = load_clip(clip, 24, start=0.2, stop=0.5)
    assert len(frames) == 3
    close(load_clip(tmp_path / "out"), painted_by(wave, frames))
    assert read_frames(tmp_path / "out").rate == 10


def test_a_name_without_o(clip, wave, tmp_path, monkeypatch):
    pytest.importorskip("av")
    monkeypatch.chdir(tmp_path)
    assert video(clip, "--model", wave, "--quality", 40) == 0
    assert len(load_clip("clip_wave.mp4")) == 7


def test_several_paintings_by_name(clip, paintings, tmp_path):
    words = ("--style", "red", "--style", "blue", "--weights", 3, 1)
    assert video(clip, "--model", paintings, *words, "-o", tmp_path / "o") == 0
    model, shares = multi_style.load(paintings), {"red": 3.0, "blue": 1.0}
    close(load_clip(tmp_path / "o")[:1], multi_style.stylize(load_clip(clip)[:1], model, shares).image)


def test_any_painting(clip, decoder, files, tmp_path):
    assert video(clip, "--model", decoder, "--style", files[1], "--alpha", 0.5, "-o", tmp_path / "o") == 0
    expected = adain.stylize(load_clip(clip)[:1], load_image(files[1]), adain.load(decoder), alpha=0.5).image
    close(load_clip(tmp_path / "o")[:1], expected)


def test_json_for_programs(clip, wave, tmp_path, capsys):
    assert video(clip, "--model", wave, "-o", tmp_path / "out.gif", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["frames"], told["width"], told["height"], told["file"]) == (7, 48, 32, str(tmp_path / "out.gif"))
    assert told["settings"]["width"] == 0.1


# --- calmer ---


def test_stable_is_the_blend_of_the_painted_frames(clip, wave, tmp_path):
    pytest.importorskip("cv2")
    model = johnson.load(wave)
    words = ("--model", wave, "--stable", 0.5, "--flow", "ultrafast")
    assert video(clip, *words, "-o", tmp_path / "out.apng") == 0
    config = blended_video.Config(blend=0.5, preset="ultrafast")
    frames = load_clip(clip)
    expected = blended_video.stylize(frames, lambda frame: johnson.stylize(frame, model).image, config).image
    close(load_clip(tmp_path / "out.apng"), expected)
    assert video(clip, "--model", wave, "--stable", 0, "-o", tmp_path / "none.apng") == 0
    close(load_clip(tmp_path / "none.apng"), painted_by(wave, frames))  # a share of 0 blends nothing


def test_a_blend_that_is_resumed_goes_on_from_the_last_painting(clip, wave, tmp_path):
    pytest.importorskip("cv2")
    words = (clip, "--model", wave, "--stable", "-o")
    assert video(*words, tmp_path / "whole") == 0
    assert video(*words, tmp_path / "parts") == 0
    for name in ("000004.png", "000005.png", "000006.png", "000007.png"):
        (tmp_path / "parts" / name).unlink()
    assert video(*words, tmp_path / "parts", "--resume") == 0
    torch.testing.assert_close(load_clip(tmp_path / "parts"), load_clip(tmp_path / "whole"), rtol=0, atol=2.1 / 255)


# --- the end that was not planned ---


def stop_after(monkeypatch, count, error):
    """Let the painter raise an error when `count` frames are painted."""
    original, done = johnson.stylize, []

    def stylize(frame, model, **options):
        if len(done) == count:
            raise error
        done.append(1)
        return original(frame, model, **options)

    monkeypatch.setattr(johnson, "stylize", stylize)
    return done


@pytest.mark.parametrize("suffix", [".apng", ".mp4"])
def test_after_ctrl_c_the_frames_until_then_can_be_played(clip, wave, tmp_path, monkeypatch, capsys, suffix):
    pytest.importorskip("av")
    stop_after(monkeypatch, 4, KeyboardInterrupt)
    out = tmp_path / f"out{suffix}"
    assert video(clip, "--model", wave, "-o", out) == 130
    error = capsys.readouterr().err
    assert f"4 of 7 frames were done before that; they are in {out}\n" in error
    assert len(load_clip(out)) == 4
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_finished_video_is_not_replaced_by_a_part(clip, wave, tmp_path, monkeypatch, capsys):
    assert video(clip, "--model", wave, "-o", tmp_path / "out.gif") == 0
    before = (tmp_path / "out.gif").read_bytes()
    stop_after(monkeypatch, 3, MemoryError("too little"))
    assert video(clip, "--model", wave, "-o", tmp_path / "out.gif") == 2
    assert "3 of 7 frames were done before that; they are in" in capsys.readouterr().err
    assert (tmp_path / "out.gif").read_bytes() == before
    assert len(load_clip(tmp_path / "out_part.gif")) == 3


def test_a_folder_is_resumed_without_painting_again(clip, wave, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        stop_after(patch, 3, KeyboardInterrupt)
        assert video(clip, "--model", wave, "-o", tmp_path / "out") == 130
    assert "they are in" in (told := capsys.readouterr().err)
    assert "--resume goes on" in told
    made = stop_after(monkeypatch, 99, KeyboardInterrupt)
    assert video(clip, "--model", wave, "-o", tmp_path / "out", "--resume") == 0
    assert len(made) == 4
    assert "3 there already" in capsys.readouterr().out
    monkeypatch.undo()
    close(load_clip(tmp_path / "out"), painted_by(wave, load_clip(clip)))


def test_frames_of_two_painters_are_not_mixed(clip, wave, paintings, tmp_path, capsys):
    assert video(clip, "--model", wave, "-o", tmp_path / "out") == 0
    assert video(clip, "--model", paintings, "--style", "red", "-o", tmp_path / "out", "--resume") == 2
    assert "was begun with model" in message(capsys)
    assert video(clip, "--model", wave, "-o", tmp_path / "out") == 2
    assert "already holds 7 frames" in message(capsys)


def test_ctrl_c_from_the_keyboard(wave, tmp_path):
    """A signal at any moment, also while a frame is read or written."""
    pytest.importorskip("av")
    with FrameWriter(tmp_path / "long.mp4") as writer:
        for k in range(3000):
            writer.add(torch.full((1, 3, 96, 128), k % 10 / 10))
    words = ["video", tmp_path / "long.mp4", "--model", wave, "-o", tmp_path / "out.mp4", "--json"]
    program = subprocess.Popen(
        [sys.executable, "-m", "course_lib", *map(str, words)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    ready = threading.Event()

    def wait():
        while not list(tmp_path.glob(".out.*.tmp")) and program.poll() is None:
            ready.wait(0.05)
        ready.wait(1.5)
        program.send_signal(signal.SIGINT)

    threading.Thread(target=wait, daemon=True).start()
    _, told = program.communicate(timeout=240)
    assert program.returncode == 130, told
    assert "frames were done before that" in told
    assert 1 <= len(load_clip(tmp_path / "out.mp4")) < 3000


def test_a_damaged_video_is_painted_as_far_as_it_can_be_read(wave, tmp_path, capsys):
    pytest.importorskip("av")
    noise = torch.rand(40, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    save_clip(noise, tmp_path / "a.mkv")
    data = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) // 2])
    assert video(tmp_path / "cut.mkv", "--model", wave, "-o", tmp_path / "out.mp4") == 0
    told = capsys.readouterr()
    assert "cut.mkv is damaged" in told.err
    assert f"{len(load_clip(tmp_path / 'out.mp4'))} frames of 32 × 32 px" in told.out


def test_one_frame_is_a_clip(wave, tmp_path, picture):
    (tmp_path / "in").mkdir()
    save_image(picture(20, 31, 1), tmp_path / "in" / "1.png")
    assert video(tmp_path / "in", "--model", wave, "-o", tmp_path / "out.apng") == 0
    assert load_image(tmp_path / "out.apng").shape == (1, 3, 20, 31)


# --- what is refused, before anything is painted ---


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("photo.png --model wave.safetensors", "photo.png is a single picture, not a video; stylize paints pictures"),
        ("none.mp4 --model wave.safetensors", "none.mp4 does not exist"),
        ("CLIP", "no style was given; give a trained network (--model) or a painting (--style)"),
        ("CLIP --style painting.jpg -o painting.jpg", "painting.jpg would be overwritten by the result"),
        ("CLIP --model larger.safetensors -o a.gif", "it can upscale, not stylize"),
        ("CLIP --model three.safetensors -o a.gif", "no style was given; name one with --style: three.safetensors has"),
        ("CLIP --model three.safetensors --style rid -o a.gif", "there is no style 'rid'. Did you mean 'red'?"),
        ("WAVE -o clip.apng", "clip.apng would be overwritten by the result; give another name after -o"),
        ("WAVE -o a.avi", "unknown suffix '.avi'; use one of .mp4, .mov, .mkv, .webm, .gif, .webp, .apng, or"),
        ("WAVE -o=", "the word after -o is empty"),
        ("WAVE -o no/a.gif", "no/a.gif cannot be written, because"),
        ("WAVE -o a.gif --quality 9", "quality has no effect on a.gif"),
        ("WAVE -o a.webp --quality 101", "--quality must be a whole number from 1 to 100, got 101"),
        ("WAVE -o a.gif --resume", "--resume continues a folder of frames; give a name without a suffix after -o"),
        ("WAVE -o a.gif --flow fast", "--flow has no effect without --stable"),
        ("WAVE -o a.gif --stable 2", "--stable must be in [0, 1], got 2"),
        ("WAVE -o a.gif --style red", "--style has no effect with --model wave.safetensors, which has learned one"),
        ("WAVE -o a.gif --alpha 1", "--alpha has no effect with --model wave.safetensors"),
        ("WAVE -o a.gif --rate 9", "rate is for folders of frames, and clip.apng is a file"),
        ("WAVE -o a.gif --start=-1", "--start must be a finite number of at least 0, got -1"),
        ("WAVE -o a.gif --start 2 --stop 1", "--stop must be after start, got 1 s and 2 s"),
        ("WAVE -o a.gif --start 9", "clip.apng has no frames from 9 s on; it takes 0.7 s"),
    ],
)
def test_what_is_refused(words, told, clip, files, wave, larger, paintings, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    given = words.replace("WAVE", "CLIP --model wave.safetensors").replace("CLIP", "clip.apng").split()
    assert video(*given) == 2
    assert told in message(capsys)
    assert sorted(tmp_path.rglob("*")) == before


def test_without_opencv(clip, wave, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(video_run, "find_spec", lambda name: None)
    assert video(clip, "--model", wave, "--stable", "-o", tmp_path / "a.gif") == 2
    assert "OpenCV, which is not installed: pip install 'course_lib[video]'" in message(capsys)


def test_without_pyav(clip, wave, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "av", None)
    assert video(clip, "--model", wave, "-o", tmp_path / "a.mp4") == 2
    assert "PyAV, which is not installed: pip install 'course_lib[video]'" in message(capsys)
