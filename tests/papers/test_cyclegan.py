"""Zhu et al. 2017, CycleGAN: configuration, counts, the losses of a step, what each of them teaches.

All tests use tiny networks at 32 px.
"""

import ast
import inspect
from dataclasses import replace

import pytest
import torch

from course_lib.images import ImageError
from course_lib.methods import cyclegan
from course_lib.methods.cyclegan import (
    Config,
    Model,
    Players,
    build,
    build_discriminators,
    train,
    train_step,
    translate,
)
from course_lib.networks.layers import InstanceNorm
from course_lib.networks.patchgan import PatchGAN
from course_lib.networks.resnet_generator import ResnetGenerator

TINY = {
    "num_epochs": 1, "batch_size": 2, "image_size": 32, "load_size": None, "mirror": False, "width": 0.1,
    "num_blocks": 1, "patch": 16, "pool_size": 4, "precision": "float32", "device": "cpu",
}  # fmt: skip


def tiny(**settings):
    return Config(**{**TINY, **settings})


def players(config):
    return Players(config, build(config), build_discriminators(config) if config.gan_weight > 0 else None)


def pictures(count, seed=0, size=32):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


# --- the paper's table
def test_the_default_is_the_papers_configuration():
    config = Config()
    assert (config.num_epochs, config.cooldown) == (200, 0.5)  # 100 epochs, and 100 in which the rate falls to zero
    assert (config.batch_size, config.learning_rate, config.pool_size) == (1, 2e-4, 50)
    assert (config.cycle_weight, config.identity_weight, config.objective) == (10.0, 0.0, "least-squares")
    assert (config.num_blocks, config.patch, config.image_size, config.upsampling) == (9, 70, 256, "transposed")
    assert Config.released() == replace(config, identity_weight=0.5)


def test_the_networks_have_the_papers_counts():
    config = Config()
    generators, discriminators = build(config), build_discriminators(config)
    assert {name: parameters(network) for name, network in generators.items()} == dict.fromkeys(("AB", "BA"), 11378179)
    assert {name: parameters(network) for name, network in discriminators.items()} == dict.fromkeys("AB", 2764737)
    assert parameters(generators) + parameters(discriminators) == 28285832
    assert parameters(ResnetGenerator(6)) == 7837699
    assert all(isinstance(network, PatchGAN) and network.patch == 70 for network in discriminators.values())


def test_instance_norm_has_no_scale_and_no_shift():
    norms = [module for module in build(tiny()).modules() if isinstance(module, InstanceNorm)]
    assert norms
    assert not any([*norm.parameters()] for norm in norms)


def test_a_step_has_at_most_thirty_lines():
    (function,) = ast.parse(inspect.getsource(train_step)).body
    body = [node for node in function.body if not isinstance(getattr(node, "value", None), ast.Constant)]
    assert body[-1].end_lineno - body[0].lineno < 30


# --- the losses of one step, by hand
@pytest.fixture
def step():
    """The losses of the first step, and what they are made of: networks as they were before it."""
    config = tiny(identity_weight=0.5, cycle_weight=7.0, gan_weight=3.0)
    learner, before = players(config), players(config)
    real = {"A": pictures(2), "B": pictures(2, 1)}
    losses, fake_B = train_step(learner, real["A"], real["B"])
    return losses, fake_B, before, real


def test_the_losses_are_those_of_the_equations(step):
    losses, fake_B, before, real = step
    with torch.no_grad():
        G, D = before.G, before.D
        fake = {"B": G["AB"](real["A"]), "A": G["BA"](real["B"])}
        torch.testing.assert_close(fake_B, fake["B"])
        ends = {domain: 2 * picture - 1 for domain, picture in real.items()}  # the paper's scale

        def l1(image, domain):
            return (2 * image - 1 - ends[domain]).abs().mean()

        expected = {
            "G_AB": 3 * (D["B"](fake["B"]) - 1).square().mean(),
            "G_BA": 3 * (D["A"](fake["A"]) - 1).square().mean(),
            "cycle_A": 7 * l1(G["BA"](fake["B"]), "A"),
            "cycle_B": 7 * l1(G["AB"](fake["A"]), "B"),
            "identity_A": 3.5 * l1(G["BA"](real["A"]), "A"),
            "identity_B": 3.5 * l1(G["AB"](real["B"]), "B"),
            "D_A": ((D["A"](real["A"]) - 1).square().mean() + D["A"](fake["A"]).square().mean()) / 2,
            "D_B": ((D["B"](real["B"]) - 1).square().mean() + D["B"](fake["B"]).square().mean()) / 2,
        }
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            losses[name], value, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_the_generators_step_leaves_the_discriminators_gradients_alone():
    """D is frozen while G learns: its step is that of its own loss only."""
    config = tiny(pool_size=0)
    learner, real = players(config), (pictures(2), pictures(2, 1))
    alone = players(config)
    train_step(learner, *real)
    with torch.no_grad():
        fake = {"B": alone.G["AB"](real[0]), "A": alone.G["BA"](real[1])}
    for domain, picture in zip("AB", real, strict=True):
        logits = alone.D[domain](picture), alone.D[domain](fake[domain])
        (((logits[0] - 1).square().mean() + logits[1].square().mean()) / 2).backward()
    alone.optimizers["D"].step()
    torch.testing.assert_close(learner.D.state_dict(), alone.D.state_dict(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ["G_AB", "G_BA", "cycle_A", "cycle_B", "D_A", "D_B"]),
        ({"cycles": "forward"}, ["G_AB", "G_BA", "cycle_A", "D_A", "D_B"]),
        ({"cycles": "backward"}, ["G_AB", "G_BA", "cycle_B", "D_A", "D_B"]),
        ({"gan_weight": 0.0}, ["cycle_A", "cycle_B"]),
        ({"cycle_weight": 0.0}, ["G_AB", "G_BA", "D_A", "D_B"]),
        ({"cycle_weight": 0.0, "identity_weight": 0.5}, ["G_AB", "G_BA", "D_A", "D_B"]),
    ],
)
def test_parts_of_the_loss_can_be_left_out(settings, names):
    learner = players(tiny(**settings))
    losses, _ = train_step(learner, pictures(1), pictures(1, 1))
    assert list(learner.names) == names
    assert losses.keys() == set(names)


