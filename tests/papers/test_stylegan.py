"""Karras et al. 2019 and 2020: the step, its lazy penalties and rates, mixing, truncation, and what a run returns.

The networks have a few thousand weights. That runs are reproducible and resume is tested for all methods in
`test_contract`.
"""

import copy
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from course_lib.methods import stylegan
from course_lib.methods.stylegan import Config, Model, Players, build, build_discriminator, train, train_step
from course_lib.networks.stylegan import StyleDiscriminator, StyleGenerator

TINY = {
    "image_size": 8, "num_steps": 4, "batch_size": 4, "width": 32, "most": 8, "z_size": 6, "w_size": 5,
    "num_mapping": 2, "device": "cpu",
}  # fmt: skip


def tiny(**settings):
    return Config(**{**TINY, **settings})


def pictures(count=4, size=8, seed=0):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def players(config):
    return Players(config, build(config), build_discriminator(config))


def weights(network):
    return torch.cat([p.detach().flatten().clone() for p in network.parameters()])


@pytest.fixture(scope="module")
def model():
    """A short run: weights that are not the first ones, and a mean style."""
    return train(pictures(8, 16), tiny(image_size=16, average_over=1.0, learning_rate=0.01))


# --- the configuration
def test_the_defaults_are_the_papers():
    config = Config()
    assert config.num_steps * config.batch_size == 25_000_000
    paper = {
        "image_size": 256, "width": 16_384, "most": 512, "z_size": 512, "w_size": 512, "num_mapping": 8,
        "rate_mapping": 0.01, "mixing": 0.9, "penalty": 10.0, "penalty_every": 16, "path_weight": 2.0, "path_every": 4,
        "path_decay": 0.01, "learning_rate": 0.002, "beta1": 0.0, "beta2": 0.99, "average_over": 10_000.0,
        "style": "demodulation", "cooldown": 0.0, "batch_size": 32,
    }  # fmt: skip
    assert {name: getattr(config, name) for name in paper} == paper
    assert replace(Config(), style="instance", path_weight=0.0) == Config.adain()
    assert Config.quick().num_steps < Config.fast().num_steps < config.num_steps


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image_size", 48), ("num_steps", 0), ("batch_size", 0), ("width", 0), ("most", 0), ("z_size", 0),
        ("w_size", 0), ("num_mapping", -1), ("rate_mapping", 0.0), ("style", "adain"), ("mixing", -0.1),
        ("penalty", -1.0), ("penalty_every", 0), ("path_weight", math.nan), ("path_every", 1.5), ("path_decay", 0.0),
        ("learning_rate", 0.0), ("beta1", -0.1), ("average_over", 0.0), ("cooldown", -1.0), ("seed", -1),
    ],
)  # fmt: skip
def test_an_invalid_field_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"{field} must be"):
        Config(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"), [("mixing", 1.1), ("cooldown", 2.0), ("path_decay", 1.5), ("beta1", 1.0), ("beta2", 1.0)]
)
def test_shares_are_at_most_one(field, value):
    with pytest.raises(ValueError, match=rf"\b{field}\b.* must be .*got .*{value}"):
        Config(**{field: value})


def test_without_a_mapping_w_is_z():
    with pytest.raises(ValueError, match="without a mapping, w is z: w_size is 5, z_size 6"):
        tiny(num_mapping=0)
    trained = train(pictures(), tiny(num_mapping=0, w_size=6, num_steps=1))
    z = torch.randn(3, 6)
    w = stylegan.styles(z, trained)[:, 0]
    torch.testing.assert_close(w, z / z.square().mean(1, keepdim=True).sqrt())


