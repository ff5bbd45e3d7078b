"""Clips as streams of frames: folders and animations, what both share with videos, and what bad input gets."""

import json
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from PIL import Image

from course_lib.data.clip_files import Place, with_durations
from course_lib.data.frames import FrameWriter, VideoError, load_clip, read_frames, save_clip
from course_lib.images import ImageError, save_image

LEVELS = (0.0, 0.2, 0.6, 1.0)


def flat(level, height=12, width=18):
    return torch.full((1, 3, height, width), level)


def means(clip):
    return [round(float(frame.image.mean()), 2) for frame in clip]


def times(clip):
    return [frame.time for frame in clip]


def interrupted(path, levels, error=KeyboardInterrupt, **options):
    """A writer that was stopped by an error after some frames."""
    writer = FrameWriter(path, **options)

    def write():
        with writer:
            for level in levels:
                writer.add(flat(level))
            raise error

    with pytest.raises(error):
        write()
    return writer


@pytest.fixture
def folder(tmp_path):
    """Frames 8 to 11 by name: the order of the letters is not that of the numbers."""
    place = tmp_path / "in"
    place.mkdir()
    for k, level in enumerate(LEVELS):
        save_image(flat(level), place / f"frame{k + 8}.png")
    (place / "notes.txt").write_text("no frame")
    return place


# --- times ---


def test_a_frame_lasts_until_the_next_one():
    pictures = [(flat(0), Fraction(1)), (flat(0), Fraction(3, 2)), (flat(0), Fraction(7, 2))]
    made = list(with_durations(pictures, lambda: Fraction(1, 4), Fraction(1), None))
    assert [frame.time for frame in made] == [0, Fraction(1, 2), Fraction(5, 2)]
    assert [frame.duration for frame in made] == [Fraction(1, 2), 2, Fraction(1, 4)]


def test_times_in_the_wrong_order_are_corrected():
    pictures = [(flat(0), Fraction(1)), (flat(0), Fraction(1)), (flat(0), Fraction(1, 2))]
    made = [frame.time for frame in with_durations(pictures, lambda: Fraction(1), Fraction(0), None)]
    assert made == sorted(set(made))


# --- folders ---


def test_a_folder_is_read_in_the_order_of_its_numbers(folder):
    clip = read_frames(folder)
    assert means(clip) == list(LEVELS)
    assert means(clip) == list(LEVELS)  # again
    assert (clip.count, clip.height, clip.width, clip.rate) == (4, 12, 18, 25)
    assert times(clip) == [Fraction(k, 25) for k in range(4)]


def test_a_folder_at_another_rate_size_and_span(folder):
    clip = read_frames(folder, 9, start=0.5, stop=1.5, rate=2)
    assert (clip.height, clip.width, clip.count) == (6, 9, 2)
    assert means(clip) == [0.2, 0.6]
    assert times(clip) == [0, Fraction(1, 2)]
    assert [tuple(frame.image.shape) for frame in clip] == [(1, 3, 6, 9)] * 2


def test_a_folder_that_was_written_keeps_its_rate(tmp_path):
    with FrameWriter(tmp_path / "out", rate=29.97) as writer:
        for level in LEVELS:
            writer.add(flat(level))
    assert read_frames(tmp_path / "out").rate == Fraction(30_000, 1001)
    assert means(read_frames(tmp_path / "out")) == list(LEVELS)
    assert sorted(file.name for file in (tmp_path / "out").glob("*.png")) == [f"{k:06d}.png" for k in range(1, 5)]


@pytest.mark.parametrize("noted", ["{", '{"rate": "often"}', '{"rate": [1]}', "[]"])
def test_a_note_that_nobody_can_read_means_25(folder, noted):
    (folder / "frames.json").write_text(noted)
    assert read_frames(folder).rate == 25


