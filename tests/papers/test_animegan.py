"""Chen, Liu & Chen 2019, AnimeGAN, and Chen, Lai & Liu 2018, CartoonGAN: configurations, the losses of a step.

All tests use tiny networks at 32 px, and a random loss network.
"""

import ast
import inspect
from dataclasses import replace

import pytest
import torch

from course_lib.data.cartoon import PhotosAndCartoons, edges_blurred
from course_lib.images import ImageError
from course_lib.losses.cartoon import gray
from course_lib.methods import animegan
from course_lib.methods.animegan import (
    Config,
    Model,
    Players,
    build,
    build_discriminator,
    train,
    train_step,
    translate,
)

TINY = {
    "version": "v2", "num_epochs": 2, "init_epochs": 1, "batch_size": 2, "image_size": 32, "load_size": None,
    "mirror": False, "tv_weight": 1.0, "width": 0.1, "num_blocks": 1, "weights": None, "precision": "float32",
    "device": "cpu",
}  # fmt: skip
CARTOONGAN = {
    "version": "cartoongan", "adv_weight": 1.0, "content_weight": 10.0, "style_weight": 0.0, "color_weight": 0.0,
    "tv_weight": 0.0, "gray_weight": 0.0, "edge_weight": 1.0, "gray_edges": False, "objective": "non-saturating",
}  # fmt: skip


def tiny(**settings):
    return Config(**{**TINY, **settings})


def players(config, init_steps=0):
    return Players(config, build(config), build_discriminator(config), init_steps)


def pictures(count, seed=0, size=32):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def batch():
    """Photos, cartoons, and the cartoons with blurred edges."""
    cartoons = pictures(2, 1)
    return pictures(2), cartoons, edges_blurred(cartoons)


def weights_of(network):
    return torch.cat([parameter.detach().flatten().clone() for parameter in network.parameters()])


# --- the papers' tables
def test_the_default_is_that_of_the_release():
    config = Config()
    assert (config.version, config.num_epochs, config.init_epochs, config.batch_size) == ("v1", 101, 5, 6)
    assert (config.adv_weight, config.content_weight, config.style_weight, config.color_weight) == (300, 1.5, 3, 10)
    assert (config.tv_weight, config.gray_weight, config.edge_weight, config.gray_edges) == (0, 1, 0.1, True)
    rates = [config.learning_rate * factor for factor in (config.rate_init, 1, config.rate_D)]
    assert rates == pytest.approx([1e-4, 8e-5, 16e-5])


def test_version_2_and_cartoongan_are_those_of_their_releases():
    config = Config.v2()
    assert (config.init_epochs, config.batch_size, config.style_weight, config.tv_weight) == (10, 12, 2.5, 1)
    assert [1.7 * x for x in (1, config.gray_weight, config.edge_weight)] == pytest.approx([1.7, 1.7, 1.0])
    rates = [config.learning_rate * factor for factor in (config.rate_init, 1, config.rate_D)]
    assert rates == pytest.approx([2e-4, 2e-5, 4e-5])
    config = Config.cartoongan()
    assert (config.content_weight, config.adv_weight, config.objective) == (10, 1, "non-saturating")
    learner = players(replace(config, width=0.05, num_blocks=0, weights=None))
    assert learner.names == ["D_real", "D_fake", "D_edges", "G", "content"]


def test_a_step_has_at_most_thirty_lines():
    (function,) = ast.parse(inspect.getsource(train_step)).body
    body = [node for node in function.body if not isinstance(getattr(node, "value", None), ast.Constant)]
    assert body[-1].end_lineno - body[0].lineno < 30


# --- the losses of one step, by hand
def expected_losses(config, photo, cartoon, edges):
    """Written out from the equations, from networks as they were before the step; D's and all of G's but "G"."""
    before = players(config)
    D, x = before.D, gray(cartoon)
    y = gray(edges) if config.gray_edges else edges
    with torch.no_grad():
        drawn = before.G(photo)
        names, seen = ["D_real", "D_fake", "D_gray", "D_edges"], torch.cat((cartoon, drawn, x, y))
        logits = dict(zip(names, D(seen).chunk(4), strict=True))  # at once: each pass improves the singular values
        vgg = {k: 25 * before.loss_network(v)["conv4_4"] for k, v in {"p": photo, "g": drawn, "x": x}.items()}

        def gram(f):
            return torch.einsum("nchw,ndhw->ncd", f, f) / f[0].numel()

        w = 2 * drawn - 1
        return drawn, {
            "D_real": 300 * (logits["D_real"] - 1).square().mean(),
            "D_fake": 300 * logits["D_fake"].square().mean(),
            "D_gray": 300 * config.gray_weight * logits["D_gray"].square().mean(),
            "D_edges": 300 * config.edge_weight * logits["D_edges"].square().mean(),
            "content": 1.5 * (vgg["g"] - vgg["p"]).abs().mean(),
            "style": 3 * (gram(vgg["g"]) - gram(vgg["x"])).abs().mean(),
            "tv": (w.diff(dim=-1).square().mean() + w.diff(dim=-2).square().mean()) / 2,
        }


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_losses_are_those_of_the_equations(version):
    config, data = tiny(version=version, gray_weight=0.7), batch()
    drawn, expected = expected_losses(config, *data)
    learner = players(config)
    losses, ours = train_step(learner, *data, step=0)
    torch.testing.assert_close(ours, drawn)
    assert list(losses) == ["D_real", "D_fake", "D_gray", "D_edges", "G", "content", "style", "color", "tv"]
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=1e-4, atol=1e-5, msg=lambda text, n=name: f"{n}: {text}")
    assert losses["G"] > 0


