"""What can be added to a picture's objective: values, gradients, and one size after another."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from course_lib.images import resize
from course_lib.losses import patches
from course_lib.losses.guided_masks import WAYS
from course_lib.losses.matting import photorealism_term
from course_lib.losses.patches import PatchTerm
from course_lib.masks import Regions
from course_lib.painting.additions import Patches, Photorealism, _shape
from course_lib.painting.guides import RegionStyles
from course_lib.painting.objective import checked_network, memory_needed, network_for, objective
from course_lib.painting.run import paint
from course_lib.painting.settings import Settings
from course_lib.pretrained.vgg import VGGFeatures


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


PHOTO, PAINTING, OTHER = rand(1, 3, 48, 40), rand(1, 3, 36, 48, seed=1), rand(1, 3, 30, 30, seed=2)
SMALL = Settings(
    num_steps=3, weights=None, precision="float32", device="cpu", style_layers=("relu1_1", "relu3_1"),
    content_layers=("relu2_2",), style_layer_weights="equal", start="content", history_size=5,
)  # fmt: skip
TOP = torch.zeros(1, 1, 48, 40)
TOP[..., :20, :] = 1
HALVES = Regions.split([TOP, 1 - TOP], names=["sky", "land"])


def with_values(goal, picture):
    terms, gradient = goal.with_gradient(picture)
    return dict(zip(goal.names, terms.tolist(), strict=True)), gradient


def check_gradient(goal, picture):
    """The gradient against finite differences of the sum of the terms in float64, along three directions."""
    _, gradient = goal.with_gradient(picture)
    for seed in range(3):
        direction = torch.randn(picture.shape, generator=torch.Generator().manual_seed(seed), dtype=picture.dtype)
        ahead, behind = (goal.with_gradient(picture + step * direction)[0].sum().item() for step in (1e-5, -1e-5))
        slope = (gradient * direction).sum().item()
        assert slope == pytest.approx((ahead - behind) / 2e-5, rel=2e-3, abs=1e-5 * gradient.norm().item())


def test_the_style_of_a_region_comes_from_its_own_painting():
    """Where the sky's painting is the photo itself, the sky has no style left to match, whatever the land's is."""
    whole = Regions(torch.ones(1, 1, 48, 40), (torch.ones(1, 1, 48, 40),), ("all",))
    guided = RegionStyles(whole, SMALL)
    goal = objective(PHOTO, PHOTO, replace(SMALL, style_weight=0.0), additions=[guided])
    values, gradient = with_values(goal, PHOTO)
    assert list(values) == ["content/relu2_2", "style/relu1_1/all", "style/relu3_1/all"]
    assert max(values.values()) < 1e-9
    assert gradient.abs().max() < 1e-6


def test_one_region_that_is_everything_is_the_plain_style():
    whole = Regions(torch.ones(1, 1, 48, 40), (torch.ones(1, 1, 36, 48),), ("all",))
    guided = objective(PHOTO, PAINTING, replace(SMALL, style_weight=0.0), additions=[RegionStyles(whole, SMALL)])
    plain = objective(PHOTO, PAINTING, SMALL)
    picture = rand(1, 3, 48, 40, seed=5)
    (values, slope), (others, other_slope) = with_values(guided, picture), with_values(plain, picture)
    assert list(values.values()) == pytest.approx(list(others.values()), rel=1e-5)
    torch.testing.assert_close(slope, other_slope, rtol=1e-4, atol=1e-4 * other_slope.abs().max().item())


def test_two_regions_with_one_painting_each():
    goal = objective(
        PHOTO, [PAINTING, OTHER], replace(SMALL, style_weight=0.0), additions=[RegionStyles(HALVES, SMALL)]
    )
    assert set(goal.names) == {"content/relu2_2"} | {
        f"style/{layer}/{name}" for layer in SMALL.style_layers for name in ("sky", "land")
    }


def test_regions_have_the_weight_of_the_whole_together():
    """Each of two regions that are everything has half of the style term."""
    twice = Regions(torch.ones(2, 1, 48, 40), (torch.ones(2, 1, 36, 48),), ("a", "b"))
    goal = objective(PHOTO, PAINTING, replace(SMALL, style_weight=0.0), additions=[RegionStyles(twice, SMALL)])
    values, plain = with_values(goal, PHOTO)[0], with_values(objective(PHOTO, PAINTING, SMALL), PHOTO)[0]
    for layer in SMALL.style_layers:
        assert values[f"style/{layer}/a"] == pytest.approx(plain[f"style/{layer}"] / 2, rel=1e-5)
        assert values[f"style/{layer}/b"] == pytest.approx(plain[f"style/{layer}"] / 2, rel=1e-5)


@pytest.mark.parametrize("propagation", WAYS)
def test_masks_of_photo_and_painting_reach_the_layers_in_one_way(propagation):
    """The photo is its own painting, with the same masks: no region has anything to match."""
    same = Regions(torch.cat([TOP, 1 - TOP]), (torch.cat([TOP, 1 - TOP]),), ("sky", "land"))
    guided = RegionStyles(same, SMALL, propagation)
    values, _ = with_values(objective(PHOTO, PHOTO, replace(SMALL, style_weight=0.0), additions=[guided]), PHOTO)
    assert max(values.values()) < 1e-9
    inside = {name: (1 - term.shares.bool().float()).sum().item() for name, term in terms_of(guided).items()}
    assert (inside["style/relu1_1/sky"] == 28 * 40) == (propagation == "simple")  # rows 20 to 47 are land


def terms_of(addition):
    goal = objective(PHOTO, PHOTO, replace(SMALL, style_weight=0.0), additions=[addition])
    return {term.name: term for term in goal.parts[0].terms}


def test_regions_take_every_layer_at_its_own_scale():
    config = replace(SMALL, style_scale=(1.0, 0.5))
    whole = Regions(torch.ones(1, 1, 48, 40), (torch.ones(1, 1, 36, 48),), ("all",))
    guided = objective(PHOTO, PAINTING, replace(config, style_weight=0.0), additions=[RegionStyles(whole, config)])
    values, plain = with_values(guided, PHOTO)[0], with_values(objective(PHOTO, PAINTING, config), PHOTO)[0]
    assert list(values.values()) == pytest.approx(list(plain.values()), rel=1e-5)


def test_a_region_without_weight_has_no_term_and_the_others_share_its_weight():
    goals = [
        objective(
            PHOTO, [PAINTING, OTHER], replace(SMALL, style_weight=0.0),
            additions=[RegionStyles(HALVES, SMALL, weights=weights)],
        )
        for weights in (None, (0.0, 2.0))
    ]  # fmt: skip
    both, land = (with_values(goal, rand(1, 3, 48, 40, seed=5))[0] for goal in goals)
    assert "style/relu1_1/sky" not in land
    assert land["style/relu1_1/land"] == pytest.approx(2 * both["style/relu1_1/land"], rel=1e-5)


def test_two_paintings_of_one_region_blend():
    """The target is the mean of their Gram matrices: the term is 0 at weights 1, 0 for the first one alone."""
    masks = torch.ones(1, 1, 48, 40)
    regions = Regions(masks, (masks, torch.ones(1, 1, 30, 30)), ("all",))
    config = replace(SMALL, style_blend=(1.0, 0.0))
    goal = objective(
        PHOTO, [PHOTO, OTHER], replace(config, style_weight=0.0), additions=[RegionStyles(regions, config)]
    )
    values, _ = with_values(goal, PHOTO)
    assert values["style/relu3_1/all"] < 1e-9
    other = replace(SMALL, style_blend=(0.0, 1.0))
    half = Regions(torch.cat([TOP, 1 - TOP]), (torch.ones(2, 1, 48, 40), torch.zeros(2, 1, 30, 30)), ("a", "b"))
    with pytest.raises(ValueError, match=r"region 'a' takes its style only from paintings whose style_blend is 0"):
        objective(PHOTO, [PHOTO, OTHER], replace(other, style_weight=0.0), additions=[RegionStyles(half, other)])


def test_no_image_becomes_too_small_for_a_layer_at_a_smaller_scale():
    """At 21 px, a painting of a quarter of the photo's side would have 5 × 3 px: relu3_1 needs 4."""
    config = replace(SMALL, style_scale=(1.0, 0.25), scales=(21, 24), num_steps=1)
    assert paint(PHOTO, PAINTING, config).history["scale"] == [24.0] * 2 + [48.0]


