"""What the benchmarks call plain: PyTorch's own layers with our parameters, and training steps timed in turns."""

import copy

import pytest
import torch
from torch import nn

from benchmarks import steps, unpaired
from benchmarks.plain_networks import plain
from course_lib import runtime
from course_lib.methods import cyclegan, johnson, pix2pix, super_resolution


@pytest.mark.parametrize(
    ("build", "config"),
    [
        (johnson.build, johnson.Config(width=0.25, num_blocks=1, norm="instance", upsampling="resize")),
        (johnson.build, johnson.Config(width=0.25, num_blocks=1)),
        (super_resolution.build, super_resolution.Config(width=0.25, num_blocks=1)),
        (pix2pix.build, pix2pix.Config(image_size=32, width=0.25)),
        (lambda config: cyclegan.build(config)["AB"], cyclegan.Config(image_size=32, width=0.25, num_blocks=1)),
    ],
)
def test_a_plain_network_computes_the_same_with_torchs_layers(build, config):
    network = build(config).eval().to(memory_format=torch.channels_last)
    copied, x = plain(network), torch.rand(1, 3, 32, 32)
    ours = {type(module).__name__ for module in copied.modules() if "course_lib.networks" in type(module).__module__}
    assert ours <= {"TransformerNet", "SuperResolutionNet", "UNet", "ResidualBlock", "Dropout", "ResnetGenerator"}
    assert [*copied.state_dict()] == [*network.state_dict()]
    with torch.no_grad():
        torch.testing.assert_close(copied(x), network(x), rtol=1e-4, atol=1e-5)


def test_a_plain_network_is_a_copy():
    network = nn.Sequential(nn.Conv2d(3, 3, 1))
    before = copy.deepcopy(network.state_dict())
    nn.init.zeros_(plain(network)[0].weight)
    assert all(torch.equal(a, b) for a, b in zip(before.values(), network.state_dict().values(), strict=True))


def test_steps_take_turns_and_the_first_of_ours_is_not_counted(monkeypatch):
    called, now = [], [0.0]
    monkeypatch.setattr(steps.measure, "clock", lambda device: now[0])

    def step():
        called.append("plain")
        now[0] += 3.0

    def train(count, callback):
        for k in range(1, count + 1):
            called.append("ours")
            now[0] += 100.0 if k == 1 else 2.0
            callback(runtime.Progress(k, count, {}, 0.0, lambda: torch.zeros(1)))

    found = steps.in_turns(step, {"float32": train}, torch.device("cpu"), steps=2, rounds=2)
    assert found == {"plain": 3.0, "float32": 2.0}
    assert called == ["plain"] + 2 * (2 * ["plain"] + 3 * ["ours"])


@pytest.mark.parametrize("identity", [0.0, 0.5])
def test_the_plain_step_of_cyclegan_has_the_losses_of_ours(identity):
    """From the same weights, over three steps; so the updates between them agree, too."""
    config = cyclegan.Config(
        image_size=32, load_size=None, mirror=False, width=0.125, num_blocks=1, patch=16, pool_size=9,
        identity_weight=identity, gan_weight=0.7,
    )  # fmt: skip
    theirs = unpaired.Plain(config, torch.device("cpu"))
    ours = cyclegan.Players(config, cyclegan.build(config), cyclegan.build_discriminators(config))
    assert len(ours.names) == (8 if identity else 6)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):  # the pools are not full, so they return what they get
        batch = torch.rand(2, 2, 3, 32, 32, generator=generator)
        expected = theirs.step(batch)
        losses, _ = ours.step(batch)
        for name, loss in zip(ours.names, losses.tolist(), strict=True):
            assert loss == pytest.approx(expected[name], rel=2e-3), name


def test_the_plain_pool_fills_then_returns_earlier_pictures():
    pool, given = unpaired.Pool(2), []
    for k in range(40):
        given += pool(torch.full((1, 1), float(k))).flatten().tolist()
    assert given[:2] == [0.0, 1.0]
    assert len(pool.images) == 2
    assert any(value < k for k, value in enumerate(given)), "an earlier one"
    assert any(value == k for k, value in enumerate(given[2:], 2)), "the new one"
    assert unpaired.Pool(0)(torch.ones(2, 1)).tolist() == [[1.0], [1.0]]
