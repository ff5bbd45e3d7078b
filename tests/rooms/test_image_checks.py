"""One check decides what counts as a picture; its sentences name the value, what is expected and what to do."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib.image_checks import ImageError, check_pictures, checked_frames


def good(*shape):
    return torch.rand(shape or (1, 3, 12, 10), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, r"got None; load_image reads a file"),
        ("a.png", "got str; load_image"),
        (np.zeros((1, 3, 4, 4)), "got ndarray"),
        (Image.new("RGB", (4, 4)), "got Image; .*from_pil converts"),
        ([good()], "got list"),
        (good(3, 4, 4), r"shape \(3, 4, 4\), expected \(N, 3, H, W\).*image\[None\]"),
        (good(1, 4, 4, 3), "channels come last"),
        (good(1, 1, 4, 4), "equal colors"),
        (good(1, 4, 4, 4), "alpha channel"),
        (good(0, 3, 4, 4), "with no side 0"),
        (torch.tensor(0.5), r"shape \(\)"),
        (good().mul(255).byte(), r"torch.uint8, expected floats in \[0, 1\]; .*/ 255"),
        (good() > 0.5, "torch.bool"),
        (good().to(torch.complex64), "complex64"),
        (2 * good() - 1, r"from -\d.* to .*expected \[0, 1\].*use \(x \+ 1\) / 2"),
        (255 * good(), "by 255"),
        (good() * math.nan, "360 of 360 values are NaN or infinite"),
        (good() + math.inf, "360 of 360 values"),
    ],
)
def test_what_is_no_picture_is_refused_with_advice(image, message):
    with pytest.raises(ImageError, match=message):
        check_pictures(image)
    with pytest.raises(ImageError, match=f"^the style image: .*{message}"):
        check_pictures(image, "the style image")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_floats_of_any_precision_are_pictures(dtype):
    check_pictures(good().to(dtype).requires_grad_())


def test_one_picture_where_one_is_expected():
    check_pictures(good(2, 3, 4, 4))
    with pytest.raises(ImageError, match=r"\(2, 3, 4, 4\), expected \(1, 3, H, W\).*image\[k : k \+ 1\]"):
        check_pictures(good(2, 3, 4, 4), single=True)


def test_a_picture_that_is_too_small_is_told_its_size():
    check_pictures(good(1, 3, 8, 8), least=8)
    with pytest.raises(
        ImageError, match="1 px wide and 200 px high; the network needs sides of at least 8 px, so enlarge it"
    ):
        check_pictures(good(1, 3, 200, 1), least=8, why="the network")


def test_an_overshoot_is_allowed_on_request_but_no_other_scale():
    noise = 0.5 + torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    check_pictures(noise, overshoot=10)
    check_pictures(good() - 0.3, overshoot=10)
    with pytest.raises(ImageError, match=r"far outside \[0, 1\]"):
        check_pictures(255 * good(), overshoot=10)
    with pytest.raises(ImageError, match=r"use \(x \+ 1\) / 2"):
        check_pictures(2 * good() - 1, overshoot=10)
    check_pictures(2 * good() - 1, overshoot=10, centered=True)
    with pytest.raises(ImageError, match="NaN"):
        check_pictures(good() * math.nan, overshoot=10)


def test_frames_come_one_by_one_and_lazily():
    clip = torch.cat([good() for _ in range(3)])
    assert [tuple(frame.shape) for frame in checked_frames(clip)] == [(1, 3, 12, 10)] * 3
    frames = checked_frames(frame for frame in [good(), good(1, 3, 12, 11), None])
    assert torch.equal(next(frames), good())  # the ones after it are not read yet
    with pytest.raises(ImageError, match=r"frame 1: it is 11 px wide and 12 px high, and the first one 10 px wide"):
        next(frames)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (torch.rand(3, 8, 8), r"the frames: got shape \(3, 8, 8\)"),
        ("clip.mp4", "or an iterable of frames, got str"),
        (7, "got int"),
        ([good(2, 3, 8, 8)], r"frame 0: got shape \(2, 3, 8, 8\), expected \(1, 3, H, W\)"),
    ],
)
def test_what_is_no_clip_is_refused(frames, message):
    with pytest.raises(ImageError, match=message):
        list(checked_frames(frames))