def test_every_layer_at_its_own_scale():
    """With a scale for each layer, the targets are those of the painting at that size."""
    config = replace(SMALL, style_scale=(1.0, 0.5))
    values, _ = with_values(objective(PHOTO, PAINTING, config), PHOTO)
    whole, _ = with_values(objective(PHOTO, PAINTING, SMALL), PHOTO)
    half, _ = with_values(objective(PHOTO, PAINTING, replace(SMALL, style_scale=0.5)), PHOTO)
    assert values["style/relu1_1"] == whole["style/relu1_1"]
    assert values["style/relu3_1"] == half["style/relu3_1"]
    assert half["style/relu3_1"] != whole["style/relu3_1"]
    with pytest.raises(ValueError, match="one number, or 2 for the style layers"):
        replace(SMALL, style_scale=(1.0, 2.0, 3.0))
    with pytest.raises(ValueError, match="style_scale"):
        replace(SMALL, style_scale=(1.0, 0.0))


def test_patches_are_those_of_the_paintings_at_the_photos_size():
    goal = objective(PHOTO, PAINTING, SMALL, additions=[Patches(2.0, layers=("relu3_1",))])
    values, _ = with_values(goal, PHOTO)
    network = goal.parts[0].network
    resized = torch.nn.functional.interpolate(PAINTING, (36, 48), mode="bilinear")  # already the photo's long side
    term = PatchTerm("relu3_1", 2.0, [network(resized)["relu3_1"]])
    features = network(PHOTO)["relu3_1"].contiguous(memory_format=torch.channels_last)
    assert values["patches/relu3_1"] == pytest.approx(term(features)[0].item(), rel=1e-4)


