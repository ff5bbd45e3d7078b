"""The closed-form gradient compared with autograd, for many layers, poolings and sizes."""

import pytest
import torch

from course_lib import VGGFeatures, losses
from course_lib.losses.perceptual import PerceptualLoss, as_rows
from course_lib.losses.style import GATYS, JOHNSON

STYLE = {"relu1_1": 3.0, "relu2_1": 20.0, "relu3_1": 5.0}


def pictures(*size, count=1, seed=0):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed))


def by_autograd(loss, image):
    """Every term by the definition of the losses, for PyTorch to differentiate."""
    features = loss.network(image)
    terms = [
        weight * losses.content_loss(features[layer], loss.content_targets[layer], loss.convention)
        for layer, weight in loss.content.items()
    ]
    terms += [
        weight * losses.style_loss(features[layer], loss.style_targets[layer], loss.convention)
        for layer, weight in loss.style.items()
    ]
    return torch.stack(terms)


def both_ways(loss, image, weights=None):
    """Terms and image gradient, from the closed form and from autograd."""
    results = []
    for function in (loss, lambda x: by_autograd(loss, x)):
        x = image.clone().requires_grad_(True)
        terms = function(x)
        total = terms.sum() if weights is None else (terms * weights).sum()
        (gradient,) = torch.autograd.grad(total, x)
        results.append((terms.detach(), gradient))
    return results


def assert_same(ours, theirs):
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-5, atol=1e-9)
    error = (ours[1] - theirs[1]).norm() / theirs[1].norm()
    assert error < 3e-6, f"relative error {error:.1e}"  # float32 sums in another order
    assert theirs[1].norm() > 0


def prepared(content=None, style=None, *, size=(33, 46), layers=None, convention=losses.SIZE_INDEPENDENT, **options):
    content = {"relu3_2": 2.0} if content is None else content
    style = STYLE if style is None else style
    network = VGGFeatures("vgg19", layers or (*content, *style), weights=None, **options)
    loss = PerceptualLoss(network, content=content, style=style, convention=convention)
    loss.set_content(pictures(*size, seed=1))
    if style:
        loss.set_style([pictures(40, 28, seed=2)])
    return loss


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("size", [(32, 32), (33, 46), (35, 31)])
def test_the_closed_form_is_the_gradient(pooling, size):
    loss = prepared(size=size, pooling=pooling)
    assert_same(*both_ways(loss, pictures(*size)))


@pytest.mark.parametrize(
    ("content", "style"),
    [
        ({"relu3_2": 1.0}, {}),
        ({}, STYLE),
        ({"relu2_1": 1.0, "relu1_2": 4.0}, {"relu2_1": 10.0}),  # both at one layer
        ({"conv3_1": 1.0}, {"conv1_2": 10.0, "relu1_2": 10.0}),  # before and after the same ReLU
        ({"pool2": 1.0}, {"pool1": 10.0, "relu1_1": 10.0}),
    ],
    ids=["content only", "style only", "one layer twice", "before the ReLU", "pools"],
)
@pytest.mark.parametrize("pooling", ["average", "max"])
def test_any_layers(content, style, pooling):
    assert_same(*both_ways(prepared(content, style, pooling=pooling), pictures(33, 46)))


@pytest.mark.parametrize("size", [(16, 16), (16, 40), (37, 16)])
@pytest.mark.parametrize("pooling", ["average", "max"])
def test_deep_layers_of_a_single_position(size, pooling):
    """A layer one pixel high or wide has an ambiguous memory layout: gradients must not be added to a copy."""
    loss = prepared({"relu4_2": 1.0}, {**STYLE, "relu4_1": 5.0, "relu5_1": 50.0}, size=size, pooling=pooling)
    assert_same(*both_ways(loss, pictures(*size)))


def test_rows_share_the_memory_or_raise_an_error():
    """Adding to a copy would silently lose the gradient of a layer."""
    for layout in (torch.channels_last, torch.contiguous_format):
        features = torch.zeros(1, 4, 3, 5).to(memory_format=layout)
        as_rows(features).add_(1)
        assert features.min() == 1
    with pytest.raises(RuntimeError, match="view"):
        as_rows(torch.zeros(1, 4, 5, 3).transpose(2, 3))


def test_layers_without_a_weight_change_nothing():
    loss = prepared(layers=("relu1_1", "relu2_1", "relu3_1", "relu3_2", "relu4_2"))
    assert_same(*both_ways(loss, pictures(33, 46)))


@pytest.mark.parametrize("convention", [GATYS, JOHNSON], ids=lambda c: c.name)
def test_other_conventions(convention):
    assert_same(*both_ways(prepared(convention=convention), pictures(33, 46)))


