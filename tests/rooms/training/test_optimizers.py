"""Adam with a learning rate for each kind of parameter."""

import pytest
import torch
from torch import nn

from course_lib.training.optimizers import adam, learning_rates, set_learning_rates


def stepped(network, optimizer):
    """How far each parameter moves; the first step of Adam is its learning rate."""
    before = {name: value.clone() for name, value in network.named_parameters()}
    network(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    return {name: (value - before[name]).abs().max().item() for name, value in network.named_parameters()}


def test_a_factor_on_the_learning_rate_goes_by_the_name():
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    optimizer = adam(network, 0.01, factor=lambda name: 10.0 if name.endswith("bias") else 1.0)
    assert sorted(learning_rates({"": optimizer})[""]) == pytest.approx([0.01, 0.1])
    moved = stepped(network, optimizer)
    assert moved == pytest.approx({name: 0.1 if name.endswith("bias") else 0.01 for name in moved}, rel=1e-4)
    set_learning_rates({"": optimizer}, {"": [0.0, 0.0]}, 1.0)
    assert set(stepped(network, optimizer).values()) == {0.0}


def test_without_a_factor_there_is_one_group_and_what_is_frozen_stays():
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    network[0].requires_grad_(False)
    optimizer = adam(network, 0.01)
    assert [len(group["params"]) for group in optimizer.param_groups] == [2]
    moved = stepped(network, optimizer)
    assert moved["0.weight"] == moved["0.bias"] == 0
    assert moved["1.weight"] == pytest.approx(0.01, rel=1e-4)
