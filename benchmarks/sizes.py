"""Time and memory of an evaluation, by size, precision, optimizer and number of threads.

    python -m benchmarks.sizes                     # 128 to 1024 px; about ten minutes on two cores
    python -m benchmarks.sizes --record            # stores the result for chapter 5

For each size the participants take turns, one evaluation each. Peak memory is measured in a process of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from benchmarks.measure import in_turns
from benchmarks.participants import CONTENT, STYLE, Plain
from benchmarks.peak_memory import memory_needed
from course_lib import runtime, sample_image
from course_lib.methods import gatys
from course_lib.optimize.image import stepper
from course_lib.teaching import records

SIZES = (128, 192, 256, 384, 512, 768, 1024)


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
        measured = in_turns({name: evaluations(name, size, config) for name, config in kinds.items()}, device, rounds=5)
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
            step = evaluations("ours", threaded, usual)
            values["threads"][str(count)] = in_turns({"ours": step}, device, rounds=5)["ours"]
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
    command = "python -m benchmarks.sizes --record"
    with records.run("05_sizes", profile="laptop", seed=0, config=settings, command=command) as run:
        run.values.update(measure(options))


if __name__ == "__main__":
    main()
