"""Tiles: a large picture computed in parts equals the one computed whole, for every network, size and tile."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from course_lib.networks.instance_norm import Gathered, statistics
from course_lib.networks.layers import InstanceNorm, held_statistics
from course_lib.networks.super_resolution_net import SuperResolutionNet
from course_lib.networks.tiles import by_tiles, cut, piecewise
from course_lib.networks.transformer_net import TransformerNet


def picture(height, width, seed=0):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def seeded(build, *arguments, **options):
    """A random network with offsets and scales of its own, and what a batch norm has collected, in float64."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build(*arguments, **options).double().eval()
        for module in network.modules():
            if isinstance(module, InstanceNorm | nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 2)
                nn.init.normal_(module.bias)
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
        if isinstance(network, SuperResolutionNet):  # with a skip, its last layer begins at zero
            nn.init.normal_(network.leave.weight, std=0.05)
    return network


# --- cutting ---


def test_every_pixel_is_kept_once_and_in_place():
    whole = torch.arange(19.0 * 23).view(1, 1, 19, 23)
    for side in (1, 4, 7, 19, 40):
        for reach in (0, 3):
            rebuilt = torch.full_like(whole, -1)
            for tile in cut(19, 23, side=side, reach=reach):
                assert (tile.kept(rebuilt) == -1).all()
                tile.kept(rebuilt).copy_(tile.inner(tile.read(whole)))
            assert torch.equal(rebuilt, whole)


def test_tiles_by_hand():
    """Rows 0–10, 10–20 and 20–25, with three more on both sides where there are some."""
    tiles = cut(25, 10, side=10, reach=3)
    assert [tile.rows for tile in tiles] == [(0, 10), (10, 20), (20, 25)]
    assert [tile.rows_read for tile in tiles] == [(0, 13), (7, 23), (17, 25)]
    assert {tile.columns for tile in tiles} == {tile.columns_read for tile in tiles} == {(0, 10)}


def test_a_tile_of_a_larger_map_ends_where_the_map_ends():
    """Positions 2–3 of three are rows 8–12 at four times the size; the map has only ten rows."""
    rows = torch.arange(10).view(1, 1, 10, 1).expand(1, 1, 10, 10)
    last = cut(3, 3, side=1, reach=1)[-1]
    assert last.read(rows, 4)[0, 0, :, 0].tolist() == [4, 5, 6, 7, 8, 9]
    assert last.kept(rows, 4)[0, 0, :, 0].tolist() == last.inner(last.read(rows, 4), 4)[0, 0, :, 0].tolist() == [8, 9]


# --- statistics ---


def test_statistics_of_parts_by_hand():
    """0, 2 and 4, 6, 8: means 1 and 6, variances 1 and 8/3; together mean 4, variance (16 + 4 + 0 + 4 + 16) / 5."""
    gathered = Gathered()
    gathered.add(torch.tensor([0.0, 2.0]).view(1, 1, 1, 2))
    gathered.add(torch.tensor([4.0, 6.0, 8.0]).view(1, 1, 3, 1))
    mean, variance = gathered.joined()
    assert mean.tolist() == pytest.approx([4])
    assert variance.tolist() == pytest.approx([8])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_statistics_of_parts_are_those_of_the_whole(layout, dtype):
    """Also of values far from zero, where a mean of squares less the square of the mean would be mere rounding."""
    x = (1000 + picture(40, 33)).to(dtype).contiguous(memory_format=layout)
    gathered = Gathered()
    for tile in cut(40, 33, side=7, reach=0):
        gathered.add(tile.kept(x))
    wide = x.double()
    expected = wide.mean((2, 3))[0], wide.var((2, 3), correction=0)[0]
    for found in (gathered.joined(), [value[0] for value in statistics(x)]):
        assert {value.dtype for value in found} == {torch.float64 if dtype == torch.float64 else torch.float32}
        for value, exact in zip(found, expected, strict=True):
            torch.testing.assert_close(value.double(), exact, rtol=1e-4, atol=1e-6)


def test_a_single_position_has_no_variance():
    mean, variance = statistics(torch.tensor([3.0, 5.0]).view(1, 2, 1, 1))
    assert mean.tolist() == [[3, 5]]
    assert variance.tolist() == [[0, 0]]


