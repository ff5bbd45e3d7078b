"""The texture network: parameters by hand, sizes, and what circular borders mean."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_lib.networks.layers import InstanceNorm
from course_lib.networks.texture_net import CircularConv, TextureNet, enlarged, noise_sizes, wrapped


def seeded(**options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TextureNet(**options).eval()


def noise(height, width, num_scales, count=1, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    sizes = noise_sizes(height, width, num_scales)
    return [torch.rand(count, 3, *size, generator=generator, dtype=dtype) for size in sizes]


def moved(noise, rows, columns):
    """Each noise moved by the same part of the texture; `rows` and `columns` count positions of the coarsest."""
    return [z.roll((rows * 2**k, columns * 2**k), (2, 3)) for k, z in enumerate(noise)]


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize(("num_scales", "expected"), [(5, 71_203), (6, 116_291), (1, 931)])
def test_parameters_by_hand(norm, num_scales, expected):
    """A block has filters of 3×3, 3×3 and 1×1, and three pairs of a scale and a shift a channel; no biases."""

    def block(channels_in, channels):
        return 9 * channels_in * channels + 9 * channels**2 + channels**2 + 3 * 2 * channels

    entries = num_scales * block(3, 8)
    blocks = sum(block(8 * k, 8 * k) for k in range(2, num_scales + 1))  # 16, 24, 32, 40 channels
    joins = sum(2 * 8 * (k - 1) + 2 * 8 for k in range(2, num_scales + 1))  # both parts are normalized before
    paint = 8 * num_scales * 3 + 3
    assert entries + blocks + joins + paint == expected
    network = TextureNet(num_scales=num_scales, norm=norm)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected
    kind = nn.BatchNorm2d if norm == "batch" else InstanceNorm
    assert sum(isinstance(module, kind) for module in network.modules()) == 3 * (2 * num_scales - 1) + 2 * (
        num_scales - 1
    )


def test_the_paper_counts_about_65_thousand_filter_weights_in_the_joined_blocks():
    """19 C² each, for 16, 24, 32 and 40 channels."""
    network = TextureNet()
    filters = [p for name, p in network.named_parameters() if name.startswith("blocks") and p.ndim == 4]
    assert sum(p.numel() for p in filters) == 19 * (16**2 + 24**2 + 32**2 + 40**2) == 65_664


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 40), (33, 18), (48, 47)])
def test_any_size(norm, height, width):
    network = seeded(num_scales=4, width=2, norm=norm)
    with torch.no_grad():
        texture = network(*noise(height, width, 4, count=2))
    assert texture.shape == (2, 3, height, width)
    assert texture.dtype == torch.float32
    assert texture.isfinite().all()


def test_colors_are_spread_around_one_half_and_not_limited():
    network = seeded(num_scales=3, width=2)
    with torch.no_grad():
        network.paint.weight.zero_()
        network.paint.bias.copy_(torch.tensor([0.0, 2.0, -4.0]))
        texture = network(*noise(8, 8, 3))
    assert torch.equal(texture, torch.tensor([0.5, 1.0, -0.5]).view(1, 3, 1, 1).expand(1, 3, 8, 8))


def test_sizes_of_the_noise():
    assert noise_sizes(256, 256, 6) == [(8, 8), (16, 16), (32, 32), (64, 64), (128, 128), (256, 256)]
    assert noise_sizes(9, 16, 3) == [(3, 4), (5, 8), (9, 16)]


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_moved_noise_gives_the_moved_texture(norm, layout):
    """There is no special position: borders are circular, and the enlargement moves in steps of its own size."""
    network = seeded(num_scales=3, width=3, norm=norm).double()
    given = noise(16, 24, 3, dtype=torch.float64)
    with torch.no_grad():
        texture = network(*(z.contiguous(memory_format=layout) for z in given))
        for rows, columns in ((1, 0), (0, 5), (2, 3)):
            shifted = network(*(z.contiguous(memory_format=layout) for z in moved(given, rows, columns)))
            torch.testing.assert_close(shifted, texture.roll((4 * rows, 4 * columns), (2, 3)), rtol=0, atol=1e-12)
    assert (texture - texture.roll(4, 2)).abs().max() > 1e-4  # and the texture is not constant


def test_repeated_noise_gives_the_repeated_texture():
    """So a texture is a tile: beside a copy of itself it is what the network makes of twice the noise."""
    network = seeded(num_scales=3, width=3, norm="instance").double()
    given = noise(16, 24, 3, dtype=torch.float64)
    with torch.no_grad():
        twice = network(*(z.repeat(1, 1, 2, 1) for z in given))
        torch.testing.assert_close(twice, network(*given).repeat(1, 1, 2, 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_a_circular_convolution_is_pytorchs(kernel):
    ours = CircularConv(2, 3, kernel).double()
    theirs = nn.Conv2d(2, 3, kernel, padding=kernel // 2, padding_mode="circular", bias=False).double()
    theirs.weight = ours.weight
    x = torch.rand(2, 2, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-14)


def test_borders_and_enlargement_by_hand():
    x = torch.arange(6.0).view(1, 1, 2, 3)
    assert wrapped(x, 1)[0, 0].tolist() == [[5, 3, 4, 5, 3], [2, 0, 1, 2, 0], [5, 3, 4, 5, 3], [2, 0, 1, 2, 0]]
    assert wrapped(x, 0) is x
    assert torch.equal(wrapped(x, 1), F.pad(x, (1, 1, 1, 1), mode="circular"))
    assert enlarged(x, 3, 5)[0, 0].tolist() == [[0, 0, 1, 1, 2], [0, 0, 1, 1, 2], [3, 3, 4, 4, 5]]


def test_every_noise_and_every_filter_matters():
    network = seeded(num_scales=3, width=2, norm="instance")
    given = [z.requires_grad_() for z in noise(16, 16, 3)]
    network(*given)[:, :, 3, 5].sum().backward()
    assert all((z.grad != 0).any() for z in given)
    assert all(p.grad.abs().max() > 0 for p in network.parameters() if p.ndim == 4)


def test_the_gradient_is_that_of_finite_differences():
    network = seeded(num_scales=2, width=2, norm="instance").double()
    coarse, fine = noise(4, 6, 2, dtype=torch.float64)
    given = (coarse.requires_grad_(), fine.requires_grad_())
    assert torch.autograd.gradcheck(
        network, given, check_undefined_grad=False
    )  # a hook of instance norm takes no missing gradient


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda z: z[:1], "got 1 of them"),
        (lambda z: z[1:], "got 2 of them"),
        (lambda z: z[::-1], r"noise for textures of 4×6 px has the shapes \[\(1, 3, 1, 2\)"),
        (lambda z: [x[:, :2] for x in z], "has the shapes"),
        (lambda z: [x[0] for x in z], "expected 3 float tensors"),
        (lambda z: [(255 * x).byte() for x in z], "torch.uint8"),
        (lambda z: [None, *z[1:]], "NoneType"),
    ],
)
def test_other_noise_is_refused(change, message):
    network = seeded(num_scales=3, width=2)
    given = change(noise(16, 24, 3))
    with pytest.raises(ValueError, match=message):
        network(*given)


@pytest.mark.parametrize("options", [{"num_scales": 0}, {"width": 0}, {"num_scales": 1.5}, {"norm": "layer"}])
def test_other_settings_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))[:4]):
        TextureNet(**options)
