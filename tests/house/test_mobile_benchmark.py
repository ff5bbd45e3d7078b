"""The cost of a painter: bytes by bits, operations by size, and decibels that are those of the same network."""

import pytest
import torch

from benchmarks import measure, mobile
from benchmarks.plain_networks import plain
from course_lib.networks.transformer_net import TransformerNet


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return TransformerNet(width=0.25, num_blocks=1).eval()


def test_a_painter_costs_what_its_weights_and_its_frame_cost(network, monkeypatch):
    monkeypatch.setattr(mobile, "ROUNDS", 1)
    found = mobile.cost(network, (32, 64))
    count = sum(weight.numel() for weight in network.parameters())
    assert found["parameters"] == count
    megabytes = found["megabytes"]
    # what the filters of 32 bits have more than those of 16: two bytes for each weight of a filter
    filters = sum(weight.numel() for weight in network.parameters() if weight.ndim == 4)
    assert megabytes["32"] - megabytes["16"] == pytest.approx(2e-6 * filters, rel=0.02)
    assert megabytes["8"] < megabytes["16"] < megabytes["32"]
    assert set(found["ms"]) == {"32", "64"}
    assert all(value > 0 for times in found["ms"].values() for value in times.values())
    assert mobile.rows({"toy": found}).count("\n") == 0


def test_four_times_the_pixels_are_four_times_the_operations(network):
    bare = plain(network)
    small, large = (
        measure.operations(lambda side=side: bare(torch.zeros(1, 3, side, side))) for side in (32, 64)
    )  # fmt: skip
    assert large == 4 * small
    first = next(layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d))
    assert small > 2 * first.weight.numel() * 32 * 32  # a multiplication and an addition for each weight and pixel


def test_decibels_are_those_of_one_network_with_other_filters(network):
    found = mobile.decibels(network, 48)
    assert all(len(values) == len(mobile.PHOTOS) for values in found.values())
    assert min(found["8 bits"]) > 35  # a step of 1/255 in every value would give about 48 dB
    coarse = mobile.onnx_graph.rounded(network, bits=8)
    assert min(mobile.decibels(coarse, 48)["8 bits"]) > 60  # whole numbers stay what they are


def test_painters_are_those_of_the_page():
    assert mobile.painters()[: len(mobile.export.PAINTERS)] == tuple(mobile.export.PAINTERS)
