"""A training step of StyleGAN2, compared with a plain implementation, and what its penalties cost.

    python -m benchmarks.stylegan                            # small networks at 32 and 64 px
    python -m benchmarks.stylegan --save                     # and adds the rows to the table
    python -m benchmarks.stylegan --record                   # stores the result for chapter 17
    python -m benchmarks.stylegan --peak 64 --which plain    # peak memory of two training steps, in GB

The plain step is what tutorials use: filters of its own for every picture of a batch, in a grouped convolution; float32
and PyTorch's default layout; the average of the weights in a Python loop; and every loss read at every step. Ours is a
step of a real training run. Since penalties are computed only at some steps, a number is the mean over sixteen steps in
a row; the ways take turns.
"""

from __future__ import annotations

import argparse
import copy
import subprocess
import sys
from dataclasses import replace
from statistics import median
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import measure, results, steps
from course_lib import runtime
from course_lib.methods import stylegan
from course_lib.networks.equalized import blurred
from course_lib.networks.modulated import EPS
from course_lib.teaching import records
from scripts.stylegan_model import CONFIG

STRETCH = 16  # steps: one R1 penalty and four of path length
CLAIM = "stylegan.lazy"
PENALTIES: dict[str, dict[str, Any]] = {
    "none": {"penalty": 0.0, "path_weight": 0.0},
    "lazy": {},
    "every step": {"penalty_every": 1, "path_every": 1},
}


