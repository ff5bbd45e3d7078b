"""Measures of clips: by hand on six pixels, their invariants, and how a blend cheats."""

import math

import pytest
import torch
from torch import Tensor

from course_lib.data.camera import Path, clip
from course_lib.evaluation.temporal import (
    drift,
    masked_error,
    noise_gain,
    sharpness,
    temporal_error,
    temporal_errors,
)
from course_lib.flow import Motion, warp
from course_lib.image_checks import ImageError


def gray(*rows: list[float]) -> Tensor:
    """Frames (T, 3, 1, W)."""
    return torch.tensor(rows)[:, None, None].expand(-1, 3, 1, -1).clone()


def moved_by(step: float, width: int = 6):
    """Everything moves to the right by `step` from frame to frame."""

    def motion(t: int, s: int) -> Motion:
        flow = torch.zeros(1, 2, 1, width)
        flow[:, 0] = -step * (t - s)
        x = torch.arange(width)
        return Motion(flow, (x >= step * (t - s)).float().view(1, 1, 1, width))

    return motion


FRAMES = gray(
    [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
    [0.9, 0.1, 0.2, 0.3, 0.4, 0.5],  # moved by one pixel; 0.9 is new
    [0.0, 0.9, 0.1, 0.2, 0.3, 0.9],  # moved again; the last pixel should be 0.4
)


def test_the_error_on_six_pixels() -> None:
    assert temporal_errors(FRAMES, moved_by(1)) == pytest.approx([0, 0.25 / 5], abs=1e-6)
    assert temporal_error(FRAMES, moved_by(1)) == pytest.approx(0.025)
    assert temporal_error(FRAMES, moved_by(1), root=True) == pytest.approx(0.025**0.5)
    assert temporal_errors(FRAMES, moved_by(1), lag=2) == pytest.approx([0.25 / 4])


def test_a_wrong_motion_gives_a_larger_error() -> None:
    assert temporal_error(FRAMES, moved_by(0)) > 2 * temporal_error(FRAMES, moved_by(1))


def test_masks_weigh_pixels() -> None:
    a, b = gray([0.0, 0.0]), gray([0.1, 0.2])
    assert masked_error(a, b, torch.tensor([1.0, 0.5]).view(1, 1, 1, 2)) == pytest.approx((0.01 + 0.5 * 0.04) / 1.5)
    assert math.isnan(masked_error(a, b, torch.zeros(1, 1, 1, 2)))


def test_a_cut_is_left_out() -> None:
    def motion(t: int, s: int) -> Motion:
        return Motion(torch.zeros(1, 2, 1, 2), torch.full((1, 1, 1, 2), float(t != 2)))

    frames = gray([0.0, 0.0], [0.1, 0.1], [1.0, 1.0], [1.0, 1.0])
    assert temporal_error(frames, motion) == pytest.approx(0.005)  # of 0.01, nothing, and 0
    with pytest.raises(ValueError, match="no pixel of any frame was visible"):
        temporal_error(frames[1:3], lambda t, s: Motion(torch.zeros(1, 2, 1, 2), torch.zeros(1, 1, 1, 2)))


def test_a_stream_is_measured_like_a_tensor() -> None:
    made = clip(sprites=1, length=5, size=(24, 32))
    assert temporal_errors(iter(made), made.motion, lag=2) == temporal_errors(made.frames, made.motion, lag=2)
    assert sharpness(iter(made)) == sharpness(made.frames)


def test_a_blend_gets_below_the_floor_by_blurring() -> None:
    """The error of a recursive blend is below that of the clip itself, and only its sharpness tells why."""
    made = clip(path=Path(pan=(1.5, 0.5)), length=10, size=(48, 64))
    blended = [made.frame(0)]
    for t in range(1, len(made)):
        known = made.motion(t, t - 1)
        share = 0.8 * known.visible
        blended.append((1 - share) * made.frame(t) + share * warp(blended[-1], known.flow))
    floor = temporal_error(made.frames, made.motion)
    assert temporal_error(blended, made.motion) < 0.3 * floor
    assert sharpness(blended) < 0.6 * sharpness(made.frames)


def test_the_laplacian_by_hand() -> None:
    """One bright pixel of luminance L in the middle of 5×5: −4 L once, L four times, 0 four times."""
    frame = torch.zeros(1, 3, 5, 5)
    frame[..., 2, 2] = 1
    bright = 219 / 255
    assert sharpness(frame) == pytest.approx((16 + 4) * bright**2 / 9)
    assert sharpness(frame / 2) == pytest.approx((16 + 4) * bright**2 / 36)
    assert sharpness(torch.cat((frame, torch.zeros_like(frame)))) == pytest.approx((16 + 4) * bright**2 / 18)
    ramp = torch.linspace(0, 1, 8).view(1, 1, 1, 8).expand(1, 3, 8, 8)
    assert sharpness(ramp) == pytest.approx(0, abs=1e-12)


def test_the_gain_of_a_linear_function() -> None:
    frames = torch.full((2, 3, 16, 16), 0.5)
    assert noise_gain(lambda x: x, frames) == pytest.approx(1)
    assert noise_gain(lambda x: 0.2 * x, frames) == pytest.approx(0.04)
    assert noise_gain(torch.zeros_like, frames) == 0
    blur = noise_gain(lambda x: torch.nn.functional.avg_pool2d(x, 2), torch.full((4, 3, 64, 64), 0.5))
    assert blur == pytest.approx(0.25, rel=0.05)  # the mean of four has a quarter of the variance


def test_noise_that_is_clipped_away_does_not_count() -> None:
    assert noise_gain(lambda x: x, torch.ones(1, 3, 16, 16)) == pytest.approx(1)


def test_drift_has_a_sign_and_a_region() -> None:
    frames = gray([0.5, 0.5], [0.5, 0.75], [0.25, 1.0])
    assert drift(frames) == pytest.approx([0, 0.125, 0.125])
    assert drift(frames, torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)) == pytest.approx([0, 0, -0.25])
    with pytest.raises(ValueError, match="the mask of the region is empty"):
        drift(frames, torch.zeros(1, 1, 1, 2))


def test_bad_input_is_refused() -> None:
    with pytest.raises(ImageError, match="needs 2 of them, got 1"):
        temporal_error(FRAMES[:1], moved_by(1))
    with pytest.raises(ValueError, match="a clip has one size"):
        temporal_error([FRAMES[:1], FRAMES[1:2, ..., :5]], moved_by(1))
    with pytest.raises(ValueError, match="lag must be a whole number"):
        temporal_error(FRAMES, moved_by(1), lag=0)
    with pytest.raises(ValueError, match="expected a mask"):
        masked_error(FRAMES[:1], FRAMES[1:2], torch.ones(1, 3, 1, 6))
    with pytest.raises(ValueError, match=r"expected a mask \(1, 1, 1, 6\) in \[0, 1\] for this picture, got str"):
        drift(FRAMES, "sky")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="motion must be a function"):
        temporal_error(FRAMES, None)  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="no frames"):
        sharpness([])
    with pytest.raises(ValueError, match="variance must be"):
        noise_gain(torch.zeros_like, FRAMES, variance=0)
