"""Goodfellow et al. 2014 and Mirza & Osindero 2014: optimal discriminator, value of the game, training step, classes.

The data are points in the plane, whose densities are known; the networks have a few hundred weights.
"""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.losses import adversarial
from course_lib.methods import gan
from course_lib.methods.gan import Config, Players, train, train_step
from course_lib.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from course_lib.networks.layers import receptive_field
from course_lib.networks.points import PointDiscriminator, PointGenerator
from course_lib.training import checkpoints

TINY = {"image_size": 0, "noise_size": 2, "width": 16, "batch_size": 32, "num_steps": 4, "device": "cpu"}
PICTURES = {**TINY, "image_size": 16, "width": 4, "batch_size": 4, "num_steps": 2}
generate = partial(gan.generate, device="cpu")


def tiny(**settings):
    return Config(**{**TINY, **settings})


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def cloud(count, middle=(0.0, 0.0), sigma=1.0, seed=0):
    return torch.tensor(middle) + sigma * torch.randn(count, 2, generator=generator(seed))


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def train_discriminator(discriminator, draw_real, draw_fake, steps, rate=0.02):
    """Train a discriminator alone, on fresh points at every step."""
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=rate)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - step / steps)
        loss = adversarial.real_loss(discriminator(draw_real())) + adversarial.fake_loss(discriminator(draw_fake()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


# --- the configuration ---


def test_the_defaults_are_radfords():
    """Radford et al. 2016, Section 4 and Figure 1; Goodfellow et al. 2014, Section 3 and Algorithm 1."""
    paper = {
        "objective": "non-saturating", "steps_D": 1, "batch_size": 128, "learning_rate": 2e-4, "beta1": 0.5,
        "noise_size": 100, "width": 128, "init_std": 0.02, "norm_D": "batch", "penalty": 0.0, "cooldown": 0.0,
        "num_classes": 0,
    }  # fmt: skip
    config = Config()
    assert {name: getattr(config, name) for name in paper} == paper
    assert Config.points().image_size == 0
    assert Config.quick().num_steps < Config.fast().num_steps < config.num_steps


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("objective", "hinge"), ("steps_D", 0), ("num_steps", 0), ("batch_size", 0), ("learning_rate", 0.0),
        ("learning_rate_D", -1.0), ("beta1", -0.5), ("penalty", -1.0), ("image_size", 48), ("num_classes", -1),
        ("noise_size", 0), ("width", 0), ("layers_G", -1), ("norm_D", "layer"), ("cooldown", math.nan),
    ],
)  # fmt: skip
def test_an_invalid_field_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"{field} must be"):
        Config(**{field: value})


# --- the networks ---


def test_a_dcgan_of_64_px_has_the_channels_of_figure_1():
    """100 → 1024, 512, 256, 128 → 3, by 4×4 filters; a normalization has two parameters per channel."""
    filters = 16 * (100 * 1024 + 1024 * 512 + 512 * 256 + 256 * 128 + 128 * 3)
    count = filters + 2 * (1024 + 512 + 256 + 128) + 3
    assert sum(p.numel() for p in DCGANGenerator(100, size=64).parameters()) == count


@pytest.mark.parametrize(("size", "halvings"), [(16, 2), (32, 3), (64, 4)])
def test_pictures_are_in_range_and_the_receptive_field_covers_them(size, halvings):
    made = DCGANGenerator(5, size=size, width=8)(10 * torch.randn(4, 5, generator=generator()))
    assert made.shape == (4, 3, size, size)
    assert 0 <= made.min() < 0.5 < made.max() <= 1
    discriminator = DCGANDiscriminator(size=size, width=8)
    assert discriminator(made).shape == (4,)
    field, stride = receptive_field(discriminator.layers)
    assert field >= size
    assert stride == 2**halvings


def test_without_normalization_a_logit_depends_on_its_own_picture_alone():
    images = torch.rand(3, 3, 16, 16, generator=generator())
    for norm, alone in (("none", True), ("batch", False)):
        discriminator = DCGANDiscriminator(size=16, width=4, norm=norm)
        assert torch.allclose(discriminator(images)[:1], discriminator(images[:1]), atol=1e-5) == alone


