"""Karras et al. 2019 and 2020: modulation, demodulation and AdaIN, filters, and the two networks, mostly by hand."""

import copy
import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from course_lib.losses.regularizers import path_lengths
from course_lib.networks.equalized import EqualConv, EqualLinear, blurred, doubled, halved, leaky
from course_lib.networks.modulated import StyledConv, ToRGB, demodulation, modulated_conv
from course_lib.networks.stylegan import Mapping, StyleDiscriminator, StyleGenerator, batch_deviation, channels

close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-5)
SMALL = {"width": 64, "most": 8, "z_size": 6, "w_size": 5, "num_mapping": 2}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def generator(size=16, **settings):
    """A small generator in which everything works: noise and biases are not 0."""
    made = StyleGenerator(size, **{**SMALL, **settings})
    with torch.no_grad():
        for conv in made.convs:
            conv.noise_strength.fill_(0.3)
            conv.bias.normal_()
        for color in made.colors:
            color.bias.normal_()
    return made


def count(network):
    return sum(p.numel() for p in network.parameters())


# --- counts
@pytest.mark.parametrize(("size", "ours", "theirs"), [(64, 27_032_600, 26_488_833), (256, 30_034_338, 28_864_129)])
def test_the_networks_have_the_counts_of_configuration_f(size, ours, theirs):
    with torch.device("meta"):
        assert count(StyleGenerator(size)) == ours
        assert count(StyleDiscriminator(size)) == theirs


def test_the_count_of_a_small_generator_adds_up():
    """Maps of 8 channels at 4 and 8 px, w of 5 numbers, z of 6."""
    mapping = (6 * 5 + 5) + (5 * 5 + 5)
    conv = 8 * 8 * 9 + 8 + 1 + (5 * 8 + 8)  # filters, bias, strength of the noise, style
    color = 3 * 8 + 3 + (5 * 8 + 8)
    assert count(StyleGenerator(8, **SMALL)) == mapping + 8 * 16 + 3 * conv + 2 * color
    adain = 8 * 8 * 9 + 8 + 1 + (5 * 16 + 16)  # a scale and a shift for each output
    assert count(StyleGenerator(8, style="instance", **SMALL)) == mapping + 8 * 16 + 3 * adain + 2 * (3 * 8 + 3)


def test_channels_halve_as_the_size_doubles():
    assert channels(1024) == {4: 512, 8: 512, 16: 512, 32: 512, 64: 512, 128: 256, 256: 128, 512: 64, 1024: 32}
    assert channels(1024, 8192)[1024] == 16  # configurations A to E
    assert channels(32, 8192) == channels(32)
    assert channels(64, 8192) != channels(64)
    with pytest.raises(ValueError, match="size must be one of 8, 16, .*, got 48"):
        channels(48)


@pytest.mark.parametrize("size", [8, 16, 64])
def test_a_picture_has_two_styles_for_each_doubling_and_two(size):
    assert StyleGenerator(size, **SMALL).num_styles == 2 * int(math.log2(size)) - 2


