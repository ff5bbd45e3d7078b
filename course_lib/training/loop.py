"""The training loop: batches, learning rates, checkpoints that survive a kill, and nothing about any paper.

What is done with a batch is a `Learner`'s business: `Minimizer` takes one Adam step down one loss; a game of two
networks takes two.

What a step sees depends on its number alone: which items (`order`), what they are (a map-style dataset whose item k
is always the same), and the random state, which is kept with the weights. So a run that was stopped, by whatever,
goes on from its checkpoint as if nothing had happened; on a CPU the weights come out equal to the last bit.

Started by ``torchrun``, every process takes its share of each batch, and gradients are averaged over all of them just
before an optimizer steps. (torch's `DistributedDataParallel` wraps one network and expects one walk back for each walk
forward; two players who judge each other do not move like that.)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from course_lib import runtime
from course_lib.cuda_graphs import CapturedStep, can_capture
from course_lib.training import checkpoints
from course_lib.training.checkpoints import CheckpointError
from course_lib.training.distributed import Group

_FUSED = ("cpu", "cuda")  # devices with a fused Adam
_SAVE_EVERY = {"cpu": 100}  # steps between two checkpoints; on an accelerator 5,000: a step is shorter than a write
_LOOK_EVERY = {"cpu": 1}  # steps between two looks at the numbers; on an accelerator 10: looking stops its queue
_OWN = ("lr", "fused", "capturable", "foreach")  # settings of an optimizer that belong to its device, not to the run

Loss = Callable[[nn.Module, Any], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Fit:
    """What `fit` returns; the network itself was trained in place."""

    history: dict[str, list[float]]  # "total" (the sum), each term and "seconds": one number a step
    stopped: str | None = None  # why the run ended early, or None


class Learner(Protocol):
    """What `fit` trains."""

    network: nn.Module  # on its device; all that is learned or kept, for two players a module that holds both
    optimizers: Sequence[torch.optim.Optimizer]  # their learning rates are those of the first step
    names: Sequence[str]  # of the terms
    accumulate: int  # in how many parts a batch is computed
    capturable: bool  # `step` does the same on the host every time and never waits: it can become a CUDA graph

    def step(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Learn from a batch: gradients, then each optimizer once. Terms (K,), means over it; pictures to show."""
        ...


