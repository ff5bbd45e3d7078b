"""Isola et al. 2017, pix2pix: configuration, training step, the effect of L1 alone, test modes.

All tests use tiny networks at 32 px.
"""

import ast
import copy
import dataclasses
import inspect
import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from course_lib.images import ImageError
from course_lib.methods import pix2pix
from course_lib.methods.pix2pix import (
    Config,
    Model,
    Players,
    build,
    build_discriminator,
    train,
    train_step,
)
from course_lib.networks.layers import InstanceNorm
from course_lib.training import loop, run
from course_lib.training.batches import order

TINY = {
    "num_epochs": 1, "image_size": 32, "load_size": None, "mirror": False, "width": 0.1, "patch": 16,
    "precision": "float32", "device": "cpu",
}  # fmt: skip
translate = partial(pix2pix.translate, device="cpu", precision="float32")
COMBINATIONS = {  # Table 1 of the paper
    "L1": {"gan_weight": 0.0},
    "GAN": {"l1_weight": 0.0, "conditional": False},
    "cGAN": {"l1_weight": 0.0},
    "L1+GAN": {"conditional": False},
    "L1+cGAN": {},
}


def tiny(**settings):
    return Config(**{**TINY, **settings})


def random_pairs(count, size=32, seed=0):
    return [*torch.rand(count, 2, 3, size, size, generator=torch.Generator().manual_seed(seed))]


def players(config):
    return Players(config, build(config), build_discriminator(config) if config.gan_weight > 0 else None)


def state_of(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def collected(**settings):
    """An untrained model whose running statistics differ from their initial values."""
    model = untrained(**settings)
    model.network.train()
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        for _ in range(5):
            model.network(0.2 * torch.rand(4, 3, 32, 32))
    model.network.eval()
    return model


def untrained(**settings):
    config = tiny(**settings)
    return Model(build(config).eval(), config, {})


# --- the paper's configuration ---


def test_the_defaults_are_the_papers():
    """Section 3.3 and Appendix 6; Wang 2019, Table 1, agrees in the fields that both give."""
    paper = {
        "num_epochs": 200,
        "batch_size": 1,
        "image_size": 256,
        "load_size": 286,
        "mirror": True,
        "gan_weight": 1.0,
        "l1_weight": 100.0,
        "conditional": True,
        "objective": "non-saturating",
        "learning_rate": 2e-4,
        "beta1": 0.5,
        "patch": 70,
        "width": 1.0,
        "skips": True,
        "dropout": (1, 2, 3),
        "norm": "batch",
        "init_std": 0.02,
        "cooldown": 0.0,
        "pool_size": 0,
    }
    wang = {"batch_size": 1, "image_size": 256, "load_size": 286, "aspect_ratio": 1.0, "gan_weight": 1.0,
            "l1_weight": 100.0, "learning_rate": 2e-4}  # fmt: skip
    config = Config()
    assert {name: getattr(config, name) for name in paper} == paper
    assert {name: getattr(config, name) for name in wang} == wang
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.patch = 16


def test_networks_and_optimizers_are_the_papers():
    learner = players(Config())
    assert sum(p.numel() for p in learner.G.parameters()) == 54_413_955
    assert sum(p.numel() for p in learner.D.parameters()) == 2_768_705
    assert (learner.D.patch, learner.D.pictures, learner.G.depth) == (70, 2, 8)
    for name, network in (("G", learner.G), ("D", learner.D)):
        (settings,) = learner.optimizers[name].param_groups
        assert (settings["lr"], settings["betas"]) == (2e-4, (0.5, 0.999))
        assert {id(p) for p in settings["params"]} == {id(p) for p in network.parameters()}
    assert list(learner.optimizers) == ["D", "G"]


def spread(network):
    return torch.cat([p.detach().flatten() for p in network.parameters() if p.ndim > 1]).std().item()


def test_first_weights_are_small_and_depend_on_the_seed_alone():
    config, before = tiny(width=0.5), torch.get_rng_state()
    for make in (build, build_discriminator):
        first, again, other = (make(dataclasses.replace(config, seed=seed)) for seed in (0, 0, 1))
        assert same(first.state_dict(), again.state_dict())
        assert not same(first.state_dict(), other.state_dict())
        assert spread(first) == pytest.approx(0.02, rel=0.05)
        assert spread(make(dataclasses.replace(config, init_std=0.2))) == pytest.approx(0.2, rel=0.05)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_networks_are_built_as_configured():
    def count(network):
        return sum(p.numel() for p in network.parameters())

    standard = build(tiny(width=0.25))
    assert standard.depth == 5
    assert count(build(tiny(width=0.25, skips=False))) < count(standard) < count(build(tiny(width=0.5)))
    assert [layer for layer in build(tiny(norm="instance")).modules() if isinstance(layer, InstanceNorm)]
    D = build_discriminator(tiny(patch=34, norm="instance", conditional=False))
    assert (D.patch, D.pictures) == (34, 1)
    assert [layer for layer in D.modules() if isinstance(layer, InstanceNorm)]


def test_the_fields_in_which_released_fast_and_quick_differ():
    def changed(config, reference):
        return {f.name for f in dataclasses.fields(Config) if getattr(config, f.name) != getattr(reference, f.name)}

    assert changed(Config.released(), Config()) == {"cooldown", "dropout"}
    objective = {"gan_weight", "l1_weight", "conditional", "objective", "beta1", "skips", "init_std", "patch"}
    assert not changed(Config.fast(), Config()) & objective
    assert Config.fast().norm == "instance"
    assert changed(Config.quick(), Config.fast()) == {"image_size", "patch", "learning_rate"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_epochs", 0),
        ("batch_size", 1.5),
        ("image_size", 2),
        ("image_size", 96),
        ("load_size", 255),
        ("aspect_ratio", 0.0),
        ("gan_weight", -1.0),
        ("l1_weight", math.inf),
        ("conditional", "yes"),
        ("objective", "wasserstein"),
        ("learning_rate", math.nan),
        ("beta1", -0.5),
        ("cooldown", -0.1),
        ("patch", 71),
        ("width", 0),
        ("skips", None),
        ("mirror", 2),
        ("norm", "layer"),
        ("init_std", 0.0),
        ("pool_size", -1),
        ("seed", 1.5),
    ],
)
def test_an_invalid_field_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=rf"^{field} must be .*, got {value!r}"):
        Config(**{field: value})


