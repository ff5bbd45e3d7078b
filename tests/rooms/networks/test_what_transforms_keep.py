"""What each transform of features takes from the painting, what it keeps of the photo, and what it ignores."""

from itertools import product

import pytest
import torch
from torch.testing import assert_close

from course_lib.networks import feature_transforms
from course_lib.networks.feature_transforms import TRANSFORMS, adain, style_swap, swap_adain, transform, wct, whiten

EXACT = 0.0  # nothing is added to the variances, so that the equations hold to the last digits


def features(*shape, seed=0):
    """Correlated channels with means and spreads of their own, in float64."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(shape[1], shape[1], generator=generator, dtype=torch.float64)
    plain = torch.rand(shape, generator=generator, dtype=torch.float64)
    return torch.einsum("ij,njhw->nihw", mix, plain) + torch.arange(shape[1]).view(1, -1, 1, 1)


def moments(x):
    return x.mean((2, 3)), x.flatten(2).var(2, correction=0)


def covariance(x):
    rows = x.flatten(2) - x.flatten(2).mean(2, keepdim=True)
    return rows @ rows.mT / rows.shape[2]


def shuffled(x, seed=1):
    """The positions in another order, the same one for all channels."""
    order = torch.randperm(x[0, 0].numel(), generator=torch.Generator().manual_seed(seed))
    return x.flatten(2)[:, :, order].view_as(x)


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
def test_whitened_channels_have_the_covariance_of_the_identity():
    white = whiten(features(2, 4, 7, 9), eps=EXACT)
    assert_close(covariance(white), torch.eye(4, dtype=torch.float64).expand(2, 4, 4))
    assert_close(white.mean((2, 3)), torch.zeros(2, 4, dtype=torch.float64))


def test_with_fewer_positions_than_channels_whitening_is_a_projection():
    """Six positions span five directions around their mean: these get the variance 1, the others stay 0."""
    values = torch.linalg.eigvalsh(covariance(whiten(features(1, 9, 2, 3), eps=1e-12)))[0]
    assert_close(values, torch.tensor([0.0] * 4 + [1.0] * 5, dtype=torch.float64), atol=1e-6, rtol=0)


def test_without_correlations_wct_is_adain():
    """Σ is diagonal then, and its root is the standard deviation of each channel."""
    photo = whiten(features(1, 3, 6, 6), eps=EXACT) * torch.tensor([2.0, 0.3, 5.0]).view(1, 3, 1, 1) + 1
    painting = whiten(features(1, 3, 6, 8, seed=1), eps=EXACT) * torch.tensor([1.0, 4.0, 0.2]).view(1, 3, 1, 1) - 3
    assert_close(wct(photo, painting, eps=EXACT), adain(photo, painting, eps=EXACT))


def test_whitening_does_not_prefer_any_channel():
    """Σ^−½ is symmetric: a rotation of the channels rotates the result, and does nothing else to it."""
    photo = features(1, 4, 6, 6)
    rotation = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3)))[0]
    rotated = torch.einsum("ij,njhw->nihw", rotation, photo)
    assert_close(whiten(rotated, eps=EXACT), torch.einsum("ij,njhw->nihw", rotation, whiten(photo, eps=EXACT)))


def test_wct_moves_the_features_as_little_as_possible():
    """Of all matrices that whiten, the symmetric root gives what is nearest to features with equal variances."""
    photo = features(1, 3, 6, 6)
    centered = photo - photo.mean((2, 3), keepdim=True)
    best = (whiten(photo, eps=EXACT) - centered).square().sum()
    for seed in range(5):
        rotation = torch.linalg.qr(
            torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        )
        other = torch.einsum("ij,njhw->nihw", rotation[0], whiten(photo, eps=EXACT))  # as white as the first
        assert best <= (other - centered).square().sum()


# --- the swap
def test_a_painting_swapped_with_itself_is_itself():
    painting = features(1, 4, 7, 6)
    assert_close(style_swap(painting, painting), painting)


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
    """Of two patches that look alike, the one that is parallel to the photo's wins, though its values are small."""
    pattern = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    unlike = torch.tensor([20.0, 20.0, 20.0]).view(1, 3, 1, 1)  # a product of 20 with the pattern, which has 1
    painting = torch.cat([pattern, unlike], dim=3)
    assert style_swap(pattern, painting, patch=1).flatten().tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("patch", [1, 2, 3])