# --- equal to the whole ---

TILES = {(8, 8): (1, 7), (9, 31): (1, 4, 16), (37, 22): (9, 16, 100)}  # sides that are multiples of 4 and others


@pytest.mark.parametrize("upsampling", ["resize", "transposed"])
@pytest.mark.parametrize("norm", ["instance", "batch", "none"])
@pytest.mark.parametrize("blocks", [0, 1, 2])
def test_a_painting_in_tiles_equals_the_whole(upsampling, norm, blocks):
    network = seeded(TransformerNet, width=0.1, num_blocks=blocks, norm=norm, upsampling=upsampling)
    for size, tiles in TILES.items():
        photo = picture(*size).double()
        whole = network(photo).detach()
        for tile in tiles:
            torch.testing.assert_close(by_tiles(network, photo, tile=tile), whole, rtol=0, atol=1e-11)


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize(("norm", "upsampling"), [("instance", "resize"), ("batch", "transposed"), ("none", "resize")])
def test_an_enlargement_in_tiles_equals_the_whole(norm, upsampling, factor, skip):
    network = seeded(SuperResolutionNet, factor, width=0.05, num_blocks=1, norm=norm, upsampling=upsampling, skip=skip)
    for size, tiles in {(5, 5): (1, 3), (7, 19): (3, 8, 30)}.items():
        small = picture(*size).double()
        whole = network(small).detach()
        for tile in tiles:
            torch.testing.assert_close(by_tiles(network, small, tile=tile), whole, rtol=0, atol=1e-11)


def test_each_picture_of_a_batch_has_statistics_of_its_own():
    network = seeded(TransformerNet, width=0.1, num_blocks=1)
    pair = torch.cat((picture(20, 24), 0.2 * picture(20, 24, 1))).double()
    torch.testing.assert_close(by_tiles(network, pair, tile=8), network(pair).detach(), rtol=0, atol=1e-11)


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_in_bfloat16_tiles_are_as_close_to_the_exact_picture_as_the_whole_is(norm):
    """Each number is rounded to 8 bits; where a sum begins decides which way some of them go."""
    exact = seeded(TransformerNet, width=0.25, num_blocks=2, norm=norm)
    network = seeded(TransformerNet, width=0.25, num_blocks=2, norm=norm).float()
    photo = picture(45, 64)
    right = exact(photo.double()).detach()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        whole = network(photo)
    parts = by_tiles(network, photo, tile=16, precision=torch.bfloat16)
    assert parts.dtype == torch.float32
    of_whole, of_parts = ((painted - right).square().mean().sqrt() for painted in (whole, parts))
    assert 0 < of_parts < 1.25 * of_whole
    assert (parts - whole).square().mean().sqrt() < of_whole


def test_a_part_alone_differs_from_the_whole():
    """What the passes are for: with statistics of a tile, or of a smaller copy, the picture is another one."""
    network = seeded(TransformerNet, width=0.1, num_blocks=1)
    photo = (picture(64, 64) * torch.linspace(0, 1, 64)).double()
    whole = network(photo).detach()
    with torch.no_grad():
        alone = network(photo[..., :32])
        with held_statistics(network, photo[..., ::4, ::4]):
            copied = network(photo)
    assert (alone - whole[..., :32])[..., :8].abs().max() > 0.05
    assert (copied - whole).abs().max() > 0.05


def test_afterwards_nothing_is_held():
    network, photo = seeded(TransformerNet, width=0.1, num_blocks=1), picture(20, 20).double()
    before = network(photo)
    by_tiles(network, 0.3 * photo, tile=8)
    assert torch.equal(network(photo), before)


def test_nothing_is_held_after_a_failure(monkeypatch):
    network, photo = seeded(TransformerNet, width=0.1, num_blocks=1), picture(20, 20).double()
    before = network(photo)

    def full(*_):
        raise MemoryError

    monkeypatch.setattr(network, "_colors", full)  # the last thing that is done
    with pytest.raises(MemoryError):
        by_tiles(network, 0.3 * photo, tile=8)
    monkeypatch.undo()
    assert torch.equal(network(photo), before)


