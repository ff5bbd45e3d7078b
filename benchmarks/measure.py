"""Time programs side by side, in turns, and compare them with what the machine can do.

The clock is CPU seconds with one thread, so that other programs on the machine do not count, and seconds on the wall
otherwise. *Roofline* (Williams, Waterman & Patterson 2009): a program that needs `operations` and moves `traffic` bytes
takes at least operations / rate and traffic / bandwidth seconds. Both are measured here, in the same process and on the
same threads: the rate of a large matrix product, and the bandwidth of a large copy.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

ROUNDS, WARM_UP = 9, 2
GRAPH_WARM_UP = 5  # on CUDA a step is captured at its fourth call


def wait(device: torch.device) -> None:
    """Let the host wait until `device` has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def clock(device: torch.device) -> float:
    """CPU seconds of this process with one thread on a CPU, else seconds on the wall; waits for the device."""
    wait(device)
    return time.process_time() if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter()


def peak_memory(device: torch.device) -> float:
    """Peak GB so far: of this process on a CPU, NaN if the system does not report it; of the tensors on CUDA."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 / 1e9 if found else float("nan")


def in_turns(
    ways: Mapping[str, Callable[[], object]], device: torch.device, *, rounds: int = ROUNDS, warm_up: int | None = None
) -> dict[str, float]:
    """The median seconds of each way. Every round calls each of them once; the first rounds do not count.

    Args:
        ways: name → what is timed.
        warm_up: None: 2 rounds, on CUDA 5.
    """
    if warm_up is None:
        warm_up = GRAPH_WARM_UP if device.type == "cuda" else WARM_UP
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(warm_up + rounds):
        for name, way in ways.items():
            began = clock(device)
            way()
            if turn >= warm_up:
                times[name].append(clock(device) - began)
    return {name: median(seconds) for name, seconds in times.items()}


def operations(program: Callable[[], object]) -> int:
    """Multiplications and additions in the convolutions and matrix products of a program, run once and counted.

    Count the plain program, not ours: what Winograd's algorithm saves should not lower the bar.
    """
    with FlopCounterMode(display=False) as counter:
        program()
    return int(counter.get_total_flops())


@dataclass(frozen=True)
class Machine:
    """What a device does at best with the present number of threads."""

    rate: float  # operations a second, in a large matrix product
    bandwidth: float  # bytes a second, read and written, in a large copy

    @classmethod
    def measured(cls, precision: torch.dtype, device: torch.device) -> Machine:
        """Measure it, in a second or two."""
        side, copied = (8192, 2**30) if device.type == "cuda" else (2048, 2**27)  # a GPU needs more to be busy
        a, b = (torch.rand(side, side, device=device).to(precision) for _ in range(2))
        source, target = (torch.rand(copied // 4, device=device) for _ in range(2))
        times = in_turns({"product": lambda: a @ b, "copy": lambda: target.copy_(source)}, device, rounds=5)
        return cls(2 * side**3 / times["product"], 2 * copied / times["copy"])

    def share(self, seconds: float, operations: float, traffic: float = 0.0) -> float:
        """The roofline's time divided by `seconds`: 1 is as fast as the machine can be.

        >>> Machine(rate=100.0, bandwidth=10.0).share(4.0, operations=200, traffic=5)
        0.5
        """
        return max(operations / self.rate, traffic / self.bandwidth) / seconds
