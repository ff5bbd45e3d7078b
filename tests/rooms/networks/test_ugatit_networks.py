"""U-GAT-IT's parts: AdaLIN from its equation, attention as the classifier's weights say, counts of the networks."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_lib.image_checks import ImageError
from course_lib.networks.adalin import LIN, NORMS, AdaLIN, adalin, clip_rhos, rhos
from course_lib.networks.class_attention import ClassAttention, Only
from course_lib.networks.layers import receptive_field
from course_lib.networks.ugatit import AttentionDiscriminator, AttentionGenerator, smallest_picture


def rand(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


# --- AdaLIN
def by_the_equation(x, rho, gamma, beta, eps=1e-5):
    own = (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), keepdim=True, correction=0) + eps).sqrt()
    common = (x - x.mean((1, 2, 3), keepdim=True)) / (x.var((1, 2, 3), keepdim=True, correction=0) + eps).sqrt()
    rho = rho[None, :, None, None]
    return (rho * own + (1 - rho) * common) * gamma[..., None, None] + beta[..., None, None]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_adalin_is_equation_1(layout):
    x = (2 + 3 * randn(2, 5, 6, 7)).contiguous(memory_format=layout)
    rho, gamma, beta = rand(5), randn(2, 5, seed=1), randn(2, 5, seed=2)
    torch.testing.assert_close(adalin(x, rho, gamma, beta), by_the_equation(x, rho, gamma, beta))
    row = gamma[0], beta[0]
    torch.testing.assert_close(adalin(x, rho, *row), by_the_equation(x, rho, *(each[None] for each in row)))


def test_at_the_ends_it_is_instance_and_layer_normalization():
    x, one, zero = 5 * randn(2, 4, 6, 6) + 1, torch.ones(4), torch.zeros(4)
    torch.testing.assert_close(adalin(x, one, one, zero), F.instance_norm(x))
    torch.testing.assert_close(adalin(x, zero, one, zero), F.layer_norm(x, x.shape[1:]))


def test_channels_keep_their_differences_only_without_instance_normalization():
    """A channel ten times as strong as the others: equal to them at ρ = 1, as strong as it was at ρ = 0."""
    x, one, zero = randn(1, 4, 16, 16), torch.ones(4), torch.zeros(4)
    x[:, 0] *= 10
    before, layer, instance = (
        y.std((2, 3))[0] for y in (x, adalin(x, zero, one, zero), adalin(x, one, one, zero))
    )  # fmt: skip
    torch.testing.assert_close(instance / instance[1], one)
    torch.testing.assert_close(layer / layer[1], before / before[1])
    assert layer[0] > 8 * layer[1:].max()


def test_its_gradients_are_those_of_the_equation():
    inputs = [
        randn(2, 3, 4, 5).double(), rand(3).double(), randn(2, 3, seed=1).double(), randn(2, 3, seed=2).double()
    ]  # fmt: skip
    for each in inputs:
        each.requires_grad_()
    weight = randn(2, 3, 4, 5, seed=3).double()
    ours, theirs = (torch.autograd.grad((f(*inputs) * weight).sum(), inputs) for f in (adalin, by_the_equation))
    torch.testing.assert_close(ours, theirs)


def test_a_large_mean_in_sixteen_bits_does_not_drown_the_picture():
    """The statistics are float32, and so is the only subtraction."""
    x, one, zero = (100 + randn(1, 4, 16, 16)).bfloat16(), torch.ones(4), torch.zeros(4)
    made = adalin(x, one, one, zero)
    assert made.dtype == torch.bfloat16
    torch.testing.assert_close(made.float(), F.instance_norm(x.float()), rtol=0.01, atol=0.01)


def test_a_constant_channel_becomes_its_shift():
    one, zero = torch.ones(2), torch.zeros(2)
    made = adalin(torch.full((1, 2, 3, 3), 7.0), one, one, torch.tensor([0.5, -0.5]))
    torch.testing.assert_close(made.mean((2, 3)), torch.tensor([[0.5, -0.5]]), rtol=0, atol=1e-4)
    assert adalin(torch.full((1, 2, 1, 1), 7.0), 0 * one, one, zero).isfinite().all()


def test_rho_begins_as_in_the_released_code_and_is_held_where_asked():
    assert AdaLIN(3).rho.tolist() == pytest.approx([0.9] * 3)
    assert LIN(3).rho.tolist() == [0.0] * 3
    assert [*LIN(3).gamma.tolist(), *LIN(3).beta.tolist()] == [1.0] * 3 + [0.0] * 3
    for kind in (AdaLIN, LIN):
        assert kind(2, norm="instance").rho.tolist() == [1.0, 1.0]
        assert kind(2, norm="layer").rho.tolist() == [0.0, 0.0]
        assert "rho" not in dict(kind(2, norm="instance").named_parameters())
        assert "rho" in kind(2, norm="instance").state_dict()
    with pytest.raises(ValueError, match="norm must be one of 'adalin', 'instance', 'layer'"):
        AdaLIN(3, norm="batch")


def test_clipping_moves_every_rho_into_its_range_and_nothing_else():
    network = nn.ModuleDict({"a": AdaLIN(3), "b": nn.Sequential(nn.Conv2d(3, 3, 1), LIN(3))})
    with torch.no_grad():
        network["a"].rho.copy_(torch.tensor([-0.5, 0.25, 1.5]))
        network["b"][1].gamma.fill_(-3.0)
    clip_rhos(network)
    assert network["a"].rho.tolist() == [0.0, 0.25, 1.0]
    assert network["b"][1].gamma.tolist() == [-3.0] * 3
    assert [*rhos(network)] == ["a", "b.1"]
    assert network["a"].rho.requires_grad


# --- class attention
def test_attention_weights_each_map_by_its_classifier_and_merges_them():
    """The paper's two weighted copies and one convolution over both equal one convolution."""
    torch.manual_seed(0)
    attention, x = ClassAttention(5, nn.LeakyReLU(0.2)), randn(2, 5, 4, 6)
    output, logits, heat = attention(x)
    by_mean, by_maximum = attention.means.weight, attention.maxima.weight
    copies = torch.cat((x * by_mean[..., None, None], x * by_maximum[..., None, None]), 1)
    expected = F.leaky_relu(attention.merge(copies), 0.2)
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(heat, output.sum(1, keepdim=True))
    torch.testing.assert_close(logits[:, 0], x.mean((2, 3)) @ by_mean[0])
    torch.testing.assert_close(logits[:, 1], F.adaptive_max_pool2d(x, 1).flatten(1) @ by_maximum[0])


