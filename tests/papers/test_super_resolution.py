"""Johnson, Alahi & Fei-Fei 2016, super-resolution: the configuration, the reduction, both losses, files.

Everything runs on a small random loss network and tiny networks.
"""

import dataclasses
import math
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from course_lib import VGGFeatures
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
    """Sharp edges, which bicubic interpolation does not bring back."""
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


def test_released_fast_and_quick_differ_where_they_say():
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
        ("batch_size", 2.0),
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
def test_a_bad_field_is_refused_by_name(field, value):
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
def test_what_only_the_run_can_know_is_refused_by_it(photos, settings, message):
    with pytest.raises(ValueError, match=message):
        train(photos, tiny(**settings))


# --- the small picture ---


@pytest.mark.parametrize("blur", [0.5, 1.0, 2.0])
def test_the_blur_is_a_gaussian(blur, monkeypatch):
    """One white pixel becomes exp(−d²/2σ²) / Σ, three σ far, before the reduction."""
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
    photo = 0.3 + 0.4 * picture(64, 96, 2)  # away from 0 and 1, where bicubic interpolation is cut off
    small = reduce(torch.cat([photo, 1 - photo]), factor, blur)
    assert small.shape == (2, 3, 64 // factor, 96 // factor)
    torch.testing.assert_close(small.mean((2, 3)), torch.cat([photo, 1 - photo]).mean((2, 3)), rtol=0, atol=5e-3)


def test_sizes_that_do_not_fit_are_refused():
    for size in ((30, 32), (32, 30)):
        with pytest.raises(
            ValueError, match=rf"{size[0]}×{size[1]} px cannot be reduced 4 times; crop it to multiples of 4"
        ):
            reduce(torch.zeros(1, 3, *size), 4)
    with pytest.raises(ValueError, match="a blur of 3.0 px needs a picture of more than 9 px, got 8×32"):
        reduce(torch.zeros(1, 3, 8, 32), 4, 3.0)


# --- the objective ---


@pytest.mark.parametrize("loss", ["feature", "pixel"])
def test_the_training_is_the_papers_written_out(photos, loss):
    """Eq. 2 or the mean squared error, with Adam, beside a plain loop."""
    config = tiny(num_steps=4, loss=loss, tv_weight=0.5, width=0.25)
    history = train(photos, config).facts["history"]
    assert list(history) == ["total", loss, "tv", "seconds"]
    network = super_resolution.build(config).train()
    features = VGGFeatures("vgg16", ["relu2_2"], pooling="max", weights=None)
    crops = Crops(photos, size=32, seed=0, scales=(0.0, 0.5))
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)
    for step in range(4):
        large = torch.stack([crops[k] for _, k in next(order(len(crops), 2, 0, start=step))])
        found = network(reduce(large, 4, 1.0))
        if loss == "pixel":
            term = ((found - large) ** 2).sum() / (2 * 3 * 32 * 32)
        else:
            f, y = features(found)["relu2_2"], features(large)["relu2_2"]
            _, channels, height, width = f.shape
            term = sum(((f[k] - y[k]) ** 2).sum() / (channels * height * width) for k in range(2)) / 2
        smoothness = 0.5 * sum((found.diff(dim=d) ** 2).mean() for d in (2, 3))
        assert history[loss][step] == pytest.approx(term.item(), rel=1e-3)
        assert history["tv"][step] == pytest.approx(smoothness.item(), rel=1e-3)
        assert history["total"][step] == pytest.approx((term + smoothness).item(), rel=1e-3)
        adam.zero_grad()
        (term + smoothness).backward()
        adam.step()


def test_without_smoothness_there_is_one_term(photos):
    model = train(photos, tiny())
    assert list(model.facts["history"]) == ["total", "feature", "seconds"]
    assert model.facts["history"]["total"] == model.facts["history"]["feature"]
    assert model.facts["loss_network"] == "random, seed 0"
    assert train(photos, tiny(loss="pixel")).facts["loss_network"] == "none"


def test_pixels_need_no_loss_network(photos, monkeypatch):
    def never(*arguments, **options):
        raise AssertionError("a loss network was built")

    monkeypatch.setattr(super_resolution, "VGGFeatures", never)
    train(photos, tiny(loss="pixel"))


# --- learning ---

LEARNER = {
    "num_steps": 120, "batch_size": 4, "image_size": 32, "width": 0.25, "norm": "none", "upsampling": "resize",
    "skip": True, "blur": 0.0, "learning_rate": 3e-3,
}  # fmt: skip


