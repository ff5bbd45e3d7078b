"""Choi et al. 2018, StarGAN: configuration, the losses of a step, who learns when, and where a picture is sent.

All tests use tiny networks at 16 or 32 px.
"""

import warnings
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from course_lib.images import ImageError
from course_lib.losses.regularizers import between
from course_lib.methods import stargan
from course_lib.methods.stargan import Config, Model, Players, build, build_discriminator, train, train_step, translate
from course_lib.training import collapse, run

TINY = {
    "num_steps": 4, "steps_D": 1, "batch_size": 4, "image_size": 16, "load_size": None, "mirror": False,
    "num_domains": 3, "num_blocks": 1, "layers_D": 3, "width": 0.1, "precision": "float32", "device": "cpu",
}  # fmt: skip
NAMES = ("red", "green", "blue")


def tiny(**settings):
    return Config(**{**TINY, **settings})


def players(config):
    return Players(config, build(config), build_discriminator(config))


def pictures(count, seed=0, size=16):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def weights(network):
    return [parameter.detach().clone() for parameter in network.parameters()]


def same(network, before):
    return all(torch.equal(now, then) for now, then in zip(network.parameters(), before, strict=True))


def untrained(**settings):
    config = tiny(**settings)
    return Model(build(config).eval(), config, {"domains": [*NAMES]})


# --- the paper's table
def test_the_default_is_the_papers_configuration():
    config = Config()
    assert (config.class_weight, config.rec_weight, config.penalty) == (1.0, 10.0, 10.0)
    assert (config.steps_D, config.batch_size, config.learning_rate, config.beta1) == (5, 16, 1e-4, 0.5)
    assert (config.num_steps, config.cooldown) == (200_000, 0.5)  # the last 100,000 with a falling rate
    assert (config.image_size, config.num_blocks, config.layers_D, config.mirror) == (128, 6, 6, True)
    assert config.padding == "zeros"


def test_the_networks_have_the_papers_counts():
    with torch.device("meta"):
        networks = [build(config) for config in (Config(), Config(num_domains=8))]
        judges = [build_discriminator(config) for config in (Config(), Config(num_domains=8))]
    counts = [sum(p.numel() for p in network.parameters()) for network in (*networks, *judges)]
    assert counts == [8_430_528, 8_439_936, 44_762_048, 44_786_624]


# --- the losses of one step, by hand
@pytest.fixture
def step():
    """Players before and after their first step, its losses, and what it was given and drew."""
    config = tiny(class_weight=3.0, rec_weight=7.0, penalty=5.0)
    learner, before = players(config), players(config)
    real, labels = pictures(4), torch.tensor([0, 2, 1, 1])
    torch.manual_seed(3)
    losses, fake = train_step(learner, real, labels, 0)
    torch.manual_seed(3)
    goal, shares = labels[torch.randperm(4)], torch.rand(4)
    return losses, fake, learner, before, (real, labels, goal, shares)


def of_D(before, config, real, labels, goal, shares):
    """Eq. 5 with Eq. 8 and 2, in the order of the history."""
    with torch.no_grad():
        fake = before.G(real, torch.eye(3)[goal])
    points = between(real, fake, shares)
    on_real, classes = before.D(real)
    steepness = torch.autograd.grad(before.D(points)[0].sum(), points, create_graph=True)[0].flatten(1).norm(dim=1)
    return {
        "D_real": -on_real.mean(),
        "D_fake": before.D(fake)[0].mean(),
        "D_class": -config.class_weight * classes.log_softmax(1)[torch.arange(4), labels].mean(),
        "D_penalty": config.penalty * (steepness / 2 - 1).square().mean(),  # [0, 1] is half as long as [−1, 1]
    }


def test_the_losses_are_those_of_the_equations(step):
    losses, fake, learner, before, (real, labels, goal, shares) = step
    config = learner.config
    expected = of_D(before, config, real, labels, goal, shares)
    with torch.no_grad():
        made = before.G(real, torch.eye(3)[goal])
        on_fake, classes = learner.D(made)  # D has learned already
        again = before.G(made, torch.eye(3)[labels])
    expected |= {
        "G": -on_fake.mean(),
        "G_class": -config.class_weight * classes.log_softmax(1)[torch.arange(4), goal].mean(),
        "reconstruction": config.rec_weight * ((2 * again - 1) - (2 * real - 1)).abs().mean(),
    }
    torch.testing.assert_close(fake.detach(), made, rtol=0, atol=1e-5)
    assert list(losses) == list(expected) == list(learner.names)
    for name, value in expected.items():
        torch.testing.assert_close(losses[name].detach(), value.detach(), rtol=1e-4, atol=1e-5, msg=name)


