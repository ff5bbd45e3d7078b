"""A training step of pix2pix, compared with a plain implementation, and the time of an epoch of the façades.

    python -m benchmarks.translation                       # the paper's networks: 256 px, 64 filters, batch 1
    python -m benchmarks.translation --save                # and adds the rows to the table
    python -m benchmarks.translation --record

The two take turns in one run. The plain step is what tutorials use: the same two networks in float32 and PyTorch's
default layout, two Adam optimizers with their defaults, and every loss read at every step. Ours is a step of a real
training run, with all that the run does to notice numbers that are not finite. `--record` stores the result for
chapter 9.
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
from torch import Tensor
from torch.nn import functional as F

from benchmarks import measure, results, steps
from benchmarks.plain_networks import plain
from course_lib import runtime
from course_lib.data.facades import Facades
from course_lib.methods import pix2pix
from course_lib.teaching import records
from course_lib.training.loop import seconds_a_step

PAIRS = 400  # per epoch: the façades of Isola et al. and of Wang


class Plain:
    """A training step as in tutorials."""

    def __init__(self, config: pix2pix.Config, device: torch.device) -> None:
        self.config = config
        self.G, self.D = (plain(make(config)).to(device) for make in (pix2pix.build, pix2pix.build_discriminator))
        settings: dict[str, Any] = {"lr": config.learning_rate, "betas": (config.beta1, 0.999)}
        self.adam_G = torch.optim.Adam(self.G.parameters(), **settings)
        self.adam_D = torch.optim.Adam(self.D.parameters(), **settings)

    def loss(self, logits: Tensor, real: bool) -> Tensor:
        target = torch.ones_like(logits) if real else torch.zeros_like(logits)
        return F.binary_cross_entropy_with_logits(logits, target)

    def step(self, pair: Tensor) -> list[float]:
        real_A, real_B = pair.unbind(1)
        fake_B = self.G(real_A)
        self.D.requires_grad_(True)
        self.adam_D.zero_grad()
        fake, real = self.loss(self.D(real_A, fake_B.detach()), False), self.loss(self.D(real_A, real_B), True)
        (0.5 * (fake + real)).backward()
        self.adam_D.step()
        self.D.requires_grad_(False)
        self.adam_G.zero_grad()
        gan, l1 = self.loss(self.D(real_A, fake_B), True), F.l1_loss(2 * fake_B - 1, 2 * real_B - 1)
        (self.config.gan_weight * gan + self.config.l1_weight * l1).backward()
        self.adam_G.step()
        return [loss.item() for loss in (fake, real, gan, l1)]


def seconds_of(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def race(options: argparse.Namespace) -> dict[str, Any]:
    device = runtime.pick_device(options.device)
    config = replace(
        pix2pix.Config(), image_size=options.size, load_size=None, width=options.width, batch_size=options.batch,
        num_epochs=1, device=options.device,
    )  # fmt: skip
    if device.type != "cpu":  # keep the pairs on the device: a jitter that changes nothing does it
        config = replace(config, load_size=options.size, mirror=False, num_epochs=options.steps)
    scenes = Facades(size=options.size, length=options.batch, seed=options.seed)
    pairs = [scenes[k] for k in range(options.batch)] * (options.steps + 1 if device.type == "cpu" else 1)
    batch = torch.stack(pairs[: options.batch]).to(device)
    tutorial, times, ours = Plain(config, device), [], []
    tutorial.step(batch)
    for _ in range(options.rounds):
        times += [seconds_of(lambda: tutorial.step(batch)) for _ in range(options.steps)]
        after = pix2pix.train(pairs, config).facts["history"]["seconds"]
        ours += [b - a for a, b in pairwise(after)] if device.type == "cpu" else [seconds_a_step(after)]
    medians = {"plain step": median(times), "our step": median(ours)}
    medians["ratio"] = medians["plain step"] / medians["our step"]
    medians["our epoch"] = medians["our step"] * PAIRS / options.batch
    medians["threads"] = torch.get_num_threads()
    return medians


def compare(options: argparse.Namespace) -> list[results.Row]:
    """A row for the training step in each precision."""
    device = runtime.pick_device(options.device)
    config = replace(
        pix2pix.Config(), image_size=options.size, load_size=options.size, mirror=False, width=options.width,
        batch_size=options.batch, device=options.device,
    )  # fmt: skip
    scenes = Facades(size=options.size, length=options.batch, seed=options.seed)
    pairs = [scenes[k] for k in range(options.batch)]
    batch = torch.stack(pairs).to(device)
    tutorial, best = Plain(config, device), steps.machines(device)

    def training(precision: str) -> steps.Training:
        def train(count: int, callback: runtime.Callback) -> object:
            return pix2pix.train(pairs, replace(config, num_epochs=count, precision=precision), callback=callback)

        return train

    seconds = steps.in_turns(
        lambda: tutorial.step(batch), {name: training(name) for name in best}, device,
        steps=options.steps, rounds=options.rounds,
    )  # fmt: skip
    what = f"pix2pix, training step, {options.batch} × {options.size} px{steps.threads(device)}"
    return steps.rows("translation", what, seconds, measure.operations(lambda: tutorial.step(batch)), best)


def report(medians: dict[str, Any]) -> None:
    for name, value in medians.items():
        print(f"{name}: {value:.4g}{' s' if name.startswith(('plain', 'our')) else ''}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="side of the pictures")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--width", type=float, default=1.0, help="factor on the paper's channels")
    parser.add_argument("--steps", type=int, default=4, help="steps in one turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true", help="add the rows to the table of all machines")
    parser.add_argument("--record", action="store_true", help="store the result for chapter 9")
    options = parser.parse_args()
    if not options.record:
        rows = compare(options)
        results.report(rows)
        if options.save:
            results.save(rows, runtime.pick_device(options.device))
        return 0
    settings = {"size": options.size, "batch": options.batch, "width": options.width}
    command = "python -m benchmarks.translation --record"
    with records.run("09_rate", profile="laptop", seed=options.seed, config=settings, command=command) as run:
        run.values |= race(options)
    report(run.values)
    return 0


if __name__ == "__main__":
    sys.exit(main())