def test_filters_are_initialized_as_in_radford():
    network = gan.build(Config(width=16, device="cpu"))
    filters = torch.cat([m.weight.flatten() for m in network.modules() if isinstance(m, nn.ConvTranspose2d)])
    assert filters.std().item() == pytest.approx(0.02, rel=0.02)


def test_without_hidden_layers_the_samples_are_normal_with_known_mean_and_covariance():
    network = PointGenerator(3, layers=0)
    with torch.no_grad():
        made = network(torch.randn(50_000, 3, generator=generator()))
    weight, bias = network.layers[0].weight.detach(), network.layers[0].bias.detach()
    torch.testing.assert_close(made.mean(0), bias, atol=0.02, rtol=0)
    torch.testing.assert_close(made.T.cov(), weight @ weight.T, atol=0.02, rtol=0)


@pytest.mark.parametrize("size", [0, 16])
def test_both_networks_depend_on_the_class(size):
    config = tiny(image_size=size, num_classes=3, width=8)
    G, D = gan.build(config).eval(), gan.build_discriminator(config).eval()
    noise = torch.randn(1, 2, generator=generator())
    made = [G(noise, torch.tensor([k])) for k in range(3)]
    logits = [D(made[0], torch.tensor([k])).item() for k in range(3)]
    assert not torch.equal(made[0], made[1])
    assert not torch.equal(made[1], made[2])
    assert len(set(logits)) == 3


def test_a_network_refuses_invalid_labels_and_sizes():
    with pytest.raises(ValueError, match="built for 0 classes, but labels were given"):
        PointDiscriminator()(torch.zeros(2, 2), torch.zeros(2, dtype=torch.long))
    with pytest.raises(ValueError, match="built for 3 classes, but no labels were given"):
        PointDiscriminator(num_classes=3)(torch.zeros(2, 2))
    with pytest.raises(ValueError, match="one label for each of 2"):
        PointDiscriminator(num_classes=3)(torch.zeros(2, 2), torch.zeros(1, dtype=torch.long))
    with pytest.raises(ValueError, match=r"expected \(N, 3, 16, 16\), got \(2, 3, 32, 32\)"):
        DCGANDiscriminator(size=16, width=4)(torch.zeros(2, 3, 32, 32))
    with pytest.raises(ValueError, match="size must be one of 16, 32, 64, got "):
        DCGANGenerator(2, size=20)


# --- Proposition 1 and Theorem 1 ---


