"""The training loop: killed and resumed, in parts of a batch, in several processes, and with numbers that break."""

import io
import json
import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, IterableDataset

from course_lib import runtime
from course_lib.training import batches, loop
from course_lib.training.checkpoints import CheckpointError
from course_lib.training.loop import Minimizer
from course_lib.training.schedules import linear_to_zero

NAMES = ("error", "size")


class Pictures(Dataset):
    """Item k is a picture drawn from k alone; its first pixel says k."""

    def __init__(self, length=12, dtype=torch.float32):
        self.length, self.dtype = length, dtype

    def __len__(self):
        return self.length

    def __getitem__(self, k):
        picture = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(k))
        picture[:, 0, 0] = k / 100
        return picture.to(self.dtype)


class Stream(IterableDataset):
    """The same pictures one after another, without numbers to ask for."""

    def __init__(self, pictures):
        self.pictures = pictures

    def __iter__(self):
        return (self.pictures[k] for k in range(len(self.pictures)))


def network(*, dropout=0.0, norm=False, channels=4, dtype=torch.float32):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        middle = [nn.BatchNorm2d(channels)] if norm else []
        layers = [nn.Conv2d(3, channels, 3, padding=1), *middle, nn.ReLU(), nn.Dropout(dropout)]
        return nn.Sequential(*layers, nn.Conv2d(channels, 3, 3, padding=1)).to(dtype)


def loss(net, batch):
    """Learn to mirror pictures, and to keep numbers small."""
    made = net(batch)
    return torch.stack(((made - batch.flip(-1)).square().mean(), 0.01 * made.square().mean())), made


def order(step, batch_size, length, seed):
    """The items of one batch."""
    return [k for _, k in next(batches.order(length, batch_size, seed, start=step))]


def fit(net, loss, names, data, *, learning_rate=1e-3, accumulate=1, precision=torch.float32, cooldown=0.0, **options):
    options.setdefault("schedule", linear_to_zero(cooldown))
    learner = Minimizer(net, loss, names, learning_rate=learning_rate, accumulate=accumulate, precision=precision)
    return loop.fit(learner, data, **options)


def train(net=None, data=None, *, loss=loss, **options):
    """A short run: the network's weights, and what `fit` returned."""
    net = network() if net is None else net
    options = {"num_steps": 6, "batch_size": 4, "learning_rate": 0.01, **options}
    done = fit(net, loss, NAMES, Pictures() if data is None else data, **options)
    return {name: value.clone() for name, value in net.state_dict().items()}, done


def look_every(monkeypatch, steps):
    monkeypatch.setattr(runtime, "steps_between_looks", lambda device: steps)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def terms_of(done):
    return {name: column for name, column in done.history.items() if name != "seconds"}


def at_step(k, change):
    """The loss, with its terms changed at step k."""
    steps = []

    def broken(net, batch):
        terms, made = loss(net, batch)
        steps.append(len(steps) + 1)
        return (change(terms, made) if steps[-1] == k else terms), made

    return broken


def breaking(k):
    """A loss whose second term is not a number at step k."""
    return at_step(k, lambda terms, made: terms * torch.tensor([1.0, torch.nan]))


# --- learning ---


def test_a_regression_finds_the_known_solution():
    """Colors through a matrix and an offset: a 1×1 convolution can be exactly that, and nothing else fits."""
    matrix = torch.tensor([[0.5, -0.2, 0.1], [0.0, 0.8, 0.3], [-0.4, 0.2, 0.6]])
    offset = torch.tensor([0.1, -0.3, 0.2])

    def error(net, batch):
        made = net(batch)
        wanted = torch.einsum("oi,nihw->nohw", matrix, batch) + offset.view(3, 1, 1)
        return (made - wanted).square().mean().view(1), made

    net = nn.Conv2d(3, 3, 1)
    done = fit(net, error, ["error"], Pictures(), num_steps=400, learning_rate=0.05, cooldown=0.5)
    torch.testing.assert_close(net.weight.detach().view(3, 3), matrix, rtol=0, atol=1e-3)
    torch.testing.assert_close(net.bias.detach(), offset, rtol=0, atol=1e-3)
    assert done.history["error"][-1] < 1e-6 < 1e-2 < done.history["error"][0]
    assert done.stopped is None