def test_the_generators_loss_comes_from_the_discriminator_that_has_just_learned():
    config, data = tiny(version="cartoongan", learning_rate=0.01), batch()
    learner, before = players(config), players(config)
    losses, drawn = train_step(learner, *data, step=0)
    with torch.no_grad():
        new, old = (300 * (each.D(drawn) - 1).square().mean() for each in (learner, before))
    torch.testing.assert_close(losses["G"], new, rtol=1e-4, atol=1e-4)
    assert abs(new - old) > 1e-3


def test_cartoongans_losses_are_those_of_its_equations():
    config, data = tiny(**CARTOONGAN, feature_scale=1.0), batch()
    before, learner = players(config), players(config)
    losses, _ = train_step(learner, *data, step=0)
    photo, cartoon, edges = data
    with torch.no_grad():
        drawn = before.G(photo)
        real, fake, blurred = (torch.sigmoid(before.D(each)) for each in (cartoon, drawn, edges))
        vgg = [before.loss_network(each)["conv4_4"] for each in (drawn, photo)]
        expected = {
            "D_real": -real.log().mean(), "D_fake": -(1 - fake).log().mean(), "D_edges": -(1 - blurred).log().mean(),
            "content": 10 * (vgg[0] - vgg[1]).abs().mean(),
        }  # fmt: skip
    assert set(losses) == {*expected, "G"}
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=1e-4, atol=1e-5)


def test_terms_of_weight_zero_are_left_out():
    config = tiny(style_weight=0.0, color_weight=0.0, tv_weight=0.0, gray_weight=0.0, edge_weight=0.0)
    losses, _ = train_step(players(config), *batch(), step=0)
    assert list(losses) == ["D_real", "D_fake", "G", "content"]


# --- who learns what
def test_in_the_first_phase_the_generator_learns_from_the_photo_alone():
    config, (photo, cartoon, edges) = tiny(), batch()
    ends = []
    for others in (cartoon, 1 - cartoon):  # other cartoons: the same step
        learner = players(config, init_steps=2)
        D, G = weights_of(learner.D), weights_of(learner.G)
        losses, _ = train_step(learner, photo, others, edges, step=1)
        assert torch.equal(weights_of(learner.D), D)
        assert not torch.equal(weights_of(learner.G), G)
        assert losses["content"] > 0
        assert all(losses[name] == 0 for name in learner.names if name != "content")
        assert [name for name, each in learner.optimizers.items() if each.state] == ["init"]
        ends.append(weights_of(learner.G))
    assert torch.equal(*ends)
    train_step(learner, photo, cartoon, edges, step=2)
    assert [name for name, each in learner.optimizers.items() if each.state] == ["init", "D", "G"]
    assert not torch.equal(weights_of(learner.D), D)


def test_the_rates_of_the_three_optimizers():
    learner = players(tiny(learning_rate=1e-3, rate_init=3.0, rate_D=2.0, beta1=0.4), init_steps=1)
    found = {name: (o.param_groups[0]["lr"], o.param_groups[0]["betas"]) for name, o in learner.optimizers.items()}
    expected = {"init": 3e-3, "D": 2e-3, "G": 1e-3}
    assert {name: rate for name, (rate, _) in found.items()} == pytest.approx(expected)
    assert {betas for _, betas in found.values()} == {(0.4, 0.999)}
    assert "init" not in players(tiny()).optimizers


def test_the_colors_of_cartoons_do_not_reach_the_style_loss():
    """The cartoon in gray gives the same style loss; what a discriminator sees differs."""
    config, (photo, cartoon, edges) = tiny(), batch()
    colored, _ = train_step(players(config), photo, cartoon, edges, step=0)
    faded, _ = train_step(players(config), photo, gray(cartoon).contiguous(), edges, step=0)
    torch.testing.assert_close(colored["style"], faded["style"], rtol=1e-4, atol=1e-5)
    assert colored["D_real"] != faded["D_real"]


def test_gradients_of_the_discriminators_loss_do_not_reach_the_generator():
    learner = players(tiny())
    train_step(learner, *batch(), step=0)
    assert all(parameter.grad is None for parameter in [*learner.G.parameters(), *learner.D.parameters()])
    assert all(parameter.requires_grad for parameter in [*learner.G.parameters(), *learner.D.parameters()])
    assert not any(parameter.requires_grad for parameter in learner.loss_network.parameters())
    assert not any("loss_network" in name for name in learner.network.state_dict())


