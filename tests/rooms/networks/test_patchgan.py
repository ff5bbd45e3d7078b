"""PatchGAN: receptive field by arithmetic and by gradient, and parameter counts by hand."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from course_lib.networks.layers import InstanceNorm, receptive_field
from course_lib.networks.patchgan import PATCHES, PatchGAN

STRIDES = {1: 1, 16: 2, 34: 4, 70: 8, 142: 16, 286: 32}


def seeded(patch=70, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PatchGAN(patch, **{"width": 0.05, **options})


def pictures(height, width, count=1, seed=0):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def of_kind(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


def seen_by(network, side, row, column):
    """The pixels on which one logit depends: (rows, columns), each as the first and the last."""
    picture = pictures(side, side).requires_grad_()
    network(picture)[0, 0, row, column].backward()
    seen = picture.grad.abs().sum((0, 1)) > 0
    rows, columns = (seen.any(dim).nonzero().flatten().tolist() for dim in (1, 0))
    assert seen[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()  # a full window
    return (rows[0], rows[-1]), (columns[0], columns[-1])


# --- the paper's layers ---


@pytest.mark.parametrize(
    ("patch", "kernel", "strides", "channels"),
    [
        (1, 1, [1, 1, 1], [64, 128]),
        (16, 4, [2, 1, 1], [64, 128]),
        (34, 4, [2, 2, 1, 1], [64, 128, 256]),
        (70, 4, [2, 2, 2, 1, 1], [64, 128, 256, 512]),
        (142, 4, [2, 2, 2, 2, 1, 1], [64, 128, 256, 512, 512]),
        (286, 4, [2, 2, 2, 2, 2, 1, 1], [64, 128, 256, 512, 512, 512]),
    ],
)
def test_every_layer_is_the_papers(patch, kernel, strides, channels):
    """Appendix 6.1.2. The first and last layers have biases; the norms between have a scale and a shift per channel."""
    network = PatchGAN(patch)
    convs = of_kind(network, nn.Conv2d)
    assert [(c.kernel_size[0], c.stride[0], c.out_channels) for c in convs] == [
        (kernel, stride, out) for stride, out in zip(strides, [*channels, 1], strict=True)
    ]
    weights = sum(a * b for a, b in pairwise([6, *channels, 1]))
    assert count(network) == kernel**2 * weights + channels[0] + 1 + 2 * sum(channels[1:])
    assert [type(layer) for layer in network.layers][:5] == [
        nn.Conv2d, nn.LeakyReLU, nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU,
    ]  # fmt: skip
    assert {leak.negative_slope for leak in of_kind(network, nn.LeakyReLU)} == {0.2}
    assert type(network.layers[-1]) is nn.Conv2d  # logits: no normalization and no sigmoid
    if patch == 70:
        assert count(network) == 2_768_705


def test_pictures_width_and_norm():
    assert count(PatchGAN()) - count(PatchGAN(pictures=1)) == 16 * 3 * 64
    assert [c.out_channels for c in of_kind(PatchGAN(width=0.25), nn.Conv2d)] == [16, 32, 64, 128, 1]
    assert [c.out_channels for c in of_kind(PatchGAN(width=0.001), nn.Conv2d)] == [1] * 5
    for norm, kind in (("batch", nn.BatchNorm2d), ("instance", InstanceNorm), ("none", nn.Identity)):
        assert len(of_kind(PatchGAN(width=0.1, norm=norm), kind)) == 3


# --- receptive field ---


@pytest.mark.parametrize("patch", PATCHES)
def test_a_logit_depends_on_its_patch_and_nothing_else(patch):
    """Two logits in the middle of a picture, in eval mode, where batch statistics play no role."""
    network = seeded(patch, pictures=1).eval()
    assert (network.patch, network.stride) == receptive_field(network) == (patch, STRIDES[patch])
    side = patch + 2 * STRIDES[patch] + 30
    middle = network(torch.zeros(1, 3, side, side)).shape[-1] // 2
    (top, bottom), (left, right) = seen_by(network, side, middle, middle)
    assert bottom - top + 1 == right - left + 1 == patch
    (_, below), (_, aside) = seen_by(network, side, middle + 1, middle)
    assert aside == right
    assert below - bottom == STRIDES[patch]


def test_with_batch_norm_in_training_a_logit_depends_on_every_pixel():
    (rows, columns) = seen_by(seeded(34, pictures=1).train(), 96, 5, 5)
    assert rows == columns == (0, 95)


@pytest.mark.parametrize(("patch", "side"), [(1, 256), (16, 126), (34, 62), (70, 30), (142, 14), (286, 6)])
def test_how_many_logits(patch, side):
    """Each layer of stride 2 halves 256; each of the last two takes one away."""
    network = seeded(patch).eval()
    assert network(pictures(256, 256, 2), pictures(256, 256, 2, seed=1)).shape == (2, 1, side, side)
    assert network(pictures(256, 512), pictures(256, 512)).shape[2] == side


def test_a_conditional_discriminator_sees_both_pictures_in_order():
    network, source, other = seeded().eval(), pictures(64, 64), pictures(64, 64, seed=1)
    for picture in (source, other):
        picture.requires_grad_()
    network(source, other).sum().backward()
    assert all((picture.grad != 0).any(1).float().mean() > 0.9 for picture in (source, other))
    seen = []
    network.layers[0].register_forward_hook(lambda layer, given, made: seen.append(given[0]))
    network(source, other)
    assert torch.equal(seen[0], 2 * torch.cat((source, other), 1) - 1)


def test_gray_becomes_zero():
    """The paper's pictures span [−1, 1]: gray is 0, like the border, so without biases every logit is 0."""
    network = seeded(pictures=1).eval()
    for module in of_kind(network, nn.Conv2d):
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    assert network(torch.full((1, 3, 64, 64), 0.5)).abs().max() == 0
    seen = []
    network.layers[0].register_forward_hook(lambda layer, given, made: seen.append(given[0]))
    network(torch.eye(64).expand(1, 3, 64, 64))
    assert torch.equal(seen[0], 2 * torch.eye(64).expand(1, 3, 64, 64) - 1)


