"""Huang & Belongie 2017, training: configuration, objective, what is trained, and runs that go the right way.

All tests use a small random encoder and narrow decoders.
"""

import dataclasses
import math
from dataclasses import replace

import pytest
import torch

from course_lib import VGGFeatures, save_image
from course_lib.data.content_and_style import ContentAndStyle
from course_lib.images import ImageError
from course_lib.losses.feature_statistics import statistics_loss
from course_lib.methods import adain
from course_lib.methods.adain import Config, train
from course_lib.training.batches import order

TINY = {
    "num_steps": 3, "batch_size": 2, "image_size": 32, "load_size": 40, "width": 0.25, "weights": None,
    "precision": "float32", "device": "cpu",
}  # fmt: skip
SHALLOW = {"layer": "relu3_1", "style_layers": ("relu1_1", "relu2_1", "relu3_1")}


def tiny(**settings):
    return Config(**{**TINY, **settings})


def learner(**settings):
    """Settings under which the loss falls within seconds."""
    return tiny(**{"num_steps": 50, "learning_rate": 3e-3, "decay": 0.0, **SHALLOW, **settings})


@pytest.fixture
def photos(picture):
    return [picture(48, 64, seed) for seed in range(3)]


@pytest.fixture
def styles(picture):
    return [(picture(50, 42, seed) > 0.5).float() for seed in (8, 9)]


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def test_the_callers_autocast_changes_nothing(styles, photos):
    expected = train(styles, photos, tiny()).facts["history"]
    with torch.autocast("cpu", torch.bfloat16):
        history = train(styles, photos, tiny()).facts["history"]
    assert history["total"] == expected["total"]


# --- the paper's configuration ---


def test_the_defaults_are_the_papers_and_the_authors():
    expected = {
        "num_steps": 160_000,
        "batch_size": 8,
        "load_size": 512,
        "image_size": 256,
        "mirror": False,
        "learning_rate": 1e-4,
        "decay": 5e-5,
        "cooldown": 0.0,
        "content_weight": 1.0,
        "style_weight": 1e-2,
        "convention": "sums",
        "layer": "relu4_1",
        "style_layers": ("relu1_1", "relu2_1", "relu3_1", "relu4_1"),
        "width": 1.0,
        "weights": "normalized",
    }
    config = Config()
    assert {name: getattr(config, name) for name in expected} == expected
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.num_steps = 3


def test_fast_and_quick_change_the_run_and_not_what_is_minimized():
    objective = {"content_weight", "style_weight", "convention", "weights", "width"}
    for config in (Config.fast(), Config.quick()):
        changed = {f.name for f in dataclasses.fields(Config) if getattr(config, f.name) != getattr(Config(), f.name)}
        assert not changed & objective
    assert Config.fast().layer == "relu4_1"
    quick = Config.quick()
    assert quick.layer == "relu3_1"
    assert quick.style_layers == ("relu1_1", "relu2_1", "relu3_1")  # what the shallow encoder computes anyway


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_steps", 0),
        ("batch_size", 1.5),
        ("image_size", 15),
        ("load_size", 15),
        ("mirror", "yes"),
        ("learning_rate", 0.0),
        ("decay", -1e-5),
        ("cooldown", 1.5),
        ("content_weight", -1.0),
        ("style_weight", math.nan),
        ("convention", "mean"),
        ("layer", "relu4_2"),
        ("style_layers", "relu1_1"),
        ("width", 0.0),
        ("accumulate", 0),
        ("seed", -1),
    ],
)
def test_an_invalid_field_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=field):
        Config(**{field: value})


# --- the objective ---


def encoder(config):
    return VGGFeatures("vgg19", config.style_layers, pooling="max", padding="reflect", weights=None)