def test_a_trained_discriminator_is_p_over_p_plus_q_for_a_discrete_distribution():
    """Three points, p = (½, ¼, ¼) and q = (¼, ¼, ½): the optimal outputs are 2/3, 1/2, 1/3."""
    points = torch.tensor([[-1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    p, q = torch.tensor([2, 1, 1]), torch.tensor([1, 1, 2])  # quarters
    torch.manual_seed(0)
    D = PointDiscriminator(width=16)
    train_discriminator(D, lambda: points.repeat_interleave(p, 0), lambda: points.repeat_interleave(q, 0), steps=300)
    with torch.no_grad():
        torch.testing.assert_close(D(points).sigmoid(), torch.tensor([2 / 3, 1 / 2, 1 / 3]), atol=0.01, rtol=0)


def test_a_trained_discriminator_is_the_log_ratio_of_two_normal_densities():
    """N((−½, 0), I) and N((½, 0), I): log p/q = −x, which is linear; D* = σ(−x)."""
    torch.manual_seed(0)
    D = PointDiscriminator(width=16, layers=1)
    draw = lambda middle: lambda: torch.tensor([middle, 0.0]) + torch.randn(512, 2)  # noqa: E731
    train_discriminator(D, draw(-0.5), draw(0.5), steps=400)
    x = cloud(2000, seed=1)
    with torch.no_grad():
        error = (D(x).sigmoid() - torch.sigmoid(-x[:, 0])).abs().mean()
    assert error < 0.03


def test_the_value_of_the_game_is_minus_log_4_for_equal_distributions_and_larger_otherwise():
    """For q = p the trained D is ½ and V = −log 4; for q ≠ p the best V is −log 4 + 2 JSD."""
    points = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
    for counts, expected in (([1, 1], -math.log(4)), ([0, 2], None)):
        torch.manual_seed(0)
        D = PointDiscriminator(width=16)
        draw_fake = lambda counts=counts: points.repeat_interleave(torch.tensor(counts), 0)  # noqa: E731
        train_discriminator(D, lambda: points, draw_fake, steps=300)
        value = -(adversarial.real_loss(D(points)) + adversarial.fake_loss(D(draw_fake()))).item()
        if expected is None:  # p = (½, ½), q = (0, 1): D* = (1, ⅓), V = ½ log ⅓ + log ⅔
            expected = 0.5 * math.log(1 / 3) + math.log(2 / 3)
        assert value == pytest.approx(expected, abs=0.02)


# --- the step ---


def sgd(players, rate=0.1):
    players.optimizers = {name: torch.optim.SGD(players.network[name].parameters(), rate) for name in ("D", "G")}
    return players


def slopes_by_hand(logits, objective):
    """Derivatives of the real, the fake and the generator loss with respect to the logit."""
    if objective == "least-squares":
        return 2 * (logits - 1), 2 * logits, 2 * (logits - 1)
    p = logits.sigmoid()
    return p - 1, p, -p if objective == "minimax" else p - 1


@pytest.mark.parametrize("objective", adversarial.OBJECTIVES)
def test_one_step_by_hand(objective):
    """G(z) = z + g, D(x) = w·x + b, gradient descent: first D, then G with the new D and fresh noise."""
    config = tiny(layers_G=0, layers_D=0, objective=objective)
    players = sgd(Players(config, gan.build(config), gan.build_discriminator(config)))
    w, b = torch.tensor([0.8, -0.5]), torch.tensor(0.1)
    given = (torch.eye(2), torch.zeros(2), w[None], b[None])
    with torch.no_grad():
        for parameter, value in zip(players.network.parameters(), given, strict=True):
            parameter.copy_(value)
    real = cloud(8, (2.0, 1.0))
    torch.manual_seed(0)
    losses, fake = train_step(players, real[None])
    torch.manual_seed(0)
    first, second = torch.randn(8, 2), torch.randn(8, 2)
    on_real = slopes_by_hand(real @ w + b, objective)[0]
    on_fake = slopes_by_hand(first @ w + b, objective)[1]
    new_w = w - 0.1 * (on_real[:, None] * real + on_fake[:, None] * first).mean(0)
    new_b = b - 0.1 * (on_real + on_fake).mean()
    torch.testing.assert_close(players.D.layers[0].weight[0].detach(), new_w)
    torch.testing.assert_close(players.D.layers[0].bias[0].detach(), new_b)
    logits = second @ new_w + new_b
    slopes = slopes_by_hand(logits, objective)[2]
    torch.testing.assert_close(players.G.layers[0].bias.detach(), -0.1 * slopes.mean() * new_w)
    torch.testing.assert_close(fake.detach(), second)
    assert set(losses) == {"D_real", "D_fake", "G"}
    assert losses["G"].item() == pytest.approx(adversarial.generator_loss(logits, objective).item())


def test_each_network_is_changed_by_its_own_optimizer_alone():
    config = tiny()
    for still in ("G", "D"):
        players = sgd(Players(config, gan.build(config), gan.build_discriminator(config)))
        for group in players.optimizers[still].param_groups:
            group["lr"] = 0.0
        before = {name: value.clone() for name, value in players.network.state_dict().items()}
        train_step(players, cloud(8)[None])
        moved = {
            name[0] for name, value in players.network.state_dict().items() if not torch.equal(value, before[name])
        }
        assert moved == {"G", "D"} - {still}
        assert all(parameter.grad is None for parameter in players.network.parameters())
        assert all(parameter.requires_grad for parameter in players.network.parameters())


def test_k_minibatches_give_k_steps_of_d_and_one_of_g():
    config, steps = tiny(steps_D=3), {"D": 0, "G": 0}
    players = Players(config, gan.build(config), gan.build_discriminator(config))
    for name in steps:

        def count(*_, name=name):
            steps[name] += 1

        players.optimizers[name].register_step_post_hook(count)
    train_step(players, torch.stack([cloud(8, seed=k) for k in range(3)]))
    assert steps == {"D": 3, "G": 1}


def test_the_penalty_is_half_gamma_times_the_squared_gradient():
    """D(x) = w·x has the gradient w everywhere, so the penalty is γ/2 · |w|² and its gradient γ·w."""
    config = tiny(layers_D=0, penalty=0.6)
    players = sgd(Players(config, gan.build(config), gan.build_discriminator(config)))
    plain = sgd(Players(tiny(layers_D=0), gan.build(config), gan.build_discriminator(config)))
    w = players.D.layers[0].weight.detach().clone()
    for both in (players, plain):
        torch.manual_seed(0)
        both.losses = train_step(both, cloud(8)[None].clone())[0]
    assert players.losses["D_penalty"].item() == pytest.approx(0.3 * w.square().sum().item())
    torch.testing.assert_close(players.D.layers[0].weight, plain.D.layers[0].weight - 0.1 * 0.6 * w)


# --- training ---


def test_the_mean_of_the_samples_moves_to_the_mean_of_the_data():
    data = cloud(2000, (2.0, -1.0), 0.5)
    config = tiny(num_steps=400, learning_rate=5e-3, cooldown=0.5, layers_G=1, penalty=0.1)
    before = generate(1000, gan.Model(gan.build(config), config, {})).image.mean(0)
    model = train(data, config)
    after = generate(1000, model).image
    assert (before - data.mean(0)).norm() > 1.5
    assert (after.mean(0) - data.mean(0)).norm() < 0.3
    assert after.std(0).max() < 1.0
    with torch.no_grad():
        outputs = model.discriminator(torch.cat((data[:1000], after))).sigmoid()
    assert abs(outputs.mean() - 0.5) < 0.05
    history = model.facts["history"]
    late = sum(history["D_real"][-50:] + history["D_fake"][-50:]) / 50
    assert late == pytest.approx(math.log(4), abs=0.1)


def test_a_conditional_generator_follows_its_label():
    middles = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 2.0]])
    labels = torch.arange(3).repeat(500)
    data = middles[labels] + cloud(1500, sigma=0.3)
    config = tiny(num_classes=3, num_steps=400, learning_rate=5e-3, cooldown=0.5, penalty=0.1)
    model = train(data, config, labels=labels)
    for k, middle in enumerate(middles):
        made = generate(300, model, labels=k).image
        assert (made.mean(0) - middle).norm() < 0.5
        assert (torch.cdist(made, middles).argmin(1) == k).float().mean() > 0.95
    wanted = torch.arange(300) % 3
    mixed = generate(300, model, labels=wanted).image
    assert (torch.cdist(mixed, middles).argmin(1) == wanted).float().mean() > 0.95


