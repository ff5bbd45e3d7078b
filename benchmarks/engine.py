"""Our engine compared with a plain loop: same network, pictures, objective and number of evaluations, in one run.

    python -m benchmarks.engine                    # 256 px, 200 evaluations: 8 minutes
    python -m benchmarks.engine --size 512 --record

The plain loop is what tutorials use: a float32 `nn.Sequential`, autograd, and `torch.optim.LBFGS` with its defaults.
The participants take turns, one block of evaluations each, so that a slowdown of the machine affects all of them. Every
picture is scored by the same objective in float64. `--record` stores the result for chapter 5, `--save` appends the
rows to `results.jsonl`.

On a GPU, "float32" depends on settings: by default PyTorch uses TF32 for convolutions and float32 for matrix products.
"plain" uses these defaults; the plain loop also runs with TF32 off and with TF32 everywhere, and ours also runs without
its CUDA graph.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import results
from benchmarks.measure import Machine, clock, in_turns
from benchmarks.participants import BLOCK, CONTENT, STYLE, configs, pictures, settings_of
from benchmarks.peak_memory import memory_needed
from course_lib import VGGFeatures, runtime
from course_lib.images import resize
from course_lib.losses.balance import layer_weights
from course_lib.losses.perceptual import PerceptualLoss
from course_lib.losses.style import SIZE_INDEPENDENT
from course_lib.methods import gatys
from course_lib.pretrained.vgg import CONTENT_LAYER, STYLE_LAYERS, cached_network
from course_lib.teaching import records

SNAPSHOT = {"cpu": 2, "cuda": 10}  # evaluations between two pictures that can be scored


def machine(height: int, width: int, precision: torch.dtype, device: torch.device) -> dict[str, float]:
    """The speed of the machine: a matrix product in operations per second, and the seconds of the bare convolutions."""
    network = VGGFeatures(layers=(*STYLE_LAYERS, CONTENT_LAYER), precision=precision).to(device)
    alone: dict[str, Callable[[], object]] = {}
    operations = 0
    for name in network.names:
        if name.startswith("pool"):
            height, width = height // 2, width // 2
        if not name.startswith("conv"):
            continue
        conv = network.convs[name]
        shape = (1, conv.in_channels, height, width)
        x = torch.rand(shape, device=device).to(precision, memory_format=torch.channels_last)
        y = conv(x)
        alone[f"{name} forward"] = lambda conv=conv, x=x: conv(x)
        alone[f"{name} back"] = lambda conv=conv, y=y: F.conv_transpose2d(y, conv.weight, padding=1)
        operations += 2 * 2 * conv.weight.numel() * height * width  # forward and back, multiply and add
    with torch.no_grad():
        bare = sum(in_turns({name: way}, device, rounds=5)[name] for name, way in alone.items())
    rate = Machine.measured(precision, device).rate
    return {"matrix rate": rate, "convolutions": bare, "operations": operations}


def exact_loss(content: Tensor, style: Tensor, network: VGGFeatures) -> PerceptualLoss:
    """Eq. 7 in float64, with its targets set."""
    config = gatys.Config()
    shares = layer_weights(config.style_layer_weights, STYLE_LAYERS)
    loss = PerceptualLoss(
        network,
        content={CONTENT_LAYER: config.content_weight},
        style=SIZE_INDEPENDENT.join(config.style_weight, STYLE_LAYERS, shares),
    )
    loss.set_content(content.double())
    loss.set_style([resize(style, max(content.shape[-2:])).double()])
    return loss


def score(image: Tensor, loss: PerceptualLoss) -> float:
    """The loss of one picture in float64."""
    with torch.no_grad():
        return float(loss(image.double()).sum())


class Entry:
    """One participant: its runner, the seconds per evaluation in each turn, and its pictures.

    The first evaluation of a turn is slower, because the previous participant has filled the caches. It counts as an
    evaluation but is not timed.
    """

    def __init__(self, name: str, kind: type, content: Tensor, style: Tensor, config: gatys.Config) -> None:
        start = gatys.first_image(content, style, config)
        device = start.device
        self.name, self.every = name, SNAPSHOT["cpu" if device.type == "cpu" else "cuda"]
        with settings_of(name):
            self.runner = kind(content.to(device), style.to(device), start, config)
        self.runner.watch = self.watch
        self.turns: list[float] = []
        self.pictures: list[Tensor] = []  # every SNAPSHOT evaluations, on the run's device
        self.evaluations = self.first = 0
        self.began = 0.0

    def watch(self, x: Tensor) -> None:
        """Called before each evaluation."""
        if self.evaluations == self.first + 1:
            self.began = clock(x.device)
        if self.evaluations % self.every == 0:
            self.pictures.append(x.detach().clone())
        self.evaluations += 1

    def turn(self) -> None:
        self.first = self.evaluations
        with settings_of(self.name):
            self.runner.run()
        self.turns.append((clock(self.runner.x.device) - self.began) / (self.evaluations - self.first - 1))

    @property
    def seconds(self) -> float:
        """Median duration of one evaluation."""
        return median(self.turns)


def race(start: str, options: argparse.Namespace) -> dict[str, dict[str, float | int | None]]:
    """Run all participants from one start, in turns of `BLOCK` evaluations."""
    content, style = pictures(options)
    entries = {}
    for name, (kind, config) in configs(options.seed, options.device).items():
        entries[name] = Entry(name, kind, content, style, replace(config, start=start))
    for _ in range(options.steps // BLOCK):
        for entry in entries.values():
            entry.turn()
    device = runtime.pick_device(options.device)
    exact = VGGFeatures(layers=(*STYLE_LAYERS, CONTENT_LAYER), precision=torch.float64).to(device)
    loss = exact_loss(content.to(device), style.to(device), exact)

    def scored(picture: Tensor) -> float:
        return score(picture, loss)

    last = entries["plain"].pictures[-1]
    goals = {"loss": scored(last), "saved": scored(last.clamp(0, 1))}  # a picture file holds values in [0, 1] only
    rows: dict[str, dict[str, float | int | None]] = {}
    for name, entry in entries.items():
        rows[name] = {
            "seconds": entry.seconds,
            "loss": scored(entry.pictures[-1]),
            "saved": scored(entry.pictures[-1].clamp(0, 1)),
        }
        for goal, value in goals.items():
            rows[name][f"evaluations to {goal}"] = first_below(entry.pictures, value, scored, entry.every)
    return rows


def first_below(pictures: list[Tensor], goal: float, scored: Callable[[Tensor], float], every: int) -> int | None:
    """The first evaluation whose picture reaches `goal`, by bisection: the losses fall almost monotonically.

    `pictures` were taken before evaluations 1, 1 + every, 1 + 2·every, …
    """
    low, high = 0, len(pictures) - 1
    if scored(pictures[high]) > goal:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if scored(pictures[middle]) <= goal else (middle + 1, high)
    return 1 + every * high


def report(rows: dict[str, dict[str, float | int | None]], start: str) -> None:
    plain = rows["plain"]
    print(f"\nfrom {start}")
    print("                         s/eval  ratio    loss   saved | to the plain loop's loss | to its saved picture's")
    for name, row in rows.items():
        line = f"{name:>22} {row['seconds']:8.4f} {plain['seconds'] / row['seconds']:6.2f}"
        line += f" {row['loss']:7.4f} {row['saved']:7.4f}"
        for goal in ("loss", "saved"):
            steps, seconds = row[f"evaluations to {goal}"], plain["seconds"] * plain["evaluations to loss"]
            if steps is None:
                line += " | not reached      "
            else:
                line += f" | {steps:4d} {steps * row['seconds']:6.1f} {seconds / (steps * row['seconds']):6.2f}"
        print(line, flush=True)


def measure(options: argparse.Namespace, starts: tuple[str, ...] = ("noise", "content")) -> dict[str, Any]:
    """Measure everything and print each result as soon as it is known."""
    device = runtime.pick_device(options.device)
    height, width = pictures(options)[0].shape[-2:]
    precision = runtime.pick_precision("auto", device)
    first_runs = whole_runs(options)  # before anything else has warmed the device up
    able = machine(height, width, precision, device)
    print(f"{height}×{width} px, {device}, {torch.get_num_threads()} threads")
    values: dict[str, Any] = {"picture": f"{height}×{width}", "machine": able, "whole run": first_runs}
    print("a whole run:", ", ".join(f"{name} {seconds:.2f} s" for name, seconds in first_runs.items()))
    for start in starts:
        values[start] = race(start, options)
        report(values[start], start)
    ours = values["noise"]["Config()"]["seconds"]
    values["share of matrix rate"] = able["operations"] / ours / able["matrix rate"]
    values["share of convolutions alone"] = able["convolutions"] / ours
    print(f"\nan evaluation is {able['operations'] / 1e9:.0f} G operations")
    rate = f"{precision} matrix products run at {able['matrix rate'] / 1e12:.2f} T/s"
    print(f"{rate}: we reach {values['share of matrix rate']:.0%} of it")
    print(f"the convolutions alone take {values['share of convolutions alone']:.0%} of our time")
    rehearsed = ["Config()"] if device.type == "cpu" and getattr(options, "in_process", False) else None
    values["memory"] = {which: memory_needed(which, options) for which in rehearsed or configs(0, options.device)}
    print("peak memory, GB:", ", ".join(f"{which} {gb:.2f}" for which, gb in values["memory"].items()))
    return values


def rows_of(values: dict[str, Any], size: int) -> list[results.Row]:
    """What `measure` found, as rows of the table: an evaluation, and a run until it is where the plain loop ends."""
    rows = []
    for start in ("noise", "content"):
        plain = values[start]["plain"]
        for name, found in values[start].items():
            if name.startswith("plain"):
                continue
            share = values["machine"]["operations"] / found["seconds"] / values["machine"]["matrix rate"]
            same = share if name.startswith("Config") else None  # the rate is that of the configured precision
            if start == "noise":
                what = f"Gatys, an evaluation, {size} px, {name}"
                rows.append(results.Row("engine", what, plain["seconds"], found["seconds"], same))
            if (steps := found["evaluations to loss"]) is not None:
                what = f"Gatys, from {start} to the plain loop's loss, {size} px, {name}"
                until = plain["seconds"] * plain["evaluations to loss"]
                rows.append(results.Row("engine", what, until, found["seconds"] * steps))
    return rows


def whole_runs(options: argparse.Namespace) -> dict[str, float]:
    """Seconds of two whole runs of `gatys.stylize`, one after the other, with loading and everything else included."""
    content, style = pictures(options)
    config = gatys.Config(num_steps=options.steps, seed=options.seed, device=options.device)
    seconds = {}
    for name in ("first", "second"):
        cached_network.cache_clear()
        began = time.perf_counter()
        gatys.stylize(content, style, config)
        seconds[name] = time.perf_counter() - began
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="long side in pixels (default: 256)")
    parser.add_argument("--steps", type=int, default=200, help="evaluations per participant (default: 200)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", action="store_true", help="store the result for chapter 5")
    parser.add_argument("--save", action="store_true", help="append the rows to results.jsonl")
    options = parser.parse_args()
    if options.record:
        command = f"python -m benchmarks.engine --size {options.size} --steps {options.steps} --record"
        settings = {"size": options.size, "steps": options.steps, "content": CONTENT, "style": STYLE}
        name = f"05_engine_{options.size}"
        with records.run(name, profile="laptop", seed=options.seed, config=settings, command=command) as run:
            run.values.update(values := measure(options))
    else:
        values = measure(options)
    if options.save:
        results.save(rows_of(values, options.size), runtime.pick_device(options.device))


if __name__ == "__main__":
    main()
