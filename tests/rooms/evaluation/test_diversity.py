"""How much pictures differ: by hand, its invariants, and what it is told apart from."""

import math

import numpy as np
import pytest
import torch

from course_lib.evaluation.diversity import diversity


def pictures(count, side=8, seed=0):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def test_it_is_the_root_mean_square_difference_of_two_pictures():
    x = pictures(6)
    pairs = [(x[i] - x[j]).double().square().mean() for i in range(6) for j in range(6) if i != j]
    assert diversity(x) == pytest.approx(math.sqrt(sum(pairs) / len(pairs)), rel=1e-6)


def test_two_pictures_differ_by_their_distance():
    x = torch.zeros(2, 3, 4, 4)
    x[1, 0] = 0.6  # one color of three
    assert diversity(x) == pytest.approx(0.6 / math.sqrt(3))


def test_a_collapsed_set_has_none_whatever_its_picture():
    assert diversity(pictures(1).repeat(5, 1, 1, 1)) == pytest.approx(0, abs=1e-7)


def test_it_grows_with_contrast_and_not_with_what_all_pictures_share():
    x = pictures(8)
    assert diversity(x / 2) == pytest.approx(diversity(x) / 2)
    assert diversity(x / 2 + 0.5) == pytest.approx(diversity(x) / 2, rel=1e-5)


def test_uniform_noise_has_one_over_root_six():
    """Twice the variance 1/12 of a number from 0 to 1, whatever the size of the set."""
    for count in (4, 64):
        assert diversity(pictures(count, 64)) == pytest.approx(1 / math.sqrt(6), rel=0.02)


def test_order_and_number_format_do_not_matter():
    x = pictures(5)
    assert diversity(x.flip(0)) == pytest.approx(diversity(x), rel=1e-9)
    assert diversity(x.double()) == pytest.approx(diversity(x), rel=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (pictures(1), "a difference needs two pictures, got 1"),
        (255 * pictures(3), "255"),
        (pictures(3)[0], r"\(3, 8, 8\)"),
        (pictures(3) / 0, "NaN or infinite"),
        (np.zeros((3, 3, 8, 8)), "ndarray"),
    ],
)
def test_what_is_no_set_of_pictures_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        diversity(wrong)
