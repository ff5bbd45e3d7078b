"""The blend of painted frames: by hand, what flicker is left, what a mask is for, and streams of any length."""

import gc
import weakref
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from course_lib.data.camera import Path, Sprite, clip
from course_lib.evaluation.temporal import masked_error, sharpness, temporal_error
from course_lib.flow import Motion, warp
from course_lib.image_checks import ImageError
from course_lib.methods.blended_video import Config, stream, stylize


def gray(*values: float) -> Tensor:
    """Frames of one pixel each."""
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 3, 1, 1).clone()


def still(visible: float = 1.0, height: int = 1, width: int = 1):
    return lambda t, s: Motion(torch.zeros(1, 2, height, width), torch.full((1, 1, height, width), visible))


class Flickering:
    """A painter whose every painting has another brightness."""

    def __init__(self) -> None:
        self.draw = torch.Generator().manual_seed(0)

    def __call__(self, frame: Tensor) -> Tensor:
        return (0.25 + 0.5 * frame + 0.05 * torch.randn(1, generator=self.draw)).clamp(0, 1)


def test_the_blend_by_hand() -> None:
    """y = 1, then 0.25 · 0 + 0.75 · 1, then 0.25 · 1 + 0.75 · 0.75."""
    result = stylize(gray(1, 0, 1), lambda frame: frame, Config(blend=0.75), motion=still())
    assert result.image[:, 0].flatten().tolist() == [1, 0.75, 0.8125]
    assert result.history["visible"] == [0, 1, 1]
    assert result.history["seconds"] == sorted(result.history["seconds"])
    half = stylize(gray(1, 0), lambda frame: frame, Config(blend=0.5), motion=still(0.5))
    assert half.image[1, 0].item() == 0.25  # b m = 0.25


def test_nothing_blended_is_the_function_bit_by_bit_and_needs_no_flow() -> None:
    made = clip(length=3, size=(24, 32))
    result = stylize(made.frames, Flickering(), Config(blend=0))
    painter = Flickering()
    assert torch.equal(result.image, torch.cat([painter(frame) for frame in made]))


def test_independent_flicker_keeps_a_known_part_of_its_variance() -> None:
    """(1 − b)/(1 + b) of it, for a still picture."""
    for blend in (0.5, 0.8):
        frames = torch.full((4000, 3, 1, 1), 0.5)
        values = stylize(frames, Flickering(), Config(blend=blend), motion=still()).image[100:, 0].flatten()
        assert values.var() == pytest.approx(0.05**2 * (1 - blend) / (1 + blend), rel=0.15)


def test_the_painting_moves_along() -> None:
    """What is seen moves to the left by two pixels; the painting of the first frame alone is followed."""
    made = clip(path=Path(pan=(2, 0)), length=3, size=(24, 32))
    result = stylize(made, lambda frame: frame, Config(blend=1), motion=made.motion).image
    torch.testing.assert_close(result[2, ..., :28], made.frames[0, ..., 4:], rtol=0, atol=1e-5)
    assert torch.equal(result[2, ..., 30:], made.frames[2, ..., 30:])  # new: from the function


def test_masks_remove_ghosts() -> None:
    """A sprite passes over a painting: what it uncovers must not show it."""
    square = Sprite(torch.ones(1, 3, 8, 8), torch.ones(1, 1, 8, 8), size=0.5, path=Path(pan=(3, 0)))
    made = clip(torch.full((1, 3, 32, 48), 0.3), Path(), [square], length=5, size=(24, 36), view=1.0)

    def unmasked(t: int, s: int) -> Motion:
        known = made.motion(t, s)
        return Motion(known.flow, torch.ones_like(known.visible))

    hidden = 1 - made.motion(4, 3).visible
    assert 0 < hidden.mean() < 0.5
    masked, ghosts = (stylize(made, lambda frame: frame, motion=way).image[4:] for way in (made.motion, unmasked))
    assert masked_error(masked, made.frame(4), hidden) < 1e-8
    assert masked_error(ghosts, made.frame(4), hidden) > 0.1


