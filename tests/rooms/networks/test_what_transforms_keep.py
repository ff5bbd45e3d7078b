"""What each transform of features takes from the painting, what it keeps of the photo, and what it ignores."""

import pytest
import torch
from torch.testing import assert_close

from course_lib.networks.feature_transforms import TRANSFORMS, adain, style_swap, swap_adain, transform, wct, whiten

EXACT = 0.0  # nothing is added to the variances, so that the equations hold to the last digits


def features(*shape, seed=0):
    """Correlated channels with means and spreads of their own, in float64."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(shape[1], shape[1], generator=generator, dtype=torch.float64)
    plain = torch.rand(shape, generator=generator, dtype=torch.float64)
    return torch.einsum("ij,njhw->nihw", mix, plain) + torch.arange(shape[1]).view(1, -1, 1, 1)


def covariance(x):
    rows = x.flatten(2) - x.flatten(2).mean(2, keepdim=True)
    return rows @ rows.mT / rows.shape[2]


def shuffled(x, seed=1):
    """The positions in another order, the same one for all channels."""
    order = torch.randperm(x[0, 0].numel(), generator=torch.Generator().manual_seed(seed))
    return x.flatten(2)[:, :, order].view_as(x)


def rotated(x, seed=3):
    """The channels mixed by an orthogonal matrix."""
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.linalg.qr(torch.randn(x.shape[1], x.shape[1], dtype=torch.float64, generator=generator))[0]
    return torch.einsum("ij,njhw->nihw", matrix, x)


# --- AdaIN
def test_a_second_painting_replaces_the_first():
    photo, first, second = (features(1, 4, 6, 7, seed=k) for k in range(3))
    twice = adain(adain(photo, first, eps=EXACT), second, eps=EXACT)
    assert_close(twice, adain(photo, second, eps=EXACT))
    again = adain(adain(photo, first, eps=EXACT), first, eps=EXACT)
    assert_close(again, adain(photo, first, eps=EXACT))


def test_contrast_and_brightness_of_a_channel_of_the_photo_do_not_matter():
    photo, painting = features(2, 3, 5, 6), features(1, 3, 4, 9, seed=1)
    factor, shift = torch.tensor([0.5, 3.0, 10.0]).view(1, 3, 1, 1), torch.tensor([7.0, -2.0, 0.0]).view(1, 3, 1, 1)
    assert_close(adain(factor * photo + shift, painting, eps=EXACT), adain(photo, painting, eps=EXACT))


def test_for_adain_and_wct_a_shuffled_painting_is_the_same_style_but_not_for_the_swap():
    photo, painting = features(1, 3, 6, 6), features(1, 3, 5, 8, seed=1)
    for function in (adain, wct):
        assert_close(function(photo, shuffled(painting)), function(photo, painting))
    assert not torch.allclose(style_swap(photo, shuffled(painting)), style_swap(photo, painting))


def test_adain_keeps_the_photos_correlations_and_wct_takes_the_paintings():
    photo, painting = features(1, 3, 8, 8), features(1, 3, 8, 8, seed=1)

    def correlations(x):
        spread = covariance(x).diagonal(0, 1, 2).sqrt()
        return covariance(x) / spread[:, :, None] / spread[:, None, :]

    assert not torch.allclose(correlations(photo), correlations(painting), atol=0.1)
    assert_close(correlations(adain(photo, painting, eps=EXACT)), correlations(photo))
    assert_close(correlations(wct(photo, painting, eps=EXACT)), correlations(painting))


# --- whitening and coloring
def test_with_fewer_positions_than_channels_whitening_is_a_projection():
    """Six positions span five directions around their mean: these get the variance 1, the others stay 0."""
    values = torch.linalg.eigvalsh(covariance(whiten(features(1, 9, 2, 3), eps=1e-12)))[0]
    assert_close(values, torch.tensor([0.0] * 4 + [1.0] * 5, dtype=torch.float64), atol=1e-6, rtol=0)


def test_whitening_does_not_prefer_any_channel():
    """Σ^−½ is symmetric: a rotation of the channels rotates the result, and does nothing else to it."""
    photo = features(1, 4, 6, 6)
    assert_close(whiten(rotated(photo), eps=EXACT), rotated(whiten(photo, eps=EXACT)))


def test_whitening_moves_the_features_as_little_as_possible():
    """Of all matrices that whiten, the symmetric root Σ^−½ leaves the features nearest to what they were."""
    photo = features(1, 3, 6, 6)
    centered = photo - photo.mean((2, 3), keepdim=True)
    best = (whiten(photo, eps=EXACT) - centered).square().sum()
    for seed in range(5):
        other = rotated(whiten(photo, eps=EXACT), seed)  # as white as the first
        assert best <= (other - centered).square().sum()


# --- the swap
def test_a_detail_of_the_painting_is_found_in_the_painting():
    painting = features(1, 5, 9, 8)
    detail = painting[..., 2:7, 3:8]
    assert_close(style_swap(detail, painting), detail)
    assert_close(style_swap(3.5 * detail, painting), detail)  # how strong the photo's features are does not matter


def test_every_value_of_a_swap_lies_among_the_paintings():
    photo, painting = 50 * features(1, 3, 8, 8), features(1, 3, 6, 7, seed=1)
    swapped = style_swap(photo, painting)
    for channel in range(3):
        assert swapped[:, channel].min() >= painting[:, channel].min() - 1e-9
        assert swapped[:, channel].max() <= painting[:, channel].max() + 1e-9


def test_a_strong_patch_does_not_win_by_its_strength():
    """The patch that is parallel to the photo's wins, although the product with the other one is larger."""
    pattern = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    unlike = torch.tensor([20.0, 20.0, 20.0]).view(1, 3, 1, 1)  # its product with the pattern is 20, not 1
    painting = torch.cat([pattern, unlike], dim=3)
    assert style_swap(pattern, painting, patch=1).flatten().tolist() == [1.0, 0.0, 0.0]


