"""A spike in one position: what each of the two ways to control a map leaves of the rest."""

import math

import pytest
import torch

from course_lib.teaching.measures import spike


def test_a_spike_of_zero_height_changes_nothing():
    numbers = spike.spike(height=0.0, side=32, seed=0).numbers
    assert numbers["rest, instance"] == pytest.approx(1, abs=0.01)
    assert numbers["formula"] == numbers["rest, demodulation"] == 1


@pytest.mark.parametrize(("side", "formula"), [(32, 0.158), (64, 0.305)])
def test_the_formula_is_the_deviation_of_a_map_with_a_spike(side, formula):
    x = torch.zeros(side * side)
    x[::2], x[1::2] = 1, -1  # deviation 1 without the spike
    x = torch.cat((torch.tensor([200.0]), x[1:]))
    numbers = spike.spike(height=200.0, side=side, seed=0).numbers
    assert numbers["formula"] == pytest.approx(1 / x.std(correction=0).item(), rel=0.02)
    assert numbers["formula"] == pytest.approx(formula, abs=0.001)
    assert numbers["rest, instance"] == pytest.approx(formula, abs=0.02)


def test_the_higher_the_spike_the_less_is_left_and_demodulation_does_not_see_it():
    found = [spike.spike(height=height, side=32, seed=3).numbers for height in (10.0, 100.0, 1000.0)]
    left = [numbers["rest, instance"] for numbers in found]
    assert left == sorted(left, reverse=True)
    assert left[-1] < 0.05
    assert all(numbers["rest, demodulation"] == 1 for numbers in found)
    assert all(math.isclose(numbers["deviation, demodulation"], 1, abs_tol=0.05) for numbers in found)