def test_each_player_learns_from_its_own_losses_only(step):
    """D from Eq. 5, before G moves; G from Eq. 6, with D frozen."""
    _, _, learner, before, (real, labels, goal, shares) = step
    config = learner.config
    torch.stack([*of_D(before, config, real, labels, goal, shares).values()]).sum().backward()
    before.optimizers["D"].step()
    torch.testing.assert_close(learner.D.state_dict(), before.D.state_dict(), rtol=1e-3, atol=1e-6)
    there, back = torch.eye(3)[goal], torch.eye(3)[labels]
    made = before.G(real, there)
    on_fake, classes = before.D(made)
    loss = config.class_weight * F.cross_entropy(classes, goal) - on_fake.mean()
    (loss + 2 * config.rec_weight * (before.G(made, back) - real).abs().mean()).backward()
    before.optimizers["G"].step()
    torch.testing.assert_close(learner.G.state_dict(), before.G.state_dict(), rtol=1e-3, atol=1e-5)
    assert all(parameter.grad is None for network in (learner.G, learner.D) for parameter in network.parameters())
    assert all(parameter.requires_grad for parameter in learner.D.parameters())


def test_the_generator_learns_after_every_few_steps_of_the_discriminator():
    learner, labels = players(tiny(steps_D=3)), torch.tensor([0, 1, 2, 0])
    last, moved = None, []
    for number in range(6):
        G, D = weights(learner.G), weights(learner.D)
        losses, _ = train_step(learner, pictures(4, number), labels, number)
        assert not same(learner.D, D)
        moved.append(not same(learner.G, G))
        now = [losses[name].item() for name in ("G", "G_class", "reconstruction")]
        if number < 2:
            assert now == [0.0] * 3  # before its first step
        else:
            assert (now != last) == moved[-1]  # otherwise those of its last step
        last = now
    assert moved == [False, False, True] * 2
    assert not learner.capturable


def test_pictures_are_sent_where_others_of_the_batch_come_from():
    """The goals are the labels in another order: a batch of one domain stays there, with no loss of other planes."""
    learner = players(tiny())
    sent = []
    learner.G.register_forward_hook(lambda module, given, made: sent.append(given[1].argmax(1)))
    labels = torch.tensor([0, 0, 1, 2])
    torch.manual_seed(0)
    orders = set()
    for number in range(8):
        train_step(learner, pictures(4), labels, number)
        for goal in (sent[0], sent[1]):  # D's fakes and G's
            assert sorted(goal.tolist()) == [0, 0, 1, 2]
        torch.testing.assert_close(sent[0], sent[1])
        torch.testing.assert_close(sent[2], labels)  # and back
        orders.add(tuple(sent[0].tolist()))
        sent.clear()
    assert len(orders) > 2


def test_without_a_penalty_there_is_none():
    learner = players(tiny(penalty=0.0))
    losses, _ = train_step(learner, pictures(4), torch.tensor([0, 1, 2, 0]), 0)
    assert "D_penalty" not in losses
    assert list(losses) == list(learner.names)


# --- learning
TINTS = 0.3 + 0.7 * torch.eye(3)[:, :, None, None]  # (3, 3, 1, 1): what makes gray squares red, green or blue


def gray(count, seed):
    """Squares of 4 px with little contrast, (count, 1, 16, 16)."""
    return F.interpolate(pictures(count, seed, 4).mean(1, keepdim=True), 16, mode="nearest")


def colored(count, seed):
    """The same kind of squares in three colors, (count, 3, 16, 16) each; no squares appear in two of them."""
    parts = gray(3 * count, seed).split(count)
    return {name: part * tint for name, part, tint in zip(NAMES, parts, TINTS, strict=True)}


def test_one_generator_learns_three_tints_without_pairs():
    """The translations of unseen red squares come nearest to their unseen twin of the color asked for."""
    model = train(colored(12, 0), tiny(num_steps=100, batch_size=6, width=0.15, learning_rate=4e-3))
    history = model.facts["history"]
    assert sum(history["reconstruction"][-20:]) < 0.6 * sum(history["reconstruction"][:20])
    squares = gray(8, 1)
    for k, name in enumerate(NAMES):
        made = translate(squares * TINTS[0], model, to=name, device="cpu", precision="float32").image
        errors = [(made - squares * tint).abs().mean() for tint in TINTS]
        assert errors[k] < 0.7 * min(errors[:k] + errors[k + 1 :]), name
        assert made.mean((0, 2, 3)).argmax() == k, f"{name} has another color"


