"""The building blocks of networks: small cases by hand, borders, and held statistics."""

import copy

import pytest
import torch
from torch import nn

from course_lib.networks.layers import (
    Dropout,
    InstanceNorm,
    ReflectedConv,
    ResidualBlock,
    batch_statistics,
    held_statistics,
    initialize,
    norm_layer,
    receptive_field,
    upsampling,
)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def scaled(channels, weight=2.0, bias=1.0):
    norm = InstanceNorm(channels)
    nn.init.constant_(norm.weight, weight)
    nn.init.constant_(norm.bias, bias)
    return norm


# --- instance normalization ---


def test_instance_norm_by_hand():
    """0, 2, 4, 6 have mean 3 and variance 5; 10, 10, 14, 14 have 12 and 4: each channel of each picture by itself."""
    x = torch.tensor([[0.0, 2.0, 4.0, 6.0], [10.0, 10.0, 14.0, 14.0]]).view(2, 1, 2, 2)
    ones = torch.tensor([[-3.0, -1.0, 1.0, 3.0], [-2.0, -2.0, 2.0, 2.0]]) / torch.tensor([[5.0], [4.0]]).sqrt()
    torch.testing.assert_close(scaled(1)(x).detach().view(2, 4), 2 * ones + 1, rtol=1e-5, atol=1e-5)
    apart = scaled(2)(x.view(1, 2, 2, 2)).detach()
    torch.testing.assert_close(apart.view(2, 4), 2 * ones + 1, rtol=1e-5, atol=1e-5)


def test_instance_norm_agrees_with_torch_and_stores_nothing_more():
    ours, theirs = InstanceNorm(4), nn.InstanceNorm2d(4, affine=True)
    assert ours.state_dict().keys() == theirs.state_dict().keys() == {"weight", "bias"}
    for training in (True, False):
        x = random(2, 4, 5, 7)
        torch.testing.assert_close(ours.train(training)(x), theirs.train(training)(x))


def test_held_statistics_are_those_of_the_picture():
    norm, picture, other = scaled(3), 5 + 2 * random(1, 3, 8, 8), random(2, 3, 4, 5, seed=1)
    with held_statistics(norm, picture):
        normalized = norm(other)
    mean, variance = picture.mean((0, 2, 3)), picture.var((0, 2, 3), correction=0)
    expected = 2 * (other - mean.view(3, 1, 1)) / (variance.view(3, 1, 1) + norm.eps).sqrt() + 1
    torch.testing.assert_close(normalized, expected)
    assert not torch.allclose(normalized, norm(other))


def test_a_part_is_computed_as_in_the_whole_picture():
    """Two norms with a pointwise layer between them: the second norm holds statistics of what the first one returns."""
    network = nn.Sequential(InstanceNorm(3), nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True), scaled(4))
    picture = 3 + random(1, 3, 12, 10)
    whole = network(picture)
    with held_statistics(network, picture):
        torch.testing.assert_close(network(picture), whole)
        torch.testing.assert_close(network(picture[..., 3:7, 2:9]), whole[..., 3:7, 2:9])


def test_held_statistics_carry_no_gradient_but_let_gradients_through():
    network, picture = nn.Sequential(nn.Conv2d(3, 4, 1), InstanceNorm(4)), random(1, 3, 6, 6)
    with held_statistics(network, picture):
        assert not any(value.requires_grad for value in network[1].held)
        network(picture[..., :3, :3]).square().sum().backward()
    assert network[0].weight.grad.abs().sum() > 0


def test_held_statistics_in_half_precision():
    network, picture = nn.Sequential(nn.Conv2d(3, 4, 1), scaled(4)), random(1, 3, 16, 16)
    exact = network(picture)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), held_statistics(network, picture):
        assert {value.dtype for value in network[1].held} == {torch.float32}
        torch.testing.assert_close(network(picture).float(), exact, rtol=0.03, atol=0.06)  # 8 bits of numbers up to 8