def by_hand(styles, photos, config):
    """The training written out: plain autograd, one pair at a time, Adam with the decaying rate."""
    f, decoder = encoder(config), adain.build(config)
    data = ContentAndStyle(
        photos, styles, size=config.image_size, load_size=config.load_size, mirror=config.mirror, seed=config.seed
    )
    adam = torch.optim.Adam(decoder.parameters(), lr=config.learning_rate)
    rows = []
    for step in range(config.num_steps):
        chosen = next(order(len(data), config.batch_size, config.seed, start=step))
        terms = []
        for photo, painting in (data.item(*place) for place in chosen):
            content, style = (f(x[None]) for x in (photo, painting))
            c, s = content[config.layer].flatten(2), style[config.layer].flatten(2)
            deviation = [(x.var(2, unbiased=False, keepdim=True) + eps).sqrt() for x, eps in ((c, 1e-5), (s, 0))]
            t = deviation[1] * (c - c.mean(2, keepdim=True)) / deviation[0] + s.mean(2, keepdim=True)  # Eq. 8
            t = t.view_as(content[config.layer])
            found = f(decoder(t))
            losses = [(found[config.layer] - t).square().mean()]
            losses += [config.style_weight * statistics_loss(found[layer], style[layer]) for layer in f.layers]
            terms.append(torch.stack(losses))
        row = torch.stack(terms).mean(0)
        for group in adam.param_groups:
            group["lr"] = config.learning_rate / (1 + config.decay * step)
        adam.zero_grad()
        row.sum().backward()
        adam.step()
        rows.append(row.tolist())
    return decoder, rows


@pytest.mark.parametrize("settings", [{}, SHALLOW], ids=["relu4_1", "relu3_1"])
def test_training_is_the_papers_algorithm(styles, photos, settings):
    config = tiny(decay=0.5, style_weight=0.3, **settings)
    model = train(styles, photos, config)
    decoder, rows = by_hand(styles, photos, config)
    history = model.facts["history"]
    names = [f"content/{config.layer}", *(f"style/{layer}" for layer in config.style_layers)]
    assert set(history) == {*names, "total", "seconds"}
    for step, row in enumerate(rows):
        assert [history[name][step] for name in names] == pytest.approx(row, rel=2e-4)
    ours, theirs = (torch.cat([w.flatten() for w in g.parameters()]) for g in (model.network, decoder))
    # Adam divides by the gradient's size, so where a gradient is almost 0, rounding decides the step's sign
    assert ((ours - theirs).abs() > 2e-5).float().mean() < 2e-3


def test_accumulated_parts_give_the_same_step(styles, photos):
    whole, parts = (train(styles, photos, tiny(num_steps=1, batch_size=4, accumulate=n, **SHALLOW)) for n in (1, 2))
    for name in ("total", "content/relu3_1"):
        assert parts.facts["history"][name] == pytest.approx(whole.facts["history"][name], rel=1e-5)


def test_the_conventions_differ_by_the_channels(styles, photos):
    """The random encoder has 8, 16 and 32 channels: sums are so many times the means, up to M / (M − 1)."""
    sums, means = (train(styles, photos, tiny(num_steps=1, convention=kind, **SHALLOW)) for kind in ("sums", "means"))
    for layer, channels in (("relu1_1", 8), ("relu2_1", 16), ("relu3_1", 32)):
        ratio = sums.facts["history"][f"style/{layer}"][0] / means.facts["history"][f"style/{layer}"][0]
        assert ratio == pytest.approx(channels, rel=0.02)


def test_the_encoder_is_not_trained(styles, photos):
    config = tiny(**SHALLOW)
    before = [value.clone() for value in adain.objective(config, torch.device("cpu")).network.parameters()]
    train(styles, photos, config)
    after = [*adain.objective(config, torch.device("cpu")).network.parameters()]
    assert all(torch.equal(a, b) and not b.requires_grad for a, b in zip(before, after, strict=True))


# --- learning ---


@pytest.mark.parametrize("convention", ["sums", "means"])
def test_the_loss_falls_and_so_does_its_style_part(styles, photos, convention):
    weight = 1.0 if convention == "means" else 0.05
    history = train(styles, photos, learner(convention=convention, style_weight=weight)).facts["history"]
    style = [sum(history[name][k] for name in history if name.startswith("style/")) for k in range(50)]
    assert mean(history["total"][-10:]) < 0.6 * mean(history["total"][:5])
    assert mean(style[-10:]) < 0.6 * mean(style[:5])


def test_without_a_style_loss_the_decoder_learns_to_invert_the_encoder(styles, photos):
    history = train(styles, photos, learner(style_weight=0.0)).facts["history"]
    assert mean(history["content/relu3_1"][-10:]) < 0.9 * mean(history["content/relu3_1"][:5])