# --- modulated convolution
def by_groups(x, weight, style, *, demodulate, up):
    """Eqs. 1 and 3 as they are written: weights for each picture, in a convolution with a group for each picture."""
    own = weight[None] * style[:, None, :, None, None]
    if demodulate:
        own = own / (own.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
    if up:  # zeros between the values, then the convolution of a size larger by 1 on each side
        wide = x.new_zeros(*x.shape[:2], 2 * x.shape[2] - 1, 2 * x.shape[3] - 1)
        wide[:, :, ::2, ::2] = x
        x = wide
    padding = weight.shape[-1] // 2 + up
    y = F.conv2d(x.flatten(0, 1)[None], own.flatten(0, 1), padding=padding, groups=len(x))[0]
    y = y.unflatten(0, (len(style), -1))
    return 4 * blurred(y, 1, 1) if up else y


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize(("size", "up"), [(1, False), (3, False), (3, True)])
def test_one_convolution_equals_weights_of_each_pictures_own(demodulate, size, up):
    x, weight, style = torch.randn(3, 4, 6, 8), torch.randn(5, 4, size, size), torch.randn(3, 4)
    y = modulated_conv(x, weight, style, demodulate=demodulate, up=up)
    assert y.shape == ((3, 5, 12, 16) if up else (3, 5, 6, 8))
    close(y, by_groups(x, weight, style, demodulate=demodulate, up=up))


def test_zeros_between_the_values_equal_a_transposed_convolution():
    """A convolution with mirrored filters is the transposed one; `modulated_conv` mirrors them back."""
    x, weight = torch.randn(1, 2, 5, 5), torch.randn(3, 2, 3, 3)
    wide = torch.zeros(1, 2, 9, 9)
    wide[:, :, ::2, ::2] = x
    transposed = F.conv_transpose2d(x, weight.transpose(0, 1).flip(2, 3), stride=2)
    close(F.conv2d(wide, weight, padding=2), transposed)


def test_demodulation_gives_white_noise_unit_variance():
    """The premise of Eq. 3: independent inputs of unit variance. It holds per output channel and picture."""
    x, weight, style = torch.randn(2, 16, 96, 96), 5 * torch.randn(6, 16, 3, 3), 3 * torch.randn(2, 16)
    inside = modulated_conv(x, weight, style)[..., 1:-1, 1:-1]
    close(inside.std((2, 3)), torch.ones(2, 6), atol=0.05, rtol=0)
    assert (modulated_conv(x, weight, style, demodulate=False).std((2, 3)) > 10).all()


def test_demodulation_sums_over_inputs_and_positions_not_over_outputs():
    weight = torch.zeros(2, 2, 1, 2)
    weight[0, 0, 0], weight[0, 1, 0, 0] = torch.tensor([1.0, 2.0]), 2.0  # squares 1 + 4 and 4; the second output: 0
    weight[1, 1, 0, 1] = 0.5
    factors = demodulation(weight, torch.tensor([[1.0, 1.0], [2.0, 0.0]]))
    close(factors, torch.tensor([[1 / 3, 2.0], [1 / math.sqrt(20), 1e4]]))  # and ε keeps an empty channel finite


def test_modulation_keeps_gradients_of_styles_exact():
    """A style's scale is undone by demodulation, so that its gradient is orthogonal to the style itself."""
    weight = torch.randn(2, 3, 3, 3, dtype=torch.float64)
    style = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    (slope,) = torch.autograd.grad((modulated_conv(x, weight, style) ** 3).sum(), style)
    assert (slope * style).sum(1).abs().max() < 1e-6 * slope.abs().max()
    assert torch.autograd.gradcheck(lambda s: modulated_conv(x, weight, s, up=True), style)


# --- AdaIN, and the spike
@pytest.mark.parametrize(("side", "rest"), [(32, 0.16), (64, 0.30)])
def test_a_spike_hides_the_rest_from_instance_normalization_but_not_from_demodulation(side, rest):
    """Deviation with a spike of 200 in n values of deviation 1: √(1 + 200²/n), 6.3 for 32² and 3.3 for 64²."""
    x = torch.randn(1, 1, side, side)
    x[..., 3, 5] = 200.0
    other = torch.ones(side, side, dtype=torch.bool)
    other[3, 5] = False
    conv = StyledConv(1, 1, 4, style="instance")
    normalized = conv.norm(x)[0, 0][other]
    assert normalized.std().item() == pytest.approx(1 / math.sqrt(1 + 200**2 / side**2), rel=0.05)
    assert normalized.std().item() == pytest.approx(rest, abs=0.01)
    same = modulated_conv(x, torch.ones(1, 1, 1, 1), torch.full((1, 1), 4.0))[0, 0][other]
    assert same.std().item() == pytest.approx(1.0, abs=0.05)


def test_adain_comes_last_and_gives_each_map_the_styles_deviation_and_mean():
    conv = StyledConv(3, 2, 4, style="instance")
    with torch.no_grad():
        conv.affine.weight.zero_()
        conv.affine.bias.copy_(torch.tensor([1.0, -0.5, 7.0, -3.0]))  # scales − 1, then shifts
    y = conv(10 * torch.randn(2, 3, 32, 32), torch.randn(2, 4), torch.zeros(1, 1, 32, 32))
    close(y.mean((2, 3)), torch.tensor([[7.0, -3.0]] * 2), atol=1e-3, rtol=0)
    close(y.std((2, 3)), torch.tensor([[2.0, 0.5]] * 2), atol=1e-2, rtol=0)


def test_at_first_a_style_scales_by_one():
    """Affine layers start from a bias of 1 (2020, Appendix B); with AdaIN, the scale is 1 plus what they give."""
    assert StyledConv(3, 2, 4).affine.bias.tolist() == [1.0] * 3
    assert ToRGB(3, 4).affine.bias.tolist() == [1.0] * 3
    assert StyledConv(3, 2, 4, style="instance").affine.bias.tolist() == [0.0] * 4
    w = torch.zeros(1, 4)
    conv = StyledConv(3, 2, 4)
    x = torch.randn(1, 3, 8, 8)
    plain = F.conv2d(x, conv.weight / conv.weight.square().sum((1, 2, 3), keepdim=True).sqrt(), padding=1)
    close(conv(x, w, torch.randn(1, 1, 8, 8)), leaky(plain))  # noise has no strength at first


def test_a_layer_adds_noise_and_bias_before_its_activation():
    conv = StyledConv(3, 2, 4)
    noise, x, w = torch.randn(2, 1, 8, 8), torch.randn(2, 3, 8, 8), torch.randn(2, 4)
    with torch.no_grad():
        conv.noise_strength.fill_(-0.7)
        conv.bias.copy_(torch.tensor([0.4, -2.0]))
    scaled = conv.weight / math.sqrt(27)
    before = modulated_conv(x, scaled, conv.affine(w)) - 0.7 * noise + torch.tensor([0.4, -2.0]).view(2, 1, 1)
    close(conv(x, w, noise), leaky(before))


def test_colors_are_modulated_but_not_demodulated():
    color, x = ToRGB(4, 5), torch.randn(2, 4, 3, 3)
    with torch.no_grad():
        color.bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
    w = torch.randn(2, 5)
    style = color.affine(w)
    expected = torch.einsum("oc,nc,nchw->nohw", color.weight[:, :, 0, 0] / 2, style, x)
    close(color(x, w), expected + torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1))
    still = ToRGB(4, 5, style="instance")
    assert torch.equal(still(x, w), still(x, -w))  # 2019: the colors do not know the style


