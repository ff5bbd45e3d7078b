"""AdaIN's style loss: by hand, in both conventions, against finite differences, and where a channel is constant."""

import gc
import weakref
from dataclasses import replace

import pytest
import torch

from course_lib import VGGFeatures, losses
from course_lib.losses.feature_statistics import (
    MEANS,
    STATISTICS_CONVENTIONS,
    SUMS,
    StatisticsLoss,
    channel_statistics,
    convert_statistics_weight,
    statistics_loss,
)

CHANNELS = {"relu1_1": 64, "relu2_1": 128, "relu3_1": 256, "relu4_1": 512}


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# Channel 0: mean 2, squares around it 1 + 1 + 0 + 0 = 2. Channel 1: mean 1, squares 9 + 1 + 1 + 1 = 12.
HAND = torch.tensor([[[[1.0, 3.0], [2.0, 2.0]], [[4.0, 0.0], [0.0, 0.0]]]], dtype=torch.float64)
# Channel 0: mean 5, squares 4 · 4 = 16. Channel 1: mean 0, no spread.
STYLE = torch.tensor([[[[3.0, 7.0], [3.0, 7.0]], [[0.0, 0.0], [0.0, 0.0]]]], dtype=torch.float64)


def exact(convention):
    return replace(convention, eps=0.0)


# --- statistics ---


@pytest.mark.parametrize(("unbiased", "positions"), [(False, 4), (True, 3)])
def test_statistics_by_hand(unbiased, positions):
    mean, deviation = channel_statistics(HAND, unbiased=unbiased, eps=0.0)
    assert mean.flatten().tolist() == [2, 1]
    assert deviation.square().flatten().tolist() == pytest.approx([2 / positions, 12 / positions])
    assert mean.shape == deviation.shape == (1, 2, 1, 1)


def test_pictures_of_a_batch_are_not_mixed():
    for both, first, second in zip(
        channel_statistics(torch.cat([HAND, STYLE])), channel_statistics(HAND), channel_statistics(STYLE), strict=True
    ):
        assert torch.equal(both, torch.cat([first, second]))


def test_one_position_has_no_spread_in_either_form():
    for unbiased in (False, True):
        mean, deviation = channel_statistics(HAND[..., :1, :1], unbiased=unbiased, eps=1e-4)
        assert mean.flatten().tolist() == [1, 4]
        assert deviation.flatten().tolist() == pytest.approx([0.01, 0.01])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_features_are_summed_in_float32(dtype):
    values = torch.cat([torch.full((1, 1, 64, 32), 3.0), torch.full((1, 1, 64, 32), 5.0)], dim=3).to(dtype)
    mean, deviation = channel_statistics(values, eps=0.0)  # bfloat16 cannot add 4,096 numbers of this size
    assert (mean.dtype, mean.item(), deviation.item()) == (torch.float32, 4, 1)


def test_a_large_mean_does_not_spoil_a_small_spread():
    small = random(1, 3, 16, 16, dtype=torch.float32)
    _, expected = channel_statistics(small, eps=0.0)
    _, deviation = channel_statistics(small + 1000, eps=0.0)  # E[x²] − E[x]² would be off by a few percent
    torch.testing.assert_close(deviation, expected, rtol=1e-4, atol=0)


# --- the loss ---


def test_the_loss_by_hand():
    # means 2, 1 against 5, 0: 9 + 1. Deviations √(2/4), √(12/4) against √(16/4), 0: (2 − √½)² + 3
    sums = 9 + 1 + (2 - 0.5**0.5) ** 2 + 3
    assert statistics_loss(HAND, STYLE, exact(SUMS)).item() == pytest.approx(sums)
    # with one position less, √(2/3), √(12/3) against √(16/3), 0; the mean over two channels halves it
    means = (9 + 1 + ((16 / 3) ** 0.5 - (2 / 3) ** 0.5) ** 2 + 4) / 2
    assert statistics_loss(HAND, STYLE, exact(MEANS)).item() == pytest.approx(means)
    assert statistics_loss(HAND, HAND).item() == 0


def test_position_and_size_do_not_matter():
    shuffled = HAND.flatten(2)[..., [2, 0, 3, 1]].view_as(HAND)
    repeated = shuffled.repeat(1, 1, 3, 2)
    assert statistics_loss(HAND, repeated).item() == pytest.approx(0, abs=1e-20)
    assert statistics_loss(repeated, STYLE).item() == pytest.approx(statistics_loss(HAND, STYLE).item())


def test_the_loss_sums_over_the_batch_with_one_style_or_one_each():
    batch = torch.cat([HAND, STYLE])
    one = statistics_loss(HAND, STYLE).item()
    assert statistics_loss(batch, STYLE).item() == pytest.approx(one)  # the second picture is the style
    assert statistics_loss(batch, torch.cat([STYLE, HAND])).item() == pytest.approx(2 * one)


