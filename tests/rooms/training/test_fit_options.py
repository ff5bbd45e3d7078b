"""What `fit` takes beside tensors: tuples and dicts, the number of the step, schedules, averages, no pictures."""

from itertools import pairwise

import pytest
import torch
from test_loop import Pictures, look_every, loss, network, same, terms_of
from torch import nn

from course_lib.training import loop
from course_lib.training.checkpoints import CheckpointError
from course_lib.training.loop import Minimizer
from course_lib.training.schedules import constant, inverse_decay, linear_to_zero

NAMES = ("error", "size")


class Named(Pictures):
    """The same pictures in dicts, the mirror image beside them."""

    def __getitem__(self, k):
        picture = super().__getitem__(k)
        return {"input": picture, "more": (picture.flip(-1), torch.tensor(k))}


def named_loss(net, batch):
    made = net(batch["input"])
    mirrored, numbers = batch["more"]
    assert len(numbers) == len(mirrored) == len(made)
    return torch.stack(((made - mirrored).square().mean(), 0.01 * made.square().mean())), made


def fit(net=None, data=None, loss=loss, *, accumulate=1, **options):
    net = network() if net is None else net
    learner = Minimizer(net, loss, NAMES, learning_rate=0.01, accumulate=accumulate)
    done = loop.fit(learner, Pictures() if data is None else data, **{"num_steps": 6, "batch_size": 4, **options})
    return {name: value.clone() for name, value in net.state_dict().items()}, done


# --- batches ---


@pytest.mark.parametrize("options", [{}, {"accumulate": 2}, {"workers": 1}])
def test_a_dict_of_tensors_trains_as_a_tensor_does(options):
    plain, named = fit(**options), fit(data=Named(), loss=named_loss, **options)
    assert same(plain[0], named[0])
    assert terms_of(plain[1]) == terms_of(named[1])


# --- the number of the step, and nothing to show ---


class Counting:
    """Learns nothing; a term is the number of the step."""

    accumulate, capturable, names = 1, False, ("step",)

    def __init__(self):
        self.network, self.steps = nn.Linear(1, 1), []
        self.optimizers = {"network": torch.optim.SGD(self.network.parameters(), 0.0)}

    def step(self, batch, step):
        self.steps.append(step)
        self.network(batch).sum().backward()
        self.optimizers["network"].step()
        self.optimizers["network"].zero_grad()
        return torch.tensor([float(step)]), None


def test_a_learner_is_told_how_many_steps_were_taken(tmp_path):
    first, second = Counting(), Counting()
    data = torch.rand(5, 1)
    loop.fit(first, data, num_steps=3, batch_size=1, checkpoint=tmp_path / "run")
    done = loop.fit(second, data, num_steps=5, batch_size=1, checkpoint=tmp_path / "run")
    assert (first.steps, second.steps) == ([0, 1, 2], [3, 4])
    assert done.history["step"] == [0, 1, 2, 3, 4]


def test_without_pictures_there_is_no_image_to_ask_for():
    seen = []
    loop.fit(Counting(), torch.rand(5, 1), num_steps=2, batch_size=1, callback=seen.append)
    assert [progress.losses["step"] for progress in seen] == [0, 1]
    with pytest.raises(LookupError, match="no picture to show: its learner returned none"):
        seen[0].image()


# --- schedules ---


def test_a_schedule_is_a_function_of_the_step():
    """Plain gradient descent on a slope of one: the weight falls by the rates, 0.01, 0, 0.02, …"""
    asked, learner = [], Counting()
    learner.optimizers = {"network": torch.optim.SGD(learner.network.parameters(), 0.01)}

    def schedule(step, num_steps):
        asked.append((step, num_steps))
        return [1.0, 0.0, 2.0][step]

    biases = [learner.network.bias.item()]
    loop.fit(learner, torch.ones(4, 1), num_steps=3, batch_size=1, schedule=schedule,
             callback=lambda progress: biases.append(learner.network.bias.item()))  # fmt: skip
    assert asked == [(0, 3), (1, 3), (2, 3)]
    assert [a - b for a, b in pairwise(biases)] == pytest.approx([0.01, 0, 0.02], abs=1e-7)


@pytest.mark.parametrize(
    ("first", "then", "continues"),
    [
        ((4, constant), (6, constant), True),
        ((4, inverse_decay(0.1)), (6, inverse_decay(0.1)), True),
        ((4, inverse_decay(0.1)), (6, inverse_decay(0.2)), False),
        ((4, linear_to_zero(0.5)), (6, linear_to_zero(0.5)), False),
        ((4, constant), (8, linear_to_zero(0.5)), True),  # so far both say 1
    ],
)
def test_a_run_continues_where_its_rates_so_far_are_the_same(tmp_path, first, then, continues):
    file = tmp_path / "run"
    fit(num_steps=first[0], schedule=first[1], checkpoint=file)
    if not continues:
        with pytest.raises(CheckpointError, match="another configuration"):
            fit(num_steps=then[0], schedule=then[1], checkpoint=file)
        return
    resumed = fit(num_steps=then[0], schedule=then[1], checkpoint=file)
    assert same(resumed[0], fit(num_steps=then[0], schedule=then[1])[0])


# --- averages ---


def test_an_average_is_that_of_its_recursion():
    """a ← 0.9 a + 0.1 w after each step, beginning with the first weights."""
    net = network(norm=True)
    by_hand = {name: value.detach().double() for name, value in net.named_parameters()}

    def follow(progress):
        for name, value in net.named_parameters():
            by_hand[name] = 0.9 * by_hand[name] + 0.1 * value.detach().double()

    weights, done = fit(net, ema=0.9, callback=follow)
    assert done.average.keys() == weights.keys()
    for name, value in by_hand.items():
        torch.testing.assert_close(done.average[name].double(), value, rtol=1e-5, atol=1e-7)
        assert not torch.equal(done.average[name], weights[name])
    assert torch.equal(done.average["1.running_mean"], weights["1.running_mean"])  # buffers are not averaged
    network(norm=True).load_state_dict(done.average)
    assert same(weights, fit(network(norm=True))[0])  # the training itself is the same without


def test_a_resumed_average_is_the_same_to_the_last_bit(tmp_path):
    whole = fit(ema=0.9)[1].average
    fit(ema=0.9, num_steps=4, checkpoint=tmp_path / "run")
    assert same(fit(ema=0.9, checkpoint=tmp_path / "run")[1].average, whole)
    for ema in (None, 0.8):
        with pytest.raises(CheckpointError, match="another configuration"):
            fit(ema=ema, checkpoint=tmp_path / "run")


@pytest.mark.parametrize("looks", [1, 3])
def test_numbers_that_break_do_not_reach_the_average(monkeypatch, looks):
    look_every(monkeypatch, looks)
    steps = []

    def breaking(net, batch):
        terms, made = loss(net, batch)
        steps.append(1)
        return terms * (torch.nan if len(steps) == 5 else 1.0), made

    done = fit(loss=breaking, ema=0.9)[1]
    assert done.stopped.startswith("step 5")
    good = 4 if looks == 1 else 3
    assert same(done.average, fit(num_steps=good, ema=0.9)[1].average)


@pytest.mark.parametrize("ema", [-0.1, 1.0])
def test_a_senseless_average_is_refused(ema):
    with pytest.raises(ValueError, match=f"from 0 to below 1, got {ema}"):
        fit(ema=ema)
