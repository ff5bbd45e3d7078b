"""Johnson, Alahi & Fei-Fei 2016, super-resolution: configuration, reduction, both losses and files.

All tests use a small random loss network and tiny networks.
"""

import dataclasses
import math
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from course_lib import VGGFeatures, sample_image
from course_lib.data.crops import Crops
from course_lib.images import resize
from course_lib.methods import super_resolution
from course_lib.methods.super_resolution import Config, Model, load, reduce, save, train
from course_lib.networks.layers import ResidualBlock
from course_lib.training.batches import order

TINY = {
    "num_steps": 2, "batch_size": 2, "image_size": 32, "width": 0.1, "num_blocks": 1, "weights": None,
    "precision": "float32", "device": "cpu",
}  # fmt: skip
upscale = partial(super_resolution.upscale, device="cpu", precision="float32")


def tiny(**settings):
    return Config(**{**TINY, **settings})


def untrained(**settings):
    config = tiny(**settings)
    return Model(super_resolution.build(config).eval(), config, {})


@pytest.fixture
def photos(picture):
    """Sharp edges, which bicubic interpolation cannot restore."""
    return [(picture(64, 72, seed) > 0.5).float() for seed in range(3)]


def psnr(a, b):
    return -10 * math.log10((a - b).square().mean().item())


# --- the paper's configuration ---


def test_the_defaults_are_the_papers():
    paper = {
        "factor": 4,
        "loss": "feature",
        "num_steps": 200_000,
        "batch_size": 4,
        "image_size": 288,
        "learning_rate": 1e-3,
        "blur": 1.0,
        "layer": "relu2_2",
        "width": 1.0,
        "num_blocks": 4,
        "norm": "batch",
        "upsampling": "transposed",
        "skip": False,
        "arch": "vgg16",
        "weights": "default",
        "tv_weight": 0.0,
    }
    config = Config()
    assert {name: getattr(config, name) for name in paper} == paper
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.factor = 8


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_the_network_is_the_papers(factor):
    """log2(f) layers of stride 1/2 after four residual blocks, everything of 64 channels."""
    network = super_resolution.build(Config(factor=factor))
    doublings = [module for module in network.modules() if isinstance(module, nn.ConvTranspose2d)]
    assert len(doublings) == int(math.log2(factor))
    assert all(module.stride == (2, 2) and module.out_channels == 64 for module in doublings)
    assert sum(isinstance(module, ResidualBlock) for module in network.modules()) == 4
    assert sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) == 1 + 2 * 4 + len(doublings)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert [(c.kernel_size[0], c.out_channels) for c in convolutions] == [(9, 64)] + [(3, 64)] * 8 + [(9, 3)]


def test_the_fields_in_which_released_fast_and_quick_differ():
    def changed(config, reference):
        return {f.name for f in dataclasses.fields(Config) if getattr(config, f.name) != getattr(reference, f.name)}

    assert changed(Config.released(), Config()) == {"norm"}
    assert not changed(Config.fast(), Config()) & {"factor", "loss", "layer", "arch", "weights", "learning_rate"}
    assert Config.fast().skip
    assert changed(Config.quick(), Config.fast()) <= {"num_steps", "batch_size", "image_size"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("factor", 3),
        ("factor", 1),
        ("loss", "perceptual"),
        ("num_steps", 0),
        ("batch_size", 2.5),
        ("image_size", 290),
        ("image_size", 16),
        ("num_blocks", -1),
        ("accumulate", 0),
        ("learning_rate", math.nan),
        ("width", 0.0),
        ("blur", -1.0),
        ("tv_weight", math.inf),
        ("norm", "layer"),
        ("upsampling", "bicubic"),
        ("arch", "resnet"),
        ("seed", 1.5),
    ],
)
def test_an_invalid_field_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=field):
        Config(**{field: value})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "half"}, "unknown precision 'half'"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({"layer": "relu9_9"}, "vgg16 has no layer .*relu9_9"),
        ({"accumulate": 3}, "a batch of 2 does not divide into 1 × 3"),
        ({"image_size": 80}, "a crop of 80 px needs photos"),
    ],
)
def test_training_refuses_settings_that_contradict_its_data(photos, settings, message):
    with pytest.raises(ValueError, match=message):
        train(photos, tiny(**settings))


# --- the small picture ---