def test_a_trained_decoder_brings_the_pictures_statistics_nearer_to_the_paintings(styles, photos):
    config = learner(style_weight=0.05)
    trained = train(styles, photos, config)
    untrained = adain.Model(adain.build(config).eval(), config, {})
    f = encoder(config)

    def distance(model, style):
        image = adain.stylize(photos[0], style, model, device="cpu", precision="float32").image
        pair = f(image), f(style)
        return sum(statistics_loss(pair[0][layer], pair[1][layer]).item() for layer in f.layers)

    for style in styles:
        assert distance(trained, style) < 0.5 * distance(untrained, style)


def test_the_learning_rate_follows_decay_and_cooldown(styles, photos, monkeypatch):
    rates = []
    monkeypatch.setattr("course_lib.training.loop.set_learning_rates", lambda _, __, factor: rates.append(factor))
    train(styles, photos, tiny(num_steps=4, decay=0.5, cooldown=0.5, **SHALLOW))
    assert rates == pytest.approx([1, 1 / 1.5, 1 / 2, 1 / 2.5 / 2])  # the last step is half way down


def test_a_decoder_of_another_width_and_from_another_start(styles, photos):
    narrow = train(styles, photos, tiny(width=0.1, **SHALLOW))
    again = train(styles, photos, tiny(width=0.1, learning_rate=1e-12, **SHALLOW), start=narrow)
    torch.testing.assert_close([*again.network.parameters()], [*narrow.network.parameters()], rtol=0, atol=1e-7)
    with pytest.raises(ValueError, match=r"the model to start from has width=0.1, not 0.25"):
        train(styles, photos, tiny(**SHALLOW), start=narrow)
    with pytest.raises(ValueError, match="the model to start from has layer='relu3_1', not 'relu4_1'"):
        train(styles, photos, tiny(width=0.1), start=narrow)


def test_a_start_for_another_encoder_is_refused(styles, photos):
    """A decoder of the real encoder has eight times the channels that the random one returns."""
    config = tiny(width=0.1, weights="normalized", **SHALLOW)
    start = adain.Model(adain.build(config), config, {})
    with pytest.raises(ValueError, match="the model to start from has channels=256, not 32"):
        train(styles, photos, replace(config, weights=None), start=start)


# --- data ---


def test_styles_are_pictures_a_folder_or_the_packages_paintings(styles, photos, tmp_path):
    for k, style in enumerate(styles):
        save_image(style, tmp_path / f"{k}.png")
    config = tiny(num_steps=1, **SHALLOW)
    given, folder, package = (train(each, photos, config) for each in (styles, tmp_path, None))
    assert [model.facts["styles"] for model in (given, folder, package)] == [2, 2, 15]
    assert folder.facts["history"]["total"] == pytest.approx(given.facts["history"]["total"], rel=1e-4)


def test_the_preview_is_what_the_callback_shows(styles, photos, picture):
    photo, painting = picture(24, 36, 4), picture(20, 20, 5)
    shown = []
    model = train(
        styles, photos, tiny(num_steps=2, **SHALLOW), preview=(photo, painting),
        callback=lambda progress: shown.append(progress.image()),
    )  # fmt: skip
    assert [image.shape for image in shown] == [(1, 3, 24, 36)] * 2
    expected = adain.stylize(photo, painting, model, device="cpu", precision="float32").image
    torch.testing.assert_close(shown[-1], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"styles": []}, ValueError, "the paintings: there are no"),
        ({"photos": [torch.rand(1, 3, 20, 40)]}, ValueError, r"a crop of 32 px needs photos .* \(1, 3, 20, 40\)"),
        ({"load_size": 24}, ValueError, "load_size must be at least the crop's 32 px, got 24"),
        ({"style_layers": ("relu9_1",)}, ValueError, "vgg19 has no layer"),
        ({"accumulate": 3}, ValueError, "a batch of 2 does not divide into 1 × 3"),
        ({"preview": (torch.rand(1, 3, 24, 24), torch.rand(3, 24, 24))}, ImageError, "the painting of the preview"),
        ({"preview": torch.rand(1, 3, 24, 24)}, ValueError, "the preview must be a photo and a painting, got Tensor"),
    ],
)
def test_what_cannot_be_trained_is_refused(styles, photos, change, error, message):
    given = {"styles": styles, "photos": photos, **change}
    settings = {name: given.pop(name) for name in change if name not in ("styles", "photos", "preview")}
    with pytest.raises(error, match=message):
        train(**given, config=tiny(**settings))