def test_the_swap_of_normalized_features_ignores_which_channels_are_strong():
    """A channel a hundred times as strong decides the plain swap alone; normalized, all of them count."""
    photo, painting = features(1, 3, 7, 7), features(1, 3, 7, 7, seed=1)
    strong = torch.tensor([100.0, 1.0, 1.0]).view(1, 3, 1, 1)
    assert_close(swap_adain(strong * photo, painting), swap_adain(photo, painting), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(style_swap(strong * photo, painting), style_swap(photo, painting))


# --- all four
@pytest.mark.parametrize("kind", TRANSFORMS)
def test_a_photo_in_its_own_style_stays_as_it_is(kind):
    photo = features(1, 3, 7, 8)
    assert_close(transform(kind, photo, photo), photo, rtol=1e-3, atol=1e-3)  # up to EPS


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_mirrored_pictures_give_the_mirrored_result(kind):
    photo, painting = features(1, 3, 6, 7), features(1, 3, 5, 8, seed=1)
    assert_close(transform(kind, photo.flip(3), painting.flip(3)), transform(kind, photo, painting).flip(3))


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_each_photo_of_a_batch_is_transformed_by_itself(kind):
    photos, painting = features(3, 3, 6, 7), features(1, 3, 5, 8, seed=1)
    photos[1] *= 30
    alone = torch.cat([transform(kind, photo, painting) for photo in photos.split(1)])
    assert_close(transform(kind, photos, painting), alone)


def test_in_the_style_of_one_color_everything_has_that_color():
    photo = features(1, 4, 6, 6)
    color = features(1, 4, 1, 1, seed=1).expand(1, 4, 5, 5)
    for kind in TRANSFORMS:
        assert_close(transform(kind, photo, color), color[..., :1, :1].expand_as(photo))