@pytest.mark.parametrize("numbers", [1, 200, 2**22])
def test_the_nearest_patch_is_the_one_of_a_plain_search(patch, numbers, monkeypatch):
    """In parts of any size; the plain search compares the cosines of all pairs of patches, one after another."""
    monkeypatch.setattr(feature_transforms, "_SIMILARITIES", numbers)
    photo, painting = features(1, 3, 6, 5), features(1, 3, 5, 7, seed=1)
    total, count = torch.zeros_like(photo), torch.zeros_like(photo)
    for y, x in product(range(6 - patch + 1), range(5 - patch + 1)):
        ours = photo[0, :, y : y + patch, x : x + patch]
        candidates = [
            painting[0, :, a : a + patch, b : b + patch]
            for a, b in product(range(5 - patch + 1), range(7 - patch + 1))
        ]  # fmt: skip
        best = max(candidates, key=lambda one: torch.cosine_similarity(one.flatten(), ours.flatten(), dim=0).item())
        total[0, :, y : y + patch, x : x + patch] += best
        count[0, :, y : y + patch, x : x + patch] += 1
    assert_close(style_swap(photo, painting, patch=patch), total / count)


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


@pytest.mark.parametrize("kind", TRANSFORMS)
@pytest.mark.parametrize("which", ["photo", "painting", "both"])
def test_flat_channels_and_flat_pictures_stay_finite(kind, which):
    photo, painting = features(1, 4, 6, 6).float(), features(1, 4, 6, 6, seed=1).float()
    for one in (photo,) if which == "photo" else (painting,) if which == "painting" else (photo, painting):
        one[:, 0] = 0
        assert torch.isfinite(transform(kind, photo, painting)).all()
        one[:] = one[..., :1, :1]
        assert torch.isfinite(transform(kind, photo, painting)).all()


def test_in_the_style_of_one_color_everything_has_that_color():
    photo = features(1, 4, 6, 6)
    color = features(1, 4, 1, 1, seed=1).expand(1, 4, 5, 5)
    for kind in TRANSFORMS:
        assert_close(transform(kind, photo, color), color[..., :1, :1].expand_as(photo))


# --- regions
def test_a_region_has_the_paintings_statistics_and_only_its_share_counts():
    photo, painting = features(1, 3, 6, 8), features(1, 3, 5, 5, seed=1)
    region = torch.zeros(1, 1, 6, 8, dtype=torch.float64)
    region[..., :3] = 1
    painted = adain(photo, painting, region, eps=EXACT)
    for ours, theirs in zip(moments(painted[..., :3]), moments(painting), strict=True):
        assert_close(ours, theirs)
    assert_close(adain(photo, painting, 7 * region, eps=EXACT), painted)
    assert_close(adain(photo, painting, torch.ones_like(region), eps=EXACT), adain(photo, painting, eps=EXACT))
    colored = wct(photo, painting, region, eps=EXACT)
    assert_close(covariance(colored[..., :3]), covariance(painting))
    changed = photo.clone()
    changed[..., 3:] += 5  # outside of the region
    assert_close(adain(changed, painting, region, eps=EXACT)[..., :3], painted[..., :3])


def test_a_region_of_one_position_is_finite():
    photo, painting = features(1, 3, 4, 4).float(), features(1, 3, 4, 4, seed=1).float()
    region = torch.zeros(1, 1, 4, 4)
    region[..., 2, 1] = 1
    for kind in TRANSFORMS:
        painted = transform(kind, photo, painting, region)
        assert torch.isfinite(painted).all()
    assert_close(adain(photo, painting, region)[..., 2, 1], painting.mean((2, 3)))
