"""A training step of CycleGAN, compared with a plain implementation: time and peak memory.

    python -m benchmarks.unpaired                            # the paper's networks at 64, 128 and 256 px, batch 1
    python -m benchmarks.unpaired --save                     # and adds the rows to the table
    python -m benchmarks.unpaired --record                   # stores the result for chapter 15
    python -m benchmarks.unpaired --peak 256 --which plain   # peak memory of two training steps, in GB

The two take turns in one run. The plain step is what tutorials use: the same four networks in float32 and PyTorch's
default layout, one Adam for both generators and one for both discriminators, lists as pools of earlier pictures, and
every loss read at every step. Ours is a step of a real training run, with all that the run does to notice numbers that
are not finite.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks import measure, results, steps
from benchmarks.plain_networks import plain
from course_lib import runtime
from course_lib.methods import cyclegan
from course_lib.teaching import records


class Pool:
    """Earlier pictures in a list, as in tutorials."""

    def __init__(self, size: int) -> None:
        self.size, self.images = size, list[Tensor]()

    def __call__(self, images: Tensor) -> Tensor:
        given = []
        for image in images.detach():
            if len(self.images) < self.size:
                self.images.append(image)
            elif self.size and random.random() < 0.5:
                place = random.randrange(self.size)
                image, self.images[place] = self.images[place], image
            given.append(image)
        return torch.stack(given)


class Plain:
    """A training step as in tutorials: both generators, then both discriminators."""

    def __init__(self, config: cyclegan.Config, device: torch.device) -> None:
        self.config, G, D = config, cyclegan.build(config), cyclegan.build_discriminators(config)
        self.G_AB, self.G_BA = (plain(G[name]).to(device) for name in ("AB", "BA"))
        self.D_A, self.D_B = (plain(D[name]).to(device) for name in "AB")
        settings: dict[str, Any] = {"lr": config.learning_rate, "betas": (config.beta1, 0.999)}
        self.adam_G = torch.optim.Adam(chain(self.G_AB.parameters(), self.G_BA.parameters()), **settings)
        self.adam_D = torch.optim.Adam(chain(self.D_A.parameters(), self.D_B.parameters()), **settings)
        self.pools = {"A": Pool(config.pool_size), "B": Pool(config.pool_size)}

    def loss(self, logits: Tensor, real: bool) -> Tensor:
        return F.mse_loss(logits, torch.ones_like(logits) if real else torch.zeros_like(logits))

    def step(self, batch: Tensor) -> dict[str, float]:
        """One step on a batch (N, 2, 3, H, W); returns the losses by name, with their weights."""
        real_A, real_B = batch.unbind(1)
        c, losses = self.config, dict[str, Tensor]()
        fake_B, fake_A = self.G_AB(real_A), self.G_BA(real_B)
        for D in (self.D_A, self.D_B):
            D.requires_grad_(False)
        self.adam_G.zero_grad()
        losses["G_AB"] = c.gan_weight * self.loss(self.D_B(fake_B), True)
        losses["G_BA"] = c.gan_weight * self.loss(self.D_A(fake_A), True)
        losses["cycle_A"] = c.cycle_weight * F.l1_loss(2 * self.G_BA(fake_B), 2 * real_A)  # pictures in [-1, 1]
        losses["cycle_B"] = c.cycle_weight * F.l1_loss(2 * self.G_AB(fake_A), 2 * real_B)
        if c.identity_weight:
            weight = c.cycle_weight * c.identity_weight
            losses["identity_A"] = weight * F.l1_loss(2 * self.G_BA(real_A), 2 * real_A)
            losses["identity_B"] = weight * F.l1_loss(2 * self.G_AB(real_B), 2 * real_B)
        sum(losses.values(), torch.zeros((), device=batch.device)).backward()
        self.adam_G.step()
        for D in (self.D_A, self.D_B):
            D.requires_grad_(True)
        self.adam_D.zero_grad()
        for side, D, real, fake in (("A", self.D_A, real_A, fake_A), ("B", self.D_B, real_B, fake_B)):
            losses[f"D_{side}"] = 0.5 * (self.loss(D(real), True) + self.loss(D(self.pools[side](fake)), False))
            losses[f"D_{side}"].backward()
        self.adam_D.step()
        return {name: loss.item() for name, loss in losses.items()}


def settings_of(options: argparse.Namespace, size: int) -> cyclegan.Config:
    """The paper's networks at another size; pictures are used as they are."""
    return replace(
        cyclegan.Config(), image_size=size, load_size=None, mirror=False, width=options.width,
        batch_size=options.batch, num_blocks=options.blocks, identity_weight=options.identity, device=options.device,
    )  # fmt: skip


