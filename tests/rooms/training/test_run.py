"""What every method's `train` calls: the fingerprint of a run, its schedule and its facts."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from course_lib.data.crops import Crops
from course_lib.training.checkpoints import CheckpointError
from course_lib.training.loop import Minimizer
from course_lib.training.run import train_and_summarize
from course_lib.training.schedules import inverse_decay


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
    made = network(batch)
    return (made - batch).square().mean().view(1), made


def crops(picture, seed=1):
    return Crops([picture(20, 24, seed)], size=16, length=50)


def run(data, config=None, **options):
    torch.manual_seed(0)
    network = nn.Conv2d(3, 3, 1)
    config = config or Config()
    learner = Minimizer(network, step, ["pixel"], learning_rate=config.learning_rate)
    summary = train_and_summarize(learner, data, config, **options)
    assert summary.stopped is None
    return network, summary.facts


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
    run(crops(picture), checkpoint=file, fingerprint={"style": 1.0})
    longer, facts = run(crops(picture), Config(num_steps=5), checkpoint=file, fingerprint={"style": 1.0})
    whole, _ = run(crops(picture), Config(num_steps=5), fingerprint={"style": 1.0})
    assert facts["steps"] == 5
    assert torch.equal(longer.weight, whole.weight)
    start = SimpleNamespace(network=nn.Conv2d(3, 3, 1), facts={})
    others = (
        {"fingerprint": {"style": 2.0}},
        {"fingerprint": {"style": 1.0}, "start": start},
        {"fingerprint": {"style": 1.0}, "config": replace(Config(), learning_rate=0.1)},
        {"fingerprint": {"style": 1.0}, "data": crops(picture, seed=2)},
    )
    for other in others:
        with pytest.raises(CheckpointError, match="another configuration"):
            run(other.pop("data", None) or crops(picture), checkpoint=file, **other)


def test_the_rate_falls_by_the_cooldown_or_by_a_schedule(picture):
    """Both halve the rate of the second step of two; without them it stays."""
    halved = run(crops(picture), Config(num_steps=2, cooldown=1.0))[0]
    scheduled = run(crops(picture), Config(num_steps=2), schedule=inverse_decay(1.0))[0]
    plain = run(crops(picture), Config(num_steps=2))[0]
    assert torch.equal(halved.weight, scheduled.weight)
    assert not torch.equal(halved.weight, plain.weight)


def test_an_average_comes_back_in_the_summary(picture):
    learner = Minimizer(nn.Conv2d(3, 3, 1), step, ["pixel"])
    summary = train_and_summarize(learner, crops(picture), Config(), ema=0.0)
    assert all(torch.equal(summary.average[name], value) for name, value in learner.network.state_dict().items())
    assert train_and_summarize(learner, crops(picture), Config()).average is None