# --- equalized layers
def test_a_rate_changes_the_speed_of_a_layer_and_not_its_output():
    """A factor λ on Adam's rate: the weights' step is the same, and what it does to the output is λ times as much."""
    x, moved = torch.randn(3, 100), {}
    layers = {}
    for rate in (1.0, 0.01):
        torch.manual_seed(1)
        layers[rate] = EqualLinear(100, 2, bias=0.5, rate=rate)
    before = layers[1.0](x).detach()
    close(layers[0.01](x), before)
    assert before.std() == pytest.approx(1, abs=0.5)
    for rate, layer in layers.items():
        optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3)
        layer(x).square().sum().backward()
        optimizer.step()
        moved[rate] = layer(x).detach() - before
    close(moved[0.01], 0.01 * moved[1.0], rtol=0.05, atol=1e-6)


def test_layers_of_any_size_keep_the_variance():
    for columns in (10, 1000):
        assert EqualLinear(columns, 500)(torch.randn(500, columns)).std().item() == pytest.approx(1, abs=0.1)
    assert EqualConv(40, 50, 3)(torch.randn(4, 40, 32, 32))[..., 1:-1, 1:-1].std().item() == pytest.approx(1, abs=0.1)
    x = torch.randn(100_000)
    assert leaky(x).square().mean().item() == pytest.approx(1 + 0.2**2, abs=0.03)


@pytest.mark.parametrize("size", [1, 3])
def test_halving_blurs_first(size):
    """The same as to blur, to convolve everywhere, and to keep every other position."""
    conv, x = EqualConv(3, 4, size, down=True), torch.randn(2, 3, 8, 10)
    with torch.no_grad():
        conv.bias.normal_()
    weight = conv.weight / math.sqrt(3 * size**2)
    pad = (2, 2) if size == 3 else (1, 1)
    everywhere = F.conv2d(blurred(x, *pad), weight, conv.bias)
    y = conv(x)
    assert y.shape == (2, 4, 4, 5)
    close(y, everywhere[:, :, ::2, ::2][:, :, :4, :5])


# --- filters
def test_the_filter_is_binomial_and_keeps_constants():
    spike = torch.zeros(1, 1, 7, 7)
    spike[..., 3, 3] = 64.0
    line = torch.tensor([1.0, 3.0, 3.0, 1.0])
    assert torch.equal(blurred(spike, 0, 0)[0, 0], line[:, None] * line)
    constant = torch.full((2, 3, 8, 8), 5.0)
    close(blurred(constant, 0, 0), torch.full((2, 3, 5, 5), 5.0))
    close(halved(constant)[..., 1:-1, 1:-1], torch.full((2, 3, 2, 2), 5.0))
    close(doubled(constant)[..., 1:-1, 1:-1], torch.full((2, 3, 14, 14), 5.0))