def test_the_terms_of_a_batch_are_the_sums_over_its_pictures():
    loss, batch, photos = prepared(), pictures(33, 46, count=3), pictures(33, 46, count=3, seed=1)
    loss.set_content(photos)
    terms, gradient = both_ways(loss, batch)[0]
    assert_same(*both_ways(loss, batch))
    alone = []
    for i in range(3):
        loss.set_content(photos[i : i + 1])
        alone.append(both_ways(loss, batch[i : i + 1])[0])
    torch.testing.assert_close(terms, torch.stack([t for t, _ in alone]).sum(0), rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(gradient, torch.cat([g for _, g in alone]), rtol=1e-4, atol=1e-8)


def test_each_picture_of_a_batch_can_have_its_own_painting_and_factor():
    loss = prepared({"relu2_1": 0.5}, STYLE, size=(24, 20))
    batch, paintings = pictures(24, 20, count=2), [pictures(16, 16, seed=8), pictures(20, 24, seed=9)]
    loss.set_content(batch)
    targets, alone = [], []
    for painting in paintings:
        loss.set_style([painting])
        targets.append(dict(loss.style_targets))
    loss.style_targets = {layer: torch.cat([each[layer] for each in targets]) for layer in STYLE}
    loss.style_factors = torch.tensor([2.0, 0.25])
    x = batch.clone().requires_grad_()
    terms = loss(x)
    (gradient,) = torch.autograd.grad(terms.sum(), x)
    loss.style_factors = None
    for k, factor in enumerate((2.0, 0.25)):
        loss.style_targets = targets[k]
        loss.set_content(batch[k : k + 1])
        one = batch[k : k + 1].clone().requires_grad_()
        weights = torch.tensor([1.0, *[factor] * len(STYLE)])
        alone.append(loss(one) * weights)
        (expected,) = torch.autograd.grad(alone[-1].sum(), one)
        assert (gradient[k : k + 1] - expected).norm() < 3e-6 * expected.norm()
    torch.testing.assert_close(terms, alone[0] + alone[1], rtol=1e-5, atol=1e-9)


def test_terms_can_be_weighted_afterwards():
    loss = prepared()
    weights = torch.tensor([0.5, 0.0, 3.0, 1.0])
    assert loss.names == ("content/relu3_2", "style/relu1_1", "style/relu2_1", "style/relu3_1")
    assert_same(*both_ways(loss, pictures(33, 46), weights))


def test_it_composes_with_other_terms_and_functions():
    loss = prepared()
    x = pictures(33, 46).requires_grad_(True)
    total = loss(x.sigmoid()).sum() + losses.total_variation_loss(x)
    y = x.detach().clone().requires_grad_(True)
    expected = by_autograd(loss, y.sigmoid()).sum() + losses.total_variation_loss(y)
    torch.testing.assert_close(
        torch.autograd.grad(total, x)[0], torch.autograd.grad(expected, y)[0], rtol=1e-4, atol=1e-9
    )


def test_the_gradient_of_one_layer_is_equation_6():
    """`losses.style_gradient`, which is the paper's equation, followed by one transposed convolution."""
    loss = prepared(content={}, style={"relu1_1": 1.0})
    image = pictures(33, 46)
    features = loss.network(image)["relu1_1"]
    at_convolution = losses.style_gradient(features, loss.style_targets["relu1_1"])
    weight = loss.network.convs["conv1_1"].weight
    expected = torch.nn.functional.conv_transpose2d(at_convolution, weight, padding=1) / loss.network.std
    torch.testing.assert_close(both_ways(loss, image)[0][1], expected, rtol=1e-4, atol=1e-9)


def test_the_bfloat16_gradient_has_nearly_the_same_direction():
    exact, rounded = prepared(), prepared(precision=torch.bfloat16)
    image = pictures(33, 46)
    (terms, gradient), (rounded_terms, rounded_gradient) = both_ways(exact, image)[0], both_ways(rounded, image)[0]
    torch.testing.assert_close(rounded_terms, terms, rtol=0.03, atol=0)  # bfloat16 has 8 bits: 0.4 % per number
    assert rounded_gradient.dtype == torch.float32
    assert torch.cosine_similarity(gradient.flatten(), rounded_gradient.flatten(), dim=0) > 0.99


def test_image_and_targets_are_not_changed():
    loss, image = prepared(pooling="max"), pictures(33, 46)
    kept = [image.clone(), *(t.clone() for t in (*loss.content_targets.values(), *loss.style_targets.values()))]
    both_ways(loss, image)
    assert all(
        torch.equal(a, b)
        for a, b in zip(kept, (image, *loss.content_targets.values(), *loss.style_targets.values()), strict=True)
    )


def test_gradients_are_optional_and_can_be_taken_only_once():
    loss, image = prepared(), pictures(33, 46)
    assert not loss(image).requires_grad
    x = image.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(loss(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):  # instead of a wrong second derivative
        gradient.sum().backward()


def test_missing_targets_are_refused():
    network = VGGFeatures("vgg19", ["relu1_1", "relu2_1"], weights=None)
    loss = PerceptualLoss(network, content={"relu2_1": 1.0}, style={"relu1_1": 1.0})
    with pytest.raises(ValueError, match="no target for relu2_1 yet: call set_content"):
        loss(pictures(16, 16))
    loss.set_content(pictures(16, 16))
    with pytest.raises(ValueError, match="no target for relu1_1"):
        loss(pictures(16, 16))
    loss.set_style([pictures(16, 16)])
    with pytest.raises(ValueError, match="must have one shape"):
        loss(pictures(20, 16))


def test_a_layer_that_the_network_does_not_return_is_refused():
    network = VGGFeatures("vgg19", ["relu1_1"], weights=None)
    with pytest.raises(ValueError, match=r"does not return \['relu2_1'\]; its layers are relu1_1"):
        PerceptualLoss(network, style={"relu2_1": 1.0})


def test_the_closed_form_with_the_real_network(real_network):
    """The five style layers and the content layer of the paper."""
    content, style = {"relu4_2": 1.0}, dict.fromkeys(("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), 20.0)
    loss = PerceptualLoss(real_network("vgg19", (*content, *style)), content=content, style=style)
    loss.set_content(pictures(64, 80, seed=1))
    loss.set_style([pictures(64, 64, seed=2)])
    assert_same(*both_ways(loss, pictures(64, 80)))


# --- what is no picture ---


def on_two_layers(**options):
    network = VGGFeatures(layers=["relu1_1", "relu2_1"], weights=None, **options)
    return PerceptualLoss(network, content={"relu2_1": 1.0}, style={"relu1_1": 1.0})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda image: 2 * image - 1, r"use \(x \+ 1\) / 2"),
        (lambda image: 255 * image, "by 255"),
        (lambda image: (255 * image).byte(), "uint8"),
        (lambda image: image * torch.nan, "NaN"),
        (lambda image: image[0], "batch dimension|shape"),
        (lambda image: None, "got None"),
        (lambda image: "a.png", "got str"),
    ],
)
def test_targets_on_another_scale_are_refused(spoil, message):
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=f"^the content image: .*({message})"):
        on_two_layers().set_content(spoil(image))
    with pytest.raises(ValueError, match=f"^the style image: .*({message})"):
        on_two_layers().set_style([spoil(image)])


