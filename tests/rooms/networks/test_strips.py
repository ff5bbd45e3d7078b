"""Residual blocks in place and in strips equal the blocks computed at once, whatever is held of the second map."""

import pytest
import torch
from torch import nn

from course_lib.networks.layers import InstanceNorm, ResidualBlock
from course_lib.networks.strips import of, through

WIDTH, CHANNELS = 5, 3
ROW = WIDTH * CHANNELS * 8  # bytes, in float64


def maps(height, seed=0):
    x = torch.randn(1, CHANNELS, height, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x.contiguous(memory_format=torch.channels_last)


def residual_blocks(norm, count=2):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(*(ResidualBlock(CHANNELS, norm) for _ in range(count))).double().eval()


def forget(network):
    for module in network.modules():
        if isinstance(module, InstanceNorm):
            module.held = None


def test_strips_by_hand():
    """Ten positions are two rows of five; fewer than a row is one."""
    assert [strip.shape[2] for strip in of(maps(7), 10)] == [2, 2, 2, 1]
    assert [strip.shape[2] for strip in of(maps(7), 10, top=4)] == [2, 1]
    assert [strip.shape[2] for strip in of(maps(3), 1)] == [1, 1, 1]
    x = maps(4)
    for strip in of(x, 10):
        strip.fill_(7)
    assert (x == 7).all()


@pytest.mark.parametrize("norm", ["instance", "batch", "none"])
@pytest.mark.parametrize("height", [2, 3, 4, 11])
def test_blocks_in_strips_equal_the_blocks(norm, height):
    blocks, x = residual_blocks(norm), maps(height)
    with torch.no_grad():
        whole = blocks(x)
        for positions in (1, 2 * WIDTH, 3 * WIDTH, 100):
            for held in range(height + 2):
                y = x.clone()
                through(blocks, y, held * ROW, positions=positions)
                forget(blocks)
                torch.testing.assert_close(y, whole, rtol=0, atol=1e-12, msg=f"{positions} positions, {held} rows held")


def test_the_second_map_takes_no_more_than_its_room(monkeypatch):
    """Of seven rows, room for 3.9 holds three."""
    made, empty_like = [], torch.empty_like
    monkeypatch.setattr(
        "course_lib.networks.strips.torch.empty_like",
        lambda x, **layout: made.append(x.shape) or empty_like(x, **layout),
    )
    with torch.no_grad():
        through(residual_blocks("none"), maps(7), int(3.9 * ROW), positions=10)
    assert made == [(1, CHANNELS, 3, WIDTH)]


def test_the_norms_hold_the_statistics_of_their_whole_inputs():
    blocks, x = residual_blocks("instance", 1), 100 + maps(9)
    seen = []
    for k in (1, 4):
        blocks[0].body[k].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        blocks(x)
        expected = list(seen)
        through(blocks, x.clone(), 4 * ROW, positions=10)
    for k, inputs in zip((1, 4), expected, strict=True):
        mean, variance = blocks[0].body[k].held
        torch.testing.assert_close(mean, inputs.mean((0, 2, 3)))
        torch.testing.assert_close(variance, inputs.var((0, 2, 3), correction=0))