@pytest.mark.parametrize("blur", [0.5, 1.0, 2.0])
def test_the_blur_is_a_gaussian(blur, monkeypatch):
    """Before the reduction, one white pixel becomes exp(−d²/2σ²) / Σ, up to a distance of 3σ."""
    seen = []
    monkeypatch.setattr(super_resolution, "resample", lambda image, *size: seen.append(image) or resize(image, size))
    point = torch.zeros(1, 3, 32, 32)
    point[:, 1, 15, 16] = 1
    reduce(point, 4, blur)
    (blurred,) = seen
    reach = range(-round(3 * blur), round(3 * blur) + 1)
    line = {d: math.exp(-(d**2) / (2 * blur**2)) for d in reach}
    total = sum(line.values())
    for y in range(32):
        for x in range(32):
            expected = line.get(y - 15, 0) * line.get(x - 16, 0) / total**2
            assert blurred[0, 1, y, x].item() == pytest.approx(expected, abs=1e-6)
    assert blurred[0, 0].abs().max() == 0  # colors do not mix
    assert blurred.sum().item() == pytest.approx(1, abs=1e-5)


def test_without_a_blur_it_is_bicubic_interpolation(picture):
    photo = picture(48, 64, 1)
    assert torch.equal(reduce(photo, 4), resize(photo, (12, 16)))
    assert not torch.allclose(reduce(photo, 4, 1.0), resize(photo, (12, 16)), atol=1e-4)


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("blur", [0.0, 1.0])
def test_the_mean_is_kept(picture, factor, blur):
    photo = 0.3 + 0.4 * picture(64, 96, 2)  # away from 0 and 1, where the result is clamped
    small = reduce(torch.cat([photo, 1 - photo]), factor, blur)
    assert small.shape == (2, 3, 64 // factor, 96 // factor)
    torch.testing.assert_close(small.mean((2, 3)), torch.cat([photo, 1 - photo]).mean((2, 3)), rtol=0, atol=5e-3)


def test_sizes_that_are_not_multiples_are_refused():
    for size in ((30, 32), (32, 30)):
        with pytest.raises(
            ValueError, match=rf"{size[0]}×{size[1]} px cannot be reduced 4 times; crop it to multiples of 4"
        ):
            reduce(torch.zeros(1, 3, *size), 4)
    with pytest.raises(ValueError, match="a blur of 3.0 px needs a picture of more than 9 px, got 8×32"):
        reduce(torch.zeros(1, 3, 8, 32), 4, 3.0)


# --- the objective ---


@pytest.mark.parametrize("loss", ["feature", "pixel"])
def test_training_equals_the_papers_equations(photos, loss):
    """Eq. 2 or the mean squared error, with Adam, compared with a plain loop."""
    config = tiny(num_steps=4, loss=loss, tv_weight=0.5, width=0.25)
    history = train(photos, config).facts["history"]
    assert list(history) == ["total", loss, "tv", "seconds"]
    network = super_resolution.build(config).train()
    features = VGGFeatures("vgg16", ["relu2_2"], pooling="max", weights=None)
    crops = Crops(photos, size=32, seed=0, scales=(0.0, 0.5))
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)
    for step in range(4):
        large = torch.stack([crops[k] for _, k in next(order(len(crops), 2, 0, start=step))])
        enlarged = network(reduce(large, 4, 1.0))
        if loss == "pixel":
            term = ((enlarged - large) ** 2).sum() / (2 * 3 * 32 * 32)
        else:
            f, y = features(enlarged)["relu2_2"], features(large)["relu2_2"]
            _, channels, height, width = f.shape
            term = sum(((f[k] - y[k]) ** 2).sum() / (channels * height * width) for k in range(2)) / 2
        smoothness = 0.5 * sum((enlarged.diff(dim=d) ** 2).mean() for d in (2, 3))
        assert history[loss][step] == pytest.approx(term.item(), rel=1e-3)
        assert history["tv"][step] == pytest.approx(smoothness.item(), rel=1e-3)
        assert history["total"][step] == pytest.approx((term + smoothness).item(), rel=1e-3)
        adam.zero_grad()
        (term + smoothness).backward()
        adam.step()