def test_pictures_of_two_colors_are_learned_by_class():
    labels = torch.arange(64) % 2
    data = torch.tensor([0.15, 0.85])[labels].view(-1, 1, 1, 1) + 0.05 * torch.randn(
        64, 3, 16, 16, generator=generator()
    )
    config = tiny(
        **{**PICTURES, "num_classes": 2, "num_steps": 60, "learning_rate": 2e-3, "width": 8, "batch_size": 16}
    )
    model = train(data.clamp(0, 1), config, labels=labels)
    dark, bright = (generate(8, model, labels=k).image.mean().item() for k in (0, 1))
    assert dark < 0.4 < 0.6 < bright


def test_every_step_of_d_gets_other_points_with_their_labels():
    data = torch.arange(12.0).repeat(2, 1).T  # (12, 2): point k is (k, k)
    labels = torch.arange(12) % 4
    for kind in (data, list(data)):
        packed = gan._Packed(kind, labels, 3)
        assert len(packed) == 12
        item = packed[7]  # (k, 3): x, y, label
        assert item[:, 0].tolist() == [7, 11, 3]
        assert item[:, 2].tolist() == [3, 3, 3]
        assert torch.equal(torch.stack(list(packed.__getitems__([7, 0]))), torch.stack((item, packed[0])))