def test_a_refusal_says_what_is_allowed():
    for settings, message in (
        ({"image_size": 96}, r"image_size must be a power of two \(the U-Net halves it\), got 96"),
        ({"load_size": 128}, r"load_size must be at least image_size \(256\), got 128"),
        ({"gan_weight": 0.0, "l1_weight": 0.0}, "both 0: there is nothing to learn from"),
        ({"patch": 32}, "patch must be one of 1, 16, 34, 70, 142, 286, got 32"),
        ({"objective": "hinge"}, "one of 'non-saturating', 'least-squares', 'minimax', got 'hinge'"),
    ):
        with pytest.raises(ValueError, match=message):
            Config(**settings)
    assert Config(load_size=None).load_size is None
    assert Config(image_size=512, load_size=512).image_size == 512


@pytest.mark.parametrize(
    ("pairs", "settings", "message"),
    [
        ([], {}, r"expected pairs \(2, 3, H, W\) in \[0, 1\], got none"),
        ([torch.rand(3, 32, 32)], {}, r"pair 0: expected a tensor \(2, 3, H, W\) in \[0, 1\], got shape \(3, 32, 32\)"),
        ([torch.rand(1, 3, 32, 32)], {}, r"got shape \(1, 3, 32, 32\)"),
        (random_pairs(1, 40), {}, r"with load_size=None pairs must be 32×32 px, got 40×40"),
        (random_pairs(3), {"batch_size": 4}, "3 pairs do not fill a batch of 4"),
        (random_pairs(1), {"patch": 142}, "patches of 142 px .* use smaller patches"),
        (random_pairs(1), {"precision": "half"}, "unknown precision 'half'"),
        (random_pairs(1), {"device": "gpu"}, "unknown device 'gpu'"),
    ],
)
def test_training_refuses_settings_that_contradict_its_data(pairs, settings, message):
    with pytest.raises(ValueError, match=message):
        train(pairs, tiny(**settings))


