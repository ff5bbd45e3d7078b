"""One process alone, and two players that two processes train as one process does."""

import pytest
import torch
from test_loop import script
from torch import nn

from course_lib.methods import pix2pix
from course_lib.methods.pix2pix import Config, Players
from course_lib.training import loop
from course_lib.training.distributed import Group

STEPS = 4


def pairs():
    return [*torch.rand(8, 2, 3, 16, 16, generator=torch.Generator().manual_seed(0))]


def players(seed=0):
    """With instance normalization, where a picture's share of a gradient does not depend on its company."""
    config = Config(
        image_size=16, load_size=None, width=0.1, patch=16, norm="instance", dropout=(), learning_rate=0.01, seed=seed,
        precision="float32", device="cpu",
    )  # fmt: skip
    networks = (build(config) for build in (pix2pix.build, pix2pix.build_discriminator))
    return Players(config, *(network.to(memory_format=torch.channels_last) for network in networks))  # as `train` does


def fit(learner, batch_size=4, **options):
    done = loop.fit(learner, pairs(), num_steps=STEPS, batch_size=batch_size, **options)
    return {name: value.clone() for name, value in learner.network.state_dict().items()}, done.history


def flat(weights):
    return torch.cat([value.flatten() for value in weights.values()])


# --- alone ---


def test_a_single_process_changes_nothing(monkeypatch):
    for size in (None, "1"):
        monkeypatch.delenv("WORLD_SIZE", raising=False)
        if size:
            monkeypatch.setenv("WORLD_SIZE", size)
        group = Group.join(nn.Linear(2, 2))
        assert group == Group(rank=0, size=1)
    terms, network = torch.tensor([1.0, 2.0]), nn.Linear(2, 2)
    before = network.weight.detach().clone()
    group.broadcast_weights(network)
    assert group.mean(terms) is terms
    assert terms.tolist() == [1, 2]
    assert torch.equal(network.weight, before)
    (mine,) = group.gather([terms])
    assert mine[0] is terms
    assert group.broadcast_object(terms) is terms


# --- two ---

TOGETHER = """
import json, os, sys
from pathlib import Path
import torch
import torch.distributed as dist
import test_distributed as t
from torch import nn

t.players()  # what an optimizer imports, both then have
folder, child = Path(sys.argv[1]), os.fork()
rank = int(child == 0)
os.environ["WORLD_SIZE"] = "2"
dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2)
group = t.Group.join(nn.Linear(1, 1))
norm = nn.BatchNorm2d(2)
for _ in range(rank + 1):
    norm(torch.full((2, 2, 3, 3), rank + 1.0))
with torch.no_grad():
    norm.weight.fill_(rank + 7)
group.broadcast_weights(norm)
terms = torch.tensor([1.0, 10.0]) * (rank + 1)
asked = {
    "who": [group.rank, group.size],
    "mean": [group.mean(terms) is terms, terms.tolist()],
    "weights": {name: value.flatten().tolist() for name, value in norm.state_dict().items()},
    "gather": [[value.tolist() for value in each] for each in group.gather([torch.tensor([rank, 5])])],
    "broadcast": group.broadcast_object({"from": rank}),
}

learner, steps, last = t.players(seed=rank), [], []  # the second begins with weights of its own
networks = {"D": learner.D, "G": learner.G}
optimizers = learner.optimizers

def gradient(name):
    return torch.cat([p.grad.flatten() for p in networks[name].parameters() if p.grad is not None] or [torch.zeros(0)])

def note(name, steps):
    steps.append((name, {player: gradient(player).clone() for player in networks}))

for name, optimizer in optimizers.items():
    optimizer.register_step_pre_hook(lambda *_, name=name: note(name, steps))  # before the one that fit brings

original = learner.step
def step(batch, number):
    if not last:
        for name, optimizer in optimizers.items():
            optimizer.register_step_pre_hook(lambda *_, name=name: note(name, last))  # after it
    return original(batch, number)

learner.step = step
weights, history = t.fit(learner)
torch.save({"weights": weights, "history": history, "own": steps, "averaged": last}, folder / f"rank{rank}")
reports = [None, None]
dist.all_gather_object(reports, asked)
dist.barrier()
dist.destroy_process_group()
if rank == 0:
    assert os.waitpid(child, 0)[1] == 0
    print(json.dumps(reports), flush=True)
"""


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What two processes found, each; they meet in a file, without a launcher."""
    folder, reports = script(tmp_path_factory.mktemp("together"), TOGETHER)
    return [torch.load(folder / f"rank{rank}", weights_only=True) for rank in (0, 1)], reports


def test_two_processes_average_broadcast_and_gather(together):
    first, second = together[1]
    assert (first.pop("who"), second.pop("who")) == ([0, 2], [1, 2])
    assert first == second
    assert first["mean"] == [True, [1.5, 15]]  # of 1 and 2, of 10 and 20; in place
    assert first["gather"] == [[[0, 5]], [[1, 5]]]
    assert first["broadcast"] == {"from": 0}
    assert first["weights"]["weight"] == [7, 7]
    assert first["weights"]["num_batches_tracked"] == [1]
    assert first["weights"]["running_mean"] == pytest.approx([0.1, 0.1])  # a tenth of the first one's ones


def test_two_players_in_two_processes_end_where_one_process_does(together):
    """Both begin with the first one's weights. Half a batch each: in float32 the sums differ in their last bits, which
    Adam makes larger where a gradient is almost zero; far less than a hundredth of the way.
    """
    start = flat(players().network.state_dict())
    weights, history = fit(players())
    ours, theirs = (flat(rank["weights"]) for rank in together[0])
    assert torch.equal(ours, theirs)
    way = (flat(weights) - start).norm()
    assert (ours - flat(weights)).norm() < way / 100
    assert (ours - flat(fit(players(), batch_size=2)[0])).norm() > way / 10  # where half of the batches is missing
    for name in ("D_real", "D_fake", "G_GAN", "G_L1", "total"):
        first, second = (rank["history"][name] for rank in together[0])
        assert first == second
        assert first == pytest.approx(history[name], rel=1e-2)


def test_gradients_are_averaged_just_before_each_player_steps(together):
    """Each has its own until then; the other player's are not touched."""
    (first, second), _ = together
    assert [name for name, _ in first["own"]] == ["D", "G"] * STEPS
    assert [name for name, _ in first["averaged"]] == ["D", "G"] * STEPS
    for k, (name, averaged) in enumerate(first["averaged"]):
        own, other = (rank["own"][k][1][name] for rank in (first, second))
        assert (own - other).norm() > 0.1 * own.norm()
        torch.testing.assert_close(averaged[name], (own + other) / 2, rtol=1e-5, atol=1e-9)
        assert torch.equal(averaged[name], second["averaged"][k][1][name])
        assert not len(averaged["G" if name == "D" else "D"])