def untouched(network):
    return all(norm.held is None and not norm.recording for norm in network.modules() if isinstance(norm, InstanceNorm))


def test_afterwards_nothing_is_held():
    network, picture = nn.Sequential(InstanceNorm(3), nn.Conv2d(3, 3, 1), InstanceNorm(3)), random(1, 3, 6, 6)
    before = network(picture[..., :3])
    with held_statistics(network, picture):
        assert not untouched(network)
    assert untouched(network)
    torch.testing.assert_close(network(picture[..., :3]), before, rtol=0, atol=0)


def use_and_fail(network, picture):
    with held_statistics(network, picture):
        raise MemoryError


def test_nothing_is_held_after_a_failure_inside():
    network = nn.Sequential(InstanceNorm(3), InstanceNorm(3))
    with pytest.raises(MemoryError):
        use_and_fail(network, random(1, 3, 6, 6))
    assert untouched(network)


def test_nothing_is_held_after_the_network_rejects_the_picture():
    network = nn.Sequential(InstanceNorm(3), nn.Conv2d(4, 3, 1), InstanceNorm(3))  # three channels where four are due
    with pytest.raises(RuntimeError, match="channels"):
        use_and_fail(network, random(1, 3, 6, 6))
    assert untouched(network)


def test_norms_by_name():
    assert isinstance(norm_layer("instance", 4), InstanceNorm)
    assert isinstance(norm_layer("batch", 4), nn.BatchNorm2d)
    assert isinstance(norm_layer("none", 4), nn.Identity)
    assert sum(p.numel() for p in norm_layer("instance", 4).parameters()) == 8  # a scale and a shift per channel
    assert sum(p.numel() for p in norm_layer("batch", 4).parameters()) == 8
    with pytest.raises(ValueError, match="unknown normalization 'layer'; use one of instance, batch, none"):
        norm_layer("layer", 4)


# --- dropout ---


def test_a_seed_means_the_same_zeros_in_every_layout():
    """They are those that `nn.Dropout` draws for a channels-last tensor."""
    x, drawn = random(2, 5, 3, 4) + 9, []
    for layer in (Dropout(0.3), nn.Dropout(0.3)):
        for layout in (torch.channels_last, torch.contiguous_format):
            with torch.random.fork_rng():
                torch.manual_seed(4)
                drawn.append(layer(x.contiguous(memory_format=layout)))
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[3])
    assert drawn[0].is_contiguous(memory_format=torch.channels_last)
    assert drawn[1].is_contiguous()
    assert torch.equal(Dropout(0.3).eval()(x), x)


