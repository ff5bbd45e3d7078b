"""The masks of regions at the layers: derived by hand along one dimension, and from receptive fields."""

import pytest
import torch

from course_lib import VGGFeatures
from course_lib.losses.guided_masks import WAYS, propagate
from course_lib.pretrained.vgg import STYLE_LAYERS

# px that a position sees, and px between two positions: 3×3 adds 2 steps, 2×2 adds 1 and doubles the step
FIELDS = {
    "relu1_1": (3, 1), "relu1_2": (5, 1), "pool1": (6, 2), "relu2_1": (10, 2), "relu2_2": (14, 2), "pool2": (16, 4),
    "relu3_1": (24, 4), "relu3_4": (48, 4), "pool3": (52, 8), "relu4_1": (68, 8), "relu4_2": (84, 8),
    "pool4": (124, 16), "relu5_1": (156, 16),
}  # fmt: skip


def stripe(start, stop, width, height=32):
    """(1, 1, height, width): 1 in the columns from start to stop."""
    mask = torch.zeros(1, 1, height, width)
    mask[..., start:stop] = 1
    return mask


def row(masks, layer, how):
    return propagate(masks, [layer], how)[layer][0, 0, 0].tolist()


def test_one_convolution_by_hand():
    mask = stripe(3, 7, 10)
    assert row(mask, "relu1_1", "simple") == [0, 0, 0, 1, 1, 1, 1, 0, 0, 0]
    assert row(mask, "relu1_1", "inside") == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]
    assert row(mask, "relu1_1", "all") == [0, 0, 1, 1, 1, 1, 1, 1, 0, 0]


def test_a_pool_and_a_convolution_by_hand():
    mask = stripe(4, 16, 16)
    # conv1_1 and conv1_2 leave 6..15, the pool 3..7, conv2_1 4..7; the edge on the right takes nothing away
    assert row(mask, "relu2_1", "inside") == [0, 0, 0, 0, 1, 1, 1, 1]
    # 5..15: of the two pixels below position 2, only one is left, so the pool leaves 3..7
    assert row(stripe(3, 16, 16), "pool1", "inside") == [0, 0, 0, 1, 1, 1, 1, 1]
    # they grow to 2..15, the pool makes 1..7, conv2_1 0..7
    assert row(mask, "pool1", "all") == [0, 1, 1, 1, 1, 1, 1, 1]
    assert row(mask, "relu2_1", "all") == [1] * 8
    assert row(mask, "relu2_1", "simple") == [0, 0, 1, 1, 1, 1, 1, 1]
    assert row(stripe(3, 16, 16), "relu2_1", "simple") == [0, 0.5, 1, 1, 1, 1, 1, 1]


def test_soft_masks_give_the_extremes_over_the_receptive_field():
    mask = torch.tensor([0.2, 0.9, 0.6, 0.4, 1.0, 1.0]).expand(1, 1, 6, 6)
    torch.testing.assert_close(torch.tensor(row(mask, "conv1_1", "inside")), torch.tensor([0.2, 0.2, 0.4, 0.4, 0.4, 1]))
    torch.testing.assert_close(torch.tensor(row(mask, "conv1_1", "all")), torch.tensor([0.9, 0.9, 0.9, 1, 1, 1]))