# --- lazy rates
@pytest.mark.parametrize(("every_D", "every_G"), [(16, 4), (1, 8)])
def test_rates_and_betas_make_up_for_the_additional_steps(every_D, every_G):
    """2020, Appendix B: c = k/(k + 1); the rate is c·η, the betas are β^c."""
    config = tiny(penalty_every=every_D, path_every=every_G, beta1=0.5, beta2=0.98, learning_rate=0.01)
    for name, k in (("D", every_D), ("G", every_G)):
        (group,) = players(config).optimizers[name].param_groups
        c = k / (k + 1)
        assert group["lr"] == pytest.approx(0.01 * c)
        assert group["betas"] == pytest.approx((0.5**c, 0.98**c))


def test_the_papers_rates():
    optimizers = players(tiny()).optimizers
    assert optimizers["D"].param_groups[0]["lr"] == pytest.approx(0.002 * 16 / 17)
    assert optimizers["D"].param_groups[0]["betas"] == pytest.approx((0.0, 0.99 ** (16 / 17)))
    assert optimizers["G"].param_groups[0]["lr"] == pytest.approx(0.002 * 4 / 5)
    assert optimizers["G"].param_groups[0]["betas"] == pytest.approx((0.0, 0.99**0.8))


def test_without_penalties_rates_stay():
    learner = players(tiny(penalty=0.0, path_weight=0.0, beta1=0.3))
    for name in "DG":
        (group,) = learner.optimizers[name].param_groups
        assert (group["lr"], *group["betas"]) == (0.002, 0.3, 0.99)
    assert learner.names == ["D_real", "D_fake", "G"]


def test_each_optimizer_moves_all_of_its_own_network():
    learner = players(tiny())
    for name, network in (("D", learner.D), ("G", learner.G)):
        moved = {id(p) for group in learner.optimizers[name].param_groups for p in group["params"]}
        assert moved == {id(p) for p in network.parameters()}
    assert any(p is learner.G.mapping.layers[0].weight for p in learner.G.parameters())


def test_a_step_that_depends_on_its_number_is_not_captured():
    assert players(tiny()).capturable is False


# --- the step
class Steps:
    """Which optimizer stepped, in order, and what its gradient was."""

    def __init__(self, learner):
        self.found, self.gradients = [], []
        for name, optimizer in learner.optimizers.items():
            optimizer.register_step_pre_hook(self.hook(name, learner))

    def hook(self, name, learner):
        def note(optimizer, args, kwargs):
            self.found.append(name)
            own, other = (learner.D, learner.G) if name == "D" else (learner.G, learner.D)
            assert all(p.grad is None for p in other.parameters()), "the other network has gradients"
            self.gradients.append([None if p.grad is None else p.grad.clone() for p in own.parameters()])

        return note


@pytest.mark.parametrize(
    ("step", "order"),
    [(0, "DDGG"), (1, "DG"), (2, "DGG"), (3, "DDG"), (4, "DGG"), (6, "DDGG")],
)  # fmt: skip
def test_penalties_have_steps_of_their_own_at_multiples_of_their_intervals(step, order):
    learner = players(tiny(penalty_every=3, path_every=2))
    steps = Steps(learner)
    train_step(learner, pictures(), step)
    assert "".join(steps.found) == order


@pytest.mark.parametrize(("settings", "order"), [({"penalty": 0.0}, "DGG"), ({"path_weight": 0.0}, "DDG")])
def test_a_penalty_without_weight_has_no_step(settings, order):
    learner = players(tiny(**settings))
    steps = Steps(learner)
    losses, _ = train_step(learner, pictures(), 0)
    assert "".join(steps.found) == order
    assert [*losses] == [*learner.names]