def test_a_result_too_large_for_the_memory_is_refused_before_it_is_computed(monkeypatch):
    """By hand: a painting of 40×60 px has 3 · 2400 numbers, and 13 maps of 10×15; an enlargement 16 times as many."""
    painter, enlarger = seeded(TransformerNet, width=0.1), seeded(SuperResolutionNet, 4, width=0.1)
    for network, numbers in ((painter, 3 * 2400 + 13 * 150), (enlarger, 16 * 3 * 2400 + 6 * 2400)):
        monkeypatch.setattr("course_lib.runtime.available_memory", lambda device, free=8 * numbers - 1: free)
        with pytest.raises(MemoryError, match="40×60 px needs about .* the largest that fits has a long side of 59 px"):
            by_tiles(network, picture(40, 60).double(), tile=20)
        monkeypatch.setattr("course_lib.runtime.available_memory", lambda device, free=8 * numbers: free)
        by_tiles(network, picture(40, 60).double(), tile=20)


@pytest.mark.parametrize("tile", [0, -3, 2.5, True, "8", None])
def test_a_tile_is_a_whole_number_of_pixels(tile):
    with pytest.raises(ValueError, match="tile must be a whole number of at least 1, got"):
        by_tiles(seeded(TransformerNet, width=0.1, num_blocks=0), picture(16, 16), tile=tile)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((1, 3, 7, 90), "90 px wide and 7 px high; the network needs sides of at least 8 px"), ((3, 16, 16), "shape")],
)
def test_pictures_that_the_network_cannot_take_are_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        by_tiles(seeded(TransformerNet, width=0.1, num_blocks=0), torch.rand(shape), tile=8)


# --- how far the layers look ---


def with_reach(network, **reach):
    """The same network, whose tiles read a different neighborhood."""
    stages = replace(network.stages(), **reach)
    return SimpleNamespace(stages=lambda: stages, parameters=network.parameters, modules=network.modules)


@pytest.mark.parametrize("upsampling", ["resize", "transposed"])
@pytest.mark.parametrize("reach", ["reach_down", "reach_up"])
def test_a_painters_layers_look_two_positions_around(upsampling, reach):
    """By hand: a 9×9 convolution looks at 4 pixels on each side, and a 3×3 one at 1, at half the size at 2.

    That makes 4 + 1 + 2 = 7 pixels on the way down and up: more than one position of four pixels, at most two.
    """
    network, photo = seeded(TransformerNet, width=0.1, num_blocks=0, upsampling=upsampling), picture(41, 58).double()
    whole = network(photo).detach()
    assert getattr(network.stages(), reach) == 2
    assert (by_tiles(with_reach(network, **{reach: 1}), photo, tile=8) - whole).abs().max() > 1e-6


@pytest.mark.parametrize("reach", ["reach_down", "reach_up"])
def test_an_enlargers_layers_look_no_farther_than_said(reach):
    """By hand: the first 9×9 convolution looks at 4 pixels; at twice the size 4 are 2, and a 3×3 one adds 1."""
    network, small = (
        seeded(SuperResolutionNet, 2, width=0.1, num_blocks=0, upsampling="resize"),
        picture(20, 23).double(),
    )
    whole, said = network(small).detach(), getattr(network.stages(), reach)
    assert said == {"reach_down": 4, "reach_up": 3}[reach]
    assert (by_tiles(with_reach(network, **{reach: said - 1}), small, tile=8) - whole).abs().max() > 1e-6


# --- functions without statistics ---


@pytest.mark.parametrize("side", [1, 3, 4, 100])
@pytest.mark.parametrize(("function", "reach", "shrink", "scale"), [
    (nn.Conv2d(2, 3, 5, padding=2, padding_mode="reflect"), 2, 1, 1),
    (nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.AvgPool2d(4)), 1, 4, 1),
    (nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(2, 3, 3, padding=1)), 1, 1, 2),
])  # fmt: skip
def test_a_function_of_neighborhoods_may_shrink_or_enlarge(function, reach, shrink, scale, side):
    function, whole = function.double(), picture(24, 40)[:, :2].double()
    with torch.no_grad():
        parts = piecewise(function, whole, side=side, reach=reach, shrink=shrink, scale=scale)
        torch.testing.assert_close(parts, function(whole), rtol=0, atol=1e-12)
