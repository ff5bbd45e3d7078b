"""What a painter costs where memory and time are short: its size, its time for a frame, and what fewer bits change.

    python -m benchmarks.mobile               # every painter of the package; a few minutes on one core
    python -m benchmarks.mobile --record      # stores the result for chapter 20

*Megabytes* are those of the files that the page in the browser fetches (`book.try_it.onnx_graph`), with filters of 32,
16 or 8 bits. With 8, the filters that touch the colors keep 16, and each output channel has a scale. *Decibels* are the
PSNR of a painting with 8-bit filters, or computed in bfloat16, against the same network in float32; photographs in
[0, 1]. *Milliseconds* are CPU time of one thread for a square frame, the median of three; the precisions take turns.
No phone was measured. The operations (multiplications and additions of the convolutions) can be compared with what a
phone's processor is said to do.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import measure
from benchmarks.plain_networks import plain
from benchmarks.try_it import psnr
from book.try_it import export, onnx_graph
from course_lib import resize, sample_image
from course_lib.networks.one_pass import one_pass
from course_lib.teaching import records

SIZES = (256, 512)  # px, sides of a frame
PRECISIONS = ("float32", "bfloat16")
PHOTOS = ("eilean_donan", "cat", "scarlet_macaw")
ROUNDS, WARM_UP = 3, 1


def painters() -> tuple[str, ...]:
    """The networks of one painting that come with the package, and the one made for films."""
    return (*export.PAINTERS, *export.stable())


def painted(network: nn.Module, photo: Tensor, precision: str = "float32") -> Tensor:
    return one_pass(network, photo, width=1.0, device="cpu", precision=precision)


def megabytes(network: nn.Module) -> dict[str, float]:
    """Of the exported file, by the bits of its filters."""
    return {str(bits): len(onnx_graph.export(network, bits=bits)) / 1e6 for bits in onnx_graph.BITS}


def milliseconds(network: nn.Module, sizes: tuple[int, ...] = SIZES) -> dict[str, dict[str, float]]:
    """For a frame, by its side and by precision."""
    found = {}
    for size in sizes:
        frame = resize(sample_image(PHOTOS[0]), (size, size)).clamp(0, 1)
        ways = {kind: (lambda kind=kind, frame=frame: painted(network, frame, kind)) for kind in PRECISIONS}
        seconds = measure.in_turns(ways, torch.device("cpu"), rounds=ROUNDS, warm_up=WARM_UP)
        found[str(size)] = {kind: 1000 * value for kind, value in seconds.items()}
    return found


def decibels(network: nn.Module, size: int = SIZES[0]) -> dict[str, list[float]]:
    """Against float32, for each photograph."""
    coarse = onnx_graph.rounded(network, bits=8)
    found: dict[str, list[float]] = {"8 bits": [], "bfloat16": []}
    for name in PHOTOS:
        photo = sample_image(name, size)
        exact = painted(network, photo)
        found["8 bits"].append(psnr(painted(coarse, photo), exact))
        found["bfloat16"].append(psnr(painted(network, photo, "bfloat16"), exact))
    return found


@torch.inference_mode()
def cost(network: nn.Module, sizes: tuple[int, ...] = SIZES) -> dict[str, Any]:
    """All of one painter."""
    frame = torch.zeros(1, 3, sizes[0], sizes[0])
    bare = plain(network)
    return {
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "gigaoperations": measure.operations(lambda: bare(frame)) / 1e9,  # for a frame of the first size
        "megabytes": megabytes(network),
        "ms": milliseconds(network, sizes),
        "dB": decibels(network, sizes[0]),
    }


def rows(values: dict[str, Any]) -> str:
    """The result as a table of text, one line for each painter."""
    lines = []
    for name, row in values.items():
        sizes = ", ".join(f"{row['megabytes'][str(bits)]:.2f}" for bits in (32, 16, 8))
        times = "; ".join(
            f"{size} px " + ", ".join(f"{ms[kind]:.0f}" for kind in PRECISIONS) for size, ms in row["ms"].items()
        )
        worst = {kind: f"{min(found):.1f}" for kind, found in row["dB"].items()}
        lines.append(f"{name:18} MB {sizes} | ms {times} | dB {worst['8 bits']}, {worst['bfloat16']}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="store the result for chapter 20")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not options.record:
        print(rows({name: cost(export.network(name)) for name in painters()}))
        return 0
    settings = {"sizes": SIZES, "photos": PHOTOS, "rounds": ROUNDS, "threads": 1}
    command = "python -m benchmarks.mobile --record"
    with records.run("20_mobile", profile="laptop", seed=0, config=settings, command=command) as run:
        run.values |= {name: cost(export.network(name)) for name in painters()}
    print(rows(run.values))
    return 0


if __name__ == "__main__":
    sys.exit(main())
