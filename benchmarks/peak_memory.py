"""The peak memory of one participant of the race: python -m benchmarks.peak_memory "Config()" --size 512 prints GB."""

from __future__ import annotations

import argparse
import gc
import re
import subprocess
import sys
from pathlib import Path

import psutil
import torch

from benchmarks.participants import configs, pictures, settings_of
from course_lib import runtime
from course_lib.methods import gatys

ROOT = Path(__file__).resolve().parents[1]


def memory_needed(which: str, options: argparse.Namespace) -> float:
    """Peak GB of a participant: as counted by the CUDA device, otherwise measured in a process of its own."""
    device = runtime.pick_device(options.device)
    if device.type == "cuda" or getattr(options, "in_process", False):
        return memory_of(which, options)
    return peak_memory(which, options.size, options.device)


def peak_memory(which: str, size: int, device: str) -> float:
    """GB that 40 evaluations add to the memory of a process of their own, which has run a small picture before."""
    command = [sys.executable, "-m", "benchmarks.peak_memory", which, "--size", str(size), "--device", device]
    return float(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()[-1])


def memory_of(which: str, options: argparse.Namespace) -> float:
    """Peak GB of two turns, beyond what the process holds after a small picture."""
    kind, config = configs(options.seed, options.device)[which]
    device = runtime.pick_device(options.device)
    for size in (min(64, options.size), options.size):
        content, style = pictures(argparse.Namespace(**{**vars(options), "size": size}))
        gc.collect()
        if size == options.size:
            before = psutil.Process().memory_info().rss
            if device.type == "cuda":
                before = torch.cuda.memory_allocated()
                torch.cuda.reset_peak_memory_stats()
        start = gatys.first_image(content, style, config)
        with settings_of(which):
            runner = kind(content.to(device), style.to(device), start, config)
            for _ in range(2):
                runner.run()
    if device.type == "cuda":
        return (torch.cuda.max_memory_allocated() - before) / 1e9
    status = Path("/proc/self/status")
    if not status.exists():  # on other systems a child's peak cannot be separated from its parent's
        return float("nan")
    peak = re.search(r"VmHWM:\s+(\d+)", status.read_text())
    return (int(peak[1]) * 1024 - before) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", help="plain, float32, Config() or Config.fast()")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(memory_of(options.which, options))


if __name__ == "__main__":
    main()