def test_layers_of_patches_share_their_weight_and_paintings_have_the_scale_asked_for():
    values = [
        with_values(objective(PHOTO, PAINTING, SMALL, additions=[Patches(1.0, layers, style_scale=0.75)]), PHOTO)[0]
        for layers in (("relu2_1", "relu3_1"), ("relu3_1",))
    ]
    assert values[0]["patches/relu3_1"] == pytest.approx(values[1]["patches/relu3_1"] / 2, rel=1e-5)
    network = VGGFeatures(layers=["relu3_1"], weights=None)
    term = PatchTerm("relu3_1", 1.0, [network(resize(PAINTING, 36))["relu3_1"]])
    features = network(PHOTO)["relu3_1"].contiguous(memory_format=torch.channels_last)
    assert values[1]["patches/relu3_1"] == pytest.approx(term(features)[0].item(), rel=1e-3)


def test_patches_of_a_region_come_from_its_counterpart():
    """The land's painting is the photo; with regions, patches of the sky may not come from it."""
    free, bound = (
        with_values(
            objective(PHOTO, [OTHER, PHOTO], SMALL, additions=[Patches(1.0, ("relu2_1",), stride=1, regions=regions)]),
            PHOTO,
        )[0]["patches/relu2_1"]
        for regions in (None, HALVES)
    )
    assert free < 1e-6 < bound  # every patch finds itself in the second painting, unless it may not look there


def test_a_region_too_small_for_a_patch_has_the_nearest_one():
    """At relu3_1 the painting has 12 × 9 positions, and with a stride of 2 the middles lie in rows 1, 3, … 7 (of 8)."""
    dot = torch.zeros(1, 1, 36, 48)
    dot[..., 35, 20] = 1  # row 8, column 5
    regions = Regions(torch.cat([TOP, 1 - TOP]), (torch.cat([dot, 1 - dot]),), ("sky", "land"))
    goal = objective(PHOTO, PAINTING, SMALL, additions=[Patches(1.0, ("relu3_1",), regions=regions)])
    matcher = goal.parts[0].terms[0].matcher
    start, stop = matcher._ranges[0]
    assert matcher.corner[start:stop].tolist() == [[6, 4]]
    assert len(matcher.corner) == 4 * 5  # no patch comes twice


def test_a_region_without_a_patch_is_named():
    """The painting has a single patch, and two regions of the photo need one."""
    dot = torch.zeros(1, 1, 12, 12)
    dot[..., 0, 0] = 1
    regions = Regions(torch.cat([TOP, 1 - TOP]), (torch.cat([dot, 1 - dot]),), ("sky", "land"))
    small = Patches(1.0, ("relu3_1",), style_scale=0.25, regions=regions)
    with pytest.raises(ValueError, match="the regions are 0 sky, 1 land"):
        objective(PHOTO, OTHER[..., :12, :12], SMALL, additions=[small])


def patch_term(regions, paintings, layer="relu2_1"):
    goal = objective(PHOTO, paintings, SMALL, additions=[Patches(1.0, (layer,), stride=1, regions=regions)])
    return with_values(goal, PHOTO)[0][f"patches/{layer}"]


