"""Pairs of frames with known motion: the flow is exact, items depend on seed and number only."""

import pytest
import torch
from torch import Tensor

from course_lib.data.crops import Crops
from course_lib.data.moving import MovingPairs
from course_lib.flow import warp


def smooth(side: int, seed: int = 0) -> Tensor:
    """A picture without fine detail, for which interpolation is nearly exact, (3, side, side)."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    phase = torch.rand(3, 1, 1, generator=torch.Generator().manual_seed(seed)) * 6
    return 0.5 + 0.4 * torch.sin(0.13 * x + 0.09 * y + phase)


def test_motion_by_whole_pixels_copies_the_photo() -> None:
    crop = torch.rand(3, 60, 60)
    earlier, later, flow, visible = MovingPairs([crop], margin=10, shift=9.0)[0]
    x, y = (int(part) for part in flow[:, 0, 0])
    assert (flow == flow[:, :1, :1]).all()
    assert (x, y) != (0, 0)
    torch.testing.assert_close(earlier, crop[:, 10:50, 10:50], rtol=0, atol=0)
    torch.testing.assert_close(later, crop[:, 10 + y : 50 + y, 10 + x : 50 + x], rtol=0, atol=0)
    assert visible.sum() == (40 - abs(x)) * (40 - abs(y))
    change = (warp(earlier[None], flow[None])[0] - later).abs() * visible
    assert change.max() < 1e-5


@pytest.mark.parametrize("k", [1, 3, 5])
def test_the_flow_of_a_similarity_is_exact(k: int) -> None:
    pairs = MovingPairs([smooth(92)] * 6, margin=14, shift=6.0, zoom=0.05, rotation=5.0)
    earlier, later, flow, visible = pairs[k]
    assert 0.5 < visible.mean() < 1
    # PyTorch's bicubic kernel (a = -0.75) displaces a slope by up to 0.07 px; the slope is at most 0.4 (0.13 + 0.09)
    assert ((warp(earlier[None], flow[None])[0] - later).abs() * visible).max() < 0.07 * 0.088
    assert ((earlier - later).abs() * visible).max() > 0.05  # it does move
    # the derivative of p + w(p) is a rotation times a factor: both columns have one length and are at right angles
    across, down = (flow[:, :, 1:] - flow[:, :, :-1])[:, 0, 0], (flow[:, 1:] - flow[:, :-1])[:, 0, 0]
    columns = torch.stack((across + torch.tensor([1.0, 0]), down + torch.tensor([0, 1.0])))
    product = columns @ columns.T
    factor = product[0, 0].sqrt().item()
    torch.testing.assert_close(product, factor**2 * torch.eye(2), rtol=0, atol=1e-4)
    assert 1 / 1.05 - 1e-4 <= factor <= 1.05 + 1e-4


def test_an_item_depends_on_the_seed_and_its_number() -> None:
    crops = [torch.rand(3, 40, 40)] * 4
    pairs = MovingPairs(crops, margin=6, shift=5.0, noise=0.1)
    torch.manual_seed(5)
    first = pairs[3]
    torch.rand(7)
    for one, again in zip(first, pairs[3], strict=True):
        torch.testing.assert_close(one, again, rtol=0, atol=0)
    assert not torch.equal(first[2], MovingPairs(crops, margin=6, shift=5.0, noise=0.1, seed=1)[3][2])
    assert not torch.equal(first[2], pairs[1][2])


def test_the_noise_of_two_frames_differs() -> None:
    crops = [torch.full((3, 80, 80), 0.5)] * 40
    deviations = []
    for k in range(40):
        earlier, later, _, _ = MovingPairs(crops, margin=8, noise=0.1)[k]
        assert not torch.equal(earlier, later)
        torch.testing.assert_close(earlier.std(), later.std(), rtol=0.1, atol=1e-3)
        deviations.append(earlier.std().item())
    assert max(deviations) < 0.105
    assert min(deviations) < 0.02
    assert 0.035 < sum(deviations) / 40 < 0.065  # from 0 to 0.1, all equally likely


def test_it_has_as_many_items_as_there_are_crops_and_knows_the_photos() -> None:
    crops = Crops([torch.rand(1, 3, 60, 70)] * 3, size=48, length=11)
    pairs = MovingPairs(crops, margin=8)
    assert (len(pairs), len(pairs.photos), pairs.fingerprint) == (11, 3, crops.fingerprint)
    assert pairs[10][0].shape == (3, 32, 32)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="shift of up to 9 px needs a margin"):
        MovingPairs([torch.rand(3, 60, 60)], margin=8, shift=9)
    with pytest.raises(ValueError, match="more than 16 px, got 16 × 16 px"):
        MovingPairs([torch.rand(3, 16, 16)], margin=8)[0]
    with pytest.raises(ValueError, match="got 50 × 40 px"):
        MovingPairs([torch.rand(3, 40, 50)], margin=8)[0]
    with pytest.raises(ValueError, match="noise"):
        MovingPairs([torch.rand(3, 60, 60)], margin=8, noise=-1)