def test_targets_may_overshoot_as_an_optimizer_does():
    loss = on_two_layers()
    loss.set_content(torch.rand(1, 3, 16, 16) * 1.5)
    loss.set_style([torch.rand(1, 3, 16, 16) - 0.2])


def test_the_content_is_read_once_in_a_training_loop(host_reads):
    """A later read would make a GPU wait at every step."""
    loss, batch = on_two_layers(), torch.rand(2, 3, 16, 16)
    loss.set_content(batch)
    with host_reads() as reads:
        loss.set_content(batch)
    assert reads == []


def test_one_style_image_needs_no_list_and_several_may_come_from_a_generator():
    image = torch.rand(1, 3, 16, 16)
    targets = []
    for given in (image, [image], (image for _ in range(2))):
        loss = on_two_layers()
        loss.set_style(given)
        targets.append(loss.style_targets["relu1_1"])
    torch.testing.assert_close(targets[1:], [targets[0]] * 2)
    with pytest.raises(ValueError, match="the list of style images is empty"):
        on_two_layers().set_style([])


def test_layers_without_weights_are_refused():
    network = VGGFeatures(layers=["relu1_1"], weights=None)
    with pytest.raises(ValueError, match="content must map layers to weights"):
        PerceptualLoss(network, content=["relu1_1"])


def test_a_loss_in_float64_answers_in_float64():
    image, other = (torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    answers = {}
    for dtype in (torch.float32, torch.float64):
        loss = on_two_layers().to(dtype)
        loss.set_content(other)
        loss.set_style(other)
        terms, gradient = loss.with_gradient(image)
        assert (terms.dtype, gradient.dtype, loss(image).dtype) == (dtype,) * 3
        answers[dtype] = terms.float(), gradient.float()
    torch.testing.assert_close(answers[torch.float64], answers[torch.float32], rtol=1e-3, atol=1e-6)