# --- gradients ---


@pytest.mark.parametrize("convention", STATISTICS_CONVENTIONS.values(), ids=lambda c: c.name)
def test_the_gradient_agrees_with_finite_differences(convention):
    features, target = random(2, 3, 4, 3).requires_grad_(), random(2, 3, 2, 5, seed=1)
    assert torch.autograd.gradcheck(lambda f: statistics_loss(f, target, convention), features)


def test_no_gradient_reaches_the_style():
    features, target = random(1, 2, 3, 3).requires_grad_(), random(1, 2, 3, 3, seed=1).requires_grad_()
    statistics_loss(features, target).backward()
    assert target.grad is None
    assert features.grad.abs().sum() > 0


@pytest.mark.parametrize("convention", STATISTICS_CONVENTIONS.values(), ids=lambda c: c.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [(4, 4), (1, 1)])
def test_a_constant_channel_has_a_finite_gradient(convention, dtype, size):
    flat = torch.full((1, 2, *size), 0.7, dtype=dtype, requires_grad=True)
    loss = statistics_loss(flat, random(1, 2, 5, 5, dtype=dtype), convention)
    loss.backward()
    assert loss.isfinite()
    assert flat.grad.isfinite().all()
    assert (flat.grad != 0).all()  # of the mean; the deviation has slope 0 there
    torch.testing.assert_close(flat.grad, flat.grad.mean((2, 3), keepdim=True).expand_as(flat))


# --- the two conventions ---


def total_gradient(weights, convention, sizes):
    features = [random(2, CHANNELS[layer], *size, seed=k).requires_grad_() for k, (layer, size) in enumerate(sizes)]
    total = sum(
        weights[layer] * statistics_loss(f, random(2, CHANNELS[layer], *size, seed=9 + k), convention)
        for k, (f, (layer, size)) in enumerate(zip(features, sizes, strict=True))
    )
    return torch.autograd.grad(total, features)


SIZES = [("relu1_1", (9, 8)), ("relu2_1", (5, 4)), ("relu3_1", (4, 4)), ("relu4_1", (3, 4))]


def test_converted_weights_give_the_same_gradient():
    """Exactly, if both take the same standard deviation."""
    like_sums = replace(MEANS, unbiased=False, eps=SUMS.eps)
    expected = total_gradient(dict.fromkeys(CHANNELS, SUMS.style_weight), SUMS, SIZES)
    weights = convert_statistics_weight(SUMS.style_weight, SUMS, like_sums, CHANNELS)
    for ours, theirs in zip(total_gradient(weights, like_sums, SIZES), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-16)


def test_dividing_by_one_position_less_changes_only_the_part_of_the_deviations():
    weights = convert_statistics_weight(SUMS.style_weight, SUMS, MEANS, CHANNELS)
    expected = total_gradient(dict.fromkeys(CHANNELS, SUMS.style_weight), exact(SUMS), SIZES)
    for ours, theirs, (_, (height, width)) in zip(
        total_gradient(weights, exact(MEANS), SIZES), expected, SIZES, strict=True
    ):
        of_the_mean, mean = (g.mean((2, 3), keepdim=True) for g in (ours, theirs))  # what the means contribute
        torch.testing.assert_close(of_the_mean, mean, rtol=1e-10, atol=1e-16)
        factor = height * width / (height * width - 1)
        torch.testing.assert_close(ours - of_the_mean, factor * (theirs - mean), rtol=1e-10, atol=1e-16)


def test_no_single_weight_converts_all_layers():
    assert convert_statistics_weight(1e-2, SUMS, MEANS, CHANNELS) == pytest.approx(
        {"relu1_1": 0.64, "relu2_1": 1.28, "relu3_1": 2.56, "relu4_1": 5.12}
    )
    assert convert_statistics_weight(10.0, MEANS, SUMS, CHANNELS) == pytest.approx(
        {layer: 10 / count for layer, count in CHANNELS.items()}
    )
    assert convert_statistics_weight(3.0, MEANS, MEANS, CHANNELS) == dict.fromkeys(CHANNELS, 3.0)


def test_the_conventions_are_those_of_the_two_codes():
    assert (SUMS.style_weight, SUMS.per_channel, SUMS.unbiased) == (1e-2, False, False)
    assert (MEANS.style_weight, MEANS.per_channel, MEANS.unbiased) == (10.0, True, True)
    assert losses.STATISTICS_CONVENTIONS == {"sums": SUMS, "means": MEANS}


# --- invalid input ---


