"""Cutting an object out of a photo: the cut against all masks there are, and photos with known objects."""

import itertools

import pytest
import torch

from course_lib import grabcut, sample_image
from course_lib.grabcut import box_mask, refine_mask
from course_lib.image_checks import ImageError


def scene(height=60, width=80):
    """A textured red disk on a textured blue ground, and its mask."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    mask = ((y - 30) ** 2 + (x - 40) ** 2 < 15**2).float()[None, None]
    colors = mask * torch.tensor([0.8, 0.3, 0.2]).view(1, 3, 1, 1) + (1 - mask) * torch.tensor([0.2, 0.3, 0.7]).view(
        1, 3, 1, 1
    )
    return (colors + 0.08 * torch.randn(1, 3, height, width, generator=generator)).clamp(0, 1), mask


def overlap(a, b):
    """Intersection over union."""
    return ((a * b).sum() / torch.maximum(a, b).sum()).item()


@pytest.mark.parametrize("seed", range(6))
def test_the_cut_is_the_best_of_all_masks(seed):
    """All 4096 masks of 3 × 4 pixels, with random evidence and random borders."""
    generator = torch.Generator().manual_seed(seed)
    evidence = 40 * torch.randn(1, 1, 3, 4, generator=generator)
    here = [grabcut._pair(evidence, step)[0] for step in grabcut._NEIGHBORS]
    borders = [50 * torch.rand(one.shape, generator=generator) for one in here]
    low, high = torch.zeros_like(evidence), torch.ones_like(evidence)
    low[..., 0, 0], high[..., 2, 3] = 1, 0
    masks = [torch.tensor(bits, dtype=torch.float32).view(1, 1, 3, 4) for bits in itertools.product((0, 1), repeat=12)]
    allowed = [mask for mask in masks if mask[..., 0, 0] == 1 and mask[..., 2, 3] == 0]
    best = min(grabcut._energy(mask, evidence, borders) for mask in allowed)
    dual = [torch.zeros_like(border) for border in borders]
    cut = grabcut._cut(evidence, borders, low, high, (low + high) / 2, dual)
    assert cut.unique().tolist() in ([0, 1], [0], [1])
    assert cut[..., 0, 0] == 1
    assert cut[..., 2, 3] == 0
    assert grabcut._energy(cut, evidence, borders) == pytest.approx(best, rel=1e-3)


def test_energy_by_hand():
    mask = torch.tensor([[1.0, 1.0], [0.0, 1.0]]).view(1, 1, 2, 2)
    evidence = torch.tensor([[-3.0, 2.0], [10.0, 1.0]]).view(1, 1, 2, 2)
    across, down = torch.tensor([1.0, 2.0]).view(1, 1, 2, 1), torch.tensor([4.0, 8.0]).view(1, 1, 1, 2)
    diagonal, other = torch.tensor(16.0).view(1, 1, 1, 1), torch.tensor(32.0).view(1, 1, 1, 1)
    # −3 + 2 + 1; of the borders, the lower pair, the left pair and the pair at the top right and bottom left differ
    assert grabcut._energy(mask, evidence, [across, down, diagonal, other]) == 0 + 2 + 4 + 32


def test_borders_are_cheap_where_colors_change():
    photo = torch.zeros(1, 3, 4, 4)
    photo[..., 2:] = 1
    across, down, *_ = grabcut._borders(photo)
    assert across[..., 1].max() < across[..., 0].min()
    torch.testing.assert_close(down, torch.full_like(down, 50))


def test_a_mixture_has_the_density_of_its_colors():
    """One color class with independent channels: the Gaussian's logarithm by hand."""
    generator = torch.Generator().manual_seed(0)
    colors = 0.5 + 0.1 * torch.randn(4000, 3, generator=generator)
    one = grabcut._Mixture(torch.ones(1), torch.full((1, 3), 0.5), 0.01 * torch.eye(3)[None])
    expected = torch.distributions.Normal(0.5, 0.1).log_prob(colors).sum(1)
    torch.testing.assert_close(one.log_density(colors), expected, rtol=1e-4, atol=1e-4)


def test_a_mixture_finds_the_colors_of_a_picture():
    palette = torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.8, 0.2], [0.1, 0.1, 0.9], [0.9, 0.9, 0.2], [0.0, 0.0, 0.0]])
    counts = torch.tensor([40, 30, 20, 10, 60])
    noise = 0.01 * torch.randn(160, 3, generator=torch.Generator().manual_seed(0))
    first = grabcut._fit(palette.repeat_interleave(counts, 0) + noise, None)
    fitted = grabcut._fit(palette.repeat_interleave(counts, 0) + noise, first)
    nearest = torch.cdist(palette, fitted.means).min(1)
    assert sorted(nearest.indices.tolist()) == [0, 1, 2, 3, 4]
    assert nearest.values.max() < 0.02
    torch.testing.assert_close(fitted.shares[nearest.indices], counts / 160)
    assert len(grabcut._fit(torch.full((50, 3), 0.3), None).shares) == 1  # one color cannot be split


def test_a_box_around_a_disk():
    photo, disk = scene()
    mask = box_mask(photo, (20, 10, 60, 50))
    assert mask.shape == disk.shape
    assert mask.dtype == torch.float32
    assert mask.unique().tolist() == [0, 1]
    assert overlap(mask, disk) > 0.97
    torch.testing.assert_close(box_mask(photo, (0.25, 10 / 60, 0.75, 50 / 60)), mask)  # fractions
    torch.testing.assert_close(box_mask(photo, torch.tensor([20, 10, 60, 50])), mask)