def test_features_are_scaled_to_those_of_the_authors_network():
    config, photo = tiny(), pictures(1)
    ones, fifty = (players(replace(config, feature_scale=scale)).features(photo) for scale in (1.0, 50.0))
    torch.testing.assert_close(fifty, 50 * ones)
    assert (ones < 0).any()  # before the ReLU


# --- a run
def test_the_first_phase_has_its_epochs_and_a_start_has_none():
    config = tiny(num_epochs=3, init_epochs=2)
    model = train(pictures(4), pictures(3, 1), config)
    history = model.facts["history"]
    assert [value > 0 for value in history["D_fake"]] == [False] * 4 + [True] * 2
    assert len(history["content"]) == 6
    again = train(pictures(4), pictures(3, 1), config, start=model)
    assert all(value > 0 for value in again.facts["history"]["D_fake"])


def test_copying_photos_goes_the_right_way():
    """A dozen steps of the first phase bring features closer."""
    config = tiny(num_epochs=13, init_epochs=12, learning_rate=2e-3, rate_init=1.0, width=0.25)
    model = train(pictures(4), pictures(2, 1), config)
    content = model.facts["history"]["content"][:24]
    assert sum(content[-4:]) < 0.7 * sum(content[:4])


def test_the_discriminator_learns_to_see_gray_and_blurred_edges():
    """After a few steps, color cartoons get higher logits than the same ones in gray and those with blurred edges."""
    config = tiny(version="v1", learning_rate=1e-3, edge_weight=1.0, gray_edges=False, width=0.25)
    learner = players(config)
    blocks = pictures(4, 3, size=8).repeat_interleave(4, 2).repeat_interleave(4, 3)  # sharp edges, many colors
    data = pictures(4), blocks, edges_blurred(blocks)
    losses = [train_step(learner, *data, step=k)[0] for k in range(16)]
    learner.D.eval()
    with torch.no_grad():
        real, faded, blurred = (learner.D(each).mean() for each in (blocks, gray(blocks), data[2]))
    assert real > faded + 0.1
    assert real > blurred + 0.03
    assert losses[-1]["D_gray"] < losses[0]["D_gray"] + losses[0]["D_real"]


def test_translate_keeps_size_and_needs_no_neighbors():
    model = train(pictures(4), pictures(3, 1), tiny())
    both = translate(pictures(2, 5, size=21), model).image
    assert both.shape == (2, 3, 21, 21)
    torch.testing.assert_close(translate(pictures(2, 5, size=21)[1:], model).image, both[1:])


def test_a_set_of_three_reaches_the_step_in_order(monkeypatch):
    seen = []

    def spy(learner, photo, cartoon, edges, step):
        seen.append((photo, cartoon, edges, step))
        return train_step(learner, photo, cartoon, edges, step)

    monkeypatch.setattr(animegan, "train_step", spy)
    learner, data = players(tiny()), PhotosAndCartoons(pictures(2), pictures(2, 1), size=32)
    learner.step(torch.stack([data[0], data[1]]), 5)
    photo, cartoon, edges, step = seen[0]
    assert (torch.equal(photo, pictures(2)), torch.equal(cartoon, pictures(2, 1)), step) == (True, True, 5)
    torch.testing.assert_close(edges, edges_blurred(cartoon))


# --- bad input
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"version": "v3"}, "version must be one of"),
        ({"init_epochs": 2}, r"init_epochs must be fewer than num_epochs \(2\), which include them; got 2"),
        ({"content_weight": 0.0}, "content_weight must be"),
        ({"mirror": True}, "mirror=True needs a load_size"),
        ({"load_size": 30}, r"load_size must be at least image_size \(32\), got 30"),
        ({"beta1": 1.0}, "beta1 must be below 1"),
        ({"num_blocks": -1}, "num_blocks must be"),
        ({"image_size": 8}, "image_size must be"),
    ],
)
def test_a_configuration_is_refused_in_one_sentence(settings, message):
    with pytest.raises(ValueError, match=message):
        tiny(**settings)


def test_bad_pictures_are_refused():
    with pytest.raises(ValueError, match="3 pictures do not fill a batch of 12"):
        train(pictures(3), pictures(3, 1), tiny(batch_size=12))
    with pytest.raises(ImageError, match="values run from"):
        train(255 * pictures(3), pictures(3, 1), tiny())
    model = Model(build(tiny()).eval(), tiny(), {})
    with pytest.raises(ImageError, match="at least 8 px"):
        translate(torch.rand(1, 3, 7, 20), model)
    with pytest.raises(TypeError, match=r"model must be what animegan\.train or animegan\.load returns"):
        translate(torch.rand(1, 3, 20, 20), build(tiny()))
