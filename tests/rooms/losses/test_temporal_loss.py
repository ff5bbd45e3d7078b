"""The temporal term: values by hand on six pixels, its gradient, and who a pixel belongs to."""

import pytest
import torch
from torch import Tensor

from course_lib import runtime
from course_lib.losses.temporal import long_term_masks, temporal_gradient, temporal_loss, temporal_term
from course_lib.optimize.objective import Objective


def row(*values: float) -> Tensor:
    return torch.tensor(values).view(1, 1, 1, -1)


def gray(*values: float) -> Tensor:
    return row(*values).expand(1, 3, 1, -1).clone()


BEFORE = gray(0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
NOW = gray(0.1, 0.4, 0.3, 0.9, 0.5, 0.0)  # differs by 0.2, 0.5 and -0.6
MASK = row(1, 1, 1, 0, 1, 0.5)


def random(*shape: int) -> Tensor:
    return torch.rand(shape, generator=runtime.seeded_generator(0), dtype=torch.float64)


def test_the_value_on_six_pixels() -> None:
    # (0.04 · 1 + 0.25 · 0 + 0.36 · 0.5) / 6
    torch.testing.assert_close(temporal_loss(NOW, [BEFORE], [MASK]), torch.tensor(0.22 / 6))


def test_the_gradient_on_six_pixels() -> None:
    # 2 c (x - ω) / 18; three channels of six pixels
    expected = gray(0, 0.2 / 9, 0, 0, 0, -0.3 / 9)
    torch.testing.assert_close(temporal_gradient(NOW, [BEFORE], [MASK]), expected, atol=1e-7, rtol=1e-5)


def test_the_gradient_is_that_of_the_loss() -> None:
    image = random(1, 3, 4, 5).requires_grad_()
    warped, masks = [random(1, 3, 4, 5) + k for k in range(3)], [random(1, 1, 4, 5) for _ in range(3)]
    (slope,) = torch.autograd.grad(temporal_loss(image, warped, masks), image)
    torch.testing.assert_close(temporal_gradient(image.detach(), warped, masks), slope)
    term = temporal_term(7.0, warped, masks)
    value, gradient = term.with_gradient(image.detach())
    torch.testing.assert_close(gradient, 7 * slope)
    torch.testing.assert_close(value, 7 * temporal_loss(image.detach(), warped, masks).view(1))
    assert Objective([term]).names == ("temporal",)


def test_nothing_hidden_pulls() -> None:
    image, masks = random(1, 3, 4, 5), [torch.zeros(1, 1, 4, 5)]
    assert temporal_loss(image, [1 - image], masks) == 0
    assert not temporal_gradient(image, [1 - image], masks).any()
    assert temporal_loss(image, [], []) == 0
    assert not temporal_gradient(image, [], []).any()


def test_a_pixel_belongs_to_the_nearest_frame_that_showed_it() -> None:
    near, middle, far = row(1, 0, 0, 0, 0.5, 0), row(1, 1, 0, 0, 0.75, 1), row(1, 1, 1, 0, 1, 1)
    left = long_term_masks([near, middle, far])
    assert [mask.flatten().tolist() for mask in left] == [
        [1, 0, 0, 0, 0.5, 0],
        [0, 1, 0, 0, 0.25, 1],
        [0, 0, 1, 0, 0, 0],  # the last but one: max(1 - 0.5 - 0.75, 0), the masks' own sum
    ]
    assert long_term_masks([]) == []


def test_what_a_sprite_hid_comes_from_before_it() -> None:
    """A pixel that was hidden one frame ago is pulled to what it was two frames ago."""
    masks = long_term_masks([row(1, 0), row(1, 1)])
    warped = [gray(0.2, 0.9), gray(0.3, 0.4)]  # 0.9 is the sprite
    image = gray(0.5, 0.5)
    torch.testing.assert_close(temporal_gradient(image, warped, masks), gray(0.3 / 3, 0.1 / 3))


@pytest.mark.parametrize(
    ("warped", "masks", "words"),
    [
        (BEFORE, [MASK], "expected a list of warped pictures, one for each earlier frame, got Tensor"),
        ([BEFORE], [], "a mask for each warped picture, got 0 for 1"),
        ([BEFORE[..., 1:]], [MASK], r"got \(1, 3, 1, 5\)"),
        ([BEFORE], [MASK.expand(1, 3, 1, 6)], r"masks \(1, 1, 1, 6\), got .* and \(1, 3, 1, 6\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(warped: list[Tensor], masks: list[Tensor], words: str) -> None:
    for function in (temporal_loss, temporal_gradient):
        with pytest.raises(ValueError, match=words):
            function(NOW, warped, masks)


def test_other_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="masks"):
        long_term_masks([MASK, MASK[..., 1:]])
    with pytest.raises(ValueError, match="temporal_weight must be a finite number of at least 0"):
        temporal_term(-1.0, [BEFORE], [MASK])
