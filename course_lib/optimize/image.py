"""Optimizing a picture: the loop around an objective and an optimizer, and what it does when a number breaks.

The host reads the numbers of a step only now and then: after every step on a CPU, where reading costs nothing, and
after every tenth on an accelerator, where it would stop the queue. A number that is not finite is therefore found late.
The picture returned is still the last one whose numbers were finite, because a copy of it stays on the device. On CUDA
the whole step, evaluation and move, is captured as a graph and replayed (`course_lib.cuda_graphs`).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from course_lib import runtime
from course_lib.cuda_graphs import CapturedStep, can_capture
from course_lib.optimize.lbfgs import LBFGS
from course_lib.optimize.objective import Part

STALL_STEPS, STALL_CHANGE = 50, 1e-4


class Adam(torch.optim.Adam):
    """torch's Adam with the interface of our L-BFGS: one unknown `x`, ``step(gradient)``, a projection after a step."""

    def __init__(self, x: Tensor, *, learning_rate: float, project: Callable[[Tensor], object] | None = None) -> None:
        graphs = can_capture(x.device)
        super().__init__([x], lr=learning_rate, capturable=graphs, fused=graphs)
        self.x, self.project = x, project

    def step(self, gradient: Tensor) -> None:  # type: ignore[override]
        """Move `x` once, given the gradient at `x`."""
        self.x.grad = gradient
        super().step()
        if self.project is not None:
            self.project(self.x)


@dataclass(frozen=True)
class OptimizedImage:
    """What `optimize_image` returns; see `course_lib.methods.gatys.Result`."""

    image: Tensor  # (1, 3, H, W) in [0, 1], float32, on the CPU
    history: dict[str, list[float]]  # "total", each term and "seconds": one number a step
    stopped: str | None  # why the run ended early, or None


def optimize_image(
    optimizer: LBFGS | Adam,
    objective: Part,
    *,
    num_steps: int,
    callback: runtime.Callback | None = None,
    remedy: str = "",
) -> OptimizedImage:
    """Take `num_steps` steps; one step is one evaluation of the loss and its gradient, then one move.

    Args:
        optimizer: holds the picture, ``optimizer.x``, (1, 3, H, W) float32, and changes it in place.
        objective: its K named terms and their gradient; see `course_lib.optimize.objective`. On CUDA its
            ``with_gradient`` must not wait for the device and must do the same on the host at every step.
        callback: called after each step with a `runtime.Progress`.
        remedy: what to try when a number stops being finite, for the warning.

    Returns:
        An `OptimizedImage`. Step k's losses are those before the k-th move; the picture that the callback gets is the
        one after it. The image is the one after the last step, or the last one whose numbers were finite.
    """
    x, names, every = optimizer.x, objective.names, runtime.steps_between_looks(optimizer.x.device)
    rows = torch.zeros(num_steps, len(names) + 1, device=x.device)  # the terms, then 0 for a finite gradient, else NaN
    seconds: list[float] = []
    stopped, good, began = None, x.clone(), time.perf_counter()
    advance = stepper(optimizer, objective.with_gradient, good)
    for step in range(1, num_steps + 1):
        rows[step - 1].copy_(advance())
        if step % every == 0 or step == num_steps:  # here, and only here, the host waits for the device
            broken = _first_broken(rows[:step], names)
            seconds += _shared_out(time.perf_counter() - began, seconds, step)
            if broken is not None:
                name, bad_step = broken
                stopped = f"{name} was not finite at step {bad_step}; this is the last finite picture"
                warnings.warn(f"{stopped}; {remedy}" if remedy else stopped, RuntimeWarning, stacklevel=3)
                x, rows, seconds = good, rows[: bad_step - 1], seconds[: bad_step - 1]
                break
        if callback is not None:
            reading = runtime.Losses(names, rows[step - 1, :-1])
            passed = time.perf_counter() - began
            callback(runtime.Progress(step, num_steps, reading, passed, partial(_picture, x, good)))
    else:
        if not torch.isfinite(x).all():
            x, stopped = good, "the last step left the finite numbers; this is the picture before it"
    return OptimizedImage(_picture(x, good), _history(names, rows, seconds), stopped)


def stepper(optimizer: LBFGS | Adam, evaluate: Callable[[Tensor], tuple[Tensor, Tensor]], good: Tensor) -> CapturedStep:
    """A function that takes one step at each call: it evaluates the picture, then moves it.

    Args:
        optimizer: as in `optimize_image`.
        evaluate: an objective's ``with_gradient``.
        good: shaped like the picture; receives the last picture whose terms and gradient were finite.

    Returns:
        The function. It returns (K + 1,): the terms, then 0 where the gradient is finite and NaN where it is not.
    """
    x = optimizer.x

    def advance() -> Tensor:
        terms, gradient = evaluate(x)
        row = torch.cat((terms, (gradient * 0).sum().view(1)))
        good.copy_(torch.where(row.isfinite().all(), x, good))
        optimizer.step(gradient)
        return row

    return CapturedStep(advance, x.device)


def is_stalled(history: dict[str, list[float]]) -> bool:
    """Whether the last 50 steps changed the loss by less than a ten-thousandth of it."""
    total = history.get("total", [])
    if len(total) <= 2 * STALL_STEPS or total[-1] <= 0:
        return False
    return (min(total[:-STALL_STEPS]) - min(total)) / min(total) <= STALL_CHANGE


def _shared_out(now: float, before: list[float], step: int) -> list[float]:
    """The clock at each step since the last look, assuming that all took the same time."""
    last, count = (before[-1] if before else 0.0), step - len(before)
    return [last + (now - last) * (k + 1) / count for k in range(count)]


def _first_broken(rows: Tensor, names: Sequence[str]) -> tuple[str, int] | None:
    """The first step with a number that is not finite, and the name of that number."""
    bad = ~rows.isfinite()
    if not bool(bad.any()):
        return None
    step = int(bad.any(1).int().argmax())
    return (*names, "gradient")[int(bad[step].int().argmax())], step + 1


def _history(names: Sequence[str], rows: Tensor, seconds: list[float]) -> dict[str, list[float]]:
    if not seconds:
        return {}
    terms = dict(zip(names, rows.T.tolist(), strict=False))
    totals = [sum(values) for values in zip(*terms.values(), strict=True)]
    return {"total": totals, **terms, "seconds": seconds}


def _picture(x: Tensor, good: Tensor) -> Tensor:
    """A copy for the outside world: in [0, 1], on the CPU; `good` where `x` has left the finite numbers."""
    image = x if bool(torch.isfinite(x).all()) else good
    return image.detach().clamp(0, 1).float().cpu().clone()
