"""The search behind a generator: it finds what made a picture, and its gradient is the generator's."""

import pytest
import torch
from torch import nn

from course_lib.optimize.latent import find_latent, step_factor
from course_lib.optimize.objective import Objective, Term


def distance(target):
    return Objective([Term("distance", 1.0, lambda image: (image - target).square().sum())])


@pytest.fixture
def generator():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3 * 5 * 5), nn.Sigmoid(), nn.Unflatten(1, (3, 5, 5)))


def test_it_finds_the_latent_that_made_the_picture(generator):
    wanted = torch.tensor([[0.5, -1.0, 0.25, 1.0]])
    found = find_latent(generator, torch.zeros(1, 4), distance(generator(wanted).detach()), num_steps=300)
    torch.testing.assert_close(found.latent, wanted, rtol=0, atol=0.02)
    assert found.history["total"][-1] < 1e-3 * found.history["total"][0]
    assert len(found.history["distance"]) == len(found.history["seconds"]) == 300
    assert not found.latent.requires_grad


def test_it_works_where_gradients_are_switched_off_and_leaves_the_start_alone(generator):
    start = torch.zeros(1, 4)
    with torch.no_grad():
        find_latent(generator, start, distance(torch.ones(1, 3, 5, 5)), num_steps=3)
    assert start.tolist() == [[0, 0, 0, 0]]


def test_noise_is_repeatable_shrinks_and_ends():
    given = []

    def watched(latent):
        given.append(latent.detach().clone())
        return latent.view(1, 3, 1, 1)

    target = torch.full((1, 3, 1, 1), 0.5)
    start = torch.full((3,), 0.5)
    for _ in range(2):
        find_latent(watched, start, distance(target), num_steps=40, learning_rate=1e-9, spread=2.0, seed=1)
    noise = torch.stack(given) - start
    assert torch.equal(noise[:40], noise[40:])
    assert noise[:10].square().mean().sqrt() == pytest.approx(0.05 * 2, rel=0.5)  # a twentieth of the spread
    assert noise[20:30].abs().max() < noise[:10].abs().max()
    assert noise[31:40].abs().max() < 1e-6


def test_the_step_rises_and_falls():
    factors = [step_factor(k / 100) for k in range(101)]
    assert factors[0] == 0
    assert factors[5:75] == [1.0] * 70
    assert factors == sorted(factors[:6]) + factors[6:76] + sorted(factors[76:], reverse=True)
    assert factors[-1] == pytest.approx(0)


def test_the_callback_gets_the_picture_of_each_step(generator):
    shown = []
    find_latent(
        generator, torch.zeros(1, 4), distance(torch.zeros(1, 3, 5, 5)), num_steps=4,
        callback=lambda progress: shown.append((progress.step, progress.image())),
    )  # fmt: skip
    assert [step for step, _ in shown] == [1, 2, 3, 4]
    torch.testing.assert_close(shown[0][1], generator(torch.zeros(1, 4)).detach())
    assert not torch.equal(shown[0][1], shown[3][1])