# --- one step ---


def test_the_training_step_is_short():
    source = inspect.getsource(train_step)
    after_docstring = ast.parse(source).body[0].body[1]
    lines = [line.strip() for line in source.splitlines()[after_docstring.lineno - 1 :]]
    assert len([line for line in lines if line and not line.startswith("#")]) <= 30


@pytest.mark.parametrize(
    ("objective", "conditional"), [("non-saturating", True), ("non-saturating", False), ("least-squares", True),
                                   ("minimax", True)],
)  # fmt: skip
@pytest.mark.parametrize("batch_size", [1, 2])
def test_training_equals_the_papers_equations(objective, conditional, batch_size):
    """First D on a detached fake, then G with the updated D; compared with a plain loop."""
    config = tiny(num_epochs=2, objective=objective, conditional=conditional, batch_size=batch_size, gan_weight=0.7)
    pairs = random_pairs(4)
    history = train(pairs, config).facts["history"]
    assert list(history) == ["total", "D_real", "D_fake", "G_GAN", "G_L1", "seconds"]
    G, D = (make(config).train().to(memory_format=torch.channels_last) for make in (build, build_discriminator))
    adam_G, adam_D = (torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999)) for net in (G, D))

    def logits(x, y):
        return D(x, y) if conditional else D(y)

    with torch.random.fork_rng():
        torch.manual_seed(config.seed)  # the dropout masks do not depend on the memory layout
        for step in range(8 // batch_size):
            x, y = torch.stack([pairs[k] for _, k in next(order(4, batch_size, 0, start=step))]).unbind(1)
            fake = G(x)
            real_logits, fake_logits = logits(x, y), logits(x, fake.detach())
            if objective == "least-squares":
                d_real, d_fake = ((real_logits - 1) ** 2).mean(), (fake_logits**2).mean()
            else:
                d_real, d_fake = -real_logits.sigmoid().log().mean(), -(1 - fake_logits.sigmoid()).log().mean()
            adam_D.zero_grad()
            ((d_real + d_fake) / 2).backward()
            adam_D.step()
            new_logits = logits(x, fake)
            g_gan = {
                "non-saturating": -new_logits.sigmoid().log().mean(),
                "least-squares": ((new_logits - 1) ** 2).mean(),
                "minimax": (1 - new_logits.sigmoid()).log().mean(),
            }[objective]
            g_l1 = ((2 * fake - 1) - (2 * y - 1)).abs().mean()
            adam_G.zero_grad()
            (0.7 * g_gan + 100 * g_l1).backward()
            adam_G.step()
            for name, value in (("D_real", d_real), ("D_fake", d_fake), ("G_GAN", 0.7 * g_gan), ("G_L1", 100 * g_l1)):
                assert history[name][step] == pytest.approx(value.item(), rel=2e-3), (name, step)


class Watch:
    """Records the gradients of both networks at every optimizer step."""

    def __init__(self, learner):
        self.learner, self.order, self.gradients = learner, [], {}
        for name, optimizer in learner.optimizers.items():
            optimizer.register_step_pre_hook(partial(self.note, name))

    def note(self, name, *_):
        self.order.append(name)
        for player, network in (("D", self.learner.D), ("G", self.learner.G)):
            if network is not None:
                gradients = [None if p.grad is None else p.grad.clone() for p in network.parameters()]
                self.gradients[name, player] = gradients


def test_each_network_gets_gradients_of_its_own_loss_alone():
    config = tiny(dropout=())
    learner = players(config)
    watch, (x, y) = Watch(learner), random_pairs(1)[0].split(1)
    G, D = (copy.deepcopy(network) for network in (learner.G, learner.D))
    losses, fake = train_step(learner, x, y)
    assert watch.order == ["D", "G"]
    assert all(gradient is None for gradient in watch.gradients["D", "G"])  # the fake was detached
    assert all(
        gradient is None for gradient in watch.gradients["G", "D"]
    )  # gradients pass through D but do not accumulate in it
    half = (F.softplus(-D(x, y)).mean() + F.softplus(D(x, G(x).detach())).mean()) / 2
    for ours, expected in zip(watch.gradients["D", "D"], torch.autograd.grad(half, D.parameters()), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-7)
    assert sum(gradient.abs().sum() for gradient in watch.gradients["G", "G"]) > 0
    for network in (learner.G, learner.D):
        assert all(p.grad is None and p.requires_grad for p in network.parameters())  # ready for the next step
    assert set(losses) == {"D_real", "D_fake", "G_GAN", "G_L1"}
    torch.testing.assert_close(fake, copy.deepcopy(G).train()(x))


def test_the_l1_term_is_that_of_pictures_in_minus_one_to_one():
    """On that scale, gray and white differ by 1; times λ that is 100."""
    learner = players(tiny(gan_weight=0.0))
    with torch.no_grad():
        for parameter in learner.G.paint.parameters():
            parameter.zero_()  # the output is gray
    white = torch.ones(1, 3, 32, 32)
    losses, fake = train_step(learner, white, white)
    assert torch.equal(fake, torch.full_like(white, 0.5))
    assert losses["G_L1"].item() == pytest.approx(100)


@pytest.mark.parametrize("conditional", [True, False])
def test_only_a_conditional_discriminator_gets_the_input(conditional):
    learner, seen = players(tiny(conditional=conditional)), []
    learner.D.register_forward_pre_hook(lambda network, images: seen.append([image.detach() for image in images]))
    x, y = random_pairs(1)[0].split(1)
    _, fake = train_step(learner, x, y)
    expected = [(x, y), (x, fake), (x, fake)] if conditional else [(y,), (fake,), (fake,)]
    for images, wanted in zip(seen, expected, strict=True):
        assert len(images) == len(wanted)
        assert all(torch.equal(image, other) for image, other in zip(images, wanted, strict=True))


@pytest.mark.parametrize(("name", "settings"), COMBINATIONS.items())
def test_the_losses_of_the_five_objectives(name, settings):
    model = train(random_pairs(2), tiny(**settings))
    losses = {"L1": ["G_L1"], "GAN": ["D_real", "D_fake", "G_GAN"], "cGAN": ["D_real", "D_fake", "G_GAN"]}
    expected = losses.get(name, ["D_real", "D_fake", "G_GAN", "G_L1"])
    history = model.facts["history"]
    assert list(history) == ["total", *expected, "seconds"]
    assert history["total"] == pytest.approx([sum(row) for row in zip(*(history[n] for n in expected), strict=True)])
    assert all(len(column) == 2 and all(map(math.isfinite, column)) for column in history.values())
    if name == "L1":
        assert model.discriminator is None
    else:
        assert model.discriminator.pictures == 1 + ("cGAN" in name)
        assert not model.discriminator.training
    assert not model.network.training


def test_with_a_pool_the_discriminator_gets_earlier_fakes_too():
    """An earlier fake is paired with the input that it was made from."""
    learner, seen, made = players(tiny(pool_size=2, learning_rate=1e-9)), [], []
    learner.D.register_forward_pre_hook(lambda network, images: seen.append([image.detach() for image in images]))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for pair in random_pairs(12):
            x, y = pair.split(1)
            made.append((x, train_step(learner, x, y)[1].detach()))
    places = []
    for step, (x, fake) in enumerate(seen[1::3]):  # real, fake, and the generator's step
        (place,) = [k for k, (a, b) in enumerate(made) if torch.equal(x, a) and torch.equal(fake, b)]
        places.append(place)
        assert place <= step
    assert places[:2] == [0, 1]
    earlier = [place for step, place in enumerate(places) if place < step]
    assert 2 <= len(earlier) <= 8  # each with probability ½, of ten
    newest = [torch.equal(fake, made[step][1]) for step, (_, fake) in enumerate(seen[2::3])]
    assert all(newest)  # the generator's loss uses the newest fake


def test_half_precision_training_keeps_float32_weights():
    pairs = random_pairs(1)
    runs = {
        precision: train(pairs, tiny(num_epochs=20, dropout=(), learning_rate=2e-3, precision=precision))
        for precision in ("float32", "bfloat16")
    }
    exact, half = (run.facts["history"]["G_L1"] for run in runs.values())
    assert exact != half
    assert half == pytest.approx(exact, rel=0.1)
    assert {value.dtype for value in runs["bfloat16"].network.parameters()} == {torch.float32}


# --- training ---


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, marks=pytest.mark.slow),
        {"norm": "instance"},
        pytest.param({"skips": False, "norm": "batch"}, marks=pytest.mark.slow),
    ],
)
def test_one_pair_is_memorized(picture, settings):
    pair = torch.cat((picture(32, 32, 1), picture(32, 32, 2)))
    config = tiny(num_epochs=120, width=0.25, learning_rate=2e-3, dropout=(), **settings)
    model = train([pair], config)
    history = model.facts["history"]["G_L1"]
    assert history[-1] < history[0] / 5
    translated = translate(pair[:1], model).image
    assert (translated - pair[1:]).abs().mean() < (pair[0] - pair[1]).abs().mean() / 5


