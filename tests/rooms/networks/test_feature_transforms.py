"""Four transforms of features: by hand, their statistics, regions, and what is constant or too small."""

import pytest
import torch
import torch.nn.functional as F

from course_lib.networks import feature_transforms
from course_lib.networks.feature_transforms import (
    TRANSFORMS,
    adain,
    mean_and_covariance,
    mean_and_std,
    normalize,
    style_swap,
    swap_adain,
    transform,
    wct,
    whiten,
)


def features(*shape, seed=0):
    """Positive and correlated, with channels of different size, in float64."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(shape, generator=generator, dtype=torch.float64)
    mixing = torch.rand(shape[1], shape[1], generator=generator, dtype=torch.float64)
    return torch.einsum("ij,njhw->nihw", mixing, x) + 1


def covariance(x):
    return torch.cov(x[0].flatten(1), correction=0)


# --- adain ---


def test_adain_by_hand():
    """c = (0, 2, 4): mean 2, variance 8/3. s = (1, 5): mean 3, standard deviation 2: (c − 2) / √(8/3) · 2 + 3."""
    content, style = torch.tensor([[[[0.0, 2, 4]]]]).double(), torch.tensor([[[[1.0, 5]]]]).double()
    expected = torch.tensor([3 - 4 / (8 / 3) ** 0.5, 3, 3 + 4 / (8 / 3) ** 0.5]).double()
    torch.testing.assert_close(adain(content, style, eps=0)[0, 0, 0], expected)


def test_adain_gives_every_picture_and_channel_the_style_statistics():
    content, style = features(3, 4, 6, 5), features(1, 4, 7, 9, seed=1)
    mean, std = mean_and_std(adain(content, style, eps=0))
    for k in range(3):
        torch.testing.assert_close(mean[k : k + 1], style.mean((2, 3), keepdim=True))
        torch.testing.assert_close(std[k : k + 1], style.std((2, 3), correction=0, keepdim=True))


def test_adain_with_itself_is_nearly_the_same_and_a_style_for_each_picture_is_possible():
    content = features(2, 4, 6, 5)
    torch.testing.assert_close(adain(content, content, eps=0), content)
    styles = features(2, 4, 3, 3, seed=1)
    torch.testing.assert_close(adain(content, styles)[1:], adain(content[1:], styles[1:]))


def test_normalized_channels_have_mean_0_and_variance_1():
    mean, std = mean_and_std(normalize(features(1, 4, 6, 5), eps=0))
    torch.testing.assert_close((mean, std), (torch.zeros_like(mean), torch.ones_like(std)), rtol=0, atol=1e-12)


# --- wct ---


def test_whitened_channels_are_uncorrelated_and_colored_ones_have_the_style_covariance():
    content, style = features(1, 4, 6, 5), features(1, 4, 7, 9, seed=1)
    torch.testing.assert_close(covariance(whiten(content, eps=0)), torch.eye(4).double())
    painted = wct(content, style, eps=0)
    torch.testing.assert_close(covariance(painted), covariance(style))
    torch.testing.assert_close(painted.mean((2, 3)), style.mean((2, 3)))


def test_wct_of_one_channel_is_adain():
    content, style = features(1, 1, 6, 5), features(1, 1, 4, 4, seed=1)
    torch.testing.assert_close(wct(content, style), adain(content, style))


def test_wct_of_uncorrelated_channels_is_adain():
    """Two channels that vary at different positions: their covariance is 0, so each is scaled alone."""
    content = torch.tensor([[1.0, -1, 0, 0], [0, 0, 3, -3]]).double().view(1, 2, 2, 2)
    style = torch.tensor([[5.0, 1, 3, 3], [2, 2, 0, 4]]).double().view(1, 2, 2, 2)
    torch.testing.assert_close(wct(content, style), adain(content, style))


def test_the_covariance_does_not_depend_on_the_chunks():
    x = features(1, 3, 2, 2**13 + 5)  # two chunks
    torch.testing.assert_close(mean_and_covariance(x)[1][0], covariance(x))


def test_fewer_positions_than_channels_give_finite_features():
    content, style = features(1, 16, 2, 3), features(1, 16, 2, 2, seed=1)
    painted = wct(content, style).float()
    assert painted.isfinite().all()
    assert painted.abs().max() < 10 * style.abs().max()


# --- patches ---


def brute_force(content, style, patch):
    """Every patch for the one with the largest ⟨c_p, s_q⟩ / |s_q|, and the mean of what overlaps, by loops."""
    height, width = content.shape[2:]
    total, count = torch.zeros_like(content), torch.zeros(height, width).to(content)
    theirs = [
        style[..., y : y + patch, x : x + patch]
        for y in range(style.shape[2] - patch + 1)
        for x in range(style.shape[3] - patch + 1)
    ]
    for y in range(height - patch + 1):
        for x in range(width - patch + 1):
            ours = content[..., y : y + patch, x : x + patch]
            best = max(theirs, key=lambda q: ((ours * q).sum() / q.norm()).item())
            total[..., y : y + patch, x : x + patch] += best
            count[y : y + patch, x : x + patch] += 1
    return total / count


@pytest.mark.parametrize("patch", [1, 3])
@pytest.mark.parametrize("at_once", [1, 200, 2**22])  # the smallest chunks, some, one
def test_the_swap_takes_the_nearest_patch_whatever_the_chunks(monkeypatch, patch, at_once):
    monkeypatch.setattr(feature_transforms, "_SIMILARITIES", at_once)
    content, style = features(1, 4, 5, 7), features(1, 4, 6, 4, seed=1)
    torch.testing.assert_close(style_swap(content, style, patch=patch), brute_force(content, style, patch))


@pytest.mark.parametrize("at_once", [1, 2**22])
def test_of_patches_that_fit_equally_well_the_first_is_taken_whatever_the_chunks(monkeypatch, at_once):
    monkeypatch.setattr(feature_transforms, "_SIMILARITIES", at_once)
    style = torch.tensor([[[[1.0], [2]], [[0.0], [0]]]])  # two rows, of one direction
    assert style_swap(torch.tensor([[[[5.0]], [[1.0]]]]), style, patch=1).flatten().tolist() == [1, 0]


def test_an_empty_patch_of_the_style_is_not_chosen_and_hides_no_other():
    """Scores (0, 5, 4) and (0, 1, 7); the first patch is 0 everywhere and has no direction."""
    style = torch.tensor([[[[0.0, 1, 0]], [[0.0, 0, 2]]]])
    assert style_swap(torch.tensor([[[[5.0, 1]], [[4.0, 7]]]]), style, patch=1).tolist() == [[[[1, 0]], [[0, 2]]]]


def test_a_picture_swapped_with_itself_stays():
    content = features(1, 4, 5, 6) - 2  # of both signs, so that a patch correlates most with itself
    torch.testing.assert_close(style_swap(content, content), content)


def test_the_swap_does_not_depend_on_how_strong_the_content_is_but_on_its_pattern():
    content, style = features(1, 4, 5, 7), features(1, 4, 6, 4, seed=1)
    torch.testing.assert_close(style_swap(content, style), style_swap(7 * content, style))


def test_a_batch_is_swapped_picture_by_picture():
    content, style = features(2, 4, 5, 5), features(1, 4, 6, 4, seed=1)
    for way in (style_swap, swap_adain):
        torch.testing.assert_close(way(content, style)[1:], way(content[1:], style))


def test_swap_and_adain_has_the_style_statistics_and_chooses_by_normalized_patterns():
    content, style = features(1, 4, 6, 7), features(1, 4, 6, 5, seed=1)
    painted = swap_adain(content, style)
    torch.testing.assert_close(mean_and_std(painted), mean_and_std(style), rtol=1e-3, atol=1e-3)  # up to EPS
    torch.testing.assert_close(swap_adain(5 * content - 2, style), painted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("small", ["content", "style"])
def test_features_smaller_than_a_patch_are_refused(small):
    pair = {"content": features(1, 2, 4, 4), "style": features(1, 2, 4, 4), small: features(1, 2, 2, 4)}
    with pytest.raises(ValueError, match=f"the {small} has 2×4 positions, fewer than a patch of 3×3"):
        style_swap(**pair)


def test_the_patches_are_those_of_one_painting():
    for way in (style_swap, swap_adain):
        with pytest.raises(ValueError, match="the style must be the features of one painting, got 2"):
            way(features(2, 4, 5, 5), features(2, 4, 6, 4, seed=1))


def test_the_gradient_of_a_swap_goes_to_the_patches_that_were_taken():
    """Three positions, two channels; the second position of the content takes the third, and so does the first."""
    style = torch.tensor([[[[1.0, 0.0, 3.0]], [[0.0, 2.0, 3.0]]]]).requires_grad_()
    swapped = style_swap(torch.tensor([[[[5.0, 4.0]], [[4.0, 5.0]]]]), style, patch=1)
    (swapped * torch.tensor([2.0, 7.0])).sum().backward()
    assert style.grad.tolist() == [[[[0, 0, 9]], [[0, 0, 9]]]]


def test_the_gradient_of_a_swap_and_adain_is_that_of_differences():
    style = features(1, 2, 4, 4, seed=1).requires_grad_()
    torch.autograd.gradcheck(lambda s: swap_adain(features(1, 2, 5, 4), s), style)


# --- regions ---


@pytest.mark.parametrize("way", [adain, wct])
def test_a_region_counts_alone_in_the_statistics(way):
    """The left half as the region gives, there, what the left half alone gives."""
    content, style = features(1, 4, 5, 8), features(1, 4, 4, 4, seed=1)
    region = torch.zeros(1, 1, 5, 8).double()
    region[..., :4] = 1
    torch.testing.assert_close(way(content, style, region)[..., :4], way(content[..., :4], style))


def test_what_lies_outside_a_region_does_not_change_how_its_patches_are_normalized():
    content, style, region = features(1, 4, 5, 9), features(1, 4, 6, 6, seed=1), torch.zeros(1, 1, 5, 9).double()
    region[..., :4] = 1  # its patches end before column 6
    other = content.clone()
    other[..., 6:] *= 100
    for kind in ("wct", "swap+adain"):
        ours, theirs = (transform(kind, given, style, region)[..., :4] for given in (content, other))
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("way", [adain, wct, swap_adain])
def test_a_region_of_everything_is_none_and_its_scale_does_not_matter(way):
    content, style = features(1, 4, 5, 8), features(1, 4, 4, 4, seed=1)
    region = torch.full((1, 1, 5, 8), 0.25).double()
    torch.testing.assert_close(way(content, style, region), way(content, style))


def test_positions_count_by_their_share():
    """A position that counts three times: (3 · 1 + 1 · 5) / 4 = 2 and (3 · 1 + 1 · 9) / 4 = 3."""
    mean, std = mean_and_std(torch.tensor([[[[1.0, 5]]]]), torch.tensor([[[[3.0, 1]]]]))
    assert mean.item() == 2
    assert std.item() == pytest.approx(3**0.5)


# --- what is constant ---


@pytest.mark.parametrize("kind", TRANSFORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", ["dead channel", "one color", "one-color style", "dead style", "one position"])
def test_nothing_constant_gives_nan(kind, dtype, case):
    content, style, region = features(1, 4, 5, 6), features(1, 4, 4, 4, seed=1), None
    if case == "dead channel":
        content[:, 1] = style[:, 2] = 0
    elif case == "one color":
        content[:] = content[..., :1, :1]
    elif case == "one-color style":
        style[:] = style[..., :1, :1]
    elif case == "dead style":
        style[:] = 0
    else:
        region = torch.zeros(1, 1, 5, 6).to(dtype)
        region[..., 2, 3] = 1
    painted = transform(kind, content.to(dtype), style.to(dtype), region)
    assert painted.dtype == dtype
    assert painted.shape == content.shape
    assert painted.isfinite().all()
    if case in ("one-color style", "dead style"):
        torch.testing.assert_close(painted, style[..., :1, :1].expand_as(painted).to(dtype), rtol=1e-5, atol=1e-5)
    if case == "one position" and kind in ("adain", "wct"):
        torch.testing.assert_close(painted[..., 2, 3], style.mean((2, 3)).to(dtype), rtol=1e-5, atol=1e-5)


def test_an_unknown_transform_lists_the_four():
    with pytest.raises(ValueError, match=r"'adain', 'wct', 'swap', 'swap\+adain', got 'gram'"):
        transform("gram", features(1, 2, 4, 4), features(1, 2, 4, 4))


def test_the_nearest_patch_is_that_of_a_convolution_with_unit_patches():
    """The sum over a patch of products of positions is the product of the patches."""
    content, style = features(1, 4, 8, 9), features(1, 4, 7, 6, seed=1)
    patches = F.unfold(style, 3)[0].T
    scores = F.conv2d(content, (patches / patches.norm(dim=1, keepdim=True)).view(-1, 4, 3, 3))
    best = scores.argmax(1)[0]
    first = feature_transforms._nearest(content[0], style[0], 3)
    assert torch.equal(first, best // 4 * 6 + best % 4)