def test_what_is_in_no_region_of_a_painting_gives_nothing_to_the_first_one():
    """The second painting is the photo. It has nothing for the regions, or only something for the land."""
    nothing = torch.zeros(2, 1, 48, 40)
    elsewhere = Regions(torch.cat([TOP, 1 - TOP]), (torch.ones(2, 1, 1, 1), nothing), ("sky", "land"))
    bound = patch_term(elsewhere, [OTHER, PHOTO])
    assert bound == pytest.approx(patch_term(None, [OTHER]), rel=1e-5)
    land = Regions(torch.cat([TOP, 1 - TOP]), (torch.ones(2, 1, 1, 1), torch.cat([0 * TOP, 1 - TOP])), ("sky", "land"))
    assert 0.2 * bound < patch_term(land, [OTHER, PHOTO]) < 0.8 * bound  # the land finds itself, and the sky does not


def test_what_is_in_no_region_of_the_photo_takes_patches_from_everywhere():
    left = torch.zeros(1, 1, 48, 40)
    left[..., :8] = 1
    only = Regions(left, (torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 48, 40)), ("left",))
    assert 0 < patch_term(only, [OTHER, PHOTO]) < 0.5 * patch_term(None, [OTHER])  # most of the photo finds itself


def test_two_regions_share_the_patches_of_one_place():
    """The masks of a painting may overlap: both regions of the photo take their patches from all of it."""
    both = Regions(torch.cat([TOP, 1 - TOP]), (torch.ones(2, 1, 36, 48),), ("sky", "land"))
    assert patch_term(both, [PAINTING]) == pytest.approx(patch_term(None, [PAINTING]), rel=1e-6)


@pytest.mark.parametrize(("height", "width"), [(20, 120), (120, 20)])
def test_sizes_with_fewer_positions_than_a_patch_are_left_out(height, width):
    """At 60 px, the short side would have 10 px: two positions at relu3_1, and a patch needs three."""
    config = replace(SMALL, scales=(60, 75), num_steps=1)
    result = paint(rand(1, 3, height, width), PAINTING, config, additions=[Patches(1.0, ("relu3_1",))])
    assert result.history["scale"] == [75.0] * 2 + [120.0]
    result = paint(rand(1, 3, height, width), PAINTING, config, additions=[Photorealism(1.0, radius=6)])
    assert result.history["scale"] == [120.0]


def test_the_layers_of_patches_may_be_of_any_kind():
    layers = ("conv2_1", "relu2_2", "pool2")
    picture = paint(PHOTO, PAINTING, replace(SMALL, num_steps=1), additions=[Patches(1.0, layers)])
    assert set(picture.history) >= {f"patches/{layer}" for layer in layers}
    network = VGGFeatures(layers=layers, weights=None)
    for layer, features in network(PHOTO).items():
        assert _shape(network, layer, 48, 40) == (features.shape[1], features.shape[2:])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_all_steps_are_alike_and_read_no_value(precision):
    """On CUDA a step is recorded once: it must not wait for the device, move data to it, or depend on values."""
    config = replace(SMALL, style_weight=0.0, tv_weight=1.0, precision=precision)
    additions = [RegionStyles(HALVES, SMALL), Patches(1.0, ("relu2_1",), regions=HALVES), Photorealism(1.0)]
    goal = objective(PHOTO, [PAINTING, OTHER], config, additions=additions)
    goal.with_gradient(PHOTO)
    steps = []
    for picture in (PHOTO, PAINTING.new_zeros(PHOTO.shape)):
        with Operations() as made:
            goal.with_gradient(picture)
        steps.append(made.names)
    assert steps[0] == steps[1]
    waiting = ("_local_scalar_dense", "nonzero", "unique", "masked_select", "lift_fresh", "item", "is_nonzero")
    assert not [name for name in steps[0] if any(word in name for word in waiting)]