def test_a_rule_is_learned_and_holds_outside_the_training_set(picture):
    """Red becomes green, green blue, blue red, with L1 and cGAN."""
    pairs = [torch.cat((image, image.roll(1, 1))) for image in (picture(32, 32, seed) for seed in range(24))]
    model = train(pairs, tiny(num_epochs=20, batch_size=4, width=0.125, learning_rate=2e-3, dropout=()))
    new = torch.cat([picture(32, 32, seed) for seed in range(100, 108)])
    error = (translate(new, model).image - new.roll(1, 1)).abs().mean()
    assert error < (new - new.roll(1, 1)).abs().mean() / 3


def plaster(k):
    """A label map of two walls and a photo of them: a color for each wall, plus random grain."""
    generator = torch.Generator().manual_seed(k)
    label = torch.zeros(3, 32, 32)
    edge = int(torch.randint(8, 24, (), generator=generator))
    label[0, :, :edge] = label[2, :, edge:] = 1
    grain = F.interpolate(torch.rand(1, 1, 16, 16, generator=generator), scale_factor=2)[0]
    return torch.stack((label, 0.15 + 0.3 * label + 0.5 * grain))


def sharpness(images):
    """Mean difference of neighbors: 1/2 · 1/3 · 1/2 for the grain, since half of all neighbors share a grain."""
    return images.diff(dim=-1).abs().mean().item()