def test_the_mean_of_the_activation_map_is_the_logit():
    """Zhou et al. 2016: the sum of the weighted maps, averaged over the places, is what the classifier says."""
    torch.manual_seed(1)
    attention, x = ClassAttention(4, nn.Identity()), randn(1, 4, 5, 5)
    activation = (x * attention.means.weight[..., None, None]).sum(1)
    torch.testing.assert_close(activation.mean(), attention(x).logits[0, 0])


def test_a_learned_map_is_hot_where_the_domains_differ():
    """A bright square in one corner is the only difference; the classifier finds it."""
    torch.manual_seed(0)
    attention = ClassAttention(8, nn.ReLU())
    nn.init.constant_(attention.merge.weight, 0.1)
    x = 0.1 * rand(16, 8, 8, 8)
    x[:8, 2, :3, :3] += 1.0
    labels, optimizer = torch.cat((torch.ones(8), torch.zeros(8))), torch.optim.Adam(attention.parameters(), 0.3)
    for _ in range(40):
        loss = F.binary_cross_entropy_with_logits(attention(x).logits, labels[:, None].expand(-1, 2))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    heat = attention(x[:1]).heat[0, 0]
    assert loss < 0.3
    assert heat[:3, :3].mean() > heat[3:, 3:].mean() + 0.05


