"""Winograd's convolutions: by hand, against conv2d in float64, their rounding error, and their use in VGGFeatures."""

import warnings

import pytest
import torch
import torch.nn.functional as F

from course_lib import VGGFeatures, losses
from course_lib.losses.perceptual import PerceptualLoss
from course_lib.pretrained import passes, vgg, winograd
from course_lib.pretrained.winograd import Filters, Workspace, convolve, matrices

NARROW = {(precision, turned): {1: 1} for precision in (torch.float32, torch.bfloat16) for turned in (False, True)}


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def relative(found, true):
    return ((found.double() - true).norm() / true.norm()).item()


# --- the arithmetic ---


def test_two_outputs_by_hand():
    """F(2, 3) at the points 0, 1, -1 and infinity: four multiplications where the definition needs six.

    d = (1, 2, 4, 8), g = (3, 5, 7): y0 = 1·3 + 2·5 + 4·7 = 41, y1 = 2·3 + 4·5 + 8·7 = 82.
    """
    back, of_filter, of_input = matrices(2)
    d, g = torch.tensor([1.0, 2, 4, 8]).double(), torch.tensor([3.0, 5, 7]).double()
    assert (of_filter @ g).tolist() == [-3, 7.5, 2.5, 7]  # g0/-1, (g0+g1+g2)/2, (g0-g1+g2)/2, g2
    assert (of_input @ d).tolist() == [3, 6, 2, 6]  # d2-d0, d1+d2, d2-d1, d3-d1
    products = (of_filter @ g) * (of_input @ d)  # -9, 45, 5, 42
    assert (back @ products).tolist() == [41, 82]  # -9 + 45 + 5, and 45 - 5 + 42


@pytest.mark.parametrize("outputs", [2, 4])
def test_the_matrices_compute_the_correlation(outputs):
    back, of_filter, of_input = matrices(outputs)
    d, g = random(outputs + 2), random(3, seed=1)
    expected = F.conv1d(d.view(1, 1, -1), g.view(1, 1, -1)).flatten()
    torch.testing.assert_close(back @ ((of_filter @ g) * (of_input @ d)), expected, rtol=1e-12, atol=1e-12)


SIZES = [(8, 8), (9, 14), (1, 1), (2, 35), (7, 4), (70, 131), (3, 600)]  # odd ones, and more than one chunk


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("outputs", [2, 4])
@pytest.mark.parametrize("count", [1, 3])
def test_the_same_as_conv2d_in_float64_in_both_directions(size, outputs, count):
    x = random(count, 3, *size).contiguous(memory_format=torch.channels_last)
    weight, bias = random(5, 3, 3, 3, seed=1), random(5, seed=2)
    space = Workspace(torch.float64)
    y = convolve(x, Filters.of(weight, bias, outputs=outputs), space)
    expected = F.conv2d(x, weight, bias, padding=1)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-12 * expected.abs().max().item())
    assert y.is_contiguous(memory_format=torch.channels_last)
    rectified = convolve(x, Filters.of(weight, bias, outputs=outputs), space, relu=True)
    assert torch.equal(rectified, y.relu())
    back = convolve(y, Filters.of(weight, turned=True, outputs=outputs), space)
    expected = F.conv_transpose2d(y, weight, padding=1)
    torch.testing.assert_close(back, expected, rtol=0, atol=1e-12 * expected.abs().max().item())


def test_the_gradient_is_autograds():
    x, weight = random(1, 4, 10, 13).requires_grad_(True), random(6, 4, 3, 3, seed=1)
    upstream = random(1, 6, 10, 13, seed=2).contiguous(memory_format=torch.channels_last)
    (expected,) = torch.autograd.grad(F.conv2d(x, weight, padding=1), x, upstream)
    found = convolve(upstream, Filters.of(weight, turned=True), Workspace(torch.float64))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12 * expected.abs().max().item())


def test_rounding_is_hardly_larger_than_that_of_the_plain_convolution():
    """In float32, on rectified features. With Lavin & Gray's points 0, ±1, ±2 it would be twice as large."""
    x = random(1, 64, 24, 24).relu().contiguous(memory_format=torch.channels_last)
    weight = random(64, 64, 3, 3, seed=1)
    exact = F.conv2d(x, weight, padding=1)
    plain = relative(F.conv2d(x.float(), weight.float(), padding=1), exact)
    ours = relative(convolve(x.float(), Filters.of(weight.float()), Workspace()), exact)
    assert plain < ours < 3e-6
    half = relative(
        convolve(x.bfloat16(), Filters.of(weight.bfloat16(), turned=True), Workspace()), exact_back(x, weight)
    )
    assert 0.005 < half < 0.03  # why bfloat16 uses it on the way back only


def exact_back(x, weight):
    return F.conv_transpose2d(x, weight, padding=1)


