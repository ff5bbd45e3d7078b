"""What the benchmarks call plain: PyTorch's own layers with our parameters, and training steps timed in turns."""

import copy

import pytest
import torch
from torch import nn

from benchmarks import steps
from benchmarks.plain_networks import plain
from course_lib import runtime
from course_lib.methods import johnson, pix2pix, super_resolution


@pytest.mark.parametrize(
    ("build", "config"),
    [
        (johnson.build, johnson.Config(width=0.25, num_blocks=1, norm="instance", upsampling="resize")),
        (johnson.build, johnson.Config(width=0.25, num_blocks=1)),
        (super_resolution.build, super_resolution.Config(width=0.25, num_blocks=1)),
        (pix2pix.build, pix2pix.Config(image_size=32, width=0.25)),
    ],
)
def test_a_plain_network_computes_the_same_with_torchs_layers(build, config):
    network = build(config).eval().to(memory_format=torch.channels_last)
    copied, x = plain(network), torch.rand(1, 3, 32, 32)
    ours = {type(module).__name__ for module in copied.modules() if "course_lib.networks" in type(module).__module__}
    assert ours <= {"TransformerNet", "SuperResolutionNet", "UNet", "ResidualBlock", "Dropout"}
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
