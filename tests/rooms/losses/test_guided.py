"""Guided Gram matrices: by hand, at their limits, and with their gradient."""

import pytest
import torch

from course_lib import VGGFeatures
from course_lib.losses.guided import GuidedStyle, guided_gram
from course_lib.losses.perceptual import PerceptualLoss
from course_lib.losses.style import GATYS, SIZE_INDEPENDENT, gram_matrix

F = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]], dtype=torch.float64)  # two channels, two positions: (1, 3) and (2, 4)


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_by_hand():
    # a quarter of (1, 3)(1, 3)ᵀ and three quarters of (2, 4)(2, 4)ᵀ
    gram = guided_gram(F, torch.tensor([[[[1.0, 3.0]]]], dtype=torch.float64))
    expected = [[0.25 * 1 + 0.75 * 4, 0.25 * 3 + 0.75 * 8], [0.25 * 3 + 0.75 * 8, 0.25 * 9 + 0.75 * 16]]
    assert gram.tolist() == [expected]


def test_a_region_that_is_everything_is_the_plain_gram_matrix():
    features = rand(1, 5, 6, 7)
    whole = torch.full((1, 1, 6, 7), 0.3, dtype=torch.float64)
    torch.testing.assert_close(guided_gram(features, whole), gram_matrix(features, mean=True), atol=1e-14, rtol=0)


def test_regions_that_share_the_picture_add_up_to_it():
    features, region = rand(1, 5, 6, 7), rand(1, 1, 6, 7, seed=1)
    parts = [guided_gram(features, each) * each.sum() for each in (region, 1 - region)]
    torch.testing.assert_close(sum(parts) / 42, gram_matrix(features, mean=True), atol=1e-14, rtol=0)


def test_what_lies_outside_does_not_count():
    features, region = rand(1, 3, 4, 4), torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    region[..., :2] = 1
    changed = features.clone()
    changed[..., 2:] = 99
    assert torch.equal(guided_gram(features, region), guided_gram(changed, region))


@pytest.mark.parametrize("convention", [SIZE_INDEPENDENT, GATYS])
def test_the_gradient_is_that_of_autograd(convention):
    features, region = rand(1, 4, 5, 6), rand(1, 1, 5, 6, seed=1)
    target = gram_matrix(rand(1, 4, 3, 3, seed=2), mean=True)  # symmetric, as every Gram matrix is
    features = features.contiguous(memory_format=torch.channels_last)
    term = GuidedStyle("style/x", "relu1_1", 3.0, region, target, convention)
    value, add = term(features)
    gradient = torch.ones_like(features)
    add(gradient, torch.tensor(2.0))

    x = features.clone().requires_grad_(True)
    shares = region / region.sum()
    difference = (x * shares).flatten(2) @ x.flatten(2).transpose(1, 2) - target
    reference = 3.0 * convention.style / 16 * difference.square().sum()
    torch.testing.assert_close(value.double(), reference.detach(), atol=1e-6, rtol=1e-6)
    (slope,) = torch.autograd.grad(reference, x)
    torch.testing.assert_close(gradient, 1 + 2 * slope, atol=1e-6, rtol=1e-5)  # the factor is float32


def test_no_gradient_outside_the_region():
    features = rand(1, 4, 5, 6).float().contiguous(memory_format=torch.channels_last)
    region = torch.zeros(1, 1, 5, 6)
    region[..., :3, :] = 1
    _, add = GuidedStyle("style/x", "relu1_1", 1.0, region, torch.zeros(1, 4, 4))(features)
    gradient = torch.zeros_like(features)
    add(gradient, torch.tensor(1.0))
    assert not gradient[..., 3:, :].any()
    assert gradient[..., :3, :].abs().min() > 0


def test_with_one_whole_region_the_loss_is_the_plain_one():
    """Value and gradient with respect to the picture, through the network."""
    network = VGGFeatures(layers=["relu1_1", "relu2_1"], weights=None).double()
    picture, painting = rand(1, 3, 12, 14), rand(1, 3, 12, 14, seed=1)
    plain = PerceptualLoss(network, style={"relu1_1": 2.0, "relu2_1": 3.0})
    plain.set_style(painting)
    terms = [
        GuidedStyle(f"style/{layer}", layer, weight, torch.ones(1, 1, *size), plain.style_targets[layer])
        for (layer, weight), size in zip(plain.style.items(), [(12, 14), (6, 7)], strict=True)
    ]
    guided = PerceptualLoss(network, terms=terms)
    assert guided.names == plain.names
    for one, other in zip(plain.with_gradient(picture), guided.with_gradient(picture), strict=True):
        torch.testing.assert_close(one.double(), other.double(), atol=1e-6, rtol=1e-5)


def test_further_terms_weigh_as_upstream_says():
    """The closed form, differentiated by autograd, weighs each term by its upstream gradient."""
    network = VGGFeatures(layers=["relu1_1"], weights=None).double()
    picture, painting = rand(1, 3, 8, 8), rand(1, 3, 8, 8, seed=1)
    target = guided_gram(network(painting)["relu1_1"], torch.ones(1, 1, 8, 8))
    half = torch.zeros(1, 1, 8, 8)
    half[..., :4, :] = 1
    terms = [GuidedStyle(name, "relu1_1", 1.0, region, target) for name, region in (("a", half), ("b", 1 - half))]
    loss = PerceptualLoss(network, terms=terms)
    x = picture.clone().requires_grad_(True)
    a, b = loss(x)
    (both,) = torch.autograd.grad(2 * a + 5 * b, x)
    alone = []
    for term in terms:
        _, gradient = PerceptualLoss(network, terms=[term]).with_gradient(picture)
        alone.append(gradient)
    torch.testing.assert_close(both, 2 * alone[0] + 5 * alone[1], atol=1e-8, rtol=1e-4)


@pytest.mark.parametrize(
    ("region", "words"),
    [
        (torch.zeros(1, 1, 1, 2), "not be 0 everywhere"),
        (torch.tensor([[[[-1.0, 2.0]]]]), "at least 0"),
        (torch.ones(1, 1, 2, 2), "one size, got 2×2 and 1×2"),
        (torch.ones(1, 2), r"\(1, 1, h, w\)"),
        (None, "got NoneType"),
        (torch.tensor([[[[1.0, float("inf")]]]]), "finite numbers"),
        (torch.tensor([[[[1.0, float("nan")]]]]), "finite numbers"),
    ],
)
def test_a_bad_region_is_refused(region, words):
    with pytest.raises(ValueError, match=words):
        guided_gram(F, region)


@pytest.mark.parametrize("shape", [(1, 4, 5, 5), (1, 3, 4, 4)])
def test_features_of_another_size_or_layer_are_refused(shape):
    term = GuidedStyle("style/relu1_1/sky", "relu1_1", 1.0, torch.ones(1, 1, 4, 4), torch.zeros(1, 4, 4))
    with pytest.raises(ValueError, match=r"style/relu1_1/sky expects features \(1, 4, 4, 4\).*got \(1, "):
        term(torch.rand(shape))


def test_a_layer_that_the_network_lacks_is_named():
    network = VGGFeatures(layers=["relu1_1"], weights=None)
    term = GuidedStyle("style/x", "relu2_1", 1.0, torch.ones(1, 1, 4, 4), torch.zeros(1, 16, 16))
    with pytest.raises(ValueError, match="relu2_1"):
        PerceptualLoss(network, terms=[term])