# --- bad input ---


@pytest.mark.parametrize("patch", PATCHES)
def test_the_smallest_picture_is_accepted_and_a_smaller_one_is_not(patch):
    network, least = seeded(patch, pictures=1).train(), 3 * STRIDES[patch]
    assert network(pictures(least, least)).isfinite().all()  # even with the statistics of one picture
    for size in ((least - 1, least + 9), (least + 9, least - 1)):
        with pytest.raises(ValueError, match=f"patches of {patch} px .* at least {least} px, got .*smaller patches"):
            network(pictures(*size))


@pytest.mark.parametrize(
    ("count", "shapes"), [(2, [(32, 32)]), (1, [(32, 32)] * 2), (2, [(32, 32)] * 3), (2, [(32, 32), (32, 40)]), (1, [])]
)
def test_the_wrong_number_of_pictures_is_refused(count, shapes):
    with pytest.raises(ValueError, match=rf"takes {count} pictures of the same shape, got \["):
        seeded(pictures=count)(*(pictures(*shape) for shape in shapes))


@pytest.mark.parametrize("patch", [0, 32, 71, "70"])
def test_another_patch_lists_those_that_exist(patch):
    with pytest.raises(ValueError, match=f"patch must be one of 1, 16, 34, 70, 142, 286, got {patch!r}"):
        PatchGAN(patch)


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_everything_learns(norm):
    network = seeded(norm=norm).train()
    network(pictures(64, 64, 2), pictures(64, 64, 2, seed=1)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert all(p.grad.abs().sum() > 0 for p in network.parameters() if p.ndim > 1)