def test_without_total_variation_there_is_one_term(photos):
    model = train(photos, tiny())
    assert list(model.facts["history"]) == ["total", "feature", "seconds"]
    assert model.facts["history"]["total"] == model.facts["history"]["feature"]
    assert model.facts["loss_network"] == "random, seed 0"
    assert train(photos, tiny(loss="pixel")).facts["loss_network"] == "none"


def test_the_pixel_loss_needs_no_loss_network(photos, monkeypatch):
    def never(*arguments, **options):
        raise AssertionError("a loss network was built")

    monkeypatch.setattr(super_resolution, "VGGFeatures", never)
    train(photos, tiny(loss="pixel"))


# --- training ---

LEARNER = {
    "num_steps": 120, "batch_size": 4, "image_size": 32, "width": 0.25, "norm": "none", "upsampling": "resize",
    "skip": True, "blur": 0.0, "learning_rate": 3e-3,
}  # fmt: skip


def test_a_network_with_a_skip_starts_as_bicubic_interpolation(picture):
    for factor in (2, 4, 8):
        small = picture(9, 11, 1)
        result = upscale(small, untrained(factor=factor, image_size=64, skip=True, norm="none"))
        torch.testing.assert_close(result.image, resize(small, (9 * factor, 11 * factor)), rtol=0, atol=1e-6)


def test_pixel_loss_beats_bicubic_interpolation_on_the_training_set(photos):
    model = train(photos, tiny(**LEARNER, loss="pixel"))
    crops = Crops(photos, size=32, scales=(0.0, 0.5))
    large = torch.stack([crops[k] for k in range(24)])
    small = reduce(large, 4)
    bicubic = psnr(resize(small, (32, 32)), large)
    assert psnr(upscale(small, model).image, large) > bicubic + 0.5
    history = model.facts["history"]["pixel"]
    assert history[0] == pytest.approx((resize(small, (32, 32)) - large).square().mean().item(), rel=0.5)
    assert sum(history[-20:]) < 0.95 * sum(history[:20])


@pytest.mark.parametrize("loss", ["feature", "pixel"])
def test_the_papers_network_learns(photos, loss):
    history = train(photos, tiny(num_steps=60, batch_size=4, width=0.5, loss=loss)).facts["history"]["total"]
    assert sum(history[-10:]) < 0.8 * sum(history[:10])


@pytest.mark.slow
def test_the_feature_loss_trades_pixel_error_for_feature_error(photos):
    """As in the paper's tables: from the same start, the feature loss gives a larger pixel error than the pixel loss,
    but relative to it a smaller feature error.
    """
    start = train(photos, tiny(**LEARNER, loss="pixel"))
    settings = {**LEARNER, "num_steps": 60}
    models = {loss: train(photos, tiny(**settings, loss=loss), start=start) for loss in ("feature", "pixel")}
    crops = Crops(photos, size=32, scales=(0.0, 0.5))
    large = torch.stack([crops[k] for k in range(24)])
    network = VGGFeatures("vgg16", ["relu2_2"], pooling="max", weights=None)
    error = {}
    for name, model in models.items():
        enlarged = upscale(reduce(large, 4), model).image
        f, y = network(enlarged)["relu2_2"], network(large)["relu2_2"]
        error[name] = (enlarged - large).square().mean().item(), (f - y).square().mean().item()
    in_pixels, in_features = (error["feature"][k] / error["pixel"][k] for k in range(2))
    assert in_pixels > 1
    assert in_features < 0.95 * in_pixels


# --- the run ---


def test_the_callback_gets_large_pictures(photos):
    shapes, totals = [], []

    def watch(progress):
        shapes.append(progress.image().shape)
        totals.append(progress.losses["total"])

    model = train(photos, tiny(num_steps=3), callback=watch)
    assert shapes == [(1, 3, 32, 32)] * 3
    assert totals == pytest.approx(model.facts["history"]["total"])
    assert (model.facts["steps"], model.facts["photos"], model.facts["device"]) == (3, 3, "cpu")


# --- the forward pass ---


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("size", [(5, 5), (7, 12)])
def test_the_size_is_multiplied(picture, factor, size):
    batch = torch.cat([picture(*size, seed) for seed in range(2)])
    result = upscale(batch, untrained(factor=factor, image_size=64))
    assert result.image.shape == (2, 3, factor * size[0], factor * size[1])
    assert result.image.dtype == torch.float32
    assert result.image.min() >= 0
    assert result.image.max() <= 1
    assert len(result.history["seconds"]) == 1