@pytest.mark.slow
def test_l1_alone_blurs_and_a_discriminator_prevents_it():
    """L1 is smallest for the median of the random grain, a flat wall; a discriminator rejects it (Figure 4)."""
    pairs = [plaster(k) for k in range(96)]
    labels, photos = torch.stack([plaster(k) for k in range(200, 216)]).unbind(1)
    assert sharpness(photos) == pytest.approx(1 / 12, rel=0.1)
    sharp, error = {}, {}
    for name in ("L1", "L1+cGAN"):
        config = tiny(num_epochs=8, batch_size=4, width=0.125, dropout=(1, 2), learning_rate=2e-3, l1_weight=5.0,
                      **COMBINATIONS[name])  # fmt: skip
        made = translate(labels, train(pairs, config)).image
        sharp[name], error[name] = sharpness(made), (made - photos).abs().mean().item()
    assert sharp["L1"] < sharpness(photos) / 3
    assert sharp["L1+cGAN"] > 2 * sharp["L1"]
    assert error["L1"] < error["L1+cGAN"]  # the flat wall has the smaller L1


# --- the run ---


def test_the_callback_gets_the_fake_of_each_step():
    seen, totals = [], []

    def watch(progress):
        seen.append(progress.image())
        totals.append(progress.losses["total"])

    model = train(random_pairs(3), tiny(num_epochs=2), callback=watch)
    assert {image.shape for image in seen} == {(1, 3, 32, 32)}
    assert totals == pytest.approx(model.facts["history"]["total"])
    assert (model.facts["steps"], model.facts["photos"], model.facts["device"]) == (6, 3, "cpu")
    assert model.stopped is None
    assert not torch.equal(seen[0], random_pairs(3)[next(order(3, 1, 0))[0][1]][:1])


