"""How much of the work in tiles is done: counted by hand, and reported so that it ends with the last tile."""

import pytest
import torch
from torch import nn

from course_lib.methods import adain
from course_lib.networks.super_resolution_net import SuperResolutionNet
from course_lib.networks.tile_work import UNITS, Work, products
from course_lib.networks.tiles import by_tiles
from course_lib.networks.transformer_net import TransformerNet


def test_products_are_counted_where_they_are_computed():
    halves = nn.Conv2d(3, 4, 3, stride=2)
    assert products(halves, 2.0) == (108, 1)  # one product for each weight and output
    doubles = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3))
    assert products(doubles) == (4 * 144, 2)
    assert products(nn.Sequential(halves, nn.ReLU(), doubles), 2.0) == (108 + 4 * 144, 2)
    assert products(nn.ConvTranspose2d(4, 2, 3, stride=2)) == (72, 2)  # for each input


@pytest.mark.parametrize("make", [
    lambda: TransformerNet(width=0.1, num_blocks=2, norm="instance"),
    lambda: TransformerNet(width=0.1, num_blocks=0, norm="batch"),
    lambda: SuperResolutionNet(8, width=0.1, num_blocks=1, norm="instance"),
    lambda: SuperResolutionNet(2, width=0.1, num_blocks=1, norm="none"),
])  # fmt: skip
@pytest.mark.parametrize("count", [1, 2])
def test_the_reports_rise_to_the_whole(make, count):
    said = []
    by_tiles(make().eval(), torch.rand(count, 3, 33, 50), tile=16, callback=said.append)
    steps = [progress.step for progress in said]
    assert steps == sorted(steps)
    assert steps[-1] == UNITS
    assert steps[-4] < UNITS  # the last tiles may be less than a thousandth
    assert {progress.num_steps for progress in said} == {UNITS}
    with pytest.raises(LookupError, match="finished only after the last tile"):
        said[0].image()


def test_most_of_an_enlargement_is_at_the_large_size():
    """By 8 without normalization: a pass over the small picture, and one over the layers that enlarge it."""
    said = []
    by_tiles(SuperResolutionNet(8, num_blocks=4, norm="none").eval(), torch.rand(1, 3, 16, 16), tile=16,
             callback=said.append)  # fmt: skip
    small, *_, last = said
    assert small.step < 10
    before = said[-2].step  # all but the last pass: 9·9·3·64 + 4 blocks of 2·9·64² of some 2 million products
    by_hand = (243 * 64 + 8 * 9 * 64**2) / (243 * 64 + 8 * 9 * 64**2 + 9 * 64**2 * (1 + 4 + 16) + 64 * 243 * 64)
    assert abs(before / UNITS - by_hand) < 0.002
    assert last.step == UNITS


def test_encoder_and_decoder_of_any_style_are_half_of_the_work_each():
    config = adain.Config(width=0.1, weights=None, device="cpu", precision="float32")
    model, said = adain.Model(adain.build(config), config, {}), []
    photos, painting = torch.rand(2, 3, 40, 50), torch.rand(1, 3, 40, 40)
    adain.stylize(photos, painting, model, tile=16, device="cpu", callback=said.append)
    steps = [progress.step for progress in said]
    assert steps == sorted(steps)
    assert {UNITS // 4, UNITS // 2, 3 * UNITS // 4, UNITS} <= {*steps}  # after each of the four passes
    said.clear()
    adain.stylize(photos, painting, model, device="cpu", callback=said.append)
    assert said == []  # in one piece


def test_nothing_to_report_to():
    Work(0.0, None).add(1.0)
