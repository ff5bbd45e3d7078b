"""The training loop: batches, learning rates, checkpoints that survive a kill. It knows no paper.

What is done with a batch is up to a `Learner`: `Minimizer` takes one step of Adam down one loss; the players of a GAN
take one step each (`training.players`).

What a step computes depends on its number alone: its items (`training.batches.order`), what they are (a data set whose
item k of an epoch is always the same), and the random state, which a checkpoint holds beside the weights. So a run that
was stopped at any moment continues from its checkpoint as if nothing had happened; on a CPU the weights come out equal
to the last bit.

Started by ``torchrun``, every process takes its share of each batch, and gradients are averaged over the processes just
before an optimizer steps. (torch's `DistributedDataParallel` expects one backward pass for each forward pass of one
network; a generator and its discriminator do not work like that.)
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import IterableDataset

from course_lib import arguments, runtime
from course_lib.cuda_graphs import CapturedStep
from course_lib.training import batches
from course_lib.training.checkpoints import RunState
from course_lib.training.collapse import Watch
from course_lib.training.distributed import Group
from course_lib.training.fingerprints import as_json
from course_lib.training.finite_guard import FiniteGuard
from course_lib.training.locks import claimed
from course_lib.training.optimizers import Optimizers, adam, learning_rates, set_learning_rates
from course_lib.training.schedules import Schedule, constant

_SAVE_EVERY = {"cpu": 100}  # steps between two checkpoints; on an accelerator 5,000: a step is shorter than a write

Loss = Callable[[nn.Module, Any], tuple[Tensor, Tensor | None]]


@dataclass(frozen=True)
class Fit:
    """What `fit` returns; the network itself was trained in place."""

    history: dict[str, list[float]]  # "total" (the sum), each term and "seconds": one number a step
    stopped: str | None = None  # why the run ended early, or None
    average: dict[str, Tensor] | None = None  # a state_dict of the network with averaged parameters, if asked for


class Learner(Protocol):
    """What `fit` trains."""

    network: nn.Module  # on its device; everything learned or kept: for two players, a module that holds both
    optimizers: Optimizers  # by name; their learning rates are those that a schedule multiplies
    names: Sequence[str]  # of the terms
    accumulate: int  # in how many parts a batch is computed
    capturable: bool  # `step` can become a CUDA graph: see there

    def step(self, batch: Any, step: int) -> tuple[Tensor, Tensor | None]:
        """Learn from one batch: compute gradients, then let each optimizer step.

        Args:
            batch: a tensor, or a tuple or dict of batches, on the network's device.
            step: how many steps were taken before this one; 0 at the first. A capturable learner must ignore it: a
                CUDA graph would repeat the number of the step that was captured.

        Returns:
            The terms (K,), means over the batch; and pictures (N, 3, H, W) to show, or None.

        A *capturable* learner does the same on the host at every step, draws no random numbers there, and never waits
        for the device.
        """
        ...


class Minimizer:
    """Learns by one loss: a step is one evaluation of it and its gradient, then one step of Adam.

    Args:
        network: on its device; its parameters that require a gradient are trained.
        loss: ``loss(network, batch)`` → weighted terms (K,), *means* over the batch, and pictures (N, 3, H, W) to
            show, or None.
        names: the terms' names.
        accumulate: in how many parts a batch is computed, for less memory at the same result.
        precision: of convolutions inside ``torch.autocast``; the weights stay float32.
        capturable: `loss` keeps the promise of a capturable `Learner`, so that on CUDA the step becomes a graph
            (`course_lib.cuda_graphs`). If it does not, the numbers of its first steps are repeated forever.
    """

    def __init__(
        self, network: nn.Module, loss: Loss, names: Sequence[str], *,
        learning_rate: float = 1e-3, accumulate: int = 1, precision: torch.dtype = torch.float32,
        capturable: bool = False,
    ) -> None:  # fmt: skip
        self.network, self.loss, self.names = network, loss, names
        self.accumulate, self.precision, self.capturable = accumulate, precision, capturable
        self.optimizers: Optimizers = {"network": adam(network, learning_rate)}

    def step(self, batch: Any, step: int = 0) -> tuple[Tensor, Tensor | None]:
        """One step of Adam; see `Learner`."""
        rows, shown = [], None
        device = next(self.network.parameters()).device
        for part in batches.split(batch, self.accumulate):
            with torch.autocast(device.type, self.precision, enabled=self.precision != torch.float32):
                terms, shown = self.loss(self.network, part)
            if terms.shape != (count := len(self.names),):
                raise ValueError(f"expected {count} terms, one for each name, got shape {tuple(terms.shape)}")
            (terms.sum() / self.accumulate).backward()
            rows.append(terms.detach())
        self.optimizers["network"].step()
        self.optimizers["network"].zero_grad(set_to_none=True)
        return torch.stack(rows).mean(0), None if shown is None else shown.detach()


@runtime.with_gradients()
def fit(
    learner: Learner,
    dataset: Any,
    *,
    num_steps: int,
    batch_size: int = 4,
    schedule: Schedule = constant,
    ema: float | None = None,
    seed: int = 0,
    workers: int | None = None,
    callback: runtime.Callback | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
    resume: bool = True,
    fingerprint: Mapping[str, object] | None = None,
    watch: Watch | None = None,
) -> Fit:
    """Train a learner's network in place; one step is one batch.

    Args:
        dataset: a map-style data set; item k of an epoch is the same each time it is asked for. See
            `training.batches` for sets that change from epoch to epoch or lie on the accelerator. An
            `IterableDataset` trains too, with at most one worker, but cannot be resumed.
        batch_size: items a step, over all processes and all accumulated parts.
        schedule: ``schedule(step, num_steps)`` → a factor on the learning rates (`training.schedules`).
        ema: in [0, 1): keep an average of the parameters, a ← ema · a + (1 − ema) · w after every step, from the first
            weights on; it comes back as `Fit.average`. None: no average.
        seed: of the order of items, and of torch's random state during the run (dropout), restored afterwards.
        workers: processes that prepare batches ahead; None: 2 on an accelerator, none on a CPU, whose cores train.
        callback: called after each step with a `runtime.Progress`. Its image is the first of the pictures that the
            learner returned; asking for it raises LookupError if the learner returned none. What it raises ends the
            run, after a checkpoint of the current step.
        checkpoint: a file, written every `checkpoint_every` steps and at the end. If it exists, the run continues
            from it. If it cannot be written, for example on a full disk, a warning says so and training continues.
        checkpoint_every: None: 100 steps on a CPU, 5,000 on an accelerator.
        resume: False: start over; an existing checkpoint stays until the first new one replaces it.
        fingerprint: what else makes this run what it is (a configuration): a checkpoint of another run is refused.
        watch: looks now and then whether a generator has collapsed, and warns (`training.collapse`).

    Raises:
        CheckpointError: `checkpoint` is damaged, of another run, in use by one, or in a place that cannot be written.
        ValueError: a batch that does not divide; a checkpoint for an iterable; a number of terms that differs from
            that of the names; an `ema` outside [0, 1).
        TypeError: batches of anything but tensors, tuples and dicts.

    If a term or a gradient stops being finite, the run ends: the network keeps its last good weights, and `Fit.stopped`
    says why. It also ends where an iterable ends before `num_steps`.
    """
    network, accumulate = learner.network, learner.accumulate
    device = next(network.parameters()).device
    if checkpoint_every is None:
        checkpoint_every = _SAVE_EVERY.get(device.type, 5000)
    group = Group.join(network)
    if min(num_steps, batch_size, accumulate, checkpoint_every) < 1:
        raise ValueError("num_steps, batch_size, accumulate and checkpoint_every must be at least 1")
    if ema is not None and not 0 <= ema < 1:
        raise ValueError(f"ema is the part of the average that stays at each step, from 0 to below 1, got {ema}")
    if batch_size % (group.size * accumulate):
        raise ValueError(f"a batch of {batch_size} does not divide into {group.size} × {accumulate} equal parts")
    if isinstance(dataset, IterableDataset) and checkpoint is not None:
        raise ValueError(
            "a plain iterable cannot be resumed where it was left, so it cannot have a checkpoint: "
            "give a map-style dataset (with __getitem__ and __len__), or checkpoint=None"
        )
    state = RunState(network, learner.optimizers, num_steps, watch=watch)
    if checkpoint is not None:
        state.file = arguments.path(checkpoint, "a checkpoint")
        state.fingerprint = as_json({
            "batch": batch_size, "rates": learning_rates(learner.optimizers), "ema": ema, "seed": seed,
            "items": len(dataset), "names": list(learner.names), "fingerprint": fingerprint,
            "network": {name: list(value.shape) for name, value in network.state_dict().items()},
        })  # fmt: skip
    # Learners set their own precision, whatever the caller's is. Autocast keeps rounded weights until the outermost one
    # ends; inside the caller's, none may be kept, or every step would use those of the first.
    plain: AbstractContextManager[Any] = nullcontext()
    if torch.is_autocast_enabled(device.type):
        plain = torch.autocast(device.type, enabled=False, cache_enabled=False)
    with claimed(state.file, group), runtime.seeded(seed + group.rank, device), plain:
        if resume:
            state.restore(group, schedule)
        state.replaces = state.file is not None and not resume and state.file.exists()
        group.broadcast_weights(network)
        if ema is not None and state.average is None:
            state.average = {name: weight.detach().clone() for name, weight in network.named_parameters()}
        network.train()
        steps = range(len(state.rows), num_steps)
        workers = workers if workers is not None else 2 * (device.type != "cpu")
        data = batches.load(dataset, steps, batch_size, seed, group=group, workers=workers, device=device)
        guard = FiniteGuard(state)
        hooks = [o.register_step_pre_hook(guard.before_optimizer(group)) for o in learner.optimizers.values()]
        try:
            stopped = _train(learner, state, guard, data, group, callback, num_steps=num_steps, schedule=schedule,
                             ema=ema, save_every=checkpoint_every)  # fmt: skip
        finally:
            for hook in hooks:
                hook.remove()
    network.eval()
    average = None if state.average is None else {**network.state_dict(), **state.average}
    return Fit(state.history(learner.names), stopped, average)


def _train(
    learner: Learner, state: RunState, guard: FiniteGuard, data: Iterator[Any], group: Group,
    callback: runtime.Callback | None, *, num_steps: int, schedule: Schedule, ema: float | None, save_every: int,
) -> str | None:  # fmt: skip
    """Take the steps; returns why the run ended early, or None."""
    names, rates, device = learner.names, learning_rates(learner.optimizers), state.device
    weights = dict(learner.network.named_parameters())
    look_every = runtime.steps_between_looks(device)
    before, began = state.seconds[-1] if state.seconds else 0.0, time.perf_counter()
    batch: Any = None
    step = len(state.seconds)  # how many were taken

    def compute(*tensors: Tensor) -> tuple[Tensor, Tensor | None]:
        terms, shown = learner.step(batches.assemble(batch, tensors), step)
        return torch.cat((group.mean(terms.detach()), guard.gradient())), shown

    compute_fast = CapturedStep(
        compute, device, enabled=learner.capturable and group.size == 1, clean_up=guard.forget_step
    )
    for batch in data:
        state.factors.append(schedule(step, num_steps))
        set_learning_rates(learner.optimizers, rates, state.factors[-1])
        row, shown = compute_fast(*batches.tensors(batch))
        if ema is not None and state.average is not None:
            get_ema_multi_avg_fn(ema)([*state.average.values()], [*weights.values()], step)
        guard.unread.append(row.clone())
        state.seconds.append(before + time.perf_counter() - began)
        step += 1
        saves = state.file is not None and (step % save_every == 0 or step == num_steps)
        if state.watch is not None and (sentence := state.watch.look(step, num_steps)) and group.rank == 0:
            warnings.warn(sentence, RuntimeWarning, stacklevel=2)
        if (saves or step % look_every == 0 or step == num_steps) and (stopped := guard.look(names)):
            return stopped
        if saves:
            state.save(group)
        if callback is not None and group.rank == 0:
            losses = runtime.Losses(names, guard.unread[-1][:-1] if guard.unread else torch.tensor(state.rows[-1]))
            try:
                callback(runtime.Progress(step, num_steps, losses, state.seconds[-1], _first(shown)))
            except BaseException:  # an error of the caller's, or Ctrl-C
                here = state.file is not None and not (saves or state.replaces) and group.size == 1
                if here and guard.look(names) is None:
                    state.save(group)
                raise
    stopped = guard.look(names)  # an iterable may end between two looks
    group.broadcast_weights(learner.network)
    if stopped is None and len(state.rows) < num_steps:
        stopped = f"the data ended after {len(state.rows)} of {num_steps} steps"
    return stopped


def seconds_a_step(seconds: Sequence[float]) -> float:
    """The mean over the second half of a run, from ``history["seconds"]``: without the warm-up, and over several looks
    at the numbers, which is where an accelerator waits.

    >>> seconds_a_step([5.0, 6.0, 7.0, 8.0])
    1.0
    """
    half = len(seconds) // 2
    return (seconds[-1] - seconds[half - 1]) / (len(seconds) - half)


def _first(pictures: Tensor | None) -> Callable[[], Tensor]:
    """`runtime.Progress.image`: the first of the pictures, or a LookupError."""

    def image() -> Tensor:
        if pictures is None:
            raise LookupError("this run has no picture to show: its learner returned none")
        return pictures.detach()[:1].float().clamp(0, 1).cpu()

    return image