@pytest.mark.parametrize("layer", FIELDS)
def test_a_pixel_touches_as_many_positions_as_see_it(layer):
    """A dot is moved by a pixel at a time: over one step, the positions that it touches add up to the field."""
    field, step = FIELDS[layer]
    size = 448
    dots = torch.cat([stripe(size // 2 + k, size // 2 + k + 1, size) for k in range(step)])
    touched = propagate(dots, [layer], "all")[layer]
    assert touched.shape[-1] == size // step
    assert touched[:, 0, 0].sum() == field


@pytest.mark.parametrize("layer", ["relu1_1", "relu2_1", "relu3_1"])
def test_inside_is_where_the_network_sees_nothing_else(layer):
    """Whatever changes outside the region, features inside stay; features that "all" leaves out ignore the region."""
    network = VGGFeatures("vgg19", [layer], weights=None)
    mask = stripe(20, 60, 72, 48)
    first, second = (torch.rand(1, 3, 48, 72, generator=torch.Generator().manual_seed(k)) for k in (1, 2))
    mixed = {k: network(torch.where(mask == k, first, second))[layer] for k in (0, 1)}
    plain, other = network(first)[layer], network(second)[layer]
    inside, touched = (propagate(mask, [layer], how)[layer] == 1 for how in ("inside", "all"))
    assert inside.any()
    assert not touched.all()
    torch.testing.assert_close(mixed[1] * inside, plain * inside)
    torch.testing.assert_close(mixed[1] * ~touched, other * ~touched)
    assert ((mixed[1] - plain).abs().amax(1, keepdim=True) > 1e-6)[~inside & touched].all()


@pytest.mark.parametrize("how", WAYS)
def test_sizes_are_those_of_the_features(how):
    height, width = 75, 93  # both odd, and odd again behind the first pool
    network = VGGFeatures("vgg19", STYLE_LAYERS, weights=None)
    features = network(torch.rand(1, 3, height, width))
    masks = propagate(torch.cat((stripe(0, 40, width, height), stripe(40, 93, width, height))), STYLE_LAYERS, how)
    assert {name: f.shape[2:] for name, f in features.items()} == {name: m.shape[2:] for name, m in masks.items()}
    assert all(mask.amax((1, 2, 3)).min() > 0 for mask in masks.values())


def test_a_region_and_its_complement():
    mask = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(0)).round()
    both = torch.cat((mask, 1 - mask))
    simple, inside, touched = (propagate(both, ["relu2_2"], how)["relu2_2"] for how in WAYS)
    torch.testing.assert_close(simple.sum(0), torch.ones(1, 12, 12))
    large = torch.cat((stripe(0, 30, 64), stripe(30, 64, 64)))
    inside, touched = (propagate(large, ["relu2_2"], how)["relu2_2"] for how in ("inside", "all"))
    torch.testing.assert_close(inside, 1 - touched.flip(0))  # wholly in one is not touching the other


def test_where_nothing_is_inside_the_largest_shares_stay():
    thin = stripe(13, 17, 32)  # px 13..16: at relu2_1 columns 6 (12, 13), 7 (14, 15) and 8 (16, 17)
    assert row(thin, "relu2_1", "inside") == [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    dot = torch.zeros(1, 1, 32, 32)
    dot[..., 9, 20] = 1
    found = propagate(dot, ["relu3_1"], "inside")["relu3_1"]
    assert found.nonzero().tolist() == [[0, 0, 2, 5]]
    assert found.max() == 1 / 16
    together = propagate(torch.cat((stripe(0, 24, 32), dot)), ["relu1_1"], "inside")["relu1_1"]
    assert together[0].sum() == 23 * 32  # the other region is not changed by it


def test_no_region_stays_no_region():
    for how in WAYS:
        assert propagate(torch.zeros(1, 1, 16, 16), ["relu2_1"], how)["relu2_1"].sum() == 0


def test_the_other_network_and_the_order_of_the_layers():
    masks = propagate(stripe(0, 32, 64), ["relu3_3", "relu1_2"], arch="vgg16")
    assert [*masks] == ["relu3_3", "relu1_2"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"masks": torch.rand(16, 16)}, r"the masks must be a tensor \(R, 1, H, W\).*got a tensor \(16, 16\)"),
        ({"masks": torch.full((1, 1, 8, 8), 255.0)}, "values from 0, outside the region, to 1.*divide 0..255 by 255"),
        ({"layers": "relu1_1"}, r"layers must be a tuple of names.*write \('relu1_1',\)"),
        ({"layers": ["relu1_7"]}, r"vgg19 has no layer \['relu1_7'\]"),
        ({"how": "outside"}, "how must be one of 'simple', 'inside', 'all'"),
        ({"arch": "resnet"}, "unknown network 'resnet'"),
        ({"layers": ["relu5_1"]}, "the masks are 8 px wide and 8 px high, too small for pool4"),
    ],
)
def test_bad_input(change, message):
    given = {"masks": torch.ones(1, 1, 8, 8), "layers": ["relu1_1"], **change}
    with pytest.raises(ValueError, match=message):
        propagate(given["masks"], given["layers"], given.get("how", "simple"), given.get("arch", "vgg19"))