def test_the_step_gets_the_pictures_with_their_labels(monkeypatch):
    images = torch.rand(8, 3, 16, 16, generator=generator())
    labels, seen = (torch.arange(8) > 2).long(), []  # items 4 apart, which one step uses, have different labels

    def watch(players, real, labels):
        seen.append((real.detach().clone(), labels.clone()))
        return train_step(players, real, labels)

    monkeypatch.setattr(gan, "train_step", watch)
    train(images, tiny(**PICTURES, steps_D=2, num_classes=2), labels=labels)
    for real, named in seen:
        assert real.shape == (2, 4, 3, 16, 16)
        for image, label in zip(real.flatten(0, 1), named.flatten(), strict=True):
            (place,) = (images == image).flatten(1).all(1).nonzero()
            assert labels[place] == label


def test_a_dataset_of_items_trains_like_a_tensor():
    data = cloud(64)
    assert same(train(data, tiny()).network, train(list(data), tiny()).network)


def test_the_history_has_every_loss_of_every_step():
    model = train(cloud(64), tiny(penalty=0.1))
    assert set(model.facts["history"]) == {"total", "D_real", "D_fake", "D_penalty", "G", "seconds"}
    assert all(len(values) == 4 for values in model.facts["history"].values())


def test_each_network_has_its_own_learning_rate():
    config = tiny(learning_rate=1e-3, learning_rate_D=1e-4)
    players = Players(config, gan.build(config), gan.build_discriminator(config))
    rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in players.optimizers.items()}
    assert rates == {"D": 1e-4, "G": 1e-3}


# --- the run ---


def test_a_checkpoint_of_other_labels_is_refused(tmp_path):
    data, labels, config = cloud(40), torch.arange(40) % 2, tiny(num_classes=2)
    train(data, config, labels=labels, checkpoint=tmp_path / "run")
    with pytest.raises(checkpoints.CheckpointError):
        train(data, config, labels=1 - labels, checkpoint=tmp_path / "run")


def test_a_callback_gets_pictures_but_no_points():
    seen = []
    train(torch.rand(8, 3, 16, 16), tiny(**PICTURES), callback=seen.append)
    assert seen[-1].image().shape == (1, 3, 16, 16)
    train(cloud(64), tiny(), callback=seen.append)
    with pytest.raises(LookupError, match="no picture to show"):
        seen[-1].image()  # points are not pictures
    assert set(seen[-1].losses) == {"total", "D_real", "D_fake", "G"}


# --- the verb ---


def test_the_output_for_a_noise_vector_does_not_depend_on_its_batch():
    model = train(torch.rand(8, 3, 16, 16), tiny(**PICTURES))
    noise = torch.randn(300, 2, generator=generator())
    whole = generate(noise, model).image
    assert whole.shape == (300, 3, 16, 16)
    assert 0 <= whole.min() <= whole.max() <= 1
    torch.testing.assert_close(generate(noise[7:9], model).image, whole[7:9], atol=1e-5, rtol=0)


def test_a_count_draws_noise_from_the_seed():
    model = train(cloud(64), tiny())
    drawn = generate(3, model, seed=5).image
    torch.testing.assert_close(drawn, generate(torch.randn(3, 2, generator=generator(5)), model).image)
    assert not torch.equal(drawn, generate(3, model, seed=6).image)


# --- invalid input ---


