"""The two networks of Johnson et al.: sizes, ranges, and parameter counts by hand."""

import pytest
import torch
from torch import nn

from course_lib.images import resize
from course_lib.networks.layers import InstanceNorm
from course_lib.networks.super_resolution_net import SuperResolutionNet
from course_lib.networks.transformer_net import TransformerNet


def seeded(build, *arguments, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(*arguments, **options).eval()


def pictures(height, width, count=1, seed=0):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def conv(kernel, channels_in, channels_out):
    """Weights and biases of a convolution."""
    return kernel**2 * channels_in * channels_out + channels_out


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def block(channels, norm):
    return 2 * (conv(3, channels, channels) + norm * channels)


def kinds(network):
    return {type(module) for module in network.modules()}


# --- style transfer ---


@pytest.mark.parametrize("upsampling", ["resize", "transposed"])
@pytest.mark.parametrize(("norm", "numbers"), [("instance", 2), ("batch", 2), ("none", 0)])
@pytest.mark.parametrize("blocks", [5, 2])
def test_the_transformer_net_has_the_papers_layers(norm, numbers, upsampling, blocks):
    """Supplement, Table 1; a norm has a scale and a shift per channel."""
    network = TransformerNet(norm=norm, upsampling=upsampling, num_blocks=blocks)
    around = conv(9, 3, 32) + conv(3, 32, 64) + conv(3, 64, 128) + conv(3, 128, 64) + conv(3, 64, 32) + conv(9, 32, 3)
    norms = numbers * (32 + 64 + 128 + 64 + 32)
    assert count(network) == around + norms + blocks * block(128, numbers)
    if (norm, blocks) != ("none", 5) and blocks == 5:
        assert count(network) == 1_679_235


def test_width_is_a_factor_on_all_channels():
    network = TransformerNet(width=0.5)
    shapes = [tuple(p.shape) for name, p in network.named_parameters() if p.ndim == 4 and "blocks" not in name]
    assert shapes == [(16, 3, 9, 9), (32, 16, 3, 3), (64, 32, 3, 3), (32, 64, 3, 3), (16, 32, 3, 3), (3, 16, 9, 9)]
    assert count(TransformerNet(width=0.001)) > 0  # never less than one channel


def test_any_size_from_8_up():
    network = seeded(TransformerNet, width=0.1, num_blocks=1)
    with torch.no_grad():
        for side in range(8, 42):
            assert network(pictures(side, 49 - side)).shape == (1, 3, side, 49 - side)
            assert network(pictures(side, 8, count=2)).shape == (2, 3, side, 8)


@pytest.mark.parametrize("options", [{}, {"norm": "batch"}, {"norm": "none"}, {"upsampling": "transposed"}])
def test_the_output_lies_within_0_and_1(options):
    network = seeded(TransformerNet, width=0.1, num_blocks=1, **options)
    with torch.no_grad():
        painted = network(pictures(21, 30))
        assert 0 < painted.min() < painted.max() < 1
        network.paint.weight *= 1000
        extreme = network(pictures(21, 30))
        assert extreme.min() >= 0
        assert extreme.max() <= 1
    assert painted.dtype == torch.float32


def test_a_tanh_of_zero_is_gray():
    network = seeded(TransformerNet, width=0.1, num_blocks=1)
    nn.init.zeros_(network.paint.weight)
    nn.init.zeros_(network.paint.bias)
    assert torch.equal(network(pictures(9, 10)), torch.full((1, 3, 9, 10), 0.5))


def test_a_result_depends_on_the_batch_only_with_batch_norm_in_training():
    both = torch.cat([pictures(16, 20), 0.2 * pictures(16, 20, seed=1)])
    for norm, alone in (("instance", True), ("batch", False), ("none", True)):
        network = seeded(TransformerNet, width=0.1, num_blocks=1, norm=norm).train()
        with torch.no_grad():
            together, first = network(both)[:1], network(both[:1])
        assert torch.allclose(together, first, rtol=0, atol=1e-5) == alone
    for norm, expected in (("instance", InstanceNorm), ("batch", nn.BatchNorm2d)):
        network = TransformerNet(width=0.1, norm=norm)
        assert {InstanceNorm, nn.BatchNorm2d} & kinds(network) == {expected}
    assert not {InstanceNorm, nn.BatchNorm2d} & kinds(TransformerNet(width=0.1, norm="none"))


def test_the_upsampling_is_the_one_named():
    assert nn.ConvTranspose2d not in kinds(TransformerNet(width=0.1))
    assert nn.ConvTranspose2d in kinds(TransformerNet(width=0.1, upsampling="transposed"))
    assert nn.Upsample not in kinds(TransformerNet(width=0.1, upsampling="transposed"))
    assert nn.ConvTranspose2d in kinds(SuperResolutionNet(width=0.1))
    assert nn.ConvTranspose2d not in kinds(SuperResolutionNet(width=0.1, upsampling="resize"))


def test_a_padded_side_does_not_move_the_picture():
    """A side of 37 is padded to 40 and cropped afterwards, which changes nothing away from the new border."""
    network = seeded(TransformerNet, width=0.1, num_blocks=0, norm="none")
    picture = pictures(37, 40)
    padded = nn.functional.pad(picture, (0, 0, 0, 3), mode="reflect")
    with torch.no_grad():
        torch.testing.assert_close(network(picture), network(padded)[..., :37, :], rtol=0, atol=1e-6)


def test_everything_learns():
    for network in (TransformerNet(width=0.1, num_blocks=1), SuperResolutionNet(2, width=0.1, num_blocks=1)):
        network(pictures(16, 16, count=2))[:, :, 5:, 3:].square().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
        assert all(p.grad.abs().sum() > 0 for p in network.parameters() if p.ndim > 1)


# --- super-resolution ---


@pytest.mark.parametrize("upsampling", ["resize", "transposed"])
@pytest.mark.parametrize(("factor", "ups"), [(2, 1), (4, 2), (8, 3)])
def test_the_super_resolution_net_has_the_papers_layers(factor, ups, upsampling):
    """Supplement, Table 2: 9×9 to 64 channels, four blocks, log2(f) upsamplings, 9×9 to three colors."""
    expected = conv(9, 3, 64) + 128 + 4 * block(64, 2) + ups * (conv(3, 64, 64) + 128) + conv(9, 64, 3)
    assert count(SuperResolutionNet(factor, upsampling=upsampling)) == expected
    if factor == 4:
        assert expected == 401_859
    less = 128 + 4 * 2 * 128 + ups * 128
    assert count(SuperResolutionNet(factor, upsampling=upsampling, norm="none")) == expected - less


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("options", [{}, {"upsampling": "resize"}, {"skip": True}, {"norm": "instance"}])
def test_an_enlargement_is_f_times_the_picture(factor, options):
    network = seeded(SuperResolutionNet, factor, width=0.1, num_blocks=1, **options)
    with torch.no_grad():
        for size in ((5, 5), (5, 12), (9, 6)):
            large = network(pictures(*size, count=2))
            assert large.shape == (2, 3, factor * size[0], factor * size[1])
            assert large.dtype == torch.float32
            assert 0 <= large.min() <= large.max() <= 1


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_with_a_skip_training_starts_from_bicubic_interpolation(factor):
    network, small = seeded(SuperResolutionNet, factor, width=0.1, skip=True).train(), pictures(7, 9)
    large = network(small)
    assert torch.equal(large, resize(small, (factor * 7, factor * 9)))
    large.sum().backward()
    assert network.leave.weight.grad.abs().sum() > 0  # the last layer can learn


def test_with_a_skip_a_tenth_of_the_last_layer_is_added():
    network, small = seeded(SuperResolutionNet, 2, width=0.1, skip=True), pictures(7, 9)
    nn.init.constant_(network.leave.bias, 0.5)
    torch.testing.assert_close(network(small), resize(small, (14, 18)) + 0.05)


def test_without_a_skip_a_tanh_of_zero_is_gray():
    network = seeded(SuperResolutionNet, 2, width=0.1)
    nn.init.zeros_(network.leave.weight)
    nn.init.zeros_(network.leave.bias)
    assert torch.equal(network(pictures(7, 9)), torch.full((1, 3, 14, 18), 0.5))


# --- bad input ---


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 1, 16, 16), (1, 16, 16, 3), (1, 3, 7, 16), (1, 3, 16, 7)])
def test_the_transformer_net_says_what_it_needs(shape):
    with pytest.raises(ValueError, match=r"expected \(N, 3, H, W\)|the network needs sides of at least 8 px"):
        TransformerNet(width=0.1, num_blocks=0)(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 1, 16, 16), (1, 3, 4, 16), (1, 3, 16, 4)])
def test_the_super_resolution_net_says_what_it_needs(shape):
    with pytest.raises(ValueError, match=r"expected \(N, 3, H, W\)|the network needs sides of at least 5 px"):
        SuperResolutionNet(width=0.1, num_blocks=0)(torch.zeros(shape))


@pytest.mark.parametrize("build", [TransformerNet, SuperResolutionNet])
def test_unknown_options_are_refused(build):
    with pytest.raises(ValueError, match="unknown normalization 'layer'"):
        build(norm="layer")
    with pytest.raises(ValueError, match="unknown upsampling 'bicubic'"):
        build(upsampling="bicubic")


@pytest.mark.parametrize("factor", [1, 3, 16])
def test_only_powers_of_two_enlarge(factor):
    with pytest.raises(ValueError, match=f"factor must be one of 2, 4, 8, got {factor}"):
        SuperResolutionNet(factor)