def test_one_step_is_adam_by_hand():
    """Adam's first step moves every weight by the learning rate against the sign of its gradient."""
    net, start = network(), network()
    weights, _ = train(net, num_steps=1)
    terms, _ = loss(start, torch.stack([Pictures()[k] for k in order(0, 4, 12, seed=0)]))
    gradients = torch.autograd.grad(terms.sum(), start.parameters())
    for (name, before), gradient in zip(start.named_parameters(), gradients, strict=True):
        torch.testing.assert_close(weights[name], before - 0.01 * gradient.sign(), rtol=0, atol=1e-5)


def test_the_rate_stays_and_then_falls_to_zero():
    """A constant gradient makes every step of Adam as long as the learning rate."""
    net = nn.Conv2d(3, 1, 1, bias=False)
    seen = [net.weight.detach().clone()]
    fit(
        net,
        lambda net, batch: (net.weight.sum().view(1), batch),
        ["sum"],
        Pictures(),
        num_steps=8,
        learning_rate=0.1,
        cooldown=0.5,
        callback=lambda progress: seen.append(net.weight.detach().clone()),
    )
    lengths = [(a - b).mean().item() for a, b in pairwise(seen)]
    assert lengths == pytest.approx([0.1] * 5 + [0.075, 0.05, 0.025], rel=1e-4)


def test_half_precision_learns_and_the_weights_stay_whole():
    inside = []

    def watched(net, batch):
        terms, made = loss(net, batch)
        inside.append(made.dtype)
        return terms.float(), made

    weights, done = train(loss=watched, num_steps=60, precision=torch.bfloat16)
    assert set(inside) == {torch.bfloat16}
    assert {value.dtype for value in weights.values()} == {torch.float32}
    assert done.history["total"][-1] < 0.5 * done.history["total"][0]
    exact = train(num_steps=60)[1].history["total"]
    assert done.history["total"] != exact
    assert done.history["total"] == pytest.approx(exact, rel=0.05)  # bfloat16 has 8 bits: 0.4 % a rounding


def test_in_the_callers_autocast_half_precision_learns_the_same():
    weights = train(num_steps=20, precision=torch.bfloat16)[0]
    with torch.autocast("cpu", torch.bfloat16):
        inside = train(num_steps=20, precision=torch.bfloat16)[0]
    assert all(torch.equal(weights[name], inside[name]) for name in weights)


def test_frozen_weights_stay_and_the_network_comes_back_in_eval_mode():
    net, modes = network(norm=True).eval(), []
    net[0].requires_grad_(False)
    weights, _ = train(net, callback=lambda progress: modes.append(net.training))
    assert torch.equal(weights["0.weight"], network(norm=True)[0].weight)
    assert not torch.equal(weights["4.weight"], network(norm=True)[4].weight)
    assert all(modes)
    assert not net.training


# --- which pictures ---


