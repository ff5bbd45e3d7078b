"""Our engine compared with a plain loop: same network, pictures, objective and number of evaluations, in one run.

    python benchmarks/engine.py                    # 256 px, 200 evaluations
    python benchmarks/engine.py --size 512 --record

The plain loop is what tutorials use: a float32 `nn.Sequential`, autograd, and `torch.optim.LBFGS` with its defaults.
The participants take turns, one block of evaluations each, so that a slowdown of the machine affects all of them. Every
picture is scored by the same objective in float64. `--record` stores the result for chapter 5.

On a GPU, "float32" depends on settings: by default PyTorch uses TF32 for convolutions and float32 for matrix products.
"plain" uses these defaults; the plain loop also runs with TF32 off and with TF32 everywhere, and ours also runs without
its CUDA graph.
"""

from __future__ import annotations

import argparse
import gc
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib import VGGFeatures, runtime, sample_image
from course_lib.images import resize
from course_lib.losses.perceptual import PerceptualLoss
from course_lib.methods import gatys
from course_lib.optimize.image import stepper
from course_lib.pretrained.vgg import CONTENT_LAYER, STYLE_LAYERS, cached_network
from course_lib.teaching import records

BLOCK = 20  # evaluations in one turn: torch's max_iter
SNAPSHOT = {"cpu": 2, "cuda": 10}  # evaluations between two pictures that can be scored
CONTENT, STYLE = "eilean_donan", "great_wave"


class Plain:
    """The tutorials' loop. One `optimizer.step(closure)` is 20 evaluations."""

    def __init__(self, content: Tensor, style: Tensor, start: Tensor, config: gatys.Config) -> None:
        self.x, self.config = start.clone().requires_grad_(True), config
        features = VGGFeatures(layers=(*STYLE_LAYERS, CONTENT_LAYER)).to(start.device)
        self.mean, self.std = features.mean, features.std
        layers: list[nn.Module] = []
        for name in features.names:
            if name.startswith("conv"):
                conv = features.convs[name]
                layers.append(conv.to(memory_format=torch.contiguous_format))
            else:
                layers.append(nn.ReLU() if name.startswith("relu") else nn.AvgPool2d(2))
        self.network, self.names = nn.Sequential(*layers), features.names
        with torch.no_grad():
            self.content = self.features(content)[CONTENT_LAYER]
            self.grams = {layer: self.gram(f) for layer, f in self.features(style).items() if layer in STYLE_LAYERS}
        self.optimizer = torch.optim.LBFGS([self.x])
        self.watch: Callable[[Tensor], None] = lambda x: None

    def features(self, x: Tensor) -> dict[str, Tensor]:
        x, features = (x - self.mean) / self.std, {}
        for name, layer in zip(self.names, self.network, strict=True):
            x = features[name] = layer(x)
        return features

    @staticmethod
    def gram(features: Tensor) -> Tensor:
        _, channels, height, width = features.shape
        f = features.view(channels, height * width)
        return f @ f.t() / (height * width)

    def closure(self) -> Tensor:
        self.watch(self.x)
        self.optimizer.zero_grad()
        features = self.features(self.x)
        loss = self.config.content_weight * F.mse_loss(features[CONTENT_LAYER], self.content) / 2
        for layer in STYLE_LAYERS:
            loss = loss + self.config.style_weight / 5 * F.mse_loss(self.gram(features[layer]), self.grams[layer]) / 4
        loss.backward()
        return loss

    def run(self) -> None:
        self.optimizer.step(self.closure)


class Ours:
    """`gatys.stylize` in blocks."""

    def __init__(self, content: Tensor, style: Tensor, start: Tensor, config: gatys.Config) -> None:
        self.objective, self.x = gatys.objective(content, style, config), start.clone()
        self.step = stepper(gatys.optimizer(self.x, config), self.objective.with_gradient, torch.zeros_like(self.x))
        self.watch: Callable[[Tensor], None] = lambda x: None

    def run(self) -> None:
        for _ in range(BLOCK):
            self.watch(self.x)
            row = self.step()
        row.tolist()  # waits for the device


class OursWithoutGraph(Ours):
    """The same without a CUDA graph: the host launches every operation."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.step.enabled = False


@contextmanager
def settings_of(name: str) -> Iterator[None]:
    """Set PyTorch's TF32 switches for a participant, by its name, and restore them afterwards."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    kept = matmul.allow_tf32, cudnn.allow_tf32
    try:
        if "TF32 off" in name:
            matmul.allow_tf32 = cudnn.allow_tf32 = False
        if "TF32 everywhere" in name:
            matmul.allow_tf32 = cudnn.allow_tf32 = True
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = kept


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(function: Callable[[], object], device: torch.device, repeats: int = 5) -> float:
    """The median duration of a call, without the first one."""
    times = []
    for _ in range(repeats + 1):
        wait(device)
        began = time.perf_counter()
        function()
        wait(device)
        times.append(time.perf_counter() - began)
    return median(times[1:])


