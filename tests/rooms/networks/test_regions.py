"""Which position gets how much of which style."""

from functools import partial

import pytest
import torch

from course_lib.networks.regions import parts_of, to_multiples

parts = partial(parts_of, torch.rand(2, 3, 16, 20), shrink=8, device=torch.device("cpu"))


def masks(count, value=0.0):
    return torch.full((count, 1, 16, 20), value)


def test_weights_are_scaled_to_sum_to_one():
    assert [part.share.item() for part in parts(2)] == [0.5, 0.5]
    assert [part.share.item() for part in parts(3, weights=[1, 0, 3])] == [0.25, 0, 0.75]
    assert all(part.region is None for part in parts(3))


@pytest.mark.parametrize("wrong", [[1], [1, 2, 3], [0, 0], [1, -1], [1, float("nan")], 1, "ab"])
def test_other_weights_are_refused(wrong):
    with pytest.raises(ValueError, match="weights must be 2 numbers of at least 0 for the styles, not all 0"):
        parts(2, weights=wrong)


def test_a_position_gets_as_much_as_the_mask_covers_of_it():
    """20 columns: two whole positions, and one of the last four columns, reflected to columns 18 … 15."""
    given = masks(1)
    given[..., :4, :] = 1  # half of the upper positions
    given[..., 8:, 16:] = 1  # columns 16 … 19, and of 18, 17, 16, 15 three
    (part,) = parts(1, masks=given)
    torch.testing.assert_close(part.share, torch.tensor([[[[0.5, 0.5, 0.5], [0, 0, 7 / 8]]]]))
    torch.testing.assert_close(part.region, part.share)


def test_where_masks_overlap_they_share_and_elsewhere_they_stay():
    given = masks(2)
    given[0] = 1
    given[1, :, :8] = 1
    first, second = parts(2, masks=given)
    assert first.share[0, 0, :, 0].tolist() == [0.5, 1]
    assert second.share[0, 0, :, 0].tolist() == [0.5, 0]
    assert first.region.min() == 1  # the statistics are those of its whole region


def test_true_and_false_are_a_mask():
    (part,) = parts(1, masks=masks(1, 1.0).bool())
    assert part.share.min() == 1


def test_other_masks_are_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 1, 16, 20\), one for each style .* shape \(1, 1, 16, 20\)"):
        parts(2, masks=masks(1))
    with pytest.raises(ValueError, match="got list"):
        parts(1, masks=[[1.0]])
    for value in (255.0, -0.5, float("nan")):
        with pytest.raises(ValueError, match="from 0, outside the region, to 1, inside"):
            parts(1, masks=masks(1, value))
    empty = masks(2, 1.0)
    empty[1] = 0
    with pytest.raises(ValueError, match="mask 2 of 2 is 0 everywhere; leave out its style"):
        parts(2, masks=empty)
    with pytest.raises(ValueError, match="masks or weights, not both"):
        parts(1, masks=masks(1, 1.0), weights=[1])


def test_sides_are_reflected_to_multiples():
    row = torch.arange(5.0).view(1, 1, 1, 5).expand(1, 1, 5, 5)
    assert to_multiples(row, 4)[0, 0, 0].tolist() == [0, 1, 2, 3, 4, 3, 2, 1]
    assert to_multiples(row[..., :4, :4], 4).shape == (1, 1, 4, 4)