class Operations(TorchDispatchMode):
    """Collects the names of all operations."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(str(function))
        return function(*args, **(kwargs or {}))


def test_photorealism_is_the_matting_energy_of_the_photo():
    goal = objective(PHOTO, PAINTING, SMALL, additions=[Photorealism(5.0)])
    picture = rand(1, 3, 48, 40, seed=5)
    values, _ = with_values(goal, picture)
    alone, _ = photorealism_term(PHOTO, 5.0).with_gradient(picture)
    assert values["photorealism"] == pytest.approx(alone.item())
    with pytest.raises(ValueError, match="photorealism needs a content image"):
        objective(None, PAINTING, SMALL, additions=[Photorealism(5.0)])
    with pytest.raises(ValueError, match="regions need a content image"):
        objective(None, PAINTING, SMALL, additions=[RegionStyles(HALVES, SMALL)])


def test_the_gradient_of_all_terms_together(monkeypatch):
    """Content, regions, patches, photorealism and smoothness, against finite differences in float64."""
    made = VGGFeatures(layers=["relu1_1", "relu2_1", "relu2_2", "relu3_1"], weights=None).double()
    monkeypatch.setattr("course_lib.painting.objective.cached_network", lambda *_: made)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)  # targets and terms stay in float64
    additions = [RegionStyles(HALVES, SMALL), Patches(1.0, ("relu2_1",)), Photorealism(10.0)]
    goal = objective(PHOTO, [PAINTING, OTHER], replace(SMALL, style_weight=0.0, tv_weight=1.0), additions=additions)
    check_gradient(goal, PHOTO.double() * 0.9 + 0.03)


@pytest.mark.parametrize("addition", [Patches(1.0, ("relu3_1",)), Photorealism(100.0), RegionStyles(HALVES, SMALL)])
def test_a_run_from_coarse_to_fine_builds_the_terms_at_each_size(addition):
    config = replace(SMALL, scales=(24,), num_steps=2)
    styles = [PAINTING, OTHER]
    result = paint(PHOTO, styles, config, additions=[addition])
    assert result.image.shape == PHOTO.shape
    assert result.history["scale"] == [24.0] * 4 + [48.0] * 2
    assert all(len(values) == 6 for values in result.history.values())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Patches(-1.0), "patch_weight"),
        (lambda: Patches(1.0, layers=()), "patch_layers"),
        (lambda: Patches(1.0, size=0), "patch_size"),
        (lambda: Patches(1.0, stride=0), "patch_stride"),
        (lambda: Patches(1.0, style_scale=0.0), "style_scale"),
        (lambda: Photorealism(-1.0), "photo_weight"),
        (lambda: Photorealism(1.0, eps=0.0), "matting_eps"),
        (lambda: Photorealism(1.0, radius=0), "matting_radius"),
        (lambda: RegionStyles(HALVES, SMALL, "outside"), "propagation"),
        (lambda: RegionStyles(HALVES, SMALL, weights=(1.0,)), "regions \\(sky, land\\)"),
    ],
)
def test_bad_settings_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("make", [lambda given: Patches(1.0, regions=given), lambda given: RegionStyles(given, SMALL)])
def test_masks_alone_are_no_regions(make):
    with pytest.raises(
        TypeError, match=r"regions must be masks.Regions, for example Regions.split\(masks\), got Tensor"
    ):
        make(TOP)


def test_masks_of_another_shape_are_refused():
    wide = Regions.split([torch.ones(1, 1, 20, 80)], names=["all"])
    with pytest.raises(ValueError, match="another shape"):
        objective(PHOTO, PAINTING, SMALL, additions=[RegionStyles(wide, SMALL)])


@pytest.mark.parametrize("addition", [Patches(1.0, ("relu3_1",)), Photorealism(1.0), RegionStyles(HALVES, SMALL)])
def test_the_memory_of_an_addition_counts(addition, monkeypatch):
    """With a byte less than network, optimizer and addition need together, the run is refused."""
    network = network_for(SMALL, (*SMALL.content_layers, *SMALL.style_layers, *addition.layers))
    needed = memory_needed(network, 48, 40, SMALL) + addition.memory_needed(network, 48, 40)
    for free, fits in ((needed, True), (needed - 1, False)):
        monkeypatch.setattr("course_lib.optimize.start.runtime.available_memory", lambda device, free=free: free)
        with nullcontext() if fits else pytest.raises(MemoryError, match="px"):
            checked_network(PHOTO, [PAINTING, OTHER], SMALL, (48, 40), [addition])


def test_patches_of_a_larger_painting_need_more_memory():
    network = VGGFeatures(layers=("relu2_1",), weights=None)
    small, large = (
        Patches(1.0, ("relu2_1",), style_scale=scale).memory_needed(network, 48, 40) for scale in (1.0, 2.0)
    )
    assert large > 2 * small
    assert large == patches.memory_needed((24, 20), [(48, 40)], 16)


def test_more_memory_than_there_is_is_refused_before_any_work(monkeypatch):
    monkeypatch.setattr("course_lib.optimize.start.runtime.available_memory", lambda device: 300_000)
    with pytest.raises(MemoryError, match="px"):
        paint(PHOTO, PAINTING, SMALL, additions=[Patches(1.0, ("relu3_1",)), Photorealism(1.0)])