class Minimizer:
    """Learns by one loss: a step is one evaluation of it and its gradient, then one step of Adam.

    Args:
        network: on its device; its parameters that require a gradient are trained.
        loss: ``loss(network, batch)`` → weighted terms (K,), *means* over the batch, and pictures (N, 3, H, W) to
            show.
        names: the terms' names.
        accumulate: in how many parts a batch is computed, for less memory at the same result.
        precision: of convolutions inside ``torch.autocast``; the weights stay float32.
        capturable: `loss` draws no numbers on the host, never waits for the device, and does the same every time. On
            CUDA the step then becomes a graph (`course_lib.cuda_graphs`). A loss that breaks this promise is computed
            with the numbers of its first steps for ever.
    """

    def __init__(
        self, network: nn.Module, loss: Loss, names: Sequence[str], *,
        learning_rate: float = 1e-3, accumulate: int = 1, precision: torch.dtype = torch.float32,
        capturable: bool = False,
    ) -> None:  # fmt: skip
        self.network, self.loss, self.names = network, loss, names
        self.accumulate, self.precision, self.capturable = accumulate, precision, capturable
        self.optimizers: Sequence[torch.optim.Optimizer] = [adam(network, learning_rate)]

    def step(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """One step of Adam; see `Learner`."""
        found, shown = [], batch
        for piece in batch.split(len(batch) // self.accumulate):
            with torch.autocast(batch.device.type, self.precision, enabled=self.precision != torch.float32):
                terms, shown = self.loss(self.network, piece)
            if terms.shape != (count := len(self.names),):
                raise ValueError(f"expected {count} terms, one for each name, got shape {tuple(terms.shape)}")
            (terms.sum() / self.accumulate).backward()
            found.append(terms.detach())
        self.optimizers[0].step()
        self.optimizers[0].zero_grad(set_to_none=True)
        return torch.stack(found).mean(0), shown.detach()


def adam(network: nn.Module, learning_rate: float, betas: tuple[float, float] = (0.9, 0.999)) -> torch.optim.Adam:
    """Adam (Kingma & Ba 2015) over what `network` learns, in one kernel where there is one.

    On CUDA the learning rate is a tensor: a captured step can then be given another one.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    device = next(network.parameters()).device
    graphs = can_capture(device)
    rate = torch.tensor(learning_rate, device=device) if graphs else learning_rate
    return torch.optim.Adam(parameters, lr=rate, betas=betas, fused=device.type in _FUSED, capturable=graphs)


def fit(
    learner: Learner,
    dataset: Any,
    *,
    num_steps: int,
    batch_size: int = 4,
    cooldown: float = 0.0,
    seed: int = 0,
    workers: int | None = None,
    callback: runtime.Callback | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
    identity: Mapping[str, object] | None = None,
) -> Fit:
    """Train a learner's network in place; one step is one batch.

    Args:
        dataset: a map-style dataset of tensors; every item the same each time it is asked for. One that lies on the
            accelerator (its ``device``) is asked for whole batches, ``batch(items)``, and needs no workers. An
            `IterableDataset` trains too, with at most one worker, but cannot be resumed.
        batch_size: pictures a step, over all processes and all accumulated parts.
        cooldown: the last part of the run, 0 to 1, over which the learning rates fall in a straight line to zero.
        seed: order of the items, and torch's random state during the run (dropout), restored afterwards.
        workers: processes that prepare batches ahead; None: 2 on an accelerator, none on a CPU, whose cores train.
        callback: called after each step with a `runtime.Progress` whose image is the first of `pictures`.
        checkpoint: a file, written every `checkpoint_every` steps and at the end. If it is there, the run goes on
            from it.
        checkpoint_every: None: 100 steps on a CPU, 5,000 on an accelerator.
        identity: what makes this run this run (a configuration): a checkpoint of another one is refused.

    Raises:
        CheckpointError: `checkpoint` is damaged or of another run.
        ValueError: a batch that cannot be shared out; a checkpoint asked of a plain iterable; more or fewer terms
            than names.

    A term or a gradient that stops being finite ends the run: the network keeps its last good weights and
    `Fit.stopped` says why. So it does where an iterable ends before `num_steps`.
    """
    network, accumulate = learner.network, learner.accumulate
    device = next(network.parameters()).device
    if checkpoint_every is None:
        checkpoint_every = _SAVE_EVERY.get(device.type, 5000)
    group = Group.join(network)
    if min(num_steps, batch_size, accumulate, checkpoint_every) < 1:
        raise ValueError("num_steps, batch_size, accumulate and checkpoint_every must be at least 1")
    if not 0 <= cooldown <= 1:
        raise ValueError(f"cooldown is a part of the run, from 0 to 1, got {cooldown}")
    if batch_size % (group.size * accumulate):
        raise ValueError(f"a batch of {batch_size} does not divide into {group.size} × {accumulate} equal parts")
    iterable = isinstance(dataset, IterableDataset)
    if iterable and checkpoint is not None:
        raise ValueError(
            "a plain iterable cannot be taken up where it was left, so it cannot have a checkpoint: "
            "give a map-style dataset (with __getitem__ and __len__), or checkpoint=None"
        )
    rates = [[_number(settings["lr"]) for settings in optimizer.param_groups] for optimizer in learner.optimizers]
    run = _Run(network, learner.optimizers, [], [])
    if checkpoint is not None:
        length = num_steps if cooldown > 0 else None  # without a cooldown, a finished run may be made longer
        about = {
            "num_steps": length, "batch": batch_size, "rates": rates, "cooldown": cooldown, "seed": seed,
            "items": len(dataset), "identity": identity, "names": list(learner.names),
            "network": {name: list(value.shape) for name, value in network.state_dict().items()},
        }  # fmt: skip
        run.file, run.mark = Path(checkpoint), checkpoints.fingerprint(about)
    with runtime.seeded(seed + group.rank, device):
        if run.file is not None:
            run.restore(group)
        group.spread(network)
        network.train()
        batches = _batches(dataset, len(run.rows), num_steps, batch_size, group, seed,
                           workers if workers is not None else 2 * (device.type != "cpu"), device)  # fmt: skip
        hooks = [optimizer.register_step_pre_hook(run.before_step(group)) for optimizer in learner.optimizers]
        try:
            return _train(run, learner, batches, group, callback, num_steps=num_steps, every=checkpoint_every,
                          rates=rates, factor=lambda step: _rate(step, num_steps, cooldown))  # fmt: skip
        finally:
            for hook in hooks:
                hook.remove()


def _train(
    run: _Run, learner: Learner, batches: Iterator[Tensor], group: Group, callback: runtime.Callback | None, *,
    num_steps: int, every: int, rates: list[list[float]], factor: Callable[[int], float],
) -> Fit:  # fmt: skip
    names = learner.names
    device = next(run.network.parameters()).device
    looks = _LOOK_EVERY.get(device.type, 10)
    before, began = run.seconds[-1] if run.seconds else 0.0, time.perf_counter()
    run.keep()

    def once(batch: Tensor) -> tuple[Tensor, Tensor]:
        terms, shown = learner.step(batch)
        return torch.cat((group.mean(terms.detach()), run.gradient())), shown

    advance = CapturedStep(once, device, enabled=learner.capturable and group.size == 1, clean_up=run.forget_step)
    for batch in batches:
        for optimizer, own in zip(learner.optimizers, rates, strict=True):
            for settings, rate in zip(optimizer.param_groups, own, strict=True):
                _set_rate(settings, rate * factor(len(run.seconds)))
        row, shown = advance(batch)
        run.unseen.append(row.clone())
        run.seconds.append(before + time.perf_counter() - began)
        step = len(run.seconds)
        saves = run.file is not None and (step % every == 0 or step == num_steps)
        if (saves or step % looks == 0 or step == num_steps) and (stopped := run.look(names)):
            return Fit(run.history(names), stopped)
        if saves:
            run.save(group)
        if callback is not None and group.rank == 0:
            losses = runtime.Losses(names, run.unseen[-1][:-1] if run.unseen else torch.tensor(run.rows[-1]))
            callback(runtime.Progress(step, num_steps, losses, run.seconds[-1], _first(shown)))
    stopped = run.look(names)  # an iterable ends when it likes
    group.spread(run.network)
    run.network.eval()
    if stopped is None and len(run.rows) < num_steps:
        stopped = f"the data ended after {len(run.rows)} of {num_steps} steps"
    return Fit(run.history(names), stopped)


def seconds_a_step(seconds: Sequence[float]) -> float:
    """Of the second half of a run, from ``history["seconds"]``: without warm-up, and whole even where looks are rare.

    >>> seconds_a_step([5.0, 6.0, 7.0, 8.0])
    1.0
    """
    half = len(seconds) // 2
    return (seconds[-1] - seconds[half - 1]) / (len(seconds) - half)


def _number(rate: float | Tensor) -> float:
    """A learning rate as it was given: a float32 tensor holds 0.001 as 0.00100000005."""
    return float(f"{rate.item():.6g}") if isinstance(rate, Tensor) else rate


def _set_rate(settings: dict[str, Any], rate: float) -> None:
    if isinstance(settings["lr"], Tensor):
        settings["lr"].fill_(rate)
    else:
        settings["lr"] = rate


def _rate(step: int, num_steps: int, cooldown: float) -> float:
    """A factor: one, then down to zero in a straight line over the last part of the run."""
    left = (num_steps - step) / num_steps  # 1 at the first step
    return min(1.0, left / cooldown) if cooldown > 0 else 1.0


def order(step: int, batch_size: int, length: int, seed: int) -> list[int]:
    """The items of one batch (steps count from 0): every item once an epoch, in an order drawn from (seed, epoch).

    >>> sorted(order(0, 2, 4, seed=1) + order(1, 2, 4, seed=1))
    [0, 1, 2, 3]
    """
    found: list[int] = []
    for position in range(step * batch_size, (step + 1) * batch_size):
        found.append(int(_permutation(length, seed, position // length)[position % length]))
    return found


_last: tuple[tuple[int, int, int], Tensor] | None = None


def _permutation(length: int, seed: int, epoch: int) -> Tensor:
    """One epoch's order; the last one asked for is kept."""
    global _last
    key = (length, seed, epoch)
    if _last is None or _last[0] != key:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        _last = key, torch.randperm(length, generator=generator)
    return _last[1]


def _batches(
    dataset: Any, done: int, num_steps: int, batch_size: int, group: Group, seed: int, workers: int, device: Any
) -> Iterator[Tensor]:
    """This process's share of each batch from step `done` on, prepared ahead by `workers` or cut by the set itself."""
    if _lies_on(dataset, device):
        for step in range(done, num_steps):
            chosen = order(step, batch_size, len(dataset), seed)[group.rank :: group.size]
            yield dataset.batch(chosen)
        return
    generator = torch.Generator().manual_seed(seed)  # so that the loader draws nothing from the run's own
    settings: dict[str, Any] = {"num_workers": workers, "generator": generator, "pin_memory": device.type == "cuda"}
    if isinstance(dataset, IterableDataset):
        settings["num_workers"] = min(workers, 1)  # each worker would run through all of it
        whole = islice(DataLoader(dataset, batch_size=batch_size, drop_last=True, **settings), num_steps)
        found: Iterable[Tensor] = (batch[group.rank :: group.size] for batch in whole)
    else:
        orders = (order(step, batch_size, len(dataset), seed) for step in range(done, num_steps))
        found = DataLoader(dataset, batch_sampler=_Lazy(o[group.rank :: group.size] for o in orders), **settings)
    for batch in found:
        yield batch.to(device, non_blocking=True)


def _lies_on(dataset: Any, device: torch.device) -> bool:
    """Whether the pictures of `dataset` are on the accelerator already, so that it cuts whole batches there."""
    return device.type != "cpu" and getattr(dataset, "device", None) == device and hasattr(dataset, "batch")


class _Lazy:
    """A sampler of batches made as they are asked for."""

    def __init__(self, batches: Iterator[list[int]]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[list[int]]:
        return self.batches


@dataclass
class _Run:
    """What a checkpoint holds, and how it gets there and back."""

    network: nn.Module
    optimizers: Sequence[torch.optim.Optimizer]
    rows: list[list[float]]
    seconds: list[float]
    unseen: list[Tensor] = field(default_factory=list)  # terms and the gradient's norm of steps not looked at yet
    norms: list[Tensor] = field(default_factory=list)  # of this step's gradients, one for each optimizer
    file: Path | None = None
    mark: str = ""
    good: dict[str, Tensor] | None = None

    def before_step(self, group: Group) -> Callable[..., None]:
        """What an optimizer does before it steps: average its gradients over the processes, and note their norm."""

        def hook(optimizer: torch.optim.Optimizer, *_: object) -> None:
            found = [p.grad for settings in optimizer.param_groups for p in settings["params"] if p.grad is not None]
            for gradient in found:
                group.mean(gradient)
            self.norms.append(nn.utils.get_total_norm(found))

        return hook

    def gradient(self) -> Tensor:
        """One number, (1,), that is finite when all gradients of the step were."""
        total = torch.stack(self.norms).sum().view(1)
        self.norms.clear()
        return total

    def forget_step(self) -> None:
        """Drop what a step that was not finished left behind."""
        self.norms.clear()
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)

    def keep(self) -> None:
        """Remember these weights as good, on their device."""
        self.good = {name: value.detach().clone() for name, value in self.network.state_dict().items()}

    def look(self, names: Sequence[str]) -> str | None:
        """Fetch the numbers of the steps not looked at. If one is not finite: back to the good weights, and why."""
        if not self.unseen:
            return None
        rows = torch.stack(self.unseen).cpu()  # (steps, K + 1)
        self.unseen.clear()
        broken = (~rows.isfinite()).nonzero().tolist()  # in order of steps
        if not broken:
            self.rows += rows[:, :-1].tolist()
            self.keep()
            return None
        assert self.good is not None
        self.network.load_state_dict(self.good)
        self.network.eval()
        first, column = broken[0]
        self.rows += rows[:first, :-1].tolist()
        self.seconds = self.seconds[: len(self.rows)]
        advice = "try a smaller learning_rate, precision='float32', or a smaller weight on that term"
        what = (*names, "the gradient")[column]
        return f"step {len(self.rows) + 1}: {what} is not finite any more; {advice}"

    def history(self, names: Sequence[str]) -> dict[str, list[float]]:
        columns = dict(zip(names, map(list, zip(*self.rows, strict=True)), strict=True)) if self.rows else {}
        return {"total": [sum(row) for row in self.rows], **columns, "seconds": list(self.seconds)}

    def save(self, group: Group) -> None:
        """Write everything beside the file, make it durable, then put it in the file's place in one move."""
        assert self.file is not None
        random = group.gather(checkpoints.random_states(next(self.network.parameters()).device))
        if group.rank > 0:
            return
        state = {
            "mark": self.mark, "rows": self.rows, "seconds": self.seconds,
            "network": self.network.state_dict(), "optimizers": [o.state_dict() for o in self.optimizers],
            "random": random,
        }  # fmt: skip
        checkpoints.write(self.file, state)

    def restore(self, group: Group) -> None:
        """Go on from the file where there is one; the first process reads it for all."""
        state = group.share(self._read() if group.rank == 0 else None)
        if state is None:
            return
        if isinstance(state, CheckpointError):
            raise state
        self.network.load_state_dict(state["network"])
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            own = [{name: settings[name] for name in _OWN if name in settings} for settings in optimizer.param_groups]
            for settings, mine in zip(kept["param_groups"], own, strict=True):
                settings |= mine
            optimizer.load_state_dict(kept)
            for settings, mine in zip(optimizer.param_groups, own, strict=True):
                settings |= mine  # loading copies a rate that is a tensor; a captured step knows the first one
        self.rows, self.seconds = state["rows"], state["seconds"]
        if group.rank < len(state["random"]):
            checkpoints.set_random_states(next(self.network.parameters()).device, state["random"][group.rank])

    def _read(self) -> dict[str, Any] | CheckpointError | None:
        assert self.file is not None
        try:
            return checkpoints.read(self.file, self.mark)
        except CheckpointError as error:  # for all processes to raise
            return error


def _first(pictures: Tensor | None) -> Callable[[], Tensor]:
    assert pictures is not None
    return lambda: pictures.detach()[:1].float().clamp(0, 1).cpu()
