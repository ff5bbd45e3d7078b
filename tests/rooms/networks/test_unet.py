"""The U-Net: parameter counts by hand, skip connections, and where it has dropout and normalization."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from course_lib.networks.layers import InstanceNorm
from course_lib.networks.unet import UNet


def seeded(**options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return UNet(**{"depth": 5, "width": 0.1, **options})


def pictures(height, width, count=1, seed=0):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def expected_count(channels, *, skips=True, norms=2):
    """16 weights per pair of channels; only the last layer has biases, since no normalization shifts its output."""
    first, last = 3 * channels[0], (1 + skips) * channels[0] * 3
    inner = [*pairwise(channels)]
    down = sum(a * b for a, b in inner)
    up = sum((1 + (skips and k > 0)) * b * a for k, (a, b) in enumerate(inner[::-1]))
    normalized = sum(channels[1:-1]) + sum(
        channels[:-1]
    )  # all but the first and last encoder layers; all decoder layers
    return 16 * (first + down + up + last) + 3 + norms * normalized


def of_kind(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


# --- the paper's layers ---


def test_every_parameter_by_hand():
    """Appendix 6.1: 64, 128, 256 and then five times 512 channels."""
    paper = [64, 128, 256, 512, 512, 512, 512, 512]
    network = UNet()
    assert count(network) == expected_count(paper) == 54_413_955
    down, up = of_kind(network, nn.Conv2d), of_kind(network, nn.ConvTranspose2d)
    assert [conv.out_channels for conv in down] == paper
    assert [conv.out_channels for conv in up] == [*paper[-2::-1], 3]
    assert {(c.kernel_size, c.stride, c.padding) for c in (*down, *up)} == {((4, 4), (2, 2), (1, 1))}
    assert {leak.negative_slope for leak in of_kind(network, nn.LeakyReLU)} == {0.2}


def test_units_are_the_papers():
    """Every unit begins with the ReLU, so a skip connection carries feature maps that are not rectified yet."""
    network = seeded(dropout=(1, 2, 3))
    kinds = [[type(part).__name__ for part in layer] for layer in (*network.down, *network.up, network.paint)]
    down, up = ["LeakyReLU", "HalvingConv", "BatchNorm2d"], ["ReLU", "DoublingConv", "BatchNorm2d"]
    assert kinds[:5] == [["HalvingConv"], down, down, down, ["LeakyReLU", "HalvingConv"]]
    assert kinds[5:] == [[*up, "Dropout"]] * 3 + [up, ["ReLU", "ConvTranspose2d", "Tanh"]]


@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize(("norm", "norms"), [("batch", 2), ("instance", 2), ("none", 0)])
@pytest.mark.parametrize(
    ("depth", "width", "channels"),
    [(2, 0.5, [32, 64]), (3, 0.25, [16, 32, 64]), (6, 0.1, [6, 13, 26, 51, 51, 51]), (2, 0.001, [1, 1])],
)
def test_depth_and_width(depth, width, channels, norm, norms, skips):
    network = UNet(depth=depth, width=width, norm=norm, skips=skips)
    assert count(network) == expected_count(channels, skips=skips, norms=norms)
    assert len(of_kind(network, nn.Conv2d)) == len(of_kind(network, nn.ConvTranspose2d)) == depth


def test_down_to_a_single_position_and_back():
    network, sides = seeded(depth=6).eval(), []
    for layer in (*network.down, *network.up, network.paint):
        layer.register_forward_hook(lambda layer, given, made: sides.append(made.shape[-1]))
    assert network(pictures(64, 64)).shape == (1, 3, 64, 64)
    assert sides == [32, 16, 8, 4, 2, 1, 2, 4, 8, 16, 32, 64]


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_no_normalization_in_the_first_layer_the_bottleneck_and_the_last(norm):
    """At a single position, x equals its own mean, so normalization would leave 0."""
    network = seeded(norm=norm)
    kind = nn.BatchNorm2d if norm == "batch" else InstanceNorm
    assert [len(of_kind(layer, kind)) for layer in network.down] == [0, 1, 1, 1, 0]
    assert [len(of_kind(layer, kind)) for layer in network.up] == [1, 1, 1, 1]
    assert not of_kind(network.paint, kind)
    assert len(of_kind(network, (nn.BatchNorm2d, InstanceNorm))) == 7
    smallest = []
    network.down[-1].register_forward_hook(lambda layer, given, made: smallest.append(made))
    network.train()(pictures(32, 32))
    assert smallest[0].shape[-2:] == (1, 1)
    assert smallest[0].abs().min() > 0


# --- dropout ---


@pytest.mark.parametrize("dropout", [(1, 2, 3), (2, 3, 4), (), (1,)])
def test_dropout_is_in_the_layers_named(dropout):
    """In training, half of the values there are zero; no value is exactly zero otherwise."""
    network, zeros = seeded(width=0.5, dropout=dropout), []
    for layer in network.up:
        layer.register_forward_hook(lambda layer, given, made: zeros.append((made == 0).float().mean().item()))
    network.train()(pictures(32, 32, count=8))
    expected = [0.5 if k in dropout else 0 for k in (1, 2, 3, 4)]
    assert zeros == pytest.approx(expected, abs=0.05)
    zeros.clear()
    network.eval()(pictures(32, 32))
    assert zeros == [0, 0, 0, 0]


def test_dropout_is_the_only_randomness():
    picture = pictures(32, 32)
    for dropout, alike in (((1, 2, 3), False), ((), True)):
        network = seeded(dropout=dropout).train()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            first, second = network(picture), network(picture)
        assert torch.equal(first, second) == alike
        network.eval()
        assert torch.equal(network(picture), network(picture))


def test_by_default_the_first_three_decoder_layers_have_dropout():
    assert [len(of_kind(layer, nn.Dropout)) for layer in UNet(width=0.05).up] == [1, 1, 1, 0, 0, 0, 0]


# --- skips ---


def test_a_skip_carries_the_feature_map_of_the_same_size():
    """A decoder layer gets the output of the layer before it, followed by that of the matching encoder layer."""
    network, made, given = seeded().eval(), {}, {}

    def note(name):
        def hook(layer, inputs, output):
            given[name], made[name] = inputs[0], output

        return hook

    for name, layer in network.named_modules():
        layer.register_forward_hook(note(name))
    network(pictures(32, 64))
    assert torch.equal(given["up.0"], made["down.4"])
    for k in range(1, 4):
        assert torch.equal(given[f"up.{k}"], torch.cat((made[f"up.{k - 1}"], made[f"down.{4 - k}"]), 1))
    assert torch.equal(given["paint"], torch.cat((made["up.3"], made["down.0"]), 1))


@pytest.mark.parametrize("skips", [True, False])
def test_without_skips_everything_passes_through_the_bottleneck(skips):
    """With the bottleneck set to zero, the output depends on no pixel; with skips, it depends on almost all."""
    network, picture = seeded(skips=skips, norm="none").eval(), pictures(32, 32).requires_grad_()
    nn.init.zeros_(of_kind(network.down[-1], nn.Conv2d)[0].weight)
    network(picture).sum().backward()
    share = (picture.grad != 0).float().mean()
    assert share > 0.99 if skips else share == 0


def test_without_skips_the_bottleneck_determines_the_output():
    """The bottleneck is made to return what it returned for the first picture."""
    for skips in (True, False):
        network, kept = seeded(skips=skips).eval(), []
        network.down[-1].register_forward_hook(lambda layer, given, made, kept=kept: kept.append(made) or kept[0])
        assert torch.equal(network(pictures(32, 32)), network(pictures(32, 32, seed=1))) != skips


# --- range and size ---


@pytest.mark.parametrize("options", [{}, {"norm": "instance"}, {"norm": "none"}, {"skips": False}])
def test_the_output_lies_within_0_and_1(options):
    network = seeded(**options).train()
    with torch.no_grad():
        painted = network(pictures(32, 64, count=2))
        assert painted.shape == (2, 3, 32, 64)
        assert 0 < painted.min() < painted.max() < 1
        of_kind(network.paint, nn.ConvTranspose2d)[0].weight *= 10_000
        extreme = network(pictures(32, 64, count=2))
    assert 0 <= extreme.min() < 0.01
    assert 0.99 < extreme.max() <= 1


def test_gray_becomes_zero_and_zero_gray():
    """The paper's pictures span [−1, 1], where gray is 0; without biases it stays 0, which is gray again."""
    network = seeded().eval()
    nn.init.zeros_(of_kind(network.paint, nn.ConvTranspose2d)[0].bias)
    gray = torch.full((1, 3, 32, 32), 0.5)
    assert torch.equal(network(gray), gray)
    assert not torch.allclose(network(gray + 0.1), gray)