def test_the_losses_are_those_of_the_equations():
    """With the fakes of the step drawn again, and networks as they were before each update."""
    config = tiny(penalty=3.0, penalty_every=5, path_weight=0.0)
    learner, before, real = players(config), players(config), pictures()
    torch.manual_seed(1)
    losses, fake = train_step(learner, real, 0)
    torch.manual_seed(1)
    first, second = (before.fakes(4).detach() for _ in range(2))
    D = before.D
    torch.testing.assert_close(losses["D_real"], F.softplus(-D(real)).mean())
    torch.testing.assert_close(losses["D_fake"], F.softplus(D(first)).mean())
    update = before.optimizers["D"]
    (F.softplus(-D(real)).mean() + F.softplus(D(first)).mean()).backward()
    update.step()
    update.zero_grad()
    x = (2 * real - 1).requires_grad_()  # the paper's pictures
    (slope,) = torch.autograd.grad(D((x + 1) / 2).sum(), x, create_graph=True)
    penalty = 3.0 / 2 * slope.square().sum((1, 2, 3)).mean()
    torch.testing.assert_close(losses["D_penalty"], penalty.detach())
    (5 * penalty).backward()
    update.step()
    update.zero_grad()
    torch.testing.assert_close(weights(learner.D), weights(D), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fake, second)
    torch.testing.assert_close(losses["G"], F.softplus(-D(second)).mean(), rtol=1e-4, atol=1e-5)


def test_path_length_is_that_of_pictures_from_minus_one_to_one():
    """A step of G by hand, in which the mean is moved first; half a batch of styles; gradients reach the mapping."""
    config = tiny(penalty=0.0, path_weight=2.5, path_every=3, path_decay=0.25, learning_rate=1e-3)
    learner, real = players(config), pictures()
    learner.memory.mean_length.fill_(0.7)
    seen, steps = [], Steps(learner)
    learner.G.register_forward_pre_hook(lambda module, given: seen.append(given))
    torch.manual_seed(1)
    losses, _ = train_step(learner, real, 3)
    assert [len(given[0]) for given in seen] == [4, 4, 2]

    G = build(config)
    by_hand = players(config)  # with the first step of G only
    torch.manual_seed(1)
    with torch.no_grad():
        fake = by_hand.fakes(4)
    logits = by_hand.D(real), by_hand.D(fake)
    (F.softplus(-logits[0]).mean() + F.softplus(logits[1]).mean()).backward()
    by_hand.optimizers["D"].step()
    F.softplus(-by_hand.D(by_hand.fakes(4))).mean().backward()
    by_hand.optimizers["G"].step()
    by_hand.optimizers["G"].zero_grad()
    G = by_hand.G
    w = by_hand.styles(2)
    images = 2 * G(w, G.random_noise(2)) - 1
    y = torch.randn(2, 3, 8, 8) / 8  # over √(H·W)
    (slope,) = torch.autograd.grad((images * y).sum(), w, create_graph=True)
    lengths = slope.square().sum(2).mean(1).sqrt()
    mean = 0.7 + 0.25 * (lengths.mean().item() - 0.7)
    penalty = 2.5 * (lengths - mean).square().mean()
    torch.testing.assert_close(learner.memory.mean_length.item(), mean, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(losses["G_path"].item(), penalty.item(), rtol=1e-3, atol=1e-6)
    expected = torch.autograd.grad(3 * penalty, [*G.parameters()], allow_unused=True)
    assert expected[0].abs().max() > 0  # of the mapping's first layer
    for ours, theirs in zip(steps.gradients[2], expected, strict=True):
        if theirs is not None:
            torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-4 * (1 + theirs.abs().max().item()))


def test_losses_keep_the_latest_penalty_and_are_values_of_their_own():
    learner = players(tiny(penalty_every=2, path_every=2))
    first, _ = train_step(learner, pictures(), 0)
    kept = {name: value.item() for name, value in first.items()}
    between, _ = train_step(learner, pictures(), 1)
    assert kept["D_penalty"] > 0
    assert kept["G_path"] > 0
    for name in ("D_penalty", "G_path"):
        assert between[name].item() == kept[name]
    later, _ = train_step(learner, pictures(), 2)
    assert later["D_penalty"].item() != kept["D_penalty"]
    assert {name: value.item() for name, value in first.items()} == kept


def test_networks_are_free_of_gradients_and_flags_after_a_step():
    learner, real = players(tiny()), pictures()
    losses, _ = train_step(learner, real, 0)
    assert all(p.grad is None and p.requires_grad for p in learner.network.parameters())
    assert not real.requires_grad
    shown = learner.step(real, 1)
    assert shown[0].shape == (len(learner.names),)
    assert not shown[1].requires_grad
    assert learner.names == [*losses]


