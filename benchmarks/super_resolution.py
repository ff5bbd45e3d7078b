"""Training step and forward pass of the super-resolution network, compared with a plain implementation, in one run.

    python -m benchmarks.super_resolution                 # the paper's network, 4×: batches of 4 at 288 px
    python -m benchmarks.super_resolution --save          # and adds the rows to the table

The two take turns. The plain step is in float32 and PyTorch's default layout, with a VGG-16 differentiated by autograd
and computed for the target too, and Adam with its defaults. Both passes get the picture on the CPU and deliver it
there.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks import measure, results, steps
from benchmarks.plain_networks import plain
from course_lib import VGGFeatures, runtime, sample_image
from course_lib.data.crops import Crops
from course_lib.methods import super_resolution


class Plain:
    """Training step and pass as in tutorials."""

    def __init__(self, config: super_resolution.Config, device: torch.device) -> None:
        self.config = config
        self.network = plain(super_resolution.build(config)).to(device)
        vgg = VGGFeatures(config.arch, [config.layer], pooling="max", weights=config.weights).to(device)
        self.vgg = vgg.to(memory_format=torch.contiguous_format)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)

    def features(self, image: Tensor) -> Tensor:
        x = (image - self.vgg.mean) / self.vgg.std
        for name in self.vgg.names:
            if name.startswith("conv"):
                conv = self.vgg.convs[name]
                x = F.conv2d(x, conv.weight, conv.bias, padding=1)
            else:
                x = torch.relu(x) if name.startswith("relu") else F.max_pool2d(x, 2)
        return x

    def step(self, large: Tensor) -> float:
        self.network.train()
        self.optimizer.zero_grad()
        made = self.network(super_resolution.reduce(large, self.config.factor, self.config.blur))
        loss = F.mse_loss(self.features(made), self.features(large))
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def forward(self, small: Tensor) -> Tensor:
        with torch.no_grad():
            enlarged: Tensor = self.network.eval()(small)
        return enlarged


def compare(options: argparse.Namespace) -> list[results.Row]:
    """A row for the training step and one for a pass, in each precision."""
    device = runtime.pick_device(options.device)
    config = replace(
        super_resolution.Config(), image_size=options.size, batch_size=options.batch, width=options.width,
        device=options.device, weights=options.weights,
    )  # fmt: skip
    crops = Crops(None, size=options.size, seed=options.seed).near(device)
    batch = torch.stack([crops[k] for k in range(options.batch)]).to(device)
    tutorial, best, where = Plain(config, device), steps.machines(device), steps.threads(device)

    def training(precision: str) -> steps.Training:
        def train(count: int, callback: runtime.Callback) -> object:
            settings = replace(config, num_steps=count, precision=precision)
            return super_resolution.train(crops, settings, callback=callback)

        return train

    seconds = steps.in_turns(
        lambda: tutorial.step(batch), {name: training(name) for name in best}, device,
        steps=options.steps, rounds=options.rounds,
    )  # fmt: skip
    what = f"super-resolution, training step, {options.batch} × {options.size} px{where}"
    rows = steps.rows("super_resolution", what, seconds, measure.operations(lambda: tutorial.step(batch)), best)
    small = sample_image("eilean_donan", (options.forward, options.forward))
    model = super_resolution.Model(super_resolution.build(config), config, {})
    ways = {
        name: (lambda name=name: super_resolution.upscale(small, model, device=options.device, precision=name))
        for name in best
    }
    seconds = measure.in_turns({"plain": lambda: tutorial.forward(small.to(device)).cpu(), **ways}, device)
    count = measure.operations(lambda: tutorial.forward(small.to(device)))
    what = f"super-resolution, forward, {options.forward} px to {config.factor * options.forward} px{where}"
    return rows + steps.rows("super_resolution", what, seconds, count, best)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=288, help="side of the large training pictures")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--width", type=float, default=1.0, help="factor on the paper's channels")
    parser.add_argument("--forward", type=int, default=128, help="side of the picture that is enlarged")
    parser.add_argument("--steps", type=int, default=3, help="steps in one turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true", help="add the rows to the table of all machines")
    options = parser.parse_args(namespace=argparse.Namespace(weights="default"))
    rows = compare(options)
    results.report(rows)
    if options.save:
        results.save(rows, runtime.pick_device(options.device))
    return 0


if __name__ == "__main__":
    sys.exit(main())