@pytest.fixture
def batches(monkeypatch):
    """The batches of all steps."""
    seen, step = [], Players.step
    monkeypatch.setattr(Players, "step", lambda self, batch, number: seen.append(batch) or step(self, batch, number))
    return seen


def test_jitter_is_applied_anew_in_every_epoch(batches):
    model = train(random_pairs(2, 20), tiny(num_epochs=3, load_size=40, mirror=True, batch_size=2))
    assert [batch.shape for batch in batches] == [(2, 2, 3, 32, 32)] * 3
    assert len(torch.cat(batches).flatten(1).unique(dim=0)) == 6
    assert (model.facts["steps"], model.facts["photos"]) == (3, 2)


@pytest.mark.parametrize("mirror", [True, False])
def test_pairs_are_mirrored_only_if_configured(batches, mirror):
    (pair,) = random_pairs(1)
    train([pair], tiny(num_epochs=12, load_size=32, mirror=mirror))
    assert {torch.equal(batch[0], pair) for batch in batches} == ({True, False} if mirror else {True})
    assert all(torch.equal(batch[0], pair) or torch.equal(batch[0], pair.flip(-1)) for batch in batches)


def test_a_batch_may_straddle_two_epochs():
    assert train(random_pairs(3), tiny(num_epochs=2, batch_size=2)).facts["steps"] == 3


