"""VGG features with reflected borders: their values, sizes, fast passes and gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_lib import VGGFeatures
from course_lib.pretrained import vgg, weights, winograd

LAYERS = ["relu1_1", "relu2_1", "conv2_2", "pool2", "relu3_1"]


def image(height=32, width=40, seed=0, count=1):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def network(layers=LAYERS, **options):
    return VGGFeatures("vgg19", layers, weights=None, padding="reflect", **options)


def by_definition(net, x):
    """Every convolution with the border written out."""
    x, found = (x.to(net.mean) - net.mean) / net.std, {}
    for name in net.names:
        if name.startswith("conv"):
            conv = net.convs[name]
            x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), conv.weight, conv.bias)
        elif name.startswith("relu"):
            x = F.relu(x)
        else:
            x = F.max_pool2d(x, 2) if net.pooling == "max" else F.avg_pool2d(x, 2)
        found[name] = x
    return {name: found[name] for name in net.layers}


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_every_way_to_the_features_reflects_the_border(pooling):
    net, x = network(pooling=pooling).double(), image(33, 40, count=2).double()
    expected = by_definition(net, x)
    assert list(expected) == LAYERS
    for found in (net(x), net.targets(x), net.forward_with_cache(x)):
        for name in LAYERS:
            torch.testing.assert_close(found[name], expected[name])


def test_only_the_border_differs_from_zeros():
    """relu1_2 looks at two pixels around."""
    zeros = VGGFeatures("vgg19", "relu1_2", weights=None)(image())["relu1_2"]
    reflected = network("relu1_2")(image())["relu1_2"]
    torch.testing.assert_close(reflected[..., 2:-2, 2:-2], zeros[..., 2:-2, 2:-2])
    assert (reflected - zeros)[..., 0].abs().max() > 0.01


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("layers", [["relu1_1"], ["conv1_1"], ["relu2_1", "relu3_1"]])
def test_the_gradient_without_autograd_is_that_of_autograd(pooling, layers):
    net, x = network(layers, pooling=pooling).double(), image(17, 22, count=2).double().requires_grad_()
    expected = torch.autograd.grad(sum((k + 1) * y.square().sum() for k, y in enumerate(net(x).values())), x)[0]
    cache = net.forward_with_cache(x.detach())
    factors = {name: 2.0 * (k + 1) for k, name in enumerate(net.layers)}
    found = net.backward_to_image(cache, lambda name, total: total.add_(factors[name] * cache[name]))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("layer", "side"), [("conv1_1", 2), ("pool1", 2), ("relu2_1", 4), ("relu4_1", 16)])
def test_a_border_is_reflected_from_two_pixels_on(layer, side):
    net = network(layer)
    assert net.min_size(layer) == side
    assert net(image(side, side))[layer].isfinite().all()
    with pytest.raises(ValueError, match=f"{layer} needs an image of at least {side} px on each side"):
        net(image(side - 1, 32))


def test_an_unknown_padding_is_refused_and_the_description_names_it():
    with pytest.raises(ValueError, match="padding must be one of 'zeros', 'reflect', got 'same'"):
        VGGFeatures("vgg19", weights=None, padding="same")
    assert "reflected borders" in repr(network())
    assert "reflected" not in repr(VGGFeatures("vgg19", weights=None))


def test_the_cache_keeps_the_two_paddings_apart():
    given = ("vgg19", ("relu1_1",), "max", None, torch.float32, torch.device("cpu"))
    assert vgg.cached_network(*given, "reflect").padding == "reflect"
    assert vgg.cached_network(*given).padding == "zeros"


@pytest.mark.parametrize("size", [(8, 8), (9, 14), (2, 2), (2, 35), (7, 4), (70, 131), (3, 600)])
@pytest.mark.parametrize("outputs", [2, 4])
def test_winograds_convolution_reflects_the_border(size, outputs):
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((2, 3, *size), (5, 3, 3, 3), (5,))
    )
    x = x.contiguous(memory_format=torch.channels_last)
    filters, space = winograd.Filters.of(weight, bias, outputs=outputs), winograd.Workspace(torch.float64)
    found = winograd.convolve(x, filters, space, reflect=True)
    torch.testing.assert_close(found, F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), weight, bias))


def test_the_passes_use_it(monkeypatch):
    rule = {(torch.float32, turned): {1: 1} for turned in (False, True)}
    monkeypatch.setattr(winograd, "FEWEST_TILES", rule)
    net, used = network("relu2_1"), []
    real = winograd.convolve
    monkeypatch.setattr(winograd, "convolve", lambda *a, **k: used.append(k["reflect"]) or real(*a, **k))
    torch.testing.assert_close(net.targets(image())["relu2_1"], net(image())["relu2_1"], rtol=1e-4, atol=1e-4)
    assert used == [True, True, True]


@pytest.mark.real_weights
def test_the_published_encoder_layer_by_layer():
    """Its file begins with a 1×1 convolution to BGR in 0…255 minus the mean; here that is in `mean` and `std`."""
    net = VGGFeatures("vgg19", "relu4_1", pooling="max", weights="normalized", padding="reflect")
    state = weights.load("vgg19_normalized").state_dict
    first = nn.Conv2d(3, 3, 1)  # with the first filters flipped back to BGR
    first.weight.data = 255 * torch.eye(3).flip(0).view(3, 3, 1, 1)
    first.bias.data = -torch.tensor([103.939, 116.779, 123.68])
    layers = [first]
    for block in ((0, 2), (5, 7), (10, 12, 14, 16), (19,)):
        for number in block:
            weight = state[f"{number}.weight"].flip(1) if number == 0 else state[f"{number}.weight"]
            conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3)
            conv.weight.data, conv.bias.data = weight, state[f"{number}.bias"]
            layers += [nn.ReflectionPad2d(1), conv, nn.ReLU()]
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
    with torch.no_grad():
        expected = nn.Sequential(*layers[:-1])(image(64, 72))
    torch.testing.assert_close(net.targets(image(64, 72))["relu4_1"], expected, rtol=1e-4, atol=1e-4)
