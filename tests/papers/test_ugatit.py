"""Kim et al. 2020, U-GAT-IT: configuration, the losses of a step, which optimizer moves what, ρ, the heat map.

All tests use tiny networks at 24 or 32 px; counts are taken without allocating anything.
"""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from course_lib.images import ImageError
from course_lib.methods import ugatit
from course_lib.methods.ugatit import (
    Config,
    Model,
    Players,
    attention,
    build,
    build_discriminators,
    train,
    train_step,
    translate,
)
from course_lib.networks.adalin import rhos

TINY = {
    "num_steps": 4, "batch_size": 2, "image_size": 24, "load_size": None, "mirror": False, "width": 0.06,
    "num_blocks": 1, "light": True, "global_patch": 34, "local_patch": 16, "precision": "float32", "device": "cpu",
}  # fmt: skip


def tiny(**settings):
    return Config(**{**TINY, **settings})


def players(config):
    return Players(config, build(config), build_discriminators(config))


def pictures(count, seed=0, size=24):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def untrained(**settings):
    config = tiny(**settings)
    return Model(build(config).eval(), config, {})


def copied(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def moved(network, before):
    """The names of the parameters that are not what they were."""
    return {name for name, value in network.named_parameters() if not torch.equal(value, before[name])}


# --- the paper's configuration
def test_the_default_is_the_papers_configuration():
    config = Config()
    assert (config.num_steps, config.batch_size, config.cooldown) == (1_000_000, 1, 0.5)
    assert (config.image_size, config.load_size, config.mirror) == (256, 286, True)
    weights = config.gan_weight, config.cycle_weight, config.identity_weight, config.cam_weight
    assert weights == (1.0, 10.0, 10.0, 1000.0)
    assert (config.learning_rate, config.beta1, config.weight_decay) == (1e-4, 0.5, 1e-4)
    assert (config.light, config.num_blocks, config.norm) == (False, 4, "adalin")
    assert (config.global_patch, config.local_patch) == (286, 70)
    assert Config.light_version() == replace(config, light=True)


@pytest.mark.parametrize(("config", "expected"), [(Config(), 670_761_088), (Config.light_version(), 134_021_248)])
def test_the_model_has_the_papers_count(config, expected, monkeypatch):
    """On the meta device, where a tensor has a shape and no numbers: 2.7 GB of weights are counted in a moment."""
    monkeypatch.setattr(ugatit.layers, "initialize", lambda network, std: None)
    with torch.device("meta"):
        networks = build(config), build_discriminators(config)
    assert sum(parameter.numel() for network in networks for parameter in network.parameters()) == expected
    assert {parameter.device.type for parameter in networks[0].parameters()} == {"meta"}


def test_both_optimizers_decay_weights_and_move_all_of_their_networks():
    learner = players(tiny())
    for name, network in (("G", learner.G), ("D", learner.D)):
        (group,) = learner.optimizers[name].param_groups
        assert (group["lr"], group["betas"], group["weight_decay"]) == (1e-4, (0.5, 0.999), 1e-4)
        assert {*map(id, group["params"])} == {*map(id, network.parameters())}
    assert learner.capturable


# --- the losses of one step, by hand
@pytest.fixture
def step():
    """The losses of the first step, and what they are made of: networks as they were before it."""
    config = tiny(gan_weight=3.0, cycle_weight=7.0, identity_weight=5.0, cam_weight=11.0, learning_rate=1e-12)
    learner, before = players(config), players(config)
    real = {"A": pictures(2), "B": pictures(2, 1)}
    losses, fake_B = train_step(learner, real["A"], real["B"])
    return losses, fake_B, before, real


def test_the_losses_are_those_of_the_equations(step):
    losses, fake_B, before, real = step
    with torch.no_grad():
        G, D = before.G, before.D
        made = {"B": G["AB"](real["A"]), "A": G["BA"](real["B"])}
        torch.testing.assert_close(fake_B, made["B"].output)
        expected = {}
        for domain in "AB":
            judges = D[f"global_{domain}"], D[f"local_{domain}"]
            of_real, of_fake = (
                [judge(real[domain]) for judge in judges],
                [judge(made[domain].output) for judge in judges],
            )
            expected[f"D_{domain}"] = 3 * sum(
                (each.square() if fake else (each - 1).square()).mean()
                for fake, judged in ((False, of_real), (True, of_fake))
                for one in judged
                for each in (one.output, one.logits)
            )
        for way, source, target in (("AB", "A", "B"), ("BA", "B", "A")):
            there, same = made[target], G[way](real[target])
            judged = [D[f"{reach}_{target}"](there.output) for reach in ("global", "local")]
            expected[f"G_{way}"] = 3 * sum(
                (each - 1).square().mean() for one in judged for each in (one.output, one.logits)
            )
            again, ends = G[target + source](there.output).output, {name: 2 * x - 1 for name, x in real.items()}
            expected[f"cycle_{way}"] = 7 * (2 * again - 1 - ends[source]).abs().mean()  # the paper's scale
            expected[f"identity_{way}"] = 5 * (2 * same.output - 1 - ends[target]).abs().mean()
            eta = torch.sigmoid(there.logits), torch.sigmoid(same.logits)
            expected[f"cam_{way}"] = 11 * -(eta[0].log().mean() + (1 - eta[1]).log().mean())
    assert losses.keys() == expected.keys()
    for name, value in expected.items():  # the power iteration took a few steps between the discriminators' answers
        torch.testing.assert_close(losses[name], value, rtol=0.1 if name[0] in "DG" else 1e-4, atol=1e-4)


def test_a_step_names_every_loss_once_in_the_order_of_the_history():
    learner = players(tiny())
    losses, _ = train_step(learner, pictures(1), pictures(1, 1))
    assert list(losses) == [
        "D_A",
        "D_B",
        *(f"{n}_{way}" for way in ("AB", "BA") for n in ("G", "cycle", "identity", "cam")),
    ]
    assert sorted(learner.names) == sorted(losses)


# --- what moves what
def test_the_first_step_moves_every_weight_once_and_leaves_no_gradients():
    learner = players(tiny(learning_rate=1e-3))
    before, calls = (copied(learner.G), copied(learner.D)), []
    for name, optimizer in learner.optimizers.items():
        optimizer.register_step_post_hook(lambda *_, name=name: calls.append(name))
    train_step(learner, pictures(2), pictures(2, 1))
    assert calls == ["D", "G"]
    still = {name for name, _ in learner.G.named_parameters()} - moved(learner.G, before[0])
    assert all("rho" in name for name in still), still  # a ρ of 0 that would become negative
    assert len(moved(learner.D, before[1])) == len([*learner.D.parameters()])
    assert all(parameter.grad is None for network in (learner.G, learner.D) for parameter in network.parameters())


def test_the_discriminators_step_does_not_reach_the_generators():
    """A fake is given to them without its history (a leak in an early release of the authors' code)."""
    learner, seen = players(tiny()), []

    def look(*_):
        seen.append([parameter.grad is None for parameter in learner.G.parameters()])

    learner.optimizers["D"].register_step_pre_hook(look)
    train_step(learner, pictures(1), pictures(1, 1))
    assert seen
    assert all(seen[0])


def test_the_generators_step_leaves_the_discriminators_alone():
    learner, seen = players(tiny()), []
    learner.optimizers["G"].register_step_pre_hook(
        lambda *_: seen.append([parameter.grad is None for parameter in learner.D.parameters()])
    )
    train_step(learner, pictures(1), pictures(1, 1))
    assert all(seen[0])
    assert all(parameter.requires_grad for parameter in learner.D.parameters())


def test_without_attention_loss_the_classifier_on_its_own_does_not_learn_the_domains():
    """The classifiers' own weights still move, since the features are multiplied by them."""
    learner = players(tiny(cam_weight=0.0, weight_decay=0.0))
    before = copied(learner.G)
    losses, _ = train_step(learner, pictures(1), pictures(1, 1))
    assert losses["cam_AB"] == losses["cam_BA"] == 0
    assert "AB.attention.means.weight" in moved(learner.G, before)


# --- ρ
@pytest.mark.parametrize("config", [Config.fast(), Config.quick()])
def test_narrow_networks_start_with_larger_weights(config):
    """γ is a product of three layers; near 0, the blocks that it multiplies would never learn, and neither would ρ."""
    found = []
    for std in (config.init_std, 0.02):
        generator = build(replace(config, init_std=std))["AB"]
        generator.gamma.register_forward_hook(lambda module, given, gamma: found.append(gamma.abs().mean().item()))
        generator(pictures(2, size=config.image_size))
    assert found[0] > 5e-4
    assert found[0] > 10 * found[1]


def test_rho_is_clipped_after_every_step():
    """Rates so large that an unclipped ρ would leave [0, 1] at once."""
    learner = players(tiny(learning_rate=0.3))
    for seed in range(3):
        train_step(learner, pictures(1, seed), pictures(1, 10 + seed))
        every = torch.cat([*rhos(learner.G).values()])
        assert every.min() >= 0
        assert every.max() <= 1
    assert ((every == 0) | (every == 1)).any()
    assert every.unique().numel() > 1


@pytest.mark.parametrize(("norm", "value"), [("instance", 1.0), ("layer", 0.0)])
def test_a_held_rho_stays(norm, value):
    learner = players(tiny(norm=norm, learning_rate=0.1))
    train_step(learner, pictures(1), pictures(1, 1))
    assert {*torch.cat([*rhos(learner.G).values()]).tolist()} == {value}


def test_rho_is_stored_in_a_model_file(tmp_path):
    model = train(pictures(2), pictures(2, 1), tiny(learning_rate=0.01))
    ugatit.save(model, tmp_path / "a.safetensors")
    again = rhos(ugatit.load(tmp_path / "a.safetensors").network)
    for name, rho in rhos(model.network).items():
        torch.testing.assert_close(again[name], rho, rtol=0, atol=0)
    assert len({*torch.cat([*again.values()]).tolist()}) > 2


# --- learning
def stripes(count, seed, *, upright):
    """Pictures of stripes with random colors; instance normalization leaves their direction."""
    lines = torch.rand(count, 3, 24, 1, generator=torch.Generator().manual_seed(seed)).expand(-1, -1, -1, 24)
    return (lines.mT if upright else lines).contiguous()


def test_the_classifiers_learn_to_tell_the_domains_apart():
    """Also pictures that they have not seen: both say of which domain one is, each generator's about its own source."""
    lying, upright = stripes(8, 0, upright=False), stripes(8, 1, upright=True)
    model = train(lying, upright, tiny(num_steps=40, learning_rate=5e-3, cam_weight=10.0))
    history = model.facts["history"]
    new = {"A": stripes(8, 2, upright=False), "B": stripes(8, 3, upright=True)}
    for way, other in ("AB", "BA"):
        name = f"cam_{way}{other}"
        assert sum(history[name][-3:]) < 0.7 * sum(history[name][:3])
        with torch.no_grad():
            source, target = (model.network[way + other](new[domain]).logits.mean(1) for domain in (way, other))
        assert source.min() > target.max()


def test_a_change_of_light_is_learned_without_pairs():
    """A is bright and B is dark; the streets differ. The translation comes nearer to its unseen dark twin."""
    shapes = F.interpolate(pictures(24, 5, 4), 24, mode="nearest")
    bright, dark = 0.5 + 0.5 * shapes[:8], 0.5 * shapes[8:16]
    model = train(bright, dark, tiny(num_steps=50, learning_rate=5e-3, cam_weight=10.0))
    given, truth = 0.5 + 0.5 * shapes[16:], 0.5 * shapes[16:]
    made = translate(given, model, device="cpu").image
    assert (made - truth).abs().mean() < 0.5 * (given - truth).abs().mean()
    back = translate(truth, model, direction="BA", device="cpu").image
    assert (back - given).abs().mean() < 0.5 * (given - truth).abs().mean()


# --- use
@pytest.mark.parametrize("size", [(8, 8), (9, 31), (40, 12)])
def test_a_light_model_takes_any_size_and_its_heat_map_has_the_same(size):
    images, model = F.interpolate(pictures(2), size), untrained()
    assert translate(images, model, device="cpu").image.shape == (2, 3, *size)
    heat = attention(images, model, device="cpu")
    assert heat.shape == (2, 1, *size)
    torch.testing.assert_close(heat.amin((1, 2, 3)), torch.zeros(2), rtol=0, atol=0)
    torch.testing.assert_close(heat.amax((1, 2, 3)), torch.ones(2))


def test_the_heat_map_is_the_generators_and_lies_where_the_picture_is():
    model, image = untrained(), pictures(1, size=32)
    with torch.no_grad():
        expected = model.network["BA"](image).heat
    heat = attention(image, model, direction="BA", device="cpu", precision="float32")
    inner = F.avg_pool2d(heat, 4)  # enlarging and averaging is a little blur
    assert torch.corrcoef(torch.stack((inner.flatten(), expected.flatten())))[0, 1] > 0.95
    other = attention(image, model, direction="AB", device="cpu", precision="float32")
    assert not torch.allclose(heat, other)


def test_a_flat_heat_map_is_zero_and_not_undefined():
    model = untrained()
    with torch.no_grad():
        for parameter in model.network["AB"].attention.merge.parameters():
            parameter.zero_()
    assert attention(pictures(1), model, device="cpu").count_nonzero() == 0


def test_a_picture_does_not_depend_on_the_others():
    images, model = pictures(3), untrained()
    for verb in (lambda x: translate(x, model, device="cpu", precision="float32").image,
                 lambda x: attention(x, model, device="cpu", precision="float32")):  # fmt: skip
        torch.testing.assert_close(verb(images)[1:2], verb(images[1:2]))


def test_a_full_model_translates_its_own_size_only():
    model = untrained(light=False)
    assert translate(pictures(1), model, device="cpu").image.shape == (1, 3, 24, 24)
    for verb in (translate, attention):
        with pytest.raises(ImageError, match="24 × 24 px only, got 32 × 32"):
            verb(pictures(1, size=32), model, device="cpu")


def test_a_full_start_must_have_the_same_size():
    start = untrained(light=False)
    with pytest.raises(ValueError, match="the model to start from has image_size=24, not 28"):
        train(pictures(2), pictures(2), tiny(light=False, image_size=28), start=start)
    assert train(pictures(2), pictures(2), tiny(image_size=28, num_steps=1), start=untrained()).stopped is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"load_size": 16}, "load_size must be a whole number of at least 24"),
        ({"mirror": True}, "mirror=True needs a load_size"),
        ({"light": False, "image_size": 30}, "image_size must be a multiple of 4, unless light=True"),
        ({"global_patch": 286}, "global_patch = 286 needs an image_size of at least 96, got 24"),
        ({"local_patch": 1}, "local_patch must be one of 16, 34, 70, 142, 286"),
        ({"gan_weight": 0.0}, "gan_weight"),
        ({"cooldown": 1.5}, "cooldown"),
        ({"beta1": 1.0}, "beta1 must be below 1"),
        ({"norm": "batch"}, "norm must be one of"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        tiny(**settings)


def test_bad_input_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="no pictures"):
        train([], pictures(2), tiny())
    with pytest.raises(ValueError, match="there is no folder"):
        train(tmp_path / "trainA", pictures(2), tiny())
    with pytest.raises(ImageError, match=r"\[0, 1\]"):
        train(2 * pictures(2), pictures(2), tiny())
    for verb in (translate, attention):
        with pytest.raises(TypeError, match=r"ugatit\.train"):
            verb(pictures(1), object())
        with pytest.raises(ValueError, match="direction must be one of 'AB', 'BA'"):
            verb(pictures(1), untrained(), direction="BB")