def test_the_last_batch_of_one_has_a_path_length():
    losses, fake = train_step(players(tiny(batch_size=1)), pictures(1), 0)
    assert len(fake) == 1
    assert losses["G_path"].isfinite()


# --- training
def two_colors(count=64, size=8):
    """Half of the pictures red, half blue, and nothing else."""
    colors = torch.tensor([[0.9, 0.2, 0.2], [0.2, 0.2, 0.9]])
    return colors[torch.arange(count) % 2].view(count, 3, 1, 1).expand(-1, -1, size, size).contiguous()


@pytest.mark.parametrize("style", ["demodulation", "instance"])
def test_it_learns_two_colors(style):
    """In a second, pictures come near to red or blue: half as far as at the beginning, with as little green."""
    config = tiny(num_steps=60, batch_size=8, learning_rate=0.01, penalty=0.2, average_over=60.0, style=style, seed=3)
    trained = train(two_colors(), config)
    made = stylegan.generate(64, trained, seed=1).image.mean((2, 3))
    start = Model(build(config), config, {})
    first = stylegan.generate(64, start, seed=1).image.mean((2, 3))
    colors = torch.tensor([[0.9, 0.2, 0.2], [0.2, 0.2, 0.9]])

    def distance(found):
        return torch.cdist(found, colors).min(1).values.mean().item()

    assert distance(made) < 0.6 * distance(first)
    assert made[:, 1].mean() < 0.3


def test_the_average_is_that_of_the_weights_of_all_steps():
    """a ← β a + (1 − β) w with β = ½^(batch/average_over), from the first weights on: here β = ¼."""
    config, live = tiny(average_over=2.0, num_steps=3), []
    first = weights(build(config))
    average = first
    learners = []
    original = Players.step

    class Watched(Players):
        def step(self, batch, step=0):
            found = original(self, batch, step)
            learners.append(self)
            live.append(weights(self.G))
            return found

    patch = pytest.MonkeyPatch()
    patch.setattr(stylegan, "Players", Watched)
    try:
        trained = train(pictures(8), config)
    finally:
        patch.undo()
    for each in live:
        average = 0.25 * average + 0.75 * each
    torch.testing.assert_close(weights(trained.network), average, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(weights(trained.network), live[-1], atol=1e-5)
    torch.testing.assert_close(weights(trained.discriminator), weights(learners[-1].D))  # as trained


def test_the_mean_style_is_stored_with_the_model(model, tmp_path):
    stylegan.save(model, tmp_path / "x.safetensors")
    again = stylegan.load(tmp_path / "x.safetensors")
    mean = model.network.mapping.mean
    assert mean.abs().max() > 0
    assert torch.equal(again.network.mapping.mean, mean)
    assert torch.equal(again.network.noise, model.network.noise)
    torch.testing.assert_close(mean, stylegan.styles(5000, model, seed=9)[:, 0].mean(0), atol=0.1, rtol=0)


def test_a_start_with_another_rate_of_the_mapping_would_be_another_network():
    """Stored weights are divided by the rate, so the same numbers mean other styles."""
    start = train(pictures(), tiny(num_steps=1))
    with pytest.raises(ValueError, match=r"the model to start from has rate_mapping=0.01, not 0.1"):
        train(pictures(), tiny(rate_mapping=0.1), start=start)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pictures(4, 16), r"expected items \(3, 8, 8\) for image_size=8; got \(3, 16, 16\)"),
        (pictures(3), "3 items do not fill a batch of 4; use a smaller batch_size"),
        (255 * pictures(), "255"),
        (torch.zeros(0, 3, 8, 8), "got none"),
        (3, r"expected a data set of pictures \(3, H, W\) in \[0, 1\], such as a list of tensors, got int"),
    ],
)
def test_data_that_do_not_fit_get_a_sentence(data, message):
    with pytest.raises(ValueError, match=message):
        train(data, tiny())


