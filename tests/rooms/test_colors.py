"""The colors of one picture given the mean and the covariance of another's."""

import pytest
import torch

from course_lib.colors import match_colors
from course_lib.image_checks import ImageError


def colors(x):
    return x[0].flatten(1).double()


def test_mean_and_covariance_are_the_targets(picture):
    painting, photo = picture(20, 30, 1), picture(25, 16, 2) * torch.tensor([1, 0.5, 0.8]).view(1, 3, 1, 1)
    matched = match_colors(painting, photo)
    assert matched.shape == painting.shape
    assert matched.dtype == torch.float32
    torch.testing.assert_close(colors(matched).mean(1), colors(photo).mean(1), rtol=0, atol=1e-6)
    torch.testing.assert_close(torch.cov(colors(matched)), torch.cov(colors(photo)), rtol=0, atol=2e-4)


def test_by_hand_for_independent_colors():
    """Red varies by ±0.1 and is to vary by ±0.2, blue by ±0.3 and ±0.1; green is constant in both pictures."""
    red, blue = torch.tensor([-1.0, -1, 1, 1]), torch.tensor([-1.0, 1, -1, 1])
    painting = torch.stack((0.5 + 0.1 * red, torch.full((4,), 0.2), 0.5 + 0.3 * blue)).view(1, 3, 2, 2)
    photo = torch.stack((0.4 + 0.2 * red, torch.full((4,), 0.7), 0.6 + 0.1 * blue)).view(1, 3, 2, 2)
    torch.testing.assert_close(match_colors(painting, photo), photo, rtol=0, atol=1e-6)


def test_its_own_colors_stay(picture):
    torch.testing.assert_close(match_colors(picture(20, 30, 1), picture(20, 30, 1)), picture(20, 30, 1))


def test_one_color_gives_one_color_and_no_nan(picture):
    gray, photo = torch.full((1, 3, 8, 8), 0.25), picture(10, 10, 1)
    torch.testing.assert_close(match_colors(gray, photo), photo.mean((2, 3), keepdim=True).expand(1, 3, 8, 8))
    torch.testing.assert_close(match_colors(photo, gray), torch.full_like(photo, 0.25))


def test_what_rounding_makes_is_not_amplified_to_color(picture):
    """Shades of gray with a last bit of color, and a colorful target: the channels still move together."""
    gray = (picture(16, 16, 1).mean(1, keepdim=True) * 255).round() / 255
    almost = gray + torch.tensor([1, 0, -1]).view(1, 3, 1, 1) / 255 * (torch.rand(1, 1, 16, 16) > 0.9)
    matched = match_colors(almost.clamp(0, 1), picture(16, 16, 2))
    assert matched.isfinite().all()
    assert matched.min() > -1
    assert matched.max() < 2


def test_what_is_no_picture_is_refused(picture):
    with pytest.raises(ImageError, match="the target: values run from 0 to 255"):
        match_colors(picture(8, 8, 1), torch.linspace(0, 255, 3 * 64).view(1, 3, 8, 8))
    with pytest.raises(ImageError, match=r"the picture: got shape \(3, 8, 8\)"):
        match_colors(picture(8, 8, 1)[0], picture(8, 8, 1))
