"""Regions: checked, made from masks, colors and class numbers, and brought to other sizes."""

import math

import pytest
import torch

from course_lib import sample_image
from course_lib.masks import Regions, checked_masks, feathered
from course_lib.samples import sample_path


def halves(height=8, width=8):
    """The upper and the lower half, (2, 1, height, width)."""
    upper = torch.zeros(1, 1, height, width)
    upper[..., : height // 2, :] = 1
    return torch.cat((upper, 1 - upper))


def regions(**changed):
    given = {"content": halves(), "styles": (halves(4, 6),), "names": ("sky", "land"), **changed}
    return Regions(**given)


# --- what regions are


def test_masks_are_stored_as_float32_without_gradient():
    made = regions(content=halves().double().requires_grad_(), styles=[halves(4, 6).bool()], names=["sky", "land"])
    assert made.content.dtype == made.styles[0].dtype == torch.float32
    assert not made.content.requires_grad
    assert isinstance(made.styles, tuple)
    assert made.names == ("sky", "land")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"content": halves()[:, 0]}, r"the content masks must be a tensor \(R, 1, H, W\).*got a tensor \(2, 8, 8\)"),
        ({"content": None}, "the content masks must be a tensor.*got NoneType"),
        ({"content": 255 * halves()}, "the content masks must have values from 0.*divide 0..255 by 255"),
        ({"content": halves() * math.nan}, "the content masks must have values from 0"),
        ({"styles": halves()}, r"styles must be a tuple with the masks of each painting.*got a tensor \(2, 1, 8, 8\)"),
        ({"styles": ()}, "styles must be a tuple with the masks of each painting.*got an empty list"),
        ({"styles": (halves(), -halves())}, "the masks of painting 2 must have values from 0"),
        ({"styles": (halves()[:1],)}, "painting 1 has 1 masks, but the photo has 2; give one for each region"),
        ({"names": ("sky", "sky")}, "names must be 2 different names"),
        ({"names": ("sky",)}, "names must be 2 different names"),
        ({"names": "ab"}, r"names must be a tuple of names, got the text 'ab'"),
        ({"content": halves() * torch.tensor([1, 0]).view(2, 1, 1, 1)}, "region 'land' is empty in the photo"),
        ({"styles": (halves() * torch.tensor([0, 1]).view(2, 1, 1, 1),)}, "region 'sky' has no style"),
    ],
)
def test_what_does_not_fit_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        regions(**changed)


def test_one_painting_may_have_nothing_for_a_region():
    first, second = (halves() * torch.tensor(keep).view(2, 1, 1, 1) for keep in ([1, 0], [0, 1]))
    assert len(regions(styles=(first, second)).styles) == 2


# --- ways to make them


def test_split_gives_each_region_a_whole_painting():
    made = Regions.split(list(halves().split(1)))
    assert made.names == ("region 1", "region 2")
    assert [masks.shape for masks in made.styles] == [(2, 1, 1, 1), (2, 1, 1, 1)]
    first, second = made.at((8, 8), [(5, 7), (30, 20)]).styles
    assert first.shape == (2, 1, 5, 7)
    assert (first[0].min(), first[1].max(), second[0].max(), second[1].min()) == (1, 0, 0, 1)
    torch.testing.assert_close(Regions.split(halves()).content, made.content)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ([], "must be a tensor .*, or R masks .*, got an empty list"),
        ([halves()[:1], halves(6)[:1]], r"must all be \(1, 1, H, W\).*got \(1, 1, 8, 8\), \(1, 1, 6, 8\)"),
        ([halves()], r"must all be \(1, 1, H, W\).*got \(2, 1, 8, 8\)"),
        ([halves()[:1], "sky.png"], "content mask 2 must be a tensor.*got str"),
    ],
)
def test_split_refuses(masks, message):
    with pytest.raises(ValueError, match=message):
        Regions.split(masks)


def test_labels_by_hand():
    photo = torch.tensor([[0, 0, 3], [0, 3, 3]])
    made = Regions.from_labels(photo, [torch.tensor([[3, 7]]), torch.tensor([[7, 0, 0]])])
    assert made.names == ("class 0", "class 3")
    assert made.content[:, 0].tolist() == [[[1, 1, 0], [1, 0, 0]], [[0, 0, 1], [0, 1, 1]]]
    assert [masks[:, 0, 0].tolist() for masks in made.styles] == [[[0, 0], [1, 0]], [[0, 1, 1], [0, 0, 0]]]


