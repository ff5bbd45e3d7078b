"""Random crops and flips of pictures whose pixels encode their position."""

import pytest
import torch
from test_pairs import map_of, pair_of

from course_lib.data.augment import (
    Compose,
    RandomCrop,
    RandomFlip,
    RandomScaleCrop,
    ResizedCrop,
    crop_and_flip,
    floating,
    item_generator,
    squeezed,
)
from course_lib.images import resample


def many(augment, pictures, count=300):
    return [augment(pictures, item_generator(0, number)) for number in range(count)]


def test_a_crop_is_a_part_of_the_picture_and_all_positions_are_equally_likely():
    whole = map_of(7, 12)
    places = []
    for crop in many(RandomCrop(5), whole, 600):
        left, top = (int((255 * crop[0, c]).round().min()) for c in (0, 1))
        assert torch.equal(crop, whole[..., top : top + 5, left : left + 5])
        places.append((left, top))
    counts = [places.count((left, top)) for left in range(8) for top in range(3)]
    assert sum(counts) == 600
    assert all(abs(count - 25) < 20 for count in counts)  # four standard deviations of √(600 / 24)


def test_a_crop_larger_than_the_picture_is_refused():
    with pytest.raises(ValueError, match=r"a crop of 8 px needs larger pictures than \(1, 3, 7, 12\)"):
        RandomCrop(8)(map_of(7, 12), item_generator(0, 0))


def test_bytes_stay_bytes_until_floating_converts_them():
    whole = map_of(7, 12)
    kept = whole.mul(255).round().to(torch.uint8)
    for ours, expected in zip(many(RandomCrop(5), kept, 10), many(RandomCrop(5), whole, 10), strict=True):
        assert ours.dtype == torch.uint8
        torch.testing.assert_close(floating(ours), expected)
    assert floating(whole) is whole


def test_a_scaled_crop_is_a_resampled_square():
    """Both pictures of a pair are cropped alike; scale 1 takes the whole short side."""
    whole = pair_of(20, 28)
    kept = whole.mul(255).round().to(torch.uint8)
    for crop in many(RandomScaleCrop(8), whole, 30):
        assert crop.shape == (2, 3, 8, 8)
        torch.testing.assert_close(crop[1], 1 - crop[0], rtol=0, atol=1e-5)
    (everything,) = many(RandomScaleCrop(8, (1, 1)), whole[..., :20], 1)
    torch.testing.assert_close(everything, resample(whole[..., :20], 8, 8))
    for ours, expected in zip(*(many(RandomScaleCrop(8), x, 10) for x in (kept, whole)), strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("probability", [0.0, 0.25, 1.0])
def test_a_flip_happens_with_the_given_probability(probability):
    whole = map_of(4, 6)
    flips = [not torch.equal(picture, whole) for picture in many(RandomFlip(probability), whole)]
    assert abs(sum(flips) - 300 * probability) <= 4 * (300 * probability * (1 - probability)) ** 0.5
    assert torch.equal(RandomFlip(1.0)(whole, item_generator(0, 0)), whole.flip(-1))


def test_composed_augmentations_share_one_stream_of_random_numbers():
    whole = map_of(9, 9)
    generator = item_generator(3, 5)
    by_hand = RandomFlip()(RandomCrop(4)(whole, generator), generator)
    for augment in (Compose(RandomCrop(4), RandomFlip()), crop_and_flip(4, mirror=True)):
        assert torch.equal(augment(whole, item_generator(3, 5)), by_hand)
    assert torch.equal(
        crop_and_flip(4, mirror=False)(whole, item_generator(3, 5)), RandomCrop(4)(whole, item_generator(3, 5))
    )


def test_random_numbers_come_from_the_generator_alone():
    before = torch.get_rng_state()
    many(Compose(RandomScaleCrop(4), RandomFlip(), RandomCrop(3)), map_of(9, 9), 5)
    assert torch.equal(torch.get_rng_state(), before)
    draws = {(seed, number): torch.rand((), generator=item_generator(seed, number)).item()
             for seed in range(3) for number in range(20)}  # fmt: skip
    assert len(set(draws.values())) == 60


def test_a_squeezed_picture_is_square_and_a_square_one_is_unchanged():
    assert squeezed(map_of(6, 9), 4).shape == (1, 3, 4, 4)
    square = map_of(5, 5)
    assert squeezed(square, 5) is square


def test_a_resized_crop_has_one_scale_whatever_the_pictures_size():
    """From a short side of 24 px, taken as 16: a crop of 8 px is a square of 12, at the picture's own detail."""
    for height, width in ((24, 40), (30, 24)):
        whole = map_of(height, width)
        for crop in many(ResizedCrop(8, 16), whole, 30):
            assert crop.shape == (1, 3, 8, 8)
            for channel, axis in ((0, -1), (1, -2)):  # columns and rows
                steps = 255 * crop[0, channel].diff(dim=axis)
                assert steps.narrow(axis, 2, 3).mean().item() == pytest.approx(1.5, abs=0.05)
    (everything,) = many(ResizedCrop(8, 8), map_of(24, 24), 1)
    torch.testing.assert_close(everything, resample(map_of(24, 24), 8, 8))
    pair = many(ResizedCrop(8, 16), pair_of(24, 24), 1)[0]  # both alike
    torch.testing.assert_close(pair[1], 1 - pair[0], rtol=0, atol=1e-5)


def test_a_resized_crop_needs_a_load_size_of_at_least_its_own():
    with pytest.raises(ValueError, match="load_size must be at least the crop's 8 px, got 7"):
        ResizedCrop(8, 7)
