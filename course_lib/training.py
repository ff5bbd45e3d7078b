"""The training loop: Adam on the mean loss of a batch, checkpoints that survive a kill, and nothing about any paper.

What a step sees depends on its number alone: which items (`order`), what they are (a map-style dataset whose item k
is always the same), and the random state, which is kept with the weights. So a run that was stopped, by whatever,
goes on from its checkpoint as if nothing had happened; on a CPU the weights come out equal to the last bit.

Started by ``torchrun``, every process takes its share of each batch and gradients are averaged by torch's own
`DistributedDataParallel`.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, IterableDataset

from course_lib import runtime

_LOOK_EVERY = 10  # steps between two looks at the numbers on an accelerator: looking stops its queue
_FORMAT = 1

Loss = Callable[[nn.Module, Any], tuple[Tensor, Tensor]]


class CheckpointError(ValueError):
    """A checkpoint that is damaged, or belongs to another run."""


@dataclass(frozen=True)
class Fit:
    """What `fit` returns; the network itself was trained in place."""

    history: dict[str, list[float]]  # "total", each term and "seconds": one number a step
    stopped: str | None = None  # why the run ended early, or None


def fit(
    network: nn.Module,
    loss: Loss,
    names: Sequence[str],
    dataset: Any,
    *,
    num_steps: int,
    batch_size: int = 4,
    learning_rate: float = 1e-3,
    accumulate: int = 1,
    precision: torch.dtype = torch.float32,
    seed: int = 0,
    workers: int | None = None,
    callback: runtime.Callback | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 200,
    identity: Mapping[str, object] | None = None,
) -> Fit:
    """Train `network` in place with Adam; one step is one batch, one evaluation of the loss and its gradient.

    Args:
        network: on its device; its parameters that require a gradient are trained.
        loss: ``loss(network, batch)`` → weighted terms (K,), *means* over the batch, and pictures (N, 3, H, W) to
            show.
        names: the terms' names.
        dataset: a map-style dataset of tensors; every item the same each time it is asked for. An `IterableDataset`
            trains too, but cannot be resumed.
        batch_size: pictures a step, over all processes and all accumulated parts.
        accumulate: in how many parts a batch is computed, for less memory at the same result.
        precision: of convolutions inside ``torch.autocast``; the weights stay float32.
        seed: order of the items, and torch's random state during the run (dropout), restored afterwards.
        workers: processes that prepare batches ahead; None: 2 on an accelerator, none on a CPU, whose cores train.
        callback: called after each step with a `runtime.Progress` whose image is the first of `pictures`.
        checkpoint: a file, written every `checkpoint_every` steps and at the end. If it is there, the run goes on
            from it.
        identity: what makes this run this run (a configuration): a checkpoint of another one is refused.

    Raises:
        CheckpointError: `checkpoint` is damaged or of another run.
        ValueError: a batch that cannot be shared out; a checkpoint asked of a plain iterable.

    A term that stops being finite ends the run: the network keeps its last good weights and `Fit.stopped` says why.
    """
    group = _Group.join(network)
    if min(num_steps, batch_size, accumulate, checkpoint_every) < 1:
        raise ValueError("num_steps, batch_size, accumulate and checkpoint_every must be at least 1")
    if batch_size % (group.size * accumulate):
        raise ValueError(f"a batch of {batch_size} does not divide into {group.size} × {accumulate} equal parts")
    iterable = isinstance(dataset, IterableDataset)
    if iterable and checkpoint is not None:
        raise ValueError(
            "a plain iterable cannot be taken up where it was left, so it cannot have a checkpoint: "
            "give a map-style dataset (with __getitem__ and __len__), or checkpoint=None"
        )
    device = next(network.parameters()).device
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=learning_rate, fused=device.type in ("cpu", "cuda"))
    run = _Run(network, optimizer, [], [])
    if checkpoint is not None:
        about = {"batch": batch_size, "rate": learning_rate, "seed": seed, "items": len(dataset), **(identity or {})}
        run.file, run.mark = Path(checkpoint), _fingerprint(about)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed + group.rank)
        if run.file is not None and run.file.exists():
            run.restore()
        network.train()
        return _train(run, loss, names, dataset, group, callback, num_steps=num_steps, batch_size=batch_size,
                      accumulate=accumulate, precision=precision, seed=seed, every=checkpoint_every,
                      workers=workers if workers is not None else 2 * (device.type != "cpu"))  # fmt: skip


def _train(
    run: _Run, loss: Loss, names: Sequence[str], dataset: Any, group: _Group, callback: runtime.Callback | None, *,
    num_steps: int, batch_size: int, accumulate: int, precision: torch.dtype, seed: int, every: int, workers: int,
) -> Fit:  # fmt: skip
    device = next(run.network.parameters()).device
    model = DistributedDataParallel(run.network) if group.size > 1 else run.network
    part = batch_size // (group.size * accumulate)
    looks = 1 if device.type == "cpu" else _LOOK_EVERY
    batches = _batches(dataset, len(run.rows), num_steps, batch_size, group, seed, workers, device)
    unseen: list[Tensor] = []
    before, began = run.seconds[-1] if run.seconds else 0.0, time.perf_counter()
    run.keep()
    for batch in batches:
        found, shown = [], None
        for piece in batch.split(part):
            with torch.autocast(device.type, precision, enabled=precision != torch.float32):
                terms, shown = loss(model, piece)
            (terms.sum() / accumulate).backward()
            found.append(terms.detach())
        run.optimizer.step()
        run.optimizer.zero_grad(set_to_none=True)
        unseen.append(group.mean(torch.stack(found).mean(0)))
        step = len(run.rows) + len(unseen)
        run.seconds.append(before + time.perf_counter() - began)
        if step % looks == 0 or step == num_steps or (run.file is not None and step % every == 0):
            rows = torch.stack(unseen).cpu()
            unseen.clear()
            broken = ~torch.isfinite(rows).all(1)
            if broken.any():
                return run.give_up(rows, names, int(broken.nonzero()[0, 0]))
            run.rows += rows.tolist()
            run.keep()
        if run.file is not None and group.rank == 0 and (step % every == 0 or step == num_steps):
            run.save()
        if callback is not None and group.rank == 0:
            losses = runtime.Losses(names, unseen[-1] if unseen else torch.tensor(run.rows[-1]))
            callback(runtime.Progress(step, num_steps, losses, run.seconds[-1], _first(shown)))
    run.network.eval()
    return Fit(run.history(names))


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
    dataset: Any, done: int, num_steps: int, batch_size: int, group: _Group, seed: int, workers: int, device: Any
) -> Iterator[Tensor]:
    """This process's share of each batch from step `done` on, prepared ahead by `workers`."""
    generator = torch.Generator().manual_seed(seed)  # so that the loader draws nothing from the run's own
    settings: dict[str, Any] = {"num_workers": workers, "generator": generator, "pin_memory": device.type == "cuda"}
    if isinstance(dataset, IterableDataset):
        share = batch_size // group.size
        found: Iterable[Tensor] = islice(DataLoader(dataset, batch_size=share, drop_last=True, **settings), num_steps)
    else:
        orders = (order(step, batch_size, len(dataset), seed) for step in range(done, num_steps))
        found = DataLoader(dataset, batch_sampler=_Lazy(o[group.rank :: group.size] for o in orders), **settings)
    for batch in found:
        yield batch.to(device, non_blocking=True)