def test_one_way_cycles_teach_only_through_their_own_way():
    """A forward cycle runs A → B → A: without discriminators, picture b has no influence."""
    config = tiny(gan_weight=0.0, cycles="forward")
    one, other = players(config), players(config)
    train_step(one, pictures(1), pictures(1, 1))
    train_step(other, pictures(1), pictures(1, 2))
    torch.testing.assert_close(one.G.state_dict(), other.G.state_dict(), rtol=0, atol=0)


def test_the_discriminators_see_earlier_fakes():
    learner = players(tiny(pool_size=4))
    for seed in range(4):
        train_step(learner, pictures(1, seed), pictures(1, 10 + seed))
    assert {name: int(pool.count) for name, pool in learner.pools.items()} == {"pool_A": 4, "pool_B": 4}
    assert len(learner.pools["pool_A"].images.flatten(1).unique(dim=0)) == 4
    assert not learner.capturable


# --- learning
def test_the_cycle_alone_learns_to_come_back():
    config = tiny(num_epochs=30, gan_weight=0.0, learning_rate=2e-3)
    history = train(pictures(4), pictures(4, 1), config).facts["history"]
    assert sum(history["cycle_A"][-5:]) < 0.8 * sum(history["cycle_A"][:5])


def test_a_change_of_light_is_learned_without_pairs():
    """A is bright and B is dark; the streets differ. The translation comes nearer to its unseen dark twin."""
    shapes = torch.nn.functional.interpolate(pictures(24, 5, 4), 32, mode="nearest")
    bright, dark = 0.5 + 0.5 * shapes[:8], 0.5 * shapes[8:16]
    config = tiny(num_epochs=60, batch_size=4, learning_rate=2e-3, identity_weight=0.5, seed=1)
    model = train(bright, dark, config)
    given, truth = 0.5 + 0.5 * shapes[16:], 0.5 * shapes[16:]
    made = translate(given, model, device="cpu").image
    assert (made - truth).abs().mean() < 0.6 * (given - truth).abs().mean()
    back = translate(truth, model, direction="BA", device="cpu").image
    assert (back - given).abs().mean() < 0.6 * (given - truth).abs().mean()


# --- use
@pytest.mark.parametrize("size", [(8, 8), (9, 31), (40, 12)])
def test_any_size_comes_back_in_its_size(size):
    config = tiny()
    images = torch.nn.functional.interpolate(pictures(2), size)
    made = translate(images, Model(build(config).eval(), config, {}), device="cpu").image
    assert made.shape == (2, 3, *size)
    assert made.min() >= 0
    assert made.max() <= 1


def test_the_two_directions_are_two_networks():
    config = tiny()
    model, image = Model(build(config).eval(), config, {}), pictures(1)
    there, back = (
        translate(image, model, direction=way, device="cpu", precision="float32").image for way in ("AB", "BA")
    )
    assert not torch.equal(there, back)
    with torch.no_grad():
        torch.testing.assert_close(there, model.network["AB"](image), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match='"AB" or "BA"'):
        translate(image, model, direction="BB")


def test_a_picture_does_not_depend_on_the_others():
    config, images = tiny(), pictures(3)
    model = Model(build(config).eval(), config, {})
    alone = translate(images[1:2], model, device="cpu", precision="float32").image
    torch.testing.assert_close(translate(images, model, device="cpu", precision="float32").image[1:2], alone)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gan_weight": 0.0, "cycle_weight": 0.0}, "nothing to learn"),
        ({"cycles": "there"}, "cycles"),
        ({"load_size": 16}, "at least image_size"),
        ({"mirror": True}, "load_size"),
        ({"cooldown": 1.5}, "at most 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        tiny(**settings)


def test_domains_without_pictures_and_too_few_for_a_batch_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no pictures"):
        train([], pictures(2), tiny())
    with pytest.raises(ValueError, match="there is no folder"):
        train(tmp_path / "trainA", pictures(2), tiny())
    with pytest.raises(ValueError, match="fill a batch"):
        train(pictures(1), pictures(1), tiny())
    with pytest.raises(ImageError, match=r"\[0, 1\]"):
        train(2 * pictures(2), pictures(2), tiny())


def test_a_verb_of_another_method_refuses_the_model():
    with pytest.raises(TypeError, match=r"cyclegan\.train"):
        translate(pictures(1), object())
    assert cyclegan.KIND == "cyclegan"
