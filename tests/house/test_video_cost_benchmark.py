"""The benchmark of videos runs, and its numbers are those of its text; speed is not tested."""

from benchmarks import video
from course_lib.data.frames import load_clip


def test_a_frame_is_the_difference_of_two_runs(tmp_path, monkeypatch):
    """A command that takes 10 s to start and 0.5 s a frame."""
    asked = []

    def command(clip, out, words):
        asked.append(words)
        count = video.SHORT if "--stop" in words else len(load_clip(clip))
        return 10 + 0.5 * count, 0.4 if "--precision" in words else 0.3

    monkeypatch.setattr(video, "SHAPE", (36, 64))
    monkeypatch.setattr(video, "command", command)
    monkeypatch.setattr(video, "bare", lambda frames, precision: 0.25)
    found = video.measured(6, (3, 5), tmp_path)
    assert [found[kind]["seconds a frame"] for kind in ("float32", "bfloat16")] == [0.5, 0.5]
    assert found["GB by frames"] == {"3": 0.3, "5": 0.3}
    assert len(asked) == 6
    text = video.lines(found)
    assert "720p, float32: 0.50 CPU seconds a frame, the painter alone 0.25, peak 0.40 GB" in text
    assert text.endswith("160 × 90 px: 3 frames 0.300 GB, 5 frames 0.300 GB")