def test_every_epoch_is_a_permutation_of_its_own():
    found = [k for step in range(21) for k in order(step, 3, 7, seed=5)]
    epochs = [found[start : start + 7] for start in range(0, 63, 7)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 9  # of 5040: nine alike in two would be 1 in 140
    other = [k for step in range(21) for k in order(step, 3, 7, seed=6)]
    assert found != other


def test_a_batch_depends_on_its_number_alone():
    """Asked in any order; the third batch of three out of seven ends one epoch and begins the next."""
    forward = [order(step, 3, 7, seed=5) for step in range(14)]
    assert [order(step, 3, 7, seed=5) for step in reversed(range(14))] == forward[::-1]
    straddling = [order(step, 1, 7, seed=5)[0] for step in (6, 7, 8)]
    assert forward[2] == straddling
    assert len(order(0, 9, 2, seed=0)) == 9  # a batch larger than the set goes through it several times


def test_a_run_sees_the_items_of_order():
    seen = []

    def watched(net, batch):
        seen.append((batch[:, 0, 0, 0] * 100).round().int().tolist())
        return loss(net, batch)

    train(loss=watched, num_steps=7, seed=3)
    assert seen == [order(step, 4, 12, seed=3) for step in range(7)]


def test_a_worker_prepares_the_same_batches():
    plain, ahead = (train(network(dropout=0.3), workers=workers) for workers in (0, 1))
    assert same(plain[0], ahead[0])
    assert terms_of(plain[1]) == terms_of(ahead[1])


@pytest.mark.parametrize("workers", [0, 2])
def test_an_iterable_is_run_through_once_in_its_order(workers):
    """Two workers would each bring all of it."""
    seen = []

    def watched(net, batch):
        seen.extend((batch[:, 0, 0, 0] * 100).round().int().tolist())
        return loss(net, batch)

    start = network().state_dict()
    weights, done = train(data=Stream(Pictures(30)), loss=watched, num_steps=6, workers=workers)
    assert seen == list(range(24))
    assert len(done.history["total"]) == 6
    assert done.stopped is None
    assert not same(weights, start)


@pytest.mark.parametrize("looks", [1, 10])
def test_an_iterable_that_ends_early_says_so(monkeypatch, looks):
    look_every(monkeypatch, looks)
    weights, done = train(data=Stream(Pictures(14)))
    assert done.stopped == "the data ended after 3 of 6 steps"  # 14 = 3 · 4 + 2, and half a batch is none
    assert {len(column) for column in done.history.values()} == {3}
    assert same(weights, train(data=Stream(Pictures(14)), num_steps=3)[0])


def test_an_iterable_cannot_have_a_checkpoint(tmp_path):
    with pytest.raises(ValueError, match="a plain iterable cannot be resumed where it was left.* map-style dataset"):
        train(data=Stream(Pictures()), checkpoint=tmp_path / "run.pt")
    assert not [*tmp_path.iterdir()]


# --- parts of a batch ---


@pytest.mark.parametrize("parts", [2, 4])
def test_parts_of_a_batch_give_the_same_weights(parts):
    """Means over equal parts, averaged, are the mean over all: in float64 equal but for the order of sums."""
    whole = train(network(dtype=torch.float64), Pictures(dtype=torch.float64), num_steps=10)
    split = train(network(dtype=torch.float64), Pictures(dtype=torch.float64), num_steps=10, accumulate=parts)
    for name in whole[0]:
        torch.testing.assert_close(whole[0][name], split[0][name], rtol=0, atol=1e-11)
    assert split[1].history["error"] == pytest.approx(whole[1].history["error"], rel=1e-10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 4, "accumulate": 3}, "a batch of 4 does not divide into 1 × 3 equal parts"),
        ({"batch_size": 0}, "must be at least 1"),
        ({"num_steps": 0}, "must be at least 1"),
        ({"accumulate": 0}, "must be at least 1"),
        ({"checkpoint_every": 0}, "must be at least 1"),
        ({"cooldown": 1.5}, "cooldown is a part of the run, from 0 to 1, got 1.5"),
        ({"cooldown": -0.1}, "from 0 to 1"),
    ],
)
def test_senseless_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        train(**options)


@pytest.mark.parametrize("names", [["error"], ["error", "size", "more"]])
def test_terms_without_a_name_are_refused_at_the_first_step(names):
    net = network()
    with pytest.raises(ValueError, match=rf"expected {len(names)} terms, one for each name, got shape \(2,\)"):
        fit(net, loss, names, Pictures(), num_steps=5)
    assert same(net.state_dict(), network().state_dict())


# --- chance ---


def test_one_seed_one_result_whatever_was_drawn_before():
    runs = []
    for before in (1, 2):
        torch.manual_seed(before)
        runs.append(train(network(dropout=0.3), seed=7))
    assert same(runs[0][0], runs[1][0])
    assert terms_of(runs[0][1]) == terms_of(runs[1][1])
    assert not same(runs[0][0], train(network(dropout=0.3), seed=8)[0])


