"""Gatys et al. 2017: the configuration, and that color, place and scale do what they say."""

from dataclasses import replace

import pytest
import torch

from course_lib import sample_image
from course_lib.colors import COLOR_MATCHES, luminance, match_colors, with_colors_of
from course_lib.losses.guided import guided_gram
from course_lib.losses.style import gram_matrix
from course_lib.masks import Regions
from course_lib.methods import control, gatys
from course_lib.methods.control import Config, in_colors_of, stylize, with_fine_style
from course_lib.painting.run import paint
from course_lib.pretrained.vgg import VGGFeatures


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def small(**changes):
    layers = {"style_layers": ("relu1_1", "relu2_1"), "content_layers": ("relu2_2",)}
    return Config(
        **{
            "num_steps": 20, "scales": None, "weights": None, "precision": "float32", "device": "cpu",
            "style_layer_weights": "equal", **layers, **changes,
        }
    )  # fmt: skip


PHOTO, PAINTING = sample_image("cat", (40, 48)), sample_image("great_wave", (36, 48))


def test_the_papers_configuration():
    config = Config()
    assert (config.start, config.scales, config.num_steps) == ("content", (512,), 500)
    assert config.fine_layers == ("relu1_1", "relu2_1")
    assert config.style_layers == gatys.Config().style_layers
    assert (config.colors, config.color_method, config.propagation) == ("painting", "pca", "simple")


def test_without_a_say_it_is_gatys():
    plain = gatys.Config(
        **{field: getattr(small(), field) for field in gatys.Config.__dataclass_fields__}  # the fields they share
    )
    ours, theirs = stylize(PHOTO, PAINTING, small()), gatys.stylize(PHOTO, PAINTING, plain)
    assert torch.equal(ours.image, theirs.image)


def covariance(picture):
    colors = picture.double().flatten(2)[0]
    return colors.mean(1), torch.cov(colors, correction=0)


def test_matched_paintings_have_the_photos_colors():
    photo, (painting,) = in_colors_of(PHOTO, [PAINTING], small(colors="match"))
    assert torch.equal(photo, PHOTO)
    for ours, theirs in zip(covariance(painting), covariance(PHOTO), strict=True):
        assert (ours - theirs).abs().max() < 0.01  # only clipping stands between


@pytest.mark.parametrize("method", COLOR_MATCHES)
def test_colors_are_matched_by_the_method_asked_for(method):
    _, found = in_colors_of(PHOTO, [PAINTING, PHOTO.flip(1)], small(colors="match", color_method=method))
    for picture, given in zip(found, (PAINTING, PHOTO.flip(1)), strict=True):
        assert torch.equal(picture, match_colors(given, PHOTO, method).clamp(0, 1))


def test_luminance_is_painted_alone_and_the_photos_colors_stay():
    result = stylize(PHOTO, PAINTING, small(colors="luminance"))
    chroma = [picture - luminance(picture) for picture in (result.image, PHOTO)]
    inside = ((result.image > 0) & (result.image < 1)).all(1, keepdim=True).expand(-1, 3, -1, -1)
    assert inside.float().mean() > 0.9
    torch.testing.assert_close(chroma[0][inside], chroma[1][inside], atol=1e-5, rtol=0)
    assert (luminance(result.image) - luminance(PHOTO)).abs().mean() > 0.01  # and it is painted


def test_the_callback_gets_pictures_in_color():
    seen = []
    result = stylize(PHOTO, PAINTING, small(colors="luminance", num_steps=2), callback=lambda p: seen.append(p.image()))
    assert torch.equal(seen[-1], result.image)


def test_strokes_have_the_size_at_which_the_style_is_taken(monkeypatch):
    sizes = []
    monkeypatch.setattr(control, "with_fine_style", lambda coarse, fine, config: sizes.append(coarse.shape) or coarse)
    stylize(PHOTO, sample_image("great_wave", 96), small(num_steps=1, style_scale=0.75), fine=PAINTING)
    assert max(sizes[0][-2:]) == 36  # three quarters of the photo's 48


def test_every_painting_gets_strokes_of_the_weight_asked_for(monkeypatch):
    goals = []
    monkeypatch.setattr(control, "paint", lambda *given, **more: goals.append(given) or paint(*given, **more))
    stylize(PHOTO, [PAINTING, PHOTO.flip(1)], small(num_steps=1, fine_weight=7.0, colors="match"), fine=PAINTING)
    *strokes, (_, painted, config) = goals
    assert [goal.style_weight for _, _, goal in strokes] == [7.0, 7.0]
    assert [goal.style_layers for _, _, goal in strokes] == [("relu1_1", "relu2_1")] * 2
    assert (len(painted), config.style_weight) == (2, small().style_weight)