# --- styles
def test_truncation_pulls_toward_the_mean(model):
    full, none, half = (stylegan.styles(5, model, seed=3, truncation=psi) for psi in (1.0, 0.0, 0.5))
    mean = model.network.mapping.mean
    assert full.shape == (5, 8 - 2, 5)
    torch.testing.assert_close(none, mean.expand_as(none))
    torch.testing.assert_close(half, (full + mean) / 2)
    beyond = stylegan.styles(5, model, seed=3, truncation=2.0)
    torch.testing.assert_close(beyond, 2 * full - mean)
    assert all(torch.equal(full[:, k], full[:, 0]) for k in range(6))


def test_truncation_of_zero_gives_the_picture_of_the_mean_style(model):
    made = stylegan.generate(3, model, seed=1, truncation=0.0, device="cpu").image
    mean = stylegan.paint(model.network.mapping.mean[None], model, device="cpu").image
    torch.testing.assert_close(made, mean.expand(3, -1, -1, -1), rtol=1e-4, atol=1e-5)
    spread = [
        stylegan.generate(16, model, seed=1, truncation=psi, device="cpu").image.std(0).mean() for psi in (0.1, 0.5, 1)
    ]
    assert spread[0] < spread[1] < spread[2]


def test_the_same_seed_gives_the_same_pictures_and_its_noise_can_be_given(model):
    a = stylegan.generate(3, model, seed=4, device="cpu")
    z = torch.randn(3, 6, generator=torch.Generator().manual_seed(4))
    assert torch.equal(a.image, stylegan.generate(z, model, device="cpu").image)
    assert not torch.equal(a.image, stylegan.generate(3, model, seed=5, device="cpu").image)
    torch.testing.assert_close(a.styles, model.network.mapping(z)[:, None].expand(-1, 6, -1).detach())
    assert a.image.min() >= 0
    assert a.image.max() <= 1


def test_pictures_do_not_depend_on_how_many_are_made_at_once(model):
    many = stylegan.generate(19, model, seed=4, device="cpu").image
    some = stylegan.paint(stylegan.styles(19, model, seed=4)[15:18], model, device="cpu").image
    torch.testing.assert_close(many[15:18], some, rtol=1e-4, atol=1e-5)


def test_noise_decides_details_and_not_the_styles(model):
    G = copy.deepcopy(model.network)
    with torch.no_grad():
        for conv in G.convs:
            conv.noise_strength.fill_(0.5)
    noisy = replace(model, network=G)
    w = stylegan.styles(1, model).repeat(18, 1, 1)
    fixed = stylegan.paint(w, noisy, device="cpu").image
    torch.testing.assert_close(fixed, fixed[:1].expand_as(fixed), rtol=1e-4, atol=1e-5)
    drawn = stylegan.paint(w, noisy, noise_seed=1, device="cpu").image
    assert torch.equal(drawn, stylegan.paint(w, noisy, noise_seed=1, device="cpu").image)
    assert not torch.equal(drawn, stylegan.paint(w, noisy, noise_seed=2, device="cpu").image)
    assert all((drawn[k] - drawn[0]).abs().max() > 1e-3 for k in (1, 16, 17))  # each its own, in each part


def test_mixed_takes_the_fine_styles_at_its_sizes_only(model):
    coarse, fine = torch.zeros(2, 6, 5), torch.ones(2, 6, 5)
    assert stylegan.mixed(coarse, fine, model, (4, 8))[0, :, 0].tolist() == [1, 1, 1, 0, 0, 0]
    assert stylegan.mixed(coarse, fine, model, (16, 16))[1, :, 4].tolist() == [0, 0, 0, 1, 1, 1]  # and the last colors
    assert stylegan.mixed(coarse, fine, model, (4, 4))[0, :, 0].tolist() == [1, 0, 0, 0, 0, 0]
    assert torch.equal(stylegan.mixed(coarse, fine, model, (4, 16)), fine)
    rows = torch.arange(10.0).view(2, 5)
    one = stylegan.mixed(rows, fine[:1], model, (8, 8))  # a style for all layers, and one of the two alone
    assert one.shape == (2, 6, 5)
    assert torch.equal(one[:, 0], rows)
    assert (one[:, 1:3] == 1).all()


