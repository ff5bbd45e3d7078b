"""Whether an untrained generator can respond to its label: only behind a border of zeros."""

import pytest

from course_lib.teaching.measures import label


@pytest.fixture(scope="module")
def numbers():
    return label.label(size=32, seed=0).numbers


def test_behind_zeros_the_output_moves_by_more_than_a_gray_level(numbers):
    assert numbers["moved, zeros"] > 1 / 255


def test_behind_a_reflected_border_only_rounding_is_left(numbers):
    assert 0 <= numbers["moved, reflect"] < 1e-5


def test_the_parameters_are_the_paper_s(numbers):
    """By hand: 8,430,528 of the generator and 44,762,048 of the discriminator."""
    assert numbers["parameters"] == 8_430_528 + 44_762_048


def test_other_weights_move_it_otherwise(numbers):
    other = label.label(size=32, seed=1).numbers
    assert other["moved, zeros"] != numbers["moved, zeros"]
    assert other["moved, reflect"] < 1e-5