def test_the_seed_is_that_of_dropout_too():
    """One item only: the order cannot differ."""
    runs = [train(network(dropout=0.3), Pictures(1), seed=seed)[0] for seed in (7, 7, 8)]
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_the_worlds_random_state_is_left_alone(monkeypatch):
    first, second, seeded = network(dropout=0.3), network(dropout=0.3), []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)  # what torch.manual_seed does to accelerators
    before = torch.get_rng_state()
    train(first)
    assert torch.equal(torch.get_rng_state(), before)

    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(second, callback=stop)
    assert torch.equal(torch.get_rng_state(), before)
    assert not seeded


# --- what a watcher sees ---


@pytest.mark.parametrize("looks", [1, 10])
def test_the_callback_gets_every_step(monkeypatch, looks):
    look_every(monkeypatch, looks)
    seen, made = [], []

    def wide(net, batch):
        terms, pictures = loss(net, batch)
        made.append(3 * pictures.detach() - 1)
        return terms, made[-1]

    def watch(progress):
        seen.append((progress, dict(progress.losses), progress.image()))

    _, done = train(loss=wide, callback=watch)
    assert [progress.step for progress, _, _ in seen] == [1, 2, 3, 4, 5, 6]
    assert {progress.num_steps for progress, _, _ in seen} == {6}
    seconds = [progress.seconds for progress, _, _ in seen]
    assert all(0 < a < b for a, b in pairwise(seconds))
    assert seconds == done.history["seconds"]
    for k, (_, losses, image) in enumerate(seen):
        assert [*losses] == ["total", *NAMES]
        assert losses["total"] == losses["error"] + losses["size"]
        assert losses == {name: done.history[name][k] for name in losses}
        assert torch.equal(image, made[k][:1].clamp(0, 1))
        assert image.shape == (1, 3, 8, 8)
    assert made[0].min() < 0  # so that there was something to clamp


# --- numbers that break ---


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_term_that_breaks_ends_the_run(name, bad):
    column = NAMES.index(name)
    factor = torch.ones(2)
    factor[column] = bad
    net = network(norm=True)
    weights, done = train(net, loss=at_step(4, lambda terms, made: terms * factor))
    assert done.stopped.startswith(f"step 4: {name} is not finite any more; try a smaller learning_rate")
    before, expected = train(network(norm=True), num_steps=3)
    assert same(weights, before)
    assert terms_of(done) == terms_of(expected)
    assert len(done.history["seconds"]) == 3
    assert not net.training


def test_a_gradient_that_breaks_ends_the_run():
    """√0 is 0, and its slope is infinite: every term is finite and the weights would not be."""

    def rooted(terms, made):
        return terms + torch.stack((terms[0] * 0, (made * 0).square().sum().sqrt()))

    weights, done = train(loss=at_step(4, rooted))
    assert done.stopped.startswith("step 4: the gradient is not finite any more")
    assert same(weights, train(num_steps=3)[0])
    assert terms_of(done) == terms_of(train(num_steps=3)[1])


def test_a_run_that_breaks_at_once_keeps_its_first_weights():
    weights, done = train(loss=breaking(1))
    assert same(weights, network().state_dict())
    assert done.history == {"total": [], "seconds": []}
    assert done.stopped.startswith("step 1: size")


def test_where_looking_is_dear_the_weights_are_of_the_last_look(monkeypatch):
    look_every(monkeypatch, 4)
    weights, done = train(loss=breaking(7), num_steps=9)
    assert done.stopped.startswith("step 7: size")
    before, _ = train(num_steps=4)
    assert same(weights, before)
    assert terms_of(done) == terms_of(train(num_steps=6)[1])


def test_no_broken_weights_reach_the_checkpoint(monkeypatch, tmp_path):
    look_every(monkeypatch, 10)
    file = tmp_path / "run.pt"
    _, done = train(loss=breaking(5), checkpoint=file, checkpoint_every=2)
    assert done.stopped.startswith("step 5: size")
    state = torch.load(file, weights_only=True)
    assert len(state["rows"]) == 4
    assert same(state["network"], train(num_steps=4)[0])
    weights, done = train(checkpoint=file, checkpoint_every=2)  # with the loss mended
    assert done.stopped is None
    assert same(weights, train()[0])


