"""Two generators and two discriminators that share a base class with every other GAN; and what they are made of."""

import copy

import pytest
import torch
from torch import nn

from course_lib.training import loop
from course_lib.training.image_pool import ImagePool
from course_lib.training.optimizers import adam
from course_lib.training.players import Players, frozen, update
from course_lib.training.schedules import linear_to_zero


class Circle(Players):
    """CycleGAN on points: G_AB and G_BA with one optimizer, D_A and D_B with another, a pool of fakes for each."""

    def __init__(self, rate=1e-2, pool_size=6):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.G_AB, self.G_BA = nn.Linear(2, 2), nn.Linear(2, 2)
            self.D_A, self.D_B = (nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)) for _ in range(2))
        self.pool_A, self.pool_B = ImagePool(pool_size, (2,)), ImagePool(pool_size, (2,))
        super().__init__(
            {"G_AB": self.G_AB, "G_BA": self.G_BA, "D_A": self.D_A, "D_B": self.D_B},
            {
                "G": adam(nn.ModuleList([self.G_AB, self.G_BA]), rate),
                "D": adam(nn.ModuleList([self.D_A, self.D_B]), rate),
            },
            ["G_AB", "G_BA", "cycle", "D_A", "D_B"],
            pools={"pool_A": self.pool_A, "pool_B": self.pool_B},
        )

    def step(self, batch, step):
        return self.stack(train_step(self, *batch.unbind(1))), None


def train_step(players, real_A, real_B):
    """Zhu et al. 2017: both generators, then both discriminators, with least squares."""
    losses = {}
    fake_B, fake_A = players.G_AB(real_A), players.G_BA(real_B)
    with frozen(players.D_A, players.D_B):
        losses["G_AB"] = (players.D_B(fake_B) - 1).square().mean()
        losses["G_BA"] = (players.D_A(fake_A) - 1).square().mean()
    back_A, back_B = players.G_BA(fake_B), players.G_AB(fake_A)
    losses["cycle"] = 10 * ((back_A - real_A).abs().mean() + (back_B - real_B).abs().mean())
    update(players.optimizers["G"], losses["G_AB"] + losses["G_BA"] + losses["cycle"])
    for D, pool, real, fake, name in (
        (players.D_A, players.pool_A, real_A, fake_A, "D_A"),
        (players.D_B, players.pool_B, real_B, fake_B, "D_B"),
    ):
        losses[name] = ((D(real) - 1).square().mean() + D(pool(fake)).square().mean()) / 2
    update(players.optimizers["D"], losses["D_A"] + losses["D_B"])
    return losses


def clouds(count=40):
    """A around the origin; B is A turned by a quarter and moved to (2, −1). (count, 2, 2), unpaired."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, count, 2, generator=generator) * torch.tensor([1.0, 0.3])
    return torch.stack((a, b.flip(-1) + torch.tensor([2.0, -1.0])), 1)


def fit(players, **options):
    return loop.fit(players, clouds(), **{"num_steps": 12, "batch_size": 4, **options})


def test_two_generators_and_two_discriminators_learn():
    """The middle of what G_AB makes of A moves to the middle of B, and the way back closes the circle."""
    players = Circle()
    done = fit(players, num_steps=600, schedule=linear_to_zero(0.5))
    a, b = clouds().unbind(1)
    with torch.no_grad():
        for G, source, target in ((players.G_AB, a, b), (players.G_BA, b, a)):
            left = (G(source).mean(0) - target.mean(0)).norm()
            assert left < 0.4 * (source.mean(0) - target.mean(0)).norm()
    assert [*done.history] == ["total", "G_AB", "G_BA", "cycle", "D_A", "D_B", "seconds"]
    assert done.history["cycle"][-1] < 0.2 * done.history["cycle"][0]


def test_they_resume_with_their_pools(tmp_path):
    whole, file = Circle(), tmp_path / "run.checkpoint"
    done = fit(whole)

    def stop(progress):
        if progress.step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(Circle(), checkpoint=file, checkpoint_every=3, callback=stop)
    again = Circle()
    resumed = fit(again, checkpoint=file)
    assert all(torch.equal(again.network.state_dict()[name], x) for name, x in whole.network.state_dict().items())
    assert {n: c for n, c in resumed.history.items() if n != "seconds"} == {
        n: c for n, c in done.history.items() if n != "seconds"
    }
    assert whole.network["pool_A"].count == 6


def test_each_player_moves_by_its_own_optimizer_alone():
    players = Circle()
    before = copy.deepcopy(players.network)
    for settings in players.optimizers["D"].param_groups:
        settings["lr"] = 0.0
    train_step(players, *clouds(4).unbind(1))
    moved = {name.split(".")[0] for name, x in players.network.named_parameters()
             if not torch.equal(x, before.get_parameter(name))}  # fmt: skip
    assert moved == {"G_AB", "G_BA"}
    assert all(p.grad is None and p.requires_grad for p in players.network.parameters())


@pytest.mark.parametrize(("pool_size", "capturable"), [(0, True), (6, False)])
def test_a_pool_keeps_the_step_on_the_host(pool_size, capturable):
    assert Circle(pool_size=pool_size).capturable is capturable


def test_losses_are_stacked_in_the_order_of_the_names():
    players = Players({"G": nn.Linear(1, 1)}, {}, ["b", "a"])
    losses = {"a": torch.tensor(1.0, requires_grad=True), "b": torch.tensor(2.0, dtype=torch.bfloat16)}
    row = players.stack(losses)
    assert row.tolist() == [2, 1]
    assert row.dtype == torch.float32
    assert not row.requires_grad


def test_autocast_has_the_players_precision():
    network = nn.Linear(2, 2)
    for precision in (torch.float32, torch.bfloat16):
        with Players({"G": network}, {}, [], precision=precision).autocast():
            assert network(torch.zeros(1, 2)).dtype == precision


def test_a_name_is_given_once():
    with pytest.raises(ValueError, match="a network and a pool are both named G"):
        Players({"G": nn.Linear(1, 1)}, {}, [], pools={"G": ImagePool(0)})


def test_an_update_is_one_step_and_leaves_no_gradients():
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = torch.optim.SGD([weight], 0.1)
    for _ in range(2):
        update(optimizer, (weight * torch.tensor([1.0, 3.0])).sum())
    assert weight.tolist() == pytest.approx([0.8, 1.4])
    assert weight.grad is None


def test_frozen_weights_let_gradients_through_and_store_none():
    first, second = nn.Linear(3, 3), nn.Linear(3, 1)
    second.bias.requires_grad_(False)
    x = torch.rand(2, 3, requires_grad=True)
    (expected,) = torch.autograd.grad(second(first(x)).sum(), x)
    with frozen(first, second):
        y = second(first(x)).sum()
    y.backward()  # also after the `with`
    torch.testing.assert_close(x.grad, expected)
    parameters = [*first.parameters(), *second.parameters()]
    assert all(parameter.grad is None for parameter in parameters)
    assert [parameter.requires_grad for parameter in parameters] == [True, True, True, False]
    with pytest.raises(KeyboardInterrupt):
        interrupted(first)
    assert all(parameter.requires_grad for parameter in first.parameters())


def interrupted(network):
    with frozen(network):
        raise KeyboardInterrupt
