"""What tiles cost: a painter and an enlarger in one piece and in tiles, in turns, and the memory that tiles need.

    python -m benchmarks.tiles                     # seconds; five minutes on one core
    python -m benchmarks.tiles --save              # and adds the rows to the table
    python -m benchmarks.tiles --peak 10000 8000   # GB of a process that paints a picture of this size; minutes

"Plain" is the picture in one piece, "ours" the same picture in tiles, so *times as fast* is below 1 where tiles cost
time. Peak memory is that of the whole process, with the interpreter, PyTorch, the photo and the painting.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from itertools import product

import torch

from benchmarks import measure, results, steps
from course_lib import runtime, sample_image
from course_lib.methods import johnson, super_resolution

PAINTER, ENLARGER, CONTENT = "great_wave", "photo_x4_feature", "eilean_donan"


def compare(options: argparse.Namespace) -> list[results.Row]:
    """A row for each network, side of the tiles and precision."""
    device = runtime.pick_device(options.device)
    painter, enlarger = johnson.load(PAINTER), super_resolution.load(ENLARGER)
    kinds: list[tuple[str, Callable[..., object], list[int], list[int]]] = [
        ("painter", lambda x, **how: johnson.stylize(x, painter, **how), options.sizes, options.tiles),
        ("enlarger", lambda x, **how: super_resolution.upscale(x, enlarger, **how), options.small, options.small_tiles),
    ]
    rows = []
    for name, run, sizes, tiles in kinds:
        for size, precision in product(sizes, steps.precisions(device)):
            photo = sample_image(CONTENT, size)
            whole = partial(run, photo, tile=size, device=options.device, precision=precision)
            ways = {"whole": whole, **{str(tile): partial(whole, tile=tile) for tile in tiles}}
            seconds = measure.in_turns(ways, device, rounds=options.rounds, warm_up=1)
            what = f"{name}, {photo.shape[3]} × {photo.shape[2]} px in tiles of"
            for tile in tiles:
                row = f"{what} {tile}{steps.threads(device)}, {precision}"
                rows.append(results.Row("tiles", row, seconds["whole"], seconds[str(tile)]))
    return rows


def peak(options: argparse.Namespace) -> tuple[float, float]:
    """Paint a picture of ``options.peak``; the peak memory of this process in GB, NaN if unknown, and the seconds."""
    width, height = options.peak
    photo = torch.rand(1, 3, height, width, generator=runtime.seeded_generator(0))
    tile, precision = options.tiles[-1], options.precision
    result = johnson.stylize(photo, johnson.load(PAINTER), tile=tile, device=options.device, precision=precision)
    return measure.peak_memory(torch.device("cpu")), result.history["seconds"][-1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 2048], help="long sides of the photo to paint")
    parser.add_argument("--tiles", type=int, nargs="+", default=[64, 384], help="sides of its tiles")
    parser.add_argument("--small", type=int, nargs="+", default=[256], help="long sides of the picture to enlarge")
    parser.add_argument("--small-tiles", type=int, nargs="+", default=[64, 192], help="sides of its tiles")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", help="with --peak")
    parser.add_argument("--peak", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"), help="measure the memory")
    parser.add_argument("--save", action="store_true", help="add the rows to the table of all machines")
    options = parser.parse_args()
    if options.peak:
        memory, seconds = peak(options)
        print(
            f"{options.peak[0]} × {options.peak[1]} px, tiles of {options.tiles[-1]}: {memory:.2f} GB, {seconds:.0f} s"
        )
        return 0
    rows = compare(options)
    results.report(rows)
    if options.save:
        results.save(rows, runtime.pick_device(options.device))
    return 0


if __name__ == "__main__":
    sys.exit(main())