def test_pads_go_where_they_are_said_to_go():
    x = torch.randn(1, 2, 5, 5)
    assert blurred(x, 2, 1).shape == (1, 2, 5, 5)
    close(blurred(x, 2, 1), blurred(F.pad(x, (2, 1, 2, 1)), 0, 0))
    close(blurred(x, 1, 1), blurred(F.pad(x, (1, 1, 1, 1)), 0, 0))


def test_halving_and_doubling_are_each_others_transpose():
    """⟨halved(x), y⟩ = ⟨x, doubled(y)⟩ / 4: one filter, centered alike, so that a picture does not move."""
    x, y = torch.randn(1, 2, 8, 6), torch.randn(1, 2, 4, 3)
    close((halved(x) * y).sum(), (x * doubled(y)).sum() / 4)
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    close(halved(ramp)[0, 0, 3, 1:-1], torch.arange(2.5, 14, 2))  # the middle of two
    close(doubled(ramp)[0, 0, 9, 2:-2], torch.arange(0.75, 14.5, 0.5))


def test_channels_are_filtered_one_by_one():
    x = torch.zeros(1, 2, 4, 4)
    x[:, 1] = torch.randn(4, 4)
    for filtered in (halved, doubled, partial(blurred, before=2, after=1)):
        assert not filtered(x)[:, 0].any()


# --- mapping
def test_the_mapping_ignores_the_length_of_noise():
    mapping, z = Mapping(6, 5, num_layers=3), torch.randn(4, 6)
    close(mapping(100 * z), mapping(z))
    assert not torch.allclose(mapping(-z), mapping(z), atol=1e-2)
    close(Mapping(6, 6, num_layers=0)(z).square().mean(1), torch.ones(4))


def test_the_mapping_is_layers_with_activations():
    mapping, z = Mapping(6, 5, num_layers=2, rate=0.1), torch.randn(4, 6)
    x = z / z.square().mean(1, keepdim=True).sqrt()
    for layer in mapping.layers:
        x = leaky(x @ layer.weight.T * (0.1 / math.sqrt(x.shape[1])) + 0.1 * layer.bias)
    close(mapping(z), x)
    assert [tuple(layer.weight.shape) for layer in mapping.layers] == [(5, 6), (5, 5)]
    with pytest.raises(ValueError, match=r"expected noise \(N, 6\)"):
        mapping(z[:, :5])


def test_the_mean_style_is_an_average_of_styles():
    mapping = Mapping(6, 5, num_layers=2)
    assert not mapping.mean.any()
    mapping.measure_mean(seed=3)
    styles = mapping(torch.randn(20_000, 6))
    close(mapping.mean, styles.mean(0), atol=0.1, rtol=0)
    assert mapping.spread() == pytest.approx((styles - styles.mean(0)).square().sum(1).mean().sqrt().item(), rel=0.05)


# --- generator
def test_the_picture_is_the_sum_of_doubled_colors_and_each_layer_has_its_style():
    """Written out for 16 px: styles 0 (4 px), 1, 2 (8 px), 3, 4 (16 px); colors take the style after their layer's."""
    G = generator(16)
    w, noise = torch.randn(2, 6, 5), torch.randn(2, 16 + 2 * 64 + 2 * 256)
    n = [
        part.view(2, 1, side, side) for part, side in zip(noise.split([16, 64, 64, 256, 256], 1), G.sides, strict=True)
    ]
    x = G.convs[0](G.constant.repeat(2, 1, 1, 1), w[:, 0], n[0])
    rgb = G.colors[0](x, w[:, 1])
    x = G.convs[2](G.convs[1](x, w[:, 1], n[1]), w[:, 2], n[2])
    rgb = doubled(rgb) + G.colors[1](x, w[:, 3])
    x = G.convs[4](G.convs[3](x, w[:, 3], n[3]), w[:, 4], n[4])
    rgb = doubled(rgb) + G.colors[2](x, w[:, 5])
    close(G(w, noise), (rgb + 1) / 2)
    assert G.sides == [4, 8, 8, 16, 16]


def test_one_style_for_all_layers_is_the_same_as_that_style_in_each():
    G, w = generator(), torch.randn(3, 5)
    close(G(w), G(w[:, None].repeat(1, G.num_styles, 1)))


