"""Video files: what is read is what was written, with its times, its size, its direction and its sound."""

import subprocess
import sys
import warnings
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib.data import video_writer
from course_lib.data.frames import FrameWriter, VideoError, load_clip, read_frames, save_clip
from course_lib.data.video_files import turned

av = pytest.importorskip("av")

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")


def clip_of(levels, height=32, width=48):
    return torch.cat([torch.full((1, 3, height, width), float(level)) for level in levels])


def means(clip):
    return [round(float(frame.image.mean()), 1) for frame in clip]


def times(clip):
    return [frame.time for frame in clip]


def quadrants(height=32, width=48):
    """Red, green / blue, white: turned or mirrored, it looks different."""
    image = torch.zeros(1, 3, height, width)
    image[:, 0, : height // 2, : width // 2] = 1
    image[:, 1, : height // 2, width // 2 :] = 1
    image[:, 2, height // 2 :, : width // 2] = 1
    image[:, :, height // 2 :, width // 2 :] = 1
    return image


def corners(image):
    """The colors in the four quadrants, as letters."""
    height, width = image.shape[-2:]
    places = [(y, x) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    names = {(1, 0, 0): "r", (0, 1, 0): "g", (0, 0, 1): "b", (1, 1, 1): "w"}
    return "".join(names[tuple(int(v > 0.5) for v in image[0, :, y, x])] for y, x in places)


@pytest.fixture
def with_sound(tmp_path):
    """A second of video at 10 frames a second with a tone, AAC."""
    path = tmp_path / "tone.mp4"
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
        audio = out.add_stream("aac", rate=44_100, layout="mono")
        for k in range(10):
            level = np.full((32, 48, 3), 25 * k, np.uint8)
            out.mux(video.encode(av.VideoFrame.from_ndarray(level, format="rgb24")))
        for k in range(44):
            wave = np.sin(np.arange(1024 * k, 1024 * (k + 1)) * 440 * 2 * np.pi / 44_100)
            frame = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 44_100, 1024 * k, Fraction(1, 44_100)
            out.mux(audio.encode(frame))
        out.mux(video.encode(None))
        out.mux(audio.encode(None))
    return path


def packets(path):
    """The sound of a file as it is stored: seconds and bytes."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return [(round(float(p.pts * p.time_base), 3), bytes(p)) for p in container.demux(stream) if p.size]


# --- what is written is read ---


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_frames_times_and_size_return(tmp_path, suffix):
    save_clip(clip_of([k / 10 for k in range(11)]), tmp_path / f"a{suffix}", rate=25)
    clip = read_frames(tmp_path / f"a{suffix}")
    assert (clip.count, clip.height, clip.width, clip.rate) == (11, 32, 48, 25)
    assert means(clip) == [k / 10 for k in range(11)]
    assert times(clip) == [Fraction(k, 25) for k in range(11)]
    assert means(clip) == means(clip)  # reading begins again


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_colors_return(tmp_path, suffix):
    """Rec. 709 in 8 bits and 4:2:0: patches of one color come back to within three levels of 255."""
    draw = torch.Generator().manual_seed(3)
    clip = torch.rand(6, 3, 1, 1, generator=draw).expand(6, 3, 32, 32).contiguous()
    save_clip(clip, tmp_path / f"a{suffix}", quality=95)
    torch.testing.assert_close(load_clip(tmp_path / f"a{suffix}"), clip, atol=3 / 255, rtol=0)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("shape", [(31, 48), (32, 47), (31, 47)])
def test_odd_sizes_are_padded_in_the_file_and_cut_when_it_is_read(tmp_path, suffix, shape):
    image = quadrants(32, 48)[..., : shape[0], : shape[1]]
    save_clip(torch.cat([image, image]), tmp_path / f"a{suffix}")
    assert tuple(load_clip(tmp_path / f"a{suffix}").shape) == (2, 3, *shape)
    with av.open(str(tmp_path / f"a{suffix}")) as container:  # what every player gets
        frame = next(container.decode(video=0))
    assert (frame.height, frame.width) == (32, 48)
    last = frame.to_ndarray(format="rgb24").astype(int)
    assert np.abs(last[-1] - last[-2]).max() < 12  # the last row again, no black line


def test_a_variable_rate_is_kept(tmp_path):
    moments = [0, Fraction(1, 30), Fraction(1, 10), Fraction(3, 10), Fraction(31, 30)]
    for suffix, finest in ((".mp4", Fraction(1, 90_000)), (".mkv", Fraction(1, 1000))):
        with FrameWriter(tmp_path / f"a{suffix}", rate=30) as writer:
            for k, moment in enumerate(moments):
                writer.add(clip_of([k / 5]), moment, 1)
        clip = read_frames(tmp_path / f"a{suffix}")
        assert all(abs(a - b) <= finest / 2 for a, b in zip(times(clip), moments, strict=True))
        assert means(clip) == [k / 5 for k in range(5)]


def test_the_rate_of_television_is_exact(tmp_path):
    save_clip(clip_of([0.5] * 90, 16, 16), tmp_path / "a.mp4", rate=29.97)
    clip = read_frames(tmp_path / "a.mp4")
    assert clip.rate == Fraction(30_000, 1001)
    assert times(clip) == [Fraction(1001 * k, 30_000) for k in range(90)]


def test_size_and_span(tmp_path):
    save_clip(clip_of([k / 50 for k in range(50)]), tmp_path / "a.mp4")
    clip = read_frames(tmp_path / "a.mp4", 24, start=1, stop=1.2)
    assert (clip.count, clip.height, clip.width) == (5, 16, 24)
    assert times(clip) == [Fraction(k, 25) for k in range(5)]
    assert means(clip) == [0.5] * 3 + [0.6] * 2
    assert [tuple(frame.image.shape) for frame in clip] == [(1, 3, 16, 24)] * 5


def test_quality_decides_the_size(tmp_path):
    noise = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for suffix in (".mp4", ".webm", ".webp"):
        sizes = []
        for quality in (10, None, 95):
            save_clip(noise, tmp_path / f"a{suffix}", quality=quality)
            sizes.append((tmp_path / f"a{suffix}").stat().st_size)
        assert sizes[0] < sizes[1] < sizes[2]


# --- direction and shape of pixels ---


@pytest.mark.parametrize(("angle", "seen"), [(0, "rgbw"), (90, "gwrb"), (180, "wbgr"), (270, "brwg")])
def test_a_turned_video_is_shown_upright(tmp_path, angle, seen):
    """`set_display_rotation` counts counterclockwise, as FFmpeg does."""
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.set_display_rotation(angle)
        levels = (quadrants()[0].movedim(0, -1).numpy() * 255).astype(np.uint8)
        for _ in range(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(levels, format="rgb24")))
        out.mux(stream.encode(None))
    clip = read_frames(path)
    assert (clip.height, clip.width) == ((32, 48) if angle % 180 == 0 else (48, 32))
    assert [corners(frame.image) for frame in clip] == [seen] * 3


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((1, 0, 0, 1), "abcd"),
        ((-1, 0, 0, 1), "badc"),  # x → −x: mirrored
        ((1, 0, 0, -1), "cdab"),  # y → −y
        ((0, 1, 1, 0), "acbd"),  # x and y exchanged
        ((0, 1, -1, 0), "cadb"),  # (x, y) → (−y, x): by 90° to the right
        ((0, -1, 1, 0), "bdac"),  # (x, y) → (y, −x): by 90° to the left
        ((0, -1, -1, 0), "dbca"),
        ((-1, 0, 0, -1), "dcba"),
    ],
)
def test_all_eight_directions(matrix, shown):
    a, b, c, d = matrix
    picture = np.array([["a", "b"], ["c", "d"]])[..., None]
    assert "".join(turned(picture, (a, b, 0, c, d, 0, 0, 0, 1)).flatten()) == shown


def test_pixels_that_are_not_square_become_square(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 48, 3), np.uint8), format="rgb24")))
        out.mux(stream.encode(None))
    clip = read_frames(path)
    assert (clip.height, clip.width, clip.count) == (32, 72, 1)  # and one frame is a clip


# --- sound ---


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_the_sound_is_the_same_bytes(tmp_path, with_sound, suffix):
    with FrameWriter(tmp_path / f"a{suffix}", rate=10, sound=with_sound) as writer:
        for frame in read_frames(with_sound):
            writer.add(frame.image, frame.time, frame.duration)
    before, after = packets(with_sound), packets(tmp_path / f"a{suffix}")
    assert [data for _, data in after] == [data for _, data in before if _ >= 0][: len(after)]
    assert len(after) >= len(before) - 1
    assert abs(after[0][0]) < 0.03
    assert after[-1][0] == pytest.approx(before[-1][0], abs=0.03)


def test_the_sound_of_a_span_begins_with_it(tmp_path, with_sound):
    with FrameWriter(tmp_path / "a.mkv", rate=10, sound=with_sound, start=0.5) as writer:
        for frame in read_frames(with_sound, start=0.5, stop=0.8):
            writer.add(frame.image, frame.time, frame.duration)
    before, after = packets(with_sound), packets(tmp_path / "a.mkv")
    (same,) = (moment for moment, data in before if data == after[0][1])
    assert same - after[0][0] == pytest.approx(0.5, abs=0.01)
    assert 0.25 < after[-1][0] < 0.3  # and ends with it


def test_the_sound_ends_with_an_interrupted_video(tmp_path, with_sound):
    writer = FrameWriter(tmp_path / "a.mp4", rate=10, sound=with_sound)
    for frame in list(read_frames(with_sound))[:4]:
        writer.add(frame.image, frame.time, frame.duration)
    writer.close(complete=False)
    assert len(load_clip(tmp_path / "a.mp4")) == 4
    assert 0.3 < packets(tmp_path / "a.mp4")[-1][0] < 0.42


def test_a_video_without_sound_and_a_sound_that_does_not_fit(tmp_path, with_sound):
    save_clip(clip_of([0.1, 0.2]), tmp_path / "silent.mp4")
    with FrameWriter(tmp_path / "a.mp4", sound=tmp_path / "silent.mp4") as writer:
        writer.add(clip_of([0.5]))
    assert len(load_clip(tmp_path / "a.mp4")) == 1
    with pytest.raises(VideoError, match="the sound of .*tone.mp4 is aac, which .webm cannot hold; use .mkv, or leave"):
        FrameWriter(tmp_path / "a.webm", sound=with_sound)
    assert not list(tmp_path.glob(".*"))


# --- interrupted and damaged ---


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_interrupted_video_can_be_played(tmp_path, suffix):
    writer = FrameWriter(tmp_path / f"a{suffix}")
    for k in range(7):
        writer.add(clip_of([k / 10]))
    writer.close(complete=False)
    assert means(read_frames(tmp_path / f"a{suffix}")) == [k / 10 for k in range(7)]


def test_a_killed_program_leaves_a_video_that_can_be_played(tmp_path):
    """Nothing was closed: the frames in complete fragments are there."""
    writer = FrameWriter(tmp_path / "a.mp4")
    for k in range(400):
        writer.add(clip_of([k % 10 / 10], 16, 16))
    (unfinished,) = tmp_path.glob(".*.tmp")
    left = tmp_path / "left.mp4"
    left.write_bytes(unfinished.read_bytes())
    writer.close()
    assert len(load_clip(left)) > 200


_FULL = """
import resource, sys, torch
from course_lib.data.frames import FrameWriter, VideoError
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
draw = torch.Generator().manual_seed(0)
try:
    with FrameWriter(sys.argv[1], quality=90) as writer:
        for _ in range(120):
            writer.add(torch.rand(1, 3, 64, 64, generator=draw))
except VideoError as error:
    print(f"{writer.count} {error}")
"""


def test_a_full_disk_keeps_the_frames_that_fit(tmp_path):
    pytest.importorskip("resource")
    done = subprocess.run([sys.executable, "-c", _FULL, tmp_path / "a.mp4"], capture_output=True, text=True)
    count, _, message = done.stdout.partition(" ")
    assert "a.mp4 could not be written completely" in message, done.stderr
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the last frame may be damaged
        kept = load_clip(tmp_path / "a.mp4")
    assert 1 <= len(kept) <= int(count)


def test_a_cut_video_keeps_what_was_read(tmp_path):
    noise = torch.rand(60, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    save_clip(noise, tmp_path / "a.mkv")
    data = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) // 2])
    whole = load_clip(tmp_path / "a.mkv")
    with pytest.warns(UserWarning, match="cut.mkv is damaged: .* The [0-9]+ frames that could be read are used"):
        part = load_clip(tmp_path / "cut.mkv")
    assert 10 < len(part) < 60
    torch.testing.assert_close(part[:10], whole[:10])


# --- bad input ---


def test_without_pyav_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "a.mp4").write_bytes(b"any")
    monkeypatch.setitem(sys.modules, "av", None)
    for attempt in (lambda: read_frames(tmp_path / "a.mp4"), lambda: FrameWriter(tmp_path / "b.mp4")):
        with pytest.raises(VideoError, match=r"PyAV, which is not installed: pip install 'course_lib\[video\]'"):
            attempt()
    save_clip(clip_of([0.1, 0.9]), tmp_path / "a.gif")  # needs nothing
    assert len(load_clip(tmp_path / "a.gif")) == 2


def test_without_the_encoder(tmp_path, monkeypatch):
    monkeypatch.setitem(video_writer.ENCODERS, ".mp4", "h266_of_tomorrow")
    with pytest.raises(VideoError, match="has no encoder h266_of_tomorrow, with which .mp4 files are written"):
        FrameWriter(tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


def _only_sound(path):
    with av.open(str(path), "w") as out:
        audio = out.add_stream("aac", rate=44_100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44_100
        out.mux(audio.encode(frame))
        out.mux(audio.encode(None))


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.mp4", lambda path: path.write_text("no video" * 50), "a.mp4 is not a video that can be read"),
        ("a.mp4", lambda path: path.write_bytes(b""), "a.mp4 is empty"),
        ("a.mp4", lambda path: Image.new("RGB", (9, 9)).save(path, "PNG"), "is a single picture, not a video; stylize"),
        ("a.m4a", _only_sound, "a.m4a has no pictures, only sound"),
    ],
)
def test_what_is_no_video(tmp_path, name, make, message):
    make(tmp_path / name)
    with pytest.raises(ValueError, match=message):
        read_frames(tmp_path / name)


def test_a_span_without_frames(tmp_path):
    save_clip(clip_of([0.1] * 5), tmp_path / "a.mp4")
    with pytest.raises(VideoError, match="a.mp4 has no frames from 7 s on; give an earlier start"):
        read_frames(tmp_path / "a.mp4", start=7)
