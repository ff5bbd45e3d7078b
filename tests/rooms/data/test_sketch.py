"""Drawings from photographs: dark lines at edges, white elsewhere."""

import pytest
import torch

from course_lib import sample_image
from course_lib.data.sketch import pencil


def step(low=0.0, high=1.0, size=24):
    image = torch.full((1, 3, size, size), low)
    image[..., size // 2 :] = high
    return image


def test_a_flat_photo_gives_a_white_drawing():
    assert torch.equal(pencil(torch.full((1, 3, 20, 20), 0.3)), torch.ones(1, 3, 20, 20))


def test_a_line_is_drawn_on_the_dark_side_of_an_edge_only():
    drawing = pencil(step())[0, 0]
    assert (drawing[:, 10:12] < 0.2).all()  # the dark side ends at column 11
    assert torch.equal(drawing[:, 12:], torch.ones(24, 12))
    assert torch.equal(drawing[:, :6], torch.ones(24, 6))


def test_contrast_matters_and_brightness_does_not():
    """A difference of Gaussians has no mean: adding a constant changes nothing."""
    torch.testing.assert_close(pencil(step(0.0, 0.4)), pencil(step(0.5, 0.9)), rtol=0, atol=1e-4)
    assert pencil(step(0.4, 0.5)).min() > pencil(step(0.0, 1.0)).min()


def test_an_edge_below_the_threshold_is_not_drawn():
    assert pencil(step(0.5, 0.52), threshold=0.015).min() == 1
    assert pencil(step(0.5, 0.52), threshold=0.0).min() < 1


def test_a_larger_sigma_draws_thicker_lines():
    ink = [(pencil(step(), sigma=sigma) < 0.5).float().mean() for sigma in (0.7, 1.4)]
    assert ink[1] > 1.5 * ink[0]


def test_the_drawing_of_a_photograph_is_gray_in_range_and_of_the_same_shape():
    photo = sample_image("eilean_donan", 120)
    drawing = pencil(photo)
    assert drawing.shape == photo.shape
    assert drawing.min() >= 0
    assert drawing.max() == 1
    assert torch.equal(drawing[:, 0], drawing[:, 2])
    assert 0.02 < (drawing < 0.5).float().mean() < 0.4  # mostly paper


@pytest.mark.parametrize("options", [{"sigma": 0.0}, {"threshold": -1.0}, {"contrast": 0.0}, {"sigma": "1"}])
def test_invalid_settings_are_refused(options):
    with pytest.raises(ValueError, match=f"^{next(iter(options))} must be a finite number"):
        pencil(step(), **options)
