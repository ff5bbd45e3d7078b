"""The panel *Streets from noise* of the page that paints: its speed beside PyTorch, and the error from eight bits.

    make html && python -m benchmarks.try_noise            # opens the built book in Chromium; a minute
    python -m benchmarks.try_noise --record                # stores the result for the page itself

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
from book.try_it import export, onnx_graph, onnx_styles
from course_lib.methods import stylegan
from course_lib.teaching import records

STREETS = 48
BITS = (8, 6)
TRUNCATION = 0.7


@torch.inference_mode()
def decibels() -> dict[str, float]:
    """PSNR of the pictures after rounding both networks against the package's own: means over streets."""
    painter, mapping = (export.network(name) for name in ("streets", "streets_style"))
    z = torch.randn(STREETS, mapping.z_size, generator=torch.Generator().manual_seed(0))

    def painted(of: Any, styles: Any) -> torch.Tensor:
        w = styles.mean + TRUNCATION * (styles(z) - styles.mean)
        made: torch.Tensor = of(w).clamp(0, 1)
        return made

    truth, found = painted(painter, mapping), {}
    for bits in BITS:
        coarse = painted(onnx_styles.rounded(painter, bits=bits), onnx_styles.rounded(mapping, bits=bits))
        found[str(bits)] = fmean(psnr(*pair) for pair in zip(coarse, truth, strict=True))
    return found


def race(html: Path, rounds: int, repeats: int) -> dict[str, Any]:
    """Page and PyTorch in turns on one street, with the same rounded filters."""
    model = stylegan.load(export.NOISE_MODEL)
    styles = stylegan.styles(1, model, seed=1, truncation=TRUNCATION)
    network = onnx_styles.rounded(model.network)
    _, layers, size = styles.shape
    given: list[Any] = ["streets", size, layers, styles.flatten().tolist()]
    here: list[float] = []
    there: list[float] = []
    levels = 0.0
    with opened(html) as (page, browser), torch.inference_mode():
        for _ in range(rounds):
            page.evaluate(START)
            page.evaluate(RUN, given)  # not timed: the first call allocates memory
            network(styles)
            for _ in range(repeats):
                ms, data = page.evaluate(RUN, given)
                here.append(ms)
                there.append(timed(lambda: network(styles)))
                expected = network(styles).clamp(0, 1)
                levels = max(levels, 255 * (torch.tensor(data).view_as(expected) - expected).abs().max().item())
    networks = [export.network(name) for name in export.NOISE]
    return {
        "runtime": export.locked_version(),
        "browser": browser,
        "bytes": {
            str(bits): sum(len(onnx_styles.export(one, bits=bits)) for one in networks) for bits in onnx_graph.BITS
        },
        "ms": median(here),
        "ms of PyTorch": median(there),
        "ratio": median(here) / median(there),
        "levels between page and PyTorch": levels,
        "dB": decibels(),
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
    command = "python -m benchmarks.try_noise --record"
    with records.run("try_it_noise", profile="laptop", seed=0, config=settings, command=command) as run:
        run.values |= race(options.html, **settings)
    for name, value in run.values.items():
        print(f"{name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