def test_flicker_falls() -> None:
    made = clip(sprites=1, length=8, size=(48, 64))
    plain, blended = (stylize(made, Flickering(), Config(blend=b), motion=made.motion).image for b in (0, 0.7))
    assert temporal_error(blended, made.motion) < 0.2 * temporal_error(plain, made.motion)


def test_noise_falls_and_so_does_sharpness() -> None:
    made = clip(path=Path(pan=(1.5, 0.5)), length=8, size=(48, 64), noise=0.03)
    blended = stylize(made, lambda frame: frame, motion=made.motion).image
    assert temporal_error(blended, made.motion) < 0.3 * temporal_error(made, made.motion)
    assert 0.2 < sharpness(blended[4:]) / sharpness(made.frames[4:]) < 0.9


def test_an_estimated_flow_does_nearly_as_well() -> None:
    pytest.importorskip("cv2")
    made = clip(sprites=1, length=6, size=(96, 128))
    plain, estimated = (stylize(made, Flickering(), Config(blend=b)).image for b in (0, 0.7))
    assert temporal_error(estimated, made.motion) < 0.4 * temporal_error(plain, made.motion)


def test_a_stream_gives_the_same_frames_and_forgets_the_old_ones() -> None:
    made = clip(length=12, size=(16, 24))
    seen: list[weakref.ref[Tensor]] = []

    def read() -> Iterator[Tensor]:
        for t in range(len(made)):
            frame = made.frame(t)
            seen.append(weakref.ref(frame))
            yield frame

    whole, most = stylize(made, Flickering(), motion=made.motion).image, 0
    for t, picture in enumerate(stream(read(), Flickering(), motion=made.motion)):
        assert torch.equal(picture, whole[t : t + 1])
        gc.collect()
        most = max(most, sum(one() is not None for one in seen))
    assert most <= 3
    assert t == 11


def test_a_stream_reads_no_frame_before_its_turn() -> None:
    read: list[int] = []
    pictures = stream((read.append(k) or gray(0.5) for k in range(5)), lambda frame: frame, motion=still())
    assert not read
    next(pictures)
    assert read == [0]


def test_the_callback_gets_every_frame() -> None:
    seen = []
    result = stylize(
        gray(0, 1, 1), lambda frame: frame, Config(blend=0.5), motion=still(),
        callback=lambda p: seen.append((p.step, p.num_steps, p.image().mean().item())),
    )  # fmt: skip
    assert seen == [(1, 3, 0), (2, 3, 0.5), (3, 3, 0.75)]
    assert len(result.image) == 3


def test_the_warp_is_that_of_the_library() -> None:
    made = clip(path="handheld", length=2, size=(24, 32))
    known, b = made.motion(1, 0), 0.7
    share = b * known.visible
    expected = (1 - share) * made.frame(1) + share * warp(made.frame(0), known.flow, cubic=True).clamp(0, 1)
    torch.testing.assert_close(stylize(made, lambda x: x, motion=made.motion).image[1:], expected)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"blend must be in \[0, 1\], got 1.5"):
        Config(blend=1.5)
    with pytest.raises(ValueError, match="preset must be one of 'ultrafast', 'fast', 'medium'"):
        replace(Config(), preset="slow")
    with pytest.raises(ImageError, match=r"the painted frame has shape \(1, 3, 2, 2\), the frame \(1, 3, 1, 1\)"):
        stylize(gray(0), lambda frame: torch.zeros(1, 3, 2, 2))
    with pytest.raises(ImageError, match="the painted frame: expected a torch.Tensor, got None"):
        stylize(gray(0), lambda frame: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(ImageError, match="no frames to paint"):
        stylize([], lambda frame: frame)
    with pytest.raises(ImageError, match="the optical flow needs sides of at least 16 px"):
        stylize(gray(0, 1), lambda frame: frame)
    with pytest.raises(TypeError, match="config must be a blended_video.Config"):
        stylize(gray(0), lambda frame: frame, {"blend": 1})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="paint must be a function of one frame, such as lambda frame: .* got str"):
        stylize(gray(0), "great_wave")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="motion must be a function"):
        stylize(gray(0, 1), lambda frame: frame, motion=still()(1, 0))  # type: ignore[arg-type]