# --- borders ---


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (9, 1), (3, 2)])
def test_a_constant_picture_stays_constant(kernel, stride):
    """There is no frame; with a border of zeros, some products would be missing there."""
    conv = ReflectedConv(3, 4, kernel, stride=stride)
    output = conv(torch.full((1, 3, 11, 12), 0.7)).detach()
    expected = (0.7 * conv.weight.sum((1, 2, 3)) + conv.bias).detach()
    torch.testing.assert_close(output, expected.view(1, 4, 1, 1).expand_as(output), rtol=1e-5, atol=1e-6)
    assert output.shape[2:] == (-(-11 // stride), -(-12 // stride))


def test_borders_are_reflected():
    """The kernel copies the left neighbor, so the first column gets the second, neither itself nor a zero."""
    conv = ReflectedConv(1, 1, 3)
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
    conv.weight.data[0, 0, 1, 0] = 1
    row = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert conv(row.expand(1, 1, 2, 4)).detach()[0, 0].tolist() == [[2, 1, 2, 3]] * 2


# --- the residual block ---


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_a_residual_block_whose_last_scale_is_zero_is_the_identity(norm):
    block, x = ResidualBlock(4, norm), random(2, 4, 6, 5)
    nn.init.zeros_(block.body[-1].weight)
    assert torch.equal(block(x), x)
    assert x.min() < 0  # a ReLU after the sum would have removed these


def test_a_residual_block_is_the_sum_of_its_input_and_its_body():
    block, x = ResidualBlock(4, "none"), random(2, 4, 6, 5)
    kept = x.clone()
    first, second = block.body[0], block.body[3]
    torch.testing.assert_close(block(x), x + second(first(x).relu()))
    assert torch.equal(x, kept)  # the ReLU works in place, but not on the input
    assert sum(p.numel() for p in block.parameters()) == 2 * (9 * 4 * 4 + 4)


# --- upsampling ---


@pytest.mark.parametrize("kind", ["resize", "transposed"])
@pytest.mark.parametrize("size", [(5, 7), (8, 2)])
def test_upsampling_doubles_the_size_with_nine_weights_per_pair_of_channels(kind, size):
    layer = upsampling(kind, 6, 4)
    assert layer(random(2, 6, *size)).shape == (2, 4, 2 * size[0], 2 * size[1])
    assert sum(p.numel() for p in layer.parameters()) == 9 * 6 * 4 + 4


def ones(kind):
    """How many products are summed in each pixel of the output."""
    layer = upsampling(kind, 1, 1)
    for parameter in layer.parameters():
        nn.init.constant_(parameter, 1.0 if parameter.ndim > 1 else 0.0)
    return layer(torch.ones(1, 1, 4, 4)).detach()[0, 0]


def test_the_checkerboard_by_hand():
    """Stride ½ and a 3×3 kernel: one product, then two, alternating in each direction."""
    inner = ones("transposed")[:6, :6]
    assert torch.equal(inner, torch.tensor([[1.0, 2.0], [2.0, 4.0]]).repeat(3, 3))
    assert torch.equal(ones("resize"), torch.full((8, 8), 9.0))


def test_resize_repeats_every_pixel():
    layer = upsampling("resize", 1, 1)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    layer[1].weight.data[0, 0, 1, 1] = 1
    enlarged = layer(torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2)).detach()[0, 0]
    assert enlarged.tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]


def test_an_unknown_upsampling_lists_those_that_exist():
    with pytest.raises(ValueError, match="unknown upsampling 'bilinear'; use one of resize, transposed"):
        upsampling("bilinear", 4, 4)


# --- context managers ---


def conv_norm(*, dropout=0.0):
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(dropout), nn.Conv2d(4, 2, 1))
    for parameter in network.parameters():
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(parameter.numel()))
    network(5 + random(4, 3, 8, 8, seed=9))  # so that there are running statistics
    return network


def state_of(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def modes(network):
    return [module.training for module in network.modules()]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def use_in(context, network, *arguments):
    with context(network, *arguments):
        raise KeyboardInterrupt


@pytest.mark.parametrize("training", [True, False])
def test_batch_statistics_are_those_of_training_and_are_not_stored(training):
    network, batch = conv_norm().train(training), random(2, 3, 8, 8)
    before, expected = state_of(network), copy.deepcopy(network).train()(batch)
    collected = copy.deepcopy(network).eval()(batch)
    with batch_statistics(network):
        for _ in range(3):
            torch.testing.assert_close(network(batch), expected)
    assert same(state_of(network), before)
    assert modes(network) == [training] * 5
    assert not torch.allclose(expected, collected, atol=0.1)
    torch.testing.assert_close(network.eval()(batch), collected)  # its running statistics again
    network.train()(batch)
    assert not same(state_of(network), before)  # and it updates them again


def test_batch_statistics_keep_dropout():
    network, picture = conv_norm(dropout=0.5).eval(), random(1, 3, 8, 8)
    with batch_statistics(network):
        assert not torch.equal(network(picture), network(picture))
    assert torch.equal(network(picture), network(picture))


def test_a_norm_without_running_statistics_stays_without():
    network = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False), nn.BatchNorm2d(3))
    with batch_statistics(network):
        network(random(2, 3, 4, 4))
    assert [norm.track_running_stats for norm in network] == [False, True]


