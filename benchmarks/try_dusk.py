"""The panel *From day to dusk* of the page that paints: its speed compared with PyTorch, and the error from eight bits.

    make html && python -m benchmarks.try_dusk             # opens the built book in Chromium; a minute
    python -m benchmarks.try_dusk --record                 # stores the result for the page itself

Measured as in benchmarks/try_it.py: page and PyTorch take turns, with one thread each.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch

from benchmarks.try_it import HTML, RUN, START, opened, psnr, timed
from book.try_it import export, onnx_graph
from course_lib.data.facades import weather_photos
from course_lib.methods import cyclegan
from course_lib.teaching import records

STREETS = 24  # of seed 1, which nothing was trained on
BITS = (8, 6)


@torch.inference_mode()
def decibels(size: int) -> dict[str, float]:
    """PSNR of the networks with rounded filters against the package's own, by direction: means over streets."""
    model, found = cyclegan.load(export.TRANSLATOR), {}
    for direction, weather in zip(cyclegan.DIRECTIONS, export.WEATHERS, strict=True):
        exact = model.network[direction].eval()
        streets = weather_photos(weather, range(STREETS), size=size, seed=1).split(1)
        truth = [exact(street) for street in streets]
        for bits in BITS:
            coarse = onnx_graph.rounded(exact, bits=bits)
            ratios = [psnr(coarse(street), picture) for street, picture in zip(streets, truth, strict=True)]
            found[f"{direction} {bits}"] = fmean(ratios)
    return found


def race(html: Path, rounds: int, repeats: int) -> dict[str, Any]:
    """Page and PyTorch in turns on one street, from day to dusk, with the same rounded filters."""
    name, direction = next(iter(export.TRANSLATORS.items()))
    model = cyclegan.load(export.TRANSLATOR)
    size = model.config.image_size
    street = weather_photos(export.WEATHERS[0], export.SCENES[:1], size=size, seed=1)
    network = onnx_graph.rounded(model.network[direction]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    layout = street.contiguous(memory_format=torch.channels_last)
    given: list[Any] = [name, size, size, street.flatten().tolist()]
    here: list[float] = []
    there: list[float] = []
    levels = 0.0
    with opened(html) as (page, browser), torch.inference_mode():
        for _ in range(rounds):
            page.evaluate(START)
            page.evaluate(RUN, given)  # not timed: the first call allocates memory
            network(layout)
            for _ in range(repeats):
                ms, data = page.evaluate(RUN, given)
                here.append(ms)
                there.append(timed(lambda: network(layout)))
                levels = max(levels, 255 * (torch.tensor(data).view_as(street) - network(layout)).abs().max().item())
    return {
        "runtime": export.locked_version(),
        "browser": browser,
        "bytes": {str(bits): len(onnx_graph.export(model.network[direction], bits=bits)) for bits in onnx_graph.BITS},
        "ms": median(here),
        "ms of PyTorch": median(there),
        "ratio": median(here) / median(there),
        "levels between page and PyTorch": levels,
        "dB": decibels(size),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=8, help="pictures in one round")
    parser.add_argument("--html", type=Path, default=HTML, help="the built book")
    parser.add_argument("--record", action="store_true", help="store the result for the page")
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = {"rounds": options.rounds, "repeats": options.repeats}
    if not options.record:
        for name, value in race(options.html, **settings).items():
            print(f"{name}: {value}")
        return 0
    command = "python -m benchmarks.try_dusk --record"
    with records.run("try_it_dusk", profile="laptop", seed=0, config=settings, command=command) as run:
        run.values |= race(options.html, **settings)
    for name, value in run.values.items():
        print(f"{name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