def test_the_workspace_has_the_size_that_is_counted():
    for channels_in, channels_out, size in ((8, 4, (40, 60)), (4, 8, (9, 900)), (6, 6, (5, 7))):
        x = random(1, channels_in, *size, dtype=torch.float32).contiguous(memory_format=torch.channels_last)
        space = Workspace()
        convolve(x, Filters.of(random(channels_out, channels_in, 3, 3, dtype=torch.float32)), space)
        held = sum(len(buffer) for buffer in space._buffers)
        counted = winograd.workspace_bytes(channels_in, channels_out, *size)
        assert held <= counted <= 1.4 * held


# --- where it is used ---


def test_the_rule():
    pays = winograd.pays
    assert pays(torch.float32, 64, 128, 128, 128)
    assert pays(torch.float32, 512, 512, 16, 16)
    assert not pays(torch.float32, 512, 512, 4, 4)  # too few tiles
    assert not pays(torch.float32, 3, 64, 512, 512)
    assert not pays(torch.float32, 32, 32, 512, 512)
    assert not pays(torch.float64, 512, 512, 64, 64)  # exact networks stay plain
    assert not pays(torch.bfloat16, 512, 512, 64, 64)  # the way up


@pytest.mark.parametrize("doubles", [False, True])
def test_in_bfloat16_the_rule_holds_for_the_kind_of_cpu_it_was_measured_on(monkeypatch, doubles):
    monkeypatch.setattr(winograd, "doubles_in_bfloat16", lambda: doubles)
    assert winograd.pays(torch.bfloat16, 512, 512, 64, 64, turned=True) == doubles


def perceptual_loss(picture, **options):
    network = VGGFeatures("vgg19", ["relu1_1", "relu2_1", "relu3_1", "relu3_2"], weights=None, **options)
    loss = PerceptualLoss(network, content={"relu3_2": 1.0}, style={"relu1_1": 3.0, "relu2_1": 20.0, "relu3_1": 5.0})
    loss.set_content(picture(33, 46, 1))
    loss.set_style([picture(40, 28, 2)])
    return loss


@pytest.fixture
def forced(monkeypatch):
    monkeypatch.setattr(winograd, "FEWEST_TILES", NARROW)


def test_small_networks_and_float64_never_use_it(picture):
    for precision in (torch.float32, torch.float64):
        loss = perceptual_loss(picture, precision=precision)
        loss.with_gradient(picture(33, 46, 3))
        assert loss.network._filters == {}
        assert loss.network.filter_bytes(512, 512) == 0


@pytest.mark.parametrize("size", [(33, 46), (64, 35)])
def test_the_gradient_through_a_network_is_the_plain_one(forced, picture, size):
    ours, plain = perceptual_loss(picture), perceptual_loss(picture, winograd=False)
    for loss in (ours, plain):
        loss.set_content(picture(*size, 1))
    (terms, gradient), (plain_terms, plain_gradient) = (x.with_gradient(picture(*size, 3)) for x in (ours, plain))
    assert len(ours.network._filters) == 2 * len(ours.network.convs)
    assert plain.network._filters == {}
    torch.testing.assert_close(terms, plain_terms, rtol=1e-4, atol=1e-9)
    assert 0 < relative(gradient, plain_gradient.double()) < 1e-4
    assert torch.equal(gradient, ours.with_gradient(picture(*size, 3))[1])  # and the same every time


def test_a_picture_matches_its_own_targets_exactly(forced, picture):
    loss = perceptual_loss(picture)
    terms = dict(zip(loss.names, loss(picture(33, 46, 1)).tolist(), strict=True))
    assert terms["content/relu3_2"] == 0
    loss.set_style([picture(33, 46, 1)])
    assert loss(picture(33, 46, 1)).tolist() == [0, 0, 0, 0]


def test_requested_convolutions_are_not_rectified(forced, picture):
    network = VGGFeatures("vgg19", ["conv1_2", "relu1_2", "conv2_1"], weights=None)
    cache, plain = network.forward_with_cache(picture(33, 46, 1)), network(picture(33, 46, 1))
    for name in network.layers:
        torch.testing.assert_close(cache[name], plain[name], rtol=1e-4, atol=1e-5)
    assert cache["conv2_1"].min() < 0


def test_new_weights_get_new_filters(forced, picture):
    network = VGGFeatures("vgg19", ["relu2_1"], weights=None)
    network.forward_with_cache(picture(32, 32, 1))
    other = VGGFeatures("vgg19", ["relu2_1"], weights=None, seed=1)
    network.load_state_dict(other.state_dict())
    cache, plain = network.forward_with_cache(picture(32, 32, 1)), network(picture(32, 32, 1))
    torch.testing.assert_close(cache["relu2_1"], plain["relu2_1"], rtol=1e-4, atol=1e-5)
    network.double()
    assert network._filters == {}