def test_white_and_black_are_one_and_minus_one():
    network, seen = seeded(), []
    network.down[0].register_forward_hook(lambda layer, given, made: seen.append(given[0]))
    network(torch.eye(32).expand(1, 3, 32, 32))
    assert torch.equal(seen[0], 2 * torch.eye(32).expand(1, 3, 32, 32) - 1)


def test_in_half_precision_the_output_is_still_float32():
    network = seeded().eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = network(pictures(32, 32))
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, network(pictures(32, 32)).detach(), rtol=0, atol=0.02)


@pytest.mark.parametrize("shape", [(1, 3, 32, 48), (1, 3, 16, 32), (1, 3, 33, 32)])
def test_a_size_that_cannot_be_halved_is_refused(shape):
    message = r"halves its picture 5 times: expected \(N, 3, H, W\) with H and W multiples of 32, got .*resize or crop"
    with pytest.raises(ValueError, match=message):
        seeded()(torch.zeros(shape))


def test_invalid_settings_are_refused():
    with pytest.raises(ValueError, match="at least twice, got depth=1"):
        UNet(depth=1)
    with pytest.raises(ValueError, match="unknown normalization 'layer'"):
        UNet(norm="layer")


@pytest.mark.parametrize("options", [{}, {"norm": "instance"}, {"skips": False}])
def test_everything_learns(options):
    network = seeded(**options, dropout=()).train()
    network(pictures(32, 32, count=2))[:, :, 5:, 3:].square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert all(p.grad.abs().sum() > 0 for p in network.parameters() if p.ndim > 1)