# --- checkpoints ---


@pytest.mark.parametrize("looks", [1, 10])
def test_a_longer_run_goes_on_from_a_finished_one(monkeypatch, tmp_path, looks):
    look_every(monkeypatch, looks)
    straight = train(network(dropout=0.3, norm=True), num_steps=9)
    steps = []
    for num_steps in (3, 4, 9):
        weights, done = train(
            network(dropout=0.3, norm=True),
            num_steps=num_steps,
            checkpoint=tmp_path / "new" / "run.pt",
            callback=lambda progress: steps.append(progress.step),
        )
    assert steps == list(range(1, 10))
    assert same(weights, straight[0])
    assert terms_of(done) == terms_of(straight[1])
    seconds = done.history["seconds"]
    assert all(a < b for a, b in pairwise(seconds))


def test_a_run_that_is_done_comes_back_as_it_was(tmp_path):
    options = {"checkpoint": tmp_path / "run.pt"}
    first, again = (train(**options, callback=None) for _ in range(2))
    assert same(first[0], again[0])
    assert first[1] == again[1]


def test_with_a_cooldown_the_length_is_part_of_the_run(tmp_path):
    for name, fingerprint in (("plain", None), ("named", {"num_steps": None})):
        train(checkpoint=tmp_path / name, cooldown=0.5, fingerprint=fingerprint)
        with pytest.raises(CheckpointError, match="another configuration"):
            train(checkpoint=tmp_path / name, cooldown=0.5, num_steps=8, fingerprint=fingerprint)


@pytest.mark.parametrize(
    "other",
    [
        {"fingerprint": {"style": "another"}},
        {"fingerprint": None},
        {"batch_size": 2},
        {"seed": 1},
        {"learning_rate": 0.02},
        {"cooldown": 0.5},
        {"data": Pictures(11)},
        {"net": "wider"},
        {"net": "normalized"},
    ],
    ids=["fingerprint", "no fingerprint", "batch", "seed", "rate", "cooldown", "data", "wider", "normalized"],
)
def test_a_checkpoint_of_another_run_is_refused_and_stays(tmp_path, other):
    file = tmp_path / "run.pt"
    train(checkpoint=file, fingerprint={"style": "this"})
    content = file.read_bytes()
    other = dict(other)
    net = {"wider": network(channels=5), "normalized": network(norm=True)}.get(other.pop("net", ""), network())
    start = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"run\.pt belongs to a run with another configuration: trained with"):
        train(net, checkpoint=file, **{"fingerprint": {"style": "this"}, **other})
    assert file.read_bytes() == content
    assert same(net.state_dict(), start)


def test_other_terms_are_another_run(tmp_path):
    fit(network(), loss, ("error", "size"), Pictures(), num_steps=2, checkpoint=tmp_path / "run.pt")
    with pytest.raises(CheckpointError, match="another configuration"):
        fit(network(), loss, ("error", "length"), Pictures(), num_steps=2, checkpoint=tmp_path / "run.pt")


