"""LPIPS of two pictures, and the Gram matrices of large feature maps, compared with plain implementations, in one run.

    python -m benchmarks.measures
    python -m benchmarks.measures --save                   # and adds the rows to the table

The plain versions are the formulas as the papers' codes write them, in float32 and PyTorch's default layout. A Gram
matrix gets the same features in both ways.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import measure, results, steps
from course_lib import losses, runtime, sample_image
from course_lib.evaluation import metrics
from course_lib.pretrained.vgg import VGGFeatures

MAPS = ((64, 512), (64, 1024), (128, 512))  # channels and side of relu1_1 and relu2_1 in pictures of 512 and 1024 px


class PlainLPIPS:
    """Zhang et al. 2018, Eq. 1, in float32, contiguous."""

    def __init__(self) -> None:
        network, self.heads = metrics._lpips_network("vgg16")
        assert isinstance(network, VGGFeatures)
        self.vgg = copy.deepcopy(network).to(memory_format=torch.contiguous_format)

    def features(self, image: Tensor) -> list[Tensor]:
        x, features = (image - self.vgg.mean) / self.vgg.std, []
        for name in self.vgg.names:
            if name.startswith("conv"):
                conv = self.vgg.convs[name]
                assert isinstance(conv, nn.Conv2d)
                x = F.conv2d(x, conv.weight, conv.bias, padding=1)
            else:
                x = torch.relu(x) if name.startswith("relu") else F.max_pool2d(x, 2)
            if name in self.vgg.layers:
                features.append(x)
        return features

    @torch.no_grad()
    def __call__(self, a: Tensor, b: Tensor) -> float:
        def unit(x: Tensor) -> Tensor:
            return x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)

        layers = zip(self.features(a), self.features(b), self.heads, strict=True)
        distances = [F.conv2d((unit(x) - unit(y)).square(), head).mean((1, 2, 3)) for x, y, head in layers]
        return torch.stack(distances).sum(0).mean().item()


def plain_gram(features: Tensor) -> Tensor:
    count, channels, height, width = features.shape
    f = features.reshape(count, channels, height * width)
    return f @ f.transpose(1, 2) / (height * width)


def compare(options: argparse.Namespace) -> list[results.Row]:
    device = torch.device("cpu")
    rows, where = [], steps.threads(device)
    best = steps.machines(device)
    plain = PlainLPIPS()
    for size in options.sizes:
        a, b = sample_image("eilean_donan", (size, size)), sample_image("great_wave", (size, size))
        count = measure.operations(lambda a=a, b=b: plain(a, b))
        ways = {"plain": lambda a=a, b=b: plain(a, b), "float32": lambda a=a, b=b: metrics.lpips(a, b)}
        seconds = measure.in_turns(ways, device, rounds=options.rounds)
        only = {"float32": best["float32"]}
        rows += steps.rows("measures", f"LPIPS, {size} px{where}", seconds, count, only)
    for channels, side in MAPS:
        x = torch.rand(1, channels, side, side)
        gram: dict[str, Callable[[], object]] = {}
        for name in best:
            ours = x.to(getattr(torch, name), memory_format=torch.channels_last)
            given = ours.contiguous()
            gram[f"plain, {name}"] = lambda given=given: plain_gram(given.float())  # sums need float32
            gram[name] = lambda ours=ours: losses.gram_matrix(ours, mean=True)
        seconds = measure.in_turns(gram, device, rounds=options.rounds)
        for name, machine in best.items():
            share = machine.share(seconds[name], 2 * channels**2 * side**2, x.numel() * getattr(torch, name).itemsize)
            what = f"Gram matrix, {channels} × {side}²{where}, {name}"
            rows.append(results.Row("measures", what, seconds[f"plain, {name}"], seconds[name], share))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=(256, 512), help="sides of the pictures for LPIPS")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--save", action="store_true", help="add the rows to the table of all machines")
    options = parser.parse_args()
    rows = compare(options)
    results.report(rows)
    if options.save:
        results.save(rows, runtime.pick_device("cpu"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