@pytest.mark.parametrize("style", ["demodulation", "instance"])
def test_a_late_style_leaves_the_coarse_layout(style):
    """With another style from 16 px on, the maps of 8 px are the same, and the picture is not."""
    G, seen = generator(style=style), []
    G.convs[2].register_forward_hook(lambda module, given, y: seen.append(y))
    w = torch.randn(1, 6, 5)
    other = torch.cat((w[:, :3], torch.randn(1, 3, 5)), 1)
    a, b = G(w), G(other)
    assert torch.equal(*seen)
    assert not torch.allclose(a, b, atol=1e-3)


def test_fixed_noise_is_fixed_and_random_noise_is_not():
    G, w = generator(), torch.randn(1, 5).expand(2, -1)
    assert torch.equal(G(w), G(w))
    close(G(w)[0], G(w)[1])
    first, second = G.random_noise(2), G.random_noise(2)
    assert first.shape == (2, 16 + 128 + 512)
    assert not torch.equal(first, second)
    a, b = G(w, first), G(w, second)
    assert not torch.allclose(a, b, atol=1e-3)
    assert not torch.allclose(a[0], a[1], atol=1e-3)  # each picture its own
    assert torch.equal(G.noise, StyleGenerator(16, **SMALL).noise)  # the same in every generator, whatever its weights
    assert "noise" not in G.state_dict()


def test_styles_and_noise_of_another_shape_get_a_sentence():
    G = generator()
    for wrong in (torch.randn(2, 4), torch.randn(2, 5, 5), torch.randn(5), [1.0]):
        with pytest.raises(ValueError, match=r"expected styles \(N, 5\) or \(N, 6, 5\), got .*`mapping` makes them"):
            G(wrong)
    for wrong in (torch.randn(2, 655), torch.randn(3, 656), torch.randn(656)):
        with pytest.raises(ValueError, match=r"expected noise \(2, 656\), got .*`random_noise` makes it"):
            G(torch.randn(2, 5), wrong)
    with pytest.raises(ValueError, match="style must be one of 'demodulation', 'instance'"):
        StyleGenerator(8, style="adain")


def test_mixed_styles_change_once_and_begin_with_the_first(monkeypatch):
    """The mapping is replaced, so that the first z of a picture gives 0 and the second 1."""
    G, drawn = StyleGenerator(32, **SMALL), iter((0.0, 1.0))
    monkeypatch.setattr(Mapping, "forward", lambda self, z: torch.full((len(z), 5), next(drawn)))
    layers = G.random_styles(4000, 0.75)[..., 0]
    assert layers.shape == (4000, 8)
    assert not layers[:, 0].any()
    assert (layers.diff(dim=1) >= 0).all()
    firsts = 8 - layers.sum(1)  # how many layers have the first style
    assert (firsts == 8).float().mean().item() == pytest.approx(0.25, abs=0.03)
    share = firsts.long().bincount(minlength=9)[1:8] / 4000
    close(share, torch.full((7,), 0.75 / 7), atol=0.02, rtol=0)  # any layer from the second to the last


@pytest.mark.parametrize(("mixing", "mixed"), [(0.0, False), (1.0, True)])
def test_mixing_of_none_and_of_all(mixing, mixed):
    styles = StyleGenerator(8, **SMALL).random_styles(200, mixing)
    assert ((styles[:, -1] != styles[:, 0]).any(1) == mixed).all()


def test_styles_at_sizes():
    G = StyleGenerator(16, **SMALL)
    assert G.layers_at((4, 8)).tolist() == [True, True, True, False, False, False]
    assert G.layers_at((16, 16)).tolist() == [False, False, False, True, True, True]
    for wrong in ((4, 6), (8, 4), (4, 32), (4,), (0, 8)):
        with pytest.raises(ValueError, match="expected two of the sizes 4, 8, 16, the smaller first, got"):
            G.layers_at(wrong)


# --- discriminator
def test_the_deviation_is_that_of_a_group_averaged_over_channels_and_positions():
    x = torch.zeros(4, 2, 1, 2)
    x[0, 0, 0, 0], x[2, 0, 0, 0] = 1.0, 3.0  # pictures 0 and 2 are a group of 2: deviation 1 in one of 4 places
    x[1], x[3] = 5.0, 9.0  # and so are 1 and 3: deviation 2 everywhere
    close(
        batch_deviation(x, 2),
        torch.tensor([0.25, 2.0, 0.25, 2.0]).view(4, 1, 1, 1).expand(4, 1, 1, 2),
        atol=2e-4,
        rtol=0,
    )
    everything = torch.stack([x[:, :, :, j].std(0, correction=0) for j in range(2)]).mean()
    close(batch_deviation(x), everything.expand(4, 1, 1, 2), atol=2e-4, rtol=0)