def test_a_folder_is_resumed_and_its_frames_stay(tmp_path):
    out = tmp_path / "out"
    interrupted(out, [0.2, 0.4], about={"model": "wave"})
    save_image(flat(0.6), out / "000004.png")  # after a gap: it is written again
    with FrameWriter(out, resume=True, about={"model": "wave"}) as writer:
        assert writer.count == 2
        writer.add(flat(0.8))
        writer.add(flat(1.0))
    assert means(read_frames(out)) == [0.2, 0.4, 0.8, 1.0]
    assert writer.count == 4


def test_a_folder_with_frames_is_not_mixed_with_others(tmp_path):
    out = tmp_path / "out"
    with FrameWriter(out, about={"model": "wave"}) as writer:
        writer.add(flat(0.2))
    with pytest.raises(VideoError, match="already holds 1 frames; resume it, or give another folder"):
        FrameWriter(out, about={"model": "wave"})
    with pytest.raises(VideoError, match="begun with model wave in place of poppies"):
        FrameWriter(out, resume=True, about={"model": "poppies"})
    assert json.loads((out / "frames.json").read_text())["model"] == "wave"


def test_a_damaged_frame_is_left_out_and_its_time_with_it(folder):
    (folder / "frame9.png").write_bytes(b"\x89PNG cut")
    clip = read_frames(folder)
    with pytest.warns(UserWarning, match="1 of 4 frames are left out: .*frame9.png"):
        assert times(clip) == [0, Fraction(2, 25), Fraction(3, 25)]


def test_frames_of_two_sizes_are_no_clip(folder):
    save_image(flat(0.5, 13), folder / "frame12.png")
    with pytest.raises(VideoError, match="frame12.png has 18×13 px and the first frame 18×12 px"):
        list(read_frames(folder))


# --- animations ---


@pytest.mark.parametrize(("suffix", "tolerance"), [(".gif", 0.005), (".webp", 0.02), (".apng", 1e-6)])
def test_an_animation_returns_what_was_written(tmp_path, suffix, tolerance):
    clip = torch.rand(5, 3, 1, 1, generator=torch.Generator().manual_seed(0)).mul(255).round().div(255)
    clip = clip.expand(5, 3, 11, 17).contiguous()
    save_clip(clip, tmp_path / f"a{suffix}", rate=20)
    read = read_frames(tmp_path / f"a{suffix}")
    assert (read.count, read.height, read.width, read.rate) == (5, 11, 17, 20)
    torch.testing.assert_close(load_clip(tmp_path / f"a{suffix}"), clip, atol=tolerance, rtol=0)
    assert times(read) == [Fraction(k, 20) for k in range(5)]


@pytest.mark.parametrize(("suffix", "per_second"), [(".gif", 100), (".webp", 1000), (".apng", 1000)])
def test_rounded_times_of_an_animation_do_not_add_up(tmp_path, suffix, per_second):
    with FrameWriter(tmp_path / f"a{suffix}", rate=30) as writer:
        for k in range(31):
            writer.add(flat(k / 31))
    for k, time in enumerate(times(read_frames(tmp_path / f"a{suffix}"))):
        assert abs(time - Fraction(k, 30)) <= Fraction(1, 2 * per_second)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".apng"])
def test_other_programs_read_the_animation(tmp_path, suffix):
    """Pillow's own reader: number of frames, durations, endless repetition."""
    with FrameWriter(tmp_path / f"a{suffix}") as writer:
        for k, span in enumerate((Fraction(1, 10), Fraction(1, 2), Fraction(1, 5))):
            writer.add(flat(LEVELS[k]), (0, Fraction(1, 10), Fraction(6, 10))[k], span)
    with Image.open(tmp_path / f"a{suffix}") as picture:
        assert picture.n_frames == 3
        assert picture.info["loop"] == 0
        found = []
        for k in range(3):
            picture.seek(k)
            picture.load()
            found.append(picture.info["duration"])
    assert found == [100, 500, 200]