# --- memory ---


def test_filters_are_counted_apart(forced, picture):
    network, plain = (VGGFeatures("vgg19", ["relu2_1"], weights=None, winograd=w) for w in (True, False))
    network.forward_with_cache(picture(40, 60, 1))
    held = sum(filters.values.nbytes for filters in network._filters.values())
    assert network.filter_bytes(40, 60) == held == 2 * 4 * 36 * (3 * 8 + 8 * 8 + 8 * 16)
    workspace = network.memory_needed(40, 60) - plain.memory_needed(40, 60)
    assert workspace == 2 * 4 * 36 * (15 * 6) * 8  # two buffers, all points of 90 tiles, 8 channels


def test_without_memory_for_the_filters_it_does_without(forced, picture, monkeypatch):
    network = VGGFeatures("vgg19", ["relu2_1"], weights=None)
    beside = network.memory_needed(40, 60)
    monkeypatch.setattr(passes, "available_memory", lambda device: beside + network.filter_bytes(40, 60) - 1)
    short = network.forward_with_cache(picture(40, 60, 1))
    assert network._filters == {}
    assert torch.equal(short["relu2_1"], network(picture(40, 60, 1))["relu2_1"])
    network.prepare(40, 60, needed=0)  # the caller knows better
    assert len(network._filters) == 6


# --- number formats and gradients of the input ---


def test_a_network_in_float64_answers_in_float64(picture):
    for network in (
        VGGFeatures("vgg19", ["relu2_1"], weights=None).double(),
        VGGFeatures("vgg19", ["relu2_1"], weights=None, precision=torch.float64),
    ):
        assert network.precision == torch.float64
        for image in (picture(32, 32, 1), picture(32, 32, 1).double()):
            assert network(image)["relu2_1"].dtype == torch.float64
            cache = network.forward_with_cache(image)
            assert cache["relu2_1"].dtype == torch.float64
            assert network.backward_to_image(cache, lambda layer, gradient: gradient.add_(1)).dtype == torch.float64
    loss = perceptual_loss(picture).double()
    terms, gradient = loss.with_gradient(picture(33, 46, 3).double())
    assert terms.dtype == gradient.dtype == torch.float64
    assert loss(picture(33, 46, 3).double()).dtype == torch.float64


def test_in_float64_the_closed_form_is_autograds_gradient(picture):
    loss = perceptual_loss(picture, precision=torch.float64)
    loss.set_content(picture(33, 46, 1).double())
    loss.set_style([picture(40, 28, 2).double()])
    x = picture(33, 46, 3).double().requires_grad_(True)
    features = loss.network(x)
    total = losses.content_loss(features["relu3_2"], loss.content_targets["relu3_2"])
    for layer, weight in loss.style.items():
        total = total + weight * losses.style_loss(features[layer], loss.style_targets[layer])
    (expected,) = torch.autograd.grad(total, x)
    assert relative(loss.with_gradient(x)[1], expected) < 1e-12


def test_pictures_that_require_gradients_are_detached_without_a_warning(picture):
    x = picture(33, 46, 1).requires_grad_(True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss = perceptual_loss(picture)
        loss.set_content(x)
        loss.set_style([x])
        results = *loss.with_gradient(x), *loss.network.forward_with_cache(x).values()
        float(results[0].sum())
    assert not any(tensor.requires_grad for tensor in results)
    assert x.grad is None


@pytest.mark.real_weights
def test_the_real_networks_gradient_in_float32_and_bfloat16(real_network, photos):
    """On a photo near the start of a run: 1e-4 in float32; in bfloat16 hardly worse than without."""
    photo, other = photos["chenonceau"][..., :160, :160], photos["cat"][..., :160, :160]
    layers, gradients = (*vgg.STYLE_LAYERS, vgg.CONTENT_LAYER), {}
    for precision in (torch.float64, torch.float32, torch.bfloat16):
        for fast in (False, True):
            network = real_network("vgg19", layers, precision=precision, winograd=fast)
            loss = PerceptualLoss(
                network, content={vgg.CONTENT_LAYER: 1.0}, style=dict.fromkeys(vgg.STYLE_LAYERS, 20.0)
            )
            loss.set_content(photo)
            loss.set_style([other])
            gradients[precision, fast] = loss.with_gradient(photo)[1]
    true = gradients[torch.float64, False]
    assert torch.equal(gradients[torch.float64, True], true)
    assert relative(gradients[torch.float32, True], true) < 1e-4
    plain, ours = (relative(gradients[torch.bfloat16, fast], true) for fast in (False, True))
    assert ours < plain + 0.01  # the rounding of the way up, in the Gram matrices, outweighs that of the way back
