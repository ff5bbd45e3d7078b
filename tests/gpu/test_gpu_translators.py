"""One training step of StyleGAN, StarGAN, U-GAT-IT and AnimeGAN on a GPU: what the CPU computes from the same batch."""

from dataclasses import replace

import pytest
import torch

from course_lib import runtime
from course_lib.methods import animegan, stargan, stylegan, ugatit

SIDE = 32
TOLERANCE = 1e-2  # relative, of a loss; sums have another order on a GPU, and D takes its step before G


def smooth(picture, count, seed):
    return torch.cat([picture(SIDE, SIDE, seed + k) for k in range(count)])


def small_stylegan(picture):
    config = replace(stylegan.Config.quick(), image_size=SIDE, width=64, most=16, batch_size=4)
    return stylegan, config, smooth(picture, 4, 1)


def small_stargan(picture):
    config = replace(stargan.Config.quick(), image_size=SIDE, load_size=SIDE, num_domains=3, steps_D=1, width=0.25)
    return stargan, config, (smooth(picture, 6, 1), torch.tensor([0, 1, 2, 0, 1, 2]))


def small_ugatit(picture):
    config = replace(ugatit.Config.quick(), image_size=SIDE, width=0.125)
    return ugatit, config, torch.stack((smooth(picture, 2, 1), smooth(picture, 2, 8)), 1)


def small_animegan(picture):
    config = replace(animegan.Config.quick(), image_size=SIDE, load_size=36, width=0.25, weights=None)
    return animegan, config, torch.stack((smooth(picture, 2, 1), smooth(picture, 2, 8), smooth(picture, 2, 15)), 1)


SMALL = [small_stylegan, small_stargan, small_ugatit, small_animegan]
IDS = ["stylegan", "stargan", "ugatit", "animegan"]


def players_of(method, config, device):
    """The networks as they begin, on a device."""
    D = method.build_discriminators if method is ugatit else method.build_discriminator
    networks = [each.to(device) for each in (method.build(config), D(config))]
    return method.Players(config, *networks)


def drawn_on_the_cpu(monkeypatch):
    """Random numbers of a step come from the CPU's generator, so that both devices get the same ones."""
    for name in ("randn", "rand", "randperm", "randint"):
        draw = getattr(torch, name)

        def drawn(*size, draw=draw, device=None, generator=None, **more):
            found = draw(*size, generator=generator, **more)
            return found if device is None else found.to(device)

        monkeypatch.setattr(torch, name, drawn)
    monkeypatch.setattr(torch, "randn_like", lambda x: torch.randn(x.shape).to(x))


def moved(batch, device):
    return tuple(part.to(device) for part in batch) if isinstance(batch, tuple) else batch.to(device)


def step_on(method, config, batch, device):
    """The losses of the first step, the picture it shows, and the networks after it."""
    players = players_of(method, config, device)
    with runtime.seeded(5, torch.device("cpu")):
        losses, shown = players.step(moved(batch, device), 0)
    return losses.cpu(), shown.cpu().float(), players


@pytest.mark.parametrize("small", SMALL, ids=IDS)
def test_one_step_is_the_cpus(device, monkeypatch, picture, small):
    method, config, batch = small(picture)
    drawn_on_the_cpu(monkeypatch)
    losses, shown, players = step_on(method, config, batch, device)
    expected, expected_shown, there = step_on(method, config, batch, "cpu")
    assert losses.isfinite().all()
    torch.testing.assert_close(losses, expected, rtol=TOLERANCE, atol=1e-3)
    torch.testing.assert_close(shown, expected_shown, rtol=0, atol=2e-3)
    before = players_of(method, config, "cpu")
    for name in ("G", "D"):
        ours, cpu, old = (each.state_dict() for each in (getattr(p, name) for p in (players, there, before)))
        step = [(ours[key].cpu() - cpu[key]).double().norm() for key in cpu if cpu[key].is_floating_point()]
        size = [(cpu[key] - old[key]).double().norm() for key in cpu if cpu[key].is_floating_point()]
        assert torch.stack(size).norm() > 0, f"{name} did not learn"
        # Adam's first step is the sign of the gradient: where that is rounding alone, it may point the other way
        assert torch.stack(step).norm() < 0.5 * torch.stack(size).norm(), name


@pytest.mark.parametrize("small", SMALL, ids=IDS)
def test_a_picture_made_on_the_device_is_the_cpus(device, picture, small):
    method, config, _ = small(picture)
    model, options = method.Model(method.build(config), config, {}), {"precision": "float32"}
    photo = picture(40, 48, 3)

    def made(where):
        if method is stylegan:
            return stylegan.generate(2, model, seed=3, device=where).image
        if method is stargan:
            return stargan.translate(photo, model, to="domain 1", device=where, **options).image
        return method.translate(photo, model, device=where, **options).image

    assert (made(device) - made("cpu")).abs().max() < 0.01
    if method is ugatit:
        heat = [ugatit.attention(photo, model, device=where, **options) for where in (device, "cpu")]
        assert (heat[0] - heat[1]).abs().max() < 0.02


@pytest.mark.parametrize("small", SMALL, ids=IDS)
def test_a_few_steps_on_the_device_stay_finite_and_end_with_a_model(device, picture, small):
    method, config, _ = small(picture)
    config = replace(config, device=device)
    a, b = smooth(picture, 8, 1), smooth(picture, 8, 20)
    if method is stylegan:
        model = stylegan.train(a, replace(config, num_steps=6))
    elif method is stargan:
        model = stargan.train({"a": a, "b": b, "c": 1 - a}, replace(config, num_steps=6))
    elif method is ugatit:
        model = ugatit.train(a, b, replace(config, num_steps=6))
    else:
        model = animegan.train(a, b, replace(config, num_epochs=3, init_epochs=1))
    assert model.stopped is None
    assert len(set(model.facts["history"]["total"])) > 3
    assert all(value.isfinite().all() for value in model.network.state_dict().values())