@pytest.mark.parametrize(("number", "group"), [(8, 4), (6, 3), (5, 1), (2, 2), (1, 1), (7, 1)])
def test_the_group_divides_the_batch(number, group):
    x = torch.randn(number, 2, 3, 3)
    assert torch.equal(batch_deviation(x), batch_deviation(x, group))
    if group == 1:
        assert batch_deviation(x).max() <= 1e-4 + 1e-8  # nothing to compare with


def test_a_collapsed_batch_is_seen():
    x = torch.randn(1, 2, 4, 4).repeat(4, 1, 1, 1)
    assert batch_deviation(x).max() < 2e-4
    assert batch_deviation(torch.randn(4, 2, 4, 4)).min() > 0.5


def test_logits_depend_on_the_batch_through_its_deviation_alone():
    D, x = StyleDiscriminator(16, width=64, most=8), torch.rand(4, 3, 16, 16)
    alone = torch.cat([D(one[None]) for one in x])
    assert D(x).shape == (4,)
    assert not torch.allclose(D(x), alone, atol=1e-4)
    with torch.no_grad():
        D.last.weight[:, -1].zero_()  # the filters that read it: the last channel
    close(D(x), torch.cat([D(one[None]) for one in x]))


def test_the_discriminator_is_a_chain_of_residual_blocks():
    D, x = StyleDiscriminator(8, width=64, most=8), torch.rand(2, 3, 8, 8)
    block = D.blocks[0]
    y = leaky(F.conv2d(2 * x - 1, D.from_rgb.weight / math.sqrt(3), D.from_rgb.bias))  # networks work in [−1, 1]
    skip = F.conv2d(halved(y), block.skip.weight / math.sqrt(8))
    y = leaky(block.second(leaky(block.first(y))))
    y = (y + skip) / math.sqrt(2)
    y = torch.cat((y, batch_deviation(y)), 1)
    y = leaky(F.conv2d(y, D.last.weight / math.sqrt(9 * 9), D.last.bias, padding=1))
    close(D(x), D.logit(leaky(D.dense(y.flatten(1))))[:, 0])
    assert block.skip.bias is None
    assert len(StyleDiscriminator(64, width=64, most=8).blocks) == 4


def test_pictures_of_another_size_get_a_sentence():
    D = StyleDiscriminator(16, width=64, most=8)
    with pytest.raises(ValueError, match=r"expected \(N, 3, 16, 16\), got \(2, 3, 8, 8\)"):
        D(torch.rand(2, 3, 8, 8))
    with pytest.raises(ValueError, match="expected"):
        D(torch.rand(2, 1, 16, 16))


def test_adain_can_be_differentiated_twice():
    """As path lengths need it: the fast normalization of float32 and PyTorch's of float64 agree."""
    G, noise, w, found = generator(8, style="instance"), torch.randn(2, 3, 8, 8), torch.randn(2, 5), []
    for network in (G, copy.deepcopy(G).double()):
        dtype = network.constant.dtype
        lengths = path_lengths(network(styles := w.to(dtype).requires_grad_()), styles, noise.to(dtype))
        wanted = (styles, network.constant, network.convs[0].affine.weight, network.convs[1].weight)
        found.append([gradient.float() for gradient in torch.autograd.grad(lengths.sum(), wanted)])
    for fast, exact in zip(*found, strict=True):
        assert exact.abs().max() > 0
        close(fast, exact, rtol=1e-2, atol=1e-2 * exact.abs().max().item())


# --- number formats
@pytest.mark.parametrize("style", ["demodulation", "instance"])
def test_formats(style):
    """float64 in, float64 out; inside autocast to bfloat16, pictures and logits stay float32 and near."""
    G, D = generator(style=style), StyleDiscriminator(16, width=64, most=8)
    w, x = torch.randn(2, 5), torch.rand(2, 3, 16, 16)
    expected = G(w), D(x)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = G(w), D(x)
    for a, b in zip(rounded, expected, strict=True):
        assert a.dtype == torch.float32
        assert (a - b).abs().mean() < 0.05 * max(1.0, b.abs().mean().item())
    exact = G.double()(w), D.double()(x)
    for a, b in zip(exact, expected, strict=True):
        assert a.dtype == torch.float64
        close(a.float(), b, rtol=1e-3, atol=1e-3)


def test_a_generator_made_on_another_device_has_the_same_fixed_noise():
    with torch.device("meta"):
        assert StyleGenerator(16, **SMALL).noise.is_meta