def test_mixing_with_itself_changes_nothing(model):
    w = stylegan.styles(2, model)
    assert torch.equal(stylegan.mixed(w, w, model, (8, 16)), w)


def test_styles_of_a_result_are_its_own(model):
    w = stylegan.styles(2, model)[:, 0]
    kept = w.clone()
    result = stylegan.paint(w.requires_grad_(), model, device="cpu")
    assert result.styles.shape == (2, 6, 5)
    assert not result.styles.requires_grad
    result.styles[:, 3] = 7.0  # one layer, not all
    assert torch.equal(result.styles[:, 0], kept)
    assert torch.equal(w, kept)


def test_wrong_arguments_get_a_sentence(model):
    w = torch.zeros(2, 6, 5)
    for wrong in ((4, 6), (16, 8), (4,)):
        with pytest.raises(ValueError, match="expected two of the sizes 4, 8, 16, the smaller first"):
            stylegan.mixed(w, w, model, wrong)
    with pytest.raises(ValueError, match="as many fine styles as coarse ones, or 1, got 2 and 3"):
        stylegan.mixed(w, torch.zeros(3, 6, 5), model, (4, 8))
    with pytest.raises(ValueError, match=r"expected styles \(N, 5\) or \(N, 6, 5\), got \(2, 5, 5\)"):
        stylegan.paint(w[:, :5], model)
    with pytest.raises(ValueError, match=r"expected noise \(N, 6\)"):
        stylegan.generate(torch.zeros(2, 5), model)
    with pytest.raises(ValueError, match="truncation must be a finite number of at least 0, got -1"):
        stylegan.styles(2, model, truncation=-1)
    with pytest.raises(ValueError, match="noise_seed must be"):
        stylegan.paint(w, model, noise_seed=-1)
    with pytest.raises(TypeError, match="model"):
        stylegan.generate(2, model.network)


@pytest.mark.parametrize("switched_off", [torch.no_grad, torch.inference_mode])
def test_pictures_are_the_same_where_gradients_are_off(model, switched_off):
    expected = stylegan.generate(2, model, device="cpu").image
    with switched_off():
        assert torch.equal(stylegan.generate(2, model, device="cpu").image, expected)


def test_networks_are_drawn_from_the_seed_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, D = build(tiny()), build_discriminator(tiny())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(weights(first), weights(build(tiny())))
    assert not torch.equal(weights(first), weights(build(tiny(seed=1))))
    assert isinstance(first, StyleGenerator)
    assert isinstance(D, StyleDiscriminator)
    assert build(tiny(style="instance")).convs[0].norm is not None


def test_settings_reach_the_networks():
    config = tiny(rate_mapping=0.5, num_mapping=3, seed=4)
    G = build(config)
    assert [layer.rate for layer in G.mapping.layers] == [0.5] * 3
    torch.manual_seed(4 + 1)  # of the discriminator: its first numbers are not those of the generator
    assert torch.equal(weights(build_discriminator(config)), weights(StyleDiscriminator(8, width=32, most=8)))


def test_fakes_of_a_step_have_noise_of_their_own():
    learner = players(tiny())
    with torch.no_grad():
        for conv in learner.G.convs:
            conv.noise_strength.fill_(1.0)
    learner.G.random_styles = lambda count, mixing: torch.ones(count, learner.G.num_styles, 5)
    fakes = learner.fakes(2)
    assert not torch.allclose(fakes[0], fakes[1], atol=1e-2)
    assert not torch.allclose(fakes, learner.fakes(2), atol=1e-2)
