"""Factors on the learning rate, by hand."""

import pytest

from course_lib.training.schedules import both, constant, inverse_decay, linear_to_zero


def test_constant_is_one():
    assert {constant(step, 10) for step in range(10)} == {1.0}


@pytest.mark.parametrize(
    ("last_part", "factors"),
    [(0.0, [1, 1, 1, 1]), (0.25, [1, 1, 1, 1]), (0.5, [1, 1, 1, 0.5]), (1.0, [1, 0.75, 0.5, 0.25])],
)
def test_linear_to_zero_falls_over_the_last_part(last_part, factors):
    schedule = linear_to_zero(last_part)
    assert [schedule(step, 4) for step in range(4)] == factors


@pytest.mark.parametrize("last_part", [-0.1, 1.5])
def test_a_part_of_a_run_is_between_0_and_1(last_part):
    with pytest.raises(ValueError, match=f"a part of the run, from 0 to 1, got {last_part}"):
        linear_to_zero(last_part)


def test_inverse_decay_does_not_depend_on_the_length():
    """AdaIN: after 20,000 steps half of the rate, with k = 5e-5."""
    schedule = inverse_decay(5e-5)
    assert (schedule(0, 10), schedule(20_000, 160_000), schedule(20_000, 20_001)) == pytest.approx((1, 0.5, 0.5))
    with pytest.raises(ValueError, match="k must be at least 0, got -1"):
        inverse_decay(-1)


def test_both_is_the_product():
    schedule = both(inverse_decay(1.0), linear_to_zero(0.5))
    assert [schedule(step, 4) for step in range(4)] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4 / 2])