def test_masks_that_do_not_fit_are_refused_before_the_strokes_are_made(monkeypatch):
    monkeypatch.setattr(control, "with_fine_style", lambda *_: pytest.fail("strokes were made"))
    with pytest.raises(ValueError, match="another shape"):
        stylize(PHOTO[..., :20], [PAINTING] * 2, small(), regions=halves(), fine=PAINTING)
    with pytest.raises(TypeError, match=r"masks\.Regions"):
        stylize(PHOTO, PAINTING, small(), regions=halves().content, fine=PAINTING)


def test_gray_pictures_stay_gray_in_luminance():
    photo, (painting,) = in_colors_of(PHOTO, [PAINTING], small(colors="luminance"))
    for picture in (photo, painting):
        assert (picture - picture[:, :1]).abs().max() < 1e-6
    assert abs(painting.mean() - photo.mean()) < 0.01
    assert abs(painting.std() - photo.std()) < 0.02


def halves():
    left = torch.zeros(1, 1, 40, 48)
    left[..., :24] = 1
    return Regions.split([left, 1 - left], names=["left", "right"])


def distances(picture, layer="relu2_1"):
    """Of each half of a picture to each of two paintings: [half, painting]."""
    network = VGGFeatures(layers=[layer], weights=None)
    features = network(picture)[layer]
    mask = torch.nn.functional.avg_pool2d(halves().content, 2)
    targets = [gram_matrix(network(style)[layer], mean=True) for style in (PAINTING, sample_image("poppies", (40, 48)))]
    return torch.tensor(
        [[(guided_gram(features, half[None]) - target).norm().item() for target in targets] for half in mask]
    )


def test_each_half_gets_the_style_of_its_own_painting():
    styles = [PAINTING, sample_image("poppies", (40, 48))]
    guided = stylize(PHOTO, styles, small(style_weight=1e4, num_steps=60), regions=halves())
    own = distances(guided.image)
    assert own[0, 0] < own[0, 1]
    assert own[1, 1] < own[1, 0]
    assert {"style/relu1_1/left", "style/relu2_1/right"} <= set(guided.history)
    blended = distances(stylize(PHOTO, styles, small(style_weight=1e4, num_steps=60)).image)
    assert own[0, 0] / own[0, 1] < blended[0, 0] / blended[0, 1]  # less of the other painting than without regions
    assert own[1, 1] / own[1, 0] < blended[1, 1] / blended[1, 0]


def test_fine_strokes_on_coarse_forms():
    """The lowest layers get nearer to the fine painting, and the picture stays the coarse one's."""
    fine = sample_image("poppies", (40, 48))
    mixed = with_fine_style(PAINTING, fine, small(fine_layers=("relu1_1",), fine_weight=1e5, num_steps=40))
    assert mixed.shape == PAINTING.shape
    network = VGGFeatures(layers=["relu1_1"], weights=None)
    matched = match_colors(fine, PAINTING).clamp(0, 1)
    target, before, after = (gram_matrix(network(x)["relu1_1"], mean=True) for x in (matched, PAINTING, mixed))
    assert (after - target).norm() < 0.5 * (before - target).norm()
    assert (mixed - PAINTING).abs().mean() < (mixed - matched.mean()).abs().mean()


def test_all_at_once_from_coarse_to_fine():
    seen = []
    config = small(colors="match", scales=(24,), num_steps=2, region_weights=(1.0, 3.0))
    result = stylize(
        PHOTO, [PAINTING, PAINTING], config, regions=halves(), fine=PAINTING, callback=lambda p: seen.append(p.step)
    )
    assert result.image.shape == PHOTO.shape
    assert seen == [1, 2, 3, 4, 5, 6]
    assert result.config is config


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colors": "keep"}, "colors must be one of"),
        ({"color_method": "lab"}, "color_method"),
        ({"propagation": "none"}, "propagation"),
        ({"fine_weight": -1.0}, "fine_weight"),
        ({"region_weights": (0.0, 0.0)}, "region_weights"),
    ],
)
def test_a_bad_field_is_named(change, words):
    with pytest.raises(ValueError, match=words):
        small(**change)


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(ValueError, match="use gatys"):
        stylize(None, PAINTING, small())
    with pytest.raises(ValueError, match="regions are for 2 paintings, got the sizes of 1"):
        stylize(PHOTO, PAINTING, small(), regions=halves())
    with pytest.raises(ValueError, match=r"region_weights.*left, right"):
        stylize(PHOTO, [PAINTING] * 2, small(region_weights=(1.0, 1.0, 1.0)), regions=halves())
    with pytest.raises(ValueError, match="region_weights has no effect without regions"):
        stylize(PHOTO, PAINTING, small(region_weights=(1.0, 1.0)))
    with pytest.raises(TypeError, match=r"control.Config"):
        stylize(PHOTO, PAINTING, gatys.Config())


def test_other_starts_work_with_luminance():
    noise = stylize(PHOTO, PAINTING, replace(small(num_steps=2), colors="luminance", start="noise"))
    torch.testing.assert_close(noise.image, with_colors_of(noise.image, PHOTO).clamp(0, 1), atol=1e-5, rtol=0)
    assert control.Config.quick().num_steps < Config().num_steps