def test_one_part_of_a_network_with_attention():
    attention, x = ClassAttention(3, nn.ReLU()), rand(1, 3, 4, 4)
    whole = attention(x)
    for part in whole._fields:
        torch.testing.assert_close(Only(attention, part)(x), getattr(whole, part))
    with pytest.raises(ValueError, match="part must be one of 'output', 'logits', 'heat'"):
        Only(attention, "map")


# --- the generator
def test_the_generators_have_the_papers_counts():
    with torch.device("meta"):
        full, light = AttentionGenerator(), AttentionGenerator(light=True)
    assert (count(full), count(light)) == (278_959_808, 10_589_888)
    assert count(full.style) == 268_500_992  # 96 % of the generator: from every position to γ and β
    assert count(full) - count(light) == (64 * 64 - 1) * 256 * 256
    assert not any(name.endswith("bias") for name, _ in light.named_parameters() if "merge" not in name)


def test_every_rho_of_a_generator_begins_where_it_should():
    found = rhos(AttentionGenerator(2, width=0.1, light=True))
    assert [*found] == ["blocks.0.norms.0", "blocks.0.norms.1", "blocks.1.norms.0", "blocks.1.norms.1", "up.1", "up.4"]
    assert [round(rho.mean().item(), 4) for rho in found.values()] == [0.9] * 4 + [0.0] * 2