def test_behind_a_reflected_border_every_domain_is_the_same(monkeypatch):
    """No training can change that: the label is gone after the first normalization. (16 bits would round it anew.)

    A run says so while it goes on; one that sees its labels says nothing.
    """
    monkeypatch.setattr(run, "Watch", partial(collapse.Watch, every=1))
    apart, said = {}, {}
    for padding in ("zeros", "reflect"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = train(colored(4, 0), tiny(padding=padding, learning_rate=2e-3))
        said[padding] = [str(each.message) for each in caught if "collapsed" in str(each.message)]
        assert model.facts["collapsed"] == {"zeros": None, "reflect": 1}[padding]
        made = [translate(pictures(2), model, to=name, device="cpu", precision="float32").image for name in NAMES]
        apart[padding] = (made[0] - made[1]).abs().max()
    assert apart["reflect"] < 1e-4 < 1e-2 < apart["zeros"]
    assert said["zeros"] == []
    (sentence,) = said["reflect"]
    assert "its outputs for 3 domains are nearly the same" in sentence
    assert "padding='zeros'" in sentence


# --- where a picture goes
def test_a_name_is_for_all_pictures_and_a_list_has_one_for_each():
    model, images = untrained(), pictures(3)
    options = {"device": "cpu", "precision": "float32"}
    blue = translate(images, model, to="blue", **options).image
    mixed = translate(images, model, to=["red", "blue", "green"], **options).image
    torch.testing.assert_close(mixed[1], blue[1])
    assert (mixed[[0, 2]] - blue[[0, 2]]).abs().amax((1, 2, 3)).min() > 1e-4
    with torch.no_grad():
        expected = model.network(images, torch.eye(3)[[2, 2, 2]])
    torch.testing.assert_close(blue, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(8, 8), (9, 31), (40, 12)])
def test_any_size_comes_back_in_its_size(size):
    made = translate(F.interpolate(pictures(2), size), untrained(), to="red", device="cpu").image
    assert made.shape == (2, 3, *size)
    assert made.min() >= 0
    assert made.max() <= 1


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("dusk", "no domain 'dusk'; it has red, green, blue"),
        (["red", "blue"], r"a list of 3, one for each picture, got \['red', 'blue'\]"),
        (2, "the name of a domain"),
        ([0, 1, 2], "the name of a domain"),
        (["red", "red", "dusk"], "no domain 'dusk'"),
    ],
)
def test_places_that_do_not_exist_are_refused(to, message):
    with pytest.raises(ValueError, match=message):
        translate(pictures(3), untrained(), to=to)


def test_pictures_that_are_too_small_or_none_are_refused():
    with pytest.raises(ImageError, match="8"):
        translate(pictures(1, size=7), untrained(), to="red")
    with pytest.raises(ImageError, match=r"\[0, 1\]"):
        translate(3 * pictures(1), untrained(), to="red")
    with pytest.raises(TypeError, match=r"stargan\.train"):
        translate(pictures(1), object(), to="red")
    assert stargan.KIND == "stargan"


# --- training
def test_the_number_of_domains_is_that_of_the_pictures_and_their_names_are_kept(tmp_path):
    model = train({"fog": pictures(3), "sun": pictures(4, 1)}, tiny())
    assert (model.config.num_domains, model.network.num_domains, model.domains) == (2, 2, ("fog", "sun"))
    stargan.save(model, tmp_path / "x.safetensors")
    assert stargan.load(tmp_path / "x.safetensors").domains == ("fog", "sun")
    assert Model(model.network, model.config, {}).domains == ("domain 0", "domain 1")


def test_a_preview_shows_all_domains_side_by_side():
    shown = []
    train(colored(4, 0), tiny(), preview=pictures(1, size=20), callback=lambda progress: shown.append(progress.image()))
    assert {tuple(image.shape) for image in shown} == {(1, 3, 20, 60)}
    assert not torch.equal(shown[0], shown[-1])


def test_a_start_with_other_domains_or_another_discriminator_is_refused():
    start = train(colored(4, 0), tiny())
    renamed = {"red": pictures(4), "blue": pictures(4, 1), "green": pictures(4, 2)}
    with pytest.raises(ValueError, match="has the domains red, green, blue, not red, blue, green; give the same ones"):
        train(renamed, tiny(), start=start)
    with pytest.raises(ValueError, match="layers_D=3, not 2"):
        train(colored(4, 0), tiny(layers_D=2), start=start)
    train(colored(4, 0), tiny(layers_D=2), start=replace(start, discriminator=None))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers_D": 5}, "halvings; got 16 and 5"),
        ({"layers_D": 2**70}, "halvings; got 16 and 1180591620717411303424"),
        ({"load_size": 8}, "at least image_size"),
        ({"mirror": True}, "needs a load_size"),
        ({"beta1": 1.0}, "beta1 must be below 1"),
        ({"padding": "replicate"}, "padding"),
        ({"num_domains": 1}, "num_domains"),
        ({"steps_D": 0}, "steps_D"),
        ({"cooldown": 1.5}, "cooldown"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        tiny(**settings)


def test_domains_without_pictures_and_too_few_for_a_batch_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least two domains"):
        train({"red": pictures(4)}, tiny())
    with pytest.raises(ValueError, match="at least two domains"):
        train(pictures(4), tiny())
    with pytest.raises(ValueError, match="there is no folder"):
        train({"red": pictures(4), "blue": tmp_path / "blue"}, tiny())
    with pytest.raises(ValueError, match="2 pictures do not fill a batch of 4"):
        train({"red": pictures(1), "blue": pictures(1)}, tiny())
    with pytest.raises(ImageError, match=r"\[0, 1\]"):
        train({"red": pictures(4), "blue": 2 * pictures(4)}, tiny())
