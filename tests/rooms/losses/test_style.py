"""The losses: computed by hand, by their invariants, and compared with automatic differentiation."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from course_lib import losses
from course_lib.losses.style import (
    CONVENTIONS,
    GATYS,
    JOHNSON,
    PREMAMAYUDU,
    SIZE_INDEPENDENT,
    blend_grams,
    content_gradient,
    content_loss,
    convert_weights,
    gram_matrix,
    style_gradient,
    style_loss,
    total_variation_loss,
)


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


HAND = torch.tensor([[[[1.0, 2.0], [0.0, 1.0]], [[3.0, 0.0], [1.0, 1.0]]]])  # F = [1 2 0 1; 3 0 1 1], M = 4
OTHER = torch.tensor([[[[1.0, 1.0], [1.0, 1.0]], [[2.0, 0.0], [0.0, 0.0]]]])  # Gram matrix [4 2; 2 4]


# --- Gram matrix ---


def test_gram_by_hand():
    # 1+4+0+1 = 6, 9+0+1+1 = 11, 1·3 + 2·0 + 0·1 + 1·1 = 4
    assert gram_matrix(HAND).tolist() == [[[6, 4], [4, 11]]]
    assert gram_matrix(HAND, mean=True).tolist() == [[[1.5, 1], [1, 2.75]]]
    assert gram_matrix(OTHER).tolist() == [[[4, 2], [2, 4]]]


def test_gram_is_symmetric_and_positive_semidefinite():
    gram = gram_matrix(random(2, 8, 2, 3))  # 6 positions, 8 channels: rank 6
    assert torch.equal(gram, gram.transpose(1, 2))
    eigenvalues = torch.linalg.eigvalsh(gram)
    assert eigenvalues.min() > -1e-12
    assert (eigenvalues.abs() < 1e-12).sum() == 2 * 2


def test_gram_does_not_depend_on_positions():
    features = random(1, 4, 5, 6)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    shuffled = features.flatten(2)[..., order].view_as(features)
    torch.testing.assert_close(gram_matrix(shuffled), gram_matrix(features))


def test_gram_does_not_mix_the_pictures_of_a_batch():
    features = random(3, 4, 5, 6)
    for index in range(3):
        torch.testing.assert_close(gram_matrix(features)[index : index + 1], gram_matrix(features[index : index + 1]))


def test_the_mean_gram_does_not_depend_on_the_size():
    features = random(1, 4, 5, 6)
    torch.testing.assert_close(gram_matrix(features.repeat(1, 1, 2, 3), mean=True), gram_matrix(features, mean=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_features_are_summed_in_float32(dtype):
    ones = torch.ones(1, 1, 64, 65, dtype=dtype)  # bfloat16 cannot count beyond 256, nor represent 4160 exactly
    assert gram_matrix(ones).dtype == torch.float32
    assert gram_matrix(ones).item() == 4160
    assert content_loss(ones, 2 * ones, GATYS).item() == 2080


def test_float64_stays_float64():
    assert gram_matrix(random(1, 2, 3, 3)).dtype == torch.float64
    tiny = 1e-10  # lost in float32 beside 1
    a, b = torch.ones(1, 1, 1, 1, dtype=torch.float64), torch.full((1, 1, 1, 1), 1 + tiny, dtype=torch.float64)
    assert content_loss(a, b, GATYS).item() == pytest.approx(tiny**2 / 2, rel=1e-4, abs=0)


# --- content ---


def test_content_loss_by_hand():
    # F − P = [0 1 −1 0; 1 0 1 1], squares sum to 5; N·M = 8
    assert content_loss(HAND, OTHER, GATYS).item() == 2.5
    assert content_loss(HAND, OTHER).item() == pytest.approx(5 / 8 / 2)
    assert content_loss(HAND, OTHER, SIZE_INDEPENDENT).item() == pytest.approx(5 / 8 / 2)
    assert content_loss(HAND, OTHER, JOHNSON).item() == pytest.approx(5 / 8)
    assert content_loss(HAND, OTHER, PREMAMAYUDU).item() == pytest.approx(5 / 8 / 4)
    assert content_loss(HAND, HAND).item() == 0


def test_content_loss_sums_over_the_batch():
    a, b = torch.cat([HAND, OTHER]), torch.cat([OTHER, OTHER])
    assert content_loss(a, b).item() == pytest.approx(content_loss(HAND, OTHER).item())


# --- style ---


def test_style_loss_by_hand():
    target = gram_matrix(OTHER, mean=True)
    # G − A = [2 2; 2 7], squares sum to 4+4+4+49 = 61; N = 2, M = 4: 61 / (4·4·16)
    assert style_loss(HAND, target, GATYS).item() == pytest.approx(61 / 256)
    assert style_loss(HAND, target).item() == pytest.approx(61 / 256)
    assert style_loss(HAND, target, PREMAMAYUDU).item() == pytest.approx(61 / 256)
    assert style_loss(HAND, target, JOHNSON).item() == pytest.approx(61 / 64)  # ‖G/(C·H·W) − A/(C·H·W)‖²
    assert style_loss(HAND, gram_matrix(HAND, mean=True)).item() == 0


def test_style_loss_takes_one_style_for_the_batch_or_one_each():
    batch = torch.cat([HAND, OTHER])
    one, both = gram_matrix(OTHER, mean=True), gram_matrix(torch.cat([OTHER, HAND]), mean=True)
    assert style_loss(batch, one).item() == pytest.approx(61 / 256)
    assert style_loss(batch, both).item() == pytest.approx(2 * 61 / 256)


# --- gradients ---


def test_equation_2_is_the_gradient_with_respect_to_the_pre_activation():
    pre, target = random(2, 3, 4, 5).requires_grad_(), F.relu(random(2, 3, 4, 5, seed=1))
    features = F.relu(pre)
    (expected,) = torch.autograd.grad(content_loss(features, target, GATYS), pre)
    torch.testing.assert_close(content_gradient(features.detach(), target), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("count", [1, 2])
def test_equation_6_is_the_gradient_with_respect_to_the_pre_activation(count):
    pre, style = random(count, 3, 4, 5).requires_grad_(), F.relu(random(1, 3, 6, 2, seed=1))
    target = gram_matrix(style, mean=True)
    features = F.relu(pre)
    at_pre, at_features = torch.autograd.grad(style_loss(features, target, GATYS), (pre, features))
    ours = style_gradient(features.detach(), target)
    torch.testing.assert_close(ours, at_pre, rtol=1e-12, atol=1e-14)
    assert (at_pre[pre < 0] == 0).all()
    assert (at_features[pre < 0] != 0).any()  # with respect to F it is not masked: the mask comes from the ReLU


def test_equation_6_takes_half_precision_features():
    features = F.relu(random(1, 3, 4, 5)).bfloat16()
    target = gram_matrix(random(1, 3, 4, 5, dtype=torch.float32), mean=True)
    exact = style_gradient(features.double(), target.double())
    torch.testing.assert_close(style_gradient(features, target).double(), exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda c: c.name)
def test_losses_pass_gradcheck(convention):
    features, target = random(1, 2, 3, 3).requires_grad_(), random(1, 2, 3, 3, seed=1)
    assert torch.autograd.gradcheck(lambda f: content_loss(f, target, convention), features)
    gram = gram_matrix(target, mean=True)
    assert torch.autograd.gradcheck(lambda f: style_loss(f, gram, convention), features)
    assert torch.autograd.gradcheck(lambda f: gram_matrix(f, mean=True), features)
    assert torch.autograd.gradcheck(total_variation_loss, features)


# --- conventions ---


def gradients(convention, content_weight, style_weight, sizes):
    """Gradients of the weighted total at every layer: five style layers and one content layer."""
    features = [random(1, c, h, w, seed=i).requires_grad_() for i, (c, h, w) in enumerate(sizes)]
    grams = [gram_matrix(random(1, c, h, w, seed=50 + i), mean=True) for i, (c, h, w) in enumerate(sizes)]
    content = random(1, 7, 4, 6, seed=90).requires_grad_()
    target = random(1, 7, 4, 6, seed=91)
    layers = [style_loss(f, gram, convention) for f, gram in zip(features, grams, strict=True)]
    style = sum(layers) / (len(layers) if convention.layers == "mean" else 1)
    total = content_weight * content_loss(content, target, convention) + style_weight * style
    return torch.autograd.grad(total, [content, *features])


SIZES = [(3, 8, 9), (4, 6, 5), (5, 4, 4), (6, 3, 2), (2, 1, 2)]


@pytest.mark.parametrize(
    ("source", "target"), list(itertools.product(CONVENTIONS, repeat=2)), ids=lambda convention: convention.name
)
def test_converted_weights_give_the_same_gradient(source, target):
    content_weight, style_weight = convert_weights(3.0, 70.0, source, target, channels=7, positions=24)
    expected = gradients(source, 3.0, 70.0, SIZES)
    for ours, theirs in zip(gradients(target, content_weight, style_weight, SIZES), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
    back = convert_weights(content_weight, style_weight, target, source, channels=7, positions=24)
    assert back == pytest.approx((3.0, 70.0), rel=1e-12)


def test_the_number_of_style_layers_matters():
    pair = convert_weights(1.0, 1.0, GATYS, JOHNSON, channels=7, positions=24, style_layers=3)
    assert pair == pytest.approx((0.5 * 7 * 24, 0.25 / 3))
    expected = gradients(GATYS, 1.0, 1.0, SIZES[:3])
    for ours, theirs in zip(gradients(JOHNSON, *pair, SIZES[:3]), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


def test_ten_and_forty_fit_the_costs_that_premamayudu_et_al_print():
    # total, content and style cost at iterations 0, 20, 40 and 60, six digits each; the document prints no weights
    printed = (
        (5.04752e9, 7865.72, 1.26186e8),
        (9.44829e8, 15237.8, 2.36169e7),
        (4.80348e8, 16714.2, 1.20045e7),
        (3.10248e8, 17445.0, 7.75183e6),
    )
    for total, content, style in printed:
        assert 10 * content + 40 * style == pytest.approx(total, rel=2e-6)
    total, content, style = printed[-1]  # where the content's share is largest
    assert (total - 40 * style) / content == pytest.approx(10, abs=0.05)


def test_the_papers_weights_in_one_convention():
    at = {"channels": 512, "positions": 32 * 32}
    # α = 10, β = 40, our fit to the costs that Premamayudu et al. print; in Gatys' convention a ratio of about 1e-7
    alpha, beta = convert_weights(10, 40, PREMAMAYUDU, GATYS, **at)
    assert alpha / beta == pytest.approx(10 / (2 * 512 * 32 * 32) / 40)
    assert 1e-7 < alpha / beta < 5e-7
    # the printed ratio 1e-3 means, in our convention, a content weight half a million times larger
    assert convert_weights(1e-3, 1.0, GATYS, SIZE_INDEPENDENT, **at) == pytest.approx((524.288, 1.0))


# --- total variation ---


def test_total_variation_by_hand():
    checkerboard = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(3, 4).expand(2, 3, 6, 8)
    assert total_variation_loss(checkerboard).item() == 2
    assert total_variation_loss(torch.full((1, 3, 6, 8), 0.7)).item() == 0
    stripes = torch.tensor([0.0, 1.0]).repeat(4).expand(1, 3, 6, 8)
    assert total_variation_loss(stripes).item() == 1
    assert total_variation_loss(stripes.transpose(2, 3)).item() == 1
    ramp = torch.arange(5.0).mul(0.1).expand(1, 3, 4, 5)
    assert total_variation_loss(ramp).item() == pytest.approx(0.01)  # the square, not the absolute value 0.1


def test_total_variation_of_a_single_pixel_or_row():
    assert total_variation_loss(torch.ones(1, 3, 1, 1)).item() == 0
    assert total_variation_loss(torch.tensor([[[[0.0, 1.0, 0.0]]]])).item() == 1


# --- several styles ---


def test_the_blend_has_the_gradient_of_the_weighted_sum():
    weights = (0.5, 1.5, 2.0)
    grams = [gram_matrix(random(1, 3, 4, 5, seed=seed), mean=True) for seed in (1, 2, 3)]
    features = random(1, 3, 4, 5).requires_grad_()
    apart = sum(w / 4.0 * style_loss(features, gram) for w, gram in zip(weights, grams, strict=True))
    (expected,) = torch.autograd.grad(apart, features)
    (ours,) = torch.autograd.grad(style_loss(features, blend_grams(grams, weights)), features)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(blend_grams(grams, (0, 2, 0)), grams[1])


# --- invalid input ---


@pytest.mark.parametrize(
    "features", [None, "a", [[1.0]], np.zeros((1, 3, 4, 5)), torch.zeros(1, 3, 4, 5).byte(), torch.ones(3)]
)
def test_what_are_no_features_is_refused(features):
    """Products of 8-bit numbers would overflow without an error."""
    for function in (
        gram_matrix,
        total_variation_loss,
        losses.total_variation_gradient,
        lambda x: content_loss(x, torch.zeros(1, 3, 4, 5)),
        lambda x: content_loss(torch.zeros(1, 3, 4, 5), x),
        lambda x: style_loss(x, torch.zeros(1, 3, 3)),
    ):
        with pytest.raises(
            ValueError, match=r"expected (features|an image) of (shape \(N, C, H, W\), got|floats, got) "
        ):
            function(features)
    with pytest.raises(ValueError, match="expected a Gram matrix"):
        style_loss(torch.zeros(1, 3, 4, 5), [[1.0]])


def test_features_of_any_range_are_compared():
    features = 100 * random(1, 3, 4, 5)
    assert style_loss(features, gram_matrix(features, mean=True)).item() == pytest.approx(0, abs=1e-6)
    assert content_loss(features, features).item() == 0


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(N, C, H, W\), got \(3, 4, 5\)"):
        gram_matrix(torch.zeros(3, 4, 5))
    with pytest.raises(ValueError, match="size of the content image"):
        content_loss(torch.zeros(1, 3, 4, 5), torch.zeros(1, 3, 4, 4))
    with pytest.raises(ValueError, match="same layer"):
        style_loss(torch.zeros(1, 3, 4, 5), torch.zeros(1, 4, 4))
    with pytest.raises(ValueError, match="same layer"):
        style_loss(torch.zeros(1, 3, 4, 5), torch.zeros(3, 3))
    with pytest.raises(ValueError, match=r"got \(5, 3, 3\)"):
        style_loss(torch.zeros(2, 3, 4, 5), torch.zeros(5, 3, 3))  # five targets for two pictures


@pytest.mark.parametrize("weights", [(0.0, 0.0), (1.0, -0.5), (1.0, float("nan")), (1.0,)])
def test_invalid_blend_weights_are_refused(weights):
    grams = [torch.eye(2)[None], torch.ones(1, 2, 2)]
    with pytest.raises(ValueError, match="2 numbers of at least 0"):
        blend_grams(grams, weights)


def test_the_coefficients_of_the_conventions():
    assert {c.name for c in CONVENTIONS} == {c.name for c in (SIZE_INDEPENDENT, GATYS, JOHNSON, PREMAMAYUDU)}
    assert losses.SIZE_INDEPENDENT.content_coefficient(512, 1024) == 1 / 2 / 512 / 1024
    assert GATYS.content_coefficient(512, 1024) == 1 / 2


@pytest.mark.parametrize("channels", [3, 64, 100, 200, 512])
def test_the_gram_matrix_by_blocks_is_the_whole_product(channels):
    """On a CPU without autograd only the lower triangle is computed; with autograd all of it."""
    features = torch.randn(2, channels, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for layout in (torch.channels_last, torch.contiguous_format):
        f = features.to(memory_format=layout)
        gram, whole = losses.gram_matrix(f), losses.gram_matrix(f.clone().requires_grad_(True))
        torch.testing.assert_close(gram, whole.detach(), rtol=1e-12, atol=1e-12)


def test_a_large_map_in_half_precision_is_summed_in_pieces_with_the_same_result():
    x = torch.randn(2, 5, 300, 301, generator=torch.Generator().manual_seed(0)).bfloat16()
    f = x.double().flatten(2)
    torch.testing.assert_close(gram_matrix(x, mean=True).double(), f @ f.mT / f.shape[2], rtol=1e-5, atol=1e-5)