@pytest.mark.parametrize("size", [(8, 8), (9, 31), (40, 12)])
def test_a_light_generator_takes_any_size(size):
    output, logits, heat = AttentionGenerator(1, width=0.1, light=True)(rand(2, 3, *size))
    assert output.shape == (2, 3, *size)
    assert logits.shape == (2, 2)
    assert heat.shape == (2, 1, -(-size[0] // 4), -(-size[1] // 4))
    assert output.min() >= 0
    assert output.max() <= 1


def test_a_full_generator_takes_its_own_size_and_says_so():
    generator = AttentionGenerator(1, width=0.05, image_size=16)
    assert generator(rand(1, 3, 16, 16)).output.shape == (1, 3, 16, 16)
    with pytest.raises(ImageError, match=r"16 × 16 px only, got 16 × 20; resize them, or train one with light=True"):
        generator(rand(1, 3, 16, 20))
    with pytest.raises(ValueError, match="image_size must be a multiple of 4"):
        AttentionGenerator(image_size=30)


def test_gamma_and_beta_come_from_the_picture_itself():
    """So the same feature maps are normalized to another style in another picture, and no picture looks at others."""
    torch.manual_seed(0)
    generator, x = AttentionGenerator(1, width=0.1, light=True), rand(2, 3, 16, 16)
    seen = []
    generator.gamma.register_forward_hook(lambda module, given, gamma: seen.append(gamma))
    both = generator(x).output
    assert not torch.allclose(seen[0][0], seen[0][1])
    torch.testing.assert_close(generator(x[1:]).output, both[1:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("alone", ["beta", "gamma"])
def test_a_block_adds_to_its_input(alone):
    """With γ = 0 it adds β, the same everywhere; with β = 0 it adds a picture without a mean, at ρ = 1."""
    torch.manual_seed(0)
    generator, seen = AttentionGenerator(1, width=0.1, light=True, norm="instance"), []
    nn.init.zeros_({"beta": generator.gamma, "gamma": generator.beta}[alone].weight)
    generator.blocks[0].register_forward_hook(lambda module, given, made: seen.append((made - given[0], *given[1:])))
    generator(rand(1, 3, 32, 32))
    ((added, gamma, beta),) = seen
    if alone == "beta":
        torch.testing.assert_close(added, beta[..., None, None].expand_as(added), rtol=1e-4, atol=1e-6)
        assert beta.any()
    else:
        torch.testing.assert_close(added.mean((2, 3)), torch.zeros_like(gamma), rtol=0, atol=1e-6)
        strength = added.std((2, 3), correction=0) / gamma.abs()  # 1, or less where a variance is as small as ε
        assert strength.min() > 0.2
        assert strength.max() < 1.001


def test_both_ways_to_gamma_agree_on_flat_maps():
    """Where every map is constant, n positions with 1/n of the light generator's weights do the same."""
    torch.manual_seed(0)
    light, full = AttentionGenerator(0, width=0.1, light=True), AttentionGenerator(0, width=0.1, image_size=16)
    with torch.no_grad():
        full.style[0].weight.copy_((light.style[0].weight / 16).repeat_interleave(16, 1))
    features = rand(1, 26, 1, 1).expand(-1, -1, 4, 4)
    torch.testing.assert_close(full.style[0](features.flatten(1)), light.style[0](features.mean((2, 3))))


@pytest.mark.parametrize("norm", NORMS)
def test_gradients_reach_every_parameter_of_a_generator(norm):
    torch.manual_seed(0)
    generator = AttentionGenerator(1, width=0.1, light=True, norm=norm)
    output, logits, _ = generator(rand(1, 3, 16, 16))
    (output.square().sum() + logits.square().sum()).backward()
    still = [name for name, each in generator.named_parameters() if each.grad is None or not each.grad.any()]
    assert not still


# --- the discriminator
def test_the_discriminators_have_the_papers_counts():
    with torch.device("meta"):
        far, near = AttentionDiscriminator(286), AttentionDiscriminator(70)
    assert (count(far), count(near)) == (53_130_176, 3_290_560)
    generators = {True: 10_589_888, False: 278_959_808}
    totals = {light: 2 * (each + count(far) + count(near)) for light, each in generators.items()}
    assert totals == {False: 670_761_088, True: 134_021_248}
    assert len(far.layers) // 2 + 1 == 7
    assert len(near.layers) // 2 + 1 == 5
    assert [layer.out_channels for layer in far.layers[::2]] == [64, 128, 256, 512, 1024, 2048]


def test_every_layer_is_normalized_by_its_largest_singular_value():
    torch.manual_seed(0)
    judge = AttentionDiscriminator(16, width=0.25, init_std=0.02)
    normalized = [*judge.layers[::2], judge.attention.means, judge.attention.maxima, judge.last]
    for _ in range(30):  # one step of the power iteration at each
        judge(rand(1, 3, 32, 32))
    for layer in normalized:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)
    assert not hasattr(judge.attention.merge, "parametrizations")
    assert judge.attention.merge.weight.std().item() == pytest.approx(0.02, rel=0.2)


def test_normalization_begins_with_the_weights_that_were_drawn():
    """Its vectors are those of the weights in use: from the first step on, no layer is stronger than it should be."""
    torch.manual_seed(0)
    judge = AttentionDiscriminator(70, width=0.25)
    for layer in judge.layers[::2]:
        assert layer.parametrizations.weight.original.std().item() == pytest.approx(0.02, rel=0.2)
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.1)
        assert layer.bias.count_nonzero() == 0


@pytest.mark.parametrize("patch", [16, 34, 70])
def test_the_smallest_picture_has_one_patch_and_smaller_ones_are_refused(patch):
    judge, least = AttentionDiscriminator(patch, width=0.05), smallest_picture(patch)
    assert judge.patch == patch
    output, logits, heat = judge(rand(2, 3, least, least))
    assert output.shape == (2, 1, 1, 1)
    assert logits.shape == (2, 2)
    assert heat.shape == (2, 1, 2, 2)
    with pytest.raises(ValueError, match=f"need pictures of at least {least} px"):
        judge(rand(1, 3, least - 1, least))


def test_the_global_discriminator_sees_more_than_the_whole_picture():
    with torch.device("meta"):
        judge = AttentionDiscriminator()
        far = AttentionDiscriminator(286)
    assert receptive_field(nn.Sequential(far.layers, far.last)) == (286, 32)
    assert (judge.patch, judge.stride) == (70, 8)
    with pytest.raises(ValueError, match="patch must be one of 16, 34, 70, 142, 286"):
        AttentionDiscriminator(1)
