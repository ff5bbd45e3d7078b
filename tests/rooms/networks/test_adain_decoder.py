"""The decoder of AdaIN: counts, sizes, the published file, and how far it looks."""

import pytest
import torch
from torch import nn

from course_lib.networks import tiles
from course_lib.networks.adain_decoder import REACH, AdaINDecoder
from course_lib.pretrained import weights


def features(channels, height, width):
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(0))


def alive(decoder):
    """In float64, with weights that keep the size of the numbers, so that no ReLU is always 0."""
    for k, weight in enumerate(weight for weight in decoder.parameters() if weight.ndim > 1):
        nn.init.kaiming_normal_(weight, generator=torch.Generator().manual_seed(k))
    return decoder.double()


def plain(state):
    """The published decoder as a plain Sequential of 29 entries, with its weights."""
    layers = []
    for number, (before, after) in {
        1: (512, 256), 5: (256, 256), 8: (256, 256), 11: (256, 256), 14: (256, 128), 18: (128, 128), 21: (128, 64),
        25: (64, 64), 28: (64, 3),
    }.items():  # fmt: skip
        if number in (5, 18, 25):
            layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
        layers += [nn.ReflectionPad2d(1), nn.Conv2d(before, after, 3), nn.ReLU()]
    network = nn.Sequential(*layers[:-1])
    network.load_state_dict(state)
    return network.eval()


def test_the_count_layer_by_layer():
    """By hand: 9 · in · out + out for nine convolutions."""
    sizes = [(512, 256), (256, 256), (256, 256), (256, 256), (256, 128), (128, 128), (128, 64), (64, 64), (64, 3)]
    count = sum(9 * before * after + after for before, after in sizes)
    assert count == sum(parameter.numel() for parameter in AdaINDecoder().parameters()) == 3_505_219


@pytest.mark.parametrize(
    ("layer", "channels", "factor"), [("relu4_1", 512, 8), ("relu3_1", 256, 4), ("relu2_1", 128, 2)]
)
def test_every_position_becomes_a_square_of_pixels(layer, channels, factor):
    decoder = AdaINDecoder(width=0.05, layer=layer)
    assert decoder.shrink == factor
    assert decoder(features(channels, 3, 5)).shape == (1, 3, 3 * factor, 5 * factor)


@pytest.mark.real_weights
def test_the_published_weights_fit_and_give_the_plain_networks_picture():
    state = weights.load("adain_decoder").state_dict
    decoder, x = AdaINDecoder(), 2 * features(512, 5, 7)
    decoder.load_published(state)
    with torch.no_grad():
        torch.testing.assert_close(decoder(x), plain(state)(x), rtol=0, atol=1e-4)


def test_a_file_that_is_not_the_published_one_is_refused():
    state = {f"{number}.{kind}": torch.zeros(1) for number in (1, 2) for kind in ("weight", "bias")}
    with pytest.raises(RuntimeError, match=r"Missing key.*conv3_4"):
        AdaINDecoder().load_published(state)


@pytest.mark.parametrize("layer", ["relu4_1", "relu3_1", "relu2_1"])
def test_it_looks_no_farther_than_said(layer):
    """By hand: 8 + 4 · 4 + 2 · 2 + 2 = 30 pixels are four positions, 4 + 2 · 2 + 2 = 10 are three, 2 + 2 are two."""
    decoder, x = alive(AdaINDecoder(width=0.1, layer=layer, channels=8)), features(8, 13, 12).double()
    needed = {"relu4_1": 4, "relu3_1": 3, "relu2_1": 2}[layer]
    assert needed <= REACH
    with torch.no_grad():
        whole = decoder(x)
        for reach, exact in ((REACH, True), (needed, True), (needed - 1, False)):
            parts = tiles.piecewise(decoder, x, side=3, reach=reach, scale=decoder.shrink)
            assert bool((parts - whole).abs().max() < 1e-12 * whole.abs().max()) == exact


def test_what_is_no_feature_map_is_refused():
    decoder = AdaINDecoder(width=0.05, channels=8)
    with pytest.raises(ValueError, match=r"features \(N, 8, h, w\) of relu4_1, got \(1, 3, 16, 16\)"):
        decoder(torch.rand(1, 3, 16, 16))
    with pytest.raises(ValueError, match="at least 2 positions on each side, got 1×4; .* a picture of at least 16 px"):
        decoder(torch.rand(1, 8, 1, 4))
    with pytest.raises(ValueError, match="got list"):
        decoder([1])


def test_bfloat16_features_come_out_as_float32_colors():
    decoder = AdaINDecoder(width=0.05, channels=8).bfloat16()
    assert decoder(features(8, 3, 3)).dtype == torch.float32
