"""Winograd's convolutions beside the plain ones, layer by layer, and what they make of a whole evaluation.

    OMP_NUM_THREADS=1 python -m benchmarks.winograd            # one minute
    OMP_NUM_THREADS=1 python -m benchmarks.winograd --save     # append the rows of whole evaluations to results.jsonl
    OMP_NUM_THREADS=1 python -m benchmarks.winograd --rule     # maps of few tiles, for the rule in `winograd.py`

For each shape of a VGG-19 layer: milliseconds of the plain convolution in float32 and bfloat16 and of Winograd's, with
the relative error against float64. A factor above 1 means that Winograd's is faster than the plain convolution in the
same number format. `course_lib.pretrained.winograd.FEWEST_TILES` was read off these tables.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import results
from benchmarks.measure import Machine, in_turns, operations
from benchmarks.participants import Plain, pictures
from course_lib.methods import gatys
from course_lib.pretrained import winograd

CPU = torch.device("cpu")
FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
CHANNELS = ((64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512))
FEW = ((4, 8), (8, 8), (8, 16), (16, 16), (16, 32), (32, 32))  # 2 to 64 tiles


def shapes(sizes: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
    """Channels in and out, height and width of VGG-19's layers from conv1_2 on, for squares of these sides."""
    for size in sizes:
        for channels_in, channels_out in CHANNELS:
            side = size * 64 // channels_out
            yield channels_in, channels_out, side, side
        yield 512, 512, size // 16, size // 16


def plain_layer(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.relu_(F.conv2d(x, weight, bias, padding=1))


def layer(channels_in: int, channels_out: int, height: int, width: int) -> dict[str, tuple[float, float]]:
    """Name → seconds and relative error, on rectified noise."""
    generator = torch.Generator().manual_seed(0)
    exact = torch.randn(1, channels_in, height, width, generator=generator, dtype=torch.float64).relu()
    weight = torch.randn(channels_out, channels_in, 3, 3, generator=generator, dtype=torch.float64)
    weight *= (2 / 9 / channels_in) ** 0.5
    bias, space = torch.zeros(channels_out, dtype=torch.float64), winograd.Workspace()
    ways: dict[str, Callable[[], Tensor]] = {}
    for name, precision in FORMATS.items():
        x, w = (t.to(precision, memory_format=torch.channels_last) for t in (exact, weight))
        filters, b = winograd.Filters.of(w, bias.to(precision)), bias.to(precision)
        ways[f"plain {name}"] = partial(plain_layer, x, w, b)
        ways[f"Winograd {name}"] = partial(winograd.convolve, x, filters, space, relu=True)
    true = F.relu(F.conv2d(exact, weight, padding=1))
    seconds = in_turns(ways, CPU, rounds=7)
    return {name: (seconds[name], float((way() - true).norm() / true.norm())) for name, way in ways.items()}


def compare(where: Sequence[tuple[int, int, int, int]]) -> None:
    """Print a table of layers."""
    best = Machine.measured(torch.float32, CPU)
    print(f"float32 matrix products: {best.rate / 1e9:.0f} G operations/s, copies: {best.bandwidth / 1e9:.0f} GB/s")
    print("                              | float32:                               | bfloat16:")
    print("    in  out      size   tiles |  plain Winograd factor roofline    error |  plain Winograd factor")
    for channels_in, channels_out, height, width in where:
        found = layer(channels_in, channels_out, height, width)
        (plain, _), (ours, error), (plain_half, _), (ours_half, _) = found.values()
        count = 2 * 9 * channels_in * channels_out * height * width
        traffic = 4 * ((channels_in + channels_out) * height * width + 9 * channels_in * channels_out)
        tiles = -(-height // winograd.OUTPUTS) * -(-width // winograd.OUTPUTS)
        print(
            f"{channels_in:6d} {channels_out:4d} {height:5d}×{width:<4d} {tiles:5d} | "
            f"{1e3 * plain:6.2f} {1e3 * ours:8.2f} {plain / ours:6.2f} {best.share(ours, count, traffic):8.0%} "
            f"{error:8.1e} | {1e3 * plain_half:6.2f} {1e3 * ours_half:8.2f} {plain_half / ours_half:6.2f}",
            flush=True,
        )


def evaluation(size: int, seed: int = 0) -> list[results.Row]:
    """One evaluation of the loss and its gradient: the plain float32 loop's, and ours in each number format."""
    content, style = pictures(argparse.Namespace(size=size))
    start = gatys.first_image(content, style, gatys.Config(seed=seed, device="cpu"))
    plain = Plain(content, style, start, gatys.Config(device="cpu"))
    ways: dict[str, Callable[[], object]] = {"plain": plain.closure}
    for name in FORMATS:
        goal = gatys.objective(content, style, gatys.Config(precision=name, device="cpu"))
        ways[name] = partial(goal.with_gradient, start)
    seconds = in_turns(ways, CPU)
    count = operations(plain.closure)
    rows = []
    for name, precision in FORMATS.items():
        share = Machine.measured(precision, CPU).share(seconds[name], count)
        threads = torch.get_num_threads()
        label = f"Gatys, one evaluation, {size} px, {name}, {threads} thread{'s' * (threads > 1)}"
        rows.append(results.Row("winograd", label, seconds["plain"], seconds[name], share))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512], help="long sides in pixels")
    parser.add_argument("--rule", action="store_true", help="time maps of few tiles, and nothing else")
    parser.add_argument("--save", action="store_true", help="append the whole evaluations to results.jsonl")
    options = parser.parse_args()
    with torch.no_grad():
        if options.rule:
            compare([(*channels, *size) for channels in CHANNELS for size in FEW])
            return
        compare(list(shapes(options.sizes[:1])))
    rows = [row for size in options.sizes for row in evaluation(size)]
    results.report(rows)
    if options.save:
        results.save(rows, CPU)


if __name__ == "__main__":
    main()
