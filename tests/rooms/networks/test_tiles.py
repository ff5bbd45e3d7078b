"""Tiles: large pictures computed in parts agree with those computed whole, for the networks that use tiles."""

import pytest
import torch
from torch import nn

from course_lib.networks.layers import held_statistics
from course_lib.networks.super_resolution_net import HALO as SMALL_HALO
from course_lib.networks.super_resolution_net import SuperResolutionNet
from course_lib.networks.tiles import by_tiles
from course_lib.networks.transformer_net import HALO, TransformerNet


def picture(height, width, seed=0):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def seeded(build, *arguments, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(*arguments, **options).eval()


def painter(**options):
    return seeded(TransformerNet, width=0.1, **options)


# --- cutting ---


def test_every_pixel_is_kept_once_and_in_place():
    whole = torch.arange(19.0 * 23).view(1, 1, 19, 23)
    for tile in (1, 4, 7, 19, 40):
        for halo in (0, 3):
            assert torch.equal(by_tiles(lambda part: part, whole, tile=tile, halo=halo), whole)


def cuts(height, width, **options):
    """(top, bottom, left, right) of every tile that the function is given."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    boxes = []

    def watched(part):
        boxes.append(tuple(int(v) for c in (0, 1) for v in (part[0, c].min(), part[0, c].max() + 1)))
        return part

    by_tiles(watched, torch.stack((rows, columns))[None], **options)
    return boxes


def test_tiles_by_hand():
    """Rows 0–10, 10–20 and 20–25, with three more on both sides where the picture has them."""
    assert cuts(25, 10, tile=10, halo=3) == [(0, 13, 0, 10), (7, 23, 0, 10), (17, 25, 0, 10)]


def test_tiles_start_at_multiples():
    """Tiles of 10 become 12 and the overlap of 3 becomes 4."""
    assert cuts(30, 8, tile=10, halo=3, multiple=4) == [(0, 16, 0, 8), (8, 28, 0, 8), (20, 30, 0, 8)]


def test_one_large_tile_is_the_whole_picture():
    assert cuts(25, 10, tile=25, halo=0) == [(0, 25, 0, 10)]


def test_a_batch_and_an_enlargement():
    batch = torch.cat([picture(11, 13), picture(11, 13, seed=1)])
    twice = nn.Upsample(scale_factor=2)
    assert torch.equal(by_tiles(twice, batch, tile=4, halo=1, scale=2), twice(batch))


@pytest.mark.parametrize("options", [{"tile": 0, "halo": 1}, {"tile": 4, "halo": -1}])
def test_invalid_numbers_are_refused(options):
    with pytest.raises(ValueError, match="tile and multiple must be at least 1 and halo at least 0, got"):
        by_tiles(lambda part: part, picture(8, 8), **options)
    with pytest.raises(ValueError, match="got 4, 0 and 1"):
        by_tiles(lambda part: part, picture(8, 8), tile=4, halo=1, multiple=0)


# --- without seams ---


@pytest.mark.parametrize("upsampling", ["resize", "transposed"])
@pytest.mark.parametrize(("size", "tile"), [((150, 203), 64), ((150, 203), 50), ((201, 90), 20), ((64, 141), 128)])
def test_a_stylization_in_tiles_equals_the_whole(size, tile, upsampling):
    network, photo = painter(upsampling=upsampling), picture(*size)
    with torch.no_grad():
        whole = network(photo)
        with held_statistics(network, photo):
            parts = by_tiles(network, photo, tile=tile, halo=network.halo, multiple=4)
        alone = by_tiles(network, photo, tile=tile, halo=network.halo, multiple=4)
    assert parts.shape == whole.shape
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-5)  # float32 sums in another order
    assert (alone - whole).abs().max() > 1e-3  # without the statistics of the whole picture there are seams


def test_a_network_with_more_blocks_has_a_larger_halo():
    network, photo = painter(num_blocks=9, norm="none"), picture(30, 280)
    with torch.no_grad():
        whole = network(photo)
        parts = by_tiles(network, photo, tile=60, halo=network.halo, multiple=4)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-5)
    assert network.halo == HALO + 4 * 8


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_an_enlargement_in_tiles_equals_the_whole(factor, norm):
    network, photo = seeded(SuperResolutionNet, factor, width=0.1, norm=norm), picture(61, 83)
    with torch.no_grad():
        whole = network(photo)
        for tile in (16, 37):
            parts = by_tiles(network, photo, tile=tile, halo=network.halo, scale=factor)
            torch.testing.assert_close(parts, whole, rtol=0, atol=1e-5)


# --- halos ---


def open_wide(network, last):
    """Make all weights positive and all ReLUs active, so that every path counts, and keep the tanh at its steepest."""
    network = network.double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(0.01 if parameter.ndim == 1 else 1 / parameter[0].numel())
        last.weight.mul_(1e-6)
        last.bias.zero_()
    return network


def reach(network, side, scale=1):
    """How far away, in input pixels, the inputs lie on which any of eight middle pixels of the output depends."""
    x = torch.full((1, 3, side, side), 0.75, dtype=torch.float64, requires_grad=True)
    painted, far = network(x).sum(1)[0], 0
    for k in range(scale * side // 2, scale * side // 2 + 8):
        (gradient,) = torch.autograd.grad(painted[k, k], x, retain_graph=True)
        seen = gradient.abs().sum((0, 1, 3)).nonzero().flatten()
        far = max(far, k // scale - seen[0].item(), seen[-1].item() - k // scale)
        assert seen[0] > 0
        assert seen[-1] < side - 1  # the picture is large enough
    return far


@pytest.mark.parametrize("blocks", [0, 2, 5])
@pytest.mark.parametrize(("upsampling", "place"), [("resize", 3), ("transposed", 0)])
def test_a_transformer_net_reaches_no_farther_than_its_halo(upsampling, place, blocks):
    """By hand: a 9×9 convolution reaches 4 pixels; a 3×3 one reaches 1 at full size, 2 at half and 4 at a quarter.

    That makes 4 + 1 + 2 in the encoder, 8 per block of two convolutions, and 2 + 1 + 4 in the decoder. Where pixels are
    repeated, one may lie anywhere in its cell of 4, which adds up to 3.
    """
    network = TransformerNet(width=0.01, num_blocks=blocks, norm="none", upsampling=upsampling)
    pixels = reach(open_wide(network, network.paint), 60 + 24 * blocks)
    assert pixels == 14 + 8 * blocks + place
    assert pixels <= network.halo
    assert network.halo == (HALO if blocks == 5 else 24 + 8 * blocks)


@pytest.mark.parametrize("blocks", [0, 4])
@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("upsampling", ["resize", "transposed"])
def test_a_super_resolution_net_reaches_no_farther_than_its_halo(upsampling, factor, blocks):
    """By hand: 4 for the 9×9, 2 per block; then at most 3 for the layers at two, four and eight times the size."""
    network = SuperResolutionNet(factor, width=0.01, num_blocks=blocks, norm="none", upsampling=upsampling)
    pixels = reach(open_wide(network, network.leave), 24 + 8 * blocks, factor)
    assert 4 + 2 * blocks < pixels <= 4 + 2 * blocks + 3
    assert pixels <= network.halo
    assert network.halo == (SMALL_HALO if blocks == 4 else 16)
