"""Ulyanov et al. 2016, texture networks: configuration, schedule, noise, tiles, a tiny training, and files.

All tests use a small random loss network and tiny networks.
"""

import dataclasses
import math
from functools import partial

import pytest
import torch
from torch import nn

from course_lib import runtime
from course_lib.losses import gram_matrix
from course_lib.methods import gatys, texture_nets
from course_lib.methods.texture_nets import Config, Model, Noise, draw_noise, load, save, schedule, train
from course_lib.pretrained.vgg import VGGFeatures

TINY = {
    "num_steps": 2, "batch_size": 2, "image_size": 32, "style_size": 32, "num_scales": 3, "width": 2, "weights": None,
    "norm": "instance", "precision": "float32", "device": "cpu",
}  # fmt: skip
generate = partial(texture_nets.generate, device="cpu", precision="float32")


def tiny(**settings):
    return Config(**{**TINY, **settings})


def untrained(**settings):
    config = tiny(**settings)
    return Model(texture_nets.build(config).eval(), config, {})


def noise(height=32, width=48, count=1, seed=0):
    return draw_noise(count, height, width, 3, torch.Generator().manual_seed(seed))


def stripes(size=32):
    """Red and blue stripes, four pixels wide."""
    band = (torch.arange(size) // 4 % 2).float().expand(size, size)
    return torch.stack((band, torch.full_like(band, 0.2), 1 - band))[None]


# --- the paper's configuration ---


def test_the_defaults_are_the_papers():
    paper = {
        "num_steps": 2000,
        "batch_size": 16,
        "image_size": 256,
        "learning_rate": 0.1,
        "decay": 0.7,
        "style_layers": ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
        "num_scales": 5,
        "width": 8,
        "norm": "batch",
        "arch": "vgg19",
        "weights": "default",
    }
    config = Config()
    assert {name: getattr(config, name) for name in paper} == paper
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.width = 16


def test_the_network_is_the_papers():
    """Noise of 16 to 256 px; 8 channels for each, 8 to 40 in the joined blocks, whose filters are about 65,000."""
    config = Config()
    network = texture_nets.build(config)
    assert [tuple(z.shape[1:]) for z in Noise(config.image_size, config.num_scales, 0)[0]] == [
        (16, 16), (32, 32), (64, 64), (128, 128), (256, 256),
    ]  # fmt: skip
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    wide = [(c.kernel_size[0], c.out_channels) for c in convolutions]
    assert wide == [(3, 8), (3, 8), (1, 8)] * 5 + [
        (k, c) for c in (16, 24, 32, 40) for k in (3, 3, 1)
    ] + [(1, 3)]  # fmt: skip
    assert sum(parameter.numel() for parameter in network.parameters()) == 71_203


def test_xavier_initialization():
    """Uniform on ±√(6 / (fan in + fan out)): Glorot & Bengio 2010, Eq. 16."""
    network = texture_nets.build(Config())
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            area = module.kernel_size[0] ** 2
            bound = math.sqrt(6 / (area * (module.in_channels + module.out_channels)))
            assert 0.8 * bound < module.weight.abs().max() <= bound


def test_the_learning_rate_falls_as_in_the_paper():
    """By the factor 0.7 at iteration 1,000 and then every 200 iterations."""
    falls = schedule(Config())
    for step in range(2000):
        assert falls(step, 2000) == pytest.approx(0.7 ** (0 if step < 1000 else 1 + (step - 1000) // 200))


def test_the_learning_rate_of_the_released_code():
    """By the factor 0.8 every 2,000 of 50,000 iterations."""
    config = Config.released()
    falls = schedule(config)
    for step in (0, 1999, 2000, 3999, 4000, 49_999):
        assert falls(step, config.num_steps) == pytest.approx(0.8 ** (step // 2000))


def test_a_rate_that_falls_at_every_step_or_never():
    assert [schedule(Config(decay=0.5, decay_start=0, decay_every=1e-9))(step, 4) for step in range(4)] == [
        0.5, 0.25, 0.125, 0.0625,
    ]  # fmt: skip
    assert {schedule(Config(decay_start=1.0))(step, 7) for step in range(7)} == {1.0}


def test_the_fields_in_which_released_fast_and_quick_differ():
    def changed(config, reference):
        return {f.name for f in dataclasses.fields(Config) if getattr(config, f.name) != getattr(reference, f.name)}

    assert changed(Config.released(), Config()) == {
        "num_steps", "batch_size", "learning_rate", "decay", "decay_start", "decay_every", "style_layers", "num_scales",
        "norm",
    }  # fmt: skip
    assert not changed(Config.fast(), Config()) & {"num_scales", "width", "arch", "weights", "style_layers"}
    assert changed(Config.quick(), Config.fast()) == {"num_steps"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_steps", 0),
        ("batch_size", 1.5),
        ("image_size", 31),
        ("style_size", 4),
        ("num_scales", 0),
        ("num_scales", 9),
        ("width", 0),
        ("learning_rate", math.nan),
        ("decay", 0.0),
        ("decay", 1.1),
        ("decay_start", -0.1),
        ("decay_every", 0.0),
        ("style_layers", ()),
        ("style_layer_weights", "even"),
        ("style_layer_weights", (1.0, 2.0)),
        ("norm", "none"),
        ("pooling", "median"),
        ("arch", "resnet"),
        ("seed", -1),
    ],
)
def test_an_invalid_field_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=field):
        Config(**{field: value})


# --- noise ---


def test_noise_is_uniform_and_never_the_same():
    data = Noise(64, 3, seed=0)
    assert len(data) == 1
    for epoch in (0, 1):
        values = torch.cat([z.flatten() for z in data.item(epoch, 0)])
        assert values.min() >= 0
        assert values.max() <= 1
        assert values.mean() == pytest.approx(0.5, abs=0.01)
        assert values.var() == pytest.approx(1 / 12, abs=0.003)
    first, second, again = data.item(0, 0), data.item(1, 0), Noise(64, 3, seed=0).item(1, 0)
    assert all(torch.equal(a, b) for a, b in zip(second, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(Noise(64, 3, seed=1).item(0, 0)[0], first[0])


def test_each_picture_of_a_batch_and_each_step_has_its_own_noise():
    """The loss of every step is another one although no weight changes."""
    still = train(stripes(), tiny(num_steps=4, learning_rate=1e-20))
    assert len({*still.facts["history"]["total"]}) == 4


# --- the loss ---


def test_the_loss_is_that_of_an_optimized_texture():
    """One texture under both objectives: the mean over layers of the size-independent style terms."""
    texture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    for layers, weights in ((("relu1_1", "relu2_1"), (1.0, 3.0)), (("relu1_1", "relu3_1"), "equal")):
        shared = {
            "style_layers": layers, "style_layer_weights": weights, "weights": None, "precision": "float32",
            "device": "cpu",
        }  # fmt: skip
        ours = texture_nets.objective(stripes(), Config(**shared, style_size=32))
        theirs = gatys.objective(None, stripes(), gatys.Config(**shared, style_weight=1.0))
        terms = {name: value for name, (value, _) in theirs.dissect(texture).items()}
        assert dict(zip(ours.names, ours(texture).tolist(), strict=True)) == pytest.approx(terms)


def test_the_loss_by_hand():
    """1/(4 N²) Σ (G − A)² of each layer, with Gram matrices that are means over the positions."""
    config = tiny(style_layers=("relu1_1", "relu2_1"), style_layer_weights=(1, 3), pooling="max")
    texture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    network = VGGFeatures("vgg19", config.style_layers, pooling="max", weights=None)
    expected = []
    for share, layer in zip((0.25, 0.75), config.style_layers, strict=True):
        ours, theirs = (gram_matrix(network(x)[layer], mean=True)[0] for x in (texture, stripes()))
        expected.append(share * ((ours - theirs) ** 2).sum().item() / (4 * len(ours) ** 2))
    assert texture_nets.objective(stripes(), config)(texture).tolist() == pytest.approx(expected, rel=1e-4)


# --- training ---


def test_training_brings_the_texture_nearer_to_its_example():
    """For noise that was not in the training, and by the loss of the whole run, not of one step."""
    config = tiny(num_steps=60, learning_rate=0.01)
    model = train(stripes(), config)
    loss = texture_nets.objective(stripes(), config)
    before, after = (
        loss(generate(8, each, size=(32, 48), seed=99).image).sum().item() for each in (untrained(), model)
    )
    assert after < 0.25 * before
    total = model.facts["history"]["total"]
    assert sum(total[-10:]) < 0.25 * sum(total[:10])


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_the_colors_are_learned(norm):
    """The mean color is the easiest statistic."""
    color = torch.tensor([0.9, 0.5, 0.1]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    model = train(color, tiny(num_steps=80, learning_rate=0.03, norm=norm))
    mean = generate(4, model, seed=7).image.mean((0, 2, 3))
    assert mean[0] > mean[1] > mean[2]
    assert (mean - color[0, :, 0, 0]).abs().max() < 0.15


def test_a_callback_sees_colors_in_0_and_1():
    shown = []
    train(stripes(), tiny(num_steps=2), callback=lambda progress: shown.append(progress.image()))
    assert [tuple(image.shape) for image in shown] == [(1, 3, 32, 32)] * 2
    assert all(image.min() >= 0 and image.max() <= 1 for image in shown)


def test_a_batch_in_parts_gives_the_same_run():
    whole, parts = (train(stripes(), tiny(accumulate=accumulate)) for accumulate in (1, 2))
    assert whole.facts["history"]["total"] == pytest.approx(parts.facts["history"]["total"], rel=1e-4)


# --- making textures ---


@pytest.mark.parametrize(
    ("size", "expected"), [(None, (32, 32)), (40, (40, 40)), ((33, 57), (33, 57)), ([8, 9], (8, 9))]
)
def test_any_size(size, expected):
    image = generate(2, untrained(), size=size).image
    assert image.shape == (2, 3, *expected)
    assert image.min() >= 0
    assert image.max() <= 1


def test_the_seed_sets_the_noise():
    model = untrained()
    one, same, other = (generate(1, model, seed=seed).image for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    given = draw_noise(1, 32, 32, 3, torch.Generator().manual_seed(3))
    assert torch.equal(generate(given, model).image, one)


def test_a_texture_does_not_depend_on_those_made_with_it():
    model, given = untrained(), noise(count=3)
    together = generate(given, model).image
    alone = generate([z[1:2] for z in given], model).image
    assert torch.equal(together[1:2], alone)


def test_textures_tile():
    """Moved noise gives the moved texture, so what lies across the border is what the texture continues with."""
    model, given = untrained(), noise()
    texture = generate(given, model).image
    moved = generate([z.roll((3 * 2**k, -2 * 2**k), (2, 3)) for k, z in enumerate(given)], model).image
    torch.testing.assert_close(moved, texture.roll((12, -8), (2, 3)), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (0, {}, "count_or_noise must be a whole number of at least 1"),
        ("4", {}, "count_or_noise must be a whole number"),
        (noise(), {"size": 32}, "the noise has a size already"),
        (noise()[1:], {}, "expected 3 float tensors"),
        (noise()[0], {}, "expected 3 float tensors of noise .* got Tensor"),
        ([z * math.nan for z in noise()], {}, "not finite"),
        (noise(4, 4), {}, "at least 8 px, got 4×4"),
        (1, {"size": 7}, "size must be a whole number of at least 8, got 7"),
        (1, {"size": (32, 32, 3)}, "size must be a whole number or two, height and width"),
        (1, {"size": "large"}, "size must be a whole number"),
        (1, {"seed": -1}, "seed must be"),
    ],
)
def test_other_input_is_refused(given, options, message):
    with pytest.raises(ValueError, match=message):
        generate(given, untrained(), **options)


def test_what_does_not_fit_is_refused_before_any_work(monkeypatch):
    """25 bytes a pixel and channel of the last block, and 40 a pixel for noise and texture: here 190 a pixel."""
    monkeypatch.setattr(runtime, "available_memory", lambda device: 190 * 100**2)
    assert generate(1, untrained(), size=100).image.shape[-1] == 100
    with pytest.raises(MemoryError, match="the largest that fits has a long side of 100 px"):
        generate(1, untrained(), size=101)
    with pytest.raises(MemoryError, match="200×200 px"):
        generate(noise(200, 200), untrained())


def test_a_picture_is_no_texture_model():
    with pytest.raises(TypeError, match="model must be what texture_nets.train or texture_nets.load returns"):
        generate(1, stripes())


# --- files ---


def test_a_file_of_half_precision_is_small(tmp_path):
    """The paper's generator: 71,203 numbers, most of them filters in 16 bits."""
    model = Model(texture_nets.build(Config()).eval(), Config(), {})
    save(model, tmp_path / "texture.safetensors", half=True)
    assert (tmp_path / "texture.safetensors").stat().st_size < 200_000
    assert load(tmp_path / "texture.safetensors").config == Config()
