"""Li & Wand 2016 and the fusion of Zhao et al. 2019: configurations, and pictures that are made of patches."""

from dataclasses import replace

import pytest
import torch

from course_lib import sample_image
from course_lib.losses.patches import nearest_patches
from course_lib.masks import Regions
from course_lib.methods import patches
from course_lib.methods.patches import Config, stylize
from course_lib.pretrained.vgg import VGGFeatures

PHOTO, PAINTING = sample_image("cat", (40, 48)), sample_image("great_wave", (36, 48))
SMALL = Config(
    num_steps=30, scales=None, weights=None, patch_layers=("relu2_1",), content_layers=("relu2_2",),
    precision="float32", device="cpu", tv_weight=0.0,
)  # fmt: skip


def test_the_papers_configuration():
    config = Config()
    assert (config.patch_layers, config.patch_size, config.patch_stride) == (("relu3_1", "relu4_1"), 3, 2)
    assert (config.content_layers, config.start, config.pooling) == (("relu4_1",), "content", "max")
    assert (config.style_weight, config.num_steps) == (0.0, 100)
    assert Config.fusion().style_weight > 0 < Config.fusion().patch_weight


def test_patches_alone_have_no_gram_matrices():
    result = stylize(PHOTO, PAINTING, SMALL)
    assert [name for name in result.history if "/" in name] == ["content/relu2_2", "patches/relu2_1"]
    assert result.history["patches/relu2_1"][-1] < result.history["patches/relu2_1"][0]


def test_the_fusion_has_both_and_both_fall():
    fused = replace(SMALL, style_weight=100.0, style_layers=("relu1_1",), style_layer_weights="equal")
    history = stylize(PHOTO, PAINTING, fused).history
    for name in ("patches/relu2_1", "style/relu1_1"):
        assert history[name][-1] < history[name][0], name


def test_a_picture_that_consists_of_the_paintings_patches_has_nothing_to_change():
    """Its own painting, whose patches lie on the grid: the terms are 0, and no step moves it."""
    own = replace(SMALL, patch_stride=1, content_weight=0.0, num_steps=3)
    result = stylize(PHOTO, PHOTO, own)
    assert result.history["total"][0] < 1e-10
    torch.testing.assert_close(result.image, PHOTO, atol=1e-4, rtol=0)


def test_with_regions_patches_stay_in_their_place():
    """The upper half may only take from the upper half of the painting."""
    top = torch.zeros(1, 1, 40, 48)
    top[..., :20, :] = 1
    style_top = torch.zeros(1, 1, 36, 48)
    style_top[..., :18, :] = 1
    regions = Regions(torch.cat([top, 1 - top]), (torch.cat([style_top, 1 - style_top]),), ("up", "down"))
    config = replace(SMALL, content_weight=0.01, num_steps=40, patch_weight=5.0, patch_stride=1)
    network = VGGFeatures(layers=["relu2_1"], pooling="max", weights=None)

    def share_from_above(picture):
        """Of the upper half's patches, the share whose nearest patch lies in the painting's upper half."""
        found = nearest_patches(network(picture)["relu2_1"], [network(PAINTING)["relu2_1"]], stride=1)
        return (found.position[:8, :, 0] < 8).float().mean().item()

    bound, free = (share_from_above(stylize(PHOTO, PAINTING, config, regions=each).image) for each in (regions, None))
    assert bound > free
    assert bound > 0.6


def test_a_texture_from_patches():
    texture = stylize(None, PAINTING, replace(SMALL, style_weight=10.0, start="noise", num_steps=5))
    assert texture.image.shape == PAINTING.shape
    alone = stylize(None, PAINTING, replace(SMALL, start="noise", num_steps=5))
    assert alone.history["patches/relu2_1"][-1] < alone.history["patches/relu2_1"][0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"patch_size": 0}, "patch_size"),
        ({"patch_weight": -1.0}, "patch_weight"),
        ({"patch_layers": ()}, "patch_layers"),
        ({"patch_weight": 0.0}, "patch_weight and style_weight are both 0"),
    ],
)
def test_a_bad_field_is_named(change, words):
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **change)


def test_a_picture_smaller_than_a_patch_is_refused():
    with pytest.raises(ValueError, match="3"):
        stylize(PHOTO[..., :8, :8], PAINTING, replace(SMALL, patch_layers=("relu3_1",), content_layers=("relu1_1",)))
    with pytest.raises(ValueError, match="use gatys"):
        stylize(PHOTO, None, SMALL)
    assert patches.Config.quick().num_steps == 40