class Touch:
    """A pickle that would make a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def torch_file(content):
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def flipped(data):
    """One wrong byte in the largest tensor, which only a checksum notices."""
    place = data.rindex(torch.load(io.BytesIO(data), weights_only=True)["network"]["0.weight"].numpy().tobytes())
    return data[: place + 40] + bytes([data[place + 40] ^ 64]) + data[place + 41 :]


DAMAGES = {
    "empty": lambda good, trap: b"",
    "cut in half": lambda good, trap: good[: len(good) // 2],
    "one byte short": lambda good, trap: good[:-1],
    "a wrong byte": lambda good, trap: flipped(good),
    "garbage": lambda good, trap: bytes(range(256)) * 40,
    "a text": lambda good, trap: b"not a checkpoint",
    "another torch file": lambda good, trap: torch_file(torch.zeros(3)),
    "no fingerprint": lambda good, trap: torch_file({"network": {}}),
    "a pickle that acts": lambda good, trap: pickle.dumps(Touch(trap)),
    "a torch file that acts": lambda good, trap: torch_file({"format": 2, "fingerprint": "", "network": Touch(trap)}),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_checkpoint_is_refused_and_stays(tmp_path, damage):
    file, trap = tmp_path / "run.pt", tmp_path / "trap"
    train(checkpoint=file, num_steps=1)
    content = damage(file.read_bytes(), trap)
    file.write_bytes(content)
    net = network()
    with pytest.raises(CheckpointError, match=r"run\.pt is damaged or not a checkpoint \(\w+\); delete it, or name"):
        train(net, checkpoint=file)
    assert file.read_bytes() == content
    assert [*tmp_path.iterdir()] == [file]  # and nothing sprang from it
    assert same(net.state_dict(), network().state_dict())


def test_the_bytes_are_on_the_disk_before_the_name_is(monkeypatch, tmp_path):
    """After a power failure a file that has its name must have its content."""
    events, opened = [], {}
    fsync, replace = os.fsync, os.replace

    def watch_fsync(number):
        path = Path(os.readlink(f"/proc/self/fd/{number}")) if Path("/proc/self/fd").exists() else None
        opened["size"] = os.fstat(number).st_size
        events.append(("durable", None if path is None else path.name))
        fsync(number)

    def watch_replace(source, target):
        assert Path(source).stat().st_size == opened["size"]  # nothing is written after it
        events.append(("named", Path(source).name))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watch_fsync)
    monkeypatch.setattr(os, "replace", watch_replace)
    train(checkpoint=tmp_path / "run.pt", checkpoint_every=3)
    assert [event for event, _ in events] == ["durable", "named", "durable", "named"]
    assert all(a[1] in (b[1], None) for a, b in zip(events[::2], events[1::2], strict=True))
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


@pytest.mark.parametrize("name", ["run.pt", "run [1].pt"])
def test_rests_of_killed_writers_are_cleaned_and_nobody_elses(tmp_path, name):
    for rest in (f".{name}.0123abcd.tmp", f".{name}.big.0123abcd.tmp", ".other.pt.0123abcd.tmp", "0123abcd.tmp"):
        (tmp_path / rest).write_bytes(b"half a checkpoint")
    train(checkpoint=tmp_path / name)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted([name, f".{name}.big.0123abcd.tmp", ".other.pt.0123abcd.tmp", "0123abcd.tmp"])


# --- several processes ---


def script(folder, text, *launcher):
    """Run `text` as a program of its own, with this file importable; its last line is JSON."""
    file = folder / "script.py"
    file.write_text(text)
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    out = folder / "out"
    out.mkdir()
    command = [sys.executable, *launcher, str(file), str(out)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
    ) as program:
        try:
            printed, _ = program.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            program.terminate()  # a launcher then ends the processes it started
            with suppress(subprocess.TimeoutExpired):
                program.wait(timeout=45)
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            raise
    assert program.returncode == 0, printed[-4000:]
    return out, json.loads(next(line for line in printed.splitlines()[::-1] if line.startswith(("{", "["))))


TOGETHER = """
import json, os, sys
from pathlib import Path
import torch
import torch.distributed as dist
import test_loop as t

folder, rank = Path(sys.argv[1]), int(os.environ["RANK"])
writes, replace = [], os.replace
os.replace = lambda source, target: (writes.append(str(target)), replace(source, target))
double = {"dtype": torch.float64}

def train(net=None, data=None, **options):
    return t.train(net or t.network(**double), data or t.Pictures(**double), **options)