def test_a_gif_made_by_pillow_is_read_with_its_own_times(tmp_path):
    pictures = [Image.new("RGB", (9, 7), (40 * k, 0, 0)) for k in range(4)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=[100, 0, 300, 50])
    clip = read_frames(tmp_path / "a.gif")
    assert times(clip) == [0, Fraction(1, 10), Fraction(2, 10), Fraction(5, 10)]  # a browser shows 0 for a tenth
    assert clip.count == 4


def test_an_animation_in_parts(tmp_path):
    save_clip(torch.cat([flat(level) for level in LEVELS]), tmp_path / "a.apng", rate=10)
    clip = read_frames(tmp_path / "a.apng", 9, start=0.1, stop=0.3)
    assert means(clip) == [0.2, 0.6]
    assert times(clip) == [0, Fraction(1, 10)]
    assert (clip.count, clip.height, clip.width) == (2, 6, 9)


def test_a_cut_animation_keeps_the_frames_before_the_cut(tmp_path):
    clip = torch.rand(6, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    save_clip(clip, tmp_path / "whole.gif")
    data = (tmp_path / "whole.gif").read_bytes()
    (tmp_path / "cut.gif").write_bytes(data[: len(data) // 2])
    with pytest.warns(UserWarning, match="cut.gif is damaged"):
        read = load_clip(tmp_path / "cut.gif")
    torch.testing.assert_close(read, load_clip(tmp_path / "whole.gif")[: len(read)])
    assert 1 <= len(read) < 6


def test_a_long_animation_takes_the_memory_of_a_frame(tmp_path):
    """A writer that keeps its frames until the last one would grow."""
    with FrameWriter(tmp_path / "a.webp") as writer:
        sizes = []
        for k in range(20):
            writer.add(flat(k / 20, 32, 32))
            sizes.append(writer._file.animation.file.tell())
    assert all(b > a for a, b in pairwise(sizes))


# --- what was there before, and what was made until an error ---


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".apng"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_was_made_before_an_error_can_be_played(tmp_path, suffix, error):
    writer = interrupted(tmp_path / f"a{suffix}", LEVELS[:3], error)
    assert writer.path == tmp_path / f"a{suffix}"
    assert len(load_clip(writer.path)) == 3


def test_a_part_does_not_replace_a_complete_file(tmp_path):
    save_clip(torch.cat([flat(level) for level in LEVELS]), tmp_path / "a.gif")
    before = (tmp_path / "a.gif").read_bytes()
    for name in ("a_part.gif", "a_part2.gif"):
        writer = interrupted(tmp_path / "a.gif", [0.5, 0.6])
        assert writer.path == tmp_path / name
        assert len(load_clip(writer.path)) == 2
    assert (tmp_path / "a.gif").read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.gif", "a_part.gif", "a_part2.gif"]


def test_a_part_of_a_clip_with_a_very_long_name(tmp_path):
    name = "é" * 125 + ".gif"  # 254 bytes
    save_clip(torch.cat([flat(0.1), flat(0.2)]), tmp_path / name)
    writer = interrupted(tmp_path / name, [0.5, 0.6])
    assert writer.path.name == "é" * 123 + "_part.gif"
    assert len(load_clip(writer.path)) == 2


def test_a_complete_clip_replaces_a_file(tmp_path):
    (tmp_path / "a.gif").write_text("something else")
    save_clip(torch.cat([flat(0.1), flat(0.9)]), tmp_path / "a.gif")
    assert len(load_clip(tmp_path / "a.gif")) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["a.gif"]


def test_a_full_disk_keeps_the_frames_that_fit(tmp_path, monkeypatch):
    with FrameWriter(tmp_path / "a.apng") as writer:
        writer.add(flat(0.2))
        writer.add(flat(0.4))

        def full(*_):
            writer._file.animation.file.write(b"half of a frame")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(writer._file.animation, "frame", full)
        with pytest.raises(VideoError, match="could not be written completely .No space left.* Make room in"):
            writer.add(flat(0.6))
    assert means(read_frames(tmp_path / "a.apng")) == [0.2, 0.4]


def test_without_a_frame_nothing_is_written(tmp_path):
    writer = FrameWriter(tmp_path / "a.gif")
    with pytest.raises(VideoError, match="was not written, because there were no frames"):
        writer.close()
    interrupted(tmp_path / "a.gif", [])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(VideoError, match="cannot be written"):
        FrameWriter(tmp_path / "file" / "out")
    with pytest.raises(VideoError, match="cannot be written, because"):
        Place(tmp_path / "nowhere" / "a.gif")


# --- bad input ---


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("photo.png", "photo.png is a single picture, not a video; stylize paints pictures"),
        ("one.gif", "one.gif is a single picture, not a video"),
        ("text.gif", "text.gif is not an animation that can be read"),
        ("nothing", "nothing does not exist"),
        ("nothing.mp4", "nothing.mp4 does not exist"),
        ("empty", "empty has no pictures; a folder of frames needs files such as 000001.png"),
        ("bad", "none of the 1 frames can be read: .*a.png"),
    ],
)
def test_what_is_no_clip(tmp_path, name, message):
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "one.gif")
    (tmp_path / "text.gif").write_text("hello")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_text("hello")
    with pytest.raises(ImageError, match=message):
        read_frames(tmp_path / name)