def machine(height: int, width: int, precision: torch.dtype, device: torch.device) -> dict[str, float]:
    """The speed of the machine: a matrix product in operations per second, and the seconds of the bare convolutions."""
    side = 8192 if device.type == "cuda" else 2048  # a GPU needs a large one to be busy
    a, b = (torch.rand(side, side, device=device).to(precision) for _ in range(2))
    rate = 2 * side**3 / seconds_of(lambda: a @ b, device)
    network = VGGFeatures(layers=(*STYLE_LAYERS, CONTENT_LAYER), precision=precision).to(device)
    alone, operations = 0.0, 0
    with torch.no_grad():
        for name in network.names:
            if name.startswith("pool"):
                height, width = height // 2, width // 2
            if not name.startswith("conv"):
                continue
            conv = network.convs[name]
            shape = (1, conv.in_channels, height, width)
            x = torch.rand(shape, device=device).to(precision, memory_format=torch.channels_last)
            y = conv(x)
            alone += seconds_of(lambda conv=conv, x=x: conv(x), device)
            alone += seconds_of(lambda conv=conv, y=y: F.conv_transpose2d(y, conv.weight, padding=1), device)
            operations += 2 * 2 * conv.weight.numel() * height * width  # forward and back, multiply and add
    return {"matrix rate": rate, "convolutions": alone, "operations": operations}


def exact_loss(content: Tensor, style: Tensor, network: VGGFeatures) -> PerceptualLoss:
    """Eq. 7 in float64, with its targets set."""
    config = gatys.Config()
    loss = PerceptualLoss(
        network,
        content={CONTENT_LAYER: config.content_weight},
        style=dict.fromkeys(STYLE_LAYERS, config.style_weight / len(STYLE_LAYERS)),
    )
    loss.set_content(content.double())
    loss.set_style([resize(style, max(content.shape[-2:])).double()])
    return loss


def score(image: Tensor, loss: PerceptualLoss) -> float:
    """The loss of one picture in float64."""
    with torch.no_grad():
        return float(loss(image.double()).sum())


def peak_memory(which: str, size: int, device: str) -> float:
    """GB that 40 evaluations add to the memory of a process of their own, which has run a small picture before."""
    command = [sys.executable, __file__, "--memory-of", which, "--size", str(size), "--device", device]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def configs(seed: int, device: str) -> dict[str, tuple[type, gatys.Config]]:
    same = {"seed": seed, "device": device}
    participants = {
        "plain": (Plain, gatys.Config(**same)),
        "float32": (Ours, gatys.Config(**same, precision="float32")),
        "Config()": (Ours, gatys.Config(**same)),
        "Config.fast()": (Ours, replace(gatys.Config.fast(), **same)),
    }
    if runtime.pick_device(device).type == "cuda":
        participants |= {
            "plain, TF32 off": participants["plain"],
            "plain, TF32 everywhere": participants["plain"],
            "Config(), no graph": (OursWithoutGraph, participants["Config()"][1]),
        }
    return participants


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
            wait(x.device)
            self.began = time.perf_counter()
        if self.evaluations % self.every == 0:
            self.pictures.append(x.detach().clone())
        self.evaluations += 1

    def turn(self) -> None:
        self.first = self.evaluations
        with settings_of(self.name):
            self.runner.run()
        wait(self.runner.x.device)
        self.turns.append((time.perf_counter() - self.began) / (self.evaluations - self.first - 1))

    @property
    def seconds(self) -> float:
        """Median duration of one evaluation."""
        return median(self.turns)


def pictures(options: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Photograph and painting; the photograph's long side is `size`, with `square` both sides."""
    square = getattr(options, "square", False)
    return sample_image(CONTENT, (options.size, options.size) if square else options.size), sample_image(
        STYLE, options.size
    )


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


def memory_needed(which: str, options: argparse.Namespace) -> float:
    """Peak GB of a participant: as counted by the CUDA device, otherwise measured in a process of its own."""
    device = runtime.pick_device(options.device)
    if device.type == "cuda" or getattr(options, "in_process", False):
        return memory_of(which, options)
    return peak_memory(which, options.size, options.device)


def memory_of(which: str, options: argparse.Namespace) -> float:
    """Peak GB of two turns, beyond what the process holds after a small picture."""
    kind, config = configs(options.seed, options.device)[which]
    device = runtime.pick_device(options.device)
    for size in (min(64, options.size), options.size):
        content, style = pictures(argparse.Namespace(**{**vars(options), "size": size}))
        gc.collect()  # an entry and its runner form a reference cycle
        if size == options.size:
            before = psutil.Process().memory_info().rss
            if device.type == "cuda":
                before = torch.cuda.memory_allocated()
                torch.cuda.reset_peak_memory_stats()
        entry = Entry(which, kind, content, style, config)
        entry.runner.watch = lambda x: None
        for _ in range(2):
            entry.runner.run()
    if device.type == "cuda":
        return (torch.cuda.max_memory_allocated() - before) / 1e9
    status = Path("/proc/self/status")
    if not status.exists():  # on other systems a child's peak cannot be separated from its parent's
        return float("nan")
    peak = re.search(r"VmHWM:\s+(\d+)", status.read_text())
    return (int(peak[1]) * 1024 - before) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="long side in pixels (default: 256)")
    parser.add_argument("--steps", type=int, default=200, help="evaluations per participant (default: 200)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", action="store_true", help="store the result for chapter 5")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        print(memory_of(options.memory_of, options))
        return
    if not options.record:
        measure(options)
        return
    command = f"python benchmarks/engine.py --size {options.size} --steps {options.steps} --record"
    settings = {"size": options.size, "steps": options.steps, "content": CONTENT, "style": STYLE}
    name = f"05_engine_{options.size}"
    with records.run(name, profile="laptop", seed=options.seed, config=settings, command=command) as run:
        run.values.update(measure(options))


if __name__ == "__main__":
    main()