@pytest.mark.parametrize("training", [True, False])
def test_a_failure_inside_leaves_the_network_as_it_was(training):
    network = conv_norm().train(training)
    before = state_of(network)
    with pytest.raises(KeyboardInterrupt):
        use_in(batch_statistics, network)
    assert modes(network) == [training] * 5
    assert network[1].track_running_stats
    assert same(state_of(network), before)


# --- initial weights ---


@pytest.mark.parametrize("std", [0.02, 0.3])
def test_initial_weights_are_gaussian_and_biases_zero(std):
    """The mean and the deviation of n draws have errors of about std / √n and std / √2n; five times that is allowed."""
    network = nn.Sequential(
        nn.Conv2d(3, 64, 4), nn.BatchNorm2d(64), nn.Sequential(nn.ConvTranspose2d(64, 32, 4)), InstanceNorm(4096)
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        initialize(network, std)
    for layer, mean in ((network[0], 0), (network[2][0], 0), (network[1], 1), (network[3], 1)):
        weight, n = layer.weight.detach(), layer.weight.numel()
        assert weight.mean().item() == pytest.approx(mean, abs=5 * std / n**0.5)
        assert weight.std().item() == pytest.approx(std, rel=5 / (2 * n) ** 0.5)
        assert layer.bias.abs().max() == 0
        assert layer.weight.requires_grad
    assert not torch.equal(network[0].weight, network[2][0].weight[:, :3])


def test_initialize_accepts_layers_without_biases_or_weights():
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, affine=False), nn.InstanceNorm2d(4), nn.ReLU(), nn.Dropout()
    )
    initialize(network, 0.02)
    assert network[0].weight.abs().max() < 0.2
    assert network[1].running_var.tolist() == [1] * 4


# --- receptive fields ---


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([nn.Conv2d(1, 1, 1)], (1, 1)),
        ([nn.Conv2d(1, 1, 3) for _ in range(4)], (9, 1)),  # each adds two
        ([nn.Conv2d(1, 1, 3, stride=2) for _ in range(3)], (15, 8)),  # 3, then (3 − 1) · 2 + 3 = 7, then 15
        ([nn.Conv2d(1, 1, 3, dilation=4)], (9, 1)),
        ([nn.Conv2d(1, 1, 3, stride=2), nn.MaxPool2d(2), nn.Conv2d(1, 1, 3, dilation=2)], (21, 4)),
        ([nn.Conv2d(1, 1, (5, 5), stride=(2, 2)), nn.BatchNorm2d(1), nn.ReLU(), nn.MaxPool2d(3)], (9, 6)),
        ([nn.ReLU()], (1, 1)),
    ],
)
def test_receptive_fields_by_hand(layers, expected):
    assert receptive_field(nn.Sequential(*layers)) == expected


def test_a_receptive_field_agrees_with_the_gradient():
    network = nn.Sequential(
        nn.Conv2d(1, 2, 5, stride=3), nn.Sequential(nn.LeakyReLU(), nn.Conv2d(2, 2, 3, dilation=2)), nn.Conv2d(2, 1, 2)
    )
    firsts, sides = [], []
    for k in (2, 3):
        row = random(1, 1, 50, 50).requires_grad_()
        network(row)[0, 0, k, k].backward()
        seen = row.grad[0, 0].abs().sum(1).nonzero().flatten()
        firsts.append(seen[0].item())
        sides.append(seen[-1].item() - seen[0].item() + 1)
    field, stride = receptive_field(network)
    assert sides == [field, field]
    assert firsts[1] - firsts[0] == stride


def test_pooling_counts_and_a_module_may_occur_twice():
    assert receptive_field(nn.Sequential(nn.Conv2d(1, 1, 5, stride=2), nn.AvgPool2d(3))) == (9, 6)
    twice = nn.Conv2d(1, 1, 3)
    assert receptive_field(nn.Sequential(twice, nn.ReLU(), twice)) == (5, 1)