class _Lazy:
    """A sampler of batches made as they are asked for."""

    def __init__(self, batches: Iterator[list[int]]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[list[int]]:
        return self.batches


@dataclass
class _Group:
    """The processes that train together; one alone where ``torchrun`` did not start this."""

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, network: nn.Module) -> _Group:
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        if not dist.is_initialized():
            dist.init_process_group("nccl" if next(network.parameters()).is_cuda else "gloo")
        return cls(dist.get_rank(), dist.get_world_size())

    def mean(self, terms: Tensor) -> Tensor:
        if self.size > 1:
            dist.all_reduce(terms)
            terms /= self.size
        return terms


@dataclass
class _Run:
    """What a checkpoint holds, and how it gets there and back."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    rows: list[list[float]]
    seconds: list[float]
    file: Path | None = None
    mark: str = ""
    good: dict[str, Tensor] | None = None

    def keep(self) -> None:
        """Remember these weights as good, on their device."""
        self.good = {name: value.detach().clone() for name, value in self.network.state_dict().items()}

    def give_up(self, rows: Tensor, names: Sequence[str], first: int) -> Fit:
        assert self.good is not None
        self.network.load_state_dict(self.good)
        self.network.eval()
        self.rows += rows[:first].tolist()
        self.seconds = self.seconds[: len(self.rows)]
        name = next(name for name, value in zip(names, rows[first].tolist(), strict=True) if not _is_finite(value))
        advice = "try a smaller learning_rate, precision='float32', or a smaller weight on that term"
        return Fit(self.history(names), f"step {len(self.rows) + 1}: {name} is not finite any more; {advice}")

    def history(self, names: Sequence[str]) -> dict[str, list[float]]:
        columns = dict(zip(names, map(list, zip(*self.rows, strict=True)), strict=True)) if self.rows else {}
        return {"total": [sum(row) for row in self.rows], **columns, "seconds": list(self.seconds)}

    def save(self) -> None:
        """Write everything beside the file, make it durable, then put it in the file's place in one move."""
        assert self.file is not None
        state = {
            "format": _FORMAT, "mark": self.mark, "rows": self.rows, "seconds": self.seconds,
            "network": self.network.state_dict(), "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }  # fmt: skip
        self.file.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.file.with_name(f".{self.file.name}.{secrets.token_hex(4)}.tmp")
        try:
            with open(temporary, "xb") as stream:
                torch.save(state, stream)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, self.file)
        finally:
            with suppress(OSError):
                temporary.unlink()
        for left in self.file.parent.glob(f".{self.file.name}.*.tmp"):  # of a run that was killed while it wrote
            with suppress(OSError):
                left.unlink()

    def restore(self) -> None:
        assert self.file is not None
        device = next(self.network.parameters()).device
        advice = "delete it, or name another, to begin anew"
        try:  # weights_only: tensors, numbers and lists; nothing in the file is executed
            state = torch.load(self.file, map_location=device, weights_only=True)
            mark, form = state["mark"], state["format"]
        except Exception as error:  # torch raises whatever its readers do
            reason = f"{self.file} is damaged or not a checkpoint ({type(error).__name__})"
            raise CheckpointError(f"{reason}; {advice}") from error
        if form != _FORMAT or mark != self.mark:
            raise CheckpointError(f"{self.file} belongs to a run with another configuration; {advice}")
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.rows, self.seconds = state["rows"], state["seconds"]
        torch.set_rng_state(state["random"].cpu())
        if state["random_cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all([each.cpu() for each in state["random_cuda"]])


def _first(pictures: Tensor | None) -> Callable[[], Tensor]:
    assert pictures is not None
    return lambda: pictures.detach()[:1].float().clamp(0, 1).cpu()


def _fingerprint(about: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()


def _is_finite(value: float) -> bool:
    return value - value == 0