@pytest.mark.parametrize("load_size", [None, 32])
def test_every_epoch_shows_every_pair_once(batches, load_size):
    """With batches of one, every twelve steps use all twelve pairs."""
    pairs = [torch.full((2, 3, 32, 32), k / 20) for k in range(12)]
    train(pairs, tiny(num_epochs=4, load_size=load_size))
    numbers = [round(20 * batch.mean().item()) for batch in batches]
    epochs = [numbers[start : start + 12] for start in range(0, 48, 12)]
    assert all(sorted(epoch) == [*range(12)] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


@pytest.mark.parametrize(
    "settings",
    [{"pool_size": 3}, {"gan_weight": 0.0}, {"norm": "instance", "cooldown": 0.5}, {"load_size": 36}],
)
def test_a_stopped_run_resumes_from_its_checkpoint(tmp_path, monkeypatch, settings):
    """Bit for bit, with dropout, the pool and its random draws, and both networks with their optimizers."""
    monkeypatch.setattr(run, "fit", partial(loop.fit, checkpoint_every=2))
    pairs, config, file = random_pairs(3), tiny(num_epochs=3, **settings), tmp_path / "run.checkpoint"
    whole = train(pairs, config)

    def stop(progress):
        if progress.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(pairs, config, callback=stop, checkpoint=file)
    again = train(pairs, config, checkpoint=file)
    for name, column in whole.facts["history"].items():
        assert name == "seconds" or again.facts["history"][name] == column
    assert same(again.network.state_dict(), whole.network.state_dict())
    if whole.discriminator is not None:
        assert same(again.discriminator.state_dict(), whole.discriminator.state_dict())


def test_a_start_without_discriminator_sets_the_generator_alone():
    pairs = random_pairs(2)
    first = dataclasses.replace(train(pairs, tiny(learning_rate=1e-2)), discriminator=None)  # as from a file
    anew = train(pairs, tiny(learning_rate=1e-9, patch=34), start=first)
    torch.testing.assert_close([*anew.network.parameters()], [*first.network.parameters()], rtol=0, atol=1e-6)
    for before, after in zip(first.network.parameters(), anew.network.parameters(), strict=True):
        assert before is not after


def test_a_start_of_another_size_is_refused():
    with pytest.raises(ValueError, match="the model to start from has image_size=32, not 64"):
        train(random_pairs(1, 64), tiny(image_size=64), start=train(random_pairs(1), tiny()))


def test_a_run_that_becomes_nan_keeps_the_last_finite_weights():
    class Breaking(list):
        """A pair is checked when it is first used; this set breaks in the second epoch."""

        reads = 0

        def __getitem__(self, k):
            self.reads += 1
            return super().__getitem__(k) * (torch.nan if self.reads == 1 + 7 else 1)

    model = train(Breaking(random_pairs(4)), tiny(num_epochs=2))
    assert model.stopped.startswith("step 7: D_real is not finite")
    assert model.facts["steps"] == 6
    assert all(value.isfinite().all() for value in model.network.state_dict().values())
    assert all(value.isfinite().all() for value in model.discriminator.state_dict().values())


# --- the forward pass ---


@pytest.mark.parametrize("batch_size", [1, 2])
def test_batch_statistics_mode_keeps_dropout_and_uses_the_batch(batch_size):
    """Section 3.3: both "at test time as in training"."""
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    model = collected(batch_size=batch_size)
    first, again, other = (translate(images, model, seed=seed).image for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    model = collected(batch_size=batch_size, dropout=())
    network = copy.deepcopy(model.network).train()
    expected = torch.cat([network(batch) for batch in images.split(batch_size)]).detach()
    torch.testing.assert_close(translate(images, model).image, expected, rtol=0, atol=1e-5)


def test_running_mode_is_deterministic_and_uses_the_running_statistics():
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    model = collected()
    running = partial(translate, images, model, test_mode="running")
    first = running(seed=1).image
    assert torch.equal(running(seed=2).image, first)
    torch.testing.assert_close(first, copy.deepcopy(model.network).eval()(images).detach(), rtol=0, atol=1e-5)
    own = translate(images, model).image
    assert not torch.allclose(first, own, atol=1e-3)
    for norm in model.network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean += 0.5
    assert not torch.allclose(running().image, first, atol=1e-3)
    assert torch.equal(translate(images, model).image, own)


@pytest.mark.parametrize("test_mode", ["batch_statistics", "running"])
def test_a_pass_changes_nothing(test_mode):
    images, model = torch.rand(3, 3, 32, 32), collected()
    before, random = state_of(model.network), torch.get_rng_state()
    result = translate(images, model, test_mode=test_mode)
    assert same(state_of(model.network), before)
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(module.training for module in model.network.modules())
    assert len(result.history["seconds"]) == 1
    assert result.image.dtype == torch.float32
    assert result.image.shape == (3, 3, 32, 32)
    assert 0 <= result.image.min() <= result.image.max() <= 1


def test_the_test_batches_have_the_batch_size_of_training():
    """With a batch size of one, pictures do not affect each other; with two, the statistics are those of both."""
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    images[1] *= 0.2
    for batch_size, alone in ((1, True), (2, False)):
        model = collected(batch_size=batch_size, dropout=())
        together = translate(images, model).image
        apart = torch.cat([translate(image[None], model).image for image in images])
        assert torch.allclose(together, apart, rtol=0, atol=1e-5) == alone
        pairwise = torch.cat([translate(images[k : k + 2], model).image for k in (0, 2)])
        torch.testing.assert_close(together, pairwise, rtol=0, atol=1e-5)
    with_dropout = collected(batch_size=1)
    assert torch.equal(translate(images, with_dropout).image[:1], translate(images[:1], with_dropout).image)


def test_with_instance_norm_the_modes_differ_by_dropout_alone():
    images = torch.rand(3, 3, 32, 64, generator=torch.Generator().manual_seed(3))
    model = train(random_pairs(4), tiny(norm="instance", batch_size=2, dropout=()))
    own, running = (translate(images, model, test_mode=mode).image for mode in ("batch_statistics", "running"))
    assert torch.equal(own, running)
    alone = torch.cat([translate(image[None], model).image for image in images])
    torch.testing.assert_close(own, alone, rtol=0, atol=1e-5)
    dropping = train(random_pairs(4), tiny(norm="instance", batch_size=2))
    own, running = (translate(images, dropping, test_mode=mode).image for mode in ("batch_statistics", "running"))
    assert not torch.allclose(own, running, atol=1e-4)


@pytest.mark.parametrize(("ratio", "width"), [(1.0, 64), (0.5, 32), (2.0, 128), (1.33, 85), (0.001, 1)])
def test_the_output_has_the_configured_aspect_ratio(ratio, width):
    images = torch.rand(2, 3, 32, 64, generator=torch.Generator().manual_seed(3))
    model = collected(aspect_ratio=ratio, dropout=())
    stretched = translate(images, model).image
    assert stretched.shape == (2, 3, 32, width)
    assert 0 <= stretched.min() <= stretched.max() <= 1
    square = translate(images, collected(dropout=())).image
    torch.testing.assert_close(stretched.mean(), square.mean(), rtol=0, atol=0.05)


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (torch.zeros(1, 3, 32, 32), {"test_mode": "train"}, "one of 'batch_statistics', 'running', got 'train'"),
        (torch.zeros(1, 3, 32, 32), {"padding": "zeros"}, "one of 'reflect', 'replicate', got 'zeros'"),
        (torch.zeros(1, 3, 32, 32), {"device": "gpu"}, "unknown device 'gpu'"),
        (torch.zeros(1, 3, 32, 32), {"precision": "half"}, "unknown precision 'half'"),
    ],
)
def test_invalid_options_are_refused(images, options, message):
    with pytest.raises(ValueError, match=message):
        translate(images, untrained(), **options)