def test_options_that_do_not_fit(folder, tmp_path):
    with pytest.raises(ValueError, match="stop must be after start, got 1 s and 2 s"):
        read_frames(folder, start=2, stop=1)
    with pytest.raises(ValueError, match="start must be a finite number of at least 0, got -1"):
        read_frames(folder, start=-1)
    with pytest.raises(VideoError, match="no frames from 3 s on; at 25 frames a second it takes 0.2 s"):
        read_frames(folder, start=3)
    with pytest.raises(ValueError, match="rate must be a finite number greater than 0, got 0"):
        read_frames(folder, rate=0)
    save_clip(torch.cat([flat(0.1), flat(0.9)]), tmp_path / "a.gif")
    with pytest.raises(ValueError, match="rate is for folders of frames"):
        read_frames(tmp_path / "a.gif", rate=10)
    with pytest.raises(VideoError, match=r"a.gif has no frames from 9 s on; it takes 0.1 s"):
        read_frames(tmp_path / "a.gif", start=9)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.avi", {}, r"unknown suffix '.avi'; use one of .mp4, .mov, .mkv, .webm, .gif, .webp, .apng, or a name"),
        ("a.gif", {"quality": 50}, "quality has no effect on .*a.gif; it is for .mp4, .mov, .mkv, .webm, .webp"),
        ("a.webp", {"quality": 0}, "quality must be a whole number from 1 to 100, got 0"),
        ("a.gif", {"sound": "b.mp4"}, "a.gif cannot hold sound; use one of .mp4, .mov, .mkv, .webm"),
        ("a.gif", {"resume": True}, "only a folder of frames can be resumed, and .*a.gif is a file"),
        ("a.gif", {"rate": 60}, "GIF shows at most 50 frames a second, and this clip has 60"),
        ("no/a.gif", {}, "cannot be written, because .*no does not exist"),
    ],
)
def test_what_cannot_be_written_is_refused_at_once(tmp_path, name, options, message):
    with pytest.raises(ValueError, match=message):
        FrameWriter(tmp_path / name, **options)


def test_frames_that_do_not_fit(tmp_path):
    with FrameWriter(tmp_path / "a.gif") as writer:
        writer.add(flat(0.1))
        with pytest.raises(VideoError, match="one size; the first has 18×12 px, and this one 18×13 px"):
            writer.add(flat(0.1, 13))
        with pytest.raises(ImageError, match="the frame: values run from 2 to 2"):
            writer.add(flat(2.0))
        writer.add(flat(0.2))
    with pytest.raises(ImageError, match="the clip: got shape"):
        save_clip(torch.rand(3, 8, 8), tmp_path / "b.gif")
