"""AnimeGAN's networks: counts of the three papers, what each normalization sees, spectral normalization, sizes."""

import pytest
import torch
from torch import nn

from course_lib.images import ImageError
from course_lib.networks.animegan import VERSIONS, AnimeDiscriminator, AnimeGenerator, InvertedBlock


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def pictures(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def small(version, seed=0, **settings):
    torch.manual_seed(seed)
    return AnimeGenerator(version, width=0.1, **settings)


# --- counts
def test_the_generators_have_the_papers_counts():
    with torch.device("meta"):
        counts = {version: parameters(AnimeGenerator(version)) for version in VERSIONS}
    assert counts == {"v1": 3_956_096, "v2": 2_143_552, "cartoongan": 11_120_195}
    assert round(4 * counts["v2"] / 2**20, 2) == 8.18  # MiB; the release's file has 8.17


def test_the_discriminators_differ_in_biases_and_norms_only():
    filters = 9 * (3 * 32 + 32 * 64 + 64 * 128 + 128 * 128 + 128 * 256 + 256 * 256 + 256)
    assert parameters(AnimeDiscriminator("v1")) == parameters(AnimeDiscriminator("v2")) == filters + 2 * 640
    assert parameters(AnimeDiscriminator("cartoongan")) == filters + 32 + 64 + 128 + 128 + 256 + 256 + 1 == 1_128_385


def test_a_separable_convolution_and_an_inverted_block_cost_what_the_table_says():
    block = InvertedBlock("v1", 16, 16)
    convolutions = sum(m.weight.numel() for m in block.modules() if isinstance(m, nn.Conv2d))
    assert convolutions == 2 * 16 * (16 + 9 + 16)


@pytest.mark.parametrize(("version", "sums"), [("v1", [True] * 8), ("v2", [False, True, True, True])])
def test_the_first_block_of_version_2_widens_and_so_has_no_sum(version, sums):
    with torch.device("meta"):
        blocks = [m for m in AnimeGenerator(version).modules() if isinstance(m, InvertedBlock)]
    assert [block.residual for block in blocks] == sums


def test_a_block_adds_its_input():
    block, x = InvertedBlock("v2", 4, 4), torch.randn(1, 4, 6, 6)
    torch.testing.assert_close(block(x), x + block.body(x))
    nn.init.zeros_(block.body[-1].weight)  # the last normalization scales all to its bias
    torch.testing.assert_close(block(x), x)


# --- sizes and ranges
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", [(8, 8), (9, 14), (32, 30)])
def test_any_size_comes_back(version, size):
    drawn = small(version)(pictures(2, 3, *size))
    assert drawn.shape == (2, 3, *size)
    assert 0 <= drawn.min() <= drawn.max() <= 1


@pytest.mark.parametrize("version", VERSIONS)
def test_pictures_do_not_influence_each_other(version):
    network, both = small(version).double(), pictures(2, 3, 16, 16).double()
    torch.testing.assert_close(network(both)[1:], network(both[1:]))


@pytest.mark.parametrize("network", [AnimeGenerator("v2", width=0.1), AnimeDiscriminator("v2", width=0.1)])
def test_too_small_and_wrong_inputs_get_one_sentence(network):
    with pytest.raises(ImageError, match="at least 8 px"):
        network(torch.rand(1, 3, 7, 12))
    with pytest.raises(ImageError, match=r"expected \(N, 3, H, W\)"):
        network(torch.rand(1, 1, 16, 16))


def test_unknown_settings_are_refused():
    for network in (AnimeGenerator, AnimeDiscriminator):
        with pytest.raises(ValueError, match="version must be one of"):
            network("v3")
        with pytest.raises(ValueError, match="width"):
            network("v1", width=0)
    with pytest.raises(ValueError, match="num_blocks"):
        AnimeGenerator("v1", num_blocks=-1)


# --- what the normalizations see
def first_norm(version):
    return next(m for m in small(version).modules() if isinstance(m, nn.GroupNorm | nn.InstanceNorm2d))


def test_version_2_normalizes_a_whole_picture_and_the_others_each_channel():
    """So the ratio of two channels survives in version 2 only."""
    for version, kept in (("v1", False), ("v2", True), ("cartoongan", False)):
        norm = first_norm(version)
        channels = norm.num_channels if version == "v2" else norm.num_features
        x = torch.randn(1, channels, 8, 8)
        x[:, 0] *= 10
        y = norm(x)
        ratio = (y[:, 0].std() / y[:, 1].std()).item()
        assert (ratio > 5) is kept, version
        assert (norm.weight is None) is (version == "cartoongan")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_filters_are_divided_by_their_largest_singular_value(version):
    torch.manual_seed(0)
    network, x = AnimeDiscriminator(version, width=0.25), pictures(1, 3, 16, 16)
    for _ in range(60):  # one power iteration a pass
        network(x)
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(convs) == 7
    for conv in convs:
        largest = torch.linalg.matrix_norm(conv.weight.flatten(1), 2)
        torch.testing.assert_close(largest, torch.ones(()), atol=0.02, rtol=0)


def test_the_scale_of_a_filter_bank_does_not_matter_to_the_discriminator():
    torch.manual_seed(0)
    network, x = AnimeDiscriminator("v1", width=0.25).eval(), pictures(1, 3, 16, 16)
    before = network(x)
    with torch.no_grad():
        for m in network.modules():
            if isinstance(m, nn.Conv2d):
                m.parametrizations.weight.original.mul_(7)
    torch.testing.assert_close(network(x), before, rtol=1e-4, atol=1e-5)


def test_cartoongans_discriminator_has_no_spectral_normalization():
    assert not any(hasattr(m, "parametrizations") for m in AnimeDiscriminator("cartoongan", width=0.1).modules())


def test_logits_are_a_quarter_of_the_size():
    assert AnimeDiscriminator("v1", width=0.1)(torch.rand(1, 3, 18, 33)).shape == (1, 1, 5, 9)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_weight_learns(version):
    for network in (small(version), AnimeDiscriminator(version, width=0.1)):
        network(pictures(2, 3, 16, 16)).square().sum().backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name


def test_a_convolution_of_stride_2_begins_at_the_first_pixel():
    """As in the release: its border is on the right and below, so the filter's first weight meets pixels 0, 2, 4, …"""
    halved = next(m for m in small("v2").layers if hasattr(m, "conv"))
    with torch.no_grad():
        halved.conv.weight.zero_()
        halved.conv.weight[:, :, 0, 0] = torch.eye(*halved.conv.weight.shape[:2])
    x = torch.randn(1, halved.conv.in_channels, 8, 10)
    common = min(halved.conv.weight.shape[:2])
    torch.testing.assert_close(halved(x)[:, :common], x[:, :common, ::2, ::2])