def test_with_a_skip_it_starts_as_bicubic_interpolation(picture):
    for factor in (2, 4, 8):
        small = picture(9, 11, 1)
        found = upscale(small, untrained(factor=factor, image_size=64, skip=True, norm="none"))
        torch.testing.assert_close(found.image, resize(small, (9 * factor, 11 * factor)), rtol=0, atol=1e-6)


def test_pixel_loss_beats_bicubic_interpolation_on_what_it_learned(photos):
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
def test_features_and_pixels_pull_apart(photos):
    """From the same start: the lesson of the paper's tables. Features cost pixels, and are better at features than
    that cost would let one expect.
    """
    start = train(photos, tiny(**LEARNER, loss="pixel"))
    settings = {**LEARNER, "num_steps": 60}
    models = {loss: train(photos, tiny(**settings, loss=loss), start=start) for loss in ("feature", "pixel")}
    crops = Crops(photos, size=32, scales=(0.0, 0.5))
    large = torch.stack([crops[k] for k in range(24)])
    network = VGGFeatures("vgg16", ["relu2_2"], pooling="max", weights=None)
    error = {}
    for name, model in models.items():
        found = upscale(reduce(large, 4), model).image
        f, y = network(found)["relu2_2"], network(large)["relu2_2"]
        error[name] = (found - large).square().mean().item(), (f - y).square().mean().item()
    in_pixels, in_features = (error["feature"][k] / error["pixel"][k] for k in range(2))
    assert in_pixels > 1
    assert in_features < 0.95 * in_pixels


# --- the run ---


def test_the_callback_sees_large_pictures(photos):
    shapes, totals = [], []

    def watch(progress):
        shapes.append(progress.image().shape)
        totals.append(progress.losses["total"])

    model = train(photos, tiny(num_steps=3), callback=watch)
    assert shapes == [(1, 3, 32, 32)] * 3
    assert totals == pytest.approx(model.facts["history"]["total"])
    assert (model.facts["steps"], model.facts["photos"], model.facts["device"]) == (3, 3, "cpu")


# --- one pass ---


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


def test_what_a_skip_adds_is_cut_off_at_black_and_white(picture):
    model = untrained(skip=True, norm="none")
    with torch.no_grad():
        model.network.leave.bias.fill_(1000.0)
    assert upscale(picture(8, 8, 1), model).image.min() == 1
    assert upscale(picture(8, 8, 1), model).image.max() == 1


@pytest.mark.parametrize("num_blocks", [1, 4, 12])
@pytest.mark.parametrize("settings", [{}, {"skip": True, "norm": "none", "upsampling": "resize"}])
def test_in_tiles_it_is_the_same(picture, settings, num_blocks):
    model = untrained(num_blocks=num_blocks, **settings)
    with torch.no_grad():  # so that the skip's other branch says something
        model.network.leave.weight.add_(torch.randn(model.network.leave.weight.shape, generator=_seeded()) * 0.05)
    photo = picture(61, 100, 3)
    whole, tiled = (upscale(photo, model, tile=tile).image for tile in (1000, 16))
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-5)


def _seeded():
    return torch.Generator().manual_seed(0)


def test_large_pictures_come_in_tiles_unasked(picture):
    sizes = []
    model = untrained()
    model.network.register_forward_pre_hook(lambda module, inputs: sizes.append(tuple(inputs[0].shape[-2:])))
    upscale(picture(8, 500, 1), model)
    halo = model.network.halo
    assert sizes == [(8, 192 + halo), (8, 192 + 2 * halo), (8, 500 - 2 * 192 + halo)]


def test_instance_normalization_keeps_the_whole(picture):
    """Its statistics are the whole picture's, so parts would not fit together."""
    model = untrained(norm="instance")
    photo = picture(40, 60, 2)
    assert torch.equal(upscale(photo, model, tile=16).image, upscale(photo, model).image)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.rand(3, 16, 16), r"Got shape \(3, 16, 16\)"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.uint8), "torch.uint8, expected floats"),
        (255 * torch.rand(1, 3, 16, 16), r"expected \[0, 1\]"),
        (torch.rand(1, 3, 4, 16), "sides of at least 5 px"),
    ],
)
def test_what_is_no_picture_is_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        upscale(bad, untrained())


def test_a_tile_of_nothing_is_refused(picture):
    with pytest.raises(ValueError, match="tile"):
        upscale(picture(16, 16, 1), untrained(), tile=0)


# --- files ---


def test_the_configuration_comes_back_exactly(tmp_path):
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