def test_nothing_is_random():
    photo, _ = scene()
    torch.manual_seed(1)
    first = box_mask(photo, (20, 10, 60, 50))
    torch.manual_seed(2)
    assert torch.equal(first, box_mask(photo, (20, 10, 60, 50)))


def test_nothing_outside_the_box_is_object():
    photo, _ = scene()
    mask = box_mask(photo, (30, 20, 50, 40))  # smaller than the disk
    assert mask[..., :20, :].sum() == mask[..., 40:, :].sum() == mask[..., :30].sum() == mask[..., 50:].sum() == 0


def test_certain_pixels_stay_certain():
    photo, disk = scene()
    known = 0.25 + 0.5 * disk
    known[..., 30, 40], known[..., :3, :] = 1, 0
    known[..., 5:9, 5:9] = 1  # against its color
    mask = refine_mask(photo, known)
    assert mask[..., 5:9, 5:9].min() == 1
    assert mask[..., :3, :].max() == 0


@pytest.mark.parametrize("fine", [1024, 60])
def test_certain_pixels_stay_certain_where_the_border_is_found_at_full_size(monkeypatch, fine):
    monkeypatch.setattr(grabcut, "_LONG_SIDE", 40)
    monkeypatch.setattr(grabcut, "_FINE_SIDE", fine)
    photo, disk = scene()
    known = 0.25 + 0.5 * disk
    known[..., 5, 70], known[..., 30:32, 40] = 1, 0  # both against their colors
    mask = refine_mask(photo, known)
    assert mask[..., 5, 70].item() == 1
    assert mask[..., 30:32, 40].max() == 0


@pytest.mark.parametrize("size", [256, 384])
def test_a_castle_and_a_rough_outline(size):
    """The land of the castle's photo from an outline that is off by up to 3 % of the width: the border finds back."""
    photo = sample_image("eilean_donan", size)
    drawn = (sample_image("eilean_donan_mask", size) - torch.tensor([64, 160, 64]).view(1, 3, 1, 1) / 255).abs().sum(
        1
    ) < 0.2
    land = drawn.float()[None]
    reach = size // 32
    wide, narrow = (torch.nn.functional.max_pool2d(m, 2 * reach + 1, 1, reach) for m in (land, 1 - land))
    found = refine_mask(photo, 0.5 * wide + 0.5 * (1 - narrow))  # the band is open, and begins as land
    assert overlap(wide, land) < 0.93
    assert overlap(found, land) > 0.97


def test_large_photos_are_cut_at_a_smaller_size(monkeypatch):
    photo, disk = scene()
    monkeypatch.setattr(grabcut, "_LONG_SIDE", 40)
    assert overlap(box_mask(photo, (20, 10, 60, 50)), disk) > 0.95
    monkeypatch.setattr(grabcut, "_FINE_SIDE", 60)
    mask = box_mask(photo, (20, 10, 60, 50))
    assert overlap(mask, disk) > 0.9
    assert mask.unique().tolist() == [0, 1]


def test_a_tiny_object_in_a_large_photo_is_no_error(monkeypatch):
    monkeypatch.setattr(grabcut, "_LONG_SIDE", 40)
    photo, _ = scene(200, 200)
    assert box_mask(photo, (100, 100, 101, 101)).sum() <= 1


@pytest.mark.parametrize("box", [(79.7, 10, 80, 30), (10, 59.8, 30, 60), (0.4, 10, 0.45, 30)])
def test_a_box_of_less_than_a_pixel_holds_a_pixel(box):
    assert box_mask(scene()[0], box).shape == (1, 1, 60, 80)


def test_one_color_everywhere_is_no_error():
    mask = box_mask(torch.full((1, 3, 16, 16), 0.5), (4, 4, 12, 12))
    assert mask.isfinite().all()


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((1, 2, 3), r"box must be four numbers \(x0, y0, x1, y1\).*got \(1, 2, 3\)"),
        ("1234", "box must be four numbers"),
        (None, "box must be four numbers.*got None"),
        ((50, 10, 20, 30), r"box must have 0 <= x0 < x1 <= 80 and 0 <= y0 < y1 <= 60.*got \(50, 10, 20, 30\)"),
        ((10, 10, 20, 90), "the photo's width and height"),
        ((10, 10, 20, float("nan")), "the photo's width and height"),
        ((0, 0, 80, 60), "the box covers the whole photo"),
        ((0, 0, 1, 1), "the box covers the whole photo"),
    ],
)
def test_other_boxes_are_refused(box, message):
    with pytest.raises(ValueError, match=message):
        box_mask(scene()[0], box)


def test_other_photos_and_drawings_are_refused():
    photo, disk = scene()
    with pytest.raises(ImageError, match="GrabCut needs sides of at least 8 px"):
        box_mask(photo[..., :4], (1, 1, 3, 3))
    with pytest.raises(
        ValueError, match=r"known must be a tensor \(1, 1, 60, 80\) with values in \[0, 1\], got \(60, 80\)"
    ):
        refine_mask(photo, disk[0, 0])
    with pytest.raises(ValueError, match="known must be a tensor"):
        refine_mask(photo, 255 * disk)
    with pytest.raises(ValueError, match="known must have pixels of the object"):
        refine_mask(photo, 0 * disk)