@pytest.mark.parametrize("images", [torch.zeros(3, 32, 32), torch.zeros(1, 1, 32, 32), torch.full((1, 3, 32, 32), 9.0)])
def test_invalid_pictures_are_refused(images):
    with pytest.raises(ImageError):
        translate(images, untrained())


def test_a_refusal_does_not_change_the_network():
    model = collected()
    before = state_of(model.network)
    with pytest.raises(ValueError, match="unknown precision"):
        translate(torch.zeros(1, 3, 32, 48), model, precision="half")
    assert same(state_of(model.network), before)
    assert not any(module.training for module in model.network.modules())
    assert all(norm.track_running_stats for norm in model.network.modules() if isinstance(norm, torch.nn.BatchNorm2d))


@pytest.mark.parametrize("size", [(32, 48), (16, 32), (1, 1), (33, 31), (100, 12), (5, 200)])
@pytest.mark.parametrize("padding", pix2pix.PADDINGS)
def test_a_picture_of_any_size_keeps_it(size, padding):
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(3))
    assert translate(images, untrained(), padding=padding).image.shape == (2, 3, *size)


def seen_by_the_network(monkeypatch, images, **options):
    """What a pass over `images` hands to the generator."""
    seen, model = [], collected(dropout=())
    monkeypatch.setattr(model.network, "forward", lambda image: seen.append(image) or image)
    result = translate(images, model, **options)
    assert torch.equal(result.image, images)  # margins come off again exactly
    (picture,) = seen
    return picture


def test_margins_mirror_the_picture_or_repeat_its_border(monkeypatch):
    row = torch.arange(28.0) / 32  # four pixels are lacking: two on each side
    image = row.expand(1, 3, 32, 28)
    mirrored = seen_by_the_network(monkeypatch, image)[0, 0, 0] * 32
    assert mirrored.tolist() == [2, 1, *range(28), 26, 25]
    repeated = seen_by_the_network(monkeypatch, image, padding="replicate")[0, 0, 0] * 32
    assert repeated.tolist() == [0, 0, *range(28), 27, 27]
    tiny_row = (torch.arange(3.0) / 32).expand(1, 3, 32, 3)
    again = seen_by_the_network(monkeypatch, tiny_row)[0, 0, 0] * 32  # 0 1 2 1 0 1 2 …, the picture in the middle
    assert again[14:17].tolist() == [0, 1, 2]
    assert again.tolist() == [abs((k - 14 + 2) % 4 - 2) for k in range(32)]


def test_a_picture_of_a_fitting_size_is_handed_on_as_it_is(monkeypatch):
    image = torch.rand(1, 3, 64, 32)
    assert torch.equal(seen_by_the_network(monkeypatch, image), image)


def test_what_does_not_fit_into_the_memory_is_refused_before(monkeypatch):
    monkeypatch.setattr(pix2pix.runtime, "available_memory", lambda device: 10_000_000)
    with pytest.raises(MemoryError, match=r"1000×4000 px needs about .* the largest that fits has a long side of"):
        translate(torch.zeros(1, 3, 1000, 4000), untrained())
    translate(torch.zeros(1, 3, 32, 32), untrained())