@pytest.mark.parametrize(
    ("features", "target", "message"),
    [
        (HAND[0], STYLE, r"expected features of shape \(N, C, H, W\), got \(2, 2, 2\)"),
        (HAND, STYLE[:, :1], r"the style's features must be \(1 or 1, 2, h, w\), got \(1, 1, 2, 2\); take both from"),
        (HAND, STYLE.repeat(3, 1, 1, 1), r"must be \(1 or 1, 2, h, w\), got \(3, 2, 2, 2\)"),
        (HAND, None, "expected the style's features of shape .*, got NoneType"),
        (HAND.long(), STYLE, "use .float"),
    ],
)
def test_other_shapes_are_refused(features, target, message):
    with pytest.raises(ValueError, match=message):
        statistics_loss(features, target)


# --- the objective of the decoder ---

LAYERS = ("relu1_1", "relu2_1", "relu3_1")


@pytest.fixture
def small_network():
    return VGGFeatures("vgg19", LAYERS, pooling="max", padding="reflect", weights=None).double()


@pytest.fixture
def image(picture):
    return picture(16, 24, 0).double()


@pytest.mark.parametrize("convention", STATISTICS_CONVENTIONS.values(), ids=lambda c: c.name)
def test_the_objective_is_the_sum_of_its_terms(small_network, image, picture, convention):
    """Eqs. 11 to 13 written out for one picture: t is a feature map of another one."""
    painting, other = small_network(picture(20, 16, 1).double()), small_network(picture(16, 24, 2).double())
    loss = StatisticsLoss(
        small_network, content_layer="relu3_1", style_layers=LAYERS[:2], content_weight=2.0, style_weight=7.0,
        convention=convention,
    )  # fmt: skip
    terms = dict(zip(loss.names, loss(image, other["relu3_1"], painting), strict=True))
    features = small_network(image)
    content = 2 * (features["relu3_1"] - other["relu3_1"]).square().mean()
    torch.testing.assert_close(terms.pop("content/relu3_1"), content)
    for layer in LAYERS[:2]:
        f, s = features[layer].flatten(2), painting[layer].flatten(2)
        parts = [(f.mean(2) - s.mean(2)) ** 2]
        roots = [(x.var(2, unbiased=convention.unbiased) + convention.eps).sqrt() for x in (f, s)]
        parts.append((roots[0] - roots[1]) ** 2)
        expected = sum(part.mean() if convention.per_channel else part.sum() for part in parts)
        torch.testing.assert_close(terms.pop(f"style/{layer}"), 7 * expected)
    assert not terms


def test_the_gradient_of_the_objective_reaches_the_image(small_network, image, picture):
    painting, target = small_network(picture(16, 16, 1).double()), small_network(picture(16, 24, 2).double())
    loss = StatisticsLoss(small_network, content_layer="relu3_1", style_layers=LAYERS)
    ours, plain = (image.clone().requires_grad_() for _ in range(2))
    loss(ours, target["relu3_1"], painting).sum().backward()
    features = small_network(plain)
    total = (features["relu3_1"] - target["relu3_1"]).square().mean()
    total = total + 1e-2 * sum(statistics_loss(features[layer], painting[layer]) for layer in LAYERS)
    total.backward()
    torch.testing.assert_close(ours.grad, plain.grad, rtol=1e-9, atol=1e-14)


def test_the_objective_leaves_no_memory_behind(small_network, image):
    features = small_network(image)
    loss = StatisticsLoss(small_network, content_layer="relu3_1", style_layers=LAYERS)
    gc.disable()
    try:
        painted = image.clone().requires_grad_()
        known = weakref.ref(painted)
        loss(painted, features["relu3_1"], features).sum().backward()
        del painted
        assert known() is None  # no circle of references keeps the feature maps until the collector runs
    finally:
        gc.enable()


def test_the_objective_sums_over_the_batch_and_has_the_conventions_weight(small_network, image, picture):
    painting, target = small_network(picture(16, 16, 1).double()), small_network(picture(16, 24, 2).double())
    one = StatisticsLoss(small_network, content_layer="relu3_1", style_layers=LAYERS, convention=MEANS)
    terms = one(image, target["relu3_1"], painting)
    both = one(image.repeat(2, 1, 1, 1), target["relu3_1"].repeat(2, 1, 1, 1), painting)
    torch.testing.assert_close(both, 2 * terms)
    unweighted = StatisticsLoss(
        small_network, content_layer="relu3_1", style_layers=LAYERS, convention=MEANS, style_weight=1.0
    )(image, target["relu3_1"], painting)
    torch.testing.assert_close(terms[1:], 10 * unweighted[1:])


def test_a_layer_that_the_network_does_not_return_is_named(small_network):
    with pytest.raises(ValueError, match=r"does not return \['relu4_1'\]; its layers are relu1_1, relu2_1, relu3_1"):
        StatisticsLoss(small_network, content_layer="relu4_1", style_layers=LAYERS)
