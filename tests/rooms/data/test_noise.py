"""The noise that a generator starts from: drawn by count and seed, or taken as it is given."""

import numpy as np
import pytest
import torch

from course_lib.data.noise import normal_rows


def test_drawn_rows_are_normal_and_belong_to_their_seed():
    rows = normal_rows(4000, 3, seed=1)
    assert (rows.shape, rows.dtype, rows.device.type) == ((4000, 3), torch.float32, "cpu")
    assert rows.mean().item() == pytest.approx(0, abs=0.03)
    assert rows.std().item() == pytest.approx(1, abs=0.03)
    assert torch.equal(rows, normal_rows(4000, 3, seed=1))
    assert not torch.equal(rows, normal_rows(4000, 3, seed=2))


def test_the_callers_random_state_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    normal_rows(3, 2, seed=0)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    "given",
    [
        [[1, 2], [3, 4]], np.array([[1, 2], [3, 4]]), np.array([[1, 2], [3, 4]], dtype=np.float64),
        torch.tensor([[1, 2], [3, 4]]), torch.tensor([[1.0, 2], [3, 4]], dtype=torch.float64, requires_grad=True),
        torch.tensor([[1.0, 2], [3, 4]], dtype=torch.bfloat16),
    ],
)  # fmt: skip
def test_given_rows_become_float32_without_gradients(given):
    rows = normal_rows(given, 2, seed=0)
    assert rows.dtype == torch.float32
    assert rows.tolist() == [[1, 2], [3, 4]]
    assert not rows.requires_grad


@pytest.mark.parametrize("number", [3, 3.0, np.int64(3), torch.tensor(3)])
def test_a_count_may_come_in_any_form(number):
    assert torch.equal(normal_rows(number, 2, seed=7), normal_rows(3, 2, seed=7))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.zeros(3, 4), r"expected noise \(N, 2\) .*, got shape \(3, 4\)"),
        (torch.zeros(2), r"got shape \(2,\)"),
        (torch.zeros(0, 2), r"got shape \(0, 2\)"),
        ([], r"got shape \(0,\)"),
        (torch.tensor([[1.0, torch.nan]]), "got values that are not finite"),
        (np.array([[np.inf, 0.0]]), "got values that are not finite"),
        ([[1, 2], [3]], r"expected noise \(N, 2\) of numbers, rows of one length"),
        ([["a", "b"]], r"expected noise \(N, 2\) of numbers"),
        (0, "count_or_noise must be a whole number from 1 .*, got 0"),
        (-2, "got -2"), (1.5, "got 1.5"), ("3", "got '3'"), (None, "got None"), (True, "got True"),
    ],
)  # fmt: skip
def test_anything_else_gets_a_sentence(given, message):
    with pytest.raises(ValueError, match=message):
        normal_rows(given, 2, seed=0)


@pytest.mark.parametrize("seed", [-1, 1.5, 2**32])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ValueError, match="seed must be"):
        normal_rows(3, 2, seed=seed)
