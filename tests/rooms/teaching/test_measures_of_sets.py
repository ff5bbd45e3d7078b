"""Disturbances of pictures, and the classifier that chapter 16 fools."""

import pytest
import torch

from course_lib.teaching.measures import disturbances, sets


@pytest.fixture
def images(picture):
    return torch.cat([picture(32, 32, seed) for seed in range(10)])


def test_a_blur_keeps_means_and_removes_detail(images):
    grainy = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    blurred = disturbances.blur(grainy, 2.0)
    torch.testing.assert_close(blurred.mean(), grainy.mean(), atol=0.02, rtol=0)
    assert blurred.diff(dim=3).abs().mean() < 0.1 * grainy.diff(dim=3).abs().mean()
    assert disturbances.blur(images, 0) is images


def test_a_shift_moves_columns(images):
    torch.testing.assert_close(disturbances.shift(images, 3)[..., 3:], images[..., :-3])


def test_impulses_change_the_given_share(images):
    changed = (disturbances.impulses(images, 0.2, 0) != images).any(1)
    assert changed.float().mean().item() == pytest.approx(0.2, abs=0.02)


def test_rectangles_are_black(images):
    covered = disturbances.rectangles(images, 0.25, 0)
    dark = (covered == 0).all(1)
    assert (dark.sum((1, 2)) >= 64).all()  # one square of 8 × 8 at least
    torch.testing.assert_close(covered.where(~dark[:, None], images), images)


def test_every_tenth_is_turned(images):
    turned = disturbances.some_upside_down(images)
    torch.testing.assert_close(turned[0], images[0].flip(1))
    assert torch.equal(turned[1:], images[1:])


def test_higher_levels_change_more(images):
    for name, (disturb, levels) in disturbances.DISTURBANCES.items():
        changes = [(disturb(images, level, 0) - images).abs().mean().item() for level in levels]
        assert changes == sorted(changes), name
        assert changes[0] > 0


def test_random_disturbances_follow_their_seed(images):
    for disturb in (disturbances.stain, disturbances.noise, disturbances.impulses, disturbances.rectangles):
        assert torch.equal(disturb(images, 0.1, 3), disturb(images, 0.1, 3))
        assert not torch.equal(disturb(images, 0.1, 3), disturb(images, 0.1, 4))


def test_a_fair_distance_is_zero_on_average():
    features = torch.randn(200, 6, generator=torch.Generator().manual_seed(0)).abs()
    values = sets.kernels(features, 16, 60, 0)
    assert values.mean().abs() < 3 * values.std() / 60**0.5


@pytest.mark.slow
def test_the_classifier_is_right_until_it_is_nudged():
    day, dusk = (sets._photos(weather, first, 24, 64, 5) for weather, first in (("clear", 24), ("dusk", 0)))
    classifier = sets.Classifier(day[:20], dusk[:20])
    assert classifier(dusk[20:]).mean() > 0 > classifier(day[20:]).mean()
    nudged = classifier.nudge(day[20:], 4 / 255)
    assert (nudged - day[20:]).abs().max() <= 4 / 255 + 1e-6
    assert classifier(nudged).mean() > classifier(dusk[20:]).mean()
