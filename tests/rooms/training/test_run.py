"""What stands around the training loop in every method: the run's identity and its facts."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from course_lib.data.crops import Crops
from course_lib.training.loop import CheckpointError, Minimizer
from course_lib.training.run import learn


@dataclass(frozen=True)
class Config:
    num_steps: int = 3
    batch_size: int = 2
    learning_rate: float = 1e-2
    cooldown: float = 0.0
    accumulate: int = 1
    precision: str = "float32"
    seed: int = 0


def step(network, batch):
    found = network(batch)
    return (found - batch).square().mean().view(1), found


def crops(picture, seed=1):
    return Crops([picture(20, 24, seed)], size=16, length=50)


def run(data, config=None, **options):
    torch.manual_seed(0)
    network = nn.Conv2d(3, 3, 1)
    config = config or Config()
    learner = Minimizer(network, step, ["pixel"], learning_rate=config.learning_rate)
    facts, stopped = learn(learner, data, config, **options)
    assert stopped is None
    return network, facts


def test_the_facts_of_a_run(picture):
    _, facts = run(crops(picture))
    assert (facts["steps"], facts["photos"], facts["device"], facts["started_from"]) == (3, 1, "cpu", None)
    assert facts["seconds"] == facts["history"]["seconds"][-1] > 0
    assert len(facts["history"]["pixel"]) == 3


def test_a_start_is_named(picture):
    start = SimpleNamespace(network=nn.Conv2d(3, 3, 1), facts={"name": "great_wave"})
    assert run(crops(picture), start=start)[1]["started_from"] == "great_wave"
    assert run(crops(picture), start=SimpleNamespace(network=nn.ReLU(), facts={}))[1]["started_from"] == "another model"


def test_a_longer_run_goes_on_and_any_other_is_refused(picture, tmp_path):
    file = tmp_path / "run.checkpoint"
    run(crops(picture), checkpoint=file, marks={"style": 1.0})
    longer, facts = run(crops(picture), Config(num_steps=5), checkpoint=file, marks={"style": 1.0})
    whole, _ = run(crops(picture), Config(num_steps=5), marks={"style": 1.0})
    assert facts["steps"] == 5
    assert torch.equal(longer.weight, whole.weight)
    start = SimpleNamespace(network=nn.Conv2d(3, 3, 1), facts={})
    others = (
        {"marks": {"style": 2.0}},
        {"marks": {"style": 1.0}, "start": start},
        {"marks": {"style": 1.0}, "config": replace(Config(), learning_rate=0.1)},
        {"marks": {"style": 1.0}, "data": crops(picture, seed=2)},
    )
    for other in others:
        with pytest.raises(CheckpointError, match="another configuration"):
            run(other.pop("data", None) or crops(picture), checkpoint=file, **other)