calls, random = [], torch.get_rng_state()
found = {
    "plain": train(callback=lambda progress: calls.append(progress.step)),
    "parts": train(accumulate=2),
    "iterable": train(data=t.Stream(t.Pictures(24, **double))),
    "straight": train(t.network(dropout=0.3, **double), checkpoint=folder / "straight.pt"),
}
resumed = folder / ("resumed.pt" if rank == 0 else "elsewhere.pt")  # as on a machine that does not see the file
for steps in (2, 6):
    found["resumed"] = train(
        t.network(dropout=0.3, **double), num_steps=steps, checkpoint=resumed, checkpoint_every=2
    )
try:
    train(checkpoint=resumed, seed=5)
    foreign = ""
except t.CheckpointError as error:
    foreign = str(error)
broken = t.at_step(4, lambda terms, made: terms * torch.nan) if rank == 1 else t.loss
found["broken"] = train(loss=broken)
try:
    train(batch_size=3)
    refused = ""
except ValueError as error:
    refused = str(error)
results = {
    name: {"weights": weights, "history": done.history, "stopped": done.stopped}
    for name, (weights, done) in found.items()
}
torch.save(results, folder / f"rank{rank}")
untouched = torch.equal(random, torch.get_rng_state())
mine = {"writes": len(writes), "calls": calls, "refused": refused, "foreign": foreign, "untouched": untouched}
reports = [None, None]
dist.all_gather_object(reports, mine)
dist.barrier()
if rank == 0:
    print(json.dumps(reports), flush=True)
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What two processes of ``torchrun`` found, each: a free port of their own choice, on this machine only."""
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    folder, reports = script(tmp_path_factory.mktemp("together"), TOGETHER, *launcher)
    return [torch.load(folder / f"rank{rank}", weights_only=True) for rank in (0, 1)], reports


@pytest.mark.parametrize(
    ("name", "options"),
    [("plain", {}), ("parts", {}), ("iterable", {"data": Stream(Pictures(24, dtype=torch.float64))})],
)
@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(together, name, options):
    """The mean of two means over half a batch is the mean over all: in float64 equal but for the order of sums.

    That is 1e-16 of a gradient; Adam divides gradients by their own size, so six steps of 0.01 keep it far below
    1e-11.
    """
    weights, done = train(network(dtype=torch.float64), **{"data": Pictures(dtype=torch.float64), **options})
    ours, theirs = (rank[name] for rank in together[0])
    assert same(ours["weights"], theirs["weights"])
    for key in weights:
        torch.testing.assert_close(ours["weights"][key], weights[key], rtol=0, atol=1e-11)
    for column in ("total", *NAMES):
        assert ours["history"][column] == pytest.approx(done.history[column], rel=1e-10)
        assert ours["history"][column] == theirs["history"][column]


@pytest.mark.slow
def test_two_processes_resume_with_their_own_dropout(together):
    for rank in together[0]:
        assert same(rank["resumed"]["weights"], rank["straight"]["weights"])
        assert len(rank["resumed"]["history"]["total"]) == 6
        for column in ("total", *NAMES):
            assert rank["resumed"]["history"][column] == rank["straight"]["history"][column]
    assert same(together[0][0]["straight"]["weights"], together[0][1]["straight"]["weights"])


@pytest.mark.slow
def test_the_first_process_writes_and_reports(together):
    first, second = together[1]
    assert first["writes"] == 1 + 1 + 2  # at the end; at step 2; at steps 4 and 6
    assert second["writes"] == 0
    assert first["calls"] == [1, 2, 3, 4, 5, 6]
    assert second["calls"] == []
    assert first["untouched"]
    assert second["untouched"]
    assert first["foreign"] == second["foreign"]
    assert "resumed.pt belongs to a run with another configuration" in first["foreign"]
    assert first["refused"] == second["refused"] == "a batch of 3 does not divide into 2 × 1 equal parts"


@pytest.mark.slow
def test_what_breaks_in_one_process_ends_both(together):
    expected, _ = train(network(dtype=torch.float64), Pictures(dtype=torch.float64), num_steps=3)
    for rank in together[0]:
        assert rank["broken"]["stopped"].startswith("step 4: error is not finite")
        for key in expected:
            torch.testing.assert_close(rank["broken"]["weights"][key], expected[key], rtol=0, atol=1e-11)
