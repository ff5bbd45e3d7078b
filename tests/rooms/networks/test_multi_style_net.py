"""The network of Dumoulin et al. 2017: counts, conditional normalization, blends, copies."""

import pytest
import torch
import torch.nn.functional as F

from course_lib.networks.multi_style_net import ConditionalInstanceNorm, MultiStyleNet, OneStyleNet
from course_lib.networks.tiles import by_tiles
from course_lib.networks.transformer_net import TransformerNet

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def small(num_styles=3, **settings):
    """A narrow network whose rows differ."""
    torch.manual_seed(0)
    network = MultiStyleNet(num_styles, **{"width": 0.2, "num_blocks": 1, **settings}).eval()
    for name, value in network.named_parameters():
        if name in network.names_of_rows():
            value.data += 0.3 * torch.randn_like(value)
    return network


@pytest.mark.parametrize("num_styles", [1, 2, 32])
def test_the_numbers_of_the_paper(num_styles):
    """Filters: 9·9·3·32 twice, 9·32·64 and 9·64·128 on both ways, 10 of 9·128²; γ and β after each convolution."""
    filters = 2 * 81 * 3 * 32 + 2 * 9 * (32 * 64 + 64 * 128) + 10 * 9 * 128 * 128
    of_a_style = 2 * (32 + 64 + 128 + 10 * 128 + 64 + 32 + 3)
    assert (filters, of_a_style) == (1_674_432, 3_206)
    assert count(MultiStyleNet(num_styles)) == filters + num_styles * of_a_style
    assert count(OneStyleNet()) == filters + of_a_style


def test_the_first_filters_are_drawn_as_the_paper_says():
    filters = [value for name, value in MultiStyleNet(2).named_parameters() if value.ndim == 4]
    assert all(abs(value.mean()) < 1e-3 and abs(value.std() - 0.01) < 1e-3 for value in filters)


