"""From coarse to fine: which sizes, one history, and what a caller sees."""

import torch

from course_lib.images import resize
from course_lib.optimize import scales
from course_lib.runtime import Losses, Progress


def test_only_smaller_sizes_and_the_pictures_own():
    assert scales.sizes(300, 400, (120, 160, 640)) == ((90, 120), (120, 160), (300, 400))
    assert scales.sizes(400, 300, (200, 160)) == ((160, 120), (200, 150), (400, 300))
    assert scales.sizes(90, 120, (160,)) == scales.sizes(90, 120, None) == ((90, 120),)


def test_a_size_that_would_hardly_be_enlarged_is_left_out():
    assert scales.sizes(300, 300, (199,)) == ((199, 199), (300, 300))
    assert scales.sizes(300, 300, (200,)) == ((300, 300),)


def test_sizes_are_those_of_a_resized_picture():
    picture = torch.rand(1, 3, 231, 517)
    for side, size in zip((64, 200), scales.sizes(231, 517, (64, 200)), strict=False):
        assert resize(picture, side).shape[-2:] == size


def test_a_size_that_is_too_small_is_left_out():
    assert scales.sizes(1000, 100, (199, 200, 400), least=200) == ((200, 20), (400, 40), (1000, 100))


def test_a_smaller_size_takes_twice_the_steps():
    assert scales.steps(7, 1) == (7,)
    assert scales.steps(7, 3) == (28, 14, 7)


def test_histories_are_joined():
    first = scales.joined({}, {"total": [3.0, 2.0], "seconds": [0.5, 1.0]}, 64)
    assert first == {"total": [3.0, 2.0], "seconds": [0.5, 1.0], "scale": [64, 64]}
    both = scales.joined(first, {"total": [5.0], "seconds": [0.25]}, 128)
    assert both == {"total": [3.0, 2.0, 5.0], "seconds": [0.5, 1.0, 1.25], "scale": [64, 64, 128]}


def test_a_scale_without_a_step_leaves_the_history():
    """A run can be stopped before its first step."""
    first = {"total": [3.0], "seconds": [0.5], "scale": [64.0]}
    assert scales.joined(first, {}, 128) == first


def test_the_callback_hears_of_the_whole_run():
    seen = []
    before = {"total": [1.0] * 5, "seconds": [1.0, 2.0, 3.0, 4.0, 5.0]}
    report = scales.shifted(seen.append, (8, 12), before, 15)
    picture = torch.full((1, 3, 4, 6), 0.25)
    report(Progress(2, 5, Losses(("a",), torch.tensor([1.0])), 0.5, lambda: picture))
    assert (seen[0].step, seen[0].num_steps, seen[0].seconds) == (7, 15, 5.5)
    torch.testing.assert_close(seen[0].image(), torch.full((1, 3, 8, 12), 0.25))
    assert scales.shifted(None, (8, 12), before, 15) is None