def test_the_sum_with_the_skip_is_clamped(picture):
    model = untrained(skip=True, norm="none")
    with torch.no_grad():
        model.network.leave.bias.fill_(1000.0)
    assert upscale(picture(8, 8, 1), model).image.min() == 1
    assert upscale(picture(8, 8, 1), model).image.max() == 1


@pytest.mark.parametrize("num_blocks", [1, 4, 12])
@pytest.mark.parametrize(
    "settings", [{}, {"skip": True, "norm": "none", "upsampling": "resize"}, {"norm": "instance", "skip": True}]
)
def test_tiles_equal_the_whole_picture(picture, settings, num_blocks):
    model = untrained(num_blocks=num_blocks, **settings)
    with torch.no_grad():  # the residual branch starts at zero
        model.network.leave.weight.add_(torch.randn(model.network.leave.weight.shape, generator=_seeded()) * 0.05)
    photo = picture(61, 100, 3)
    whole, tiled = (upscale(photo, model, tile=tile).image for tile in (1000, 16))
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-5)


def _seeded():
    return torch.Generator().manual_seed(0)


def test_large_pictures_are_computed_in_tiles_by_default(picture, monkeypatch):
    asked = []

    def by_tiles(network, image, *, tile, **_):
        asked.append(tile)
        return torch.zeros(1, 3, 8, 8)

    monkeypatch.setattr(super_resolution.tiles, "by_tiles", by_tiles)
    for width, tile in ((192, None), (193, None), (40, 40), (41, 40)):
        upscale(picture(8, width, 1), untrained(num_blocks=0), tile=tile)
    assert asked == [192, 40]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.rand(3, 16, 16), r"(?i)got shape \(3, 16, 16\)"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.uint8), "torch.uint8, expected floats"),
        (255 * torch.rand(1, 3, 16, 16), r"expected \[0, 1\]"),
        (torch.rand(1, 3, 4, 16), "sides of at least 5 px"),
    ],
)
def test_invalid_pictures_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        upscale(bad, untrained())


@pytest.mark.parametrize("tile", [0, -1, 2.5, "8", True])
def test_a_tile_is_a_whole_number(picture, tile):
    with pytest.raises(ValueError, match="tile must be a whole number of at least 1, got"):
        upscale(picture(16, 16, 1), untrained(), tile=tile)


@pytest.mark.parametrize("name", ["photo_x4_feature", "photo_x8_pixel"])
def test_each_kind_of_enlarger_enlarges_the_same_in_tiles(name):
    model, photo = load(name), sample_image("eilean_donan", 48)
    whole, tiled = (upscale(photo, model, tile=tile).image for tile in (48, 20))
    torch.testing.assert_close(tiled, whole, rtol=0, atol=0.1 / 255)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
@pytest.mark.parametrize("tile", [None, 8])
def test_photographs_of_other_types_are_converted(picture, dtype, tile):
    model, photo = untrained(), picture(12, 10, 1).to(dtype)
    result = upscale(photo, model, tile=tile).image
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, upscale(photo.float(), model).image, rtol=0, atol=1e-5)


# --- files ---


def test_a_configuration_loads_unchanged(tmp_path):
    config = Config(
        factor=8, loss="pixel", num_steps=7, batch_size=3, image_size=64, learning_rate=0.3, cooldown=0.25, blur=1 / 3,
        layer="relu3_3", pixel_weight=2.0, shift=1,
            tv_weight=1e-5, width=0.1, num_blocks=2, norm="none", upsampling="resize", skip=True,
        arch="vgg19", weights=None, accumulate=3, precision="bfloat16", device="cpu", seed=11,
    )  # fmt: skip
    save(Model(super_resolution.build(config), config, {"photos": 3, "history": {}}), tmp_path / "m.safetensors")
    model = load(tmp_path / "m.safetensors")
    assert model.config == config
    assert model.facts == {"photos": 3, "name": "m"}
    assert not [f.name for f in dataclasses.fields(Config) if getattr(config, f.name) == getattr(Config(), f.name)]
    path = tiny(weights=Path("somewhere") / "vgg16.pth")
    save(Model(super_resolution.build(path), path, {}), tmp_path / "p.safetensors")
    assert load(tmp_path / "p.safetensors").config == dataclasses.replace(path, weights=str(path.weights))