@pytest.mark.parametrize(
    ("photo", "painting", "names", "message"),
    [
        (torch.rand(4, 4), torch.zeros(4, 4).long(), None,
         r"labels must be \(H, W\) whole.*got a tensor \(4, 4\) of float32"),
        (torch.zeros(1, 4, 4).long(), torch.zeros(4, 4).long(), None, "whole numbers of at least 0"),
        (torch.tensor([[-1]]), torch.tensor([[0]]), None, "whole numbers of at least 0"),
        (torch.tensor([[0, 2]]), torch.tensor([[0, 1]]), ["sky", "tree", "sea"],
         "no painting has sea; the photo has sky, sea, the paintings have sky, tree"),
        (torch.tensor([[0, 2]]), torch.tensor([[0, 2]]), ["sky"],
         "the photo has class 2, but names has only 1 entries"),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit(photo, painting, names, message):
    with pytest.raises(ValueError, match=message):
        Regions.from_labels(photo, [painting], names)


def test_the_projects_own_masks_give_regions():
    files = [sample_path(f"{name}_mask") for name in ("great_wave", "road_to_tarascon")]
    sky = {"#78c8ff": "sky"}
    made = Regions.from_colors(sample_image("eilean_donan_mask"), files, names=sky)
    assert made.names == ("#1838b0", "#40a040", "sky")
    water, land, above = (mask.mean().item() for mask in made.content)
    assert water + land + above == pytest.approx(1)
    assert min(water, land, above) > 0.2
    waves, road = ([bool(mask.any()) for mask in masks] for masks in made.styles)
    assert waves == [True, False, True]  # water and sky
    assert road == [False, True, True]  # land and sky
    with pytest.raises(ValueError, match="names has #000000; the colors of the photo's mask are #1838b0"):
        Regions.from_colors(files[0], files[:1], names={"#000000": "night"})


@pytest.mark.parametrize("name", ["eilean_donan", "astronaut", "great_wave", "cafe_terrace", "road_to_tarascon"])
def test_the_projects_own_masks_have_the_size_of_their_pictures(name):
    assert sample_image(f"{name}_mask").shape == sample_image(name).shape


# --- other sizes


def test_values_are_means_over_areas():
    mask = torch.tensor([[1.0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 1, 1, 1]]).view(1, 1, 4, 4)
    made = Regions(torch.cat((mask, 1 - mask)), (halves(4, 4),), ("a", "b")).at((2, 2), [(2, 2)])
    assert made.content[:, 0].tolist() == [[[0.75, 0], [0.25, 1]], [[0.25, 1], [0.75, 0]]]
    assert made.styles[0][:, 0].tolist() == [[[1, 1], [0, 0]], [[0, 0], [1, 1]]]


def test_a_larger_size_repeats_pixels():
    made = regions().at((24, 24), [(8, 12)])
    torch.testing.assert_close(made.content, halves(24, 24))
    torch.testing.assert_close(made.styles[0], halves(8, 12))


def test_one_pixel_keeps_its_value_at_any_size():
    dot = torch.zeros(1, 1, 64, 96)
    dot[..., 37, 50] = 0.8
    made = Regions(torch.cat((dot, 1 - dot)), (torch.cat((dot, 1 - dot)),), ("dot", "rest"))
    for height in (32, 16, 5, 1):
        small = made.at((height, round(1.5 * height)), [(64, 96)]).content[0, 0]
        assert small.max().item() == pytest.approx(0.8)
        assert small.count_nonzero() == 1
    position = made.at((16, 24), [(64, 96)]).content[0, 0].nonzero().tolist()
    assert position == [[37 // 4, 50 // 4]]


def test_a_thin_line_stays_a_line():
    line = torch.zeros(1, 1, 32, 32)
    line[..., 9] = 1
    made = Regions(torch.cat((line, 1 - line)), (halves(),), ("line", "rest")).at((8, 8), [(8, 8)])
    assert made.content[0, 0].tolist() == [[0, 0, 1, 0, 0, 0, 0, 0]] * 8  # and not 1/4
    assert made.content[1, 0, 0].tolist() == [1, 1, 0.75, 1, 1, 1, 1, 1]


def test_sizes_may_be_rounded_but_not_of_another_shape():
    made = regions(content=halves(453, 680), styles=(halves(447, 663),))
    for side in (512, 300, 65, 64, 33):
        size = (round(453 * side / 680), side)
        small = made.at(size, [(round(447 * side / 663), side)])
        assert small.content.shape[-2:] == size
        back = small.at((453, 680), [(447, 663)])
        assert (back.content - made.content).abs().mean() < 1 / size[0]
    with pytest.raises(
        ValueError, match="the photo is 453 px wide and 680 px high, its mask 680 by 453: another shape"
    ):
        made.at((680, 453), [(447, 663)])
    with pytest.raises(ValueError, match="painting 1 is 512 px wide and 512 px high, its mask 663 by 447"):
        made.at((453, 680), [(512, 512)])
    with pytest.raises(ValueError, match="these regions are for 1 paintings, got the sizes of 2"):
        made.at((453, 680), [(447, 663), (447, 663)])
    with pytest.raises(ValueError, match="a side must be a whole number of at least 1, got 0"):
        made.at((0, 680), [(447, 663)])


def test_another_device():
    made = regions().to(torch.device("cpu"))
    torch.testing.assert_close(made.content, halves())
    assert made.names == ("sky", "land")


# --- soft borders


def test_a_straight_border_becomes_a_ramp():
    mask = torch.tensor([0.0] * 6 + [1.0] * 6).expand(1, 1, 4, 12)
    # weights 1 2 3 2 1 over 9: the sums from the right
    expected = torch.tensor([0, 0, 0, 0, 1 / 9, 3 / 9, 6 / 9, 8 / 9, 1, 1, 1, 1])
    soft = feathered(mask, 2)
    torch.testing.assert_close(soft[0, 0], expected.expand(4, 12))
    torch.testing.assert_close(feathered(mask.mT, 2), soft.mT)
    torch.testing.assert_close(feathered(mask, 0), mask)


def test_masks_that_add_up_to_one_still_do():
    masks = torch.rand(3, 1, 20, 30, generator=torch.Generator().manual_seed(0)).softmax(0)
    torch.testing.assert_close(feathered(masks, 5).sum(0), torch.ones(1, 20, 30))
    torch.testing.assert_close(feathered(masks, 40).sum(0), torch.ones(1, 20, 30))  # wider than the picture


@pytest.mark.parametrize("width", [-1, 1.5, "2"])
def test_other_widths_are_refused(width):
    with pytest.raises(ValueError, match="width must be a whole number of at least 0"):
        feathered(halves(), width)


def test_checked_masks_take_zeros_and_ones_of_any_type():
    for dtype in (torch.bool, torch.uint8, torch.int64, torch.float16):
        assert checked_masks(halves().to(dtype), "masks").dtype == torch.float32
    with pytest.raises(ValueError, match="masks must have values from 0"):
        checked_masks((255 * halves()).to(torch.uint8), "masks")
