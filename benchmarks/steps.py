"""Training steps in turns: a plain step, and ours in each precision as `course_lib` takes it in a real training run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from statistics import median

import torch

from benchmarks import measure
from benchmarks.results import Row
from course_lib import runtime

Training = Callable[[int, runtime.Callback], object]  # trains so many steps and calls back after each


def precisions(device: torch.device) -> list[str]:
    """float32, and bfloat16 where the device has units for it."""
    return ["float32", *["bfloat16"] * runtime.has_fast_bfloat16(device)]


def in_turns(
    plain: Callable[[], object], ours: Mapping[str, Training], device: torch.device, *, steps: int, rounds: int
) -> dict[str, float]:
    """The median seconds of a plain step (``"plain"``) and of one of each training.

    A training is started anew in each round. Its first step, and on CUDA its first five, are not counted. On CUDA the
    host waits for the device only now and then, so a stretch of steps is timed there.
    """
    skipped = 1 if device.type == "cpu" else measure.GRAPH_WARM_UP
    times: dict[str, list[float]] = {"plain": [], **{name: [] for name in ours}}
    plain()
    for _ in range(rounds):
        stretch = 1 if device.type == "cpu" else steps
        for _ in range(steps // stretch):
            began = measure.clock(device)
            for _ in range(stretch):
                plain()
            times["plain"].append((measure.clock(device) - began) / stretch)
        for name, train in ours.items():
            stamps: list[float] = []

            def stamp(progress: runtime.Progress, stamps: list[float] = stamps) -> None:
                if device.type == "cpu" or progress.step in (skipped, skipped + steps):
                    stamps.append(measure.clock(device))

            train(skipped + steps, stamp)
            times[name] += [(b - a) / stretch for a, b in pairwise(stamps)]
    return {name: median(seconds) for name, seconds in times.items()}


def rows(
    benchmark: str, what: str, seconds: Mapping[str, float], operations: int, machines: Mapping[str, measure.Machine]
) -> list[Row]:
    """One row for each precision: `seconds` holds ``"plain"`` and the precisions."""
    return [
        Row(benchmark, f"{what}, {name}", seconds["plain"], seconds[name], machine.share(seconds[name], operations))
        for name, machine in machines.items()
    ]


def machines(device: torch.device) -> dict[str, measure.Machine]:
    """What the device does at best, in each precision."""
    return {name: measure.Machine.measured(getattr(torch, name), device) for name in precisions(device)}


def threads(device: torch.device) -> str:
    """``", 1 thread"`` for the name of a row on a CPU; ``""`` elsewhere."""
    count = torch.get_num_threads()
    return "" if device.type != "cpu" else f", {count} thread{'s' * (count > 1)}"