def pictures_of(options: argparse.Namespace, size: int) -> tuple[Tensor, Tensor]:
    """Random pictures of each domain, as many as a batch: what they show does not change the time of a step."""
    generator = torch.Generator().manual_seed(options.seed)
    a, b = (torch.rand(options.batch, 3, size, size, generator=generator) for _ in "AB")
    return a, b


def compare(options: argparse.Namespace, size: int) -> tuple[dict[str, float], list[results.Row]]:
    """The seconds of both steps in turns, and a row for each precision."""
    device = runtime.pick_device(options.device)
    config, images = settings_of(options, size), pictures_of(options, size)
    batch = torch.stack(images, 1).to(device)  # (N, 2, 3, H, W)
    tutorial, best = Plain(config, device), steps.machines(device)

    def training(precision: str) -> steps.Training:
        def train(count: int, callback: runtime.Callback) -> object:
            return cyclegan.train(*images, replace(config, num_epochs=count, precision=precision), callback=callback)

        return train

    seconds = steps.in_turns(
        lambda: tutorial.step(batch), {name: training(name) for name in best}, device,
        steps=options.steps, rounds=options.rounds,
    )  # fmt: skip
    what = f"CycleGAN, training step, {options.batch} × {size} px{steps.threads(device)}"
    return seconds, steps.rows("unpaired", what, seconds, measure.operations(lambda: tutorial.step(batch)), best)


def peak(options: argparse.Namespace, size: int, which: str) -> float:
    """Take two training steps; return the peak memory of this process in GB, NaN if the system does not report it."""
    device = runtime.pick_device(options.device)
    config, images = settings_of(options, size), pictures_of(options, size)
    if which == "plain":
        batch = torch.stack(images, 1).to(device)  # (N, 2, 3, H, W)
        tutorial = Plain(config, device)
        for _ in range(2):
            tutorial.step(batch)
    else:
        cyclegan.train(*images, replace(config, num_epochs=2, precision=which))
    return measure.peak_memory(device)


def peak_elsewhere(options: argparse.Namespace, size: int, which: str) -> float:
    """`peak` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.unpaired", "--peak", str(size), "--which", which]
    for name in ("batch", "width", "blocks", "identity", "seed", "device"):
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
        ratios = {name: seconds["plain"] / value for name, value in seconds.items() if name != "plain"}
        memory = {which: peak_elsewhere(options, size, which) for which in ways}
        found[str(size)] = {"seconds": seconds, "times as fast": ratios, "GB": memory}
        rows += more
        results.report(more)
        print(f"{size} px, GB: {', '.join(f'{which} {value:.2f}' for which, value in memory.items())}", flush=True)
    return found | {"threads": torch.get_num_threads()}, rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs="+", default=[64, 128, 256], help="sides of the pictures")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--width", type=float, default=1.0, help="factor on the paper's channels")
    parser.add_argument("--blocks", type=int, default=9, help="residual blocks of a generator")
    parser.add_argument("--identity", type=float, default=0.0, help="the identity loss, times the cycle's weight")
    parser.add_argument("--steps", type=int, default=4, help="steps in one turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peak", type=int, metavar="SIZE", help="only take two steps, and print the peak memory")
    parser.add_argument("--which", choices=("plain", "float32", "bfloat16"), default="float32", help="with --peak")
    parser.add_argument("--save", action="store_true", help="add the rows to the table of all machines")
    parser.add_argument("--record", action="store_true", help="store the result for chapter 15")
    options = parser.parse_args()
    if options.peak:
        print(f"{peak(options, options.peak, options.which):.3f} GB")
        return 0
    if options.record:
        names = ("size", "batch", "width", "blocks", "identity", "rounds")
        command = " ".join(("python -m benchmarks.unpaired", *sys.argv[1:]))
        settings = {name: getattr(options, name) for name in names}
        with records.run("15_step", profile="laptop", seed=options.seed, config=settings, command=command) as run:
            found, rows = race(options)
            run.values |= found
    else:
        _, rows = race(options)
    if options.save:
        results.save(rows, runtime.pick_device(options.device))
    return 0


if __name__ == "__main__":
    sys.exit(main())
