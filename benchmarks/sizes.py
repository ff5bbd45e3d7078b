"""Time and memory of an evaluation, by size, precision, optimizer and number of threads.

    python benchmarks/sizes.py                     # 128 to 1024 px; about ten minutes on two cores
    python benchmarks/sizes.py --record            # stores the result for chapter 5

For each size the participants take turns, one evaluation each. Peak memory is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

import torch

from benchmarks.engine import CONTENT, STYLE, Plain, memory_needed, wait
from course_lib import runtime, sample_image
from course_lib.methods import gatys
from course_lib.optimize.image import stepper
from course_lib.teaching import records

SIZES = (128, 192, 256, 384, 512, 768, 1024)
REPEATS, WARM_UP = 5, 4  # on a GPU, our fourth step captures the CUDA graph


def evaluations(which: str, size: int, config: gatys.Config) -> Callable[[], object]:
    """Prepare a run and return a function that does one step of it."""
    content, style = sample_image(CONTENT, size), sample_image(STYLE, size)
    start = gatys.first_image(content, style, config)
    if which == "plain":
        plain = Plain(content.to(start.device), style.to(start.device), start, config)
        plain.optimizer = torch.optim.LBFGS([plain.x], max_iter=1)
        return plain.run
    objective = gatys.objective(content, style, config)
    return stepper(gatys.optimizer(start, config), objective.with_gradient, torch.zeros_like(start))


def in_turns(steps: dict[str, Callable[[], object]], device: torch.device) -> dict[str, float]:
    """The median seconds of each step. Every round runs each of them once; the first rounds do not count."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(REPEATS + WARM_UP):
        for name, step in steps.items():
            wait(device)
            began = time.perf_counter()
            step()
            wait(device)
            times[name].append(time.perf_counter() - began)
    return {name: median(seconds[WARM_UP:]) for name, seconds in times.items()}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    device = runtime.pick_device(options.device)
    usual = gatys.Config(device=options.device)
    kinds = {
        "plain": usual,
        "float32": replace(usual, precision="float32"),
        "ours": usual,
        "adam": replace(usual, optimizer="adam"),
    }
    values: dict[str, Any] = {"pixels": [], "seconds": {name: [] for name in kinds}, "memory": [], "predicted": []}
    for size in options.sizes:
        measured = in_turns({name: evaluations(name, size, config) for name, config in kinds.items()}, device)
        height, width = sample_image(CONTENT, size).shape[-2:]
        values["pixels"].append(height * width)
        for name, seconds in measured.items():
            values["seconds"][name].append(seconds)
        sized = argparse.Namespace(**{**vars(options), "size": size, "seed": 0})
        values["memory"].append(memory_needed("Config()", sized))
        values["predicted"].append(gatys.memory_needed(height, width, usual) / 1e9)
        print(
            f"{size:5d} px, s: {', '.join(f'{name} {seconds:.3f}' for name, seconds in measured.items())}; "
            f"GB: predicted {values['predicted'][-1]:.2f}, measured {values['memory'][-1]:.2f}",
            flush=True,
        )
    values["sizes"] = list(options.sizes)
    if device.type == "cpu":
        values["threads"], threaded = {}, min(256, max(options.sizes))
        for count in range(1, runtime.use_threads() + 1):
            torch.set_num_threads(count)
            values["threads"][str(count)] = in_turns({"ours": evaluations("ours", threaded, usual)}, device)["ours"]
        print(f"seconds at {threaded} px by threads:", values["threads"])
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="long sides in pixels")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--record", action="store_true", help="store the result for chapter 5")
    options = parser.parse_args()
    if not options.record:
        measure(options)
        return
    settings = {"sizes": list(options.sizes), "content": CONTENT, "style": STYLE}
    command = "python benchmarks/sizes.py --record"
    with records.run("05_sizes", profile="laptop", seed=0, config=settings, command=command) as run:
        run.values.update(measure(options))


if __name__ == "__main__":
    main()