# --- the normalization
@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_picture_is_normalized_and_then_scaled_by_its_own_style(layout):
    norm = ConditionalInstanceNorm(2, 2)
    norm.weight.data, norm.bias.data = torch.tensor([[1.0, 2], [3, 4]]), torch.tensor([[0.0, 10], [20, 30]])
    x = torch.rand(3, 2, 5, 6).contiguous(memory_format=layout)
    y = norm(x, torch.tensor([[1.0, 0], [0, 1], [0.5, 0.5]]))
    torch.testing.assert_close(y.mean((2, 3)), torch.tensor([[0.0, 10], [20, 30], [10, 20]]))
    deviation = y.std((2, 3), correction=0)  # of x, 0.3: ε is a ten-thousandth of its square
    torch.testing.assert_close(deviation, torch.tensor([[1.0, 2], [3, 4], [2, 3]]), rtol=1e-3, atol=0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_gradients_of_the_normalization(layout):
    norm = ConditionalInstanceNorm(3, 2).double()
    x = torch.rand(2, 3, 4, 5, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    weights = torch.rand(2, 2, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(lambda *t: norm(*t[:2]), (x, weights, norm.weight, norm.bias))


def test_in_bfloat16_the_rows_stay_in_float32():
    """1 + 1/1000 is 1 in bfloat16, so a scale that was rounded would make both styles the same."""
    norm = ConditionalInstanceNorm(1, 2)
    norm.bias.data = torch.tensor([[0.0], [100.0]])
    weights = torch.tensor([[0.999, 0.001]])
    with torch.autocast("cpu", torch.bfloat16):
        y = norm(torch.rand(1, 1, 8, 8), weights)
    assert y.mean().item() == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_network_in_bfloat16_computes(layout):
    network, x = small(), torch.rand(2, 3, 24, 20).contiguous(memory_format=layout)
    expected = network(x, torch.eye(3)[:2])
    given = network.bfloat16()(x, torch.eye(3)[:2])
    assert given.dtype == torch.float32
    assert (given - expected).abs().mean() < 0.02


# --- the network
def test_a_batch_of_styles_gives_what_each_gives_alone():
    network, x = small(), torch.rand(3, 3, 24, 20)
    together = network(x, torch.eye(3))
    for k in range(3):
        torch.testing.assert_close(together[k : k + 1], network(x[k : k + 1], torch.eye(3)[k : k + 1]))
        torch.testing.assert_close(together[k : k + 1], network.blended(torch.eye(3)[k])(x[k : k + 1]))
    assert (together[0] - network(x[:1], torch.eye(3)[1:2])).abs().max() > 0.01


def test_a_blend_is_linear_in_the_scales_and_shifts():
    network, weights = small(), torch.tensor([0.2, 0.3, 0.5])
    blend = network.blended(weights).state_dict()
    for name, rows in network.state_dict().items():
        expected = weights @ rows if name in network.names_of_rows() else rows
        torch.testing.assert_close(blend[name], expected)
    x = torch.rand(1, 3, 19, 22)
    torch.testing.assert_close(network.blended(weights)(x), network(x, weights[None]))


def test_copies_draw_no_random_numbers_and_share_no_memory():
    network, one = small(2), small(1)
    before = torch.get_rng_state()
    copies = network.blended(torch.tensor([1.0, 0])), network.with_row(one)
    assert torch.equal(torch.get_rng_state(), before)
    for copy in copies:
        for value in copy.parameters():
            value.data.fill_(torch.nan)
    assert all(value.isfinite().all() for given in (network, one) for value in given.parameters())


def test_the_gradient_of_a_style_touches_its_rows_alone():
    network = small()
    network(torch.rand(2, 3, 16, 16), torch.eye(3)[[1, 1]]).square().sum().backward()
    rows = network.names_of_rows()
    assert len(rows) == 2 * 8
    for name, value in network.named_parameters():
        if name in rows:
            assert (value.grad[[0, 2]] == 0).all()
            assert (value.grad[1] != 0).any()


@pytest.mark.parametrize("size", [(8, 8), (9, 30), (41, 23)])
def test_any_size_and_any_tile(size):
    network, x = small().blended(torch.tensor([0.5, 0.5, 0])), torch.rand(1, 3, *size)
    with torch.no_grad():
        whole = network(x)
    assert whole.shape == x.shape
    assert whole.min() >= 0
    assert whole.max() <= 1
    torch.testing.assert_close(by_tiles(network, x, tile=12), whole, rtol=0, atol=1e-5)


def test_the_width_of_a_blend_is_that_of_the_network():
    """A factor of 0.1 gives 3, 6 and 13 channels, which no other rule does."""
    network = MultiStyleNet(2, width=0.1, num_blocks=0)
    assert [value.shape[0] for name, value in network.named_parameters() if value.ndim == 4][:3] == [3, 6, 13]
    network.blended(torch.tensor([0.5, 0.5]))


# --- starting from another network
def test_the_convolutions_of_a_network_of_one_painting_can_be_taken():
    """Up to its last convolution, that network then computes the same: offsets vanish with the mean."""
    torch.manual_seed(1)
    painter = TransformerNet(width=0.2, num_blocks=1).eval()
    for norm in (module for module in painter.modules() if isinstance(module, torch.nn.InstanceNorm2d)):
        norm.weight.data.uniform_(0.5, 2)
        norm.bias.data.uniform_(-1, 1)
    network, x = MultiStyleNet(2, width=0.2, num_blocks=1).eval(), torch.rand(1, 3, 16, 16)
    network.take(painter)
    seen = {}
    painter.paint.register_forward_hook(lambda module, inputs, output: seen.update(painter=output))
    blend = network.blended(torch.tensor([0.5, 0.5]))
    blend.up[6].register_forward_hook(lambda module, inputs, output: seen.update(blend=output))
    painter(x)
    blend(x)
    expected = F.instance_norm(seen["painter"])
    torch.testing.assert_close(F.instance_norm(seen["blend"]), expected, rtol=0, atol=1e-3)


def test_a_style_starts_from_the_mean_of_the_rows_or_from_its_own():
    given, network = small(3), small(2)
    network.take(given)
    torch.testing.assert_close(network.down[1].weight, given.down[1].weight.mean(0).expand(2, -1))
    network.take(given, {1: 2})
    expected = torch.stack((given.down[1].weight.mean(0), given.down[1].weight[2]))
    torch.testing.assert_close(network.down[1].weight, expected)
    torch.testing.assert_close(network.down[0].weight, given.down[0].weight, rtol=0, atol=0)


@pytest.mark.parametrize("other", [small(width=0.1), TransformerNet(width=0.1), small(num_blocks=0)])
def test_a_network_of_another_shape_is_refused(other):
    with pytest.raises(ValueError, match="the network to start from has no"):
        small().take(other)


def test_a_row_is_added_and_the_others_stay():
    network, one = small(2), small(1)
    joined = network.with_row(one)
    for name, value in joined.state_dict().items():
        own = network.state_dict()[name]
        expected = torch.cat((own, one.state_dict()[name])) if name in network.names_of_rows() else own
        torch.testing.assert_close(value, expected, rtol=0, atol=0)


# --- bad input
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (torch.ones(1, 2), r"expected style weights \(N, 3\), floats, got torch.float32 of shape \(1, 2\)"),
        (torch.ones(3), r"of shape \(3,\)"),
        ([1.0, 0, 0], "got list"),
        (torch.eye(3)[:2], "one row of style weights, or one for each of the 4 pictures, got 2"),
    ],
)
def test_weights_of_another_shape_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        small()(torch.rand(4, 3, 8, 8), weights)


@pytest.mark.parametrize("weights", [[1.5, -0.5, 0], [0.5, 0, 0], [1.0, 1, 1], [float("nan"), 0.5, 0.5]])
def test_a_blend_is_convex(weights):
    with pytest.raises(ValueError, match="at least 0 and sum to 1"):
        small().blended(torch.tensor(weights))


def test_the_weights_of_a_blend_are_a_tensor():
    with pytest.raises(ValueError, match=r"expected style weights \(N, 3\), floats, got list"):
        small().blended([0.5, 0.5, 0])


@pytest.mark.parametrize("number", [0, 1.5, "two"])
def test_a_number_of_styles_is_checked(number):
    with pytest.raises(ValueError, match="num_styles"):
        MultiStyleNet(number)
