"""Training step and forward pass of the fast style network, compared with a plain implementation, in one run.

    python -m benchmarks.fast_style                       # the paper's network and batch: 4 at 256 px
    python -m benchmarks.fast_style --save                # and adds the rows to the table
    python -m benchmarks.fast_style --width 0.5 --record

The two take turns. The plain step is what tutorials use: everything in float32 and PyTorch's default layout, a VGG-16
differentiated by autograd and computed completely for the content target too, and Adam with its defaults. Our step is
one of a real training run, with all that the run does to notice numbers that are not finite.

The plain pass is the same network, of PyTorch's own layers, called in float32. Both passes get the picture on the CPU
and deliver it there, because that is where pictures come from and where they are saved. On CUDA there are two more
lines: "frames" repeats the pass inside one `runtime.inference`, as for a video, where ours replays a CUDA graph;
"on the device" leaves the plain result there, though ours still copies it home. `--record` stores the result for
chapter 6.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import measure, results, steps
from benchmarks.plain_networks import plain
from course_lib import VGGFeatures, losses, resize, runtime, sample_image
from course_lib.data.crops import Crops
from course_lib.methods import johnson
from course_lib.teaching import records
from course_lib.training.loop import seconds_a_step

STYLE = "great_wave"


class Plain:
    """A training step as in tutorials."""

    def __init__(self, config: johnson.Config, device: torch.device) -> None:
        self.config = config
        self.network = plain(johnson.build(config)).to(device)
        names = tuple(dict.fromkeys((*config.content_layers, *config.style_layers)))
        vgg = VGGFeatures(config.arch, names, pooling="max", weights=config.weights).to(device)
        self.vgg = vgg.to(memory_format=torch.contiguous_format)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)
        style = resize(sample_image(STYLE), config.style_size).to(device)
        with torch.no_grad():
            features = self.features(style)
            self.grams = {layer: self.gram(features[layer]) for layer in config.style_layers}

    def features(self, image: Tensor) -> dict[str, Tensor]:
        """`VGGFeatures.forward` in PyTorch's default memory layout, as torchvision's networks run."""
        x, features = (image - self.vgg.mean) / self.vgg.std, {}
        for name in self.vgg.names:
            if name.startswith("conv"):
                x = self.vgg.convs[name](x)
            else:
                x = torch.relu(x) if name.startswith("relu") else nn.functional.max_pool2d(x, 2)
            if name in self.vgg.layers:
                features[name] = x
        return features

    @staticmethod
    def gram(features: Tensor) -> Tensor:
        count, channels, height, width = features.shape
        f = features.reshape(count, channels, height * width)
        return f @ f.transpose(1, 2) / (channels * height * width)

    def step(self, batch: Tensor) -> float:
        self.optimizer.zero_grad()
        painted = self.network(batch)
        now, then = self.features(painted), self.features(batch)
        loss = self.config.tv_weight * losses.total_variation_loss(painted)
        for layer in self.config.content_layers:
            loss = loss + self.config.content_weight * nn.functional.mse_loss(now[layer], then[layer])
        for layer in self.config.style_layers:
            difference = self.gram(now[layer]) - self.grams[layer]
            loss = loss + self.config.style_weight * difference.square().sum((1, 2)).mean()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def forward(self, photo: Tensor) -> Tensor:
        with torch.no_grad():
            painted: Tensor = self.network.eval()(photo)
        return painted


class Ours:
    """`johnson.train`, one step at a time, and `johnson.stylize`."""

    def __init__(self, config: johnson.Config, device: torch.device) -> None:
        self.config, self.device = config, device
        self.model = johnson.Model(johnson.build(config), config, {})
        self.seconds: list[float] = []

    def steps(self, dataset: Crops, count: int) -> list[float]:
        """Train `count` steps; return their total losses, and append their durations to `seconds`."""
        model = johnson.train(sample_image(STYLE), dataset, replace(self.config, num_steps=count))
        after = model.facts["history"]["seconds"]
        if self.device.type == "cpu":
            self.seconds += [b - a for a, b in pairwise(after)]
        else:  # the host does not wait for each step, so only a longer stretch can be timed
            self.seconds.append(seconds_a_step(after))
        totals: list[float] = model.facts["history"]["total"]
        return totals

    def forward(self, photo: Tensor) -> Tensor:
        return johnson.stylize(photo, self.model, device=self.device.type).image


def seconds_of(function: Callable[[], object], device: torch.device) -> float:
    began = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def race(options: argparse.Namespace) -> dict[str, Any]:
    device = runtime.pick_device(options.device)
    config = replace(
        johnson.Config.released(), width=options.width, image_size=options.size, batch_size=options.batch,
        device=options.device, upsampling="resize", weights=options.weights,
    )  # fmt: skip
    crops = Crops(None, size=options.size, seed=options.seed).near(device)
    tutorial, ours = Plain(config, device), Ours(config, device)
    batch = torch.stack([crops[k] for k in range(options.batch)]).to(device)
    photo = sample_image("eilean_donan", (options.forward, options.forward)).to(device)
    times: dict[str, list[float]] = {"plain step": [], "plain pass": [], "our pass": []}
    for _ in range(options.rounds):
        for _ in range(options.steps):
            times["plain step"].append(seconds_of(lambda: tutorial.step(batch), device))
        ours.steps(crops, options.steps + (device.type == "cpu"))  # on a CPU the first step only starts the clock
        for name, way in (("plain pass", tutorial), ("our pass", ours)):
            way.forward(photo)
            times[name] += [seconds_of(lambda way=way: way.forward(photo), device) for _ in range(3)]
    medians = {name: median(values) for name, values in times.items()} | {"our step": median(ours.seconds)}
    medians["step ratio"] = medians["plain step"] / medians["our step"]
    medians["pass ratio"] = medians["plain pass"] / medians["our pass"]
    return medians


def compare(options: argparse.Namespace) -> list[results.Row]:
    """A row for the training step and for passes at two sizes, in each precision."""
    device = runtime.pick_device(options.device)
    config = replace(
        johnson.Config.released(), width=options.width, image_size=options.size, batch_size=options.batch,
        device=options.device, upsampling="resize", weights=options.weights,
    )  # fmt: skip
    crops = Crops(None, size=options.size, seed=options.seed).near(device)
    batch = torch.stack([crops[k] for k in range(options.batch)]).to(device)
    tutorial, style, best = Plain(config, device), sample_image(STYLE), steps.machines(device)

    def training(precision: str) -> steps.Training:
        def train(count: int, callback: runtime.Callback) -> object:
            settings = replace(config, num_steps=count, precision=precision)
            return johnson.train(style, crops, settings, callback=callback)

        return train

    where = steps.threads(device)
    seconds = steps.in_turns(
        lambda: tutorial.step(batch), {name: training(name) for name in best}, device,
        steps=options.steps, rounds=options.rounds,
    )  # fmt: skip
    what = f"painter, training step, {options.batch} × {options.size} px{where}"
    rows = steps.rows("fast_style", what, seconds, measure.operations(lambda: tutorial.step(batch)), best)
    for size in sorted({256, options.forward}):
        photo = sample_image("eilean_donan", (size, size))
        count = measure.operations(lambda photo=photo: tutorial.forward(photo.to(device)))
        for kind, seconds in passes(photo, tutorial, config, [*best], device).items():
            rows += steps.rows("fast_style", f"painter, {kind}, {size} px{where}", seconds, count, best)
    return rows


def passes(
    photo: Tensor, tutorial: Plain, config: johnson.Config, precisions: list[str], device: torch.device
) -> dict[str, dict[str, float]]:
    """The seconds of a pass from the CPU and back, plain and in each precision; on CUDA also of two other kinds."""
    model = johnson.Model(johnson.build(config), config, {})
    options: dict[str, Any] = {"device": str(device)}

    def pass_of(precision: str) -> Callable[[], object]:
        return lambda: johnson.stylize(photo, model, precision=precision, **options)

    ways: dict[str, Callable[[], object]] = {name: pass_of(name) for name in precisions}
    there_and_back = {"plain": lambda: tutorial.forward(photo.to(device)).cpu(), **ways}
    found = {"forward": measure.in_turns(there_and_back, device)}
    if device.type != "cuda":
        return found
    frames: dict[str, float] = {}
    for name in precisions:
        with runtime.inference(model.network, precision=name, repeats=True, **options) as run:
            pair = {"plain": there_and_back["plain"], name: lambda run=run: run(photo)}
            frames |= measure.in_turns(pair, device)
    there = photo.to(device)
    on_device = {"plain": lambda: tutorial.forward(there), **ways}
    return found | {"frames": frames, "forward, plain left on the device": measure.in_turns(on_device, device)}


def report(medians: dict[str, Any]) -> None:
    for name, value in medians.items():
        print(f"{name}: {value:.4g}{'' if 'ratio' in name else ' s'}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="side of the training pictures")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--width", type=float, default=1.0, help="factor on the paper's channels")
    parser.add_argument("--forward", type=int, default=512, help="side of the picture for the forward pass")
    parser.add_argument("--steps", type=int, default=3, help="steps in one turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true", help="add the rows to the table of all machines")
    parser.add_argument("--record", action="store_true", help="store the result for chapter 6")
    options = parser.parse_args(namespace=argparse.Namespace(weights="default"))
    if not options.record:
        rows = compare(options)
        results.report(rows)
        if options.save:
            results.save(rows, runtime.pick_device(options.device))
        return 0
    settings = {"size": options.size, "batch": options.batch, "width": options.width, "forward": options.forward}
    name, command = "06_training_step", f"python -m benchmarks.fast_style --width {options.width:g} --record"
    with records.run(name, profile="laptop", seed=options.seed, config=settings, command=command) as run:
        run.values |= race(options)
    report(run.values)
    return 0


if __name__ == "__main__":
    sys.exit(main())