def per_picture(x: Tensor, weight: Tensor, style: Tensor, *, demodulate: bool = True, up: bool = False) -> Tensor:
    """`modulated_conv` as in tutorials: (N·out) filters, one group for each picture."""
    count, channels, height, width = x.shape
    filters = weight[None] * style[:, None, :, None, None]  # (N, out, C, k, k)
    if demodulate:
        filters = filters * (filters.square().sum((2, 3, 4), keepdim=True) + EPS).rsqrt()
    x = x.reshape(1, count * channels, height, width)
    if up:
        flipped = filters.transpose(1, 2).flip(3, 4).reshape(count * channels, -1, *weight.shape[2:])
        y = F.conv_transpose2d(x, flipped, stride=2, groups=count)
        return 4 * blurred(y.view(count, -1, *y.shape[2:]), 1, 1)
    y = F.conv2d(x, filters.flatten(0, 1), padding=weight.shape[-1] // 2, groups=count)
    return y.view(count, -1, *y.shape[2:])


class Plain:
    """A training step as in tutorials, with lazy penalties and an average of the generator."""

    def __init__(self, config: stylegan.Config, device: torch.device) -> None:
        self.config = config
        self.G, self.D = stylegan.build(config).to(device), stylegan.build_discriminator(config).to(device)
        self.average = copy.deepcopy(self.G)
        self.adam_G = torch.optim.Adam(self.G.parameters(), config.learning_rate, (config.beta1, config.beta2))
        self.adam_D = torch.optim.Adam(self.D.parameters(), config.learning_rate, (config.beta1, config.beta2))
        self.mean_length = torch.zeros((), device=device)

    def step(self, real: Tensor, k: int) -> dict[str, float]:
        """One step on a batch (N, 3, S, S), number k; returns the losses by name."""
        with patch("course_lib.networks.modulated.modulated_conv", per_picture):
            losses = {**self.step_D(real, k), **self.step_G(len(real), k)}
        for kept, new in zip(self.average.parameters(), self.G.parameters(), strict=True):
            kept.data.lerp_(new.data, 1 - 0.5 ** (self.config.batch_size / self.config.average_over))
        return {name: loss.item() for name, loss in losses.items()}

    def fakes(self, count: int) -> Tensor:
        painted: Tensor = self.G(self.G.random_styles(count, self.config.mixing), self.G.random_noise(count))
        return painted

    def step_D(self, real: Tensor, k: int) -> dict[str, Tensor]:
        c, losses = self.config, dict[str, Tensor]()
        losses["D"] = F.softplus(-self.D(real)).mean() + F.softplus(self.D(self.fakes(len(real)).detach())).mean()
        self.adam_D.zero_grad()
        losses["D"].backward()
        self.adam_D.step()
        if c.penalty and k % c.penalty_every == 0:
            x = real.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.D(x).sum(), x, create_graph=True)
            losses["R1"] = c.penalty / 8 * slope.square().flatten(1).sum(1).mean()
            self.adam_D.zero_grad()
            (c.penalty_every * losses["R1"]).backward()
            self.adam_D.step()
        return losses

    def step_G(self, count: int, k: int) -> dict[str, Tensor]:
        c, losses = self.config, dict[str, Tensor]()
        losses["G"] = F.softplus(-self.D(self.fakes(count))).mean()
        self.adam_G.zero_grad()
        losses["G"].backward()
        self.adam_G.step()
        if c.path_weight and k % c.path_every == 0:
            half = max(1, count // 2)
            styles = self.G.random_styles(half, c.mixing)
            images = 2 * self.G(styles, self.G.random_noise(half))
            y = torch.randn_like(images) / c.image_size
            (slope,) = torch.autograd.grad((images * y).sum(), styles, create_graph=True)
            lengths = slope.square().sum(2).mean(1).sqrt()
            self.mean_length = torch.lerp(self.mean_length, lengths.detach().mean(), c.path_decay)
            losses["path"] = c.path_weight * (lengths - self.mean_length).square().mean()
            self.adam_G.zero_grad()
            (c.path_every * losses["path"]).backward()
            self.adam_G.step()
        return losses


def settings_of(options: argparse.Namespace, size: int, **more: Any) -> stylegan.Config:
    """The configuration of the network that comes with the package, at another size."""
    return replace(CONFIG, image_size=size, batch_size=options.batch, device=options.device, **more)


def pictures_of(options: argparse.Namespace, size: int) -> Tensor:
    """Random pictures, as many as a batch: what they show does not change the time of a step."""
    return torch.rand(options.batch, 3, size, size, generator=torch.Generator().manual_seed(options.seed))


def timed(options: argparse.Namespace, size: int, device: torch.device, **more: Any) -> float:
    """Seconds of a step of a real training run, the mean over sixteen."""
    stamps: list[float] = []

    def stamp(progress: runtime.Progress) -> None:
        if progress.step in (1, 1 + STRETCH):
            stamps.append(measure.clock(device))

    config = settings_of(options, size, num_steps=1 + STRETCH, **more)
    stylegan.train(pictures_of(options, size), config, callback=stamp)
    return (stamps[1] - stamps[0]) / STRETCH


def compare(options: argparse.Namespace, size: int) -> tuple[dict[str, Any], list[results.Row]]:
    """The seconds of all ways in turns, and a row for each precision."""
    device = runtime.pick_device(options.device)
    images = pictures_of(options, size).to(device)
    tutorial, best = Plain(settings_of(options, size), device), steps.machines(device)
    operations = measure.operations(lambda: tutorial.step(images, 1))
    found: dict[str, list[float]] = {}

    def note(name: str, seconds: float) -> None:
        found.setdefault(name, []).append(seconds)

    for _ in range(options.rounds):
        began = measure.clock(device)
        for k in range(1, 1 + STRETCH):
            tutorial.step(images, k)
        note("plain", (measure.clock(device) - began) / STRETCH)
        for name in best:
            note(name, timed(options, size, device, precision=name))
        for name, changed in PENALTIES.items():
            note(f"penalties, {name}", timed(options, size, device, precision="float32", **changed))
    seconds = {name: median(values) for name, values in found.items()}
    what = f"StyleGAN2, training step, {options.batch} × {size} px{steps.threads(device)}"
    return seconds, steps.rows("stylegan", what, seconds, operations, best)


def peak(options: argparse.Namespace, size: int, which: str) -> float:
    """Take two training steps; return the peak memory of this process in GB, NaN if the system does not report it."""
    device = runtime.pick_device(options.device)
    if which == "plain":
        tutorial = Plain(settings_of(options, size), device)
        for k in range(2):
            tutorial.step(pictures_of(options, size).to(device), k)
    else:
        stylegan.train(pictures_of(options, size), settings_of(options, size, num_steps=2, precision=which))
    return measure.peak_memory(device)


def peak_elsewhere(options: argparse.Namespace, size: int, which: str) -> float:
    """`peak` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.stylegan", "--peak", str(size), "--which", which]
    for name in ("batch", "seed", "device"):
        command += [f"--{name}", str(getattr(options, name))]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(told.split()[0])


def race(options: argparse.Namespace) -> tuple[dict[str, Any], list[results.Row]]:
    """Seconds, ratios and GB by size, and the rows of the table."""
    found: dict[str, Any] = {}
    rows: list[results.Row] = []
    ways = ("plain", *steps.precisions(runtime.pick_device(options.device)))
    for size in options.size:
        seconds, more = compare(options, size)
        ratios = {name: seconds["plain"] / seconds[name] for name in ways[1:]}
        memory = {which: peak_elsewhere(options, size, which) for which in ways}
        found[str(size)] = {"seconds": seconds, "times as fast": ratios, "GB": memory}
        rows += more
        results.report(more)
        told = ", ".join(f"{name} {seconds[f'penalties, {name}']:.2f} s" for name in PENALTIES)
        print(f"{size} px, penalties: {told}", flush=True)
    return found | {"threads": torch.get_num_threads()}, rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs="+", default=[32, 64], help="sides of the pictures")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peak", type=int, metavar="SIZE", help="only take two steps, and print the peak memory")
    parser.add_argument("--which", choices=("plain", "float32", "bfloat16"), default="float32", help="with --peak")
    parser.add_argument("--save", action="store_true", help="add the rows to the table of all machines")
    parser.add_argument("--record", action="store_true", help="store the result for chapter 17")
    options = parser.parse_args()
    if options.peak:
        print(f"{peak(options, options.peak, options.which):.3f} GB")
        return 0
    if options.record:
        names = ("size", "batch", "rounds")
        command = " ".join(("python -m benchmarks.stylegan", *sys.argv[1:]))
        settings = {name: getattr(options, name) for name in names}
        with records.run("17_step", profile="laptop", seed=options.seed, config=settings, command=command) as run:
            found, rows = race(options)
            run.values |= found
            above = {
                name: [
                    found[str(size)]["seconds"][f"penalties, {name}"] - found[str(size)]["seconds"]["penalties, none"]
                    for size in options.size
                ]
                for name in ("lazy", "every step")
            }
            run.claim(CLAIM, above)
    else:
        _, rows = race(options)
    if options.save:
        results.save(rows, runtime.pick_device(options.device))
    return 0


if __name__ == "__main__":
    sys.exit(main())
