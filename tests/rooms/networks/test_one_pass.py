"""One piece if it fits into the memory, otherwise tiles; the same picture either way."""

import pytest
import torch

from course_lib import runtime
from course_lib.networks import tiles
from course_lib.networks.multi_style_net import OneStyleNet
from course_lib.networks.one_pass import TILE, one_pass

PHOTO = torch.rand(2, 3, 30, 45, generator=torch.Generator().manual_seed(0))


def computed(network, photo=PHOTO, **options):
    return one_pass(network, photo, width=0.1, device="cpu", precision="float32", **options)


@pytest.fixture
def network():
    return OneStyleNet(width=0.1, num_blocks=1)


@pytest.mark.parametrize("tile", [8, 44, 45])
def test_tiles_and_one_piece_give_the_same(network, tile):
    network.train()
    whole = computed(network)
    assert whole.shape == PHOTO.shape
    assert not whole.requires_grad
    torch.testing.assert_close(computed(network, tile=tile), whole, rtol=0, atol=1e-5)
    assert network.training  # as it was


@pytest.mark.parametrize(("free", "expected"), [(None, []), (10**9, []), (10**6, []), (1000, [TILE])])
def test_memory_decides(network, monkeypatch, free, expected):
    asked = []
    monkeypatch.setattr(tiles, "by_tiles", lambda network, x, *, tile, **_: asked.append(tile) or x)
    monkeypatch.setattr(runtime, "available_memory", lambda device: free)
    computed(network, torch.rand(1, 3, 8, TILE + 4))
    assert asked == expected
    computed(network, torch.rand(1, 3, 8, TILE))  # a tile at most
    assert asked == expected


@pytest.mark.parametrize("tile", [0, 2.5, "8"])
def test_a_tile_is_a_whole_number(network, tile):
    with pytest.raises(ValueError, match="tile must be a whole number of at least 1"):
        computed(network, tile=tile)