@pytest.mark.parametrize(
    ("data", "more", "message"),
    [
        (torch.zeros(0, 2), {}, "got none"),
        (torch.zeros(64, 3), {}, r"expected items \(2,\).*got \(3,\)"),
        (torch.zeros(64, 2), {"image_size": 16}, r"expected items \(3, 16, 16\).*Config.points"),
        (torch.zeros(64, 3, 32, 32), {"image_size": 16}, r"for image_size=16; got \(3, 32, 32\)"),
        (torch.zeros(8, 2), {}, "8 items do not fill a batch of 32"),
        (2 * torch.ones(64, 3, 16, 16), {"image_size": 16}, r"the data: values run from 2 to 2, expected \[0, 1\]"),
        (torch.full((64, 2), math.nan), {}, "not finite"),
    ],
)
def test_invalid_data_are_refused(data, more, message):
    with pytest.raises(ValueError, match=message):
        train(data, tiny(**more))


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        (torch.zeros(64).long(), 0, "num_classes=0"),
        (None, 3, "the configuration has 3 classes; give labels, whole numbers from 0 to 2"),
        (torch.full((64,), 3), 3, r"64 labels, whole numbers from 0 to 2, got torch.int64 .*such as \[3, 3"),
        (torch.zeros(63).long(), 3, r"of shape \(63,\)"),
        (torch.zeros(0).long(), 3, r"of shape \(0,\)"),
        ([0, 1], 3, r"of shape \(2,\)"),
        (torch.zeros(64), 3, "torch.float32"),
    ],
)
def test_invalid_labels_are_refused(labels, classes, message):
    with pytest.raises(ValueError, match=message):
        train(cloud(64), tiny(num_classes=classes), labels=labels)
    model = gan.Model(gan.build(tiny(num_classes=classes)), tiny(num_classes=classes), {})
    with pytest.raises(ValueError, match=message):
        generate(64, model, labels=labels)


@pytest.mark.parametrize("noise", [torch.zeros(3), torch.zeros(3, 5), torch.zeros(0, 2), torch.full((3, 2), math.nan)])
def test_invalid_noise_is_refused(noise):
    model = gan.Model(gan.build(tiny()), tiny(), {})
    with pytest.raises(ValueError, match=r"expected noise \(N, 2\) with N of at least 1, or a count, got "):
        generate(noise, model)


@pytest.mark.parametrize("count", [0, -2, "5", 1.5, None, True])
def test_an_invalid_count_is_refused(count):
    model = gan.Model(gan.build(tiny()), tiny(), {})
    with pytest.raises(ValueError, match="count_or_noise must be a whole number from 1 to 2147483647, got "):
        generate(count, model)


def test_numbers_of_any_type_mean_the_same():
    model = gan.Model(gan.build(tiny(num_classes=3)), tiny(num_classes=3), {})
    expected = generate(2, model, labels=[1, 1]).image
    for count in (np.int64(2), torch.tensor(2), 2.0):
        assert torch.equal(generate(count, model, labels=np.array([1, 1])).image, expected)
    for one in (1, np.int64(1), torch.tensor(1), 1.0, (1 for _ in range(2))):
        assert torch.equal(generate(2, model, labels=one, seed=np.int64(0)).image, expected)
    noise = torch.randn(2, 2, generator=torch.Generator().manual_seed(0))
    for given in (noise, noise.double(), noise.numpy(), noise.tolist(), noise.clone().requires_grad_()):
        assert torch.equal(generate(given, model, labels=1).image, expected)


@pytest.mark.parametrize("as_given", [lambda x: x.double(), lambda x: x.numpy(), lambda x: x.tolist(), iter, list])
def test_points_of_any_type_train_alike(as_given):
    data = cloud(64).half().float()
    ours = train(as_given(data), tiny(num_steps=2)).network.state_dict()
    torch.testing.assert_close(ours, train(data, tiny(num_steps=2)).network.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("data", [None, 3, "points", {}, [None] * 64, [["a", "b"]] * 64, np.zeros(())])
def test_what_is_no_data_is_refused(data):
    with pytest.raises(ValueError, match=r"expected (a tensor or a data set of )?items \(2,\)"):
        train(data, tiny())
